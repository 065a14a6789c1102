/*
 * test_trace.c - the trace shim's lines: one for each call, whole, and in the form that is
 * documented.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/shims/support_shims.h"

typedef struct lines_t {
    pthread_mutex_t lock;
    size_t count;
    size_t whole;
    char last[40000];
    int ops[VFS_OPID_COUNT];
} lines_t;

/* A whole line names an op, has one arrow, and ends in two numbers. */
static int is_whole(const char *line, vfs_opid_e *op)
{
    char name[32], status[64];
    unsigned long bytes;
    long us;
    int end = 0;
    if (sscanf(line, "%31[a-z_]", name) != 1) return 0;
    *op = vfs_op_by_name(name);
    const char *arrow = strstr(line, " -> ");
    if (*op == VFS_OPID_COUNT || arrow == NULL || strstr(arrow + 4, " -> ") != NULL) return 0;
    int n = sscanf(arrow, " -> %63[^,], %lu, %ld%n", status, &bytes, &us, &end);
    return n == 3 && arrow[end] == '\0' && us >= 0;
}

static void collect(void *baton, const char *line)
{
    lines_t *lines = baton;
    vfs_opid_e op = VFS_OPID_COUNT;
    int whole = is_whole(line, &op);
    pthread_mutex_lock(&lines->lock);
    lines->count++;
    lines->whole += (size_t)whole;
    if (whole) lines->ops[op]++;
    snprintf(lines->last, sizeof(lines->last), "%s", line);
    pthread_mutex_unlock(&lines->lock);
}

static lines_t lines = {.lock = PTHREAD_MUTEX_INITIALIZER};

static vfs_t *traced(apr_pool_t *pool)
{
    vfs_t *fs;
    cr_assert_eq(vfs_trace_create(&fs, test_mem(pool), collect, &lines, pool), APR_SUCCESS);
    return fs;
}

/* The latest line up to the microseconds, which nobody can foresee. */
static const char *last_line(void)
{
    static char text[40000];
    strcpy(text, lines.last);
    char *comma = strrchr(text, ',');
    cr_assert_not_null(comma);
    *comma = '\0';
    return text;
}

Test(shims_trace, every_call_makes_one_whole_line)
{
    static script_t script;
    apr_pool_t *pool = test_pool();
    vfs_t *fs = traced(pool);
    script_run(&script, fs);
    for (unsigned op = 0; op < VFS_OPID_COUNT; op++)
        cr_assert_eq(lines.ops[op], script.ran[op], "%s", vfs_op_name((vfs_opid_e)op));
    cr_assert_eq(lines.whole, lines.count);
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}

Test(shims_trace, lines_have_the_documented_form)
{
    char buf[8], expected[64];
    size_t n;
    vfs_attr_t attr;
    apr_pool_t *pool = test_pool();
    vfs_t *fs = traced(pool);
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.trace_id = 77;
    cr_assert_eq(vfs_mkdir(fs, &ctx, "/d", 0755), APR_SUCCESS);
    cr_assert_str_eq(last_line(), "mkdir \"/d\" mode=0755 trace=77 -> ok, 0");
    cr_assert_neq(vfs_stat(fs, NULL, "/none", &attr), APR_SUCCESS);
    cr_assert_str_eq(last_line(), "stat \"/none\" -> 2, 0");
    test_put(fs, "/a", "hello");
    vfs_file_t *file = test_open(fs, "/a", VFS_O_READ);
    unsigned long id;
    cr_assert_eq(sscanf(lines.last, "open \"/a\"#%lu", &id), 1);
    cr_assert_eq(vfs_read_at(file, NULL, buf, sizeof(buf), 2, &n), APR_SUCCESS);
    snprintf(expected, sizeof(expected), "read_at \"/a\"#%lu len=8 off=2 -> ok, 3", id);
    cr_assert_str_eq(last_line(), expected);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    snprintf(expected, sizeof(expected), "close \"/a\"#%lu -> ok, 0", id);
    cr_assert_str_eq(last_line(), expected);
    cr_assert_eq(vfs_rename(fs, NULL, "/a", "/b", 0), APR_SUCCESS);
    cr_assert_str_eq(last_line(), "rename \"/a\" \"/b\" flags=0 -> ok, 0");
    cr_assert_eq(vfs_symlink(fs, NULL, "to here", "/l"), APR_SUCCESS);
    cr_assert_str_eq(last_line(), "symlink \"/l\" \"to here\" -> ok, 0");
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}

Test(shims_trace, our_codes_are_written_by_name)
{
    vfs_attr_t attr;
    apr_pool_t *pool = test_pool();
    vfs_t *fault, *fs;
    cr_assert_eq(vfs_fault_create(&fault, test_mem(pool), 1, pool), APR_SUCCESS);
    vfs_fault_t offline = {.status = VFS_EOFFLINE};
    cr_assert_eq(vfs_fault_add(fault, &offline), APR_SUCCESS);
    cr_assert_eq(vfs_trace_create(&fs, fault, collect, &lines, pool), APR_SUCCESS);
    cr_assert_eq(vfs_stat(fs, NULL, "/", &attr), VFS_EOFFLINE);
    cr_assert_str_eq(last_line(), "stat \"/\" -> VFS_EOFFLINE, 0");
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}

Test(shims_trace, odd_bytes_are_escaped)
{
    vfs_attr_t attr;
    apr_pool_t *pool = test_pool();
    vfs_t *fs = traced(pool);
    (void)vfs_stat(fs, NULL, "/a b\"c\\d\ne\x7f\xc3\xa4", &attr);
    cr_assert_str_eq(last_line(), "stat \"/a b\\x22c\\x5cd\\x0ae\\x7f\\xc3\\xa4\" -> 2, 0");
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}

Test(shims_trace, the_longest_paths_fit_whole)
{
    static char path[VFS_PATH_MAX + 1];
    apr_pool_t *pool = test_pool();
    vfs_t *fs = traced(pool);
    for (size_t i = 0; i < VFS_PATH_MAX; i++)
        path[i] = i % 200 == 0 ? '/' : '\x01';
    cr_assert_neq(vfs_rename(fs, NULL, path, path, 0), APR_SUCCESS);
    cr_assert_eq(lines.whole, 1);
    cr_assert_null(strstr(lines.last, "..."));
    cr_assert(strlen(lines.last) > 2 * 4 * (VFS_PATH_MAX - 21));
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}

Test(shims_trace, a_text_longer_than_any_path_is_cut)
{
    static char target[3 * 4096];
    apr_pool_t *pool = test_pool();
    vfs_t *fs = traced(pool);
    memset(target, '\x02', sizeof(target) - 1);
    (void)vfs_setxattr(fs, NULL, "/", target, "v", 1, 0, 0);
    cr_assert_eq(lines.count, 1);
    cr_assert_eq(lines.whole, 1);
    cr_assert_not_null(strstr(lines.last, "...\""));
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}

enum { THREADS = 4, CALLS = 500 };

static void *stat_often(void *baton)
{
    vfs_attr_t attr;
    for (int i = 0; i < CALLS; i++)
        (void)vfs_stat(baton, NULL, "/some/longer/path/that/is/not/there", &attr);
    return NULL;
}

Test(shims_trace, lines_of_many_threads_stay_whole)
{
    pthread_t threads[THREADS];
    apr_pool_t *pool = test_pool();
    vfs_t *fs = traced(pool);
    for (int i = 0; i < THREADS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, stat_often, fs), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(lines.count, THREADS * CALLS);
    cr_assert_eq(lines.whole, THREADS * CALLS);
    vfs_destroy_stack(fs);
    apr_pool_destroy(pool);
}
