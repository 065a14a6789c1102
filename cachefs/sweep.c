/*
 * sweep.c - all cached names below a path at once: ask again, invalidate, forget.
 * Floor 2, private to cachefs/. Knows names and objects; does not ask the lower layer.
 *
 * It costs what follows what is below the path (branch.c), whatever else is cached. A name that
 * comes while a sweep is under way may be met or not; that an answer from before is not kept after
 * a change of ours is what claim.c sees to.
 */
#include "cachefs/engine.h"

#define SWEEP_BATCH 64 /* names between two looks at the tree */

typedef struct sweep_t {
    const vfs_path_t *below;
    cachefs__match_fn match;
    void *baton;
    cachefs__sweep_e how;
    obj_t *objs[SWEEP_BATCH]; /* referenced */
    size_t nobjs;
    uint64_t count, dirty;
} sweep_t;

/* What a sweep does to one name. Shard locked. */
static void meet(cache_t *c, shard_t *s, sweep_t *w, uint32_t i)
{
    node_t *n = &c->nodes[i];
    vfs_path_t path = {cachefs__node_path(c, n), n->path_len, n->hash, 0};
    obj_t *o = n->object ? &c->objs[n->object] : NULL;
    if (!vfs_path_within(&path, w->below) || (w->match && !w->match(w->baton, &path))) return;
    w->count++;
    cachefs__node_stale(n);
    if (w->how == SWEEP_FORGET)
        cachefs__node_free(c, s, i);
    else if (o && w->how != SWEEP_EXPIRE)
        cachefs__obj_ref(o);
    if (o && w->how != SWEEP_EXPIRE) w->objs[w->nobjs++] = o;
}

static void settle(cache_t *c, sweep_t *w)
{
    for (size_t k = 0; k < w->nobjs; k++) {
        if (w->how == SWEEP_CLEAN) cachefs__obj_drop_clean(c, w->objs[k], &w->dirty);
        if (w->how == SWEEP_DOUBT) cachefs__obj_drop_memory(c, w->objs[k]);
        cachefs__obj_put(c, w->objs[k]);
    }
    w->nobjs = 0;
}

/* The name itself: both its nodes. */
static void meet_top(cache_t *c, sweep_t *w)
{
    shard_t *s = cachefs__node_shard(c, w->below->hash);
    uint32_t next;
    cachefs__lock(&s->lock, RANK_SHARD);
    for (uint32_t i = s->node_heads[w->below->hash & s->node_mask]; i != NONE; i = next) {
        const node_t *n = &c->nodes[i];
        next = n->next;
        if (n->hash == w->below->hash && n->path_len == w->below->len) meet(c, s, w, i);
    }
    cachefs__unlock(&s->lock, RANK_SHARD);
    settle(c, w);
}

/* A node that the walk met, if it is still there: entries are used again. */
static void meet_one(cache_t *c, sweep_t *w, const cachefs__met_t *met)
{
    shard_t *s = cachefs__node_shard(c, met->hash);
    cachefs__lock(&s->lock, RANK_SHARD);
    if (cachefs__node_linked(c, s, met->node, met->hash)) meet(c, s, w, met->node);
    cachefs__unlock(&s->lock, RANK_SHARD);
}

uint64_t cachefs__node_sweep(cache_t *c, const vfs_path_t *below, cachefs__match_fn match,
                             void *baton, cachefs__sweep_e how, uint64_t *dirty)
{
    sweep_t w = {.below = below, .match = match, .baton = baton, .how = how};
    cachefs__met_t met[SWEEP_BATCH];
    cachefs__walk_t walk;
    size_t n;
    meet_top(c, &w);
    cachefs__walk_begin(c, &walk, below);
    while ((n = cachefs__walk_some(c, &walk, met, SWEEP_BATCH)) != 0) {
        for (size_t k = 0; k < n; k++)
            meet_one(c, &w, &met[k]);
        settle(c, &w);
    }
    cachefs__walk_end(c, &walk);
    if (dirty) *dirty += w.dirty;
    return w.count;
}
