/*
 * remote.c - life of a server and its slots, its secret, its figures. Floor 2.
 */
#include "backends/remote/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/figures.h"
#include "backends/remote/private.h"

#define SECRET_MAX 65536u
#define BREAKER_FAILURES 5u
#define BREAKER_MIN_US 1000000
#define BREAKER_MAX_US 60000000

static void init_curl(void)
{
    CURLcode code = curl_global_init(CURL_GLOBAL_DEFAULT); /* ends with the process */
    VFS_ASSERT(code == CURLE_OK);
}

/* The first line of the file, or the variable. NULL after a complaint. */
static char *read_secret(const remote_config_t *config, char *err, size_t errlen)
{
    char line[SECRET_MAX];
    const char *text = getenv(config->secret_env);
    if (config->secret_file != NULL) {
        FILE *file = fopen(config->secret_file, "re");
        text = file != NULL ? fgets(line, sizeof(line), file) : NULL;
        if (text == NULL)
            (void)snprintf(err, errlen, "secret_file %s: %s", config->secret_file,
                           file != NULL ? "is empty" : strerror(errno));
        if (file != NULL) (void)fclose(file); /* it was read only */
        if (text == NULL) return NULL;
        line[strcspn(line, "\r\n")] = '\0';
    } else if (text == NULL) {
        (void)snprintf(err, errlen,
                       "no password or token: put it into the environment as %s, or into a file: "
                       "secret_file=FILE",
                       config->secret_env);
        return NULL;
    }
    char *secret = strdup(text);
    explicit_bzero(line, sizeof(line));
    return secret;
}

static apr_status_t check(const remote_config_t *config, char *err, size_t errlen)
{
    const char *complaint = NULL;
    if (config->auth == REMOTE_AUTH_BASIC && config->user == NULL)
        complaint = "auth=basic needs a user: user=NAME";
    if (config->auth == REMOTE_AUTH_NONE && config->secret_file != NULL)
        complaint = "secret_file is for nobody: user=NAME, or auth=bearer";
    if (config->socket != NULL && config->proxy != NULL && config->proxy[0] != '\0')
        complaint = "socket and proxy exclude each other";
    if (complaint == NULL) return APR_SUCCESS;
    (void)snprintf(err, errlen, "%s", complaint);
    return APR_EINVAL;
}

static apr_status_t open_parts(remote_t *r, char *err, size_t errlen)
{
    if (r->config.auth != REMOTE_AUTH_NONE) {
        r->secret = read_secret(&r->config, err, errlen);
        if (r->secret == NULL) return APR_FROM_OS_ERROR(EACCES);
    }
    if (r->config.trace != NULL) {
        r->trace_fd = open(r->config.trace, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
        if (r->trace_fd < 0) {
            apr_status_t status = apr_get_os_error();
            (void)snprintf(err, errlen, "trace %s: %s", r->config.trace, strerror(errno));
            return status;
        }
    }
    return APR_SUCCESS;
}

apr_status_t remote__create(remote_t **out, const remote_config_t *config, char *err, size_t errlen)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    apr_status_t status = check(config, err, errlen);
    if (status != APR_SUCCESS) return status;
    (void)pthread_once(&once, init_curl); /* cannot fail */
    remote_t *r = calloc(1, sizeof(*r));
    if (r == NULL) return APR_ENOMEM;
    r->config = *config;
    r->trace_fd = -1;
    r->request_rate.per_s = config->requests_per_s;
    r->byte_rate.per_s = config->bytes_per_s;
    r->breaker.failures_max = BREAKER_FAILURES;
    r->breaker.min_us = BREAKER_MIN_US;
    r->breaker.max_us = BREAKER_MAX_US;
    atomic_init(&r->chance, (uint64_t)vfs_now_ns());
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->room, NULL);
    pthread_cond_init(&r->pause, NULL);
    status = open_parts(r, err, errlen);
    if (status != APR_SUCCESS) {
        remote__destroy(r);
        return status;
    }
    *out = r;
    return APR_SUCCESS;
}

void remote__slot_end(remote_slot_t *slot)
{
    curl_easy_cleanup(slot->easy);
    (void)curl_multi_cleanup(slot->multi); /* its only handle is gone */
    free(slot);
}

void remote__destroy(remote_t *r)
{
    while (r->idle != NULL) {
        remote_slot_t *slot = r->idle;
        r->idle = slot->next;
        r->nslots--;
        remote__slot_end(slot);
    }
    VFS_ASSERT(r->nslots == 0);
    if (r->secret != NULL) explicit_bzero(r->secret, strlen(r->secret));
    free(r->secret);
    if (r->trace_fd >= 0) (void)close(r->trace_fd); /* each line was written whole */
    (void)pthread_cond_destroy(&r->room);           /* nobody is left to wait */
    (void)pthread_cond_destroy(&r->pause);
    (void)pthread_mutex_destroy(&r->mutex);
    free(r);
}

const remote_config_t *remote__config(const remote_t *remote)
{
    return &remote->config;
}

static double cost(const remote_config_t *c, const vfs_remote_figures_t *figures)
{
    const double thousand = 1000, gib = 1u << 30;
    return (double)figures->billed_puts / thousand * c->price_put +
           (double)figures->billed_gets / thousand * c->price_get +
           (double)figures->bytes_in / gib * c->price_gib;
}

void remote__figures(remote_t *r, vfs_remote_figures_t *out)
{
    out->requests = atomic_load_explicit(&r->requests, memory_order_relaxed);
    out->attempts = atomic_load_explicit(&r->attempts, memory_order_relaxed);
    out->failures = atomic_load_explicit(&r->failures, memory_order_relaxed);
    out->refused = atomic_load_explicit(&r->refused, memory_order_relaxed);
    out->bytes_in = atomic_load_explicit(&r->bytes_in, memory_order_relaxed);
    out->bytes_out = atomic_load_explicit(&r->bytes_out, memory_order_relaxed);
    out->connections = atomic_load_explicit(&r->connections, memory_order_relaxed);
    out->hedged = atomic_load_explicit(&r->hedged, memory_order_relaxed);
    out->billed_puts = atomic_load_explicit(&r->billed_puts, memory_order_relaxed);
    out->billed_gets = atomic_load_explicit(&r->billed_gets, memory_order_relaxed);
    out->priced = r->config.priced != 0;
    out->cost = cost(&r->config, out);
    pthread_mutex_lock(&r->mutex);
    out->breaker_open = (uint32_t)r->breaker.open;
    out->breaker_opened = r->breaker.opened;
    pthread_mutex_unlock(&r->mutex);
}

apr_status_t remote__destroy_fs(vfs_t *fs)
{
    remote_state_t *state = fs->state;
    state->end(state);
    fs->state = NULL;
    return APR_SUCCESS;
}

int remote__figures_of(const vfs_t *fs, vfs_remote_figures_t *out)
{
    if (fs->ops.destroy != remote__destroy_fs) return 0;
    if (out != NULL) remote__figures(((const remote_state_t *)fs->state)->remote, out);
    return 1;
}

/* The part of a URL that is no secret: a redirect can carry a signature in its query. */
void remote__trace(remote_t *remote, const vfs_ctx_t *ctx, const remote_request_t *request,
                   const remote_answer_t *answer, const remote_end_t *end, int64_t us,
                   uint64_t bytes)
{
    char line[2 * VFS_PATH_MAX], why[128];
    if (remote->trace_fd < 0) return;
    int n =
        snprintf(line, sizeof(line), "%s %.*s %ld %llu bytes %lld us%s%s trace %llx\n",
                 request->method, (int)strcspn(request->url, "?#"), request->url, answer->status,
                 (unsigned long long)bytes, (long long)us, end->status != APR_SUCCESS ? " " : "",
                 end->status != APR_SUCCESS ? vfs_strerror(end->status, why, sizeof(why)) : "",
                 ctx != NULL ? (unsigned long long)ctx->trace_id : 0ull);
    size_t len = n < (int)sizeof(line) ? (size_t)n : sizeof(line) - 1;
    line[len - 1] = '\n';
    ssize_t written = write(remote->trace_fd, line, len);
    (void)written; /* a trace that cannot be written is no reason to fail a request */
}
