/*
 * mount_access.c - the access log of a mount: a line for each call of the kernel.
 * Floor 4, private to tools/. docs/mount.md has the format.
 *
 * Who serves a call puts its line into a buffer in memory, and no more: a thread of its own writes
 * the buffers. Where that is full, because the disk is slower than the calls are, a line is left
 * out and counted; how many were is said in the log itself. Only whole lines are in the file: what
 * was written of one when the disk was full is cut off again.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <apr_strings.h>

#include "tools/mount.h"

#define BUFFER_BYTES (1u << 20)
#define REST_US 200000 /* so long lines are gathered */
#define TEXT_MAX (3u * VFS_PATH_MAX + 1u)
#define LINE_MAX_BYTES (2u * TEXT_MAX + 256u)

static const char head[] = "# cachefs access log 1\n"
                           "time_us,op,path,offset,bytes,done,error,duration_us,uid,pid,to\n";

/* One mount a process. */
static struct {
    pthread_mutex_t mutex; /* guards what follows, to `stop` */
    pthread_cond_t wake;
    char *fill; /* whole lines; NULL: there was no log yet */
    size_t used;
    uint64_t lines, left_out; /* all told; lines that were taken in, and that were not */
    uint64_t left_out_now;    /* since it was said */
    int started, stop;
    pthread_t thread;
    mount_run_t *run;
    pthread_mutex_t file; /* taken first; guards the rest */
    char *spare;          /* the other buffer */
    char path[VFS_PATH_MAX + 1];
    int fd; /* -1: it is off */
    uint64_t size, size_max;
    int failing; /* that was said */
} log_ = {.mutex = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .file = PTHREAD_MUTEX_INITIALIZER,
          .fd = -1};

/* ---- lines */

/* What would end a column or a line, and %, as %XX. */
static size_t put_text(char *to, const char *text)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t at = 0;
    for (; *text != '\0' && at + 3 < TEXT_MAX; text++) {
        unsigned char c = (unsigned char)*text;
        if (c > ' ' && c < 127 && c != ',' && c != '"' && c != '%' && c != '#') {
            to[at++] = (char)c;
            continue;
        }
        to[at++] = '%';
        to[at++] = digits[c >> 4];
        to[at++] = digits[c & 15];
    }
    to[at] = '\0';
    return at;
}

static size_t make_line(char line[LINE_MAX_BYTES], const mount_access_t *access)
{
    char path[TEXT_MAX], to[TEXT_MAX];
    uint64_t took_us = 0;
    if (access->began_ns != 0 && access->ended_ns > access->began_ns)
        took_us = (access->ended_ns - access->began_ns) / 1000;
    uint64_t began_us = (uint64_t)apr_time_now() - took_us;
    if (access->path != NULL)
        (void)put_text(path, access->path);
    else
        (void)snprintf(path, sizeof(path), "ino:%" PRIu64, access->number);
    (void)put_text(to, access->to != NULL ? access->to : "");
    int len = snprintf(line, LINE_MAX_BYTES,
                       "%" PRIu64 ",%s,%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%d,%" PRIu64
                       ",%u,%" PRId64 ",%s\n",
                       began_us, access->op, path, access->offset, access->bytes, access->done,
                       access->error, took_us, (unsigned)access->uid, access->pid, to);
    return len > 0 && (size_t)len < LINE_MAX_BYTES ? (size_t)len : 0;
}

void mount_access_line(void *baton, const mount_access_t *access)
{
    char line[LINE_MAX_BYTES];
    size_t len = make_line(line, access);
    (void)baton;
    (void)pthread_mutex_lock(&log_.mutex);
    if (log_.fill != NULL && len > 0 && log_.used + len <= BUFFER_BYTES) {
        memcpy(log_.fill + log_.used, line, len);
        if (log_.used == 0 || (log_.used < BUFFER_BYTES / 2 && log_.used + len >= BUFFER_BYTES / 2))
            (void)pthread_cond_signal(&log_.wake);
        log_.used += len;
        log_.lines++;
    } else {
        log_.left_out++;
        log_.left_out_now++;
    }
    (void)pthread_mutex_unlock(&log_.mutex);
}

/* ---- the file; its mutex is held */

/* NULL, or what is wrong; then the log is as it was. */
static const char *open_file(const char *path, char *why, size_t size)
{
    struct stat st;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
    const char *wrong = fd < 0 ? strerror(errno) : NULL;
    if (wrong == NULL && fstat(fd, &st) != 0) wrong = strerror(errno);
    if (wrong == NULL && !S_ISREG(st.st_mode)) wrong = "it is no file";
    int same = wrong == NULL && log_.fd >= 0 && strcmp(path, log_.path) == 0;
    if (wrong == NULL && !same && flock(fd, LOCK_EX | LOCK_NB) != 0)
        wrong = errno == EWOULDBLOCK ? "another mount writes to it" : strerror(errno);
    if (wrong == NULL && st.st_size == 0 && write(fd, head, sizeof(head) - 1) < 0)
        wrong = strerror(errno);
    if (wrong != NULL) {
        (void)snprintf(why, size, "%s: %s", path, wrong);
        if (fd >= 0) (void)close(fd); /* nothing was written */
        return why;
    }
    if (log_.fd >= 0) (void)close(log_.fd);       /* each write told how it went */
    if (same) (void)flock(fd, LOCK_EX | LOCK_NB); /* it was ours */
    log_.fd = fd;
    log_.size = st.st_size > 0 ? (uint64_t)st.st_size : sizeof(head) - 1;
    log_.failing = 0;
    if (!same) (void)apr_cpystrn(log_.path, path, sizeof(log_.path));
    return NULL;
}

static void say(const char *what)
{
    char line[VFS_PATH_MAX + 512];
    (void)snprintf(line, sizeof(line), "%s", what);
    mount_say(log_.run->cli, 1, line);
}

/* FILE becomes FILE.1; what was that is gone. */
static void rotate(void)
{
    char old[VFS_PATH_MAX + 4], why[VFS_PATH_MAX + 256];
    (void)snprintf(old, sizeof(old), "%s.1", log_.path);
    if (rename(log_.path, old) != 0) {
        (void)snprintf(why, sizeof(why), "access_log %s: %s", log_.path, strerror(errno));
        log_.size = 0; /* not at each line again */
        say(why);
        return;
    }
    const char *wrong = open_file(log_.path, why, sizeof(why));
    log_.size = wrong != NULL ? 0 : log_.size; /* the old one goes on under its new name */
    if (wrong != NULL) say(wrong);
}

/* 0, or an errno: then nothing of it is there. */
static int write_whole(const char *bytes, size_t len)
{
    off_t before = lseek(log_.fd, 0, SEEK_END);
    size_t done = 0;
    while (done < len) {
        ssize_t got = write(log_.fd, bytes + done, len - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            int error = errno;
            if (done > 0 && before >= 0) (void)ftruncate(log_.fd, before); /* see `error` */
            return error;
        }
        done += (size_t)got;
    }
    log_.size += len;
    return 0;
}

/* How many lines are in these bytes? */
static uint64_t lines_of(const char *bytes, size_t len)
{
    uint64_t lines = 0;
    for (const char *end = bytes + len; (bytes = memchr(bytes, '\n', (size_t)(end - bytes)));)
        bytes++, lines++;
    return lines;
}

static void leave_out(uint64_t lines, int taken_in)
{
    (void)pthread_mutex_lock(&log_.mutex);
    if (taken_in) log_.lines -= lines;
    if (taken_in) log_.left_out += lines;
    log_.left_out_now += lines;
    (void)pthread_mutex_unlock(&log_.mutex);
}

static void failed(int error, uint64_t lines)
{
    char why[VFS_PATH_MAX + 256];
    leave_out(lines, 1);
    (void)snprintf(why, sizeof(why), "access_log %s: %s; lines are left out", log_.path,
                   strerror(error));
    if (!log_.failing) say(why);
    log_.failing = 1;
}

/* What is in the buffer, as far as it was when this began. */
static void drain(void)
{
    char note[80];
    (void)pthread_mutex_lock(&log_.mutex);
    char *bytes = log_.fill;
    size_t len = log_.used;
    uint64_t left_out = log_.left_out_now;
    log_.fill = log_.spare;
    log_.spare = bytes;
    log_.used = 0;
    log_.left_out_now = 0;
    (void)pthread_mutex_unlock(&log_.mutex);
    if (log_.fd < 0 || (len == 0 && left_out == 0)) return;
    if (log_.size_max != 0 && log_.size >= log_.size_max) rotate();
    int error = len > 0 ? write_whole(bytes, len) : 0;
    if (error != 0) failed(error, lines_of(bytes, len));
    (void)snprintf(note, sizeof(note), "# %" PRIu64 " lines were left out here\n", left_out);
    if (error == 0 && left_out > 0) error = write_whole(note, strlen(note));
    if (error != 0 && left_out > 0) leave_out(left_out, 0); /* it is said later */
    if (error == 0) log_.failing = 0;
}

static void *write_lines(void *baton)
{
    int over = 0;
    while (!over) {
        (void)pthread_mutex_lock(&log_.mutex);
        while (log_.used == 0 && !log_.stop)
            (void)pthread_cond_wait(&log_.wake, &log_.mutex);
        apr_time_t until_us = apr_time_now() + REST_US;
        struct timespec until = {until_us / 1000000, until_us % 1000000 * 1000};
        if (log_.used < BUFFER_BYTES / 2 && !log_.stop)
            (void)pthread_cond_timedwait(&log_.wake, &log_.mutex, &until);
        over = log_.stop;
        (void)pthread_mutex_unlock(&log_.mutex);
        (void)pthread_mutex_lock(&log_.file);
        drain();
        (void)pthread_mutex_unlock(&log_.file);
    }
    return baton;
}

/* ---- on, off */

/* A log in the mount itself would tell of its own lines. */
static int is_within(const char *path, const char *point)
{
    char dir[VFS_PATH_MAX + 1], real[VFS_PATH_MAX + 1];
    (void)apr_cpystrn(dir, path, sizeof(dir));
    char *slash = strrchr(dir, '/');
    slash[slash == dir ? 1 : 0] = '\0';
    size_t len = strlen(point);
    if (strncmp(dir, point, len) == 0 && (dir[len] == '/' || dir[len] == '\0')) return 1;
    return realpath(dir, real) != NULL && strncmp(real, point, len) == 0 &&
           (real[len] == '/' || real[len] == '\0');
}

static int start_writer(mount_run_t *run)
{
    if (log_.started) return 1;
    log_.run = run;
    char *fill = malloc(BUFFER_BYTES);
    log_.spare = malloc(BUFFER_BYTES);
    if (fill != NULL && log_.spare != NULL) {
        log_.fill = fill; /* nobody is heard of yet */
        log_.started = pthread_create(&log_.thread, NULL, write_lines, NULL) == 0;
    }
    if (log_.started) return 1;
    log_.fill = NULL;
    free(fill);
    free(log_.spare);
    return 0;
}

static const char *turn_on(mount_run_t *run, const char *path, char *why, size_t size)
{
    if (path[0] != '/') return "access_log is off, or the whole path of a file, from / on";
    if (strlen(path) + 3 > VFS_PATH_MAX) return "access_log: the path is too long";
    if (is_within(path, run->point)) return "access_log must not lie in the mount itself";
    if (!start_writer(run)) return "out of memory";
    drain(); /* into the old one */
    const char *wrong = open_file(path, why, size);
    if (wrong == NULL) mount_set_access(run->mount, 1);
    return wrong;
}

const char *mount_access_set(mount_run_t *run, const char *path, char *why, size_t size)
{
    const char *wrong = NULL;
    (void)pthread_mutex_lock(&log_.file);
    log_.size_max = run->cli->opt.access_log_bytes;
    if (strcmp(path, "off") != 0) {
        wrong = turn_on(run, path, why, size);
    } else if (log_.fd >= 0) {
        mount_set_access(run->mount, 0);
        drain();
        (void)close(log_.fd); /* each write told how it went */
        log_.fd = -1;
    }
    (void)pthread_mutex_unlock(&log_.file);
    return wrong;
}

void mount_access_get(char *path, size_t size)
{
    (void)pthread_mutex_lock(&log_.file);
    (void)apr_cpystrn(path, log_.fd >= 0 ? log_.path : "off", size);
    (void)pthread_mutex_unlock(&log_.file);
}

void mount_access_counts(uint64_t *lines, uint64_t *left_out)
{
    (void)pthread_mutex_lock(&log_.mutex);
    *lines = log_.lines;
    *left_out = log_.left_out;
    (void)pthread_mutex_unlock(&log_.mutex);
}

void mount_access_end(void)
{
    if (!log_.started) return;
    (void)pthread_mutex_lock(&log_.mutex);
    log_.stop = 1;
    (void)pthread_cond_signal(&log_.wake);
    (void)pthread_mutex_unlock(&log_.mutex);
    (void)pthread_join(log_.thread, NULL);  /* it has nothing to say */
    if (log_.fd >= 0) (void)close(log_.fd); /* each write told how it went */
    log_.fd = -1;
    free(log_.fill);
    free(log_.spare);
    log_.fill = log_.spare = NULL;
    log_.started = 0;
}
