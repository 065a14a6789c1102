/*
 * s3.c - the file system that the objects of a bucket make: its life, its options, its table of
 * ops. Floor 2. Knows vfs and backends/remote. Files can only be replaced whole.
 */
#include "backends/s3/s3.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "backends/s3/profile.h"

#define GRANULARITY_NS 1000000000 /* of Last-Modified; etags tell versions apart within it */
#define ROUND_TRIP_US 30000
#define FILE_MAX (5ll << 40) /* says S3 */
#define SPACE (1ull << 50)

typedef struct s3_file_t {
    vfs_file_t base;
    int is_dir;
    char path[];
} s3_file_t;

/* ---- what reads */

/* Nothing leads from one answer to another: links are told of, and redirects are not followed. */
static apr_status_t s3_ask(void *state, const vfs_ctx_t *ctx, const remote_ask_t *ask,
                           remote_answer_t *answer, int *is_dir)
{
    const s3_request_t request = {.method = ask->method,
                                  .path = ask->path,
                                  .flags = REMOTE_AGAIN,
                                  .prepare = ask->prepare,
                                  .begin = ask->begin,
                                  .body = ask->body,
                                  .baton = ask->baton};
    *is_dir = 0;
    return s3__send(state, ctx, &request, answer, NULL);
}

const remote_backend_t s3__backend = {
    .ask = s3_ask, .attr = s3__attr, .head = s3__head, .load = s3__load, .exact = 1};

/* As remote__read. There are servers that do not know what a range of an empty object is. */
static apr_status_t read_range(s3_t *s, const vfs_ctx_t *ctx, const char *path,
                               const vfs_iovec_t *iov, size_t count, uint64_t off, size_t *got,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    vfs_attr_t whole;
    vfs_validator_t version;
    int blind = 0;
    apr_status_t status =
        remote__read(&s3__backend, s, 0, ctx, path, iov, count, off, got, attr, validator, NULL);
    if (status != VFS_EFORMAT) return status;
    apr_status_t there = s3__head(s, ctx, path, &whole, &version, &blind);
    if (there != APR_SUCCESS || whole.size > 0) return status;
    *got = 0;
    if (attr != NULL) *attr = whole;
    if (validator != NULL) *validator = version;
    return APR_SUCCESS;
}

static apr_status_t s3_stat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                            vfs_attr_t *attr, vfs_validator_t *validator)
{
    return s3__stat(fs->state, ctx, path->str, attr, validator);
}

static apr_status_t s3_access(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              uint32_t mask)
{
    vfs_attr_t attr;
    vfs_validator_t validator;
    apr_status_t status = s3__stat(fs->state, ctx, path->str, &attr, &validator);
    if (status == APR_SUCCESS && attr.type == VFS_TYPE_LINK) return APR_FROM_OS_ERROR(ELOOP);
    return status == APR_SUCCESS ? vfs_attr_access(&attr, ctx, mask) : status;
}

static apr_status_t s3_get(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf,
                           size_t len, size_t *got, vfs_attr_t *attr, vfs_validator_t *validator)
{
    s3_t *s = fs->state;
    const vfs_iovec_t iov = {buf, len};
    int other;
    if (len == 0 || path->len == 1) return s3__stat(s, ctx, path->str, attr, validator);
    apr_status_t status = s3__guess(s, ctx, path->str, &other);
    if (status != APR_SUCCESS) return s3__guessed(s, status);
    if (!other) {
        status = read_range(s, ctx, path->str, &iov, 1, 0, got, attr, validator);
        other = APR_STATUS_IS_ENOENT(status);
    }
    if (other) {
        memset(validator, 0, sizeof(*validator));
        status = s3__stat_other(s, ctx, path->str, attr);
    }
    return s3__guessed(s, status);
}

static apr_status_t may_open(const vfs_attr_t *attr, apr_status_t found, uint32_t flags)
{
    if (found != APR_SUCCESS)
        return (flags & VFS_O_CREATE) && APR_STATUS_IS_ENOENT(found) ? APR_ENOTIMPL : found;
    if ((flags & VFS_O_CREATE) && (flags & VFS_O_EXCL)) return APR_EEXIST;
    if ((flags & (VFS_O_CREATE | VFS_O_WRITE)) && attr->type == VFS_TYPE_DIR)
        return APR_FROM_OS_ERROR(EISDIR);
    if (attr->type == VFS_TYPE_LINK) return APR_FROM_OS_ERROR(ELOOP);
    if ((flags & VFS_O_DIRECTORY) && attr->type != VFS_TYPE_DIR) return APR_FROM_OS_ERROR(ENOTDIR);
    return flags & VFS_O_WRITE ? APR_ENOTIMPL : APR_SUCCESS;
}

static apr_status_t s3_open(vfs_file_t **out, vfs_t *fs, const vfs_ctx_t *ctx,
                            const vfs_path_t *path, uint32_t flags, uint32_t mode, vfs_attr_t *attr,
                            vfs_validator_t *validator)
{
    (void)mode;
    /* known: each read says what it is of. Where there are links it may have become one */
    if (!(flags & VFS_O_KNOWN) || ((const s3_t *)fs->state)->links) {
        apr_status_t found = s3__stat(fs->state, ctx, path->str, attr, validator);
        apr_status_t status = may_open(attr, found, flags);
        if (status != APR_SUCCESS) return status;
    }
    s3_file_t *file = calloc(1, sizeof(*file) + path->len + 1);
    if (file == NULL) return APR_ENOMEM;
    memcpy(file->path, path->str, path->len);
    file->is_dir = attr->type == VFS_TYPE_DIR;
    vfs_file_init(&file->base, fs, flags, NULL);
    *out = &file->base;
    return APR_SUCCESS;
}

static apr_status_t s3_close(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    (void)ctx;
    free(file);
    return APR_SUCCESS;
}

/* An object that is gone is not there for who has it open either. */
static apr_status_t of_handle(apr_status_t status)
{
    return APR_STATUS_IS_ENOENT(status) ? VFS_ESTALE : status;
}

static apr_status_t s3_fetch(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                             size_t count, apr_off_t off, size_t *got, vfs_validator_t *validator)
{
    const s3_file_t *f = (const s3_file_t *)file;
    if (f->is_dir) return APR_FROM_OS_ERROR(EISDIR);
    return of_handle(
        read_range(file->fs->state, ctx, f->path, iov, count, (uint64_t)off, got, NULL, validator));
}

static apr_status_t s3_readv_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                size_t count, apr_off_t off, size_t *got)
{
    return s3_fetch(file, ctx, iov, count, off, got, NULL);
}

static apr_status_t s3_read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                               apr_off_t off, size_t *got)
{
    const vfs_iovec_t iov = {buf, len};
    return s3_fetch(file, ctx, &iov, 1, off, got, NULL);
}

static apr_status_t s3_fstat(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_attr_t *attr,
                             vfs_validator_t *validator)
{
    const s3_file_t *f = (const s3_file_t *)file;
    return of_handle(s3__stat(file->fs->state, ctx, f->path, attr, validator));
}

static apr_status_t s3_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, uint32_t flags)
{
    return remote__opendir(&s3__backend, dir, fs, ctx, path, flags);
}

/* A bucket has no end, and no number of names; programs that look for room want to find some. */
static apr_status_t s3_statfs(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              vfs_statfs_t *out)
{
    vfs_attr_t attr;
    vfs_validator_t validator;
    apr_status_t status = s3__stat(fs->state, ctx, path->str, &attr, &validator);
    out->bytes_total = out->bytes_free = out->bytes_available = SPACE;
    out->block_size = 65536;
    out->name_max = VFS_NAME_MAX;
    return status;
}

/* ---- what changes something */

static apr_status_t s3_mkdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mode)
{
    return s3__mkdir(fs->state, ctx, path->str, vfs_ctx_mode(ctx, mode) & 07777);
}

static apr_status_t s3_rmdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    return s3__rmdir(fs->state, ctx, path->str);
}

static apr_status_t s3_unlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    return s3__unlink(fs->state, ctx, path->str);
}

static apr_status_t s3_rename(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                              const vfs_path_t *to, uint32_t flags)
{
    return flags == 0 ? s3__rename(fs->state, ctx, from->str, to->str) : APR_ENOTIMPL;
}

static apr_status_t s3_symlink(vfs_t *fs, const vfs_ctx_t *ctx, const char *target,
                               const vfs_path_t *path)
{
    return s3__symlink(fs->state, ctx, target, path->str);
}

static apr_status_t s3_readlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, char *buf,
                                size_t size, size_t *len)
{
    return s3__readlink(fs->state, ctx, path->str, buf, size, len);
}

static apr_status_t s3_chmod(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mode,
                             uint32_t flags)
{
    const s3_change_t how = {.set = S3_SET_MODE, .itself = flags & VFS_NOFOLLOW, .mode = mode};
    return s3__change(fs->state, ctx, path->str, &how);
}

static apr_status_t s3_chown(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t uid,
                             uint32_t gid, uint32_t flags)
{
    const s3_change_t how = {
        .set = S3_SET_OWNER, .itself = flags & VFS_NOFOLLOW, .uid = uid, .gid = gid};
    return s3__change(fs->state, ctx, path->str, &how);
}

static apr_status_t s3_utimens(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               int64_t atime_ns, int64_t mtime_ns, uint32_t flags)
{
    const s3_change_t how = {.set = S3_SET_TIMES,
                             .itself = flags & VFS_NOFOLLOW,
                             .atime_ns = atime_ns,
                             .mtime_ns = mtime_ns};
    return s3__change(fs->state, ctx, path->str, &how);
}

static apr_status_t change_open(vfs_file_t *file, const vfs_ctx_t *ctx, const s3_change_t *how)
{
    return of_handle(s3__change(file->fs->state, ctx, ((const s3_file_t *)file)->path, how));
}

static apr_status_t s3_fchmod(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t mode)
{
    const s3_change_t how = {.set = S3_SET_MODE, .mode = mode};
    return change_open(file, ctx, &how);
}

static apr_status_t s3_fchown(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t uid, uint32_t gid)
{
    const s3_change_t how = {.set = S3_SET_OWNER, .uid = uid, .gid = gid};
    return change_open(file, ctx, &how);
}

static apr_status_t s3_futimens(vfs_file_t *file, const vfs_ctx_t *ctx, int64_t atime_ns,
                                int64_t mtime_ns)
{
    const s3_change_t how = {.set = S3_SET_TIMES, .atime_ns = atime_ns, .mtime_ns = mtime_ns};
    return change_open(file, ctx, &how);
}

static apr_status_t s3_commit(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              const vfs_source_t *source, const vfs_commit_t *how, vfs_attr_t *attr,
                              vfs_validator_t *validator)
{
    return s3__commit(fs->state, ctx, path->str, source, how, attr, validator);
}

/* What was answered well is stored already. */
static apr_status_t s3_flush(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    (void)file;
    (void)ctx;
    return APR_SUCCESS;
}

static apr_status_t s3_sync(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags)
{
    (void)flags;
    return s3_flush(file, ctx);
}

static apr_status_t s3_sync_fs(vfs_t *fs, const vfs_ctx_t *ctx)
{
    (void)fs;
    (void)ctx;
    return APR_SUCCESS;
}

static apr_status_t s3_sync_dir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    vfs_attr_t attr;
    vfs_validator_t validator;
    apr_status_t status = s3__stat(fs->state, ctx, path->str, &attr, &validator);
    return status == APR_SUCCESS && attr.type != VFS_TYPE_DIR ? APR_FROM_OS_ERROR(ENOTDIR) : status;
}

/* ---- life */

static const vfs_ops_t s3_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "s3",
    .destroy = remote__destroy_fs,
    .open = s3_open,
    .opendir = s3_opendir,
    .close = s3_close,
    .closedir = remote__closedir,
    .get = s3_get,
    .stat = s3_stat,
    .lstat = s3_stat,
    .access = s3_access,
    .statfs = s3_statfs,
    .mkdir = s3_mkdir,
    .rmdir = s3_rmdir,
    .unlink = s3_unlink,
    .rename = s3_rename,
    .symlink = s3_symlink,
    .readlink = s3_readlink,
    .chmod = s3_chmod,
    .chown = s3_chown,
    .utimens = s3_utimens,
    .sync_dir = s3_sync_dir,
    .sync_fs = s3_sync_fs,
    .commit = s3_commit,
    .read_at = s3_read_at,
    .readv_at = s3_readv_at,
    .fstat = s3_fstat,
    .fchmod = s3_fchmod,
    .fchown = s3_fchown,
    .futimens = s3_futimens,
    .flush = s3_flush,
    .sync = s3_sync,
    .fetch = s3_fetch,
    .readdir = remote__readdir,
    .seekdir = remote__seekdir,
};

static void s3_free(void *state)
{
    s3_t *s = state;
    apr_pool_t *pool = s->pool;
    if (s->state.remote != NULL) remote__destroy(s->state.remote);
    for (size_t i = 0; i < S3_SEEN; i++)
        free(s->seen[i].path);
    explicit_bzero(&s->creds, sizeof(s->creds));
    (void)pthread_mutex_destroy(&s->creds_lock); /* nobody is left to hold it */
    (void)pthread_cond_destroy(&s->creds_came);
    (void)pthread_mutex_destroy(&s->seen_lock);
    free(s);
    if (pool != NULL) apr_pool_destroy(pool);
}

static apr_status_t s3_new(s3_t **out, const s3_options_t *o, char *err, size_t errlen)
{
    char why[1024] = "";
    s3_t *s = calloc(1, sizeof(*s));
    if (s == NULL) return APR_ENOMEM;
    s->state.end = s3_free;
    s->base = o->remote.base;
    s->host = o->host;
    s->bucket = o->bucket;
    s->prefix = o->prefix;
    s->region = o->region;
    s->profile = o->profile;
    s->meta = o->meta;
    s->links = o->links;
    s->anonymous = o->anonymous;
    s->payer = o->payer;
    s->part_bytes = o->part_bytes;
    s->parallel = o->parallel;
    s->copy_max = S3_COPY_MAX;
    s->storage_class = o->storage_class;
    s->sse = o->sse;
    s->sse_key = o->sse_key;
    s->https = strncmp(o->remote.base, "https:", 6) == 0;
    s->uid = (uint32_t)geteuid();
    s->gid = (uint32_t)getegid();
    s->creds_pause_us = S3_CREDS_PAUSE_US;
    s->process_us = S3_PROCESS_US;
    pthread_mutex_init(&s->creds_lock, NULL);
    pthread_cond_init(&s->creds_came, NULL);
    pthread_mutex_init(&s->seen_lock, NULL);
    apr_status_t status = remote__create(&s->state.remote, &o->remote, why, sizeof(why));
    if (status == APR_SUCCESS) status = s3__creds_load(s, NULL, why, sizeof(why));
    if (status == VFS_EOFFLINE && !o->probe) status = APR_SUCCESS; /* it is asked for later */
    if (status != APR_SUCCESS)
        (void)snprintf(err, errlen, "s3://%s: %s", o->bucket, why);
    else if (o->probe)
        status = s3__probe(s, err, errlen);
    s->conditional = o->conditional == S3_CONDITIONAL_YES ||
                     (o->conditional == S3_CONDITIONAL_ASK && status == APR_SUCCESS && o->probe &&
                      s3__ask_conditional(s));
    if (status == APR_SUCCESS)
        *out = s;
    else
        s3_free(s);
    return status;
}

static apr_status_t open_uri(vfs_t **out, const char *uri, char *err, size_t errlen,
                             apr_pool_t *pool, apr_pool_t *own)
{
    s3_options_t o;
    vfs_caps_t caps = {.size = sizeof(caps),
                       .bits = VFS_CAP_WRITE | VFS_CAP_DIRS | VFS_CAP_CONFINED | VFS_CAP_COMMIT |
                               VFS_CAP_SYNC | VFS_CAP_STILL_DIRS | VFS_CAP_LISTS_ALL | VFS_CAP_COPY,
                       .time_granularity_ns = GRANULARITY_NS,
                       .file_size_max = FILE_MAX,
                       .name_max = VFS_NAME_MAX,
                       .round_trip_us = ROUND_TRIP_US};
    s3_t *s = NULL;
    apr_status_t status = s3__options(&o, uri, err, errlen, own);
    if (status == APR_SUCCESS) status = s3_new(&s, &o, err, errlen);
    if (status != APR_SUCCESS) return status;
    if (s->conditional) caps.bits |= VFS_CAP_CONDITIONAL;
    if (s->meta) {
        caps.bits |= VFS_CAP_MODE | VFS_CAP_OWNER | VFS_CAP_TIMES;
        caps.time_granularity_ns = 1;
    }
    if (s->links) caps.bits |= VFS_CAP_PLAIN_LINKS;
    status = vfs_create(out, &s3_ops, NULL, s, &caps, pool);
    if (status == APR_SUCCESS)
        s->pool = own;
    else
        s3_free(s);
    return status;
}

apr_status_t vfs_s3_create(vfs_t **out, const char *uri, char *err, size_t errlen, apr_pool_t *pool)
{
    return remote__open(out, uri, err, errlen, pool, open_uri);
}
