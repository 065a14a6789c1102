/*
 * test_list.c - list files: comments, blank lines, line ends, bad lines, standard input.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/warming/support_warming.h"
#include "warming/internal.h"

TestSuite(list, .init = warm_test_begin, .fini = warm_test_end);

static warm_plan_t *plan_new(void)
{
    warm_plan_t *plan = NULL;

    cr_assert_eq(warm_plan_create(&plan, warm_pool), APR_SUCCESS);
    return plan;
}

static void reads(const char *bytes, size_t len, const char *const *paths, size_t count)
{
    warm_plan_t *plan = plan_new();
    char err[512] = "";
    size_t i;

    cr_assert_eq(warm_plan_list(plan, warm_test_write("list", bytes, len), NULL, err, sizeof(err)),
                 APR_SUCCESS, "%s", err);
    cr_assert_eq(warm_plan_count(plan), count);
    for (i = 0; i < count; i++)
        cr_assert_str_eq(warm_plan_path(plan, i), paths[i]);
}

Test(list, comments_and_blank_lines_are_passed_over)
{
    static const char text[] =
        "# a comment\n\n/a\n   \n\t\nb/c\n#/d\n./#e\n/with space \n/\xff\xfe";
    static const char *const paths[] = {"/a", "/b/c", "/#e", "/with space ", "/\xff\xfe"};

    reads(text, strlen(text), paths, 5);
    reads("", 0, NULL, 0);
    reads("\n", 1, NULL, 0);
}

Test(list, line_ends_and_byte_order_mark_of_other_systems_are_tolerated)
{
    static const char text[] = "\xef\xbb\xbf/a\r\n# c\r\n\r\n/b\r\n/c\rd\n/e";
    static const char *const paths[] = {"/a", "/b", "/c\rd", "/e"};

    reads(text, strlen(text), paths, 4);
}

static void refuses(const char *bytes, size_t len, const char *root, apr_status_t expected,
                    const char *sentence)
{
    static const char *const first[] = {"/kept"};
    warm_plan_t *plan = plan_new();
    char err[512] = "";
    apr_status_t status;

    cr_assert_eq(warm_plan_paths(plan, first, 1, NULL, 0), APR_SUCCESS);
    status = warm_plan_list(plan, warm_test_write("list", bytes, len), root, err, sizeof(err));
    cr_assert_eq(status, expected, "%d, %s", status, err);
    cr_assert_not_null(strstr(err, sentence), "\"%s\" lacks \"%s\"", err, sentence);
    cr_assert_eq(warm_plan_count(plan), 1, "nothing of the list was added");
    cr_assert_eq(warm_plan_list(plan, warm_test_path("list"), root, NULL, 0), expected);
}

Test(list, bad_line_is_reported_with_its_number)
{
    static char text[40000];
    size_t len;

    refuses("/a\n#\n/b\0c\n", 11, NULL, VFS_EFORMAT, "list, line 3: it has a NUL byte");
    memset(text, 'x', sizeof(text));
    memcpy(text, "/a\n\n", 4);
    refuses(text, sizeof(text), NULL, VFS_EFORMAT, "list, line 3: it is too long");
    text[4 + 300] = '\n';
    len = 4 + 301;
    refuses(text, len, NULL, APR_ENAMETOOLONG, "list, line 3: \"xxx");
    memset(text, '/', sizeof(text));
    refuses(text, VFS_PATH_MAX + 1, NULL, APR_ENAMETOOLONG, "list, line 1: \"///");
}

Test(list, path_of_the_operating_system_is_told_its_right_form)
{
    static const char text[] = "/a\n/srv/data/x/y\n", root[] = "/srv/data\n",
                      deep[] = "/srv/data/../data//x\n";
    warm_plan_t *plan = plan_new();
    static const char *const roots_that_hold_none[] = {"/srv/dat", "/", "srv/data",
                                                       "/srv/data/x/y/z", ""};
    size_t i;

    refuses(text, strlen(text), "/srv/data/", APR_EINVAL, "in this file system it is \"/x/y\"");
    refuses(text, strlen(text), "//srv/./data", APR_EINVAL, "line 2: \"/srv/data/x/y\" is a path");
    refuses(root, strlen(root), "/srv/data", APR_EINVAL, "it is \"/\"");
    refuses(deep, strlen(deep), "/srv/data", APR_EINVAL, "it is \"/x\"");
    (void)warm_test_text("list", text);
    for (i = 0; i < sizeof(roots_that_hold_none) / sizeof(roots_that_hold_none[0]); i++)
        cr_assert_eq(warm_plan_list(plan, warm_test_path("list"), roots_that_hold_none[i], NULL, 0),
                     APR_SUCCESS);
    (void)warm_test_text("list", "srv/data/x\n");
    cr_assert_eq(warm_plan_list(plan, warm_test_path("list"), "/srv/data", NULL, 0), APR_SUCCESS,
                 "a relative path is the stack's");
}

Test(list, file_that_cannot_be_read_is_named)
{
    warm_plan_t *plan = plan_new();
    char err[256];

    cr_assert(
        APR_STATUS_IS_ENOENT(warm_plan_list(plan, warm_test_path("none"), NULL, err, sizeof(err))));
    cr_assert_not_null(strstr(err, "none"));
    cr_assert_neq(warm_plan_list(plan, warm_test_path("."), NULL, err, sizeof(err)), APR_SUCCESS);
    cr_assert_not_null(strstr(err, "cannot"));
    cr_assert_eq(warm_plan_list(plan, NULL, NULL, err, sizeof(err)), APR_EINVAL);
}

Test(list, minus_is_standard_input)
{
    warm_plan_t *plan = plan_new();
    char err[256] = "";

    cr_assert_not_null(freopen(warm_test_text("in", "/a\n/b"), "r", stdin));
    cr_assert_eq(warm_plan_list(plan, "-", NULL, err, sizeof(err)), APR_SUCCESS, "%s", err);
    cr_assert_eq(warm_plan_count(plan), 2);
    (void)warm_test_write("in", "/a\n/x\0\n", 7);
    cr_assert_not_null(freopen(warm_test_path("in"), "r", stdin));
    cr_assert_eq(warm_plan_list(plan, "-", NULL, err, sizeof(err)), VFS_EFORMAT);
    cr_assert_str_eq(err, "standard input, line 2: it has a NUL byte");
}
