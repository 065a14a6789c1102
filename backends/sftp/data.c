/*
 * data.c - bytes of files. Floor 2. All requests of one call, up to SFTP_FLIGHT_MAX bytes, are in
 * flight at once. A server answers those of one connection in their order, so attributes asked for
 * before and behind the bytes tell whether these are of one version.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/sftp/sftp.h"

/* ---- reading */

typedef struct read_t {
    const vfs_iovec_t *iov;
    size_t count;
    uint64_t off;
    uint64_t want, done;
    vfs_attr_t attr; /* behind the bytes */
    vfs_validator_t version;
    const char *path; /* of sftp__get */
    vfs_attr_t *out_attr;
} read_t;

/* Where the byte `done` goes; `len` becomes what is left of that piece at most. */
static uint8_t *place(const read_t *r, uint64_t done, size_t *len)
{
    for (size_t i = 0; i < r->count; i++) {
        if (done < r->iov[i].len) {
            if (*len > r->iov[i].len - done) *len = (size_t)(r->iov[i].len - done);
            return (uint8_t *)r->iov[i].base + done;
        }
        done -= r->iov[i].len;
    }
    return NULL;
}

/* One round: attributes, if we have none from before, as much as may be in flight, attributes. */
static void ask_round(sftp_call_t *c, const read_t *r, int known)
{
    uint64_t at = r->done;
    if (!known) sftp__ask_handle(c, FXP_FSTAT, c->handle, c->handle_len);
    while (at < r->want && at - r->done < SFTP_FLIGHT_MAX && !c->failed) {
        size_t len = c->session->read_max;
        if (len > r->want - at) len = (size_t)(r->want - at);
        uint8_t *into = place(r, at, &len);
        sftp__ask_read(c, c->handle, c->handle_len, r->off + at, into, len);
        at += len;
    }
    sftp__ask_handle(c, FXP_FSTAT, c->handle, c->handle_len);
}

/* How far the bytes go without a gap. `*whole`: every request brought all that it could. */
static apr_status_t take_round(const sftp_call_t *c, read_t *r, size_t first, int *whole)
{
    *whole = 1;
    for (size_t i = first; i + 1 < c->count; i++) {
        const sftp_req_t *req = c->reqs[i];
        apr_status_t status = sftp__reply(c, i, FXP_DATA, NULL);
        if (status == APR_EOF) return APR_SUCCESS;
        if (status != APR_SUCCESS) /* beyond what its system can count, and so behind the end */
            return r->off + r->done >= r->attr.size ? APR_SUCCESS : status;
        r->done += req->got;
        if (req->got == req->into_len) continue;
        *whole = 0;
        return req->got > 0 ? APR_SUCCESS : VFS_EFORMAT;
    }
    return APR_SUCCESS;
}

static int same(const vfs_attr_t *a, const vfs_attr_t *b)
{
    return a->size == b->size && a->mtime_ns == b->mtime_ns;
}

/* All of it, of one version: from `first`, if that is known, to `r->attr`. VFS_ECONFLICT: it
 * changed meanwhile. */
static apr_status_t read_version(sftp_call_t *c, read_t *r, vfs_attr_t first, int known)
{
    int whole;
    r->done = 0;
    do {
        uint64_t was = r->done;
        ask_round(c, r, known);
        apr_status_t status = sftp__wait(c);
        if (status == APR_SUCCESS && !known) status = sftp__reply_attr(c, 0, &first);
        if (status == APR_SUCCESS) status = sftp__reply_attr(c, c->count - 1, &r->attr);
        if (status == APR_SUCCESS) status = take_round(c, r, !known, &whole);
        if (status != APR_SUCCESS) return status;
        known = 1;
        if (!same(&first, &r->attr)) return VFS_ECONFLICT;
        if (r->done == was) break;
    } while (r->done < r->want && r->off + r->done < r->attr.size);
    sftp__version(c->f, &r->version, &r->attr);
    if (c->file != NULL) sftp__saw(c->file, &r->attr, c->reqs[c->count - 1]->order);
    return APR_SUCCESS;
}

static apr_status_t read_it(sftp_call_t *c, void *baton)
{
    read_t *r = baton;
    vfs_attr_t seen = {0};
    if (c->file != NULL)
        sftp__last_seen(c->file, &seen);
    else
        seen = *r->out_attr;
    /* what was seen last is from before the bytes, too */
    apr_status_t status = read_version(c, r, seen, 1);
    if (status == VFS_ECONFLICT) status = read_version(c, r, seen, 0);
    if (status == VFS_ECONFLICT && c->file != NULL) status = read_version(c, r, seen, 0);
    return status == VFS_ECONFLICT ? VFS_ESTALE : status;
}

apr_status_t sftp__fetch(vfs_file_t *base, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                         size_t count, apr_off_t off, size_t *got, vfs_validator_t *validator)
{
    sftp_file_t *file = (sftp_file_t *)base;
    read_t r = {.iov = iov, .count = count, .off = (uint64_t)off};
    if (file->is_dir) return APR_FROM_OS_ERROR(EISDIR);
    for (size_t i = 0; i < count; i++)
        r.want += iov[i].len;
    apr_status_t status = sftp__run_file(file, ctx, SFTP_AGAIN, read_it, &r);
    if (status != APR_SUCCESS) return status;
    *got = (size_t)r.done;
    if (validator != NULL) *validator = r.version;
    return APR_SUCCESS;
}

apr_status_t sftp__readv_at(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                            size_t count, apr_off_t off, size_t *got)
{
    return sftp__fetch(file, ctx, iov, count, off, got, NULL);
}

apr_status_t sftp__read_at(vfs_file_t *file, const vfs_ctx_t *ctx, void *buf, size_t len,
                           apr_off_t off, size_t *got)
{
    const vfs_iovec_t iov = {buf, len};
    return sftp__fetch(file, ctx, &iov, 1, off, got, NULL);
}

/* ---- attributes and the first bytes */

/* The name is a link: of what it leads to. The attributes are told by what was opened. */
static apr_status_t get_behind(sftp_call_t *c, read_t *r, apr_status_t opened)
{
    const vfs_attr_t none = {0};
    apr_status_t bytes = opened == APR_SUCCESS ? read_version(c, r, none, 0) : opened;
    if (bytes == APR_SUCCESS && r->attr.type == VFS_TYPE_FILE) {
        *r->out_attr = r->attr;
        return bytes;
    }
    if (bytes == SFTP_LOST) return bytes;
    r->done = 0; /* it is none that bytes are read of, or none that we may read */
    sftp__ask_path(c, FXP_STAT, r->path);
    sftp__ask_path(c, FXP_REALPATH, r->path);
    apr_status_t status = sftp__wait(c);
    if (status == APR_SUCCESS) status = sftp__look(c, 0, r->path, 1, r->out_attr);
    if (status == APR_SUCCESS) sftp__version(c->f, &r->version, r->out_attr);
    r->out_attr->flags &= ~VFS_ATTR_DIRECT;
    if (status != APR_SUCCESS || r->out_attr->type != VFS_TYPE_FILE) return status;
    return bytes == APR_SUCCESS || bytes == VFS_ECONFLICT ? VFS_ESTALE : bytes;
}

static apr_status_t get_named(sftp_call_t *c, read_t *r, apr_status_t opened)
{
    const uint32_t direct = r->out_attr->flags;
    sftp__version(c->f, &r->version, r->out_attr);
    if (r->out_attr->type != VFS_TYPE_FILE) return APR_SUCCESS;
    if (opened != APR_SUCCESS) return opened;
    if (r->want > r->out_attr->size) r->want = r->out_attr->size;
    if (r->want == 0) return APR_SUCCESS;
    apr_status_t status = read_it(c, r);
    if (status == APR_SUCCESS) *r->out_attr = r->attr;
    r->out_attr->flags = direct;
    return status;
}

/* LSTAT, since it knows a link that leads nowhere from nothing at all. */
static apr_status_t get_it(sftp_call_t *c, void *baton)
{
    read_t *r = baton;
    r->done = 0;
    r->want = r->iov[0].len;
    sftp__ask_open(c, r->path, FXF_READ, NULL);
    sftp__ask_path(c, FXP_LSTAT, r->path);
    sftp__ask_path(c, FXP_REALPATH, r->path);
    apr_status_t status = sftp__wait(c);
    if (status != APR_SUCCESS) return status;
    apr_status_t opened = sftp__reply_handle(c, 0, c->handle, &c->handle_len);
    status = sftp__look(c, 1, r->path, 1, r->out_attr);
    if (status == APR_SUCCESS && r->out_attr->type == VFS_TYPE_LINK)
        status = get_behind(c, r, opened);
    else if (status == APR_SUCCESS)
        status = get_named(c, r, opened);
    if (opened != APR_SUCCESS) return status;
    sftp__drop_handle(c, c->handle, c->handle_len);
    (void)sftp__wait(c); /* the answer is there */
    return status;
}

apr_status_t sftp__get(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path, void *buf,
                       size_t len, size_t *got, vfs_attr_t *attr, vfs_validator_t *validator)
{
    const vfs_iovec_t iov = {buf, len};
    read_t r = {.iov = &iov, .count = 1, .path = path->str, .out_attr = attr};
    if (len == 0) return sftp__stat(fs, ctx, path, attr, validator);
    apr_status_t status = sftp__run(fs->state, ctx, SFTP_AGAIN, get_it, &r);
    if (status != APR_SUCCESS) return status;
    *got = (size_t)r.done;
    *validator = r.version;
    return APR_SUCCESS;
}

/* ---- writing */

typedef struct write_t {
    const sftp_file_t *file;
    const uint8_t *data;
    uint64_t off;
    size_t len, done;
    int at_end; /* where that is, is asked first: some servers ignore that a handle appends */
    vfs_attr_t attr;
} write_t;

static void ask_write(sftp_call_t *c, const write_t *w, size_t at, size_t len)
{
    sftp__begin(c, FXP_WRITE);
    sftp__buf_text(&c->out, c->handle, c->handle_len);
    sftp__buf_put64(&c->out, w->off + at);
    sftp__buf_text(&c->out, w->data + at, len);
    sftp__end(c);
}

static void ask_sync(sftp_call_t *c)
{
    sftp__begin(c, FXP_EXTENDED);
    sftp__buf_text(&c->out, "fsync@openssh.com", 17);
    sftp__buf_text(&c->out, c->handle, c->handle_len);
    sftp__end(c);
}

static apr_status_t write_round(sftp_call_t *c, write_t *w)
{
    size_t at = w->done, pieces = 0, max = c->session->write_max;
    int sync = (w->file->base.flags & VFS_O_SYNC) != 0;
    for (; at < w->len && at - w->done < SFTP_FLIGHT_MAX && !c->failed; pieces++) {
        size_t len = w->len - at < max ? w->len - at : max;
        ask_write(c, w, at, len);
        at += len;
    }
    if (sync) ask_sync(c);
    sftp__ask_handle(c, FXP_FSTAT, c->handle, c->handle_len);
    apr_status_t status = sftp__wait(c);
    atomic_fetch_add_explicit(&c->f->bytes_out, at - w->done, memory_order_relaxed);
    if (status != APR_SUCCESS) return status;
    apr_status_t looked = sftp__reply_attr(c, c->count - 1, &w->attr);
    if (looked == APR_SUCCESS) sftp__changed(c->file, &w->attr, c->reqs[c->count - 1]->order);
    for (size_t i = 0; i < pieces; i++) {
        status = sftp__reply(c, i, FXP_STATUS, NULL);
        if (status != APR_SUCCESS) return status;
        w->done = i + 1 < pieces ? w->done + max : at;
    }
    if (sync) status = sftp__reply(c, pieces, FXP_STATUS, NULL);
    return status == APR_SUCCESS ? looked : status;
}

static apr_status_t write_it(sftp_call_t *c, void *baton)
{
    write_t *w = baton;
    apr_status_t status = APR_SUCCESS;
    w->done = 0;
    if ((w->file->base.flags & VFS_O_SYNC) && !(c->session->extensions & SFTP_EXT_FSYNC))
        return APR_ENOTIMPL;
    if (w->at_end) {
        sftp__ask_handle(c, FXP_FSTAT, c->handle, c->handle_len);
        status = sftp__wait(c);
        if (status == APR_SUCCESS) status = sftp__reply_attr(c, 0, &w->attr);
        w->off = w->attr.size;
        c->sent = 0; /* it has only been asked for */
    }
    const sftp_change_t change = {.least = UINT64_MAX, .most = w->off + w->len};
    if (status == APR_SUCCESS) sftp__change_begin(c, &change);
    while (status == APR_SUCCESS && w->done < w->len)
        status = write_round(c, w);
    if (status == APR_SUCCESS || status == SFTP_LOST) return status;
    return sftp__why_write(c, w->file, status);
}

apr_status_t sftp__write_at(vfs_file_t *base, const vfs_ctx_t *ctx, const void *buf, size_t len,
                            apr_off_t off, size_t *written, vfs_validator_t *validator)
{
    sftp_file_t *file = (sftp_file_t *)base;
    sftp_t *f = base->fs->state;
    int append = off == VFS_OFFSET_END || (base->flags & VFS_O_APPEND);
    write_t w = {
        .file = file, .data = buf, .off = append ? 0 : (uint64_t)off, .len = len, .at_end = append};
    if (w.at_end) pthread_mutex_lock(&f->append);
    apr_status_t status = sftp__run_file(file, ctx, append ? 0 : SFTP_AGAIN, write_it, &w);
    if (w.at_end) pthread_mutex_unlock(&f->append);
    *written = w.done;
    atomic_fetch_add(&file->writes, 1);
    if (status == APR_SUCCESS && len > 0) sftp__version(f, validator, &w.attr);
    return status;
}

/* ---- durable */

/* All that was accepted is on the server already. */
apr_status_t sftp__flush(vfs_file_t *file, const vfs_ctx_t *ctx)
{
    (void)file;
    (void)ctx;
    return APR_SUCCESS;
}

static apr_status_t sync_it(sftp_call_t *c, void *baton)
{
    (void)baton;
    if (!(c->session->extensions & SFTP_EXT_FSYNC)) return APR_ENOTIMPL;
    ask_sync(c);
    apr_status_t status = sftp__wait(c);
    return status == APR_SUCCESS ? sftp__reply(c, 0, FXP_STATUS, NULL) : status;
}

apr_status_t sftp__sync(vfs_file_t *base, const vfs_ctx_t *ctx, uint32_t flags)
{
    sftp_file_t *file = (sftp_file_t *)base;
    (void)flags;
    if (file->is_dir) return APR_SUCCESS; /* no names are changed by a handle */
    sftp_t *f = base->fs->state;
    uint64_t writes = atomic_load(&file->writes);
    apr_status_t status = sftp__run_file(file, ctx, SFTP_AGAIN, sync_it, NULL);
    if (status != APR_SUCCESS) return status;
    pthread_mutex_lock(&f->mutex);
    if (file->synced < writes) file->synced = writes;
    pthread_mutex_unlock(&f->mutex);
    return status;
}
