/*
 * durable_record.c - writes become records: room for them first, outside of all locks, and then the
 * record under the lock under which the bytes become dirty.
 * Floor 2, private to cachefs/.
 *
 * A full journal. Whoever needs room writes back what is oldest in it, its own file first, and
 * waits while the lower layer cannot take that: as at the limit of dirty bytes, to his deadline or
 * write_wait_max. If the lower layer takes all and there is still no room, the write goes without a
 * record, and its sync goes below. So while the lower layer has room nobody is told that there is
 * none.
 */
#include "cachefs/durable_private.h"

int cachefs__record_can(cache_t *c, const obj_t *o)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    int links = (o->j_flags & J_LINKS) && (o->flags & OBJ_ATTR_OLD);
    return !links && o->attr.type == VFS_TYPE_FILE && o->attr.nlink <= 1 &&
           !(o->flags & (OBJ_UNLINKED | OBJ_BY_PATH | OBJ_BY_LINK)) &&
           !cachefs__obj_name(c, o, &path, buf);
}

/* The same with data that it may have and that is not recorded. Object locked. */
static int can_begin(cache_t *c, const obj_t *o)
{
    return !(o->j_flags & J_OFF) && cachefs__record_can(c, o);
}

/* What was noted of its id, or of the file before it had one. */
static void record_note(cache_t *c, const obj_t *o, cachefs__jtype_e type, size_t *room)
{
    static const uint8_t body[8];
    (void)cachefs__journal_append(
        c->journal,
        &(cachefs__jrecord_t){.type = type, .object = o->j_id, .body = body, .len = sizeof(body)});
    *room -= cachefs__jsize(sizeof(body));
}

void cachefs__record_base(cache_t *c, obj_t *o, uint32_t flags, size_t *room)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path = {0};
    uint64_t lsn;
    (void)cachefs__obj_name(c, o, &path, buf); /* who calls has looked */
    cachefs__jbase_t b = {.dev = o->dev,
                          .ino = o->ino,
                          .born_ns = o->born_ns,
                          .size = atomic_load(&o->size),
                          .mode = o->attr.mode,
                          .uid = o->attr.uid,
                          .gid = o->attr.gid,
                          .validator = o->validator,
                          .path = path.str,
                          .path_len = path.len};
    if ((o->flags & OBJ_OWN_CHANGE) || o->changing) b.validator.kind = VFS_VALIDATOR_NONE;
    if (!o->j_id) o->j_flags &= ~J_FLUSH;
    if (o->j_flags & J_NEW) flags |= JOURNAL_CREATED;
    o->j_id = cachefs__journal_base(c->journal, o->j_id, &b, flags, &lsn);
    o->j_last = lsn;
    *room -= cachefs__jsize(JOURNAL_BASE_BYTES + path.len);
    if (o->j_flags & J_FLUSH) record_note(c, o, JOURNAL_FLUSH, room);
    if (o->j_flags & J_DROP) record_note(c, o, JOURNAL_DROP, room);
}

int cachefs__durable_ready(const cache_t *c, const obj_t *o, size_t room)
{
    if (!c->journal) return 1;
    if (o->j_flags & J_HOLD) return 0;
    return room || !o->j_id || !cachefs__journal_on(c);
}

/* A record for each piece. Returns the bytes that they took. Object locked. */
static size_t records_put(cache_t *c, obj_t *o, const cachefs__pieces_t *buf, uint64_t pos,
                          uint64_t len, uint64_t off)
{
    int64_t now = vfs_now_ns();
    size_t used = 0, count;
    for (uint64_t done = 0; done < len;) {
        vfs_iovec_t piece;
        uint64_t most = len - done < JOURNAL_WRITE_MAX ? len - done : JOURNAL_WRITE_MAX;
        uint64_t n = cachefs__pieces_slice(buf, pos + done, most, &piece, 1, &count);
        VFS_ASSERT(n > 0 && count == 1);
        o->j_last =
            cachefs__journal_write(c->journal, o->j_id, off + done, now, piece.base, (uint32_t)n);
        used += cachefs__jsize(JOURNAL_WRITE_BYTES + (uint32_t)n);
        done += n;
    }
    return used;
}

void cachefs__durable_wrote(cache_t *c, obj_t *o, const cachefs__pieces_t *buf, uint64_t pos,
                            uint64_t len, uint64_t off, size_t *room)
{
    if (!c->journal) return;
    if (!*room || !cachefs__journal_on(c) || (!o->j_id && !can_begin(c, o))) {
        cachefs__owes(c, o, J_OFF);
        return;
    }
    if (!o->j_id) cachefs__record_base(c, o, 0, room);
    size_t used = records_put(c, o, buf, pos, len, off);
    VFS_ASSERT(used <= *room);
    *room -= used;
    cachefs__owes(c, o, 0);
}

void cachefs__durable_unroom(cache_t *c, size_t room)
{
    if (room) cachefs__journal_unreserve(c->journal, room);
}

apr_status_t cachefs__durable_pause(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    apr_status_t st = APR_SUCCESS;
    cachefs__obj_lock(c, o);
    if (o->j_flags & J_HOLD) st = cachefs__obj_wait(c, o, ctx, 0); /* who calls looks again */
    cachefs__obj_unlock(c, o);
    return st;
}

/* ---- room */

/* One attempt in a full journal: its file goes below, then whoever is oldest. */
static apr_status_t make_room(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, size_t bytes,
                              size_t *room)
{
    cachefs__durable_hurry(c);
    for (int tries = 0; tries < 5; tries++) {
        (void)cachefs__journal_trim(c->journal); /* if it cannot, the reserve says so */
        apr_status_t st = cachefs__journal_reserve(c->journal, ctx, bytes, JOURNAL_ORDINARY);
        if (!st) *room = bytes;
        if (st != VFS_ELIMIT) return st;
        st = tries ? cachefs__retire_oldest(c, ctx) : cachefs__retire_obj(c, o, ctx);
        if (st) return st == APR_NOTFOUND ? VFS_ELIMIT : st;
    }
    return VFS_ELIMIT;
}

/* Its records are retired, and there are none of what comes. */
static void without_record(cache_t *c, obj_t *o)
{
    cachefs__count(&c->counters, CNT_JOURNAL_FULL, 1);
    cachefs__obj_lock(c, o);
    if (!o->j_id) cachefs__owes(c, o, J_OFF);
    cachefs__obj_unlock(c, o);
}

static apr_status_t room_full(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, size_t bytes,
                              size_t *room)
{
    cachefs__dirty_wait_t wait;
    cachefs__dirty_wait_begin(c, &wait);
    while (cachefs__journal_on(c)) {
        apr_status_t st = make_room(c, o, ctx, bytes, room);
        if (!st) return st;
        if (st == VFS_ELIMIT) { /* the lower layer takes what it is given */
            without_record(c, o);
            return APR_SUCCESS;
        }
        cachefs__count(&c->counters, CNT_WAITS, 1);
        st = cachefs__dirty_wait(c, ctx, &wait, st);
        if (st) return st;
    }
    return APR_SUCCESS;
}

#define PIECES_MAX 512u /* of one write; with more it goes without records */

apr_status_t cachefs__durable_room(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t len,
                                   size_t pieces, size_t *room)
{
    *room = 0;
    if (!cachefs__journal_on(c)) return APR_SUCCESS;
    cachefs__durable_thin(c, ctx, 1);
    cachefs__obj_lock(c, o);
    int has = o->j_id != 0, wanted = has || can_begin(c, o);
    cachefs__obj_unlock(c, o);
    if (!wanted) return APR_SUCCESS;
    if (pieces > PIECES_MAX) return has ? cachefs__durable_settle(c, o, ctx) : APR_SUCCESS;
    size_t heads = pieces * (JOURNAL_RECORD_BYTES + JOURNAL_WRITE_BYTES + 8);
    size_t bytes = cachefs__journal_write_bytes(len) + heads + BASE_ROOM;
    apr_status_t st = cachefs__journal_reserve(c->journal, ctx, bytes, JOURNAL_ORDINARY);
    if (!st) *room = bytes;
    if (!st || cachefs__gave_up(st)) return st;
    if (st == VFS_ELIMIT) return room_full(c, o, ctx, bytes, room);
    cachefs__journal_died(c, st);
    return APR_SUCCESS;
}
