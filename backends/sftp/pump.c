/*
 * pump.c - what goes over a connection: requests of many calls out, replies in, each to who waits
 * for it. Floor 2.
 *
 * libssh2 wants the same call again after one that would have had to wait, which calls of many
 * threads cannot promise. So it never has to wait when it sends: its bytes go to a buffer of ours
 * (`wire`), and from there to the socket. When it receives, waiting leaves nothing half done.
 *
 * Who has asked takes a step itself. If its replies are not there then, it becomes the pump, if
 * there is none: it polls without the mutex, and takes a step whenever there is news. Whoever gets
 * a reply is woken; a pump that has all of its own hands over to one that sleeps.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "backends/sftp/sftp.h"
#include "vfs/wait.h"

#define IDLE_MS 1000
#define WIRE_MAX (1u << 20)     /* bytes for the socket, beyond which libssh2 gets no more */
#define WIRE_READY 65536u       /* so many go to the socket, while libssh2 makes more of them */
#define GREETING_MAX (1u << 20) /* bytes that a server may send before we are logged in */
#define CALL_STALLS 10          /* a call waits for so many times the limit of silence */
#define READ_ROOM 65536u

int64_t sftp__now_us(void)
{
    struct timespec now;
    int rc = clock_gettime(CLOCK_MONOTONIC, &now);
    VFS_ASSERT(rc == 0);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* ---- the socket */

/* libssh2 speaks to an agent by the same callbacks. An agent may ask its user: it has the time that
 * is left for the greeting, no more. */
static ssize_t agent_send(const sftp_session_t *s, int fd, const void *data, size_t len)
{
    int64_t left = s->limit_us - sftp__now_us();
    if (left <= 0) return -ETIMEDOUT;
    const struct timeval limit = {left / 1000000, left % 1000000};
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)); /* of a socket */
    ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
    return n < 0 ? -errno : n;
}

ssize_t sftp__wire_send(libssh2_socket_t fd, const void *data, size_t len, int flags,
                        void **abstract)
{
    sftp_session_t *s = *abstract;
    if (fd != s->fd) return agent_send(s, fd, data, len);
    (void)flags;
    sftp__buf_put(&s->wire, data, len);
    return s->wire.failed ? -ENOMEM : (ssize_t)len;
}

ssize_t sftp__wire_recv(libssh2_socket_t fd, void *data, size_t len, int flags, void **abstract)
{
    sftp_session_t *s = *abstract;
    (void)flags;
    if (fd != s->fd) {
        ssize_t got = recv(fd, data, len, 0);
        return got < 0 ? -errno : got;
    }
    if (s->greeting && (s->heard > GREETING_MAX || sftp__now_us() >= s->limit_us))
        return -ECONNABORTED;
    ssize_t n = recv(fd, data, len, MSG_DONTWAIT);
    s->broken |= n == 0 || (n < 0 && errno != EAGAIN && errno != EWOULDBLOCK);
    if (n < 0) return errno == EWOULDBLOCK ? -EAGAIN : -errno;
    s->heard += (uint64_t)n;
    if (n > 0) s->progress_us = sftp__now_us();
    return n;
}

int sftp__wire_flush(sftp_session_t *s)
{
    size_t done = 0;
    while (done < s->wire.len) {
        ssize_t n =
            send(s->fd, s->wire.data + done, s->wire.len - done, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (n <= 0) return 0;
        done += (size_t)n;
    }
    sftp__buf_drop(&s->wire, done);
    return !s->wire.failed;
}

/* ---- replies */

static void wake_pump(const sftp_session_t *s)
{
    const uint64_t one = 1;
    ssize_t n = write(s->wake, &one, sizeof(one));
    (void)n; /* it can only be full, and then it wakes all the same */
}

static void wake_call(const sftp_session_t *s, sftp_call_t *c)
{
    if (s->pump == c)
        wake_pump(s);
    else
        pthread_cond_signal(&c->cond);
}

static sftp_req_t *take_req(sftp_session_t *s, uint32_t id)
{
    sftp_req_t **at = &s->table[id % SFTP_TABLE];
    while (*at != NULL && (*at)->id != id)
        at = &(*at)->next;
    sftp_req_t *req = *at;
    if (req == NULL) return NULL;
    *at = req->next;
    s->in_flight--;
    return req;
}

static void req_free(sftp_req_t *req)
{
    free(req->body);
    free(req);
}

static void add_req(sftp_session_t *s, sftp_req_t *req)
{
    req->next = s->table[req->id % SFTP_TABLE];
    s->table[req->id % SFTP_TABLE] = req;
    if (s->in_flight++ == 0) s->progress_us = sftp__now_us();
}

/* Close the handle that stands there; nobody waits for what the server says. */
static void close_handle(sftp_session_t *s, sftp_in_t *in)
{
    size_t len = 0;
    const uint8_t *handle = sftp__in_text(in, &len);
    sftp_req_t *req = calloc(1, sizeof(*req));
    if (in->bad || len > SFTP_HANDLE_MAX || req == NULL) {
        free(req);
        return;
    }
    req->id = atomic_fetch_add_explicit(&s->next_id, 1, memory_order_relaxed);
    req->asked = FXP_CLOSE;
    sftp__buf_put32(&s->out, (uint32_t)(9 + len));
    sftp__buf_put8(&s->out, FXP_CLOSE);
    sftp__buf_put32(&s->out, req->id);
    sftp__buf_text(&s->out, handle, len);
    add_req(s, req);
}

static apr_status_t keep_reply(sftp_req_t *req, sftp_in_t *in)
{
    if (req->type == FXP_DATA && req->into != NULL) {
        size_t len = 0;
        const uint8_t *data = sftp__in_text(in, &len);
        if (in->bad || len > req->into_len) return VFS_EFORMAT;
        memcpy(req->into, data, len);
        req->got = len;
        atomic_fetch_add_explicit(&req->call->f->bytes_in, len, memory_order_relaxed);
        return APR_SUCCESS;
    }
    req->body = malloc(in->left + 1);
    if (req->body == NULL) return APR_ENOMEM;
    memcpy(req->body, in->at, in->left);
    req->len = in->left;
    return APR_SUCCESS;
}

/* One whole message. */
static apr_status_t take_message(sftp_session_t *s, const uint8_t *data, size_t len)
{
    sftp_in_t in = {data + 1, len - 1, 0};
    uint32_t id = sftp__in_32(&in);
    sftp_req_t *req = in.bad || data[0] == 0 ? NULL : take_req(s, id);
    if (req == NULL) return VFS_EFORMAT; /* nobody asked, or it is none: there is no type 0 */
    sftp_call_t *c = req->call;
    req->type = data[0];
    req->order = atomic_fetch_add(&s->f->replies, 1) + 1;
    if (c == NULL) {
        if (req->type == FXP_HANDLE) close_handle(s, &in); /* it was opened for who has gone */
        req_free(req);
        return APR_SUCCESS;
    }
    apr_status_t status = keep_reply(req, &in);
    if (--c->missing == 0) wake_call(s, c);
    return status;
}

apr_status_t sftp__take_messages(sftp_session_t *s)
{
    size_t done = 0;
    apr_status_t status = APR_SUCCESS;
    while (status == APR_SUCCESS) {
        sftp_in_t in = {s->in.data + done, s->in.len - done, 0};
        if (in.left < 5) break;
        size_t len = sftp__in_32(&in);
        if (len < 5 || len > SFTP_MESSAGE_MAX) return VFS_EFORMAT;
        if (len > in.left) break;
        status = take_message(s, in.at, len);
        done += 4 + len;
    }
    sftp__buf_drop(&s->in, done);
    return status;
}

/* ---- steps */

static int write_some(sftp_session_t *s)
{
    size_t done = 0;
    while (done < s->out.len && s->wire.len < WIRE_MAX) {
        size_t len = s->out.len - done < SFTP_PIECE ? s->out.len - done : SFTP_PIECE;
        ssize_t n = libssh2_channel_write(s->channel, (const char *)s->out.data + done, len);
        if (n == LIBSSH2_ERROR_EAGAIN || n == 0) break; /* the server's window is full */
        if (n < 0) return 0;
        done += (size_t)n;
        if (s->wire.len >= WIRE_READY && !sftp__wire_flush(s)) return 0;
    }
    sftp__buf_drop(&s->out, done);
    return !s->out.failed;
}

static apr_status_t read_some(sftp_session_t *s)
{
    for (;;) {
        uint8_t *room = sftp__buf_more(&s->in, READ_ROOM);
        if (room == NULL) return APR_ENOMEM;
        ssize_t n = libssh2_channel_read(s->channel, (char *)room, READ_ROOM);
        s->in.len -= READ_ROOM - (n > 0 ? (size_t)n : 0);
        if (n == LIBSSH2_ERROR_EAGAIN) return APR_SUCCESS;
        if (n <= 0) return SFTP_LOST; /* the end of the channel, too */
        apr_status_t status = sftp__take_messages(s);
        if (status != APR_SUCCESS) return status;
    }
}

/* No reply comes any more: whoever waits is told. */
static void die(sftp_session_t *s, apr_status_t why)
{
    if (atomic_exchange(&s->dead, 1)) return;
    s->why = why;
    (void)shutdown(s->fd, SHUT_RDWR); /* it may be gone already */
    for (size_t i = 0; i < SFTP_TABLE; i++) {
        while (s->table[i] != NULL) {
            sftp_req_t *req = s->table[i];
            s->table[i] = req->next;
            if (req->call == NULL) req_free(req);
        }
    }
    s->in_flight = 0;
    for (sftp_call_t *c = s->waiting; c != NULL; c = c->next)
        pthread_cond_signal(&c->cond);
    if (s->pump != NULL) wake_pump(s);
}

static void step(sftp_session_t *s)
{
    if (s->dead) return;
    apr_status_t status = SFTP_LOST;
    if (write_some(s) && sftp__wire_flush(s)) status = read_some(s);
    if (status == APR_SUCCESS && !(write_some(s) && sftp__wire_flush(s))) status = SFTP_LOST;
    if (status != APR_SUCCESS) die(s, status);
}

/* ---- waiting */

/* How long may a poll take? -1: the server's time is over. */
static int poll_ms(const sftp_session_t *s, const sftp_call_t *c)
{
    const vfs_ctx_t *ctx = c->ctx;
    int64_t now = sftp__now_us(), stall = s->f->config.stall_us, left = IDLE_MS * 1000;
    int64_t until = s->progress_us + stall;
    if (c->begun_us + CALL_STALLS * stall < until) until = c->begun_us + CALL_STALLS * stall;
    if (now >= until) return -1;
    if (until - now < left) left = until - now;
    if (ctx != NULL && ctx->cancel != NULL && left > VFS__CANCEL_POLL_US)
        left = VFS__CANCEL_POLL_US;
    if (ctx != NULL && ctx->deadline != 0 && ctx->deadline - apr_time_now() < left)
        left = ctx->deadline - apr_time_now();
    return left <= 0 ? 0 : (int)(left / 1000 + 1);
}

static void poll_once(sftp_session_t *s, sftp_call_t *c)
{
    int ms = poll_ms(s, c);
    if (ms < 0) {
        die(s, SFTP_LOST);
        return;
    }
    struct pollfd polls[2] = {{s->fd, (short)(POLLIN | (s->wire.len > 0 ? POLLOUT : 0)), 0},
                              {s->wake, POLLIN, 0}};
    s->pump = c;
    pthread_mutex_unlock(&s->mutex);
    (void)poll(polls, 2, ms); /* whatever woke it: look at everything */
    pthread_mutex_lock(&s->mutex);
    s->pump = NULL;
    if (polls[1].revents != 0) {
        uint64_t count;
        ssize_t n = read(s->wake, &count, sizeof(count));
        (void)n; /* nothing is there any more: all the same */
    }
    step(s);
}

static void sleep_once(sftp_session_t *s, sftp_call_t *c)
{
    sftp_call_t **at = &s->waiting;
    c->next = s->waiting;
    s->waiting = c;
    (void)vfs__cond_wait(&c->cond, &s->mutex, c->ctx); /* the caller looks at its context */
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
}

/* The replies will be for nobody; libssh2 goes on as if nothing were. */
static void abandon(sftp_session_t *s, sftp_call_t *c)
{
    for (size_t i = 0; i < c->count; i++) {
        sftp_req_t *req = c->reqs[i];
        if (req->type == 0 && !s->dead) {
            req->call = NULL; /* the table has it */
            continue;
        }
        sftp_in_t in = {req->body, req->len, 0};
        if (req->type == FXP_HANDLE && !s->dead) close_handle(s, &in); /* nobody comes to use it */
        req_free(req);
    }
    c->count = c->missing = 0;
    step(s);
}

/* Handles that the call has done with: whatever became of it. */
static void send_drops(sftp_session_t *s, sftp_call_t *c)
{
    sftp_in_t in = {c->drops.data, c->drops.len, 0};
    while (in.left > 0 && !s->dead)
        close_handle(s, &in);
    c->drops.len = 0;
}

static apr_status_t send_round(sftp_session_t *s, sftp_call_t *c)
{
    if (s->dead && c->count > 0) return s->why; /* without requests: its handles ended with it */
    for (size_t i = 0; i < c->count; i++)
        add_req(s, c->reqs[i]);
    c->missing = c->count;
    sftp__buf_put(&s->out, c->out.data, c->out.len);
    c->out.len = 0;
    c->sent |= c->count > 0;
    send_drops(s, c);
    step(s);
    return APR_SUCCESS;
}

/* May the round go out? If not, what it was to ask for is thrown away, but handles are closed. */
static apr_status_t may_send(sftp_session_t *s, sftp_call_t *c)
{
    apr_status_t status = APR_SUCCESS;
    if (c->failed || c->out.failed)
        status = APR_ENOMEM;
    else if (c->count > 0 && !c->closes)
        status = vfs_ctx_check(c->ctx);
    if (status == APR_SUCCESS) return status;
    sftp__clear(c);
    c->out.len = 0;
    send_drops(s, c);
    step(s);
    return status;
}

apr_status_t sftp__wait(sftp_call_t *c)
{
    sftp_session_t *s = c->session;
    c->begun_us = sftp__now_us();
    pthread_mutex_lock(&s->mutex);
    apr_status_t status = may_send(s, c);
    if (status != APR_SUCCESS) {
        pthread_mutex_unlock(&s->mutex);
        return status;
    }
    status = send_round(s, c);
    if (s->pump != NULL && s->wire.len > 0) wake_pump(s); /* it does not know of these */
    while (status == APR_SUCCESS && c->missing > 0) {
        if (s->dead) {
            status = s->why;
            break;
        }
        if (s->pump == NULL)
            poll_once(s, c);
        else
            sleep_once(s, c);
        if (c->missing > 0 && !s->dead) status = vfs_ctx_check(c->ctx);
    }
    if (status != APR_SUCCESS && c->sent) abandon(s, c);
    if (s->pump == NULL && s->waiting != NULL) pthread_cond_signal(&s->waiting->cond);
    pthread_mutex_unlock(&s->mutex);
    return status;
}

void sftp__clear(sftp_call_t *c)
{
    for (size_t i = 0; i < c->count; i++)
        req_free(c->reqs[i]);
    c->count = 0;
}
