/*
 * progress.c - a line that tells how far a verb is, on a terminal only.
 * Floor 4, private to tools/. Standard error, at most ten times a second.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tools/cli.h"

#define REDRAW_NS 100000000u
#define BAR_WIDTH 24

struct cli_progress_t {
    pthread_mutex_t lock; /* guards the rest */
    const char *what;
    const char *things; /* that are counted */
    const char *parts;  /* of them; NULL: bytes */
    uint64_t files, files_done, bytes_done;
    uint64_t started_ns, drawn_ns;
};

cli_progress_t *cli_progress_start(cli_t *cli, const char *what, uint64_t files)
{
    if (cli->opt.quiet || !isatty(STDERR_FILENO) || files == 0) return NULL;
    cli_progress_t *progress = calloc(1, sizeof(*progress));
    if (progress == NULL) return NULL; /* then there is no bar */
    (void)pthread_mutex_init(&progress->lock, NULL);
    progress->what = what;
    progress->things = "files";
    progress->files = files;
    progress->started_ns = cli_now_ns();
    return progress;
}

void cli_progress_units(cli_progress_t *progress, const char *things, const char *parts)
{
    if (progress == NULL) return;
    progress->things = things;
    progress->parts = parts;
}

static unsigned terminal_width(void)
{
    struct winsize size;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) return 80;
    return size.ws_col;
}

static void draw(cli_progress_t *progress, uint64_t now)
{
    char bar[BAR_WIDTH + 1], total[32], rate[32], left[32] = "", line[256];
    double share = (double)progress->files_done / (double)progress->files;
    double seconds = (double)(now - progress->started_ns) / 1e9;
    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = (double)i < share * BAR_WIDTH ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    double done = (double)progress->bytes_done;
    double each_second = seconds > 0 ? done / seconds : 0;
    if (progress->parts == NULL) {
        cli_show_bytes(total, sizeof(total), done);
        cli_show_bytes(rate, sizeof(rate), each_second);
    } else {
        (void)snprintf(total, sizeof(total), "%.1f M %s", done / 1e6, progress->parts);
        (void)snprintf(rate, sizeof(rate), "%.1f M", each_second / 1e6);
    }
    if (share > 0.01 && share < 1.0)
        (void)snprintf(left, sizeof(left), ", %.0f s left", seconds / share - seconds);
    (void)snprintf(line, sizeof(line), "%s [%s] %" PRIu64 "/%" PRIu64 " %s, %s, %s/s%s",
                   progress->what, bar, progress->files_done, progress->files, progress->things,
                   total, rate, left);
    /* a line that wraps could not be taken away again */
    (void)fprintf(stderr, "\r%.*s\033[K", (int)terminal_width() - 1, line);
    progress->drawn_ns = now;
}

static void changed(cli_progress_t *progress)
{
    uint64_t now = cli_now_ns();
    if (now - progress->drawn_ns >= REDRAW_NS || progress->files_done == progress->files)
        draw(progress, now);
}

void cli_progress_add(cli_progress_t *progress, uint64_t bytes)
{
    if (progress == NULL) return;
    (void)pthread_mutex_lock(&progress->lock);
    progress->files_done++;
    progress->bytes_done += bytes;
    changed(progress);
    (void)pthread_mutex_unlock(&progress->lock);
}

void cli_progress_set(cli_progress_t *progress, uint64_t files, uint64_t bytes)
{
    if (progress == NULL) return;
    (void)pthread_mutex_lock(&progress->lock);
    progress->files_done = files;
    progress->bytes_done = bytes;
    changed(progress);
    (void)pthread_mutex_unlock(&progress->lock);
}

void cli_progress_end(cli_progress_t *progress)
{
    if (progress == NULL) return;
    (void)fputs("\r\033[K", stderr);
    (void)pthread_mutex_destroy(&progress->lock);
    free(progress);
}
