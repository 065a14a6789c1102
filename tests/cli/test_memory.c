/*
 * test_memory.c - --ram 64m on four times as many bytes: the memory holds, and every byte is right,
 * in every policy and mode; reading, copying and writing.
 * tier: long
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>

#include "backends/backends.h"
#include "cachefs/cachefs.h"
#include "tests/cli/support_run.h"

#define MIB (1024u * 1024u)
#define RAM (64u * MIB)
#define PROCESS (RAM + 24u * MIB) /* the program, its threads' stacks and buffers on top */
#define TREE (4u * RAM)

static const char *const modes[] = {"through", "back", "around"};
#define MODES 3

/* The memory of an instrumented process is mostly that of its sanitizer. */
#if defined(__SANITIZE_ADDRESS__)
#define INSTRUMENTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define INSTRUMENTED 1
#endif
#endif
#ifndef INSTRUMENTED
#define INSTRUMENTED 0
#endif

/* Its modes take turns over the policies, since it is slow; other processes take all of them. */
static int takes(unsigned nth, int mode)
{
    return !INSTRUMENTED || (int)(nth % MODES) == mode;
}

/* ---- a tree */

/* Of the i-th file: many small ones, most bytes in large ones, none and both sides of a block among
 * them. */
static size_t size_of(unsigned i)
{
    static const size_t sizes[] = {700,   4096,  0,     30000,  65537, 10000, 1,     200000,
                                   4095,  12345, 65536, 4097,   16384, 16385, 50000, MIB,
                                   90000, 777,   33333, 262144, 5000,  2500,  8192,  3 * MIB + 1};
    if (i % 97 == 50) return 24 * MIB - 5;
    return sizes[i % (sizeof(sizes) / sizeof(sizes[0]))];
}

/* Bytes that are different in each file, at each offset, in each generation (splitmix64). */
static uint64_t word_of(size_t nth, unsigned file, unsigned generation)
{
    uint64_t z = (nth + 1) * 0x9e3779b97f4a7c15u + file * 0xd1342543de82ef95u + generation;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    return z ^ (z >> 27);
}

static void fill(unsigned char *to, size_t len, unsigned file, unsigned generation, size_t off)
{
    size_t i = 0;
    while (i < len) {
        size_t at = off + i;
        uint64_t word = word_of(at / 8, file, generation);
        if (at % 8 == 0 && len - i >= 8) {
            memcpy(to + i, &word, 8);
            i += 8;
        } else {
            to[i++] = (unsigned char)(word >> at % 8 * 8);
        }
    }
}

/* A range that is written twice. */
static void second_of(size_t size, size_t *from, size_t *to)
{
    *from = size / 3;
    *to = *from + size / 5;
}

static void expected(unsigned char *to, size_t len, unsigned file, size_t size, size_t off)
{
    size_t from, end;
    second_of(size, &from, &end);
    fill(to, len, file, 0, off);
    if (from < off) from = off;
    if (end > off + len) end = off + len;
    if (from < end) fill(to + (from - off), end - from, file, 1, from);
}

static char *new_dir(const char *below, const char *name)
{
    char *dir = path_in(below, name);
    cr_assert_eq(mkdir(dir, 0700), 0, "%s: %s", dir, strerror(errno));
    return dir;
}

static char *large_tree(void)
{
    char *dir = new_dir(tree_make(), "large"), *sub = NULL;
    size_t total = 0;
    for (unsigned i = 0; total < TREE; i++) {
        size_t size = size_of(i);
        unsigned char *bytes = malloc(size + 1);
        if (i % 50 == 0) sub = new_dir(dir, formatted("d%u", i));
        fill(bytes, size, i, 0, 0);
        spill(formatted("%s/f%u", sub, i), (const char *)bytes, size);
        free(bytes);
        total += size;
    }
    return dir;
}

static void same_bytes(const char *from, const char *to)
{
    char *command = formatted("diff -r '%s' '%s' >/dev/null", from, to);
    cr_assert_eq(system(command), 0, "%s", command);
}

/* What `cachefs version` shows. */
static const node_t *policies(void)
{
    const node_t *names = json_get(json_read(run("version", "--json", NULL).out), "policies");
    cr_assert_geq(names->count, 4);
    return names->first;
}

static void within(uint64_t bytes, uint64_t limit, const char *policy, const char *mode)
{
    cr_expect(INSTRUMENTED || bytes <= limit, "%s, %s: %.1f MiB", policy, mode,
              (double)bytes / MIB);
}

/* ---- the program */

static void compare_is_within(const char *origin, const char *policy, const char *mode)
{
    run_t r = run("compare", origin, "--tree", "/", "--layers", "cachefs", "--ram", "64m",
                  "--policy", policy, "--mode", mode, "--json", "-q", NULL);
    const node_t *doc = json_read(r.out);
    cr_assert_eq(r.code, 0, "%s, %s: %s", policy, mode, r.err); /* 1, were any byte wrong */
    cr_assert_eq(doc->count, 6);
    for (const node_t *row = doc->first; row != NULL; row = row->next)
        within((uint64_t)json_number(row, "rss_bytes"), PROCESS, policy, mode);
    within(r.peak_rss, PROCESS, policy, mode);
}

static void warm_is_within(const char *origin, const char *policy, const char *mode)
{
    run_t r = run("warm", origin, "/", "--ram", "64m", "--policy", policy, "--mode", mode, "--json",
                  NULL);
    cr_assert_eq(r.code, 0, "%s, %s: %s", policy, mode, r.err);
    cr_expect_leq(json_number(json_read(r.out), "ram_used_bytes"), RAM, "%s, %s", policy, mode);
    within(r.peak_rss, PROCESS, policy, mode);
}

static void cp_is_within(const char *dir, const char *policy, const char *mode)
{
    char *dest = new_dir(dir, "../dest");
    run_t r = run("cp", origin_of(dir), "/", origin_of(dest), "-r", "--ram", "64m", "--policy",
                  policy, "--mode", mode, "-q", NULL);
    cr_assert_eq(r.code, 0, "%s, %s: %s", policy, mode, r.err);
    within(r.peak_rss, PROCESS, policy, mode);
    same_bytes(dir, dest);
    cr_assert_eq(system(formatted("rm -r '%s'", dest)), 0);
}

Test(cli_memory, reading_and_copying_stay_within_it_in_every_policy_and_mode, .timeout = 3000)
{
    char *dir = large_tree(), *origin = origin_of(dir);
    unsigned n = 0;
    for (const node_t *name = policies(); name != NULL; name = name->next, n++)
        for (int m = 0; m < MODES; m++) {
            if (!takes(n, m)) continue;
            compare_is_within(origin, name->string, modes[m]);
            warm_is_within(origin, name->string, modes[m]);
            cp_is_within(dir, name->string, modes[m]);
        }
}

Test(cli_memory, the_other_layers_of_compare_stay_within_it_too)
{
    run_t r = run("compare", origin_of(large_tree()), "--tree", "/", "--layers", "direct,corfs",
                  "--json", "-q", NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    within(r.peak_rss, PROCESS, "none", "none");
}

/* ---- a writer of its own */

typedef struct wrote_t {
    uint64_t peak_rss, ram_used;
    unsigned files;
    apr_status_t status; /* the first that was no success; VFS_ECHECKSUM: wrong bytes */
} wrote_t;

#define PIECE 100000u /* no multiple of a block */

static apr_status_t write_range(vfs_file_t *file, unsigned i, unsigned generation, size_t from,
                                size_t end)
{
    static unsigned char piece[PIECE];
    apr_status_t status = APR_SUCCESS;
    for (size_t at = from; at < end && status == APR_SUCCESS; at += PIECE) {
        size_t len = end - at < PIECE ? end - at : PIECE, written;
        fill(piece, len, i, generation, at);
        status = vfs_write_at(file, NULL, piece, len, (apr_off_t)at, &written, NULL);
    }
    return status;
}

static apr_status_t write_one(vfs_t *fs, unsigned i)
{
    char path[32];
    vfs_file_t *file;
    size_t from, end;
    (void)snprintf(path, sizeof(path), "/f%u", i);
    apr_status_t status =
        vfs_open(&file, fs, NULL, path, VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE, 0600, NULL, NULL);
    if (status != APR_SUCCESS) return status;
    second_of(size_of(i), &from, &end);
    status = write_range(file, i, 0, 0, size_of(i));
    if (status == APR_SUCCESS) status = write_range(file, i, 1, from, end);
    if (status == APR_SUCCESS && i % 64 == 0) status = vfs_sync(file, NULL, VFS_SYNC_DATA);
    apr_status_t closed = vfs_close(file, NULL);
    return status != APR_SUCCESS ? status : closed;
}

static apr_status_t check_one(vfs_t *fs, unsigned i)
{
    static unsigned char have[PIECE + 1], want[PIECE];
    char path[32];
    vfs_file_t *file;
    size_t got = PIECE;
    (void)snprintf(path, sizeof(path), "/f%u", i);
    apr_status_t status = vfs_open(&file, fs, NULL, path, VFS_O_READ, 0, NULL, NULL);
    if (status != APR_SUCCESS) return status;
    for (size_t at = 0; status == APR_SUCCESS && got == PIECE; at += PIECE) {
        size_t left = size_of(i) - at, len = left < PIECE ? left : PIECE;
        status = vfs_read_at(file, NULL, have, PIECE, (apr_off_t)at, &got);
        expected(want, len, i, size_of(i), at);
        if (status == APR_SUCCESS && (got != len || memcmp(have, want, len) != 0))
            status = VFS_ECHECKSUM;
        if (left == PIECE) break;
    }
    apr_status_t closed = vfs_close(file, NULL);
    return status != APR_SUCCESS ? status : closed;
}

static apr_status_t write_and_check(vfs_t *cache, wrote_t *wrote)
{
    cachefs_stats_t stats = {.size = sizeof(stats)};
    apr_status_t status = APR_SUCCESS;
    for (size_t total = 0; total < TREE && status == APR_SUCCESS;
         total += size_of(wrote->files++)) {
        status = write_one(cache, wrote->files);
        if (status == APR_SUCCESS) status = cachefs_stats(cache, &stats);
        if (stats.ram_used > wrote->ram_used) wrote->ram_used = stats.ram_used;
    }
    for (unsigned i = 0; i < wrote->files && status == APR_SUCCESS; i++)
        status = check_one(cache, i);
    return status;
}

static uint64_t peak_rss(void)
{
    char line[256];
    uint64_t kib = 0;
    FILE *in = fopen("/proc/self/status", "r");
    while (in != NULL && kib == 0 && fgets(line, sizeof(line), in) != NULL)
        if (strncmp(line, "VmHWM:", 6) == 0) kib = strtoull(line + 6, NULL, 10);
    if (in != NULL) (void)fclose(in);
    return kib * 1024;
}

/* In a process of its own: write the tree, read it through the cache, and below it when the cache
 * is gone. */
static wrote_t writer(const char *dir, const char *policy, const char *mode)
{
    wrote_t wrote = {0};
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    apr_pool_t *pool = NULL;
    vfs_t *below = NULL, *cache = NULL;
    char err[256] = "";
    wrote.status = apr_initialize();
    if (wrote.status == APR_SUCCESS) wrote.status = apr_pool_create(&pool, NULL);
    if (wrote.status == APR_SUCCESS)
        wrote.status = cachefs_config_set(&config, "policy", policy, err, sizeof(err), pool);
    if (wrote.status == APR_SUCCESS)
        wrote.status = cachefs_config_set(&config, "mode", mode, err, sizeof(err), pool);
    config.ram_bytes = RAM;
    if (wrote.status == APR_SUCCESS) wrote.status = vfs_local_create(&below, dir, pool);
    if (wrote.status == APR_SUCCESS)
        wrote.status = cachefs_create(&cache, below, &config, err, sizeof(err), pool);
    if (wrote.status != APR_SUCCESS) return wrote;
    wrote.status = write_and_check(cache, &wrote);
    apr_status_t ended = vfs_destroy(cache);
    if (wrote.status == APR_SUCCESS) wrote.status = ended;
    for (unsigned i = 0; i < wrote.files && wrote.status == APR_SUCCESS; i++)
        wrote.status = check_one(below, i);
    wrote.peak_rss = peak_rss();
    return wrote;
}

static wrote_t in_child(const char *dir, const char *policy, const char *mode)
{
    wrote_t wrote = {.status = APR_EGENERAL};
    int ends[2], status = 0;
    cr_assert_eq(pipe(ends), 0);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) {
        wrote = writer(dir, policy, mode);
        _exit(write(ends[1], &wrote, sizeof(wrote)) == (ssize_t)sizeof(wrote) ? 0 : 1);
    }
    (void)close(ends[1]);
    cr_expect_eq(read(ends[0], &wrote, sizeof(wrote)), (ssize_t)sizeof(wrote));
    (void)close(ends[0]);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    cr_assert_eq(status, 0, "%s, %s: wait status %x", policy, mode, (unsigned)status);
    return wrote;
}

Test(cli_memory, writing_stays_within_it_in_every_policy_and_mode, .timeout = 3000)
{
    char *dir = tree_make(), why[256];
    unsigned n = 0;
    for (const node_t *name = policies(); name != NULL; name = name->next, n++)
        for (int m = 0; m < MODES; m++) {
            if (!takes(n, m)) continue;
            char *dest = new_dir(dir, "dest");
            wrote_t wrote = in_child(dest, name->string, modes[m]);
            cr_expect_eq(wrote.status, APR_SUCCESS, "%s, %s: after %u files: %s", name->string,
                         modes[m], wrote.files, vfs_strerror(wrote.status, why, sizeof(why)));
            cr_expect_leq(wrote.ram_used, RAM, "%s, %s", name->string, modes[m]);
            within(wrote.peak_rss, PROCESS, name->string, modes[m]);
            cr_assert_eq(system(formatted("rm -r '%s'", dest)), 0);
        }
}
