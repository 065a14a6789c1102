/*
 * test_suites.c - programs that check file systems, on a mount; and what is hard for a mount: its
 * program is killed, its origin fails now and then, there are two of them.
 * tier: medium
 */
#include "tests/mount/support_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

static void fio(rig_t *rig)
{
    rig_sh(rig,
           "for engine in psync mmap; do fio --name=v --rw=randwrite --bsrange=1k-16k --size=512k "
           "--bs_unaligned=0 --verify=crc32c --verify_fatal=1 --do_verify=1 --numjobs=2 "
           "--ioengine=$engine --fallocate=none --directory=. --output=$T/fio || { cat $T/fio; "
           "exit 1; }; rm -f v.*; done");
}
Test(mount_suites, fio_finds_what_it_wrote)
{
    rig_everywhere(fio);
}

static void stress(rig_t *rig)
{
    rig_sh(
        rig,
        "for s in access chmod chown dentry dir dup fcntl filename flock fstat getdent hdd "
        "lease locka lockf lockofd mknod msync open rename seek sendfile touch utime; do\n"
        "all=\"${all:-} --$s 1 --$s-ops 10\"; done\n"
        "stress-ng -t 10 --temp-path . --verify --hdd-bytes 1m $all >$T/out 2>&1 || { cat $T/out; "
        "exit 1; }");
}
Test(mount_suites, stressors_find_nothing)
{
    rig_everywhere(stress);
}

/* Each commit is acknowledged in a file beside the mount, whose program is killed behind ten. */
#define UP                                                                                         \
    "up() { serve file://$O $M --mode back --store store --set flush_interval=1h --set "           \
    "dirty_age=2h --set flush_on_close=off -q; }\n"

Test(mount_suites, sqlite_keeps_what_it_committed_when_the_program_is_killed)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(
        &rig, UP
        "commits() { n=$1; while sqlite3 mnt/db \"pragma synchronous=full; insert into t values($n,"
        "randomblob(3000))\" 2>tmp/err; do echo $n >>tmp/acked; n=$((n+1)); done; }\n"
        "for mode in wal delete; do rm -f origin/db* tmp/acked; up\n"
        "sqlite3 mnt/db \"pragma journal_mode=$mode; create table t(n integer primary key, v "
        "blob)\""
        " >tmp/out; touch tmp/acked\n"
        "for turn in 1 2 3; do before=$(wc -l <tmp/acked); commits $((turn * 100000)) & writer=$!\n"
        "while test $(wc -l <tmp/acked) -lt $((before + 10)); do sleep 0.02; done\n"
        "kill -9 $server; wait $server || true; wait $writer; umount -l mnt; up\n"
        "test \"$(sqlite3 mnt/db 'pragma integrity_check')\" = ok\n"
        "sqlite3 mnt/db 'select n from t order by n' >tmp/kept; sort -n tmp/acked >tmp/want\n"
        "comm -13 tmp/kept tmp/want >tmp/lost; test ! -s tmp/lost; done\n"
        "\"$CACHEFS\" unmount mnt; wait $server\n"
        "test \"$(sqlite3 origin/db 'pragma integrity_check')\" = ok\n"
        "sqlite3 origin/db 'select n from t order by n' >tmp/below; cmp tmp/below tmp/kept; done");
    rig_end(&rig);
}

/* One call in ten fails. What a program was told to be written is there, and is right. */
Test(mount_suites, an_origin_that_fails_now_and_then_loses_nothing)
{
    static const char *const modes[] = {"through", "around", "back", "back --store tmp/store"};
    char text[2500];
    cr_assert_not_null(getenv("CACHEFS_PLUGIN_SICK"));
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        rig_t rig;
        rig_make(&rig);
        (void)snprintf(
            text, sizeof(text),
            "head -c 300000 /dev/urandom >tmp/r; again() { until \"$@\" 2>tmp/err; do :; done; }\n"
            "\"$CACHEFS\" mount \"sick:flaky:$O\" $M --plugin '%s' --ram 8m --set "
            "flush_interval=20ms --set retry_max=1s --mode %s\n"
            "for i in $(seq 30); do again cp tmp/r mnt/f$i; done\n"
            "for i in $(seq 30); do again cmp tmp/r mnt/f$i; again mv mnt/f$i mnt/g$i; done\n"
            "\"$CACHEFS\" invalidate mnt --prefix; for i in $(seq 30); do again cmp tmp/r mnt/g$i\n"
            "done; \"$CACHEFS\" flush mnt --wait --timeout 4m; again \"$CACHEFS\" unmount mnt\n"
            "for i in $(seq 30); do cmp tmp/r origin/g$i; done; test $(ls origin | wc -l) = 30",
            getenv("CACHEFS_PLUGIN_SICK"), modes[i]);
        rig_sh_beside(&rig, text);
        rig_end(&rig);
    }
}

/* Each sees what the other wrote as soon as it was closed: the kernel and the cache ask each time.
 */
static void two(const char *mode)
{
    rig_t rig;
    char text[1500];
    rig_make(&rig);
    (void)snprintf(
        text, sizeof(text),
        "mkdir two; for m in mnt two; do \"$CACHEFS\" mount file://$O $m --mode %s --set "
        "attr_ttl=0 --set negative_ttl=0 --set listing_ttl=0; done\n"
        "for i in $(seq 20); do echo one $i >mnt/f; test \"$(cat two/f)\" = \"one $i\"\n"
        "echo another $i >two/f; test \"$(cat mnt/f)\" = \"another $i\"\n"
        "mv two/f two/g; test ! -e mnt/f; test -e mnt/g; mv mnt/g mnt/f; done\n"
        "many() { mkdir $1/$2; for i in $(seq 40); do echo $i >$1/$2/$i; ln $1/$2/$i $1/$2/l$i\n"
        "mv $1/$2/$i $1/$2/m$i; rm $1/$2/l$i; done; }\n"
        "many mnt a & one=$!; many two b & other=$!; wait $one; wait $other\n"
        "diff -r mnt two; diff -r mnt origin; test $(ls two/a | wc -l):$(ls mnt/b | wc -l) = "
        "40:40\n"
        "for m in mnt two; do \"$CACHEFS\" unmount $m; done",
        mode);
    rig_sh_beside(&rig, text);
    rig_end(&rig);
}
Test(mount_suites, two_mounts_of_one_origin_see_each_other)
{
    two("through");
    two("back");
    two("around");
}
