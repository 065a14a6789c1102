/*
 * stripe.c - which row of every chunk a thread writes to. Floor 1. Knows nothing of metrics
 * themselves.
 *
 * The first threads that count get a row each, so that counting needs no locked instruction; it
 * comes back when the thread ends. Threads beyond them are dealt out over the shared rows, for
 * good.
 */
#include <stdio.h>
#include <stdlib.h>

#include "metrics/metrics_private.h"

_Thread_local ptrdiff_t metrics__row;

static _Atomic uint32_t rows_taken; /* bit n: row n + 1 has an owner */
static _Atomic uint32_t threads_shared;
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key; /* its value is the owned row; runs row_back when the thread ends */
static int key_ok;

_Static_assert(METRICS__OWNED_ROWS <= 32, "a bit for each owned row");

void metrics__assert_failed(const char *what, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, what);
    abort();
}

static ptrdiff_t shared_row(void)
{
    uint32_t turn = atomic_fetch_add_explicit(&threads_shared, 1, memory_order_relaxed);
    return -(ptrdiff_t)(1 + METRICS__OWNED_ROWS + turn % METRICS__SHARED_ROWS) * METRICS__ROW_BYTES;
}

/* A thread ends. What its later destructors count goes to a shared row. */
static void row_back(void *value)
{
    uint32_t row = (uint32_t)(uintptr_t)value;
    METRICS_ASSERT(row >= 1 && row <= METRICS__OWNED_ROWS);
    metrics__row = shared_row();
    /* release: the next owner continues from what this one stored */
    uint32_t before =
        atomic_fetch_and_explicit(&rows_taken, ~(1u << (row - 1)), memory_order_release);
    METRICS_ASSERT(before & (1u << (row - 1)));
}

static void key_make(void)
{
    key_ok = pthread_key_create(&key, row_back) == 0;
}

/* A row without an owner, 1 to METRICS__OWNED_ROWS, or 0. */
static uint32_t row_take(void)
{
    uint32_t taken = atomic_load_explicit(&rows_taken, memory_order_relaxed);
    for (;;) {
        uint32_t row = 0;
        while (row < METRICS__OWNED_ROWS && (taken & (1u << row)))
            row++;
        if (row == METRICS__OWNED_ROWS) return 0;
        if (atomic_compare_exchange_weak_explicit(&rows_taken, &taken, taken | (1u << row),
                                                  memory_order_acquire, memory_order_relaxed)) {
            return row + 1;
        }
    }
}

ptrdiff_t metrics__row_get(void)
{
    if (metrics__row != 0) return metrics__row;
    (void)pthread_once(&key_once, key_make); /* fails only for a bad argument */
    uint32_t row = key_ok ? row_take() : 0;
    if (row != 0 && pthread_setspecific(key, (void *)(uintptr_t)row) != 0) {
        (void)atomic_fetch_and_explicit(&rows_taken, ~(1u << (row - 1)), memory_order_release);
        row = 0;
    }
    metrics__row = row != 0 ? (ptrdiff_t)row * METRICS__ROW_BYTES : shared_row();
    return metrics__row;
}

unsigned metrics__stripe(unsigned count)
{
    ptrdiff_t row = metrics__row_get();
    METRICS_ASSERT(count != 0 && (count & (count - 1)) == 0);
    size_t distance = (size_t)(row < 0 ? -row : row);
    return (unsigned)(distance / (size_t)METRICS__ROW_BYTES) & (count - 1);
}
