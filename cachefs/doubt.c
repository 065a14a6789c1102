/*
 * doubt.c - a call of ours failed below, and nobody knows how much of it was done.
 * Floor 2, private to cachefs/.
 *
 * An error may come after the deed: a reply was lost, a write was torn. So after an error that is
 * no plain refusal the file is in doubt (OBJ_DOUBT). What the call was about is forgotten where it
 * is clean; the size, and with it what a truncation left of dirty data, is asked for by whoever
 * needs it next: nobody enters a gate, reads at the end of the file or flushes before that is
 * settled. So nothing is built on a size that may be wrong, and if it cannot be asked for, that is
 * the error of the call that needs it. A change of names is looked up at once: what is dirty must
 * know whether its file has a new name.
 */
#include "cachefs/engine.h"

#define SETTLE_TRIES 8 /* answers that changes of ours may overlap */

int cachefs__refused(apr_status_t st)
{
    static const int codes[] = {ENOENT, EEXIST, ENOTDIR, EISDIR,       ENOTEMPTY, EACCES, EPERM,
                                EROFS,  EINVAL, EBADF,   ENAMETOOLONG, ELOOP,     EXDEV,  EMLINK,
                                EBUSY,  EFBIG,  ETXTBSY, EOPNOTSUPP,   ENOSYS};
    if (APR_STATUS_IS_ENOTIMPL(st) || st == VFS_ECONFLICT || st == VFS_ELIMIT || st == VFS_EABI)
        return 1;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
        if (st == APR_FROM_OS_ERROR(codes[i])) return 1;
    return 0;
}

void cachefs__doubt(cache_t *c, obj_t *o, uint64_t cut)
{
    cachefs__obj_lock(c, o);
    cachefs__obj_bytes_begin(o); /* until the answer: who reads asks first */
    o->flags |= OBJ_DOUBT | OBJ_ATTR_OLD;
    if (cut != UINT64_MAX) o->doubt_cut = cut + 1;
    cachefs__obj_unlock(c, o);
}

/* Wait until no change of ours is under way: it would make the answer worthless. */
static apr_status_t quiet(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, int *doubt)
{
    apr_status_t st = APR_SUCCESS;
    cachefs__obj_lock(c, o);
    while (!st && (o->flags & OBJ_DOUBT) && o->changing)
        st = cachefs__obj_wait(c, o, ctx, 0);
    *doubt = (o->flags & OBJ_DOUBT) != 0;
    cachefs__obj_unlock(c, o);
    return st;
}

/* The file is `attr->size` bytes long below. A truncation that was in doubt was done if that is its
 * size and was not the size before; then what is dirty behind it goes too. 0: our own changes
 * overlapped. */
static int take_answer(cache_t *c, obj_t *o, const vfs_attr_t *attr, const vfs_validator_t *val,
                       uint64_t asked)
{
    cachefs__obj_lock(c, o);
    int good = !o->changing && o->changed_seq <= asked;
    int cut = o->dirty_bytes && o->doubt_cut && attr->size == o->doubt_cut - 1 &&
              o->attr.size != attr->size;
    cachefs__obj_unlock(c, o);
    if (!good) return 0;
    if (cut) cachefs__cut(c, o, attr->size); /* nobody works there: see gate.c */
    cachefs__obj_settle(c, o, attr, val);
    return 1;
}

apr_status_t cachefs__settle(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    for (int tries = 0; tries < SETTLE_TRIES; tries++) {
        vfs_file_t *file;
        vfs_attr_t attr;
        vfs_validator_t val;
        int doubt;
        apr_status_t st = quiet(c, o, ctx, &doubt);
        if (st || !doubt) return st;
        st = cachefs__lower_use(c, o, ctx, LOWER_ANY, &file);
        if (st) return st;
        uint64_t asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
        CACHE_NO_LOCKS_HELD();
        st = vfs_call_fstat(file, ctx, &attr, &val);
        cachefs__lower_done(c, o);
        if (st || take_answer(c, o, &attr, &val, asked)) return st;
    }
    return VFS_ESTALE;
}

apr_status_t cachefs__obj_sure(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    cachefs__obj_lock(c, o);
    int doubt = (o->flags & OBJ_DOUBT) != 0;
    cachefs__obj_unlock(c, o);
    if (!doubt) return APR_SUCCESS;
    apr_status_t st = cachefs__flush_begin(c, o, ctx); /* no flush on top of a wrong size */
    if (st) return st;
    st = cachefs__settle(c, o, ctx);
    cachefs__flush_end(c, o);
    return st;
}

apr_status_t cachefs__read_sure(cache_t *c, obj_t *o, const vfs_ctx_t *ctx)
{
    apr_status_t st = cachefs__obj_sure(c, o, ctx);
    return st && cachefs__unreachable(st) && atomic_load(&c->t.serve_stale) ? APR_SUCCESS : st;
}

/* ---- names */

static apr_status_t ask_below(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              vfs_attr_t *attr)
{
    vfs_validator_t val;
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    CACHE_NO_LOCKS_HELD();
    return vfs_call_lstat(c->lower, ctx, path, attr, &val);
}

cachefs__done_e cachefs__was_removed(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                     apr_status_t st)
{
    vfs_attr_t attr;
    if (!st) return DONE_YES;
    if (cachefs__refused(st)) return DONE_NO;
    st = ask_below(c, ctx, path, &attr);
    return !st ? DONE_NO : APR_STATUS_IS_ENOENT(st) ? DONE_YES : DONE_PERHAPS;
}

cachefs__done_e cachefs__was_replaced(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                      const obj_t *o, apr_status_t st, const vfs_attr_t *attr)
{
    vfs_attr_t now;
    vfs_validator_t val;
    if (!st) return cachefs__may_be(o, attr) ? DONE_NO : DONE_YES;
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    CACHE_NO_LOCKS_HELD();
    st = vfs_call_stat(c->lower, ctx, path, &now, &val);
    if (st) return APR_STATUS_IS_ENOENT(st) ? DONE_YES : DONE_PERHAPS;
    return cachefs__may_be(o, &now) ? DONE_NO : DONE_YES;
}

cachefs__done_e cachefs__was_renamed(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *from,
                                     const vfs_path_t *to, uint32_t flags, const obj_t *source,
                                     apr_status_t st)
{
    vfs_attr_t old, new;
    if (!st) return DONE_YES;
    if (cachefs__refused(st)) return DONE_NO;
    apr_status_t at_from = ask_below(c, ctx, from, &old), at_to = ask_below(c, ctx, to, &new);
    int identity = source && !at_to && (new.flags &VFS_ATTR_STABLE_ID);
    if (flags & VFS_RENAME_EXCHANGE)
        return !identity ? DONE_PERHAPS : cachefs__may_be(source, &new) ? DONE_YES : DONE_NO;
    if (!at_from) return cachefs__may_be(source, &old) ? DONE_NO : DONE_PERHAPS;
    return APR_STATUS_IS_ENOENT(at_from) && !at_to && cachefs__may_be(source, &new) ? DONE_YES
                                                                                    : DONE_PERHAPS;
}
