/*
 * keep.c - what is open and loses its name. Floor 1, private to vfs/objects/.
 *
 * Where the lower layer keeps such a file for who has it open, a handle is all that it takes. An
 * object store does not: there what of the base still shows is fetched before the name goes, and
 * lies under what is staged from then on. That is for the small files that programs make, open and
 * remove; a large one is not fetched for being removed.
 */
#include <stdlib.h>

#include "vfs/objects/objects.h"

#define KEEP_MAX (16u << 20)
#define PIECE (256u << 10)

/* Has anybody it open, with a base to lose? */
static int has_base(objects_t *o, node_t *n)
{
    pthread_mutex_lock(&o->lock);
    int open = n->refs > 1; /* beside our own */
    pthread_mutex_unlock(&o->lock);
    pthread_mutex_lock(&n->mutex);
    open |= n->stages > 0; /* that can be opened without a claim */
    int has = open && (!n->base.known || n->base.exists);
    pthread_mutex_unlock(&n->mutex);
    return has;
}

/* How much of it still shows, and of which version. 0: too much. */
static int shown(node_t *n, vfs_validator_t *val, uint64_t *len)
{
    pthread_mutex_lock(&n->mutex);
    *len = n->stages > 0 ? n->stage[0].keep : n->base.attr.size;
    *val = n->base.val;
    int few = n->base.known && n->base.exists && *len <= KEEP_MAX;
    pthread_mutex_unlock(&n->mutex);
    return few;
}

/* As far as it can be: else who has it open finds out that it is gone. */
static void fetch_base(node_t *n, const vfs_ctx_t *ctx, reader_t *r, kept_t *k)
{
    vfs_validator_t val;
    uint64_t len;
    if (!shown(n, &val, &len)) return;
    char *buf = malloc(PIECE);
    apr_status_t status = buf != NULL ? APR_SUCCESS : APR_ENOMEM;
    for (uint64_t at = 0; at < len && status == APR_SUCCESS; at += PIECE) {
        size_t part = len - at < PIECE ? (size_t)(len - at) : PIECE, done;
        status = objects__base_read(r->file, ctx, buf, part, at, &val);
        if (status == APR_SUCCESS) status = objects__stage_write(&k->bytes, buf, part, at, &done);
    }
    free(buf);
    k->whole = status == APR_SUCCESS;
}

apr_status_t objects__keep(objects_t *o, node_t *n, const vfs_ctx_t *ctx, kept_t *k)
{
    reader_t *r = NULL;
    int keeps = (o->lower->caps.bits & VFS_CAP_UNLINKED_OPEN) != 0;
    *k = (kept_t){.node = n};
    objects__stage_init(&k->bytes, &o->spool, 0, 0);
    if (!has_base(o, n)) return APR_SUCCESS;
    apr_status_t status = objects__reader(o, n, ctx, 1, &r);
    if (status == APR_SUCCESS && !keeps) fetch_base(n, ctx, r, k);
    if (status == APR_SUCCESS) objects__reader_put(n, r);
    return keeps && status != VFS_ESTALE ? status : APR_SUCCESS; /* or others took it away before */
}

/* Into what is staged, where that lets the base show. Mutex held. */
static apr_status_t fill_gaps(stage_t *s, const stage_t *bytes)
{
    char *buf = malloc(PIECE);
    apr_status_t status = buf != NULL ? APR_SUCCESS : APR_ENOMEM;
    for (uint64_t at = 0, to; at < s->keep && status == APR_SUCCESS; at = to) {
        size_t i = objects__stage_find(s, at), done;
        to = s->keep - at < PIECE ? s->keep : at + PIECE;
        if (i < s->count && s->list[i].from <= at) {
            to = s->list[i].to;
            continue;
        }
        if (i < s->count && s->list[i].from < to) to = s->list[i].from;
        status = objects__stage_read(bytes, buf, (size_t)(to - at), at);
        if (status == APR_SUCCESS)
            status = objects__stage_write(s, buf, (size_t)(to - at), at, &done);
    }
    free(buf);
    if (status == APR_SUCCESS) s->keep = 0;
    return status;
}

/* Mutex held. What is staged twice is so since a commit is in doubt: that is left alone. */
static void put_under(node_t *n, kept_t *k)
{
    if (n->stages == 0) {
        n->stage[n->stages++] = k->bytes;
        n->mtime_ns = n->base.attr.mtime_ns;
        objects__stage_init(&k->bytes, k->bytes.spool, 0, 0);
    } else if (n->stages > 1 || fill_gaps(&n->stage[0], &k->bytes) != APR_SUCCESS) {
        return;
    }
    n->epoch++; /* who missed the base looks again */
}

void objects__keep_end(kept_t *k, int gone)
{
    if (k->node == NULL) return;
    pthread_mutex_lock(&k->node->mutex);
    if (gone && k->whole) put_under(k->node, k);
    pthread_mutex_unlock(&k->node->mutex);
    objects__stage_end(&k->bytes);
}
