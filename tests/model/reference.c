/*
 * reference.c - the reference: a flat list of paths, an array of bytes for each file, and the
 * answers of Linux. Floor 4. Knows no backend.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/model/model.h"

#define E(code) APR_FROM_OS_ERROR(code)

static ref_node_t *node_create(int dir)
{
    ref_node_t *node = calloc(1, sizeof *node);
    node->dir = dir;
    node->mode = dir ? 0755 : 0644;
    if (!dir) node->data = calloc(1, MODEL_FILE_MAX);
    return node;
}

static void node_drop(ref_node_t *node)
{
    VFS_ASSERT(node->holds > 0);
    if (--node->holds == 0) {
        free(node->data);
        free(node);
    }
}

static void entry_add(ref_t *ref, const char *path, ref_node_t *node)
{
    VFS_ASSERT(ref->count < MODEL_ENTRIES_MAX);
    ref_entry_t *entry = &ref->entries[ref->count++];
    strcpy(entry->path, path);
    entry->node = node;
    node->nlink++;
    node->holds++;
}

static ref_entry_t *entry_find(const ref_t *ref, const char *path)
{
    for (size_t i = 0; i < ref->count; i++) {
        if (strcmp(ref->entries[i].path, path) == 0) return (ref_entry_t *)&ref->entries[i];
    }
    return NULL;
}

static void entry_remove(ref_t *ref, ref_entry_t *entry)
{
    ref_node_t *node = entry->node;
    *entry = ref->entries[--ref->count];
    node->nlink--;
    node_drop(node);
}

void ref_init(ref_t *ref, const char *base)
{
    memset(ref, 0, sizeof *ref);
    entry_add(ref, base[0] != '\0' ? base : "/", node_create(1));
}

void ref_free(ref_t *ref)
{
    for (uint32_t i = 0; i < MODEL_SLOTS; i++)
        ref_close(ref, i);
    while (ref->count > 0)
        entry_remove(ref, &ref->entries[0]);
}

ref_node_t *ref_find(const ref_t *ref, const char *path)
{
    ref_entry_t *entry = entry_find(ref, path);
    return entry != NULL ? entry->node : NULL;
}

static int is_below(const char *path, const char *dir)
{
    size_t len = strlen(dir);
    return strncmp(path, dir, len) == 0 && path[len] == '/';
}

/* Is everything above the last component a directory? What is above the base is. */
static apr_status_t check_parents(const ref_t *ref, const char *path)
{
    char prefix[MODEL_PATH_MAX];
    size_t base_len = strlen(ref->entries[0].path) == 1 ? 0 : strlen(ref->entries[0].path);
    if (strlen(path) <= base_len) return APR_SUCCESS; /* the base itself */
    for (const char *slash = strchr(path + base_len + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        memcpy(prefix, path, (size_t)(slash - path));
        prefix[slash - path] = '\0';
        ref_node_t *node = ref_find(ref, prefix);
        if (node == NULL) return APR_ENOENT;
        if (!node->dir) return APR_ENOTDIR;
    }
    return APR_SUCCESS;
}

/* Is it the last name of what is open? */
static int last_open(const ref_t *ref, const char *path)
{
    const ref_node_t *node = ref_find(ref, path);
    int open = 0;
    for (size_t i = 0; i < MODEL_SLOTS; i++)
        open |= node != NULL && ref->slots[i].node == node;
    return open && (node->dir || node->nlink == 1);
}

apr_status_t ref_lookup(const ref_t *ref, const char *path, ref_node_t **node)
{
    apr_status_t rv = check_parents(ref, path);
    *node = rv == APR_SUCCESS ? ref_find(ref, path) : NULL;
    return rv != APR_SUCCESS ? rv : *node == NULL ? APR_ENOENT : APR_SUCCESS;
}

apr_status_t ref_open(ref_t *ref, uint32_t slot, const char *path, uint32_t flags)
{
    ref_node_t *node;
    apr_status_t rv = ref_lookup(ref, path, &node);
    if (node != NULL && (flags & VFS_O_CREATE) && (flags & VFS_O_EXCL)) return APR_EEXIST;
    if (node != NULL && node->dir && (flags & (VFS_O_WRITE | VFS_O_CREATE))) return E(EISDIR);
    if (node == NULL && (rv != APR_ENOENT || !(flags & VFS_O_CREATE))) return rv;
    if (node == NULL) {
        rv = check_parents(ref, path); /* which of the names was missing? */
        if (rv != APR_SUCCESS) return rv;
        node = node_create(0);
        entry_add(ref, path, node);
    } else if (flags & VFS_O_TRUNC) {
        (void)ref_resize(node, 0); /* zero is never too large */
    }
    VFS_ASSERT(ref->slots[slot].node == NULL);
    ref->slots[slot].node = node;
    ref->slots[slot].flags = flags;
    node->holds++;
    return APR_SUCCESS;
}

void ref_close(ref_t *ref, uint32_t slot)
{
    if (ref->slots[slot].node != NULL) node_drop(ref->slots[slot].node);
    ref->slots[slot].node = NULL;
}

apr_status_t ref_resize(ref_node_t *node, uint64_t size)
{
    if (node->dir) return E(EISDIR);
    VFS_ASSERT(size <= MODEL_FILE_MAX);
    if (size < node->size) memset(node->data + size, 0, node->size - size);
    node->size = size;
    node->mtime_ns = 0;
    return APR_SUCCESS;
}

void ref_write(ref_node_t *node, uint64_t off, const void *data, size_t len)
{
    VFS_ASSERT(off + len <= MODEL_FILE_MAX);
    memmove(node->data + off, data, len);
    if (off + len > node->size) node->size = off + len;
    node->mtime_ns = 0;
}

static int has_children(const ref_t *ref, const char *path)
{
    for (size_t i = 0; i < ref->count; i++) {
        if (is_below(ref->entries[i].path, path)) return 1;
    }
    return 0;
}

/* Move the names at and below `from`; every one of them gets the prefix `to`. */
static void move_names(ref_t *ref, const char *from, const char *to)
{
    char moved[2 * MODEL_PATH_MAX];
    for (size_t i = 0; i < ref->count; i++) {
        char *path = ref->entries[i].path;
        if (strcmp(path, from) != 0 && !is_below(path, from)) continue;
        strcpy(moved, to);
        strcat(moved, path + strlen(from));
        VFS_ASSERT(strlen(moved) < MODEL_PATH_MAX);
        strcpy(path, moved);
    }
}

static apr_status_t rename_check(const ref_t *ref, const char *from, const char *to, uint32_t flags)
{
    apr_status_t rv = check_parents(ref, from);
    if (rv == APR_SUCCESS) rv = check_parents(ref, to);
    if (rv != APR_SUCCESS) return rv;
    ref_node_t *a = ref_find(ref, from), *b = ref_find(ref, to);
    if (a == NULL) return APR_ENOENT;
    if ((flags & VFS_RENAME_NOREPLACE) && b != NULL) return APR_EEXIST;
    if ((flags & VFS_RENAME_EXCHANGE) && b == NULL) return APR_ENOENT;
    if (is_below(to, from)) return APR_EINVAL;
    if (is_below(from, to)) return flags & VFS_RENAME_EXCHANGE ? APR_EINVAL : E(ENOTEMPTY);
    if (b == NULL || a == b || (flags & VFS_RENAME_EXCHANGE)) return APR_SUCCESS;
    if (a->dir && !b->dir) return APR_ENOTDIR;
    if (!a->dir && b->dir) return E(EISDIR);
    return b->dir && has_children(ref, to) ? E(ENOTEMPTY) : APR_SUCCESS;
}

int ref_rename_fails(const ref_t *ref, const char *from, const char *to, uint32_t flags,
                     apr_status_t status)
{
    const ref_node_t *a = ref_find(ref, from), *b = ref_find(ref, to);
    if (status == check_parents(ref, from) || status == check_parents(ref, to))
        return status != APR_SUCCESS;
    if (status == APR_ENOENT) return a == NULL || ((flags & VFS_RENAME_EXCHANGE) && b == NULL);
    if (status == APR_EEXIST) return (flags & VFS_RENAME_NOREPLACE) && b != NULL;
    if (status == APR_EINVAL) return is_below(to, from);
    if (status == E(ENOTEMPTY)) return is_below(from, to) || (b != NULL && has_children(ref, to));
    if (status == APR_ENOTDIR) return a != NULL && a->dir && b != NULL && !b->dir;
    return status == E(EISDIR) && a != NULL && !a->dir && b != NULL && b->dir;
}

apr_status_t ref_rename(ref_t *ref, const char *from, const char *to, uint32_t flags)
{
    apr_status_t rv = rename_check(ref, from, to, flags);
    if (rv != APR_SUCCESS || ref_find(ref, from) == ref_find(ref, to)) return rv;
    if (flags & VFS_RENAME_EXCHANGE) {
        move_names(ref, from, "/<");
        move_names(ref, to, from);
        move_names(ref, "/<", to);
        return APR_SUCCESS;
    }
    ref_entry_t *old = entry_find(ref, to);
    if (old != NULL) entry_remove(ref, old);
    move_names(ref, from, to);
    return APR_SUCCESS;
}

apr_status_t ref_unlink(ref_t *ref, const char *path)
{
    ref_node_t *node;
    apr_status_t rv = ref_lookup(ref, path, &node);
    if (rv != APR_SUCCESS) return rv;
    if (node->dir) return E(EISDIR);
    entry_remove(ref, entry_find(ref, path));
    return APR_SUCCESS;
}

apr_status_t ref_link(ref_t *ref, const char *from, const char *to)
{
    ref_node_t *node, *there;
    apr_status_t rv = ref_lookup(ref, from, &node);
    if (rv != APR_SUCCESS) return rv;
    rv = ref_lookup(ref, to, &there);
    if (rv == APR_SUCCESS) return APR_EEXIST;
    rv = check_parents(ref, to);
    if (rv != APR_SUCCESS) return rv;
    if (node->dir) return E(EPERM);
    entry_add(ref, to, node);
    return APR_SUCCESS;
}

apr_status_t ref_mkdir(ref_t *ref, const char *path)
{
    apr_status_t rv = check_parents(ref, path);
    if (rv != APR_SUCCESS) return rv;
    if (ref_find(ref, path) != NULL) return APR_EEXIST;
    entry_add(ref, path, node_create(1));
    return APR_SUCCESS;
}

apr_status_t ref_rmdir(ref_t *ref, const char *path)
{
    ref_node_t *node;
    apr_status_t rv = ref_lookup(ref, path, &node);
    if (rv != APR_SUCCESS) return rv;
    if (!node->dir) return APR_ENOTDIR;
    if (has_children(ref, path)) return E(ENOTEMPTY);
    entry_remove(ref, entry_find(ref, path));
    return APR_SUCCESS;
}

/* ---- what a stack claims */

/* Is a directory open, there or below? */
static int dir_open(const ref_t *ref, const char *path)
{
    for (size_t i = 0; i < ref->count; i++) {
        const ref_entry_t *e = &ref->entries[i];
        if (e->node->dir && (strcmp(e->path, path) == 0 || is_below(e->path, path)) &&
            last_open(ref, e->path))
            return 1;
    }
    return 0;
}

int ref_claims(const ref_t *ref, const model_op_t *op, uint64_t bits, int keeps)
{
    int moves = op->kind == MODEL_rmdir && last_open(ref, op->path);
    int removes = op->kind == MODEL_unlink && last_open(ref, op->path);
    if (op->kind == MODEL_rename) {
        if ((op->flags & VFS_RENAME_EXCHANGE) && !(bits & VFS_CAP_RENAME_EXCHANGE)) return 0;
        if ((op->flags & VFS_RENAME_NOREPLACE) && !(bits & VFS_CAP_RENAME_NOREPLACE)) return 0;
        moves = dir_open(ref, op->path) || dir_open(ref, op->path2);
        removes = !op->flags && strcmp(op->path, op->path2) != 0 && last_open(ref, op->path2);
    }
    return (bits & VFS_CAP_UNLINKED_OPEN) || (!moves && (!removes || keeps));
}
