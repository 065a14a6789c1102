/*
 * test_stats.c - what a cache did: each counter moves when it should, and the metrics tell the
 * same.
 */
#include <unistd.h>

#include <apr_strings.h>

#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h readahead=0 get_size=0 "

static uint64_t list(rig_t *rig)
{
    vfs_dir_t *d;
    vfs_dirent_t e;
    uint64_t n = 0;

    OK(vfs_opendir(&d, rig->fs, NULL, "/", 0));
    while (vfs_readdir(d, NULL, &e) == APR_SUCCESS)
        n++;
    OK(vfs_closedir(d));
    return n;
}

Test(stats, reads_are_hits_or_misses_by_call_and_by_byte)
{
    rig_t rig;
    char *data = rig_bytes(65536, 1);

    rig_open(&rig, LONG);
    rig_put(&rig, "/f", data, 65536);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_read(f, 0, data, 16384);
    cachefs_stats_t s = rig_stats(&rig);
    EQ(s.reads, 1);
    EQ(s.misses, 1);
    EQ(s.hits, 0);
    EQ(s.miss_bytes, 16384);
    EQ(s.backend_reads, 1);
    EQ(s.backend_read_bytes, 16384);
    rig_read(f, 0, data, 16384);
    rig_read(f, 100, data + 100, 100);
    s = rig_stats(&rig);
    EQ(s.reads, 3);
    EQ(s.hits, 2);
    EQ(s.hit_bytes, 16484);
    rig_read(f, 8192, data + 8192, 16384); /* half of it is there */
    s = rig_stats(&rig);
    EQ(s.misses, 2);
    EQ(s.hit_bytes, 16484 + 8192);
    EQ(s.miss_bytes, 16384 + 8192);
    CHECK(s.backend_calls >= s.backend_reads);
    EQ(s.opens, 1);
    EQ(s.open_handles, 1);
    OK(vfs_close(f, NULL));
    EQ(rig_stats(&rig).open_handles, 0);
    free(data);
    rig_close(&rig);
}

Test(stats, borrowed_bytes_count_as_read)
{
    rig_t rig;
    char *data = rig_bytes(65536, 1);
    cachefs_ref_t *ref;
    vfs_iovec_t iov[16];

    rig_open(&rig, LONG);
    rig_put(&rig, "/f", data, 65536);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    for (int i = 0; i < 2; i++) {
        size_t count = 16, got;
        OK(cachefs_read_ref(&ref, f, NULL, 65536, 0, iov, &count, &got));
        cachefs_ref_release(ref);
    }
    cachefs_stats_t s = rig_stats(&rig);
    EQ(s.misses, 1);
    EQ(s.hits, 1);
    EQ(s.hit_bytes, 65536);
    EQ(s.miss_bytes, 65536);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(stats, look_ups_are_hits_misses_or_absences)
{
    rig_t rig;
    vfs_attr_t attr;

    rig_open(&rig, LONG);
    rig_text(&rig, "/f", "text");
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    uint64_t misses = rig_stats(&rig).attr_misses;
    CHECK(misses >= 1);
    EQ(rig_stats(&rig).attr_hits, 0);
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    EQ(rig_stats(&rig).attr_hits, 1);
    EQ(rig_stats(&rig).attr_misses, misses);
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/g", &attr));
    EQ(rig_stats(&rig).negative_hits, 0);
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/g", &attr));
    EQ(rig_stats(&rig).negative_hits, 1);
    EQ(list(&rig), 1);
    EQ(rig_stats(&rig).listing_misses, 1);
    EQ(list(&rig), 1);
    EQ(rig_stats(&rig).listing_hits, 1);
    EQ(rig_stats(&rig).revalidations, 0);
    OK(cachefs_invalidate(rig.fs, "/f", NULL, NULL));
    EQ(rig_stats(&rig).invalidations, 1);
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    EQ(rig_stats(&rig).revalidations, 1);
    CHECK(rig_stats(&rig).names >= 2);
    CHECK(rig_stats(&rig).files >= 1);
    rig_close(&rig);
}

Test(stats, writes_and_flushes_are_counted)
{
    rig_t rig;

    rig_open(&rig, LONG "mode=back flush_interval=1h dirty_age=1h flush_on_close=off "
                        "retry_min=1ms retry_max=2ms");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_write(w, 0, "precious", 8);
    rig_write(w, 8, "more", 4);
    cachefs_stats_t s = rig_stats(&rig);
    EQ(s.writes, 2);
    EQ(s.backend_writes, 0);
    EQ(s.dirty_files, 1);
    CHECK(s.dirty_bytes >= 12);
    rig_nap(5);
    CHECK(rig_stats(&rig).oldest_dirty_age_us >= 4000);
    rig_fail(&rig, VFS_OPID_write_at, APR_FROM_OS_ERROR(EIO), 0, 1);
    CHECK(vfs_flush(w, NULL) != APR_SUCCESS);
    s = rig_stats(&rig);
    EQ(s.flush_errors, 1);
    EQ(s.flush_retries, 0);
    EQ(s.flushes, 0);
    OK(vfs_flush(w, NULL));
    s = rig_stats(&rig);
    EQ(s.flush_errors, 1);
    EQ(s.flush_retries, 1);
    EQ(s.flushes, 1);
    CHECK(s.backend_writes >= 1);
    EQ(s.backend_write_bytes, 12);
    EQ(s.dirty_bytes, 0);
    EQ(s.dirty_files, 0);
    EQ(s.oldest_dirty_age_us, 0);
    OK(vfs_close(w, NULL));
    rig_close(&rig);
}

Test(stats, evictions_of_blocks_and_names_are_counted)
{
    rig_t rig;
    char *data = rig_bytes(3u << 20, 1), name[32];

    rig_open(&rig, LONG "ram=1m metadata_entries_max=16");
    rig_put(&rig, "/f", data, 3u << 20);
    rig_holds(rig.fs, "/f", data, 3u << 20);
    cachefs_stats_t s = rig_stats(&rig);
    CHECK(s.evictions > 0);
    CHECK(s.evicted_bytes >= s.evictions * 4096);
    EQ(s.ram_max, 1u << 20);
    CHECK(s.resident_bytes <= s.ram_used);
    for (int i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof(name), "/g%d", i);
        rig_text(&rig, name, "x");
        rig_holds_text(rig.fs, name, "x");
    }
    CHECK(rig_stats(&rig).metadata_evictions >= 24);
    free(data);
    rig_close(&rig);
}

Test(stats, read_ahead_that_leaves_unread_is_wasted)
{
    rig_t rig;
    size_t len = 3u << 20;
    char *data = rig_bytes(len, 1);

    rig_open(&rig, "attr_ttl=1h get_size=0 ram=16m readahead=512k");
    rig.c->lower_is_far = 1;
    rig_put(&rig, "/f", data, len);
    rig_put(&rig, "/g", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    for (size_t at = 0; at < 400000; at += 16384) {
        rig_read(f, (apr_off_t)at, data + at, 16384);
        while (atomic_load(&rig.c->ahead_bytes)) /* the reader is the slower one */
            rig_nap(1);
    }
    OK(vfs_close(f, NULL));
    CHECK(rig_stats(&rig).readahead_bytes > 0);
    for (int i = 0; i < 2; i++)
        rig_holds(rig.fs, "/g", data, len);
    while (cachefs__evict_one(rig.c, 0)) {
    }
    cachefs_stats_t s = rig_stats(&rig);
    CHECK(s.readahead_wasted_bytes > 0);
    CHECK(s.readahead_wasted_bytes <= s.readahead_bytes + 65536);
    free(data);
    rig_close(&rig);
}

Test(stats, a_reset_sets_counters_to_zero_and_leaves_what_is_held)
{
    rig_t rig;

    rig_open(&rig, LONG);
    rig_text(&rig, "/f", "text");
    rig_holds_text(rig.fs, "/f", "text");
    OK(cachefs_stats_reset(rig.fs));
    cachefs_stats_t s = rig_stats(&rig);
    EQ(s.reads, 0);
    EQ(s.opens, 0);
    EQ(s.backend_calls, 0);
    EQ(s.blocks, 1);
    CHECK(s.names >= 1 && s.ram_used > 0);
    IS(APR_EINVAL, cachefs_stats_reset(rig.bottom));
    rig_close(&rig);
}

Test(stats, a_smaller_struct_gets_what_it_has)
{
    rig_t rig;
    cachefs_stats_t s;

    rig_open(&rig, LONG);
    rig_text(&rig, "/f", "text");
    rig_holds_text(rig.fs, "/f", "text");
    memset(&s, 0x55, sizeof(s));
    s.size = offsetof(cachefs_stats_t, hit_bytes);
    OK(cachefs_stats(rig.fs, &s));
    EQ(s.misses, 1);
    EQ(s.hit_bytes, 0x5555555555555555u);
    s.size = 0;
    IS(APR_EINVAL, cachefs_stats(rig.fs, &s));
    IS(APR_EINVAL, cachefs_stats(rig.fs, NULL));
    s.size = sizeof(s);
    IS(APR_EINVAL, cachefs_stats(rig.bottom, &s));
    rig_close(&rig);
}

/* ---- metrics */

static double metric(rig_t *rig, const char *name, const char *labels)
{
    metrics_snapshot_t *snap;
    double value = -1;

    OK(metrics_snapshot(&snap, cachefs_metrics(rig->fs), rig->pool));
    cr_assert(!metrics_snapshot_value(snap, name, labels, &value), "%s", name);
    return value;
}

Test(stats, the_metrics_tell_what_the_figures_tell)
{
    rig_t rig;
    char *data = rig_bytes(100000, 1);

    rig_open(&rig, LONG);
    rig_put(&rig, "/f", data, 100000);
    for (int i = 0; i < 3; i++)
        rig_holds(rig.fs, "/f", data, 100000);
    cachefs_stats_t s = rig_stats(&rig);
    EQ(metric(&rig, "cachefs_reads_total", "result=\"hit\""), s.hits);
    EQ(metric(&rig, "cachefs_reads_total", "result=\"miss\""), s.misses);
    EQ(metric(&rig, "cachefs_read_bytes_total", "result=\"miss\""), s.miss_bytes);
    EQ(metric(&rig, "cachefs_backend_read_bytes_total", NULL), s.backend_read_bytes);
    EQ(metric(&rig, "cachefs_opens_total", NULL), s.opens);
    EQ(metric(&rig, "cachefs_ram_used_bytes", NULL), s.ram_used);
    EQ(metric(&rig, "cachefs_blocks", NULL), s.blocks);
    EQ(metric(&rig, "cachefs_dirty_bytes", NULL), 0);
    double ratio = metric(&rig, "cachefs_hit_ratio", NULL);
    CHECK(ratio > 0.6 && ratio < 0.7); /* two passes of three */
    ratio = metric(&rig, "cachefs_backend_io_reduction_ratio", NULL);
    CHECK(ratio > 0.6 && ratio < 0.7);
    CHECK(cachefs_metrics(rig.bottom) == NULL);
    free(data);
    rig_close(&rig);
}

/* Those by which the contract says that an error, a conflict or a stale answer is seen. */
Test(stats, what_went_wrong_is_in_the_metrics_that_the_contract_names)
{
    rig_t rig;
    vfs_attr_t attr;

    rig_open(&rig, "attr_ttl=1ms serve_stale=on mode=back flush_interval=1h dirty_age=1h "
                   "flush_on_close=off");
    rig_save(&rig, "/f", "text", 4);
    EQ(metric(&rig, "cachefs_flush_errors_total", NULL), 0);
    rig_fail(&rig, VFS_OPID_write_at, APR_FROM_OS_ERROR(EIO), 0, 2);
    for (int i = 0; i < 2; i++)
        IS(APR_FROM_OS_ERROR(EIO), cachefs_flush(rig.fs, NULL, "/f", 0));
    EQ(metric(&rig, "cachefs_flush_errors_total", NULL), 2);
    rig_nap(20);
    CHECK(metric(&rig, "cachefs_oldest_dirty_age_seconds", NULL) >= 0.02);
    OK(cachefs_flush(rig.fs, NULL, "/f", 0));
    CHECK(metric(&rig, "cachefs_oldest_dirty_age_seconds", NULL) <= 0);

    EQ(metric(&rig, "cachefs_stale_served_total", NULL), 0);
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    rig_nap(20);
    rig_fail(&rig, VFS_OPID_stat, VFS_EOFFLINE, 0, 0);
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    EQ(metric(&rig, "cachefs_stale_served_total", NULL), 1);
    vfs_fault_clear(rig.fault);

    EQ(metric(&rig, "cachefs_conflicts_total", NULL), 0);
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
    rig_write(w, 0, "OURS", 4);
    rig_poke(&rig, "/f", 0, "THEIRS", 6);
    OK(vfs_flush(w, NULL)); /* opened after the errors: they are not told here */
    EQ(metric(&rig, "cachefs_conflicts_total", NULL), 1);
    OK(vfs_close(w, NULL));
    rig_close(&rig);
}

Test(stats, promtool_finds_nothing_wrong_with_the_export)
{
    rig_t rig;
    metrics_snapshot_t *snap;
    char *text, *data = rig_bytes(100000, 1), file[] = "/tmp/cachefs-promXXXXXX", command[128];
    size_t len;

    if (system("command -v promtool >/dev/null 2>&1") != 0)
        cr_skip_test("promtool is not installed");
    rig_open(&rig, LONG "mode=back");
    rig_save(&rig, "/f", data, 100000);
    rig_holds(rig.fs, "/f", data, 100000);
    EQ(list(&rig), 1);
    OK(metrics_snapshot(&snap, cachefs_metrics(rig.fs), rig.pool));
    OK(metrics_export(&text, &len, snap, METRICS_PROMETHEUS, rig.pool));
    int fd = mkstemp(file);
    cr_assert(fd >= 0);
    cr_assert_eq(write(fd, text, len), (ssize_t)len);
    close(fd);
    (void)snprintf(command, sizeof(command), "promtool check metrics < %s", file);
    cr_assert_eq(system(command), 0);
    unlink(file);
    free(data);
    rig_close(&rig);
}

Test(stats, with_metrics_off_figures_go_on)
{
    rig_t rig;

    rig_open(&rig, LONG "metrics=off");
    CHECK(!metrics_enabled(cachefs_metrics(rig.fs)));
    rig_text(&rig, "/f", "text");
    rig_holds_text(rig.fs, "/f", "text");
    EQ(rig_stats(&rig).misses, 1);
    OK(cachefs_set(rig.fs, "metrics", "on", NULL, 0));
    CHECK(metrics_enabled(cachefs_metrics(rig.fs)));
    rig_close(&rig);
}

typedef struct seen_t {
    size_t count;
    char path[4][8];
    cachefs_dirty_t file[4];
} seen_t;

static void see(void *baton, const cachefs_dirty_t *file)
{
    seen_t *seen = baton;

    CHECK(seen->count < 4);
    (void)apr_cpystrn(seen->path[seen->count], file->path ? file->path : "", 8);
    seen->file[seen->count++] = *file;
}

static seen_t dirty_files(rig_t *rig, size_t max)
{
    seen_t seen = {0};

    OK(cachefs_dirty_files(rig->fs, max, see, &seen));
    return seen;
}

Test(stats, dirty_files_are_told_oldest_first_with_what_ails_them)
{
    static const apr_status_t full = APR_FROM_OS_ERROR(ENOSPC);
    rig_t rig;

    rig_open(&rig, "attr_ttl=1h mode=back flush_interval=1h dirty_age=1h flush_on_close=off "
                   "retry_min=1h retry_max=1h");
    rig_save(&rig, "/old", "text", 4);
    rig_nap(5);
    rig_save(&rig, "/new", "text", 4);
    EQ(rig_stats(&rig).retrying_files, 0);
    EQ(rig_stats(&rig).retry_error, 0);
    rig_fail(&rig, VFS_OPID_write_at, full, 1, 1);
    EQ(cachefs_flush(rig.fs, NULL, "/new", 0), full);
    seen_t seen = dirty_files(&rig, 9);
    EQ(seen.count, 2);
    cr_assert_str_eq(seen.path[0], "/old");
    cr_assert_str_eq(seen.path[1], "/new");
    CHECK(seen.file[0].age_us >= seen.file[1].age_us + 5000);
    CHECK(seen.file[0].bytes == 4096 && seen.file[0].size == sizeof(cachefs_dirty_t));
    CHECK(seen.file[0].error == APR_SUCCESS && seen.file[0].retry_us == 0);
    CHECK(seen.file[1].error == full && seen.file[1].retry_us > 1000000);
    EQ(rig_stats(&rig).retrying_files, 1);
    EQ(rig_stats(&rig).retry_error, (uint64_t)full);
    EQ(dirty_files(&rig, 1).count, 1);
    EQ(dirty_files(&rig, 0).count, 0);
    OK(cachefs_flush(rig.fs, NULL, "/new", 0));
    EQ(rig_stats(&rig).retrying_files, 0);
    EQ(rig_stats(&rig).retry_error, 0);
    rig_fail(&rig, VFS_OPID_write_at, full, 1, 1);
    EQ(cachefs_flush(rig.fs, NULL, "/old", 0), full);
    OK(cachefs_discard(rig.fs, "/old", NULL)); /* it is tried no more */
    EQ(rig_stats(&rig).retrying_files, 0);
    EQ(dirty_files(&rig, 9).count, 0);
    EQ(cachefs_dirty_files(rig.fs, 9, NULL, NULL), APR_EINVAL);
    EQ(cachefs_dirty_files(rig.bottom, 9, see, &seen), APR_EINVAL);
    rig_close(&rig);
}
