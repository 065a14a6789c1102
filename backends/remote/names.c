/*
 * names.c - the names of a listing. Floor 2. They come from outside: only what is one component is
 * taken.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/remote/files.h"

#define NAMES_MAX (8u << 20)

static int is_component(const char *name, size_t len)
{
    if (len == 0 || len > VFS_NAME_MAX) return 0;
    if (memchr(name, '/', len) != NULL || memchr(name, '\0', len) != NULL) return 0;
    return !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

apr_status_t remote__names_add(remote_names_t *names, const char *name, size_t len,
                               const remote_entry_t *like)
{
    if (!is_component(name, len)) return APR_SUCCESS;
    if (names->count == NAMES_MAX) return VFS_ELIMIT;
    if (names->count == names->room) {
        size_t room = names->room > 0 ? 2 * names->room : 64;
        remote_entry_t *entries = realloc(names->entries, room * sizeof(*entries));
        if (entries == NULL) return APR_ENOMEM;
        names->entries = entries;
        names->room = room;
    }
    remote_entry_t *entry = &names->entries[names->count];
    *entry = *like;
    entry->name = strndup(name, len);
    if (entry->name == NULL) return APR_ENOMEM;
    entry->etag = like->etag != NULL ? strdup(like->etag) : NULL;
    names->count++;
    return APR_SUCCESS;
}

/* A file before a directory of the same name: where a server has both, a path means the file. */
static int by_name(const void *a, const void *b)
{
    const remote_entry_t *left = a, *right = b;
    int order = strcmp(left->name, right->name);
    return order != 0 ? order : (int)left->type - (int)right->type;
}

static void entry_free(remote_entry_t *entry)
{
    free(entry->name);
    free(entry->etag);
}

void remote__names_settle(remote_names_t *names)
{
    size_t kept = 0;
    if (names->count == 0) return;
    qsort(names->entries, names->count, sizeof(*names->entries), by_name);
    for (size_t i = 1; i < names->count; i++) {
        if (strcmp(names->entries[i].name, names->entries[kept].name) == 0)
            entry_free(&names->entries[i]);
        else
            names->entries[++kept] = names->entries[i];
    }
    names->count = kept + 1;
}

void remote__names_cut(remote_names_t *names, size_t count)
{
    while (names->count > count)
        entry_free(&names->entries[--names->count]);
}

void remote__names_free(remote_names_t *names)
{
    for (size_t i = 0; i < names->count; i++)
        entry_free(&names->entries[i]);
    free(names->entries);
    memset(names, 0, sizeof(*names));
}
