/*
 * compose.c - what dispatch makes of other ops where a layer has no op of its own: get, access,
 * readv_at and writev_at. Floor 1.
 */
#include <stdlib.h>
#include <string.h>

#include "vfs/internal.h"

/* One try at get: *changed says that the file was another one after the read. */
static apr_status_t get_once(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf,
                             size_t len, size_t *got, vfs_attr_t *attr, vfs_validator_t *validator,
                             int *changed)
{
    vfs_file_t *file;
    vfs_validator_t after;
    *changed = 0;
    apr_status_t status = vfs_call_open(&file, fs, ctx, path, VFS_O_READ, 0, attr, validator);
    if (status != APR_SUCCESS) return status;
    if (attr->type == VFS_TYPE_FILE && len > 0) {
        status = vfs_call_read_at(file, ctx, buf, len, 0, got);
        if (status == APR_SUCCESS && validator->kind != VFS_VALIDATOR_NONE &&
            vfs_call_fstat(file, ctx, NULL, &after) == APR_SUCCESS && after.kind == validator->kind)
            *changed = !vfs_validator_equal(validator, &after);
    }
    apr_status_t closed = vfs_close(file, ctx);
    return status != APR_SUCCESS ? status : closed;
}

apr_status_t vfs__compose_get(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf,
                              size_t len, size_t *got, vfs_attr_t *attr, vfs_validator_t *validator)
{
    int changed;
    apr_status_t status = get_once(fs, ctx, path, buf, len, got, attr, validator, &changed);
    if (status == APR_SUCCESS && changed) {
        status = get_once(fs, ctx, path, buf, len, got, attr, validator, &changed);
        if (status == APR_SUCCESS && changed) status = VFS_ESTALE;
    }
    if (status != APR_SUCCESS) *got = 0;
    return status;
}

apr_status_t vfs__compose_access(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                 uint32_t mask)
{
    vfs_attr_t attr;
    apr_status_t status = vfs_call_stat(fs, ctx, path, &attr, NULL);
    if (status != APR_SUCCESS) return status;
    return vfs_attr_access(&attr, ctx, mask);
}

apr_status_t vfs__compose_readv(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                size_t count, apr_off_t off, size_t *got)
{
    for (size_t i = 0; i < count; i++) {
        size_t part;
        apr_status_t status =
            vfs_call_read_at(file, ctx, iov[i].base, iov[i].len, off + (apr_off_t)*got, &part);
        if (status != APR_SUCCESS) {
            *got = 0;
            return status;
        }
        *got += part;
        if (part < iov[i].len) break;
    }
    return APR_SUCCESS;
}

/* An append of several pieces is one write, or other appenders could come in between. */
static apr_status_t append_gathered(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                    size_t count, size_t *written, vfs_validator_t *validator)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++)
        total += iov[i].len;
    if (total == 0) return APR_SUCCESS;
    char *all = malloc(total);
    if (all == NULL) return APR_ENOMEM;
    char *to = all;
    for (size_t i = 0; i < count; i++) {
        if (iov[i].len > 0) memcpy(to, iov[i].base, iov[i].len);
        to += iov[i].len;
    }
    apr_status_t status =
        vfs_call_write_at(file, ctx, all, total, VFS_OFFSET_END, written, validator);
    free(all);
    return status;
}

apr_status_t vfs__compose_writev(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                 size_t count, apr_off_t off, size_t *written,
                                 vfs_validator_t *validator)
{
    if (off == VFS_OFFSET_END) return append_gathered(file, ctx, iov, count, written, validator);
    for (size_t i = 0; i < count; i++) {
        size_t part;
        if (iov[i].len == 0) continue; /* it would clear the validator of the piece before */
        apr_status_t status = vfs_call_write_at(file, ctx, iov[i].base, iov[i].len,
                                                off + (apr_off_t)*written, &part, validator);
        *written += part;
        if (status != APR_SUCCESS) return status;
    }
    return APR_SUCCESS;
}
