/*
 * test_hostile.c - peers that lie: ones that are no SSH server, and servers that let us in and then
 * send what no honest one does. Each ends in an error in bounded time; nothing that they name leads
 * out of the directory. tier: medium
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/remote/support_sockets.h"
#include "tests/sftp/support_rig.h"

static rig_t rig;

/* ---- no SSH server */

/* Says `text`, then `again` until the client has gone; with neither it is silent. */
typedef struct peer_t {
    pthread_t thread;
    int listener, port;
    const char *text, *again;
} peer_t;

static void *speak(void *arg)
{
    const peer_t *p = arg;
    char sink[4096];
    int fd = accept(p->listener, NULL, NULL);
    if (fd < 0) return NULL;
    int going = send_all(fd, p->text, strlen(p->text));
    while (going && p->again != NULL)
        going = send_all(fd, p->again, strlen(p->again));
    if (going) (void)shutdown(fd, p->text[0] != '\0' ? SHUT_WR : SHUT_RD);
    while (recv(fd, sink, sizeof(sink), 0) > 0)
        ;
    (void)close(fd);
    return NULL;
}

Test(sftp_hostile, what_is_no_ssh_server_is_given_up_in_bounded_time)
{
    static char line[2001];
    static const struct {
        const char *text, *again;
    } peers[] = {{"HTTP/1.1 400 Bad Request\r\n\r\n", NULL},
                 {"\x16\x03\x01 garbage \xff\xfe\n", NULL},
                 {"SSH-1.99-old\r\n", NULL},
                 {"SSH-2.0-liar\r\n", "\x7f\xff\xff\xff\x04 rubbish that is no packet "},
                 {"SSH-2.0-liar\r\n", NULL},
                 {"", line},              /* one line without an end */
                 {"", "not yet SSH\r\n"}, /* lines without end */
                 {"", NULL}};
    char uri[128], err[1024];
    memset(line, 'x', sizeof(line) - 1);
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&rig.pool, NULL), APR_SUCCESS);
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
        peer_t p = {.text = peers[i].text, .again = peers[i].again};
        vfs_t *fs = NULL;
        p.listener = listen_loopback(&p.port);
        cr_assert_eq(pthread_create(&p.thread, NULL, speak, &p), 0);
        snprintf(uri, sizeof(uri), "sftp://127.0.0.1:%d/tmp?connect_timeout=1s&agent=no", p.port);
        apr_status_t status = vfs_sftp_create(&fs, uri, err, sizeof(err), rig.pool);
        cr_expect(status == VFS_EOFFLINE || status == APR_EACCES, "%zu: %d %s", i, status, err);
        cr_expect_not_null(strstr(err, "SSH"), "%zu: %s", i, err);
        cr_assert_eq(pthread_join(p.thread, NULL), 0);
        (void)close(p.listener);
    }
    apr_pool_destroy(rig.pool);
}

/* ---- an SFTP server that lies */

/* Everything that a reader does; what matters is that each call ends, and says something. */
static void try_everything(vfs_t *fs)
{
    char buf[5000], target[100];
    size_t n = 0;
    vfs_attr_t attr;
    vfs_validator_t version;
    vfs_statfs_t space;
    vfs_file_t *file = NULL;
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    (void)vfs_stat(fs, NULL, "/big", &attr);
    (void)vfs_lstat(fs, NULL, "/big", &attr);
    (void)vfs_get(fs, NULL, "/big", buf, sizeof(buf), &n, &attr, &version);
    cr_expect_leq(n, sizeof(buf));
    (void)vfs_readlink(fs, NULL, "/big", target, sizeof(target), &n);
    (void)vfs_statfs(fs, NULL, "/", &space);
    if (vfs_open(&file, fs, NULL, "/big", VFS_O_READ | VFS_O_WRITE, 0, NULL, NULL) == APR_SUCCESS) {
        n = 0;
        memset(buf, 'q', sizeof(buf));
        if (vfs_read_at(file, NULL, buf, 1000, 5, &n) == APR_SUCCESS) {
            cr_expect_leq(n, 1000);
            if (n > 0)
                cr_expect_eq(memcmp(buf, rig.bytes + 5, n), 0, "other bytes than the file's");
        }
        cr_expect_eq(buf[1000], 'q', "nothing behind what was asked for is touched");
        (void)vfs_fstat(file, NULL, &attr);
        (void)vfs_write_at(file, NULL, rig.bytes, 10, 0, &n, NULL);
        (void)vfs_sync(file, NULL, VFS_SYNC_ALL);
        (void)vfs_close(file, NULL);
    }
    if (vfs_open(&file, fs, NULL, "/", VFS_O_READ, 0, NULL, NULL) == APR_SUCCESS) {
        (void)vfs_fstat(file, NULL, &attr);
        (void)vfs_close(file, NULL);
    }
    if (vfs_opendir(&dir, fs, NULL, "/", 0) == APR_SUCCESS) {
        while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS) {
            cr_expect_null(strchr(entry.name, '/'), "%s", entry.name);
            cr_expect(strcmp(entry.name, "..") != 0 && strcmp(entry.name, ".") != 0);
            cr_expect(entry.name_len > 0 && entry.name_len <= VFS_NAME_MAX);
        }
        (void)vfs_closedir(dir);
    }
    (void)vfs_mkdir(fs, NULL, "/new", 0755);
    (void)vfs_rename(fs, NULL, "/new", "/newer", 0);
    (void)vfs_rmdir(fs, NULL, "/newer");
}

Test(sftp_hostile, a_server_that_spoils_any_reply_does_no_harm, .timeout = 600)
{
    static const char *const hows[] = {"huge", "tiny",  "id",    "type",
                                       "ok",   "inner", "short", "more"};
    /* INIT, OPEN, READ, WRITE, LSTAT, FSTAT, OPENDIR, READDIR, MKDIR, REALPATH, STAT, READLINK,
     * EXTENDED */
    static const int requests[] = {1, 3, 5, 6, 7, 8, 11, 12, 14, 16, 17, 19, 200};
    for (size_t how = 0; how < sizeof(hows) / sizeof(hows[0]); how++) {
        for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
            vfs_t *fs = NULL;
            rig_start(&rig, hows[how], requests[i], 0);
            apr_status_t status = rig_open(&rig, &fs, 0, "retries=0&stall_timeout=300ms");
            if (status == APR_SUCCESS) {
                try_everything(fs);
                cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
            } else {
                cr_expect_neq(rig.err[0], '\0');
            }
            rig_stop(&rig);
        }
    }
}

Test(sftp_hostile, handles_and_messages_of_any_length_do_no_harm)
{
    static const struct {
        const char *how;
        int which;
    } rows[] = {{"handle", 3}, {"handle", 11}, {"longest", 3}, {"longest", 11}, {"half", 2},
                {"half", 3},   {"half", 5},    {"half", 8},    {"half", 12},    {"half", 16},
                {"half", 200}, {"twice", 3},   {"twice", 5},   {"twice", 6},    {"twice", 8},
                {"twice", 11}, {"twice", 12},  {"twice", 17}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        vfs_t *fs = NULL;
        rig_start(&rig, rows[i].how, rows[i].which, 0);
        if (rig_open(&rig, &fs, 0, "retries=0&stall_timeout=300ms") == APR_SUCCESS) {
            try_everything(fs);
            cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
        }
        rig_stop(&rig);
    }
}

Test(sftp_hostile, a_listing_has_only_names_of_the_directory)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    int good = 0, others = 0;
    rig_start(&rig, "names", 12, 0);
    vfs_t *fs = rig_fs(&rig, 0, "");
    cr_assert_eq(vfs_opendir(&dir, fs, NULL, "/", 0), APR_SUCCESS);
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS) {
        good += strcmp(entry.name, "good") == 0;
        others += strcmp(entry.name, "good") != 0;
    }
    cr_expect_eq(good, 1);
    cr_expect_eq(others, 0);
    cr_expect_eq(vfs_closedir(dir), APR_SUCCESS);
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    rig_stop(&rig);
}

Test(sftp_hostile, a_listing_without_end_ends)
{
    vfs_dir_t *dir = NULL;
    rig_start(&rig, "none", 12, 0);
    vfs_t *fs = rig_fs(&rig, 0, "");
    cr_expect_eq(vfs_opendir(&dir, fs, NULL, "/", 0), VFS_EFORMAT);
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    rig_stop(&rig);
    rig_start(&rig, "endless", 12, 0);
    fs = rig_fs(&rig, 0, "");
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.deadline = apr_time_now() + 300000;
    apr_status_t status = vfs_opendir(&dir, fs, &ctx, "/", 0);
    cr_expect(status == APR_TIMEUP || status == VFS_ELIMIT, "%d", status);
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    rig_stop(&rig);
}

Test(sftp_hostile, what_a_shell_prints_is_no_sftp)
{
    vfs_t *fs = NULL;
    rig_start(&rig, NULL, 0, 0);
    sshd_stop(&rig.sshd);
    cr_assert(sshd_start(&rig.sshd, "Subsystem sftp echo Welcome to this server, dear friend"));
    cr_expect_eq(rig_open(&rig, &fs, 0, ""), VFS_EFORMAT, "%s", rig.err);
    cr_expect_not_null(strstr(rig.err, "start-up files"), "%s", rig.err);
    sshd_stop(&rig.sshd);
    cr_assert(sshd_start(&rig.sshd, "# Subsystem: none"));
    cr_expect_eq(rig_open(&rig, &fs, 0, ""), APR_EACCES, "%s", rig.err);
    cr_expect_not_null(strstr(rig.err, "no SFTP"), "%s", rig.err);
    rig_stop(&rig);
}
