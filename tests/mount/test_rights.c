/*
 * test_rights.c - who may do what on a mount, and whose the new files are. As root, with another
 * user's rights by setpriv.
 */
#include "tests/mount/support_rig.h"

#include <criterion/criterion.h>

#define AS "as() { setpriv --reuid 1234 --regid 1234 --groups 1234,4321 -- \"$@\"; }\n"

static void owners(rig_t *rig)
{
    rig_sh(rig,
           AS "chmod 777 . && as sh -c 'umask 027; echo x >f; mkdir d; ln -s f l; mkfifo p'\n"
              "test \"$(stat -c %u:%g:%a f)\" = 1234:1234:640\n"
              "test \"$(stat -c %u:%g:%a d)\" = 1234:1234:750\n"
              "test \"$(stat -c %u:%g l)\" = 1234:1234 && test \"$(stat -c %F:%u p)\" = fifo:1234\n"
              "mkdir s && chgrp 4321 s && chmod 2775 s && as sh -c 'cd s && touch f && mkdir d'\n"
              "test \"$(stat -c %u:%g s/f)\" = 1234:4321\n"
              "test \"$(stat -c %u:%g:%a s/d)\" = 1234:4321:2755");
}
Test(mount_rights, what_is_made_is_its_makers)
{
    rig_everywhere(owners);
}

static void refusals(rig_t *rig)
{
    rig_sh(
        rig, AS
        "no() { if \"$@\" 2>$T/err; then echo \"allowed: $*\"; exit 1; fi; }\n"
        "echo secret >f && chmod 600 f && mkdir d && echo x >d/x && chmod 700 d\n"
        "no as cat f; no as ls d; no as cat d/x; no as touch new; no as rm f; no as chmod 777 f\n"
        "no as chown 1234 f; no as truncate -s 0 f; no as mv f g\n"
        "chgrp 4321 f && chmod 640 f && as cat f && no as sh -c 'echo y >>f'\n"
        "mkdir t && chmod 1777 t && echo r >t/root && no as rm t/root && no as mv t/root t/mine\n"
        "as touch t/own && as rm t/own && test -e t/root\n"
        "chmod 4755 f && chown 1234 f && as sh -c 'echo more >>f' && test ! -u f\n"
        "test \"$(cat f | tail -n1)\" = more");
}
Test(mount_rights, the_rights_of_the_caller_count)
{
    rig_everywhere(refusals);
}

static void way_closed(rig_t *rig)
{
    rig_sh(rig, AS
           "mkdir -p shut/in && chmod 700 shut && chmod 777 shut/in && cd shut/in\n"
           "as sh -c 'umask 027; echo x >f; mkdir d; ln -s f l; mkfifo p; ln f g; mv g h; rm h'\n"
           "test \"$(stat -c %u:%g:%a f)\" = 1234:1234:640 && test \"$(cat f)\" = x\n"
           "test \"$(stat -c %u:%g:%a d)\" = 1234:1234:750 && test \"$(stat -c %u l)\" = 1234\n"
           "test \"$(stat -c %u:%F p)\" = 1234:fifo && test ! -e h\n"
           "mkdir s && chgrp 4321 s && chmod 2777 s && as sh -c 'touch s/f && mkdir s/d'\n"
           "test \"$(stat -c %u:%g s/f)\" = 1234:4321 && test \"$(stat -c %u:%g:%A s/d | cut "
           "-c1-20)\" = 1234:4321:drwxr-sr-x");
}
Test(mount_rights, who_stands_in_a_directory_needs_no_rights_above_it)
{
    rig_everywhere(way_closed);
}

/* In each way that changes a file. `left` looks on both sides. */
static void bits_fall(rig_t *rig)
{
    rig_sh(rig, AS
           "chmod 777 .\n"
           "left() { test \"$(stat -c %a f)\" = $1 || { stat f; echo \"not $1: $2\"; exit 1; }; }\n"
           "set_id() { chown 1234:${1-1234} f && chmod 6777 f && left 6777 set; }\n"
           "echo text >f; set_id; as sh -c 'echo more >>f'; left 777 write\n"
           "set_id; as truncate -s 3 f; left 777 truncate\n"
           "set_id; as sh -c ': >f'; left 777 cut\n"
           "set_id; as dd if=/dev/zero of=f bs=4096 count=1 oflag=direct conv=notrunc status=none\n"
           "left 777 direct; set_id; as fallocate -l 9000 f; left 777 allocate\n"
           "set_id; as chown 1234:4321 f; left 777 group; set_id; chown 1:1 f; left 777 owner\n"
           "set_id; as chown -h :: f 2>/dev/null || as chown 1234 f; left 777 'same owner'\n"
           "set_id; echo more >>f; left 6777 root; truncate -s 3 f; left 6777 'root truncates'\n"
           "set_id; as chmod 6755 f; left 6755 chmod; as touch f; left 6755 touch\n"
           "chmod 2767 f; as sh -c 'echo more >>f'; left 2767 member\n"
           "chown 1234:99 f; chmod 2767 f; as sh -c 'echo more >>f'; left 767 'no member'");
}
Test(mount_rights, set_id_bits_fall_when_others_write)
{
    rig_everywhere(bits_fall);
}

#define CAPS                                                                                       \
    "cat >$T/caps.py <<'END'\n"                                                                    \
    "import os, struct, sys\n"                                                                     \
    "NAME = 'security.capability'\n"                                                               \
    "def give(path): os.setxattr(path, NAME, struct.pack('<5I', 0x2000001, 0x2000, 0, 0, 0))\n"    \
    "def has(path): return NAME in os.listxattr(path)\n"                                           \
    "END\n"

/* root, too, loses those that a file has. */
Test(mount_rights, capabilities_fall_when_somebody_writes)
{
    static const char *modes[] = {"--mode through", "--mode back", "--mode around"};
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        rig_t rig;
        rig_make(&rig);
        rig_mount(&rig, "file:", modes[i]);
        rig_sh(&rig, CAPS
               "cat >$T/do.py <<'END'\n"
               "from caps import *\n"
               "def fall(what):\n"
               "    give('f'); assert has('f'); what(); assert not has('f'), what\n"
               "f = os.open('f', os.O_RDWR | os.O_CREAT); os.pwrite(f, b'first', 0)\n"
               "for turn in range(3):\n"
               "    fall(lambda: os.pwrite(f, b'x' * 5000, 0))\n"
               "    os.fstat(f); fall(lambda: os.pwrite(f, b'x', 10000))\n"
               "    fall(lambda: os.ftruncate(f, 3)); fall(lambda: os.chown('f', 1234, 1234))\n"
               "    fall(lambda: os.posix_fallocate(f, 0, 20000))\n"
               "give('f'); os.close(f); assert has('f') and has(os.environ['O'] + '/f')\n"
               "open('f', 'w').close(); assert not has('f') and not has(os.environ['O'] + '/f')\n"
               "END\n"
               "PYTHONPATH=$T python3 $T/do.py");
        rig_end(&rig);
    }
}

/* Since Linux 5.12: before, it asks at each. */
Test(mount_rights, the_kernel_asks_for_capabilities_once_and_not_at_each_write)
{
    rig_t rig;
    rig_make(&rig);
    rig_mount(&rig, "file:", "--set attr_ttl=1h");
    rig_sh(&rig, "echo first >f; \"$CACHEFS\" set $M access_log $T/log\n"
                 "dd if=/dev/zero of=f bs=100 count=200 conv=notrunc status=none\n"
                 "\"$CACHEFS\" set $M access_log off\n"
                 "test $(grep -c ',write,/f,' $T/log) -ge 200\n"
                 "test $(grep -c 'getxattr,/f,.*security.capability' $T/log) -le 1");
    rig_end(&rig);
}
