/*
 * delay.c - a TCP proxy that is far away: delay PORT MILLISECONDS. It prints the port that it
 * listens on; what comes goes on half of the time later, each way, however much of it there is. A
 * connection takes a round trip to be made, as it would.
 * Floor 4; scripts/remote-bench.sh builds it.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE 65536u
#define PIECES 1024u /* on the way at once */

typedef struct piece_t {
    int64_t due_us;
    size_t len;
    char data[PIECE];
} piece_t;

typedef struct pair_t {
    int client, server;
    int64_t made_us;
    atomic_int ways;
} pair_t;

typedef struct way_t {
    pair_t *pair;
    int from, to;
    size_t first, count;
    int ended;
    piece_t pieces[PIECES];
} way_t;

static int64_t delay_us;

static int64_t now_us(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0) return 0;
        data += n;
        len -= (size_t)n;
    }
    return 1;
}

static void take(way_t *w)
{
    piece_t *p = &w->pieces[(w->first + w->count) % PIECES];
    ssize_t n = recv(w->from, p->data, PIECE, 0);
    if (n <= 0) {
        w->ended = 1;
        return;
    }
    p->len = (size_t)n;
    int64_t come = now_us();
    p->due_us = (come < w->pair->made_us ? w->pair->made_us : come) + delay_us;
    w->count++;
}

static void *carry(void *arg)
{
    way_t *w = arg;
    for (;;) {
        int64_t left = w->count > 0 ? w->pieces[w->first].due_us - now_us() : 1000000;
        if (w->count > 0 && left <= 0) {
            if (!send_all(w->to, w->pieces[w->first].data, w->pieces[w->first].len)) break;
            w->first = (w->first + 1) % PIECES;
            w->count--;
            continue;
        }
        if (w->ended && w->count == 0) break;
        struct pollfd p = {w->ended || w->count == PIECES ? -1 : w->from, POLLIN, 0};
        const struct timespec limit = {left / 1000000, left % 1000000 * 1000};
        if (ppoll(&p, 1, &limit, NULL) > 0) take(w);
    }
    (void)shutdown(w->to, SHUT_WR);
    (void)shutdown(w->from, SHUT_RD);
    if (atomic_fetch_sub(&w->pair->ways, 1) == 1) {
        (void)close(w->pair->client);
        (void)close(w->pair->server);
        free(w->pair);
    }
    free(w);
    return NULL;
}

static void begin(pair_t *pair, int from, int to)
{
    pthread_t thread;
    way_t *w = calloc(1, sizeof(*w));
    if (w == NULL) exit(1);
    w->pair = pair;
    w->from = from;
    w->to = to;
    if (pthread_create(&thread, NULL, carry, w) != 0) exit(1);
    (void)pthread_detach(thread);
}

int main(int argc, char **argv)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    const int on = 1;
    char *end = NULL, *behind = NULL;
    const long port = argc == 3 ? strtol(argv[1], &end, 10) : 0;
    const double ms = argc == 3 ? strtod(argv[2], &behind) : -1;
    if (port <= 0 || port > UINT16_MAX || *end != '\0' || !(ms >= 0) || *behind != '\0') {
        (void)fprintf(stderr, "usage: delay PORT MILLISECONDS\n");
        return 2;
    }
    delay_us = (int64_t)(ms * 500);
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&at, len) != 0 || listen(listener, 64) != 0 ||
        getsockname(listener, (struct sockaddr *)&at, &len) != 0)
        return 1;
    printf("%d\n", ntohs(at.sin_port));
    (void)fflush(stdout);
    at.sin_port = htons((uint16_t)port);
    for (;;) {
        int client = accept(listener, NULL, NULL), server = socket(AF_INET, SOCK_STREAM, 0);
        if (connect(server, (struct sockaddr *)&at, sizeof(at)) != 0) return 1;
        (void)setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        (void)setsockopt(server, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        pair_t *pair = malloc(sizeof(*pair));
        if (pair == NULL) return 1;
        *pair = (pair_t){client, server, now_us() + 2 * delay_us, 2};
        begin(pair, client, server);
        begin(pair, server, client);
    }
}
