/*
 * support_rig.c - see support_rig.h. Floor 4: test support.
 */
#include "tests/sftp/support_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>

#include <criterion/criterion.h>

void rig_put(const rig_t *rig, const char *name, const void *data, size_t len)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", rig->root, name);
    FILE *file = fopen(path, "we");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(data, 1, len, file), len);
    cr_assert_eq(fclose(file), 0);
}

int rig_has(const rig_t *rig, const char *name)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", rig->root, name);
    return access(path, F_OK) == 0;
}

static void touch(const rig_t *rig, const char *behind)
{
    char name[96];
    snprintf(name, sizeof(name), "%s%s", rig->flag, behind);
    FILE *file = fopen(name, "we");
    cr_assert_not_null(file);
    cr_assert_eq(fclose(file), 0);
}

void rig_again(rig_t *rig)
{
    touch(rig, "");
}

void rig_log(const rig_t *rig)
{
    touch(rig, ".log");
}

void rig_cut(const rig_t *rig)
{
    touch(rig, ".end");
}

int rig_was_cut(const rig_t *rig)
{
    char name[96];
    snprintf(name, sizeof(name), "%s.end", rig->flag);
    return access(name, F_OK) != 0;
}

int rig_logged(const rig_t *rig, const char *what, const char *name)
{
    char line[512], want[256], path[96];
    int n = 0;
    snprintf(path, sizeof(path), "%s.log", rig->flag);
    snprintf(want, sizeof(want), "%s %s%s%s", what, name != NULL ? rig->root : "",
             name != NULL ? name : "", name != NULL ? "\n" : "");
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file);
    while (fgets(line, sizeof(line), file) != NULL)
        n += name != NULL ? strcmp(line, want) == 0 : strncmp(line, want, strlen(want)) == 0;
    (void)fclose(file); /* it was read only */
    return n;
}

void rig_ask_anew(const rig_t *rig)
{
    touch(rig, ".asked");
}

void rig_asked(const rig_t *rig, char *out, size_t size)
{
    char path[96];
    size_t len = 0;
    snprintf(path, sizeof(path), "%s.asked", rig->flag);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file);
    out[0] = '\0';
    while (len + 2 < size && fgets(out + len, (int)(size - len - 1), file) != NULL) {
        len = strcspn(out, "\n");
        strcpy(out + len, "; ");
        len += 2;
    }
    if (len > 0) out[len - 2] = '\0';
    (void)fclose(file); /* it was read only */
}

int rig_all_closed(const rig_t *rig)
{
    for (int i = 0; i < 1000; i++) {
        if (rig_logged(rig, "open", NULL) == rig_logged(rig, "close", NULL)) return 1;
        usleep(10000);
    }
    return 0;
}

void rig_start(rig_t *rig, const char *how, int which, int once)
{
    char line[256];
    memset(rig, 0, sizeof(*rig));
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&rig->pool, NULL), APR_SUCCESS);
    unsetenv("CACHEFS_SECRET");
    strcpy(rig->root, "/tmp/cachefs-rig-XXXXXX");
    cr_assert_not_null(mkdtemp(rig->root));
    snprintf(rig->flag, sizeof(rig->flag), "%s.flag", rig->root);
    rig->bytes = malloc(RIG_BYTES);
    uint32_t x = 1;
    for (size_t i = 0; i < RIG_BYTES; i++) {
        x = x * 1664525u + 1013904223u;
        rig->bytes[i] = (char)(x >> 24);
    }
    rig_put(rig, "big", rig->bytes, RIG_BYTES);
    if (once == 1) rig_again(rig);
    snprintf(line, sizeof(line), "Subsystem sftp %s %s %d %s", SPOILER, how != NULL ? how : "",
             which, once ? rig->flag : "");
    cr_assert(sshd_start(&rig->sshd, how != NULL ? line : NULL), "is openssh-server installed?");
}

void rig_stop(rig_t *rig)
{
    char command[512];
    sshd_stop(&rig->sshd);
    snprintf(command, sizeof(command), "rm -rf %s %s %s.log %s.end %s.asked", rig->root, rig->flag,
             rig->flag, rig->flag, rig->flag);
    cr_expect_eq(system(command), 0);
    free(rig->bytes);
    apr_pool_destroy(rig->pool);
}

apr_status_t rig_open(rig_t *rig, vfs_t **fs, int port, const char *more)
{
    char uri[1024];
    *fs = NULL;
    if (port != 0) cr_assert(sshd_know(&rig->sshd, port));
    sshd_uri(&rig->sshd, port, rig->root, more, uri, sizeof(uri));
    return vfs_sftp_create(fs, uri, rig->err, sizeof(rig->err), rig->pool);
}

vfs_t *rig_fs(rig_t *rig, int port, const char *more)
{
    vfs_t *fs = NULL;
    cr_assert_eq(rig_open(rig, &fs, port, more), APR_SUCCESS, "%s", rig->err);
    return fs;
}

apr_status_t rig_read_big(const rig_t *rig, vfs_t *fs)
{
    char *buf = malloc(RIG_BYTES + 1);
    vfs_file_t *file = NULL;
    size_t got = 0;
    apr_status_t status = vfs_open(&file, fs, NULL, "/big", VFS_O_READ, 0, NULL, NULL);
    if (status == APR_SUCCESS) {
        status = vfs_read_at(file, NULL, buf, RIG_BYTES + 1, 0, &got);
        cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
    }
    if (status == APR_SUCCESS) {
        cr_expect_eq(got, RIG_BYTES);
        cr_expect_eq(memcmp(buf, rig->bytes, got), 0);
    } else {
        cr_expect_eq(got, 0);
    }
    free(buf);
    return status;
}

/* libssh2 1.10 forgets parts of a key exchange that was cut off: a connection that breaks there
 * costs some hundred bytes. The stacks of its allocations end in libcrypto. */
VFS_API const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libcrypto\n";
}
