/*
 * wire.c - see wire.h. Floor 2.
 */
#include "backends/sftp/wire.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NS_PER_S 1000000000

/* ---- out */

uint8_t *sftp__buf_more(sftp_buf_t *buf, size_t len)
{
    if (buf->failed) return NULL;
    if (len > buf->room - buf->len) {
        size_t room = buf->room > 0 ? buf->room : 512;
        while (room - buf->len < len)
            room *= 2;
        uint8_t *data = realloc(buf->data, room);
        if (data == NULL) {
            buf->failed = 1;
            return NULL;
        }
        buf->data = data;
        buf->room = room;
    }
    buf->len += len;
    return buf->data + buf->len - len;
}

void sftp__buf_put(sftp_buf_t *buf, const void *data, size_t len)
{
    uint8_t *at = sftp__buf_more(buf, len);
    if (at != NULL && len > 0) memcpy(at, data, len);
}

void sftp__buf_put8(sftp_buf_t *buf, uint8_t value)
{
    sftp__buf_put(buf, &value, 1);
}

void sftp__buf_put32(sftp_buf_t *buf, uint32_t value)
{
    const uint8_t bytes[4] = {(uint8_t)(value >> 24), (uint8_t)(value >> 16), (uint8_t)(value >> 8),
                              (uint8_t)value};
    sftp__buf_put(buf, bytes, sizeof(bytes));
}

void sftp__buf_put64(sftp_buf_t *buf, uint64_t value)
{
    sftp__buf_put32(buf, (uint32_t)(value >> 32));
    sftp__buf_put32(buf, (uint32_t)value);
}

void sftp__buf_text(sftp_buf_t *buf, const void *data, size_t len)
{
    sftp__buf_put32(buf, (uint32_t)len);
    sftp__buf_put(buf, data, len);
}

void sftp__buf_drop(sftp_buf_t *buf, size_t len)
{
    buf->len -= len;
    if (buf->len > 0) memmove(buf->data, buf->data + len, buf->len);
}

void sftp__buf_free(sftp_buf_t *buf)
{
    free(buf->data);
    memset(buf, 0, sizeof(*buf));
}

/* ---- in */

uint32_t sftp__in_32(sftp_in_t *in)
{
    if (in->left < 4) {
        in->bad = 1;
        return 0;
    }
    const uint8_t *b = in->at;
    in->at += 4;
    in->left -= 4;
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

uint64_t sftp__in_64(sftp_in_t *in)
{
    uint64_t high = sftp__in_32(in);
    return high << 32 | sftp__in_32(in);
}

const uint8_t *sftp__in_text(sftp_in_t *in, size_t *len)
{
    const uint8_t *text = NULL;
    *len = sftp__in_32(in);
    if (in->bad || *len > in->left) {
        in->bad = 1;
        *len = 0;
        return (const uint8_t *)"";
    }
    text = in->at;
    in->at += *len;
    in->left -= *len;
    return text;
}

/* ---- attributes */

void sftp__buf_attrs(sftp_buf_t *buf, const sftp_attrs_t *a)
{
    sftp__buf_put32(buf, a->flags);
    if (a->flags & FXA_SIZE) sftp__buf_put64(buf, a->size);
    if (a->flags & FXA_OWNER) {
        sftp__buf_put32(buf, a->uid);
        sftp__buf_put32(buf, a->gid);
    }
    if (a->flags & FXA_MODE) sftp__buf_put32(buf, a->mode);
    if (a->flags & FXA_TIMES) {
        sftp__buf_put32(buf, a->atime);
        sftp__buf_put32(buf, a->mtime);
    }
}

void sftp__in_attrs(sftp_in_t *in, sftp_attrs_t *a)
{
    memset(a, 0, sizeof(*a));
    a->flags = sftp__in_32(in);
    if (a->flags & FXA_SIZE) a->size = sftp__in_64(in);
    if (a->flags & FXA_OWNER) {
        a->uid = sftp__in_32(in);
        a->gid = sftp__in_32(in);
    }
    if (a->flags & FXA_MODE) a->mode = sftp__in_32(in);
    if (a->flags & FXA_TIMES) {
        a->atime = sftp__in_32(in);
        a->mtime = sftp__in_32(in);
    }
    if (!(a->flags & FXA_EXTENDED)) return;
    size_t len = 0;
    for (uint32_t n = sftp__in_32(in); n > 0 && !in->bad; n--) {
        (void)sftp__in_text(in, &len); /* pairs that nobody here knows */
        (void)sftp__in_text(in, &len);
    }
}

static vfs_type_e type_of(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return VFS_TYPE_FILE;
    case S_IFDIR:
        return VFS_TYPE_DIR;
    case S_IFLNK:
        return VFS_TYPE_LINK;
    case S_IFIFO:
        return VFS_TYPE_FIFO;
    case S_IFSOCK:
        return VFS_TYPE_SOCKET;
    case S_IFCHR:
        return VFS_TYPE_CHAR;
    case S_IFBLK:
        return VFS_TYPE_BLOCK;
    default:
        return VFS_TYPE_UNKNOWN;
    }
}

int sftp__attr(vfs_attr_t *out, const sftp_attrs_t *a)
{
    memset(out, 0, sizeof(*out));
    if (!(a->flags & FXA_MODE) || !(a->flags & FXA_SIZE) || a->size > INT64_MAX) return 0;
    out->type = type_of(a->mode);
    out->mode = a->mode & 07777;
    out->nlink = 1; /* the protocol does not say */
    out->uid = a->uid;
    out->gid = a->gid;
    out->size = out->allocated = a->size;
    out->blksize = 65536;
    out->atime_ns = (int64_t)a->atime * NS_PER_S;
    out->mtime_ns = out->ctime_ns = (int64_t)a->mtime * NS_PER_S;
    return 1;
}

apr_status_t sftp__fx_status(uint32_t code)
{
    static const struct {
        uint32_t code;
        int error;
    } rows[] = {{FX_NO_SUCH_FILE, ENOENT},
                {FX_PERMISSION_DENIED, EACCES},
                {FX_FAILURE, EIO},
                {FX_BAD_MESSAGE, EINVAL},
                {9, EBADF},
                {10, ENOENT},
                {11, EEXIST},
                {12, EROFS},
                {14, ENOSPC},
                {15, EDQUOT},
                {18, ENOTEMPTY},
                {19, ENOTDIR},
                {20, EINVAL},
                {21, ELOOP}};
    if (code == FX_OK) return APR_SUCCESS;
    if (code == FX_EOF) return APR_EOF;
    if (code == 8) return APR_ENOTIMPL;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].code == code) return APR_FROM_OS_ERROR(rows[i].error);
    return APR_FROM_OS_ERROR(EIO);
}
