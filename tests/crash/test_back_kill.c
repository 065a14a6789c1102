/*
 * test_back_kill.c - a process on a write-back cache with a journal is killed. The long tier does
 * it 500 times.
 */
#include <criterion/criterion.h>

#include "tests/crash/support_kill.h"

Test(back_kill, nothing_acknowledged_is_missing)
{
    kill_often(12, 1);
}
