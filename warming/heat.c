/*
 * heat.c - the recorder of what is read. Floor 3.
 *
 * Counts passes by path and unit of 16 KiB, the least that a cold read moves, in a table of fixed
 * size. A read that begins in a unit where the last one of that unit ended goes on with its pass
 * and does not count, so that a file read in small pieces is not hotter than one read in large
 * ones. The table is in stripes with a lock each, since all readers call it; the stripe goes by
 * path and megabyte, so that neither a hot file nor a large one has to live in one of them. When a
 * stripe is full the coldest eighth goes, of equally cold ones what was not read for longest; if
 * even those were read twice or more, all counts are halved, so that what is new has a chance
 * against what once was hot.
 *
 * A recorder's head is never freed, only used again: a reader may have taken its address from the
 * cache just before cachefs_on_heat took it away, and comes in late. It finds the recorder closed.
 * `busy` counts those who are inside, and closing waits for them (all of it sequentially
 * consistent: either the reader sees it closed, or the closer sees the reader).
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "warming/internal.h"

#define STRIPES_MAX 16u
#define STRIPE_MIN 256u /* ranges */
#define NO_RANGE UINT32_MAX
#define UNIT_BYTES 16384u
#define STRIPE_BYTES (1u << 20) /* of a file that stay together; whole units */

typedef struct heat_path_t heat_path_t;
struct heat_path_t {
    heat_path_t *next;
    uint32_t hash;
    uint32_t refs; /* ranges, and writers of a log */
    char str[];
};

typedef struct heat_range_t {
    heat_path_t *path; /* NULL: free */
    uint64_t unit, heat;
    uint64_t last;       /* running number of the last read */
    uint32_t begin, end; /* what was read of the unit */
    uint32_t last_end;   /* where the last read of it ended */
    uint32_t next;       /* chain, or free list */
} heat_range_t;

typedef struct heat_stripe_t {
    pthread_mutex_t lock; /* guards all below; a leaf */
    heat_range_t *ranges;
    heat_range_t **order; /* room to sort them */
    uint32_t *range_heads;
    heat_path_t **path_heads;
    uint32_t room, used, free, mask;
    uint64_t reads;
} heat_stripe_t;

struct warm_heat_t {
    _Atomic int open;
    _Atomic uint32_t busy;
    warm_heat_t *next; /* heads_lock; of the recorders that run, or of those to be used again */
    vfs_t *fs;
    int was_on; /* the key "heat" before */
    apr_pool_t *pool;
    uint32_t stripe_count;
    heat_stripe_t stripes[STRIPES_MAX];
};

static pthread_mutex_t heads_lock = PTHREAD_MUTEX_INITIALIZER;
static warm_heat_t *running, *spare; /* heads_lock */

/* ---- a stripe */

static apr_status_t stripe_init(heat_stripe_t *stripe, uint32_t room, apr_pool_t *pool)
{
    uint32_t heads = 1, i;

    while (heads < room)
        heads *= 2;
    stripe->ranges = apr_palloc(pool, room * sizeof(*stripe->ranges));
    stripe->order = apr_palloc(pool, room * sizeof(heat_range_t *));
    stripe->range_heads = apr_palloc(pool, heads * sizeof(*stripe->range_heads));
    stripe->path_heads = apr_pcalloc(pool, heads * sizeof(heat_path_t *));
    if (stripe->ranges == NULL || stripe->order == NULL || stripe->range_heads == NULL ||
        stripe->path_heads == NULL)
        return APR_ENOMEM;
    for (i = 0; i < heads; i++)
        stripe->range_heads[i] = NO_RANGE;
    for (i = 0; i < room; i++) {
        stripe->ranges[i].path = NULL;
        stripe->ranges[i].next = i + 1 < room ? i + 1 : NO_RANGE;
    }
    stripe->room = room;
    stripe->used = 0;
    stripe->free = 0;
    stripe->mask = heads - 1;
    stripe->reads = 0;
    pthread_mutex_init(&stripe->lock, NULL);
    return APR_SUCCESS;
}

static heat_path_t *path_take(heat_stripe_t *stripe, const char *str, uint32_t hash)
{
    heat_path_t **head = &stripe->path_heads[hash & stripe->mask], *path;
    size_t len;

    for (path = *head; path != NULL; path = path->next) {
        if (path->hash != hash || strcmp(path->str, str) != 0) continue;
        path->refs++;
        return path;
    }
    len = strlen(str) + 1;
    path = malloc(sizeof(*path) + len);
    if (path == NULL) return NULL;
    memcpy(path->str, str, len);
    path->hash = hash;
    path->refs = 1;
    path->next = *head;
    *head = path;
    return path;
}

static void path_drop(heat_stripe_t *stripe, heat_path_t *path)
{
    heat_path_t **at;

    if (--path->refs > 0) return;
    for (at = &stripe->path_heads[path->hash & stripe->mask]; *at != path;)
        at = &(*at)->next;
    *at = path->next;
    free(path);
}

static uint32_t *range_head(heat_stripe_t *stripe, const heat_path_t *path, uint64_t unit)
{
    uint64_t mix = (path->hash ^ unit * 0x9e3779b97f4a7c15ull) * 0xd6e8feb86659fd93ull;

    return &stripe->range_heads[mix >> 32 & stripe->mask];
}

static void range_drop(heat_stripe_t *stripe, heat_range_t *range)
{
    uint32_t index = (uint32_t)(range - stripe->ranges), *at;

    for (at = range_head(stripe, range->path, range->unit); *at != index;)
        at = &stripe->ranges[*at].next;
    *at = range->next;
    path_drop(stripe, range->path);
    range->path = NULL;
    range->next = stripe->free;
    stripe->free = index;
    stripe->used--;
}

static int colder(const void *a, const void *b)
{
    const heat_range_t *x = *(heat_range_t *const *)a, *y = *(heat_range_t *const *)b;

    if (x->heat != y->heat) return x->heat < y->heat ? -1 : 1;
    return (x->last > y->last) - (x->last < y->last);
}

static void prune(heat_stripe_t *stripe)
{
    uint32_t go = stripe->room / 8 + 1, i;
    uint64_t coldest;

    VFS_ASSERT(stripe->used == stripe->room);
    for (i = 0; i < stripe->room; i++)
        stripe->order[i] = &stripe->ranges[i];
    qsort(stripe->order, stripe->room, sizeof(heat_range_t *), colder);
    coldest = stripe->order[0]->heat;
    if (go > stripe->room) go = stripe->room;
    for (i = 0; i < go; i++)
        range_drop(stripe, stripe->order[i]);
    for (i = 0; i < stripe->room && coldest > 1; i++)
        stripe->ranges[i].heat = (stripe->ranges[i].heat + 1) / 2;
}

/* The range of a unit, made if it is new. */
static heat_range_t *range_get(heat_stripe_t *stripe, heat_path_t *path, uint64_t unit)
{
    uint32_t *head = range_head(stripe, path, unit), i;
    heat_range_t *range;

    for (i = *head; i != NO_RANGE; i = range->next) {
        range = &stripe->ranges[i];
        if (range->path == path && range->unit == unit) return range;
    }
    if (stripe->free == NO_RANGE) prune(stripe);
    i = stripe->free;
    range = &stripe->ranges[i];
    stripe->free = range->next;
    stripe->used++;
    path->refs++;
    memset(range, 0, sizeof(*range));
    range->path = path;
    range->unit = unit;
    range->begin = UNIT_BYTES;
    range->last_end = UNIT_BYTES + 1;
    range->next = *head;
    *head = i;
    return range;
}

/* ---- the recorder */

/* Bytes [off, end) of a file were read; all of them belong to the stripe, which is locked. */
static void record_in(heat_stripe_t *stripe, const char *name, uint32_t hash, uint64_t off,
                      uint64_t end)
{
    heat_path_t *path = path_take(stripe, name, hash);

    if (path == NULL) return; /* no memory: a gap in the log is no harm */
    while (off < end) {
        uint64_t unit = off / UNIT_BYTES, stop = (unit + 1) * UNIT_BYTES;
        heat_range_t *range = range_get(stripe, path, unit);
        uint32_t from = (uint32_t)(off % UNIT_BYTES);
        uint32_t to = end < stop ? (uint32_t)(end % UNIT_BYTES) : UNIT_BYTES;

        if (from != range->last_end) range->heat++;
        if (from < range->begin) range->begin = from;
        if (to > range->end) range->end = to;
        range->last_end = to;
        range->last = ++stripe->reads;
        off = stop;
    }
    path_drop(stripe, path);
}

static void record(warm_heat_t *heat, const char *path, uint64_t off, uint64_t len)
{
    uint32_t hash = vfs_path_hash(path, strlen(path));
    uint64_t end = off + len;

    while (off < end) {
        uint64_t no = off / STRIPE_BYTES, stop = (no + 1) * STRIPE_BYTES;
        uint32_t spread = (hash ^ (uint32_t)no) * 0x9e3779b1u;
        heat_stripe_t *stripe = &heat->stripes[(spread >> 16) % heat->stripe_count];

        if (stop > end) stop = end;
        pthread_mutex_lock(&stripe->lock);
        record_in(stripe, path, hash, off, stop);
        pthread_mutex_unlock(&stripe->lock);
        off = stop;
    }
}

static void on_heat(void *baton, const char *path, apr_off_t off, size_t len, int hit)
{
    warm_heat_t *heat = baton;

    (void)hit; /* a miss shows as much interest */
    atomic_fetch_add_explicit(&heat->busy, 1, memory_order_seq_cst);
    if (atomic_load_explicit(&heat->open, memory_order_seq_cst) && off >= 0)
        record(heat, path, (uint64_t)off, len);
    atomic_fetch_sub_explicit(&heat->busy, 1, memory_order_release);
}

/* A head that nobody uses, entered into the list of those that run. @return APR_EINVAL: one runs on
 * fs already */
static apr_status_t head_take(warm_heat_t **out, vfs_t *fs)
{
    warm_heat_t *heat;
    apr_status_t status = APR_SUCCESS;

    pthread_mutex_lock(&heads_lock);
    for (heat = running; heat != NULL; heat = heat->next)
        if (heat->fs == fs) status = APR_EINVAL;
    if (status == APR_SUCCESS) {
        heat = spare;
        if (heat != NULL)
            spare = heat->next;
        else
            heat = calloc(1, sizeof(*heat));
        if (heat == NULL) status = APR_ENOMEM;
    }
    if (status == APR_SUCCESS) {
        heat->fs = fs;
        heat->next = running;
        running = heat;
        *out = heat;
    }
    pthread_mutex_unlock(&heads_lock);
    return status;
}

static void head_give(warm_heat_t *heat)
{
    warm_heat_t **at;

    pthread_mutex_lock(&heads_lock);
    for (at = &running; *at != heat;)
        at = &(*at)->next;
    *at = heat->next;
    heat->fs = NULL;
    heat->next = spare;
    spare = heat;
    pthread_mutex_unlock(&heads_lock);
}

static void free_stripes(warm_heat_t *heat)
{
    uint32_t s, i;

    for (s = 0; s < heat->stripe_count; s++) {
        heat_stripe_t *stripe = &heat->stripes[s];

        for (i = 0; i < stripe->room; i++)
            if (stripe->ranges[i].path != NULL) range_drop(stripe, &stripe->ranges[i]);
        VFS_ASSERT(stripe->used == 0);
        pthread_mutex_destroy(&stripe->lock);
    }
    heat->stripe_count = 0;
    apr_pool_destroy(heat->pool);
    head_give(heat);
}

static apr_status_t make_stripes(warm_heat_t *heat, size_t entries_max, apr_pool_t *pool)
{
    uint32_t count = 1, i;
    apr_status_t status = apr_pool_create(&heat->pool, pool);

    heat->stripe_count = 0;
    while (count < STRIPES_MAX && entries_max / (count * 2) >= STRIPE_MIN)
        count *= 2;
    if (status != APR_SUCCESS) return status;
    for (i = 0; i < count && status == APR_SUCCESS; i++) {
        status = stripe_init(&heat->stripes[i], (uint32_t)(entries_max / count), heat->pool);
        if (status == APR_SUCCESS) heat->stripe_count++;
    }
    return status;
}

apr_status_t warm_heat_start(warm_heat_t **out, vfs_t *fs, size_t entries_max, apr_pool_t *pool)
{
    warm_heat_t *heat;
    apr_status_t status;
    char was[8] = "";

    VFS_CHECK_ARG(out != NULL && fs != NULL && cachefs_is(fs) && pool != NULL);
    VFS_CHECK_ARG(entries_max > 0 && entries_max <= INT32_MAX);
    status = head_take(&heat, fs);
    if (status != APR_SUCCESS) return status;
    status = make_stripes(heat, entries_max, pool);
    if (status == APR_SUCCESS) status = cachefs_get(fs, "heat", was, sizeof(was));
    if (status == APR_SUCCESS) status = cachefs_set(fs, "heat", "on", NULL, 0);
    if (status != APR_SUCCESS) {
        free_stripes(heat);
        return status;
    }
    heat->was_on = strcmp(was, "on") == 0;
    atomic_store_explicit(&heat->open, 1, memory_order_seq_cst);
    status = cachefs_on_heat(fs, on_heat, heat);
    VFS_ASSERT(status == APR_SUCCESS); /* it is a cache */
    *out = heat;
    return APR_SUCCESS;
}

void warm_heat_stop(warm_heat_t *heat)
{
    if (heat == NULL) return;
    /* the baton stays: a reader that has our function already may take it only now */
    (void)cachefs_on_heat(heat->fs, NULL, heat); /* it was a cache when it started */
    if (!heat->was_on) (void)cachefs_set(heat->fs, "heat", "off", NULL, 0);
    atomic_store_explicit(&heat->open, 0, memory_order_seq_cst);
    while (atomic_load_explicit(&heat->busy, memory_order_seq_cst) != 0)
        sched_yield();
    free_stripes(heat);
}

/* Copy the ranges of a stripe, with a reference to their paths. */
static size_t collect(heat_stripe_t *stripe, warm__range_t *to, heat_path_t **paths)
{
    size_t count = 0;
    uint32_t i;

    pthread_mutex_lock(&stripe->lock);
    for (i = 0; i < stripe->room; i++) {
        const heat_range_t *range = &stripe->ranges[i];

        if (range->path == NULL) continue;
        range->path->refs++;
        paths[count] = range->path;
        to[count].path = range->path->str;
        to[count].off = range->unit * UNIT_BYTES + range->begin;
        to[count].len = range->end - range->begin;
        to[count++].heat = range->heat;
    }
    pthread_mutex_unlock(&stripe->lock);
    return count;
}

apr_status_t warm_heat_write(warm_heat_t *heat, const char *file)
{
    size_t counts[STRIPES_MAX] = {0}, total = 0, room = 1, s, i;
    warm__range_t *ranges;
    heat_path_t **paths;
    apr_status_t status = APR_ENOMEM;

    VFS_CHECK_ARG(heat != NULL && file != NULL);
    for (s = 0; s < heat->stripe_count; s++)
        room += heat->stripes[s].room;
    ranges = malloc(room * sizeof(*ranges));
    paths = malloc(room * sizeof(heat_path_t *));
    if (ranges == NULL || paths == NULL) goto done;
    for (s = 0; s < heat->stripe_count; s++) {
        counts[s] = collect(&heat->stripes[s], ranges + total, paths + total);
        total += counts[s];
    }
    status = warm__heatlog_write(file, ranges, total);
    for (s = 0, total = 0; s < heat->stripe_count; total += counts[s++]) {
        pthread_mutex_lock(&heat->stripes[s].lock);
        for (i = 0; i < counts[s]; i++)
            path_drop(&heat->stripes[s], paths[total + i]);
        pthread_mutex_unlock(&heat->stripes[s].lock);
    }
done:
    free(paths);
    free(ranges);
    return status;
}
