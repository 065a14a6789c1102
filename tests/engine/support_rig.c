/*
 * support_rig.c - see support_rig.h.
 */
#include "tests/engine/support_rig.h"

#include <apr_general.h>
#include <unistd.h>

const char *rig_status(apr_status_t st)
{
    static char text[256];
    size_t n = (size_t)snprintf(text, sizeof(text), "%s (%d) ", vfs_status_name(st), st);

    (void)vfs_strerror(st, text + n, sizeof(text) - n);
    return text;
}

void rig_config(cachefs_config_t *config, const char *keys, apr_pool_t *pool)
{
    static const cachefs_config_t defaults = CACHEFS_CONFIG_INIT;
    char text[512], err[256], *rest = text, *word;

    *config = defaults;
    config->ram_bytes = 16u << 20;
    config->attr_ttl_us = config->negative_ttl_us = config->listing_ttl_us = 3600000000;
    (void)snprintf(text, sizeof(text), "%s", keys ? keys : "");
    while ((word = strtok_r(rest, " ", &rest)) != NULL) {
        char *value = strchr(word, '=');

        cr_assert(value != NULL);
        *value++ = '\0';
        cr_assert_eq(cachefs_config_set(config, word, value, err, sizeof(err), pool), APR_SUCCESS,
                     "%s", err);
    }
}

static void cache_begin(rig_t *rig, const char *keys)
{
    cachefs_config_t config;
    char err[256] = "";

    rig_config(&config, keys, rig->pool);
    cr_assert_eq(cachefs_create(&rig->fs, rig->count, &config, err, sizeof(err), rig->pool),
                 APR_SUCCESS, "%s", err);
    rig->c = cachefs__of(rig->fs);
}

/* Contract: no lock is held across a call below, whichever it is and whoever makes it. Only debug
 * builds know. */
static void has_no_lock(void *baton, const char *line)
{
    (void)baton;
#ifndef NDEBUG
    if (cachefs__ranks_held) {
        (void)fprintf(stderr, "locks of ranks 0x%x are held across %s\n", cachefs__ranks_held,
                      line);
        abort();
    }
#else
    (void)line;
#endif
}

static void layers(rig_t *rig, const char *keys)
{
    vfs_t *trace;
    vfs_delay_t none = {0, 0, 0, 0, 1};

    OK(vfs_fault_create(&rig->fault, rig->bottom, 1, rig->pool));
    OK(vfs_delay_create(&rig->delay, rig->fault, &none, rig->pool));
    OK(vfs_trace_create(&trace, rig->delay, has_no_lock, NULL, rig->pool));
    OK(vfs_count_create(&rig->count, trace, rig->pool));
    cache_begin(rig, keys);
    rig_reset(rig);
}

void rig_open(rig_t *rig, const char *keys)
{
    memset(rig, 0, sizeof(*rig));
    OK(apr_initialize());
    OK(apr_pool_create(&rig->pool, NULL));
    OK(vfs_mem_create(&rig->bottom, 0, rig->pool));
    layers(rig, keys);
}

void rig_open_local(rig_t *rig, const char *keys)
{
    const char *tmp = getenv("TMPDIR");

    memset(rig, 0, sizeof(*rig));
    OK(apr_initialize());
    OK(apr_pool_create(&rig->pool, NULL));
    (void)snprintf(rig->root, sizeof(rig->root), "%.40s/cachefs-XXXXXX", tmp ? tmp : "/tmp");
    cr_assert(mkdtemp(rig->root) != NULL);
    OK(vfs_local_create(&rig->bottom, rig->root, rig->pool));
    layers(rig, keys);
}

static void cache_end(rig_t *rig)
{
    uint64_t dirty = 0;
    vfs_counts_t counts;

    vfs_fault_clear(rig->fault);
    cr_assert_eq(cachefs_destroy(rig->fs, CACHEFS_END_WAIT, 60000000, &dirty), APR_SUCCESS,
                 "%" PRIu64 " bytes are dirty at the end", dirty);
    vfs_count_get(rig->count, &counts);
    EQ(counts.open_files, 0);
    EQ(counts.open_dirs, 0);
}

void rig_again(rig_t *rig, const char *keys)
{
    cache_end(rig);
    cache_begin(rig, keys);
    rig_reset(rig);
}

void rig_close(rig_t *rig)
{
    cache_end(rig);
    if (rig->root[0]) OK(vfs_remove_all(rig->bottom, NULL, "/"));
    OK(vfs_destroy_stack(rig->count));
    if (rig->root[0]) cr_assert_eq(rmdir(rig->root), 0);
    apr_pool_destroy(rig->pool);
}

char *rig_bytes(size_t len, unsigned seed)
{
    char *data = malloc(len + 1);
    uint64_t x = 0x9e3779b97f4a7c15ull * (seed + 1);

    cr_assert(data != NULL);
    for (size_t i = 0; i < len; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        data[i] = (char)(x >> 24);
    }
    data[len] = '\0';
    return data;
}

void rig_put(rig_t *rig, const char *path, const void *data, size_t len)
{
    OK(vfs_write_file(rig->bottom, NULL, path, data, len, 0644));
}

void rig_text(rig_t *rig, const char *path, const char *text)
{
    rig_put(rig, path, text, strlen(text));
}

void rig_poke(rig_t *rig, const char *path, apr_off_t off, const void *data, size_t len)
{
    vfs_file_t *file = rig_file(rig->bottom, path, RIG_W);

    rig_write(file, off, data, len);
    OK(vfs_close(file, NULL));
}

int rig_same(vfs_t *fs, const char *path, const void *data, size_t len)
{
    vfs_file_t *file = NULL;
    char *buf = malloc(len + 2);
    size_t got = 0;

    cr_assert(buf != NULL);
    apr_status_t st = vfs_open(&file, fs, NULL, path, VFS_O_READ, 0, NULL, NULL);
    cr_assert(st == APR_SUCCESS, "%s: %s", path, rig_status(st));
    st = vfs_read_at(file, NULL, buf, len + 1, 0, &got);
    cr_assert(st == APR_SUCCESS, "%s: %s", path, rig_status(st));
    OK(vfs_close(file, NULL));
    int same = got == len && memcmp(buf, data, len) == 0;
    free(buf);
    return same;
}

void rig_holds(vfs_t *fs, const char *path, const void *data, size_t len)
{
    cr_assert(rig_same(fs, path, data, len), "%s has other bytes", path);
}

void rig_holds_text(vfs_t *fs, const char *path, const char *text)
{
    rig_holds(fs, path, text, strlen(text));
}

vfs_file_t *rig_file(vfs_t *fs, const char *path, uint32_t flags)
{
    vfs_file_t *file = NULL;
    apr_status_t st = vfs_open(&file, fs, NULL, path, flags, 0644, NULL, NULL);

    cr_assert(st == APR_SUCCESS, "%s: %s", path, rig_status(st));
    return file;
}

void rig_write(vfs_file_t *file, apr_off_t off, const void *data, size_t len)
{
    size_t written = 0;

    OK(vfs_write_at(file, NULL, data, len, off, &written, NULL));
    EQ(written, len);
}

void rig_read(vfs_file_t *file, apr_off_t off, const void *expected, size_t len)
{
    char *buf = malloc(len + 1);
    size_t got = 0;

    cr_assert(buf != NULL);
    OK(vfs_read_at(file, NULL, buf, len, off, &got));
    EQ(got, len);
    cr_assert(memcmp(buf, expected, len) == 0, "other bytes at %lld", (long long)off);
    free(buf);
}

void rig_save(rig_t *rig, const char *path, const void *data, size_t len)
{
    vfs_file_t *file = rig_file(rig->fs, path, RIG_C | VFS_O_TRUNC);

    rig_write(file, 0, data, len);
    OK(vfs_close(file, NULL));
}

uint64_t rig_requests(rig_t *rig)
{
    vfs_counts_t counts;

    vfs_count_get(rig->count, &counts);
    return vfs_counts_requests(&counts);
}

uint64_t rig_calls(rig_t *rig, vfs_opid_e op)
{
    vfs_counts_t counts;

    vfs_count_get(rig->count, &counts);
    return counts.calls[op];
}

uint64_t rig_moved(rig_t *rig)
{
    vfs_counts_t counts;

    vfs_count_get(rig->count, &counts);
    return counts.bytes_read;
}

void rig_reset(rig_t *rig)
{
    vfs_count_reset(rig->count);
}

cachefs_stats_t rig_stats(rig_t *rig)
{
    cachefs_stats_t stats = {.size = sizeof(stats)};

    OK(cachefs_stats(rig->fs, &stats));
    return stats;
}

vfs_path_t rig_path(const char *path)
{
    vfs_path_t p;

    OK(vfs_path_init(&p, path, NULL));
    return p;
}

obj_t *rig_obj(rig_t *rig, const char *path)
{
    vfs_path_t p = rig_path(path);
    vfs_attr_t attr;
    obj_t *o = NULL;

    OK(cachefs__lookup(rig->c, NULL, &p, LOOKUP_FOLLOW, &o, &attr, NULL));
    return o;
}

cachefs_entry_t rig_entry(rig_t *rig, const char *path)
{
    cachefs_entry_t entry;

    cr_assert_eq(cachefs_entry(rig->fs, path, &entry), entry.status);
    return entry;
}

void rig_fail(rig_t *rig, vfs_opid_e op, apr_status_t status, uint64_t nth, uint64_t times)
{
    vfs_fault_t rule = {.what = VFS_FAULT_ERROR, .status = status, .nth = nth, .times = times};

    VFS_FAULT_OP(rule, op);
    OK(vfs_fault_add(rig->fault, &rule));
}

void rig_block(rig_t *rig, vfs_opid_e op, uint64_t times)
{
    vfs_fault_t rule = {.what = VFS_FAULT_BLOCK, .times = times};

    VFS_FAULT_OP(rule, op);
    OK(vfs_fault_add(rig->fault, &rule));
}

typedef struct blocked_t {
    rig_t *rig;
    uint64_t count;
} blocked_t;

static int enough_blocked(void *baton)
{
    blocked_t *b = baton;

    return vfs_fault_blocked(b->rig->fault) >= b->count;
}

void rig_wait_blocked(rig_t *rig, uint64_t count)
{
    blocked_t b = {rig, count};

    cr_assert(rig_until(enough_blocked, &b), "not %" PRIu64 " calls are blocked", count);
}

static int enough_injected(void *baton)
{
    blocked_t *b = baton;

    return vfs_fault_injected(b->rig->fault, NULL) >= b->count;
}

void rig_wait_injected(rig_t *rig, uint64_t count)
{
    blocked_t b = {rig, count};

    cr_assert(rig_until(enough_injected, &b), "not %" PRIu64 " calls met a fault", count);
}

static int enough_waits(void *baton)
{
    blocked_t *b = baton;

    return rig_stats(b->rig).single_flight_waits >= b->count;
}

void rig_wait_waits(rig_t *rig, uint64_t count)
{
    blocked_t b = {rig, count};

    cr_assert(rig_until(enough_waits, &b), "not %" PRIu64 " callers wait for others", count);
}

void rig_set(rig_t *rig, const char *key, const char *value)
{
    char err[256] = "";

    cr_assert_eq(cachefs_set(rig->fs, key, value, err, sizeof(err)), APR_SUCCESS, "%s", err);
}

void rig_nap(unsigned ms)
{
    struct timespec ts = {ms / 1000, (long)(ms % 1000) * 1000000};

    nanosleep(&ts, NULL);
}

void rig_settle(rig_t *rig)
{
    while (atomic_load(&rig->c->ahead_bytes))
        rig_nap(1);
}

int rig_until(int (*done)(void *baton), void *baton)
{
    for (int i = 0; i < 12000; i++) {
        if (done(baton)) return 1;
        rig_nap(5);
    }
    return done(baton);
}
