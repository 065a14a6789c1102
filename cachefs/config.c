/*
 * config.c - the configuration of a cache as text: one table of keys, and everything that goes by
 * it. Floor 2. Knows no running cache.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <apr_strings.h>

#include "cachefs/arena.h"
#include "cachefs/config.h"
#include "cachefs/policy.h"
#include "vfs/vfs_ops.h"

#define KIB 1024ull
#define MIB (1024ull * KIB)
#define MS 1000ull
#define BYTES_MAX (1ull << 62)
#define TIME_MAX (2500000ull * 3600 * 1000000) /* hours; in nanoseconds it still fits 63 bits */

static const char *const modes[] = {"through", "back", "around", NULL};
static const char *const admits[] = {"always", "sampled", "second", "sketch", NULL};
static const char *const compressions[] = {"none",
#ifdef CACHEFS_WITH_ZSTD
                                           "zstd",
#endif
                                           NULL};
static const char *const fsyncs[] = {"journal", "remote", NULL};
static const char *const conflicts[] = {"keep-both", "ours", "theirs", NULL};

/* Any text will do. */
static apr_status_t check_any(const char *text, char *err, size_t errlen)
{
    (void)text;
    (void)err;
    (void)errlen;
    return APR_SUCCESS;
}

static const char *refuse_no_power(uint64_t value)
{
    return (value & (value - 1)) == 0 ? NULL
                                      : "0 (as memory allows), or a power of two from 1 to 1024";
}

static const char *refuse_few_names(uint64_t value)
{
    return value == 0 || value >= 16 ? NULL : "0 (a quarter of ram), or 16 and more";
}

static const char *refuse_block_size(uint64_t value)
{
    int fine = value == 0 || value == 4 * KIB || value == 16 * KIB || value == 64 * KIB ||
               value == 256 * KIB;

    return fine ? NULL : "0 (adapts), 4k, 16k, 64k or 256k";
}

/* Append to a text that is as long as it may be at most. */
static void add(char *buf, size_t size, const char *text)
{
    size_t used = strlen(buf);

    (void)apr_cpystrn(buf + used, text, size - used);
}

static apr_status_t check_policy(const char *text, char *err, size_t errlen)
{
    const cachefs_policy_ops_t *ops;
    size_t i;

    if (text != NULL && cachefs_policy_find(text) != NULL) return APR_SUCCESS;
    if (err == NULL || errlen == 0) return APR_EINVAL;
    err[0] = '\0';
    add(err, errlen, "one of");
    for (i = 0; (ops = cachefs_policy_at(i)) != NULL; i++) {
        add(err, errlen, i == 0 ? " " : ", ");
        add(err, errlen, ops->name);
    }
    return APR_EINVAL;
}

static apr_status_t check_ttl(const char *text, char *err, size_t errlen)
{
    char fault[256];
    apr_status_t status = cachefs__ttl_rules_check(text, fault, sizeof(fault));

    if (status != APR_SUCCESS && err != NULL && errlen > 0)
        (void)snprintf(err, errlen, "GLOB=DURATION,GLOB=DURATION; %s", fault);
    return status;
}

/* ---- the table */

#define ROW(key, text, which, field, live, dflt, about, ...)                                       \
    {                                                                                              \
        .pub = {.name = key, .kind = text, .help = about, .online = live, .initial = dflt},        \
        .kind = CACHEFS__##which, .offset = offsetof(cachefs_config_t, field),                     \
        .width = sizeof(((cachefs_config_t *)0)->field), __VA_ARGS__                               \
    }
#define SIZE(key, field, live, dflt, about, ...)                                                   \
    ROW(key, "size", SIZE, field, live, dflt, about, __VA_ARGS__)
#define DURATION(key, field, live, dflt, from, about)                                              \
    ROW(key, "duration", DURATION, field, live, dflt, about, .min = (from), .max = TIME_MAX)
#define COUNT(key, field, live, dflt, about, ...)                                                  \
    ROW(key, "count", COUNT, field, live, dflt, about, __VA_ARGS__)
#define FLAG(key, field, live, dflt, about)                                                        \
    ROW(key, "flag", FLAG, field, live, dflt, about, .min = 0, .max = UINT32_MAX)
#define CHOICE(key, field, live, dflt, about, names)                                               \
    ROW(key, "choice", CHOICE, field, live, dflt, about, .min = 0,                                 \
        .max = sizeof(names) / sizeof((names)[0]) - 2, .choices = (names))
#define TEXT(key, field, live, dflt, about, check)                                                 \
    ROW(key, "text", TEXT, field, live, dflt, about, .check_text = (check))

static const cachefs__key_t keys[] = {
    CHOICE(
        "mode", mode, 0, "through",
        "when a write returns: through (the lower layer has it), back (the cache has it), around "
        "(the lower layer has it, the cache drops it)",
        modes),
    TEXT("policy", policy, 0, "auto", "who is evicted", check_policy),
    SIZE("ram", ram_bytes, 0, "256m", "memory for data and index together; hard", .min = MIB,
         .max = ARENA_BYTES_MAX),
    COUNT("shards", shards, 0, "0", "parts that are locked apart; 0: 32, or as memory allows",
          .min = 0, .max = 1024, .refuse = refuse_no_power),
    SIZE("block_size", block_bytes, 0, "0", "unit of caching; 0 adapts to the file", .min = 0,
         .max = 256 * KIB, .refuse = refuse_block_size),
    COUNT("entries_max", entries_max, 0, "0", "blocks in memory; 0: as memory allows", .min = 0,
          .max = BYTES_MAX),
    COUNT("metadata_entries_max", metadata_entries_max, 0, "0",
          "names in memory, at least 16; 0: as a quarter of ram allows", .min = 0, .max = BYTES_MAX,
          .refuse = refuse_few_names),
    COUNT("handles_max", handles_max, 0, "65536", "open files and directories", .min = 1,
          .max = INT32_MAX),
    COUNT("workers", workers, 0, "8", "threads for read-ahead and flushing", .min = 1, .max = 256),
    SIZE("pin_bytes_max", pin_bytes_max, 1, "0",
         "bytes that may be borrowed or protected; 0: a quarter of ram", .min = 0,
         .max = BYTES_MAX),
    DURATION("attr_ttl", attr_ttl_us, 1, "1s", 0, "how long attributes are trusted without asking"),
    DURATION("negative_ttl", negative_ttl_us, 1, "1s", 0, "the same for the absence of a name"),
    DURATION("listing_ttl", listing_ttl_us, 1, "5s", 0, "the same for a listing"),
    DURATION("data_ttl", data_ttl_us, 0, "5m", 0,
             "what the policies ttl and hybrid age by; 0: nothing ages"),
    FLAG("serve_stale", serve_stale, 1, "off", "answer from the cache while the origin is away"),
    FLAG("watch", watch, 0, "off", "let the origin's change events invalidate"),
    SIZE("readahead", readahead_bytes, 1, "32m", "most bytes ahead of one reader; 0: none",
         .min = 0, .max = BYTES_MAX),
    SIZE("readahead_max", readahead_bytes_max, 1, "64m", "most bytes ahead of all readers",
         .min = 0, .max = BYTES_MAX),
    SIZE("get_size", get_bytes, 1, "64k", "bytes that a cold open asks for in its round trip",
         .min = 0, .max = 16 * MIB),
    SIZE("dirty_max", dirty_bytes_max, 1, "0", "bytes that are not flushed; 0: half of ram",
         .min = 0, .max = BYTES_MAX),
    DURATION("flush_interval", flush_interval_us, 1, "5s", MS, "time between two flushes"),
    DURATION("dirty_age", dirty_age_us, 1, "30s", MS,
             "no dirty byte gets older while the origin answers"),
    FLAG("flush_on_close", flush_on_close, 1, "on", "close flushes the file"),
    DURATION("retry_min", retry_min_us, 1, "1s", MS, "wait after the first failed flush"),
    DURATION("retry_max", retry_max_us, 1, "1m", MS, "longest wait between two attempts"),
    DURATION("write_wait_max", write_wait_us, 1, "0", 0,
             "how long a writer waits for room; 0: for ever"),
    CHOICE("conflict", conflict, 1, "keep-both",
           "what a flush does with a file that someone else changed: keep-both, ours, theirs",
           conflicts),
    FLAG("metrics", metrics, 1, "on", "count and time"),
    FLAG("heat", heat, 1, "off", "note which blocks are read, for warming"),
    FLAG("pressure", pressure_watch, 0, "off", "give memory back when the machine is short of it"),
    TEXT("ttl", ttl_rules, 0, "", "attr_ttl by path: GLOB=DURATION,...; the first that matches",
         check_ttl),
    TEXT("origin", origin, 0, "",
         "what the origin is called, for what is kept of it in a store; needed where it has no "
         "stable identities",
         check_any),
    SIZE("store_bytes", store_bytes, 0, "10g", "cached data in the store", .min = 4 * MIB,
         .max = 2048 * 1024 * MIB),
    SIZE("store_free_min", store_free_min, 0, "0",
         "what stays free on the store's file system; 0: a twentieth of it", .min = 0,
         .max = BYTES_MAX),
    FLAG("store_names", store_names, 0, "off",
         "keep names, absent ones and listings in the store too, for the rest of their time; not "
         "with watch"),
    CHOICE("l2_admit", l2_admit, 0, "always",
           "what is written to the store: always, sampled (l2_admit_percent of it), second (what "
           "came twice), sketch (all while there is room, then what came twice)",
           admits),
    COUNT("l2_admit_percent", l2_admit_percent, 0, "50", "for l2_admit=sampled", .min = 1,
          .max = 100),
    CHOICE("l2_compress", l2_compress, 0, "none",
           "how what is written to the store is packed: none, zstd (at l2_compress_level, where it "
           "gets smaller)",
           compressions),
    COUNT("l2_compress_level", l2_compress_level, 0, "1", "for l2_compress=zstd", .min = 1,
          .max = 19),
    COUNT("l2_promote", l2_promote, 0, "1",
          "which read of bytes in the store brings them into memory; those before it leave memory "
          "as it is",
          .min = 1, .max = 4),
    SIZE("scrub_rate", scrub_bytes_per_s, 0, "0",
         "bytes of the store read in a second to look for damage; 0: none", .min = 0,
         .max = BYTES_MAX),
    SIZE("journal_bytes", journal_bytes, 0, "1g",
         "the write-back journal in the store; a full one makes writers write back", .min = 4 * MIB,
         .max = 256 * 1024 * MIB),
    CHOICE("fsync", fsync, 0, "journal",
           "what sync means in mode=back with a store: journal has it, or remote (the origin)",
           fsyncs),
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

const cachefs_key_t *cachefs_key_at(size_t i)
{
    return i < KEYS ? &keys[i].pub : NULL;
}

const cachefs__key_t *cachefs__key_find(const char *name)
{
    size_t i;

    for (i = 0; i < KEYS; i++)
        if (strcmp(keys[i].pub.name, name) == 0) return &keys[i];
    return NULL;
}

/* A field that the caller's header did not have yet is none of its keys. */
static const cachefs__key_t *key_of(const cachefs_config_t *config, const char *name)
{
    const cachefs__key_t *key = cachefs__key_find(name);

    return key != NULL && key->offset + key->width <= config->size ? key : NULL;
}

uint64_t cachefs__key_number(const cachefs__key_t *key, const cachefs_config_t *config)
{
    const char *at = (const char *)config + key->offset;
    uint64_t wide;
    uint32_t narrow;

    VFS_ASSERT(key->kind != CACHEFS__TEXT);
    if (key->width == sizeof(wide)) {
        memcpy(&wide, at, sizeof(wide));
        return wide;
    }
    VFS_ASSERT(key->width == sizeof(narrow));
    memcpy(&narrow, at, sizeof(narrow));
    return narrow;
}

static const char *key_text(const cachefs__key_t *key, const cachefs_config_t *config)
{
    const char *text;

    VFS_ASSERT(key->kind == CACHEFS__TEXT);
    memcpy(&text, (const char *)config + key->offset, sizeof(text));
    return text;
}

static void store_number(const cachefs__key_t *key, cachefs_config_t *config, uint64_t value)
{
    char *at = (char *)config + key->offset;
    uint32_t narrow = (uint32_t)value;

    if (key->width == sizeof(value)) {
        memcpy(at, &value, sizeof(value));
        return;
    }
    VFS_ASSERT(value <= UINT32_MAX);
    memcpy(at, &narrow, sizeof(narrow));
}

/* ---- saying what would be accepted */

static void join_choices(const char *const *choices, char *buf, size_t size)
{
    size_t i;

    for (i = 0; choices[i] != NULL; i++) {
        if (i > 0) add(buf, size, choices[i + 1] == NULL ? " or " : ", ");
        add(buf, size, choices[i]);
    }
}

static void describe_range(const cachefs__key_t *key, char *buf, size_t size)
{
    char from[32], to[32];

    if (key->kind == CACHEFS__SIZE) {
        cachefs__format_size(from, sizeof(from), key->min);
        cachefs__format_size(to, sizeof(to), key->max);
        (void)snprintf(buf, size, "a size such as 64k, 512m or 2g, from %s to %s", from, to);
    } else if (key->kind == CACHEFS__DURATION) {
        cachefs__format_duration(from, sizeof(from), key->min);
        cachefs__format_duration(to, sizeof(to), key->max);
        (void)snprintf(buf, size, "a duration such as 500ms, 5s or 10m, from %s to %s", from, to);
    } else {
        (void)snprintf(buf, size, "a whole number from %" PRIu64 " to %" PRIu64, key->min,
                       key->max);
    }
}

static apr_status_t refuse(const cachefs__key_t *key, const char *value, const char *accepted,
                           char *err, size_t errlen)
{
    char buf[128];

    if (err == NULL || errlen == 0) return APR_EINVAL;
    buf[0] = '\0';
    if (accepted == NULL) {
        accepted = buf;
        if (key->kind == CACHEFS__CHOICE)
            join_choices(key->choices, buf, sizeof(buf));
        else if (key->kind == CACHEFS__FLAG)
            add(buf, sizeof(buf), "on or off");
        else
            describe_range(key, buf, sizeof(buf));
    }
    (void)snprintf(err, errlen, "%s: \"%s\" is not accepted; expected %s", key->pub.name, value,
                   accepted);
    return APR_EINVAL;
}

static apr_status_t refuse_name(const char *name, char *err, size_t errlen)
{
    size_t i;

    if (err == NULL || errlen == 0) return APR_EINVAL;
    (void)snprintf(err, errlen, "there is no key \"%s\"; expected one of", name);
    for (i = 0; i < KEYS; i++) {
        add(err, errlen, i == 0 ? " " : ", ");
        add(err, errlen, keys[i].pub.name);
    }
    return APR_EINVAL;
}

/* ---- set, get, check */

static apr_status_t parse_choice(const char *const *choices, const char *text, uint64_t *value)
{
    size_t i;

    for (i = 0; choices[i] != NULL; i++) {
        if (strcasecmp(choices[i], text) != 0) continue;
        *value = i;
        return APR_SUCCESS;
    }
    return APR_EINVAL;
}

static apr_status_t parse_count(const char *text, uint64_t *value)
{
    size_t len = strlen(text);

    if (strspn(text, "0123456789") != len) return APR_EINVAL; /* no units */
    return cachefs__parse_size(text, value);
}

static apr_status_t parse_number(const cachefs__key_t *key, const char *text, uint64_t *value)
{
    int flag = 0;
    apr_status_t status = APR_EINVAL;

    switch (key->kind) {
    case CACHEFS__SIZE:
        return cachefs__parse_size(text, value);
    case CACHEFS__DURATION:
        return cachefs__parse_duration(text, value);
    case CACHEFS__COUNT:
        return parse_count(text, value);
    case CACHEFS__CHOICE:
        return parse_choice(key->choices, text, value);
    case CACHEFS__FLAG:
        status = cachefs__parse_flag(text, &flag);
        *value = (uint64_t)flag;
        return status;
    case CACHEFS__TEXT:
        break;
    }
    VFS_ASSERT(key->kind != CACHEFS__TEXT);
    return status;
}

/* Is this number fine for this key? `text` is how it was written. */
static apr_status_t check_number(const cachefs__key_t *key, uint64_t value, const char *text,
                                 char *err, size_t errlen)
{
    const char *accepted;

    if (value < key->min || value > key->max) return refuse(key, text, NULL, err, errlen);
    accepted = key->refuse == NULL ? NULL : key->refuse(value);
    return accepted == NULL ? APR_SUCCESS : refuse(key, text, accepted, err, errlen);
}

static apr_status_t check_text(const cachefs__key_t *key, const char *text, char *err,
                               size_t errlen)
{
    char accepted[384];

    if (key->check_text(text, accepted, sizeof(accepted)) == APR_SUCCESS) return APR_SUCCESS;
    return refuse(key, text != NULL ? text : "", accepted, err, errlen);
}

apr_status_t cachefs_config_set(cachefs_config_t *config, const char *key, const char *value,
                                char *err, size_t errlen, apr_pool_t *pool)
{
    const cachefs__key_t *found;
    apr_status_t status;
    uint64_t number = 0;
    char *copy;

    VFS_CHECK_ARG(config != NULL && key != NULL && value != NULL && pool != NULL);
    found = key_of(config, key);
    if (found == NULL) return refuse_name(key, err, errlen);
    if (found->kind == CACHEFS__TEXT) {
        status = check_text(found, value, err, errlen);
        if (status != APR_SUCCESS) return status;
        copy = apr_pstrdup(pool, value);
        if (copy == NULL) return APR_ENOMEM;
        memcpy((char *)config + found->offset, &copy, sizeof(copy));
        return APR_SUCCESS;
    }
    if (parse_number(found, value, &number) != APR_SUCCESS)
        return refuse(found, value, NULL, err, errlen);
    status = check_number(found, number, value, err, errlen);
    if (status == APR_SUCCESS) store_number(found, config, number);
    return status;
}

static void show(const cachefs__key_t *key, const cachefs_config_t *config, char *buf, size_t size)
{
    uint64_t number = key->kind == CACHEFS__TEXT ? 0 : cachefs__key_number(key, config);

    switch (key->kind) {
    case CACHEFS__SIZE:
        cachefs__format_size(buf, size, number);
        break;
    case CACHEFS__DURATION:
        cachefs__format_duration(buf, size, number);
        break;
    case CACHEFS__CHOICE:
        if (number <= key->max)
            (void)snprintf(buf, size, "%s", key->choices[number]);
        else
            (void)snprintf(buf, size, "%" PRIu64, number);
        break;
    case CACHEFS__FLAG:
        (void)snprintf(buf, size, "%s", number != 0 ? "on" : "off");
        break;
    case CACHEFS__COUNT:
        (void)snprintf(buf, size, "%" PRIu64, number);
        break;
    case CACHEFS__TEXT:
        break;
    }
}

apr_status_t cachefs_config_get(const cachefs_config_t *config, const char *key, char *buf,
                                size_t size)
{
    const cachefs__key_t *found;
    const char *text;
    char number[64];

    VFS_CHECK_ARG(config != NULL && key != NULL && buf != NULL && size > 0);
    found = key_of(config, key);
    VFS_CHECK_ARG(found != NULL);
    if (found->kind == CACHEFS__TEXT) {
        text = key_text(found, config);
        if (text == NULL) text = "";
    } else {
        show(found, config, number, sizeof(number));
        text = number;
    }
    if (strlen(text) >= size) return APR_FROM_OS_ERROR(ERANGE);
    memcpy(buf, text, strlen(text) + 1);
    return APR_SUCCESS;
}

/* `less` must not be over `more`. */
static apr_status_t check_order(const cachefs_config_t *config, const char *less, const char *more,
                                char *err, size_t errlen)
{
    const cachefs__key_t *low = cachefs__key_find(less), *high = cachefs__key_find(more);
    char value[64], limit[64], accepted[128];

    if (cachefs__key_number(low, config) <= cachefs__key_number(high, config)) return APR_SUCCESS;
    show(low, config, value, sizeof(value));
    show(high, config, limit, sizeof(limit));
    (void)snprintf(accepted, sizeof(accepted), "at most %s, which is %s", more, limit);
    return refuse(low, value, accepted, err, errlen);
}

apr_status_t cachefs__config_check(const cachefs_config_t *config, char *err, size_t errlen)
{
    static const char *const orders[][2] = {
        {"retry_min", "retry_max"},
        {"readahead", "readahead_max"},
        {"dirty_max", "ram"},
        {"pin_bytes_max", "ram"},
    };
    apr_status_t status = APR_SUCCESS;
    size_t i;

    VFS_ASSERT(config->size >= sizeof(*config));
    for (i = 0; i < KEYS && status == APR_SUCCESS; i++) {
        char value[64];

        if (keys[i].kind == CACHEFS__TEXT) {
            status = check_text(&keys[i], key_text(&keys[i], config), err, errlen);
            continue;
        }
        show(&keys[i], config, value, sizeof(value));
        status = check_number(&keys[i], cachefs__key_number(&keys[i], config), value, err, errlen);
    }
    for (i = 0; i < sizeof(orders) / sizeof(orders[0]) && status == APR_SUCCESS; i++)
        status = check_order(config, orders[i][0], orders[i][1], err, errlen);
    return status;
}
