/* test_tier_promote.c - a cache over a store: which read of bytes there brings them into memory. */
#include <stdlib.h>

#include "cachefs/engine.h"
#include "tests/store/support_store.h"

#define KIB 1024u
#define LEN (256 * KIB)

static disk_t disk;
static vfs_t *origin, *count, *fs;
static vfs_file_t *file;
static cachefs_config_t config;
static char content[LEN];

static cachefs_stats_t stats(void)
{
    cachefs_stats_t s = {.size = sizeof(s)};
    OK(cachefs_stats(fs, &s));
    return s;
}

static uint64_t unpromoted(void)
{
    return cachefs__counter(&cachefs__of(fs)->counters, CNT_L2_UNPROMOTED);
}

static void begin(void)
{
    OK(cachefs_create(&fs, count, &config, NULL, 0, disk.pool));
    OK(vfs_open(&file, fs, NULL, "/f", VFS_O_READ, 0, NULL, NULL));
}

static void end(void)
{
    OK(vfs_close(file, NULL));
    OK(vfs_destroy(fs));
}

static void check(const vfs_ctx_t *ctx, uint64_t off, size_t len)
{
    static char buf[LEN];
    size_t got;
    OK(vfs_read_at(file, ctx, buf, len, (apr_off_t)off, &got));
    EQ(got, len);
    CHECK(!memcmp(buf, content + off, len));
}

static uint64_t moved(void)
{
    vfs_counts_t counts;
    vfs_count_get(count, &counts);
    return counts.bytes_read;
}

/* Read until the store has it all: it takes what is old enough, as far as it has room just then. A
 * restart begins to count reads anew. */
static void fill(void)
{
    do {
        end();
        apr_sleep(20000);
        begin();
        vfs_count_reset(count);
        for (uint64_t at = 0; at < LEN; at += 64 * KIB) {
            check(NULL, at, 64 * KIB);
            cachefs__l2_drain(cachefs__of(fs)->l2);
        }
    } while (moved() > 0);
    end();
    begin();
}

static void setup(void)
{
    static const cachefs_config_t defaults = CACHEFS_CONFIG_INIT;
    disk_open(&disk, 0);
    OK(vfs_mem_create(&origin, 0, disk.pool));
    OK(vfs_count_create(&count, origin, disk.pool));
    for (unsigned i = 0; i < LEN; i++)
        content[i] = (char)(i * 2654435761u >> 11 ^ i);
    OK(vfs_write_file(origin, NULL, "/f", content, LEN, 0644));
    OK(vfs_utimens(origin, NULL, "/f", VFS_TIME_OMIT, 1000000007, 0));
    config = defaults;
    config.ram_bytes = 4u << 20;
    config.block_bytes = 16 * KIB;
    config.get_bytes = 0;
    config.readahead_bytes = 0;
    config.store = disk.fs;
    config.store_bytes = 16u << 20;
    config.store_free_min = 1;
    config.l2_promote = 3;
    begin();
}

static void teardown(void)
{
    end();
    OK(vfs_destroy_stack(count));
    disk_close(&disk);
}

TestSuite(store_tier_promote, .init = setup, .fini = teardown);

Test(store_tier_promote, the_third_read_brings_bytes_into_memory_and_all_are_right)
{
    fill();
    uint64_t blocks = stats().blocks;
    for (unsigned i = 1; i <= 2; i++) {
        check(NULL, 0, 64 * KIB);
        EQ(stats().blocks, blocks);
        EQ(unpromoted(), i);
    }
    check(NULL, 0, 64 * KIB);
    EQ(stats().blocks, blocks + 4);
    uint64_t hits = stats().l2_hits;
    check(NULL, 0, 64 * KIB); /* a hit in memory */
    EQ(stats().l2_hits, hits);
    check(NULL, 64 * KIB, 64 * KIB); /* others count for themselves */
    EQ(stats().blocks, blocks + 4);
    EQ(moved(), 0);
}

Test(store_tier_promote, any_piece_and_any_length_is_right)
{
    static const uint64_t offs[] = {0, 1, 4095, 16 * KIB - 1, 64 * KIB - 7, 100000, LEN - 9};
    static const size_t lens[] = {1, 9, 4096, 20000, 70000, 150 * KIB};
    fill();
    for (unsigned i = 0; i < 7; i++)
        for (unsigned j = 0; j < 6; j++)
            if (offs[i] + lens[j] <= LEN) check(NULL, offs[i], lens[j]);
    CHECK(unpromoted() > 0);
    EQ(moved(), 0);
    EQ(stats().l2_bad, 0);
}

Test(store_tier_promote, what_is_brought_on_purpose_is_in_memory_at_once)
{
    vfs_ctx_t high = VFS_CTX_INIT;
    uint64_t bytes, fetched;
    high.priority = VFS_PRIORITY_HIGH;
    fill();
    uint64_t blocks = stats().blocks;
    check(&high, 0, 64 * KIB);
    EQ(stats().blocks, blocks + 4);
    OK(cachefs_prefetch_path(fs, NULL, "/f", &bytes, &fetched));
    EQ(stats().blocks, blocks + 16);
    EQ(unpromoted(), 0);
    EQ(moved(), 0);
}

Test(store_tier_promote, by_default_the_first_read_brings_them)
{
    config.l2_promote = 1;
    fill();
    uint64_t blocks = stats().blocks;
    check(NULL, 0, 64 * KIB);
    EQ(stats().blocks, blocks + 4);
    EQ(unpromoted(), 0);
}
