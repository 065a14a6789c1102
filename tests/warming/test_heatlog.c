/*
 * test_heatlog.c - heat logs: written, read back, damaged.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <apr_strings.h>

#include "tests/warming/support_warming.h"
#include "warming/internal.h"

TestSuite(heatlog, .init = warm_test_begin, .fini = warm_test_end);

static warm_plan_t *plan_of(const char *file)
{
    warm_plan_t *plan = NULL;
    char err[512] = "";

    cr_assert_eq(warm_plan_create(&plan, warm_pool), APR_SUCCESS);
    cr_assert_eq(warm_plan_heat(plan, file, err, sizeof(err)), APR_SUCCESS, "%s", err);
    return plan;
}

static void item_is(const warm_plan_t *plan, size_t i, const char *path, uint64_t off, uint64_t len,
                    uint64_t heat)
{
    const warm__item_t *item = &plan->items[i];

    cr_assert_lt(i, plan->count);
    cr_assert_str_eq(item->path, path);
    cr_assert_eq(item->off, off, "%s: offset %llu", path, (unsigned long long)item->off);
    cr_assert_eq(item->len, len, "%s: length %llu", path, (unsigned long long)item->len);
    cr_assert_eq(item->heat, heat, "%s: heat %llu", path, (unsigned long long)item->heat);
    cr_assert_eq(item->size, WARM__SIZE_UNKNOWN);
}

Test(heatlog, ranges_come_back_hottest_first)
{
    warm__range_t ranges[] = {
        {"/b", 0, 4096, 1},
        {"/a", 65536, 4096, 7},
        {"/a", 0, 65536, 7},
        {"/c", 8192, 100, 900},
    };
    const char *file = warm_test_path("heat");
    warm_plan_t *plan;
    struct stat st;

    cr_assert_eq(warm__heatlog_write(file, ranges, 4), APR_SUCCESS);
    cr_assert_eq(stat(file, &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0600);
    plan = plan_of(file);
    cr_assert_eq(plan->count, 3);
    item_is(plan, 0, "/c", 8192, 100, 900);
    item_is(plan, 1, "/a", 0, 65536 + 4096, 7);
    item_is(plan, 2, "/b", 0, 4096, 1);
    cr_assert_str_eq(warm_test_read(file, NULL),
                     "cachefs-heat 1\n900 8192 100 /c\n7 0 69632 /a\n1 0 4096 /b\n");
    cr_assert_eq(warm_test_files(), 1, "the temporary file is gone");
}

Test(heatlog, only_neighbours_of_like_heat_are_merged)
{
    warm__range_t ranges[] = {
        {"/a", 0, 100, 4},   {"/a", 100, 100, 7}, {"/a", 200, 100, 8},
        {"/a", 301, 100, 8}, {"/a", 350, 10, 15}, {"/b", 401, 100, 8},
    };
    warm_plan_t *plan;

    cr_assert_eq(warm__heatlog_write(warm_test_path("heat"), ranges, 6), APR_SUCCESS);
    plan = plan_of(warm_test_path("heat"));
    cr_assert_eq(plan->count, 4);
    item_is(plan, 0, "/a", 301, 100, 15);
    item_is(plan, 1, "/a", 200, 100, 8);
    item_is(plan, 2, "/b", 401, 100, 8);
    item_is(plan, 3, "/a", 0, 200, 7);
}

Test(heatlog, any_path_survives)
{
    char all[260], longest[VFS_PATH_MAX + 1];
    warm__range_t ranges[] = {
        {all, 1, 2, 5},
        {"/new\nline", 1, 2, 4},
        {"/back\\slash \\x41", 1, 2, 3},
        {"/\xff\xfe\x80", 1, 2, 2},
        {longest, INT64_MAX - 2, 2, 1},
    };
    warm_plan_t *plan;
    size_t i, n = 0;

    all[n++] = '/';
    for (i = 1; i < 256; i++)
        if (i != '/') all[n++] = (char)i;
    all[n] = '\0';
    for (i = 0; i < VFS_PATH_MAX; i++)
        longest[i] = i % 200 == 0 ? '/' : '\xc3';
    longest[VFS_PATH_MAX] = '\0';
    cr_assert_eq(warm__heatlog_write(warm_test_path("heat"), ranges, 5), APR_SUCCESS);
    plan = plan_of(warm_test_path("heat"));
    cr_assert_eq(plan->count, 5);
    item_is(plan, 0, all, 1, 2, 5);
    item_is(plan, 1, "/new\nline", 1, 2, 4);
    item_is(plan, 2, "/back\\slash \\x41", 1, 2, 3);
    item_is(plan, 3, "/\xff\xfe\x80", 1, 2, 2);
    item_is(plan, 4, longest, INT64_MAX - 2, 2, 1);
}

Test(heatlog, empty_log_is_a_log)
{
    cr_assert_eq(warm__heatlog_write(warm_test_path("heat"), NULL, 0), APR_SUCCESS);
    cr_assert_eq(plan_of(warm_test_path("heat"))->count, 0);
}

Test(heatlog, log_that_cannot_be_written_leaves_the_old_one)
{
    warm__range_t range = {"/a", 0, 1, 1};

    cr_assert_neq(warm__heatlog_write(warm_test_path("no/such/heat"), &range, 1), APR_SUCCESS);
    cr_assert_eq(mkdir(warm_test_path("dir"), 0700), 0);
    cr_assert_neq(warm__heatlog_write(warm_test_path("dir"), &range, 1), APR_SUCCESS);
    cr_assert_eq(warm_test_files(), 1, "the temporary file is gone");
}

Test(heatlog, damaged_line_is_named_by_its_number)
{
    static const struct {
        const char *text, *fault;
    } cases[] = {
        {"", "line 1: this is not a heat log"},
        {"cachefs-heat 2\n1 0 1 /a\n", "line 1: this is not a heat log"},
        {"cachefs-heat 1\n\n", "line 2: it is not"},
        {"cachefs-heat 1\n1 0 1 /a\n1 0 1\n", "line 3: it is not"},
        {"cachefs-heat 1\n1  0 1 /a\n", "line 2: it is not"},
        {"cachefs-heat 1\n-1 0 1 /a\n", "line 2: it is not"},
        {"cachefs-heat 1\n0 0 1 /a\n", "line 2: heat and length"},
        {"cachefs-heat 1\n1 0 0 /a\n", "line 2: heat and length"},
        {"cachefs-heat 1\n1 99999999999999999999 1 /a\n", "line 2: it is not"},
        {"cachefs-heat 1\n1 9223372036854775807 1 /a\n", "line 2: the range is beyond"},
        {"cachefs-heat 1\n1 18446744073709551615 1 /a\n", "line 2: the range is beyond"},
        {"cachefs-heat 1\n1 1 18446744073709551615 /a\n", "line 2: the range is beyond"},
        {"cachefs-heat 1\n1 0 1 a\n", "line 2: the path is not absolute"},
        {"cachefs-heat 1\n1 0 1 \n", "line 2: the path is not absolute"},
        {"cachefs-heat 1\n1 0 1 /a b\n", "line 2: the path has a byte"},
        {"cachefs-heat 1\n1 0 1 /a\\x00\n", "line 2: the path has a byte"},
        {"cachefs-heat 1\n1 0 1 /a\\x4\n", "line 2: the path has a byte"},
        {"cachefs-heat 1\n1 0 1 /a\\x4G\n", "line 2: the path has a byte"},
        {"cachefs-heat 1\n1 0 1 /a\\n\n", "line 2: the path has a byte"},
        {"cachefs-heat 1\n1 0 1 /a\\", "line 2: the path has a byte"},
        {"cachefs-heat 1\n1 0 1 /a\xc3\xa4\n", "line 2: the path has a byte"},
        {"cachefs-heat 1\n1 0 1 /a/\n", "line 2: the path is that of a directory"},
    };
    warm_plan_t *plan = NULL;
    char err[512], broad[400], *text;
    size_t i;

    cr_assert_eq(warm_plan_create(&plan, warm_pool), APR_SUCCESS);
    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *file = warm_test_text("heat", cases[i].text);

        err[0] = '\0';
        cr_assert_eq(warm_plan_heat(plan, file, err, sizeof(err)), VFS_EFORMAT, "%s",
                     cases[i].text);
        cr_assert_not_null(strstr(err, cases[i].fault), "%s: %s", cases[i].text, err);
        cr_assert_eq(warm_plan_heat(plan, file, NULL, 0), VFS_EFORMAT);
    }
    memset(broad, 'q', sizeof(broad) - 1);
    broad[sizeof(broad) - 1] = '\0';
    text = apr_pstrcat(warm_pool, "cachefs-heat 1\n1 0 1 /", broad, "\n", NULL);
    cr_assert_eq(warm_plan_heat(plan, warm_test_text("heat", text), err, sizeof(err)), VFS_EFORMAT);
    cr_assert_eq(plan->count, 0);
    cr_assert(APR_STATUS_IS_ENOENT(warm_plan_heat(plan, warm_test_path("none"), err, sizeof(err))));
    cr_assert_eq(warm_plan_heat(NULL, "x", err, sizeof(err)), APR_EINVAL);
}
