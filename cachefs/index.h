/*
 * index.h - what is cached: pools, blocks, objects, names. Included by engine.h, which has the
 * types. Floor 2, private to cachefs/ and its tests.
 */
#ifndef CACHEFS_INDEX_H
#define CACHEFS_INDEX_H

/* ---- table.c: pools and room */
apr_status_t cachefs__tables_create(cache_t *c);
void cachefs__tables_destroy(cache_t *c);
uint32_t cachefs__pool_get(cache_t *c, cachefs__pool_t *pool);
/* The same without making room, for a caller with a lock. */
uint32_t cachefs__pool_take(cache_t *c, cachefs__pool_t *pool);
void cachefs__pool_put(cache_t *c, cachefs__pool_t *pool, uint32_t i);
/* A chunk of at least `bytes`, for `owner` (arena.h). Makes room by eviction unless `low`. 0: none
 * to be had. */
uint32_t cachefs__chunk_get(cache_t *c, uint64_t bytes, uint32_t owner, uint32_t hint, int low);
void cachefs__chunk_put(cache_t *c, uint32_t chunk);
/* Evict something; 0: nothing can go. */
int cachefs__evict_one(cache_t *c, uint32_t hint);
/* What an emptied slab is wanted for: a chunk, or, without a class, whatever comes. */
typedef struct cachefs__wish_t {
    unsigned cls;
    uint32_t owner;
    uint32_t chunk; /* receives it */
} cachefs__wish_t;
#define WISH_SLAB                                                                                  \
    {                                                                                              \
        ARENA_CLASSES, 0, 0                                                                        \
    }
/* compact.c: free a slab whose blocks fit into others of its class. 0: there is none. */
int cachefs__compact(cache_t *c, cachefs__wish_t *wish);
/* Evict until at most `target` bytes of slabs are in use. Returns what is in use. */
uint64_t cachefs__shrink(cache_t *c, uint64_t target);

/* ---- room.c: waiting for room */
/* Around work that holds memory that nobody can evict; `held`: it got some. */
void cachefs__room_hold(cache_t *c);
void cachefs__room_free(cache_t *c, int held);
/* What was tried in vain; all 0 at first, and after each success. */
typedef struct cachefs__patience_t {
    unsigned flushes, idle;
} cachefs__patience_t;
/* There was no room: flush something, or wait until others free what they hold, and try again.
 * VFS_ELIMIT: there will be none; or the caller's deadline or cancel flag. No gate held. */
apr_status_t cachefs__room_wait(cache_t *c, const vfs_ctx_t *ctx, cachefs__patience_t *patience);

/* ---- pieces.c */
/* Memory of a call: one piece or several, which follow each other in the file. */
typedef struct cachefs__pieces_t {
    const vfs_iovec_t *iov;
    size_t count;
} cachefs__pieces_t;
/* Its bytes [pos, pos + n) if they lie in one piece, else NULL. */
void *cachefs__pieces_at(const cachefs__pieces_t *m, uint64_t pos, uint64_t n);
uint64_t cachefs__pieces_bytes(const cachefs__pieces_t *m);
/* Copy them out, for a block that is being changed. */
void cachefs__pieces_copy(const cachefs__pieces_t *m, uint64_t pos, uint64_t n, void *shared);
/* As pieces of their own, at most `max`: *count of them. Returns their bytes. */
uint64_t cachefs__pieces_slice(const cachefs__pieces_t *m, uint64_t pos, uint64_t n,
                               vfs_iovec_t *out, size_t max, size_t *count);

/* ---- block.c, hit.c: the block index */
/* Copy [boff, boff + n) of a block without a lock. 0: not there, not whole, or it moved. */
int cachefs__block_copy(cache_t *c, uint64_t ver, uint32_t no, uint32_t shift, uint32_t boff,
                        uint32_t n, void *dst);
/* Copy what there is of [boff, boff + n), from boff on, under the shard's lock: for blocks that
 * are changing, and for what lies behind their memory; `use`: it counts as a use. Returns how many
 * bytes. */
uint32_t cachefs__block_read(cache_t *c, uint64_t ver, uint32_t no, uint32_t shift, uint32_t boff,
                             uint32_t n, int use, uint8_t *dst);
/* The same of an entry, its shard locked. */
uint32_t cachefs__block_read_locked(cache_t *c, uint32_t i, uint32_t shift, uint32_t boff,
                                    uint32_t n, int use, uint8_t *dst);
/* All of [boff, boff + n) into pieces at `pos`, without a lock, from one state of the block. 0: it
 * is not there. */
int cachefs__block_scatter(cache_t *c, uint64_t ver, uint32_t no, uint32_t shift, uint32_t boff,
                           uint32_t n, const cachefs__pieces_t *to, uint64_t pos);
/* The block, its shard locked. NONE: not there. */
uint32_t cachefs__block_find(cache_t *c, uint64_t ver, uint32_t no, uint32_t mix);
/* Put bytes into a block, making it if there is room. `valid`: granules that are wholly known once
 * the bytes are in (bytes of them that are not given and not valid yet become zero). */
typedef struct cachefs__put_t {
    uint64_t ver;
    uint32_t no, shift;
    uint32_t from, to; /* bytes given, within the block */
    const void *bytes; /* NULL: they are `pieces`, from pos on */
    const cachefs__pieces_t *pieces;
    uint64_t pos;
    uint32_t valid;
    uint32_t leans;   /* those of `valid` that are known only because they were valid before */
    int only_missing; /* a fill: granules that are valid already stay as they are */
    int dirty;        /* becomes dirty: caller holds the object's lock */
    int low;          /* use free memory only */
    int ahead;        /* brought by read-ahead: so is `first` */
    int first; /* nobody asked for all of it yet, and who comes next uses it for the first time */
    int existing;   /* do not make the block */
    int keep;       /* protected */
    int wanted;     /* somebody said that he will read it: see cachefs__block_wanted */
    uint32_t end;   /* bytes of the block that the file has: sizes the memory */
    uint32_t chunk; /* private memory that holds the bytes from 0 on, to become the block's; 0:
                       none. Taken over in any case */
} cachefs__put_t;
apr_status_t cachefs__block_put(cache_t *c, obj_t *o, const cachefs__put_t *put);
/* Somebody said that he will read the block: it counts as used, so that policies that keep
 * newcomers apart keep it over what is colder. Returns what is valid of it, 0 if it is not there.
 */
uint32_t cachefs__block_wanted(cache_t *c, uint64_t ver, uint32_t no);
/* Write over bytes that are valid and in memory. 0: they are lent to somebody; else the change goes
 * on until cachefs__block_overwritten. Shard locked. */
int cachefs__block_overwrite(cache_t *c, uint32_t i, uint32_t from, uint32_t to, const void *bytes);
void cachefs__block_overwritten(cache_t *c, uint32_t i);
/* Other memory of the same class, all of it free, becomes the block's. 0: somebody borrows the
 * bytes. Shard locked. */
int cachefs__block_move(cache_t *c, uint32_t i, uint32_t chunk);
/* Take a block out of everything, shard locked. */
void cachefs__block_free(cache_t *c, shard_t *s, uint32_t i);
/* Forget granules of a clean block, or, with `zero`, set [from, to) to zero. */
void cachefs__block_cut(cache_t *c, uint64_t ver, uint32_t no, uint32_t shift, uint32_t from,
                        uint32_t to, int zero);
/* It is used for the first time, which the policy knows from its coming. */
void cachefs__block_first_used(cache_t *c, block_t *b);
/* Is the block there, and, with `used`, no longer one that was read ahead and not used yet? */
int cachefs__block_is_there(cache_t *c, uint64_t ver, uint32_t no, int used);
void cachefs__touch_drain(cache_t *c, ring_t *ring);
uint32_t cachefs__valid_mask(cache_t *c, uint64_t ver, uint32_t no, int *dirty);

/* ---- drop.c: clean blocks that go */
/* Drop a clean block. Returns 1 if it was there and clean, -1 if it is dirty. */
int cachefs__block_drop(cache_t *c, uint64_t ver, uint32_t no);
/* Drop the clean blocks of a version (0: of all) from number `first` on, by a look at every entry:
 * what comes meanwhile may stay. */
void cachefs__blocks_drop(cache_t *c, uint64_t ver, uint64_t first);
/* Entries of blocks that were ever in use are below it. */
uint32_t cachefs__blocks_end(cache_t *c);
/* A version of a file, and how many bytes of it there were. */
typedef struct cachefs__dropped_t {
    uint64_t ver, size;
    uint32_t shift;
} cachefs__dropped_t;
/* Drop the clean blocks of a version below `size`. */
void cachefs__version_drop(cache_t *c, obj_t *o, uint64_t ver, uint64_t size, uint32_t shift);
/* The same of many versions: set `cache`, and `count` to 0, add each, and run what is left. */
#define DROPS_MAX 1024u
typedef struct cachefs__drops_t {
    cache_t *cache;
    size_t count;
    uint64_t ver[DROPS_MAX];
    uint32_t no[DROPS_MAX], shard[DROPS_MAX];
} cachefs__drops_t;
void cachefs__drops_add(cachefs__drops_t *d, const obj_t *o, const cachefs__dropped_t *was);
void cachefs__drops_run(cachefs__drops_t *d);
/* Places in `order`, those of one key side by side. Keys are below `keys`. */
#define SORT_KEYS_MAX 1024u
void cachefs__sort_by(const uint32_t *key, uint32_t keys, size_t count, uint32_t *order);

/* ---- keep.c: who holds a clean block */
/* Reserve `bytes` of pin_bytes_max, and give them back. 0: there are not so many. */
int cachefs__pin_take(cache_t *c, uint64_t bytes);
void cachefs__pin_give(cache_t *c, uint64_t bytes);
/* The policy holds the block from now on, or not any more. Shard locked. */
void cachefs__block_list(cache_t *c, shard_t *s, uint32_t i);
void cachefs__block_unlist(cache_t *c, shard_t *s, uint32_t i);
/* It is not protected any more, and nobody's if it is clean. Shard locked. */
void cachefs__block_unprotect(cache_t *c, uint32_t i);
/* Protect it if `keep` says so and the limit allows; if it is clean and nobody's the policy gets
 * it. Shard locked. */
void cachefs__block_rest(cache_t *c, shard_t *s, uint32_t i, int keep);
/* Protect a block from eviction, or stop it. VFS_ELIMIT: pin_bytes_max. */
apr_status_t cachefs__block_keep(cache_t *c, uint64_t ver, uint32_t no, int keep);
/* The same for all blocks of a version that has `count` numbers; ends at the first that is refused.
 */
apr_status_t cachefs__version_keep(cache_t *c, uint64_t ver, uint64_t count, int keep);

/* ---- claim.c */
typedef struct cachefs__mut_t {
    uint32_t slot[2];
    uint64_t was[2];         /* what the slots held before */
    const vfs_path_t *a, *b; /* the names; b may be NULL */
    int count;
    int tree;  /* a directory moves */
    int below; /* counted in names_below */
    uint64_t asked;
} cachefs__mut_t;
/* What the caller holds of the name that an answer is about. */
typedef enum cachefs__claim_e { CLAIM_NONE, CLAIM_NAME, CLAIM_BELOW } cachefs__claim_e;
static inline cachefs__claim_e cachefs__claim_of(const cachefs__mut_t *m)
{
    return m->below ? CLAIM_BELOW : m->count ? CLAIM_NAME : CLAIM_NONE;
}
/* A change of one or two names (b may be NULL) begins: others who change them wait; no look-up that
 * overlaps is kept. */
apr_status_t cachefs__mut_begin(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *a,
                                const vfs_path_t *b, cachefs__mut_t *m);
void cachefs__mut_end(cache_t *c, cachefs__mut_t *m, int tree);
/* The names were claimed so that nobody changes them, and are as they were. */
void cachefs__mut_release(cache_t *c, cachefs__mut_t *m);
/* Nobody changed the claimed names between `asked` and the claim, or moved a directory since. */
int cachefs__mut_found_quiet(cache_t *c, const cachefs__mut_t *m, uint64_t asked);
/* A directory is about to move: until cachefs__mut_end no answer about any name is kept, and no
 * other change of a name is below. Waits for those that are. */
apr_status_t cachefs__mut_tree(cache_t *c, const vfs_ctx_t *ctx, cachefs__mut_t *m);
/* All is ready: the change goes below, and from here to cachefs__mut_end we wait for no gate, no
 * flush and no lower handle. Waits for a directory that moves. */
apr_status_t cachefs__mut_below(cache_t *c, const vfs_ctx_t *ctx, cachefs__mut_t *m);
/* Below no more, alone or not, and no name has changed: they are claimed as before. */
void cachefs__mut_back(cache_t *c, cachefs__mut_t *m);
/* Wait until nobody is changing this name, or a tree, below. Who only claimed it is not waited for:
 * he may be waiting for us. */
apr_status_t cachefs__mut_wait(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path);
/* Wait until nobody changes the name, or only claims it, until `until_us` at the latest. */
void cachefs__mut_settle(cache_t *c, const vfs_path_t *path, int64_t until_us);
/* Nobody changed the name since `asked`, or is about to. */
int cachefs__name_quiet(cache_t *c, const vfs_path_t *path, uint64_t asked);
/* The same, but for the caller's own change of the name. */
int cachefs__name_believed(cache_t *c, const vfs_path_t *path, uint64_t asked,
                           cachefs__claim_e mine);

/* Somebody changes the name, or a tree, at this moment, or claimed it for that. */
int cachefs__mut_under_way(cache_t *c, const vfs_path_t *path);

/* ---- identity.c, obj.c: objects, identities, gates, lower handles */
obj_t *cachefs__obj_get(cache_t *c, const vfs_attr_t *attr, int *made);
/* The same, by its path where the backend gave no number, as it answered at `asked`; `mine`: the
 * caller claimed the name. */
obj_t *cachefs__obj_at(cache_t *c, const vfs_attr_t *attr, const vfs_path_t *path, uint64_t asked,
                       cachefs__claim_e mine, int *made);
/* What is known by its path has another one: whoever was known by that is not any more. */
void cachefs__obj_moved(cache_t *c, obj_t *o, const vfs_path_t *path);
void cachefs__obj_ref(obj_t *o);
/* A reference for who has none. 0: nobody has any. */
static inline int cachefs__obj_ref_if_used(obj_t *o)
{
    uint32_t refs = atomic_load_explicit(&o->refs, memory_order_relaxed);
    while (refs > 0)
        if (atomic_compare_exchange_weak(&o->refs, &refs, refs + 1)) return 1;
    return 0;
}
void cachefs__obj_unhash(cache_t *c, obj_t *o);
void cachefs__obj_put(cache_t *c, obj_t *o);
/* A new version: everything cached of the old one is unreachable. Object locked. */
void cachefs__obj_new_version(cache_t *c, obj_t *o);
/* Take what the lower layer said at `asked` (mut_seq before the call). Object not locked. Returns 1
 * if the version changed. */
int cachefs__obj_learn(cache_t *c, obj_t *o, const vfs_attr_t *attr, const vfs_validator_t *val,
                       uint64_t asked);
/* The same for an open file: bytes that are younger than the backend's clock are doubted at opens
 * only. */
int cachefs__obj_learn_open(cache_t *c, obj_t *o, const vfs_attr_t *attr,
                            const vfs_validator_t *val, uint64_t asked);
/* Can it be the same file? Without identities everything can, and with no object. */
int cachefs__may_be(const obj_t *o, const vfs_attr_t *attr);
/* What a file in doubt (doubt.c) is below: that it changed was our doing, or not. Flush begun, no
 * change of ours under way. */
void cachefs__obj_settle(cache_t *c, obj_t *o, const vfs_attr_t *attr, const vfs_validator_t *val);
/* Our own change of the file below begins and ends, whatever of it moves its validator: bytes,
 * size, times, mode, names. Answers that were under way meanwhile are not believed (invariant 18).
 * The begin answers `since`. */
uint64_t cachefs__obj_change_begin(cache_t *c, obj_t *o);
/* The same for bytes that the journal has. */
uint64_t cachefs__obj_flush_begin(cache_t *c, obj_t *o);
void cachefs__obj_change_end(cache_t *c, obj_t *o, int changed);
/* The same; `val`, which the change brought, is the file's if no other change of ours overlapped.
 * NULL: none came. */
void cachefs__obj_changed(cache_t *c, obj_t *o, int changed, uint64_t since,
                          const vfs_validator_t *val);
/* Both of these with the object locked. */
uint64_t cachefs__obj_change_open(cache_t *c, obj_t *o);
void cachefs__obj_change_shut(cache_t *c, obj_t *o, int changed, uint64_t since,
                              const vfs_validator_t *val);
/* No change of ours overlapped the question that was put at `asked`. Object locked. */
static inline int cachefs__obj_quiet(const obj_t *o, uint64_t asked)
{
    return !o->changing && o->changed_seq <= asked;
}
/* An object that was just made for an answer: its file had another one, whose changes ended after
 * the question was put. The answer may be older than what the stack knew: ask again. */
int cachefs__obj_outdates(cache_t *c, obj_t *o, uint64_t asked);
/* The attributes as the stack sees them, but for VFS_ATTR_DIRECT, which a name has and no file.
 * Object locked. */
void cachefs__obj_attr(const obj_t *o, vfs_attr_t *out);
/* The same where the lower layer told `told` during this call: if that was not learned, since a
 * change of ours is under way, what we knew is older than what we did before. `told` may be `out`;
 * it says whether the way was direct. Object locked. */
void cachefs__obj_attr_told(const obj_t *o, const vfs_attr_t *told, vfs_attr_t *out);
/* Its version as the stack sees it: not known while it has changes of ours that the lower layer's
 * last answer did not. Object locked. */
void cachefs__obj_validator(const obj_t *o, vfs_validator_t *out);
/* So many bytes of a file of `size` may take room that was not told: at most what it can be. */
static inline void cachefs__attr_grow(vfs_attr_t *attr, uint64_t size, uint64_t bytes)
{
    uint64_t room = attr->allocated < size ? size - attr->allocated : 0;
    attr->allocated += bytes < room ? bytes : room;
}
/* What the stack sees in attributes that the lower layer told: ours counts where it is not below.
 */
static inline void cachefs__obj_dress(vfs_attr_t *attr, uint64_t size, uint64_t dirty,
                                      int64_t mtime_ns)
{
    if (attr->type == VFS_TYPE_FILE) {
        attr->size = size;
        cachefs__attr_grow(attr, size, dirty);
    }
    if (mtime_ns) attr->mtime_ns = attr->ctime_ns = mtime_ns;
}
/* Does nobody know the version of what the stack sees? */
static inline int cachefs__obj_version_open(uint32_t flags, uint64_t dirty, int64_t mtime_ns)
{
    return (flags & OBJ_OWN_CHANGE) || dirty || mtime_ns;
}
/* These are its attributes from now on. Object locked. */
void cachefs__obj_keep_attr(cache_t *c, obj_t *o, const vfs_attr_t *attr);
int cachefs__obj_fresh(cache_t *c, const obj_t *o, uint64_t ttl_us);
/* In write-back, make the gate of a change that may go around the cache one of whole blocks: so
 * nobody makes a block of it dirty meanwhile, and what it replaced can be forgotten. */
void cachefs__gate_widen(const cache_t *c, gate_t *gate);
/* Wait until no gate overlaps, then enter. A fill that waited for another fill gets its status and
 * `*waited` set, and is NOT entered: look again. */
apr_status_t cachefs__gate_enter(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, gate_t *gate,
                                 int *waited);
/* Somebody's gate that overlaps [from, to), or NULL. Object locked. */
gate_t *cachefs__gate_met(const obj_t *o, uint64_t from, uint64_t to);
/* A gate that others may take away (patience_us) is ours until it is left. 0: it is no more, and
 * nothing that was read under it counts. */
int cachefs__gate_keep(cache_t *c, obj_t *o, gate_t *gate);
void cachefs__gate_leave(cache_t *c, obj_t *o, gate_t *gate, apr_status_t status);
/* The lower handle that serves, opened when first needed, counted as in use until
 * cachefs__lower_done. */
typedef enum cachefs__lower_e {
    LOWER_READ = 0,
    LOWER_WRITE,
    LOWER_ANY /* to ask for attributes, or change them */
} cachefs__lower_e;
apr_status_t cachefs__lower_use(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, cachefs__lower_e how,
                                vfs_file_t **file);
/* Does nobody need the lower handles any more? Then they are taken, and closed without a lock: the
 * first two with the object locked. */
typedef struct cachefs__lowers_t {
    vfs_file_t *file, *writer, *old;
    int staged;     /* to close them is a flush of what the lower layer held back */
    int committing; /* and they have the flag for that */
} cachefs__lowers_t;
int cachefs__lower_unused(const obj_t *o);
cachefs__lowers_t cachefs__lower_take(obj_t *o);
apr_status_t cachefs__lower_close(cache_t *c, obj_t *o, const cachefs__lowers_t *l);
void cachefs__lower_done(cache_t *c, obj_t *o);
/* A gate and the lower handle at once, where there is nothing to wait for and nothing to open.
 * NULL: neither, so step by step. Then the end of both; what it returns is to be closed without the
 * lock. Object locked. */
vfs_file_t *cachefs__gate_lower(obj_t *o, gate_t *gate, cachefs__lower_e how);
cachefs__lowers_t cachefs__gate_lower_end(cache_t *c, obj_t *o, gate_t *gate, apr_status_t status);
/* The lower handle if there is one, counted as in use; else NULL. Waits for nobody. */
vfs_file_t *cachefs__lower_here(cache_t *c, obj_t *o);
/* Close the lower handle if nobody needs it any more. */
void cachefs__lower_idle(cache_t *c, obj_t *o);
/* Give the object a lower handle that an open brought; closed if it has a better one. */
void cachefs__lower_adopt(cache_t *c, obj_t *o, vfs_file_t *file, uint32_t flags);
apr_status_t cachefs__wait(pthread_cond_t *cond, pthread_mutex_t *lock, const vfs_ctx_t *ctx,
                           int64_t until_us);
/* Wait until cachefs__obj_wake, or for less: look again. Object locked. */
apr_status_t cachefs__obj_wait(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, int64_t until_us);
void cachefs__obj_wake(cache_t *c, const obj_t *o);
/* The object has this name, by whoever changes it right now. */
/* The same if `path` is the name that it had; else 0, and see above. Object locked or looked at. */
int cachefs__obj_name_confirmed(cache_t *c, obj_t *o, const vfs_path_t *path, uint64_t asked,
                                uint32_t attr_flags);
void cachefs__obj_set_name(cache_t *c, obj_t *o, const vfs_path_t *path);
/* The object, which somebody has open, had this name at `asked`. `attr_flags`: VFS_ATTR_DIRECT, or
 * the name leads through a symbolic link, and is taken if it has no other. 0: not noted, since a
 * change of ours overlaps (other than the caller's, if it is his, `mine`), or for want of memory;
 * it may have no name then, and lives by its handle below. */
int cachefs__obj_name_seen(cache_t *c, obj_t *o, const vfs_path_t *path, uint64_t asked,
                           cachefs__claim_e mine, uint32_t attr_flags);
/* The name of an object, for a call below. Object locked. @return APR_NOTFOUND without one */
apr_status_t cachefs__obj_name(cache_t *c, const obj_t *o, vfs_path_t *out, char *buf);
/* ---- doubt_name.c: names after renames that failed and may have been done */
/* A rename: what was within `from` is within `to`, with `swap` the other way round too. Not `sure`:
 * or where it was. */
typedef struct cachefs__move_t {
    const vfs_path_t *from, *to;
    int swap, sure;
} cachefs__move_t;
/* The name, or, from 1 on, a further one that it may have. 0: it has not so many. Object locked. */
int cachefs__obj_name_nth(cache_t *c, const obj_t *o, unsigned nth, vfs_path_t *out, char *buf);
/* All names that it may have follow the move. */
void cachefs__names_move(cache_t *c, obj_t *o, const cachefs__move_t *move);
/* The same after a move that may have been done, for who has nothing but its name. */
void cachefs__name_doubt(cache_t *c, obj_t *o, const cachefs__move_t *move);

/* ---- opener.c: by whose rights a file is open */
typedef struct cachefs__creds_t cachefs__creds_t;
/* `ctx` opened the object just now. */
void cachefs__opener_note(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* Nobody has it open any more. Object locked. Returns what is to be freed. */
cachefs__creds_t *cachefs__opener_end(obj_t *o);
/* Call `fn` as who has the object open, where `ctx` itself was refused. APR_EACCES: nobody has. */
typedef apr_status_t (*cachefs__open_fn)(void *baton, const vfs_ctx_t *ctx);
apr_status_t cachefs__as_opener(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, cachefs__open_fn fn,
                                void *baton);

/* ---- node.c, peek.c: names */
typedef enum cachefs__known_e {
    KNOWN_NOTHING = 0,
    KNOWN_ABSENT,
    KNOWN_STALE,
    KNOWN_FRESH
} cachefs__known_e;
/* What is known of a path. An object comes referenced. `said`: NODE_NEGATIVE and NODE_DIRECT as the
 * name has them. */
cachefs__known_e cachefs__node_find(cache_t *c, const vfs_path_t *path, int follow, obj_t **obj,
                                    unsigned *said);
/* The object that a name leads to as long as the name is trusted, however old its attributes are.
 * It comes referenced, with how long they are trusted. 0: ask. */
int cachefs__node_named(cache_t *c, const vfs_path_t *path, obj_t **obj, uint64_t *ttl);
/* The same as cachefs__node_find without a lock or a reference, and with what the object's
 * attributes are if it is fresh; `want` LOOKUP_FOLLOW or 0. Other answers than fresh and absent
 * say: look again, with locks. */
cachefs__known_e cachefs__peek(cache_t *c, const vfs_path_t *path, unsigned want, vfs_attr_t *attr,
                               vfs_validator_t *validator);
/* What is cached of a path, without a lock. 0: look with locks. The two others fetch what it needs
 * into the processor's cache, one after the other. */
int cachefs__peek_entry(cache_t *c, const vfs_path_t *path, int64_t now_us, cachefs_entry_t *e);
void cachefs__peek_head(cache_t *c, const vfs_path_t *path);
void cachefs__peek_node(cache_t *c, const vfs_path_t *path);
/* As cachefs__peek; an object that is fresh comes referenced. */
cachefs__known_e cachefs__peek_ref(cache_t *c, const vfs_path_t *path, unsigned want,
                                   vfs_attr_t *attr, vfs_validator_t *validator, obj_t **obj);
/* Note what the lower layer answered at `asked`. obj NULL: absent. */
void cachefs__node_set(cache_t *c, const vfs_path_t *path, int follow, obj_t *obj,
                       uint32_t attr_flags, uint64_t asked);
/* Was the way to a name direct? As a flag of attributes. */
static inline uint32_t cachefs__node_direct(unsigned said)
{
    return said & NODE_DIRECT ? VFS_ATTR_DIRECT : 0;
}
/* Both nodes of a path, [1] for what its link leads to. Objects come referenced. Shard locked. */
typedef struct cachefs__names_t {
    obj_t *obj[2];
    cachefs__known_e known[2];
    unsigned said[2];
    uint64_t ttl_us[2];
} cachefs__names_t;
void cachefs__names_locked(cache_t *c, shard_t *s, const vfs_path_t *path, int expire,
                           int64_t now_us, cachefs__names_t *out);
/* Forget a name. Returns its object, referenced, or NULL. */
obj_t *cachefs__node_drop(cache_t *c, const vfs_path_t *path);
void cachefs__name_drop(cache_t *c, const vfs_path_t *path);
/* Drop one node: the lower layer answered that the name leads nowhere, and it is not to be kept. */
void cachefs__node_forget(cache_t *c, const vfs_path_t *path, int follow, uint64_t asked);
/* Make the name ask again; its bytes stay. */
/* Its node, of the path itself, is as old as if it had been asked for then. */
void cachefs__node_aged(cache_t *c, const vfs_path_t *path, int64_t checked_us);
void cachefs__node_expire_name(cache_t *c, const vfs_path_t *path);
/* As cachefs__node_set, by whoever changes the name right now (cachefs__mut_begin). */
void cachefs__node_put(cache_t *c, const vfs_path_t *path, int follow, obj_t *obj,
                       uint32_t attr_flags, uint64_t asked);
int cachefs__node_kept(const cache_t *c, const node_t *n);
int cachefs__node_evict(cache_t *c, shard_t *s);
void cachefs__node_free(cache_t *c, shard_t *s, uint32_t i);
/* Is the path a cached name of the object? */
int cachefs__node_leads(cache_t *c, const vfs_path_t *path, const obj_t *o);
/* Is the entry a node of this shard and hash? Shard locked. */
int cachefs__node_linked(cache_t *c, shard_t *s, uint32_t i, uint32_t hash);

/* ---- branch.c: the tree of names */
/* A node with its path comes into the tree, or goes. Shard locked. 0: no entry for its directory
 * can be had without making room, see cachefs__branch_room. */
int cachefs__branch_add(cache_t *c, uint32_t node);
void cachefs__branch_remove(cache_t *c, uint32_t node);
int cachefs__branch_room(cache_t *c);
/* Are names cached below the path? */
int cachefs__branch_is(cache_t *c, const vfs_path_t *path);
/* Visit the nodes below a path, not that of the path itself. A batch of them may be gone by the
 * time it is looked at. */
typedef struct cachefs__met_t {
    uint32_t node, hash;
} cachefs__met_t;
void cachefs__walk_begin(cache_t *c, cachefs__walk_t *w, const vfs_path_t *path);
size_t cachefs__walk_some(cache_t *c, cachefs__walk_t *w, cachefs__met_t *met, size_t max);
void cachefs__walk_end(cache_t *c, cachefs__walk_t *w);

/* ---- sweep.c */
typedef enum cachefs__sweep_e {
    SWEEP_EXPIRE = 0, /* ask again */
    SWEEP_DOUBT,      /* the same, and drop the clean bytes in memory */
    SWEEP_CLEAN,      /* the same, and in the store */
    SWEEP_FORGET      /* drop the names */
} cachefs__sweep_e;
/* Every name within `below` for which `match` says so (NULL: all); returns how many nodes. *dirty
 * grows by the bytes that stay since they are dirty; may be NULL. */
typedef int (*cachefs__match_fn)(void *baton, const vfs_path_t *path);
uint64_t cachefs__node_sweep(cache_t *c, const vfs_path_t *below, cachefs__match_fn match,
                             void *baton, cachefs__sweep_e how, uint64_t *dirty);

#endif
