/*
 * target_journal.c - journals: bytes as records whose checksums are right, so that all behind the
 * checksum is reached; whatever they say, what is handed out is in order and within bounds.
 */
#include "backends/backends.h"
#include "cachefs/store/bytes.h"
#include "cachefs/store/journal.h"
#include "tests/fuzz/fuzz.h"

#define NONCE 11u

const char *const fuzz_seeds[] = {"\x30\x01 /a",
                                  "\x31\x02 some bytes of a file",
                                  "\x38\x03\x01\x02\x03",
                                  "\x20\x07/from/to",
                                  "\x08\x08",
                                  NULL};
const char *const fuzz_pieces[] = {
    "\x01", "\x02", "\x03", "\x07", "\x08", "\x0a", "/", "/a/b", "\xff\xff\xff\xff", NULL};

/* The input as records: a byte of length, one of type, then the body; heads from what is there. */
static size_t records(uint8_t *out, size_t room, const uint8_t *data, size_t size)
{
    size_t used = 0;
    uint64_t lsn = 1;
    for (size_t at = 0; at + 3 <= size;) {
        uint32_t len = data[at] * 3u;
        if (len > size - at - 3) len = (uint32_t)(size - at - 3);
        if (used + cachefs__jsize(len) > room) break;
        cachefs__jrecord_t rec = {.type = (cachefs__jtype_e)(1 + data[at + 1] % 10),
                                  .flags = data[at + 2] & 3,
                                  .lsn = lsn,
                                  .object = data[at + 2] >> 4,
                                  .body = data + at + 3,
                                  .len = len};
        uint8_t *rec_at = out + used;
        used += cachefs__jput(rec_at, &rec, NULL, 0);
        (void)cachefs__jseal(rec_at, lsn > 2 ? lsn - 2 : 0, NONCE);
        lsn += data[at + 2] == 'g' ? 5 : 1; /* a hole */
        if (data[at + 2] == 'x') rec_at[33] ^= 1;
        at += 3 + len;
    }
    return used;
}

static void check_bodies(const cachefs__jrecord_t *rec)
{
    cachefs__jbase_t b;
    uint64_t off;
    int64_t mtime;
    uint32_t len, to_len;
    const uint8_t *bytes;
    const char *from, *to;
    const uint8_t *end = rec->body + rec->len;
    if (cachefs__jbase_get(&b, rec->body, rec->len)) {
        FUZZ_CHECK(b.path[0] == '/' && (const uint8_t *)b.path + b.path_len == end);
        FUZZ_CHECK(b.path_len <= VFS_PATH_MAX && b.validator.len <= VFS_VALIDATOR_BYTES);
    }
    if (cachefs__jwrite_get(rec, &off, &mtime, &bytes, &len)) {
        FUZZ_CHECK(len > 0 && bytes + len == end && off + len <= INT64_MAX);
    }
    if (cachefs__jrename_get(rec, &from, &len, &to, &to_len)) {
        FUZZ_CHECK(from[0] == '/' && to[0] == '/' && (const uint8_t *)to + to_len == end);
    }
}

typedef struct heard_t {
    uint64_t last, count;
    const cachefs__jfound_t *found;
} heard_t;

static apr_status_t hear(void *baton, const cachefs__jrecord_t *rec)
{
    heard_t *h = baton;
    FUZZ_CHECK(rec->lsn > h->last && rec->lsn >= h->found->live_from && rec->lsn < h->found->end);
    FUZZ_CHECK(rec->type > 0 && rec->type < JOURNAL_MARK);
    h->last = rec->lsn;
    h->count++;
    check_bodies(rec);
    return APR_SUCCESS;
}

static void put_file(vfs_t *fs, const uint8_t *bytes, size_t len)
{
    vfs_file_t *f;
    size_t n;
    FUZZ_CHECK(
        !vfs_open(&f, fs, NULL, "/j-00000001", VFS_O_WRITE | VFS_O_CREATE, 0600, NULL, NULL));
    FUZZ_CHECK(!vfs_write_at(f, NULL, bytes, len, 0, &n, NULL));
    FUZZ_CHECK(!vfs_close(f, NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t image[JOURNAL_HEADER_BYTES + (1u << 17)];
    cachefs__jheader_t h = {.number = 1, .first = 1, .live_from = 1, .nonce = NONCE};
    cachefs__joptions_t o = {.dir = "/", .origin = h.origin, .bytes_max = 1u << 20};
    cachefs__journal_t *j;
    apr_pool_t *pool = fuzz_pool();
    cachefs__jrecord_t raw;
    (void)cachefs__jget(&raw, data, size, NONCE); /* as it came: no checksum will be right */
    (void)cachefs__jheader_get(&h, data, size);
    h = (cachefs__jheader_t){.number = 1, .first = 1, .live_from = 1, .nonce = NONCE};
    cachefs__jheader_put(image, &h);
    size_t used =
        records(image + JOURNAL_HEADER_BYTES, sizeof(image) - JOURNAL_HEADER_BYTES, data, size);
    FUZZ_CHECK(!vfs_mem_create(&o.fs, 0, pool));
    put_file(o.fs, image, JOURNAL_HEADER_BYTES + used);
    FUZZ_CHECK(!cachefs__journal_open(&j, &o, NULL, 0));
    heard_t heard = {.found = cachefs__journal_found(j)};
    FUZZ_CHECK(!cachefs__journal_visit(j, hear, &heard));
    FUZZ_CHECK(heard.count == heard.found->records);
    FUZZ_CHECK(heard.count + heard.found->lost == heard.found->end - heard.found->live_from);
    FUZZ_CHECK(!cachefs__journal_close(j));
    FUZZ_CHECK(!vfs_destroy(o.fs));
    return 0;
}
