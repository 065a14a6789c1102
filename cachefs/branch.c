/*
 * branch.c - the tree of cached names: which of them are below a directory.
 * Floor 2, private to cachefs/. Knows paths; not what they lead to, nor for how long.
 *
 * A branch is the path of a directory that cached names are in, or below which there is such a one;
 * whether the directory itself is a cached name does not matter. A branch lists its names and its
 * branches, so all names below a path are found at the cost of what is below it. It has no text of
 * its own: its path is how the paths of all that is in it begin. The last name takes it along, and
 * with it those above that are empty then.
 *
 * Names live in shards, the tree has one lock of a higher rank, held for a step. So a walk takes
 * some names, lets go of the tree, works on them under their shards, and comes back. Meanwhile its
 * cursor stands in the list of walks, and whoever takes away what a cursor points at moves it on:
 * a walk meets each name that is there from its beginning to its end.
 */
#include "cachefs/engine.h"

#define ROOT 1u /* the first entry of the table, there for good */

typedef struct tree_path_t {
    const char *str;
    uint32_t len, hash;
} tree_path_t;

static branch_t *at(cache_t *c, uint32_t b)
{
    return &c->branches[b];
}

static int is_empty(const branch_t *b)
{
    return b->first_node == NONE && b->first_child == NONE;
}

/* A path that begins as the branch's does. Every branch has a name somewhere below. */
static const char *text(cache_t *c, uint32_t b)
{
    if (b == ROOT) return "/";
    while (at(c, b)->first_node == NONE) {
        b = at(c, b)->first_child;
        VFS_ASSERT(b != NONE); /* invariant 21 */
    }
    return cachefs__node_path(c, &c->nodes[at(c, b)->first_node]);
}

static uint32_t *head_of(cache_t *c, uint32_t hash)
{
    return &c->tree.heads[cachefs__spread(hash) >> 8 & c->tree.mask];
}

static uint32_t find(cache_t *c, const tree_path_t *path)
{
    if (path->len == 1) return ROOT;
    for (uint32_t b = *head_of(c, path->hash); b != NONE; b = at(c, b)->next)
        if (at(c, b)->hash == path->hash && at(c, b)->len == path->len &&
            memcmp(text(c, b), path->str, path->len) == 0)
            return b;
    return NONE;
}

static tree_path_t parent(const char *str, uint32_t len)
{
    while (len > 1 && str[len - 1] != '/')
        len--;
    if (len > 1) len--;
    return (tree_path_t){str, len, vfs_path_hash(str, len)};
}

/* ---- growing and shrinking */

static uint32_t branch_new(cache_t *c, uint32_t up, const tree_path_t *path)
{
    uint32_t b = cachefs__pool_take(c, &c->branch_pool);
    if (!b) return NONE;
    branch_t *n = at(c, b);
    uint32_t *head = head_of(c, path->hash);
    *n = (branch_t){.hash = path->hash, .len = path->len, .next = *head, .up = up};
    *head = b;
    n->sib_next = at(c, up)->first_child;
    if (n->sib_next) at(c, n->sib_next)->sib_prev = b;
    at(c, up)->first_child = b;
    return b;
}

/* The branch after `b` and all that is below it, within the walk. */
static uint32_t after(cache_t *c, const cachefs__walk_t *w, uint32_t b)
{
    while (b != w->top) {
        if (at(c, b)->sib_next) return at(c, b)->sib_next;
        b = at(c, b)->up;
    }
    return NONE;
}

static void stand_at(cache_t *c, cachefs__walk_t *w, uint32_t b)
{
    w->branch = b;
    w->node = b ? at(c, b)->first_node : NONE;
}

/* Take empty branches away, from `b` upwards. */
static void prune(cache_t *c, uint32_t b)
{
    while (b != ROOT && is_empty(at(c, b))) {
        branch_t *n = at(c, b);
        uint32_t *link = head_of(c, n->hash), up = n->up;
        for (cachefs__walk_t *w = c->tree.walks; w; w = w->next)
            if (w->branch == b) stand_at(c, w, after(c, w, b));
        while (*link != b) {
            VFS_ASSERT(*link != NONE);
            link = &at(c, *link)->next;
        }
        *link = n->next;
        if (n->sib_prev)
            at(c, n->sib_prev)->sib_next = n->sib_next;
        else
            at(c, up)->first_child = n->sib_next;
        if (n->sib_next) at(c, n->sib_next)->sib_prev = n->sib_prev;
        cachefs__pool_put(c, &c->branch_pool, b);
        b = up;
    }
}

/* The branch of a path, made with those above it that are missing. NONE: no entries to be had. */
static uint32_t grow(cache_t *c, const tree_path_t *path)
{
    tree_path_t p = *path;
    uint32_t b = find(c, &p);
    while (b == NONE) {
        p = parent(p.str, p.len);
        b = find(c, &p);
    }
    while (p.len < path->len) {
        uint32_t len = p.len == 1 ? 1 : p.len + 1;
        while (len < path->len && path->str[len] != '/')
            len++;
        p = (tree_path_t){path->str, len, vfs_path_hash(path->str, len)};
        uint32_t made = branch_new(c, b, &p);
        if (!made) {
            prune(c, b);
            return NONE;
        }
        b = made;
    }
    return b;
}

int cachefs__branch_add(cache_t *c, uint32_t i)
{
    node_t *n = &c->nodes[i];
    if (n->path_len == 1) { /* the root is in no directory */
        n->branch = NONE;
        return 1;
    }
    tree_path_t dir = parent(cachefs__node_path(c, n), n->path_len);
    cachefs__lock(&c->tree.lock, RANK_TREE);
    uint32_t b = grow(c, &dir);
    n->branch = b;
    if (b) {
        n->kin_prev = NONE;
        n->kin_next = at(c, b)->first_node;
        if (n->kin_next) c->nodes[n->kin_next].kin_prev = i;
        at(c, b)->first_node = i;
    }
    cachefs__unlock(&c->tree.lock, RANK_TREE);
    return b != NONE;
}

void cachefs__branch_remove(cache_t *c, uint32_t i)
{
    node_t *n = &c->nodes[i];
    if (!n->branch) return;
    cachefs__lock(&c->tree.lock, RANK_TREE);
    for (cachefs__walk_t *w = c->tree.walks; w; w = w->next)
        if (w->node == i) w->node = n->kin_next;
    if (n->kin_prev)
        c->nodes[n->kin_prev].kin_next = n->kin_next;
    else
        at(c, n->branch)->first_node = n->kin_next;
    if (n->kin_next) c->nodes[n->kin_next].kin_prev = n->kin_prev;
    prune(c, n->branch);
    cachefs__unlock(&c->tree.lock, RANK_TREE);
    n->branch = NONE;
}

int cachefs__branch_room(cache_t *c)
{
    uint32_t b = cachefs__pool_get(c, &c->branch_pool);
    if (b) cachefs__pool_put(c, &c->branch_pool, b);
    return b != NONE;
}

int cachefs__branch_is(cache_t *c, const vfs_path_t *path)
{
    tree_path_t dir = {path->str, path->len, path->hash};
    cachefs__lock(&c->tree.lock, RANK_TREE);
    uint32_t b = find(c, &dir);
    cachefs__unlock(&c->tree.lock, RANK_TREE);
    return b != NONE;
}

/* ---- walks */

void cachefs__walk_begin(cache_t *c, cachefs__walk_t *w, const vfs_path_t *path)
{
    tree_path_t dir = {path->str, path->len, path->hash};
    cachefs__lock(&c->tree.lock, RANK_TREE);
    w->top = find(c, &dir);
    stand_at(c, w, w->top);
    w->next = c->tree.walks;
    c->tree.walks = w;
    cachefs__unlock(&c->tree.lock, RANK_TREE);
}

size_t cachefs__walk_some(cache_t *c, cachefs__walk_t *w, cachefs__met_t *met, size_t max)
{
    size_t n = 0;
    cachefs__lock(&c->tree.lock, RANK_TREE);
    while (w->branch && n < max) {
        if (w->node) {
            const node_t *nd = &c->nodes[w->node];
            met[n++] = (cachefs__met_t){w->node, nd->hash};
            w->node = nd->kin_next;
        } else {
            uint32_t down = at(c, w->branch)->first_child;
            stand_at(c, w, down ? down : after(c, w, w->branch));
        }
    }
    cachefs__unlock(&c->tree.lock, RANK_TREE);
    return n;
}

void cachefs__walk_end(cache_t *c, cachefs__walk_t *w)
{
    cachefs__lock(&c->tree.lock, RANK_TREE);
    cachefs__walk_t **link = &c->tree.walks;
    while (*link != w)
        link = &(*link)->next;
    *link = w->next;
    cachefs__unlock(&c->tree.lock, RANK_TREE);
}
