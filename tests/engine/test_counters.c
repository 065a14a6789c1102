/*
 * test_counters.c - what threads count is exact: of more threads than have rows of their own, of
 * threads that have ended, and across a reset.
 */
#include "tests/engine/support_rig.h"

#define CROWD (METRICS__OWNED_ROWS + 6u) /* some share rows */
#define TIMES 5000u

typedef struct crowd_t {
    counters_t counters;
    pthread_barrier_t gate;
    _Atomic int stop;
} crowd_t;

static void *count_often(void *baton)
{
    crowd_t *w = baton;

    cachefs__count(&w->counters, CNT_HITS, 1); /* takes its row while all the others live */
    (void)pthread_barrier_wait(&w->gate);
    for (unsigned i = 1; i < TIMES; i++)
        cachefs__count(&w->counters, CNT_HITS, 1);
    cachefs__count(&w->counters, CNT_HIT_BYTES, 7);
    return NULL;
}

static void crowd_begin(crowd_t *w)
{
    memset(w, 0, sizeof(*w));
    OK(cachefs__counters_create(&w->counters));
    EQ(pthread_barrier_init(&w->gate, NULL, CROWD), 0);
}

static void crowd_end(crowd_t *w)
{
    EQ(pthread_barrier_destroy(&w->gate), 0);
    cachefs__counters_destroy(&w->counters);
}

static void crowd_counts(crowd_t *w)
{
    pthread_t threads[CROWD];

    for (unsigned i = 0; i < CROWD; i++)
        EQ(pthread_create(&threads[i], NULL, count_often, w), 0);
    for (unsigned i = 0; i < CROWD; i++)
        EQ(pthread_join(threads[i], NULL), 0);
}

Test(counters, what_threads_counted_stays_when_they_have_ended)
{
    crowd_t w;

    crowd_begin(&w);
    for (unsigned round = 1; round <= 4; round++) { /* rows change their owners */
        crowd_counts(&w);
        EQ(cachefs__counter(&w.counters, CNT_HITS), (uint64_t)round * CROWD * TIMES);
        EQ(cachefs__counter(&w.counters, CNT_HIT_BYTES), round * CROWD * 7u);
        EQ(cachefs__counter(&w.counters, CNT_MISSES), 0);
    }
    crowd_end(&w);
}

Test(counters, after_a_reset_only_what_comes_counts)
{
    crowd_t w;

    crowd_begin(&w);
    crowd_counts(&w);
    cachefs__counters_reset(&w.counters);
    EQ(cachefs__counter(&w.counters, CNT_HITS), 0);
    crowd_counts(&w);
    EQ(cachefs__counter(&w.counters, CNT_HITS), CROWD * TIMES);
    crowd_end(&w);
}

static void *count_until_told(void *baton)
{
    crowd_t *w = baton;

    while (!atomic_load_explicit(&w->stop, memory_order_relaxed))
        cachefs__count(&w->counters, CNT_WRITES, 1);
    return NULL;
}

Test(counters, can_be_read_and_reset_while_threads_count)
{
    crowd_t w;
    pthread_t thread;
    uint64_t last = 0;

    crowd_begin(&w);
    EQ(pthread_create(&thread, NULL, count_until_told, &w), 0);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t now = cachefs__counter(&w.counters, CNT_WRITES);

        CHECK(now >= last); /* never back, never below zero */
        last = now;
        if (i % 5000 == 4999) {
            cachefs__counters_reset(&w.counters);
            last = 0;
        }
    }
    atomic_store(&w.stop, 1);
    EQ(pthread_join(thread, NULL), 0);
    CHECK(cachefs__counter(&w.counters, CNT_WRITES) < UINT64_MAX / 2);
    crowd_end(&w);
}

Test(counters, a_thread_sees_its_own_counts)
{
    crowd_t w;

    crowd_begin(&w);
    uint64_t before = cachefs__counter_here(&w.counters, CNT_OPENS);
    cachefs__count(&w.counters, CNT_OPENS, 3);
    EQ(cachefs__counter_here(&w.counters, CNT_OPENS), before + 3);
    CHECK(cachefs__thread_ring() < THREAD_RINGS);
    crowd_end(&w);
}
