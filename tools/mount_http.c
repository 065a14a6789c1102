/*
 * mount_http.c - the endpoint for monitoring, by libmicrohttpd: see mount_http.h.
 * Floor 4, private to tools/. Its one thread asks the cache what it has in memory, and nothing
 * below; it only listens on loopback unless told, since it asks nobody who he is.
 */
#include "tools/mount_http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <apr_strings.h>
#include <microhttpd.h>

#define CONNECTIONS_MAX 32u
#define IDLE_S 10u

struct mount_http_t {
    mount_run_t *run;
    struct MHD_Daemon *daemon;
};

/* ---- answers */

typedef struct page_t {
    unsigned code;
    const char *type;
    char *text; /* from malloc, given to libmicrohttpd */
    size_t len;
} page_t;

static void set_page(page_t *page, unsigned code, const char *type, const char *text)
{
    page->code = code;
    page->type = type;
    page->text = strdup(text);
    page->len = page->text != NULL ? strlen(text) : 0;
}

static void metrics_page(mount_run_t *run, apr_pool_t *pool, int open, page_t *page)
{
    metrics_snapshot_t *now = NULL;
    metrics_format_e format = open ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;
    char *text = NULL;
    apr_status_t status = metrics_snapshot(&now, cachefs_metrics(run->stack.cache), pool);
    if (status == APR_SUCCESS) status = metrics_export(&text, NULL, now, format, pool);
    if (status == APR_SUCCESS)
        set_page(page, MHD_HTTP_OK, metrics_content_type(format), text);
    else
        set_page(page, MHD_HTTP_INTERNAL_SERVER_ERROR, "text/plain", "out of memory\n");
}

static void put_member(void *baton, const char *name, uint64_t value)
{
    json_uint(baton, name, value);
}

static void put_row(void *baton, const char *const *words, size_t count)
{
    control_figure_words(baton, words, count);
}

/* What `cachefs stats --json` prints. */
static void stats_page(mount_run_t *run, apr_pool_t *pool, page_t *page)
{
    json_t json;
    FILE *out = open_memstream(&page->text, &page->len);
    if (out == NULL) return;
    json_start(&json, out);
    json_object(&json, NULL);
    (void)mount_figures(run, pool, put_member, &json); /* it is a cache: nothing is left out */
    control_figures_t figures = {&json, 0};
    mount_lists(run, put_row, &figures);
    control_figures_end(&figures);
    json_close(&json, '}');
    json_end(&json);
    if (fclose(out) != 0) page->len = 0;
    page->code = MHD_HTTP_OK;
    page->type = "application/json";
}

/* Ill is what an operator has to look at: bytes that wait for the origin for more than twice the
 * time that they may. */
static void health_page(mount_run_t *run, apr_pool_t *pool, page_t *page)
{
    char limit[32];
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    cachefs_stats_t now = {.size = sizeof(now)};
    int ill = cachefs_stats(run->stack.cache, &now) != APR_SUCCESS;
    if (cachefs_get(run->stack.cache, "dirty_age", limit, sizeof(limit)) == APR_SUCCESS)
        ill |= cachefs_config_set(&config, "dirty_age", limit, NULL, 0, pool) != APR_SUCCESS ||
               (now.dirty_bytes > 0 && now.oldest_dirty_age_us / 2 > config.dirty_age_us);
    if (ill)
        set_page(page, MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain",
                 "dirty data waits for the origin for too long\n");
    else
        set_page(page, MHD_HTTP_OK, "text/plain", "ok\n");
}

static void make_page(mount_run_t *run, const char *url, int open, page_t *page)
{
    apr_pool_t *pool = NULL;
    if (!mount_enter(run) || apr_pool_create(&pool, NULL) != APR_SUCCESS) {
        set_page(page, MHD_HTTP_SERVICE_UNAVAILABLE, "text/plain", "the mount ends\n");
        return;
    }
    if (strcmp(url, "/metrics") == 0)
        metrics_page(run, pool, open, page);
    else if (strcmp(url, "/stats.json") == 0)
        stats_page(run, pool, page);
    else if (strcmp(url, "/healthz") == 0)
        health_page(run, pool, page);
    else
        set_page(page, MHD_HTTP_NOT_FOUND, "text/plain",
                 "there are /metrics, /stats.json and /healthz\n");
    apr_pool_destroy(pool);
    mount_leave(run);
}

static enum MHD_Result answer(void *baton, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *data,
                              size_t *size, void **state)
{
    mount_http_t *http = baton;
    page_t page = {0};
    (void)version;
    (void)data;
    (void)state;
    *size = 0; /* what somebody sends along is nothing to us */
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        set_page(&page, MHD_HTTP_METHOD_NOT_ALLOWED, "text/plain", "only GET\n");
    } else {
        const char *accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept");
        int open = accept != NULL && strstr(accept, "application/openmetrics-text") != NULL;
        make_page(http->run, url, open, &page);
    }
    if (page.text == NULL) return MHD_NO;
    struct MHD_Response *response =
        MHD_create_response_from_buffer(page.len, page.text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(page.text);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, "Content-Type", page.type);
    enum MHD_Result result = MHD_queue_response(connection, page.code, response);
    MHD_destroy_response(response);
    return result;
}

/* ---- where */

typedef union address_t {
    struct sockaddr any;
    struct sockaddr_in four;
    struct sockaddr_in6 six;
} address_t;

static int is_loopback(const address_t *address)
{
    if (address->any.sa_family == AF_INET6) return IN6_IS_ADDR_LOOPBACK(&address->six.sin6_addr);
    return ntohl(address->four.sin_addr.s_addr) >> 24 == 127;
}

/* "127.0.0.1:9470", "[::1]:9470", "localhost:9470". 0: it is none. */
static int parse_address(const char *text, address_t *address, apr_pool_t *pool)
{
    const char *colon = strrchr(text, ':');
    uint64_t port = 0;
    memset(address, 0, sizeof(*address));
    if (colon == NULL || cli_parse_number(colon + 1, &port) != APR_SUCCESS || port > 65535)
        return 0;
    char *host = apr_pstrndup(pool, text, (apr_size_t)(colon - text));
    size_t len = strlen(host);
    if (len > 2 && host[0] == '[' && host[len - 1] == ']') {
        host[len - 1] = '\0';
        address->six.sin6_family = AF_INET6;
        address->six.sin6_port = htons((uint16_t)port);
        return inet_pton(AF_INET6, host + 1, &address->six.sin6_addr) == 1;
    }
    address->four.sin_family = AF_INET;
    address->four.sin_port = htons((uint16_t)port);
    if (strcmp(host, "localhost") == 0) host = apr_pstrdup(pool, "127.0.0.1");
    return inet_pton(AF_INET, host, &address->four.sin_addr) == 1;
}

static int take_address(cli_t *cli, address_t *address)
{
    const char *text = cli->opt.metrics;
    if (!parse_address(text, address, cli->pool)) {
        cli_error(cli, "--metrics %s: it takes an address and a port, such as 127.0.0.1:9470",
                  text);
        return CLI_USAGE;
    }
    if (is_loopback(address) || cli->opt.metrics_any) return CLI_DONE;
    cli_error(cli,
              "--metrics %s: other machines reach this address, and nobody is asked who he is; if "
              "that is meant, add --metrics-any",
              text);
    return CLI_USAGE;
}

/* The kernel may have chosen the port. */
static const char *where(const mount_http_t *http, const address_t *asked, apr_pool_t *pool)
{
    char host[INET6_ADDRSTRLEN] = "";
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    unsigned port = info != NULL ? info->port : 0;
    int six = asked->any.sa_family == AF_INET6;
    const void *from = six ? (const void *)&asked->six.sin6_addr : &asked->four.sin_addr;
    (void)inet_ntop(asked->any.sa_family, from, host, sizeof(host)); /* it came from a text */
    return apr_psprintf(pool, six ? "[%s]:%u" : "%s:%u", host, port);
}

int mount_http_open(mount_http_t **out, mount_run_t *run)
{
    cli_t *cli = run->cli;
    address_t address;
    *out = NULL;
    if (cli->opt.metrics == NULL) return CLI_DONE;
    int code = take_address(cli, &address);
    if (code != CLI_DONE) return code;
    mount_http_t *http = apr_pcalloc(cli->pool, sizeof(*http));
    http->run = run;
    unsigned flags = MHD_USE_AUTO_INTERNAL_THREAD;
    if (address.any.sa_family == AF_INET6) flags |= MHD_USE_IPv6;
    errno = 0;
    http->daemon = MHD_start_daemon(flags, 0, NULL, NULL, answer, http, MHD_OPTION_SOCK_ADDR,
                                    &address.any, MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
                                    MHD_OPTION_CONNECTION_TIMEOUT, IDLE_S, MHD_OPTION_END);
    if (http->daemon == NULL) {
        cli_error(cli, "--metrics %s: %s", cli->opt.metrics,
                  errno != 0 ? strerror(errno) : "it cannot be listened on");
        return CLI_USAGE;
    }
    run->metrics = where(http, &address, cli->pool);
    *out = http;
    return CLI_DONE;
}

void mount_http_close(mount_http_t *http)
{
    if (http != NULL) MHD_stop_daemon(http->daemon);
}

const char *mount_http_version(void)
{
    return MHD_get_version();
}
