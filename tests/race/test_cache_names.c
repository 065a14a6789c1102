/*
 * test_cache_names.c - names that many threads make, move, look at and remove: what the cache says
 * in the end is what lies below, nothing stays open, and a listing has what stays exactly once.
 * A plain program, for ThreadSanitizer.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/race/support_race.h"

#define NAMES 5u
#define BLOCK 4096u

typedef struct names_t {
    race_t r;
    int64_t end_ms;
    unsigned rounds;
    atomic_uint done[8];
} names_t;

static int gone(apr_status_t st)
{
    return APR_STATUS_IS_ENOENT(st);
}

/* Open or make it, write it whole, read it back as far as others let it be. */
static void use_file(names_t *n, const char *path, unsigned me, uint32_t seq, uint32_t flags)
{
    char buf[BLOCK];
    size_t got = 0;
    vfs_file_t *f = NULL;
    apr_status_t st = vfs_open(&f, n->r.cache, NULL, path, flags, 0600, NULL, NULL);
    if ((flags & VFS_O_EXCL) && APR_STATUS_IS_EEXIST(st)) return;
    if (!(flags & VFS_O_CREATE) && gone(st)) return;
    CHECK_OK(st);
    if (flags & VFS_O_WRITE) {
        race_fill(buf, BLOCK, 9, 0, me << 24 | seq);
        race_write(f, buf, BLOCK, 0);
    }
    CHECK_OK(vfs_read_at(f, NULL, buf, BLOCK, 0, &got));
    CHECK(got == 0 || got == BLOCK); /* 0: new, or cut by another open */
    if (got) (void)race_seq(buf, BLOCK, 9, 0, path);
    CHECK_OK(vfs_close(f, NULL));
    atomic_fetch_add(&n->done[0], 1);
}

static void list(vfs_t *fs, const char *path)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t e;
    apr_status_t st;
    CHECK_OK(vfs_opendir(&dir, fs, NULL, path, 0));
    while ((st = vfs_readdir(dir, NULL, &e)) == APR_SUCCESS) {
    }
    CHECK(APR_STATUS_IS_EOF(st));
    CHECK_OK(vfs_closedir(dir));
}

static void one_step(names_t *n, unsigned me, uint32_t seq, uint32_t *rnd)
{
    char a[16], b[16];
    vfs_attr_t attr;
    unsigned i = race_random(rnd) % NAMES, k = race_random(rnd) % NAMES;
    apr_status_t st;
    snprintf(a, sizeof(a), "/n%u", i);
    snprintf(b, sizeof(b), "/n%u", k);
    switch (race_random(rnd) % 8) {
    case 0:
        use_file(n, a, me, seq, VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE);
        break;
    case 1:
        use_file(n, a, me, seq, VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE | VFS_O_EXCL);
        break;
    case 2:
        use_file(n, a, me, seq, VFS_O_READ | VFS_O_WRITE);
        break;
    case 3:
        use_file(n, a, me, seq, VFS_O_READ);
        break;
    case 4:
        st = vfs_unlink(n->r.cache, NULL, a);
        CHECK(st == APR_SUCCESS || gone(st));
        atomic_fetch_add(&n->done[1], !st);
        break;
    case 5:
        st = vfs_rename(n->r.cache, NULL, a, b, 0);
        CHECK(st == APR_SUCCESS || gone(st));
        atomic_fetch_add(&n->done[2], !st);
        break;
    case 6:
        st = vfs_link(n->r.cache, NULL, a, b);
        CHECK(st == APR_SUCCESS || gone(st) || APR_STATUS_IS_EEXIST(st));
        atomic_fetch_add(&n->done[3], !st);
        break;
    default:
        if (seq % 4 == 0) list(n->r.cache, "/"); /* of the names that it has not it says so */
        st = vfs_stat(n->r.cache, NULL, a, &attr);
        CHECK(st == APR_SUCCESS || gone(st));
        if (!st) CHECK(attr.type == VFS_TYPE_FILE && (attr.size == 0 || attr.size == BLOCK));
    }
}

static int enough(names_t *n)
{
    for (unsigned i = 0; i < 4; i++)
        if (atomic_load(&n->done[i]) == 0) return 0;
    return 1;
}

static void storm(void *baton, unsigned me)
{
    names_t *n = baton;
    uint32_t rnd = me * 31 + 3;
    for (uint32_t seq = 1; race_go_on(n->end_ms, enough(n)); seq++) {
        if (seq >= n->rounds && enough(n)) break;
        one_step(n, me, seq, &rnd);
    }
}

/* Cache and bottom agree, name by name. */
static void compare_names(names_t *n)
{
    char path[16], up[BLOCK], down[BLOCK];
    vfs_attr_t a, b;
    for (unsigned i = 0; i < NAMES; i++) {
        snprintf(path, sizeof(path), "/n%u", i);
        apr_status_t below = vfs_stat(n->r.mem, NULL, path, &b);
        CHECK_ST(vfs_stat(n->r.cache, NULL, path, &a), below);
        if (below) continue;
        CHECK(a.ino == b.ino);
        CHECK(a.size == b.size);
        CHECK(a.nlink == b.nlink);
        vfs_file_t *f = race_file(n->r.cache, path, VFS_O_READ);
        vfs_file_t *g = race_file(n->r.mem, path, VFS_O_READ);
        if (a.size) {
            race_read(f, up, BLOCK, 0);
            race_read(g, down, BLOCK, 0);
            CHECK(memcmp(up, down, BLOCK) == 0);
        }
        CHECK_OK(vfs_close(f, NULL));
        CHECK_OK(vfs_close(g, NULL));
    }
}

static void storm_of_names(const char *keys)
{
    names_t n = {.rounds = 4000};
    cachefs_stats_t stats = {.size = sizeof(stats)};
    race_open(&n.r, keys, 0);
    n.end_ms = race_now_ms() + 1800;
    race_run(4, storm, &n);
    CHECK(enough(&n));
    CHECK_OK(cachefs_flush(n.r.cache, NULL, NULL, 0));
    compare_names(&n);
    CHECK_OK(cachefs_stats(n.r.cache, &stats));
    CHECK(stats.open_handles == 0 && stats.dirty_bytes == 0 && stats.dirty_files == 0);
    race_all_closed(&n.r);
    race_close(&n.r);
}

/* ---- exclusive creation: one winner */

static void create_once(void *baton, unsigned me)
{
    names_t *n = baton;
    char path[32];
    vfs_file_t *f = NULL;
    CHECK(me < 4);
    for (unsigned i = 0; i < n->rounds; i++) {
        snprintf(path, sizeof(path), "/once%u", i);
        apr_status_t st = vfs_open(&f, n->r.cache, NULL, path,
                                   VFS_O_WRITE | VFS_O_CREATE | VFS_O_EXCL, 0600, NULL, NULL);
        CHECK(st == APR_SUCCESS || APR_STATUS_IS_EEXIST(st));
        if (st) continue;
        atomic_fetch_add(&n->done[0], 1);
        CHECK_OK(vfs_close(f, NULL));
    }
}

static void remove_once(void *baton, unsigned me)
{
    names_t *n = baton;
    char path[32];
    CHECK(me < 4);
    for (unsigned i = 0; i < n->rounds; i++) {
        snprintf(path, sizeof(path), "/once%u", i);
        apr_status_t st = vfs_unlink(n->r.cache, NULL, path);
        CHECK(st == APR_SUCCESS || gone(st));
        atomic_fetch_add(&n->done[1], !st);
    }
}

static void one_winner(const char *keys)
{
    names_t n = {.rounds = 200};
    race_open(&n.r, keys, 0);
    race_run(4, create_once, &n);
    CHECK(atomic_load(&n.done[0]) == n.rounds);
    race_run(4, remove_once, &n);
    CHECK(atomic_load(&n.done[1]) == n.rounds);
    race_close(&n.r);
}

/* ---- listings */

#define STAY 60u
static atomic_int over;

static void list_once(vfs_t *fs)
{
    unsigned seen[STAY] = {0}, i;
    vfs_dir_t *dir = NULL;
    vfs_dirent_t e;
    apr_status_t st;
    CHECK_OK(vfs_opendir(&dir, fs, NULL, "/d", 0));
    while ((st = vfs_readdir(dir, NULL, &e)) == APR_SUCCESS) {
        CHECK(strlen(e.name) == e.name_len);
        if (sscanf(e.name, "stay%u", &i) == 1)
            seen[i]++;
        else
            CHECK(strncmp(e.name, "move", 4) == 0);
    }
    CHECK(APR_STATUS_IS_EOF(st));
    CHECK_OK(vfs_closedir(dir));
    for (i = 0; i < STAY; i++)
        CHECK(seen[i] == 1);
}

/* Nobody else changes the name: what the listings of others told is no excuse. */
static void is_so(vfs_t *fs, const char *path, int there)
{
    vfs_attr_t attr;
    apr_status_t st = vfs_stat(fs, NULL, path, &attr);
    CHECK(there ? st == APR_SUCCESS : gone(st));
}

static void dir_thread(void *baton, unsigned me)
{
    names_t *n = baton;
    char path[32], to[32];
    uint32_t rnd = me + 1;
    if (me < 2) {
        while (!atomic_load(&over)) {
            list_once(n->r.cache);
            atomic_fetch_add(&n->done[0], 1);
        }
        return;
    }
    for (unsigned k = 0; race_go_on(n->end_ms, atomic_load(&n->done[0]) > 2); k++) {
        unsigned i = race_random(&rnd) % 10 * 2 + me % 2;
        snprintf(path, sizeof(path), "/d/move%u", i);
        snprintf(to, sizeof(to), "/d/move%u", 100 + i);
        vfs_file_t *f = NULL;
        CHECK_OK(
            vfs_open(&f, n->r.cache, NULL, path, VFS_O_WRITE | VFS_O_CREATE, 0600, NULL, NULL));
        CHECK_OK(vfs_close(f, NULL));
        is_so(n->r.cache, path, 1);
        if (k % 2) CHECK_OK(vfs_rename(n->r.cache, NULL, path, to, 0));
        is_so(n->r.cache, path, !(k % 2));
        is_so(n->r.cache, to, k % 2);
        CHECK_OK(vfs_unlink(n->r.cache, NULL, k % 2 ? to : path));
        is_so(n->r.cache, path, 0);
        is_so(n->r.cache, to, 0);
    }
    atomic_store(&over, 1);
}

static void listing_while_names_come_and_go(const char *keys)
{
    names_t n = {.rounds = 0};
    char path[32];
    race_open(&n.r, NULL, 0);
    CHECK_OK(vfs_mkdir(n.r.mem, NULL, "/d", 0700));
    for (unsigned i = 0; i < STAY; i++) {
        snprintf(path, sizeof(path), "/d/stay%u", i);
        race_make(n.r.mem, path, 0, 0, 8, 1);
    }
    race_cache(&n.r, keys);
    atomic_store(&over, 0);
    n.end_ms = race_now_ms() + 1200;
    race_run(4, dir_thread, &n);
    list_once(n.r.cache);
    CHECK(atomic_load(&n.done[0]) > 2);
    race_close(&n.r);
}

/* ---- a name that others took away below */

static void read_lost(void *baton, unsigned me)
{
    vfs_file_t *f = baton;
    char buf[BLOCK];
    size_t got = 0;
    apr_status_t st = vfs_read_at(f, NULL, buf, BLOCK, me, &got);
    CHECK(st == VFS_ESTALE);
}

/* A miss opens the file by a name that is gone below, while that name is being removed here: both
 * come to an end. */
static void lost_name_ends(void)
{
    names_t n = {.rounds = 0};
    race_open(&n.r, NULL, 0);
    race_make(n.r.mem, "/lost", 9, 4, BLOCK, 1);
    race_cache(&n.r, "ram=4m,get_size=0,attr_ttl=60s,negative_ttl=0,readahead=0");
    vfs_file_t *f = race_file(n.r.cache, "/lost", VFS_O_READ);
    CHECK_OK(vfs_unlink(n.r.mem, NULL, "/lost"));
    race_rtt(&n.r, 60000);
    race_crew_t *reader = race_start(1, read_lost, f);
    race_sleep_us(20000); /* it is on its way below */
    apr_status_t st = vfs_unlink(n.r.cache, NULL, "/lost");
    CHECK(gone(st));
    race_join(reader);
    race_rtt(&n.r, 0);
    CHECK_OK(vfs_close(f, NULL));
    race_close(&n.r);
}

int main(void)
{
    race_begin();
    lost_name_ends();
    one_winner("mode=through,ram=4m");
    one_winner("mode=back,ram=4m,flush_interval=5ms");
    listing_while_names_come_and_go("mode=through,ram=4m");
    listing_while_names_come_and_go("mode=back,ram=1m,shards=2,attr_ttl=0,listing_ttl=1ms");
    listing_while_names_come_and_go("mode=through,ram=4m,metadata_entries_max=64,attr_ttl=60s,"
                                    "negative_ttl=60s,listing_ttl=60s");
    storm_of_names("mode=through,ram=4m");
    storm_of_names("mode=back,ram=1m,shards=4,flush_interval=5ms");
    storm_of_names("mode=back,ram=4m,flush_on_close=off,flush_interval=5ms,attr_ttl=0");
    return 0;
}
