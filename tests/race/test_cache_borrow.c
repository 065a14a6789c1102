/*
 * test_cache_borrow.c - one hot block, borrowed again and again by several threads while it is
 * written, cut and dropped: what is borrowed is whole and stays, and all of it comes back, whoever
 * gives it back. A plain program, for ThreadSanitizer.
 */
#include <string.h>

#include "tests/race/support_race.h"

#define BLOCK 4096u
#define BLOCKS 4u
#define WORKERS 3u

typedef struct hot_t {
    race_t r;
    int64_t end_ms;
    atomic_int over;
    atomic_uint lent, changes;
    _Atomic(cachefs_ref_t *) handed; /* for another thread to give back */
} hot_t;

/* The writer cuts the file at times, so there may be less; what there is, is of one write. */
static void borrow_one(hot_t *t, vfs_file_t *f, unsigned block, int hand)
{
    cachefs_ref_t *ref = NULL;
    vfs_iovec_t iov[2];
    size_t count = 1, got = 0;
    apr_status_t st =
        cachefs_read_ref(&ref, f, NULL, BLOCK, (apr_off_t)block * BLOCK, iov, &count, &got);
    CHECK(st == APR_SUCCESS || st == VFS_ELIMIT || st == VFS_ESTALE);
    if (st) return;
    if (got == BLOCK) {
        uint32_t seq = race_seq(iov[0].base, BLOCK, 0, block, "hot block");
        CHECK(race_seq(iov[0].base, BLOCK, 0, block, "hot block, later") == seq);
        atomic_fetch_add(&t->lent, 1);
    }
    if (hand) ref = atomic_exchange(&t->handed, ref);
    cachefs_ref_release(ref);
}

static void change(hot_t *t, vfs_file_t *f, unsigned n)
{
    unsigned char buf[BLOCK];
    unsigned block = n % BLOCKS;
    if (n % 64 == 63) {
        CHECK_OK(cachefs_invalidate(t->r.cache, "/hot", NULL, NULL));
    } else if (n % 32 == 31) {
        CHECK_OK(vfs_ftruncate(f, NULL, BLOCK));
        for (unsigned b = 1; b < BLOCKS; b++) {
            race_fill(buf, BLOCK, 0, b, n + 2);
            race_write(f, buf, BLOCK, (apr_off_t)b * BLOCK);
        }
    } else {
        race_fill(buf, BLOCK, 0, block, n + 2);
        race_write(f, buf, BLOCK, (apr_off_t)block * BLOCK);
    }
    atomic_fetch_add(&t->changes, 1);
}

static void hot_thread(void *baton, unsigned me)
{
    hot_t *t = baton;
    int writer = me == WORKERS;
    uint32_t rnd = me + 3;
    vfs_file_t *f = race_file(t->r.cache, "/hot", VFS_O_READ | (writer ? VFS_O_WRITE : 0));
    if (writer) {
        for (unsigned n = 0; race_go_on(t->end_ms, n > 200 && atomic_load(&t->lent) > 200); n++) {
            change(t, f, n);
            if (n % 4 == 0) race_sleep_us(100); /* so that the same block is lent again */
        }
        atomic_store(&t->over, 1);
    }
    while (!writer && !atomic_load(&t->over)) {
        unsigned block = race_random(&rnd) % 8 ? 1 : race_random(&rnd) % BLOCKS;
        for (unsigned k = 0; k < 20; k++)
            borrow_one(t, f, block, k == 7);
    }
    CHECK_OK(vfs_close(f, NULL));
}

static void hot_block(const char *keys)
{
    hot_t t = {.end_ms = 0};
    race_open(&t.r, NULL, 0);
    race_make(t.r.mem, "/hot", 0, BLOCKS, BLOCK, 1);
    race_cache(&t.r, keys);
    t.end_ms = race_now_ms() + 1500;
    race_run(WORKERS + 1, hot_thread, &t);
    cachefs_ref_release(atomic_load(&t.handed));
    race_all_given_back(&t.r);
    race_close(&t.r);
}

int main(void)
{
    race_begin();
    hot_block("ram=4m,block_size=4k");
    hot_block("ram=4m,mode=back,flush_interval=10ms");
    hot_block("ram=4m,block_size=4k,pin_bytes_max=12k"); /* the limit is met at times */
    return 0;
}
