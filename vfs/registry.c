/*
 * registry.c - schemes: which function opens which kind of URI, and plug-ins that bring more of
 * them. Floor 1. Knows no backend: they register themselves.
 */
#include <ctype.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <apr_allocator.h>
#include <apr_dso.h>
#include <apr_general.h>

#include "vfs/internal.h"

#define ERR_MAX 512

typedef struct scheme_t {
    struct scheme_t *next; /* alphabetical */
    vfs_scheme_open_fn open;
    char name[]; /* lower case */
} scheme_t;

/* Guards the list and the one initialisation of APR; a leaf. Entries stay until the process ends.
 */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static scheme_t *schemes;
static int apr_is_ours;

/* What plug-ins live in; never freed, so no code that we may call is ever unloaded. */
typedef struct loaded_t {
    struct loaded_t *next;
    apr_allocator_t *allocator;
    apr_pool_t *pool;
} loaded_t;
static loaded_t *loaded; /* guarded by mutex */

/* Bytes of the scheme that `uri` begins with (RFC 3986, 3.1), 0 without one. */
static size_t scheme_len(const char *uri, char end)
{
    size_t len = 0;
    if (!isalpha((unsigned char)uri[0])) return 0;
    while (isalnum((unsigned char)uri[len]) || (uri[len] != '\0' && strchr("+-.", uri[len])))
        len++;
    return uri[len] == end ? len : 0;
}

/* The link behind which `name` stands, or would. */
static scheme_t **find(const char *name, size_t len, int *found)
{
    scheme_t **link = &schemes;
    *found = 0;
    for (; *link != NULL; link = &(*link)->next) {
        int order = strncasecmp((*link)->name, name, len);
        if (order == 0 && (*link)->name[len] != '\0') order = 1;
        *found = order == 0;
        if (order >= 0) break;
    }
    return link;
}

apr_status_t vfs_register_scheme(const char *scheme, vfs_scheme_open_fn open)
{
    VFS_CHECK_ARG(scheme != NULL && open != NULL);
    size_t len = scheme_len(scheme, '\0');
    VFS_CHECK_ARG(len > 0);
    scheme_t *entry = malloc(sizeof(*entry) + len + 1);
    if (entry == NULL) return APR_ENOMEM;
    for (size_t i = 0; i <= len; i++)
        entry->name[i] = (char)tolower((unsigned char)scheme[i]);
    entry->open = open;
    int found;
    pthread_mutex_lock(&mutex);
    scheme_t **link = find(scheme, len, &found);
    if (found) {
        (*link)->open = open;
    } else {
        entry->next = *link;
        *link = entry;
        entry = NULL;
    }
    pthread_mutex_unlock(&mutex);
    free(entry);
    return APR_SUCCESS;
}

static vfs_scheme_open_fn open_of(const char *name, size_t len)
{
    int found;
    pthread_mutex_lock(&mutex);
    scheme_t **link = find(name, len, &found);
    vfs_scheme_open_fn open = found ? (*link)->open : NULL;
    pthread_mutex_unlock(&mutex);
    return open;
}

void vfs_each_scheme(void (*fn)(void *baton, const char *scheme), void *baton)
{
    pthread_mutex_lock(&mutex);
    scheme_t *at = schemes;
    while (at != NULL) {
        pthread_mutex_unlock(&mutex); /* entries never go, so `at` is good without the lock */
        fn(baton, at->name);
        pthread_mutex_lock(&mutex);
        at = at->next;
    }
    pthread_mutex_unlock(&mutex);
}

typedef struct list_t {
    char text[ERR_MAX / 2];
    size_t len;
} list_t;

static void add_name(void *baton, const char *scheme)
{
    list_t *list = baton;
    size_t room = sizeof(list->text) - list->len;
    int n = snprintf(list->text + list->len, room, "%s%s", list->len > 0 ? ", " : "", scheme);
    if (n > 0 && (size_t)n < room) list->len += (size_t)n;
    list->text[list->len] = '\0'; /* a name that does not fit is left out whole */
}

/* What is wrong with an argument that no registered scheme opens. */
static void explain(char *err, size_t errlen, const char *uri, size_t scheme)
{
    list_t known = {{0}, 0};
    vfs_each_scheme(add_name, &known);
    const char *names = known.len > 0 ? known.text : "none";
    int shown = (int)strcspn(uri, "?@"); /* what is behind these may be secret */
    if (shown > 200) shown = 200;
    if (scheme > 0)
        (void)snprintf(err, errlen, "unknown scheme \"%.*s\": known ones are %s", (int)scheme, uri,
                       names);
    else if (uri[0] == '/')
        (void)snprintf(err, errlen, "\"%.*s\" has no scheme: try file://%.*s (known schemes: %s)",
                       shown, uri, shown, uri, names);
    else
        (void)snprintf(err, errlen,
                       "\"%.*s\" has no scheme: try file:///DIR, with the full path of the "
                       "directory (known schemes: %s)",
                       shown, uri, names);
}

apr_status_t vfs_open_uri(vfs_t **out, const char *uri, char *err, size_t errlen, apr_pool_t *pool)
{
    char unread[ERR_MAX];
    if (err == NULL || errlen == 0) err = unread, errlen = sizeof(unread);
    err[0] = '\0';
    VFS_CHECK_ARG(out != NULL && pool != NULL);
    *out = NULL;
    if (uri == NULL || uri[0] == '\0') {
        (void)snprintf(err, errlen, "no URI: an origin looks like file:///DIR");
        return APR_EINVAL;
    }
    size_t len = scheme_len(uri, ':');
    vfs_scheme_open_fn open = len > 0 ? open_of(uri, len) : NULL;
    if (open == NULL) {
        explain(err, errlen, uri, len);
        return len > 0 ? APR_ENOTIMPL : APR_EINVAL;
    }
    apr_status_t status = open(out, uri, err, errlen, pool);
    if (status == APR_SUCCESS) {
        vfs__assert_fs(*out);
        return APR_SUCCESS;
    }
    *out = NULL;
    if (err[0] == '\0') vfs_strerror(status, err, errlen);
    return status;
}

/* ---- plug-ins */

/* Keep APR alive: apr_initialize counts, and we never take ours back. */
static apr_status_t hold_apr(void)
{
    apr_status_t status = APR_SUCCESS;
    pthread_mutex_lock(&mutex);
    if (!apr_is_ours) {
        status = apr_initialize();
        apr_is_ours = status == APR_SUCCESS;
    }
    pthread_mutex_unlock(&mutex);
    return status;
}

/* Memory that stands under no pool of the program, so that it may stay until the process ends. */
static apr_status_t loaded_create(loaded_t **out)
{
    loaded_t *entry = calloc(1, sizeof(*entry));
    if (entry == NULL) return APR_ENOMEM;
    apr_status_t status = apr_allocator_create(&entry->allocator);
    if (status == APR_SUCCESS)
        status = apr_pool_create_unmanaged_ex(&entry->pool, NULL, entry->allocator);
    if (status != APR_SUCCESS) {
        if (entry->allocator != NULL) apr_allocator_destroy(entry->allocator);
        free(entry);
        return status;
    }
    apr_allocator_owner_set(entry->allocator, entry->pool);
    *out = entry;
    return APR_SUCCESS;
}

static void keep(loaded_t *entry)
{
    pthread_mutex_lock(&mutex);
    entry->next = loaded;
    loaded = entry;
    pthread_mutex_unlock(&mutex);
}

static apr_status_t load(const char *file, vfs_plugin_init_fn *init, char *err, size_t errlen,
                         apr_pool_t *pool)
{
    apr_dso_handle_t *dso = NULL;
    apr_dso_handle_sym_t symbol = NULL;
    char why[ERR_MAX / 2] = "";
    apr_status_t status = apr_dso_load(&dso, file, pool);
    if (status != APR_SUCCESS) {
        (void)apr_dso_error(dso, why, sizeof(why));
        (void)snprintf(err, errlen, "cannot load the plug-in \"%.200s\": %s", file, why);
        return APR_EDSOOPEN;
    }
    status = apr_dso_sym(&symbol, dso, "vfs_plugin_init");
    if (status != APR_SUCCESS || symbol == NULL) {
        (void)snprintf(err, errlen, "\"%.200s\" is no plug-in: it has no vfs_plugin_init", file);
        return APR_ESYMNOTFOUND;
    }
    memcpy(init, &symbol, sizeof(*init)); /* POSIX lets an object pointer carry a function here */
    return APR_SUCCESS;
}

apr_status_t vfs_load_plugin(const char *file, char *err, size_t errlen)
{
    char unread[ERR_MAX];
    vfs_plugin_init_fn init = NULL;
    loaded_t *entry = NULL;
    if (err == NULL || errlen == 0) err = unread, errlen = sizeof(unread);
    err[0] = '\0';
    VFS_CHECK_ARG(file != NULL && file[0] != '\0');
    apr_status_t status = hold_apr();
    if (status == APR_SUCCESS) status = loaded_create(&entry);
    if (status != APR_SUCCESS) return status;
    status = load(file, &init, err, errlen, entry->pool);
    if (status != APR_SUCCESS) {
        apr_pool_destroy(entry->pool); /* unloads what was loaded */
        free(entry);
        return status;
    }
    /* From here on it stays loaded, also if it fails: it may have registered something already. */
    keep(entry);
    status = init(VFS_ABI, entry->pool);
    if (status == APR_SUCCESS) return APR_SUCCESS;
    char why[ERR_MAX / 2];
    (void)snprintf(err, errlen, "the plug-in \"%.200s\" refused to start: %s", file,
                   vfs_strerror(status, why, sizeof(why)));
    return status;
}
