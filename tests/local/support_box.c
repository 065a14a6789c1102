/*
 * support_box.c - a temporary directory with a root to be confined to, and something outside of it.
 */
#include "tests/local/support_box.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_general.h>

#include <criterion/criterion.h>

box_t box;

void box_open(void)
{
    char secret[128];
    const char *base = getenv("TMPDIR");
    (void)umask(0);
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&box.pool, NULL), APR_SUCCESS);
    snprintf(box.top, sizeof(box.top), "%s/cachefs-local-XXXXXX", base != NULL ? base : "/tmp");
    cr_assert_not_null(mkdtemp(box.top));
    cr_assert_eq(chmod(box.top, 0755), 0);
    snprintf(box.root, sizeof(box.root), "%s/root", box.top);
    snprintf(box.outside, sizeof(box.outside), "%s/outside", box.top);
    cr_assert_eq(mkdir(box.root, 0777), 0);
    cr_assert_eq(mkdir(box.outside, 0777), 0);
    snprintf(secret, sizeof(secret), "%s/secret", box.outside);
    FILE *f = fopen(secret, "w");
    cr_assert_not_null(f);
    fputs("secret", f);
    fclose(f);
    cr_assert_eq(vfs_local_create(&box.fs, box.root, box.pool), APR_SUCCESS);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void box_close(void)
{
    cr_expect_eq(vfs_destroy(box.fs), APR_SUCCESS);
    cr_expect_eq(nftw(box.top, remove_one, 16, FTW_DEPTH | FTW_PHYS), 0);
    apr_pool_destroy(box.pool);
}

const char *os(const char *path)
{
    static char buf[8][4400];
    static unsigned next;
    char *out = buf[next++ % 8];
    snprintf(out, sizeof(buf[0]), "%s%s", box.root, path);
    return out;
}

void os_write(const char *path, const char *text)
{
    FILE *f = fopen(os(path), "w");
    cr_assert_not_null(f, "%s", path);
    fputs(text, f);
    fclose(f);
}

apr_status_t try_open(const char *path)
{
    vfs_file_t *file;
    apr_status_t status = vfs_open(&file, box.fs, NULL, path, VFS_O_READ, 0, NULL, NULL);
    if (status == APR_SUCCESS) cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
    return status;
}

void put(const char *path, const char *text)
{
    vfs_file_t *file;
    size_t n;
    uint32_t flags = VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC;
    cr_assert_eq(vfs_open(&file, box.fs, NULL, path, flags, 0644, NULL, NULL), APR_SUCCESS, "%s",
                 path);
    cr_assert_eq(vfs_write_at(file, NULL, text, strlen(text), 0, &n, NULL), APR_SUCCESS);
    cr_assert_eq(vfs_close(file, NULL), APR_SUCCESS);
}

int holds(const char *path, const char *text)
{
    char buf[4096];
    size_t got;
    vfs_attr_t attr;
    apr_status_t status = vfs_get(box.fs, NULL, path, buf, sizeof(buf), &got, &attr, NULL);
    return status == APR_SUCCESS && got == strlen(text) && memcmp(buf, text, got) == 0;
}

vfs_ctx_t as_user(uint32_t uid, uint32_t gid)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.flags = VFS_CTX_CREDS;
    ctx.uid = uid;
    ctx.gid = gid;
    return ctx;
}

int am_root(void)
{
    return geteuid() == 0;
}
