/*
 * identity.c - one file, one object: by the number that the backend gives it, else by its path.
 * Floor 2, private to cachefs/.
 *
 * Where a backend has no stable numbers a file is what its path leads to. Its object is found by a
 * digest of that path, moves in the table when the path changes, and leaves it with the last name.
 * An answer that a change of the name overlaps makes an object that only its caller knows: a stat
 * may use it, an open file may not (cachefs__obj_name_seen), and is opened with the name claimed.
 * An object that lost its name while somebody looked at it is still there for a moment: the next
 * answer about its path does not take it for that file's. A file with two paths, by hard or
 * symbolic links, is two files then.
 */
#include "cachefs/engine.h"
#include "vfs/digest.h"

#define EVICT_ROUNDS 16u /* names of each shard that may leave for a new object */

/* A device and a number name a file until it is removed: where the backend tells births, they tell
 * a reused number. */
static int same_birth(const obj_t *o, const vfs_attr_t *attr)
{
    return !o->born_ns || !attr->btime_ns || o->born_ns == attr->btime_ns;
}

int cachefs__may_be(const obj_t *o, const vfs_attr_t *attr)
{
    return !o || !(attr->flags & VFS_ATTR_STABLE_ID) ||
           (attr->ino == o->ino && attr->dev == o->dev && same_birth(o, attr));
}

/* Whoever comes by a name asks again. */
static void obj_expire(cache_t *c, obj_t *o)
{
    cachefs__obj_lock(c, o);
    o->flags |= OBJ_ATTR_OLD;
    cachefs__obj_unlock(c, o);
}

static uint32_t id_mix(uint64_t dev, uint64_t ino)
{
    return cachefs__mix(ino ^ dev << 48, (uint32_t)dev);
}
static uint32_t *id_head(cache_t *c, uint64_t dev, uint64_t ino)
{
    return &c->ids.heads[id_mix(dev, ino) & c->ids.mask];
}
/* Where the last change of an object that ended is noted, so that its file's next object does not
 * believe an answer that is older. Identity lock. */
static uint64_t *id_ended(cache_t *c, uint64_t dev, uint64_t ino)
{
    return &c->ids.ended[id_mix(dev, ino) % NAME_SLOTS];
}

static void obj_reset(obj_t *o)
{
    uint32_t gen = o->gen;
    uint64_t resident = atomic_load_explicit(&o->resident, memory_order_relaxed);
    uint32_t seq = atomic_load_explicit(&o->seq, memory_order_relaxed);
    VFS_ASSERT(!o->handles && !o->dirty_bytes && !o->gates && !o->lower_file && !o->lower_old &&
               !o->lower_writer && !o->opener && !o->spares);
    atomic_store_explicit(&o->ver, 0, memory_order_relaxed);
    atomic_store_explicit(&o->size, 0, memory_order_relaxed);
    atomic_store_explicit(&o->shift, 0, memory_order_relaxed);
    memset(&o->attr, 0, sizeof(*o) - offsetof(obj_t, attr));
    o->flags = 0;
    o->gen = gen;
    atomic_store_explicit(&o->resident, resident, memory_order_relaxed);
    atomic_store_explicit(&o->seq, seq + (seq & 1), memory_order_relaxed); /* it ended in doubt */
}

typedef struct ident_t {
    uint64_t dev, ino;
    uint32_t flags; /* OBJ_BY_PATH; OBJ_HASHED: who is made is found by it */
    int known;      /* there is one, so an object may be found */
} ident_t;

/* A digest and a number differ, as two digests do. Identity lock. */
static obj_t *id_find(cache_t *c, const ident_t *id)
{
    for (uint32_t i = *id_head(c, id->dev, id->ino); i != NONE; i = c->objs[i].id_next) {
        obj_t *o = &c->objs[i];
        if (o->ino == id->ino && o->dev == id->dev) return o;
    }
    return NULL;
}

static void id_insert(cache_t *c, obj_t *o)
{
    uint32_t *head = id_head(c, o->dev, o->ino);
    o->id_next = *head;
    *head = cachefs__obj_index(c, o);
    o->flags |= OBJ_HASHED;
}

static void id_remove(cache_t *c, obj_t *o)
{
    uint32_t i = cachefs__obj_index(c, o), *at = id_head(c, o->dev, o->ino);
    if (!(o->flags & OBJ_HASHED)) return;
    while (*at != i) {
        VFS_ASSERT(*at != NONE);
        at = &c->objs[*at].id_next;
    }
    *at = o->id_next;
    o->flags &= ~OBJ_HASHED;
}

/* Identity lock. */
static obj_t *obj_begin(cache_t *c, uint32_t spare, const ident_t *id, const vfs_attr_t *attr)
{
    obj_t *o = &c->objs[spare];
    obj_reset(o);
    o->dev = id->dev;
    o->ino = id->ino;
    /* a file without a number is the same as long as its path is: some are replaced by each write
     */
    o->born_ns = id->flags & OBJ_BY_PATH ? 0 : attr->btime_ns;
    o->attr.type = attr->type;
    o->changed_seq = *id_ended(c, id->dev, id->ino);
    o->flags = OBJ_USED | (id->flags & OBJ_BY_PATH);
    atomic_store_explicit(&o->refs, 0, memory_order_relaxed);
    if (id->flags & OBJ_HASHED) id_insert(c, o);
    atomic_fetch_add_explicit(&c->obj_count, 1, memory_order_relaxed);
    return o;
}

static uint32_t obj_room(cache_t *c)
{
    uint32_t spare = cachefs__pool_get(c, &c->obj_pool);
    for (uint32_t k = 0; !spare && k < EVICT_ROUNDS * c->shard_count; k++)
        if (cachefs__node_evict(c, &c->shards[k % c->shard_count]))
            spare = cachefs__pool_get(c, &c->obj_pool);
    return spare;
}

static obj_t *get(cache_t *c, const ident_t *id, const vfs_attr_t *attr, int *made)
{
    uint32_t spare = NONE;
    *made = 0;
    for (;;) {
        cachefs__lock(&c->ids.lock, RANK_IDS);
        obj_t *o = id->known ? id_find(c, id) : NULL;
        int other = o && !same_birth(o, attr); /* the number was given to a new file */
        if (!o && spare) {
            o = obj_begin(c, spare, id, attr);
            spare = NONE;
            *made = 1;
        }
        if (o) atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
        cachefs__unlock(&c->ids.lock, RANK_IDS);
        if (other) {
            cachefs__obj_unhash(c, o);
            obj_expire(c, o);
            cachefs__obj_put(c, o);
            continue;
        }
        if (o && spare) cachefs__pool_put(c, &c->obj_pool, spare);
        if (o) return o;
        spare = obj_room(c);
        if (!spare) return NULL;
    }
}

obj_t *cachefs__obj_get(cache_t *c, const vfs_attr_t *attr, int *made)
{
    int stable = (attr->flags & VFS_ATTR_STABLE_ID) != 0;
    ident_t id = {attr->dev, attr->ino, stable ? OBJ_HASHED : 0, stable};
    return get(c, &id, attr, made);
}

/* A link and what it leads to are two files with one path. */
static ident_t path_ident(const vfs_path_t *path, vfs_type_e type)
{
    uint64_t both[2];
    vfs__digest((unsigned char *)both, path->str, path->len);
    return (ident_t){both[0], both[1] ^ (type == VFS_TYPE_LINK), OBJ_BY_PATH, 1};
}

/* It was found by its path, but no cached name leads to it, and nobody needs it: somebody is about
 * to let go of it. The path may be another file's since. Whoever opens it has claimed the path
 * before he found it here, and is seen. 0: it is needed. */
static int left_over(cache_t *c, obj_t *o, const vfs_path_t *path, uint64_t asked,
                     cachefs__claim_e mine)
{
    if (cachefs__node_leads(c, path, o)) return 0;
    cachefs__obj_lock(c, o);
    int idle = !o->handles && !o->dirty_bytes && !o->flushing && !o->changing;
    if (idle) {
        cachefs__lock(&c->ids.lock, RANK_IDS);
        idle = cachefs__name_believed(c, path, asked, mine);
        if (idle) id_remove(c, o);
        cachefs__unlock(&c->ids.lock, RANK_IDS);
    }
    cachefs__obj_unlock(c, o);
    return idle;
}

obj_t *cachefs__obj_at(cache_t *c, const vfs_attr_t *attr, const vfs_path_t *path, uint64_t asked,
                       cachefs__claim_e mine, int *made)
{
    if (attr->flags & VFS_ATTR_STABLE_ID) return cachefs__obj_get(c, attr, made);
    ident_t id = path_ident(path, attr->type);
    for (;;) {
        int believed = cachefs__name_believed(c, path, asked, mine);
        id.flags = OBJ_BY_PATH | (believed ? OBJ_HASHED : 0);
        obj_t *o = get(c, &id, attr, made);
        if (!o || *made || !believed || !left_over(c, o, path, asked, mine)) return o;
        cachefs__obj_put(c, o);
    }
}

void cachefs__obj_ref(obj_t *o)
{
    uint32_t before = atomic_fetch_add_explicit(&o->refs, 1, memory_order_relaxed);
    VFS_ASSERT(before > 0);
}

void cachefs__obj_put(cache_t *c, obj_t *o)
{
    uint32_t before = atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel);
    VFS_ASSERT(before > 0);
    if (before != 1) return;
    int gone = 0;
    cachefs__lock(&c->ids.lock, RANK_IDS);
    if (atomic_load_explicit(&o->refs, memory_order_acquire) == 0 && (o->flags & OBJ_USED)) {
        uint64_t *ended = id_ended(c, o->dev, o->ino);
        if (*ended < o->changed_seq) *ended = o->changed_seq;
        id_remove(c, o);
        o->flags &= ~OBJ_USED;
        gone = 1;
    }
    cachefs__unlock(&c->ids.lock, RANK_IDS);
    if (!gone) return;
    cachefs__dropped_t was = cachefs__obj_was(o);
    cachefs__obj_drop_end(c, o, &was);
    if (o->name) cachefs__chunk_put(c, o->name);
    o->name = NONE;
    VFS_ASSERT(!o->dirty_bytes && !o->handles);
    atomic_fetch_sub_explicit(&c->obj_count, 1, memory_order_relaxed);
    cachefs__pool_put(c, &c->obj_pool, cachefs__obj_index(c, o));
}

/* Another file has this identity now, or the last name is gone: whoever still holds the object
 * keeps it, nobody finds it by its identity. */
void cachefs__obj_unhash(cache_t *c, obj_t *o)
{
    cachefs__obj_lock(c, o); /* its flags */
    cachefs__lock(&c->ids.lock, RANK_IDS);
    id_remove(c, o);
    cachefs__unlock(&c->ids.lock, RANK_IDS);
    cachefs__obj_unlock(c, o);
}

void cachefs__obj_moved(cache_t *c, obj_t *o, const vfs_path_t *path)
{
    obj_t *other;
    do {
        cachefs__obj_lock(c, o);
        ident_t id = path_ident(path, o->attr.type);
        int by_path = (o->flags & OBJ_BY_PATH) && !(o->flags & OBJ_UNLINKED);
        cachefs__lock(&c->ids.lock, RANK_IDS);
        other = NULL;
        if (by_path) {
            id_remove(c, o);
            o->dev = id.dev;
            o->ino = id.ino;
            other = id_find(c, &id);
            if (other)
                atomic_fetch_add_explicit(&other->refs, 1, memory_order_relaxed);
            else
                id_insert(c, o);
        }
        cachefs__unlock(&c->ids.lock, RANK_IDS);
        cachefs__obj_unlock(c, o);
        if (other) {
            cachefs__obj_unhash(c, other);
            cachefs__obj_put(c, other);
        }
    } while (other);
}
