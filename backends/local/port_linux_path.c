/*
 * port_linux_path.c - from a path of the stack to a descriptor, never leaving the root. Floor 2,
 * Linux.
 *
 * 1. openat2 with RESOLVE_BENEATH and RESOLVE_NO_SYMLINKS: one call, and what it opens was reached
 * without a link.
 * 2. On ELOOP the same without RESOLVE_NO_SYMLINKS: the kernel follows relative links that stay
 * beneath the root.
 * 3. On EXDEV (an absolute link, or one that leads out) walk() follows the links itself, by their
 * texts, until it has a path without any; that one is opened as in 1. So a link that is swapped
 * meanwhile is at worst an ELOOP and another turn, and never a way out: walk() only finds names, it
 * is always openat2 that grants.
 */
#include "backends/local/port.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BENEATH (RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS)
#define DIRECTLY (BENEATH | RESOLVE_NO_SYMLINKS)
#define LINKS_MAX 40 /* as the kernel's */
#define TURNS_MAX 64 /* of a resolution that races with renames */

static int os_flags(uint32_t flags)
{
    int os = O_CLOEXEC | O_LARGEFILE;
    if (flags & VFS_O_NOFOLLOW) os |= O_NOFOLLOW;
    if (flags & VFS_O_DIRECTORY) os |= O_DIRECTORY;
    if (flags & PORT_O_PATH) return (os | O_PATH) & ~O_LARGEFILE;
    uint32_t both = flags & (VFS_O_READ | VFS_O_WRITE);
    os |= both == (VFS_O_READ | VFS_O_WRITE) ? O_RDWR : both == VFS_O_WRITE ? O_WRONLY : O_RDONLY;
    if ((flags & VFS_O_TRUNC) && (flags & VFS_O_WRITE)) os |= O_TRUNC;
    if (flags & VFS_O_APPEND) os |= O_APPEND;
    if (flags & VFS_O_SYNC) os |= O_SYNC;
    return os | O_NOCTTY | O_NONBLOCK; /* the open of a fifo must not wait for its other end */
}

/* Returns an errno value. */
static int open_once(int dir, const char *path, int os, uint32_t mode, uint64_t resolve, int *fd)
{
    struct open_how how;
    memset(&how, 0, sizeof(how));
    how.flags = (uint64_t)(unsigned)os;
    how.mode = mode;
    how.resolve = resolve;
    long got;
    do {
        got = syscall(SYS_openat2, dir, path, &how, sizeof(how));
    } while (got < 0 && errno == EINTR);
    if (got < 0) return errno;
    *fd = (int)got;
    return 0;
}

static int reopen(int fd, int os, int *out)
{
    char name[64];
    int got;
    (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", fd); /* always fits */
    do {
        got = open(name, os);
    } while (got < 0 && errno == EINTR);
    if (got < 0) return errno;
    *out = got;
    return 0;
}

apr_status_t port__reopen(int fd, uint32_t flags, int *out)
{
    return port__status(reopen(fd, os_flags(flags), out));
}

/* A lease is being broken (somebody exports the file): wait for that, but for a regular file only.
 */
static int open_leased(int dir, const char *path, uint32_t flags, uint64_t resolve, int *fd)
{
    int ref = -1;
    uint32_t ref_flags = PORT_O_PATH | (flags & (VFS_O_NOFOLLOW | VFS_O_DIRECTORY));
    int err = open_once(dir, path, os_flags(ref_flags), 0, resolve, &ref);
    if (err != 0) return err;
    struct stat st;
    err = fstat(ref, &st) != 0 ? errno : !S_ISREG(st.st_mode) ? EAGAIN : 0;
    if (err == 0) err = reopen(ref, os_flags(flags) & ~(O_NOFOLLOW | O_NONBLOCK), fd);
    (void)close(ref); /* only a reference */
    return err;
}

/* With ".." in a link the kernel answers EAGAIN when anything was renamed meanwhile. */
static int open_tries(int dir, const char *path, uint32_t flags, uint64_t resolve, int *fd)
{
    int err = EAGAIN;
    int tries = (resolve & RESOLVE_NO_SYMLINKS) ? 1 : TURNS_MAX;
    for (int i = 0; i < tries && err == EAGAIN; i++) {
        err = open_once(dir, path, os_flags(flags), 0, resolve, fd);
    }
    if (err == EAGAIN && (flags & PORT_O_PATH) == 0) {
        err = open_leased(dir, path, flags, resolve, fd);
    }
    return err;
}

/* ---- the walk */

typedef struct walk_t {
    const port_root_t *root;
    int follow; /* the last component too */
    int links;
    int must_dir; /* the last component had a '/' behind it */
    int last_is_link;
    size_t len;                  /* of out */
    size_t pos;                  /* where rest begins */
    char out[VFS_PATH_MAX + 1];  /* what is resolved, relative to the root: no links in it */
    char rest[VFS_PATH_MAX + 1]; /* what is not yet, kept at the end of the array */
} walk_t;

static int push_front(walk_t *w, const char *text, size_t len)
{
    if (len + 1 > w->pos) return ENAMETOOLONG;
    w->pos -= 1;
    w->rest[w->pos] = '/';
    w->pos -= len;
    memcpy(w->rest + w->pos, text, len);
    return 0;
}

/* Over slashes and "." components. */
static const char *next_name(const char *text)
{
    while (*text == '/' || (*text == '.' && (text[1] == '/' || text[1] == '\0')))
        text++;
    return text;
}

/* If the absolute `text` begins with `name`, by components, what follows; else NULL. */
static const char *strip(const char *text, const char *name)
{
    for (;;) {
        text = next_name(text);
        name = next_name(name);
        if (*name == '\0') return text;
        size_t n = strcspn(name, "/");
        if (strncmp(text, name, n) != 0 || (text[n] != '/' && text[n] != '\0')) return NULL;
        text += n;
        name += n;
    }
}

static void pop(walk_t *w)
{
    while (w->len > 0 && w->out[w->len - 1] != '/')
        w->len--;
    if (w->len > 0) w->len--;
    w->out[w->len] = '\0';
}

/* `link` stands at the end of out: its text takes its place before the rest. */
static int follow_link(walk_t *w, int link, int last)
{
    char text[VFS_PATH_MAX + 1];
    if (++w->links > LINKS_MAX) return ELOOP;
    ssize_t n = readlinkat(link, "", text, sizeof(text));
    if (n < 0) return errno;
    if (n > (ssize_t)VFS_PATH_MAX) return ENAMETOOLONG;
    text[n] = '\0';
    const char *target = text;
    pop(w);
    if (text[0] == '/') {
        target = strip(text, w->root->names[0]);
        if (target == NULL) target = strip(text, w->root->names[1]);
        if (target == NULL) return EACCES;
        w->len = 0;
        w->out[0] = '\0';
    }
    if (last && !w->must_dir) { /* no '/' of ours behind it: it would ask for a directory */
        size_t len = strlen(target);
        w->pos = sizeof(w->rest) - 1 - len;
        memcpy(w->rest + w->pos, target, len);
        return 0;
    }
    return push_front(w, target, strlen(target));
}

/* Look at what stands at the end of out. */
static int probe(walk_t *w, int last, int *missing)
{
    int fd = -1;
    uint32_t flags = PORT_O_PATH | VFS_O_NOFOLLOW;
    int err = open_once(w->root->fd, w->out, os_flags(flags), 0, DIRECTLY, &fd);
    if (err == ENOENT && last) {
        *missing = 1;
        return 0;
    }
    if (err != 0) return err == ELOOP ? EAGAIN : err; /* a link has come in meanwhile: again */
    struct stat st;
    err = fstat(fd, &st) == 0 ? 0 : errno;
    if (err == 0 && S_ISLNK(st.st_mode)) {
        if (last && !w->follow && !w->must_dir) {
            w->last_is_link = 1;
        } else {
            err = follow_link(w, fd, last);
        }
    } else if (err == 0 && !S_ISDIR(st.st_mode) && (!last || w->must_dir)) {
        err = ENOTDIR;
    }
    (void)close(fd); /* only a reference */
    return err;
}

static int append(walk_t *w, const char *name, size_t n)
{
    if (n > VFS_NAME_MAX) return ENAMETOOLONG;
    if (w->len + 1 + n > VFS_PATH_MAX) return ENAMETOOLONG;
    if (w->len > 0) w->out[w->len++] = '/';
    memcpy(w->out + w->len, name, n);
    w->len += n;
    w->out[w->len] = '\0';
    return 0;
}

/* One component from rest to out. */
static int step(walk_t *w, int *missing)
{
    const char *name = w->rest + w->pos;
    size_t n = strcspn(name, "/");
    size_t slashes = strspn(name + n, "/");
    int last = name[n + slashes] == '\0';
    w->pos += n + slashes;
    if (n == 0 || (n == 1 && name[0] == '.')) return 0;
    if (n == 2 && name[0] == '.' && name[1] == '.') {
        if (w->len == 0) return EACCES; /* out of the root */
        pop(w);
        return 0;
    }
    if (last) w->must_dir = slashes > 0;
    int err = append(w, name, n);
    return err != 0 ? err : probe(w, last, missing);
}

/* Resolve every link in `path`. Fills out; *missing: its last component does not exist. */
static int walk(walk_t *w, const port_root_t *root, const char *path, int follow, int *missing)
{
    int err = EAGAIN;
    for (int turn = 0; turn < TURNS_MAX && err == EAGAIN; turn++) {
        size_t len = strlen(path);
        w->root = root;
        w->follow = follow;
        w->links = w->must_dir = w->last_is_link = 0;
        w->len = 0;
        w->out[0] = '\0';
        w->rest[sizeof(w->rest) - 1] = '\0';
        w->pos = sizeof(w->rest) - 1 - len;
        memcpy(w->rest + w->pos, path, len);
        *missing = 0;
        err = 0;
        while (err == 0 && w->rest[w->pos] != '\0')
            err = step(w, missing);
    }
    return err;
}

static int open_walked(const port_root_t *root, const char *path, uint32_t flags, int *fd)
{
    walk_t w;
    int err = ELOOP;
    for (int turn = 0; turn < TURNS_MAX; turn++) {
        int missing;
        err = walk(&w, root, path, (flags & VFS_O_NOFOLLOW) == 0, &missing);
        if (err != 0) return err;
        if (w.must_dir) flags |= VFS_O_DIRECTORY;
        err = open_tries(root->fd, w.len > 0 ? w.out : ".", flags, DIRECTLY, fd);
        if (err != ELOOP || w.last_is_link) break;
    }
    return err;
}

/* ---- opening */

apr_status_t port__open(const port_root_t *root, const char *path, uint32_t flags, int *fd,
                        int *direct)
{
    const char *rel = path[1] != '\0' ? path + 1 : ".";
    *direct = 1;
    int err = open_tries(root->fd, rel, flags, DIRECTLY, fd);
    if (err == ELOOP) {
        *direct = 0;
        err = open_tries(root->fd, rel, flags, BENEATH, fd);
        if (err == EXDEV || err == EAGAIN) err = open_walked(root, path, flags, fd);
    }
    return port__status(err);
}

/* Split `path` (relative to the root) into a directory, written to dir, and the name at->name. */
static apr_status_t split(const char *path, char *dir, port_at_t *at)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    size_t len = strlen(name);
    if (len > VFS_NAME_MAX) return APR_ENAMETOOLONG;
    memcpy(at->name, name, len + 1);
    size_t dir_len = slash != NULL ? (size_t)(slash - path) : 0;
    dir[0] = '/';
    memcpy(dir + 1, path, dir_len);
    dir[1 + dir_len] = '\0';
    return APR_SUCCESS;
}

apr_status_t port__at_open(const port_root_t *root, const char *path, int follow, port_at_t *at)
{
    char dir[VFS_PATH_MAX + 2];
    at->fd = root->fd;
    at->owned = 0;
    at->direct = 0;
    apr_status_t status;
    int linked = 0;
    if (follow) {
        walk_t w;
        int missing;
        int err = walk(&w, root, path, 1, &missing);
        if (err == 0 && missing && w.must_dir) err = EISDIR;
        if (err != 0) return port__status(err);
        linked = w.links > 0;
        status = split(w.out, dir, at);
    } else {
        status = split(path + 1, dir, at);
    }
    at->direct = !linked;
    if (status != APR_SUCCESS || dir[1] == '\0') return status;
    int direct;
    status = port__open(root, dir, PORT_O_PATH | VFS_O_DIRECTORY, &at->fd, &direct);
    at->owned = status == APR_SUCCESS;
    at->direct = direct && !linked;
    return status;
}

void port__at_close(port_at_t *at)
{
    if (at->owned) port__close(at->fd);
    at->owned = 0;
}

apr_status_t port__create(const port_at_t *at, uint32_t flags, uint32_t mode, int *fd)
{
    int os = os_flags(flags) | O_CREAT | O_EXCL;
    return port__status(open_once(at->fd, at->name, os, mode & 07777u, DIRECTLY, fd));
}

apr_status_t port__openat(const port_at_t *at, uint32_t flags, int *fd)
{
    const char *name = at->name[0] != '\0' ? at->name : ".";
    return port__status(open_tries(at->fd, name, flags | VFS_O_NOFOLLOW, DIRECTLY, fd));
}

/* ---- the root */

/* `dir` from "/", without a look at links. */
static char *absolute(const char *dir)
{
    if (dir[0] == '/') return strdup(dir);
    char *cwd = getcwd(NULL, 0);
    char *name = NULL;
    if (cwd != NULL && asprintf(&name, "%s/%s", cwd, dir) < 0) name = NULL;
    free(cwd);
    return name;
}

apr_status_t port__root_open(port_root_t *root, const char *dir)
{
    int probe_fd = -1;
    memset(root, 0, sizeof(*root));
    root->fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root->fd < 0) return port__status(errno);
    apr_status_t status =
        port__status(open_once(root->fd, ".", os_flags(PORT_O_PATH), 0, DIRECTLY, &probe_fd));
    if (status == APR_SUCCESS) {
        port__close(probe_fd);
        root->names[0] = absolute(dir);
        root->names[1] = realpath(dir, NULL);
        if (root->names[0] == NULL || root->names[1] == NULL) status = port__status(errno);
    }
    root->uid = (uint32_t)geteuid();
    root->gid = (uint32_t)getegid();
    root->privileged = root->uid == 0;
    if (status != APR_SUCCESS) port__root_close(root);
    return status;
}

void port__root_close(port_root_t *root)
{
    port__close(root->fd);
    free(root->names[0]);
    free(root->names[1]);
}
