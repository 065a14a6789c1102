/*
 * dir.c - open directories of the local backend: entries in blocks of 32 KiB, whatever the size of
 * the directory, and cookies that are the system's own. Floor 2.
 */
#include "backends/local/local.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 32768u

typedef struct local_dir_t {
    vfs_dir_t base;
    int fd;
    int attrs;       /* the caller may look at the entries, and wants them looked at */
    uint32_t direct; /* VFS_ATTR_DIRECT or 0, for the entries */
    size_t pos;
    size_t len;
    _Alignas(8) char block[BLOCK_BYTES];
} local_dir_t;

apr_status_t local__opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                            const vfs_path_t *path, uint32_t flags)
{
    local_t *self = local__of(fs);
    port_creds_t creds;
    int direct;
    local_dir_t *own = malloc(sizeof(*own));
    if (own == NULL) return APR_ENOMEM;
    apr_status_t status = port__creds_enter(&self->root, ctx, &creds);
    if (status == APR_SUCCESS) {
        status = port__open(&self->root, path->str, VFS_O_DIRECTORY, &own->fd, &direct);
        /* Once, here: asking as the caller for each entry would cost eight more calls. */
        own->attrs = status == APR_SUCCESS && (flags & VFS_DIR_ATTRS) &&
                     port__access(own->fd, VFS_ACCESS_EXEC) == APR_SUCCESS;
        port__creds_leave(&creds);
    }
    if (status != APR_SUCCESS) {
        free(own);
        return status;
    }
    own->direct = direct ? VFS_ATTR_DIRECT : 0;
    own->pos = own->len = 0;
    vfs_dir_init(&own->base, fs, flags, NULL);
    *dir = &own->base;
    return APR_SUCCESS;
}

apr_status_t local__closedir(vfs_dir_t *dir)
{
    local_dir_t *own = (local_dir_t *)dir;
    port__close(own->fd);
    free(own);
    return APR_SUCCESS;
}

static int is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* An entry that has gone meanwhile is handed out without attributes: it was there when the
 * directory was read. */
static void add_attr(local_dir_t *own, vfs_dirent_t *entry)
{
    int64_t asked_ns = own->attrs ? vfs_now_ns() : 0;
    if (!own->attrs || port__statat(own->fd, entry->name, &entry->attr) != APR_SUCCESS) return;
    entry->attr.flags |= own->direct;
    entry->has_attr = 1;
    local__validate(&entry->attr, asked_ns, &entry->validator);
    entry->type = entry->attr.type;
    entry->ino = entry->attr.ino; /* of what is mounted there, if anything is */
}

apr_status_t local__readdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, vfs_dirent_t *entry)
{
    local_dir_t *own = (local_dir_t *)dir;
    port_dirent_t raw;
    (void)ctx; /* the right to read was checked by opendir */
    do {
        if (own->pos == own->len) {
            own->pos = 0;
            apr_status_t status = port__getdents(own->fd, own->block, BLOCK_BYTES, &own->len);
            if (status != APR_SUCCESS) own->len = 0;
            if (status != APR_SUCCESS) return status;
            if (own->len == 0) return APR_EOF;
        }
        port__dirent(own->block, &own->pos, &raw);
        VFS_ASSERT(own->pos <= own->len);
    } while (is_dots(raw.name));
    entry->name = raw.name;
    entry->name_len = strlen(raw.name);
    entry->type = raw.type;
    entry->ino = raw.ino;
    entry->cookie = raw.cookie;
    add_attr(own, entry);
    return APR_SUCCESS;
}

apr_status_t local__seekdir(vfs_dir_t *dir, const vfs_ctx_t *ctx, uint64_t cookie)
{
    local_dir_t *own = (local_dir_t *)dir;
    (void)ctx; /* moves a position */
    apr_status_t status = port__seekdir(own->fd, cookie);
    if (status == APR_SUCCESS) own->pos = own->len = 0;
    return status;
}
