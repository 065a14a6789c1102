/*
 * list.c - what keys have in common: pages of ListObjectsV2, read as they come. Floor 2. A page
 * whose connection broke is asked for again, so what it brought so far must be forgotten. How keys
 * are encoded may be said behind them (MinIO does), so they are told when the page is whole.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/remote/xml.h"
#include "backends/s3/s3.h"

#define NS_PER_S 1000000000
#define KEY_TEXT_MAX (3 * S3_KEY_MAX + 1)
#define TOKEN_MAX 4096u
#define PAGES_MAX 100000u

/* An item of a page that is not whole. */
typedef struct s3_held_t {
    struct s3_held_t *next;
    s3_item_t item;
    char text[]; /* key, tag and class, each with a NUL */
} s3_held_t;

/* One listing. */
typedef struct s3_page_t {
    const s3_lister_t *lister;
    remote_xml_t *xml;
    const char *root; /* before each key: it is not part of what is told */
    size_t root_len;
    int depth;
    int listing, encoded, truncated;
    s3_held_t *held, **last;
    char key[KEY_TEXT_MAX], etag[REMOTE_TAG_MAX], class[64];
    char token[TOKEN_MAX];
    s3_item_t item;
} s3_page_t;

int64_t s3__time(const char *text)
{
    struct tm tm;
    memset(&tm, 0, sizeof(tm));
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (rest == NULL || tm.tm_year < 70 || tm.tm_year > 1000) return 0;
    int64_t ns = (int64_t)timegm(&tm) * NS_PER_S, unit = NS_PER_S;
    if (*rest == '.')
        for (rest++; *rest >= '0' && *rest <= '9' && unit > 1; rest++)
            ns += (*rest - '0') * (unit /= 10);
    return ns;
}

/* Undo encoding-type=url. 0: it is broken. */
static int decode(char *text)
{
    for (char *at = text; *at != '\0'; at++)
        if (*at == '+') *at = ' ';
    return remote__unescape(text);
}

static apr_status_t begin_element(void *baton, const char *space, const char *name)
{
    s3_page_t *p = baton;
    (void)space;
    if (p->depth == 0) {
        p->listing = strcmp(name, "ListBucketResult") == 0;
        if (!p->listing) return VFS_EFORMAT;
    }
    if (p->depth == 1 && (strcmp(name, "Contents") == 0 || strcmp(name, "CommonPrefixes") == 0)) {
        p->item = (s3_item_t){.key = p->key, .prefix = name[1] == 'o' && name[2] == 'm'};
        p->key[0] = p->etag[0] = p->class[0] = '\0';
    }
    p->depth++;
    return APR_SUCCESS;
}

static void copy(char *out, size_t size, const char *text, size_t len)
{
    if (len >= size) len = 0; /* too long to be any */
    memcpy(out, text, len);
    out[len] = '\0';
}

/* A key is whole. */
static apr_status_t hold(s3_page_t *p)
{
    size_t key = strlen(p->key) + 1, etag = strlen(p->etag) + 1, class = strlen(p->class) + 1;
    s3_held_t *held = malloc(sizeof(*held) + key + etag + class);
    if (held == NULL) return APR_ENOMEM;
    held->next = NULL;
    held->item = p->item;
    held->item.key = memcpy(held->text, p->key, key);
    held->item.etag = memcpy(held->text + key, p->etag, etag);
    held->item.class = memcpy(held->text + key + etag, p->class, class);
    *p->last = held;
    p->last = &held->next;
    return APR_SUCCESS;
}

static void let_go(s3_page_t *p)
{
    for (s3_held_t *held = p->held, *next; held != NULL; held = next) {
        next = held->next;
        free(held);
    }
    p->held = NULL;
    p->last = &p->held;
}

/* A key that does not begin as it was asked for is the server's mistake. */
static apr_status_t tell(const s3_page_t *p, s3_held_t *held)
{
    if (p->encoded && !decode(held->text)) return VFS_EFORMAT;
    size_t len = strlen(held->text);
    if (len == 0 || strncmp(held->text, p->root, p->root_len) != 0) return APR_SUCCESS;
    held->item.key = held->text + p->root_len;
    return p->lister->take(p->lister->baton, &held->item);
}

static apr_status_t tell_all(s3_page_t *p)
{
    apr_status_t status = APR_SUCCESS;
    for (s3_held_t *held = p->held; held != NULL && status == APR_SUCCESS; held = held->next)
        status = tell(p, held);
    let_go(p);
    return status;
}

static apr_status_t end_element(void *baton, const char *space, const char *name, const char *text,
                                size_t len)
{
    s3_page_t *p = baton;
    (void)space;
    p->depth--;
    if (p->depth == 1) {
        if (strcmp(name, "IsTruncated") == 0) p->truncated = strcmp(text, "true") == 0;
        if (strcmp(name, "EncodingType") == 0) p->encoded = strcmp(text, "url") == 0;
        if (strcmp(name, "NextContinuationToken") == 0) copy(p->token, sizeof(p->token), text, len);
        if (strcmp(name, "Contents") == 0 || strcmp(name, "CommonPrefixes") == 0) return hold(p);
        return APR_SUCCESS;
    }
    if (p->depth != 2) return APR_SUCCESS;
    if (strcmp(name, p->item.prefix ? "Prefix" : "Key") == 0)
        copy(p->key, sizeof(p->key), text, len);
    else if (strcmp(name, "ETag") == 0)
        copy(p->etag, sizeof(p->etag), text, len);
    else if (strcmp(name, "StorageClass") == 0)
        copy(p->class, sizeof(p->class), text, len);
    else if (strcmp(name, "Size") == 0)
        p->item.size = strspn(text, "0123456789") == len && len < 19 ? strtoull(text, NULL, 10) : 0;
    else if (strcmp(name, "LastModified") == 0)
        p->item.mtime_ns = s3__time(text);
    return APR_SUCCESS;
}

static apr_status_t page_begin(void *baton, const remote_answer_t *answer)
{
    s3_page_t *p = baton;
    p->depth = p->listing = p->truncated = p->encoded = 0;
    p->token[0] = '\0';
    let_go(p);
    if (p->lister->again != NULL) p->lister->again(p->lister->baton);
    if (answer->status == 200 && (answer->coded || !answer->framed)) return VFS_EFORMAT;
    return remote__xml_reset(p->xml);
}

static apr_status_t page_body(void *baton, const void *data, size_t len)
{
    return remote__xml_feed(((s3_page_t *)baton)->xml, data, len);
}

static apr_status_t page_query(const s3_page_t *p, const char *token, char *query, size_t size)
{
    char max[16];
    int good = 1;
    (void)snprintf(max, sizeof(max), "%u", p->lister->max);
    query[0] = '\0';
    if (token[0] != '\0') good &= s3__query_add(query, size, "continuation-token", token);
    if (!p->lister->deep) good &= s3__query_add(query, size, "delimiter", "/");
    good &= s3__query_add(query, size, "encoding-type", "url");
    good &= s3__query_add(query, size, "list-type", "2");
    if (p->lister->max > 0) good &= s3__query_add(query, size, "max-keys", max);
    good &= s3__query_add(query, size, "prefix", p->root);
    return good ? APR_SUCCESS : APR_ENAMETOOLONG;
}

/* One page. *more: there are others behind it. */
static apr_status_t one_page(s3_t *s, const vfs_ctx_t *ctx, s3_page_t *p, int *more)
{
    char query[3 * (TOKEN_MAX + S3_KEY_MAX) + 128], token[TOKEN_MAX];
    remote_answer_t own, *answer = &own;
    if (p->lister->answer != NULL) answer = p->lister->answer;
    memcpy(token, p->token, sizeof(token));
    apr_status_t status = page_query(p, token, query, sizeof(query));
    const s3_request_t request = {.method = "GET",
                                  .query = query,
                                  .flags = REMOTE_AGAIN,
                                  .begin = page_begin,
                                  .body = page_body,
                                  .baton = p};
    memset(answer, 0, sizeof(*answer));
    if (status == APR_SUCCESS) status = s3__do(s, ctx, &request, answer, p->lister->error);
    if (status == APR_SUCCESS) status = remote__xml_finish(p->xml);
    if (status == APR_SUCCESS) status = tell_all(p);
    if (answer == &own) remote__answer_free(answer);
    if (status != APR_SUCCESS) return status;
    if (p->lister->whole != NULL) p->lister->whole(p->lister->baton);
    *more = p->truncated && p->lister->max == 0;
    if (p->lister->cut != NULL) *p->lister->cut = p->truncated;
    /* without a token, or with the same one, it would not end */
    return *more && (p->token[0] == '\0' || strcmp(p->token, token) == 0) ? VFS_EFORMAT : status;
}

static void page_free(s3_page_t *p)
{
    remote__xml_free(p->xml);
    let_go(p);
    free(p);
}

static s3_page_t *page_new(const s3_lister_t *lister, const char *root)
{
    static const remote_xml_events_t events = {begin_element, end_element};
    s3_page_t *p = calloc(1, sizeof(*p));
    if (p == NULL) return NULL;
    p->lister = lister;
    p->root = root;
    p->root_len = strlen(root);
    p->last = &p->held;
    if (remote__xml_new(&p->xml, &events, p) == APR_SUCCESS) return p;
    free(p);
    return NULL;
}

apr_status_t s3__list(s3_t *s, const vfs_ctx_t *ctx, const char *path, const s3_lister_t *lister)
{
    char root[VFS_PATH_MAX + S3_KEY_MAX + 2];
    int more = 1;
    (void)snprintf(root, sizeof(root), "%s%s%s", s->prefix, path + 1,
                   path[1] != '\0' && !lister->near ? "/" : "");
    s3_page_t *p = page_new(lister, root);
    apr_status_t status = p != NULL ? APR_SUCCESS : APR_ENOMEM;
    for (unsigned pages = 0; status == APR_SUCCESS && more; pages++)
        status = pages < PAGES_MAX ? one_page(s, ctx, p, &more) : VFS_ELIMIT;
    if (p != NULL) page_free(p);
    return status;
}

int s3__has_path(const char *key)
{
    for (const char *at = key; *at != '\0';) {
        size_t len = strcspn(at, "/");
        if (len == 0 || (at[0] == '.' && (len == 1 || (len == 2 && at[1] == '.')))) return 0;
        at += len + (at[len] == '/');
    }
    return 1;
}

apr_status_t s3__list_text(const s3_lister_t *lister, const char *root, const char *text,
                           size_t len, size_t piece)
{
    static const remote_answer_t answer = {.status = 200, .framed = 1};
    s3_page_t *p = page_new(lister, root);
    if (p == NULL) return APR_ENOMEM;
    apr_status_t status = page_begin(p, &answer);
    for (size_t at = 0; at < len && status == APR_SUCCESS; at += piece)
        status = page_body(p, text + at, len - at < piece ? len - at : piece);
    if (status == APR_SUCCESS) status = remote__xml_finish(p->xml);
    if (status == APR_SUCCESS) status = tell_all(p);
    page_free(p);
    return status;
}

/* ---- directories */

typedef struct s3_load_t {
    remote_names_t *names;
    size_t kept;   /* names of pages that were whole */
    int there;     /* anything at all */
    int marked;    /* a marker */
    int was_there; /* likewise, by then */
} s3_load_t;

static apr_status_t load_take(void *baton, const s3_item_t *item)
{
    s3_load_t *load = baton;
    size_t len = strlen(item->key);
    load->there = 1;
    if (len == 0) load->marked = 1;
    if (item->prefix && len > 0) {
        remote_entry_t like = {.type = VFS_TYPE_DIR};
        return remote__names_add(load->names, item->key, len - 1, &like);
    }
    char *etag = (char *)(uintptr_t)item->etag; /* it is copied */
    remote_entry_t like = {.type = VFS_TYPE_FILE,
                           .has_attr = 1,
                           .size = item->size,
                           .mtime_ns = item->mtime_ns,
                           .etag = etag[0] != '\0' ? etag : NULL};
    return remote__names_add(load->names, item->key, len, &like);
}

static void load_again(void *baton)
{
    s3_load_t *load = baton;
    load->there = load->was_there;
    remote__names_cut(load->names, load->kept);
}

static void load_whole(void *baton)
{
    s3_load_t *load = baton;
    load->was_there = load->there;
    load->kept = load->names->count;
}

static s3_lister_t load_lister(s3_load_t *load)
{
    return (s3_lister_t){
        .take = load_take, .again = load_again, .whole = load_whole, .baton = load};
}

apr_status_t s3__load_text(remote_names_t *names, const char *root, const char *text, size_t len,
                           size_t piece)
{
    s3_load_t load = {.names = names};
    const s3_lister_t lister = load_lister(&load);
    return s3__list_text(&lister, root, text, len, piece);
}

/* With metadata of its own a name has attributes that no listing tells, and may be a link. */
static void forget_attrs(const s3_t *s, remote_names_t *names)
{
    for (size_t i = 0; i < names->count; i++) {
        remote_entry_t *entry = &names->entries[i];
        entry->has_attr = 0;
        if (entry->type == VFS_TYPE_FILE && s3__may_be_link(s, entry->size))
            entry->type = VFS_TYPE_UNKNOWN;
    }
}

apr_status_t s3__load(void *state, const vfs_ctx_t *ctx, const char *path, remote_names_t *names)
{
    s3_t *s = state;
    s3_load_t load = {.names = names};
    const s3_lister_t lister = load_lister(&load);
    apr_status_t status = s3__list(s, ctx, path, &lister);
    if (status != APR_SUCCESS) return status;
    if (s->meta) forget_attrs(s, names);
    if (load.there || path[1] == '\0') {
        s3__seen(s, path, load.marked);
        return APR_SUCCESS;
    }
    vfs_attr_t attr;
    vfs_validator_t validator;
    int blind = 0;
    status = s3__head(s, ctx, path, &attr, &validator, &blind);
    if (status == APR_SUCCESS) return APR_FROM_OS_ERROR(ENOTDIR);
    return APR_STATUS_IS_ENOENT(status) ? s3__absent(s, ctx, path) : status;
}
