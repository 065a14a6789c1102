/*
 * tree.c - plans from the names of the stack: a glob or a tree. Floor 3.
 * What cannot be read becomes a thing of the plan all the same, with its error: the job reports it.
 */
#include <string.h>

#include "warming/internal.h"

typedef struct walk_t {
    warm_plan_t *plan;
    const char *top;
    const char *failed; /* says where, if the walk ended with an error */
    char path[VFS_PATH_MAX + 1];
} walk_t;

static apr_status_t add_name(void *baton, const char *path, const vfs_attr_t *attr,
                             apr_status_t status)
{
    walk_t *walk = baton;
    warm__item_t item = {.path = path, .size = WARM__SIZE_UNKNOWN, .status = status};

    if (status != APR_SUCCESS) {
        (void)snprintf(walk->path, sizeof(walk->path), "%s", path);
        walk->failed = walk->path;
        if (status == VFS_ECANCELED || APR_STATUS_IS_TIMEUP(status)) return status;
        if (walk->top != NULL && strcmp(path, walk->top) == 0) return status;
        return warm__plan_add(walk->plan, &item);
    }
    if (attr == NULL || attr->type != VFS_TYPE_FILE) return APR_SUCCESS;
    item.size = attr->size;
    return warm__plan_add(walk->plan, &item);
}

static apr_status_t finish(walk_t *walk, size_t before, const char *what, apr_status_t status,
                           char *err, size_t errlen)
{
    char text[128];

    if (status == APR_SUCCESS) return status;
    walk->plan->count = before;
    if (status == APR_EINVAL)
        warm__say(err, errlen, "\"%.200s\" is not a pattern or path", what);
    else
        warm__say(err, errlen, "\"%.200s\": %s", walk->failed != NULL ? walk->failed : what,
                  vfs_strerror(status, text, sizeof(text)));
    return status;
}

apr_status_t warm_plan_glob(warm_plan_t *plan, vfs_t *fs, const vfs_ctx_t *ctx, const char *pattern,
                            char *err, size_t errlen)
{
    walk_t walk = {.plan = plan};
    char absolute[VFS_PATH_MAX + 2];
    size_t before;

    VFS_CHECK_ARG(plan != NULL && fs != NULL && pattern != NULL);
    before = plan->count;
    if (strlen(pattern) > VFS_PATH_MAX)
        return finish(&walk, before, pattern, APR_ENAMETOOLONG, err, errlen);
    (void)snprintf(absolute, sizeof(absolute), "%s%s", pattern[0] == '/' ? "" : "/", pattern);
    return finish(&walk, before, pattern, vfs_glob(fs, ctx, absolute, add_name, &walk), err,
                  errlen);
}

apr_status_t warm_plan_tree(warm_plan_t *plan, vfs_t *fs, const vfs_ctx_t *ctx, const char *path,
                            char *err, size_t errlen)
{
    walk_t walk = {.plan = plan};
    char top[VFS_PATH_MAX + 1];
    const char *fault;
    apr_status_t status;
    size_t before;
    int dir;

    VFS_CHECK_ARG(plan != NULL && fs != NULL && path != NULL);
    before = plan->count;
    status = warm__path(path, top, &dir, &fault);
    if (status != APR_SUCCESS) {
        warm__say(err, errlen, "\"%.200s\": %s", path, fault);
        return status;
    }
    walk.top = top;
    return finish(&walk, before, path, vfs_walk(fs, ctx, top, add_name, &walk), err, errlen);
}
