/*
 * test_names.c - changes of names: what is known of other names, and of open files, afterwards.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h "

/* We know a file; others put a directory in its place, and we know names in that. */
static void file_that_is_a_directory(rig_t *rig, const char *keys)
{
    vfs_attr_t attr;

    rig_open(rig, keys);
    rig_text(rig, "/a", "file");
    rig_text(rig, "/x", "other");
    OK(vfs_stat(rig->fs, NULL, "/a", &attr));
    OK(vfs_stat(rig->fs, NULL, "/x", &attr));
    OK(vfs_unlink(rig->bottom, NULL, "/a"));
    OK(vfs_mkdir_all(rig->bottom, NULL, "/a/in", 0755));
    rig_text(rig, "/a/in/f", "inside");
    OK(vfs_stat(rig->fs, NULL, "/a/in/f", &attr));
    OK(vfs_stat(rig->fs, NULL, "/a", &attr));
    EQ(attr.type, VFS_TYPE_FILE); /* the premise */
}

Test(names, what_is_below_a_name_goes_with_it_whatever_we_took_it_for)
{
    rig_t rig;

    file_that_is_a_directory(&rig, LONG);
    OK(vfs_rename(rig.fs, NULL, "/a", "/b", 0));
    IS(APR_FROM_OS_ERROR(ENOENT), vfs_stat(rig.fs, NULL, "/a/in/f", NULL));
    rig_holds_text(rig.fs, "/b/in/f", "inside");
    rig_close(&rig);

    file_that_is_a_directory(&rig, LONG);
    OK(vfs_rename(rig.fs, NULL, "/a", "/x", VFS_RENAME_EXCHANGE));
    CHECK(vfs_stat(rig.fs, NULL, "/a/in/f", NULL) != APR_SUCCESS);
    rig_holds_text(rig.fs, "/x/in/f", "inside");
    rig_close(&rig);

    file_that_is_a_directory(&rig, LONG);
    OK(vfs_remove_all(rig.bottom, NULL, "/a"));
    OK(vfs_mkdir(rig.fs, NULL, "/a", 0755));
    IS(APR_FROM_OS_ERROR(ENOENT), vfs_stat(rig.fs, NULL, "/a/in/f", NULL));
    rig_close(&rig);
}

Test(names, a_name_that_is_not_cached_is_missed_by_the_other_names_of_its_file)
{
    static const char *const ways[] = {"unlink", "rename"};
    rig_t rig;
    vfs_attr_t attr;

    for (int i = 0; i < 2; i++) {
        rig_open(&rig, LONG);
        rig_text(&rig, "/a", "two names");
        rig_text(&rig, "/x", "another");
        OK(vfs_link(rig.fs, NULL, "/a", "/b"));
        OK(cachefs_clear(rig.fs, NULL));
        OK(vfs_stat(rig.fs, NULL, "/b", &attr));
        EQ(attr.nlink, 2);
        OK(i ? vfs_rename(rig.fs, NULL, "/x", "/a", 0) : vfs_unlink(rig.fs, NULL, "/a"));
        OK(vfs_stat(rig.fs, NULL, "/b", &attr));
        cr_assert_eq(attr.nlink, 1, "%s", ways[i]);
        rig_close(&rig);
    }
}

typedef struct mover_t {
    rig_t *rig;
    const char *from, *to;
    apr_status_t st;
} mover_t;

static void *move(void *arg)
{
    mover_t *m = arg;

    m->st = vfs_rename(m->rig->fs, NULL, m->from, m->to, 0);
    return NULL;
}

#define LAZY LONG "mode=back flush_interval=1h dirty_age=1h flush_on_close=off"

Test(names, what_is_opened_and_written_while_a_directory_moves_moves_along)
{
    static const uint32_t how[] = {RIG_W, RIG_C};
    for (int k = 0; k < 2; k++) {
        rig_t rig;
        pthread_t thread;
        mover_t m = {&rig, "/d", "/e", 0};
        rig_open(&rig, LAZY);
        OK(vfs_mkdir_all(rig.bottom, NULL, "/d/in", 0755));
        rig_text(&rig, "/d/in/f", "old");
        rig_block(&rig, VFS_OPID_rename, 1);
        pthread_create(&thread, NULL, move, &m);
        rig_wait_blocked(&rig, 1);
        vfs_file_t *f = rig_file(rig.fs, k ? "/d/in/new" : "/d/in/f", how[k]);
        rig_write(f, 0, "mine", 4);
        vfs_fault_release(rig.fault);
        pthread_join(thread, NULL);
        OK(m.st);
        OK(vfs_close(f, NULL));
        OK(cachefs_flush(rig.fs, NULL, NULL, 0));
        EQ(rig_stats(&rig).dirty_bytes, 0);
        EQ(rig_stats(&rig).conflicts, 0);
        rig_holds_text(rig.bottom, k ? "/e/in/new" : "/e/in/f", "mine");
        IS(APR_FROM_OS_ERROR(ENOENT), vfs_stat(rig.bottom, NULL, "/d", NULL));
        rig_close(&rig);
    }
}

Test(names, a_name_and_its_directory_change_one_after_the_other)
{
    rig_t rig;
    pthread_t threads[2];
    mover_t a = {&rig, "/d/f", "/d/g", 0}, b = {&rig, "/d", "/e", 0};

    rig_open(&rig, LAZY);
    OK(vfs_mkdir(rig.bottom, NULL, "/d", 0755));
    rig_text(&rig, "/d/f", "old");
    vfs_file_t *f = rig_file(rig.fs, "/d/f", RIG_W);
    rig_block(&rig, VFS_OPID_rename, 1);
    pthread_create(&threads[0], NULL, move, &a);
    rig_wait_blocked(&rig, 1);
    pthread_create(&threads[1], NULL, move, &b);
    while (!rig.c->tree_waits) /* it has begun, and waits for the other */
        rig_nap(1);
    vfs_fault_release(rig.fault);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    OK(a.st);
    OK(b.st);
    rig_write(f, 0, "new", 3);
    OK(vfs_close(f, NULL));
    OK(cachefs_flush(rig.fs, NULL, NULL, 0));
    EQ(rig_stats(&rig).conflicts, 0);
    rig_holds_text(rig.bottom, "/e/g", "new");
    rig_close(&rig);
}

Test(names, a_directory_that_moves_tells_the_names_of_all_that_is_open_or_dirty_below)
{
    rig_t rig;

    rig_open(&rig, LAZY);
    OK(vfs_mkdir_all(rig.bottom, NULL, "/d/in", 0755));
    OK(vfs_mkdir_all(rig.bottom, NULL, "/da", 0755));
    rig_text(&rig, "/d/in/read", "read");
    rig_text(&rig, "/da/beside", "beside");
    vfs_file_t *r = rig_file(rig.fs, "/d/in/read", RIG_R);
    vfs_file_t *beside = rig_file(rig.fs, "/da/beside", RIG_R);
    vfs_file_t *w = rig_file(rig.fs, "/d/in/written", RIG_C);
    rig_write(w, 0, "one", 3);
    OK(vfs_rename(rig.fs, NULL, "/d", "/e", 0));
    rig_write(w, 0, "two", 3);
    OK(vfs_close(w, NULL)); /* dirty, and not open */
    OK(vfs_mkdir(rig.fs, NULL, "/d", 0755));
    OK(vfs_rename(rig.fs, NULL, "/e", "/d", VFS_RENAME_EXCHANGE));
    OK(vfs_rename(rig.fs, NULL, "/d/in", "/da/in", 0));
    rig_read(r, 0, "read", 4);
    rig_read(beside, 0, "beside", 6);
    OK(cachefs_flush(rig.fs, NULL, "/da/in/written", 0));
    EQ(rig_stats(&rig).dirty_bytes, 0);
    EQ(rig_stats(&rig).conflicts, 0);
    rig_holds_text(rig.bottom, "/da/in/written", "two");
    OK(vfs_close(r, NULL));
    OK(vfs_close(beside, NULL));
    rig_close(&rig);
}

/* Contract: after the dirty data that it depends on; where that cannot go, nothing has changed. */
Test(names, a_rename_goes_below_after_what_is_dirty_of_its_source)
{
    static const char *const moves[][4] = {{"/a", "/b", "/a", "/b"}, {"/d", "/e", "/d/f", "/e/f"}};
    const apr_status_t full = APR_FROM_OS_ERROR(ENOSPC);

    for (int k = 0; k < 2; k++) {
        const char *from = moves[k][0], *to = moves[k][1], *old = moves[k][2], *new = moves[k][3];
        rig_t rig;

        rig_open(&rig, LONG "mode=back flush_interval=1h dirty_age=1h flush_on_close=off");
        OK(vfs_mkdir(rig.fs, NULL, "/d", 0755));
        rig_save(&rig, old, "precious", 8);
        rig_fail(&rig, VFS_OPID_write_at, full, 0, 1);
        rig_reset(&rig);
        IS(full, vfs_rename(rig.fs, NULL, from, to, 0));
        EQ(rig_calls(&rig, VFS_OPID_rename), 0);
        rig_holds_text(rig.fs, old, "precious");
        IS(APR_FROM_OS_ERROR(ENOENT), vfs_stat(rig.fs, NULL, new, NULL));
        OK(vfs_rename(rig.fs, NULL, from, to, 0));
        rig_holds_text(rig.bottom, new, "precious");
        rig_holds_text(rig.fs, new, "precious");
        rig_close(&rig);
    }
}

typedef struct gone_t {
    rig_t *rig;
    apr_status_t st;
} gone_t;

static void *take_name(void *baton)
{
    gone_t *g = baton;
    g->st = vfs_unlink(g->rig->fs, NULL, "/f");
    return NULL;
}

/* Handles for their locks are opened below while the name is there; then nobody needs them. */
Test(names, handles_that_close_while_their_name_goes_leave_nothing)
{
    rig_t rig;
    pthread_t thread;
    rig_open(&rig, "");
    rig_text(&rig, "/f", "text");
    gone_t g = {&rig, APR_SUCCESS};
    vfs_file_t *a = rig_file(rig.fs, "/f", RIG_R), *b = rig_file(rig.fs, "/f", RIG_R);
    obj_t *o = rig_obj(&rig, "/f");
    rig_block(&rig, VFS_OPID_open, 1);
    pthread_create(&thread, NULL, take_name, &g);
    rig_wait_blocked(&rig, 1);
    OK(vfs_close(a, NULL));
    OK(vfs_close(b, NULL));
    vfs_fault_release(rig.fault);
    pthread_join(thread, NULL);
    OK(g.st);
    CHECK(!o->spares);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

/* A lock on it would hold off nobody who has the handle's file, and others who have done nothing.
 */
Test(names, a_lock_is_not_taken_on_the_file_that_others_put_there)
{
    for (int two = 0; two < 2; two++) {
        rig_t rig;
        vfs_file_t *other, *b = NULL;
        vfs_lock_t lock = {.type = VFS_LOCK_WRITE, .len = 1}, same = lock;
        rig_open(&rig, "");
        rig_text(&rig, "/f", "text");
        vfs_file_t *a = rig_file(rig.fs, "/f", RIG_W);
        if (two) b = rig_file(rig.fs, "/f", RIG_W);
        rig_text(&rig, "/g", "others");
        OK(vfs_rename(rig.bottom, NULL, "/g", "/f", 0));
        OK(vfs_open(&other, rig.bottom, NULL, "/f", RIG_W, 0, NULL, NULL));
        IS(VFS_ESTALE, vfs_lock(a, NULL, &lock));
        OK(vfs_lock(other, NULL, &same)); /* which is free */
        OK(vfs_close(other, NULL));
        OK(vfs_close(a, NULL));
        if (b) OK(vfs_close(b, NULL));
        rig_close(&rig);
    }
}

Test(names, handles_for_locks_of_a_name_that_goes_are_of_its_file)
{
    rig_t rig;
    rig_open(&rig, "");
    rig_text(&rig, "/f", "text");
    vfs_file_t *a = rig_file(rig.fs, "/f", RIG_R), *b = rig_file(rig.fs, "/f", RIG_R);
    obj_t *o = rig_obj(&rig, "/f");
    rig_text(&rig, "/g", "others");
    OK(vfs_rename(rig.bottom, NULL, "/g", "/f", 0));
    cachefs__lock_keep(rig.c, o, NULL);
    CHECK(!o->spares);
    OK(vfs_close(a, NULL));
    OK(vfs_close(b, NULL));
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}
