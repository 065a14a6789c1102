/*
 * test_login.c - who the server is, who we are there, and what is said where that does not fit:
 * each refusal says what to do.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>

#include <criterion/criterion.h>

#include "backends/backends.h"
#include "tests/stacks/sshd.h"

static apr_pool_t *pool;
static sshd_t sshd;
static char err[2048], uri[1024], home[64];

static void begin(void)
{
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
    strcpy(home, "/tmp/cachefs-home-XXXXXX");
    cr_assert_not_null(mkdtemp(home));
    setenv("HOME", home, 1); /* no key and no known server of who runs the test */
    unsetenv("SSH_AUTH_SOCK");
    unsetenv("CACHEFS_SECRET");
    cr_assert(sshd_start(&sshd, NULL), "sshd does not start; is openssh-server installed?");
}

static void end(void)
{
    sshd_stop(&sshd);
    cr_expect_eq(rmdir(home), 0);
    apr_pool_destroy(pool);
}

TestSuite(sftp_login, .init = begin, .fini = end);

/* Open `text`; says `want` and, in words, each of `words` up to NULL. */
static void refused(const char *text, apr_status_t want, const char *const words[])
{
    vfs_t *fs = NULL;
    apr_status_t status = vfs_sftp_create(&fs, text, err, sizeof(err), pool);
    cr_expect_eq(status, want, "%s: %d, %s", text, status, err);
    for (size_t i = 0; words[i] != NULL; i++)
        cr_expect_not_null(strstr(err, words[i]), "\"%s\" is not in: %s", words[i], err);
    if (fs != NULL) cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
}

#define REFUSED(text, want, ...) refused(text, want, (const char *const[]){__VA_ARGS__, NULL})

static void write_line(const char *name, const char *line)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", sshd.dir, name);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    cr_assert_geq(fputs(line, file), 0);
    cr_assert_eq(fclose(file), 0);
}

static int is_let_in(const char *text)
{
    vfs_t *fs = NULL;
    apr_status_t status = vfs_sftp_create(&fs, text, err, sizeof(err), pool);
    if (status == APR_SUCCESS) cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
    return status == APR_SUCCESS;
}

static int run_shell(const char *format, const char *a, const char *b)
{
    char command[512];
    snprintf(command, sizeof(command), format, a, b);
    int status = system(command);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

Test(sftp_login, an_unknown_server_is_refused_with_the_line_that_accepts_it)
{
    char name[32];
    write_line("known_hosts", "");
    snprintf(name, sizeof(name), "[127.0.0.1]:%d", sshd.port);
    sshd_uri(&sshd, 0, "/tmp", "", uri, sizeof(uri));
    REFUSED(uri, APR_EACCES, "is not known", "SHA256:", "echo '", name, ">> ");
    cr_assert(run_shell("%s%s", strstr(err, "echo '"), ""), "the line can be run as it is");
    cr_expect(is_let_in(uri), "%s", err);
}

Test(sftp_login, a_file_that_is_not_there_knows_nobody)
{
    snprintf(uri, sizeof(uri), "sftp://127.0.0.1:%d/tmp", sshd.port);
    REFUSED(uri, APR_EACCES, "is not known", home);
}

Test(sftp_login, a_server_with_another_key_is_refused_loudly)
{
    char line[256];
    snprintf(line, sizeof(line),
             "[127.0.0.1]:%d ssh-ed25519 "
             "AAAAC3NzaC1lZDI1NTE5AAAAIJjr6WbSnzhgSGLKF7KZ4qTU+7Wm2gpDHT8y4bAjTF3k\n",
             sshd.port);
    write_line("known_hosts", line);
    sshd_uri(&sshd, 0, "/tmp", "", uri, sizeof(uri));
    REFUSED(uri, APR_EACCES, "HAS CHANGED", "SHA256:", "ssh-keygen -f", "-R");
}

/* The server's key, as "KIND KEY". */
static void read_key(char *key, size_t size)
{
    char path[96];
    snprintf(path, sizeof(path), "%s/host.pub", sshd.dir);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file);
    cr_assert_not_null(fgets(key, (int)size, file));
    (void)fclose(file); /* it was read only */
    key[strcspn(key, "\n")] = '\0';
}

Test(sftp_login, a_key_that_is_revoked_is_refused_though_it_is_known)
{
    static const char *const marks[] = {"@revoked [127.0.0.1]:%d", "@revoked\t*",
                                        " @revoked 127.0.0.*",
                                        "@revoked other,!nobody,[127.?.0.1]:%d"};
    static const char *const others[] = {"@revoked other", "@revoked *,!*127.0.0.1*", "@nothing *",
                                         "@cert-authority *"};
    char key[512], name[64], lines[2048];
    read_key(key, sizeof(key));
    sshd_uri(&sshd, 0, "/tmp", "", uri, sizeof(uri));
    for (size_t i = 0; i < 8; i++) {
        snprintf(name, sizeof(name), i < 4 ? marks[i] : others[i - 4], sshd.port);
        snprintf(lines, sizeof(lines), "[127.0.0.1]:%d %s\n%s %s\n", sshd.port, key, name, key);
        write_line("known_hosts", lines);
        if (i < 4)
            REFUSED(uri, APR_EACCES, "IS REVOKED", "SHA256:", "@revoked in", "known_hosts");
        else
            cr_expect(is_let_in(uri), "%s: %s", name, err);
    }
}

Test(sftp_login, a_revocation_is_found_by_a_hashed_name_and_behind_a_long_line)
{
    char key[512], known[96], line[1024];
    static char lines[30000];
    read_key(key, sizeof(key));
    sshd_uri(&sshd, 0, "/tmp", "", uri, sizeof(uri));
    snprintf(known, sizeof(known), "%s/known_hosts", sshd.dir);
    cr_assert(run_shell("ssh-keygen -q -H -f %s >%s/out 2>&1", known, sshd.dir));
    FILE *file = fopen(known, "re");
    cr_assert_not_null(file);
    cr_assert_not_null(fgets(line, sizeof(line), file));
    (void)fclose(file); /* it was read only */
    snprintf(lines, sizeof(lines), "%s@revoked %s", line, line);
    write_line("known_hosts", lines);
    REFUSED(uri, APR_EACCES, "IS REVOKED");
    /* names of other servers, so many that the line does not fit a buffer of 8 KiB */
    size_t len =
        (size_t)snprintf(lines, sizeof(lines), "[127.0.0.1]:%d %s\n@revoked ", sshd.port, key);
    for (int i = 0; i < 1000; i++)
        len += (size_t)snprintf(lines + len, sizeof(lines) - len, "host-%d.example,", i);
    snprintf(lines + len, sizeof(lines) - len, "127.0.0.1 %s\n", key);
    write_line("known_hosts", lines);
    REFUSED(uri, APR_EACCES, "IS REVOKED");
}

Test(sftp_login, an_authority_is_no_key_of_the_server)
{
    char key[512], lines[1024];
    read_key(key, sizeof(key));
    snprintf(lines, sizeof(lines), "@cert-authority * %s\n", key);
    write_line("known_hosts", lines);
    sshd_uri(&sshd, 0, "/tmp", "", uri, sizeof(uri));
    REFUSED(uri, APR_EACCES, "is not known", "@cert-authority", "echo '");
}

Test(sftp_login, hashed_names_are_known)
{
    char known[96];
    snprintf(known, sizeof(known), "%s/known_hosts", sshd.dir);
    cr_assert(run_shell("ssh-keygen -q -H -f %s >%s/out 2>&1", known, sshd.dir));
    sshd_uri(&sshd, 0, "/tmp", "", uri, sizeof(uri));
    cr_expect(is_let_in(uri), "%s", err);
}

Test(sftp_login, the_server_shows_the_kind_of_key_that_is_known)
{
    char more[256], line[512], path[96];
    cr_assert(run_shell("ssh-keygen -q -t ecdsa -N '' -f %s/second%s", sshd.dir, ""));
    snprintf(path, sizeof(path), "%s/sshd_config", sshd.dir);
    FILE *file = fopen(path, "ae"); /* read by the sshd of each connection */
    cr_assert_not_null(file);
    fprintf(file, "HostKey %s/second\n", sshd.dir);
    cr_assert_eq(fclose(file), 0);
    snprintf(path, sizeof(path), "%s/second.pub", sshd.dir);
    file = fopen(path, "re");
    cr_assert_not_null(file);
    cr_assert_not_null(fgets(more, sizeof(more), file));
    (void)fclose(file); /* it was read only */
    snprintf(line, sizeof(line), "[127.0.0.1]:%d %s", sshd.port, more);
    write_line("known_hosts", line);
    sshd_uri(&sshd, 0, "/tmp", "", uri, sizeof(uri));
    cr_expect(is_let_in(uri), "%s", err);
}

Test(sftp_login, a_key_that_is_not_accepted_is_named)
{
    char text[512];
    cr_assert(run_shell("ssh-keygen -q -t ed25519 -N '' -f %s/other%s", sshd.dir, ""));
    snprintf(text, sizeof(text),
             "sftp://127.0.0.1:%d/tmp?known_hosts=%s/known_hosts&identity=%s/other", sshd.port,
             sshd.dir, sshd.dir);
    REFUSED(text, APR_EACCES, "does not let", "/other was refused", "identity=", "ssh-copy-id");
    snprintf(text, sizeof(text),
             "sftp://127.0.0.1:%d/tmp?known_hosts=%s/known_hosts&identity=%s/none", sshd.port,
             sshd.dir, sshd.dir);
    REFUSED(text, APR_EACCES, "/none is not there");
    snprintf(text, sizeof(text), "sftp://127.0.0.1:%d/tmp?known_hosts=%s/known_hosts", sshd.port,
             sshd.dir);
    REFUSED(text, APR_EACCES, "no agent", "SSH_AUTH_SOCK is not set");
    setenv("SSH_AUTH_SOCK", "/tmp/nobody-listens-here", 1);
    REFUSED(text, APR_EACCES, "the agent does not answer");
}

Test(sftp_login, a_key_of_the_agent_is_used)
{
    char text[256], socket_name[96];
    snprintf(socket_name, sizeof(socket_name), "%s/agent", sshd.dir);
    pid_t pid = fork();
    if (pid == 0) {
        execlp("ssh-agent", "ssh-agent", "-D", "-a", socket_name, NULL);
        _exit(127);
    }
    for (int i = 0; i < 1000 && access(socket_name, F_OK) != 0; i++)
        usleep(10000);
    setenv("SSH_AUTH_SOCK", socket_name, 1);
    snprintf(text, sizeof(text), "sftp://127.0.0.1:%d/tmp?known_hosts=%s/known_hosts", sshd.port,
             sshd.dir);
    REFUSED(text, APR_EACCES, "the agent has no key");
    cr_assert(run_shell("ssh-add -q %s/user 2>%s/out", sshd.dir, sshd.dir));
    cr_expect(is_let_in(text), "%s", err);
    kill(pid, SIGTERM);
    waitpid(pid, NULL, 0);
}

Test(sftp_login, an_encrypted_key_is_opened_by_the_secret)
{
    char text[512];
    cr_assert(run_shell("cp %s/user %s/locked", sshd.dir, sshd.dir));
    cr_assert(
        run_shell("ssh-keygen -q -p -P '' -N geheim -f %s/locked >%s/out", sshd.dir, sshd.dir));
    snprintf(text, sizeof(text),
             "sftp://127.0.0.1:%d/tmp?known_hosts=%s/known_hosts&identity=%s/locked", sshd.port,
             sshd.dir, sshd.dir);
    REFUSED(text, APR_EACCES, "/locked cannot be used", "secret_file");
    setenv("CACHEFS_SECRET", "wrong", 1);
    REFUSED(text, APR_EACCES, "/locked cannot be used");
    cr_expect_null(strstr(err, "wrong"), "%s", err);
    setenv("CACHEFS_SECRET", "geheim", 1);
    cr_expect(is_let_in(text), "%s", err);
    unsetenv("CACHEFS_SECRET");
    write_line("secret", "geheim\n");
    snprintf(text + strlen(text), sizeof(text) - strlen(text), "&secret_file=%s/secret", sshd.dir);
    cr_expect(is_let_in(text), "%s", err);
}

Test(sftp_login, a_wrong_user_a_wrong_host_and_a_wrong_directory_are_named)
{
    char text[512];
    snprintf(text, sizeof(text),
             "sftp://nobody-here@127.0.0.1:%d/tmp?known_hosts=%s/known_hosts&identity=%s/user",
             sshd.port, sshd.dir, sshd.dir);
    REFUSED(text, APR_EACCES, "'nobody-here'", "right user");
    REFUSED("sftp://no-such-host.invalid/tmp", VFS_EOFFLINE, "no host no-such-host.invalid");
    sshd_uri(&sshd, 0, "/no/such/directory", "", uri, sizeof(uri));
    REFUSED(uri, APR_ENOENT, "/no/such/directory");
    sshd_uri(&sshd, 0, "/etc/passwd", "", uri, sizeof(uri));
    REFUSED(uri, APR_FROM_OS_ERROR(ENOTDIR), "/etc/passwd is no directory");
}

Test(sftp_login, where_nobody_listens_that_is_said)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    char text[64];
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* bound, but it does not listen */
    cr_assert_eq(bind(fd, (struct sockaddr *)&at, len), 0);
    cr_assert_eq(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    snprintf(text, sizeof(text), "sftp://127.0.0.1:%d/tmp", ntohs(at.sin_port));
    REFUSED(text, VFS_EOFFLINE, "Connection refused", "does sshd run");
    close(fd);
}

Test(sftp_login, a_uri_that_is_wrong_is_explained)
{
    REFUSED("sftp://joe:geheim@host/dir", APR_EINVAL, "CACHEFS_SECRET", "secret_file");
    cr_expect_null(strstr(err, "geheim"), "%s", err);
    REFUSED("sftp://host/dir?colour=red", APR_EINVAL, "colour", "identity", "known_hosts");
    REFUSED("sftp://host/dir?connections=0", APR_EINVAL, "connections", "1 to 64");
    REFUSED("sftp://host/dir?stall_timeout=soon", APR_EINVAL, "10s");
    REFUSED("sftp://host:70000/dir", APR_EINVAL, "65535");
    REFUSED("sftp:///dir", APR_EINVAL, "sftp://[USER@]HOST");
    REFUSED("sftp://host/%zz", APR_EINVAL, "hexadecimal");
}

Test(sftp_login, a_directory_of_the_home_is_named_by_a_tilde)
{
    vfs_t *fs = NULL;
    vfs_attr_t attr;
    sshd_uri(&sshd, 0, "/~", "", uri, sizeof(uri));
    cr_assert_eq(vfs_sftp_create(&fs, uri, err, sizeof(err), pool), APR_SUCCESS, "%s", err);
    cr_expect_eq(vfs_stat(fs, NULL, "/", &attr), APR_SUCCESS);
    cr_expect_eq(attr.type, VFS_TYPE_DIR);
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
}

Test(sftp_login, what_an_extension_carries_is_in_the_caps)
{
    vfs_t *fs = NULL;
    sshd_uri(&sshd, 0, "/tmp", "", uri, sizeof(uri));
    cr_assert_eq(vfs_sftp_create(&fs, uri, err, sizeof(err), pool), APR_SUCCESS, "%s", err);
    const vfs_caps_t *caps = vfs_caps(fs);
    cr_expect(caps->bits & VFS_CAP_ATOMIC_RENAME);
    cr_expect(caps->bits & VFS_CAP_SYNC);
    cr_expect(caps->bits & VFS_CAP_SYMLINK);
    cr_expect(!(caps->bits & (VFS_CAP_HARDLINK | VFS_CAP_STABLE_ID | VFS_CAP_CONFINED)));
    cr_expect_gt(caps->round_trip_us, 0);
    cr_expect_eq(vfs_destroy(fs), APR_SUCCESS);
}
