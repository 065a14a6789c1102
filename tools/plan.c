/*
 * plan.c - which files a command line names: PATHs, a list, a pattern, a tree, a heat log.
 * Floor 4, private to tools/.
 */
#include "tools/cli.h"

/* A directory stands for all below it, anything else for itself: what is not there, too. It fails
 * when its turn comes, is counted as any other, and ends what stops on errors. */
static apr_status_t add_path(cli_t *cli, warm_plan_t *plan, vfs_t *fs, const char *path, char *err,
                             size_t errlen)
{
    vfs_attr_t attr;
    const char *full = cli_stack_path(path, cli->pool);
    if (vfs_stat(fs, &cli->ctx, full, &attr) == APR_SUCCESS && attr.type == VFS_TYPE_DIR)
        return warm_plan_tree(plan, fs, &cli->ctx, full, err, errlen);
    return warm_plan_paths(plan, &full, 1, err, errlen);
}

int cli_plan(cli_t *cli, warm_plan_t **out, vfs_t *fs, const char *uri)
{
    char err[1024] = "", why[256];
    const cli_options_t *opt = &cli->opt;
    warm_plan_t *plan = NULL;
    apr_status_t status = warm_plan_create(&plan, cli->pool);
    if (cli->nargs < 2 && !opt->list && !opt->glob && !opt->tree && !opt->heat) {
        cli_error(cli, "which files? Give PATHs, or --list FILE (see cachefs %s --help)",
                  cli->verb->name);
        return CLI_USAGE;
    }
    for (int i = 1; i < cli->nargs && status == APR_SUCCESS; i++)
        status = add_path(cli, plan, fs, cli->args[i], err, sizeof(err));
    if (status == APR_SUCCESS && opt->list != NULL)
        status = warm_plan_list(plan, opt->list, cli_origin_root(uri, cli->pool), err, sizeof(err));
    if (status == APR_SUCCESS && opt->glob != NULL)
        status = warm_plan_glob(plan, fs, &cli->ctx, opt->glob, err, sizeof(err));
    if (status == APR_SUCCESS && opt->tree != NULL)
        status = warm_plan_tree(plan, fs, &cli->ctx, opt->tree, err, sizeof(err));
    if (status == APR_SUCCESS && opt->heat != NULL)
        status = warm_plan_heat(plan, opt->heat, err, sizeof(err));
    if (status != APR_SUCCESS) {
        if (cli_signalled(NULL) > 0) return CLI_SOME_FAILED;
        cli_error(cli, "%s", err[0] != '\0' ? err : vfs_strerror(status, why, sizeof(why)));
        return status == VFS_EOFFLINE ? CLI_UNREACHABLE : CLI_USAGE;
    }
    *out = plan;
    return CLI_DONE;
}
