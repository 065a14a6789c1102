/*
 * test_cache_compact.c - blocks move to other memory while they are read, borrowed, written, made
 * dirty and flushed: what is read is whole and of the right place, what is borrowed stays, and no
 * write is lost. A plain program, for ThreadSanitizer.
 */
#include <stdio.h>
#include <string.h>

#include "tests/race/support_race.h"

#define HOT 96u             /* files of one block, which all threads work on */
#define COLD 160u           /* others, of each size */
#define LARGEST 16384u      /* bytes; see size_of */
#define HELD 8u             /* borrowed at a time by one thread */
#define ENOUGH (512u << 10) /* bytes moved */

typedef struct compact_t {
    race_t r;
    int64_t end_ms;
    atomic_int over;
    atomic_uint read, lent;
    atomic_uint sealed[HOT]; /* the last write that is over */
} compact_t;

/* Hot files are of three classes of memory, as the cold ones are. */
static size_t size_of(unsigned file)
{
    static const size_t sizes[] = {1024, 4096, LARGEST};
    return file < HOT ? sizes[file % 16 ? file % 2 : 2] : sizes[(file - HOT) / COLD];
}

static void path_of(char path[16], unsigned file)
{
    snprintf(path, 16, "/f%u", file);
}

/* ---- who reads and borrows */

static void read_hot(compact_t *t, vfs_file_t *f, unsigned file)
{
    unsigned char buf[LARGEST];
    uint32_t least = atomic_load(&t->sealed[file]);
    race_read(f, buf, size_of(file), 0);
    CHECK(race_seq(buf, size_of(file), file, 0, "block that moves") >= least);
    atomic_fetch_add(&t->read, 1);
}

/* Borrow some, look again later, and give them back. */
static void borrow_hot(compact_t *t, vfs_file_t **files, uint32_t *rnd)
{
    cachefs_ref_t *refs[HELD];
    const void *bytes[HELD];
    unsigned of[HELD], n = 0;
    uint32_t seq[HELD];
    while (n < HELD) {
        vfs_iovec_t iov[1];
        size_t count = 1, got = 0;
        unsigned file = of[n] = race_random(rnd) % HOT;
        uint32_t least = atomic_load(&t->sealed[file]);
        apr_status_t st =
            cachefs_read_ref(&refs[n], files[file], NULL, size_of(file), 0, iov, &count, &got);
        CHECK(st == APR_SUCCESS || st == VFS_ELIMIT);
        if (st) break;
        CHECK(got == size_of(file) && count == 1);
        bytes[n] = iov[0].base;
        seq[n] = race_seq(bytes[n], got, file, 0, "borrowed block");
        CHECK(seq[n++] >= least);
    }
    race_sleep_us(race_random(rnd) % 1000);
    for (unsigned i = 0; i < n; i++) {
        CHECK(race_seq(bytes[i], size_of(of[i]), of[i], 0, "borrowed block, later") == seq[i]);
        cachefs_ref_release(refs[i]);
        atomic_fetch_add(&t->lent, 1);
    }
}

static void read_all(compact_t *t, vfs_file_t **files, uint32_t *rnd)
{
    while (!atomic_load(&t->over)) {
        for (unsigned k = 0; k < 50; k++) {
            unsigned file = race_random(rnd) % HOT;
            read_hot(t, files[file], file);
        }
        borrow_hot(t, files, rnd);
    }
}

/* ---- who writes */

static void write_all(compact_t *t, vfs_file_t **files, uint32_t *rnd)
{
    unsigned char buf[LARGEST];
    while (!atomic_load(&t->over)) {
        unsigned file = race_random(rnd) % HOT;
        uint32_t seq = atomic_load(&t->sealed[file]) + 1;
        race_fill(buf, size_of(file), file, 0, seq);
        race_write(files[file], buf, size_of(file), 0);
        atomic_store(&t->sealed[file], seq);
        read_hot(t, files[file], file);
        if (seq % 2) race_sleep_us(50);
    }
}

/* ---- who needs memory of one size after the other */

static void push_all(compact_t *t, uint32_t *rnd)
{
    cachefs_stats_t s = {.size = sizeof(s)};
    unsigned char buf[LARGEST];
    char path[16];
    do {
        unsigned size = race_random(rnd) % 3, from = race_random(rnd) % COLD;
        for (unsigned k = 0; k < COLD; k++) {
            unsigned file = HOT + size * COLD + (from + k) % COLD;
            path_of(path, file);
            vfs_file_t *f = race_file(t->r.cache, path, VFS_O_READ);
            race_read(f, buf, size_of(file), 0);
            CHECK(race_seq(buf, size_of(file), file, 0, "block that comes") == 1);
            CHECK_OK(vfs_close(f, NULL));
        }
        CHECK_OK(cachefs_stats(t->r.cache, &s));
    } while (race_go_on(t->end_ms, s.compacted_bytes > ENOUGH && atomic_load(&t->read) > 1000 &&
                                       atomic_load(&t->lent) > 200));
    atomic_store(&t->over, 1);
}

static void compact_thread(void *baton, unsigned me)
{
    compact_t *t = baton;
    vfs_file_t *files[HOT];
    char path[16];
    uint32_t rnd = me * 7 + 11;
    for (unsigned i = 0; i < HOT; i++) {
        path_of(path, i);
        files[i] = race_file(t->r.cache, path, VFS_O_READ | (me == 1 ? VFS_O_WRITE : 0));
    }
    if (me == 0)
        push_all(t, &rnd);
    else if (me == 1)
        write_all(t, files, &rnd);
    else
        read_all(t, files, &rnd);
    for (unsigned i = 0; i < HOT; i++)
        CHECK_OK(vfs_close(files[i], NULL));
}

static void blocks_that_move(const char *keys)
{
    compact_t t = {.end_ms = 0};
    unsigned char buf[LARGEST];
    char path[16];
    race_open(&t.r, NULL, 0);
    for (unsigned i = 0; i < HOT + 3 * COLD; i++) {
        path_of(path, i);
        race_make(t.r.mem, path, i, 1, size_of(i), 1);
        if (i < HOT) atomic_store(&t.sealed[i], 1);
    }
    race_cache(&t.r, keys);
    t.end_ms = race_now_ms() + 1500;
    race_run(4, compact_thread, &t);
    race_all_given_back(&t.r);
    race_end_cache(&t.r);
    for (unsigned i = 0; i < HOT; i++) { /* the last write of each is below */
        path_of(path, i);
        vfs_file_t *f = race_file(t.r.mem, path, VFS_O_READ);
        race_read(f, buf, size_of(i), 0);
        CHECK(race_seq(buf, size_of(i), i, 0, "block below") == atomic_load(&t.sealed[i]));
        CHECK_OK(vfs_close(f, NULL));
    }
    race_close(&t.r);
}

int main(void)
{
    race_begin();
    blocks_that_move("ram=1m");
    blocks_that_move("ram=1m,mode=back,flush_interval=3ms,shards=4");
    blocks_that_move("ram=1m,mode=back,flush_interval=20ms,policy=lru");
    return 0;
}
