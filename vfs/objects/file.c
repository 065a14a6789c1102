/*
 * file.c - open files: reads of what is staged over its base, writes, and the calls that commit.
 * Floor 1, private to vfs/objects/.
 */
#include <stdlib.h>

#include "vfs/objects/objects.h"

static handle_t *handle_of(vfs_file_t *file)
{
    return (handle_t *)file;
}

/* ---- reading */

/* A range that the base has, and where it goes. */
typedef struct hole_t {
    char *out;
    uint64_t off;
    size_t len;
} hole_t;

typedef struct plan_t {
    hole_t *holes;
    size_t count, room;
    uint32_t epoch;
    vfs_validator_t base; /* of what the holes are */
} plan_t;

static apr_status_t plan_add(plan_t *p, char *out, uint64_t off, size_t len)
{
    if (p->count == p->room) {
        size_t room = p->room ? p->room * 2 : 16;
        hole_t *more = realloc(p->holes, room * sizeof(*more));
        if (more == NULL) return APR_ENOMEM;
        p->holes = more;
        p->room = room;
    }
    p->holes[p->count++] = (hole_t){out, off, len};
    return APR_SUCCESS;
}

/* The bytes at `off`, as far as they come from one place: *from is a stage, or NULL; *zeros: from
 * nowhere. Returns how many, at most `len`. Mutex held. */
static size_t run_at(const node_t *n, uint64_t off, size_t len, const stage_t **from, int *zeros)
{
    uint64_t end = off + len;
    *from = NULL;
    *zeros = 0;
    for (unsigned k = n->stages; k-- > 0;) {
        const stage_t *s = &n->stage[k];
        size_t i = objects__stage_find(s, off);
        if (i < s->count && s->list[i].from <= off) {
            *from = s;
            return (size_t)((s->list[i].to < end ? s->list[i].to : end) - off);
        }
        if (i < s->count && s->list[i].from < end) end = s->list[i].from;
        *zeros = off >= s->keep;
        if (*zeros) break;
        if (s->keep < end) end = s->keep;
    }
    return (size_t)(end - off);
}

/* What is staged of [off, off + len) goes to `out`, what is not into the plan. Mutex held. */
static apr_status_t copy_staged(const node_t *n, char *out, uint64_t off, size_t len, plan_t *p)
{
    apr_status_t status = APR_SUCCESS;
    while (len > 0 && status == APR_SUCCESS) {
        const stage_t *from;
        int zeros;
        size_t run = run_at(n, off, len, &from, &zeros);
        if (from != NULL)
            status = objects__stage_read(from, out, run, off);
        else if (zeros)
            memset(out, 0, run);
        else
            status = plan_add(p, out, off, run);
        out += run;
        off += run;
        len -= run;
    }
    return status;
}

/* All of it is of one moment: that of the lock. */
static apr_status_t read_staged(objects_t *o, node_t *n, const vfs_iovec_t *iov, size_t count,
                                uint64_t off, size_t *got, vfs_validator_t *val, plan_t *p)
{
    apr_status_t status = APR_SUCCESS;
    pthread_mutex_lock(&n->mutex);
    uint64_t size = objects__size(n);
    *got = 0;
    p->count = 0;
    p->epoch = n->epoch;
    p->base = n->base.val;
    objects__version(o, n, val);
    for (size_t i = 0; i < count && status == APR_SUCCESS && off + *got < size; i++) {
        uint64_t left = size - off - *got;
        size_t part = iov[i].len < left ? iov[i].len : (size_t)left;
        status = copy_staged(n, iov[i].base, off + *got, part, p);
        *got += part;
    }
    pthread_mutex_unlock(&n->mutex);
    return status;
}

static apr_status_t fill_holes(objects_t *o, node_t *n, const vfs_ctx_t *ctx, const plan_t *p)
{
    reader_t *r;
    if (p->count == 0) return APR_SUCCESS;
    apr_status_t status = objects__reader(o, n, ctx, 0, &r);
    if (status != APR_SUCCESS) return status;
    for (size_t i = 0; i < p->count && status == APR_SUCCESS; i++)
        status = objects__base_read(r->file, ctx, p->holes[i].out, p->holes[i].len, p->holes[i].off,
                                    &p->base);
    objects__reader_put(n, r);
    return status;
}

/* A clean one is read as the lower layer has it. 0: it is not clean. */
static int read_clean(objects_t *o, node_t *n, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                      size_t count, uint64_t off, size_t *got, vfs_validator_t *val,
                      apr_status_t *status)
{
    reader_t *r;
    pthread_mutex_lock(&n->mutex);
    int clean = n->stages == 0;
    uint32_t epoch = n->epoch;
    pthread_mutex_unlock(&n->mutex);
    if (!clean) return 0;
    *status = objects__reader(o, n, ctx, 0, &r);
    if (*status != APR_SUCCESS) return 1;
    if (val != NULL)
        *status = vfs_call_fetch(r->file, ctx, iov, count, (apr_off_t)off, got, val);
    else
        *status = vfs_call_readv_at(r->file, ctx, iov, count, (apr_off_t)off, got);
    objects__reader_put(n, r);
    if (*status == APR_SUCCESS && val != NULL) {
        pthread_mutex_lock(&n->mutex);
        if (n->told && vfs_validator_equal(val, &n->base.val)) *val = n->told_val;
        pthread_mutex_unlock(&n->mutex);
    }
    return objects__epoch(n) == epoch || *status == APR_SUCCESS;
}

/* A commit may be below already, and not be known here yet, or the name has just gone. 1: what is
 * here is new. */
static int committed_since(objects_t *o, node_t *n, const vfs_ctx_t *ctx, uint32_t epoch)
{
    claim_t c;
    if (objects__epoch(n) != epoch) return 1;
    if (objects__claim_node(o, ctx, &c, n) == APR_SUCCESS)
        objects__release(o, &c); /* else it has no name any more, or no time */
    return objects__epoch(n) != epoch;
}

#define READ_TRIES 100 /* commits that end during one read */

apr_status_t objects__node_read(objects_t *o, node_t *n, const vfs_ctx_t *ctx,
                                const vfs_iovec_t *iov, size_t count, uint64_t off, size_t *got,
                                vfs_validator_t *val)
{
    plan_t plan = {.holes = NULL};
    vfs_validator_t unwanted;
    apr_status_t status = APR_SUCCESS;
    for (int tries = 0; tries < READ_TRIES; tries++) {
        uint32_t epoch = objects__epoch(n);
        if (read_clean(o, n, ctx, iov, count, off, got, val, &status)) {
            if (status != VFS_ESTALE || !committed_since(o, n, ctx, epoch)) break;
            continue;
        }
        if (!objects__staged(n)) continue;
        status = read_staged(o, n, iov, count, off, got, val != NULL ? val : &unwanted, &plan);
        if (status == APR_SUCCESS) status = fill_holes(o, n, ctx, &plan);
        if (status != VFS_ESTALE || !committed_since(o, n, ctx, plan.epoch)) break;
    }
    free(plan.holes);
    if (status != APR_SUCCESS) *got = 0;
    return status;
}

apr_status_t objects_readv_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                              size_t count, apr_off_t off, size_t *got)
{
    handle_t *h = handle_of(file);
    return objects__node_read(h->o, h->node, ctx, iov, count, (uint64_t)off, got, NULL);
}

apr_status_t objects_read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                             apr_off_t off, size_t *got)
{
    vfs_iovec_t iov = {buf, len};
    return objects_readv_at(file, ctx, &iov, 1, off, got);
}

apr_status_t objects_fetch(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                           size_t count, apr_off_t off, size_t *got, vfs_validator_t *validator)
{
    handle_t *h = handle_of(file);
    return objects__node_read(h->o, h->node, ctx, iov, count, (uint64_t)off, got, validator);
}

/* ---- writing */

stage_t *objects__top_stage(objects_t *o, node_t *n)
{
    if (n->stages == 0) {
        uint64_t size = n->base.exists ? n->base.attr.size : 0;
        objects__stage_init(&n->stage[n->stages++], &o->spool, size, size);
    } else if (n->stages == 1 && (n->committing || n->doubt)) {
        uint64_t size = n->stage[0].size;
        objects__stage_init(&n->stage[n->stages++], &o->spool, size, size);
    }
    return &n->stage[n->stages - 1];
}

void objects__untouch(node_t *n, unsigned before)
{
    if (n->stages == before) return;
    objects__stage_end(&n->stage[--n->stages]);
}

/* Until a conflict is settled, which is with a claim on the path. One without a name has none. */
static apr_status_t wait_settled(objects_t *o, node_t *n, const vfs_ctx_t *ctx)
{
    claim_t c;
    apr_status_t status = objects__claim_node(o, ctx, &c, n);
    if (status == APR_SUCCESS) objects__release(o, &c);
    return status == VFS_ESTALE ? APR_SUCCESS : status;
}

apr_status_t objects__lock_based(objects_t *o, node_t *n, const vfs_ctx_t *ctx)
{
    for (;;) {
        apr_status_t status = objects__base_ask(o, n, ctx, 0);
        if (status != APR_SUCCESS) return status;
        pthread_mutex_lock(&n->mutex);
        int settling = n->settling;
        if (n->base.known && !settling) return APR_SUCCESS;
        pthread_mutex_unlock(&n->mutex);
        if (settling) status = wait_settled(o, n, ctx);
        if (status != APR_SUCCESS) return status;
    }
}

apr_status_t objects__node_write(objects_t *o, node_t *n, const vfs_ctx_t *ctx, const void *buf,
                                 size_t len, apr_off_t off, size_t *written,
                                 vfs_validator_t *validator)
{
    uint64_t most = o->fs->caps.file_size_max;
    apr_status_t status = objects__lock_based(o, n, ctx);
    if (status != APR_SUCCESS) return status;
    uint64_t at = off == VFS_OFFSET_END ? objects__size(n) : (uint64_t)off;
    if (most == 0 || most > (uint64_t)VFS__OFF_MAX) most = (uint64_t)VFS__OFF_MAX;
    unsigned before = n->stages;
    if (len > most || at > most - len)
        status = APR_FROM_OS_ERROR(EFBIG);
    else
        status = objects__stage_write(objects__top_stage(o, n), buf, len, at, written);
    if (*written > 0) {
        objects__touch(n);
        objects__version(o, n, validator);
    } else {
        objects__untouch(n, before);
    }
    pthread_mutex_unlock(&n->mutex);
    return status;
}

apr_status_t objects_write_at(vfs_file_t *file, const vfs_ctx_t *ctx, const void *buf, size_t len,
                              apr_off_t off, size_t *written, vfs_validator_t *validator)
{
    handle_t *h = handle_of(file);
    apr_status_t status =
        objects__node_write(h->o, h->node, ctx, buf, len, off, written, validator);
    if (status == APR_SUCCESS && (file->flags & VFS_O_SYNC)) {
        status = objects_sync(file, ctx, VFS_SYNC_DATA);
        if (status != APR_SUCCESS) *written = 0; /* staged, and not safe */
    }
    return status;
}

apr_status_t objects__node_cut(objects_t *o, node_t *n, uint64_t size)
{
    uint64_t most = o->fs->caps.file_size_max;
    if (most != 0 && size > most) return APR_FROM_OS_ERROR(EFBIG);
    if (size > 0 && size == objects__size(n)) return APR_SUCCESS; /* mutex held */
    objects__stage_cut(objects__top_stage(o, n), size);
    objects__touch(n);
    return APR_SUCCESS;
}

apr_status_t objects_ftruncate(vfs_file_t *file, const vfs_ctx_t *ctx, apr_off_t size)
{
    handle_t *h = handle_of(file);
    apr_status_t status = objects__lock_based(h->o, h->node, ctx);
    if (status != APR_SUCCESS) return status;
    status = objects__node_cut(h->o, h->node, (uint64_t)size);
    pthread_mutex_unlock(&h->node->mutex);
    return status;
}

/* ---- asking */

/* What needs no question. 0: nothing does. *epoch: before it is asked. */
static int tell_known(const handle_t *h, vfs_attr_t *attr, vfs_validator_t *validator,
                      uint32_t *epoch)
{
    node_t *n = h->node;
    pthread_mutex_lock(&n->mutex);
    /* a cache asks for the version that its flush made: that came with the commit */
    int known = n->stages > 0 || n->just;
    *epoch = n->epoch;
    n->just = 0;
    if (known) {
        objects__attr(n, attr);
        objects__version(h->o, n, validator);
    }
    pthread_mutex_unlock(&n->mutex);
    return known;
}

apr_status_t objects_fstat(vfs_file_t *file, const vfs_ctx_t *ctx, vfs_attr_t *attr,
                           vfs_validator_t *validator)
{
    handle_t *h = handle_of(file);
    uint32_t epoch;
    reader_t *r;
    apr_status_t status;
    do {
        if (tell_known(h, attr, validator, &epoch)) return APR_SUCCESS;
        status = objects__reader(h->o, h->node, ctx, 0, &r);
        if (status != APR_SUCCESS) continue;
        status = vfs_call_fstat(r->file, ctx, attr, validator);
        objects__reader_put(h->node, r);
    } while (status == VFS_ESTALE && committed_since(h->o, h->node, ctx, epoch));
    if (status != APR_SUCCESS) return status;
    objects__base_learn(h->o, h->node, epoch, attr, validator);
    objects__strip(attr);
    return APR_SUCCESS;
}

/* ---- what commits */

apr_status_t objects_flush(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    handle_t *h = handle_of(file);
    return objects__commit(h->o, h->node, ctx, COMMIT_MOVES);
}

apr_status_t objects_sync(vfs_file_t *file, const vfs_ctx_t *ctx, uint32_t flags)
{
    handle_t *h = handle_of(file);
    reader_t *r;
    apr_status_t status = objects__commit(h->o, h->node, ctx, COMMIT_KEEPS);
    if (status != APR_SUCCESS || !(h->o->lower->caps.bits & VFS_CAP_SYNC)) return status;
    if (objects__is_gone(h->o, h->node))
        return APR_SUCCESS; /* a power loss leaves nothing of it, safe or not */
    status = objects__reader(h->o, h->node, ctx, 0, &r);
    if (status != APR_SUCCESS) return status;
    status = vfs_call_sync(r->file, ctx, flags);
    objects__reader_put(h->node, r);
    return APR_STATUS_IS_ENOTIMPL(status) ? APR_SUCCESS : status;
}

apr_status_t objects_close(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    handle_t *h = handle_of(file);
    objects_t *o = h->o;
    node_t *n = h->node;
    int writer = (file->flags & VFS_O_WRITE) != 0;
    apr_status_t status = APR_SUCCESS;
    pthread_mutex_lock(&o->lock);
    if (writer) n->writers--;
    int last = n->writers == 0;
    pthread_mutex_unlock(&o->lock);
    if (last) status = objects__commit(o, n, ctx, COMMIT_KEEPS);
    objects__node_put(o, n);
    file->magic = VFS__DEAD_MAGIC;
    free(h);
    return status;
}
