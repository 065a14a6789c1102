/*
 * test_fsck.c - `cachefs fsck` and `cachefs gc` on stores that the program made.
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/cli/support_run.h"

/* A tree, and a store beside it that a run filled with its files. */
typedef struct world_t {
    char *dir, *origin, *store;
} world_t;

static node_t *figures(const world_t *w, int code)
{
    run_t r = run("fsck", w->store, "--json", NULL);
    cr_assert_eq(r.code, code, "%d: %s%s", r.code, r.out, r.err);
    node_t *doc = json_read(r.out);
    cr_assert_not_null(doc, "%s", r.out);
    return doc;
}

/* What is younger than its clock's step is not kept, nor what comes before there is a segment: so
 * it is read until all of it is there. */
static world_t world(void)
{
    world_t w;
    w.dir = tree_make();
    w.origin = origin_of(w.dir);
    w.store = path_in(tree_make(), "store");
    double there = 0;
    for (int i = 0; there < 3100000; i++) {
        run_t r = run("warm", w.origin, "--tree", "/", "--store", w.store, "--set",
                      "store_free_min=1", NULL);
        cr_assert_eq(r.code, 0, "%s", r.err);
        there = json_number(json_get(figures(&w, 0), "cached"), "record_bytes");
        cr_assert_lt(i, 200);
    }
    return w;
}

static void flip(const char *path, size_t at)
{
    size_t len;
    char *bytes = slurp(path, &len);
    cr_assert(bytes != NULL && at < len);
    bytes[at] ^= 0x20;
    spill(path, bytes, len);
}

static char *segment_of(const world_t *w)
{
    return path_in(w->store, "l2/seg-00000001");
}

Test(cli_fsck, a_store_that_a_run_left_is_clean)
{
    world_t w = world();
    run_t r = run("fsck", w.store, NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_not_null(strstr(r.out, " is clean\n"), "%s", r.out);
    cr_assert_not_null(strstr(r.out, "journal: none\n"), "%s", r.out);
    node_t *doc = figures(&w, 0), *cached = json_get(doc, "cached");
    cr_assert_str_eq(json_text(doc, "verdict"), "clean");
    cr_assert_eq(strlen(json_text(doc, "identity")), 32);
    cr_assert_eq(strncmp(json_text(doc, "opened_by"), "process ", 8), 0);
    cr_assert_geq(json_number(cached, "record_bytes"), 3100000);
    cr_assert_eq(json_number(cached, "segments"), json_number(cached, "sealed"));
    cr_assert_eq(json_number(cached, "damaged_records"), 0);
    cr_assert_eq(json_number(json_get(doc, "journal"), "files"), 0);
    cr_assert_eq(json_get(doc, "findings")->count, 0);
    run_t quiet = run("fsck", w.store, "-q", NULL);
    cr_assert_str_eq(quiet.out, formatted("%s is clean\n", w.store));
}

Test(cli_fsck, damage_is_4_and_repaired_is_1_and_then_all_is_clean)
{
    world_t w = world();
    char *segment = segment_of(&w);
    flip(segment, 5000);
    run_t r = run("fsck", w.store, NULL);
    cr_assert_eq(r.code, 4, "%s", r.out);
    cr_assert_not_null(strstr(r.out, "damage   /l2/seg-00000001 ("), "%s", r.out);
    cr_assert_not_null(strstr(r.out, " is damaged\n"), "%s", r.out);
    cr_assert_not_null(strstr(r.err, "--repair"), "%s", r.err);
    cr_assert_eq(access(segment, F_OK), 0);
    node_t *doc = figures(&w, 4);
    cr_assert_eq(json_number(doc, "damage"), 1);
    cr_assert_str_eq(json_text(json_item(json_get(doc, "findings"), 0), "path"),
                     "/l2/seg-00000001");
    r = run("fsck", w.store, "--repair", NULL);
    cr_assert_eq(r.code, 1, "%s%s", r.out, r.err);
    cr_assert_not_null(strstr(r.out, "it is deleted"), "%s", r.out);
    cr_assert_eq(access(segment, F_OK), -1);
    (void)figures(&w, 0);
    r = run("cat", w.origin, "a.txt", "--store", w.store, NULL);
    cr_assert_str_eq(r.out, "alpha\n");
}

Test(cli_fsck, an_identity_that_is_damaged_is_mended_and_the_bytes_stay)
{
    world_t w = world();
    char *was = keep(strdup(json_text(figures(&w, 0), "identity")));
    flip(path_in(w.store, "STORE"), 20);
    (void)figures(&w, 4);
    run_t gc = run("gc", w.store, NULL);
    cr_assert_eq(gc.code, 3);
    cr_assert_not_null(strstr(gc.err, "repair it first"), "%s", gc.err);
    cr_assert_eq(run("fsck", w.store, "--repair", NULL).code, 1);
    node_t *doc = figures(&w, 0);
    cr_assert_str_eq(json_text(doc, "identity"), was);
    cr_assert_geq(json_number(json_get(doc, "cached"), "record_bytes"), 3100000);
}

/* A file of a store that is damaged never gives wrong bytes to who reads through it. */
Test(cli_fsck, whatever_is_flipped_no_wrong_byte_is_served)
{
    world_t w = world();
    size_t len, want_len;
    char *segment = segment_of(&w), *bytes = slurp(segment, &len);
    char *want = slurp(path_in(w.dir, "sub/deep/c.bin"), &want_len);
    unsigned seen = 0;
    for (size_t at = 0; at < len; at += len / 24) {
        spill(segment, bytes, len);
        flip(segment, at);
        run_t check = run("fsck", w.store, "--json", NULL);
        cr_assert(check.code == 4 || check.code == 0, "%d: %s", check.code, check.err);
        node_t *cached = json_get(json_read(check.out), "cached");
        seen += check.code == 4 || json_number(cached, "torn_bytes") > 0;
        run_t r = run("cat", w.origin, "sub/deep/c.bin", "--store", w.store, "-q", NULL);
        cr_assert_eq(r.code, 0, "%s", r.err);
        cr_assert(r.out_len == want_len && !memcmp(r.out, want, want_len), "byte %zu", at);
    }
    cr_assert_geq(seen, 24);
}

Test(cli_fsck, a_store_in_use_is_refused_and_named)
{
    world_t w = world();
    char *fifo = path_in(w.dir, "fifo");
    cr_assert_eq(mkfifo(fifo, 0600), 0);
    pid_t pid = fork();
    if (pid == 0) { /* waits for a list that nobody writes */
        (void)execl(getenv("CACHEFS_PROGRAM"), "cachefs", "warm", w.origin, "--list", fifo,
                    "--store", w.store, "-q", (char *)NULL);
        _exit(98);
    }
    int fd = open(fifo, O_WRONLY); /* it has the store by now: the list comes after the stack */
    static const char *const ways[][2] = {{"fsck", NULL}, {"fsck", "--repair"}, {"gc", NULL}};
    for (size_t i = 0; i < 3; i++) {
        run_t r = run(ways[i][0], w.store, ways[i][1], NULL);
        cr_assert_eq(r.code, i < 2 ? 8 : 3, "%s: %d", ways[i][0], r.code);
        cr_assert_not_null(strstr(r.err, formatted("in use by process %d", (int)pid)), "%s", r.err);
    }
    run_t second = run("cat", w.origin, "a.txt", "--store", w.store, NULL);
    cr_assert_eq(second.code, 3);
    cr_assert_not_null(strstr(second.err, "in use by process"), "%s", second.err);
    (void)kill(pid, SIGKILL);
    (void)waitpid(pid, NULL, 0);
    (void)close(fd);
    (void)figures(&w, 0);
}

Test(cli_fsck, what_cannot_be_checked_is_8_and_says_why)
{
    world_t w = world();
    char *dir = tree_make(), *empty = path_in(dir, "nothing"), *file = path_in(dir, "a.txt");
    cr_assert_eq(mkdir(empty, 0700), 0);
    struct {
        const char *path, *says;
    } wrong[] = {{dir, "is no store of a cache"},
                 {empty, "is empty"},
                 {file, "is no directory"},
                 {path_in(dir, "nope"), "No such file"},
                 {"", "an empty path"}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        run_t r = run("fsck", wrong[i].path, "--repair", NULL);
        cr_assert_eq(r.code, 8, "%s: %d %s", wrong[i].path, r.code, r.err);
        cr_assert_not_null(strstr(r.err, wrong[i].says), "%s", r.err);
        cr_assert_eq(r.out_len, 0, "%s", r.out);
        cr_assert_neq(run("gc", wrong[i].path, NULL).code, 0);
    }
    cr_assert_eq(count_names(empty, ""), 0);
    cr_assert_eq(run("fsck", NULL).code, 2);
    cr_assert_eq(run("fsck", w.store, "more", NULL).code, 2);
    cr_assert_eq(run("gc", w.store, "--repair", NULL).code, 2);
}

Test(cli_fsck, who_may_not_read_it_is_told_so)
{
    world_t w = world();
    const how_t who = {.unprivileged = 1};
    cr_assert_eq(chmod(path_in(w.store, "l2"), 0), 0);
    run_t r = run_how(&who, "fsck", w.store, NULL);
    cr_assert_eq(chmod(path_in(w.store, "l2"), 0700), 0);
    cr_assert_eq(r.code, 8, "%s", r.out);
    cr_assert_not_null(strstr(r.err, "ermission denied"), "%s", r.err);
}

Test(cli_fsck, gc_takes_what_is_left_over_and_what_is_too_much)
{
    world_t w = world();
    spill(path_in(w.store, "l2/seg-00000099"), "", 0);
    run_t r = run("gc", w.store, "--json", NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    node_t *doc = json_read(r.out);
    cr_assert_eq(json_number(doc, "removed"), 1);
    cr_assert_geq(json_number(doc, "left_bytes"), 3100000);
    cr_assert_str_eq(json_text(json_item(json_get(doc, "files"), 0), "path"), "/l2/seg-00000099");
    r = run("--bytes", "0", "gc", w.store, NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_not_null(strstr(r.out, "one of the oldest"), "%s", r.out);
    cr_assert_not_null(strstr(r.out, " 0 B of cached bytes are left\n"), "%s", r.out);
    cr_assert_eq(json_number(json_get(figures(&w, 0), "cached"), "segments"), 0);
    r = run("cat", w.origin, "a.txt", "--store", w.store, NULL);
    cr_assert_str_eq(r.out, "alpha\n");
}
