/*
 * test_peer_limits.c - what a whole-file cache that was studied first got wrong in its limits and
 * under concurrency, as sentences that hold here.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h "

static void one_kib_files(rig_t *rig, int count)
{
    char name[32], *data = rig_bytes(1000, 1);

    for (int i = 0; i < count; i++) {
        (void)snprintf(name, sizeof(name), "/f%05d", i);
        rig_put(rig, name, data, 1000);
    }
    free(data);
}

static void read_all(rig_t *rig, int count)
{
    char name[32], *data = rig_bytes(1000, 1);

    for (int i = 0; i < count; i++) {
        (void)snprintf(name, sizeof(name), "/f%05d", i);
        rig_holds(rig->fs, name, data, 1000);
    }
    free(data);
}

Test(peer_limits, n_entries_hold_n_entries)
{
    rig_t rig;

    rig_open(&rig, LONG "entries_max=10");
    one_kib_files(&rig, 12);
    read_all(&rig, 10);
    EQ(rig_stats(&rig).blocks, 10);
    EQ(rig_stats(&rig).evictions, 0);
    rig_reset(&rig);
    read_all(&rig, 10);
    EQ(rig_requests(&rig), 0);
    read_all(&rig, 12);
    EQ(rig_stats(&rig).blocks, 10);
    rig_close(&rig);
}

typedef struct watcher_t {
    rig_t *rig;
    _Atomic int stop;
    uint64_t most;
} watcher_t;

static void *watch_ram(void *arg)
{
    watcher_t *w = arg;

    while (!atomic_load(&w->stop)) {
        cachefs_stats_t s = rig_stats(w->rig);
        if (s.ram_used > w->most) w->most = s.ram_used;
    }
    return NULL;
}

Test(peer_limits, a_file_larger_than_the_limit_never_is_in_memory_as_a_whole)
{
    rig_t rig;
    size_t len = 8u << 20;
    char *data = rig_bytes(len, 2);
    pthread_t thread;

    rig_open(&rig, LONG "ram=1m");
    rig_put(&rig, "/f", data, len);
    watcher_t w = {.rig = &rig};
    pthread_create(&thread, NULL, watch_ram, &w);
    rig_holds(rig.fs, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    for (size_t at = 0; at < len; at += 70000)
        rig_read(f, (apr_off_t)at, data + at, len - at < 70000 ? len - at : 70000);
    OK(vfs_close(f, NULL));
    atomic_store(&w.stop, 1);
    pthread_join(thread, NULL);
    CHECK(w.most <= 1u << 20);
    free(data);
    rig_close(&rig);
}

typedef struct crowd_t {
    rig_t *rig;
    const char *data;
    size_t len;
    unsigned seed;
    int bad;
} crowd_t;

static void *read_pieces(void *arg)
{
    crowd_t *m = arg;
    char buf[5000], name[32];

    for (int i = 0; i < 400; i++) {
        unsigned x = m->seed = m->seed * 1103515245u + 12345u;
        size_t got = 0, off = (x >> 8) % m->len;
        vfs_file_t *f = NULL;
        (void)snprintf(name, sizeof(name), "/g%u", (x >> 4) % 8);
        if (vfs_open(&f, m->rig->fs, NULL, name, VFS_O_READ, 0, NULL, NULL)) {
            m->bad++;
            continue;
        }
        size_t n = m->len - off < sizeof(buf) ? m->len - off : sizeof(buf);
        const char *want = m->data + ((x >> 4) % 8) * m->len + off;
        if (vfs_read_at(f, NULL, buf, sizeof(buf), (apr_off_t)off, &got) || got != n ||
            memcmp(buf, want, n) != 0)
            m->bad++;
        (void)vfs_close(f, NULL);
    }
    return NULL;
}

/* Eight readers over eight files of 300,000 bytes each; returns wrong reads. */
static int eight_readers(rig_t *rig)
{
    size_t len = 300000;
    char *data = rig_bytes(8 * len, 3), name[32];
    pthread_t threads[8];
    crowd_t crowd[8];
    int bad = 0;

    for (size_t i = 0; i < 8; i++) {
        (void)snprintf(name, sizeof(name), "/g%zu", i);
        rig_put(rig, name, data + i * len, len);
    }
    for (unsigned i = 0; i < 8; i++) {
        crowd[i] = (crowd_t){rig, data, len, i + 1, 0};
        pthread_create(&threads[i], NULL, read_pieces, &crowd[i]);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        bad += crowd[i].bad;
    }
    free(data);
    return bad;
}

Test(peer_limits, concurrent_misses_leak_no_accounting)
{
    rig_t rig;

    rig_open(&rig, LONG "ram=1m");
    EQ(eight_readers(&rig), 0);
    OK(cachefs_clear(rig.fs, NULL));
    cachefs_stats_t s = rig_stats(&rig);
    EQ(s.resident_bytes, 0);
    EQ(s.blocks, 0);
    EQ(s.names, 0);
    EQ(s.files, 0);
    EQ(s.pinned_bytes, 0);
    one_kib_files(&rig, 20); /* and it still caches */
    read_all(&rig, 20);
    rig_reset(&rig);
    read_all(&rig, 20);
    EQ(rig_requests(&rig), 0);
    rig_close(&rig);
}

Test(peer_limits, hits_are_not_counted_on_a_first_sequential_pass)
{
    rig_t rig;
    size_t len = 1u << 20;
    char *data = rig_bytes(len, 4);

    rig_open(&rig, LONG "readahead=0 get_size=0");
    rig_put(&rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    for (size_t at = 0; at < len; at += 4096)
        rig_read(f, (apr_off_t)at, data + at, 4096);
    cachefs_stats_t s = rig_stats(&rig);
    EQ(s.hits + s.misses, 256);
    EQ(s.hit_bytes + s.miss_bytes, len);
    /* a miss brings 16 KiB: of what follows it three reads are there, and the bytes tell it too */
    CHECK(s.misses >= 64);
    EQ(s.backend_read_bytes, len);
    OK(cachefs_stats_reset(rig.fs));
    for (size_t at = 0; at < len; at += 4096)
        rig_read(f, (apr_off_t)at, data + at, 4096);
    s = rig_stats(&rig);
    EQ(s.hits, 256);
    EQ(s.misses, 0);
    EQ(s.hit_bytes, len);
    EQ(s.backend_read_bytes, 0);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(peer_limits, eight_readers_with_a_ttl_get_the_bytes_of_their_files)
{
    rig_t rig;
    const cachefs_policy_ops_t *policy;
    char keys[160];

    for (size_t i = 0; (policy = cachefs_policy_at(i)) != NULL; i++) {
        (void)snprintf(keys, sizeof(keys), "ram=1m attr_ttl=1ms data_ttl=1ms policy=%s",
                       policy->name);
        rig_open(&rig, keys);
        EQ(eight_readers(&rig), 0);
        rig_close(&rig);
    }
}

static void *sync_it(void *arg)
{
    vfs_file_t *f = arg;

    return vfs_sync(f, NULL, VFS_SYNC_ALL) ? arg : NULL;
}

Test(peer_limits, a_cached_read_waits_for_no_flush)
{
    rig_t rig;
    pthread_t thread;
    void *failed;
    char *data = rig_bytes(100000, 5);

    rig_open(&rig, LONG "mode=back flush_interval=1h dirty_age=1h flush_on_close=off");
    rig_text(&rig, "/other", "other");
    rig_holds_text(rig.fs, "/other", "other");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_write(w, 0, data, 100000);
    rig_block(&rig, VFS_OPID_write_at, 1);
    pthread_create(&thread, NULL, sync_it, w);
    rig_wait_blocked(&rig, 1);
    /* the flush stands still below; nothing of this would come back if it waited */
    rig_read(w, 0, data, 100000);
    rig_write(w, 50000, "new", 3);
    rig_read(w, 50000, "new", 3);
    rig_holds_text(rig.fs, "/other", "other");
    vfs_attr_t attr;
    OK(vfs_stat(rig.fs, NULL, "/other", &attr));
    EQ(vfs_fault_blocked(rig.fault), 1);
    vfs_fault_release(rig.fault);
    pthread_join(thread, &failed);
    CHECK(failed == NULL);
    memcpy(data + 50000, "new", 3);
    OK(vfs_sync(w, NULL, VFS_SYNC_ALL));
    rig_holds(rig.bottom, "/f", data, 100000);
    OK(vfs_close(w, NULL));
    free(data);
    rig_close(&rig);
}
