/*
 * test_peer_warming.c - what a whole-file cache that was studied first got wrong in warming, as
 * sentences that hold here.
 */
#include "tests/engine/support_rig.h"
#include "warming/warming.h"

#include <apr_strings.h>

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h "

static warm_progress_t warm(rig_t *rig, const char *const *paths, size_t count,
                            const warm_options_t *options, apr_status_t expected)
{
    warm_progress_t progress = {0};
    warm_plan_t *plan = NULL;
    warm_job_t *job = NULL;
    char err[256] = "";

    OK(warm_plan_create(&plan, rig->pool));
    OK(warm_plan_paths(plan, paths, count, err, sizeof(err)));
    OK(warm_start(&job, rig->fs, plan, options, err, sizeof(err), rig->pool));
    IS(expected, warm_wait(job, 300000000)); /* it ends */
    warm_poll(job, &progress);
    warm_job_destroy(job);
    CHECK(progress.finished);
    return progress;
}

Test(peer_warming, a_read_error_or_a_directory_in_the_list_ends_with_its_error)
{
    static const char *const paths[] = {"/d", "/bad", "/missing", "/good"};
    rig_t rig;
    warm_options_t options = WARM_OPTIONS_INIT;

    rig_open(&rig, LONG);
    OK(vfs_mkdir(rig.bottom, NULL, "/d", 0755));
    rig_text(&rig, "/bad", "bad");
    rig_text(&rig, "/good", "good");
    vfs_fault_t rule = {.what = VFS_FAULT_ERROR, .glob = "/bad"};
    OK(vfs_fault_add(rig.fault, &rule));
    options.workers = 1; /* in order: the first error is that of the directory */
    warm_progress_t p = warm(&rig, paths, 4, &options, APR_FROM_OS_ERROR(EISDIR));
    EQ(p.files_total, 4);
    EQ(p.files_done, 4);
    EQ(p.files_failed, 3);
    rig_reset(&rig);
    rig_holds_text(rig.fs, "/good", "good");
    EQ(rig_requests(&rig), 0);
    rig_close(&rig);
}

Test(peer_warming, zero_workers_are_refused)
{
    static const char *const paths[] = {"/f"};
    warm_options_t options = WARM_OPTIONS_INIT;
    warm_plan_t *plan = NULL;
    warm_job_t *job = NULL;
    char err[256] = "";
    rig_t rig;

    rig_open(&rig, LONG);
    OK(warm_plan_create(&plan, rig.pool));
    OK(warm_plan_paths(plan, paths, 1, err, sizeof(err)));
    options.workers = 0;
    IS(APR_EINVAL, warm_start(&job, rig.fs, plan, &options, err, sizeof(err), rig.pool));
    CHECK(strstr(err, "workers") != NULL);
    rig_close(&rig);
}

Test(peer_warming, a_tree_is_walked_on_the_stack_not_on_the_machine)
{
    warm_plan_t *plan = NULL;
    char err[256] = "";
    rig_t rig;

    rig_open(&rig, LONG);
    OK(vfs_mkdir_all(rig.bottom, NULL, "/usr/only-in-the-stack", 0755));
    rig_text(&rig, "/usr/only-in-the-stack/f", "text");
    OK(warm_plan_create(&plan, rig.pool));
    OK(warm_plan_tree(plan, rig.fs, NULL, "/usr", err, sizeof(err)));
    EQ(warm_plan_count(plan), 1);
    cr_assert_str_eq(warm_plan_path(plan, 0), "/usr/only-in-the-stack/f");
    rig_close(&rig);
}

Test(peer_warming, low_priority_pushes_nothing_out)
{
    rig_t rig;
    size_t len = 2u << 20;
    char *data = rig_bytes(len, 1), name[32];
    const char *paths[8];
    warm_options_t options = WARM_OPTIONS_INIT;

    rig_open(&rig, LONG "ram=4m");
    rig_put(&rig, "/hot", data, len);
    rig_holds(rig.fs, "/hot", data, len);
    for (int i = 0; i < 8; i++) {
        (void)snprintf(name, sizeof(name), "/cold%d", i);
        rig_put(&rig, name, data, len);
        paths[i] = apr_pstrdup(rig.pool, name);
    }
    options.priority = VFS_PRIORITY_LOW;
    (void)warm(&rig, paths, 8, &options, APR_SUCCESS);
    EQ(rig_stats(&rig).evictions, 0);
    rig_reset(&rig);
    rig_holds(rig.fs, "/hot", data, len);
    EQ(rig_moved(&rig), 0);
    free(data);
    rig_close(&rig);
}

Test(peer_warming, high_priority_stays_while_others_come)
{
    static const char *const paths[] = {"/hot"};
    rig_t rig;
    size_t len = 500000;
    char *data = rig_bytes(8u << 20, 1);
    warm_options_t options = WARM_OPTIONS_INIT;

    rig_open(&rig, LONG "ram=4m");
    rig_put(&rig, "/hot", data, len);
    rig_put(&rig, "/scan", data, 8u << 20);
    options.priority = VFS_PRIORITY_HIGH;
    (void)warm(&rig, paths, 1, &options, APR_SUCCESS);
    CHECK(rig_stats(&rig).pinned_bytes >= len);
    rig_holds(rig.fs, "/scan", data, 8u << 20);
    rig_reset(&rig);
    rig_holds(rig.fs, "/hot", data, len);
    EQ(rig_moved(&rig), 0);
    free(data);
    rig_close(&rig);
}

typedef struct heard_t {
    uint64_t calls, bytes, total;
    int finished;
} heard_t;

static int hear(void *baton, const warm_progress_t *p)
{
    heard_t *h = baton;

    h->calls++;
    h->bytes = p->bytes_done;
    h->total = p->files_total;
    h->finished = p->finished;
    return 0;
}

Test(peer_warming, progress_counts_files_and_bytes)
{
    static const char *const paths[] = {"/a", "/b"};
    rig_t rig;
    heard_t heard = {0};
    warm_options_t options = WARM_OPTIONS_INIT;

    rig_open(&rig, LONG);
    rig_text(&rig, "/a", "12345");
    rig_text(&rig, "/b", "1234567");
    options.progress = hear;
    options.progress_baton = &heard;
    warm_progress_t p = warm(&rig, paths, 2, &options, APR_SUCCESS);
    EQ(p.bytes_done, 12);
    EQ(p.bytes_fetched, 12);
    EQ(p.files_done, 2);
    CHECK(heard.calls >= 1 && heard.finished);
    EQ(heard.bytes, 12);
    EQ(heard.total, 2);
    rig_close(&rig);
}
