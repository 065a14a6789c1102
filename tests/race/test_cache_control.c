/*
 * test_cache_control.c - everything that only a cache can do, on line, while others read and write;
 * and the end of a cache right after it was given much to do in the background.
 * A plain program, for ThreadSanitizer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/race/support_race.h"

#define FILES 3u
#define BLOCKS 24u
#define BLOCK (16u << 10)

typedef struct control_t {
    race_t r;
    int64_t end_ms;
    _Atomic uint32_t published[FILES][BLOCKS];
    atomic_int over;
    atomic_uint reads, writes, orders;
} control_t;

static const char *path_of(unsigned file)
{
    static const char *const paths[FILES] = {"/a/file0", "/a/file1", "/b/file2"};
    return paths[file];
}

static int enough(control_t *t)
{
    return atomic_load(&t->reads) > 50 && atomic_load(&t->writes) > 50 &&
           atomic_load(&t->orders) > 20;
}

static void control_write(control_t *t)
{
    vfs_file_t *f[FILES];
    char *buf = malloc(BLOCK);
    uint32_t rnd = 5;
    CHECK(buf != NULL);
    for (unsigned i = 0; i < FILES; i++)
        f[i] = race_file(t->r.cache, path_of(i), VFS_O_READ | VFS_O_WRITE);
    for (uint32_t seq = 2; race_go_on(t->end_ms, enough(t)); seq++) {
        unsigned i = race_random(&rnd) % FILES, b = race_random(&rnd) % BLOCKS;
        race_fill(buf, BLOCK, i, b, seq);
        race_write(f[i], buf, BLOCK, (apr_off_t)b * BLOCK);
        atomic_store_explicit(&t->published[i][b], seq, memory_order_release);
        atomic_fetch_add(&t->writes, 1);
    }
    for (unsigned i = 0; i < FILES; i++)
        CHECK_OK(vfs_close(f[i], NULL));
    atomic_store(&t->over, 1);
    free(buf);
}

static void control_read(control_t *t, unsigned me)
{
    char *buf = malloc(BLOCK);
    uint32_t rnd = me + 50, last[FILES][BLOCKS] = {{0}};
    CHECK(buf != NULL);
    while (!atomic_load(&t->over)) {
        unsigned i = race_random(&rnd) % FILES;
        vfs_file_t *f = race_file(t->r.cache, path_of(i), VFS_O_READ);
        for (unsigned k = 0; k < 20; k++) {
            unsigned b = race_random(&rnd) % BLOCKS;
            uint32_t floor = atomic_load_explicit(&t->published[i][b], memory_order_acquire);
            if (last[i][b] > floor) floor = last[i][b];
            race_read(f, buf, BLOCK, (apr_off_t)b * BLOCK);
            last[i][b] = race_seq(buf, BLOCK, i, b, path_of(i));
            CHECK(last[i][b] >= floor);
            atomic_fetch_add(&t->reads, 1);
        }
        CHECK_OK(vfs_close(f, NULL));
    }
    free(buf);
}

static void set_something(control_t *t, uint32_t k)
{
    static const char *const orders[][2] = {
        {"attr_ttl", "0"},        {"attr_ttl", "10s"},       {"readahead", "0"},
        {"readahead", "1m"},      {"flush_interval", "1ms"}, {"flush_interval", "50ms"},
        {"get_size", "0"},        {"get_size", "16k"},       {"flush_on_close", "off"},
        {"flush_on_close", "on"}, {"dirty_max", "128k"},     {"dirty_max", "512k"},
        {"metrics", "off"},       {"metrics", "on"},         {"heat", "on"},
        {"heat", "off"},          {"listing_ttl", "1ms"},    {"negative_ttl", "1ms"}};
    char err[200], value[64];
    k %= sizeof(orders) / sizeof(*orders);
    CHECK_OK(cachefs_set(t->r.cache, orders[k][0], orders[k][1], err, sizeof(err)));
    CHECK_OK(cachefs_get(t->r.cache, orders[k][0], value, sizeof(value)));
    CHECK_ST(cachefs_set(t->r.cache, "ram", "2m", err, sizeof(err)), APR_EINVAL);
}

static void heard(void *baton, const char *path, apr_off_t off, size_t len, int hit)
{
    CHECK(strncmp(path, "/a/file", 7) == 0 || strncmp(path, "/b/file", 7) == 0);
    CHECK(off >= 0 && off + (apr_off_t)len <= (apr_off_t)BLOCK * BLOCKS && (hit == 0 || hit == 1));
    atomic_fetch_add((atomic_uint *)baton, 1);
}

static void order(control_t *t, uint32_t *rnd, atomic_uint *heat)
{
    vfs_t *c = t->r.cache;
    unsigned i = race_random(rnd) % FILES;
    const char *path = path_of(i), *paths[FILES] = {path_of(0), path_of(1), path_of(2)};
    apr_status_t st, each[FILES];
    cachefs_entry_t e[FILES];
    cachefs_stats_t stats = {.size = sizeof(stats)};
    uint64_t n = 0, dirty = 0;
    switch (race_random(rnd) % 14) {
    case 0:
        CHECK_OK(cachefs_invalidate(c, path, &n, &dirty));
        CHECK(n <= 1);
        break;
    case 1:
        CHECK_OK(cachefs_invalidate_prefix(c, "/a", &n, &dirty));
        break;
    case 2:
        CHECK_OK(cachefs_invalidate_glob(c, "/*/file?", &n, &dirty));
        break;
    case 3:
        CHECK_OK(cachefs_clear(c, &dirty));
        break;
    case 4:
        CHECK_OK(cachefs_prefetch_path(c, NULL, path, &n, &dirty));
        CHECK(n == (uint64_t)BLOCK * BLOCKS);
        break;
    case 5:
        st = cachefs_pin(c, path, 1);
        CHECK(st == APR_SUCCESS || st == APR_NOTFOUND || st == VFS_ELIMIT);
        break;
    case 6:
        st = cachefs_pin(c, path, 0);
        CHECK(st == APR_SUCCESS || st == APR_NOTFOUND);
        break;
    case 7:
        CHECK_OK(cachefs_flush(c, NULL, race_random(rnd) % 2 ? path : NULL, 0));
        break;
    case 8:
        CHECK_OK(cachefs_flush_batch(c, NULL, paths, FILES, each));
        break;
    case 9:
        CHECK_OK(cachefs_prefetch_batch(c, NULL, paths, FILES, each));
        break;
    case 10:
        CHECK_OK(cachefs_entries(c, paths, FILES, e));
        for (i = 0; i < FILES; i++)
            if (!e[i].status) CHECK(e[i].dirty <= (uint64_t)BLOCK * BLOCKS);
        break;
    case 11:
        CHECK_OK(cachefs_stats(c, &stats));
        CHECK(stats.ram_used <= stats.ram_max);
        break;
    case 12:
        CHECK_OK(cachefs_on_heat(c, race_random(rnd) % 2 ? heard : NULL, heat));
        break;
    default:
        set_something(t, race_random(rnd));
    }
    atomic_fetch_add(&t->orders, 1);
}

static void control_thread(void *baton, unsigned me)
{
    static atomic_uint heat;
    control_t *t = baton;
    uint32_t rnd = 1234;
    if (me == 0) control_write(t);
    if (me == 1 || me == 2) control_read(t, me);
    if (me == 3)
        while (!atomic_load(&t->over))
            order(t, &rnd, &heat);
}

static void orders_on_line(const char *keys)
{
    control_t t = {.end_ms = 0};
    char *buf = malloc(BLOCK);
    CHECK(buf != NULL);
    race_open(&t.r, NULL, 0);
    CHECK_OK(vfs_mkdir(t.r.mem, NULL, "/a", 0700));
    CHECK_OK(vfs_mkdir(t.r.mem, NULL, "/b", 0700));
    for (unsigned i = 0; i < FILES; i++)
        race_make(t.r.mem, path_of(i), i, BLOCKS, BLOCK, 1);
    race_cache(&t.r, keys);
    t.end_ms = race_now_ms() + 2500;
    race_run(4, control_thread, &t);
    race_end_cache(&t.r);
    for (unsigned i = 0; i < FILES; i++) {
        vfs_file_t *f = race_file(t.r.mem, path_of(i), VFS_O_READ);
        for (unsigned b = 0; b < BLOCKS; b++) {
            uint32_t want = atomic_load(&t.published[i][b]);
            race_read(f, buf, BLOCK, (apr_off_t)b * BLOCK);
            CHECK(race_seq(buf, BLOCK, i, b, "below") == (want ? want : 1));
        }
        CHECK_OK(vfs_close(f, NULL));
    }
    free(buf);
    race_close(&t.r);
}

/* ---- the end */

/* Much is under way: read-ahead of two files, flush jobs of another. */
static void end_after_much_work(unsigned round, cachefs_end_e how)
{
    race_t r;
    uint64_t left = 1;
    char *buf = malloc(BLOCK);
    const char *paths[] = {"/far0", "/far1"};
    CHECK(buf != NULL);
    race_open(&r, NULL, 0);
    race_make(r.mem, "/far0", 0, 4 * BLOCKS, BLOCK, 1);
    race_make(r.mem, "/far1", 1, 4 * BLOCKS, BLOCK, 1);
    race_make(r.mem, "/mine", 2, BLOCKS, BLOCK, 1);
    race_rtt(&r, 300);
    race_cache(&r, "mode=back,ram=8m,readahead=2m,flush_on_close=off,flush_interval=1ms,"
                   "get_size=0,workers=4");
    vfs_file_t *mine = race_file(r.cache, "/mine", VFS_O_READ | VFS_O_WRITE);
    for (unsigned k = 0; k < 2; k++) {
        vfs_file_t *f = race_file(r.cache, paths[k], VFS_O_READ);
        for (unsigned b = 0; b < 6 + round % 3; b++)
            race_read(f, buf, BLOCK, (apr_off_t)b * BLOCK);
        CHECK_OK(vfs_close(f, NULL));
    }
    for (unsigned b = 0; b < BLOCKS; b++) {
        race_fill(buf, BLOCK, 2, b, 7);
        race_write(mine, buf, BLOCK, (apr_off_t)b * BLOCK);
    }
    CHECK_OK(vfs_close(mine, NULL));
    CHECK_OK(cachefs_destroy(r.cache, how, 0, &left));
    CHECK(left == 0);
    r.cache = NULL;
    vfs_counts_t counts;
    vfs_count_get(r.count, &counts);
    CHECK(counts.open_files == 0 && counts.open_dirs == 0);
    vfs_file_t *f = race_file(r.mem, "/mine", VFS_O_READ);
    for (unsigned b = 0; b < BLOCKS; b++) {
        race_read(f, buf, BLOCK, (apr_off_t)b * BLOCK);
        uint32_t seq = race_seq(buf, BLOCK, 2, b, "mine");
        CHECK(seq == 7 || (how == CACHEFS_END_DISCARD && seq == 1));
    }
    CHECK_OK(vfs_close(f, NULL));
    free(buf);
    race_close(&r);
}

/* ---- who hears of reads
 * Each listener has a baton of its own, and is never called with that of another. */

typedef struct listeners_t {
    race_t r;
    int64_t end_ms;
    atomic_int over;
} listeners_t;

static void first_hears(void *baton, const char *path, apr_off_t off, size_t len, int hit)
{
    (void)path, (void)off, (void)len, (void)hit;
    CHECK(strcmp(baton, "first") == 0);
}

static void second_hears(void *baton, const char *path, apr_off_t off, size_t len, int hit)
{
    (void)path, (void)off, (void)len, (void)hit;
    CHECK(strcmp(baton, "second") == 0);
}

static void listeners_thread(void *baton, unsigned me)
{
    static char first[] = "first", second[] = "second";
    listeners_t *t = baton;
    char buf[64];
    if (me == 0) {
        for (uint32_t k = 0; race_go_on(t->end_ms, k > 1000); k++)
            CHECK_OK(k % 2 ? cachefs_on_heat(t->r.cache, first_hears, first)
                           : cachefs_on_heat(t->r.cache, second_hears, second));
        CHECK_OK(cachefs_on_heat(t->r.cache, NULL, NULL));
        atomic_store(&t->over, 1);
        return;
    }
    vfs_file_t *f = race_file(t->r.cache, "/f", VFS_O_READ);
    while (!atomic_load(&t->over))
        race_read(f, buf, sizeof(buf), 0);
    CHECK_OK(vfs_close(f, NULL));
}

static void listeners_change(void)
{
    listeners_t t = {.end_ms = 0};
    race_open(&t.r, NULL, 0);
    race_make(t.r.mem, "/f", 0, 1, BLOCK, 1);
    race_cache(&t.r, "ram=1m,heat=on");
    t.end_ms = race_now_ms() + 500;
    race_run(3, listeners_thread, &t);
    race_end_cache(&t.r);
    race_close(&t.r);
}

int main(void)
{
    race_begin();
    orders_on_line("mode=through,ram=4m,shards=4");
    orders_on_line("mode=back,ram=2m,shards=4,flush_interval=5ms");
    for (unsigned i = 0; i < 12; i++)
        end_after_much_work(i, i % 2 ? CACHEFS_END_WAIT : CACHEFS_END_DISCARD);
    listeners_change();
    return 0;
}
