/*
 * test_borrow.c - borrowed bytes: what they show, what they survive, their limit.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h readahead=0 get_size=0 "

/* Borrow, and compare with what is expected. */
static cachefs_ref_t *borrow(vfs_file_t *f, apr_off_t off, size_t len, const char *want,
                             size_t pieces)
{
    cachefs_ref_t *ref = NULL;
    vfs_iovec_t iov[64];
    size_t count = pieces, got = 0, at = 0;

    OK(cachefs_read_ref(&ref, f, NULL, len, off, iov, &count, &got));
    for (size_t i = 0; i < count; i++) {
        CHECK(memcmp(iov[i].base, want + at, iov[i].len) == 0);
        at += iov[i].len;
    }
    EQ(at, got);
    return ref;
}

Test(borrow, borrowed_bytes_are_those_of_the_file)
{
    rig_t rig;
    char *data = rig_bytes(300000, 1);

    rig_open(&rig, LONG);
    rig_put(&rig, "/f", data, 300000);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    cachefs_ref_t *a = borrow(f, 0, 300000, data, 64);
    CHECK(rig_stats(&rig).pinned_bytes >= 300000);
    cachefs_ref_t *b = borrow(f, 12345, 5, data + 12345, 1);
    cachefs_ref_release(a);
    cachefs_ref_release(b);
    cachefs_ref_release(NULL);
    EQ(rig_stats(&rig).pinned_bytes, 0);
    rig_reset(&rig);
    cachefs_ref_release(borrow(f, 0, 300000, data, 64));
    EQ(rig_moved(&rig), 0);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(borrow, fewer_bytes_come_at_the_end_and_when_the_vector_is_full)
{
    rig_t rig;
    char *data = rig_bytes(100000, 1);
    cachefs_ref_t *ref;
    vfs_iovec_t iov[2];
    size_t count = 2, got = 0;

    rig_open(&rig, LONG);
    rig_put(&rig, "/f", data, 100000);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    OK(cachefs_read_ref(&ref, f, NULL, 1000, 99990, iov, &count, &got));
    EQ(got, 10);
    EQ(count, 1);
    cachefs_ref_release(ref);
    count = 2;
    OK(cachefs_read_ref(&ref, f, NULL, 1000, 100000, iov, &count, &got));
    EQ(got, 0);
    EQ(count, 0);
    cachefs_ref_release(ref);
    count = 2;
    OK(cachefs_read_ref(&ref, f, NULL, 100000, 0, iov, &count, &got));
    EQ(count, 2);
    CHECK(got < 100000 && got >= 2 * 4096);
    cachefs_ref_release(ref);
    count = 0;
    IS(APR_EINVAL, cachefs_read_ref(&ref, f, NULL, 10, 0, iov, &count, &got));
    count = 2;
    IS(APR_EINVAL, cachefs_read_ref(&ref, f, NULL, 10, -1, iov, &count, &got));
    vfs_file_t *other = rig_file(rig.bottom, "/f", RIG_R);
    IS(APR_EINVAL, cachefs_read_ref(&ref, other, NULL, 10, 0, iov, &count, &got));
    OK(vfs_close(other, NULL));
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(borrow, what_is_borrowed_does_not_change_whatever_happens_to_the_file)
{
    static const char *const modes[] = {
        LONG "mode=through", LONG "mode=around",
        LONG "mode=back flush_interval=1h dirty_age=1h flush_on_close=off"};
    for (int m = 0; m < 3; m++) {
        rig_t rig;
        char *data = rig_bytes(65536, 1), *other = rig_bytes(65536, 2), kept[65536];
        vfs_iovec_t iov[64];
        size_t count = 64, got = 0;
        cachefs_ref_t *ref = NULL;
        rig_open(&rig, modes[m]);
        rig_put(&rig, "/f", data, 65536);
        vfs_file_t *f = rig_file(rig.fs, "/f", RIG_W);
        OK(cachefs_read_ref(&ref, f, NULL, 65536, 0, iov, &count, &got));
        EQ(got, 65536);
        for (int step = 0; step < 8; step++) {
            switch (step) {
            case 0:
                rig_write(f, 0, other, 65536);
                break;
            case 1:
                rig_write(f, 100, "x", 1);
                break;
            case 2:
                OK(vfs_ftruncate(f, NULL, 10));
                break;
            case 3:
                OK(vfs_flush(f, NULL));
                break;
            case 4:
                OK(cachefs_invalidate(rig.fs, "/f", NULL, NULL));
                break;
            case 5:
                OK(cachefs_clear(rig.fs, NULL));
                break;
            case 6:
                rig_write(f, 0, other, 65536);
                break;
            default:
                OK(vfs_unlink(rig.fs, NULL, "/f"));
                break;
            }
            size_t at = 0;
            for (size_t i = 0; i < count; i++) {
                memcpy(kept + at, iov[i].base, iov[i].len);
                at += iov[i].len;
            }
            cr_assert(memcmp(kept, data, 65536) == 0, "mode %d, step %d", m, step);
        }
        OK(vfs_close(f, NULL));
        cachefs_ref_release(ref);
        EQ(rig_stats(&rig).pinned_bytes, 0);
        OK(cachefs_clear(rig.fs, NULL));
        EQ(rig_stats(&rig).resident_bytes, 0);
        free(other);
        free(data);
        rig_close(&rig);
    }
}

#define BACK LONG "mode=back flush_interval=1h dirty_age=1h flush_on_close=off "

Test(borrow, dirty_bytes_do_not_change_when_the_file_is_cut_within_their_block)
{
    rig_t rig;
    char *data = rig_bytes(50000, 1), zeros[1000] = "";

    rig_open(&rig, BACK);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_C);
    rig_write(f, 0, data, 50000);
    vfs_iovec_t iov[64];
    size_t count = 64, got = 0, at = 0;
    cachefs_ref_t *ref = NULL;
    OK(cachefs_read_ref(&ref, f, NULL, 50000, 0, iov, &count, &got));
    EQ(got, 50000);
    OK(vfs_ftruncate(f, NULL, 100));
    rig_write(f, 50, "x", 1);
    for (size_t i = 0; i < count; i++) {
        CHECK(memcmp(iov[i].base, data + at, iov[i].len) == 0);
        at += iov[i].len;
    }
    OK(vfs_ftruncate(f, NULL, 1100));
    rig_read(f, 100, zeros, 1000);
    cachefs_ref_release(ref);
    EQ(rig_stats(&rig).pinned_bytes, 0);
    OK(vfs_close(f, NULL));
    OK(cachefs_flush(rig.fs, NULL, NULL, 0));
    OK(cachefs_clear(rig.fs, NULL));
    EQ(rig_stats(&rig).resident_bytes, 0);
    free(data);
    rig_close(&rig);
}

Test(borrow, zeros_that_a_truncation_appended_to_a_small_file_are_lent)
{
    static const char *const modes[] = {LONG "mode=through", LONG "mode=around", BACK};

    for (int m = 0; m < 3; m++) {
        rig_t rig;
        char *data = calloc(1, 30000);
        rig_open(&rig, modes[m]);
        memcpy(data, "a small file", 12);
        rig_put(&rig, "/f", data, 12);
        vfs_file_t *f = rig_file(rig.fs, "/f", RIG_W);
        rig_read(f, 0, data, 12);
        OK(vfs_ftruncate(f, NULL, 30000));
        cachefs_ref_release(borrow(f, 0, 30000, data, 64));
        cachefs_ref_release(borrow(f, 4000, 200, data + 4000, 64));
        EQ(rig_stats(&rig).pinned_bytes, 0);
        OK(vfs_close(f, NULL));
        free(data);
        rig_close(&rig);
    }
}

Test(borrow, what_is_borrowed_is_not_evicted)
{
    rig_t rig;
    char *data = rig_bytes(200000, 1), *other = rig_bytes(4u << 20, 2);
    vfs_iovec_t iov[64];
    size_t count = 64, got = 0, at = 0;
    cachefs_ref_t *ref = NULL;

    rig_open(&rig, LONG "ram=1m");
    rig_put(&rig, "/f", data, 200000);
    rig_put(&rig, "/other", other, 4u << 20);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    OK(cachefs_read_ref(&ref, f, NULL, 200000, 0, iov, &count, &got));
    rig_holds(rig.fs, "/other", other, 4u << 20);
    for (size_t i = 0; i < count; i++) {
        CHECK(memcmp(iov[i].base, data + at, iov[i].len) == 0);
        at += iov[i].len;
    }
    EQ(at, got);
    cachefs_ref_release(ref);
    OK(vfs_close(f, NULL));
    free(other);
    free(data);
    rig_close(&rig);
}

Test(borrow, the_limit_of_borrowed_bytes_holds)
{
    rig_t rig;
    char *data = rig_bytes(1u << 20, 1);
    vfs_iovec_t iov[64];
    cachefs_ref_t *refs[64];
    int n = 0;
    apr_status_t st = APR_SUCCESS;

    rig_open(&rig, LONG "ram=16m pin_bytes_max=256k");
    rig_put(&rig, "/f", data, 1u << 20);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_read(f, 0, data, 1u << 20);
    for (; n < 64; n++) {
        size_t count = 64, got;
        st = cachefs_read_ref(&refs[n], f, NULL, 16384, n * 16384, iov, &count, &got);
        CHECK(rig_stats(&rig).pinned_bytes <= 256u << 10);
        if (st) break;
    }
    IS(VFS_ELIMIT, st);
    CHECK(n >= 4 && n <= 16);
    size_t count = 64, got;
    IS(VFS_ELIMIT, cachefs_read_ref(&refs[n], f, NULL, 1u << 20, 0, iov, &count, &got));
    rig_read(f, 0, data, 1u << 20); /* copies go on */
    while (n-- > 0)
        cachefs_ref_release(refs[n]);
    EQ(rig_stats(&rig).pinned_bytes, 0);
    cachefs_ref_release(borrow(f, 0, 16384, data, 64));
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(borrow, an_error_below_borrows_nothing)
{
    rig_t rig;
    char *data = rig_bytes(200000, 1);
    vfs_iovec_t iov[64];
    size_t count = 64, got = 1;
    cachefs_ref_t *ref = NULL;

    rig_open(&rig, LONG);
    rig_put(&rig, "/f", data, 200000);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_read(f, 0, data, 65536);
    rig_fail(&rig, VFS_OPID_fetch, VFS_EOFFLINE, 0, 0);
    IS(VFS_EOFFLINE, cachefs_read_ref(&ref, f, NULL, 200000, 0, iov, &count, &got));
    CHECK(ref == NULL && got == 0);
    EQ(rig_stats(&rig).pinned_bytes, 0);
    vfs_fault_clear(rig.fault);
    cachefs_ref_release(borrow(f, 0, 200000, data, 64));
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(borrow, what_is_borrowed_again_is_what_the_file_has_by_then)
{
    rig_t rig;
    char *data = rig_bytes(16384, 1), *other = rig_bytes(16384, 2);

    rig_open(&rig, LONG "block_size=4k");
    rig_put(&rig, "/f", data, 16384);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_W);
    for (int step = 0; step < 5; step++) {
        for (int again = 0; again < 3; again++) {
            cachefs_ref_t *a = borrow(f, 4096, 4096, data + 4096, 1);
            cachefs_ref_t *b = borrow(f, 4096, 4096, data + 4096, 1);
            cachefs_ref_release(a);
            cachefs_ref_release(b);
        }
        if (step == 0) rig_write(f, 0, memcpy(data, other, 16384), 16384);
        if (step == 1) OK(vfs_ftruncate(f, NULL, 4100));
        if (step == 1) OK(vfs_ftruncate(f, NULL, 16384));
        if (step == 1) memset(data + 4100, 0, 16384 - 4100);
        if (step == 2) OK(cachefs_invalidate(rig.fs, "/f", NULL, NULL));
        if (step == 3) OK(cachefs_clear(rig.fs, NULL));
    }
    EQ(rig_stats(&rig).pinned_bytes, 0);
    cachefs_ref_t *kept = borrow(f, 4096, 4096, data + 4096, 1);
    OK(cachefs_clear(rig.fs, NULL));
    CHECK(rig_stats(&rig).pinned_bytes >= 4096);
    cachefs_ref_release(kept);
    OK(vfs_close(f, NULL));
    free(other);
    free(data);
    rig_close(&rig);
}
