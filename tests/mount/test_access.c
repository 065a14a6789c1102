/*
 * test_access.c - the access log of a mount: what is in it, what `cachefs replay` makes of it,
 * where it may be, and what happens when its disk is full. tier: medium
 */
#include "tests/mount/support_rig.h"

#include <criterion/criterion.h>

static void with_mount(const char *args, const char *script)
{
    rig_t rig;
    rig_make(&rig);
    rig_mount(&rig, "file:", args);
    rig_sh_beside(&rig, script);
    rig_end(&rig);
}

/* Reads of pages that the kernel has are not calls, so these go past them. 200 reads of 4 KiB lie
 * in as many blocks of 16 KiB as there are different numbers; one of 40,000 bytes from 8,192 on
 * lies in three; one behind the end brings nothing. */
Test(mount_access, a_replay_requests_what_was_read_and_written)
{
    with_mount(
        "", "head -c 4000000 /dev/urandom >origin/f; echo x >origin/g,h; cat mnt/g,h\n"
            "\"$CACHEFS\" set mnt access_log $T/log; \"$CACHEFS\" set mnt access_log | grep "
            "\" $T/log$\"\n"
            "cat >tmp/do.py <<'END'\n"
            "import mmap, os, random\n"
            "f = os.open('mnt/f', os.O_RDWR | os.O_DIRECT); page = mmap.mmap(-1, 4096)\n"
            "random.seed(1); at = [random.randrange(240) for i in range(200)]\n"
            "for i in at: os.preadv(f, [page], i * 16384 + 4096 * (i % 4))\n"
            "os.pwrite(f, page, 16384 * 243)\n"
            "g = os.open('mnt/g,h', os.O_WRONLY); os.pwrite(g, b'x' * 40000, 8192)\n"
            "try: os.open('mnt/none', os.O_RDONLY)\n"
            "except FileNotFoundError: pass\n"
            "print(200 + 1 + 3, len(set(at)) + 1 + 3)\n"
            "END\n"
            "python3 tmp/do.py >tmp/done; \"$CACHEFS\" set mnt access_log off\n"
            "\"$CACHEFS\" replay tmp/log --policy lru --size 100% --json >tmp/j\n"
            "python3 -c 'import json; r = json.load(open(\"tmp/j\"))[0]; print(r[\"requests\"], "
            "round(r[\"requests\"] * r[\"miss_ratio\"]))' >tmp/replayed\n"
            "cmp tmp/done tmp/replayed; \"$CACHEFS\" replay tmp/log --format access --policy lru "
            "--size 100% --json | cmp - tmp/j\n"
            "test $(grep -c ',read,/f,' tmp/log) = 200\n"
            "grep ',write,/g%2Ch,8192,40000,40000,0,' tmp/log\n"
            "grep ',lookup,/none,0,0,0,2,' tmp/log; grep ',open,/f,0,0,0,0,' tmp/log");
}

/* Each line has as many columns as the line of names, whatever the names are. */
Test(mount_access, calls_names_and_errors_are_in_it)
{
    rig_t rig;
    rig_make(&rig);
    rig_sh_beside(
        &rig,
        "printf 'access-log = tmp/log\\n' >tmp/conf\n"
        "\"$CACHEFS\" mount file://$O $M --config tmp/conf; cd mnt\n"
        "mkdir d; echo x >'d/a b,c%'; mv 'd/a b,c%' d/e; ln d/e d/f; ln -s 'to,here' d/l\n"
        "exec 3<>d/e; rm d/e d/f; echo y >&3; exec 3<&-; truncate -s 9 t; rm d/l; rmdir d; rmdir t "
        "|| true\n"
        "printf z >\"$(printf 'n\\nl\\377')\"; ls -l >/dev/null; cd ..\n"
        "\"$CACHEFS\" unmount $M; test \"$(stat -c %a tmp/log)\" = 600\n"
        "head -1 tmp/log | grep '^# cachefs access log 1$'\n"
        "has() { grep -- \"$1\" tmp/log || { echo \"no $1\"; cat tmp/log; exit 1; }; }\n"
        "has ',mkdir,/d,'; has ',create,/d/a%20b%2Cc%25,'; has ',write,/d/a%20b%2Cc%25,0,2,2,0,'\n"
        "has ',rename,/d/a%20b%2Cc%25,.*,/d/e$'; has ',link,/d/e,.*,/d/f$'\n"
        "has ',symlink,/d/l,.*,to%2Chere$'; has ',write,ino:[0-9]*,0,2,2,0,'\n"
        "has ',truncate,/t,0,9,'; has ',rmdir,/t,0,0,0,20,\\|,lookup,/t'; has "
        "',rmdir,/d,0,0,0,0,'\n"
        "has ',create,/n%0Al%FF,'; has ',readdir,/,'; has ',close,/n%0Al%FF,'\n"
        "test -z \"$(grep -v '^#' tmp/log | awk -F, 'NF != 11')\"\n"
        "awk -F, '$2 == \"write\" && ($1 < 1e15 || $8 < 0 || $9 != 0 || $10 < 1)' tmp/log | cmp - "
        "/dev/null");
    rig_end(&rig);
}

Test(mount_access, it_begins_ends_and_moves_while_the_mount_runs)
{
    with_mount(
        "--access-log-max 20k",
        "log() { \"$CACHEFS\" set mnt access_log \"$1\"; }\n"
        "echo x >mnt/f; log $T/a; stat mnt/f; mv tmp/a tmp/a.old; log $T/a; cat mnt/f\n"
        "log $T/b; rm mnt/f; log off; echo x >mnt/g; \"$CACHEFS\" set mnt access_log | grep ' "
        "off$'\n"
        "grep ',open,/f,' tmp/a; if grep ',open,' tmp/a.old; then exit 1; fi\n"
        "grep ',unlink,/f,' tmp/b; if grep '/g,' tmp/b; then exit 1; fi\n"
        "no 1 log relative; grep 'whole path' tmp/said; no 1 log $M/in; grep 'mount itself' "
        "tmp/said\n"
        "ln -s $M tmp/link; no 1 log $T/link/in; grep 'mount itself' tmp/said\n"
        "no 1 log $T; grep 'directory' tmp/said; no 1 log /none/here/log; grep 'No such' tmp/said\n"
        "mkfifo tmp/pipe; no 1 log $T/pipe; ln -s $T/b tmp/to; no 1 log $T/to\n"
        "mkdir mnt2; \"$CACHEFS\" mount mem: mnt2 --access-log tmp/c; no 1 log $T/c\n"
        "\"$CACHEFS\" unmount mnt2; grep 'another mount' tmp/said\n"
        "log $T/b; cp tmp/b tmp/before; for i in $(seq 300); do : >mnt/g$i; sleep 0.005; done; log "
        "off\n"
        "test $(stat -c %s tmp/b.1) -ge 20480; test $(stat -c %s tmp/b) -lt 40000\n"
        "head -1 tmp/b | grep '^# cachefs access log 1$'; cat tmp/b.1 tmp/b >tmp/all\n"
        "no 2 \"$CACHEFS\" mount mem: mnt2 --access-log /none/here/log; grep 'access-log' "
        "tmp/said");
}

/* Nobody waits for its disk; and when there is room again there are whole lines. */
Test(mount_access, a_full_disk_costs_lines_not_calls)
{
    with_mount(
        "",
        "mkdir small; mount -t tmpfs -o size=64k none small; trap 'umount -l small' EXIT\n"
        "\"$CACHEFS\" set mnt access_log $PWD/small/log; for i in $(seq 600); do echo $i "
        ">mnt/f; done\n"
        "lost() { \"$CACHEFS\" stats mnt --json >tmp/j; python3 -c 'import json; print(json.load("
        "open(\"tmp/j\"))[\"access_log_left_out\"])'; }\n"
        "until test $(lost) -gt 0; do echo x >mnt/f; sleep 0.01; done; test \"$(cat mnt/f)\" != "
        "''\n"
        "mount -o remount,size=8m small; until grep 'were left out here' small/log; do echo y "
        ">mnt/f; sleep 0.01; done\n"
        "\"$CACHEFS\" set mnt access_log off; lost >tmp/lost\n"
        "awk '/left out here/ {n += $2} END {print n + 0}' small/log | cmp - tmp/lost\n"
        "test -z \"$(grep -v '^#' small/log | awk -F, 'NF != 11')\"; \"$CACHEFS\" replay "
        "small/log");
}
