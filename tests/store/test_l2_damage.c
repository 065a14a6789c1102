/*
 * test_l2_damage.c - the disk tier over a segment of which any byte is wrong, or any part missing:
 * what it gives is right, and what is not damaged is given. The short tests sample; this one does
 * not.
 * tier: long
 * labels: crash
 */
#include <stdlib.h>

#include "tests/store/support_l2.h"

TestSuite(store_l2_damage, .init = setup, .fini = teardown);

typedef struct segment_t {
    char name[64];
    uint8_t *bytes;
    size_t len;
} segment_t;

/* With a footer, or as a kill leaves it. */
static segment_t segment(int sealed)
{
    segment_t s = {.bytes = malloc(64 * KIB)};
    put(1, 0, 4 * KIB);
    put(2, 4 * KIB, 5 * KIB);
    put(3, 0, 100);
    cachefs__l2_name(s.name, sizeof(s.name), 1);
    cachefs__l2_drain(l2);
    if (!sealed) s.len = disk_get(&disk, s.name, s.bytes, 64 * KIB);
    cachefs__l2_close(l2);
    l2 = NULL;
    if (sealed) s.len = disk_get(&disk, s.name, s.bytes, 64 * KIB);
    CHECK(s.len > 9 * KIB);
    return s;
}

/* How many of the three are there; wrong bytes are a failure. */
static int there(const segment_t *s, size_t len)
{
    disk_put(&disk, s->name, s->bytes, len);
    OK(cachefs__l2_open(&l2, store, &config));
    int n = has(1, 0, 4 * KIB) + has(2, 4 * KIB, 5 * KIB) + has(3, 0, 100);
    cachefs__l2_close(l2);
    l2 = NULL;
    return n;
}

static void flips(int sealed)
{
    segment_t s = segment(sealed);
    for (size_t i = 0; i < s.len; i++) {
        s.bytes[i] ^= 0x40;
        int n = there(&s, s.len);
        s.bytes[i] ^= 0x40;
        /* without a footer the head of a record leads to the next one */
        cr_assert(i < L2_HEAD ? n == 0 : n >= (sealed ? 2 : 0), "byte %zu: %d are there", i, n);
    }
    EQ(there(&s, s.len), 3);
    free(s.bytes);
    OK(cachefs__l2_open(&l2, store, &config));
}

static void lengths(int sealed)
{
    segment_t s = segment(sealed);
    int last = 0;
    for (size_t n = 0; n <= s.len; n++) {
        int now = there(&s, n);
        CHECK(now >= last);
        last = now;
    }
    EQ(last, 3);
    free(s.bytes);
    OK(cachefs__l2_open(&l2, store, &config));
}

Test(store_l2_damage, every_flipped_byte_of_a_segment_with_a_footer)
{
    flips(1);
}

Test(store_l2_damage, every_flipped_byte_of_a_segment_without_one)
{
    flips(0);
}

Test(store_l2_damage, every_length_of_a_segment_with_a_footer)
{
    lengths(1);
}

Test(store_l2_damage, every_length_of_a_segment_without_one)
{
    lengths(0);
}
