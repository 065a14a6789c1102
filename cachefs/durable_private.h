/*
 * durable_private.h - what the files of durable*.c share.
 * Floor 2, private to cachefs/durable*.c.
 */
#ifndef CACHEFS_DURABLE_PRIVATE_H
#define CACHEFS_DURABLE_PRIVATE_H

#include "cachefs/engine.h"

/* j_flags of an object */
#define J_OFF 0x1u     /* dirty data that is not in the journal, or may not be put there */
#define J_BELOW 0x2u   /* the lower file has changes that are not durable, and no record */
#define J_FLUSH 0x4u   /* FLUSH is noted for this id */
#define J_HOLD 0x8u    /* it is being settled: writes wait */
#define J_LISTED 0x10u /* on the list of those that owe something; referenced by it */
#define J_NEW 0x20u    /* its name may not be durable below: a recovery makes it again */
#define J_DROP 0x80u   /* its name is about to be unlinked */
#define J_SENT 0x100u  /* bytes went below that may not be durable there */
#define J_LINKS 0x40u  /* it had several names: how many it has now must be asked for */

/* journal_state of a cache */
enum {
    JOURNAL_ALIVE = 0,
    JOURNAL_DEAD, /* its disk failed: what is in it would be done again at the next start */
    JOURNAL_VOID  /* its files are gone: as without a journal, until its disk works again */
};

static inline int cachefs__journal_on(const cache_t *c)
{
    return c->journal != NULL &&
           atomic_load_explicit(&c->journal_state, memory_order_acquire) == JOURNAL_ALIVE;
}

static inline int cachefs__journal_dead(const cache_t *c)
{
    return c->journal &&
           atomic_load_explicit(&c->journal_state, memory_order_acquire) == JOURNAL_DEAD;
}

/* The caller has no more time: that says nothing about the journal. */
static inline int cachefs__gave_up(apr_status_t st)
{
    return APR_STATUS_IS_TIMEUP(st) || st == VFS_ECANCELED;
}

/* durable.c */
/* The journal's disk has failed for good: from here on as without one (durable_void.c). */
void cachefs__journal_died(cache_t *c, apr_status_t st);
/* Wait until a record is durable. A journal that died is nobody's error. */
apr_status_t cachefs__durable_wait(cache_t *c, const vfs_ctx_t *ctx, uint64_t lsn);
/* The journal's thread shall look now. */
void cachefs__durable_hurry(cache_t *c);

/* durable_recover.c */
/* What the journal has goes below, and a session begins. Returns when that is done, or goes on.
 *  @return APR_SUCCESS; what the journal, the store or the lower layer says, with a sentence */
apr_status_t cachefs__recovery_begin(cache_t *c, cachefs__journal_t *j, char *err, size_t errlen);
/* It goes on no more. */
void cachefs__recovery_end(cache_t *c);
int cachefs__recovering(const cache_t *c);

/* durable_list.c: those who owe something. Object locked. */
void cachefs__owes(cache_t *c, obj_t *o, uint32_t flags);
/* 1: the caller drops the list's reference. */
int cachefs__owes_nothing(cache_t *c, obj_t *o);
/* All of them, referenced; give them back by cachefs__debtors_put. Object not locked. */
typedef struct cachefs__debtor_t {
    obj_t *obj;
    uint64_t last;
    uint32_t seq;
    int ready; /* nothing of it is on its way below */
} cachefs__debtor_t;
size_t cachefs__debtors(cache_t *c, cachefs__debtor_t **out);
void cachefs__debtors_put(cache_t *c, cachefs__debtor_t *debtors, size_t n);
/* All that it owes is durable below, as far as it was there at the call. */
apr_status_t cachefs__durable_below(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);

/* durable_record.c */
/* What it is, anew: its name is another one, or it is recorded again. `flags`: JOURNAL_PART or 0.
 * Object locked; takes of the room. */
void cachefs__record_base(cache_t *c, obj_t *o, uint32_t flags, size_t *room);
#define BASE_ROOM (cachefs__jsize(JOURNAL_BASE_BYTES + VFS_PATH_MAX) + 2 * cachefs__jsize(8))
/* Could a record say which file it is, if all of its dirty data were recorded? Object locked. */
int cachefs__record_can(cache_t *c, const obj_t *o);

/* durable_copy.c */
/* All of its dirty data is recorded again, behind all other records, and the older ones are not
 * needed any more; data that the journal did not have is in it then.
 *  @return APR_SUCCESS; VFS_ELIMIT (no room, or it is nothing for the journal); what the lower
 * layer, the journal or the context says: what was recorded before counts on */
apr_status_t cachefs__record_again(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* Would it make the journal shorter to record again what is dirty? */
int cachefs__record_pays(cache_t *c);

/* durable_void.c */
/* A journal that is void begins again, if its disk works. */
void cachefs__durable_again(cache_t *c);

/* durable_retire.c */
/* The move `id` is done or refused; it is retired when the lower layer was synced. */
void cachefs__retire_move(cache_t *c, uint64_t id);
void cachefs__retire_all(cache_t *c);
/* Its records are not needed any more: it is below, or they are behind all others, anew. */
apr_status_t cachefs__retire_obj(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* The object that keeps the oldest file of the journal goes below, and with it its records.
 * APR_NOTFOUND: nobody does. */
apr_status_t cachefs__retire_oldest(cache_t *c, const vfs_ctx_t *ctx);

#endif
