/*
 * test_layer.c - the life of an instance: what creation refuses, keys on line, how it ends.
 */
#include <apr_general.h>

#include "tests/engine/support_rig.h"

#define LAZY                                                                                       \
    "attr_ttl=1h mode=back flush_interval=1h dirty_age=1h flush_on_close=off "                     \
    "retry_min=1ms retry_max=5ms "

static void refused(const char *key, void (*spoil)(cachefs_config_t *), const char *value,
                    const char *accepted)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    apr_pool_t *pool;
    vfs_t *mem, *fs = NULL;
    char err[256] = "";

    OK(apr_pool_create(&pool, NULL));
    OK(vfs_mem_create(&mem, 0, pool));
    spoil(&config);
    IS(APR_EINVAL, cachefs_create(&fs, mem, &config, err, sizeof(err), pool));
    CHECK(fs == NULL);
    cr_assert(strstr(err, key), "%s", err);
    cr_assert(strstr(err, value), "%s", err);
    cr_assert(strstr(err, accepted), "%s", err);
    IS(APR_EINVAL, cachefs_create(&fs, mem, &config, NULL, 0, pool));
    OK(vfs_destroy(mem));
    apr_pool_destroy(pool);
}

static void small_ram(cachefs_config_t *c)
{
    c->ram_bytes = 1000;
}

static void no_policy(cachefs_config_t *c)
{
    c->policy = "random";
}

static void odd_shards(cachefs_config_t *c)
{
    c->shards = 33;
}

static void odd_block(cachefs_config_t *c)
{
    c->block_bytes = 5000;
}

static void no_workers(cachefs_config_t *c)
{
    c->workers = 0;
}

static void bad_rules(cachefs_config_t *c)
{
    c->ttl_rules = "/static/**=soon";
}

Test(layer, a_bad_configuration_is_refused_with_key_value_and_what_is_accepted)
{
    OK(apr_initialize());
    refused("ram", small_ram, "1000", "1m");
    refused("policy", no_policy, "random", "lru");
    refused("shards", odd_shards, "33", "power of two");
    refused("block_size", odd_block, "5000", "4k");
    refused("workers", no_workers, "0", "1");
    refused("ttl", bad_rules, "soon", "s");
}

Test(layer, null_arguments_and_a_foreign_size_are_einval)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    apr_pool_t *pool;
    vfs_t *mem, *fs = NULL;
    char err[256] = "";

    OK(apr_initialize());
    OK(apr_pool_create(&pool, NULL));
    OK(vfs_mem_create(&mem, 0, pool));
    IS(APR_EINVAL, cachefs_create(NULL, mem, &config, NULL, 0, pool));
    IS(APR_EINVAL, cachefs_create(&fs, NULL, &config, NULL, 0, pool));
    IS(APR_EINVAL, cachefs_create(&fs, mem, &config, NULL, 0, NULL));
    config.size = 0;
    IS(APR_EINVAL, cachefs_create(&fs, mem, &config, NULL, 0, pool));
    config.size = sizeof(config) + 8;
    IS(APR_EINVAL, cachefs_create(&fs, mem, &config, err, sizeof(err), pool));
    CHECK(strstr(err, "CACHEFS_CONFIG_INIT"));
    config.size = offsetof(cachefs_config_t, shards); /* an older program: the rest is default */
    OK(cachefs_create(&fs, mem, &config, NULL, 0, pool));
    char text[64];
    OK(cachefs_get(fs, "shards", text, sizeof(text)));
    cr_assert_str_eq(text, "0");
    CHECK(cachefs_is(fs) && !cachefs_is(mem) && !cachefs_is(NULL));
    OK(vfs_destroy_stack(fs));
    apr_pool_destroy(pool);
}

/* Another value that a key could have. */
static const char *other_value(const cachefs_key_t *k)
{
    if (!strcmp(k->kind, "flag")) return strcmp(k->initial, "on") ? "on" : "off";
    if (!strcmp(k->kind, "duration")) return "7s";
    if (!strcmp(k->kind, "choice")) return strcmp(k->name, "conflict") ? NULL : "theirs";
    if (!strcmp(k->name, "readahead_max")) return "70m"; /* no less than readahead */
    if (!strcmp(k->kind, "size")) return "5m";
    if (!strcmp(k->kind, "count")) return "77";
    return NULL;
}

Test(layer, every_key_can_be_got_and_those_on_line_can_be_set)
{
    rig_t rig;
    const cachefs_key_t *k;
    char text[256], err[256], now[256];
    int online = 0;

    rig_open(&rig, "ram=16m attr_ttl=1s negative_ttl=1s listing_ttl=5s");
    for (size_t i = 0; (k = cachefs_key_at(i)) != NULL; i++) {
        OK(cachefs_get(rig.fs, k->name, text, sizeof(text)));
        if (strcmp(k->name, "ram")) cr_assert_str_eq(text, k->initial);
        if (text[0]) IS(APR_FROM_OS_ERROR(ERANGE), cachefs_get(rig.fs, k->name, now, strlen(text)));
        const char *value = other_value(k);
        if (!k->online) {
            err[0] = '\0';
            IS(APR_EINVAL, cachefs_set(rig.fs, k->name, text, err, sizeof(err)));
            cr_assert(strstr(err, k->name), "%s", err);
            continue;
        }
        online++;
        if (!value) continue;
        cr_assert(!cachefs_set(rig.fs, k->name, value, err, sizeof(err)), "%s", err);
        OK(cachefs_get(rig.fs, k->name, now, sizeof(now)));
        cr_assert_str_eq(now, value);
        err[0] = '\0';
        IS(APR_EINVAL, cachefs_set(rig.fs, k->name, "nonsense!", err, sizeof(err)));
        cr_assert(strstr(err, k->name) && strstr(err, "nonsense!"), "%s", err);
        OK(cachefs_get(rig.fs, k->name, now, sizeof(now)));
        cr_assert_str_eq(now, value); /* as it was */
        OK(cachefs_set(rig.fs, k->name, k->initial, err, sizeof(err)));
    }
    CHECK(online >= 10);
    err[0] = '\0';
    IS(APR_EINVAL, cachefs_set(rig.fs, "nokey", "1", err, sizeof(err)));
    CHECK(strstr(err, "nokey"));
    IS(APR_EINVAL, cachefs_set(rig.fs, NULL, "1", err, sizeof(err)));
    IS(APR_EINVAL, cachefs_set(rig.fs, "attr_ttl", NULL, err, sizeof(err)));
    IS(APR_EINVAL, cachefs_get(rig.fs, "nokey", text, sizeof(text)));
    IS(APR_EINVAL, cachefs_set(rig.bottom, "attr_ttl", "1s", err, sizeof(err)));
    IS(APR_EINVAL, cachefs_get(rig.bottom, "attr_ttl", text, sizeof(text)));
    rig_close(&rig);
}

Test(layer, a_key_set_on_line_works_at_once)
{
    rig_t rig;
    vfs_attr_t attr;

    rig_open(&rig, "attr_ttl=1h");
    rig_text(&rig, "/f", "old");
    rig_holds_text(rig.fs, "/f", "old");
    rig_text(&rig, "/f", "newer");
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    EQ(attr.size, 3);
    OK(cachefs_set(rig.fs, "attr_ttl", "0", NULL, 0));
    OK(vfs_stat(rig.fs, NULL, "/f", &attr));
    EQ(attr.size, 5);
    rig_close(&rig);
}

Test(layer, destroy_with_wait_tries_until_all_is_clean)
{
    rig_t rig;

    rig_open(&rig, LAZY);
    rig_save(&rig, "/f", "precious", 8);
    rig_fail(&rig, VFS_OPID_write_at, APR_FROM_OS_ERROR(EIO), 0, 3);
    uint64_t dirty = 1;
    OK(cachefs_destroy(rig.fs, CACHEFS_END_WAIT, 60000000, &dirty));
    EQ(dirty, 0);
    rig_holds_text(rig.bottom, "/f", "precious");
    OK(cachefs_create(&rig.fs, rig.count, NULL, NULL, 0, rig.pool));
    rig_close(&rig);
}

/* The largest numbers mean for ever, too. */
Test(layer, a_time_that_never_ends_is_no_time_that_is_over)
{
    static const uint64_t times[] = {UINT64_MAX, INT64_MAX, (uint64_t)INT64_MAX + 1};
    rig_t rig;

    rig_open(&rig, LAZY);
    for (int i = 0; i < 3; i++) {
        rig_save(&rig, "/f", "precious", 8);
        rig_fail(&rig, VFS_OPID_write_at, APR_FROM_OS_ERROR(EIO), 0, 2);
        OK(cachefs_flush(rig.fs, NULL, "/f", times[i]));
        EQ(rig_stats(&rig).dirty_bytes, 0);
    }
    rig_save(&rig, "/f", "precious", 8);
    rig_fail(&rig, VFS_OPID_write_at, APR_FROM_OS_ERROR(EIO), 0, 2);
    OK(cachefs_destroy(rig.fs, CACHEFS_END_WAIT, UINT64_MAX, NULL));
    rig_holds_text(rig.bottom, "/f", "precious");
    OK(cachefs_create(&rig.fs, rig.count, NULL, NULL, 0, rig.pool));
    rig_close(&rig);
}

Test(layer, destroy_with_fail_does_nothing_while_something_is_dirty)
{
    rig_t rig;
    uint64_t dirty = 0;

    rig_open(&rig, LAZY);
    rig_save(&rig, "/f", "precious", 8);
    rig_reset(&rig);
    IS(VFS_EDIRTY, cachefs_destroy(rig.fs, CACHEFS_END_FAIL, 0, &dirty));
    CHECK(dirty >= 8);
    IS(APR_EINVAL, cachefs_destroy(rig.fs, (cachefs_end_e)(CACHEFS_END_KEEP + 1), 0, &dirty));
    EQ(rig_requests(&rig), 0);
    rig_holds_text(rig.fs, "/f", "precious"); /* it still exists */
    OK(cachefs_flush(rig.fs, NULL, NULL, 0));
    OK(cachefs_destroy(rig.fs, CACHEFS_END_FAIL, 0, &dirty));
    EQ(dirty, 0);
    OK(cachefs_create(&rig.fs, rig.count, NULL, NULL, 0, rig.pool));
    rig_close(&rig);
}

Test(layer, destroy_with_discard_throws_dirty_data_away)
{
    rig_t rig;

    rig_open(&rig, LAZY);
    rig_text(&rig, "/f", "old");
    rig_save(&rig, "/f", "new", 3);
    rig_save(&rig, "/g", "new", 3);
    uint64_t dirty = 1;
    OK(cachefs_destroy(rig.fs, CACHEFS_END_DISCARD, 0, &dirty));
    EQ(dirty, 0);
    CHECK(!rig_same(rig.bottom, "/f", "new", 3));
    OK(cachefs_create(&rig.fs, rig.count, NULL, NULL, 0, rig.pool));
    IS(APR_EINVAL, cachefs_destroy(rig.bottom, CACHEFS_END_WAIT, 0, &dirty));
    rig_close(&rig);
}

Test(layer, destroy_with_wait_ends_with_its_time)
{
    rig_t rig;
    uint64_t dirty = 0;

    rig_open(&rig, LAZY);
    rig_save(&rig, "/f", "precious", 8);
    rig_fail(&rig, VFS_OPID_write_at, APR_FROM_OS_ERROR(EIO), 0, 0);
    IS(VFS_EDIRTY, cachefs_destroy(rig.fs, CACHEFS_END_WAIT, 100000, &dirty)); /* it returns */
    CHECK(dirty >= 8);
    rig_close(&rig);
}

Test(layer, a_cache_may_stand_on_a_cache)
{
    rig_t rig;
    vfs_t *upper;

    rig_open(&rig, "attr_ttl=1h mode=back");
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    config.mode = CACHEFS_BACK;
    config.ram_bytes = 4u << 20;
    OK(cachefs_create(&upper, rig.fs, &config, NULL, 0, rig.pool));
    OK(vfs_write_file(upper, NULL, "/f", "text", 4, 0644));
    rig_holds_text(upper, "/f", "text");
    OK(vfs_sync_fs(upper, NULL));
    rig_holds_text(rig.bottom, "/f", "text");
    OK(vfs_destroy(upper));
    rig_close(&rig);
}

/* What is cached needs no context to be found; the rules of vfs.h hold all the same. */
Test(layer, calls_of_the_cache_obey_their_context_before_anything_else)
{
    static const char *const path = "/f";
    static const apr_status_t wanted[] = {APR_TIMEUP, VFS_ECANCELED, APR_EINVAL};
    rig_t rig;
    vfs_cancel_t *cancel;
    vfs_ctx_t ctx[3] = {VFS_CTX_INIT, VFS_CTX_INIT, {0}};
    cachefs_ref_t *ref;
    vfs_iovec_t iov[2];

    rig_open(&rig, "attr_ttl=1h");
    rig_text(&rig, path, "cached");
    rig_holds_text(rig.fs, path, "cached");
    vfs_file_t *r = rig_file(rig.fs, path, RIG_R);
    OK(vfs_cancel_create(&cancel, rig.pool));
    vfs_cancel_raise(cancel);
    ctx[0].deadline = 1;
    ctx[1].cancel = cancel;
    for (int i = 0; i < 3; i++) {
        size_t count = 2, got = 0;
        apr_status_t each = APR_SUCCESS;
        IS(wanted[i], cachefs_flush(rig.fs, &ctx[i], path, 0));
        IS(wanted[i], cachefs_flush(rig.fs, &ctx[i], NULL, 0));
        IS(wanted[i], cachefs_flush_batch(rig.fs, &ctx[i], &path, 1, &each));
        IS(wanted[i], each);
        IS(wanted[i], cachefs_prefetch(r, &ctx[i], 0, 0, NULL));
        IS(wanted[i], cachefs_prefetch_path(rig.fs, &ctx[i], path, NULL, NULL));
        IS(wanted[i], cachefs_prefetch_batch(rig.fs, &ctx[i], &path, 1, &each));
        IS(wanted[i], each);
        IS(wanted[i], cachefs_read_ref(&ref, r, &ctx[i], 6, 0, iov, &count, &got));
    }
    OK(vfs_close(r, NULL));
    rig_close(&rig);
}
