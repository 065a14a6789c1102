/*
 * target_ttl.c - lifetimes by path: checking and parsing agree, and the first rule that matches
 * decides. The input is rules, a newline, and a path.
 */
#include "cachefs/config.h"
#include "tests/fuzz/fuzz.h"
#include "vfs/vfs_ops.h"

const char *const fuzz_seeds[] = {"/static/**=1h,/tmp/*=0\n/static/a/b", "/a\\,b=5s\n/a,b",
                                  "/**=1ms,/never=2s\n/never", "/[a-c]=1us\n/b", NULL};
const char *const fuzz_pieces[] = {"=", ",",  "\\,", "/**", "*",  "1h", "5s",
                                   "0", "ms", "[",   "]",   "\\", "/a", "18446744073709551615us",
                                   NULL};

/* The rules one by one: `text` up to a comma that is not escaped. */
static int64_t naive(const char *text, const char *path, int64_t dflt, apr_pool_t *pool)
{
    while (*text != '\0') {
        size_t len = 0;
        while (text[len] != '\0' && text[len] != ',')
            len += text[len] == '\\' && text[len + 1] != '\0' ? 2 : 1;
        char one[9000];
        cachefs__ttl_rules_t *rule = NULL;
        memcpy(one, text, len);
        one[len] = '\0';
        FUZZ_CHECK(cachefs__ttl_rules_parse(&rule, one, NULL, 0, pool) == APR_SUCCESS);
        int64_t ttl = cachefs__ttl_lookup(rule, path, -1);
        if (ttl >= 0) return ttl;
        text += len + (text[len] == ',');
    }
    return dflt;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char err[300] = "", buf[VFS_PATH_MAX + 1];
    cachefs__ttl_rules_t *rules = NULL;
    vfs_path_t normal;
    char *text = fuzz_text(data, size < 8000 ? size : 8000);
    char *path = strchr(text, '\n');
    if (path != NULL) *path++ = '\0';
    if (path == NULL || vfs_path_init(&normal, path, buf) != APR_SUCCESS)
        (void)vfs_path_init(&normal, "/static/x", buf); /* a constant that is normal */
    apr_status_t checked = cachefs__ttl_rules_check(text, err, sizeof err);
    apr_status_t rv = cachefs__ttl_rules_parse(&rules, text, err, sizeof err, pool);
    FUZZ_CHECK(rv == checked);
    if (rv == APR_SUCCESS) {
        int64_t ttl = cachefs__ttl_lookup(rules, normal.str, 77);
        FUZZ_CHECK(ttl >= 0);
        FUZZ_CHECK(ttl == naive(text, normal.str, 77, pool));
    } else {
        FUZZ_CHECK(rv == APR_EINVAL && err[0] != '\0');
    }
    free(text);
    return 0;
}
