/*
 * support_remote.c - see support_remote.h. Servers end with the test, whatever happens to it.
 */
#include "tests/mount/support_remote.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/stacks/s3server.h"

static int start_s3(remote_t *remote, const rig_t *rig)
{
    (void)rig;
    s3server_credentials(0);
    if (!s3server_start(&remote->web, NULL)) return 0;
    s3server_uri(remote->uri, sizeof(remote->uri), remote->web.port, "test/in", "&meta=yes");
    return 1;
}

static int start_dav(remote_t *remote, const rig_t *rig)
{
    if (chmod(rig->origin, 0777) != 0) return 0; /* the server is another user */
    if (!apache_start(&remote->web, rig->origin, "", WEBSERVER_DAV)) return 0;
    (void)snprintf(remote->uri, sizeof(remote->uri), "dav://127.0.0.1:%d/?proxy=none",
                   remote->web.port);
    return 1;
}

static int start_sftp(remote_t *remote, const rig_t *rig)
{
    if (!sshd_start(&remote->sshd, NULL)) return 0;
    (void)sshd_uri(&remote->sshd, 0, rig->origin, "", remote->uri, sizeof(remote->uri));
    return 1;
}

static const struct {
    const char *name;
    unsigned can;
    const char *lacks;
    int (*start)(remote_t *remote, const rig_t *rig);
} servers[] = {
#ifdef REMOTE_HTTP
    {"S3", REMOTE_MODES,
     "links,special,xattr,symlinks,exchange,noreplace,setgid,dirtimes,allocate,unlinked", start_s3},
    {"WebDAV", REMOTE_ON_DISK,
     "links,special,xattr,symlinks,modes,times,exchange,allocate,unlinked", start_dav},
#endif
#ifdef REMOTE_SFTP
    {"SFTP", REMOTE_MODES | REMOTE_LINKS | REMOTE_ON_DISK,
     "links,special,xattr,users,nanoseconds,exchange,allocate", start_sftp},
#endif
    {NULL, 0, NULL, NULL}};

int remote_start(remote_t *remote, rig_t *rig, size_t i)
{
    memset(remote, 0, sizeof(*remote));
    if (servers[i].name == NULL) return 0;
    rig_make(rig);
    remote->name = servers[i].name;
    remote->can = servers[i].can;
    remote->lacks = servers[i].lacks;
    cr_assert(servers[i].start(remote, rig), "%s cannot be started", remote->name);
    cr_assert_eq(setenv("U", remote->uri, 1), 0);
    return 1;
}

void remote_stop(remote_t *remote)
{
    webserver_stop(&remote->web);
    sshd_stop(&remote->sshd);
}
