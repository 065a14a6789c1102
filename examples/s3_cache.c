/*
 * s3_cache.c - prints objects of a bucket, through a cache whose store is on a local disk: what was
 * read once comes from there, by this run and by those that follow, as long as the bucket says that
 * it is still the same version.
 *
 * usage: s3_cache ORIGIN STORE PATH...
 * such as: AWS_PROFILE=work s3_cache s3://bucket/reports /var/tmp/reports-cache /2024.csv
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "backends/backends.h"
#include "cachefs/cachefs.h"

/* The layers: the bucket, the store on a local disk, and the cache over both. */
typedef struct layers_t {
    vfs_t *bucket, *store, *cache;
} layers_t;

static apr_status_t build(layers_t *stack, const char *uri, const char *dir, char *err,
                          size_t errlen, apr_pool_t *pool)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    apr_status_t status = vfs_backends_register_all();
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) return APR_FROM_OS_ERROR(errno);
    if (status == APR_SUCCESS) status = vfs_open_uri(&stack->bucket, uri, err, errlen, pool);
    if (status == APR_SUCCESS) status = vfs_local_create(&stack->store, dir, pool);
    if (status != APR_SUCCESS) return status;
    config.ram_bytes = 64u << 20;
    config.attr_ttl_us = 0; /* each time it is opened it is asked for a new version */
    config.store = stack->store;
    config.store_name = dir;
    config.origin = apr_pstrndup(pool, uri, strcspn(uri, "?")); /* whose bytes are in the store */
    config.store_bytes = 1u << 30;
    return cachefs_create(&stack->cache, stack->bucket, &config, err, errlen, pool);
}

/* An object of any size, in memory of one buffer. */
static apr_status_t print(vfs_t *fs, const char *path)
{
    static char buf[1u << 20];
    vfs_file_t *file = NULL;
    size_t got = sizeof(buf);
    apr_off_t at = 0;
    apr_status_t status = vfs_open(&file, fs, NULL, path, VFS_O_READ, 0, NULL, NULL);
    if (status != APR_SUCCESS) return status;
    while (status == APR_SUCCESS && got == sizeof(buf)) {
        status = vfs_read_at(file, NULL, buf, sizeof(buf), at, &got);
        if (status == APR_SUCCESS && fwrite(buf, 1, got, stdout) != got)
            status = APR_FROM_OS_ERROR(errno);
        at += (apr_off_t)got;
    }
    apr_status_t closed = vfs_close(file, NULL);
    return status != APR_SUCCESS ? status : closed;
}

static apr_status_t tell_figures(vfs_t *bucket)
{
    vfs_remote_figures_t figures = {.size = sizeof(figures)};
    apr_status_t status = vfs_remote_figures(bucket, &figures);
    if (status == APR_SUCCESS)
        fprintf(stderr, "%llu requests, %llu bytes from the bucket\n",
                (unsigned long long)figures.requests, (unsigned long long)figures.bytes_in);
    return status;
}

static apr_status_t end(layers_t *stack)
{
    apr_status_t status = stack->cache != NULL ? vfs_destroy(stack->cache) : APR_SUCCESS;
    if (stack->store != NULL) (void)vfs_destroy(stack->store);   /* the cache has synced it */
    if (stack->bucket != NULL) (void)vfs_destroy(stack->bucket); /* nothing is open there */
    return status;
}

int main(int argc, char **argv)
{
    layers_t stack = {NULL, NULL, NULL};
    apr_pool_t *pool = NULL;
    char err[1024] = "", text[256];
    const char *what = argc > 1 ? argv[1] : "";
    if (argc < 4) {
        fprintf(stderr, "usage: s3_cache ORIGIN STORE PATH...\n");
        return 2;
    }
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS) return 4;
    apr_status_t status = build(&stack, argv[1], argv[2], err, sizeof(err), pool);
    for (int i = 3; i < argc && status == APR_SUCCESS; i++) {
        what = argv[i];
        status = print(stack.cache, argv[i]);
    }
    if (status == APR_SUCCESS) status = tell_figures(stack.bucket);
    apr_status_t ended = end(&stack);
    if (status == APR_SUCCESS) status = ended;
    if (status != APR_SUCCESS)
        fprintf(stderr, "s3_cache: %s\n",
                err[0] != '\0'
                    ? err
                    : apr_psprintf(pool, "%s: %s", what, vfs_strerror(status, text, sizeof(text))));
    apr_pool_destroy(pool);
    apr_terminate();
    return status == APR_SUCCESS ? 0 : 1;
}
