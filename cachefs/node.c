/*
 * node.c - names: what a path leads to, or that it leads nowhere.
 * Floor 2, private to cachefs/. Knows paths and objects; does not ask the lower layer.
 *
 * A name answers for `attr_ttl` (or its rule's TTL) since it was asked, an absent one for
 * `negative_ttl`. Names on whose way a symbolic link lies can change when any name does, so they
 * answer only until the next change of ours.
 */
#include "cachefs/engine.h"

/* A change of what a node says begins: who reads it without a lock sees its sequence move. Shard
 * locked. */
static void seq_begin(node_t *n)
{
    uint32_t seq = atomic_load_explicit(&n->seq, memory_order_relaxed);
    VFS_ASSERT(!(seq & 1));
    atomic_store_explicit(&n->seq, seq + 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_release); /* no store below is seen before the odd sequence */
}

static void seq_end(node_t *n)
{
    uint32_t seq = atomic_load_explicit(&n->seq, memory_order_relaxed);
    atomic_store_explicit(&n->seq, seq + 1, memory_order_release);
}

static uint32_t find(cache_t *c, shard_t *s, const vfs_path_t *path, int follow)
{
    uint32_t i = s->node_heads[path->hash & s->node_mask];
    for (; i != NONE; i = c->nodes[i].next) {
        node_t *n = &c->nodes[i];
        if (n->hash == path->hash && n->path_len == path->len &&
            !(n->flags & NODE_FOLLOW) == !follow &&
            memcmp(cachefs__node_path(c, n), path->str, path->len) == 0)
            return i;
    }
    return NONE;
}

/* Both nodes of a path: [1] for what its link leads to. */
static void find_both(cache_t *c, shard_t *s, const vfs_path_t *path, uint32_t at[2])
{
    at[0] = at[1] = NONE;
    for (uint32_t i = s->node_heads[path->hash & s->node_mask]; i != NONE; i = c->nodes[i].next) {
        const node_t *n = &c->nodes[i];
        if (n->hash == path->hash && n->path_len == path->len &&
            memcmp(cachefs__node_path(c, n), path->str, path->len) == 0)
            at[(n->flags & NODE_FOLLOW) != 0] = i;
    }
}

int cachefs__node_leads(cache_t *c, const vfs_path_t *path, const obj_t *o)
{
    shard_t *s = cachefs__node_shard(c, path->hash);
    uint32_t object = cachefs__obj_index(c, o), at[2];
    cachefs__lock(&s->lock, RANK_SHARD);
    find_both(c, s, path, at);
    int leads = (at[0] != NONE && c->nodes[at[0]].object == object) ||
                (at[1] != NONE && c->nodes[at[1]].object == object);
    cachefs__unlock(&s->lock, RANK_SHARD);
    return leads;
}

int cachefs__node_linked(cache_t *c, shard_t *s, uint32_t i, uint32_t hash)
{
    uint32_t at = s->node_heads[hash & s->node_mask];
    while (at != NONE && at != i)
        at = c->nodes[at].next;
    return at != NONE && c->nodes[at].hash == hash;
}

/* ---- recency */

static void lru_remove(cache_t *c, shard_t *s, uint32_t i)
{
    node_t *n = &c->nodes[i];
    if (n->lru_prev)
        c->nodes[n->lru_prev].lru_next = n->lru_next;
    else
        s->lru_first = n->lru_next;
    if (n->lru_next)
        c->nodes[n->lru_next].lru_prev = n->lru_prev;
    else
        s->lru_last = n->lru_prev;
}

static void lru_first(cache_t *c, shard_t *s, uint32_t i)
{
    node_t *n = &c->nodes[i];
    n->lru_prev = NONE;
    n->lru_next = s->lru_first;
    if (s->lru_first) c->nodes[s->lru_first].lru_prev = i;
    s->lru_first = i;
    if (!s->lru_last) s->lru_last = i;
}

/* Take a node out of everything; its reference to an object passes to the caller. Shard locked. */
void cachefs__node_free(cache_t *c, shard_t *s, uint32_t i)
{
    node_t *n = &c->nodes[i];
    uint32_t *at = &s->node_heads[n->hash & s->node_mask];
    while (*at != i) {
        VFS_ASSERT(*at != NONE);
        at = &c->nodes[*at].next;
    }
    seq_begin(n);
    __atomic_store_n(at, n->next, __ATOMIC_RELEASE);
    lru_remove(c, s, i);
    cachefs__branch_remove(c, i);
    cachefs__chunk_put(c, n->path);
    n->flags = 0;
    n->path = 0;
    n->object = NONE;
    seq_end(n);
    s->names--;
    cachefs__part(c, cachefs__spread(n->hash))->names--;
    atomic_fetch_sub_explicit(&c->name_count, 1, memory_order_relaxed);
    cachefs__pool_put(c, &c->node_pool, i);
}

#define EVICT_CHANCES 64 /* names that may stay since they were used, before one must go */
#define EVICT_LOOK 8     /* names at the cold end that are looked at for one without bytes */

/* Whether the name must stay, since a protected file would go with it. Shard locked. */
int cachefs__node_kept(const cache_t *c, const node_t *n)
{
    return n->object && atomic_load_explicit(&c->objs[n->object].pins, memory_order_relaxed);
}

/* A hit does not move its node in the list: it leaves a mark, and who evicts gives it another turn
 * (the second chance of Corbato, "A paging experiment with the Multics system", 1968). */
static int has_chance(node_t *n, int *chances)
{
    if (!*chances || !atomic_load_explicit(&n->mark, memory_order_relaxed)) return 0;
    atomic_store_explicit(&n->mark, 0, memory_order_relaxed);
    --*chances;
    return 1;
}

/* The coldest name without bytes of the few at the cold end, else the coldest of all; what must
 * stay, or was used, goes to the warm end. Shard locked. */
static uint32_t coldest(cache_t *c, shard_t *s)
{
    uint32_t victim = NONE, prev;
    uint64_t left = s->names + EVICT_CHANCES;
    int looks = EVICT_LOOK, chances = EVICT_CHANCES;
    for (uint32_t i = s->lru_last; i != NONE && left && looks; i = prev, left--) {
        uint32_t obj = c->nodes[i].object;
        prev = c->nodes[i].lru_prev;
        if (cachefs__node_kept(c, &c->nodes[i]) || has_chance(&c->nodes[i], &chances)) {
            lru_remove(c, s, i);
            lru_first(c, s, i);
            if (prev == NONE) prev = s->lru_last; /* all were used: they had their chance */
            continue;
        }
        if (!obj || !atomic_load_explicit(&c->objs[obj].resident, memory_order_relaxed)) return i;
        if (!victim) victim = i;
        looks--;
    }
    return victim;
}

int cachefs__node_evict(cache_t *c, shard_t *s)
{
    obj_t *o = NULL;
    cachefs__lock(&s->lock, RANK_SHARD);
    uint32_t victim = coldest(c, s);
    if (victim) {
        if (c->nodes[victim].object) o = &c->objs[c->nodes[victim].object];
        cachefs__node_free(c, s, victim);
        cachefs__count(&c->counters, CNT_METADATA_EVICTIONS, 1);
    }
    cachefs__unlock(&s->lock, RANK_SHARD);
    if (o) cachefs__obj_put(c, o);
    return victim != NONE;
}

/* ---- finding */

static uint64_t node_ttl(cache_t *c, const node_t *n)
{
    uint64_t ttl = atomic_load_explicit(
        n->flags & NODE_NEGATIVE ? &c->t.negative_ttl_us : &c->t.attr_ttl_us, memory_order_relaxed);
    return c->rules
               ? (uint64_t)cachefs__ttl_lookup(c->rules, cachefs__node_path(c, n), (int64_t)ttl)
               : ttl;
}

static int node_fresh(cache_t *c, const node_t *n, uint64_t ttl, int64_t now)
{
    if (n->epoch != cachefs__node_epoch(c, n->flags & NODE_DIRECT)) return 0;
    return ttl && now - n->checked_us < (int64_t)ttl;
}

/* What a node says; NONE: nothing. Shard locked; the object comes referenced. */
static cachefs__known_e read_locked(cache_t *c, uint32_t at, int64_t now, obj_t **obj,
                                    unsigned *said, uint64_t *ttl)
{
    *obj = NULL;
    *said = 0;
    if (!at) return KNOWN_NOTHING;
    node_t *n = &c->nodes[at];
    *ttl = node_ttl(c, n);
    int fresh = node_fresh(c, n, *ttl, now);
    atomic_store_explicit(&n->mark, 1, memory_order_relaxed);
    *said = n->flags & (NODE_NEGATIVE | NODE_DIRECT);
    if (n->flags & NODE_NEGATIVE) return fresh ? KNOWN_ABSENT : KNOWN_STALE;
    *obj = &c->objs[n->object];
    cachefs__obj_ref(*obj);
    return fresh ? KNOWN_FRESH : KNOWN_STALE;
}

cachefs__known_e cachefs__node_find(cache_t *c, const vfs_path_t *path, int follow, obj_t **obj,
                                    unsigned *said)
{
    shard_t *s = cachefs__node_shard(c, path->hash);
    uint64_t ttl = 0;
    cachefs__lock(&s->lock, RANK_SHARD);
    cachefs__known_e known =
        read_locked(c, find(c, s, path, follow), cachefs__now_us(), obj, said, &ttl);
    cachefs__unlock(&s->lock, RANK_SHARD);
    if (known == KNOWN_FRESH) {
        cachefs__obj_look(c, *obj);
        if (!cachefs__obj_fresh(c, *obj, ttl)) known = KNOWN_STALE;
        cachefs__obj_looked(c, *obj);
    }
    return known;
}

int cachefs__node_named(cache_t *c, const vfs_path_t *path, obj_t **obj, uint64_t *ttl)
{
    shard_t *s = cachefs__node_shard(c, path->hash);
    unsigned said;
    cachefs__lock(&s->lock, RANK_SHARD);
    cachefs__known_e known =
        read_locked(c, find(c, s, path, 0), cachefs__now_us(), obj, &said, ttl);
    cachefs__unlock(&s->lock, RANK_SHARD);
    if (known == KNOWN_FRESH) return 1;
    if (*obj) cachefs__obj_put(c, *obj);
    *obj = NULL;
    return 0;
}

void cachefs__names_locked(cache_t *c, shard_t *s, const vfs_path_t *path, int expire,
                           int64_t now_us, cachefs__names_t *out)
{
    uint32_t at[2];
    find_both(c, s, path, at);
    for (int k = 0; k < 2; k++) {
        out->known[k] = read_locked(c, at[k], now_us, &out->obj[k], &out->said[k], &out->ttl_us[k]);
        if (at[k] && expire) cachefs__node_stale(&c->nodes[at[k]]);
    }
}

/* ---- changing */

/* Names of each shard that may leave for a new one: others are quick to take their room. */
#define NEW_ROUNDS 4

static int evict_any(cache_t *c, uint32_t from)
{
    for (uint32_t k = 0; k < c->shard_count; k++)
        if (cachefs__node_evict(c, &c->shards[(from + k) & (c->shard_count - 1)])) return 1;
    return 0;
}

/* A node with its path, in no table yet. NONE: no room. */
static uint32_t node_new(cache_t *c, shard_t *s, const vfs_path_t *path)
{
    uint32_t shard = (uint32_t)(s - c->shards), i = cachefs__pool_get(c, &c->node_pool), chunk;
    for (uint32_t k = 0; !i && k < NEW_ROUNDS * c->shard_count; k++)
        if (cachefs__node_evict(c, &c->shards[(shard + k) & (c->shard_count - 1)]))
            i = cachefs__pool_get(c, &c->node_pool);
    if (!i) return NONE;
    node_t *n = &c->nodes[i];
    chunk = cachefs__chunk_get(c, path->len + 1u, OWNER_NODE | i, shard, 0);
    if (!chunk) {
        cachefs__pool_put(c, &c->node_pool, i);
        return NONE;
    }
    memcpy(cachefs__chunk_ptr(&c->arena, chunk), path->str, path->len + 1);
    n->path = chunk;
    n->path_len = (uint16_t)path->len;
    __atomic_store_n(&n->hash, path->hash, __ATOMIC_RELAXED); /* an evictor may peek */
    return i;
}

static void node_discard(cache_t *c, uint32_t i)
{
    uint32_t chunk = c->nodes[i].path;
    c->nodes[i].path = 0;
    cachefs__chunk_put(c, chunk);
    cachefs__pool_put(c, &c->node_pool, i);
}

#define TREE_TRIES 8 /* how often room is made for the directories of a new name */

/* Put a new node where it is found. 0: no room in the tree. Shard locked. */
static int node_insert(cache_t *c, shard_t *s, uint32_t i)
{
    node_t *n = &c->nodes[i];
    if (!cachefs__branch_add(c, i)) return 0;
    n->object = NONE;
    atomic_store_explicit(&n->mark, 0, memory_order_relaxed);
    uint32_t *head = &s->node_heads[n->hash & s->node_mask];
    __atomic_store_n(&n->next, *head, __ATOMIC_RELAXED);
    __atomic_store_n(head, i, __ATOMIC_RELEASE); /* whoever finds it finds all of it */
    s->names++;
    cachefs__part(c, cachefs__spread(n->hash))->names++;
    atomic_fetch_add_explicit(&c->name_count, 1, memory_order_relaxed);
    lru_first(c, s, i);
    return 1;
}

/* The node of the path, made if there is room and the answer is `good`; with the shard locked. */
static uint32_t node_make(cache_t *c, shard_t *s, const vfs_path_t *path, int follow,
                          uint64_t asked, cachefs__claim_e mine, int *good)
{
    uint32_t spare = NONE, i;
    for (int tries = 0;; tries++) {
        cachefs__lock(&s->lock, RANK_SHARD);
        i = find(c, s, path, follow);
        *good = cachefs__name_believed(c, path, asked, mine);
        if (i || !*good || tries == TREE_TRIES) break;
        if (spare && node_insert(c, s, spare)) {
            i = spare;
            spare = NONE;
            /* A directory that moves looks for names in the tree. Either it met this one there, and
             * waits for us to drop it, or it moved before we came, and we know by now. */
            *good = cachefs__name_believed(c, path, asked, mine);
            if (!*good) {
                cachefs__node_free(c, s, i);
                i = NONE;
            }
            break;
        }
        cachefs__unlock(&s->lock, RANK_SHARD);
        if (!spare)
            spare = node_new(c, s, path);
        else if (!cachefs__branch_room(c))
            (void)evict_any(c, (uint32_t)(s - c->shards));
        if (!spare) tries = TREE_TRIES - 1; /* no room: the answer is simply not kept */
    }
    if (spare) node_discard(c, spare);
    return i;
}

static void node_store(cache_t *c, const vfs_path_t *path, int follow, obj_t *obj,
                       uint32_t attr_flags, uint64_t asked, cachefs__claim_e mine)
{
    shard_t *s = cachefs__node_shard(c, path->hash);
    obj_t *old = NULL;
    int good; /* what a move that ended meanwhile made wrong stays wrong */
    unsigned direct = attr_flags & VFS_ATTR_DIRECT;
    uint32_t epoch = cachefs__node_epoch(c, direct); /* first: what changes later moves it */
    if (!direct && atomic_load_explicit(&c->ns_mut, memory_order_acquire) > asked) {
        if (mine) cachefs__name_drop(c, path); /* the link may lead elsewhere since */
        return;
    }
    uint32_t i = node_make(c, s, path, follow, asked, mine, &good);
    node_t *n = &c->nodes[i];
    if (i && n->object) old = &c->objs[n->object];
    if (i && good) {
        seq_begin(n);
        n->object = obj ? cachefs__obj_index(c, obj) : NONE;
        if (obj) cachefs__obj_ref(obj);
        n->flags = (uint16_t)(NODE_USED | (obj ? 0 : NODE_NEGATIVE) | (follow ? NODE_FOLLOW : 0) |
                              (direct ? NODE_DIRECT : 0));
        n->epoch = epoch;
        n->checked_us = cachefs__now_us();
        seq_end(n);
    } else if (i && mine) { /* what was known, absence perhaps, ended with our change */
        cachefs__node_free(c, s, i);
    } else {
        old = NULL;
    }
    cachefs__unlock(&s->lock, RANK_SHARD);
    if (old) cachefs__obj_put(c, old);
}

void cachefs__node_set(cache_t *c, const vfs_path_t *path, int follow, obj_t *obj,
                       uint32_t attr_flags, uint64_t asked)
{
    node_store(c, path, follow, obj, attr_flags, asked, CLAIM_NONE);
}

void cachefs__node_put(cache_t *c, const vfs_path_t *path, int follow, obj_t *obj,
                       uint32_t attr_flags, uint64_t asked)
{
    node_store(c, path, follow, obj, attr_flags, asked, CLAIM_NAME);
}

obj_t *cachefs__node_drop(cache_t *c, const vfs_path_t *path)
{
    shard_t *s = cachefs__node_shard(c, path->hash);
    obj_t *objs[2] = {NULL, NULL};
    uint32_t at[2];
    cachefs__lock(&s->lock, RANK_SHARD);
    find_both(c, s, path, at);
    for (int k = 0; k < 2; k++) {
        if (!at[k]) continue;
        if (c->nodes[at[k]].object) objs[k] = &c->objs[c->nodes[at[k]].object];
        cachefs__node_free(c, s, at[k]);
    }
    cachefs__unlock(&s->lock, RANK_SHARD);
    if (objs[1]) cachefs__obj_put(c, objs[1]);
    return objs[0];
}

void cachefs__name_drop(cache_t *c, const vfs_path_t *path)
{
    obj_t *o = cachefs__node_drop(c, path);
    if (o) cachefs__obj_put(c, o);
}

void cachefs__node_forget(cache_t *c, const vfs_path_t *path, int follow, uint64_t asked)
{
    shard_t *s = cachefs__node_shard(c, path->hash);
    obj_t *o = NULL;
    cachefs__lock(&s->lock, RANK_SHARD);
    uint32_t i =
        cachefs__name_believed(c, path, asked, CLAIM_NONE) ? find(c, s, path, follow) : NONE;
    if (i) {
        if (c->nodes[i].object) o = &c->objs[c->nodes[i].object];
        cachefs__node_free(c, s, i);
    }
    cachefs__unlock(&s->lock, RANK_SHARD);
    if (o) cachefs__obj_put(c, o);
}

void cachefs__node_expire_name(cache_t *c, const vfs_path_t *path)
{
    shard_t *s = cachefs__node_shard(c, path->hash);
    uint32_t at[2];
    cachefs__lock(&s->lock, RANK_SHARD);
    find_both(c, s, path, at);
    for (int k = 0; k < 2; k++)
        if (at[k]) cachefs__node_stale(&c->nodes[at[k]]);
    cachefs__unlock(&s->lock, RANK_SHARD);
}

void cachefs__node_aged(cache_t *c, const vfs_path_t *path, int64_t checked_us)
{
    shard_t *s = cachefs__node_shard(c, path->hash);
    cachefs__lock(&s->lock, RANK_SHARD);
    uint32_t i = find(c, s, path, 0);
    if (i) {
        seq_begin(&c->nodes[i]);
        c->nodes[i].checked_us = checked_us;
        seq_end(&c->nodes[i]);
    }
    cachefs__unlock(&s->lock, RANK_SHARD);
}
