/*
 * replay.c - recovery: what a journal holds and the lower layer may not have goes there.
 * Floor 2, private to cachefs/store/.
 *
 * The journal is a redo log. Before any byte of ours went below its record was durable, so below is
 * the base with some of the records applied. All of an object that are not retired are applied
 * again, in their order: the result is the state after the last one, whatever was there of them.
 * For the same reason a recovery that was killed is simply begun again.
 *
 * First pass: which objects there are, their names, what is retired. Second pass: the writes, in
 * order, with a few files open at a time. Then everything is synced below, and only then the old
 * files of the journal are dead. A REPLAY record, durable before the first write, tells the next
 * attempt that what differs from the base may be our own work.
 *
 * replay_target.c finds the file of an object, and decides about files that others changed.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/store/replay_private.h"

#define PROGRESS_BYTES (64u << 20) /* between two lines of the log */

void cachefs__replay_log(const replay_t *r, const char *format, ...)
{
    char text[2 * VFS_PATH_MAX + 256];
    va_list args;
    if (!r->o.log) return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* a line that is too long is cut */
    va_end(args);
    r->o.log(r->o.baton, 1, text);
}

/* ---- objects */

/* Its place among the items, or where it belongs. */
static size_t place(const replay_t *r, uint64_t id)
{
    size_t from = 0, to = r->nitems;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (r->items[mid]->id < id)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

static item_t *find(const replay_t *r, uint64_t id)
{
    size_t at = place(r, id);
    return at < r->nitems && r->items[at]->id == id ? r->items[at] : NULL;
}

static item_t *find_or_make(replay_t *r, uint64_t id)
{
    size_t at = place(r, id);
    if (at < r->nitems && r->items[at]->id == id) return r->items[at];
    if (r->nitems == r->room) {
        size_t room = r->room ? r->room * 2 : 64;
        item_t **items = realloc(r->items, room * sizeof(item_t *));
        if (!items) return NULL;
        r->items = items;
        r->room = room;
    }
    item_t *it = calloc(1, sizeof(*it));
    if (!it) return NULL;
    it->id = id;
    memmove(&r->items[at + 1], &r->items[at], (r->nitems - at) * sizeof(item_t *));
    r->items[at] = it;
    r->nitems++;
    return it;
}

static apr_status_t add_path(item_t *it, const char *head, size_t head_len, const char *tail,
                             size_t tail_len)
{
    if (head_len + tail_len > VFS_PATH_MAX) return APR_SUCCESS; /* it cannot have gone there */
    char **paths = realloc(it->paths, (it->npaths + 1) * sizeof(*paths));
    if (!paths) return APR_ENOMEM;
    it->paths = paths;
    char *path = malloc(head_len + tail_len + 1);
    if (!path) return APR_ENOMEM;
    memcpy(path, head, head_len);
    memcpy(path + head_len, tail, tail_len);
    path[head_len + tail_len] = '\0';
    it->paths[it->npaths++] = path;
    return APR_SUCCESS;
}

const char *cachefs__replay_name(const item_t *it)
{
    return it->paths[it->npaths - 1];
}

int cachefs__replay_wanted(const item_t *it)
{
    return it->npaths && it->last > it->retired && !it->part;
}

/* ---- the first pass */

static apr_status_t learn_base(item_t *it, const cachefs__jrecord_t *rec)
{
    cachefs__jbase_t b;
    if (!cachefs__jbase_get(&b, rec->body, rec->len)) return APR_SUCCESS;
    it->part = (rec->flags & JOURNAL_PART) != 0;
    if (it->npaths) return add_path(it, b.path, b.path_len, "", 0); /* it was renamed, or copied */
    it->base = b;
    it->created = (rec->flags & JOURNAL_CREATED) != 0;
    it->based = rec->lsn;
    apr_status_t st = add_path(it, b.path, b.path_len, "", 0);
    it->base.path = it->npaths ? it->paths[0] : NULL; /* it stays, wherever it moves to */
    return st;
}

/* Below `from`, `path` would be this below `to`: add it as the newest name, or as the oldest. */
static apr_status_t add_moved(item_t *it, const char *path, const char *from, size_t from_len,
                              const char *to, size_t to_len, int oldest)
{
    if (strncmp(path, from, from_len) != 0 || (path[from_len] && path[from_len] != '/'))
        return APR_SUCCESS;
    size_t had = it->npaths;
    apr_status_t st = add_path(it, to, to_len, path + from_len, strlen(path + from_len));
    if (st || it->npaths == had) return st;
    it->flushed = 1; /* a rename alone can move the validator */
    if (oldest) {
        char *added = it->paths[had];
        memmove(&it->paths[1], &it->paths[0], had * sizeof(*it->paths));
        it->paths[0] = added;
    }
    return APR_SUCCESS;
}

/* A name, or all below it, was about to move: who was there may be here now. */
static apr_status_t moved(replay_t *r, const char *from, size_t from_len, const char *to,
                          size_t to_len)
{
    apr_status_t st = APR_SUCCESS;
    for (size_t i = 0; i < r->nitems; i++) {
        item_t *it = r->items[i];
        size_t had = cachefs__replay_wanted(it) ? it->npaths : 0;
        for (size_t k = 0; k < had && !st; k++)
            st = add_moved(it, it->paths[k], from, from_len, to, to_len, 0);
    }
    return st;
}

static apr_status_t rename_record(replay_t *r, item_t *it, const cachefs__jrecord_t *rec)
{
    const char *from, *to;
    uint32_t from_len, to_len;
    if (!cachefs__jrename_get(rec, &from, &from_len, &to, &to_len)) return APR_SUCCESS;
    apr_status_t st = moved(r, from, from_len, to, to_len);
    if (!st && (rec->flags & JOURNAL_EXCHANGE)) st = moved(r, to, to_len, from, from_len);
    it->last = rec->lsn;
    it->from = malloc((size_t)from_len + to_len + 2);
    if (!it->from) return APR_ENOMEM;
    it->to = it->from + from_len + 1;
    memcpy(it->from, from, from_len);
    it->from[from_len] = 0;
    memcpy(it->to, to, to_len);
    it->to[to_len] = 0;
    return st;
}

/* A move that is not known to be durable: who was noted under a name while it was under way may
 * have the other one, whichever that is. */
static apr_status_t open_moves(replay_t *r)
{
    apr_status_t st = APR_SUCCESS;
    for (size_t m = 0; m < r->nitems && !st; m++) {
        const item_t *move = r->items[m];
        if (!move->from || move->last <= move->retired) continue;
        for (size_t i = 0; i < r->nitems && !st; i++) {
            item_t *it = r->items[i];
            if (!cachefs__replay_wanted(it) || it->based < move->last) continue;
            const char *name = it->base.path;
            st = add_moved(it, name, move->from, strlen(move->from), move->to, strlen(move->to), 1);
            if (!st)
                st = add_moved(it, name, move->to, strlen(move->to), move->from, strlen(move->from),
                               1);
        }
    }
    return st;
}

static apr_status_t first_pass(void *baton, const cachefs__jrecord_t *rec)
{
    replay_t *r = baton;
    uint64_t upto;
    if (rec->type == JOURNAL_REPLAY) r->again = 1;
    if (!rec->object) return APR_SUCCESS;
    item_t *it = find_or_make(r, rec->object);
    if (!it) return APR_ENOMEM;
    switch (rec->type) {
    case JOURNAL_BASE:
        it->last = rec->lsn;
        return learn_base(it, rec);
    case JOURNAL_RENAME:
        return rename_record(r, it, rec);
    case JOURNAL_WRITE:
        it->last = rec->lsn;
        break;
    case JOURNAL_RETIRE:
    case JOURNAL_DISCARD:
        if (!cachefs__jlsn_get(rec, &upto)) break;
        if (upto >= rec->lsn) upto = rec->lsn - 1; /* "all so far" */
        if (upto > it->retired) it->retired = upto;
        break;
    case JOURNAL_FLUSH:
        it->flushed = 1;
        break;
    case JOURNAL_DROP:
        it->dropped = cachefs__jlsn_get(rec, &upto) && upto == 0;
        break;
    default:
        break;
    }
    return APR_SUCCESS;
}

static size_t bucket_of(const item_t *it)
{
    uint64_t key = it->base.ino ? it->base.ino ^ (uint64_t)it->base.born_ns
                                : vfs_path_hash(it->base.path, it->base.path_len);
    return (size_t)(key * 0x9e3779b97f4a7c15u >> 32) % BUCKETS;
}

static int same_file(const item_t *a, const item_t *b)
{
    if (a->base.ino || b->base.ino)
        return a->base.ino == b->base.ino && a->base.born_ns == b->base.born_ns;
    return strcmp(a->base.path, b->base.path) == 0;
}

/* A file that was flushed and written again has several ids: the later ones go where the first
 * went. */
static void join_ids(replay_t *r)
{
    for (size_t i = 0; i < BUCKETS; i++)
        r->buckets[i] = SIZE_MAX;
    for (size_t i = 0; i < r->nitems; i++) {
        item_t *it = r->items[i];
        if (!cachefs__replay_wanted(it)) continue;
        size_t *head = &r->buckets[bucket_of(it)];
        for (size_t k = *head; k != SIZE_MAX && !it->before; k = r->items[k]->chain) {
            if (!same_file(r->items[k], it)) continue;
            if (it->created) { /* another file: that one was gone by then */
                r->items[k]->where = WHERE_NOWHERE;
                r->done.discarded++;
            } else {
                it->before = r->items[k];
            }
            break;
        }
        it->chain = *head;
        *head = i;
        r->done.objects++;
    }
}

/* ---- the second pass */

/* What was written to a file becomes durable, and the file is closed. */
static apr_status_t finish(replay_t *r, item_t *it)
{
    (void)r;
    if (!it->out) return APR_SUCCESS;
    if (it->mtime_ns)
        (void)vfs_futimens(it->out, NULL, VFS_TIME_OMIT, it->mtime_ns); /* as far as it can */
    apr_status_t st = vfs_sync(it->out, NULL, VFS_SYNC_ALL);
    apr_status_t closed = vfs_close(it->out, NULL);
    it->out = NULL;
    return st ? st : closed;
}

/* The file of an object, open; one that was open longer than others is closed for it. */
static apr_status_t opened(replay_t *r, item_t *it)
{
    if (it->out) return APR_SUCCESS;
    item_t **slot = &r->open[r->turn++ % OPEN_MAX];
    if (*slot) {
        apr_status_t st = finish(r, *slot);
        if (st) return st;
    }
    *slot = it;
    return vfs_open(&it->out, r->o.lower, NULL, it->target, VFS_O_READ | VFS_O_WRITE, 0, NULL,
                    NULL);
}

static void progress(replay_t *r)
{
    if (r->done.bytes - r->told < PROGRESS_BYTES) return;
    r->told = r->done.bytes;
    cachefs__replay_log(r, "recovery: %" PRIu64 " bytes of %" PRIu64 " are below", r->done.bytes,
                        cachefs__journal_found(r->o.journal)->bytes);
}

static item_t *first_of(item_t *it)
{
    while (it->before)
        it = it->before;
    return it;
}

static apr_status_t second_pass(void *baton, const cachefs__jrecord_t *rec)
{
    replay_t *r = baton;
    uint64_t off;
    int64_t mtime_ns;
    const uint8_t *bytes;
    uint32_t len;
    size_t written;
    if (!rec->object || (rec->type != JOURNAL_WRITE && rec->type != JOURNAL_BASE))
        return APR_SUCCESS;
    if (r->o.stop && atomic_load(r->o.stop)) return VFS_ECANCELED;
    item_t *it = find(r, rec->object);
    if (rec->lsn <= it->retired || it->part) return APR_SUCCESS;
    if (!it->npaths) {
        r->done.orphans++;
        return APR_SUCCESS;
    }
    it = first_of(it);
    apr_status_t st = cachefs__replay_resolve(r, it);
    if (st || it->where == WHERE_NOWHERE || rec->type == JOURNAL_BASE) return st;
    if (!cachefs__jwrite_get(rec, &off, &mtime_ns, &bytes, &len)) return APR_SUCCESS;
    r->done.writes++;
    r->done.bytes += len;
    if (r->o.dry) return APR_SUCCESS;
    it->mtime_ns = mtime_ns;
    st = opened(r, it);
    if (!st) st = vfs_write_at(it->out, NULL, bytes, len, (apr_off_t)off, &written, NULL);
    progress(r);
    return st;
}

/* ---- all of it */

/* A conflict is settled for good once the copy is durable: not again, should this be interrupted.
 */
static apr_status_t settle_conflicts(replay_t *r)
{
    apr_status_t st = APR_SUCCESS;
    for (size_t i = 0; i < r->nitems && !st; i++) {
        const item_t *it = r->items[i];
        if (cachefs__replay_wanted(it) && first_of(r->items[i])->beside)
            st = cachefs__journal_note(r->o.journal, NULL, JOURNAL_DISCARD, it->id, it->last);
    }
    return st;
}

static apr_status_t below(replay_t *r)
{
    cachefs__journal_t *j = r->o.journal;
    apr_status_t st = APR_SUCCESS;
    if (r->done.objects) st = cachefs__journal_note(j, NULL, JOURNAL_REPLAY, 0, 0);
    if (!st && r->done.objects) st = cachefs__journal_visit(j, second_pass, r);
    for (unsigned i = 0; i < OPEN_MAX; i++) {
        apr_status_t ended = r->open[i] ? finish(r, r->open[i]) : APR_SUCCESS;
        if (!st) st = ended;
    }
    if (!st) st = settle_conflicts(r);
    return st ? st : cachefs__journal_recovered(j);
}

void cachefs__replay_end(cachefs__replay_t *r)
{
    if (!r) return;
    for (size_t i = 0; i < r->nitems; i++) {
        item_t *it = r->items[i];
        for (size_t k = 0; k < it->npaths; k++)
            free(it->paths[k]);
        free(it->paths);
        free(it->from);
        free(it->target);
        free(it);
    }
    free(r->items);
    free(r);
}

apr_status_t cachefs__replay_begin(cachefs__replay_t **out,
                                   const cachefs__replay_options_t *options, int start)
{
    replay_t *r = calloc(1, sizeof(*r));
    *out = NULL;
    if (!r) return APR_ENOMEM;
    r->o = *options;
    r->again = options->again;
    apr_status_t st = cachefs__journal_visit(options->journal, first_pass, r);
    if (!st) st = open_moves(r);
    if (!st) join_ids(r);
    if (!st && start) st = cachefs__journal_start(options->journal);
    if (st)
        cachefs__replay_end(r);
    else
        *out = r;
    return st;
}

const cachefs__replayed_t *cachefs__replay_done(const cachefs__replay_t *r)
{
    return &r->done;
}

apr_status_t cachefs__replay_run(cachefs__replay_t *r)
{
    const cachefs__replayed_t *d = &r->done;
    apr_status_t st = r->o.dry ? cachefs__journal_visit(r->o.journal, second_pass, r) : below(r);
    if (d->objects || d->orphans || st)
        cachefs__replay_log(r,
                            "recovery: %" PRIu64 " files with %" PRIu64 " writes, %" PRIu64
                            " made again, %" PRIu64 " conflicts, %" PRIu64 " discarded%s",
                            d->objects, d->writes, d->created, d->conflicts, d->discarded,
                            st ? "; it failed, and is tried again" : "");
    return st;
}

apr_status_t cachefs__replay(const cachefs__replay_options_t *options, cachefs__replayed_t *out)
{
    replay_t *r;
    memset(out, 0, sizeof(*out));
    apr_status_t st = cachefs__replay_begin(&r, options, !options->dry);
    if (st) return st;
    st = cachefs__replay_run(r);
    *out = r->done;
    cachefs__replay_end(r);
    return st;
}
