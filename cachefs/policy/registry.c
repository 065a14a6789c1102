/*
 * registry.c - the eviction policies by name.
 * Floor 2. Knows the library's own, and keeps copies of the tables of others.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/policy/policies.h"

static const cachefs_policy_ops_t *const own[] = {
    &cachefs__policy_lru,      &cachefs__policy_lfu,    &cachefs__policy_ttl,
    &cachefs__policy_hybrid,   &cachefs__policy_fifo,   &cachefs__policy_clock,
    &cachefs__policy_slru,     &cachefs__policy_arc,    &cachefs__policy_lirs,
    &cachefs__policy_clockpro, &cachefs__policy_s3fifo, &cachefs__policy_sieve,
    &cachefs__policy_wtinylfu, &cachefs__policy_auto,
};
#define OWN_COUNT (sizeof(own) / sizeof(own[0]))

/* One table of somebody else. Tables are never freed: an instance may still use one that was
 * replaced. */
typedef struct registered_t registered_t;
struct registered_t {
    cachefs_policy_ops_t ops; /* const once it is linked */
    registered_t *next;       /* lock: in order of registration */
    registered_t *replaced;   /* lock: the table that had the name before */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static registered_t *registered; /* lock */

static int is_own(const char *name)
{
    size_t i;

    for (i = 0; i < OWN_COUNT; i++)
        if (strcmp(own[i]->name, name) == 0) return 1;
    return 0;
}

/* A table of an older header is shorter: what it lacks is NULL here. */
static void copy_table(cachefs_policy_ops_t *to, const cachefs_policy_ops_t *from)
{
    size_t size = from->size < sizeof(*to) ? from->size : sizeof(*to);

    memset(to, 0, sizeof(*to));
    memcpy(to, from, size);
    to->size = sizeof(*to);
}

apr_status_t cachefs_policy_register(const cachefs_policy_ops_t *ops)
{
    registered_t *entry, **at;

    VFS_CHECK_ARG(ops != NULL);
    if (ops->abi != CACHEFS_POLICY_ABI) return VFS_EABI;
    if (ops->size < offsetof(cachefs_policy_ops_t, count) + sizeof(ops->count)) return VFS_EABI;
    VFS_CHECK_ARG(ops->name != NULL && ops->name[0] != '\0' && !is_own(ops->name));
    VFS_CHECK_ARG(ops->create != NULL && ops->insert != NULL && ops->touch != NULL);
    VFS_CHECK_ARG(ops->remove != NULL && ops->victim != NULL && ops->count != NULL);
    entry = calloc(1, sizeof(*entry));
    if (entry == NULL) return APR_ENOMEM;
    copy_table(&entry->ops, ops);

    pthread_mutex_lock(&lock);
    for (at = &registered; *at != NULL; at = &(*at)->next)
        if (strcmp((*at)->ops.name, entry->ops.name) == 0) break;
    if (*at != NULL) {
        entry->next = (*at)->next;
        entry->replaced = *at;
    }
    *at = entry;
    pthread_mutex_unlock(&lock);
    return APR_SUCCESS;
}

const cachefs_policy_ops_t *cachefs_policy_find(const char *name)
{
    const cachefs_policy_ops_t *ops = NULL;
    const registered_t *entry;
    size_t i;

    if (name == NULL) return NULL;
    for (i = 0; i < OWN_COUNT; i++)
        if (strcmp(own[i]->name, name) == 0) return own[i];
    pthread_mutex_lock(&lock);
    for (entry = registered; entry != NULL && ops == NULL; entry = entry->next)
        if (strcmp(entry->ops.name, name) == 0) ops = &entry->ops;
    pthread_mutex_unlock(&lock);
    return ops;
}

const cachefs_policy_ops_t *cachefs_policy_at(size_t i)
{
    const registered_t *entry;

    if (i < OWN_COUNT) return own[i];
    pthread_mutex_lock(&lock);
    entry = registered;
    for (i -= OWN_COUNT; entry != NULL && i > 0; i--)
        entry = entry->next;
    pthread_mutex_unlock(&lock);
    return entry != NULL ? &entry->ops : NULL;
}
