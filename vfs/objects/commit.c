/*
 * commit.c - what is staged goes below, as one commit. Floor 1, private to vfs/objects/.
 *
 * While it goes, the stage stands still, so a backend may read it twice and gets the same bytes;
 * who writes meanwhile writes to a second one on top. The commit is conditional on the version that
 * the stage is based on; where the lower layer knows no conditions it is asked right before.
 */
#include <stdlib.h>

#include "vfs/objects/objects.h"

/* ---- the bytes */

/* The reader of the base, for the rest of the commit. Path claimed. */
static apr_status_t source_reader(source_t *s, vfs_file_t **file)
{
    *file = s->instead;
    if (s->instead != NULL) return APR_SUCCESS;
    if (s->reader == NULL) {
        apr_status_t status = objects__reader(s->o, s->n, s->ctx, 1, &s->reader);
        if (status != APR_SUCCESS) return status;
    }
    *file = s->reader->file;
    return APR_SUCCESS;
}

static apr_status_t source_base(source_t *s, char *buf, size_t len, uint64_t off)
{
    vfs_file_t *file;
    size_t got = 0;
    apr_status_t status = source_reader(s, &file);
    if (status != APR_SUCCESS) return status;
    if (s->instead == NULL) return objects__base_read(file, s->ctx, buf, len, off, &s->val);
    status = vfs_call_read_at(file, s->ctx, buf, len, (apr_off_t)off, &got);
    memset(buf + got, 0, len - got); /* theirs ends before */
    s->borrowed += len;
    return status;
}

apr_status_t objects__source_read(void *baton, void *buf, size_t len, apr_off_t start)
{
    source_t *s = baton;
    const stage_t *stage = &s->n->stage[0]; /* it stands still */
    uint64_t off = (uint64_t)start, end = off + len;
    char *out = buf;
    apr_status_t status = APR_SUCCESS;
    while (off < end && status == APR_SUCCESS) {
        size_t i = objects__stage_find(stage, off);
        uint64_t to = end;
        if (i < stage->count && stage->list[i].from <= off) {
            if (to > stage->list[i].to) to = stage->list[i].to;
            status = objects__stage_read(stage, out, (size_t)(to - off), off);
        } else {
            if (i < stage->count && to > stage->list[i].from) to = stage->list[i].from;
            if (off < stage->keep && to > stage->keep) to = stage->keep;
            if (off < stage->keep)
                status = source_base(s, out, (size_t)(to - off), off);
            else
                memset(out, 0, (size_t)(to - off));
        }
        out += to - off;
        off = to;
    }
    return status;
}

/* What of the new bytes are those of the base. */
static apr_status_t kept_of(const stage_t *s, vfs_range_t **kept, size_t *count)
{
    uint64_t at = 0;
    *count = 0;
    *kept = NULL;
    if (s->keep == 0) return APR_SUCCESS;
    *kept = malloc((s->count + 1) * sizeof(**kept));
    if (*kept == NULL) return APR_ENOMEM;
    for (size_t i = 0; i <= s->count && at < s->keep; i++) {
        uint64_t from = i < s->count ? s->list[i].from : s->keep;
        if (from > s->keep) from = s->keep;
        if (from > at) (*kept)[(*count)++] = (vfs_range_t){at, from - at};
        if (i < s->count) at = s->list[i].to;
    }
    return APR_SUCCESS;
}

/* ---- a commit */

typedef struct going_t {
    vfs_commit_t how;
    vfs_attr_t attr; /* what came of it */
    vfs_validator_t val;
    vfs_range_t *kept;
    int exists;        /* the base does */
    uint32_t uid, gid; /* who made the file, if not */
} going_t;

/* The stage stands still from now on. 0: there is nothing to do, or `status` says why not. */
static int freeze(objects_t *o, node_t *n, going_t *g, apr_status_t *status)
{
    *status = APR_SUCCESS;
    pthread_mutex_lock(&n->mutex);
    if (n->stages == 2) { /* an earlier one failed, and so did bringing the two together */
        *status = objects__stage_merge(&n->stage[0], &n->stage[1]);
        if (*status == APR_SUCCESS) n->stages = 1;
    }
    int go = n->stages == 1 && *status == APR_SUCCESS;
    if (go) {
        VFS_ASSERT(!n->committing);
        g->how = (vfs_commit_t)VFS_COMMIT_INIT;
        g->how.mode = n->base.exists ? n->base.attr.mode & VFS__MODE_BITS : n->mode;
        if (o->lower->caps.bits & VFS_CAP_TIMES) g->how.mtime_ns = n->mtime_ns;
        g->exists = n->base.exists;
        g->uid = n->uid;
        g->gid = n->gid;
        if (g->exists) g->how.expected = n->base.val;
        n->committing = 1;
    }
    pthread_mutex_unlock(&n->mutex);
    return go;
}

/* The condition, or the question instead of it. */
static apr_status_t conditions(objects_t *o, node_t *n, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, going_t *g)
{
    vfs_validator_t now;
    apr_status_t status = APR_SUCCESS;
    int named = g->how.expected.kind != VFS_VALIDATOR_NONE;
    if (o->lower->caps.bits & VFS_CAP_CONDITIONAL) {
        if (!g->exists)
            g->how.flags = VFS_COMMIT_IF_NONE;
        else if (named)
            g->how.flags = VFS_COMMIT_IF_MATCH;
    } else {
        status = vfs_call_stat(o->lower, ctx, path, NULL, &now);
        if (APR_STATUS_IS_ENOENT(status))
            status = g->exists ? VFS_ECONFLICT : APR_SUCCESS;
        else if (status == APR_SUCCESS &&
                 (!g->exists || (named && !vfs_validator_equal(&now, &g->how.expected))))
            status = VFS_ECONFLICT;
    }
    if (status != APR_SUCCESS || !g->exists || !named) return status;
    status = kept_of(&n->stage[0], &g->kept, &g->how.kept_count);
    g->how.kept = g->kept;
    return status;
}

const vfs_ctx_t *objects__as_maker(const objects_t *o, uint32_t uid, uint32_t gid,
                                   const vfs_ctx_t *ctx, vfs_ctx_t *maker)
{
    static const vfs_ctx_t init = VFS_CTX_INIT;
    uint64_t caps = o->lower->caps.bits;
    if (!(caps & VFS_CAP_OWNER) || (caps & VFS_CAP_CREDS)) return ctx;
    *maker = ctx != NULL ? *ctx : init;
    maker->flags |= VFS_CTX_CREDS;
    maker->uid = uid;
    maker->gid = gid;
    maker->ngroups = 0;
    return maker;
}

static apr_status_t send_below(objects_t *o, node_t *n, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, going_t *g)
{
    source_t from = {.o = o, .n = n, .ctx = ctx, .val = g->how.expected};
    vfs_source_t source = {objects__source_read, &from, n->stage[0].size};
    vfs_ctx_t maker;
    const vfs_ctx_t *by = g->exists ? ctx : objects__as_maker(o, g->uid, g->gid, ctx, &maker);
    apr_status_t status = conditions(o, n, ctx, path, g);
    if (status == APR_SUCCESS) {
        status = vfs_call_commit(o->lower, by, path, &source, &g->how, &g->attr, &g->val);
        if (status == APR_SUCCESS) objects__dir_seen_above(o, path);
        if (status == APR_SUCCESS &&
            (g->val.kind == VFS_VALIDATOR_NONE || g->attr.type != VFS_TYPE_FILE))
            (void)vfs_call_stat(o->lower, ctx, path, &g->attr, &g->val); /* else it is not known */
    }
    objects__reader_put(n, from.reader);
    free(g->kept);
    return status == VFS_ESTALE ? VFS_ECONFLICT : status; /* the base was replaced meanwhile */
}

/* The stage is below, or beside it. Returns a handle to be closed, or NULL. */
static vfs_file_t *settled(objects_t *o, node_t *n, going_t *g, int exists, commit_e kind)
{
    vfs_validator_t told;
    pthread_mutex_lock(&n->mutex);
    objects__version(o, n, &told);
    int fresh = objects__is_fresh(n);
    vfs_file_t *idle = objects__base_set(n, exists, &g->attr, &g->val);
    objects__stage_end(&n->stage[0]);
    n->stages--;
    if (n->stages > 0) {
        n->stage[0] = n->stage[1];
        if (n->stage[0].keep > n->base.attr.size) n->stage[0].keep = n->base.attr.size;
    } else if (kind == COMMIT_KEEPS && exists) {
        n->told = 1;
        n->told_val = told;
    } else if (exists) {
        n->just = 1;
    }
    n->doubt = 0;
    n->committing = 0;
    if (fresh && !objects__is_fresh(n)) atomic_fetch_sub(&o->fresh, 1);
    if (!fresh && objects__is_fresh(n)) atomic_fetch_add(&o->fresh, 1);
    pthread_mutex_unlock(&n->mutex);
    return idle;
}

/* All stays staged; `doubt`: or may be below. */
static void failed(node_t *n, int doubt)
{
    pthread_mutex_lock(&n->mutex);
    n->committing = 0;
    n->settling = 0;
    n->doubt = doubt;
    if (!doubt && n->stages == 2 && objects__stage_merge(&n->stage[0], &n->stage[1]) == APR_SUCCESS)
        n->stages = 1; /* else the next commit tries it again */
    pthread_mutex_unlock(&n->mutex);
}

static void done(objects_t *o, node_t *n, going_t *g, int exists, commit_e kind)
{
    vfs_file_t *idle = settled(o, n, g, exists, kind);
    if (idle != NULL) (void)vfs_close(idle, NULL); /* it only read */
    if (!exists) objects__node_gone(o, n);         /* theirs was to remove it */
    pthread_mutex_lock(&n->mutex);
    n->settling = 0; /* not before: a write in between would be lost with the name */
    pthread_mutex_unlock(&n->mutex);
}

/* What was written since lies on top of it. */
apr_status_t objects__resolve(objects_t *o, node_t *n, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              commit_e kind)
{
    going_t g = {.kept = NULL};
    int was = 0;
    pthread_mutex_lock(&n->mutex);
    int doubt = n->doubt;
    pthread_mutex_unlock(&n->mutex);
    if (!doubt) return APR_SUCCESS;
    apr_status_t status = objects__was_done(o, n, ctx, path, &g.attr, &g.val, &was);
    if (status != APR_SUCCESS) return status;
    if (was)
        done(o, n, &g, 1, kind);
    else
        failed(n, 0);
    return APR_SUCCESS;
}

static apr_status_t commit_once(objects_t *o, node_t *n, const vfs_ctx_t *ctx,
                                const vfs_path_t *path, commit_e kind)
{
    going_t g = {.kept = NULL};
    int exists = 1, was = 0;
    apr_status_t status;
    if (!freeze(o, n, &g, &status)) return status;
    status = send_below(o, n, ctx, path, &g);
    if (status == VFS_ECONFLICT) {
        status = objects__conflict(o, n, ctx, path, &g.attr, &g.val, &exists);
        if (status == VFS_ECONFLICT) kind = COMMIT_MOVES;
    } else if (status != APR_SUCCESS) { /* it may be its answer that was lost */
        apr_status_t known = objects__was_done(o, n, ctx, path, &g.attr, &g.val, &was);
        if (!was) failed(n, known != APR_SUCCESS);
        if (!was) return status;
        status = APR_SUCCESS;
    }
    if (status == APR_SUCCESS || status == VFS_ECONFLICT)
        done(o, n, &g, exists, kind);
    else
        failed(n, 0);
    return status;
}

apr_status_t objects__commit_claimed(objects_t *o, node_t *n, const vfs_ctx_t *ctx, commit_e kind)
{
    vfs_path_t path = objects__node_path(n);
    apr_status_t status = objects__staged(n) ? objects__base_ask(o, n, ctx, 1) : APR_SUCCESS;
    if (status == APR_SUCCESS) status = objects__resolve(o, n, ctx, &path, kind);
    return status == APR_SUCCESS ? commit_once(o, n, ctx, &path, kind) : status;
}

apr_status_t objects__commit(objects_t *o, node_t *n, const vfs_ctx_t *ctx, commit_e kind)
{
    claim_t c;
    if (!objects__staged(n)) return APR_SUCCESS;
    apr_status_t status = objects__claim_node(o, ctx, &c, n);
    if (status == VFS_ESTALE)
        return APR_SUCCESS; /* without a name it is nobody's but the handle's */
    if (status != APR_SUCCESS) return status;
    status = objects__commit_claimed(o, n, ctx, kind);
    objects__release(o, &c);
    return status;
}

apr_status_t objects__commit_tree(objects_t *o, const vfs_path_t *path, const vfs_ctx_t *ctx)
{
    size_t count;
    apr_status_t first = APR_SUCCESS;
    node_t **nodes = objects__nodes(o, path, &count);
    if (nodes == NULL) return APR_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        apr_status_t status = path != NULL ? objects__commit_claimed(o, nodes[i], ctx, COMMIT_KEEPS)
                                           : objects__commit(o, nodes[i], ctx, COMMIT_KEEPS);
        if (first == APR_SUCCESS) first = status;
    }
    objects__nodes_put(o, nodes, count);
    return first;
}
