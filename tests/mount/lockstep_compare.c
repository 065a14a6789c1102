/*
 * lockstep_compare.c - are two answers, two trees the same? Floor 4.
 *
 * What may differ: numbers of inodes and devices (but which names are one file may not), what
 * directories take, ctime and atime, and a time that the clock gave: then both must be recent.
 */
#include "tests/mount/lockstep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define FILES_MAX 4096u

static int differs(char *why, size_t size, const char *what, long a, long b)
{
    (void)snprintf(why, size, "%s: %ld on the mount, %ld beside it", what, a, b);
    return 0;
}

int lockstep_same_attr(const struct stat *a, const struct stat *b, char *why, size_t size)
{
    const mode_t told = lockstep_lacks_it(LACKS_modes) ? S_IFMT : (mode_t)-1;
    if ((a->st_mode & told) != (b->st_mode & told))
        return differs(why, size, "mode (decimal)", (long)a->st_mode, (long)b->st_mode);
    if (a->st_nlink != b->st_nlink && !lockstep_lacks_it(LACKS_links))
        return differs(why, size, "links", (long)a->st_nlink, (long)b->st_nlink);
    if (a->st_uid != b->st_uid && told != S_IFMT)
        return differs(why, size, "user", a->st_uid, b->st_uid);
    if (a->st_gid != b->st_gid && told != S_IFMT)
        return differs(why, size, "group", a->st_gid, b->st_gid);
    if (!S_ISDIR(a->st_mode) && a->st_size != b->st_size)
        return differs(why, size, "size", (long)a->st_size, (long)b->st_size);
    if (S_ISDIR(a->st_mode) && lockstep_lacks_it(LACKS_dirtimes)) return 1;
    int old = a->st_mtim.tv_sec < LOCKSTEP_OLD || b->st_mtim.tv_sec < LOCKSTEP_OLD;
    if (old && a->st_mtim.tv_sec != b->st_mtim.tv_sec)
        return differs(why, size, "mtime", (long)a->st_mtim.tv_sec, (long)b->st_mtim.tv_sec);
    if (old && a->st_mtim.tv_nsec != b->st_mtim.tv_nsec && !lockstep_lacks_it(LACKS_nanoseconds))
        return differs(why, size, "mtime's ns", a->st_mtim.tv_nsec, b->st_mtim.tv_nsec);
    return 1;
}

static int same_bytes(const unsigned char *a, const unsigned char *b, size_t len, char *why,
                      size_t size)
{
    if (memcmp(a, b, len) == 0) return 1;
    size_t at = 0;
    while (a[at] == b[at])
        at++;
    (void)snprintf(why, size, "byte %zu of %zu: %u on the mount, %u beside it", at, len, a[at],
                   b[at]);
    return 0;
}

int lockstep_same_outcome(const outcome_t *a, const outcome_t *b, char *why, size_t size)
{
    if (a->error != b->error) {
        (void)snprintf(why, size, "\"%s\" on the mount, \"%s\" beside it", strerror(a->error),
                       strerror(b->error));
        return 0;
    }
    if (a->result != b->result) return differs(why, size, "result", a->result, b->result);
    if (a->len != b->len) return differs(why, size, "bytes", (long)a->len, (long)b->len);
    if (!same_bytes(a->buf, b->buf, a->len, why, size)) return 0;
    if (strcmp(a->text, b->text) != 0) {
        (void)snprintf(why, size, "\"%.180s\" on the mount, \"%.180s\" beside it", a->text,
                       b->text);
        return 0;
    }
    if (a->attr.st_mode == 0 && b->attr.st_mode == 0) return 1;
    return lockstep_same_attr(&a->attr, &b->attr, why, size);
}

/* ---- trees */

typedef struct trees_t {
    const char *root[2];
    char *path[FILES_MAX]; /* of what is to be looked at; "" first */
    ino_t ino[2][FILES_MAX];
    size_t count;
    unsigned char *buf[2];
    char *why;
    size_t size;
} trees_t;

static int is_ordinary(const struct dirent *entry)
{
    return strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
}

/* The names of a directory go to the end of the list. */
static long add_names(trees_t *trees, int side, const char *path, int counts_only)
{
    char dir_path[PATH_MAX];
    struct dirent *entry;
    long count = 0;
    (void)snprintf(dir_path, sizeof(dir_path), "%s%s", trees->root[side], path);
    DIR *dir = opendir(dir_path);
    if (dir == NULL) return -errno;
    while ((entry = readdir(dir)) != NULL) {
        if (!is_ordinary(entry)) continue;
        count++;
        if (counts_only || trees->count == FILES_MAX) continue;
        if (asprintf(&trees->path[trees->count], "%s/%s", path, entry->d_name) > 0) trees->count++;
    }
    (void)closedir(dir); /* only read */
    return count;
}

/* Which names are one file? */
static int same_file(trees_t *trees, size_t i, const struct stat *attr)
{
    for (int side = 0; side < 2; side++)
        trees->ino[side][i] = attr[side].st_ino;
    for (size_t j = 0; j < i; j++) {
        int one = trees->ino[0][j] == trees->ino[0][i],
            other = trees->ino[1][j] == trees->ino[1][i];
        if (one == other) continue;
        (void)snprintf(trees->why, trees->size, "%s is %s: one file only %s", trees->path[i],
                       trees->path[j], one ? "on the mount" : "beside it");
        return 0;
    }
    return 1;
}

static ssize_t read_whole(const char *path, unsigned char *buf)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -errno;
    ssize_t got = 0, all = 0;
    while (all < (ssize_t)LOCKSTEP_BYTES &&
           (got = read(fd, buf + all, LOCKSTEP_BYTES - (size_t)all)) > 0)
        all += got;
    int error = got < 0 ? errno : 0;
    (void)close(fd); /* only read */
    return error != 0 ? -error : all;
}

static int same_contents(trees_t *trees, char paths[2][PATH_MAX], mode_t mode)
{
    ssize_t len[2] = {0, 0};
    for (int side = 0; side < 2; side++)
        len[side] = S_ISLNK(mode) ? readlink(paths[side], (char *)trees->buf[side], LOCKSTEP_BYTES)
                                  : read_whole(paths[side], trees->buf[side]);
    if (len[0] != len[1]) return differs(trees->why, trees->size, "contents", len[0], len[1]);
    return len[0] <= 0 ||
           same_bytes(trees->buf[0], trees->buf[1], (size_t)len[0], trees->why, trees->size);
}

static int same_xattrs(trees_t *trees, char paths[2][PATH_MAX])
{
    static const char *const names[] = {"user.a", "user.b", "user.c"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        ssize_t len[2];
        for (int side = 0; side < 2; side++)
            len[side] = getxattr(paths[side], names[i], trees->buf[side], LOCKSTEP_BYTES);
        if (len[0] != len[1]) return differs(trees->why, trees->size, names[i], len[0], len[1]);
        if (len[0] > 0 &&
            !same_bytes(trees->buf[0], trees->buf[1], (size_t)len[0], trees->why, trees->size))
            return 0;
    }
    return 1;
}

static int same_entry(trees_t *trees, size_t i)
{
    char paths[2][PATH_MAX];
    struct stat attr[2];
    for (int side = 0; side < 2; side++) {
        (void)snprintf(paths[side], PATH_MAX, "%s%s", trees->root[side], trees->path[i]);
        if (lstat(paths[side], &attr[side]) == 0) continue;
        (void)snprintf(trees->why, trees->size, "%s: %s", paths[side], strerror(errno));
        return 0;
    }
    if (i != 0 && !lockstep_same_attr(&attr[0], &attr[1], trees->why, trees->size)) return 0;
    if (!same_file(trees, i, attr)) return 0;
    mode_t mode = attr[0].st_mode;
    if (S_ISDIR(mode)) {
        long one = add_names(trees, 0, trees->path[i], 0),
             other = add_names(trees, 1, trees->path[i], 1);
        if (one != other) return differs(trees->why, trees->size, "entries", one, other);
    }
    if ((S_ISREG(mode) || S_ISLNK(mode)) && !same_contents(trees, paths, mode)) return 0;
    return !(S_ISREG(mode) || S_ISDIR(mode)) || same_xattrs(trees, paths);
}

int lockstep_same_tree(const char *a, const char *b, char *why, size_t size)
{
    trees_t *trees = calloc(1, sizeof(*trees));
    int same = 1;
    if (trees == NULL) return 0;
    trees->root[0] = a;
    trees->root[1] = b;
    trees->why = why;
    trees->size = size;
    trees->buf[0] = malloc(LOCKSTEP_BYTES);
    trees->buf[1] = malloc(LOCKSTEP_BYTES);
    trees->path[trees->count++] = strdup("");
    for (size_t i = 0; same && i < trees->count; i++) {
        char said[400] = "";
        trees->why = said;
        trees->size = sizeof(said);
        same = same_entry(trees, i);
        if (!same) (void)snprintf(why, size, "in the tree, %s: %s", trees->path[i], said);
    }
    for (size_t i = 0; i < trees->count; i++)
        free(trees->path[i]);
    free(trees->buf[0]);
    free(trees->buf[1]);
    free(trees);
    return same;
}
