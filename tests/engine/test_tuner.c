/*
 * test_tuner.c - memory pressure: what it is read from, and what it does.
 */
#include <sys/stat.h>
#include <unistd.h>

#include <apr_general.h>

#include "tests/engine/support_rig.h"

/* A tree that looks like the system's. */
typedef struct tree_t {
    char root[64];
} tree_t;

static void tree_open(tree_t *t)
{
    const char *tmp = getenv("TMPDIR");

    OK(apr_initialize());
    (void)snprintf(t->root, sizeof(t->root), "%.40s/tuner-XXXXXX", tmp ? tmp : "/tmp");
    cr_assert(mkdtemp(t->root) != NULL);
}

static void tree_put(tree_t *t, const char *file, const char *text)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s%s", t->root, file);
    for (char *p = path + strlen(t->root) + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        (void)mkdir(path, 0700); /* it may be there */
        *p = '/';
    }
    FILE *f = fopen(path, "w");
    cr_assert(f != NULL);
    (void)fputs(text, f);
    cr_assert_eq(fclose(f), 0);
}

static void tree_close(tree_t *t)
{
    apr_pool_t *pool;
    vfs_t *fs;

    OK(apr_pool_create(&pool, NULL));
    OK(vfs_local_create(&fs, t->root, pool));
    OK(vfs_remove_all(fs, NULL, "/"));
    OK(vfs_destroy(fs));
    apr_pool_destroy(pool);
    cr_assert_eq(rmdir(t->root), 0);
}

#define V2 "/sys/fs/cgroup/memory."
#define V1 "/sys/fs/cgroup/memory/memory."
#define PSI "/proc/pressure/memory"

static int near(double a, double b)
{
    return a > b - 0.001 && a < b + 0.001;
}

Test(tuner, a_group_of_version_2_presses_beyond_nine_tenths)
{
    tree_t t;

    tree_open(&t);
    CHECK(near(cachefs__pressure(t.root), 0)); /* nothing to read: no pressure */
    tree_put(&t, V2 "max", "1000000\n");
    tree_put(&t, V2 "current", "500000\n");
    CHECK(near(cachefs__pressure(t.root), 0));
    tree_put(&t, V2 "current", "950000\n");
    CHECK(near(cachefs__pressure(t.root), 0.5));
    tree_put(&t, V2 "current", "2000000\n");
    CHECK(near(cachefs__pressure(t.root), 1));
    tree_put(&t, V2 "max", "max\n");
    CHECK(near(cachefs__pressure(t.root), 0));
    tree_put(&t, V2 "max", "0\n");
    CHECK(near(cachefs__pressure(t.root), 0));
    tree_put(&t, V2 "max", "");
    CHECK(near(cachefs__pressure(t.root), 0));
    tree_close(&t);
}

Test(tuner, a_group_of_version_1_presses_too)
{
    tree_t t;

    tree_open(&t);
    tree_put(&t, V1 "limit_in_bytes", "1000000\n");
    tree_put(&t, V1 "usage_in_bytes", "970000\n");
    CHECK(near(cachefs__pressure(t.root), 0.7));
    tree_put(&t, V1 "limit_in_bytes", "9223372036854771712\n"); /* none */
    CHECK(near(cachefs__pressure(t.root), 0));
    tree_close(&t);
}

Test(tuner, stalls_of_the_machine_press_and_the_larger_figure_counts)
{
    tree_t t;

    tree_open(&t);
    tree_put(&t, PSI, "some avg10=25.00 avg60=1.00 avg300=0.00 total=1\nfull avg10=99.00\n");
    CHECK(near(cachefs__pressure(t.root), 0.25));
    tree_put(&t, V2 "max", "1000000\n");
    tree_put(&t, V2 "current", "910000\n");
    CHECK(near(cachefs__pressure(t.root), 0.25));
    tree_put(&t, V2 "current", "960000\n");
    CHECK(near(cachefs__pressure(t.root), 0.6));
    tree_put(&t, PSI, "garbage\n");
    CHECK(near(cachefs__pressure(t.root), 0.6));
    tree_put(&t, PSI, "some avg10=900.00 avg60=1.00\n");
    CHECK(near(cachefs__pressure(t.root), 1));
    tree_close(&t);
}

typedef struct pressed_t {
    _Atomic int calls;
    double pressure;
    uint64_t used, max;
    rig_t *rig;
} pressed_t;

static void pressed(void *baton, double pressure, uint64_t used, uint64_t max)
{
    pressed_t *p = baton;

    p->pressure = pressure;
    p->used = used;
    p->max = max;
    atomic_fetch_add(&p->calls, 1);
}

static int is_small(void *baton)
{
    pressed_t *p = baton;

    return atomic_load(&p->calls) && rig_stats(p->rig).ram_used <= 8u << 20;
}

static int is_clean(void *baton)
{
    pressed_t *p = baton;

    return rig_stats(p->rig).dirty_bytes == 0;
}

/* The rig's cache anew, under a pressure that the test makes. */
static void watched(rig_t *rig, pressed_t *p, const tree_t *t, const char *keys)
{
    cachefs_config_t config;

    rig_open(rig, keys);
    OK(cachefs_destroy(rig->fs, CACHEFS_END_WAIT, 0, NULL));
    rig_config(&config, keys, rig->pool);
    config.pressure = pressed;
    config.pressure_baton = p;
    OK(cachefs_create(&rig->fs, rig->count, &config, NULL, 0, rig->pool));
    rig->c = cachefs__of(rig->fs);
    rig->c->tune_root = t->root;
    p->rig = rig;
}

Test(tuner, under_pressure_the_program_is_told_and_memory_given_back)
{
    tree_t t;
    rig_t rig;
    pressed_t p = {0};
    char *data = rig_bytes(12u << 20, 1);

    tree_open(&t);
    watched(&rig, &p, &t, "attr_ttl=1h ram=16m pressure=on");
    rig_put(&rig, "/f", data, 12u << 20);
    rig_holds(rig.fs, "/f", data, 12u << 20);
    CHECK(rig_stats(&rig).ram_used > 8u << 20);
    tree_put(&t, V2 "max", "1000000\n");
    tree_put(&t, V2 "current", "980000\n");
    CHECK(rig_until(is_small, &p));
    CHECK(near(p.pressure, 0.8));
    EQ(p.max, rig_stats(&rig).ram_max);
    CHECK(p.used > 0);
    rig_holds(rig.fs, "/f", data, 12u << 20); /* and everything is still right */
    free(data);
    rig_close(&rig);
    tree_close(&t);
}

Test(tuner, under_pressure_dirty_data_is_flushed_and_goes_too)
{
    tree_t t;
    rig_t rig;
    pressed_t p = {0};
    char *data = rig_bytes(10u << 20, 1);

    tree_open(&t);
    watched(&rig, &p, &t,
            "attr_ttl=1h ram=16m pressure=on mode=back flush_interval=1h dirty_age=1h "
            "flush_on_close=off dirty_max=12m");
    rig_save(&rig, "/f", data, 10u << 20);
    CHECK(rig_stats(&rig).dirty_bytes > 8u << 20);
    tree_put(&t, V2 "max", "1000000\n");
    tree_put(&t, V2 "current", "980000\n");
    CHECK(rig_until(is_small, &p));
    CHECK(rig_until(is_clean, &p));
    rig_holds(rig.bottom, "/f", data, 10u << 20);
    free(data);
    rig_close(&rig);
    tree_close(&t);
}
