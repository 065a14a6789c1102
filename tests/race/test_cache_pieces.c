/*
 * test_cache_pieces.c - reads and writes of several buffers that meet within a block: a write shows
 * in all of a block or in nothing of it.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/race/support_race.h"
#include "vfs/vfs_ops.h"

#define BLOCK 4096u /* of content; the cache has its own, and these are whole in it */
#define BLOCKS 12u
#define READERS 2u
#define WRITERS 2u

static struct {
    race_t r;
    vfs_file_t *file;
    atomic_uint reads, writes, ended;
    int64_t end_ms;
} all;

/* Cut [0, len) into pieces anywhere. */
static size_t cut(vfs_iovec_t *iov, size_t max, char *buf, size_t len, uint32_t *state)
{
    size_t count = 0, at = 0;
    while (at < len) {
        size_t n = 1 + race_random(state) % (len / 3);
        if (n > len - at || count + 1 == max) n = len - at;
        iov[count++] = (vfs_iovec_t){buf + at, n};
        at += n;
    }
    return count;
}

static void write_blocks(unsigned i)
{
    char *buf = malloc(BLOCKS * BLOCK);
    uint32_t state = 77 + i;
    vfs_iovec_t iov[8];
    for (uint32_t seq = 1; race_go_on(all.end_ms, atomic_load(&all.writes) > 200); seq++) {
        unsigned first = race_random(&state) % BLOCKS, count = 1 + race_random(&state) % 4;
        size_t written;
        if (count > BLOCKS - first) count = BLOCKS - first;
        for (unsigned k = 0; k < count; k++)
            race_fill(buf + (size_t)k * BLOCK, BLOCK, 1, first + k, seq * WRITERS + i);
        size_t n = cut(iov, 8, buf, (size_t)count * BLOCK, &state);
        CHECK_OK(vfs_writev_at(all.file, NULL, iov, n, (apr_off_t)first * BLOCK, &written, NULL));
        CHECK(written == (size_t)count * BLOCK);
        if (seq % 16 == 0) CHECK_OK(vfs_flush(all.file, NULL));
        if (seq % 32 == 0) CHECK_OK(cachefs_clear(all.r.cache, NULL));
        atomic_fetch_add(&all.writes, 1);
    }
    free(buf);
}

static void read_blocks(unsigned i)
{
    char *buf = malloc(BLOCKS * BLOCK);
    uint32_t state = 7 + i;
    vfs_iovec_t iov[8];
    while (race_go_on(all.end_ms, atomic_load(&all.reads) > 200)) {
        unsigned first = race_random(&state) % BLOCKS, count = 1 + race_random(&state) % 4;
        size_t got;
        vfs_validator_t val;
        if (count > BLOCKS - first) count = BLOCKS - first;
        size_t n = cut(iov, 8, buf, (size_t)count * BLOCK, &state);
        if (race_random(&state) % 2)
            CHECK_OK(vfs_readv_at(all.file, NULL, iov, n, (apr_off_t)first * BLOCK, &got));
        else
            CHECK_OK(vfs_call_fetch(all.file, NULL, iov, n, (apr_off_t)first * BLOCK, &got, &val));
        CHECK(got == (size_t)count * BLOCK);
        for (unsigned k = 0; k < count; k++)
            (void)race_seq(buf + (size_t)k * BLOCK, BLOCK, 1, first + k, "pieces");
        atomic_fetch_add(&all.reads, 1);
    }
    free(buf);
}

static void work(void *baton, unsigned i)
{
    (void)baton;
    i < WRITERS ? write_blocks(i) : read_blocks(i);
}

int main(void)
{
    static const char *const keys[] = {
        "mode=back,ram=4m,flush_interval=10ms", "mode=through,ram=4m",
        "mode=back,ram=1m,entries_max=64,dirty_max=128k", "mode=around,ram=4m"};
    race_begin();
    for (size_t k = 0; k < sizeof(keys) / sizeof(keys[0]); k++) {
        race_open(&all.r, keys[k], 0);
        race_make(all.r.mem, "/f", 1, BLOCKS, BLOCK, 0);
        all.file = race_file(all.r.cache, "/f", VFS_O_READ | VFS_O_WRITE);
        atomic_store(&all.reads, 0);
        atomic_store(&all.writes, 0);
        all.end_ms = race_now_ms() + 400;
        race_run(READERS + WRITERS, work, NULL);
        CHECK_OK(vfs_close(all.file, NULL));
        race_close(&all.r);
    }
    return 0;
}
