/*
 * tuner.c - gives memory back when the control group or the machine is short of it.
 * Floor 2, private to cachefs/. The one place of the cache that reads files of the system.
 *
 * Pressure is the larger of two figures, 0 to 1: how far the control group's usage is beyond 90 %
 * of its limit (v2: memory.current, memory.max; v1: memory.usage_in_bytes, memory.limit_in_bytes),
 * and the share of the last ten seconds in which some task waited for memory (pressure stall
 * information, "some avg10").
 */
#include "cachefs/engine.h"

#include <stdio.h>

#define LOOK_US 1000000
#define ACT_AT 0.1 /* below it nothing is done */

static int read_number(const char *root, const char *file, double *out)
{
    char path[512], text[64];
    int ok = 0;
    if (snprintf(path, sizeof(path), "%s%s", root, file) >= (int)sizeof(path)) return 0;
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    if (fgets(text, sizeof(text), f) && text[0] >= '0' && text[0] <= '9') {
        *out = strtod(text, NULL);
        ok = 1;
    }
    (void)fclose(f); /* only read */
    return ok;
}

static double group_pressure(const char *root)
{
    static const char *const files[][2] = {
        {"/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory.max"},
        {"/sys/fs/cgroup/memory/memory.usage_in_bytes",
         "/sys/fs/cgroup/memory/memory.limit_in_bytes"},
    };
    for (size_t i = 0; i < 2; i++) {
        double used, limit;
        if (!read_number(root, files[i][0], &used) || !read_number(root, files[i][1], &limit))
            continue;
        double beyond = limit > 0 ? (used / limit - 0.9) * 10 : 0;
        return beyond < 0 ? 0 : beyond > 1 ? 1 : beyond;
    }
    return 0;
}

static double stall_pressure(const char *root)
{
    char path[512], text[128];
    double avg10 = 0;
    if (snprintf(path, sizeof(path), "%s/proc/pressure/memory", root) >= (int)sizeof(path))
        return 0;
    FILE *f = fopen(path, "re");
    if (!f) return 0;
    if (fgets(text, sizeof(text), f)) {
        const char *at = strstr(text, "avg10=");
        if (at) avg10 = strtod(at + 6, NULL) / 100;
    }
    (void)fclose(f); /* only read */
    return avg10 < 0 ? 0 : avg10 > 1 ? 1 : avg10;
}

double cachefs__pressure(const char *root)
{
    double group = group_pressure(root), stall = stall_pressure(root);
    return group > stall ? group : stall;
}

/* Tell the program, and give back up to three quarters of the memory, as the pressure asks. */
static void act(cache_t *c, double pressure)
{
    uint64_t used = atomic_load(&c->arena.used_bytes), most = c->arena.bytes;
    CACHE_NO_LOCKS_HELD();
    if (c->fixed.pressure) c->fixed.pressure(c->fixed.pressure_baton, pressure, used, most);
    uint64_t target = (uint64_t)((double)most * (1 - 0.75 * pressure));
    if (used <= target) return;
    cachefs__wb_hurry(c); /* what is dirty cannot go: once it is below it can, at the next look */
    uint64_t left = cachefs__shrink(c, target);
    cachefs__log(c, 1, "memory pressure %.2f: gave %llu bytes back", pressure,
                 (unsigned long long)(used > left ? used - left : 0));
}

static void *tuner(void *arg)
{
    cache_t *c = arg;
    cachefs__lock(&c->tune_lock, RANK_LEAF);
    while (!atomic_load(&c->tune_stop)) {
        (void)cachefs__wait(&c->tune_cond, &c->tune_lock, NULL, cachefs__clock_us() + LOOK_US);
        if (atomic_load(&c->tune_stop)) break;
        cachefs__unlock(&c->tune_lock, RANK_LEAF);
        double pressure = cachefs__pressure(c->tune_root);
        if (pressure >= ACT_AT) act(c, pressure);
        cachefs__lock(&c->tune_lock, RANK_LEAF);
    }
    cachefs__unlock(&c->tune_lock, RANK_LEAF);
    return NULL;
}

apr_status_t cachefs__tune_start(cache_t *c)
{
    if (!c->fixed.pressure_watch) return APR_SUCCESS;
    int rc = pthread_create(&c->tune_thread, NULL, tuner, c);
    if (rc) return APR_FROM_OS_ERROR(rc);
    c->tune_started = 1;
    return APR_SUCCESS;
}

void cachefs__tune_stop(cache_t *c)
{
    if (!c->tune_started) return;
    cachefs__lock(&c->tune_lock, RANK_LEAF);
    atomic_store(&c->tune_stop, 1);
    pthread_cond_broadcast(&c->tune_cond);
    cachefs__unlock(&c->tune_lock, RANK_LEAF);
    pthread_join(c->tune_thread, NULL);
    c->tune_started = 0;
}
