/*
 * obj.c - objects: names, attributes and versions.
 * Floor 2, private to cachefs/. Knows what the lower layer answered; does not ask it.
 *
 * An answer of the lower layer is believed only if no change of ours overlapped the question:
 * `asked` is the instance's count of changes when the question was put, and each change stamps its
 * object when it ends. The first believed answer after a change of ours tells what version that
 * made; one that differs later is the work of others. A validator that differs makes a new version,
 * whose number no block has; one that was younger than the backend's clock step when the bytes were
 * read is not trusted the next time, equal or not (as git does with its index).
 */
#include "cachefs/engine.h"

/* ---- names of an object */

static int same_name(const cache_t *c, const obj_t *o, const vfs_path_t *path)
{
    return o->name && o->name_len == path->len &&
           memcmp(cachefs__chunk_ptr(&c->arena, o->name), path->str, path->len) == 0;
}

/* How a name is known. */
enum {
    NAME_DIRECT = 1, /* no symbolic link on the way */
    NAME_SURE = 2    /* that is its name, whatever changes; as direct as the one that it had */
};

/* A name of its own is better than one by a symbolic link: when the link changes, nothing tells the
 * file. Object locked. */
static int has_better(const obj_t *o, int how)
{
    return !how && o->name && !o->name_more &&
           (o->flags & (OBJ_NAMED | OBJ_BY_LINK | OBJ_BY_PATH)) == OBJ_NAMED;
}

static int name_it(cache_t *c, obj_t *o, const vfs_path_t *path, uint64_t asked,
                   cachefs__claim_e mine, int how)
{
    uint32_t chunk = NONE;
    int good, better, done;
    for (;;) {
        cachefs__obj_lock(c, o);
        good = how == NAME_SURE || (cachefs__name_believed(c, path, asked, mine) &&
                                    (o->flags & (OBJ_BY_PATH | OBJ_HASHED)) != OBJ_BY_PATH);
        better = has_better(o, how);
        done = !good || better || same_name(c, o, path);
        if (!done && chunk) {
            uint32_t old = o->name;
            o->name = chunk;
            o->name_len = path->len;
            chunk = old;
            done = 1;
        }
        if (done && good && !better) {
            o->flags |= OBJ_NAMED;
            o->name_more = 0;
            if (how == NAME_DIRECT) o->flags &= ~OBJ_BY_LINK;
            if (!how) o->flags |= OBJ_BY_LINK;
        }
        cachefs__obj_unlock(c, o);
        if (done) break;
        chunk = cachefs__chunk_get(c, path->len + 1, OWNER_PRIVATE | 2, 0, 0);
        if (!chunk) return 0;
        memcpy(cachefs__chunk_ptr(&c->arena, chunk), path->str, path->len + 1);
    }
    if (chunk) cachefs__chunk_put(c, chunk);
    return good;
}

int cachefs__obj_name_confirmed(cache_t *c, obj_t *o, const vfs_path_t *path, uint64_t asked,
                                uint32_t attr_flags)
{
    if (!same_name(c, o, path) || !cachefs__name_believed(c, path, asked, CLAIM_NONE)) return 0;
    if (!(attr_flags & VFS_ATTR_DIRECT) != !!(o->flags & OBJ_BY_LINK)) return 0;
    o->flags |= OBJ_NAMED; /* which nobody copies without a lock */
    o->name_more = 0;
    return 1;
}

int cachefs__obj_name_seen(cache_t *c, obj_t *o, const vfs_path_t *path, uint64_t asked,
                           cachefs__claim_e mine, uint32_t attr_flags)
{
    int how = attr_flags & VFS_ATTR_DIRECT ? NAME_DIRECT : 0;
    return name_it(c, o, path, asked, mine, how); /* if not, who changes it says what it is */
}

void cachefs__obj_set_name(cache_t *c, obj_t *o, const vfs_path_t *path)
{
    cachefs__obj_moved(c, o, path);
    if (name_it(c, o, path, 0, CLAIM_NONE, NAME_SURE)) {
        cachefs__durable_renamed(c, o);
        return;
    }
    cachefs__obj_lock(c, o); /* no memory: better none than the old one */
    o->flags &= ~OBJ_NAMED;
    cachefs__obj_unlock(c, o);
}

apr_status_t cachefs__obj_name(cache_t *c, const obj_t *o, vfs_path_t *out, char *buf)
{
    if (o->name_more) return APR_NOTFOUND; /* it is in doubt */
    return cachefs__obj_name_nth(c, o, 0, out, buf) ? APR_SUCCESS : APR_NOTFOUND;
}

/* ---- versions */

void cachefs__obj_new_version(cache_t *c, obj_t *o)
{
    VFS_ASSERT(!o->dirty_bytes); /* invariant 4: dirty blocks belong to the current version */
    cachefs__obj_bytes_begin(o);
    if (++o->gen == 0) o->gen = 1;
    atomic_store_explicit(&o->shift, 0, memory_order_relaxed);
    atomic_store_explicit(&o->ver, (uint64_t)o->gen << 32 | cachefs__obj_index(c, o),
                          memory_order_release); /* who sees it sees no block size of the old one */
    o->flags &= ~(OBJ_LISTED | OBJ_YOUNG);
    cachefs__obj_bytes_end(o);
    cachefs__count(&c->counters, CNT_VERSIONS, 1);
}

static int changed_below(const obj_t *o, const vfs_attr_t *attr, const vfs_validator_t *val)
{
    if (attr->type != o->attr.type) return 1;
    if (o->flags & OBJ_OWN_CHANGE) return 0;
    if (o->validator.kind == VFS_VALIDATOR_NONE || val->kind == VFS_VALIDATOR_NONE)
        return attr->type == VFS_TYPE_FILE &&
               (attr->size != atomic_load_explicit(&o->size, memory_order_relaxed) ||
                attr->mtime_ns != o->attr.mtime_ns);
    return !vfs_validator_equal(&o->validator, val);
}

/* Bytes that were read under a young validator may be older than it. Once it is old, a new version
 * begins even where nothing is cached: what comes from now on is to be trusted. */
static int distrusted(const obj_t *o, const vfs_validator_t *val)
{
    int settled = val->kind != VFS_VALIDATOR_NONE && !(val->flags & VFS_VALIDATOR_YOUNG);
    return !o->dirty_bytes && (o->flags & OBJ_YOUNG) && !(o->flags & OBJ_OWN_CHANGE) &&
           (settled || atomic_load_explicit(&o->resident, memory_order_relaxed) != 0);
}

cachefs__dropped_t cachefs__obj_was(const obj_t *o)
{
    return (cachefs__dropped_t){atomic_load(&o->ver),
                                o->flags & OBJ_LISTED ? o->list_bytes : atomic_load(&o->size),
                                atomic_load(&o->shift)};
}

/* What became of the calls that failed is known. Object locked. */
static void doubt_over(obj_t *o)
{
    if (!(o->flags & OBJ_DOUBT)) return;
    o->flags &= ~OBJ_DOUBT;
    o->doubt_cut = 0;
    cachefs__obj_bytes_end(o);
}

void cachefs__obj_keep_attr(cache_t *c, obj_t *o, const vfs_attr_t *attr)
{
    o->attr = *attr;
    o->attr.flags &=
        ~VFS_ATTR_DIRECT; /* of the path that was asked for; other paths lead here too */
    if (attr->nlink > 1 && attr->type != VFS_TYPE_DIR && !atomic_load(&c->links_seen))
        atomic_store(&c->links_seen, 1);
}

/* Is it sure that nobody set an extended attribute since the last answer? Many a version does not
 * show that. */
static int same_xattrs(const obj_t *o, const vfs_attr_t *attr, int others)
{
    return !others && !(o->flags & (OBJ_OWN_CHANGE | OBJ_YOUNG)) && attr->ctime_ns != 0 &&
           attr->ctime_ns == o->attr.ctime_ns;
}

/* Take the answer in where nothing is dirty. Object locked. */
static int take(cache_t *c, obj_t *o, const vfs_attr_t *attr, const vfs_validator_t *val, int had,
                int others, int changed)
{
    if (!same_xattrs(o, attr, others)) o->flags &= ~OBJ_NO_XATTRS;
    cachefs__obj_keep_attr(c, o, attr);
    if (!had || changed || !atomic_load_explicit(&o->ver, memory_order_relaxed))
        cachefs__obj_new_version(c, o);
    if (changed || !had || (o->flags & OBJ_OWN_CHANGE) || val->kind != VFS_VALIDATOR_NONE) {
        o->validator = *val;
        if (!had || changed || (o->flags & OBJ_OWN_CHANGE))
            o->flags =
                (val->flags & VFS_VALIDATOR_YOUNG) ? o->flags | OBJ_YOUNG : o->flags & ~OBJ_YOUNG;
    }
    if (others) o->changes++;
    if (attr->type == VFS_TYPE_FILE) {
        uint64_t size = atomic_load_explicit(&o->size, memory_order_relaxed);
        if (size != attr->size && had && !changed) {
            cachefs__obj_new_version(c,
                                     o); /* not the size that our own change left: not ours alone */
            o->changes++;
            changed = 1;
        }
        cachefs__obj_size_learned(o, attr->size);
    }
    o->checked_us = cachefs__now_us();
    o->flags = (o->flags | OBJ_ATTR) & ~(OBJ_ATTR_OLD | OBJ_OWN_CHANGE);
    doubt_over(o);
    return changed;
}

/* Take the answer in; object locked. */
static int learn_locked(cache_t *c, obj_t *o, const vfs_attr_t *attr, const vfs_validator_t *val,
                        int opening)
{
    int had = (o->flags & OBJ_ATTR) != 0, others = had && changed_below(o, attr, val);
    int changed = others || (had && opening && distrusted(o, val));
    if (o->dirty_bytes) {
        if (o->flags & OBJ_DOUBT) return 0; /* settled with its dirty data, by whoever needs it */
        /* what others did is under ours: the next flush meets it and settles it (conflict.c) */
        o->checked_us = cachefs__now_us();
        if (!same_xattrs(o, attr, others)) o->flags &= ~OBJ_NO_XATTRS;
        if (others) return 0;
        cachefs__obj_keep_attr(c, o, attr); /* size and times are ours, see obj_attr */
        if (o->flags & OBJ_OWN_CHANGE) {
            o->validator = *val;
            if (val->flags & VFS_VALIDATOR_YOUNG) o->flags |= OBJ_YOUNG;
        }
        o->flags &= ~(OBJ_ATTR_OLD | OBJ_OWN_CHANGE);
        return 0;
    }
    return take(c, o, attr, val, had, others, changed);
}

static int learn(cache_t *c, obj_t *o, const vfs_attr_t *attr, const vfs_validator_t *val,
                 uint64_t asked, int opening)
{
    int changed = 0;
    cachefs__obj_lock(c, o);
    cachefs__dropped_t was = cachefs__obj_was(o);
    int quiet = cachefs__obj_quiet(o, asked);
    if (quiet || !(o->flags & OBJ_ATTR)) {
        changed = learn_locked(c, o, attr, val, opening);
        if (!quiet) o->flags |= OBJ_ATTR_OLD | OBJ_OWN_CHANGE;
    }
    cachefs__obj_unlock(c, o);
    if (changed) cachefs__obj_drop_end(c, o, &was);
    return changed;
}

int cachefs__obj_learn(cache_t *c, obj_t *o, const vfs_attr_t *attr, const vfs_validator_t *val,
                       uint64_t asked)
{
    return learn(c, o, attr, val, asked, 1);
}

int cachefs__obj_learn_open(cache_t *c, obj_t *o, const vfs_attr_t *attr,
                            const vfs_validator_t *val, uint64_t asked)
{
    return learn(c, o, attr, val, asked, 0);
}

void cachefs__obj_settle(cache_t *c, obj_t *o, const vfs_attr_t *attr, const vfs_validator_t *val)
{
    cachefs__obj_lock(c, o);
    uint64_t old = atomic_load(&o->ver), size = atomic_load(&o->size);
    uint32_t shift = atomic_load(&o->shift);
    int others = changed_below(o, attr, val), changed = 0;
    if (!o->dirty_bytes) {
        changed = take(c, o, attr, val, 1, others, others || o->doubt_cut);
    } else { /* what is there is the base of what is dirty from now on */
        cachefs__obj_keep_attr(c, o, attr);
        o->validator = *val;
        if (attr->size > size) atomic_store_explicit(&o->size, attr->size, memory_order_release);
        o->flags &= ~(OBJ_ATTR_OLD | OBJ_OWN_CHANGE);
        doubt_over(o);
    }
    cachefs__obj_unlock(c, o);
    if (changed && old) cachefs__version_drop(c, o, old, size, shift);
}

int cachefs__obj_outdates(cache_t *c, obj_t *o, uint64_t asked)
{
    cachefs__obj_lock(c, o);
    int yes = o->changed_seq > asked && (o->flags & OBJ_ATTR_OLD);
    cachefs__obj_unlock(c, o);
    return yes;
}

uint64_t cachefs__obj_change_open(cache_t *c, obj_t *o)
{
    o->changing++;
    return atomic_load_explicit(&c->mut_seq, memory_order_acquire);
}

uint64_t cachefs__obj_flush_begin(cache_t *c, obj_t *o)
{
    cachefs__durable_changing(c, o, 1);
    cachefs__obj_lock(c, o);
    uint64_t since = cachefs__obj_change_open(c, o);
    cachefs__obj_unlock(c, o);
    return since;
}

uint64_t cachefs__obj_change_begin(cache_t *c, obj_t *o)
{
    cachefs__durable_changing(c, o, 0);
    cachefs__obj_lock(c, o);
    uint64_t since = cachefs__obj_change_open(c, o);
    cachefs__obj_unlock(c, o);
    return since;
}

void cachefs__obj_change_shut(cache_t *c, obj_t *o, int changed, uint64_t since,
                              const vfs_validator_t *val)
{
    VFS_ASSERT(o->changing > 0);
    o->changing--;
    int alone = val && val->kind != VFS_VALIDATOR_NONE && cachefs__obj_quiet(o, since);
    o->changed_seq = atomic_fetch_add_explicit(&c->mut_seq, 1, memory_order_acq_rel) + 1;
    if (changed) o->flags |= OBJ_ATTR_OLD | OBJ_OWN_CHANGE;
    if (alone) {
        o->validator = *val;
        o->flags &= ~OBJ_OWN_CHANGE;
        if (val->flags & VFS_VALIDATOR_YOUNG) o->flags |= OBJ_YOUNG;
    }
    if (!o->changing) /* see events.c, doubt.c */
        cachefs__obj_wake(c, o);
}

void cachefs__obj_change_end(cache_t *c, obj_t *o, int changed)
{
    cachefs__obj_changed(c, o, changed, 0, NULL);
}

void cachefs__obj_changed(cache_t *c, obj_t *o, int changed, uint64_t since,
                          const vfs_validator_t *val)
{
    cachefs__obj_lock(c, o);
    cachefs__obj_change_shut(c, o, changed, since, val);
    cachefs__obj_unlock(c, o);
}

void cachefs__obj_attr_told(const obj_t *o, const vfs_attr_t *told, vfs_attr_t *out)
{
    uint32_t direct = told->flags & VFS_ATTR_DIRECT;
    uint64_t allocated = o->attr.allocated;
    *out = (o->flags & OBJ_ATTR_OLD) && told->type == o->attr.type ? *told : o->attr;
    if (out->type == VFS_TYPE_FILE && out->allocated < allocated) /* went below since it was told */
        cachefs__attr_grow(out, LOAD(o->size), allocated - out->allocated);
    out->flags |= direct;
    cachefs__obj_dress(out, atomic_load_explicit(&o->size, memory_order_relaxed), o->dirty_bytes,
                       o->local_mtime_ns);
}

void cachefs__obj_attr(const obj_t *o, vfs_attr_t *out)
{
    cachefs__obj_attr_told(o, &o->attr, out);
}

void cachefs__obj_validator(const obj_t *o, vfs_validator_t *out)
{
    *out = o->validator;
    if (cachefs__obj_version_open(o->flags, o->dirty_bytes, o->local_mtime_ns))
        out->kind = VFS_VALIDATOR_NONE;
}

int cachefs__obj_fresh(cache_t *c, const obj_t *o, uint64_t ttl_us)
{
    (void)c;
    if (!(o->flags & OBJ_ATTR)) return 0;
    if (o->flags & OBJ_ATTR_OLD) return 0;
    return cachefs__now_us() - o->checked_us < (int64_t)ttl_us;
}

static void drop_begin(cache_t *c, obj_t *o, cachefs__dropped_t *out)
{
    *out = cachefs__obj_was(o);
    o->checked_us = CHECKED_NEVER;
    o->list_checked_us = CHECKED_NEVER;
    o->flags &= ~OBJ_NO_XATTRS;
    if (!o->dirty_bytes && !o->flushing && out->ver) cachefs__obj_new_version(c, o);
    cachefs__count(&c->counters, CNT_INVALIDATIONS, 1);
}

void cachefs__obj_drop_begin(cache_t *c, obj_t *o, uint64_t *dirty, cachefs__dropped_t *out)
{
    if (dirty) *dirty += o->dirty_bytes;
    cachefs__tier_forget(c, o);
    drop_begin(c, o, out);
}

void cachefs__obj_drop_end(cache_t *c, obj_t *o, const cachefs__dropped_t *was)
{
    if (was->ver) /* of a dirty version the clean blocks */
        cachefs__version_drop(c, o, was->ver, was->size, was->shift);
}

void cachefs__obj_drop_memory(cache_t *c, obj_t *o)
{
    cachefs__dropped_t was;
    cachefs__obj_lock(c, o);
    drop_begin(c, o, &was);
    cachefs__obj_unlock(c, o);
    cachefs__obj_drop_end(c, o, &was);
}

void cachefs__obj_drop_clean(cache_t *c, obj_t *o, uint64_t *dirty)
{
    cachefs__dropped_t was;
    cachefs__obj_lock(c, o);
    cachefs__obj_drop_begin(c, o, dirty, &was);
    cachefs__obj_unlock(c, o);
    cachefs__obj_drop_end(c, o, &was);
}

uint32_t cachefs__objs_end(cache_t *c)
{
    cachefs__lock(&c->arena.lock, RANK_ARENA);
    uint32_t end = c->obj_pool.high;
    cachefs__unlock(&c->arena.lock, RANK_ARENA);
    return end;
}
