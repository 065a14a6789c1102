/*
 * durable.c - what it costs that nothing acknowledged is lost: writes that are synced by the
 * journal, many files for a remote, a stream. Floor 4, private to bench/.
 *
 * Time is that of a disk here, so ours and the peer write into one directory in turns, and wall
 * time counts. What can be counted is counted: syncs of the device by a shim below the store, calls
 * that were under way at once by one below the cache.
 */
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "bench/bench.h"

#define PIECE 4096u
#define WRITERS 16u
#define STEP (1u << 20)
#define ROUNDS_MAX 64u

/* A world with a store in a directory of its own. */
static void begin(bench_world_t *w, const char *name, uint64_t rtt_us, const char *const *keys)
{
    char dir[600];
    BENCH_CHECK(mkdir(bench_scratch_name(dir, sizeof(dir), name), 0700) == 0);
    bench_world_journal(w, dir, rtt_us, keys);
}

static uint64_t device_syncs(const bench_world_t *w)
{
    vfs_counts_t counts;
    vfs_count_get(w->store, &counts);
    return counts.calls[VFS_OPID_sync] + counts.calls[VFS_OPID_sync_dir] +
           counts.calls[VFS_OPID_sync_fs];
}

static void put(vfs_file_t *f, const void *buf, size_t len, uint64_t off)
{
    size_t done;
    apr_status_t st = vfs_write_at(f, NULL, buf, len, (apr_off_t)off, &done, NULL);
    if (st || done != len) bench_die(__FILE__, __LINE__, "a short write", st);
}

/* ---- sync: one writer beside who appends to a file, and sixteen who share */

typedef struct syncer_t {
    vfs_file_t *file;
    int fd;
    unsigned char *buf;
    uint64_t at, n;
} syncer_t;

static void sync_ours(void *baton, uint64_t n)
{
    syncer_t *s = baton;
    for (uint64_t i = 0; i < n; i++, s->at++) {
        put(s->file, s->buf, PIECE, s->at % 256 * PIECE);
        BENCH_OK(vfs_sync(s->file, NULL, VFS_SYNC_DATA));
    }
}

static void sync_append(void *baton, uint64_t n)
{
    syncer_t *s = baton;
    for (uint64_t i = 0; i < n; i++)
        BENCH_CHECK(write(s->fd, s->buf, PIECE) == (ssize_t)PIECE && fdatasync(s->fd) == 0);
}

static void *writer(void *baton)
{
    syncer_t *s = baton;
    sync_ours(s, s->n);
    return NULL;
}

/* Syncs of the device for each that was acknowledged. */
static double shared(bench_world_t *w, syncer_t *s)
{
    pthread_t threads[WRITERS];
    uint64_t before = device_syncs(w);
    for (unsigned i = 0; i < WRITERS; i++)
        BENCH_CHECK(!pthread_create(&threads[i], NULL, writer, &s[i]));
    for (unsigned i = 0; i < WRITERS; i++)
        BENCH_CHECK(!pthread_join(threads[i], NULL));
    return (double)(device_syncs(w) - before) / (double)(WRITERS * s[0].n);
}

static void many(bench_world_t *w)
{
    double syncs[ROUNDS_MAX];
    syncer_t s[WRITERS];
    unsigned char *buf = bench_memory(PIECE);
    unsigned rounds = bench_opt.small ? 1 : 7;
    for (unsigned i = 0; i < WRITERS; i++) {
        char path[16];
        (void)snprintf(path, sizeof(path), "/f%u", i);
        s[i] =
            (syncer_t){.file = bench_open(w->cache, path, VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE),
                       .buf = buf,
                       .n = bench_opt.small ? 20 : 200};
    }
    (void)shared(w, s); /* files and their names become durable, once */
    for (unsigned i = 0; i < rounds; i++)
        syncs[i] = shared(w, s);
    bench_stat_t stat = bench_stat(syncs, rounds);
    bench_value("sync/journal/4KiB/t16", "sync", stat.median, NULL, 0, 0, GOAL_VALUE_MAX, 0.15,
                stat.spread);
    for (unsigned i = 0; i < WRITERS; i++)
        BENCH_OK(vfs_close(s[i].file, NULL));
}

static void one(bench_world_t *w)
{
    syncer_t s = {.buf = bench_memory(PIECE), .fd = bench_scratch("appended", 0, 0)};
    s.file = bench_open(w->cache, "/one", VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE);
    sync_ours(&s, 1);
    uint64_t before = device_syncs(w), acknowledged = s.at;
    bench_run(&(bench_case_t){.id = "sync/journal/4KiB/t1",
                              .ours = sync_ours,
                              .baton = &s,
                              .peer = "write + fdatasync",
                              .theirs = sync_append,
                              .peer_baton = &s,
                              .goal_kind = GOAL_AT_MOST,
                              .goal = 1.1,
                              .waits = 1,
                              .sample_ops = bench_opt.small ? 2 : 16});
    /* alone nobody is to be waited for, and each sync is one of the device */
    BENCH_CHECK(device_syncs(w) - before >= s.at - acknowledged);
    BENCH_OK(vfs_close(s.file, NULL));
    (void)close(s.fd); /* a scratch file */
}

static void syncs(void)
{
    const char *keys[] = {"mode",      "back", "ram",           "64m",  "flush_interval", "1h",
                          "dirty_age", "2h",   "journal_bytes", "512m", "store_free_min", "1",
                          NULL};
    bench_world_t w;
    begin(&w, "sync-store", 0, keys);
    if (bench_wanted("sync/journal/4KiB/t1")) one(&w);
    if (bench_wanted("sync/journal/4KiB/t16")) many(&w);
    BENCH_CHECK(device_syncs(&w) > 0);
    bench_world_end(&w);
}

/* ---- many small files for a remote */

#define RTT_US 20000u
#define UPLOADERS 8u /* as many as there are without being told */

/* Files a second, until the last of them was closed. */
static double make_files(bench_world_t *w, unsigned count)
{
    unsigned char buf[PIECE] = {1};
    uint64_t start = bench_now_ns();
    for (unsigned i = 0; i < count; i++) {
        char path[32];
        (void)snprintf(path, sizeof(path), "/%05u", i);
        vfs_file_t *f = bench_open(w->cache, path, VFS_O_WRITE | VFS_O_CREATE | VFS_O_EXCL);
        put(f, buf, PIECE, 0);
        BENCH_OK(vfs_close(f, NULL));
    }
    return (double)count * 1e9 / (double)(bench_now_ns() - start);
}

/* Round trips that were under way at a time while all of it went below, as a share of the workers.
 */
static double drain(bench_world_t *w)
{
    vfs_counts_t before, after;
    vfs_delay_t slow = {.rtt_us = RTT_US};
    cachefs_stats_t s;
    BENCH_OK(vfs_delay_set(w->delay, &slow));
    vfs_count_get(w->count, &before);
    uint64_t start = bench_now_ns();
    BENCH_OK(cachefs_set(w->cache, "flush_interval", "1ms", NULL, 0)); /* all of it is due */
    do {
        (void)usleep(1000); /* woken early: it is looked at again */
        bench_stats(w, &s);
    } while (s.dirty_bytes);
    double us = (double)(bench_now_ns() - start) / 1000;
    vfs_count_get(w->count, &after);
    BENCH_CHECK(after.in_flight_max >= UPLOADERS || bench_opt.small);
    double trips = (double)(vfs_counts_requests(&after) - vfs_counts_requests(&before));
    return trips * RTT_US / us / UPLOADERS;
}

static void acknowledged(unsigned count)
{
    const char *through[] = {"ram", "64m", NULL};
    const char *back[] = {"mode", "back", "ram", "512m", "store_free_min", "1", NULL};
    unsigned sample = count < 200 ? count : 200;
    char id[64];
    bench_world_t w;
    bench_world_delay(&w, RTT_US, through);
    double slow = make_files(&w, sample);
    bench_world_end(&w);
    begin(&w, "files-store", RTT_US, back);
    double fast = make_files(&w, count);
    bench_world_end(&w);
    (void)snprintf(id, sizeof(id), "writeback/acknowledged/%u_files", count);
    bench_value(id, "1/s", fast, "write-through", slow, fast / slow, GOAL_AT_LEAST, 20, 0);
}

/* They are made while the remote is near, and uploaded from far. */
static void drained(unsigned count)
{
    const char *keys[] = {"mode",
                          "back",
                          "ram",
                          "512m",
                          "flush_on_close",
                          "off",
                          "flush_interval",
                          "1h",
                          "dirty_age",
                          "2h",
                          "store_free_min",
                          "1",
                          NULL};
    char id[64];
    bench_world_t w;
    begin(&w, "drain-store", 0, keys);
    (void)make_files(&w, count);
    double busy = drain(&w);
    bench_world_end(&w);
    (void)snprintf(id, sizeof(id), "writeback/busy/%u_files", count);
    bench_value(id, "", busy, "all upload workers", 1, busy, GOAL_AT_LEAST, 0.9, 0);
}

/* ---- a stream */

static double megabytes(uint64_t bytes, uint64_t start)
{
    return (double)bytes * 1e3 / (double)(bench_now_ns() - start);
}

static double stream_ours(bench_world_t *w, const unsigned char *buf, uint64_t bytes)
{
    vfs_file_t *f = bench_open(w->cache, "/stream", VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC);
    uint64_t start = bench_now_ns();
    for (uint64_t off = 0; off < bytes; off += STEP)
        put(f, buf, STEP, off);
    BENCH_OK(vfs_sync(f, NULL, VFS_SYNC_DATA));
    double rate = megabytes(bytes, start);
    BENCH_OK(vfs_close(f, NULL));
    BENCH_OK(cachefs_flush(w->cache, NULL, NULL, 0));
    BENCH_OK(vfs_unlink(w->cache, NULL, "/stream"));
    return rate;
}

/* What dd conv=fdatasync does. */
static double stream_disk(const unsigned char *buf, uint64_t bytes)
{
    char path[600];
    int fd = bench_scratch("stream", 0, 0);
    uint64_t start = bench_now_ns();
    for (uint64_t off = 0; off < bytes; off += STEP)
        BENCH_CHECK(write(fd, buf, STEP) == (ssize_t)STEP);
    BENCH_CHECK(fdatasync(fd) == 0);
    double rate = megabytes(bytes, start);
    (void)close(fd);                                                /* a scratch file */
    (void)unlink(bench_scratch_name(path, sizeof(path), "stream")); /* it goes with the others */
    return rate;
}

static void stream(void)
{
    const char *keys[] = {"mode", "back",           "ram", "256m", "journal_bytes",
                          "2g",   "store_free_min", "1",   NULL};
    double ours[ROUNDS_MAX], theirs[ROUNDS_MAX], ratio[ROUNDS_MAX];
    uint64_t bytes = bench_opt.small ? 16u << 20 : 1u << 30;
    unsigned rounds = bench_opt.small ? 1 : 3;
    unsigned char *buf = bench_memory(STEP);
    for (unsigned i = 0; i < rounds; i++) {
        char name[32];
        bench_world_t w;
        (void)snprintf(name, sizeof(name), "stream-store-%u", i);
        begin(&w, name, 0, keys);
        ours[i] = stream_ours(&w, buf, bytes);
        bench_world_end(&w);
        theirs[i] = stream_disk(buf, bytes);
        ratio[i] = ours[i] / theirs[i];
    }
    bench_stat_t r = bench_stat(ratio, rounds);
    bench_value("stream/1g/t1", "MB/s", bench_stat(ours, rounds).median, "dd conv=fdatasync",
                bench_stat(theirs, rounds).median, r.median, GOAL_AT_LEAST, 0.8, r.spread);
}

void bench_durable(void)
{
    if (bench_opt.count) return; /* instructions do not tell of a disk */
    bench_unpin();
    if (bench_wanted("sync/journal")) syncs();
    if (bench_wanted("writeback/acknowledged")) acknowledged((unsigned)bench_opt.files_max);
    if (bench_wanted("writeback/busy")) drained((unsigned)bench_opt.files_max);
    if (bench_wanted("stream")) stream();
    bench_pin(0);
}
