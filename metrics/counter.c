/*
 * counter.c - striped counters. Floor 1. The layout is drawn in metrics_private.h.
 */
#include <stdlib.h>
#include <string.h>

#include "metrics/metrics_private.h"

metrics__chunk_t *metrics__chunk_create(void)
{
    /* Two lines, because processors fetch them in pairs. */
    size_t size =
        (sizeof(metrics__chunk_t) + 2 * METRICS__LINE - 1) & ~(size_t)(2 * METRICS__LINE - 1);
    metrics__chunk_t *chunk = aligned_alloc((size_t)2 * METRICS__LINE, size);
    if (chunk == NULL) return NULL;
    memset(chunk, 0, sizeof *chunk);
    for (uint32_t i = 0; i < METRICS__COLUMNS; i++)
        chunk->switches[i].index = i;
    return chunk;
}

metrics_counter_t *metrics__chunk_take(metrics__chunk_t *chunk, int enabled)
{
    if (chunk == NULL || chunk->used == METRICS__COLUMNS) return NULL;
    metrics_counter_t *counter = &chunk->switches[chunk->used++];
    atomic_store_explicit(&counter->enabled, enabled != 0, memory_order_relaxed);
    return counter;
}

static metrics__chunk_t *chunk_of(const metrics_counter_t *counter)
{
    METRICS_ASSERT(counter->index < METRICS__COLUMNS);
    return (metrics__chunk_t *)(uintptr_t)(counter - counter->index);
}

void metrics_add(metrics_counter_t *counter, uint64_t n)
{
    metrics__add_inline(counter, n);
}

void metrics__add_slow(metrics_counter_t *counter, uint64_t n)
{
    ptrdiff_t row = metrics__row_get();
    char *cell = (char *)counter + (row > 0 ? row : -row);
    if (row > 0) {
        metrics__cell_add((_Atomic uint64_t *)(void *)cell, n);
    } else {
        (void)atomic_fetch_add_explicit((_Atomic uint64_t *)(void *)cell, n, memory_order_relaxed);
    }
}

static uint64_t rows_sum(const metrics__chunk_t *chunk, uint32_t column)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < METRICS__ROWS; i++) {
        sum += atomic_load_explicit(&chunk->rows[i][column], memory_order_relaxed);
    }
    return sum;
}

uint64_t metrics_counter_value(const metrics_counter_t *counter)
{
    const metrics__chunk_t *chunk = chunk_of(counter);
    /* The base first: whoever sees it sees rows at least as new as those that it was made of. */
    uint64_t base = atomic_load_explicit(&chunk->base[counter->index], memory_order_acquire);
    return rows_sum(chunk, counter->index) - base;
}

void metrics__counter_reset(metrics_counter_t *counter)
{
    metrics__chunk_t *chunk = chunk_of(counter);
    uint64_t sum = rows_sum(chunk, counter->index);
    atomic_store_explicit(&chunk->base[counter->index], sum, memory_order_release);
}
