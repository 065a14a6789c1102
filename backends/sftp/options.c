/*
 * options.c - what stands in a URI: sftp://[USER@]HOST[:PORT]/DIR?key=value&key=value. Floor 2.
 */
#include <ctype.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <apr_strings.h>

#include "backends/sftp/sftp.h"

static const char keys[] = "identity, known_hosts, agent, secret_env, secret_file, connections, "
                           "retries, connect_timeout, stall_timeout, clock_skew, links, probe";

/* ---- values */

static int hex(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place; 0: it is broken, or has the byte 0. */
static int unescape(char *text)
{
    char *out = text;
    for (const char *at = text; *at != '\0'; at++) {
        char c = *at;
        if (c == '%') {
            int high = hex(at[1]), low = high >= 0 ? hex(at[2]) : -1;
            if (low < 0 || high + low == 0) return 0;
            c = (char)(16 * high + low);
            at += 2;
        }
        *out++ = c;
    }
    *out = '\0';
    return 1;
}

static int parse_number(const char *text, uint64_t max, uint64_t *out, const char **rest)
{
    uint64_t n = 0;
    size_t i = 0;
    for (; i < 10 && isdigit((unsigned char)text[i]); i++)
        n = n * 10 + (uint64_t)(text[i] - '0');
    *rest = text + i;
    *out = n;
    return i > 0 && n <= max;
}

static int parse_time(const char *text, int64_t *us)
{
    static const struct {
        const char *unit;
        uint64_t factor;
    } units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}, {"m", 60000000}, {"h", 3600000000}};
    uint64_t n;
    const char *unit;
    if (!parse_number(text, 1000000000, &n, &unit)) return 0;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcasecmp(unit, units[i].unit) != 0) continue;
        *us = (int64_t)(n * units[i].factor);
        return 1;
    }
    *us = 0;
    return n == 0 && unit[0] == '\0';
}

static const char *set_count(uint64_t *out, const char *value, uint64_t min, uint64_t max,
                             const char *accepted)
{
    const char *rest;
    return parse_number(value, max, out, &rest) && rest[0] == '\0' && *out >= min ? NULL : accepted;
}

static const char *set_choice(int *out, const char *value)
{
    *out = strcmp(value, "yes") == 0;
    return *out || strcmp(value, "no") == 0 ? NULL : "yes or no";
}

static const char *set_time(int64_t *out, const char *value, int64_t min)
{
    return parse_time(value, out) && *out >= min ? NULL : "a time, such as 10s";
}

/* NULL: it is understood; "": another key; else what would be. */
static const char *set(sftp_config_t *c, const char *key, const char *value, apr_pool_t *pool)
{
    const struct {
        const char *key;
        const char **text;
    } texts[] = {{"identity", &c->identity},
                 {"known_hosts", &c->known_hosts},
                 {"secret_env", &c->secret_env},
                 {"secret_file", &c->secret_file}};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(key, texts[i].key) != 0) continue;
        if (value[0] == '\0') return "a name";
        *texts[i].text = apr_pstrdup(pool, value);
        return NULL;
    }
    if (strcmp(key, "agent") == 0) return set_choice(&c->use_agent, value);
    if (strcmp(key, "links") == 0) return set_choice(&c->links, value);
    if (strcmp(key, "probe") == 0) return set_choice(&c->probe, value);
    if (strcmp(key, "connections") == 0)
        return set_count(&c->connections, value, 1, 64, "a number from 1 to 64");
    if (strcmp(key, "retries") == 0)
        return set_count(&c->retries, value, 0, 100, "a number from 0 to 100");
    if (strcmp(key, "connect_timeout") == 0) return set_time(&c->connect_us, value, 1);
    if (strcmp(key, "stall_timeout") == 0) return set_time(&c->stall_us, value, 1);
    if (strcmp(key, "clock_skew") == 0) return set_time(&c->skew_us, value, 0);
    return "";
}

static const char *set_all(sftp_config_t *c, char *text, char *why, size_t size, apr_pool_t *pool)
{
    char *state = NULL;
    int agent_named = 0;
    for (char *key = apr_strtok(text, "&", &state); key != NULL;
         key = apr_strtok(NULL, "&", &state)) {
        char *value = strchr(key, '=');
        if (value != NULL) *value++ = '\0';
        const char *wanted = unescape(key) && (value == NULL || unescape(value))
                                 ? set(c, key, value != NULL ? value : "", pool)
                                 : "a '%' with two hexadecimal digits behind it";
        if (strcmp(key, "agent") == 0) agent_named = 1;
        if (wanted == NULL) continue;
        if (wanted[0] == '\0')
            (void)snprintf(why, size, "unknown option '%s'; accepted are %s", key, keys);
        else
            (void)snprintf(why, size, "option %s: '%s' is not %s", key, value != NULL ? value : "",
                           wanted);
        return why;
    }
    if (c->identity != NULL && !agent_named) c->use_agent = 0; /* that key, and no other */
    return NULL;
}

/* ---- the server */

static const char *local_user(apr_pool_t *pool)
{
    struct passwd entry, *found = NULL;
    char buf[4096];
    if (getpwuid_r(geteuid(), &entry, buf, sizeof(buf), &found) == 0 && found != NULL)
        return apr_pstrdup(pool, found->pw_name);
    const char *user = getenv("USER");
    return user != NULL ? user : "root";
}

static const char *take_port(sftp_config_t *c, const char *text)
{
    uint64_t port;
    const char *rest;
    if (!parse_number(text, 65535, &port, &rest) || rest[0] != '\0' || port == 0)
        return "a port is a number from 1 to 65535";
    c->port = (uint16_t)port;
    return NULL;
}

/* "[::1]:22", "host:22", "host" */
static const char *take_host(sftp_config_t *c, char *text)
{
    char *port = strrchr(text, ':');
    if (text[0] == '[') {
        char *end = strchr(text, ']');
        if (end == NULL) return "an address in '[' ends with ']'";
        *end = '\0';
        text++;
        port = end[1] == ':' ? end + 1 : NULL;
    }
    if (port != NULL) *port++ = '\0';
    if (text[0] == '\0' || !unescape(text))
        return "no host is named; write sftp://[USER@]HOST[:PORT]/DIR";
    c->host = text;
    return port != NULL ? take_port(c, port) : NULL;
}

static const char *take_user(sftp_config_t *c, char *text)
{
    if (strchr(text, ':') != NULL)
        return "a password in a URI is seen by everybody who lists processes; leave it out, and "
               "put it into the environment as CACHEFS_SECRET, or into a file: secret_file=FILE";
    if (text[0] == '\0' || !unescape(text)) return "before '@' stands a user";
    c->user = text;
    return NULL;
}

/* "/~/dir" is a directory of the home. */
static const char *take_dir(sftp_config_t *c, char *text, apr_pool_t *pool)
{
    if (text[0] == '\0') text = apr_pstrdup(pool, "/");
    if (!unescape(text)) return "a '%' must be followed by two hexadecimal digits";
    if (strcmp(text, "/~") == 0 || strncmp(text, "/~/", 3) == 0)
        text = apr_pstrcat(pool, ".", text + 2, NULL);
    if (strlen(text) > VFS_PATH_MAX - 2) return "the path is too long";
    c->dir = text;
    return NULL;
}

static void defaults(sftp_config_t *c, apr_pool_t *pool)
{
    const char *home = getenv("HOME");
    memset(c, 0, sizeof(*c));
    c->port = 22;
    c->use_agent = c->probe = c->links = 1;
    c->secret_env = "CACHEFS_SECRET";
    c->known_hosts = apr_pstrcat(pool, home != NULL ? home : "", "/.ssh/known_hosts", NULL);
    c->connections = 4;
    c->retries = 4;
    c->connect_us = 10000000;
    c->stall_us = 30000000;
    c->skew_us = 1000000;
}

const char *sftp__parse(sftp_config_t *c, const char *uri, char *why, size_t size, apr_pool_t *pool)
{
    char *text = apr_pstrdup(pool, uri);
    char *options = strchr(text, '?');
    defaults(c, pool);
    c->user = local_user(pool);
    if (options != NULL) *options++ = '\0';
    if (strncasecmp(text, "sftp://", 7) != 0) return "not a URL such as sftp://USER@HOST/DIR";
    c->shown = apr_pstrdup(pool, text);
    char *host = text + 7;
    size_t len = strcspn(host, "/");
    const char *complaint = take_dir(c, apr_pstrdup(pool, host + len), pool);
    host[len] = '\0';
    char *at = strrchr(host, '@');
    if (at != NULL) *at++ = '\0';
    if (complaint == NULL && at != NULL) complaint = take_user(c, host);
    if (complaint == NULL) complaint = take_host(c, at != NULL ? at : host);
    if (complaint == NULL && options != NULL) complaint = set_all(c, options, why, size, pool);
    return complaint;
}
