/* support_mem.c - see support_mem.h. */
#include <apr_general.h>

#include "tests/mem/support_mem.h"

vfs_t *fs;
static apr_pool_t *pool;

void mem_setup(void)
{
    cr_assert(apr_initialize() == APR_SUCCESS);
    cr_assert(apr_pool_create(&pool, NULL) == APR_SUCCESS);
    cr_assert(vfs_mem_create(&fs, 0, pool) == APR_SUCCESS);
}

void mem_teardown(void)
{
    cr_assert(vfs_destroy(fs) == APR_SUCCESS);
    apr_pool_destroy(pool);
    apr_terminate();
}

void mem_limit(uint64_t bytes_max)
{
    cr_assert(vfs_destroy(fs) == APR_SUCCESS);
    cr_assert(vfs_mem_create(&fs, bytes_max, pool) == APR_SUCCESS);
}

vfs_ctx_t user_ctx(uint32_t uid, uint32_t gid, const uint32_t *more)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;

    ctx.flags = VFS_CTX_CREDS;
    ctx.uid = uid;
    ctx.gid = gid;
    ctx.groups = more;
    ctx.ngroups = more != NULL ? 1 : 0;
    return ctx;
}

vfs_file_t *open_ok(const char *path, uint32_t flags)
{
    vfs_file_t *file = NULL;

    apr_status_t status = vfs_open(&file, fs, NULL, path, flags, 0644, NULL, NULL);
    cr_assert(status == APR_SUCCESS, "open %s: %d", path, status);
    return file;
}

void close_ok(vfs_file_t *file)
{
    cr_assert(vfs_close(file, NULL) == APR_SUCCESS);
}

void write_ok(vfs_file_t *file, const void *buf, size_t len, apr_off_t off)
{
    size_t written;

    cr_assert(vfs_write_at(file, NULL, buf, len, off, &written, NULL) == APR_SUCCESS);
    cr_assert(written == len);
}

void put_ok(const char *path, const char *text)
{
    vfs_file_t *file = open_ok(path, VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC);

    write_ok(file, text, strlen(text), 0);
    close_ok(file);
}

void holds(const char *path, const char *text)
{
    char buf[4096];
    size_t got;
    vfs_file_t *file = open_ok(path, VFS_O_READ);

    cr_assert(vfs_read_at(file, NULL, buf, sizeof(buf), 0, &got) == APR_SUCCESS);
    close_ok(file);
    cr_expect(got == strlen(text) && memcmp(buf, text, got) == 0, "%s holds %.*s, not %s", path,
              (int)got, buf, text);
}

vfs_attr_t stat_of(const char *path)
{
    vfs_attr_t attr;

    apr_status_t status = vfs_stat(fs, NULL, path, &attr);
    cr_assert(status == APR_SUCCESS, "stat %s: %d", path, status);
    return attr;
}

vfs_attr_t lstat_of(const char *path)
{
    vfs_attr_t attr;

    apr_status_t status = vfs_lstat(fs, NULL, path, &attr);
    cr_assert(status == APR_SUCCESS, "lstat %s: %d", path, status);
    return attr;
}

vfs_attr_t fstat_of(vfs_file_t *file)
{
    vfs_attr_t attr;

    cr_assert(vfs_fstat(file, NULL, &attr) == APR_SUCCESS);
    return attr;
}

vfs_validator_t version_of(const char *path)
{
    vfs_validator_t version;

    cr_assert(vfs_validator(fs, NULL, path, &version) == APR_SUCCESS);
    return version;
}

uint64_t bytes_used(uint64_t bytes_max)
{
    vfs_statfs_t space;

    cr_assert(vfs_statfs(fs, NULL, "/", &space) == APR_SUCCESS);
    cr_assert(space.bytes_total == bytes_max);
    return space.bytes_total - space.bytes_free;
}

const char *names_in(const char *path)
{
    static char names[65536];
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    apr_status_t status;
    size_t len = 0;

    cr_assert(vfs_opendir(&dir, fs, NULL, path, 0) == APR_SUCCESS);
    names[0] = '\0';
    while ((status = vfs_readdir(dir, NULL, &entry)) == APR_SUCCESS) {
        cr_assert(len + entry.name_len + 2 < sizeof(names));
        len += (size_t)sprintf(names + len, "%s%s", len > 0 ? " " : "", entry.name);
    }
    cr_assert(status == APR_EOF);
    cr_assert(vfs_closedir(dir) == APR_SUCCESS);
    return names;
}
