/*
 * journal.c - the write-back journal: appending, and group commit.
 * Floor 2, private to cachefs/store/. Knows vfs only.
 *
 * Records are appended to a buffer in memory, in order of their LSN. A sync asks for an LSN to be
 * on stable storage. The first who asks becomes the leader: it takes the whole buffer, leaves an
 * empty one to those who append meanwhile, writes, syncs once, and wakes all. Who came during that
 * waits, and one of them leads the next group. So the number of device syncs is that of groups, not
 * of callers, and there is no timer that somebody alone would wait for.
 *
 *     append --> buffer --(leader: checksums, write, sync)--> file --> durable, waiters return
 *
 * What was not synced is only ever the last group, and it stays in memory until its sync succeeded.
 * If a write or sync fails, the file is given up for good (a second sync of it could succeed though
 * the kernel dropped the pages that the first one failed to write), and the whole group goes into a
 * new file, whose head says that it begins there: what the old file has from that LSN on is void.
 * If that fails too, the journal ends: every later call answers the error, and the engine goes on
 * as without a journal.
 *
 * An LSN is durable when all before it are. Each record says which LSN was durable when it was
 * written, and an idle journal ends in a MARK that says it of the last group. So a reader can tell
 * a torn end (nobody was told that it is durable: it is cut off) from damage (somebody was: what
 * follows counts, and the loss is told). journal_scan.c does so.
 *
 * Files are deleted, oldest first, when no object needs a record in them: an object needs its
 * records from the first that is not retired on. Before that a CHECKPOINT, durable in a file that
 * stays, says that all before that LSN is dead: a file whose removal is undone by a power loss is
 * no danger. The newest file is never deleted.
 *
 * Locks: one, a leaf. Nobody holds it across a call to the store.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/store/bytes.h"
#include "cachefs/store/journal_private.h"
#include "vfs/wait.h"

void cachefs__journal_log(const cachefs__journal_t *j, int level, const char *format, ...)
{
    char text[VFS_PATH_MAX + 256];
    va_list args;
    if (!j->log) return;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* a line that is too long is cut */
    va_end(args);
    j->log(j->baton, level, text);
}

static void jlock(cachefs__journal_t *j)
{
    cachefs__lock(&j->lock, RANK_LEAF);
}

static void junlock(cachefs__journal_t *j)
{
    cachefs__unlock(&j->lock, RANK_LEAF);
}

/* ---- the leader */

/* What is appended becomes durable. Lock held, given up meanwhile; nobody else leads. */
static void lead(cachefs__journal_t *j)
{
    cachefs__jbuffer_t *group = j->fill;
    uint64_t durable = j->durable;
    VFS_ASSERT(!j->leading && group->used > 0);
    j->leading = 1;
    j->fill = group == &j->buffers[0] ? &j->buffers[1] : &j->buffers[0];
    VFS_ASSERT(!j->fill->used);
    junlock(j);
    CACHE_NO_LOCKS_HELD();
    apr_status_t st = cachefs__journal_commit(j, group->bytes, group->used, group->first, durable);
    jlock(j);
    j->leading = 0;
    if (!st) {
        j->durable = group->last;
        j->stats.groups++;
    } else if (!j->error) {
        j->error = st;
    }
    group->used = 0;
    pthread_cond_broadcast(&j->cond);
}

static apr_status_t wait_turn(cachefs__journal_t *j, const vfs_ctx_t *ctx)
{
    cachefs__rank_drop(RANK_LEAF);
    j->waiting++;
    apr_status_t st = vfs__cond_wait(&j->cond, &j->lock, ctx);
    j->waiting--;
    cachefs__rank_take(RANK_LEAF);
    return st;
}

apr_status_t cachefs__journal_sync(cachefs__journal_t *j, const vfs_ctx_t *ctx, uint64_t lsn)
{
    apr_status_t st = APR_SUCCESS;
    jlock(j);
    VFS_ASSERT(lsn < j->next);
    while (j->durable < lsn && !j->error && !st) {
        if (j->leading)
            st = wait_turn(j, ctx);
        else
            lead(j);
    }
    if (j->durable >= lsn) {
        st = APR_SUCCESS;
        j->stats.acknowledged++;
    } else if (j->error) {
        st = j->error;
    }
    junlock(j);
    return st;
}

/* ---- appending */

/* Bytes that the journal would have on disk if all went there. Lock held. */
static uint64_t used(const cachefs__journal_t *j)
{
    return j->disk + j->buffers[0].used + j->buffers[1].used + j->reserved;
}

static uint64_t limit(const cachefs__journal_t *j, cachefs__jshare_e share)
{
    if (share == JOURNAL_CONTROL) return j->bytes_max;
    return j->bytes_max - j->bytes_max / (share == JOURNAL_COPY ? 16 : 8);
}

apr_status_t cachefs__journal_reserve(cachefs__journal_t *j, const vfs_ctx_t *ctx, size_t bytes,
                                      cachefs__jshare_e share)
{
    apr_status_t st = APR_SUCCESS;
    VFS_ASSERT(bytes <= j->buffer_bytes);
    jlock(j);
    for (;;) {
        if (!st) st = j->error;
        if (!st && used(j) + bytes > limit(j, share)) st = VFS_ELIMIT;
        if (st || j->fill->used + j->reserved + bytes <= j->buffer_bytes) break;
        if (!j->leading && j->fill->used)
            lead(j);
        else
            st = wait_turn(j, ctx);
    }
    if (!st && !cachefs__journal_live_room(j)) st = APR_ENOMEM;
    if (!st) j->reserved += bytes;
    junlock(j);
    return st;
}

void cachefs__journal_unreserve(cachefs__journal_t *j, size_t bytes)
{
    jlock(j);
    VFS_ASSERT(j->reserved >= bytes);
    j->reserved -= bytes;
    pthread_cond_broadcast(&j->cond);
    junlock(j);
}

/* Lock held; room is reserved. */
static uint64_t append(cachefs__journal_t *j, const cachefs__jrecord_t *rec, const void *tail,
                       uint32_t tail_len)
{
    cachefs__jbuffer_t *b = j->fill;
    cachefs__jrecord_t r = *rec;
    size_t size = cachefs__jsize(rec->len + tail_len);
    VFS_ASSERT(j->reserved >= size && b->used + size <= j->buffer_bytes);
    r.lsn = j->next++;
    if (!b->used) b->first = r.lsn;
    b->last = r.lsn;
    (void)cachefs__jput(b->bytes + b->used, &r, tail, tail_len);
    b->used += size;
    j->reserved -= size;
    if (j->waiting) pthread_cond_broadcast(&j->cond); /* there is something to write now */
    j->stats.appended++;
    j->stats.appended_bytes += size;
    return r.lsn;
}

uint64_t cachefs__journal_append(cachefs__journal_t *j, const cachefs__jrecord_t *rec)
{
    jlock(j);
    uint64_t lsn = append(j, rec, NULL, 0);
    junlock(j);
    return lsn;
}

size_t cachefs__journal_write_bytes(uint64_t len)
{
    uint64_t n = (len + JOURNAL_WRITE_MAX - 1) / JOURNAL_WRITE_MAX;
    return (size_t)(len + n * (JOURNAL_RECORD_BYTES + JOURNAL_WRITE_BYTES + 8));
}

uint64_t cachefs__journal_write(cachefs__journal_t *j, uint64_t object, uint64_t off,
                                int64_t mtime_ns, const void *bytes, uint32_t len)
{
    uint8_t head[JOURNAL_WRITE_BYTES];
    uint64_t lsn = 0;
    VFS_ASSERT(len > 0);
    jlock(j);
    for (uint32_t done = 0, n; done < len; done += n) {
        n = len - done < JOURNAL_WRITE_MAX ? len - done : JOURNAL_WRITE_MAX;
        cachefs__put64(head, off + done);
        cachefs__put64(head + 8, (uint64_t)mtime_ns);
        cachefs__jrecord_t rec = {
            .type = JOURNAL_WRITE, .object = object, .body = head, .len = sizeof(head)};
        lsn = append(j, &rec, (const uint8_t *)bytes + done, n);
        cachefs__journal_live_note(j, object, lsn);
    }
    junlock(j);
    return lsn;
}

uint64_t cachefs__journal_base(cachefs__journal_t *j, uint64_t object, const cachefs__jbase_t *b,
                               uint32_t flags, uint64_t *lsn)
{
    uint8_t head[JOURNAL_BASE_BYTES];
    jlock(j);
    if (!object) object = j->next_object++;
    cachefs__jrecord_t rec = {.type = JOURNAL_BASE,
                              .flags = flags,
                              .object = object,
                              .body = head,
                              .len = cachefs__jbase_put(head, b)};
    *lsn = append(j, &rec, b->path, b->path_len);
    cachefs__journal_live_note(j, object, *lsn);
    junlock(j);
    return object;
}

uint64_t cachefs__journal_done(cachefs__journal_t *j, cachefs__jtype_e type, uint64_t object,
                               uint64_t upto)
{
    uint8_t body[8];
    VFS_ASSERT(type == JOURNAL_RETIRE || type == JOURNAL_DISCARD);
    cachefs__put64(body, upto);
    jlock(j);
    cachefs__jrecord_t rec = {.type = type, .object = object, .body = body, .len = sizeof(body)};
    uint64_t lsn = append(j, &rec, NULL, 0);
    cachefs__journal_live_done(j, object, upto);
    junlock(j);
    return lsn;
}

uint64_t cachefs__journal_moved(cachefs__journal_t *j, uint64_t object, uint64_t upto,
                                uint64_t first)
{
    uint8_t body[8];
    VFS_ASSERT(upto < first);
    cachefs__put64(body, upto);
    jlock(j);
    cachefs__jrecord_t rec = {
        .type = JOURNAL_RETIRE, .object = object, .body = body, .len = sizeof(body)};
    uint64_t lsn = append(j, &rec, NULL, 0);
    cachefs__journal_live_moved(j, object, first);
    junlock(j);
    return lsn;
}

apr_status_t cachefs__journal_note(cachefs__journal_t *j, const vfs_ctx_t *ctx,
                                   cachefs__jtype_e type, uint64_t object, uint64_t upto)
{
    uint8_t body[8];
    uint64_t lsn;
    size_t size = cachefs__jsize(sizeof(body));
    apr_status_t st = cachefs__journal_reserve(j, ctx, size, JOURNAL_CONTROL);
    if (st) return st;
    if (type == JOURNAL_RETIRE || type == JOURNAL_DISCARD) {
        lsn = cachefs__journal_done(j, type, object, upto);
    } else {
        cachefs__put64(body, upto);
        lsn = cachefs__journal_append(
            j, &(cachefs__jrecord_t){
                   .type = type, .object = object, .body = body, .len = sizeof(body)});
    }
    return cachefs__journal_sync(j, ctx, lsn);
}

apr_status_t cachefs__journal_rename(cachefs__journal_t *j, const vfs_ctx_t *ctx, const char *from,
                                     const char *to, uint32_t flags, uint64_t *object)
{
    uint8_t body[4 + VFS_PATH_MAX];
    uint32_t from_len = (uint32_t)strlen(from), to_len = (uint32_t)strlen(to);
    VFS_ASSERT(from_len <= VFS_PATH_MAX && to_len <= VFS_PATH_MAX);
    apr_status_t st =
        cachefs__journal_reserve(j, ctx, cachefs__jsize(4 + from_len + to_len), JOURNAL_CONTROL);
    if (st) return st;
    cachefs__put32(body, from_len);
    /* a length goes before it */
    memcpy(body + 4, from, from_len); /* NOLINT(bugprone-not-null-terminated-result) */
    jlock(j);
    *object = j->next_object++;
    cachefs__jrecord_t rec = {.type = JOURNAL_RENAME,
                              .flags = flags,
                              .object = *object,
                              .body = body,
                              .len = 4 + from_len};
    uint64_t lsn = append(j, &rec, to, to_len);
    cachefs__journal_live_note(j, *object, lsn);
    junlock(j);
    return cachefs__journal_sync(j, ctx, lsn);
}

/* ---- idle, figures, the end */

void cachefs__journal_mark(cachefs__journal_t *j)
{
    jlock(j);
    int idle = !j->leading && !j->error && j->file && !j->bad && j->marked != j->durable;
    uint64_t durable = j->durable;
    if (idle) j->leading = 1;
    junlock(j);
    if (!idle) return;
    cachefs__journal_put_mark(j, durable);
    jlock(j);
    j->leading = 0;
    pthread_cond_broadcast(&j->cond);
    junlock(j);
}

void cachefs__journal_stats(cachefs__journal_t *j, cachefs__jstats_t *out)
{
    jlock(j);
    *out = j->stats;
    out->bytes = used(j);
    out->bytes_max = limit(j, JOURNAL_ORDINARY);
    out->files = j->nfiles;
    out->objects = j->live_used;
    out->durable = j->durable;
    out->next = j->next;
    out->oldest_lsn = cachefs__journal_live_first(j, &out->oldest);
    out->error = j->error;
    junlock(j);
}

const cachefs__jfound_t *cachefs__journal_found(const cachefs__journal_t *j)
{
    return &j->found;
}

static apr_status_t make(cachefs__journal_t *j, const cachefs__joptions_t *o)
{
    pthread_mutex_init(&j->lock, NULL);
    pthread_cond_init(&j->cond, NULL);
    j->fs = o->fs;
    j->log = o->log;
    j->baton = o->baton;
    j->bytes_max = o->bytes_max;
    j->file_bytes = o->file_bytes;
    if (!j->file_bytes) j->file_bytes = j->bytes_max / 8 < 64u << 20 ? j->bytes_max / 8 : 64u << 20;
    j->buffer_bytes = o->buffer_bytes ? o->buffer_bytes : 4u << 20;
    if (!o->buffer_bytes && j->buffer_bytes > j->bytes_max / 8)
        j->buffer_bytes = (size_t)(j->bytes_max / 8);
    if (j->buffer_bytes < 2 * cachefs__jsize(JOURNAL_BODY_MAX))
        j->buffer_bytes = 2 * cachefs__jsize(JOURNAL_BODY_MAX);
    memcpy(j->origin, o->origin, JOURNAL_ID_BYTES);
    j->next = j->next_object = j->live_from = 1;
    j->fill = &j->buffers[0];
    j->dir = strdup(o->dir);
    return j->dir ? APR_SUCCESS : APR_ENOMEM;
}

static void unmake(cachefs__journal_t *j)
{
    free(j->buffers[0].bytes);
    free(j->buffers[1].bytes);
    free(j->live);
    free(j->files);
    free(j->holes);
    free(j->zeros);
    free(j->dir);
    pthread_cond_destroy(&j->cond);
    pthread_mutex_destroy(&j->lock);
    free(j);
}

apr_status_t cachefs__journal_open(cachefs__journal_t **out, const cachefs__joptions_t *options,
                                   char *err, size_t errlen)
{
    *out = NULL;
    if (err && errlen) err[0] = '\0';
    VFS_CHECK_ARG(options->fs && options->dir && options->origin &&
                  options->bytes_max >= 64u << 10);
    VFS_CHECK_ARG(strlen(options->dir) + 16 <= VFS_PATH_MAX);
    cachefs__journal_t *j = calloc(1, sizeof(*j));
    if (!j) return APR_ENOMEM;
    apr_status_t st = make(j, options);
    if (!st) st = cachefs__journal_survey(j, err, errlen);
    if (st)
        unmake(j);
    else
        *out = j;
    return st;
}

apr_status_t cachefs__journal_close(cachefs__journal_t *j)
{
    apr_status_t st = APR_SUCCESS;
    if (j->file && !j->ended) {
        if (j->next > 1) st = cachefs__journal_sync(j, NULL, j->next - 1);
        cachefs__journal_mark(j);
        apr_status_t closed = cachefs__journal_file_close(j);
        if (!st) st = closed;
    }
    unmake(j);
    return st;
}
