/*
 * test_config_ttl.c - lifetimes by path, and the parsers of sizes and durations over garbage.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/config.h"

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

TestSuite(config_ttl, .init = begin, .fini = end);

static const cachefs__ttl_rules_t *parse(const char *text)
{
    cachefs__ttl_rules_t *rules = NULL;
    char err[256] = "";

    cr_assert_eq(cachefs__ttl_rules_check(text, err, sizeof(err)), APR_SUCCESS, "%s", err);
    cr_assert_eq(cachefs__ttl_rules_parse(&rules, text, err, sizeof(err), pool), APR_SUCCESS, "%s",
                 err);
    return rules;
}

Test(config_ttl, first_rule_that_matches_counts)
{
    const cachefs__ttl_rules_t *rules = parse("/static/**=1h,/static/hot/*=1s,/*.txt=250ms,/x=0");

    cr_assert_eq(cachefs__ttl_lookup(rules, "/static/a/b", 7), 3600000000);
    cr_assert_eq(cachefs__ttl_lookup(rules, "/static/hot/b", 7), 3600000000);
    cr_assert_eq(cachefs__ttl_lookup(rules, "/a.txt", 7), 250000);
    cr_assert_eq(cachefs__ttl_lookup(rules, "/d/a.txt", 7), 7);
    cr_assert_eq(cachefs__ttl_lookup(rules, "/x", 7), 0);
    cr_assert_eq(cachefs__ttl_lookup(rules, "/y", -1), -1);
}

Test(config_ttl, no_rules_mean_the_default)
{
    cr_assert_eq(cachefs__ttl_lookup(parse(NULL), "/a", 5), 5);
    cr_assert_eq(cachefs__ttl_lookup(parse(""), "/a", 5), 5);
    cr_assert_eq(cachefs__ttl_lookup(NULL, "/a", 5), 5);
    cr_assert_eq(cachefs__ttl_rules_check(NULL, NULL, 0), APR_SUCCESS);
}

Test(config_ttl, patterns_may_hold_commas_and_equal_signs)
{
    const cachefs__ttl_rules_t *rules = parse("/a\\,b=5s,/k=v/*=2s,/[]x[!a]=3s");

    cr_assert_eq(cachefs__ttl_lookup(rules, "/a,b", 1), 5000000);
    cr_assert_eq(cachefs__ttl_lookup(rules, "/k=v/z", 1), 2000000);
}

Test(config_ttl, broken_rules_are_named)
{
    static const struct {
        const char *text, *fault;
    } cases[] = {
        {"/a", "\"/a\": it is not GLOB=DURATION"},
        {"/a=1s,", "a comma"},
        {",/a=1s", "\"\": it is not"},
        {"/a=1s,,/b=1s", "\"\": it is not"},
        {"/a=1s,b=2s", "\"b=2s\": a pattern begins with '/'"},
        {"=2s", "begins with '/'"},
        {"/a=", "the duration is not like"},
        {"/a=5", "the duration is not like"},
        {"/a=99999999999h", "the duration is not like"},
        {"/a=00000000000000000000000000000000000001s", "the duration is too long"},
        {"/[a=5s", "a '[' has no ']'"},
        {"/[!=5s", "a '[' has no ']'"},
        {"/[a\\]=5s", "a '[' has no ']'"},
        {"/a\\=5s", "nothing follows the last"},
    };
    cachefs__ttl_rules_t *rules = NULL;
    size_t i;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char err[256] = "", same[256] = "";

        cr_assert_eq(cachefs__ttl_rules_check(cases[i].text, err, sizeof(err)), APR_EINVAL, "%s",
                     cases[i].text);
        cr_assert_not_null(strstr(err, cases[i].fault), "%s: %s", cases[i].text, err);
        cr_assert_eq(cachefs__ttl_rules_parse(&rules, cases[i].text, same, sizeof(same), pool),
                     APR_EINVAL);
        cr_assert_str_eq(err, same);
        cr_assert_null(rules);
        cr_assert_eq(cachefs__ttl_rules_check(cases[i].text, NULL, 0), APR_EINVAL);
    }
}

Test(config_ttl, number_and_length_of_rules_are_bounded)
{
    size_t one = strlen("/a=1s,"), i;
    char *text = malloc(258 * one + 1), err[64];
    char *longest = malloc(VFS_PATH_MAX + 16);

    cr_assert(text != NULL && longest != NULL);
    for (i = 0; i < 258; i++)
        memcpy(text + i * one, "/a=1s,", one);
    text[256 * one - 1] = '\0';
    (void)parse(text);
    text[256 * one - 1] = ',';
    text[257 * one - 1] = '\0';
    cr_assert_eq(cachefs__ttl_rules_check(text, err, sizeof(err)), APR_EINVAL);
    cr_assert_not_null(strstr(err, "256"));

    memset(longest, 'a', VFS_PATH_MAX + 16);
    longest[0] = '/';
    memcpy(longest + VFS_PATH_MAX, "=1s", 4);
    (void)parse(longest);
    longest[VFS_PATH_MAX] = 'a';
    memcpy(longest + VFS_PATH_MAX + 1, "=1s", 4);
    cr_assert_eq(cachefs__ttl_rules_check(longest, err, sizeof(err)), APR_EINVAL);
    free(text);
    free(longest);
}

Test(config_ttl, sizes_and_durations_survive_being_shown)
{
    uint64_t value, again, random = 0x9e3779b97f4a7c15ull;
    char buf[32];
    int i;

    for (i = 0; i < 20000; i++) {
        random = random * 6364136223846793005ull + 1442695040888963407ull;
        value = random >> (i % 64);
        if (i % 3 == 0) value <<= i % 40;
        cachefs__format_size(buf, sizeof(buf), value);
        cr_assert_eq(cachefs__parse_size(buf, &again), APR_SUCCESS, "%s", buf);
        cr_assert_eq(again, value, "%s", buf);
        cachefs__format_duration(buf, sizeof(buf), value);
        cr_assert_eq(cachefs__parse_duration(buf, &again), APR_SUCCESS, "%s", buf);
        cr_assert_eq(again, value, "%s", buf);
    }
}

Test(config_ttl, garbage_is_refused_or_means_something)
{
    static const char letters[] = "0123456789kmgtbius.=-/*[],\\ \x80";
    uint32_t random = 12345;
    int i, accepted = 0;

    for (i = 0; i < 200000; i++) {
        cachefs__ttl_rules_t *rules;
        char text[24], err[16];
        size_t len, j;
        uint64_t value;
        int flag;

        random = random * 1664525u + 1013904223u;
        len = random >> 28;
        for (j = 0; j < len; j++) {
            random = random * 1664525u + 1013904223u;
            text[j] = letters[(random >> 16) % (sizeof(letters) - 1)];
        }
        text[len] = '\0';
        if (cachefs__parse_size(text, &value) == APR_SUCCESS) accepted++;
        if (cachefs__parse_duration(text, &value) == APR_SUCCESS) accepted++;
        if (cachefs__parse_flag(text, &flag) == APR_SUCCESS) cr_assert(flag == 0 || flag == 1);
        if (cachefs__ttl_rules_check(text, err, sizeof(err)) != APR_SUCCESS) continue;
        cr_assert_eq(cachefs__ttl_rules_parse(&rules, text, err, sizeof(err), pool), APR_SUCCESS);
        (void)cachefs__ttl_lookup(rules, "/a", 0);
        apr_pool_clear(pool);
    }
    cr_assert_gt(accepted, 100);
}
