/*
 * units.c - sizes, durations and numbers: read from the command line, shown to people.
 * Floor 4, private to tools/. Sizes are 1024-based, as in cachefs_config_set.
 */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "tools/cli.h"

apr_status_t cli_parse_number(const char *text, uint64_t *number)
{
    char *end = NULL;
    if (!isdigit((unsigned char)text[0])) return APR_EINVAL;
    errno = 0;
    uintmax_t value = strtoumax(text, &end, 10);
    if (errno != 0 || *end != '\0' || value > UINT64_MAX) return APR_EINVAL;
    *number = value;
    return APR_SUCCESS;
}

/* Split "12.5ms" into a number, at least 0, and its unit. */
static apr_status_t split_unit(const char *text, double *number, const char **unit)
{
    size_t digits = strspn(text, "0123456789.");
    char *end = NULL;
    if (digits == 0 || digits > 20 || text[0] == '.') return APR_EINVAL;
    *number = strtod(text, &end);
    /* strtod may take less ("1.2.3") or more ("1e9", "0x10") than we do */
    if (end != text + digits) return APR_EINVAL;
    *unit = end;
    return APR_SUCCESS;
}

typedef struct unit_t {
    const char *name;
    double factor;
} unit_t;

static const unit_t sizes[] = {
    {"", 1.0},
    {"b", 1.0},
    {"k", 1024.0},
    {"kb", 1024.0},
    {"kib", 1024.0},
    {"m", 1048576.0},
    {"mb", 1048576.0},
    {"mib", 1048576.0},
    {"g", 1073741824.0},
    {"gb", 1073741824.0},
    {"gib", 1073741824.0},
    {"t", 1099511627776.0},
    {"tb", 1099511627776.0},
    {"tib", 1099511627776.0},
};

static const unit_t durations[] = {
    {"us", 1.0}, {"ms", 1e3}, {"s", 1e6}, {"m", 60e6}, {"h", 3600e6},
};

static apr_status_t parse(const char *text, const unit_t *units, size_t count, uint64_t *out)
{
    double number = 0.0;
    const char *unit = NULL;
    if (split_unit(text, &number, &unit) != APR_SUCCESS) return APR_EINVAL;
    for (size_t i = 0; i < count; i++) {
        if (strcasecmp(unit, units[i].name) != 0) continue;
        number *= units[i].factor;
        if (number >= 9.2e18) return APR_EINVAL;
        *out = (uint64_t)number;
        return APR_SUCCESS;
    }
    return APR_EINVAL;
}

apr_status_t cli_parse_size(const char *text, uint64_t *bytes)
{
    return parse(text, sizes, sizeof(sizes) / sizeof(sizes[0]), bytes);
}

apr_status_t cli_parse_duration(const char *text, uint64_t *us)
{
    if (strcmp(text, "0") == 0) {
        *us = 0;
        return APR_SUCCESS;
    }
    return parse(text, durations, sizeof(durations) / sizeof(durations[0]), us);
}

char *cli_show_bytes(char *buf, size_t size, double bytes)
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    size_t i = 0;
    while (bytes >= 1023.95 && i + 1 < sizeof(names) / sizeof(names[0])) {
        bytes /= 1024.0;
        i++;
    }
    (void)snprintf(buf, size, i == 0 ? "%.0f %s" : "%.1f %s", bytes, names[i]);
    return buf;
}

char *cli_show_us(char *buf, size_t size, double us)
{
    if (us < 9.995)
        (void)snprintf(buf, size, "%.2f us", us);
    else if (us < 999.95)
        (void)snprintf(buf, size, "%.1f us", us);
    else if (us < 999950.0)
        (void)snprintf(buf, size, "%.1f ms", us / 1e3);
    else
        (void)snprintf(buf, size, "%.2f s", us / 1e6);
    return buf;
}

uint64_t cli_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail for this clock */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
