/*
 * support_dav.c - see support_dav.h. Floor 4: test support.
 */
#include "tests/remote/support_dav.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_general.h>

#include <criterion/criterion.h>

static const struct {
    const char *name;
    webserver_start_fn start;
} servers[DAV_SERVERS] = {
    {"nginx", nginx_start}, {"Apache", apache_start}, {"lighttpd", lighttpd_start}};

void dav_start(dav_t *dav, size_t i, const char *options)
{
    memset(dav, 0, sizeof(*dav));
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&dav->pool, NULL), APR_SUCCESS);
    dav->name = servers[i].name;
    snprintf(dav->root, sizeof(dav->root), "/tmp/cachefs-dav-XXXXXX");
    cr_assert_not_null(mkdtemp(dav->root));
    cr_assert_eq(chmod(dav->root, 0777), 0);
    cr_assert_neq(servers[i].start(&dav->web, dav->root, "", WEBSERVER_DAV), 0, "%s", dav->name);
    cr_assert_eq(dav_open(dav, &dav->fs, dav->web.port, options), APR_SUCCESS, "%s: %s", dav->name,
                 dav->err);
}

apr_status_t dav_open(dav_t *dav, vfs_t **fs, int port, const char *options)
{
    char uri[256];
    snprintf(uri, sizeof(uri), "dav://127.0.0.1:%d/?proxy=none%s%s", port,
             options[0] != '\0' ? "&" : "", options);
    return vfs_webdav_create(fs, uri, dav->err, sizeof(dav->err), dav->pool);
}

void dav_stop(dav_t *dav)
{
    if (dav->fs != NULL) cr_expect_eq(vfs_destroy(dav->fs), APR_SUCCESS);
    webserver_stop(&dav->web);
    const char *const argv[] = {"rm", "-rf", dav->root, NULL};
    cr_expect_neq(webserver__run(argv), 0);
    apr_pool_destroy(dav->pool);
}

static apr_status_t from_text(void *baton, void *buf, size_t len, apr_off_t off)
{
    memcpy(buf, (const char *)baton + off, len);
    return APR_SUCCESS;
}

apr_status_t dav_put(vfs_t *fs, const char *path, const char *text, uint32_t flags,
                     vfs_validator_t *version)
{
    const vfs_source_t source = {from_text, (void *)text, strlen(text)};
    vfs_commit_t how = VFS_COMMIT_INIT;
    how.flags = flags;
    if (version != NULL && (flags & VFS_COMMIT_IF_MATCH)) how.expected = *version;
    return vfs_commit(fs, NULL, path, &source, &how, NULL, version);
}

int dav_holds(dav_t *dav, const char *path, const char *text)
{
    char *data = NULL;
    size_t len = 0;
    apr_status_t status = vfs_read_file(&data, &len, dav->fs, NULL, path, 0, dav->pool);
    return status == APR_SUCCESS && len == strlen(text) && memcmp(data, text, len) == 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

const char *dav_on_disk(const dav_t *dav, const char *dir)
{
    static char out[4096];
    char path[320], *names[64];
    size_t count = 0;
    snprintf(path, sizeof(path), "%s%s", dav->root, dir);
    DIR *open = opendir(path);
    if (open == NULL) return "(none)";
    for (struct dirent *e = readdir(open); e != NULL && count < 64; e = readdir(open))
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 &&
            strcmp(e->d_name, ".DAV") != 0) /* Apache's own */
            names[count++] = strdup(e->d_name);
    (void)closedir(open); /* it was read only */
    qsort(names, count, sizeof(names[0]), by_name);
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(out);
        snprintf(out + len, sizeof(out) - len, "%s ", names[i]);
        free(names[i]);
    }
    return out;
}

void dav_shell(const dav_t *dav, const char *command)
{
    char line[1024];
    snprintf(line, sizeof(line), "cd '%s' && umask 0 && %s", dav->root, command);
    const char *const argv[] = {"sh", "-c", line, NULL};
    cr_assert_neq(webserver__run(argv), 0, "%s", command);
}
