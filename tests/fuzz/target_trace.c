/*
 * target_trace.c - traces for `cachefs replay`: what was read holds together, what was refused is
 * named. The first byte says by which format it is read, and whether sizes are kept.
 */
#include "tests/fuzz/fuzz.h"
#include "tools/trace.h"

const char *const fuzz_seeds[] = {
    "0time,id,size\n1,a,10\n2,b,20\n3,a,10\n",
    "2id\n7\n\"x y\"\n7\n",
    "31\n2\n*\n\n1\n",
    "43 4 0 0\n5 1 0 0\n# comment\n",
    "1tttt12345678ssssnnnnnnnntttt12345678ssssnnnnnnnn",
    "0# cachefs access log 1\n1,read,/f,0,9,9,0,1\n2,write,/g,7,7,7,0\n",
    "5time_us,op\n1,read,/f,0,9,9,0,1\n2,open,/f,0,0,0,0\n",
    "0(\xb5/\xfd", /* packed, and cut off */
    NULL};
const char *const fuzz_pieces[] = {
    "\n",   ",",  " ",  "\r\n", "*",    "#",    "id",
    "size", "\"", "-1", "99",   "a,b,", "1,2,", "18446744073709551615",
    NULL};

#define REQUESTS_MAX 100000u

/* A line of "arc" or "access" stands for as many requests as it says: such inputs are only slow. */
static int asks_for_many(const uint8_t *data, size_t size)
{
    size_t digits = 0;
    for (size_t i = 0; i < size; i++) {
        digits = data[i] >= '0' && data[i] <= '9' ? digits + 1 : 0;
        if (digits > 3) return 1;
    }
    return 0;
}

static void check_whole(const trace_t *trace, int with_bytes)
{
    uint64_t objects_bytes = 0, requests_bytes = 0;
    uint32_t seen = 0;
    FUZZ_CHECK(trace->count > 0 && trace->count < TRACE_NEVER);
    FUZZ_CHECK(trace->objects > 0 && trace->objects <= trace->count);
    FUZZ_CHECK((trace->bytes != NULL) == with_bytes);
    for (uint64_t i = 0; i < trace->count; i++) {
        uint64_t bytes = with_bytes ? trace->bytes[i] : 1;
        FUZZ_CHECK(trace->requests[i] <= seen); /* numbered as first seen */
        requests_bytes += bytes;
        if (trace->requests[i] == seen) {
            objects_bytes += bytes;
            seen++;
        }
    }
    FUZZ_CHECK(seen == trace->objects);
    FUZZ_CHECK(trace->objects_bytes == objects_bytes);
    FUZZ_CHECK(trace->requests_bytes == requests_bytes);
    for (uint32_t i = 1; i < trace->objects && i < 50; i++)
        for (uint32_t k = 0; k < i; k++)
            FUZZ_CHECK(trace->ids[i] != trace->ids[k]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    trace_t trace;
    char why[300] = "";
    if (size == 0) return 0;
    trace_format_e format = (trace_format_e)((unsigned)(data[0] - '0') % (TRACE_ACCESS + 1u));
    int with_bytes = data[0] >> 6 & 1;
    int many = asks_for_many(data + 1, size - 1);
    if (many && format != TRACE_CSV && format != TRACE_LIRS) return 0;
    const char *said =
        trace_read(&trace, fuzz_file(data + 1, size - 1), format, with_bytes, why, sizeof(why));
    if (said != NULL) {
        FUZZ_CHECK(said[0] != '\0');
        return 0;
    }
    FUZZ_CHECK(trace.count <= REQUESTS_MAX * size);
    check_whole(&trace, with_bytes);
    trace_free(&trace);
    return 0;
}
