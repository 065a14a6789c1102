/*
 * test_cache_ahead.c - several threads read a far file here and there, and in order, through memory
 * that holds a part of it, while it is written and invalidated: every block is whole and its own.
 */

#include "tests/race/support_race.h"

#define BLOCK 4096u
#define BLOCKS 4096u
#define RTT_US 300u

typedef struct ahead_t {
    race_t r;
    int64_t end_ms;
} ahead_t;

static void reader(vfs_file_t *f, uint32_t *rnd, unsigned n)
{
    char buf[4 * BLOCK];
    unsigned at = race_random(rnd) % (BLOCKS - 4);
    for (unsigned i = 0; i < n; i++) {
        race_read(f, buf, sizeof(buf), (apr_off_t)at * BLOCK);
        for (unsigned b = 0; b < 4; b++)
            (void)race_seq(buf + (size_t)b * BLOCK, BLOCK, 0, at + b, "read");
        at = i % 2 && at + 8 < BLOCKS ? at + 4 : race_random(rnd) % (BLOCKS - 4);
    }
}

static void work(void *baton, unsigned i)
{
    ahead_t *a = baton;
    uint32_t rnd = i + 1, seq = 1;
    char buf[BLOCK];
    for (int rounds = 0; race_go_on(a->end_ms, rounds > 20); rounds++) {
        vfs_file_t *f = race_file(a->r.cache, "/f", VFS_O_READ | (i == 3 ? VFS_O_WRITE : 0));
        if (i < 3) reader(f, &rnd, 30);
        for (unsigned k = 0; i == 3 && k < 4; k++) {
            unsigned b = race_random(&rnd) % BLOCKS;
            race_fill(buf, BLOCK, 0, b, ++seq);
            race_write(f, buf, BLOCK, (apr_off_t)b * BLOCK);
        }
        CHECK_OK(vfs_close(f, NULL));
        if (i == 3) CHECK_OK(cachefs_invalidate(a->r.cache, "/f", NULL, NULL));
    }
}

int main(void)
{
    ahead_t a = {.end_ms = 0};
    race_begin();
    race_open(&a.r, NULL, RTT_US); /* the cache takes a lower layer with round trips for far */
    race_make(a.r.mem, "/f", 0, BLOCKS, BLOCK, 1);
    race_cache(&a.r, "mode=through,ram=8m,get_size=0,readahead=2m,attr_ttl=60s");
    a.end_ms = race_now_ms() + 2000;
    race_run(4, work, &a);
    cachefs_stats_t s = {.size = sizeof(s)};
    CHECK_OK(cachefs_stats(a.r.cache, &s));
    CHECK(s.readahead_bytes > 0);
    race_all_given_back(&a.r);
    race_close(&a.r);
    return 0;
}
