/*
 * test_rate.c - the rate limiter, as numbers.
 */
#include <criterion/criterion.h>

#include "warming/internal.h"

Test(rate, bytes_go_one_behind_the_other)
{
    warm__rate_t rate = {.bytes_per_second = 1000000};

    cr_assert_eq(warm__rate_take(&rate, 5000, 1000), 6000);
    cr_assert_eq(warm__rate_take(&rate, 5000, 500), 6500);
    cr_assert_eq(warm__rate_take(&rate, 5100, 1), 6501);
    cr_assert_eq(warm__rate_take(&rate, 5200, 0), 5200, "nothing does not wait");
    cr_assert_eq(warm__rate_take(&rate, 6502, 10), 6512);
}

Test(rate, idle_line_saves_nothing_up)
{
    warm__rate_t rate = {.bytes_per_second = 1000};

    cr_assert_eq(warm__rate_take(&rate, 0, 1000), 1000000);
    cr_assert_eq(warm__rate_take(&rate, 60000000, 1000), 61000000);
    cr_assert_eq(warm__rate_take(&rate, 60000000, 1000), 62000000);
}

Test(rate, difference_is_settled)
{
    warm__rate_t rate = {.bytes_per_second = 1000000};

    (void)warm__rate_take(&rate, 0, 8000);
    warm__rate_settle(&rate, 8000, 0);
    cr_assert_eq(warm__rate_take(&rate, 0, 1000), 1000, "it was cached");
    warm__rate_settle(&rate, 1000, 4000);
    cr_assert_eq(warm__rate_take(&rate, 0, 1), 4001, "it was more");
}

Test(rate, no_limit_is_no_wait)
{
    warm__rate_t rate = {.bytes_per_second = 0};

    cr_assert_eq(warm__rate_take(&rate, 17, UINT64_MAX), 17);
    warm__rate_settle(&rate, UINT64_MAX, 0);
    cr_assert_eq(warm__rate_take(&rate, 17, UINT64_MAX), 17);
}

Test(rate, long_run_keeps_the_rate)
{
    warm__rate_t rate = {.bytes_per_second = 12345678};
    uint64_t total = 0;
    int64_t now = 1000;
    int i;

    for (i = 0; i < 100000; i++) {
        uint64_t bytes = (uint64_t)(i % 977) * 61;

        now = warm__rate_take(&rate, now, bytes);
        total += bytes;
    }
    cr_assert_float_eq((double)total / ((double)(now - 1000) / 1e6), 12345678.0, 50000.0);
}
