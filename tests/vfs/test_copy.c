/*
 * test_copy.c - read_file, write_file, copy and temp_file: over a backend that commits, over one
 * that does not, and with every step failing.
 */
#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "support_fake.h"

static apr_pool_t *pool;
static vfs_t *commits; /* the memory backend as it is */
static vfs_t *fs;      /* and without whole-object commit */

static void setup(void)
{
    vfs_ops_t ops = pass_ops();
    pool = test_pool();
    commits = mem_create(pool);
    cr_assert(vfs_caps(commits)->bits & VFS_CAP_COMMIT);
    ops.commit = NULL;
    fs = layer_create(mem_create(pool), &ops, pool);
    fs->caps.bits &= ~VFS_CAP_COMMIT;
}

static void teardown(void)
{
    cr_assert_eq(vfs_destroy_stack(fs), APR_SUCCESS);
    cr_assert_eq(vfs_destroy_stack(commits), APR_SUCCESS);
    apr_pool_destroy(pool);
}

static unsigned names_in(vfs_t *of, const char *path)
{
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    unsigned count = 0;
    cr_assert_eq(vfs_opendir(&dir, of, NULL, path, 0), APR_SUCCESS);
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
        count++;
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
    return count;
}

static vfs_attr_t attr_of(vfs_t *of, const char *path)
{
    vfs_attr_t attr;
    cr_assert_eq(vfs_stat(of, NULL, path, &attr), APR_SUCCESS);
    return attr;
}

/* ---- reading */

static uint64_t lie; /* the size that open tells */

static apr_status_t lying_open(vfs_file_t **file, vfs_t *of, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, uint32_t flags, uint32_t mode,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t status = vfs_wrap_open(file, of, ctx, path, flags, mode, attr, validator);
    attr->size = lie;
    return status;
}

Test(vfs_copy, read_file_reads_all_whatever_the_size_says, .init = setup, .fini = teardown)
{
    static const size_t sizes[] = {0, 1, 10, 65535, 65536, 65537, 300000};
    static char bytes[300000];
    char *data;
    size_t len;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 31 >> 3);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        cr_assert_eq(vfs_write_file(fs, NULL, "/f", bytes, sizes[i], 0644), APR_SUCCESS);
        for (int lying = 0; lying < 4; lying++) {
            static const uint64_t lies[] = {0, 0, 5, 100000};
            fs->ops.open = lying == 0 ? vfs_wrap_open : lying_open;
            lie = lies[lying];
            cr_assert_eq(vfs_read_file(&data, &len, fs, NULL, "/f", 0, pool), APR_SUCCESS);
            cr_assert_eq(len, sizes[i], "%zu", len);
            cr_assert_eq(memcmp(data, bytes, len), 0);
            cr_assert_eq(data[len], '\0');
        }
        fs->ops.open = vfs_wrap_open;
    }
}

Test(vfs_copy, read_file_keeps_to_its_limit, .init = setup, .fini = teardown)
{
    char *data;
    size_t len;
    put(fs, "/f", "0123456789");
    cr_assert_eq(vfs_read_file(&data, &len, fs, NULL, "/f", 10, pool), APR_SUCCESS);
    cr_assert_eq(vfs_read_file(&data, &len, fs, NULL, "/f", 9, pool), VFS_ELIMIT);
    cr_assert_null(data);
    cr_assert_eq(len, 0u);
    fs->ops.open = lying_open;
    lie = 0;
    cr_assert_eq(vfs_read_file(&data, &len, fs, NULL, "/f", 9, pool), VFS_ELIMIT);
    cr_assert_eq(vfs_read_file(&data, &len, fs, NULL, "/none", 0, pool), APR_ENOENT);
    cr_assert_eq(vfs_read_file(&data, &len, fs, NULL, "/", 0, pool), APR_FROM_OS_ERROR(EISDIR));
    cr_assert_eq(vfs_read_file(NULL, &len, fs, NULL, "/f", 0, pool), APR_EINVAL);
    fs->ops.read_at = NULL;
    cr_assert_eq(vfs_read_file(&data, &len, fs, NULL, "/f", 0, pool), APR_ENOTIMPL);
    lie = 10;
    cr_assert_eq(vfs_read_file(&data, &len, fs, NULL, "/f", 0, pool), APR_ENOTIMPL);
}

/* ---- replacing */

Test(vfs_copy, write_file_makes_and_replaces_and_keeps_the_mode, .init = setup, .fini = teardown)
{
    vfs_t *both[] = {fs, commits};
    for (int i = 0; i < 2; i++) {
        vfs_t *on = both[i];
        vfs_ctx_t ctx = VFS_CTX_INIT;
        ctx.flags = VFS_CTX_UMASK;
        ctx.umask = 022;
        cr_assert_eq(vfs_write_file(on, &ctx, "/f", "new", 3, 0666), APR_SUCCESS);
        cr_assert_str_eq(text_of(on, "/f"), "new");
        cr_assert_eq(attr_of(on, "/f").mode, 0644u, "a new file obeys the umask");
        cr_assert_eq(vfs_chmod(on, NULL, "/f", 0606, 0), APR_SUCCESS);
        cr_assert_eq(vfs_write_file(on, &ctx, "/f", "newer", 5, 0777), APR_SUCCESS);
        cr_assert_str_eq(text_of(on, "/f"), "newer");
        cr_assert_eq(attr_of(on, "/f").mode, 0606u, "an old one keeps what it has");
        cr_assert_eq(vfs_write_file(on, &ctx, "/f", NULL, 0, 0777), APR_SUCCESS);
        cr_assert_str_eq(text_of(on, "/f"), "");
        cr_assert_eq(names_in(on, "/"), 1u, "and nothing is left over");
        cr_assert_eq(vfs_mkdir(on, NULL, "/d", 0755), APR_SUCCESS);
        apr_status_t isdir = APR_FROM_OS_ERROR(EISDIR);
        cr_assert_eq(vfs_write_file(on, NULL, "/d", "x", 1, 0644), isdir);
        cr_assert_eq(vfs_write_file(on, NULL, "/n/", "x", 1, 0644), isdir);
        cr_assert_eq(vfs_write_file(on, NULL, "/", "x", 1, 0644), isdir);
        cr_assert_eq(vfs_write_file(on, NULL, "/no/n", "x", 1, 0644), APR_ENOENT);
        cr_assert_eq(vfs_write_file(on, NULL, "n", "x", 1, 0644), APR_EINVAL);
        cr_assert_eq(vfs_write_file(on, NULL, "/n", NULL, 1, 0644), APR_EINVAL);
        cr_assert_eq(vfs_write_file(on, NULL, "/n", "x", 1, 0100644), APR_EINVAL);
    }
}

/* Fail the n-th call of any op that a replacement makes. */
static int countdown;
static char order[4096];

static int fails(const char *name)
{
    strcat(strcat(order, name), " ");
    return countdown > 0 && --countdown == 0;
}

#define FAILING(name, params, args)                                                                \
    static apr_status_t failing_##name params                                                      \
    {                                                                                              \
        return fails(#name) ? APR_EGENERAL : vfs_pass_##name args;                                 \
    }
FAILING(stat,
        (vfs_t * of, const vfs_ctx_t *ctx, const vfs_path_t *p, vfs_attr_t *a, vfs_validator_t *v),
        (of, ctx, p, a, v))
FAILING(write_at,
        (vfs_file_t * f, const vfs_ctx_t *ctx, const void *b, size_t n, apr_off_t o, size_t *w,
         vfs_validator_t *v),
        (f, ctx, b, n, o, w, v))
FAILING(fchmod, (vfs_file_t * f, const vfs_ctx_t *ctx, uint32_t m), (f, ctx, m))
FAILING(futimens, (vfs_file_t * f, const vfs_ctx_t *ctx, int64_t a, int64_t m), (f, ctx, a, m))
FAILING(sync, (vfs_file_t * f, const vfs_ctx_t *ctx, uint32_t m), (f, ctx, m))
FAILING(rename,
        (vfs_t * of, const vfs_ctx_t *ctx, const vfs_path_t *a, const vfs_path_t *b, uint32_t m),
        (of, ctx, a, b, m))
FAILING(sync_dir, (vfs_t * of, const vfs_ctx_t *ctx, const vfs_path_t *p), (of, ctx, p))

static apr_status_t failing_open(vfs_file_t **file, vfs_t *of, const vfs_ctx_t *ctx,
                                 const vfs_path_t *path, uint32_t flags, uint32_t mode,
                                 vfs_attr_t *attr, vfs_validator_t *validator)
{
    return fails("open") ? APR_EGENERAL
                         : vfs_wrap_open(file, of, ctx, path, flags, mode, attr, validator);
}

static apr_status_t failing_close(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    apr_status_t status = vfs_pass_close(file, ctx);
    return fails("close") ? APR_EGENERAL : status;
}

static void make_failing(vfs_t *of)
{
    of->ops.stat = failing_stat;
    of->ops.open = failing_open;
    of->ops.write_at = failing_write_at;
    of->ops.fchmod = failing_fchmod;
    of->ops.futimens = failing_futimens;
    of->ops.sync = failing_sync;
    of->ops.close = failing_close;
    of->ops.rename = failing_rename;
    of->ops.sync_dir = failing_sync_dir;
}

Test(vfs_copy, write_file_is_all_or_nothing_wherever_it_fails, .init = setup, .fini = teardown)
{
    vfs_t *mem = vfs_lower(fs);
    put(mem, "/f", "old");
    make_failing(fs);
    cr_assert_eq(vfs_write_file(fs, NULL, "/f", "new", 3, 0644), APR_SUCCESS);
    cr_assert_str_eq(order, "stat open write_at fchmod sync close rename sync_dir ");
    for (int n = 1; n <= 8; n++) {
        put(mem, "/f", "old");
        countdown = n;
        cr_assert_eq(vfs_write_file(fs, NULL, "/f", "new", 3, 0644), APR_EGENERAL, "%d", n);
        cr_assert_str_eq(text_of(mem, "/f"), n < 8 ? "old" : "new", "%d", n);
        cr_assert_eq(names_in(mem, "/"), 1u, "no trace of %d", n);
    }
}

Test(vfs_copy, write_file_does_without_ops_that_are_not_there, .init = setup, .fini = teardown)
{
    fs->ops.fchmod = NULL;
    fs->ops.sync = NULL;
    fs->ops.sync_dir = NULL;
    cr_assert_eq(vfs_write_file(fs, NULL, "/f", "new", 3, 0644), APR_SUCCESS);
    cr_assert_str_eq(text_of(fs, "/f"), "new");
    fs->ops.rename = NULL;
    cr_assert_eq(vfs_write_file(fs, NULL, "/f", "newer", 5, 0644), APR_ENOTIMPL);
    cr_assert_str_eq(text_of(fs, "/f"), "new");
    cr_assert_eq(names_in(fs, "/"), 1u);
}

/* ---- copying */

static void make_source(vfs_t *on, size_t size)
{
    static char bytes[3 << 20];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 7 >> 4);
    cr_assert_eq(vfs_write_file(on, NULL, "/src", bytes, size, 0644), APR_SUCCESS);
    cr_assert_eq(vfs_chmod(on, NULL, "/src", 0741, 0), APR_SUCCESS);
    cr_assert_eq(vfs_utimens(on, NULL, "/src", 1000000000, 1234567890000000000, 0), APR_SUCCESS);
}

static void expect_copy(vfs_t *from, vfs_t *to, uint64_t bytes)
{
    char *a, *b;
    size_t a_len, b_len;
    cr_assert_eq(vfs_read_file(&a, &a_len, from, NULL, "/src", 0, pool), APR_SUCCESS);
    cr_assert_eq(vfs_read_file(&b, &b_len, to, NULL, "/dst", 0, pool), APR_SUCCESS);
    cr_assert_eq(a_len, b_len);
    cr_assert_eq(bytes, a_len);
    cr_assert_eq(memcmp(a, b, a_len), 0);
    vfs_attr_t attr = attr_of(to, "/dst");
    cr_assert_eq(attr.mode, 0741u);
    cr_assert_eq(attr.mtime_ns, 1234567890000000000);
}

static unsigned copied_inside;

static apr_status_t count_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                                     vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied)
{
    copied_inside++;
    return vfs_pass_copy_range(src, ctx, src_off, dst, dst_off, len, copied);
}

static apr_status_t refused = APR_SUCCESS;

static apr_status_t refuse_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                                      vfs_file_t *dst, apr_off_t dst_off, size_t len,
                                      size_t *copied)
{
    (void)src, (void)ctx, (void)src_off, (void)dst, (void)dst_off, (void)len; /* refused unseen */
    *copied = 0;
    return refused;
}

Test(vfs_copy, a_copy_has_the_bytes_the_mode_and_the_mtime, .init = setup, .fini = teardown)
{
    static const size_t sizes[] = {0, 5, 1 << 20, (1 << 20) + 1, 3 << 20};
    vfs_t *both[] = {fs, commits};
    uint64_t bytes;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (int from = 0; from < 2; from++) {
            make_source(both[from], sizes[i]);
            for (int to = 0; to < 2; to++) {
                cr_assert_eq(vfs_copy(both[from], "/src", both[to], "/dst", NULL, &bytes),
                             APR_SUCCESS);
                expect_copy(both[from], both[to], bytes);
            }
        }
    }
    cr_assert_eq(names_in(fs, "/"), 2u);
}

Test(vfs_copy, within_one_file_system_the_backend_copies_if_it_can, .init = setup, .fini = teardown)
{
    static const apr_status_t harmless[] = {APR_SUCCESS, APR_ENOTIMPL, APR_EINVAL};
    uint64_t bytes;
    make_source(fs, 2 << 20);
    fs->ops.copy_range = count_copy_range;
    cr_assert_eq(vfs_copy(fs, "/src", fs, "/dst", NULL, &bytes), APR_SUCCESS);
    expect_copy(fs, fs, bytes);
    cr_assert_gt(copied_inside, 0u);
    fs->ops.copy_range = refuse_copy_range;
    for (int i = 0; i < 4; i++) {
        refused = i < 3 ? harmless[i] : APR_FROM_OS_ERROR(EXDEV);
        cr_assert_eq(vfs_unlink(fs, NULL, "/dst"), APR_SUCCESS);
        cr_assert_eq(vfs_copy(fs, "/src", fs, "/dst", NULL, &bytes), APR_SUCCESS, "%d", i);
        expect_copy(fs, fs, bytes);
    }
    refused = APR_EGENERAL;
    cr_assert_eq(vfs_copy(fs, "/src", fs, "/other", NULL, &bytes), APR_EGENERAL);
    cr_assert_eq(bytes, 0u);
    cr_assert_eq(names_in(fs, "/"), 2u);
    cr_assert_eq(vfs_copy(fs, "/src", fs, "/src", NULL, NULL), APR_EGENERAL);
    refused = APR_SUCCESS;
    cr_assert_eq(vfs_copy(fs, "/src", fs, "/src", NULL, NULL), APR_SUCCESS, "onto itself");
}

Test(vfs_copy, a_copy_that_fails_leaves_the_target_as_it_was, .init = setup, .fini = teardown)
{
    uint64_t bytes;
    make_source(commits, 100);
    put(fs, "/dst", "old");
    make_failing(fs);
    for (int n = 1; n <= 7; n++) { /* open write_at fchmod futimens sync close rename */
        countdown = n;
        cr_assert_eq(vfs_copy(commits, "/src", fs, "/dst", NULL, &bytes), APR_EGENERAL, "%d", n);
        cr_assert_eq(bytes, 0u);
        cr_assert_str_eq(text_of(vfs_lower(fs), "/dst"), "old");
        cr_assert_eq(names_in(vfs_lower(fs), "/"), 1u, "no trace of %d", n);
    }
    cr_assert_eq(vfs_copy(commits, "/none", fs, "/dst", NULL, NULL), APR_ENOENT);
    cr_assert_eq(vfs_copy(commits, "/src", fs, "dst", NULL, NULL), APR_EINVAL);
    apr_status_t isdir = APR_FROM_OS_ERROR(EISDIR);
    cr_assert_eq(vfs_copy(commits, "/", fs, "/dst", NULL, NULL), isdir);
    cr_assert_eq(vfs_copy(commits, "/src", fs, "/dst/", NULL, NULL), isdir);
    cr_assert_eq(vfs_copy(commits, "/src", fs, "/", NULL, NULL), isdir);
}

Test(vfs_copy, a_source_that_shrinks_under_a_commit_is_stale, .init = setup, .fini = teardown)
{
    put(fs, "/src", "0123456789");
    fs->ops.open = lying_open;
    lie = 11;
    cr_assert_eq(vfs_copy(fs, "/src", commits, "/dst", NULL, NULL), VFS_ESTALE);
    cr_assert_eq(type_at(commits, "/dst"), VFS_TYPE_UNKNOWN);
}

/* ---- temporary files */

static unsigned taken;

static apr_status_t taken_open(vfs_file_t **file, vfs_t *of, const vfs_ctx_t *ctx,
                               const vfs_path_t *path, uint32_t flags, uint32_t mode,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    if (taken > 0) {
        taken--;
        return APR_EEXIST;
    }
    return vfs_wrap_open(file, of, ctx, path, flags, mode, attr, validator);
}

Test(vfs_copy, a_temporary_file_is_new_and_private, .init = setup, .fini = teardown)
{
    char one[VFS_PATH_MAX + 1], two[VFS_PATH_MAX + 1], prefix[300];
    vfs_file_t *a, *b;
    cr_assert_eq(vfs_mkdir(fs, NULL, "/d", 0755), APR_SUCCESS);
    cr_assert_eq(vfs_temp_file(&a, fs, NULL, "/d/", "pre-", one, sizeof(one)), APR_SUCCESS);
    cr_assert_eq(vfs_temp_file(&b, fs, NULL, "/d", "pre-", two, sizeof(two)), APR_SUCCESS);
    cr_assert_str_neq(one, two);
    cr_assert_eq(strncmp(one, "/d/pre-", 7), 0);
    cr_assert_eq(attr_of(fs, one).mode, 0600u);
    cr_assert_eq(vfs_file_flags(a) & (VFS_O_READ | VFS_O_WRITE), VFS_O_READ | VFS_O_WRITE);
    cr_assert_eq(vfs_close(a, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(b, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_temp_file(&a, fs, NULL, "/", "x", one, 14), APR_ENAMETOOLONG);
    cr_assert_eq(vfs_temp_file(&a, fs, NULL, "/", "x", one, 15), APR_SUCCESS);
    cr_assert_eq(strlen(one), 14u);
    cr_assert_eq(vfs_close(a, NULL), APR_SUCCESS);
    memset(prefix, 'p', sizeof(prefix));
    prefix[244] = '\0';
    cr_assert_eq(vfs_temp_file(&a, fs, NULL, "/", prefix, one, sizeof(one)), APR_ENAMETOOLONG);
    cr_assert_eq(vfs_temp_file(&a, fs, NULL, "/", prefix + 1, one, sizeof(one)), APR_SUCCESS);
    cr_assert_eq(vfs_close(a, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_temp_file(&a, fs, NULL, "/", "a/b", one, sizeof(one)), APR_EINVAL);
    cr_assert_eq(vfs_temp_file(&a, fs, NULL, "", "a", one, sizeof(one)), APR_ENOENT);
    cr_assert_eq(vfs_temp_file(&a, fs, NULL, "/no", "a", one, sizeof(one)), APR_ENOENT);
    cr_assert_eq(vfs_temp_file(&a, fs, NULL, "/d", NULL, one, sizeof(one)), APR_EINVAL);
    fs->ops.open = taken_open;
    taken = 50;
    cr_assert_eq(vfs_temp_file(&a, fs, NULL, "/d", "a", one, sizeof(one)), APR_SUCCESS);
    cr_assert_eq(vfs_close(a, NULL), APR_SUCCESS);
    taken = 1000;
    cr_assert_eq(vfs_temp_file(&a, fs, NULL, "/d", "a", one, sizeof(one)), APR_EEXIST);
}
