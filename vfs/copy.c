/*
 * copy.c - whole files: read one, replace one, copy one, and temporary names.
 * Floor 1.
 *
 * A file is replaced in one of two ways. Where the backend commits whole objects, by that. Else a
 * temporary file beside it gets the bytes, is synced and renamed over it, and the directory is
 * synced: at any moment, a power loss included, the name stands for the old bytes or for the new
 * ones.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>

#include "vfs/internal.h"

#define PIECE ((size_t)1 << 20)
#define FIRST_GUESS ((size_t)64 << 10)
#define TEMP_PREFIX ".vfs-tmp-"
#define TEMP_TRIES 100
#define TEMP_RANDOM 12

/* ---- reading */

/* A file that is longer than its attributes say: read on into memory that grows. */
static apr_status_t read_growing(char **data, size_t *len, vfs_file_t *file, const vfs_ctx_t *ctx,
                                 uint64_t max, apr_pool_t *pool)
{
    size_t size = FIRST_GUESS, got = 0, part;
    char *buf = malloc(size);
    apr_status_t status = buf != NULL ? APR_SUCCESS : APR_ENOMEM;
    while (status == APR_SUCCESS) {
        status = vfs_call_read_at(file, ctx, buf + got, size - got, (apr_off_t)got, &part);
        got += part;
        if (status == APR_SUCCESS && max != 0 && got > max) status = VFS_ELIMIT;
        if (status != APR_SUCCESS || got < size) break;
        char *bigger = size <= SIZE_MAX / 2 ? realloc(buf, size * 2) : NULL;
        if (bigger == NULL) {
            status = APR_ENOMEM;
            break;
        }
        buf = bigger;
        size *= 2;
    }
    if (status == APR_SUCCESS) {
        *data = apr_palloc(pool, got + 1);
        if (*data == NULL) status = APR_ENOMEM;
    }
    if (status == APR_SUCCESS) {
        memcpy(*data, buf, got);
        (*data)[got] = '\0';
        *len = got;
    }
    free(buf);
    return status;
}

static apr_status_t read_whole(char **data, size_t *len, vfs_file_t *file, const vfs_ctx_t *ctx,
                               uint64_t size, uint64_t max, apr_pool_t *pool)
{
    if (max != 0 && size > max) return VFS_ELIMIT;
    if (size > 0 && size < SIZE_MAX / 2) {
        /* One byte more than there should be: a shorter answer proves the end. */
        char *buf = apr_palloc(pool, (size_t)size + 1);
        if (buf == NULL) return APR_ENOMEM;
        apr_status_t status = vfs_call_read_at(file, ctx, buf, (size_t)size + 1, 0, len);
        if (status != APR_SUCCESS) return status;
        if (*len <= size) {
            buf[*len] = '\0';
            *data = buf;
            return APR_SUCCESS;
        }
        *len = 0;
    }
    return read_growing(data, len, file, ctx, max, pool);
}

apr_status_t vfs_read_file(char **data, size_t *len, vfs_t *fs, const vfs_ctx_t *ctx,
                           const char *path, uint64_t max, apr_pool_t *pool)
{
    vfs_file_t *file;
    vfs_attr_t attr;
    VFS_CHECK_ARG(data != NULL && len != NULL && pool != NULL);
    *data = NULL;
    *len = 0;
    apr_status_t status = vfs_open(&file, fs, ctx, path, VFS_O_READ, 0, &attr, NULL);
    if (status != APR_SUCCESS) return status;
    if (attr.type == VFS_TYPE_DIR)
        status = APR_FROM_OS_ERROR(EISDIR);
    else
        status = read_whole(data, len, file, ctx, attr.size, max, pool);
    apr_status_t closed = vfs_close(file, ctx);
    return status != APR_SUCCESS ? status : closed;
}

/* ---- temporary files */

static apr_status_t random_name(char *out)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz234567";
    unsigned char bytes[TEMP_RANDOM];
    apr_status_t status = apr_generate_random_bytes(bytes, sizeof(bytes));
    if (status != APR_SUCCESS) return status;
    for (size_t i = 0; i < sizeof(bytes); i++)
        out[i] = letters[bytes[i] % 32];
    return APR_SUCCESS;
}

static apr_status_t open_temp(vfs_file_t **file, vfs_path_t *path, vfs_t *fs, const vfs_ctx_t *ctx,
                              const vfs_path_t *dir, const char *prefix, char *buf)
{
    char name[VFS_NAME_MAX + 1];
    size_t len = strnlen(prefix, sizeof(name));
    if (len + TEMP_RANDOM > VFS_NAME_MAX) return APR_ENAMETOOLONG;
    memcpy(name, prefix, len);
    for (int tries = 0;; tries++) {
        apr_status_t status = random_name(name + len);
        if (status != APR_SUCCESS) return status;
        status = vfs_path_join(path, dir, name, len + TEMP_RANDOM, buf);
        if (status != APR_SUCCESS) return status;
        status =
            vfs_call_open(file, fs, ctx, path, VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE | VFS_O_EXCL,
                          0600, NULL, NULL);
        if (!APR_STATUS_IS_EEXIST(status) || tries == TEMP_TRIES) return status;
    }
}

apr_status_t vfs_temp_file(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx, const char *dir,
                           const char *prefix, char *path, size_t size)
{
    char dir_buf[VFS_PATH_MAX + 1], buf[VFS_PATH_MAX + 1];
    vfs_path_t parent, made;
    VFS_CHECK_ARG(file != NULL && prefix != NULL && path != NULL && size > 0);
    *file = NULL;
    path[0] = '\0';
    apr_status_t status = vfs_path_init(&parent, dir, dir_buf);
    if (status != APR_SUCCESS) return status;
    parent.flags = 0;
    size_t need = (vfs__is_root(&parent) ? 0 : parent.len) + 1 + strlen(prefix) + TEMP_RANDOM + 1;
    if (need > size) return APR_ENAMETOOLONG;
    status = open_temp(file, &made, fs, ctx, &parent, prefix, buf);
    if (status == APR_SUCCESS) memcpy(path, made.str, made.len + 1u);
    return status;
}

/* ---- replacing */

typedef struct replace_t {
    vfs_t *fs;
    const vfs_ctx_t *ctx;
    const vfs_path_t *path;
    vfs_path_t dir, temp;
    vfs_file_t *file; /* the temporary one */
    char dir_buf[VFS_PATH_MAX + 1], temp_buf[VFS_PATH_MAX + 1];
} replace_t;

static apr_status_t optional(apr_status_t status)
{
    return status == APR_ENOTIMPL ? APR_SUCCESS : status;
}

static apr_status_t replace_begin(replace_t *to)
{
    if (vfs__is_root(to->path) || (to->path->flags & VFS_PATH_DIR))
        return APR_FROM_OS_ERROR(EISDIR);
    (void)vfs_path_parent(&to->dir, to->path, to->dir_buf); /* the name is in to->path already */
    return open_temp(&to->file, &to->temp, to->fs, to->ctx, &to->dir, TEMP_PREFIX, to->temp_buf);
}

/* The bytes are written, or failed with `status`: bring them under their name, or leave no trace.
 */
static apr_status_t replace_end(replace_t *to, uint32_t mode, int64_t mtime_ns, apr_status_t status)
{
    if (status == APR_SUCCESS) status = optional(vfs_call_fchmod(to->file, to->ctx, mode));
    if (status == APR_SUCCESS && mtime_ns != VFS_TIME_NOW)
        status = optional(vfs_call_futimens(to->file, to->ctx, VFS_TIME_OMIT, mtime_ns));
    if (status == APR_SUCCESS) status = optional(vfs_call_sync(to->file, to->ctx, VFS_SYNC_ALL));
    apr_status_t closed = vfs_close(to->file, to->ctx);
    if (status == APR_SUCCESS) status = closed;
    if (status == APR_SUCCESS) status = vfs_call_rename(to->fs, to->ctx, &to->temp, to->path, 0);
    if (status == APR_SUCCESS) return optional(vfs_call_sync_dir(to->fs, to->ctx, &to->dir));
    (void)vfs_call_unlink(to->fs, NULL, &to->temp); /* the first error is the one to tell */
    return status;
}

/* The mode that `path` shall have: its own if it exists, else `mode` under the umask. */
static apr_status_t mode_of(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t *mode)
{
    vfs_attr_t attr;
    apr_status_t status = vfs_call_stat(fs, ctx, path, &attr, NULL);
    if (APR_STATUS_IS_ENOENT(status)) {
        *mode = vfs_ctx_mode(ctx, *mode);
        return APR_SUCCESS;
    }
    if (status != APR_SUCCESS) return status;
    if (attr.type == VFS_TYPE_DIR) return APR_FROM_OS_ERROR(EISDIR);
    *mode = attr.mode;
    return APR_SUCCESS;
}

/* Commit with a mode that is final. */
static apr_status_t commit_exact(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                 const vfs_source_t *source, uint32_t mode, int64_t mtime_ns)
{
    vfs_ctx_t exact = VFS_CTX_INIT;
    vfs_commit_t how = VFS_COMMIT_INIT;
    if (ctx != NULL) exact = *ctx;
    exact.flags &= ~VFS_CTX_UMASK;
    how.mode = mode;
    how.mtime_ns = mtime_ns;
    return vfs_call_commit(fs, &exact, path, source, &how, NULL, NULL);
}

typedef struct memory_t {
    const char *data;
    size_t len;
} memory_t;

static apr_status_t read_memory(void *baton, void *buf, size_t len, apr_off_t off)
{
    const memory_t *memory = baton;
    VFS_CHECK_ARG(off >= 0 && (uint64_t)off <= memory->len && len <= memory->len - (size_t)off);
    memcpy(buf, memory->data + off, len);
    return APR_SUCCESS;
}

apr_status_t vfs_write_file(vfs_t *fs, const vfs_ctx_t *ctx, const char *path, const void *data,
                            size_t len, uint32_t mode)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t normal;
    vfs__assert_fs(fs);
    VFS_CHECK_ARG((data != NULL || len == 0) && (mode & ~VFS__MODE_BITS) == 0);
    apr_status_t status = vfs_path_init(&normal, path, buf);
    if (status != APR_SUCCESS) return status;
    if (normal.flags & VFS_PATH_DIR) return APR_FROM_OS_ERROR(EISDIR);
    status = mode_of(fs, ctx, &normal, &mode);
    if (status != APR_SUCCESS) return status;
    if (vfs_caps(fs)->bits & VFS_CAP_COMMIT) {
        memory_t memory = {data, len};
        vfs_source_t source = {read_memory, &memory, len};
        return commit_exact(fs, ctx, &normal, &source, mode, VFS_TIME_NOW);
    }
    replace_t to = {.fs = fs, .ctx = ctx, .path = &normal};
    size_t written = 0;
    status = replace_begin(&to);
    if (status != APR_SUCCESS) return status;
    status = vfs_call_write_at(to.file, ctx, data, len, 0, &written, NULL);
    return replace_end(&to, mode, VFS_TIME_NOW, status);
}

/* ---- copying */

typedef struct from_t {
    vfs_file_t *file;
    const vfs_ctx_t *ctx;
} from_t;

static apr_status_t read_from(void *baton, void *buf, size_t len, apr_off_t off)
{
    const from_t *from = baton;
    size_t got;
    apr_status_t status = vfs_call_read_at(from->file, from->ctx, buf, len, off, &got);
    if (status != APR_SUCCESS) return status;
    return got == len ? APR_SUCCESS : VFS_ESTALE; /* it became shorter under us */
}

/* Within one file system: let it copy. *done is how far it came; APR_ENOTIMPL asks for the other
 * way. */
static apr_status_t copy_inside(vfs_file_t *src, vfs_file_t *dst, const vfs_ctx_t *ctx,
                                uint64_t *done)
{
    for (;;) {
        size_t copied;
        apr_status_t status = vfs_copy_range(src, ctx, (apr_off_t)*done, dst, (apr_off_t)*done,
                                             (size_t)PIECE * 64, &copied);
        if (status != APR_SUCCESS) return status;
        *done += copied;
        if (copied == 0) return APR_SUCCESS;
    }
}

static apr_status_t copy_through(vfs_file_t *src, vfs_file_t *dst, const vfs_ctx_t *ctx,
                                 uint64_t *done)
{
    char *piece = malloc(PIECE);
    if (piece == NULL) return APR_ENOMEM;
    apr_status_t status;
    size_t got, written;
    do {
        status = vfs_call_read_at(src, ctx, piece, PIECE, (apr_off_t)*done, &got);
        if (status == APR_SUCCESS)
            status = vfs_call_write_at(dst, ctx, piece, got, (apr_off_t)*done, &written, NULL);
        if (status == APR_SUCCESS) *done += got;
    } while (status == APR_SUCCESS && got == PIECE);
    free(piece);
    return status;
}

static apr_status_t copy_bytes(vfs_file_t *src, vfs_file_t *dst, const vfs_ctx_t *ctx,
                               uint64_t *done)
{
    *done = 0;
    if (src->fs == dst->fs) {
        apr_status_t status = copy_inside(src, dst, ctx, done);
        /* EXDEV and EINVAL: within the layer, but on two devices, or of a kind that it cannot copy
         */
        if (status != APR_SUCCESS && status != APR_ENOTIMPL && !APR_STATUS_IS_EXDEV(status) &&
            !APR_STATUS_IS_EINVAL(status))
            return status;
    }
    return copy_through(src, dst, ctx, done); /* the rest; after a whole copy it finds the end */
}

static apr_status_t copy_open(vfs_file_t *src, const vfs_attr_t *attr, vfs_t *to_fs,
                              const vfs_path_t *to_path, const vfs_ctx_t *ctx, uint64_t *bytes)
{
    if (vfs_caps(to_fs)->bits & VFS_CAP_COMMIT) {
        from_t from = {src, ctx};
        vfs_source_t source = {read_from, &from, attr->size};
        apr_status_t status =
            commit_exact(to_fs, ctx, to_path, &source, attr->mode, attr->mtime_ns);
        if (status == APR_SUCCESS) *bytes = attr->size;
        return status;
    }
    replace_t to = {.fs = to_fs, .ctx = ctx, .path = to_path};
    uint64_t done;
    apr_status_t status = replace_begin(&to);
    if (status != APR_SUCCESS) return status;
    status = copy_bytes(src, to.file, ctx, &done);
    status = replace_end(&to, attr->mode, attr->mtime_ns, status);
    if (status == APR_SUCCESS) *bytes = done;
    return status;
}

apr_status_t vfs_copy(vfs_t *from_fs, const char *from, vfs_t *to_fs, const char *to,
                      const vfs_ctx_t *ctx, uint64_t *bytes)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t to_path;
    vfs_file_t *src;
    vfs_attr_t attr;
    uint64_t unwanted;
    vfs__assert_fs(to_fs);
    if (bytes == NULL) bytes = &unwanted;
    *bytes = 0;
    apr_status_t status = vfs_path_init(&to_path, to, buf);
    if (status != APR_SUCCESS) return status;
    status = vfs_open(&src, from_fs, ctx, from, VFS_O_READ, 0, &attr, NULL);
    if (status != APR_SUCCESS) return status;
    if (attr.type == VFS_TYPE_FILE)
        status = copy_open(src, &attr, to_fs, &to_path, ctx, bytes);
    else
        status = attr.type == VFS_TYPE_DIR ? APR_FROM_OS_ERROR(EISDIR) : APR_EINVAL;
    apr_status_t closed = vfs_close(src, ctx);
    return status != APR_SUCCESS ? status : closed;
}
