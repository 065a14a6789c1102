/*
 * support_remote.h - servers of the test's own as origins of a mount, and which programs they can
 * bear. For the tests of the mount.
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
    webserver_t web;
    sshd_t sshd;
    char uri[512];
} remote_t;

/** Start the i-th: S3 with metadata, WebDAV (Apache), SFTP; those whose library was not there when
 * this was built are left out. Scripts get its URI as U. Returns 0: there are no more. */
int remote_start(remote_t *remote, rig_t *rig, size_t i);
void remote_stop(remote_t *remote);

#endif
