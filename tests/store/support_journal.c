/*
 * support_journal.c - see support_journal.h.
 */
#include "tests/store/support_journal.h"

#define DIR "/journal"

static void heard(void *baton, int level, const char *text)
{
    (void)level;
    (void)text;
    ((jrig_t *)baton)->logged++;
}

void jrig_open(jrig_t *rig)
{
    uint64_t bytes_max = rig->bytes_max, file_bytes = rig->file_bytes;
    uint32_t seed = rig->seed;
    memset(rig, 0, sizeof(*rig));
    rig->bytes_max = bytes_max ? bytes_max : 4u << 20;
    rig->file_bytes = file_bytes;
    rig->seed = seed ? seed : 1;
    rig->next = 1;
    memset(rig->origin, 7, sizeof(rig->origin));
    rig->known = calloc(LOG_MAX, sizeof(*rig->known));
    CHECK(rig->known != NULL);
    OK(apr_initialize());
    OK(apr_pool_create(&rig->pool, NULL));
    OK(vfs_mem_create(&rig->mem, 0, rig->pool));
    OK(vfs_crash_create(&rig->crash, rig->mem, rig->pool));
    OK(vfs_fault_create(&rig->fault, rig->crash, 1, rig->pool));
    OK(vfs_mkdir(rig->fault, NULL, DIR, 0700));
    OK(vfs_sync_fs(rig->fault, NULL));
}

void jrig_close(jrig_t *rig)
{
    jrig_gone(rig);
    OK(vfs_destroy_stack(rig->fault));
    apr_pool_destroy(rig->pool);
    free(rig->known);
}

uint32_t jrig_random(jrig_t *rig)
{
    rig->seed = rig->seed * 1664525u + 1013904223u;
    return rig->seed >> 8;
}

static uint8_t byte_of(const jknown_t *k, uint32_t i)
{
    return (uint8_t)(k->seed * 31u + i * 7u + (uint32_t)k->off);
}

/* ---- steps */

static jknown_t *note(jrig_t *rig, uint64_t lsn, cachefs__jtype_e type, uint64_t object)
{
    EQ(lsn, rig->next);
    CHECK(lsn < LOG_MAX);
    rig->next = lsn + 1;
    rig->known[lsn] = (jknown_t){.type = type, .object = object};
    return &rig->known[lsn];
}

apr_status_t jrig_base(jrig_t *rig, unsigned o)
{
    cachefs__jbase_t b = {.dev = 1, .ino = o + 1, .size = 10, .mode = 0600, .path = "/some/name"};
    uint64_t lsn;
    b.path_len = (uint32_t)strlen(b.path);
    apr_status_t st =
        cachefs__journal_reserve(rig->j, NULL, cachefs__jsize(JOURNAL_BASE_BYTES + b.path_len), 0);
    if (st) return st;
    uint64_t object = cachefs__journal_base(rig->j, 0, &b, JOURNAL_CREATED, &lsn);
    (void)note(rig, lsn, JOURNAL_BASE, object);
    rig->object[o] = object;
    rig->first[o] = rig->last[o] = lsn;
    return APR_SUCCESS;
}

apr_status_t jrig_write(jrig_t *rig, unsigned o, uint32_t len)
{
    jknown_t k = {.type = JOURNAL_WRITE,
                  .object = rig->object[o],
                  .off = jrig_random(rig) % 100000u,
                  .len = len,
                  .seed = jrig_random(rig)};
    size_t room = cachefs__journal_write_bytes(len);
    apr_status_t st = cachefs__journal_reserve(rig->j, NULL, room, 0);
    if (st) return st;
    uint8_t *bytes = malloc(len);
    CHECK(bytes != NULL && len <= JOURNAL_WRITE_MAX);
    for (uint32_t i = 0; i < len; i++)
        bytes[i] = byte_of(&k, i);
    uint64_t lsn = cachefs__journal_write(rig->j, k.object, k.off, 5, bytes, len);
    cachefs__journal_unreserve(rig->j, room - cachefs__jsize(JOURNAL_WRITE_BYTES + len));
    *note(rig, lsn, JOURNAL_WRITE, k.object) = k;
    rig->last[o] = lsn;
    free(bytes);
    return APR_SUCCESS;
}

apr_status_t jrig_retire(jrig_t *rig, unsigned o)
{
    apr_status_t st = cachefs__journal_reserve(rig->j, NULL, cachefs__jsize(8), 1);
    if (st) return st;
    uint64_t lsn = cachefs__journal_done(rig->j, JOURNAL_RETIRE, rig->object[o], rig->last[o]);
    (void)note(rig, lsn, JOURNAL_RETIRE, rig->object[o]);
    rig->object[o] = 0;
    return APR_SUCCESS;
}

apr_status_t jrig_sync(jrig_t *rig)
{
    if (rig->next == 1) return APR_SUCCESS;
    apr_status_t st = cachefs__journal_sync(rig->j, NULL, rig->next - 1);
    if (!st) rig->acked = rig->next - 1;
    return st;
}

/* Records that the journal makes for itself. */
static void catch_up(jrig_t *rig)
{
    cachefs__jstats_t stats;
    cachefs__journal_stats(rig->j, &stats);
    while (rig->next < stats.next)
        (void)note(rig, rig->next, JOURNAL_CHECKPOINT, 0);
}

apr_status_t jrig_step(jrig_t *rig)
{
    unsigned o = jrig_random(rig) % OBJECTS, what = jrig_random(rig) % 16;
    apr_status_t st;
    if (what < 9) {
        st = rig->object[o] ? APR_SUCCESS : jrig_base(rig, o);
        return st ? st : jrig_write(rig, o, 1 + jrig_random(rig) % 3000u);
    }
    if (what < 13) return jrig_sync(rig);
    if (what < 15) return rig->object[o] ? jrig_retire(rig, o) : APR_SUCCESS;
    if (jrig_random(rig) % 2) {
        cachefs__journal_mark(rig->j);
        return APR_SUCCESS;
    }
    st = cachefs__journal_trim(rig->j);
    catch_up(rig);
    return st;
}

/* ---- what is there */

typedef struct seen_t {
    jrig_t *rig;
    uint64_t last, records, holes;
} seen_t;

static apr_status_t see(void *baton, const cachefs__jrecord_t *rec)
{
    seen_t *s = baton;
    jrig_t *rig = s->rig;
    CHECK(rec->lsn > s->last && rec->lsn < rig->next);
    s->holes += rec->lsn - s->last - 1;
    s->last = rec->lsn;
    s->records++;
    const jknown_t *k = &rig->known[rec->lsn];
    EQ(rec->type, k->type);
    EQ(rec->object, k->object);
    if (rec->type != JOURNAL_WRITE) return APR_SUCCESS;
    uint64_t off;
    int64_t mtime;
    const uint8_t *bytes;
    uint32_t len;
    CHECK(cachefs__jwrite_get(rec, &off, &mtime, &bytes, &len));
    EQ(off, k->off);
    EQ(len, k->len);
    EQ(mtime, 5);
    for (uint32_t i = 0; i < len; i++)
        CHECK(bytes[i] == byte_of(k, i));
    return APR_SUCCESS;
}

uint64_t jrig_check(jrig_t *rig)
{
    const cachefs__jfound_t *f = cachefs__journal_found(rig->j);
    seen_t s = {.rig = rig, .last = f->live_from - 1};
    OK(cachefs__journal_visit(rig->j, see, &s));
    EQ(s.records, f->records);
    if (s.last + 1 < f->end) s.holes += f->end - 1 - s.last; /* acknowledged, and lost at the end */
    for (unsigned o = 0; o < OBJECTS; o++)
        CHECK(!rig->object[o] || f->live_from <= rig->first[o]); /* nothing needed is dead */
    return s.holes;
}

apr_status_t jrig_begin(jrig_t *rig)
{
    cachefs__joptions_t o = {.fs = rig->fault,
                             .dir = DIR,
                             .origin = rig->origin,
                             .bytes_max = rig->bytes_max,
                             .file_bytes = rig->file_bytes,
                             .log = heard,
                             .baton = rig};
    apr_status_t st = cachefs__journal_open(&rig->j, &o, rig->err, sizeof(rig->err));
    if (st) return st;
    const cachefs__jfound_t *f = cachefs__journal_found(rig->j);
    EQ(jrig_check(rig), 0);
    EQ(f->lost, 0);
    CHECK(f->end > rig->acked); /* all that was acknowledged is there */
    rig->next = f->end;         /* the rest is not, and never comes back */
    rig->acked = f->end - 1;
    st = cachefs__journal_start(rig->j);
    if (st) return st;
    memset(rig->object, 0, sizeof(rig->object));
    st = cachefs__journal_recovered(rig->j);
    catch_up(rig);
    return st;
}

void jrig_gone(jrig_t *rig)
{
    if (rig->j) (void)cachefs__journal_close(rig->j); /* its disk may be gone */
    rig->j = NULL;
}
