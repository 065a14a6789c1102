/*
 * crash_names.c - the ops of the crash shim that change names: mknod, mkdir, symlink, link, unlink,
 * rmdir and rename, and the part of open that does. Floor 1. Each looks at what the names mean,
 * keeps alive what loses one, lets the lower do it, and logs what the names mean now.
 */
#include <stdlib.h>
#include <string.h>

#include "vfs/shims/crash.h"

/* NOLINTBEGIN(clang-analyzer-*): it cannot see that vfs__crash_leave hands its status on */

/* A name: its directory, and what it means before the call. */
typedef struct place_t {
    const vfs_path_t *path;
    const char *name;
    crash_node_t *dir;
    crash_node_t *node; /**< NULL: nothing of that name */
    vfs_attr_t attr;    /**< of node */
    char *target;       /**< the text of node, if it is a link */
    int parked;         /**< node was given a link in limbo for this call */
} place_t;

static apr_status_t read_target(vfs_t *lower, place_t *place)
{
    char text[VFS_PATH_MAX + 1];
    apr_status_t status = vfs_call_readlink(lower, NULL, place->path, text, sizeof(text), NULL);
    if (status != APR_SUCCESS) return status;
    place->target = strdup(text);
    return place->target == NULL ? APR_ENOMEM : APR_SUCCESS;
}

/* Look a name up. That nothing has it is success. */
static apr_status_t place_find(place_t *place, crash_t *crash, const vfs_path_t *path)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t parent;
    vfs_attr_t attr;
    memset(place, 0, sizeof(*place));
    place->path = path;
    place->name = vfs_path_parent(&parent, path, buf);
    apr_status_t status = vfs_call_stat(crash->lower, NULL, &parent, &attr, NULL);
    if (status != APR_SUCCESS) return status;
    place->dir = vfs__crash_node(crash, &attr);
    if (place->dir == NULL) return APR_ENOMEM;
    status = vfs_call_lstat(crash->lower, NULL, path, &place->attr, NULL);
    if (APR_STATUS_IS_ENOENT(status)) return APR_SUCCESS;
    if (status == APR_SUCCESS && place->attr.type == VFS_TYPE_LINK)
        status = read_target(crash->lower, place);
    if (status != APR_SUCCESS) return status;
    place->node = vfs__crash_node(crash, &place->attr);
    return place->node == NULL ? APR_ENOMEM : APR_SUCCESS;
}

/* What is not in the log does not stay. */
static void place_done(place_t *place, crash_t *crash)
{
    free(place->target);
    if (place->node != NULL && place->node != place->dir) {
        if (place->parked && place->node->removed == 0) vfs__crash_unpark(crash, place->node);
        vfs__crash_tidy(crash, place->node);
    }
    vfs__crash_tidy(crash, place->dir);
}

/* The node will lose this name: a file gets one in limbo. */
static apr_status_t place_keep(place_t *place, crash_t *crash)
{
    crash_node_t *node = place->node;
    if (node == NULL || node->type == VFS_TYPE_DIR || node->type == VFS_TYPE_LINK)
        return APR_SUCCESS;
    place->parked = node->parked == NULL;
    return vfs__crash_park(crash, node, place->path);
}

/* The node has lost this name for good: a directory or link is made again when the name comes back.
 */
static void place_lost(place_t *place)
{
    crash_node_t *node = place->node;
    if (node == NULL || (node->type != VFS_TYPE_DIR && node->type != VFS_TYPE_LINK)) return;
    vfs__crash_ghost(node, &place->attr, place->target);
    place->target = NULL;
}

/* ---- names that appear */

/* What a call that makes a name holds on to. */
typedef struct make_t {
    crash_t *crash;
    place_t place;
    crash_op_t *op;
    int own; /**< the name is the file's own: a sync of the file covers it */
} make_t;

static apr_status_t make_prepare(make_t *make, crash_t *crash, const vfs_path_t *path, int own)
{
    make->crash = crash;
    make->own = own;
    make->op = vfs__crash_op();
    if (make->op == NULL) return APR_ENOMEM;
    apr_status_t status = place_find(&make->place, crash, path);
    if (status == APR_SUCCESS)
        status = vfs__crash_edit(make->op, make->place.dir, make->place.name, NULL, NULL);
    if (status == APR_SUCCESS) return APR_SUCCESS;
    place_done(&make->place, crash);
    vfs__crash_op_free(make->op);
    return status;
}

/* Log a name that the lower made; the file has these attributes. */
static apr_status_t make_note(make_t *make, const vfs_attr_t *attr)
{
    crash_node_t *node = vfs__crash_node(make->crash, attr);
    if (node == NULL) return APR_ENOMEM;
    make->op->edits[0].after = node;
    make->op->made = make->own ? node : NULL;
    vfs__crash_note_attrs(node, attr);
    vfs__crash_log_op(make->crash, make->op);
    make->op = NULL;
    if (!make->own || node->type != VFS_TYPE_FILE) return APR_SUCCESS;
    node->bytes_noted = 1; /* durable it is empty */
    node->base_size = 0;
    return APR_SUCCESS;
}

/* The lower has answered; `attr` is what it says of the file, or NULL: then we ask. If a name
 * cannot be logged, everything is durable from now on: a disk may write back whenever it likes. */
static void make_done(make_t *make, apr_status_t status, const vfs_attr_t *attr)
{
    crash_t *crash = make->crash;
    vfs_attr_t asked;
    int made = status == APR_SUCCESS && make->place.node == NULL;
    if (made && attr == NULL) {
        status = vfs_call_lstat(crash->lower, NULL, make->place.path, &asked, NULL);
        attr = &asked;
    }
    if (made && status == APR_SUCCESS) status = make_note(make, attr);
    if (made && status != APR_SUCCESS) {
        vfs__crash_all_durable(crash);
        make->place.dir = NULL; /* it went with the log */
    }
    place_done(&make->place, crash);
    vfs__crash_op_free(make->op);
    vfs__crash_limit(crash);
}

static apr_status_t make_begin(make_t *make, vfs_t *fs, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, int own)
{
    apr_status_t status = vfs__crash_visible(path, APR_EACCES);
    if (status == APR_SUCCESS) status = vfs__crash_enter(fs, ctx, NULL, 0);
    if (status != APR_SUCCESS) return status;
    status = make_prepare(make, fs->state, path, own);
    return status == APR_SUCCESS ? APR_SUCCESS : vfs__crash_leave(fs, status);
}

static apr_status_t make_end(make_t *make, vfs_t *fs, apr_status_t status)
{
    make_done(make, status, NULL);
    return vfs__crash_leave(fs, status);
}

#define CRASH_MAKE(name, own, params, args)                                                        \
    apr_status_t vfs__crash_##name(vfs_t *fs, VFS_UNPACK params)                                   \
    {                                                                                              \
        make_t make;                                                                               \
        apr_status_t status = make_begin(&make, fs, ctx, path, own);                               \
        if (status != APR_SUCCESS) return status;                                                  \
        return make_end(&make, fs, vfs_call_##name(fs->lower, VFS_UNPACK args));                   \
    }

CRASH_MAKE(mknod, 1,
           (const vfs_ctx_t *ctx, const vfs_path_t *path, vfs_type_e type, uint32_t mode,
            uint64_t rdev),
           (ctx, path, type, mode, rdev))
CRASH_MAKE(mkdir, 1, (const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mode),
           (ctx, path, mode))
CRASH_MAKE(symlink, 1, (const vfs_ctx_t *ctx, const char *target, const vfs_path_t *path),
           (ctx, target, path))

apr_status_t vfs__crash_link(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                             const vfs_path_t *to)
{
    make_t make;
    apr_status_t status = vfs__crash_visible(from, APR_ENOENT);
    if (status == APR_SUCCESS) status = make_begin(&make, fs, ctx, to, 0);
    if (status != APR_SUCCESS) return status;
    return make_end(&make, fs, vfs_call_link(fs->lower, ctx, from, to));
}

apr_status_t vfs__crash_make_open(vfs_file_t **lower, vfs_t *fs, const vfs_ctx_t *ctx,
                                  const vfs_path_t *path, const vfs_path_t *end, uint32_t flags,
                                  uint32_t mode, vfs_attr_t *attr, vfs_validator_t *validator)
{
    make_t make;
    apr_status_t status = make_prepare(&make, fs->state, end, 1);
    if (status != APR_SUCCESS) return status;
    status = vfs_call_open(lower, fs->lower, ctx, path, flags, mode, attr, validator);
    make_done(&make, status, attr);
    return status;
}

/* ---- names that go */

/* Take a name away: a directory's with `dir`, else another's. */
static apr_status_t remove_logged(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, int dir)
{
    crash_t *crash = fs->state;
    place_t place;
    crash_op_t *op = vfs__crash_op();
    if (op == NULL) return APR_ENOMEM;
    apr_status_t status = place_find(&place, crash, path);
    if (status == APR_SUCCESS)
        status = vfs__crash_edit(op, place.dir, place.name, place.node, NULL);
    if (status == APR_SUCCESS && !dir) status = place_keep(&place, crash);
    if (status == APR_SUCCESS)
        status = dir ? vfs_call_rmdir(fs->lower, ctx, path) : vfs_call_unlink(fs->lower, ctx, path);
    if (status == APR_SUCCESS && place.node != NULL) {
        place_lost(&place);
        op->gone = dir ? place.node : NULL;
        vfs__crash_log_op(crash, op);
        op = NULL;
    }
    vfs__crash_op_free(op);
    place_done(&place, crash);
    vfs__crash_limit(crash);
    return status;
}

apr_status_t vfs__crash_unlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    apr_status_t status = vfs__crash_visible(path, APR_ENOENT);
    if (status == APR_SUCCESS) status = vfs__crash_enter(fs, ctx, NULL, 0);
    if (status != APR_SUCCESS) return status;
    return vfs__crash_leave(fs, remove_logged(fs, ctx, path, 0));
}

apr_status_t vfs__crash_rmdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    apr_status_t status = vfs__crash_visible(path, APR_ENOENT);
    if (status == APR_SUCCESS) status = vfs__crash_enter(fs, ctx, NULL, 0);
    if (status != APR_SUCCESS) return status;
    return vfs__crash_leave(fs, remove_logged(fs, ctx, path, 1));
}

/* ---- rename */

/* Remember the directories of the log above a path: what moves there must not get lost with them.
 */
static apr_status_t note_above(crash_t *crash, crash_op_t *op, const vfs_path_t *path)
{
    char bufs[2][VFS_PATH_MAX + 1];
    vfs_path_t at = *path;
    for (int i = 0; at.len > 1; i = !i) {
        vfs_attr_t attr;
        vfs_path_t up;
        (void)vfs_path_parent(&up, &at, bufs[i]);
        at = up;
        apr_status_t status = vfs_call_stat(crash->lower, NULL, &at, &attr, NULL);
        if (status != APR_SUCCESS) return status;
        crash_node_t *node = vfs__crash_find(crash, attr.dev, attr.ino);
        int known = node == NULL;
        for (size_t a = 0; a < op->nabove; a++)
            known |= op->above[a] == node;
        if (known) continue;
        crash_node_t **grown = realloc(op->above, (op->nabove + 1) * sizeof(node));
        if (grown == NULL) return APR_ENOMEM;
        op->above = grown;
        op->above[op->nabove++] = node;
    }
    return APR_SUCCESS;
}

static apr_status_t rename_prepare(crash_t *crash, crash_op_t *op, place_t *from, place_t *to,
                                   int swaps)
{
    apr_status_t status =
        vfs__crash_edit(op, from->dir, from->name, from->node, swaps ? to->node : NULL);
    if (status == APR_SUCCESS)
        status = vfs__crash_edit(op, to->dir, to->name, to->node, from->node);
    if (status == APR_SUCCESS) status = note_above(crash, op, to->path);
    if (status == APR_SUCCESS && swaps) status = note_above(crash, op, from->path);
    if (status == APR_SUCCESS && !swaps) status = place_keep(to, crash);
    return status;
}

static apr_status_t rename_logged(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                                  const vfs_path_t *to, uint32_t flags)
{
    crash_t *crash = fs->state;
    int swaps = (flags & VFS_RENAME_EXCHANGE) != 0;
    place_t source, dest;
    memset(&dest, 0, sizeof(dest));
    crash_op_t *op = vfs__crash_op();
    if (op == NULL) return APR_ENOMEM;
    apr_status_t status = place_find(&source, crash, from);
    if (status == APR_SUCCESS) status = place_find(&dest, crash, to);
    int same = status == APR_SUCCESS && source.node == dest.node;
    if (status == APR_SUCCESS && !same) status = rename_prepare(crash, op, &source, &dest, swaps);
    if (status == APR_SUCCESS) status = vfs_call_rename(fs->lower, ctx, from, to, flags);
    if (status == APR_SUCCESS && !same) {
        int over_dir = !swaps && dest.node != NULL && dest.node->type == VFS_TYPE_DIR;
        if (!swaps) place_lost(&dest);
        op->gone = over_dir ? dest.node : NULL;
        vfs__crash_log_op(crash, op);
        op = NULL;
    }
    vfs__crash_op_free(op);
    place_done(&dest, crash);
    if (source.dir == dest.dir || source.dir == dest.node) source.dir = NULL;
    if (source.node == dest.node || source.node == dest.dir) source.node = NULL;
    place_done(&source, crash);
    vfs__crash_limit(crash);
    return status;
}

apr_status_t vfs__crash_rename(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *from,
                               const vfs_path_t *to, uint32_t flags)
{
    apr_status_t status = vfs__crash_visible(from, APR_ENOENT);
    if (status == APR_SUCCESS) status = vfs__crash_visible(to, APR_EACCES);
    if (status == APR_SUCCESS) status = vfs__crash_enter(fs, ctx, NULL, 0);
    if (status != APR_SUCCESS) return status;
    return vfs__crash_leave(fs, rename_logged(fs, ctx, from, to, flags));
}

/* NOLINTEND(clang-analyzer-*) */
