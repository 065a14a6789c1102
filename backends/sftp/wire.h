/*
 * wire.h - bytes of SFTP, version 3 (draft-ietf-secsh-filexfer-02): put together, and taken apart
 * with every length checked. Floor 2, private to backends/sftp/ and its tests. Knows no connection.
 */
#ifndef BACKENDS_SFTP_WIRE_H
#define BACKENDS_SFTP_WIRE_H

#include "vfs/vfs.h"

/* Messages. */
#define FXP_INIT 1
#define FXP_VERSION 2
#define FXP_OPEN 3
#define FXP_CLOSE 4
#define FXP_READ 5
#define FXP_WRITE 6
#define FXP_LSTAT 7
#define FXP_FSTAT 8
#define FXP_SETSTAT 9
#define FXP_FSETSTAT 10
#define FXP_OPENDIR 11
#define FXP_READDIR 12
#define FXP_REMOVE 13
#define FXP_MKDIR 14
#define FXP_RMDIR 15
#define FXP_REALPATH 16
#define FXP_STAT 17
#define FXP_RENAME 18
#define FXP_READLINK 19
#define FXP_SYMLINK 20
#define FXP_STATUS 101
#define FXP_HANDLE 102
#define FXP_DATA 103
#define FXP_NAME 104
#define FXP_ATTRS 105
#define FXP_EXTENDED 200
#define FXP_EXTENDED_REPLY 201

/* What a server says of a request; the latter ones only servers of later versions. */
#define FX_OK 0
#define FX_EOF 1
#define FX_NO_SUCH_FILE 2
#define FX_PERMISSION_DENIED 3
#define FX_FAILURE 4
#define FX_BAD_MESSAGE 5

/* How a file is opened. */
#define FXF_READ 0x1u
#define FXF_WRITE 0x2u
#define FXF_APPEND 0x4u
#define FXF_CREAT 0x8u
#define FXF_TRUNC 0x10u
#define FXF_EXCL 0x20u

/* Which attributes are there. */
#define FXA_SIZE 0x1u
#define FXA_OWNER 0x2u
#define FXA_MODE 0x4u
#define FXA_TIMES 0x8u
#define FXA_EXTENDED 0x80000000u

/** Bytes that grow. */
typedef struct sftp_buf_t {
    uint8_t *data;
    size_t len, room;
    int failed; /**< there was no memory: what is here is not whole */
} sftp_buf_t;

/** A place for `len` more bytes, or NULL. */
uint8_t *sftp__buf_more(sftp_buf_t *buf, size_t len);
void sftp__buf_put(sftp_buf_t *buf, const void *data, size_t len);
void sftp__buf_put8(sftp_buf_t *buf, uint8_t value);
void sftp__buf_put32(sftp_buf_t *buf, uint32_t value);
void sftp__buf_put64(sftp_buf_t *buf, uint64_t value);
/** With its length before it. */
void sftp__buf_text(sftp_buf_t *buf, const void *data, size_t len);
/** Take the first bytes away. */
void sftp__buf_drop(sftp_buf_t *buf, size_t len);
void sftp__buf_free(sftp_buf_t *buf);

/** What is left of a message. */
typedef struct sftp_in_t {
    const uint8_t *at;
    size_t left;
    int bad; /**< it was shorter than it says: all that is taken is 0 */
} sftp_in_t;

uint32_t sftp__in_32(sftp_in_t *in);
uint64_t sftp__in_64(sftp_in_t *in);
/** A text within the message; it has no NUL. */
const uint8_t *sftp__in_text(sftp_in_t *in, size_t *len);

/** Attributes as they come and go; `flags` says which are there. */
typedef struct sftp_attrs_t {
    uint32_t flags, uid, gid, mode, atime, mtime;
    uint64_t size;
} sftp_attrs_t;

void sftp__buf_attrs(sftp_buf_t *buf, const sftp_attrs_t *attrs);
void sftp__in_attrs(sftp_in_t *in, sftp_attrs_t *attrs);
/** In words of the contract. 0: without mode or size nobody knows what it is. */
int sftp__attr(vfs_attr_t *out, const sftp_attrs_t *attrs);
/** What a server's number means. */
apr_status_t sftp__fx_status(uint32_t code);

#endif
