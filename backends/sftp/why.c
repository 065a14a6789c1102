/*
 * why.c - what a failure was about: the protocol has a handful of numbers, Linux has more. Floor 2.
 * Each asks about the names that took part, in one more round trip, and changes nothing. Where that
 * cannot be found out the first answer stays.
 */
#include <errno.h>
#include <string.h>

#include "backends/sftp/sftp.h"

#define LINKS_MAX 40

/* Can these questions say more? Not where nobody answers, or the answer is plain. */
static int is_vague(apr_status_t status)
{
    return APR_STATUS_IS_ENOENT(status) || status == APR_FROM_OS_ERROR(EIO) ||
           status == APR_FROM_OS_ERROR(EINVAL);
}

static void copy_part(char *out, const char *path, size_t len)
{
    memcpy(out, path, len);
    out[len] = '\0';
}

/* Where a chain of links ends: ELOOP, ENOTDIR (behind what is no directory), or ENOENT. */
static apr_status_t chain_end(sftp_call_t *c, char *at, size_t size)
{
    vfs_attr_t attr;
    for (int i = 0; i < LINKS_MAX; i++) {
        const uint8_t *text = NULL;
        size_t len = 0;
        char *slash = strrchr(at, '/');
        size_t dir_len = slash != NULL && slash > at ? (size_t)(slash - at) : 1;
        sftp__begin(c, FXP_READLINK);
        sftp__buf_text(&c->out, at, strlen(at));
        sftp__end(c);
        sftp__begin(c, FXP_STAT);
        sftp__buf_text(&c->out, at, dir_len);
        sftp__end(c);
        if (sftp__wait(c) != APR_SUCCESS) break;
        if (sftp__reply_name(c, 0, &text, &len) != APR_SUCCESS || len == 0) {
            if (sftp__reply_attr(c, 1, &attr) == APR_SUCCESS && attr.type != VFS_TYPE_DIR)
                return APR_FROM_OS_ERROR(ENOTDIR);
            break;
        }
        char *to = text[0] == '/' || slash == NULL ? at : slash + 1;
        if ((size_t)(to - at) + len >= size) break;
        copy_part(to, (const char *)text, len);
        if (i + 1 == LINKS_MAX) return APR_FROM_OS_ERROR(ELOOP);
    }
    return APR_FROM_OS_ERROR(ENOENT);
}

/* A name that leads to nothing, as far as the server says. */
static apr_status_t why_nothing(sftp_call_t *c, const char *path)
{
    char at[2 * VFS_PATH_MAX + 2];
    size_t n = strlen(c->session->base);
    memcpy(at, c->session->base, n);
    copy_part(at + n, path, strlen(path));
    return chain_end(c, at, sizeof(at));
}

/* What is wrong with the way to a name: each directory on it is asked about, in one round. */
static apr_status_t why_way(sftp_call_t *c, const char *path, apr_status_t status, int whole)
{
    char part[VFS_PATH_MAX + 1];
    size_t ends[VFS_PATH_MAX / 2 + 1], n = 0, len = strlen(path);
    for (size_t i = 1; i < len && n < VFS_PATH_MAX / 2; i++)
        if (path[i] == '/') ends[n++] = i;
    size_t dirs = n;
    if (whole) ends[n++] = len;
    if (n == 0) return status;
    for (size_t i = 0; i < n; i++) {
        copy_part(part, path, ends[i]);
        sftp__ask_path(c, FXP_STAT, part);
    }
    apr_status_t sent = sftp__wait(c);
    if (sent != APR_SUCCESS) return sent == SFTP_LOST ? status : sent;
    for (size_t i = 0; i < n; i++) {
        vfs_attr_t attr;
        apr_status_t found = sftp__reply_attr(c, i, &attr);
        copy_part(part, path, ends[i]);
        if (APR_STATUS_IS_ENOENT(found)) return why_nothing(c, part);
        if (found != APR_SUCCESS) return found;
        if (i < dirs && attr.type != VFS_TYPE_DIR) return APR_FROM_OS_ERROR(ENOTDIR);
    }
    return status;
}

/* 1: there is something, and `attr` says what. */
static int is_there(sftp_call_t *c, uint8_t how, const char *path, vfs_attr_t *attr)
{
    sftp__ask_path(c, how, path);
    return sftp__wait(c) == APR_SUCCESS && sftp__reply_attr(c, 0, attr) == APR_SUCCESS;
}

static int is_empty(sftp_call_t *c, const char *path)
{
    uint8_t handle[SFTP_HANDLE_MAX];
    size_t len = 0;
    sftp_in_t in;
    sftp__ask_path(c, FXP_OPENDIR, path);
    if (sftp__wait(c) != APR_SUCCESS || sftp__reply_handle(c, 0, handle, &len) != APR_SUCCESS)
        return 1;
    sftp__ask_handle(c, FXP_READDIR, handle, len);
    sftp__drop_handle(c, handle, len);
    if (sftp__wait(c) != APR_SUCCESS || sftp__reply(c, 0, FXP_NAME, &in) != APR_SUCCESS) return 1;
    return sftp__in_32(&in) <= 2; /* "." and ".." */
}

apr_status_t sftp__why_path(sftp_call_t *c, const char *path, apr_status_t status, int follow)
{
    vfs_attr_t attr;
    if (!is_vague(status)) return status;
    if (APR_STATUS_IS_ENOENT(status)) return why_way(c, path, status, follow);
    if (status == APR_FROM_OS_ERROR(EIO) && is_there(c, FXP_STAT, path, &attr) &&
        attr.type == VFS_TYPE_DIR)
        return APR_FROM_OS_ERROR(EISDIR);
    return status;
}

apr_status_t sftp__why_new(sftp_call_t *c, const char *path, apr_status_t status)
{
    vfs_attr_t attr;
    if (!is_vague(status)) return status;
    if (is_there(c, FXP_LSTAT, path, &attr)) return APR_EEXIST;
    return why_way(c, path, status, 0);
}

apr_status_t sftp__why_remove(sftp_call_t *c, const char *path, apr_status_t status, int dir)
{
    vfs_attr_t attr;
    if (!is_vague(status) && !APR_STATUS_IS_EACCES(status)) return status;
    if (!is_there(c, FXP_LSTAT, path, &attr)) return why_way(c, path, status, 0);
    if (!dir) return attr.type == VFS_TYPE_DIR ? APR_FROM_OS_ERROR(EISDIR) : status;
    if (attr.type != VFS_TYPE_DIR) return APR_FROM_OS_ERROR(ENOTDIR);
    return is_vague(status) && !is_empty(c, path) ? APR_FROM_OS_ERROR(ENOTEMPTY) : status;
}

/* In the order in which Linux looks. */
apr_status_t sftp__why_rename(sftp_call_t *c, const char *from, const char *to, int noreplace,
                              apr_status_t status)
{
    vfs_attr_t source, target;
    size_t len = strlen(from);
    if (!is_vague(status)) return status;
    apr_status_t way = why_way(c, from, APR_SUCCESS, 0);
    if (way == APR_SUCCESS) way = why_way(c, to, APR_SUCCESS, 0);
    if (way != APR_SUCCESS) return way;
    if (!is_there(c, FXP_LSTAT, from, &source)) return APR_FROM_OS_ERROR(ENOENT);
    int dir = source.type == VFS_TYPE_DIR, there = is_there(c, FXP_LSTAT, to, &target);
    if (there && noreplace) return APR_EEXIST;
    if (dir && strncmp(from, to, len) == 0 && to[len] == '/') return APR_EINVAL;
    if (!there) return status == APR_FROM_OS_ERROR(EIO) ? APR_FROM_OS_ERROR(EXDEV) : status;
    len = strlen(to);
    if (strncmp(to, from, len) == 0 && from[len] == '/') return APR_FROM_OS_ERROR(ENOTEMPTY);
    if (target.type == VFS_TYPE_DIR && !dir) return APR_FROM_OS_ERROR(EISDIR);
    if (target.type != VFS_TYPE_DIR && dir) return APR_FROM_OS_ERROR(ENOTDIR);
    return target.type == VFS_TYPE_DIR && !is_empty(c, to) ? APR_FROM_OS_ERROR(ENOTEMPTY) : status;
}

/* A server says "failure" of a full disk. */
apr_status_t sftp__why_write(sftp_call_t *c, const sftp_file_t *file, apr_status_t status)
{
    sftp_in_t in;
    uint64_t n[11];
    (void)file;
    if (status != APR_FROM_OS_ERROR(EIO)) return status;
    if (!(c->session->extensions & SFTP_EXT_STATVFS)) return status;
    sftp__begin(c, FXP_EXTENDED);
    sftp__buf_text(&c->out, "fstatvfs@openssh.com", 20);
    sftp__buf_text(&c->out, c->handle, c->handle_len);
    sftp__end(c);
    if (sftp__wait(c) != APR_SUCCESS) return status;
    if (sftp__reply(c, 0, FXP_EXTENDED_REPLY, &in) != APR_SUCCESS) return status;
    for (size_t i = 0; i < 11; i++)
        n[i] = sftp__in_64(&in);
    return !in.bad && (n[4] == 0 || (n[5] > 0 && n[7] == 0)) ? APR_FROM_OS_ERROR(ENOSPC) : status;
}
