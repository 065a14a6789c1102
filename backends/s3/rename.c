/*
 * rename.c - other names: S3 has none, so each object is copied and the old one removed. Floor 2.
 * Others can see it half done. Nothing goes before all of it is there under the new name; what
 * fails before leaves the old names, and takes back the new ones.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/remote/xml.h"
#include "backends/s3/hash.h"
#include "backends/s3/s3.h"

#define KEYS_MAX (1u << 22)
#define BATCH 1000u /* keys that one request may delete */
#define BATCH_BYTES (BATCH * 32u + 6u * 1000000u)
#define THREADS_MAX 64u

typedef struct s3_key_t {
    char *name; /* below the directory; "" is its marker, a '/' at its end another one */
    uint64_t size;
    char class[24]; /* of storage; "": the usual one, or none that we know */
} s3_key_t;

typedef struct s3_tree_t {
    s3_t *s;
    const vfs_ctx_t *ctx;
    const char *from, *to;
    s3_key_t *keys;
    size_t count, room, whole;
    pthread_mutex_t lock; /* guards the next two */
    size_t next;
    apr_status_t status;
} s3_tree_t;

static apr_status_t take_key(void *baton, const s3_item_t *item)
{
    s3_tree_t *t = baton;
    if (t->count == KEYS_MAX) return VFS_ELIMIT;
    /* it would be taken for another key, and that one removed */
    if (!s3__has_path(item->key)) return VFS_EFORMAT;
    if (t->count == t->room) {
        size_t room = t->room > 0 ? 2 * t->room : 64;
        s3_key_t *keys = realloc(t->keys, room * sizeof(*keys));
        if (keys == NULL) return APR_ENOMEM;
        t->keys = keys;
        t->room = room;
    }
    s3_key_t *key = &t->keys[t->count];
    *key = (s3_key_t){.name = strdup(item->key), .size = item->size};
    if (strcmp(item->class, "STANDARD") != 0 && strlen(item->class) < sizeof(key->class))
        (void)snprintf(key->class, sizeof(key->class), "%s", item->class);
    return key->name != NULL ? (t->count++, APR_SUCCESS) : APR_ENOMEM;
}

static void forget_keys(void *baton)
{
    s3_tree_t *t = baton;
    while (t->count > t->whole)
        free(t->keys[--t->count].name);
}

static void keep_keys(void *baton)
{
    s3_tree_t *t = baton;
    t->whole = t->count;
}

/* The path of a key in one of the two trees, without the '/' that makes it a marker. */
static int path_of(char out[VFS_PATH_MAX + 1], const char *dir, const char *name)
{
    int n = snprintf(out, VFS_PATH_MAX + 1, "%s%s%s", dir, name[0] != '\0' ? "/" : "", name);
    if (n < 0 || n > (int)VFS_PATH_MAX) return 0;
    if (out[n - 1] == '/') out[n - 1] = '\0';
    return 1;
}

static int is_marker(const s3_key_t *key)
{
    size_t len = strlen(key->name);
    return len == 0 || key->name[len - 1] == '/';
}

static apr_status_t copy_key(const s3_tree_t *t, const s3_key_t *key)
{
    char from[VFS_PATH_MAX + 1], to[VFS_PATH_MAX + 1];
    if (!path_of(from, t->from, key->name) || !path_of(to, t->to, key->name))
        return APR_ENAMETOOLONG;
    const s3_copy_t copy = {.from = from,
                            .to = to,
                            .slash = is_marker(key),
                            .size = key->size,
                            .class = key->class[0] != '\0' ? key->class : NULL};
    return s3__copy(t->s, t->ctx, &copy);
}

static void *copy_keys(void *baton)
{
    s3_tree_t *t = baton;
    for (;;) {
        pthread_mutex_lock(&t->lock);
        size_t i = t->status == APR_SUCCESS && t->next < t->count ? t->next++ : t->count;
        pthread_mutex_unlock(&t->lock);
        if (i == t->count) return NULL;
        apr_status_t status = copy_key(t, &t->keys[i]);
        if (status == APR_SUCCESS) continue;
        pthread_mutex_lock(&t->lock);
        if (t->status == APR_SUCCESS) t->status = status;
        pthread_mutex_unlock(&t->lock);
    }
}

static apr_status_t copy_all(s3_tree_t *t)
{
    pthread_t threads[THREADS_MAX];
    size_t count = 0;
    pthread_mutex_init(&t->lock, NULL);
    while (count + 1 < t->s->parallel && count + 1 < t->count && count < THREADS_MAX &&
           pthread_create(&threads[count], NULL, copy_keys, t) == 0)
        count++;
    (void)copy_keys(t); /* it answers nothing */
    for (size_t i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL); /* it was made above */
    (void)pthread_mutex_destroy(&t->lock);    /* they have ended */
    return t->status;
}

/* One request for many keys. A key that XML cannot say goes by itself. */
static apr_status_t delete_batch(const s3_tree_t *t, const char *dir, size_t first, size_t count,
                                 char *text)
{
    static const char head[] = "<Delete><Quiet>true</Quiet>", tail[] = "</Delete>";
    unsigned char md5[S3_MD5_BYTES];
    char said[32], path[VFS_PATH_MAX + 1], key[VFS_PATH_MAX + 2 * S3_KEY_MAX];
    remote_answer_t answer;
    s3_result_t *result = calloc(1, sizeof(*result));
    char *at = text + snprintf(text, sizeof(head), "%s", head);
    apr_status_t status = result != NULL ? APR_SUCCESS : APR_ENOMEM;
    for (size_t i = first; status == APR_SUCCESS && i < first + count; i++) {
        const s3_key_t *k = &t->keys[i];
        if (!path_of(path, dir, k->name)) continue; /* then it was not copied either */
        (void)snprintf(key, sizeof(key), "%s%s%s", t->s->prefix, path + 1, is_marker(k) ? "/" : "");
        char *end = text + BATCH_BYTES - 64;
        char *next = at + snprintf(at, 32, "<Object><Key>");
        next = remote__xml_escape(next, end, key);
        if (next == NULL) {
            status = s3__delete(t->s, t->ctx, path, is_marker(k));
            continue;
        }
        at = next + snprintf(next, 32, "</Key></Object>");
    }
    if (status == APR_SUCCESS && at == text + sizeof(head) - 1) { /* each went by itself */
        free(result);
        return APR_SUCCESS;
    }
    at += snprintf(at, sizeof(tail), "%s", tail);
    s3_request_t request = {.method = "POST",
                            .query = "delete=",
                            .data = text,
                            .len = (size_t)(at - text),
                            .flags = REMOTE_AGAIN};
    s3__md5(md5, text, request.len);
    s3__base64(said, md5, sizeof(md5));
    s3__header(&request, "content-md5", said);
    if (status == APR_SUCCESS) {
        status = s3__do_xml(t->s, t->ctx, &request, &answer, result);
        if (status == APR_SUCCESS && result->error.code[0] != '\0') /* of one of the keys */
            status = s3__status(&answer, &result->error);
        if (status == APR_SUCCESS && result->error.code[0] != '\0')
            status = APR_FROM_OS_ERROR(EACCES);
        remote__answer_free(&answer);
    }
    free(result);
    return status;
}

static apr_status_t delete_all(const s3_tree_t *t, const char *dir, size_t count)
{
    char *text = malloc(BATCH_BYTES);
    apr_status_t status = text != NULL ? APR_SUCCESS : APR_ENOMEM;
    for (size_t at = 0; status == APR_SUCCESS && at < count; at += BATCH)
        status = delete_batch(t, dir, at, count - at < BATCH ? count - at : BATCH, text);
    free(text);
    return status;
}

static apr_status_t move_tree(s3_t *s, const vfs_ctx_t *ctx, const char *from, const char *to)
{
    s3_tree_t t = {.s = s, .ctx = ctx, .from = from, .to = to};
    const s3_lister_t lister = {
        .deep = 1, .take = take_key, .again = forget_keys, .whole = keep_keys, .baton = &t};
    apr_status_t status = s3__list(s, ctx, from, &lister);
    if (status == APR_SUCCESS) status = copy_all(&t);
    if (status == APR_SUCCESS) {
        status = delete_all(&t, from, t.count);
    } else {
        t.ctx = NULL;                     /* whatever the caller's deadline */
        (void)delete_all(&t, to, t.next); /* what stays is one copy too many */
    }
    t.whole = 0;
    forget_keys(&t);
    free(t.keys);
    s3__unseen(s, from);
    return status;
}

static apr_status_t move_file(s3_t *s, const vfs_ctx_t *ctx, const char *from, const char *to,
                              uint64_t size)
{
    const s3_copy_t copy = {.from = from, .to = to, .size = size, .look = 1};
    apr_status_t status = s3__copy(s, ctx, &copy);
    return status == APR_SUCCESS ? s3__delete(s, ctx, from, 0) : status;
}

/* May it be put there? */
static apr_status_t check_target(s3_t *s, const vfs_ctx_t *ctx, const char *to, vfs_type_e type)
{
    vfs_attr_t attr;
    vfs_validator_t validator;
    apr_status_t status = s3__stat(s, ctx, to, &attr, &validator);
    if (APR_STATUS_IS_ENOENT(status)) return s3__parent_is_dir(s, ctx, to);
    if (status != APR_SUCCESS) return status;
    if (type != VFS_TYPE_DIR)
        return attr.type == VFS_TYPE_DIR ? APR_FROM_OS_ERROR(EISDIR) : APR_SUCCESS;
    if (attr.type != VFS_TYPE_DIR) return APR_FROM_OS_ERROR(ENOTDIR);
    status = s3__is_empty(s, ctx, to);
    return APR_STATUS_IS_ENOENT(status) ? APR_SUCCESS : status;
}

apr_status_t s3__rename(s3_t *s, const vfs_ctx_t *ctx, const char *from, const char *to)
{
    vfs_attr_t attr;
    vfs_validator_t validator;
    size_t len = strlen(from);
    if (from[1] == '\0' || to[1] == '\0') return APR_FROM_OS_ERROR(EBUSY);
    apr_status_t status = s3__stat(s, ctx, from, &attr, &validator);
    if (status != APR_SUCCESS || strcmp(from, to) == 0) return status;
    int dir = attr.type == VFS_TYPE_DIR;
    if (dir && strncmp(from, to, len) == 0 && to[len] == '/') return APR_EINVAL;
    if (strncmp(to, from, strlen(to)) == 0 && from[strlen(to)] == '/')
        return APR_FROM_OS_ERROR(ENOTEMPTY);
    status = check_target(s, ctx, to, attr.type);
    if (status == APR_SUCCESS) status = s3__keep_parent(s, ctx, from, dir);
    if (status != APR_SUCCESS) return status;
    return dir ? move_tree(s, ctx, from, to) : move_file(s, ctx, from, to, attr.size);
}
