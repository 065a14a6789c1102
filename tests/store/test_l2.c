/* test_l2.c - the disk tier: what is put in is found again, across restarts, within its limits. */
#include <stdlib.h>

#include "cachefs/rank.h"
#include "tests/store/support_l2.h"
#include "tests/sweep.h"

TestSuite(store_l2, .init = setup, .fini = teardown);

Test(store_l2, what_was_put_is_read_from_the_buffer_and_from_the_disk)
{
    put(1, 0, 200 * KIB + 17);
    put(2, 64 * KIB, 4 * KIB);
    for (int i = 0; i < 3; i++) {
        CHECK(has(1, 0, 200 * KIB + 17) && has(1, 5000, 100) && has(2, 64 * KIB, 4 * KIB));
        CHECK(!has(1, 0, 200 * KIB + 18) && !has(2, 60 * KIB, 8 * KIB) && !has(3, 0, 1));
        if (i == 0) cachefs__l2_drain(l2);
        if (i == 1) again();
    }
    EQ(stats().bad, 0);
    EQ(stats().found, 5);
}

Test(store_l2, an_extent_says_what_is_there_and_what_is_not)
{
    cachefs__l2_key_t k = key_of(1);
    uint64_t stop;
    put(1, 128 * KIB, 100 * KIB);
    CHECK(!cachefs__l2_extent(l2, &k, 0, 512 * KIB, &stop));
    EQ(stop, 128 * KIB);
    CHECK(!cachefs__l2_extent(l2, &k, 0, 100 * KIB, &stop));
    EQ(stop, 100 * KIB);
    CHECK(cachefs__l2_extent(l2, &k, 130 * KIB, 512 * KIB, &stop));
    EQ(stop, 228 * KIB);
    CHECK(cachefs__l2_extent(l2, &k, 130 * KIB, 200 * KIB, &stop));
    EQ(stop, 200 * KIB);
    CHECK(!cachefs__l2_extent(l2, &k, 228 * KIB, 512 * KIB, &stop));
    EQ(stop, 512 * KIB);
}

Test(store_l2, what_is_there_already_is_not_written_again)
{
    put(1, 0, 64 * KIB);
    put(1, 0, 64 * KIB);
    EQ(stats().put_bytes, 64 * KIB);
}

Test(store_l2, hints_outlive_a_restart)
{
    cachefs__l2_key_t a = key_of(1), b = key_of(2);
    ready();
    cachefs__l2_hint(l2, &a);
    cachefs__l2_hint(l2, &a);
    EQ(stats().records, 1);
    again();
    CHECK(cachefs__l2_hinted(l2, &a) && !cachefs__l2_hinted(l2, &b));
    CHECK(!has(1, 0, 1));
}

Test(store_l2, it_stays_within_its_bytes_and_the_oldest_goes)
{
    for (uint64_t n = 0; n < 200; n++) {
        put(n, 0, 64 * KIB);
        cachefs__l2_drain(l2);
        CHECK(stats().bytes <= config.bytes);
    }
    CHECK(!has(0, 0, 64 * KIB) && has(199, 0, 64 * KIB));
    CHECK(stats().evicted_bytes > 0 && stats().dropped < 20);
    vfs_statfs_t space;
    OK(vfs_sync_fs(disk.fs, NULL)); /* until then the shim keeps what was unlinked */
    OK(vfs_statfs(disk.fs, NULL, "/", &space));
    CHECK(space.bytes_total - space.bytes_free <= config.bytes + 512 * KIB);
}

Test(store_l2, what_is_read_gets_a_second_chance)
{
    put(7, 0, 64 * KIB);
    for (uint64_t n = 100; n < 300; n++) {
        put(n, 0, 64 * KIB);
        cachefs__l2_drain(l2);
        if (n % 8 == 0) (void)has(7, 0, 64 * KIB);
    }
    CHECK(has(7, 0, 64 * KIB) && !has(100, 0, 64 * KIB));
    CHECK(stats().moved_bytes >= 64 * KIB);
}

Test(store_l2, short_runs_go_on_with_one_segment)
{
    for (uint64_t n = 0; n < 6; n++) {
        put(n, 0, 16 * KIB);
        again();
    }
    for (uint64_t n = 0; n < 6; n++)
        CHECK(has(n, 0, 16 * KIB));
    cachefs__l2_close(l2);
    l2 = NULL;
    EQ(disk_names(&disk, CACHEFS__STORE_L2), 1);
    OK(cachefs__l2_open(&l2, store, &config));
}

Test(store_l2, segments_of_another_store_are_thrown_away)
{
    put(1, 0, 64 * KIB);
    cachefs__l2_close(l2);
    cachefs__store_close(store);
    disk_put(&disk, "/STORE", "junk", 4);
    store = disk_store(&disk);
    OK(cachefs__l2_open(&l2, store, &config));
    CHECK(!has(1, 0, 64 * KIB));
    EQ(stats().discarded, 1);
}

Test(store_l2, fewer_bytes_keep_the_newest)
{
    for (uint64_t n = 0; n < 40; n++) {
        put(n, 0, 64 * KIB);
        cachefs__l2_drain(l2);
    }
    config.bytes = 1u << 20;
    config.segment_bytes = 256 * KIB;
    again();
    CHECK(has(39, 0, 64 * KIB) && !has(0, 0, 64 * KIB));
    put(50, 0, 64 * KIB);
    cachefs__l2_drain(l2);
    CHECK(has(50, 0, 64 * KIB));
}

/* ---- damage */

/* A small tier, closed: its only segment in *bytes. */
static size_t small_segment(uint8_t **bytes, char *name, size_t size)
{
    put(1, 0, 4 * KIB);
    put(2, 4 * KIB, 5 * KIB);
    put(3, 0, 100);
    cachefs__l2_close(l2);
    l2 = NULL;
    cachefs__l2_name(name, size, 1);
    vfs_attr_t attr;
    OK(vfs_stat(disk.fs, NULL, name, &attr));
    *bytes = malloc(attr.size);
    EQ(disk_get(&disk, name, *bytes, attr.size), attr.size);
    return attr.size;
}

/* Whatever lies there: no crash, no wrong byte. Returns how many of the three are there. */
static int look_at(const char *name, const uint8_t *bytes, size_t len)
{
    disk_put(&disk, name, bytes, len);
    OK(cachefs__l2_open(&l2, store, &config));
    int there = has(1, 0, 4 * KIB) + has(2, 4 * KIB, 5 * KIB) + has(3, 0, 100);
    cachefs__l2_close(l2);
    l2 = NULL;
    return there;
}

Test(store_l2, any_flipped_byte_costs_at_most_what_it_is_of)
{
    uint8_t *bytes;
    char name[64];
    int lost = 0;
    size_t len = small_segment(&bytes, name, sizeof(name));
    for (size_t i = 0; i < len; i += i < 300 || i + 300 > len ? 1 : 61) {
        bytes[i] ^= 0x40;
        int there = look_at(name, bytes, len);
        bytes[i] ^= 0x40;
        cr_assert(i < L2_HEAD ? there == 0 : there >= 2, "byte %zu: %d are there", i, there);
        lost += there < 3;
    }
    CHECK(lost > 100);
    EQ(look_at(name, bytes, len), 3);
    free(bytes);
    OK(cachefs__l2_open(&l2, store, &config));
}

Test(store_l2, any_length_that_is_left_is_good_for_what_it_has)
{
    uint8_t *bytes;
    char name[64];
    int last = 0;
    size_t len = small_segment(&bytes, name, sizeof(name));
    for (size_t n = 0; n <= len; n += n < 200 || n + 300 > len ? 1 : 61) {
        int there = look_at(name, bytes, n);
        CHECK(there >= last);
        last = there;
    }
    EQ(last, 3);
    free(bytes);
    OK(cachefs__l2_open(&l2, store, &config));
}

Test(store_l2, what_is_no_segment_is_left_alone)
{
    disk_put(&disk, "/l2/seg-00000zz1", "mine", 4);
    disk_put(&disk, "/l2/notes.txt", "mine", 4);
    put(1, 0, 4 * KIB);
    again();
    CHECK(disk_has(&disk, "/l2/notes.txt") && disk_has(&disk, "/l2/seg-00000zz1"));
    CHECK(has(1, 0, 4 * KIB));
}

Test(store_l2, a_flipped_byte_under_a_running_tier_is_a_miss)
{
    char name[64];
    put(1, 0, 64 * KIB);
    put(2, 0, 64 * KIB);
    cachefs__l2_drain(l2);
    cachefs__l2_name(name, sizeof(name), 1);
    vfs_file_t *file;
    size_t n;
    OK(vfs_open(&file, disk.fs, NULL, name, VFS_O_WRITE, 0, NULL, NULL));
    OK(vfs_write_at(file, NULL, "????", 4, 5000, &n, NULL));
    OK(vfs_close(file, NULL));
    CHECK(!has(1, 0, 64 * KIB) && has(2, 0, 64 * KIB));
    EQ(stats().bad, 1);
    cachefs__l2_key_t k = key_of(1);
    uint64_t stop;
    CHECK(!cachefs__l2_extent(l2, &k, 0, 64 * KIB, &stop));
}

/* ---- power loss */

Test(store_l2, after_a_power_loss_it_has_nothing_wrong)
{
    static const vfs_crash_e how[] = {VFS_CRASH_KEEP_ALL, VFS_CRASH_DROP_UNSYNCED, VFS_CRASH_RANDOM,
                                      VFS_CRASH_TEAR_LAST};
    for (unsigned k = 1; k < 24; k += sweep_step()) {
        for (unsigned i = 0; i < 4; i++) {
            vfs_crash_at(disk.crash, k);
            for (uint64_t n = 0; n < 14; n++) {
                uint8_t buf[64 * KIB];
                cachefs__l2_key_t key = key_of(n);
                vfs_iovec_t iov = {buf, sizeof(buf)};
                for (size_t b = 0; b < sizeof(buf); b++)
                    buf[b] = byte_of(n, b);
                cachefs__l2_put(l2, &key, 0, &iov, 1, sizeof(buf));
                cachefs__l2_drain(l2);
            }
            cachefs__l2_close(l2);
            cachefs__store_close(store);
            OK(vfs_crash_now(disk.crash, how[i], k * 4 + i, k * 512));
            vfs_crash_restart(disk.crash);
            vfs_crash_at(disk.crash, 0);
            store = disk_store(&disk);
            OK(cachefs__l2_open(&l2, store, &config));
            for (uint64_t n = 0; n < 14; n++)
                (void)has(n, 0, 64 * KIB);
            put(99, 0, 64 * KIB);
            CHECK(has(99, 0, 64 * KIB));
            cachefs__l2_close(l2);
            OK(vfs_remove_all(disk.fs, NULL, CACHEFS__STORE_L2));
            OK(vfs_mkdir(disk.fs, NULL, CACHEFS__STORE_L2, 0700));
            OK(vfs_sync_fs(disk.fs, NULL));
            OK(cachefs__l2_open(&l2, store, &config));
        }
    }
}

/* ---- failures */

/* A store that is put aside is tried from then on. */
static void try_at(int64_t us)
{
    cachefs__lock(&l2->lock, RANK_LEAF);
    l2->breaker.until_us = us;
    pthread_cond_signal(&l2->work);
    cachefs__unlock(&l2->lock, RANK_LEAF);
}

Test(store_l2, a_store_that_fails_is_put_aside_and_taken_back)
{
    for (uint64_t n = 1; n < 5; n++)
        put(n, 0, 64 * KIB);
    cachefs__l2_drain(l2);
    wait_for(1); /* no call of the writer's succeeds in between */
    disk_fail(&disk, VFS_OPID_readv_at, EIO, 0, 0);
    for (uint64_t n = 2; n < 5; n++)
        CHECK(!has(n, 0, 64 * KIB));
    EQ(stats().open, 1);
    try_at(INT64_MAX / 2);
    uint64_t failed = vfs_fault_injected(disk.fault, NULL);
    cachefs__l2_key_t k = key_of(1);
    uint64_t stop;
    CHECK(!cachefs__l2_extent(l2, &k, 0, 64 * KIB, &stop));
    EQ(vfs_fault_injected(disk.fault, NULL), failed);
    vfs_fault_clear(disk.fault);
    try_at(0);
    while (stats().open)
        apr_sleep(10000);
    CHECK(has(1, 0, 64 * KIB));
    EQ(stats().breaker_opened, 1);
}

Test(store_l2, a_place_that_cannot_be_read_is_tried_once)
{
    put(1, 0, 64 * KIB);
    put(2, 0, 64 * KIB);
    cachefs__l2_drain(l2);
    disk_fail(&disk, VFS_OPID_readv_at, EIO, 0, 1);
    for (int i = 0; i < 5; i++)
        CHECK(!has(1, 0, 64 * KIB));
    EQ(stats().errors, 1);
    EQ(stats().open, 0);
    CHECK(has(2, 0, 64 * KIB));
    cachefs__l2_key_t k = key_of(2);
    vfs_ctx_t late = VFS_CTX_INIT;
    uint8_t byte;
    vfs_iovec_t iov = {&byte, 1};
    late.deadline = 1;
    CHECK(cachefs__l2_read(l2, &k, &late, 0, &iov, 1)); /* its reader's matter alone */
    CHECK(has(2, 0, 64 * KIB));
}

Test(store_l2, writes_that_fail_lose_what_they_had_and_nothing_else)
{
    put(1, 0, 64 * KIB);
    cachefs__l2_drain(l2);
    wait_for(1);
    disk_fail(&disk, VFS_OPID_write_at, EIO, 0, 1);
    put(2, 0, 64 * KIB);
    cachefs__l2_drain(l2);
    CHECK(!has(2, 0, 64 * KIB));
    put(3, 0, 64 * KIB);
    cachefs__l2_drain(l2);
    CHECK(has(3, 0, 64 * KIB));
    EQ(stats().errors, 1);
}

Test(store_l2, each_call_of_a_run_may_fail)
{
    uint64_t n = 0;
    for (int done = 0; !done; n++) {
        put(1000 + n, 0, 4 * KIB); /* so that there is a segment to go on with */
        cachefs__l2_close(l2);
        vfs_fault_t rule = {.nth = n + 1, .times = 1};
        OK(vfs_fault_add(disk.fault, &rule));
        apr_status_t st = cachefs__l2_open(&l2, store, &config);
        if (!st) {
            cachefs__l2_key_t k = key_of(n);
            uint8_t buf[4 * KIB];
            vfs_iovec_t iov = {buf, sizeof(buf)};
            for (size_t b = 0; b < sizeof(buf); b++)
                buf[b] = byte_of(n, b);
            cachefs__l2_put(l2, &k, 0, &iov, 1, sizeof(buf));
            cachefs__l2_drain(l2);
            (void)has(n, 0, 4 * KIB);
            (void)has(n / 2, 0, 4 * KIB);
            cachefs__l2_close(l2);
        }
        done = vfs_fault_injected(disk.fault, NULL) == 0;
        vfs_fault_clear(disk.fault);
        OK(cachefs__l2_open(&l2, store, &config));
    }
    cr_assert(n > 6, "%" PRIu64 " calls", n);
}

Test(store_l2, a_full_disk_stops_it_and_harms_nobody)
{
    cachefs__l2_close(l2);
    cachefs__store_close(store);
    disk_close(&disk);
    disk_open(&disk, 3u << 20);
    store = disk_store(&disk);
    config.free_min = 1u << 20;
    OK(cachefs__l2_open(&l2, store, &config));
    for (uint64_t n = 0; n < 100; n++) {
        cachefs__l2_key_t k = key_of(n);
        uint8_t buf[64 * KIB] = {0};
        vfs_iovec_t iov = {buf, sizeof(buf)};
        cachefs__l2_put(l2, &k, 0, &iov, 1, sizeof(buf));
        cachefs__l2_drain(l2);
        vfs_statfs_t space;
        OK(vfs_statfs(disk.fs, NULL, "/", &space));
        CHECK(space.bytes_available >= config.free_min);
    }
    EQ(stats().open, 0);
}

/* ---- admission */

static void admit(cachefs__l2_admit_e how, uint32_t percent)
{
    config.admit = how;
    config.admit_percent = percent;
    again();
}

Test(store_l2, admission_by_chance_takes_about_that_many)
{
    admit(L2_ADMIT_SAMPLED, 25);
    for (uint64_t n = 0; n < 400; n++)
        put(n, 0, 4 * KIB);
    CHECK(stats().refused > 250 && stats().refused < 350);
}

Test(store_l2, admission_of_the_second_offer)
{
    admit(L2_ADMIT_SECOND, 0);
    put(1, 0, 4 * KIB);
    CHECK(!has(1, 0, 4 * KIB));
    put(1, 4 * KIB, 4 * KIB);
    CHECK(!has(1, 4 * KIB, 4 * KIB));
    put(1, 0, 4 * KIB);
    CHECK(has(1, 0, 4 * KIB));
}

Test(store_l2, the_sketch_admits_all_while_there_is_room)
{
    admit(L2_ADMIT_SKETCH, 0);
    for (uint64_t n = 0; n < 20; n++)
        put(n, 0, 64 * KIB);
    EQ(stats().refused, 0);
    for (uint64_t n = 20; n < 120; n++) {
        put(n, 0, 64 * KIB);
        cachefs__l2_drain(l2);
    }
    CHECK(stats().evicted_bytes > 0);
    uint64_t refused = stats().refused;
    put(500, 0, 64 * KIB);
    EQ(stats().refused, refused + 1);
    put(500, 0, 64 * KIB);
    CHECK(has(500, 0, 64 * KIB));
}
