/*
 * target_heat.c - heat logs: a damaged one is refused whole, with the number of its line; a good
 * one gives normal paths.
 */
#include "tests/fuzz/fuzz.h"
#include "vfs/vfs_ops.h"
#include "warming/internal.h"

const char *const fuzz_seeds[] = {"cachefs-heat 1\n3 0 4096 /a\n1 4096 1 /b/c\n",
                                  "cachefs-heat 1\n",
                                  "cachefs-heat 1\n9 0 1 /sp\\x20ace\n",
                                  "cachefs-heat 2\n",
                                  "cachefs-heat 1\n1 9223372036854775806 1 /end\n",
                                  NULL};
const char *const fuzz_pieces[] = {"cachefs-heat 1\n",
                                   "\n",
                                   " ",
                                   "0",
                                   "-1",
                                   "18446744073709551616",
                                   "/",
                                   "\\x41",
                                   "\\",
                                   "\\x",
                                   "/..",
                                   "4096",
                                   NULL};

/* What is in a plan, written as a heat log, reads as the same ranges. */
static void check_again(warm_plan_t *plan, apr_pool_t *pool)
{
    warm_plan_t *again = NULL;
    static char text[3 * 65536];
    size_t used = (size_t)sprintf(text, "cachefs-heat 1\n");
    char path[4 * VFS_PATH_MAX + 1];
    for (size_t i = 0; i < plan->count; i++) {
        const warm__item_t *item = &plan->items[i];
        warm__escape(path, item->path);
        if (used + strlen(path) + 80 > sizeof text) return; /* larger than what this check keeps */
        used += (size_t)sprintf(text + used, "%llu %llu %llu %s\n", (unsigned long long)item->heat,
                                (unsigned long long)item->off, (unsigned long long)item->len, path);
    }
    FUZZ_CHECK(warm_plan_create(&again, pool) == APR_SUCCESS);
    const char *file = fuzz_file((const uint8_t *)text, used);
    FUZZ_CHECK(warm_plan_heat(again, file, NULL, 0) == APR_SUCCESS);
    FUZZ_CHECK(again->count == plan->count);
    for (size_t i = 0; i < plan->count; i++) {
        FUZZ_CHECK(strcmp(again->items[i].path, plan->items[i].path) == 0);
        FUZZ_CHECK(again->items[i].off == plan->items[i].off);
        FUZZ_CHECK(again->items[i].len == plan->items[i].len);
        FUZZ_CHECK(again->items[i].heat == plan->items[i].heat);
    }
}

static void check(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    warm_plan_t *plan = NULL;
    char err[300] = "";
    const char *file = fuzz_file(data, size);
    FUZZ_CHECK(warm_plan_create(&plan, pool) == APR_SUCCESS);
    apr_status_t rv = warm_plan_heat(plan, file, err, sizeof err);
    if (rv != APR_SUCCESS) {
        FUZZ_CHECK(warm_plan_count(plan) == 0);
        FUZZ_CHECK(strstr(err, "line ") != NULL);
        return;
    }
    for (size_t i = 0; i < plan->count; i++) {
        const warm__item_t *item = &plan->items[i];
        FUZZ_CHECK(fuzz_is_normal(item->path));
        FUZZ_CHECK(item->heat > 0 && item->len > 0);
        FUZZ_CHECK(item->off <= INT64_MAX && item->len <= (uint64_t)INT64_MAX - item->off);
        FUZZ_CHECK(i == 0 || item->heat <= plan->items[i - 1].heat);
    }
    check_again(plan, pool);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    check(data, size);
    (void)fuzz_pool(); /* nothing stays behind */
    return 0;
}
