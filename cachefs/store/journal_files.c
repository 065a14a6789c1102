/*
 * journal_files.c - the files of a journal: writing a group, going on in a new file, deleting old
 * ones. Floor 2, private to cachefs/store/.
 *
 * A sync of an appended file has to commit its new size as well, which costs a file system a second
 * write. So small groups go into bytes that are there already: zeros that were written ahead, a
 * quarter of a megabyte at a time. Large groups are written as they are.
 */
#include <apr_general.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/store/bytes.h"
#include "cachefs/store/journal_private.h"
#include "vfs/digest.h"

#define AHEAD_BYTES (256u << 10) /* zeros written at once */
#define AHEAD_GROUP (64u << 10)  /* a larger group needs none */

const char *cachefs__journal_path(const cachefs__journal_t *j, uint64_t number, char *buf)
{
    (void)snprintf(buf, JPATH_MAX, "%s/j-%08llx", j->dir, (unsigned long long)number);
    return buf;
}

static void jlock(cachefs__journal_t *j)
{
    cachefs__lock(&j->lock, RANK_LEAF);
}

static void junlock(cachefs__journal_t *j)
{
    cachefs__unlock(&j->lock, RANK_LEAF);
}

/* ---- the file that is written to */

int cachefs__journal_file_add(cachefs__journal_t *j, const cachefs__jfile_t *f)
{
    if (j->nfiles == j->files_room) {
        size_t room = j->files_room ? j->files_room * 2 : 16;
        cachefs__jfile_t *files = realloc(j->files, room * sizeof(*files));
        if (!files) return 0;
        j->files = files;
        j->files_room = room;
    }
    j->files[j->nfiles++] = *f;
    j->disk += f->size;
    return 1;
}

/* The file has so many bytes now. */
static void grown(cachefs__journal_t *j, uint64_t size)
{
    if (size <= j->zeroed) return;
    j->zeroed = size;
    jlock(j);
    j->disk += size - j->files[j->nfiles - 1].size;
    j->files[j->nfiles - 1].size = size;
    junlock(j);
}

static apr_status_t put(cachefs__journal_t *j, const void *bytes, size_t len, uint64_t at)
{
    size_t written = 0;
    CACHE_NO_LOCKS_HELD();
    apr_status_t st = vfs_write_at(j->file, NULL, bytes, len, (apr_off_t)at, &written, NULL);
    grown(j, at + written);
    jlock(j);
    j->stats.written_bytes += written;
    junlock(j);
    return st;
}

apr_status_t cachefs__journal_file_close(cachefs__journal_t *j)
{
    vfs_file_t *file = j->file;
    j->file = NULL;
    return file ? vfs_close(file, NULL) : APR_SUCCESS;
}

/* Make the next number's file; a name that an attempt of before left behind is passed over. */
static apr_status_t create(cachefs__journal_t *j)
{
    char path[JPATH_MAX];
    apr_status_t st = APR_SUCCESS;
    for (int tries = 0; tries < 4; tries++) {
        j->number++;
        CACHE_NO_LOCKS_HELD();
        st = vfs_open(&j->file, j->fs, NULL, cachefs__journal_path(j, j->number, path),
                      VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE | VFS_O_EXCL, 0600, NULL, NULL);
        if (!APR_STATUS_IS_EEXIST(st)) break;
    }
    if (st) j->file = NULL;
    return st;
}

apr_status_t cachefs__journal_file_new(cachefs__journal_t *j, uint64_t first, uint64_t live_from)
{
    uint8_t page[JOURNAL_HEADER_BYTES];
    cachefs__jheader_t h = {.first = first, .live_from = live_from};
    (void)cachefs__journal_file_close(j); /* what it has was synced, or goes into the new one */
    apr_status_t st = create(j);
    if (st) return st;
    st = apr_generate_random_bytes((unsigned char *)&h.nonce, sizeof(h.nonce));
    if (st) return st;
    memcpy(h.origin, j->origin, JOURNAL_ID_BYTES);
    memcpy(h.session, j->session, JOURNAL_ID_BYTES);
    h.number = j->number;
    cachefs__jfile_t f = {.number = j->number,
                          .first = first,
                          .bound = UINT64_MAX,
                          .live_from = live_from,
                          .nonce = h.nonce};
    jlock(j);
    for (size_t i = 0; i < j->nfiles; i++)
        if (j->files[i].bound > first) j->files[i].bound = first;
    int added = cachefs__journal_file_add(j, &f);
    junlock(j);
    if (!added) return APR_ENOMEM;
    j->nonce = h.nonce;
    j->zeroed = 0;
    j->pos = JOURNAL_HEADER_BYTES;
    j->bad = 0;
    j->dir_new = 1;
    cachefs__jheader_put(page, &h);
    return put(j, page, sizeof(page), 0);
}

static apr_status_t sync_file(cachefs__journal_t *j)
{
    CACHE_NO_LOCKS_HELD();
    apr_status_t st = vfs_sync(j->file, NULL, VFS_SYNC_DATA);
    if (!st && j->dir_new) { /* its name first, or all that is in it counts for nothing */
        st = vfs_sync_dir(j->fs, NULL, j->dir);
        if (APR_STATUS_IS_ENOTIMPL(st)) st = APR_SUCCESS;
        if (!st) j->dir_new = 0;
    }
    jlock(j);
    j->stats.syncs++;
    junlock(j);
    return st;
}

/* ---- a group */

static void write_ahead(cachefs__journal_t *j, size_t len)
{
    uint64_t end = j->pos + len;
    if (len > AHEAD_GROUP || end <= j->zeroed || end + AHEAD_BYTES > j->file_bytes) return;
    if (!j->zeros) j->zeros = calloc(1, AHEAD_BYTES);
    if (!j->zeros) return;
    jlock(j);
    int room = j->disk + AHEAD_BYTES <= j->bytes_max / 2;
    junlock(j);
    if (room) (void)put(j, j->zeros, AHEAD_BYTES, end); /* without them it is slower, no more */
}

/* How many bytes of records fit into this file, one at least if it is empty. They get their
 * checksums. */
static size_t seal(cachefs__journal_t *j, uint8_t *at, size_t len, uint64_t durable,
                   uint64_t *records)
{
    size_t n = 0;
    *records = 0;
    while (n < len) {
        size_t size = cachefs__jsize(cachefs__get32(at + n));
        if (j->pos + n + size > j->file_bytes && j->pos + n > JOURNAL_HEADER_BYTES) break;
        n += cachefs__jseal(at + n, durable, j->nonce);
        ++*records;
    }
    return n;
}

static uint64_t live_from(cachefs__journal_t *j)
{
    jlock(j);
    uint64_t from = j->live_from;
    junlock(j);
    return from;
}

static apr_status_t write_group(cachefs__journal_t *j, uint8_t *at, size_t len, uint64_t first,
                                uint64_t durable)
{
    apr_status_t st = APR_SUCCESS;
    for (size_t done = 0; done < len && !st;) {
        uint64_t records;
        size_t n = seal(j, at + done, len - done, durable, &records);
        if (n) {
            write_ahead(j, n);
            st = put(j, at + done, n, j->pos);
            j->pos += n;
        }
        done += n;
        first += records;
        if (st || done == len) break;
        st = sync_file(j); /* a file is durable before the next one begins */
        durable = first - 1;
        if (!st) st = cachefs__journal_file_new(j, first, live_from(j));
    }
    return st ? st : sync_file(j);
}

apr_status_t cachefs__journal_commit(cachefs__journal_t *j, uint8_t *at, size_t len, uint64_t first,
                                     uint64_t durable)
{
    apr_status_t st = APR_SUCCESS;
    for (int tries = 0; tries < 2; tries++) {
        st = APR_SUCCESS;
        if (!j->file || j->bad) st = cachefs__journal_file_new(j, first, live_from(j));
        if (!st) st = write_group(j, at, len, first, durable);
        if (!st) return st;
        j->bad = 1;
        jlock(j);
        j->stats.rescues++;
        junlock(j);
        cachefs__journal_log(j, 1, "journal: status %d while file %llx was written%s", st,
                             (unsigned long long)j->number, tries ? "" : "; going on in a new one");
    }
    return st;
}

void cachefs__journal_put_mark(cachefs__journal_t *j, uint64_t durable)
{
    uint8_t mark[JOURNAL_RECORD_BYTES];
    /* it has the LSN of the last record, and lies where the next one will be written */
    (void)cachefs__jput(mark, &(cachefs__jrecord_t){.type = JOURNAL_MARK, .lsn = durable}, NULL, 0);
    (void)cachefs__jseal(mark, durable, j->nonce);
    if (put(j, mark, sizeof(mark), j->pos)) j->bad = 1;
    j->marked = durable;
}

/* ---- sessions */

apr_status_t cachefs__journal_start(cachefs__journal_t *j)
{
    for (int i = 0; i < 2; i++) {
        j->buffers[i].bytes = malloc(j->buffer_bytes);
        if (!j->buffers[i].bytes) return APR_ENOMEM;
    }
    apr_status_t st = apr_generate_random_bytes(j->session, sizeof(j->session));
    j->start_number = j->number + 1; /* create takes the first that is free from there on */
    if (!st) st = cachefs__journal_file_new(j, j->next, j->live_from);
    return st ? st : sync_file(j);
}

static void forget_file(cachefs__journal_t *j, uint64_t number)
{
    jlock(j);
    for (size_t i = 0; i < j->nfiles; i++)
        if (j->files[i].number == number) {
            j->disk -= j->files[i].size;
            memmove(&j->files[i], &j->files[i + 1], (j->nfiles - i - 1) * sizeof(*j->files));
            j->nfiles--;
            break;
        }
    pthread_cond_broadcast(&j->cond);
    junlock(j);
}

/* The oldest file if nobody needs it; its number, or 0. Lock held. */
static uint64_t deletable(const cachefs__journal_t *j)
{
    return j->nfiles > 1 && j->files[0].bound <= j->live_from ? j->files[0].number : 0;
}

/* The first LSN that counts moves on, durably, if that sets a file free. */
static apr_status_t checkpoint(cachefs__journal_t *j)
{
    uint64_t object;
    jlock(j);
    uint64_t from = j->found_end ? j->live_from : cachefs__journal_live_first(j, &object);
    int frees = j->nfiles > 1 && j->files[0].bound <= from && from > j->live_from;
    junlock(j);
    if (!frees) return APR_SUCCESS;
    apr_status_t st = cachefs__journal_note(j, NULL, JOURNAL_CHECKPOINT, 0, from);
    if (st) return st;
    jlock(j);
    j->live_from = from;
    junlock(j);
    return APR_SUCCESS;
}

/* A file with damage that cannot be read is kept aside: somebody may make more of it. */
static apr_status_t put_aside(cachefs__journal_t *j, uint64_t number)
{
    char from[JPATH_MAX], to[JPATH_MAX];
    (void)snprintf(to, sizeof(to), "%s/damaged-%08llx", j->dir, (unsigned long long)number);
    return vfs_rename(j->fs, NULL, cachefs__journal_path(j, number, from), to, 0);
}

/* The caller has set `trimming`, which ends here. */
static apr_status_t trim(cachefs__journal_t *j)
{
    char path[JPATH_MAX];
    uint64_t number = 0;
    apr_status_t st = checkpoint(j);
    while (!st) {
        jlock(j);
        number = deletable(j);
        int damaged = number && number <= j->aside;
        junlock(j);
        if (!number) break;
        CACHE_NO_LOCKS_HELD();
        st = damaged ? put_aside(j, number)
                     : vfs_unlink(j->fs, NULL, cachefs__journal_path(j, number, path));
        if (!st || APR_STATUS_IS_ENOENT(st)) {
            st = APR_SUCCESS;
            forget_file(j, number);
        }
    }
    jlock(j);
    j->trimming = 0;
    pthread_cond_broadcast(&j->cond);
    junlock(j);
    return st;
}

apr_status_t cachefs__journal_trim(cachefs__journal_t *j)
{
    jlock(j);
    int busy = j->trimming || j->error;
    if (!busy) j->trimming = 1;
    junlock(j);
    return busy ? APR_SUCCESS : trim(j);
}

/* Nobody else trims: waits for who does. Lock held. */
static void wait_trimmed(cachefs__journal_t *j)
{
    cachefs__rank_drop(RANK_LEAF);
    while (j->trimming && !j->error)
        pthread_cond_wait(&j->cond, &j->lock);
    cachefs__rank_take(RANK_LEAF);
}

/* From here on nobody writes to it. */
static void end(cachefs__journal_t *j)
{
    jlock(j);
    if (!j->error) j->error = APR_EOF;
    cachefs__rank_drop(RANK_LEAF);
    while (j->leading || j->trimming)
        pthread_cond_wait(&j->cond, &j->lock);
    cachefs__rank_take(RANK_LEAF);
    j->trimming = 1; /* for good */
    junlock(j);
}

apr_status_t cachefs__journal_void(cachefs__journal_t *j)
{
    char path[JPATH_MAX];
    apr_status_t st = APR_SUCCESS;
    if (!j->ended) end(j);
    j->ended = 1;
    (void)cachefs__journal_file_close(j); /* what it has is below */
    while (!st) {
        jlock(j);
        uint64_t number = j->nfiles ? j->files[0].number : 0;
        junlock(j);
        if (!number) break;
        CACHE_NO_LOCKS_HELD();
        st = vfs_unlink(j->fs, NULL, cachefs__journal_path(j, number, path));
        if (APR_STATUS_IS_ENOENT(st)) st = APR_SUCCESS;
        if (!st) st = vfs_sync_dir(j->fs, NULL, j->dir);
        if (APR_STATUS_IS_ENOTIMPL(st)) st = APR_SUCCESS;
        if (!st) forget_file(j, number);
    }
    return st;
}

/* What was appended since it ended is of nobody. Returns the LSN that it begins with. */
static uint64_t empty(cachefs__journal_t *j)
{
    jlock(j);
    VFS_ASSERT(j->ended && !j->nfiles && !j->leading);
    j->buffers[0].used = j->buffers[1].used = 0;
    j->durable = j->marked = j->next - 1;
    j->live_from = j->next;
    j->found_end = j->aside = 0;
    cachefs__journal_live_none(j);
    uint64_t first = j->next;
    junlock(j);
    return first;
}

apr_status_t cachefs__journal_again(cachefs__journal_t *j)
{
    char path[JPATH_MAX];
    uint64_t first = empty(j);
    apr_status_t st = cachefs__journal_file_new(j, first, first);
    if (!j->zeros) j->zeros = calloc(1, AHEAD_BYTES);
    if (!st && !j->zeros) st = APR_ENOMEM;
    size_t probe = j->file_bytes / 4 < AHEAD_BYTES ? (size_t)(j->file_bytes / 4) : AHEAD_BYTES;
    if (!st) st = put(j, j->zeros, probe, j->pos); /* a disk that takes a page may be full */
    if (!st) st = sync_file(j);
    jlock(j);
    if (!st) j->error = APR_SUCCESS;
    if (!st) j->ended = j->trimming = 0;
    uint64_t number = j->nfiles ? j->files[0].number : 0;
    junlock(j);
    if (!st) return st;
    (void)cachefs__journal_file_close(j); /* it has nothing */
    if (!number) return st;
    (void)vfs_unlink(j->fs, NULL, cachefs__journal_path(j, number, path)); /* as before */
    forget_file(j, number);
    return st;
}

apr_status_t cachefs__journal_recovered(cachefs__journal_t *j)
{
    jlock(j);
    wait_trimmed(j); /* or this trim would be skipped, and what was found would count on */
    apr_status_t st = j->error;
    if (!st) j->found_end = 0;
    if (!st) j->trimming = 1;
    junlock(j);
    return st ? st : trim(j);
}
