/*
 * test_own_change.c - what we did ourselves, by whatever name, is nobody else's work.
 */
#include "tests/engine/support_rig.h"

#define LAZY                                                                                       \
    "attr_ttl=1h negative_ttl=1h listing_ttl=1h mode=back flush_interval=1h dirty_age=1h "         \
    "flush_on_close=off "

typedef apr_status_t (*stat_fn)(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                vfs_attr_t *attr, vfs_validator_t *validator);

/* A look-up that has its answer, and does not go on until it may. */
static struct {
    stat_fn real;
    atomic_int armed, answered, go;
} gap;

static int is_set(void *baton)
{
    return atomic_load((atomic_int *)baton);
}

static apr_status_t stat_and_wait(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                  vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t st = gap.real(fs, ctx, path, attr, validator);

    if (atomic_exchange(&gap.armed, 0)) {
        atomic_store(&gap.answered, 1);
        cr_assert(rig_until(is_set, &gap.go));
    }
    return st;
}

static void *change_mode(void *arg)
{
    rig_t *rig = arg;

    OK(vfs_chmod(rig->fs, NULL, "/d/a", 0600, 0));
    return NULL;
}

/* While the mode of /d/a is set the name, or the one that it is a link to, goes to `other`. */
static void moved_under_chmod(const char *link_to, const char *other, const char *from,
                              const char *to, uint32_t flags)
{
    rig_t rig;
    pthread_t thread;
    vfs_attr_t attr;

    rig_open(&rig, LAZY);
    gap.real = rig.c->lower->ops.stat;
    rig.c->lower->ops.stat = stat_and_wait;
    OK(vfs_mkdir(rig.bottom, NULL, "/d", 0755));
    OK(vfs_mkdir(rig.bottom, NULL, "/e", 0755));
    rig_text(&rig, link_to ? link_to : "/d/a", "was here before");
    if (link_to) OK(vfs_symlink(rig.bottom, NULL, link_to, "/d/a"));
    rig_text(&rig, other, "text");
    vfs_file_t *f = rig_file(rig.fs, other, RIG_W), *old = rig_file(rig.fs, "/d/a", RIG_R);
    OK(cachefs_clear(rig.fs, NULL)); /* so that the name is asked for */
    atomic_store(&gap.armed, 1);
    pthread_create(&thread, NULL, change_mode, &rig);
    cr_assert(rig_until(is_set, &gap.answered)); /* it believes that /d/a is the old file */
    OK(vfs_rename(rig.fs, NULL, from, to, flags));
    rig_write(f, 0, "T", 1);
    atomic_store(&gap.go, 1);
    pthread_join(thread, NULL);
    OK(vfs_fstat(f, NULL, &attr));
    EQ(attr.mode, 0600);
    OK(vfs_flush(f, NULL));
    EQ(rig_stats(&rig).conflicts, 0);
    rig_holds_text(rig.bottom, "/d/a", "Text");
    OK(vfs_close(f, NULL));
    OK(vfs_close(old, NULL));
    rig_close(&rig);
}

Test(own_change, attributes_that_are_set_while_the_name_goes_to_another_file_are_ours)
{
    moved_under_chmod(NULL, "/d/b", "/d/b", "/d/a", 0);
}

Test(own_change, attributes_that_are_set_while_directories_move_are_ours)
{
    moved_under_chmod(NULL, "/e/a", "/e", "/d", VFS_RENAME_EXCHANGE);
}

Test(own_change, attributes_that_are_set_while_a_link_comes_to_lead_to_another_file_are_ours)
{
    moved_under_chmod("/t", "/b", "/b", "/t", 0);
}

/* ---- by a path with a symbolic link on it */

static void *look_at_link(void *arg)
{
    rig_t *rig = arg;
    vfs_attr_t attr;

    OK(vfs_stat(rig->fs, NULL, "/l", &attr));
    return NULL;
}

Test(own_change, what_a_link_led_to_before_a_rename_is_not_kept_after_it)
{
    rig_t rig;
    pthread_t thread;
    vfs_attr_t attr, b;

    rig_open(&rig, LAZY);
    gap.real = rig.c->lower->ops.stat;
    rig.c->lower->ops.stat = stat_and_wait;
    rig_text(&rig, "/a", "was here before");
    rig_text(&rig, "/b", "text");
    OK(vfs_symlink(rig.bottom, NULL, "a", "/l"));
    OK(vfs_stat(rig.bottom, NULL, "/b", &b));
    atomic_store(&gap.armed, 1);
    pthread_create(&thread, NULL, look_at_link, &rig);
    cr_assert(rig_until(is_set, &gap.answered));
    OK(vfs_rename(rig.fs, NULL, "/b", "/a", 0));
    atomic_store(&gap.go, 1);
    pthread_join(thread, NULL);
    OK(vfs_stat(rig.fs, NULL, "/l", &attr));
    EQ(attr.ino, b.ino);
    rig_close(&rig);
}

typedef apr_status_t (*chmod_fn)(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                 uint32_t mode, uint32_t flags);

static struct {
    chmod_fn real;
    rig_t *rig;
    vfs_file_t *other; /* /b */
} swap;

/* A rename for which there is little time: whoever holds the names still is not waited for. */
static apr_status_t try_rename(rig_t *rig, const char *from, const char *to)
{
    vfs_ctx_t hurry = VFS_CTX_INIT;
    hurry.deadline = apr_time_now() + 20000;
    return vfs_rename(rig->fs, &hurry, from, to, 0);
}

/* If it can be, another file has the name while the call is below, and not before and after it. */
static apr_status_t chmod_between(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                  uint32_t mode, uint32_t flags)
{
    rig_t *rig = swap.rig;
    int moved = !try_rename(rig, "/a", "/x") && !try_rename(rig, "/b", "/a");
    rig_write(swap.other, 0, "T", 1);
    rig_nap(20); /* so that the time of the change is another one */
    apr_status_t st = swap.real(fs, ctx, path, mode, flags);
    OK(vfs_flush(swap.other, NULL));
    if (moved) {
        OK(try_rename(rig, "/a", "/b"));
        OK(try_rename(rig, "/x", "/a"));
    }
    return st;
}

/* `known`: the file by its own path, and then by the link, from the cache. */
static void chmod_through_link(int known)
{
    rig_t rig;
    vfs_attr_t attr;

    rig_open_local(&rig, LAZY);
    rig_text(&rig, "/a", "the target");
    rig_text(&rig, "/b", "text");
    OK(vfs_symlink(rig.bottom, NULL, "a", "/l"));
    for (int i = 0; known && i < 2; i++) {
        OK(vfs_stat(rig.fs, NULL, "/l", &attr));
        CHECK(!(attr.flags & VFS_ATTR_DIRECT));
        OK(vfs_stat(rig.fs, NULL, "/a", &attr));
        CHECK(attr.flags & VFS_ATTR_DIRECT);
    }
    swap.rig = &rig;
    swap.other = rig_file(rig.fs, "/b", RIG_W);
    swap.real = rig.c->lower->ops.chmod;
    rig.c->lower->ops.chmod = chmod_between;
    OK(vfs_chmod(rig.fs, NULL, "/l", 0600, 0));
    EQ(rig_stats(&rig).conflicts, 0);
    OK(vfs_rename(rig.fs, NULL, "/a", "/x", 0)); /* names are free again */
    rig_holds_text(rig.bottom, "/b", "Text");
    OK(vfs_close(swap.other, NULL));
    rig_close(&rig);
}

Test(own_change, attributes_that_are_set_through_a_link_whose_target_is_renamed_twice_are_ours)
{
    chmod_through_link(0);
}

Test(own_change, attributes_that_are_set_through_a_link_to_a_file_that_is_known_are_ours)
{
    chmod_through_link(1);
}

static apr_status_t give_bytes(void *baton, void *buf, size_t len, apr_off_t off)
{
    memcpy(buf, (const char *)baton + off, len);
    return APR_SUCCESS;
}

/* The same where the reply was lost, and where nobody can be asked what came of it. */
Test(own_change, a_commit_whose_reply_was_lost_makes_no_conflict)
{
    for (int asked = 0; asked < 2; asked++) {
        rig_t rig;
        char text[] = "committed";
        vfs_source_t source = {give_bytes, text, 9};
        vfs_attr_t attr;

        rig_open_local(&rig, LAZY);
        rig_text(&rig, "/f", "old");
        vfs_file_t *f = rig_file(rig.fs, "/f", RIG_W);
        rig_write(f, 3, "er", 2);
        OK(vfs_flush(f, NULL));
        OK(vfs_stat(rig.fs, NULL, "/", &attr));
        OK(vfs_stat(rig.fs, NULL, "/f", &attr)); /* known, so that the first question comes after */
        vfs_fault_t lost = {.what = VFS_FAULT_LOST_REPLY, .times = 1};
        VFS_FAULT_OP(lost, VFS_OPID_commit);
        OK(vfs_fault_add(rig.fault, &lost));
        if (!asked) rig_fail(&rig, VFS_OPID_stat, APR_FROM_OS_ERROR(EIO), 0, 0);
        IS(APR_FROM_OS_ERROR(EIO), vfs_commit(rig.fs, NULL, "/f", &source, NULL, NULL, NULL));
        vfs_fault_clear(rig.fault);
        for (int i = 0; i < 3; i++) {
            rig_write(f, i, "X", 1);
            OK(vfs_flush(f, NULL));
        }
        EQ(rig_stats(&rig).conflicts, 0);
        rig_read(f, 0, "XXXer", 5);
        rig_holds_text(rig.fs, "/f", "committed");
        rig_holds_text(rig.bottom, "/f", "committed");
        OK(vfs_close(f, NULL));
        rig_close(&rig);
    }
}

Test(own_change, a_file_whose_name_a_commit_took_goes_on_by_its_handles)
{
    for (int local = 0; local < 2; local++) {
        rig_t rig;
        char text[] = "committed", buf[16];
        size_t got;
        vfs_source_t source = {give_bytes, text, 9};

        (local ? rig_open_local : rig_open)(&rig, LAZY);
        rig_text(&rig, "/f", "old");
        vfs_file_t *f = rig_file(rig.fs, "/f", RIG_W);
        rig_write(f, 3, "er", 2);
        vfs_attr_t attr;
        apr_status_t st = vfs_commit(rig.fs, NULL, "/f", &source, NULL, &attr, NULL);
        if (!APR_STATUS_IS_ENOTIMPL(st)) {
            vfs_attr_t mine;
            OK(st);
            rig_holds_text(rig.fs, "/f", "committed");
            OK(vfs_fstat(f, NULL, &mine));
            int same = mine.ino == attr.ino; /* the backend may write into the old file */
            OK(vfs_read_at(f, NULL, buf, sizeof(buf), 0, &got));
            CHECK(same ? got == 9 && !memcmp(buf, text, 9) : got == 5 && !memcmp(buf, "older", 5));
            rig_write(f, 0, "O", 1);
            OK(vfs_flush(f, NULL));
            rig_write(f, 1, "L", 1);
            OK(vfs_flush(f, NULL));
            EQ(rig_stats(&rig).conflicts, 0);
            rig_holds_text(rig.fs, "/f", same ? "OLmmitted" : "committed");
            rig_holds_text(rig.bottom, "/f", same ? "OLmmitted" : "committed");
        }
        OK(vfs_close(f, NULL));
        rig_close(&rig);
    }
}
