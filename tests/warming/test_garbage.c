/*
 * test_garbage.c - list files, heat logs and resume files with random damage: refused, or read
 * within bounds (the sanitizers look), and what is read keeps the promises of a plan.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/warming/support_warming.h"
#include "warming/internal.h"

TestSuite(garbage, .init = warm_test_begin, .fini = warm_test_end);

enum { ROUNDS = 4000, MOST = 600 };

static const char heat[] = "cachefs-heat 1\n900 8192 100 /c\n7 0 69632 /a/b\\x20\\xff/d\n"
                           "1 9223372036854775806 1 /b\n1 0 1 /dir/../x\n";
static const char resume[] = "cachefs-warm-resume 1\nplan 00000000000000ff 500\ndone 0-63\n"
                             "done 65-65\ndone 70-499\nend 3\n";
static const char list[] = "# list\n/a/b\nc/d e\n\n./x\r\n/srv/data\n\xff\n";

static size_t damage(unsigned char *to, const char *text, uint32_t *random)
{
    size_t len = strlen(text), i, changes = warm_test_random(random) % 6;

    memcpy(to, text, len);
    for (i = 0; i < changes; i++) {
        size_t at = warm_test_random(random) % len;
        uint32_t how = warm_test_random(random) % 4;

        if (how == 0) to[at] = (unsigned char)warm_test_random(random);
        if (how == 1) to[at] = (unsigned char)"0123456789-/\\ \n"[warm_test_random(random) % 15];
        if (how == 2) len = at + 1;
        if (how == 3 && len + 20 < MOST) {
            memmove(to + at + 20, to + at, len - at);
            memset(to + at, "9/x\n"[warm_test_random(random) % 4], 20);
            len += 20;
        }
    }
    return len;
}

static void check_plan(const warm_plan_t *plan)
{
    size_t i;

    for (i = 0; i < plan->count; i++) {
        const warm__item_t *item = &plan->items[i];

        cr_assert_eq(item->path[0], '/');
        cr_assert_leq(strlen(item->path), VFS_PATH_MAX);
        cr_assert_leq(item->off, (uint64_t)INT64_MAX);
        cr_assert_leq(item->len, (uint64_t)INT64_MAX - item->off);
    }
}

Test(garbage, damaged_files_are_refused_or_read_within_bounds)
{
    unsigned char text[MOST], done[63];
    uint32_t random = 20250101;
    int round, fine = 0, refused = 0;

    for (round = 0; round < ROUNDS; round++) {
        apr_pool_t *pool;
        warm_plan_t *plan;
        apr_status_t status;
        const char *file;
        char err[64];

        cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
        cr_assert_eq(warm_plan_create(&plan, pool), APR_SUCCESS);
        file = warm_test_write("x", text, damage(text, round % 2 ? heat : list, &random));
        status = round % 2 ? warm_plan_heat(plan, file, err, sizeof(err))
                           : warm_plan_list(plan, file, "/srv", err, sizeof(err));
        fine += status == APR_SUCCESS;
        refused += status != APR_SUCCESS;
        if (status != APR_SUCCESS) cr_assert_eq(plan->count, 0);
        check_plan(plan);
        memset(done, 0, sizeof(done));
        file = warm_test_write("x", text, damage(text, resume, &random));
        status = warm__resume_load(file, 0xff, 500, done, err, sizeof(err));
        cr_assert(status == APR_SUCCESS || status == VFS_EFORMAT);
        cr_assert_eq(done[62] & 0xf0, 0, "nothing behind the last thing");
        apr_pool_destroy(pool);
    }
    cr_assert_gt(fine, ROUNDS / 20);
    cr_assert_gt(refused, ROUNDS / 20);
}

Test(garbage, escaping_is_reversible_and_unescaping_never_grows)
{
    uint32_t random = 99;
    int round;

    for (round = 0; round < 20000; round++) {
        char path[40], text[4 * 40 + 1], junk[40];
        size_t len = warm_test_random(&random) % 39, i;

        for (i = 0; i < len; i++)
            path[i] = (char)(warm_test_random(&random) % 255 + 1);
        path[len] = '\0';
        warm__escape(text, path);
        cr_assert_eq(warm__unescape(text), APR_SUCCESS);
        cr_assert_str_eq(text, path);
        for (i = 0; i < len; i++)
            junk[i] = "\\x0af1z"[warm_test_random(&random) % 7];
        junk[len] = '\0';
        if (warm__unescape(junk) == APR_SUCCESS) cr_assert_leq(strlen(junk), len);
    }
}
