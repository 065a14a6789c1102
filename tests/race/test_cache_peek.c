/*
 * test_cache_peek.c - stat and open without a lock against those who rename, remove, change, forget
 * and evict: each answer was true at some moment of its call. A plain program.
 */
/* The idea. Whoever changes something numbers its states, and says which state it has reached
 * before the next change begins. Who asks notes the state before and the state that may have begun
 * after: the answer must be that of a state between them. What never changes must always be the
 * same; and what is changed as a pair (owner and group) must come as a pair. */
#include <stdio.h>
#include <string.h>

#include "tests/race/support_race.h"

#define KEPT 200u /* files that never change: /k0 is 1000 bytes long, /k1 1001 ... */
#define ASKERS 2u

typedef struct states_t {
    atomic_uint begun, reached;
} states_t;

typedef struct peek_t {
    race_t r;
    int64_t end_ms;
    atomic_int over;
    states_t file, moved, dir, pair;
    atomic_uint asked, changed;
} peek_t;

static void begin(states_t *s)
{
    atomic_fetch_add(&s->begun, 1);
}
static void reach(states_t *s)
{
    atomic_store(&s->reached, atomic_load(&s->begun));
}

/* Does a state between `from` and what has begun by now have this parity? */
static int was(states_t *s, unsigned from, unsigned parity)
{
    unsigned to = atomic_load(&s->begun);
    return to > from || from % 2 == parity;
}

static int there(peek_t *p, const char *path, unsigned salt, vfs_attr_t *attr)
{
    vfs_file_t *f = NULL;
    apr_status_t st = salt % 4 ? vfs_stat(p->r.cache, NULL, path, attr)
                               : vfs_open(&f, p->r.cache, NULL, path, VFS_O_READ, 0, attr, NULL);
    CHECK(st == APR_SUCCESS || APR_STATUS_IS_ENOENT(st));
    if (f) CHECK_OK(vfs_close(f, NULL));
    return st == APR_SUCCESS;
}

/* ---- those who change */

/* State n: /file is n bytes long, or, where n is odd, not there. */
static void change_file(peek_t *p)
{
    begin(&p->file);
    unsigned n = atomic_load(&p->file.begun);
    if (n % 2) {
        CHECK_OK(vfs_unlink(p->r.cache, NULL, "/file"));
    } else {
        char buf[1] = {0};
        vfs_file_t *f = NULL;
        CHECK_OK(vfs_open(&f, p->r.cache, NULL, "/made", VFS_O_WRITE | VFS_O_CREATE | VFS_O_EXCL,
                          0600, NULL, NULL));
        race_write(f, buf, 1, n - 1);
        CHECK_OK(vfs_close(f, NULL));
        CHECK_OK(vfs_rename(p->r.cache, NULL, "/made", "/file", 0));
    }
    reach(&p->file);
}

/* State n: a file is /a, or, where n is odd, /b. The same for /d0/x and /d1/x, by a directory. */
static void change_names(peek_t *p)
{
    begin(&p->moved);
    int odd = atomic_load(&p->moved.begun) % 2;
    CHECK_OK(vfs_rename(p->r.cache, NULL, odd ? "/a" : "/b", odd ? "/b" : "/a", 0));
    reach(&p->moved);
    begin(&p->dir);
    odd = atomic_load(&p->dir.begun) % 2;
    CHECK_OK(vfs_rename(p->r.cache, NULL, odd ? "/d0" : "/d1", odd ? "/d1" : "/d0", 0));
    reach(&p->dir);
}

/* State n: owner and group of /pair are n. */
static void change_pair(peek_t *p)
{
    begin(&p->pair);
    unsigned n = atomic_load(&p->pair.begun);
    CHECK_OK(vfs_chown(p->r.cache, NULL, "/pair", n, n, 0));
    reach(&p->pair);
}

static int enough(peek_t *p)
{
    return atomic_load(&p->asked) > 10 && atomic_load(&p->changed) > 10;
}

static void changer(peek_t *p)
{
    while (race_go_on(p->end_ms, enough(p))) {
        change_file(p);
        change_names(p);
        change_pair(p);
        atomic_fetch_add(&p->changed, 1);
    }
    atomic_store(&p->over, 1);
}

/* What is cached of all of them goes again and again: forgotten, or evicted by others. */
static void forgetter(peek_t *p)
{
    static const char *const paths[] = {"/file", "/a", "/b", "/d0/x", "/d1/x", "/pair"};
    uint32_t rnd = 5;
    char path[16];
    vfs_attr_t attr;
    while (!atomic_load(&p->over)) {
        unsigned i = race_random(&rnd) % 8;
        if (i < 6) CHECK_OK(cachefs_invalidate(p->r.cache, paths[i], NULL, NULL));
        if (i == 6) CHECK_OK(cachefs_invalidate_prefix(p->r.cache, "/d0", NULL, NULL));
        for (unsigned k = 0; k < 8; k++) {
            snprintf(path, sizeof(path), "/k%u", race_random(&rnd) % KEPT);
            CHECK_OK(vfs_stat(p->r.cache, NULL, path, &attr));
        }
    }
}

/* ---- those who ask */

static void ask_states(peek_t *p, unsigned salt)
{
    vfs_attr_t attr;
    unsigned from = atomic_load(&p->file.reached);
    if (there(p, "/file", salt, &attr))
        CHECK(attr.size % 2 == 0 && attr.size >= from && attr.size <= atomic_load(&p->file.begun));
    else
        CHECK(was(&p->file, from, 1));
    unsigned odd = salt / 4 % 2;
    from = atomic_load(&p->moved.reached);
    CHECK(was(&p->moved, from, there(p, odd ? "/b" : "/a", salt, &attr) ? odd : !odd));
    from = atomic_load(&p->dir.reached);
    CHECK(was(&p->dir, from, there(p, odd ? "/d1/x" : "/d0/x", salt, &attr) ? odd : !odd));
    from = atomic_load(&p->pair.reached);
    CHECK(there(p, "/pair", salt, &attr));
    CHECK(attr.uid == attr.gid && attr.uid >= from && attr.uid <= atomic_load(&p->pair.begun));
}

static void asker(peek_t *p, unsigned me)
{
    uint32_t rnd = me * 77 + 1;
    char path[16];
    vfs_attr_t attr;
    while (!atomic_load(&p->over)) {
        unsigned i = race_random(&rnd) % KEPT;
        ask_states(p, race_random(&rnd) >> 8);
        snprintf(path, sizeof(path), "/k%u", i);
        CHECK(there(p, path, race_random(&rnd) >> 8, &attr));
        CHECK(attr.size == 1000 + i && attr.mtime_ns == (int64_t)attr.size * 1000);
        snprintf(path, sizeof(path), "/absent%u", i % 4);
        CHECK(!there(p, path, 1, &attr));
        atomic_fetch_add(&p->asked, 1);
    }
}

static void run(void *baton, unsigned me)
{
    peek_t *p = baton;
    if (me == 0)
        changer(p);
    else if (me == 1)
        forgetter(p);
    else
        asker(p, me);
}

/* ---- the tests */

static void make(vfs_t *fs, const char *path, uint64_t size)
{
    vfs_file_t *f = race_file(fs, path, VFS_O_WRITE | VFS_O_CREATE);
    CHECK_OK(vfs_ftruncate(f, NULL, (apr_off_t)size));
    CHECK_OK(vfs_futimens(f, NULL, 0, (int64_t)size * 1000));
    CHECK_OK(vfs_close(f, NULL));
}

static void answers_were_true(const char *keys)
{
    peek_t p = {.asked = 0};
    char path[16];
    race_open(&p.r, NULL, 0);
    CHECK_OK(vfs_mkdir(p.r.mem, NULL, "/d0", 0755));
    make(p.r.mem, "/d0/x", 1);
    make(p.r.mem, "/a", 1);
    make(p.r.mem, "/file", 0);
    make(p.r.mem, "/pair", 1);
    CHECK_OK(vfs_chown(p.r.mem, NULL, "/pair", 0, 0, 0));
    for (unsigned i = 0; i < KEPT; i++) {
        snprintf(path, sizeof(path), "/k%u", i);
        make(p.r.mem, path, 1000 + i);
    }
    race_cache(&p.r, keys);
    p.end_ms = race_now_ms() + 1500;
    race_run(2 + ASKERS, run, &p);
    CHECK(enough(&p));
    race_close(&p.r);
}

int main(void)
{
    race_begin();
    answers_were_true("mode=through,ram=4m,attr_ttl=1h,negative_ttl=1h");
    answers_were_true("mode=through,ram=4m,attr_ttl=1h,negative_ttl=1h,shards=1,"
                      "metadata_entries_max=24"); /* nodes and objects are used again and again */
    answers_were_true("mode=back,ram=4m,attr_ttl=1h,negative_ttl=1h,metadata_entries_max=64,"
                      "flush_interval=5ms");
    return 0;
}
