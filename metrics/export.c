/*
 * export.c - snapshots as text: Prometheus 0.0.4 and OpenMetrics 1.0; JSON is in json.c. Floor 1.
 * Sources: prometheus.io/docs/instrumenting/exposition_formats, the OpenMetrics 1.0 specification.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "metrics/metrics_private.h"

/* Help: a backslash and a line end are escaped, in OpenMetrics a quote as well. */
static void put_help(metrics__text_t *text, const char *help, int open)
{
    for (; *help != '\0'; help++) {
        if (*help == '\n') {
            metrics__put(text, "\\n");
        } else {
            if (*help == '\\' || (open && *help == '"')) metrics__put(text, "\\");
            metrics__put_bytes(text, help, 1);
        }
    }
}

/* name, suffix and {labels}; ends with a space. */
static void put_sample(metrics__text_t *text, const char *name, const char *suffix,
                       const char *labels)
{
    metrics__put(text, name);
    metrics__put(text, suffix);
    if (*labels != '\0') {
        metrics__put(text, "{");
        metrics__put(text, labels);
        metrics__put(text, "}");
    }
    metrics__put(text, " ");
}

static void put_count(metrics__text_t *text, uint64_t count)
{
    metrics__put_u64(text, count);
    metrics__put(text, "\n");
}

/* name_bucket{labels,le=" */
static void put_bucket(metrics__text_t *text, const char *name, const char *labels)
{
    metrics__put(text, name);
    metrics__put(text, "_bucket{");
    metrics__put(text, labels);
    metrics__put(text, *labels != '\0' ? ",le=\"" : "le=\"");
}

static void put_histogram(metrics__text_t *text, const char *name, const metrics__value_t *value)
{
    const metrics__figures_t *figures = &value->figures;
    for (unsigned bits = METRICS__BUCKET_FIRST; bits <= METRICS__BUCKET_LAST; bits++) {
        put_bucket(text, name, value->labels);
        metrics__put_seconds(text, 1ull << bits);
        metrics__put(text, "\"} ");
        put_count(text, metrics__figures_up_to(figures, bits));
    }
    put_bucket(text, name, value->labels);
    metrics__put(text, "+Inf\"} ");
    put_count(text, figures->count);
    put_sample(text, name, "_sum", value->labels);
    metrics__put_seconds(text, figures->sum);
    metrics__put(text, "\n");
    put_sample(text, name, "_count", value->labels);
    put_count(text, figures->count);
}

static void put_head(metrics__text_t *text, const metrics__group_t *group, int open)
{
    static const char *const types[] = {" counter\n", " gauge\n", " histogram\n"};
    /* OpenMetrics names the family, Prometheus the sample */
    size_t len = open ? metrics__family_len(group->name, group->type) : strlen(group->name);
    if (*group->help != '\0') {
        metrics__put(text, "# HELP ");
        metrics__put_bytes(text, group->name, len);
        metrics__put(text, " ");
        put_help(text, group->help, open);
        metrics__put(text, "\n");
    }
    metrics__put(text, "# TYPE ");
    metrics__put_bytes(text, group->name, len);
    metrics__put(text, types[group->type]);
}

static void export_text(metrics__text_t *text, const metrics_snapshot_t *snapshot, int open)
{
    for (const metrics__group_t *group = snapshot->first; group != NULL; group = group->next) {
        put_head(text, group, open);
        for (const metrics__value_t *value = group->first; value != NULL; value = value->next) {
            if (group->type == METRICS__HISTOGRAM) {
                put_histogram(text, group->name, value);
                continue;
            }
            put_sample(text, group->name, "", value->labels);
            if (value->exact) {
                metrics__put_u64(text, value->whole);
            } else {
                metrics__put_double(text, value->number);
            }
            metrics__put(text, "\n");
        }
    }
    metrics__put(text, open ? "# EOF\n" : ""); /* even nothing makes a text */
}

apr_status_t metrics_export(char **text, size_t *len, const metrics_snapshot_t *snapshot,
                            metrics_format_e format, apr_pool_t *pool)
{
    metrics__text_t grown = {NULL, 0, 0, 0};
    METRICS_CHECK_ARG(text != NULL && snapshot != NULL && pool != NULL);
    METRICS_CHECK_ARG(metrics_content_type(format) != NULL);
    if (format == METRICS_JSON) {
        metrics__export_json(&grown, snapshot);
    } else {
        export_text(&grown, snapshot, format == METRICS_OPENMETRICS);
    }
    *text = grown.failed ? NULL : apr_pstrmemdup(pool, grown.data, grown.len);
    if (len != NULL) *len = grown.failed ? 0 : grown.len;
    free(grown.data);
    return *text != NULL ? APR_SUCCESS : APR_ENOMEM;
}

const char *metrics_content_type(metrics_format_e format)
{
    switch (format) {
    case METRICS_PROMETHEUS:
        return "text/plain; version=0.0.4; charset=utf-8";
    case METRICS_OPENMETRICS:
        return "application/openmetrics-text; version=1.0.0; charset=utf-8";
    case METRICS_JSON:
        return "application/json";
    }
    return NULL;
}
