/*
 * opener.c - by whose rights a file is open.
 * Floor 2, private to cachefs/.
 *
 * Whoever may open a file may go on with it, whatever becomes of its name, its mode or its
 * directories, and whoever the handle is given to. The handle below is opened when it is first
 * needed, which may be in somebody else's call: if that one may not, it is opened by the rights of
 * the last who opened the file here, else by our own, since that open was allowed.
 */
#include "cachefs/engine.h"

struct cachefs__creds_t {
    uint32_t refs; /* guarded by the lock of the object */
    uint32_t uid, gid;
    size_t ngroups;
    uint32_t groups[];
};

static cachefs__creds_t *creds_of(const vfs_ctx_t *ctx)
{
    if (!ctx || !(ctx->flags & VFS_CTX_CREDS)) return NULL;
    size_t n = ctx->groups ? ctx->ngroups : 0;
    cachefs__creds_t *creds = malloc(sizeof(*creds) + n * sizeof(*creds->groups));
    if (!creds) return NULL; /* then our own rights must do */
    *creds = (cachefs__creds_t){1, ctx->uid, ctx->gid, n};
    if (n) memcpy(creds->groups, ctx->groups, n * sizeof(*creds->groups));
    return creds;
}

/* Object locked. Returns what is to be freed. */
static cachefs__creds_t *release(cachefs__creds_t *creds)
{
    return creds && --creds->refs == 0 ? creds : NULL;
}

void cachefs__opener_note(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    cachefs__creds_t *creds = creds_of(ctx);
    if (!creds) return;
    cachefs__obj_lock(c, o);
    cachefs__creds_t *old = release(o->opener);
    o->opener = creds;
    cachefs__obj_unlock(c, o);
    free(old);
}

cachefs__creds_t *cachefs__opener_end(obj_t *o)
{
    cachefs__creds_t *old = release(o->opener);
    o->opener = NULL;
    return old;
}

apr_status_t cachefs__as_opener(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, cachefs__open_fn fn,
                                void *baton)
{
    vfs_ctx_t as = VFS_CTX_INIT;
    apr_status_t st = APR_EACCES;
    cachefs__obj_lock(c, o);
    int open = o->handles > o->holds;
    cachefs__creds_t *creds = open ? o->opener : NULL;
    if (creds) creds->refs++;
    cachefs__obj_unlock(c, o);
    if (ctx) as = *ctx;
    if (creds) {
        as.flags |= VFS_CTX_CREDS;
        as.uid = creds->uid;
        as.gid = creds->gid;
        as.groups = creds->groups;
        as.ngroups = creds->ngroups;
        st = fn(baton, &as);
        cachefs__obj_lock(c, o);
        creds = release(creds);
        cachefs__obj_unlock(c, o);
        free(creds);
    }
    if (open && APR_STATUS_IS_EACCES(st)) {
        as.flags &= ~VFS_CTX_CREDS;
        st = fn(baton, &as);
    }
    return st;
}
