/*
 * test_cache_evict.c - readers while everything leaves the cache at once: never a foreign byte, and
 * borrowed bytes stay as they are. A plain program, for ThreadSanitizer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/race/support_race.h"

#define FILES 8u
#define BLOCK 4096u
#define BLOCKS 128u /* of a file: 4 MiB in all, four times the cache */

typedef struct evict_t {
    race_t r;
    int64_t end_ms;
    unsigned rounds;
    atomic_uint done, limited;
} evict_t;

static void path_of(char *path, unsigned file)
{
    sprintf(path, "/file%u", file);
}

static void make_files(vfs_t *fs)
{
    char path[16];
    for (unsigned f = 0; f < FILES; f++) {
        path_of(path, f);
        race_make(fs, path, f, BLOCKS, BLOCK, 1);
    }
}

/* ---- eviction */

/* A read that begins and ends anywhere: each of its blocks is the right one. */
static void read_anywhere(vfs_file_t *f, unsigned file, char *buf, size_t room, uint32_t *rnd)
{
    size_t off = race_random(rnd) % (BLOCK * BLOCKS / 8 - 1) * 8;
    size_t len = (race_random(rnd) % (room / 8) + 1) * 8;
    if (off + len > BLOCK * BLOCKS) len = BLOCK * BLOCKS - off;
    race_read(f, buf, len, (apr_off_t)off);
    for (size_t at = 0; at < len;) {
        unsigned block = (unsigned)((off + at) / BLOCK);
        size_t n = BLOCK - (off + at) % BLOCK;
        if (n > len - at) n = len - at;
        CHECK(race_seq(buf + at, n, file, block, "evicted block") == 1);
        at += n;
    }
}

static void evict_reader(void *baton, unsigned me)
{
    evict_t *e = baton;
    size_t room = 48u << 10;
    char path[16], *buf = malloc(room);
    uint32_t rnd = me * 77 + 5;
    vfs_file_t *f[FILES];
    CHECK(buf != NULL);
    for (unsigned i = 0; i < FILES; i++) {
        path_of(path, i);
        f[i] = race_file(e->r.cache, path, VFS_O_READ);
    }
    for (unsigned k = 0; k < e->rounds && race_go_on(e->end_ms, k > 200); k++) {
        unsigned i = race_random(&rnd) % FILES;
        read_anywhere(f[i], i, buf, k % 4 ? BLOCK : room, &rnd);
        if (k % 16 == 0) { /* names take memory too */
            char absent[64];
            snprintf(absent, sizeof(absent), "/absent-%u-%u", me, race_random(&rnd) % 500);
            CHECK_ST(vfs_access(e->r.cache, NULL, absent, VFS_ACCESS_EXIST),
                     APR_FROM_OS_ERROR(ENOENT));
        }
        atomic_fetch_add(&e->done, 1);
    }
    for (unsigned i = 0; i < FILES; i++)
        CHECK_OK(vfs_close(f[i], NULL));
    free(buf);
}

static void readers_against_eviction(const char *keys)
{
    evict_t e = {.rounds = 4000};
    cachefs_stats_t stats = {.size = sizeof(stats)};
    race_open(&e.r, NULL, 0);
    make_files(e.r.mem);
    race_cache(&e.r, keys);
    e.end_ms = race_now_ms() + 1500;
    race_run(4, evict_reader, &e);
    CHECK_OK(cachefs_stats(e.r.cache, &stats));
    CHECK(stats.evictions > 100);
    CHECK(stats.resident_bytes <= 1u << 20);
    CHECK(stats.open_handles == 0 && stats.pinned_bytes == 0);
    race_close(&e.r);
}

/* ---- borrowed bytes */

static atomic_int over;

static void borrow_some(evict_t *e, vfs_file_t *f, uint32_t *rnd, char *copy)
{
    vfs_iovec_t iov[4];
    size_t count = 4, got = 0, at = 0;
    unsigned block = race_random(rnd) % (BLOCKS - 4);
    cachefs_ref_t *ref = NULL;
    apr_status_t st =
        cachefs_read_ref(&ref, f, NULL, 4 * BLOCK, (apr_off_t)block * BLOCK, iov, &count, &got);
    if (st == VFS_ELIMIT) {
        atomic_fetch_add(&e->limited, 1);
        return;
    }
    CHECK_OK(st);
    CHECK(got > 0 && count > 0 && got % 8 == 0);
    for (size_t i = 0; i < count; i++) {
        memcpy(copy + at, iov[i].base, iov[i].len);
        at += iov[i].len;
    }
    CHECK(at == got);
    for (size_t b = 0; b + BLOCK <= got; b += BLOCK)
        (void)race_seq(copy + b, BLOCK, 0, block + (unsigned)(b / BLOCK), "borrowed block");
    race_sleep_us(race_random(rnd) % 2000);
    at = 0;
    for (size_t i = 0; i < count; i++) { /* nobody changed them since */
        CHECK(memcmp(copy + at, iov[i].base, iov[i].len) == 0);
        at += iov[i].len;
    }
    cachefs_ref_release(ref);
    atomic_fetch_add(&e->done, 1);
}

static void borrow_thread(void *baton, unsigned me)
{
    evict_t *e = baton;
    uint32_t rnd = me + 9;
    char path[16], *buf = malloc(4 * BLOCK);
    CHECK(buf != NULL);
    vfs_file_t *f = race_file(e->r.cache, "/file0", VFS_O_READ | (me == 0 ? VFS_O_WRITE : 0));
    if (me == 0) { /* the writer */
        for (uint32_t seq = 2; race_go_on(e->end_ms, atomic_load(&e->done) > 20); seq++) {
            unsigned block = race_random(&rnd) % BLOCKS;
            race_fill(buf, BLOCK, 0, block, seq);
            race_write(f, buf, BLOCK, (apr_off_t)block * BLOCK);
        }
        atomic_store(&over, 1);
    } else if (me == 1) { /* who pushes everything out */
        for (unsigned k = 0; !atomic_load(&over); k++) {
            unsigned i = 1 + k % (FILES - 1);
            path_of(path, i);
            vfs_file_t *g = race_file(e->r.cache, path, VFS_O_READ);
            for (unsigned n = 0; n < 20; n++)
                read_anywhere(g, i, buf, 4 * BLOCK, &rnd);
            CHECK_OK(vfs_close(g, NULL));
            if (k % 8 == 7) CHECK_OK(cachefs_invalidate(e->r.cache, path, NULL, NULL));
        }
    } else {
        while (!atomic_load(&over))
            borrow_some(e, f, &rnd, buf);
    }
    CHECK_OK(vfs_close(f, NULL));
    free(buf);
}

static void borrowed_bytes_stay(const char *keys)
{
    evict_t e = {.rounds = 0};
    race_open(&e.r, NULL, 0);
    make_files(e.r.mem);
    race_cache(&e.r, keys);
    e.end_ms = race_now_ms() + 1500;
    atomic_store(&over, 0);
    race_run(4, borrow_thread, &e);
    race_all_given_back(&e.r);
    race_close(&e.r);
}

/* While all memory is borrowed a write-through finds none for a copy: what it replaced is not
 * served again. */
static void write_without_memory(void)
{
    race_t r;
    char buf[BLOCK];
    vfs_iovec_t iov[64];
    cachefs_ref_t *refs[BLOCKS] = {NULL};
    race_open(&r, NULL, 0);
    make_files(r.mem);
    race_cache(&r, "mode=through,ram=1m,shards=1,block_size=4k,readahead=0,get_size=4k,"
                   "pin_bytes_max=1m");
    vfs_file_t *f = race_file(r.cache, "/file0", VFS_O_READ | VFS_O_WRITE);
    vfs_file_t *g = race_file(r.cache, "/file1", VFS_O_READ);
    unsigned held = 0;
    for (unsigned b = 0; b < 2 * BLOCKS; b++) {
        size_t count = 64, got = 0;
        cachefs_ref_t *ref = NULL;
        vfs_file_t *from = b < BLOCKS ? f : g;
        if (cachefs_read_ref(&ref, from, NULL, BLOCK, (apr_off_t)(b % BLOCKS) * BLOCK, iov, &count,
                             &got) != APR_SUCCESS)
            continue;
        if (held == BLOCKS) {
            cachefs_ref_release(ref);
            break;
        }
        refs[held++] = ref;
    }
    CHECK(held > 16);
    for (unsigned b = 0; b < BLOCKS; b++) {
        race_fill(buf, BLOCK, 0, b, 2);
        race_write(f, buf, BLOCK, (apr_off_t)b * BLOCK);
    }
    for (unsigned b = 0; b < BLOCKS; b++) {
        race_read(f, buf, BLOCK, (apr_off_t)b * BLOCK);
        CHECK(race_seq(buf, BLOCK, 0, b, "written while all was borrowed") == 2);
    }
    for (unsigned i = 0; i < held; i++)
        cachefs_ref_release(refs[i]);
    CHECK_OK(vfs_close(g, NULL));
    CHECK_OK(vfs_close(f, NULL));
    race_close(&r);
}

int main(void)
{
    race_begin();
    readers_against_eviction("ram=1m,shards=1");
    readers_against_eviction("ram=1m,shards=4,policy=lfu,block_size=4k");
    borrowed_bytes_stay("mode=through,ram=1m,shards=4,block_size=4k");
    borrowed_bytes_stay("mode=back,ram=1m,shards=4,block_size=16k,flush_interval=5ms");
    write_without_memory();
    return 0;
}
