/*
 * support_server.c - a scripted web server: one thread, several connections. Floor 4: test support.
 */
#include "tests/remote/support_server.h"

#include <pthread.h>

#include "tests/remote/support_sockets.h"

#define CLIENTS_MAX 16
#define REQUEST_MAX 65536
#define HEARD_MAX (1u << 20)

typedef struct client_t {
    int fd; /* -1: free */
    size_t len;
    size_t more; /* bytes of a body that have no room and are still to come */
    char request[REQUEST_MAX];
} client_t;

struct server_t {
    pthread_t thread;
    int listener;
    int stop[2]; /* closed by who stops it */
    const reply_t *replies;
    unsigned used[64];
    client_t clients[CLIENTS_MAX]; /* the thread's own */
    pthread_mutex_t mutex;         /* guards heard and heard_len */
    size_t heard_len;
    char heard[HEARD_MAX], copy[HEARD_MAX];
};

static void hear(server_t *s, const client_t *client)
{
    pthread_mutex_lock(&s->mutex);
    if (s->heard_len + client->len < HEARD_MAX) {
        memcpy(s->heard + s->heard_len, client->request, client->len);
        s->heard_len += client->len;
    }
    pthread_mutex_unlock(&s->mutex);
}

static const reply_t *choose(server_t *s, const char *request)
{
    for (size_t i = 0; s->replies[i].match != NULL; i++) {
        const reply_t *r = &s->replies[i];
        if (strstr(request, r->match) == NULL) continue;
        if (r->times != 0 && s->used[i] == r->times) continue;
        s->used[i]++;
        return r;
    }
    return NULL;
}

/* Returns 0 where the connection ends. */
static int answer(server_t *s, client_t *client)
{
    static const reply_t none = {"", "HTTP/1.1 404 None\r\nContent-Length: 0\r\n\r\n", 0, 0, NULL,
                                 0};
    const reply_t *r = choose(s, client->request);
    if (r == NULL) r = &none;
    int alive = send_all(client->fd, r->text, r->len != 0 ? r->len : strlen(r->text));
    while (alive && (r->flags & REPLY_ENDLESS))
        alive = send_all(client->fd, r->again, strlen(r->again));
    return alive && !(r->flags & REPLY_CLOSE);
}

/* A request is whole. Returns 0 where the connection ends. */
static int finish(server_t *s, client_t *client)
{
    hear(s, client);
    client->len = 0;
    return answer(s, client);
}

/* Bytes of the request with its body, once its headers are there; else 0. */
static size_t whole_len(const client_t *client)
{
    const char *end = strstr(client->request, "\r\n\r\n");
    const char *length = strstr(client->request, "Content-Length: ");
    if (end == NULL) return 0;
    size_t len = (size_t)(end + 4 - client->request);
    return length == NULL || length > end ? len : len + strtoul(length + 16, NULL, 10);
}

/* The rest of a body that has no room. Returns 0 where the connection ends. */
static int swallow(client_t *client)
{
    char data[REQUEST_MAX];
    size_t want = client->more < sizeof(data) ? client->more : sizeof(data);
    ssize_t n = recv(client->fd, data, want, 0);
    if (n > 0) client->more -= (size_t)n;
    return n > 0;
}

/* Returns 0 where the connection ends. */
static int take(server_t *s, client_t *client)
{
    if (client->more > 0) {
        if (!swallow(client)) return 0;
        return client->more > 0 || finish(s, client);
    }
    ssize_t n = recv(client->fd, client->request + client->len, REQUEST_MAX - 1 - client->len, 0);
    if (n <= 0) return 0;
    client->len += (size_t)n;
    client->request[client->len] = '\0';
    size_t whole = whole_len(client);
    if (whole == 0 || (client->len < whole && client->len + 1 < REQUEST_MAX))
        return client->len + 1 < REQUEST_MAX;
    client->more = whole > client->len ? whole - client->len : 0;
    return client->more > 0 || finish(s, client);
}

static void greet(server_t *s)
{
    int fd = accept(s->listener, NULL, NULL);
    for (size_t i = 0; fd >= 0 && i < CLIENTS_MAX; i++) {
        if (s->clients[i].fd >= 0) continue;
        s->clients[i].fd = fd;
        s->clients[i].len = s->clients[i].more = 0;
        return;
    }
    if (fd >= 0) (void)close(fd); /* there is no room: the client sees it */
}

static void *serve(void *arg)
{
    server_t *s = arg;
    for (;;) {
        struct pollfd polls[CLIENTS_MAX + 2] = {{s->stop[0], POLLIN, 0}, {s->listener, POLLIN, 0}};
        for (size_t i = 0; i < CLIENTS_MAX; i++)
            polls[i + 2] = (struct pollfd){s->clients[i].fd, POLLIN, 0}; /* -1 is left out */
        if (poll(polls, CLIENTS_MAX + 2, -1) < 0) continue;
        if (polls[0].revents != 0) return NULL;
        for (size_t i = 0; i < CLIENTS_MAX; i++) {
            if (polls[i + 2].revents == 0 || take(s, &s->clients[i])) continue;
            (void)close(s->clients[i].fd); /* nothing is left to be said */
            s->clients[i].fd = -1;
        }
        if (polls[1].revents != 0) greet(s);
    }
}

server_t *server_start(const reply_t *replies, int *port)
{
    server_t *s = calloc(1, sizeof(*s));
    if (s == NULL || pipe(s->stop) != 0) abort();
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        s->clients[i].fd = -1;
    s->replies = replies;
    s->listener = listen_loopback(port);
    pthread_mutex_init(&s->mutex, NULL);
    if (pthread_create(&s->thread, NULL, serve, s) != 0) abort();
    return s;
}

const char *server_heard(server_t *s)
{
    pthread_mutex_lock(&s->mutex);
    memcpy(s->copy, s->heard, s->heard_len);
    s->copy[s->heard_len] = '\0';
    pthread_mutex_unlock(&s->mutex);
    return s->copy;
}

void server_stop(server_t *s)
{
    (void)close(s->stop[1]); /* the thread sees the end of the pipe */
    (void)pthread_join(s->thread, NULL);
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (s->clients[i].fd >= 0) (void)close(s->clients[i].fd); /* as all at the end of a test */
    (void)close(s->listener);
    (void)close(s->stop[0]);
    (void)pthread_mutex_destroy(&s->mutex);
    free(s);
}
