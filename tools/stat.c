/*
 * stat.c - `cachefs stat`: all that is known of a name.
 * Floor 4.
 */
#include "tools/cli.h"

typedef struct stat_t {
    cli_t *cli;
    cli_stack_t stack;
    json_t json;
} stat_t;

typedef struct answer_t {
    const char *path;
    vfs_attr_t attr;
    vfs_validator_t validator;
    char target[VFS_PATH_MAX + 1]; /* of a link */
} answer_t;

static apr_status_t ask(stat_t *stat, answer_t *answer)
{
    const vfs_ctx_t *ctx = &stat->cli->ctx;
    vfs_t *fs = stat->stack.top;
    answer->target[0] = '\0';
    answer->validator.kind = VFS_VALIDATOR_NONE;
    apr_status_t status = stat->cli->opt.follow ? vfs_stat(fs, ctx, answer->path, &answer->attr)
                                                : vfs_lstat(fs, ctx, answer->path, &answer->attr);
    if (status != APR_SUCCESS) return status;
    if (answer->attr.type == VFS_TYPE_LINK)
        return vfs_readlink(fs, ctx, answer->path, answer->target, sizeof(answer->target), NULL);
    return vfs_validator(fs, ctx, answer->path, &answer->validator);
}

static void print_json(stat_t *stat, const answer_t *answer)
{
    json_t *json = &stat->json;
    const vfs_attr_t *attr = &answer->attr;
    json_object(json, NULL);
    cli_json_attr(json, answer->path, attr);
    json_int(json, "ctime_ns", attr->ctime_ns);
    json_int(json, "atime_ns", attr->atime_ns);
    json_uint(json, "allocated", attr->allocated);
    json_uint(json, "dev", attr->dev);
    json_uint(json, "ino", attr->ino);
    json_string(json, "validator", cli_validator_kind(&answer->validator));
    json_bool(json, "stale", (attr->flags & VFS_ATTR_STALE) != 0);
    if (attr->type == VFS_TYPE_LINK) json_path(json, "target", answer->target);
    json_close(json, '}');
}

static void print_text(const answer_t *answer)
{
    char buf[64], mode[16];
    const vfs_attr_t *attr = &answer->attr;
    (void)fputs("    path: ", stdout);
    cli_print_name(stdout, answer->path);
    if (attr->type == VFS_TYPE_LINK) {
        (void)fputs(" -> ", stdout);
        cli_print_name(stdout, answer->target);
    }
    (void)printf("\n    type: %s\n    size: %llu bytes (%s), %llu allocated\n",
                 cli_type_name(attr->type), (unsigned long long)attr->size,
                 cli_show_bytes(buf, sizeof(buf), (double)attr->size),
                 (unsigned long long)attr->allocated);
    (void)printf("    mode: %04o (%s), links %u, owner %u, group %u\n", attr->mode & 07777u,
                 cli_show_mode(mode, attr), attr->nlink, attr->uid, attr->gid);
    (void)printf("modified: %s UTC\n", cli_show_time(buf, sizeof(buf), attr->mtime_ns, 1));
    (void)printf(" changed: %s UTC\n", cli_show_time(buf, sizeof(buf), attr->ctime_ns, 1));
    (void)printf("accessed: %s UTC\n", cli_show_time(buf, sizeof(buf), attr->atime_ns, 1));
    (void)printf("  device: %llu, inode %llu\n", (unsigned long long)attr->dev,
                 (unsigned long long)attr->ino);
    if (attr->type != VFS_TYPE_LINK)
        (void)printf(" version: known by %s%s\n", cli_validator_kind(&answer->validator),
                     answer->validator.flags & VFS_VALIDATOR_YOUNG ? ", too young to be trusted"
                                                                   : "");
}

static int run(cli_t *cli)
{
    stat_t stat = {.cli = cli};
    int printed = 0;
    int code = cli_stack_open(cli, &stat.stack, cli->args[0], !cli->opt.no_cache);
    if (code != CLI_DONE) return code;
    json_start(&stat.json, stdout);
    if (cli->opt.json) json_array(&stat.json, NULL);
    for (int i = 1; i < cli->nargs && !cli_stopped(cli); i++) {
        answer_t answer;
        const char *path = cli->args[i];
        answer.path = cli_stack_path(path, cli->pool);
        apr_status_t status = ask(&stat, &answer);
        if (status != APR_SUCCESS) {
            cli_file_failed(cli, cli->args[0], path, status);
            continue;
        }
        if (cli->opt.json) {
            print_json(&stat, &answer);
        } else {
            if (printed++) (void)putchar('\n');
            print_text(&answer);
        }
    }
    if (cli->opt.json) {
        json_close(&stat.json, ']');
        json_end(&stat.json);
    }
    return cli_stack_close(cli, &stat.stack);
}

const cli_verb_t cli_stat = {
    .name = "stat",
    .bit = CLI_STAT,
    .args_min = 2,
    .args_max = -1,
    .usage = "ORIGIN PATH... [options]",
    .summary = "show the attributes of files and directories",
    .text = "Shows type, size, mode, owner, times and how versions are told apart. A symbolic link "
            "is shown\n"
            "itself, unless --follow is given.\n"
            "\n"
            "  cachefs stat file:///usr/include /stdio.h\n"
            "\n"
            "--json prints an array of objects: those of ls, and ctime_ns, atime_ns, allocated, "
            "dev, ino,\n"
            "validator and stale.\n",
    .run = run,
};
