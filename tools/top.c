/*
 * top.c - `cachefs top`: what a mount does at the moment, on a terminal; one frame anywhere else.
 * Floor 4.
 */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include <apr_strings.h>

#include "tools/control.h"

#define FIGURES_MAX 128
#define NAME_MAX_LEN 40

#define ROWS_MAX 5
#define PATH_SHOWN 100

/* A file of a list. */
typedef struct row_t {
    uint64_t calls, dirty_bytes, age_us, retry_in_us;
    char error[80], path[PATH_SHOWN];
} row_t;

typedef struct list_t {
    int count;
    row_t row[ROWS_MAX];
} list_t;

/* All that a mount tells at one moment. */
typedef struct sample_t {
    list_t hottest, queue;
    list_t *list; /* of the rows that come; NULL: none is shown */
    size_t count;
    struct {
        char name[NAME_MAX_LEN];
        uint64_t value;
    } figure[FIGURES_MAX];
} sample_t;

typedef struct top_t {
    const char *point;
    const sample_t *now, *before; /* before: NULL for all since the mount began */
    double seconds;               /* between them */
} top_t;

static const char *word_of(const control_line_t *line, const char *name)
{
    for (size_t i = 1; i + 1 < line->count; i += 2)
        if (strcmp(line->word[i], name) == 0) return line->word[i + 1];
    return "";
}

/* Of a long path the end tells more. */
static void take_row(list_t *list, const control_line_t *line)
{
    const char *path = word_of(line, "path");
    size_t len = strlen(path);
    if (list == NULL || list->count == ROWS_MAX) return;
    row_t *row = &list->row[list->count++];
    row->calls = strtoull(word_of(line, "calls"), NULL, 10);
    row->dirty_bytes = strtoull(word_of(line, "dirty_bytes"), NULL, 10);
    row->age_us = strtoull(word_of(line, "age_us"), NULL, 10);
    row->retry_in_us = strtoull(word_of(line, "retry_in_us"), NULL, 10);
    (void)apr_cpystrn(row->error, word_of(line, "error"), sizeof(row->error));
    (void)snprintf(row->path, sizeof(row->path), "%s%s", len < PATH_SHOWN ? "" : "...",
                   len < PATH_SHOWN ? path : path + len - (PATH_SHOWN - 4));
}

static void on_line(void *baton, const control_line_t *line)
{
    sample_t *sample = baton;
    if (strcmp(line->word[0], "row") == 0) take_row(sample->list, line);
    if (strcmp(line->word[0], "list") == 0 && line->count == 2)
        sample->list = strcmp(line->word[1], "hottest") == 0 ? &sample->hottest
                       : strcmp(line->word[1], "queue") == 0 ? &sample->queue
                                                             : NULL;
    if (line->count != 3 || strcmp(line->word[0], "number") != 0 || sample->count == FIGURES_MAX)
        return;
    (void)apr_cpystrn(sample->figure[sample->count].name, line->word[1], NAME_MAX_LEN);
    sample->figure[sample->count++].value = strtoull(line->word[2], NULL, 10);
}

static uint64_t value(const sample_t *sample, const char *name)
{
    for (size_t i = 0; sample != NULL && i < sample->count; i++)
        if (strcmp(sample->figure[i].name, name) == 0) return sample->figure[i].value;
    return 0;
}

/* A counter that was set back counts from zero. */
static double change(const top_t *top, const char *name)
{
    uint64_t now = value(top->now, name), before = value(top->before, name);
    return (double)(now >= before ? now - before : now);
}

static double rate(const top_t *top, const char *name)
{
    return top->seconds > 0 ? change(top, name) / top->seconds : 0;
}

/* ---- a frame */

static void put_share(const char *what, double part, double all)
{
    char text[16] = "-"; /* nothing was asked for */
    if (all > 0) (void)snprintf(text, sizeof(text), "%.1f %%", 100 * part / all);
    (void)printf("  %-8s %8s", what, text);
}

static void put_hits(const top_t *top)
{
    double hits = change(top, "hit_bytes"), all = hits + change(top, "miss_bytes");
    double names = change(top, "attr_hits") + change(top, "negative_hits");
    double lists = change(top, "listing_hits");
    (void)fputs("hits    ", stdout);
    put_share("memory", hits, all);
    put_share("store", change(top, "l2_hit_bytes"), all);
    put_share("names", names, names + change(top, "attr_misses"));
    put_share("listings", lists, lists + change(top, "listing_misses"));
    (void)putchar('\n');
}

static void put_rate(const char *what, double calls, double bytes)
{
    char shown[32];
    (void)printf("%-10s %10.0f calls/s %12s/s\n", what, calls,
                 cli_show_bytes(shown, sizeof(shown), bytes));
}

static void put_rates(const top_t *top)
{
    char shown[32];
    put_rate("reads", rate(top, "reads"), rate(top, "hit_bytes") + rate(top, "miss_bytes"));
    put_rate("  below", rate(top, "backend_reads"), rate(top, "backend_read_bytes"));
    put_rate("  store", rate(top, "l2_hits"), rate(top, "l2_hit_bytes"));
    (void)printf("%-10s %18s %12s/s\n", "  ahead", "",
                 cli_show_bytes(shown, sizeof(shown), rate(top, "readahead_bytes")));
    (void)printf("%-10s %10.0f calls/s\n", "writes", rate(top, "writes"));
    put_rate("  below", rate(top, "backend_writes"), rate(top, "backend_write_bytes"));
    (void)printf("%-10s %10.0f calls/s\n", "opens", rate(top, "opens"));
    put_rate("evictions", rate(top, "evictions"), rate(top, "evicted_bytes"));
}

/* Of all since the mount began. */
static void put_times(const top_t *top)
{
    static const char *const ops[] = {"read_hit",   "read_miss", "read_backend",
                                      "write_done", "open_hit",  "open_miss",
                                      "stat_hit",   "stat_miss", "flush_done"};
    char half[32], most[32], name[NAME_MAX_LEN];
    (void)printf("%-14s %12s %12s   since it was mounted\n", "latency", "median", "99 %");
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        (void)snprintf(name, sizeof(name), "%s_p50_ns", ops[i]);
        uint64_t p50 = value(top->now, name);
        (void)snprintf(name, sizeof(name), "%s_p99_ns", ops[i]);
        uint64_t p99 = value(top->now, name);
        if (p99 == 0) continue;
        (void)printf("  %-12s %12s %12s\n", ops[i],
                     cli_show_us(half, sizeof(half), (double)p50 / 1000),
                     cli_show_us(most, sizeof(most), (double)p99 / 1000));
    }
}

static void put_held(const top_t *top)
{
    char a[32], b[32], c[32], d[32];
    const sample_t *now = top->now;
    (void)printf("memory    %s of %s, blocks %s, pinned %s\n",
                 cli_show_bytes(a, sizeof(a), (double)value(now, "ram_used")),
                 cli_show_bytes(b, sizeof(b), (double)value(now, "ram_max")),
                 cli_show_bytes(c, sizeof(c), (double)value(now, "resident_bytes")),
                 cli_show_bytes(d, sizeof(d), (double)value(now, "pinned_bytes")));
    (void)printf(
        "held      %llu names, %llu files, %llu open, %llu inodes of the kernel, store %s\n",
        (unsigned long long)value(now, "names"), (unsigned long long)value(now, "files"),
        (unsigned long long)value(now, "open_handles"),
        (unsigned long long)value(now, "kernel_inodes"),
        cli_show_bytes(a, sizeof(a), (double)value(now, "l2_bytes")));
    (void)printf("dirty     %s in %llu files, the oldest for %s; %.0f flushes, %.0f failed\n",
                 cli_show_bytes(a, sizeof(a), (double)value(now, "dirty_bytes")),
                 (unsigned long long)value(now, "dirty_files"),
                 cli_show_us(b, sizeof(b), (double)value(now, "oldest_dirty_age_us")),
                 change(top, "flushes"), change(top, "flush_errors"));
}

/* Who asks for them, lately; what waits for longest, and why. */
static void put_files(const sample_t *now)
{
    char a[32], b[32], c[32];
    if (now->hottest.count > 0) (void)puts("hottest   calls, the last minutes counting most");
    for (int i = 0; i < now->hottest.count; i++) {
        (void)printf("%9llu ", (unsigned long long)now->hottest.row[i].calls);
        cli_print_name(stdout, now->hottest.row[i].path);
        (void)putchar('\n');
    }
    if (now->queue.count > 0)
        (void)printf("queue     %llu of the dirty files are tried again after an error\n",
                     (unsigned long long)value(now, "retrying_files"));
    for (int i = 0; i < now->queue.count; i++) {
        const row_t *row = &now->queue.row[i];
        (void)printf("%9s %9s ", cli_show_us(a, sizeof(a), (double)row->age_us),
                     cli_show_bytes(b, sizeof(b), (double)row->dirty_bytes));
        cli_print_name(stdout, row->path);
        if (row->error[0] != '\0')
            (void)printf("  again in %s: %s", cli_show_us(c, sizeof(c), (double)row->retry_in_us),
                         row->error);
        (void)putchar('\n');
    }
}

static void put_frame(const top_t *top)
{
    char up[32], over[32];
    (void)printf("cachefs   %s, up %s; rates of the last %s\n\n", top->point,
                 cli_show_us(up, sizeof(up), (double)value(top->now, "up_us")),
                 cli_show_us(over, sizeof(over), top->seconds * 1e6));
    put_hits(top);
    (void)putchar('\n');
    put_rates(top);
    (void)putchar('\n');
    put_held(top);
    (void)putchar('\n');
    put_times(top);
    (void)putchar('\n');
    put_files(top->now);
}

/* ---- a screen */

static int is_screen(void)
{
    const char *term = getenv("TERM");
    return isatty(STDOUT_FILENO) && term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
}

/* Keys come at once, and are not shown. 0: this is no keyboard. */
static int take_keys(struct termios *before)
{
    struct termios mode;
    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, before) != 0) return 0;
    mode = *before;
    mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
    return tcsetattr(STDIN_FILENO, TCSANOW, &mode) == 0;
}

/* 1: there shall be no other frame. */
static int rest(cli_t *cli, int keys, uint64_t us)
{
    struct pollfd poller = {.fd = keys ? STDIN_FILENO : -1, .events = POLLIN};
    char key = 0;
    if (poll(&poller, 1, (int)(us / 1000)) > 0 && read(STDIN_FILENO, &key, 1) == 1)
        return key == 'q' || cli_stopped(cli);
    return cli_stopped(cli);
}

static int frames(cli_t *cli, const control_place_t *place, int screen, int keys)
{
    sample_t *samples = apr_pcalloc(cli->pool, 2 * sizeof(*samples)), *before = NULL;
    const char *words[] = {"stats"};
    for (unsigned i = 0;; i++) {
        sample_t *now = &samples[i % 2];
        memset(now, 0, sizeof(*now));
        int code = control_ask(cli, place, words, 1, on_line, now);
        if (code != CLI_DONE) return code;
        uint64_t us = value(now, "up_us") - value(before, "up_us");
        top_t top = {
            .point = place->point, .now = now, .before = before, .seconds = (double)us / 1e6};
        if (screen) (void)fputs("\033[H\033[J", stdout);
        put_frame(&top);
        (void)fflush(stdout); /* cli_stopped looks at its error */
        if (!screen || cli_stopped(cli) || rest(cli, keys, cli->opt.interval_us)) return CLI_DONE;
        before = now;
    }
}

static int run(cli_t *cli)
{
    control_place_t place;
    struct termios before;
    int code = control_find(cli, cli->args[0], &place);
    if (code != CLI_DONE) return code;
    int screen = is_screen(), keys = screen && take_keys(&before);
    code = frames(cli, &place, screen, keys);
    if (keys) (void)tcsetattr(STDIN_FILENO, TCSANOW, &before); /* as it was */
    return code;
}

const cli_verb_t cli_top = {
    .name = "top",
    .bit = CLI_TOP,
    .args_min = 1,
    .args_max = 1,
    .usage = "MOUNTPOINT [--interval TIME]",
    .summary = "watch what a mount does",
    .text = "Hit ratios by level, rates, memory, dirty data, latencies, the hottest files and "
            "those that "
            "are dirty\n"
            "for longest, anew each second, until q or Ctrl-C.\n"
            "Where the output is no terminal, or a dumb one, it is one frame: what was done since "
            "the mount began.\n",
    .run = run,
};
