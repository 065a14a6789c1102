/*
 * file.c - the cursor of a handle: read, write and seek.
 * Floor 1. No lower layer and no op knows of it.
 *
 * A call that uses the cursor claims it, calls below, moves it, and gives it back: so two readers
 * of one handle get different bytes, and no lock is held across a call. The claim is a word in the
 * handle: 0 free, 1 claimed, 2 claimed and somebody may wait. Who has to wait does so on one of a
 * few conditions that all handles share; who gives a 2 back wakes that condition.
 */
#include <pthread.h>

#include "vfs/internal.h"
#include "vfs/wait.h"

#define STRIPES 64u

#define FREE 0u
#define CLAIMED 1u
#define CONTENDED 2u

static struct stripe_t {
    pthread_mutex_t
        mutex; /* guards no data: orders "mark as contended, then wait" against waking */
    pthread_cond_t cond;
} stripes[STRIPES] = {
#define STRIPE                                                                                     \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER                                        \
    }
#define STRIPE4 STRIPE, STRIPE, STRIPE, STRIPE
#define STRIPE16 STRIPE4, STRIPE4, STRIPE4, STRIPE4
    STRIPE16, STRIPE16, STRIPE16, STRIPE16};

static struct stripe_t *stripe_of(const vfs_file_t *file)
{
    return &stripes[((uintptr_t)file >> 6) % STRIPES];
}

static apr_status_t claim_slow(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    struct stripe_t *stripe = stripe_of(file);
    apr_status_t status = APR_SUCCESS;
    pthread_mutex_lock(&stripe->mutex);
    while (__atomic_exchange_n(&file->cursor_claimed, CONTENDED, __ATOMIC_ACQUIRE) != FREE) {
        status = vfs__cond_wait(&stripe->cond, &stripe->mutex, ctx);
        if (status != APR_SUCCESS) break;
    }
    pthread_mutex_unlock(&stripe->mutex);
    return status;
}

static apr_status_t claim(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    uint32_t expected = FREE;
    vfs__assert_file(file);
    if (__atomic_compare_exchange_n(&file->cursor_claimed, &expected, CLAIMED, 0, __ATOMIC_ACQUIRE,
                                    __ATOMIC_RELAXED))
        return APR_SUCCESS;
    return claim_slow(file, ctx);
}

static void give_back(vfs_file_t *file)
{
    struct stripe_t *stripe = stripe_of(file);
    uint32_t was = __atomic_exchange_n(&file->cursor_claimed, FREE, __ATOMIC_RELEASE);
    VFS_ASSERT(was != FREE);
    if (was != CONTENDED) return;
    pthread_mutex_lock(&stripe->mutex);
    pthread_cond_broadcast(&stripe->cond);
    pthread_mutex_unlock(&stripe->mutex);
}

apr_status_t vfs_read(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len, size_t *got)
{
    VFS_CHECK_ARG(got != NULL);
    *got = 0;
    apr_status_t status = claim(file, ctx);
    if (status != APR_SUCCESS) return status;
    status = vfs_call_read_at(file, ctx, buf, len, file->cursor, got);
    file->cursor += (apr_off_t)*got;
    give_back(file);
    return status;
}

/* Where an append left the end of the file: what fstat says, and without it what we can count. */
static apr_off_t end_of_append(vfs_file_t *file, const vfs_ctx_t *ctx, size_t written)
{
    vfs_attr_t attr;
    if (written == 0) return file->cursor;
    if (vfs_call_fstat(file, ctx, &attr, NULL) == APR_SUCCESS && attr.size <= VFS__OFF_MAX)
        return (apr_off_t)attr.size;
    return file->cursor + (apr_off_t)written;
}

apr_status_t vfs_write(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf, size_t len,
                       size_t *written)
{
    VFS_CHECK_ARG(written != NULL);
    *written = 0;
    apr_status_t status = claim(file, ctx);
    if (status != APR_SUCCESS) return status;
    status = vfs_call_write_at(file, ctx, buf, len, file->cursor, written, NULL);
    if (file->flags & VFS_O_APPEND)
        file->cursor = end_of_append(file, ctx, *written);
    else
        file->cursor += (apr_off_t)*written;
    give_back(file);
    return status;
}

/* The position that a seek asks for, with the cursor claimed. */
static apr_status_t target(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t off,
                           vfs_whence_e whence, apr_off_t *to)
{
    apr_off_t base = 0;
    if (whence == VFS_SEEK_DATA || whence == VFS_SEEK_HOLE)
        return vfs_call_seek_extent(file, ctx, off, whence, to);
    if (whence == VFS_SEEK_CUR) base = file->cursor;
    if (whence == VFS_SEEK_END) {
        vfs_attr_t attr;
        apr_status_t status = vfs_call_fstat(file, ctx, &attr, NULL);
        if (status != APR_SUCCESS) return status;
        VFS_CHECK_ARG(attr.size <= VFS__OFF_MAX);
        base = (apr_off_t)attr.size;
    }
    VFS_CHECK_ARG(off < 0 ? off >= -base : off <= VFS__OFF_MAX - base);
    *to = base + off;
    return APR_SUCCESS;
}

apr_status_t vfs_seek(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t off, vfs_whence_e whence,
                      apr_off_t *where)
{
    apr_off_t to = 0;
    VFS_CHECK_ARG(whence >= VFS_SEEK_SET && whence <= VFS_SEEK_HOLE);
    apr_status_t status = claim(file, ctx);
    if (status != APR_SUCCESS) return status;
    status = target(file, ctx, off, whence, &to);
    if (status == APR_SUCCESS) file->cursor = to;
    if (where != NULL) *where = file->cursor;
    give_back(file);
    return status;
}
