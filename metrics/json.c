/*
 * json.c - snapshots as one JSON object (RFC 8259). Floor 1.
 *
 *     {"time_us": 1700000000000000, "metrics": [
 *       {"name": "...", "type": "counter", "help": "...", "labels": {"key": "value"}, "value": 1},
 *       {"name": "...", "type": "histogram", "help": "...", "labels": {}, "count": 3,
 * "sum_seconds": 0.1, "min_seconds": 0.01, "max_seconds": 0.08, "quantiles_seconds": {"0.5": 0.01,
 * ...}, "buckets": [{"le_seconds": 0.000000128, "count": 0}, ...]}]}
 *
 * Bucket counts are cumulative, and "count" is the one of the bucket without bound. Numbers that
 * JSON does not have (NaN, infinity) are null.
 */
#include <math.h>
#include <stdio.h>

#include "metrics/metrics_private.h"

static void put_char(metrics__text_t *text, char c)
{
    char escape[8];
    switch (c) {
    case '"':
        metrics__put(text, "\\\"");
        return;
    case '\\':
        metrics__put(text, "\\\\");
        return;
    case '\n':
        metrics__put(text, "\\n");
        return;
    default:
        break;
    }
    if ((unsigned char)c >= 0x20) {
        metrics__put_bytes(text, &c, 1);
        return;
    }
    (void)snprintf(escape, sizeof escape, "\\u%04x", (unsigned)(unsigned char)c);
    metrics__put(text, escape);
}

static void put_string(metrics__text_t *text, const char *string)
{
    metrics__put(text, "\"");
    for (; *string != '\0'; string++)
        put_char(text, *string);
    metrics__put(text, "\"");
}

static void put_labels(metrics__text_t *text, const char *labels)
{
    metrics__pair_t pairs[METRICS__PAIRS_MAX];
    int count = metrics__labels_split(pairs, labels);
    METRICS_ASSERT(count >= 0);
    metrics__put(text, "{");
    for (int i = 0; i < count; i++) {
        metrics__put(text, i == 0 ? "\"" : ", \"");
        metrics__put_bytes(text, pairs[i].key, pairs[i].key_len);
        metrics__put(text, "\": \"");
        for (size_t at = 0; at < pairs[i].value_len; at++) {
            char c = pairs[i].value[at];
            if (c == '\\') { /* an escape of Prometheus: \\, \" or \n */
                c = pairs[i].value[++at];
                if (c == 'n') c = '\n';
            }
            put_char(text, c);
        }
        metrics__put(text, "\"");
    }
    metrics__put(text, "}");
}

static void put_number(metrics__text_t *text, const metrics__value_t *value)
{
    if (value->exact) {
        metrics__put_u64(text, value->whole);
    } else if (isfinite(value->number)) {
        metrics__put_double(text, value->number);
    } else {
        metrics__put(text, "null");
    }
}

static void put_field(metrics__text_t *text, const char *name, uint64_t ns)
{
    metrics__put(text, name);
    metrics__put_seconds(text, ns);
}

static void put_quantiles(metrics__text_t *text, const metrics__figures_t *figures)
{
    metrics_summary_t summary;
    metrics__figures_summary(figures, &summary);
    put_field(text, ", \"quantiles_seconds\": {\"0.5\": ", summary.p50_ns);
    put_field(text, ", \"0.9\": ", summary.p90_ns);
    put_field(text, ", \"0.95\": ", summary.p95_ns);
    put_field(text, ", \"0.99\": ", summary.p99_ns);
    put_field(text, ", \"0.999\": ", summary.p999_ns);
    put_field(text, ", \"0.9999\": ", summary.p9999_ns);
    metrics__put(text, "}");
}

static void put_histogram(metrics__text_t *text, const metrics__figures_t *figures)
{
    metrics__put(text, "\"count\": ");
    metrics__put_u64(text, figures->count);
    put_field(text, ", \"sum_seconds\": ", figures->sum);
    put_field(text, ", \"min_seconds\": ", figures->min);
    put_field(text, ", \"max_seconds\": ", figures->max);
    put_quantiles(text, figures);
    metrics__put(text, ", \"buckets\": [");
    for (unsigned bits = METRICS__BUCKET_FIRST; bits <= METRICS__BUCKET_LAST; bits++) {
        metrics__put(text, bits == METRICS__BUCKET_FIRST ? "" : ", ");
        put_field(text, "{\"le_seconds\": ", 1ull << bits);
        metrics__put(text, ", \"count\": ");
        metrics__put_u64(text, metrics__figures_up_to(figures, bits));
        metrics__put(text, "}");
    }
    metrics__put(text, "]");
}

static void put_value(metrics__text_t *text, const metrics__group_t *group,
                      const metrics__value_t *value)
{
    static const char *const types[] = {"counter", "gauge", "histogram"};
    metrics__put(text, "{\"name\": ");
    put_string(text, group->name);
    metrics__put(text, ", \"type\": ");
    put_string(text, types[group->type]);
    metrics__put(text, ", \"help\": ");
    put_string(text, group->help);
    metrics__put(text, ", \"labels\": ");
    put_labels(text, value->labels);
    metrics__put(text, ", ");
    if (group->type == METRICS__HISTOGRAM) {
        put_histogram(text, &value->figures);
    } else {
        metrics__put(text, "\"value\": ");
        put_number(text, value);
    }
    metrics__put(text, "}");
}

void metrics__export_json(metrics__text_t *text, const metrics_snapshot_t *snapshot)
{
    const char *between = "\n";
    metrics__put(text, "{\"time_us\": ");
    metrics__put_u64(text, (uint64_t)snapshot->taken);
    metrics__put(text, ", \"metrics\": [");
    for (const metrics__group_t *group = snapshot->first; group != NULL; group = group->next) {
        for (const metrics__value_t *value = group->first; value != NULL; value = value->next) {
            metrics__put(text, between);
            put_value(text, group, value);
            between = ",\n";
        }
    }
    metrics__put(text, "]}\n");
}
