/*
 * test_cache_hot.c - blocks that many threads use at once: a read sees each block wholly before or
 * wholly after a write, and every write that had returned; misses of one block make one read below.
 * A plain program, for ThreadSanitizer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/race/support_race.h"

#define READERS 3u
#define BLOCKS 2u

typedef struct hot_t {
    race_t r;
    size_t block;
    unsigned writes;
    _Atomic uint32_t published[BLOCKS];
    atomic_int over;
    atomic_uint reads;
} hot_t;

static void write_hot(hot_t *h)
{
    vfs_file_t *f = race_file(h->r.cache, "/hot", VFS_O_READ | VFS_O_WRITE);
    char *buf = malloc(h->block);
    CHECK(buf != NULL);
    int64_t end = race_now_ms() + 1200;
    for (uint32_t seq = 2; race_go_on(end, atomic_load(&h->reads) > 0); seq++) {
        if (seq >= h->writes && atomic_load(&h->reads) > 0) break;
        unsigned b = seq % BLOCKS;
        race_fill(buf, h->block, 0, b, seq);
        race_write(f, buf, h->block, (apr_off_t)(b * h->block));
        atomic_store_explicit(&h->published[b], seq, memory_order_release);
    }
    atomic_store(&h->over, 1);
    free(buf);
    CHECK_OK(vfs_close(f, NULL));
}

static void read_hot(hot_t *h, unsigned me)
{
    vfs_file_t *f = race_file(h->r.cache, "/hot", VFS_O_READ);
    char *buf = malloc(h->block);
    uint32_t last[BLOCKS] = {0}, rnd = me + 1;
    CHECK(buf != NULL);
    while (!atomic_load(&h->over)) {
        unsigned b = race_random(&rnd) % BLOCKS;
        uint32_t floor = atomic_load_explicit(&h->published[b], memory_order_acquire);
        if (last[b] > floor) floor = last[b];
        race_read(f, buf, h->block, (apr_off_t)(b * h->block));
        last[b] = race_seq(buf, h->block, 0, b, "hot block");
        CHECK(last[b] >= floor); /* a read after a write sees it, and time does not run back */
        atomic_fetch_add(&h->reads, 1);
    }
    free(buf);
    CHECK_OK(vfs_close(f, NULL));
}

static void hot_thread(void *baton, unsigned i)
{
    if (i == 0)
        write_hot(baton);
    else
        read_hot(baton, i);
}

static void hot_block(const char *keys, size_t block, unsigned writes)
{
    hot_t h = {.block = block, .writes = writes};
    race_open(&h.r, NULL, 0);
    race_make(h.r.mem, "/hot", 0, BLOCKS, block, 1);
    race_cache(&h.r, keys);
    race_run(1 + READERS, hot_thread, &h);
    CHECK(atomic_load(&h.reads) > 0);
    race_end_cache(&h.r);
    /* what was written last is below */
    char *buf = malloc(block);
    vfs_file_t *f = race_file(h.r.mem, "/hot", VFS_O_READ);
    CHECK(buf != NULL);
    for (unsigned b = 0; b < BLOCKS; b++) {
        uint32_t want = atomic_load(&h.published[b]);
        race_read(f, buf, block, (apr_off_t)(b * block));
        CHECK(race_seq(buf, block, 0, b, "below") == (want ? want : 1));
    }
    free(buf);
    CHECK_OK(vfs_close(f, NULL));
    race_close(&h.r);
}

/* ---- a block of which only a part is cached */

#define PART (64u << 10)

static void read_part(void *baton, unsigned i)
{
    hot_t *h = baton;
    vfs_file_t *f = race_file(h->r.cache, "/hot", VFS_O_READ);
    char *buf = malloc(PART);
    CHECK(buf != NULL);
    race_read(f, buf, PART, 0);
    (void)race_seq(buf, PART, 0, 0, "a block that was cached in part");
    CHECK(i == 0);
    free(buf);
    CHECK_OK(vfs_close(f, NULL));
}

static void write_part(void *baton, unsigned i)
{
    hot_t *h = baton;
    vfs_file_t *f = race_file(h->r.cache, "/hot", VFS_O_READ | VFS_O_WRITE);
    char *buf = malloc(PART);
    CHECK(buf != NULL && i == 0);
    race_fill(buf, PART, 0, 0, 2);
    race_write(f, buf, PART, 0);
    free(buf);
    CHECK_OK(vfs_close(f, NULL));
}

/* The first part is cached; the reader comes while a write of all of it is under way below. */
static void part_meets_write(void)
{
    hot_t h = {0};
    char buf[4096];
    race_open(&h.r, NULL, 0);
    race_make(h.r.mem, "/hot", 0, 1, PART, 1);
    race_cache(&h.r, "ram=8m,block_size=64k,get_size=0,readahead=0,attr_ttl=60s");
    vfs_file_t *f = race_file(h.r.cache, "/hot", VFS_O_READ);
    race_read(f, buf, sizeof(buf), 0);
    vfs_fault_t rule = {.what = VFS_FAULT_BLOCK, .times = 1};
    VFS_FAULT_OP(rule, VFS_OPID_write_at);
    VFS_FAULT_OP(rule, VFS_OPID_writev_at);
    CHECK_OK(vfs_fault_add(h.r.fault, &rule));
    race_crew_t *writer = race_start(1, write_part, &h);
    while (!vfs_fault_blocked(h.r.fault))
        race_sleep_us(1000);
    race_crew_t *reader = race_start(1, read_part, &h);
    race_sleep_us(100000);
    vfs_fault_clear(h.r.fault);
    race_join(writer);
    race_join(reader);
    CHECK_OK(vfs_close(f, NULL));
    race_close(&h.r);
}

/* ---- one read below for all who miss */

#define COLD 12u
#define CROWD 4u

typedef struct crowd_t {
    race_t r;
    vfs_file_t *f;
    unsigned block;
} crowd_t;

static void miss(void *baton, unsigned i)
{
    crowd_t *c = baton;
    char buf[16 << 10];
    CHECK(i < CROWD);
    race_read(c->f, buf, sizeof(buf), (apr_off_t)(c->block * sizeof(buf)));
    CHECK(race_seq(buf, sizeof(buf), 0, c->block, "cold block") == 1);
}

static void open_cold(void *baton, unsigned i)
{
    crowd_t *c = baton;
    char path[16], buf[4096];
    CHECK(i < CROWD);
    snprintf(path, sizeof(path), "/small%u", c->block);
    vfs_file_t *f = race_file(c->r.cache, path, VFS_O_READ);
    race_read(f, buf, sizeof(buf), 0);
    CHECK(race_seq(buf, sizeof(buf), 1, 0, path) == 1);
    CHECK_OK(vfs_close(f, NULL));
}

static void one_read_for_all(void)
{
    crowd_t c = {.block = 0};
    char path[16];
    race_open(&c.r, NULL, 0);
    race_make(c.r.mem, "/cold", 0, COLD, 16u << 10, 1);
    for (unsigned i = 0; i < COLD; i++) {
        snprintf(path, sizeof(path), "/small%u", i);
        race_make(c.r.mem, path, 1, 1, 4096, 1);
    }
    race_cache(&c.r, "ram=8m,block_size=16k,get_size=4k,readahead=0,attr_ttl=60s");
    c.f = race_file(c.r.cache, "/cold", VFS_O_READ);
    race_rtt(&c.r, 30000);
    for (c.block = 1; c.block < COLD; c.block++) {
        vfs_count_reset(c.r.count);
        race_run(CROWD, miss, &c);
        CHECK(race_lower_reads(&c.r) == 1);
    }
    for (c.block = 0; c.block < COLD; c.block++) {
        vfs_count_reset(c.r.count);
        race_run(CROWD, open_cold, &c);
        CHECK(race_lower_reads(&c.r) == 1);
    }
    CHECK_OK(vfs_close(c.f, NULL));
    race_close(&c.r);
}

int main(void)
{
    race_begin();
    hot_block("mode=through,ram=8m,block_size=4k", 4096, 20000);
    hot_block("mode=back,ram=8m,block_size=4k,flush_interval=5ms", 4096, 20000);
    hot_block("mode=around,ram=8m,block_size=4k", 4096, 4000);
    hot_block("mode=through,ram=8m,block_size=64k", 64u << 10, 2000);
    hot_block("mode=back,ram=8m,block_size=64k,flush_interval=5ms", 64u << 10, 2000);
    part_meets_write();
    one_read_for_all();
    return 0;
}
