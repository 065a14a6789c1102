/*
 * inodes.c - the table of what the kernel knows: inodes, and the names that lead to them.
 * Floor 4, private to mount/.
 *
 * An inode is a file of the stack, by its identity (device, inode number) where the backend has a
 * stable one: so two names of one file are one inode, and a file keeps it wherever it moves. Where
 * there is none, the name is all there is to know, and each is an inode of its own, with a number
 * that no other has at that time.
 *
 * Names are edges of a tree: (directory, text) -> inode. A path is put together by going up from an
 * inode, so a directory that moves takes all below it along by one change of one edge. A path that
 * is in use counts on each of its edges; an edge that is in use does not change (paths.c).
 *
 * What others do below shows in look-ups: a name that leads to another inode than before is
 * changed, a directory that is found in another place moves there.
 */
#include "mount/mount.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SIZE_FIRST 1024u
#define GOLDEN 0x9e3779b97f4a7c15ull

/* ---- hash tables */

static size_t id_slot(const table_t *table, uint64_t dev, uint64_t ino)
{
    uint64_t mixed = (ino ^ (dev << 32 | dev >> 32)) * GOLDEN;
    return (size_t)(mixed >> 32) & (table->id_size - 1);
}

static uint32_t name_hash(const inode_t *dir, const char *name, size_t len)
{
    uint64_t mixed = ((uint64_t)(uintptr_t)dir ^ vfs_path_hash(name, len)) * GOLDEN;
    return (uint32_t)(mixed >> 32);
}

/* Twice as many buckets; if there is no memory for them chains get longer. */
static void grow_ids(table_t *table)
{
    size_t old_size = table->id_size;
    inode_t **old = table->by_id, **wider = calloc(old_size * 2, sizeof(*wider));
    if (wider == NULL) return;
    table->by_id = wider;
    table->id_size = old_size * 2;
    for (size_t i = 0; i < old_size; i++) {
        for (inode_t *inode = old[i], *next; inode != NULL; inode = next) {
            inode_t **slot = &wider[id_slot(table, inode->dev, inode->ino)];
            next = inode->chain;
            inode->chain = *slot;
            *slot = inode;
        }
    }
    free(old);
}

static void grow_names(table_t *table)
{
    size_t old_size = table->name_size;
    name_t **old = table->by_name, **wider = calloc(old_size * 2, sizeof(*wider));
    if (wider == NULL) return;
    table->by_name = wider;
    table->name_size = old_size * 2;
    for (size_t i = 0; i < old_size; i++) {
        for (name_t *name = old[i], *next; name != NULL; name = next) {
            name_t **slot = &wider[name->hash & (table->name_size - 1)];
            next = name->chain;
            name->chain = *slot;
            *slot = name;
        }
    }
    free(old);
}

/* ---- inodes */

static inode_t *find_id(const table_t *table, inode_key_e key, uint64_t dev, uint64_t ino)
{
    inode_t *inode = table->by_id[id_slot(table, dev, ino)];
    while (inode != NULL && (inode->ino != ino || inode->dev != dev || inode->hashed != key))
        inode = inode->chain;
    return inode;
}

void mount__inode_unhash(table_t *table, inode_t *inode)
{
    if (inode->hashed == KEY_NONE) return;
    inode_t **at = &table->by_id[id_slot(table, inode->dev, inode->ino)];
    while (*at != inode)
        at = &(*at)->chain;
    *at = inode->chain;
    inode->chain = NULL;
    inode->hashed = KEY_NONE;
    table->id_count--;
}

static void hash_id(table_t *table, inode_t *inode, inode_key_e key, uint64_t dev, uint64_t ino)
{
    if (table->id_count >= table->id_size) grow_ids(table);
    inode_t **slot = &table->by_id[id_slot(table, dev, ino)];
    inode->dev = dev;
    inode->ino = ino;
    inode->chain = *slot;
    inode->hashed = key;
    *slot = inode;
    table->id_count++;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
    uint64_t mixed = (a * GOLDEN) ^ b;
    mixed = (mixed ^ (mixed >> 29)) * 0xbf58476d1ce4e5b9ull;
    return (mixed ^ (mixed >> 32)) | 1; /* 0 is no number */
}

uint64_t mount__inode_number(const table_t *table, const vfs_attr_t *attr, const inode_t *dir,
                             const char *name)
{
    if (!(attr->flags & VFS_ATTR_STABLE_ID))
        return mix(dir->number, vfs_path_hash(name, strlen(name)));
    return attr->dev == table->root.attr.dev ? attr->ino : mix(attr->dev, attr->ino);
}

static int in_use(const inode_t *inode)
{
    if (inode->lookups > 0 || inode->children > 0 || inode->dirs > 0 || inode->files != NULL)
        return 1;
    for (const name_t *name = inode->names; name != NULL; name = name->next)
        if (name->uses > 0 || name->taken) return 1;
    return 0;
}

/* A directory may go with the last that was in it, and so on upwards: a list instead of a
 * recursion. */
void mount__inode_drop(table_t *table, inode_t *inode)
{
    inode_t *dying = NULL;
    if (inode == &table->root || in_use(inode)) return;
    mount__inode_unhash(table, inode);
    dying = inode; /* linked by chain, which it needs no more */
    while (dying != NULL) {
        inode_t *one = dying;
        dying = one->chain;
        while (one->names != NULL) {
            inode_t *dir = one->names->dir;
            mount__name_remove(table, one->names);
            if (dir == &table->root || in_use(dir)) continue;
            mount__inode_unhash(table, dir);
            dir->chain = dying;
            dying = dir;
        }
        table->inodes--;
        *one->all_at = one->all_next;
        if (one->all_next != NULL) one->all_next->all_at = one->all_at;
        free(one);
    }
}

void mount__inode_forget(table_t *table, inode_t *inode, uint64_t lookups)
{
    (void)pthread_mutex_lock(&table->mutex);
    VFS_ASSERT(inode->lookups >= lookups);
    inode->lookups -= lookups;
    mount__inode_drop(table, inode);
    (void)pthread_mutex_unlock(&table->mutex);
}

void mount__inode_told(table_t *table, inode_t *inode, const vfs_attr_t *attr)
{
    (void)pthread_mutex_lock(&table->mutex);
    inode->attr = *attr;
    (void)pthread_mutex_unlock(&table->mutex);
}

int mount__inode_removed(table_t *table, inode_t *inode, vfs_attr_t *attr)
{
    (void)pthread_mutex_lock(&table->mutex);
    int gone = inode != &table->root && inode->names == NULL && inode->hashed != KEY_IDENTITY;
    *attr = inode->attr;
    (void)pthread_mutex_unlock(&table->mutex);
    return gone;
}

/* ---- names */

name_t *mount__name_find(const table_t *table, const inode_t *dir, const char *name, size_t len)
{
    uint32_t hash = name_hash(dir, name, len);
    name_t *found = table->by_name[hash & (table->name_size - 1)];
    while (found != NULL && (found->hash != hash || found->dir != dir || found->len != len ||
                             memcmp(found->text, name, len) != 0))
        found = found->chain;
    return found;
}

name_t *mount__name_add(table_t *table, inode_t *dir, const char *text, inode_t *inode)
{
    size_t len = strlen(text);
    name_t *name = calloc(1, sizeof(*name) + len + 1);
    if (name == NULL) return NULL;
    if (table->name_count >= table->name_size) grow_names(table);
    memcpy(name->text, text, len + 1);
    name->number = ++table->names_made;
    name->len = (uint16_t)len;
    name->hash = name_hash(dir, text, len);
    name->dir = dir;
    name->inode = inode;
    name->next = inode->names;
    inode->names = name;
    dir->children++;
    dir->turns++;
    name_t **slot = &table->by_name[name->hash & (table->name_size - 1)];
    name->chain = *slot;
    *slot = name;
    table->name_count++;
    return name;
}

void mount__name_remove(table_t *table, name_t *name)
{
    VFS_ASSERT(name->uses == 0);
    name_t **at = &table->by_name[name->hash & (table->name_size - 1)];
    while (*at != name)
        at = &(*at)->chain;
    *at = name->chain;
    at = &name->inode->names;
    while (*at != name)
        at = &(*at)->next;
    *at = name->next;
    name->dir->children--;
    name->dir->turns++;
    table->name_count--;
    free(name);
}

/* ---- look-ups */

static int is_below(const table_t *table, const inode_t *dir, const inode_t *top)
{
    while (dir != top && dir != &table->root && dir->names != NULL)
        dir = dir->names->dir;
    return dir == top;
}

/* The inode that these attributes are of, if it is known. `name` leads to it, or NULL. */
static inode_t *find_inode(table_t *table, const name_t *name, const vfs_attr_t *attr,
                           inode_t *source)
{
    if (source != NULL) return source;
    if (!(attr->flags & VFS_ATTR_STABLE_ID))
        return name != NULL && name->inode->hashed != KEY_IDENTITY &&
                       name->inode->attr.type == attr->type
                   ? name->inode
                   : NULL;
    inode_t *inode = find_id(table, KEY_IDENTITY, attr->dev, attr->ino);
    if (inode == NULL || inode->attr.type == attr->type) return inode;
    mount__inode_unhash(table, inode); /* it is gone, and its number is another file's */
    return NULL;
}

/* A name that leads elsewhere, or has become another: away with it. 0: it is in use. */
static int let_go(table_t *table, name_t *name)
{
    if (name->uses > 0 || name->taken) return 0;
    inode_t *inode = name->inode;
    inode_t *dir = name->dir;
    mount__name_remove(table, name);
    mount__inode_drop(table, inode);
    mount__inode_drop(table, dir);
    return 1;
}

/* A file keeps its number wherever it moves, so another one may have that of this name. */
static void number_inode(table_t *table, inode_t *inode, const vfs_attr_t *attr, const inode_t *dir,
                         const char *name)
{
    inode->number = mount__inode_number(table, attr, dir, name);
    if (attr->flags & VFS_ATTR_STABLE_ID) {
        hash_id(table, inode, KEY_IDENTITY, attr->dev, attr->ino);
        return;
    }
    while (find_id(table, KEY_NUMBER, 0, inode->number) != NULL)
        inode->number = mix(inode->number, inode->generation);
    hash_id(table, inode, KEY_NUMBER, 0, inode->number);
}

static inode_t *make_inode(table_t *table, const vfs_attr_t *attr, const inode_t *dir,
                           const char *name)
{
    errno = ENFILE;
    if (table->inodes >= table->inodes_max) return NULL;
    inode_t *inode = calloc(1, sizeof(*inode));
    errno = ENOMEM;
    if (inode == NULL) return NULL;
    inode->generation = ++table->generation;
    number_inode(table, inode, attr, dir, name);
    table->inodes++;
    inode->all_next = table->all;
    inode->all_at = &table->all;
    if (table->all != NULL) table->all->all_at = &inode->all_next;
    table->all = inode;
    inode->attr = *attr;
    return inode;
}

/* Others may have taken the rest of its names away. */
static void put_first(name_t *name)
{
    for (name_t *before = name->inode->names; before != NULL; before = before->next) {
        if (before->next != name) continue;
        before->next = name->next;
        name->next = name->inode->names;
        name->inode->names = name;
        return;
    }
}

/* One attempt. 0: wait, and try again. */
static int learn_once(table_t *table, inode_t *dir, const char *text, const vfs_attr_t *attr,
                      inode_t *source, inode_t **out)
{
    name_t *name = mount__name_find(table, dir, text, strlen(text));
    inode_t *inode = find_inode(table, name, attr, source);
    *out = inode;
    if (name != NULL && inode != NULL && name->inode == inode) {
        put_first(name);
        return 1;
    }
    if (inode != NULL) inode->lookups++; /* so that it stays */
    int free_now = name == NULL || let_go(table, name);
    if (free_now && inode != NULL && attr->type == VFS_TYPE_DIR) {
        if (inode == &table->root || is_below(table, dir, inode)) {
            inode->lookups--;
            errno = ESTALE;
            *out = NULL;
            return 1;
        }
        if (inode->names != NULL) free_now = let_go(table, inode->names);
    }
    if (inode != NULL) inode->lookups--;
    if (!free_now) return 0;
    if (inode == NULL) inode = make_inode(table, attr, dir, text);
    *out = inode;
    if (inode != NULL && mount__name_add(table, dir, text, inode) == NULL) {
        mount__inode_drop(table, inode);
        errno = ENOMEM;
        *out = NULL;
    }
    return 1;
}

inode_t *mount__inode_learn(table_t *table, inode_t *dir, const char *name, const vfs_attr_t *attr,
                            inode_t *source)
{
    inode_t *inode = NULL;
    (void)pthread_mutex_lock(&table->mutex);
    dir->lookups++; /* it stays while we wait */
    while (!learn_once(table, dir, name, attr, source, &inode))
        mount__table_wait(table);
    dir->lookups--;
    if (inode != NULL) {
        inode->lookups++;
        inode->attr = *attr;
    }
    (void)pthread_mutex_unlock(&table->mutex);
    return inode;
}

uint64_t mount__name_known(table_t *table, inode_t *dir, const char *name)
{
    (void)pthread_mutex_lock(&table->mutex);
    const name_t *known = mount__name_find(table, dir, name, strlen(name));
    uint64_t number = known != NULL ? known->number : 0;
    (void)pthread_mutex_unlock(&table->mutex);
    return number;
}

void mount__name_gone(table_t *table, inode_t *dir, const char *name, uint64_t number)
{
    (void)pthread_mutex_lock(&table->mutex);
    name_t *known = mount__name_find(table, dir, name, strlen(name));
    if (known != NULL && known->number == number) (void)let_go(table, known); /* or it is in use */
    (void)pthread_mutex_unlock(&table->mutex);
}

/* ---- waiting, life */

void mount__table_wait(table_t *table)
{
    table->waiting++;
    (void)pthread_cond_wait(&table->changed, &table->mutex);
    table->waiting--;
}

void mount__table_wake(table_t *table)
{
    if (table->waiting > 0) (void)pthread_cond_broadcast(&table->changed);
}

int mount__table_init(table_t *table, const vfs_attr_t *root, uint64_t inodes_max)
{
    memset(table, 0, sizeof(*table));
    table->id_size = table->name_size = SIZE_FIRST;
    table->by_id = calloc(SIZE_FIRST, sizeof(*table->by_id));
    table->by_name = calloc(SIZE_FIRST, sizeof(*table->by_name));
    if (table->by_id == NULL || table->by_name == NULL) {
        free(table->by_id);
        free(table->by_name);
        return ENOMEM;
    }
    (void)pthread_mutex_init(&table->mutex, NULL);
    (void)pthread_cond_init(&table->changed, NULL);
    table->inodes_max = inodes_max;
    table->root.attr = *root;
    number_inode(table, &table->root, root, &table->root, "/");
    return 0;
}

/* Nobody is in a call, and no file is open. */
void mount__table_end(table_t *table)
{
    for (size_t i = 0; i < table->name_size; i++) {
        for (name_t *name = table->by_name[i], *next; name != NULL; name = next) {
            next = name->chain;
            free(name);
        }
    }
    for (inode_t *inode = table->all, *next; inode != NULL; inode = next) {
        next = inode->all_next;
        free(inode);
    }
    free(table->by_id);
    free(table->by_name);
    (void)pthread_cond_destroy(&table->changed);
    (void)pthread_mutex_destroy(&table->mutex);
}
