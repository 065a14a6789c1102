/*
 * peek.c - what a path is, from the cache alone and without a lock: the hits of stat and open.
 * Floor 2, private to cachefs/. Changes nothing but marks and counters.
 *
 * Nodes and objects keep their type, so a reader may walk a chain while it changes. It believes a
 * node only if its sequence was even before its fields were read and is the same after all that was
 * looked at: the node, the bytes of its path, and the object. While the node's sequence stands, the
 * node holds its reference to the object. The object's attributes are believed only if its attr_seq
 * was even and did not move while they were copied. So the answer was true at that moment. Whoever
 * meets something else takes the slow way, with locks (docs/invariants.md, 22).
 */
#include "cachefs/engine.h"
#include "cachefs/copy.h"

/* Under ThreadSanitizer what reads unlocked is not watched; all who write are (copy.h). */
#ifdef CACHEFS_TSAN
#define READER CACHEFS_UNWATCHED static
#else
#define READER static inline
#endif
/* There are two callers, and each wants the code of its own. */
#define INLINE static inline __attribute__((always_inline))

typedef struct view_t {
    node_t *node;
    uint32_t seq, flags, object, epoch;
    int64_t checked_us;
} view_t;

READER int same_bytes(const char *shared, const char *str, size_t len)
{
#ifdef CACHEFS_TSAN
    const volatile char *s = shared; /* volatile: else it becomes a memcmp, which is watched */
    while (len > 0 && s[len - 1] == str[len - 1])
        len--;
    return len == 0;
#else
    return memcmp(shared, str, len) == 0;
#endif
}

/* Is this the node, and not being changed? */
READER int view_node(cache_t *c, node_t *n, const vfs_path_t *path, unsigned follow, view_t *v)
{
    if (n->hash != path->hash) return 0;
    v->seq = atomic_load_explicit(&n->seq, memory_order_acquire);
    uint32_t chunk = n->path, len = n->path_len;
    v->flags = n->flags;
    v->object = n->object;
    v->epoch = n->epoch;
    v->checked_us = n->checked_us;
    atomic_thread_fence(memory_order_acquire);
    if ((v->seq & 1) || atomic_load_explicit(&n->seq, memory_order_relaxed) != v->seq) return 0;
    if ((v->flags & (NODE_USED | NODE_FOLLOW)) != (NODE_USED | follow)) return 0;
    v->node = n;
    return len == path->len && same_bytes(cachefs__chunk_ptr(&c->arena, chunk), path->str, len);
}

READER int find(cache_t *c, const vfs_path_t *path, unsigned follow, view_t *v)
{
    shard_t *s = cachefs__node_shard(c, path->hash);
    uint32_t i = __atomic_load_n(&s->node_heads[path->hash & s->node_mask], __ATOMIC_ACQUIRE);
    for (int steps = 0; i != NONE && steps < WALK_MAX; steps++) {
        node_t *n = &c->nodes[i];
        if (view_node(c, n, path, follow, v)) return 1;
        i = __atomic_load_n(&n->next, __ATOMIC_ACQUIRE);
    }
    return 0;
}

/* All that was read between find and here was the node's. */
static int still(const view_t *v)
{
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&v->node->seq, memory_order_relaxed) == v->seq;
}

static void touched(const view_t *v)
{
    if (!atomic_load_explicit(&v->node->mark, memory_order_relaxed))
        atomic_store_explicit(&v->node->mark, 1, memory_order_relaxed);
}

static uint64_t node_ttl(cache_t *c, const vfs_path_t *path, unsigned flags)
{
    const _Atomic uint64_t *of = flags & NODE_NEGATIVE ? &c->t.negative_ttl_us : &c->t.attr_ttl_us;
    uint64_t ttl = atomic_load_explicit(of, memory_order_relaxed);
    return c->rules ? (uint64_t)cachefs__ttl_lookup(c->rules, path->str, (int64_t)ttl) : ttl;
}

static int fresh(int64_t checked_us, int64_t now_us, uint64_t ttl_us)
{
    return ttl_us && now_us - checked_us < (int64_t)ttl_us;
}

/* In two steps, of which compilers make a few wide moves each; one would be a loop. */
READER void copy_attr(vfs_attr_t *attr, const vfs_attr_t *shared)
{
    const size_t half = 64;
    cachefs__copy_out(attr, shared, half);
    cachefs__copy_out((char *)attr + half, (const char *)shared + half, sizeof(*attr) - half);
}

/* The object's attributes and validator as cachefs__obj_attr and cachefs__obj_validator tell them,
 * while they are fresh. */
READER int view_obj(const obj_t *o, int64_t now_us, uint64_t ttl_us, vfs_attr_t *attr,
                    vfs_validator_t *validator)
{
    uint32_t seq = atomic_load_explicit(&o->attr_seq, memory_order_acquire);
    uint32_t flags = o->flags;
    if (seq & 1) return 0;
    if ((flags & (OBJ_ATTR | OBJ_ATTR_OLD)) != OBJ_ATTR || !fresh(o->checked_us, now_us, ttl_us))
        return 0;
    uint64_t dirty = o->dirty_bytes;
    int64_t mtime = o->local_mtime_ns;
    copy_attr(attr, &o->attr);
    if (validator) cachefs__copy_out(validator, &o->validator, sizeof(*validator));
    uint64_t size = atomic_load_explicit(&o->size, memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    if (atomic_load_explicit(&o->attr_seq, memory_order_relaxed) != seq) return 0;
    cachefs__obj_dress(attr, size, dirty, mtime);
    if (validator && cachefs__obj_version_open(flags, dirty, mtime))
        validator->kind = VFS_VALIDATOR_NONE;
    return 1;
}

/* What the node that was found says. `take`: with a reference to the object. */
INLINE cachefs__known_e judge(cache_t *c, const vfs_path_t *path, const view_t *v, int64_t now,
                              vfs_attr_t *attr, vfs_validator_t *validator, int take)
{
    uint64_t ttl = node_ttl(c, path, v->flags);
    if (!fresh(v->checked_us, now, ttl)) return KNOWN_STALE;
    if (v->epoch != cachefs__node_epoch(c, v->flags & NODE_DIRECT)) return KNOWN_STALE;
    if (v->flags & NODE_NEGATIVE) return still(v) ? KNOWN_ABSENT : KNOWN_STALE;
    obj_t *o = &c->objs[v->object];
    if (!view_obj(o, now, ttl, attr, validator)) return KNOWN_STALE;
    attr->flags |= cachefs__node_direct(v->flags);
    if (take && !cachefs__obj_ref_if_used(o)) return KNOWN_STALE;
    if (still(v)) return KNOWN_FRESH;
    if (take) cachefs__obj_put(c, o); /* somebody else's, perhaps */
    return KNOWN_STALE;
}

INLINE cachefs__known_e peek(cache_t *c, const vfs_path_t *path, unsigned want, vfs_attr_t *attr,
                             vfs_validator_t *validator, obj_t **obj)
{
    view_t v = {.object = NONE};
    cachefs__known_e known = KNOWN_NOTHING;
    int64_t now = cachefs__now_us();
    for (unsigned follow = 0;; follow = NODE_FOLLOW) {
        if (find(c, path, follow, &v)) {
            known = judge(c, path, &v, now, attr, validator, obj != NULL);
            if (follow || known != KNOWN_FRESH || attr->type != VFS_TYPE_LINK) break;
        }
        /* through a link the path itself need not be known */
        if (follow || !(want & LOOKUP_FOLLOW)) break;
        if (obj && known == KNOWN_FRESH) cachefs__obj_put(c, &c->objs[v.object]);
        known = KNOWN_NOTHING;
    }
    if (known == KNOWN_FRESH || known == KNOWN_ABSENT) touched(&v);
    if (obj && known == KNOWN_FRESH) *obj = &c->objs[v.object];
    return known;
}

cachefs__known_e cachefs__peek(cache_t *c, const vfs_path_t *path, unsigned want, vfs_attr_t *attr,
                               vfs_validator_t *validator)
{
    return peek(c, path, want, attr, validator, NULL);
}

cachefs__known_e cachefs__peek_ref(cache_t *c, const vfs_path_t *path, unsigned want,
                                   vfs_attr_t *attr, vfs_validator_t *validator, obj_t **obj)
{
    return peek(c, path, want, attr, validator, obj);
}

/* ---- figures of many paths */

READER int view_entry(const obj_t *o, int64_t now_us, uint64_t ttl_us, cachefs_entry_t *e)
{
    uint32_t seq = atomic_load_explicit(&o->attr_seq, memory_order_acquire);
    uint32_t flags = o->flags;
    vfs_type_e type = o->attr.type;
    int64_t checked_us = o->checked_us;
    uint64_t dirty = o->dirty_bytes, told = o->attr.size;
    uint64_t size = atomic_load_explicit(&o->size, memory_order_relaxed);
    uint64_t resident = atomic_load_explicit(&o->resident, memory_order_relaxed);
    uint32_t pins = atomic_load_explicit(&o->pins, memory_order_relaxed);
    atomic_thread_fence(memory_order_acquire);
    if ((seq & 1) || atomic_load_explicit(&o->attr_seq, memory_order_relaxed) != seq) return 0;
    if (dirty || type == VFS_TYPE_LINK) return 0;
    int file = type == VFS_TYPE_FILE;
    e->size = file ? size : told;
    e->resident = file && resident > size ? size : resident;
    e->fresh = (flags & (OBJ_ATTR | OBJ_ATTR_OLD)) == OBJ_ATTR && fresh(checked_us, now_us, ttl_us);
    e->pinned = pins != 0;
    return 1;
}

int cachefs__peek_entry(cache_t *c, const vfs_path_t *path, int64_t now_us, cachefs_entry_t *e)
{
    view_t v;
    if (!find(c, path, 0, &v) || (v.flags & (NODE_DIRECT | NODE_NEGATIVE)) != NODE_DIRECT) return 0;
    uint64_t ttl = node_ttl(c, path, v.flags);
    if (!fresh(v.checked_us, now_us, ttl) || v.epoch != cachefs__node_epoch(c, NODE_DIRECT))
        ttl = 0; /* then the object is not asked */
    memset(e, 0, sizeof(*e));
    return view_entry(&c->objs[v.object], now_us, ttl, e) && still(&v);
}

void cachefs__peek_head(cache_t *c, const vfs_path_t *path)
{
    const shard_t *s = cachefs__node_shard(c, path->hash);
    __builtin_prefetch(&s->node_heads[path->hash & s->node_mask]);
}

void cachefs__peek_node(cache_t *c, const vfs_path_t *path)
{
    const shard_t *s = cachefs__node_shard(c, path->hash);
    uint32_t i = __atomic_load_n(&s->node_heads[path->hash & s->node_mask], __ATOMIC_ACQUIRE);
    __builtin_prefetch(&c->nodes[i]);
}
