/*
 * metrics_inline.h - the counter update, small enough to be inlined into a hot path.
 * Floor 1, shared: floors above may include it, it is not installed. Knows nothing of file systems.
 */
#ifndef METRICS_METRICS_INLINE_H
#define METRICS_METRICS_INLINE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "metrics/metrics.h"

/* ---- rows
 *
 * A thread that counts has a row, in everything that is striped by threads: the first 24 have one
 * each until they end and add with a plain load and store; those beyond share eight, with locked
 * adds. Rows are numbered from 1, and named by their distance in bytes from row 0. */
#define METRICS__COLUMNS 64u
#define METRICS__OWNED_ROWS 24u
#define METRICS__SHARED_ROWS 8u
#define METRICS__ROWS (METRICS__OWNED_ROWS + METRICS__SHARED_ROWS)
#define METRICS__ROW_BYTES ((ptrdiff_t)(METRICS__COLUMNS * sizeof(uint64_t)))

/* A counter is one column of a chunk (metrics_private.h): this cell is its switch, and the cells
 * that hold its value lie whole rows behind it. */
struct metrics_counter_t {
    _Atomic uint32_t enabled;
    uint32_t index; /* column in the chunk */
};

/* Distance in bytes from a counter's first cell to the row of this thread. Above 0: a row that no
 * other thread writes; below 0: its negative is a row that several threads share; 0: not chosen
 * yet. */
extern _Thread_local ptrdiff_t metrics__row
    __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* The same, chosen if need be; never 0. */
ptrdiff_t metrics__row_get(void);
/* The rest: choose a row if there is none yet; add to a row that several threads share. */
void metrics__add_slow(metrics_counter_t *counter, uint64_t n) __attribute__((noinline, cold));

/* TSan must see the accesses, and other processors than x86-64 need the load and the store spelled
 * out. */
#if defined(__SANITIZE_THREAD__)
#define METRICS__ADD_ASM 0
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define METRICS__ADD_ASM 0
#endif
#endif
#if !defined(METRICS__ADD_ASM)
#if defined(__x86_64__)
#define METRICS__ADD_ASM 1
#else
#define METRICS__ADD_ASM 0
#endif
#endif

/* Add to a cell that only this thread writes: no locked instruction, which would cost five times as
 * much. Compilers make three instructions of a relaxed load and store; one does it, and is whole
 * even if a signal handler counts. */
static inline void metrics__cell_add(_Atomic uint64_t *cell, uint64_t n)
{
#if METRICS__ADD_ASM
    __asm__("addq %1, %0" : "+m"(*cell) : "er"(n) : "cc");
#else
    uint64_t sum = atomic_load_explicit(cell, memory_order_relaxed) + n;
    atomic_store_explicit(cell, sum, memory_order_relaxed);
#endif
}

static inline void metrics__add_inline(metrics_counter_t *counter, uint64_t n)
{
    if (atomic_load_explicit(&counter->enabled, memory_order_relaxed) == 0) return;
    ptrdiff_t row = metrics__row;
    if (row <= 0) {
        metrics__add_slow(counter, n);
        return;
    }
    metrics__cell_add((_Atomic uint64_t *)(void *)((char *)counter + row), n);
}

#endif
