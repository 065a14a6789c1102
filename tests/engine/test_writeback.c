/*
 * test_writeback.c - dirty data and its way below: when, how, and what an error does.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h mode=back "
#define LAZY LONG "flush_interval=1h dirty_age=1h flush_on_close=off "
#define EIO_ APR_FROM_OS_ERROR(EIO)

static int is_clean(void *baton)
{
    return rig_stats(baton).dirty_bytes == 0;
}

/* Bytes are clean a moment before their flush is counted, and before the file waits no more. */
static int is_over(void *baton)
{
    cachefs_stats_t s = rig_stats(baton);

    return s.flushes > 0 && s.dirty_bytes == 0 && s.dirty_files == 0 && s.oldest_dirty_age_us == 0;
}

/* A file whose flushes fail: the first may have done so before the file is closed, which tells. */
static void save_badly(rig_t *rig, const char *path, const char *text)
{
    vfs_file_t *file = rig_file(rig->fs, path, RIG_C);

    rig_write(file, 0, text, strlen(text));
    (void)vfs_close(file, NULL);
}

Test(writeback, the_interval_flushes)
{
    rig_t rig;

    rig_open(&rig, LONG "flush_interval=50ms flush_on_close=off");
    rig_block(&rig, VFS_OPID_write_at, 1); /* it comes by itself, and we look before it goes on */
    rig_save(&rig, "/f", "text", 4);
    rig_wait_blocked(&rig, 1);
    CHECK(rig_stats(&rig).dirty_bytes > 0);
    CHECK(rig_stats(&rig).dirty_files == 1);
    vfs_fault_release(rig.fault);
    CHECK(rig_until(is_over, &rig));
    rig_holds_text(rig.bottom, "/f", "text");
    EQ(rig_stats(&rig).flushes, 1);
    rig_close(&rig);
}

typedef struct scribe_t {
    rig_t *rig;
    vfs_file_t *file;
    apr_off_t at;
    uint64_t flushes;
} scribe_t;

static int writes_until_flushed(void *baton)
{
    scribe_t *s = baton;

    rig_write(s->file, s->at++, "x", 1);
    return rig_stats(s->rig).flushes >= s->flushes;
}

/* A writer that never stops: were age counted from the last write, nothing would ever be due. */
Test(writeback, the_age_flushes_what_is_written_again_and_again)
{
    rig_t rig;

    rig_open(&rig, LONG "flush_interval=1h dirty_age=100ms flush_on_close=off");
    scribe_t s = {.rig = &rig, .file = rig_file(rig.fs, "/f", RIG_C), .flushes = 3};
    CHECK(rig_until(writes_until_flushed, &s));
    OK(vfs_close(s.file, NULL));
    rig_close(&rig);
}

Test(writeback, the_interval_can_be_changed_while_it_runs)
{
    rig_t rig;

    rig_open(&rig, LAZY);
    rig_save(&rig, "/f", "text", 4);
    rig_nap(50);
    CHECK(rig_stats(&rig).dirty_bytes > 0);
    OK(cachefs_set(rig.fs, "flush_interval", "10ms", NULL, 0));
    CHECK(rig_until(is_clean, &rig));
    rig_close(&rig);
}

Test(writeback, close_waits_for_the_lower_layer_unless_told_not_to)
{
    rig_t rig;

    rig_open(&rig, LONG "flush_interval=1h dirty_age=1h");
    rig_save(&rig, "/f", "text", 4);
    EQ(rig_stats(&rig).dirty_bytes, 0);
    rig_holds_text(rig.bottom, "/f", "text");
    OK(cachefs_set(rig.fs, "flush_on_close", "off", NULL, 0));
    rig_save(&rig, "/g", "text", 4);
    CHECK(rig_stats(&rig).dirty_bytes > 0);
    rig_close(&rig);
}

Test(writeback, neighbours_go_below_together_in_order)
{
    rig_t rig;
    size_t len = 1u << 20;
    char *data = rig_bytes(len, 1);

    rig_open(&rig, LAZY "ram=64m");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    for (size_t at = len; at > 0; at -= 4096) /* backwards */
        rig_write(w, (apr_off_t)(at - 4096), data + at - 4096, 4096);
    rig_reset(&rig);
    OK(vfs_flush(w, NULL));
    EQ(rig_stats(&rig).dirty_bytes, 0);
    cr_assert(rig_calls(&rig, VFS_OPID_write_at) <= 8, "%" PRIu64 " writes",
              rig_calls(&rig, VFS_OPID_write_at));
    rig_holds(rig.bottom, "/f", data, len);
    OK(vfs_close(w, NULL));
    free(data);
    rig_close(&rig);
}

Test(writeback, only_what_was_written_goes_below)
{
    rig_t rig;
    char *data = rig_bytes(1u << 20, 1);
    vfs_counts_t counts;

    rig_open(&rig, LAZY);
    rig_put(&rig, "/f", data, 1u << 20);
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
    rig_write(w, 500000, "x", 1);
    data[500000] = 'x';
    rig_reset(&rig);
    OK(vfs_flush(w, NULL));
    vfs_count_get(rig.count, &counts);
    CHECK(counts.bytes_written <= 4096);
    rig_holds(rig.bottom, "/f", data, 1u << 20);
    OK(vfs_close(w, NULL));
    free(data);
    rig_close(&rig);
}

static int has_failed(void *baton)
{
    cachefs_stats_t s = rig_stats(baton);

    return s.flush_errors >= 3 && s.flush_retries >= 2 && s.oldest_dirty_age_us > 0;
}

Test(writeback, a_failing_flush_is_retried_until_it_works)
{
    rig_t rig;

    rig_open(&rig, LONG "flush_interval=10ms flush_on_close=off retry_min=5ms retry_max=20ms");
    rig_fail(&rig, VFS_OPID_write_at, EIO_, 0, 0);
    save_badly(&rig, "/f", "precious");
    CHECK(rig_until(has_failed, &rig));
    CHECK(rig_stats(&rig).dirty_bytes > 0);
    rig_holds_text(rig.fs, "/f", "precious");
    vfs_fault_clear(rig.fault);
    CHECK(rig_until(is_clean, &rig));
    rig_holds_text(rig.bottom, "/f", "precious");
    rig_close(&rig);
}

Test(writeback, retries_back_off)
{
    rig_t rig;

    rig_open(&rig, LONG "flush_interval=1ms flush_on_close=off retry_min=40ms retry_max=10s");
    rig_fail(&rig, VFS_OPID_write_at, EIO_, 0, 0);
    int64_t start = cachefs__clock_us();
    save_badly(&rig, "/f", "precious");
    rig_wait_injected(&rig, 5); /* after 0, 40, 80, 160, 320 ms; the jitter takes a quarter */
    int64_t took = cachefs__clock_us() - start;
    cr_assert(took >= 450000, "five attempts in %" PRId64 " us", took);
    rig_close(&rig);
}

Test(writeback, an_error_is_told_once_to_each_handle)
{
    rig_t rig;

    rig_open(&rig, LAZY "retry_min=5ms retry_max=10ms");
    vfs_file_t *a = rig_file(rig.fs, "/f", RIG_C), *b = rig_file(rig.fs, "/f", RIG_W);
    vfs_file_t *r = rig_file(rig.fs, "/f", RIG_R), *quiet = rig_file(rig.fs, "/f", RIG_W);
    rig_write(a, 0, "precious", 8);
    rig_fail(&rig, VFS_OPID_write_at, APR_FROM_OS_ERROR(ENOSPC), 0, 1);
    IS(APR_FROM_OS_ERROR(ENOSPC), cachefs_flush(rig.fs, NULL, "/f", 0)); /* in the background */
    OK(cachefs_flush(rig.fs, NULL, "/f", 0));                            /* and then it works */
    IS(APR_FROM_OS_ERROR(ENOSPC), vfs_sync(a, NULL, VFS_SYNC_ALL));
    OK(vfs_sync(a, NULL, VFS_SYNC_ALL));
    OK(vfs_flush(a, NULL));
    OK(vfs_close(a, NULL));
    IS(APR_FROM_OS_ERROR(ENOSPC), vfs_flush(b, NULL));
    OK(vfs_flush(b, NULL));
    OK(vfs_close(b, NULL));
    IS(APR_FROM_OS_ERROR(ENOSPC), vfs_flush(r, NULL));
    OK(vfs_close(r, NULL));
    IS(APR_FROM_OS_ERROR(ENOSPC), vfs_close(quiet, NULL));
    vfs_file_t *late = rig_file(rig.fs, "/f", RIG_W);
    OK(vfs_flush(late, NULL));
    OK(vfs_close(late, NULL));
    rig_close(&rig);
}

Test(writeback, close_of_a_reader_tells_the_pending_error_too)
{
    rig_t rig;

    rig_open(&rig, LAZY);
    vfs_file_t *a = rig_file(rig.fs, "/f", RIG_C), *r = rig_file(rig.fs, "/f", RIG_R);
    rig_write(a, 0, "precious", 8);
    rig_fail(&rig, VFS_OPID_write_at, EIO_, 0, 1);
    IS(EIO_, cachefs_flush(rig.fs, NULL, "/f", 0));
    IS(EIO_, vfs_close(r, NULL));
    IS(EIO_, vfs_close(a, NULL));
    rig_close(&rig);
}

Test(writeback, sync_never_succeeds_while_bytes_are_not_durable)
{
    rig_t rig;

    rig_open(&rig, LAZY "retry_min=1ms retry_max=2ms");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_write(w, 0, "precious", 8);
    rig_fail(&rig, VFS_OPID_write_at, EIO_, 0, 0);
    for (int i = 0; i < 5; i++)
        IS(EIO_, vfs_sync(w, NULL, VFS_SYNC_ALL));
    vfs_fault_clear(rig.fault);
    rig_fail(&rig, VFS_OPID_sync, EIO_, 0, 2); /* it is below, but not durable there */
    for (int i = 0; i < 2; i++)
        IS(EIO_, vfs_sync(w, NULL, VFS_SYNC_ALL));
    OK(vfs_sync(w, NULL, VFS_SYNC_ALL));
    rig_holds_text(rig.bottom, "/f", "precious");
    OK(vfs_close(w, NULL));
    rig_close(&rig);
}

Test(writeback, the_limit_of_dirty_bytes_is_hard_and_writers_are_slowed)
{
    rig_t rig;
    char *data = rig_bytes(65536, 1);

    rig_open(&rig, LAZY "ram=8m dirty_max=1m");
    vfs_file_t *w[4];
    for (int i = 0; i < 4; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "/f%d", i);
        w[i] = rig_file(rig.fs, name, RIG_C);
    }
    for (int i = 0; i < 200; i++) {
        rig_write(w[i % 4], i / 4 * 65536, data, 65536);
        CHECK(rig_stats(&rig).dirty_bytes <= 1u << 20);
    }
    CHECK(rig_stats(&rig).flushes > 0);
    CHECK(cachefs__counter(&rig.c->counters, CNT_THROTTLED) > 0);
    for (int i = 0; i < 4; i++) {
        OK(vfs_close(w[i], NULL));
    }
    free(data);
    rig_close(&rig);
}

Test(writeback, a_writer_without_room_ends_at_its_deadline_and_keeps_what_was_accepted)
{
    rig_t rig;
    char *data = rig_bytes(1u << 20, 1);
    size_t written = 0;
    vfs_ctx_t ctx = VFS_CTX_INIT;

    rig_open(&rig, LAZY "ram=8m dirty_max=256k retry_min=1ms retry_max=2ms");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_fail(&rig, VFS_OPID_write_at, APR_FROM_OS_ERROR(ENOSPC), 0, 0);
    for (int ms = 100; !written; ms *= 4) { /* a slow machine needs more time to get anywhere */
        ctx.deadline = apr_time_now() + ms * 1000;
        CHECK(vfs_write_at(w, &ctx, data, 1u << 20, 0, &written, NULL) == VFS_ELIMIT || !written);
        CHECK(ms < 60000);
    }
    CHECK(written <= 256u << 10);
    CHECK(rig_stats(&rig).dirty_bytes >= written);
    vfs_cancel_t *cancel;
    OK(vfs_cancel_create(&cancel, rig.pool));
    vfs_cancel_raise(cancel);
    vfs_ctx_t gone = VFS_CTX_INIT;
    gone.cancel = cancel;
    size_t none = 1;
    IS(VFS_ECANCELED, vfs_write_at(w, &gone, data, 4096, 0, &none, NULL));
    EQ(none, 0);
    vfs_fault_clear(rig.fault);
    (void)vfs_flush(w, NULL); /* tells the error of before */
    OK(vfs_flush(w, NULL));
    rig_holds(rig.bottom, "/f", data, written);
    OK(vfs_close(w, NULL));
    free(data);
    rig_close(&rig);
}

static int has_flushed(void *baton)
{
    return rig_stats(baton).flushes >= 1;
}

Test(writeback, what_is_written_during_its_flush_stays_dirty)
{
    rig_t rig;
    char *data = rig_bytes(50000, 1);

    rig_open(&rig, LONG "flush_interval=5ms flush_on_close=off");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_block(&rig, VFS_OPID_write_at, 1);
    rig_write(w, 0, data, 50000);
    rig_wait_blocked(&rig, 1);
    OK(cachefs_set(rig.fs, "flush_interval", "1h", NULL, 0));
    OK(cachefs_set(rig.fs, "dirty_age", "1h", NULL, 0));
    memset(data + 10000, 'n', 100);
    rig_write(w, 10000, data + 10000, 100);
    vfs_fault_release(rig.fault);
    CHECK(rig_until(has_flushed, &rig));
    CHECK(rig_stats(&rig).dirty_bytes > 0); /* the new bytes are for the next one */
    rig_read(w, 0, data, 50000);
    OK(vfs_flush(w, NULL));
    EQ(rig_stats(&rig).dirty_bytes, 0);
    rig_holds(rig.bottom, "/f", data, 50000);
    OK(vfs_close(w, NULL));
    free(data);
    rig_close(&rig);
}

enum { BAD = 300 };

static int one_is_flushed(void *baton)
{
    cachefs_stats_t s = rig_stats(baton);

    return s.flushes >= 1 && s.dirty_files == BAD;
}

Test(writeback, files_that_keep_failing_keep_no_other_from_being_flushed)
{
    rig_t rig;
    char name[16];
    vfs_fault_t rule = {.what = VFS_FAULT_ERROR, .status = EIO_, .glob = "/bad*"};

    rig_open(&rig, LONG "flush_interval=1ms flush_on_close=off retry_min=5ms retry_max=10ms");
    VFS_FAULT_OP(rule, VFS_OPID_write_at);
    OK(vfs_fault_add(rig.fault, &rule));
    for (int i = 0; i < BAD; i++) {
        (void)snprintf(name, sizeof(name), "/bad%d", i);
        save_badly(&rig, name, "text");
    }
    rig_save(&rig, "/good", "text", 4);
    CHECK(rig_until(one_is_flushed, &rig));
    rig_holds_text(rig.bottom, "/good", "text");
    vfs_fault_clear(rig.fault);
    CHECK(rig_until(is_clean, &rig));
    rig_close(&rig);
}

Test(writeback, dirty_data_ends_with_the_last_name_and_the_last_handle)
{
    rig_t rig;

    rig_open(&rig, LAZY);
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_write(w, 0, "precious", 8);
    OK(vfs_unlink(rig.fs, NULL, "/f"));
    rig_read(w, 0, "precious", 8); /* the handle still has it */
    rig_write(w, 8, "!", 1);
    rig_read(w, 0, "precious!", 9);
    OK(vfs_close(w, NULL));
    EQ(rig_stats(&rig).dirty_bytes, 0);
    EQ(rig_stats(&rig).dirty_files, 0);
    w = rig_file(rig.fs, "/g", RIG_C);
    OK(vfs_link(rig.fs, NULL, "/g", "/h"));
    rig_write(w, 0, "kept", 4);
    OK(vfs_unlink(rig.fs, NULL, "/g")); /* not the last name */
    OK(vfs_close(w, NULL));
    CHECK(rig_stats(&rig).dirty_bytes > 0);
    rig_holds_text(rig.fs, "/h", "kept");
    OK(cachefs_flush(rig.fs, NULL, NULL, 0));
    rig_holds_text(rig.bottom, "/h", "kept");
    rig_close(&rig);
}

Test(writeback, a_link_that_others_made_keeps_dirty_data_alive)
{
    for (int rename = 0; rename < 2; rename++) {
        rig_t rig;
        rig_open(&rig, LAZY);
        rig_save(&rig, "/f", "precious", 8);
        rig_save(&rig, "/other", "other", 5);
        OK(vfs_link(rig.bottom, NULL, "/f", "/h"));
        if (rename)
            OK(vfs_rename(rig.fs, NULL, "/other", "/f", 0));
        else
            OK(vfs_unlink(rig.fs, NULL, "/f"));
        rig_holds_text(rig.fs, "/h", "precious");
        OK(cachefs_flush(rig.fs, NULL, NULL, 0));
        rig_holds_text(rig.bottom, "/h", "precious");
        rig_close(&rig);
    }
}

Test(writeback, a_flush_of_a_directory_flushes_what_is_below_it_only)
{
    rig_t rig;

    rig_open(&rig, LAZY);
    OK(vfs_mkdir(rig.fs, NULL, "/d", 0755));
    OK(vfs_mkdir(rig.fs, NULL, "/dd", 0755));
    rig_save(&rig, "/d/f", "one", 3);
    rig_save(&rig, "/d/g", "two", 3);
    rig_save(&rig, "/dd/f", "three", 5);
    OK(cachefs_flush(rig.fs, NULL, "/d", 0));
    EQ(rig_stats(&rig).dirty_files, 1);
    rig_holds_text(rig.bottom, "/d/f", "one");
    rig_holds_text(rig.bottom, "/d/g", "two");
    rig_holds_text(rig.bottom, "/dd/f", "");
    OK(vfs_sync_fs(rig.fs, NULL));
    EQ(rig_stats(&rig).dirty_files, 0);
    rig_close(&rig);
}

Test(writeback, a_flush_with_a_time_limit_tries_until_it_is_over)
{
    rig_t rig;

    rig_open(&rig, LAZY "retry_min=1ms retry_max=5ms");
    rig_save(&rig, "/f", "precious", 8);
    rig_fail(&rig, VFS_OPID_write_at, EIO_, 0, 3);
    OK(cachefs_flush(rig.fs, NULL, NULL, 60000000));
    rig_holds_text(rig.bottom, "/f", "precious");
    rig_save(&rig, "/f", "again", 5);
    rig_fail(&rig, VFS_OPID_write_at, EIO_, 0, 0);
    IS(EIO_, cachefs_flush(rig.fs, NULL, NULL, 0));
    IS(APR_TIMEUP, cachefs_flush(rig.fs, NULL, NULL, 60000));
    rig_close(&rig);
}

Test(writeback, the_times_of_a_flushed_file_are_those_of_the_write)
{
    rig_t rig;
    vfs_attr_t before, after;

    rig_open(&rig, LAZY);
    rig_save(&rig, "/f", "text", 4);
    OK(vfs_stat(rig.fs, NULL, "/f", &before));
    rig_nap(30);
    OK(cachefs_flush(rig.fs, NULL, NULL, 0));
    OK(vfs_stat(rig.fs, NULL, "/f", &after));
    EQ(after.mtime_ns, before.mtime_ns);
    OK(vfs_stat(rig.bottom, NULL, "/f", &after));
    EQ(after.mtime_ns, before.mtime_ns);
    rig_close(&rig);
}

Test(writeback, many_names_beyond_the_limit_of_names_keep_their_dirty_data)
{
    rig_t rig;
    char name[32];

    rig_open(&rig, LAZY "metadata_entries_max=32");
    for (int i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof(name), "/f%d", i);
        rig_save(&rig, name, name, strlen(name));
    }
    EQ(rig_stats(&rig).dirty_files, 200);
    for (int i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof(name), "/f%d", i);
        rig_holds_text(rig.fs, name, name);
    }
    OK(cachefs_flush(rig.fs, NULL, NULL, 0));
    for (int i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof(name), "/f%d", i);
        rig_holds_text(rig.bottom, name, name);
    }
    rig_close(&rig);
}
