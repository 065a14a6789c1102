/*
 * durable_copy.c - the dirty data of a file is recorded again, behind all other records.
 * Floor 2, private to cachefs/.
 *
 * The journal's oldest file stays for as long as one object needs a record of it. A file that
 * cannot be written back would keep it for ever, and all that was written since. So its dirty data,
 * as it is now, goes into the newest file of the journal, and the older records are retired: the
 * journal's length follows what is dirty. The cleaner of a log-structured file system (Rosenblum
 * and Ousterhout, 1992) does the same, and like there it pays only while a good part is dead.
 *
 * Writers and flushes wait meanwhile, so what is copied is the state after the last record. That
 * goes under the id that the object has: a recovery that finds both applies the old records and
 * then some of the copies, and has that state, however many of them there are. Data that had no
 * record (a journal that was full or put aside) gets a new id; there nothing is under the copies,
 * and half of them are no prefix of the file's writes: so its BASE says JOURNAL_PART, and its
 * records count from the second BASE on, behind them.
 */
#include "cachefs/durable_private.h"

typedef struct copy_t {
    cache_t *c;
    obj_t *o;
    const vfs_ctx_t *ctx;
    uint64_t first; /* LSN of the BASE that the copies begin with */
    int64_t mtime_ns;
} copy_t;

int cachefs__record_pays(cache_t *c)
{
    cachefs__jstats_t s;
    uint64_t dirty = atomic_load(&c->dirty_bytes);
    cachefs__journal_stats(c->journal, &s);
    if (cachefs__recovering(c)) return 0; /* no file can go */
    return !s.error && s.bytes > dirty && s.bytes - dirty > s.bytes_max / 4;
}

static apr_status_t base(const copy_t *y, uint32_t flags)
{
    cache_t *c = y->c;
    size_t room = BASE_ROOM;
    apr_status_t st = cachefs__journal_reserve(c->journal, y->ctx, room, JOURNAL_COPY);
    if (st) return st;
    cachefs__obj_lock(c, y->o);
    int can = cachefs__record_can(c, y->o);
    if (can) cachefs__record_base(c, y->o, flags, &room);
    cachefs__obj_unlock(c, y->o);
    cachefs__durable_unroom(c, room);
    return can ? APR_SUCCESS : VFS_ELIMIT;
}

static apr_status_t copy(void *baton, uint64_t off, const uint8_t *bytes, size_t len)
{
    const copy_t *y = baton;
    cache_t *c = y->c;
    size_t room = cachefs__journal_write_bytes(len);
    apr_status_t st = cachefs__journal_reserve(c->journal, y->ctx, room, JOURNAL_COPY);
    if (st) return st;
    uint64_t before = room;
    cachefs__obj_lock(c, y->o);
    int same = y->o->j_id != 0; /* else the journal died and was made void */
    if (same) {
        y->o->j_last =
            cachefs__journal_write(c->journal, y->o->j_id, off, y->mtime_ns, bytes, (uint32_t)len);
        for (size_t done = 0, n; done < len; done += n) {
            n = len - done < JOURNAL_WRITE_MAX ? len - done : JOURNAL_WRITE_MAX;
            before -= cachefs__jsize(JOURNAL_WRITE_BYTES + (uint32_t)n);
        }
    }
    cachefs__obj_unlock(c, y->o);
    cachefs__durable_unroom(c, (size_t)before);
    return same ? APR_SUCCESS : VFS_ELIMIT;
}

/* It has an id: the copies take the place of its records up to `last`. */
static apr_status_t copy_known(copy_t *y, uint64_t last)
{
    cache_t *c = y->c;
    size_t room = cachefs__jsize(8);
    apr_status_t st = base(y, 0);
    if (st) return st;
    cachefs__obj_lock(c, y->o);
    y->first = y->o->j_last;
    cachefs__obj_unlock(c, y->o);
    st = cachefs__dirty_visit(c, y->o, y->ctx, copy, y);
    if (!st) st = cachefs__journal_reserve(c->journal, y->ctx, room, JOURNAL_CONTROL);
    if (st) return st;
    cachefs__obj_lock(c, y->o);
    int same = y->o->j_id != 0;
    if (same) (void)cachefs__journal_moved(c->journal, y->o->j_id, last, y->first);
    y->o->j_seq++;
    cachefs__obj_unlock(c, y->o);
    if (!same) cachefs__durable_unroom(c, room);
    return same ? APR_SUCCESS : VFS_ELIMIT;
}

/* It has none: all of the copies count, or none of them. */
static apr_status_t copy_new(copy_t *y)
{
    cache_t *c = y->c;
    apr_status_t st = base(y, JOURNAL_PART);
    if (st) return st;
    st = cachefs__dirty_visit(c, y->o, y->ctx, copy, y);
    if (!st) st = base(y, 0);
    cachefs__obj_lock(c, y->o);
    uint64_t id = y->o->j_id;
    if (!st) y->o->j_flags &= ~J_OFF;
    if (st) y->o->j_id = 0;
    y->o->j_seq++;
    cachefs__obj_unlock(c, y->o);
    if (!st || !id) return st;
    if (!cachefs__journal_reserve(c->journal, NULL, cachefs__jsize(8), JOURNAL_CONTROL))
        (void)cachefs__journal_done(c->journal, JOURNAL_DISCARD, id, UINT64_MAX);
    return st;
}

/* Held, and the flush is begun. */
static apr_status_t copy_all(copy_t *y)
{
    cache_t *c = y->c;
    obj_t *o = y->o;
    apr_status_t st = cachefs__settle(c, o, y->ctx);
    if (st) return st;
    cachefs__obj_lock(c, o);
    int known = o->j_id != 0, below = !known || (o->j_flags & J_SENT);
    int can = o->dirty_bytes && cachefs__record_can(c, o) && (known || !(o->j_flags & J_LINKS));
    uint64_t last = o->j_last;
    y->mtime_ns = o->local_mtime_ns;
    cachefs__obj_unlock(c, o);
    if (!can) return VFS_ELIMIT;
    if (below) st = cachefs__durable_below(c, o, y->ctx); /* what is clean has records, too */
    if (st) return st;
    cachefs__obj_lock(c, o);
    if (below) o->j_flags &= ~J_SENT; /* nobody flushes it */
    cachefs__obj_unlock(c, o);
    return known ? copy_known(y, last) : copy_new(y);
}

apr_status_t cachefs__record_again(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    copy_t y = {.c = c, .o = o, .ctx = ctx};
    apr_status_t st = APR_SUCCESS;
    cachefs__obj_lock(c, o);
    while ((o->j_flags & J_HOLD) && !st)
        st = cachefs__obj_wait(c, o, ctx, 0);
    if (!st) o->j_flags |= J_HOLD;
    cachefs__obj_unlock(c, o);
    if (st) return st;
    st = cachefs__flush_begin(c, o, ctx);
    if (!st) {
        st = copy_all(&y);
        cachefs__flush_end(c, o);
    }
    cachefs__obj_lock(c, o);
    o->j_flags &= ~J_HOLD;
    cachefs__obj_wake(c, o);
    cachefs__obj_unlock(c, o);
    if (!st) cachefs__count(&c->counters, CNT_JOURNAL_MOVED, 1);
    return st;
}
