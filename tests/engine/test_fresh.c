/*
 * test_fresh.c - freshness: TTLs, revalidation, invalidation, change events, links.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h "

static uint64_t names_in(vfs_t *fs, const char *path)
{
    vfs_dir_t *d;
    vfs_dirent_t e;
    uint64_t n = 0;

    OK(vfs_opendir(&d, fs, NULL, path, 0));
    while (vfs_readdir(d, NULL, &e) == APR_SUCCESS)
        n++;
    OK(vfs_closedir(d));
    return n;
}

Test(fresh, attributes_are_asked_again_after_their_ttl)
{
    rig_t rig;
    vfs_attr_t attr;

    rig_open(&rig, "attr_ttl=1h");
    rig_text(&rig, "/f", "old");
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    rig_text(&rig, "/f", "newer");
    rig_reset(&rig);
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    EQ(attr.size, 3);
    EQ(rig_requests(&rig), 0);
    rig_set(&rig, "attr_ttl", "1ms");
    rig_nap(20);
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    EQ(attr.size, 5);
    rig_holds_text(rig.fs, "/f", "newer");
    rig_close(&rig);
}

Test(fresh, absences_are_asked_again_after_theirs)
{
    rig_t rig;
    vfs_attr_t attr;

    rig_open(&rig, "attr_ttl=1h negative_ttl=1h");
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/f", &attr));
    rig_text(&rig, "/f", "here");
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/f", &attr));
    rig_set(&rig, "negative_ttl", "1ms");
    rig_nap(20);
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    OK(cachefs_set(rig.fs, "negative_ttl", "0", NULL, 0));
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/g", &attr));
    rig_text(&rig, "/g", "here");
    OK(vfs_stat(rig.fs, NULL, "/g", &attr));
    rig_close(&rig);
}

Test(fresh, listings_are_asked_again_after_theirs)
{
    rig_t rig;

    rig_open(&rig, "attr_ttl=1h listing_ttl=1h");
    rig_text(&rig, "/a", "x");
    EQ(names_in(rig.fs, "/"), 1);
    rig_text(&rig, "/b", "x");
    EQ(names_in(rig.fs, "/"), 1);
    rig_set(&rig, "listing_ttl", "1ms");
    rig_nap(20);
    EQ(names_in(rig.fs, "/"), 2);
    OK(cachefs_set(rig.fs, "listing_ttl", "0", NULL, 0));
    rig_text(&rig, "/c", "x");
    EQ(names_in(rig.fs, "/"), 3);
    rig_close(&rig);
}

Test(fresh, rules_by_path_override_the_ttls)
{
    rig_t rig;
    vfs_attr_t attr;

    rig_open(&rig, "attr_ttl=0 negative_ttl=0 listing_ttl=0 ttl=/static/**=1h,/tmp/**=0");
    OK(vfs_mkdir(rig.bottom, NULL, "/static", 0755));
    rig_text(&rig, "/static/f", "old");
    rig_text(&rig, "/f", "old");
    rig_holds_text(rig.fs, "/static/f", "old");
    rig_holds_text(rig.fs, "/f", "old");
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/static/g", &attr));
    rig_text(&rig, "/static/f", "newer");
    rig_text(&rig, "/static/g", "newer");
    rig_text(&rig, "/f", "newer");
    rig_holds_text(rig.fs, "/static/f", "old");
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/static/g", &attr));
    rig_holds_text(rig.fs, "/f", "newer");
    OK(cachefs_invalidate_prefix(rig.fs, "/static", NULL, NULL));
    rig_holds_text(rig.fs, "/static/f", "newer");
    rig_holds_text(rig.fs, "/static/g", "newer");
    rig_close(&rig);
}

Test(fresh, with_a_ttl_of_zero_each_open_revalidates_and_reads_nothing_again)
{
    rig_t rig;

    rig_open(&rig, "attr_ttl=0");
    rig_text(&rig, "/f", "some text");
    rig_holds_text(rig.fs, "/f", "some text");
    rig_reset(&rig);
    for (int i = 0; i < 5; i++)
        rig_holds_text(rig.fs, "/f", "some text");
    EQ(rig_requests(&rig), 5);
    EQ(rig_moved(&rig), 0);
    CHECK(rig_stats(&rig).revalidations >= 5);
    rig_poke(&rig, "/f", 5, "TEXT", 4);
    rig_holds_text(rig.fs, "/f", "some TEXT");
    rig_close(&rig);
}

Test(fresh, an_open_handle_moves_on_when_the_file_changes_below)
{
    rig_t rig;

    rig_open(&rig, "attr_ttl=0");
    rig_text(&rig, "/f", "some text");
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_read(f, 0, "some text", 9);
    rig_poke(&rig, "/f", 0, "SOME", 4);
    vfs_attr_t attr;
    OK(vfs_fstat(f, NULL, &attr));
    rig_read(f, 0, "SOME text", 9);
    OK(vfs_close(f, NULL));
    rig_close(&rig);
}

/* A tree below, all of it cached; then others change every file. */
static const char *const tree[] = {"/a/f", "/a/b/f", "/ab/f", "/a.f", "/c/x.h", "/c/x.c"};

static void tree_cached(rig_t *rig)
{
    OK(vfs_mkdir_all(rig->bottom, NULL, "/a/b", 0755));
    OK(vfs_mkdir(rig->bottom, NULL, "/ab", 0755));
    OK(vfs_mkdir(rig->bottom, NULL, "/c", 0755));
    for (int i = 0; i < 6; i++) {
        rig_text(rig, tree[i], "old");
        rig_holds_text(rig->fs, tree[i], "old");
    }
    for (int i = 0; i < 6; i++)
        rig_text(rig, tree[i], "newer");
}

/* Exactly the files of `mask` show the new bytes. */
static void tree_shows(rig_t *rig, unsigned mask)
{
    for (int i = 0; i < 6; i++)
        cr_assert(
            rig_same(rig->fs, tree[i], mask & 1u << i ? "newer" : "old", mask & 1u << i ? 5 : 3),
            "%s", tree[i]);
}

Test(fresh, invalidation_by_path_prefix_and_glob_hits_whole_components_only)
{
    rig_t rig;
    uint64_t n = 0;

    rig_open(&rig, LONG);
    tree_cached(&rig);
    tree_shows(&rig, 0);
    OK(cachefs_invalidate(rig.fs, "/a/f", &n, NULL));
    EQ(n, 1);
    tree_shows(&rig, 1);
    OK(cachefs_invalidate(rig.fs, "/not-cached", &n, NULL));
    EQ(n, 0);
    OK(cachefs_invalidate_prefix(rig.fs, "/a", &n, NULL));
    CHECK(n >= 2);
    tree_shows(&rig, 3); /* not /ab, not /a.f */
    OK(cachefs_invalidate_glob(rig.fs, "/c/*.h", &n, NULL));
    EQ(n, 1);
    tree_shows(&rig, 3 | 16);
    OK(cachefs_invalidate_glob(rig.fs, "/**/f", &n, NULL));
    tree_shows(&rig, 7 | 16);
    OK(cachefs_invalidate_prefix(rig.fs, "/", &n, NULL));
    tree_shows(&rig, 63);
    IS(APR_EINVAL, cachefs_invalidate(rig.fs, "relative", &n, NULL));
    IS(APR_EINVAL, cachefs_invalidate_prefix(rig.fs, "relative", &n, NULL));
    IS(APR_EINVAL, cachefs_invalidate_glob(rig.fs, "/[", &n, NULL));
    IS(APR_EINVAL, cachefs_invalidate_glob(rig.fs, NULL, &n, NULL));
    IS(APR_EINVAL, cachefs_invalidate(rig.bottom, "/a", &n, NULL));
    rig_close(&rig);
}

typedef struct seen_t {
    rig_t *rig;
    const char *path, *text;
} seen_t;

static int shows(void *baton)
{
    seen_t *s = baton;
    vfs_attr_t attr;

    if (vfs_stat(s->rig->fs, NULL, s->path, &attr)) return s->text == NULL;
    return s->text && rig_same(s->rig->fs, s->path, s->text, strlen(s->text));
}

static int listed(void *baton)
{
    seen_t *s = baton;

    return names_in(s->rig->fs, "/") == strtoul(s->text, NULL, 10);
}

static void events(void (*open)(rig_t *rig, const char *keys))
{
    rig_t rig;

    open(&rig, LONG "watch=on");
    CHECK(rig.c->watching);
    rig_text(&rig, "/f", "old");
    OK(vfs_mkdir(rig.bottom, NULL, "/d", 0755));
    seen_t s = {&rig, "/f", "old"};
    CHECK(rig_until(shows, &s));
    rig_poke(&rig, "/f", 0, "new", 3);
    s.text = "new";
    CHECK(rig_until(shows, &s));
    s = (seen_t){&rig, "/g", NULL};
    CHECK(rig_until(shows, &s));
    rig_text(&rig, "/g", "made"); /* an absence ends */
    s.text = "made";
    CHECK(rig_until(shows, &s));
    s = (seen_t){&rig, "/", "3"};
    CHECK(rig_until(listed, &s));
    OK(vfs_rename(rig.bottom, NULL, "/g", "/d/g", 0));
    s.text = "2";
    CHECK(rig_until(listed, &s));
    s = (seen_t){&rig, "/d/g", "made"};
    CHECK(rig_until(shows, &s));
    s = (seen_t){&rig, "/g", NULL};
    CHECK(rig_until(shows, &s));
    OK(vfs_unlink(rig.bottom, NULL, "/f"));
    s = (seen_t){&rig, "/f", NULL};
    CHECK(rig_until(shows, &s));
    rig_close(&rig);
}

Test(fresh, change_events_of_a_directory_invalidate)
{
    events(rig_open_local);
}

Test(fresh, change_events_of_memory_invalidate)
{
    events(rig_open);
}

static void directories_move(void (*open)(rig_t *rig, const char *keys))
{
    rig_t rig;

    open(&rig, LONG "watch=on");
    OK(vfs_mkdir_all(rig.bottom, NULL, "/d/in", 0755));
    OK(vfs_mkdir_all(rig.bottom, NULL, "/e/in", 0755));
    rig_text(&rig, "/d/in/f", "old");
    rig_text(&rig, "/e/in/f", "other");
    seen_t s = {&rig, "/d/in/f", "old"};
    CHECK(rig_until(shows, &s));
    s = (seen_t){&rig, "/", "2"};
    CHECK(rig_until(listed, &s));
    OK(vfs_rename(rig.bottom, NULL, "/d", "/e/d", 0));
    s = (seen_t){&rig, "/", "1"};
    CHECK(rig_until(listed, &s));
    s = (seen_t){&rig, "/d/in/f", NULL};
    CHECK(rig_until(shows, &s));
    OK(vfs_rename(rig.bottom, NULL, "/e", "/d", 0));
    s = (seen_t){&rig, "/d/in/f", "other"};
    CHECK(rig_until(shows, &s));
    s = (seen_t){&rig, "/d/d/in/f", "old"};
    CHECK(rig_until(shows, &s));
    rig_close(&rig);
}

Test(fresh, what_is_below_a_directory_that_others_move_is_asked_for_again)
{
    directories_move(rig_open_local);
    directories_move(rig_open);
}

/* Backends need not tell of more than the directory itself. */
Test(fresh, an_event_of_a_directory_concerns_all_below_it_and_its_bytes_stay)
{
    static const uint32_t kinds[] = {VFS_EVENT_REMOVED, VFS_EVENT_CREATED,
                                     VFS_EVENT_REMOVED | VFS_EVENT_OVERFLOW};
    rig_t rig;

    rig_open(&rig, LONG);
    OK(vfs_mkdir_all(rig.bottom, NULL, "/d/in", 0755));
    rig_text(&rig, "/d/in/f", "one");
    rig_text(&rig, "/dd", "beside");
    rig_holds_text(rig.fs, "/dd", "beside");
    for (int k = 0; k < 3; k++) {
        OK(vfs_rename(rig.bottom, NULL, "/d", "/old", 0));
        IS(APR_FROM_OS_ERROR(ENOENT), vfs_stat(rig.fs, NULL, "/d/in/g", NULL));
        cachefs__on_event(rig.c, VFS_EVENT_REMOVED, "/d");
        OK(vfs_rename(rig.bottom, NULL, "/old", "/d", 0));
        cachefs__on_event(rig.c, VFS_EVENT_CREATED, "/d");
        rig_holds_text(rig.fs, "/d/in/f", "one");
        OK(vfs_rename(rig.bottom, NULL, "/d", "/old", 0));
        rig_holds_text(rig.fs, "/d/in/f", "one"); /* nobody told */
        cachefs__on_event(rig.c, kinds[k], "/d");
        IS(APR_FROM_OS_ERROR(ENOENT), vfs_stat(rig.fs, NULL, "/d/in/f", NULL));
        OK(vfs_rename(rig.bottom, NULL, "/old", "/d", 0));
        cachefs__on_event(rig.c, VFS_EVENT_CREATED, "/d");
    }
    rig_holds_text(rig.fs, "/d/in/f", "one");
    cachefs__on_event(rig.c, VFS_EVENT_REMOVED, "/d");
    cachefs__on_event(rig.c, VFS_EVENT_CREATED, "/d");
    rig_reset(&rig);
    rig_holds_text(rig.fs, "/d/in/f", "one");
    CHECK(rig_requests(&rig) != 0);
    EQ(rig_moved(&rig), 0);
    rig_reset(&rig);
    rig_holds_text(rig.fs, "/dd", "beside");
    EQ(rig_requests(&rig), 0);
    rig_close(&rig);
}

static atomic_int heard;

static void hear(void *baton, uint32_t events, const char *path)
{
    (void)baton;
    (void)path;
    if (events & VFS_EVENT_CHANGED) atomic_store(&heard, 1);
}

static int was_heard(void *baton)
{
    (void)baton;
    return atomic_load(&heard);
}

/* Whoever hears of it asks us, and must not be told what was before. */
Test(fresh, an_event_of_our_own_change_is_passed_on_when_that_has_ended)
{
    rig_t rig;
    uint64_t watch = 0;

    rig_open(&rig, LONG "watch=on");
    rig_text(&rig, "/f", "old");
    rig_holds_text(rig.fs, "/f", "old");
    OK(vfs_watch(rig.fs, NULL, "/", hear, NULL, &watch));
    obj_t *o = rig_obj(&rig, "/f");
    cachefs__obj_change_begin(rig.c, o);
    rig_poke(&rig, "/f", 0, "new", 3);
    rig_nap(30);
    CHECK(!atomic_load(&heard));
    cachefs__obj_change_end(rig.c, o, 1);
    CHECK(rig_until(was_heard, NULL));
    cachefs__obj_put(rig.c, o);
    OK(vfs_unwatch(rig.fs, watch));
    CHECK(vfs_unwatch(rig.fs, watch) == APR_EINVAL);
    rig_close(&rig);
}

Test(fresh, hard_links_share_bytes_and_attributes)
{
    static const char *const modes[] = {
        LONG "mode=through", LONG "mode=around",
        LONG "mode=back flush_interval=1h dirty_age=1h flush_on_close=off"};
    for (int m = 0; m < 6; m++) {
        rig_t rig;
        vfs_attr_t a, b;
        if (m < 3)
            rig_open(&rig, modes[m]);
        else
            rig_open_local(&rig, modes[m - 3]);
        rig_save(&rig, "/a", "some text", 9);
        OK(vfs_link(rig.fs, NULL, "/a", "/b"));
        rig_holds_text(rig.fs, "/a", "some text");
        rig_holds_text(rig.fs, "/b", "some text");
        CHECK(rig_stats(&rig).files <= 2); /* the file and the root */
        EQ(rig_stats(&rig).blocks, 1);
        vfs_file_t *w = rig_file(rig.fs, "/b", RIG_W);
        rig_write(w, 0, "SOME", 4);
        rig_holds_text(rig.fs, "/a", "SOME text");
        OK(vfs_fchmod(w, NULL, 0600));
        OK(vfs_ftruncate(w, NULL, 4));
        OK(vfs_stat(rig.fs, NULL, "/a", &a));
        OK(vfs_stat(rig.fs, NULL, "/b", &b));
        EQ(a.size, 4);
        EQ(a.mode, 0600);
        EQ(a.nlink, 2);
        EQ(a.ino, b.ino);
        EQ(a.mtime_ns, b.mtime_ns);
        EQ(b.size, 4);
        OK(vfs_close(w, NULL));
        OK(vfs_unlink(rig.fs, NULL, "/a"));
        OK(vfs_stat(rig.fs, NULL, "/b", &b));
        EQ(b.nlink, 1);
        rig_holds_text(rig.fs, "/b", "SOME");
        rig_close(&rig);
    }
}

Test(fresh, aliases_through_symbolic_links_see_changes)
{
    rig_t rig;
    vfs_attr_t attr;

    rig_open(&rig, LONG);
    OK(vfs_mkdir(rig.fs, NULL, "/d", 0755));
    OK(vfs_symlink(rig.fs, NULL, "/d", "/l"));
    OK(vfs_symlink(rig.fs, NULL, "f", "/d/alias"));
    rig_save(&rig, "/d/f", "one", 3);
    rig_holds_text(rig.fs, "/l/f", "one");
    rig_holds_text(rig.fs, "/l/alias", "one");
    rig_save(&rig, "/l/f", "two", 3);
    rig_holds_text(rig.fs, "/d/f", "two");
    rig_holds_text(rig.fs, "/d/alias", "two");
    OK(vfs_unlink(rig.fs, NULL, "/l/f"));
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/d/f", &attr));
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/d/alias", &attr));
    OK(vfs_lstat(rig.fs, NULL, "/d/alias", &attr));
    rig_save(&rig, "/l/alias", "three", 5); /* made through the dangling link */
    rig_holds_text(rig.fs, "/d/f", "three");
    OK(vfs_mkdir(rig.fs, NULL, "/e", 0755));
    rig_save(&rig, "/e/f", "elsewhere", 9);
    OK(vfs_unlink(rig.fs, NULL, "/l"));
    OK(vfs_symlink(rig.fs, NULL, "/e", "/l"));
    rig_holds_text(rig.fs, "/l/f", "elsewhere");
    rig_close(&rig);
}
