/*
 * mount.h - what the verbs mount and unmount share.
 * Floor 4, private to tools/.
 */
#ifndef TOOLS_MOUNT_H
#define TOOLS_MOUNT_H

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#include "mount/session.h"
#include "tools/cli.h"

/* ---- mount_point.c: places in the tree */

/* The directory that a user means, absolute and without links; what is mounted there already is not
 * asked, since it may not answer. NULL: errno says why. */
const char *mount_point(const char *path, apr_pool_t *pool);
/* Is a cachefs mounted exactly there? */
int mount_point_is_ours(const char *point, apr_pool_t *pool);
/* May one be mounted there? CLI_DONE, or an exit code after a message. */
int mount_point_check(cli_t *cli, const char *point, const char *origin);
/* Take it out of the tree; `lazy`: at once, whoever uses it. 0, or an errno. */
int mount_point_leave(const char *point, int lazy);
/* The socket of the mount at `point`; `make`: and the directory that it is in. NULL: errno. */
const char *mount_socket(const char *point, int make, apr_pool_t *pool);

/* ---- mount_options.c: -o */

/* "KEY=VALUE,WORD,...", as in fstab. NULL, or what is wrong. */
const char *mount_take_options(cli_t *cli, const char *list);

/* ---- mount_run.c: a mount that runs */

typedef enum mount_phase_e {
    MOUNT_SERVING = 0,
    MOUNT_ENDING, /* the tree has it no more */
    MOUNT_OVER    /* nothing is left: threads end */
} mount_phase_e;

typedef struct mount_run_t {
    cli_t *cli;
    cli_stack_t stack;
    mount_t *mount;
    const char *point;
    int report;              /* the pipe to the one who waits until it answers; -1: nobody */
    atomic_llong stop_at_us; /* what is dirty then is lost; 0: there is no such time */
    sigset_t signals;        /* that stop it */
    const char *socket;
    int listener;          /* on it; -1: none */
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t left;   /* the last visitor */
    mount_phase_e phase;
    unsigned visitors; /* who work on the stack; it stays as long as they are here */
    int asker;         /* who waits on the socket for the end; -1: nobody */
} mount_run_t;

/* Serve a stack that is open until the end, and close it. An exit code. */
int mount_run(mount_run_t *run);
/* Be a visitor; 0: it is too late. */
int mount_enter(mount_run_t *run);
void mount_leave(mount_run_t *run);
/* A visitor writes out all that is dirty, until it is or `until_us` (0: however long it takes) is
 * over; `say` hears now and then how much is left. 0: all is clean, or the end does it. */
int mount_flush(mount_run_t *run, apr_time_t until_us, void (*say)(void *baton, const char *line),
                void *baton);
/* A message of the mount, to the terminal or, behind it, the system's log. */
void mount_say(void *baton, int level, const char *line);
void mount_say_to_log(void);

/* ---- mount_control.c: the socket, and who speaks to it */

/* The answer to a request is lines "note TEXT" and a last one, "ok" or "error TEXT". Requests:
 *   unmount wait|detach|fail TIMEOUT_US
 * Is there one? CLI_DONE, or an exit code after a message. */
int mount_control_open(mount_run_t *run);
void *mount_control(void *baton); /* its thread */
/* End the thread, and tell who waits how it went. */
void mount_control_end(mount_run_t *run, pthread_t thread, int code);
/* Send a request to the mount at `point`, and show the answer. -1: nobody is there; else an exit
 * code. */
int mount_ask(cli_t *cli, const char *point, const char *request);

#endif
