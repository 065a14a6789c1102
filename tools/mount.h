/*
 * mount.h - what the verbs mount and unmount share.
 * Floor 4, private to tools/.
 */
#ifndef TOOLS_MOUNT_H
#define TOOLS_MOUNT_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "mount/session.h"
#include "tools/cli.h"
#include "tools/control.h"

/* ---- mount_point.c: places in the tree */

/* The directory that a user means, absolute and without links; what is mounted there already is not
 * asked, since it may not answer. NULL: errno says why. */
const char *mount_point(const char *path, apr_pool_t *pool);
/* Is a cachefs mounted exactly there? */
int mount_point_is_ours(const char *point, apr_pool_t *pool);
/* May one be mounted there? CLI_DONE, or an exit code after a message. */
int mount_point_check(cli_t *cli, const char *point, const char *origin);
/* What is said of EBUSY. */
#define MOUNT_IN_USE                                                                               \
    "it is in use, and still mounted (fuser -vm MOUNTPOINT tells by whom; --how detach takes it "  \
    "away all the same)"
/* Take it out of the tree; `lazy`: at once, whoever uses it. 0, or an errno. */
int mount_point_leave(const char *point, int lazy);
/* The socket of a mount at `point` that we make, with the directory that it is in. NULL: errno. */
const char *mount_socket(const char *point, apr_pool_t *pool);
/* Where the socket of user `uid`'s mount may be: the i-th place; NULL behind the last one. */
const char *mount_socket_of(const char *point, unsigned long uid, int i, apr_pool_t *pool);

/* ---- mount_options.c: -o */

/* "KEY=VALUE,WORD,...", as in fstab. NULL, or what is wrong. */
const char *mount_take_options(cli_t *cli, const char *list);
/* One key or option by its name; a flag has no value. Likewise; both must live on. */
const char *mount_take_setting(cli_t *cli, const char *name, const char *value);

/* ---- mount_config.c: --config FILE. NULL, or what is wrong */
const char *mount_take_config(cli_t *cli, const char *path);

/* ---- mount_run.c: a mount that runs */

typedef enum mount_phase_e {
    MOUNT_SERVING = 0,
    MOUNT_ENDING, /* the tree has it no more */
    MOUNT_OVER    /* nothing is left: threads end */
} mount_phase_e;

/* Times as the user gave them. The kernel trusts what we tell it as long as the cache trusts what
 * it was told: each half of the time, so that together they keep to it. With times by path the
 * kernel asks each time. */
typedef struct mount_ttl_t {
    uint64_t attr_us, negative_us;
    int by_path;
} mount_ttl_t;
static inline uint64_t mount_ttl_cache(const mount_ttl_t *ttl, uint64_t us)
{
    return ttl->by_path ? us : us / 2;
}
static inline uint64_t mount_ttl_kernel(const mount_ttl_t *ttl, uint64_t us)
{
    return ttl->by_path ? 0 : us / 2;
}

typedef struct mount_run_t {
    cli_t *cli;
    cli_stack_t stack;
    mount_t *mount;
    const char *point;
    int report;              /* the pipe to the one who waits until it answers; -1: nobody */
    atomic_llong stop_at_us; /* what is dirty then is lost; 0: there is no such time */
    sigset_t signals;        /* that stop it */
    apr_time_t began_us;
    struct mount_http_t *http;
    const char *metrics; /* where that listens, or NULL */
    const char *socket;
    struct stat socket_stat; /* as we made it: another mount here may take its place */
    int listener;            /* on it; -1: none */
    pthread_mutex_t keys;    /* guards ttl */
    mount_ttl_t ttl;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t left;   /* the last visitor */
    mount_phase_e phase;
    unsigned visitors; /* who work on the stack; it stays as long as they are here */
} mount_run_t;

void mount_run_init(mount_run_t *run, cli_t *cli);
/* Serve a stack that is open until the end, and close it. An exit code. */
int mount_run(mount_run_t *run);
/* Be a visitor; 0: it is too late. */
int mount_enter(mount_run_t *run);
void mount_leave(mount_run_t *run);
/* A visitor writes out what is dirty at and below `path` (NULL: all), until it is clean or
 * `until_us` (0: however long it takes) is over; `say` hears now and then how much is left.
 * APR_SUCCESS: it is clean, or the end does it; else why it is not. */
apr_status_t mount_flush(mount_run_t *run, const vfs_ctx_t *ctx, const char *path,
                         apr_time_t until_us, void (*say)(void *baton, const char *line),
                         void *baton);

/* ---- mount_log.c */

/* A message of the mount, to the terminal or, behind it, the system's log. */
void mount_say(void *baton, int level, const char *line);
void mount_say_to_log(void);
/* Show messages of a level (error, warning, info) and those that weigh more. 0: there is no such.
 */
int mount_log_set(const char *name);
const char *mount_log_get(void);

/* ---- mount_access.c: a line for each call of the kernel */

/* Begin, or go on, in a file (that is opened anew), or "off". NULL, or what is wrong, which may be
 * in `why`; then it is as it was. Waits for the disk. */
const char *mount_access_set(mount_run_t *run, const char *path, char *why, size_t size);
/* The path, or "off". */
void mount_access_get(char *path, size_t size);
/* Lines since the mount began; `left_out`: for which there was no room. */
void mount_access_counts(uint64_t *lines, uint64_t *left_out);
/* No call is heard of any more: write the rest. */
void mount_access_end(void);
void mount_access_line(void *baton, const mount_access_t *access); /* see mount_access_fn */

/* ---- mount_figures.c */

typedef void (*mount_figure_fn)(void *baton, const char *name, uint64_t value);
/* All that can be counted, in order; a visitor asks. `pool`: for a while. */
apr_status_t mount_figures(mount_run_t *run, apr_pool_t *pool, mount_figure_fn put, void *baton);
/* Lines "list" and "row", see control.h: the hottest files, those that are dirty for longest. */
typedef void (*mount_row_fn)(void *baton, const char *const *words, size_t count);
void mount_lists(mount_run_t *run, mount_row_fn put, void *baton);

/* ---- mount_state.c: see mount_state_fn; the baton is the run */
apr_status_t mount_state(void *baton, const vfs_ctx_t *ctx, const char *path, const char *name,
                         char *buf, size_t size);

/* ---- mount_control.c: the socket, and who speaks to it */

/* Who asks: served by a thread of his own, as a visitor. */
typedef struct control_client_t {
    mount_run_t *run;
    control_stream_t stream;
    apr_pool_t *pool;
    vfs_cancel_t *cancel; /* raised when he hangs up, or the mount ends */
    vfs_ctx_t ctx;        /* carries it */
    pthread_t thread;
    int used, raised;
    const char *about; /* the path that the answer's error is about, or NULL */
    atomic_int waits;  /* for the end of the mount */
    atomic_int over;   /* the thread ends */
} control_client_t;

/* Make the socket. CLI_DONE, or an exit code after a message. */
int mount_control_open(mount_run_t *run);
/* Take it away, unless another mount has it now. */
void mount_control_close(mount_run_t *run);
void *mount_control(void *baton); /* its thread */
/* End the thread, and tell who waits how it went. */
void mount_control_end(mount_run_t *run, pthread_t thread, int code);

/* ---- control_requests.c, control_work.c: what is answered */

/* Answer one request, but for its last line. NULL: "ok", or who waits is told later; else what is
 * wrong. */
const char *control_answer(control_client_t *client, const control_line_t *line);
const char *control_flush(control_client_t *client, const control_line_t *line);
const char *control_warm(control_client_t *client, const control_line_t *line);
const char *control_entries(control_client_t *client, const control_line_t *line);
const char *control_unmount(control_client_t *client, const control_line_t *line);
void control_number(control_client_t *client, const char *name, uint64_t value);
void control_text(control_client_t *client, const char *name, const char *value);
void control_note(void *client, const char *line);
/* What the status says, in a sentence that lives as long as the client; about a path, or NULL. */
const char *control_why(control_client_t *client, const char *path, apr_status_t status);

#endif
