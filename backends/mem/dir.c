/*
 * dir.c - the entries of one directory. Floor 2. Knows no paths and no users.
 *
 * A chained hash table finds a name. Beside it stands an array of (seq, entry), in which a new
 * entry goes to the end: seq only grows, so the array is sorted, and a seq is a cookie that stays
 * good whatever comes and goes. A removed entry leaves its place empty; when half of the places are
 * empty they are squeezed out.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/mem/mem.h"

mem_dirent_t *mem__dir_find(const mem_dir_t *dir, const char *name, uint32_t len, uint32_t hash)
{
    if (dir->nbuckets == 0) return NULL;
    mem_dirent_t *entry = dir->buckets[hash & (dir->nbuckets - 1)];
    while (entry != NULL &&
           (entry->hash != hash || entry->len != len || memcmp(entry->name, name, len) != 0))
        entry = entry->next;
    return entry;
}

static apr_status_t dir_grow_table(mem_dir_t *dir)
{
    size_t more = dir->nbuckets == 0 ? 8 : dir->nbuckets * 2;
    mem_dirent_t **buckets;

    if (dir->count < dir->nbuckets) return APR_SUCCESS;
    buckets = calloc(more, sizeof(*buckets));
    if (buckets == NULL) return APR_ENOMEM;
    for (size_t i = 0; i < dir->nbuckets; i++) {
        mem_dirent_t *entry = dir->buckets[i];
        while (entry != NULL) {
            mem_dirent_t *next = entry->next;
            entry->next = buckets[entry->hash & (more - 1)];
            buckets[entry->hash & (more - 1)] = entry;
            entry = next;
        }
    }
    free(dir->buckets);
    dir->buckets = buckets;
    dir->nbuckets = more;
    return APR_SUCCESS;
}

static void dir_squeeze(mem_dir_t *dir)
{
    size_t to = 0;

    for (size_t i = dir->first; i < dir->used; i++) {
        if (dir->order[i].entry != NULL) dir->order[to++] = dir->order[i];
    }
    VFS_ASSERT(to == dir->count);
    dir->first = 0;
    dir->used = to;
}

static apr_status_t dir_grow_order(mem_dir_t *dir)
{
    if (dir->used < dir->room) return APR_SUCCESS;
    if (dir->used > 16 && dir->used / 2 > dir->count) {
        dir_squeeze(dir);
        return APR_SUCCESS;
    }
    size_t more = dir->room == 0 ? 8 : dir->room * 2;
    mem_place_t *order = realloc(dir->order, more * sizeof(*order));
    if (order == NULL) return APR_ENOMEM;
    dir->order = order;
    dir->room = more;
    return APR_SUCCESS;
}

static void alias_add(mem_dirent_t *entry, mem_inode_t *inode)
{
    entry->inode = inode;
    entry->before = NULL;
    entry->after = inode->names;
    if (inode->names != NULL) inode->names->before = entry;
    inode->names = entry;
}

static mem_inode_t *alias_remove(mem_dirent_t *entry)
{
    mem_inode_t *inode = entry->inode;

    if (entry->after != NULL) entry->after->before = entry->before;
    if (entry->before != NULL)
        entry->before->after = entry->after;
    else
        inode->names = entry->after;
    entry->inode = NULL;
    return inode;
}

apr_status_t mem__dir_add(mem_inode_t *dir_inode, const char *name, uint32_t len, uint32_t hash,
                          mem_inode_t *inode)
{
    mem_dir_t *dir = &dir_inode->u.dir;
    mem_dirent_t *entry = malloc(sizeof(*entry) + len + 1);

    VFS_DEBUG_ASSERT(mem__dir_find(dir, name, len, hash) == NULL);
    if (entry == NULL || dir_grow_table(dir) != APR_SUCCESS || dir_grow_order(dir) != APR_SUCCESS) {
        free(entry);
        return APR_ENOMEM;
    }
    memcpy(entry->name, name, len);
    entry->name[len] = '\0';
    entry->len = len;
    entry->hash = hash;
    entry->parent = dir_inode;
    entry->seq = ++dir->seq;
    entry->next = dir->buckets[hash & (dir->nbuckets - 1)];
    dir->buckets[hash & (dir->nbuckets - 1)] = entry;
    dir->order[dir->used].seq = entry->seq;
    dir->order[dir->used].entry = entry;
    dir->used++;
    dir->count++;
    alias_add(entry, inode);
    return APR_SUCCESS;
}

/* The first place whose seq is above `after`. */
static size_t dir_above(const mem_dir_t *dir, uint64_t after)
{
    size_t low = dir->first, high = dir->used;

    while (low < high) {
        size_t mid = low + (high - low) / 2;
        if (dir->order[mid].seq > after)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

mem_inode_t *mem__dir_remove(mem_dirent_t *entry)
{
    mem_dir_t *dir = &entry->parent->u.dir;
    mem_dirent_t **at = &dir->buckets[entry->hash & (dir->nbuckets - 1)];
    size_t place = dir_above(dir, entry->seq - 1);
    mem_inode_t *inode;

    while (*at != entry)
        at = &(*at)->next;
    *at = entry->next;
    VFS_ASSERT(place < dir->used && dir->order[place].entry == entry);
    dir->order[place].entry = NULL;
    dir->count--;
    while (dir->first < dir->used && dir->order[dir->first].entry == NULL)
        dir->first++;
    if (dir->used - dir->first > 16 && (dir->used - dir->first) / 2 > dir->count) dir_squeeze(dir);
    inode = alias_remove(entry);
    free(entry);
    return inode;
}

mem_inode_t *mem__dir_swap(mem_dirent_t *entry, mem_inode_t *inode)
{
    mem_inode_t *old = alias_remove(entry);

    alias_add(entry, inode);
    return old;
}

mem_dirent_t *mem__dir_next(const mem_dir_t *dir, uint64_t after, uint64_t limit, size_t *hint)
{
    size_t at = *hint;

    if (at == 0 || at > dir->used || at <= dir->first || dir->order[at - 1].seq != after)
        at = dir_above(dir, after);
    while (at < dir->used && dir->order[at].entry == NULL)
        at++;
    *hint = at + 1;
    if (at == dir->used || dir->order[at].seq > limit) return NULL;
    return dir->order[at].entry;
}

void mem__dir_free(mem_dir_t *dir)
{
    VFS_ASSERT(dir->count == 0);
    free(dir->buckets);
    free(dir->order);
    memset(dir, 0, sizeof(*dir));
}
