/*
 * support_run.h - runs the program and keeps what it said; trees of files to run it on; a reader of
 * JSON. For the tests of the program.
 */
#ifndef TESTS_CLI_SUPPORT_RUN_H
#define TESTS_CLI_SUPPORT_RUN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* All memory that these functions give out stays until the process ends. */
void *keep(void *memory);
/* As printf. */
char *formatted(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- running */

typedef struct run_t {
    int code;   /* exit code, or -1 after a signal */
    int signal; /* that ended it, or 0 */
    char *out, *err;
    size_t out_len, err_len;
    double seconds;
    uint64_t peak_rss; /* bytes, of it and of the processes it started: the most that one had */
} run_t;

typedef struct how_t {
    const char *out_file;    /* standard output goes there */
    int close_out;           /* nobody reads standard output */
    int on_terminal;         /* standard error is a terminal; it is kept in err all the same */
    const char *input;       /* standard input; NULL: none */
    const char *signal_on;   /* send `signal` when standard error or output contain this, */
    const char *signal_file; /* or when this file is there, */
    double signal_after; /* or, where both are NULL, so many seconds after it began to catch it */
    int signal;          /* 0: none */
    const char *env;     /* "NAME=VALUE" */
    int unprivileged;    /* permissions count, root or not */
    int no_memory;       /* 256 GiB at once are not to be had */
} how_t;

/* Run `cachefs ARG...`; the arguments end with NULL. Five minutes are too long for any of them. */
run_t run(const char *arg, ...);
run_t run_how(const how_t *how, const char *arg, ...);
/* The plug-in with the scheme "sick". */
const char *sick_plugin(void);

/* ---- files */

/* A new directory with:
 *   a.txt "alpha\n"   sub/b.txt "beta\n"   sub/deep/c.bin 100,000 bytes   big.bin 3,000,000 bytes
 *   empty   bad.txt "sick\n"   link -> a.txt   "odd \xff name" "odd\n"
 * Returns its path. The process removes it when it ends. */
char *tree_make(void);
/* "DIR/NAME". */
char *path_in(const char *dir, const char *name);
/* "file://DIR". */
char *origin_of(const char *dir);
/* A file's bytes, NULL if there is none. */
char *slurp(const char *path, size_t *len);
void spill(const char *path, const char *bytes, size_t len);
/* Names in a directory that begin with `prefix`. */
int count_names(const char *dir, const char *prefix);

/* ---- JSON: a strict reader */

typedef enum json_kind_e {
    JSON_NULL,
    JSON_BOOL,
    JSON_NUMBER,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
} json_kind_e;
typedef struct node_t node_t;
struct node_t {
    json_kind_e kind;
    double number; /* also of a bool */
    char *string;
    char *key; /* in an object */
    node_t *first, *next;
    size_t count;
};
/* NULL if the text is not one JSON value and blanks.  */
node_t *json_read(const char *text);
/* A member or an element, or NULL. */
node_t *json_get(const node_t *object, const char *key);
node_t *json_item(const node_t *array, size_t i);
/* The element whose member `key` is the string `value`. */
node_t *json_find(const node_t *array, const char *key, const char *value);
double json_number(const node_t *object, const char *key);    /* NAN if it is none */
const char *json_text(const node_t *object, const char *key); /* "" if it is none */

#endif
