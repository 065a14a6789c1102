/*
 * listing.c - the page of a directory: how it is read, and who understands it. Floor 2.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/http/http.h"

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

static apr_status_t understand(const http_t *h, const page_t *page, remote_names_t *names)
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

apr_status_t http__load(void *state, const vfs_ctx_t *ctx, const char *path, remote_names_t *names)
{
    http_t *h = state;
    page_t page = {NULL, 0, 0, 0};
    const remote_ask_t ask = {"GET", path, 1, NULL, page_begin, page_body, &page};
    remote_answer_t answer;
    int is_dir = 0;
    apr_status_t status = http__ask(h, ctx, &ask, &answer, &is_dir);
    if (status == APR_SUCCESS) status = remote__status(&answer);
    remote__answer_free(&answer);
    if (status == APR_SUCCESS) status = understand(h, &page, names);
    free(page.text);
    if (APR_STATUS_IS_ENOENT(status) || status == VFS_EFORMAT)
        return no_directory(h, ctx, path, status);
    return status;
}
