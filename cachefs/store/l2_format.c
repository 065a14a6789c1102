/*
 * l2_format.c - see l2_format.h. Floor 2, private to cachefs/store/.
 */
#include "cachefs/store/l2_format.h"

#include <string.h>

#include "cachefs/store/bytes.h"
#include "vfs/digest.h"

#define HEAD_MAGIC 0x3167655332436663ull /* "cfC2Seg1" */
#define RECORD_MAGIC 0x6352324cu
#define TRAILER_MAGIC 0x746f4632u

uint64_t cachefs__l2_sum(const void *bytes, size_t len)
{
    return vfs__hash64(bytes, len, 0);
}

uint64_t cachefs__l2_tag(const cachefs__l2_key_t *key, uint64_t cell)
{
    uint64_t x = (key->w[0] ^ cell * 0x9e3779b97f4a7c15ull) + key->w[1];
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93ull;
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93ull;
    x ^= x >> 32;
    return x ? x : 1;
}

void cachefs__l2_head_write(uint8_t *out, const uint8_t *store_id, uint32_t seq)
{
    memset(out, 0, L2_HEAD);
    cachefs__put64(out, HEAD_MAGIC);
    cachefs__put32(out + 8, L2_FORMAT);
    cachefs__put32(out + 12, seq);
    memcpy(out + 16, store_id, CACHEFS__STORE_ID_BYTES);
    cachefs__put64(out + L2_HEAD - 8, cachefs__l2_sum(out, L2_HEAD - 8));
}

static int format_good(uint32_t format)
{
    return format >= 1 && format <= L2_FORMAT;
}

uint32_t cachefs__l2_head_read(const uint8_t *in, const uint8_t *store_id, uint32_t seq)
{
    uint32_t format = cachefs__get32(in + 8);
    int good = cachefs__get64(in) == HEAD_MAGIC && format_good(format) &&
               cachefs__get32(in + 12) == seq &&
               !memcmp(in + 16, store_id, CACHEFS__STORE_ID_BYTES) &&
               cachefs__get64(in + L2_HEAD - 8) == cachefs__l2_sum(in, L2_HEAD - 8);
    return good ? format : 0;
}

void cachefs__l2_record_write(uint8_t *out, const cachefs__l2_record_t *r)
{
    cachefs__put32(out, RECORD_MAGIC);
    cachefs__put32(out + 4, r->seq);
    cachefs__put64(out + 8, r->key.w[0]);
    cachefs__put64(out + 16, r->key.w[1]);
    cachefs__put64(out + 24, r->cell);
    cachefs__put32(out + 32, r->from);
    cachefs__put32(out + 36, r->len);
    cachefs__put64(out + 40, r->sum);
    cachefs__put32(out + 48, r->packed);
    cachefs__put32(out + 52, 0);
    cachefs__put64(out + 56, cachefs__l2_sum(out, 56));
}

static int extent_good(uint32_t from, uint32_t len)
{
    return from < L2_CELL / L2_GRANULE && len <= L2_CELL - from * L2_GRANULE;
}

int cachefs__l2_record_read(const uint8_t *in, uint32_t seq, cachefs__l2_record_t *r)
{
    if (cachefs__get32(in) != RECORD_MAGIC || cachefs__get32(in + 4) != seq ||
        cachefs__get64(in + 56) != cachefs__l2_sum(in, 56))
        return 0;
    r->seq = seq;
    r->key.w[0] = cachefs__get64(in + 8);
    r->key.w[1] = cachefs__get64(in + 16);
    r->cell = cachefs__get64(in + 24);
    r->from = cachefs__get32(in + 32);
    r->len = cachefs__get32(in + 36);
    r->sum = cachefs__get64(in + 40);
    r->packed = cachefs__get32(in + 48);
    return extent_good(r->from, r->len) && r->packed <= r->len &&
           cachefs__l2_parts(r->len, r->packed) < L2_PARTS;
}

void cachefs__l2_row_write(uint8_t *out, const cachefs__l2_row_t *row)
{
    cachefs__put64(out, row->tag);
    cachefs__put32(out + 8, row->off);
    cachefs__put32(out + 12, row->len);
    cachefs__put32(out + 16, row->from);
    cachefs__put32(out + 20, row->parts);
}

void cachefs__l2_row_read(const uint8_t *in, cachefs__l2_row_t *row)
{
    row->tag = cachefs__get64(in);
    row->off = cachefs__get32(in + 8);
    row->len = cachefs__get32(in + 12);
    row->from = cachefs__get32(in + 16);
    row->parts = cachefs__get32(in + 20);
}

int cachefs__l2_row_good(const cachefs__l2_row_t *row, uint64_t end)
{
    return row->tag != 0 && row->off % L2_ALIGN == 0 && row->off >= L2_HEAD &&
           extent_good(row->from, row->len) && row->parts < (row->len ? L2_PARTS : 1) &&
           (uint64_t)row->off + cachefs__l2_space(row->len, row->parts) <= end;
}

void cachefs__l2_trailer_write(uint8_t *out, const uint8_t *rows, uint32_t count, uint32_t seq)
{
    cachefs__put32(out, TRAILER_MAGIC);
    cachefs__put32(out + 4, count);
    cachefs__put32(out + 8, seq);
    cachefs__put32(out + 12, L2_FORMAT);
    cachefs__put64(out + 16, cachefs__l2_sum(rows, (size_t)count * L2_ROW));
    cachefs__put64(out + 24, cachefs__l2_sum(out, 24));
}

int cachefs__l2_trailer_read(const uint8_t *in, uint32_t seq, uint64_t size, uint32_t *count,
                             uint64_t *sum)
{
    if (cachefs__get32(in) != TRAILER_MAGIC || cachefs__get32(in + 8) != seq ||
        !format_good(cachefs__get32(in + 12)) || cachefs__get64(in + 24) != cachefs__l2_sum(in, 24))
        return 0;
    *count = cachefs__get32(in + 4);
    *sum = cachefs__get64(in + 16);
    return L2_HEAD + cachefs__l2_footer_bytes(*count) <= size;
}
