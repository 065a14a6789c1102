/*
 * paths.h - the ways of data: look-up, miss, write, flush, changes of names, control. Included by
 * engine.h, which has the types. Floor 2, private to cachefs/ and its tests.
 */
#ifndef CACHEFS_PATHS_H
#define CACHEFS_PATHS_H

/* ---- lookup.c: asking below */
/* What `path` is, from the cache or below; referenced. `want` LOOKUP_* */
#define LOOKUP_FOLLOW 0x1u
#define LOOKUP_BYTES 0x2u   /* the caller will read: bring the first bytes in the same trip */
#define LOOKUP_PARENT 0x8u  /* asked for because of a name in it */
#define LOOKUP_WANTED 0x10u /* with BYTES: they count as used, as those of FILL_WANTED */
#define LOOKUP_FORCE 0x4u   /* ask below whatever is cached */
apr_status_t cachefs__lookup(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                             unsigned want, obj_t **obj, vfs_attr_t *attr,
                             vfs_validator_t *validator);
/* Bytes that the last look-up of this thread read below. */
uint64_t cachefs__lookup_fetched(void);
/* Ask for the attributes of an object that is open; the second settles first what is in doubt of
 * it, and so waits for its flush. `told` receives the answer as it came; may be NULL. */
apr_status_t cachefs__obj_ask(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, vfs_attr_t *told);
apr_status_t cachefs__obj_refresh(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, vfs_attr_t *told);
/* What is dirty, or will be (`writing`), must know the version that it is based on, or others could
 * not be told apart at the flush: ask for it where a change of ours left it open. */
void cachefs__learn_base(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, int writing);
int cachefs__unreachable(apr_status_t st);

/* ---- flight.c: look-ups under way */
typedef enum cachefs__flight_e {
    FLIGHT_ALONE = 0, /* a question that is nobody else's */
    FLIGHT_LEADS,     /* ask, and end with cachefs__flight_end */
    FLIGHT_WAITS,
    FLIGHT_LOOKS, /* another one's question is over: look again */
    FLIGHT_TOLD   /* another one's answer is ours: status, obj (referenced), attr, validator */
} cachefs__flight_e;
/* A look-up, on the stack of who asks; guarded by flight_lock while others know it. */
typedef struct cachefs__flight_t {
    struct cachefs__flight_t *next;
    const vfs_path_t *path;
    const vfs_ctx_t *ctx;
    unsigned want;
    int young; /* the question must not have been put before we asked */
    cachefs__flight_e state;
    struct cachefs__flight_t *joined; /* while it waits: the one on whose lists it is */
    struct cachefs__flight_t *riders; /* told our answer */
    struct cachefs__flight_t *late;   /* came after the question was put */
    apr_status_t status;
    obj_t *obj;
    vfs_attr_t attr;
    vfs_validator_t validator;
} cachefs__flight_t;
/* Lead, or wait for the one who does; then `state` says what came of it. An error: no more time to
 * wait. */
/* A small file far away, none of whose bytes are here: who opens it had better get them with the
 * answer to one question than by an open and a read. */
int cachefs__hungry(const cache_t *c, const obj_t *o, const vfs_attr_t *attr);
apr_status_t cachefs__flight_join(cache_t *c, cachefs__flight_t *f);
void cachefs__flight_end(cache_t *c, cachefs__flight_t *f, apr_status_t st, obj_t *o);

/* Is the caller somebody who must be allowed to search each directory on the way? */
static inline int cachefs__searches(const vfs_ctx_t *ctx)
{
    return ctx && (ctx->flags & VFS_CTX_CREDS) && ctx->uid != 0;
}
apr_status_t cachefs__search_allowed(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path);

/* ---- xattr.c */
/* Extended attributes may have been changed by us: what is known of them is no more. */
void cachefs__xattr_forget(cache_t *c, obj_t *o);
/* The file was made a moment ago. */
void cachefs__xattr_made(cache_t *c, obj_t *o);

/* ---- fill.c, read.c, hit.c */
#define FILL_AHEAD 0x1u
#define FILL_HASTY 0x2u              /* a prefetch that waits for no room */
#define FILL_WANTED 0x4u             /* somebody said that he will read it */
#define FILL_ON 0x8u                 /* who reads goes straight on */
#define FILL_LOOKED 0x10u            /* he looked for a hit before */
#define FILL_REGION 0x20u            /* what is around it comes unasked: read-ahead */
#define FILL_RESTART (VFS_EEND + 64) /* the file has a new version: begin again */
#define FILL_AGAIN (VFS_EEND + 65)   /* somebody else worked there: look again */
/* What a miss may bring besides what is wanted of it, which lies within. */
typedef struct cachefs__reach_t {
    uint64_t from, to;
} cachefs__reach_t;
/* Where a fill shall put bytes at once, besides the cache. */
typedef struct cachefs__sink_t {
    uint8_t *buf; /* NULL: nowhere; who fills wants them kept, and to hear VFS_ELIMIT if none are */
    uint64_t off, len;
    uint64_t done; /* bytes from off on that are in buf now; without buf: that the cache took */
    const cachefs__reach_t *reach; /* NULL: what lies before `off` is not wanted */
} cachefs__sink_t;
/* Read the run of missing bytes that begins at `off` (within the file) and ends at `end` at the
 * latest, in one call below. *fetched: bytes read below. */
apr_status_t cachefs__fill(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t ver, uint64_t off,
                           uint64_t end, unsigned flags, cachefs__sink_t *sink, uint64_t *fetched);
/* Read [sink->off, + len) below while nobody writes there, around the cache. FILL_AGAIN: it lies
 * behind the end by now. */
apr_status_t cachefs__read_at_once(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t ver,
                                   cachefs__sink_t *sink, uint64_t *fetched);
apr_status_t cachefs__read_obj(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, void *buf, size_t len,
                               uint64_t off, size_t *got, const cachefs__reach_t *reach,
                               unsigned flags, uint64_t *missed);
/* Bring [off, end) in. `flags` FILL_*: with AHEAD or HASTY, or at priority LOW, it waits for no
 * room, and the answer is VFS_ELIMIT. WANTED counts as a use, but at priority LOW, also of what is
 * there already. */
apr_status_t cachefs__prefetch(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t off,
                               uint64_t end, unsigned flags, uint64_t *fetched);
/* Put the beginning of a file in, as a `get` brought it; `flags` FILL_*. Gate held. */
void cachefs__put_bytes(cache_t *c, obj_t *o, uint64_t ver, uint32_t shift, const void *buf,
                        uint64_t off, size_t len, unsigned flags, const vfs_ctx_t *ctx);
/* Fix the block size of a version that has none; `want`: bytes that the first reader wants. Object
 * locked. */
void cachefs__choose_shift(cache_t *c, obj_t *o, uint64_t want);
/* Do `got` of `len` bytes, read below at `asked`, belong to the version? @return FILL_RESTART */
apr_status_t cachefs__read_belongs(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t ver,
                                   uint64_t off, uint64_t len, uint64_t got,
                                   const vfs_validator_t *val, uint64_t asked);
/* Can it be read: it is no directory, and what was in doubt about it is settled. */
apr_status_t cachefs__read_begin(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* A read that is no hit, or was none at the first look. */
apr_status_t cachefs__read_slow(cache_t *c, handle_t *h, const vfs_ctx_t *ctx, void *buf,
                                size_t len, uint64_t off, size_t *got);
/* What follows a hit of a reader that goes straight on, or whose hits are told to others. */
void cachefs__read_after(cache_t *c, handle_t *h, uint64_t off, size_t got);
/* Around the cache: dirty data is flushed first. */
apr_status_t cachefs__read_direct(cache_t *c, handle_t *h, const vfs_ctx_t *ctx,
                                  const vfs_iovec_t *iov, size_t count, apr_off_t off, size_t *got);
/* A read below, with the version of the bytes where it is known. */
apr_status_t cachefs__fetch(cache_t *c, vfs_file_t *file, const vfs_ctx_t *ctx,
                            const vfs_iovec_t *iov, size_t count, uint64_t off, size_t *got,
                            vfs_validator_t *validator);

/* ---- write.c, dirty.c, flush.c, writeback.c, conflict.c */
apr_status_t cachefs__write(cache_t *c, handle_t *h, const vfs_ctx_t *ctx,
                            const cachefs__pieces_t *buf, size_t len, apr_off_t off,
                            size_t *written, vfs_validator_t *validator);
/* A write through `file`, counted, and what it says of the file: that is in doubt if it failed.
 * Change begun. */
apr_status_t cachefs__write_below(cache_t *c, obj_t *o, vfs_file_t *file, const vfs_ctx_t *ctx,
                                  const uint8_t *buf, size_t len, uint64_t off, size_t *written,
                                  vfs_validator_t *val);
/* The same for bytes of buf from pos on: one call if they are all of it, or in few pieces, else as
 * many as it takes. */
apr_status_t cachefs__write_pieces(cache_t *c, obj_t *o, vfs_file_t *file, const vfs_ctx_t *ctx,
                                   const cachefs__pieces_t *buf, uint64_t pos, size_t len,
                                   uint64_t off, size_t *written, vfs_validator_t *val);
/* What is cached follows it, and the change ends. `keep`: what was written is kept, not dropped.
 * Gate held. */
void cachefs__write_known(cache_t *c, obj_t *o, const cachefs__pieces_t *buf, size_t len,
                          uint64_t off, int keep, apr_status_t st, size_t written, uint64_t since,
                          const vfs_validator_t *val);
apr_status_t cachefs__obj_truncate(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t size);
/* The file is `size` bytes long now: cut what is cached behind it, or make it longer. Gate of the
 * range held. */
void cachefs__cut(cache_t *c, obj_t *o, uint64_t size);
/* The file ends at `end` at least. */
void cachefs__grow(cache_t *c, obj_t *o, uint64_t end);
/* Bytes [off, end) changed below without us: forget them. */
void cachefs__forget(cache_t *c, obj_t *o, uint64_t off, uint64_t end);
apr_status_t cachefs__wb_create(cache_t *c);
void cachefs__wb_destroy(cache_t *c);
/* One attempt to write below all that is dirty of an object now; what becomes dirty meanwhile may
 * stay. The lower layer may have it staged (staged.c). */
apr_status_t cachefs__flush_data(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* What was written there may be staged now. */
void cachefs__below_staged(cache_t *c, obj_t *o);
/* Make it flush what is, if there may be something. No data goes below meanwhile: it would be on
 * top of what others have there, should the lower layer find that they replaced the file. */
apr_status_t cachefs__commit_below(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* What was staged was flushed by closing these handles below, which came to `st`. */
void cachefs__staged_closed(cache_t *c, obj_t *o, const cachefs__lowers_t *l, apr_status_t st);
/* Is it only kept for a commit that failed, and has no name any more? Object locked. 1: the caller
 * drops the reference. */
int cachefs__staged_over(cache_t *c, obj_t *o);
/* All those of which one failed: the first error. */
apr_status_t cachefs__commit_kept(cache_t *c, const vfs_ctx_t *ctx);
/* Both. */
apr_status_t cachefs__flush_obj(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* The same, and nobody flushes the object until cachefs__flush_end: for a change below that must
 * come after what is dirty now. On an error there is nothing to end. */
apr_status_t cachefs__flush_hold(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* Hear its dirty bytes, neighbours together. Flush begun. Returns what `fn` said; APR_ENOMEM. */
typedef apr_status_t (*cachefs__dirty_fn)(void *baton, uint64_t off, const uint8_t *bytes,
                                          size_t len);
apr_status_t cachefs__dirty_visit(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, cachefs__dirty_fn fn,
                                  void *baton);
/* Nobody flushes the object until cachefs__flush_end. */
apr_status_t cachefs__flush_begin(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
void cachefs__flush_end(cache_t *c, obj_t *o);
/* Reserve room under the dirty limit, which was `max` when the caller looked and is not below
 * `bytes`, helping to flush at the limit; give it back after the write. */
apr_status_t cachefs__dirty_reserve(cache_t *c, const vfs_ctx_t *ctx, uint64_t bytes, uint64_t max);
void cachefs__dirty_unreserve(cache_t *c, uint64_t bytes);
/* The same without waiting, for who need not slow down with so many more; 0 bytes are not reserved.
 * 0: not so. */
int cachefs__dirty_try(cache_t *c, uint64_t bytes);
/* A wait for room, under the dirty limit or in memory. */
typedef struct cachefs__dirty_wait_t {
    int64_t until_us; /* by write_wait_max; 0: for ever */
    apr_status_t why; /* what the last attempt to flush came to */
} cachefs__dirty_wait_t;
void cachefs__dirty_wait_begin(cache_t *c, cachefs__dirty_wait_t *room);
/* An attempt to make room came to `st`: try again, or the wait is over. @return VFS_ELIMIT,
 * VFS_EOFFLINE, VFS_ECANCELED */
apr_status_t cachefs__dirty_wait(cache_t *c, const vfs_ctx_t *ctx, cachefs__dirty_wait_t *room,
                                 apr_status_t st);
/* Make room by flushing somebody. @return APR_NOTFOUND: nothing is dirty */
apr_status_t cachefs__flush_some(cache_t *c, const vfs_ctx_t *ctx);
/* The block became dirty; object and shard locked. */
void cachefs__dirty_add(cache_t *c, obj_t *o, uint32_t block, uint32_t granules);
/* A dirty block is clean: the policy has it again. Object and shard locked. */
void cachefs__dirty_to_clean(cache_t *c, obj_t *o, shard_t *s, uint32_t block);
/* It was written while it was flushed: it comes after all that was dirty before. Object and shard
 * locked. */
void cachefs__dirty_to_last(cache_t *c, obj_t *o, uint32_t block);
/* The object had its turn: if nothing is dirty any more it leaves the queue, else others come
 * first. Object locked. 1: the caller drops the queue's reference. */
int cachefs__dirty_done(cache_t *c, obj_t *o);
/* Its next flush is its first. Object locked. */
void cachefs__retry_over(cache_t *c, obj_t *o);
/* What failed is tried again later, each time after a longer wait, and told. Object locked. */
void cachefs__retry_later(cache_t *c, obj_t *o, apr_status_t st);
/* Throw away the dirty data of an object from byte `from` on. Flush begun by the caller. Returns
 * bytes. */
uint64_t cachefs__dirty_discard(cache_t *c, obj_t *o, uint64_t from);
/* Objects with dirty data in the order of their turn, referenced; returns how many. */
size_t cachefs__dirty_objs(cache_t *c, obj_t **out, size_t max);
/* All of them; *objs is the caller's to free. APR_ENOMEM, with none */
apr_status_t cachefs__dirty_all(cache_t *c, obj_t ***objs, size_t *count);
/* Since when the oldest dirty byte is dirty; INT64_MAX: nothing is. */
int64_t cachefs__dirty_oldest(cache_t *c);
/* The flusher looks at `at_us` at the latest. */
void cachefs__wb_wake(cache_t *c, int64_t at_us);
/* It looks now, and flushes all that is not waiting for another try. */
void cachefs__wb_hurry(cache_t *c);
/* When the object's dirty data is due. Object locked. */
/* Flush it soon, whatever its age is: by a worker, or now if all are busy. */
void cachefs__wb_queue(cache_t *c, obj_t *o);
int64_t cachefs__wb_due(cache_t *c, const obj_t *o);
apr_status_t cachefs__pending_error(cache_t *c, handle_t *h);
/* A chunk for copies on their way below, to be had by whoever waits. *size receives its bytes. */
apr_status_t cachefs__stage_get(cache_t *c, const vfs_ctx_t *ctx, uint32_t *chunk, size_t *size);
void cachefs__stage_put(cache_t *c, uint32_t chunk);
/* Settle it if the file changed below under our dirty data. Flush begun. *theirs: ours is not to be
 * written any more. */
apr_status_t cachefs__conflict(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, int *theirs);
/* The lower layer found one when it flushed what is staged, and put that beside: what became dirty
 * since goes the same way, and nothing of ours stays cached. */
void cachefs__conflict_below(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);

/* ---- doubt.c: calls below that failed, and may have been done */
/* An error that says that nothing was done. */
int cachefs__refused(apr_status_t st);
/* Note that the size below is not known any more. `cut`: what a truncation asked for, or
 * UINT64_MAX. */
void cachefs__doubt(cache_t *c, obj_t *o, uint64_t cut);
/* Ask for it if it is not known. The first with the flush begun by the caller. */
apr_status_t cachefs__settle(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
apr_status_t cachefs__obj_sure(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* The same before a read, which with serve_stale goes on with what is cached. */
apr_status_t cachefs__read_sure(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);

/* What became of a change of names that answered `st`. Asks below if that does not say it. */
typedef enum cachefs__done_e { DONE_NO = 0, DONE_YES, DONE_PERHAPS } cachefs__done_e;
cachefs__done_e cachefs__was_removed(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                     apr_status_t st);
cachefs__done_e cachefs__was_renamed(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *from,
                                     const vfs_path_t *to, uint32_t flags, const obj_t *source,
                                     apr_status_t st);
/* Is the name another file's after a commit that answered `st` and `attr`? */
cachefs__done_e cachefs__was_replaced(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                      const obj_t *o, apr_status_t st, const vfs_attr_t *attr);

/* ---- names.c, rename.c: the parent of a name that changes */
apr_status_t cachefs__parent_begin(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                   obj_t **parent);
void cachefs__parent_end(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path, obj_t *parent,
                         int changed);
/* 1: the open file has no name any more, 0: it has, -1: not known. */
int cachefs__is_removed(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* Another file has taken the name of this one, or may have. Flush begun, handle kept open. */
void cachefs__name_taken(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path, obj_t *o,
                         cachefs__done_e done);
/* Nobody may lose the file when its name goes: have a lower handle. 1: cachefs__lower_done is owed.
 */
int cachefs__keep_open(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* Nobody may lose the way to lock it: have lower handles for that. */
void cachefs__lock_keep(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
typedef struct cachefs__lockers_t cachefs__lockers_t;
/* Take them away (object locked), and close them. */
cachefs__lockers_t *cachefs__lock_take_spares(obj_t *o);
void cachefs__lock_end_spares(cachefs__lockers_t *spares);
/* The object of a name itself, referenced, or NULL; asks below, unless `always`, only if somebody
 * could lose a file otherwise. */
obj_t *cachefs__named_obj(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path, int always);
/* Whether the file still has this name cannot be known. It goes on without one, by its handle
 * below, until somebody comes by one of its names; without a handle there is nothing better than
 * this name. */
void cachefs__name_lost(cache_t *c, obj_t *o, const vfs_path_t *path);
/* The name is gone below. `last`: 1: it was the only one; 0: there are others; -1: nobody knows,
 * and what has the file's number from now on may be another file, so its version decides. */
void cachefs__name_gone(cache_t *c, obj_t *o, const vfs_path_t *path, int last);
/* A name of it is gone below: was that the last one? */
int cachefs__was_last_name(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* Forget all names within a path. */
void cachefs__drop_tree(cache_t *c, const vfs_path_t *path);
/* Count a change below that began at `start`. */
void cachefs__observe_change(cache_t *c, int64_t start);
/* One object is flushed if it may be below a directory. */
apr_status_t cachefs__flush_within(cache_t *c, obj_t *o, const vfs_ctx_t *ctx,
                                   const vfs_path_t *dir);
/* batch.c: what is below a directory is flushed, with the help of the workers. Nobody who claimed a
 * name calls it: they may wait for that. */
apr_status_t cachefs__flush_many(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *dir);
/* The same by the caller alone. */
apr_status_t cachefs__flush_tree(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *dir);
/* dir.c: content of a version that is no file's: listings and link texts */
void cachefs__content_put(cache_t *c, obj_t *o, const void *bytes, uint64_t len, uint64_t asked);
char *cachefs__content_get(cache_t *c, obj_t *o, uint64_t *len);
/* saved.c: leave what is known of names in the store, nothing else running any more; and take what
 * the last run left, before the first call */
void cachefs__names_save(cache_t *c);
void cachefs__names_take(cache_t *c);

/* ---- control.c, batch.c, figures.c */
/* The cache that the layer is; NULL: it is none. */
static inline cache_t *cachefs__if_cache(vfs_t *fs)
{
    return cachefs_is(fs) ? cachefs__of(fs) : NULL;
}
#define CACHE_OF(c, fs)                                                                            \
    cache_t *c = cachefs__if_cache(fs);                                                            \
    if (!c) return APR_EINVAL
/* Find objects with dirty data by their names: the node may have been evicted or cleared, what is
 * dirty stays. Objects come referenced; the array is sorted. One look at the dirty queue for all.
 */
typedef struct cachefs__wanted_t {
    const vfs_path_t *path;
    obj_t *obj; /* NULL: none has this name */
    size_t tag; /* the caller's */
} cachefs__wanted_t;
void cachefs__dirty_named(cache_t *c, cachefs__wanted_t *wanted, size_t count);

/* ---- layer.c, handle.c, control.c, tuner.c */
void cachefs__log(cache_t *c, int level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void cachefs__tunables(cache_t *c);
int cachefs__glob_valid(const char *pattern);
/* Memory pressure, 0 to 1, by the control group (v1 or v2) and the machine's stall information
 * below `root`. */
double cachefs__pressure(const char *root);
apr_status_t cachefs__tune_start(cache_t *c);
void cachefs__tune_stop(cache_t *c);
apr_status_t cachefs__metrics_create(cache_t *c);
/* The version that may end, and where its blocks are. Object locked. */
cachefs__dropped_t cachefs__obj_was(const obj_t *o);
void cachefs__obj_drop_clean(cache_t *c, obj_t *o, uint64_t *dirty);
/* Objects, used or free by now, have numbers from 1 up to this one. */
uint32_t cachefs__objs_end(cache_t *c);
/* Likewise, but what a store has of it stays: it is believed when the lower layer was asked. */
void cachefs__obj_drop_memory(cache_t *c, obj_t *o);
/* The same in two steps: the first with the object locked, the second without. */
void cachefs__obj_drop_begin(cache_t *c, obj_t *o, uint64_t *dirty, cachefs__dropped_t *out);
void cachefs__obj_drop_end(cache_t *c, obj_t *o, const cachefs__dropped_t *was);
/* An open file with the caller's reference. NULL: handles_max are open. */
handle_t *cachefs__handle_new(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint32_t flags);
/* The same, and note the object's name as cachefs__obj_name_seen does: *good is its answer. */
handle_t *cachefs__handle_named(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint32_t flags,
                                const vfs_path_t *path, uint64_t asked, uint32_t attr_flags,
                                int *good);
/* Keep the lower handle open between two calls, as an open file does. */
void cachefs__hold(cache_t *c, obj_t *o, cachefs__holder_t *k);
void cachefs__unhold(cache_t *c, cachefs__holder_t *k);
/* All objects that are open or have dirty data, once each and referenced; *objs is the caller's to
 * free. @return APR_ENOMEM, with none */
apr_status_t cachefs__open_objs(cache_t *c, obj_t ***objs, size_t *count);
/* A file that is read by its path, without a handle of the caller's: looked up, and kept open as
 * long as it is used. obj NULL: nothing to end. Of what is no file only the attributes come. */
typedef struct cachefs__use_t {
    obj_t *obj;
    vfs_file_t *file;
    cachefs__holder_t holder;
} cachefs__use_t;
apr_status_t cachefs__use_begin(cachefs__use_t *use, cache_t *c, const vfs_ctx_t *ctx,
                                const vfs_path_t *path, unsigned want, vfs_attr_t *attr,
                                vfs_validator_t *validator);
void cachefs__use_end(cachefs__use_t *use, cache_t *c);
/* Bytes that are borrowed or protected. */
uint64_t cachefs__pinned(const cache_t *c);
/* Free the references that threads kept. Nobody borrows any more. */
void cachefs__refs_end(cache_t *c);

/* ---- handle_pool.c */
/* Reserve one of handles_max. 0: all are in use. */
int cachefs__handle_take(cache_t *c);
void cachefs__handle_give(cache_t *c);
/* Files and directories that are open. Who claims a name and then misses an open file here is seen
 * by whoever opens it: that goes on only if its name is believed. */
uint64_t cachefs__handles_open(cache_t *c);
handle_t *cachefs__handle_alloc(cache_t *c);
void cachefs__handle_free(cache_t *c, handle_t *h);
void cachefs__handles_destroy(cache_t *c);

/* ---- events.c */
apr_status_t cachefs__events_start(cache_t *c);
void cachefs__events_stop(cache_t *c);
void cachefs__on_event(void *baton, uint32_t events, const char *raw);

/* the ops */
#define VFS_OP_FS(name, class, params, args, doc)                                                  \
    apr_status_t cachefs_op_##name(vfs_t *fs, VFS_UNPACK params);
#define VFS_OP_FILE(name, class, params, args, doc)                                                \
    apr_status_t cachefs_op_##name(vfs_file_t *file, VFS_UNPACK params);
#define VFS_OP_DIR(name, class, params, args, doc)                                                 \
    apr_status_t cachefs_op_##name(vfs_dir_t *dir, VFS_UNPACK params);
#include "vfs/vfs_ops.def"
apr_status_t cachefs_op_open(vfs_file_t **file, vfs_t *fs, const vfs_ctx_t *ctx,
                             const vfs_path_t *path, uint32_t flags, uint32_t mode,
                             vfs_attr_t *attr, vfs_validator_t *validator);
apr_status_t cachefs_op_opendir(vfs_dir_t **dir, vfs_t *fs, const vfs_ctx_t *ctx,
                                const vfs_path_t *path, uint32_t flags);
apr_status_t cachefs_op_close(vfs_file_t *file, const vfs_ctx_t *ctx);
apr_status_t cachefs_op_closedir(vfs_dir_t *dir);
apr_status_t cachefs_op_copy_range(vfs_file_t *src, const vfs_ctx_t *ctx, apr_off_t src_off,
                                   vfs_file_t *dst, apr_off_t dst_off, size_t len, size_t *copied);
apr_status_t cachefs_op_destroy(vfs_t *fs);

#endif
