/* support_store.c - see support_store.h. */
#include "tests/store/support_store.h"

#include <apr_general.h>

const char *disk_status(apr_status_t st)
{
    static char text[128];
    return st ? vfs_strerror(st, text, sizeof(text)) : "success";
}

void disk_open(disk_t *d, uint64_t bytes_max)
{
    OK(apr_initialize());
    OK(apr_pool_create(&d->pool, NULL));
    OK(vfs_mem_create(&d->mem, bytes_max, d->pool));
    OK(vfs_crash_create(&d->crash, d->mem, d->pool));
    OK(vfs_fault_create(&d->fault, d->crash, 1, d->pool));
    d->fs = d->fault;
}

void disk_close(disk_t *d)
{
    OK(vfs_destroy_stack(d->fs));
    apr_pool_destroy(d->pool);
    apr_terminate();
}

cachefs__store_t *disk_store(disk_t *d)
{
    cachefs__store_t *s = NULL;
    char err[256] = "";
    apr_status_t st = cachefs__store_open(&s, d->fs, "/disk", err, sizeof(err));
    cr_assert(st == APR_SUCCESS, "%s: %s", disk_status(st), err);
    return s;
}

void disk_put(disk_t *d, const char *path, const void *buf, size_t len)
{
    vfs_file_t *file;
    size_t written;
    OK(vfs_open(&file, d->fs, NULL, path, VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC, 0600, NULL,
                NULL));
    if (len) OK(vfs_write_at(file, NULL, buf, len, 0, &written, NULL));
    OK(vfs_sync(file, NULL, VFS_SYNC_ALL));
    OK(vfs_close(file, NULL));
}

size_t disk_get(disk_t *d, const char *path, void *buf, size_t max)
{
    size_t got;
    OK(vfs_get(d->fs, NULL, path, buf, max, &got, NULL, NULL));
    return got;
}

int disk_has(disk_t *d, const char *path)
{
    vfs_attr_t attr;
    return !vfs_lstat(d->fs, NULL, path, &attr);
}

unsigned disk_names(disk_t *d, const char *path)
{
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    unsigned n = 0;
    OK(vfs_opendir(&dir, d->fs, NULL, path, 0));
    while (!vfs_readdir(dir, NULL, &entry))
        if (strcmp(entry.name, ".") != 0 && strcmp(entry.name, "..") != 0) n++;
    vfs_closedir(dir);
    return n;
}

void disk_fail(disk_t *d, vfs_opid_e op, int error, uint64_t nth, uint64_t times)
{
    vfs_fault_t rule = {.status = APR_FROM_OS_ERROR(error), .nth = nth, .times = times};
    VFS_FAULT_OP(rule, op);
    OK(vfs_fault_add(d->fault, &rule));
}

vfs_ops_t disk_pass_ops(void)
{
    static const vfs_ops_t ops = {
        .abi = VFS_ABI,
        .size = sizeof(vfs_ops_t),
        .name = "watched",
        .open = vfs_wrap_open,
        .opendir = vfs_wrap_opendir,
        .close = vfs_pass_close,
        .closedir = vfs_pass_closedir,
        .copy_range = vfs_pass_copy_range,
#define VFS_OP_FS(name_, class, params, args, doc) .name_ = vfs_pass_##name_,
#define VFS_OP_FILE(name_, class, params, args, doc) .name_ = vfs_pass_##name_,
#define VFS_OP_DIR(name_, class, params, args, doc) .name_ = vfs_pass_##name_,
#include "vfs/vfs_ops.def"
    };
    return ops;
}
