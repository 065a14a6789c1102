/*
 * check_l2.c - are the cached bytes of a store sound? Floor 2, private to cachefs/store/.
 *
 * A segment is read as a whole and gone through record by record. Where no record can be read, the
 * next one is looked for at each multiple of 64: one that is found makes it damage, none makes it
 * the torn end of a segment that was being written. The rows of a footer must say what the records
 * say. So every byte is looked at once, those that no reader looks at too.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/rank.h"
#include "cachefs/store/bytes.h"
#include "cachefs/store/check_private.h"
#include "cachefs/store/l2_log.h"

/* ---- one segment, as bytes */

static int all_zero(const uint8_t *bytes, uint64_t len)
{
    for (uint64_t i = 0; i < len; i++)
        if (bytes[i]) return 0;
    return 1;
}

/* The record at `off`, whose bytes end before `end`. */
static int record_at(const uint8_t *bytes, uint64_t off, uint64_t end, uint32_t seq,
                     cachefs__l2_record_t *r)
{
    return off + L2_HEAD <= end && cachefs__l2_record_read(bytes + off, seq, r) &&
           off + cachefs__l2_record_space(r) <= end;
}

/* Where the footer begins; the size of the segment: there is none that is sound. */
static uint64_t footer_at(const uint8_t *bytes, uint64_t size, uint32_t seq, uint32_t *count)
{
    uint64_t sum;
    *count = 0;
    if (size < L2_HEAD + L2_TRAILER ||
        !cachefs__l2_trailer_read(bytes + size - L2_TRAILER, seq, size, count, &sum))
        return size;
    uint64_t rows = size - cachefs__l2_footer_bytes(*count);
    if (cachefs__l2_sum(bytes + rows, (size_t)*count * L2_ROW) == sum) return rows;
    *count = 0;
    return size;
}

/* Rows of the footer that say something else than the records. */
static uint64_t wrong_rows(const uint8_t *bytes, uint64_t end, uint32_t count, uint32_t seq)
{
    uint64_t wrong = 0;
    for (uint32_t i = 0; i < count; i++) {
        cachefs__l2_row_t row;
        cachefs__l2_record_t r;
        cachefs__l2_row_read(bytes + end + (size_t)i * L2_ROW, &row);
        if (!cachefs__l2_row_good(&row, end)) {
            wrong++;
            continue;
        }
        /* a record that cannot be read is counted where it lies */
        if (record_at(bytes, row.off, end, seq, &r))
            wrong += row.tag != cachefs__l2_tag(&r.key, r.cell) || row.len != r.len ||
                     row.from != r.from || row.parts != cachefs__l2_parts(r.len, r.packed);
    }
    return wrong;
}

void cachefs__l2_verify(const uint8_t *bytes, uint64_t size, const uint8_t *store_id, uint32_t seq,
                        cachefs__l2_verdict_t *v)
{
    uint32_t count = 0;
    cachefs__l2_record_t r;
    memset(v, 0, sizeof(*v));
    v->ours =
        size >= L2_HEAD && size <= L2_SEGMENT_MAX && cachefs__l2_head_read(bytes, store_id, seq);
    if (!v->ours) return;
    uint64_t end = footer_at(bytes, size, seq, &count), off = L2_HEAD;
    v->sealed = end < size;
    while (off < end) {
        uint64_t next = off;
        while (next < end && !record_at(bytes, next, end, seq, &r))
            next += L2_ALIGN;
        if (next >= end && !v->sealed) {
            v->torn = end - off;
            break;
        }
        v->damaged += next > off; /* something was there */
        if (next >= end) break;
        const uint8_t *data = bytes + next + L2_HEAD;
        uint64_t space = cachefs__l2_record_space(&r), bytes_of = cachefs__l2_record_bytes(&r);
        if (cachefs__l2_sum(data, bytes_of) == r.sum &&
            all_zero(data + bytes_of, space - L2_HEAD - bytes_of)) {
            v->records++;
            v->record_bytes += r.len;
        } else {
            v->damaged++;
        }
        off = next + space;
    }
    if (v->sealed) v->damaged += wrong_rows(bytes, end, count, seq);
}

/* ---- those of a store */

typedef struct l2_check_t {
    cachefs__check_t *c;
    uint8_t id[CACHEFS__STORE_ID_BYTES];
    int known; /* is id that of the store? */
} l2_check_t;

/* A segment that is damaged goes, if that is asked for: it is a copy of what the origin has. */
static apr_status_t damaged(l2_check_t *l, const char *name, uint64_t bytes, const char *what)
{
    const cachefs__check_t *c = l->c;
    apr_status_t st = APR_SUCCESS;
    c->out->damaged_segments++;
    if (c->o.repair) st = vfs_unlink(c->fs, NULL, name);
    if (c->o.repair && !st)
        cachefs__check_told(c, CACHEFS_TOLD_REPAIRED, name, bytes, "%s; it is deleted", what);
    else
        cachefs__check_told(c, CACHEFS_TOLD_DAMAGE, name, bytes, "%s", what);
    return st;
}

static void orphan(const l2_check_t *l, const char *name, uint64_t bytes, const char *what)
{
    l->c->out->orphans++;
    l->c->out->orphan_bytes += bytes;
    cachefs__check_told(l->c, CACHEFS_TOLD_NOTE, name, bytes, "%s", what);
}

static apr_status_t judge(l2_check_t *l, const char *name, const uint8_t *bytes, size_t len,
                          uint32_t seq)
{
    cachefs_check_t *out = l->c->out;
    cachefs__l2_verdict_t v;
    const uint8_t *own = bytes + 16; /* whose it says that it is */
    if (len >= L2_HEAD && cachefs__l2_head_read(bytes, own, seq) && !l->known) {
        memcpy(l->id, own, sizeof(l->id)); /* the newest decides */
        l->known = 1;
    }
    cachefs__l2_verify(bytes, len, l->id, seq, &v);
    out->damaged_records += v.damaged;
    if (!v.ours && len >= L2_HEAD && cachefs__l2_head_read(bytes, own, seq)) {
        orphan(l, name, len, "a segment of another store");
        return APR_SUCCESS;
    }
    if (!v.ours && all_zero(bytes, len < L2_HEAD ? len : L2_HEAD)) {
        orphan(l, name, len, "a segment that was never begun");
        return APR_SUCCESS;
    }
    if (!v.ours) return damaged(l, name, len, "its head is not what it should be");
    if (v.damaged) return damaged(l, name, len, "it has records that are not what they should be");
    if (!v.records && len == L2_HEAD) {
        orphan(l, name, len, "a segment without a record");
        return APR_SUCCESS;
    }
    out->segments++;
    out->segment_bytes += len;
    out->sealed += v.sealed != 0;
    out->records += v.records;
    out->record_bytes += v.record_bytes;
    out->torn_bytes += v.torn;
    if (v.torn)
        cachefs__check_told(l->c, CACHEFS_TOLD_NOTE, name, v.torn,
                            "its end is torn: the next cache cuts it off");
    return APR_SUCCESS;
}

static apr_status_t segment(l2_check_t *l, uint32_t seq)
{
    char name[64], text[128];
    uint8_t *bytes;
    size_t len;
    cachefs__l2_name(name, sizeof(name), seq);
    apr_status_t st = cachefs__store_load(l->c->store, name, &bytes, &len, L2_SEGMENT_MAX);
    if (APR_STATUS_IS_ENOENT(st)) return APR_SUCCESS;
    if (st == APR_ENOMEM) return st;
    if (st == VFS_ELIMIT) return damaged(l, name, 0, "it is larger than any segment");
    if (st) { /* perhaps another time */
        l->c->out->damaged_segments++;
        cachefs__check_told(l->c, CACHEFS_TOLD_DAMAGE, name, 0, "it cannot be read: %s",
                            vfs_strerror(st, text, sizeof(text)));
        return APR_SUCCESS;
    }
    st = judge(l, name, bytes, len, seq);
    free(bytes);
    return st;
}

/* What is in the directory and no segment. */
static apr_status_t other(void *baton, const char *name)
{
    const l2_check_t *l = baton;
    char path[VFS_PATH_MAX + 8];
    if (cachefs__l2_seq(name)) return APR_SUCCESS;
    (void)snprintf(path, sizeof(path), CACHEFS__STORE_L2 "/%s", name);
    if (strcmp(name, "probe") == 0)
        orphan(l, path, 0, "left over from a look at a store that failed");
    else
        cachefs__check_told(l->c, CACHEFS_TOLD_NOTE, path, 0, "no file of the store; left alone");
    return APR_SUCCESS;
}

apr_status_t cachefs__check_l2(cachefs__check_t *c, const uint8_t *id, uint8_t *found, int *known)
{
    l2_check_t l = {.c = c, .known = id != NULL};
    uint32_t *seq;
    size_t count;
    if (id) memcpy(l.id, id, sizeof(l.id));
    CACHE_NO_LOCKS_HELD();
    apr_status_t st = cachefs__l2_list(c->fs, &seq, &count);
    for (size_t i = 0; !st && i < count; i++) {
        st = vfs_ctx_check(c->o.ctx);
        if (!st) st = segment(&l, seq[i]);
    }
    free(seq);
    if (APR_STATUS_IS_ENOENT(st)) st = APR_SUCCESS; /* the next cache makes the directory */
    if (!st) st = cachefs__check_names(c, CACHEFS__STORE_L2, other, &l);
    memcpy(found, l.id, sizeof(l.id));
    *known = l.known;
    return st;
}
