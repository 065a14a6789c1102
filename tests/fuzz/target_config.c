/*
 * target_config.c - configuration in text: a value that was taken is given back as a text that
 * means the same, one that was refused changes nothing and is named. The input is lines of
 * key=value.
 */
#include "cachefs/cachefs.h"
#include "tests/fuzz/fuzz.h"
#include "vfs/vfs_ops.h"

const char *const fuzz_seeds[] = {"mode=back\nram=64m\nattr_ttl=5s\n",
                                  "policy=lru\nshards=32\nblock_size=16k\nmetrics=off\n",
                                  "ttl=/static/**=1h,/tmp/*=0\n",
                                  "dirty_max=1g\nflush_interval=250ms\nconflict=keep-both\n", NULL};
const char *const fuzz_pieces[] = {"mode=",
                                   "ram=",
                                   "shards=",
                                   "attr_ttl=",
                                   "ttl=",
                                   "policy=",
                                   "block_size=",
                                   "entries_max=",
                                   "\n",
                                   "=",
                                   "k",
                                   "m",
                                   "g",
                                   "t",
                                   "us",
                                   "ms",
                                   "s",
                                   "h",
                                   "on",
                                   "off",
                                   "18446744073709551615",
                                   "18446744073709551616",
                                   "0",
                                   "-1",
                                   "1.5",
                                   "/**=1h",
                                   ",",
                                   "workers=",
                                   "handles_max=",
                                   "retry_min=",
                                   "keep-both",
                                   NULL};

/* One setting on a configuration that lives in `pool`. */
static void check_setting(cachefs_config_t *config, const char *key, const char *value,
                          apr_pool_t *pool)
{
    cachefs_config_t before = *config, again;
    char err[300] = "", text[9000], second[9000];
    apr_status_t rv = cachefs_config_set(config, key, value, err, sizeof err, pool);
    if (rv != APR_SUCCESS) {
        FUZZ_CHECK(rv == APR_EINVAL);
        FUZZ_CHECK(memcmp(&before, config, sizeof before) == 0);
        FUZZ_CHECK(strlen(key) > 40 || strstr(err, key) != NULL);
        FUZZ_CHECK(cachefs_config_set(config, key, value, NULL, 0, pool) == rv);
        return;
    }
    FUZZ_CHECK(cachefs_config_get(config, key, text, sizeof text) == APR_SUCCESS);
    again = before;
    FUZZ_CHECK(cachefs_config_set(&again, key, text, err, sizeof err, pool) == APR_SUCCESS);
    FUZZ_CHECK(cachefs_config_get(&again, key, second, sizeof second) == APR_SUCCESS);
    FUZZ_CHECK(strcmp(text, second) == 0);
    again.policy = config->policy; /* texts are copied; all the rest is numbers */
    again.ttl_rules = config->ttl_rules;
    FUZZ_CHECK(memcmp(&again, config, sizeof again) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    char *text = fuzz_text(data, size < 8000 ? size : 8000);
    for (char *line = text, *next; line != NULL; line = next) {
        next = strchr(line, '\n');
        if (next != NULL) *next++ = '\0';
        char *value = strchr(line, '=');
        if (value == NULL) continue;
        *value++ = '\0';
        check_setting(&config, line, value, pool);
    }
    for (size_t i = 0; cachefs_key_at(i) != NULL; i++) {
        char buf[9000];
        FUZZ_CHECK(cachefs_config_get(&config, cachefs_key_at(i)->name, buf, sizeof buf) ==
                   APR_SUCCESS);
    }
    free(text);
    return 0;
}
