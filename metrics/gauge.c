/*
 * gauge.c - a value that goes up and down: one atomic double. Floor 1.
 */
#include <string.h>

#include "metrics/metrics_private.h"

static uint64_t to_bits(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double from_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

void metrics_gauge_set(metrics_gauge_t *gauge, double value)
{
    atomic_store_explicit(&gauge->bits, to_bits(value), memory_order_relaxed);
}

void metrics_gauge_add(metrics_gauge_t *gauge, double delta)
{
    uint64_t old = atomic_load_explicit(&gauge->bits, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&gauge->bits, &old,
                                                  to_bits(from_bits(old) + delta),
                                                  memory_order_relaxed, memory_order_relaxed)) {
    }
}

double metrics_gauge_value(const metrics_gauge_t *gauge)
{
    return from_bits(atomic_load_explicit(&gauge->bits, memory_order_relaxed));
}
