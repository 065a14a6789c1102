/*
 * attr.c - what a path is: an object, a directory, nothing; and attributes as metadata. Floor 2.
 * The names of the metadata are those of s3fs: mode, uid, gid in decimal digits, times in seconds
 * with a fraction, the last as rclone has them too.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backends/s3/s3.h"

#define NS_PER_S 1000000000
#define DIR_ATTR_MODE 0755u
#define FILE_ATTR_MODE 0644u
#define LINK_ATTR_MODE 0777u
#define CTIME_STEP_NS (2ll * NS_PER_S) /* Last-Modified has whole seconds, of another clock */

/* ---- metadata */

/* Decimal digits; 0: they are none. */
static int meta_number(const remote_answer_t *answer, const char *name, uint64_t max, uint64_t *out)
{
    char text[32], *end = NULL;
    if (remote__kept(answer, name, text, sizeof(text)) == NULL) return 0;
    if (strspn(text, "0123456789") != strlen(text) || text[0] == '\0') return 0;
    uint64_t n = strtoull(text, &end, 10);
    if (n > max) return 0;
    *out = n;
    return 1;
}

/* "1354276831.123456789", or with a sign before 1970 */
static int meta_time(const remote_answer_t *answer, const char *name, int64_t *out)
{
    char text[48];
    if (remote__kept(answer, name, text, sizeof(text)) == NULL) return 0;
    const char *at = text + (text[0] == '-');
    size_t digits = strspn(at, "0123456789");
    if (digits == 0 || digits > 9 + (at[0] < '9')) return 0;
    int64_t ns = strtoll(at, NULL, 10) * NS_PER_S, unit = NS_PER_S;
    at += digits;
    if (*at == '.')
        for (at++; *at >= '0' && *at <= '9' && unit > 1; at++)
            ns += (*at - '0') * (unit /= 10);
    *out = text[0] == '-' ? -ns : ns;
    return 1;
}

static void take_meta(const s3_t *s, const remote_answer_t *answer, vfs_attr_t *attr)
{
    uint64_t n = 0;
    if (meta_number(answer, "x-amz-meta-mode", UINT32_MAX, &n)) attr->mode = (uint32_t)n & 07777;
    if (S_ISLNK((mode_t)n) && attr->type == VFS_TYPE_FILE && s3__may_be_link(s, attr->size)) {
        attr->type = VFS_TYPE_LINK;
        attr->mode = LINK_ATTR_MODE; /* s3fs has written others */
    }
    if (meta_number(answer, "x-amz-meta-uid", UINT32_MAX, &n)) attr->uid = (uint32_t)n;
    if (meta_number(answer, "x-amz-meta-gid", UINT32_MAX, &n)) attr->gid = (uint32_t)n;
    (void)meta_time(answer, "x-amz-meta-mtime", &attr->mtime_ns); /* else the object's own */
    int64_t ctime_ns = 0;
    if (meta_time(answer, "x-amz-meta-ctime", &ctime_ns) &&
        attr->ctime_ns - ctime_ns < CTIME_STEP_NS) /* else it was copied, metadata and all */
        attr->ctime_ns = ctime_ns;
    if (!meta_time(answer, "x-amz-meta-atime", &attr->atime_ns)) attr->atime_ns = attr->mtime_ns;
}

void s3__attr(const void *state, const remote_answer_t *answer, vfs_type_e type, uint64_t size,
              const char *path, vfs_attr_t *attr)
{
    const s3_t *s = state;
    memset(attr, 0, sizeof(*attr));
    attr->flags = VFS_ATTR_DIRECT;
    attr->type = type;
    attr->mode = type == VFS_TYPE_DIR    ? DIR_ATTR_MODE
                 : type == VFS_TYPE_LINK ? LINK_ATTR_MODE
                                         : FILE_ATTR_MODE;
    attr->nlink = 1;
    attr->uid = s->uid;
    attr->gid = s->gid;
    attr->dev = 0x7333; /* "s3" */
    attr->ino = vfs_path_hash(path, strlen(path));
    attr->size = attr->allocated = type == VFS_TYPE_DIR ? 0 : size;
    attr->blksize = 65536;
    if (answer == NULL) return;
    if (answer->modified_s >= 0)
        attr->mtime_ns = attr->ctime_ns = attr->atime_ns = answer->modified_s * NS_PER_S;
    if (s->meta) take_meta(s, answer, attr);
}

/* ---- what a path is */

static apr_status_t head(s3_t *s, const vfs_ctx_t *ctx, const char *path, vfs_type_e type,
                         vfs_attr_t *attr, vfs_validator_t *validator)
{
    const s3_request_t request = {
        .method = "HEAD", .path = path, .slash = type == VFS_TYPE_DIR, .flags = REMOTE_AGAIN};
    remote_answer_t answer;
    memset(validator, 0, sizeof(*validator));
    apr_status_t status = s3__do(s, ctx, &request, &answer, NULL);
    if (status == APR_SUCCESS && (remote__recoded(&s3__backend, &answer) || answer.length < 0))
        status = VFS_EFORMAT;
    if (status == APR_SUCCESS) {
        s3__attr(s, &answer, type, (uint64_t)answer.length, path, attr);
        remote__validator(validator, &answer, attr);
        validator->flags &= (uint8_t)~VFS_VALIDATOR_YOUNG; /* the tag is of the bytes */
    }
    remote__answer_free(&answer);
    return status;
}

apr_status_t s3__head(void *state, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr,
                      vfs_validator_t *validator, int *blind)
{
    *blind = 0;
    return head(state, ctx, path, VFS_TYPE_FILE, attr, validator);
}

/* The first key of a directory. */
typedef struct s3_first_t {
    int there, marker;
    int64_t mtime_ns;
} s3_first_t;

static apr_status_t take_first(void *baton, const s3_item_t *item)
{
    s3_first_t *first = baton;
    if (!first->there) first->marker = item->key[0] == '\0';
    if (first->marker && !first->there) first->mtime_ns = item->mtime_ns;
    first->there = 1;
    return APR_SUCCESS;
}

static void forget_first(void *baton)
{
    memset(baton, 0, sizeof(s3_first_t));
}

static apr_status_t stat_dir(s3_t *s, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr)
{
    s3_first_t first = {0, 0, 0};
    vfs_validator_t unwanted;
    const s3_lister_t lister = {
        .max = 1, .deep = 1, .take = take_first, .again = forget_first, .baton = &first};
    s3__attr(s, NULL, VFS_TYPE_DIR, 0, path, attr);
    if (path[1] == '\0') return APR_SUCCESS;
    apr_status_t status = s3__list(s, ctx, path, &lister);
    if (status != APR_SUCCESS) return status;
    if (!first.there) return APR_FROM_OS_ERROR(ENOENT);
    s3__seen(s, path, first.marker);
    attr->mtime_ns = attr->ctime_ns = attr->atime_ns = first.mtime_ns;
    if (!first.marker || !s->meta) return APR_SUCCESS;
    status = head(s, ctx, path, VFS_TYPE_DIR, attr, &unwanted);
    return APR_STATUS_IS_ENOENT(status) ? APR_SUCCESS : status; /* it went meanwhile */
}

/* Where the component ends that is the n-th of a path. */
static size_t end_of(const char *path, size_t n)
{
    const char *at = path;
    while (n-- > 0)
        at += 1 + strcspn(at + 1, "/");
    return (size_t)(at - path);
}

/* Is the n-th component of a path a directory? */
static apr_status_t is_dir(s3_t *s, const vfs_ctx_t *ctx, const char *path, size_t n, int *yes)
{
    char dir[VFS_PATH_MAX + 1];
    vfs_attr_t attr;
    size_t len = end_of(path, n);
    memcpy(dir, path, len);
    dir[len] = '\0';
    *yes = n == 0 || s3__was_seen(s, dir);
    if (*yes) return APR_SUCCESS;
    apr_status_t status = stat_dir(s, ctx, dir, &attr);
    *yes = status == APR_SUCCESS;
    return APR_STATUS_IS_ENOENT(status) ? APR_SUCCESS : status;
}

/* Where a component is a directory all above it are. So the last that is one is found by halving,
 * and only what comes behind it can be a file. */
apr_status_t s3__absent(s3_t *s, const vfs_ctx_t *ctx, const char *path)
{
    char name[VFS_PATH_MAX + 1];
    vfs_attr_t attr;
    vfs_validator_t validator;
    size_t there = 0, not_there = 0;
    int yes = 0;
    for (const char *at = path; *at != '\0'; at++)
        not_there += *at == '/';
    size_t last = not_there, try = last - 1; /* nearly always it is the parent */
    while (there + 1 < not_there) {
        apr_status_t status = is_dir(s, ctx, path, try, &yes);
        if (status != APR_SUCCESS) return status;
        if (yes)
            there = try;
        else
            not_there = try;
        try = (there + not_there) / 2;
    }
    if (not_there == last) return APR_FROM_OS_ERROR(ENOENT);
    size_t len = end_of(path, not_there);
    memcpy(name, path, len);
    name[len] = '\0';
    apr_status_t status = head(s, ctx, name, VFS_TYPE_FILE, &attr, &validator);
    return status == APR_SUCCESS ? APR_FROM_OS_ERROR(ENOTDIR) : status;
}

/* ---- many names that are not there */

/* Who makes files asks for each name first. It is no file and no directory: two requests, where one
 * listing of what begins with the name tells both. For a name that is there that is one too many,
 * so it comes first only where the last ones were not. */

#define NEAR_MAX 20u /* names that begin in the same way: if there are more it says nothing */

typedef struct s3_near_t {
    int file, dir;
} s3_near_t;

static apr_status_t take_near(void *baton, const s3_item_t *item)
{
    s3_near_t *near = baton;
    if (item->key[0] == '\0') near->file = 1;
    if (item->key[0] == '/') near->dir = 1;
    return APR_SUCCESS;
}

static void forget_near(void *baton)
{
    memset(baton, 0, sizeof(s3_near_t));
}

apr_status_t s3__guess(s3_t *s, const vfs_ctx_t *ctx, const char *path, int *other)
{
    s3_near_t near = {0, 0};
    int cut = 0;
    const s3_lister_t lister = {.near = 1,
                                .cut = &cut,
                                .max = NEAR_MAX,
                                .take = take_near,
                                .again = forget_near,
                                .baton = &near};
    *other = 0;
    if (atomic_load_explicit(&s->absent, memory_order_relaxed) < S3_ABSENT ||
        atomic_load_explicit(&s->no_near, memory_order_relaxed))
        return APR_SUCCESS;
    apr_status_t status = s3__list(s, ctx, path, &lister);
    if (status == VFS_EOFFLINE || status == VFS_ECANCELED || APR_STATUS_IS_TIMEUP(status))
        return status;
    if (status != APR_SUCCESS) atomic_store_explicit(&s->no_near, 1, memory_order_relaxed);
    if (status != APR_SUCCESS || near.file || cut) return APR_SUCCESS;
    if (!near.dir) return s3__absent(s, ctx, path);
    *other = 1;
    return APR_SUCCESS;
}

apr_status_t s3__guessed(s3_t *s, apr_status_t status)
{
    if (status == APR_SUCCESS)
        atomic_store_explicit(&s->absent, 0, memory_order_relaxed);
    else if (APR_STATUS_IS_ENOENT(status))
        atomic_fetch_add_explicit(&s->absent, 1, memory_order_relaxed);
    return status;
}

/* ---- all of it */

apr_status_t s3__stat_other(s3_t *s, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr)
{
    apr_status_t status = stat_dir(s, ctx, path, attr);
    return APR_STATUS_IS_ENOENT(status) ? s3__absent(s, ctx, path) : status;
}

apr_status_t s3__stat(s3_t *s, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr,
                      vfs_validator_t *validator)
{
    int other;
    memset(validator, 0, sizeof(*validator));
    if (path[1] == '\0') return stat_dir(s, ctx, path, attr);
    apr_status_t status = s3__guess(s, ctx, path, &other);
    if (status != APR_SUCCESS) return s3__guessed(s, status);
    if (!other) {
        status = head(s, ctx, path, VFS_TYPE_FILE, attr, validator);
        other = APR_STATUS_IS_ENOENT(status);
    }
    if (other) status = s3__stat_other(s, ctx, path, attr);
    return s3__guessed(s, status);
}
