/*
 * conflict.c - the file changed below since our dirty data was based on it.
 * Floor 2, private to cachefs/.
 *
 * Before a flush the name is asked for its version. If that is not the one that we based our data
 * on, the policy decides: ours wins; theirs wins, and ours is thrown away; or both are kept: ours
 * is written beside it, whole: our bytes over the base that we hold, and over the file as it is
 * below now where we hold none.
 */
#include "vfs/conflict_name.h"
#include "cachefs/copy.h"
#include "cachefs/engine.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* Bytes [off, off + n) of the file into buf as far as they are cached; the rest stays theirs.
 * Returns how many that are. */
static uint64_t overlay(cache_t *c, obj_t *o, uint64_t off, size_t n, uint8_t *buf)
{
    uint64_t ver = atomic_load(&o->ver);
    uint32_t shift = atomic_load(&o->shift), g = shift ? cachefs__granule(shift) : GRANULE_MIN;
    uint64_t ours = 0;
    for (size_t pos = 0; shift && pos < n;) {
        uint64_t at = off + pos, no = at >> shift;
        uint32_t boff = (uint32_t)(at - (no << shift)), m = g - boff % g;
        if (m > n - pos) m = (uint32_t)(n - pos);
        ours += cachefs__block_read(c, ver, (uint32_t)no, shift, boff, m, 0, buf + pos);
        pos += m;
    }
    return n - ours;
}

/* *borrowed: bytes of the base that we do not hold, and took from below as they are now. */
static apr_status_t copy_ours(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, vfs_file_t *theirs,
                              vfs_file_t *out, uint64_t *borrowed)
{
    size_t size, got;
    uint32_t chunk;
    apr_status_t st = cachefs__stage_get(c, ctx, &chunk, &size);
    if (st) return st;
    uint8_t *buf = cachefs__chunk_ptr(&c->arena, chunk);
    uint64_t end = atomic_load(&o->size);
    /* they removed it: the old file may still be open */
    int old = !theirs && !cachefs__lower_use(c, o, ctx, LOWER_READ, &theirs);
    for (uint64_t at = 0; at < end && !st; at += size) {
        size_t n = end - at < size ? (size_t)(end - at) : size;
        got = 0;
        if (theirs) st = vfs_call_read_at(theirs, ctx, buf, n, (apr_off_t)at, &got);
        if (st) break;
        memset(buf + got, 0, n - got);
        *borrowed += overlay(c, o, at, n, buf);
        st = vfs_call_write_at(out, ctx, buf, n, (apr_off_t)at, &got, NULL);
    }
    if (old) cachefs__lower_done(c, o);
    cachefs__stage_put(c, chunk);
    return st;
}

/* How it was settled. What is not of the base is told: nobody could find it out later. */
static void tell(cache_t *c, const vfs_path_t *path, const char *outcome, const char *where,
                 uint64_t borrowed)
{
    char base[96] = "";
    if (borrowed)
        (void)snprintf(base, sizeof(base),
                       "; %" PRIu64 " bytes of its base, not cached, are from below as it is now",
                       borrowed);
    cachefs__log(c, 1, "%s changed below under unflushed data: ours %s%s%s", path->str, outcome,
                 where, base);
}

static apr_status_t keep_both(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t beside;
    vfs_file_t *theirs = NULL, *out = NULL;
    uint64_t borrowed = 0;
    apr_status_t st = APR_SUCCESS, end;
    cachefs__obj_lock(c, o);
    uint32_t mode = o->attr.mode ? o->attr.mode : 0600;
    cachefs__obj_unlock(c, o);
    for (int k = 0; k < 100; k++) {
        st = vfs__conflict_path(path, k, &beside, buf);
        if (!st) cachefs__listed_forget(c, &beside);
        if (!st)
            st = vfs_call_open(&out, c->lower, ctx, &beside,
                               VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE | VFS_O_EXCL, mode, NULL,
                               NULL);
        if (!APR_STATUS_IS_EEXIST(st)) break;
    }
    if (st) return st;
    st = vfs_call_open(&theirs, c->lower, ctx, path, VFS_O_READ, 0, NULL, NULL);
    if (APR_STATUS_IS_ENOENT(st)) st = APR_SUCCESS; /* theirs was to remove it */
    if (!st) st = copy_ours(c, o, ctx, theirs, out, &borrowed);
    cachefs__listed_forget(c, &beside);
    if (theirs) (void)vfs_close(theirs, ctx);                     /* only read */
    if (!st && c->journal) st = vfs_sync(out, ctx, VFS_SYNC_ALL); /* its records go now */
    end = vfs_close(out, ctx);
    if (!st) st = end;
    if (st)
        (void)vfs_call_unlink(c->lower, ctx, &beside); /* tried again as a whole */
    else
        tell(c, path, "is in ", beside.str, borrowed);
    return st;
}

/* Ours is out of the way: the object takes what is below now. Flush begun. */
static void take_theirs(cache_t *c, obj_t *o, const vfs_path_t *path, const vfs_attr_t *attr,
                        const vfs_validator_t *val, apr_status_t found)
{
    cachefs__lowers_t idle = {.file = NULL};
    (void)cachefs__dirty_discard(c, o, 0);
    cachefs__durable_discard(c, o);
    cachefs__obj_lock(c, o);
    uint64_t old = atomic_load(&o->ver), size = atomic_load(&o->size);
    uint32_t shift = atomic_load(&o->shift);
    cachefs__obj_new_version(c, o);
    o->changes++;
    int same = !found && cachefs__may_be(o, attr);
    if (same) {
        cachefs__obj_keep_attr(c, o, attr);
        o->validator = *val;
        cachefs__obj_size_learned(o, attr->size);
        o->flags &= ~(OBJ_ATTR_OLD | OBJ_OWN_CHANGE);
    } else {
        o->flags |= OBJ_UNLINKED |
                    OBJ_ATTR_OLD; /* the name leads elsewhere; open handles see the old file */
    }
    if (!o->io && !o->opening && same) idle = cachefs__lower_take(o);
    int by_path = (o->flags & OBJ_BY_PATH) != 0;
    cachefs__obj_unlock(c, o);
    cachefs__version_drop(c, o, old, size, shift);
    (void)cachefs__lower_close(c, o, &idle); /* opened again when needed */
    if (!same) {
        if (by_path) cachefs__obj_unhash(c, o); /* what comes to that path is another file */
        obj_t *gone = cachefs__node_drop(c, path);
        if (gone) cachefs__obj_put(c, gone);
    }
}

/* Ours wins: write all of it to what the name leads to now, since the base of ours is not below any
 * more. */
static apr_status_t take_ours(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              const vfs_attr_t *attr, const vfs_validator_t *val,
                              apr_status_t found)
{
    vfs_file_t *file = NULL;
    uint64_t borrowed = 0;
    cachefs__obj_lock(c, o);
    uint32_t mode = o->attr.mode ? o->attr.mode : 0600;
    int same = !found && cachefs__may_be(o, attr);
    cachefs__obj_unlock(c, o);
    (void)cachefs__obj_change_begin(c, o);
    cachefs__listed_forget(c, path);
    apr_status_t st = vfs_call_open(&file, c->lower, ctx, path,
                                    VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE, mode, NULL, NULL);
    if (!st) st = copy_ours(c, o, ctx, found ? NULL : file, file, &borrowed);
    if (!st) st = vfs_call_ftruncate(file, ctx, (apr_off_t)atomic_load(&o->size));
    if (file) {
        apr_status_t end = vfs_close(file, ctx);
        if (!st) st = end;
    }
    cachefs__listed_forget(c, path);
    cachefs__obj_change_end(c, o, !st);
    if (st) return st; /* tried again as a whole */
    tell(c, path, "replaced it", "", borrowed);
    if (same) return APR_SUCCESS; /* the flush goes on, and makes it clean */
    take_theirs(c, o, path, attr, val,
                APR_FROM_OS_ERROR(ENOENT)); /* this object is not the name's any more */
    return APR_SUCCESS;
}

/* ---- is it one? */

typedef struct below_t {
    vfs_path_t path;
    char buf[VFS_PATH_MAX + 1];
    vfs_validator_t base; /* what ours is based on */
    int by_link;          /* the path may lead to it by a symbolic link */
    vfs_attr_t attr;      /* what is there now, if it is not gone */
    vfs_validator_t val;
    apr_status_t found;
} below_t;

/* What ours is based on, and its name. 0: there is none that could be compared. Object locked. */
static int has_base(cache_t *c, const obj_t *o, below_t *b)
{
    b->base = o->validator;
    b->by_link = (o->flags & (OBJ_BY_LINK | OBJ_BY_PATH)) == OBJ_BY_LINK;
    return !(o->flags & (OBJ_OWN_CHANGE | OBJ_UNLINKED)) && b->base.kind != VFS_VALIDATOR_NONE &&
           !cachefs__obj_name(c, o, &b->path, b->buf);
}

#define ASK_TRIES                                                                                  \
    8 /* after which whoever changes the file without a pause has hidden the others                \
       */

/* Nothing of ours came between the question and its answer: no change of the file or of its name,
 * no move of a directory above. */
static int undisturbed(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, const vfs_path_t *path,
                       uint64_t asked, apr_status_t *st)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t name;
    *st = cachefs__mut_wait(c, ctx, path);
    if (*st) return 0;
    cachefs__obj_lock(c, o);
    int quiet = cachefs__obj_quiet(o, asked) && atomic_load(&c->tree_mut) <= asked &&
                !cachefs__obj_name(c, o, &name, buf) && strcmp(name.str, path->str) == 0;
    cachefs__obj_unlock(c, o);
    return quiet;
}

/* Ask the name for its version. Only an answer that nothing of ours disturbed is evidence of
 * others. 1: they changed it. */
static int changed_by_others(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, below_t *b,
                             apr_status_t *st)
{
    *st = APR_SUCCESS;
    for (int tries = 0; tries < ASK_TRIES; tries++) {
        cachefs__obj_lock(c, o);
        int known = has_base(c, o, b);
        cachefs__obj_unlock(c, o);
        if (!known) return 0; /* what is there now is the base, or nothing is left of it */
        uint64_t asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
        CACHE_NO_LOCKS_HELD();
        b->found = vfs_call_stat(c->lower, ctx, &b->path, &b->attr, &b->val);
        if (b->found && !APR_STATUS_IS_ENOENT(b->found)) {
            *st = b->found;
            return 0;
        }
        if (!b->found && vfs_validator_equal(&b->base, &b->val)) return 0;
        /* it may be the link that was changed: nothing is said about the file */
        if (b->by_link && (b->found || !cachefs__may_be(o, &b->attr))) return 0;
        if (undisturbed(c, o, ctx, &b->path, asked, st)) return 1;
        if (*st) return 0; /* no time to know */
    }
    return 0;
}

/* It is known that they did, since ours is beside. Not settled if `st` says why not. */
static int known_changed(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, below_t *b, apr_status_t *st)
{
    *st = APR_SUCCESS;
    cachefs__obj_lock(c, o);
    int known = (o->flags & (OBJ_BESIDE | OBJ_UNLINKED)) == OBJ_BESIDE && o->dirty_bytes &&
                !cachefs__obj_name(c, o, &b->path, b->buf);
    cachefs__obj_unlock(c, o);
    if (!known) return 0;
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    CACHE_NO_LOCKS_HELD();
    b->found = vfs_call_stat(c->lower, ctx, &b->path, &b->attr, &b->val);
    if (b->found && !APR_STATUS_IS_ENOENT(b->found)) *st = b->found;
    return 1;
}

/* ---- settling it */

static apr_status_t settle(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, const below_t *b,
                           int *theirs)
{
    apr_status_t st;
    switch (atomic_load(&c->t.conflict)) {
    case CACHEFS_OURS:
        st = take_ours(c, o, ctx, &b->path, &b->attr, &b->val, b->found);
        cachefs__obj_lock(c, o);
        if (!st) o->flags &= ~OBJ_BESIDE;
        *theirs = !o->dirty_bytes;
        cachefs__obj_unlock(c, o);
        return st;
    case CACHEFS_THEIRS:
        tell(c, &b->path, "was thrown away", "", 0);
        break;
    default:
        st = keep_both(c, o, ctx, &b->path);
        if (st) return st;
    }
    take_theirs(c, o, &b->path, &b->attr, &b->val, b->found);
    *theirs = 1;
    return APR_SUCCESS;
}

/* What is written from now on waits, and is on top of the outcome. What is dirty is `beside` what
 * others have there now, if it is not settled. */
static void settling(cache_t *c, obj_t *o, int beside)
{
    cachefs__obj_lock(c, o);
    o->flags |= OBJ_SETTLING;
    if (beside && o->dirty_bytes) o->flags |= OBJ_BESIDE;
    cachefs__obj_unlock(c, o);
}

static void settled(cache_t *c, obj_t *o)
{
    cachefs__obj_lock(c, o);
    o->flags &= ~OBJ_SETTLING;
    cachefs__obj_wake(c, o);
    cachefs__obj_unlock(c, o);
}

apr_status_t cachefs__conflict(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, int *theirs)
{
    below_t b;
    apr_status_t st;
    *theirs = 0;
    if (!known_changed(c, o, ctx, &b, &st)) {
        if (!changed_by_others(c, o, ctx, &b, &st)) return st;
        cachefs__count(&c->counters, CNT_CONFLICTS, 1);
    }
    if (st) return st;
    settling(c, o, 0);
    st = settle(c, o, ctx, &b, theirs);
    settled(c, o);
    return st;
}

void cachefs__conflict_below(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    below_t b;
    apr_status_t st;
    int theirs;
    settling(c, o, 1);
    if (!cachefs__flush_begin(c, o, ctx)) {
        settling(c, o, 1); /* whoever flushed until now may have ended it */
        if (known_changed(c, o, ctx, &b, &st) && !st) (void)settle(c, o, ctx, &b, &theirs);
        cachefs__flush_end(c, o); /* what is not settled is so by the next flush */
    }
    cachefs__obj_drop_clean(c, o, NULL); /* not while it is flushed: it keeps its version then */
    settled(c, o);
}
