/*
 * config_text.c - sizes, durations and flags as people write them.
 * Floor 2. Knows no key and no configuration.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cachefs/config.h"

typedef struct unit_t {
    const char *name;
    uint64_t factor;
} unit_t;

/* From the largest, for the formatters. The first name of a factor is the one that is shown. */
static const unit_t size_units[] = {
    {"t", 1ull << 40}, {"tb", 1ull << 40}, {"tib", 1ull << 40},
    {"g", 1ull << 30}, {"gb", 1ull << 30}, {"gib", 1ull << 30},
    {"m", 1ull << 20}, {"mb", 1ull << 20}, {"mib", 1ull << 20},
    {"k", 1ull << 10}, {"kb", 1ull << 10}, {"kib", 1ull << 10},
    {"", 1},           {"b", 1},
};
static const unit_t duration_units[] = {
    {"h", 3600000000ull}, {"m", 60000000ull}, {"s", 1000000ull}, {"ms", 1000ull}, {"us", 1ull},
};
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Digits, which must be there and fit; *rest is what follows them. */
static apr_status_t parse_digits(const char *text, uint64_t *value, const char **rest)
{
    uint64_t number = 0;
    const char *at;

    for (at = text; *at >= '0' && *at <= '9'; at++) {
        uint64_t digit = (uint64_t)(*at - '0');

        if (number > (UINT64_MAX - digit) / 10) return APR_EINVAL;
        number = number * 10 + digit;
    }
    if (at == text) return APR_EINVAL;
    *value = number;
    *rest = at;
    return APR_SUCCESS;
}

static apr_status_t parse_with_unit(const char *text, const unit_t *units, size_t count,
                                    uint64_t *value)
{
    const char *rest;
    uint64_t number;
    apr_status_t status = parse_digits(text, &number, &rest);
    size_t i;

    if (status != APR_SUCCESS) return status;
    for (i = 0; i < count; i++) {
        if (strcasecmp(rest, units[i].name) != 0) continue;
        if (number > UINT64_MAX / units[i].factor) return APR_EINVAL;
        *value = number * units[i].factor;
        return APR_SUCCESS;
    }
    if (number != 0 || *rest != '\0') return APR_EINVAL;
    *value = 0; /* nothing needs no unit */
    return APR_SUCCESS;
}

static void format_with_unit(char *buf, size_t size, const unit_t *units, size_t count,
                             uint64_t value)
{
    size_t i = 0;

    if (value == 0) {
        (void)snprintf(buf, size, "0");
        return;
    }
    while (i + 1 < count && value % units[i].factor != 0)
        i++;
    (void)snprintf(buf, size, "%" PRIu64 "%s", value / units[i].factor, units[i].name);
}

apr_status_t cachefs__parse_size(const char *text, uint64_t *bytes)
{
    return parse_with_unit(text, size_units, COUNT(size_units), bytes);
}

apr_status_t cachefs__parse_duration(const char *text, uint64_t *us)
{
    return parse_with_unit(text, duration_units, COUNT(duration_units), us);
}

void cachefs__format_size(char *buf, size_t size, uint64_t bytes)
{
    format_with_unit(buf, size, size_units, COUNT(size_units) - 1, bytes);
}

void cachefs__format_duration(char *buf, size_t size, uint64_t us)
{
    format_with_unit(buf, size, duration_units, COUNT(duration_units), us);
}

apr_status_t cachefs__parse_flag(const char *text, int *flag)
{
    static const char *const names[] = {"off", "on", "false", "true", "no", "yes", "0", "1"};
    size_t i;

    for (i = 0; i < COUNT(names); i++) {
        if (strcasecmp(text, names[i]) != 0) continue;
        *flag = (int)(i % 2);
        return APR_SUCCESS;
    }
    return APR_EINVAL;
}
