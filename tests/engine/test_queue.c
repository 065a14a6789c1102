/*
 * test_queue.c - the queue of the cache's threads is full: read-ahead is left out, what would be
 * done by others is done by who asks.
 */
#include "tests/engine/support_rig.h"

/* Jobs that wait for the test, and their rig. */
typedef struct stuck_t {
    rig_t rig;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    int running, over;
} stuck_t;

static void wait_for_end(void *baton)
{
    stuck_t *s = baton;

    pthread_mutex_lock(&s->lock);
    s->running++;
    pthread_cond_broadcast(&s->cond);
    while (!s->over)
        pthread_cond_wait(&s->cond, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

/* One thread, which waits; behind it as many as may wait. */
static void stuck_open(stuck_t *s, const char *keys)
{
    char all[256];
    size_t waiting = 0;

    pthread_mutex_init(&s->lock, NULL);
    pthread_cond_init(&s->cond, NULL);
    s->running = s->over = 0;
    (void)snprintf(all, sizeof(all), "workers=1 %s", keys);
    rig_open(&s->rig, all);
    OK(vfs_workers_try(s->rig.c->workers, wait_for_end, s));
    pthread_mutex_lock(&s->lock);
    while (!s->running)
        pthread_cond_wait(&s->cond, &s->lock);
    pthread_mutex_unlock(&s->lock);
    while (vfs_workers_try(s->rig.c->workers, wait_for_end, s) == APR_SUCCESS)
        cr_assert(++waiting < 1000000, "the queue has no bound");
    CHECK(waiting > 0);
}

static void stuck_close(stuck_t *s)
{
    pthread_mutex_lock(&s->lock);
    s->over = 1;
    pthread_cond_broadcast(&s->cond);
    pthread_mutex_unlock(&s->lock);
    rig_close(&s->rig);
    pthread_cond_destroy(&s->cond);
    pthread_mutex_destroy(&s->lock);
}

Test(queue, read_ahead_is_left_out_while_it_is_full)
{
    stuck_t s;
    size_t len = 1u << 20;
    char *data = rig_bytes(len, 1);

    stuck_open(&s, "get_size=0 ram=32m readahead=1m");
    s.rig.c->lower_is_far = 1;
    rig_put(&s.rig, "/f", data, len);
    vfs_file_t *f = rig_file(s.rig.fs, "/f", RIG_R);
    for (size_t at = 0; at < len; at += 65536)
        rig_read(f, (apr_off_t)at, data + at, 65536);
    EQ(rig_stats(&s.rig).readahead_bytes, 0);
    EQ(atomic_load(&s.rig.c->ahead_bytes), 0); /* nothing of the budget is lost */
    OK(vfs_close(f, NULL));
    stuck_close(&s);
    free(data);
}

static int is_clean(void *baton)
{
    return rig_stats(baton).dirty_bytes == 0;
}

Test(queue, what_is_due_is_flushed_while_it_is_full)
{
    stuck_t s;

    stuck_open(&s, "mode=back flush_interval=20ms flush_on_close=off");
    rig_save(&s.rig, "/f", "text", 4);
    rig_save(&s.rig, "/g", "text", 4);
    CHECK(rig_until(is_clean, &s.rig));
    rig_holds_text(s.rig.bottom, "/f", "text");
    rig_holds_text(s.rig.bottom, "/g", "text");
    stuck_close(&s);
}

Test(queue, a_batch_is_done_by_its_caller_while_it_is_full)
{
    static const char *const paths[] = {"/a", "/b", "/c", "/d"};
    stuck_t s;
    apr_status_t status[4];

    stuck_open(&s, "mode=back flush_interval=1h dirty_age=1h flush_on_close=off");
    for (int i = 0; i < 4; i++)
        rig_text(&s.rig, paths[i], "text");
    OK(cachefs_prefetch_batch(s.rig.fs, NULL, paths, 4, status));
    for (int i = 0; i < 4; i++) {
        EQ(rig_entry(&s.rig, paths[i]).resident, 4);
        rig_save(&s.rig, paths[i], "TEXT", 4);
    }
    OK(cachefs_flush_batch(s.rig.fs, NULL, paths, 4, status));
    EQ(rig_stats(&s.rig).dirty_bytes, 0);
    stuck_close(&s);
}
