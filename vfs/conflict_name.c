/*
 * conflict_name.c - the name of a conflict: the same for a flush, for a recovery, and for a commit.
 * Floor 1.
 */
#include "vfs/conflict_name.h"

#include <stdio.h>
#include <unistd.h>

apr_status_t vfs__conflict_path(const vfs_path_t *path, int k, vfs_path_t *out, char *buf)
{
    char host[64] = "host", tail[160], dir_buf[VFS_PATH_MAX + 1], name[VFS_NAME_MAX + 1];
    vfs_path_t dir;
    (void)gethostname(host, sizeof(host) - 1); /* without one the default will do */
    for (char *p = host; *p; p++)
        if (*p == '/') *p = '_';
    apr_time_exp_t t;
    apr_time_exp_gmt(&t, apr_time_now());
    int len = snprintf(tail, sizeof(tail), ".conflict-%.60s-%04d%02d%02dT%02d%02d%02d", host,
                       t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
    if (k) len += snprintf(tail + len, sizeof(tail) - (size_t)len, "-%d", k);
    const char *base = vfs_path_parent(&dir, path, dir_buf);
    int keep = (int)VFS_NAME_MAX - len;
    int total = snprintf(name, sizeof(name), "%.*s%s", keep, base, tail);
    return vfs_path_join(out, &dir, name, (size_t)total, buf);
}
