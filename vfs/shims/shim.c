/*
 * shim.c - what the shims share: the names of ops, handles that remember their path, clock and
 * wait. Floor 1. Knows no shim.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "vfs/shims/shim.h"

#define SLEEP_POLL_NS 1000000 /* how long a raised cancel flag may go unseen */

static const char *const op_names[VFS_OPID_COUNT] = {
#define VFS_OP_HAND(kind, name, class, doc) #name,
#define VFS_OP_FS(name, class, params, args, doc) #name,
#define VFS_OP_FILE(name, class, params, args, doc) #name,
#define VFS_OP_DIR(name, class, params, args, doc) #name,
#include "vfs/vfs_ops.def"
};

const char *vfs_op_name(vfs_opid_e op)
{
    return (unsigned)op < VFS_OPID_COUNT ? op_names[op] : NULL;
}

vfs_opid_e vfs_op_by_name(const char *name)
{
    for (unsigned op = 0; name != NULL && op < VFS_OPID_COUNT; op++)
        if (strcmp(op_names[op], name) == 0) return (vfs_opid_e)op;
    return VFS_OPID_COUNT;
}

static uint64_t next_id(void)
{
    static _Atomic uint64_t last;
    return atomic_fetch_add_explicit(&last, 1, memory_order_relaxed) + 1;
}

apr_status_t vfs__shim_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                            const vfs_path_t *path, uint32_t flags, uint32_t mode, vfs_attr_t *attr,
                            vfs_validator_t *validator)
{
    vfs_file_t *lower = NULL;
    shim_file_t *own = malloc(sizeof(*own) + path->len + 1);
    if (own == NULL) return APR_ENOMEM;
    apr_status_t status = vfs_call_open(&lower, fs->lower, ctx, path, flags, mode, attr, validator);
    if (status != APR_SUCCESS) {
        free(own);
        return status;
    }
    vfs_file_init(&own->base, fs, flags, lower);
    own->id = next_id();
    memcpy(own->path, path->str, path->len + 1);
    *file = &own->base;
    return APR_SUCCESS;
}

apr_status_t vfs__shim_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, uint32_t flags)
{
    vfs_dir_t *lower = NULL;
    shim_dir_t *own = malloc(sizeof(*own) + path->len + 1);
    if (own == NULL) return APR_ENOMEM;
    apr_status_t status = vfs_call_opendir(&lower, fs->lower, ctx, path, flags);
    if (status != APR_SUCCESS) {
        free(own);
        return status;
    }
    vfs_dir_init(&own->base, fs, flags, lower);
    own->id = next_id();
    own->entries = 0;
    own->cookie = 0;
    memcpy(own->path, path->str, path->len + 1);
    *dir = &own->base;
    return APR_SUCCESS;
}

apr_status_t vfs__shim_refuse(vfs_file_t **file, apr_status_t status)
{
    if (*file != NULL) {
        (void)vfs_close((*file)->lower, NULL); /* the answer is an error already */
        free(*file);
        *file = NULL;
    }
    return status;
}

apr_status_t vfs__shim_refuse_dir(vfs_dir_t **dir, apr_status_t status)
{
    if (*dir != NULL) {
        (void)vfs_closedir((*dir)->lower); /* the answer is an error already */
        free(*dir);
        *dir = NULL;
    }
    return status;
}

size_t vfs__shim_iov_len(const vfs_iovec_t *iov, size_t count)
{
    size_t len = 0;
    for (size_t i = 0; i < count; i++)
        len += iov[i].len;
    return len;
}

size_t vfs__shim_iov_head(vfs_iovec_t *out, const vfs_iovec_t *iov, size_t count, size_t bytes)
{
    size_t used = 0;
    for (size_t i = 0; i < count && bytes > 0; i++) {
        out[used] = iov[i];
        if (out[used].len > bytes) out[used].len = bytes;
        bytes -= out[used++].len;
    }
    return used;
}

int64_t vfs__shim_now_ns(void)
{
    struct timespec ts;
    int err = clock_gettime(CLOCK_MONOTONIC, &ts);
    VFS_ASSERT(err == 0);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* The moment to wake up at: `when_ns`, or before it when the context has to be looked at. */
static int64_t wake_ns(const vfs_ctx_t *ctx, int64_t now_ns, int64_t when_ns)
{
    if (ctx == NULL) return when_ns;
    if (ctx->cancel != NULL && when_ns > now_ns + SLEEP_POLL_NS) when_ns = now_ns + SLEEP_POLL_NS;
    if (ctx->deadline == 0) return when_ns;
    apr_time_t left_us = ctx->deadline - apr_time_now();
    if (left_us < 0) left_us = 0;
    if (left_us < (when_ns - now_ns) / 1000) when_ns = now_ns + (left_us + 1) * 1000;
    return when_ns;
}

apr_status_t vfs__shim_sleep_until(const vfs_ctx_t *ctx, int64_t when_ns)
{
    for (;;) {
        apr_status_t status = ctx == NULL ? APR_SUCCESS : vfs_ctx_check(ctx);
        int64_t now_ns = vfs__shim_now_ns();
        if (status != APR_SUCCESS || now_ns >= when_ns) return status;
        int64_t wake = wake_ns(ctx, now_ns, when_ns);
        struct timespec ts = {.tv_sec = wake / 1000000000, .tv_nsec = wake % 1000000000};
        int err = clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
        VFS_ASSERT(err == 0 || err == EINTR);
    }
}
