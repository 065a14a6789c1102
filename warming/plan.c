/*
 * plan.c - what is to be warmed, in order. Floor 3.
 * Paths are made normal and copied here; nothing is asked of the cache.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "vfs/digest.h"
#include "warming/internal.h"

static apr_status_t free_items(void *data)
{
    warm_plan_t *plan = data;

    free(plan->items);
    plan->items = NULL;
    return APR_SUCCESS;
}

apr_status_t warm_plan_create(warm_plan_t **out, apr_pool_t *pool)
{
    warm_plan_t *plan;

    VFS_CHECK_ARG(out != NULL && pool != NULL);
    plan = apr_pcalloc(pool, sizeof(*plan));
    if (plan == NULL) return APR_ENOMEM;
    plan->pool = pool;
    apr_pool_cleanup_register(pool, plan, free_items, apr_pool_cleanup_null);
    *out = plan;
    return APR_SUCCESS;
}

apr_status_t warm__plan_add(warm_plan_t *plan, const warm__item_t *item)
{
    const char *last = plan->count > 0 ? plan->items[plan->count - 1].path : NULL;

    if (plan->count == plan->room) {
        size_t room = plan->room == 0 ? 64 : plan->room * 2;
        warm__item_t *items = realloc(plan->items, room * sizeof(*items));

        if (items == NULL) return APR_ENOMEM;
        plan->items = items;
        plan->room = room;
    }
    plan->items[plan->count] = *item;
    if (last == NULL || strcmp(last, item->path) != 0) last = apr_pstrdup(plan->pool, item->path);
    if (last == NULL) return APR_ENOMEM;
    plan->items[plan->count].path = last;
    plan->count++;
    return APR_SUCCESS;
}

apr_status_t warm__path(const char *raw, char *buf, int *dir, const char **fault)
{
    char normal[VFS_PATH_MAX + 1], absolute[VFS_PATH_MAX + 2];
    vfs_path_t path;
    apr_status_t status = APR_SUCCESS;
    size_t len = strlen(raw);

    if (len == 0) {
        *fault = "the path is empty";
        return APR_ENOENT;
    }
    if (len > VFS_PATH_MAX) {
        status = APR_ENAMETOOLONG;
    } else {
        absolute[0] = '/';
        memcpy(absolute + 1, raw, len + 1);
        status = vfs_path_init(&path, raw[0] == '/' ? raw : absolute, normal);
    }
    if (status != APR_SUCCESS) {
        *fault = APR_STATUS_IS_ENAMETOOLONG(status)
                     ? "a path has at most 4096 bytes, and a component of it 255"
                     : "this is no path";
        return status;
    }
    memcpy(buf, path.str, path.len);
    buf[path.len] = '\0';
    *dir = (path.flags & VFS_PATH_DIR) != 0;
    return APR_SUCCESS;
}

apr_status_t warm__item_init(warm__item_t *item, const char *raw, char *buf, const char **fault)
{
    int dir = 0;
    apr_status_t status = warm__path(raw, buf, &dir, fault);

    memset(item, 0, sizeof(*item));
    item->path = buf;
    item->size = WARM__SIZE_UNKNOWN;
    if (dir) item->status = APR_FROM_OS_ERROR(EISDIR);
    return status;
}

apr_status_t warm_plan_paths(warm_plan_t *plan, const char *const *paths, size_t count, char *err,
                             size_t errlen)
{
    size_t before, i;

    VFS_CHECK_ARG(plan != NULL && (paths != NULL || count == 0));
    before = plan->count;
    for (i = 0; i < count; i++) {
        warm__item_t item;
        char buf[VFS_PATH_MAX + 1];
        const char *fault = "there is no path";
        apr_status_t status = APR_EINVAL;

        if (paths[i] != NULL) status = warm__item_init(&item, paths[i], buf, &fault);
        if (status != APR_SUCCESS)
            warm__say(err, errlen, "path %zu, \"%.200s\": %s", i + 1,
                      paths[i] != NULL ? paths[i] : "", fault);
        else
            status = warm__plan_add(plan, &item);
        if (status == APR_SUCCESS) continue;
        plan->count = before;
        return status;
    }
    return APR_SUCCESS;
}

size_t warm_plan_count(const warm_plan_t *plan)
{
    return plan->count;
}

const char *warm_plan_path(const warm_plan_t *plan, size_t i)
{
    return i < plan->count ? plan->items[i].path : NULL;
}

uint64_t warm__plan_hash(const warm_plan_t *plan)
{
    uint64_t hash = plan->count;
    size_t i;

    for (i = 0; i < plan->count; i++) {
        const warm__item_t *item = &plan->items[i];
        uint64_t range[2] = {item->off, item->len};

        hash = vfs__hash64(item->path, strlen(item->path), hash);
        hash = vfs__hash64(range, sizeof(range), hash);
    }
    return hash;
}
