/*
 * test_peer_back.c - what a whole-file cache that was studied first got wrong in write-back, as
 * sentences that hold here.
 */
#include "tests/engine/support_rig.h"

/* Nothing is flushed unless it is asked for. */
#define BACK "mode=back flush_interval=1h dirty_age=1h flush_on_close=off attr_ttl=1h "

Test(peer_back, a_write_lands_at_its_offset)
{
    rig_t rig;
    char *data = rig_bytes(200000, 1), *more = rig_bytes(5000, 2);

    rig_open(&rig, BACK);
    rig_put(&rig, "/f", data, 200000);
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
    const apr_off_t offs[] = {0, 4000, 70001, 195000, 16384, 70001};
    for (int i = 0; i < 6; i++) {
        more[0] = (char)i;
        memcpy(data + offs[i], more, 5000);
        rig_write(w, offs[i], more, 5000);
    }
    rig_read(w, 0, data, 200000);
    OK(vfs_sync(w, NULL, VFS_SYNC_ALL));
    rig_holds(rig.bottom, "/f", data, 200000);
    OK(vfs_close(w, NULL));
    free(more);
    free(data);
    rig_close(&rig);
}

Test(peer_back, truncation_on_open_counts)
{
    rig_t rig;

    rig_open(&rig, BACK);
    rig_text(&rig, "/f", "a long old text");
    rig_holds_text(rig.fs, "/f", "a long old text");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W | VFS_O_TRUNC);
    rig_write(w, 0, "new", 3);
    OK(vfs_close(w, NULL));
    w = rig_file(rig.fs, "/f", RIG_W | VFS_O_TRUNC); /* over dirty data too */
    rig_write(w, 0, "ab", 2);
    OK(vfs_close(w, NULL));
    rig_holds_text(rig.fs, "/f", "ab");
    OK(cachefs_flush(rig.fs, NULL, "/f", 0));
    rig_holds_text(rig.bottom, "/f", "ab");
    rig_close(&rig);
}

Test(peer_back, the_rest_of_the_file_stays_under_a_partial_write)
{
    rig_t rig;
    char *data = rig_bytes(3u << 20, 3);

    rig_open(&rig, BACK);
    rig_put(&rig, "/f", data, 3u << 20);
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
    data[1234567] = 'x';
    rig_reset(&rig);
    rig_write(w, 1234567, "x", 1);
    CHECK(rig_moved(&rig) <= 16384); /* one byte does not bring the whole file */
    OK(vfs_close(w, NULL));
    rig_holds(rig.fs, "/f", data, 3u << 20);
    OK(cachefs_flush(rig.fs, NULL, "/f", 0));
    rig_holds(rig.bottom, "/f", data, 3u << 20);
    free(data);
    rig_close(&rig);
}

Test(peer_back, a_stream_larger_than_every_limit_arrives_whole)
{
    rig_t rig;
    size_t len = 6u << 20;
    char *data = rig_bytes(len, 4);

    rig_open(&rig, BACK "ram=2m dirty_max=512k");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    for (size_t at = 0; at < len; at += 100000) {
        rig_write(w, (apr_off_t)at, data + at, len - at < 100000 ? len - at : 100000);
        cachefs_stats_t s = rig_stats(&rig);
        CHECK(s.dirty_bytes <= 512u << 10);
        CHECK(s.ram_used <= 2u << 20);
    }
    OK(vfs_close(w, NULL));
    rig_holds(rig.fs, "/f", data, len);
    OK(cachefs_flush(rig.fs, NULL, NULL, 0));
    rig_holds(rig.bottom, "/f", data, len);
    free(data);
    rig_close(&rig);
}

Test(peer_back, a_read_only_handle_cannot_write)
{
    rig_t rig;
    size_t written = 1;

    rig_open(&rig, BACK);
    rig_text(&rig, "/f", "text");
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    IS(APR_EBADF, vfs_write_at(f, NULL, "x", 1, 0, &written, NULL));
    CHECK(vfs_ftruncate(f, NULL, 0) != APR_SUCCESS);
    EQ(rig_stats(&rig).dirty_bytes, 0);
    OK(vfs_close(f, NULL));
    rig_holds_text(rig.fs, "/f", "text");
    rig_close(&rig);
}

/* Dirty data of /data/f (and of /database/f) survives what `act` does. */
static void survives(apr_status_t (*act)(rig_t *rig), apr_status_t expected, const char *name)
{
    rig_t rig;

    rig_open(&rig, BACK "ttl=/never=1s");
    OK(vfs_mkdir(rig.fs, NULL, "/data", 0755));
    OK(vfs_mkdir(rig.fs, NULL, "/database", 0755));
    rig_save(&rig, "/data/f", "precious", 8);
    rig_save(&rig, "/database/f", "sibling", 7);
    CHECK(rig_stats(&rig).dirty_bytes > 0);
    apr_status_t st = act(&rig);
    cr_assert(st == expected, "%s", rig_status(st));
    if (name) {
        rig_holds_text(rig.fs, name, "precious");
        OK(cachefs_flush(rig.fs, NULL, NULL, 0));
        rig_holds_text(rig.bottom, name, "precious");
    }
    rig_holds_text(rig.fs, "/database/f", "sibling");
    OK(cachefs_flush(rig.fs, NULL, NULL, 0));
    rig_holds_text(rig.bottom, "/database/f", "sibling");
    rig_close(&rig);
}

static apr_status_t do_rename(rig_t *rig)
{
    return vfs_rename(rig->fs, NULL, "/data/f", "/data/g", 0);
}

static apr_status_t do_rename_dir(rig_t *rig)
{
    return vfs_rename(rig->fs, NULL, "/data", "/moved", 0);
}

static apr_status_t do_bad_rename(rig_t *rig)
{
    rig_fail(rig, VFS_OPID_rename, APR_FROM_OS_ERROR(EIO), 0, 1);
    return do_rename(rig);
}

static apr_status_t do_bad_unlink(rig_t *rig)
{
    rig_fail(rig, VFS_OPID_unlink, APR_FROM_OS_ERROR(EIO), 0, 1);
    return vfs_unlink(rig->fs, NULL, "/data/f");
}

static apr_status_t do_truncate(rig_t *rig)
{
    return vfs_truncate(rig->fs, NULL, "/data/f", 8);
}

static apr_status_t do_bad_truncate(rig_t *rig)
{
    rig_fail(rig, VFS_OPID_ftruncate, APR_FROM_OS_ERROR(EIO), 0, 1);
    return vfs_truncate(rig->fs, NULL, "/data/f", 3);
}

static apr_status_t do_invalidate(rig_t *rig)
{
    uint64_t kept = 0;
    apr_status_t st = cachefs_invalidate(rig->fs, "/data/f", NULL, &kept);
    return st ? st : kept ? APR_SUCCESS : APR_EGENERAL;
}

static apr_status_t do_invalidate_prefix(rig_t *rig)
{
    return cachefs_invalidate_prefix(rig->fs, "/", NULL, NULL);
}

static apr_status_t do_invalidate_glob(rig_t *rig)
{
    return cachefs_invalidate_glob(rig->fs, "/**", NULL, NULL);
}

static apr_status_t do_clear(rig_t *rig)
{
    uint64_t kept = 0;
    apr_status_t st = cachefs_clear(rig->fs, &kept);
    return st ? st : kept ? APR_SUCCESS : APR_EGENERAL;
}

static apr_status_t do_remove_all(rig_t *rig)
{
    return vfs_remove_all(rig->fs, NULL, "/data");
}

Test(peer_back, rename_carries_dirty_data_along)
{
    survives(do_rename, APR_SUCCESS, "/data/g");
    survives(do_rename_dir, APR_SUCCESS, "/moved/f");
}

Test(peer_back, a_failing_rename_or_unlink_keeps_dirty_data)
{
    survives(do_bad_rename, APR_FROM_OS_ERROR(EIO), "/data/f");
    survives(do_bad_unlink, APR_FROM_OS_ERROR(EIO), "/data/f");
}

Test(peer_back, truncate_keeps_the_dirty_data_before_the_end)
{
    survives(do_truncate, APR_SUCCESS, "/data/f");
    survives(do_bad_truncate, APR_FROM_OS_ERROR(EIO), "/data/f");
}

Test(peer_back, invalidate_keeps_dirty_data_and_says_so)
{
    survives(do_invalidate, APR_SUCCESS, "/data/f");
    survives(do_invalidate_prefix, APR_SUCCESS, "/data/f");
    survives(do_invalidate_glob, APR_SUCCESS, "/data/f");
}

Test(peer_back, clear_keeps_dirty_data_and_says_so)
{
    survives(do_clear, APR_SUCCESS, "/data/f");
}

Test(peer_back, remove_all_leaves_a_sibling_of_the_same_beginning)
{
    survives(do_remove_all, APR_SUCCESS, NULL);
}

Test(peer_back, ttl_expiry_keeps_dirty_data)
{
    rig_t rig;

    rig_open(&rig, "mode=back flush_interval=1h dirty_age=1h flush_on_close=off attr_ttl=1ms "
                   "data_ttl=1ms policy=ttl");
    rig_save(&rig, "/f", "precious", 8);
    rig_nap(30);
    rig_holds_text(rig.fs, "/f", "precious");
    OK(cachefs_flush(rig.fs, NULL, NULL, 0));
    rig_holds_text(rig.bottom, "/f", "precious");
    rig_close(&rig);
}

Test(peer_back, sync_flushes)
{
    rig_t rig;

    rig_open(&rig, BACK);
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_write(w, 0, "precious", 8);
    OK(vfs_sync(w, NULL, VFS_SYNC_DATA));
    rig_holds_text(rig.bottom, "/f", "precious");
    EQ(rig_stats(&rig).dirty_bytes, 0);
    CHECK(rig_calls(&rig, VFS_OPID_sync) == 1);
    OK(vfs_close(w, NULL));
    rig_close(&rig);
}

Test(peer_back, close_and_destroy_report_a_flush_that_failed)
{
    rig_t rig;
    uint64_t left = 0;

    rig_open(&rig, "mode=back flush_interval=1h dirty_age=1h");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_write(w, 0, "precious", 8);
    rig_fail(&rig, VFS_OPID_write_at, APR_FROM_OS_ERROR(ENOSPC), 0, 0);
    IS(APR_FROM_OS_ERROR(ENOSPC), vfs_close(w, NULL));
    IS(VFS_EDIRTY, cachefs_destroy(rig.fs, CACHEFS_END_WAIT, 50000, &left));
    CHECK(left > 0);
    vfs_fault_clear(rig.fault);
    rig_holds_text(rig.fs, "/f", "precious");
    rig_close(&rig); /* and there it can be flushed */
}

Test(peer_back, a_failed_flush_leaves_what_is_below_as_long_as_it_was)
{
    rig_t rig;

    rig_open(&rig, BACK);
    rig_text(&rig, "/f", "the old text of the file");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
    rig_write(w, 0, "THE NEW", 7);
    rig_fail(&rig, VFS_OPID_write_at, APR_FROM_OS_ERROR(EIO), 0, 1);
    IS(APR_FROM_OS_ERROR(EIO), vfs_flush(w, NULL));
    rig_holds_text(rig.bottom, "/f", "the old text of the file");
    rig_holds_text(rig.fs, "/f", "THE NEW text of the file");
    OK(vfs_flush(w, NULL));
    rig_holds_text(rig.bottom, "/f", "THE NEW text of the file");
    OK(vfs_close(w, NULL));
    rig_close(&rig);
}

Test(peer_back, with_the_backend_down_the_dirty_limit_holds)
{
    rig_t rig;
    char *data = rig_bytes(65536, 5);
    size_t written = 0, total = 0;
    apr_status_t st = APR_SUCCESS;

    rig_open(&rig, BACK "ram=4m dirty_max=1m write_wait_max=20ms retry_min=1ms retry_max=5ms");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_fail(&rig, VFS_OPID_write_at, VFS_EOFFLINE, 0, 0);
    for (int i = 0; i < 200 && !st; i++) {
        st = vfs_write_at(w, NULL, data, 65536, (apr_off_t)total, &written, NULL);
        total += written;
        CHECK(rig_stats(&rig).dirty_bytes <= 1u << 20);
    }
    IS(VFS_EOFFLINE, st);
    CHECK(total > (512u << 10) && total <= (1u << 20));
    vfs_fault_clear(rig.fault);
    (void)vfs_flush(w, NULL);
    vfs_attr_t attr;
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    EQ(attr.size, total);
    OK(cachefs_flush(rig.fs, NULL, NULL, 0));
    OK(vfs_stat(rig.bottom, NULL, "/f", &attr));
    EQ(attr.size, total);
    (void)vfs_close(w, NULL); /* the error of before may be told here */
    free(data);
    rig_close(&rig);
}

Test(peer_back, a_wait_for_room_that_ends_has_a_status_of_its_own)
{
    rig_t rig;
    char *data = rig_bytes(65536, 5);
    size_t written = 0;
    apr_status_t st = APR_SUCCESS;

    rig_open(&rig, BACK "ram=4m dirty_max=256k write_wait_max=20ms retry_min=1ms retry_max=5ms");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_fail(&rig, VFS_OPID_write_at, APR_FROM_OS_ERROR(ENOSPC), 0, 0);
    for (int i = 0; i < 200 && !st; i++)
        st = vfs_write_at(w, NULL, data, 65536, i * 65536, &written, NULL);
    IS(VFS_ELIMIT, st);
    vfs_fault_clear(rig.fault);
    (void)vfs_close(w, NULL); /* the error of before is told here */
    free(data);
    rig_close(&rig);
}

Test(peer_back, mode_bits_of_a_new_file_are_kept)
{
    rig_t rig;
    vfs_file_t *w = NULL;
    vfs_attr_t attr;

    rig_open(&rig, BACK);
    OK(vfs_open(&w, rig.fs, NULL, "/f", RIG_C, 0640, NULL, NULL));
    rig_write(w, 0, "x", 1);
    OK(vfs_sync(w, NULL, VFS_SYNC_ALL));
    OK(vfs_close(w, NULL));
    OK(vfs_stat(rig.bottom, NULL, "/f", &attr));
    EQ(attr.mode, 0640);
    rig_close(&rig);
}

Test(peer_back, a_short_write_below_stays_dirty)
{
    rig_t rig;
    char *data = rig_bytes(60000, 6);

    rig_open(&rig, BACK);
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_write(w, 0, data, 60000);
    vfs_fault_t torn = {.what = VFS_FAULT_TORN_WRITE, .bytes = 10000, .times = 1};
    VFS_FAULT_OP(torn, VFS_OPID_write_at);
    OK(vfs_fault_add(rig.fault, &torn));
    CHECK(vfs_flush(w, NULL) != APR_SUCCESS);
    CHECK(rig_stats(&rig).dirty_bytes >= 50000);
    OK(vfs_flush(w, NULL));
    rig_holds(rig.bottom, "/f", data, 60000);
    OK(vfs_close(w, NULL));
    free(data);
    rig_close(&rig);
}
