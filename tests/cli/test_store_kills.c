/*
 * test_store_kills.c - a --store whose processes are killed while they write to it.
 * tier: medium
 */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/cli/support_run.h"

#define FILES 24
#define BYTES (1u << 20)

static char content[BYTES];

/* Files of a megabyte, each with its own bytes. */
static char *megabytes(void)
{
    char *dir = tree_make();
    for (unsigned f = 0; f < FILES; f++) {
        for (size_t i = 0; i < BYTES; i++)
            content[i] = (char)(i * 31 + (i >> 9) + f * 7);
        spill(path_in(dir, formatted("m%u", f)), content, BYTES);
    }
    return dir;
}

static void reads_right(const char *dir, const char *store)
{
    for (unsigned f = 0; f < FILES; f++) {
        char *name = formatted("m%u", f);
        size_t len;
        char *want = slurp(path_in(dir, name), &len);
        run_t r = run("cat", origin_of(dir), name, "--store", store, "-q", NULL);
        cr_assert_eq(r.code, 0, "%s", r.err);
        cr_assert(r.out_len == len && !memcmp(r.out, want, len), "%s", name);
    }
}

static pid_t writer(const char *origin, const char *store)
{
    pid_t pid = fork();
    if (pid != 0) return pid;
    int none = open("/dev/null", O_WRONLY);
    (void)dup2(none, 1);
    (void)dup2(none, 2);
    (void)execl(getenv("CACHEFS_PROGRAM"), "cachefs", "warm", origin, "--tree", "/", "--rate",
                "48m", "--store", store, "--set", "store_free_min=1", "-q", (char *)NULL);
    _exit(98);
}

/* The moment is by chance, from before the store is open until all of it is written. */
Test(cli_store_kills, at_any_moment_it_is_sound_and_serves_right)
{
    char *dir = megabytes(), *origin = origin_of(dir), *store = path_in(tree_make(), "store");
    char *identity = path_in(store, "STORE");
    unsigned seed = 7, killed = 0, unsealed = 0;
    for (unsigned i = 0; i < 60; i++) {
        if (i % 3 == 0 && access(identity, F_OK) == 0)
            cr_assert_eq(run("gc", store, "--bytes", "0", NULL).code, 0);
        seed = seed * 1103515245u + 12345u;
        const struct timespec moment = {0, (long)(seed >> 2) % 500000000};
        pid_t pid = writer(origin, store);
        (void)nanosleep(&moment, NULL);
        (void)kill(pid, SIGKILL);
        int status;
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        killed += WIFSIGNALED(status);
        if (access(identity, F_OK) != 0) continue; /* it had only begun */
        run_t r = run("fsck", store, "--json", NULL);
        cr_assert_eq(r.code, 0, "%d: %s%s", r.code, r.out, r.err);
        node_t *cached = json_get(json_read(r.out), "cached");
        unsealed += json_number(cached, "segments") > json_number(cached, "sealed");
        if (i % 20 == 19) reads_right(dir, store);
    }
    cr_assert_gt(killed, 20, "%u killed", killed);
    cr_assert_gt(unsealed, 10, "%u while they wrote", unsealed);
}
