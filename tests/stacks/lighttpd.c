/*
 * lighttpd.c - starts lighttpd, which takes its listening socket from standard input. Floor 4: test
 * support.
 */
#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "tests/stacks/webserver.h"

/* Without a type for a file it says nothing of the file's version, and what it knows of a file it
 * believes for a second, unless that is turned off. */
static int configure(const webserver_t *web, const char *root, const char *lines, int dav)
{
    char name[96], more[192] = "";
    snprintf(name, sizeof(name), "%s/lighttpd.conf", web->dir);
    if (dav)
        snprintf(more, sizeof(more),
                 "webdav.activate = \"enable\"\nwebdav.sqlite-db-name = \"%s/locks.db\"\n",
                 web->dir);
    FILE *file = fopen(name, "we");
    if (file == NULL) return 0;
    fprintf(file,
            "server.modules = ( \"mod_dirlisting\"%s )\n"
            "server.document-root = \"%s\"\nserver.bind = \"/dev/stdin\"\nserver.port = %d\n"
            "server.errorlog = \"%s/error.log\"\nserver.pid-file = \"%s/pid\"\n"
            "server.upload-dirs = ( \"%s\" )\n"
            "mimetype.assign = ( \"\" => \"application/octet-stream\" )\n"
            "server.stat-cache-engine = \"disable\"\n%s%s\n",
            dav ? ", \"mod_webdav\"" : "", root, web->port, web->dir, web->dir, web->dir, more,
            lines);
    return fclose(file) == 0;
}

int lighttpd_start(webserver_t *web, const char *root, const char *lines, int flags)
{
    char conf[96];
    const char *const argv[] = {"/usr/sbin/lighttpd", "-D", "-f", conf, NULL};
    int fd = webserver__begin(web) ? webserver__listen(&web->port) : -1;
    snprintf(conf, sizeof(conf), "%s/lighttpd.conf", web->dir);
    int ready = fd >= 0 && configure(web, root, lines, flags & WEBSERVER_DAV) &&
                webserver__spawn(web, fd, NULL, argv);
    int error = errno;
    if (fd >= 0) (void)close(fd); /* the child has it */
    if (!ready) webserver_stop(web);
    errno = error;
    return ready;
}
