/*
 * test_remotes_long.c - random steps on mounts of S3, WebDAV and SFTP, for longer. tier: long
 * labels: s3 webdav sftp
 */
#include "tests/mount/support_lockstep.h"

#include <criterion/criterion.h>

Test(mount_remotes_long, every_mode_answers_as_a_plain_directory)
{
    static const char *const modes[] = {
        "--mode through --ram 8m", "--mode around --ram 8m --set attr_ttl=0",
        "--mode back --set flush_interval=10ms",
        "--mode back --ram 8m --set flush_on_close=off --set attr_ttl=0 --set flush_interval=10ms",
        "--mode back --store store --ram 8m --set flush_on_close=off --set flush_interval=10ms"};
    rig_t rig;
    remote_t remote;
    for (size_t i = 0; remote_start(&remote, &rig, i); i++) {
        for (size_t m = 0; m < sizeof(modes) / sizeof(modes[0]); m++)
            lockstep_on_remote(&rig, &remote, modes[m], 1000 + 100 * m, 10000);
        remote_stop(&remote);
        rig_end(&rig);
    }
}
