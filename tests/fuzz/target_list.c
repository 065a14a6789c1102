/*
 * target_list.c - list files of warming: what is taken is normal paths, at most one a line, and the
 * plan written out as a list again is the same plan.
 */
#include "tests/fuzz/fuzz.h"
#include "vfs/vfs_ops.h"
#include "warming/warming.h"

const char *const fuzz_seeds[] = {"/a\n/b/c\n",
                                  "# comment\n\nrelative/path\n/x/../y\n",
                                  "/srv/data/f\n",
                                  "./#odd\n",
                                  "/a b \r\n/c",
                                  "../..\n",
                                  NULL};
const char *const fuzz_pieces[] = {"\n",        "\r\n", "#",  "/",  "..", "./",
                                   "/srv/data", " ",    "\t", "/a", NULL};

static size_t lines_of(const uint8_t *data, size_t size)
{
    size_t n = 1;
    for (size_t i = 0; i < size; i++)
        n += data[i] == '\n';
    return n;
}

static void check_again(const warm_plan_t *plan, apr_pool_t *pool)
{
    size_t count = warm_plan_count(plan), used = 0, room = 1;
    warm_plan_t *again = NULL;
    for (size_t i = 0; i < count; i++) {
        const char *path = warm_plan_path(plan, i);
        room += strlen(path) + 1;
        if (path[strlen(path) - 1] == '\r')
            return; /* the end of a file without a newline; a line of its own cannot end so */
    }
    char *text = malloc(room);
    for (size_t i = 0; i < count; i++)
        used += (size_t)sprintf(text + used, "%s\n", warm_plan_path(plan, i));
    FUZZ_CHECK(warm_plan_create(&again, pool) == APR_SUCCESS);
    const char *file = fuzz_file((const uint8_t *)text, used);
    FUZZ_CHECK(warm_plan_list(again, file, NULL, NULL, 0) == APR_SUCCESS);
    FUZZ_CHECK(warm_plan_count(again) == count);
    for (size_t i = 0; i < count; i++)
        FUZZ_CHECK(strcmp(warm_plan_path(again, i), warm_plan_path(plan, i)) == 0);
    free(text);
}

static void check(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    warm_plan_t *plan = NULL;
    char err[300] = "";
    const char *file = fuzz_file(data, size);
    FUZZ_CHECK(warm_plan_create(&plan, pool) == APR_SUCCESS);
    apr_status_t rv = warm_plan_list(plan, file, "/srv/data", err, sizeof err);
    if (rv != APR_SUCCESS) {
        FUZZ_CHECK(warm_plan_count(plan) == 0);
        FUZZ_CHECK(strstr(err, "line ") != NULL);
        return;
    }
    FUZZ_CHECK(warm_plan_count(plan) <= lines_of(data, size));
    for (size_t i = 0; i < warm_plan_count(plan); i++) {
        FUZZ_CHECK(fuzz_is_normal(warm_plan_path(plan, i)));
    }
    FUZZ_CHECK(warm_plan_path(plan, warm_plan_count(plan)) == NULL);
    check_again(plan, pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size);
    (void)fuzz_pool(); /* nothing stays behind */
    return 0;
}
