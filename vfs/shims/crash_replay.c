/*
 * crash_replay.c - what a power loss leaves: chooses the changes that survive and takes the lower
 * there. Floor 1. Runs with the turn; the model stands in crash.c.
 *
 * In four steps:
 *  1. Choose. Each operation on names, and each change of a file, stays or goes; a name operation
 * also goes if one that it depends on goes.
 *  2. Files. One walk over the lower finds a path for each node. A file that loses a change gets
 * its durable bytes back (size, then the kept blocks), and then the surviving changes again, in
 * order.
 *  3. Names. For each name that the log speaks of, `now` is what the lower has and `then` what
 * survives. Names that differ are first taken away into limbo, all of them, whatever is below a
 * directory goes with it; then ghosts are made; then each name is given to what it shall mean.
 * Nothing can be in the way, and no order has to be kept, for in between every file and directory
 * has some path, and its node knows it.
 *  4. Limbo goes, and with it what no surviving name leads to.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "vfs/shims/crash.h"
#include "vfs/shims/shim.h"

#define NAME_BUCKETS 4096u

typedef struct name_t name_t;
struct name_t {
    name_t *next;
    crash_node_t *dir;
    const char *name;
    crash_node_t *now, *then;
};

typedef struct replay_t {
    crash_t *crash;
    vfs_t *lower;
    apr_pool_t *pool;
    vfs_crash_e how;
    uint64_t seed;
    uint64_t tear_bytes;
    const crash_change_t *torn; /**< TEAR_LAST: the last write */
    int loses;                  /**< something does not survive */
    name_t *names[NAME_BUCKETS];
} replay_t;

typedef apr_status_t (*node_fn)(replay_t *replay, crash_node_t *node);

static apr_status_t each_node(replay_t *replay, node_fn fn)
{
    apr_status_t status = APR_SUCCESS;
    for (size_t i = 0; i < CRASH_BUCKETS && status == APR_SUCCESS; i++)
        for (crash_node_t *node = replay->crash->buckets[i]; node != NULL && status == APR_SUCCESS;
             node = node->next)
            status = fn(replay, node);
    return status;
}

static apr_status_t each_name(replay_t *replay, apr_status_t (*fn)(replay_t *, name_t *))
{
    apr_status_t status = APR_SUCCESS;
    for (size_t i = 0; i < NAME_BUCKETS && status == APR_SUCCESS; i++)
        for (name_t *name = replay->names[i]; name != NULL && status == APR_SUCCESS;
             name = name->next)
            if (name->now != name->then) status = fn(replay, name);
    return status;
}

/* ---- 1. choose */

static int draw(const replay_t *replay, uint64_t seq)
{
    switch (replay->how) {
    case VFS_CRASH_DROP_UNSYNCED:
        return 0;
    case VFS_CRASH_RANDOM:
        return (vfs__shim_mix(vfs__shim_mix(replay->seed) + seq) & 1) != 0;
    default:
        return 1;
    }
}

static apr_status_t choose_changes(replay_t *replay, crash_node_t *node)
{
    for (crash_change_t *change = node->first; change != NULL; change = change->next) {
        change->keep = draw(replay, change->seq);
        replay->loses |= !change->keep;
        int write = change->kind == CRASH_SET_BYTES && change->len > 0;
        if (write && (replay->torn == NULL || replay->torn->seq < change->seq))
            replay->torn = change;
    }
    return APR_SUCCESS;
}

static void choose(replay_t *replay)
{
    for (crash_op_t *op = replay->crash->first; op != NULL; op = op->next) {
        op->keep = draw(replay, op->seq);
        for (crash_op_t *before = op->prev; before != NULL && op->keep; before = before->prev)
            if (!before->keep && vfs__crash_depends(op, before)) op->keep = 0;
        replay->loses |= !op->keep;
    }
    (void)each_node(replay, choose_changes); /* never fails */
    if (replay->how != VFS_CRASH_TEAR_LAST) replay->torn = NULL;
    if (replay->torn != NULL && replay->torn->len <= replay->tear_bytes) replay->torn = NULL;
    replay->loses |= replay->torn != NULL;
}

/* ---- 2. files */

static apr_status_t find_path(void *baton, const char *path, const vfs_attr_t *attr,
                              apr_status_t status)
{
    replay_t *replay = baton;
    if (status != APR_SUCCESS) return status;
    crash_node_t *node = vfs__crash_find(replay->crash, attr->dev, attr->ino);
    if (node == NULL || node->path != NULL) return APR_SUCCESS;
    node->path = apr_pstrdup(replay->pool, path);
    node->now = *attr;
    return APR_SUCCESS;
}

static apr_status_t write_all(vfs_file_t *file, const void *bytes, size_t len, uint64_t off)
{
    size_t written;
    return vfs_write_at(file, NULL, bytes, len, (apr_off_t)off, &written, NULL);
}

static apr_status_t redo_bytes(replay_t *replay, const crash_node_t *node, vfs_file_t *file)
{
    apr_status_t status = vfs_ftruncate(file, NULL, (apr_off_t)node->base_size);
    for (size_t i = 0; i < node->nblocks && status == APR_SUCCESS; i++)
        status = write_all(file, node->blocks[i].bytes, node->blocks[i].len,
                           node->blocks[i].index * CRASH_BLOCK);
    const crash_change_t *change = node->first;
    for (; change != NULL && status == APR_SUCCESS; change = change->next) {
        if (change->kind != CRASH_SET_BYTES || !change->keep) continue;
        size_t len = change == replay->torn ? (size_t)replay->tear_bytes : change->len;
        if (change->size >= 0) status = vfs_ftruncate(file, NULL, change->size);
        if (status == APR_SUCCESS && len > 0)
            status = write_all(file, change->bytes, len, change->off);
    }
    return status;
}

static apr_status_t put_bytes(replay_t *replay, const crash_node_t *node)
{
    vfs_file_t *file;
    apr_status_t status =
        vfs_open(&file, replay->lower, NULL, node->path, VFS_O_READ | VFS_O_WRITE, 0, NULL, NULL);
    if (status != APR_SUCCESS) return status;
    status = redo_bytes(replay, node, file);
    apr_status_t closed = vfs_close(file, NULL);
    return status == APR_SUCCESS ? closed : status;
}

/* Set an extended attribute to one of the two values of a change. */
static apr_status_t put_xattr(replay_t *replay, const crash_node_t *node,
                              const crash_change_t *change, int old)
{
    uint32_t flags = node->type == VFS_TYPE_LINK ? VFS_NOFOLLOW : 0;
    size_t skip = change->old_len > 0 && !old ? (size_t)change->old_len : 0;
    size_t len = old ? (size_t)change->old_len : change->len;
    int gone = old ? change->old_len < 0 : change->gone;
    if (!gone)
        return vfs_setxattr(replay->lower, NULL, node->path, change->name, change->bytes + skip,
                            len, 0, flags);
    apr_status_t status = vfs_removexattr(replay->lower, NULL, node->path, change->name, flags);
    return status == VFS_ENODATA ? APR_SUCCESS : status;
}

/* Back by the oldest change of each name, then on by the surviving ones. */
static apr_status_t put_xattrs(replay_t *replay, const crash_node_t *node)
{
    apr_status_t status = APR_SUCCESS;
    for (const crash_change_t *c = node->first; c != NULL && status == APR_SUCCESS; c = c->next) {
        int oldest = c->kind == CRASH_SET_XATTR;
        for (const crash_change_t *b = node->first; b != c && oldest; b = b->next)
            oldest = b->kind != CRASH_SET_XATTR || strcmp(b->name, c->name) != 0;
        if (oldest) status = put_xattr(replay, node, c, 1);
    }
    for (const crash_change_t *c = node->first; c != NULL && status == APR_SUCCESS; c = c->next)
        if (c->kind == CRASH_SET_XATTR && c->keep) status = put_xattr(replay, node, c, 0);
    return status;
}

/* What of its attributes survives: what was durable, with the surviving changes. */
static void surviving_attrs(const crash_node_t *node, vfs_attr_t *attr)
{
    *attr = node->base;
    for (const crash_change_t *c = node->first; c != NULL; c = c->next) {
        if (!c->keep) continue;
        if (c->kind == CRASH_SET_BYTES && node->alive) attr->mtime_ns = node->now.mtime_ns;
        if (c->kind != CRASH_SET_ATTRS) continue;
        if (c->mask & CRASH_MODE) attr->mode = c->attr.mode;
        if (c->mask & CRASH_OWNER) {
            attr->uid = c->attr.uid;
            attr->gid = c->attr.gid;
        }
        if (c->mask & CRASH_TIMES) {
            attr->atime_ns = c->attr.atime_ns;
            attr->mtime_ns = c->attr.mtime_ns;
        }
    }
}

/* Times come last: the other two would change them. A lower without owners or modes has nothing to
 * restore. */
static apr_status_t put_attrs(replay_t *replay, const crash_node_t *node, const vfs_attr_t *now)
{
    vfs_attr_t want;
    uint32_t flags = VFS_NOFOLLOW;
    apr_status_t status = APR_SUCCESS;
    surviving_attrs(node, &want);
    if (want.uid != now->uid || want.gid != now->gid)
        status = vfs_chown(replay->lower, NULL, node->path, want.uid, want.gid, flags);
    int mode = want.mode != now->mode || (want.mode & 06000) != 0; /* a write takes these bits */
    if (status == APR_SUCCESS && mode && node->type != VFS_TYPE_LINK)
        status = vfs_chmod(replay->lower, NULL, node->path, want.mode, 0);
    if (status == APR_SUCCESS)
        status = vfs_utimens(replay->lower, NULL, node->path, want.atime_ns, want.mtime_ns, flags);
    return status == APR_ENOTIMPL ? APR_SUCCESS : status;
}

static apr_status_t put_file(replay_t *replay, crash_node_t *node)
{
    int bytes = 0, attrs = 0, xattrs = 0;
    for (const crash_change_t *c = node->first; c != NULL; c = c->next) {
        if (c->keep && c != replay->torn) continue;
        bytes |= c->kind == CRASH_SET_BYTES;
        attrs |= c->kind == CRASH_SET_ATTRS;
        xattrs |= c->kind == CRASH_SET_XATTR;
    }
    if (!node->alive || node->path == NULL) return APR_SUCCESS;
    apr_status_t status = bytes ? put_bytes(replay, node) : APR_SUCCESS;
    if (status == APR_SUCCESS && xattrs) status = put_xattrs(replay, node);
    if (status == APR_SUCCESS && (bytes || attrs)) status = put_attrs(replay, node, &node->now);
    return status;
}

/* ---- 3. names */

static name_t *name_of(replay_t *replay, const crash_edit_t *edit)
{
    uint64_t hash = vfs_path_hash(edit->name, strlen(edit->name));
    name_t **link = &replay->names[vfs__shim_mix(edit->dir->ino + hash) % NAME_BUCKETS];
    while (*link != NULL && !((*link)->dir == edit->dir && strcmp((*link)->name, edit->name) == 0))
        link = &(*link)->next;
    if (*link != NULL) return *link;
    name_t *name = apr_pcalloc(replay->pool, sizeof(*name));
    name->dir = edit->dir;
    name->name = edit->name;
    name->now = name->then = edit->before;
    *link = name;
    return name;
}

static void gather_names(replay_t *replay)
{
    for (const crash_op_t *op = replay->crash->first; op != NULL; op = op->next) {
        for (unsigned i = 0; i < op->nedits; i++) {
            name_t *name = name_of(replay, &op->edits[i]);
            VFS_ASSERT(name->now == op->edits[i].before);
            name->now = op->edits[i].after;
            if (op->keep) name->then = op->edits[i].after;
        }
    }
}

static const char *path_of(const replay_t *replay, const name_t *name)
{
    const char *dir = name->dir->path;
    return apr_pstrcat(replay->pool, strcmp(dir, "/") == 0 ? "" : dir, "/", name->name, NULL);
}

/* A path moved: all nodes at it (the file, or the directory) and below it follow. */
static void follow_move(replay_t *replay, const char *from, const char *to)
{
    size_t len = strlen(from);
    for (size_t i = 0; i < CRASH_BUCKETS; i++) {
        for (crash_node_t *node = replay->crash->buckets[i]; node != NULL; node = node->next) {
            if (node->path == NULL || strncmp(node->path, from, len) != 0) continue;
            if (node->path[len] != '\0' && node->path[len] != '/') continue;
            node->path = apr_pstrcat(replay->pool, to, node->path + len, NULL);
        }
    }
}

static apr_status_t move(replay_t *replay, const char *from, const char *to)
{
    apr_status_t status = vfs_rename(replay->lower, NULL, from, to, 0);
    if (status == APR_SUCCESS) follow_move(replay, from, to);
    return status;
}

static apr_status_t take_away(replay_t *replay, name_t *name)
{
    char place[64];
    if (name->now == NULL || name->dir->path == NULL) return APR_SUCCESS;
    apr_status_t status = vfs__crash_place(replay->crash, place, sizeof(place));
    return status == APR_SUCCESS ? move(replay, path_of(replay, name), place) : status;
}

static apr_status_t make_ghost(replay_t *replay, name_t *name)
{
    crash_node_t *node = name->then;
    char place[64];
    vfs_attr_t now;
    if (node == NULL || node->path != NULL) return APR_SUCCESS;
    VFS_ASSERT(!node->alive);
    apr_status_t status = vfs__crash_place(replay->crash, place, sizeof(place));
    if (status != APR_SUCCESS) return status;
    status = node->type == VFS_TYPE_DIR ? vfs_mkdir(replay->lower, NULL, place, node->base.mode)
                                        : vfs_symlink(replay->lower, NULL, node->target, place);
    if (status == APR_SUCCESS) status = vfs_lstat(replay->lower, NULL, place, &now);
    if (status != APR_SUCCESS) return status;
    node->path = apr_pstrdup(replay->pool, place);
    return put_attrs(replay, node, &now);
}

/* The first name of what is in limbo moves it out of there; another name is a link. */
static apr_status_t give_name(replay_t *replay, name_t *name)
{
    crash_node_t *node = name->then;
    if (node == NULL || name->dir->path == NULL) return APR_SUCCESS;
    const char *path = path_of(replay, name);
    if (node->type == VFS_TYPE_DIR ||
        strncmp(node->path, CRASH_LIMBO "/", sizeof(CRASH_LIMBO)) == 0)
        return move(replay, node->path, path);
    return vfs_link(replay->lower, NULL, node->path, path);
}

/* ---- all of it */

static apr_status_t rewrite(replay_t *replay)
{
    apr_status_t status = vfs_walk(replay->lower, NULL, "/", find_path, replay);
    if (status == APR_SUCCESS) status = each_node(replay, put_file);
    if (status != APR_SUCCESS) return status;
    gather_names(replay);
    status = each_name(replay, take_away);
    if (status == APR_SUCCESS) status = each_name(replay, make_ghost);
    if (status == APR_SUCCESS) status = each_name(replay, give_name);
    return status;
}

apr_status_t vfs__crash_replay(crash_t *crash, vfs_crash_e how, uint64_t seed, uint64_t tear_bytes,
                               apr_pool_t *pool)
{
    apr_pool_t *scratch;
    apr_status_t status = apr_pool_create(&scratch, pool);
    if (status != APR_SUCCESS) return status;
    replay_t *replay = apr_pcalloc(scratch, sizeof(*replay));
    replay->crash = crash;
    replay->lower = crash->lower;
    replay->pool = scratch;
    replay->how = how;
    replay->seed = seed;
    replay->tear_bytes = tear_bytes;
    choose(replay);
    if (replay->loses) status = rewrite(replay);
    apr_pool_destroy(scratch);
    vfs__crash_forget(crash);
    apr_status_t removed =
        crash->limbo ? vfs_remove_all(crash->lower, NULL, CRASH_LIMBO) : APR_SUCCESS;
    crash->limbo = 0;
    return status == APR_SUCCESS ? removed : status;
}
