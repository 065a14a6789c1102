/*
 * support_site.c - see support_site.h. Floor 4: test support.
 */
#include "tests/remote/support_site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <criterion/criterion.h>

void site_start(site_t *site, const char *lines, int tls)
{
    site_start_with(site, nginx_start, lines, tls ? WEBSERVER_TLS : 0);
}

void site_start_with(site_t *site, webserver_start_fn start, const char *lines, int flags)
{
    char name[80];
    memset(site, 0, sizeof(*site));
    snprintf(site->root, sizeof(site->root), "/tmp/cachefs-site-XXXXXX");
    cr_assert_not_null(mkdtemp(site->root));
    cr_assert_eq(chmod(site->root, 0755), 0);
    site->bytes = malloc(SITE_BYTES);
    uint32_t x = 1;
    for (size_t i = 0; i < SITE_BYTES; i++) {
        x = x * 1664525u + 1013904223u;
        site->bytes[i] = (char)(x >> 24);
    }
    snprintf(name, sizeof(name), "%s/big", site->root);
    FILE *file = fopen(name, "we");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(site->bytes, 1, SITE_BYTES, file), SITE_BYTES);
    cr_assert_eq(fclose(file), 0);
    cr_assert_neq(start(&site->web, site->root, lines, flags), 0);
}

void site_stop(site_t *site)
{
    char name[80];
    webserver_stop(&site->web);
    snprintf(name, sizeof(name), "%s/big", site->root);
    cr_expect_eq(unlink(name), 0);
    cr_expect_eq(rmdir(site->root), 0);
    free(site->bytes);
}

apr_status_t site_read_big(const site_t *site, vfs_t *fs)
{
    char *buf = malloc(SITE_BYTES + 1);
    vfs_file_t *file = NULL;
    size_t got = 0;
    apr_status_t status = vfs_open(&file, fs, NULL, "/big", VFS_O_READ, 0, NULL, NULL);
    if (status == APR_SUCCESS) {
        status = vfs_read_at(file, NULL, buf, SITE_BYTES + 1, 0, &got);
        cr_expect_eq(vfs_close(file, NULL), APR_SUCCESS);
    }
    if (status == APR_SUCCESS) {
        cr_expect_eq(got, SITE_BYTES);
        cr_expect_eq(memcmp(buf, site->bytes, got), 0);
    } else {
        cr_expect_eq(got, 0);
    }
    free(buf);
    return status;
}
