/*
 * mount_log.c - the messages of a mount: by level, and not more than somebody can read.
 * Floor 4, private to tools/.
 *
 * Errors are always shown. Of other lines LINES_MAX are within WINDOW_US; the rest are only
 * counted, and the next line that is shown tells how many there were. So an origin that fails all
 * calls fills no disk.
 */
#include <fcntl.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "tools/mount.h"

#define LINES_MAX 50u
#define WINDOW_US 10000000

static const char *const names[] = {"error", "warning", "info"};

static struct {
    pthread_mutex_t mutex; /* guards what follows */
    apr_time_t began_us;   /* of the window */
    unsigned lines;        /* shown in it */
    unsigned long long left_out;
} window = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static atomic_int to_log;       /* nobody looks at standard error any more */
static atomic_int log_most = 2; /* the last level that is shown */

int mount_log_set(const char *name)
{
    for (int i = 0; i < (int)(sizeof(names) / sizeof(names[0])); i++) {
        if (strcmp(name, names[i]) != 0) continue;
        atomic_store(&log_most, i);
        return 1;
    }
    return 0;
}

const char *mount_log_get(void)
{
    return names[atomic_load(&log_most)];
}

/* Who reads what the command printed until its end shall not wait for that of the mount; only what
 * a sanitizer has to say must not get lost. */
static void let_go_of_errors(void)
{
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd < 0) return;
    (void)dup2(fd, STDERR_FILENO); /* it is there */
    if (fd > STDERR_FILENO) (void)close(fd);
#endif
}

void mount_say_to_log(void)
{
    openlog("cachefs", LOG_PID, LOG_DAEMON);
    atomic_store(&to_log, 1);
    let_go_of_errors();
}

static void put(const cli_t *cli, int level, const char *line)
{
    static const int levels[] = {LOG_ERR, LOG_WARNING, LOG_INFO};
    if (atomic_load(&to_log))
        syslog(levels[level], "%s: %s", names[level], line);
    else if (level < 2)
        cli_error(cli, "%s", line);
    else
        cli_note(cli, "%s", line);
}

/* 0: too many came. `left_out` receives how many were since the last that was not. */
static int is_its_turn(unsigned long long *left_out)
{
    apr_time_t now_us = apr_time_now();
    *left_out = 0;
    (void)pthread_mutex_lock(&window.mutex);
    if (now_us - window.began_us > WINDOW_US || now_us < window.began_us) {
        window.began_us = now_us;
        window.lines = 0;
    }
    int shown = window.lines < LINES_MAX;
    if (shown) {
        window.lines++;
        *left_out = window.left_out;
        window.left_out = 0;
    } else {
        window.left_out++;
    }
    (void)pthread_mutex_unlock(&window.mutex);
    return shown;
}

void mount_say(void *baton, int level, const char *line)
{
    char note[80];
    unsigned long long left_out = 0;
    if (level > 2) level = 2;
    if (level > atomic_load(&log_most)) return;
    if (level > 0 && !is_its_turn(&left_out)) return;
    if (level > 0 && left_out > 0) {
        (void)snprintf(note, sizeof(note), "%llu messages were left out", left_out);
        put(baton, 1, note);
    }
    put(baton, level, line);
}
