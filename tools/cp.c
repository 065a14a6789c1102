/*
 * cp.c - `cachefs cp`: copy files out of a stack, to the operating system or to another stack.
 * Floor 4. A destination of the operating system is opened as a file system of its own, so that
 * there is one way to copy, and nothing is ever written outside it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <apr_strings.h>
#include <apr_tables.h>

#include "backends/backends.h"
#include "tools/cli.h"
#include "vfs/vfs_ops.h"

#define JOBS_DEFAULT 4

typedef struct pair_t {
    const char *from, *to;
    vfs_attr_t attr;
} pair_t;

typedef struct cp_t {
    cli_t *cli;
    cli_stack_t from, to; /* `to` is a stack, or one backend over an OS directory */
    const char *dest;     /* the argument */
    const char *os_dir;   /* the OS directory that `to` stands on; NULL for an origin */
    const char *dir;      /* where copies go, in `to` */
    const char *name;     /* the one new name, where the destination is no directory; else NULL */
    apr_array_header_t *files, *links, *dirs; /* of pair_t */
    const char *tree, *tree_to;               /* the PATH that is being walked, and where it goes */
    cli_progress_t *progress;
    json_t json;
    atomic_ullong copied, kept, bytes;
} cp_t;

/* ---- the destination */

/* An OS path: a directory, a file that is there or not. The backend stands on the directory. */
static int open_os_dest(cp_t *cp)
{
    cli_t *cli = cp->cli;
    struct stat info;
    char why[256];
    const char *dir = cp->dest, *slash = strrchr(cp->dest, '/');
    int there = stat(cp->dest, &info) == 0;
    vfs_t *fs = NULL;
    if (there && !S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode)) {
        cli_error(cli, "%s is neither a file nor a directory; cachefs cat writes to anything", dir);
        return CLI_USAGE;
    }
    if (!there || !S_ISDIR(info.st_mode)) {
        if (slash != NULL && slash[1] == '\0') {
            cli_error(cli, "%s: no such directory", dir);
            return CLI_USAGE;
        }
        cp->name = slash != NULL ? slash + 1 : dir;
        dir = slash == NULL  ? "."
              : slash == dir ? "/"
                             : apr_pstrndup(cli->pool, dir, (apr_size_t)(slash - dir));
    }
    apr_status_t status = vfs_local_create(&fs, dir, cli->pool);
    if (status != APR_SUCCESS) {
        cli_error(cli, "%s: %s", dir, vfs_strerror(status, why, sizeof(why)));
        return CLI_USAGE;
    }
    cp->os_dir = dir;
    cp->dir = "/";
    return cli_stack_push(cli, &cp->to, fs, status, dir);
}

static int open_dest(cp_t *cp)
{
    cli_t *cli = cp->cli;
    if (!cli_is_origin(cp->dest)) {
        if (cli->opt.into == NULL) return open_os_dest(cp);
        cli_error(cli, "--into goes with a destination that is an origin; write %s/%s", cp->dest,
                  cli->opt.into);
        return CLI_USAGE;
    }
    cp->dir = cli->opt.into != NULL ? cli_stack_path(cli->opt.into, cli->pool) : "/";
    return cli_stack_open(cli, &cp->to, cp->dest, !cli->opt.no_cache);
}

/* --into may name a directory that is not there yet. */
static int make_into(cp_t *cp)
{
    char why[256];
    if (cp->os_dir != NULL) return CLI_DONE;
    apr_status_t status = vfs_mkdir_all(cp->to.top, &cp->cli->ctx, cp->dir, 0755);
    if (status == APR_SUCCESS) return CLI_DONE;
    cli_error(cp->cli, "%s: %s: %s", cp->dest, cp->dir, vfs_strerror(status, why, sizeof(why)));
    return CLI_SOME_FAILED;
}

/* ---- what is to be copied */

static void add(cp_t *cp, apr_array_header_t *to, const char *from, const char *target,
                const vfs_attr_t *attr)
{
    pair_t *pair = apr_array_push(to);
    pair->from = apr_pstrdup(cp->cli->pool, from);
    pair->to = target;
    pair->attr = *attr;
}

static const char *join(cp_t *cp, const char *dir, const char *name)
{
    return apr_pstrcat(cp->cli->pool, strcmp(dir, "/") == 0 ? "" : dir, "/", name, NULL);
}

static apr_status_t visit(void *baton, const char *path, const vfs_attr_t *attr,
                          apr_status_t status)
{
    cp_t *cp = baton;
    size_t len = strcmp(cp->tree, "/") == 0 ? 0 : strlen(cp->tree);
    if (cli_stopped(cp->cli)) return VFS_WALK_STOP;
    if (status != APR_SUCCESS) {
        cli_file_failed(cp->cli, cp->from.uri, path, status);
        return APR_SUCCESS;
    }
    const char *below = path[len] == '/' ? path + len + 1 : "";
    const char *target = below[0] != '\0' ? join(cp, cp->tree_to, below) : cp->tree_to;
    if (attr->type == VFS_TYPE_DIR)
        add(cp, cp->dirs, path, target, attr);
    else if (attr->type == VFS_TYPE_FILE)
        add(cp, cp->files, path, target, attr);
    else if (attr->type == VFS_TYPE_LINK)
        add(cp, cp->links, path, target, attr);
    else
        cli_note(cp->cli, "%s: a %s is not copied", path, cli_type_name(attr->type));
    return APR_SUCCESS;
}

/* A name for a place that no other place has, where that can be known: through "file:" origins and
 * links, and within one origin of another kind. */
static const char *place(cp_t *cp, const char *uri, const char *root, const char *path)
{
    apr_pool_t *pool = cp->cli->pool;
    if (root == NULL) root = cli_origin_root(uri, pool);
    return root != NULL ? cli_resolve(apr_pstrcat(pool, root, path, NULL), pool)
                        : apr_pstrcat(pool, uri, path, NULL);
}

/* A copy that is part of what is copied would grow without end, or replace what it reads. */
static int hits_itself(cp_t *cp, const char *from, const char *to, vfs_type_e type)
{
    const char *source = place(cp, cp->from.uri, NULL, from);
    const char *target = place(cp, cp->to.uri, cp->os_dir, to);
    if (type == VFS_TYPE_DIR && cli_path_within(target, source)) {
        cli_error(cp->cli, "%s: cannot copy a directory into itself, %s", source, target);
        return 1;
    }
    if (strcmp(source, target) != 0) return 0;
    cli_error(cp->cli, "%s: cannot copy a file to itself", source);
    return 1;
}

/* One PATH of the command line: a file, or with --recursive a tree. *code: CLI_USAGE after a
 * message, where nothing at all is to be copied. */
static apr_status_t plan_path(cp_t *cp, const char *path, int *code)
{
    cli_t *cli = cp->cli;
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t normal;
    vfs_attr_t attr;
    apr_status_t status = vfs_path_init(&normal, cli_stack_path(path, cli->pool), buf);
    if (status == APR_SUCCESS) status = vfs_stat(cp->from.top, &cli->ctx, normal.str, &attr);
    if (status != APR_SUCCESS) return status;
    const char *base = strrchr(normal.str, '/') + 1;
    const char *to = cp->name != NULL  ? join(cp, cp->dir, cp->name)
                     : base[0] != '\0' ? join(cp, cp->dir, base)
                                       : cp->dir;
    if (attr.type == VFS_TYPE_DIR && !cli->opt.recursive) {
        cli_error(cli, "%s is a directory: --recursive copies it", path);
        atomic_fetch_add(&cli->failures, 1);
        return APR_SUCCESS;
    }
    if (hits_itself(cp, normal.str, to, attr.type)) {
        *code = CLI_USAGE;
        return APR_SUCCESS;
    }
    if (attr.type != VFS_TYPE_DIR) {
        add(cp, cp->files, normal.str, to, &attr);
        return APR_SUCCESS;
    }
    cp->tree = normal.str;
    cp->tree_to = to;
    return vfs_walk(cp->from.top, &cli->ctx, normal.str, visit, cp);
}

/* ---- copying */

static void make_dirs(cp_t *cp)
{
    for (int i = 0; i < cp->dirs->nelts && !cli_stopped(cp->cli); i++) {
        const pair_t *dir = &APR_ARRAY_IDX(cp->dirs, i, pair_t);
        /* we have to write into it; its own mode comes last */
        apr_status_t status =
            vfs_mkdir_all(cp->to.top, &cp->cli->ctx, dir->to, 0700 | dir->attr.mode);
        if (status != APR_SUCCESS) cli_file_failed(cp->cli, NULL, dir->from, status);
    }
}

static void end_dirs(cp_t *cp)
{
    /* from below, so that no mode hinders, and no time is touched again */
    for (int i = cp->dirs->nelts - 1; i >= 0; i--) {
        const pair_t *dir = &APR_ARRAY_IDX(cp->dirs, i, pair_t);
        if (strcmp(dir->to, "/") == 0) continue; /* the destination itself stays as it is */
        apr_status_t status = vfs_chmod(cp->to.top, &cp->cli->ctx, dir->to, dir->attr.mode, 0);
        if (status == APR_SUCCESS)
            status = vfs_utimens(cp->to.top, &cp->cli->ctx, dir->to, VFS_TIME_OMIT,
                                 dir->attr.mtime_ns, 0);
        if (status != APR_SUCCESS && status != APR_ENOTIMPL && !cli_stopped(cp->cli))
            cli_file_failed(cp->cli, NULL, dir->from, status);
    }
}

static apr_status_t copy_link(cp_t *cp, const pair_t *link)
{
    char target[VFS_PATH_MAX + 1];
    const vfs_ctx_t *ctx = &cp->cli->ctx;
    apr_status_t status = vfs_readlink(cp->from.top, ctx, link->from, target, sizeof(target), NULL);
    if (status == APR_SUCCESS) status = vfs_symlink(cp->to.top, ctx, target, link->to);
    if (APR_STATUS_IS_EEXIST(status) && !cp->cli->opt.no_clobber) {
        status = vfs_unlink(cp->to.top, ctx, link->to);
        if (status == APR_SUCCESS) status = vfs_symlink(cp->to.top, ctx, target, link->to);
    }
    return status;
}

/* Either side may have failed: both are named. */
static void copy_failed(cp_t *cp, const pair_t *pair, apr_status_t status)
{
    char both[2 * VFS_PATH_MAX + 1024];
    const char *slash = cp->dest[0] != '\0' && cp->dest[strlen(cp->dest) - 1] == '/' ? "" : "/";
    if (cp->name != NULL)
        (void)snprintf(both, sizeof(both), "%s to %s", pair->from, cp->dest);
    else
        (void)snprintf(both, sizeof(both), "%s to %s%s%s", pair->from, cp->dest, slash,
                       pair->to + 1);
    cli_file_failed(cp->cli, NULL, both, status);
}

static void copy_one(void *baton, unsigned thread, size_t i)
{
    cp_t *cp = baton;
    const pair_t *pair = &APR_ARRAY_IDX(cp->files, i, pair_t);
    const vfs_ctx_t *ctx = &cp->cli->ctx;
    uint64_t bytes = 0;
    vfs_attr_t attr;
    (void)thread;
    if (cp->cli->opt.no_clobber && vfs_lstat(cp->to.top, ctx, pair->to, &attr) == APR_SUCCESS) {
        atomic_fetch_add(&cp->kept, 1);
    } else {
        apr_status_t status = vfs_copy(cp->from.top, pair->from, cp->to.top, pair->to, ctx, &bytes);
        if (status != APR_SUCCESS)
            copy_failed(cp, pair, status);
        else
            atomic_fetch_add(&cp->copied, 1);
        atomic_fetch_add(&cp->bytes, bytes);
    }
    cli_progress_add(cp->progress, bytes);
}

static void copy_all(cp_t *cp)
{
    cli_t *cli = cp->cli;
    unsigned jobs = cli->opt.jobs > 0 ? cli->opt.jobs : JOBS_DEFAULT;
    make_dirs(cp);
    cp->progress = cli_progress_start(cli, "copying", (uint64_t)cp->files->nelts);
    (void)cli_each(cli, (size_t)cp->files->nelts, jobs, copy_one, cp);
    cli_progress_end(cp->progress);
    for (int i = 0; i < cp->links->nelts && !cli_stopped(cli); i++) {
        const pair_t *link = &APR_ARRAY_IDX(cp->links, i, pair_t);
        apr_status_t status = copy_link(cp, link);
        if (status != APR_SUCCESS)
            cli_file_failed(cli, NULL, link->from, status);
        else
            atomic_fetch_add(&cp->copied, 1);
    }
    end_dirs(cp);
}

static void report(cp_t *cp, double seconds)
{
    char text[32], time[32];
    uint64_t copied = atomic_load(&cp->copied), bytes = atomic_load(&cp->bytes);
    uint64_t all = (uint64_t)cp->files->nelts + (uint64_t)cp->links->nelts;
    if (cp->cli->opt.json) {
        json_start(&cp->json, stdout);
        json_object(&cp->json, NULL);
        json_uint(&cp->json, "files", all);
        json_uint(&cp->json, "copied", copied);
        json_uint(&cp->json, "kept", atomic_load(&cp->kept));
        json_uint(&cp->json, "failed", atomic_load(&cp->cli->failures));
        json_uint(&cp->json, "bytes", bytes);
        json_double(&cp->json, "seconds", seconds);
        json_close(&cp->json, '}');
        json_end(&cp->json);
    } else {
        cli_note(cp->cli, "%s%llu of %llu files copied, %s in %s",
                 cli_signalled(NULL) > 0 ? "interrupted: " : "", (unsigned long long)copied,
                 (unsigned long long)all, cli_show_bytes(text, sizeof(text), (double)bytes),
                 cli_show_us(time, sizeof(time), seconds * 1e6));
    }
}

static int run(cli_t *cli)
{
    cp_t cp = {.cli = cli, .dest = cli->args[cli->nargs - 1]};
    uint64_t started = cli_now_ns();
    int sources = cli->nargs - 2;
    cp.files = apr_array_make(cli->pool, 64, sizeof(pair_t));
    cp.links = apr_array_make(cli->pool, 8, sizeof(pair_t));
    cp.dirs = apr_array_make(cli->pool, 8, sizeof(pair_t));
    int code = cli_stack_open(cli, &cp.from, cli->args[0], !cli->opt.no_cache);
    if (code != CLI_DONE) return code;
    code = open_dest(&cp);
    if (code == CLI_DONE && cp.name != NULL && sources > 1) {
        cli_error(cli, "%s is no directory, and cannot take %d files", cp.dest, sources);
        code = CLI_USAGE;
    }
    for (int i = 1; code == CLI_DONE && i <= sources && !cli_stopped(cli); i++) {
        apr_status_t status = plan_path(&cp, cli->args[i], &code);
        if (status != APR_SUCCESS) cli_file_failed(cli, cli->args[0], cli->args[i], status);
    }
    if (code == CLI_DONE) code = make_into(&cp);
    if (code == CLI_DONE) copy_all(&cp);
    int closed = cli_stack_close(cli, &cp.to);
    if (code == CLI_DONE) {
        report(&cp, (double)(cli_now_ns() - started) / 1e9);
        code = closed;
    }
    closed = cli_stack_close(cli, &cp.from);
    return code != CLI_DONE ? code : closed;
}

const cli_verb_t cli_cp = {
    .name = "cp",
    .bit = CLI_CP,
    .args_min = 3,
    .args_max = -1,
    .usage = "ORIGIN PATH... DEST [options]",
    .summary = "copy files out of an origin, to a directory, a file or another origin",
    .text = "Copies each PATH of ORIGIN to DEST, which is the last argument:\n"
            "  a directory or a file of the operating system, or\n"
            "  an origin (scheme:...), which is written through a cache of its own with the same "
            "options.\n"
            "A copy has the bytes, the mode and the time of modification, and appears when it is "
            "whole; until\n"
            "then a file of that name stays as it is. Links within a tree are copied as links, a "
            "link that is\n"
            "named is followed.\n"
            "\n"
            "  cachefs cp file:///usr/include /stdio.h /stdlib.h /tmp\n"
            "  cachefs cp file:///usr/include /linux /tmp/headers --recursive\n"
            "  cachefs cp file:///home/me notes.txt file:///backup --into /2026 --mode back\n"
            "\n"
            "--json prints one object: files, copied, kept, failed, bytes, seconds. Ctrl-C "
            "finishes no further file.\n",
    .run = run,
};
