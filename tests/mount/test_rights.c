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
