/*
 * tier.h - the disk tier's place in the engine: what may go there, what may come from there.
 * Included by engine.h, which has the types. Floor 2, private to cachefs/ and its tests.
 */
#ifndef CACHEFS_TIER_H
#define CACHEFS_TIER_H

/* The bytes of a version that the lower layer knows by `validator`, as the tier knows them. */
typedef struct cachefs__tier_key_t {
    cachefs__l2_key_t key;
    vfs_validator_t validator;
    uint64_t ver, size; /* of the object when the key was made */
} cachefs__tier_key_t;

/* Open the store, and the tier in it. A tier that cannot be had is said, and done without; a store
 * that is in use, or that a journal makes another program's, is refused. */
apr_status_t cachefs__tier_start(cache_t *c, char *err, size_t errlen);
void cachefs__tier_stop(cache_t *c);
/* Who the origin is, for what is kept of it in the store. *can: is that enough to tell it from
 * others? */
apr_status_t cachefs__tier_origin(cache_t *c, int *can);
/* All 0 without a tier. */
void cachefs__tier_stats(cache_t *c, cachefs__l2_stats_t *out);
apr_status_t cachefs__tier_metrics(cache_t *c);
/* 0: nobody knows the version of what the stack sees of the object just now. Object locked. */
int cachefs__tier_key(cache_t *c, const obj_t *o, cachefs__tier_key_t *key);
/* What the tier has of [*start, *end), of which `at` is what somebody waits for; `granule`, a power
 * of two, is what the caller counts in, `size` the file's. 1: all of the range, which was cut to
 * what it has. 0: nothing of the range, which was cut so too. */
int cachefs__tier_extent(cache_t *c, const cachefs__tier_key_t *key, uint64_t at, uint64_t granule,
                         uint64_t size, uint64_t *start, uint64_t *end);
/* How many bytes it has of the first L2_FORGET_MAX cells. */
uint64_t cachefs__tier_bytes(cache_t *c, const cachefs__tier_key_t *key);
apr_status_t cachefs__tier_read(cache_t *c, const cachefs__tier_key_t *key, const vfs_ctx_t *ctx,
                                uint64_t off, const vfs_iovec_t *iov, size_t count);
/* Bytes that came from below with `came`: the tier takes them if that is the version of the key,
 * and forgets them if the object has got another one since the key was made: who invalidated it may
 * have been quicker. Object not locked. */
void cachefs__tier_keep(cache_t *c, obj_t *o, const cachefs__tier_key_t *key,
                        const vfs_validator_t *came, uint64_t off, const vfs_iovec_t *iov,
                        size_t count, uint64_t len);
/* Bytes of this path were kept, or may be there: so its attributes are worth a question of their
 * own, before its bytes. */
void cachefs__tier_note_path(cache_t *c, const vfs_path_t *path);
/* The same for the path that an object is known by. Object not locked. */
void cachefs__tier_note_object(cache_t *c, const obj_t *o);
int cachefs__tier_knows_path(cache_t *c, const vfs_path_t *path);
/* The bytes of the object are not to come from the tier any more. Object locked. */
void cachefs__tier_forget(cache_t *c, const obj_t *o);

#endif
