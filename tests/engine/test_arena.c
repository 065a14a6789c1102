/*
 * test_arena.c - the arena: classes, chunks, draining, lending, accounting.
 */
#include <unistd.h>

#include "tests/engine/support_rig.h"

#define SLAB_CHUNKS_MAX 4096 /* 256 KiB in chunks of 64 bytes */

static void arena(arena_t *a, uint64_t bytes)
{
    OK(cachefs__arena_create(a, bytes));
}

Test(arena, a_class_is_the_smallest_that_holds_the_bytes)
{
    arena_t a;

    arena(&a, 32u << 20);
    for (uint64_t n = 1; n <= (256u << 10); n += n < 5000 ? 1 : 997) {
        unsigned cls = cachefs__class_of(&a, n);
        CHECK(cls < ARENA_CLASSES);
        CHECK(cachefs__class_bytes(cls) >= n);
        CHECK(cls == 0 || cachefs__class_bytes(cls - 1) < n);
    }
    EQ(cachefs__class_of(&a, (256u << 10) + 1), ARENA_CLASSES);
    EQ(cachefs__class_of(&a, UINT64_MAX), ARENA_CLASSES);
    cachefs__arena_destroy(&a);
    arena(&a, 1u << 20); /* small regions have small slabs */
    CHECK(cachefs__class_of(&a, 256u << 10) == ARENA_CLASSES);
    CHECK(cachefs__class_bytes(a.class_max) <= a.slab_bytes);
    cachefs__arena_destroy(&a);
}

/* The owner of each used chunk of the slab of `chunk`; owners[i] belongs to chunks[i]. */
static size_t owners_of(arena_t *a, uint32_t chunk, uint32_t *owners, uint32_t *chunks)
{
    uint32_t got = 0;
    size_t n = cachefs__arena_drain(a, chunk, owners, chunks, SLAB_CHUNKS_MAX);
    if (n) EQ(cachefs__arena_undrain(a, chunk, ARENA_CLASSES, 0, &got), 0);
    return n;
}

static uint32_t owner_of(arena_t *a, uint32_t chunk)
{
    uint32_t owners[SLAB_CHUNKS_MAX], chunks[SLAB_CHUNKS_MAX];
    size_t n = owners_of(a, chunk, owners, chunks), i = 0;
    while (i < n && chunks[i] != chunk)
        i++;
    CHECK(i < n);
    return owners[i];
}

/* Chunk c belongs to number[c], and no other chunk is in use. */
static void owners_are(arena_t *a, const uint32_t *number, uint32_t used)
{
    uint32_t owners[SLAB_CHUNKS_MAX], chunks[SLAB_CHUNKS_MAX];
    for (uint32_t s = 0; s < a->slab_count; s++) {
        size_t n =
            owners_of(a, (uint32_t)(((size_t)s << a->slab_shift) / ARENA_UNIT), owners, chunks);
        for (size_t i = 0; i < n; i++)
            EQ(owners[i], OWNER_BLOCK | number[chunks[i]]);
        used -= (uint32_t)n;
    }
    EQ(used, 0);
}

/* Fill the whole arena with chunks of random classes, and mark each byte: all must be disjoint. */
static void disjoint(uint64_t bytes, unsigned seed, unsigned only)
{
    arena_t a;
    uint32_t max = (uint32_t)(bytes / 64), n = 0, *chunk = malloc(max * sizeof(*chunk));
    uint32_t *number = calloc(max, sizeof(*number));
    uint8_t *owner = calloc(1, bytes);

    arena(&a, bytes);
    for (unsigned fails = 0; fails < 50 && n < max;) {
        seed = seed * 1103515245u + 12345u;
        unsigned cls = only < ARENA_CLASSES ? only : (seed >> 16) % (a.class_max + 1);
        uint32_t c = cachefs__arena_alloc(&a, cls, OWNER_BLOCK | (n + 1));
        if (!c) {
            fails++;
            continue;
        }
        size_t at = (size_t)c * ARENA_UNIT, len = cachefs__class_bytes(cls);
        CHECK(at + len <= a.bytes);
        EQ(cachefs__arena_class(&a, c), cls);
        number[c] = n + 1;
        for (size_t i = 0; i < len; i += ARENA_UNIT) {
            CHECK(!owner[(at + i) / 64]);
            owner[(at + i) / 64] = 1;
        }
        memset(cachefs__chunk_ptr(&a, c), (int)n, len); /* must not hurt any table */
        chunk[n++] = c;
    }
    CHECK(atomic_load(&a.used_bytes) <= bytes);
    owners_are(&a, number, n);
    for (uint32_t i = 0; i < n; i++) {
        EQ(*(uint8_t *)cachefs__chunk_ptr(&a, chunk[i]), (uint8_t)i);
        cachefs__arena_free(&a, chunk[i]);
    }
    EQ(atomic_load(&a.used_bytes), (uint64_t)a.fixed << a.slab_shift);
    EQ(a.free_slabs, a.slab_count - a.fixed);
    cachefs__arena_destroy(&a);
    free(owner);
    free(number);
    free(chunk);
}

Test(arena, every_chunk_is_disjoint_from_all_others_and_from_the_tables)
{
    disjoint(1u << 20, 1, ARENA_CLASSES);
    disjoint(5u << 20, 2, ARENA_CLASSES);
    disjoint(33u << 20, 3, ARENA_CLASSES);
    for (unsigned cls = 0; cls < ARENA_CLASSES; cls++)
        disjoint(32u << 20, 4, cls);
}

Test(arena, little_of_the_arena_is_lost_in_any_class)
{
    static const uint64_t sizes[] = {1u << 20, 8u << 20, 64u << 20};
    for (int k = 0; k < 3; k++) {
        arena_t a;
        arena(&a, sizes[k]);
        for (unsigned cls = 0; cls <= a.class_max; cls++) {
            uint64_t got = 0;
            uint32_t c, first = 0, n = 0;
            uint32_t *all = malloc(sizes[k] / 64 * sizeof(*all));
            while ((c = cachefs__arena_alloc(&a, cls, OWNER_PRIVATE | 1)) != 0) {
                got += cachefs__class_bytes(cls);
                all[n++] = c;
                if (!first) first = c;
            }
            CHECK(got >= sizes[k] / 100 * 85);
            CHECK(got <= sizes[k]);
            for (uint32_t i = 0; i < n; i++)
                cachefs__arena_free(&a, all[i]);
            free(all);
        }
        cachefs__arena_destroy(&a);
    }
}

Test(arena, an_exhausted_arena_says_so_and_gives_again_what_was_freed)
{
    arena_t a;
    uint32_t c, last = 0, n = 0;

    arena(&a, 1u << 20);
    while ((c = cachefs__arena_alloc(&a, 5, OWNER_BLOCK | 1)) != 0) {
        last = c;
        n++;
    }
    CHECK(n > 200);
    EQ(cachefs__arena_alloc(&a, 0, OWNER_BLOCK | 1), 0);
    EQ(cachefs__arena_has_slab(&a), 0);
    EQ(cachefs__arena_lend(&a, 1), 0);
    EQ(atomic_load(&a.used_bytes), a.bytes);
    cachefs__arena_free(&a, last);
    EQ(cachefs__arena_alloc(&a, 5, OWNER_NODE | 7), last);
    EQ(owner_of(&a, last), OWNER_NODE | 7);
    cachefs__arena_set_owner(&a, last, OWNER_PRIVATE | 3);
    EQ(owner_of(&a, last), OWNER_PRIVATE | 3);
    cachefs__arena_destroy(&a);
}

Test(arena, a_draining_slab_gives_no_chunk_until_it_is_empty)
{
    arena_t a;
    uint32_t owners[64], chunks[64], c[8];

    arena(&a, 32u << 20);
    for (uint32_t i = 0; i < 8; i++)
        c[i] = cachefs__arena_alloc(&a, 6, OWNER_BLOCK | (i + 1)); /* 16 KiB: 16 in a slab */
    size_t n = cachefs__arena_drain(&a, c[3], owners, chunks, 64);
    EQ(n, 8);
    for (uint32_t i = 0; i < 8; i++) {
        EQ(owners[i], OWNER_BLOCK | (i + 1));
        EQ(chunks[i], c[i]);
    }
    EQ(cachefs__arena_drain(&a, c[0], owners, chunks, 64), 0); /* somebody drains it */
    uint32_t other = cachefs__arena_alloc(&a, 6, OWNER_BLOCK | 9);
    CHECK(other * (size_t)ARENA_UNIT >> a.slab_shift != c[0] * (size_t)ARENA_UNIT >> a.slab_shift);
    uint32_t before = a.free_slabs;
    for (int i = 0; i < 8; i++)
        cachefs__arena_free(&a, c[i]);
    EQ(a.free_slabs, before); /* it is the drainer's to free */
    EQ(cachefs__arena_undrain(&a, c[0], ARENA_CLASSES, 0, NULL), 1);
    EQ(a.free_slabs, before + 1);
    cachefs__arena_free(&a, other);
    cachefs__arena_destroy(&a);
}

Test(arena, more_than_its_chunks_have_names_for_is_refused)
{
    static const uint64_t sizes[] = {(256ull << 30) + (1 << 20), 1ull << 50, 1ull << 62};
    arena_t a;

    for (int i = 0; i < 3; i++)
        IS(APR_ENOMEM, cachefs__arena_create(&a, sizes[i]));
}

Test(arena, who_empties_a_slab_gets_a_chunk_of_it)
{
    arena_t a;
    uint32_t owners[64], chunks[64], got = 0, full = 0, c;

    arena(&a, 32u << 20);
    c = cachefs__arena_alloc(&a, 6, OWNER_BLOCK | 1);
    while (cachefs__arena_alloc(&a, 8, OWNER_BLOCK | 2))
        full++; /* a slab each */
    CHECK(full > 0 && !a.free_slabs);
    EQ(cachefs__arena_drain(&a, c, owners, chunks, 64), 1);
    cachefs__arena_free(&a, c);
    EQ(cachefs__arena_alloc(&a, 7, OWNER_BLOCK | 3), 0); /* nobody else can have it */
    EQ(cachefs__arena_undrain(&a, c, 7, OWNER_BLOCK | 4, &got), 1);
    CHECK(got != 0);
    EQ(cachefs__arena_class(&a, got), 7);
    EQ(owner_of(&a, got), OWNER_BLOCK | 4);
    EQ(a.free_slabs, 0);
    CHECK(cachefs__arena_alloc(&a, 7, OWNER_BLOCK | 5) != 0); /* the rest is for all */
    cachefs__arena_destroy(&a);
}

Test(arena, a_slab_that_was_drained_in_vain_serves_again)
{
    arena_t a;
    uint32_t owners[64], chunks[64], c[16], i;

    arena(&a, 32u << 20);
    for (i = 0; i < 16; i++)
        c[i] = cachefs__arena_alloc(&a, 6, OWNER_BLOCK | (i + 1));
    EQ(cachefs__arena_drain(&a, c[0], owners, chunks, 64), 16); /* a full one */
    cachefs__arena_free(&a, c[5]);
    EQ(cachefs__arena_undrain(&a, c[0], 6, OWNER_BLOCK | 2, NULL), 0);
    EQ(cachefs__arena_alloc(&a, 6, OWNER_BLOCK | 1), c[5]);
    EQ(cachefs__arena_drain(&a, c[0], owners, chunks, 4), 4); /* no more than asked for */
    EQ(cachefs__arena_undrain(&a, c[0], 6, OWNER_BLOCK | 2, NULL), 0);
    for (i = 0; i < 16; i++)
        cachefs__arena_free(&a, c[i]);
    cachefs__arena_destroy(&a);
}

Test(arena, what_is_lent_is_used_for_good)
{
    arena_t a;

    arena(&a, 4u << 20);
    uint64_t before = atomic_load(&a.used_bytes);
    uint32_t free_slabs = a.free_slabs;
    EQ(cachefs__arena_lend(&a, 3), 1);
    EQ(atomic_load(&a.used_bytes), before + 3 * a.slab_bytes);
    EQ(a.lent, 3);
    EQ(cachefs__arena_lend(&a, free_slabs), 0); /* all or nothing */
    EQ(a.lent, 3);
    cachefs__arena_trim(&a);
    uint32_t c = cachefs__arena_alloc(&a, 0, OWNER_BLOCK | 1);
    memset(cachefs__chunk_ptr(&a, c), 1, 64);
    cachefs__arena_free(&a, c);
    EQ(atomic_load(&a.used_bytes), before + 3 * a.slab_bytes);
    cachefs__arena_destroy(&a);
}

/* A reader without a lock may take the last chunk of all for one of the largest class. */
Test(arena, what_lies_behind_the_last_chunk_can_be_read)
{
    static const uint64_t sizes[] = {1u << 20, 4u << 20, 32u << 20};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        arena_t a;
        unsigned sum = 0;

        arena(&a, sizes[i]);
        for (size_t at = 0; at < 256u << 10; at += 4096)
            sum += *(volatile uint8_t *)(a.base + a.bytes - ARENA_UNIT + at);
        EQ(sum, 0);
        cachefs__arena_destroy(&a);
    }
}

static uint64_t resident(void)
{
    unsigned long long all, here;
    FILE *f = fopen("/proc/self/statm", "r");

    CHECK(f != NULL);
    EQ(fscanf(f, "%llu %llu", &all, &here), 2);
    (void)fclose(f); /* only read */
    return here * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Huge pages or not: a page is there for what is used, and none for what is lent. */
Test(arena, memory_is_resident_where_it_is_used)
{
    enum { CHUNKS = 32 };
    const uint64_t chunk = 256u << 10, slack = 4u << 20;
    uint32_t c[CHUNKS];
    arena_t a;

    arena(&a, 64u << 20);
    uint64_t before = resident();
    for (int i = 0; i < CHUNKS; i++) {
        c[i] = cachefs__arena_alloc(&a, ARENA_CLASSES - 1, OWNER_BLOCK | 1);
        CHECK(c[i] != 0);
        memset(cachefs__chunk_ptr(&a, c[i]), 1, chunk);
        CHECK(resident() <= before + (uint64_t)(i + 1) * chunk + slack);
        if (i % 8 == 0) EQ(cachefs__arena_lend(&a, 8), 1); /* of what lies behind */
    }
    CHECK(resident() >= before + CHUNKS * chunk);
    for (int i = 0; i < CHUNKS; i += 2) /* every other one: huge pages are broken up */
        cachefs__arena_free(&a, c[i]);
    EQ(cachefs__arena_lend(&a, a.free_slabs), 1);
    CHECK(resident() <= before + CHUNKS / 2 * chunk + slack);
    for (int i = 1; i < CHUNKS; i += 2)
        for (uint64_t at = 0; at < chunk; at += 512)
            EQ(((uint8_t *)cachefs__chunk_ptr(&a, c[i]))[at], 1);
    cachefs__arena_destroy(&a);
}

Test(arena, an_orphan_is_free_when_all_gave_it_back_whoever_comes_first)
{
    arena_t a;
    cr_assert_eq(cachefs__arena_create(&a, 1u << 20), APR_SUCCESS);
    for (int early = 0; early <= 3;
         early++) { /* so many, before the block tells that there are 3 */
        uint32_t chunk = cachefs__arena_alloc(&a, 4, OWNER_BLOCK | 7);
        int ends = 0;
        cr_assert_neq(chunk, 0);
        for (int k = 0; k < early; k++)
            ends += cachefs__arena_give_back(&a, chunk);
        cr_assert_eq(ends, 0, "with %d early", early);
        ends += cachefs__arena_leave(&a, chunk, 3);
        cr_assert_eq(ends, early == 3, "with %d early", early);
        for (int k = early; k < 3; k++)
            ends += cachefs__arena_give_back(&a, chunk);
        cr_assert_eq(ends, 1, "with %d early", early);
        cachefs__arena_free(&a, chunk);
    }
    cachefs__arena_destroy(&a);
}
