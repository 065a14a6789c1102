/*
 * test_cp.c - `cachefs cp`: out of a stack, to the system and to another stack.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/cli/support_run.h"

static void same_file(const char *a, const char *b)
{
    size_t la = 0, lb = 0;
    const char *x = slurp(a, &la), *y = slurp(b, &lb);
    struct stat sa, sb;
    cr_assert_not_null(x, "%s", a);
    cr_assert_not_null(y, "%s", b);
    cr_assert_eq(la, lb);
    cr_assert_eq(memcmp(x, y, la), 0, "%s", b);
    cr_assert_eq(stat(a, &sa) | stat(b, &sb), 0);
    cr_assert_eq(sa.st_mode, sb.st_mode, "%s: %o", b, sb.st_mode);
    cr_assert_eq(sa.st_mtim.tv_sec, sb.st_mtim.tv_sec, "%s", b);
    cr_assert_eq(sa.st_mtim.tv_nsec, sb.st_mtim.tv_nsec, "%s", b);
}

static char *empty_dir(void)
{
    char *dir = path_in(tree_make(), "dest");
    cr_assert_eq(mkdir(dir, 0700), 0);
    return dir;
}

static void same_tree(const char *from, const char *to)
{
    static const char *const names[] = {"a.txt",     "bad.txt",        "big.bin",      "empty",
                                        "sub/b.txt", "sub/deep/c.bin", "odd \xff name"};
    char target[32] = "";
    struct stat info;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        same_file(path_in(from, names[i]), path_in(to, names[i]));
    cr_assert_eq(readlink(path_in(to, "link"), target, sizeof(target) - 1), 5);
    cr_assert_str_eq(target, "a.txt");
    cr_assert_eq(stat(path_in(to, "sub/deep"), &info), 0);
    cr_assert_eq(info.st_mode & 07777, 0750);
}

Test(cli_cp, files_go_into_a_directory_with_mode_and_time)
{
    char *dir = tree_make(), *dest = empty_dir();
    run_t r = run("cp", origin_of(dir), "a.txt", "/sub/deep/c.bin", "link", dest, NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    same_file(path_in(dir, "a.txt"), path_in(dest, "a.txt"));
    same_file(path_in(dir, "sub/deep/c.bin"), path_in(dest, "c.bin"));
    same_file(path_in(dir, "a.txt"), path_in(dest, "link"));
    cr_assert_not_null(strstr(r.err, "3 of 3 files copied"), "%s", r.err);
}

Test(cli_cp, one_file_gets_a_new_name_or_replaces_one)
{
    char *dir = tree_make(), *dest = empty_dir(), *name = path_in(dest, "new");
    run_t r = run("cp", origin_of(dir), "a.txt", name, NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    same_file(path_in(dir, "a.txt"), name);
    r = run("cp", origin_of(dir), "big.bin", name, "-q", NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_eq(r.err_len, 0);
    same_file(path_in(dir, "big.bin"), name);
    r = run("cp", origin_of(dir), "a.txt", name, "--no-clobber", "--json", NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_eq(json_number(json_read(r.out), "kept"), 1);
    same_file(path_in(dir, "big.bin"), name);
}

Test(cli_cp, a_tree_takes_recursive)
{
    char *dir = tree_make(), *dest = empty_dir();
    run_t r = run("cp", origin_of(dir), "sub", "a.txt", dest, NULL);
    cr_assert_eq(r.code, 1);
    cr_assert_not_null(strstr(r.err, "--recursive"), "%s", r.err);
    cr_assert_eq(count_names(dest, ""), 1);
    r = run("cp", origin_of(dir), "/", dest, "--recursive", "--json", NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    same_tree(dir, dest);
    node_t *doc = json_read(r.out);
    cr_assert_eq(json_number(doc, "files"), 8);
    cr_assert_eq(json_number(doc, "copied"), 8);
    cr_assert_eq(json_number(doc, "failed"), 0);
    cr_assert_eq(json_number(doc, "bytes"), 3100000 + 6 + 5 + 5 + 4);
    r = run("cp", origin_of(dir), "sub", path_in(dest, "renamed"), "-r", NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    same_file(path_in(dir, "sub/deep/c.bin"), path_in(dest, "renamed/deep/c.bin"));
}

/* Refused as a whole, and nothing was made below `dir`. */
static void refused(const run_t *r, const char *dir, const char *why)
{
    cr_assert_eq(r->code, 2, "%d: %s", r->code, r->err);
    cr_assert_not_null(strstr(r->err, why), "%s", r->err);
    cr_assert_eq(count_names(path_in(dir, "sub/deep"), ""), 1, "c.bin alone");
    cr_assert_eq(count_names(path_in(dir, "sub"), ""), 2, "b.txt and deep");
}

Test(cli_cp, a_directory_is_not_copied_into_itself)
{
    static const char *const why = "cannot copy a directory into itself";
    char *dir = tree_make(), *dest = empty_dir();
    run_t r = run("cp", origin_of(dir), "/sub", path_in(dir, "sub/deep"), "-r", NULL);
    refused(&r, dir, why);
    r = run("cp", origin_of(dir), "/sub", path_in(dir, "sub/new"), "-r", NULL);
    refused(&r, dir, why);
    r = run("cp", origin_of(dir), "/sub", dir, "-r", NULL); /* it would be its own copy */
    refused(&r, dir, why);
    r = run("cp", origin_of(dir), "/", dir, "-r", NULL);
    refused(&r, dir, why);
    r = run("cp", origin_of(dir), "/sub", origin_of(dir), "-r", "--into", "/sub/x/y", NULL);
    refused(&r, dir, why);
    r = run("cp", origin_of(path_in(dir, "sub")), "/", origin_of(path_in(dir, "sub/deep")), "-r",
            NULL);
    refused(&r, dir, why);
    cr_assert_eq(symlink(path_in(dir, "sub"), path_in(dest, "aside")), 0);
    r = run("cp", origin_of(dir), "/sub", path_in(dest, "aside"), "-r", NULL);
    refused(&r, dir, why);
    r = run("cp", origin_of(dir), "a.txt", dir, NULL);
    refused(&r, dir, "cannot copy a file to itself");
    r = run("cp", origin_of(dir), "/sub", path_in(dir, "sub2"), "-r", NULL); /* beside it */
    cr_assert_eq(r.code, 0, "%s", r.err);
    same_file(path_in(dir, "sub/b.txt"), path_in(dir, "sub2/b.txt"));
}

Test(cli_cp, into_another_origin_in_every_mode)
{
    static const char *const modes[] = {"through", "back", "around"};
    char *dir = tree_make();
    for (size_t i = 0; i < 3; i++) {
        char *dest = empty_dir();
        run_t r = run("cp", origin_of(dir), "/", origin_of(dest), "-r", "--into", "/x/y", "--mode",
                      modes[i], NULL);
        cr_assert_eq(r.code, 0, "%s: %s", modes[i], r.err);
        same_tree(dir, path_in(dest, "x/y"));
        cr_assert_eq(count_names(path_in(dest, "x/y"), ""), 7, "nothing else is left there");
    }
}

Test(cli_cp, what_fails_is_named_and_the_rest_is_copied)
{
    char *dir = tree_make(), *dest = empty_dir(), *origin = NULL;
    origin = formatted("sick:eio:%s", dir);
    run_t r = run("cp", "--plugin", sick_plugin(), origin, "a.txt", "bad.txt", "nope", "sub/b.txt",
                  dest, "--json", NULL);
    cr_assert_eq(r.code, 1, "%d: %s", r.code, r.err);
    same_file(path_in(dir, "a.txt"), path_in(dest, "a.txt"));
    same_file(path_in(dir, "sub/b.txt"), path_in(dest, "b.txt"));
    cr_assert_eq(count_names(dest, ""), 2);
    cr_assert_not_null(strstr(r.err, "bad.txt: "), "%s", r.err);
    cr_assert_not_null(strstr(r.err, "nope: "), "%s", r.err);
    cr_assert_eq(json_number(json_read(r.out), "failed"), 2);
}

Test(cli_cp, a_destination_that_cannot_be_written_fails)
{
    char *dir = tree_make(), *dest = empty_dir();
    cr_assert_eq(mkdir(path_in(dest, "a.txt"), 0700), 0);
    run_t r = run("cp", origin_of(dir), "a.txt", dest, NULL);
    cr_assert_eq(r.code, 1, "a directory is in the way: %s", r.err);
    cr_assert_not_null(strstr(r.err, "a.txt: "), "%s", r.err);
}

Test(cli_cp, ctrl_c_stops_it_and_leaves_no_half_file)
{
    char *dir = tree_make(), *dest = empty_dir();
    const how_t how = {.signal = SIGINT, .signal_file = path_in(dest, "a.txt")};
    run_t r =
        run_how(&how, "cp", origin_of(dir), "a.txt", "big.bin", dest, "--delay", "1ms,5k", "--jobs",
                "1", "--no-cache", NULL); /* the whole copy would take ten minutes */
    cr_assert_eq(r.code, 130, "code %d, signal %d, %s", r.code, r.signal, r.err);
    cr_assert_not_null(strstr(r.err, "interrupted: 1 of 2 files copied"), "%s", r.err);
    same_file(path_in(dir, "a.txt"), path_in(dest, "a.txt"));
    cr_assert_eq(count_names(dest, ""), 1);
    cr_assert_neq(access(path_in(dest, "big.bin"), F_OK), 0);
}
