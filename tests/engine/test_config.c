/*
 * test_config.c - configuration in text: the table of keys, setting, showing, checking.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/config.h"
#include "cachefs/policy.h"

static apr_pool_t *pool;

static void begin(void)
{
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
}

static void end(void)
{
    apr_pool_destroy(pool);
    apr_terminate();
}

TestSuite(config, .init = begin, .fini = end);

static void shall_be(const cachefs_config_t *config, const char *key, const char *expected)
{
    char buf[128];

    cr_assert_eq(cachefs_config_get(config, key, buf, sizeof(buf)), APR_SUCCESS, "%s", key);
    cr_assert_str_eq(buf, expected, "%s is %s, not %s", key, buf, expected);
}

static void takes(cachefs_config_t *config, const char *key, const char *value, const char *shown)
{
    char err[512] = "";
    apr_status_t status = cachefs_config_set(config, key, value, err, sizeof(err), pool);

    cr_assert_eq(status, APR_SUCCESS, "%s=%s: %s", key, value, err);
    shall_be(config, key, shown);
}

/* Refused, with a sentence that has the key, the value and `accepted` in it, and nothing changed.
 */
static void refuses(const char *key, const char *value, const char *accepted)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT, before = config;
    char err[512] = "";

    cr_assert_eq(cachefs_config_set(&config, key, value, err, sizeof(err), pool), APR_EINVAL,
                 "%s=%s", key, value);
    cr_assert_not_null(strstr(err, key), "%s", err);
    cr_assert_not_null(strstr(err, value), "%s", err);
    cr_assert_not_null(strstr(err, accepted), "\"%s\" lacks \"%s\"", err, accepted);
    cr_assert_eq(memcmp(&config, &before, sizeof(config)), 0);
    cr_assert_eq(cachefs_config_set(&config, key, value, NULL, 0, pool), APR_EINVAL);
}

Test(config, defaults_of_the_table_are_those_of_the_macro)
{
    const cachefs_config_t config = CACHEFS_CONFIG_INIT;
    const cachefs_key_t *key;
    size_t i;

    for (i = 0; (key = cachefs_key_at(i)) != NULL; i++)
        shall_be(&config, key->name, key->initial);
    cr_assert_eq(i, 43);
}

/* What docs/contract.md says in figures: who leaves a key alone relies on it. */
Test(config, defaults_are_those_of_the_contract)
{
    static const char *const promised[][2] = {
        {"mode", "through"},      {"attr_ttl", "1s"},     {"negative_ttl", "1s"},
        {"listing_ttl", "5s"},    {"serve_stale", "off"}, {"watch", "off"},
        {"flush_interval", "5s"}, {"dirty_age", "30s"},   {"flush_on_close", "on"},
        {"retry_min", "1s"},      {"retry_max", "1m"},    {"write_wait_max", "0"},
        {"conflict", "keep-both"}};
    const cachefs_config_t config = CACHEFS_CONFIG_INIT;

    for (size_t i = 0; i < sizeof(promised) / sizeof(promised[0]); i++)
        shall_be(&config, promised[i][0], promised[i][1]);
}

Test(config, each_default_can_be_set_and_the_whole_is_fine)
{
    cachefs_config_t config;
    const cachefs_key_t *key;
    char err[512];
    size_t i;

    memset(&config, 0xff, sizeof(config));
    config.size = sizeof(config);
    for (i = 0; (key = cachefs_key_at(i)) != NULL; i++)
        takes(&config, key->name, key->initial, key->initial);
    cr_assert_eq(cachefs__config_check(&config, err, sizeof(err)), APR_SUCCESS, "%s", err);
}

Test(config, table_covers_each_field_once)
{
    unsigned char covered[sizeof(cachefs_config_t)] = {0};
    const cachefs_key_t *pub;
    size_t i, j, holes = 0;

    for (i = 0; (pub = cachefs_key_at(i)) != NULL; i++) {
        const cachefs__key_t *key = cachefs__key_find(pub->name);

        cr_assert_not_null(key);
        cr_assert_eq(&key->pub, pub, "%s is there twice", pub->name);
        cr_assert_gt(strlen(pub->help), 5);
        cr_assert_not_null(strstr("size duration count flag choice text", pub->kind));
        cr_assert(pub->online == 0 || pub->online == 1);
        for (j = key->offset; j < key->offset + key->width; j++) {
            cr_assert_eq(covered[j], 0, "%s overlaps another", pub->name);
            covered[j] = 1;
        }
    }
    for (j = 0; j < sizeof(covered); j++)
        holes += covered[j] == 0;
    /* size, two callbacks with their batons, the store and its name, and padding: gaps of four
     * bytes at most */
    cr_assert_leq(holes, sizeof(size_t) + 6 * sizeof(void *) + 6 * 4);
}

Test(config, sizes_are_read_and_shown)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;

    takes(&config, "ram", "512m", "512m");
    cr_assert_eq(config.ram_bytes, 512ull << 20);
    takes(&config, "ram", "2G", "2g");
    takes(&config, "ram", "2048MiB", "2g");
    takes(&config, "dirty_max", "3tb", "3t");
    takes(&config, "ram", "256g", "256g");
    takes(&config, "ram", "1048577", "1048577");
    takes(&config, "ram", "1025kb", "1025k");
    takes(&config, "ram", "1048578b", "1048578");
    takes(&config, "block_size", "64k", "64k");
    cr_assert_eq(config.block_bytes, 65536);
    takes(&config, "readahead", "0", "0");
    refuses("ram", "", "a size such as");
    refuses("ram", "m", "from 1m");
    refuses("ram", "12x", "from 1m");
    refuses("ram", "-1", "from 1m");
    refuses("ram", " 5m", "from 1m");
    refuses("ram", "1.5g", "from 1m");
    refuses("ram", "1023k", "from 1m");
    refuses("ram", "99999999999999999999", "from 1m");
    refuses("ram", "18446744073709551615t", "from 1m");
    refuses("ram", "9000000000g", "from 1m");
    refuses("ram", "257g", "to 256g"); /* chunks of more have no names */
    refuses("block_size", "8k", "4k, 16k, 64k or 256k");
    refuses("block_size", "1m", "a size");
    refuses("get_size", "17m", "to 16m");
}

Test(config, durations_are_read_and_shown)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;

    takes(&config, "attr_ttl", "5s", "5s");
    cr_assert_eq(config.attr_ttl_us, 5000000);
    takes(&config, "attr_ttl", "1500ms", "1500ms");
    takes(&config, "attr_ttl", "250US", "250us");
    takes(&config, "attr_ttl", "120s", "2m");
    takes(&config, "attr_ttl", "48h", "48h");
    takes(&config, "attr_ttl", "0", "0");
    takes(&config, "attr_ttl", "0s", "0");
    refuses("attr_ttl", "5", "500ms, 5s or 10m");
    refuses("attr_ttl", "5d", "500ms, 5s or 10m");
    refuses("attr_ttl", "s", "500ms, 5s or 10m");
    refuses("attr_ttl", "99999999999h", "500ms, 5s or 10m");
    refuses("retry_min", "0", "from 1ms");
    refuses("flush_interval", "999us", "from 1ms");
}

Test(config, counts_flags_and_choices_are_read_and_shown)
{
    static const char *const on[] = {"on", "true", "yes", "1", "ON", "True"};
    static const char *const off[] = {"off", "false", "no", "0", "OFF", "No"};
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    size_t i;

    for (i = 0; i < sizeof(on) / sizeof(on[0]); i++) {
        takes(&config, "heat", on[i], "on");
        cr_assert_eq(config.heat, 1);
        takes(&config, "heat", off[i], "off");
        cr_assert_eq(config.heat, 0);
    }
    takes(&config, "mode", "back", "back");
    cr_assert_eq(config.mode, CACHEFS_BACK);
    takes(&config, "mode", "Around", "around");
    takes(&config, "conflict", "theirs", "theirs");
    cr_assert_eq(config.conflict, CACHEFS_THEIRS);
    takes(&config, "shards", "128", "128");
    takes(&config, "shards", "1", "1");
    takes(&config, "shards", "0", "0");
    takes(&config, "workers", "256", "256");
    takes(&config, "entries_max", "123456789012", "123456789012");
    refuses("heat", "maybe", "on or off");
    refuses("heat", "2", "on or off");
    refuses("mode", "sideways", "through, back or around");
    refuses("conflict", "keep", "keep-both, ours or theirs");
    refuses("shards", "3", "a power of two");
    refuses("shards", "2048", "from 0 to 1024");
    refuses("workers", "0", "from 1 to 256");
    refuses("workers", "257", "from 1 to 256");
    refuses("workers", "8k", "from 1 to 256");
    refuses("workers", "", "from 1 to 256");
    refuses("handles_max", "0", "from 1");
    takes(&config, "metadata_entries_max", "16", "16");
    takes(&config, "metadata_entries_max", "0", "0");
    refuses("metadata_entries_max", "15", "16 and more");
}

Test(config, texts_are_copied_and_checked)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    char value[] = "hybrid";

    takes(&config, "policy", value, "hybrid");
    value[0] = 'X';
    shall_be(&config, "policy", "hybrid");
    takes(&config, "ttl", "/static/**=1h,/tmp/*=0", "/static/**=1h,/tmp/*=0");
    takes(&config, "ttl", "", "");
    refuses("policy", "magic", "one of lru, lfu, ttl, hybrid");
    refuses("ttl", "/a", "GLOB=DURATION");
    refuses("ttl", "/a=5s,b=1s", "the rule \"b=1s\"");
}

Test(config, unknown_key_is_refused_with_the_list_of_keys)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    char err[1024], small[20], buf[8];

    cr_assert_eq(cachefs_config_set(&config, "rum", "1g", err, sizeof(err), pool), APR_EINVAL);
    cr_assert_not_null(strstr(err, "\"rum\""));
    cr_assert_not_null(strstr(err, "metadata_entries_max"));
    memset(small, 'x', sizeof(small));
    cr_assert_eq(cachefs_config_set(&config, "rum", "1g", small, sizeof(small), pool), APR_EINVAL);
    cr_assert_eq(small[sizeof(small) - 1], '\0');
    cr_assert_eq(cachefs_config_set(&config, "rum", "1g", NULL, 0, pool), APR_EINVAL);
    cr_assert_eq(cachefs_config_get(&config, "rum", buf, sizeof(buf)), APR_EINVAL);
    cr_assert_eq(cachefs_config_get(&config, "policy", buf, 4), APR_FROM_OS_ERROR(ERANGE));
    cr_assert_eq(cachefs_config_get(&config, "policy", buf, 5), APR_SUCCESS);
    cr_assert_eq(cachefs_config_set(NULL, "ram", "1g", NULL, 0, pool), APR_EINVAL);
    cr_assert_eq(cachefs_config_set(&config, NULL, "1g", NULL, 0, pool), APR_EINVAL);
    cr_assert_eq(cachefs_config_set(&config, "ram", NULL, NULL, 0, pool), APR_EINVAL);
    cr_assert_eq(cachefs_config_get(&config, "ram", NULL, 5), APR_EINVAL);
}

Test(config, struct_of_an_older_header_lacks_the_newer_keys)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    char buf[64];

    config.size = offsetof(cachefs_config_t, pressure_watch);
    cr_assert_eq(cachefs_config_get(&config, "heat", buf, sizeof(buf)), APR_SUCCESS);
    cr_assert_eq(cachefs_config_get(&config, "pressure", buf, sizeof(buf)), APR_EINVAL);
    cr_assert_eq(cachefs_config_set(&config, "ttl", "/a=1s", NULL, 0, pool), APR_EINVAL);
    cr_assert_null(config.ttl_rules);
}

static void fails(const cachefs_config_t *config, const char *key, const char *accepted)
{
    char err[512] = "";

    cr_assert_eq(cachefs__config_check(config, err, sizeof(err)), APR_EINVAL, "%s", key);
    cr_assert_eq(strncmp(err, key, strlen(key)), 0, "\"%s\" does not begin with %s", err, key);
    cr_assert_not_null(strstr(err, accepted), "\"%s\" lacks \"%s\"", err, accepted);
    cr_assert_eq(cachefs__config_check(config, NULL, 0), APR_EINVAL);
}

#define FAILS(field, value, key, accepted)                                                         \
    do {                                                                                           \
        cachefs_config_t config = CACHEFS_CONFIG_INIT;                                             \
        config.field = value;                                                                      \
        fails(&config, key, accepted);                                                             \
    } while (0)

Test(config, check_names_each_field_that_is_out_of_range)
{
    FAILS(ram_bytes, (1u << 20) - 1, "ram:", "from 1m");
    FAILS(shards, 12, "shards:", "power of two");
    FAILS(shards, 4096, "shards:", "1024");
    FAILS(block_bytes, 8192, "block_size:", "16k");
    FAILS(workers, 0, "workers:", "256");
    FAILS(workers, 257, "workers:", "256");
    FAILS(handles_max, 0, "handles_max:", "from 1");
    FAILS(mode, (cachefs_mode_e)7, "mode: \"7\"", "through, back or around");
    FAILS(conflict, (cachefs_conflict_e)3, "conflict:", "keep-both");
    FAILS(policy, "magic", "policy: \"magic\"", "lru");
    FAILS(policy, NULL, "policy:", "one of lru");
    FAILS(ttl_rules, "/x=never", "ttl: \"/x=never\"", "5s");
    FAILS(attr_ttl_us, UINT64_MAX, "attr_ttl:", "from 0 to 2500000h");
    FAILS(retry_min_us, 0, "retry_min:", "1ms");
}

Test(config, check_names_fields_that_contradict_each_other)
{
    FAILS(retry_min_us, 61000000, "retry_min: \"61s\"", "retry_max, which is 1m");
    FAILS(readahead_bytes, 128u << 20, "readahead: \"128m\"", "readahead_max, which is 64m");
    FAILS(dirty_bytes_max, 257u << 20, "dirty_max: \"257m\"", "ram, which is 256m");
    FAILS(pin_bytes_max, 1ull << 40, "pin_bytes_max: \"1t\"", "ram, which is 256m");
}

Test(config, any_flag_but_zero_is_on)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    char err[256];

    config.serve_stale = 17;
    config.watch = -1;
    cr_assert_eq(cachefs__config_check(&config, err, sizeof(err)), APR_SUCCESS, "%s", err);
    shall_be(&config, "serve_stale", "on");
    shall_be(&config, "watch", "on");
}
