/*
 * test_block_model.c - the protocol of a block between a reader without a lock and those who change
 * it (cachefs/block.c), explored in every order that its memory orders allow. A plain program.
 */
/* The idea. A thread is a list of accesses. An access may happen as soon as all earlier ones of its
 * thread have that it is ordered behind: by an acquire load before it, by being a release store, by
 * a fence in between, by its address, by the same place. So stores leave a store buffer in any
 * order that the fences permit, and loads run ahead. An access acts on one memory that all threads
 * see (as on ARMv8 and x86). The search goes through all states that can be reached. What a reader
 * loads it loads whatever it saw before: to return early is to reject, which is judged at the end.
 *
 * An accepted copy must be all old or all new bytes of the wanted key. Then the same programs run
 * with one order taken away at a time, and each must fail: none is there for nothing. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/race/support_race.h"

/* ---- memory */

enum { SEQ, VER, NO, BITS, DATA, CHUNK_A, CHUNK_B = CHUNK_A + 2, GIVEN = CHUNK_B + 2, PLACES };
#define BYTES_AT_DATA PLACES /* + i: the byte i of the chunk that the loaded DATA names */

#define WANTED 1u /* ver and no of the key that the reader looks for */
#define OTHER 2u
#define OLD 0x11u /* bytes of the wanted key */
#define NEW 0x12u
#define FOREIGN 0x21u

typedef enum kind_e { LOAD, STORE, FENCE, AWAIT } kind_e;
typedef enum order_e { RELAXED, ACQUIRE, RELEASE, BOTH } order_e;
typedef struct access_t {
    kind_e kind;
    order_e order;
    uint8_t place, value; /* of a LOAD: the register */
} access_t;

#define ACCESSES 32u
typedef struct program_t {
    access_t a[ACCESSES];
    uint32_t after[ACCESSES]; /* accesses that must have happened */
    unsigned n;
} program_t;

enum { READER, WRITER, FILLER, THREADS };
enum { R_SEQ, R_VER, R_NO, R_BITS, R_DATA, R_BYTE0, R_BYTE1, R_AGAIN, REGISTERS };

typedef struct state_t {
    uint32_t done[THREADS];
    uint8_t mem[PLACES];
    uint8_t reg[REGISTERS];
} state_t;

/* What is taken away from the protocol. */
typedef enum mutation_e {
    NONE_OF_THEM,
    NO_FENCE_IN_BEGIN,
    NO_RELEASE_IN_END,
    NO_ACQUIRE_OF_SEQ,
    NO_FENCE_BEFORE_AGAIN,
    NO_KEY_CHECK,
    NO_ODD_CHECK,
    GIVEN_BEFORE_BEGIN, /* the memory goes before the sequence is odd */
    MUTATIONS
} mutation_e;
static const char *const mutation_names[MUTATIONS] = {"none",
                                                      "no release fence in seq_begin",
                                                      "no release in seq_end",
                                                      "no acquire of the first sequence",
                                                      "no acquire fence before the second",
                                                      "no look at the key",
                                                      "an odd sequence is good enough",
                                                      "memory given up before seq_begin"};
static mutation_e mutation;

/* ---- programs */

static void add(program_t *p, kind_e kind, order_e order, unsigned place, unsigned value)
{
    CHECK(p->n < ACCESSES);
    p->a[p->n++] = (access_t){kind, order, (uint8_t)place, (uint8_t)value};
}

/* i before j in the program; must it be before j in memory? */
static int ordered(const program_t *p, unsigned i, unsigned j)
{
    const access_t *a = &p->a[i], *b = &p->a[j];
    int loads = a->kind == LOAD || a->kind == AWAIT;
    if (a->kind == FENCE || b->kind == FENCE) return 0; /* fences work on others, below */
    if (a->place == b->place) return 1;
    if (loads && (a->order == ACQUIRE || a->order == BOTH)) return 1;
    if (b->kind == STORE && (b->order == RELEASE || b->order == BOTH)) return 1;
    if (b->place >= PLACES && a->place == DATA) return 1; /* its address */
    for (unsigned f = i + 1; f < j; f++) {
        if (p->a[f].kind != FENCE) continue;
        if (p->a[f].order == BOTH) return 1; /* a lock changes hands */
        if (p->a[f].order == RELEASE && b->kind == STORE) return 1;
        if (p->a[f].order == ACQUIRE && loads) return 1;
    }
    return 0;
}

static void close_program(program_t *p)
{
    for (unsigned j = 0; j < p->n; j++)
        for (unsigned i = 0; i < j; i++)
            if (ordered(p, i, j)) p->after[j] |= 1u << i;
}

/* cachefs__block_copy */
static void reader_program(program_t *p)
{
    add(p, LOAD, mutation == NO_ACQUIRE_OF_SEQ ? RELAXED : ACQUIRE, SEQ, R_SEQ);
    add(p, LOAD, RELAXED, VER, R_VER);
    add(p, LOAD, RELAXED, NO, R_NO);
    add(p, LOAD, RELAXED, BITS, R_BITS);
    add(p, LOAD, RELAXED, DATA, R_DATA);
    add(p, LOAD, RELAXED, BYTES_AT_DATA, R_BYTE0);
    add(p, LOAD, RELAXED, BYTES_AT_DATA + 1, R_BYTE1);
    if (mutation != NO_FENCE_BEFORE_AGAIN) add(p, FENCE, ACQUIRE, 0, 0);
    add(p, LOAD, RELAXED, SEQ, R_AGAIN);
    close_program(p);
}

static int accepted(const state_t *s)
{
    if ((s->reg[R_SEQ] & 1) && mutation != NO_ODD_CHECK) return 0;
    if (s->reg[R_SEQ] != s->reg[R_AGAIN] || !s->reg[R_BITS]) return 0;
    return mutation == NO_KEY_CHECK || (s->reg[R_VER] == WANTED && s->reg[R_NO] == WANTED);
}

static unsigned seq; /* while a writer's program is made: the sequence at that point */

static void seq_begin(program_t *p)
{
    add(p, STORE, RELAXED, SEQ, ++seq);
    if (mutation != NO_FENCE_IN_BEGIN) add(p, FENCE, RELEASE, 0, 0);
}

static void seq_end(program_t *p)
{
    add(p, STORE, mutation == NO_RELEASE_IN_END ? RELAXED : RELEASE, SEQ, ++seq);
}

static void bytes(program_t *p, unsigned chunk, unsigned value)
{
    add(p, STORE, RELAXED, chunk, value);
    add(p, STORE, RELAXED, chunk + 1, value);
}

/* apply: the bytes of a block are written in place */
static void apply(program_t *p, unsigned chunk, unsigned value)
{
    seq_begin(p);
    bytes(p, chunk, value);
    add(p, STORE, RELAXED, BITS, 1);
    seq_end(p);
}

/* data_release: from here on the arena may give the chunk to anybody */
static void give(program_t *p)
{
    add(p, STORE, RELEASE, GIVEN, 1);
}

/* cachefs__block_free */
static void block_free(program_t *p)
{
    if (mutation == GIVEN_BEFORE_BEGIN) give(p);
    seq_begin(p);
    add(p, STORE, RELAXED, VER, 0);
    if (mutation != GIVEN_BEFORE_BEGIN) give(p);
    add(p, STORE, RELAXED, DATA, 0);
    add(p, STORE, RELAXED, BITS, 0);
    seq_end(p);
    add(p, FENCE, BOTH, 0, 0); /* the entry goes through the pool's lock */
}

/* block_insert, then apply */
static void block_insert(program_t *p, unsigned key, unsigned chunk, unsigned value)
{
    seq_begin(p);
    add(p, STORE, RELAXED, VER, key);
    add(p, STORE, RELAXED, NO, key);
    add(p, STORE, RELAXED, DATA, chunk);
    add(p, STORE, RELAXED, BITS, 0);
    seq_end(p);
    apply(p, chunk, value);
}

/* move_data: larger or unshared memory */
static void move_data(program_t *p, unsigned to, unsigned value)
{
    if (mutation == GIVEN_BEFORE_BEGIN) give(p);
    seq_begin(p);
    bytes(p, to, value);
    if (mutation != GIVEN_BEFORE_BEGIN) give(p);
    add(p, STORE, RELAXED, DATA, to);
    add(p, STORE, RELAXED, BITS, 1);
    seq_end(p);
}

/* Somebody who gets the chunk that was given up, and reads a file into it. */
static void filler_program(program_t *p)
{
    add(p, AWAIT, ACQUIRE, GIVEN, 1);
    bytes(p, CHUNK_A, FOREIGN);
    close_program(p);
}

typedef void (*writer_fn)(program_t *p);
static void write_in_place(program_t *p)
{
    apply(p, CHUNK_A, NEW);
}
static void write_twice(program_t *p)
{
    apply(p, CHUNK_A, NEW);
    add(p, FENCE, BOTH, 0, 0); /* by another thread: the shard's lock changed hands */
    apply(p, CHUNK_A, OLD);
}
static void evict(program_t *p)
{
    block_free(p);
}
static void evict_and_reuse(program_t *p)
{
    block_free(p);
    block_insert(p, OTHER, CHUNK_B, FOREIGN);
}
static void evict_and_come_back(program_t *p)
{
    block_free(p);
    block_insert(p, WANTED, CHUNK_B, NEW);
}
static void move_away(program_t *p)
{
    move_data(p, CHUNK_B, OLD);
}
static void move_and_write(program_t *p)
{
    move_data(p, CHUNK_B, OLD);
    apply(p, CHUNK_B, NEW);
}
static const struct {
    const char *name;
    writer_fn write;
} writers[] = {{"write in place", write_in_place},
               {"two writes", write_twice},
               {"evict", evict},
               {"evict, reuse for another key", evict_and_reuse},
               {"evict, come back in other memory", evict_and_come_back},
               {"move", move_away},
               {"move, then write", move_and_write}};
#define WRITERS (sizeof(writers) / sizeof(*writers))

/* ---- the search */

typedef struct search_t {
    program_t prog[THREADS];
    state_t *stack;
    size_t depth, room;
    state_t *seen; /* open addressing; done[READER] is UINT32_MAX where it is free */
    size_t count, mask;
    unsigned bad, good; /* accepted copies */
} search_t;

static size_t hash_of(const state_t *s)
{
    const unsigned char *b = (const unsigned char *)s;
    uint64_t h = 14695981039346656037ull;
    for (size_t i = 0; i < sizeof(*s); i++)
        h = (h ^ b[i]) * 1099511628211ull;
    return (size_t)(h ^ h >> 29);
}

static void seen_init(search_t *x, size_t slots)
{
    x->seen = malloc(slots * sizeof(state_t));
    CHECK(x->seen != NULL);
    memset(x->seen, 0xff, slots * sizeof(state_t));
    x->mask = slots - 1;
}

/* 1: it is new */
static int seen_add(search_t *x, const state_t *s)
{
    size_t at = hash_of(s) & x->mask;
    while (x->seen[at].done[READER] != UINT32_MAX) {
        if (memcmp(&x->seen[at], s, sizeof(*s)) == 0) return 0;
        at = (at + 1) & x->mask;
    }
    x->seen[at] = *s;
    x->count++;
    return 1;
}

static void seen_grow(search_t *x)
{
    state_t *old = x->seen;
    size_t slots = x->mask + 1;
    if (x->count * 2 < slots) return;
    seen_init(x, slots * 2);
    x->count = 0;
    for (size_t i = 0; i < slots; i++)
        if (old[i].done[READER] != UINT32_MAX) CHECK(seen_add(x, &old[i]));
    free(old);
}

static void reach(search_t *x, const state_t *s)
{
    seen_grow(x);
    if (!seen_add(x, s)) return;
    if (x->depth == x->room) {
        x->room = x->room ? x->room * 2 : 1024;
        x->stack = realloc(x->stack, x->room * sizeof(state_t));
        CHECK(x->stack != NULL);
    }
    x->stack[x->depth++] = *s;
}

/* The access k of a thread happens. 0: it cannot yet. */
static int happen(state_t *s, const program_t *p, unsigned thread, unsigned k)
{
    const access_t *a = &p->a[k];
    unsigned place = a->place;
    if ((s->done[thread] >> k & 1) || (p->after[k] & ~s->done[thread])) return 0;
    if (a->kind == AWAIT && s->mem[place] != a->value) return 0;
    if (a->kind == STORE) s->mem[place] = a->value;
    if (a->kind == LOAD) {
        if (place >= PLACES) { /* DATA 0 is a chunk like any other: nobody's */
            unsigned chunk = s->reg[R_DATA] ? s->reg[R_DATA] : CHUNK_A;
            place = chunk + (place - BYTES_AT_DATA);
        }
        s->reg[a->value] = s->mem[place];
    }
    s->done[thread] |= 1u << k;
    return 1;
}

static void judge(search_t *x, const state_t *s)
{
    const program_t *p = &x->prog[READER];
    uint32_t all = 0;
    for (unsigned k = 0; k < p->n; k++)
        all |= p->a[k].kind == FENCE ? 0 : 1u << k;
    if (s->done[READER] != all || !accepted(s)) return;
    uint8_t a = s->reg[R_BYTE0], b = s->reg[R_BYTE1];
    if (a == b && (a == OLD || a == NEW))
        x->good++;
    else
        x->bad++;
}

static void explore(search_t *x, writer_fn write)
{
    state_t s;
    memset(x, 0, sizeof(*x));
    memset(&s, 0, sizeof(s));
    seq = 4;
    reader_program(&x->prog[READER]);
    write(&x->prog[WRITER]);
    close_program(&x->prog[WRITER]);
    filler_program(&x->prog[FILLER]);
    s.mem[SEQ] = 4;
    s.mem[VER] = s.mem[NO] = WANTED;
    s.mem[BITS] = 1;
    s.mem[DATA] = CHUNK_A;
    s.mem[CHUNK_A] = s.mem[CHUNK_A + 1] = OLD;
    s.mem[CHUNK_B] = s.mem[CHUNK_B + 1] = FOREIGN;
    seen_init(x, 1u << 12);
    reach(x, &s);
    while (x->depth) {
        state_t at = x->stack[--x->depth];
        judge(x, &at);
        for (unsigned t = 0; t < THREADS; t++)
            for (unsigned k = 0; k < x->prog[t].n; k++) {
                state_t next = at;
                if (x->prog[t].a[k].kind != FENCE && happen(&next, &x->prog[t], t, k))
                    reach(x, &next);
            }
    }
    free(x->stack);
    free(x->seen);
}

int main(void)
{
    search_t x;
    size_t states = 0;
    for (size_t w = 0; w < WRITERS; w++) {
        explore(&x, writers[w].write);
        states += x.count;
        if (x.bad) fprintf(stderr, "%s: %u torn or foreign copies\n", writers[w].name, x.bad);
        CHECK(x.bad == 0);
        CHECK(x.good > 0); /* and the reader does accept something */
    }
    for (int m = NONE_OF_THEM + 1; m < MUTATIONS; m++) {
        unsigned bad = 0;
        mutation = (mutation_e)m;
        for (size_t w = 0; w < WRITERS && !bad; w++) {
            explore(&x, writers[w].write);
            bad += x.bad;
            if (x.bad) printf("%s: seen in \"%s\"\n", mutation_names[m], writers[w].name);
        }
        if (!bad) fprintf(stderr, "%s: nothing went wrong\n", mutation_names[m]);
        CHECK(bad > 0);
    }
    printf("%zu states, every accepted copy whole\n", states);
    return 0;
}
