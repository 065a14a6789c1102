/*
 * target_control.c - lines of the control socket: what is read is words without NUL, as many as a
 * line may have; written again they are the same words. The rest of the input is not lost.
 */
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/fuzz/fuzz.h"
#include "tools/control.h"

const char *const fuzz_seeds[] = {"status\n",
                                  "flush /a%20b wait 1000\nunmount fail 0\n",
                                  "warm path=/x glob=/%2a%2a jobs=4\n",
                                  "pin on %\n",
                                  "a%zz\n%00\n",
                                  "set ttl /a=1h,%25=5s\n",
                                  NULL};
const char *const fuzz_pieces[] = {"\n", " ", "%", "%20", "%0a", "%7f", "%00", "%e4", "  ", NULL};

/* Through another socket, and back. */
static void check_again(const control_line_t *line)
{
    int ends[2];
    static control_line_t again;
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    control_stream_t stream = {.fd = ends[1]};
    FUZZ_CHECK(control_send(ends[0], line->word, line->count));
    FUZZ_CHECK(control_read(&stream, &again));
    FUZZ_CHECK(again.count == line->count && stream.at == stream.len);
    for (size_t i = 0; i < line->count; i++)
        FUZZ_CHECK(strcmp(again.word[i], line->word[i]) == 0);
    (void)close(ends[0]);
    (void)close(ends[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int ends[2];
    static control_line_t line;
    if (size > 4096) size = 4096; /* what a socket takes at once */
    FUZZ_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
    control_stream_t stream = {.fd = ends[1]};
    FUZZ_CHECK(size == 0 || send(ends[0], data, size, 0) == (ssize_t)size);
    (void)close(ends[0]);
    while (control_read(&stream, &line)) {
        FUZZ_CHECK(line.count >= 1 && line.count <= CONTROL_WORDS_MAX);
        check_again(&line);
    }
    (void)close(ends[1]);
    return 0;
}
