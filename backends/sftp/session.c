/*
 * session.c - the connections of an instance: their life, and which of them a call takes. Floor 2.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/sftp/sftp.h"
#include "vfs/wait.h"

#define MORE_PAUSE_US 60000000
#define CALLS_ENOUGH 2u /* so many at a time on each connection, before another is made */

void sftp__session_ref(sftp_session_t *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
}

void sftp__session_unref(sftp_session_t *s)
{
    if (atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1) return;
    for (size_t i = 0; i < SFTP_TABLE; i++) {
        while (s->table[i] != NULL) { /* nobody waits for these */
            sftp_req_t *req = s->table[i];
            s->table[i] = req->next;
            free(req->body);
            free(req);
        }
    }
    if (s->ssh != NULL) {
        /* what it says goes to `wire` and at once to the socket, or nowhere; it never waits */
        (void)libssh2_session_disconnect(s->ssh, "done");
        if (s->fd >= 0) (void)sftp__wire_flush(s);
        if (s->fd >= 0) (void)shutdown(s->fd, SHUT_RDWR);
        (void)libssh2_session_free(s->ssh); /* with its channel */
    }
    if (s->fd >= 0) (void)close(s->fd); /* nothing is left to be lost */
    if (s->wake >= 0) (void)close(s->wake);
    sftp__buf_free(&s->wire);
    sftp__buf_free(&s->out);
    sftp__buf_free(&s->in);
    (void)pthread_mutex_destroy(&s->mutex);
    free(s);
}

/* Take dead ones out of the list, and find the live one with the least to do. The instance's mutex
 * is held; what is taken out goes to `dead`. */
static sftp_session_t *pick(sftp_t *f, sftp_session_t **dead)
{
    sftp_session_t *best = NULL;
    sftp_session_t **at = &f->sessions;
    while (*at != NULL) {
        sftp_session_t *s = *at;
        if (atomic_load(&s->dead)) {
            *at = s->next;
            s->next = *dead;
            *dead = s;
            f->nsessions--;
            continue;
        }
        if (best == NULL || atomic_load(&s->calls) < atomic_load(&best->calls)) best = s;
        at = &s->next;
    }
    return best;
}

static void unref_all(sftp_session_t *dead)
{
    while (dead != NULL) {
        sftp_session_t *next = dead->next;
        sftp__session_unref(dead);
        dead = next;
    }
}

/* The instance's mutex is held; it is let go while the connection is made. */
static apr_status_t make_one(sftp_t *f, const vfs_ctx_t *ctx, sftp_session_t **out, char *err,
                             size_t errlen)
{
    f->connecting++;
    pthread_mutex_unlock(&f->mutex);
    apr_status_t status = sftp__connect(out, f, ctx, err, errlen);
    pthread_mutex_lock(&f->mutex);
    f->connecting--;
    if (status == APR_SUCCESS) {
        (*out)->next = f->sessions;
        f->sessions = *out;
        f->nsessions++;
        sftp__session_ref(*out);
    }
    pthread_cond_broadcast(&f->room);
    return status;
}

apr_status_t sftp__session_get(sftp_t *f, const vfs_ctx_t *ctx, sftp_session_t **out, char *err,
                               size_t errlen)
{
    sftp_session_t *dead = NULL, *best;
    apr_status_t status = APR_SUCCESS;
    *out = NULL;
    pthread_mutex_lock(&f->mutex);
    while (status == APR_SUCCESS && *out == NULL) {
        best = pick(f, &dead);
        int room = f->nsessions + f->connecting < f->config.connections;
        if (best != NULL && (atomic_load(&best->calls) < CALLS_ENOUGH || !room || f->connecting ||
                             sftp__now_us() < f->more_us)) {
            *out = best;
            sftp__session_ref(best);
        } else if (room) {
            status = make_one(f, ctx, out, err, errlen);
            if (status != APR_SUCCESS && status != APR_TIMEUP && status != VFS_ECANCELED &&
                pick(f, &dead) != NULL) {
                status = APR_SUCCESS; /* one more was too much: the server has its own limits */
                f->more_us = sftp__now_us() + MORE_PAUSE_US;
                *out = pick(f, &dead);
                if (*out != NULL) sftp__session_ref(*out);
            }
        } else {
            status = vfs__cond_wait(&f->room, &f->mutex, ctx);
        }
    }
    pthread_mutex_unlock(&f->mutex);
    unref_all(dead);
    return status;
}
