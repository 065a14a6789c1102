/* test_l2_pack.c - the disk tier with packed records: what gets smaller takes less, what is read is
 * what was put in, and whatever is wrong with it is a miss. */
#include <stdlib.h>

#include "cachefs/store/bytes.h"
#include "cachefs/store/check_private.h"
#include "tests/store/support_l2.h"
#include "tests/sweep.h"

static void packed(uint32_t level)
{
    config.pack_level = level;
    again();
}

static void setup_packed(void)
{
    setup();
    packed(1);
}

TestSuite(store_l2_pack, .init = setup_packed, .fini = teardown);

/* Text, of which all is known by key and place, and lines repeat. */
static uint8_t text_of(uint64_t key, uint64_t off)
{
    uint64_t line = off / 32 % 61;
    return (uint8_t)('a' + (line * 7 + off % 32 * (1 + line % 3) + key) % 26);
}

static void put_text(uint64_t key, uint64_t off, size_t len)
{
    uint8_t *buf = malloc(len);
    cachefs__l2_key_t k = key_of(key);
    vfs_iovec_t iov[2] = {{buf, len / 3}, {buf + len / 3, len - len / 3}};
    for (size_t i = 0; i < len; i++)
        buf[i] = text_of(key, off + i);
    ready();
    cachefs__l2_put(l2, &k, off, iov, 2, len);
    free(buf);
}

static int has_text(uint64_t key, uint64_t off, size_t len)
{
    uint8_t *buf = calloc(1, len);
    cachefs__l2_key_t k = key_of(key);
    vfs_iovec_t iov[2] = {{buf, len / 2}, {buf + len / 2, len - len / 2}};
    apr_status_t st = cachefs__l2_read(l2, &k, NULL, off, iov, 2);
    for (size_t i = 0; !st && i < len; i++)
        cr_assert(buf[i] == text_of(key, off + i), "byte %zu of %" PRIu64, i, key);
    free(buf);
    return !st;
}

/* What the store has of segments. */
static uint64_t on_disk(void)
{
    vfs_statfs_t space;
    OK(vfs_sync_fs(disk.fs, NULL));
    OK(vfs_statfs(disk.fs, NULL, "/", &space));
    return space.bytes_total - space.bytes_free;
}

Test(store_l2_pack, what_is_packed_is_read_whole_and_in_part_from_buffer_and_disk)
{
    uint64_t before = on_disk();
    put_text(1, 0, 200 * KIB + 17);
    put_text(2, 64 * KIB, 4 * KIB);
    put_text(3, 0, 700);
    for (int i = 0; i < 3; i++) {
        CHECK(has_text(1, 0, 200 * KIB + 17) && has_text(1, 5000, 100) && has_text(3, 0, 700));
        CHECK(has_text(1, 60 * KIB, 8 * KIB) && has_text(2, 64 * KIB, 4 * KIB));
        CHECK(!has_text(1, 0, 200 * KIB + 18) && !has_text(2, 60 * KIB, 8 * KIB));
        if (i == 0) {
            EQ(stats().put_bytes, 204 * KIB + 717);
            CHECK(stats().saved_bytes > 150 * KIB);
            cachefs__l2_drain(l2);
        }
        if (i == 1) again();
    }
    EQ(stats().bad, 0);
    EQ(stats().found, 6);
    cachefs__l2_close(l2);
    CHECK(on_disk() - before < 50 * KIB);
    config.pack_level = 0; /* who packs nothing himself reads it all the same */
    OK(cachefs__l2_open(&l2, store, &config));
    CHECK(has_text(1, 0, 200 * KIB + 17) && has_text(2, 64 * KIB, 4 * KIB));
}

Test(store_l2_pack, what_does_not_get_smaller_is_stored_as_it_is)
{
    uint8_t noise[16 * KIB], got[16 * KIB];
    cachefs__l2_key_t k = key_of(1);
    vfs_iovec_t in = {noise, sizeof(noise)}, out = {got, sizeof(got)};
    uint64_t x = 88172645463325252ull;
    for (size_t i = 0; i < sizeof(noise); i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        noise[i] = (uint8_t)x;
    }
    ready();
    cachefs__l2_put(l2, &k, 0, &in, 1, sizeof(noise));
    EQ(stats().saved_bytes, 0);
    cachefs__l2_drain(l2);
    OK(cachefs__l2_read(l2, &k, NULL, 0, &out, 1));
    CHECK(!memcmp(noise, got, sizeof(got)));
    put_text(2, 0, 40); /* nor what takes a place of the same size */
    EQ(stats().saved_bytes, 0);
    CHECK(has_text(2, 0, 40));
}

Test(store_l2_pack, more_fits_into_the_same_bytes)
{
    for (uint64_t n = 0; n < 200; n++) { /* 12.5 MiB into 4 */
        put_text(n, 0, 64 * KIB);
        cachefs__l2_drain(l2);
        CHECK(stats().bytes <= config.bytes);
    }
    EQ(stats().evicted_bytes, 0);
    for (uint64_t n = 0; n < 200; n++)
        CHECK(has_text(n, 0, 64 * KIB));
}

Test(store_l2_pack, what_is_moved_stays_packed_and_right)
{
    put_text(7, 0, 64 * KIB);
    for (uint64_t n = 100; !stats().moved_bytes; n++) {
        put(n, 0, 64 * KIB);
        cachefs__l2_drain(l2);
        CHECK(has_text(7, 0, 64 * KIB));
    }
    CHECK(has_text(7, 0, 64 * KIB));
    again();
    CHECK(has_text(7, 0, 64 * KIB));
    EQ(stats().bad, 0);
}

/* Of three records, in a segment with a footer or without; its bytes. */
static size_t segment(uint8_t **bytes, char *name, size_t size, int sealed)
{
    vfs_attr_t attr;
    put_text(1, 0, 8 * KIB);
    put_text(2, 4 * KIB, 5 * KIB);
    put_text(3, 0, 900);
    EQ(stats().puts, 3);
    CHECK(!config.pack_level || stats().saved_bytes > 5 * KIB);
    cachefs__l2_drain(l2);
    cachefs__l2_name(name, size, 1);
    if (sealed) cachefs__l2_close(l2);
    OK(vfs_stat(disk.fs, NULL, name, &attr));
    *bytes = malloc(attr.size);
    EQ(disk_get(&disk, name, *bytes, attr.size), attr.size);
    if (!sealed) cachefs__l2_close(l2);
    l2 = NULL;
    return attr.size;
}

static int there(const char *name, const uint8_t *bytes, size_t len)
{
    disk_put(&disk, name, bytes, len);
    OK(cachefs__l2_open(&l2, store, &config));
    int n = has_text(1, 0, 8 * KIB) + has_text(2, 4 * KIB, 5 * KIB) + has_text(3, 0, 900);
    cachefs__l2_close(l2);
    l2 = NULL;
    return n;
}

static void damage(int sealed)
{
    uint8_t *bytes;
    char name[64];
    int last = 0;
    size_t len = segment(&bytes, name, sizeof(name), sealed);
    for (size_t i = 0; i < len; i += sweep_step()) {
        bytes[i] ^= 0x40;
        int n = there(name, bytes, len);
        bytes[i] ^= 0x40;
        cr_assert(i < L2_HEAD ? n == 0 : n >= (sealed ? 2 : 0), "byte %zu: %d are there", i, n);
    }
    for (size_t n = 0; n < len; n += sweep_step()) {
        int now = there(name, bytes, n);
        CHECK(now >= last);
        last = now;
    }
    EQ(there(name, bytes, len), 3);
    free(bytes);
    OK(cachefs__l2_open(&l2, store, &config));
}

Test(store_l2_pack, any_flipped_byte_and_any_length_costs_at_most_what_it_is_of)
{
    damage(1);
}

Test(store_l2_pack, nor_does_it_cost_more_without_a_footer)
{
    damage(0);
}

/* The first record of a segment says something else, and all its checksums are right. */
static void forge(uint8_t *bytes, uint32_t packed)
{
    cachefs__l2_record_t r;
    uint8_t *at = bytes + L2_HEAD;
    CHECK(cachefs__l2_record_read(at, 1, &r));
    CHECK(r.packed > 0);
    if (packed)
        r.packed = packed;
    else
        memset(at + L2_HEAD, 'x', r.packed);
    r.sum = cachefs__l2_sum(at + L2_HEAD, cachefs__l2_record_bytes(&r));
    cachefs__l2_record_write(at, &r);
}

Test(store_l2_pack, what_cannot_be_unpacked_is_a_miss_that_is_counted)
{
    uint8_t *bytes;
    char name[64];
    size_t len = segment(&bytes, name, sizeof(name), 1);
    cachefs__l2_record_t r;
    CHECK(cachefs__l2_record_read(bytes + L2_HEAD, 1, &r));
    for (int shorter = 0; shorter < 2; shorter++) {
        forge(bytes, shorter ? r.packed - 1 : 0);
        disk_put(&disk, name, bytes, len);
        OK(cachefs__l2_open(&l2, store, &config));
        CHECK(!has_text(1, 0, 8 * KIB) && has_text(2, 4 * KIB, 5 * KIB));
        EQ(stats().bad, 1);
        CHECK(!has_text(1, 0, 8 * KIB)); /* nobody looks for it there again */
        EQ(stats().bad, 1);
        put_text(1, 0, 8 * KIB);
        CHECK(has_text(1, 0, 8 * KIB));
        cachefs__l2_close(l2);
    }
    free(bytes);
    OK(cachefs__l2_open(&l2, store, &config));
}

Test(store_l2_pack, a_check_finds_packed_segments_sound_and_each_byte_counts)
{
    uint8_t *bytes;
    char name[64];
    cachefs__l2_verdict_t v;
    size_t len = segment(&bytes, name, sizeof(name), 1);
    cachefs__l2_verify(bytes, len, cachefs__store_id(store), 1, &v);
    CHECK(v.ours && v.sealed && !v.damaged);
    EQ(v.records, 3);
    EQ(v.record_bytes, 13 * KIB + 900);
    for (size_t i = 0; i < len; i += sweep_step()) {
        bytes[i] ^= 1;
        cachefs__l2_verify(bytes, len, cachefs__store_id(store), 1, &v);
        bytes[i] ^= 1;
        cr_assert(!v.ours || v.damaged || !v.sealed, "byte %zu", i);
    }
    free(bytes);
    OK(cachefs__l2_open(&l2, store, &config));
}

Test(store_l2_pack, a_segment_of_the_format_before_is_read_and_gets_no_packed_record)
{
    uint8_t *bytes;
    char name[64];
    packed(0);
    size_t len = segment(&bytes, name, sizeof(name), 0);
    CHECK(cachefs__l2_head_read(bytes, cachefs__store_id(store), 1) == L2_FORMAT);
    cachefs__put32(bytes + 8, 1);
    cachefs__put64(bytes + L2_HEAD - 8, cachefs__l2_sum(bytes, L2_HEAD - 8));
    disk_put(&disk, name, bytes, len);
    config.pack_level = 1;
    OK(cachefs__l2_open(&l2, store, &config));
    CHECK(has_text(1, 0, 8 * KIB) && has_text(2, 4 * KIB, 5 * KIB) && has_text(3, 0, 900));
    put_text(9, 0, 16 * KIB);
    cachefs__l2_drain(l2);
    CHECK(stats().saved_bytes > 0 && has_text(9, 0, 16 * KIB));
    CHECK(disk_names(&disk, CACHEFS__STORE_L2) >= 2);
    again();
    CHECK(has_text(1, 0, 8 * KIB) && has_text(9, 0, 16 * KIB));
    EQ(stats().bad, 0);
    free(bytes);
}
