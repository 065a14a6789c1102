/*
 * target_l2.c - the disk tier's segments: whatever a segment holds, what is found in it lies within
 * it, and what its parsers take they would write the same way. The input is a segment; a change of
 * it rarely has sound checksums, so it is given them where its first byte is odd.
 */
#include "cachefs/store/bytes.h"
#include "cachefs/store/l2_format.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_seeds[] = {
    "\1L2Rc000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
    "0",
    "\2ooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooooo",
    "\1", NULL};
const char *const fuzz_pieces[] = {"L2Rc", "2Fot", "\1\1\1\1", "\377\377\377\377",
                                   "\20",  "\100", NULL};

static const uint8_t id[CACHEFS__STORE_ID_BYTES] = "sixteen bytes!!";

static void mend(uint8_t *in, uint32_t magic, size_t sum_at)
{
    cachefs__put32(in, magic);
    cachefs__put64(in + sum_at, cachefs__l2_sum(in, sum_at));
}

static void try_record(uint8_t *in, int mended)
{
    uint8_t again[L2_HEAD];
    cachefs__l2_record_t r;
    uint32_t seq = cachefs__get32(in + 4);
    if (mended) {
        cachefs__put32(in + 52, 0);
        mend(in, 0x6352324cu, 56);
    }
    if (!cachefs__l2_record_read(in, seq, &r)) return;
    FUZZ_CHECK(r.from * L2_GRANULE + r.len <= L2_CELL && r.seq == seq);
    FUZZ_CHECK(cachefs__l2_record_space(&r) <= L2_HEAD + L2_CELL && r.packed <= r.len);
    cachefs__l2_record_write(again, &r);
    FUZZ_CHECK(!memcmp(in, again, L2_HEAD));
    FUZZ_CHECK(!cachefs__l2_record_read(in, seq + 1, &r));
}

static void try_row(const uint8_t *in, uint64_t end)
{
    cachefs__l2_row_t row;
    cachefs__l2_row_read(in, &row);
    if (!cachefs__l2_row_good(&row, end)) return;
    uint32_t stored = cachefs__l2_stored(row.len, row.parts);
    FUZZ_CHECK((uint64_t)row.off + L2_HEAD + stored <= end && row.off >= L2_HEAD);
    FUZZ_CHECK(stored <= row.len && (stored || !row.len));
    FUZZ_CHECK(row.from * L2_GRANULE + row.len <= L2_CELL);
}

static void try_trailer(uint8_t *in, uint64_t size, int mended)
{
    uint32_t count = 0, seq = cachefs__get32(in + 8);
    uint64_t sum;
    if (mended) mend(in, 0x746f4632u, 24);
    if (!cachefs__l2_trailer_read(in, seq, size, &count, &sum)) return;
    FUZZ_CHECK(L2_HEAD + (uint64_t)count * L2_ROW + L2_TRAILER <= size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t buf[L2_HEAD + L2_TRAILER + L2_ROW + 1];
    if (size < 2) return 0;
    int mended = data[0] & 1;
    memset(buf, 0, sizeof(buf));
    memcpy(buf, data + 1, size - 1 < sizeof(buf) ? size - 1 : sizeof(buf));
    try_row(buf, data[0] * 1024u);
    try_trailer(buf + L2_HEAD, size, mended);
    FUZZ_CHECK(!cachefs__l2_head_read(buf, id, 7) || cachefs__get32(buf + 12) == 7);
    try_record(buf, mended);
    return 0;
}
