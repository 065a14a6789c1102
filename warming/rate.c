/*
 * rate.c - how fast a job may read. Floor 3. Knows numbers only: the caller waits.
 *
 * A line on which bytes queue. It has a time at which it is free again; who wants to read books his
 * bytes there, and may go when the line would have carried them: so from the start to any moment,
 * no more was read than the rate allows. A line that was idle has saved nothing up. Where the bytes
 * turn out to be fewer (they were cached) or more, the difference is taken back or added, which
 * later bookings feel. (The generic cell rate algorithm, ITU-T I.371, with a tolerance of nothing.)
 */
#include "warming/internal.h"

static double line_us(const warm__rate_t *rate, uint64_t bytes)
{
    return (double)bytes * 1e6 / (double)rate->bytes_per_second;
}

int64_t warm__rate_take(warm__rate_t *rate, int64_t now_us, uint64_t bytes)
{
    if (rate->bytes_per_second == 0 || bytes == 0) return now_us;
    if (rate->free_us < (double)now_us) rate->free_us = (double)now_us;
    rate->free_us += line_us(rate, bytes);
    return (int64_t)rate->free_us;
}

void warm__rate_settle(warm__rate_t *rate, uint64_t booked, uint64_t actual)
{
    if (rate->bytes_per_second == 0) return;
    rate->free_us += line_us(rate, actual) - line_us(rate, booked);
}
