/*
 * test_hit_model.c - the whole of a hit (cachefs/hit.c: object, chain, block, bytes) against those
 * who change the file, with every load that C11 allows. A plain program.
 */
/* The idea. Memory keeps of each place all values that were ever stored, in their order, each with
 * the view of its store: which value of every other place is the oldest that who takes it over may
 * still see. That is the view machine of Kang et al., "A promising semantics for relaxed-memory
 * concurrency" (POPL 2017), without promises, which programs need only whose stores depend on
 * loads. A relaxed load may return any value that is not older than the reader's view, however long
 * ago it was overwritten; an acquire load, or an acquire fence after it, takes the view over.
 *
 * Who changes the file holds locks and loads nothing that a reader stores. So all its stores can be
 * made first: whatever moment the reader runs at, its loads are among the choices. The reader is
 * written as in hit.c and is run again for each sequence of choices until there is none left.
 *
 * What it accepts must be the file as it was at one moment. Then one order or check is taken away
 * at a time, and each time something else must be accepted: none is there for nothing. The bytes
 * are relaxed atomics here (cachefs/copy.h says why that is fair). tests/race/test_block_model.c
 * explores the block alone, by reordering accesses instead of by views. */
#include <stdio.h>
#include <string.h>

#include "tests/race/support_race.h"

/* ---- memory */

enum { O_SEQ, O_VER, O_SIZE, O_SHIFT, HEAD, B_ONE };
enum { B_SEQ, B_VER, B_NO, B_BITS, B_DATA, B_NEXT, B_FIELDS };
#define BLOCK(i) (B_ONE + ((i)-1) * B_FIELDS) /* blocks 1 and 2 */
#define CHUNK_A (B_ONE + 2 * B_FIELDS)        /* two bytes each */
#define CHUNK_B (CHUNK_A + 2)
#define PLACES (CHUNK_B + 2)
#define STORES 12u /* of one place */

typedef enum order_e { RELAXED, ACQUIRE, RELEASE } order_e;
typedef struct view_t {
    uint8_t at[PLACES]; /* the oldest store that may be seen */
} view_t;
typedef struct thread_t {
    view_t now, heard, told; /* its view; what relaxed loads heard; what its last fence releases */
} thread_t;

static struct {
    uint8_t value;
    view_t view;
} stored[PLACES][STORES];
static unsigned stores[PLACES];

static void join(view_t *into, const view_t *from)
{
    for (unsigned p = 0; p < PLACES; p++)
        if (from->at[p] > into->at[p]) into->at[p] = from->at[p];
}

static void store(thread_t *t, unsigned place, unsigned value, order_e order)
{
    unsigned n = stores[place]++;
    CHECK(n < STORES);
    t->now.at[place] = (uint8_t)n;
    stored[place][n].value = (uint8_t)value;
    stored[place][n].view = order == RELEASE ? t->now : t->told;
    stored[place][n].view.at[place] = (uint8_t)n;
}

static void fence(thread_t *t, order_e order)
{
    if (order == RELEASE) t->told = t->now;
    if (order == ACQUIRE) join(&t->now, &t->heard);
}

/* ---- choices: the next one of `n`; the last that can still grow grows in the next run */

#define CHOICES 64u
static unsigned choice[CHOICES], options[CHOICES], chosen, depth;

static unsigned choose(unsigned n)
{
    CHECK(chosen < CHOICES);
    if (chosen == depth) choice[depth++] = 0;
    options[chosen] = n;
    return choice[chosen++];
}

static int next_run(void)
{
    chosen = 0;
    while (depth && choice[depth - 1] + 1 == options[depth - 1])
        depth--;
    if (!depth) return 0;
    choice[depth - 1]++;
    return 1;
}

static unsigned load(thread_t *t, unsigned place, order_e order)
{
    unsigned oldest = t->now.at[place], n = oldest + choose(stores[place] - oldest);
    t->now.at[place] = (uint8_t)n;
    join(&t->heard, &stored[place][n].view);
    if (order == ACQUIRE) join(&t->now, &stored[place][n].view);
    return stored[place][n].value;
}

/* ---- what is taken away */

typedef enum mutant_e {
    NOTHING,
    NO_ACQUIRE_OF_OBJECT,
    NO_ACQUIRE_OF_BLOCK,
    NO_FENCE_AFTER_COPY,
    NO_OBJECT_AGAIN,
    NO_BLOCK_AGAIN,
    NO_KEY_CHECK,
    NO_KEY_CHECK_IN_CHAIN,
    ODD_OBJECT_TAKEN,
    ODD_BLOCK_TAKEN,
    NO_FENCE_IN_OBJECT_BEGIN,
    NO_RELEASE_IN_OBJECT_END,
    NO_FENCE_IN_BLOCK_BEGIN,
    NO_RELEASE_IN_BLOCK_END,
    MEMORY_GIVEN_TOO_EARLY,
    NO_FENCE_WHEN_TAKEN,
    SIZE_LEARNED_WITHOUT_OBJECT,
    CUT_WITHOUT_OBJECT,
    SIZE_BEFORE_BYTES,
    SIZE_NOT_RELEASED,
    MUTANTS
} mutant_e;
static const char *const mutants[MUTANTS] = {
    "nothing",
    "no acquire of the object's sequence",
    "no acquire of the block's sequence",
    "no acquire fence after the copy",
    "the object's sequence is not read again",
    "the block's sequence is not read again",
    "no look at the key of the first block of the chain",
    "no look at the key of the block that a walk found, once its sequence is known",
    "an odd sequence of the object is taken",
    "an odd sequence of the block is taken",
    "no release fence when the object's change begins",
    "no release when the object's change ends",
    "no release fence when the block's change begins",
    "no release when the block's change ends",
    "memory is given up before the block's change begins",
    "no release fence by who takes that memory",
    "the size of a new version comes without a change of the object's sequence",
    "a truncation does not touch the object's sequence",
    "the size grows before the bytes are there",
    "the size grows by a relaxed store"};
static mutant_e mutant;

/* ---- the reader: read_hit of hit.c, for bytes [0, 2) of block 1 */

typedef struct got_t {
    unsigned len, byte[2];
} got_t;

static unsigned key(thread_t *t, unsigned block, unsigned ver)
{
    return load(t, block + B_VER, RELAXED) == ver && load(t, block + B_NO, RELAXED) == 1;
}

static unsigned block_seq(thread_t *t, unsigned block)
{
    unsigned s = load(t, block + B_SEQ, mutant == NO_ACQUIRE_OF_BLOCK ? RELAXED : ACQUIRE);
    return mutant == ODD_BLOCK_TAKEN ? s : s & ~1u;
}

/* see: the block and its sequence; 0: it is not there */
static unsigned see(thread_t *t, unsigned ver, unsigned *seq)
{
    unsigned i = load(t, HEAD, ACQUIRE);
    if (!i) return 0;
    *seq = block_seq(t, BLOCK(i));
    if (mutant == NO_KEY_CHECK || key(t, BLOCK(i), ver)) return BLOCK(i);
    for (int steps = 0; steps < 3; steps++) {
        i = load(t, BLOCK(i) + B_NEXT, ACQUIRE);
        if (!i) return 0;
        if (!key(t, BLOCK(i), ver)) continue;
        *seq = block_seq(t, BLOCK(i));
        return mutant == NO_KEY_CHECK_IN_CHAIN || key(t, BLOCK(i), ver) ? BLOCK(i) : 0;
    }
    return 0;
}

static int read_hit(thread_t *t, got_t *got)
{
    unsigned o_seq = load(t, O_SEQ, mutant == NO_ACQUIRE_OF_OBJECT ? RELAXED : ACQUIRE), seq = 0;
    if (mutant != ODD_OBJECT_TAKEN) o_seq &= ~1u;
    unsigned ver = load(t, O_VER, RELAXED), size = load(t, O_SIZE, RELAXED);
    if (!load(t, O_SHIFT, RELAXED) || !size) return 0;
    unsigned b = see(t, ver, &seq);
    if (!b || !load(t, b + B_BITS, RELAXED)) return 0;
    unsigned data = load(t, b + B_DATA, RELAXED);
    if (!data) data = CHUNK_A; /* no chunk: memory like any other */
    got->len = size;
    got->byte[1] = 0;
    for (unsigned i = 0; i < size; i++)
        got->byte[i] = load(t, data + i, RELAXED);
    if (mutant != NO_FENCE_AFTER_COPY) fence(t, ACQUIRE);
    if (mutant != NO_BLOCK_AGAIN && load(t, b + B_SEQ, RELAXED) != seq) return 0;
    return mutant == NO_OBJECT_AGAIN || load(t, O_SEQ, RELAXED) == o_seq;
}

/* ---- changes, as the engine makes them */

enum { ZERO = 0, OLD = 1, NEW = 2, FOREIGN = 9 };

static unsigned last(unsigned place)
{
    return stored[place][stores[place] - 1].value;
}
static void object_begin(thread_t *t)
{
    store(t, O_SEQ, last(O_SEQ) + 1, RELAXED);
    if (mutant != NO_FENCE_IN_OBJECT_BEGIN) fence(t, RELEASE);
}
static void object_end(thread_t *t)
{
    store(t, O_SEQ, last(O_SEQ) + 1, mutant == NO_RELEASE_IN_OBJECT_END ? RELAXED : RELEASE);
}
static void block_begin(thread_t *t, unsigned b)
{
    store(t, b + B_SEQ, last(b + B_SEQ) + 1, RELAXED);
    if (mutant != NO_FENCE_IN_BLOCK_BEGIN) fence(t, RELEASE);
}
static void block_end(thread_t *t, unsigned b)
{
    store(t, b + B_SEQ, last(b + B_SEQ) + 1, mutant == NO_RELEASE_IN_BLOCK_END ? RELAXED : RELEASE);
}
/* Another thread goes on, which got a lock from this one. */
static void hand_over(thread_t *t)
{
    memset(&t->told, 0, sizeof(t->told));
    memset(&t->heard, 0, sizeof(t->heard));
}
/* Somebody gets the chunk that is given up here, and reads another file into it. */
static void give(const thread_t *t, unsigned chunk)
{
    thread_t other = *t;
    hand_over(&other);
    if (mutant != NO_FENCE_WHEN_TAKEN) fence(&other, RELEASE); /* take, in arena.c */
    store(&other, chunk, FOREIGN, RELAXED);
    store(&other, chunk + 1, FOREIGN, RELAXED);
}
static void bytes(thread_t *t, unsigned b, unsigned from, unsigned value)
{
    for (unsigned i = from; i < 2; i++)
        store(t, last(b + B_DATA) + i, value, RELAXED);
    store(t, b + B_BITS, 1, RELAXED);
    block_end(t, b);
}
static void apply(thread_t *t, unsigned b, unsigned from, unsigned value)
{
    block_begin(t, b);
    bytes(t, b, from, value);
}
static void block_free(thread_t *t, unsigned b)
{
    unsigned chunk = last(b + B_DATA);
    if (mutant == MEMORY_GIVEN_TOO_EARLY) give(t, chunk);
    block_begin(t, b);
    store(t, HEAD, last(b + B_NEXT), RELEASE);
    store(t, b + B_VER, 0, RELAXED);
    if (mutant != MEMORY_GIVEN_TOO_EARLY) give(t, chunk);
    store(t, b + B_DATA, 0, RELAXED);
    store(t, b + B_BITS, 0, RELAXED);
    block_end(t, b);
    hand_over(t);
}
static void block_insert(thread_t *t, unsigned i, unsigned ver, unsigned no, unsigned chunk,
                         unsigned value)
{
    unsigned b = BLOCK(i);
    block_begin(t, b);
    store(t, b + B_VER, ver, RELAXED);
    store(t, b + B_NO, no, RELAXED);
    store(t, b + B_DATA, chunk, RELAXED);
    store(t, b + B_BITS, 0, RELAXED);
    store(t, b + B_NEXT, last(HEAD), RELAXED);
    store(t, HEAD, i, RELEASE);
    bytes(t, b, 0, value);
}

static void write_in_place(thread_t *t)
{
    apply(t, BLOCK(1), 0, NEW);
}
static void write_twice(thread_t *t)
{
    apply(t, BLOCK(1), 0, NEW);
    hand_over(t);
    apply(t, BLOCK(1), 0, OLD);
}
static void evict(thread_t *t)
{
    block_free(t, BLOCK(1));
}
static void evict_and_reuse(thread_t *t)
{
    block_free(t, BLOCK(1));
    block_insert(t, 1, 1, 7, CHUNK_B, FOREIGN);
}
static void evict_and_come_back(thread_t *t)
{
    block_free(t, BLOCK(1));
    block_insert(t, 1, 1, 1, CHUNK_B, NEW);
}
/* Another block comes before ours in the chain, and ours is replaced by one of another key. */
static void replace_behind(thread_t *t)
{
    block_insert(t, 2, 1, 7, CHUNK_B, FOREIGN);
    hand_over(t);
    block_begin(t, BLOCK(1)); /* freed and taken again, in place */
    store(t, BLOCK(1) + B_NO, 8, RELAXED);
    block_end(t, BLOCK(1));
    apply(t, BLOCK(1), 0, FOREIGN);
}
static void move_and_write(thread_t *t)
{
    unsigned b = BLOCK(1);
    if (mutant == MEMORY_GIVEN_TOO_EARLY) give(t, CHUNK_A);
    block_begin(t, b);
    store(t, CHUNK_B, OLD, RELAXED);
    store(t, CHUNK_B + 1, OLD, RELAXED);
    if (mutant != MEMORY_GIVEN_TOO_EARLY) give(t, CHUNK_A);
    store(t, b + B_DATA, CHUNK_B, RELAXED);
    bytes(t, b, 0, NEW);
}
/* Others replaced the file by one of a byte: it is another version, whose block comes with a fill.
 */
static void new_version(thread_t *t)
{
    object_begin(t);
    store(t, O_SHIFT, 0, RELAXED);
    store(t, O_VER, 2, RELEASE);
    object_end(t);
    if (mutant != SIZE_LEARNED_WITHOUT_OBJECT) object_begin(t);
    store(t, O_SIZE, 1, RELAXED);
    if (mutant != SIZE_LEARNED_WITHOUT_OBJECT) object_end(t);
    hand_over(t);
    store(t, O_SHIFT, 14, RELEASE);
    hand_over(t);
    block_insert(t, 2, 2, 1, CHUNK_B, NEW);
}
static void cut(thread_t *t)
{
    if (mutant != CUT_WITHOUT_OBJECT) object_begin(t);
    store(t, O_SIZE, 1, RELEASE);
    apply(t, BLOCK(1), 1, ZERO);
    if (mutant != CUT_WITHOUT_OBJECT) object_end(t);
    hand_over(t);
}
static void cut_and_grow(thread_t *t)
{
    cut(t);
    store(t, O_SIZE, 2, RELEASE);
}
/* The file is one byte long first. */
static void append(thread_t *t)
{
    cut(t);
    order_e order = mutant == SIZE_NOT_RELEASED ? RELAXED : RELEASE;
    if (mutant == SIZE_BEFORE_BYTES) store(t, O_SIZE, 2, order);
    apply(t, BLOCK(1), 1, NEW);
    hand_over(t);
    if (mutant != SIZE_BEFORE_BYTES) store(t, O_SIZE, 2, order);
}

static const struct {
    const char *name;
    void (*change)(thread_t *t);
    got_t may[3]; /* the file as it is at one moment or another */
} changes[] = {
    {"write in place", write_in_place, {{2, {OLD, OLD}}, {2, {NEW, NEW}}}},
    {"two writes", write_twice, {{2, {OLD, OLD}}, {2, {NEW, NEW}}}},
    {"evict", evict, {{2, {OLD, OLD}}}},
    {"evict, reuse for another key", evict_and_reuse, {{2, {OLD, OLD}}}},
    {"evict, come back in other memory", evict_and_come_back, {{2, {OLD, OLD}}, {2, {NEW, NEW}}}},
    {"replace behind another block", replace_behind, {{2, {OLD, OLD}}}},
    {"move, then write", move_and_write, {{2, {OLD, OLD}}, {2, {NEW, NEW}}}},
    {"new version", new_version, {{2, {OLD, OLD}}, {1, {NEW, 0}}}},
    {"truncate", cut, {{2, {OLD, OLD}}, {1, {OLD, 0}}}},
    {"truncate, grow", cut_and_grow, {{2, {OLD, OLD}}, {1, {OLD, 0}}, {2, {OLD, ZERO}}}},
    {"truncate, append", append, {{2, {OLD, OLD}}, {1, {OLD, 0}}, {2, {OLD, NEW}}}},
};
#define CHANGES (sizeof(changes) / sizeof(*changes))

/* ---- the search */

static unsigned long long runs;

/* All runs of the reader beside one change: how many accepted what never was. */
static unsigned explore(size_t nth)
{
    static const uint8_t block_one[B_FIELDS] = {4, 1, 1, 1, CHUNK_A, 0};
    thread_t writer = {0};
    unsigned seen = 0, bad = 0;
    memset(stored, 0, sizeof(stored));
    for (unsigned p = 0; p < PLACES; p++)
        stores[p] = 1; /* what was there when all threads began */
    stored[O_SEQ][0].value = 4;
    stored[O_VER][0].value = 1;
    stored[O_SIZE][0].value = 2;
    stored[O_SHIFT][0].value = 14;
    stored[HEAD][0].value = 1;
    for (unsigned f = 0; f < B_FIELDS; f++)
        stored[BLOCK(1) + f][0].value = block_one[f];
    stored[CHUNK_A][0].value = stored[CHUNK_A + 1][0].value = OLD;
    stored[CHUNK_B][0].value = stored[CHUNK_B + 1][0].value = FOREIGN;
    changes[nth].change(&writer);
    depth = chosen = 0;
    do {
        thread_t reader = {0};
        got_t got = {0, {0, 0}};
        unsigned k = 0;
        runs++;
        if (!read_hit(&reader, &got)) continue;
        while (k < 3 && memcmp(&changes[nth].may[k], &got, sizeof(got)) != 0)
            k++;
        if (k < 3)
            seen |= 1u << k;
        else
            bad++;
    } while (next_run());
    for (unsigned k = 0; k < 3 && mutant == NOTHING; k++) /* and each of those can be read */
        CHECK(!changes[nth].may[k].len || (seen & 1u << k));
    return bad;
}

int main(void)
{
    for (size_t i = 0; i < CHANGES; i++) {
        unsigned bad = explore(i);
        if (bad) fprintf(stderr, "%s: %u reads of what never was\n", changes[i].name, bad);
        CHECK(bad == 0);
    }
    printf("%llu executions, each read is the file as it was\n", runs);
    int idle = 0;
    for (int m = NOTHING + 1; m < MUTANTS; m++) {
        size_t i = 0;
        mutant = (mutant_e)m;
        while (i < CHANGES && !explore(i))
            i++;
        if (i < CHANGES) printf("%s: seen in \"%s\"\n", mutants[m], changes[i].name);
        if (i == CHANGES) fprintf(stderr, "%s: nothing went wrong\n", mutants[m]);
        idle += i == CHANGES;
    }
    CHECK(idle == 0);
    return 0;
}
