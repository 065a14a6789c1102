/*
 * histogram.c - recording into striped cells, and adding the stripes up. Floor 1.
 * What a cell is: cells.c.
 */
#include <stdlib.h>
#include <string.h>

#include "metrics/metrics_private.h"

metrics_histogram_t *metrics__histogram_create(int enabled)
{
    /* calloc and not aligned_alloc: only untouched zero pages cost nothing. */
    void *memory = calloc(1, sizeof(metrics_histogram_t) + METRICS__LINE - 1);
    if (memory == NULL) return NULL;
    uintptr_t at = ((uintptr_t)memory + METRICS__LINE - 1) & ~(uintptr_t)(METRICS__LINE - 1);
    metrics_histogram_t *histogram = (metrics_histogram_t *)at;
    histogram->memory = memory;
    atomic_store_explicit(&histogram->enabled, enabled != 0, memory_order_relaxed);
    return histogram;
}

void metrics__histogram_destroy(metrics_histogram_t *histogram)
{
    if (histogram != NULL) free(histogram->memory);
}

static void raise_to(_Atomic uint64_t *word, uint64_t value)
{
    uint64_t old = atomic_load_explicit(word, memory_order_relaxed);
    while (old < value && !atomic_compare_exchange_weak_explicit(
                              word, &old, value, memory_order_relaxed, memory_order_relaxed)) {
    }
}

void metrics_record_n(metrics_histogram_t *histogram, uint64_t ns, uint64_t n)
{
    if (atomic_load_explicit(&histogram->enabled, memory_order_relaxed) == 0 || n == 0) return;
    metrics__stripe_t *stripe = &histogram->stripes[metrics__stripe(METRICS__HISTOGRAM_STRIPES)];
    raise_to(&stripe->max, ns);
    raise_to(&stripe->min_flipped, ~ns);
    (void)atomic_fetch_add_explicit(&stripe->sum, ns * n, memory_order_relaxed);
    /* The cell last and with release: who counts a value sees its share of sum, min and max. */
    (void)atomic_fetch_add_explicit(&stripe->cells[metrics__cell_of(ns)], n, memory_order_release);
}

void metrics_record(metrics_histogram_t *histogram, uint64_t ns)
{
    metrics_record_n(histogram, ns, 1);
}

/* Was anything recorded here? A value leaves max or ~min above 0, and so the pages of a stripe that
 * no thread uses stay untouched. */
static int used(const metrics__stripe_t *stripe)
{
    return (atomic_load_explicit(&stripe->max, memory_order_relaxed) |
            atomic_load_explicit(&stripe->min_flipped, memory_order_relaxed)) != 0;
}

void metrics__figures_read(metrics__figures_t *out, const metrics_histogram_t *histogram,
                           uint64_t *scratch)
{
    uint64_t min_flipped = 0;
    memset(out, 0, sizeof *out);
    memset(scratch, 0, METRICS__CELLS * sizeof *scratch);
    for (unsigned s = 0; s < METRICS__HISTOGRAM_STRIPES; s++) {
        const metrics__stripe_t *stripe = &histogram->stripes[s];
        if (!used(stripe)) continue;
        for (uint32_t i = 0; i < METRICS__CELLS; i++) {
            scratch[i] += atomic_load_explicit(&stripe->cells[i], memory_order_acquire);
        }
        out->sum += atomic_load_explicit(&stripe->sum, memory_order_relaxed);
        uint64_t max = atomic_load_explicit(&stripe->max, memory_order_relaxed);
        if (max > out->max) out->max = max;
        uint64_t flipped = atomic_load_explicit(&stripe->min_flipped, memory_order_relaxed);
        if (flipped > min_flipped) min_flipped = flipped;
    }
    out->min = ~min_flipped;
    metrics__figures_settle(out, scratch);
}

void metrics__histogram_reset(metrics_histogram_t *histogram)
{
    for (unsigned s = 0; s < METRICS__HISTOGRAM_STRIPES; s++) {
        metrics__stripe_t *stripe = &histogram->stripes[s];
        if (!used(stripe)) continue;
        for (uint32_t i = 0; i < METRICS__CELLS; i++) {
            if (atomic_load_explicit(&stripe->cells[i], memory_order_relaxed) != 0) {
                atomic_store_explicit(&stripe->cells[i], 0, memory_order_relaxed);
            }
        }
        atomic_store_explicit(&stripe->sum, 0, memory_order_relaxed);
        atomic_store_explicit(&stripe->max, 0, memory_order_relaxed);
        atomic_store_explicit(&stripe->min_flipped, 0, memory_order_relaxed);
    }
}

void metrics_histogram_summary(const metrics_histogram_t *histogram, metrics_summary_t *out)
{
    uint64_t scratch[METRICS__CELLS];
    metrics__figures_t figures;
    metrics__figures_read(&figures, histogram, scratch);
    metrics__figures_summary(&figures, out);
}

uint64_t metrics_histogram_quantile(const metrics_histogram_t *histogram, double q)
{
    uint64_t scratch[METRICS__CELLS];
    metrics__figures_t figures;
    metrics__figures_read(&figures, histogram, scratch);
    return metrics__figures_quantile(&figures, q);
}
