/*
 * test_remotes_steps.c - random steps by system calls on mounts of S3, WebDAV and SFTP: they answer
 * what a plain directory does, as far as the server has it. tier: medium
 * labels: s3 webdav sftp
 */
#include "tests/mount/support_lockstep.h"

#include <criterion/criterion.h>

static void on_remotes(const char *args, unsigned long seed, unsigned long ops)
{
    rig_t rig;
    remote_t remote;
    for (size_t i = 0; remote_start(&remote, &rig, i); i++) {
        lockstep_on_remote(&rig, &remote, args, seed, ops);
        remote_stop(&remote);
        rig_end(&rig);
    }
}

Test(mount_remotes_steps, through_answers_as_a_plain_directory)
{
    on_remotes("--mode through", 100, 2500);
}

Test(mount_remotes_steps, back_answers_as_a_plain_directory)
{
    on_remotes("--mode back", 200, 2500);
}
