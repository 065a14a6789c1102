/*
 * crash.c - the shim that plays a disk whose power can fail: turns, handles, reads, and the
 * interface. Floor 1. crash_open.c, crash_files.c and crash_names.c change things, crash_log.c
 * remembers, crash_replay.c loses power.
 *
 * The model
 *
 * The lower always holds the current state, as a running system sees it. The log holds what
 * separates it from the durable state: for each file its changes since its last sync, with the
 * durable bytes that they replaced (in blocks, each kept when it is first touched), and one list of
 * operations on names. A power loss picks a subset of the log; the survivor is the durable state
 * plus that subset, in order.
 *
 * Of one file any subset of its changes may survive: each write, truncate, change of attributes or
 * of an extended attribute for itself. A file whose name survives without its writes is empty.
 *
 * Operations on names survive one by one too, whole (both names of a rename, or none), whatever
 * their directory or age, as long as the tree stays a tree that could have been:
 *   - an operation needs the earlier ones on the same name of the same directory;
 *   - removing a directory needs all earlier operations within it, so that it is empty;
 *   - moving something into a directory needs what made or moved that directory and those above it.
 * So a rename never loses what was durable under its old name, and there are no loops: a directory
 * that once was below another came out of there, or the other could not have moved into it. Names
 * belong to directories, not to paths: a directory that is renamed takes what is in it along,
 * durable or not. What lies in a directory whose own name does not survive is lost with it, synced
 * or not.
 *
 * What becomes durable, and nothing more (journaling file systems give more, portable programs
 * cannot count on it):
 *   - sync of a file: its bytes and size (and attributes, unless VFS_SYNC_DATA), and the name that
 * it was created under, if that is not durable yet. A rename since then still needs a sync of the
 * directory.
 *   - VFS_O_SYNC: each write, as a sync of the file behind it.
 *   - sync_dir, or sync of an open directory: all names in it, and its attributes. A rename counts
 * for both its directories.
 *   - sync_fs: everything.
 *   - what an operation needs by the rules above becomes durable with it.
 * flush makes nothing durable.
 *
 * Identity is the lower's (dev, ino), so the lower must have VFS_CAP_STABLE_ID. A file that loses a
 * name gets a hard link in the hidden directory "/.vfs-crash" (VFS_CAP_HARDLINK) until that is
 * durable; its space is free only then. Removed directories and symbolic links are made anew if
 * they come back: with other inode numbers, and without extended attributes. Not modelled: access
 * times, ctime, and the times of directories whose names changed.
 *
 * Changing calls take turns (crash.h), because the log must have the order of the lower; the lower
 * is called without a lock. Reads go by freely; one that was under way when power failed answers
 * VFS_EOFFLINE. Memory is bounded: when the log is full (256 MiB of bytes, 16384 operations)
 * everything becomes durable, as when a kernel writes back by itself.
 *
 * Whole-object commits are not offered (APR_ENOTIMPL, and no cap): a disk has none.
 */
#include <stdlib.h>
#include <string.h>

#include "vfs/shims/crash.h"
#include "vfs/shims/shim.h"
#include "vfs/wait.h"

/* ---- turns */

static void power_fails(crash_t *crash)
{
    crash->down = 1;
    crash->replayed = 0;
    crash->at = 0;
    crash->epoch++;
}

static apr_status_t check_locked(const crash_t *crash, const uint64_t *epoch)
{
    if (crash->down) return VFS_EOFFLINE;
    return epoch != NULL && *epoch != crash->epoch ? VFS_ESTALE : APR_SUCCESS;
}

apr_status_t vfs__crash_check(crash_t *crash, const uint64_t *epoch)
{
    pthread_mutex_lock(&crash->lock);
    apr_status_t status = check_locked(crash, epoch);
    pthread_mutex_unlock(&crash->lock);
    return status;
}

apr_status_t vfs__crash_enter(vfs_t *fs, const vfs_ctx_t *ctx, const uint64_t *epoch, int quiet)
{
    crash_t *crash = fs->state;
    apr_status_t status = APR_SUCCESS;
    pthread_mutex_lock(&crash->lock);
    while (crash->busy && status == APR_SUCCESS)
        status = vfs__cond_wait(&crash->turn, &crash->lock, ctx);
    if (status == APR_SUCCESS) status = check_locked(crash, epoch);
    if (status == APR_SUCCESS && !quiet) {
        crash->ops++;
        if (crash->at > 0 && --crash->at == 0) {
            power_fails(crash);
            status = VFS_EOFFLINE;
        }
    }
    if (status == APR_SUCCESS) crash->busy = 1;
    pthread_mutex_unlock(&crash->lock);
    return status;
}

apr_status_t vfs__crash_leave(vfs_t *fs, apr_status_t status)
{
    crash_t *crash = fs->state;
    pthread_mutex_lock(&crash->lock);
    VFS_ASSERT(crash->busy);
    crash->busy = 0;
    pthread_cond_broadcast(&crash->turn);
    pthread_mutex_unlock(&crash->lock);
    return status;
}

/* ---- what is not seen */

void vfs__crash_show(crash_t *crash, vfs_attr_t *attr)
{
    pthread_mutex_lock(&crash->lock);
    for (size_t i = 0; i < crash->nparked; i++) {
        const crash_id_t *id = &crash->parked[i];
        if (id->dev != attr->dev || id->ino != attr->ino) continue;
        if (attr->nlink > 0) attr->nlink--;
        break;
    }
    pthread_mutex_unlock(&crash->lock);
}

apr_status_t vfs__crash_visible(const vfs_path_t *path, apr_status_t status)
{
    static const vfs_path_t limbo = {.str = CRASH_LIMBO, .len = sizeof(CRASH_LIMBO) - 1};
    return vfs_path_within(path, &limbo) ? status : APR_SUCCESS;
}

/* ---- reads */

static apr_status_t read_begin(const shim_call_t *call, const uint64_t *epoch)
{
    if (call->where != NULL) {
        apr_status_t status = vfs__crash_visible(call->where, APR_ENOENT);
        if (status != APR_SUCCESS) return status;
    }
    return vfs__crash_check(call->fs->state, epoch);
}

/* Nothing that was read counts if power failed meanwhile. */
static apr_status_t read_end(const shim_call_t *call, const uint64_t *epoch, apr_status_t status)
{
    crash_t *crash = call->fs->state;
    if (vfs__crash_check(crash, epoch) != APR_SUCCESS) status = VFS_EOFFLINE;
    if (status != APR_SUCCESS && call->done != NULL) *call->done = 0;
    if (status == APR_SUCCESS && call->attr != NULL) vfs__crash_show(crash, call->attr);
    return status;
}

uint64_t vfs__crash_epoch(crash_t *crash)
{
    pthread_mutex_lock(&crash->lock);
    uint64_t epoch = crash->epoch;
    pthread_mutex_unlock(&crash->lock);
    return epoch;
}

#define CRASH_FS_READ(name, params, args)                                                          \
    static apr_status_t crash_##name(vfs_t *fs, VFS_UNPACK params)                                 \
    {                                                                                              \
        shim_call_t call = {.op = VFS_OPID_##name, .fs = fs, SHIM_OF_##name};                      \
        uint64_t epoch = vfs__crash_epoch(fs->state);                                              \
        apr_status_t status = read_begin(&call, &epoch);                                           \
        if (status != APR_SUCCESS) return status;                                                  \
        status = vfs_call_##name(fs->lower, VFS_UNPACK args);                                      \
        return read_end(&call, &epoch, status);                                                    \
    }
#define CRASH_FILE_READ(name, params, args)                                                        \
    static apr_status_t crash_##name(vfs_file_t *file, VFS_UNPACK params)                          \
    {                                                                                              \
        const uint64_t *epoch = &((crash_file_t *)file)->epoch;                                    \
        shim_call_t call = {.op = VFS_OPID_##name, .fs = file->fs, SHIM_OF_##name};                \
        apr_status_t status = read_begin(&call, epoch);                                            \
        if (status != APR_SUCCESS) return status;                                                  \
        status = vfs_call_##name(file->lower, VFS_UNPACK args);                                    \
        return read_end(&call, epoch, status);                                                     \
    }
#define CRASH_FS_META(name, params, args) CRASH_FS_READ(name, params, args)
#define CRASH_FS_WRITE(name, params, args)
#define CRASH_FS_CHANGE(name, params, args)
#define CRASH_FS_SYNC(name, params, args)
#define CRASH_FILE_META(name, params, args) CRASH_FILE_READ(name, params, args)
#define CRASH_FILE_HANDLE(name, params, args) CRASH_FILE_READ(name, params, args)
#define CRASH_FILE_WRITE(name, params, args)
#define CRASH_FILE_CHANGE(name, params, args)
#define CRASH_FILE_SYNC(name, params, args)
#define VFS_OP_FS(name, class, params, args, doc) CRASH_FS_##class(name, params, args)
#define VFS_OP_FILE(name, class, params, args, doc) CRASH_FILE_##class(name, params, args)
#include "vfs/vfs_ops.def"

static apr_status_t crash_close(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    crash_file_t *own = (crash_file_t *)file;
    apr_status_t lives = vfs__crash_check(file->fs->state, &own->epoch);
    if (own->reader != file->lower) (void)vfs_close(own->reader, NULL); /* it only read */
    apr_status_t status = vfs_close(file->lower, ctx);
    free(own);
    return lives == APR_SUCCESS ? status
                                : APR_SUCCESS; /* what is from before has nothing to report */
}

/* ---- directories */

static apr_status_t crash_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                                  const vfs_path_t *path, uint32_t flags)
{
    vfs_dir_t *lower = NULL;
    uint64_t epoch = vfs__crash_epoch(fs->state);
    apr_status_t status = vfs__crash_visible(path, APR_ENOENT);
    if (status == APR_SUCCESS) status = vfs__crash_check(fs->state, &epoch);
    if (status != APR_SUCCESS) return status;
    crash_dir_t *own = malloc(sizeof(*own));
    if (own == NULL) return APR_ENOMEM;
    status = vfs_call_opendir(&lower, fs->lower, ctx, path, flags);
    if (status != APR_SUCCESS) {
        free(own);
        return status;
    }
    vfs_dir_init(&own->base, fs, flags, lower);
    own->epoch = epoch;
    *dir = &own->base;
    return APR_SUCCESS;
}

/* The hidden directory is passed over, whatever directory has an entry of its name. */
static apr_status_t crash_readdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, vfs_dirent_t *entry)
{
    crash_t *crash = dir->fs->state;
    crash_dir_t *own = (crash_dir_t *)dir;
    apr_status_t status = vfs__crash_check(crash, &own->epoch);
    if (status != APR_SUCCESS) return status;
    do {
        status = vfs_call_readdir(dir->lower, ctx, entry);
    } while (status == APR_SUCCESS && strcmp(entry->name, &CRASH_LIMBO[1]) == 0);
    if (vfs__crash_check(crash, &own->epoch) != APR_SUCCESS) return VFS_EOFFLINE;
    if (status == APR_SUCCESS && entry->has_attr) vfs__crash_show(crash, &entry->attr);
    return status;
}

static apr_status_t crash_seekdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, uint64_t cookie)
{
    apr_status_t status = vfs__crash_check(dir->fs->state, &((crash_dir_t *)dir)->epoch);
    return status == APR_SUCCESS ? vfs_call_seekdir(dir->lower, ctx, cookie) : status;
}

static apr_status_t crash_closedir(vfs_dir_t *dir)
{
    (void)vfs_closedir(dir->lower); /* it only read */
    free(dir);
    return APR_SUCCESS;
}

/* ---- life */

static void crash_free(crash_t *crash)
{
    vfs__crash_forget(crash);
    free(crash->parked);
    pthread_cond_destroy(&crash->turn);
    pthread_mutex_destroy(&crash->lock);
    free(crash);
}

/* Without a power loss everything stays, and only limbo goes. */
static apr_status_t crash_destroy(vfs_t *fs)
{
    crash_t *crash = fs->state;
    VFS_ASSERT(!crash->busy);
    apr_status_t status =
        crash->limbo ? vfs_remove_all(crash->lower, NULL, CRASH_LIMBO) : APR_SUCCESS;
    crash_free(crash);
    return status;
}

#define CRASH_TABLE_FS_READ(name) .name = crash_##name,
#define CRASH_TABLE_FS_META(name) .name = crash_##name,
#define CRASH_TABLE_FS_WRITE(name)
#define CRASH_TABLE_FS_CHANGE(name) .name = vfs__crash_##name,
#define CRASH_TABLE_FS_SYNC(name) .name = vfs__crash_##name,
#define CRASH_TABLE_FILE_READ(name) .name = crash_##name,
#define CRASH_TABLE_FILE_META(name) .name = crash_##name,
#define CRASH_TABLE_FILE_HANDLE(name) .name = crash_##name,
#define CRASH_TABLE_FILE_WRITE(name) .name = vfs__crash_##name,
#define CRASH_TABLE_FILE_CHANGE(name) .name = vfs__crash_##name,
#define CRASH_TABLE_FILE_SYNC(name) .name = vfs__crash_##name,

static const vfs_ops_t crash_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "crash",
    .destroy = crash_destroy,
    .open = vfs__crash_open,
    .opendir = crash_opendir,
    .close = crash_close,
    .closedir = crash_closedir,
    .copy_range = vfs__crash_copy_range,
#define VFS_OP_FS(name_, class, params, args, doc) CRASH_TABLE_FS_##class(name_)
#define VFS_OP_FILE(name_, class, params, args, doc) CRASH_TABLE_FILE_##class(name_)
#define VFS_OP_DIR(name_, class, params, args, doc) .name_ = crash_##name_,
#include "vfs/vfs_ops.def"
};

apr_status_t vfs_crash_create(vfs_t **out, vfs_t *lower, apr_pool_t *pool)
{
    const uint64_t needs = VFS_CAP_STABLE_ID | VFS_CAP_HARDLINK;
    VFS_CHECK_ARG(out != NULL && lower != NULL && pool != NULL);
    VFS_CHECK_ARG((vfs_caps(lower)->bits & needs) == needs);
    crash_t *crash = calloc(1, sizeof(*crash));
    if (crash == NULL) return APR_ENOMEM;
    int err = pthread_mutex_init(&crash->lock, NULL);
    VFS_ASSERT(err == 0);
    err = pthread_cond_init(&crash->turn, NULL);
    VFS_ASSERT(err == 0);
    crash->lower = lower;
    vfs_caps_t caps = *vfs_caps(lower);
    caps.bits |= VFS_CAP_SYNC;
    caps.bits &= ~(VFS_CAP_COMMIT | VFS_CAP_CONDITIONAL);
    apr_status_t status = vfs_create(out, &crash_ops, lower, crash, &caps, pool);
    if (status != APR_SUCCESS) crash_free(crash);
    return status;
}

/* ---- power */

void vfs_crash_at(vfs_t *shim, uint64_t n)
{
    VFS_ASSERT(shim->ops.destroy == crash_destroy);
    crash_t *crash = shim->state;
    pthread_mutex_lock(&crash->lock);
    crash->at = n;
    pthread_mutex_unlock(&crash->lock);
}

uint64_t vfs_crash_ops(vfs_t *shim)
{
    VFS_ASSERT(shim->ops.destroy == crash_destroy);
    crash_t *crash = shim->state;
    pthread_mutex_lock(&crash->lock);
    uint64_t ops = crash->ops;
    pthread_mutex_unlock(&crash->lock);
    return ops;
}

/* With the turn to be had: let power fail if it is on, and make of the lower what is left of it. */
static apr_status_t lose(vfs_t *shim, vfs_crash_e how, uint64_t seed, uint64_t tear_bytes)
{
    crash_t *crash = shim->state;
    pthread_mutex_lock(&crash->lock);
    while (crash->busy)
        (void)vfs__cond_wait(&crash->turn, &crash->lock, NULL); /* no context: it only wakes */
    if (!crash->down) power_fails(crash);
    int again = crash->replayed;
    crash->busy = 1;
    pthread_mutex_unlock(&crash->lock);
    apr_status_t status =
        again ? APR_SUCCESS : vfs__crash_replay(crash, how, seed, tear_bytes, shim->pool);
    pthread_mutex_lock(&crash->lock);
    crash->replayed = 1;
    pthread_mutex_unlock(&crash->lock);
    return vfs__crash_leave(shim, status);
}

apr_status_t vfs_crash_now(vfs_t *shim, vfs_crash_e how, uint64_t seed, uint64_t tear_bytes)
{
    VFS_CHECK_ARG(shim != NULL && shim->ops.destroy == crash_destroy);
    VFS_CHECK_ARG((unsigned)how <= VFS_CRASH_TEAR_LAST);
    return lose(shim, how, seed, tear_bytes);
}

void vfs_crash_restart(vfs_t *shim)
{
    VFS_ASSERT(shim->ops.destroy == crash_destroy);
    crash_t *crash = shim->state;
    if (vfs__crash_check(crash, NULL) == APR_SUCCESS) return;
    (void)lose(shim, VFS_CRASH_KEEP_ALL, 0,
               0); /* unless it was chosen already: what fails is limbo */
    pthread_mutex_lock(&crash->lock);
    crash->down = 0;
    pthread_mutex_unlock(&crash->lock);
}
