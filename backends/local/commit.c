/*
 * commit.c - replacing a whole file at once: the bytes go to a file beside it, are made durable,
 * and take its name by rename. Floor 2. That there is no such file yet is checked by the rename
 * itself; that the file has a certain version is checked before, so another writer can slip in
 * between: hence no VFS_CAP_CONDITIONAL.
 */
#include "backends/local/local.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define CHUNK_BYTES 262144u
#define TURNS_MAX 64

/* Does the name hold what the caller demands, and something that can be replaced? */
static apr_status_t check(const port_at_t *at, const vfs_commit_t *how)
{
    vfs_attr_t attr;
    vfs_validator_t now;
    apr_status_t status = port__statat(at->fd, at->name, &attr);
    int exists = status == APR_SUCCESS;
    if (!exists && !APR_STATUS_IS_ENOENT(status)) return status;
    if (how->flags & VFS_COMMIT_IF_NONE) return exists ? VFS_ECONFLICT : APR_SUCCESS;
    if (exists && attr.type == VFS_TYPE_DIR) return APR_FROM_OS_ERROR(EISDIR);
    if (exists && attr.type != VFS_TYPE_FILE) return APR_EINVAL;
    if ((how->flags & VFS_COMMIT_IF_MATCH) == 0) return APR_SUCCESS;
    if (!exists) return VFS_ECONFLICT;
    local__validate(&attr, vfs_now_ns(), &now); /* young or not is not compared */
    return vfs_validator_equal(&now, &how->expected) ? APR_SUCCESS : VFS_ECONFLICT;
}

static apr_status_t copy_in(int fd, const vfs_ctx_t *ctx, const vfs_source_t *source)
{
    char *buf = malloc(CHUNK_BYTES);
    if (buf == NULL) return APR_ENOMEM;
    apr_status_t status = APR_SUCCESS;
    uint64_t off = 0;
    while (status == APR_SUCCESS && off < source->size) {
        size_t n = source->size - off < CHUNK_BYTES ? (size_t)(source->size - off) : CHUNK_BYTES;
        size_t written;
        status = vfs_ctx_check(ctx);
        if (status == APR_SUCCESS) {
            status = source->read_at(source->baton, buf, n, (apr_off_t)off);
        }
        if (status == APR_SUCCESS) status = port__write(fd, buf, n, (apr_off_t)off, &written);
        off += n;
    }
    free(buf);
    return status;
}

/* A name beside `at` that nobody has. */
static apr_status_t make_temp(const port_at_t *at, port_at_t *temp, int *fd)
{
    static atomic_uint serial;
    apr_status_t status = APR_EEXIST;
    *temp = *at;
    temp->owned = 0;
    for (int turn = 0; turn < TURNS_MAX && APR_STATUS_IS_EEXIST(status); turn++) {
        unsigned number = atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed);
        (void)snprintf(temp->name, sizeof(temp->name), ".commit-%llx-%x",
                       (unsigned long long)vfs_now_ns(), number); /* always fits */
        status = port__create(temp, VFS_O_WRITE, 0600, fd);
    }
    return status;
}

static apr_status_t fill(local_t *self, port_creds_t *creds, const vfs_ctx_t *ctx, int fd,
                         const vfs_source_t *source, const vfs_commit_t *how, uint32_t mode)
{
    port__creds_leave(creds); /* the source is the caller's code: it runs as itself */
    apr_status_t status = copy_in(fd, ctx, source);
    apr_status_t entered = port__creds_enter(&self->root, ctx, creds);
    if (status == APR_SUCCESS) status = entered;
    if (status == APR_SUCCESS) status = port__chmod(fd, mode);
    if (status == APR_SUCCESS && how->mtime_ns != VFS_TIME_NOW) {
        status = port__utimens(fd, VFS_TIME_OMIT, how->mtime_ns);
    }
    return status == APR_SUCCESS ? port__sync(fd, VFS_SYNC_ALL) : status;
}

static apr_status_t replace(local_t *self, port_creds_t *creds, const vfs_ctx_t *ctx,
                            const port_at_t *at, const vfs_source_t *source,
                            const vfs_commit_t *how, vfs_attr_t *attr)
{
    port_at_t temp;
    int fd;
    int none = (how->flags & VFS_COMMIT_IF_NONE) != 0;
    uint32_t mode = vfs_ctx_mode(ctx, how->mode);
    apr_status_t status = make_temp(at, &temp, &fd);
    if (status != APR_SUCCESS) return status;
    status = fill(self, creds, ctx, fd, source, how, mode);
    if (status == APR_SUCCESS) status = check(at, how);
    if (status == APR_SUCCESS) {
        status = port__rename(&temp, at, none ? VFS_RENAME_NOREPLACE : 0);
        if (none && APR_STATUS_IS_EEXIST(status)) status = VFS_ECONFLICT;
    }
    if (status == APR_SUCCESS) {
        status = port__stat(fd, attr); /* after the rename, which is a change too */
    } else {
        (void)port__unlink(&temp, 0); /* the first error is the one to tell */
    }
    port__close(fd);
    return status;
}

apr_status_t local__commit(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                           const vfs_source_t *source, const vfs_commit_t *how, vfs_attr_t *attr,
                           vfs_validator_t *validator)
{
    local_t *self = local__of(fs);
    port_creds_t creds;
    port_at_t at;
    int64_t asked_ns = vfs_now_ns();
    apr_status_t status = port__creds_enter(&self->root, ctx, &creds);
    if (status != APR_SUCCESS) return status;
    status = port__at_open(&self->root, path->str, 1, &at);
    if (status == APR_SUCCESS) {
        status = at.name[0] == '\0' ? APR_FROM_OS_ERROR(EISDIR) : check(&at, how);
        if (status == APR_SUCCESS) {
            status = replace(self, &creds, ctx, &at, source, how, attr);
        }
        port__at_close(&at);
    }
    port__creds_leave(&creds);
    if (status != APR_SUCCESS) return status;
    if (at.direct) attr->flags |= VFS_ATTR_DIRECT;
    local__validate(attr, asked_ns, validator);
    return APR_SUCCESS;
}
