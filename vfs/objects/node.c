/*
 * node.c - files by their path, and claims on paths. Floor 1, private to vfs/objects/.
 */
#include <stdlib.h>

#include "vfs/objects/objects.h"
#include "vfs/wait.h"

/* ---- claims */

static int meets(const vfs_path_t *x, int x_tree, const vfs_path_t *y, int y_tree)
{
    if (x->str == NULL || y->str == NULL) return 0;
    if (x_tree && vfs_path_within(y, x)) return 1;
    if (y_tree && vfs_path_within(x, y)) return 1;
    return x->hash == y->hash && x->len == y->len && memcmp(x->str, y->str, x->len) == 0;
}

/* Does somebody have it? Locked. */
static int is_claimed(const objects_t *o, const claim_t *c)
{
    for (const claim_t *d = o->claims; d != NULL; d = d->next)
        if (meets(&c->a, c->tree, &d->a, d->tree) || meets(&c->a, c->tree, &d->b, d->tree) ||
            meets(&c->b, c->tree, &d->a, d->tree) || meets(&c->b, c->tree, &d->b, d->tree))
            return 1;
    return 0;
}

/* Locked. */
static void link_claim(objects_t *o, claim_t *c)
{
    c->next = o->claims;
    o->claims = c;
}

apr_status_t objects__claim(objects_t *o, const vfs_ctx_t *ctx, claim_t *c, const vfs_path_t *a,
                            const vfs_path_t *b, int tree)
{
    apr_status_t status = APR_SUCCESS;
    c->a = *a;
    c->b = b != NULL ? *b : (vfs_path_t){.str = NULL};
    c->tree = tree;
    pthread_mutex_lock(&o->lock);
    while (status == APR_SUCCESS && is_claimed(o, c))
        status = vfs__cond_wait(&o->cond, &o->lock, ctx);
    if (status == APR_SUCCESS) link_claim(o, c);
    pthread_mutex_unlock(&o->lock);
    return status;
}

vfs_path_t objects__node_path(const node_t *n)
{
    return (vfs_path_t){n->str, n->len, n->hash, 0};
}

apr_status_t objects__claim_node(objects_t *o, const vfs_ctx_t *ctx, claim_t *c, node_t *n)
{
    apr_status_t status = APR_SUCCESS;
    c->b = (vfs_path_t){.str = NULL};
    c->tree = 0;
    pthread_mutex_lock(&o->lock);
    for (;;) {
        if (n->gone) status = VFS_ESTALE;
        if (status != APR_SUCCESS) break;
        c->a = objects__node_path(n);
        if (!is_claimed(o, c)) break;
        status = vfs__cond_wait(&o->cond, &o->lock, ctx);
    }
    if (status == APR_SUCCESS) {
        memcpy(c->buf, n->str, n->len + 1);
        c->a.str = c->buf;
        link_claim(o, c);
    }
    pthread_mutex_unlock(&o->lock);
    return status;
}

void objects__release(objects_t *o, claim_t *c)
{
    pthread_mutex_lock(&o->lock);
    claim_t **at = &o->claims;
    while (*at != c) {
        VFS_ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = c->next;
    pthread_cond_broadcast(&o->cond);
    pthread_mutex_unlock(&o->lock);
}

/* ---- the table. All static functions: locked. */

static node_t **bucket_of(objects_t *o, uint32_t hash)
{
    return &o->buckets[hash % OBJECTS_BUCKETS];
}

static node_t *find(objects_t *o, const vfs_path_t *path)
{
    node_t *n = *bucket_of(o, path->hash);
    while (n != NULL &&
           (n->hash != path->hash || n->len != path->len || memcmp(n->str, path->str, n->len) != 0))
        n = n->next;
    return n;
}

static void told_unlink(objects_t *o, node_t *n)
{
    if (!n->listed) return;
    if (n->told_prev != NULL)
        n->told_prev->told_next = n->told_next;
    else
        o->told_first = n->told_next;
    if (n->told_next != NULL)
        n->told_next->told_prev = n->told_prev;
    else
        o->told_last = n->told_prev;
    n->told_prev = n->told_next = NULL;
    n->listed = 0;
    o->told_count--;
}

static void unhash(objects_t *o, node_t *n)
{
    node_t **at = bucket_of(o, n->hash);
    while (*at != n) {
        VFS_ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = n->next;
    n->next = NULL;
}

static void rehash(objects_t *o, node_t *n)
{
    node_t **at = bucket_of(o, n->hash);
    n->next = *at;
    *at = n;
}

void objects__node_end(objects_t *o, node_t *n)
{
    told_unlink(o, n);
    if (!n->gone) unhash(o, n);
    VFS_ASSERT(n->refs == 0 && n->reader == NULL);
    while (n->stages > 0)
        objects__stage_end(&n->stage[--n->stages]);
    (void)pthread_mutex_destroy(&n->mutex); /* nobody knows it */
    free(n->str);
    free(n);
}

static node_t *node_new(objects_t *o, const vfs_path_t *path)
{
    node_t *n = calloc(1, sizeof(*n));
    char *str = malloc(path->len + 1);
    if (n == NULL || str == NULL || pthread_mutex_init(&n->mutex, NULL) != 0) {
        free(n);
        free(str);
        return NULL;
    }
    memcpy(str, path->str, path->len + 1);
    n->str = str;
    n->len = path->len;
    n->hash = path->hash;
    n->number = ++o->numbers;
    rehash(o, n);
    return n;
}

node_t *objects__node(objects_t *o, const vfs_path_t *path, int make)
{
    pthread_mutex_lock(&o->lock);
    node_t *n = find(o, path);
    if (n == NULL && make) n = node_new(o, path);
    if (n != NULL) {
        told_unlink(o, n);
        n->refs++;
    }
    pthread_mutex_unlock(&o->lock);
    return n;
}

/* Nobody has it open, and nothing of it is staged: what was told of it is all that is left. */
static void rest(objects_t *o, node_t *n)
{
    if (n->gone || !n->told) {
        objects__node_end(o, n);
        return;
    }
    n->listed = 1;
    n->told_prev = o->told_last;
    if (o->told_last != NULL)
        o->told_last->told_next = n;
    else
        o->told_first = n;
    o->told_last = n;
    if (++o->told_count > OBJECTS_TOLD_MAX) objects__node_end(o, o->told_first);
}

void objects__node_put(objects_t *o, node_t *n)
{
    vfs_file_t *idle = NULL;
    pthread_mutex_lock(&o->lock);
    VFS_ASSERT(n->refs > 0);
    if (--n->refs == 0) {
        pthread_mutex_lock(&n->mutex);
        reader_t *r = n->reader;
        n->reader = NULL;
        int staged = n->stages > 0 && !n->gone;
        pthread_mutex_unlock(&n->mutex);
        if (r != NULL) {
            VFS_ASSERT(r->refs == 1); /* who reads has a reference to the node */
            idle = r->file;
            free(r);
        }
        if (!staged) rest(o, n);
    }
    pthread_mutex_unlock(&o->lock);
    if (idle != NULL) (void)vfs_close(idle, NULL); /* it only read */
}

int objects__is_gone(objects_t *o, const node_t *n)
{
    pthread_mutex_lock(&o->lock);
    int gone = n->gone;
    pthread_mutex_unlock(&o->lock);
    return gone;
}

static int fresh_locked(node_t *n)
{
    pthread_mutex_lock(&n->mutex);
    int fresh = objects__is_fresh(n);
    pthread_mutex_unlock(&n->mutex);
    return fresh;
}

/* Returns what fresh_locked does. */
static int name_lost(node_t *n)
{
    pthread_mutex_lock(&n->mutex);
    n->nameless = 1;
    pthread_mutex_unlock(&n->mutex);
    return fresh_locked(n);
}

/* Locked. */
static void gone_locked(objects_t *o, node_t *n)
{
    if (n->gone) return;
    told_unlink(o, n);
    unhash(o, n);
    n->gone = 1;
    if (name_lost(n)) atomic_fetch_sub(&o->fresh, 1);
}

void objects__node_gone(objects_t *o, node_t *n)
{
    pthread_mutex_lock(&o->lock);
    gone_locked(o, n);
    pthread_mutex_unlock(&o->lock);
}

node_t *objects__node_made(objects_t *o, const vfs_path_t *path, int *staged)
{
    *staged = 0;
    pthread_mutex_lock(&o->lock);
    node_t *n = find(o, path);
    if (n != NULL) *staged = objects__staged(n);
    if (n != NULL && !*staged && n->refs > 0) {
        gone_locked(o, n); /* others removed the file below that it is of */
        n = NULL;
    }
    if (n == NULL) n = node_new(o, path);
    if (n != NULL) {
        told_unlink(o, n);
        n->refs++;
    }
    pthread_mutex_unlock(&o->lock);
    return n;
}

node_t **objects__nodes(objects_t *o, const vfs_path_t *path, size_t *count)
{
    size_t room = 64;
    node_t **nodes = malloc(room * sizeof(node_t *));
    int full = 0;
    *count = 0;
    pthread_mutex_lock(&o->lock);
    for (unsigned k = 0; k < OBJECTS_BUCKETS && nodes != NULL && !full; k++) {
        for (node_t *n = o->buckets[k]; n != NULL; n = n->next) {
            vfs_path_t own = objects__node_path(n);
            if (path != NULL && !vfs_path_within(&own, path)) continue;
            if (*count == room) {
                node_t **more = realloc(nodes, 2 * room * sizeof(node_t *));
                full = more == NULL;
                if (full) break;
                nodes = more;
                room *= 2;
            }
            told_unlink(o, n);
            n->refs++;
            nodes[(*count)++] = n;
        }
    }
    pthread_mutex_unlock(&o->lock);
    if (!full) return nodes;
    objects__nodes_put(o, nodes, *count); /* a part of them would be taken for all */
    *count = 0;
    return NULL;
}

void objects__nodes_put(objects_t *o, node_t **nodes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        objects__node_put(o, nodes[i]);
    free(nodes);
}

static apr_status_t move_one(objects_t *o, node_t *n, const vfs_path_t *from, const vfs_path_t *to)
{
    size_t tail = n->len - from->len, len = to->len + tail;
    char *str = malloc(len + 1);
    if (str == NULL) return APR_ENOMEM;
    memcpy(str, to->str, to->len);
    memcpy(str + to->len, n->str + from->len, tail + 1);
    unhash(o, n);
    free(n->str);
    n->str = str;
    n->len = (uint32_t)len;
    n->hash = vfs_path_hash(str, len);
    rehash(o, n);
    return APR_SUCCESS;
}

apr_status_t objects__nodes_move(objects_t *o, const vfs_path_t *from, const vfs_path_t *to,
                                 int swap)
{
    size_t count;
    apr_status_t status = APR_SUCCESS;
    node_t **nodes = objects__nodes(o, NULL, &count);
    if (nodes == NULL) return APR_ENOMEM;
    pthread_mutex_lock(&o->lock);
    for (size_t i = 0; i < count; i++) {
        vfs_path_t own = objects__node_path(nodes[i]);
        apr_status_t moved = APR_SUCCESS;
        int first = vfs_path_within(&own, from), second = swap && vfs_path_within(&own, to);
        if (nodes[i]->gone || (!first && !second)) continue;
        if (first)
            moved = move_one(o, nodes[i], from, to);
        else
            moved = move_one(o, nodes[i], to, from);
        if (status == APR_SUCCESS) status = moved;
        pthread_mutex_lock(&nodes[i]->mutex);
        if (nodes[i]->base.known && nodes[i]->base.exists && nodes[i]->stages == 0) {
            objects__version(o, nodes[i], &nodes[i]->told_val);
            nodes[i]->told = 1; /* to whoever knows it, the same file */
        }
        nodes[i]->base.known = 0; /* the move made a version that nobody asked for */
        pthread_mutex_unlock(&nodes[i]->mutex);
    }
    pthread_mutex_unlock(&o->lock);
    objects__nodes_put(o, nodes, count);
    return status;
}

int objects__staged(node_t *n)
{
    pthread_mutex_lock(&n->mutex);
    int staged = n->stages > 0;
    pthread_mutex_unlock(&n->mutex);
    return staged;
}

/* A file, below or not. */
static int file_locked(node_t *n)
{
    pthread_mutex_lock(&n->mutex);
    int file = n->stages > 0 || (n->base.known && n->base.exists);
    pthread_mutex_unlock(&n->mutex);
    return file;
}

static int under(objects_t *o, const vfs_path_t *path, int (*is)(node_t *n))
{
    int under = 0;
    pthread_mutex_lock(&o->lock);
    for (uint32_t len = 1; len < path->len && !under; len++) {
        if (path->str[len] != '/') continue;
        vfs_path_t above = {path->str, len, vfs_path_hash(path->str, len), 0};
        node_t *n = find(o, &above);
        under = n != NULL && is(n);
    }
    pthread_mutex_unlock(&o->lock);
    return under;
}

int objects__under_file(objects_t *o, const vfs_path_t *path)
{
    return atomic_load(&o->fresh) > 0 && under(o, path, fresh_locked);
}

apr_status_t objects__missing(objects_t *o, const vfs_path_t *path, apr_status_t status)
{
    return APR_STATUS_IS_ENOENT(status) && under(o, path, file_locked) ? APR_ENOTDIR : status;
}

int objects__holds_fresh(objects_t *o, const vfs_path_t *path)
{
    int holds = 0;
    if (atomic_load(&o->fresh) == 0) return 0;
    pthread_mutex_lock(&o->lock);
    for (unsigned k = 0; k < OBJECTS_BUCKETS && !holds; k++)
        for (node_t *n = o->buckets[k]; n != NULL && !holds; n = n->next) {
            vfs_path_t own = objects__node_path(n);
            holds = own.len > path->len && vfs_path_within(&own, path) && fresh_locked(n);
        }
    pthread_mutex_unlock(&o->lock);
    return holds;
}
