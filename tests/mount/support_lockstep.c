/*
 * support_lockstep.c - see support_lockstep.h.
 */
#include "tests/mount/support_lockstep.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/mount/support_rig.h"

void lockstep_on_mount(const char *args, unsigned long seed, unsigned long ops)
{
    rig_t rig;
    char script[1000];
    const char *program = getenv("CACHEFS_LOCKSTEP");
    cr_assert_not_null(program, "CACHEFS_LOCKSTEP says where the program is: run this by ctest");
    rig_make(&rig);
    rig_mount(&rig, "file:", args);
    (void)snprintf(script, sizeof(script), "mkdir plain; '%s' $M plain --seed %lu --ops %lu",
                   program, seed, ops);
    rig_sh_beside(&rig, script);
    rig_unmount(&rig);
    (void)snprintf(script, sizeof(script), "'%s' --compare $O plain", program);
    rig_sh_beside(&rig, script);
    rig_end(&rig);
}
