/*
 * test_listed.c - what a whole listing has not is absent: nothing is asked for it, and nobody is
 * told so wrongly.
 */
#include "tests/engine/support_rig.h"

static void list(rig_t *rig, const char *path)
{
    vfs_dir_t *d;
    vfs_dirent_t e;
    OK(vfs_opendir(&d, rig->fs, NULL, path, 0));
    while (!vfs_readdir(d, NULL, &e)) {
    }
    OK(vfs_closedir(d));
}

static int is_there(rig_t *rig, const char *path)
{
    vfs_attr_t attr;
    apr_status_t st = vfs_lstat(rig->fs, NULL, path, &attr);
    CHECK(!st || APR_STATUS_IS_ENOENT(st));
    return !st;
}

/* How many questions a look-up of an absent name took. */
static uint64_t asks(rig_t *rig, const char *path)
{
    rig_reset(rig);
    CHECK(!is_there(rig, path));
    return rig_requests(rig);
}

static void begin(rig_t *rig, const char *keys)
{
    rig_open(rig, keys);
    OK(vfs_mkdir(rig->bottom, NULL, "/d", 0755));
    rig_text(rig, "/d/file", "text");
    list(rig, "/d");
}

Test(listed, what_a_listing_has_not_is_absent_and_nothing_is_asked)
{
    rig_t rig;
    vfs_file_t *f;
    char name[32];
    begin(&rig, "");
    for (int i = 0; i < 500; i++) {
        (void)snprintf(name, sizeof(name), "/d/none%d", i);
        EQ(asks(&rig, name), 0);
    }
    EQ(asks(&rig, "/d/none0"), 0);
    CHECK(APR_STATUS_IS_ENOENT(vfs_open(&f, rig.fs, NULL, "/d/none", RIG_R, 0, NULL, NULL)));
    EQ(rig_requests(&rig), 0);
    CHECK(is_there(&rig, "/d/file"));
    EQ(rig_stats(&rig).negative_hits, 502);
    CHECK(asks(&rig, "/none") > 0); /* another directory */
    CHECK(asks(&rig, "/none/none") > 0);
    rig_close(&rig);
}

Test(listed, what_is_there_is_never_said_to_be_absent)
{
    enum { NAMES = 5000 };
    rig_t rig;
    char name[48];
    uint64_t asked = 0;
    rig_open(&rig, "ram=4m metadata_entries_max=100");
    for (int i = 0; i < NAMES; i++) {
        (void)snprintf(name, sizeof(name), "/a-name-with-a-number-%d", i);
        rig_text(&rig, name, "x");
    }
    list(&rig, "/");
    for (int i = 0; i < NAMES; i++) {
        (void)snprintf(name, sizeof(name), "/a-name-with-a-number-%d", i);
        CHECK(is_there(&rig, name));
    }
    for (int i = NAMES; i < 2 * NAMES; i++) {
        (void)snprintf(name, sizeof(name), "/a-name-with-a-number-%d", i);
        asked += asks(&rig, name);
    }
    cr_expect_lt(asked, NAMES / 20, "%d of %d", (int)asked, NAMES);
    rig_close(&rig);
}

Test(listed, what_others_may_spell_otherwise_is_asked_for)
{
    static const char *const names[] = {"/d/FILE", "/d/File", "/d/f\xc3\xa4",  "/d/f.",
                                        "/d/f ",   "/d/f~1",  "/d/file:other", "/d/a\\b"};
    rig_t rig;
    begin(&rig, "");
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        EQ(asks(&rig, names[i]), 1);
    rig_close(&rig);
}

Test(listed, our_own_changes_show)
{
    rig_t rig;
    vfs_source_t source = {.size = 0};
    vfs_commit_t how = VFS_COMMIT_INIT;
    begin(&rig, "");
    OK(vfs_mkdir(rig.fs, NULL, "/e", 0755));
    rig_save(&rig, "/d/made", "x", 1);
    CHECK(is_there(&rig, "/d/made"));
    OK(vfs_mkdir(rig.fs, NULL, "/d/sub", 0755));
    CHECK(is_there(&rig, "/d/sub"));
    OK(vfs_symlink(rig.fs, NULL, "file", "/d/link"));
    CHECK(is_there(&rig, "/d/link"));
    list(&rig, "/d");
    OK(vfs_link(rig.fs, NULL, "/d/file", "/d/second"));
    CHECK(is_there(&rig, "/d/second"));
    OK(vfs_mknod(rig.fs, NULL, "/d/fifo", VFS_TYPE_FIFO, 0644, 0));
    CHECK(is_there(&rig, "/d/fifo"));
    rig_save(&rig, "/e/away", "x", 1);
    list(&rig, "/d");
    list(&rig, "/e");
    OK(vfs_rename(rig.fs, NULL, "/e/away", "/d/here", 0));
    CHECK(is_there(&rig, "/d/here"));
    CHECK(!is_there(&rig, "/e/away"));
    list(&rig, "/e");
    OK(vfs_rename(rig.fs, NULL, "/d/here", "/e/away", 0));
    CHECK(is_there(&rig, "/e/away"));
    CHECK(!is_there(&rig, "/d/here"));
    OK(vfs_commit(rig.fs, NULL, "/d/whole", &source, &how, NULL, NULL));
    CHECK(is_there(&rig, "/d/whole"));
    OK(vfs_unlink(rig.fs, NULL, "/d/whole"));
    CHECK(!is_there(&rig, "/d/whole"));
    rig_save(&rig, "/d/whole", "x", 1);
    CHECK(is_there(&rig, "/d/whole"));
    EQ(asks(&rig, "/d/none"), 0); /* all that, and it is known still */
    rig_close(&rig);
}

Test(listed, a_directory_that_moves_takes_nothing_along)
{
    rig_t rig;
    begin(&rig, "");
    OK(vfs_mkdir(rig.fs, NULL, "/e", 0755));
    rig_save(&rig, "/e/other", "x", 1);
    list(&rig, "/d");
    list(&rig, "/e");
    OK(vfs_rename(rig.fs, NULL, "/d", "/moved", 0));
    OK(vfs_rename(rig.fs, NULL, "/e", "/d", 0));
    CHECK(is_there(&rig, "/d/other"));
    CHECK(!is_there(&rig, "/d/file"));
    list(&rig, "/moved");
    OK(vfs_unlink(rig.fs, NULL, "/d/other"));
    OK(vfs_rmdir(rig.fs, NULL, "/d"));
    OK(vfs_symlink(rig.fs, NULL, "moved", "/d"));
    CHECK(!vfs_stat(rig.fs, NULL, "/d/file", NULL));
    CHECK(!is_there(&rig, "/d/later")); /* by a link nothing is known, */
    rig_save(&rig, "/d/later", "x", 1); /* and what is made by it shows */
    CHECK(is_there(&rig, "/moved/later"));
    rig_close(&rig);
}

static int told_is_there(void *baton)
{
    return is_there(baton, "/d/told");
}

Test(listed, others_are_seen_when_the_time_is_over_or_somebody_says_so)
{
    rig_t rig;
    begin(&rig, "");
    rig_text(&rig, "/d/theirs", "x");
    CHECK(!is_there(&rig, "/d/theirs"));
    OK(cachefs_invalidate(rig.fs, "/d/theirs", NULL, NULL));
    CHECK(is_there(&rig, "/d/theirs"));
    OK(cachefs_clear(rig.fs, NULL));
    list(&rig, "/d");
    rig_text(&rig, "/d/more", "x");
    CHECK(!is_there(&rig, "/d/more"));
    OK(cachefs_invalidate_prefix(rig.fs, "/d", NULL, NULL));
    CHECK(is_there(&rig, "/d/more"));
    list(&rig, "/d");
    rig_text(&rig, "/d/again", "x");
    CHECK(!is_there(&rig, "/d/again"));
    OK(cachefs_clear(rig.fs, NULL));
    CHECK(is_there(&rig, "/d/again"));
    rig_again(&rig, "negative_ttl=1s");
    list(&rig, "/d");
    rig_text(&rig, "/d/late", "x");
    rig_nap(1100);
    CHECK(is_there(&rig, "/d/late"));
    rig_again(&rig, "watch=on");
    list(&rig, "/d");
    rig_text(&rig, "/d/told", "x");
    CHECK(rig_until(told_is_there, &rig));
    rig_close(&rig);
}

Test(listed, without_a_ttl_the_lower_layer_is_asked)
{
    static const char *const keys[] = {"negative_ttl=0", "attr_ttl=0", "listing_ttl=0",
                                       "ttl=/d/**=0", "ttl=/d=0"};
    rig_t rig;
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
        begin(&rig, keys[i]);
        CHECK(asks(&rig, "/d/none") > 0);
        rig_close(&rig);
    }
    begin(&rig, "negative_ttl=0 listing_ttl=0 ttl=/d/**=1h,/d=1h");
    EQ(asks(&rig, "/d/none"), 0);
    rig_close(&rig);
}

Test(listed, a_listing_that_is_not_whole_says_nothing)
{
    rig_t rig;
    vfs_dir_t *d;
    begin(&rig, "");
    OK(cachefs_clear(rig.fs, NULL));
    rig_fail(&rig, VFS_OPID_readdir, APR_FROM_OS_ERROR(EIO), 2, 1);
    CHECK(vfs_opendir(&d, rig.fs, NULL, "/d", 0) != 0);
    vfs_fault_clear(rig.fault);
    EQ(asks(&rig, "/d/none"), 1);
    rig_close(&rig);
}

typedef struct side_t {
    pthread_t thread;
    rig_t *rig;
} side_t;

static void *make(void *baton)
{
    side_t *side = baton;
    rig_save(side->rig, "/d/made", "x", 1);
    return NULL;
}

static void *list_it(void *baton)
{
    side_t *side = baton;
    list(side->rig, "/d");
    return NULL;
}

Test(listed, what_is_made_while_it_is_listed_is_not_absent)
{
    rig_t rig;
    side_t side = {.rig = &rig};
    begin(&rig, "");
    OK(cachefs_clear(rig.fs, NULL));
    rig_block(&rig, VFS_OPID_opendir, 1); /* it was answered without the name, perhaps */
    pthread_create(&side.thread, NULL, list_it, &side);
    rig_wait_blocked(&rig, 1);
    rig_save(&rig, "/d/made", "x", 1);
    OK(vfs_unlink(rig.bottom, NULL, "/d/made"));
    vfs_fault_release(rig.fault);
    pthread_join(side.thread, NULL);
    rig_text(&rig, "/d/made", "x");
    cachefs__name_drop(rig.c, &(vfs_path_t){"/d/made", 7, vfs_path_hash("/d/made", 7), 0});
    CHECK(is_there(&rig, "/d/made"));
    EQ(asks(&rig, "/d/none"), 0);
    rig_close(&rig);
}

Test(listed, what_is_being_made_when_it_is_listed_is_not_absent)
{
    rig_t rig;
    side_t side = {.rig = &rig};
    begin(&rig, "");
    OK(cachefs_clear(rig.fs, NULL));
    rig_block(&rig, VFS_OPID_open, 1);
    pthread_create(&side.thread, NULL, make, &side);
    rig_wait_blocked(&rig, 1);
    list(&rig, "/d");
    CHECK(!is_there(&rig, "/d/made"));
    vfs_fault_release(rig.fault);
    pthread_join(side.thread, NULL);
    cachefs__name_drop(rig.c, &(vfs_path_t){"/d/made", 7, vfs_path_hash("/d/made", 7), 0});
    CHECK(is_there(&rig, "/d/made"));
    rig_close(&rig);
}

Test(listed, what_a_conflict_puts_beside_shows)
{
    rig_t rig;
    vfs_dir_t *d;
    vfs_dirent_t e;
    char beside[300] = "";
    begin(&rig, "mode=back flush_interval=1h");
    vfs_file_t *f = rig_file(rig.fs, "/d/file", RIG_W);
    rig_write(f, 0, "OUR", 3);
    rig_text(&rig, "/d/file", "theirs");
    (void)vfs_flush(f, NULL);
    OK(vfs_close(f, NULL));
    OK(vfs_opendir(&d, rig.bottom, NULL, "/d", 0));
    while (!vfs_readdir(d, NULL, &e))
        if (strstr(e.name, "conflict")) (void)snprintf(beside, sizeof(beside), "/d/%.250s", e.name);
    OK(vfs_closedir(d));
    CHECK(beside[0] != '\0');
    CHECK(is_there(&rig, beside));
    rig_close(&rig);
}

Test(listed, a_lower_layer_that_does_not_list_all_is_asked)
{
    rig_t rig;
    rig_open_local(&rig, "");
    rig_text(&rig, "/file", "text");
    list(&rig, "/");
    EQ(asks(&rig, "/none"), 1);
    rig_close(&rig);
}

Test(listed, memory_is_bounded_and_given_back)
{
    rig_t rig;
    char name[32];
    rig_open(&rig, "ram=4m");
    for (int i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof(name), "/d%d", i);
        OK(vfs_mkdir(rig.bottom, NULL, name, 0755));
    }
    for (int i = 0; i < 200; i++) {
        (void)snprintf(name, sizeof(name), "/d%d", i);
        list(&rig, name);
        cr_assert_leq(rig.c->listed.bytes, rig.c->arena.bytes / 64);
    }
    EQ(asks(&rig, "/d199/none"), 0); /* the last ones count, */
    EQ(asks(&rig, "/d0/none"), 1);   /* the first ones went */
    OK(cachefs_clear(rig.fs, NULL));
    EQ(rig.c->listed.bytes, 0);
    EQ(atomic_load(&rig.c->listed.users), 0);
    rig_close(&rig);
}
