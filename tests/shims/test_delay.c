/*
 * test_delay.c - the delay shim waits as long as it says, for what it says. Lower bounds are
 * strict, upper bounds are those of a busy machine.
 */
#include <pthread.h>
#include <string.h>
#include <time.h>

#include <criterion/criterion.h>

#include "tests/shims/support_shims.h"

static int64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static vfs_t *delayed(apr_pool_t *pool, vfs_delay_t how)
{
    vfs_t *fs;
    cr_assert_eq(vfs_delay_create(&fs, test_mem(pool), &how, pool), APR_SUCCESS);
    return fs;
}

/* How many whole round trips a call took at least. */
#define TRIPS(rtt_us, call)                                                                        \
    __extension__({                                                                                \
        int64_t start_us_ = now_us();                                                              \
        call;                                                                                      \
        (now_us() - start_us_) / (rtt_us);                                                         \
    })

enum { RTT = 20000 };

Test(shims_delay, ops_of_a_remote_cost_a_trip_and_others_none)
{
    char buf[4];
    size_t n;
    vfs_attr_t attr;
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    vfs_file_t *file = NULL;
    apr_pool_t *pool = test_pool();
    vfs_t *fs = delayed(pool, (vfs_delay_t){.rtt_us = RTT});
    vfs_t *lower = vfs_lower(fs);
    test_put(lower, "/a", "abcd");
    cr_assert_eq(vfs_caps(fs)->round_trip_us, RTT);
    cr_assert(TRIPS(RTT, vfs_stat(fs, NULL, "/a", &attr)) >= 1);
    cr_assert(TRIPS(RTT, vfs_mkdir(fs, NULL, "/d", 0755)) >= 1);
    cr_assert(TRIPS(RTT, vfs_get(fs, NULL, "/a", buf, 4, &n, NULL, NULL)) >= 1);
    cr_assert(TRIPS(RTT, file = test_open(fs, "/a", VFS_O_READ | VFS_O_WRITE)) >= 1);
    cr_assert(TRIPS(RTT, vfs_read_at(file, NULL, buf, 4, 0, &n)) >= 1);
    cr_assert(TRIPS(RTT, vfs_write_at(file, NULL, "xyz", 3, 0, &n, NULL)) >= 1);
    cr_assert(TRIPS(RTT, vfs_sync(file, NULL, VFS_SYNC_ALL)) >= 1);
    cr_assert(TRIPS(RTT, vfs_opendir(&dir, fs, NULL, "/", 0)) >= 1);
    int64_t free_of_charge = 1000;
    for (int i = 0; i < 20 && free_of_charge > RTT / 2; i++) {
        int64_t start_us = now_us(); /* a busy machine may be slow, but hardly 20 times */
        cr_assert_eq(vfs_seekdir(dir, NULL, 0), APR_SUCCESS);
        free_of_charge = now_us() - start_us;
    }
    cr_assert(free_of_charge < RTT / 2);
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS) {
    }
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}

/* Read a directory through and return how long it took. */
static int64_t list_us(vfs_t *fs, size_t *count)
{
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    int64_t start_us = now_us();
    cr_assert_eq(vfs_opendir(&dir, fs, NULL, "/", 0), APR_SUCCESS);
    for (*count = 0; vfs_readdir(dir, NULL, &entry) == APR_SUCCESS; ++*count) {
    }
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
    return now_us() - start_us;
}

Test(shims_delay, each_page_of_a_listing_costs_a_trip)
{
    char name[8] = "/0";
    size_t count;
    apr_pool_t *pool = test_pool();
    vfs_t *fs = delayed(pool, (vfs_delay_t){.rtt_us = 5000, .readdir_page = 2});
    for (; name[1] < '7'; name[1]++)
        test_put(vfs_lower(fs), name, "");
    int64_t took_us = list_us(fs, &count);
    cr_assert_eq(count, 7);
    cr_assert(took_us >= 4 * 5000, "%d", (int)took_us); /* pages of 2, 2, 2 and 1 */
    cr_assert_eq(vfs_delay_set(fs, &(vfs_delay_t){.rtt_us = 50000}), APR_SUCCESS);
    int64_t best_us = INT64_MAX;
    for (int i = 0; i < 20 && best_us >= 2 * 50000; i++) {
        took_us = list_us(fs, &count);
        if (took_us < best_us) best_us = took_us;
    }
    cr_assert(best_us >= 50000 && best_us < 2 * 50000, "one page, one trip: %d", (int)best_us);
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}

enum { THREADS = 8 };

typedef struct job_t {
    vfs_t *fs;
    vfs_file_t *file;
    size_t bytes;
} job_t;

static void *stat_once(void *baton)
{
    vfs_attr_t attr;
    (void)vfs_stat(((job_t *)baton)->fs, NULL, "/", &attr);
    return NULL;
}

static void *write_once(void *baton)
{
    static const char zeros[65536];
    job_t *job = baton;
    size_t n;
    (void)vfs_write_at(job->file, NULL, zeros, job->bytes, 0, &n, NULL);
    return NULL;
}

static int64_t together_us(void *(*fn)(void *), job_t *job)
{
    pthread_t threads[THREADS];
    int64_t start_us = now_us();
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, fn, job), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    return now_us() - start_us;
}

Test(shims_delay, round_trips_pass_at_the_same_time)
{
    apr_pool_t *pool = test_pool();
    vfs_t *fs = delayed(pool, (vfs_delay_t){.rtt_us = 100000});
    job_t job = {.fs = fs};
    int64_t best_us = INT64_MAX; /* a busy machine may be slow, but hardly 20 times */
    for (int i = 0; i < 20 && best_us >= THREADS * 100000; i++) {
        int64_t took_us = together_us(stat_once, &job);
        cr_assert(took_us >= 100000);
        if (took_us < best_us) best_us = took_us;
    }
    cr_assert(best_us < THREADS * 100000, "%d us for %d at once", (int)best_us, THREADS);
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}

Test(shims_delay, bytes_share_one_link)
{
    apr_pool_t *pool = test_pool();
    vfs_t *fs = delayed(pool, (vfs_delay_t){.bytes_per_second = 1000000});
    job_t job = {.fs = fs, .bytes = 10000};
    job.file = test_open(fs, "/a", VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE);
    int64_t took_us = together_us(write_once, &job);
    cr_assert(took_us >= THREADS * 10000, "%d", (int)took_us);
    char buf[10000];
    size_t n;
    int64_t start_us = now_us();
    cr_assert_eq(vfs_read_at(job.file, NULL, buf, sizeof(buf), 0, &n), APR_SUCCESS);
    cr_assert(now_us() - start_us >= 10000);
    vfs_file_t *to = test_open(fs, "/b", VFS_O_WRITE | VFS_O_CREATE);
    start_us = now_us();
    cr_assert_eq(vfs_copy_range(job.file, NULL, 0, to, 0, sizeof(buf), &n), APR_SUCCESS);
    cr_assert(now_us() - start_us >= 10000);
    cr_assert_eq(vfs_close(to, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(job.file, NULL), APR_SUCCESS);
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}

static apr_status_t source_read(void *baton, void *buf, size_t len, apr_off_t off)
{
    (void)baton;
    (void)off;
    memset(buf, 'c', len);
    return APR_SUCCESS;
}

Test(shims_delay, a_commit_pays_for_its_bytes)
{
    apr_pool_t *pool = test_pool();
    vfs_t *fs = delayed(pool, (vfs_delay_t){.bytes_per_second = 1000000});
    vfs_source_t source = {.read_at = source_read, .size = 20000};
    vfs_commit_t how = VFS_COMMIT_INIT;
    int64_t start_us = now_us();
    cr_assert_eq(vfs_commit(fs, NULL, "/c", &source, &how, NULL, NULL), APR_SUCCESS);
    cr_assert(now_us() - start_us >= 20000);
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}

static void *raise_soon(void *baton)
{
    apr_sleep(20000);
    vfs_cancel_raise(baton);
    return NULL;
}

Test(shims_delay, a_wait_ends_with_the_deadline_or_the_cancellation)
{
    size_t n;
    vfs_attr_t attr;
    vfs_ctx_t ctx = VFS_CTX_INIT;
    apr_pool_t *pool = test_pool();
    vfs_t *fs = delayed(pool, (vfs_delay_t){0});
    test_put(fs, "/a", "old");
    vfs_file_t *file = test_open(fs, "/a", VFS_O_READ | VFS_O_WRITE);
    cr_assert_eq(vfs_delay_set(fs, &(vfs_delay_t){.rtt_us = 600000000}), APR_SUCCESS);
    ctx.deadline = apr_time_now() + 20000;
    cr_assert_eq(vfs_write_at(file, &ctx, "new", 3, 0, &n, NULL), APR_TIMEUP);
    cr_assert(apr_time_now() >= ctx.deadline);
    cr_assert_eq(n, 0);
    cr_assert_str_eq(test_text(vfs_lower(fs), "/a", pool), "old");
    vfs_cancel_t *cancel;
    pthread_t thread;
    cr_assert_eq(vfs_cancel_create(&cancel, pool), APR_SUCCESS);
    ctx.deadline = 0;
    ctx.cancel = cancel;
    cr_assert_eq(pthread_create(&thread, NULL, raise_soon, cancel), 0);
    cr_assert_eq(vfs_stat(fs, &ctx, "/a", &attr), VFS_ECANCELED);
    pthread_join(thread, NULL);
    cr_assert_eq(vfs_delay_set(fs, &(vfs_delay_t){.bytes_per_second = 1}), APR_SUCCESS);
    char buf[4] = "";
    vfs_ctx_t soon = VFS_CTX_INIT;
    soon.deadline = apr_time_now() + 20000;
    cr_assert_eq(vfs_read_at(file, &soon, buf, 3, 0, &n), APR_TIMEUP);
    cr_assert_eq(n, 0);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}

Test(shims_delay, jitter_stays_in_its_bounds_and_the_mean_is_the_round_trip)
{
    enum { CALLS = 40, TRIP = 4000 };
    vfs_attr_t attr;
    apr_pool_t *pool = test_pool();
    vfs_t *fs = delayed(pool, (vfs_delay_t){.rtt_us = TRIP, .jitter_percent = 50, .seed = 9});
    int early = 0;
    for (int i = 0; i < CALLS; i++) {
        int64_t start_us = now_us();
        cr_assert_eq(vfs_stat(fs, NULL, "/", &attr), APR_SUCCESS);
        int64_t took_us = now_us() - start_us;
        cr_assert(took_us >= TRIP / 2 - 1);
        early += took_us < TRIP;
    }
    cr_assert(early > 0, "some are early");
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}

Test(shims_delay, without_a_delay_nothing_changes)
{
    static script_t plain, through;
    apr_pool_t *pool = test_pool();
    vfs_t *bare = test_mem(pool);
    vfs_t *fs = delayed(pool, (vfs_delay_t){0});
    script_run(&plain, bare);
    script_run(&through, fs);
    cr_assert_str_eq(plain.text, through.text);
    vfs_delay_t bad = {.jitter_percent = 101};
    cr_assert_eq(vfs_delay_set(fs, &bad), APR_EINVAL);
    cr_assert_eq(vfs_delay_set(bare, &(vfs_delay_t){0}), APR_EINVAL);
    vfs_destroy(bare);
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}
