/*
 * durable_recover.c - the recovery, before the cache answers and behind it.
 * Floor 2, private to cachefs/. store/replay.c does the work.
 *
 * What the journal has is looked at first: after that it is known which names it concerns. Then a
 * thread writes it back. The start waits for that for a while (RECOVERY_PATIENCE_US): most journals
 * are short, and if the origin cannot be reached the start is refused. If it takes longer the cache
 * begins to answer. A call waits for the end of the recovery if one of its paths is, is below or is
 * above a name that the journal has; a look at a directory above does not, if that is there. So
 * what the journal has is seen recovered or not at all. A path with a symbolic link on its way, or
 * behind a lower layer that does not tell, may lead anywhere: it waits, too. What has nothing to do
 * with any of that goes on, and is journaled behind what is there.
 *
 * If it fails then it is tried again, and who waits, or comes meanwhile, is told VFS_EOFFLINE. Its
 * end leaves what is not written back to the next start.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cachefs/durable_private.h"

#define AGAIN_US_MAX 60000000

uint64_t cachefs__recovery_patience_us = 3000000;

struct cachefs__recovery_t {
    cache_t *c;
    cachefs__replay_options_t how;
    cachefs__replay_t *replay;
    cachefs__jnames_t *names;
    pthread_t thread;
    int64_t start_us;
    _Atomic int stop;
    int behind, over, failed; /* j_lock: the start waits no more; it ended; between two attempts */
    apr_status_t st;          /* of the last attempt; j_lock */
};

int cachefs__recovering(const cache_t *c)
{
    return atomic_load_explicit(&c->recovering, memory_order_acquire);
}

/* What the figures say. */
static void publish(const cachefs__recovery_t *y)
{
    cache_t *c = y->c;
    cachefs__lock(&c->j_lock, RANK_LEAF);
    c->replayed = *cachefs__replay_done(y->replay);
    c->replay_us = (uint64_t)(cachefs__clock_us() - y->start_us);
    cachefs__unlock(&c->j_lock, RANK_LEAF);
}

static void heard(void *baton, int level, const char *text)
{
    const cachefs__recovery_t *y = baton;
    if (y->replay) publish(y);
    cachefs__log(y->c, level, "%s", text);
}

static apr_status_t attempt(cachefs__recovery_t *y)
{
    apr_status_t st = APR_SUCCESS;
    if (!y->replay) {
        y->how.again = 1;
        st = cachefs__replay_begin(&y->replay, &y->how, 0);
    }
    if (st) return st;
    st = cachefs__replay_run(y->replay);
    publish(y);
    cachefs__replay_end(y->replay);
    y->replay = NULL;
    return st;
}

/* It ended so. Returns how long to wait for the next attempt; 0: none. Lock held. */
static int64_t ended(cachefs__recovery_t *y, apr_status_t st, int64_t waited)
{
    cache_t *c = y->c;
    y->st = st;
    y->failed = st != APR_SUCCESS;
    if (!st) {
        atomic_fetch_add(&c->meta_epoch, 1); /* what was seen of directories above may be old */
        atomic_store_explicit(&c->recovering, 0, memory_order_release);
    }
    y->over = !st || !y->behind || atomic_load(&y->stop);
    pthread_cond_broadcast(&c->j_cond);
    if (y->over) return 0;
    return !waited ? 1000000 : waited * 2 < AGAIN_US_MAX ? waited * 2 : AGAIN_US_MAX;
}

static void *recovery(void *arg)
{
    cachefs__recovery_t *y = arg;
    cache_t *c = y->c;
    for (int64_t wait = 0;;) {
        apr_status_t st = attempt(y);
        cachefs__lock(&c->j_lock, RANK_LEAF);
        wait = ended(y, st, wait);
        int64_t until = cachefs__clock_us() + wait;
        while (!y->over && !atomic_load(&y->stop) && cachefs__clock_us() < until)
            (void)cachefs__wait(&c->j_cond, &c->j_lock, NULL, until);
        if (atomic_load(&y->stop)) y->over = 1;
        int over = y->over;
        if (!over) y->failed = 0;
        cachefs__unlock(&c->j_lock, RANK_LEAF);
        if (over) return NULL;
    }
}

/* Returns when it is over, or the start has waited for long enough. */
static apr_status_t wait_a_while(cachefs__recovery_t *y)
{
    cache_t *c = y->c;
    int64_t until = y->start_us + (int64_t)cachefs__recovery_patience_us;
    cachefs__lock(&c->j_lock, RANK_LEAF);
    while (!y->over && cachefs__clock_us() < until)
        (void)cachefs__wait(&c->j_cond, &c->j_lock, NULL, until);
    y->behind = !y->over;
    apr_status_t st = y->behind ? APR_SUCCESS : y->st;
    cachefs__unlock(&c->j_lock, RANK_LEAF);
    if (y->behind)
        cachefs__log(c, 1,
                     "the recovery goes on: files that the journal has can be used when it ends");
    return st;
}

void cachefs__recovery_stop(cache_t *c)
{
    if (!c->recovery) return;
    cachefs__lock(&c->j_lock, RANK_LEAF);
    atomic_store(&c->recovery->stop, 1);
    pthread_cond_broadcast(&c->j_cond);
    cachefs__unlock(&c->j_lock, RANK_LEAF);
}

void cachefs__recovery_end(cache_t *c)
{
    cachefs__recovery_t *y = c->recovery;
    if (!y) return;
    cachefs__recovery_stop(c);
    pthread_join(y->thread, NULL);
    if (cachefs__recovering(c))
        cachefs__log(c, 0, "the recovery did not end: the next start goes on with it");
    cachefs__replay_end(y->replay);
    cachefs__jnames_free(y->names);
    free(y);
    c->recovery = NULL;
}

static apr_status_t begin(cachefs__recovery_t *y)
{
    cache_t *c = y->c;
    apr_status_t st = cachefs__replay_begin(&y->replay, &y->how, 1);
    if (st) return st;
    if (c->mode != CACHEFS_BACK || !cachefs__replay_done(y->replay)->objects) return attempt(y);
    y->names = cachefs__replay_names(y->replay);
    if (!y->names) return APR_ENOMEM;
    atomic_store_explicit(&c->recovering, 1, memory_order_release);
    c->recovery = y;
    int rc = pthread_create(&y->thread, NULL, recovery, y);
    if (!rc) return wait_a_while(y);
    c->recovery = NULL;
    return APR_FROM_OS_ERROR(rc);
}

apr_status_t cachefs__recovery_begin(cache_t *c, cachefs__journal_t *j, char *err, size_t errlen)
{
    char text[128];
    cachefs__recovery_t *y = calloc(1, sizeof(*y));
    if (!y) return APR_ENOMEM;
    y->c = c;
    y->start_us = cachefs__clock_us();
    y->how =
        (cachefs__replay_options_t){.journal = j,
                                    .lower = c->lower,
                                    .conflict = (cachefs_conflict_e)atomic_load(&c->t.conflict),
                                    .stop = &y->stop,
                                    .log = heard,
                                    .baton = y};
    apr_status_t st = begin(y);
    if (st && err && errlen)
        (void)snprintf(err, errlen,
                       "the journal cannot be used: %s, after %" PRIu64 " bytes of %" PRIu64
                       " were written back; it stays as it is",
                       vfs_strerror(st, text, sizeof(text)), c->replayed.bytes,
                       cachefs__journal_found(j)->bytes);
    if (c->recovery) {
        if (st || !cachefs__recovering(c)) cachefs__recovery_end(c);
    } else {
        cachefs__replay_end(y->replay);
        cachefs__jnames_free(y->names);
        free(y);
    }
    return st;
}

/* ---- who comes meanwhile */

/* Has it nothing to do with what the journal has? */
static int is_apart(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path, int look)
{
    vfs_attr_t attr = {0};
    vfs_validator_t val;
    cachefs__jnear_e near = cachefs__jnames_near(c->recovery->names, path->str, path->len);
    int links = (c->lower->caps.bits & VFS_CAP_SYMLINK) != 0;
    if (near == JOURNAL_NEAR || (near == JOURNAL_ABOVE && !look)) return 0;
    if (near == JOURNAL_FAR && !links) return 1;
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    CACHE_NO_LOCKS_HELD();
    apr_status_t st = vfs_call_stat(c->lower, ctx, path, &attr, &val);
    int direct = !links || (attr.flags & VFS_ATTR_DIRECT);
    return direct && (!st || (APR_STATUS_IS_ENOENT(st) && near == JOURNAL_FAR));
}

apr_status_t cachefs__recovered(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path, int look)
{
    apr_status_t st = APR_SUCCESS;
    if (!cachefs__recovering(c)) return st;
    cachefs__recovery_t *y = c->recovery;
    if (pthread_equal(pthread_self(), y->thread)) return st; /* an event of its own work */
    if (is_apart(c, ctx, path, look)) return st;
    cachefs__count(&c->counters, CNT_WAITS, 1);
    cachefs__lock(&c->j_lock, RANK_LEAF);
    while (!st && cachefs__recovering(c)) {
        if (y->failed || y->over || atomic_load(&y->stop))
            st = VFS_EOFFLINE;
        else
            st = cachefs__wait(&c->j_cond, &c->j_lock, ctx, 0);
    }
    cachefs__unlock(&c->j_lock, RANK_LEAF);
    return st;
}
