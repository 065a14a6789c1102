/*
 * test_lookup.c - asking below: one look-up for all, three answers, what is served while the
 * backend is unreachable.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h "

typedef struct asker_t {
    rig_t *rig;
    apr_status_t st;
    vfs_attr_t attr;
} asker_t;

static void *ask(void *arg)
{
    asker_t *a = arg;

    a->st = vfs_stat(a->rig->fs, NULL, "/f", &a->attr);
    return NULL;
}

Test(lookup, many_who_ask_for_one_name_ask_below_once)
{
    rig_t rig;
    pthread_t threads[8];
    asker_t a[8];

    rig_open(&rig, LONG);
    rig_text(&rig, "/f", "text");
    rig_block(&rig, VFS_OPID_stat, 1);
    rig_reset(&rig);
    for (int i = 0; i < 8; i++) {
        a[i] = (asker_t){.rig = &rig};
        pthread_create(&threads[i], NULL, ask, &a[i]);
    }
    rig_wait_blocked(&rig, 1);
    rig_wait_waits(&rig, 7);
    vfs_fault_release(rig.fault);
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        OK(a[i].st);
        EQ(a[i].attr.size, 4);
    }
    EQ(rig_calls(&rig, VFS_OPID_stat), 1);
    rig_close(&rig);
}

Test(lookup, present_absent_and_unknown_are_three_answers)
{
    rig_t rig;
    vfs_attr_t attr;

    rig_open(&rig, "attr_ttl=1ms negative_ttl=1ms");
    rig_text(&rig, "/f", "text");
    rig_holds_text(rig.fs, "/f", "text");
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/g", &attr));
    rig_nap(20);
    rig_fail(&rig, VFS_OPID_stat, VFS_EOFFLINE, 0, 0);
    rig_fail(&rig, VFS_OPID_get, VFS_EOFFLINE, 0, 0);
    IS(VFS_EOFFLINE, vfs_stat(rig.fs, NULL, "/f", &attr)); /* unknown: not served, not deleted */
    IS(VFS_EOFFLINE, vfs_stat(rig.fs, NULL, "/g", &attr)); /* nor is an absence */
    CHECK(rig_entry(&rig, "/f").resident >= 4);
    vfs_fault_clear(rig.fault);
    rig_reset(&rig);
    rig_holds_text(rig.fs, "/f", "text");
    EQ(rig_moved(&rig), 0); /* its bytes are still there */
    rig_close(&rig);
}

Test(lookup, with_serve_stale_what_is_cached_is_served_and_marked)
{
    rig_t rig;
    vfs_attr_t attr;
    vfs_dir_t *d;
    vfs_dirent_t e;
    char buf[8];
    size_t got;

    rig_open(&rig, "attr_ttl=1ms negative_ttl=1ms listing_ttl=1ms serve_stale=on");
    rig_text(&rig, "/f", "text");
    rig_holds_text(rig.fs, "/f", "text");
    OK(vfs_opendir(&d, rig.fs, NULL, "/", 0));
    OK(vfs_closedir(d));
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_nap(20);
    static const apr_status_t down[] = {VFS_EOFFLINE, APR_TIMEUP, APR_FROM_OS_ERROR(EIO),
                                        APR_FROM_OS_ERROR(ECONNREFUSED)};
    for (int i = 0; i < 4; i++) {
        vfs_fault_t all = {.what = VFS_FAULT_ERROR, .status = down[i]};
        vfs_fault_clear(rig.fault);
        OK(vfs_fault_add(rig.fault, &all));
        uint64_t before = rig_stats(&rig).stale_served;
        memset(&attr, 0, sizeof(attr));
        OK(vfs_stat(rig.fs, NULL, "/f", &attr));
        CHECK(attr.flags & VFS_ATTR_STALE);
        EQ(attr.size, 4);
        rig_holds_text(rig.fs, "/f", "text");
        memset(&attr, 0, sizeof(attr));
        OK(vfs_fstat(f, NULL, &attr));
        CHECK(attr.flags & VFS_ATTR_STALE);
        OK(vfs_read_at(f, NULL, buf, 4, 0, &got));
        EQ(got, 4);
        OK(vfs_opendir(&d, rig.fs, NULL, "/", 0));
        OK(vfs_readdir(d, NULL, &e));
        cr_assert_str_eq(e.name, "f");
        OK(vfs_closedir(d));
        CHECK(rig_stats(&rig).stale_served >= before + 3);
        CHECK(vfs_stat(rig.fs, NULL, "/never-seen", &attr) != APR_SUCCESS);
    }
    vfs_fault_clear(rig.fault);
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    CHECK(!(attr.flags & VFS_ATTR_STALE));
    OK(vfs_close(f, NULL));
    rig_close(&rig);
}

Test(lookup, serve_stale_does_not_hide_other_errors)
{
    rig_t rig;
    vfs_attr_t attr;

    rig_open(&rig, "attr_ttl=1ms serve_stale=on");
    rig_text(&rig, "/f", "text");
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    rig_nap(20);
    rig_fail(&rig, VFS_OPID_stat, APR_EACCES, 0, 1);
    IS(APR_EACCES, vfs_stat(rig.fs, NULL, "/f", &attr));
    OK(vfs_unlink(rig.bottom, NULL, "/f"));
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/f", &attr));
    rig_close(&rig);
}

Test(lookup, an_absent_parent_makes_its_names_absent_and_a_new_one_shows_them)
{
    rig_t rig;
    vfs_attr_t attr;

    rig_open(&rig, LONG);
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/d/e/f", &attr));
    OK(vfs_mkdir(rig.fs, NULL, "/d", 0755));
    OK(vfs_mkdir(rig.fs, NULL, "/d/e", 0755));
    rig_save(&rig, "/d/e/f", "text", 4);
    rig_holds_text(rig.fs, "/d/e/f", "text");
    OK(vfs_remove_all(rig.fs, NULL, "/d"));
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/d/e/f", &attr));
    rig_save(&rig, "/d", "a file now", 10);
    IS(APR_ENOTDIR, vfs_stat(rig.fs, NULL, "/d/e/f", &attr));
    rig_close(&rig);
}

Test(lookup, absences_cost_one_question)
{
    rig_t rig;
    vfs_attr_t attr;

    rig_open(&rig, LONG);
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/g", &attr));
    rig_reset(&rig);
    for (int i = 0; i < 5; i++) {
        vfs_file_t *f = NULL;
        IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/g", &attr));
        IS(APR_ENOENT, vfs_lstat(rig.fs, NULL, "/g", &attr));
        IS(APR_ENOENT, vfs_open(&f, rig.fs, NULL, "/g", VFS_O_READ, 0, NULL, NULL));
        IS(APR_ENOENT, vfs_access(rig.fs, NULL, "/g", VFS_ACCESS_EXIST));
    }
    EQ(rig_requests(&rig), 0);
    EQ(rig_stats(&rig).negative_hits, 20);
    rig_save(&rig, "/g", "now", 3);
    rig_holds_text(rig.fs, "/g", "now");
    rig_close(&rig);
}

typedef apr_status_t (*stat_fn)(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                vfs_attr_t *attr, vfs_validator_t *validator);
static stat_fn real_stat;
static rig_t *flushing;

/* Between the answer and its use the file is flushed, and nobody holds its object any more. */
static apr_status_t stat_then_flush(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                    vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t st = real_stat(fs, ctx, path, attr, validator);
    rig_t *rig = flushing;

    flushing = NULL;
    if (rig) OK(cachefs_flush(rig->fs, NULL, NULL, 0));
    return st;
}

Test(lookup, an_answer_older_than_what_was_flushed_and_forgotten_is_asked_for_again)
{
    rig_t rig;
    vfs_attr_t attr;
    vfs_path_t path = rig_path("/f");

    rig_open(&rig, LONG "mode=back flush_interval=1h flush_on_close=off");
    real_stat = rig.c->lower->ops.lstat;
    rig.c->lower->ops.lstat = stat_then_flush;
    rig_save(&rig, "/f", "text", 4);
    cachefs__name_drop(rig.c, &path); /* only what is dirty of it is left */
    flushing = &rig;
    OK(vfs_lstat(rig.fs, NULL, "/f", &attr));
    CHECK(flushing == NULL);
    EQ(attr.size, 4);
    EQ(rig_stats(&rig).dirty_bytes, 0);
    rig_close(&rig);
}

/* An answer that another change of ours overlaps is not kept, but it is the newest there is. */
Test(lookup, attributes_asked_for_while_a_flush_is_under_way_are_told)
{
    rig_t rig;
    vfs_attr_t attr;
    char buf[8];
    size_t got;

    rig_open(&rig, LONG "mode=back flush_interval=1h flush_on_close=off");
    rig_save(&rig, "/f", "text", 4);
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    obj_t *o = rig_obj(&rig, "/f");
    (void)cachefs__obj_change_begin(rig.c, o); /* as a flush does */
    OK(vfs_chmod(rig.fs, NULL, "/f", 0640, 0));
    OK(vfs_get(rig.fs, NULL, "/f", buf, sizeof(buf), &got, &attr, NULL));
    EQ(attr.mode, 0640);
    EQ(attr.size, 4);
    OK(vfs_chmod(rig.fs, NULL, "/f", 0600, 0));
    vfs_file_t *f;
    OK(vfs_open(&f, rig.fs, NULL, "/f", RIG_W, 0, &attr, NULL));
    EQ(attr.mode, 0600);
    EQ(attr.size, 4);
    OK(vfs_close(f, NULL));
    OK(vfs_chmod(rig.fs, NULL, "/f", 0644, 0));
    vfs_dir_t *d;
    vfs_dirent_t e;
    OK(vfs_opendir(&d, rig.fs, NULL, "/", VFS_DIR_ATTRS));
    OK(vfs_readdir(d, NULL, &e));
    CHECK(!e.has_attr || (e.attr.mode == 0644 && e.attr.size == 4));
    OK(vfs_closedir(d));
    cachefs__obj_change_end(rig.c, o, 1);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

/* ---- the first bytes of what is far */

/* Known by a listing or a question, read later. */
static void far_file(rig_t *rig, const char *keys)
{
    vfs_attr_t attr;
    rig_open(rig, keys);
    rig->c->lower_is_far = 1;
    rig_text(rig, "/f", "text");
    OK(vfs_lstat(rig->fs, NULL, "/f", &attr));
    rig_reset(rig);
}

Test(lookup, a_small_far_file_comes_whole_when_it_is_opened)
{
    rig_t rig;
    far_file(&rig, "");
    for (int i = 0; i < 2; i++) {
        vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R | (i ? VFS_O_NOFOLLOW : 0));
        rig_read(f, 0, "text", 4);
        OK(vfs_close(f, NULL));
    }
    EQ(rig_requests(&rig), 1);
    EQ(rig_calls(&rig, VFS_OPID_get), 1);
    rig_close(&rig);
}

Test(lookup, what_is_known_serves_an_open_that_brings_no_bytes)
{
    rig_t rig;
    vfs_attr_t attr;
    far_file(&rig, "");
    rig_fail(&rig, VFS_OPID_get, VFS_EOFFLINE, 1, 0);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    OK(vfs_fstat(f, NULL, &attr));
    EQ(attr.size, 4);
    rig_read(f, 0, "text", 4); /* by a handle */
    OK(vfs_close(f, NULL));
    rig_close(&rig);
}

Test(lookup, a_far_file_that_went_is_gone_when_it_is_opened)
{
    rig_t rig;
    vfs_file_t *f;
    far_file(&rig, "");
    OK(vfs_unlink(rig.bottom, NULL, "/f"));
    IS(APR_FROM_OS_ERROR(ENOENT), vfs_open(&f, rig.fs, NULL, "/f", RIG_R, 0, NULL, NULL));
    rig_close(&rig);
}

Test(lookup, who_asks_and_will_read_gets_the_bytes_of_a_far_file)
{
    rig_t rig;
    vfs_attr_t attr;
    vfs_ctx_t reads = VFS_CTX_INIT;
    reads.flags = VFS_CTX_READS;
    rig_open(&rig, "");
    rig_text(&rig, "/f", "text");
    rig_text(&rig, "/near", "text");
    OK(vfs_lstat(rig.fs, &reads, "/near", &attr));
    EQ(rig_calls(&rig, VFS_OPID_get), 0); /* what is near is read when it is read */
    rig.c->lower_is_far = 1;
    rig_reset(&rig);
    OK(vfs_lstat(rig.fs, &reads, "/f", &attr));
    EQ(attr.size, 4);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_read(f, 0, "text", 4);
    OK(vfs_close(f, NULL));
    EQ(rig_requests(&rig), 1);
    rig_close(&rig);
}

/* `get` follows links: what it brings is not what was asked for. */
Test(lookup, a_link_is_asked_for_itself_though_bytes_would_come)
{
    rig_t rig;
    vfs_attr_t attr;
    vfs_ctx_t reads = VFS_CTX_INIT;
    reads.flags = VFS_CTX_READS;
    rig_open(&rig, "");
    rig.c->lower_is_far = 1;
    rig_text(&rig, "/f", "text");
    OK(vfs_symlink(rig.bottom, NULL, "/f", "/link"));
    OK(vfs_symlink(rig.bottom, NULL, "/nothing", "/broken"));
    OK(vfs_symlink(rig.bottom, NULL, "/loop", "/loop"));
    OK(vfs_lstat(rig.fs, &reads, "/link", &attr));
    EQ(attr.type, VFS_TYPE_LINK);
    OK(vfs_lstat(rig.fs, &reads, "/broken", &attr));
    EQ(attr.type, VFS_TYPE_LINK);
    OK(vfs_lstat(rig.fs, &reads, "/loop", &attr));
    EQ(attr.type, VFS_TYPE_LINK);
    OK(vfs_lstat(rig.fs, NULL, "/", &attr)); /* that is asked for an absent name as well */
    rig_reset(&rig);
    IS(APR_FROM_OS_ERROR(ENOENT), vfs_lstat(rig.fs, &reads, "/absent", &attr));
    EQ(rig_requests(&rig), 1);
    rig_close(&rig);
}

typedef struct opens_t {
    rig_t *rig;
    vfs_ctx_t ctx;
    apr_status_t st;
} opens_t;

static void *open_it(void *baton)
{
    opens_t *a = baton;
    vfs_file_t *file = NULL;
    a->st = vfs_open(&file, a->rig->fs, &a->ctx, "/f", RIG_R, 0, NULL, NULL);
    if (!a->st) (void)vfs_close(file, NULL);
    return NULL;
}

/* Who waits for another's question may have to put it himself, and know less by then. */
Test(lookup, what_was_known_before_waiting_does_not_serve_afterwards)
{
    rig_t rig;
    pthread_t thread[2];
    vfs_cancel_t *cancel;
    vfs_path_t path = rig_path("/f");
    far_file(&rig, "");
    OK(vfs_cancel_create(&cancel, rig.pool));
    opens_t a[2] = {{&rig, VFS_CTX_INIT, APR_SUCCESS}, {&rig, VFS_CTX_INIT, APR_SUCCESS}};
    a[0].ctx.cancel = cancel;
    rig_block(&rig, VFS_OPID_get, 1);
    pthread_create(&thread[0], NULL, open_it, &a[0]);
    rig_wait_blocked(&rig, 1);
    pthread_create(&thread[1], NULL, open_it, &a[1]);
    rig_wait_waits(&rig, 1);
    cachefs__name_drop(rig.c, &path);
    rig_fail(&rig, VFS_OPID_get, VFS_EOFFLINE, 1, 0);
    vfs_cancel_raise(cancel);
    for (int i = 0; i < 2; i++)
        pthread_join(thread[i], NULL);
    IS(VFS_ECANCELED, a[0].st == APR_SUCCESS ? VFS_ECANCELED : a[0].st); /* or what was known */
    IS(VFS_EOFFLINE, a[1].st);
    rig_close(&rig);
}
