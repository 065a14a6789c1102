/*
 * support_remote.c - see support_remote.h. Servers end with the test, whatever happens to it.
 */
#include "tests/mount/support_remote.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/stacks/s3server.h"

#ifdef REMOTE_HTTP

static int start_s3(remote_t *remote, const rig_t *rig)
{
    (void)rig;
    s3server_credentials(0);
    return s3server_start(&remote->web, NULL);
}

static void uri_s3(remote_t *remote, const rig_t *rig, int port)
{
    (void)rig;
    s3server_uri(remote->uri, sizeof(remote->uri), port, "test/in", "&meta=yes");
}

static int start_dav(remote_t *remote, const rig_t *rig)
{
    if (chmod(rig->origin, 0777) != 0) return 0; /* the server is another user */
    return apache_start(&remote->web, rig->origin, "", WEBSERVER_DAV);
}

static void uri_dav(remote_t *remote, const rig_t *rig, int port)
{
    (void)rig;
    (void)snprintf(remote->uri, sizeof(remote->uri), "dav://127.0.0.1:%d/?proxy=none", port);
}

#endif
#ifdef REMOTE_SFTP

static int start_sftp(remote_t *remote, const rig_t *rig)
{
    (void)rig;
    if (!sshd_start(&remote->sshd, NULL)) return 0;
    remote->web.port = remote->sshd.port;
    return 1;
}

static void uri_sftp(remote_t *remote, const rig_t *rig, int port)
{
    cr_assert(sshd_know(&remote->sshd, port));
    (void)sshd_uri(&remote->sshd, port, rig->origin, "", remote->uri, sizeof(remote->uri));
}

#endif

static const struct {
    const char *name;
    unsigned can;
    const char *lacks;
    int (*start)(remote_t *remote, const rig_t *rig);
    void (*uri)(remote_t *remote, const rig_t *rig, int port);
} servers[] = {
#ifdef REMOTE_HTTP
    {"S3", REMOTE_MODES | REMOTE_LINKS,
     "links,special,xattr,exchange,noreplace,setgid,dirtimes,unlinked,reserving,types", start_s3,
     uri_s3},
    {"WebDAV", REMOTE_ON_DISK, "links,special,xattr,symlinks,modes,times,exchange,unlinked",
     start_dav, uri_dav},
#endif
#ifdef REMOTE_SFTP
    {"SFTP", REMOTE_MODES | REMOTE_LINKS | REMOTE_ON_DISK,
     "links,special,xattr,users,nanoseconds,exchange,allocate", start_sftp, uri_sftp},
#endif
    {NULL, 0, NULL, NULL, NULL}};

int remote_start(remote_t *remote, rig_t *rig, size_t i)
{
    memset(remote, 0, sizeof(*remote));
    if (servers[i].name == NULL) return 0;
    rig_make(rig);
    remote->name = servers[i].name;
    remote->can = servers[i].can;
    remote->lacks = servers[i].lacks;
    remote->kind = i;
    cr_assert(servers[i].start(remote, rig), "%s cannot be started", remote->name);
    servers[i].uri(remote, rig, remote->web.port);
    cr_assert_eq(setenv("U", remote->uri, 1), 0);
    cr_assert_eq(setenv("DIRECT", remote->can & REMOTE_ON_DISK ? "" : remote->uri, 1), 0);
    return 1;
}

void remote_relay(remote_t *remote, const rig_t *rig)
{
    char port[16], mood[96];
    const char *const argv[] = {"/usr/bin/python3", RELAY_PY, port, mood, NULL};
    cr_assert(webserver__begin(&remote->relay));
    int fd = webserver__listen(&remote->relay.port);
    (void)snprintf(port, sizeof(port), "%d", remote->web.port);
    (void)snprintf(mood, sizeof(mood), "%s/tmp/mood", rig->dir);
    cr_assert(fd >= 0 && webserver__spawn(&remote->relay, fd, NULL, argv));
    (void)close(fd); /* the child has it */
    servers[remote->kind].uri(remote, rig, remote->relay.port);
    cr_assert_eq(setenv("U", remote->uri, 1), 0);
}

void remote_stop(remote_t *remote)
{
    webserver_stop(&remote->relay);
    webserver_stop(&remote->web);
    sshd_stop(&remote->sshd);
}
