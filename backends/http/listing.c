/*
 * listing.c - open directories: the page of a directory is read and understood at open; the rest is
 * memory. Floor 2. A cookie is the place of an entry among the sorted names.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/http/http.h"

typedef struct http_dir_t {
    vfs_dir_t base;
    http_names_t names;
    size_t at;
    char path[];
} http_dir_t;

/* The page, as it comes. */
typedef struct page_t {
    char *text;
    size_t len, room;
    int json;
} page_t;

static apr_status_t page_begin(void *baton, const remote_answer_t *answer)
{
    page_t *page = baton;
    page->len = 0;
    page->json = strcmp(answer->type, "application/json") == 0;
    if (answer->status < 200 || answer->status > 299) return APR_SUCCESS;
    return answer->status != 200 || answer->coded || !answer->framed ? VFS_EFORMAT : APR_SUCCESS;
}

static apr_status_t page_body(void *baton, const void *data, size_t len)
{
    page_t *page = baton;
    if (page->len + len > HTTP_PAGE_MAX) return VFS_ELIMIT;
    if (page->len + len > page->room) {
        size_t room = page->room > 0 ? page->room : 16384;
        while (room < page->len + len)
            room *= 2;
        char *text = realloc(page->text, room);
        if (text == NULL) return APR_ENOMEM;
        page->text = text;
        page->room = room;
    }
    memcpy(page->text + page->len, data, len);
    page->len += len;
    return APR_SUCCESS;
}

static apr_status_t understand(const http_t *h, const page_t *page, http_names_t *names)
{
    const char *text = page->text != NULL ? page->text : "";
    if (h->listing == HTTP_LISTING_JSON || (h->listing == HTTP_LISTING_AUTO && page->json))
        return http__parse_json(names, text, page->len);
    return http__parse_page(names, text, page->len, h->listing == HTTP_LISTING_AUTO);
}

/* A server that has no such directory may have a file of that name; it may even serve that, as
 * lighttpd does. `said` is what came of the question for the directory. */
static apr_status_t no_directory(http_t *h, const vfs_ctx_t *ctx, const char *path,
                                 apr_status_t said)
{
    vfs_attr_t attr;
    vfs_validator_t validator;
    apr_status_t status = http__stat(h, ctx, path, &attr, &validator);
    if (status == APR_SUCCESS && attr.type != VFS_TYPE_DIR) return APR_FROM_OS_ERROR(ENOTDIR);
    return status == APR_SUCCESS || said == VFS_EFORMAT ? said : status;
}

static apr_status_t load(http_t *h, const vfs_ctx_t *ctx, const char *path, http_names_t *names)
{
    page_t page = {NULL, 0, 0, 0};
    const http_ask_t ask = {"GET", path, 1, NULL, page_begin, page_body, &page};
    remote_answer_t answer;
    int is_dir = 0;
    apr_status_t status = http__ask(h, ctx, &ask, &answer, &is_dir);
    if (status == APR_SUCCESS) status = remote__status(&answer);
    remote__answer_free(&answer);
    if (status == APR_SUCCESS) status = understand(h, &page, names);
    free(page.text);
    if (APR_STATUS_IS_ENOENT(status) || status == VFS_EFORMAT)
        return no_directory(h, ctx, path, status);
    if (status == APR_SUCCESS) http__names_settle(names);
    return status;
}

apr_status_t http__opendir(vfs_dir_t **out, vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                           uint32_t flags)
{
    http_t *h = fs->state;
    if (h->listing == HTTP_LISTING_OFF) return APR_ENOTIMPL;
    http_dir_t *dir = calloc(1, sizeof(*dir) + path->len + 1);
    if (dir == NULL) return APR_ENOMEM;
    memcpy(dir->path, path->str, path->len);
    apr_status_t status = load(h, ctx, dir->path, &dir->names);
    if (status != APR_SUCCESS) {
        http__names_free(&dir->names);
        free(dir);
        return status;
    }
    vfs_dir_init(&dir->base, fs, flags, NULL);
    *out = &dir->base;
    return APR_SUCCESS;
}

apr_status_t http__closedir(vfs_dir_t *base)
{
    http_dir_t *dir = (http_dir_t *)base;
    http__names_free(&dir->names);
    free(dir);
    return APR_SUCCESS;
}

/* As stat would say it; of which version is not known. */
static void describe(const http_t *h, const http_dir_t *dir, const http_entry_t *from,
                     vfs_dirent_t *entry)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t parent = {dir->path, (uint32_t)strlen(dir->path), 0, 0}, path;
    parent.hash = vfs_path_hash(parent.str, parent.len);
    if (vfs_path_join(&path, &parent, from->name, strlen(from->name), buf) != APR_SUCCESS) return;
    http__attr(h, NULL, from->type, from->size, path.str, &entry->attr);
    entry->attr.mtime_ns = entry->attr.ctime_ns = entry->attr.atime_ns = from->mtime_ns;
    entry->ino = entry->attr.ino;
    entry->has_attr = 1;
}

apr_status_t http__readdir(vfs_dir_t *base, const vfs_ctx_t *ctx, vfs_dirent_t *entry)
{
    http_dir_t *dir = (http_dir_t *)base;
    (void)ctx;
    if (dir->at == dir->names.count) return APR_EOF;
    const http_entry_t *from = &dir->names.entries[dir->at++];
    entry->name = from->name;
    entry->name_len = strlen(from->name);
    entry->type = from->type;
    entry->cookie = dir->at;
    if (from->has_attr && (base->flags & VFS_DIR_ATTRS))
        describe(base->fs->state, dir, from, entry);
    return APR_SUCCESS;
}

apr_status_t http__seekdir(vfs_dir_t *base, const vfs_ctx_t *ctx, uint64_t cookie)
{
    http_dir_t *dir = (http_dir_t *)base;
    http_names_t names = {NULL, 0, 0};
    if (cookie > dir->names.count) return APR_EINVAL;
    if (cookie == 0) {
        apr_status_t status = load(base->fs->state, ctx, dir->path, &names);
        if (status != APR_SUCCESS) {
            http__names_free(&names);
            return status;
        }
        http__names_free(&dir->names);
        dir->names = names;
    }
    dir->at = cookie;
    return APR_SUCCESS;
}
