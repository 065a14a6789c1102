/*
 * control.h - how verbs speak with a mount that runs: lines over its socket.
 * Floor 4, private to tools/.
 *
 * A line is words with a blank between; in a word bytes up to the blank, DEL and '%' stand as %XX,
 * an empty one as '%'. A request is one line, its first word says what is wanted
 * (control_requests.c). The answer is any number of lines, by their first word
 *   note TEXT               for the user
 *   number NAME N           a figure; text NAME VALUE
 *   list NAME               what follows, until the next, are its rows
 *   row NAME VALUE NAME VALUE ...
 *   progress DONE ALL BYTES
 *   entry ..., failed PATH TEXT
 * and a last one, "ok" or "error TEXT PATH" (PATH may be empty). Who hangs up takes back what he
 * asked for.
 */
#ifndef TOOLS_CONTROL_H
#define TOOLS_CONTROL_H

#include "tools/cli.h"

#define CONTROL_WORDS_MAX 64u
#define CONTROL_LINE_MAX 65536u /* bytes on the wire */

/* ---- control_line.c */

typedef struct control_line_t {
    size_t count;
    const char *word[CONTROL_WORDS_MAX];
    char text[CONTROL_LINE_MAX];
} control_line_t;

typedef struct control_stream_t {
    int fd;
    size_t at, len; /* what was received and not yet read */
    char buf[4096];
} control_stream_t;

/* Is there something to read? 0: not within a fifth of a second, or a signal came. */
int control_wait(const control_stream_t *stream);
/* 1; 0: the other is gone, takes too long, or what came is no line. */
int control_read(control_stream_t *stream, control_line_t *line);
/* 1; 0: it is too long (errno is E2BIG), or the other is gone. */
int control_send(int fd, const char *const *words, size_t count);

/* ---- control_place.c: which mount a path lies in. Asks nothing of any mount */

typedef struct control_place_t {
    const char *point; /* where it is mounted */
    const char *path;  /* of its stack; "/" is the mount itself */
    unsigned long uid; /* whose it is */
} control_place_t;

/* CLI_DONE, or CLI_USAGE after a message. */
int control_find(cli_t *cli, const char *os_path, control_place_t *place);

/* ---- control_ask.c: a request, and its answer */

/* Hears lines that are for the verb. */
typedef void (*control_line_fn)(void *baton, const control_line_t *line);
/* Does anybody listen there? */
int control_reaches(cli_t *cli, const control_place_t *place);
/* CLI_DONE, or an exit code after a message. A signal takes the request back. */
int control_ask(cli_t *cli, const control_place_t *place, const char *const *words, size_t count,
                control_line_fn fn, void *baton);

/* Figures as they come: for the terminal as a table, or as members of an object. */
typedef struct control_figures_t {
    json_t *json; /* or NULL */
    int in_list;  /* it is open */
} control_figures_t;
void control_figure(void *baton, const control_line_t *line);
/* The same of a line that did not come over a socket. */
void control_figure_words(control_figures_t *to, const char *const *words, size_t count);
/* There is no other. */
void control_figures_end(control_figures_t *to);

/* ---- control_pages.c */

/* Let the kernel write what programs changed in mapped memory; 0: it did not, or not in time (0:
 * however long it takes). */
int control_write_pages(cli_t *cli, const char *point, uint64_t timeout_us);

/* ---- warm_mount.c, ls_cached.c: what verbs do with a mount instead of an origin */

int warm_mount(cli_t *cli);
int ls_cached(cli_t *cli);

#endif
