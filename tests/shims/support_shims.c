/*
 * support_shims.c - see support_shims.h. Test support.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <apr_general.h>
#include <apr_strings.h>

#include <criterion/criterion.h>

#include "backends/backends.h"
#include "tests/shims/support_shims.h"

apr_pool_t *test_pool(void)
{
    apr_pool_t *pool;
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
    return pool;
}

vfs_t *test_mem(apr_pool_t *pool)
{
    vfs_t *fs;
    cr_assert_eq(vfs_mem_create(&fs, 0, pool), APR_SUCCESS);
    return fs;
}

vfs_file_t *test_open(vfs_t *fs, const char *path, uint32_t flags)
{
    vfs_file_t *file;
    apr_status_t status = vfs_open(&file, fs, NULL, path, flags, 0644, NULL, NULL);
    cr_assert_eq(status, APR_SUCCESS, "open %s: %d", path, status);
    return file;
}

void test_put(vfs_t *fs, const char *path, const char *text)
{
    size_t written;
    vfs_file_t *file = test_open(fs, path, VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC);
    cr_assert_eq(vfs_write_at(file, NULL, text, strlen(text), 0, &written, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

const char *test_text(vfs_t *fs, const char *path, apr_pool_t *pool)
{
    char *data;
    size_t len;
    apr_status_t status = vfs_read_file(&data, &len, fs, NULL, path, 0, pool);
    return status == APR_SUCCESS ? data : apr_psprintf(pool, "!%d", status);
}

static void say(script_t *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void say(script_t *s, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(s->text + s->len, sizeof(s->text) - s->len, format, args);
    va_end(args);
    cr_assert(n >= 0 && (size_t)n < sizeof(s->text) - s->len);
    s->len += (size_t)n;
}

static apr_status_t step(script_t *s, vfs_opid_e op, apr_status_t status)
{
    s->ran[op]++;
    s->status[op] = status;
    int ended = op == VFS_OPID_readdir && status == APR_EOF;
    if (status != APR_SUCCESS && !ended) s->failed[op]++;
    say(s, "%s %d\n", vfs_op_name(op), status);
    return status;
}

static void say_attr(script_t *s, apr_status_t status, const vfs_attr_t *attr)
{
    if (status == APR_SUCCESS)
        say(s, " type %d mode %o size %llu nlink %u ino %llu\n", (int)attr->type, attr->mode,
            (unsigned long long)attr->size, attr->nlink, (unsigned long long)attr->ino);
}

/* Every op on names; the one that is asked for what it cannot do tells whether errors come through.
 */
static void run_names(script_t *s, vfs_t *fs)
{
    vfs_attr_t attr;
    vfs_statfs_t statfs;
    char text[64] = "";
    size_t len = 0;
    step(s, VFS_OPID_mkdir, vfs_mkdir(fs, NULL, "/d", 0755));
    step(s, VFS_OPID_mkdir, vfs_mkdir(fs, NULL, "/d/e", 0700));
    step(s, VFS_OPID_rmdir, vfs_rmdir(fs, NULL, "/d/e"));
    step(s, VFS_OPID_mknod, vfs_mknod(fs, NULL, "/n", VFS_TYPE_FIFO, 0600, 0));
    step(s, VFS_OPID_rename, vfs_rename(fs, NULL, "/n", "/d/n", 0));
    step(s, VFS_OPID_unlink, vfs_unlink(fs, NULL, "/d/n"));
    step(s, VFS_OPID_link, vfs_link(fs, NULL, "/f", "/d/g"));
    step(s, VFS_OPID_symlink, vfs_symlink(fs, NULL, "/f", "/l"));
    step(s, VFS_OPID_readlink, vfs_readlink(fs, NULL, "/l", text, sizeof(text), &len));
    say(s, " %s %zu\n", text, len);
    step(s, VFS_OPID_truncate, vfs_truncate(fs, NULL, "/f", 6));
    step(s, VFS_OPID_chmod, vfs_chmod(fs, NULL, "/f", 0640, 0));
    step(s, VFS_OPID_chown, vfs_chown(fs, NULL, "/f", 0, 0, 0));
    step(s, VFS_OPID_utimens, vfs_utimens(fs, NULL, "/f", 1000, 2000, 0));
    say_attr(s, step(s, VFS_OPID_stat, vfs_stat(fs, NULL, "/l", &attr)), &attr);
    say_attr(s, step(s, VFS_OPID_lstat, vfs_lstat(fs, NULL, "/l", &attr)), &attr);
    step(s, VFS_OPID_access, vfs_access(fs, NULL, "/f", VFS_ACCESS_READ));
    step(s, VFS_OPID_statfs, vfs_statfs(fs, NULL, "/", &statfs));
    step(s, VFS_OPID_setxattr, vfs_setxattr(fs, NULL, "/f", "user.a", "1", 1, 0, 0));
    step(s, VFS_OPID_getxattr, vfs_getxattr(fs, NULL, "/f", "user.a", text, sizeof(text), &len, 0));
    say(s, " %zu\n", len);
    step(s, VFS_OPID_listxattr, vfs_listxattr(fs, NULL, "/f", text, sizeof(text), &len, 0));
    say(s, " %zu\n", len);
    step(s, VFS_OPID_removexattr, vfs_removexattr(fs, NULL, "/f", "user.a", 0));
    step(s, VFS_OPID_sync_dir, vfs_sync_dir(fs, NULL, "/d"));
    step(s, VFS_OPID_sync_fs, vfs_sync_fs(fs, NULL));
}

static void run_get(script_t *s, vfs_t *fs)
{
    char buf[64] = "";
    size_t got = 0;
    vfs_attr_t attr;
    vfs_validator_t validator;
    apr_status_t status = vfs_get(fs, NULL, "/f", buf, sizeof(buf), &got, &attr, &validator);
    say_attr(s, step(s, VFS_OPID_get, status), &attr);
    say(s, " %zu %.*s kind %d\n", got, (int)got, buf, status == APR_SUCCESS ? validator.kind : -1);
}

static void run_reads(script_t *s, vfs_file_t *file)
{
    char a[4] = "", b[8] = "";
    size_t got = 0;
    vfs_attr_t attr;
    vfs_validator_t validator;
    vfs_iovec_t iov[2] = {{a, sizeof(a)}, {b, sizeof(b)}};
    step(s, VFS_OPID_read_at, vfs_read_at(file, NULL, a, sizeof(a), 1, &got));
    say(s, " %zu %.*s\n", got, (int)got, a);
    step(s, VFS_OPID_readv_at, vfs_readv_at(file, NULL, iov, 2, 0, &got));
    say(s, " %zu\n", got);
    step(s, VFS_OPID_fetch, vfs_call_fetch(file, NULL, iov, 2, 0, &got, &validator));
    say(s, " %zu\n", got);
    say_attr(s, step(s, VFS_OPID_fstat, vfs_fstat(file, NULL, &attr)), &attr);
    apr_off_t where = 0;
    step(s, VFS_OPID_seek_extent, vfs_seek_extent(file, NULL, 0, VFS_SEEK_HOLE, &where));
    say(s, " %lld\n", (long long)where);
}

static void run_writes(script_t *s, vfs_file_t *file, vfs_file_t *other)
{
    size_t n = 0;
    char one[] = "one", two[] = "two";
    vfs_iovec_t iov[2] = {{one, 3}, {two, 3}};
    vfs_lock_t lock = {.type = VFS_LOCK_WRITE, .len = 10};
    step(s, VFS_OPID_write_at, vfs_write_at(file, NULL, "0123456789", 10, 0, &n, NULL));
    say(s, " %zu\n", n);
    step(s, VFS_OPID_writev_at, vfs_writev_at(file, NULL, iov, 2, 2, &n, NULL));
    say(s, " %zu\n", n);
    step(s, VFS_OPID_copy_range, vfs_copy_range(file, NULL, 0, other, 0, 8, &n));
    say(s, " %zu\n", n);
    step(s, VFS_OPID_ftruncate, vfs_ftruncate(file, NULL, 9));
    step(s, VFS_OPID_allocate, vfs_allocate(file, NULL, 0, 0, 12));
    step(s, VFS_OPID_fchmod, vfs_fchmod(file, NULL, 0600));
    step(s, VFS_OPID_fchown, vfs_fchown(file, NULL, 0, 0));
    step(s, VFS_OPID_futimens, vfs_futimens(file, NULL, 5000, 6000));
    step(s, VFS_OPID_lock, vfs_lock(file, NULL, &lock));
    step(s, VFS_OPID_flush, vfs_flush(file, NULL));
    step(s, VFS_OPID_sync, vfs_sync(file, NULL, VFS_SYNC_ALL));
}

static void run_xattrs(script_t *s, vfs_file_t *file)
{
    char text[64];
    size_t len = 0;
    step(s, VFS_OPID_fsetxattr, vfs_fsetxattr(file, NULL, "user.b", "22", 2, 0));
    step(s, VFS_OPID_fgetxattr, vfs_fgetxattr(file, NULL, "user.b", text, sizeof(text), &len));
    say(s, " %zu\n", len);
    step(s, VFS_OPID_flistxattr, vfs_flistxattr(file, NULL, text, sizeof(text), &len));
    say(s, " %zu\n", len);
    step(s, VFS_OPID_fremovexattr, vfs_fremovexattr(file, NULL, "user.b"));
}

static void run_files(script_t *s, vfs_t *fs)
{
    const uint32_t flags = VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE;
    vfs_file_t *file = NULL, *other = NULL;
    vfs_attr_t attr;
    say_attr(s, step(s, VFS_OPID_open, vfs_open(&file, fs, NULL, "/f", flags, 0644, &attr, NULL)),
             &attr);
    step(s, VFS_OPID_open, vfs_open(&other, fs, NULL, "/o", flags, 0644, NULL, NULL));
    if (file != NULL && other != NULL) {
        run_writes(s, file, other);
        run_reads(s, file);
        run_xattrs(s, file);
    }
    if (file != NULL) step(s, VFS_OPID_close, vfs_close(file, NULL));
    if (other != NULL) step(s, VFS_OPID_close, vfs_close(other, NULL));
}

static void run_dirs(script_t *s, vfs_t *fs)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    if (step(s, VFS_OPID_opendir, vfs_opendir(&dir, fs, NULL, "/", VFS_DIR_ATTRS)) != APR_SUCCESS)
        return;
    while (step(s, VFS_OPID_readdir, vfs_readdir(dir, NULL, &entry)) == APR_SUCCESS)
        say(s, " %s %d\n", entry.name, (int)entry.type);
    step(s, VFS_OPID_seekdir, vfs_seekdir(dir, NULL, 0));
    if (step(s, VFS_OPID_readdir, vfs_readdir(dir, NULL, &entry)) == APR_SUCCESS)
        say(s, " %s\n", entry.name);
    step(s, VFS_OPID_closedir, vfs_closedir(dir));
}

static apr_status_t source_read(void *baton, void *buf, size_t len, apr_off_t off)
{
    memcpy(buf, (const char *)baton + off, len);
    return APR_SUCCESS;
}

static void hear(void *baton, uint32_t events, const char *path)
{
    (void)baton;
    (void)events;
    (void)path;
}

static void run_rest(script_t *s, vfs_t *fs)
{
    char bytes[] = "committed";
    vfs_source_t source = {.read_at = source_read, .baton = bytes, .size = 9};
    vfs_commit_t how = VFS_COMMIT_INIT;
    uint64_t watch = 0;
    apr_status_t status = vfs_watch(fs, NULL, "/", hear, NULL, &watch);
    step(s, VFS_OPID_watch, status);
    if (status == APR_SUCCESS) step(s, VFS_OPID_unwatch, vfs_unwatch(fs, watch));
    step(s, VFS_OPID_commit, vfs_commit(fs, NULL, "/c", &source, &how, NULL, NULL));
    step(s, VFS_OPID_unlink, vfs_unlink(fs, NULL, "/not-there"));
    step(s, VFS_OPID_rmdir, vfs_rmdir(fs, NULL, "/f"));
}

void script_run(script_t *script, vfs_t *fs)
{
    memset(script, 0, sizeof(*script));
    run_files(script, fs);
    run_names(script, fs);
    run_get(script, fs);
    run_dirs(script, fs);
    run_rest(script, fs);
}
