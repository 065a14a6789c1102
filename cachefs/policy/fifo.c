/*
 * fifo.c - the policy "fifo": who came first leaves first.
 * Floor 2. Knows entries by number only.
 *
 * One list in the order of insertion; a touch changes nothing. It is the cheapest policy there is,
 * and the yardstick that the others must beat: what they gain over it is what they make of hits.
 * (Belady, Nelson, Shedler: "An anomaly in space-time characteristics of certain programs running
 * in a paging machine", CACM 1969, shows that more memory can make it worse.) No parameters.
 */
#include "cachefs/policy/held.h"

typedef struct fifo_t {
    cachefs__held_t held;
    cachefs__plist_t list; /* the tail came first */
} fifo_t;

static apr_status_t fifo_create(void **state, const cachefs_policy_config_t *config,
                                apr_pool_t *pool)
{
    apr_status_t status = cachefs__policy_check(config);
    fifo_t *fifo;

    if (status != APR_SUCCESS) return status;
    fifo = cachefs__policy_calloc(config, pool, sizeof(*fifo));
    if (fifo == NULL) return APR_ENOMEM;
    cachefs__held_init(&fifo->held, config);
    cachefs__plist_init(&fifo->list);
    *state = fifo;
    return APR_SUCCESS;
}

static void fifo_insert(void *state, uint32_t entry, uint64_t key, uint32_t bytes)
{
    fifo_t *fifo = state;

    (void)key;
    (void)cachefs__hold(&fifo->held, entry, bytes, 0);
    cachefs__plist_push(&fifo->list, fifo->held.nodes, entry);
}

static void fifo_touch(void *state, uint32_t entry, uint32_t hits)
{
    const fifo_t *fifo = state;

    (void)hits;
    cachefs__check_held(&fifo->held, entry);
}

static void fifo_remove(void *state, uint32_t entry)
{
    fifo_t *fifo = state;

    cachefs__check_held(&fifo->held, entry);
    cachefs__plist_unlink(&fifo->list, fifo->held.nodes, entry);
    cachefs__let_go(&fifo->held, entry);
}

static uint32_t fifo_victim(void *state)
{
    fifo_t *fifo = state;
    uint32_t entry = fifo->list.tail;

    if (entry != CACHEFS_POLICY_NONE) fifo_remove(fifo, entry);
    return entry;
}

static uint32_t fifo_count(void *state)
{
    return ((const fifo_t *)state)->held.count;
}

const cachefs_policy_ops_t cachefs__policy_fifo = {
    .abi = CACHEFS_POLICY_ABI,
    .size = sizeof(cachefs_policy_ops_t),
    .name = "fifo",
    .create = fifo_create,
    .insert = fifo_insert,
    .touch = fifo_touch,
    .remove = fifo_remove,
    .victim = fifo_victim,
    .count = fifo_count,
};
