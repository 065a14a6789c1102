/*
 * memory.c - what an index entry costs, and whether the limit of memory holds.
 * Floor 4, private to bench/.
 */
#include <stdlib.h>
#include <string.h>

#include "bench/bench.h"

#define BLOCK 4096u
#define MIB (1u << 20)
#define NAMES 50000u

/* So many bytes, by so many at once, every stride bytes. Returns where it ended. */
static uint64_t read_over(vfs_file_t *f, unsigned char *buf, size_t len, uint64_t from,
                          uint64_t bytes, uint64_t stride)
{
    for (uint64_t done = 0; done < bytes; done += len, from += stride) {
        size_t got;
        BENCH_OK(vfs_read_at(f, NULL, buf, len, (apr_off_t)from, &got));
        BENCH_CHECK(got == len);
    }
    return from;
}

/* All of `ram` that is not payload, by block, when the cache is full of blocks of 4 KiB. */
static void per_block(void)
{
    const char *keys[] = {"ram", "256m", "block_size", "4k", NULL};
    bench_world_t w;
    cachefs_stats_t s;
    unsigned char *buf = bench_memory(MIB);
    bench_world_mem(&w, keys);
    bench_file(w.lower, "/new", 1ull << 40, 1);
    vfs_file_t *f = bench_open(w.cache, "/new", VFS_O_READ);
    (void)read_over(f, buf, BLOCK, 0, 512ull * MIB, 64u * BLOCK);
    bench_stats(&w, &s);
    BENCH_CHECK(s.evictions > 0);
    bench_value("memory/index/4KiB_block", "B", (double)s.ram_max / (double)s.blocks - BLOCK, NULL,
                0, 0, GOAL_VALUE_MAX, 42, 0);
    BENCH_OK(vfs_close(f, NULL));
    bench_world_end(&w);
}

/* What the process grows by while the cache learns names, less their texts. */
static void per_node(void)
{
    const char *keys[] = {"ram", "256m", NULL};
    bench_world_t w;
    cachefs_stats_t s;
    char path[64];
    bench_world_mem(&w, keys);
    BENCH_OK(vfs_mkdir_all(w.lower, NULL, "/some/directory/of/files", 0755));
    for (unsigned i = 0; i < NAMES; i++) {
        (void)snprintf(path, sizeof(path), "/some/directory/of/files/name-%010u", i);
        BENCH_OK(vfs_mknod(w.lower, NULL, path, VFS_TYPE_FILE, 0600, 0));
    }
    size_t len = strlen(path);
    uint64_t before = bench_rss();
    for (unsigned i = 0; i < NAMES; i++) {
        (void)snprintf(path, sizeof(path), "/some/directory/of/files/name-%010u", i);
        BENCH_OK(vfs_stat(w.cache, NULL, path, NULL));
    }
    bench_stats(&w, &s);
    BENCH_CHECK(s.names >= NAMES && s.metadata_evictions == 0);
    bench_value("memory/node_less_path/40B", "B",
                ((double)bench_rss() - (double)before) / NAMES - (double)len, NULL, 0, 0,
                GOAL_VALUE_MAX, 160, 0);
    bench_world_end(&w);
}

static void turnovers(void)
{
    char ram[32], id[64];
    uint64_t size = bench_opt.big_bytes / MIB * MIB;
    (void)snprintf(ram, sizeof(ram), "%llum", (unsigned long long)(size / MIB));
    (void)snprintf(id, sizeof(id), "memory/rss/%sx%u", ram, bench_opt.turnovers);
    const char *keys[] = {"ram", ram, NULL};
    bench_world_t w;
    unsigned char *buf = bench_memory(MIB);
    uint64_t before = bench_rss(), most = 0, at = 0;
    bench_world_mem(&w, keys);
    bench_file(w.lower, "/new", 1ull << 43, 1);
    vfs_file_t *f = bench_open(w.cache, "/new", VFS_O_READ);
    for (unsigned i = 0; i < bench_opt.turnovers; i++) {
        /* sizes of requests change, so that chunks of all classes take each other's place */
        size_t len = i % 3 == 0 ? BLOCK : i % 3 == 1 ? 64u << 10 : MIB;
        at = read_over(f, buf, len, at, size, len == MIB ? len : 2 * len);
        uint64_t now = bench_rss() - before;
        if (now > most) most = now;
    }
    bench_value(id, "MiB", (double)most / MIB, "ram", (double)size / MIB,
                (double)most / (double)size, GOAL_VALUE_MAX, (double)size / MIB * 1.03 + 16, 0);
    BENCH_OK(vfs_close(f, NULL));
    bench_world_end(&w);
}

void bench_memory_use(void)
{
    if (bench_opt.count) return;
    if (bench_wanted("memory/index")) per_block();
    if (bench_wanted("memory/node")) per_node();
    if (bench_wanted("memory/rss")) turnovers();
}
