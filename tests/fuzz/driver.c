/*
 * driver.c - runs a target without libFuzzer: its seeds, then random changes of them, a fixed
 * number of times. fuzz_NAME [--seed N] [--runs N] [FILE...]; files are inputs to run once.
 * Floor 4.
 *
 * The input is printed when a run dies, so that it can be kept and run again.
 */
#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

#include <apr_time.h>

#include "tests/fuzz/fuzz.h"

#define INPUT_MAX 6000u

static uint8_t input[INPUT_MAX];
static size_t input_len;
static uint64_t state;

static uint64_t random_below(uint64_t below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state % below;
}

static size_t count_of(const char *const *list)
{
    size_t n = 0;
    while (list[n] != NULL)
        n++;
    return n;
}

static void take_seed(void)
{
    const char *seed = fuzz_seeds[random_below(count_of(fuzz_seeds))];
    input_len = strlen(seed);
    memcpy(input, seed, input_len);
}

static void insert(size_t at, const void *bytes, size_t len)
{
    if (input_len + len > INPUT_MAX) return;
    memmove(input + at + len, input + at, input_len - at);
    memmove(input + at, bytes, len);
    input_len += len;
}

static void mutate_once(void)
{
    uint8_t byte = (uint8_t)random_below(256), part[400];
    size_t at = (size_t)random_below(input_len + 1);
    size_t len = (size_t)random_below(input_len - at + 1);
    const char *piece;
    switch (random_below(8)) {
    case 0: /* change a byte */
        if (at < input_len) input[at] = byte;
        break;
    case 1: /* flip a bit */
        if (at < input_len) input[at] ^= (uint8_t)(1u << random_below(8));
        break;
    case 2:
        insert(at, &byte, 1);
        break;
    case 3:
    case 4:
        piece = fuzz_pieces[random_below(count_of(fuzz_pieces))];
        insert(at, piece, strlen(piece));
        break;
    case 5: /* take a part out */
        memmove(input + at, input + at + len, input_len - at - len);
        input_len -= len;
        break;
    case 6: /* repeat a part somewhere else */
        len = len < sizeof part ? len : sizeof part;
        memcpy(part, input + at, len);
        insert((size_t)random_below(input_len + 1), part, len);
        break;
    default: /* a long run of one byte */
        memset(part, byte, sizeof part);
        insert(at, part, (size_t)random_below(sizeof part));
        break;
    }
}

static void died(int sig)
{
    static const char digits[] = "0123456789abcdef";
    char hex[2];
    (void)!write(STDERR_FILENO,
                 "\ninput in hex: ", 15); /* the process ends; nothing else can be done */
    for (size_t i = 0; i < input_len; i++) {
        hex[0] = digits[input[i] >> 4];
        hex[1] = digits[input[i] & 15];
        (void)!write(STDERR_FILENO, hex, 2);
    }
    (void)!write(STDERR_FILENO, "\n", 1);
    signal(sig, SIG_DFL);
    raise(sig);
}

static int run_file(const char *name)
{
    FILE *file = fopen(name, "rb");
    if (file == NULL) return 2;
    input_len = fread(input, 1, sizeof input, file);
    (void)fclose(file); /* only read */
    return LLVMFuzzerTestOneInput(input, input_len);
}

int main(int argc, char **argv)
{
    uint64_t runs = 20000, seed = (uint64_t)apr_time_now();
    int files = 0;
    signal(SIGABRT, died);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc)
            seed = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--runs") == 0 && i + 1 < argc)
            runs = strtoull(argv[++i], NULL, 0);
        else if (run_file(argv[i]) == 0)
            files++;
        else
            return 2;
    }
    if (files > 0) return 0;
    printf("--seed %" PRIu64 " --runs %" PRIu64 "\n", seed, runs);
    (void)fflush(stdout); /* so that it is known if the process dies */
    state = seed * 2 + 1;
    for (const char *const *s = fuzz_seeds; *s != NULL; s++)
        (void)LLVMFuzzerTestOneInput((const uint8_t *)*s, strlen(*s));
    (void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
    for (uint64_t i = 0; i < runs; i++) {
        if (i % 16 == 0 || input_len > INPUT_MAX / 2) take_seed();
        for (uint64_t k = random_below(6) + 1; k > 0; k--)
            mutate_once();
        (void)LLVMFuzzerTestOneInput(input, input_len);
    }
    return 0;
}
