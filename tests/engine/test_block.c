/*
 * test_block.c - the block index: put, copy, cut, drop, granules, dirty and protected blocks.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h readahead=0 get_size=0 "
#define SHIFT 14u

/* An object of a large file, with a version and blocks of 16 KiB, none of them there. */
typedef struct one_t {
    rig_t rig;
    obj_t *o;
    uint64_t ver;
} one_t;

static void one_open(one_t *t, const char *keys)
{
    vfs_file_t *f;

    rig_open(&t->rig, keys);
    f = rig_file(t->rig.bottom, "/f", RIG_C);
    OK(vfs_ftruncate(f, NULL, 64 << 20));
    OK(vfs_close(f, NULL));
    t->o = rig_obj(&t->rig, "/f");
    vfs_path_t name = rig_path("/f");
    cachefs__obj_set_name(t->rig.c, t->o, &name);
    atomic_store(&t->o->shift, SHIFT);
    t->ver = atomic_load(&t->o->ver);
    CHECK(t->ver != 0);
}

static void one_close(one_t *t)
{
    cachefs__obj_put(t->rig.c, t->o);
    rig_close(&t->rig);
}

static apr_status_t put(one_t *t, uint32_t no, uint32_t from, uint32_t to, const void *bytes,
                        uint32_t end)
{
    cachefs__put_t p = {.ver = t->ver, .no = no, .shift = SHIFT, .from = from, .to = to};
    p.bytes = bytes;
    p.valid = cachefs__granules(SHIFT, from, to);
    p.end = end;
    return cachefs__block_put(t->rig.c, t->o, &p);
}

static int copy(one_t *t, uint32_t no, uint32_t from, uint32_t n, void *buf)
{
    return cachefs__block_copy(t->rig.c, t->ver, no, SHIFT, from, n, buf);
}

Test(block, granules_cover_exactly_the_bytes)
{
    EQ(cachefs__granules(14, 0, 0), 0);
    EQ(cachefs__granules(14, 0, 1), 1);
    EQ(cachefs__granules(14, 0, 4096), 1);
    EQ(cachefs__granules(14, 0, 4097), 3);
    EQ(cachefs__granules(14, 4096, 16384), 0xe);
    EQ(cachefs__granules(16, 0, 65536), 0xffff);
    EQ(cachefs__granules(16, 65535, 65536), 0x8000);
    EQ(cachefs__granules(18, 0, 262144), 0xffff); /* of 16 KiB each */
    EQ(cachefs__granules(18, 16383, 16385), 3);
    EQ(cachefs__granules(14, 100, 50), 0);
}

Test(block, what_was_put_is_copied_and_nothing_else)
{
    one_t t;
    char *data = rig_bytes(16384, 1), buf[16384];

    one_open(&t, LONG);
    EQ(copy(&t, 5, 0, 1, buf), 0);
    OK(put(&t, 5, 4096, 8192, data + 4096, 16384));
    EQ(copy(&t, 5, 4096, 4096, buf), 1);
    CHECK(memcmp(buf, data + 4096, 4096) == 0);
    EQ(copy(&t, 5, 5000, 100, buf), 1);
    CHECK(memcmp(buf, data + 5000, 100) == 0);
    EQ(copy(&t, 5, 4095, 2, buf), 0); /* granules that are not valid */
    EQ(copy(&t, 5, 8191, 2, buf), 0);
    EQ(copy(&t, 6, 4096, 1, buf), 0); /* another number, another version */
    EQ(cachefs__block_copy(t.rig.c, t.ver + (1ull << 32), 5, SHIFT, 4096, 1, buf), 0);
    EQ(cachefs__valid_mask(t.rig.c, t.ver, 5, NULL), 2);
    OK(put(&t, 5, 0, 4096, data, 16384));
    OK(put(&t, 5, 8192, 16384, data + 8192, 16384));
    EQ(copy(&t, 5, 0, 16384, buf), 1);
    CHECK(memcmp(buf, data, 16384) == 0);
    EQ(rig_stats(&t.rig).blocks, 1);
    EQ(atomic_load(&t.o->resident), 16384);
    free(data);
    one_close(&t);
}

/* What is whole from the beginning on is noted apart, for hits: it never says more than the
 * granules. */
Test(block, a_copy_comes_of_exactly_the_granules_that_are_valid)
{
    one_t t;
    char *data = rig_bytes(16384, 1), buf[16384];

    one_open(&t, LONG);
    for (uint32_t valid = 1; valid < 16; valid++) {
        for (uint32_t g = 0; g < 4; g++)
            if (valid & 1u << g)
                OK(put(&t, valid, g * 4096, g * 4096 + 4096, data + g * 4096, 16384));
        for (uint32_t cut = 0; cut < 5; cut++) { /* from the last granule on; then all over again */
            uint32_t left = cut ? valid & ((1u << (4 - cut)) - 1) : valid;
            if (cut) cachefs__block_cut(t.rig.c, t.ver, valid, SHIFT, (4 - cut) * 4096, 16384, 0);
            for (uint32_t from = 0; from < 4; from++)
                for (uint32_t to = from + 1; to <= 4; to++) {
                    uint32_t want = (1u << to) - (1u << from);
                    EQ(copy(&t, valid, from * 4096, (to - from) * 4096, buf),
                       (left & want) == want);
                }
        }
        OK(put(&t, valid, 0, 4096, data, 16384));
        EQ(copy(&t, valid, 0, 4096, buf), 1);
        EQ(copy(&t, valid, 0, 4097, buf), 0);
    }
    free(data);
    one_close(&t);
}

Test(block, a_fill_leaves_granules_that_are_valid)
{
    one_t t;
    char *old = rig_bytes(16384, 1), *data = rig_bytes(16384, 2), buf[16384];

    one_open(&t, LONG);
    OK(put(&t, 0, 4096, 8192, data + 4096, 16384));
    cachefs__put_t p = {.ver = t.ver, .shift = SHIFT, .to = 16384, .bytes = old, .end = 16384};
    p.valid = 0xf;
    p.only_missing = 1;
    OK(cachefs__block_put(t.rig.c, t.o, &p));
    EQ(copy(&t, 0, 0, 16384, buf), 1);
    memcpy(old + 4096, data + 4096, 4096);
    CHECK(memcmp(buf, old, 16384) == 0);
    p.only_missing = 0; /* a write does not */
    p.bytes = data;
    OK(cachefs__block_put(t.rig.c, t.o, &p));
    EQ(copy(&t, 0, 0, 16384, buf), 1);
    CHECK(memcmp(buf, data, 16384) == 0);
    free(data);
    free(old);
    one_close(&t);
}

Test(block, a_small_end_takes_small_memory_and_moves_when_it_grows)
{
    one_t t;
    char *data = rig_bytes(16384, 1), buf[16384];
    static const uint32_t ends[] = {19, 100, 1024, 1025, 4096, 9000, 16384};
    static const uint32_t cost[] = {64, 128, 1024, 4096, 4096, 16384, 16384};

    one_open(&t, LONG);
    for (int i = 0; i < 7; i++) {
        OK(put(&t, 3, 0, ends[i], data, ends[i]));
        EQ(copy(&t, 3, 0, ends[i], buf), 1);
        CHECK(memcmp(buf, data, ends[i]) == 0);
        EQ(atomic_load(&t.o->resident), cost[i]);
        EQ(rig_stats(&t.rig).resident_bytes, cost[i]);
        EQ(rig_stats(&t.rig).blocks, 1);
    }
    EQ(cachefs__block_drop(t.rig.c, t.ver, 3), 1);
    EQ(cachefs__block_drop(t.rig.c, t.ver, 3), 0);
    EQ(rig_stats(&t.rig).resident_bytes, 0);
    EQ(rig_stats(&t.rig).blocks, 0);
    free(data);
    one_close(&t);
}

Test(block, existing_asks_for_a_block_that_is_there)
{
    one_t t;
    char buf[100] = "text";

    one_open(&t, LONG);
    cachefs__put_t p = {.ver = t.ver, .shift = SHIFT, .to = 4, .bytes = "TEXT", .end = 100};
    p.existing = 1;
    IS(APR_NOTFOUND, cachefs__block_put(t.rig.c, t.o, &p));
    EQ(rig_stats(&t.rig).blocks, 0);
    OK(put(&t, 0, 0, 100, buf, 100));
    OK(cachefs__block_put(t.rig.c, t.o, &p));
    EQ(copy(&t, 0, 0, 4, buf), 1);
    CHECK(memcmp(buf, "TEXT", 4) == 0);
    one_close(&t);
}

Test(block, a_chunk_that_is_handed_over_becomes_the_block)
{
    one_t t;
    char *data = rig_bytes(16384, 1), buf[16384];

    one_open(&t, LONG);
    for (int pass = 0; pass < 2; pass++) { /* a new block; then one that is there already */
        uint32_t chunk = cachefs__chunk_get(t.rig.c, 16384, OWNER_PRIVATE | 9, 0, 0);
        memcpy(cachefs__chunk_ptr(&t.rig.c->arena, chunk), data, 16384);
        cachefs__put_t p = {.ver = t.ver, .shift = SHIFT, .to = 16384, .end = 16384, .valid = 0xf};
        p.bytes = cachefs__chunk_ptr(&t.rig.c->arena, chunk);
        p.chunk = chunk;
        OK(cachefs__block_put(t.rig.c, t.o, &p));
        EQ(copy(&t, 0, 0, 16384, buf), 1);
        CHECK(memcmp(buf, data, 16384) == 0);
        EQ(atomic_load(&t.o->resident), 16384);
        memset(data, 'x', 16384);
    }
    free(data);
    one_close(&t);
}

Test(block, a_cut_forgets_granules_or_sets_bytes_to_zero)
{
    one_t t;
    char *data = rig_bytes(16384, 1), buf[16384];

    one_open(&t, LONG);
    OK(put(&t, 0, 0, 16384, data, 16384));
    cachefs__block_cut(t.rig.c, t.ver, 0, SHIFT, 5000, 16384, 1);
    memset(data + 5000, 0, 16384 - 5000);
    EQ(copy(&t, 0, 0, 16384, buf), 1);
    CHECK(memcmp(buf, data, 16384) == 0);
    cachefs__block_cut(t.rig.c, t.ver, 0, SHIFT, 5000, 6000, 0);
    EQ(cachefs__valid_mask(t.rig.c, t.ver, 0, NULL), 0xd);
    EQ(copy(&t, 0, 5000, 1, buf), 0);
    EQ(copy(&t, 0, 0, 4096, buf), 1);
    cachefs__block_cut(t.rig.c, t.ver, 1, SHIFT, 0, 16384, 1); /* not there: nothing */
    EQ(rig_stats(&t.rig).blocks, 1);
    free(data);
    one_close(&t);
}

Test(block, a_dirty_block_is_not_dropped_and_leaves_the_policy)
{
    one_t t;
    char *data = rig_bytes(16384, 1);
    int dirty = 0;

    one_open(&t, LONG "mode=back flush_interval=1h dirty_age=1h");
    OK(put(&t, 0, 0, 16384, data, 16384));
    cachefs__put_t p = {.ver = t.ver, .shift = SHIFT, .to = 4096, .bytes = data, .end = 16384};
    p.valid = 1;
    p.dirty = 1;
    cachefs__obj_lock(t.rig.c, t.o);
    OK(cachefs__block_put(t.rig.c, t.o, &p));
    OK(cachefs__block_put(t.rig.c, t.o, &p)); /* twice is once */
    cachefs__obj_unlock(t.rig.c, t.o);
    EQ(cachefs__valid_mask(t.rig.c, t.ver, 0, &dirty), 0xf);
    EQ(dirty, 1);
    EQ(t.o->dirty_bytes, 4096);
    EQ(rig_stats(&t.rig).dirty_bytes, 4096);
    EQ(rig_stats(&t.rig).dirty_files, 1);
    EQ(cachefs__block_drop(t.rig.c, t.ver, 0), -1);
    while (cachefs__evict_one(t.rig.c, 0)) {
    }
    EQ(cachefs__valid_mask(t.rig.c, t.ver, 0, NULL), 0xf);
    cachefs__version_drop(t.rig.c, t.o, t.ver, 64 << 20, SHIFT);
    EQ(rig_stats(&t.rig).dirty_bytes, 4096);
    OK(cachefs__flush_obj(t.rig.c, t.o, NULL));
    EQ(rig_stats(&t.rig).dirty_bytes, 0);
    EQ(rig_stats(&t.rig).dirty_files, 0);
    (void)cachefs__valid_mask(t.rig.c, t.ver, 0, &dirty);
    EQ(dirty, 0);
    EQ(cachefs__evict_one(t.rig.c, 0), 1); /* clean again, the policy has it */
    free(data);
    one_close(&t);
}

Test(block, a_protected_block_is_not_evicted_until_it_is_not_any_more)
{
    one_t t;
    char *data = rig_bytes(16384, 1);

    one_open(&t, LONG "pin_bytes_max=32k");
    for (uint32_t i = 0; i < 3; i++)
        OK(put(&t, i, 0, 16384, data, 16384));
    OK(cachefs__block_keep(t.rig.c, t.ver, 0, 1));
    OK(cachefs__block_keep(t.rig.c, t.ver, 0, 1)); /* once is enough */
    OK(cachefs__block_keep(t.rig.c, t.ver, 1, 1));
    EQ(rig_stats(&t.rig).pinned_bytes, 32768);
    IS(VFS_ELIMIT, cachefs__block_keep(t.rig.c, t.ver, 2, 1));
    OK(cachefs__block_keep(t.rig.c, t.ver, 99, 1)); /* not there: nothing to protect */
    while (cachefs__evict_one(t.rig.c, 0)) {
    }
    EQ(rig_stats(&t.rig).blocks, 2);
    OK(cachefs__block_keep(t.rig.c, t.ver, 0, 0));
    EQ(rig_stats(&t.rig).pinned_bytes, 16384);
    EQ(cachefs__evict_one(t.rig.c, 0), 1);
    EQ(cachefs__evict_one(t.rig.c, 0), 0);
    EQ(cachefs__block_drop(t.rig.c, t.ver, 1), 1); /* dropped, it is not counted any more */
    EQ(rig_stats(&t.rig).pinned_bytes, 0);
    free(data);
    one_close(&t);
}

Test(block, blocks_of_one_file_are_spread_over_all_shards)
{
    one_t t;
    char *data = rig_bytes(1024, 1);
    uint64_t names[32], blocks[32];

    one_open(&t, LONG "ram=32m");
    for (uint32_t i = 0; i < 3200; i++)
        OK(put(&t, i, 0, 1024, data, 1024));
    OK(cachefs_shard_stats(t.rig.fs, names, blocks, 32));
    for (int i = 0; i < 32; i++)
        CHECK(blocks[i] > 50 && blocks[i] < 200);
    free(data);
    one_close(&t);
}

Test(block, without_room_a_put_says_so_and_loses_nothing)
{
    one_t t;
    char *data = rig_bytes(16384, 1), buf[16384];
    uint32_t kept = 0;

    one_open(&t, LONG "ram=1m pin_bytes_max=1m");
    for (uint32_t i = 0; i < 100; i++) {
        cachefs__put_t p = {.ver = t.ver, .no = i, .shift = SHIFT, .to = 16384, .end = 16384};
        p.bytes = data;
        p.valid = 0xf;
        p.keep = 1;
        if (!cachefs__block_put(t.rig.c, t.o, &p)) kept++;
    }
    CHECK(kept > 20 && kept < 64);
    EQ(rig_stats(&t.rig).blocks, kept);
    IS(VFS_ELIMIT, put(&t, 1000, 0, 16384, data, 16384));
    for (uint32_t i = 0; i < kept; i++) {
        EQ(copy(&t, i, 0, 16384, buf), 1);
        CHECK(memcmp(buf, data, 16384) == 0);
    }
    CHECK(rig_stats(&t.rig).ram_used <= 1u << 20);
    free(data);
    one_close(&t);
}

Test(block, low_priority_takes_free_memory_only)
{
    one_t t;
    char *data = rig_bytes(16384, 1);
    apr_status_t st = APR_SUCCESS;
    uint32_t i = 0;

    one_open(&t, LONG "ram=1m");
    for (; !st && i < 100; i++) {
        cachefs__put_t p = {.ver = t.ver, .no = i, .shift = SHIFT, .to = 16384, .end = 16384};
        p.bytes = data;
        p.valid = 0xf;
        p.low = 1;
        st = cachefs__block_put(t.rig.c, t.o, &p);
    }
    IS(VFS_ELIMIT, st);
    EQ(rig_stats(&t.rig).evictions, 0);
    OK(put(&t, 1000, 0, 16384, data, 16384)); /* others push out */
    CHECK(rig_stats(&t.rig).evictions > 0);
    free(data);
    one_close(&t);
}

static int key_cmp(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;

    return *x < *y ? -1 : *x > *y;
}

/* Policies remember what left by its key: a block of a new file must not look like one of them. */
Test(block, no_two_blocks_of_neighbours_have_one_key)
{
    enum { FILES = 64, BLOCKS = 256 };
    static uint64_t keys[FILES * BLOCKS];

    for (uint64_t f = 0; f < FILES; f++)
        for (uint64_t no = 0; no < BLOCKS; no++)
            keys[f * BLOCKS + no] = cachefs__block_key(1ull << 32 | (f + 1), no);
    qsort(keys, FILES * BLOCKS, sizeof(keys[0]), key_cmp);
    for (size_t i = 1; i < FILES * BLOCKS; i++)
        CHECK(keys[i] != keys[i - 1]);
}
