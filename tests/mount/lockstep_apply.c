/*
 * lockstep_apply.c - does one step in one directory. Floor 4.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "tests/mount/lockstep.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PAGE 4096u
#define ENTRIES_MAX 256u

typedef void (*apply_fn)(side_t *side, const step_t *step);

/* ---- answers */

static void answer(side_t *side, long result)
{
    side->outcome.result = result;
    side->outcome.error = result < 0 ? errno : 0;
}

/* The same, and it brought bytes. */
static void answer_bytes(side_t *side, long result)
{
    answer(side, result);
    side->outcome.len = result > 0 ? (size_t)result : 0;
}

static const char *whole(const side_t *side, const char *path, char *text)
{
    (void)snprintf(text, PATH_MAX, "%s/%s", side->base, path);
    return text;
}

/* Direct calls want whole pages. */
static uint64_t off_of(const side_t *side, const step_t *step)
{
    return side->direct[step->slot] ? step->off / PAGE * PAGE : step->off;
}

static size_t len_of(const side_t *side, const step_t *step)
{
    return side->direct[step->slot] ? (step->len + PAGE - 1) / PAGE * PAGE : step->len;
}

/* ---- descriptors */

/* Only files of bytes stay open. */
static void keep(side_t *side, const step_t *step, int fd)
{
    struct stat attr;
    answer(side, fd < 0 ? -1 : 0);
    if (fd < 0) return;
    if (fstat(fd, &attr) != 0 || !S_ISREG(attr.st_mode)) {
        (void)close(fd);
        return;
    }
    if (side->fd[step->slot] >= 0) (void)close(side->fd[step->slot]); /* `close` compares that */
    side->fd[step->slot] = fd;
    side->direct[step->slot] = (step->flags & O_DIRECT) != 0;
}

static void apply_open(side_t *side, const step_t *step)
{
    char path[PATH_MAX];
    keep(side, step, open(whole(side, step->path, path), (int)step->flags | O_CLOEXEC, step->mode));
}

/* A file without a name can be opened again for what it is open for. */
static unsigned reopen_flags(int fd, unsigned flags)
{
    struct stat attr;
    flags &= ~(unsigned)(O_CREAT | O_EXCL | O_NOFOLLOW | O_DIRECTORY);
    if (fstat(fd, &attr) != 0 || attr.st_nlink != 0) return flags;
    flags &= ~(unsigned)(O_TRUNC | O_ACCMODE);
    return flags | ((unsigned)fcntl(fd, F_GETFL) & O_ACCMODE);
}

/* Of what another slot has, whatever its name is now. */
static void apply_reopen(side_t *side, const step_t *step)
{
    char path[64];
    unsigned flags = reopen_flags(side->fd[step->slot], step->flags);
    step_t now = *step;
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", side->fd[step->slot]);
    int fd = open(path, (int)flags | O_CLOEXEC);
    now.slot = step->slot2;
    keep(side, &now, fd);
}

static void apply_close(side_t *side, const step_t *step)
{
    answer(side, close(side->fd[step->slot]));
    side->fd[step->slot] = -1;
}

static void apply_pread(side_t *side, const step_t *step)
{
    answer_bytes(side, pread(side->fd[step->slot], side->outcome.buf, len_of(side, step),
                             (off_t)off_of(side, step)));
}

static void apply_pwrite(side_t *side, const step_t *step)
{
    model_bytes(side->outcome.buf, len_of(side, step), step->seed);
    answer(side, pwrite(side->fd[step->slot], side->outcome.buf, len_of(side, step),
                        (off_t)off_of(side, step)));
}

/* At the cursor, which need not be where direct calls want it. */
static void apply_read(side_t *side, const step_t *step)
{
    if (side->direct[step->slot]) {
        apply_pread(side, step);
        return;
    }
    answer_bytes(side, read(side->fd[step->slot], side->outcome.buf, step->len));
}

static void apply_write(side_t *side, const step_t *step)
{
    if (side->direct[step->slot]) {
        apply_pwrite(side, step);
        return;
    }
    model_bytes(side->outcome.buf, step->len, step->seed);
    answer(side, write(side->fd[step->slot], side->outcome.buf, step->len));
    if (lseek(side->fd[step->slot], 0, SEEK_CUR) > (off_t)LOCKSTEP_BYTES / 2)
        (void)lseek(side->fd[step->slot], 0, SEEK_SET); /* files stay short */
}

/* Where a hole begins is the file system's choice; that it is one is not: from there to the next
 * data all has to be zero, as it has from `off` to the data. */
static void seek_hole(side_t *side, const step_t *step, int fd)
{
    off_t size = lseek(fd, 0, SEEK_END);
    off_t at = lseek(fd, (off_t)step->off, (int)step->flags);
    int error = errno;
    outcome_t *out = &side->outcome;
    (void)lseek(fd, 0, SEEK_SET); /* the same place on both sides */
    off_t from = step->flags == SEEK_HOLE ? at : (off_t)step->off;
    off_t to = step->flags == SEEK_HOLE ? lseek(fd, at, SEEK_DATA) : at;
    (void)lseek(fd, 0, SEEK_SET); /* likewise */
    out->result = 0;
    if ((off_t)step->off >= size) {
        out->result = at;
        out->error = error;
        return;
    }
    if (at < 0 && (step->flags == SEEK_HOLE || error != ENXIO)) out->result = -error;
    if (at >= 0 && (at < (off_t)step->off || at > size)) out->result = -EPROTO;
    if (to < 0) to = size; /* there is no data behind it */
    if (from < 0 || to > (off_t)LOCKSTEP_BYTES || to <= from) return;
    ssize_t got = pread(fd, out->buf, (size_t)(to - from), from);
    for (ssize_t i = 0; i < got; i++)
        if (out->buf[i] != 0) out->result = -EPROTO;
}

static void apply_lseek(side_t *side, const step_t *step)
{
    int fd = side->fd[step->slot];
    if (step->flags == SEEK_DATA || step->flags == SEEK_HOLE) {
        int readable = (fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY;
        if (readable && !side->direct[step->slot]) seek_hole(side, step, fd);
        return;
    }
    off_t off = step->flags == SEEK_SET ? (off_t)step->off : -(off_t)(step->off / 8);
    answer(side, lseek(fd, off, (int)step->flags));
}

/* ---- mapped memory */

/* The range of the step that the file has. 0: none. */
static int map_range(int fd, const step_t *step, off_t *off, size_t *len)
{
    struct stat attr;
    if (fstat(fd, &attr) != 0 || attr.st_size == 0) return 0;
    *off = (off_t)(step->off % (uint64_t)attr.st_size);
    *len = (size_t)(attr.st_size - *off) < step->len ? (size_t)(attr.st_size - *off) : step->len;
    return 1;
}

static void map(side_t *side, const step_t *step, int writes)
{
    off_t off = 0;
    size_t len = 0;
    int fd = side->fd[step->slot];
    if (!map_range(fd, step, &off, &len)) return;
    off_t start = off / (off_t)PAGE * (off_t)PAGE;
    size_t head = (size_t)(off - start);
    unsigned char *memory =
        mmap(NULL, head + len, PROT_READ | (writes ? PROT_WRITE : 0), MAP_SHARED, fd, start);
    answer(side, memory == MAP_FAILED ? -1 : 0);
    if (memory == MAP_FAILED) return;
    if (writes) {
        model_bytes(memory + head, len, step->seed);
        answer(side, msync(memory, head + len, MS_SYNC));
    } else {
        memcpy(side->outcome.buf, memory + head, len);
        side->outcome.len = len;
    }
    (void)munmap(memory, head + len); /* it is one */
}

static void apply_mapread(side_t *side, const step_t *step)
{
    map(side, step, 0);
}

static void apply_mapwrite(side_t *side, const step_t *step)
{
    map(side, step, 1);
}

/* ---- sizes and ranges */

static void apply_ftruncate(side_t *side, const step_t *step)
{
    answer(side, ftruncate(side->fd[step->slot], (off_t)step->off));
}

static void apply_truncate(side_t *side, const step_t *step)
{
    char path[PATH_MAX];
    answer(side, truncate(whole(side, step->path, path), (off_t)step->off));
}

static void apply_fallocate(side_t *side, const step_t *step)
{
    int fd = side->fd[step->slot];
    int got = fallocate(fd, (int)step->flags, (off_t)step->off, (off_t)step->len);
    answer(side, got);
    if (got == 0 && lockstep_lacks_it(LACKS_reserving)) (void)futimens(fd, NULL); /* on both */
}

/* How much one call copies is the system's choice. */
static void apply_copyrange(side_t *side, const step_t *step)
{
    off_t from = (off_t)step->off, to = (off_t)step->off2;
    size_t left = step->len;
    ssize_t got = 0;
    while (left > 0) {
        got = copy_file_range(side->fd[step->slot], &from, side->fd[step->slot2], &to, left, 0);
        if (got <= 0) break;
        left -= (size_t)got;
    }
    answer(side, got < 0 ? got : (long)(step->len - left));
}

static void apply_fsync(side_t *side, const step_t *step)
{
    int fd = side->fd[step->slot];
    answer(side, step->flags & 1 ? fsync(fd) : fdatasync(fd));
}

/* ---- attributes */

static void apply_fstat(side_t *side, const step_t *step)
{
    answer(side, fstat(side->fd[step->slot], &side->outcome.attr));
}

static void apply_lstat(side_t *side, const step_t *step)
{
    char path[PATH_MAX];
    answer(side, step->flags & 1 ? stat(whole(side, step->path, path), &side->outcome.attr)
                                 : lstat(whole(side, step->path, path), &side->outcome.attr));
    if (side->outcome.result < 0) side->outcome.attr.st_mode = 0;
}

static void apply_access(side_t *side, const step_t *step)
{
    char path[PATH_MAX];
    static const int ways[] = {R_OK, W_OK, X_OK, F_OK};
    answer(side,
           faccessat(AT_FDCWD, whole(side, step->path, path), ways[step->flags % 4], AT_EACCESS));
}

static void apply_chmod(side_t *side, const step_t *step)
{
    char path[PATH_MAX];
    answer(side, chmod(whole(side, step->path, path), step->mode));
}

static void apply_fchmod(side_t *side, const step_t *step)
{
    answer(side, fchmod(side->fd[step->slot], step->mode));
}

static void apply_chown(side_t *side, const step_t *step)
{
    char path[PATH_MAX];
    static const uid_t ids[] = {0, 1234, 1235, (uid_t)-1};
    answer(side, lchown(whole(side, step->path, path), ids[step->flags % 4], ids[step->seed % 4]));
}

/* Times long ago, so that one who forgets to set the present one is found. */
static const struct timespec *times_of(const step_t *step, struct timespec *times)
{
    for (int i = 0; i < 2; i++) {
        times[i].tv_sec = (time_t)(1000000000 + step->seed);
        times[i].tv_nsec = (long)(step->seed * 977 % 1000000000);
        if (lockstep_lacks_it(LACKS_nanoseconds)) times[i].tv_nsec = 0;
    }
    if (step->flags & 1) times[0].tv_nsec = UTIME_OMIT;
    if (step->flags == 2) times[1].tv_nsec = UTIME_NOW;
    return step->flags == 3 ? NULL : times;
}

static void apply_utimens(side_t *side, const step_t *step)
{
    char path[PATH_MAX];
    struct timespec times[2];
    answer(side, utimensat(AT_FDCWD, whole(side, step->path, path), times_of(step, times),
                           AT_SYMLINK_NOFOLLOW));
}

static void apply_futimens(side_t *side, const step_t *step)
{
    struct timespec times[2];
    answer(side, futimens(side->fd[step->slot], times_of(step, times)));
}

/* ---- names */

static void apply_rename(side_t *side, const step_t *step)
{
    char from[PATH_MAX], to[PATH_MAX];
    lockstep_let_go(side, whole(side, step->path2, to));
    answer(side, renameat2(AT_FDCWD, whole(side, step->path, from), AT_FDCWD, to, step->flags));
}

static void apply_link(side_t *side, const step_t *step)
{
    char from[PATH_MAX], to[PATH_MAX];
    answer(side, linkat(AT_FDCWD, whole(side, step->path, from), AT_FDCWD,
                        whole(side, step->path2, to), step->flags & 1 ? AT_SYMLINK_FOLLOW : 0));
}

static void apply_symlink(side_t *side, const step_t *step)
{
    static const char *const targets[] = {"a",   "b",     "d",      "s",     "d/a",
                                          "d/s", "e/./b", "d/../c", "none/x"};
    char path[PATH_MAX];
    answer(side, symlink(targets[step->seed % (sizeof(targets) / sizeof(targets[0]))],
                         whole(side, step->path, path)));
}

static void apply_readlink(side_t *side, const step_t *step)
{
    char path[PATH_MAX];
    answer_bytes(side,
                 readlink(whole(side, step->path, path), (char *)side->outcome.buf, LOCKSTEP_TEXT));
}

static void apply_unlink(side_t *side, const step_t *step)
{
    char path[PATH_MAX];
    lockstep_let_go(side, whole(side, step->path, path));
    answer(side, unlink(path));
}

static void apply_mkdir(side_t *side, const step_t *step)
{
    char path[PATH_MAX];
    answer(side, mkdir(whole(side, step->path, path), step->mode | 0500));
}

static void apply_rmdir(side_t *side, const step_t *step)
{
    char path[PATH_MAX];
    answer(side, rmdir(whole(side, step->path, path)));
}

static void apply_mkfifo(side_t *side, const step_t *step)
{
    char path[PATH_MAX];
    answer(side, mkfifo(whole(side, step->path, path), step->mode));
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int type_of(DIR *dir, const struct dirent *entry)
{
    struct stat st;
    if (!lockstep_lacks_it(LACKS_types)) return entry->d_type;
    if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0) return -1;
    return IFTODT(st.st_mode);
}

/* Names with their types, in order. */
static void apply_readdir(side_t *side, const step_t *step)
{
    char path[PATH_MAX], *lines[ENTRIES_MAX];
    size_t count = 0, at = 0;
    struct dirent *entry;
    DIR *dir = opendir(whole(side, step->path, path));
    answer(side, dir != NULL ? 0 : -1);
    if (dir == NULL) return;
    while ((errno = 0, entry = readdir(dir)) != NULL && count < ENTRIES_MAX)
        if (asprintf(&lines[count], "%s:%d ", entry->d_name, type_of(dir, entry)) > 0) count++;
    answer(side, errno != 0 ? -1 : (long)count);
    (void)closedir(dir); /* only read */
    qsort(lines, count, sizeof(lines[0]), by_text);
    for (size_t i = 0; i < count; i++) {
        at += (size_t)snprintf(side->outcome.text + at, LOCKSTEP_TEXT - at, "%s", lines[i]);
        free(lines[i]);
    }
}

/* ---- extended attributes */

static const char *xattr_of(const step_t *step)
{
    static const char *const names[] = {"user.a", "user.b", "user.c"};
    return names[step->seed % 3];
}

static void apply_setxattr(side_t *side, const step_t *step)
{
    char path[PATH_MAX];
    unsigned char value[200];
    size_t len = step->len % (sizeof(value) + 1);
    model_bytes(value, sizeof(value), step->seed);
    answer(side,
           setxattr(whole(side, step->path, path), xattr_of(step), value, len, (int)step->flags));
}

static void apply_getxattr(side_t *side, const step_t *step)
{
    char path[PATH_MAX];
    size_t room = step->flags == 0 ? 0 : step->flags == 1 ? 10 : 1000;
    answer(side, getxattr(whole(side, step->path, path), xattr_of(step), side->outcome.buf, room));
    if (room != 0 && side->outcome.result > 0) side->outcome.len = (size_t)side->outcome.result;
}

static void apply_listxattr(side_t *side, const step_t *step)
{
    char path[PATH_MAX];
    ssize_t len =
        listxattr(whole(side, step->path, path), (char *)side->outcome.buf, LOCKSTEP_TEXT);
    answer(side, len); /* in which order is the file system's choice */
}

static void apply_removexattr(side_t *side, const step_t *step)
{
    char path[PATH_MAX];
    answer(side, removexattr(whole(side, step->path, path), xattr_of(step)));
}

/* ---- all */

static const apply_fn applies[] = {
#define X(name, weight) apply_##name,
    LOCKSTEP_KINDS(X)
#undef X
};

static int uses_slot(lockstep_kind_e kind)
{
    static const lockstep_kind_e kinds[] = {
        LOCKSTEP_reopen, LOCKSTEP_close,    LOCKSTEP_pread,     LOCKSTEP_pwrite,
        LOCKSTEP_read,   LOCKSTEP_write,    LOCKSTEP_lseek,     LOCKSTEP_mapread,
        LOCKSTEP_fstat,  LOCKSTEP_mapwrite, LOCKSTEP_ftruncate, LOCKSTEP_fallocate,
        LOCKSTEP_fsync,  LOCKSTEP_fchmod,   LOCKSTEP_futimens,  LOCKSTEP_copyrange};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i] == kind) return 1;
    return 0;
}

int lockstep_apply(side_t *side, const step_t *step)
{
    outcome_t *out = &side->outcome;
    out->result = 0;
    out->error = 0;
    out->len = 0;
    out->attr.st_mode = 0;
    out->text[0] = '\0';
    if (uses_slot(step->kind) && side->fd[step->slot] < 0) return 0;
    if (step->kind == LOCKSTEP_copyrange &&
        (side->fd[step->slot2] < 0 || side->direct[step->slot] || side->direct[step->slot2]))
        return 0; /* direct copies want whole pages, where the file system says so */
    unsigned user = uses_slot(step->kind) ? 0 : step->user;
    (void)setfsgid(user); /* these cannot fail for root */
    (void)setfsuid(user);
    applies[step->kind](side, step);
    (void)setfsuid(0);
    (void)setfsgid(0);
    return 1;
}
