/*
 * world.c - the stacks and files that cases stand on.
 * Floor 4, private to bench/.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "backends/backends.h"
#include "bench/bench.h"

#define PIECE (1u << 20)

static void cache_on(bench_world_t *w, vfs_t *lower, const char *const *keys)
{
    char err[200] = "";
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    config.store = w->store;
    if (w->store) config.origin = "bench:";
    /* names stay fresh: a hit is a hit within the TTL */
    BENCH_OK(cachefs_config_set(&config, "attr_ttl", "24h", err, sizeof(err), w->pool));
    for (; keys && *keys; keys += 2)
        BENCH_OK(cachefs_config_set(&config, keys[0], keys[1], err, sizeof(err), w->pool));
    apr_status_t st = cachefs_create(&w->cache, lower, &config, err, sizeof(err), w->pool);
    if (st) bench_die(__FILE__, __LINE__, err, st);
}

void bench_world_mem(bench_world_t *w, const char *const *keys)
{
    memset(w, 0, sizeof(*w));
    BENCH_OK(apr_pool_create(&w->pool, NULL));
    BENCH_OK(vfs_mem_create(&w->lower, 0, w->pool));
    cache_on(w, w->lower, keys);
}

void bench_world_store(bench_world_t *w, const char *dir, const char *const *keys)
{
    memset(w, 0, sizeof(*w));
    BENCH_OK(apr_pool_create(&w->pool, NULL));
    BENCH_OK(vfs_mem_create(&w->lower, 0, w->pool));
    BENCH_OK(vfs_local_create(&w->store, dir, w->pool));
    cache_on(w, w->lower, keys);
}

void bench_world_journal(bench_world_t *w, const char *dir, uint64_t rtt_us,
                         const char *const *keys)
{
    vfs_delay_t how = {.rtt_us = rtt_us};
    memset(w, 0, sizeof(*w));
    BENCH_OK(apr_pool_create(&w->pool, NULL));
    BENCH_OK(vfs_mem_create(&w->lower, 0, w->pool));
    BENCH_OK(vfs_delay_create(&w->delay, w->lower, &how, w->pool));
    BENCH_OK(vfs_count_create(&w->count, w->delay, w->pool));
    BENCH_OK(vfs_local_create(&w->disk, dir, w->pool));
    BENCH_OK(vfs_count_create(&w->store, w->disk, w->pool));
    cache_on(w, w->count, keys);
}

void bench_world_local(bench_world_t *w, const char *const *keys)
{
    memset(w, 0, sizeof(*w));
    BENCH_OK(apr_pool_create(&w->pool, NULL));
    BENCH_OK(vfs_local_create(&w->lower, bench_opt.dir, w->pool));
    cache_on(w, w->lower, keys);
}

void bench_world_delay(bench_world_t *w, uint64_t rtt_us, const char *const *keys)
{
    vfs_delay_t how = {.rtt_us = rtt_us};
    memset(w, 0, sizeof(*w));
    BENCH_OK(apr_pool_create(&w->pool, NULL));
    BENCH_OK(vfs_mem_create(&w->lower, 0, w->pool));
    BENCH_OK(vfs_delay_create(&w->delay, w->lower, &how, w->pool));
    cache_on(w, w->delay, keys);
}

void bench_world_end(bench_world_t *w)
{
    BENCH_OK(cachefs_destroy(w->cache, CACHEFS_END_DISCARD, 0, NULL));
    if (w->store) BENCH_OK(vfs_destroy(w->store));
    if (w->disk) BENCH_OK(vfs_destroy(w->disk));
    if (w->count) BENCH_OK(vfs_destroy(w->count));
    if (w->delay) BENCH_OK(vfs_destroy(w->delay));
    BENCH_OK(vfs_destroy(w->lower));
    apr_pool_destroy(w->pool);
}

static void pattern(unsigned char *buf, size_t len, uint64_t off)
{
    for (size_t i = 0; i < len; i += sizeof(uint64_t)) {
        uint64_t word = (off + i) * 0x9e3779b97f4a7c15u;
        memcpy(buf + i, &word, len - i < sizeof(word) ? len - i : sizeof(word));
    }
}

void bench_file(vfs_t *fs, const char *path, uint64_t size, int hole)
{
    vfs_file_t *f = bench_open(fs, path, VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC);
    unsigned char *buf = malloc(PIECE);
    BENCH_CHECK(buf != NULL);
    if (hole) BENCH_OK(vfs_ftruncate(f, NULL, (apr_off_t)size));
    for (uint64_t off = 0; !hole && off < size; off += PIECE) {
        size_t n = size - off < PIECE ? (size_t)(size - off) : PIECE, done;
        pattern(buf, n, off);
        BENCH_OK(vfs_write_at(f, NULL, buf, n, (apr_off_t)off, &done, NULL));
    }
    free(buf);
    BENCH_OK(vfs_close(f, NULL));
}

const char *bench_scratch_name(char *buf, size_t size, const char *name)
{
    (void)snprintf(buf, size, "%s/%s", bench_opt.dir, name);
    return buf;
}

int bench_scratch(const char *name, uint64_t size, int flags)
{
    char path[600];
    unsigned char *buf = malloc(PIECE);
    int fd = open(bench_scratch_name(path, sizeof(path), name),
                  O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | flags, 0600);
    BENCH_CHECK(fd >= 0 && buf != NULL);
    for (uint64_t off = 0; off < size; off += PIECE) {
        size_t n = size - off < PIECE ? (size_t)(size - off) : PIECE;
        pattern(buf, n, off);
        BENCH_CHECK(pwrite(fd, buf, n, (off_t)off) == (ssize_t)n);
    }
    free(buf);
    return fd;
}

vfs_file_t *bench_open(vfs_t *fs, const char *path, uint32_t flags)
{
    vfs_file_t *f = NULL;
    BENCH_OK(vfs_open(&f, fs, NULL, path, flags, flags & VFS_O_CREATE ? 0600 : 0, NULL, NULL));
    return f;
}

void bench_stats(const bench_world_t *w, cachefs_stats_t *out)
{
    memset(out, 0, sizeof(*out));
    out->size = sizeof(*out);
    BENCH_OK(cachefs_stats(w->cache, out));
}

uint64_t bench_rss(void)
{
    char buf[200];
    int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    BENCH_CHECK(fd >= 0);
    ssize_t n = read(fd, buf, sizeof(buf) - 1);
    (void)close(fd); /* only read */
    BENCH_CHECK(n > 0);
    buf[n] = '\0';
    char *end = NULL;
    (void)strtoull(buf, &end, 10); /* the first number is the size of the address space */
    return strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

void *bench_memory(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    BENCH_CHECK(p != MAP_FAILED);
    (void)madvise(p, bytes, MADV_HUGEPAGE); /* where there are none it is as without */
    memset(p, 1, bytes);
    return p;
}
