/*
 * support_race.c - see support_race.h. Floor 4.
 */
#include "tests/race/support_race.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <apr_general.h>

void race_fail(const char *what, const char *file, int line)
{
    fprintf(stderr, "%s:%d: failed: %s\n", file, line, what);
    abort();
}

void race_check_status(apr_status_t st, apr_status_t want, const char *what, const char *file,
                       int line)
{
    char text[120];
    if (st == want) return;
    fprintf(stderr, "%s:%d: %s: %d (%s), not %d\n", file, line, what, st,
            vfs_strerror(st, text, sizeof(text)), want);
    abort();
}

void race_begin(void)
{
    CHECK(apr_initialize() == APR_SUCCESS);
    CHECK(atexit(apr_terminate) == 0);
}

void race_cache(race_t *r, const char *keys)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    char text[512], err[256] = "", *rest = text, *key;
    snprintf(text, sizeof(text), "%s", keys);
    while ((key = strsep(&rest, ",")) != NULL) {
        char *value = strchr(key, '=');
        CHECK(value != NULL);
        *value++ = '\0';
        CHECK_OK(cachefs_config_set(&config, key, value, err, sizeof(err), r->pool));
    }
    CHECK_OK(cachefs_create(&r->cache, r->delay, &config, err, sizeof(err), r->pool));
}

void race_open(race_t *r, const char *keys, uint64_t rtt_us)
{
    vfs_delay_t how = {.rtt_us = rtt_us};
    memset(r, 0, sizeof(*r));
    CHECK_OK(apr_pool_create(&r->pool, NULL));
    CHECK_OK(vfs_mem_create(&r->mem, 0, r->pool));
    CHECK_OK(vfs_count_create(&r->count, r->mem, r->pool));
    CHECK_OK(vfs_fault_create(&r->fault, r->count, 7, r->pool));
    CHECK_OK(vfs_delay_create(&r->delay, r->fault, &how, r->pool));
    if (keys) race_cache(r, keys);
}

void race_all_given_back(race_t *r)
{
    cachefs_stats_t stats = {.size = sizeof(stats)};
    CHECK_OK(cachefs_flush(r->cache, NULL, NULL, 0));
    CHECK_OK(cachefs_clear(r->cache, NULL));
    CHECK_OK(cachefs_stats(r->cache, &stats));
    CHECK(stats.pinned_bytes == 0);
    CHECK(stats.resident_bytes == 0 && stats.blocks == 0);
}

void race_rtt(race_t *r, uint64_t rtt_us)
{
    vfs_delay_t how = {.rtt_us = rtt_us};
    CHECK_OK(vfs_delay_set(r->delay, &how));
}

void race_end_cache(race_t *r)
{
    vfs_counts_t counts;
    CHECK_OK(vfs_destroy(r->cache));
    r->cache = NULL;
    vfs_count_get(r->count, &counts);
    CHECK(counts.open_files == 0);
    CHECK(counts.open_dirs == 0);
}

void race_all_closed(race_t *r)
{
    int64_t end = race_now_ms() + 60000;
    for (;;) {
        vfs_counts_t counts;
        vfs_count_get(r->count, &counts);
        if (counts.open_files == 0 && counts.open_dirs == 0) return;
        CHECK(race_now_ms() < end);
        race_sleep_us(1000);
    }
}

void race_close(race_t *r)
{
    if (r->cache) race_end_cache(r);
    CHECK_OK(vfs_destroy_stack(r->delay));
    apr_pool_destroy(r->pool);
}

uint64_t race_lower_reads(race_t *r)
{
    vfs_counts_t counts;
    vfs_count_get(r->count, &counts);
    return counts.calls[VFS_OPID_read_at] + counts.calls[VFS_OPID_readv_at] +
           counts.calls[VFS_OPID_fetch] + counts.calls[VFS_OPID_get];
}

/* ---- threads */

typedef struct hand_t {
    pthread_t thread;
    void (*fn)(void *baton, unsigned i);
    void *baton;
    unsigned i;
} hand_t;
struct race_crew_t {
    unsigned n;
    hand_t hands[];
};

static void *hand(void *arg)
{
    hand_t *h = arg;
    h->fn(h->baton, h->i);
    return NULL;
}

race_crew_t *race_start(unsigned n, void (*fn)(void *baton, unsigned i), void *baton)
{
    race_crew_t *crew = malloc(sizeof(*crew) + n * sizeof(hand_t));
    CHECK(crew != NULL);
    crew->n = n;
    for (unsigned i = 0; i < n; i++) {
        hand_t *h = &crew->hands[i];
        h->fn = fn;
        h->baton = baton;
        h->i = i;
        CHECK(pthread_create(&h->thread, NULL, hand, h) == 0);
    }
    return crew;
}

void race_join(race_crew_t *crew)
{
    for (unsigned i = 0; i < crew->n; i++)
        CHECK(pthread_join(crew->hands[i].thread, NULL) == 0);
    free(crew);
}

void race_run(unsigned n, void (*fn)(void *baton, unsigned i), void *baton)
{
    race_join(race_start(n, fn, baton));
}

int64_t race_now_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

int race_go_on(int64_t end_ms, int enough)
{
    int64_t now = race_now_ms();
    if (!enough && now >= end_ms + 600000)
        race_fail("there is enough in ten minutes", __FILE__, __LINE__);
    return now < end_ms || !enough;
}

void race_sleep_us(unsigned us)
{
    struct timespec ts = {us / 1000000, (long)(us % 1000000) * 1000};
    nanosleep(&ts, NULL);
}

uint32_t race_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* ---- content */

static uint64_t word_of(unsigned file, unsigned block, uint32_t seq)
{
    return (uint64_t)(file + 1) << 56 | (uint64_t)block << 32 | seq;
}

void race_fill(void *buf, size_t len, unsigned file, unsigned block, uint32_t seq)
{
    uint64_t word = word_of(file, block, seq);
    for (size_t i = 0; i + 8 <= len; i += 8)
        memcpy((char *)buf + i, &word, 8);
}

uint32_t race_seq(const void *buf, size_t len, unsigned file, unsigned block, const char *where)
{
    uint64_t first, word;
    memcpy(&first, buf, 8);
    if (first != word_of(file, block, (uint32_t)first)) {
        fprintf(stderr, "%s: file %u block %u: foreign word %016llx\n", where, file, block,
                (unsigned long long)first);
        abort();
    }
    for (size_t i = 8; i + 8 <= len; i += 8) {
        memcpy(&word, (const char *)buf + i, 8);
        if (word == first) continue;
        fprintf(stderr, "%s: file %u block %u: torn at %zu: %016llx, then %016llx\n", where, file,
                block, i, (unsigned long long)first, (unsigned long long)word);
        abort();
    }
    return (uint32_t)first;
}

vfs_file_t *race_file(vfs_t *fs, const char *path, uint32_t flags)
{
    vfs_file_t *f = NULL;
    CHECK_OK(vfs_open(&f, fs, NULL, path, flags, 0600, NULL, NULL));
    return f;
}

void race_read(vfs_file_t *f, void *buf, size_t len, apr_off_t off)
{
    size_t got = 0;
    CHECK_OK(vfs_read_at(f, NULL, buf, len, off, &got));
    CHECK(got == len);
}

void race_write(vfs_file_t *f, const void *buf, size_t len, apr_off_t off)
{
    size_t n = 0;
    CHECK_OK(vfs_write_at(f, NULL, buf, len, off, &n, NULL));
    CHECK(n == len);
}

void race_make(vfs_t *fs, const char *path, unsigned file, unsigned blocks, size_t block,
               uint32_t seq)
{
    vfs_file_t *f = race_file(fs, path, VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC);
    char *buf = malloc(block);
    CHECK(buf != NULL);
    for (unsigned i = 0; i < blocks; i++) {
        race_fill(buf, block, file, i, seq);
        race_write(f, buf, block, (apr_off_t)((uint64_t)i * block));
    }
    free(buf);
    CHECK_OK(vfs_close(f, NULL));
}
