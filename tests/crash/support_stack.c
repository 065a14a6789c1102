/*
 * support_stack.c - see support_stack.h.
 */
#include "tests/crash/support_stack.h"

#include <apr_strings.h>

static void set(rig_t *r, cachefs_config_t *config, const char *keys)
{
    char *state, *text = apr_pstrdup(r->pool, keys);
    for (char *w = apr_strtok(text, " ", &state); w; w = apr_strtok(NULL, " ", &state)) {
        char *value = strchr(w, '=');
        CHECK(value != NULL);
        *value++ = '\0';
        OK(cachefs_config_set(config, w, value, r->err, sizeof(r->err), r->pool));
    }
}

apr_status_t rig_begin(rig_t *r, const char *keys)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    set(r, &config,
        "mode=back ram=4m flush_interval=1h dirty_age=1h flush_on_close=off attr_ttl=1h "
        "pressure=off journal_bytes=4m origin=tests store_bytes=4m store_free_min=1");
    set(r, &config, keys);
    config.store = r->bad;
    r->fs = NULL;
    return cachefs_create(&r->fs, r->count, &config, r->err, sizeof(r->err), r->pool);
}

static void begin(rig_t *r, vfs_t *lower, vfs_t *store, const char *keys)
{
    r->lower = lower;
    r->store = store;
    OK(vfs_fault_create(&r->away, lower, 1, r->pool));
    OK(vfs_count_create(&r->count, r->away, r->pool));
    OK(vfs_fault_create(&r->bad, store, 1, r->pool));
    apr_status_t st = rig_begin(r, keys);
    cr_assert(!st, "%d: %s", st, r->err);
}

void rig_open(rig_t *r, const char *keys)
{
    vfs_t *lower, *store;
    memset(r, 0, sizeof(*r));
    OK(apr_initialize());
    OK(apr_pool_create(&r->pool, NULL));
    OK(vfs_mem_create(&lower, 0, r->pool));
    OK(vfs_mem_create(&store, 0, r->pool));
    begin(r, lower, store, keys);
}

void rig_open_local(rig_t *r, const char *dir, const char *keys)
{
    vfs_t *lower, *store;
    memset(r, 0, sizeof(*r));
    OK(apr_initialize());
    OK(apr_pool_create(&r->pool, NULL));
    OK(vfs_local_create(&lower, apr_pstrcat(r->pool, dir, "/lower", NULL), r->pool));
    OK(vfs_local_create(&store, apr_pstrcat(r->pool, dir, "/store", NULL), r->pool));
    begin(r, lower, store, keys);
}

static void close_all(rig_t *r)
{
    while (r->nfiles)
        (void)vfs_close(r->files[--r->nfiles], NULL); /* whatever it says: who cares has synced */
}

void rig_kill(rig_t *r)
{
    vfs_fault_t all = {.what = VFS_FAULT_ERROR, .status = EIO_STATUS};
    vfs_fault_clear(r->away);
    vfs_fault_clear(r->bad);
    OK(vfs_fault_add(r->away, &all));
    OK(vfs_fault_add(r->bad, &all));
    close_all(r);
    (void)cachefs_destroy(r->fs, CACHEFS_END_DISCARD, 0, NULL);
    r->fs = NULL;
    vfs_fault_clear(r->away);
    vfs_fault_clear(r->bad);
}

void rig_close(rig_t *r)
{
    close_all(r);
    if (r->fs) OK(vfs_destroy(r->fs));
    OK(vfs_destroy_stack(r->bad));
    OK(vfs_destroy_stack(r->count));
    apr_pool_destroy(r->pool);
}

vfs_file_t *rig_file(rig_t *r, const char *path)
{
    vfs_file_t *f;
    OK(vfs_open(&f, r->fs, NULL, path, VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE, 0644, NULL, NULL));
    CHECK(r->nfiles < sizeof(r->files) / sizeof(r->files[0]));
    r->files[r->nfiles++] = f;
    return f;
}

void rig_put(vfs_file_t *f, apr_off_t off, uint8_t byte, size_t len)
{
    uint8_t *buf = malloc(len);
    size_t n;
    CHECK(buf != NULL);
    memset(buf, byte, len);
    OK(vfs_write_at(f, NULL, buf, len, off, &n, NULL));
    free(buf);
}

void rig_acknowledge(vfs_file_t *f, uint8_t byte)
{
    rig_put(f, 0, byte, 1000);
    OK(vfs_sync(f, NULL, VFS_SYNC_DATA));
}

void rig_holds(vfs_t *fs, const char *path, apr_off_t off, uint8_t byte, size_t len)
{
    uint8_t *buf = malloc(len);
    vfs_file_t *f;
    size_t n;
    CHECK(buf != NULL);
    OK(vfs_open(&f, fs, NULL, path, VFS_O_READ, 0, NULL, NULL));
    OK(vfs_read_at(f, NULL, buf, len, off, &n));
    EQ(n, len);
    for (size_t i = 0; i < len; i++)
        cr_assert(buf[i] == byte, "byte %zu of %s is %u", i, path, buf[i]);
    OK(vfs_close(f, NULL));
    free(buf);
}

uint64_t rig_below(rig_t *r, vfs_opid_e op)
{
    vfs_counts_t counts;
    vfs_count_get(r->count, &counts);
    return counts.calls[op];
}

void rig_fail(vfs_t *shim, vfs_opid_e op, apr_status_t status)
{
    vfs_fault_t rule = {.what = VFS_FAULT_ERROR, .status = status};
    VFS_FAULT_OP(rule, op);
    OK(vfs_fault_add(shim, &rule));
}

unsigned rig_journal_files(rig_t *r)
{
    vfs_dir_t *dir;
    vfs_dirent_t e;
    unsigned n = 0;
    OK(vfs_opendir(&dir, r->store, NULL, "/journal", 0));
    while (!vfs_readdir(dir, NULL, &e))
        n += e.name[0] == 'j';
    OK(vfs_closedir(dir));
    return n;
}

double rig_metric(rig_t *r, const char *name)
{
    metrics_snapshot_t *snap;
    double value;
    OK(metrics_snapshot(&snap, cachefs_metrics(r->fs), r->pool));
    cr_assert(!metrics_snapshot_value(snap, name, NULL, &value), "%s", name);
    return value;
}
