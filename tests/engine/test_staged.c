/*
 * test_staged.c - a cache over a layer that stages what is written, and commits it as a whole.
 */
#include "tests/stacks/sut.h"
#include "tests/engine/support_rig.h"

typedef struct tall_t {
    apr_pool_t *pool;
    vfs_t *mem, *whole, *fault, *count, *objects, *fs;
} tall_t;

static void stack_open(tall_t *s, const char *keys)
{
    cachefs_config_t config;
    char err[200];
    OK(apr_initialize());
    apr_pool_create(&s->pool, NULL);
    OK(vfs_mem_create(&s->mem, 0, s->pool));
    OK(sut_whole_create(&s->whole, s->mem, s->pool));
    OK(vfs_fault_create(&s->fault, s->whole, 1, s->pool));
    OK(vfs_count_create(&s->count, s->fault, s->pool));
    OK(vfs_objects_create(&s->objects, s->count, NULL, s->pool));
    rig_config(&config, keys, s->pool);
    cr_assert_eq(cachefs_create(&s->fs, s->objects, &config, err, sizeof(err), s->pool),
                 APR_SUCCESS, "%s", err);
}

static void stack_close(tall_t *s)
{
    OK(vfs_destroy(s->fs));
    OK(vfs_destroy(s->objects));
    OK(vfs_destroy_stack(s->count));
    apr_pool_destroy(s->pool);
}

static uint64_t calls(tall_t *s, vfs_opid_e op)
{
    vfs_counts_t counts;
    vfs_count_get(s->count, &counts);
    return counts.calls[op];
}

static uint64_t requests(tall_t *s)
{
    vfs_counts_t counts;
    vfs_count_get(s->count, &counts);
    return vfs_counts_requests(&counts);
}

static cachefs_stats_t stats_of(tall_t *s)
{
    cachefs_stats_t stats;
    memset(&stats, 0, sizeof(stats));
    stats.size = sizeof(stats);
    cachefs_stats(s->fs, &stats);
    return stats;
}

static const char *const modes[] = {"mode=through", "mode=around", "mode=back flush_interval=1h"};

Test(staged, each_flush_is_one_commit_and_no_conflict_with_ourselves)
{
    for (int m = 0; m < 3; m++) {
        tall_t s;
        char text[] = "0123456789";
        stack_open(&s, modes[m]);
        OK(vfs_write_file(s.mem, NULL, "/f", text, 10, 0644));
        vfs_file_t *f = rig_file(s.fs, "/f", RIG_W);
        rig_read(f, 0, text, 10);
        for (int i = 0; i < 10; i++) {
            text[i] = (char)('a' + i);
            rig_write(f, i, text + i, 1);
            vfs_count_reset(s.count);
            if (i % 2)
                OK(vfs_flush(f, NULL));
            else
                OK(vfs_sync(f, NULL, VFS_SYNC_ALL));
            cr_expect_eq(calls(&s, VFS_OPID_commit), 1u, "%s, %d: %d", modes[m], i,
                         (int)calls(&s, VFS_OPID_commit));
            rig_holds(s.mem, "/f", text, 10);
            rig_read(f, 0, text, 10);
        }
        /* nothing is staged: nothing is asked or sent */
        vfs_count_reset(s.count);
        OK(vfs_flush(f, NULL));
        OK(vfs_close(f, NULL));
        cr_expect_eq(requests(&s), 0u);
        cr_expect_eq(stats_of(&s).conflicts, 0u);
        stack_close(&s);
    }
}

Test(staged, a_close_is_a_commit_whoever_else_has_the_file)
{
    for (int m = 0; m < 3; m++) {
        tall_t s;
        stack_open(&s, modes[m]);
        vfs_file_t *f = rig_file(s.fs, "/f", RIG_C);
        vfs_file_t *r = rig_file(s.fs, "/f", RIG_R);
        rig_write(f, 0, "bytes", 5);
        OK(vfs_close(f, NULL));
        rig_holds_text(s.mem, "/f", "bytes");
        rig_read(r, 0, "bytes", 5);
        OK(vfs_close(r, NULL));
        stack_close(&s);
    }
}

Test(staged, a_new_file_costs_one_question_and_one_commit)
{
    for (int m = 0; m < 3; m++) {
        tall_t s;
        vfs_attr_t attr;
        stack_open(&s, modes[m]);
        OK(vfs_stat(s.fs, NULL, "/", &attr));
        vfs_count_reset(s.count);
        vfs_file_t *f = rig_file(s.fs, "/f", RIG_C);
        rig_write(f, 0, "bytes", 5);
        OK(vfs_close(f, NULL));
        cr_expect_eq(calls(&s, VFS_OPID_commit), 1u);
        cr_expect_leq(requests(&s), 3u, "%s: %d requests", modes[m], (int)requests(&s));
        rig_holds_text(s.mem, "/f", "bytes");
        stack_close(&s);
    }
}

Test(staged, a_stream_that_makes_room_is_sent_once)
{
    enum { PIECE = 64 << 10, PIECES = 64 };
    tall_t s;
    char *data = rig_bytes(PIECE, 3);
    stack_open(&s, "mode=back flush_interval=1h ram=2m dirty_max=256k");
    vfs_file_t *f = rig_file(s.fs, "/f", RIG_C);
    for (int i = 0; i < PIECES; i++)
        rig_write(f, (apr_off_t)i * PIECE, data, PIECE);
    cr_expect_eq(calls(&s, VFS_OPID_commit), 0u);
    cr_expect_gt(stats_of(&s).backend_writes, 0u);
    OK(vfs_close(f, NULL));
    cr_expect_eq(calls(&s, VFS_OPID_commit), 1u);
    vfs_attr_t attr;
    OK(vfs_stat(s.mem, NULL, "/f", &attr));
    cr_expect_eq(attr.size, (uint64_t)PIECE * PIECES);
    cr_expect_eq(stats_of(&s).conflicts, 0u);
    free(data);
    stack_close(&s);
}

typedef struct side_t {
    pthread_t thread;
    vfs_file_t *file;
    apr_status_t status;
} side_t;

static void *flush_it(void *baton)
{
    side_t *side = baton;
    side->status = vfs_flush(side->file, NULL);
    return NULL;
}

Test(staged, others_who_come_between_question_and_commit_are_kept_and_told_of)
{
    for (int m = 0; m < 3; m++) {
        tall_t s;
        vfs_dir_t *dir;
        vfs_dirent_t entry;
        unsigned beside = 0;
        vfs_fault_t block = {.what = VFS_FAULT_BLOCK, .times = 1};
        stack_open(&s, modes[m]);
        OK(vfs_write_file(s.mem, NULL, "/f", "old", 3, 0644));
        vfs_file_t *f = rig_file(s.fs, "/f", RIG_W);
        rig_write(f, 0, "OUR", 3);
        VFS_FAULT_OP(block, VFS_OPID_commit);
        OK(vfs_fault_add(s.fault, &block));
        side_t side = {.file = f};
        pthread_create(&side.thread, NULL, flush_it, &side);
        while (vfs_fault_blocked(s.fault) == 0)
            apr_sleep(1000);
        OK(vfs_write_file(s.mem, NULL, "/f", "THE", 3, 0644));
        vfs_fault_release(s.fault);
        pthread_join(side.thread, NULL);
        cr_assert_eq(side.status, VFS_ECONFLICT);
        cr_expect_eq(stats_of(&s).conflicts, 1u);
        rig_read(f, 0, "THE", 3); /* of the same size, and not what is cached of ours */
        rig_holds_text(s.fs, "/f", "THE");
        rig_write(f, 0, "T", 1);
        OK(vfs_close(f, NULL));
        rig_holds_text(s.mem, "/f", "THE");
        OK(vfs_opendir(&dir, s.mem, NULL, "/", 0));
        while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
            beside += strstr(entry.name, ".conflict-") != NULL;
        OK(vfs_closedir(dir));
        cr_expect_eq(beside, 1u);
        stack_close(&s);
    }
}

Test(staged, a_commit_that_fails_is_told_and_made_up_for)
{
    for (int m = 0; m < 3; m++) {
        tall_t s;
        vfs_fault_t fault = {.what = VFS_FAULT_ERROR, .times = 2};
        stack_open(&s, modes[m]);
        vfs_file_t *f = rig_file(s.fs, "/f", RIG_C);
        rig_write(f, 0, "bytes", 5);
        VFS_FAULT_OP(fault, VFS_OPID_commit);
        OK(vfs_fault_add(s.fault, &fault));
        cr_expect_eq(vfs_flush(f, NULL), APR_FROM_OS_ERROR(EIO));
        cr_expect_eq(vfs_sync(f, NULL, VFS_SYNC_ALL), APR_FROM_OS_ERROR(EIO));
        rig_read(f, 0, "bytes", 5);
        OK(vfs_sync(f, NULL, VFS_SYNC_ALL));
        rig_holds_text(s.mem, "/f", "bytes");
        OK(vfs_close(f, NULL));
        cr_expect_eq(stats_of(&s).conflicts, 0u);
        stack_close(&s);
    }
}

/* Until what is below is this, or it took too long. */
static void becomes(vfs_t *fs, const char *path, const char *text)
{
    vfs_attr_t attr;
    for (int i = 0; i < 20000; i++) {
        if (vfs_stat(fs, NULL, path, &attr) == APR_SUCCESS && attr.size == strlen(text)) break;
        apr_sleep(1000);
    }
    rig_holds_text(fs, path, text);
}

Test(staged, a_commit_that_fails_in_the_background_is_tried_again)
{
    tall_t s;
    vfs_fault_t fault = {.what = VFS_FAULT_ERROR, .times = 5};
    stack_open(&s, "mode=back flush_on_close=no flush_interval=10ms retry_min=10ms retry_max=20ms");
    VFS_FAULT_OP(fault, VFS_OPID_commit);
    OK(vfs_fault_add(s.fault, &fault));
    vfs_file_t *f = rig_file(s.fs, "/f", RIG_C);
    rig_write(f, 0, "bytes", 5);
    (void)vfs_close(f, NULL); /* the flusher may have told it an error already */
    becomes(s.mem, "/f", "bytes");
    cr_expect_geq(stats_of(&s).flush_errors, 3u); /* a close below is an attempt too */
    while (stats_of(&s).retrying_files)           /* hangs if it is never over */
        apr_sleep(1000);
    stack_close(&s);
}

Test(staged, a_close_that_failed_is_made_up_for_by_the_next_one)
{
    for (int m = 0; m < 3; m++) {
        tall_t s;
        vfs_fault_t fault = {.what = VFS_FAULT_ERROR};
        char keys[100];
        snprintf(keys, sizeof(keys), "%s%s", modes[m], m == 2 ? " retry_min=1h retry_max=1h" : "");
        stack_open(&s, keys);
        vfs_file_t *f = rig_file(s.fs, "/f", RIG_C);
        rig_write(f, 0, "bytes", 5);
        VFS_FAULT_OP(fault, VFS_OPID_commit);
        OK(vfs_fault_add(s.fault, &fault));
        cr_expect_eq(vfs_close(f, NULL), APR_FROM_OS_ERROR(EIO), "%s", keys);
        rig_holds_text(s.fs, "/f", "bytes"); /* who only reads changes nothing of that */
        f = rig_file(s.fs, "/f", RIG_W);
        cr_expect_eq(vfs_close(f, NULL), APR_FROM_OS_ERROR(EIO), "%s", keys);
        vfs_fault_clear(s.fault);
        f = rig_file(s.fs, "/f", RIG_W);
        OK(vfs_close(f, NULL));
        rig_holds_text(s.mem, "/f", "bytes");
        stack_close(&s);
    }
}

/* The names of the root that are conflicts and hold "more" at 5000; *all: all of them. */
static unsigned holding_more(tall_t *s, unsigned *all)
{
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    unsigned found = 0;
    *all = 0;
    OK(vfs_opendir(&dir, s->mem, NULL, "/", 0));
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS) {
        char path[300], got[4] = "";
        size_t n;
        vfs_file_t *beside;
        if (!strstr(entry.name, ".conflict-")) continue;
        ++*all;
        snprintf(path, sizeof(path), "/%s", entry.name);
        OK(vfs_open(&beside, s->mem, NULL, path, VFS_O_READ, 0, NULL, NULL));
        OK(vfs_read_at(beside, NULL, got, 4, 5000, &n));
        OK(vfs_close(beside, NULL));
        found += n == 4 && memcmp(got, "more", 4) == 0;
    }
    OK(vfs_closedir(dir));
    return found;
}

/* Whoever comes between the question and the commit, and what is written meanwhile. */
static void meet_others(tall_t *s, side_t *side, const char *theirs, size_t len)
{
    vfs_fault_t block = {.what = VFS_FAULT_BLOCK, .times = 1};
    VFS_FAULT_OP(block, VFS_OPID_commit);
    OK(vfs_fault_add(s->fault, &block));
    pthread_create(&side->thread, NULL, flush_it, side);
    while (vfs_fault_blocked(s->fault) == 0)
        apr_sleep(1000);
    OK(vfs_write_file(s->mem, NULL, "/f", theirs, len, 0644));
    rig_write(side->file, 5000, "more", 4); /* beside clean bytes of ours in its block */
}

Test(staged, what_is_written_during_a_commit_that_meets_others_is_beside_and_in_no_mixture)
{
    enum { LEN = 64 << 10 };
    tall_t s;
    unsigned all;
    char *ours = rig_bytes(LEN, 1), *theirs = rig_bytes(LEN, 2);
    stack_open(&s, "mode=back flush_interval=1h");
    OK(vfs_write_file(s.mem, NULL, "/f", theirs, 10, 0644));
    vfs_file_t *f = rig_file(s.fs, "/f", RIG_W);
    rig_write(f, 0, ours, LEN);
    side_t side = {.file = f};
    meet_others(&s, &side, theirs, LEN);
    vfs_fault_release(s.fault);
    pthread_join(side.thread, NULL);
    cr_assert_eq(side.status, VFS_ECONFLICT);
    rig_read(f, 0, theirs, LEN);
    OK(vfs_close(f, NULL));
    rig_holds(s.mem, "/f", theirs, LEN);
    cr_expect_eq(holding_more(&s, &all), 1u);
    free(ours);
    free(theirs);
    stack_close(&s);
}

Test(staged, the_pause_after_a_long_commit_ends_by_the_dirty_age)
{
    tall_t s;
    stack_open(&s, "mode=back flush_interval=1h dirty_age=30s");
    vfs_file_t *f = rig_file(s.fs, "/f", RIG_C);
    rig_write(f, 0, "bytes", 5);
    cache_t *c = cachefs__of(s.fs);
    obj_t *o = cachefs__handle(f)->obj;
    int64_t since = atomic_load(&o->dirty_since_us);
    cachefs__obj_lock(c, o);
    o->retry_at_us = since + 3600 * 1000000ll; /* as after one of several minutes */
    cr_expect_eq(cachefs__wb_due(c, o), since + 30 * 1000000ll);
    o->retry_at_us = 0;
    cachefs__obj_unlock(c, o);
    OK(vfs_close(f, NULL));
    stack_close(&s);
}

Test(staged, what_cannot_be_put_beside_at_once_is_by_the_next_flush)
{
    enum { LEN = 64 << 10 };
    tall_t s;
    unsigned all;
    char *ours = rig_bytes(LEN, 1), *theirs = rig_bytes(LEN, 2);
    vfs_fault_t fault = {.what = VFS_FAULT_ERROR};
    stack_open(&s, "mode=back flush_interval=1h retry_min=1h retry_max=1h");
    OK(vfs_write_file(s.mem, NULL, "/f", theirs, 10, 0644));
    vfs_file_t *f = rig_file(s.fs, "/f", RIG_W);
    rig_write(f, 0, ours, LEN);
    side_t side = {.file = f};
    meet_others(&s, &side, theirs, LEN);
    VFS_FAULT_OP(fault, VFS_OPID_stat);
    OK(vfs_fault_add(s.fault, &fault));
    vfs_fault_release(s.fault);
    pthread_join(side.thread, NULL);
    cr_assert_eq(side.status, VFS_ECONFLICT);
    cr_expect_neq(vfs_flush(f, NULL), APR_SUCCESS); /* it cannot be asked what there is */
    vfs_fault_clear(s.fault);
    OK(vfs_flush(f, NULL));
    rig_read(f, 0, theirs, LEN);
    OK(vfs_close(f, NULL));
    rig_holds(s.mem, "/f", theirs, LEN);
    cr_expect_eq(holding_more(&s, &all), 1u);
    cr_expect_eq(all, 2u);
    free(ours);
    free(theirs);
    stack_close(&s);
}

Test(staged, a_retry_ends_with_the_file)
{
    for (int m = 0; m < 3; m++) {
        tall_t s;
        vfs_fault_t fault = {.what = VFS_FAULT_ERROR};
        stack_open(&s, modes[m]);
        vfs_file_t *f = rig_file(s.fs, "/f", RIG_C);
        rig_write(f, 0, "bytes", 5);
        VFS_FAULT_OP(fault, VFS_OPID_commit);
        OK(vfs_fault_add(s.fault, &fault));
        cr_expect_eq(vfs_close(f, NULL), APR_FROM_OS_ERROR(EIO));
        cr_expect_eq(stats_of(&s).retrying_files, 1u);
        OK(vfs_unlink(s.fs, NULL, "/f"));
        cr_expect_eq(stats_of(&s).retrying_files, 0u, "%s", modes[m]);
        stack_close(&s); /* nothing is left to commit */
    }
}

Test(staged, a_sync_of_all_makes_up_for_a_close_that_failed)
{
    for (int m = 0; m < 3; m++)
        for (int flush = 0; flush < 2; flush++) {
            tall_t s;
            vfs_fault_t fault = {.what = VFS_FAULT_ERROR};
            stack_open(&s, modes[m]);
            vfs_file_t *f = rig_file(s.fs, "/f", RIG_C);
            rig_write(f, 0, "bytes", 5);
            VFS_FAULT_OP(fault, VFS_OPID_commit);
            OK(vfs_fault_add(s.fault, &fault));
            cr_expect_eq(vfs_close(f, NULL), APR_FROM_OS_ERROR(EIO));
            cr_expect_neq(vfs_sync_fs(s.fs, NULL), APR_SUCCESS);
            vfs_fault_clear(s.fault);
            OK(flush ? cachefs_flush(s.fs, NULL, NULL, 0) : vfs_sync_fs(s.fs, NULL));
            rig_holds_text(s.mem, "/f", "bytes");
            cr_expect_eq(stats_of(&s).retrying_files, 0u, "%s", modes[m]);
            stack_close(&s);
        }
}

Test(staged, holes_and_allocations_are_committed_with_what_is_written)
{
    for (int m = 0; m < 3; m++) {
        tall_t s;
        char text[24] = "0123456789";
        stack_open(&s, modes[m]);
        OK(vfs_write_file(s.mem, NULL, "/f", text, 10, 0644));
        vfs_file_t *f = rig_file(s.fs, "/f", RIG_W);
        rig_read(f, 0, text, 10);
        OK(vfs_allocate(f, NULL, VFS_ALLOC_PUNCH_HOLE | VFS_ALLOC_KEEP_SIZE, 2, 3));
        memset(text + 2, 0, 3);
        rig_read(f, 0, text, 10);
        OK(vfs_allocate(f, NULL, 0, 0, 20));
        rig_write(f, 18, "x", 1);
        text[18] = 'x';
        rig_read(f, 0, text, 20);
        rig_holds_text(s.mem, "/f", "0123456789");
        vfs_count_reset(s.count);
        OK(vfs_close(f, NULL));
        cr_expect_eq(calls(&s, VFS_OPID_commit), 1u, "%s", modes[m]);
        rig_holds(s.mem, "/f", text, 20);
        stack_close(&s);
    }
}

Test(staged, what_is_cached_is_copied_without_asking_for_it)
{
    for (int m = 0; m < 3; m++) {
        tall_t s;
        char text[3000];
        size_t copied = 0;
        memset(text, 'c', sizeof(text));
        stack_open(&s, modes[m]);
        OK(vfs_write_file(s.mem, NULL, "/a", text, sizeof(text), 0644));
        vfs_file_t *a = rig_file(s.fs, "/a", VFS_O_READ), *b = rig_file(s.fs, "/b", RIG_C);
        rig_read(a, 0, text, sizeof(text));
        vfs_count_reset(s.count);
        OK(vfs_copy_range(a, NULL, 1000, b, 0, 5000, &copied));
        cr_expect_eq(copied, 2000u);
        OK(vfs_close(b, NULL));
        cr_expect_eq(calls(&s, VFS_OPID_commit), 1u);
        cr_expect_eq(calls(&s, VFS_OPID_fetch) + calls(&s, VFS_OPID_readv_at) +
                         calls(&s, VFS_OPID_read_at) + calls(&s, VFS_OPID_get),
                     0u, "%s", modes[m]);
        rig_holds(s.mem, "/b", text, 2000);
        OK(vfs_close(a, NULL));
        stack_close(&s);
    }
}
