/*
 * durable.c - the engine and its journal: their life together.
 * Floor 2, private to cachefs/. The journal itself is in cachefs/store/.
 *
 * An object that has records in the journal has an id there (j_id). The order that a recovery
 * counts on (store/replay.c):
 *
 *   - a write's record is appended under the lock under which its bytes become dirty, so records
 *     have the order of the writes (durable_record.c);
 *   - before bytes go below, the records of all that they may hold are durable (durable_order.c);
 *   - before anything of ours moves the validator below, that is noted (FLUSH), once for each id;
 *   - an id is retired only if the lower layer was synced after the flush of its last record
 *     (durable_retire.c);
 *   - a name moves below after the move was noted, is made durable there, and whoever has an id
 *     says his new name before the move is retired (durable_names.c);
 *   - what is done below around the dirty data (a cut, a direct write, a punched range) comes after
 *     all of its records were retired (cachefs__durable_settle): there is nothing to be done again
 *     on top of it. Writers of the same range are kept off by the gate.
 *
 * What the journal cannot cover (no name, several names, a full journal, a change of the lower file
 * that is not its data) is marked: J_OFF, its writes are not journaled; J_BELOW, its next sync goes
 * to the lower layer. So a sync asks the journal only if that has all of it. A journal whose disk
 * fails is made void, and taken back when it works again (durable_void.c).
 *
 * A thread of each instance, the keeper, retires once a second what is durable below.
 */
#include "cachefs/durable_private.h"

#include <inttypes.h>
#include <stdio.h>

#include "cachefs/store/replay.h"

#define ROUND_US 1000000     /* between two looks at what can be retired */
#define VOID_US_MAX 60000000 /* between two attempts to make it void */

apr_status_t cachefs__durable_wait(cache_t *c, const vfs_ctx_t *ctx, uint64_t lsn)
{
    apr_status_t st = cachefs__journal_sync(c->journal, ctx, lsn);
    if (!st || cachefs__gave_up(st)) return st;
    cachefs__journal_died(c, st);
    return APR_SUCCESS;
}

void cachefs__durable_hurry(cache_t *c)
{
    cachefs__lock(&c->j_lock, RANK_LEAF);
    c->j_kick = 1;
    pthread_cond_broadcast(&c->j_cond);
    cachefs__unlock(&c->j_lock, RANK_LEAF);
}

uint64_t cachefs__durable_unrecorded(cache_t *c)
{
    obj_t **objs;
    size_t n;
    uint64_t bytes = 0;
    if (!cachefs__journal_on(c) || cachefs__dirty_all(c, &objs, &n))
        return atomic_load(&c->dirty_bytes);
    for (size_t i = 0; i < n; i++) {
        cachefs__obj_lock(c, objs[i]);
        if (!objs[i]->j_id || (objs[i]->j_flags & J_OFF)) bytes += objs[i]->dirty_bytes;
        cachefs__obj_unlock(c, objs[i]);
        cachefs__obj_put(c, objs[i]);
    }
    free(objs);
    return bytes;
}

uint64_t cachefs__durable_keep(cache_t *c)
{
    cachefs__jstats_t stats;
    uint64_t bytes = cachefs__durable_unrecorded(c);
    if (bytes || !cachefs__journal_on(c)) return bytes;
    cachefs__journal_stats(c->journal, &stats);
    (void)cachefs__durable_wait(c, NULL, stats.next - 1); /* if it dies it has nothing */
    return cachefs__durable_unrecorded(c);
}

/* ---- the keeper */

static void *keeper(void *arg)
{
    cache_t *c = arg;
    int64_t wait = ROUND_US;
    cachefs__lock(&c->j_lock, RANK_LEAF);
    while (!c->j_stop) {
        int64_t until = cachefs__clock_us() + wait;
        while (!c->j_stop && !c->j_kick && cachefs__clock_us() < until)
            (void)cachefs__wait(&c->j_cond, &c->j_lock, NULL, until);
        c->j_kick = 0;
        if (c->j_stop) break;
        cachefs__unlock(&c->j_lock, RANK_LEAF);
        cachefs__durable_again(c);
        cachefs__durable_round(c);
        wait = cachefs__durable_void(c, NULL) && wait < VOID_US_MAX ? wait * 2 : ROUND_US;
        cachefs__lock(&c->j_lock, RANK_LEAF);
    }
    cachefs__unlock(&c->j_lock, RANK_LEAF);
    return NULL;
}

/* ---- life */

static void heard(void *baton, int level, const char *text)
{
    cachefs__log(baton, level, "%s", text);
}

apr_status_t cachefs__durable_attach(cache_t *c, const cachefs__joptions_t *options, char *err,
                                     size_t errlen)
{
    cachefs__joptions_t o = *options;
    cachefs__journal_t *j;
    o.log = heard;
    o.baton = c;
    CACHE_NO_LOCKS_HELD();
    apr_status_t st = cachefs__journal_open(&j, &o, err, errlen);
    if (st) return st;
    int use = c->mode == CACHEFS_BACK;
    c->journal_lost = cachefs__journal_found(j)->lost;
    if (c->journal_lost)
        cachefs__log(c, 0,
                     "the journal is damaged: %" PRIu64
                     " records that were acknowledged cannot be read and are lost; the others are "
                     "written back, and the damaged files set aside in the store",
                     c->journal_lost);
    if (use || cachefs__journal_found(j)->files) st = cachefs__recovery_begin(c, j, err, errlen);
    if (!st && !use) st = cachefs__journal_void(j); /* it is empty, or was not used */
    if (!st && use) {
        c->journal = j;
        int rc = pthread_create(&c->j_thread, NULL, keeper, c);
        if (!rc) return APR_SUCCESS;
        cachefs__recovery_end(c);
        c->journal = NULL;
        st = APR_FROM_OS_ERROR(rc);
    }
    (void)cachefs__journal_close(j); /* why it is not used is st */
    return st;
}

apr_status_t cachefs__durable_start(cache_t *c, char *err, size_t errlen)
{
    cachefs__joptions_t o = {
        .dir = CACHEFS__STORE_JOURNAL, .origin = c->origin_id, .bytes_max = c->fixed.journal_bytes};
    int can;
    if (!c->store) return APR_SUCCESS;
    o.fs = cachefs__store_fs(c->store);
    apr_status_t st = cachefs__tier_origin(c, &can);
    if (!st && !can && c->mode == CACHEFS_BACK) {
        if (err && errlen)
            (void)snprintf(err, errlen,
                           "%s cannot have a journal for this origin, which has no stable "
                           "identities: give it a name by the key origin",
                           cachefs__store_name(c->store));
        return APR_EINVAL;
    }
    return st ? st : cachefs__durable_attach(c, &o, err, errlen);
}

/* Nobody needs a record: the next start has nothing to read. */
static void end_empty(cache_t *c)
{
    cachefs__jstats_t stats;
    cachefs__retire_all(c);
    cachefs__journal_stats(c->journal, &stats);
    if (!cachefs__journal_on(c)) return;
    if (cachefs__recovering(c)) return;
    if (stats.objects)
        cachefs__log(c, 1, "the journal keeps %" PRIu64 " files for the next start", stats.objects);
    else
        c->journal_empty =
            cachefs__journal_void(c->journal) == APR_SUCCESS; /* else it is read again */
}

apr_status_t cachefs__durable_detach(cache_t *c)
{
    if (!c->journal) return APR_SUCCESS;
    cachefs__lock(&c->j_lock, RANK_LEAF);
    c->j_stop = 1;
    pthread_cond_broadcast(&c->j_cond);
    cachefs__unlock(&c->j_lock, RANK_LEAF);
    pthread_join(c->j_thread, NULL);
    cachefs__recovery_end(c);
    if (cachefs__journal_on(c)) end_empty(c);
    apr_status_t st = cachefs__durable_void(c, NULL), closed = cachefs__journal_close(c->journal);
    if (closed && cachefs__journal_on(c)) {
        cachefs__journal_died(c, closed);
        st = closed;
    }
    if (st)
        cachefs__log(c, 0,
                     "the journal ends with records that the next start would do again, over "
                     "newer data: remove them, or start without that store");
    c->journal = NULL;
    free(c->j_moves);
    c->j_moves = NULL;
    return st;
}

/* ---- figures */

typedef struct metric_t {
    cache_t *cache;
    int what;
} metric_t;

enum {
    BYTES,
    BYTES_MAX,
    FILES,
    OBJECTS,
    RECORDS,
    APPENDED,
    WRITTEN,
    SYNCS,
    GROUPS,
    ACKS,
    FAILED,
    RECOVERED,
    RECOVERED_BYTES,
    RECOVERY_TIME,
    CONFLICTS,
    RUNNING,
    LOST
};

void cachefs__durable_stats(cache_t *c, cachefs_stats_t *out)
{
    cachefs__jstats_t s = {0};
    if (c->journal) cachefs__journal_stats(c->journal, &s);
    out->journal_bytes = s.bytes;
    out->journal_max = s.bytes_max;
    out->journal_failed = (uint64_t)atomic_load(&c->journal_state);
    out->recovering = cachefs__recovering(c) != 0;
    out->recovery_lost = c->journal_lost;
}

static double read_metric(void *baton)
{
    const metric_t *m = baton;
    cache_t *c = m->cache;
    cachefs__jstats_t s = {0};
    if (c->journal) cachefs__journal_stats(c->journal, &s);
    cachefs__lock(&c->j_lock, RANK_LEAF);
    cachefs__replayed_t replayed = c->replayed;
    uint64_t replay_us = c->replay_us;
    cachefs__unlock(&c->j_lock, RANK_LEAF);
    const double values[] = {
        [BYTES] = (double)s.bytes,
        [BYTES_MAX] = (double)s.bytes_max,
        [FILES] = (double)s.files,
        [OBJECTS] = (double)s.objects,
        [RECORDS] = (double)s.appended,
        [APPENDED] = (double)s.appended_bytes,
        [WRITTEN] = (double)s.written_bytes,
        [SYNCS] = (double)s.syncs,
        [GROUPS] = (double)s.groups,
        [ACKS] = (double)s.acknowledged,
        [FAILED] = (double)atomic_load(&c->journal_state),
        [RECOVERED] = (double)replayed.objects,
        [RECOVERED_BYTES] = (double)replayed.bytes,
        [RECOVERY_TIME] = (double)replay_us / 1e6,
        [CONFLICTS] = (double)replayed.conflicts,
        [RUNNING] = (double)cachefs__recovering(c),
        [LOST] = (double)c->journal_lost,
    };
    return values[m->what];
}

apr_status_t cachefs__durable_metrics(cache_t *c)
{
    static const struct {
        int what, is_counter;
        const char *name, *help;
    } metrics[] = {
#define ROW(what, is_counter, name, help) {what, is_counter, name, help}
        ROW(BYTES, 0, "cachefs_journal_bytes", "Bytes of the journal's files and buffers."),
        ROW(BYTES_MAX, 0, "cachefs_journal_limit_bytes", "Bytes that writes may use of it."),
        ROW(FILES, 0, "cachefs_journal_files", "Files of the journal."),
        ROW(OBJECTS, 0, "cachefs_journal_objects", "Files that have records that count."),
        ROW(RECORDS, 1, "cachefs_journal_records_total", "Records appended."),
        ROW(APPENDED, 1, "cachefs_journal_appended_bytes_total", "Bytes of them."),
        ROW(WRITTEN, 1, "cachefs_journal_written_bytes_total",
            "Bytes written to the store for it."),
        ROW(SYNCS, 1, "cachefs_journal_device_syncs_total", "Syncs of its files."),
        ROW(GROUPS, 1, "cachefs_journal_groups_total",
            "Groups of records that one sync made durable."),
        ROW(ACKS, 1, "cachefs_journal_acknowledged_total",
            "Calls that waited for a group; over the syncs, the group size."),
        ROW(FAILED, 0, "cachefs_journal_failed",
            "1 while its disk has failed and it is not void; 2 when it is and the disk is tried "
            "again."),
        ROW(RECOVERED, 0, "cachefs_recovery_files", "Files that the start found in the journal."),
        ROW(RECOVERED_BYTES, 0, "cachefs_recovery_bytes", "Bytes of them written back."),
        ROW(RECOVERY_TIME, 0, "cachefs_recovery_seconds", "Time that it took."),
        ROW(LOST, 0, "cachefs_recovery_lost_records",
            "Acknowledged records of the journal that the start could not read."),
        ROW(CONFLICTS, 0, "cachefs_recovery_conflicts", "Of them changed by others."),
        ROW(RUNNING, 0, "cachefs_recovery_running", "1 while it goes on behind the cache."),
#undef ROW
    };
    apr_status_t st = APR_SUCCESS;
    if (!c->fixed.store) return st;
    for (size_t i = 0; !st && i < sizeof(metrics) / sizeof(*metrics); i++) {
        metric_t *m = apr_palloc(c->fs->pool, sizeof(*m));
        *m = (metric_t){c, metrics[i].what};
        st = metrics_callback(c->metrics, metrics[i].name, NULL, metrics[i].help,
                              metrics[i].is_counter, read_metric, m);
    }
    return st;
}
