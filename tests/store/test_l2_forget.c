/* test_l2_forget.c - the disk tier: what is forgotten is not found, and does not come back. */
#include "tests/store/support_l2.h"

TestSuite(store_l2_forget, .init = setup, .fini = teardown);

Test(store_l2_forget, what_is_forgotten_is_gone_whatever_its_size)
{
    cachefs__l2_key_t k = key_of(1), vast = key_of(2);
    put(1, 0, 200 * KIB);
    put(2, 0, 64 * KIB);
    cachefs__l2_forget(l2, &k, 200 * KIB);
    CHECK(!has(1, 0, 64 * KIB) && !has(1, 192 * KIB, 8 * KIB) && has(2, 0, 64 * KIB));
    cachefs__l2_forget(l2, &vast, ((uint64_t)L2_FORGET_MAX + 1) << L2_CELL_SHIFT);
    CHECK(!has(2, 0, 64 * KIB));
    EQ(stats().records, 0);
}

/* More records than are forgotten under one hold of the lock. */
Test(store_l2_forget, of_many_records_none_stays_and_new_ones_may_come)
{
    config.bytes = 256u << 20; /* room for 16,384 */
    again();
    for (uint64_t n = 0; n < 10000; n++) {
        put(n, 0, 100);
        if (n % 1000 == 999) cachefs__l2_drain(l2);
    }
    CHECK(stats().records > 9000 && has(9999, 0, 100));
    cachefs__l2_clear(l2);
    EQ(stats().records, 0);
    put(20000, 0, 100);
    CHECK(has(20000, 0, 100) && !has(9999, 0, 100));
    cachefs__l2_key_t k = key_of(20000);
    cachefs__l2_forget(l2, &k, 10000ull << L2_CELL_SHIFT);
    CHECK(!has(20000, 0, 100));
}

static uint64_t forget_key; /* when the writer reads it to move it; 0: nothing */
static unsigned forgotten;

static apr_status_t forget_then_read(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                     size_t count, apr_off_t off, size_t *got)
{
    apr_status_t st = vfs_pass_readv_at(file, ctx, iov, count, off, got);
    if (forget_key && iov[0].len == L2_HEAD) {
        cachefs__l2_key_t k = key_of(forget_key);
        cachefs__l2_forget(l2, &k, 64 * KIB);
        forgotten++;
    }
    return st;
}

Test(store_l2_forget, what_is_forgotten_while_it_is_moved_does_not_come_back)
{
    vfs_ops_t ops = disk_pass_ops();
    vfs_t *watched;
    ops.readv_at = forget_then_read;
    cachefs__l2_close(l2);
    cachefs__store_close(store);
    OK(vfs_create(&watched, &ops, disk.fs, NULL, NULL, disk.pool));
    disk.fs = watched;
    store = disk_store(&disk);
    OK(cachefs__l2_open(&l2, store, &config));
    put(7, 0, 64 * KIB);
    cachefs__l2_drain(l2);
    CHECK(has(7, 0, 64 * KIB)); /* so it gets its second chance */
    forget_key = 7;
    for (uint64_t n = 100; n < 300; n++) {
        put(n, 0, 64 * KIB);
        cachefs__l2_drain(l2);
    }
    CHECK(stats().evicted_bytes > 0 && forgotten > 0);
    CHECK(!has(7, 0, 64 * KIB));
    EQ(stats().moved_bytes, 0);
    forget_key = 0;
}
