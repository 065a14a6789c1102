/* test_l2_scrub.c - the disk tier: what a disk lost is found before anybody asks for it. */
#include "tests/store/support_l2.h"

static void setup_scrub(void)
{
    setup();
    for (uint64_t n = 0; n < 24; n++) {
        put(n, 0, 64 * KIB);
        cachefs__l2_drain(l2);
    }
}

TestSuite(store_l2_scrub, .init = setup_scrub, .fini = teardown);

/* Begin anew, with so many bytes a second. */
static void scrub(uint64_t rate)
{
    config.scrub_bytes_per_s = rate;
    again();
}

static void flip(uint32_t seq, apr_off_t at)
{
    char name[64];
    vfs_file_t *file;
    size_t n;
    cachefs__l2_name(name, sizeof(name), seq);
    OK(vfs_open(&file, disk.fs, NULL, name, VFS_O_WRITE, 0, NULL, NULL));
    OK(vfs_write_at(file, NULL, "????", 4, at, &n, NULL));
    OK(vfs_close(file, NULL));
}

static void wait_for_pass(void)
{
    while (!stats().scrubs)
        apr_sleep(1000);
}

Test(store_l2_scrub, a_damaged_record_is_found_and_forgotten_and_the_others_stay)
{
    flip(1, 5000); /* of the first record's bytes */
    flip(2, 70);   /* of the first record's head */
    scrub(1ull << 40);
    wait_for_pass();
    EQ(stats().scrub_bad, 2);
    EQ(stats().bad, 2);
    EQ(stats().hits, 0);
    CHECK(!has(0, 0, 64 * KIB)); /* and nobody reads it again to know that */
    EQ(stats().bad, 2);
    unsigned there = 0;
    for (uint64_t n = 0; n < 24; n++)
        there += (unsigned)has(n, 0, 64 * KIB);
    EQ(there, 22);
    EQ(stats().scrubbed_bytes % (64 * KIB), 0);
    CHECK(stats().scrubbed_bytes >= 14 * 64 * KIB);
}

Test(store_l2_scrub, it_takes_its_time)
{
    apr_time_t start = apr_time_now();
    scrub(2u << 20);
    while (stats().scrubbed_bytes < 14 * 64 * KIB)
        apr_sleep(1000);
    CHECK(apr_time_now() - start >= 13 * 64 * KIB * 1000000ll / (2 << 20));
}

Test(store_l2_scrub, it_is_off_unless_asked_for)
{
    again();
    put(100, 0, 64 * KIB);
    cachefs__l2_drain(l2);
    CHECK(has(5, 0, 64 * KIB));
    EQ(stats().scrubbed_bytes, 0);
    EQ(stats().scrubs, 0);
}

Test(store_l2_scrub, a_store_that_fails_is_left_alone)
{
    disk_fail(&disk, VFS_OPID_readv_at, EAGAIN, 0, 0);
    scrub(1ull << 40);
    while (!stats().errors)
        apr_sleep(1000);
    EQ(stats().scrub_bad, 0);
    vfs_fault_clear(disk.fault);
    CHECK(has(5, 0, 64 * KIB));
}

/* Segments come and go meanwhile. */
Test(store_l2_scrub, what_is_evicted_under_it_harms_nobody)
{
    scrub(64u << 20);
    for (uint64_t n = 100; n < 400; n++) {
        put(n, 0, 64 * KIB);
        cachefs__l2_drain(l2);
    }
    CHECK(stats().evicted_bytes > 0 && stats().scrubbed_bytes > 0);
    EQ(stats().bad, 0);
    CHECK(has(399, 0, 64 * KIB));
}
