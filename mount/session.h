/*
 * session.h - the life of a mount: put a stack into the tree, serve the kernel, end.
 * Floor 4, shared: the verbs of tools/ include it. No libfuse in it.
 */
#ifndef MOUNT_SESSION_H
#define MOUNT_SESSION_H

#include "vfs/vfs.h"

/* Hears what an operator should know; level as in cachefs_log_fn. */
typedef void (*mount_log_fn)(void *baton, int level, const char *line);

/* What is known of a path, as a text with a NUL in `buf`: what programs get as "user.cachefs.NAME".
 * VFS_ENODATA: there is no such name. */
typedef apr_status_t (*mount_state_fn)(void *baton, const vfs_ctx_t *ctx, const char *path,
                                       const char *name, char *buf, size_t size);

/* One call of the kernel that was served. Its texts live as long as the listener's call. */
typedef struct mount_access_t {
    const char *op;         /* such as "read" */
    const char *path;       /* NULL: the file has no name any more */
    const char *to;         /* of a second name, or the text of a new link; or NULL */
    uint64_t number;        /* st_ino of what is meant; 0: a name is */
    uint64_t offset, bytes; /* that were asked for */
    uint64_t done;          /* bytes */
    int error;              /* an errno, or 0 */
    uint64_t began_ns;      /* of CLOCK_MONOTONIC; 0: not known */
    uint64_t ended_ns;
    uint32_t uid;
    int64_t pid; /* of the thread that called */
} mount_access_t;

/* Hears of each call just before it is answered, on the thread that serves it: it must not wait. */
typedef void (*mount_access_fn)(void *baton, const mount_access_t *access);

typedef struct mount_config_t {
    const char *mountpoint;   /* a directory, absolute, without symbolic links */
    const char *source;       /* what df and mount show */
    const char *options;      /* for the kernel and libfuse, such as "ro,allow_other"; or "" */
    uint64_t attr_ttl_us;     /* how long the kernel trusts names and attributes */
    uint64_t negative_ttl_us; /* and absent names */
    uint64_t inodes_max;      /* that the kernel may hold; then ENFILE */
    uint32_t threads;         /* that serve it, at most */
    int flush_on_close;       /* close() tells whether the bytes arrived below */
    int watch;                /* change events of the stack reach the kernel at once */
    mount_state_fn state;     /* or NULL */
    void *state_baton;
    mount_access_fn access; /* or NULL; see mount_set_access */
    void *access_baton;
    mount_log_fn log;
    void *baton; /* of log */
} mount_config_t;

typedef struct mount_t mount_t;

/* Mount. The stack stays the caller's. `err` receives a sentence on failure. Everything that `m`
 * needs later is there: from now on the kernel's calls wait for mount_serve. */
apr_status_t mount_open(mount_t **m, vfs_t *fs, const mount_config_t *config, char *err,
                        size_t errlen);
/* Serve until the mount is taken away, or mount_stop; on the thread that opened it. `ready` is
 * called when the kernel has its first answer. */
apr_status_t mount_serve(mount_t *m, void (*ready)(void *baton), void *baton);
/* Make mount_serve return. Any thread. */
void mount_stop(mount_t *m);
/* Call this now and then: once the mount is gone, it gives up calls that still wait for the origin.
 * Any thread, until mount_close. */
void mount_look(mount_t *m);
/* How long the kernel trusts what it is told from now on; as in mount_config_t. Any thread. */
void mount_set_ttl(mount_t *m, uint64_t attr_ttl_us, uint64_t negative_ttl_us);
/* Does the listener hear of calls? Not until this says so. One that is just under way may be heard
 * of afterwards. Any thread. */
void mount_set_access(mount_t *m, int on);
/* Hears of a file: of how many opens, reads and writes of the last minutes, about. Each minute
 * counts half as much as the next. */
typedef void (*mount_hot_fn)(void *baton, const char *path, uint64_t calls);
/* The files that the kernel asks for most often, at most `max`, in order. Any thread. */
void mount_hottest(mount_t *m, size_t max, mount_hot_fn fn, void *baton);
/* How many files the kernel holds. Any thread. */
uint64_t mount_inodes(mount_t *m);

typedef enum mount_scope_e {
    MOUNT_SCOPE_PATH = 0, /* this name, and what it leads to */
    MOUNT_SCOPE_TREE,     /* and all below it */
    MOUNT_SCOPE_GLOB      /* all that match a pattern of vfs_glob */
} mount_scope_e;
/* The kernel shall keep nothing of these, and ask again: attributes, names that are there and that
 * are not, pages. Returns at once, with a number for mount_dropped. Any thread, until mount_close.
 */
uint64_t mount_drop(mount_t *m, mount_scope_e scope, const char *path);
/* Wait until that has happened. 0: the mount ends, or `cancel` (may be NULL) was raised. */
int mount_dropped(mount_t *m, uint64_t number, vfs_cancel_t *cancel);
/* Take it out of the tree, if it is still there, and close what is open. */
void mount_close(mount_t *m);
/* The version of libfuse; NULL: it is missing, and mount_open answers APR_ENOTIMPL. */
const char *mount_fuse_version(void);

#endif
