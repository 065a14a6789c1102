/*
 * test_resume.c - resume files: what was done comes back, what is damaged or foreign is refused.
 */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <apr_strings.h>

#include "tests/warming/support_warming.h"
#include "warming/internal.h"

TestSuite(resume, .init = warm_test_begin, .fini = warm_test_end);

#define HASH 0x123456789abcdef0ull

Test(resume, what_was_done_comes_back)
{
    static const size_t counts[] = {1, 7, 8, 9, 64, 1000, 4097};
    const char *file = warm_test_path("resume");
    uint32_t random = 1;
    size_t c, i, round;

    for (c = 0; c < sizeof(counts) / sizeof(counts[0]); c++) {
        size_t count = counts[c], bytes = (count + 7) / 8;
        unsigned char *done = calloc(bytes, 1), *read = calloc(bytes, 1);

        cr_assert(done != NULL && read != NULL);
        for (round = 0; round < 8; round++) {
            char err[256] = "";

            memset(done, 0, bytes);
            memset(read, 0, bytes);
            for (i = 0; i < count; i++)
                if (round == 1 || (round > 1 && warm_test_random(&random) % round != 0))
                    done[i / 8] |= (unsigned char)(1u << (i % 8));
            cr_assert_eq(warm__resume_save(file, HASH + c, count, done), APR_SUCCESS);
            cr_assert_eq(warm__resume_load(file, HASH + c, count, read, err, sizeof(err)),
                         APR_SUCCESS, "%s", err);
            cr_assert_eq(memcmp(done, read, bytes), 0);
        }
        free(done);
        free(read);
    }
    cr_assert_eq(warm_test_files(), 1);
}

Test(resume, file_is_small_where_work_went_in_order)
{
    unsigned char *done = calloc(125000, 1);
    const char *file = warm_test_path("resume");

    cr_assert_not_null(done);
    memset(done, 0xff, 80000);
    done[80002] = 0x81;
    cr_assert_eq(warm__resume_save(file, HASH, 1000000, done), APR_SUCCESS);
    cr_assert_str_eq(warm_test_read(file, NULL),
                     "cachefs-warm-resume 1\nplan 123456789abcdef0 1000000\ndone 0-639999\n"
                     "done 640016-640016\ndone 640023-640023\nend 3\n");
    free(done);
}

Test(resume, file_is_for_its_owner_only)
{
    const char *file = warm_test_path("resume");
    unsigned char done = 1;
    struct stat st;

    cr_assert_eq(warm__resume_save(file, HASH, 8, &done), APR_SUCCESS);
    cr_assert_eq(stat(file, &st), 0);
    cr_assert_eq(st.st_mode & 07777, 0600);
}

Test(resume, no_file_is_nothing_done)
{
    unsigned char done[2] = {0, 0};
    char err[64] = "";

    cr_assert_eq(warm__resume_load(warm_test_path("none"), HASH, 9, done, err, sizeof(err)),
                 APR_SUCCESS);
    cr_assert_str_eq(err, "");
    cr_assert(done[0] == 0 && done[1] == 0);
    cr_assert_neq(warm__resume_load(warm_test_path("."), HASH, 9, done, NULL, 0), APR_SUCCESS);
    cr_assert_neq(warm__resume_save(warm_test_path("no/dir"), HASH, 9, done), APR_SUCCESS);
}

Test(resume, file_of_another_plan_is_refused)
{
    unsigned char done[2] = {5, 0};
    const char *file = warm_test_path("resume");
    char err[512] = "";

    cr_assert_eq(warm__resume_save(file, HASH, 9, done), APR_SUCCESS);
    cr_assert_eq(warm__resume_load(file, HASH + 1, 9, done, err, sizeof(err)), VFS_EFORMAT);
    cr_assert_not_null(strstr(err, "another plan"));
    cr_assert_eq(warm__resume_load(file, HASH, 10, done, err, sizeof(err)), VFS_EFORMAT);
    cr_assert_eq(warm__resume_load(warm_test_text("x", "hello\n"), HASH, 9, done, err, sizeof(err)),
                 VFS_EFORMAT);
    cr_assert_not_null(strstr(err, "is not a resume file"));
    cr_assert_eq(warm__resume_load(warm_test_text("x", ""), HASH, 9, done, NULL, 0), VFS_EFORMAT);
}

Test(resume, damaged_file_is_refused)
{
    static const char *const bodies[] = {
        "",
        "done 0-1\n",
        "end 1\n",
        "done 0-1\nend 2\n",
        "done 0-9\nend 1\n",
        "done 3-2\nend 1\n",
        "done 0-18446744073709551615\nend 1\n",
        "done 0-18446744073709551616\nend 1\n",
        "done 4-5\ndone 1-2\nend 2\n",
        "done 1-3\ndone 3-4\nend 2\n",
        "done 1\nend 1\n",
        "done 1-2 \nend 1\n",
        "done -2\nend 1\n",
        "done 1-\nend 1\n",
        "gone 1-2\nend 1\n",
        "end x\n",
        "end 0x\n",
        "done 1-2\n\nend 1\n",
    };
    size_t i;

    for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        const char *text = apr_pstrcat(
            warm_pool, "cachefs-warm-resume 1\nplan 123456789abcdef0 9\n", bodies[i], NULL);
        unsigned char done[2] = {0, 0};
        char err[512] = "";

        cr_assert_eq(warm__resume_load(warm_test_text("r", text), HASH, 9, done, err, sizeof(err)),
                     VFS_EFORMAT, "%s", text);
        cr_assert_not_null(strstr(err, "is damaged at line"), "%s", err);
    }
}
