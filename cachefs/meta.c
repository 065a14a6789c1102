/*
 * meta.c - operations on names that ask, or change attributes.
 * Floor 2, private to cachefs/.
 */
#include "cachefs/engine.h"

static apr_status_t ask_slowly(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               unsigned want, vfs_attr_t *attr, vfs_validator_t *validator)
{
    obj_t *o = NULL;
    memset(attr, 0, sizeof(*attr)); /* nothing is left of a look without a lock */
    if (validator) memset(validator, 0, sizeof(*validator));
    uint64_t start = cachefs__clock_ns();
    uint64_t misses = cachefs__counter_here(&c->counters, CNT_ATTR_MISSES);
    apr_status_t st = cachefs__lookup(c, ctx, path, want, &o, attr, validator);
    if (o) cachefs__obj_put(c, o);
    int missed = cachefs__counter_here(&c->counters, CNT_ATTR_MISSES) != misses;
    metrics_record(c->lat[missed ? LAT_STAT_MISS : LAT_STAT_HIT], cachefs__clock_ns() - start);
    return st;
}

static apr_status_t ask_attr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, unsigned want,
                             vfs_attr_t *attr, vfs_validator_t *validator)
{
    cache_t *c = cachefs__of(fs);
    static _Thread_local unsigned tick;
    int timed = ++tick % SAMPLE_HITS == 0;
    uint64_t start = timed ? cachefs__clock_ns() : 0;
    cachefs__known_e known = KNOWN_NOTHING;
    if (ctx && (ctx->flags & VFS_CTX_READS) && c->lower_is_far) want |= LOOKUP_BYTES;
    if (!cachefs__searches(ctx)) known = cachefs__peek(c, path, want, attr, validator);
    if (known != KNOWN_FRESH && known != KNOWN_ABSENT)
        return ask_slowly(c, ctx, path, want, attr, validator);
    cachefs__count(&c->counters, known == KNOWN_FRESH ? CNT_ATTR_HITS : CNT_NEGATIVE_HITS, 1);
    if (timed) metrics_record_n(c->lat[LAT_STAT_HIT], cachefs__clock_ns() - start, SAMPLE_HITS);
    return known == KNOWN_FRESH ? APR_SUCCESS : APR_FROM_OS_ERROR(ENOENT);
}

apr_status_t cachefs_op_stat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                             vfs_attr_t *attr, vfs_validator_t *validator)
{
    return ask_attr(fs, ctx, path, LOOKUP_FOLLOW, attr, validator);
}

apr_status_t cachefs_op_lstat(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              vfs_attr_t *attr, vfs_validator_t *validator)
{
    return ask_attr(fs, ctx, path, 0, attr, validator);
}

static apr_status_t ask_access(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               uint32_t mask)
{
    cache_t *c = cachefs__of(fs);
    vfs_attr_t attr = {0};
    apr_status_t st = ask_attr(fs, ctx, path, LOOKUP_FOLLOW, &attr, NULL);
    if (st || mask == VFS_ACCESS_EXIST) return st;
    if (!vfs_attr_access(&attr, ctx, mask)) return APR_SUCCESS;
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    return vfs_call_access(c->lower, ctx, path, mask); /* an access control list may know better */
}

/* Attributes do not tell that nothing can be changed below. */
apr_status_t cachefs_op_access(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               uint32_t mask)
{
    if (!(mask & VFS_ACCESS_WRITE) || (vfs_caps(cachefs__of(fs)->lower)->bits & VFS_CAP_WRITE))
        return ask_access(fs, ctx, path, mask);
    apr_status_t st = ask_access(fs, ctx, path, mask & ~VFS_ACCESS_WRITE);
    return st ? st : APR_FROM_OS_ERROR(EROFS);
}

apr_status_t cachefs_op_get(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf,
                            size_t len, size_t *got, vfs_attr_t *attr, vfs_validator_t *validator)
{
    cache_t *c = cachefs__of(fs);
    cachefs__use_t use;
    uint64_t missed = 0;
    apr_status_t st = cachefs__use_begin(&use, c, ctx, path,
                                         LOOKUP_FOLLOW | (len ? LOOKUP_BYTES : 0), attr, validator);
    *got = 0;
    if (st) return st;
    if (attr->type == VFS_TYPE_FILE && len) {
        st = vfs_attr_access(attr, ctx, VFS_ACCESS_READ);
        if (st) st = vfs_call_access(c->lower, ctx, path, VFS_ACCESS_READ);
        if (!st) st = cachefs__read_sure(c, use.obj, ctx);
        if (!st) st = cachefs__read_obj(c, use.obj, ctx, buf, len, 0, got, NULL, FILL_ON, &missed);
        if (!st) {
            cachefs__count(&c->counters, missed ? CNT_MISSES : CNT_HITS, 1);
            cachefs__obj_lock(c, use.obj); /* a fill may have met a newer version: tell that one */
            cachefs__obj_attr_told(use.obj, attr, attr);
            cachefs__obj_validator(use.obj, validator);
            cachefs__obj_unlock(c, use.obj);
        }
    }
    cachefs__use_end(&use, c);
    return st;
}

/* ---- changes */

/* A change of attributes by name: of which object, with the name claimed, so that nobody gives it
 * to another file meanwhile. */
typedef struct change_t {
    cachefs__mut_t m;
    obj_t *o;
    uint64_t asked;
    uint32_t epoch; /* ns_epoch at that time */
    int linked;     /* a symbolic link lies on the way: any change of a name may lead elsewhere */
    int hold;       /* no flush meanwhile: what was dirty is below */
} change_t;

static apr_status_t find_changed(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                 unsigned want, change_t *ch)
{
    vfs_attr_t attr;
    ch->o = NULL;
    ch->linked = 0;
    ch->epoch = atomic_load(&c->ns_epoch);
    ch->asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    apr_status_t st = cachefs__lookup(c, ctx, path, want, &ch->o, &attr, NULL);
    if (!st) /* without identities each path is a file of its own, and claimed as that */
        ch->linked = (attr.flags & (VFS_ATTR_DIRECT | VFS_ATTR_STABLE_ID)) == VFS_ATTR_STABLE_ID;
    return st;
}

static apr_status_t find_again(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               unsigned want, change_t *ch)
{
    if (ch->o) cachefs__obj_put(c, ch->o);
    return find_changed(c, ctx, path, want, ch);
}

/* Below, and nobody changes a name: does the path still lead to the file? ESTALE: to another. */
static apr_status_t same_file(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              unsigned want, const change_t *ch)
{
    obj_t *o = NULL;
    if (atomic_load(&c->ns_epoch) == ch->epoch) return APR_SUCCESS;
    apr_status_t st = cachefs__lookup(c, ctx, path, want | LOOKUP_FORCE, &o, NULL, NULL);
    if (o) cachefs__obj_put(c, o);
    return !st && o != ch->o ? VFS_ESTALE : st;
}

/* Go below, with names standing still on the way: directories, or, where a link may lead anywhere,
 * all. VFS_ESTALE: one of them moved before that. */
static apr_status_t stand_still(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                unsigned want, change_t *ch)
{
    apr_status_t st = ch->linked ? cachefs__mut_tree(c, ctx, &ch->m) : APR_SUCCESS;
    if (!st) st = cachefs__mut_below(c, ctx, &ch->m);
    if (st) return st;
    if (ch->linked)
        st = same_file(c, ctx, path, want, ch);
    else if (!cachefs__mut_found_quiet(c, &ch->m, ch->asked))
        st = VFS_ESTALE;
    if (st) cachefs__mut_back(c, &ch->m);
    return st;
}

/* The name is claimed. If it led elsewhere before all stood still, it is looked up again. */
static apr_status_t change_below(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                 unsigned want, change_t *ch)
{
    for (;;) {
        apr_status_t st = ch->hold ? cachefs__flush_hold(c, ch->o, ctx) : APR_SUCCESS;
        if (st) return st;
        st = stand_still(c, ctx, path, want, ch);
        if (!st) return APR_SUCCESS;
        if (ch->hold) cachefs__flush_end(c, ch->o);
        if (st == VFS_ESTALE) st = find_again(c, ctx, path, want, ch);
        if (st) return st;
    }
}

static apr_status_t change_begin(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                 uint32_t flags, int flush_first, change_t *ch)
{
    unsigned want = flags & VFS_NOFOLLOW ? 0 : LOOKUP_FOLLOW;
    apr_status_t st = find_changed(c, ctx, path, want, ch); /* this answer can be kept */
    apr_status_t claimed = cachefs__mut_begin(c, ctx, path, NULL, &ch->m);
    ch->hold = flush_first;
    if (!claimed) {
        if (!cachefs__mut_found_quiet(c, &ch->m, ch->asked))
            st = find_again(c, ctx, path, want, ch);
        if (!st) st = change_below(c, ctx, path, want, ch);
        if (st) cachefs__mut_release(c, &ch->m);
    }
    if (!claimed && !st)
        (void)cachefs__obj_change_begin(c, ch->o);
    else if (ch->o)
        cachefs__obj_put(c, ch->o);
    return claimed ? claimed : st;
}

static void change_end(cache_t *c, const vfs_ctx_t *ctx, change_t *ch)
{
    cachefs__obj_change_end(c, ch->o, 1);
    cachefs__mut_back(c, &ch->m);
    cachefs__mut_release(c, &ch->m);
    cachefs__learn_base(c, ch->o, ctx, 0);
    if (ch->hold) cachefs__flush_end(c, ch->o);
    cachefs__obj_put(c, ch->o);
}

#define NAME_CHANGE(params, args, name, flush_first, nofollow)                                     \
    apr_status_t cachefs_op_##name params                                                          \
    {                                                                                              \
        cache_t *c = cachefs__of(fs);                                                              \
        change_t ch;                                                                               \
        apr_status_t st = change_begin(c, ctx, path, nofollow, flush_first, &ch);                  \
        if (st) return st;                                                                         \
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);                                        \
        CACHE_NO_LOCKS_HELD();                                                                     \
        st = vfs_call_##name args;                                                                 \
        cachefs__xattr_forget(c, ch.o);                                                            \
        change_end(c, ctx, &ch);                                                                   \
        return st;                                                                                 \
    }
NAME_CHANGE((vfs_t * fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t mode,
             uint32_t flags),
            (c->lower, ctx, path, mode, flags), chmod, 0, flags)
NAME_CHANGE((vfs_t * fs, const vfs_ctx_t *ctx, const vfs_path_t *path, uint32_t uid, uint32_t gid,
             uint32_t flags),
            (c->lower, ctx, path, uid, gid, flags), chown, 0, flags)
NAME_CHANGE((vfs_t * fs, const vfs_ctx_t *ctx, const vfs_path_t *path, int64_t atime_ns,
             int64_t mtime_ns, uint32_t flags),
            (c->lower, ctx, path, atime_ns, mtime_ns, flags), utimens, 1, flags)
NAME_CHANGE((vfs_t * fs, const vfs_ctx_t *ctx, const vfs_path_t *path, const char *name,
             const void *value, size_t len, uint32_t how, uint32_t flags),
            (c->lower, ctx, path, name, value, len, how, flags), setxattr, 0, flags)
NAME_CHANGE((vfs_t * fs, const vfs_ctx_t *ctx, const vfs_path_t *path, const char *name,
             uint32_t flags),
            (c->lower, ctx, path, name, flags), removexattr, 0, flags)

apr_status_t cachefs_op_truncate(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                 apr_off_t size)
{
    cache_t *c = cachefs__of(fs);
    vfs_file_t *file;
    vfs_attr_t attr;
    vfs_validator_t val;
    /* a handle of ours orders it with what is dirty, and asks below whether it is allowed */
    apr_status_t st = vfs_call_open(&file, fs, ctx, path, VFS_O_WRITE, 0, &attr, &val);
    if (st) return st;
    if (attr.type != VFS_TYPE_FILE || file->fs != fs)
        st = vfs_call_truncate(c->lower, ctx, path, size);
    else
        st = vfs_call_ftruncate(file, ctx, size);
    apr_status_t end = vfs_close(file, ctx);
    return st ? st : end;
}

/* ---- questions that are not cached */

#define NAME_ASK(params, args, name)                                                               \
    apr_status_t cachefs_op_##name params                                                          \
    {                                                                                              \
        cache_t *c = cachefs__of(fs);                                                              \
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);                                        \
        return vfs_call_##name args;                                                               \
    }
NAME_ASK((vfs_t * fs, const vfs_ctx_t *ctx, const vfs_path_t *path, vfs_statfs_t *out),
         (c->lower, ctx, path, out), statfs)
NAME_ASK((vfs_t * fs, const vfs_ctx_t *ctx, const vfs_path_t *path, char *buf, size_t size,
          size_t *len, uint32_t flags),
         (c->lower, ctx, path, buf, size, len, flags), listxattr)

/* The text of a link is kept like a listing: as the content of the link's version. */
apr_status_t cachefs_op_readlink(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, char *buf,
                                 size_t size, size_t *len)
{
    cache_t *c = cachefs__of(fs);
    obj_t *o = NULL;
    vfs_attr_t attr;
    char text[VFS_PATH_MAX + 1];
    uint64_t n = 0;
    size_t got = 0;
    if (!(c->lower->caps.bits & VFS_CAP_SYMLINK))
        return vfs_call_readlink(c->lower, ctx, path, buf, size, len);
    apr_status_t st = cachefs__lookup(c, ctx, path, 0, &o, &attr, NULL);
    if (st) return st;
    if (attr.type != VFS_TYPE_LINK) {
        cachefs__obj_put(c, o);
        return APR_EINVAL;
    }
    char *kept = cachefs__content_get(c, o, &n);
    if (kept) {
        memcpy(text, kept, n);
        got = (size_t)n;
        free(kept);
    } else {
        uint64_t asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
        st = vfs_call_readlink(c->lower, ctx, path, text, sizeof(text), &got);
        if (!st) cachefs__content_put(c, o, text, got, asked);
    }
    cachefs__obj_put(c, o);
    if (st) return st;
    *len = got;
    if (got >= size) return APR_FROM_OS_ERROR(ERANGE);
    memcpy(buf, text, got);
    buf[got] = '\0';
    return APR_SUCCESS;
}

/* ---- whole objects, durability */

/* The name has other bytes now, or may have: those of the same file, or another file took it. */
static void committed(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path, obj_t *o,
                      apr_status_t st, const vfs_attr_t *attr)
{
    cachefs__name_drop(c, path);
    if (!o) return;
    cachefs__done_e replaced = cachefs__was_replaced(c, ctx, path, o, st, attr);
    if (replaced == DONE_NO)
        cachefs__obj_drop_clean(c, o, NULL);
    else
        cachefs__name_taken(c, ctx, path, o, replaced);
}

static apr_status_t commit_below(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                 const vfs_source_t *source, const vfs_commit_t *how,
                                 vfs_attr_t *attr, vfs_validator_t *validator, obj_t *o)
{
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    cachefs__count(&c->counters, CNT_BACKEND_WRITES, 1);
    if (o) (void)cachefs__obj_change_begin(c, o);
    CACHE_NO_LOCKS_HELD();
    vfs_commit_t below = *how;
    below.same_as = NULL; /* of a version that is told here, perhaps, and not below */
    apr_status_t st = vfs_call_commit(c->lower, ctx, path, source, &below, attr, validator);
    if (!st) cachefs__count(&c->counters, CNT_BACKEND_WRITE_BYTES, source->size);
    if (!st || !cachefs__refused(st)) committed(c, ctx, path, o, st, attr);
    if (o) cachefs__obj_change_end(c, o, 1);
    return st;
}

apr_status_t cachefs_op_commit(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                               const vfs_source_t *source, const vfs_commit_t *how,
                               vfs_attr_t *attr, vfs_validator_t *validator)
{
    cache_t *c = cachefs__of(fs);
    cachefs__mut_t m;
    obj_t *parent = NULL, *o = NULL;
    int kept = 0, hold = 0, changed = 0;
    apr_status_t st = cachefs__mut_begin(c, ctx, path, NULL, &m);
    if (st) return st;
    st = cachefs__lookup(c, ctx, path, LOOKUP_FOLLOW, &o, NULL, NULL);
    if (APR_STATUS_IS_ENOENT(st)) st = APR_SUCCESS;
    if (!st) st = cachefs__parent_begin(c, ctx, path, &parent);
    if (!st && o) { /* what is dirty goes first, and nothing while the bytes are replaced */
        kept = cachefs__keep_open(c, o, ctx);
        st = cachefs__durable_hold(c, o, ctx);
        hold = !st;
    }
    if (!st) st = cachefs__mut_below(c, ctx, &m);
    if (!st) {
        st = commit_below(c, ctx, path, source, how, attr, validator, o);
        changed = !st || !cachefs__refused(st);
    }
    if (hold) cachefs__flush_end(c, o);
    if (hold) cachefs__durable_after(c, o, ctx);
    if (kept) cachefs__lower_done(c, o);
    cachefs__mut_end(c, &m, 0);
    cachefs__parent_end(c, ctx, path, parent, changed);
    if (o) cachefs__obj_put(c, o);
    return st;
}

apr_status_t cachefs_op_sync_dir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    cache_t *c = cachefs__of(fs);
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    return vfs_call_sync_dir(c->lower, ctx, path);
}

apr_status_t cachefs_op_sync_fs(vfs_t *fs, const vfs_ctx_t *ctx)
{
    cache_t *c = cachefs__of(fs);
    apr_status_t st = cachefs_flush(fs, ctx, NULL, 0);
    if (st) return st;
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    st = vfs_call_sync_fs(c->lower, ctx);
    return st ? st : cachefs__durable_void(c, ctx);
}
