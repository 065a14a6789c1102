/*
 * claim.c - who changes a name claims it, so that others wait and no answer that overlaps is kept.
 * Floor 2, private to cachefs/. Knows hashes of paths; not what names lead to.
 *
 * A claim has three steps. From its begin nobody else changes the name, but it may still wait, for
 * a flush perhaps, so nobody else waits for it without a way out. Then it is below: it waits for
 * nobody here and ends. The end stamps the name with the count of changes: what was asked before is
 * older. A directory that moves changes every name below it at once: it goes below alone, and
 * stamps all names.
 */
#include "cachefs/engine.h"

/* While the caller is below no directory moves, and none that his file is in is removed: a stamp on
 * all names is of one elsewhere. Sequentially consistent: see cachefs__handles_open. */
int cachefs__name_believed(cache_t *c, const vfs_path_t *path, uint64_t asked,
                           cachefs__claim_e mine)
{
    if (mine == CLAIM_BELOW) return 1;
    uint64_t changed =
        atomic_load_explicit(&c->name_mut[path->hash % NAME_SLOTS], memory_order_seq_cst);
    return (mine || changed <= asked) &&
           !atomic_load_explicit(&c->tree_ops, memory_order_seq_cst) &&
           atomic_load_explicit(&c->tree_mut, memory_order_seq_cst) <= asked;
}

apr_status_t cachefs__mut_begin(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *a,
                                const vfs_path_t *b, cachefs__mut_t *m)
{
    apr_status_t st = cachefs__recovered(c, ctx, a, 0);
    if (!st && b) st = cachefs__recovered(c, ctx, b, 0);
    if (st) return st;
    m->slot[0] = a->hash % NAME_SLOTS;
    m->slot[1] = b ? b->hash % NAME_SLOTS : m->slot[0];
    m->count = m->slot[1] == m->slot[0] ? 1 : 2;
    m->tree = m->below = 0;
    cachefs__lock(&c->mut_lock, RANK_LEAF);
    while (!st && (atomic_load(&c->name_mut[m->slot[0]]) >= NAME_BELOW ||
                   atomic_load(&c->name_mut[m->slot[1]]) >= NAME_BELOW))
        st = cachefs__wait(&c->mut_cond, &c->mut_lock, ctx, 0);
    for (int i = 0; !st && i < m->count; i++)
        m->was[i] = atomic_exchange(&c->name_mut[m->slot[i]], NAME_CLAIMED);
    cachefs__unlock(&c->mut_lock, RANK_LEAF);
    m->asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    m->a = a;
    m->b = b;
    if (st) return st;
    cachefs__listed_change(c, a);
    if (b) cachefs__listed_change(c, b);
    return APR_SUCCESS;
}

int cachefs__mut_under_way(cache_t *c, const vfs_path_t *path)
{
    return atomic_load(&c->name_mut[path->hash % NAME_SLOTS]) >= NAME_BELOW ||
           atomic_load(&c->tree_ops);
}

void cachefs__mut_release(cache_t *c, cachefs__mut_t *m)
{
    VFS_ASSERT(!m->tree);
    cachefs__lock(&c->mut_lock, RANK_LEAF);
    for (int i = 0; i < m->count; i++)
        atomic_store_explicit(&c->name_mut[m->slot[i]], m->was[i], memory_order_release);
    if (m->below) c->names_below--;
    m->below = 0;
    pthread_cond_broadcast(&c->mut_cond);
    cachefs__unlock(&c->mut_lock, RANK_LEAF);
}

int cachefs__mut_found_quiet(cache_t *c, const cachefs__mut_t *m, uint64_t asked)
{
    for (int i = 0; i < m->count; i++)
        if (m->was[i] > asked) return 0;
    return !atomic_load(&c->tree_ops) && atomic_load(&c->tree_mut) <= asked;
}

int cachefs__name_quiet(cache_t *c, const vfs_path_t *path, uint64_t asked)
{
    return cachefs__name_believed(c, path, asked, CLAIM_NONE);
}

apr_status_t cachefs__mut_below(cache_t *c, const vfs_ctx_t *ctx, cachefs__mut_t *m)
{
    apr_status_t st = APR_SUCCESS;
    cachefs__lock(&c->mut_lock, RANK_LEAF);
    while (!st && !m->tree && (c->tree_ops || c->tree_waits))
        st = cachefs__wait(&c->mut_cond, &c->mut_lock, ctx, 0);
    if (!st && !m->tree) c->names_below++;
    m->below = !st && !m->tree;
    for (int i = 0; !st && i < m->count; i++)
        atomic_store_explicit(&c->name_mut[m->slot[i]], NAME_BELOW, memory_order_release);
    cachefs__unlock(&c->mut_lock, RANK_LEAF);
    return st;
}

void cachefs__mut_back(cache_t *c, cachefs__mut_t *m)
{
    VFS_ASSERT(m->below || m->tree);
    cachefs__lock(&c->mut_lock, RANK_LEAF);
    if (m->below) c->names_below--;
    if (m->tree) atomic_fetch_sub_explicit(&c->tree_ops, 1, memory_order_release);
    m->below = m->tree = 0;
    for (int i = 0; i < m->count; i++)
        atomic_store_explicit(&c->name_mut[m->slot[i]], NAME_CLAIMED, memory_order_release);
    pthread_cond_broadcast(&c->mut_cond);
    cachefs__unlock(&c->mut_lock, RANK_LEAF);
}

apr_status_t cachefs__mut_tree(cache_t *c, const vfs_ctx_t *ctx, cachefs__mut_t *m)
{
    apr_status_t st = APR_SUCCESS;
    cachefs__lock(&c->mut_lock, RANK_LEAF);
    c->tree_waits++;
    while (!st && (c->tree_ops || c->names_below))
        st = cachefs__wait(&c->mut_cond, &c->mut_lock, ctx, 0);
    c->tree_waits--;
    if (!st) atomic_fetch_add_explicit(&c->tree_ops, 1, memory_order_acq_rel);
    if (st) pthread_cond_broadcast(&c->mut_cond);
    cachefs__unlock(&c->mut_lock, RANK_LEAF);
    m->tree = !st;
    if (!st) cachefs__listed_forget(c, NULL);
    return st;
}

void cachefs__mut_end(cache_t *c, cachefs__mut_t *m, int tree)
{
    cachefs__listed_change(c, m->a);
    if (m->b) cachefs__listed_change(c, m->b);
    if (tree || m->tree) cachefs__listed_forget(c, NULL);
    cachefs__lock(&c->mut_lock, RANK_LEAF);
    uint64_t now = atomic_fetch_add_explicit(&c->mut_seq, 1, memory_order_acq_rel) + 1;
    for (int i = 0; i < m->count; i++)
        atomic_store_explicit(&c->name_mut[m->slot[i]], now, memory_order_release);
    if (tree) atomic_store_explicit(&c->tree_mut, now, memory_order_release);
    if (m->tree) atomic_fetch_sub_explicit(&c->tree_ops, 1, memory_order_release); /* then this */
    if (m->below) c->names_below--;
    atomic_store_explicit(&c->ns_mut, now, memory_order_release);
    atomic_fetch_add_explicit(&c->ns_epoch, 1,
                              memory_order_acq_rel); /* then this: see node_store */
    pthread_cond_broadcast(&c->mut_cond);
    cachefs__unlock(&c->mut_lock, RANK_LEAF);
}

apr_status_t cachefs__mut_wait(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    apr_status_t st = APR_SUCCESS;
    cachefs__lock(&c->mut_lock, RANK_LEAF);
    while (!st && (c->tree_ops || atomic_load(&c->name_mut[path->hash % NAME_SLOTS]) == NAME_BELOW))
        st = cachefs__wait(&c->mut_cond, &c->mut_lock, ctx, 0);
    cachefs__unlock(&c->mut_lock, RANK_LEAF);
    return st;
}

void cachefs__mut_settle(cache_t *c, const vfs_path_t *path, int64_t until_us)
{
    cachefs__lock(&c->mut_lock, RANK_LEAF);
    while ((c->tree_ops || atomic_load(&c->name_mut[path->hash % NAME_SLOTS]) >= NAME_BELOW) &&
           !cachefs__wait(&c->mut_cond, &c->mut_lock, NULL, until_us)) {
    }
    cachefs__unlock(&c->mut_lock, RANK_LEAF);
}
