/* support_hang.c - see support_hang.h. */
#include "tests/store/support_hang.h"

#include <pthread.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int hanging; /* the op that hangs */
static unsigned hung;

#define NONE -1

static void pass(vfs_opid_e op)
{
    pthread_mutex_lock(&lock);
    hung += hanging == (int)op;
    pthread_cond_broadcast(&changed);
    int waits = hanging == (int)op;
    while (hanging == (int)op)
        pthread_cond_wait(&changed, &lock);
    hung -= (unsigned)waits;
    pthread_mutex_unlock(&lock);
}

static apr_status_t readv_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                             size_t count, apr_off_t off, size_t *got)
{
    pass(VFS_OPID_readv_at);
    return vfs_pass_readv_at(file, ctx, iov, count, off, got);
}

static apr_status_t write_at(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf, size_t len,
                             apr_off_t off, size_t *written, vfs_validator_t *validator)
{
    pass(VFS_OPID_write_at);
    return vfs_pass_write_at(file, ctx, buf, len, off, written, validator);
}

void disk_can_hang(disk_t *d)
{
    vfs_ops_t ops = disk_pass_ops();
    vfs_t *layer;
    ops.readv_at = readv_at;
    ops.write_at = write_at;
    hanging = NONE;
    OK(vfs_create(&layer, &ops, d->fs, NULL, NULL, d->pool));
    d->fs = layer;
}

void disk_hang(vfs_opid_e op)
{
    pthread_mutex_lock(&lock);
    hanging = (int)op;
    pthread_mutex_unlock(&lock);
}

void disk_wait_hung(unsigned n)
{
    pthread_mutex_lock(&lock);
    while (hung < n)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
}

unsigned disk_hung(void)
{
    pthread_mutex_lock(&lock);
    unsigned n = hung;
    pthread_mutex_unlock(&lock);
    return n;
}

void disk_let_go(void)
{
    pthread_mutex_lock(&lock);
    hanging = NONE;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&lock);
}
