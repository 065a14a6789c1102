/*
 * test_control.c - a mount that runs is asked and told, as a user does it: by the verbs.
 * tier: medium
 */
#include "tests/mount/support_rig.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#define LONG " --set attr_ttl=1h --set negative_ttl=1h --set listing_ttl=1h"
#define DIRTY " --mode back --set flush_interval=1h --set dirty_age=2h --set flush_on_close=off"

static void with_mount(const char *args, const char *script)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(&rig, "cd origin; mkdir d d/e; for i in 1 2 3; do head -c 100000 /dev/urandom "
                        ">d/f$i; done; cp d/f1 d/e/g.c; echo one >x");
    rig_mount(&rig, "file:", args);
    rig_sh_beside(&rig, script);
    rig_end(&rig);
}

Test(mount_control, status_and_stats_tell_what_is)
{
    with_mount("--ram 32m" DIRTY,
               "\"$CACHEFS\" status $M >tmp/s; grep \"^mountpoint  *$M\" tmp/s; cat mnt/x mnt/x\n"
               "grep \"^origin  *file://$O\" tmp/s; grep '^ram_max  *32.0 MiB' tmp/s\n"
               "head -c 8192 /dev/zero >mnt/n; \"$CACHEFS\" status $M --json >tmp/j\n"
               "cd mnt/d; \"$CACHEFS\" stats . --json >../../tmp/k; cd ../..\n"
               "python3 -c 'import json; s = json.load(open(\"tmp/j\")); assert s[\"dirty_bytes\"] "
               "== 8192 and s[\"mode\"] == \"back\"; k = json.load(open(\"tmp/k\")); assert "
               "k[\"opens\"] >= 2 and k[\"dirty_files\"] == 1 and k[\"read_miss_p99_ns\"] > 0'\n"
               "\"$CACHEFS\" stats $M | grep '^dirty_bytes  *8.0 KiB'");
}

Test(mount_control, what_was_changed_below_shows_after_invalidate)
{
    with_mount(LONG,
               "cat mnt/x; ls mnt/d mnt/d/e; cat mnt/d/f1 mnt/d/e/g.c >tmp/c; test ! -e mnt/new\n"
               "echo two >origin/x; echo n >origin/new; echo f >origin/d/f1; echo g "
               ">origin/d/e/g.c; rm origin/d/f2\n"
               "test \"$(cat mnt/x)\" = one; test ! -e mnt/new; test -e mnt/d/f2\n"
               "\"$CACHEFS\" invalidate mnt/x mnt/new\n"
               "test \"$(cat mnt/x)\" = two; test \"$(cat mnt/new)\" = n\n"
               "cmp mnt/d/e/g.c mnt/d/f3 2>tmp/e && exit 1; test \"$(stat -c %s mnt/d/e/g.c)\" = "
               "100000\n"
               "\"$CACHEFS\" invalidate 'mnt/**/*.c' --glob; test \"$(cat mnt/d/e/g.c)\" = g\n"
               "test \"$(stat -c %s mnt/d/f1)\" = 100000; test -e mnt/d/f2\n"
               "cd mnt/d; \"$CACHEFS\" invalidate . --prefix; test \"$(cat f1)\" = f\n"
               "test ! -e f2; test \"$(pwd -P)\" = \"$M/d\"");
}

/* Who is in a directory, or has a file open, keeps it; what is mounted in it stays. */
Test(mount_control, invalidate_takes_nothing_away_from_who_uses_it)
{
    with_mount(LONG DIRTY,
               "exec 3<mnt/d/f1; echo mine >mnt/new; mount -t tmpfs none mnt/d/e; echo t "
               ">mnt/d/e/t\n"
               "\"$CACHEFS\" invalidate mnt --prefix 2>tmp/said; grep '4.0 KiB of them stay' "
               "tmp/said\n"
               "test \"$(cat mnt/d/e/t)\" = t; umount mnt/d/e; cat <&3 | cmp - origin/d/f1\n"
               "test \"$(cat mnt/new)\" = mine; exec 3<&-");
}

Test(mount_control, change_events_reach_the_kernel)
{
    with_mount(
        "--set watch=on" LONG,
        "until_true() { i=0; until eval \"$1\"; do i=$((i+1)); test $i -lt 6000; sleep 0.05; "
        "done; }\n"
        "cat mnt/x; test ! -e mnt/new; ls mnt/d; cat mnt/d/f1 >tmp/c\n"
        "echo three >origin/x; until_true 'test \"$(cat mnt/x)\" = three'\n"
        "echo n >origin/new; until_true 'test -e mnt/new'\n"
        "rm origin/d/f2; until_true 'test ! -e mnt/d/f2'; mv origin/d origin/dd\n"
        "until_true 'test -e mnt/dd/f1 && test ! -e mnt/d'; cmp mnt/dd/f1 origin/dd/f1\n"
        "mkdir mnt/own; cd mnt/own; echo x >f; rm f; ls; test \"$(pwd -P)\" = \"$M/own\"");
}

Test(mount_control, flush_writes_what_is_named)
{
    with_mount(DIRTY, "echo a >mnt/a; echo b >mnt/d/b; echo c >mnt/c; test ! -s origin/a\n"
                      "\"$CACHEFS\" flush mnt/a; test \"$(cat origin/a)\" = a; test ! -s origin/c\n"
                      "\"$CACHEFS\" flush $M/d; test \"$(cat origin/d/b)\" = b; test ! -s "
                      "origin/c\n"
                      "\"$CACHEFS\" flush mnt --wait --timeout 60s; test \"$(cat origin/c)\" = c");
}

Test(mount_control, flush_wait_begins_with_what_is_changed_in_mapped_memory)
{
    with_mount(DIRTY,
               "cat >tmp/map.py <<'END'\n"
               "import mmap, os, subprocess\n"
               "file = open('mnt/d/f1', 'r+b'); memory = mmap.mmap(file.fileno(), 100000)\n"
               "for turn in range(10):\n"
               "    text = b'turn %d' % turn; memory[50000:50006] = text\n"
               "    subprocess.run([os.environ['CACHEFS'], 'flush', 'mnt', '--wait'], check=True)\n"
               "    below = open('origin/d/f1', 'rb'); below.seek(50000)\n"
               "    assert below.read(6) == text\n"
               "END\n"
               "python3 tmp/map.py");
}

Test(mount_control, warm_and_ls_cached_agree)
{
    with_mount("",
               "\"$CACHEFS\" ls --cached mnt -R >tmp/l; test ! -s tmp/l\n"
               "\"$CACHEFS\" warm mnt/d 2>tmp/said | grep '^4 of 4 files warm'\n"
               "\"$CACHEFS\" ls --cached mnt/d -R | awk '{print $1, $2, $4, $6}' | sort >tmp/l\n"
               "for f in e/g.c f1 f2 f3; do echo \"100000 100000 0 $M/d/$f\"; done | sort | cmp - "
               "tmp/l\n"
               "test $(\"$CACHEFS\" ls --cached mnt/d | wc -l) = 3\n"
               "\"$CACHEFS\" warm mnt --glob '/*' --json | grep '\"warmed\": 1,'\n"
               "echo /x >tmp/list; \"$CACHEFS\" warm mnt --list tmp/list | grep '^1 of 1'\n"
               "echo /none >tmp/list; no 1 \"$CACHEFS\" warm mnt --list tmp/list\n"
               "grep '/none: No such file' tmp/said; grep '0 of 1 files warm .*1 failed' tmp/said\n"
               "no 2 \"$CACHEFS\" warm mnt --list -; grep 'name a file' tmp/said\n"
               "\"$CACHEFS\" pin mnt/d/f1; \"$CACHEFS\" ls --cached mnt/d | grep 'p .*f1$'\n"
               "\"$CACHEFS\" unpin mnt/d/f1; \"$CACHEFS\" ls --cached mnt/d | grep 'p .*f1$' && "
               "exit 1\n"
               "no 1 \"$CACHEFS\" pin mnt/none; grep 'mnt/none: No such file' tmp/said\n");
}

Test(mount_control, warm_shows_how_far_it_is)
{
    with_mount("--delay 20ms",
               "script -qec '\"$CACHEFS\" warm mnt/d --jobs 1' tmp/typed </dev/null >tmp/out\n"
               "grep -a 'warming \\[' tmp/typed; grep -a '4 of 4 files warm' tmp/typed");
}

Test(mount_control, keys_are_changed_on_line)
{
    with_mount("--ram 32m" LONG,
               "test \"$(\"$CACHEFS\" set mnt ram | awk '{print $1, $2}')\" = 'ram 32m'\n"
               "\"$CACHEFS\" set mnt dirty_max 1m; \"$CACHEFS\" set mnt dirty_max | grep ' 1m$'\n"
               "\"$CACHEFS\" set mnt --json | grep '\"mode\": \"through\"'\n"
               "no 1 \"$CACHEFS\" set mnt dirty_max much; grep 'dirty_max.*much' tmp/said\n"
               "no 1 \"$CACHEFS\" set mnt mode back; grep 'mode cannot be changed' tmp/said\n"
               "no 1 \"$CACHEFS\" set mnt nonsense 1; grep 'no key.*nonsense' tmp/said\n"
               "\"$CACHEFS\" set mnt attr_ttl | grep ' 1h$'; \"$CACHEFS\" set mnt attr_ttl 0\n"
               "\"$CACHEFS\" set mnt attr_ttl | grep ' 0s*$'; stat mnt/x >tmp/st\n"
               "\"$CACHEFS\" invalidate mnt --prefix; cat mnt/x; echo longer >origin/x\n"
               "test \"$(stat -c %s mnt/x)\" = 7; test \"$(cat mnt/x)\" = longer");
}

Test(mount_control, what_is_wrong_is_told)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(
        &rig, "no 2 \"$CACHEFS\" status $M; grep \"$M: no cachefs is mounted there\" tmp/said\n"
              "\"$CACHEFS\" mount file://$O $M; mkdir other; \"$CACHEFS\" mount mem: other\n"
              "no 2 \"$CACHEFS\" status /tmp; grep \"there is one at .*$M\" tmp/said\n"
              "no 2 \"$CACHEFS\" flush file://$O; grep 'is an origin' tmp/said\n"
              "no 2 \"$CACHEFS\" invalidate mnt/../x; grep 'no cachefs is mounted there' tmp/said\n"
              "no 2 \"$CACHEFS\" invalidate mnt/x --prefix --glob; grep 'not both' tmp/said\n"
              "no 1 \"$CACHEFS\" invalidate 'mnt/[' --glob; grep 'no pattern' tmp/said\n"
              "no 2 \"$CACHEFS\" flush mnt --timeout 5s; grep 'is for --wait' tmp/said\n"
              "no 2 \"$CACHEFS\" warm mnt other; grep 'another mount' tmp/said\n"
              "no 2 \"$CACHEFS\" unmount mnt/sub; grep 'is no mount itself' tmp/said\n"
              "\"$CACHEFS\" status other | grep '^origin  *mem:'; ln -s $M link\n"
              "\"$CACHEFS\" status link | grep \"^mountpoint  *$M\"\n"
              "no 3 setpriv --reuid 1234 --clear-groups \"$CACHEFS\" status $M\n"
              "grep 'a mount of user 0: only he and root' tmp/said\n"
              "test \"$(stat -c %a:%u /run/cachefs)\" = 700:0\n"
              "for s in /run/cachefs/*.sock; do\n" /* others end meanwhile */
              "    mode=$(stat -c %a $s) || continue; test $mode = 600\n"
              "done\n"
              "\"$CACHEFS\" unmount other; \"$CACHEFS\" unmount $M");
    rig_end(&rig);
}

Test(mount_control, a_dead_program_is_told_from_one_that_lives)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(&rig,
                  "serve file://$O $M\n"
                  "sock=$(\"$CACHEFS\" status $M | awk '$1 == \"socket\" {print $2}')\n"
                  "test -S $sock; kill -9 $server; wait $server || true\n"
                  "for v in status stats flush invalidate pin set warm; do\n"
                  "no 3 \"$CACHEFS\" $v $M; grep \"has died.*cachefs unmount $M\" tmp/said\n"
                  "done\n"
                  "\"$CACHEFS\" unmount $M; test ! -e $sock; \"$CACHEFS\" mount file://$O $M\n"
                  "\"$CACHEFS\" status $M; \"$CACHEFS\" unmount $M; test ! -e $sock");
    rig_end(&rig);
}

/* An old one that is still ending must not take the socket of the one after it. */
Test(mount_control, a_new_mount_keeps_its_socket_when_an_old_one_ends)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(&rig, "\"$CACHEFS\" mount file://$O $M; old=$(\"$CACHEFS\" status $M | awk "
                        "'$1 == \"pid\" {print $2}')\n"
                        "exec 3>mnt/f; \"$CACHEFS\" unmount $M --how detach\n"
                        "\"$CACHEFS\" mount file://$O $M 3>&-; exec 3>&-\n"
                        "while grep -q . /proc/$old/cmdline 2>tmp/e; do sleep 0.05; done\n"
                        "\"$CACHEFS\" status $M; \"$CACHEFS\" unmount $M");
    rig_end(&rig);
}

/* Its origin takes no bytes of files that are called bad. */
Test(mount_control, waiting_for_a_flush_can_be_given_up)
{
    rig_t rig;
    char text[2000];
    cr_assert_not_null(getenv("CACHEFS_PLUGIN_SICK"));
    (void)snprintf(
        text, sizeof(text),
        "serve \"sick:nowrite:$O\" $M --plugin '%s'" DIRTY " --set retry_max=1s --end-timeout 1s\n"
        "echo x >mnt/bad; echo y >mnt/good\n"
        "no 1 \"$CACHEFS\" flush mnt/bad; grep 'not yet written' tmp/said\n"
        "no 1 \"$CACHEFS\" flush mnt --wait --timeout 1s; grep 'not yet written' tmp/said\n"
        "env --default-signal=INT \"$CACHEFS\" flush mnt --wait 2>tmp/said & waiter=$!\n"
        "while ! grep -q 'still to be written' tmp/said; do sleep 0.05; done\n"
        "kill -INT $waiter; set +e; wait $waiter; test $? = 130 || exit 1; set -e\n"
        "test \"$(cat mnt/bad origin/good | tr -d '\\n')\" = xy\n"
        "no 1 \"$CACHEFS\" unmount $M --timeout 1s; grep 'still mounted' tmp/said\n"
        "\"$CACHEFS\" status $M; kill $server; wait $server && exit 1; test -e origin/good",
        getenv("CACHEFS_PLUGIN_SICK"));
    rig_make(&rig);
    rig_sh_beside(&rig, text);
    rig_end(&rig);
}

/* Those who say nothing, nonsense or too much, and those who do not listen. */
Test(mount_control, bad_clients_hurt_nobody)
{
    with_mount("",
               "cat >tmp/bad.py <<'END'\n"
               "import glob, os, socket, sys\n"
               "def client():\n"
               "    s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); s.settimeout(60)\n"
               "    return s\n"
               "def said(s):\n"
               "    text = b''\n"
               "    while True:\n"
               "        try: got = s.recv(65536)\n"
               "        except ConnectionResetError: return b'too'\n"
               "        if not got: return text\n"
               "        text += got\n"
               "def ask(line):\n"
               "    s = client()\n"
               "    try: s.sendall(line)\n"
               "    except BrokenPipeError: pass # it was refused before; the answer is there\n"
               "    return said(s)\n"
               "for line in (b'nonsense\\n', b'status too much\\n', b'flush / wait soon\\n', "
               "b'warm color=red\\n', b'unmount now 0\\n'):\n"
               "    assert ask(line).startswith(b'error '), line\n"
               "for line in (b'\\n', b'a%zz\\n', b'%00\\n', b'a\\0b\\n', b' '.join([b'w'] * 99) + "
               "b'\\n'):\n"
               "    assert ask(line) == b'', line\n"
               "long = client()\n"
               "try: long.sendall(b'x' * 1000000); assert said(long) in (b'', b'too')\n"
               "except (BrokenPipeError, ConnectionResetError): pass\n"
               "deaf = client(); deaf.sendall(b'stats\\n'); deaf.close()\n"
               "for turn in range(20):\n"
               "    idle = [client() for i in range(16)]\n"
               "    if b'too' in ask(b'status\\n'): break\n"
               "else: sys.exit('as many as wish are served at once')\n"
               "for s in idle: s.close()\n"
               "while not ask(b'status\\n').endswith(b'ok\\n'): pass\n"
               "END\n"
               "sock=$(\"$CACHEFS\" status $M | awk '$1 == \"socket\" {print $2}')\n"
               "timeout 250 python3 tmp/bad.py $sock; cat mnt/x; \"$CACHEFS\" status $M");
}

Test(mount_control, the_state_of_a_file_is_in_its_attributes)
{
    with_mount(
        "" DIRTY LONG,
        "get() { getfattr --only-values -n user.cachefs.$1 $2; }\n"
        "test \"$(get resident mnt/d/f1):$(get level mnt/d/f1)\" = 0:below\n"
        "\"$CACHEFS\" pin mnt/d/f1; test \"$(get pinned mnt/d/f1)\" = 1\n"
        "test \"$(get resident mnt/d/f1):$(get level mnt/d/f1)\" = 100000:memory\n"
        "echo x >mnt/n; test \"$(get dirty mnt/n)\" = 4096; get dirty_age_us mnt/n\n"
        "test \"$(get dirty mnt/x):$(get pinned mnt/x):$(get fresh mnt/x)\" = 0:0:1\n"
        "v=$(get validator mnt/x); case $v in times:*) ;; *) exit 1;; esac\n"
        "echo y >origin/x; \"$CACHEFS\" invalidate mnt/x; test \"$(get validator mnt/x)\" "
        "!= $v\n"
        "getfattr -d mnt/d/f1 >tmp/l; test ! -s tmp/l; cp -a mnt/d/f1 tmp/copy\n"
        "getfattr -d tmp/copy >tmp/l; test ! -s tmp/l\n"
        "getfattr -n user.cachefs.none mnt/x 2>tmp/e && exit 1; grep 'No such attr' tmp/e\n"
        "setfattr -n user.cachefs.dirty -v 1 mnt/x 2>tmp/e && exit 1; grep 'not perm' tmp/e\n"
        "setfattr -x user.cachefs.dirty mnt/x 2>tmp/e && exit 1; grep 'not perm' tmp/e");
}

/* Who stands in a mount may say where it is, or another, as seen from there. */
Test(mount_control, a_mount_is_found_by_a_path_that_leads_out_of_another)
{
    rig_t rig;
    rig_make(&rig);
    rig_mount(&rig, "file:", NULL);
    rig_sh_beside(&rig,
                  "mkdir -p mnt/d other; echo x >origin/d/f; \"$CACHEFS\" mount mem: other\n"
                  "(cd mnt/d; \"$CACHEFS\" status ../../mnt; \"$CACHEFS\" status ../../other\n"
                  "\"$CACHEFS\" ls --cached ../../other/../mnt/d) >tmp/told\n"
                  "grep $M tmp/told; grep $PWD/other tmp/told; grep f tmp/told\n"
                  "no 2 sh -c 'cd mnt; \"$CACHEFS\" status ..'; grep 'no cachefs is mounted there' "
                  "tmp/said\n"
                  "\"$CACHEFS\" unmount other");
    rig_end(&rig);
}
