/*
 * Export: Prometheus, OpenMetrics and JSON, byte by byte and through the tools that read them.
 */
#include <criterion/criterion.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metrics/metrics_private.h"
#include "tests/metrics/support_registry.h"

TestSuite(metrics_export, .init = registry_setup, .fini = registry_teardown);

static double answer(void *baton)
{
    return *(const double *)baton;
}

static const double seven = 7.25;

/* A registry with one of everything. */
static void fill(void)
{
    metrics_counter_t *c;
    metrics_gauge_t *g;
    metrics_histogram_t *h;
    cr_assert_eq(metrics_counter(&c, registry, "cache_hits_total", "policy=\"lru\"", "Hits."),
                 APR_SUCCESS);
    metrics_add(c, 12345678901234567890u);
    cr_assert_eq(metrics_counter(&c, registry, "cache_hits_total", "policy=\"lfu\"", "Hits."),
                 APR_SUCCESS);
    cr_assert_eq(
        metrics_gauge(&g, registry, "cache_used_bytes", NULL, "Bytes in \"use\",\\ now\nor so."),
        APR_SUCCESS);
    metrics_gauge_set(g, 0.1);
    cr_assert_eq(metrics_gauge(&g, registry, "cache_root_info",
                               "path=\"/a \\\\ \\\"b\\\"\\n\",z=\"\"", "Root."),
                 APR_SUCCESS);
    metrics_gauge_set(g, 1);
    cr_assert_eq(metrics_histogram(&h, registry, "cache_read_seconds", "op=\"get\"", "Reads."),
                 APR_SUCCESS);
    metrics_record(h, 100);
    metrics_record(h, 128);
    metrics_record(h, 129);
    metrics_record_n(h, 1500000000, 2);
    metrics_record(h, 100000000000);
    cr_assert_eq(metrics_callback(registry, "cache_age_seconds", NULL, "Age.", 0, answer,
                                  (void *)(uintptr_t)&seven),
                 APR_SUCCESS);
}

Test(metrics_export, prometheus_text_is_as_specified)
{
    fill();
    const char *text = exported(METRICS_PROMETHEUS);
    static const char *const parts[] = {
        "# HELP cache_hits_total Hits.\n# TYPE cache_hits_total counter\n"
        "cache_hits_total{policy=\"lru\"} 12345678901234567890\n"
        "cache_hits_total{policy=\"lfu\"} 0\n",
        "# HELP cache_used_bytes Bytes in \"use\",\\\\ now\\nor so.\n# TYPE cache_used_bytes "
        "gauge\n"
        "cache_used_bytes 0.1\n",
        "cache_root_info{path=\"/a \\\\ \\\"b\\\"\\n\",z=\"\"} 1\n",
        "# TYPE cache_read_seconds histogram\n"
        "cache_read_seconds_bucket{op=\"get\",le=\"0.000000128\"} 2\n"
        "cache_read_seconds_bucket{op=\"get\",le=\"0.000000256\"} 3\n",
        "cache_read_seconds_bucket{op=\"get\",le=\"1.073741824\"} 3\n"
        "cache_read_seconds_bucket{op=\"get\",le=\"2.147483648\"} 5\n",
        "cache_read_seconds_bucket{op=\"get\",le=\"34.359738368\"} 5\n"
        "cache_read_seconds_bucket{op=\"get\",le=\"+Inf\"} 6\n"
        "cache_read_seconds_sum{op=\"get\"} 103.000000357\n"
        "cache_read_seconds_count{op=\"get\"} 6\n",
        "cache_age_seconds 7.25\n"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        cr_expect(strstr(text, parts[i]) != NULL, "no \"%s\" in:\n%s", parts[i], text);
    }
    cr_expect_eq(occurrences(text, "# TYPE cache_hits_total"), 1);
    cr_expect_eq(occurrences(text, "cache_read_seconds_bucket"), 30);
    cr_expect_eq(occurrences(text, "# EOF"), 0);
}

Test(metrics_export, promtool_finds_nothing_to_complain_about)
{
    static const char *const argv[] = {"promtool", "check", "metrics", NULL};
    char out[16384];
    if (!have_program("promtool")) cr_skip_test("promtool is not installed");
    fill();
    cr_expect_eq(filter(argv, exported(METRICS_PROMETHEUS), out, sizeof out), 0, "%s", out);
    cr_expect_str_eq(out, "");
}

Test(metrics_export, open_metrics_names_families_and_ends)
{
    fill();
    const char *text = exported(METRICS_OPENMETRICS);
    static const char *const parts[] = {
        "# HELP cache_hits Hits.\n# TYPE cache_hits counter\ncache_hits_total{policy=\"lru\"} ",
        "# HELP cache_used_bytes Bytes in \\\"use\\\",\\\\ now\\nor so.\n",
        "# TYPE cache_read_seconds histogram\n",
        "cache_read_seconds_bucket{op=\"get\",le=\"+Inf\"} 6\n"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        cr_expect(strstr(text, parts[i]) != NULL, "no \"%s\" in:\n%s", parts[i], text);
    }
    cr_expect_eq(occurrences(text, "# EOF\n"), 1);
    cr_expect_str_eq(text + strlen(text) - 6, "# EOF\n");
}

Test(metrics_export, json_is_read_back_by_a_parser)
{
    static const char *const argv[] = {
        "python3", "-c",
        "import json, sys\n"
        "m = json.load(sys.stdin)['metrics']\n"
        "assert [x['type'] for x in m] == ['counter', 'counter', 'gauge', 'gauge', 'histogram',"
        " 'gauge'], m\n"
        "assert m[0]['value'] == 12345678901234567890 and m[0]['labels'] == {'policy': 'lru'}\n"
        "assert m[2]['help'] == 'Bytes in \"use\",\\\\ now\\nor so.', m[2]\n"
        "assert m[2]['value'] == 0.1 and m[2]['labels'] == {}\n"
        "assert m[3]['labels'] == {'path': '/a \\\\ \"b\"\\n', 'z': ''}, m[3]\n"
        "h = m[4]\n"
        "assert h['count'] == 6 and h['sum_seconds'] == 103.000000357, h\n"
        "assert h['min_seconds'] == 1e-7 and h['max_seconds'] == 100, h\n"
        "assert abs(h['quantiles_seconds']['0.5'] / 129e-9 - 1) <= 0.01, h\n"
        "assert len(h['buckets']) == 29 and h['buckets'][1] == {'le_seconds': 256e-9, 'count': 3}\n"
        "assert m[5]['value'] == 7.25\n",
        NULL};
    char out[4096];
    if (!have_program("python3")) cr_skip_test("python3 is not installed");
    fill();
    cr_expect_eq(filter(argv, exported(METRICS_JSON), out, sizeof out), 0, "%s", out);
}

Test(metrics_export, json_escapes_what_it_must)
{
    metrics_gauge_t *g;
    cr_assert_eq(metrics_gauge(&g, registry, "g", "a=\"\\\\n\x01\"", "\t\"\\\n\x1f\x7f\xc3\xa4"),
                 APR_SUCCESS);
    const char *text = exported(METRICS_JSON);
    cr_expect(strstr(text, "\"help\": \"\\u0009\\\"\\\\\\n\\u001f\x7f\xc3\xa4\"") != NULL, "%s",
              text);
    cr_expect(strstr(text, "\"labels\": {\"a\": \"\\\\n\\u0001\"}") != NULL, "%s", text);
}

Test(metrics_export, an_empty_registry_exports_to_something_valid)
{
    cr_expect_str_eq(exported(METRICS_PROMETHEUS), "");
    cr_expect_str_eq(exported(METRICS_OPENMETRICS), "# EOF\n");
    cr_expect(strstr(exported(METRICS_JSON), "\"metrics\": []}\n") != NULL);
}

Test(metrics_export, special_numbers_have_their_names)
{
    static const double values[] = {NAN, INFINITY, -INFINITY, -0.5, 1e21, 3};
    static const char *const texts[] = {"NaN", "+Inf", "-Inf", "-0.5", "1e+21", "3"};
    metrics_gauge_t *g;
    char line[64];
    cr_assert_eq(metrics_gauge(&g, registry, "g", NULL, NULL), APR_SUCCESS);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        metrics_gauge_set(g, values[i]);
        (void)snprintf(line, sizeof line, "# TYPE g gauge\ng %s\n", texts[i]);
        cr_expect_str_eq(exported(METRICS_PROMETHEUS), line);
        (void)snprintf(line, sizeof line, "\"value\": %s}", i < 3 ? "null" : texts[i]);
        cr_expect(strstr(exported(METRICS_JSON), line) != NULL, "%s", line);
    }
}

Test(metrics_export, numbers_read_back_as_they_were)
{
    uint64_t state = 88172645463325252u;
    for (unsigned i = 0; i < 20000; i++) {
        double value, back;
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        memcpy(&value, &state, sizeof value);
        if (!isfinite(value)) continue;
        metrics__text_t text = {NULL, 0, 0, 0};
        metrics__put_double(&text, value);
        back = strtod(text.data, NULL);
        cr_assert_eq(back, value, "%s", text.data);
        free(text.data);
    }
}

Test(metrics_export, seconds_are_exact_and_short)
{
    static const uint64_t ns[] = {0, 1, 128, 1000000000, 1500000000, 90000000000, UINT64_MAX};
    static const char *const texts[] = {"0.0", "0.000000001", "0.000000128",          "1.0",
                                        "1.5", "90.0",        "18446744073.709551615"};
    for (size_t i = 0; i < sizeof ns / sizeof *ns; i++) {
        metrics__text_t text = {NULL, 0, 0, 0};
        metrics__put_seconds(&text, ns[i]);
        cr_expect_str_eq(text.data, texts[i]);
        free(text.data);
    }
}

/* A locale with a decimal comma, made here: few machines have one. */
static int set_comma_locale(void)
{
    char dir[] = "/tmp/cachefs-locale-XXXXXX", command[256];
    if (mkdtemp(dir) == NULL) return 0;
    snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 2>&1", dir);
    int made = system(command) == 0 && setenv("LOCPATH", dir, 1) == 0 &&
               setlocale(LC_NUMERIC, "de_DE.UTF-8") != NULL;
    snprintf(command, sizeof command, "rm -r %s", dir);
    cr_assert_eq(system(command), 0);
    return made;
}

Test(metrics_export, a_locale_with_a_decimal_comma_changes_nothing)
{
    metrics_gauge_t *g;
    cr_assert_eq(metrics_gauge(&g, registry, "g", NULL, NULL), APR_SUCCESS);
    metrics_gauge_set(g, 1.5);
    if (!set_comma_locale()) cr_skip_test("localedef or its sources are not installed");
    cr_assert_str_eq(localeconv()->decimal_point, ",");
    cr_expect_str_eq(exported(METRICS_PROMETHEUS), "# TYPE g gauge\ng 1.5\n");
}

Test(metrics_export, text_grows_and_stops_when_memory_is_out)
{
    metrics__text_t text = {NULL, 0, 0, 0};
    for (unsigned i = 0; i < 100000; i++)
        metrics__put_u64(&text, i % 10);
    cr_expect_eq(text.len, 100000);
    cr_expect_eq(strlen(text.data), text.len);
    cr_expect_eq(text.data[99999], '9');
    text.failed = 1;
    metrics__put(&text, "more");
    cr_expect_eq(text.len, 100000);
    free(text.data);
}

Test(metrics_export, every_format_has_a_content_type)
{
    cr_expect_str_eq(metrics_content_type(METRICS_PROMETHEUS),
                     "text/plain; version=0.0.4; charset=utf-8");
    cr_expect_str_eq(metrics_content_type(METRICS_OPENMETRICS),
                     "application/openmetrics-text; version=1.0.0; charset=utf-8");
    cr_expect_str_eq(metrics_content_type(METRICS_JSON), "application/json");
    cr_expect_null(metrics_content_type((metrics_format_e)9));
}
