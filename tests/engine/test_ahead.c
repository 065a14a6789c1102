/*
 * test_ahead.c - what is read before anybody asked for it: regions around scattered misses, when
 * they come and when not, and what they cost; pieces of a straight reader.
 */
#include "tests/engine/support_rig.h"

#include "cachefs/ahead.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h get_size=0 block_size=16k "
#define REGION (128u << 10)

/* A far lower layer, whose link carries much more in a round trip than the limits allow. */
static void far_open(rig_t *rig, const char *keys)
{
    vfs_delay_t far = {2000, 0, 0, 0, 1};
    rig_open(rig, keys);
    OK(vfs_delay_set(rig->delay, &far));
    rig->c->lower_is_far = 1;
    atomic_store(&rig->c->ahead->link.trip_us, 20000);
    atomic_store(&rig->c->ahead->link.bytes_per_s, 1000000000);
}

static void read_at(rig_t *rig, vfs_file_t *f, const char *data, size_t off)
{
    rig_read(f, (apr_off_t)off, data + off, 4096);
    rig_settle(rig);
}

/* The first reads of `count` steps, the last step first. */
static void scatter(rig_t *rig, vfs_file_t *f, const char *data, size_t count, size_t step)
{
    for (size_t k = count; k > 0; k--)
        read_at(rig, f, data, k * step);
}

Test(ahead, the_fourth_scattered_miss_brings_what_is_around_it)
{
    rig_t rig;
    size_t len = 8u << 20, off = 5u << 20;
    char *data = rig_bytes(len, 1);

    far_open(&rig, LONG "ram=64m readahead=128k");
    rig_put(&rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_reset(&rig);
    scatter(&rig, f, data, 3, 1u << 20);
    EQ(rig_stats(&rig).readahead_bytes, 0);
    EQ(rig_moved(&rig), 3 * 16384);
    read_at(&rig, f, data, off + 40960);
    EQ(rig_calls(&rig, VFS_OPID_fetch), 4); /* the region comes with the miss */
    EQ(rig_moved(&rig), 3 * 16384 + REGION);
    EQ(rig_stats(&rig).readahead_bytes, REGION - 4096);
    rig_reset(&rig);
    rig_read(f, (apr_off_t)off, data + off, REGION);
    EQ(rig_calls(&rig, VFS_OPID_fetch), 0);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

static void nothing_unasked(rig_t *rig)
{
    size_t len = 8u << 20;
    char *data = rig_bytes(len, 1);

    rig_put(rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig->fs, "/f", RIG_R);
    rig_reset(rig);
    scatter(rig, f, data, 31, 256u << 10);
    EQ(rig_stats(rig).readahead_bytes, 0);
    EQ(rig_moved(rig), 31 * 16384);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(rig);
}

Test(ahead, no_region_comes_from_a_lower_layer_that_is_near)
{
    rig_t rig;

    far_open(&rig, LONG "ram=64m");
    rig.c->lower_is_far = 0;
    nothing_unasked(&rig);
}

Test(ahead, no_region_comes_where_read_ahead_is_off)
{
    rig_t rig;

    far_open(&rig, LONG "ram=64m readahead=0");
    nothing_unasked(&rig);
}

Test(ahead, no_region_comes_over_a_narrow_link)
{
    rig_t rig;
    size_t len = 8u << 20;
    char *data = rig_bytes(len, 1);

    far_open(&rig, LONG "ram=64m");
    rig_put(&rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    for (size_t k = 31; k > 0; k--) { /* 100 KB/s: a round trip carries 2 KB at most */
        atomic_store(&rig.c->ahead->link.bytes_per_s, 100000);
        atomic_store(&rig.c->ahead->link.trip_us, 20000);
        read_at(&rig, f, data, k * (256u << 10));
    }
    EQ(rig_stats(&rig).readahead_bytes, 0);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(ahead, a_file_that_fits_comes_in_few_requests_and_nothing_twice)
{
    rig_t rig;
    size_t len = 8u << 20, x = 12345;
    char *data = rig_bytes(len, 1);

    far_open(&rig, LONG "ram=64m readahead=1m");
    rig_put(&rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_reset(&rig);
    for (int i = 0; i < 400; i++) {
        x = (x * 1103515245u + 12345u) & 0x7fffffffu;
        read_at(&rig, f, data, (x >> 8) % (len / 4096) * 4096);
    }
    CHECK(rig_calls(&rig, VFS_OPID_fetch) < 60); /* of about 300 */
    CHECK(rig_moved(&rig) <= len);
    CHECK(rig_stats(&rig).readahead_bytes > len / 2);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(ahead, regions_that_nobody_reads_are_given_up)
{
    rig_t rig;
    size_t len = 16u << 20;
    char *data = rig_bytes(len, 1);

    far_open(&rig, LONG "ram=16m readahead=256k"); /* the file is four times what is trusted */
    rig_put(&rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    scatter(&rig, f, data, 40, 256u << 10);
    uint64_t brought = rig_stats(&rig).readahead_bytes;
    CHECK(brought > REGION / 2);
    CHECK(brought <= 2u << 20); /* of 9 MiB */
    for (size_t k = 63; k > 43; k--)
        read_at(&rig, f, data, k * (256u << 10));
    EQ(rig_stats(&rig).readahead_bytes, brought);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(ahead, nothing_is_read_ahead_while_the_lower_layer_is_away)
{
    rig_t rig;
    size_t len = 8u << 20, got;
    char *data = rig_bytes(len, 1), buf[4096];

    far_open(&rig, LONG "ram=64m readahead=128k");
    rig_put(&rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    scatter(&rig, f, data, 3, 1u << 20);
    rig_fail(&rig, VFS_OPID_fetch, VFS_EOFFLINE, 1, 2);
    IS(VFS_EOFFLINE, vfs_read_at(f, NULL, buf, sizeof(buf), 5 << 20, &got));
    CHECK(cachefs__link_away(rig.c));
    rig_reset(&rig);
    IS(VFS_EOFFLINE, vfs_read_at(f, NULL, buf, sizeof(buf), 6 << 20, &got));
    EQ(rig_stats(&rig).readahead_bytes, 0);
    read_at(&rig, f, data, 6u << 20); /* it is back, which this one tells */
    CHECK(!cachefs__link_away(rig.c));
    EQ(rig_stats(&rig).readahead_bytes, 0);
    read_at(&rig, f, data, 7u << 20);
    CHECK(rig_stats(&rig).readahead_bytes > 0);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

typedef struct reader_t {
    vfs_file_t *file;
    char buf[4096];
    size_t off, got;
    apr_status_t st;
} reader_t;

static void *read_it(void *arg)
{
    reader_t *r = arg;
    r->st = vfs_read_at(r->file, NULL, r->buf, sizeof(r->buf), (apr_off_t)r->off, &r->got);
    return NULL;
}

Test(ahead, a_region_never_mixes_versions)
{
    rig_t rig;
    size_t len = 4u << 20;
    char *data = rig_bytes(len, 1), *other = rig_bytes(len, 2);
    pthread_t thread;

    far_open(&rig, LONG "ram=64m readahead=128k");
    rig_put(&rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    scatter(&rig, f, data, 3, 1u << 20);
    reader_t r = {.file = f, .off = 200000 / 4096 * 4096};
    rig_block(&rig, VFS_OPID_fetch, 1);
    pthread_create(&thread, NULL, read_it, &r);
    rig_wait_blocked(&rig, 1);
    rig_put(&rig, "/f", other, len); /* what the region brings is of this one */
    vfs_fault_release(rig.fault);
    pthread_join(thread, NULL);
    OK(r.st);
    EQ(r.got, sizeof(r.buf));
    CHECK(!memcmp(r.buf, other + r.off, sizeof(r.buf)));
    rig_settle(&rig);
    for (size_t at = 0; at < len; at += 65536)
        rig_read(f, (apr_off_t)at, other + at, 65536);
    OK(vfs_close(f, NULL));
    free(data);
    free(other);
    rig_close(&rig);
}

Test(ahead, a_piece_under_way_is_dropped_when_the_version_changes)
{
    rig_t rig;
    size_t len = 4u << 20;
    char *data = rig_bytes(len, 1), *other = rig_bytes(len, 2);

    far_open(&rig, LONG "ram=64m readahead=1m");
    rig_put(&rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    read_at(&rig, f, data, 3u << 20);
    obj_t *o = rig_obj(&rig, "/f");
    rig_block(&rig, VFS_OPID_fetch, 1);
    CHECK(cachefs__ahead_piece(rig.c, o, atomic_load(&o->ver), 1u << 20, 2u << 20));
    rig_wait_blocked(&rig, 1);
    rig_put(&rig, "/f", other, len);
    vfs_fault_release(rig.fault);
    rig_settle(&rig);
    for (size_t at = 0; at < len; at += 65536)
        rig_read(f, (apr_off_t)at, other + at, 65536);
    cachefs__obj_put(rig.c, o);
    OK(vfs_close(f, NULL));
    free(data);
    free(other);
    rig_close(&rig);
}

Test(ahead, nothing_comes_for_a_file_that_was_closed_or_has_changed)
{
    rig_t rig;
    size_t len = 4u << 20;
    char *data = rig_bytes(len, 1);

    far_open(&rig, LONG "ram=64m readahead=1m");
    rig_put(&rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    read_at(&rig, f, data, 3u << 20);
    obj_t *o = rig_obj(&rig, "/f");
    rig_reset(&rig);
    CHECK(cachefs__ahead_piece(rig.c, o, atomic_load(&o->ver) + 1, 1u << 20, 2u << 20));
    rig_settle(&rig);
    OK(vfs_close(f, NULL));
    CHECK(cachefs__ahead_piece(rig.c, o, atomic_load(&o->ver), 1u << 20, 2u << 20));
    rig_settle(&rig);
    EQ(rig_calls(&rig, VFS_OPID_fetch), 0);
    cachefs__obj_put(rig.c, o);
    free(data);
    rig_close(&rig);
}

Test(ahead, a_straight_reader_with_a_wide_window_asks_seldom)
{
    rig_t rig;
    size_t len = 32u << 20;
    char *data = rig_bytes(len, 1);

    far_open(&rig, "attr_ttl=1h get_size=0 ram=256m readahead=8m");
    rig_put(&rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_reset(&rig);
    for (size_t at = 0; at < len; at += 131072) {
        rig_read(f, (apr_off_t)at, data + at, 131072);
        rig_settle(&rig);
    }
    CHECK(rig_calls(&rig, VFS_OPID_fetch) < 64); /* of 256 reads */
    EQ(rig_moved(&rig), len);
    EQ(rig_stats(&rig).readahead_wasted_bytes, 0);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(ahead, a_large_read_from_afar_is_one_request)
{
    rig_t rig;
    size_t len = 1u << 20;
    char *data = rig_bytes(len, 1);

    far_open(&rig, "attr_ttl=1h get_size=0 ram=256m readahead=0");
    rig_put(&rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_reset(&rig);
    rig_read(f, 0, data, len);
    EQ(rig_calls(&rig, VFS_OPID_fetch), 1);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}
