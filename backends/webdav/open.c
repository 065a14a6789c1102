/*
 * open.c - a WebDAV origin by its URI: options, what the server can do, its life. Floor 2.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <apr_strings.h>

#include "backends/webdav/webdav.h"

/* A server's clock shows seconds, so what looks older than one is older than that from two on; a
 * request to one that is near takes some milliseconds. */
#define GRANULARITY_NS 2000000000
#define ROUND_TRIP_US 20000
#define SKIP_MAX (16u << 20)

/* ---- is it there? */

static const char *advice(const remote_answer_t *answer, apr_status_t status)
{
    long s = answer->status;
    if (s == 404 || s == 410) return "there is no such directory";
    if (s == 405 || s == 501 || status == VFS_EFORMAT)
        return "this URL speaks no WebDAV; what a plain web server has is read by http:// or "
               "https://";
    return NULL;
}

static apr_status_t probe(webdav_t *w, char *err, size_t errlen)
{
    remote_answer_t answer;
    vfs_attr_t attr;
    apr_status_t status = webdav__root(w, NULL, &answer, &attr);
    const char *own = advice(&answer, status);
    if (status == APR_SUCCESS && attr.type != VFS_TYPE_DIR) {
        status = APR_ENOTDIR;
        own = "it is a file, and no directory";
    }
    if (status != APR_SUCCESS) remote__explain(w->base, &answer, status, own, err, errlen);
    remote__answer_free(&answer);
    if (status == APR_SUCCESS) (void)webdav__has_locks(w, NULL); /* unknown is as good as no */
    return status;
}

/* ---- options */

/* What a URI says. */
typedef struct webdav_options_t {
    remote_config_t remote;
    uint64_t skip_max;
    int probe;
    int conditions, locks; /* webdav_known_e */
} webdav_options_t;

static const char *set_known(int *known, const char *value)
{
    static const char accepted[] = "auto,yes,no";
    int at = remote__choice(value, accepted);
    if (at < 0) return accepted;
    *known = at; /* in the order of webdav_known_e */
    return NULL;
}

static const char *set_option(void *baton, const char *key, const char *value, apr_pool_t *pool)
{
    static const char probes[] = "no,yes";
    webdav_options_t *o = baton;
    if (strcmp(key, "conditions") == 0) return set_known(&o->conditions, value);
    if (strcmp(key, "locks") == 0) return set_known(&o->locks, value);
    if (strcmp(key, "probe") == 0) {
        int at = remote__choice(value, probes);
        o->probe = at > 0;
        return at < 0 ? probes : NULL;
    }
    if (strcmp(key, "skip_max") == 0)
        return remote__parse_size(value, &o->skip_max) ? NULL : "a size, such as 16m";
    return remote__config_set(&o->remote, key, value, pool);
}

/* "dav://" is "http://", "davs://" is "https://". */
static const char *as_http(const char *uri, apr_pool_t *pool)
{
    if (strncasecmp(uri, "davs:", 5) == 0) return apr_pstrcat(pool, "https:", uri + 5, NULL);
    if (strncasecmp(uri, "dav:", 4) == 0) return apr_pstrcat(pool, "http:", uri + 4, NULL);
    return uri;
}

/* ---- life */

static void webdav_free(void *state)
{
    webdav_t *w = state;
    apr_pool_t *pool = w->pool;
    webdav__later_end(w);
    webdav__dirs_end(w);
    if (w->state.remote != NULL) remote__destroy(w->state.remote);
    free(w->base);
    free(w->root);
    (void)pthread_mutex_destroy(&w->turn_lock); /* nobody is left to wait */
    (void)pthread_cond_destroy(&w->turn_over);
    free(w);
    if (pool != NULL) apr_pool_destroy(pool);
}

static apr_status_t webdav_new(webdav_t **out, const webdav_options_t *o, char *err, size_t errlen)
{
    char why[256] = "", root[2 * VFS_PATH_MAX];
    webdav_t *w = calloc(1, sizeof(*w));
    if (w == NULL) return APR_ENOMEM;
    w->state.end = webdav_free;
    w->skip_max = o->skip_max;
    w->uid = (uint32_t)geteuid();
    w->gid = (uint32_t)getegid();
    atomic_init(&w->conditions, o->conditions);
    atomic_init(&w->locks, o->locks);
    atomic_init(&w->confused, o->locks == WEBDAV_YES); /* then nobody asks who it is */
    pthread_mutex_init(&w->turn_lock, NULL);
    pthread_cond_init(&w->turn_over, NULL);
    pthread_mutex_init(&w->above_lock, NULL);
    webdav__later_init(w);
    atomic_init(&w->chance, (uint64_t)vfs_now_ns());
    apr_status_t status = APR_SUCCESS;
    if (!webdav__href_path(o->remote.base, o->remote.base, root, sizeof(root))) {
        (void)snprintf(why, sizeof(why), "its path is too long, or has a '%%' that means nothing");
        status = APR_EINVAL;
    }
    if (status == APR_SUCCESS) {
        w->base = strdup(o->remote.base);
        w->root = strdup(root);
        status = w->base != NULL && w->root != NULL
                     ? remote__create(&w->state.remote, &o->remote, why, sizeof(why))
                     : APR_ENOMEM;
    }
    if (status != APR_SUCCESS)
        (void)snprintf(err, errlen, "%s: %s", o->remote.base, why);
    else if (o->probe)
        status = probe(w, err, errlen);
    if (status == APR_SUCCESS)
        *out = w;
    else
        webdav_free(w);
    return status;
}

static apr_status_t open_uri(vfs_t **out, const char *uri, char *err, size_t errlen,
                             apr_pool_t *pool, apr_pool_t *own)
{
    webdav_options_t o = {.skip_max = SKIP_MAX, .probe = 1};
    const remote_options_t known = {&o.remote, "conditions, locks, probe, skip_max", set_option};
    vfs_caps_t caps = {.size = sizeof(caps),
                       .bits =
                           VFS_CAP_WRITE | VFS_CAP_DIRS | VFS_CAP_COMMIT | VFS_CAP_RENAME_NOREPLACE,
                       .time_granularity_ns = GRANULARITY_NS,
                       .file_size_max = INT64_MAX,
                       .name_max = VFS_NAME_MAX,
                       .round_trip_us = ROUND_TRIP_US};
    const char *options = NULL;
    webdav_t *w = NULL;
    remote__config_init(&o.remote);
    const char *complaint = remote__uri(&o.remote, as_http(uri, own), &options, own);
    if (complaint != NULL) {
        (void)snprintf(err, errlen, "dav: %s", complaint); /* the URI may hold a password */
        return APR_EINVAL;
    }
    apr_status_t status = remote__options(options, &known, &o, err, errlen, own);
    if (status == APR_SUCCESS) status = webdav_new(&w, &o, err, errlen);
    if (status != APR_SUCCESS) return status;
    /* either is enough to keep others out between the question and the deed */
    if (atomic_load(&w->locks) == WEBDAV_YES || atomic_load(&w->conditions) == WEBDAV_YES)
        caps.bits |= VFS_CAP_CONDITIONAL | VFS_CAP_EXCL_CREATE;
    status = vfs_create(out, &webdav__ops, NULL, w, &caps, pool);
    if (status == APR_SUCCESS)
        w->pool = own;
    else
        webdav_free(w);
    return status;
}

apr_status_t vfs_webdav_create(vfs_t **out, const char *uri, char *err, size_t errlen,
                               apr_pool_t *pool)
{
    return remote__open(out, uri, err, errlen, pool, open_uri);
}
