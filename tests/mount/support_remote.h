/*
 * support_remote.h - servers of the test's own as origins of a mount. For the tests of the mount.
 */
#ifndef TESTS_MOUNT_SUPPORT_REMOTE_H
#define TESTS_MOUNT_SUPPORT_REMOTE_H

#include "tests/mount/support_rig.h"
#include "tests/stacks/sshd.h"
#include "tests/stacks/webserver.h"

#define REMOTE_MODES 0x1u   /**< modes, owners and times are kept */
#define REMOTE_LINKS 0x2u   /**< symbolic links */
#define REMOTE_ON_DISK 0x4u /**< what it has lies in the rig's directory "origin" */

typedef struct remote_t {
    const char *name;
    unsigned can;      /**< REMOTE_* */
    const char *lacks; /**< for lockstep */
    size_t kind;
    webserver_t web, relay;
    sshd_t sshd;
    char uri[512];
} remote_t;

/** Start the i-th: S3 with metadata, WebDAV (Apache), SFTP; those whose library was not there when
 * this was built are left out. Scripts get its URI as U, and may call `below NAME` for what it has
 * in the file. Returns 0: there are no more. */
int remote_start(remote_t *remote, rig_t *rig, size_t i);
/** Its URI leads by a relay from now on, which is as the file tmp/mood says: see relay.py. */
void remote_relay(remote_t *remote, const rig_t *rig);
void remote_stop(remote_t *remote);

#endif
