/*
 * test_direct.c - writes around the cache beside writes into it.
 */
#include <pthread.h>

#include "tests/engine/support_rig.h"

#define LAZY "mode=back flush_interval=1h dirty_age=1h flush_on_close=off block_size=16k "
#define BLOCK 16384u
#define PART 4096u

typedef struct around_t {
    vfs_file_t *file;
    const char *data;
    apr_status_t st;
    size_t written;
} around_t;

static void *write_around(void *baton)
{
    around_t *a = baton;
    a->st = vfs_write_at(a->file, NULL, a->data, PART, 0, &a->written, NULL);
    return NULL;
}

/* What goes around must replace what the cache has of it, also where another part of its block has
 * become dirty meanwhile: so nobody makes it dirty. */
Test(direct, no_part_of_a_block_becomes_dirty_while_another_goes_around)
{
    rig_t rig;
    pthread_t thread;
    size_t n;
    char *old = rig_bytes(BLOCK, 1), *data = rig_bytes(BLOCK, 2);
    rig_open(&rig, LAZY);
    rig_put(&rig, "/f", old, BLOCK);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_W);
    vfs_file_t *around = rig_file(rig.fs, "/f", RIG_W | VFS_O_DIRECT);
    rig_read(f, 0, old, BLOCK);
    rig_block(&rig, VFS_OPID_write_at, 1);
    around_t a = {.file = around, .data = data};
    EQ(pthread_create(&thread, NULL, write_around, &a), 0);
    rig_wait_blocked(&rig, 1);
    vfs_ctx_t soon = VFS_CTX_INIT;
    soon.deadline = apr_time_now() + 50000;
    IS(APR_TIMEUP, vfs_write_at(f, &soon, data + 2 * PART, PART, 2 * PART, &n, NULL));
    EQ(n, 0);
    vfs_fault_release(rig.fault);
    EQ(pthread_join(thread, NULL), 0);
    OK(a.st);
    rig_read(f, 0, data, PART);
    rig_read(f, PART, old + PART, BLOCK - PART);
    OK(vfs_close(around, NULL));
    OK(vfs_close(f, NULL));
    free(old);
    free(data);
    rig_close(&rig);
}
