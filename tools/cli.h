/*
 * cli.h - what the verbs of the program share: one run, its options, its stack, its output.
 * Floor 4, private to tools/. Knows the public headers only.
 */
#ifndef TOOLS_CLI_H
#define TOOLS_CLI_H

#include <stdatomic.h>
#include <stdio.h>

#include "cachefs/cachefs.h"
#include "vfs/shims/shims.h"
#include "vfs/vfs.h"
#include "warming/warming.h"

/* ---- how a run ends */

typedef enum cli_exit_e {
    CLI_DONE = 0,
    CLI_SOME_FAILED = 1, /* some files failed, or the output could not be written */
    CLI_USAGE = 2,
    CLI_UNREACHABLE = 3,
    CLI_INTERNAL = 4,
    CLI_SIGNAL = 128 /* + its number: 130 after Ctrl-C */
} cli_exit_e;

/* ---- one run */

#define CLI_LAYERS_MAX 3
#define CLI_PHASES_MAX 6

/* What the command line said. */
typedef struct cli_options_t {
    cachefs_config_t config;
    vfs_delay_t delay;
    int json, quiet, no_cache, trace, stats, help, version;
    int long_form, recursive, files_only, follow, stop, no_clobber;
    uint32_t jobs;     /* 0: the verb's default */
    const char *store; /* a directory, or NULL */
    const char *list, *glob, *tree, *heat, *resume, *into;
    vfs_priority_e priority;
    uint64_t rate, file_bytes_max, job_bytes_max;
    /* compare */
    unsigned layers, phases; /* bits by place in their lists; 0: all */
    uint64_t random_reads, seed;
    uint32_t corfs_flags;
    const char *child_layer, *work_dir; /* set by the program itself for its children */
    /* replay */
    const char *policies, *sizes, *format;
    uint32_t replay_shards;
    int bytes;
    /* fsck, gc */
    int repair;
    uint64_t gc_bytes; /* UINT64_MAX: not said */
    /* mount, unmount */
    int foreground;
    const char *kernel_options, *how;
    const char *log_level;
    const char *access_log; /* a file, or NULL */
    uint64_t access_log_bytes;
    const char *config_file, *source, *mountpoint; /* the file that was read, and what it names */
    const char *fsname;                            /* what df and mount show; NULL: the origin */
    uint64_t inodes_max, end_timeout_us, unmount_timeout_us;
    uint32_t threads;
    /* what is asked of a mount */
    int cached, wait, by_prefix, by_glob, all;
    const char *metrics; /* ADDRESS:PORT, or NULL */
    int metrics_any;
    uint64_t interval_us;
} cli_options_t;

typedef struct cli_verb_t cli_verb_t;
typedef struct cli_t {
    apr_pool_t *pool;
    const cli_verb_t *verb;
    int argc; /* of the program, without the verb; for children */
    const char *const *argv;
    const char *const *args; /* what is no option: ORIGIN, then PATHs */
    int nargs;
    cli_options_t opt;
    vfs_cancel_t *cancel; /* raised by SIGINT, SIGTERM and SIGHUP */
    vfs_ctx_t ctx;        /* carries it */
    atomic_uint failures; /* files that failed */
    int store_given;      /* to a stack: it serves one */
    atomic_uint offline;  /* of them, because the origin could not be reached */
} cli_t;

/* One verb. */
struct cli_verb_t {
    const char *name;
    unsigned bit;
    int args_min, args_max; /* -1: any number */
    const char *usage;      /* what follows the name */
    const char *summary;
    const char *text; /* for --help */
    int (*run)(cli_t *cli);
};

extern const cli_verb_t cli_ls, cli_cat, cli_stat, cli_cp, cli_warm, cli_compare, cli_replay,
    cli_version, cli_mount, cli_unmount, cli_status, cli_stats, cli_flush, cli_invalidate, cli_pin,
    cli_unpin, cli_set, cli_top, cli_fsck, cli_gc;

#define CLI_LS 0x01u
#define CLI_CAT 0x02u
#define CLI_STAT 0x04u
#define CLI_CP 0x08u
#define CLI_WARM 0x10u
#define CLI_COMPARE 0x20u
#define CLI_VERSION 0x40u
#define CLI_REPLAY 0x80u
#define CLI_MOUNT 0x100u
#define CLI_UNMOUNT 0x200u
#define CLI_FSCK 0x400u
#define CLI_GC 0x800u
#define CLI_STATUS 0x10000u
#define CLI_STATS 0x20000u
#define CLI_FLUSH 0x40000u
#define CLI_INVALIDATE 0x80000u
#define CLI_PIN 0x100000u
#define CLI_UNPIN 0x200000u
#define CLI_SET 0x400000u
#define CLI_TOP 0x800000u
#define CLI_ASKING                                                                                 \
    (CLI_UNMOUNT | CLI_STATUS | CLI_STATS | CLI_FLUSH | CLI_INVALIDATE | CLI_PIN | CLI_UNPIN |     \
     CLI_SET | CLI_TOP)
#define CLI_STACKED (CLI_LS | CLI_CAT | CLI_STAT | CLI_CP | CLI_WARM | CLI_COMPARE | CLI_MOUNT)

/* ---- options.c, parse.c, help.c: the command line */

typedef enum cli_kind_e {
    CLI_FLAG,   /* int */
    CLI_TEXT,   /* const char * */
    CLI_COUNT,  /* uint32_t, at least 1 */
    CLI_NUMBER, /* uint64_t */
    CLI_SIZE,   /* uint64_t, bytes */
    CLI_KEY,    /* a key of the cache's configuration */
    CLI_CALL    /* `set` parses it */
} cli_kind_e;

typedef struct cli_option_t {
    const char *name;
    int letter;      /* 0: none */
    const char *arg; /* what --help calls the argument; NULL: takes none */
    unsigned verbs;  /* that have it */
    cli_kind_e kind;
    size_t offset; /* into cli_options_t */
    const char *key;
    const char *(*set)(cli_t *cli, const char *value); /* NULL, or what is wrong */
    const char *help;                                  /* NULL: not for users */
} cli_option_t;

extern const cli_option_t cli_options[]; /* ends with a NULL name */
/* Put a value where an option's row says; a flag has none. NULL, or what is wrong with it. */
const char *cli_take(cli_t *cli, const cli_option_t *option, const char *value);
/* Take the verb out of argv, and parse the rest for it. CLI_DONE, or CLI_USAGE after a message. */
int cli_parse(cli_t *cli, int verb_index);
/* Which of some words was meant? */
typedef struct cli_near_t {
    const char *word; /* what was said */
    const char *best; /* NULL: it is like none of them */
    size_t distance;  /* less than this is nearer */
} cli_near_t;
void cli_near_init(cli_near_t *near, const char *word);
void cli_near_look(cli_near_t *near, const char *candidate);
/* The names of a list of words, such as "direct, corfs, cachefs". */
const char *cli_words(apr_pool_t *pool, const char *const *words, size_t count);
void cli_help(FILE *out);
void cli_help_verb(const cli_verb_t *verb, FILE *out);
void cli_help_keys(FILE *out);
const cli_verb_t *cli_verb_at(size_t i);

/* ---- units.c: sizes, durations, and how they are shown */

apr_status_t cli_parse_size(const char *text, uint64_t *bytes);
apr_status_t cli_parse_duration(const char *text, uint64_t *us);
apr_status_t cli_parse_number(const char *text, uint64_t *number);
char *cli_show_bytes(char *buf, size_t size, double bytes);
char *cli_show_us(char *buf, size_t size, double us);
uint64_t cli_now_ns(void);

/* ---- origin.c: what is an origin, and what a path belongs to */

/* Does it begin with "scheme:"? */
int cli_is_origin(const char *text);
/* The path from the root of the operating system: resolved where it exists, else put behind the
 * working directory. */
const char *cli_absolute(const char *path, apr_pool_t *pool);
/* The URI of a path of the operating system, percent-encoded. */
const char *cli_file_uri(const char *path, apr_pool_t *pool);
/* An origin as it may stand in a message: a password in it is left out. */
const char *cli_origin_shown(const char *uri, apr_pool_t *pool);
/* The directory behind a "file:" origin, or NULL. */
const char *cli_origin_root(const char *uri, apr_pool_t *pool);
/* A path of the command line as one of the stack: a relative one counts from the root. */
const char *cli_stack_path(const char *path, apr_pool_t *pool);
/* Does a symbolic link take this path of the stack out of a "file:" origin? */
int cli_leads_out(const char *uri, const char *path, apr_pool_t *pool);
/* An OS path with all links resolved, also where its last names do not exist yet. */
const char *cli_resolve(const char *path, apr_pool_t *pool);
/* Is `path` the directory `dir`, or below it? */
int cli_path_within(const char *path, const char *dir);
/* Where an OS path lies in the stack of an origin, or NULL. */
const char *cli_path_in_origin(const char *uri, const char *os_path, apr_pool_t *pool);

/* ---- stack.c: origin -> delay -> trace -> count -> cache */

typedef struct cli_stack_t {
    const char *uri;
    vfs_t *counter; /* the count shim */
    vfs_t *cache;   /* or NULL */
    vfs_t *store;   /* of the cache, or NULL */
    vfs_t *top;     /* NULL where nothing is open */
} cli_stack_t;
/* Build it as the options say. CLI_DONE, or an exit code after a message; then nothing is open. */
int cli_stack_open(cli_t *cli, cli_stack_t *stack, const char *uri, int with_cache);
/* Flush and end all of it. CLI_DONE, or CLI_SOME_FAILED after a message. */
int cli_stack_close(cli_t *cli, cli_stack_t *stack);
/* End a cache with so many bytes that could not be written below: its journal keeps what it has.
 * `line` receives what became of them. */
apr_status_t cli_stack_give_up(const cli_t *cli, cli_stack_t *stack, uint64_t dirty, char *line,
                               size_t len);
/* Put a layer on top. CLI_DONE or an exit code after a message (`status` is what making it said).
 */
int cli_stack_push(cli_t *cli, cli_stack_t *stack, vfs_t *layer, apr_status_t status,
                   const char *what);

/* ---- plan.c: the files that a command line names */

/* From PATHs (a directory stands for all below it), --list, --glob, --tree and --heat. */
int cli_plan(cli_t *cli, warm_plan_t **out, vfs_t *fs, const char *uri);

/* ---- report.c: messages, exit codes, output */

/* "cachefs VERB: ..." on standard error. */
void cli_error(const cli_t *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* A line for the user that is neither result nor error; not with --quiet. */
void cli_note(const cli_t *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Count a file that failed, and say why. `uri` helps to name the right form of its path; may be
 * NULL. */
void cli_file_failed(cli_t *cli, const char *uri, const char *path, apr_status_t status);
/* Standard output could not be written, with this errno: the run stops. */
void cli_output_failed(int error);
/* Stop? After a signal, or when standard output cannot be written. Call it right behind a write. */
int cli_stopped(const cli_t *cli);
/* What the run comes to: write out, then the worst of `code`, the failures and the signals. */
int cli_finish(cli_t *cli, int code);
/* Catch SIGINT, SIGTERM and SIGHUP. A second one ends the program at once, unless `hold`. */
void cli_signals(cli_t *cli, int hold);
/* How many came, and the number of the last. */
int cli_signalled(int *number);
/* A name for a terminal: control characters as '?'. Any other output gets it as it is. */
void cli_print_name(FILE *out, const char *name);

/* ---- progress.c: a bar on a terminal */

typedef struct cli_progress_t cli_progress_t;
/* NULL where there is nobody to look at it; every function here takes that. */
cli_progress_t *cli_progress_start(cli_t *cli, const char *what, uint64_t files);
/* What is counted, instead of "files" and bytes; before the first is done. */
void cli_progress_units(cli_progress_t *progress, const char *things, const char *parts);
/* One more file is done. Any thread. */
void cli_progress_add(cli_progress_t *progress, uint64_t bytes);
/* So many are done. Any thread. */
void cli_progress_set(cli_progress_t *progress, uint64_t files, uint64_t bytes);
/* Take it away. */
void cli_progress_end(cli_progress_t *progress);

/* ---- threads.c */

/* Call fn(baton, thread, i) for each i below `count`, on so many threads, until all are done or
 * cli_stopped. Returns how many were called. */
typedef void (*cli_each_fn)(void *baton, unsigned thread, size_t i);
size_t cli_each(cli_t *cli, size_t count, unsigned threads, cli_each_fn fn, void *baton);

/* ---- json.c */

#define JSON_DEPTH_MAX 16
typedef struct json_t {
    FILE *out;
    int depth;
    int filled[JSON_DEPTH_MAX]; /* has this level a value yet? */
} json_t;
void json_start(json_t *json, FILE *out);
void json_end(json_t *json); /* a line end; asserts that all is closed */
/* `key` is NULL in an array and at the top. */
void json_array(json_t *json, const char *key);
void json_object(json_t *json, const char *key);
void json_close(json_t *json, char bracket); /* ']' or '}' */
/* Bytes that are not UTF-8 become U+FFFD. */
void json_string(json_t *json, const char *key, const char *value);
void json_uint(json_t *json, const char *key, uint64_t value);
void json_int(json_t *json, const char *key, int64_t value);
void json_double(json_t *json, const char *key, double value); /* null where it is not finite */
void json_bool(json_t *json, const char *key, int value);
void json_null(json_t *json, const char *key);
/* A path, and where it is not UTF-8 its bytes in hexadecimal under "<key>_hex". */
void json_path(json_t *json, const char *key, const char *path);

/* ---- attr.c: attributes as text, for ls and stat */

const char *cli_type_name(vfs_type_e type);
const char *cli_validator_kind(const vfs_validator_t *validator);
/* "-rw-r--r--"; buf has 11 bytes. */
char *cli_show_mode(char *buf, const vfs_attr_t *attr);
/* "2026-11-21 00:31:52", UTC; with nanoseconds if asked. */
char *cli_show_time(char *buf, size_t size, int64_t ns, int fine);
/* The members of an object. */
void cli_json_attr(json_t *json, const char *path, const vfs_attr_t *attr);

#endif
