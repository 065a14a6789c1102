/*
 * test_warm.c - `cachefs warm`: what it takes, what it says, how it is stopped; and the progress
 * bar.
 */
#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "tests/cli/support_run.h"

Test(cli_warm, files_trees_lists_and_patterns)
{
    char *dir = tree_make(), *origin = origin_of(dir), *list = path_in(dir, "list");
    spill(list, "# some\n/a.txt\n\nsub/b.txt\n", 25);
    run_t r = run("warm", origin, "a.txt", "sub", "--json", NULL);
    node_t *doc = json_read(r.out);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_eq(json_number(doc, "warmed"), 3);
    cr_assert_eq(json_number(doc, "bytes"), 6 + 5 + 100000);
    cr_assert_eq(json_number(doc, "fetched_bytes"), 6 + 5 + 100000);
    cr_assert_geq(json_number(doc, "ram_used_bytes"), 100000);
    doc = json_read(run("warm", origin, "--list", list, "--json", NULL).out);
    cr_assert_eq(json_number(doc, "files"), 2);
    cr_assert_eq(json_number(doc, "bytes"), 11);
    doc = json_read(run("warm", origin, "--glob", "/**/*.txt", "--json", NULL).out);
    cr_assert_eq(json_number(doc, "files"), 3);
    doc = json_read(run("warm", origin, "--tree", "/sub", "--json", NULL).out);
    cr_assert_eq(json_number(doc, "files"), 2);
    const how_t in = {.input = "/a.txt\n"};
    doc = json_read(run_how(&in, "warm", origin, "--list", "-", "--json", NULL).out);
    cr_assert_eq(json_number(doc, "files"), 1);
}

Test(cli_warm, text_says_how_it_went)
{
    char *origin = origin_of(tree_make());
    run_t r = run("warm", origin, "a.txt", "big.bin", "--max-file", "1m", NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_not_null(strstr(r.out, "1 of 2 files warm (1 skipped, 0 failed): 6 B in "), "%s",
                       r.out);
}

Test(cli_warm, limits_hold)
{
    char *origin = origin_of(tree_make());
    node_t *doc = json_read(
        run("warm", origin, "--tree", "/", "--max-bytes", "50k", "-j", "1", "--json", NULL).out);
    cr_assert_gt(json_number(doc, "skipped"), 0);
    run_t r = run("warm", origin, "sub/deep/c.bin", "--rate", "200k", "--json", NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_geq(r.seconds, 0.2, "100,000 bytes at 200 KiB/s");
}

Test(cli_warm, what_is_missing_fails_and_the_rest_is_warm)
{
    char *dir = tree_make(), *origin = origin_of(dir), *list = path_in(dir, "list");
    spill(list, "/a.txt\n/nope\n/sub/b.txt\n", 24);
    run_t r = run("warm", origin, "--list", list, "--json", NULL);
    cr_assert_eq(r.code, 1, "%s", r.err);
    cr_assert_eq(json_number(json_read(r.out), "warmed"), 2);
    cr_assert_eq(json_number(json_read(r.out), "failed"), 1);
    cr_assert_not_null(strstr(r.err, "/nope: "), "%s", r.err);
}

/* A PATH that is not there is counted as one of a list, in its turn. */
Test(cli_warm, a_path_that_is_missing_counts_as_failed_and_stops_what_stops_on_errors)
{
    char *origin = origin_of(tree_make());
    run_t r = run("warm", origin, "nope", "a.txt", "--json", NULL);
    cr_assert_eq(r.code, 1, "%s", r.err);
    cr_assert_eq(json_number(json_read(r.out), "files"), 2);
    cr_assert_eq(json_number(json_read(r.out), "warmed"), 1);
    cr_assert_eq(json_number(json_read(r.out), "failed"), 1);
    cr_assert_not_null(strstr(r.err, "nope: "), "%s", r.err);
    r = run("warm", origin, "nope", "a.txt", "--json", "--stop-on-error", "-j", "1", NULL);
    cr_assert_eq(r.code, 1, "%s", r.err);
    cr_assert_eq(json_number(json_read(r.out), "warmed"), 0);
    cr_assert_eq(json_number(json_read(r.out), "failed"), 1);
}

Test(cli_warm, a_bad_line_is_named_by_its_number)
{
    char *dir = tree_make(), *list = path_in(dir, "list");
    char line[6000];
    memset(line, 'x', sizeof(line));
    memcpy(line, "/a.txt\n", 7);
    line[sizeof(line) - 1] = '\n';
    spill(list, line, sizeof(line));
    run_t r = run("warm", origin_of(dir), "--list", list, NULL);
    cr_assert_eq(r.code, 2, "%s", r.err);
    cr_assert_not_null(strstr(r.err, "2"), "%s", r.err);
}

Test(cli_warm, an_os_path_in_a_list_gets_the_right_form_named)
{
    char *dir = tree_make(), *list = path_in(dir, "list");
    char *line = formatted("%s/sub/b.txt\n", dir);
    spill(list, line, strlen(line));
    run_t r = run("warm", origin_of(dir), "--list", list, NULL);
    cr_assert_eq(r.code, 2, "%s", r.err);
    cr_assert_not_null(strstr(r.err, "/sub/b.txt"), "%s", r.err);
}

Test(cli_warm, ctrl_c_stops_it_and_it_says_what_was_done)
{
    char *dir = tree_make(), *origin = NULL;
    origin = formatted("sick:block:%s", dir);
    const how_t how = {.signal = SIGINT, .signal_after = 0.5};
    run_t r =
        run_how(&how, "warm", "--plugin", sick_plugin(), origin, "a.txt", "sub", "--json", NULL);
    cr_assert_eq(r.code, 130, "code %d, signal %d, %s", r.code, r.signal, r.err);
    cr_assert_eq(json_number(json_read(r.out), "warmed"), 0);
}

Test(cli_warm, an_interrupted_job_goes_on_where_it_was)
{
    char *dir = tree_make(), *origin = origin_of(dir), *resume = path_in(dir, "resume"),
         *list = path_in(dir, "list");
    spill(list, "/a.txt\n/sub/b.txt\n/big.bin\n", 27);
    const how_t how = {.on_terminal = 1, .signal = SIGTERM, .signal_on = " 2/3 files"};
    run_t r = run_how(&how, "warm", origin, "--list", list, "-j", "1", "--delay", "1ms,5k",
                      "--resume", resume, "--json", NULL); /* the third would take ten minutes */
    cr_assert_eq(r.code, 143, "code %d, signal %d, %s", r.code, r.signal, r.err);
    cr_assert_eq(json_number(json_read(r.out), "warmed"), 2, "%s", r.out);
    r = run("warm", origin, "--list", list, "--resume", resume, "--json", NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_eq(json_number(json_read(r.out), "skipped"), 2, "%s", r.out);
    cr_assert_eq(json_number(json_read(r.out), "warmed"), 1, "%s", r.out);
    cr_assert_neq(access(resume, F_OK), 0, "a job that ended well leaves nothing");
}

Test(cli_progress, a_bar_is_drawn_on_a_terminal_only)
{
    char *origin = origin_of(tree_make());
    const how_t terminal = {.on_terminal = 1};
    run_t r = run_how(&terminal, "warm", origin, "--tree", "/", "--delay", "5ms", NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_not_null(strstr(r.err, "warming ["), "%s", r.err);
    cr_assert_not_null(strstr(r.err, "7/7 files"), "%s", r.err);
    cr_assert_str_eq(r.err + strlen(r.err) - 4, "\r\033[K", "and it is taken away");
    r = run_how(&terminal, "warm", origin, "--tree", "/", "--quiet", NULL);
    cr_assert_eq(r.err_len, 0, "%s", r.err);
    r = run("warm", origin, "--tree", "/", NULL);
    cr_assert_eq(r.err_len, 0, "%s", r.err);
}
