/*
 * replay_names.c - the names that a recovery concerns, and what has to do with them.
 * Floor 2, private to cachefs/store/.
 *
 * All names that an object may have, and both of a change of names that is not retired: sorted, so
 * that what is below a path lies together.
 */
#include <stdlib.h>
#include <string.h>

#include "cachefs/store/replay_private.h"

struct cachefs__jnames_t {
    char **at;
    size_t count, room;
};

static int add(cachefs__jnames_t *n, const char *name)
{
    if (!name) return 1;
    if (n->count == n->room) {
        size_t room = n->room ? n->room * 2 : 64;
        char **at = realloc(n->at, room * sizeof(*at));
        if (!at) return 0;
        n->at = at;
        n->room = room;
    }
    n->at[n->count] = strdup(name);
    return n->at[n->count++] != NULL;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

cachefs__jnames_t *cachefs__replay_names(const cachefs__replay_t *r)
{
    cachefs__jnames_t *n = calloc(1, sizeof(*n));
    int good = n != NULL;
    for (size_t i = 0; i < r->nitems && good; i++) {
        const item_t *it = r->items[i];
        int move = it->from && it->last > it->retired;
        if (move) good = add(n, it->from) && add(n, it->to);
        for (size_t k = 0; k < it->npaths && cachefs__replay_wanted(it) && good; k++)
            good = add(n, it->paths[k]);
    }
    if (!good) {
        cachefs__jnames_free(n);
        return NULL;
    }
    if (n->count) qsort(n->at, n->count, sizeof(*n->at), by_bytes);
    return n;
}

/* The first that is not before `key`. */
static const char *from(const cachefs__jnames_t *n, const char *key)
{
    size_t a = 0, b = n->count;
    while (a < b) {
        size_t mid = a + (b - a) / 2;
        if (strcmp(n->at[mid], key) < 0)
            a = mid + 1;
        else
            b = mid;
    }
    return a < n->count ? n->at[a] : "";
}

cachefs__jnear_e cachefs__jnames_near(const cachefs__jnames_t *names, const char *path, size_t len)
{
    char key[VFS_PATH_MAX + 2];
    VFS_ASSERT(len > 0 && len <= VFS_PATH_MAX && path[0] == '/');
    for (size_t k = 1; k <= len; k++) { /* it, and all that it is below */
        if (k < len && path[k] != '/') continue;
        memcpy(key, path, k);
        key[k] = 0;
        if (strcmp(from(names, key), key) == 0) return JOURNAL_NEAR;
    }
    if (len > 1) key[len++] = '/';
    key[len] = 0;
    return strncmp(from(names, key), key, len) == 0 ? JOURNAL_ABOVE : JOURNAL_FAR;
}

void cachefs__jnames_free(cachefs__jnames_t *names)
{
    if (!names) return;
    for (size_t i = 0; i < names->count; i++)
        free(names->at[i]);
    free(names->at);
    free(names);
}
