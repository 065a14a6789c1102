/*
 * target_options.c - command lines: each is taken, or refused with one message; what was taken lies
 * within its bounds, and every word is an option, its value, or an argument. The first byte is the
 * verb; then come words, one a line.
 */
#include <stdarg.h>

#include <apr_strings.h>

#include "tests/fuzz/fuzz.h"
#include "tools/cli.h"
#include "tools/compare.h"

const char *const fuzz_seeds[] = {"0file:///\n-lR\n--json\n--ram=5m",
                                  "4-j1024\nmem:\n--rate\n1m\n--priority\nhigh",
                                  "5mem:\n--layers\ndirect,cachefs\n--phases=hot",
                                  "3--\n-r\n-n",
                                  "6x\n--size\n1%\n--shards\n2\n--bytes",
                                  "1mem:\n--delay=5ms,100m\n--set\nmode=back",
                                  "8mem:\n/m\n-o\nro,mode=back,threads=4,nofail",
                                  NULL};
const char *const fuzz_pieces[] = {
    "\n",       "-",         "--",     "=",          "\n-j\n",    "1024",    "1025",       "0",
    "\n--jobs", "\n--set\n", "--ram=", "--rate",     "--seed",    "--delay", "--priority", ",",
    "--layers", "--corfs",   "ttl=",   "4294967296", "attr-ttl=", "5ms",     "\n--",       NULL};

/* What the parser takes from other files of the program. */
const char *const compare_layers[CLI_LAYERS_MAX] = {"direct", "corfs", "cachefs"};
const char *const compare_phases[CLI_PHASES_MAX] = {"cold",        "warm",   "hot",
                                                    "revalidated", "random", "parallel"};
static const cli_verb_t verbs[] = {
    {.name = "ls", .bit = CLI_LS},         {.name = "cat", .bit = CLI_CAT},
    {.name = "stat", .bit = CLI_STAT},     {.name = "cp", .bit = CLI_CP},
    {.name = "warm", .bit = CLI_WARM},     {.name = "compare", .bit = CLI_COMPARE},
    {.name = "replay", .bit = CLI_REPLAY}, {.name = "version", .bit = CLI_VERSION},
    {.name = "mount", .bit = CLI_MOUNT},   {.name = "unmount", .bit = CLI_UNMOUNT},
};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

const cli_verb_t *cli_verb_at(size_t i)
{
    return i < VERBS ? &verbs[i] : NULL;
}

static unsigned messages;

void cli_error(const cli_t *cli, const char *format, ...)
{
    char text[20000];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    FUZZ_CHECK(cli->verb != NULL && len > 0);
    messages++;
}

#define WORDS_MAX 64

/* Lines of `text` as words behind the program's name and the verb. */
static int split(char *text, const char *verb, const char **argv)
{
    int argc = 2;
    argv[0] = "cachefs";
    argv[1] = verb;
    for (char *word = text, *next; word != NULL && argc < WORDS_MAX; word = next) {
        next = strchr(word, '\n');
        if (next != NULL) *next++ = '\0';
        argv[argc++] = word;
    }
    return argc;
}

static int is_word(const cli_t *cli, const char *arg)
{
    for (int i = 1; i < cli->argc; i++)
        if (cli->argv[i] == arg) return 1;
    return 0;
}

static void check_taken(const cli_t *cli)
{
    const cli_options_t *opt = &cli->opt;
    FUZZ_CHECK(cli->nargs >= 0 && cli->nargs < cli->argc);
    for (int i = 0; i < cli->nargs; i++)
        FUZZ_CHECK(is_word(cli, cli->args[i]));
    FUZZ_CHECK(opt->jobs <= 1024 && opt->replay_shards <= 1024);
    FUZZ_CHECK(opt->layers >> CLI_LAYERS_MAX == 0 && opt->phases >> CLI_PHASES_MAX == 0);
    FUZZ_CHECK(opt->priority <= VFS_PRIORITY_HIGH);
    FUZZ_CHECK(opt->config.size == sizeof(cachefs_config_t));
    FUZZ_CHECK(opt->config.ram_bytes >= 1u << 20);
    FUZZ_CHECK(opt->config.workers >= 1 && opt->config.workers <= 256);
}

static void check(char *text)
{
    static const cachefs_config_t config = CACHEFS_CONFIG_INIT;
    const char *argv[WORDS_MAX];
    cli_t cli = {.pool = fuzz_pool(), .argv = argv, .verb = &verbs[(unsigned char)*text % VERBS]};
    if (*text == '\0') return;
    cli.argc = split(text + 1, cli.verb->name, argv);
    cli.opt.config = config;
    messages = 0;
    int code = cli_parse(&cli, 1);
    FUZZ_CHECK(code == CLI_DONE || code == CLI_USAGE);
    FUZZ_CHECK(messages == (code == CLI_USAGE));
    if (code == CLI_DONE) check_taken(&cli);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size < 8000 ? size : 8000);
    if (strstr(text, "plugin") == NULL) check(text); /* that one would load what it names */
    free(text);
    (void)fuzz_pool(); /* nothing stays behind */
    return 0;
}
