/*
 * ops_dir.c - calls on open directories.
 * Floor 4, private to mount/.
 *
 * A position is the cookie of the entry before it. "." and "..", which the stack does not list,
 * come first, with two positions of their own that no backend uses: just below the largest.
 */
#include "mount/mount.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define BEHIND_DOT (INT64_MAX - 2)
#define BEHIND_DOTDOT (INT64_MAX - 1)

static open_dir_t *dir_of(const struct fuse_file_info *fi)
{
    return (open_dir_t *)(uintptr_t)fi->fh;
}

static void dir_add(mount_t *m, open_dir_t *dir)
{
    (void)pthread_mutex_lock(&m->table.mutex);
    dir->inode->dirs++;
    dir->turns = dir->inode->turns;
    dir->next = m->dirs;
    if (dir->next != NULL) dir->next->prev = dir;
    m->dirs = dir;
    (void)pthread_mutex_unlock(&m->table.mutex);
}

static void dir_end(mount_t *m, open_dir_t *dir)
{
    (void)pthread_mutex_lock(&m->table.mutex);
    if (dir->prev != NULL)
        dir->prev->next = dir->next;
    else
        m->dirs = dir->next;
    if (dir->next != NULL) dir->next->prev = dir->prev;
    dir->inode->dirs--;
    mount__inode_drop(&m->table, dir->inode);
    (void)pthread_mutex_unlock(&m->table.mutex);
    if (dir->dir != NULL) (void)vfs_closedir(dir->dir); /* only read */
    (void)pthread_mutex_destroy(&dir->mutex);
    free(dir);
}

void mount__dirs_end(mount_t *m)
{
    while (m->dirs != NULL)
        dir_end(m, m->dirs);
}

void mount__opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    mount_t *m = mount__of(req);
    inode_t *inode = mount__inode_of(m, ino);
    vfs_attr_t attr;
    path_t path;
    open_dir_t *dir = calloc(1, sizeof(*dir));
    int error = dir != NULL ? mount__path_of(&m->table, inode, &path) : ENOMEM;
    if (error == 0) {
        error =
            mount__errno(vfs_opendir(&dir->dir, m->fs, mount__ctx(req), path.text, VFS_DIR_ATTRS));
        mount__path_end(&m->table, &path);
    } else if (error == ESTALE && mount__inode_removed(&m->table, inode, &attr)) {
        error = 0;
    }
    mount__heard(req, .op = "opendir", .inode = inode, .error = error);
    if (error != 0) {
        free(dir);
        (void)fuse_reply_err(req, error);
        return;
    }
    dir->inode = inode;
    (void)pthread_mutex_init(&dir->mutex, NULL);
    dir_add(m, dir);
    fi->fh = (uint64_t)(uintptr_t)dir;
    if (fuse_reply_open(req, fi) != 0) dir_end(m, dir);
}

void mount__releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    dir_end(mount__of(req), dir_of(fi));
    (void)fuse_reply_err(req, 0);
}

void mount__fsyncdir(fuse_req_t req, fuse_ino_t ino, int data, struct fuse_file_info *fi)
{
    mount_t *m = mount__of(req);
    path_t path;
    (void)data;
    (void)fi;
    int error = mount__path_of(&m->table, mount__inode_of(m, ino), &path);
    if (error == 0) {
        error = mount__errno(vfs_sync_dir(m->fs, mount__ctx(req), path.text));
        mount__path_end(&m->table, &path);
    } else if (error == ESTALE) {
        error = 0; /* a directory that was removed has nothing to keep */
    }
    (void)fuse_reply_err(req, error);
}

/* ---- reading */

typedef struct page_t {
    fuse_req_t req;
    char *buf;
    size_t size, used;
    int plus;
} page_t;

static unsigned type_bits(vfs_type_e type)
{
    static const unsigned bits[] = {DT_UNKNOWN, DT_REG,  DT_DIR, DT_LNK,
                                    DT_FIFO,    DT_SOCK, DT_CHR, DT_BLK};
    return (unsigned)type < sizeof(bits) / sizeof(bits[0]) ? bits[type] << 12 : 0;
}

/* 0: there is no room for it. */
static int add(page_t *page, const char *name, const struct fuse_entry_param *entry, off_t next)
{
    char *to = page->buf + page->used;
    size_t left = page->size - page->used;
    size_t need = page->plus ? fuse_add_direntry_plus(page->req, to, left, name, entry, next)
                             : fuse_add_direntry(page->req, to, left, name, &entry->attr, next);
    if (need > left) return 0;
    page->used += need;
    return 1;
}

static size_t need_of(const page_t *page, const char *name)
{
    return page->plus ? fuse_add_direntry_plus(page->req, NULL, 0, name, NULL, 0)
                      : fuse_add_direntry(page->req, NULL, 0, name, NULL, 0);
}

/* The number that the name has where it is known, else as it will have. */
static uint64_t number_of(mount_t *m, const open_dir_t *dir)
{
    const vfs_dirent_t *entry = &dir->entry;
    vfs_attr_t attr = {0};
    if (entry->has_attr)
        attr = entry->attr;
    else if ((vfs_caps(m->fs)->bits & VFS_CAP_STABLE_ID) && entry->ino != 0)
        return entry->ino;
    (void)pthread_mutex_lock(&m->table.mutex);
    name_t *name = mount__name_find(&m->table, dir->inode, entry->name, entry->name_len);
    uint64_t number = name != NULL ? name->inode->number
                                   : mount__inode_number(&m->table, &attr, dir->inode, entry->name);
    (void)pthread_mutex_unlock(&m->table.mutex);
    return number;
}

/* With attributes the kernel takes it as looked up. 0: there is no room for it. */
static int add_entry(mount_t *m, page_t *page, open_dir_t *dir)
{
    const vfs_dirent_t *entry = &dir->entry;
    struct fuse_entry_param param;
    if (need_of(page, entry->name) > page->size - page->used) return 0;
    if (page->plus && entry->has_attr &&
        mount__entry(m, dir->inode, entry->name, &entry->attr, NULL, &param) == 0)
        return add(page, entry->name, &param, (off_t)entry->cookie);
    memset(&param, 0, sizeof(param));
    param.attr.st_ino = number_of(m, dir);
    param.attr.st_mode = type_bits(entry->type);
    return add(page, entry->name, &param, (off_t)entry->cookie);
}

static int add_dots(mount_t *m, page_t *page, open_dir_t *dir, off_t off)
{
    struct fuse_entry_param param;
    memset(&param, 0, sizeof(param));
    param.attr.st_mode = S_IFDIR;
    (void)pthread_mutex_lock(&m->table.mutex);
    uint64_t own = dir->inode->number;
    uint64_t above = dir->inode->names != NULL ? dir->inode->names->dir->number : own;
    (void)pthread_mutex_unlock(&m->table.mutex);
    param.attr.st_ino = own;
    if (off == 0 && !add(page, ".", &param, BEHIND_DOT)) return 0;
    param.attr.st_ino = above;
    return add(page, "..", &param, BEHIND_DOTDOT);
}

/* From the start, as after rewinddir, it lists what is there now. The kernel does not tell that
 * from the first read. */
static int begins_again(mount_t *m, const open_dir_t *dir, uint64_t at, uint32_t *turns)
{
    *turns = dir->turns;
    if (at != 0) return 0;
    (void)pthread_mutex_lock(&m->table.mutex);
    int again = dir->turns != dir->inode->turns;
    *turns = dir->inode->turns;
    (void)pthread_mutex_unlock(&m->table.mutex);
    return again;
}

static apr_status_t go_to(mount_t *m, const vfs_ctx_t *ctx, open_dir_t *dir, uint64_t at)
{
    uint32_t turns;
    if (dir->dir == NULL || (!begins_again(m, dir, at, &turns) && dir->at == at))
        return APR_SUCCESS;
    dir->pending = 0;
    apr_status_t status = vfs_seekdir(dir->dir, ctx, at);
    if (status != APR_SUCCESS) return status; /* the next read tries again */
    dir->at = at;
    dir->turns = turns;
    return APR_SUCCESS;
}

static apr_status_t next_entry(const vfs_ctx_t *ctx, open_dir_t *dir)
{
    if (dir->dir == NULL) return APR_EOF;
    if (dir->pending) return APR_SUCCESS;
    apr_status_t status = vfs_readdir(dir->dir, ctx, &dir->entry);
    if (status != APR_SUCCESS) return status;
    VFS_ASSERT(dir->entry.name_len <= VFS_NAME_MAX);
    memcpy(dir->name, dir->entry.name, dir->entry.name_len + 1);
    dir->entry.name = dir->name;
    dir->pending = 1;
    return APR_SUCCESS;
}

static apr_status_t fill(mount_t *m, page_t *page, open_dir_t *dir, off_t off)
{
    const vfs_ctx_t *ctx = mount__ctx(page->req);
    int dots = off == 0 || off == BEHIND_DOT;
    apr_status_t status = go_to(m, ctx, dir, dots || off == BEHIND_DOTDOT ? 0 : (uint64_t)off);
    if (status != APR_SUCCESS) return status;
    if (dots && !add_dots(m, page, dir, off)) return APR_SUCCESS;
    while ((status = next_entry(ctx, dir)) == APR_SUCCESS && add_entry(m, page, dir)) {
        dir->pending = 0;
        dir->at = dir->entry.cookie;
    }
    if (APR_STATUS_IS_EOF(status) || page->used > 0) return APR_SUCCESS;
    return status;
}

static void read_page(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi, int plus)
{
    mount_t *m = mount__of(req);
    open_dir_t *dir = dir_of(fi);
    page_t page = {.req = req, .buf = malloc(size), .size = size, .plus = plus};
    if (page.buf == NULL) {
        (void)fuse_reply_err(req, ENOMEM);
        return;
    }
    (void)pthread_mutex_lock(&dir->mutex);
    apr_status_t status = fill(m, &page, dir, off);
    (void)pthread_mutex_unlock(&dir->mutex);
    mount__heard(req, .op = "readdir", .inode = dir->inode, .offset = (uint64_t)off, .bytes = size,
                 .done = page.used, .error = mount__errno(status));
    if (status == APR_SUCCESS)
        (void)fuse_reply_buf(req, page.buf, page.used);
    else
        mount__reply_status(req, status);
    free(page.buf);
}

void mount__readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                    struct fuse_file_info *fi)
{
    (void)ino;
    read_page(req, size, off, fi, 0);
}

void mount__readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
                        struct fuse_file_info *fi)
{
    (void)ino;
    read_page(req, size, off, fi, 1);
}
