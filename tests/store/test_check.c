/*
 * test_check.c - a store that no cache has open: what is wrong with it is said, what may be mended
 * is, and what anybody was promised stays.
 */
#include <stdlib.h>

#include "cachefs/check.h"
#include "cachefs/store/bytes.h"
#include "cachefs/store/journal.h"
#include "tests/store/support_l2.h"
#include "tests/sweep.h"

static cachefs_check_t found;
static char err[512];
static unsigned told[4]; /* by kind */
static char dirty[1024]; /* "PATH BYTES;" */

static void hear(void *baton, cachefs_told_e kind, const char *path, uint64_t bytes,
                 const char *text)
{
    (void)baton;
    told[kind]++;
    CHECK(path[0] == '/' && text[0] != '\0' && text[strlen(text) - 1] != '.');
    size_t n = strlen(dirty);
    if (kind == CACHEFS_TOLD_DIRTY)
        (void)snprintf(dirty + n, sizeof(dirty) - n, "%s %" PRIu64 ";", path, bytes);
}

static apr_status_t check_how(int repair)
{
    cachefs_check_options_t o = CACHEFS_CHECK_INIT;
    o.name = "/disk";
    o.repair = repair;
    o.told = hear;
    memset(told, 0, sizeof(told));
    memset(&found, 0, sizeof(found));
    dirty[0] = '\0';
    found.size = sizeof(found);
    return cachefs_store_check(&found, disk.fs, &o, err, sizeof(err));
}

static void check(void)
{
    OK(check_how(0));
    EQ(told[CACHEFS_TOLD_DAMAGE], found.damage);
    EQ(found.repaired, 0);
}

/* Nobody has the store any more. */
static void closed(void)
{
    cachefs__l2_close(l2);
    cachefs__store_close(store);
    l2 = NULL;
    store = NULL;
}

static void reopened(void)
{
    store = disk_store(&disk);
    OK(cachefs__l2_open(&l2, store, &config));
}

static void fill(void)
{
    put(1, 0, 4 * KIB);
    put(2, 4 * KIB, 5 * KIB);
    put(3, 0, 100);
    closed();
}

/* ---- a journal, as a process that was killed left it */

#define ORIGIN ((const uint8_t *)"sixteen of bytes")

static cachefs__journal_t *journal(void)
{
    cachefs__journal_t *j;
    cachefs__joptions_t o = {.fs = disk.fs,
                             .dir = CACHEFS__STORE_JOURNAL,
                             .origin = ORIGIN,
                             .bytes_max = 1u << 20,
                             .file_bytes = 64u << 10};
    OK(cachefs__journal_open(&j, &o, err, sizeof(err)));
    OK(cachefs__journal_start(j));
    return j;
}

static uint64_t base(cachefs__journal_t *j, const char *path, uint32_t flags)
{
    uint64_t lsn;
    cachefs__jbase_t b = {.path = path, .path_len = (uint32_t)strlen(path)};
    OK(cachefs__journal_reserve(j, NULL, cachefs__jsize(JOURNAL_BASE_BYTES + b.path_len), 0));
    return cachefs__journal_base(j, 0, &b, flags, &lsn);
}

static uint64_t bytes(cachefs__journal_t *j, uint64_t object, uint64_t off, uint32_t len)
{
    static const uint8_t some[4096] = {1, 2, 3};
    OK(cachefs__journal_reserve(j, NULL, cachefs__journal_write_bytes(len), 0));
    return cachefs__journal_write(j, object, off, 0, some, len);
}

static void retire(cachefs__journal_t *j, uint64_t object, uint64_t upto)
{
    OK(cachefs__journal_note(j, NULL, JOURNAL_RETIRE, object, upto));
}

/* ---- what it says */

TestSuite(store_check, .init = setup, .fini = teardown);

Test(store_check, a_store_that_is_sound_is_clean_and_told_of)
{
    fill();
    check();
    EQ(found.damage, 0);
    EQ(found.segments, 1);
    EQ(found.sealed, 1);
    EQ(found.records, 3);
    EQ(found.record_bytes, 9 * KIB + 100);
    EQ(found.orphans, 0);
    EQ(found.format, 1);
    EQ(strlen(found.id), 32);
    CHECK(!strncmp(found.user, "process ", 8));
    EQ(told[CACHEFS_TOLD_NOTE], 0);
}

Test(store_check, looking_changes_nothing)
{
    fill();
    disk_put(&disk, "/STORE", "junk", 4);
    disk_fail(&disk, VFS_OPID_write_at, EIO, 0, 0);
    disk_fail(&disk, VFS_OPID_unlink, EIO, 0, 0);
    disk_fail(&disk, VFS_OPID_rename, EIO, 0, 0);
    disk_fail(&disk, VFS_OPID_mkdir, EIO, 0, 0);
    disk_fail(&disk, VFS_OPID_ftruncate, EIO, 0, 0);
    check();
    EQ(found.damage, 1);
    EQ(vfs_fault_injected(disk.fault, NULL), 0);
    vfs_fault_clear(disk.fault);
}

Test(store_check, a_segment_without_a_footer_is_sound)
{
    put(1, 0, 64 * KIB);
    cachefs__l2_drain(l2);
    char name[64];
    uint8_t *buf = malloc(1u << 20);
    cachefs__l2_name(name, sizeof(name), 1);
    size_t len = disk_get(&disk, name, buf, 1u << 20);
    closed();
    disk_put(&disk, name, buf, len);
    free(buf);
    check();
    EQ(found.damage, 0);
    EQ(found.segments, 1);
    EQ(found.sealed, 0);
    EQ(found.records, 1);
}

/* Each byte of its segment and of its identity counts, and so does each length. */
Test(store_check, every_flipped_byte_and_every_length_is_reported)
{
    char name[64];
    uint8_t buf[16 * KIB], id[64];
    fill();
    cachefs__l2_name(name, sizeof(name), 1);
    size_t len = disk_get(&disk, name, buf, sizeof(buf));
    CHECK(len > 9 * KIB && len < sizeof(buf));
    for (size_t i = 0; i < len; i += sweep_step()) {
        buf[i] ^= 0x10;
        disk_put(&disk, name, buf, len);
        buf[i] ^= 0x10;
        check();
        cr_assert(found.damage || found.torn_bytes || found.orphans, "byte %zu of the segment", i);
    }
    for (size_t n = 0; n < len; n += sweep_step()) {
        disk_put(&disk, name, buf, n);
        check();
        cr_assert(found.damage || found.orphans || !found.sealed, "%zu bytes of the segment", n);
    }
    disk_put(&disk, name, buf, len);
    EQ(disk_get(&disk, "/STORE", id, sizeof(id)), 64);
    for (size_t i = 0; i < 64; i++) {
        id[i] ^= 0x10;
        disk_put(&disk, "/STORE", id, 64);
        id[i] ^= 0x10;
        check();
        EQ(found.damage, 1);
        EQ(found.records, 3); /* they say whose they are */
        disk_put(&disk, "/STORE", id, i);
        check();
        EQ(found.damage, 1);
    }
}

Test(store_check, what_is_left_over_is_told_and_collected)
{
    uint8_t other[L2_HEAD];
    cachefs_gc_t gc = {.size = sizeof(gc)};
    fill();
    cachefs__l2_head_write(other, (const uint8_t *)"another store 16", 0x77);
    disk_put(&disk, "/l2/seg-00000077", other, sizeof(other));
    disk_put(&disk, "/l2/probe", "x", 1);
    disk_put(&disk, "/l2/seg-00000078", "", 0);
    disk_put(&disk, "/l2/notes.txt", "mine", 4);
    disk_put(&disk, "/STORE.new", "x", 1);
    check();
    EQ(found.damage, 0);
    EQ(found.orphans, 4);
    EQ(told[CACHEFS_TOLD_NOTE], 5);
    OK(cachefs_store_gc(&gc, disk.fs, UINT64_MAX, NULL, err, sizeof(err)));
    EQ(gc.removed, 4);
    CHECK(gc.left_bytes > 9 * KIB && disk_has(&disk, "/l2/notes.txt"));
    check();
    EQ(found.orphans, 0);
    EQ(found.records, 3);
}

Test(store_check, gc_takes_the_oldest_above_a_limit_and_leaves_the_journal)
{
    cachefs_gc_t gc = {.size = sizeof(gc)};
    for (uint64_t n = 0; n < 30; n++) {
        put(n, 0, 64 * KIB);
        cachefs__l2_drain(l2);
    }
    cachefs__journal_t *j = journal();
    OK(cachefs__journal_sync(j, NULL, bytes(j, base(j, "/a", 0), 0, 10)));
    OK(cachefs__journal_close(j));
    closed();
    OK(cachefs_store_gc(&gc, disk.fs, 1u << 20, NULL, err, sizeof(err)));
    CHECK(gc.removed > 0 && gc.left_bytes > 0 && gc.left_bytes <= 1u << 20);
    check();
    EQ(found.segment_bytes, gc.left_bytes);
    EQ(found.dirty_bytes, 10);
    reopened();
    CHECK(has(29, 0, 64 * KIB) && !has(0, 0, 64 * KIB));
    closed();
    OK(cachefs_store_gc(&gc, disk.fs, 0, NULL, err, sizeof(err)));
    EQ(gc.left_bytes, 0);
    disk_put(&disk, "/STORE", "junk", 4);
    IS(VFS_ECHECKSUM, cachefs_store_gc(&gc, disk.fs, 0, NULL, err, sizeof(err)));
    CHECK(strstr(err, "repair it"));
}

/* ---- what is dirty */

Test(store_check, dirty_files_have_their_names_and_bytes)
{
    cachefs__journal_t *j = journal();
    uint64_t a = base(j, "/a", 0), b = base(j, "/dir/b", JOURNAL_CREATED), move;
    uint64_t first = bytes(j, a, 0, 1000);
    (void)bytes(j, a, 1000, 500);
    (void)bytes(j, b, 0, 77);
    uint64_t done = base(j, "/done", 0), again = base(j, "/a", 0);
    retire(j, done, bytes(j, done, 0, 4096));
    retire(j, a, first);
    OK(cachefs__journal_sync(j, NULL, bytes(j, again, 0, 3)));
    OK(cachefs__journal_rename(j, NULL, "/dir", "/dir2", 0, &move));
    OK(cachefs__journal_close(j));
    closed();
    check();
    EQ(found.damage, 0);
    EQ(found.dirty_files, 2);
    EQ(found.dirty_bytes, 580);
    EQ(found.moves, 1);
    EQ(found.journal_files, 1);
    cr_assert_str_eq(dirty, "/a 503;/dir2/b 77;/dir 0;");
    cr_assert_str_eq(found.origin, "7369787465656e206f66206279746573");
    EQ(strlen(found.session), 32);
}

/* What was acknowledged is either told, or its loss is. */
Test(store_check, every_flipped_byte_of_a_journal_is_survived_and_no_loss_is_silent)
{
    uint8_t buf[64 * KIB];
    cachefs__journal_t *j = journal();
    uint64_t a = base(j, "/a", 0);
    for (int i = 0; i < 4; i++)
        OK(cachefs__journal_sync(j, NULL, bytes(j, a, (uint64_t)i * 300, 300)));
    OK(cachefs__journal_close(j));
    closed();
    const char *name = CACHEFS__STORE_JOURNAL "/j-00000001";
    check();
    EQ(found.dirty_bytes, 1200);
    size_t len = disk_get(&disk, name, buf, sizeof(buf));
    CHECK(len > JOURNAL_HEADER_BYTES + 1200 && len < sizeof(buf));
    for (size_t i = 0; i < len; i += sweep_step()) {
        buf[i] ^= 0x08;
        disk_put(&disk, name, buf, len);
        buf[i] ^= 0x08;
        apr_status_t st = check_how(0);
        CHECK(!st || st == VFS_EFORMAT);
        cr_assert(st || found.damage || found.dirty_bytes == 1200, "byte %zu", i);
    }
    for (size_t n = 0; n < len; n += sweep_step()) {
        disk_put(&disk, name, buf, n);
        OK(check_how(0));
    }
}

/* ---- mending */

Test(store_check, damaged_segments_go_and_the_others_stay)
{
    for (uint64_t n = 0; n < 20; n++) {
        put(n, 0, 64 * KIB);
        cachefs__l2_drain(l2);
    }
    closed();
    char name[64];
    uint8_t *buf = malloc(1u << 20);
    cachefs__l2_name(name, sizeof(name), 1);
    size_t len = disk_get(&disk, name, buf, 1u << 20);
    buf[5000] ^= 1;
    disk_put(&disk, name, buf, len);
    free(buf);
    OK(check_how(1));
    EQ(found.damage, 0);
    EQ(found.repaired, 1);
    EQ(told[CACHEFS_TOLD_REPAIRED], 1);
    CHECK(!disk_has(&disk, name));
    check();
    EQ(found.damage, 0);
    reopened();
    CHECK(!has(0, 0, 64 * KIB) && has(19, 0, 64 * KIB));
}

Test(store_check, a_damaged_identity_is_written_anew_and_nothing_is_lost)
{
    char was[CACHEFS_ID_TEXT];
    fill();
    check();
    memcpy(was, found.id, sizeof(was));
    disk_put(&disk, "/STORE", "junk", 4);
    OK(check_how(1));
    EQ(found.repaired, 1);
    cr_assert_str_eq(found.id, was);
    OK(vfs_unlink(disk.fs, NULL, "/STORE"));
    OK(check_how(1));
    EQ(found.repaired, 1);
    cr_assert_str_eq(found.id, was);
    reopened();
    CHECK(has(1, 0, 4 * KIB) && has(2, 4 * KIB, 5 * KIB) && has(3, 0, 100));
}

Test(store_check, what_cannot_be_read_of_a_journal_is_set_aside_and_the_rest_is_left)
{
    uint8_t buf[64 * KIB];
    cachefs__journal_t *j = journal();
    OK(cachefs__journal_sync(j, NULL, bytes(j, base(j, "/a", 0), 0, 100)));
    OK(cachefs__journal_close(j));
    j = journal();
    OK(cachefs__journal_sync(j, NULL, bytes(j, base(j, "/b", 0), 0, 100)));
    OK(cachefs__journal_close(j));
    closed();
    check();
    EQ(found.journal_files, 2);
    EQ(found.dirty_files, 2);
    const char *name = CACHEFS__STORE_JOURNAL "/j-00000001";
    size_t len = disk_get(&disk, name, buf, sizeof(buf));
    memset(buf, 0xee, JOURNAL_HEADER_BYTES);
    disk_put(&disk, name, buf, len);
    OK(check_how(1));
    EQ(found.repaired, 1);
    CHECK(found.damage > 0 && found.journal_lost > 0); /* the loss goes on to be said */
    EQ(found.aside_files, 1);
    CHECK(!disk_has(&disk, name) && disk_has(&disk, CACHEFS__STORE_JOURNAL "/damaged-00000001"));
    uint8_t aside[64 * KIB];
    EQ(disk_get(&disk, CACHEFS__STORE_JOURNAL "/damaged-00000001", aside, sizeof(aside)), len);
    CHECK(!memcmp(aside, buf, len));
    cr_assert_str_eq(dirty, "/b 100;");
    CHECK(disk_has(&disk, CACHEFS__STORE_JOURNAL "/j-00000002"));
}

Test(store_check, each_call_may_fail_and_what_is_repaired_stays_so)
{
    uint8_t id[64];
    fill();
    EQ(disk_get(&disk, "/STORE", id, sizeof(id)), 64);
    id[20] ^= 1;
    for (uint64_t nth = 1;; nth++) {
        disk_put(&disk, "/STORE", id, 64);
        vfs_fault_t rule = {.nth = nth, .times = 1};
        OK(vfs_fault_add(disk.fault, &rule));
        apr_status_t st = check_how(1);
        uint64_t injected = vfs_fault_injected(disk.fault, NULL);
        vfs_fault_clear(disk.fault);
        CHECK(!st || err[0] != '\0');
        OK(check_how(1));
        EQ(found.damage, 0);
        if (!injected) break;
        CHECK(nth < 200);
    }
}

/* ---- what is not looked at */

Test(store_check, who_has_it_is_named_and_a_check_is_known_as_one)
{
    IS(APR_EAGAIN, check_how(0));
    cr_assert(strstr(err, "/disk is in use by process "), "%s", err);
    IS(APR_EAGAIN, check_how(1));
    closed();
    cachefs__store_t *one, *two, *three;
    cachefs__store_looked_t looked;
    OK(cachefs__store_look(&one, disk.fs, "/disk", 0, &looked, err, sizeof(err)));
    OK(cachefs__store_look(&two, disk.fs, "/disk", 0, &looked, err, sizeof(err)));
    IS(APR_EAGAIN, cachefs__store_open(&three, disk.fs, "/disk", err, sizeof(err)));
    cr_assert(strstr(err, "/disk is being checked"), "%s", err);
    cachefs__store_close(one);
    cachefs__store_close(two);
    reopened();
}

Test(store_check, what_is_no_store_is_refused)
{
    disk_t empty;
    cachefs_check_t out = {.size = sizeof(out)};
    disk_open(&empty, 0);
    IS(APR_ENOENT, cachefs_store_check(&out, empty.fs, NULL, err, sizeof(err)));
    CHECK(strstr(err, "is empty"));
    disk_put(&empty, "/STORE", "a file of the user's", 20);
    cachefs_check_options_t repair = CACHEFS_CHECK_INIT;
    repair.repair = 1;
    IS(APR_ENOENT, cachefs_store_check(&out, empty.fs, &repair, err, sizeof(err)));
    CHECK(strstr(err, "is no store"));
    EQ(disk_names(&empty, "/"), 1);
    uint8_t text[20];
    EQ(disk_get(&empty, "/STORE", text, sizeof(text)), 20);
    CHECK(!memcmp(text, "a file of the user's", 20));
    disk_close(&empty);
    IS(APR_EINVAL, cachefs_store_check(&out, NULL, NULL, NULL, 0));
    out.size = 0;
    IS(APR_EINVAL, cachefs_store_check(&out, disk.fs, NULL, NULL, 0));
}

Test(store_check, another_format_is_refused_whole)
{
    uint8_t file[64];
    closed();
    EQ(disk_get(&disk, "/STORE", file, sizeof(file)), 64);
    file[8] = 9;
    uint64_t sum = cachefs__fnv64(file, 56);
    cachefs__put64(file + 56, sum);
    disk_put(&disk, "/STORE", file, 64);
    IS(VFS_EFORMAT, check_how(1));
    CHECK(strstr(err, "format 9"));
    cachefs_gc_t gc = {.size = sizeof(gc)};
    IS(VFS_EFORMAT, cachefs_store_gc(&gc, disk.fs, 0, NULL, err, sizeof(err)));
    uint8_t now[64];
    EQ(disk_get(&disk, "/STORE", now, sizeof(now)), 64);
    CHECK(!memcmp(now, file, 64));
}
