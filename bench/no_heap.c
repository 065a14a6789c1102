/*
 * no_heap.c - the ctest tests bench_no_heap_on_hit and bench_no_heap_on_borrow: a hit takes nothing
 * from the heap. Floor 4.
 *
 * The C library lets a program bring its own malloc; this one counts the calls of the threads that
 * ask for it, and passes them on to the allocator of glibc by its other names.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>

#include "bench/bench.h"

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *p, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

#define TIMES 1000u

/* volatile: compilers believe that a malloc changes nothing else, and spare one that nobody wants
 */
static _Thread_local volatile int counting;
static _Thread_local volatile unsigned long allocations;

void *malloc(size_t size)
{
    allocations += (unsigned long)counting;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations += (unsigned long)counting;
    return __libc_calloc(count, size);
}

void *realloc(void *p, size_t size)
{
    allocations += (unsigned long)counting;
    return __libc_realloc(p, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    allocations += (unsigned long)counting;
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    allocations += (unsigned long)counting;
    *out = __libc_memalign(alignment, size);
    return *out ? 0 : APR_ENOMEM;
}

typedef struct hits_t {
    vfs_t *cache;
    vfs_file_t *file;
    char *buf;
} hits_t;

static void read_small(hits_t *h)
{
    size_t got;
    BENCH_OK(vfs_read_at(h->file, NULL, h->buf, 4096, 8192, &got));
}

static void read_large(hits_t *h)
{
    size_t got;
    BENCH_OK(vfs_read_at(h->file, NULL, h->buf, 1u << 20, 0, &got));
}

static void read_pieces(hits_t *h)
{
    vfs_iovec_t iov[2] = {{h->buf, 1000}, {h->buf + 5000, 3000}};
    size_t got;
    BENCH_OK(vfs_readv_at(h->file, NULL, iov, 2, 4096, &got));
}

static void read_cursor(hits_t *h)
{
    size_t got;
    BENCH_OK(vfs_seek(h->file, NULL, 0, VFS_SEEK_SET, NULL));
    BENCH_OK(vfs_read(h->file, NULL, h->buf, 4096, &got));
}

static void know_attributes(hits_t *h)
{
    vfs_attr_t attr;
    BENCH_OK(vfs_stat(h->cache, NULL, "/a/file", &attr));
    BENCH_OK(vfs_fstat(h->file, NULL, &attr));
    BENCH_CHECK(APR_STATUS_IS_ENOENT(vfs_stat(h->cache, NULL, "/a/nothing", &attr)));
}

static void open_read_close(hits_t *h)
{
    size_t got;
    vfs_file_t *f = bench_open(h->cache, "/a/file", VFS_O_READ);
    BENCH_OK(vfs_read_at(f, NULL, h->buf, 4096, 0, &got));
    BENCH_OK(vfs_close(f, NULL));
}

static void borrow(hits_t *h)
{
    cachefs_ref_t *ref;
    vfs_iovec_t iov[4];
    size_t count = 4, got;
    BENCH_OK(cachefs_read_ref(&ref, h->file, NULL, 4096, 0, iov, &count, &got));
    cachefs_ref_release(ref);
}

static const struct {
    const char *name;
    void (*hit)(hits_t *h);
    int borrows;
} hits[] = {{"read of 4 KiB", read_small, 0},
            {"read of 1 MiB", read_large, 0},
            {"read into pieces", read_pieces, 0},
            {"read at the cursor", read_cursor, 0},
            {"stat, fstat, stat of nothing", know_attributes, 0},
            {"open, read, close", open_read_close, 0},
            {"borrowed read", borrow, 1}};

/* How many allocations so many hits made; the first are free to set things up. */
static unsigned long allocations_of(hits_t *h, void (*hit)(hits_t *h))
{
    for (unsigned i = 0; i < TIMES; i++)
        hit(h);
    allocations = 0;
    counting = 1;
    for (unsigned i = 0; i < TIMES; i++)
        hit(h);
    counting = 0;
    return allocations;
}

int main(int argc, char **argv)
{
    const char *keys[] = {"ram", "64m", "readahead", "0", NULL};
    int borrows = argc > 1 && !strcmp(argv[1], "borrow"), failed = 0;
    bench_world_t w;
    cachefs_stats_t before, after;
    BENCH_OK(apr_initialize());
    bench_world_mem(&w, keys);
    BENCH_OK(vfs_mkdir(w.lower, NULL, "/a", 0755));
    bench_file(w.lower, "/a/file", 1u << 20, 0);
    hits_t h = {w.cache, bench_open(w.cache, "/a/file", VFS_O_READ), malloc(1u << 20)};
    BENCH_CHECK(h.buf != NULL);
    counting = 1;
    allocations = 0;
    void *volatile one = malloc(1);
    free(one);
    BENCH_CHECK(allocations == 1); /* else the count below would mean nothing */
    counting = 0;
    read_large(&h);
    bench_stats(&w, &before);
    for (size_t i = 0; i < sizeof(hits) / sizeof(hits[0]); i++) {
        if (hits[i].borrows != borrows) continue;
        unsigned long n = allocations_of(&h, hits[i].hit);
        if (n) printf("%s: %lu allocations in %u hits\n", hits[i].name, n, TIMES);
        failed |= n != 0;
    }
    bench_stats(&w, &after);
    BENCH_CHECK(after.misses == before.misses && after.hits > before.hits);
    free(h.buf);
    BENCH_OK(vfs_close(h.file, NULL));
    bench_world_end(&w);
    return failed;
}
