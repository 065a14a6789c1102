/*
 * target_segment.c - whole segments of the disk tier, with heads, records and a footer whose
 * checksums are right though what they say may not be, and with single bytes changed: whatever a
 * tier gives of it is what was put in under that key, and a check of it survives.
 */
#include "backends/backends.h"
#include "cachefs/store/bytes.h"
#include "cachefs/store/check_private.h"
#include "cachefs/store/l2_log.h"
#include "tests/fuzz/fuzz.h"

#define NAME CACHEFS__STORE_L2 "/seg-00000001"
#define IMAGE (256u << 10)
#define KEYS 4u

/* How it is made: a byte of what is done to it, then for each record its key, place, length and
 * what is wrong or special with it (z: it is packed, Z: it says so); behind an 'f' rows of the
 * footer are changed, behind an 'x' bytes are. */
const char *const fuzz_seeds[] = {"\1\1\20\4 \2\2\40 \3\3\377 ",
                                  "\1\1\20\4 \2\2\40 f\1\2x\5\1",
                                  "\0\1\20\4 \1\20\4s\2\1\1q\3\7\7 x\1\2\3\4",
                                  "\1\1\20\377z\2\2\377Z\3\1\40z",
                                  "\0\1\20\377z\2\2\40zx\1\1\1\1",
                                  "\1",
                                  NULL};
const char *const fuzz_pieces[] = {"f", "x", "\1", "\377", "s",   "q",
                                   "h", " ", "z",  "Z",    "\20", NULL};

typedef struct image_t {
    uint8_t bytes[IMAGE];
    uint8_t rows[256 * L2_ROW];
    uint32_t count;
    uint64_t used;
} image_t;

static cachefs__l2_key_t key_of(uint64_t n)
{
    return (cachefs__l2_key_t){{n, n * 31 + 7}};
}

static uint8_t byte_of(uint64_t key, uint64_t at)
{
    return (uint8_t)(at * 7 + (at >> 8) + key * 91);
}

static void pack(cachefs__l2_record_t *r, uint8_t *data)
{
    cachefs__l2_packer_t *p = cachefs__l2_packer_create();
    FUZZ_CHECK(p != NULL);
    r->packed = cachefs__l2_pack(p, 1, data, r->len);
    memcpy(data, p->packed, r->packed);
    cachefs__l2_packer_destroy(p);
}

static void add_record(image_t *m, const uint8_t *say)
{
    uint64_t key = say[0] % KEYS;
    cachefs__l2_record_t r = {.key = key_of(key), .cell = say[0] >> 7, .from = say[1] % 16};
    uint32_t most = L2_CELL - r.from * L2_GRANULE;
    r.len = say[2] == 255 ? most : say[2] * 97u;
    if (r.len > most) r.len = most;
    if (m->count == 256 || m->used + cachefs__l2_space(r.len, 0) + 8192 > IMAGE) return;
    uint8_t *at = m->bytes + m->used, *data = at + L2_HEAD;
    uint64_t base = r.cell * L2_CELL + r.from * L2_GRANULE;
    for (uint32_t i = 0; i < r.len; i++)
        data[i] = byte_of(key, base + i);
    if (say[3] == 'z') pack(&r, data);
    if (say[3] == 'Z') r.packed = r.len / 2;
    if (r.packed) memset(data + r.packed, 0, r.len - r.packed);
    r.seq = say[3] == 'q' ? 2 : 1;
    r.sum = cachefs__l2_sum(data, cachefs__l2_record_bytes(&r)) ^ (say[3] == 's');
    cachefs__l2_record_write(at, &r);
    at[60] ^= say[3] == 'h';
    cachefs__l2_row_t row = {cachefs__l2_tag(&r.key, r.cell), (uint32_t)m->used, r.len, r.from,
                             cachefs__l2_parts(r.len, r.packed)};
    cachefs__l2_row_write(m->rows + (size_t)m->count++ * L2_ROW, &row);
    m->used += cachefs__l2_record_space(&r);
}

/* The image that an input stands for, of the store with that identity. */
static void build(image_t *m, const uint8_t *id, const uint8_t *data, size_t size)
{
    size_t at = 1;
    memset(m, 0, sizeof(*m));
    cachefs__l2_head_write(m->bytes, id, 1);
    m->used = L2_HEAD;
    for (; at + 4 <= size && data[at] != 'f' && data[at] != 'x'; at += 4)
        add_record(m, data + at);
    for (; at + 2 < size && data[at] == 'f' && m->count; at += 3)
        m->rows[data[at + 1] % (m->count * L2_ROW)] ^= data[at + 2];
    if (size && (data[0] & 1)) {
        memcpy(m->bytes + m->used, m->rows, (size_t)m->count * L2_ROW);
        m->used += (uint64_t)m->count * L2_ROW;
        cachefs__l2_trailer_write(m->bytes + m->used, m->rows, m->count, 1);
        m->used += L2_TRAILER;
    }
    for (; at + 3 < size && data[at] == 'x'; at += 4)
        m->bytes[(data[at + 1] | (uint64_t)data[at + 2] << 8) % m->used] ^= data[at + 3];
    if (size && (data[0] & 2)) m->used -= m->used * (data[0] >> 2) / 128; /* cut short */
}

static void put_file(vfs_t *fs, const image_t *m)
{
    vfs_file_t *f;
    size_t n;
    FUZZ_CHECK(!vfs_open(&f, fs, NULL, NAME, VFS_O_WRITE | VFS_O_CREATE, 0600, NULL, NULL));
    FUZZ_CHECK(!m->used || !vfs_write_at(f, NULL, m->bytes, m->used, 0, &n, NULL));
    FUZZ_CHECK(!vfs_close(f, NULL));
}

/* Whatever it has of a key is of that key. */
static void read_key(cachefs__l2_t *l2, uint64_t n)
{
    static uint8_t got[2 * L2_CELL];
    cachefs__l2_key_t key = key_of(n);
    uint64_t stop;
    for (uint64_t at = 0; at < sizeof(got); at = stop) {
        int has = cachefs__l2_extent(l2, &key, at, sizeof(got), &stop);
        FUZZ_CHECK(stop > at && stop <= sizeof(got));
        vfs_iovec_t iov = {got, stop - at};
        if (!has || cachefs__l2_read(l2, &key, NULL, at, &iov, 1)) continue;
        for (uint64_t i = at; i < stop; i++)
            FUZZ_CHECK(got[i - at] == byte_of(n, i));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static image_t m;
    static const cachefs__l2_config_t config = {
        .bytes = 4u << 20, .segment_bytes = 512u << 10, .free_min = 1};
    cachefs__l2_verdict_t v;
    cachefs__store_t *store;
    cachefs__l2_t *l2;
    cachefs_check_t report = {.size = sizeof(report)};
    vfs_t *fs;
    if (!size) return 0;
    FUZZ_CHECK(!vfs_mem_create(&fs, 0, fuzz_pool()));
    FUZZ_CHECK(!cachefs__store_open(&store, fs, NULL, NULL, 0));
    build(&m, cachefs__store_id(store), data, size);
    put_file(fs, &m);
    cachefs__l2_verify(m.bytes, m.used, cachefs__store_id(store), 1, &v);
    FUZZ_CHECK(v.records <= m.used / L2_HEAD && v.torn <= m.used &&
               v.record_bytes <= v.records * L2_CELL);
    FUZZ_CHECK(v.ours || !v.records);
    cachefs__store_close(store);
    FUZZ_CHECK(!cachefs_store_check(&report, fs, NULL, NULL, 0));
    FUZZ_CHECK(!!report.damage == (v.damaged || (!v.ours && report.damaged_segments)));
    FUZZ_CHECK(!cachefs__store_open(&store, fs, NULL, NULL, 0));
    FUZZ_CHECK(!cachefs__l2_open(&l2, store, &config));
    for (uint64_t n = 0; n < KEYS; n++)
        read_key(l2, n);
    cachefs__l2_close(l2);
    cachefs__store_close(store);
    FUZZ_CHECK(!vfs_destroy(fs));
    return 0;
}
