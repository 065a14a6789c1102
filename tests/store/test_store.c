/* test_store.c - the frame of a store: its lock, its identity, files that are replaced whole. */
#include "tests/store/support_store.h"

static disk_t disk;

static void setup(void)
{
    disk_open(&disk, 0);
}

static void teardown(void)
{
    disk_close(&disk);
}

TestSuite(store_store, .init = setup, .fini = teardown);

static void id_of(uint8_t *out, cachefs__store_found_e found)
{
    cachefs__store_t *s = disk_store(&disk);
    memcpy(out, cachefs__store_id(s), CACHEFS__STORE_ID_BYTES);
    EQ(cachefs__store_found(s), found);
    cachefs__store_close(s);
}

Test(store_store, a_store_keeps_its_identity)
{
    uint8_t first[16], again[16];
    id_of(first, CACHEFS__STORE_NEW);
    id_of(again, CACHEFS__STORE_SAME);
    CHECK(!memcmp(first, again, 16));
    CHECK(disk_has(&disk, CACHEFS__STORE_L2) && disk_has(&disk, CACHEFS__STORE_JOURNAL));
}

Test(store_store, two_stores_have_two_identities)
{
    uint8_t one[16], two[16];
    disk_t other;
    id_of(one, CACHEFS__STORE_NEW);
    disk_open(&other, 0);
    cachefs__store_t *s = disk_store(&other);
    memcpy(two, cachefs__store_id(s), sizeof(two));
    cachefs__store_close(s);
    disk_close(&other);
    CHECK(memcmp(one, two, 16) != 0);
}

Test(store_store, a_store_in_use_is_refused_and_named)
{
    cachefs__store_t *s = disk_store(&disk), *second = NULL;
    char err[256] = "";
    IS(APR_EAGAIN, cachefs__store_open(&second, disk.fs, "/disk", err, sizeof(err)));
    CHECK(second == NULL);
    cr_assert(strstr(err, "/disk is in use by process "), "%s", err);
    cachefs__store_close(s);
    cachefs__store_close(disk_store(&disk));
}

Test(store_store, any_damaged_byte_of_the_identity_makes_a_new_one)
{
    uint8_t file[64], id[16], first[16];
    id_of(first, CACHEFS__STORE_NEW);
    EQ(disk_get(&disk, "/STORE", file, sizeof(file)), 64);
    for (unsigned i = 0; i < 64; i++) {
        file[i] ^= 0x10;
        disk_put(&disk, "/STORE", file, sizeof(file));
        file[i] ^= 0x10;
        id_of(id, CACHEFS__STORE_DAMAGED);
        CHECK(memcmp(id, first, 16) != 0);
    }
    for (unsigned len = 0; len < 64; len++) {
        disk_put(&disk, "/STORE", file, len);
        id_of(id, CACHEFS__STORE_DAMAGED);
    }
    disk_put(&disk, "/STORE",
             "a file of the user's that is longer than any identity can be, really", 67);
    id_of(id, CACHEFS__STORE_DAMAGED);
    id_of(first, CACHEFS__STORE_SAME);
    CHECK(!memcmp(id, first, 16));
}

/* The identity as another program would have written it. */
static void other_format(unsigned at)
{
    uint8_t file[64], id[16];
    id_of(id, CACHEFS__STORE_NEW);
    EQ(disk_get(&disk, "/STORE", file, sizeof(file)), 64);
    file[at]++;
    uint64_t hash = 0xcbf29ce484222325u;
    for (unsigned i = 0; i < 56; i++)
        hash = (hash ^ file[i]) * 0x100000001b3u;
    for (unsigned i = 0; i < 8; i++)
        file[56 + i] = (uint8_t)(hash >> (8 * i));
    disk_put(&disk, "/STORE", file, sizeof(file));
}

Test(store_store, a_newer_format_does_not_prevent_the_start)
{
    uint8_t id[16];
    other_format(8);
    id_of(id, CACHEFS__STORE_FOREIGN);
    id_of(id, CACHEFS__STORE_SAME);
}

Test(store_store, a_newer_format_with_a_journal_is_left_untouched)
{
    cachefs__store_t *s = NULL;
    uint8_t before[64], after[64];
    char err[256] = "";
    other_format(12);
    disk_put(&disk, "/journal/00000001", "acknowledged", 12);
    disk_get(&disk, "/STORE", before, sizeof(before));
    IS(VFS_EFORMAT, cachefs__store_open(&s, disk.fs, "/disk", err, sizeof(err)));
    CHECK(s == NULL && strstr(err, "/disk has a journal"));
    disk_get(&disk, "/STORE", after, sizeof(after));
    CHECK(!memcmp(before, after, 64));
    EQ(disk_names(&disk, "/journal"), 1);
}

Test(store_store, a_damaged_identity_leaves_the_journal_alone)
{
    uint8_t id[16];
    id_of(id, CACHEFS__STORE_NEW);
    disk_put(&disk, "/journal/00000001", "acknowledged", 12);
    disk_put(&disk, "/STORE", "junk", 4);
    id_of(id, CACHEFS__STORE_DAMAGED);
    EQ(disk_names(&disk, "/journal"), 1);
}

Test(store_store, each_failing_call_is_an_error_that_names_the_store)
{
    uint64_t n = 0;
    for (int done = 0; !done; n++) {
        cachefs__store_t *s = NULL;
        char err[256] = "";
        vfs_fault_t rule = {.nth = n + 1, .times = 1};
        OK(vfs_fault_add(disk.fault, &rule));
        apr_status_t st = cachefs__store_open(&s, disk.fs, "/disk", err, sizeof(err));
        done = vfs_fault_injected(disk.fault, NULL) == 0;
        vfs_fault_clear(disk.fault);
        CHECK((st == APR_SUCCESS) == (s != NULL));
        if (st) cr_assert(strstr(err, "/disk cannot be used: "), "%s", err);
        if (done) OK(st);
        cachefs__store_close(s);
    }
    CHECK(n > 8);
    cachefs__store_close(disk_store(&disk));
}

Test(store_store, what_cannot_be_written_to_is_refused)
{
    cachefs__store_t *s = NULL;
    char err[256] = "";
    vfs_t *ro;
    OK(vfs_readonly_create(&ro, disk.fs, disk.pool));
    IS(APR_FROM_OS_ERROR(EROFS), cachefs__store_open(&s, ro, "/disk", err, sizeof(err)));
    CHECK(strstr(err, "/disk cannot be used: "));
    OK(vfs_destroy(ro));
}

/* Make a store and replace a file of it, until the power fails. */
static void replace_until_down(void)
{
    cachefs__store_t *s = NULL;
    if (cachefs__store_open(&s, disk.fs, "/disk", NULL, 0)) return;
    if (!cachefs__store_replace(s, "/l2/x", "one", 3))
        (void)cachefs__store_replace(s, "/l2/x", "two", 3);
    cachefs__store_close(s);
}

Test(store_store, a_power_loss_leaves_a_store_that_opens_and_files_that_are_whole)
{
    static const vfs_crash_e how[] = {VFS_CRASH_KEEP_ALL, VFS_CRASH_DROP_UNSYNCED, VFS_CRASH_RANDOM,
                                      VFS_CRASH_TEAR_LAST};
    for (unsigned k = 1; k < 40; k++) {
        for (unsigned i = 0; i < 4; i++) {
            char buf[8];
            vfs_crash_at(disk.crash, k);
            replace_until_down();
            OK(vfs_crash_now(disk.crash, how[i], k, 1));
            vfs_crash_restart(disk.crash);
            vfs_crash_at(disk.crash, 0);
            cachefs__store_t *s = disk_store(&disk);
            if (disk_has(&disk, "/l2/x")) {
                EQ(disk_get(&disk, "/l2/x", buf, sizeof(buf)), 3);
                CHECK(!memcmp(buf, "one", 3) || !memcmp(buf, "two", 3));
            }
            cachefs__store_close(s);
            OK(vfs_remove_all(disk.fs, NULL, "/l2"));
            (void)vfs_unlink(disk.fs, NULL, "/STORE");
        }
    }
}

Test(store_store, an_origin_is_its_name_and_its_root)
{
    uint8_t a[16], b[16], same[16], named[16];
    disk_t other;
    disk_open(&other, 0);
    OK(cachefs__store_origin(a, disk.mem, NULL));
    OK(cachefs__store_origin(same, disk.mem, NULL));
    OK(cachefs__store_origin(named, disk.mem, "s3://bucket"));
    OK(cachefs__store_origin(b, other.mem, NULL));
    disk_close(&other);
    CHECK(!memcmp(a, same, 16) && memcmp(a, named, 16) != 0 && memcmp(a, b, 16) != 0);
}
