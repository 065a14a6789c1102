/*
 * listing.c - open directories: all names are read at open, with many requests in flight; the rest
 * is memory. Floor 2. A cookie is the place of an entry among the sorted names. Names come from
 * outside: only what is one component is taken.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/sftp/sftp.h"

#define FIRST_ROUND 2u /* requests: most directories are small */
#define ROUND_MAX 32u

typedef struct sftp_entry_t {
    char *name;
    size_t len;
    sftp_attrs_t attrs;
} sftp_entry_t;

typedef struct sftp_dir_t {
    vfs_dir_t base;
    sftp_entry_t *entries;
    size_t count, room, at;
    int direct; /* no link was followed to come here */
    char path[];
} sftp_dir_t;

static void names_free(sftp_dir_t *dir)
{
    for (size_t i = 0; i < dir->count; i++)
        free(dir->entries[i].name);
    free(dir->entries);
    dir->entries = NULL;
    dir->count = dir->room = 0;
}

static int is_component(const uint8_t *name, size_t len)
{
    if (len == 0 || len > VFS_NAME_MAX) return 0;
    if (memchr(name, '/', len) != NULL || memchr(name, '\0', len) != NULL) return 0;
    return !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

static apr_status_t add(sftp_dir_t *dir, const uint8_t *name, size_t len, const sftp_attrs_t *attrs)
{
    if (!is_component(name, len)) return APR_SUCCESS;
    if (dir->count == SFTP_NAMES_MAX) return VFS_ELIMIT;
    if (dir->count == dir->room) {
        size_t room = dir->room > 0 ? 2 * dir->room : 64;
        sftp_entry_t *entries = realloc(dir->entries, room * sizeof(*entries));
        if (entries == NULL) return APR_ENOMEM;
        dir->entries = entries;
        dir->room = room;
    }
    sftp_entry_t *entry = &dir->entries[dir->count];
    entry->name = strndup((const char *)name, len);
    if (entry->name == NULL) return APR_ENOMEM;
    entry->len = len;
    entry->attrs = *attrs;
    dir->count++;
    return APR_SUCCESS;
}

static apr_status_t take_names(const sftp_call_t *c, size_t n, sftp_dir_t *dir)
{
    sftp_attrs_t attrs;
    sftp_in_t in;
    size_t len = 0, unused = 0;
    apr_status_t status = sftp__reply(c, n, FXP_NAME, &in);
    if (status != APR_SUCCESS) return status;
    uint32_t count = sftp__in_32(&in);
    if (count == 0) return VFS_EFORMAT; /* it could go on like that for ever */
    for (; count > 0 && status == APR_SUCCESS && !in.bad; count--) {
        const uint8_t *name = sftp__in_text(&in, &len);
        (void)sftp__in_text(&in, &unused); /* as `ls -l` would show it */
        sftp__in_attrs(&in, &attrs);
        if (!in.bad) status = add(dir, name, len, &attrs);
    }
    return in.bad ? VFS_EFORMAT : status;
}

static apr_status_t read_names(sftp_call_t *c, const uint8_t *handle, size_t len, sftp_dir_t *dir)
{
    apr_status_t status = APR_SUCCESS;
    for (size_t round = FIRST_ROUND; status == APR_SUCCESS;
         round = round * 2 < ROUND_MAX ? round * 2 : ROUND_MAX) {
        for (size_t i = 0; i < round; i++)
            sftp__ask_handle(c, FXP_READDIR, handle, len);
        status = sftp__wait(c);
        for (size_t i = 0; i < round && status == APR_SUCCESS; i++)
            status = take_names(c, i, dir);
    }
    return status == APR_EOF ? APR_SUCCESS : status;
}

static apr_status_t why_not_list(sftp_call_t *c, const char *path, apr_status_t status)
{
    vfs_attr_t attr;
    status = sftp__why_path(c, path, status, 1);
    if (!APR_STATUS_IS_ENOENT(status) && status != APR_FROM_OS_ERROR(EIO)) return status;
    sftp__ask_path(c, FXP_STAT, path);
    if (sftp__wait(c) != APR_SUCCESS || sftp__reply_attr(c, 0, &attr) != APR_SUCCESS) return status;
    return attr.type != VFS_TYPE_DIR ? APR_FROM_OS_ERROR(ENOTDIR) : status;
}

static apr_status_t list(sftp_call_t *c, void *baton)
{
    sftp_dir_t *dir = baton;
    const char *path = dir->path;
    uint8_t handle[SFTP_HANDLE_MAX];
    const uint8_t *real = NULL;
    size_t len = 0, real_len = 0, base = strlen(c->session->base), path_len = strlen(path);
    names_free(dir); /* of an attempt before */
    sftp__ask_path(c, FXP_OPENDIR, path);
    sftp__ask_path(c, FXP_REALPATH, path);
    apr_status_t status = sftp__wait(c);
    if (status != APR_SUCCESS) return status;
    status = sftp__reply_handle(c, 0, handle, &len);
    dir->direct = path_len == 1;
    if (sftp__reply_name(c, 1, &real, &real_len) == APR_SUCCESS && real_len == base + path_len)
        dir->direct =
            memcmp(real, c->session->base, base) == 0 && memcmp(real + base, path, path_len) == 0;
    if (status != APR_SUCCESS) return why_not_list(c, path, status);
    status = read_names(c, handle, len, dir);
    if (status == SFTP_LOST) return status;
    sftp__drop_handle(c, handle, len);
    (void)sftp__wait(c); /* the answer is there */
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const sftp_entry_t *)a)->name, ((const sftp_entry_t *)b)->name);
}

/* Sorted, each once: a name that was renamed meanwhile can have come twice. */
static void settle(sftp_dir_t *dir)
{
    size_t kept = 0;
    if (dir->count == 0) return;
    qsort(dir->entries, dir->count, sizeof(*dir->entries), by_name);
    for (size_t i = 1; i < dir->count; i++) {
        if (strcmp(dir->entries[i].name, dir->entries[kept].name) == 0)
            free(dir->entries[i].name);
        else
            dir->entries[++kept] = dir->entries[i];
    }
    dir->count = kept + 1;
}

static apr_status_t load(sftp_dir_t *dir, sftp_t *f, const vfs_ctx_t *ctx)
{
    apr_status_t status = sftp__run(f, ctx, SFTP_AGAIN, list, dir);
    if (status == APR_SUCCESS)
        settle(dir);
    else
        names_free(dir);
    dir->at = 0;
    return status;
}

apr_status_t sftp__opendir(vfs_dir_t **out, vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                           uint32_t flags)
{
    sftp_dir_t *dir = calloc(1, sizeof(*dir) + path->len + 1);
    if (dir == NULL) return APR_ENOMEM;
    memcpy(dir->path, path->str, path->len);
    apr_status_t status = load(dir, fs->state, ctx);
    if (status != APR_SUCCESS) {
        free(dir);
        return status;
    }
    vfs_dir_init(&dir->base, fs, flags, NULL);
    *out = &dir->base;
    return APR_SUCCESS;
}

apr_status_t sftp__closedir(vfs_dir_t *base)
{
    sftp_dir_t *dir = (sftp_dir_t *)base;
    names_free(dir);
    free(dir);
    return APR_SUCCESS;
}

apr_status_t sftp__readdir(vfs_dir_t *base, const vfs_ctx_t *ctx, vfs_dirent_t *entry)
{
    sftp_dir_t *dir = (sftp_dir_t *)base;
    (void)ctx;
    if (dir->at == dir->count) return APR_EOF;
    const sftp_entry_t *from = &dir->entries[dir->at++];
    entry->name = from->name;
    entry->name_len = from->len;
    entry->cookie = dir->at;
    entry->has_attr = sftp__attr(&entry->attr, &from->attrs);
    entry->type = entry->has_attr ? entry->attr.type : VFS_TYPE_UNKNOWN;
    if (!entry->has_attr) return APR_SUCCESS;
    if (dir->direct) entry->attr.flags |= VFS_ATTR_DIRECT;
    sftp__version(base->fs->state, &entry->validator, &entry->attr);
    return APR_SUCCESS;
}

apr_status_t sftp__seekdir(vfs_dir_t *base, const vfs_ctx_t *ctx, uint64_t cookie)
{
    sftp_dir_t *dir = (sftp_dir_t *)base;
    if (cookie == 0 && dir->at > 0) return load(dir, base->fs->state, ctx); /* as it is now */
    if (cookie > dir->count) return APR_EINVAL;
    dir->at = (size_t)cookie;
    return APR_SUCCESS;
}
