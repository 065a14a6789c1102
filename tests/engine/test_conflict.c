/*
 * test_conflict.c - the file changed below under our dirty data: keep-both, ours, theirs.
 */
#include "tests/engine/support_rig.h"

#define LAZY                                                                                       \
    "attr_ttl=1h negative_ttl=1h listing_ttl=1h mode=back flush_interval=1h dirty_age=1h "         \
    "flush_on_close=off "

/* The one name in `dir` that begins so, after it; "" for none; fails on several. */
static void find_conflict(vfs_t *fs, const char *dir, char *path, size_t size)
{
    vfs_dir_t *d;
    vfs_dirent_t e;

    path[0] = '\0';
    OK(vfs_opendir(&d, fs, NULL, dir, 0));
    while (vfs_readdir(d, NULL, &e) == APR_SUCCESS) {
        if (!strstr(e.name, ".conflict-")) continue;
        CHECK(!path[0]);
        CHECK(e.name_len <= 255);
        (void)snprintf(path, size, "%s/%s", strcmp(dir, "/") ? dir : "", e.name);
    }
    OK(vfs_closedir(d));
}

typedef struct heard_t {
    int lines;
    char last[512];
} heard_t;

static void hear(void *baton, int level, const char *line)
{
    heard_t *h = baton;

    (void)level;
    h->lines++;
    (void)snprintf(h->last, sizeof(h->last), "%s", line);
}

/* "OUR" over "old text", while others made it "THEIRS, longer". */
static void conflict_begin(rig_t *rig, const char *policy, const char *name, heard_t *heard)
{
    char keys[256];

    (void)snprintf(keys, sizeof(keys), LAZY "conflict=%s", policy);
    rig_open(rig, keys);
    rig->c->fixed.log = hear;
    rig->c->fixed.log_baton = heard;
    rig_text(rig, name, "old text");
    vfs_file_t *w = rig_file(rig->fs, name, RIG_W);
    rig_write(w, 0, "OUR", 3);
    OK(vfs_close(w, NULL));
    rig_poke(rig, name, 0, "THEIRS, longer", 14);
}

Test(conflict, keep_both_writes_ours_beside_it_whole)
{
    rig_t rig;
    heard_t heard = {0};
    char path[VFS_PATH_MAX];

    conflict_begin(&rig, "keep-both", "/f", &heard);
    OK(cachefs_flush(rig.fs, NULL, "/f", 0));
    EQ(rig_stats(&rig).conflicts, 1);
    EQ(rig_stats(&rig).dirty_bytes, 0);
    rig_holds_text(rig.bottom, "/f", "THEIRS, longer");
    find_conflict(rig.bottom, "/", path, sizeof(path));
    CHECK(strncmp(path, "/f.conflict-", 12) == 0);
    rig_holds_text(rig.bottom, path, "OUR text");
    rig_holds_text(rig.fs, "/f", "THEIRS, longer");
    find_conflict(rig.fs, "/", path, sizeof(path)); /* it is seen through the cache too */
    CHECK(path[0]);
    rig_holds_text(rig.fs, path, "OUR text");
    CHECK(heard.lines >= 1 && strstr(heard.last, ".conflict-"));
    rig_close(&rig);
}

Test(conflict, ours_wins_where_that_is_asked_for)
{
    rig_t rig;
    heard_t heard = {0};
    char path[VFS_PATH_MAX], *data = NULL;
    size_t len;

    conflict_begin(&rig, "ours", "/f", &heard);
    OK(cachefs_flush(rig.fs, NULL, "/f", 0));
    EQ(rig_stats(&rig).conflicts, 1);
    find_conflict(rig.bottom, "/", path, sizeof(path));
    CHECK(!path[0]);
    OK(vfs_read_file(&data, &len, rig.bottom, NULL, "/f", 0, rig.pool));
    CHECK(len >= 8 && memcmp(data, "OUR", 3) == 0);
    CHECK(heard.lines >= 1);
    rig_holds(rig.fs, "/f", data, len); /* what is cached is what is below */
    rig_close(&rig);
}

Test(conflict, theirs_wins_where_that_is_asked_for)
{
    rig_t rig;
    heard_t heard = {0};
    char path[VFS_PATH_MAX];

    conflict_begin(&rig, "theirs", "/f", &heard);
    OK(cachefs_flush(rig.fs, NULL, "/f", 0));
    EQ(rig_stats(&rig).conflicts, 1);
    EQ(rig_stats(&rig).dirty_bytes, 0);
    rig_holds_text(rig.bottom, "/f", "THEIRS, longer");
    rig_holds_text(rig.fs, "/f", "THEIRS, longer");
    find_conflict(rig.bottom, "/", path, sizeof(path));
    CHECK(!path[0]);
    CHECK(heard.lines >= 1);
    rig_close(&rig);
}

Test(conflict, the_name_beside_it_is_cut_to_255_bytes)
{
    rig_t rig;
    heard_t heard = {0};
    char name[257], path[VFS_PATH_MAX];

    name[0] = '/';
    memset(name + 1, 'n', 255);
    name[256] = '\0';
    conflict_begin(&rig, "keep-both", name, &heard);
    OK(cachefs_flush(rig.fs, NULL, NULL, 0));
    find_conflict(rig.bottom, "/", path, sizeof(path));
    CHECK(strlen(path) == 256);
    rig_holds_text(rig.bottom, path, "OUR text");
    rig_holds_text(rig.bottom, name, "THEIRS, longer");
    rig_close(&rig);
}

Test(conflict, two_conflicts_in_one_second_get_names_of_their_own)
{
    rig_t rig;
    heard_t heard = {0};
    int count = 0;
    vfs_dir_t *d;
    vfs_dirent_t e;

    conflict_begin(&rig, "keep-both", "/f", &heard);
    OK(cachefs_flush(rig.fs, NULL, "/f", 0));
    for (int i = 0; i < 2; i++) {
        vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
        rig_write(w, 0, "AGAIN", 5);
        OK(vfs_close(w, NULL));
        rig_poke(&rig, "/f", 0, i ? "more" : "MORE", 4);
        OK(cachefs_flush(rig.fs, NULL, "/f", 0));
    }
    OK(vfs_opendir(&d, rig.bottom, NULL, "/", 0));
    while (vfs_readdir(d, NULL, &e) == APR_SUCCESS)
        count += strstr(e.name, ".conflict-") != NULL;
    OK(vfs_closedir(d));
    EQ(count, 3);
    EQ(rig_stats(&rig).conflicts, 3);
    rig_close(&rig);
}

Test(conflict, a_file_that_others_replaced_or_removed_is_a_conflict_too)
{
    static const char *const policies[] = {"keep-both", "ours", "theirs"};
    for (int k = 0; k < 6; k++) {
        rig_t rig;
        heard_t heard = {0};
        char path[VFS_PATH_MAX];
        vfs_attr_t attr;
        int removed = k >= 3;
        conflict_begin(&rig, policies[k % 3], "/f", &heard);
        if (removed)
            OK(vfs_unlink(rig.bottom, NULL, "/f"));
        else
            rig_text(&rig, "/f", "another file");
        OK(cachefs_flush(rig.fs, NULL, NULL, 0));
        EQ(rig_stats(&rig).dirty_bytes, 0);
        EQ(rig_stats(&rig).conflicts, 1);
        find_conflict(rig.bottom, "/", path, sizeof(path));
        CHECK(!path[0] == (k % 3 != 0));
        if (path[0]) rig_holds_text(rig.bottom, path, "OUR text");
        if (k % 3 == 1) {
            rig_holds_text(rig.bottom, "/f", "OUR text");
            rig_holds_text(rig.fs, "/f", "OUR text");
        } else if (removed) {
            IS(APR_ENOENT, vfs_stat(rig.bottom, NULL, "/f", &attr));
            IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/f", &attr));
        } else {
            rig_holds_text(rig.bottom, "/f", "another file");
            rig_holds_text(rig.fs, "/f", "another file");
        }
        rig_close(&rig);
    }
}

Test(conflict, a_conflict_that_cannot_be_settled_loses_nothing)
{
    rig_t rig;
    heard_t heard = {0};
    char path[VFS_PATH_MAX];

    conflict_begin(&rig, "keep-both", "/f", &heard);
    rig_fail(&rig, VFS_OPID_write_at, APR_FROM_OS_ERROR(ENOSPC), 0, 1);
    IS(APR_FROM_OS_ERROR(ENOSPC), cachefs_flush(rig.fs, NULL, "/f", 0));
    CHECK(rig_stats(&rig).dirty_bytes > 0);
    find_conflict(rig.bottom, "/", path, sizeof(path));
    CHECK(!path[0]); /* no half of it is left */
    rig_holds_text(rig.fs, "/f", "OUR text");
    OK(cachefs_flush(rig.fs, NULL, "/f", 0));
    find_conflict(rig.bottom, "/", path, sizeof(path));
    rig_holds_text(rig.bottom, path, "OUR text");
    rig_close(&rig);
}

static void *flush_it(void *arg)
{
    OK(cachefs_flush(((rig_t *)arg)->fs, NULL, "/f", 0));
    return NULL;
}

static void *write_it(void *arg)
{
    vfs_file_t *w = arg;

    rig_write(w, 4, "LATE", 4);
    rig_write(w, VFS_OFFSET_END, "!", 1);
    return NULL;
}

typedef struct waits_t {
    rig_t *rig;
    uint64_t before;
} waits_t;

static int has_waited(void *baton)
{
    waits_t *w = baton;

    return cachefs__counter(&w->rig->c->counters, CNT_WAITS) > w->before;
}

Test(conflict, what_is_written_while_it_is_settled_is_on_top_of_the_outcome)
{
    rig_t rig;
    heard_t heard = {0};
    char path[VFS_PATH_MAX];
    pthread_t flusher, writer;
    vfs_fault_t rule = {.what = VFS_FAULT_BLOCK, .glob = "/f.conflict-*", .times = 1};

    conflict_begin(&rig, "keep-both", "/f", &heard);
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
    VFS_FAULT_OP(rule, VFS_OPID_write_at);
    OK(vfs_fault_add(rig.fault, &rule));
    EQ(pthread_create(&flusher, NULL, flush_it, &rig), 0);
    rig_wait_blocked(&rig, 1); /* ours is being copied beside */
    waits_t waits = {&rig, cachefs__counter(&rig.c->counters, CNT_WAITS)};
    EQ(pthread_create(&writer, NULL, write_it, w), 0);
    CHECK(rig_until(has_waited, &waits));
    vfs_fault_release(rig.fault);
    pthread_join(flusher, NULL);
    pthread_join(writer, NULL);
    find_conflict(rig.bottom, "/", path, sizeof(path));
    rig_holds_text(rig.bottom, path, "OUR text");
    rig_holds_text(rig.fs, "/f", "THEILATElonger!");
    OK(vfs_close(w, NULL));
    OK(cachefs_flush(rig.fs, NULL, "/f", 0));
    rig_holds_text(rig.bottom, "/f", "THEILATElonger!");
    EQ(rig_stats(&rig).conflicts, 1);
    EQ(rig_stats(&rig).dirty_bytes, 0);
    rig_close(&rig);
}

Test(conflict, what_lies_behind_a_blocks_memory_is_ours_too)
{
    enum { LONG_ = 12000 };
    rig_t rig;
    char ours[LONG_], path[VFS_PATH_MAX];

    for (int k = 0; k < 2; k++) { /* cut within the block, and made longer again by us */
        rig_open(&rig, LAZY);
        rig_text(&rig, "/f", "old text");
        vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
        rig_write(w, 0, "OUR", 3);
        if (k) OK(vfs_ftruncate(w, NULL, 6));
        OK(vfs_ftruncate(w, NULL, LONG_));
        rig_write(w, 8, "", 1); /* a part of a granule whose rest is zero */
        memset(ours, 0, sizeof(ours));
        memcpy(ours, "OUR text", k ? 6 : 8);
        rig_put(&rig, "/f", memset(path, 'T', sizeof(path)), sizeof(path));
        rig_holds(rig.fs, "/f", ours, LONG_);
        OK(vfs_flush(w, NULL));
        EQ(rig_stats(&rig).conflicts, 1);
        find_conflict(rig.bottom, "/", path, sizeof(path));
        rig_holds(rig.bottom, path, ours, LONG_);
        OK(vfs_close(w, NULL));
        rig_close(&rig);
    }
}

Test(conflict, changes_of_ours_hide_no_change_of_others)
{
    static const char *const policies[] = {"keep-both", "theirs"};
    for (int k = 0; k < 8; k++) {
        rig_t rig;
        char keys[256];

        (void)snprintf(keys, sizeof(keys), LAZY "conflict=%s", policies[k % 2]);
        rig_open(&rig, keys);
        rig_text(&rig, "/f", "old text");
        vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
        if (k / 2 % 2) rig_write(w, 0, "OUR", 3);
        OK(k / 4 ? vfs_ftruncate(w, NULL, 6) : vfs_chmod(rig.fs, NULL, "/f", 0640, 0));
        if (!(k / 2 % 2)) rig_write(w, 0, "OUR", 3);
        rig_poke(&rig, "/f", 0, "THEIRS, longer", 14);
        OK(vfs_flush(w, NULL));
        EQ(rig_stats(&rig).conflicts, 1);
        rig_holds_text(rig.bottom, "/f", "THEIRS, longer");
        OK(vfs_close(w, NULL));
        rig_close(&rig);
    }
}

Test(conflict, a_backend_that_cannot_be_asked_is_no_conflict)
{
    rig_t rig;
    heard_t heard = {0};

    conflict_begin(&rig, "theirs", "/f", &heard);
    rig_fail(&rig, VFS_OPID_stat, VFS_EOFFLINE, 0, 0);
    IS(VFS_EOFFLINE, cachefs_flush(rig.fs, NULL, "/f", 0));
    EQ(rig_stats(&rig).conflicts, 0);
    CHECK(rig_stats(&rig).dirty_bytes > 0);
    vfs_fault_clear(rig.fault);
    rig_close(&rig);
}

Test(conflict, our_own_flushes_and_changes_are_none)
{
    rig_t rig;

    rig_open(&rig, LAZY);
    rig_text(&rig, "/f", "old text");
    for (int i = 0; i < 10; i++) {
        vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
        rig_write(w, i, "x", 1);
        if (i % 3 == 0) OK(vfs_fchmod(w, NULL, 0600 + (uint32_t)i % 2));
        if (i % 4 == 0) OK(vfs_ftruncate(w, NULL, 20));
        rig_write(w, i + 1, "y", 1);
        OK(vfs_flush(w, NULL));
        rig_write(w, i + 2, "z", 1);
        OK(vfs_close(w, NULL));
        OK(cachefs_flush(rig.fs, NULL, NULL, 0));
    }
    EQ(rig_stats(&rig).conflicts, 0);
    char path[VFS_PATH_MAX];
    find_conflict(rig.bottom, "/", path, sizeof(path));
    CHECK(!path[0]);
    rig_close(&rig);
}

/* Does the line say that some of the base is not ours? */
static int tells_of_base(const heard_t *heard)
{
    return strstr(heard->last, "from below as it is now") != NULL;
}

Test(conflict, the_log_says_whether_all_of_the_base_was_ours)
{
    static const char *const policies[] = {"keep-both", "ours"};
    for (int k = 0; k < 4; k++) {
        rig_t rig;
        heard_t heard = {0};
        char keys[256];
        int cached = k / 2;

        (void)snprintf(keys, sizeof(keys), LAZY "readahead=0 get_size=0 conflict=%s",
                       policies[k % 2]);
        rig_open(&rig, keys);
        rig.c->fixed.log = hear;
        rig.c->fixed.log_baton = &heard;
        char *old = rig_bytes(100000, 1);
        rig_put(&rig, "/f", old, 100000);
        vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
        if (cached) rig_read(w, 0, old, 100000);
        rig_write(w, 0, "OUR", 3);
        OK(vfs_close(w, NULL));
        rig_poke(&rig, "/f", 50000, "THEIRS", 6);
        OK(cachefs_flush(rig.fs, NULL, "/f", 0));
        EQ(rig_stats(&rig).conflicts, 1);
        CHECK(strstr(heard.last, "changed below under unflushed data"));
        cr_assert(tells_of_base(&heard) == !cached, "%s", heard.last);
        free(old);
        rig_close(&rig);
    }
}

Test(conflict, a_large_base_that_is_not_all_cached_comes_from_below)
{
    rig_t rig;
    size_t len = 3u << 20;
    char *old = rig_bytes(len, 1), *theirs = rig_bytes(len, 2), path[VFS_PATH_MAX];

    rig_open(&rig, LAZY "readahead=0 get_size=0");
    rig_put(&rig, "/f", old, len);
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
    rig_write(w, 1u << 20, "OURS", 4);
    OK(vfs_close(w, NULL));
    rig_poke(&rig, "/f", 0, theirs, len);
    OK(cachefs_flush(rig.fs, NULL, NULL, 0));
    rig_holds(rig.bottom, "/f", theirs, len);
    find_conflict(rig.bottom, "/", path, sizeof(path));
    char *both = NULL;
    size_t n;
    OK(vfs_read_file(&both, &n, rig.bottom, NULL, path, 0, rig.pool));
    EQ(n, len);
    CHECK(memcmp(both + (1u << 20), "OURS", 4) == 0);
    for (size_t at = 0; at < len; at += 4096) { /* each piece is of our base or of theirs */
        if (at == 1u << 20) continue;
        CHECK(!memcmp(both + at, old + at, 4096) || !memcmp(both + at, theirs + at, 4096));
    }
    free(theirs);
    free(old);
    rig_close(&rig);
}
