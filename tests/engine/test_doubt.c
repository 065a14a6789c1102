/*
 * test_doubt.c - calls below that failed and were done, or may have been.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h "
#define LAZY LONG "mode=back flush_interval=1h dirty_age=1h retry_min=1ms flush_on_close=off "
#define EIO_ APR_FROM_OS_ERROR(EIO)
#define ENOENT_ APR_FROM_OS_ERROR(ENOENT)

/* The next call of an op is done below, and says that it failed. */
static void lose(rig_t *rig, vfs_opid_e op)
{
    vfs_fault_t rule = {.what = VFS_FAULT_LOST_REPLY, .status = EIO_, .times = 1};
    VFS_FAULT_OP(rule, op);
    OK(vfs_fault_add(rig->fault, &rule));
}

static uint64_t size_of(vfs_file_t *file)
{
    vfs_attr_t attr;
    OK(vfs_fstat(file, NULL, &attr));
    return attr.size;
}

static apr_status_t put(vfs_file_t *file, apr_off_t off, const void *data, size_t len)
{
    size_t written;
    return vfs_write_at(file, NULL, data, len, off, &written, NULL);
}

static apr_status_t look(rig_t *rig, const char *path)
{
    vfs_attr_t attr;
    return vfs_lstat(rig->fs, NULL, path, &attr);
}

/* ---- bytes and sizes */

Test(doubt, bytes_of_a_write_whose_reply_was_lost_are_seen)
{
    static const char *const modes[] = {"mode=through ", "mode=around "};
    for (int i = 0; i < 2; i++) {
        char keys[200];
        rig_t rig;
        snprintf(keys, sizeof(keys), LONG "%s", modes[i]);
        rig_open(&rig, keys);
        rig_text(&rig, "/f", "0123456789");
        vfs_file_t *f = rig_file(rig.fs, "/f", RIG_W);
        rig_read(f, 0, "0123456789", 10);
        lose(&rig, VFS_OPID_write_at);
        IS(EIO_, put(f, 8, "abcd", 4));
        rig_read(f, 0, "01234567abcd", 12);
        EQ(size_of(f), 12);
        rig_write(f, 20, "z", 1); /* the hole begins where the file really ended */
        rig_read(f, 0, "01234567abcd\0\0\0\0\0\0\0\0z", 21);
        OK(vfs_close(f, NULL));
        rig_close(&rig);
    }
}

Test(doubt, a_size_that_nobody_can_ask_for_is_the_error_of_who_needs_it)
{
    rig_t rig;
    char buf[20];
    size_t got;

    rig_open(&rig, LONG "mode=through");
    rig_text(&rig, "/f", "0123456789");
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_W);
    rig_read(f, 0, "0123456789", 10);
    lose(&rig, VFS_OPID_write_at);
    rig_fail(&rig, VFS_OPID_fstat, EIO_, 0, 0);
    IS(EIO_, put(f, 10, "abcd", 4));
    IS(EIO_, vfs_read_at(f, NULL, buf, sizeof(buf), 0, &got));
    IS(EIO_, vfs_read_at(f, NULL, buf, sizeof(buf), 10, &got));
    rig_reset(&rig);
    IS(EIO_, put(f, VFS_OFFSET_END, "E", 1));
    EQ(rig_calls(&rig, VFS_OPID_write_at), 0); /* it is not known where */
    vfs_fault_clear(rig.fault);
    rig_write(f, VFS_OFFSET_END, "E", 1);
    rig_read(f, 0, "0123456789abcdE", 15);
    rig_holds_text(rig.bottom, "/f", "0123456789abcdE");
    OK(vfs_close(f, NULL));
    rig_close(&rig);
}

Test(doubt, while_it_cannot_be_asked_for_stale_bytes_are_served_if_wanted)
{
    rig_t rig;
    char *data = rig_bytes(20000, 1);

    rig_open(&rig, LONG "mode=through serve_stale=on");
    rig_put(&rig, "/f", data, 20000);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_W);
    rig_read(f, 0, data, 20000);
    rig_fail(&rig, VFS_OPID_ftruncate, EIO_, 0, 0);
    rig_fail(&rig, VFS_OPID_fstat, EIO_, 0, 0);
    IS(EIO_, vfs_ftruncate(f, NULL, 3));
    rig_read(f, 0, data, 8192);
    OK(cachefs_set(rig.fs, "serve_stale", "off", NULL, 0));
    IS(EIO_, vfs_ftruncate(f, NULL, 3));
    vfs_fault_clear(rig.fault);
    rig_read(f, 0, data, 20000);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(doubt, what_the_lower_layer_made_longer_and_did_not_tell_is_seen)
{
    rig_t rig;
    size_t copied;

    rig_open(&rig, LONG "mode=through");
    rig_text(&rig, "/f", "0123456789");
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_W);
    rig_read(f, 0, "0123456789", 10);
    lose(&rig, VFS_OPID_copy_range);
    IS(EIO_, vfs_copy_range(f, NULL, 0, f, 10, 4, &copied));
    rig_read(f, 0, "01234567890123", 14);
    lose(&rig, VFS_OPID_allocate);
    IS(EIO_, vfs_allocate(f, NULL, 0, 0, 20));
    EQ(size_of(f), 20);
    rig_read(f, 10, "0123\0\0\0\0\0", 10);
    rig_fail(&rig, VFS_OPID_fstat, EIO_, 1, 1); /* who cannot ask how long it is now asks later */
    OK(vfs_allocate(f, NULL, 0, 0, 30));
    rig_write(f, VFS_OFFSET_END, "E", 1);
    EQ(size_of(f), 31);
    OK(vfs_close(f, NULL));
    rig_close(&rig);
}

/* 8 KiB below, 4 KiB more in the cache only. */
static vfs_file_t *half_dirty(rig_t *rig, char *data)
{
    rig_put(rig, "/f", data, 8192);
    vfs_file_t *f = rig_file(rig->fs, "/f", RIG_W);
    rig_read(f, 0, data, 8192);
    rig_write(f, 8192, data + 8192, 4096);
    return f;
}

Test(doubt, a_truncation_whose_reply_was_lost_takes_dirty_data_with_it)
{
    rig_t rig;
    char *data = rig_bytes(12288, 1);

    rig_open(&rig, LAZY);
    vfs_file_t *f = half_dirty(&rig, data);
    lose(&rig, VFS_OPID_ftruncate);
    IS(EIO_, vfs_ftruncate(f, NULL, 5000));
    EQ(size_of(f), 5000);
    rig_read(f, 0, data, 5000);
    OK(vfs_flush(f, NULL));
    rig_holds(rig.bottom, "/f", data, 5000);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(doubt, a_truncation_that_was_not_done_keeps_dirty_data)
{
    static const apr_off_t sizes[] = {0, 5000, 8192, 10000};
    for (int i = 0; i < 4; i++) {
        rig_t rig;
        char *data = rig_bytes(12288, 1);
        rig_open(&rig, LAZY);
        vfs_file_t *f = half_dirty(&rig, data);
        rig_fail(&rig, VFS_OPID_ftruncate, EIO_, 0, 1);
        IS(EIO_, vfs_ftruncate(f, NULL, sizes[i]));
        rig_read(f, 0, data, 12288);
        OK(vfs_flush(f, NULL));
        rig_holds(rig.bottom, "/f", data, 12288);
        OK(vfs_close(f, NULL));
        free(data);
        rig_close(&rig);
    }
}

Test(doubt, nothing_is_flushed_behind_an_end_that_is_not_known)
{
    rig_t rig;
    char *data = rig_bytes(12288, 1);

    rig_open(&rig, LAZY);
    vfs_file_t *f = half_dirty(&rig, data);
    lose(&rig, VFS_OPID_ftruncate);
    rig_fail(&rig, VFS_OPID_fstat, EIO_, 0, 0);
    IS(EIO_, vfs_ftruncate(f, NULL, 5000));
    rig_reset(&rig);
    IS(EIO_, vfs_flush(f, NULL));
    IS(EIO_, put(f, 6000, "x", 1));
    EQ(rig_calls(&rig, VFS_OPID_write_at), 0);
    CHECK(rig_stats(&rig).dirty_bytes > 0); /* perhaps it was not cut: nothing is thrown away */
    vfs_fault_clear(rig.fault);
    rig_write(f, 6000, "x", 1);
    OK(vfs_flush(f, NULL));
    memset(data + 5000, 0, 1000);
    data[6000] = 'x';
    rig_holds(rig.bottom, "/f", data, 6001);
    EQ(rig_stats(&rig).conflicts, 0);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

/* Perhaps it was cut: then what is dirty is not there any more either. */
Test(doubt, nothing_is_read_while_a_truncation_is_in_doubt)
{
    rig_t rig;
    char *data = rig_bytes(12288, 1), chunk[4096];
    size_t got;
    vfs_attr_t attr;

    rig_open(&rig, LAZY);
    vfs_file_t *f = half_dirty(&rig, data);
    lose(&rig, VFS_OPID_ftruncate);
    rig_fail(&rig, VFS_OPID_fstat, EIO_, 0, 0);
    IS(EIO_, vfs_ftruncate(f, NULL, 5000));
    for (apr_off_t at = 0; at < 12288; at += 4096)
        IS(EIO_, vfs_read_at(f, NULL, chunk, 4096, at, &got));
    IS(EIO_, vfs_get(rig.fs, NULL, "/f", chunk, 4096, &got, &attr, NULL));
    OK(cachefs_set(rig.fs, "serve_stale", "on", NULL, 0));
    rig_read(f, 8192, data + 8192, 4096);
    vfs_fault_clear(rig.fault);
    OK(vfs_read_at(f, NULL, chunk, 4096, 8192, &got));
    EQ(got, 0);
    rig_read(f, 0, data, 5000);
    rig_reset(&rig);
    rig_read(f, 0, data, 4096);
    EQ(rig_requests(&rig), 0); /* and without a question again */
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(doubt, what_the_lower_layer_held_back_is_told_by_its_close)
{
    rig_t rig;

    rig_open(&rig, LONG "mode=through");
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_C), *r = rig_file(rig.fs, "/f", RIG_R);
    rig_write(f, 0, "text", 4);
    lose(&rig, VFS_OPID_close);
    OK(vfs_close(r, NULL)); /* the handle below is still in use */
    IS(EIO_, vfs_close(f, NULL));
    rig_close(&rig);
}

/* ---- names */

static void no_conflict(rig_t *rig)
{
    EQ(rig_stats(rig).conflicts, 0);
    EQ(rig_stats(rig).dirty_bytes, 0);
}

Test(doubt, dirty_data_follows_a_rename_whose_reply_was_lost)
{
    for (int asked = 0; asked < 2; asked++) {
        rig_t rig;
        rig_open(&rig, LAZY);
        vfs_file_t *f = rig_file(rig.fs, "/a", RIG_C);
        rig_write(f, 0, "one", 3);
        lose(&rig, VFS_OPID_rename);
        if (!asked) rig_fail(&rig, VFS_OPID_lstat, EIO_, 0, 0);
        IS(EIO_, vfs_rename(rig.fs, NULL, "/a", "/b", 0));
        rig_write(f, 3, "two", 3);
        OK(vfs_flush(f, NULL));
        vfs_fault_clear(rig.fault);
        rig_holds_text(rig.bottom, "/b", "onetwo");
        rig_write(f, 6, "three", 5);
        OK(vfs_close(f, NULL));
        IS(ENOENT_, look(&rig, "/a"));
        rig_holds_text(rig.fs, "/b", "onetwothree");
        OK(cachefs_flush(rig.fs, NULL, NULL, 0));
        rig_holds_text(rig.bottom, "/b", "onetwothree");
        no_conflict(&rig);
        rig_close(&rig);
    }
}

Test(doubt, dirty_data_follows_its_directory)
{
    for (int asked = 0; asked < 2; asked++) {
        rig_t rig;
        rig_open(&rig, LAZY);
        OK(vfs_mkdir(rig.fs, NULL, "/d", 0755));
        vfs_file_t *f = rig_file(rig.fs, "/d/a", RIG_C);
        rig_write(f, 0, "one", 3);
        lose(&rig, VFS_OPID_rename);
        if (!asked) rig_fail(&rig, VFS_OPID_lstat, EIO_, 0, 0);
        IS(EIO_, vfs_rename(rig.fs, NULL, "/d", "/e", 0));
        rig_write(f, 3, "two", 3);
        OK(vfs_flush(f, NULL));
        vfs_fault_clear(rig.fault);
        IS(ENOENT_, look(&rig, "/d/a"));
        rig_holds_text(rig.fs, "/e/a", "onetwo");
        rig_holds_text(rig.bottom, "/e/a", "onetwo");
        no_conflict(&rig);
        OK(vfs_close(f, NULL));
        rig_close(&rig);
    }
}

Test(doubt, an_exchange_whose_reply_was_lost_exchanges)
{
    for (int asked = 0; asked < 2; asked++) {
        rig_t rig;
        rig_open(&rig, LAZY);
        vfs_file_t *a = rig_file(rig.fs, "/a", RIG_C), *b = rig_file(rig.fs, "/b", RIG_C);
        rig_write(a, 0, "a", 1);
        rig_write(b, 0, "b", 1);
        lose(&rig, VFS_OPID_rename);
        if (!asked) rig_fail(&rig, VFS_OPID_lstat, EIO_, 0, 0);
        IS(EIO_, vfs_rename(rig.fs, NULL, "/a", "/b", VFS_RENAME_EXCHANGE));
        rig_write(a, 1, "2", 1);
        rig_write(b, 1, "3", 1);
        OK(vfs_flush(a, NULL));
        OK(vfs_flush(b, NULL));
        vfs_fault_clear(rig.fault);
        rig_holds_text(rig.bottom, "/b", "a2");
        rig_holds_text(rig.bottom, "/a", "b3");
        rig_holds_text(rig.fs, "/b", "a2");
        rig_holds_text(rig.fs, "/a", "b3");
        no_conflict(&rig);
        OK(vfs_close(a, NULL));
        OK(vfs_close(b, NULL));
        rig_close(&rig);
    }
}

Test(doubt, a_rename_that_was_not_done_leaves_dirty_data_where_it_is)
{
    for (int asked = 0; asked < 2; asked++) {
        rig_t rig;
        rig_open(&rig, LAZY);
        vfs_file_t *a = rig_file(rig.fs, "/a", RIG_C), *b = rig_file(rig.fs, "/b", RIG_C);
        rig_write(a, 0, "a", 1);
        rig_write(b, 0, "b", 1);
        OK(vfs_close(b, NULL));
        rig_fail(&rig, VFS_OPID_rename, EIO_, 0, 1);
        if (!asked) rig_fail(&rig, VFS_OPID_lstat, EIO_, 0, 0);
        IS(EIO_, vfs_rename(rig.fs, NULL, "/a", "/b", 0));
        rig_write(a, 1, "2", 1);
        vfs_fault_clear(rig.fault);
        OK(cachefs_flush(rig.fs, NULL, NULL, 0));
        rig_holds_text(rig.bottom, "/a", "a2");
        rig_holds_text(rig.bottom, "/b", "b");
        rig_holds_text(rig.fs, "/a", "a2");
        no_conflict(&rig);
        OK(vfs_close(a, NULL));
        rig_close(&rig);
    }
}

Test(doubt, an_unlink_whose_reply_was_lost_unlinks)
{
    for (int asked = 0; asked < 2; asked++) {
        rig_t rig;
        rig_open(&rig, LAZY);
        rig_text(&rig, "/a", "text");
        vfs_file_t *f = rig_file(rig.fs, "/a", RIG_W);
        rig_write(f, 4, "more", 4);
        lose(&rig, VFS_OPID_unlink);
        if (!asked) rig_fail(&rig, VFS_OPID_lstat, EIO_, 0, 0);
        IS(EIO_, vfs_unlink(rig.fs, NULL, "/a"));
        rig_read(f, 0, "textmore", 8);
        vfs_fault_clear(rig.fault);
        IS(ENOENT_, look(&rig, "/a"));
        OK(vfs_close(f, NULL));
        OK(cachefs_flush(rig.fs, NULL, NULL, 0));
        IS(ENOENT_, vfs_unlink(rig.bottom, NULL, "/a"));
        no_conflict(&rig);
        rig_close(&rig);
    }
}

Test(doubt, an_unlink_that_was_not_done_keeps_dirty_data)
{
    for (int asked = 0; asked < 2; asked++) {
        rig_t rig;
        rig_open(&rig, LAZY);
        rig_save(&rig, "/a", "text", 4);
        rig_fail(&rig, VFS_OPID_unlink, EIO_, 0, 1);
        if (!asked) rig_fail(&rig, VFS_OPID_lstat, EIO_, 0, 0);
        IS(EIO_, vfs_unlink(rig.fs, NULL, "/a"));
        vfs_fault_clear(rig.fault);
        OK(cachefs_flush(rig.fs, NULL, NULL, 0));
        rig_holds_text(rig.bottom, "/a", "text");
        no_conflict(&rig);
        rig_close(&rig);
    }
}

static size_t entries(rig_t *rig, const char *path)
{
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    size_t n = 0;
    OK(vfs_opendir(&dir, rig->fs, NULL, path, 0));
    while (!vfs_readdir(dir, NULL, &entry))
        n++;
    OK(vfs_closedir(dir));
    return n;
}

Test(doubt, what_was_made_and_not_told_is_found_and_listed)
{
    rig_t rig;
    vfs_file_t *f = NULL;

    rig_open(&rig, LONG "mode=through");
    rig_text(&rig, "/f", "text");
    EQ(entries(&rig, "/"), 1);
    static const char *const names[] = {"/new", "/dir", "/link", "/hard", "/node"};
    for (size_t i = 0; i < 5; i++)
        IS(ENOENT_, look(&rig, names[i]));
    lose(&rig, VFS_OPID_open);
    IS(EIO_, vfs_open(&f, rig.fs, NULL, "/new", RIG_C, 0644, NULL, NULL));
    lose(&rig, VFS_OPID_mkdir);
    IS(EIO_, vfs_mkdir(rig.fs, NULL, "/dir", 0755));
    lose(&rig, VFS_OPID_symlink);
    IS(EIO_, vfs_symlink(rig.fs, NULL, "f", "/link"));
    lose(&rig, VFS_OPID_link);
    IS(EIO_, vfs_link(rig.fs, NULL, "/f", "/hard"));
    lose(&rig, VFS_OPID_mknod);
    IS(EIO_, vfs_mknod(rig.fs, NULL, "/node", VFS_TYPE_FIFO, 0644, 0));
    for (size_t i = 0; i < 5; i++)
        OK(look(&rig, names[i]));
    EQ(entries(&rig, "/"), 6);
    vfs_attr_t attr;
    OK(vfs_lstat(rig.fs, NULL, "/f", &attr));
    EQ(attr.nlink, 2);
    lose(&rig, VFS_OPID_rmdir);
    IS(EIO_, vfs_rmdir(rig.fs, NULL, "/dir"));
    IS(ENOENT_, look(&rig, "/dir"));
    EQ(entries(&rig, "/"), 5);
    rig_close(&rig);
}

Test(doubt, a_refusal_that_contradicts_what_is_cached_is_believed)
{
    rig_t rig;

    rig_open(&rig, LONG "mode=through");
    rig_text(&rig, "/gone", "text");
    OK(look(&rig, "/gone"));
    IS(ENOENT_, look(&rig, "/dir"));
    OK(vfs_unlink(rig.bottom, NULL, "/gone"));
    OK(vfs_mkdir(rig.bottom, NULL, "/dir", 0755));
    IS(ENOENT_, vfs_unlink(rig.fs, NULL, "/gone"));
    IS(ENOENT_, look(&rig, "/gone"));
    IS(APR_FROM_OS_ERROR(EEXIST), vfs_mkdir(rig.fs, NULL, "/dir", 0755));
    OK(look(&rig, "/dir"));
    rig_close(&rig);
}

Test(doubt, attributes_that_were_set_and_not_told_are_seen)
{
    rig_t rig;
    vfs_attr_t attr;

    rig_open(&rig, LONG "mode=through");
    rig_text(&rig, "/f", "text");
    OK(vfs_chmod(rig.fs, NULL, "/f", 0640, 0));
    lose(&rig, VFS_OPID_chmod);
    IS(EIO_, vfs_chmod(rig.fs, NULL, "/f", 0600, 0));
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    EQ(attr.mode, 0600);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_W);
    lose(&rig, VFS_OPID_fchmod);
    IS(EIO_, vfs_fchmod(f, NULL, 0644));
    OK(vfs_fstat(f, NULL, &attr));
    EQ(attr.mode, 0644);
    OK(vfs_close(f, NULL));
    rig_close(&rig);
}
