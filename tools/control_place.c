/*
 * control_place.c - which mount a path lies in: see control.h.
 * Floor 4, private to tools/. Names are followed up to the mount only: what is in it would be asked
 * of its program, which may be dead, or wait for its origin.
 */
#include <errno.h>
#include <mntent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>
#include <apr_tables.h>

#include "tools/control.h"
#include "tools/mount.h"

#define LINKS_MAX 40

/* All mounts of ours; the last one at a place is on top. */
static apr_array_header_t *our_mounts(apr_pool_t *pool)
{
    struct mntent entry;
    size_t size = 3 * VFS_PATH_MAX;
    char *buf = apr_palloc(pool, size);
    apr_array_header_t *list = apr_array_make(pool, 4, sizeof(control_place_t));
    FILE *mounts = setmntent("/proc/self/mounts", "r");
    if (mounts == NULL) return list;
    while (getmntent_r(mounts, &entry, buf, (int)size) != NULL) {
        const char *owner = strstr(entry.mnt_opts, "user_id=");
        if (strcmp(entry.mnt_type, "fuse.cachefs") != 0) continue;
        control_place_t *place = apr_array_push(list);
        place->point = apr_pstrdup(pool, entry.mnt_dir);
        place->path = "/";
        place->uid = owner != NULL ? strtoul(owner + strlen("user_id="), NULL, 10) : 0;
    }
    (void)endmntent(mounts); /* only read */
    return list;
}

static const control_place_t *mount_at(const apr_array_header_t *mounts, const char *path)
{
    for (int i = mounts->nelts - 1; i >= 0; i--) {
        const control_place_t *place = &APR_ARRAY_IDX(mounts, i, control_place_t);
        if (strcmp(place->point, path) == 0) return place;
    }
    return NULL;
}

/* One step down from `at`, which has no '/' behind it ("" is the root). */
static const char *step(const char *at, const char *name, size_t len, apr_pool_t *pool)
{
    const char *slash = strrchr(at, '/');
    if (len == 0 || (len == 1 && name[0] == '.')) return at;
    if (len == 2 && strncmp(name, "..", 2) == 0)
        return slash != NULL ? apr_pstrndup(pool, at, (apr_size_t)(slash - at)) : "";
    return apr_pstrcat(pool, at, "/", apr_pstrndup(pool, name, len), NULL);
}

/* Where the link at `at` leads, with `rest` behind it; NULL: it is none. */
static const char *follow(const char *at, const char *rest, apr_pool_t *pool)
{
    char target[VFS_PATH_MAX + 1];
    ssize_t len = readlink(at, target, sizeof(target) - 1);
    if (len <= 0) return NULL;
    target[len] = '\0';
    const char *slash = strrchr(at, '/');
    const char *dir = target[0] == '/' ? "" : apr_pstrndup(pool, at, (apr_size_t)(slash - at));
    return apr_pstrcat(pool, dir, "/", target, "/", rest, NULL);
}

/* The mount, and what is left of the path. */
static const control_place_t *walk(const apr_array_header_t *mounts, const char *path,
                                   const char **left, apr_pool_t *pool)
{
    const char *at = "";
    for (int links = 0; *path != '\0';) {
        size_t len = strcspn(path, "/");
        const char *next = step(at, path, len, pool), *target = NULL;
        path += len + (path[len] == '/');
        const control_place_t *place = next != at ? mount_at(mounts, next) : NULL;
        *left = path;
        if (place != NULL) return place;
        if (next != at && links < LINKS_MAX) target = follow(next, path, pool);
        links += target != NULL;
        at = target != NULL ? "" : next;
        if (target != NULL) path = target;
    }
    return NULL;
}

/* The end of a path, without "." and "..". NULL: it leads out of the mount, and on by `behind`. */
static const char *within(const char *left, const char **behind, apr_pool_t *pool)
{
    const char *at = "";
    while (*left != '\0') {
        size_t len = strcspn(left, "/");
        int up = len == 2 && strncmp(left, "..", 2) == 0;
        *behind = left + len + (left[len] == '/');
        if (up && at[0] == '\0') return NULL;
        at = step(at, left, len, pool);
        left = *behind;
    }
    return at[0] != '\0' ? at : "/";
}

/* The last mount that a path leads to, such as ../other, said in one; 0: to none. */
static int place_of(const char *path, control_place_t *place, apr_pool_t *pool)
{
    apr_array_header_t *mounts = our_mounts(pool);
    const char *left = "", *behind = "";
    const control_place_t *found;
    while ((found = walk(mounts, path, &left, pool)) != NULL) {
        *place = *found;
        place->path = within(left, &behind, pool);
        if (place->path != NULL) return 1;
        const char *name = strrchr(found->point, '/');
        path =
            apr_pstrcat(pool, apr_pstrndup(pool, found->point, (apr_size_t)(name - found->point)),
                        "/", behind, NULL);
    }
    return 0;
}

static const char *names_of(const apr_array_header_t *mounts, apr_pool_t *pool)
{
    const char *text = "";
    for (int i = 0; i < mounts->nelts; i++)
        text = apr_pstrcat(pool, text, i > 0 ? ", " : "",
                           APR_ARRAY_IDX(mounts, i, control_place_t).point, NULL);
    return text;
}

int control_find(cli_t *cli, const char *os_path, control_place_t *place)
{
    char here[VFS_PATH_MAX + 1] = "";
    const char *path = os_path;
    if (cli_is_origin(os_path)) {
        cli_error(cli, "%s is an origin; %s speaks to a mount: name its directory", os_path,
                  cli->verb->name);
        return CLI_USAGE;
    }
    if (os_path[0] != '/') {
        if (getcwd(here, sizeof(here)) == NULL) {
            cli_error(cli, "the working directory: %s", strerror(errno));
            return CLI_USAGE;
        }
        path = apr_pstrcat(cli->pool, here, "/", os_path, NULL);
    }
    if (place_of(path, place, cli->pool)) return CLI_DONE;
    const char *names = names_of(our_mounts(cli->pool), cli->pool);
    cli_error(cli, "%s: no cachefs is mounted there%s%s", os_path,
              names[0] != '\0' ? "; there is one at " : ", nor anywhere else", names);
    return CLI_USAGE;
}
