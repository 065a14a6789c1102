/*
 * test_flush.c - one flush of one object: what it covers, what it leaves, in which order.
 */
#include <stdatomic.h>

#include "tests/engine/support_rig.h"

#define LAZY                                                                                       \
    "attr_ttl=1h negative_ttl=1h listing_ttl=1h mode=back flush_interval=1h dirty_age=1h "         \
    "flush_on_close=off "

typedef struct syncer_t {
    vfs_file_t *file;
    rig_t *rig;
    apr_status_t st;
    atomic_int done;
    uint64_t calls; /* below that were let go on: such a one counts as blocked until it wakes */
} syncer_t;

static void *sync_it(void *arg)
{
    syncer_t *s = arg;

    s->st = vfs_sync(s->file, NULL, VFS_SYNC_ALL);
    atomic_store(&s->done, 1);
    return NULL;
}

static int is_done_or_blocked(void *baton)
{
    syncer_t *s = baton;

    return atomic_load(&s->done) || vfs_fault_injected(s->rig->fault, NULL) > s->calls;
}

Test(flush, sync_covers_what_was_dirty_while_others_write_on)
{
    enum { BLOCK = 16384, BLOCKS = 256, HOT = 128 };
    rig_t rig;
    char *data = rig_bytes(BLOCKS * BLOCK, 1), *below = NULL;
    pthread_t thread;
    size_t len;

    rig_open(&rig, LAZY "ram=64m block_size=16k");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_write(w, 0, data, BLOCKS * BLOCK);
    rig_block(&rig, VFS_OPID_write_at, 0);
    syncer_t s = {.file = w, .rig = &rig};
    EQ(pthread_create(&thread, NULL, sync_it, &s), 0);
    for (;; s.calls++) { /* at each of its writes, the oldest blocks are written again */
        CHECK(rig_until(is_done_or_blocked, &s));
        if (atomic_load(&s.done)) break;
        for (int i = 0; i < HOT; i++)
            rig_write(w, (apr_off_t)i * BLOCK, "x", 1);
        vfs_fault_release(rig.fault);
        CHECK(s.calls < BLOCKS); /* and it ends */
    }
    pthread_join(thread, NULL);
    OK(s.st);
    OK(vfs_read_file(&below, &len, rig.bottom, NULL, "/f", 0, rig.pool));
    EQ(len, BLOCKS * BLOCK);
    for (int i = 0; i < BLOCKS; i++) /* but for the byte that is written again */
        CHECK(memcmp(below + i * BLOCK + 1, data + i * BLOCK + 1, BLOCK - 1) == 0);
    vfs_fault_clear(rig.fault);
    OK(vfs_close(w, NULL));
    free(data);
    rig_close(&rig);
}

/* What is neither told by the lower layer yet nor dirty any more takes its room all the same. */
Test(flush, what_went_below_stays_allocated)
{
    enum { BYTES = 4 << 20 };
    rig_t rig;
    char *data = rig_bytes(BYTES, 1);
    pthread_t thread;
    vfs_attr_t attr;

    rig_open(&rig, LAZY "ram=64m block_size=16k");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_write(w, 0, data, BYTES);
    rig_block(&rig, VFS_OPID_write_at, 0);
    syncer_t s = {.file = w, .rig = &rig};
    EQ(pthread_create(&thread, NULL, sync_it, &s), 0);
    for (;; s.calls++) {
        CHECK(rig_until(is_done_or_blocked, &s));
        OK(vfs_fstat(w, NULL, &attr));
        CHECK(attr.allocated >= BYTES);
        if (atomic_load(&s.done)) break;
        vfs_fault_release(rig.fault);
    }
    pthread_join(thread, NULL);
    OK(s.st);
    CHECK(s.calls > 1);
    vfs_fault_clear(rig.fault);
    OK(vfs_ftruncate(w, NULL, 1000)); /* and goes with what was cut off */
    rig_write(w, 0, data, 1000);
    OK(cachefs_flush(rig.fs, NULL, NULL, 0));
    OK(vfs_fstat(w, NULL, &attr));
    CHECK(attr.allocated < BYTES);
    OK(vfs_close(w, NULL));
    free(data);
    rig_close(&rig);
}

Test(flush, a_time_that_was_set_stays_after_a_cut)
{
    rig_t rig;
    vfs_attr_t attr;

    rig_open(&rig, LAZY);
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_write(w, 0, "text", 4);
    OK(vfs_ftruncate(w, NULL, 0)); /* nothing is dirty any more */
    OK(vfs_utimens(rig.fs, NULL, "/f", VFS_TIME_OMIT, 1000000000, 0));
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    EQ(attr.mtime_ns, 1000000000);
    rig_write(w, 0, "text", 4);
    OK(vfs_futimens(w, NULL, VFS_TIME_OMIT, 2000000000));
    OK(vfs_close(w, NULL));
    OK(cachefs_flush(rig.fs, NULL, NULL, 0));
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    EQ(attr.mtime_ns, 2000000000);
    rig_close(&rig);
}

Test(flush, a_cut_by_another_name_is_no_conflict)
{
    rig_t rig;
    vfs_file_t *t;

    rig_open(&rig, LAZY);
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    OK(vfs_link(rig.fs, NULL, "/f", "/g"));
    rig_write(w, 0, "precious", 8);
    OK(vfs_open(&t, rig.fs, NULL, "/g", VFS_O_WRITE | VFS_O_TRUNC, 0, NULL, NULL));
    rig_write(w, 0, "new", 3);
    OK(vfs_close(t, NULL));
    OK(vfs_close(w, NULL));
    OK(vfs_unlink(rig.fs, NULL, "/f")); /* dirty, by a name that the cache did not see yet */
    OK(cachefs_flush(rig.fs, NULL, NULL, 0));
    EQ(rig_stats(&rig).dirty_bytes, 0);
    EQ(rig_stats(&rig).conflicts, 0);
    rig_holds_text(rig.bottom, "/g", "new");
    rig_close(&rig);
}

/* Where a call costs a round trip, a large file goes below in few. */
Test(flush, far_below_a_call_takes_many_bytes)
{
    enum { BYTES = 8 << 20 };
    char *data = rig_bytes(BYTES, 1), *got = NULL, err[256] = "";
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    vfs_delay_t far = {.rtt_us = 100};
    vfs_t *mem, *count, *delay, *fs;
    vfs_file_t *f;
    vfs_counts_t counts;
    apr_pool_t *pool;
    size_t done;

    OK(apr_initialize());
    OK(apr_pool_create(&pool, NULL));
    OK(vfs_mem_create(&mem, 0, pool));
    OK(vfs_count_create(&count, mem, pool));
    OK(vfs_delay_create(&delay, count, &far, pool));
    config.ram_bytes = 256u << 20;
    config.mode = CACHEFS_BACK;
    config.flush_on_close = 0;
    OK(cachefs_create(&fs, delay, &config, err, sizeof(err), pool));
    OK(vfs_open(&f, fs, NULL, "/f", RIG_C, 0644, NULL, NULL));
    OK(vfs_write_at(f, NULL, data, BYTES - 5, 0, &done, NULL));
    OK(vfs_write_at(f, NULL, data, 100, BYTES + 300000, &done, NULL)); /* behind a hole */
    vfs_count_reset(count);
    OK(vfs_sync(f, NULL, VFS_SYNC_ALL));
    vfs_count_get(count, &counts);
    CHECK(counts.calls[VFS_OPID_write_at] + counts.calls[VFS_OPID_writev_at] <= 6);
    CHECK(counts.bytes_written < BYTES + 65536); /* the hole but for what shares a unit with data */
    OK(vfs_close(f, NULL));
    OK(vfs_read_file(&got, &done, mem, NULL, "/f", 0, pool));
    EQ(done, BYTES + 300100);
    CHECK(memcmp(got, data, BYTES - 5) == 0);
    for (size_t i = BYTES - 5; i < BYTES + 300000; i++)
        EQ(got[i], 0);
    CHECK(memcmp(got + BYTES + 300000, data, 100) == 0);
    OK(vfs_destroy_stack(fs));
    apr_pool_destroy(pool);
    free(data);
}

typedef struct turns_t {
    rig_t *rig;
    obj_t *o;
    atomic_int turns;
} turns_t;

enum { TURNS = 200000 };

static void *take_turns(void *arg)
{
    turns_t *t = arg;

    while (atomic_fetch_add(&t->turns, 1) < TURNS) {
        cachefs__obj_lock(t->rig->c, t->o);
        EQ(cachefs__dirty_done(t->rig->c, t->o), 0);
        cachefs__obj_unlock(t->rig->c, t->o);
    }
    return NULL;
}

/* Who flushes all takes what is queued; who removes a name asks without a lock whether anything is.
 */
Test(flush, a_file_that_waits_for_its_next_turn_is_dirty_all_the_while)
{
    rig_t rig;
    pthread_t thread;
    unsigned clean = 0, missed = 0;
    obj_t **objs = NULL;
    size_t n = 0;

    rig_open(&rig, LAZY);
    rig_save(&rig, "/f", "dirty", 5);
    turns_t t = {.rig = &rig, .o = rig_obj(&rig, "/f")};
    EQ(rig_stats(&rig).dirty_files, 1);
    EQ(pthread_create(&thread, NULL, take_turns, &t), 0);
    while (atomic_load(&t.turns) < TURNS) {
        clean += atomic_load(&rig.c->wb_files) == 0;
        OK(cachefs__dirty_all(rig.c, &objs, &n));
        missed += n != 1;
        if (n) cachefs__obj_put(rig.c, objs[0]);
        free(objs);
    }
    pthread_join(thread, NULL);
    EQ(clean, 0);
    EQ(missed, 0);
    cachefs__obj_put(rig.c, t.o);
    rig_close(&rig);
}

/* ---- which file, and when again */

static int is_dirty(rig_t *rig, const char *path)
{
    return rig_entry(rig, path).dirty != 0;
}

Test(flush, the_file_that_is_dirty_longest_goes_first)
{
    static const char *const names[] = {"/c", "/a", "/b"};
    rig_t rig;

    rig_open(&rig, LAZY);
    for (int i = 0; i < 3; i++)
        rig_save(&rig, names[i], "first", 5);
    vfs_file_t *w = rig_file(rig.fs, "/c", RIG_W);
    rig_write(w, 0, "again", 5); /* that makes it no younger */
    OK(vfs_close(w, NULL));
    for (int i = 0; i < 3; i++) {
        OK(cachefs__flush_some(rig.c, NULL)); /* as a writer does who finds no room */
        for (int k = 0; k < 3; k++)
            cr_assert_eq(is_dirty(&rig, names[k]), k > i, "%s after %d", names[k], i + 1);
    }
    IS(APR_NOTFOUND, cachefs__flush_some(rig.c, NULL));
    rig_close(&rig);
}

Test(flush, after_failures_the_waits_double_up_to_their_limit)
{
    enum { FIRST = 3600, MOST = 4 * FIRST }; /* seconds */
    static const int64_t waits[] = {FIRST, 2 * FIRST, MOST, MOST, MOST};
    const int64_t s = 1000000;
    rig_t rig;

    rig_open(&rig, LAZY "retry_min=1h retry_max=4h");
    rig_save(&rig, "/f", "precious", 8);
    obj_t *o = rig_obj(&rig, "/f");
    rig_fail(&rig, VFS_OPID_write_at, APR_FROM_OS_ERROR(EIO), 0, 5);
    for (int i = 0; i < 5; i++) { /* asked for, it is tried at once */
        int64_t before = cachefs__clock_us();
        IS(APR_FROM_OS_ERROR(EIO), cachefs_flush(rig.fs, NULL, "/f", 0));
        int64_t after = cachefs__clock_us();
        CHECK(o->retry_at_us >= before + waits[i] * s * 3 / 4); /* less a random part */
        CHECK(o->retry_at_us <= after + waits[i] * s);
    }
    OK(cachefs_flush(rig.fs, NULL, "/f", 0));
    EQ(o->retry_at_us, 0); /* the next error is a first one */
    rig_holds_text(rig.bottom, "/f", "precious");
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

Test(flush, writers_are_slowed_from_four_fifths_of_the_limit_on)
{
    enum { PIECE = 65536 };
    rig_t rig;
    char *data = rig_bytes(PIECE, 1);

    rig_open(&rig, LAZY "ram=16m dirty_max=1280k block_size=64k"); /* of 20 pieces */
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    for (apr_off_t i = 0; i < 18; i++) {
        EQ(rig_stats(&rig).dirty_bytes, i * PIECE);
        EQ(cachefs__counter(&rig.c->counters, CNT_THROTTLED), 0);
        int64_t start = cachefs__clock_us();
        rig_write(w, i * PIECE, data, PIECE);
        if (i > 16) CHECK(cachefs__clock_us() - start >= 2500); /* a quarter of what is left */
    }
    EQ(cachefs__counter(&rig.c->counters, CNT_THROTTLED), 1);
    OK(vfs_close(w, NULL));
    free(data);
    rig_close(&rig);
}

/* ---- a batch of flushes */

#define FLUSHED 12

static const char *const flushed[FLUSHED] = {"/0", "/1", "/2", "/3", "/4",  "/5",
                                             "/6", "/7", "/8", "/9", "/10", "/11"};

static void *flush_many(void *baton)
{
    rig_t *rig = baton;

    OK(cachefs_flush_batch(rig->fs, NULL, flushed, FLUSHED, NULL));
    return NULL;
}

static void *flush_all(void *baton)
{
    rig_t *rig = baton;

    OK(cachefs_flush(rig->fs, NULL, NULL, 0));
    return NULL;
}

static void waits_for_many(void *(*flush)(void *baton))
{
    rig_t rig;
    pthread_t thread;

    rig_open(&rig, LAZY);
    for (int i = 0; i < FLUSHED; i++)
        rig_save(&rig, flushed[i], flushed[i], strlen(flushed[i]));
    rig_block(&rig, VFS_OPID_write_at, 0);
    EQ(pthread_create(&thread, NULL, flush, &rig), 0);
    rig_wait_blocked(&rig, 1);
    rig_nap(2); /* so the first takes its time */
    vfs_fault_release(rig.fault);
    rig_wait_blocked(&rig, 2);
    vfs_fault_clear(rig.fault);
    pthread_join(thread, NULL);
    EQ(rig_stats(&rig).dirty_files, 0);
    for (int i = 0; i < FLUSHED; i++)
        rig_holds_text(rig.bottom, flushed[i], flushed[i]);
    rig_close(&rig);
}

Test(flush, a_batch_of_flushes_waits_for_many_at_once)
{
    waits_for_many(flush_many);
}

Test(flush, a_flush_of_all_waits_for_many_at_once)
{
    waits_for_many(flush_all);
}
