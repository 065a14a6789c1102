/*
 * support_server.h - a web server that says what a test tells it to, and a proxy that spoils what
 * passes through it; each is a thread of the test. Floor 4: test support.
 */
#ifndef TESTS_REMOTE_SUPPORT_SERVER_H
#define TESTS_REMOTE_SUPPORT_SERVER_H

#include <stddef.h>
#include <stdint.h>

#define REPLY_CLOSE 0x1u   /**< and the connection ends */
#define REPLY_ENDLESS 0x2u /**< `again` follows until the client ends it */
#define REPLY_SILENT 0x4u  /**< and no more is said, though the connection stays */

/** An answer. The first whose `match` is in the request, and that was not used up, is sent. */
typedef struct reply_t {
    const char *match;
    const char *text;
    unsigned flags; /**< REPLY_* */
    unsigned times; /**< so often; 0: always */
    const char *again;
    size_t len; /**< of text; 0: to its NUL */
} reply_t;

typedef struct server_t server_t;
/** Answers are `replies` until one without a match, which is not copied. Returns the port. */
server_t *server_start(const reply_t *replies, int *port);
/** Everything that was asked so far, as it came, but for what does not fit 64 KiB of a request.
 * Valid until the next call or the end. */
const char *server_heard(server_t *server);
void server_stop(server_t *server);

typedef enum fault_e {
    FAULT_NONE,
    FAULT_SLOW_UP,    /**< requests pass in pieces of `amount` bytes, a millisecond apart */
    FAULT_STALL_UP,   /**< after `amount` bytes of requests no more pass */
    FAULT_RESET_UP,   /**< after them the connection is reset */
    FAULT_CORRUPT_UP, /**< the byte behind them is another */
    FAULT_DELAY,      /**< each piece waits for `amount` milliseconds */
    FAULT_SLOW,       /**< in pieces of `amount` bytes, a millisecond apart */
    FAULT_RESET,      /**< after `amount` bytes of answers the connection is reset */
    FAULT_HALF_CLOSE, /**< after them no more comes, and the client is told so */
    FAULT_STALL,      /**< after them nothing more comes */
    FAULT_LOST,       /**< the request arrives; the answer does not, and the connection ends */
    FAULT_CORRUPT     /**< the byte behind them is another */
} fault_e;

typedef struct proxy_t proxy_t;
/** To the server at `port`; the first `times` connections have the fault, 0: all. Returns its own
 * port. */
proxy_t *proxy_start(int port, fault_e fault, uint64_t amount, unsigned times, int *own_port);
/** From now on it spoils nothing; what was stalled on its way up never arrives. */
void proxy_mend(proxy_t *proxy);
/** Connections so far. */
unsigned proxy_connections(proxy_t *proxy);
void proxy_stop(proxy_t *proxy);

#endif
