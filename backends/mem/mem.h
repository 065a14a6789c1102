/*
 * mem.h - a file system in memory: its objects, its locks, and the calls between its files.
 * Floor 2, private to backends/mem. Knows vfs only.
 *
 * Names and files are apart. A directory maps names to inodes; an inode lives as long as a name, a
 * handle or a call holds it. Two kinds of lock, taken in this order and never held across a
 * callback:
 *
 *   1  fs->names    every directory's entries, the aliases of every inode; one for the file system
 *   2  inode->lock  attributes, bytes and extended attributes of one inode; of two, the lower
 * number first 3  watches.lock the queue of events and the list of watches
 *
 * A call that needs a file finds it under `names`, takes a reference, drops `names` and then locks
 * the inode, so a long write stops nobody who looks up other names. Freeing comes after the locks
 * are dropped.
 *
 * The root is the whole world: an absolute link counts from it, and a link whose ".." climbs above
 * it leads out, which is APR_EACCES. Times of access are set by utimens only (as a mount with
 * noatime). Without VFS_CTX_CREDS the caller is privileged; with them uid 0 is.
 */
#ifndef BACKENDS_MEM_MEM_H
#define BACKENDS_MEM_MEM_H

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "vfs/locktable.h"
#include "vfs/vfs_ops.h"

#define MEM_PAGE 4096u
#define MEM_PAGE_BITS 12
#define MEM_NODE_BITS 6
#define MEM_NODE_SLOTS 64u
/** As ext4 with 4 KiB blocks: 2^32 - 1 pages. */
#define MEM_FILE_MAX ((uint64_t)UINT32_MAX << MEM_PAGE_BITS)
#define MEM_LINK_MAX 65000u     /**< names of one file, as ext4 */
#define MEM_FOLLOW_MAX 40u      /**< links followed in one walk, as Linux */
#define MEM_XATTR_NAME_MAX 255u /**< bytes in the name of an attribute */
#define MEM_XATTR_MAX 65536u    /**< bytes in a value, and in the list of names of one inode */
#define MEM_EVENTS_MAX 16384u   /**< events that wait; more are an overflow */
#define MEM_WATCHES_MAX 1024u

#define MEM_SUID 04000u
#define MEM_SGID 02000u
#define MEM_STICKY 01000u
#define MEM_XGRP 00010u

#define MEM_ERR(name) APR_FROM_OS_ERROR(name)

typedef struct mem_inode_t mem_inode_t;
typedef struct mem_dirent_t mem_dirent_t;
typedef struct mem_fs_t mem_fs_t;

/** A name. Guarded by fs->names; hash, len and name never change, seq neither. */
struct mem_dirent_t {
    mem_dirent_t *next;   /**< in its bucket */
    mem_inode_t *inode;   /**< one reference */
    mem_inode_t *parent;  /**< the directory; not counted, for it cannot go before its entries */
    mem_dirent_t *before; /**< other names of the inode */
    mem_dirent_t *after;
    uint64_t seq; /**< place in the listing; never used again in this directory */
    uint32_t hash;
    uint32_t len;
    char name[];
};

/** A place in a listing; entry is NULL when the name is gone. */
typedef struct mem_place_t {
    uint64_t seq;
    mem_dirent_t *entry;
} mem_place_t;

/** Entries of a directory: a hash table to find, an array by age to list. Guarded by fs->names. */
typedef struct mem_dir_t {
    mem_dirent_t **buckets;
    size_t nbuckets; /**< a power of two, or 0 */
    size_t count;
    mem_place_t *order; /**< ascending seq; those before `first` are all gone */
    size_t first, used, room;
    uint64_t seq; /**< of the latest entry */
} mem_dir_t;

/** The pages of a file: a radix tree of nodes with 64 slots. Guarded by the inode's lock. */
typedef struct mem_pages_t {
    void *root;      /**< height 0: the page 0 itself; else a node */
    uint32_t height; /**< covers 64^height pages */
    uint64_t count;  /**< pages, reserved ones too */
} mem_pages_t;

typedef struct mem_xattr_t mem_xattr_t;
struct mem_xattr_t {
    mem_xattr_t *next;
    size_t len;      /**< of value */
    size_t name_len; /**< without its NUL */
    char bytes[];    /**< name, NUL, value */
};

/** A file of any type. type and ino never change; names is guarded by fs->names; refs is atomic;
 * the rest is guarded by lock. It dies with its last reference. */
struct mem_inode_t {
    pthread_rwlock_t lock;
    _Atomic uint32_t refs; /**< one for each name, handle and call that uses it */
    vfs_type_e type;
    uint64_t ino;
    mem_dirent_t *names; /**< every name it has; NULL for the root and when unlinked */
    uint32_t mode, uid, gid, nlink;
    uint64_t rdev, size;
    int64_t atime_ns, mtime_ns, ctime_ns, btime_ns;
    uint64_t version; /**< changes when the bytes (or entries) do */
    mem_xattr_t *xattrs;
    size_t xattr_names; /**< bytes of the list of names */
    vfs__locks_t locks; /**< guarded by fs->locktable */
    union {
        mem_pages_t pages; /**< VFS_TYPE_FILE */
        mem_dir_t dir;     /**< VFS_TYPE_DIR; guarded by fs->names */
        char *target;      /**< VFS_TYPE_LINK; never changes, size is its length */
    } u;
};

typedef struct mem_watch_t mem_watch_t;
struct mem_watch_t {
    mem_watch_t *next;
    uint64_t id;
    vfs_event_fn fn;
    void *baton;
    int overflow;    /**< events were lost; the thread will say so */
    size_t real_len; /**< bytes of real */
    char *real;      /**< where the path leads, links followed */
    char asked[];    /**< as the caller names it; events say so too */
};

typedef struct mem_event_t mem_event_t;
struct mem_event_t {
    mem_event_t *next;
    uint64_t before; /**< only watches with a smaller id hear of it */
    uint32_t bits;
    int moved; /**< a directory came with what is in it */
    size_t len;
    char path[];
};

/** Watches and what waits to be told. Guarded by lock, but for count. */
typedef struct mem_watches_t {
    pthread_mutex_t lock;
    pthread_cond_t wake; /**< something to tell, or stop */
    pthread_cond_t idle; /**< a callback returned */
    _Atomic uint32_t count;
    mem_watch_t *list; /**< ascending id */
    mem_watch_t *running;
    mem_event_t *head, *tail;
    size_t queued;
    uint64_t next_id;
    pthread_t thread;
    int started, stop;
} mem_watches_t;

struct mem_fs_t {
    pthread_rwlock_t names;
    mem_inode_t *root;
    uint64_t dev;
    uint64_t
        epoch; /**< where versions begin: differs from every earlier life of this file system */
    uint32_t uid, gid;
    uint64_t bytes_max; /**< 0: no limit */
    _Atomic uint64_t bytes_used;
    _Atomic uint64_t inodes;
    _Atomic uint64_t last_ino;
    vfs__locktable_t *locktable;
    mem_watches_t watches;
};

typedef struct mem_file_t {
    vfs_file_t base;
    mem_inode_t *inode;
    int direct; /**< no link was followed when it was opened */
} mem_file_t;

/** Who asks. */
typedef struct mem_user_t {
    uint32_t uid, gid;
    const uint32_t *groups;
    size_t ngroups;
    int root;
} mem_user_t;

/** Where a walk ended. Pointers are good as long as fs->names is held. */
typedef struct mem_walk_t {
    mem_inode_t *dir;    /**< parent of the last component; NULL if that has no name */
    mem_dirent_t *entry; /**< NULL: absent, or no name */
    mem_inode_t *inode;  /**< NULL: absent */
    const char *name;
    uint32_t len;
    uint32_t hash;
    int direct; /**< no link was followed */
    int slash;  /**< the text of a link asks for a directory */
} mem_walk_t;

/* ---- locks */

static inline void mem__rd(pthread_rwlock_t *lock)
{
    int err = pthread_rwlock_rdlock(lock);
    VFS_ASSERT(err == 0);
}
static inline void mem__wr(pthread_rwlock_t *lock)
{
    int err = pthread_rwlock_wrlock(lock);
    VFS_ASSERT(err == 0);
}
static inline void mem__un(pthread_rwlock_t *lock)
{
    int err = pthread_rwlock_unlock(lock);
    VFS_ASSERT(err == 0);
}
/** Writers go first: a steady stream of readers must not starve them. Returns 0 or an errno. */
int mem__rwlock_init(pthread_rwlock_t *lock);

/* ---- inode.c */

mem_user_t mem__user(const mem_fs_t *fs, const vfs_ctx_t *ctx);
int mem__in_group(const mem_user_t *user, uint32_t gid);
/** May the user? @param mask VFS_ACCESS_*. Takes inode->lock for reading. */
apr_status_t mem__may(mem_inode_t *inode, const mem_user_t *user, uint32_t mask);
/** As mem__may, with inode->lock held. */
apr_status_t mem__may_locked(const mem_inode_t *inode, const mem_user_t *user, uint32_t mask);
/** A new inode with one reference and no name (a directory has nlink 1, its "."), or NULL. */
mem_inode_t *mem__inode_new(mem_fs_t *fs, vfs_type_e type, uint32_t mode, uint32_t uid,
                            uint32_t gid, int64_t now);
void mem__inode_get(mem_inode_t *inode);
/** Drop a reference; the last one frees. Call it with no lock held. NULL is fine. */
void mem__inode_put(mem_fs_t *fs, mem_inode_t *inode);
/** Attributes and version; inode->lock held. Either out-parameter may be NULL. */
void mem__inode_attr(const mem_fs_t *fs, const mem_inode_t *inode, int direct, vfs_attr_t *attr,
                     vfs_validator_t *validator);
/** As mem__inode_attr; takes the lock. */
void mem__inode_stat(const mem_fs_t *fs, mem_inode_t *inode, int direct, vfs_attr_t *attr,
                     vfs_validator_t *validator);
/** The bytes changed: version, mtime, ctime. inode->lock held for writing. */
void mem__inode_changed(mem_inode_t *inode, int64_t now);
/** What a write or truncate by this user does to the suid and sgid bits. inode->lock held for
 * writing. */
void mem__inode_unprivilege(mem_inode_t *inode, const mem_user_t *user);
/** An entry of a directory changed. Takes the lock. */
void mem__dir_touch(mem_inode_t *dir, int64_t now, int nlink_delta);
/** A name came, went or moved. Takes the lock. */
void mem__inode_touch(mem_inode_t *inode, int64_t now, int nlink_delta);
/** What may be used at most: the limit, or the memory of the machine. */
uint64_t mem__bytes_total(const mem_fs_t *fs);
/** Is there room for so many bytes more? If so they are taken. */
int mem__charge(mem_fs_t *fs, uint64_t bytes);
void mem__refund(mem_fs_t *fs, uint64_t bytes);

/* ---- dir.c: fs->names held, for writing where something changes */

mem_dirent_t *mem__dir_find(const mem_dir_t *dir, const char *name, uint32_t len, uint32_t hash);
/** Add a name that is not there. Takes over one reference of `inode`, unless it fails (APR_ENOMEM).
 */
apr_status_t mem__dir_add(mem_inode_t *dir, const char *name, uint32_t len, uint32_t hash,
                          mem_inode_t *inode);
/** Remove a name. The entry's reference becomes the caller's. */
mem_inode_t *mem__dir_remove(mem_dirent_t *entry);
/** Let the name stand for another inode, at its old place. Takes over a reference and hands one
 * out. */
mem_inode_t *mem__dir_swap(mem_dirent_t *entry, mem_inode_t *inode);
/** The first entry whose seq is above `after` and not above `limit`, or NULL. `hint` speeds up the
 * next. */
mem_dirent_t *mem__dir_next(const mem_dir_t *dir, uint64_t after, uint64_t limit, size_t *hint);
/** Free the tables of an empty directory. */
void mem__dir_free(mem_dir_t *dir);

/* ---- walk.c: fs->names held */

/** Find a path. An absent last component is success, with w->inode NULL. w->direct is right in
 * every case. */
apr_status_t mem__walk(mem_walk_t *w, mem_fs_t *fs, const mem_user_t *user, const char *path,
                       int follow);
/** Find an existing path and take a reference. Takes fs->names itself. `direct` may be NULL. */
apr_status_t mem__lookup(mem_inode_t **inode, mem_fs_t *fs, const mem_user_t *user,
                         const vfs_path_t *path, int follow, int *direct);
/** The parent of a directory; the root's is the root. */
mem_inode_t *mem__parent(mem_inode_t *dir);

/* ---- pages.c: the inode's lock held, for writing where something changes */

/** What stands in a slot for a page that is paid for, but was never written. */
extern unsigned char mem__reserved_page[1];
/** The page, NULL for a hole, or mem__reserved_page. */
unsigned char *mem__page_at(const mem_pages_t *pages, uint64_t index);
/** The slots from `index` on within one node, and how many. *slots is NULL for a hole of so many
 * pages. */
uint64_t mem__pages_run(const mem_pages_t *pages, uint64_t index, void *const **slots);
typedef enum mem_want_e {
    MEM_WANT_HOLE = 0, /**< nothing at all */
    MEM_WANT_PAGE,     /**< a page, reserved or not */
    MEM_WANT_DATA,     /**< a page with bytes */
    MEM_WANT_EMPTY     /**< a hole or a reserved page: what reads as zeros */
} mem_want_e;
/** The next such place at or behind `index`; `end` if there is none before it. */
uint64_t mem__pages_next(const mem_pages_t *pages, uint64_t index, uint64_t end, mem_want_e want);
/** A page that can be written, made if need be; zeroed unless it will be written `whole`.
 *  @return APR_SUCCESS, APR_ENOSPC, APR_ENOMEM */
apr_status_t mem__page_writable(mem_fs_t *fs, mem_pages_t *pages, uint64_t index, int whole,
                                unsigned char **page);
/** Put a page, or mem__reserved_page, that is paid for into a hole. @return APR_SUCCESS, APR_ENOMEM
 */
apr_status_t mem__page_set(mem_pages_t *pages, uint64_t index, unsigned char *page);
/** Take a page out of the tree; the caller owns it and its charge. */
unsigned char *mem__page_take(mem_pages_t *pages, uint64_t index);
/** Free the pages in [from, to). */
void mem__pages_drop(mem_fs_t *fs, mem_pages_t *pages, uint64_t from, uint64_t to);

/* ---- data.c: bytes of a regular file; inode->lock held, for writing where something changes */

/** Copy bytes out; returns how many, up to the end of the file. */
size_t mem__data_read(const mem_inode_t *inode, unsigned char *buf, size_t len, uint64_t off);
/** Copy bytes in; *written tells how many got in before the error. Sets the size, not the times. */
apr_status_t mem__data_write(mem_fs_t *fs, mem_inode_t *inode, const unsigned char *buf, size_t len,
                             uint64_t off, size_t *written);
/** The whole of truncate: size, times, version, suid. */
void mem__data_truncate(mem_fs_t *fs, mem_inode_t *inode, const mem_user_t *user, uint64_t size);
/** vfs_allocate. Sets times, size and version. */
apr_status_t mem__data_allocate(mem_fs_t *fs, mem_inode_t *inode, uint32_t flags, uint64_t off,
                                uint64_t len);
/** Copy between two files, or within one; what is empty in the source becomes a hole. Sets the
 * size, not the times. @param copied  how many, up to the end of the source or to the error */
apr_status_t mem__data_copy(mem_fs_t *fs, const mem_inode_t *src, uint64_t src_off,
                            mem_inode_t *dst, uint64_t dst_off, size_t len, size_t *copied);
/** vfs_seek_extent. @return APR_SUCCESS, VFS_ENODATA */
apr_status_t mem__data_seek(const mem_inode_t *inode, uint64_t off, int hole, uint64_t *where);

/* ---- names.c */

/** What to make. */
typedef struct mem_new_t {
    vfs_type_e type;
    uint32_t mode; /**< the umask of the context is taken from it */
    uint64_t rdev;
    const char *target; /**< the text of a VFS_TYPE_LINK, else NULL */
} mem_new_t;
/** Make a name under fs->names (held for writing), at the end of a walk that found none there.
 *  @param made  receives the inode, not referenced; may be NULL
 *  @return APR_SUCCESS, APR_EACCES, APR_ENOMEM */
apr_status_t mem__make(mem_fs_t *fs, const vfs_ctx_t *ctx, const mem_user_t *user,
                       const mem_walk_t *w, const mem_new_t *what, mem_inode_t **made);
/** May the user remove this name, as a directory or as something else? fs->names held. */
apr_status_t mem__may_remove(const mem_walk_t *w, const mem_user_t *user, int as_dir);

/* ---- watch.c */

apr_status_t mem__watches_init(mem_watches_t *watches);
/** Stop the thread and free everything. */
void mem__watches_destroy(mem_watches_t *watches);
static inline int mem__watched(mem_fs_t *fs)
{
    return atomic_load_explicit(&fs->watches.count, memory_order_relaxed) != 0;
}
/** Tell of a name; fs->names held. @param moved a directory that may have something in it */
void mem__event_name(mem_fs_t *fs, uint32_t bits, mem_inode_t *dir, const char *name, size_t len,
                     int moved);
/** Tell of every name of an inode; fs->names held. */
void mem__event_inode(mem_fs_t *fs, uint32_t bits, mem_inode_t *inode);
/** As mem__event_inode; takes fs->names. Call it with no lock held. */
void mem__event_changed(mem_fs_t *fs, mem_inode_t *inode);

/* ---- the ops, in the table of mem.c */

#define VFS_OP_FS(name, class, params, args, doc)                                                  \
    apr_status_t mem_##name(vfs_t *fs, VFS_UNPACK params);
#define VFS_OP_FILE(name, class, params, args, doc)                                                \
    apr_status_t mem_##name(vfs_file_t *file, VFS_UNPACK params);
#define VFS_OP_DIR(name, class, params, args, doc)                                                 \
    apr_status_t mem_##name(vfs_dir_t *dir, VFS_UNPACK params);
#include "vfs/vfs_ops.def"
apr_status_t mem_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                      uint32_t flags, uint32_t mode, vfs_attr_t *attr, vfs_validator_t *validator);
apr_status_t mem_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                         uint32_t flags);
apr_status_t mem_close(vfs_file_t *file, const vfs_ctx_t *ctx);
apr_status_t mem_closedir(vfs_dir_t *dir);
apr_status_t mem_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                            vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied);

#endif
