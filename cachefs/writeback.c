/*
 * writeback.c - when dirty data goes below: at the limit, by the clock, under pressure.
 * Floor 2, private to cachefs/.
 *
 * A thread of each instance, the flusher, looks for objects whose time has come and gives them to
 * the workers. A writer that meets the limit of dirty bytes flushes somebody itself.
 */
#include "cachefs/engine.h"

/* ---- the limit */

static int is_committing(cache_t *c, obj_t *o)
{
    cachefs__obj_lock(c, o);
    int is = (o->flags & OBJ_COMMITTING) != 0;
    cachefs__obj_unlock(c, o);
    return is;
}

apr_status_t cachefs__flush_some(cache_t *c, const vfs_ctx_t *ctx)
{
    obj_t *objs[16];
    size_t n = cachefs__dirty_objs(c, objs, 16);
    apr_status_t st = n ? APR_SUCCESS : APR_NOTFOUND;
    int done = 0;
    for (int waits = 0; waits < 2 && !done; waits++) /* those that need no waiting first */
        for (size_t i = 0; i < n && !done; i++) {
            if (is_committing(c, objs[i]) != waits) continue;
            st = cachefs__flush_data(c, objs[i], ctx);
            done = !st;
        }
    for (size_t i = 0; i < n; i++)
        cachefs__obj_put(c, objs[i]);
    return done ? APR_SUCCESS : st;
}

static int reserve(cache_t *c, uint64_t bytes, uint64_t max)
{
    uint64_t held = atomic_load(&c->dirty_reserved);
    do {
        if (atomic_load(&c->dirty_bytes) + held + bytes > max) return 0;
    } while (!atomic_compare_exchange_weak(&c->dirty_reserved, &held, held + bytes));
    return 1;
}

/* From here on writers slow down. */
static uint64_t soft_limit(uint64_t max)
{
    return max / 5 * 4;
}

/* Slow down smoothly from 80 % of the limit on: up to 10 ms a call. */
static void slow_down(cache_t *c, const vfs_ctx_t *ctx, uint64_t max)
{
    uint64_t dirty = atomic_load(&c->dirty_bytes), soft = soft_limit(max);
    if (dirty <= soft || max == soft) return;
    cachefs__count(&c->counters, CNT_THROTTLED, 1);
    cachefs__wb_hurry(c);
    int64_t us = (int64_t)((dirty - soft) * 10000 / (max - soft));
    if (us > 10000) us = 10000;
    if (ctx && ctx->deadline && ctx->deadline - apr_time_now() < us)
        us = ctx->deadline - apr_time_now();
    if (us <= 0) return;
    struct timespec ts = {0, (long)us * 1000};
    nanosleep(&ts, NULL);
}

void cachefs__dirty_wait_begin(cache_t *c, cachefs__dirty_wait_t *room)
{
    uint64_t wait = atomic_load(&c->t.write_wait_us);
    room->until_us = wait ? cachefs__clock_us() + (int64_t)wait : 0;
    room->why = APR_SUCCESS;
}

#define ROOM_NAP_US 20000 /* until the next attempt, if nothing was flushed before */

apr_status_t cachefs__dirty_wait(cache_t *c, const vfs_ctx_t *ctx, cachefs__dirty_wait_t *room,
                                 apr_status_t st)
{
    int64_t until = room->until_us;
    apr_status_t gone = vfs_ctx_check(ctx);
    if (gone == VFS_ECANCELED) return gone;
    if (!gone || !APR_STATUS_IS_TIMEUP(st))
        room->why = st; /* an attempt that our own deadline ended says nothing of what is below */
    if (gone || (until && cachefs__clock_us() >= until))
        return room->why && cachefs__unreachable(room->why) ? VFS_EOFFLINE : VFS_ELIMIT;
    if (!st) return APR_SUCCESS;
    int64_t nap = cachefs__clock_us() + ROOM_NAP_US;
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    (void)cachefs__wait(&c->wb_cond, &c->wb_lock, ctx, until && until < nap ? until : nap);
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    return APR_SUCCESS;
}

apr_status_t cachefs__dirty_reserve(cache_t *c, const vfs_ctx_t *ctx, uint64_t bytes, uint64_t max)
{
    cachefs__dirty_wait_t room;
    VFS_ASSERT(bytes <= max); /* else it would wait for ever */
    cachefs__dirty_wait_begin(c, &room);
    slow_down(c, ctx, max);
    while (!reserve(c, bytes, max)) {
        apr_status_t st = cachefs__dirty_wait(c, ctx, &room, cachefs__flush_some(c, ctx));
        if (st) return st;
    }
    return APR_SUCCESS;
}

int cachefs__dirty_try(cache_t *c, uint64_t bytes)
{
    uint64_t max = atomic_load_explicit(&c->t.dirty_bytes_max, memory_order_relaxed);
    uint64_t dirty = atomic_load_explicit(&c->dirty_bytes, memory_order_relaxed);
    return dirty + bytes <= soft_limit(max) && (!bytes || reserve(c, bytes, max));
}

void cachefs__dirty_unreserve(cache_t *c, uint64_t bytes)
{
    atomic_fetch_sub(&c->dirty_reserved, bytes);
}

/* ---- the flusher's thread
 * It sleeps until wb_wake_us. Whoever makes something due earlier brings that forward under the
 * same lock, so no wake-up is lost and nothing is polled. */

void cachefs__wb_wake(cache_t *c, int64_t at_us)
{
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    if (at_us < c->wb_wake_us) {
        c->wb_wake_us = at_us;
        pthread_cond_broadcast(&c->wb_cond);
    }
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
}

void cachefs__wb_hurry(cache_t *c)
{
    if (!atomic_exchange(&c->wb_kick, 1)) cachefs__wb_wake(c, 0);
}

int64_t cachefs__wb_due(cache_t *c, const obj_t *o)
{
    int64_t interval = (int64_t)atomic_load(&c->t.flush_interval_us);
    int64_t age = (int64_t)atomic_load(&c->t.dirty_age_us);
    int64_t since = atomic_load(&o->dirty_since_us), rest = o->retry_at_us;
    int64_t at = since + (interval < age ? interval : age);
    if (!o->retry_wait_us && rest > since + age) rest = since + age; /* a pause: nothing failed */
    return at < rest ? rest : at;
}

typedef struct flush_job_t {
    cache_t *cache;
    obj_t *obj;
    int whole; /* it is its time: not only to make room */
} flush_job_t;

static void flush_now(cache_t *c, obj_t *o, int whole)
{
    /* what fails is kept with the object, and tried again */
    (void)(whole ? cachefs__flush_obj(c, o, NULL) : cachefs__flush_data(c, o, NULL));
}

/* The job of an object ended: it may be looked at again. */
static void job_done(cache_t *c, obj_t *o)
{
    cachefs__obj_lock(c, o);
    o->flags &= ~OBJ_FLUSH_JOB;
    int64_t due = o->dirty_bytes               ? cachefs__wb_due(c, o)
                  : o->flags & OBJ_STAGED_KEPT ? o->retry_at_us
                                               : INT64_MAX;
    cachefs__obj_unlock(c, o);
    cachefs__obj_put(c, o);
    cachefs__wb_wake(c, due);
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    c->wb_busy--;
    pthread_cond_broadcast(&c->wb_cond);
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
}

static void flush_work(void *baton)
{
    flush_job_t *job = baton;
    flush_now(job->cache, job->obj, job->whole);
    job_done(job->cache, job->obj);
    free(job);
}

/* Is it time for this object? Marks it if so. *next: when to look again; *whole: it would be
 * without a hurry too. */
static int due(cache_t *c, obj_t *o, int hurry, int64_t *next, int *whole)
{
    int64_t now = cachefs__clock_us();
    int yes = 0;
    cachefs__obj_lock(c, o);
    int64_t at = hurry ? o->retry_at_us : cachefs__wb_due(c, o);
    *whole = cachefs__wb_due(c, o) <= now;
    if (o->dirty_bytes && !(o->flags & OBJ_FLUSH_JOB)) {
        yes = at <= now;
        if (yes)
            o->flags |= OBJ_FLUSH_JOB;
        else if (at < *next)
            *next = at;
    }
    cachefs__obj_unlock(c, o);
    return yes;
}

static void start_flush(cache_t *c, obj_t *o, int whole)
{
    flush_job_t *job = malloc(sizeof(*job));
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    c->wb_busy++;
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    cachefs__obj_ref(o);
    if (job) {
        *job = (flush_job_t){c, o, whole};
        if (vfs_workers_try(c->workers, flush_work, job))
            flush_work(job); /* all busy: by ourselves */
    } else {
        flush_now(c, o, whole);
        job_done(c, o);
    }
}

void cachefs__wb_queue(cache_t *c, obj_t *o)
{
    int64_t next = INT64_MAX;
    int whole;
    if (due(c, o, 1, &next, &whole)) start_flush(c, o, 1);
}

/* Those of which a commit below failed, and that have nothing dirty, are on no queue: they are as
 * rare as they are worth a walk. */
static void look_kept(cache_t *c, int64_t *next)
{
    uint32_t end = cachefs__objs_end(c);
    for (uint32_t i = 1; i < end && atomic_load(&c->kept); i++) {
        obj_t *o = &c->objs[i];
        cachefs__obj_lock(c, o);
        int gone = cachefs__staged_over(c, o);
        int mine = (o->flags & (OBJ_STAGED_KEPT | OBJ_FLUSH_JOB)) == OBJ_STAGED_KEPT &&
                   !o->dirty_bytes; /* else its job, or its turn, looks again */
        int yes = mine && o->retry_at_us <= cachefs__clock_us();
        if (yes) {
            o->flags |= OBJ_FLUSH_JOB;
            cachefs__obj_ref(o); /* who has it open may be done with it any moment */
        }
        if (mine && !yes && o->retry_at_us < *next) *next = o->retry_at_us;
        cachefs__obj_unlock(c, o);
        if (yes) start_flush(c, o, 1);
        if (yes || gone) cachefs__obj_put(c, o);
    }
}

#define LOOK_AGAIN_US 1000000 /* without memory for a list of what is dirty */

/* Start what is due; returns when to look again. */
static int64_t look(cache_t *c, int hurry)
{
    int64_t next = INT64_MAX;
    obj_t **objs;
    size_t n;
    if (cachefs__dirty_all(c, &objs, &n)) return cachefs__clock_us() + LOOK_AGAIN_US;
    for (size_t i = 0; i < n; i++) {
        int whole;
        if (due(c, objs[i], hurry, &next, &whole)) start_flush(c, objs[i], whole);
        cachefs__obj_put(c, objs[i]);
    }
    free(objs);
    look_kept(c, &next);
    return next;
}

#define REST_SHARE 9 /* of the time that looking took: it costs a tenth of a processor at most */
#define REST_US_MAX 50000 /* a flush that the flusher did itself is no reason to rest */

static void *flusher(void *arg)
{
    cache_t *c = arg;
    int64_t rested = 0;
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    while (!c->wb_stop) {
        int64_t now = cachefs__clock_us(), at = c->wb_wake_us > rested ? c->wb_wake_us : rested;
        if (now < at) {
            (void)cachefs__wait(&c->wb_cond, &c->wb_lock, NULL, at == INT64_MAX ? 0 : at);
            continue;
        }
        c->wb_wake_us = INT64_MAX;
        cachefs__unlock(&c->wb_lock, RANK_LEAF);
        int64_t next = look(c, atomic_exchange(&c->wb_kick, 0)), end = cachefs__clock_us();
        int64_t rest = (end - now) * REST_SHARE;
        rested = end + (rest < REST_US_MAX ? rest : REST_US_MAX);
        cachefs__lock(&c->wb_lock, RANK_LEAF);
        if (next < c->wb_wake_us) c->wb_wake_us = next;
    }
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    return NULL;
}

apr_status_t cachefs__wb_create(cache_t *c)
{
    c->stage_chunk = cachefs__chunk_get(c, 16u << 10, OWNER_PRIVATE | 6, 0, 1);
    if (!c->stage_chunk) return VFS_ELIMIT;
    if (c->mode != CACHEFS_BACK) return APR_SUCCESS;
    c->wb_wake_us = INT64_MAX;
    int rc = pthread_create(&c->wb_thread, NULL, flusher, c);
    if (rc) return APR_FROM_OS_ERROR(rc);
    c->wb_started = 1;
    return APR_SUCCESS;
}

void cachefs__wb_destroy(cache_t *c)
{
    if (!c->wb_started) return;
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    c->wb_stop = 1;
    pthread_cond_broadcast(&c->wb_cond);
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    pthread_join(c->wb_thread, NULL);
    cachefs__lock(&c->wb_lock, RANK_LEAF);
    while (c->wb_busy)
        pthread_cond_wait(&c->wb_cond, &c->wb_lock);
    cachefs__unlock(&c->wb_lock, RANK_LEAF);
    c->wb_started = 0;
}
