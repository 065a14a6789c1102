/*
 * walk.c - from a path to an inode. Floor 2. Knows permissions, changes nothing.
 *
 * Links are followed without copying: the rest of the text that is being read goes onto a stack,
 * and the link's own text is read next. Texts never change and stay as long as fs->names is held.
 * What is pushed is never empty, so the last component is known when it is met.
 */
#include <string.h>

#include "backends/mem/mem.h"

typedef struct walk_texts_t {
    const char *rest; /**< begins with a component, or is empty */
    const char *stack[MEM_FOLLOW_MAX];
    size_t depth;
    unsigned followed;
} walk_texts_t;

static const char *skip_slashes(const char *text)
{
    while (*text == '/')
        text++;
    return text;
}

mem_inode_t *mem__parent(mem_inode_t *dir)
{
    return dir->names != NULL ? dir->names->parent : dir;
}

/* Go on with the text of a link. */
static apr_status_t walk_follow(walk_texts_t *texts, mem_inode_t **cur, mem_fs_t *fs,
                                const mem_inode_t *link, const char *rest)
{
    if (++texts->followed > MEM_FOLLOW_MAX) return MEM_ERR(ELOOP);
    if (*rest != '\0') texts->stack[texts->depth++] = rest;
    if (link->u.target[0] == '/') *cur = fs->root;
    texts->rest = skip_slashes(link->u.target);
    return APR_SUCCESS;
}

/* "." and "..", which only the text of a link can have. */
static apr_status_t walk_dots(mem_inode_t **cur, const mem_fs_t *fs, size_t len)
{
    if (len == 1) return APR_SUCCESS;
    if (*cur == fs->root) return APR_EACCES;
    *cur = mem__parent(*cur);
    return APR_SUCCESS;
}

static void walk_end(mem_walk_t *w, mem_inode_t *dir, mem_dirent_t *entry, const char *name,
                     size_t len, uint32_t hash)
{
    w->dir = dir;
    w->entry = entry;
    w->inode = entry != NULL ? entry->inode : NULL;
    w->name = name;
    w->len = (uint32_t)len;
    w->hash = hash;
}

/* One component, in *cur. *last tells that the walk is over. */
static apr_status_t walk_step(mem_walk_t *w, walk_texts_t *texts, mem_inode_t **cur, mem_fs_t *fs,
                              int follow, int *last)
{
    const char *name = texts->rest;
    size_t len = strcspn(name, "/");
    const char *rest = skip_slashes(name + len);
    int slash = name[len] == '/';

    *last = *rest == '\0' && texts->depth == 0;
    texts->rest = rest;
    if (*last) w->slash |= slash;
    if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.'))) {
        *last = 0; /* it has no name: the empty rest ends the walk */
        return walk_dots(cur, fs, len);
    }
    if (len > VFS_NAME_MAX) return APR_ENAMETOOLONG;
    uint32_t hash = vfs_path_hash(name, len);
    mem_dirent_t *entry = mem__dir_find(&(*cur)->u.dir, name, (uint32_t)len, hash);
    if (entry == NULL && !*last) return APR_ENOENT;
    if (entry != NULL && entry->inode->type == VFS_TYPE_LINK && (!*last || follow || w->slash)) {
        *last = 0;
        w->direct = 0;
        return walk_follow(texts, cur, fs, entry->inode, rest);
    }
    if (*last) {
        walk_end(w, *cur, entry, name, len, hash);
        return w->slash && entry != NULL && w->inode->type != VFS_TYPE_DIR ? APR_ENOTDIR
                                                                           : APR_SUCCESS;
    }
    *cur = entry->inode;
    return (*cur)->type == VFS_TYPE_DIR ? APR_SUCCESS : APR_ENOTDIR;
}

apr_status_t mem__walk(mem_walk_t *w, mem_fs_t *fs, const mem_user_t *user, const char *path,
                       int follow)
{
    walk_texts_t texts = {.rest = skip_slashes(path)};
    mem_inode_t *cur = fs->root;
    int last = 0;

    memset(w, 0, sizeof(*w));
    w->direct = 1;
    while (!last) {
        apr_status_t status;
        if (*texts.rest == '\0') {
            if (texts.depth == 0) break;
            texts.rest = texts.stack[--texts.depth];
        }
        status = mem__may(cur, user, VFS_ACCESS_EXEC);
        if (status == APR_SUCCESS) status = walk_step(w, &texts, &cur, fs, follow, &last);
        if (status != APR_SUCCESS) return status;
    }
    if (!last) w->inode = cur;
    return APR_SUCCESS;
}

apr_status_t mem__lookup(mem_inode_t **inode, mem_fs_t *fs, const mem_user_t *user,
                         const vfs_path_t *path, int follow, int *direct)
{
    mem_walk_t w;
    apr_status_t status;

    mem__rd(&fs->names);
    status = mem__walk(&w, fs, user, path->str, follow);
    if (status == APR_SUCCESS && w.inode == NULL) status = APR_ENOENT;
    if (status == APR_SUCCESS) mem__inode_get(w.inode);
    mem__un(&fs->names);
    *inode = status == APR_SUCCESS ? w.inode : NULL;
    if (direct != NULL) *direct = w.direct;
    return status;
}
