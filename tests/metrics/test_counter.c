/*
 * Counters: adding from one thread and from more threads than there are rows.
 */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>

#include "metrics/metrics_private.h"
#include "tests/metrics/support_registry.h"

TestSuite(metrics_counter, .init = registry_setup, .fini = registry_teardown);

static metrics_counter_t *counter(const char *name)
{
    metrics_counter_t *made;
    cr_assert_eq(metrics_counter(&made, registry, name, NULL, "Help."), APR_SUCCESS);
    return made;
}

Test(metrics_counter, starts_at_zero_and_adds_up)
{
    metrics_counter_t *c = counter("x_total");
    cr_expect_eq(metrics_counter_value(c), 0);
    metrics_add(c, 1);
    metrics_add(c, 41);
    metrics_add(c, 0);
    cr_expect_eq(metrics_counter_value(c), 42);
    metrics__add_inline(c, 8);
    cr_expect_eq(metrics_counter_value(c), 50);
}

Test(metrics_counter, takes_the_whole_range_and_wraps)
{
    metrics_counter_t *c = counter("x_total");
    metrics_add(c, UINT64_MAX);
    cr_expect_eq(metrics_counter_value(c), UINT64_MAX);
    metrics_add(c, 3);
    cr_expect_eq(metrics_counter_value(c), 2);
}

Test(metrics_counter, neighbours_do_not_touch_each_other_across_chunks)
{
    enum { COUNT = 3 * METRICS__COLUMNS + 5 };
    metrics_counter_t *all[COUNT];
    char name[40];
    for (unsigned i = 0; i < COUNT; i++) {
        (void)snprintf(name, sizeof name, "c%u_total", i);
        all[i] = counter(name);
    }
    for (unsigned i = 0; i < COUNT; i++)
        metrics_add(all[i], i + 1);
    for (unsigned i = 0; i < COUNT; i++)
        cr_expect_eq(metrics_counter_value(all[i]), i + 1);
    metrics__counter_reset(all[7]);
    cr_expect_eq(metrics_counter_value(all[7]), 0);
    cr_expect_eq(metrics_counter_value(all[6]), 7);
    cr_expect_eq(metrics_counter_value(all[8]), 9);
}

Test(metrics_counter, reset_goes_to_zero_and_on_from_there)
{
    metrics_counter_t *c = counter("x_total");
    metrics_add(c, 7);
    metrics_reset(registry);
    cr_expect_eq(metrics_counter_value(c), 0);
    metrics_add(c, 2);
    cr_expect_eq(metrics_counter_value(c), 2);
}

/* ---- threads */

enum { THREADS = 3 * METRICS__ROWS, ADDS = 2000 };

typedef struct party_t {
    metrics_counter_t *counter;
    pthread_barrier_t all_here;
    ptrdiff_t rows[THREADS];
} party_t;

typedef struct guest_t {
    party_t *party;
    unsigned i;
} guest_t;

static void *add_together(void *data)
{
    guest_t *guest = data;
    party_t *party = guest->party;
    metrics_add(party->counter, 1);
    party->rows[guest->i] = metrics__row;
    (void)pthread_barrier_wait(&party->all_here); /* so that all rows are held at once */
    for (unsigned i = 1; i < ADDS; i++)
        metrics_add(party->counter, 1);
    return NULL;
}

static void party_run(party_t *party, unsigned threads)
{
    pthread_t ids[THREADS];
    guest_t guests[THREADS];
    cr_assert_eq(pthread_barrier_init(&party->all_here, NULL, threads), 0);
    for (unsigned i = 0; i < threads; i++) {
        guests[i] = (guest_t){party, i};
        cr_assert_eq(pthread_create(&ids[i], NULL, add_together, &guests[i]), 0);
    }
    for (unsigned i = 0; i < threads; i++)
        cr_assert_eq(pthread_join(ids[i], NULL), 0);
    (void)pthread_barrier_destroy(&party->all_here);
}

Test(metrics_counter, loses_nothing_when_threads_outnumber_the_rows)
{
    party_t party = {.counter = counter("x_total")};
    party_run(&party, THREADS);
    cr_expect_eq(metrics_counter_value(party.counter), (uint64_t)THREADS * ADDS);
}

Test(metrics_counter, an_owned_row_has_one_owner)
{
    party_t party = {.counter = counter("x_total")};
    unsigned owners[METRICS__OWNED_ROWS + 1] = {0}, shared = 0;
    party_run(&party, THREADS);
    for (unsigned i = 0; i < THREADS; i++) {
        ptrdiff_t row = party.rows[i] / METRICS__ROW_BYTES;
        cr_assert_neq(row, 0);
        if (row < 0) {
            shared++;
            cr_expect_gt(-row, (ptrdiff_t)METRICS__OWNED_ROWS);
            cr_expect_leq(-row, (ptrdiff_t)METRICS__ROWS);
        } else {
            cr_assert_leq(row, (ptrdiff_t)METRICS__OWNED_ROWS);
            cr_expect_eq(++owners[row], 1);
        }
    }
    cr_expect_eq(shared, THREADS - METRICS__OWNED_ROWS);
}

Test(metrics_counter, rows_come_back_when_threads_end)
{
    party_t party = {.counter = counter("x_total")};
    for (unsigned round = 1; round <= 5; round++) {
        party_run(&party, METRICS__OWNED_ROWS);
        for (unsigned i = 0; i < METRICS__OWNED_ROWS; i++)
            cr_expect_gt(party.rows[i], 0);
        cr_expect_eq(metrics_counter_value(party.counter),
                     (uint64_t)round * METRICS__OWNED_ROWS * ADDS);
    }
}

static metrics_counter_t *late;
static pthread_key_t late_key;

static void count_late(void *again)
{
    metrics_add(late, 1);
    /* once more, in the round of destructors behind the one that gave our row back */
    if (again != &late_key) (void)pthread_setspecific(late_key, &late_key);
}

static void *ends_counting(void *unused)
{
    metrics_add(late, 1);
    (void)pthread_setspecific(late_key, &late);
    return unused;
}

Test(metrics_counter, destructors_of_a_thread_may_still_count)
{
    pthread_t id;
    late = counter("x_total");
    cr_assert_eq(pthread_key_create(&late_key, count_late), 0);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(pthread_create(&id, NULL, ends_counting, NULL), 0);
        cr_assert_eq(pthread_join(id, NULL), 0);
    }
    cr_expect_eq(metrics_counter_value(late), 9);
}
