/*
 * past.h - keys of entries that left, to be known again when they come back: five bytes each.
 * Floor 2, private to cachefs/policy/ and its tests. Knows keys, never entries.
 *
 * What ghost.h keeps exactly, in a list, this keeps in epochs. A ghost is 24 bits of its key and 8
 * of the epoch that it belongs to, nothing else; of an epoch it is known how many bytes its ghosts
 * have. Epochs pass as bytes go by, and end from the oldest on, each with all of its ghosts: a
 * queue with a granularity, and without links.
 *
 * Slots are in buckets of 16, a line of the processor's cache. A bucket that is full gives up its
 * oldest, which happens to few where the table has a quarter more slots than ghosts. Two keys that
 * agree in bucket and bits are taken for one: one look-up in a million, and it costs a wrong guess,
 * never a wrong byte.
 *
 * Epochs wrap at 256. At most 64 of them have not ended, and while 128 pass, a hand goes through
 * all buckets and empties the slots of those that have: so none is there still when its number
 * comes again.
 */
#ifndef CACHEFS_POLICY_PAST_H
#define CACHEFS_POLICY_PAST_H

#include "cachefs/policy/held.h"

#define CACHEFS__PAST_WAYS 16u
#define CACHEFS__PAST_LIVE 64u /* epochs that have not ended */

typedef struct cachefs__past_t {
    uint32_t *slots; /* tag, epoch; 0: empty */
    uint32_t buckets;
    uint32_t hand;   /* the bucket to look through next */
    uint32_t swept;  /* buckets in this epoch */
    uint32_t now;    /* the epoch */
    uint32_t ended;  /* this one and all before have ended */
    uint64_t passed; /* bytes in this epoch */
    uint64_t bytes;  /* of all ghosts, about: a key that comes back with another size counts so */
    uint64_t bytes_of[CACHEFS__PAST_LIVE];
} cachefs__past_t;

apr_status_t cachefs__past_create(const cachefs_policy_config_t *config, cachefs__past_t **past,
                                  uint64_t ghosts, apr_pool_t *pool);
/* The epoch that an entry noted in a few bits, where epochs wrap at `wrap`, a power of two. */
static inline uint32_t cachefs__past_epoch(const cachefs__past_t *past, uint32_t noted,
                                           uint32_t wrap)
{
    return past->now - ((past->now - noted) & (wrap - 1u));
}
/* So many bytes go by; an epoch has `epoch_bytes`. Returns the bytes of ghosts that ended: epochs
 * of which there were too many. */
uint64_t cachefs__past_pass(cachefs__past_t *past, uint32_t bytes, uint64_t epoch_bytes);
/* All epochs up to this one end. Returns the bytes of their ghosts. */
uint64_t cachefs__past_end(cachefs__past_t *past, uint32_t epoch);
/* The oldest epochs end, but not the present one, until so many bytes more are within the limit. */
uint64_t cachefs__past_limit(cachefs__past_t *past, uint32_t bytes, uint64_t limit);
/* A mixed key becomes a ghost of an epoch; of none if that has ended. */
void cachefs__past_add(cachefs__past_t *past, uint64_t hash, uint32_t epoch, uint32_t bytes);
/* Forget a mixed key that comes back. Was it known? */
int cachefs__past_take(cachefs__past_t *past, uint64_t hash, uint32_t bytes);

#endif
