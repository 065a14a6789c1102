/*
 * cachefs.c - the program: finds the verb, reads the command line, runs it, ends with its exit
 * code. Floor 4. One file per verb beside it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "backends/backends.h"
#include "tools/cli.h"

static const cli_verb_t *const verbs[] = {
    &cli_ls,    &cli_cat,     &cli_stat,   &cli_cp,    &cli_warm, &cli_compare, &cli_replay,
    &cli_mount, &cli_unmount, &cli_status, &cli_stats, &cli_top,  &cli_flush,   &cli_invalidate,
    &cli_pin,   &cli_unpin,   &cli_set,    &cli_fsck,  &cli_gc,   &cli_version,
};

const cli_verb_t *cli_verb_at(size_t i)
{
    return i < sizeof(verbs) / sizeof(verbs[0]) ? verbs[i] : NULL;
}

static const cli_verb_t *find_verb(const char *name)
{
    size_t i = 0;
    while (cli_verb_at(i) != NULL && strcmp(cli_verb_at(i)->name, name) != 0)
        i++;
    return cli_verb_at(i);
}

/* "; did you mean ls?", or "". */
static const char *like(const cli_t *cli, const char *name)
{
    cli_near_t near;
    cli_near_init(&near, name);
    for (size_t i = 0; cli_verb_at(i) != NULL; i++)
        cli_near_look(&near, cli_verb_at(i)->name);
    return near.best != NULL ? apr_psprintf(cli->pool, "; did you mean %s?", near.best) : "";
}

/* `cachefs help [VERB | keys]` and what stands for it. CLI_DONE, CLI_USAGE. */
static int help(cli_t *cli, const char *topic)
{
    const cli_verb_t *verb = topic != NULL ? find_verb(topic) : NULL;
    if (topic == NULL) {
        cli_help(stdout);
    } else if (strcmp(topic, "keys") == 0) {
        cli_help_keys(stdout);
    } else if (verb != NULL) {
        cli_help_verb(verb, stdout);
    } else {
        cli_error(cli, "there is no help on %s%s (there is on each verb, and on keys)", topic,
                  like(cli, topic));
        return CLI_USAGE;
    }
    return CLI_DONE;
}

static int check_args(cli_t *cli)
{
    const cli_verb_t *verb = cli->verb;
    if (cli->nargs < verb->args_min) {
        cli_error(cli,
                  cli->nargs == 0 && (verb->bit & CLI_STACKED)
                      ? "which origin? usage: cachefs %s %s"
                      : "something is missing; usage: cachefs %s %s",
                  verb->name, verb->usage);
        return CLI_USAGE;
    }
    if (verb->args_max >= 0 && cli->nargs > verb->args_max) {
        cli_error(cli, "%s is one argument too many; usage: cachefs %s %s",
                  cli->args[verb->args_max], verb->name, verb->usage);
        return CLI_USAGE;
    }
    return CLI_DONE;
}

/* Does this argument, an option of whatever verb, take the next one as its value? Where it does so
 * for some verbs only, it does unless the next one is a verb. */
static int takes_next(const char *arg, const char *next)
{
    int is_long = arg[1] == '-', takes = 0, stands_alone = 0;
    for (const cli_option_t *option = cli_options; option->name != NULL; option++) {
        if (!(is_long ? strcmp(option->name, arg + 2) == 0
                      : option->letter == arg[1] && arg[2] == '\0'))
            continue;
        takes |= option->arg != NULL;
        stands_alone |= option->arg == NULL;
    }
    return takes && !(stands_alone && next != NULL && find_verb(next) != NULL);
}

/* Where the verb is: the first argument that is no option. 0: there is none. */
static int find_verb_index(const cli_t *cli)
{
    for (int i = 1; i < cli->argc; i++) {
        const char *arg = cli->argv[i];
        if (strcmp(arg, "--version") == 0) return i;
        if (arg[0] != '-' || arg[1] == '\0') return i;
        if (takes_next(arg, i + 1 < cli->argc ? cli->argv[i + 1] : NULL)) i++;
    }
    return 0;
}

static int asks_help(const char *arg)
{
    return strcmp(arg, "help") == 0 || strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

static int run(cli_t *cli)
{
    int at = find_verb_index(cli);
    const char *name = cli->argc > 1 ? cli->argv[at > 0 ? at : 1] : NULL;
    if (name == NULL) {
        cli_help(stderr);
        return CLI_USAGE;
    }
    if (asks_help(name)) return help(cli, cli->argc > at + 1 && at > 0 ? cli->argv[at + 1] : NULL);
    if (strcmp(name, "--version") == 0) name = "version";
    const cli_verb_t *verb = at > 0 ? find_verb(name) : NULL;
    if (verb == NULL) {
        if (at > 0)
            cli_error(cli, "there is no verb %s%s (see cachefs --help)", name, like(cli, name));
        else
            cli_error(cli, "%s, but which verb? See cachefs --help", name);
        return CLI_USAGE;
    }
    cli->verb = verb;
    if (verb->bit == CLI_COMPARE) cli->opt.config.attr_ttl_us = 3600u * 1000000ull;
    int code = cli_parse(cli, at);
    if (cli->opt.help) return help(cli, verb->name);
    if (code == CLI_DONE) code = check_args(cli);
    return code == CLI_DONE ? verb->run(cli) : code;
}

/* Each file that is open below takes a descriptor: as many as we may have. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit); /* the old limit will do too */
}

static int start(cli_t *cli)
{
    static const cachefs_config_t config = CACHEFS_CONFIG_INIT;
    static const vfs_ctx_t ctx = VFS_CTX_INIT;
    if (apr_pool_create(&cli->pool, NULL) != APR_SUCCESS) return CLI_INTERNAL;
    if (vfs_cancel_create(&cli->cancel, cli->pool) != APR_SUCCESS) return CLI_INTERNAL;
    if (vfs_backends_register_all() != APR_SUCCESS) return CLI_INTERNAL;
    cli->opt.config = config;
    cli->opt.seed = 1;
    cli->opt.inodes_max = 1u << 20;
    cli->opt.threads = 32;
    cli->opt.end_timeout_us = 60000000;
    cli->opt.access_log_bytes = 256u << 20;
    cli->opt.interval_us = 1000000;
    cli->opt.gc_bytes = UINT64_MAX;
    cli->opt.corfs_flags = VFS_CORFS_SERVE;
    cli->ctx = ctx;
    cli->ctx.cancel = cli->cancel;
    cli_signals(cli, 0);
    raise_descriptors();
    return CLI_DONE;
}

/* mount(8) calls us by the name of the type: then the verb is understood, and -s, -n, -v and -t
 * TYPE mean nothing to us. */
static void as_mount_helper(cli_t *cli)
{
    const char *slash = strrchr(cli->argv[0], '/');
    if (strcmp(slash != NULL ? slash + 1 : cli->argv[0], "mount.cachefs") != 0) return;
    const char **argv = apr_palloc(cli->pool, sizeof(*argv) * (size_t)(cli->argc + 1));
    int argc = 0;
    argv[argc++] = cli->argv[0];
    argv[argc++] = "mount";
    for (int i = 1; i < cli->argc; i++) {
        const char *arg = cli->argv[i];
        if (strcmp(arg, "-t") == 0) i++;
        if (arg[0] == '-' && strchr("snvt", arg[1]) != NULL) continue;
        argv[argc++] = arg;
    }
    cli->argc = argc;
    cli->argv = argv;
}

int main(int argc, const char *const *argv)
{
    static cli_t cli; /* signal handlers may look at it until the very end */
    const char *const *args = argv;
    if (apr_app_initialize(&argc, &args, NULL) != APR_SUCCESS) return CLI_INTERNAL;
    cli.argc = argc;
    cli.argv = args;
    int code = start(&cli);
    if (code == CLI_DONE) {
        as_mount_helper(&cli);
        code = run(&cli);
    } else {
        (void)fputs("cachefs: cannot start: out of memory\n", stderr);
    }
    code = cli_finish(&cli, code);
    apr_pool_destroy(cli.pool);
    apr_terminate();
    return code;
}
