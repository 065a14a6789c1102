/*
 * test_compare.c - `cachefs compare`: the table, its JSON, its checks, and what it leaves behind.
 * tier: medium
 */
#include <criterion/criterion.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/cli/support_run.h"

#define FILES 7 /* regular files of a tree */
#define BYTES (3100000 + 6 + 5 + 5 + 4)

static const struct {
    const char *layer, *phase;
} rows[] = {
    {"direct", "cold"},     {"direct", "hot"},       {"direct", "random"},
    {"direct", "parallel"}, {"corfs", "cold"},       {"corfs", "hot"},
    {"corfs", "random"},    {"corfs", "parallel"},   {"cachefs", "cold"},
    {"cachefs", "warm"},    {"cachefs", "hot"},      {"cachefs", "revalidated"},
    {"cachefs", "random"},  {"cachefs", "parallel"},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const node_t *row_of(const node_t *doc, const char *layer, const char *phase)
{
    for (size_t i = 0; json_item(doc, i) != NULL; i++)
        if (strcmp(json_text(json_item(doc, i), "layer"), layer) == 0 &&
            strcmp(json_text(json_item(doc, i), "phase"), phase) == 0)
            return json_item(doc, i);
    return NULL;
}

static char *env_tmp(const char *dir)
{
    return formatted("TMPDIR=%s", dir);
}

Test(cli_compare, json_has_a_row_for_each_layer_and_phase)
{
    static const char *const members[] = {"files",  "bytes",     "seconds",       "p50_us",
                                          "p99_us", "hit_ratio", "backend_bytes", "rss_bytes"};
    char *origin = origin_of(tree_make());
    run_t r = run("compare", origin, "--tree", "/", "--delay", "2ms", "--json", "-q", NULL);
    node_t *doc = json_read(r.out);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_not_null(doc, "%s", r.out);
    cr_assert_eq(doc->count, ROWS);
    for (size_t i = 0; i < ROWS; i++) {
        const node_t *row = json_item(doc, i);
        cr_assert_str_eq(json_text(row, "layer"), rows[i].layer);
        cr_assert_str_eq(json_text(row, "phase"), rows[i].phase);
        cr_assert_eq(row->count, 10);
        for (size_t m = 0; m < sizeof(members) / sizeof(members[0]); m++)
            cr_expect_geq(json_number(row, members[m]), 0, "row %zu: %s", i, members[m]);
        cr_expect_eq(json_number(row, "files"), FILES, "row %zu", i);
        if (strcmp(rows[i].phase, "random") != 0)
            cr_expect_eq(json_number(row, "bytes"), BYTES, "row %zu", i);
        cr_expect_leq(json_number(row, "p50_us"), json_number(row, "p99_us"));
        cr_expect_leq(json_number(row, "hit_ratio"), 1.0);
        cr_expect_geq(json_number(row, "rss_bytes"), 1e6);
        cr_expect_gt(json_number(row, "seconds"), 0);
    }
}

Test(cli_compare, the_figures_are_those_of_a_cache)
{
    char *origin = origin_of(tree_make());
    run_t r = run("compare", origin, "--tree", "/", "--delay", "5ms", "--json", NULL);
    const node_t *doc = json_read(r.out);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_lt(json_number(row_of(doc, "cachefs", "cold"), "hit_ratio"), 0.05);
    cr_assert_geq(json_number(row_of(doc, "cachefs", "cold"), "backend_bytes"), BYTES);
    cr_assert_geq(json_number(row_of(doc, "cachefs", "warm"), "backend_bytes"), BYTES);
    static const char *const hot[] = {"hot", "revalidated", "random", "parallel"};
    for (size_t i = 0; i < 4; i++) {
        const node_t *row = row_of(doc, "cachefs", hot[i]);
        cr_expect_eq(json_number(row, "hit_ratio"), 1.0, "%s", hot[i]);
        cr_expect_eq(json_number(row, "backend_bytes"), 0, "%s", hot[i]);
    }
    /* a round trip of 5 ms: direct pays two for each file, revalidating one, a hit none */
    cr_expect_geq(json_number(row_of(doc, "direct", "hot"), "p50_us"), 10000);
    cr_expect_geq(json_number(row_of(doc, "cachefs", "revalidated"), "p50_us"), 5000);
    cr_expect_lt(json_number(row_of(doc, "cachefs", "hot"), "p50_us"), 5000);
    cr_expect_eq(json_number(row_of(doc, "direct", "hot"), "hit_ratio"), 0);
    cr_expect_eq(json_number(row_of(doc, "corfs", "cold"), "hit_ratio"), 0);
    cr_expect_eq(json_number(row_of(doc, "corfs", "hot"), "hit_ratio"), 1.0);
}

Test(cli_compare, corfs_can_be_run_exactly_as_the_library_it_is_named_after)
{
    char *origin = origin_of(tree_make());
    run_t r = run("compare", origin, "--tree", "/", "--layers", "corfs", "--corfs", "exact",
                  "--json", NULL);
    const node_t *doc = json_read(r.out);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_eq(doc->count, 4);
    cr_assert_eq(json_number(row_of(doc, "corfs", "hot"), "hit_ratio"), 0);
    cr_assert_geq(json_number(row_of(doc, "corfs", "hot"), "backend_bytes"), BYTES);
}

Test(cli_compare, the_table_has_its_columns_and_says_the_ttl)
{
    char *dir = tree_make(), *origin = origin_of(dir), *list = path_in(dir, "list");
    spill(list, "/a.txt\nsub/b.txt\n", 17);
    run_t r = run("compare", origin, "--list", list, "--delay", "1ms", NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_not_null(strstr(r.out, "attr_ttl 1h"), "%s", r.out);
    cr_assert_not_null(strstr(r.out, " hit ratio "), "%s", r.out);
    cr_assert_not_null(strstr(r.out, "backend bytes"), "%s", r.out);
    cr_assert_not_null(strstr(r.out, "\ncachefs  revalidated "), "%s", r.out);
    cr_assert_null(strstr(r.out, "\ndirect   warm "), "%s", r.out);
    r = run("compare", origin, "--list", list, "--attr-ttl", "7s", "--phases", "hot", "--layers",
            "cachefs", NULL);
    cr_assert_not_null(strstr(r.out, "attr_ttl 7s"), "%s", r.out);
    cr_assert_not_null(strstr(r.out, "\ncachefs  hot "), "%s", r.out);
    cr_assert_null(strstr(r.out, "\ncachefs  cold "), "%s", r.out);
}

Test(cli_compare, a_phase_alone_is_prepared_for)
{
    char *origin = origin_of(tree_make());
    run_t r = run("compare", origin, "--tree", "/", "--phases", "random,hot", "--random-reads",
                  "50", "--json", NULL);
    const node_t *doc = json_read(r.out);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_eq(doc->count, 6);
    cr_assert_eq(json_number(row_of(doc, "cachefs", "random"), "files"), 50);
    cr_assert_eq(json_number(row_of(doc, "cachefs", "random"), "hit_ratio"), 1.0);
    cr_assert_eq(json_number(row_of(doc, "cachefs", "hot"), "hit_ratio"), 1.0);
    cr_assert_eq(json_number(row_of(doc, "corfs", "hot"), "backend_bytes"), 0);
}

Test(cli_compare, a_file_that_cannot_be_read_fails_and_the_rest_is_compared)
{
    char *dir = tree_make(), *origin = origin_of(dir), *list = path_in(dir, "list");
    spill(list, "/a.txt\n/nope\n/sub\n", 18);
    run_t r = run("compare", origin, "--list", list, "--json", NULL);
    cr_assert_eq(r.code, 1, "%s", r.err);
    cr_assert_not_null(strstr(r.err, "/nope: "), "%s", r.err);
    cr_assert_not_null(strstr(r.err, "/sub: "), "%s", r.err);
    cr_assert_eq(json_number(row_of(json_read(r.out), "cachefs", "hot"), "files"), 1);
}

Test(cli_compare, bytes_that_differ_are_a_failure)
{
    char *dir = tree_make(), *origin = NULL;
    origin = formatted("sick:flip:%s", dir);
    /* each read of bad.txt has another wrong bit, the reference too */
    run_t r = run("compare", "--plugin", sick_plugin(), origin, "a.txt", "bad.txt", "--layers",
                  "direct", "--json", NULL);
    cr_assert_eq(r.code, 1, "%s", r.err);
    cr_assert_not_null(strstr(r.err, "/bad.txt: what was read is not what the origin had"), "%s",
                       r.err);
    cr_assert_eq(json_number(row_of(json_read(r.out), "direct", "hot"), "files"), 1);
}

Test(cli_compare, nothing_is_left_behind)
{
    char *dir = tree_make(), *tmp = path_in(tree_make(), "tmp"), *origin = origin_of(dir);
    cr_assert_eq(mkdir(tmp, 0700), 0);
    const how_t calm = {.env = env_tmp(tmp)};
    run_t r = run_how(&calm, "compare", origin, "--tree", "/", "-q", NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_eq(count_names(tmp, ""), 0);

    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < 3; i++) {
        const how_t how = {.env = env_tmp(tmp), .signal = signals[i], .signal_on = "corfs    cold"};
        r = run_how(&how, "compare", origin, "--tree", "/", "--delay", "50ms", "--layers",
                    "corfs,cachefs", NULL);
        cr_assert_eq(r.code, 128 + signals[i], "code %d, signal %d, %s", r.code, r.signal, r.err);
        cr_assert_not_null(strstr(r.err, "interrupted: 1 of 10 rows are there"), "%s", r.err);
        cr_assert_eq(count_names(tmp, ""), 0);
    }
}

Test(cli_compare, a_killed_parent_leaves_neither_a_process_nor_files)
{
    char *origin = origin_of(tree_make()), *tmp = path_in(tree_make(), "tmp");
    cr_assert_eq(mkdir(tmp, 0700), 0);
    const how_t how = {.env = env_tmp(tmp), .signal = SIGKILL, .signal_on = "direct   cold"};
    /* a run ends when nobody holds its output any more: when the child is gone too */
    run_t r = run_how(&how, "compare", origin, "--tree", "/", "--delay", "200ms", NULL);
    cr_assert_eq(r.signal, SIGKILL);
    cr_assert_eq(count_names(tmp, ""), 0);
}

Test(cli_compare, an_interrupted_json_is_still_json)
{
    char *origin = origin_of(tree_make());
    const how_t how = {.signal = SIGINT, .signal_after = 1.0};
    run_t r = run_how(&how, "compare", origin, "--tree", "/", "--delay", "10s", "--json", NULL);
    cr_assert_eq(r.code, 130, "code %d, signal %d, %s", r.code, r.signal, r.err);
    cr_assert_not_null(json_read(r.out), "%s", r.out);
    cr_assert_lt(json_read(r.out)->count, ROWS);
}
