/*
 * gate.c - who may work on which range of an object, and the object's handle below.
 * Floor 2, private to cachefs/.
 *
 * A gate is a claim on a range, not a lock: it is held across calls into the lower layer, others
 * wait for it with their deadline and cancellation, and only work on the same bytes waits. Fills of
 * one range exclude each other, so a miss has one reader below; fills and writes exclude each
 * other, so no fill can put back bytes that a write replaced.
 *
 * A fill that asks the disk tier has its gate on sufferance: a store may hang, and what it has can
 * be read elsewhere. Whoever has waited long enough for such a gate takes it away and goes on. Who
 * had it finds that out before it does anything with the bytes (cachefs__gate_keep).
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

gate_t *cachefs__gate_met(const obj_t *o, uint64_t from, uint64_t to)
{
    gate_t *g = o->gates;
    while (g && (g->end <= from || g->start >= to))
        g = g->next;
    return g;
}

static void gate_unlink(obj_t *o, gate_t *gate, apr_status_t status);

/* Wait for something to happen to a gate, or take it away. Object locked. */
static apr_status_t wait_once(cache_t *c, obj_t *o, gate_t *g, const vfs_ctx_t *ctx)
{
    if (!g->until_us || cachefs__clock_us() < g->until_us) {
        apr_status_t st = cachefs__obj_wait(c, o, ctx, g->until_us);
        return APR_STATUS_IS_TIMEUP(st) ? vfs_ctx_check(ctx) : st;
    }
    gate_unlink(o, g, APR_SUCCESS);
    g->lost = 1;
    cachefs__l2_suspect(c->l2); /* else who looks again could hang there too */
    cachefs__obj_wake(c, o);
    return APR_SUCCESS;
}

/* Wait for whoever works on the range; the result of a fill is ours too. Object locked. */
static apr_status_t wait_for(cache_t *c, obj_t *o, gate_t *g, gate_wait_t *w, const vfs_ctx_t *ctx)
{
    apr_status_t st = APR_SUCCESS;
    w->done = 0;
    w->next = g->waiters;
    g->waiters = w;
    while (!w->done && !st)
        st = wait_once(c, o, g, ctx);
    if (w->done) return w->status;
    gate_wait_t **at = &g->waiters; /* given up: the other goes on, so g is still there */
    while (*at != w)
        at = &(*at)->next;
    *at = w->next;
    return st;
}

/* Object locked. */
static void gate_link(obj_t *o, gate_t *gate)
{
    gate->waiters = NULL;
    gate->lost = 0;
    gate->until_us = gate->patience_us ? cachefs__clock_us() + gate->patience_us : 0;
    gate->next = o->gates;
    o->gates = gate;
}

/* Object locked. Who waits for it is told, and is to be woken. */
static void gate_unlink(obj_t *o, gate_t *gate, apr_status_t status)
{
    gate_t **at = &o->gates;
    if (gate->lost) return;
    while (*at != gate) {
        VFS_ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = gate->next;
    for (gate_wait_t *w = gate->waiters; w; w = w->next) {
        w->done = 1;
        w->status = gate->kind == GATE_FILL ? status : APR_SUCCESS;
    }
}

void cachefs__gate_widen(const cache_t *c, gate_t *gate)
{
    uint64_t mask = (1ull << BLOCK_SHIFT_MAX) - 1;
    if (c->mode != CACHEFS_BACK) return;
    gate->start &= ~mask;
    gate->end = gate->end > UINT64_MAX - mask ? UINT64_MAX : (gate->end + mask) & ~mask;
}

apr_status_t cachefs__gate_enter(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, gate_t *gate,
                                 int *waited)
{
    apr_status_t st = APR_SUCCESS;
    gate_t *g;
    VFS_ASSERT(gate->start < gate->end);
    if (waited) *waited = 0;
    cachefs__obj_lock(c, o);
    while (!st &&
           ((g = cachefs__gate_met(o, gate->start, gate->end)) != NULL || (o->flags & OBJ_DOUBT))) {
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
        st = wait_once(c, o, g, ctx);
    }
    if (!st) gate_link(o, gate);
done:
    cachefs__obj_unlock(c, o);
    return st;
}

int cachefs__gate_keep(cache_t *c, obj_t *o, gate_t *gate)
{
    cachefs__obj_look(c, o);
    gate->until_us = 0;
    int ours = !gate->lost;
    cachefs__obj_looked(c, o);
    return ours;
}

void cachefs__gate_leave(cache_t *c, obj_t *o, gate_t *gate, apr_status_t status)
{
    cachefs__obj_lock(c, o);
    gate_unlink(o, gate, status);
    cachefs__obj_wake(c, o);
    cachefs__obj_unlock(c, o);
}

/* ---- the handle below */

/* An open of the object by its name. */
typedef struct opening_t {
    cache_t *c;
    obj_t *o;
    const vfs_path_t *path;
    cachefs__lower_e how;
    int doubt; /* the name may be another file's */
    vfs_file_t *file;
    uint32_t flags;
    uint32_t told; /* of the attributes of what it led to */
} opening_t;

/* Over a far layer what is known of a file needs no question: what is read says what it is of. */
static uint32_t known(const opening_t *op, vfs_attr_t *attr, vfs_validator_t *val)
{
    const uint32_t relevant =
        OBJ_ATTR | OBJ_ATTR_OLD | OBJ_OWN_CHANGE | OBJ_DOUBT | OBJ_UNLINKED | OBJ_BY_LINK;
    cache_t *c = op->c;
    obj_t *o = op->o;
    if (!c->lower_is_far || op->doubt || op->how == LOWER_WRITE) return 0;
    cachefs__obj_look(c, o);
    int yes = (o->flags & relevant) == OBJ_ATTR && !o->changing && !o->dirty_bytes &&
              o->attr.type == VFS_TYPE_FILE && o->validator.kind != VFS_VALIDATOR_NONE;
    *attr = o->attr;
    *val = o->validator;
    cachefs__obj_looked(c, o);
    return yes ? VFS_O_KNOWN : 0;
}

static apr_status_t open_below(void *baton, const vfs_ctx_t *ctx)
{
    opening_t *op = baton;
    cache_t *c = op->c;
    vfs_attr_t attr;
    vfs_validator_t val;
    int write = op->how == LOWER_WRITE;
    op->flags = VFS_O_READ | (write ? VFS_O_WRITE : 0);
    CACHE_NO_LOCKS_HELD();
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    apr_status_t st = vfs_call_open(&op->file, c->lower, ctx, op->path,
                                    op->flags | known(op, &attr, &val), 0, &attr, &val);
    if (write && APR_STATUS_IS_EACCES(st)) {
        op->flags = VFS_O_WRITE;
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
        st = vfs_call_open(&op->file, c->lower, ctx, op->path, op->flags, 0, &attr, NULL);
    }
    if (st) return APR_STATUS_IS_ENOENT(st) || APR_STATUS_IS_ENOTDIR(st) ? VFS_ESTALE : st;
    op->told = attr.flags;
    if (!(c->lower->caps.bits & VFS_CAP_SYMLINK)) op->told |= VFS_ATTR_DIRECT;
    int known = !op->doubt || (attr.flags & VFS_ATTR_STABLE_ID);
    if (!known || !cachefs__may_be(op->o, &attr)) {
        (void)vfs_close(op->file, ctx); /* the name leads to another file by now */
        return VFS_ESTALE;
    }
    return APR_SUCCESS;
}

/* By its name, or where that is in doubt by the first of its names that leads to it: that is its
 * name. */
static apr_status_t open_by_names(const vfs_ctx_t *ctx, vfs_path_t *path, char *buf, opening_t *op)
{
    for (unsigned nth = 1;; nth++) {
        uint64_t asked = atomic_load_explicit(&op->c->mut_seq, memory_order_acquire);
        apr_status_t st = open_below(op, ctx);
        if (APR_STATUS_IS_EACCES(st)) st = cachefs__as_opener(op->c, op->o, ctx, open_below, op);
        if (!st && op->doubt)
            (void)cachefs__obj_name_seen(op->c, op->o, path, asked, CLAIM_NONE, op->told);
        if (st != VFS_ESTALE) return st;
        cachefs__obj_look(op->c, op->o);
        int is = cachefs__obj_name_nth(op->c, op->o, nth, path, buf);
        cachefs__obj_looked(op->c, op->o);
        if (!is) return st;
        op->doubt = 1;
    }
}

/* Open the object by its name; one that is being changed right now is waited for. Object not
 * locked, o->opening set. */
static apr_status_t open_named(const vfs_ctx_t *ctx, vfs_path_t *path, char *buf, opening_t *op)
{
    for (int tries = 0;; tries++) {
        const vfs_path_t first = *path;
        apr_status_t st = open_by_names(ctx, path, buf, op);
        if (st != VFS_ESTALE || tries == 3) return st;
        st = cachefs__mut_wait(op->c, ctx, &first);
        if (st) return st;
        cachefs__obj_look(op->c, op->o);
        int named = cachefs__obj_name_nth(op->c, op->o, 0, path, buf);
        cachefs__obj_looked(op->c, op->o);
        if (!named || path->hash == first.hash) return VFS_ESTALE; /* no new name: it is gone */
    }
}

/* The handle below that serves. Object locked. */
static vfs_file_t *pick(const obj_t *o, cachefs__lower_e how)
{
    if (how == LOWER_READ) return o->lower_file;
    if (how == LOWER_ANY) return o->lower_file ? o->lower_file : o->lower_writer;
    return o->lower_file && (o->lower_flags & VFS_O_WRITE) ? o->lower_file : o->lower_writer;
}

/* Take a handle for the object if it is better than what there is. Whoever uses the other one goes
 * on with it: to wait for them could be to wait for ourselves. One that cannot read is kept beside
 * the one that can. Object locked. Returns what is to be closed, or NULL. */
static vfs_file_t *install(obj_t *o, vfs_file_t *file, uint32_t flags)
{
    vfs_file_t *old = o->lower_file;
    if (pick(o, flags & VFS_O_WRITE ? LOWER_WRITE : LOWER_READ) && (old || !(flags & VFS_O_READ)))
        return file;
    if (!(flags & VFS_O_READ)) {
        o->lower_writer = file;
        return NULL;
    }
    o->lower_file = file;
    o->lower_flags = flags;
    if (!old || !o->io) return old;
    VFS_ASSERT(!o->lower_old); /* only one that cannot write is replaced, and by one that can */
    o->lower_old = old;
    return NULL;
}

int cachefs__lower_unused(const obj_t *o)
{
    return !o->io && !o->handles && !o->dirty_bytes && !o->flushing && !o->opening;
}

cachefs__lowers_t cachefs__lower_take(obj_t *o)
{
    cachefs__lowers_t l = {.file = o->lower_file, .writer = o->lower_writer};
    if (l.writer || (l.file && (o->lower_flags & VFS_O_WRITE))) {
        l.staged = (o->flags & OBJ_STAGED) != 0;
        l.committing = l.staged && !(o->flags & OBJ_COMMITTING);
        o->flags &= ~OBJ_STAGED; /* closing them is a flush */
        if (l.committing) o->flags |= OBJ_COMMITTING;
    }
    o->lower_file = o->lower_writer = NULL;
    return l;
}

apr_status_t cachefs__lower_close(cache_t *c, obj_t *o, const cachefs__lowers_t *l)
{
    CACHE_NO_LOCKS_HELD();
    apr_status_t st = l->file ? vfs_close(l->file, NULL) : APR_SUCCESS;
    apr_status_t end = l->writer ? vfs_close(l->writer, NULL) : APR_SUCCESS;
    if (l->old) (void)vfs_close(l->old, NULL); /* it was open for reading only */
    if (!st) st = end;
    if (l->staged) cachefs__staged_closed(c, o, l, st);
    return st;
}

apr_status_t cachefs__lower_use(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, cachefs__lower_e how,
                                vfs_file_t **file)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    cachefs__lowers_t idle = {.file = NULL};
    apr_status_t st = APR_SUCCESS;
    CACHE_NO_LOCKS_HELD();
    cachefs__obj_lock(c, o);
    while (!st && o->opening && !pick(o, how))
        st = cachefs__obj_wait(c, o, ctx, 0);
    if (!st && !pick(o, how)) {
        opening_t op = {.c = c, .o = o, .path = &path, .how = how};
        st = cachefs__obj_name_nth(c, o, 0, &path, buf) ? APR_SUCCESS : VFS_ESTALE;
        op.doubt = o->name_more != 0;
        if (!st) {
            o->opening = 1;
            cachefs__obj_unlock(c, o);
            st = open_named(ctx, &path, buf, &op);
            cachefs__obj_lock(c, o);
            o->opening = 0;
            if (!st) idle.file = install(o, op.file, op.flags);
            if (pick(o, how)) st = APR_SUCCESS; /* an open brought one meanwhile */
            cachefs__obj_wake(c, o);
        }
    }
    if (!st) {
        o->io++;
        *file = pick(o, how);
    } else if (cachefs__lower_unused(o)) {
        idle = cachefs__lower_take(o); /* whoever left last left it to us */
    }
    cachefs__obj_unlock(c, o);
    (void)cachefs__lower_close(c, o, &idle); /* nothing was written through it */
    return st;
}

vfs_file_t *cachefs__lower_here(cache_t *c, obj_t *o)
{
    cachefs__obj_lock(c, o);
    vfs_file_t *file = pick(o, LOWER_ANY);
    if (file) o->io++;
    cachefs__obj_unlock(c, o);
    return file;
}

/* Object locked. What nobody needs any more is to be closed. */
static cachefs__lowers_t lower_end(obj_t *o)
{
    cachefs__lowers_t idle = {.file = NULL};
    VFS_ASSERT(o->io > 0);
    if (--o->io) return idle;
    vfs_file_t *old = o->lower_old;
    o->lower_old = NULL;
    if (cachefs__lower_unused(o)) idle = cachefs__lower_take(o);
    idle.old = old;
    return idle;
}

void cachefs__lower_done(cache_t *c, obj_t *o)
{
    cachefs__obj_lock(c, o);
    cachefs__lowers_t idle = lower_end(o);
    cachefs__obj_wake(c, o);
    cachefs__obj_unlock(c, o);
    (void)cachefs__lower_close(c, o, &idle); /* all data was written with its own status */
}

void cachefs__lower_idle(cache_t *c, obj_t *o)
{
    cachefs__lowers_t idle = {.file = NULL};
    cachefs__obj_lock(c, o);
    if (cachefs__lower_unused(o)) idle = cachefs__lower_take(o);
    cachefs__obj_unlock(c, o);
    (void)cachefs__lower_close(c, o, &idle); /* nothing is left that should go through it */
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

/* ---- both at once */

vfs_file_t *cachefs__gate_lower(obj_t *o, gate_t *gate, cachefs__lower_e how)
{
    vfs_file_t *file = pick(o, how);
    if (!file || (o->flags & OBJ_DOUBT) || cachefs__gate_met(o, gate->start, gate->end))
        return NULL;
    gate_link(o, gate);
    o->io++;
    return file;
}

cachefs__lowers_t cachefs__gate_lower_end(cache_t *c, obj_t *o, gate_t *gate, apr_status_t status)
{
    cachefs__lowers_t idle = lower_end(o);
    gate_unlink(o, gate, status);
    cachefs__obj_wake(c, o);
    return idle;
}
