/*
 * cells.c - the cells of a histogram: which value falls where, and what they say together. Floor 1.
 *
 * Log-linear cells, the idea of Gil Tene's HdrHistogram: each power of two is cut into 64 cells of
 * equal width, so that a cell is never wider than 1/64 of the values in it, and its middle is off
 * by at most 1/128 (0.78 %).
 *
 *     values     0 | 1 | 2 | ... | 128 | 129-130 | 131-132 | ... | 255-256 | 257-260 | ... | 2^42 |
 * above cell       0 | 1 | 2 | ... | 128 |   129   |   130   | ... |   192   |   193   | ... | 2368
 * | 2369
 *
 * A cell reaches up to and including its upper bound, as a bucket of Prometheus does ("le"), so
 * every power of two is exactly a bound and exported buckets are not approximations. With x = value
 * - 1, below 2^42, and the position p of its highest bit (6 at least): shift = p - 6, cell = 1 +
 * shift * 64 + (x >> shift). What lies above 2^42 ns is counted in one last cell, of which only the
 * largest value is known.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "metrics/metrics_private.h"

#define SUB (1u << METRICS__SUB_BITS)

uint32_t metrics__cell_of(uint64_t ns)
{
    if (ns == 0) return 0;
    uint64_t x = ns - 1;
    if (x >> METRICS__RANGE_BITS) return METRICS__CELL_OVER;
    unsigned shift = 63u - METRICS__SUB_BITS - (unsigned)__builtin_clzll(x | SUB);
    return 1u + shift * SUB + (uint32_t)(x >> shift);
}

void metrics__cell_bounds(uint32_t cell, uint64_t *low, uint64_t *high)
{
    METRICS_ASSERT(cell < METRICS__CELLS);
    if (cell == 0) {
        *low = *high = 0;
        return;
    }
    if (cell == METRICS__CELL_OVER) {
        *low = (1ull << METRICS__RANGE_BITS) + 1;
        *high = UINT64_MAX;
        return;
    }
    uint32_t i = cell - 1;
    unsigned shift = i < 2 * SUB ? 0 : i / SUB - 1;
    uint64_t place = i - shift * SUB;
    *low = (place << shift) + 1;
    *high = (place + 1) << shift;
}

void metrics__figures_settle(metrics__figures_t *figures, const uint64_t *cells)
{
    uint32_t first = METRICS__CELLS, last = 0;
    uint64_t count = 0, low, high;
    for (uint32_t i = 0; i < METRICS__CELLS; i++) {
        if (cells[i] == 0) continue;
        count += cells[i];
        if (first == METRICS__CELLS) first = i;
        last = i;
    }
    figures->count = count;
    figures->cells = cells;
    if (count == 0) {
        memset(figures, 0, sizeof *figures);
        return;
    }
    figures->first = first;
    figures->used = last - first + 1;
    figures->cells = cells + first;
    /* A reset at the same time, or a difference, leaves extremes that the cells contradict: then
     * the cell counts. */
    metrics__cell_bounds(first, &low, &high);
    if (figures->min < low || figures->min > high) figures->min = low;
    metrics__cell_bounds(last, &low, &high);
    if (figures->max < low || figures->max > high) {
        figures->max = last == METRICS__CELL_OVER ? low : high;
    }
}

/* The place, from 1, of the value that q of all values do not exceed: ceil(q * count), rounding
 * noise taken away. */
static uint64_t rank_of(uint64_t count, double q)
{
    double exact = q * (double)count;
    double nearest = nearbyint(exact);
    double rank = fabs(exact - nearest) <= exact * 4 * DBL_EPSILON ? nearest : ceil(exact);
    if (rank < 1) return 1;
    return rank >= (double)count ? count : (uint64_t)rank;
}

uint64_t metrics__figures_quantile(const metrics__figures_t *figures, double q)
{
    if (figures->count == 0) return 0;
    if (!(q > 0)) return figures->min;
    if (q >= 1) return figures->max;
    uint64_t rank = rank_of(figures->count, q), seen = 0;
    uint32_t i = 0;
    while (i + 1 < figures->used && (seen += figures->cells[i]) < rank)
        i++;
    uint64_t low, high;
    uint32_t cell = figures->first + i;
    metrics__cell_bounds(cell, &low, &high);
    if (cell == METRICS__CELL_OVER) return figures->max;
    uint64_t middle = low + (high - low) / 2;
    if (middle < figures->min) return figures->min;
    return middle > figures->max ? figures->max : middle;
}

void metrics__figures_summary(const metrics__figures_t *figures, metrics_summary_t *out)
{
    out->count = figures->count;
    out->sum_ns = (double)figures->sum;
    out->min_ns = figures->min;
    out->max_ns = figures->max;
    out->p50_ns = metrics__figures_quantile(figures, 0.5);
    out->p90_ns = metrics__figures_quantile(figures, 0.9);
    out->p95_ns = metrics__figures_quantile(figures, 0.95);
    out->p99_ns = metrics__figures_quantile(figures, 0.99);
    out->p999_ns = metrics__figures_quantile(figures, 0.999);
    out->p9999_ns = metrics__figures_quantile(figures, 0.9999);
}

uint64_t metrics__figures_up_to(const metrics__figures_t *figures, unsigned bits)
{
    METRICS_ASSERT(bits <= METRICS__RANGE_BITS);
    uint32_t last = metrics__cell_of(1ull << bits);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < figures->used && figures->first + i <= last; i++) {
        sum += figures->cells[i];
    }
    return sum;
}

static uint64_t cell_at(const metrics__figures_t *figures, uint32_t cell)
{
    if (cell < figures->first || cell - figures->first >= figures->used) return 0;
    return figures->cells[cell - figures->first];
}

void metrics__figures_diff(metrics__figures_t *out, const metrics__figures_t *newer,
                           const metrics__figures_t *older, uint64_t *scratch)
{
    if (older->count == 0) {
        *out = *newer;
        return;
    }
    for (uint32_t i = 0; i < METRICS__CELLS; i++) {
        uint64_t now = cell_at(newer, i), then = cell_at(older, i);
        if (now < then) {
            *out = *newer;
            return;
        }
        scratch[i] = now - then;
    }
    out->sum = newer->sum - older->sum;
    out->min = newer->min;
    out->max = newer->max;
    metrics__figures_settle(out, scratch);
}
