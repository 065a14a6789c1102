/*
 * mount.h - a stack as a file system of the kernel, by libfuse 3: what its files share.
 * Floor 4, private to mount/; tools/mount.c sees mount/session.h only.
 *
 * The kernel names files by inode number, the stack by path. In between stands the table of inodes
 * (inodes.c, paths.c): it knows each inode that the kernel holds, the names that lead to it, and
 * who goes along them. ops_*.c translate calls, one by one; session.c has the life of a mount.
 *
 * Rights. The kernel checks them (default_permissions, and the access rules of the file where the
 * stack has such), by the attributes that we give it, since it alone knows on which way a process
 * came to a directory. We act as ourselves, but for what is made: that goes as the caller, so that
 * it is his (request.c).
 */
#ifndef MOUNT_MOUNT_H
#define MOUNT_MOUNT_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/stat.h>

#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 12)
#include <fuse_lowlevel.h>

#include "mount/session.h"
#include "vfs/vfs.h"
#include "vfs/vfs_ops.h"

typedef struct inode_t inode_t;
typedef struct name_t name_t;
typedef struct open_file_t open_file_t;
typedef struct open_dir_t open_dir_t;
typedef struct lock_waiter_t lock_waiter_t;
typedef struct call_slot_t call_slot_t;
typedef struct drop_t drop_t;

/* ---- the table: inodes.c */

/* One name of an inode. Life: made by a look-up or a change; `uses` paths go through it at the
 * moment; `taken` by a change of this name, which waits for those to end, and for which all others
 * wait. Guarded by the table's mutex. */
struct name_t {
    name_t *chain; /* of its bucket */
    name_t *next;  /* of the same inode */
    inode_t *dir, *inode;
    uint64_t number; /* no two names have the same */
    uint32_t hash;
    uint32_t uses;
    uint16_t len;
    uint8_t wanted; /* somebody waits to take it: no new uses */
    uint8_t taken;
    char text[];
};

/* By what an inode is found. Those that have no identity below have a number of their own, made of
 * their first name: so that no two have the same, they are in the table by that. */
typedef enum inode_key_e { KEY_NONE = 0, KEY_IDENTITY, KEY_NUMBER } inode_key_e;

/* A file that the kernel knows. It goes when the kernel has forgotten it, nothing is open, no name
 * is below it and no path goes through its names. A directory has one name at most, a file as
 * many as are known; one that was removed has none. Guarded by the table's mutex. */
struct inode_t {
    inode_t *chain;              /* of its bucket, by (dev, ino) */
    inode_t *all_next, **all_at; /* of all */
    uint64_t dev, ino;           /* its identity below; without one 0 and its number */
    uint64_t number;             /* what programs see as st_ino */
    uint64_t generation;         /* no two inodes have the same */
    uint64_t lookups;            /* that the kernel has not taken back */
    uint32_t children;           /* names in this directory */
    uint32_t dirs;               /* open handles of this directory */
    uint32_t turns;              /* counts names that came to this directory and went */
    uint8_t hashed;              /* inode_key_e */
    uint8_t opened;              /* the kernel may have pages of it */
    atomic_int locks;            /* one was asked for: closing has to look */
    name_t *names;               /* by which it can be reached; what was seen last stands first */
    open_file_t *files;          /* open handles */
    vfs_attr_t attr;             /* as they were last told to the kernel */
    vfs_validator_t pages;       /* the version that the kernel's pages are of */
};

typedef struct table_t {
    pthread_mutex_t mutex;
    pthread_cond_t changed; /* somebody waits, and a use or a claim has ended */
    uint32_t waiting;
    inode_t root;
    inode_t *all; /* but the root */
    inode_t **by_id;
    name_t **by_name;
    size_t id_count, id_size, name_count, name_size; /* sizes are powers of two */
    uint64_t inodes, inodes_max, generation, names_made;
} table_t;

/* 0, or ENOMEM. */
int mount__table_init(table_t *table, const vfs_attr_t *root, uint64_t inodes_max);
void mount__table_end(table_t *table);
/* The inode that `name` in `dir` leads to, with one look-up more; made if it was not known, and
 * what the name led to before is forgotten. NULL: errno is ENFILE (inodes_max), ENOMEM or ESTALE
 * (a directory that would be below itself). `source`: the inode that a link was made from. */
inode_t *mount__inode_learn(table_t *table, inode_t *dir, const char *name, const vfs_attr_t *attr,
                            inode_t *source);
/* The number of a name that is known, or 0; and it is not there any more, if it is still that one:
 * who else has the file by another name goes by that. */
uint64_t mount__name_known(table_t *table, inode_t *dir, const char *name);
void mount__name_gone(table_t *table, inode_t *dir, const char *name, uint64_t number);
/* The kernel takes back so many look-ups. */
void mount__inode_forget(table_t *table, inode_t *inode, uint64_t lookups);
/* The attributes that the kernel is told now. */
void mount__inode_told(table_t *table, inode_t *inode, const vfs_attr_t *attr);
/* Was its last name removed? Then `attr` receives what it was; 0: it has a name, or may have. */
int mount__inode_removed(table_t *table, inode_t *inode, vfs_attr_t *attr);
/* What programs see as the number of a file with these attributes. */
uint64_t mount__inode_number(const table_t *table, const vfs_attr_t *attr, const inode_t *dir,
                             const char *name);
/* Within the table's mutex: */
name_t *mount__name_find(const table_t *table, const inode_t *dir, const char *name, size_t len);
name_t *mount__name_add(table_t *table, inode_t *dir, const char *name, inode_t *inode);
void mount__name_remove(table_t *table, name_t *name);
void mount__inode_unhash(table_t *table, inode_t *inode);
void mount__inode_drop(table_t *table, inode_t *inode); /* if nobody needs it */
void mount__table_wait(table_t *table);
void mount__table_wake(table_t *table);

/* ---- paths.c */

/* A path that stays what it is until it is given back. */
typedef struct path_t {
    name_t *last; /* of the inode or directory that it leads to; NULL: the root */
    char text[VFS_PATH_MAX + 1];
} path_t;

/* One or two names that change. */
typedef struct claim_t {
    path_t at[2];    /* of their directories, with their names behind */
    name_t *name[2]; /* taken; NULL: nobody has looked it up */
    inode_t *dir[2];
    const char *text[2];
    int count;
} claim_t;

/* The path of an inode. 0; ESTALE: it has none; ENAMETOOLONG. */
int mount__path_of(table_t *table, inode_t *inode, path_t *path);
/* The path of a name in a directory. Likewise. */
int mount__path_in(table_t *table, inode_t *dir, const char *name, path_t *path);
/* Both at once. Likewise. */
int mount__path_both(table_t *table, inode_t *inode, path_t *path, inode_t *dir, const char *name,
                     path_t *in);
void mount__path_end(table_t *table, path_t *path);
/* The text of a path as it is at the moment, to be shown: who changes it is not waited for, and
 * nothing is to be given back. `name` may be NULL. NULL: there is none. */
const char *mount__path_seen(table_t *table, inode_t *inode, const char *name, path_t *path);
/* Take names, and the paths of their directories. Likewise. */
int mount__claim(table_t *table, claim_t *claim, inode_t *dir, const char *name, inode_t *to_dir,
                 const char *to_name);
void mount__claim_end(table_t *table, claim_t *claim);
/* What was done below to the names of a claim. */
void mount__claim_removed(table_t *table, claim_t *claim);
void mount__claim_moved(table_t *table, claim_t *claim, int exchanged);

/* ---- handles */

struct open_file_t {
    vfs_file_t *file;
    inode_t *inode;
    open_file_t *next, *prev; /* of the inode */
    uint32_t flags;           /* VFS_O_* */
    uint32_t refs;            /* the kernel's, and calls under way */
};

struct open_dir_t {
    pthread_mutex_t mutex; /* one page at a time */
    vfs_dir_t *dir;        /* NULL: it was removed before it was opened, and has no entries */
    inode_t *inode;
    uint64_t at;    /* the next entry is the one behind this cookie */
    uint32_t turns; /* of the inode, when `dir` began to list */
    int pending;    /* that entry is read already: it did not fit */
    vfs_dirent_t entry;
    char name[VFS_NAME_MAX + 1];
    open_dir_t *next, *prev; /* of the mount */
};

/* A handle of an inode that has all of `flags`, referenced, or NULL. */
open_file_t *mount__file_any(mount_t *m, inode_t *inode, uint32_t flags);
void mount__file_put(mount_t *m, open_file_t *file);
static inline open_file_t *mount__file_of(const struct fuse_file_info *fi)
{
    return (open_file_t *)(uintptr_t)fi->fh;
}

/* ---- notify.c: what the kernel shall not keep any more */

/* Guarded by its mutex, under which nothing else is taken. */
typedef struct notify_t {
    pthread_mutex_t mutex;
    pthread_cond_t wake, ended; /* there is something to do; something is done */
    drop_t *first, *last;
    size_t count;
    uint64_t asked, done; /* numbers, in order */
    uint64_t watch;
    int watching, started, over;
    atomic_int stop;
    pthread_t thread;
} notify_t;

/* Begin, and watch for changes if the mount shall. After an error as after success: end it. */
apr_status_t mount__notify_start(mount_t *m);
/* Tell the kernel nothing more; while calls are still answered. */
void mount__notify_stop(mount_t *m);
void mount__notify_end(mount_t *m);

/* ---- hot.c: what the kernel asks for most often */

#define HOT_PLACES 64u

typedef struct hot_place_t {
    uint64_t generation; /* of the inode; 0: nobody's, or the root's */
    uint64_t count, error;
    char *path;
} hot_place_t;

typedef struct hot_t {
    pthread_mutex_t mutex; /* before the table's */
    uint64_t halved_ns;
    hot_place_t place[HOT_PLACES];
} hot_t;

/* The kernel opened it, or read or wrote bytes. */
void mount__hot(mount_t *m, inode_t *inode);
void mount__hot_end(mount_t *m);

/* Is what is looked up read next? Each look-up of a file makes that less likely, each open to read
 * more: half of the look-ups or more that were followed by one lead to READS_ALL / 2 and above. */
#define READS_ALL 1024
#define READS_FIRST 700

/* ---- the mount: session.c */

struct mount_t {
    mount_config_t config;
    vfs_t *fs;
    struct fuse_session *session;
    table_t table;
    open_dir_t *dirs;                              /* under the table's mutex, as the next */
    lock_waiter_t *waiters;                        /* who waits for a lock */
    call_slot_t *slots;                            /* of the threads that serve */
    _Atomic double attr_timeout, negative_timeout; /* seconds */
    notify_t notify;
    hot_t hot;
    atomic_int agreed;  /* the answer to INIT comes next */
    uint32_t offered;   /* by the kernel, in INIT */
    atomic_int drops;   /* agreed: we take set-id bits away */
    atomic_int reads;   /* of READS_ALL: how likely a file that is looked up is read next */
    atomic_int listens; /* somebody hears of calls */
    int locks;          /* below are locks */
    int acl;            /* the stack has access rules */
    void (*ready)(void *baton);
    void *ready_baton;
    char said[256]; /* the first message of libfuse */
    int mounted;
    atomic_int ended; /* the loop is over */
    pthread_t server; /* who runs it */
};

/* ---- device.c */

/* Read and write the device of the session. Returns an errno. */
int mount__device_take(mount_t *m);
/* What the kernel is told next is what was agreed. */
void mount__device_agreed(mount_t *m);
/* Does the call that this thread serves take set-id bits away? */
int mount__drops_bits(void);

/* ---- request.c: one call */

static inline mount_t *mount__of(fuse_req_t req)
{
    return fuse_req_userdata(req);
}
inode_t *mount__inode_of(mount_t *m, fuse_ino_t ino);
fuse_ino_t mount__ino_of(mount_t *m, const inode_t *inode);
/* The context of a call: it ends when its caller is killed. Valid until the thread's next one. */
const vfs_ctx_t *mount__ctx(fuse_req_t req);
/* When the thread's call began, if somebody listens; else 0. */
uint64_t mount__began_ns(void);
/* Give up all calls that are under way. */
void mount__slots_raise(mount_t *m);
void mount__slots_end(mount_t *m);
/* The caller, where something is made: his user, groups and umask. */
typedef struct caller_t {
    vfs_ctx_t ctx;
    const vfs_ctx_t *own; /* the same call, as ourselves */
    uint32_t few[32];
    uint32_t *groups;
} caller_t;
void mount__caller(fuse_req_t req, caller_t *caller);
void mount__caller_end(caller_t *caller);
/* Was he refused for a directory that the kernel knows a way around? */
int mount__stands_in(const caller_t *caller, apr_status_t status);
/* The group that what is made there gets from us, or -1. */
uint32_t mount__gives_group(const inode_t *dir, const caller_t *caller);
/* The errno that the kernel gets. */
int mount__errno(apr_status_t status);
void mount__reply_status(fuse_req_t req, apr_status_t status);
/* Attributes as the kernel wants them. */
void mount__stat(const inode_t *inode, const vfs_attr_t *attr, struct stat *st);
/* Tell the kernel of a name that leads to `attr`. */
int mount__entry(mount_t *m, inode_t *dir, const char *name, const vfs_attr_t *attr,
                 inode_t *source, struct fuse_entry_param *entry);
void mount__reply_attr(fuse_req_t req, inode_t *inode, const vfs_attr_t *attr);

/* ---- access.c: who listens */

/* As in mount_access_t; `name` in the directory `inode`, or NULL: the inode itself. `text`: what
 * `to` shall be, instead of a name. */
typedef struct heard_t {
    const char *op;
    inode_t *inode;
    const char *name;
    inode_t *to_dir;
    const char *to_name, *text;
    uint64_t offset, bytes, done;
    int error;
} heard_t;

void mount__hear(fuse_req_t req, const heard_t *what);
/* Say what was done, before the answer: afterwards the kernel may let go of the inode. */
#define mount__heard(req, ...)                                                                     \
    do {                                                                                           \
        if (atomic_load_explicit(&mount__of(req)->listens, memory_order_relaxed))                  \
            mount__hear(req, &(heard_t){__VA_ARGS__});                                             \
    } while (0)
uint64_t mount__clock_ns(void);

/* ---- the calls; see struct fuse_lowlevel_ops */

void mount__lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void mount__forget(fuse_req_t req, fuse_ino_t ino, uint64_t count);
void mount__forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);
void mount__mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev);
void mount__mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void mount__symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void mount__link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void mount__unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void mount__rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void mount__rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t to_parent,
                   const char *to_name, unsigned flags);

/* Take away the set-id bits of an open file, if its caller has no right to keep them. */
apr_status_t mount__drop_bits(fuse_req_t req, const vfs_ctx_t *ctx, open_file_t *file);
void mount__getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void mount__setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int which,
                    struct fuse_file_info *fi);
void mount__readlink(fuse_req_t req, fuse_ino_t ino);
void mount__statfs(fuse_req_t req, fuse_ino_t ino);
void mount__getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void mount__setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                     size_t size, int flags);
void mount__listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void mount__removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

void mount__create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                   struct fuse_file_info *fi);
void mount__open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void mount__read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi);
void mount__write(fuse_req_t req, fuse_ino_t ino, const char *buf, size_t size, off_t off,
                  struct fuse_file_info *fi);
void mount__flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void mount__fsync(fuse_req_t req, fuse_ino_t ino, int data, struct fuse_file_info *fi);
void mount__release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void mount__fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
                      struct fuse_file_info *fi);
void mount__lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence, struct fuse_file_info *fi);
void mount__copy_file_range(fuse_req_t req, fuse_ino_t ino, off_t off, struct fuse_file_info *fi,
                            fuse_ino_t to_ino, off_t to_off, struct fuse_file_info *to_fi,
                            size_t len, int flags);

void mount__getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock);
void mount__setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock,
                  int wait);
void mount__flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op);
/* An owner's locks end with each close of his. */
void mount__unlock_owner(open_file_t *file, uint64_t owner);

void mount__opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void mount__readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi);
void mount__readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                        struct fuse_file_info *fi);
void mount__releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void mount__fsyncdir(fuse_req_t req, fuse_ino_t ino, int data, struct fuse_file_info *fi);
/* End all waiting for locks. */
void mount__waiters_end(mount_t *m);
/* Close what the kernel left open. */
void mount__files_end(mount_t *m);
void mount__dirs_end(mount_t *m);

#endif
