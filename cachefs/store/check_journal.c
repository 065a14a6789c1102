/*
 * check_journal.c - what the journal of a store has: is it sound, and which files are dirty.
 * Floor 2, private to cachefs/store/. Reads by journal.h, and for the heads of files by its parser.
 *
 * The journal knows objects by number. Their names are those of their BASE records, moved along by
 * the RENAMEs behind them, as replay.c has it; what was written is what no RETIRE or DISCARD
 * covers. An object that was flushed and written again has several numbers: they are one file here.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/rank.h"
#include "cachefs/store/check_private.h"
#include "cachefs/store/journal.h"

#define BYTES_MAX (1u << 20) /* what cachefs__journal_open wants to know; nothing is written */

/* ---- files */

typedef struct heads_t {
    cachefs__check_t *c;
    uint64_t newest; /* number of the file that origin and session are of; 0: none */
    uint8_t origin[JOURNAL_ID_BYTES], session[JOURNAL_ID_BYTES];
    int format; /* 1: a file is of a newer one */
} heads_t;

/* As the journal names its files: "j-" and eight digits or more. */
static int is_file(const char *name)
{
    size_t len = strlen(name);
    return len >= 10 && len <= 18 && strncmp(name, "j-", 2) == 0 &&
           strspn(name + 2, "0123456789abcdef") == len - 2;
}

static int all_zero(const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (bytes[i]) return 0;
    return 1;
}

/* A file that holds nothing that can be read: without its head its records have no checksum. */
static apr_status_t headless(const heads_t *h, const char *path, uint64_t size)
{
    static const char what[] = "its head is not what it should be, so no record of it can be read";
    char to[VFS_PATH_MAX + 32];
    const cachefs__check_t *c = h->c;
    if (!c->o.repair) {
        cachefs__check_told(c, CACHEFS_TOLD_DAMAGE, path, size, "%s", what);
        return APR_SUCCESS;
    }
    (void)snprintf(to, sizeof(to), CACHEFS__STORE_JOURNAL "/damaged-%s", strrchr(path, '-') + 1);
    apr_status_t st = vfs_rename(c->fs, NULL, path, to, VFS_RENAME_NOREPLACE);
    if (st) return st;
    cachefs__check_told(c, CACHEFS_TOLD_REPAIRED, path, size, "%s; it is set aside as %s", what,
                        to);
    c->out->aside_files++;
    c->out->aside_bytes += size;
    return APR_SUCCESS;
}

static apr_status_t head(heads_t *h, const char *path)
{
    uint8_t page[JOURNAL_HEADER_BYTES];
    char text[128];
    cachefs__jheader_t head;
    vfs_attr_t attr;
    size_t got = 0;
    cachefs_check_t *out = h->c->out;
    apr_status_t st = vfs_get(h->c->fs, NULL, path, page, sizeof(page), &got, &attr, NULL);
    if (st) {
        cachefs__check_told(h->c, CACHEFS_TOLD_DAMAGE, path, 0, "it cannot be read: %s",
                            vfs_strerror(st, text, sizeof(text)));
        return st; /* what would the rest be worth? */
    }
    st = cachefs__jheader_get(&head, page, got);
    if (st == VFS_ECHECKSUM && all_zero(page, got))
        cachefs__check_told(h->c, CACHEFS_TOLD_NOTE, path, attr.size,
                            "a file that was never begun");
    else if (st == VFS_ECHECKSUM)
        return headless(h, path, attr.size);
    out->journal_files++;
    out->journal_bytes += attr.size;
    if (st == VFS_EFORMAT) h->format = 1;
    if (st || head.number <= h->newest) return APR_SUCCESS;
    h->newest = head.number;
    memcpy(h->origin, head.origin, sizeof(h->origin));
    memcpy(h->session, head.session, sizeof(h->session));
    return APR_SUCCESS;
}

static apr_status_t file(void *baton, const char *name)
{
    heads_t *h = baton;
    vfs_attr_t attr;
    char path[VFS_PATH_MAX + 16];
    (void)snprintf(path, sizeof(path), CACHEFS__STORE_JOURNAL "/%s", name);
    if (is_file(name)) return head(h, path);
    apr_status_t st = vfs_lstat(h->c->fs, NULL, path, &attr);
    if (st) return st;
    if (strncmp(name, "damaged-", 8) != 0) {
        cachefs__check_told(h->c, CACHEFS_TOLD_NOTE, path, attr.size,
                            "no file of the store; left alone");
        return APR_SUCCESS;
    }
    h->c->out->aside_files++;
    h->c->out->aside_bytes += attr.size;
    cachefs__check_told(h->c, CACHEFS_TOLD_NOTE, path, attr.size,
                        "set aside because it was damaged; nobody reads it");
    return APR_SUCCESS;
}

/* ---- objects */

typedef struct object_t {
    uint64_t id, last, retired; /* LSNs */
    char *name;                 /* NULL: no record says it */
    int is_move, created;
    int part; /* it ends amid the copies of data that had no record: none of it counts */
    uint64_t bytes;
} object_t;

typedef struct objects_t {
    object_t *at; /* by id */
    size_t count, room;
    uint64_t nameless; /* bytes of objects that have no name */
} objects_t;

static size_t place(const objects_t *o, uint64_t id)
{
    size_t from = 0, to = o->count;
    while (from < to) {
        size_t mid = from + (to - from) / 2;
        if (o->at[mid].id < id)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

/* NULL: no memory. */
static object_t *find_or_make(objects_t *o, uint64_t id)
{
    size_t at = place(o, id);
    if (at < o->count && o->at[at].id == id) return &o->at[at];
    if (o->count == o->room) {
        size_t room = o->room ? o->room * 2 : 64;
        object_t *more = realloc(o->at, room * sizeof(*more));
        if (!more) return NULL;
        o->at = more;
        o->room = room;
    }
    memmove(&o->at[at + 1], &o->at[at], (o->count - at) * sizeof(*o->at));
    o->count++;
    o->at[at] = (object_t){.id = id};
    return &o->at[at];
}

/* head + tail as its name. */
static apr_status_t set_name(object_t *it, const char *head, size_t head_len, const char *tail)
{
    size_t tail_len = strlen(tail);
    char *name = malloc(head_len + tail_len + 1);
    if (!name) return APR_ENOMEM;
    memcpy(name, head, head_len);
    memcpy(name + head_len, tail, tail_len + 1);
    free(it->name);
    it->name = name;
    return APR_SUCCESS;
}

/* What is behind `from` where the name is that or below it; else NULL. */
static const char *behind(const char *name, const char *from, size_t len)
{
    if (!name || strncmp(name, from, len) != 0) return NULL;
    return name[len] == '\0' || name[len] == '/' ? name + len : NULL;
}

static apr_status_t move(objects_t *o, object_t *it, const cachefs__jrecord_t *rec)
{
    const char *from, *to;
    uint32_t from_len, to_len;
    apr_status_t st = APR_SUCCESS;
    if (!cachefs__jrename_get(rec, &from, &from_len, &to, &to_len)) return st;
    for (size_t i = 0; i < o->count && !st; i++) {
        object_t *x = &o->at[i];
        const char *there = x->is_move ? NULL : behind(x->name, from, from_len);
        const char *here =
            x->is_move || !(rec->flags & JOURNAL_EXCHANGE) ? NULL : behind(x->name, to, to_len);
        if (there)
            st = set_name(x, to, to_len, there);
        else if (here)
            st = set_name(x, from, from_len, here);
    }
    it->is_move = 1;
    it->last = rec->lsn;
    return st ? st : set_name(it, from, from_len, "");
}

static apr_status_t first_pass(void *baton, const cachefs__jrecord_t *rec)
{
    objects_t *o = baton;
    cachefs__jbase_t b;
    uint64_t upto;
    if (!rec->object) return APR_SUCCESS;
    object_t *it = find_or_make(o, rec->object);
    if (!it) return APR_ENOMEM;
    switch (rec->type) {
    case JOURNAL_BASE:
        it->last = rec->lsn;
        it->created |= (rec->flags & JOURNAL_CREATED) != 0;
        it->part = (rec->flags & JOURNAL_PART) != 0;
        return cachefs__jbase_get(&b, rec->body, rec->len) ? set_name(it, b.path, b.path_len, "")
                                                           : APR_SUCCESS;
    case JOURNAL_WRITE:
        it->last = rec->lsn;
        break;
    case JOURNAL_RENAME:
        return move(o, it, rec);
    case JOURNAL_RETIRE:
    case JOURNAL_DISCARD:
        if (!cachefs__jlsn_get(rec, &upto)) break;
        if (upto >= rec->lsn) upto = rec->lsn - 1; /* "all so far" */
        if (upto > it->retired) it->retired = upto;
        break;
    default:
        break;
    }
    return APR_SUCCESS;
}

static apr_status_t second_pass(void *baton, const cachefs__jrecord_t *rec)
{
    objects_t *o = baton;
    uint64_t off;
    int64_t mtime_ns;
    const uint8_t *bytes;
    uint32_t len;
    if (!rec->object || !cachefs__jwrite_get(rec, &off, &mtime_ns, &bytes, &len))
        return APR_SUCCESS;
    object_t *it = &o->at[place(o, rec->object)];
    VFS_ASSERT(it->id == rec->object); /* the first pass made it */
    if (rec->lsn <= it->retired || it->part) return APR_SUCCESS;
    it->bytes += len;
    if (!it->name) o->nameless += len;
    return APR_SUCCESS;
}

/* ---- telling */

static int by_name(const void *a, const void *b)
{
    const object_t *x = a, *y = b;
    if (x->is_move != y->is_move) return x->is_move - y->is_move;
    int order = strcmp(x->name ? x->name : "", y->name ? y->name : "");
    return order ? order : x->id < y->id ? -1 : x->id > y->id;
}

/* Each file with something that is not below, once. */
static void tell(const cachefs__check_t *c, objects_t *o)
{
    cachefs_check_t *out = c->out;
    if (o->count) qsort(o->at, o->count, sizeof(*o->at), by_name);
    for (size_t i = 0; i < o->count; i++) {
        object_t *it = &o->at[i];
        if (!it->name || it->last <= it->retired || it->part) continue;
        if (it->is_move) {
            out->moves++;
            cachefs__check_told(c, CACHEFS_TOLD_DIRTY, it->name, 0,
                                "its move is not known to be durable below");
            continue;
        }
        uint64_t bytes = it->bytes;
        int created = it->created;
        for (; i + 1 < o->count && o->at[i + 1].name && !o->at[i + 1].is_move &&
               strcmp(o->at[i + 1].name, it->name) == 0;
             i++) {
            bytes += o->at[i + 1].bytes;
            created |= o->at[i + 1].created && o->at[i + 1].last > o->at[i + 1].retired;
        }
        out->dirty_files++;
        out->dirty_bytes += bytes;
        cachefs__check_told(c, CACHEFS_TOLD_DIRTY, it->name, bytes, "%s",
                            created ? "made by the cache, and not known to be durable below"
                                    : "written, and not known to be durable below");
    }
}

static void found(const cachefs__check_t *c, const cachefs__jfound_t *f, const objects_t *o)
{
    cachefs_check_t *out = c->out;
    out->journal_records = f->records;
    out->journal_lost = f->lost;
    out->journal_torn_bytes = f->torn;
    if (f->lost)
        cachefs__check_told(c, CACHEFS_TOLD_DAMAGE, CACHEFS__STORE_JOURNAL, 0,
                            "%" PRIu64 " records that were acknowledged cannot be read; the next "
                            "cache on the store writes back the others",
                            f->lost);
    if (o->nameless)
        cachefs__check_told(c, CACHEFS_TOLD_DAMAGE, CACHEFS__STORE_JOURNAL, o->nameless,
                            "bytes of files whose names cannot be read");
    if (f->torn)
        cachefs__check_told(c, CACHEFS_TOLD_NOTE, CACHEFS__STORE_JOURNAL, f->torn,
                            "its end is torn, of writes that nobody was told are durable");
}

static apr_status_t records(const cachefs__check_t *c, const heads_t *h, char *err, size_t errlen)
{
    objects_t o = {NULL, 0, 0, 0};
    cachefs__journal_t *j;
    cachefs__joptions_t options = {
        .fs = c->fs, .dir = CACHEFS__STORE_JOURNAL, .origin = h->origin, .bytes_max = BYTES_MAX};
    apr_status_t st = cachefs__journal_open(&j, &options, err, errlen);
    if (st == VFS_ECONFLICT) {
        cachefs__check_told(c, CACHEFS_TOLD_DAMAGE, CACHEFS__STORE_JOURNAL, 0,
                            "it has files of two origins");
        if (err && errlen) err[0] = '\0';
        return APR_SUCCESS;
    }
    if (st) return st;
    st = cachefs__journal_visit(j, first_pass, &o);
    if (!st) st = vfs_ctx_check(c->o.ctx);
    if (!st) st = cachefs__journal_visit(j, second_pass, &o);
    if (!st) {
        found(c, cachefs__journal_found(j), &o);
        tell(c, &o);
    }
    for (size_t i = 0; i < o.count; i++)
        free(o.at[i].name);
    free(o.at);
    (void)cachefs__journal_close(j); /* it was only read */
    return st;
}

apr_status_t cachefs__check_journal(cachefs__check_t *c, char *err, size_t errlen)
{
    heads_t h = {.c = c};
    apr_status_t st = cachefs__check_names(c, CACHEFS__STORE_JOURNAL, file, &h);
    if (st) return st;
    if (h.newest) {
        cachefs__check_id(c->out->origin, h.origin);
        cachefs__check_id(c->out->session, h.session);
    }
    if (h.format) {
        if (err && errlen)
            (void)snprintf(err, errlen,
                           "%s has a journal of a newer version of this program, which alone can "
                           "read it",
                           cachefs__store_name(c->store));
        return VFS_EFORMAT;
    }
    return h.newest ? records(c, &h, err, errlen) : APR_SUCCESS;
}
