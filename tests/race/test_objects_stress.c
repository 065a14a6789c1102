/*
 * test_objects_stress.c - files over whole objects, by many threads: the same few names are
 * written, cut, flushed, renamed, removed, listed and read, while commits fail now and then. A
 * reader sees records whole, and at the end what is told is what is below.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>

#include "backends/backends.h"
#include "tests/stacks/sut.h"
#include "vfs/shims/shims.h"

enum { THREADS = 6, FILES = 4, RECORDS = 8, RECORD = 4096, ROUNDS = 1500 };

static vfs_t *fs;
static atomic_uint wrong;

#define SAY(...)                                                                                   \
    do {                                                                                           \
        atomic_fetch_add(&wrong, 1);                                                               \
        fprintf(stderr, __VA_ARGS__);                                                              \
    } while (0)

static unsigned next(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* What may come of a call while others take the name away, and commits fail. */
static int is_fair(apr_status_t st)
{
    return st == APR_SUCCESS || APR_STATUS_IS_ENOENT(st) || st == VFS_ESTALE ||
           st == APR_FROM_OS_ERROR(EIO) || APR_STATUS_IS_EEXIST(st);
}

static void write_one(vfs_file_t *f, unsigned *seed)
{
    unsigned char buf[RECORD];
    size_t n;
    memset(buf, (int)(next(seed) % 255 + 1), sizeof(buf));
    apr_status_t st = vfs_write_at(f, NULL, buf, sizeof(buf),
                                   (apr_off_t)(next(seed) % RECORDS) * RECORD, &n, NULL);
    if (!is_fair(st)) SAY("write: %d\n", st);
}

static void read_one(vfs_file_t *f, unsigned *seed)
{
    unsigned char buf[RECORD];
    size_t n;
    apr_off_t at = (apr_off_t)(next(seed) % RECORDS) * RECORD;
    apr_status_t st = vfs_read_at(f, NULL, buf, sizeof(buf), at, &n);
    if (!is_fair(st)) SAY("read: %d\n", st);
    for (size_t i = 1; st == APR_SUCCESS && i < n; i++)
        if (buf[i] != buf[0]) {
            SAY("a torn record at %ld: %zu is 0x%02x, not 0x%02x\n", (long)at, i, buf[i], buf[0]);
            return;
        }
}

static void name_step(const char *path, unsigned *seed)
{
    char other[16];
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    vfs_attr_t attr;
    apr_status_t st = APR_SUCCESS;
    snprintf(other, sizeof(other), "/%u", next(seed) % FILES);
    switch (next(seed) % 6) {
    case 0:
        st = vfs_unlink(fs, NULL, path);
        break;
    case 1:
        st = vfs_rename(fs, NULL, path, other, 0);
        break;
    case 2:
        st = vfs_opendir(&dir, fs, NULL, "/", VFS_DIR_ATTRS);
        while (st == APR_SUCCESS && vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
            continue;
        if (st == APR_SUCCESS) st = vfs_closedir(dir);
        break;
    case 3:
        st = vfs_sync_fs(fs, NULL);
        break;
    case 4:
        st = vfs_truncate(fs, NULL, path, (apr_off_t)(next(seed) % RECORDS) * RECORD);
        break;
    default:
        st = vfs_stat(fs, NULL, path, &attr);
        break;
    }
    if (!is_fair(st)) SAY("names: %d\n", st);
}

static void *work(void *baton)
{
    unsigned seed = (unsigned)(size_t)baton * 7919u + 1;
    for (int i = 0; i < ROUNDS; i++) {
        char path[16];
        vfs_file_t *f;
        snprintf(path, sizeof(path), "/%u", next(&seed) % FILES);
        uint32_t flags = next(&seed) % 3 ? VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE : VFS_O_READ;
        apr_status_t st = vfs_open(&f, fs, NULL, path, flags, 0644, NULL, NULL);
        if (!is_fair(st)) SAY("open: %d\n", st);
        if (st != APR_SUCCESS) continue;
        for (unsigned k = next(&seed) % 6; k > 0; k--) {
            if (flags & VFS_O_WRITE && next(&seed) % 2) write_one(f, &seed);
            read_one(f, &seed);
            if (next(&seed) % 4 == 0) name_step(path, &seed);
            if (next(&seed) % 4 == 0) st = vfs_flush(f, NULL);
            if (!is_fair(st)) SAY("flush: %d\n", st);
        }
        st = vfs_close(f, NULL);
        if (!is_fair(st)) SAY("close: %d\n", st);
    }
    return NULL;
}

static void same_below(vfs_t *below)
{
    apr_pool_t *pool;
    apr_pool_create(&pool, NULL);
    for (unsigned k = 0; k < FILES; k++) {
        char path[16], *a = NULL, *b = NULL;
        size_t na = 0, nb = 0;
        snprintf(path, sizeof(path), "/%u", k);
        apr_status_t x = vfs_read_file(&a, &na, fs, NULL, path, 0, pool);
        apr_status_t y = vfs_read_file(&b, &nb, below, NULL, path, 0, pool);
        if (x != y || na != nb || (na > 0 && memcmp(a, b, na) != 0))
            SAY("%s: %d and %zu bytes here, %d and %zu below\n", path, x, na, y, nb);
    }
    apr_pool_destroy(pool);
}

int main(void)
{
    apr_pool_t *pool;
    pthread_t threads[THREADS];
    vfs_t *mem, *whole, *fault;
    vfs_fault_t fails = {.what = VFS_FAULT_ERROR, .probability = 0.05};
    vfs_fault_t lost = {.what = VFS_FAULT_LOST_REPLY, .probability = 0.05};
    apr_initialize();
    apr_pool_create(&pool, NULL);
    VFS_FAULT_OP(fails, VFS_OPID_commit);
    VFS_FAULT_OP(lost, VFS_OPID_commit);
    if (vfs_mem_create(&mem, 0, pool) || sut_whole_create(&whole, mem, pool) ||
        vfs_fault_create(&fault, whole, 1, pool) || vfs_objects_create(&fs, fault, NULL, pool) ||
        vfs_fault_add(fault, &fails) || vfs_fault_add(fault, &lost))
        return 2;
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&threads[i], NULL, work, (void *)i)) return 2;
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    vfs_fault_clear(fault);
    if (vfs_sync_fs(fs, NULL)) SAY("the last sync failed\n");
    same_below(mem);
    if (vfs_destroy(fs)) SAY("the end failed\n");
    if (vfs_destroy_stack(fault)) SAY("the end below failed\n");
    apr_pool_destroy(pool);
    printf("%u wrong\n", atomic_load(&wrong));
    return atomic_load(&wrong) != 0;
}
