/*
 * l2_format.h - what lies in a segment of the disk tier, written to and read from memory.
 * Floor 2, private to cachefs/store/ and its tests. Knows no file: parsers of bytes that anybody
 * may have damaged.
 *
 *     head     64 bytes: whose it is, its number
 *     records  each at a multiple of 64: a head of 64 bytes and the bytes themselves
 *     footer   one row a record, and 32 bytes at the very end that say how many: written when no
 *              record follows any more
 *
 * A file is cut into cells of 64 KiB. A record has some granules of 4 KiB of one cell, the last of
 * which may be cut short by the end of the file; without any it is a hint (l2.h). Its bytes are as
 * they are in the file, or packed (l2_pack.h); then it takes so many 32nds of its length, since an
 * index that has to know where it ends has five bits for that. Segments of format 1 have no packed
 * records.
 */
#ifndef CACHEFS_STORE_L2_FORMAT_H
#define CACHEFS_STORE_L2_FORMAT_H

#include "cachefs/store/store.h"
#include "vfs/vfs_ops.h"

#define L2_HEAD 64u /* of a segment, and of a record */
#define L2_ALIGN 64u
#define L2_CELL (64u << 10)
#define L2_CELL_SHIFT 16u
#define L2_GRANULE 4096u
#define L2_ROW 24u
#define L2_PARTS 32u /* of its length, a record that is packed takes so many */
#define L2_TRAILER 32u
#define L2_SEGMENT_MAX (64u << 20) /* bytes of a segment, with its footer */
#define L2_FORMAT 2u               /* that is written; 1 is read, too */

/* What bytes are known by: a version of a file of an origin. */
typedef struct cachefs__l2_key_t {
    uint64_t w[2];
} cachefs__l2_key_t;

typedef struct cachefs__l2_record_t {
    cachefs__l2_key_t key;
    uint64_t cell;
    uint32_t from;   /* first granule of the cell */
    uint32_t len;    /* bytes of the file */
    uint32_t packed; /* bytes that lie here; 0: those of the file */
    uint32_t seq;    /* number of its segment */
    uint64_t sum;    /* of the bytes that lie here */
} cachefs__l2_record_t;

/* Where a record lies, without what it is: a row of a footer. */
typedef struct cachefs__l2_row_t {
    uint64_t tag; /* see cachefs__l2_tag */
    uint32_t off; /* of its head, in the segment */
    uint32_t len;
    uint32_t from;
    uint32_t parts; /* of L2_PARTS, of its length, that its bytes take; 0: they are not packed */
} cachefs__l2_row_t;

/* Parts of its length that so many packed bytes take. */
static inline uint32_t cachefs__l2_parts(uint32_t len, uint32_t packed)
{
    return packed ? (packed * L2_PARTS + len - 1) / len : 0;
}
/* Bytes behind the head of a record: what is behind those that it has is 0. */
static inline uint32_t cachefs__l2_stored(uint32_t len, uint32_t parts)
{
    return parts ? (len * parts + L2_PARTS - 1) / L2_PARTS : len;
}
/* Bytes that a record takes in its segment. */
static inline uint32_t cachefs__l2_space(uint32_t len, uint32_t parts)
{
    return L2_HEAD + (cachefs__l2_stored(len, parts) + L2_ALIGN - 1) / L2_ALIGN * L2_ALIGN;
}
static inline uint32_t cachefs__l2_record_space(const cachefs__l2_record_t *r)
{
    return cachefs__l2_space(r->len, cachefs__l2_parts(r->len, r->packed));
}
/* Bytes that its checksum is of. */
static inline uint32_t cachefs__l2_record_bytes(const cachefs__l2_record_t *r)
{
    return r->packed ? r->packed : r->len;
}
/* Bytes of the footer of so many records. */
static inline uint64_t cachefs__l2_footer_bytes(uint64_t count)
{
    return count * L2_ROW + L2_TRAILER;
}
/* Cells are told apart in memory by 64 bits. Never 0. */
uint64_t cachefs__l2_tag(const cachefs__l2_key_t *key, uint64_t cell);
uint64_t cachefs__l2_sum(const void *bytes, size_t len);

void cachefs__l2_head_write(uint8_t *out, const uint8_t *store_id, uint32_t seq);
/* Its format, if it is sound; else 0. */
uint32_t cachefs__l2_head_read(const uint8_t *in, const uint8_t *store_id, uint32_t seq);
/* These: 1 if it is sound. `size`: bytes that the segment has. */
void cachefs__l2_record_write(uint8_t *out, const cachefs__l2_record_t *r);
int cachefs__l2_record_read(const uint8_t *in, uint32_t seq, cachefs__l2_record_t *r);
void cachefs__l2_row_write(uint8_t *out, const cachefs__l2_row_t *row);
void cachefs__l2_row_read(const uint8_t *in, cachefs__l2_row_t *row);
/* Does the row lie within the records, which end at `end`? */
int cachefs__l2_row_good(const cachefs__l2_row_t *row, uint64_t end);
void cachefs__l2_trailer_write(uint8_t *out, const uint8_t *rows, uint32_t count, uint32_t seq);
int cachefs__l2_trailer_read(const uint8_t *in, uint32_t seq, uint64_t size, uint32_t *count,
                             uint64_t *sum);

#endif
