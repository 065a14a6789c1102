/*
 * connect.c - a connection: TCP, SSH, and the beginning of SFTP, in bounded time. Floor 2.
 */
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "backends/sftp/sftp.h"
#include "vfs/wait.h"

#define WINDOW (8u << 20) /* bytes that a server may send without being asked to go on */
#define PACKET 32768u

/* ---- waiting */

/* Until the descriptor has news, the context or the greeting's limit ends. */
static apr_status_t await_fd(int fd, short events, int64_t limit_us, const vfs_ctx_t *ctx)
{
    for (;;) {
        struct pollfd p = {fd, events, 0};
        apr_status_t status = vfs_ctx_check(ctx);
        int64_t left = limit_us - sftp__now_us();
        if (status != APR_SUCCESS) return status;
        if (left <= 0) return VFS_EOFFLINE;
        if (ctx != NULL && ctx->cancel != NULL && left > VFS__CANCEL_POLL_US)
            left = VFS__CANCEL_POLL_US;
        if (ctx != NULL && ctx->deadline != 0 && ctx->deadline - apr_time_now() < left)
            left = ctx->deadline - apr_time_now();
        if (poll(&p, 1, left <= 0 ? 0 : (int)(left / 1000 + 1)) > 0) return APR_SUCCESS;
    }
}

apr_status_t sftp__await(sftp_session_t *s, const vfs_ctx_t *ctx)
{
    if (!sftp__wire_flush(s)) return VFS_EOFFLINE;
    short events = (short)(POLLIN | (s->wire.len > 0 ? POLLOUT : 0));
    apr_status_t status = await_fd(s->fd, events, s->limit_us, ctx);
    return status == APR_SUCCESS && !sftp__wire_flush(s) ? VFS_EOFFLINE : status;
}

/* ---- TCP */

static apr_status_t connect_one(sftp_session_t *s, const struct addrinfo *to, const vfs_ctx_t *ctx,
                                int *error)
{
    socklen_t len = sizeof(*error);
    const int on = 1;
    *error = 0;
    s->fd = socket(to->ai_family, to->ai_socktype | SOCK_CLOEXEC | SOCK_NONBLOCK, to->ai_protocol);
    if (s->fd < 0) {
        *error = errno;
        return VFS_EOFFLINE;
    }
    (void)setsockopt(s->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)); /* without, it is slower */
    (void)setsockopt(s->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    apr_status_t status = APR_SUCCESS;
    if (connect(s->fd, to->ai_addr, to->ai_addrlen) != 0) {
        if (errno != EINPROGRESS) *error = errno;
        if (*error == 0) status = await_fd(s->fd, POLLOUT, s->limit_us, ctx);
        if (*error == 0 && status == APR_SUCCESS)
            (void)getsockopt(s->fd, SOL_SOCKET, SO_ERROR, error, &len); /* of a socket of ours */
    }
    if (status == APR_SUCCESS && *error == 0) return APR_SUCCESS;
    (void)close(s->fd);
    s->fd = -1;
    return status != APR_SUCCESS ? status : VFS_EOFFLINE;
}

static apr_status_t connect_host(sftp_session_t *s, const vfs_ctx_t *ctx, char *err, size_t errlen)
{
    const sftp_config_t *config = &s->f->config;
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;
    char port[8];
    int error = 0;
    (void)snprintf(port, sizeof(port), "%u", config->port);
    int rc = getaddrinfo(config->host, port, &hints, &list);
    if (rc != 0) {
        (void)snprintf(err, errlen, "no host %s: %s; look at the name", config->host,
                       gai_strerror(rc));
        return VFS_EOFFLINE;
    }
    apr_status_t status = VFS_EOFFLINE;
    for (const struct addrinfo *to = list; to != NULL && s->fd < 0; to = to->ai_next)
        status = connect_one(s, to, ctx, &error);
    freeaddrinfo(list);
    if (status == VFS_EOFFLINE)
        (void)snprintf(err, errlen,
                       "no connection to %s, port %s: %s; is it the right port, and "
                       "does sshd run there?",
                       config->host, port,
                       error != 0 ? strerror(error) : "no answer within connect_timeout");
    return status;
}

/* ---- SSH */

static apr_status_t shake_hands(sftp_session_t *s, const vfs_ctx_t *ctx, char *err, size_t errlen)
{
    char *why = NULL;
    int rc;
    while ((rc = libssh2_session_handshake(s->ssh, s->fd)) == LIBSSH2_ERROR_EAGAIN) {
        apr_status_t status = sftp__await(s, ctx);
        if (status == APR_TIMEUP || status == VFS_ECANCELED) return status;
        if (status != APR_SUCCESS) break;
    }
    if (rc == 0) return APR_SUCCESS;
    (void)libssh2_session_last_error(s->ssh, &why, NULL, 0);
    if (rc == LIBSSH2_ERROR_EAGAIN || rc == LIBSSH2_ERROR_TIMEOUT)
        (void)snprintf(err, errlen,
                       "%s, port %u does not answer as an SSH server within "
                       "connect_timeout",
                       s->f->config.host, s->f->config.port);
    else if (s->broken)
        (void)snprintf(err, errlen,
                       "%s, port %u ended the connection while SSH began; is it an SSH server, and "
                       "may we connect to it?",
                       s->f->config.host, s->f->config.port);
    else
        (void)snprintf(err, errlen,
                       "we find no common language with what answers at %s, port %u: %s (%d); is "
                       "it an SSH server?",
                       s->f->config.host, s->f->config.port, why != NULL ? why : "", rc);
    return rc == LIBSSH2_ERROR_KEX_FAILURE && !s->broken ? APR_FROM_OS_ERROR(EACCES) : VFS_EOFFLINE;
}

static apr_status_t open_channel(sftp_session_t *s, const vfs_ctx_t *ctx, char *err, size_t errlen)
{
    apr_status_t status = APR_SUCCESS;
    int rc = 0;
    while (s->channel == NULL && status == APR_SUCCESS) {
        s->channel = libssh2_channel_open_ex(s->ssh, "session", 7, WINDOW, PACKET, NULL, 0);
        rc = s->channel != NULL ? 0 : libssh2_session_last_errno(s->ssh);
        if (rc != 0) status = rc == LIBSSH2_ERROR_EAGAIN ? sftp__await(s, ctx) : VFS_EOFFLINE;
    }
    while (status == APR_SUCCESS &&
           (rc = libssh2_channel_subsystem(s->channel, "sftp")) == LIBSSH2_ERROR_EAGAIN)
        status = sftp__await(s, ctx);
    while (status == APR_SUCCESS && rc == 0 &&
           (rc = libssh2_channel_handle_extended_data2(
                s->channel, LIBSSH2_CHANNEL_EXTENDED_DATA_IGNORE)) == LIBSSH2_ERROR_EAGAIN)
        status = sftp__await(s, ctx);
    if (status == APR_SUCCESS && rc != 0 && s->broken) return VFS_EOFFLINE;
    if (status == APR_SUCCESS && rc != 0) {
        (void)snprintf(err, errlen,
                       "the server lets us in, but has no SFTP for us (Subsystem sftp in its "
                       "sshd_config)");
        return APR_FROM_OS_ERROR(EACCES);
    }
    return status;
}

/* ---- SFTP */

static void note_extension(sftp_session_t *s, const uint8_t *name, size_t len)
{
    static const struct {
        const char *name;
        uint32_t bit;
    } rows[] = {{"posix-rename@openssh.com", SFTP_EXT_POSIX_RENAME},
                {"fsync@openssh.com", SFTP_EXT_FSYNC},
                {"statvfs@openssh.com", SFTP_EXT_STATVFS},
                {"lsetstat@openssh.com", SFTP_EXT_LSETSTAT},
                {"limits@openssh.com", SFTP_EXT_LIMITS}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strlen(rows[i].name) == len && memcmp(rows[i].name, name, len) == 0)
            s->extensions |= rows[i].bit;
}

static apr_status_t write_all(sftp_session_t *s, const vfs_ctx_t *ctx)
{
    while (s->out.len > 0) {
        ssize_t n = libssh2_channel_write(s->channel, (const char *)s->out.data, s->out.len);
        apr_status_t status = APR_SUCCESS;
        if (n < 0 && n != LIBSSH2_ERROR_EAGAIN) return VFS_EOFFLINE;
        if (n > 0)
            sftp__buf_drop(&s->out, (size_t)n);
        else
            status = sftp__await(s, ctx);
        if (status != APR_SUCCESS) return status;
    }
    return sftp__wire_flush(s) ? APR_SUCCESS : VFS_EOFFLINE;
}

/* One message, the first of all. */
static apr_status_t read_version(sftp_session_t *s, const vfs_ctx_t *ctx)
{
    for (;;) {
        sftp_in_t in = {s->in.data, s->in.len, 0};
        if (in.left >= 4) {
            size_t len = sftp__in_32(&in), name_len = 0;
            if (len < 5 || len > SFTP_MESSAGE_MAX) return VFS_EFORMAT;
            if (in.left >= len) {
                in.left = len - 1;
                if (*in.at++ != FXP_VERSION || sftp__in_32(&in) < 3) return VFS_EFORMAT;
                while (in.left > 0 && !in.bad) {
                    const uint8_t *name = sftp__in_text(&in, &name_len);
                    note_extension(s, name, name_len);
                    (void)sftp__in_text(&in, &name_len); /* its version */
                }
                sftp__buf_drop(&s->in, 4 + len);
                return in.bad || s->in.len > 0 ? VFS_EFORMAT : APR_SUCCESS;
            }
        }
        uint8_t *room = sftp__buf_more(&s->in, 4096);
        if (room == NULL) return APR_ENOMEM;
        ssize_t n = libssh2_channel_read(s->channel, (char *)room, 4096);
        s->in.len -= 4096 - (n > 0 ? (size_t)n : 0);
        apr_status_t status = n == LIBSSH2_ERROR_EAGAIN ? sftp__await(s, ctx) : APR_SUCCESS;
        if (status != APR_SUCCESS) return status;
        if (n <= 0 && n != LIBSSH2_ERROR_EAGAIN) return VFS_EOFFLINE;
    }
}

static apr_status_t begin_sftp(sftp_session_t *s, const vfs_ctx_t *ctx, char *err, size_t errlen)
{
    sftp__buf_put32(&s->out, 5);
    sftp__buf_put8(&s->out, FXP_INIT);
    sftp__buf_put32(&s->out, 3);
    apr_status_t status = write_all(s, ctx);
    if (status == APR_SUCCESS) status = read_version(s, ctx);
    if (status == VFS_EFORMAT)
        (void)snprintf(err, errlen,
                       "the server lets us in, but what it says is no SFTP; does something in its "
                       "shell's start-up files print text?");
    return status;
}

/* How much may be asked for at once, and where the root is. Every server knows REALPATH. */
static apr_status_t look_around(sftp_session_t *s, const vfs_ctx_t *ctx, char *err, size_t errlen)
{
    const char *dir = s->f->config.dir;
    const uint8_t *name = NULL;
    size_t len = 0;
    sftp_call_t c;
    sftp_in_t in;
    sftp__call_init(&c, s->f, s, ctx);
    sftp__begin(&c, FXP_REALPATH);
    sftp__buf_text(&c.out, dir, strlen(dir));
    sftp__end(&c);
    sftp__begin(&c, FXP_EXTENDED);
    sftp__buf_text(&c.out, "limits@openssh.com", 18);
    sftp__end(&c);
    if (!(s->extensions & SFTP_EXT_LIMITS)) c.out.len = c.message; /* it would say no */
    if (!(s->extensions & SFTP_EXT_LIMITS) && c.count == 2) free(c.reqs[--c.count]);
    apr_status_t status = sftp__wait(&c);
    if (status == APR_SUCCESS) status = sftp__reply_name(&c, 0, &name, &len);
    if (status == APR_SUCCESS && (len == 0 || name[0] != '/' || len >= sizeof(s->base)))
        status = VFS_EFORMAT;
    if (status == APR_SUCCESS) {
        memcpy(s->base, name, len > 1 ? len : 0);
        s->base[len > 1 ? len : 0] = '\0';
    } else if (status != APR_TIMEUP && status != VFS_ECANCELED && status != SFTP_LOST) {
        (void)snprintf(err, errlen, "there is no directory %s on the server", dir);
    }
    s->read_max = s->write_max = SFTP_PIECE;
    if (status == APR_SUCCESS && c.count == 2 &&
        sftp__reply(&c, 1, FXP_EXTENDED_REPLY, &in) == APR_SUCCESS) {
        (void)sftp__in_64(&in); /* of a whole message */
        uint64_t most = sftp__in_64(&in), most_out = sftp__in_64(&in);
        if (!in.bad && most > SFTP_PIECE)
            s->read_max = most < SFTP_PIECE_MAX ? (uint32_t)most : SFTP_PIECE_MAX;
        if (!in.bad && most_out > SFTP_PIECE)
            s->write_max = most_out < SFTP_PIECE_MAX ? (uint32_t)most_out : SFTP_PIECE_MAX;
    }
    sftp__call_end(&c);
    return status == SFTP_LOST ? VFS_EOFFLINE : status;
}

static sftp_session_t *session_new(sftp_t *f)
{
    sftp_session_t *s = calloc(1, sizeof(*s));
    if (s == NULL) return NULL;
    s->f = f;
    s->fd = -1;
    s->greeting = 1;
    s->limit_us = sftp__now_us() + f->config.connect_us;
    atomic_init(&s->refs, 1);
    pthread_mutex_init(&s->mutex, NULL);
    s->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    s->ssh = libssh2_session_init_ex(NULL, NULL, NULL, s);
    if (s->wake >= 0 && s->ssh != NULL) return s;
    sftp__session_unref(s);
    return NULL;
}

apr_status_t sftp__connect(sftp_session_t **out, sftp_t *f, const vfs_ctx_t *ctx, char *err,
                           size_t errlen)
{
    sftp_session_t *s = session_new(f);
    if (s == NULL) return APR_ENOMEM;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic" /* libssh2 takes functions as data */
    (void)libssh2_session_callback_set(s->ssh, LIBSSH2_CALLBACK_SEND, (void *)sftp__wire_send);
    (void)libssh2_session_callback_set(s->ssh, LIBSSH2_CALLBACK_RECV, (void *)sftp__wire_recv);
#pragma GCC diagnostic pop
    libssh2_session_set_blocking(s->ssh, 0);
    apr_status_t status = connect_host(s, ctx, err, errlen);
    if (status == APR_SUCCESS) status = sftp__prefer_known_keys(s, err, errlen);
    if (status == APR_SUCCESS) status = shake_hands(s, ctx, err, errlen);
    if (status == APR_SUCCESS) status = sftp__check_host(s, err, errlen);
    if (status == APR_SUCCESS) status = sftp__log_in(s, ctx, err, errlen);
    if (status == APR_SUCCESS) status = open_channel(s, ctx, err, errlen);
    if (status == APR_SUCCESS) status = begin_sftp(s, ctx, err, errlen);
    if (status == APR_SUCCESS) status = look_around(s, ctx, err, errlen);
    s->greeting = 0;
    if (status == APR_SUCCESS) {
        atomic_fetch_add_explicit(&f->connections, 1, memory_order_relaxed);
        *out = s;
        return APR_SUCCESS;
    }
    if (err[0] == '\0')
        (void)snprintf(err, errlen, "%s, port %u: the connection ended before we were in",
                       f->config.host, f->config.port);
    sftp__session_unref(s);
    return status;
}
