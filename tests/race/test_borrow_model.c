/*
 * test_borrow_model.c - the count of those who borrow a block (cachefs/borrow.c), against those who
 * change it, explored in every order that its memory orders allow. A plain program.
 */
/* The idea is that of test_block_model.c: a thread is a list of accesses; one may happen as soon as
 * all earlier ones have that it is ordered behind, by an acquire, a release, a fence, its address
 * or its place; all threads see one memory. Here an access may also be a read-modify-write, which
 * is whole, and have a condition: it is skipped where that is not met. A load does not wait for its
 * condition, as processors guess; whatever stores does.
 *
 * One borrows a block, reads a byte of it whenever he likes until he gives it back, and so does
 * another one; a third changes the block once or twice; and who gets a chunk that is free puts
 * another file there. What a borrower read must be the byte that the block had at the sequence that
 * he was counted at; a chunk is freed once, when the block and all borrowers are done with it. Then
 * the same programs run with one order or check taken away at a time, and each must go wrong. */
#include <stdio.h>
#include <string.h>

#include "tests/race/support_race.h"
#include "tests/race/support_states.h"

/* ---- memory */

enum {
    SEQ,
    COUNT,
    KEY,
    BITS,
    DATA,
    CHUNK,
    OWNER = CHUNK + 3,
    FREED = CHUNK + 6,
    PLACES = CHUNK + 9
};
#define CHUNK_A 1u /* CHUNK + 1; 0 is none, and has memory like any other */
#define CHUNK_B 2u
#define WANTED 1u
#define VALID 1u /* in BITS */
#define DIRTY 2u
#define FOREIGN 0x77u
#define BYTE_AT(seq) (0x10u + (seq)) /* what a change that ends with `seq` puts there */
#define FIRST_SEQ 2u

enum { BORROWER, OTHER, CHANGER, FILLER, THREADS };
enum { R_SEQ, R_KEY, R_BITS, R_DATA, R_HELD, R_BYTE, R_DATA2, R_BACK, R_LEFT, REGISTERS };

typedef struct state_t {
    uint32_t done[THREADS];
    uint8_t mem[PLACES];
    uint8_t reg[THREADS][REGISTERS];
    uint8_t wrong;
} state_t;

typedef enum order_e { RELAXED, ACQUIRE, RELEASE, BOTH } order_e;
typedef enum kind_e { LOAD, STORE, RMW, FENCE, AWAIT } kind_e;
typedef int (*when_fn)(const uint8_t *reg);
typedef int (*fail_fn)(const state_t *s, const uint8_t *reg);
typedef void (*act_fn)(state_t *s, uint8_t *reg, unsigned value);
typedef struct access_t {
    kind_e kind;
    order_e order;
    uint8_t place, value; /* of a LOAD: the register */
    uint32_t needs;       /* registers that its place, value or condition come from */
    when_fn when;
    act_fn act;    /* of an RMW */
    fail_fn fails; /* it would change nothing now: then it releases nothing */
} access_t;

#define AT_DATA PLACES /* the byte of the chunk that R_DATA names */
#define ACCESSES 32u
typedef struct program_t {
    access_t a[ACCESSES];
    uint32_t after[ACCESSES], after_failed[ACCESSES];
    unsigned n;
} program_t;

/* ---- what is taken away */

#define MUTANT_LIST(M)                                                                             \
    M(NOTHING, "nothing")                                                                          \
    M(NO_ACQUIRE_OF_STATE, "no acquire of the first look at the state")                            \
    M(NO_FENCE_BEFORE_COUNTED, "no acquire fence before a borrower is counted")                    \
    M(COUNTED_WHATEVER_THE_SEQUENCE, "a borrower is counted whatever the sequence is by then")     \
    M(NO_KEY_CHECK, "no look at the key")                                                          \
    M(ODD_TAKEN, "an odd sequence is taken")                                                       \
    M(DIRTY_LENT, "a dirty block is lent")                                                         \
    M(GIVEN_BACK_RELAXED, "given back by a relaxed operation")                                     \
    M(GIVEN_BACK_WHATEVER_THE_SEQUENCE,                                                            \
      "given back to the block whatever its sequence is by then")                                  \
    M(NO_ORDER_IN_BEGIN, "no acquire and no fence in the beginning of a change")                   \
    M(NO_RELEASE_IN_END, "no release in the end of a change")                                      \
    M(COUNT_READ_BEFORE_BEGIN, "the borrowers are counted before the change begins")               \
    M(CHANGED_ALTHOUGH_BORROWED, "a change in place although somebody borrows")                    \
    M(DIRTY_AFTER_END, "dirty is noted after the end of the change")                               \
    M(ORPHAN_GIVEN_BACK_RELAXED, "an orphan is given back by a relaxed operation")                 \
    M(ORPHAN_COUNT_SET, "the block sets the count of an orphan instead of adding to it")
typedef enum mutant_e {
#define NAME(name, what) name,
    MUTANT_LIST(NAME) MUTANTS
} mutant_e;
static const char *const mutants[MUTANTS] = {
#define WHAT(name, what) what,
    MUTANT_LIST(WHAT)};
static mutant_e mutant;

/* ---- programs */

static access_t *add(program_t *p, kind_e kind, order_e order, unsigned place, unsigned value)
{
    CHECK(p->n < ACCESSES);
    p->a[p->n] =
        (access_t){.kind = kind, .order = order, .place = (uint8_t)place, .value = (uint8_t)value};
    return &p->a[p->n++];
}

static access_t *add_if(program_t *p, kind_e kind, order_e order, unsigned place, unsigned value,
                        uint32_t needs, when_fn when)
{
    access_t *a = add(p, kind, order, place, value);
    a->needs = needs;
    a->when = when;
    return a;
}

#define NEEDS(r) (1u << (r))

static int acquires(const access_t *a)
{
    return a->kind != STORE && a->kind != FENCE && (a->order == ACQUIRE || a->order == BOTH);
}
static int releases(const access_t *a)
{
    return (a->kind == STORE || a->kind == RMW) && (a->order == RELEASE || a->order == BOTH);
}
/* SEQ and COUNT are one word. */
static unsigned word(const access_t *a)
{
    return a->place == COUNT ? SEQ : a->place;
}
static int sets(const access_t *a, uint32_t regs)
{
    return (a->kind == LOAD || a->kind == RMW) && (regs >> a->value & 1) != 0;
}

/* i before j in the program; must it be before j in memory? */
static int ordered(const program_t *p, unsigned i, unsigned j, int failed)
{
    const access_t *a = &p->a[i], *b = &p->a[j];
    if (a->kind == FENCE || b->kind == FENCE) return 0;
    if (word(a) == word(b)) return 1;
    if (acquires(a) || (releases(b) && !failed)) return 1;
    if (sets(a, b->needs) && (b->kind != LOAD || b->place == AT_DATA)) return 1;
    for (unsigned f = i + 1; f < j; f++) {
        if (p->a[f].kind != FENCE) continue;
        if (p->a[f].order == BOTH) return 1; /* a lock changes hands */
        if (p->a[f].order == RELEASE && b->kind != LOAD) return 1;
        if (p->a[f].order == ACQUIRE && a->kind != STORE) return 1;
    }
    return 0;
}

static void close_program(program_t *p)
{
    for (unsigned j = 0; j < p->n; j++)
        for (unsigned i = 0; i < j; i++) {
            if (ordered(p, i, j, 0)) p->after[j] |= 1u << i;
            if (ordered(p, i, j, 1)) p->after_failed[j] |= 1u << i;
        }
}

/* ---- those who borrow: lend_hit, unborrow */

static int wants(const uint8_t *r)
{
    if ((r[R_SEQ] & 1) && mutant != ODD_TAKEN) return 0;
    if (r[R_KEY] != WANTED && mutant != NO_KEY_CHECK) return 0;
    return (r[R_BITS] & VALID) && (!(r[R_BITS] & DIRTY) || mutant == DIRTY_LENT);
}
static void be_counted(state_t *s, uint8_t *r, unsigned value)
{
    r[value] = s->mem[SEQ] == r[R_SEQ] || mutant == COUNTED_WHATEVER_THE_SEQUENCE;
    s->mem[COUNT] += r[value];
}
static int borrows(const uint8_t *r)
{
    return r[R_HELD];
}
static int moved(const state_t *s, const uint8_t *r)
{
    if (mutant == GIVEN_BACK_WHATEVER_THE_SEQUENCE) return 0;
    return s->mem[SEQ] != r[R_SEQ] || r[R_DATA2] != r[R_DATA];
}
static void give_back(state_t *s, uint8_t *r, unsigned value)
{
    r[value] = !moved(s, r);
    if (r[value] && !s->mem[COUNT]) s->wrong = 1;
    if (r[value]) s->mem[COUNT]--;
}
static int left_to_us(const uint8_t *r)
{
    return r[R_HELD] && !r[R_BACK];
}
#define ORPHAN 100u /* an owner word, more or less by those who hold the chunk; 0: it is none */
static void orphan_add(state_t *s, uint8_t *r, int n)
{
    uint8_t *owner = &s->mem[OWNER + r[R_DATA]];
    *owner = (uint8_t)((*owner ? *owner : ORPHAN) + n);
    r[R_LEFT] = *owner == ORPHAN;
}
static void orphan_back(state_t *s, uint8_t *r, unsigned value)
{
    (void)value;
    if (!(s->mem[SEQ] & 1) && s->mem[DATA] == r[R_DATA]) s->wrong = 1; /* the block counts it */
    orphan_add(s, r, -1);
}
static int was_last(const uint8_t *r)
{
    return r[R_HELD] && !r[R_BACK] && r[R_LEFT];
}
static void free_it(state_t *s, uint8_t *r, unsigned value)
{
    (void)value;
    if (++s->mem[FREED + r[R_DATA]] > 1) s->wrong = 1;
}

static void borrower_program(program_t *p)
{
    order_e back = mutant == GIVEN_BACK_RELAXED ? RELAXED : RELEASE;
    add(p, LOAD, mutant == NO_ACQUIRE_OF_STATE ? RELAXED : ACQUIRE, SEQ, R_SEQ);
    add(p, LOAD, RELAXED, KEY, R_KEY);
    add(p, LOAD, RELAXED, BITS, R_BITS);
    add(p, LOAD, RELAXED, DATA, R_DATA);
    if (mutant != NO_FENCE_BEFORE_COUNTED) add(p, FENCE, ACQUIRE, 0, 0);
    add_if(p, RMW, RELAXED, SEQ, R_HELD, NEEDS(R_SEQ) | NEEDS(R_KEY) | NEEDS(R_BITS), wants)->act =
        be_counted;
    add(p, LOAD, RELAXED, AT_DATA, R_BYTE)->needs = NEEDS(R_DATA);
    add(p, LOAD, RELAXED, DATA, R_DATA2);
    access_t *given =
        add_if(p, RMW, back, SEQ, R_BACK, NEEDS(R_HELD) | NEEDS(R_DATA) | NEEDS(R_DATA2), borrows);
    given->act = give_back;
    given->fails = moved;
    add_if(p, RMW, mutant == ORPHAN_GIVEN_BACK_RELAXED ? RELAXED : BOTH, OWNER, R_LEFT,
           NEEDS(R_BACK) | NEEDS(R_DATA) | NEEDS(R_HELD), left_to_us)
        ->act = orphan_back;
    add_if(p, RMW, RELEASE, FREED, REGISTERS, NEEDS(R_LEFT) | NEEDS(R_BACK) | NEEDS(R_HELD),
           was_last)
        ->act = free_it;
    close_program(p);
}

/* Another one, who is there to be counted too: he does in one step what the first does in many. */
static void look_and_be_counted(state_t *s, uint8_t *r, unsigned value)
{
    r[R_SEQ] = s->mem[SEQ];
    r[R_DATA] = r[R_DATA2] = s->mem[DATA];
    r[value] = !(s->mem[SEQ] & 1) && s->mem[KEY] == WANTED && s->mem[BITS] == VALID;
    s->mem[COUNT] += r[value];
}
static void other_program(program_t *p)
{
    add(p, RMW, ACQUIRE, SEQ, R_HELD)->act = look_and_be_counted;
    add_if(p, RMW, RELEASE, SEQ, R_BACK, NEEDS(R_HELD), borrows)->act = give_back;
    add_if(p, RMW, BOTH, OWNER, R_LEFT, NEEDS(R_BACK), left_to_us)->act = orphan_back;
    add_if(p, RMW, RELEASE, FREED, REGISTERS, NEEDS(R_LEFT), was_last)->act = free_it;
    close_program(p);
}

/* ---- who changes the block
 *
 * R_HELD is how many borrow, R_DATA the block's chunk. An operation is whole here, so acquire alone
 * would do in its beginning; test_hit_model.c shows why there is a fence as well. */

static unsigned seq; /* while a program is made: the sequence at that point */

static void count_before(state_t *s, uint8_t *r, unsigned value)
{
    r[value] = s->mem[COUNT];
}
static void odd(state_t *s, uint8_t *r, unsigned value)
{
    if ((s->mem[BITS] & DIRTY) && s->mem[COUNT]) s->wrong = 1; /* it would change in place */
    if (mutant != COUNT_READ_BEFORE_BEGIN) r[value] = s->mem[COUNT];
    if (mutant == CHANGED_ALTHOUGH_BORROWED) r[value] = 0;
    r[R_DATA] = s->mem[DATA]; /* nobody else changes it */
    s->mem[SEQ]++;
    if (mutant != CHANGED_ALTHOUGH_BORROWED) s->mem[COUNT] = 0;
}
static int alone(const uint8_t *r)
{
    return !r[R_HELD];
}
static int left_free(const uint8_t *r)
{
    return r[R_HELD] && r[R_LEFT];
}
static void leave(state_t *s, uint8_t *r, unsigned value)
{
    (void)value;
    if (mutant == ORPHAN_COUNT_SET) s->mem[OWNER + r[R_DATA]] = 0;
    orphan_add(s, r, r[R_HELD]);
}
/* The next sequence, and no borrowers. */
static void even(state_t *s, uint8_t *r, unsigned value)
{
    (void)r;
    (void)value;
    s->mem[SEQ]++;
}

static void begin(program_t *p)
{
    if (mutant == COUNT_READ_BEFORE_BEGIN) add(p, RMW, RELAXED, COUNT, R_HELD)->act = count_before;
    add(p, RMW, mutant == NO_ORDER_IN_BEGIN ? RELAXED : ACQUIRE, SEQ, R_HELD)->act = odd;
    if (mutant != NO_ORDER_IN_BEGIN) add(p, FENCE, RELEASE, 0, 0);
    seq += 2;
}
static void end(program_t *p)
{
    add(p, RMW, mutant == NO_RELEASE_IN_END ? RELAXED : RELEASE, SEQ, REGISTERS)->act = even;
}
static void release_if_borrowed(program_t *p)
{
    add_if(p, RMW, BOTH, OWNER, R_LEFT, NEEDS(R_HELD), borrows)->act = leave;
    add_if(p, RMW, RELEASE, FREED, REGISTERS, NEEDS(R_HELD) | NEEDS(R_LEFT), left_free)->act =
        free_it;
}

/* cachefs__block_put: in place if nobody borrows the chunk, else in another one */
static void put(program_t *p, unsigned bits)
{
    begin(p);
    add_if(p, STORE, RELAXED, CHUNK + CHUNK_A, BYTE_AT(seq), NEEDS(R_HELD), alone);
    add_if(p, STORE, RELAXED, CHUNK + CHUNK_B, BYTE_AT(seq), NEEDS(R_HELD), borrows);
    release_if_borrowed(p);
    add_if(p, STORE, RELAXED, DATA, CHUNK_B, NEEDS(R_HELD), borrows);
    if (mutant != DIRTY_AFTER_END) add(p, STORE, RELAXED, BITS, bits);
    end(p);
    if (mutant == DIRTY_AFTER_END) add(p, STORE, RELAXED, BITS, bits);
}

/* The second write finds the block dirty, so nobody borrows it: wherever the first put it. */
static void put_twice(program_t *p, unsigned bits)
{
    put(p, bits);
    add(p, FENCE, BOTH, 0, 0);
    begin(p);
    add(p, STORE, RELAXED, AT_DATA, BYTE_AT(seq))->needs = NEEDS(R_HELD);
    end(p);
}
/* cachefs__block_free */
static void drop(program_t *p, unsigned key)
{
    begin(p);
    add(p, STORE, RELAXED, KEY, key);
    add_if(p, RMW, RELEASE, FREED, REGISTERS, NEEDS(R_HELD), alone)->act = free_it;
    release_if_borrowed(p);
    add(p, STORE, RELAXED, DATA, 0);
    add(p, STORE, RELAXED, BITS, 0);
    end(p);
}
static void come_back(program_t *p, unsigned key)
{
    drop(p, 0);
    add(p, FENCE, BOTH, 0, 0);
    begin(p);
    add(p, STORE, RELAXED, KEY, key);
    add(p, STORE, RELAXED, DATA, CHUNK_B);
    add(p, STORE, RELAXED, CHUNK + CHUNK_B, key == WANTED ? BYTE_AT(seq) : FOREIGN);
    add(p, STORE, RELAXED, BITS, VALID);
    end(p);
}
static const struct {
    const char *name;
    void (*change)(program_t *p, unsigned how);
    unsigned how;
    int other; /* two borrow */
} changes[] = {{"write through", put, VALID, 1},
               {"write back, twice", put_twice, VALID | DIRTY, 1},
               {"evict", drop, 0, 1},
               {"evict, come back in other memory", come_back, WANTED, 0},
               {"evict, reuse for another key", come_back, WANTED + 1, 0}};
#define CHANGES (sizeof(changes) / sizeof(*changes))

/* Somebody gets chunk A when it is free. */
static void filler_program(program_t *p)
{
    add(p, AWAIT, ACQUIRE, FREED + CHUNK_A, 1);
    add(p, STORE, RELAXED, CHUNK + CHUNK_A, FOREIGN);
    close_program(p);
}

/* ---- the search */

typedef struct search_t {
    program_t prog[THREADS];
    states_t states;
    unsigned bad, lent, orphans;
} search_t;

/* The access k of a thread happens. 0: it cannot yet. */
static int happen(state_t *s, const program_t *p, unsigned thread, unsigned k)
{
    const access_t *a = &p->a[k];
    uint8_t *reg = s->reg[thread];
    unsigned place = a->place == AT_DATA ? CHUNK + reg[R_DATA] : a->place;
    int failed = a->fails && a->fails(s, reg);
    uint32_t after = failed ? p->after_failed[k] : p->after[k];
    if ((s->done[thread] >> k & 1) || (after & ~s->done[thread])) return 0;
    if (a->kind == AWAIT && s->mem[place] != a->value) return 0;
    s->done[thread] |= 1u << k;
    if (a->when && !a->when(reg)) return 1;
    if (a->kind == STORE) s->mem[place] = a->value;
    if (a->kind == LOAD) reg[a->value] = s->mem[place];
    if (a->kind == RMW) a->act(s, reg, a->value);
    return 1;
}

static int all_done(const search_t *x, const state_t *s, unsigned thread)
{
    const program_t *p = &x->prog[thread];
    for (unsigned k = 0; k < p->n; k++)
        if (p->a[k].kind != FENCE && !(s->done[thread] >> k & 1)) return 0;
    return 1;
}

static void judge(search_t *x, const state_t *s)
{
    int bad = s->wrong;
    const uint8_t *r = s->reg[BORROWER];
    if (all_done(x, s, BORROWER) && r[R_HELD]) {
        x->lent++;
        x->orphans += !r[R_BACK];
        bad |= r[R_BYTE] != BYTE_AT(r[R_SEQ]);
    }
    if (all_done(x, s, BORROWER) && all_done(x, s, OTHER) && all_done(x, s, CHANGER)) {
        bad |= s->mem[COUNT] != 0;
        bad |= s->mem[FREED + CHUNK_A] != (s->mem[DATA] != CHUNK_A);
        bad |= s->mem[FREED + CHUNK_B] != 0;
    }
    x->bad += bad != 0;
}

static void explore(search_t *x, size_t nth)
{
    state_t s;
    memset(x, 0, sizeof(*x));
    memset(&s, 0, sizeof(s));
    seq = FIRST_SEQ;
    borrower_program(&x->prog[BORROWER]);
    if (changes[nth].other) other_program(&x->prog[OTHER]);
    changes[nth].change(&x->prog[CHANGER], changes[nth].how);
    close_program(&x->prog[CHANGER]);
    filler_program(&x->prog[FILLER]);
    s.mem[SEQ] = FIRST_SEQ;
    s.mem[KEY] = WANTED;
    s.mem[BITS] = VALID;
    s.mem[DATA] = CHUNK_A;
    s.mem[CHUNK + CHUNK_A] = BYTE_AT(FIRST_SEQ);
    s.mem[CHUNK] = s.mem[CHUNK + CHUNK_B] = FOREIGN;
    states_begin(&x->states, sizeof(s));
    states_reach(&x->states, &s);
    for (state_t at; !(x->bad && mutant) && states_next(&x->states, &at);) {
        judge(x, &at);
        for (unsigned t = 0; t < THREADS; t++)
            for (unsigned k = 0; k < x->prog[t].n; k++) {
                state_t next = at;
                if (x->prog[t].a[k].kind != FENCE && happen(&next, &x->prog[t], t, k))
                    states_reach(&x->states, &next);
            }
    }
    states_end(&x->states);
}

int main(void)
{
    search_t x;
    size_t states = 0;
    for (size_t i = 0; i < CHANGES; i++) {
        explore(&x, i);
        states += x.states.count;
        if (x.bad) fprintf(stderr, "%s: %u times wrong\n", changes[i].name, x.bad);
        CHECK(x.bad == 0);
        CHECK(x.lent > 0 && x.orphans > 0); /* and blocks are lent, and left to who borrowed them */
    }
    int idle = 0;
    printf("%zu states: all that was borrowed stayed, and came back once\n", states);
    for (int m = NOTHING + 1; m < MUTANTS; m++) {
        size_t i = 0;
        mutant = (mutant_e)m;
        for (; i < CHANGES; i++) {
            explore(&x, i);
            if (x.bad) break;
        }
        if (i < CHANGES) printf("%s: seen in \"%s\"\n", mutants[m], changes[i].name);
        if (i == CHANGES) fprintf(stderr, "%s: nothing went wrong\n", mutants[m]);
        idle += i == CHANGES;
    }
    CHECK(idle == 0);
    return 0;
}
