/*
 * cachefs.c - the program: finds the verb, reads the command line, runs it, ends with its exit
 * code. Floor 4. One file per verb beside it.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <apr_general.h>

#include "backends/backends.h"
#include "tools/cli.h"

static const cli_verb_t *const verbs[] = {
    &cli_ls, &cli_cat, &cli_stat, &cli_cp, &cli_warm, &cli_compare, &cli_version,
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
        cli_error(cli, "there is no help on %s; there is on each verb, and on keys", topic);
        return CLI_USAGE;
    }
    return CLI_DONE;
}

static int check_args(cli_t *cli)
{
    const cli_verb_t *verb = cli->verb;
    if (cli->nargs < verb->args_min) {
        cli_error(cli,
                  cli->nargs == 0 ? "which origin? usage: cachefs %s %s"
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

static int run(cli_t *cli)
{
    const char *name = cli->argc > 1 ? cli->argv[1] : NULL;
    if (name == NULL) {
        cli_help(stderr);
        return CLI_USAGE;
    }
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        return help(cli, cli->argc > 2 ? cli->argv[2] : NULL);
    if (strcmp(name, "--version") == 0) name = "version";
    const cli_verb_t *verb = find_verb(name);
    if (verb == NULL) {
        cli_error(cli,
                  name[0] == '-' ? "the verb comes first, before %s: see cachefs --help"
                                 : "there is no verb %s: see cachefs --help",
                  name);
        return CLI_USAGE;
    }
    cli->verb = verb;
    if (verb->bit == CLI_COMPARE) cli->opt.config.attr_ttl_us = 3600u * 1000000ull;
    int code = cli_parse(cli, 2);
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
    cli->opt.corfs_flags = VFS_CORFS_SERVE;
    cli->ctx = ctx;
    cli->ctx.cancel = cli->cancel;
    cli_signals(cli, 0);
    raise_descriptors();
    return CLI_DONE;
}

int main(int argc, const char *const *argv)
{
    static cli_t cli; /* signal handlers may look at it until the very end */
    const char *const *args = argv;
    if (apr_app_initialize(&argc, &args, NULL) != APR_SUCCESS) return CLI_INTERNAL;
    cli.argc = argc;
    cli.argv = args;
    int code = start(&cli);
    if (code == CLI_DONE)
        code = run(&cli);
    else
        (void)fputs("cachefs: cannot start: out of memory\n", stderr);
    code = cli_finish(&cli, code);
    apr_pool_destroy(cli.pool);
    apr_terminate();
    return code;
}
