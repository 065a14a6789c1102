/*
 * test_life.c - how a mount begins and ends: going behind, messages before that, unmounting,
 * signals, what is dirty then.
 */
#include "tests/mount/support_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

Test(mount_life, behind_it_answers_when_the_command_ends)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(&rig,
                  "for i in 1 2 3 4 5; do\n"
                  "\"$CACHEFS\" mount file://$O $M --mode back\n"
                  "echo $i >mnt/f && test \"$(cat mnt/f)\" = $i\n"
                  "\"$CACHEFS\" unmount $M && test \"$(cat origin/f)\" = $i && test ! -e mnt/f\n"
                  "done");
    rig_end(&rig);
}

Test(mount_life, what_is_wrong_is_told_before_it_goes_behind)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(
        &rig,
        "no 2 \"$CACHEFS\" mount no/uri $M; grep -q 'write file:///.*/no/uri' tmp/said\n"
        "no 3 \"$CACHEFS\" mount /no/path $M; grep -q 'no/path' tmp/said\n"
        "no 3 \"$CACHEFS\" mount file:///no/such/dir $M; grep -q 'no/such/dir' tmp/said\n"
        "no 2 \"$CACHEFS\" mount nonsense: $M; grep -q nonsense tmp/said\n"
        "no 2 \"$CACHEFS\" mount mem: $M/none; grep -q 'No such file' tmp/said\n"
        "touch f; no 2 \"$CACHEFS\" mount mem: $PWD/f; grep -q 'no directory' tmp/said\n"
        "mkdir origin/in; no 2 \"$CACHEFS\" mount file://$O $O/in; grep -q 'contain itself' "
        "tmp/said\n"
        "no 2 \"$CACHEFS\" mount mem: $M -o nonsense; grep -q 'no mount option nonsense' tmp/said\n"
        "no 2 \"$CACHEFS\" mount mem: $M -o mode=sideways; grep -q sideways tmp/said\n"
        "no 2 \"$CACHEFS\" mount mem: $M --ram 1; grep -q ram tmp/said\n"
        "\"$CACHEFS\" mount mem: $M; no 2 \"$CACHEFS\" mount mem: $M; grep -q already tmp/said\n"
        "\"$CACHEFS\" unmount $M; no 1 \"$CACHEFS\" unmount $M; grep -q 'no cachefs' tmp/said\n");
    rig_end(&rig);
}

Test(mount_life, a_directory_may_be_named_by_its_path)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(&rig, "mkdir 'origin/a#b'; echo x >'origin/a#b/f'\n"
                        "\"$CACHEFS\" mount \"$O/a#b\" $M\n"
                        "test \"$(cat mnt/f)\" = x; \"$CACHEFS\" unmount $M\n"
                        "\"$CACHEFS\" mount ./origin $M\n"
                        "test \"$(cat 'mnt/a#b/f')\" = x; \"$CACHEFS\" unmount $M\n"
                        "printf 'source = ./origin\\nmountpoint = %s\\n' $M >tmp/conf\n"
                        "\"$CACHEFS\" mount --config tmp/conf\n"
                        "test \"$(cat 'mnt/a#b/f')\" = x; \"$CACHEFS\" unmount $M");
    rig_end(&rig);
}

Test(mount_life, a_store_is_where_the_command_was_given)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(&rig, "mkdir origin/in; echo x >origin/in/f\n"
                        "\"$CACHEFS\" mount file://$O $M --store tmp/kept\n"
                        "test \"$(cat mnt/in/f)\" = x && test -f tmp/kept/STORE\n"
                        "\"$CACHEFS\" unmount $M\n"
                        "\"$CACHEFS\" mount file://$O $M -o store=tmp/other\n"
                        "test -f tmp/other/STORE\n"
                        "\"$CACHEFS\" unmount $M");
    rig_end(&rig);
}

/* A sanitizer's reports go to what the command had for its errors. */
Test(mount_life, who_reads_what_the_command_says_sees_its_end)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(&rig, "echo x >origin/f\n"
                        "timeout 60 sh -c '\"$0\" mount \"$1\" \"$2\" 2>&1 | cat >tmp/said' "
                        "\"$CACHEFS\" file://$O $M\n"
                        "test \"$(cat mnt/f)\" = x; \"$CACHEFS\" unmount $M");
    rig_end(&rig);
#endif
}

Test(mount_life, options_are_those_of_fstab)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(
        &rig,
        "ln -s \"$CACHEFS\" mount.cachefs\n"
        "echo x >origin/f; chmod 4755 origin/f\n"
        "./mount.cachefs file://$O $M -o "
        "ro,noauto,_netdev,attr_ttl=2s,threads=4,x-systemd.automount,nodiratime,fsname=shelf\n"
        "grep \"^shelf $M fuse.cachefs ro,\" /proc/mounts\n"
        "if echo y >mnt/f; then exit 1; fi; test \"$(cat mnt/f)\" = x\n"
        "umount $M && test ! -e mnt/f");
    rig_end(&rig);
}

Test(mount_life, a_file_has_what_the_command_line_may_say)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(
        &rig,
        "echo x >origin/f; printf '# what it is\\n\\n source = file://%s "
        "\\nmountpoint=%s\\nattr_ttl = "
        "7s\\n ram=32m\\nthreads = 4\\nquiet\\noptions = ro,_netdev\\n' $O $M >tmp/conf\n"
        "\"$CACHEFS\" mount --config tmp/conf; test \"$(cat mnt/f)\" = x\n"
        "grep \" $M fuse.cachefs ro,\" /proc/mounts; \"$CACHEFS\" set $M attr_ttl | grep ' 7s$'\n"
        "\"$CACHEFS\" set $M ram | grep ' 32m$'; \"$CACHEFS\" unmount $M\n"
        "mkdir two; \"$CACHEFS\" mount --ram 16m mem: two --config=tmp/conf -o attr_ttl=3s\n"
        "\"$CACHEFS\" set two ram | grep ' 16m$'; \"$CACHEFS\" set two attr_ttl | grep ' 3s$'\n"
        "\"$CACHEFS\" unmount two\n"
        "no 2 \"$CACHEFS\" mount --config tmp/none; grep 'tmp/none: No such file' tmp/said\n"
        "no 2 \"$CACHEFS\" mount; grep 'which origin' tmp/said\n"
        "no 2 \"$CACHEFS\" mount mem:; grep 'something is missing' tmp/said\n"
        "for line in mode=sideways nonsense=1 threads 'quiet=no' =x source config=other; do\n"
        "printf 'ram=32m\\n%s\\n' \"$line\" >tmp/bad; no 2 \"$CACHEFS\" mount --config tmp/bad "
        "mem: "
        "$M; grep 'tmp/bad, line 2: ' tmp/said; done\n"
        "printf 'source = mem:\\n' >tmp/half; no 2 \"$CACHEFS\" mount --config tmp/half\n"
        "grep 'which mountpoint' tmp/said; if grep -q \" $M \" /proc/mounts; then exit 1; fi");
    rig_end(&rig);
}

/* As systemd does it: ExecStart with the name put in, then the signal. */
Test(mount_life, the_unit_starts_and_stops_a_mount)
{
    rig_t rig;
    cr_assert_not_null(getenv("CACHEFS_UNIT"));
    rig_make(&rig);
    rig_sh_beside(
        &rig, "printf 'source = file://%s\\nmountpoint = %s\\nmode = back\\nflush_interval = "
              "1h\\ndirty_age = 2h\\nflush_on_close = off\\n' $O $M >tmp/data.conf\n"
              "start=$(sed -n 's/^ExecStart=//p' \"$CACHEFS_UNIT\")\n"
              "case $start in */bin/cachefs\\ *) ;; *) exit 1;; esac\n"
              "start=$(echo \"$start\" | sed 's,/etc/cachefs/%i,tmp/data,; s,^[^ ]*/cachefs ,,')\n"
              "test \"$(sed -n 's/^Type=//p' \"$CACHEFS_UNIT\")\" = forking\n"
              "\"$CACHEFS\" $start; echo x >mnt/f; test ! -s origin/f\n"
              "pid=$(\"$CACHEFS\" status $M | awk '$1 == \"pid\" {print $2}')\n"
              "kill -s $(sed -n 's/^KillSignal=SIG//p' \"$CACHEFS_UNIT\") $pid\n"
              "while grep -q . /proc/$pid/cmdline 2>tmp/e; do sleep 0.05; done\n"
              "test \"$(cat origin/f)\" = x; if grep -q \" $M \" /proc/mounts; then exit 1; fi");
    rig_end(&rig);
}

Test(mount_life, unmount_wait_writes_everything_first_and_refuses_while_in_use)
{
    rig_t rig;
    rig_make(&rig);
    rig_mount(&rig, "file:",
              "--mode back --set flush_interval=1h --set dirty_age=2h --set flush_on_close=off");
    rig_sh_beside(&rig,
                  "head -c 3000000 /dev/urandom >tmp/r; cp tmp/r mnt/f; test ! -s origin/f\n"
                  "no 1 \"$CACHEFS\" unmount $M --how fail; grep -q 'not yet written' tmp/said\n"
                  "exec 3<mnt/f; no 1 \"$CACHEFS\" unmount $M; grep -q 'in use.*fuser -vm.*--how "
                  "detach' tmp/said\n"
                  "cmp tmp/r origin/f; cmp tmp/r mnt/f; exec 3<&-");
    rig_end(&rig);
}

Test(mount_life, detach_goes_on_until_the_last_file_is_closed)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(
        &rig,
        "\"$CACHEFS\" mount file://$O $M --mode back --set flush_interval=1h --set dirty_age=2h\n"
        "exec 3>mnt/f; echo one >&3; \"$CACHEFS\" unmount $M --how detach\n"
        "test ! -e mnt/f; echo two >&3; exec 3>&-\n"
        "while pgrep -f \"mount file://$O \" >tmp/pid; do sleep 0.05; done\n"
        "test \"$(cat origin/f | tr '\\n' ' ')\" = 'one two '");
    rig_end(&rig);
}

Test(mount_life, a_signal_writes_everything_and_takes_it_away)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(
        &rig, "for s in TERM INT HUP; do\n"
              "serve file://$O $M --mode back --set flush_interval=1h --set "
              "dirty_age=2h --set flush_on_close=off\n"
              "echo $s >mnt/f; exec 3<mnt/f; kill -s $s $server; wait $server; exec 3<&-\n"
              "test \"$(cat origin/f)\" = $s; if grep -q \" $M \" /proc/mounts; then exit 1; fi\n"
              "done");
    rig_end(&rig);
}

Test(mount_life, a_mount_whose_program_was_killed_can_be_taken_away)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(&rig, "serve file://$O $M\n"
                        "kill -9 $server; wait $server || true; if ls mnt; then exit 1; fi\n"
                        "\"$CACHEFS\" unmount $M; ls mnt; \"$CACHEFS\" mount file://$O $M; ls mnt\n"
                        "\"$CACHEFS\" unmount $M");
    rig_end(&rig);
}

static void with_sick(const char *script)
{
    rig_t rig;
    char text[2000];
    cr_assert_not_null(getenv("CACHEFS_PLUGIN_SICK"));
    (void)snprintf(text, sizeof(text), "SICK='%s'\n%s", getenv("CACHEFS_PLUGIN_SICK"), script);
    rig_make(&rig);
    rig_sh_beside(&rig, text);
    rig_end(&rig);
}

/* Bytes of a block that is written in part are read from below first. */
Test(mount_life, who_waits_for_an_origin_that_hangs_can_be_killed)
{
    with_sick("head -c 300000 /dev/zero >origin/f; cp origin/f origin/g; cp origin/f origin/h\n"
              "\"$CACHEFS\" mount \"sick:block:$O\" $M --plugin \"$SICK\" --mode back\n"
              "cat mnt/f >tmp/b1 & one=$!; cat mnt/h >tmp/b2 & two=$!\n"
              "echo x | dd of=mnt/g bs=1 seek=5000 conv=notrunc 2>tmp/err & three=$!; ls mnt\n"
              "kill -9 $two; wait $two || true; test \"$(stat -c %s mnt/f)\" = 300000\n"
              "kill -9 $three; wait $three || true; kill -9 $one; wait $one || true\n"
              "test ! -s tmp/b1 && \"$CACHEFS\" unmount $M --timeout 20s");
}

/* The kernel would look up one name of a directory at a time. */
Test(mount_life, a_name_that_hangs_keeps_no_other_waiting)
{
    with_sick("mkdir origin/d; echo x >origin/d/bad; echo y >origin/d/good\n"
              "\"$CACHEFS\" mount \"sick:ask:$O\" $M --plugin \"$SICK\"\n"
              "cat mnt/d/bad >tmp/b & one=$!; sleep 1; test \"$(timeout 60 cat mnt/d/good)\" = y\n"
              "kill -9 $one; wait $one || true; \"$CACHEFS\" unmount $M --timeout 20s");
}

Test(mount_life, a_signal_ends_a_mount_whose_origin_hangs)
{
    with_sick("head -c 300000 /dev/zero >origin/f; cp origin/f origin/g\n"
              "serve \"sick:block:$O\" $M --plugin \"$SICK\" --mode back\n"
              "echo x | dd of=mnt/g bs=1 seek=5000 conv=notrunc 2>tmp/err & reader=$!\n"
              "until test \"$(readlink /proc/$reader/fd/1)\" = \"$M/g\"; do sleep 0.05; done\n"
              "ls mnt; kill $server; wait $server; if wait $reader; then exit 1; fi\n"
              "if grep -q \" $M \" /proc/mounts; then exit 1; fi");
}
