/*
 * test_waits.c - waiting for others: it ends with the caller's own deadline and cancel flag, and
 * what one caller had no time for is no answer to the others.
 */
#include <stdatomic.h>

#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h get_size=0 readahead=0 "
#define LAZY LONG "mode=back flush_interval=1h dirty_age=1h flush_on_close=off "
#define LEN 16384

static vfs_ctx_t soon(unsigned ms)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;

    ctx.deadline = apr_time_now() + (apr_time_t)ms * 1000;
    return ctx;
}

typedef struct caller_t {
    rig_t *rig;
    const vfs_ctx_t *ctx;
    vfs_file_t *file; /* read; NULL: ask for /f */
    apr_status_t st;
    vfs_attr_t attr;
    char buf[LEN];
    size_t got;
    pthread_t thread;
} caller_t;

static void *call(void *arg)
{
    caller_t *a = arg;

    if (a->file)
        a->st = vfs_read_at(a->file, a->ctx, a->buf, LEN, 0, &a->got);
    else
        a->st = vfs_stat(a->rig->fs, a->ctx, "/f", &a->attr);
    return NULL;
}

static void start(caller_t *a, rig_t *rig, const vfs_ctx_t *ctx, vfs_file_t *file)
{
    memset(a, 0, sizeof(*a));
    a->rig = rig;
    a->ctx = ctx;
    a->file = file;
    EQ(pthread_create(&a->thread, NULL, call, a), 0);
}

static apr_status_t end(caller_t *a)
{
    pthread_join(a->thread, NULL);
    return a->st;
}

static int nothing_is_dirty(void *baton)
{
    cachefs_stats_t s = rig_stats(baton);

    return s.dirty_bytes == 0 && s.dirty_files == 0;
}

/* ---- reads */

Test(waits, a_read_waits_for_another_ones_fill_no_longer_than_its_deadline)
{
    rig_t rig;
    static caller_t a, b;
    char *data = rig_bytes(LEN, 1);

    rig_open(&rig, LONG);
    rig_put(&rig, "/f", data, LEN);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_block(&rig, VFS_OPID_fetch, 1);
    start(&a, &rig, NULL, f);
    rig_wait_blocked(&rig, 1);
    vfs_ctx_t ctx = soon(50);
    start(&b, &rig, &ctx, f);
    IS(APR_TIMEUP, end(&b));
    vfs_fault_release(rig.fault);
    OK(end(&a));
    CHECK(memcmp(a.buf, data, LEN) == 0);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(waits, who_waited_for_a_fill_that_ran_out_of_time_reads_for_itself)
{
    rig_t rig;
    static caller_t a, b, d;
    vfs_cancel_t *cancel;
    char *data = rig_bytes(LEN, 1);

    rig_open(&rig, LONG);
    rig_put(&rig, "/f", data, LEN);
    OK(vfs_cancel_create(&cancel, rig.pool));
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_block(&rig, VFS_OPID_fetch, 1);
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.cancel = cancel;
    start(&a, &rig, &ctx, f);
    rig_wait_blocked(&rig, 1);
    start(&b, &rig, NULL, f);
    start(&d, &rig, NULL, f);
    rig_wait_waits(&rig, 2);
    vfs_cancel_raise(cancel);
    IS(VFS_ECANCELED, end(&a));
    OK(end(&b));
    OK(end(&d));
    CHECK(memcmp(b.buf, data, LEN) == 0 && memcmp(d.buf, data, LEN) == 0);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

typedef struct direct_t {
    vfs_file_t *file;
    char buf[8];
    atomic_int done;
} direct_t;

static void *read_directly(void *arg)
{
    direct_t *d = arg;
    size_t got = 0;

    OK(vfs_read_at(d->file, NULL, d->buf, 8, 0, &got));
    atomic_store(&d->done, 1);
    return NULL;
}

static void *write_old(void *arg)
{
    rig_write(arg, 0, "newbytes", 8);
    return NULL;
}

Test(waits, a_direct_read_waits_for_the_write_that_it_meets)
{
    rig_t rig;
    pthread_t writer, reader;
    direct_t d = {.file = NULL};

    rig_open(&rig, "attr_ttl=1h");
    rig_text(&rig, "/f", "oldbytes");
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_W);
    d.file = rig_file(rig.fs, "/f", RIG_R | VFS_O_DIRECT);
    rig_block(&rig, VFS_OPID_write_at, 1);
    EQ(pthread_create(&writer, NULL, write_old, f), 0);
    rig_wait_blocked(&rig, 1);
    EQ(pthread_create(&reader, NULL, read_directly, &d), 0);
    rig_wait_waits(&rig, 1);
    CHECK(!atomic_load(&d.done));
    vfs_fault_release(rig.fault);
    pthread_join(writer, NULL);
    pthread_join(reader, NULL);
    CHECK(memcmp(d.buf, "newbytes", 8) == 0);
    OK(vfs_close(d.file, NULL));
    OK(vfs_close(f, NULL));
    rig_close(&rig);
}

/* ---- look-ups */

Test(waits, a_look_up_waits_for_another_one_no_longer_than_its_deadline)
{
    static const char *const keys[] = {LONG, "attr_ttl=0"};

    for (int i = 0; i < 2; i++) {
        rig_t rig;
        static caller_t a;
        vfs_attr_t attr;
        rig_open(&rig, keys[i]);
        rig_text(&rig, "/f", "text");
        rig_block(&rig, VFS_OPID_stat, 1);
        start(&a, &rig, NULL, NULL);
        rig_wait_blocked(&rig, 1);
        vfs_ctx_t ctx = soon(50);
        IS(APR_TIMEUP, vfs_stat(rig.fs, &ctx, "/f", &attr));
        EQ(rig_calls(&rig, VFS_OPID_stat), 1);
        vfs_fault_release(rig.fault);
        OK(end(&a));
        rig_close(&rig);
    }
}

/* Who asks while a question is under way is not given its answer, which may be older than the
 * call; but all of them share the next one. */
static void share_the_next(const char *keys)
{
    enum { MANY = 8 };
    static caller_t first, late[MANY];
    rig_t rig;

    rig_open(&rig, keys);
    rig_text(&rig, "/f", "text");
    rig_block(&rig, VFS_OPID_stat, 2);
    start(&first, &rig, NULL, NULL);
    rig_wait_blocked(&rig, 1);
    for (int i = 0; i < MANY; i++)
        start(&late[i], &rig, NULL, NULL);
    rig_wait_waits(&rig, MANY);
    EQ(rig_calls(&rig, VFS_OPID_stat), 1);
    vfs_fault_release(rig.fault);
    OK(end(&first));
    rig_wait_blocked(&rig, 1);
    rig_text(&rig, "/f", "newer text"); /* before their question is answered */
    vfs_fault_release(rig.fault);
    for (int i = 0; i < MANY; i++) {
        OK(end(&late[i]));
        EQ(late[i].attr.size, 10);
    }
    EQ(rig_calls(&rig, VFS_OPID_stat), 2);
    rig_close(&rig);
}

Test(waits, without_a_ttl_many_who_ask_share_the_next_question)
{
    share_the_next("attr_ttl=0 negative_ttl=0");
    share_the_next(LONG "ttl=/f=0");
}

Test(waits, with_a_rule_that_keeps_answers_many_share_the_one_under_way)
{
    static caller_t first, late;
    rig_t rig;

    rig_open(&rig, "attr_ttl=0 ttl=/f=1h");
    rig_text(&rig, "/f", "text");
    rig_block(&rig, VFS_OPID_stat, 1);
    start(&first, &rig, NULL, NULL);
    rig_wait_blocked(&rig, 1);
    start(&late, &rig, NULL, NULL);
    rig_wait_waits(&rig, 1);
    vfs_fault_release(rig.fault);
    OK(end(&first));
    OK(end(&late));
    EQ(rig_calls(&rig, VFS_OPID_stat), 1);
    rig_close(&rig);
}

Test(waits, who_rides_with_a_question_that_ran_out_of_time_asks_again)
{
    static caller_t first, late[3];
    rig_t rig;
    vfs_cancel_t *cancel;

    rig_open(&rig, "attr_ttl=0");
    rig_text(&rig, "/f", "text");
    OK(vfs_cancel_create(&cancel, rig.pool));
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.cancel = cancel;
    rig_block(&rig, VFS_OPID_stat, 2);
    start(&first, &rig, NULL, NULL);
    rig_wait_blocked(&rig, 1);
    for (int i = 0; i < 3; i++)
        start(&late[i], &rig, i == 1 ? NULL : &ctx, NULL);
    rig_wait_waits(&rig, 3);
    vfs_fault_release(rig.fault);
    OK(end(&first));
    rig_wait_blocked(&rig, 1); /* one of the three leads */
    vfs_cancel_raise(cancel);
    IS(VFS_ECANCELED, end(&late[0]));
    IS(VFS_ECANCELED, end(&late[2]));
    vfs_fault_release(rig.fault); /* if it was the other one who led */
    OK(end(&late[1]));
    EQ(late[1].attr.size, 4);
    rig_close(&rig);
}

Test(waits, nobody_is_told_the_answer_to_another_users_question)
{
    static caller_t first, mine, theirs;
    rig_t rig;
    vfs_ctx_t me = VFS_CTX_INIT, them = VFS_CTX_INIT;

    rig_open(&rig, "attr_ttl=0");
    OK(vfs_mkdir(rig.bottom, NULL, "/d", 0700));
    rig_text(&rig, "/d/g", "text");
    OK(vfs_symlink(rig.bottom, NULL, "/d/g", "/f"));
    OK(vfs_chown(rig.bottom, NULL, "/d", 1000, 1000, 0));
    me.flags = them.flags = VFS_CTX_CREDS;
    me.uid = me.gid = 1000;
    them.uid = them.gid = 2000;
    rig_block(&rig, VFS_OPID_stat, 3);
    start(&first, &rig, &me, NULL);
    rig_wait_blocked(&rig, 1);
    start(&theirs, &rig, &them, NULL);
    rig_wait_blocked(&rig, 2); /* a question of their own */
    start(&mine, &rig, &me, NULL);
    rig_wait_waits(&rig, 1);
    vfs_fault_release(rig.fault);
    OK(end(&first));
    IS(APR_EACCES, end(&theirs));
    rig_wait_blocked(&rig, 1);
    vfs_fault_release(rig.fault);
    OK(end(&mine));
    rig_close(&rig);
}

/* ---- changes of names */

typedef struct remover_t {
    rig_t *rig;
    apr_status_t st;
} remover_t;

static void *remove_it(void *arg)
{
    remover_t *r = arg;

    r->st = vfs_unlink(r->rig->fs, NULL, "/f");
    return NULL;
}

Test(waits, a_change_of_a_name_waits_for_another_one_no_longer_than_its_deadline)
{
    rig_t rig;
    pthread_t thread;
    remover_t r = {.rig = &rig};
    vfs_path_t p = rig_path("/f");

    rig_open(&rig, LONG);
    rig_text(&rig, "/f", "text");
    rig_block(&rig, VFS_OPID_unlink, 1);
    EQ(pthread_create(&thread, NULL, remove_it, &r), 0);
    rig_wait_blocked(&rig, 1);
    vfs_ctx_t ctx = soon(50);
    IS(APR_TIMEUP, vfs_unlink(rig.fs, &ctx, "/f"));
    ctx = soon(50);
    IS(APR_TIMEUP, vfs_rename(rig.fs, &ctx, "/g", "/f", 0));
    ctx = soon(50);
    IS(APR_TIMEUP, cachefs__mut_wait(rig.c, &ctx, &p)); /* a miss that finds the name gone */
    vfs_fault_release(rig.fault);
    pthread_join(thread, NULL);
    OK(r.st);
    OK(cachefs__mut_wait(rig.c, NULL, &p));
    rig_close(&rig);
}

/* ---- flushes */

Test(waits, a_flush_that_ran_out_of_time_is_no_error_of_the_file)
{
    rig_t rig;

    rig_open(&rig, LAZY);
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C), *other = rig_file(rig.fs, "/f", RIG_R);
    rig_write(w, 0, "text", 4);
    rig_block(&rig, VFS_OPID_write_at, 1);
    vfs_ctx_t ctx = soon(50);
    IS(APR_TIMEUP, vfs_sync(w, &ctx, VFS_SYNC_ALL));
    EQ(rig_stats(&rig).flush_errors, 0);
    obj_t *o = cachefs__handle(w)->obj;
    cachefs__obj_look(rig.c, o);
    EQ(o->err_seq, 0);
    EQ(o->retry_wait_us, 0); /* the next attempt is not put off */
    cachefs__obj_looked(rig.c, o);
    EQ(rig_entry(&rig, "/f").dirty, 4096);
    vfs_fault_clear(rig.fault);
    OK(vfs_sync(w, NULL, VFS_SYNC_ALL));
    OK(vfs_sync(other, NULL, VFS_SYNC_ALL)); /* nor is anybody told */
    rig_holds_text(rig.bottom, "/f", "text");
    OK(vfs_close(other, NULL));
    OK(vfs_close(w, NULL));
    rig_close(&rig);
}

Test(waits, a_flush_waits_for_memory_no_longer_than_its_deadline)
{
    enum { MANY = 8192 };
    static uint32_t chunks[MANY];
    rig_t rig;
    size_t n = 0, size;
    uint32_t stage = 0;
    vfs_cancel_t *cancel;

    rig_open(&rig, LAZY);
    OK(vfs_cancel_create(&cancel, rig.pool));
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_write(w, 0, "text", 4);
    for (uint64_t bytes = 256u << 10; bytes >= 16u << 10; bytes /= 2)
        while (n < MANY && (chunks[n] = cachefs__chunk_get(rig.c, bytes, OWNER_PRIVATE, 0, 1)))
            n++;
    OK(cachefs__stage_get(rig.c, NULL, &stage, &size)); /* the last resort */
    EQ(stage, rig.c->stage_chunk);
    vfs_ctx_t ctx = soon(50);
    IS(APR_TIMEUP, vfs_sync(w, &ctx, VFS_SYNC_ALL));
    ctx = (vfs_ctx_t)VFS_CTX_INIT;
    ctx.cancel = cancel;
    vfs_cancel_raise(cancel);
    IS(VFS_ECANCELED, vfs_sync(w, &ctx, VFS_SYNC_ALL));
    cachefs__stage_put(rig.c, stage);
    OK(vfs_sync(w, NULL, VFS_SYNC_ALL));
    while (n)
        cachefs__chunk_put(rig.c, chunks[--n]);
    OK(vfs_close(w, NULL));
    rig_close(&rig);
}

static void *flush_f(void *arg)
{
    OK(cachefs_flush(((rig_t *)arg)->fs, NULL, "/f", 0));
    return NULL;
}

Test(waits, a_flush_waits_for_another_one_no_longer_than_its_caller_will)
{
    rig_t rig;
    pthread_t thread;

    rig_open(&rig, LAZY);
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_write(w, 0, "text", 4);
    rig_block(&rig, VFS_OPID_write_at, 1);
    EQ(pthread_create(&thread, NULL, flush_f, &rig), 0);
    rig_wait_blocked(&rig, 1);
    vfs_ctx_t ctx = soon(50);
    IS(APR_TIMEUP, vfs_flush(w, &ctx));
    ctx = soon(50);
    IS(APR_TIMEUP, vfs_sync(w, &ctx, VFS_SYNC_ALL));
    ctx = soon(50);
    IS(APR_TIMEUP, vfs_rename(rig.fs, &ctx, "/f", "/g", 0)); /* it comes after the data */
    ctx = soon(50);
    IS(APR_TIMEUP, cachefs_flush(rig.fs, &ctx, NULL, 0));
    EQ(rig_calls(&rig, VFS_OPID_rename), 0);
    vfs_fault_release(rig.fault);
    pthread_join(thread, NULL);
    OK(vfs_flush(w, NULL)); /* nobody's time was an error of the file */
    rig_holds_text(rig.bottom, "/f", "text");
    OK(vfs_close(w, NULL));
    rig_close(&rig);
}

/* ---- open files */

Test(waits, rules_by_path_count_for_open_files_too)
{
    rig_t rig;
    vfs_attr_t attr;

    rig_open(&rig, "attr_ttl=0 ttl=/static/**=1h");
    OK(vfs_mkdir(rig.bottom, NULL, "/static", 0755));
    rig_text(&rig, "/static/f", "old");
    rig_text(&rig, "/f", "old");
    vfs_file_t *f = rig_file(rig.fs, "/static/f", RIG_R), *g = rig_file(rig.fs, "/f", RIG_R);
    rig_poke(&rig, "/static/f", 0, "longer", 6);
    rig_poke(&rig, "/f", 0, "longer", 6);
    rig_reset(&rig);
    OK(vfs_fstat(f, NULL, &attr));
    EQ(attr.size, 3);
    EQ(rig_requests(&rig), 0);
    OK(vfs_fstat(g, NULL, &attr));
    EQ(attr.size, 6);
    OK(vfs_close(f, NULL));
    OK(vfs_close(g, NULL));
    rig_close(&rig);
}

/* ---- files without a name */

Test(waits, the_last_close_of_a_file_without_a_name_waits_for_no_flush)
{
    rig_t rig;
    char *data = rig_bytes(LEN, 1);

    rig_open(&rig, LONG "mode=back flush_interval=10ms flush_on_close=off");
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_C);
    OK(vfs_unlink(rig.fs, NULL, "/f"));
    rig_block(&rig, VFS_OPID_write_at, 1);
    rig_block(&rig, VFS_OPID_writev_at, 1);
    rig_write(f, 0, data, LEN);
    rig_wait_blocked(&rig, 1);
    OK(vfs_close(f, NULL)); /* the flush is blocked until the next line */
    vfs_fault_release(rig.fault);
    CHECK(rig_until(nothing_is_dirty, &rig));
    free(data);
    rig_close(&rig);
}
