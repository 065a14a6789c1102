/*
 * test_sftp_race.c - many threads on two connections to an SSH server, some of them with deadlines
 * that end their calls half way, and files that all share: for ThreadSanitizer. Floor 4.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/race/support_race.h"
#include "tests/stacks/sshd.h"

#define THREADS 6u
#define TURNS 60
#define BLOCK 40000u

static vfs_t *fs;
static char root[64];

/* A block of one letter: a reader never sees two. */
static void share(vfs_file_t *file, unsigned who, int turn)
{
    static _Thread_local char buf[BLOCK];
    size_t n = 0;
    vfs_ctx_t ctx = VFS_CTX_INIT;
    memset(buf, (int)('a' + who), sizeof(buf));
    CHECK_OK(vfs_write_at(file, NULL, buf, 1000, (apr_off_t)who * 1000, &n, NULL));
    memset(buf, 0, sizeof(buf));
    CHECK_OK(vfs_read_at(file, NULL, buf, 1000, (apr_off_t)who * 1000, &n));
    CHECK(n == 1000 && buf[0] == (char)('a' + who) && buf[999] == buf[0]);
    if (turn % 3 != 0) return;
    ctx.deadline = apr_time_now() + 50 * (turn % 20);
    apr_status_t status = vfs_read_at(file, &ctx, buf, sizeof(buf), 0, &n);
    CHECK(status == APR_SUCCESS || status == APR_TIMEUP);
}

static void names_of(unsigned who, int turn)
{
    char path[64], moved[64];
    vfs_attr_t attr;
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    snprintf(path, sizeof(path), "/t%u-%d", who, turn);
    snprintf(moved, sizeof(moved), "/m%u-%d", who, turn);
    CHECK_OK(vfs_write_file(fs, NULL, path, "x", 1, 0644));
    CHECK_OK(vfs_rename(fs, NULL, path, moved, 0));
    CHECK_OK(vfs_stat(fs, NULL, moved, &attr));
    CHECK(attr.size == 1);
    if (turn % 10 == 0) {
        CHECK_OK(vfs_opendir(&dir, fs, NULL, "/", 0));
        while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
            CHECK(entry.name_len > 0);
        CHECK_OK(vfs_closedir(dir));
        CHECK_OK(vfs_sync_fs(fs, NULL));
    }
    CHECK_OK(vfs_unlink(fs, NULL, moved));
}

static void work(void *baton, unsigned who)
{
    vfs_file_t *own = NULL;
    CHECK_OK(vfs_open(&own, fs, NULL, "/shared", VFS_O_READ | VFS_O_WRITE, 0, NULL, NULL));
    for (int turn = 0; turn < TURNS; turn++) {
        share(who % 2 ? own : baton, who, turn);
        names_of(who, turn);
    }
    CHECK_OK(vfs_close(own, NULL));
}

int main(void)
{
    static sshd_t sshd;
    char uri[512], err[512] = "", command[128], zeros[BLOCK] = {0};
    apr_pool_t *pool;
    vfs_file_t *file = NULL;
    race_begin();
    CHECK_OK(apr_pool_create(&pool, NULL));
    if (vfs_sftp_create(&fs, "sftp:", err, sizeof(err), pool) == APR_ENOTIMPL) {
        printf("%s\n", err); /* built without libssh2: there need be no server either */
        return 0;
    }
    strcpy(root, "/tmp/cachefs-race-XXXXXX");
    CHECK(mkdtemp(root) != NULL);
    CHECK(sshd_start(&sshd, NULL));
    sshd_uri(&sshd, 0, root, "connections=2", uri, sizeof(uri));
    apr_status_t status = vfs_sftp_create(&fs, uri, err, sizeof(err), pool);
    if (status != APR_SUCCESS) fprintf(stderr, "%s\n", err);
    CHECK_OK(status);
    CHECK_OK(vfs_write_file(fs, NULL, "/shared", zeros, sizeof(zeros), 0644));
    CHECK_OK(vfs_open(&file, fs, NULL, "/shared", VFS_O_READ | VFS_O_WRITE, 0, NULL, NULL));
    race_run(THREADS, work, file);
    CHECK_OK(vfs_close(file, NULL));
    CHECK_OK(vfs_destroy(fs));
    sshd_stop(&sshd);
    snprintf(command, sizeof(command), "rm -rf %s", root);
    CHECK(system(command) == 0);
    apr_pool_destroy(pool);
    return 0;
}
