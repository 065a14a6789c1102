/*
 * test_programs.c - programs that many use, on a mount: each checks its own work. tier: medium
 */
#include "tests/mount/support_programs.h"
#include "tests/mount/support_rig.h"

#include <criterion/criterion.h>

Test(mount_programs, git_clones_checks_and_packs)
{
    rig_everywhere(programs_git);
}

Test(mount_programs, two_sqlite_processes_share_a_data_base)
{
    rig_everywhere(programs_sqlite);
}

Test(mount_programs, make_builds_and_knows_what_is_new)
{
    rig_everywhere(programs_make);
}

static void copies(rig_t *rig)
{
    programs_copy(rig, "/usr/include/linux", PROGRAMS_MODES | PROGRAMS_LINKS);
}
Test(mount_programs, copies_of_trees_are_the_same)
{
    rig_everywhere(copies);
}

Test(mount_programs, what_programs_wrote_is_in_the_origin_after_unmounting)
{
    rig_t rig;
    rig_make(&rig);
    rig_mount(&rig, "file:", "--mode back --set flush_on_close=off --ram 8m --delay 100us");
    rig_sh(
        &rig,
        "cp -a /usr/include/linux l && head -c 20000000 /dev/urandom >$T/r && cp $T/r r\n"
        "cp --sparse=always $T/r s && truncate -s 30M s && mv l k && diff -r /usr/include/linux k");
    rig_unmount(&rig);
    rig_sh_beside(&rig,
                  "diff -r /usr/include/linux $O/k && cmp $T/r $O/r && cmp -n 20000000 $T/r $O/s\n"
                  "test \"$(stat -c %s $O/s)\" = 31457280 && test ! -e $O/l");
    rig_end(&rig);
}
