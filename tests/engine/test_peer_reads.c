/*
 * test_peer_reads.c - what a whole-file cache that was studied first got wrong on reads, as
 * sentences that hold here.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h "

/* Read on behind the first 4 KiB after something made the entry vanish. */
static void reads_on_after(const char *keys, void (*vanish)(rig_t *rig))
{
    rig_t rig;
    char *data = rig_bytes(40000, 1);

    rig_open(&rig, keys);
    rig_put(&rig, "/f", data, 40000);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_read(f, 0, data, 4096);
    vanish(&rig);
    rig_read(f, 4096, data + 4096, 40000 - 4096);
    OK(vfs_close(f, NULL));
    rig_holds(rig.fs, "/f", data, 40000);
    free(data);
    rig_close(&rig);
}

static void by_invalidate(rig_t *rig)
{
    OK(cachefs_invalidate(rig->fs, "/f", NULL, NULL));
}

static void by_clear(rig_t *rig)
{
    OK(cachefs_clear(rig->fs, NULL));
}

static void by_nap(rig_t *rig)
{
    (void)rig;
    rig_nap(30);
}

static void by_a_full_cache(rig_t *rig)
{
    char *other = rig_bytes(3u << 20, 9);

    rig_put(rig, "/other", other, 3u << 20);
    rig_holds(rig->fs, "/other", other, 3u << 20);
    free(other);
}

Test(peer_reads, a_read_goes_on_after_its_entry_was_invalidated)
{
    reads_on_after(LONG, by_invalidate);
}

Test(peer_reads, a_read_goes_on_after_the_cache_was_cleared)
{
    reads_on_after(LONG, by_clear);
}

Test(peer_reads, a_read_goes_on_after_its_ttl)
{
    reads_on_after("attr_ttl=10ms data_ttl=10ms policy=ttl", by_nap);
    reads_on_after("attr_ttl=0", by_nap);
}

Test(peer_reads, a_read_goes_on_after_its_entry_was_evicted)
{
    reads_on_after(LONG "ram=1m", by_a_full_cache);
}

Test(peer_reads, a_read_goes_on_after_another_handle_wrote)
{
    const char *modes[] = {"mode=through", "mode=back", "mode=around"};
    for (int m = 0; m < 3; m++) {
        rig_t rig;
        char *data = rig_bytes(40000, 1);
        rig_open(&rig, modes[m]);
        rig_put(&rig, "/f", data, 40000);
        vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R), *w = rig_file(rig.fs, "/f", RIG_W);
        rig_read(f, 0, data, 4096);
        memset(data + 8000, 'w', 9000);
        rig_write(w, 8000, data + 8000, 9000);
        rig_read(f, 4096, data + 4096, 40000 - 4096);
        OK(vfs_close(w, NULL));
        OK(vfs_close(f, NULL));
        rig_holds(rig.fs, "/f", data, 40000);
        rig_holds(rig.bottom, "/f", data, 40000);
        free(data);
        rig_close(&rig);
    }
}

Test(peer_reads, a_seek_before_the_first_read_reads_the_tail_and_caches_the_whole)
{
    rig_t rig;
    char *data = rig_bytes(50000, 2), buf[20000];
    size_t got = 0;

    rig_open(&rig, LONG);
    rig_put(&rig, "/f", data, 50000);
    for (int pass = 0; pass < 2; pass++) { /* a miss, then a hit */
        vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
        OK(vfs_seek(f, NULL, 40000, VFS_SEEK_SET, NULL));
        OK(vfs_read(f, NULL, buf, sizeof(buf), &got));
        EQ(got, 10000);
        CHECK(memcmp(buf, data + 40000, got) == 0);
        OK(vfs_close(f, NULL));
        rig_holds(rig.fs, "/f", data, 50000);
    }
    free(data);
    rig_close(&rig);
}

Test(peer_reads, a_seek_out_of_range_is_refused_and_locks_nothing)
{
    rig_t rig;
    char buf[16];
    size_t got = 1;

    rig_open(&rig, LONG);
    rig_text(&rig, "/f", "some text");
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    IS(APR_EINVAL, vfs_seek(f, NULL, -1, VFS_SEEK_SET, NULL));
    OK(vfs_seek(f, NULL, 1000000, VFS_SEEK_SET, NULL));
    OK(vfs_read(f, NULL, buf, sizeof(buf), &got));
    EQ(got, 0);
    OK(vfs_seek(f, NULL, 5, VFS_SEEK_SET, NULL));
    OK(vfs_read(f, NULL, buf, sizeof(buf), &got));
    EQ(got, 4);
    CHECK(memcmp(buf, "text", 4) == 0);
    OK(vfs_close(f, NULL));
    rig_holds_text(rig.fs, "/f", "some text");
    rig_close(&rig);
}

Test(peer_reads, no_kind_of_change_leaves_stale_data)
{
    const char *modes[] = {"mode=through ", "mode=back ", "mode=around "};
    for (int m = 0; m < 3; m++) {
        rig_t rig;
        char keys[128];
        (void)snprintf(keys, sizeof(keys), "%s" LONG, modes[m]);
        rig_open(&rig, keys);
        OK(vfs_mkdir(rig.fs, NULL, "/d", 0755));
        rig_save(&rig, "/d/f", "first text", 10);
        OK(vfs_symlink(rig.fs, NULL, "/d/f", "/l"));
        rig_holds_text(rig.fs, "/d/f", "first text");
        rig_holds_text(rig.fs, "/l", "first text");
        rig_holds_text(rig.fs, "//d//f", "first text");
        vfs_file_t *f = rig_file(rig.fs, "/d/f", RIG_W); /* a write in the middle */
        rig_write(f, 6, "TEXT", 4);
        OK(vfs_close(f, NULL));
        rig_holds_text(rig.fs, "/d/f", "first TEXT");
        rig_holds_text(rig.fs, "/l", "first TEXT");
        f = rig_file(rig.fs, "/l", RIG_W); /* through a link */
        rig_write(f, 0, "FIRST", 5);
        OK(vfs_close(f, NULL));
        rig_holds_text(rig.fs, "//d/./f", "FIRST TEXT");
        f = rig_file(rig.fs, "/d/f", VFS_O_WRITE | VFS_O_TRUNC);
        rig_holds_text(rig.fs, "/l", "");
        rig_write(f, 0, "new", 3);
        OK(vfs_close(f, NULL));
        rig_holds_text(rig.fs, "/l", "new");
        OK(vfs_rename(rig.fs, NULL, "/d", "/e", 0)); /* the directory moves */
        rig_holds_text(rig.fs, "/e/f", "new");
        vfs_attr_t attr;
        IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/d/f", &attr));
        IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/l", &attr));
        IS(APR_EINVAL, vfs_stat(rig.fs, NULL, "e/f", &attr)); /* there is no working directory */
        OK(vfs_mkdir(rig.fs, NULL, "/d", 0755));
        rig_save(&rig, "/d/f", "other", 5);
        rig_holds_text(rig.fs, "/l", "other");
        rig_holds_text(rig.fs, "/e/f", "new");
        rig_holds_text(rig.bottom, "/d/f", "other");
        rig_close(&rig);
    }
}

typedef struct reader_t {
    vfs_t *fs;
    apr_status_t st;
    size_t got;
    char buf[64];
} reader_t;

static void *read_it(void *arg)
{
    reader_t *r = arg;
    vfs_file_t *f = NULL;

    r->st = vfs_open(&f, r->fs, NULL, "/f", VFS_O_READ, 0, NULL, NULL);
    if (!r->st) r->st = vfs_read_at(f, NULL, r->buf, sizeof(r->buf), 0, &r->got);
    if (f) (void)vfs_close(f, NULL);
    return NULL;
}

/* Holds the first read that comes back from below, with its bytes, for a while. */
typedef struct held_t {
    _Atomic int armed, reached;
} held_t;

static void hold_reads(void *baton, const char *line)
{
    held_t *h = baton;

    if (strncmp(line, "get ", 4) && strncmp(line, "fetch ", 6) && strncmp(line, "read", 4)) return;
    if (!atomic_exchange(&h->armed, 0)) return;
    atomic_store(&h->reached, 1);
    rig_nap(80);
}

static int is_reached(void *baton)
{
    return atomic_load(&((held_t *)baton)->reached);
}

Test(peer_reads, a_write_between_the_lower_read_and_the_insert_is_not_lost)
{
    const char *keys[] = {LONG "mode=through get_size=0",
                          LONG "mode=around get_size=0",
                          LONG "mode=through",
                          LONG "mode=around",
                          LONG "mode=back get_size=0",
                          LONG "mode=back"};
    for (int m = 0; m < 6; m++) {
        rig_t rig;
        pthread_t thread;
        held_t held = {1, 0};
        cachefs_config_t config;
        vfs_t *trace, *upper;
        rig_open(&rig, NULL);
        rig_text(&rig, "/f", "old bytes");
        OK(vfs_trace_create(&trace, rig.count, hold_reads, &held, rig.pool));
        rig_config(&config, keys[m], rig.pool);
        OK(cachefs_create(&upper, trace, &config, NULL, 0, rig.pool));
        reader_t r = {.fs = upper};
        pthread_create(&thread, NULL, read_it, &r);
        CHECK(rig_until(is_reached, &held)); /* it has the old bytes, and they are not cached yet */
        vfs_file_t *w = rig_file(upper, "/f", RIG_W);
        rig_write(w, 0, "NEW BYTES", 9);
        OK(vfs_close(w, NULL));
        pthread_join(thread, NULL);
        OK(r.st);
        EQ(r.got, 9);
        CHECK(!memcmp(r.buf, "old bytes", 9) || !memcmp(r.buf, "NEW BYTES", 9));
        rig_holds_text(upper, "/f", "NEW BYTES");
        rig_holds_text(rig.bottom, "/f", "NEW BYTES");
        OK(vfs_destroy(upper));
        OK(vfs_destroy(trace));
        rig_close(&rig);
    }
}

Test(peer_reads, a_partial_write_with_an_error_leaves_no_old_bytes_in_the_cache)
{
    const char *modes[] = {"mode=through " LONG, "mode=around " LONG};
    for (int m = 0; m < 2; m++) {
        rig_t rig;
        size_t written = 0;
        rig_open(&rig, modes[m]);
        rig_text(&rig, "/f", "0123456789");
        rig_holds_text(rig.fs, "/f", "0123456789");
        vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
        vfs_fault_t torn = {.what = VFS_FAULT_TORN_WRITE, .bytes = 4, .times = 1};
        VFS_FAULT_OP(torn, VFS_OPID_write_at);
        OK(vfs_fault_add(rig.fault, &torn));
        IS(APR_FROM_OS_ERROR(EIO), vfs_write_at(w, NULL, "abcdefgh", 8, 0, &written, NULL));
        EQ(written, 4);
        rig_read(w, 0, "abcd456789", 10);
        OK(vfs_close(w, NULL));
        rig_holds_text(rig.bottom, "/f", "abcd456789");
        rig_holds_text(rig.fs, "/f", "abcd456789");
        rig_close(&rig);
    }
}

Test(peer_reads, the_caller_gets_a_copy_and_cannot_change_what_is_cached)
{
    rig_t rig;
    char buf[16], *data = NULL;
    size_t got = 0, len = 0;

    rig_open(&rig, LONG);
    rig_text(&rig, "/f", "some text");
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    OK(vfs_read_at(f, NULL, buf, 9, 0, &got));
    memset(buf, '!', sizeof(buf));
    rig_read(f, 0, "some text", 9);
    OK(vfs_close(f, NULL));
    OK(vfs_read_file(&data, &len, rig.fs, NULL, "/f", 0, rig.pool));
    memset(data, '!', len);
    OK(vfs_get(rig.fs, NULL, "/f", buf, 9, &got, NULL, NULL));
    CHECK(memcmp(buf, "some text", 9) == 0);
    rig_close(&rig);
}

Test(peer_reads, a_write_only_handle_cannot_read)
{
    rig_t rig;
    char buf[16];
    size_t got = 1;

    rig_open(&rig, LONG);
    rig_text(&rig, "/f", "some text");
    rig_holds_text(rig.fs, "/f", "some text");
    vfs_file_t *f = rig_file(rig.fs, "/f", VFS_O_WRITE);
    IS(APR_EBADF, vfs_read_at(f, NULL, buf, 9, 0, &got));
    cachefs_ref_t *ref = NULL;
    vfs_iovec_t iov;
    size_t n = 1;
    IS(APR_EBADF, cachefs_read_ref(&ref, f, NULL, 9, 0, &iov, &n, &got));
    IS(APR_EBADF, cachefs_prefetch(f, NULL, 0, 0, NULL));
    OK(vfs_close(f, NULL));
    rig_close(&rig);
}

Test(peer_reads, attributes_follow_write_truncate_chmod_remove_and_rename)
{
    const char *modes[] = {"mode=through " LONG, "mode=back " LONG, "mode=around " LONG};
    for (int m = 0; m < 3; m++) {
        rig_t rig;
        vfs_attr_t attr;
        rig_open(&rig, modes[m]);
        rig_save(&rig, "/f", "12345", 5);
        OK(vfs_stat(rig.fs, NULL, "/f", &attr));
        EQ(attr.size, 5);
        vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
        rig_write(w, 5, "6789", 4);
        OK(vfs_stat(rig.fs, NULL, "/f", &attr));
        EQ(attr.size, 9);
        OK(vfs_ftruncate(w, NULL, 3));
        OK(vfs_stat(rig.fs, NULL, "/f", &attr));
        EQ(attr.size, 3);
        OK(vfs_close(w, NULL));
        OK(vfs_truncate(rig.fs, NULL, "/f", 7000));
        OK(vfs_stat(rig.fs, NULL, "/f", &attr));
        EQ(attr.size, 7000);
        OK(vfs_chmod(rig.fs, NULL, "/f", 0600, 0));
        OK(vfs_stat(rig.fs, NULL, "/f", &attr));
        EQ(attr.mode, 0600);
        OK(vfs_rename(rig.fs, NULL, "/f", "/g", 0));
        IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/f", &attr));
        OK(vfs_stat(rig.fs, NULL, "/g", &attr));
        EQ(attr.size, 7000);
        OK(vfs_unlink(rig.fs, NULL, "/g"));
        IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/g", &attr));
        rig_close(&rig);
    }
}
