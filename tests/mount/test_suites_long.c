/*
 * test_suites_long.c - all stressors of stress-ng that are for file systems, in each write mode.
 * tier: long
 */
#include "tests/mount/support_rig.h"

#include <criterion/criterion.h>

static void all_stressors(rig_t *rig)
{
    rig_sh(rig,
           "for s in access chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dup "
           "fallocate fcntl fiemap file-ioctl filename flock fpunch fsize fstat getdent handle hdd "
           "inode-flags io iomix lease link locka lockf lockofd mknod mmapmany msync open "
           "readahead rename seek sendfile symlink sync-file touch utime verity xattr; do\n"
           "stress-ng --temp-path . --verify --hdd-bytes 1m --$s 1 --$s-ops 20 -t 1 >$T/out 2>&1 "
           "|| { cat $T/out; exit 1; }; done");
}
Test(mount_suites_long, every_stressor_of_files_finds_nothing)
{
    rig_everywhere(all_stressors);
}
