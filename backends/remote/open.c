/*
 * open.c - what opening any backend over HTTP has in common: its pool, its options, what to tell
 * the user. Floor 2.
 */
#include <stdio.h>
#include <string.h>

#include <apr_strings.h>

#include "backends/remote/private.h"

int remote__choice(const char *value, const char *accepted)
{
    size_t len = strlen(value);
    int at = 0;
    for (const char *word = accepted;; at++) {
        size_t n = strcspn(word, ",");
        if (n == len && memcmp(word, value, len) == 0) return at;
        if (word[n] == '\0') return -1;
        word += n + 1;
    }
}

apr_status_t remote__options(const char *text, const remote_options_t *options, void *baton,
                             char *err, size_t errlen, apr_pool_t *pool)
{
    char *state = NULL;
    char *copy = apr_pstrdup(pool, text);
    for (char *key = apr_strtok(copy, "&", &state); key != NULL;
         key = apr_strtok(NULL, "&", &state)) {
        char *value = strchr(key, '=');
        if (value != NULL) *value++ = '\0';
        const char *wanted = remote__unescape(key) && (value == NULL || remote__unescape(value))
                                 ? options->set(baton, key, value != NULL ? value : "", pool)
                                 : "a '%' with two hexadecimal digits behind it";
        if (wanted == NULL) continue;
        if (wanted[0] == '\0')
            (void)snprintf(err, errlen, "%s: unknown option '%s'; accepted are %s, %s",
                           options->remote->base, key, options->keys, remote__keys);
        else
            (void)snprintf(err, errlen, "%s: option %s: '%s' is not %s", options->remote->base, key,
                           value != NULL ? value : "", wanted);
        return APR_EINVAL;
    }
    return APR_SUCCESS;
}

apr_status_t remote__open(vfs_t **out, const char *uri, char *err, size_t errlen, apr_pool_t *pool,
                          remote_open_fn open)
{
    apr_pool_t *own = NULL;
    char unwanted[1];
    VFS_CHECK_ARG(out != NULL && uri != NULL && pool != NULL);
    if (err == NULL || errlen == 0) {
        err = unwanted;
        errlen = sizeof(unwanted);
    }
    err[0] = '\0';
    apr_status_t status = apr_pool_create(&own, pool);
    if (status != APR_SUCCESS) return status;
    status = open(out, uri, err, errlen, pool, own);
    if (status != APR_SUCCESS) apr_pool_destroy(own);
    return status;
}

/* What the user can do about it, or NULL. */
static const char *advice(const remote_answer_t *answer, apr_status_t status)
{
    if (answer->status == 401)
        return "the server asks who we are: user=NAME or auth=bearer, and the password or token in "
               "the environment as CACHEFS_SECRET, or in a file: secret_file=FILE; if it was "
               "given, it is wrong or expired";
    if (answer->status == 407)
        return "the proxy asks who we are: http_proxy=http://USER:PASSWORD@HOST in the environment";
    if (answer->status == 403) return "the server forbids it";
    if (answer->status == 400)
        return "the server does not understand what it is asked (400): is it https:// or davs://, "
               "or another port?";
    if (status == VFS_EFORMAT && answer->status == 0)
        return "what answers there speaks no HTTP: is it another port?";
    if (status == VFS_EOFFLINE && strstr(answer->why, "wrong version number") != NULL)
        return "what answers there speaks no TLS: is it http:// or dav://, or another port?";
    if (status == VFS_EOFFLINE)
        return "is the name of the host right, is the server up, is there a proxy (proxy=URL)? "
               "probe=no opens it all the same";
    if (APR_STATUS_IS_EACCES(status) && answer->status == 0)
        return "the server's certificate is not trusted: cacert=FILE names who signed it; "
               "verify=no turns the check off";
    return NULL;
}

void remote__explain(const char *base, const remote_answer_t *answer, apr_status_t status,
                     const char *own, char *err, size_t errlen)
{
    char text[128];
    const char *what = own != NULL ? own : advice(answer, status);
    (void)snprintf(err, errlen, "%s: %s%s%s", base,
                   answer->why[0] != '\0' ? answer->why : vfs_strerror(status, text, sizeof(text)),
                   what != NULL ? "; " : "", what != NULL ? what : "");
}
