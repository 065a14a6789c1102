/*
 * support_proxy.c - a TCP proxy with faults: one thread, several connections. Floor 4: test
 * support.
 */
#include <pthread.h>
#include <stdatomic.h>

#include "tests/remote/support_server.h"
#include "tests/remote/support_sockets.h"

#define PAIRS_MAX 16
#define PIECE 16384

/* A client, and the connection to the server that belongs to it. */
typedef struct pair_t {
    int client, server; /* -1: none */
    uint64_t passed;    /* bytes of answers */
    uint64_t asked;     /* bytes of requests */
    int faulty;
    int stalled;
} pair_t;

struct proxy_t {
    pthread_t thread;
    int listener, port;
    int stop[2]; /* closed by who stops it */
    fault_e fault;
    uint64_t amount;
    unsigned times;
    atomic_uint connections;
    atomic_int mended;
    pair_t pairs[PAIRS_MAX]; /* the thread's own */
};

static void end_pair(pair_t *pair)
{
    (void)close(pair->client); /* what was not sent is lost, as it shall be */
    (void)close(pair->server);
    pair->client = pair->server = -1;
}

static void reset_pair(pair_t *pair)
{
    const struct linger at_once = {1, 0};
    (void)setsockopt(pair->client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    end_pair(pair);
}

static void pause_ms(uint64_t ms)
{
    (void)poll(NULL, 0, (int)ms);
}

static void send_slowly(int fd, const char *data, size_t len, uint64_t piece)
{
    while (len > 0) {
        size_t n = len < piece ? len : (size_t)piece;
        if (!send_all(fd, data, n)) return;
        data += n;
        len -= n;
        pause_ms(1);
    }
}

/* The answer's byte at which the fault strikes lies in this piece, or at its end. */
static void strike(const proxy_t *p, pair_t *pair, char *data, size_t len)
{
    size_t before = (size_t)(p->amount - pair->passed);
    if (p->fault == FAULT_CORRUPT) {
        data[before] = (char)(data[before] ^ 0x20);
        (void)send_all(pair->client, data, len); /* a client that is gone is seen at the next one */
        return;
    }
    (void)send_all(pair->client, data, before);
    if (p->fault == FAULT_RESET) {
        reset_pair(pair);
    } else if (p->fault == FAULT_HALF_CLOSE) {
        (void)shutdown(pair->client, SHUT_WR);
        pair->stalled = 1;
    } else {
        pair->stalled = 1;
    }
}

static int has(const proxy_t *p, const pair_t *pair, fault_e fault)
{
    return pair->faulty && p->fault == fault && !atomic_load(&p->mended);
}

static void pass_answer(const proxy_t *p, pair_t *pair)
{
    char data[PIECE];
    ssize_t n = recv(pair->server, data, sizeof(data), 0);
    if (n <= 0 || has(p, pair, FAULT_LOST)) {
        end_pair(pair);
        return;
    }
    if (pair->stalled) return;
    if (has(p, pair, FAULT_DELAY)) pause_ms(p->amount);
    if (has(p, pair, FAULT_SLOW))
        send_slowly(pair->client, data, (size_t)n, p->amount);
    else if (p->fault >= FAULT_RESET && has(p, pair, p->fault) && pair->passed <= p->amount &&
             p->amount < pair->passed + (uint64_t)n)
        strike(p, pair, data, (size_t)n);
    else
        (void)send_all(pair->client, data, (size_t)n);
    pair->passed += (uint64_t)n;
}

static int stuck(const proxy_t *p, const pair_t *pair)
{
    return pair->faulty && p->fault == FAULT_STALL_UP && pair->asked >= p->amount;
}

static void pass_request(const proxy_t *p, pair_t *pair)
{
    char data[PIECE];
    ssize_t n = recv(pair->client, data, sizeof(data), 0);
    uint64_t before = pair->asked;
    if (n > 0) pair->asked += (uint64_t)n;
    int here = n > 0 && before <= p->amount && p->amount < pair->asked;
    if (here && has(p, pair, FAULT_CORRUPT_UP)) data[p->amount - before] ^= 0x20;
    if (here && has(p, pair, FAULT_RESET_UP)) {
        (void)send_all(pair->server, data, (size_t)(p->amount - before));
        reset_pair(pair);
        return;
    }
    if (n > 0 && has(p, pair, FAULT_SLOW_UP))
        send_slowly(pair->server, data, (size_t)n, p->amount);
    else if (n <= 0 || !send_all(pair->server, data, (size_t)n))
        end_pair(pair);
}

static void greet(proxy_t *p)
{
    struct sockaddr_in at = loopback(p->port);
    int fd = accept(p->listener, NULL, NULL);
    if (fd < 0) return;
    unsigned number = atomic_fetch_add(&p->connections, 1);
    int spoilt = (p->times == 0 || number < p->times) && !atomic_load(&p->mended);
    for (size_t i = 0; i < PAIRS_MAX; i++) {
        pair_t *pair = &p->pairs[i];
        if (pair->client >= 0) continue;
        *pair = (pair_t){.client = fd,
                         .server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
                         .faulty = spoilt};
        if (connect(pair->server, (struct sockaddr *)&at, sizeof(at)) != 0) end_pair(pair);
        return;
    }
    (void)close(fd); /* there is no room: the client sees it */
}

static void heal(proxy_t *p)
{
    for (size_t i = 0; i < PAIRS_MAX; i++) {
        if (p->pairs[i].client >= 0 && stuck(p, &p->pairs[i])) end_pair(&p->pairs[i]);
        p->pairs[i].faulty = 0;
    }
}

static void *run(void *arg)
{
    proxy_t *p = arg;
    for (;;) {
        struct pollfd polls[2 * PAIRS_MAX + 2] = {{p->stop[0], POLLIN, 0},
                                                  {p->listener, POLLIN, 0}};
        for (size_t i = 0; i < PAIRS_MAX; i++) {
            polls[2 * i + 2] =
                (struct pollfd){stuck(p, &p->pairs[i]) ? -1 : p->pairs[i].client, POLLIN, 0};
            polls[2 * i + 3] = (struct pollfd){p->pairs[i].server, POLLIN, 0};
        }
        if (poll(polls, 2 * PAIRS_MAX + 2, -1) < 0) continue;
        if (atomic_load(&p->mended)) heal(p);
        if (polls[0].revents != 0) return NULL;
        for (size_t i = 0; i < PAIRS_MAX; i++) {
            pair_t *pair = &p->pairs[i];
            if (polls[2 * i + 2].revents != 0 && pair->client >= 0) pass_request(p, pair);
            if (polls[2 * i + 3].revents != 0 && pair->server >= 0) pass_answer(p, pair);
        }
        if (polls[1].revents != 0) greet(p);
    }
}

proxy_t *proxy_start(int port, fault_e fault, uint64_t amount, unsigned times, int *own_port)
{
    proxy_t *p = calloc(1, sizeof(*p));
    if (p == NULL || pipe(p->stop) != 0) abort();
    for (size_t i = 0; i < PAIRS_MAX; i++)
        p->pairs[i].client = p->pairs[i].server = -1;
    p->port = port;
    p->fault = fault;
    p->amount = amount;
    p->times = times;
    p->listener = listen_loopback(own_port);
    if (pthread_create(&p->thread, NULL, run, p) != 0) abort();
    return p;
}

void proxy_mend(proxy_t *p)
{
    atomic_store(&p->mended, 1);
}

unsigned proxy_connections(proxy_t *p)
{
    return atomic_load(&p->connections);
}

void proxy_stop(proxy_t *p)
{
    (void)close(p->stop[1]); /* the thread sees the end of the pipe */
    (void)pthread_join(p->thread, NULL);
    for (size_t i = 0; i < PAIRS_MAX; i++)
        if (p->pairs[i].client >= 0) end_pair(&p->pairs[i]);
    (void)close(p->listener);
    (void)close(p->stop[0]);
    free(p);
}
