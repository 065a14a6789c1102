/*
 * target_resume.c - resume files of warming: what is taken stays within the plan and comes back
 * when it is written again; what is refused is named.
 */
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "warming/internal.h"

#define HASH 0x123456789abcdef0ull
#define COUNT 100u

const char *const fuzz_seeds[] = {
    "cachefs-warm-resume 1\nplan 123456789abcdef0 100\ndone 0-41\ndone 63-63\nend 2\n",
    "cachefs-warm-resume 1\nplan 123456789abcdef0 100\nend 0\n",
    "cachefs-warm-resume 1\nplan 123456789abcdef1 100\ndone 0-99\nend 1\n", NULL};
const char *const fuzz_pieces[] = {"done ",
                                   "end ",
                                   "plan ",
                                   "\n",
                                   "-",
                                   "0",
                                   "99",
                                   "100",
                                   "1\n",
                                   "done 0-99\n",
                                   "18446744073709551615",
                                   "\r\n",
                                   NULL};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char done[COUNT / 8 + 2] = {0}, again[COUNT / 8 + 2] = {0};
    char err[300] = "", saved[40] = "/tmp/cachefs-fuzz-XXXXXX";
    (void)fuzz_pool(); /* APR is there */
    const char *file = fuzz_file(data, size);
    apr_status_t st = warm__resume_load(file, HASH, COUNT, done, err, sizeof(err));
    for (unsigned i = COUNT; i < sizeof(done) * 8; i++)
        FUZZ_CHECK(!(done[i / 8] >> i % 8 & 1));
    if (st != APR_SUCCESS) {
        FUZZ_CHECK(err[0] != '\0');
        return 0;
    }
    int fd = mkstemp(saved);
    FUZZ_CHECK(fd >= 0 && close(fd) == 0);
    FUZZ_CHECK(warm__resume_save(saved, HASH, COUNT, done) == APR_SUCCESS);
    FUZZ_CHECK(warm__resume_load(saved, HASH, COUNT, again, err, sizeof(err)) == APR_SUCCESS);
    FUZZ_CHECK(memcmp(done, again, sizeof(done)) == 0);
    FUZZ_CHECK(unlink(saved) == 0);
    return 0;
}
