/*
 * support_lockstep.c - see support_lockstep.h.
 */
#include "tests/mount/support_lockstep.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/mount/support_rig.h"

void lockstep_on_remote(rig_t *rig, const remote_t *remote, const char *args, unsigned long seed,
                        unsigned long ops)
{
    char script[1000];
    const char *program = getenv("CACHEFS_LOCKSTEP");
    cr_assert_not_null(program, "CACHEFS_LOCKSTEP says where the program is: run this by ctest");
    rig_mount(rig, remote->uri, args);
    (void)snprintf(
        script, sizeof(script),
        "mkdir -p tmp/plain mnt/%lu; '%s' $M/%lu tmp/plain --seed %lu --ops %lu --lacks %s", seed,
        program, seed, seed, ops, remote->lacks);
    rig_sh_beside(rig, script);
    rig_unmount(rig);
    rig_mount(rig, remote->uri, "--mode through");
    (void)snprintf(script, sizeof(script),
                   "'%s' --compare $M/%lu tmp/plain --lacks %s; rm -r tmp/plain", program, seed,
                   remote->lacks);
    rig_sh_beside(rig, script);
    rig_unmount(rig);
}

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
