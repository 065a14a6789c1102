/*
 * lookup.c - what a path is: from the cache while it is fresh, else from the lower layer.
 * Floor 2, private to cachefs/.
 *
 * A look-up has three answers: present, absent (the lower layer said so), unknown (it could not be
 * asked). Unknown changes nothing that is cached; with serve_stale the cached answer is given,
 * marked as such. A cold file that will be read costs one round trip: `get` brings attributes,
 * version and first bytes together.
 */
#include "cachefs/engine.h"

#include <unistd.h>

int cachefs__unreachable(apr_status_t st)
{
    return st == VFS_EOFFLINE || APR_STATUS_IS_TIMEUP(st) || APR_STATUS_IS_ETIMEDOUT(st) ||
           APR_STATUS_IS_ECONNREFUSED(st) || APR_STATUS_IS_ECONNRESET(st) ||
           APR_STATUS_IS_EHOSTUNREACH(st) || APR_STATUS_IS_ENETUNREACH(st) ||
           APR_STATUS_IS_ECONNABORTED(st) || st == APR_FROM_OS_ERROR(EIO);
}

static cachefs__known_e find_node(cache_t *c, const vfs_path_t *path, unsigned want, obj_t **obj,
                                  unsigned *said)
{
    cachefs__known_e known = cachefs__node_find(c, path, 0, obj, said);
    if (!(want & LOOKUP_FOLLOW)) return known;
    if (*obj) {
        cachefs__obj_look(c, *obj);
        int is_link = (*obj)->attr.type == VFS_TYPE_LINK;
        cachefs__obj_looked(c, *obj);
        if (!is_link) return known;
        cachefs__obj_put(c, *obj);
        *obj = NULL;
    } else if (known == KNOWN_ABSENT) {
        return known;
    }
    return cachefs__node_find(c, path, 1, obj, said);
}

/* The same, or that it is no name of a directory that was listed. */
static cachefs__known_e find_name(cache_t *c, const vfs_path_t *path, unsigned want, obj_t **obj,
                                  unsigned *said)
{
    cachefs__known_e known = find_node(c, path, want, obj, said);
    if (*obj || known == KNOWN_ABSENT || (want & LOOKUP_FORCE)) return known;
    return cachefs__listed_absent(c, path) ? KNOWN_ABSENT : known;
}

/* ---- asking */

typedef struct answer_t {
    vfs_attr_t attr;
    vfs_validator_t validator;
    uint64_t asked;
    uint32_t chunk; /* with the first bytes; 0: none */
    size_t got, room;
} answer_t;

static apr_status_t ask(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path, unsigned want,
                        answer_t *a)
{
    apr_status_t st = VFS_ESTALE;
    int64_t start = cachefs__clock_us();
    memset(a, 0, sizeof(*a));
    atomic_store_explicit(&c->own_uid, (uint32_t)geteuid(), memory_order_relaxed);
    CACHE_NO_LOCKS_HELD();
    if ((want & LOOKUP_BYTES) && c->lower->ops.get) {
        a->room = atomic_load_explicit(&c->t.get_bytes, memory_order_relaxed);
        if (a->room > c->burst_bytes / 4) a->room = c->burst_bytes / 4;
        while (a->room > GRANULE_MIN && cachefs__class_of(&c->arena, a->room) > c->arena.class_max)
            a->room /= 4;
        if (a->room)
            a->chunk = cachefs__chunk_get(c, a->room, OWNER_PRIVATE | 3, path->hash,
                                          ctx && ctx->priority == VFS_PRIORITY_LOW);
    }
    a->asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    if (a->chunk) {
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
        st = vfs_call_get(c->lower, ctx, path, cachefs__chunk_ptr(&c->arena, a->chunk), a->room,
                          &a->got, &a->attr, &a->validator);
        cachefs__count(&c->counters, CNT_BACKEND_READS, 1);
        cachefs__count(&c->counters, CNT_BACKEND_READ_BYTES, a->got);
    }
    if (a->chunk && !(want & LOOKUP_FOLLOW) && (c->lower->caps.bits & VFS_CAP_SYMLINK) &&
        !(a->attr.flags & VFS_ATTR_DIRECT))
        st = VFS_ESTALE;    /* perhaps of what a link leads to */
    if (st == VFS_ESTALE) { /* or it changed under that read, by our own flush perhaps */
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
        a->got = 0;
        a->asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
        st = want & LOOKUP_FOLLOW ? vfs_call_stat(c->lower, ctx, path, &a->attr, &a->validator)
                                  : vfs_call_lstat(c->lower, ctx, path, &a->attr, &a->validator);
    }
    if (c->lat[LAT_BACKEND_META])
        metrics_record(c->lat[a->chunk ? LAT_BACKEND_READ : LAT_BACKEND_META],
                       (uint64_t)(cachefs__clock_us() - start) * 1000);
    if (!(c->lower->caps.bits & VFS_CAP_SYMLINK)) a->attr.flags |= VFS_ATTR_DIRECT;
    return st;
}

/* Put the bytes of a `get` in, unless something of ours happened to the file meanwhile. */
static void keep_bytes(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, const vfs_path_t *path,
                       unsigned want, const answer_t *a)
{
    cachefs__tier_key_t key;
    gate_t gate = {.start = 0, .end = a->got ? a->got : 1, .kind = GATE_FILL};
    int waited;
    if (!a->got || a->attr.type != VFS_TYPE_FILE) return;
    vfs_ctx_t hurry = VFS_CTX_INIT;
    hurry.deadline = 1; /* somebody works there: not worth waiting for */
    if (cachefs__gate_enter(c, o, &hurry, &gate, &waited) || waited) return;
    cachefs__obj_lock(c, o);
    uint64_t ver = atomic_load(&o->ver);
    int good = !o->changing && o->changed_seq <= a->asked &&
               atomic_load(&o->size) == a->attr.size && !o->dirty_bytes &&
               (vfs_validator_equal(&o->validator, &a->validator) ||
                a->validator.kind == VFS_VALIDATOR_NONE);
    if (good) cachefs__choose_shift(c, o, a->attr.size);
    uint32_t shift = atomic_load(&o->shift);
    int keyed = good && cachefs__tier_key(c, o, &key);
    cachefs__obj_unlock(c, o);
    if (keyed) {
        vfs_iovec_t iov = {cachefs__chunk_ptr(&c->arena, a->chunk), a->got};
        cachefs__tier_keep(c, o, &key, &a->validator, 0, &iov, 1, a->got);
        cachefs__tier_note_path(c, path);
    }
    if (good && ver)
        cachefs__put_bytes(c, o, ver, shift, cachefs__chunk_ptr(&c->arena, a->chunk), 0, a->got,
                           want & LOOKUP_WANTED ? FILL_WANTED : FILL_AHEAD, ctx);
    cachefs__gate_leave(c, o, &gate, APR_SUCCESS);
}

static apr_status_t note(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path, unsigned want,
                         const answer_t *a, obj_t **obj, int *outdated)
{
    int made, follow = (want & LOOKUP_FOLLOW) && !(a->attr.flags & VFS_ATTR_DIRECT);
    obj_t *o = cachefs__obj_at(c, &a->attr, path, a->asked, CLAIM_NONE, &made);
    *outdated = 0;
    if (!o) return VFS_ELIMIT;
    cachefs__obj_learn(c, o, &a->attr, &a->validator, a->asked);
    *outdated = made && cachefs__obj_outdates(c, o, a->asked);
    keep_bytes(c, o, ctx, path, want, a);
    cachefs__node_set(c, path, follow, o, a->attr.flags, a->asked);
    *obj = o;
    return APR_SUCCESS;
}

static void give(cache_t *c, obj_t *o, const vfs_attr_t *told, vfs_attr_t *attr,
                 vfs_validator_t *validator)
{
    cachefs__obj_look(c, o);
    if (attr) cachefs__obj_attr_told(o, told ? told : &o->attr, attr);
    if (validator) cachefs__obj_validator(o, validator);
    cachefs__obj_looked(c, o);
}

/* The attributes of a directory, looked up with our own rights; `down`: only from what is cached,
 * since the lower layer answers that. */
static apr_status_t dir_attr(cache_t *c, const vfs_ctx_t *own, const vfs_path_t *dir,
                             apr_status_t down, vfs_attr_t *attr)
{
    obj_t *o = NULL;
    unsigned said;
    apr_status_t st = down;
    if (!down)
        st = cachefs__lookup(c, own, dir, LOOKUP_FOLLOW, &o, attr, NULL);
    else
        (void)find_name(c, dir, LOOKUP_FOLLOW, &o, &said);
    if (!o) return st;
    if (down) give(c, o, NULL, attr, NULL);
    cachefs__obj_put(c, o);
    return APR_SUCCESS;
}

/* May the caller search the directories on the way? We look with our own eyes, and judge with the
 * caller's. */
static apr_status_t search(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                           apr_status_t down)
{
    if (!cachefs__searches(ctx) || path->len == 1) return APR_SUCCESS;
    vfs_ctx_t own = *ctx;
    own.flags &= ~VFS_CTX_CREDS;
    char buf[VFS_PATH_MAX + 1];
    memcpy(buf, path->str, path->len + 1);
    for (size_t end = 1; end < path->len; end++) {
        if (end != 1 && buf[end] != '/') continue;
        char was = buf[end];
        buf[end] = '\0';
        vfs_path_t dir = {buf, (uint32_t)end, vfs_path_hash(buf, end), 0};
        vfs_attr_t attr;
        apr_status_t st = dir_attr(c, &own, &dir, down, &attr);
        if (!st) st = vfs_attr_access(&attr, ctx, VFS_ACCESS_EXEC);
        if (st) return st;
        buf[end] = was;
    }
    return APR_SUCCESS;
}

apr_status_t cachefs__search_allowed(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    return search(c, ctx, path, APR_SUCCESS);
}

static apr_status_t from_cache(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path, obj_t *o,
                               unsigned said, vfs_attr_t *attr, vfs_validator_t *validator)
{
    apr_status_t st = cachefs__search_allowed(c, ctx, path);
    if (st) {
        cachefs__obj_put(c, o);
        return st;
    }
    give(c, o, NULL, attr, validator);
    if (attr) attr->flags |= cachefs__node_direct(said);
    return APR_SUCCESS;
}

static apr_status_t stale_answer(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                 obj_t *stale, apr_status_t st, obj_t **obj, vfs_attr_t *attr,
                                 vfs_validator_t *validator)
{
    if (!stale || !atomic_load(&c->t.serve_stale) || !cachefs__unreachable(st)) return st;
    cachefs__obj_lock(c, stale);
    int has = (stale->flags & OBJ_ATTR) != 0;
    cachefs__obj_unlock(c, stale);
    if (!has) return st;
    apr_status_t allowed = search(c, ctx, path, st); /* where a directory is not cached: `st` */
    if (allowed) return allowed;
    cachefs__obj_ref(stale);
    *obj = stale;
    give(c, stale, NULL, attr, validator);
    if (attr) attr->flags |= VFS_ATTR_STALE;
    cachefs__count(&c->counters, CNT_STALE_SERVED, 1);
    return APR_SUCCESS;
}

static _Thread_local uint64_t fetched_here;

/* May an absent name be kept? Only where its directory is known to be there: if that came to be
 * something else than a directory the name would have to answer otherwise, and only names in
 * directories that we know are dropped then. */
static int parent_is_dir(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path, unsigned want)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t dir;
    obj_t *o = NULL;
    unsigned said;
    int yes = 0;
    (void)vfs_path_parent(&dir, path, buf);
    if (dir.len == path->len) return 0;
    (void)cachefs__node_find(c, &dir, 0, &o, &said);
    if (!o && !(want & LOOKUP_PARENT)) /* ask once; its own parents are not asked for */
        (void)cachefs__lookup(c, ctx, &dir, LOOKUP_PARENT, &o, NULL, NULL);
    if (!o) return 0;
    cachefs__obj_look(c, o);
    yes = o->attr.type == VFS_TYPE_DIR;
    cachefs__obj_looked(c, o);
    cachefs__obj_put(c, o);
    return yes;
}

#define ASK_TRIES 8 /* answers that may be outdated */

/* Ask, and keep the answer. */
static apr_status_t ask_and_note(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                 unsigned want, answer_t *a, obj_t **obj)
{
    for (int tries = 1;; tries++) {
        int outdated = 0;
        apr_status_t st = ask(c, ctx, path, want, a);
        fetched_here = st ? 0 : a->got;
        if (!st) st = note(c, ctx, path, want, a, obj, &outdated);
        if (!outdated || tries == ASK_TRIES) return st;
        cachefs__obj_put(c, *obj);
        *obj = NULL;
        if (a->chunk) cachefs__chunk_put(c, a->chunk);
    }
}

static apr_status_t from_below(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               unsigned want, obj_t *stale, obj_t **obj, vfs_attr_t *attr,
                               vfs_validator_t *validator)
{
    answer_t a;
    if (stale) {
        cachefs__count(&c->counters, CNT_REVALIDATIONS, 1);
        if (atomic_load_explicit(&stale->resident, memory_order_relaxed)) want &= ~LOOKUP_BYTES;
    }
    if ((want & LOOKUP_BYTES) && cachefs__tier_knows_path(c, path)) want &= ~LOOKUP_BYTES;
    apr_status_t st = ask_and_note(c, ctx, path, want, &a, obj);
    if (!st) {
        give(c, *obj, &a.attr, attr, validator);
    } else if (APR_STATUS_IS_ENOENT(st)) {
        int follow = (want & LOOKUP_FOLLOW) && !(a.attr.flags & VFS_ATTR_DIRECT);
        if (parent_is_dir(c, ctx, path, want))
            cachefs__node_set(c, path, follow, NULL, a.attr.flags, a.asked);
        else
            cachefs__node_forget(c, path, follow, a.asked);
    } else {
        if (APR_STATUS_IS_ENOTDIR(st)) cachefs__node_forget(c, path, want & LOOKUP_FOLLOW, a.asked);
        st = stale_answer(c, ctx, path, stale, st, obj, attr, validator);
    }
    if (a.chunk) cachefs__chunk_put(c, a.chunk);
    return st;
}

uint64_t cachefs__lookup_fetched(void)
{
    return fetched_here;
}

/* Lead a question, or be told what another one's answer was. */
static apr_status_t fly(cache_t *c, cachefs__flight_t *f, obj_t *stale, obj_t **obj)
{
    apr_status_t st;
    *obj = NULL;
    if (f->state == FLIGHT_TOLD) {
        *obj = f->obj;
        return f->status;
    }
    cachefs__count(&c->counters, CNT_ATTR_MISSES, 1);
    memset(&f->attr, 0, sizeof(f->attr));
    st = from_below(c, f->ctx, f->path, f->want, stale, obj, &f->attr, &f->validator);
    if (f->state == FLIGHT_LEADS) cachefs__flight_end(c, f, st, *obj);
    return st;
}

/* May an answer be older than the call? */
static int answers_keep(cache_t *c, const vfs_path_t *path)
{
    int64_t ttl = (int64_t)atomic_load_explicit(&c->t.attr_ttl_us, memory_order_relaxed);
    if (c->rules) ttl = cachefs__ttl_lookup(c->rules, path->str, ttl);
    return ttl > 0;
}

/* Did somebody bring the answer between our look and our turn to ask? */
static int came_meanwhile(cache_t *c, const vfs_path_t *path, unsigned want)
{
    obj_t *o = NULL;
    unsigned said;
    cachefs__known_e known = find_name(c, path, want, &o, &said);
    if (o) cachefs__obj_put(c, o);
    return known == KNOWN_FRESH || known == KNOWN_ABSENT;
}

int cachefs__hungry(const cache_t *c, const obj_t *o, const vfs_attr_t *attr)
{
    return c->lower_is_far && attr->type == VFS_TYPE_FILE && attr->size != 0 &&
           attr->size <= atomic_load_explicit(&c->t.get_bytes, memory_order_relaxed) &&
           !atomic_load_explicit(&o->resident, memory_order_relaxed);
}

/* Is one more trip for attributes that are known worth it, since the bytes come along? */
static int goes_again(cache_t *c, const vfs_path_t *path, unsigned want, obj_t *o)
{
    if (!(want & LOOKUP_BYTES) || !c->lower_is_far || cachefs__tier_knows_path(c, path)) return 0;
    cachefs__obj_lock(c, o);
    int yes = cachefs__hungry(c, o, &o->attr) && !o->dirty_bytes && !o->lower_file && !o->opening;
    cachefs__obj_unlock(c, o);
    return yes;
}

apr_status_t cachefs__lookup(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                             unsigned want, obj_t **obj, vfs_attr_t *attr,
                             vfs_validator_t *validator)
{
    cachefs__flight_t flight;
    obj_t *stale;
    unsigned said;
    int looks = 0, again = 0;
    apr_status_t recovered = cachefs__recovered(c, ctx, path, 1);
    if (recovered) return recovered;
    fetched_here = 0;
    for (;; looks++) {
        cachefs__known_e known = find_name(c, path, want, &stale, &said);
        again = known == KNOWN_FRESH && goes_again(c, path, want, stale);
        if (known == KNOWN_FRESH && !again && !(want & LOOKUP_FORCE)) {
            cachefs__count(&c->counters, CNT_ATTR_HITS, 1);
            apr_status_t st = from_cache(c, ctx, path, stale, said, attr, validator);
            if (!st) *obj = stale;
            return st;
        }
        if (known == KNOWN_ABSENT && !(want & LOOKUP_FORCE)) {
            cachefs__count(&c->counters, CNT_NEGATIVE_HITS, 1);
            apr_status_t st = cachefs__search_allowed(c, ctx, path);
            return st ? st : APR_FROM_OS_ERROR(ENOENT);
        }
        flight.path = path;
        flight.want = want;
        flight.ctx = ctx;
        flight.state = FLIGHT_ALONE;
        if (want & LOOKUP_FORCE) break;
        flight.young = looks > 0 || !answers_keep(c, path);
        apr_status_t st = cachefs__flight_join(c, &flight);
        if (st) {
            st = stale_answer(c, ctx, path, stale, st, obj, attr, validator);
            if (stale) cachefs__obj_put(c, stale);
            return st;
        }
        if (flight.state == FLIGHT_LEADS && !flight.young && !again &&
            came_meanwhile(c, path, want)) {
            cachefs__flight_end(c, &flight, APR_SUCCESS, NULL); /* nobody rides with it */
            flight.state = FLIGHT_LOOKS;
        }
        if (flight.state != FLIGHT_LOOKS) break;
        if (stale) cachefs__obj_put(c, stale);
    }
    apr_status_t st = fly(c, &flight, stale, obj);
    if (st && again && !APR_STATUS_IS_ENOENT(st) && !APR_STATUS_IS_ENOTDIR(st)) {
        /* what is known counts, without the bytes */
        give(c, stale, NULL, &flight.attr, &flight.validator);
        flight.attr.flags |= cachefs__node_direct(said);
        st = cachefs__search_allowed(c, ctx, path);
        if (!st) cachefs__obj_ref(*obj = stale);
    }
    if (!st && attr) *attr = flight.attr;
    if (!st && validator) *validator = flight.validator;
    if (stale) cachefs__obj_put(c, stale);
    return st;
}

apr_status_t cachefs__obj_ask(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, vfs_attr_t *told)
{
    vfs_file_t *file;
    /* cppcheck-suppress uninitvar ; its address, not its value */
    vfs_attr_t own, *attr = told ? told : &own;
    vfs_validator_t val;
    apr_status_t st = cachefs__lower_use(c, o, ctx, LOWER_ANY, &file);
    if (st) return st;
    uint64_t asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    CACHE_NO_LOCKS_HELD();
    st = vfs_call_fstat(file, ctx, attr, &val);
    if (!st) cachefs__obj_learn_open(c, o, attr, &val, asked);
    cachefs__lower_done(c, o);
    return st;
}

void cachefs__learn_base(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, int writing)
{
    cachefs__obj_lock(c, o);
    int open = (writing || o->dirty_bytes) && (o->flags & OBJ_OWN_CHANGE) && !o->changing &&
               !(o->flags & (OBJ_UNLINKED | OBJ_DOUBT));
    cachefs__obj_unlock(c, o);
    if (open)
        (void)cachefs__obj_ask(c, o, ctx, NULL); /* else what is there at the flush is the base */
}

apr_status_t cachefs__obj_refresh(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, vfs_attr_t *told)
{
    cachefs__obj_lock(c, o);
    int doubt = (o->flags & OBJ_DOUBT) != 0;
    cachefs__obj_unlock(c, o);
    apr_status_t st = doubt ? cachefs__obj_sure(c, o, ctx) : APR_SUCCESS;
    return st ? st : cachefs__obj_ask(c, o, ctx, told);
}
