/*
 * listing.c - open directories: all names are read at open; the rest is memory. Floor 2. A cookie
 * is the place of an entry among the sorted names.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/remote/files.h"

typedef struct remote_dir_t {
    vfs_dir_t base;
    const remote_backend_t *backend;
    remote_names_t names;
    size_t at;
    char path[];
} remote_dir_t;

static apr_status_t load(const remote_dir_t *dir, vfs_t *fs, const vfs_ctx_t *ctx,
                         remote_names_t *names)
{
    apr_status_t status = dir->backend->load(fs->state, ctx, dir->path, names);
    if (status == APR_SUCCESS)
        remote__names_settle(names);
    else
        remote__names_free(names);
    return status;
}

apr_status_t remote__opendir(const remote_backend_t *backend, vfs_dir_t **out, vfs_t *fs,
                             const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t flags)
{
    remote_dir_t *dir = calloc(1, sizeof(*dir) + path->len + 1);
    if (dir == NULL) return APR_ENOMEM;
    memcpy(dir->path, path->str, path->len);
    dir->backend = backend;
    apr_status_t status = load(dir, fs, ctx, &dir->names);
    if (status != APR_SUCCESS) {
        free(dir);
        return status;
    }
    vfs_dir_init(&dir->base, fs, flags, NULL);
    *out = &dir->base;
    return APR_SUCCESS;
}

apr_status_t remote__closedir(vfs_dir_t *base)
{
    remote_dir_t *dir = (remote_dir_t *)base;
    remote__names_free(&dir->names);
    free(dir);
    return APR_SUCCESS;
}

/* As stat would say it; the version only where the listing has it. */
static void describe(const remote_dir_t *dir, const remote_entry_t *from, vfs_dirent_t *entry)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t parent = {dir->path, (uint32_t)strlen(dir->path), 0, 0}, path;
    parent.hash = vfs_path_hash(parent.str, parent.len);
    if (vfs_path_join(&path, &parent, from->name, strlen(from->name), buf) != APR_SUCCESS) return;
    dir->backend->attr(dir->base.fs->state, NULL, from->type, from->size, path.str, &entry->attr);
    entry->attr.mtime_ns = entry->attr.ctime_ns = entry->attr.atime_ns = from->mtime_ns;
    entry->ino = entry->attr.ino;
    entry->has_attr = 1;
    if (from->etag == NULL) return;
    remote_answer_t *answer = calloc(1, sizeof(*answer));
    if (answer == NULL) return; /* then the version is asked for */
    remote__answer_tag(answer, from->etag, from->mtime_ns / 1000000000);
    remote__validator(&entry->validator, answer, &entry->attr);
    if (dir->backend->exact) entry->validator.flags &= (uint8_t)~VFS_VALIDATOR_YOUNG;
    free(answer);
}

apr_status_t remote__readdir(vfs_dir_t *base, const vfs_ctx_t *ctx, vfs_dirent_t *entry)
{
    remote_dir_t *dir = (remote_dir_t *)base;
    (void)ctx;
    if (dir->at == dir->names.count) return APR_EOF;
    const remote_entry_t *from = &dir->names.entries[dir->at++];
    entry->name = from->name;
    entry->name_len = strlen(from->name);
    entry->type = from->type;
    entry->cookie = dir->at;
    if (from->has_attr && (base->flags & VFS_DIR_ATTRS)) describe(dir, from, entry);
    return APR_SUCCESS;
}

apr_status_t remote__seekdir(vfs_dir_t *base, const vfs_ctx_t *ctx, uint64_t cookie)
{
    remote_dir_t *dir = (remote_dir_t *)base;
    remote_names_t names = {NULL, 0, 0};
    if (cookie > dir->names.count) return APR_EINVAL;
    if (cookie == 0) {
        apr_status_t status = load(dir, base->fs, ctx, &names);
        if (status != APR_SUCCESS) return status;
        remote__names_free(&dir->names);
        dir->names = names;
    }
    dir->at = cookie;
    return APR_SUCCESS;
}
