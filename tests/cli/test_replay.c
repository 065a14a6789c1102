/*
 * test_replay.c - `cachefs replay`: formats of traces, sizes, policies, and figures that can be
 * worked out by hand or by a slow LRU.
 */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/cli/support_run.h"

enum { OBJECTS = 500, REQUESTS = 20000 };

static uint32_t requests[REQUESTS];

/* Popularity that is steep and drifts, then a scan. */
static void make_requests(void)
{
    uint64_t random = 88172645463325252ull;
    for (uint32_t i = 0; i < REQUESTS; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        double u = (double)(random >> 11) / 9007199254740992.0;
        requests[i] =
            i % 4000 < 3000 ? (uint32_t)(OBJECTS * u * u * u + i / 100) % OBJECTS : i % OBJECTS;
    }
}

static double lru_misses(uint32_t capacity)
{
    uint32_t *list = keep(calloc(capacity + 1, sizeof(*list))), count = 0, misses = 0, at;
    for (uint32_t i = 0; i < REQUESTS; i++) {
        for (at = 0; at < count && list[at] != requests[i]; at++) {
        }
        misses += at == count;
        if (at == count && count < capacity) count++;
        if (at == capacity) at--;
        memmove(&list[1], &list[0], at * sizeof(*list));
        list[0] = requests[i];
    }
    return (double)misses / REQUESTS;
}

enum { HOT_REQUESTS = 20000, SCANNED = 100000 };

/* The requests as text. `format` takes the number of the request and the object. */
static char *trace_file(const char *dir, const char *name, const char *head, const char *format)
{
    char *path = path_in(dir, name);
    FILE *file = fopen(path, "w");
    cr_assert_not_null(file);
    (void)fputs(head, file);
    for (uint32_t i = 0; i < REQUESTS; i++) {
        if (strcmp(format, "lirs") == 0)
            (void)fprintf(file, "%u\n", requests[i]);
        else if (strcmp(format, "arc") == 0)
            (void)fprintf(file, "%u 1 0 %u\n", requests[i], i);
        else if (strcmp(format, "names") == 0)
            (void)fprintf(file, "%u,\"file-%u\",%u\r\n", i, requests[i], 100 + requests[i] % 7);
        else
            (void)fprintf(file, "%u,%u,%u\n", i, requests[i], 100 + requests[i] % 7);
    }
    cr_assert_eq(fclose(file), 0);
    return path;
}

static char *oracle_file(const char *dir, const char *name, size_t cut)
{
    char *path = path_in(dir, name), *bytes = keep(calloc(REQUESTS, 24));
    for (uint32_t i = 0; i < REQUESTS; i++) {
        uint32_t size = 100 + requests[i] % 7;
        memcpy(bytes + i * 24, &i, 4);
        memcpy(bytes + i * 24 + 4, &requests[i], 4);
        memcpy(bytes + i * 24 + 12, &size, 4);
    }
    spill(path, bytes, (size_t)REQUESTS * 24 - cut);
    return path;
}

static const node_t *row(const node_t *doc, const char *policy, const char *size)
{
    for (const node_t *at = doc->first; at != NULL; at = at->next)
        if (strcmp(json_get(at, "policy")->string, policy) == 0 &&
            strcmp(json_get(at, "size")->string, size) == 0)
            return at;
    return NULL;
}

static double misses(const char *out, const char *policy, const char *size)
{
    const node_t *at = row(json_read(out), policy, size);
    cr_assert_not_null(at, "no %s at %s in %s", policy, size, out);
    return json_get(at, "miss_ratio")->number;
}

Test(cli_replay, every_format_gives_the_ratios_of_a_slow_lru)
{
    char *dir = tree_make();
    make_requests();
    const char *const files[] = {
        trace_file(dir, "a.csv", "time,object,size\n", "csv"),
        trace_file(dir, "b.csv", "", "csv"),
        trace_file(dir, "c.csv", "# by name\ntime,key,bytes\n", "names"),
        trace_file(dir, "d.trc", "*\n\n", "lirs"),
        trace_file(dir, "e.lis", "", "arc"),
        trace_file(dir, "f", "", "arc"),
        trace_file(dir, "g", "", "lirs"),
        oracle_file(dir, "h.oracleGeneral.bin", 0),
    };
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        run_t r = run("replay", files[i], "--policy", "lru", "--size", "10%,123", "--json", NULL);
        cr_assert_eq(r.code, 0, "%s: %s", files[i], r.err);
        cr_assert_float_eq(misses(r.out, "lru", "10%"), lru_misses(50), 1e-6, "%s", files[i]);
        cr_assert_float_eq(misses(r.out, "lru", "123"), lru_misses(123), 1e-6, "%s", files[i]);
        cr_assert_leq(misses(r.out, "belady", "123"), misses(r.out, "lru", "123"));
    }
}

/* 400 objects asked for at random; with `scan`, among them a hundred caches of such as come once.
 */
static char *scanned_file(const char *dir, const char *name, int scan)
{
    char *path = path_in(dir, name);
    FILE *file = fopen(path, "w");
    uint32_t random = 1, once = 1000;
    cr_assert_not_null(file);
    for (uint32_t i = 0; i < 2 * HOT_REQUESTS; i++) { /* in the first half it gets hot */
        random = random * 1664525u + 1013904223u;
        (void)fprintf(file, "%u\n", (random >> 8) % 400);
        for (int k = 0; scan && i >= HOT_REQUESTS && k < SCANNED / HOT_REQUESTS; k++)
            (void)fprintf(file, "%u\n", once++);
    }
    cr_assert_eq(fclose(file), 0);
    return path;
}

Test(cli_replay, a_scan_of_a_hundred_caches_costs_a_hot_set_two_points_at_most)
{
    char *dir = tree_make();
    const char *alone = scanned_file(dir, "alone.trc", 0), *both = scanned_file(dir, "both.trc", 1);
    for (int shards = 0; shards < 2; shards++) {
        const char *n = shards ? "8" : "1";
        run_t a = run("replay", alone, "--size", "1000", "--shards", n, "--json", NULL);
        run_t b = run("replay", both, "--size", "1000", "--shards", n, "--json", NULL);
        cr_assert_eq(a.code + b.code, 0, "%s%s", a.err, b.err);
        double hot = misses(b.out, "auto", "1000") * (SCANNED + 2 * HOT_REQUESTS) - SCANNED;
        double before = misses(a.out, "auto", "1000") * 2 * HOT_REQUESTS;
        cr_assert_leq(hot, before + 0.02 * HOT_REQUESTS, "%s shards: %f, before %f", n, hot,
                      before);
    }
}

Test(cli_replay, every_policy_runs_and_none_beats_the_optimum)
{
    char *dir = tree_make();
    make_requests();
    const char *file = trace_file(dir, "t.csv", "", "csv");
    const char *policies = "lru,lfu,ttl,hybrid,fifo,clock,slru,arc,lirs,clockpro,s3fifo,sieve,"
                           "wtinylfu,auto";
    for (int shards = 0; shards < 2; shards++) {
        run_t r = run("replay", file, "--policy", policies, "--size", "5%,20%", "--shards",
                      shards ? "4" : "1", "--json", "-j", "2", NULL);
        cr_assert_eq(r.code, 0, "%s", r.err);
        const node_t *doc = json_read(r.out);
        cr_assert_eq(doc->count, 30);
        for (const node_t *at = doc->first; at != NULL; at = at->next) {
            double optimum = misses(r.out, "belady", json_get(at, "size")->string);
            cr_assert_geq(json_get(at, "miss_ratio")->number, optimum);
            cr_assert_leq(json_get(at, "miss_ratio")->number, 1.0);
            cr_assert_float_eq(json_get(at, "byte_miss_ratio")->number,
                               json_get(at, "miss_ratio")->number, 1e-9);
            cr_assert_str_eq(json_get(at, "trace")->string, "t");
            cr_assert_eq(json_get(at, "requests")->number, REQUESTS);
            cr_assert_eq(json_get(at, "shards")->number, shards ? 4 : 1);
            cr_assert_eq(json_get(at, "capacity")->number,
                         strcmp(json_get(at, "size")->string, "5%") == 0 ? 25 : 100);
        }
    }
}

Test(cli_replay, sizes_count_with_bytes)
{
    char *path = path_in(tree_make(), "sizes.csv");
    /* 30 fits beside 60, but 60 and 50 do not fit together */
    const char text[] = "id,size\na,60\nb,30\na,60\nb,30\nc,50\nb,30\na,60\nd,200\n";
    spill(path, text, sizeof(text) - 1);
    run_t r = run("replay", path, "--policy", "lru", "--size", "100", "--bytes", "--json", NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    const node_t *at = row(json_read(r.out), "lru", "100");
    cr_assert_not_null(at);
    cr_assert_float_eq(json_get(at, "miss_ratio")->number, 5.0 / 8, 1e-6);
    cr_assert_float_eq(json_get(at, "byte_miss_ratio")->number, (60 + 30 + 50 + 60 + 200) / 520.0,
                       1e-6);
    r = run("replay", path, "--size", "50%", "--bytes", "--json", NULL);
    cr_assert_eq(json_get(row(json_read(r.out), "auto", "50%"), "capacity")->number, 170);
}

/* Blocks 0, 1 and 2 of /a, block 0 of /b, and /a again; nothing of what failed or reads nothing. */
Test(cli_replay, an_access_log_is_replayed_by_blocks)
{
    char *path = path_in(tree_make(), "log");
    const char text[] = "# cachefs access log 1\ntime_us,op,path,offset,bytes,done,error,x\n"
                        "1,open,/a,0,0,0,0,5\n2,read,/a,16383,16386,16386,0,5\n"
                        "# 7 lines were left out here\n3,read,/a,0,4096,0,5,5\n"
                        "4,write,/b,0,1,1,0,5\n5,read,/a,99999,4096,0,0,5\n"
                        "6,read,/a,16384,16384,16384,0,5\n";
    spill(path, text, sizeof(text) - 1);
    run_t r = run("replay", path, "--policy", "lru", "--size", "100%", "--bytes", "--json", NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    const node_t *at = row(json_read(r.out), "lru", "100%");
    cr_assert_eq(json_get(at, "requests")->number, 5);
    cr_assert_float_eq(json_get(at, "miss_ratio")->number, 4.0 / 5, 1e-6);
    cr_assert_eq(json_get(at, "capacity")->number, 4 * 16384);
}

Test(cli_replay, table_has_a_line_a_run_and_a_note_of_the_speed)
{
    char *dir = tree_make();
    make_requests();
    const char *file = trace_file(dir, "t.csv", "", "csv");
    run_t r = run("replay", file, file, "--policy", "fifo,belady", "--size", "10%", NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    int lines = 0;
    for (const char *at = r.out; (at = strchr(at, '\n')) != NULL; at++)
        lines++;
    cr_assert_eq(lines, 5, "%s", r.out);
    cr_assert_not_null(strstr(r.err, "fifo: "));
    cr_assert_not_null(strstr(r.err, "million requests a second"));
    r = run_how(&(how_t){.on_terminal = 1}, "replay", file, "--size", "10%", NULL);
    cr_assert_not_null(strstr(r.err, " runs, "));
}

Test(cli_replay, damage_is_named_and_the_rest_still_runs)
{
    static const struct {
        const char *name, *text, *says;
    } bad[] = {
        {"x.csv", "id,size\n1,2\n3\n", "line 3: it has too few columns"},
        {"y.csv", "id,size\n1,big\n", "line 2: its size is no number"},
        {"z.trc", "12\n1x\n", "line 2: it is no block number"},
        {"w.lis", "12 0 0 1\n", "line 1: it is not"},
        {"v.trc", "\n\n", "it has no requests"},
        {"u.bin", "123456789012345678901234567", "24 bytes"},
        {"s.log", "# cachefs access log 1\n1,read,/f,0,9,9\n",
         "line 2: it is no line of an access"},
        {"r.log", "# cachefs access log 1\n1,read,/f,0,9,9e99,0,1\n", "line 2: it is no line of"},
        {"q.log", "# cachefs access log 1\n1,open,/f,0,0,0,0,1,0,1,\n", "it has no requests"},
    };
    char *dir = tree_make();
    make_requests();
    const char *good = trace_file(dir, "good.csv", "", "csv");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char *path = path_in(dir, bad[i].name);
        spill(path, bad[i].text, strlen(bad[i].text));
        run_t r = run("replay", path, good, "--size", "10%", "--json", NULL);
        cr_assert_eq(r.code, 1);
        cr_assert_not_null(strstr(r.err, bad[i].says), "%s: %s", bad[i].name, r.err);
        cr_assert_eq(json_read(r.out)->count, 2);
    }
    run_t r = run("replay", path_in(dir, "none-such.csv"), NULL);
    cr_assert_eq(r.code, 1);
    cr_assert_not_null(strstr(r.err, "No such file"));
    char *packed = path_in(dir, "p.trc.zst");
    spill(packed, "not packed at all", 17);
    r = run("replay", packed, NULL);
    cr_assert_eq(r.code, 1);
    cr_assert(strstr(r.err, "cannot unpack it") != NULL || strstr(r.err, "libzstd") != NULL);
}

Test(cli_replay, wrong_usage_is_refused)
{
    static const char *const wrong[][3] = {
        {"--policy", "lru,magic", "no policy magic"}, {"--size", "0", "it takes shares"},
        {"--size", "101%", "it takes shares"},        {"--size", "ten", "it takes shares"},
        {"--size", ",", "at least one size"},         {"--shards", "0", "1 to 1024"},
        {"--format", "xml", "lirs, arc or access"},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        run_t r = run("replay", "t.csv", wrong[i][0], wrong[i][1], NULL);
        cr_assert_eq(r.code, 2);
        cr_assert_not_null(strstr(r.err, wrong[i][2]), "%s", r.err);
    }
    run_t r = run("replay", NULL);
    cr_assert_eq(r.code, 2);
    cr_assert_not_null(strstr(r.err, "something is missing"));
}
