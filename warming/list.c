/*
 * list.c - list files: a path of the stack on each line. Floor 3.
 * A file that begins with '#' is written as "./#name"; blanks within a line belong to the path.
 */
#include <string.h>

#include "warming/internal.h"

/* Where `path` is `root` or below it, what it is called in a stack that stands on root; else NULL.
 */
static const char *below_root(const char *path, const char *origin_root)
{
    char root_buf[VFS_PATH_MAX + 1];
    vfs_path_t root, found;

    if (origin_root == NULL || origin_root[0] != '/') return NULL;
    if (vfs_path_init(&root, origin_root, root_buf) != APR_SUCCESS || root.len == 1) return NULL;
    found.str = path;
    found.len = (uint32_t)strlen(path);
    found.hash = 0;
    found.flags = 0;
    if (!vfs_path_within(&found, &root)) return NULL;
    return path[root.len] != '\0' ? path + root.len : "/";
}

static int is_blank(const char *line)
{
    return line[strspn(line, " \t")] == '\0';
}

static apr_status_t add_line(warm_plan_t *plan, const warm__lines_t *lines, const char *origin_root,
                             char *err, size_t errlen)
{
    warm__item_t item;
    char buf[VFS_PATH_MAX + 1];
    const char *fault = NULL, *right;
    apr_status_t status;

    if (lines->buf[0] == '#' || is_blank(lines->buf)) return APR_SUCCESS;
    status = warm__item_init(&item, lines->buf, buf, &fault);
    if (status != APR_SUCCESS) {
        warm__say(err, errlen, "%s, line %llu: \"%.200s\": %s", lines->name,
                  (unsigned long long)lines->number, lines->buf, fault);
        return status;
    }
    right = lines->buf[0] == '/' ? below_root(buf, origin_root) : NULL;
    if (right != NULL) {
        warm__say(err, errlen,
                  "%s, line %llu: \"%.200s\" is a path of the operating system; in this file "
                  "system it is \"%.200s\"",
                  lines->name, (unsigned long long)lines->number, lines->buf, right);
        return APR_EINVAL;
    }
    return warm__plan_add(plan, &item);
}

apr_status_t warm_plan_list(warm_plan_t *plan, const char *file, const char *origin_root, char *err,
                            size_t errlen)
{
    warm__lines_t *lines;
    apr_status_t status;
    size_t before;

    VFS_CHECK_ARG(plan != NULL && file != NULL);
    before = plan->count;
    status = warm__lines_open(&lines, file, err, errlen);
    if (status != APR_SUCCESS) return status;
    while ((status = warm__lines_next(lines, err, errlen)) == APR_SUCCESS) {
        status = add_line(plan, lines, origin_root, err, errlen);
        if (status != APR_SUCCESS) break;
    }
    warm__lines_close(lines);
    if (status == APR_EOF) return APR_SUCCESS;
    plan->count = before;
    return status;
}
