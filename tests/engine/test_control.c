/*
 * test_control.c - what only a cache can do: entries, batches, pins, discard, prefetch.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h "
#define LAZY LONG "mode=back flush_interval=1h dirty_age=1h flush_on_close=off "

Test(control, an_entry_tells_what_is_cached_and_asks_nothing_below)
{
    rig_t rig;
    vfs_attr_t attr;
    cachefs_entry_t e;

    rig_open(&rig, LAZY);
    rig_text(&rig, "/f", "text");
    rig_reset(&rig);
    IS(APR_NOTFOUND, cachefs_entry(rig.fs, "/f", &e));
    IS(APR_EINVAL, cachefs_entry(rig.fs, "relative", &e));
    EQ(rig_requests(&rig), 0);
    rig_holds_text(rig.fs, "/f", "text");
    IS(APR_ENOENT, vfs_stat(rig.fs, NULL, "/gone", &attr));
    rig_save(&rig, "/d", "dirty", 5);
    rig_nap(10);
    rig_reset(&rig);
    e = rig_entry(&rig, "/f");
    OK(e.status);
    EQ(e.size, 4);
    EQ(e.resident, 4);
    EQ(e.dirty, 0);
    CHECK(e.fresh && !e.negative && !e.pinned);
    e = rig_entry(&rig, "/gone");
    OK(e.status);
    CHECK(e.negative && e.fresh);
    e = rig_entry(&rig, "/d");
    EQ(e.size, 5);
    CHECK(e.dirty >= 5 && e.dirty_age_us >= 5000);
    OK(cachefs_invalidate(rig.fs, "/f", NULL, NULL));
    CHECK(!rig_entry(&rig, "/f").fresh);
    EQ(rig_entry(&rig, "/f").resident, 0);
    EQ(rig_requests(&rig), 0);
    IS(APR_EINVAL, cachefs_entry(rig.bottom, "/f", &e));
    IS(APR_EINVAL, cachefs_entry(rig.fs, "/f", NULL));
    rig_close(&rig);
}

#define MANY 200

static void many(char names[MANY][32], const char *paths[MANY])
{
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(names[i], 32, i % 7 ? "/f%d" : "//./f%d", i);
        paths[i] = names[i];
    }
}

Test(control, batches_of_entries_and_prefetches_equal_loops)
{
    rig_t rig;
    char names[MANY][32];
    const char *paths[MANY];
    apr_status_t status[MANY];
    cachefs_entry_t all[MANY], one;

    rig_open(&rig, LONG);
    many(names, paths);
    for (int i = 0; i < MANY; i += 2)
        rig_text(&rig, names[i], names[i]);
    paths[5] = "relative";
    IS(APR_ENOENT, cachefs_prefetch_batch(rig.fs, NULL, paths + 6, MANY - 6, status + 6));
    CHECK(cachefs_prefetch_batch(rig.fs, NULL, paths, MANY, status) != APR_SUCCESS);
    for (int i = 0; i < MANY; i++)
        cr_assert(status[i] == (i == 5  ? APR_EINVAL
                                : i % 2 ? APR_ENOENT
                                        : APR_SUCCESS),
                  "%d: %s", i, rig_status(status[i]));
    OK(cachefs_entries(rig.fs, paths, MANY, all));
    for (int i = 0; i < MANY; i++) {
        (void)cachefs_entry(rig.fs, paths[i], &one);
        CHECK(one.status == all[i].status && one.size == all[i].size);
        CHECK(one.resident == all[i].resident && one.negative == all[i].negative);
        CHECK(one.fresh == all[i].fresh);
        if (i % 2 == 0) EQ(all[i].resident, strlen(names[i]));
    }
    rig_reset(&rig);
    for (int i = 0; i < MANY; i += 2)
        rig_holds_text(rig.fs, names[i], names[i]);
    EQ(rig_requests(&rig), 0);
    OK(cachefs_entries(rig.fs, NULL, 0, NULL));
    OK(cachefs_prefetch_batch(rig.fs, NULL, NULL, 0, NULL));
    IS(APR_EINVAL, cachefs_entries(rig.fs, NULL, 1, all));
    IS(APR_EINVAL, cachefs_entries(rig.bottom, paths, 1, all));
    rig_close(&rig);
}

/* What is there is found without a question; what is there in part is no whole file. */
Test(control, a_batch_prefetches_what_is_missing_and_asks_for_nothing_else)
{
    static const char *const paths[] = {"/whole", "/part", "/empty"};
    rig_t rig;
    apr_status_t status[3] = {APR_EOF, APR_EOF, APR_EOF};
    char *data = rig_bytes(65536, 1), got[4096];
    size_t n;

    rig_open(&rig, LONG "get_size=0 readahead=0 block_size=64k");
    rig_put(&rig, paths[0], data, 65536);
    rig_put(&rig, paths[1], data, 65536);
    rig_put(&rig, paths[2], data, 0);
    OK(cachefs_prefetch_path(rig.fs, NULL, paths[0], NULL, NULL));
    vfs_file_t *r = rig_file(rig.fs, paths[1], RIG_R);
    OK(vfs_read_at(r, NULL, got, sizeof(got), 20480, &n));
    rig_reset(&rig);
    OK(cachefs_prefetch_batch(rig.fs, NULL, paths, 3, status));
    CHECK(rig_moved(&rig) > 0 && rig_moved(&rig) <= 65536);
    rig_reset(&rig);
    OK(cachefs_prefetch_batch(rig.fs, NULL, paths, 3, status));
    CHECK(!status[0] && !status[1] && !status[2]);
    rig_holds(rig.fs, paths[1], data, 65536);
    EQ(rig_requests(&rig), 0);
    OK(vfs_close(r, NULL));
    free(data);
    rig_close(&rig);
}

Test(control, batches_of_invalidations_and_flushes_equal_loops)
{
    rig_t rig;
    char names[MANY][32];
    const char *paths[MANY];
    apr_status_t status[MANY];
    uint64_t n = 0, kept = 0;

    rig_open(&rig, LAZY);
    many(names, paths);
    for (int i = 0; i < MANY; i++)
        rig_save(&rig, names[i], names[i], strlen(names[i]));
    OK(cachefs_invalidate_batch(rig.fs, paths, MANY, &n, &kept));
    EQ(n, MANY);
    EQ(kept, rig_stats(&rig).dirty_bytes);
    EQ(rig_stats(&rig).dirty_files, MANY);
    paths[3] = "";
    IS(APR_ENOENT, cachefs_flush_batch(rig.fs, NULL, paths, MANY, status));
    for (int i = 0; i < MANY; i++)
        IS(i == 3 ? APR_ENOENT : APR_SUCCESS, status[i]);
    EQ(rig_stats(&rig).dirty_files, 1);
    paths[3] = names[3];
    OK(cachefs_flush_batch(rig.fs, NULL, paths, MANY, NULL));
    EQ(rig_stats(&rig).dirty_files, 0);
    OK(cachefs_invalidate_batch(rig.fs, paths, MANY, &n, &kept));
    EQ(n, MANY);
    EQ(kept, 0);
    EQ(rig_stats(&rig).resident_bytes, 0);
    for (int i = 0; i < MANY; i++)
        rig_holds_text(rig.bottom, names[i], names[i]);
    rig_close(&rig);
}

Test(control, a_flush_by_name_finds_dirty_data_whose_name_was_forgotten)
{
    static const char *const paths[] = {"/f"};
    rig_t rig;
    cachefs_entry_t e;
    uint64_t bytes = 0;

    rig_open(&rig, LAZY);
    rig_save(&rig, "/f", "precious", 8);
    OK(cachefs_clear(rig.fs, NULL));
    OK(cachefs_entry(rig.fs, "/f", &e));
    CHECK(e.dirty >= 8);
    OK(cachefs_flush_batch(rig.fs, NULL, paths, 1, NULL));
    EQ(rig_stats(&rig).dirty_bytes, 0);
    rig_holds_text(rig.bottom, "/f", "precious");
    rig_save(&rig, "/f", "again", 5);
    OK(cachefs_clear(rig.fs, NULL));
    OK(cachefs_discard(rig.fs, "/f", &bytes));
    CHECK(bytes > 0);
    EQ(rig_stats(&rig).dirty_bytes, 0);
    rig_close(&rig);
}

Test(control, discard_throws_the_dirty_data_of_one_file_away)
{
    rig_t rig;
    uint64_t bytes = 0;

    rig_open(&rig, LAZY);
    rig_text(&rig, "/f", "old text");
    rig_save(&rig, "/g", "kept", 4);
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
    rig_write(w, 0, "NEW AND LONGER", 14);
    OK(cachefs_discard(rig.fs, "/f", &bytes));
    CHECK(bytes >= 14);
    rig_holds_text(rig.fs, "/f", "old text");
    rig_read(w, 0, "old text", 8);
    EQ(rig_stats(&rig).dirty_files, 1);
    rig_write(w, 4, "more", 4); /* the file goes on as any other */
    OK(vfs_flush(w, NULL));
    rig_holds_text(rig.bottom, "/f", "old more");
    EQ(rig_stats(&rig).conflicts, 0);
    OK(vfs_close(w, NULL));
    OK(cachefs_discard(rig.fs, "/f", &bytes));
    EQ(bytes, 0);
    IS(APR_NOTFOUND, cachefs_discard(rig.fs, "/unknown", &bytes));
    IS(APR_EINVAL, cachefs_discard(rig.fs, "relative", &bytes));
    IS(APR_EINVAL, cachefs_discard(rig.bottom, "/f", &bytes));
    rig_close(&rig);
}

Test(control, a_pinned_file_stays_while_a_scan_goes_by)
{
    rig_t rig;
    char *data = rig_bytes(200000, 1), *scan = rig_bytes(4u << 20, 2);

    rig_open(&rig, LONG "ram=2m policy=lru"); /* that keeps nothing that is not pinned */
    rig_put(&rig, "/hot", data, 200000);
    rig_put(&rig, "/scan", scan, 4u << 20);
    IS(APR_NOTFOUND, cachefs_pin(rig.fs, "/hot", 1));
    rig_holds(rig.fs, "/hot", data, 200000);
    OK(cachefs_pin(rig.fs, "/hot", 1));
    CHECK(rig_entry(&rig, "/hot").pinned);
    CHECK(rig_stats(&rig).pinned_bytes >= 200000);
    rig_holds(rig.fs, "/scan", scan, 4u << 20);
    rig_reset(&rig);
    rig_holds(rig.fs, "/hot", data, 200000);
    EQ(rig_moved(&rig), 0);
    OK(cachefs_pin(rig.fs, "/hot", 0));
    EQ(rig_stats(&rig).pinned_bytes, 0);
    CHECK(!rig_entry(&rig, "/hot").pinned);
    rig_holds(rig.fs, "/scan", scan, 4u << 20);
    rig_reset(&rig);
    rig_holds(rig.fs, "/hot", data, 200000);
    CHECK(rig_moved(&rig) > 0);
    free(scan);
    free(data);
    rig_close(&rig);
}

Test(control, a_pin_beyond_its_limit_is_refused)
{
    rig_t rig;
    char *data = rig_bytes(600000, 1);

    rig_open(&rig, LONG "ram=4m pin_bytes_max=256k");
    rig_put(&rig, "/f", data, 600000);
    rig_holds(rig.fs, "/f", data, 600000);
    IS(VFS_ELIMIT, cachefs_pin(rig.fs, "/f", 1));
    CHECK(rig_stats(&rig).pinned_bytes <= 256u << 10);
    OK(cachefs_pin(rig.fs, "/f", 0));
    EQ(rig_stats(&rig).pinned_bytes, 0);
    free(data);
    rig_close(&rig);
}

Test(control, the_limit_of_what_is_pinned_changes_on_line)
{
    rig_t rig;
    char *data = rig_bytes(600000, 1), err[200];

    rig_open(&rig, LONG "ram=4m pin_bytes_max=256k");
    rig_put(&rig, "/f", data, 600000);
    rig_holds(rig.fs, "/f", data, 600000);
    IS(VFS_ELIMIT, cachefs_pin(rig.fs, "/f", 1));
    OK(cachefs_set(rig.fs, "pin_bytes_max", "1m", err, sizeof(err)));
    OK(cachefs_pin(rig.fs, "/f", 1));
    CHECK(rig_stats(&rig).pinned_bytes >= 600000);
    OK(cachefs_set(rig.fs, "pin_bytes_max", "64k", err, sizeof(err)));
    CHECK(rig_stats(&rig).pinned_bytes >= 600000); /* what is pinned stays so */
    OK(cachefs_pin(rig.fs, "/f", 0));
    IS(VFS_ELIMIT, cachefs_pin(rig.fs, "/f", 1));
    CHECK(rig_stats(&rig).pinned_bytes <= 64u << 10);
    OK(cachefs_set(rig.fs, "pin_bytes_max", "0", err, sizeof(err)));
    OK(cachefs_pin(rig.fs, "/f", 1)); /* a quarter of ram */
    free(data);
    rig_close(&rig);
}

Test(control, a_protected_file_stays_protected_when_it_is_written_back)
{
    rig_t rig;
    char *data = rig_bytes(200000, 1), *scan = rig_bytes(8u << 20, 2);

    rig_open(&rig, LAZY "ram=4m");
    rig_put(&rig, "/hot", data, 100000);
    rig_put(&rig, "/scan", scan, 8u << 20);
    rig_holds(rig.fs, "/hot", data, 100000);
    OK(cachefs_pin(rig.fs, "/hot", 1));
    uint64_t pinned = rig_stats(&rig).pinned_bytes;
    vfs_file_t *f = rig_file(rig.fs, "/hot", RIG_W);
    rig_write(f, 0, data, 100000); /* over what was protected */
    EQ(rig_stats(&rig).pinned_bytes, pinned);
    rig_write(f, 100000, data + 100000, 100000); /* and what comes later */
    OK(vfs_flush(f, NULL));
    EQ(rig_stats(&rig).dirty_bytes, 0);
    CHECK(rig_stats(&rig).pinned_bytes >= 200000);
    rig_holds(rig.fs, "/scan", scan, 8u << 20);
    rig_reset(&rig);
    rig_read(f, 0, data, 200000);
    EQ(rig_moved(&rig), 0);
    rig_write(f, 0, "again", 5);
    OK(cachefs_pin(rig.fs, "/hot", 0)); /* a dirty block can be let go too */
    EQ(rig_stats(&rig).pinned_bytes, 0);
    OK(vfs_close(f, NULL));
    free(scan);
    free(data);
    rig_close(&rig);
}

Test(control, a_protected_file_stays_when_other_names_take_all_the_room)
{
    rig_t rig;
    char *data = rig_bytes(50000, 1), name[32];

    rig_open(&rig, LONG "metadata_entries_max=16 shards=1");
    rig_put(&rig, "/hot", data, 50000);
    rig_holds(rig.fs, "/hot", data, 50000);
    OK(cachefs_pin(rig.fs, "/hot", 1));
    for (int i = 0; i < 100; i++) {
        (void)snprintf(name, sizeof(name), "/f%d", i);
        rig_text(&rig, name, name);
        rig_holds_text(rig.fs, name, name);
    }
    CHECK(rig_stats(&rig).names <= 16);
    rig_reset(&rig);
    rig_holds(rig.fs, "/hot", data, 50000);
    EQ(rig_requests(&rig), 0);
    CHECK(rig_entry(&rig, "/hot").pinned);
    OK(cachefs_pin(rig.fs, "/hot", 0));
    free(data);
    rig_close(&rig);
}

Test(control, a_prefetch_brings_what_it_says)
{
    rig_t rig;
    char *data = rig_bytes(500000, 1);
    uint64_t bytes = 0, fetched = 0;

    rig_open(&rig, LONG "get_size=0");
    rig_put(&rig, "/f", data, 500000);
    OK(vfs_mkdir(rig.bottom, NULL, "/d", 0755));
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    OK(cachefs_prefetch(f, NULL, 100000, 50000, &fetched));
    CHECK(fetched >= 50000 && fetched <= 50000 + 2 * 65536);
    rig_reset(&rig);
    rig_read(f, 100000, data + 100000, 50000);
    EQ(rig_moved(&rig), 0);
    OK(cachefs_prefetch(f, NULL, 0, 0, &fetched));
    OK(cachefs_prefetch(f, NULL, 0, 0, &fetched));
    EQ(fetched, 0);
    OK(cachefs_prefetch(f, NULL, 600000, 10, &fetched));
    EQ(fetched, 0);
    IS(APR_EINVAL, cachefs_prefetch(f, NULL, -1, 10, &fetched));
    IS(APR_EINVAL, cachefs_prefetch(f, NULL, 0, -1, &fetched));
    OK(vfs_close(f, NULL));
    OK(cachefs_clear(rig.fs, NULL));
    OK(cachefs_prefetch_path(rig.fs, NULL, "/f", &bytes, &fetched));
    EQ(bytes, 500000);
    EQ(fetched, 500000);
    rig_reset(&rig);
    rig_holds(rig.fs, "/f", data, 500000);
    EQ(rig_requests(&rig), 0);
    IS(APR_FROM_OS_ERROR(EISDIR), cachefs_prefetch_path(rig.fs, NULL, "/d", &bytes, &fetched));
    IS(APR_ENOENT, cachefs_prefetch_path(rig.fs, NULL, "/nope", &bytes, &fetched));
    IS(APR_EINVAL, cachefs_prefetch_path(rig.bottom, NULL, "/f", &bytes, &fetched));
    free(data);
    rig_close(&rig);
}

typedef struct filler_t {
    rig_t *rig;
    _Atomic int stop;
} filler_t;

static void *fill_on(void *arg)
{
    filler_t *f = arg;
    char name[32];

    for (unsigned i = 0; !atomic_load(&f->stop); i++) {
        (void)snprintf(name, sizeof(name), "/f%u", i % 40);
        OK(cachefs_prefetch_path(f->rig->fs, NULL, name, NULL, NULL));
    }
    return NULL;
}

Test(control, clear_drops_what_was_there_and_does_not_chase_those_who_fill)
{
    rig_t rig;
    pthread_t threads[2];
    char name[32];

    rig_open(&rig, LONG);
    for (int i = 0; i < 40; i++) {
        (void)snprintf(name, sizeof(name), "/f%d", i);
        rig_text(&rig, name, name);
    }
    filler_t f = {.rig = &rig};
    for (int i = 0; i < 2; i++)
        pthread_create(&threads[i], NULL, fill_on, &f);
    for (int i = 0; i < 300; i++)
        OK(cachefs_clear(rig.fs, NULL));
    atomic_store(&f.stop, 1);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    EQ(rig_stats(&rig).evictions, 0); /* nothing made room for anything */
    OK(cachefs_clear(rig.fs, NULL));
    EQ(rig_stats(&rig).blocks, 0);
    rig_close(&rig);
}

static void evict_names(rig_t *rig)
{
    for (uint32_t k = 0; k < rig->c->shard_count; k++)
        while (cachefs__node_evict(rig->c, &rig->c->shards[k])) {
        }
    EQ(rig_stats(rig).names, 0);
}

Test(control, a_dirty_file_whose_name_was_evicted_is_found_by_it)
{
    static const char *const paths[] = {"/d/f1", "/none", "/d/f0", "/d/f1", "/", "/d/f2", "nope"};
    rig_t rig;
    apr_status_t st[7];
    cachefs_entry_t e[7];
    uint64_t affected, dirty, bytes;

    rig_open(&rig, LONG "mode=back flush_interval=1h dirty_age=1h flush_on_close=off");
    OK(vfs_mkdir(rig.bottom, NULL, "/d", 0755));
    for (int i = 0; i < 3; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "/d/f%d", i);
        rig_save(&rig, name, "dirty", (size_t)i + 1);
    }
    evict_names(&rig);
    OK(cachefs_entries(rig.fs, paths, 6, e));
    for (int i = 0; i < 6; i++) {
        static const uint64_t size[] = {2, 0, 1, 2, 0, 3};
        EQ(e[i].status, size[i] ? APR_SUCCESS : APR_NOTFOUND);
        EQ(e[i].size, size[i]);
        EQ(e[i].dirty != 0, size[i] != 0);
        EQ(e[i].fresh, 0);
    }
    OK(cachefs_invalidate_batch(rig.fs, paths, 3, &affected, &dirty));
    EQ(affected, 2);
    CHECK(dirty > 0);
    CHECK(cachefs_flush_batch(rig.fs, NULL, paths, 7, st) != APR_SUCCESS); /* of the bad path */
    for (int i = 0; i < 6; i++)
        OK(st[i]);
    EQ(rig_stats(&rig).dirty_bytes, 0);
    rig_holds_text(rig.bottom, "/d/f0", "d");
    rig_holds_text(rig.bottom, "/d/f2", "dir");

    vfs_file_t *f = rig_file(rig.fs, "/d/f0", RIG_W);
    rig_write(f, 0, "other", 5);
    OK(vfs_close(f, NULL));
    evict_names(&rig);
    EQ(rig_entry(&rig, "/d/f0").size, 5);
    OK(cachefs_discard(rig.fs, "/d/f0", &bytes));
    CHECK(bytes > 0);
    EQ(rig_stats(&rig).dirty_bytes, 0);
    rig_holds_text(rig.fs, "/d/f0", "d");
    rig_close(&rig);
}

Test(control, shards_show_names_and_blocks)
{
    rig_t rig;
    uint64_t names[4], blocks[4], n = 0, b = 0;

    rig_open(&rig, LONG "shards=4");
    for (int i = 0; i < 40; i++) {
        char name[32];
        (void)snprintf(name, sizeof(name), "/f%d", i);
        rig_text(&rig, name, "x");
        rig_holds_text(rig.fs, name, "x");
    }
    OK(cachefs_shard_stats(rig.fs, names, blocks, 4));
    for (int i = 0; i < 4; i++) {
        n += names[i];
        b += blocks[i];
    }
    EQ(n, rig_stats(&rig).names);
    EQ(b, 40);
    OK(cachefs_shard_stats(rig.fs, NULL, blocks, 4));
    OK(cachefs_shard_stats(rig.fs, names, NULL, 4));
    IS(APR_EINVAL, cachefs_shard_stats(rig.fs, names, blocks, 3));
    IS(APR_EINVAL, cachefs_shard_stats(rig.bottom, names, blocks, 4));
    rig_close(&rig);
}
