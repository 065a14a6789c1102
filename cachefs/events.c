/*
 * events.c - change events of the lower layer: they invalidate here, and reach those who watch us.
 * Floor 2, private to cachefs/.
 *
 * Who hears of a change may ask us at once what there is now. So each watch of ours goes through
 * here: the event has its effect on what we cache before it is passed on, and if the change is our
 * own, and still under way here, it is passed on when that has ended. Otherwise a cache above us
 * would ask too early, hear what was before, and never hear of it again.
 */
#include "cachefs/engine.h"

#define SETTLE_US 1000000 /* the thread that brings events is not kept longer than this */

struct cachefs__watch_t {
    struct cachefs__watch_t *next;
    cache_t *cache;
    vfs_event_fn fn;
    void *baton;
    uint64_t number; /* below */
};

/* ---- what an event does here */

static void expire_listing(cache_t *c, const vfs_path_t *path)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t dir;
    obj_t *o = NULL;
    unsigned said;
    (void)vfs_path_parent(&dir, path, buf);
    (void)cachefs__node_find(c, &dir, 0, &o, &said);
    if (!o) return;
    cachefs__obj_lock(c, o);
    o->list_checked_us = CHECKED_NEVER;
    o->checked_us = CHECKED_NEVER;
    cachefs__obj_unlock(c, o);
    cachefs__obj_put(c, o);
}

/* The object that the name led to, referenced, or NULL. */
static obj_t *expire(cache_t *c, uint32_t events, const vfs_path_t *path)
{
    obj_t *o = NULL;
    unsigned said;
    if (events & (VFS_EVENT_CREATED | VFS_EVENT_REMOVED)) expire_listing(c, path);
    cachefs__listed_forget(c, path);
    if (events & VFS_EVENT_OVERFLOW) {
        /* what the store has of a file is of one version: the next answer says whether of this one
         */
        (void)cachefs__node_sweep(c, path, NULL, NULL, SWEEP_DOUBT, NULL);
        return NULL;
    }
    (void)cachefs__node_find(c, path, 0, &o, &said);
    if (events & (VFS_EVENT_CREATED | VFS_EVENT_REMOVED)) /* with all that is below it */
        (void)cachefs__node_sweep(c, path, NULL, NULL, SWEEP_EXPIRE, NULL);
    else
        cachefs__node_expire_name(c, path);
    return o;
}

void cachefs__on_event(void *baton, uint32_t events, const char *raw)
{
    cache_t *c = baton;
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    unsigned said;
    obj_t *o = NULL;
    if (vfs_path_init(&path, raw, buf)) return;
    int known = cachefs__node_find(c, &path, 0, &o, &said) != KNOWN_NOTHING;
    if (o) cachefs__obj_put(c, o);
    o = expire(c, events, &path);
    if (o) cachefs__obj_put(c, o);
    o = NULL;
    /* ask at once, so that open files move on; whether it was ours shows by the version */
    if (known && !(events & VFS_EVENT_OVERFLOW) &&
        !cachefs__lookup(c, NULL, &path, LOOKUP_FORCE, &o, NULL, NULL) && o)
        cachefs__obj_put(c, o);
}

/* ---- passing on */

/* Our own changes of the name, and of the file behind it, have ended. */
static void settle(cache_t *c, const vfs_path_t *path, obj_t *o)
{
    int64_t until = cachefs__clock_us() + SETTLE_US;
    cachefs__mut_settle(c, path, until);
    if (!o) return;
    cachefs__obj_lock(c, o);
    while (o->changing && !cachefs__obj_wait(c, o, NULL, until)) {
    }
    cachefs__obj_unlock(c, o);
}

static void pass_on(void *baton, uint32_t events, const char *raw)
{
    const cachefs__watch_t *w = baton;
    cache_t *c = w->cache;
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    if (!vfs_path_init(&path, raw, buf)) {
        obj_t *o = expire(c, events, &path);
        settle(c, &path, o);
        if (o) cachefs__obj_put(c, o);
    }
    CACHE_NO_LOCKS_HELD();
    w->fn(w->baton, events, raw);
}

apr_status_t cachefs_op_watch(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              vfs_event_fn fn, void *baton, uint64_t *watch)
{
    cache_t *c = cachefs__of(fs);
    cachefs__watch_t *w = malloc(sizeof(*w));
    if (!w) return APR_ENOMEM;
    *w = (cachefs__watch_t){.cache = c, .fn = fn, .baton = baton};
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    apr_status_t st = vfs_call_watch(c->lower, ctx, path, pass_on, w, &w->number);
    if (st) {
        free(w);
        return st;
    }
    *watch = w->number;
    cachefs__lock(&c->watch_lock, RANK_LEAF);
    w->next = c->watches;
    c->watches = w;
    cachefs__unlock(&c->watch_lock, RANK_LEAF);
    return APR_SUCCESS;
}

apr_status_t cachefs_op_unwatch(vfs_t *fs, uint64_t watch)
{
    cache_t *c = cachefs__of(fs);
    cachefs__lock(&c->watch_lock, RANK_LEAF);
    cachefs__watch_t **at = &c->watches;
    while (*at && (*at)->number != watch)
        at = &(*at)->next;
    cachefs__watch_t *w = *at;
    if (w) *at = w->next;
    cachefs__unlock(&c->watch_lock, RANK_LEAF);
    if (!w) return APR_EINVAL; /* not one of ours, whatever the lower layer may know */
    apr_status_t st = vfs_call_unwatch(c->lower, watch);
    free(w); /* the lower layer calls it no more */
    return st;
}

apr_status_t cachefs__events_start(cache_t *c)
{
    char root[2] = "/";
    if (!c->config.watch || !(c->lower->caps.bits & VFS_CAP_WATCH)) return APR_SUCCESS;
    apr_status_t st = vfs_watch(c->lower, NULL, root, cachefs__on_event, c, &c->watch);
    c->watching = !st;
    return st;
}

void cachefs__events_stop(cache_t *c)
{
    while (c->watches)
        (void)cachefs_op_unwatch(c->fs, c->watches->number); /* it is going away */
    if (c->watching) (void)vfs_unwatch(c->lower, c->watch);  /* likewise */
    c->watching = 0;
}
