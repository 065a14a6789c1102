/*
 * mem.c - life of the file system in memory, its table of ops, and what concerns it as a whole.
 * Floor 2. Knows vfs only.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/backends.h"
#include "backends/mem/mem.h"

#define MEM_FILES_TOTAL (1ull << 32)

static const vfs_caps_t mem_caps = {
    .size = sizeof(vfs_caps_t),
    .bits = VFS_CAP_WRITE | VFS_CAP_RANDOM_WRITE | VFS_CAP_DIRS | VFS_CAP_SYMLINK |
            VFS_CAP_HARDLINK | VFS_CAP_XATTR | VFS_CAP_SPECIAL | VFS_CAP_SPARSE | VFS_CAP_MODE |
            VFS_CAP_OWNER | VFS_CAP_TIMES | VFS_CAP_ATOMIC_RENAME | VFS_CAP_RENAME_NOREPLACE |
            VFS_CAP_RENAME_EXCHANGE | VFS_CAP_STABLE_ID | VFS_CAP_EXCL_CREATE | VFS_CAP_COMMIT |
            VFS_CAP_CONDITIONAL | VFS_CAP_LOCK | VFS_CAP_COPY_RANGE | VFS_CAP_ALLOCATE |
            VFS_CAP_SHIFT | VFS_CAP_WATCH | VFS_CAP_SYNC | VFS_CAP_UNLINKED_OPEN | VFS_CAP_APPEND |
            VFS_CAP_CREDS | VFS_CAP_CONFINED | VFS_CAP_LISTS_ALL,
    .time_granularity_ns = 1,
    .file_size_max = MEM_FILE_MAX,
    .name_max = VFS_NAME_MAX,
    .round_trip_us = 0,
};

int mem__rwlock_init(pthread_rwlock_t *lock)
{
    pthread_rwlockattr_t attr;
    int err = pthread_rwlockattr_init(&attr);

    if (err != 0) return err;
    err = pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    if (err == 0) err = pthread_rwlock_init(lock, &attr);
    (void)pthread_rwlockattr_destroy(&attr); /* cannot fail for a valid object */
    return err;
}

/* Empty the tree from the leaves up; the way back is the directory's own name, so depth costs
 * nothing. */
static void mem_free_tree(mem_fs_t *m)
{
    mem_inode_t *dir = m->root;

    for (;;) {
        size_t hint = 0;
        mem_dirent_t *entry = mem__dir_next(&dir->u.dir, 0, UINT64_MAX, &hint);
        if (entry != NULL && entry->inode->type == VFS_TYPE_DIR) {
            dir = entry->inode;
            continue;
        }
        if (entry == NULL) {
            if (dir == m->root) break;
            entry = dir->names;
            dir = entry->parent;
        }
        mem__inode_put(m, mem__dir_remove(entry));
    }
    mem__inode_put(m, m->root);
}

static void mem_free(mem_fs_t *m)
{
    mem_free_tree(m);
    mem__watches_destroy(&m->watches);
    vfs__locktable_destroy(m->locktable);
    (void)pthread_rwlock_destroy(&m->names);
    free(m);
}

static apr_status_t mem_destroy(vfs_t *fs)
{
    mem_free(fs->state);
    fs->state = NULL;
    return APR_SUCCESS;
}

static const vfs_ops_t mem_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "mem",
    .destroy = mem_destroy,
    .open = mem_open,
    .opendir = mem_opendir,
    .close = mem_close,
    .closedir = mem_closedir,
    .copy_range = mem_copy_range,
#define VFS_OP_FS(name, class, params, args, doc) .name = mem_##name,
#define VFS_OP_FILE(name, class, params, args, doc) .name = mem_##name,
#define VFS_OP_DIR(name, class, params, args, doc) .name = mem_##name,
#include "vfs/vfs_ops.def"
};

static apr_status_t mem_new(mem_fs_t **out, uint64_t bytes_max)
{
    static _Atomic uint64_t devices = 0x6d656d00; /* "mem", so that it is known in a listing */
    mem_fs_t *m = calloc(1, sizeof(*m));
    apr_status_t status;

    if (m == NULL) return APR_ENOMEM;
    m->dev = 1 + atomic_fetch_add_explicit(&devices, 1, memory_order_relaxed);
    m->epoch = (uint64_t)vfs_now_ns();
    m->uid = (uint32_t)geteuid();
    m->gid = (uint32_t)getegid();
    m->bytes_max = bytes_max;
    atomic_init(&m->last_ino, 1); /* the root is 2, as in ext4 */
    if (mem__rwlock_init(&m->names) != 0) {
        free(m);
        return APR_ENOMEM;
    }
    status = mem__watches_init(&m->watches);
    if (status != APR_SUCCESS) goto no_watches;
    status = vfs__locktable_create(&m->locktable);
    if (status != APR_SUCCESS) goto no_locks;
    m->root = mem__inode_new(m, VFS_TYPE_DIR, 0755, m->uid, m->gid, vfs_now_ns());
    if (m->root != NULL) {
        m->root->nlink = 2;
        *out = m;
        return APR_SUCCESS;
    }
    status = APR_ENOMEM;
    vfs__locktable_destroy(m->locktable);
no_locks:
    mem__watches_destroy(&m->watches);
no_watches:
    (void)pthread_rwlock_destroy(&m->names);
    free(m);
    return status;
}

apr_status_t vfs_mem_create(vfs_t **out, uint64_t bytes_max, apr_pool_t *pool)
{
    mem_fs_t *m = NULL;
    apr_status_t status;

    VFS_CHECK_ARG(out != NULL && pool != NULL);
    status = mem_new(&m, bytes_max);
    if (status != APR_SUCCESS) return status;
    status = vfs_create(out, &mem_ops, NULL, m, &mem_caps, pool);
    if (status != APR_SUCCESS) mem_free(m);
    return status;
}

apr_status_t mem_statfs(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, vfs_statfs_t *out)
{
    mem_fs_t *m = fs->state;
    mem_user_t user = mem__user(m, ctx);
    mem_inode_t *inode;
    apr_status_t status = mem__lookup(&inode, m, &user, path, 1, NULL);

    if (status != APR_SUCCESS) return status;
    mem__inode_put(m, inode);
    uint64_t used = atomic_load_explicit(&m->bytes_used, memory_order_relaxed);
    uint64_t inodes = atomic_load_explicit(&m->inodes, memory_order_relaxed);
    out->bytes_total = mem__bytes_total(m);
    out->bytes_free = out->bytes_total > used ? out->bytes_total - used : 0;
    out->bytes_available = out->bytes_free;
    out->files_total = MEM_FILES_TOTAL;
    out->files_free = MEM_FILES_TOTAL > inodes ? MEM_FILES_TOTAL - inodes : 0;
    out->block_size = MEM_PAGE;
    out->name_max = VFS_NAME_MAX;
    return APR_SUCCESS;
}

/* What is in memory is as durable as the file system itself: there is nothing to do but to answer
 * for what does not exist. */
apr_status_t mem_sync_dir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    mem_fs_t *m = fs->state;
    mem_user_t user = mem__user(m, ctx);
    mem_inode_t *inode;
    apr_status_t status = mem__lookup(&inode, m, &user, path, 1, NULL);

    if (status != APR_SUCCESS) return status;
    status = inode->type == VFS_TYPE_DIR ? APR_SUCCESS : APR_ENOTDIR;
    mem__inode_put(m, inode);
    return status;
}

apr_status_t mem_sync_fs(vfs_t *fs, const vfs_ctx_t *ctx)
{
    (void)fs;
    (void)ctx;
    return APR_SUCCESS;
}
