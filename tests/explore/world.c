/*
 * world.c - see world.h.
 *
 * What may be there after a loss: the writes in one of the orders that agree with the time at which
 * they were made, up to any one of them that does not leave out what a sync acknowledged.
 */
#include "tests/explore/world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/backends.h"
#include "cachefs/engine.h"
#include "tests/explore/turns.h"
#include "vfs/shims/shim.h"

#define SIZE 8192u
#define WRITES 3u
#define OK(e)                                                                                      \
    do {                                                                                           \
        if (e) turns_fail(#e);                                                                     \
    } while (0)

mutant_e mutant;

/* ---- two disks, and points around what is asked of them */

typedef struct disk_t {
    vfs_t *mem, *crash, *fs;
    uint64_t hash; /* of all changes so far */
    int deaf;
} disk_t;
static disk_t store, lower;

typedef struct write_t {
    uint32_t off, len;
    uint8_t byte;
    unsigned from, to; /* when it was made; 0: not yet */
    int acked;
} write_t;
static write_t writes[WRITES];

static apr_pool_t *pool;
static vfs_t *cache;
static vfs_file_t *files[3];
static unsigned when;
static int off_now; /* power is */
static loss_t planned;
static void (*tell)(unsigned point, uint64_t state);
static char wrong[200];

static uint64_t mixed(uint64_t hash, const void *bytes, size_t len)
{
    const uint8_t *b = bytes;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ b[i]) * 1099511628211u;
    return hash;
}

static int syncs(vfs_opid_e op)
{
    return op == VFS_OPID_sync || op == VFS_OPID_sync_fs || op == VFS_OPID_sync_dir;
}

static apr_status_t point_begin(shim_call_t *call)
{
    disk_t *d = call->fs->state;
    turns_point();
    int change = call->op == VFS_OPID_write_at || syncs(call->op) || call->op == VFS_OPID_open ||
                 call->op == VFS_OPID_futimens || call->op == VFS_OPID_unlink;
    if (change && !off_now) {
        uint64_t about[3] = {call->op, (uint64_t)call->off, call->len};
        d->hash = mixed(d->hash, about, sizeof(about));
        if (call->from) d->hash = mixed(d->hash, call->from, call->len);
    }
    call->act = d->deaf && syncs(call->op);
    return call->act ? VFS_EEND : APR_SUCCESS;
}

static apr_status_t point_end(shim_call_t *call, apr_status_t status)
{
    if (call->op == VFS_OPID_write_at || syncs(call->op)) turns_point();
    return call->act ? APR_SUCCESS : status;
}

static apr_status_t point_destroy(vfs_t *fs)
{
    (void)fs;
    return APR_SUCCESS;
}

#define SHIM point
#include "vfs/shims/shim_ops.def"

static void disk_open(disk_t *d, int deaf)
{
    *d = (disk_t){.hash = 14695981039346656037u, .deaf = deaf};
    OK(vfs_mem_create(&d->mem, 0, pool));
    OK(vfs_crash_create(&d->crash, d->mem, pool));
    OK(vfs_create(&d->fs, &point_ops, d->crash, d, NULL, pool));
}

/* ---- mutants */

void __real_cachefs__durable_before(cache_t *c, obj_t *o, uint64_t lsn, uint64_t *sure);
void __wrap_cachefs__durable_before(cache_t *c, obj_t *o, uint64_t lsn, uint64_t *sure);
void __real_cachefs__durable_changing(cache_t *c, obj_t *o, int data);
void __wrap_cachefs__durable_changing(cache_t *c, obj_t *o, int data);
void __real_cachefs__dirty_to_last(cache_t *c, obj_t *o, uint32_t block);
void __wrap_cachefs__dirty_to_last(cache_t *c, obj_t *o, uint32_t block);
void __real_cachefs__durable_wrote(cache_t *c, obj_t *o, const cachefs__pieces_t *buf, uint64_t pos,
                                   uint64_t len, uint64_t off, size_t *room);
void __wrap_cachefs__durable_wrote(cache_t *c, obj_t *o, const cachefs__pieces_t *buf, uint64_t pos,
                                   uint64_t len, uint64_t off, size_t *room);

void __wrap_cachefs__durable_before(cache_t *c, obj_t *o, uint64_t lsn, uint64_t *sure)
{
    if (mutant != RECORDS_LATE) __real_cachefs__durable_before(c, o, lsn, sure);
}

void __wrap_cachefs__durable_changing(cache_t *c, obj_t *o, int data)
{
    if (mutant != NO_FLUSH_NOTE) __real_cachefs__durable_changing(c, o, data);
}

void __wrap_cachefs__dirty_to_last(cache_t *c, obj_t *o, uint32_t block)
{
    const block_t *b = &c->blocks[block];
    if (mutant == CLEAN_ANYWAY)
        cachefs__dirty_to_clean(
            c, o, cachefs__block_shard(c, cachefs__mix(atomic_load(&b->ver), atomic_load(&b->no))),
            block);
    else
        __real_cachefs__dirty_to_last(c, o, block);
}

void __wrap_cachefs__durable_wrote(cache_t *c, obj_t *o, const cachefs__pieces_t *buf, uint64_t pos,
                                   uint64_t len, uint64_t off, size_t *room)
{
    if (mutant != NO_RECORD || off != writes[1].off || !o->j_id)
        __real_cachefs__durable_wrote(c, o, buf, pos, len, off, room);
}

/* ---- power */

static void lose_power(unsigned way)
{
    static const struct {
        vfs_crash_e store, lower;
    } hows[WAYS] = {{VFS_CRASH_KEEP_ALL, VFS_CRASH_KEEP_ALL},
                    {VFS_CRASH_DROP_UNSYNCED, VFS_CRASH_DROP_UNSYNCED},
                    {VFS_CRASH_KEEP_ALL, VFS_CRASH_DROP_UNSYNCED},
                    {VFS_CRASH_DROP_UNSYNCED, VFS_CRASH_KEEP_ALL},
                    {VFS_CRASH_DROP_UNSYNCED, VFS_CRASH_TEAR_LAST},
                    {VFS_CRASH_TEAR_LAST, VFS_CRASH_RANDOM},
                    {VFS_CRASH_RANDOM, VFS_CRASH_TEAR_LAST}};
    off_now = 1;
    OK(vfs_crash_now(store.crash, hows[way].store, way, 512));
    OK(vfs_crash_now(lower.crash, hows[way].lower, way, 512));
}

/* What a loss here would leave, and what may be there then. */
static uint64_t state_now(void)
{
    uint64_t hash = store.hash * 31 + lower.hash;
    for (unsigned i = 0; i < WRITES; i++) {
        uint64_t about[3] = {writes[i].from != 0, writes[i].to != 0, (uint64_t)writes[i].acked};
        for (unsigned k = 0; k < WRITES; k++)
            about[1] = about[1] * 2 + (writes[k].to && writes[k].to < writes[i].from);
        hash = mixed(hash, about, sizeof(about));
    }
    return hash;
}

static void at_point(unsigned point, int fresh)
{
    if (fresh && tell) tell(point, state_now());
    if (point != planned.point) return;
    lose_power(planned.way);
    turns_calm();
}

/* ---- what may be there */

typedef struct order_t {
    unsigned of[WRITES], n;
} order_t;

static int agrees(const order_t *o)
{
    for (unsigned i = 0; i < o->n; i++)
        for (unsigned k = i + 1; k < o->n; k++)
            if (writes[o->of[k]].to && writes[o->of[k]].to < writes[o->of[i]].from) return 0;
    return 1;
}

/* Is it what the first ones of them leave? `all`: what they all leave. */
static int is_prefix(const order_t *o, const uint8_t *bytes, int all)
{
    uint8_t image[SIZE];
    unsigned least = 0;
    memset(image, 'o', SIZE);
    for (unsigned i = 0; i < o->n; i++)
        if (writes[o->of[i]].acked || all) least = i + 1;
    for (unsigned i = 0;; i++) {
        if (i >= least && !memcmp(image, bytes, SIZE)) return 1;
        if (i == o->n) return 0;
        memset(image + writes[o->of[i]].off, writes[o->of[i]].byte, writes[o->of[i]].len);
    }
}

static int may_be(order_t o, const uint8_t *bytes, int all)
{
    unsigned begun = 0;
    for (unsigned i = 0; i < WRITES; i++) {
        int in = 0;
        begun += writes[i].from != 0;
        for (unsigned k = 0; k < o.n; k++)
            in |= o.of[k] == i;
        if (in || !writes[i].from) continue;
        order_t more = o;
        more.of[more.n++] = i;
        if (may_be(more, bytes, all)) return 1;
    }
    return o.n == begun && agrees(&o) && is_prefix(&o, bytes, all);
}

static void read_and_judge(vfs_t *fs, int all, const char *what)
{
    uint8_t bytes[SIZE + 1];
    vfs_file_t *f;
    size_t n = 0;
    apr_status_t st = vfs_open(&f, fs, NULL, "/f", VFS_O_READ, 0, NULL, NULL);
    if (!st) st = vfs_read_at(f, NULL, bytes, sizeof(bytes), 0, &n);
    if (!st) st = vfs_close(f, NULL);
    if (wrong[0]) return;
    if (st || n != SIZE)
        (void)snprintf(wrong, sizeof(wrong), "%s: %zu bytes, status %d", what, n, st);
    else if (!may_be((order_t){.n = 0}, bytes, all))
        (void)snprintf(wrong, sizeof(wrong), "%s: it never was so, or lacks what was acknowledged",
                       what);
}

static void nobody_else(void)
{
    vfs_dir_t *dir;
    vfs_dirent_t e;
    OK(vfs_opendir(&dir, lower.mem, NULL, "/", 0));
    while (!vfs_readdir(dir, NULL, &e))
        if (strstr(e.name, ".conflict-") && !wrong[0])
            (void)snprintf(wrong, sizeof(wrong), "our own work was taken for that of others");
    OK(vfs_closedir(dir));
}

/* ---- scripts */

static void put(vfs_file_t *f, unsigned i)
{
    uint8_t bytes[SIZE];
    write_t *w = &writes[i];
    size_t n;
    memset(bytes, w->byte, w->len);
    if (off_now) return;
    w->from = ++when;
    apr_status_t st = vfs_write_at(f, NULL, bytes, w->len, (apr_off_t)w->off, &n, NULL);
    if (!st && !off_now) w->to = ++when;
}

/* All that was written before is acknowledged, whoever wrote it. */
static void sync_it(vfs_file_t *f)
{
    int before[WRITES];
    for (unsigned i = 0; i < WRITES; i++)
        before[i] = writes[i].to != 0;
    apr_status_t st = vfs_sync(f, NULL, VFS_SYNC_DATA);
    for (unsigned i = 0; i < WRITES && !off_now; i++)
        if (!st && before[i]) writes[i].acked = 1;
    if (st && !off_now && !wrong[0])
        (void)snprintf(wrong, sizeof(wrong), "a sync answers %d, and nothing failed", st);
}

static void first_writer(void)
{
    put(files[0], 0);
    turns_point();
    sync_it(files[0]);
    turns_point();
    put(files[0], 2);
}

static void second_writer(void)
{
    put(files[1], 1);
    turns_point();
    sync_it(files[1]);
}

static void flusher(void)
{
    apr_status_t st = vfs_flush(files[2], NULL);
    if (st && !off_now && !wrong[0])
        (void)snprintf(wrong, sizeof(wrong), "a flush answers %d, and nothing failed", st);
    turns_point();
    cachefs__durable_round(cache->state);
    turns_point();
    (void)cachefs_clear(cache, NULL); /* what is clean is evicted; dirty data stays, and is told */
}

/* ---- a life */

static void cache_begin(void)
{
    static const char *const keys[][2] = {
        {"mode", "back"},    {"ram", "1m"},      {"flush_interval", "24h"}, {"dirty_age", "24h"},
        {"workers", "1"},    {"shards", "1"},    {"flush_on_close", "off"}, {"metrics", "off"},
        {"attr_ttl", "24h"}, {"readahead", "0"},
    };
    static const uint8_t origin[JOURNAL_ID_BYTES] = {7};
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    char err[256];
    cachefs__joptions_t jo = {
        .fs = store.fs, .dir = "/", .origin = origin, .bytes_max = 1u << 20, .file_bytes = 65536};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        OK(cachefs_config_set(&config, keys[i][0], keys[i][1], err, sizeof(err), pool));
    OK(cachefs_create(&cache, lower.fs, &config, err, sizeof(err), pool));
    OK(cachefs__durable_attach(cache->state, &jo, err, sizeof(err)));
}

static void prepare(void)
{
    uint8_t bytes[SIZE];
    size_t n;
    OK(apr_pool_create(&pool, NULL));
    disk_open(&store, 0);
    disk_open(&lower, 0);
    memset(bytes, 'o', SIZE);
    OK(vfs_write_file(lower.crash, NULL, "/f", bytes, SIZE, 0640));
    OK(vfs_sync_fs(lower.crash, NULL));
    cache_begin();
    for (size_t i = 0; i < 3; i++)
        OK(vfs_open(&files[i], cache, NULL, "/f", VFS_O_READ | VFS_O_WRITE, 0, NULL, NULL));
    OK(vfs_read_at(files[0], NULL, bytes, SIZE, 0, &n));
    store.deaf = mutant == STORE_DEAF;
    lower.deaf = mutant == LOWER_DEAF;
}

static void process_ends(void)
{
    for (size_t i = 0; i < 3; i++)
        (void)vfs_close(files[i], NULL); /* what it may say was said to who synced */
}

static void recover(void)
{
    process_ends();
    (void)cachefs_destroy(cache, CACHEFS_END_DISCARD, 0, NULL); /* it reaches neither disk */
    vfs_crash_restart(store.crash);
    vfs_crash_restart(lower.crash);
    cache_begin();
    read_and_judge(cache, 0, "after the recovery");
    nobody_else();
    OK(cachefs_destroy(cache, CACHEFS_END_DISCARD, 0, NULL));
}

static void end_well(void)
{
    read_and_judge(cache, 1, "at the end");
    process_ends();
    if (cachefs_destroy(cache, CACHEFS_END_WAIT, 60000000, NULL) && !wrong[0])
        (void)snprintf(wrong, sizeof(wrong), "something is dirty, and nothing failed");
    read_and_judge(lower.crash, 1, "below, after the end");
    nobody_else();
}

const char *world_life(loss_t loss, void (*seen)(unsigned point, uint64_t state))
{
    static void (*const scripts[])(void) = {first_writer, second_writer, flusher};
    static const write_t all[WRITES] = {{.off = 100, .len = 4100, .byte = 'a'},
                                        {.off = 3000, .len = 4000, .byte = 'b'},
                                        {.off = 2000, .len = 2500, .byte = 'c'}};
    memcpy(writes, all, sizeof(writes));
    when = 0;
    off_now = 0;
    wrong[0] = '\0';
    planned = loss;
    tell = seen;
    turns_again();
    prepare();
    turns_run(scripts, 3, at_point);
    if (loss.point && !off_now) turns_fail("the point of the loss was not met");
    if (off_now)
        recover();
    else
        end_well();
    OK(vfs_destroy_stack(store.fs));
    OK(vfs_destroy_stack(lower.fs));
    apr_pool_destroy(pool);
    return wrong[0] ? wrong : NULL;
}
