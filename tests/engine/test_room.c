/*
 * test_room.c - what is full at the moment: who must keep what he reads waits, or flushes; what can
 * never fit is refused.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h readahead=0 get_size=0 "
#define LAZY LONG "mode=back flush_interval=1h dirty_age=1h flush_on_close=off "
#define CROWD 72 /* one run of each, of 64 KiB, is more than 4 MiB */
#define SIZE (256u << 10)

typedef struct guest_t {
    rig_t *rig;
    char name[32];
    apr_status_t status;
    pthread_t thread;
} guest_t;

static void *come(void *arg)
{
    guest_t *g = arg;

    g->status = cachefs_prefetch_path(g->rig->fs, NULL, g->name, NULL, NULL);
    return NULL;
}

static void crowd_come(rig_t *rig, guest_t *crowd, const char *data)
{
    for (int i = 0; i < CROWD; i++) {
        guest_t *g = &crowd[i];
        *g = (guest_t){.rig = rig};
        (void)snprintf(g->name, sizeof(g->name), "/f%d", i);
        rig_put(rig, g->name, data, SIZE);
    }
    for (int i = 0; i < CROWD; i++)
        pthread_create(&crowd[i].thread, NULL, come, &crowd[i]);
}

static int all_hold_or_wait(void *baton)
{
    cache_t *c = ((rig_t *)baton)->c;

    return atomic_load(&c->room_held) + atomic_load(&c->room_waiters) >= CROWD &&
           atomic_load(&c->room_waiters) > 0;
}

Test(room, a_prefetch_waits_for_the_memory_of_others_under_way)
{
    rig_t rig;
    guest_t crowd[CROWD];
    char *data = rig_bytes(SIZE, 1);

    rig_open(&rig, LONG "ram=4m");
    rig_block(&rig, VFS_OPID_fetch, 0); /* they stand still with their memory in their hands */
    crowd_come(&rig, crowd, data);
    CHECK(rig_until(all_hold_or_wait, &rig));
    vfs_fault_clear(rig.fault);
    vfs_fault_release(rig.fault);
    for (int i = 0; i < CROWD; i++) {
        pthread_join(crowd[i].thread, NULL);
        cr_assert(crowd[i].status == APR_SUCCESS, "%s: %s", crowd[i].name,
                  rig_status(crowd[i].status));
    }
    EQ(atomic_load(&rig.c->room_held), 0);
    free(data);
    rig_close(&rig);
}

Test(room, many_prefetches_in_little_memory_all_succeed_in_every_policy)
{
    const cachefs_policy_ops_t *policy;
    char *data = rig_bytes(SIZE, 1), keys[200];

    for (size_t i = 0; (policy = cachefs_policy_at(i)) != NULL; i++) {
        rig_t rig;
        guest_t crowd[CROWD];
        (void)snprintf(keys, sizeof(keys), LONG "ram=4m policy=%s", policy->name);
        rig_open(&rig, keys);
        crowd_come(&rig, crowd, data);
        for (int k = 0; k < CROWD; k++) {
            pthread_join(crowd[k].thread, NULL);
            cr_assert(crowd[k].status == APR_SUCCESS, "%s, %s: %s", policy->name, crowd[k].name,
                      rig_status(crowd[k].status));
        }
        rig_close(&rig);
    }
    free(data);
}

/* All memory that is free becomes protected; a read waits for no room. */
static void protect_most(rig_t *rig, const char *data, size_t len)
{
    char *buf = malloc(len);

    rig_put(rig, "/kept", data, len);
    vfs_file_t *f = rig_file(rig->fs, "/kept", RIG_R);
    OK(cachefs_pin(rig->fs, "/kept", 1));
    for (size_t at = 0; at < len; at += 16384) {
        size_t got = 0;
        OK(vfs_read_at(f, NULL, buf, 16384, (apr_off_t)at, &got));
    }
    OK(vfs_close(f, NULL));
    free(buf);
}

Test(room, a_prefetch_flushes_what_is_in_its_way)
{
    rig_t rig;
    char *data = rig_bytes(2u << 20, 1);

    rig_open(&rig, LAZY "ram=1m dirty_max=512k pin_bytes_max=1m");
    vfs_file_t *w = rig_file(rig.fs, "/w", RIG_C);
    rig_write(w, 0, data, 300000);
    protect_most(&rig, data, 2u << 20);
    CHECK(rig_stats(&rig).dirty_bytes >= 300000); /* that flushed nothing */
    rig_put(&rig, "/f", data, 60000);
    OK(cachefs_prefetch_path(rig.fs, NULL, "/f", NULL, NULL));
    rig_holds(rig.bottom, "/w", data, 300000);
    OK(vfs_close(w, NULL));
    free(data);
    rig_close(&rig);
}

Test(room, what_can_never_fit_is_refused)
{
    rig_t rig;
    char *data = rig_bytes(2u << 20, 1);
    vfs_ctx_t ctx = VFS_CTX_INIT;

    rig_open(&rig, LONG "ram=1m pin_bytes_max=1m");
    protect_most(&rig, data, 2u << 20);
    rig_put(&rig, "/f", data, 300000);
    IS(VFS_ELIMIT, cachefs_prefetch_path(rig.fs, NULL, "/f", NULL, NULL));
    ctx.priority = VFS_PRIORITY_LOW;
    IS(VFS_ELIMIT, cachefs_prefetch_path(rig.fs, &ctx, "/f", NULL, NULL));
    rig_holds(rig.fs, "/f", data, 300000); /* it is read around the cache */
    free(data);
    rig_close(&rig);
}

Test(room, the_wait_ends_with_the_deadline)
{
    rig_t rig;
    guest_t crowd[CROWD];
    char *data = rig_bytes(SIZE, 1);
    vfs_ctx_t ctx = VFS_CTX_INIT;

    rig_open(&rig, LONG "ram=4m");
    rig_block(&rig, VFS_OPID_fetch, 0);
    crowd_come(&rig, crowd, data);
    CHECK(rig_until(all_hold_or_wait, &rig));
    rig_put(&rig, "/late", data, SIZE);
    ctx.deadline = apr_time_now() + 50000;
    IS(APR_TIMEUP, cachefs_prefetch_path(rig.fs, &ctx, "/late", NULL, NULL));
    vfs_fault_clear(rig.fault);
    vfs_fault_release(rig.fault);
    for (int i = 0; i < CROWD; i++)
        pthread_join(crowd[i].thread, NULL);
    free(data);
    rig_close(&rig);
}
