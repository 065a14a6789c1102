/*
 * mount_point.c - places in the tree where a mount is, or shall be, and its socket.
 * Floor 4, private to tools/. Asks nothing of a mount, since its origin may not answer.
 */
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_strings.h>

#include "tools/mount.h"
#include "vfs/vfs_ops.h"

/* ---- what is mounted */

int mount_point_is_ours(const char *point, apr_pool_t *pool)
{
    struct mntent entry;
    int ours = 0;
    size_t size = 3 * VFS_PATH_MAX;
    char *buf = apr_palloc(pool, size);
    FILE *mounts = setmntent("/proc/self/mounts", "r");
    if (mounts == NULL) return 0;
    while (getmntent_r(mounts, &entry, buf, (int)size) != NULL)
        if (strcmp(entry.mnt_dir, point) == 0) /* the last one is on top */
            ours = strcmp(entry.mnt_type, "fuse.cachefs") == 0;
    (void)endmntent(mounts); /* only read */
    return ours;
}

static const char *resolved(const char *path, apr_pool_t *pool)
{
    char *real = realpath(path, NULL);
    const char *copy = real != NULL ? apr_pstrdup(pool, real) : NULL;
    free(real);
    return copy;
}

const char *mount_point(const char *path, apr_pool_t *pool)
{
    size_t len = strlen(path);
    while (len > 1 && path[len - 1] == '/')
        len--;
    const char *trimmed = apr_pstrndup(pool, path, len), *slash = strrchr(trimmed, '/');
    const char *last = slash != NULL ? slash + 1 : trimmed;
    if (last[0] == '\0' || strcmp(last, ".") == 0 || strcmp(last, "..") == 0)
        return resolved(path, pool);
    const char *dir = slash == NULL ? "."
                      : slash == trimmed
                          ? "/"
                          : apr_pstrndup(pool, trimmed, (apr_size_t)(slash - trimmed));
    dir = resolved(dir, pool);
    if (dir == NULL) return NULL;
    const char *point = apr_pstrcat(pool, strcmp(dir, "/") == 0 ? "" : dir, "/", last, NULL);
    return mount_point_is_ours(point, pool) ? point : resolved(path, pool);
}

/* ---- where one shall be */

static int check_device(cli_t *cli)
{
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (fd >= 0) {
        (void)close(fd); /* nothing was done with it */
        return CLI_DONE;
    }
    if (errno == ENOENT || errno == ENODEV || errno == ENXIO)
        cli_error(cli, "there is no /dev/fuse: the kernel has no FUSE (try `modprobe fuse`), or "
                       "this container was not given the device");
    else
        cli_error(cli, "/dev/fuse: %s", strerror(errno));
    return CLI_UNREACHABLE;
}

int mount_point_check(cli_t *cli, const char *point, const char *origin)
{
    struct stat st;
    if (mount_point_is_ours(point, cli->pool)) {
        cli_error(cli, "%s has a cachefs already; first: cachefs unmount %s", point, point);
        return CLI_USAGE;
    }
    if (stat(point, &st) != 0) {
        cli_error(cli, "%s: %s%s", point, strerror(errno),
                  errno == ENOTCONN ? " (the program of an earlier mount has died; umount it)"
                                    : "");
        return CLI_USAGE;
    }
    if (!S_ISDIR(st.st_mode)) {
        cli_error(cli, "%s is no directory", point);
        return CLI_USAGE;
    }
    const char *inside = cli_path_in_origin(origin, point, cli->pool);
    if (inside != NULL && strcmp(inside, "/") != 0) {
        cli_error(cli, "%s lies in the origin itself: the mount would contain itself", point);
        return CLI_USAGE;
    }
    if (geteuid() != 0 && access(point, W_OK) != 0) {
        cli_error(cli, "%s: you may mount only where you may write", point);
        return CLI_USAGE;
    }
    return check_device(cli);
}

/* ---- leaving */

/* Who is not root has a program with rights of its own. 0, or an errno. */
static int leave_by_program(const char *point, int lazy)
{
    int status = 0;
    pid_t pid = fork();
    if (pid < 0) return errno;
    if (pid == 0) {
        (void)execlp("fusermount3", "fusermount3", "-u", lazy ? "-z" : "--", point, (char *)NULL);
        _exit(127);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return 0;
    return WIFEXITED(status) && WEXITSTATUS(status) == 127 ? EPERM : EBUSY;
}

int mount_point_leave(const char *point, int lazy)
{
    if (umount2(point, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0) return 0;
    return errno == EPERM ? leave_by_program(point, lazy) : errno;
}

/* ---- its socket */

/* /run/cachefs for root; a directory of the user's own for others. Who asks for another user's
 * cannot know his environment. */
static const char *socket_dir(unsigned long uid, int i, apr_pool_t *pool)
{
    const char *base = uid == geteuid() ? getenv("XDG_RUNTIME_DIR") : NULL;
    const char *own =
        base != NULL && base[0] == '/' ? base : apr_psprintf(pool, "/run/user/%lu", uid);
    if (uid == 0) return i == 0 ? "/run/cachefs" : NULL;
    if (i == 0) return apr_pstrcat(pool, own, "/cachefs", NULL);
    return i == 1 ? apr_psprintf(pool, "/tmp/cachefs-%lu", uid) : NULL;
}

const char *mount_socket_of(const char *point, unsigned long uid, int i, apr_pool_t *pool)
{
    size_t len = strlen(point);
    const char *dir = socket_dir(uid, i, pool);
    if (dir == NULL) return NULL;
    return apr_psprintf(pool, "%s/%08x%08x.sock", dir, vfs_path_hash(point, len),
                        vfs_path_hash(point + len / 2, len - len / 2));
}

static int is_private(const char *dir)
{
    struct stat st;
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) return 0;
    if (lstat(dir, &st) != 0) return 0;
    if (S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 022)) return 1;
    errno = EACCES; /* somebody else's, or open to others */
    return 0;
}

const char *mount_socket(const char *point, apr_pool_t *pool)
{
    const char *dir;
    for (int i = 0; (dir = socket_dir(geteuid(), i, pool)) != NULL; i++)
        if (is_private(dir)) return mount_socket_of(point, geteuid(), i, pool);
    return NULL;
}
