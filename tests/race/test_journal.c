/*
 * test_journal.c - threads that append, sync, retire, trim and mark one journal; what they were
 * told is durable is there after a power loss.
 * labels: crash
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/backends.h"
#include "cachefs/store/journal.h"
#include "vfs/shims/shims.h"

#define THREADS 4
#define ROUNDS 150

#define MUST(cond)                                                                                 \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #cond);              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static cachefs__journal_t *journal;
static _Atomic int running = THREADS;
static uint64_t acked[THREADS]; /* the last LSN of a thread that is durable and not retired */

static uint64_t object_new(unsigned t)
{
    cachefs__jbase_t b = {.dev = 1, .ino = t + 1, .path = "/file", .path_len = 5};
    uint64_t lsn;
    MUST(!cachefs__journal_reserve(journal, NULL, cachefs__jsize(JOURNAL_BASE_BYTES + 5), 0));
    return cachefs__journal_base(journal, 0, &b, 0, &lsn);
}

static uint64_t write_some(uint64_t object, uint32_t len)
{
    static const uint8_t bytes[4096] = {1, 2, 3};
    size_t room = cachefs__journal_write_bytes(len);
    MUST(!cachefs__journal_reserve(journal, NULL, room, 0));
    uint64_t lsn = cachefs__journal_write(journal, object, len, 0, bytes, len);
    cachefs__journal_unreserve(journal, room - cachefs__jsize(JOURNAL_WRITE_BYTES + len));
    return lsn;
}

static void *writer(void *arg)
{
    unsigned t = (unsigned)(uintptr_t)arg;
    uint64_t object = 0, lsn = 0;
    for (unsigned i = 0; i < ROUNDS; i++) {
        if (!object) object = object_new(t);
        lsn = write_some(object, 1 + (i * 37 + t * 11) % 4096);
        if (i % 3 == 0) {
            MUST(!cachefs__journal_sync(journal, NULL, lsn));
            acked[t] = lsn;
        }
        if (i % 7 == 6 && i + 7 < ROUNDS) {
            MUST(!cachefs__journal_note(journal, NULL, JOURNAL_RETIRE, object, lsn));
            acked[t] = object = 0;
        }
    }
    MUST(!cachefs__journal_sync(journal, NULL, lsn));
    acked[t] = lsn;
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static void *keeper(void *arg)
{
    cachefs__jstats_t stats;
    while (atomic_load(&running)) {
        MUST(!cachefs__journal_trim(journal));
        cachefs__journal_mark(journal);
        cachefs__journal_stats(journal, &stats);
        MUST(stats.durable < stats.next && stats.bytes <= stats.bytes_max * 8 / 7 + 8);
    }
    return arg;
}

static apr_status_t seen(void *baton, const cachefs__jrecord_t *rec)
{
    uint64_t *left = baton;
    for (unsigned t = 0; t < THREADS; t++)
        if (rec->lsn == acked[t]) --*left;
    return APR_SUCCESS;
}

int main(void)
{
    static const uint8_t origin[JOURNAL_ID_BYTES] = {1};
    apr_pool_t *pool;
    vfs_t *mem, *crash;
    pthread_t threads[THREADS + 1];
    uint64_t left = THREADS;
    MUST(!apr_initialize() && !apr_pool_create(&pool, NULL));
    MUST(!vfs_mem_create(&mem, 0, pool) && !vfs_crash_create(&crash, mem, pool));
    cachefs__joptions_t o = {
        .fs = crash, .dir = "/", .origin = origin, .bytes_max = 4u << 20, .file_bytes = 65536};
    MUST(!cachefs__journal_open(&journal, &o, NULL, 0) && !cachefs__journal_start(journal));
    MUST(!cachefs__journal_recovered(journal));
    for (uintptr_t t = 0; t <= THREADS; t++)
        MUST(!pthread_create(&threads[t], NULL, t < THREADS ? writer : keeper, (void *)t));
    for (unsigned t = 0; t <= THREADS; t++)
        MUST(!pthread_join(threads[t], NULL));
    MUST(!vfs_crash_now(crash, VFS_CRASH_DROP_UNSYNCED, 1, 0));
    (void)cachefs__journal_close(journal); /* its disk has gone */
    vfs_crash_restart(crash);
    MUST(!cachefs__journal_open(&journal, &o, NULL, 0));
    MUST(cachefs__journal_found(journal)->lost == 0);
    MUST(!cachefs__journal_visit(journal, seen, &left));
    MUST(left == 0);
    MUST(!cachefs__journal_close(journal));
    MUST(!vfs_destroy_stack(crash));
    apr_pool_destroy(pool);
    return 0;
}
