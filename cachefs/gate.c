/*
 * gate.c - who may work on which range of an object, and the object's handle below.
 * Floor 2, private to cachefs/.
 *
 * A gate is a claim on a range, not a lock: it is held across calls into the lower layer, others
 * wait for it with their deadline and cancellation, and only work on the same bytes waits. Fills of
 * one range exclude each other, so a miss has one reader below; fills and writes exclude each
 * other, so no fill can put back bytes that a write replaced.
 */
#include "cachefs/engine.h"

#define SLICE_US 20000 /* a cancel flag has no wake-up: it is looked at this often */

apr_status_t cachefs__wait(pthread_cond_t *cond, pthread_mutex_t *lock, const vfs_ctx_t *ctx,
                           int64_t until_us)
{
    int64_t now = cachefs__clock_us(), end = until_us ? until_us : INT64_MAX;
    apr_status_t st = vfs_ctx_check(ctx);
    if (st) return st;
    if (now >= end) return APR_TIMEUP;
    if (ctx && ctx->deadline) {
        int64_t left = ctx->deadline - apr_time_now();
        if (now + left < end) end = now + (left > 0 ? left : 0);
    }
    if (ctx && ctx->cancel && now + SLICE_US < end) end = now + SLICE_US;
    if (end == INT64_MAX) {
        pthread_cond_wait(cond, lock);
        return APR_SUCCESS;
    }
    struct timespec ts = {.tv_sec = end / 1000000, .tv_nsec = end % 1000000 * 1000};
    (void)pthread_cond_timedwait(cond, lock, &ts); /* the caller looks at its condition again */
    return APR_SUCCESS;
}

apr_status_t cachefs__obj_wait(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, int64_t until_us)
{
    cachefs__ostripe_t *stripe = cachefs__stripe(c, o);
    cachefs__obj_seq_end(o); /* others hold the lock meanwhile */
    apr_status_t st = cachefs__wait(&stripe->cond, &stripe->mutex, ctx, until_us);
    cachefs__obj_seq_begin(o);
    return st;
}

void cachefs__obj_wake(cache_t *c, const obj_t *o)
{
    pthread_cond_broadcast(&cachefs__stripe(c, o)->cond);
}

static gate_t *overlap(const obj_t *o, const gate_t *gate)
{
    gate_t *g = o->gates;
    while (g && (g->end <= gate->start || g->start >= gate->end))
        g = g->next;
    return g;
}

/* Wait for whoever works on the range; the result of a fill is ours too. Object locked. */
static apr_status_t wait_for(cache_t *c, obj_t *o, gate_t *g, gate_wait_t *w, const vfs_ctx_t *ctx)
{
    apr_status_t st = APR_SUCCESS;
    w->done = 0;
    w->next = g->waiters;
    g->waiters = w;
    while (!w->done && !st)
        st = cachefs__obj_wait(c, o, ctx, 0);
    if (w->done) return w->status;
    gate_wait_t **at = &g->waiters; /* given up: the other goes on, so g is still there */
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    return st;
}

apr_status_t cachefs__gate_enter(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, gate_t *gate,
                                 int *waited)
{
    apr_status_t st = APR_SUCCESS;
    gate_t *g;
    VFS_ASSERT(gate->start < gate->end);
    if (waited) *waited = 0;
    cachefs__obj_lock(c, o);
    while (!st && ((g = overlap(o, gate)) != NULL || (o->flags & OBJ_DOUBT))) {
        if (!g) { /* nobody builds on a size that is in doubt */
            cachefs__obj_unlock(c, o);
            st = cachefs__obj_sure(c, o, ctx);
            if (!st && gate->kind == GATE_FILL && waited) { /* it may be another version */
                *waited = 1;
                return st;
            }
            cachefs__obj_lock(c, o);
            continue;
        }
        cachefs__count(&c->counters, CNT_WAITS, 1);
        if (gate->kind == GATE_FILL) {
            if (waited) *waited = 1;
            st = wait_for(c, o, g, &gate->wait, ctx);
            goto done;
        }
        st = cachefs__obj_wait(c, o, ctx, 0);
    }
    if (!st) {
        gate->waiters = NULL;
        gate->next = o->gates;
        o->gates = gate;
    }
done:
    cachefs__obj_unlock(c, o);
    return st;
}

void cachefs__gate_leave(cache_t *c, obj_t *o, gate_t *gate, apr_status_t status)
{
    cachefs__obj_lock(c, o);
    gate_t **at = &o->gates;
    while (*at != gate) {
        VFS_ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = gate->next;
    for (gate_wait_t *w = gate->waiters; w; w = w->next) {
        w->done = 1;
        w->status = gate->kind == GATE_FILL ? status : APR_SUCCESS;
    }
    cachefs__obj_wake(c, o);
    cachefs__obj_unlock(c, o);
}

/* ---- the handle below */

/* Open the object by its name. Object not locked, o->opening set. */
static apr_status_t open_lower(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               int write, vfs_file_t **file, uint32_t *flags)
{
    vfs_attr_t attr;
    *flags = VFS_O_READ | (write ? VFS_O_WRITE : 0);
    CACHE_NO_LOCKS_HELD();
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    apr_status_t st = vfs_call_open(file, c->lower, ctx, path, *flags, 0, &attr, NULL);
    if (write && APR_STATUS_IS_EACCES(st)) {
        *flags = VFS_O_WRITE;
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
        st = vfs_call_open(file, c->lower, ctx, path, *flags, 0, &attr, NULL);
    }
    if (st) return APR_STATUS_IS_ENOENT(st) ? VFS_ESTALE : st;
    if ((attr.flags & VFS_ATTR_STABLE_ID) &&
        (attr.ino != o->ino || attr.dev != o->dev || !cachefs__same_birth(o, &attr))) {
        (void)vfs_close(*file, ctx); /* the name leads to another file by now */
        return VFS_ESTALE;
    }
    return APR_SUCCESS;
}

/* The same, but a name that is being changed right now is waited for. */
static apr_status_t open_named(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, vfs_path_t *path,
                               char *buf, int write, vfs_file_t **file, uint32_t *flags)
{
    for (int tries = 0;; tries++) {
        apr_status_t st = open_lower(c, o, ctx, path, write, file, flags);
        if (st != VFS_ESTALE || tries == 3) return st;
        uint32_t hash = path->hash;
        cachefs__mut_wait(c, path);
        cachefs__obj_lock(c, o);
        apr_status_t named = cachefs__obj_name(c, o, path, buf);
        cachefs__obj_unlock(c, o);
        if (named || path->hash == hash) return st; /* no new name: it is gone */
    }
}

static int serves(const obj_t *o, int write)
{
    return o->lower_file && (!write || (o->lower_flags & VFS_O_WRITE));
}

/* Take a handle for the object if it is better than what there is. Whoever uses the other one goes
 * on with it: to wait for them could be to wait for ourselves. Object locked. Returns what is to be
 * closed, or NULL. */
static vfs_file_t *install(obj_t *o, vfs_file_t *file, uint32_t flags)
{
    vfs_file_t *old = o->lower_file;
    if (serves(o, (flags & VFS_O_WRITE) != 0)) return file;
    o->lower_file = file;
    o->lower_flags = flags;
    if (!old || !o->io) return old;
    VFS_ASSERT(!o->lower_old); /* only one that cannot write is replaced, and by one that can */
    o->lower_old = old;
    return NULL;
}

apr_status_t cachefs__lower_use(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, int write,
                                vfs_file_t **file)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    vfs_file_t *spare = NULL;
    apr_status_t st = APR_SUCCESS;
    CACHE_NO_LOCKS_HELD();
    cachefs__obj_lock(c, o);
    while (!st && o->opening && !serves(o, write))
        st = cachefs__obj_wait(c, o, ctx, 0);
    if (!st && !serves(o, write)) {
        vfs_file_t *made = NULL;
        uint32_t flags = 0;
        st = cachefs__obj_name(c, o, &path, buf) ? VFS_ESTALE : APR_SUCCESS;
        if (!st) {
            o->opening = 1;
            cachefs__obj_unlock(c, o);
            st = open_named(c, o, ctx, &path, buf, write, &made, &flags);
            cachefs__obj_lock(c, o);
            o->opening = 0;
            if (!st) spare = install(o, made, flags);
            if (serves(o, write)) st = APR_SUCCESS; /* an open brought one meanwhile */
            cachefs__obj_wake(c, o);
        }
    }
    if (!st) {
        o->io++;
        *file = o->lower_file;
    } else if (!o->io && !o->handles && !o->dirty_bytes && !o->flushing && !o->opening) {
        spare = o->lower_file; /* whoever left last left it to us */
        o->lower_file = NULL;
    }
    cachefs__obj_unlock(c, o);
    if (spare) (void)vfs_close(spare, ctx); /* nothing was written through it */
    return st;
}

vfs_file_t *cachefs__lower_here(cache_t *c, obj_t *o)
{
    cachefs__obj_lock(c, o);
    vfs_file_t *file = o->lower_file;
    if (file) o->io++;
    cachefs__obj_unlock(c, o);
    return file;
}

void cachefs__lower_done(cache_t *c, obj_t *o)
{
    vfs_file_t *file = NULL, *old = NULL;
    cachefs__obj_lock(c, o);
    VFS_ASSERT(o->io > 0);
    if (--o->io == 0) {
        old = o->lower_old;
        o->lower_old = NULL;
        if (!o->handles && !o->dirty_bytes && !o->flushing && !o->opening) {
            file = o->lower_file;
            o->lower_file = NULL;
        }
    }
    cachefs__obj_wake(c, o);
    cachefs__obj_unlock(c, o);
    CACHE_NO_LOCKS_HELD();
    if (file) (void)vfs_close(file, NULL); /* all data was written with its own status */
    if (old) (void)vfs_close(old, NULL);   /* it was open for reading only */
}

void cachefs__lower_idle(cache_t *c, obj_t *o)
{
    vfs_file_t *file = NULL;
    cachefs__obj_lock(c, o);
    if (!o->io && !o->handles && !o->dirty_bytes && !o->flushing && !o->opening) {
        file = o->lower_file;
        o->lower_file = NULL;
    }
    cachefs__obj_unlock(c, o);
    CACHE_NO_LOCKS_HELD();
    if (file) (void)vfs_close(file, NULL); /* nothing is left that should go through it */
}

void cachefs__lower_adopt(cache_t *c, obj_t *o, vfs_file_t *file, uint32_t flags)
{
    cachefs__obj_lock(c, o);
    vfs_file_t *spare = install(o, file, flags);
    cachefs__obj_wake(c, o);
    cachefs__obj_unlock(c, o);
    CACHE_NO_LOCKS_HELD();
    if (spare) (void)vfs_close(spare, NULL); /* nothing was written through it */
}
