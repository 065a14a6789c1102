/*
 * test_trials.c - what is much, late or gone: a directory of 100,000 names, 10,000 open files, a
 * mount that is taken away while it is in use, a store without room, an idle mount, a mount of
 * another user.
 * tier: medium
 */
#include "tests/mount/support_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define HELD                                                                                       \
    "held() { pid=$(\"$CACHEFS\" status $M | awk '$1 == \"pid\" {print $2}')\n"                    \
    "sed -n \"s/^$1:[^0-9]*\\([0-9]*\\) kB/\\1/p\" /proc/$pid/status; }\n"

/* The memory of an instrumented process is mostly that of its sanitizer: not looked at there. */
#if defined(__SANITIZE_ADDRESS__)
#define GREW_LESS_THAN(kib) ":\n"
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GREW_LESS_THAN(kib) ":\n"
#endif
#endif
#ifndef GREW_LESS_THAN
#define GREW_LESS_THAN(kib) "test $((after - before)) -lt " #kib "\n"
#endif

/* Only what the kernel was told of a name stays: a plain listing keeps nothing of it. */
Test(mount_trials, a_directory_of_100000_names_is_listed_in_little_memory)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(&rig, "mkdir origin/d; cd origin/d; seq 100000 | xargs touch");
    rig_mount(&rig, "file:", "--ram 16m");
    rig_sh_beside(&rig, HELD "before=$(held VmHWM); test $(ls -f mnt/d | wc -l) = 100002\n"
                             "after=$(held VmHWM); echo $before $after\n" GREW_LESS_THAN(
                                 24000) "test $(ls -f mnt/d | sort -u | wc -l) = 100002");
    rig_end(&rig);
}

Test(mount_trials, ten_thousand_files_are_open_at_once)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(&rig, "\"$CACHEFS\" mount file://$O $M --mode back\n"
                        "cat >tmp/open.py <<'END'\n"
                        "import os, resource\n"
                        "most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
                        "count = min(10000, most - 200)\n"
                        "resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))\n"
                        "def name(i): return b'%d' % i\n"
                        "fds = [os.open(b'mnt/' + name(i), os.O_RDWR | os.O_CREAT) for i in "
                        "range(count)]\n"
                        "for i, fd in enumerate(fds): assert os.pwrite(fd, name(i), i) > 0\n"
                        "for i, fd in enumerate(fds): assert os.pread(fd, 99, i) == name(i)\n"
                        "for fd in fds: os.close(fd)\n"
                        "END\n"
                        "python3 tmp/open.py; \"$CACHEFS\" unmount $M\n"
                        "test \"$(tail -c 2 origin/77)\" = 77");
    rig_end(&rig);
}

/* umount(8) does not wait; the program does. */
Test(mount_trials, a_lazy_umount_loses_nothing)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(&rig, "serve file://$O $M --mode back --set flush_interval=1h --set dirty_age=2h "
                        "--set flush_on_close=off\n"
                        "echo closed >mnt/g; exec 3>mnt/f; echo one >&3; umount -l mnt\n"
                        "test ! -e mnt/f; echo two >&3; test ! -s origin/f; exec 3>&-\n"
                        "wait $server; test \"$(cat origin/f | tr '\\n' ' ')\" = 'one two '\n"
                        "test \"$(cat origin/g)\" = closed");
    rig_end(&rig);
}

/* What finds no place there is read from the origin, and written to it. */
Test(mount_trials, a_store_without_room_costs_time_and_no_bytes)
{
    static const char *const modes[] = {"through", "back"};
    char text[1000];
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        rig_t rig;
        rig_make(&rig);
        (void)snprintf(text, sizeof(text),
                       "mkdir small; mount -t tmpfs -o size=6m none small\n"
                       "head -c 16000000 /dev/urandom >tmp/r; cp tmp/r origin/r\n"
                       "\"$CACHEFS\" mount file://$O $M --mode %s --store small/s --ram 8m --set "
                       "store_free_min=0\n"
                       "cmp tmp/r mnt/r; cp tmp/r mnt/w; sync mnt/w; cmp tmp/r mnt/w; cmp tmp/r "
                       "mnt/r\n"
                       "\"$CACHEFS\" unmount $M; cmp tmp/r origin/w; umount small",
                       modes[i]);
        rig_sh_beside(&rig, text);
        rig_end(&rig);
    }
}

/* The clock ticks a hundred times a second: one of a thousand in ten seconds is 0.1 %. */
Test(mount_trials, an_idle_mount_takes_no_time)
{
    rig_t rig;
    rig_make(&rig);
    rig_mount(&rig, "file:", "--mode back --store store");
    rig_sh_beside(&rig, "echo x >mnt/f; cat mnt/f; \"$CACHEFS\" flush mnt --wait\n"
                        "pid=$(\"$CACHEFS\" status $M | awk '$1 == \"pid\" {print $2}')\n"
                        "took() { awk '{print $14 + $15}' /proc/$pid/stat; }\n"
                        "before=$(took); sleep 10; after=$(took); echo $before $after\n"
                        "test $((after - before)) -le 1");
    rig_end(&rig);
}

Test(mount_trials, memory_goes_back_when_all_is_forgotten)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(&rig, "for i in $(seq 40); do head -c 1000000 /dev/zero >origin/f$i; done");
    rig_mount(&rig, "file:", "--ram 64m");
    rig_sh_beside(
        &rig, HELD
        "before=$(held VmRSS); cat mnt/f* >/dev/null; full=$(held VmRSS)\n"
        "\"$CACHEFS\" invalidate mnt --all; after=$(held VmRSS)\n"
        "echo $before $full $after; test $((full - before)) -gt 35000\n" GREW_LESS_THAN(12000));
    rig_end(&rig);
}

/* Where no udev runs only root may open /dev/fuse: it is everybody's as long as this takes. */
Test(mount_trials, another_user_has_a_mount_of_his_own)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(
        &rig, "trap \"chmod $(stat -c %a /dev/fuse) /dev/fuse\" EXIT; chmod 666 /dev/fuse\n"
              "chown nobody:nogroup origin mnt; echo secret >tmp/s; chmod 600 tmp/s\n"
              "ln tmp/s origin/s; as() { setpriv --reuid nobody --regid nogroup --clear-groups env "
              "XDG_RUNTIME_DIR=$PWD/run HOME=$PWD/run \"$@\"; }\n"
              "mkdir run; chown nobody:nogroup run; chmod 700 run\n"
              "as \"$CACHEFS\" mount file://$O $M --mode back; as sh -c 'echo x >mnt/f'\n"
              "if as cat mnt/s; then exit 1; fi; if cat mnt/f; then exit 1; fi\n"
              "as \"$CACHEFS\" status mnt | grep '^dirty_files'; test \"$(stat -c %U origin/f)\" = "
              "nobody\n"
              "as \"$CACHEFS\" unmount mnt; test \"$(cat origin/f)\" = x");
    rig_end(&rig);
}

static void access_rules(rig_t *rig)
{
    rig_sh(rig,
           "mkdir d; setfacl -m u:1234:rwx,d:u:1234:rw,d:g::r d; echo x >d/f; chmod 600 .\n"
           "chmod 755 .; getfacl -cn d/f >$T/one; grep '^user:1234:rw' $T/one\n"
           "getfacl -cn $O/d/f | cmp - $T/one; setfacl -m u:1235:--- d; chmod 755 d\n"
           "setfacl -m u:1235:--- d; who() { u=$1; shift; setpriv --reuid $u --regid $u "
           "--clear-groups \"$@\"; }\n"
           "who 1234 cat d/f; who 1236 ls d; if who 1235 ls d; then exit 1; fi\n"
           "cp -a d e; getfacl -cn d >$T/one; getfacl -cn e | cmp - $T/one; setfacl -b d/f\n"
           "getfacl -cn $O/d/f >$T/one; if grep user:1234 $T/one; then exit 1; fi\n"
           "touch g; chown 1234:4321 g; chmod 2755 g; who 1234 setfacl -m u::rwx,g::rwx,o::rwx g\n"
           "test $(stat -c %a g) = 777; chmod 2755 g; setfacl -m o::rwx g; test $(stat -c %a g) = "
           "2757");
}
Test(mount_trials, access_rules_hold_and_are_kept_below)
{
    rig_t rig;
    rig_make(&rig);
    rig_mount(&rig, "file:", "--mode back");
    access_rules(&rig);
    rig_end(&rig);
}
