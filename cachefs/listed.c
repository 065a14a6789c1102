/*
 * listed.c - directories of which all names are known: what a whole listing has not is absent.
 * Floor 2, private to cachefs/. Knows names and times; does not ask the lower layer.
 *
 * Of a directory that was listed a filter of its names is kept (Bloom, "Space/time trade-offs in
 * hash coding with allowable errors", 1970). A name that is not in it was not there when the
 * listing was asked for; one that is in it is there, or not, and the lower layer is asked. Each
 * change of a name that we make puts the name in, when it begins and when it ends, whether it makes
 * the name or removes it, so the filter errs to that side alone. Where we cannot say which
 * directory a change is in, and where a directory or a link changes, all filters go.
 *
 * A listing may spell a name otherwise than who looks it up, where the lower layer does not tell
 * case or forms of Unicode apart, or knows files by short names too. So names are noted in one
 * case, and for all that is not plain ASCII the lower layer is asked.
 */
#include "cachefs/engine.h"

#define DIRS LISTED_DIRS
#define SHARE 64u      /* of the memory that all filters may have */
#define BYTES_MIN 4096 /* of a filter: there is room for those that are made */
#define NAME_BITS 32u  /* of the filter for a name at first; it errs more as names are made */
#define NAME_BITS_MIN 8u
#define PROBES 4

/* ---- names */

/* May others spell it otherwise? */
static int is_plain(const char *name, size_t len)
{
    if (!len || name[len - 1] == '.' || name[len - 1] == ' ') return 0; /* some leave them out */
    for (size_t i = 0; i < len; i++) {
        unsigned char ch = (unsigned char)name[i];
        if (ch <= ' ' || ch >= 0x7f || ch == '~' || ch == ':' || ch == '\\') return 0;
    }
    return 1;
}

/* In any case (FNV-1a, 64 bits, and the finisher of MurmurHash3). */
static uint64_t name_hash(const char *name, size_t len)
{
    uint64_t h = 0xcbf29ce484222325ull;
    for (size_t i = 0; i < len; i++) {
        unsigned char ch = (unsigned char)name[i];
        if (ch >= 'A' && ch <= 'Z') ch |= 0x20;
        h = (h ^ ch) * 0x100000001b3ull;
    }
    h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdull;
    h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53ull;
    return h ^ (h >> 33);
}

static const char *name_of(const vfs_path_t *path, const vfs_path_t *dir, size_t *len)
{
    size_t from = dir->len == 1 ? 1 : dir->len + 1;
    *len = path->len - from;
    return path->str + from;
}

/* ---- filters */

static uint32_t bit_at(const cachefs__listed_t *d, uint64_t hash, uint32_t probe)
{
    uint32_t mixed = (uint32_t)hash + probe * ((uint32_t)(hash >> 32) | 1);
    return (uint32_t)((uint64_t)mixed * d->bits >> 32);
}

static uint8_t *filter_of(cache_t *c, const cachefs__listed_t *d)
{
    return (uint8_t *)cachefs__chunk_ptr(&c->arena, d->chunk) + d->len + 1;
}

static void filter_add(cache_t *c, const cachefs__listed_t *d, uint64_t hash)
{
    uint8_t *bits = filter_of(c, d);
    for (uint32_t k = 0; k < PROBES; k++) {
        uint32_t at = bit_at(d, hash, k);
        bits[at / 8] = (uint8_t)(bits[at / 8] | 1u << at % 8);
    }
}

static int filter_has(cache_t *c, const cachefs__listed_t *d, uint64_t hash)
{
    const uint8_t *bits = filter_of(c, d);
    for (uint32_t k = 0; k < PROBES; k++) {
        uint32_t at = bit_at(d, hash, k);
        if (!(bits[at / 8] & 1u << at % 8)) return 0;
    }
    return 1;
}

static int is_of(cache_t *c, const cachefs__listed_t *d, const vfs_path_t *dir)
{
    return d->chunk && d->hash == dir->hash && d->len == dir->len &&
           memcmp(cachefs__chunk_ptr(&c->arena, d->chunk), dir->str, dir->len) == 0;
}

static cachefs__listed_t *find(cache_t *c, const vfs_path_t *dir)
{
    for (unsigned k = 0; k < DIRS; k++)
        if (is_of(c, &c->listed.dirs[k], dir)) return &c->listed.dirs[k];
    return NULL;
}

/* Its memory, to be freed without the lock. */
static uint32_t take_out(cache_t *c, cachefs__listed_t *d)
{
    uint32_t chunk = d->chunk;
    if (!chunk) return NONE;
    c->listed.bytes -= d->bytes;
    *d = (cachefs__listed_t){.chunk = NONE};
    atomic_fetch_sub(&c->listed.users, 1);
    return chunk;
}

static void free_chunks(cache_t *c, const uint32_t *chunks, size_t count)
{
    for (size_t k = 0; k < count; k++)
        if (chunks[k]) cachefs__chunk_put(c, chunks[k]);
}

/* ---- what makes them invalid */

void cachefs__listed_forget(cache_t *c, const vfs_path_t *below)
{
    uint32_t chunks[DIRS];
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t parent;
    if (!atomic_load(&c->listed.users)) return;
    if (below) (void)vfs_path_parent(&parent, below, buf);
    cachefs__lock(&c->listed.lock, RANK_LEAF);
    for (unsigned k = 0; k < DIRS; k++) {
        cachefs__listed_t *d = &c->listed.dirs[k];
        chunks[k] = NONE;
        if (!d->chunk) continue;
        vfs_path_t dir = {cachefs__chunk_ptr(&c->arena, d->chunk), d->len, d->hash, 0};
        if (!below || is_of(c, d, &parent) || vfs_path_within(&dir, below))
            chunks[k] = take_out(c, d);
    }
    for (cachefs__listing_t *l = c->listed.under_way; l; l = l->next)
        l->spoilt = 1;
    cachefs__unlock(&c->listed.lock, RANK_LEAF);
    free_chunks(c, chunks, DIRS);
}

/* Is it sure that no other path leads to the directory? */
static int is_direct(cache_t *c, const vfs_path_t *dir, const obj_t *as)
{
    obj_t *o = NULL;
    unsigned said;
    if (!(c->lower->caps.bits & VFS_CAP_SYMLINK)) return 1;
    (void)cachefs__node_find(c, dir, 0, &o, &said);
    if (!o) return 0;
    cachefs__obj_look(c, o);
    int yes = o->attr.type == VFS_TYPE_DIR && cachefs__node_direct(said) && (!as || as == o);
    cachefs__obj_looked(c, o);
    cachefs__obj_put(c, o);
    return yes;
}

static void note(cachefs__listing_t *l, const vfs_path_t *dir, uint64_t hash)
{
    if (l->dir->len != dir->len || memcmp(l->dir->str, dir->str, dir->len) != 0) return;
    if (l->count == LISTING_CHANGES)
        l->spoilt = 1;
    else
        l->changed[l->count++] = hash;
}

void cachefs__listed_change(cache_t *c, const vfs_path_t *path)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t dir;
    size_t len;
    if (!atomic_load(&c->listed.users) || path->len == 1) return;
    (void)vfs_path_parent(&dir, path, buf);
    if (!is_direct(c, &dir, NULL)) {
        cachefs__listed_forget(c, NULL);
        return;
    }
    const char *name = name_of(path, &dir, &len);
    uint64_t hash = name_hash(name, len);
    cachefs__lock(&c->listed.lock, RANK_LEAF);
    cachefs__listed_t *d = find(c, &dir);
    if (d) filter_add(c, d, hash);
    for (cachefs__listing_t *l = c->listed.under_way; l; l = l->next)
        note(l, &dir, hash);
    cachefs__unlock(&c->listed.lock, RANK_LEAF);
}

/* ---- listings */

void cachefs__listing_begin(cache_t *c, cachefs__listing_t *l, const vfs_path_t *dir,
                            const obj_t *o)
{
    *l = (cachefs__listing_t){.dir = dir};
    if (!(c->lower->caps.bits & VFS_CAP_LISTS_ALL) || !is_direct(c, dir, o)) return;
    l->asked_us = cachefs__now_us();
    l->epoch = atomic_load(&c->meta_epoch);
    cachefs__lock(&c->listed.lock, RANK_LEAF);
    l->next = c->listed.under_way;
    c->listed.under_way = l;
    l->listens = 1;
    atomic_fetch_add(&c->listed.users, 1);
    cachefs__unlock(&c->listed.lock, RANK_LEAF);
}

void cachefs__listing_end(cache_t *c, cachefs__listing_t *l)
{
    if (l->listens) {
        cachefs__lock(&c->listed.lock, RANK_LEAF);
        cachefs__listing_t **at = &c->listed.under_way;
        while (*at != l)
            at = &(*at)->next;
        *at = l->next;
        l->listens = 0;
        atomic_fetch_sub(&c->listed.users, 1);
        cachefs__unlock(&c->listed.lock, RANK_LEAF);
    }
    if (l->made.chunk) cachefs__chunk_put(c, l->made.chunk);
    l->made.chunk = NONE;
}

int cachefs__listing_room(cache_t *c, cachefs__listing_t *l, uint64_t names)
{
    uint64_t most = c->arena.bytes / SHARE, want = names * NAME_BITS / 8;
    if (!l->listens) return 0;
    if (want > most) want = most;
    if (want < BYTES_MIN) want = BYTES_MIN;
    want += l->dir->len + 1;
    unsigned cls = cachefs__class_of(&c->arena, want);
    if (cls > c->arena.class_max) cls = c->arena.class_max;
    uint32_t bytes = cachefs__class_bytes(cls), head = l->dir->len + 1;
    if (bytes > most || bytes <= head || (uint64_t)(bytes - head) * 8 < names * NAME_BITS_MIN)
        return 0;
    uint32_t chunk = cachefs__chunk_get(c, bytes, OWNER_PRIVATE | 8, l->dir->hash, 0);
    if (!chunk) return 0;
    char *memory = cachefs__chunk_ptr(&c->arena, chunk);
    memset(memory, 0, bytes);
    memcpy(memory, l->dir->str, head);
    l->made = (cachefs__listed_t){.chunk = chunk,
                                  .hash = l->dir->hash,
                                  .len = l->dir->len,
                                  .bytes = bytes,
                                  .bits = (bytes - head) * 8,
                                  .epoch = l->epoch,
                                  .asked_us = l->asked_us};
    return 1;
}

void cachefs__listing_name(cache_t *c, const cachefs__listing_t *l, const char *name, size_t len)
{
    filter_add(c, &l->made, name_hash(name, len));
}

/* A place for one more of `bytes`; what gave it goes to `chunks`. */
static cachefs__listed_t *place(cache_t *c, const vfs_path_t *dir, uint32_t bytes, uint32_t *chunks,
                                size_t *count)
{
    cachefs__listed_t *spot = find(c, dir);
    if (spot) chunks[(*count)++] = take_out(c, spot);
    for (;;) {
        cachefs__listed_t *oldest = NULL;
        spot = NULL;
        for (unsigned k = 0; k < DIRS; k++) {
            cachefs__listed_t *d = &c->listed.dirs[k];
            if (!d->chunk)
                spot = d;
            else if (!oldest || d->used < oldest->used)
                oldest = d;
        }
        if (spot && c->listed.bytes + bytes <= c->arena.bytes / SHARE) return spot;
        chunks[(*count)++] = take_out(c, oldest);
    }
}

void cachefs__listing_known(cache_t *c, cachefs__listing_t *l)
{
    uint32_t chunks[DIRS + 1];
    size_t count = 0;
    VFS_ASSERT(l->made.chunk != NONE);
    cachefs__lock(&c->listed.lock, RANK_LEAF);
    if (!l->spoilt) {
        for (unsigned k = 0; k < l->count; k++)
            filter_add(c, &l->made, l->changed[k]);
        cachefs__listed_t *d = place(c, l->dir, l->made.bytes, chunks, &count);
        *d = l->made;
        d->used = ++c->listed.uses;
        c->listed.bytes += d->bytes;
        atomic_fetch_add(&c->listed.users, 1);
        l->made.chunk = NONE;
    }
    cachefs__unlock(&c->listed.lock, RANK_LEAF);
    free_chunks(c, chunks, count);
}

/* ---- look-ups */

static int64_t ttl_of(cache_t *c, const vfs_path_t *path, const _Atomic uint64_t *key)
{
    int64_t ttl = (int64_t)atomic_load_explicit(key, memory_order_relaxed);
    return c->rules ? cachefs__ttl_lookup(c->rules, path->str, ttl) : ttl;
}

/* How long it counts: no longer than the listing does, nor than an absence that was asked for; not
 * at all where attributes are asked for each time. */
static int64_t absence_ttl(cache_t *c, const vfs_path_t *dir, const vfs_path_t *path)
{
    int64_t ttl = ttl_of(c, dir, &c->t.listing_ttl_us);
    int64_t absent = ttl_of(c, path, &c->t.negative_ttl_us);
    if (!ttl_of(c, path, &c->t.attr_ttl_us)) return 0;
    return ttl < absent ? ttl : absent;
}

int cachefs__listed_absent(cache_t *c, const vfs_path_t *path)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t dir;
    size_t len;
    if (!atomic_load(&c->listed.users) || path->len == 1) return 0;
    (void)vfs_path_parent(&dir, path, buf);
    const char *name = name_of(path, &dir, &len);
    int64_t ttl = absence_ttl(c, &dir, path);
    if (!ttl || !is_plain(name, len)) return 0;
    cachefs__lock(&c->listed.lock, RANK_LEAF);
    cachefs__listed_t *d = find(c, &dir);
    int absent = d && d->epoch == atomic_load(&c->meta_epoch) &&
                 cachefs__now_us() - d->asked_us < ttl && !filter_has(c, d, name_hash(name, len));
    if (absent) d->used = ++c->listed.uses;
    cachefs__unlock(&c->listed.lock, RANK_LEAF);
    /* a change that began before the listing may be below still: it is noted when it ends */
    return absent && !cachefs__mut_under_way(c, path);
}
