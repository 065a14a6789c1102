/*
 * test_example.c - examples/s3_cache.c, run as a user would: what it read once it has, until the
 * bucket has another version.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <criterion/criterion.h>

#include "tests/s3/support_bucket.h"

#define LARGE (3u << 20)

static bucket_t b;

static int run(const char *place, const char *paths)
{
    char command[1400], uri[512];
    s3server_uri(uri, sizeof(uri), b.web.port, place, "&retries=0");
    snprintf(command, sizeof(command), "%s '%s' %s/store %s >%s/out 2>%s/err", EXAMPLE, uri,
             b.web.dir, paths, b.web.dir, b.web.dir);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static const char *said(const char *name)
{
    static char text[1024];
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", b.web.dir, name);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file, "%s", path);
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    (void)fclose(file); /* it was read only */
    return text;
}

/* It printed these, one after the other. */
static void expect_out(const char *one, size_t len, const char *two)
{
    char path[128], *text = malloc(LARGE + 64);
    snprintf(path, sizeof(path), "%s/out", b.web.dir);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file, "%s", path);
    size_t n = fread(text, 1, LARGE + 64, file);
    (void)fclose(file); /* it was read only */
    cr_expect(n == len + strlen(two) && memcmp(text, one, len) == 0 &&
              memcmp(text + len, two, strlen(two)) == 0);
    free(text);
}

Test(s3_example, what_was_read_once_is_not_fetched_again)
{
    bucket_start(&b, NULL, "in", "");
    char *large = malloc(LARGE);
    memset(large, 'x', LARGE);
    bucket_put(&b, "/a", 0, large, LARGE, NULL, 0);
    bucket_put(&b, "/d/b", 0, "two", 3, NULL, 0);
    cr_expect_eq(run("test/in", "/a /d/b"), 0, "%s", said("err"));
    expect_out(large, LARGE, "two");
    unsigned long long requests = 0, first = 0, second = 0;
    cr_expect_eq(sscanf(said("err"), "%llu requests, %llu", &requests, &first), 2);
    cr_expect_geq(first, LARGE);
    second = first;
    /* what did not reach the store before the end of one run does so in another */
    for (unsigned i = 0; i < 20 && second > first - LARGE; i++) {
        cr_expect_eq(run("test/in", "/a /d/b"), 0, "%s", said("err"));
        expect_out(large, LARGE, "two");
        cr_expect_eq(sscanf(said("err"), "%llu requests, %llu", &requests, &second), 2);
    }
    cr_expect_leq(second, first - LARGE, "its version is asked for, and not its bytes");
    bucket_put(&b, "/a", 0, "1 ", 2, NULL, 0);
    cr_expect_eq(run("test/in", "/a /d/b"), 0, "%s", said("err"));
    expect_out("1 ", 2, "two");
    cr_expect_eq(run("test/in", "/none"), 1);
    cr_expect_not_null(strstr(said("err"), "/none: "), "%s", said("err"));
    cr_expect_eq(run("other", "/a"), 1);
    cr_expect_not_null(strstr(said("err"), "there is no such bucket"), "%s", said("err"));
    free(large);
    bucket_stop(&b);
}
