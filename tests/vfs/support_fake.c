/*
 * support_fake.c - see support_fake.h.
 */
#include "support_fake.h"

#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <criterion/criterion.h>

#include "backends/backends.h"

static fake_t *note(vfs_t *fs, const char *name)
{
    fake_t *fake = fs->state;
    fake->calls++;
    fake->last = name;
    return fake;
}

static void note_path(fake_t *fake, const vfs_path_t *path)
{
    memcpy(fake->path, path->str, path->len + 1u);
    fake->path_flags = path->flags;
}

/* Every op, plainly; those with something to say for themselves come below. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter"
#define VFS_OP_FS(name, class, params, args, doc)                                                  \
    static apr_status_t plain_##name(vfs_t *fs, VFS_UNPACK params)                                 \
    {                                                                                              \
        return note(fs, #name)->answer;                                                            \
    }
#define VFS_OP_FILE(name, class, params, args, doc)                                                \
    static apr_status_t plain_##name(vfs_file_t *file, VFS_UNPACK params)                          \
    {                                                                                              \
        return note(file->fs, #name)->answer;                                                      \
    }
#define VFS_OP_DIR(name, class, params, args, doc)                                                 \
    static apr_status_t plain_##name(vfs_dir_t *dir, VFS_UNPACK params)                            \
    {                                                                                              \
        return note(dir->fs, #name)->answer;                                                       \
    }
#include "vfs/vfs_ops.def"

static apr_status_t fake_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                              const vfs_path_t *path, uint32_t flags, uint32_t mode,
                              vfs_attr_t *attr, vfs_validator_t *validator)
{
    fake_t *fake = note(fs, "open");
    note_path(fake, path);
    fake->flags = flags;
    attr->type = fake->type;
    *file = malloc(sizeof(**file));
    cr_assert_not_null(*file);
    if (fake->answer != APR_SUCCESS) {
        free(*file);
        return fake->answer; /* and *file dangles: dispatch has to clear it */
    }
    vfs_file_init(*file, fs, flags, NULL);
    return APR_SUCCESS;
}

static apr_status_t fake_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                                 const vfs_path_t *path, uint32_t flags)
{
    fake_t *fake = note(fs, "opendir");
    note_path(fake, path);
    if (fake->answer != APR_SUCCESS) return fake->answer;
    *dir = malloc(sizeof(**dir));
    cr_assert_not_null(*dir);
    vfs_dir_init(*dir, fs, flags, NULL);
    return APR_SUCCESS;
}

static apr_status_t fake_close(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    apr_status_t answer = note(file->fs, "close")->answer;
    free(file);
    return answer;
}

static apr_status_t fake_closedir(vfs_dir_t *dir)
{
    apr_status_t answer = note(dir->fs, "closedir")->answer;
    free(dir);
    return answer;
}

static apr_status_t fake_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                                    vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied)
{
    fake_t *fake = note(src->fs, "copy_range");
    *copied = fake->got;
    return fake->answer;
}

static apr_status_t fake_stat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              vfs_attr_t *attr, vfs_validator_t *validator)
{
    fake_t *fake = note(fs, "stat");
    note_path(fake, path);
    attr->type = fake->type;
    attr->mode = 0755;
    validator->kind = VFS_VALIDATOR_ETAG;
    return fake->answer;
}

static apr_status_t fake_lstat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    fake_t *fake = note(fs, "lstat");
    note_path(fake, path);
    attr->type = fake->link_type != VFS_TYPE_UNKNOWN ? fake->link_type : fake->type;
    return fake->answer;
}

static apr_status_t fake_get(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf,
                             size_t len, size_t *got, vfs_attr_t *attr, vfs_validator_t *validator)
{
    fake_t *fake = note(fs, "get");
    note_path(fake, path);
    *got = fake->got;
    return fake->answer;
}

static apr_status_t fake_read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                                 apr_off_t off, size_t *got)
{
    fake_t *fake = note(file->fs, "read_at");
    fake->off = off;
    *got = fake->got;
    return fake->answer;
}

static apr_status_t fake_write_at(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf,
                                  size_t len, apr_off_t off, size_t *written,
                                  vfs_validator_t *validator)
{
    fake_t *fake = note(file->fs, "write_at");
    fake->off = off;
    *written = fake->answer == APR_SUCCESS ? len : fake->got;
    return fake->answer;
}

static apr_status_t fake_readv_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                  size_t count, apr_off_t off, size_t *got)
{
    fake_t *fake = note(file->fs, "readv_at");
    *got = fake->got;
    return fake->answer;
}

static apr_status_t fake_writev_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                   size_t count, apr_off_t off, size_t *written,
                                   vfs_validator_t *validator)
{
    fake_t *fake = note(file->fs, "writev_at");
    fake->off = off;
    for (size_t i = 0; i < count; i++)
        *written += iov[i].len;
    return fake->answer;
}

static apr_status_t fake_chmod(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               uint32_t mode, uint32_t flags)
{
    fake_t *fake = note(fs, "chmod");
    note_path(fake, path);
    fake->flags = flags;
    return fake->answer;
}

static apr_status_t fake_mkdir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               uint32_t mode)
{
    fake_t *fake = note(fs, "mkdir");
    note_path(fake, path);
    return fake->answer;
}

static apr_status_t fake_sync(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags)
{
    fake_t *fake = note(file->fs, "sync");
    fake->flags = flags;
    return fake->answer;
}

static apr_status_t fake_seek_extent(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t off,
                                     vfs_whence_e whence, apr_off_t *where)
{
    fake_t *fake = note(file->fs, "seek_extent");
    *where = off;
    return fake->answer;
}

static apr_status_t fake_readdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, vfs_dirent_t *entry)
{
    entry->name = "name";
    entry->name_len = 4;
    return note(dir->fs, "readdir")->answer;
}
#pragma GCC diagnostic pop

vfs_ops_t fake_ops(void)
{
    vfs_ops_t ops = {.abi = VFS_ABI, .size = sizeof(ops), .name = "fake"};
#define VFS_OP_FS(name, class, params, args, doc) ops.name = plain_##name;
#define VFS_OP_FILE(name, class, params, args, doc) ops.name = plain_##name;
#define VFS_OP_DIR(name, class, params, args, doc) ops.name = plain_##name;
#include "vfs/vfs_ops.def"
    ops.open = fake_open;
    ops.opendir = fake_opendir;
    ops.close = fake_close;
    ops.closedir = fake_closedir;
    ops.copy_range = fake_copy_range;
    ops.stat = fake_stat;
    ops.lstat = fake_lstat;
    ops.get = fake_get;
    ops.read_at = fake_read_at;
    ops.write_at = fake_write_at;
    ops.readv_at = fake_readv_at;
    ops.writev_at = fake_writev_at;
    ops.chmod = fake_chmod;
    ops.mkdir = fake_mkdir;
    ops.sync = fake_sync;
    ops.seek_extent = fake_seek_extent;
    ops.readdir = fake_readdir;
    return ops;
}

vfs_t *fake_create(fake_t *fake, const vfs_ops_t *ops, apr_pool_t *pool)
{
    vfs_caps_t caps = {.size = sizeof(caps), .bits = VFS_CAP_WRITE};
    vfs_t *fs;
    cr_assert_eq(vfs_create(&fs, ops, NULL, fake, &caps, pool), APR_SUCCESS);
    return fs;
}

vfs_ops_t pass_ops(void)
{
    vfs_ops_t ops = {.abi = VFS_ABI, .size = sizeof(ops), .name = "pass"};
#define VFS_OP_FS(name, class, params, args, doc) ops.name = vfs_pass_##name;
#define VFS_OP_FILE(name, class, params, args, doc) ops.name = vfs_pass_##name;
#define VFS_OP_DIR(name, class, params, args, doc) ops.name = vfs_pass_##name;
#include "vfs/vfs_ops.def"
    ops.open = vfs_wrap_open;
    ops.opendir = vfs_wrap_opendir;
    ops.close = vfs_pass_close;
    ops.closedir = vfs_pass_closedir;
    ops.copy_range = vfs_pass_copy_range;
    return ops;
}

vfs_t *layer_create(vfs_t *lower, const vfs_ops_t *ops, apr_pool_t *pool)
{
    vfs_t *fs;
    cr_assert_eq(vfs_create(&fs, ops, lower, NULL, NULL, pool), APR_SUCCESS);
    return fs;
}

vfs_t *mem_create(apr_pool_t *pool)
{
    vfs_t *fs;
    cr_assert_eq(vfs_mem_create(&fs, 0, pool), APR_SUCCESS);
    return fs;
}

void put(vfs_t *fs, const char *path, const char *text)
{
    char dir[VFS_PATH_MAX + 1];
    vfs_file_t *file;
    size_t written;
    strcpy(dir, path);
    *strrchr(dir, '/') = '\0';
    if (dir[0] != '\0') cr_assert_eq(vfs_mkdir_all(fs, NULL, dir, 0755), APR_SUCCESS);
    cr_assert_eq(
        vfs_open(&file, fs, NULL, path, VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC, 0644, NULL, NULL),
        APR_SUCCESS);
    cr_assert_eq(vfs_write_at(file, NULL, text, strlen(text), 0, &written, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

const char *text_of(vfs_t *fs, const char *path)
{
    static char text[65536];
    vfs_file_t *file;
    size_t got;
    if (vfs_open(&file, fs, NULL, path, VFS_O_READ, 0, NULL, NULL) != APR_SUCCESS) return "(none)";
    apr_status_t status = vfs_read_at(file, NULL, text, sizeof(text) - 1, 0, &got);
    text[got] = '\0';
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
    return status == APR_SUCCESS ? text : "(none)";
}

vfs_type_e type_at(vfs_t *fs, const char *path)
{
    vfs_attr_t attr;
    return vfs_lstat(fs, NULL, path, &attr) == APR_SUCCESS ? attr.type : VFS_TYPE_UNKNOWN;
}

apr_pool_t *test_pool(void)
{
    apr_pool_t *pool;
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
    return pool;
}
