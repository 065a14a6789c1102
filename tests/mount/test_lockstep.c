/*
 * test_lockstep.c - random steps by system calls: a mount answers what the directory below it does.
 * tier: medium
 */
#include "tests/mount/support_lockstep.h"

#include <criterion/criterion.h>

#define OFTEN " --set flush_interval=10ms"

Test(mount_lockstep, through_answers_as_a_plain_directory)
{
    lockstep_on_mount("--mode through --ram 16m --set attr_ttl=0", 1100, 10000);
}

Test(mount_lockstep, back_answers_as_a_plain_directory)
{
    lockstep_on_mount("--mode back --ram 8m --set flush_on_close=off" OFTEN, 1200, 10000);
}

Test(mount_lockstep, around_answers_as_a_plain_directory)
{
    lockstep_on_mount("--mode around --set watch=on", 1300, 10000);
}

Test(mount_lockstep, back_with_a_store_answers_as_a_plain_directory)
{
    lockstep_on_mount("--mode back --store store --ram 8m" OFTEN, 1400, 10000);
}
