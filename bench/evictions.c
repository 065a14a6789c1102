/*
 * evictions.c - a block comes in and another goes, at a full cache, for every policy and from small
 * to large caches: time must not follow the number of blocks. Floor 4, private to bench/.
 */
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"
#include "cachefs/policy.h"

#define BLOCK 4096u
#define AT_ONCE 4u
#define SMALLEST 1000u
#define STRIDE (64u * BLOCK) /* never straight on */
#define HUGE_FILE (1ull << 43)

typedef struct passing_t {
    vfs_file_t *file;
    unsigned char *buf;
    uint64_t at;
} passing_t;

/* n blocks that were never seen come in, AT_ONCE with one read: a miss moves no less. */
static void read_new(void *baton, uint64_t n)
{
    passing_t *p = baton;
    for (uint64_t i = 0; i < n; i += AT_ONCE) {
        size_t got;
        apr_status_t st =
            vfs_read_at(p->file, NULL, p->buf, AT_ONCE * BLOCK, (apr_off_t)p->at, &got);
        if (st || got != AT_ONCE * BLOCK) bench_die(__FILE__, __LINE__, "a short read", st);
        p->at += STRIDE;
    }
}

typedef struct full_t {
    bench_world_t w;
    passing_t p;
} full_t;

/* What is read is new, but for what opening brought. */
static void premise(const cachefs_stats_t *s)
{
    BENCH_CHECK(s->hits <= 1 && s->misses > s->hits);
}

static void make_full(full_t *f, const char *policy, uint64_t blocks)
{
    char ram[32], entries[32];
    const uint64_t mib = blocks * (BLOCK + 512) / (1u << 20) + 8;
    (void)snprintf(ram, sizeof(ram), "%llum", (unsigned long long)mib);
    (void)snprintf(entries, sizeof(entries), "%llu", (unsigned long long)blocks);
    /* one shard up to a thousand blocks, so that it has as many as it is said to have */
    const char *keys[] = {"ram",         ram,     "policy", policy,
                          "block_size",  "4k",    "shards", blocks > SMALLEST ? "32" : "1",
                          "entries_max", entries, NULL};
    bench_world_mem(&f->w, keys);
    bench_file(f->w.lower, "/new", HUGE_FILE, 1);
    f->p = (passing_t){bench_open(f->w.cache, "/new", VFS_O_READ), bench_memory(1u << 20), 0};
    read_new(&f->p, blocks + blocks / 8);
    cachefs_stats_t s;
    bench_stats(&f->w, &s);
    BENCH_CHECK(s.evictions > 0);
    premise(&s);
    BENCH_CHECK(s.blocks <= blocks && s.blocks * 10 >= blocks * 9);
}

static void end_full(full_t *f)
{
    cachefs_stats_t s;
    bench_stats(&f->w, &s);
    premise(&s);
    BENCH_OK(vfs_close(f->p.file, NULL));
    bench_world_end(&f->w);
}

/* Tenfold, and the most at last. */
static uint64_t next_size(uint64_t blocks)
{
    const uint64_t most = bench_opt.blocks_max;
    return blocks < most && blocks * 10 > most ? most : blocks * 10;
}

void bench_evictions(void)
{
    const cachefs_policy_ops_t *ops;
    if (!bench_wanted("evict")) return;
    for (size_t i = 0; (ops = cachefs_policy_at(i)); i++) {
        full_t small = {.p = {0}};
        const uint64_t first = bench_opt.count ? SMALLEST : SMALLEST * 10;
        for (uint64_t blocks = first; blocks <= bench_opt.blocks_max; blocks = next_size(blocks)) {
            char id[100];
            (void)snprintf(id, sizeof(id), "evict/%s/%llu/t1", ops->name,
                           (unsigned long long)blocks);
            if (!bench_wanted(id)) continue;
            full_t large;
            make_full(&large, ops->name, blocks);
            if (!small.p.file && !bench_opt.count) make_full(&small, ops->name, SMALLEST);
            bench_run(&(bench_case_t){.id = id,
                                      .ours = read_new,
                                      .baton = &large.p,
                                      .peer = "the same at 1,000",
                                      .theirs = read_new,
                                      .peer_baton = &small.p,
                                      .goal_kind = GOAL_AT_MOST,
                                      .goal = 3});
            end_full(&large);
        }
        if (small.p.file) end_full(&small);
    }
}

/* ---- a policy alone */

typedef struct alone_t {
    const cachefs_policy_ops_t *ops;
    apr_pool_t *pool;
    void *state;
    cachefs_policy_node_t *nodes;
    uint64_t *keys, key;
    void *extras;
} alone_t;

static uint64_t key_of(const void *baton, uint32_t entry)
{
    return ((const uint64_t *)baton)[entry];
}

static apr_time_t no_time(void)
{
    return 1;
}

static void insert(alone_t *a, uint32_t entry)
{
    a->keys[entry] = ++a->key * 0x9e3779b97f4a7c15u;
    a->ops->insert(a->state, entry, a->keys[entry], BLOCK);
}

/* Somebody goes, and a new one comes into its place. */
static void replace(void *baton, uint64_t n)
{
    alone_t *a = baton;
    for (uint64_t i = 0; i < n; i++) {
        uint32_t entry = a->ops->victim(a->state);
        if (entry == CACHEFS_POLICY_NONE) bench_die(__FILE__, __LINE__, "no victim", 0);
        insert(a, entry);
    }
}

static void make_alone(alone_t *a, const cachefs_policy_ops_t *ops, uint64_t entries)
{
    *a = (alone_t){.ops = ops};
    BENCH_OK(apr_pool_create(&a->pool, NULL));
    a->nodes = calloc(entries + 1, sizeof(*a->nodes));
    a->keys = calloc(entries + 1, sizeof(*a->keys));
    a->extras = calloc(entries + 1, ops->entry_bytes + 1u);
    BENCH_CHECK(a->nodes && a->keys && a->extras);
    cachefs_policy_config_t config = {.size = sizeof(config),
                                      .entries_max = (uint32_t)entries + 1,
                                      .capacity_bytes = entries * BLOCK,
                                      .ttl_us = 300000000,
                                      .now = no_time,
                                      .nodes = a->nodes,
                                      .entries_hint = entries,
                                      .key_of = key_of,
                                      .key_baton = a->keys,
                                      .extras = a->extras};
    BENCH_OK(ops->create(&a->state, &config, a->pool));
    for (uint32_t i = 1; i <= entries; i++)
        insert(a, i);
    replace(a, entries + entries / 8); /* ghosts and sketches are full too */
}

static void end_alone(alone_t *a)
{
    apr_pool_destroy(a->pool);
    free(a->nodes);
    free(a->keys);
    free(a->extras);
}

void bench_policies(void)
{
    const cachefs_policy_ops_t *ops;
    if (!bench_wanted("policy")) return;
    for (size_t i = 0; (ops = cachefs_policy_at(i)); i++) {
        alone_t small = {.ops = NULL};
        for (uint64_t entries = SMALLEST; entries <= bench_opt.entries_max; entries *= 100) {
            char id[100];
            (void)snprintf(id, sizeof(id), "policy/%s/%llu/t1", ops->name,
                           (unsigned long long)entries);
            if (!bench_wanted(id)) continue;
            alone_t large;
            make_alone(&large, ops, entries);
            if (!small.ops) make_alone(&small, ops, SMALLEST);
            bench_run(&(bench_case_t){.id = id,
                                      .ours = replace,
                                      .baton = &large,
                                      .peer = "the same at 1,000",
                                      .theirs = replace,
                                      .peer_baton = &small});
            end_alone(&large);
        }
        if (small.ops) end_alone(&small);
    }
}
