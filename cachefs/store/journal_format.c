/*
 * journal_format.c - the bytes of a journal: heads of files, records, bodies. Pure functions.
 * Floor 2, private to cachefs/store/.
 *
 * A file is a page with its head, twice (either copy is enough), then records, each at a multiple
 * of 8. Numbers are little-endian.
 *
 *     head    magic 8, format 4, bytes of the page 4, origin 16, session 16, number 8, first LSN 8,
 *             live_from 8, nonce 8, zeros, FNV-1a of the 120 bytes before 8
 *     record  length of the body 4, type 2, flags 2, LSN 8, durable LSN 8, object 8, checksum 8,
 *             body, zeros
 *
 * The checksum covers head and body of a record and is seeded with the nonce of its file: bytes of
 * another file, an older life of the same disk block, or user data that looks like a journal are no
 * records here. Format and checksum of a head are the same in all versions to come.
 */
#include <string.h>

#include "cachefs/store/bytes.h"
#include "cachefs/store/journal.h"
#include "vfs/digest.h"

#define HEAD_BYTES 128u
#define HEAD_COPY 2048u /* where the second one is */
#define FORMAT 1u
#define AT_SUM 32u

static const uint8_t magic[8] = {'c', 'f', 's', 'j', 'r', 'n', 'l', 0};

/* ---- records */

static uint64_t record_sum(const uint8_t *at, uint32_t len, uint64_t nonce)
{
    uint64_t head = vfs__hash64(at, AT_SUM, nonce);
    return vfs__hash64(at + JOURNAL_RECORD_BYTES, len, head);
}

size_t cachefs__jput(uint8_t *at, const cachefs__jrecord_t *rec, const void *tail, uint32_t len)
{
    uint32_t body = rec->len + len;
    size_t size = cachefs__jsize(body);
    VFS_ASSERT(body <= JOURNAL_BODY_MAX);
    memset(at + size - 8, 0, 8);
    cachefs__put32(at, body);
    at[4] = (uint8_t)rec->type;
    at[5] = 0;
    at[6] = (uint8_t)rec->flags;
    at[7] = 0;
    cachefs__put64(at + 8, rec->lsn);
    cachefs__put64(at + 24, rec->object);
    if (rec->len) memcpy(at + JOURNAL_RECORD_BYTES, rec->body, rec->len);
    if (len) memcpy(at + JOURNAL_RECORD_BYTES + rec->len, tail, len);
    return size;
}

size_t cachefs__jseal(uint8_t *at, uint64_t durable, uint64_t nonce)
{
    uint32_t len = cachefs__get32(at);
    cachefs__put64(at + 16, durable);
    cachefs__put64(at + AT_SUM, record_sum(at, len, nonce));
    return cachefs__jsize(len);
}

size_t cachefs__jget(cachefs__jrecord_t *rec, const uint8_t *at, size_t have, uint64_t nonce)
{
    if (have < JOURNAL_RECORD_BYTES) return 0;
    uint32_t len = cachefs__get32(at);
    if (!at[4] || at[4] >= JOURNAL_TYPES || at[5] || at[7]) return 0;
    if (len > JOURNAL_BODY_MAX || cachefs__jsize(len) > have) return 0;
    if (cachefs__get64(at + AT_SUM) != record_sum(at, len, nonce)) return 0;
    *rec = (cachefs__jrecord_t){.type = (cachefs__jtype_e)at[4],
                                .flags = at[6],
                                .lsn = cachefs__get64(at + 8),
                                .durable = cachefs__get64(at + 16),
                                .object = cachefs__get64(at + 24),
                                .body = at + JOURNAL_RECORD_BYTES,
                                .len = len};
    return cachefs__jsize(len);
}

/* ---- heads */

void cachefs__jheader_put(uint8_t *at, const cachefs__jheader_t *h)
{
    memset(at, 0, JOURNAL_HEADER_BYTES);
    memcpy(at, magic, sizeof(magic));
    cachefs__put32(at + 8, FORMAT);
    cachefs__put32(at + 12, JOURNAL_HEADER_BYTES);
    memcpy(at + 16, h->origin, JOURNAL_ID_BYTES);
    memcpy(at + 32, h->session, JOURNAL_ID_BYTES);
    cachefs__put64(at + 48, h->number);
    cachefs__put64(at + 56, h->first);
    cachefs__put64(at + 64, h->live_from);
    cachefs__put64(at + 72, h->nonce);
    cachefs__put64(at + HEAD_BYTES - 8, cachefs__fnv64(at, HEAD_BYTES - 8));
    memcpy(at + HEAD_COPY, at, HEAD_BYTES);
}

static apr_status_t head_get(cachefs__jheader_t *h, const uint8_t *at)
{
    if (memcmp(at, magic, sizeof(magic)) != 0 ||
        cachefs__get64(at + HEAD_BYTES - 8) != cachefs__fnv64(at, HEAD_BYTES - 8))
        return VFS_ECHECKSUM;
    if (cachefs__get32(at + 8) != FORMAT || cachefs__get32(at + 12) != JOURNAL_HEADER_BYTES)
        return VFS_EFORMAT;
    memcpy(h->origin, at + 16, JOURNAL_ID_BYTES);
    memcpy(h->session, at + 32, JOURNAL_ID_BYTES);
    h->number = cachefs__get64(at + 48);
    h->first = cachefs__get64(at + 56);
    h->live_from = cachefs__get64(at + 64);
    h->nonce = cachefs__get64(at + 72);
    return h->first && h->live_from && h->live_from <= h->first ? APR_SUCCESS : VFS_ECHECKSUM;
}

apr_status_t cachefs__jheader_get(cachefs__jheader_t *h, const uint8_t *at, size_t have)
{
    apr_status_t st = have < HEAD_BYTES ? VFS_ECHECKSUM : head_get(h, at);
    if (st == VFS_ECHECKSUM && have >= HEAD_COPY + HEAD_BYTES) st = head_get(h, at + HEAD_COPY);
    return st;
}

/* ---- bodies */

uint32_t cachefs__jbase_put(uint8_t *at, const cachefs__jbase_t *b)
{
    memset(at, 0, JOURNAL_BASE_BYTES);
    cachefs__put64(at, b->dev);
    cachefs__put64(at + 8, b->ino);
    cachefs__put64(at + 16, (uint64_t)b->born_ns);
    cachefs__put64(at + 24, b->size);
    cachefs__put32(at + 32, b->mode);
    cachefs__put32(at + 36, b->uid);
    cachefs__put32(at + 40, b->gid);
    at[48] = b->validator.kind;
    at[49] = b->validator.flags;
    at[50] = b->validator.len;
    memcpy(at + 52, b->validator.data, VFS_VALIDATOR_BYTES);
    return JOURNAL_BASE_BYTES;
}

/* A path as dispatch makes them: absolute, without NUL, not too long. */
static int path_fits(const char *path, uint32_t len)
{
    return len > 0 && len <= VFS_PATH_MAX && path[0] == '/' && memchr(path, 0, len) == NULL;
}

int cachefs__jbase_get(cachefs__jbase_t *b, const uint8_t *body, uint32_t len)
{
    if (len <= JOURNAL_BASE_BYTES) return 0;
    memset(b, 0, sizeof(*b));
    b->dev = cachefs__get64(body);
    b->ino = cachefs__get64(body + 8);
    b->born_ns = (int64_t)cachefs__get64(body + 16);
    b->size = cachefs__get64(body + 24);
    b->mode = cachefs__get32(body + 32) & 07777u;
    b->uid = cachefs__get32(body + 36);
    b->gid = cachefs__get32(body + 40);
    b->validator.kind = body[48];
    b->validator.flags = body[49];
    b->validator.len = body[50];
    memcpy(b->validator.data, body + 52, VFS_VALIDATOR_BYTES);
    b->path = (const char *)body + JOURNAL_BASE_BYTES;
    b->path_len = len - JOURNAL_BASE_BYTES;
    return path_fits(b->path, b->path_len) && b->size <= INT64_MAX &&
           b->validator.kind <= VFS_VALIDATOR_DIGEST && b->validator.len <= VFS_VALIDATOR_BYTES;
}

int cachefs__jwrite_get(const cachefs__jrecord_t *rec, uint64_t *off, int64_t *mtime_ns,
                        const uint8_t **bytes, uint32_t *len)
{
    if (rec->type != JOURNAL_WRITE || rec->len <= JOURNAL_WRITE_BYTES) return 0;
    *off = cachefs__get64(rec->body);
    *mtime_ns = (int64_t)cachefs__get64(rec->body + 8);
    *bytes = rec->body + JOURNAL_WRITE_BYTES;
    *len = rec->len - JOURNAL_WRITE_BYTES;
    return *off <= (uint64_t)INT64_MAX - *len;
}

int cachefs__jlsn_get(const cachefs__jrecord_t *rec, uint64_t *lsn)
{
    if (rec->len != 8) return 0;
    *lsn = cachefs__get64(rec->body);
    return 1;
}

int cachefs__jrename_get(const cachefs__jrecord_t *rec, const char **from, uint32_t *from_len,
                         const char **to, uint32_t *to_len)
{
    if (rec->type != JOURNAL_RENAME || rec->len < 4) return 0;
    *from_len = cachefs__get32(rec->body);
    if (*from_len > rec->len - 4) return 0;
    *from = (const char *)rec->body + 4;
    *to = *from + *from_len;
    *to_len = rec->len - 4 - *from_len;
    return path_fits(*from, *from_len) && path_fits(*to, *to_len);
}
