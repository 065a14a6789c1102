/*
 * count.c - the shim that counts calls, errors, bytes, open handles and calls under way.
 * Floor 1. Counters are relaxed atomics: exact once the calls have ended.
 */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "vfs/shims/shim.h"

typedef _Atomic uint64_t counter_t;

typedef struct count_t {
    counter_t calls[VFS_OPID_COUNT];
    counter_t errors[VFS_OPID_COUNT];
    counter_t bytes_read;
    counter_t bytes_written;
    counter_t open_files;
    counter_t open_dirs;
    counter_t in_flight;
    counter_t in_flight_max;
} count_t;

static void add(counter_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t value(counter_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

static apr_status_t count_begin(shim_call_t *call)
{
    count_t *count = call->fs->state;
    add(&count->calls[call->op], 1);
    uint64_t now = atomic_fetch_add_explicit(&count->in_flight, 1, memory_order_relaxed) + 1;
    uint64_t max = value(&count->in_flight_max);
    while (now > max &&
           !atomic_compare_exchange_weak_explicit(&count->in_flight_max, &max, now,
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
    return APR_SUCCESS;
}

static void count_bytes(count_t *count, const shim_call_t *call, apr_status_t status)
{
    uint64_t bytes = call->done != NULL ? *call->done : status == APR_SUCCESS ? call->bytes : 0;
    switch (call->op) {
    case VFS_OPID_get:
    case VFS_OPID_read_at:
    case VFS_OPID_readv_at:
    case VFS_OPID_fetch:
        add(&count->bytes_read, bytes);
        break;
    default:
        add(&count->bytes_written, bytes);
        break;
    }
}

static void count_handles(count_t *count, vfs_opid_e op, apr_status_t status)
{
    if (op == VFS_OPID_open && status == APR_SUCCESS) add(&count->open_files, 1);
    if (op == VFS_OPID_opendir && status == APR_SUCCESS) add(&count->open_dirs, 1);
    if (op == VFS_OPID_close) add(&count->open_files, UINT64_MAX);
    if (op == VFS_OPID_closedir) add(&count->open_dirs, UINT64_MAX);
}

static apr_status_t count_end(shim_call_t *call, apr_status_t status)
{
    count_t *count = call->fs->state;
    int error = status != APR_SUCCESS && !(call->op == VFS_OPID_readdir && status == APR_EOF);
    if (error) add(&count->errors[call->op], 1);
    count_bytes(count, call, status);
    count_handles(count, call->op, status);
    add(&count->in_flight, UINT64_MAX);
    return status;
}

static apr_status_t count_destroy(vfs_t *fs)
{
    free(fs->state);
    return APR_SUCCESS;
}

#define SHIM count
#include "vfs/shims/shim_ops.def"

apr_status_t vfs_count_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool)
{
    VFS_CHECK_ARG(out != NULL && lower != NULL && pool != NULL);
    count_t *count = calloc(1, sizeof(*count));
    if (count == NULL) return APR_ENOMEM;
    apr_status_t status = vfs_create(out, &count_ops, lower, count, NULL, pool);
    if (status != APR_SUCCESS) free(count);
    return status;
}

void vfs_count_get(vfs_t *shim, vfs_counts_t *out)
{
    VFS_ASSERT(shim->ops.destroy == count_destroy);
    count_t *count = shim->state;
    for (size_t op = 0; op < VFS_OPID_COUNT; op++) {
        out->calls[op] = value(&count->calls[op]);
        out->errors[op] = value(&count->errors[op]);
    }
    out->bytes_read = value(&count->bytes_read);
    out->bytes_written = value(&count->bytes_written);
    out->open_files = value(&count->open_files);
    out->open_dirs = value(&count->open_dirs);
    out->in_flight_max = value(&count->in_flight_max);
}

static void set(counter_t *counter, uint64_t to)
{
    atomic_store_explicit(counter, to, memory_order_relaxed);
}

/* What is open or under way stays so; only what has passed is forgotten. */
void vfs_count_reset(vfs_t *shim)
{
    VFS_ASSERT(shim->ops.destroy == count_destroy);
    count_t *count = shim->state;
    for (size_t op = 0; op < VFS_OPID_COUNT; op++) {
        set(&count->calls[op], 0);
        set(&count->errors[op], 0);
    }
    set(&count->bytes_read, 0);
    set(&count->bytes_written, 0);
    set(&count->in_flight_max, value(&count->in_flight));
}

uint64_t vfs_counts_requests(const vfs_counts_t *counts)
{
    uint64_t requests = 0;
    for (size_t op = 0; op < VFS_OPID_COUNT; op++) {
        int local = op == VFS_OPID_close || op == VFS_OPID_closedir || op == VFS_OPID_unwatch ||
                    op == VFS_OPID_seekdir || op == VFS_OPID_readdir;
        if (!local) requests += counts->calls[op];
    }
    return requests;
}
