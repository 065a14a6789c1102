/*
 * test_remotes.c - programs on mounts of S3, WebDAV and SFTP. tier: medium
 * labels: s3 webdav sftp
 */
#include "tests/mount/support_programs.h"
#include "tests/mount/support_remote.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* On each server, in two modes. */
static void on_remotes(void (*body)(rig_t *rig, const remote_t *remote))
{
    static const char *const modes[] = {"--mode through", "--mode back"};
    rig_t rig;
    remote_t remote;
    for (size_t i = 0; remote_start(&remote, &rig, i); i++) {
        for (size_t m = 0; m < 2; m++) {
            rig_mount(&rig, remote.uri, modes[m]);
            body(&rig, &remote);
            rig_unmount(&rig);
        }
        remote_stop(&remote);
        rig_end(&rig);
    }
}

static void git(rig_t *rig, const remote_t *remote)
{
    (void)remote;
    programs_git(rig);
}
Test(mount_remotes, git_clones_checks_and_packs)
{
    on_remotes(git);
}

static void sqlite(rig_t *rig, const remote_t *remote)
{
    (void)remote;
    programs_sqlite(rig);
}
Test(mount_remotes, two_sqlite_processes_share_a_data_base)
{
    on_remotes(sqlite);
}

/* What is built is made executable. */
static void make(rig_t *rig, const remote_t *remote)
{
    if (remote->can & REMOTE_MODES) programs_make(rig);
}
Test(mount_remotes, make_builds_and_knows_what_is_new)
{
    on_remotes(make);
}

static void copies(rig_t *rig, const remote_t *remote)
{
    programs_copy(rig, "/usr/include/linux/netfilter",
                  remote->can & REMOTE_MODES ? PROGRAMS_MODES : 0);
}
Test(mount_remotes, copies_of_trees_are_the_same)
{
    on_remotes(copies);
}

/* By the same number for all, and nothing is left behind by the attempt. */
static void refusals(rig_t *rig, const remote_t *remote)
{
    char script[1500];
    (void)snprintf(
        script, sizeof(script),
        "cat >$T/do.py <<'END'\n"
        "import errno, os\n"
        "def no(call, *args):\n"
        "    try: call(*args)\n"
        "    except OSError as e: assert e.errno == errno.EOPNOTSUPP, (call, e)\n"
        "    else: raise SystemExit('%%s worked' %% call)\n"
        "open('f', 'w').write('x'); os.mkdir('d')\n"
        "open('t', 'w').close(); os.utime('t'); os.remove('t')\n"
        "no(os.link, 'f', 'g'); no(os.mkfifo, 'p'); no(os.setxattr, 'f', 'user.a', b'b')\n"
        "no(os.getxattr, 'f', 'user.a')\n"
        "if not %d: no(os.symlink, 'f', 'l')\n"
        "if not %d:\n"
        "    for name in 'f', 'd':\n"
        "        a = os.stat(name); os.chmod(name, a.st_mode & 0o7777); os.chown(name, a.st_uid, "
        "-1)\n"
        "        no(os.chmod, name, 0o600); no(os.chown, name, 1234, -1); no(os.utime, name, (1, "
        "2))\n"
        "assert sorted(os.listdir()) == ['d', 'f']; os.remove('f'); os.rmdir('d')\n"
        "END\n"
        "python3 $T/do.py",
        (remote->can & REMOTE_LINKS) != 0, (remote->can & REMOTE_MODES) != 0);
    rig_sh(rig, script);
}
Test(mount_remotes, what_a_server_has_not_is_refused_and_what_is_so_already_is_not)
{
    on_remotes(refusals);
}

/* They are made of names; programs take files with one number for one file. */
static void numbers(rig_t *rig, const remote_t *remote)
{
    (void)remote;
    rig_sh(rig, "n() { stat -c %i $1; }; echo x >a; mkdir d; A=$(n a); D=$(n d)\n"
                "mv a b; mv d e; test $(n b) = $A; test $(n e) = $D; echo y >a; mkdir d\n"
                "test $(n a) != $A; test $(n d) != $D; cp a b; exec 3<a; mv b a; echo z >b\n"
                "test $(n a) != $(n b); exec 3<&-; rm a b; rmdir d e");
}
Test(mount_remotes, a_file_that_moved_keeps_its_number_and_no_other_gets_it)
{
    on_remotes(numbers);
}

/* Whoever writes it back. */
static void owners(rig_t *rig, const remote_t *remote)
{
    if (strstr(remote->lacks, "users") != NULL || !(remote->can & REMOTE_MODES)) return;
    rig_sh(
        rig,
        "mkdir d; chmod 777 d; python3 -c \"import os; os.setgid(1234); os.setuid(1234); "
        "f = open('d/f', 'w'); f.write('x'); os.fchmod(f.fileno(), 0o640)\"\n"
        "test $(stat -c %u:%g:%a d/f) = 1234:1234:640; \"$CACHEFS\" invalidate $M/d/f; sleep 1.2\n"
        "test $(stat -c %u:%g:%a d/f) = 1234:1234:640; rm -r d");
}
Test(mount_remotes, what_a_user_makes_is_his)
{
    on_remotes(owners);
}

static void extents(rig_t *rig, const remote_t *remote)
{
    (void)remote;
    rig_sh(rig,
           "head -c 100000 /dev/zero >f; python3 -c \"import os; f = os.open('f', os.O_RDONLY)\n"
           "assert os.lseek(f, 5, os.SEEK_DATA) == 5\n"
           "assert os.lseek(f, 5, os.SEEK_HOLE) == 100000\"; rm f");
}
Test(mount_remotes, where_holes_are_not_known_all_is_data)
{
    on_remotes(extents);
}

/* What was there before, what is new, what was moved. These have no identities, so the journal has
 * nothing of them: what is synced is below. */
Test(mount_remotes, what_was_synced_is_there_after_a_kill)
{
    rig_t rig;
    remote_t remote;
    for (size_t i = 0; remote_start(&remote, &rig, i); i++) {
        rig_sh_beside(
            &rig,
            "up() { serve \"$U\" $M --mode back --store s --set flush_interval=1h --set "
            "dirty_age=2h "
            "--set flush_on_close=off; }\n"
            "end() { \"$CACHEFS\" unmount $M; wait $server; }\n"
            "killed() { kill -9 $server; wait $server || true; umount -l mnt; }\n"
            "for i in 1 2 3; do head -c 300000 /dev/urandom >tmp/f$i; done\n"
            "serve \"$U\" $M; mkdir mnt/d; cp tmp/f1 mnt/f1; cp tmp/f2 mnt/f2; end\n"
            "up; cp tmp/f3 mnt/d/new; printf changed | dd of=mnt/f1 bs=1 seek=5000 conv=notrunc "
            "status=none\n"
            "printf changed | dd of=tmp/f1 bs=1 seek=5000 conv=notrunc status=none\n"
            "mv mnt/f2 mnt/d/moved; echo more >>mnt/d/moved; echo more >>tmp/f2; sync mnt/d/new "
            "mnt/f1 "
            "mnt/d/moved\n"
            "killed\n"
            "up; cmp tmp/f1 mnt/f1; cmp tmp/f3 mnt/d/new; cmp tmp/f2 mnt/d/moved; test ! -e "
            "mnt/f2\n"
            "killed; up; end\n"
            "for f in f1:f1 f3:d/new f2:d/moved; do below ${f#*:} | cmp - tmp/${f%:*}; done");
        remote_stop(&remote);
        rig_end(&rig);
    }
}
