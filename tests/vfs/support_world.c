/*
 * support_world.c - see support_world.h.
 */
#include "support_world.h"

#include <string.h>

#include <criterion/criterion.h>

world_t w;

void setup_with(const vfs_ops_t *ops)
{
    w.pool = test_pool();
    w.fs = fake_create(&w.fake, ops, w.pool);
    vfs_file_init(&w.file, w.fs, READ_WRITE, NULL);
    vfs_file_init(&w.other, w.fs, READ_WRITE, NULL);
    vfs_dir_init(&w.dir, w.fs, 0, NULL);
    cr_assert_eq(vfs_path_init(&w.path, "/a", NULL), APR_SUCCESS);
    cr_assert_eq(vfs_path_init(&w.path2, "/b", NULL), APR_SUCCESS);
}

void setup(void)
{
    vfs_ops_t ops = fake_ops();
    setup_with(&ops);
}

void teardown(void)
{
    cr_assert_eq(vfs_destroy(w.fs), APR_SUCCESS);
    apr_pool_destroy(w.pool);
}

char buf[64];
size_t n;
vfs_iovec_t iov = {buf, 8};
uint64_t number;
apr_off_t where;
vfs_statfs_t space;
vfs_dirent_t entry;
vfs_lock_t wish = {.type = VFS_LOCK_READ};

static apr_status_t source_read(void *baton, void *to, size_t len, apr_off_t off)
{
    (void)baton, (void)off; /* the same bytes everywhere */
    memset(to, 's', len);
    return APR_SUCCESS;
}
const vfs_source_t source = {source_read, NULL, 4};

void hear(void *baton, uint32_t events, const char *path)
{
    (void)baton, (void)events, (void)path; /* never called by the fake */
}
