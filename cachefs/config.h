/*
 * config.h - the table of configuration keys, for whoever sets or shows one, and the rules of
 * "ttl". Floor 2, private to cachefs/ and its tests.
 */
#ifndef CACHEFS_CONFIG_H
#define CACHEFS_CONFIG_H

#include "cachefs/cachefs.h"

typedef enum cachefs__kind_e {
    CACHEFS__SIZE = 0, /* bytes, "512m" */
    CACHEFS__DURATION, /* microseconds, "5s" */
    CACHEFS__COUNT,
    CACHEFS__FLAG,   /* int, 0 or 1 */
    CACHEFS__CHOICE, /* an enum, the index of a name in `choices` */
    CACHEFS__TEXT    /* const char * */
} cachefs__kind_e;

/* One key. Everything that reads, writes, checks or shows a configuration goes by this table. */
typedef struct cachefs__key_t {
    cachefs_key_t pub;
    cachefs__kind_e kind;
    size_t offset; /* of the field in cachefs_config_t */
    size_t width;  /* sizeof the field */
    uint64_t min, max;
    const char *const *choices; /* of a CHOICE; ends with NULL */
    /* Is a value within [min, max] fine? NULL: yes. Says what would be accepted if not. */
    const char *(*refuse)(uint64_t value);
    /* The same for a text; err may be NULL. */
    apr_status_t (*check_text)(const char *text, char *err, size_t errlen);
} cachefs__key_t;

/* NULL: no such key. */
const cachefs__key_t *cachefs__key_find(const char *name);
/* The number that a field of any kind but TEXT holds. */
uint64_t cachefs__key_number(const cachefs__key_t *key, const cachefs_config_t *config);
/* Is the whole configuration one that a cache can be made with: every value in its range, and all
 * of them consistent? APR_EINVAL: no, with a sentence in err. */
apr_status_t cachefs__config_check(const cachefs_config_t *config, char *err, size_t errlen);

/* ---- texts (config_text.c) */

/* "512m": digits and k, m, g or t, either case, with or without b or ib; 1024-based. APR_EINVAL. */
apr_status_t cachefs__parse_size(const char *text, uint64_t *bytes);
/* "5s": digits and us, ms, s, m or h; 0 needs no unit. APR_EINVAL. */
apr_status_t cachefs__parse_duration(const char *text, uint64_t *us);
/* The shortest text that means exactly that. 32 bytes of buf always suffice. */
void cachefs__format_size(char *buf, size_t size, uint64_t bytes);
void cachefs__format_duration(char *buf, size_t size, uint64_t us);
/* on, true, yes, 1; off, false, no, 0. APR_EINVAL. */
apr_status_t cachefs__parse_flag(const char *text, int *flag);

/* ---- lifetimes by path (config_ttl.c) */

typedef struct cachefs__ttl_rules_t cachefs__ttl_rules_t;
/* Parse "GLOB=DURATION,GLOB=DURATION"; NULL and "" are no rules. A comma within a pattern is
 * written "\,". *out may be shared by threads without a lock. APR_EINVAL: err names the rule;
 * APR_ENOMEM. */
apr_status_t cachefs__ttl_rules_parse(cachefs__ttl_rules_t **out, const char *text, char *err,
                                      size_t errlen, apr_pool_t *pool);
/* Would cachefs__ttl_rules_parse take it? Allocates nothing. */
apr_status_t cachefs__ttl_rules_check(const char *text, char *err, size_t errlen);
/* The lifetime by the first rule that matches `path`, in microseconds; none: dflt_us. */
int64_t cachefs__ttl_lookup(const cachefs__ttl_rules_t *rules, const char *path, int64_t dflt_us);

#endif
