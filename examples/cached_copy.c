/*
 * cached_copy.c - copies one file of an origin twice, through a cache: the second time nothing is
 * asked of the origin.
 *
 * usage: cached_copy ORIGIN PATH DEST       such as: cached_copy file:///usr/include /stdio.h
 * /tmp/stdio.h
 */
#include <errno.h>
#include <stdio.h>

#include <apr_general.h>

#include "backends/backends.h"
#include "cachefs/cachefs.h"
#include "vfs/shims/shims.h"

/* The layers, from below; ended from the top. */
typedef struct layers_t {
    vfs_t *origin, *count, *cache;
} layers_t;

static apr_status_t build(layers_t *stack, const char *uri, char *err, size_t errlen,
                          apr_pool_t *pool)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    config.ram_bytes = 64u << 20;
    config.attr_ttl_us = 60000000; /* trust what is known for a minute */
    apr_status_t status = vfs_backends_register_all();
    if (status == APR_SUCCESS) status = vfs_open_uri(&stack->origin, uri, err, errlen, pool);
    /* a layer that counts, to see what reaches the origin */
    if (status == APR_SUCCESS) status = vfs_count_create(&stack->count, stack->origin, pool);
    if (status == APR_SUCCESS)
        status = cachefs_create(&stack->cache, stack->count, &config, err, errlen, pool);
    return status;
}

/* Read the whole file through the cache, into a file of the operating system. */
static apr_status_t copy(vfs_t *fs, const char *path, const char *dest)
{
    char buf[65536];
    size_t got = sizeof(buf);
    apr_status_t closed, status;
    vfs_file_t *file = NULL;
    FILE *out = fopen(dest, "wb");
    if (out == NULL) return APR_FROM_OS_ERROR(errno);
    status = vfs_open(&file, fs, NULL, path, VFS_O_READ, 0, NULL, NULL);
    /* fewer bytes than asked for mean the end of the file, and only that */
    while (status == APR_SUCCESS && got == sizeof(buf)) {
        status = vfs_read(file, NULL, buf, sizeof(buf), &got);
        if (status == APR_SUCCESS && fwrite(buf, 1, got, out) != got)
            status = APR_FROM_OS_ERROR(errno);
    }
    if (file != NULL) {
        closed = vfs_close(file, NULL);
        if (status == APR_SUCCESS) status = closed;
    }
    if (fclose(out) != 0 && status == APR_SUCCESS) status = APR_FROM_OS_ERROR(errno);
    return status;
}

static apr_status_t copy_twice(const layers_t *stack, const char *path, const char *dest)
{
    for (int pass = 1; pass <= 2; pass++) {
        vfs_counts_t counts;
        vfs_count_reset(stack->count);
        apr_status_t status = copy(stack->cache, path, dest);
        if (status != APR_SUCCESS) return status;
        vfs_count_get(stack->count, &counts);
        printf("copy %d: %llu requests to the origin, %llu bytes from it\n", pass,
               (unsigned long long)vfs_counts_requests(&counts),
               (unsigned long long)counts.bytes_read);
        if (pass == 2 && counts.bytes_read != 0)
            return APR_EGENERAL; /* this is what a cache is for */
    }
    return APR_SUCCESS;
}

int main(int argc, char **argv)
{
    layers_t stack = {NULL, NULL, NULL};
    apr_pool_t *pool = NULL;
    char err[256] = "", text[256];
    if (argc != 4) {
        fprintf(stderr, "usage: cached_copy ORIGIN PATH DEST\n");
        return 2;
    }
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS) return 4;
    apr_status_t status = build(&stack, argv[1], err, sizeof(err), pool);
    if (status == APR_SUCCESS) status = copy_twice(&stack, argv[2], argv[3]);
    if (status != APR_SUCCESS)
        fprintf(stderr, "cached_copy: %s\n",
                err[0] != '\0' ? err : vfs_strerror(status, text, sizeof(text)));
    if (stack.cache != NULL)
        (void)vfs_destroy_stack(stack.cache); /* nothing was written: there is nothing to lose */
    apr_pool_destroy(pool);
    apr_terminate();
    return status == APR_SUCCESS ? 0 : 1;
}
