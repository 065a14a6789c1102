/*
 * target_settings.c - files of --config: each is taken, or refused with the number of a line; what
 * was taken lies within its bounds.
 */
#include "tests/fuzz/fuzz.h"
#include "tools/compare.h"
#include "tools/mount.h"

const char *const fuzz_seeds[] = {
    "source = file:///srv\nmountpoint = /mnt\nmode = back\n",
    "# comment\n\n ram = 32m \nquiet\nthreads=4\n", "options = ro,attr_ttl=5s\nend-timeout = 1m\n",
    "set = flush_interval=1s\nmetrics = [::1]:0\nstore = a b\n", NULL};
const char *const fuzz_pieces[] = {"=",      "\n",     " = ",     "#",     "ram",
                                   "source", "config", "options", "quiet", NULL};

/* What options.c takes from other files of the program. */
const char *const compare_layers[CLI_LAYERS_MAX] = {"direct", "corfs", "cachefs"};
const char *const compare_phases[CLI_PHASES_MAX] = {"cold",        "warm",   "hot",
                                                    "revalidated", "random", "parallel"};

const cli_verb_t *cli_verb_at(size_t i)
{
    (void)i;
    return NULL;
}

void cli_error(const cli_t *cli, const char *format, ...)
{
    (void)cli;
    FUZZ_CHECK(format == NULL); /* what is wrong is answered, not said */
}

static void check(const char *file)
{
    static const cachefs_config_t config = CACHEFS_CONFIG_INIT;
    cli_t cli = {.pool = fuzz_pool()};
    cli.opt.config = config;
    const char *wrong = mount_take_config(&cli, file);
    if (wrong != NULL) {
        const char *line = strstr(wrong, ", line ");
        FUZZ_CHECK(strncmp(wrong, file, strlen(file)) == 0 && line != NULL);
        FUZZ_CHECK(strtoul(line + strlen(", line "), NULL, 10) >= 1);
        return;
    }
    FUZZ_CHECK(cli.opt.config.ram_bytes >= 1u << 20 && cli.opt.config.workers >= 1);
    FUZZ_CHECK(cli.opt.threads <= 1024);
    FUZZ_CHECK(cli.opt.source == NULL || cli.opt.source[0] != '\0');
    FUZZ_CHECK(cli.opt.mountpoint == NULL || cli.opt.mountpoint[0] != '\0');
    FUZZ_CHECK(mount_take_config(&cli, file) == NULL); /* the second time nothing happens */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size < 8000 ? size : 8000);
    if (strstr(text, "plugin") == NULL) /* that one would load what it names */
        check(fuzz_file((const uint8_t *)text, strlen(text)));
    free(text);
    (void)fuzz_pool(); /* nothing stays behind */
    return 0;
}
