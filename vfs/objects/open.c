/*
 * open.c - opening files. Floor 1, private to vfs/objects/.
 *
 * What is staged is there for everybody, and nothing below is asked. Else one question below: an
 * open to read, whose handle serves as the base. To make a file costs no more than that, or nothing
 * where its name was asked for a moment ago, and a question about its directory, if that was not
 * seen a moment ago.
 */
#include <stdlib.h>
#include <unistd.h>

#include "vfs/objects/objects.h"

#define EISDIR_STATUS APR_FROM_OS_ERROR(EISDIR)
#define MODELESS 0644u /* what backends tell of files whose modes they do not keep */

/* A handle on a node, which takes over the reference. Node mutex held. */
static handle_t *give(objects_t *o, node_t *n, uint32_t flags, handle_t *h, vfs_attr_t *attr,
                      vfs_validator_t *validator)
{
    vfs_file_init(&h->base, o->fs, flags, NULL);
    h->o = o;
    h->node = n;
    objects__attr(n, attr);
    objects__version(o, n, validator);
    return h;
}

static void writer_begin(objects_t *o, node_t *n, uint32_t flags)
{
    pthread_mutex_lock(&o->lock);
    if (flags & VFS_O_WRITE) n->writers++;
    pthread_mutex_unlock(&o->lock);
}

/* It is staged, and takes changes: nothing needs to be asked. Mutex held. */
static int is_ready(const node_t *n)
{
    return n->stages > 0 && n->base.known && !n->settling;
}

#define NOT_READY (VFS_EEND + 80)

/* A handle for what the node is. Fails if it is not fit, or not ready without a claim on the path,
 * and gives the reference back. */
static apr_status_t open_node(vfs_file_t **file, objects_t *o, node_t *n, uint32_t flags,
                              int claimed, vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t status = APR_SUCCESS;
    handle_t *h = malloc(sizeof(*h));
    if (h == NULL) status = APR_ENOMEM;
    if (status == APR_SUCCESS) {
        pthread_mutex_lock(&n->mutex);
        if (!claimed && !is_ready(n)) status = NOT_READY;
        if (status == APR_SUCCESS && (flags & VFS_O_TRUNC)) status = objects__node_cut(o, n, 0);
        if (status == APR_SUCCESS) *file = &give(o, n, flags, h, attr, validator)->base;
        pthread_mutex_unlock(&n->mutex);
    }
    if (status == APR_SUCCESS) {
        writer_begin(o, n, flags);
    } else {
        free(h);
        objects__node_put(o, n);
    }
    return status;
}

/* A staged one, which is there. Takes over the reference. */
static apr_status_t open_there(vfs_file_t **file, objects_t *o, node_t *n, uint32_t flags,
                               int claimed, vfs_attr_t *attr, vfs_validator_t *validator)
{
    if (!(flags & (VFS_O_EXCL | VFS_O_DIRECTORY)))
        return open_node(file, o, n, flags, claimed, attr, validator);
    objects__node_put(o, n);
    return flags & VFS_O_EXCL ? APR_EEXIST : APR_ENOTDIR;
}

/* It is staged: there, whatever the lower layer knows. 0: it is not. */
static int open_staged(vfs_file_t **file, objects_t *o, const vfs_path_t *path, uint32_t flags,
                       vfs_attr_t *attr, vfs_validator_t *validator, apr_status_t *status)
{
    node_t *n = objects__node(o, path, 0);
    if (n == NULL) return 0;
    pthread_mutex_lock(&n->mutex);
    int ready = is_ready(n);
    pthread_mutex_unlock(&n->mutex);
    if (ready)
        *status = open_there(file, o, n, flags, 0, attr, validator);
    else
        objects__node_put(o, n);
    return ready && *status != NOT_READY;
}

/* May a file be made here: is its directory one? */
static apr_status_t parent_ask(objects_t *o, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t parent;
    vfs_attr_t attr;
    (void)vfs_path_parent(&parent, path, buf);
    if (objects__under_file(o, path)) return APR_ENOTDIR;
    if (objects__dir_known(o, &parent)) return APR_SUCCESS;
    apr_status_t status = vfs_call_stat(o->lower, ctx, &parent, &attr, NULL);
    if (status != APR_SUCCESS) return status;
    if (attr.type != VFS_TYPE_DIR) return APR_ENOTDIR;
    objects__dir_seen(o, &parent);
    return APR_SUCCESS;
}

/* A file that is not below. Path claimed; who has it open may have written to it meanwhile all the
 * same, and then it is there. */
static apr_status_t make_file(vfs_file_t **file, objects_t *o, const vfs_ctx_t *ctx,
                              const vfs_path_t *path, uint32_t flags, uint32_t mode,
                              vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t status = parent_ask(o, ctx, path);
    if (status != APR_SUCCESS) return status;
    uint64_t caps = o->lower->caps.bits;
    int named = (caps & VFS_CAP_OWNER) && ctx != NULL && (ctx->flags & VFS_CTX_CREDS), staged;
    node_t *n = objects__node_made(o, path, &staged);
    if (n == NULL) return APR_ENOMEM;
    if (staged) {
        status = objects__base_ask(o, n, ctx, 1);
        if (status == APR_SUCCESS) return open_there(file, o, n, flags, 1, attr, validator);
        objects__node_put(o, n);
        return status;
    }
    pthread_mutex_lock(&n->mutex);
    vfs_file_t *idle = objects__base_set(n, 0, NULL, NULL);
    VFS_ASSERT(n->stages == 0);
    objects__stage_init(&n->stage[n->stages++], &o->spool, 0, 0);
    n->mode = caps & VFS_CAP_MODE ? vfs_ctx_mode(ctx, mode) : MODELESS;
    n->uid = named ? ctx->uid : geteuid();
    n->gid = named ? ctx->gid : getegid();
    n->doubt = 0;
    objects__touch(n);
    atomic_fetch_add(&o->fresh, 1);
    pthread_mutex_unlock(&n->mutex);
    objects__made(o, path);
    if (idle != NULL) (void)vfs_close(idle, NULL); /* it only read */
    return open_node(file, o, n, flags & ~VFS_O_TRUNC, 1, attr, validator);
}

/* A regular file that is there below: a node with this handle as its reader. */
static apr_status_t take_file(vfs_file_t **file, objects_t *o, const vfs_path_t *path,
                              uint32_t flags, vfs_file_t *lower, vfs_attr_t *attr,
                              vfs_validator_t *validator)
{
    vfs_file_t *idle = NULL, *spare = NULL;
    node_t *n = objects__node(o, path, 1);
    reader_t *r = malloc(sizeof(*r));
    if (n == NULL || r == NULL) {
        if (n != NULL) objects__node_put(o, n);
        free(r);
        (void)vfs_close(lower, NULL); /* opened a moment ago */
        return APR_ENOMEM;
    }
    *r = (reader_t){lower, 1};
    pthread_mutex_lock(&n->mutex);
    if (!n->base.known || !n->base.exists || !vfs_validator_equal(&n->base.val, validator)) {
        if (n->stages == 0) idle = objects__base_set(n, 1, attr, validator);
    } else {
        n->base.attr = *attr;
    }
    if (n->reader == NULL && n->stages == 0) {
        n->reader = r;
        r = NULL;
    } else {
        spare = lower;
    }
    pthread_mutex_unlock(&n->mutex);
    free(r);
    if (idle != NULL) (void)vfs_close(idle, NULL); /* they only read */
    if (spare != NULL) (void)vfs_close(spare, NULL);
    return open_node(file, o, n, flags, 1, attr, validator);
}

/* It is no file that we could stage: the handle below serves. */
static apr_status_t take_other(vfs_file_t **file, uint32_t flags, vfs_file_t *lower,
                               const vfs_attr_t *attr)
{
    apr_status_t status = APR_SUCCESS;
    if (flags & (VFS_O_WRITE | VFS_O_CREATE))
        status = attr->type == VFS_TYPE_DIR ? EISDIR_STATUS : APR_EINVAL;
    if (status == APR_SUCCESS)
        *file = lower;
    else
        (void)vfs_close(lower, NULL); /* opened a moment ago */
    return status;
}

/* Nothing was there a moment ago: if others are quicker the commit finds that out. Who has to know
 * asks once more. */
static int is_new(objects_t *o, const vfs_path_t *path, uint32_t flags)
{
    return (flags & VFS_O_CREATE) && !(flags & (VFS_O_EXCL | VFS_O_DIRECTORY)) &&
           objects__absent_known(o, path);
}

/* What the caller knows, or what is known here: another version than he is told, perhaps. Returns
 * VFS_O_KNOWN, or 0: it must be asked for. Path claimed. */
static uint32_t known_below(objects_t *o, const vfs_path_t *path, uint32_t flags, vfs_attr_t *attr,
                            vfs_validator_t *validator)
{
    if (!(flags & VFS_O_KNOWN)) return 0;
    node_t *n = objects__node(o, path, 0);
    if (n == NULL) return VFS_O_KNOWN;
    pthread_mutex_lock(&n->mutex);
    int known = n->base.known && n->base.exists;
    if (known) {
        *attr = n->base.attr;
        *validator = n->base.val;
    }
    pthread_mutex_unlock(&n->mutex);
    objects__node_put(o, n);
    return known ? VFS_O_KNOWN : 0;
}

static apr_status_t open_claimed(vfs_file_t **file, objects_t *o, const vfs_ctx_t *ctx,
                                 const vfs_path_t *path, uint32_t flags, uint32_t mode,
                                 vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t status = APR_SUCCESS;
    vfs_file_t *lower = NULL;
    uint32_t below = VFS_O_READ | (flags & (VFS_O_NOFOLLOW | VFS_O_DIRECTORY | VFS_O_DIRECT));
    if (open_staged(file, o, path, flags, attr, validator, &status)) return status;
    if (flags & VFS_O_EXCL) below |= VFS_O_NOFOLLOW;
    below |= known_below(o, path, flags, attr, validator);
    if (is_new(o, path, flags)) return make_file(file, o, ctx, path, flags, mode, attr, validator);
    status = vfs_call_open(&lower, o->lower, ctx, path, below, 0, attr, validator);
    if (APR_STATUS_IS_ENOENT(status) && (flags & VFS_O_CREATE))
        return make_file(file, o, ctx, path, flags, mode, attr, validator);
    status = objects__missing(o, path, status);
    if (flags & VFS_O_EXCL) {
        if (lower != NULL) (void)vfs_close(lower, NULL); /* opened a moment ago */
        return status == APR_SUCCESS || status == APR_FROM_OS_ERROR(ELOOP) ? APR_EEXIST : status;
    }
    if (status != APR_SUCCESS) return status;
    if (attr->type == VFS_TYPE_FILE) return take_file(file, o, path, flags, lower, attr, validator);
    status = take_other(file, flags, lower, attr);
    objects__strip(attr);
    return status;
}

apr_status_t objects_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                          const vfs_path_t *path, uint32_t flags, uint32_t mode, vfs_attr_t *attr,
                          vfs_validator_t *validator)
{
    objects_t *o = objects__of(fs);
    claim_t c;
    apr_status_t status;
    if (open_staged(file, o, path, flags, attr, validator, &status)) return status;
    status = objects__claim(o, ctx, &c, path, NULL, 0);
    if (status != APR_SUCCESS) return status;
    status = open_claimed(file, o, ctx, path, flags, mode, attr, validator);
    objects__release(o, &c);
    return status;
}
