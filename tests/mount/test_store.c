/*
 * test_store.c - a store under a mount that was killed with acknowledged writes in it, as a user
 * meets it: fsck, gc, another origin, a disk that is full or read-only. labels: crash
 */
#include "tests/mount/support_rig.h"

#include <criterion/criterion.h>

/* up ORIGIN: what is written stays in the store; killed: as after a crash. */
#define UP                                                                                         \
    "up() { serve file://$1 $M --mode back --store disk/s --set flush_interval=1h --set "          \
    "dirty_age=2h --set flush_on_close=off 2>>tmp/log; }\n"                                        \
    "killed() { kill -9 $server; wait $server || true; umount -l mnt; }\n"                         \
    "mkdir disk\n"

Test(mount_store, what_was_acknowledged_is_named_by_fsck_and_recovered_by_the_next_mount)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(
        &rig, UP
        "up $O; mkdir mnt/d; echo one >mnt/a; echo two >mnt/d/b; sync mnt/a mnt/d/b\n"
        "test ! -s origin/a; no 8 \"$CACHEFS\" fsck disk/s; grep -q 'in use by process' tmp/said\n"
        "killed; \"$CACHEFS\" fsck disk/s >tmp/said\n"
        "grep -q '^dirty */a ' tmp/said; grep -q '^dirty */d/b ' tmp/said\n"
        "grep -q 'dirty: 2 files with 8 B' tmp/said\n"
        "\"$CACHEFS\" fsck disk/s --repair >/dev/null; \"$CACHEFS\" gc disk/s >/dev/null\n"
        "\"$CACHEFS\" fsck disk/s | grep -q 'dirty: 2 files with 8 B'\n"
        "mkdir other; no 3 \"$CACHEFS\" mount $PWD/other $M --mode back --store disk/s\n"
        "grep -q 'unwritten data of another origin' tmp/said\n"
        "up $O; test \"$(cat mnt/a mnt/d/b | tr '\\n' ' ')\" = 'one two '\n"
        "\"$CACHEFS\" unmount $M; wait $server\n"
        "test \"$(cat origin/a origin/d/b | tr '\\n' ' ')\" = 'one two '\n"
        "\"$CACHEFS\" fsck disk/s | grep -q 'journal: none'");
    rig_end(&rig);
}

Test(mount_store, a_record_that_was_damaged_is_told_and_the_others_are_recovered)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(
        &rig,
        UP "up $O; for f in a b c; do printf 'text of %s' $f >mnt/$f; sync mnt/$f; done; killed\n"
           "journal=$(ls disk/s/journal/j-*)\n"
           "at=$(grep -abo 'text of b' $journal | cut -d: -f1)\n"
           "printf X | dd of=$journal bs=1 seek=$at conv=notrunc status=none\n"
           "no 4 \"$CACHEFS\" fsck disk/s; grep -q '^damage .*journal' tmp/said\n"
           "up $O; test \"$(cat mnt/a)\" = 'text of a'; test \"$(cat mnt/c)\" = 'text of c'\n"
           "test ! -s mnt/b; grep -q '1 records that were acknowledged cannot be read' tmp/log\n"
           "\"$CACHEFS\" status $M | grep -q 'recovery_lost  *1$'\n"
           "\"$CACHEFS\" unmount $M; wait $server\n"
           "test \"$(cat origin/c)\" = 'text of c'; ls disk/s/journal | grep -q damaged\n"
           "\"$CACHEFS\" fsck disk/s | grep -q '^note .*journal/damaged'");
    rig_end(&rig);
}

Test(mount_store, a_disk_that_is_full_or_read_only_loses_nothing)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(
        &rig, UP
        "mount -t tmpfs -o size=2m tmpfs disk; trap 'umount -l disk' EXIT\n"
        "up $O; for i in 1 2 3 4; do head -c 1000000 /dev/urandom >tmp/$i; cp tmp/$i mnt/; sync "
        "mnt/$i\n"
        "done; killed; mount -o remount,ro disk\n"
        "\"$CACHEFS\" fsck disk/s; no 8 \"$CACHEFS\" fsck disk/s --repair\n"
        "grep -q 'Read-only' tmp/said; no 3 \"$CACHEFS\" mount $O $M --mode back --store disk/s\n"
        "grep -q 'Read-only' tmp/said; mount -o remount,rw disk\n"
        "up $O; for i in 1 2 3 4; do cmp tmp/$i mnt/$i; done\n"
        "\"$CACHEFS\" unmount $M; wait $server; for i in 1 2 3 4; do cmp tmp/$i origin/$i; done\n");
    rig_end(&rig);
}

/* After a restart it is found on the disk alone; a write makes a version that the disk does not
 * have. */
Test(mount_store, what_lies_in_it_is_told_by_file)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(
        &rig,
        "up() { serve file://$O $M --mode back --store s --set flush_interval=1h --set "
        "dirty_age=2h "
        "--set flush_on_close=off --set l2_admit=always; }\n"
        "get() { getfattr --only-values -n user.cachefs.$1 mnt/f; }\n"
        "tell() { echo \"$(get resident):$(get stored):$(get dirty):$(get level)\"; }\n"
        "ls() { \"$CACHEFS\" ls --cached mnt | awk '{print $1, $2, $3, $4, $5}'; }\n"
        "head -c 200000 /dev/urandom >origin/f; touch -d '1 hour ago' origin/f; echo x >origin/g\n"
        "up; test \"$(tell)\" = 0:0:0:below; cmp mnt/f origin/f; test \"$(get level)\" = memory\n"
        "until test \"$(get stored)\" = 200000; do sleep 0.05; done\n"
        "test \"$(ls)\" = '200000 200000 200000 0 f-'\n"
        "\"$CACHEFS\" unmount $M; wait $server; up; test \"$(tell)\" = 0:200000:0:store\n"
        "\"$CACHEFS\" ls --cached mnt --json | grep '\"stored_bytes\": 200000'\n"
        "head -c 1 mnt/f >tmp/one; test \"$(get stored)\" = 200000; case $(get level) in "
        "store|memory) "
        ";; *) exit 1;; esac\n"
        "printf y | dd of=mnt/f conv=notrunc bs=1 seek=5 status=none; test \"$(get stored)\" = 0\n"
        "test \"$(get dirty)\" -gt 0; test \"$(ls | awk '{print $3}')\" = 0\n"
        "\"$CACHEFS\" unmount $M; wait $server");
    rig_end(&rig);
}
