/*
 * tier.c - the disk tier's place in the engine. Floor 2, private to cachefs/.
 *
 * The tier knows bytes by (origin, object, validator) and nothing else, so that it can never give
 * bytes of another version than the one that the lower layer last told. What is asked of an object
 * before its bytes may come from there, or go there:
 *
 *   - the lower layer told its validator, which is neither young nor weak;
 *   - nothing of ours is under way on it, dirty, or in doubt: what the stack sees is that version.
 *
 * The key is made under the object's lock. Bytes that come from below are kept under it only if
 * they came with the same validator; so a change of ours or of others in between cannot give them a
 * wrong name. It is the lower layer that says which bytes are of which version, as for all misses.
 *
 * Bytes are written to the tier when they come from below, not when memory lets them go: so they
 * survive a kill, no victim has to be copied under a lock, and what a write makes need not be told
 * from what was read. What the tier refuses (l2_admit) is offered again at its next miss.
 *
 * An open that finds nothing in memory asks for attributes and bytes in one round trip (`get`). If
 * the tier has bytes of the path, it asks for the attributes alone: the bytes are likely to be
 * here.
 */
#include "cachefs/engine.h"

#include <stdio.h>

#include "vfs/digest.h"

/* ---- life */

/* Can an object of this origin be told from one of another origin? If it has no name, it is known
 * by its root: the numbers of that come again, with another file system, but not its birth. */
static apr_status_t can_name_objects(cache_t *c, int *can)
{
    vfs_attr_t root;
    *can = 1;
    if (c->fixed.origin && c->fixed.origin[0]) return APR_SUCCESS;
    *can = 0;
    if (!(c->lower->caps.bits & VFS_CAP_STABLE_ID)) return APR_SUCCESS;
    apr_status_t st = vfs_lstat(c->lower, NULL, "/", &root);
    if (!st) *can = (root.flags & VFS_ATTR_STABLE_ID) && root.btime_ns != 0;
    return st;
}

apr_status_t cachefs__tier_origin(cache_t *c, int *can)
{
    CACHE_NO_LOCKS_HELD();
    apr_status_t st = can_name_objects(c, can);
    return st ? st : cachefs__store_origin(c->origin_id, c->lower, c->fixed.origin);
}

static void without(cache_t *c, const char *why)
{
    cachefs__log(c, 1, "the disk tier is not used: %s", why);
    cachefs__count(&c->counters, CNT_L2_UNUSABLE, 1);
}

static void open_tier(cache_t *c)
{
    char text[128];
    cachefs__l2_config_t config = {.bytes = c->fixed.store_bytes,
                                   .free_min = c->fixed.store_free_min,
                                   .admit = (cachefs__l2_admit_e)c->fixed.l2_admit,
                                   .admit_percent = c->fixed.l2_admit_percent,
                                   .pack_level = c->fixed.l2_compress == CACHEFS_COMPRESS_ZSTD
                                                     ? c->fixed.l2_compress_level
                                                     : 0,
                                   .scrub_bytes_per_s = c->fixed.scrub_bytes_per_s,
                                   .log = c->fixed.log,
                                   .log_baton = c->fixed.log_baton};
    int can;
    apr_status_t st = cachefs__tier_origin(c, &can);
    if (!st && !can) {
        without(c, "the origin has no stable identities; give it a name by the key origin");
        return;
    }
    if (!st) st = cachefs__l2_open(&c->l2, c->store, &config);
    if (st) without(c, vfs_strerror(st, text, sizeof(text)));
}

apr_status_t cachefs__tier_start(cache_t *c, char *err, size_t errlen)
{
    static const char *const found[] = {
        [CACHEFS__STORE_DAMAGED] = "its identity is damaged",
        [CACHEFS__STORE_FOREIGN] = "it is of another version of this program",
    };
    char why[512] = "";
    if (!c->fixed.store) return APR_SUCCESS;
    CACHE_NO_LOCKS_HELD();
    apr_status_t st =
        cachefs__store_open(&c->store, c->fixed.store, c->fixed.store_name, why, sizeof(why));
    /* dirty data has no place to go where there is no journal: then, and where somebody else is in
     * there, there is no start */
    if (st && (APR_STATUS_IS_EAGAIN(st) || st == VFS_EFORMAT || c->fixed.mode == CACHEFS_BACK)) {
        if (err && errlen) (void)snprintf(err, errlen, "%s", why);
        return st;
    }
    if (st) {
        without(c, why);
        return APR_SUCCESS;
    }
    cachefs__store_found_e as = cachefs__store_found(c->store);
    if (as == CACHEFS__STORE_DAMAGED || as == CACHEFS__STORE_FOREIGN) {
        cachefs__log(c, 1, "%s is begun anew: %s", cachefs__store_name(c->store), found[as]);
        cachefs__count(&c->counters, CNT_STORE_RENEWED, 1);
    }
    open_tier(c);
    return APR_SUCCESS;
}

void cachefs__tier_stop(cache_t *c)
{
    cachefs__l2_close(c->l2);
    cachefs__store_close(c->store);
    c->l2 = NULL;
    c->store = NULL;
}

/* ---- figures */

void cachefs__tier_stats(cache_t *c, cachefs__l2_stats_t *out)
{
    if (c->l2)
        cachefs__l2_stats(c->l2, out);
    else
        memset(out, 0, sizeof(*out));
}

typedef struct metric_t {
    cache_t *cache;
    size_t at; /* of the number, in cachefs__l2_stats_t */
} metric_t;

static double read_metric(void *baton)
{
    metric_t *m = baton;
    cachefs__l2_stats_t s;
    uint64_t v;
    cachefs__tier_stats(m->cache, &s);
    memcpy(&v, (const char *)&s + m->at, sizeof(v));
    return (double)v;
}

apr_status_t cachefs__tier_metrics(cache_t *c)
{
    static const struct {
        const char *name, *help;
        size_t at;
        int is_counter;
    } metrics[] = {
#define ROW(field, kind, name, help) {name, help, offsetof(cachefs__l2_stats_t, field), kind}
        ROW(hits, 1, "cachefs_l2_hits_total", "Pieces of cells read from the store."),
        ROW(misses, 1, "cachefs_l2_misses_total", "Reads of the store that went below after all."),
        ROW(hit_bytes, 1, "cachefs_l2_read_bytes_total", "Bytes read from the store."),
        ROW(puts, 1, "cachefs_l2_puts_total", "Records taken in."),
        ROW(put_bytes, 1, "cachefs_l2_put_bytes_total", "Bytes taken in."),
        ROW(saved_bytes, 1, "cachefs_l2_saved_bytes_total", "Bytes that packing saved."),
        ROW(refused, 1, "cachefs_l2_refused_total", "Records that admission refused."),
        ROW(dropped, 1, "cachefs_l2_dropped_total", "Records without room in the write buffers."),
        ROW(written_bytes, 1, "cachefs_l2_written_bytes_total",
            "Bytes written to the store; over those taken in, the write amplification."),
        ROW(moved_bytes, 1, "cachefs_l2_moved_bytes_total",
            "Bytes written anew since they were read."),
        ROW(evicted_bytes, 1, "cachefs_l2_evicted_bytes_total", "Bytes of segments evicted."),
        ROW(bad, 1, "cachefs_l2_bad_records_total", "Records that were not what they should be."),
        ROW(scrubbed_bytes, 1, "cachefs_l2_scrubbed_bytes_total",
            "Bytes that a scrub read and found sound."),
        ROW(scrub_bad, 1, "cachefs_l2_scrub_bad_records_total",
            "Records that a scrub found damaged."),
        ROW(scrubs, 1, "cachefs_l2_scrubs_total", "Scrubs of all segments that are done."),
        ROW(errors, 1, "cachefs_l2_errors_total", "Calls to the store that failed or were slow."),
        ROW(breaker_opened, 1, "cachefs_l2_breaker_opened_total",
            "How often the store was put aside."),
        ROW(open, 0, "cachefs_l2_put_aside", "1 while the store is put aside."),
        ROW(culling, 0, "cachefs_l2_no_space", "1 while its disk is too full to write to."),
        ROW(segments, 0, "cachefs_l2_segments", "Segments."),
        ROW(bytes, 0, "cachefs_l2_bytes", "Bytes of segments."),
        ROW(records, 0, "cachefs_l2_records", "Records that can be found."),
        ROW(index_bytes, 0, "cachefs_l2_index_bytes", "Memory of the index."),
#undef ROW
    };
    apr_status_t st = APR_SUCCESS;
    if (!c->l2) return st;
    for (size_t i = 0; !st && i < sizeof(metrics) / sizeof(*metrics); i++) {
        metric_t *m = apr_palloc(c->fs->pool, sizeof(*m));
        m->cache = c;
        m->at = metrics[i].at;
        st = metrics_callback(c->metrics, metrics[i].name, NULL, metrics[i].help,
                              metrics[i].is_counter, read_metric, m);
    }
    return st;
}

/* ---- keys */

static cachefs__l2_key_t key_of(const uint8_t *bytes, size_t len)
{
    cachefs__l2_key_t key;
    uint8_t digest[VFS__DIGEST_BYTES];
    _Static_assert(sizeof(key) == sizeof(digest), "a key is a digest");
    vfs__digest(digest, bytes, len);
    memcpy(&key, digest, sizeof(key));
    return key;
}

int cachefs__tier_key(cache_t *c, const obj_t *o, cachefs__tier_key_t *key)
{
    const vfs_validator_t *v = &o->validator;
    struct {
        uint8_t origin[CACHEFS__STORE_ID_BYTES];
        uint64_t dev, ino, born, kind;
        uint8_t version[VFS_VALIDATOR_BYTES];
        uint32_t len;
    } words;
    if (!c->l2 || v->kind == VFS_VALIDATOR_NONE || !(o->flags & OBJ_ATTR)) return 0;
    if (v->flags & (VFS_VALIDATOR_WEAK | VFS_VALIDATOR_YOUNG)) return 0;
    /* two files that had one path in turn may have equal times, and one size */
    if ((o->flags & OBJ_BY_PATH) && v->kind == VFS_VALIDATOR_TIMES) return 0;
    if (o->flags & (OBJ_OWN_CHANGE | OBJ_YOUNG | OBJ_DOUBT | OBJ_SETTLING)) return 0;
    if (o->changing || o->dirty_bytes || o->flushing || o->local_mtime_ns) return 0;
    if (o->attr.type != VFS_TYPE_FILE || o->attr.size != LOAD(o->size)) return 0;
    memset(&words, 0, sizeof(words));
    memcpy(words.origin, c->origin_id, sizeof(words.origin));
    cachefs__lock(&c->ids.lock, RANK_IDS);
    words.dev = o->dev;
    words.ino = o->ino;
    words.born = (uint64_t)o->born_ns;
    cachefs__unlock(&c->ids.lock, RANK_IDS);
    words.kind = v->kind;
    words.len = v->len;
    memcpy(words.version, v->data, v->len);
    key->key = key_of((const uint8_t *)&words, sizeof(words));
    key->validator = *v;
    key->ver = LOAD(o->ver);
    key->size = LOAD(o->size);
    return 1;
}

static cachefs__l2_key_t path_key(const cache_t *c, const vfs_path_t *path)
{
    uint8_t words[CACHEFS__STORE_ID_BYTES + VFS__DIGEST_BYTES];
    memcpy(words, c->origin_id, CACHEFS__STORE_ID_BYTES);
    vfs__digest(words + CACHEFS__STORE_ID_BYTES, path->str, path->len);
    return key_of(words, sizeof(words));
}

void cachefs__tier_note_path(cache_t *c, const vfs_path_t *path)
{
    cachefs__l2_key_t key = path_key(c, path);
    cachefs__l2_hint(c->l2, &key);
}

void cachefs__tier_note_object(cache_t *c, const obj_t *o)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    cachefs__obj_look(c, o);
    int named = cachefs__obj_name_nth(c, o, 0, &path, buf);
    cachefs__obj_looked(c, o);
    if (named) cachefs__tier_note_path(c, &path);
}

int cachefs__tier_knows_path(cache_t *c, const vfs_path_t *path)
{
    if (!c->l2) return 0;
    cachefs__l2_key_t key = path_key(c, path);
    return cachefs__l2_hinted(c->l2, &key);
}

/* ---- bytes */

int cachefs__tier_extent(cache_t *c, const cachefs__tier_key_t *key, uint64_t at, uint64_t granule,
                         uint64_t size, uint64_t *start, uint64_t *end)
{
    uint64_t stop, from = at & ~(granule - 1);
    VFS_ASSERT(*start <= at && at < *end && granule >= L2_GRANULE);
    int has = cachefs__l2_extent(c->l2, &key->key, from, *end, &stop);
    if (stop >= *end) stop = *end;
    if (has) { /* whole granules only, or up to the end of the file */
        uint64_t whole = stop == size ? stop : stop & ~(granule - 1);
        if (whole <= at) return 0;
        *start = from;
        *end = whole;
        return 1;
    }
    stop = (stop + granule - 1) & ~(granule - 1);
    if (stop < *end) *end = stop;
    return 0;
}

uint64_t cachefs__tier_bytes(cache_t *c, const cachefs__tier_key_t *key)
{
    enum { CELLS = 64 }; /* for which its lock is taken once */
    uint64_t most = (uint64_t)L2_FORGET_MAX << L2_CELL_SHIFT, bytes = 0, stop;
    uint64_t end = key->size < most ? key->size : most;
    for (uint64_t at = 0; at < end; at = stop) {
        uint64_t to = at + ((uint64_t)CELLS << L2_CELL_SHIFT);
        int has = cachefs__l2_extent(c->l2, &key->key, at, to < end ? to : end, &stop);
        if (has) bytes += stop - at;
    }
    return bytes;
}

apr_status_t cachefs__tier_read(cache_t *c, const cachefs__tier_key_t *key, const vfs_ctx_t *ctx,
                                uint64_t off, const vfs_iovec_t *iov, size_t count)
{
    CACHE_NO_LOCKS_HELD();
    return cachefs__l2_read(c->l2, &key->key, ctx, off, iov, count);
}

void cachefs__tier_keep(cache_t *c, obj_t *o, const cachefs__tier_key_t *key,
                        const vfs_validator_t *came, uint64_t off, const vfs_iovec_t *iov,
                        size_t count, uint64_t len)
{
    if (!vfs_validator_equal(&key->validator, came) ||
        (came->flags & (VFS_VALIDATOR_YOUNG | VFS_VALIDATOR_WEAK)))
        return;
    if (off + len != key->size) len &= ~(uint64_t)(L2_GRANULE - 1);
    if (!len) return;
    cachefs__l2_put(c->l2, &key->key, off, iov, count, len);
    cachefs__obj_lock(c, o);
    int gone = LOAD(o->ver) != key->ver; /* if not, whoever takes it away has yet to come */
    cachefs__obj_unlock(c, o);
    if (gone) cachefs__l2_forget(c->l2, &key->key, key->size);
}

void cachefs__tier_forget(cache_t *c, const obj_t *o)
{
    cachefs__tier_key_t key;
    if (cachefs__tier_key(c, o, &key)) cachefs__l2_forget(c->l2, &key.key, key.size);
}
