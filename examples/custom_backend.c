/*
 * custom_backend.c - a backend of your own: a read-only file system whose files are strings of this
 * program, with a scheme
 * ("poem:") that anybody can then open. The same ops, in a shared object that exports
 * vfs_plugin_init, are a plug-in.
 *
 * usage: custom_backend
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>

#include "cachefs/cachefs.h"
#include "vfs/vfs_ops.h"

typedef struct poem_t {
    const char *name, *text;
} poem_t;

static const poem_t poems[] = {
    {"fog", "The fog comes\non little cat feet.\n"},
    {"pond", "The old pond;\na frog jumps in -\nthe sound of water.\n"},
};
#define POEMS (sizeof(poems) / sizeof(poems[0]))

/* A handle embeds the part that the library knows, as its first member. */
typedef struct poem_file_t {
    vfs_file_t base;
    const poem_t *poem;
} poem_file_t;

typedef struct poem_dir_t {
    vfs_dir_t base;
    uint64_t next;
} poem_dir_t;

/* ---- asking */

/* NULL for the root. */
static apr_status_t find(const vfs_path_t *path, const poem_t **out)
{
    *out = NULL;
    if (path->len == 1) return APR_SUCCESS;
    for (size_t i = 0; i < POEMS; i++)
        if (strcmp(path->str + 1, poems[i].name) == 0) *out = &poems[i];
    return *out != NULL ? APR_SUCCESS : APR_FROM_OS_ERROR(ENOENT);
}

/* Attributes, and what tells versions apart: ours never change. */
static void describe(const poem_t *poem, vfs_attr_t *attr, vfs_validator_t *validator)
{
    memset(attr, 0, sizeof(*attr));
    attr->flags = VFS_ATTR_DIRECT | VFS_ATTR_STABLE_ID;
    attr->type = poem != NULL ? VFS_TYPE_FILE : VFS_TYPE_DIR;
    attr->mode = poem != NULL ? 0444 : 0555;
    attr->nlink = 1;
    attr->ino = poem != NULL ? (uint64_t)(poem - poems) + 2 : 1;
    attr->size = poem != NULL ? strlen(poem->text) : 0;
    vfs_validator_from_tag(validator, VFS_VALIDATOR_VERSION, "1", 1);
}

static apr_status_t poem_stat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              vfs_attr_t *attr, vfs_validator_t *validator)
{
    const poem_t *poem = NULL;
    apr_status_t status = find(path, &poem);
    (void)fs;
    (void)ctx;
    if (status == APR_SUCCESS) describe(poem, attr, validator);
    return status;
}

/* ---- files */

static apr_status_t poem_open(vfs_file_t **out, vfs_t *fs, const vfs_ctx_t *ctx,
                              const vfs_path_t *path, uint32_t flags, uint32_t mode,
                              vfs_attr_t *attr, vfs_validator_t *validator)
{
    const poem_t *poem = NULL;
    apr_status_t status = find(path, &poem);
    (void)ctx;
    (void)mode;
    if (status != APR_SUCCESS) return status;
    if (flags & (VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC)) return APR_FROM_OS_ERROR(EROFS);
    poem_file_t *file = calloc(1, sizeof(*file));
    if (file == NULL) return APR_ENOMEM;
    vfs_file_init(&file->base, fs, flags, NULL);
    file->poem = poem;
    describe(poem, attr, validator);
    *out = &file->base;
    return APR_SUCCESS;
}

static apr_status_t poem_close(vfs_file_t *base, const vfs_ctx_t *ctx)
{
    (void)ctx;
    free(base);
    return APR_SUCCESS;
}

static apr_status_t poem_fstat(vfs_file_t *base, const vfs_ctx_t *ctx, vfs_attr_t *attr,
                               vfs_validator_t *validator)
{
    (void)ctx;
    describe(((poem_file_t *)base)->poem, attr, validator);
    return APR_SUCCESS;
}

static apr_status_t poem_read_at(vfs_file_t *base, const vfs_ctx_t *ctx, void *buf, size_t len,
                                 apr_off_t off, size_t *got)
{
    const poem_t *poem = ((poem_file_t *)base)->poem;
    (void)ctx;
    if (poem == NULL) return APR_FROM_OS_ERROR(EISDIR);
    size_t size = strlen(poem->text);
    size_t rest = (uint64_t)off < size ? size - (size_t)off : 0;
    /* fewer bytes than asked for: the end of the file */
    *got = len < rest ? len : rest;
    memcpy(buf, poem->text + size - rest, *got);
    return APR_SUCCESS;
}

/* ---- directories */

static apr_status_t poem_opendir(vfs_dir_t **out, vfs_t *fs, const vfs_ctx_t *ctx,
                                 const vfs_path_t *path, uint32_t flags)
{
    const poem_t *poem = NULL;
    apr_status_t status = find(path, &poem);
    (void)ctx;
    if (status != APR_SUCCESS) return status;
    if (poem != NULL) return APR_FROM_OS_ERROR(ENOTDIR);
    poem_dir_t *dir = calloc(1, sizeof(*dir));
    if (dir == NULL) return APR_ENOMEM;
    vfs_dir_init(&dir->base, fs, flags, NULL);
    *out = &dir->base;
    return APR_SUCCESS;
}

static apr_status_t poem_readdir(vfs_dir_t *base, const vfs_ctx_t *ctx, vfs_dirent_t *entry)
{
    poem_dir_t *dir = (poem_dir_t *)base;
    (void)ctx;
    if (dir->next >= POEMS) return APR_EOF;
    memset(entry, 0, sizeof(*entry));
    entry->name = poems[dir->next].name;
    entry->name_len = strlen(entry->name);
    entry->type = VFS_TYPE_FILE;
    entry->ino = dir->next + 2;
    entry->cookie = ++dir->next;
    return APR_SUCCESS;
}

static apr_status_t poem_seekdir(vfs_dir_t *base, const vfs_ctx_t *ctx, uint64_t cookie)
{
    (void)ctx;
    if (cookie > POEMS) return APR_EINVAL;
    ((poem_dir_t *)base)->next = cookie;
    return APR_SUCCESS;
}

static apr_status_t poem_closedir(vfs_dir_t *base)
{
    free(base);
    return APR_SUCCESS;
}

/* ---- the table, and its scheme */

/* What is not here answers APR_ENOTIMPL. */
static const vfs_ops_t poem_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "poem",
    .open = poem_open,
    .close = poem_close,
    .read_at = poem_read_at,
    .fstat = poem_fstat,
    .stat = poem_stat,
    .lstat = poem_stat, /* there are no links */
    .opendir = poem_opendir,
    .readdir = poem_readdir,
    .seekdir = poem_seekdir,
    .closedir = poem_closedir,
};

static apr_status_t poem_create(vfs_t **out, const char *uri, char *err, size_t errlen,
                                apr_pool_t *pool)
{
    static const vfs_caps_t caps = {
        .size = sizeof(vfs_caps_t),
        .bits = VFS_CAP_DIRS | VFS_CAP_STABLE_ID,
        .time_granularity_ns = 1,
        .file_size_max = INT64_MAX,
        .name_max = VFS_NAME_MAX,
    };
    if (strcmp(uri, "poem:") != 0) {
        snprintf(err, errlen, "%s: write poem: and nothing behind it", uri);
        return APR_EINVAL;
    }
    return vfs_create(out, &poem_ops, NULL, NULL, &caps, pool);
}

/* ---- using it */

static apr_status_t print_one(void *baton, const char *path, const vfs_attr_t *attr,
                              apr_status_t status)
{
    vfs_t *fs = baton;
    char *text = NULL;
    size_t len = 0;
    apr_pool_t *pool = NULL;
    if (status != APR_SUCCESS || attr->type != VFS_TYPE_FILE) return status;
    status = apr_pool_create(&pool, NULL);
    if (status != APR_SUCCESS) return status;
    status = vfs_read_file(&text, &len, fs, NULL, path, 0, pool);
    if (status == APR_SUCCESS) printf("%s, %zu bytes:\n%s", path, len, text);
    apr_pool_destroy(pool);
    return status;
}

int main(void)
{
    apr_pool_t *pool = NULL;
    vfs_t *origin = NULL, *cache = NULL;
    char err[256] = "", text[256];
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS) return 4;
    apr_status_t status = vfs_register_scheme("poem", poem_create);
    if (status == APR_SUCCESS) status = vfs_open_uri(&origin, "poem:", err, sizeof(err), pool);
    if (status == APR_SUCCESS)
        status = cachefs_create(&cache, origin, NULL, err, sizeof(err), pool);
    if (status == APR_SUCCESS) status = vfs_walk(cache, NULL, "/", print_one, cache);
    if (status != APR_SUCCESS)
        fprintf(stderr, "custom_backend: %s\n",
                err[0] != '\0' ? err : vfs_strerror(status, text, sizeof(text)));
    if (cache != NULL)
        (void)vfs_destroy_stack(cache); /* nothing was written: there is nothing to lose */
    apr_pool_destroy(pool);
    apr_terminate();
    return status == APR_SUCCESS ? 0 : 1;
}
