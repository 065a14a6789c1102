/*
 * handles.c - files that are open to be read, by their path: a request for each read. Floor 2.
 * What is written goes to the server as a whole, by other ways, and is there when that has ended.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/remote/files.h"

typedef struct remote_file_t {
    vfs_file_t base;
    const remote_backend_t *backend;
    uint64_t skip_max;
    int is_dir;
    char path[];
} remote_file_t;

apr_status_t remote__file(vfs_file_t **out, const remote_backend_t *backend, uint64_t skip_max,
                          vfs_t *fs, const vfs_path_t *path, uint32_t flags, vfs_type_e type)
{
    remote_file_t *file = calloc(1, sizeof(*file) + path->len + 1);
    if (file == NULL) return APR_ENOMEM;
    file->backend = backend;
    file->skip_max = skip_max;
    file->is_dir = type == VFS_TYPE_DIR;
    memcpy(file->path, path->str, path->len);
    vfs_file_init(&file->base, fs, flags, NULL);
    *out = &file->base;
    return APR_SUCCESS;
}

apr_status_t remote__close(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    (void)ctx;
    free(file);
    return APR_SUCCESS;
}

/* A file that is gone is not there for who has it open either. */
static apr_status_t of_handle(apr_status_t status)
{
    return APR_STATUS_IS_ENOENT(status) ? VFS_ESTALE : status;
}

apr_status_t remote__fetch(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                           size_t count, apr_off_t off, size_t *got, vfs_validator_t *validator)
{
    const remote_file_t *f = (const remote_file_t *)file;
    if (f->is_dir) return APR_FROM_OS_ERROR(EISDIR);
    return of_handle(remote__read(f->backend, file->fs->state, f->skip_max, ctx, f->path, iov,
                                  count, (uint64_t)off, got, NULL, validator, NULL));
}

apr_status_t remote__readv_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                              size_t count, apr_off_t off, size_t *got)
{
    return remote__fetch(file, ctx, iov, count, off, got, NULL);
}

apr_status_t remote__read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                             apr_off_t off, size_t *got)
{
    const vfs_iovec_t iov = {buf, len};
    return remote__fetch(file, ctx, &iov, 1, off, got, NULL);
}

apr_status_t remote__fstat(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_attr_t *attr,
                           vfs_validator_t *validator)
{
    const remote_file_t *f = (const remote_file_t *)file;
    return of_handle(f->backend->stat(file->fs->state, ctx, f->path, attr, validator));
}

/* ---- what is on the server is there */

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
apr_status_t remote__flush(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    return APR_SUCCESS;
}

apr_status_t remote__sync(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags)
{
    return APR_SUCCESS;
}

apr_status_t remote__sync_fs(vfs_t *fs, const vfs_ctx_t *ctx)
{
    return APR_SUCCESS;
}
#pragma GCC diagnostic pop

/* ---- what all files of a server have in common */

void remote__attr(const remote_answer_t *answer, vfs_type_e type, uint64_t size, const char *path,
                  vfs_attr_t *attr)
{
    memset(attr, 0, sizeof(*attr));
    attr->flags = VFS_ATTR_DIRECT;
    attr->type = type;
    attr->nlink = 1;
    attr->ino = vfs_path_hash(path, strlen(path));
    attr->size = attr->allocated = type == VFS_TYPE_DIR ? 0 : size;
    attr->blksize = 65536;
    if (answer != NULL && answer->modified_s >= 0)
        attr->mtime_ns = attr->ctime_ns = attr->atime_ns = answer->modified_s * 1000000000;
}
