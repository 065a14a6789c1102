/* test_l2_hang.c - the disk tier over a store whose calls do not end: it is put aside for everybody
 * but those who hang, and taken back. */
#include <pthread.h>

#include "cachefs/rank.h"
#include "tests/store/support_hang.h"
#include "tests/store/support_l2.h"

#define HOUR_US 3600000000ull

static void setup_hang(void)
{
    setup();
    cachefs__l2_close(l2);
    cachefs__store_close(store);
    disk_can_hang(&disk);
    store = disk_store(&disk);
    OK(cachefs__l2_open(&l2, store, &config));
}

TestSuite(store_l2_hang, .init = setup_hang, .fini = teardown);

static void *read_first(void *unused)
{
    (void)has(1, 0, 64 * KIB); /* what is late may be had or not, but is not wrong */
    return unused;
}

static void *drain(void *unused)
{
    cachefs__l2_drain(l2);
    return unused;
}

/* A call is late after so long, and the store may be tried as soon as nothing hangs. */
static void late_after(uint64_t us)
{
    cachefs__lock(&l2->lock, RANK_LEAF);
    l2->config.slow_us = us;
    l2->breaker.until_us = 0;
    pthread_cond_signal(&l2->work);
    cachefs__unlock(&l2->lock, RANK_LEAF);
}

static void wait_taken_back(void)
{
    while (stats().open)
        apr_sleep(5000);
}

/* Not one byte of the store is asked for. */
static void goes_round(void)
{
    cachefs__l2_key_t k = key_of(2);
    uint64_t stop;
    CHECK(!cachefs__l2_extent(l2, &k, 0, 64 * KIB, &stop));
    EQ(stop, 64 * KIB);
    CHECK(!has(2, 0, 64 * KIB));
    EQ(disk_hung(), 1);
    EQ(stats().breaker_opened, 1);
}

Test(store_l2_hang, a_read_that_hangs_puts_the_store_aside_until_it_ended)
{
    pthread_t reader;
    put(1, 0, 64 * KIB);
    put(2, 0, 64 * KIB);
    cachefs__l2_drain(l2);
    disk_hang(VFS_OPID_readv_at);
    EQ(pthread_create(&reader, NULL, read_first, NULL), 0);
    disk_wait_hung(1);
    late_after(1);
    goes_round();
    uint64_t dropped = stats().dropped;
    put(3, 0, 64 * KIB);
    EQ(stats().dropped, dropped + 1);
    late_after(1);
    apr_sleep(50000); /* who tries it now hangs too */
    goes_round();
    late_after(HOUR_US);
    disk_let_go();
    pthread_join(reader, NULL);
    wait_taken_back();
    CHECK(has(1, 0, 64 * KIB) && has(2, 0, 64 * KIB));
    EQ(stats().bad, 0);
}

Test(store_l2_hang, a_write_that_hangs_does_so_too)
{
    pthread_t waiter;
    put(1, 0, 64 * KIB);
    put(2, 0, 64 * KIB);
    cachefs__l2_drain(l2);
    wait_for(1); /* the writer has nothing else to do */
    disk_hang(VFS_OPID_write_at);
    put(3, 0, 64 * KIB);
    EQ(pthread_create(&waiter, NULL, drain, NULL), 0);
    disk_wait_hung(1);
    late_after(1);
    goes_round();
    late_after(HOUR_US);
    disk_let_go();
    pthread_join(waiter, NULL);
    wait_taken_back();
    CHECK(has(1, 0, 64 * KIB) && has(2, 0, 64 * KIB) && has(3, 0, 64 * KIB));
}
