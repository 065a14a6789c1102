/*
 * test_back_kill_long.c - test_back_kill.c, 500 times.
 * tier: long
 */
#include <criterion/criterion.h>

#include "tests/crash/support_kill.h"

Test(back_kill_long, nothing_acknowledged_is_missing, .timeout = 800)
{
    kill_often(500, 7);
}
