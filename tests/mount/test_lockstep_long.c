/*
 * test_lockstep_long.c - the same as test_lockstep.c, for longer, and with an origin that is slow.
 * tier: long
 */
#include "tests/mount/support_lockstep.h"

#include <criterion/criterion.h>

#define OFTEN " --set flush_interval=10ms"

Test(mount_lockstep_long, every_mode_answers_as_a_plain_directory)
{
    static const char *const modes[] = {
        "--mode through",
        "--mode around --ram 8m",
        "--mode back" OFTEN,
        "--mode back --ram 8m --set flush_on_close=off --set attr_ttl=0" OFTEN,
        "--mode back --store store --ram 8m --set flush_on_close=off" OFTEN,
        "--mode through --store store --ram 8m",
        "--mode back --delay 300us --set flush_on_close=off" OFTEN};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        lockstep_on_mount(modes[i], 2000 + 1000 * i, 40000);
}
