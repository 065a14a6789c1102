/*
 * journal_scan.c - what an earlier process left: which records can be believed, and which count.
 * Floor 2, private to cachefs/store/.
 *
 * Files are read in order of their numbers. What a file has from the first LSN of a later one on is
 * void: the later one began there because the older one could not be synced, or because its torn
 * end was cut off. Where no record can be read, the next one is looked for at each multiple of 8.
 *
 * The first pass notes holes (LSNs without a record) and D, the highest LSN that anything says was
 * durable. A hole up to D is damage: those records are lost, what follows them counts. The first
 * hole behind D is the end: nobody was told that anything behind it is durable, and of one file a
 * later write could be there without an earlier one. The second pass hands out what counts.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/store/journal_private.h"

#define WINDOW (2 * (JOURNAL_RECORD_BYTES + JOURNAL_BODY_MAX))

typedef struct reader_t {
    const cachefs__jfile_t *of;
    vfs_file_t *file;
    uint8_t *buf;
    uint64_t at, size; /* of the next byte to look at; of the file */
    uint64_t base;     /* of buf[0] */
    size_t have;       /* bytes in buf */
    uint64_t last;     /* LSN of the last record */
    uint64_t durable;  /* what records and marks said */
} reader_t;

/* At least one record's bytes from `at` on are in the window, if the file has them. */
static apr_status_t fill(reader_t *r)
{
    size_t want = cachefs__jsize(JOURNAL_BODY_MAX);
    if (r->size - r->at < want) want = (size_t)(r->size - r->at);
    if (r->at + want <= r->base + r->have) return APR_SUCCESS;
    size_t keep = (size_t)(r->base + r->have - r->at), got = 0;
    memmove(r->buf, r->buf + (r->at - r->base), keep);
    r->base = r->at;
    r->have = keep;
    apr_status_t st =
        vfs_read_at(r->file, NULL, r->buf + keep, WINDOW - keep, (apr_off_t)(r->base + keep), &got);
    r->have += got;
    if (!st && r->have < want) r->size = r->base + r->have; /* it became shorter */
    return st;
}

/* The next record that can be believed; rec->type is 0 at the end of the file. */
static apr_status_t next_record(reader_t *r, cachefs__jrecord_t *rec)
{
    rec->type = (cachefs__jtype_e)0;
    while (r->at + JOURNAL_RECORD_BYTES <= r->size) {
        apr_status_t st = fill(r);
        if (st) return st;
        size_t in = (size_t)(r->at - r->base);
        size_t n = cachefs__jget(rec, r->buf + in, r->have - in, r->of->nonce);
        int mark = n && rec->type == JOURNAL_MARK && rec->lsn == rec->durable;
        int ours = n && rec->type != JOURNAL_MARK && rec->lsn > r->last &&
                   rec->lsn >= r->of->first && rec->lsn < r->of->bound;
        if ((mark || ours) && rec->durable < r->of->bound && rec->durable > r->durable)
            r->durable = rec->durable;
        r->at += ours ? n : 8;
        if (!ours) continue;
        r->last = rec->lsn;
        return APR_SUCCESS;
    }
    rec->type = (cachefs__jtype_e)0;
    return APR_SUCCESS;
}

/* Hear each record of a file that can be believed. */
static apr_status_t each(cachefs__journal_t *j, const cachefs__jfile_t *f, reader_t *r,
                         cachefs__jvisit_fn fn, void *baton)
{
    char path[JPATH_MAX];
    cachefs__jrecord_t rec;
    uint8_t *buf = r->buf;
    if (!f->first) return APR_SUCCESS;
    *r = (reader_t){.of = f,
                    .buf = buf,
                    .at = JOURNAL_HEADER_BYTES,
                    .base = JOURNAL_HEADER_BYTES,
                    .size = f->size,
                    .durable = f->first - 1};
    if (r->size < r->at) r->size = r->at;
    CACHE_NO_LOCKS_HELD();
    apr_status_t st = vfs_open(&r->file, j->fs, NULL, cachefs__journal_path(j, f->number, path),
                               VFS_O_READ, 0, NULL, NULL);
    if (st) return st;
    while (!st && !(st = next_record(r, &rec)) && rec.type)
        st = fn(baton, &rec);
    (void)vfs_close(r->file, NULL); /* it was only read */
    return st;
}

/* ---- which files there are */

static int by_number(const void *a, const void *b)
{
    const cachefs__jfile_t *x = a, *y = b;
    return x->number < y->number ? -1 : x->number > y->number;
}

/* "j-" and eight digits or more, as cachefs__journal_path makes them; else 0. */
static uint64_t number_of(const char *name)
{
    char again[32];
    unsigned long long n;
    char *end;
    if (strncmp(name, "j-", 2) != 0 || strlen(name) > 18) return 0;
    n = strtoull(name + 2, &end, 16);
    if (*end || !n || n == UINT64_MAX) return 0;
    (void)snprintf(again, sizeof(again), "j-%08llx", n);
    return strcmp(again, name) == 0 ? n : 0;
}

static apr_status_t list(cachefs__journal_t *j)
{
    vfs_dir_t *dir;
    vfs_dirent_t e;
    apr_status_t st = vfs_opendir(&dir, j->fs, NULL, j->dir, 0);
    if (st) return st;
    while (!(st = vfs_readdir(dir, NULL, &e))) {
        cachefs__jfile_t f = {.number = number_of(e.name), .bound = UINT64_MAX};
        if (f.number && !cachefs__journal_file_add(j, &f)) {
            st = APR_ENOMEM;
            break;
        }
    }
    (void)vfs_closedir(dir); /* it was only read */
    if (j->nfiles) qsort(j->files, j->nfiles, sizeof(*j->files), by_number);
    return APR_STATUS_IS_EOF(st) ? APR_SUCCESS : st;
}

static apr_status_t refuse(cachefs__journal_t *j, apr_status_t st, uint64_t number, char *err,
                           size_t errlen)
{
    char path[JPATH_MAX];
    if (err && errlen)
        (void)snprintf(err, errlen, "%s: %s; it was left as it is",
                       cachefs__journal_path(j, number, path),
                       st == VFS_EFORMAT     ? "a journal of a newer version of this program"
                       : st == VFS_ECONFLICT ? "a journal with unwritten data of another origin"
                                             : "the journal cannot be read");
    return st;
}

static apr_status_t head(cachefs__journal_t *j, cachefs__jfile_t *f)
{
    char path[JPATH_MAX];
    uint8_t page[JOURNAL_HEADER_BYTES];
    size_t got = 0;
    vfs_file_t *file;
    vfs_attr_t attr;
    cachefs__jheader_t h;
    apr_status_t st = vfs_open(&file, j->fs, NULL, cachefs__journal_path(j, f->number, path),
                               VFS_O_READ, 0, &attr, NULL);
    if (st) return st;
    st = vfs_read_at(file, NULL, page, sizeof(page), 0, &got);
    (void)vfs_close(file, NULL); /* it was only read */
    if (st) return st;
    f->size = attr.size;
    j->disk += attr.size;
    st = cachefs__jheader_get(&h, page, got);
    if (st == VFS_ECHECKSUM || (!st && h.number != f->number)) return APR_SUCCESS; /* first is 0 */
    if (!st && memcmp(h.origin, j->origin, JOURNAL_ID_BYTES) != 0) st = VFS_ECONFLICT;
    if (st) return st;
    f->first = h.first;
    f->live_from = h.live_from;
    f->nonce = h.nonce;
    return APR_SUCCESS;
}

/* ---- the first pass */

typedef struct survey_t {
    cachefs__journal_t *j;
    uint64_t expected; /* LSN */
    uint64_t durable;  /* D */
    apr_status_t st;
} survey_t;

static void hole(survey_t *s, uint64_t from, uint64_t to)
{
    cachefs__journal_t *j = s->j;
    if (j->nholes == j->holes_room) {
        size_t room = j->holes_room ? j->holes_room * 2 : 16;
        cachefs__jhole_t *holes = realloc(j->holes, room * sizeof(*holes));
        if (!holes) {
            s->st = APR_ENOMEM;
            return;
        }
        j->holes = holes;
        j->holes_room = room;
    }
    j->holes[j->nholes++] = (cachefs__jhole_t){from, to};
}

static apr_status_t survey_record(void *baton, const cachefs__jrecord_t *rec)
{
    survey_t *s = baton;
    cachefs__journal_t *j = s->j;
    uint64_t lsn;
    if (rec->lsn > s->expected) hole(s, s->expected, rec->lsn);
    if (rec->lsn >= s->expected) s->expected = rec->lsn + 1;
    if (rec->object >= j->next_object && rec->object < UINT64_MAX) j->next_object = rec->object + 1;
    if (rec->type == JOURNAL_CHECKPOINT && cachefs__jlsn_get(rec, &lsn) && lsn > j->live_from &&
        lsn <= rec->lsn)
        j->live_from = lsn;
    return s->st;
}

/* Where what counts ends, and what of it is lost. */
static void find_end(cachefs__journal_t *j, survey_t *s)
{
    cachefs__jfound_t *f = &j->found;
    if (s->durable >= s->expected) {
        hole(s, s->expected, s->durable + 1);
        s->expected = s->durable + 1;
    }
    f->live_from = j->live_from;
    f->end = s->expected;
    for (size_t i = j->nholes; i-- > 0;) { /* the lowest one counts */
        cachefs__jhole_t h = j->holes[i];
        uint64_t from = h.from > j->live_from ? h.from : j->live_from;
        uint64_t to = h.to < s->durable + 1 ? h.to : s->durable + 1;
        if (h.to > s->durable + 1) f->end = h.from > s->durable ? h.from : s->durable + 1;
        if (from < to) f->lost += to - from;
    }
    if (f->end < j->live_from) f->end = j->live_from;
}

static void bounds(cachefs__journal_t *j, survey_t *s)
{
    uint64_t bound = UINT64_MAX;
    for (size_t i = j->nfiles; i-- > 0;) {
        cachefs__jfile_t *f = &j->files[i];
        f->bound = bound;
        if (!f->first) j->found.headless++; /* if it had something durable, that is `lost` */
        if (f->first && f->first < bound) bound = f->first;
        if (f->live_from > j->live_from) j->live_from = f->live_from;
        if (f->first && f->first - 1 > s->durable) s->durable = f->first - 1;
    }
}

static apr_status_t count(void *baton, const cachefs__jrecord_t *rec)
{
    cachefs__jfound_t *f = baton;
    size_t size = cachefs__jsize(rec->len);
    if (rec->lsn >= f->end) f->torn += size;
    if (rec->lsn < f->live_from || rec->lsn >= f->end) return APR_SUCCESS;
    f->records++;
    f->bytes += size;
    return APR_SUCCESS;
}

/* Those of earlier sessions: this one may go on meanwhile. NULL: no memory. */
static cachefs__jfile_t *found_files(cachefs__journal_t *j, size_t *n)
{
    cachefs__lock(&j->lock, RANK_LEAF);
    cachefs__jfile_t *files = malloc((j->nfiles + 1) * sizeof(*files));
    *n = 0;
    for (size_t i = 0; files && i < j->nfiles; i++)
        if (!j->start_number || j->files[i].number < j->start_number) files[(*n)++] = j->files[i];
    cachefs__unlock(&j->lock, RANK_LEAF);
    return files;
}

static apr_status_t all(cachefs__journal_t *j, cachefs__jvisit_fn fn, void *baton,
                        uint64_t *durable)
{
    size_t n;
    cachefs__jfile_t *files = found_files(j, &n);
    reader_t r = {.buf = malloc(WINDOW)};
    apr_status_t st = r.buf && files ? APR_SUCCESS : APR_ENOMEM;
    for (size_t i = 0; i < n && !st; i++) {
        r.durable = 0;
        st = each(j, &files[i], &r, fn, baton);
        if (durable && r.durable > *durable) *durable = r.durable;
    }
    free(r.buf);
    free(files);
    return st;
}

apr_status_t cachefs__journal_survey(cachefs__journal_t *j, char *err, size_t errlen)
{
    survey_t s = {.j = j};
    apr_status_t st = list(j);
    for (size_t i = 0; i < j->nfiles && !st; i++) {
        st = head(j, &j->files[i]);
        if (st) return refuse(j, st, j->files[i].number, err, errlen);
    }
    if (st) return refuse(j, st, 0, err, errlen);
    bounds(j, &s);
    s.expected = j->live_from;
    st = all(j, survey_record, &s, &s.durable);
    if (!st) find_end(j, &s);
    if (!st) st = s.st;
    if (!st) st = all(j, count, &j->found, NULL);
    if (st) return refuse(j, st, j->nfiles ? j->files[0].number : 0, err, errlen);
    j->found.files = j->nfiles;
    j->number = j->nfiles ? j->files[j->nfiles - 1].number : 0;
    j->found_end = j->next = j->found.end;
    j->durable = j->next - 1;
    if (j->found.lost) j->aside = j->number;
    return APR_SUCCESS;
}

/* ---- the second pass */

typedef struct visit_t {
    cachefs__journal_t *j;
    cachefs__jvisit_fn fn;
    void *baton;
} visit_t;

static apr_status_t visit_record(void *baton, const cachefs__jrecord_t *rec)
{
    visit_t *v = baton;
    if (rec->lsn < v->j->found.live_from || rec->lsn >= v->j->found.end) return APR_SUCCESS;
    return v->fn(v->baton, rec);
}

apr_status_t cachefs__journal_visit(cachefs__journal_t *j, cachefs__jvisit_fn fn, void *baton)
{
    visit_t v = {.j = j, .fn = fn, .baton = baton};
    return all(j, visit_record, &v, NULL);
}
