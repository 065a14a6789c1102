/*
 * test_fault.c - the fault shim: which call fails, how, and what it leaves.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/shims/support_shims.h"

#define EIO_ APR_FROM_OS_ERROR(EIO)

typedef struct stand_t {
    apr_pool_t *pool;
    vfs_t *lower;
    vfs_t *fs;
} stand_t;

static stand_t stand_up(void)
{
    stand_t s;
    s.pool = test_pool();
    s.lower = test_mem(s.pool);
    cr_assert_eq(vfs_fault_create(&s.fs, s.lower, 42, s.pool), APR_SUCCESS);
    return s;
}

static void tear_down(stand_t *s)
{
    vfs_destroy_stack(s->fs);
    apr_pool_destroy(s->pool);
}

static void add(vfs_t *fs, vfs_fault_t fault)
{
    cr_assert_eq(vfs_fault_add(fs, &fault), APR_SUCCESS);
}

static apr_status_t stat_root(vfs_t *fs)
{
    vfs_attr_t attr;
    return vfs_stat(fs, NULL, "/", &attr);
}

Test(shims_fault, every_op_can_be_made_to_fail)
{
    static script_t script;
    apr_pool_t *pool = test_pool();
    for (unsigned op = 0; op < VFS_OPID_COUNT; op++) {
        vfs_t *lower = test_mem(pool), *fs;
        cr_assert_eq(vfs_fault_create(&fs, lower, 1, pool), APR_SUCCESS);
        vfs_fault_t fault = {.what = VFS_FAULT_ERROR, .status = VFS_ELIMIT};
        VFS_FAULT_OP(fault, op);
        add(fs, fault);
        script_run(&script, fs);
        uint64_t passed;
        uint64_t injected = vfs_fault_injected(fs, &passed);
        cr_assert_eq(script.status[op], VFS_ELIMIT, "%s", vfs_op_name((vfs_opid_e)op));
        cr_assert_eq(injected, (uint64_t)script.ran[op]);
        uint64_t all = 0;
        for (unsigned each = 0; each < VFS_OPID_COUNT; each++)
            all += (uint64_t)script.ran[each];
        cr_assert_eq(injected + passed, all);
        vfs_destroy_stack(fs);
    }
    apr_pool_destroy(pool);
}

Test(shims_fault, a_sweep_over_n_meets_every_call_once)
{
    static script_t plain, broken;
    apr_pool_t *pool = test_pool();
    vfs_t *bare = test_mem(pool);
    script_run(&plain, bare);
    vfs_destroy(bare);
    uint64_t n = 1, injected = 1;
    for (; injected > 0; n++) {
        vfs_t *lower = test_mem(pool), *fs;
        cr_assert_eq(vfs_fault_create(&fs, lower, 1, pool), APR_SUCCESS);
        add(fs, (vfs_fault_t){.status = VFS_ELIMIT, .nth = n, .times = 1});
        script_run(&broken, fs);
        injected = vfs_fault_injected(fs, NULL);
        cr_assert(injected <= 1);
        if (injected == 0) cr_assert_str_eq(plain.text, broken.text);
        if (injected == 1) cr_assert_neq(strcmp(plain.text, broken.text), 0, "n = %d", (int)n);
        vfs_destroy_stack(fs);
    }
    uint64_t calls = 0;
    for (unsigned op = 0; op < VFS_OPID_COUNT; op++)
        if (op != VFS_OPID_close && op != VFS_OPID_closedir && op != VFS_OPID_unwatch)
            calls += (uint64_t)plain.ran[op];
    cr_assert_eq(n - 2, calls);
    apr_pool_destroy(pool);
}

Test(shims_fault, nth_and_times_say_which_calls)
{
    stand_t s = stand_up();
    add(s.fs, (vfs_fault_t){.nth = 3, .times = 2});
    const apr_status_t expected[6] = {0, 0, EIO_, EIO_, 0, 0};
    for (int i = 0; i < 6; i++)
        cr_assert_eq(stat_root(s.fs), expected[i], "call %d", i + 1);
    uint64_t passed;
    cr_assert_eq(vfs_fault_injected(s.fs, &passed), 2);
    cr_assert_eq(passed, 4);
    vfs_fault_clear(s.fs);
    cr_assert_eq(vfs_fault_injected(s.fs, &passed), 0);
    cr_assert_eq(passed, 0);
    add(s.fs, (vfs_fault_t){.nth = 2});
    cr_assert_eq(stat_root(s.fs), APR_SUCCESS);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(stat_root(s.fs), EIO_, "for ever");
    tear_down(&s);
}

Test(shims_fault, the_first_rule_that_applies_acts)
{
    stand_t s = stand_up();
    add(s.fs, (vfs_fault_t){.status = VFS_ELIMIT, .times = 1});
    add(s.fs, (vfs_fault_t){.status = VFS_EOFFLINE, .nth = 2, .times = 1});
    cr_assert_eq(stat_root(s.fs), VFS_ELIMIT);
    cr_assert_eq(stat_root(s.fs), APR_SUCCESS, "the first call that reached the second rule");
    cr_assert_eq(stat_root(s.fs), VFS_EOFFLINE);
    cr_assert_eq(stat_root(s.fs), APR_SUCCESS);
    tear_down(&s);
}

Test(shims_fault, a_glob_picks_paths_and_handles_keep_theirs)
{
    char buf[4];
    size_t n;
    vfs_attr_t attr;
    stand_t s = stand_up();
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/d", 0755), APR_SUCCESS);
    test_put(s.fs, "/d/a", "x");
    test_put(s.fs, "/b", "y");
    vfs_file_t *file = test_open(s.fs, "/d/a", VFS_O_READ);
    char glob[] = "/d/*";
    add(s.fs, (vfs_fault_t){.glob = glob});
    glob[1] = 'Z'; /* it was copied */
    cr_assert_eq(vfs_stat(s.fs, NULL, "/b", &attr), APR_SUCCESS);
    cr_assert_eq(vfs_stat(s.fs, NULL, "/d/a", &attr), EIO_);
    cr_assert_eq(vfs_read_at(file, NULL, buf, 1, 0, &n), EIO_);
    cr_assert_eq(vfs_rename(s.fs, NULL, "/b", "/d/c", 0), EIO_, "the second path counts too");
    cr_assert_eq(vfs_sync_fs(s.fs, NULL), APR_SUCCESS, "it has no path");
    cr_assert_eq(vfs_rename(s.lower, NULL, "/d/a", "/a", 0), APR_SUCCESS);
    cr_assert_eq(vfs_read_at(file, NULL, buf, 1, 0, &n), EIO_);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    tear_down(&s);
}

Test(shims_fault, a_short_read_scribbles_and_reads_nothing)
{
    char buf[8];
    size_t n = 99;
    stand_t s = stand_up();
    test_put(s.fs, "/a", "12345678");
    vfs_file_t *file = test_open(s.fs, "/a", VFS_O_READ);
    add(s.fs, (vfs_fault_t){.what = VFS_FAULT_SHORT_READ, .bytes = 3});
    vfs_iovec_t iov[2] = {{buf, 2}, {buf + 2, 6}};
    memset(buf, '.', sizeof(buf));
    cr_assert_eq(vfs_read_at(file, NULL, buf, 8, 0, &n), EIO_);
    cr_assert_eq(n, 0);
    cr_assert_eq(memcmp(buf, "123.....", 8), 0);
    memset(buf, '.', sizeof(buf));
    cr_assert_eq(vfs_readv_at(file, NULL, iov, 2, 4, &n), EIO_);
    cr_assert_eq(n, 0);
    cr_assert_eq(memcmp(buf, "567.....", 8), 0);
    memset(buf, '.', sizeof(buf));
    cr_assert_eq(vfs_call_fetch(file, NULL, iov, 2, 0, &n, NULL), EIO_);
    cr_assert_eq(n, 0);
    cr_assert_eq(memcmp(buf, "123.....", 8), 0);
    memset(buf, '.', sizeof(buf));
    cr_assert_eq(vfs_get(s.fs, NULL, "/a", buf, 8, &n, NULL, NULL), EIO_);
    cr_assert_eq(n, 0);
    cr_assert_eq(memcmp(buf, "123.....", 8), 0);
    cr_assert_eq(stat_root(s.fs), APR_SUCCESS, "it is for reads only");
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    tear_down(&s);
}

Test(shims_fault, a_torn_write_says_how_much_was_accepted)
{
    size_t n;
    char one[] = "AB", two[] = "CDEF";
    vfs_iovec_t iov[2] = {{one, 2}, {two, 4}};
    stand_t s = stand_up();
    test_put(s.fs, "/a", "........");
    vfs_file_t *file = test_open(s.fs, "/a", VFS_O_WRITE);
    add(s.fs, (vfs_fault_t){.what = VFS_FAULT_TORN_WRITE, .bytes = 3, .status = VFS_ELIMIT});
    cr_assert_eq(vfs_write_at(file, NULL, "12345", 5, 0, &n, NULL), VFS_ELIMIT);
    cr_assert_eq(n, 3);
    cr_assert_str_eq(test_text(s.lower, "/a", s.pool), "123.....");
    cr_assert_eq(vfs_writev_at(file, NULL, iov, 2, 4, &n, NULL), VFS_ELIMIT);
    cr_assert_eq(n, 3);
    cr_assert_str_eq(test_text(s.lower, "/a", s.pool), "123.ABC.");
    vfs_fault_clear(s.fs);
    add(s.fs, (vfs_fault_t){.what = VFS_FAULT_TORN_WRITE});
    cr_assert_eq(vfs_write_at(file, NULL, "zz", 2, 0, &n, NULL), EIO_);
    cr_assert_eq(n, 0);
    cr_assert_str_eq(test_text(s.lower, "/a", s.pool), "123.ABC.");
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    tear_down(&s);
}

Test(shims_fault, a_lost_reply_was_done_all_the_same)
{
    size_t n;
    char buf[4];
    vfs_file_t *file = NULL;
    vfs_dir_t *dir = NULL;
    vfs_validator_t validator;
    stand_t s = stand_up();
    test_put(s.fs, "/a", "old!");
    vfs_file_t *held = test_open(s.fs, "/a", VFS_O_READ | VFS_O_WRITE);
    add(s.fs, (vfs_fault_t){.what = VFS_FAULT_LOST_REPLY, .status = APR_TIMEUP});
    cr_assert_eq(vfs_mkdir(s.fs, NULL, "/d", 0755), APR_TIMEUP);
    cr_assert_eq(vfs_mkdir(s.lower, NULL, "/d", 0755), APR_EEXIST);
    cr_assert_eq(vfs_write_at(held, NULL, "new", 3, 0, &n, &validator), APR_TIMEUP);
    cr_assert_eq(n, 0);
    cr_assert_eq(validator.kind, VFS_VALIDATOR_NONE);
    cr_assert_str_eq(test_text(s.lower, "/a", s.pool), "new!");
    cr_assert_eq(vfs_read_at(held, NULL, buf, 4, 0, &n), APR_TIMEUP);
    cr_assert_eq(n, 0);
    cr_assert_eq(vfs_open(&file, s.fs, NULL, "/b", VFS_O_WRITE | VFS_O_CREATE, 0644, NULL, NULL),
                 APR_TIMEUP);
    cr_assert_null(file);
    cr_assert_str_eq(test_text(s.lower, "/b", s.pool), "");
    cr_assert_eq(vfs_opendir(&dir, s.fs, NULL, "/", 0), APR_TIMEUP);
    cr_assert_null(dir);
    cr_assert_eq(vfs_close(held, NULL), APR_SUCCESS);
    tear_down(&s);
}

static int bits_of_difference(const char *a, const char *b, size_t len)
{
    int bits = 0;
    for (size_t i = 0; i < len; i++)
        for (unsigned char d = (unsigned char)(a[i] ^ b[i]); d != 0; d >>= 1)
            bits += d & 1;
    return bits;
}

Test(shims_fault, a_flip_turns_one_bit)
{
    const char text[] = "some bytes to read";
    const size_t len = sizeof(text) - 1;
    char buf[32];
    size_t n;
    int places[sizeof(text)] = {0}, different = 0;
    stand_t s = stand_up();
    test_put(s.fs, "/a", text);
    vfs_file_t *file = test_open(s.fs, "/a", VFS_O_READ);
    add(s.fs, (vfs_fault_t){.what = VFS_FAULT_FLIP});
    for (int i = 0; i < 60; i++) {
        vfs_iovec_t iov[3] = {{buf, 5}, {buf + 5, 0}, {buf + 5, sizeof(buf) - 5}};
        apr_status_t status = i % 3 == 0 ? vfs_read_at(file, NULL, buf, sizeof(buf), 0, &n)
                              : i % 3 == 1
                                  ? vfs_readv_at(file, NULL, iov, 3, 0, &n)
                                  : vfs_get(s.fs, NULL, "/a", buf, sizeof(buf), &n, NULL, NULL);
        cr_assert_eq(status, APR_SUCCESS);
        cr_assert_eq(n, len);
        cr_assert_eq(bits_of_difference(buf, text, len), 1);
        for (size_t at = 0; at < len; at++)
            different += buf[at] != text[at] && places[at]++ == 0;
    }
    cr_assert(different > 5, "the bit moves");
    cr_assert_eq(vfs_read_at(file, NULL, buf, 4, 100, &n), APR_SUCCESS);
    cr_assert_eq(n, 0);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    tear_down(&s);
}

static unsigned failures(vfs_t *fs, uint64_t *pattern)
{
    unsigned count = 0;
    *pattern = 0;
    for (int i = 0; i < 1000; i++) {
        int failed = stat_root(fs) != APR_SUCCESS;
        count += (unsigned)failed;
        *pattern = *pattern * 31 + (unsigned)failed;
    }
    return count;
}

Test(shims_fault, a_probability_is_met_and_the_seed_repeats_it)
{
    uint64_t first, second;
    stand_t s = stand_up();
    add(s.fs, (vfs_fault_t){.probability = 0.25});
    unsigned count = failures(s.fs, &first);
    cr_assert(count > 180 && count < 320, "%u", count);
    vfs_fault_clear(s.fs);
    add(s.fs, (vfs_fault_t){.probability = 0.25});
    cr_assert_eq(failures(s.fs, &second), count);
    cr_assert_eq(first, second);
    vfs_fault_clear(s.fs);
    add(s.fs, (vfs_fault_t){.probability = 1});
    cr_assert_eq(failures(s.fs, &first), 1000);
    tear_down(&s);
}

Test(shims_fault, a_close_that_fails_has_closed)
{
    vfs_dir_t *dir;
    stand_t s = stand_up();
    vfs_counts_t counts;
    vfs_t *count, *fs;
    cr_assert_eq(vfs_count_create(&count, s.lower, s.pool), APR_SUCCESS);
    cr_assert_eq(vfs_fault_create(&fs, count, 1, s.pool), APR_SUCCESS);
    test_put(fs, "/a", "x");
    vfs_file_t *file = test_open(fs, "/a", VFS_O_READ);
    cr_assert_eq(vfs_opendir(&dir, fs, NULL, "/", 0), APR_SUCCESS);
    vfs_fault_t fault = {.what = VFS_FAULT_ERROR};
    VFS_FAULT_OP(fault, VFS_OPID_close);
    VFS_FAULT_OP(fault, VFS_OPID_closedir);
    add(fs, fault);
    cr_assert_eq(vfs_close(file, NULL), EIO_);
    cr_assert_eq(vfs_closedir(dir), EIO_);
    vfs_count_get(count, &counts);
    cr_assert_eq(counts.open_files, 0);
    cr_assert_eq(counts.open_dirs, 0);
    vfs_destroy(fs);
    vfs_destroy(count);
    tear_down(&s);
}

typedef struct waiter_t {
    vfs_t *fs;
    pthread_t thread;
    apr_status_t status;
} waiter_t;

static void *wait_in_stat(void *baton)
{
    waiter_t *waiter = baton;
    waiter->status = stat_root(waiter->fs);
    return NULL;
}

static void start(waiter_t *waiter, vfs_t *fs)
{
    waiter->fs = fs;
    cr_assert_eq(pthread_create(&waiter->thread, NULL, wait_in_stat, waiter), 0);
}

static apr_status_t join(waiter_t *waiter)
{
    pthread_join(waiter->thread, NULL);
    return waiter->status;
}

Test(shims_fault, blocked_calls_go_on_when_released)
{
    waiter_t a, b;
    stand_t s = stand_up();
    add(s.fs, (vfs_fault_t){.what = VFS_FAULT_BLOCK});
    start(&a, s.fs);
    start(&b, s.fs);
    while (vfs_fault_blocked(s.fs) < 2)
        apr_sleep(1000);
    vfs_fault_release(s.fs);
    cr_assert_eq(join(&a), APR_SUCCESS);
    cr_assert_eq(join(&b), APR_SUCCESS);
    start(&a, s.fs);
    while (vfs_fault_blocked(s.fs) < 1)
        apr_sleep(1000);
    vfs_fault_clear(s.fs);
    cr_assert_eq(join(&a), APR_SUCCESS);
    cr_assert_eq(vfs_fault_blocked(s.fs), 0);
    cr_assert_eq(stat_root(s.fs), APR_SUCCESS);
    tear_down(&s);
}

Test(shims_fault, a_blocked_call_ends_with_its_deadline)
{
    vfs_attr_t attr;
    vfs_ctx_t ctx = VFS_CTX_INIT;
    stand_t s = stand_up();
    add(s.fs, (vfs_fault_t){.what = VFS_FAULT_BLOCK});
    ctx.deadline = apr_time_now() + 20000;
    cr_assert_eq(vfs_stat(s.fs, &ctx, "/", &attr), APR_TIMEUP);
    cr_assert(apr_time_now() >= ctx.deadline);
    ctx.deadline = 0;
    vfs_cancel_t *cancel;
    cr_assert_eq(vfs_cancel_create(&cancel, s.pool), APR_SUCCESS);
    vfs_cancel_raise(cancel);
    ctx.cancel = cancel;
    cr_assert_eq(vfs_stat(s.fs, &ctx, "/", &attr), VFS_ECANCELED);
    cr_assert_eq(vfs_fault_injected(s.fs, NULL), 1, "the second was over before it began");
    tear_down(&s);
}

Test(shims_fault, rules_that_make_no_sense_are_refused)
{
    stand_t s = stand_up();
    vfs_fault_t fault = {.what = VFS_FAULT_TORN_WRITE};
    VFS_FAULT_OP(fault, VFS_OPID_read_at);
    cr_assert_eq(vfs_fault_add(s.fs, &fault), APR_EINVAL);
    fault = (vfs_fault_t){.what = VFS_FAULT_FLIP};
    VFS_FAULT_OP(fault, VFS_OPID_write_at);
    cr_assert_eq(vfs_fault_add(s.fs, &fault), APR_EINVAL);
    fault = (vfs_fault_t){.ops = {0, 1ull << 63}};
    cr_assert_eq(vfs_fault_add(s.fs, &fault), APR_EINVAL);
    fault = (vfs_fault_t){.what = (vfs_fault_e)77};
    cr_assert_eq(vfs_fault_add(s.fs, &fault), APR_EINVAL);
    fault = (vfs_fault_t){.probability = 1.5};
    cr_assert_eq(vfs_fault_add(s.fs, &fault), APR_EINVAL);
    fault = (vfs_fault_t){.probability = -0.5};
    cr_assert_eq(vfs_fault_add(s.fs, &fault), APR_EINVAL);
    fault = (vfs_fault_t){.glob = ""};
    cr_assert_eq(vfs_fault_add(s.fs, &fault), APR_EINVAL);
    cr_assert_eq(vfs_fault_add(s.fs, NULL), APR_EINVAL);
    cr_assert_eq(vfs_fault_add(s.lower, &fault), APR_EINVAL);
    cr_assert_eq(stat_root(s.fs), APR_SUCCESS);
    tear_down(&s);
}
