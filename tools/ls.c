/*
 * ls.c - `cachefs ls`: what is in directories.
 * Floor 4. Paths are printed whole, so that the output is a path list.
 */
#include <string.h>

#include "tools/control.h"
#include "vfs/vfs_ops.h"

typedef struct ls_t {
    cli_t *cli;
    cli_stack_t stack;
    json_t json;
    const char *start; /* the PATH that is being listed */
} ls_t;

static void print_long(const vfs_attr_t *attr)
{
    char mode[16], when[40];
    (void)printf("%s %3u %5u %5u %12llu %s ", cli_show_mode(mode, attr), attr->nlink, attr->uid,
                 attr->gid, (unsigned long long)attr->size,
                 cli_show_time(when, sizeof(when), attr->mtime_ns, 0));
}

static void print_one(ls_t *ls, const char *path, const vfs_attr_t *attr)
{
    char target[VFS_PATH_MAX + 1];
    int link = attr->type == VFS_TYPE_LINK && (ls->cli->opt.long_form || ls->cli->opt.json);
    if (link && vfs_readlink(ls->stack.top, &ls->cli->ctx, path, target, sizeof(target), NULL) !=
                    APR_SUCCESS)
        link = 0; /* gone meanwhile: its name is still worth a line */
    if (ls->cli->opt.json) {
        json_object(&ls->json, NULL);
        cli_json_attr(&ls->json, path, attr);
        if (link) json_path(&ls->json, "target", target);
        json_close(&ls->json, '}');
        return;
    }
    if (ls->cli->opt.long_form) print_long(attr);
    cli_print_name(stdout, path);
    if (attr->type == VFS_TYPE_DIR && path[1] != '\0') (void)putchar('/');
    if (link) {
        (void)fputs(" -> ", stdout);
        cli_print_name(stdout, target);
    }
    (void)putchar('\n');
}

static apr_status_t visit(void *baton, const char *path, const vfs_attr_t *attr,
                          apr_status_t status)
{
    ls_t *ls = baton;
    const cli_options_t *opt = &ls->cli->opt;
    int is_start = strcmp(path, ls->start) == 0;
    if (cli_stopped(ls->cli)) return VFS_WALK_STOP;
    if (status != APR_SUCCESS) {
        cli_file_failed(ls->cli, ls->stack.uri, path, status);
        return APR_SUCCESS;
    }
    if (is_start && attr->type == VFS_TYPE_DIR) return APR_SUCCESS; /* its content is wanted */
    if (!opt->files_only || attr->type == VFS_TYPE_FILE) print_one(ls, path, attr);
    if (cli_stopped(ls->cli)) return VFS_WALK_STOP;
    return attr->type == VFS_TYPE_DIR && !opt->recursive ? VFS_WALK_SKIP : APR_SUCCESS;
}

static void list(ls_t *ls, const char *path)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t normal;
    const char *full = cli_stack_path(path, ls->cli->pool);
    apr_status_t status = vfs_path_init(&normal, full, buf);
    if (status == APR_SUCCESS) {
        ls->start = normal.str;
        status = vfs_walk(ls->stack.top, &ls->cli->ctx, full, visit, ls);
    }
    if (status != APR_SUCCESS) cli_file_failed(ls->cli, ls->stack.uri, path, status);
}

static int run(cli_t *cli)
{
    ls_t ls = {.cli = cli};
    if (cli->opt.cached) return ls_cached(cli);
    int code = cli_stack_open(cli, &ls.stack, cli->args[0], !cli->opt.no_cache);
    if (code != CLI_DONE) return code;
    json_start(&ls.json, stdout);
    if (cli->opt.json) json_array(&ls.json, NULL);
    if (cli->nargs == 1) list(&ls, "/");
    for (int i = 1; i < cli->nargs && !cli_stopped(cli); i++)
        list(&ls, cli->args[i]);
    if (cli->opt.json) {
        json_close(&ls.json, ']');
        json_end(&ls.json);
    }
    return cli_stack_close(cli, &ls.stack);
}

const cli_verb_t cli_ls = {
    .name = "ls",
    .bit = CLI_LS,
    .args_min = 1,
    .args_max = -1,
    .usage = "ORIGIN [PATH...] | --cached MOUNTPOINT[/PATH]... [options]",
    .summary = "list directories",
    .text =
        "Lists what is in each PATH (the root if there is none), one whole path a line in byte "
        "order, with\n"
        "a / behind directories. A PATH that is no directory is listed itself.\n"
        "\n"
        "  cachefs ls file:///usr/include /linux -l\n"
        "  cachefs ls file:///usr/include -R --files > list     a path list for warm and compare\n"
        "  cachefs ls --cached /mnt -R\n"
        "\n"
        "With --cached it lists the files of which the cache of a mount holds anything: size, "
        "bytes "
        "in memory,\n"
        "bytes in the store, bytes not yet written to the origin, f for fresh, p for pinned, and "
        "the path.\n"
        "\n"
        "--json prints an array of objects with path, type, size, mode, nlink, uid, gid, mtime_ns, "
        "and\n"
        "target for links; a path that is not UTF-8 has its bytes in path_hex as well.\n",
    .run = run,
};
