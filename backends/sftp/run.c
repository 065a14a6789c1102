/*
 * run.c - a call: by which connection it goes, when it is tried again, and when the server is not
 * asked at all. Floor 2.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/sftp/sftp.h"
#include "vfs/wait.h"

#define PAUSE_MIN_US 100000 /* before the second attempt, half of it by chance */
#define PAUSE_MAX_US 10000000

void sftp__call_init(sftp_call_t *c, sftp_t *f, sftp_session_t *s, const vfs_ctx_t *ctx)
{
    memset(c, 0, sizeof(*c));
    c->f = f;
    c->session = s;
    c->ctx = ctx;
    pthread_cond_init(&c->cond, NULL);
}

void sftp__call_end(sftp_call_t *c)
{
    sftp__clear(c);
    free(c->reqs);
    sftp__buf_free(&c->out);
    sftp__buf_free(&c->drops);
    (void)pthread_cond_destroy(&c->cond); /* nobody is left to wait */
}

void sftp__version(const sftp_t *f, vfs_validator_t *out, const vfs_attr_t *attr)
{
    vfs_validator_from_attr(out, attr, vfs_now_ns(),
                            1000000000u + (uint64_t)f->config.skew_us * 1000u);
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t chance(sftp_t *f)
{
    uint64_t z = atomic_fetch_add_explicit(&f->chance, 0x9e3779b97f4a7c15u, memory_order_relaxed);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static apr_status_t wait_turn(sftp_t *f, const vfs_ctx_t *ctx, uint64_t attempt)
{
    const vfs_ctx_t none = VFS_CTX_INIT;
    vfs_ctx_t until = ctx != NULL ? *ctx : none;
    apr_status_t status = APR_SUCCESS;
    int64_t us = PAUSE_MAX_US;
    if (attempt < 16 && (int64_t)PAUSE_MIN_US << attempt < us)
        us = (int64_t)PAUSE_MIN_US << attempt;
    apr_time_t end = apr_time_now() + us / 2 + (int64_t)(chance(f) % (uint64_t)(us / 2));
    if (until.deadline == 0 || end < until.deadline) until.deadline = end;
    pthread_mutex_lock(&f->mutex);
    while (status == APR_SUCCESS)
        status = vfs__cond_wait(&f->pause, &f->mutex, &until);
    pthread_mutex_unlock(&f->mutex);
    return status == APR_TIMEUP ? vfs_ctx_check(ctx) : status;
}

static vfs__breaker_e verdict(apr_status_t status)
{
    if (status == VFS_EOFFLINE || status == SFTP_LOST) return VFS__BREAKER_BAD;
    if (status == APR_TIMEUP || status == VFS_ECANCELED || status == APR_ENOMEM)
        return VFS__BREAKER_NONE;
    return VFS__BREAKER_GOOD;
}

/* One attempt; `*sent`: the server may have begun with it. */
typedef struct attempt_t {
    sftp_t *f;
    const vfs_ctx_t *ctx;
    sftp_file_t *file; /* or NULL */
    sftp_fn fn;
    void *baton;
    uint32_t flags;
    int sent;
} attempt_t;

static apr_status_t file_session(sftp_file_t *file, sftp_call_t *c);

int sftp__unsure(apr_status_t status)
{
    return status == SFTP_LOST || status == APR_FROM_OS_ERROR(EIO) || status == APR_TIMEUP ||
           status == VFS_ECANCELED || status == VFS_EFORMAT;
}

static apr_status_t try_once(attempt_t *a)
{
    char err[256] = "";
    sftp_session_t *s = NULL;
    sftp_call_t c;
    apr_status_t status = APR_SUCCESS;
    if (a->file != NULL) {
        pthread_mutex_lock(&a->file->mutex);
        s = a->file->session;
        if (s != NULL && !atomic_load(&s->dead))
            sftp__session_ref(s);
        else
            s = NULL;
        pthread_mutex_unlock(&a->file->mutex);
    }
    if (s == NULL) status = sftp__session_get(a->f, a->ctx, &s, err, sizeof(err));
    if (status != APR_SUCCESS) return status;
    atomic_fetch_add(&s->calls, 1);
    sftp__call_init(&c, a->f, s, a->ctx);
    c.file = a->file;
    if (a->file != NULL) status = file_session(a->file, &c);
    c.sent = 0; /* what was done so far does no harm */
    if (status == APR_SUCCESS) status = a->fn(&c, a->baton);
    a->sent = c.sent;
    sftp__change_end(&c, status);
    sftp__call_end(&c);
    atomic_fetch_sub(&s->calls, 1);
    sftp__session_unref(s);
    return status;
}

static apr_status_t guarded(attempt_t *a)
{
    int trial = 0;
    sftp_t *f = a->f;
    a->sent = 0;
    pthread_mutex_lock(&f->mutex);
    int may = vfs__breaker_may(&f->breaker, apr_time_now(), &trial);
    pthread_mutex_unlock(&f->mutex);
    atomic_fetch_add_explicit(may ? &f->attempts : &f->refused, 1, memory_order_relaxed);
    if (!may) return VFS_EOFFLINE;
    apr_status_t status = try_once(a);
    if (verdict(status) == VFS__BREAKER_BAD)
        atomic_fetch_add_explicit(&f->failures, 1, memory_order_relaxed);
    pthread_mutex_lock(&f->mutex);
    (void)vfs__breaker_ended(&f->breaker, verdict(status), apr_time_now(), trial);
    int open = f->breaker.open;
    pthread_mutex_unlock(&f->mutex);
    if (open && status == VFS_EOFFLINE) a->sent = -1; /* there is no use in trying again */
    return status;
}

static apr_status_t run(attempt_t *a)
{
    atomic_fetch_add_explicit(&a->f->requests, 1, memory_order_relaxed);
    for (uint64_t attempt = 0;; attempt++) {
        apr_status_t status = guarded(a);
        if (status != SFTP_LOST && status != VFS_EOFFLINE) return status;
        if (a->sent > 0 && !(a->flags & SFTP_AGAIN))
            return APR_FROM_OS_ERROR(EIO); /* the reply is lost: it may have been done */
        if (a->sent < 0 || attempt >= a->f->config.retries) return VFS_EOFFLINE;
        /* a connection that others had too was known to be good: another is made at once */
        if (attempt > 0 || status != SFTP_LOST) status = wait_turn(a->f, a->ctx, attempt);
        if (status != APR_SUCCESS && status != SFTP_LOST) return status;
    }
}

apr_status_t sftp__run(sftp_t *f, const vfs_ctx_t *ctx, uint32_t flags, sftp_fn fn, void *baton)
{
    attempt_t a = {f, ctx, NULL, fn, baton, flags, 0};
    return run(&a);
}

apr_status_t sftp__run_file(sftp_file_t *file, const vfs_ctx_t *ctx, uint32_t flags, sftp_fn fn,
                            void *baton)
{
    attempt_t a = {file->base.fs->state, ctx, file, fn, baton, flags, 0};
    return run(&a);
}

/* ---- a file on another connection */

/* Is what the name leads to now the file that was open? */
static apr_status_t same_file(sftp_file_t *file, sftp_call_t *c)
{
    vfs_attr_t attr;
    sftp__ask_handle(c, FXP_FSTAT, file->handle, file->handle_len);
    apr_status_t status = sftp__wait(c);
    if (status == APR_SUCCESS) status = sftp__reply_attr(c, 0, &attr);
    if (status != APR_SUCCESS) return status;
    if (!sftp__is_same(file, &attr)) return VFS_ESTALE;
    sftp__saw(file, &attr, c->reqs[0]->order);
    return APR_SUCCESS;
}

static apr_status_t open_again(sftp_file_t *file, sftp_call_t *c)
{
    char path[VFS_PATH_MAX + 1];
    uint32_t flags = 0;
    if (!sftp__file_path(file, path)) return VFS_ESTALE;
    if (file->base.flags & VFS_O_READ) flags |= FXF_READ;
    if (file->base.flags & VFS_O_WRITE) flags |= FXF_WRITE;
    if (file->base.flags & VFS_O_APPEND) flags |= FXF_APPEND;
    sftp__ask_open(c, path, flags, NULL);
    apr_status_t status = sftp__wait(c);
    if (status == APR_SUCCESS) status = sftp__reply_handle(c, 0, file->handle, &file->handle_len);
    if (APR_STATUS_IS_ENOENT(status)) return VFS_ESTALE;
    if (status != APR_SUCCESS) return status;
    status = same_file(file, c);
    if (status == APR_SUCCESS) return status;
    sftp__drop_handle(c, file->handle, file->handle_len);
    (void)sftp__wait(c); /* closes what was opened; the answer stays the same */
    return status;
}

/* The handle is of the call's connection afterwards. */
static apr_status_t file_session(sftp_file_t *file, sftp_call_t *c)
{
    apr_status_t status = APR_SUCCESS;
    pthread_mutex_lock(&file->mutex);
    if (file->stale) {
        status = VFS_ESTALE;
    } else if (file->session != c->session) {
        sftp_session_t *old = file->session;
        if (old != NULL && !atomic_load(&old->dead)) {
            status = SFTP_LOST; /* another thread opened it on another one: try again there */
        } else {
            status = open_again(file, c);
            file->stale = status == VFS_ESTALE;
            if (status == APR_SUCCESS) {
                file->session = c->session;
                sftp__session_ref(c->session);
                if (old != NULL) sftp__session_unref(old);
            }
        }
    }
    if (status == APR_SUCCESS) {
        memcpy(c->handle, file->handle, file->handle_len);
        c->handle_len = file->handle_len;
    }
    pthread_mutex_unlock(&file->mutex);
    return status;
}
