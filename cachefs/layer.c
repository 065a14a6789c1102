/*
 * layer.c - the life of an instance, and its table of operations.
 * Floor 2. Implements cachefs.h together with control.c and borrow.c.
 */
#include "cachefs/engine.h"
#include "cachefs/ahead.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#define END_TIMEOUT_US 60000000ull /* what vfs_destroy grants a last flush */

void cachefs__log(cache_t *c, int level, const char *format, ...)
{
    char line[VFS_PATH_MAX * 2 + 256];
    if (!c->fixed.log) return;
    CACHE_NO_LOCKS_HELD();
    va_list args;
    va_start(args, format);
    (void)vsnprintf(line, sizeof(line), format, args); /* a line that is too long is cut */
    va_end(args);
    c->fixed.log(c->fixed.log_baton, level, line);
}

int cachefs__glob_valid(const char *pattern)
{
    int in_class = 0;
    for (const char *p = pattern; *p; p++) {
        if (*p == '\\') {
            if (!*++p) return 0;
        } else if (*p == '[' && !in_class) {
            in_class = 1;
            if (p[1] == '!' || p[1] == '^') p++;
            if (p[1] == ']') p++;
        } else if (*p == ']') {
            in_class = 0;
        }
    }
    return !in_class;
}

/* ---- on line */

void cachefs__tunables(cache_t *c)
{
    const cachefs_config_t *f = &c->config;
    tunables_t *t = &c->t;
    atomic_store(&t->attr_ttl_us, f->attr_ttl_us);
    atomic_store(&t->negative_ttl_us, f->negative_ttl_us);
    atomic_store(&t->listing_ttl_us, f->listing_ttl_us);
    atomic_store(&t->readahead_bytes, f->readahead_bytes);
    atomic_store(&t->readahead_bytes_max, f->readahead_bytes_max);
    uint64_t dirty = f->dirty_bytes_max ? f->dirty_bytes_max : c->arena.bytes / 2;
    if (dirty > c->arena.bytes / 4 * 3) dirty = c->arena.bytes / 4 * 3; /* room to work is left */
    atomic_store(&t->dirty_bytes_max, dirty);
    atomic_store(&t->pin_bytes_max, f->pin_bytes_max ? f->pin_bytes_max : c->arena.bytes / 4);
    atomic_store(&t->flush_interval_us, f->flush_interval_us);
    atomic_store(&t->dirty_age_us, f->dirty_age_us);
    atomic_store(&t->retry_min_us, f->retry_min_us);
    atomic_store(&t->retry_max_us, f->retry_max_us);
    atomic_store(&t->write_wait_us, f->write_wait_us);
    atomic_store(&t->get_bytes, f->get_bytes);
    atomic_store(&t->serve_stale, f->serve_stale);
    atomic_store(&t->flush_on_close, f->flush_on_close);
    atomic_store(&t->conflict, (int)f->conflict);
    atomic_store(&t->heat, f->heat);
    atomic_store(&c->plain_mask, f->heat ? 0 : SAMPLE_HITS - 1);
    atomic_store(&t->metrics, f->metrics);
    if (c->metrics) metrics_set_enabled(c->metrics, f->metrics);
}

apr_status_t cachefs_set(vfs_t *fs, const char *key, const char *value, char *err, size_t errlen)
{
    if (!cachefs_is(fs)) return APR_EINVAL;
    cache_t *c = cachefs__of(fs);
    const cachefs__key_t *k = key ? cachefs__key_find(key) : NULL;
    if (k && !k->pub.online) {
        if (err && errlen)
            (void)snprintf(err, errlen, "%s cannot be changed on a running cache", key);
        return APR_EINVAL;
    }
    cachefs__lock(&c->config_lock, RANK_LEAF);
    cachefs_config_t changed = c->config;
    apr_status_t st = cachefs_config_set(&changed, key, value, err, errlen, c->config_pool);
    if (!st) st = cachefs__config_check(&changed, err, errlen);
    if (!st) {
        c->config = changed;
        cachefs__tunables(c);
    }
    cachefs__unlock(&c->config_lock, RANK_LEAF);
    if (!st) cachefs__wb_wake(c, 0); /* other things may be due now */
    return st;
}

apr_status_t cachefs_get(vfs_t *fs, const char *key, char *buf, size_t size)
{
    if (!cachefs_is(fs)) return APR_EINVAL;
    cache_t *c = cachefs__of(fs);
    cachefs__lock(&c->config_lock, RANK_LEAF);
    apr_status_t st = cachefs_config_get(&c->config, key, buf, size);
    cachefs__unlock(&c->config_lock, RANK_LEAF);
    return st;
}

/* ---- the table */

static const vfs_ops_t cachefs_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "cachefs",
    .destroy = cachefs_op_destroy,
    .open = cachefs_op_open,
    .opendir = cachefs_op_opendir,
    .close = cachefs_op_close,
    .closedir = cachefs_op_closedir,
    .copy_range = cachefs_op_copy_range,
    .get = cachefs_op_get,
    .stat = cachefs_op_stat,
    .lstat = cachefs_op_lstat,
    .access = cachefs_op_access,
    .mknod = cachefs_op_mknod,
    .mkdir = cachefs_op_mkdir,
    .rmdir = cachefs_op_rmdir,
    .unlink = cachefs_op_unlink,
    .rename = cachefs_op_rename,
    .link = cachefs_op_link,
    .symlink = cachefs_op_symlink,
    .readlink = cachefs_op_readlink,
    .truncate = cachefs_op_truncate,
    .chmod = cachefs_op_chmod,
    .chown = cachefs_op_chown,
    .utimens = cachefs_op_utimens,
    .statfs = cachefs_op_statfs,
    .getxattr = cachefs_op_getxattr,
    .setxattr = cachefs_op_setxattr,
    .listxattr = cachefs_op_listxattr,
    .removexattr = cachefs_op_removexattr,
    .sync_dir = cachefs_op_sync_dir,
    .sync_fs = cachefs_op_sync_fs,
    .commit = cachefs_op_commit,
    .watch = cachefs_op_watch,
    .unwatch = cachefs_op_unwatch,
    .read_at = cachefs_op_read_at,
    .write_at = cachefs_op_write_at,
    .readv_at = cachefs_op_readv_at,
    .writev_at = cachefs_op_writev_at,
    .fstat = cachefs_op_fstat,
    .ftruncate = cachefs_op_ftruncate,
    .fchmod = cachefs_op_fchmod,
    .fchown = cachefs_op_fchown,
    .futimens = cachefs_op_futimens,
    .fgetxattr = cachefs_op_fgetxattr,
    .fsetxattr = cachefs_op_fsetxattr,
    .flistxattr = cachefs_op_flistxattr,
    .fremovexattr = cachefs_op_fremovexattr,
    .flush = cachefs_op_flush,
    .sync = cachefs_op_sync,
    .lock = cachefs_op_lock,
    .seek_extent = cachefs_op_seek_extent,
    .allocate = cachefs_op_allocate,
    .fetch = cachefs_op_fetch,
    .readdir = cachefs_op_readdir,
    .seekdir = cachefs_op_seekdir,
};

int cachefs_is(const vfs_t *fs)
{
    return fs != NULL && fs->ops.destroy == cachefs_op_destroy;
}

/* ---- life */

static void cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

static void locks_create(cache_t *c)
{
    pthread_mutex_t *locks[] = {&c->config_lock, &c->wb_lock,  &c->handle_lock,
                                &c->flight_lock, &c->mut_lock, &c->tune_lock,
                                &c->watch_lock,  &c->j_lock,   &c->listed.lock};
    pthread_cond_t *conds[] = {&c->wb_cond, &c->flight_cond, &c->mut_cond, &c->tune_cond,
                               &c->j_cond};
    for (size_t i = 0; i < sizeof(locks) / sizeof(*locks); i++)
        pthread_mutex_init(locks[i], NULL);
    for (size_t i = 0; i < sizeof(conds) / sizeof(*conds); i++)
        cond_init(conds[i]);
    for (size_t i = 0; i < OSTRIPES; i++) {
        pthread_mutex_init(&c->ostripes[i].mutex, NULL);
        cond_init(&c->ostripes[i].cond);
    }
}

/* Everything that cachefs__of(fs) holds; threads are stopped. */
static void cache_free(cache_t *c)
{
    if (c->objs) {
        for (uint32_t i = 1; i < c->obj_pool.high; i++) /* of files that stayed dirty */
            (void)cachefs__lower_close(c, &c->objs[i],
                                       &(cachefs__lowers_t){.file = c->objs[i].lower_file,
                                                            .writer = c->objs[i].lower_writer});
    }
    while (c->heats) {
        cachefs__heat_t *heat = c->heats;
        c->heats = heat->older;
        free(heat);
    }
    cachefs__handles_destroy(c);
    cachefs__tables_destroy(c);
    cachefs__arena_destroy(&c->arena);
    cachefs__refs_end(c);
    cachefs__ahead_destroy(c);
    free(c->rings);
    cachefs__counters_destroy(&c->counters);
    if (c->metrics) metrics_registry_destroy(c->metrics);
    free(c);
}

#define SHARDS 32u
#define SHARD_BYTES                                                                                \
    (16u << 20)         /* a policy of less judges too few blocks, and is soon full of new */
#define BURST_SHARE 16u /* of the memory, that what nobody used yet may have */
#define BURST_MAX (64u << 20)

static void limits(cache_t *c)
{
    uint64_t name = sizeof(node_t) + sizeof(obj_t) + 128;
    c->metadata_max =
        c->config.metadata_entries_max ? c->config.metadata_entries_max : c->arena.bytes / 4 / name;
    if (c->metadata_max < 16) c->metadata_max = 16;
    c->entries_max = c->config.entries_max;
    c->burst_bytes =
        c->arena.bytes / BURST_SHARE < BURST_MAX ? c->arena.bytes / BURST_SHARE : BURST_MAX;
    c->part_count = c->config.shards ? c->config.shards : SHARDS;
    c->shard_count = c->part_count;
    while (!c->config.shards && c->shard_count > 1 && c->arena.bytes / c->shard_count < SHARD_BYTES)
        c->shard_count /= 2;
    c->part_bits = (uint32_t)__builtin_ctz(c->part_count);
    c->shard_bits = (uint32_t)__builtin_ctz(c->shard_count);
    c->policy = cachefs_policy_find(c->config.policy);
    c->lower_is_far = c->lower->caps.round_trip_us != 0;
    c->mode = c->config.mode;
    c->tune_root = "";
}

static apr_status_t start(cache_t *c, char *err, size_t errlen)
{
    apr_status_t st = cachefs__tables_create(c);
    if (!st) st = cachefs__metrics_create(c);
    if (!st) st = cachefs__ahead_create(c);
    if (!st) cachefs__tunables(c);
    if (!st) st = cachefs__ttl_rules_parse(&c->rules, c->config.ttl_rules, NULL, 0, c->fs->pool);
    if (!st) st = cachefs__tier_start(c, err, errlen);
    if (!st) st = cachefs__tier_metrics(c);
    if (!st) st = cachefs__durable_start(c, err, errlen);
    if (!st) st = cachefs__durable_metrics(c);
    if (!st) cachefs__names_take(c);
    if (!st) st = vfs_workers_create(&c->workers, c->config.workers, 4096, c->fs->pool);
    if (!st) st = cachefs__wb_create(c);
    if (!st) st = cachefs__tune_start(c);
    return st ? st : cachefs__events_start(c);
}

static apr_status_t stop(cache_t *c)
{
    cachefs__recovery_stop(c);
    cachefs__events_stop(c);
    cachefs__tune_stop(c);
    cachefs__wb_destroy(c);
    if (c->workers) vfs_workers_destroy(c->workers);
    c->workers = NULL;
    c->journal_empty = !c->journal;
    apr_status_t st = cachefs__durable_detach(c);
    if (!st) cachefs__names_save(c);
    cachefs__tier_stop(c);
    return st;
}

static apr_status_t fail(apr_status_t st, char *err, size_t errlen, const char *what)
{
    char text[128];
    if (err && errlen && !err[0])
        (void)snprintf(err, errlen, "%s: %s", what, vfs_strerror(st, text, sizeof(text)));
    return st;
}

/* The index alone does not fit. */
static apr_status_t too_little(cache_t *c, char *err, size_t errlen)
{
    char ram[64];
    if (!err || !errlen || cachefs_config_get(&c->config, "ram", ram, sizeof(ram)))
        return APR_EINVAL;
    (void)snprintf(err, errlen,
                   "ram: \"%s\" is not accepted; expected more, for the index of %u shards, %llu "
                   "names and the policy %s",
                   ram, c->shard_count, (unsigned long long)c->metadata_max, c->policy->name);
    return APR_EINVAL;
}

apr_status_t cachefs_create(vfs_t **out, vfs_t *lower, const cachefs_config_t *config, char *err,
                            size_t errlen, apr_pool_t *pool)
{
    cachefs_config_t defaults = CACHEFS_CONFIG_INIT;
    VFS_CHECK_ARG(out && lower && pool);
    *out = NULL;
    if (err && errlen) err[0] = '\0';
    if (config) {
        if (config->size < sizeof(size_t) || config->size > sizeof(defaults))
            return fail(APR_EINVAL, err, errlen,
                        "a configuration that CACHEFS_CONFIG_INIT of this version did not make");
        memcpy(&defaults, config, config->size);
        defaults.size = sizeof(defaults);
    }
    apr_status_t st = cachefs__config_check(&defaults, err, errlen);
    if (st) return st;
    cache_t *c = aligned_alloc(64, (sizeof(*c) + 63) / 64 * 64);
    if (!c) return APR_ENOMEM;
    memset(c, 0, sizeof(*c));
    c->magic = CACHE_MAGIC;
    c->lower = lower;
    c->config = c->fixed = defaults;
    locks_create(c);
    atomic_store(&c->meta_epoch, 1);
    atomic_store(&c->ns_epoch, 1);
    atomic_store(&c->mut_seq, 1);
    atomic_store(&c->own_uid, (uint32_t)geteuid());
    c->rings = aligned_alloc(sizeof(ring_t), THREAD_RINGS * sizeof(*c->rings));
    if (c->rings) memset(c->rings, 0, THREAD_RINGS * sizeof(*c->rings));
    st = c->rings ? cachefs__counters_create(&c->counters) : APR_ENOMEM;
    if (!st) st = cachefs__arena_create(&c->arena, defaults.ram_bytes);
    c->memory = c->arena.base;
    vfs_caps_t caps = lower->caps;
    if (!st) st = vfs_create(&c->fs, &cachefs_ops, lower, c, &caps, pool);
    if (st) {
        cache_free(c);
        return fail(st, err, errlen, "cannot make the cache");
    }
    limits(c);
    if (!st) st = apr_pool_create(&c->config_pool, c->fs->pool);
    if (!st) st = start(c, err, errlen);
    if (st) {
        vfs_t *fs = c->fs;
        if (st == VFS_ELIMIT) st = too_little(c, err, errlen);
        fail(st, err, errlen, "cannot start the cache");
        (void)vfs_destroy(fs); /* the reason is st */
        return st;
    }
    *out = c->fs;
    return APR_SUCCESS;
}

apr_status_t cachefs_op_destroy(vfs_t *fs)
{
    cache_t *c = cachefs__of(fs);
    apr_status_t st = APR_SUCCESS;
    if (atomic_load(&c->dirty_bytes) && !c->keep) {
        st = cachefs_flush(fs, NULL, NULL, END_TIMEOUT_US);
        uint64_t left = atomic_load(&c->dirty_bytes);
        if (left) {
            cachefs__log(c, 0,
                         "the cache ends with %llu bytes that were never flushed; no journal has "
                         "%llu of them",
                         (unsigned long long)left,
                         (unsigned long long)cachefs__durable_unrecorded(c));
            st = VFS_EDIRTY;
        }
    }
    apr_status_t stopped = stop(c);
    if (!st) st = stopped;
    c->magic = 0;
    cache_free(c);
    fs->state = NULL;
    return st;
}

static void discard_all(cache_t *c)
{
    obj_t *objs[64];
    size_t n;
    while ((n = cachefs__dirty_objs(c, objs, 64)) != 0) {
        for (size_t i = 0; i < n; i++) {
            if (!cachefs__flush_begin(c, objs[i], NULL)) {
                (void)cachefs__dirty_discard(c, objs[i], 0); /* the caller asked for it */
                cachefs__durable_discard(c, objs[i]);
                cachefs__flush_end(c, objs[i]);
            }
            cachefs__obj_put(c, objs[i]);
        }
    }
}

apr_status_t cachefs_destroy(vfs_t *fs, cachefs_end_e how, uint64_t timeout_us,
                             uint64_t *dirty_bytes)
{
    if (!cachefs_is(fs) || (unsigned)how > CACHEFS_END_KEEP) return APR_EINVAL;
    cache_t *c = cachefs__of(fs);
    if (how == CACHEFS_END_WAIT)
        (void)cachefs_flush(fs, NULL, NULL,
                            timeout_us ? timeout_us : UINT64_MAX); /* what is left counts */
    if (how == CACHEFS_END_DISCARD) discard_all(c);
    c->keep = how == CACHEFS_END_KEEP;
    uint64_t left = c->keep ? cachefs__durable_keep(c) : atomic_load(&c->dirty_bytes);
    if (dirty_bytes) *dirty_bytes = left;
    if (left) c->keep = 0;
    return left ? VFS_EDIRTY : vfs_destroy(fs);
}
