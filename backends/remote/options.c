/*
 * options.c - what can be said behind the '?' of a URI to any backend over HTTP. Floor 2.
 */
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include <apr_strings.h>

#include "backends/remote/private.h"

const char remote__keys[] = "auth, user, secret_env, secret_file, proxy, cacert, verify, socket, "
                            "trace, connections, retries, connect_timeout, first_byte_timeout, "
                            "stall_timeout, requests_per_second, bytes_per_second, hedge";

void remote__config_init(remote_config_t *config)
{
    memset(config, 0, sizeof(*config));
    config->secret_env = "CACHEFS_SECRET";
    config->verify = 1;
    config->connections = 8;
    config->retries = 4;
    config->connect_us = 10000000;
    config->first_byte_us = 30000000;
    config->stall_us = 30000000;
    config->slow_us = 300000000;
}

/* A number with a unit of the list behind it; 0: it is none, or too large. */
static int parse_unit(const char *text, const char *const *units, const uint64_t *factors,
                      uint64_t *out)
{
    uint64_t n = 0;
    size_t i = 0;
    for (; i < 16 && isdigit((unsigned char)text[i]); i++)
        n = n * 10 + (uint64_t)(text[i] - '0');
    if (i == 0 || i == 16) return 0;
    for (size_t unit = 0; units[unit] != NULL; unit++) {
        if (strcasecmp(text + i, units[unit]) != 0) continue;
        if (n > (uint64_t)INT64_MAX / factors[unit]) return 0;
        *out = n * factors[unit];
        return 1;
    }
    return 0;
}

int remote__parse_time(const char *text, int64_t *us)
{
    static const char *const units[] = {"us", "ms", "s", "m", "h", NULL};
    static const uint64_t factors[] = {1, 1000, 1000000, 60000000, 3600000000};
    uint64_t n;
    if (!parse_unit(text, units, factors, &n) || n == 0) return 0;
    *us = (int64_t)n;
    return 1;
}

int remote__parse_size(const char *text, uint64_t *bytes)
{
    static const char *const units[] = {"", "k", "m", "g", "t", NULL};
    static const uint64_t factors[] = {1, 1ull << 10, 1ull << 20, 1ull << 30, 1ull << 40};
    return parse_unit(text, units, factors, bytes);
}

static const char *set_count(uint64_t *out, const char *value, uint64_t min, uint64_t max,
                             const char *accepted)
{
    uint64_t n;
    if (!remote__parse_size(value, &n) || n < min || n > max) return accepted;
    *out = n;
    return NULL;
}

static const char *set_auth(remote_config_t *config, const char *value)
{
    static const char *const names[] = {"none", "basic", "bearer"};
    for (unsigned i = 0; i < 3; i++) {
        if (strcmp(value, names[i]) != 0) continue;
        config->auth = (remote_auth_e)i;
        return NULL;
    }
    return "none, basic or bearer";
}

static const char *set_limit(remote_config_t *config, const char *key, const char *value)
{
    static const char time_accepted[] = "a time, such as 10s";
    if (strcmp(key, "connections") == 0)
        return set_count(&config->connections, value, 1, 1024, "a number from 1 to 1024");
    if (strcmp(key, "retries") == 0)
        return set_count(&config->retries, value, 0, 100, "a number from 0 to 100");
    if (strcmp(key, "requests_per_second") == 0)
        return set_count(&config->requests_per_s, value, 0, 1000000,
                         "a number to 1000000; 0: no limit");
    if (strcmp(key, "bytes_per_second") == 0)
        return set_count(&config->bytes_per_s, value, 0, 1ull << 40, "a size, such as 10m");
    int64_t *us = strcmp(key, "connect_timeout") == 0      ? &config->connect_us
                  : strcmp(key, "first_byte_timeout") == 0 ? &config->first_byte_us
                  : strcmp(key, "stall_timeout") == 0      ? &config->stall_us
                                                           : NULL;
    if (us == NULL) return "";
    return remote__parse_time(value, us) ? NULL : time_accepted;
}

static const char *set_yes(int *yes, const char *value)
{
    *yes = strcmp(value, "yes") == 0;
    return *yes || strcmp(value, "no") == 0 ? NULL : "yes or no";
}

const char *remote__config_set(remote_config_t *config, const char *key, const char *value,
                               apr_pool_t *pool)
{
    const struct {
        const char *key;
        const char **text;
    } texts[] = {{"user", &config->user},
                 {"secret_env", &config->secret_env},
                 {"secret_file", &config->secret_file},
                 {"cacert", &config->cacert},
                 {"socket", &config->socket},
                 {"trace", &config->trace}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(key, texts[i].key) != 0) continue;
        if (value[0] == '\0') return "a name";
        *texts[i].text = apr_pstrdup(pool, value);
        if (texts[i].text == &config->user && config->auth == REMOTE_AUTH_NONE)
            config->auth = REMOTE_AUTH_BASIC; /* as in http://USER@HOST/ */
        return NULL;
    }
    if (strcmp(key, "auth") == 0) return set_auth(config, value);
    if (strcmp(key, "proxy") == 0) {
        config->proxy = strcmp(value, "none") == 0 ? "" : apr_pstrdup(pool, value);
        return value[0] != '\0' ? NULL : "a URL, or none";
    }
    if (strcmp(key, "verify") == 0) return set_yes(&config->verify, value);
    if (strcmp(key, "hedge") == 0) return set_yes(&config->hedge, value);
    return set_limit(config, key, value);
}
