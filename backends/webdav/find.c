/*
 * find.c - what is there: PROPFIND for a file, for a directory with all its names, for the space.
 * Floor 2.
 *
 * A server that says "not found" does not say whether something on the way is no directory. That
 * is asked for, unless the directory was seen as such some seconds ago (dirs.c).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/webdav/webdav.h"

#define NS_PER_S 1000000000
#define UNKNOWN_BYTES (1ull << 50) /* free, where nobody says: programs that ask shall go on */

static const char find_body[] =
    "<?xml version=\"1.0\" encoding=\"utf-8\"?><propfind xmlns=\"DAV:\"><prop><resourcetype/>"
    "<getcontentlength/><getetag/><getlastmodified/><creationdate/></prop></propfind>";
static const char space_body[] =
    "<?xml version=\"1.0\" encoding=\"utf-8\"?><propfind xmlns=\"DAV:\"><prop>"
    "<quota-available-bytes/><quota-used-bytes/></prop></propfind>";
static const remote_send_t find_send = {.data = find_body, .len = sizeof(find_body) - 1};
static const remote_send_t space_send = {.data = space_body, .len = sizeof(space_body) - 1};

/* ---- one file */

void webdav__attr(const void *state, const remote_answer_t *answer, vfs_type_e type, uint64_t size,
                  const char *path, vfs_attr_t *attr)
{
    const webdav_t *w = state;
    remote__attr(answer, type, size, path, attr);
    attr->mode = type == VFS_TYPE_DIR ? 0755 : 0644;
    attr->uid = w->uid;
    attr->gid = w->gid;
    attr->dev = 0x64617673; /* "davs", so that it is known in a listing */
}

/* The one that is looked for, among those of an answer. */
typedef struct found_t {
    webdav_t *w;
    const char *path;
    int there;
    webdav_props_t props; /* without href */
} found_t;

static int is_path(const webdav_t *w, const char *full, const char *path)
{
    size_t root = strlen(w->root);
    if (strncmp(full, w->root, root) != 0) return 0;
    return strcmp(full + root, path[1] == '\0' ? "" : path) == 0;
}

static apr_status_t take_one(void *baton, const webdav_props_t *props)
{
    found_t *f = baton;
    char full[2 * VFS_PATH_MAX];
    if (f->there || !webdav__href_path(f->w->base, props->href, full, sizeof(full)))
        return APR_SUCCESS;
    if (!is_path(f->w, full, f->path)) return APR_SUCCESS;
    f->there = 1;
    f->props = *props;
    f->props.href = NULL;
    return APR_SUCCESS;
}

static int64_t modified(const webdav_props_t *props)
{
    return props->has & WEBDAV_HAS_MODIFIED ? props->modified_s : -1;
}

/* The etag that tells versions at this server, or "". */
static const char *version_tag(webdav_t *w, const webdav_props_t *props)
{
    int has = (props->has & WEBDAV_HAS_TAG) != 0;
    if (atomic_load(&w->tags) == WEBDAV_UNKNOWN)
        atomic_store(&w->tags, has ? WEBDAV_YES : WEBDAV_NO);
    return has && atomic_load(&w->tags) == WEBDAV_YES ? props->tag : "";
}

/* The answer becomes what GET would say of it. */
static apr_status_t describe(webdav_t *w, const webdav_props_t *props, const char *path,
                             remote_answer_t *answer, vfs_attr_t *attr, vfs_validator_t *validator)
{
    int64_t date_s = answer->date_s;
    vfs_type_e type = props->is_dir ? VFS_TYPE_DIR : VFS_TYPE_FILE;
    if (!props->is_dir && !(props->has & WEBDAV_HAS_LENGTH)) return VFS_EFORMAT;
    answer->modified_s = modified(props);
    webdav__attr(w, answer, type, props->length, path, attr);
    if (props->has & WEBDAV_HAS_CREATED) attr->btime_ns = props->created_s * NS_PER_S;
    memset(validator, 0, sizeof(*validator));
    if (props->is_dir) {
        webdav__saw_dir_as(w, path, attr);
        return APR_SUCCESS;
    }
    remote__answer_tag(answer, version_tag(w, props), modified(props));
    answer->date_s = date_s;
    remote__validator(validator, answer, attr);
    return APR_SUCCESS;
}

/* Without asking for what is above it; `answer` is the caller's to free. */
static apr_status_t look(webdav_t *w, const vfs_ctx_t *ctx, const char *path, int slash,
                         remote_answer_t *answer, webdav_props_t *props)
{
    found_t found = {.w = w, .path = path};
    webdav_call_t call = {.method = "PROPFIND",
                          .path = path,
                          .slash = slash || path[1] == '\0',
                          .flags = REMOTE_AGAIN,
                          .send = &find_send,
                          .found = take_one,
                          .baton = &found};
    apr_status_t status = webdav__call(w, ctx, &call, answer);
    if (status != APR_SUCCESS) return status;
    if (answer->status == 207 && found.there && found.props.status != 0)
        answer->status = found.props.status;
    if (answer->status != 207) {
        if (answer->status >= 200 && answer->status <= 299) return VFS_EFORMAT;
        return remote__status(answer);
    }
    *props = found.props;
    return found.there ? APR_SUCCESS : VFS_EFORMAT;
}

/* Apache sends who asks for a directory without its slash on to the one with it: what was one a
 * moment ago is asked for so at once. If it is none any more, the name without tells what it is. */
static apr_status_t look_known(webdav_t *w, const vfs_ctx_t *ctx, const char *path, int slash,
                               remote_answer_t *answer, webdav_props_t *props)
{
    if (slash || !webdav__seen_dir(w, path)) return look(w, ctx, path, slash, answer, props);
    apr_status_t status = look(w, ctx, path, 1, answer, props);
    if (answer->status == 0 || (status == APR_SUCCESS && props->is_dir)) return status;
    remote__answer_free(answer);
    webdav__forget_dir(w, path);
    return look(w, ctx, path, 0, answer, props);
}

static apr_status_t stat_as(webdav_t *w, const vfs_ctx_t *ctx, const char *path, int slash,
                            vfs_attr_t *attr, vfs_validator_t *validator, char tag[REMOTE_TAG_MAX])
{
    remote_answer_t answer;
    webdav_props_t props;
    apr_status_t status = look_known(w, ctx, path, slash, &answer, &props);
    if (status == APR_SUCCESS)
        status = describe(w, &props, path, &answer, attr, validator);
    else if (answer.status >= 400)
        status = webdav__refused(w, ctx, path, &answer);
    if (status == APR_SUCCESS && tag != NULL) memcpy(tag, props.tag, REMOTE_TAG_MAX);
    remote__answer_free(&answer);
    return status;
}

apr_status_t webdav__stat(webdav_t *w, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr,
                          vfs_validator_t *validator, char tag[REMOTE_TAG_MAX])
{
    return stat_as(w, ctx, path, 0, attr, validator, tag);
}

apr_status_t webdav__stat_dir(webdav_t *w, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr,
                              vfs_validator_t *validator)
{
    return stat_as(w, ctx, path, 1, attr, validator, NULL);
}

apr_status_t webdav__root(webdav_t *w, const vfs_ctx_t *ctx, remote_answer_t *answer,
                          vfs_attr_t *attr)
{
    webdav_props_t props;
    vfs_validator_t validator;
    apr_status_t status = look(w, ctx, "/", 1, answer, &props);
    return status == APR_SUCCESS ? describe(w, &props, "/", answer, attr, &validator) : status;
}

/* ---- what is above it */

/* Cuts the last component off; 0: that was the root. */
static int cut(char *path)
{
    char *slash = strrchr(path, '/');
    if (path[1] == '\0') return 0;
    slash[slash == path ? 1 : 0] = '\0';
    return 1;
}

apr_status_t webdav__parent(webdav_t *w, const vfs_ctx_t *ctx, const char *path)
{
    char at[VFS_PATH_MAX + 1];
    apr_status_t missing = APR_SUCCESS;
    size_t len = strlen(path);
    VFS_ASSERT(len <= VFS_PATH_MAX);
    memcpy(at, path, len + 1);
    while (cut(at) && at[1] != '\0' && !webdav__seen_dir(w, at)) {
        remote_answer_t answer;
        webdav_props_t props = {0};
        apr_status_t status = look(w, ctx, at, 0, &answer, &props);
        long said = answer.status;
        remote__answer_free(&answer);
        if (status == APR_SUCCESS && !props.is_dir) return APR_FROM_OS_ERROR(ENOTDIR);
        if (status == APR_SUCCESS) {
            webdav__saw_dir(w, at);
            break;
        }
        /* some servers say 403 or 400 for what is below a file */
        if (said != 404 && said != 410 && said != 403 && said != 400) return status;
        missing = said == 404 || said == 410 ? APR_ENOENT : status;
    }
    return missing;
}

apr_status_t webdav__refused(webdav_t *w, const vfs_ctx_t *ctx, const char *path,
                             const remote_answer_t *answer)
{
    apr_status_t status = remote__status(answer), above;
    long s = answer->status;
    if (s != 400 && s != 403 && s != 404 && s != 409 && s != 410 && s != 500) return status;
    above = webdav__parent(w, ctx, path);
    return above != APR_SUCCESS ? above : status;
}

/* ---- all names of a directory */

typedef struct load_t {
    webdav_t *w;
    const char *path;
    remote_names_t *names;
    int there; /* the directory itself */
    int is_file;
    uint64_t others; /* all else that is told of, names that are left out too */
} load_t;

/* The last component of a path right below the directory; NULL: it is none. */
static const char *child(const webdav_t *w, const char *path, const char *full)
{
    size_t root = strlen(w->root), len = strlen(path);
    if (len == 1) len = 0;
    if (strncmp(full, w->root, root) != 0) return NULL;
    if (strncmp(full + root, path, len) != 0 || full[root + len] != '/') return NULL;
    return full + root + len + 1;
}

apr_status_t webdav__take_name(webdav_t *w, const char *path, const webdav_props_t *props,
                               remote_names_t *names, int *self)
{
    char full[2 * VFS_PATH_MAX];
    *self = 0;
    if (props->status != 0 && (props->status < 200 || props->status > 299)) return APR_SUCCESS;
    if (!webdav__href_path(w->base, props->href, full, sizeof(full))) return APR_SUCCESS;
    *self = is_path(w, full, path);
    const char *name = *self ? NULL : child(w, path, full);
    if (name == NULL) return APR_SUCCESS;
    const remote_entry_t like = {
        .type = props->is_dir ? VFS_TYPE_DIR : VFS_TYPE_FILE,
        .has_attr = props->is_dir || (props->has & WEBDAV_HAS_LENGTH),
        .size = props->is_dir ? 0 : props->length,
        .mtime_ns = modified(props) < 0 ? 0 : modified(props) * NS_PER_S,
        .etag = props->is_dir ? NULL : (char *)version_tag(w, props), /* it is copied */
    };
    return remote__names_add(names, name, strlen(name), &like);
}

static apr_status_t take_name(void *baton, const webdav_props_t *props)
{
    load_t *l = baton;
    int self = 0;
    apr_status_t status = webdav__take_name(l->w, l->path, props, l->names, &self);
    if (self) {
        l->there = 1;
        l->is_file = !props->is_dir;
    } else {
        l->others++;
    }
    return status;
}

static apr_status_t load_all(void *state, const vfs_ctx_t *ctx, const char *path,
                             remote_names_t *names, uint64_t *others)
{
    load_t l = {.w = state, .path = path, .names = names};
    webdav_call_t call = {.method = "PROPFIND",
                          .path = path,
                          .slash = 1,
                          .flags = REMOTE_AGAIN,
                          .depth = 1,
                          .send = &find_send,
                          .found = take_name,
                          .baton = &l};
    remote_answer_t answer;
    vfs_attr_t attr = {0};
    vfs_validator_t validator;
    apr_status_t status = webdav__call(l.w, ctx, &call, &answer);
    if (status == APR_SUCCESS && answer.status == 207) {
        if (!l.there || l.is_file) status = l.there ? APR_FROM_OS_ERROR(ENOTDIR) : VFS_EFORMAT;
        if (status == APR_SUCCESS) webdav__saw_dir(l.w, path);
    } else if (status == APR_SUCCESS) {
        status = answer.status >= 300 ? remote__status(&answer) : VFS_EFORMAT;
        /* with a '/' behind it a file is what is below a file */
        apr_status_t plain = webdav__stat(l.w, ctx, path, &attr, &validator, NULL);
        if (plain != APR_SUCCESS) status = plain;
        if (plain == APR_SUCCESS && attr.type != VFS_TYPE_DIR) status = APR_FROM_OS_ERROR(ENOTDIR);
    }
    remote__answer_free(&answer);
    *others = l.others;
    return status;
}

static apr_status_t load(void *state, const vfs_ctx_t *ctx, const char *path, remote_names_t *names)
{
    uint64_t others;
    return load_all(state, ctx, path, names, &others);
}

/* A name that no listing has, since it is none for us or may not be looked at, counts: DELETE takes
 * all there is. */
apr_status_t webdav__empty(webdav_t *w, const vfs_ctx_t *ctx, const char *path)
{
    remote_names_t names = {NULL, 0, 0};
    uint64_t others = 0;
    apr_status_t status = load_all(w, ctx, path, &names, &others);
    if (status == APR_SUCCESS && others > 0) status = APR_FROM_OS_ERROR(ENOTEMPTY);
    remote__names_free(&names);
    return status;
}

static apr_status_t stat_path(void *state, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr,
                              vfs_validator_t *validator)
{
    return webdav__stat(state, ctx, path, attr, validator, NULL);
}

static apr_status_t head(void *state, const vfs_ctx_t *ctx, const char *path, vfs_attr_t *attr,
                         vfs_validator_t *validator, int *blind)
{
    *blind = 0;
    return stat_path(state, ctx, path, attr, validator);
}

const remote_backend_t webdav__backend = {
    .ask = webdav__ask, .attr = webdav__attr, .head = head, .stat = stat_path, .load = load};

/* ---- space */

apr_status_t webdav__statfs(webdav_t *w, const vfs_ctx_t *ctx, const char *path, vfs_statfs_t *out)
{
    found_t found = {.w = w, .path = path};
    webdav_call_t call = {.method = "PROPFIND",
                          .path = path,
                          .slash = path[1] == '\0',
                          .flags = REMOTE_AGAIN,
                          .send = &space_send,
                          .found = take_one,
                          .baton = &found};
    remote_answer_t answer;
    apr_status_t status = webdav__call(w, ctx, &call, &answer);
    if (status == APR_SUCCESS && answer.status != 207)
        status = answer.status >= 300 ? webdav__refused(w, ctx, path, &answer) : VFS_EFORMAT;
    remote__answer_free(&answer);
    if (status != APR_SUCCESS) return status;
    const webdav_props_t *p = &found.props;
    if (!found.there) return VFS_EFORMAT;
    memset(out, 0, sizeof(*out));
    out->bytes_free = p->has & WEBDAV_HAS_AVAILABLE ? p->available : UNKNOWN_BYTES;
    out->bytes_available = out->bytes_free;
    out->bytes_total = out->bytes_free + (p->has & WEBDAV_HAS_USED ? p->used : 0);
    out->block_size = 4096;
    out->name_max = VFS_NAME_MAX;
    return APR_SUCCESS;
}
