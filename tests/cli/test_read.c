/*
 * test_read.c - ls, cat and stat: what they show, and what they do when something is wrong with a
 * file or with the output.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/cli/support_run.h"

Test(cli_ls, lists_one_level_in_byte_order)
{
    char *origin = origin_of(tree_make());
    run_t r = run("ls", origin, NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_str_eq(r.out, "/a.txt\n/bad.txt\n/big.bin\n/empty\n/link\n/odd \xff name\n/sub/\n");
    cr_assert_eq(r.err_len, 0, "%s", r.err);
}

Test(cli_ls, recursive_files_make_a_path_list)
{
    char *origin = origin_of(tree_make());
    run_t r = run("ls", origin, "-R", "--files", NULL);
    cr_assert_str_eq(r.out, "/a.txt\n/bad.txt\n/big.bin\n/empty\n/odd \xff name\n/sub/b.txt\n"
                            "/sub/deep/c.bin\n");
    r = run("ls", origin, "-R", "sub", NULL);
    cr_assert_str_eq(r.out, "/sub/b.txt\n/sub/deep/\n/sub/deep/c.bin\n");
}

Test(cli_ls, a_file_is_listed_itself_and_a_link_shows_its_target)
{
    char *origin = origin_of(tree_make());
    run_t r = run("ls", origin, "a.txt", "/link", "-l", NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_eq(strncmp(r.out, "-rw-r-----   1 ", 15), 0, "%s", r.out);
    cr_assert_not_null(strstr(r.out, " 6 2"), "%s", r.out);
    cr_assert_not_null(strstr(r.out, "/link -> a.txt\n"), "%s", r.out);
}

Test(cli_ls, json_has_every_entry_and_the_bytes_of_odd_names)
{
    char *origin = origin_of(tree_make());
    run_t r = run("ls", origin, "-R", "--json", NULL);
    node_t *doc = json_read(r.out);
    cr_assert_not_null(doc, "%s", r.out);
    cr_assert_eq(doc->count, 10);
    const node_t *a = json_find(doc, "path", "/a.txt"), *sub = json_find(doc, "path", "/sub");
    cr_assert_eq(json_number(a, "size"), 6);
    cr_assert_str_eq(json_text(a, "type"), "file");
    cr_assert_str_eq(json_text(a, "mode"), "0640");
    cr_assert_gt(json_number(a, "mtime_ns"), 1e18);
    cr_assert_str_eq(json_text(sub, "type"), "dir");
    cr_assert_str_eq(json_text(json_find(doc, "path", "/link"), "target"), "a.txt");
    const node_t *odd = json_find(doc, "path", "/odd \xef\xbf\xbd name");
    cr_assert_str_eq(json_text(odd, "path_hex"), "2f6f646420ff206e616d65");
}

Test(cli_ls, an_empty_origin_is_an_empty_list)
{
    run_t text = run("ls", "mem:", NULL), json = run("ls", "mem:", "--json", NULL);
    cr_assert_eq(text.code, 0, "%s", text.err);
    cr_assert_eq(text.out_len, 0);
    cr_assert_eq(json_read(json.out)->count, 0);
}

Test(cli_ls, what_is_missing_fails_and_the_rest_is_listed)
{
    char *origin = origin_of(tree_make());
    run_t r = run("ls", origin, "nope", "sub", NULL);
    cr_assert_eq(r.code, 1);
    cr_assert_str_eq(r.out, "/sub/b.txt\n/sub/deep/\n");
    cr_assert_not_null(strstr(r.err, "nope: "), "%s", r.err);
}

Test(cli_cat, writes_exactly_the_bytes)
{
    static const char *const names[] = {"a.txt", "empty", "sub/deep/c.bin", "big.bin"};
    static const char *const stacks[][2] = {{"--ram=64m", "-q"},
                                            {"--no-cache", "-q"},
                                            {"--delay=1ms,1g", "--ram=1m"},
                                            {"--block-size=4k", "--policy=ttl"},
                                            {"--set=readahead=0", "--mode=back"}};
    char *dir = tree_make(), *origin = origin_of(dir);
    for (size_t i = 0; i < 4; i++) {
        size_t len = 0;
        char *want = slurp(path_in(dir, names[i]), &len);
        for (size_t s = 0; s < 5; s++) {
            run_t r = run("cat", origin, names[i], stacks[s][0], stacks[s][1], NULL);
            cr_assert_eq(r.code, 0, "%s", r.err);
            cr_assert_eq(r.out_len, len);
            cr_assert_eq(memcmp(r.out, want, len), 0);
        }
    }
}

Test(cli_cat, several_files_follow_each_other_and_one_that_fails_is_named)
{
    char *origin = origin_of(tree_make());
    run_t r = run("cat", origin, "/a.txt", "nope", "sub", "link", "sub/../sub/b.txt", NULL);
    cr_assert_eq(r.code, 1);
    cr_assert_str_eq(r.out, "alpha\nalpha\nbeta\n");
    cr_assert_not_null(strstr(r.err, "nope: "), "%s", r.err);
    cr_assert_not_null(strstr(r.err, "sub: "), "%s", r.err);
}

Test(cli_cat, a_path_of_the_system_gets_the_right_form_named)
{
    char *dir = tree_make(), *origin = origin_of(dir);
    run_t r = run("cat", origin, path_in(dir, "sub/b.txt"), NULL);
    cr_assert_eq(r.code, 1);
    cr_assert_not_null(strstr(r.err, "write /sub/b.txt"), "%s", r.err);
}

Test(cli_cat, what_is_behind_a_message_is_said)
{
    char *dir = tree_make(), *origin = origin_of(dir);
    cr_assert_eq(symlink("/etc/passwd", path_in(dir, "out")), 0);
    cr_assert_eq(symlink(path_in(dir, "a.txt"), path_in(dir, "in")), 0);
    run_t r = run("cat", origin, "out", "in", NULL);
    cr_assert_eq(r.code, 1);
    cr_assert_str_eq(r.out, "alpha\n");
    cr_assert_str_eq(r.err, "cachefs cat: out: Permission denied (a symbolic link leads out of the "
                            "origin)\n");
    r = run("cat", origin, "", NULL);
    cr_assert_eq(r.code, 1);
    cr_assert_not_null(strstr(r.err, "an empty path (the root is /): "), "%s", r.err);
}

Test(cli_cat, stats_and_trace_tell_what_reached_the_origin)
{
    char *origin = origin_of(tree_make());
    run_t r = run("cat", origin, "a.txt", "a.txt", "--stats", "--trace", "--attr-ttl=1h", NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_str_eq(r.out, "alpha\nalpha\n");
    cr_assert_not_null(strstr(r.err, "6 B read from it; 12 B read through the cache"), "%s", r.err);
    cr_assert_not_null(strstr(r.err, "/a.txt"), "%s", r.err);
    r = run("cat", origin, "a.txt", "a.txt", "--stats", "--no-cache", NULL);
    cr_assert_not_null(strstr(r.err, "12 B read from it"), "%s", r.err);
}

Test(cli_cat, a_simulated_remote_takes_its_time)
{
    char *origin = origin_of(tree_make());
    run_t r = run("cat", origin, "a.txt", "--delay", "300ms", NULL);
    cr_assert_str_eq(r.out, "alpha\n");
    cr_assert_geq(r.seconds, 0.3);
    r = run("cat", origin, "big.bin", "--delay", "0,6m", NULL);
    cr_assert_eq(r.out_len, 3000000);
    cr_assert_geq(r.seconds, 0.3);
}

Test(cli_output, a_full_disk_is_named_and_1)
{
    char *origin = origin_of(tree_make());
    const how_t full = {.out_file = "/dev/full"};
    const run_t runs[] = {
        run_how(&full, "cat", origin, "big.bin", NULL),
        run_how(&full, "ls", origin, "-R", NULL),
        run_how(&full, "stat", origin, "a.txt", NULL),
        run_how(&full, "version", NULL),
        run_how(&full, "--help", NULL),
    };
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        cr_expect_eq(runs[i].code, 1, "%zu", i);
        cr_expect_not_null(strstr(runs[i].err, strerror(ENOSPC)), "%zu: %s", i, runs[i].err);
    }
}

Test(cli_output, a_closed_pipe_ends_it_quietly_with_1)
{
    char *origin = origin_of(tree_make());
    const how_t closed = {.close_out = 1};
    const run_t runs[] = {
        run_how(&closed, "cat", origin, "big.bin", NULL),
        run_how(&closed, "ls", origin, "-R", NULL),
        run_how(&closed, "stat", origin, "a.txt", "--json", NULL),
    };
    for (size_t i = 0; i < sizeof(runs) / sizeof(runs[0]); i++) {
        cr_expect_eq(runs[i].code, 1, "%zu: code %d signal %d", i, runs[i].code, runs[i].signal);
        cr_expect_eq(runs[i].err_len, 0, "%zu: %s", i, runs[i].err);
    }
}

Test(cli_stat, says_what_the_system_says)
{
    char *dir = tree_make(), *origin = origin_of(dir);
    struct stat info;
    run_t r = run("stat", origin, "a.txt", "sub", "link", "--json", NULL);
    node_t *doc = json_read(r.out);
    cr_assert_not_null(doc, "%s", r.out);
    cr_assert_eq(stat(path_in(dir, "a.txt"), &info), 0);
    const node_t *a = json_item(doc, 0), *link = json_item(doc, 2);
    cr_assert_eq(json_number(a, "size"), info.st_size);
    cr_assert_eq(json_number(a, "ino"), info.st_ino);
    cr_assert_eq(json_number(a, "nlink"), info.st_nlink);
    cr_assert_eq(json_number(a, "uid"), info.st_uid);
    cr_assert_float_eq(json_number(a, "mtime_ns"),
                       (double)info.st_mtim.tv_sec * 1e9 + (double)info.st_mtim.tv_nsec, 1e3);
    cr_assert_str_eq(json_text(a, "validator"), "times");
    cr_assert_str_eq(json_text(json_item(doc, 1), "type"), "dir");
    cr_assert_str_eq(json_text(link, "type"), "link");
    cr_assert_str_eq(json_text(link, "target"), "a.txt");
    r = run("stat", origin, "link", "--follow", "--json", NULL);
    cr_assert_eq(json_number(json_item(json_read(r.out), 0), "size"), 6);
}

Test(cli_stat, text_has_size_mode_and_time)
{
    char *origin = origin_of(tree_make());
    run_t r = run("stat", origin, "a.txt", "nope", NULL);
    cr_assert_eq(r.code, 1);
    cr_assert_not_null(strstr(r.out, "path: /a.txt\n"), "%s", r.out);
    cr_assert_not_null(strstr(r.out, "size: 6 bytes"), "%s", r.out);
    cr_assert_not_null(strstr(r.out, "mode: 0640 (-rw-r-----)"), "%s", r.out);
    cr_assert_not_null(strstr(r.out, " UTC\n"), "%s", r.out);
    cr_assert_not_null(strstr(r.err, "nope: "), "%s", r.err);
}

Test(cli_origin, one_that_is_not_there_is_3)
{
    char *dir = tree_make();
    static const char *const verbs[] = {"ls", "cat", "stat", "warm", "compare"};
    for (size_t i = 0; i < 5; i++) {
        run_t r = run(verbs[i], origin_of(path_in(dir, "nope")), "x", NULL);
        cr_expect_eq(r.code, 3, "%s: %d, %s", verbs[i], r.code, r.err);
        cr_expect_not_null(strstr(r.err, "/nope"), "%s", r.err);
    }
    run_t r = run("cp", origin_of(path_in(dir, "nope")), "x", dir, NULL);
    cr_assert_eq(r.code, 3, "%s", r.err);
    r = run("ls", origin_of(path_in(dir, "a.txt")), NULL);
    cr_assert_eq(r.code, 3, "a file is no directory to serve: %s", r.err);
}

Test(cli_origin, one_that_goes_away_is_3)
{
    char *origin = NULL, *dir = tree_make();
    origin = formatted("sick:offline:%s", dir);
    static const char *const verbs[] = {"ls", "cat", "stat"};
    for (size_t i = 0; i < 3; i++) {
        run_t r = run(verbs[i], "--plugin", sick_plugin(), origin, "a.txt", NULL);
        cr_expect_eq(r.code, 3, "%s: %d, %s", verbs[i], r.code, r.err);
        cr_expect_not_null(strstr(r.err, "a.txt"), "%s", r.err);
    }
}

Test(cli_origin, its_special_characters_are_encoded)
{
    char *dir = tree_make();
    char *odd = path_in(dir, "sub/a b%c?");
    cr_assert_eq(mkdir(odd, 0700), 0);
    spill(path_in(odd, "x"), "inside\n", 7);
    char *uri = NULL;
    uri = formatted("file://%s/sub/a%%20b%%25c%%3F", dir);
    run_t told = run("ls", odd, NULL);
    cr_assert_not_null(strstr(told.err, uri), "%s", told.err);
    run_t r = run("cat", uri, "x", NULL);
    cr_assert_str_eq(r.out, "inside\n", "%s", r.err);
}
