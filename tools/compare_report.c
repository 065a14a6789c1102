/*
 * compare_report.c - the rows of `cachefs compare`, as a table and as JSON.
 * Floor 4.
 */
#include <inttypes.h>
#include <string.h>

#include "tools/compare.h"

const char *const compare_layers[CLI_LAYERS_MAX] = {"direct", "corfs", "cachefs"};
const char *const compare_phases[CLI_PHASES_MAX] = {"cold",        "warm",   "hot",
                                                    "revalidated", "random", "parallel"};

void report_head(void)
{
    (void)printf("%-8s %-12s %8s %11s %14s %11s %11s %10s %14s %10s\n", "layer", "phase", "files",
                 "time", "throughput", "p50", "p99", "hit ratio", "backend bytes", "memory");
    (void)fflush(stdout); /* whoever waits sees what is done; cli_finish reports a failure */
}

void report_row(const row_t *row)
{
    char time[32], rate[40], p50[32], p99[32], below[32], memory[32];
    double per_second = row->seconds > 0 ? (double)row->bytes / row->seconds : 0.0;
    (void)snprintf(rate, sizeof(rate), "%s/s", cli_show_bytes(below, sizeof(below), per_second));
    (void)printf("%-8s %-12s %8" PRIu64 " %11s %14s %11s %11s %10.3f %14s %10s\n",
                 compare_layers[row->layer], compare_phases[row->phase], row->files,
                 cli_show_us(time, sizeof(time), row->seconds * 1e6), rate,
                 cli_show_us(p50, sizeof(p50), row->p50_us),
                 cli_show_us(p99, sizeof(p99), row->p99_us), row->hit_ratio,
                 cli_show_bytes(below, sizeof(below), (double)row->backend_bytes),
                 cli_show_bytes(memory, sizeof(memory), (double)row->rss_bytes));
    (void)fflush(stdout); /* as above */
}

static const row_t *find(const row_t *rows, size_t count, unsigned layer, unsigned phase)
{
    for (size_t i = 0; i < count; i++)
        if (rows[i].layer == layer && rows[i].phase == phase) return &rows[i];
    return NULL;
}

static void print_ratio(const row_t *hot, const row_t *other, const char *name)
{
    if (hot == NULL || other == NULL || hot->seconds <= 0 || other->seconds <= 0) return;
    double ratio = other->seconds / hot->seconds;
    (void)printf("hot, cachefs is %.*f times as fast as %s.\n", ratio < 10 ? 2 : 0, ratio, name);
}

void report_tail(const row_t *rows, size_t count)
{
    const row_t *hot = find(rows, count, LAYER_CACHEFS, PHASE_HOT);
    (void)puts("\np50 and p99 are those of one file, from open to close, and in warm from its "
               "start to its end;\n"
               "memory is the most that the layer's process had so far; hit ratio is bytes served "
               "from the cache\n"
               "over bytes read: 1 - backend bytes / bytes, at least 0.");
    print_ratio(hot, find(rows, count, LAYER_CACHEFS, PHASE_COLD), "cold");
    for (unsigned layer = 0; layer < LAYER_CACHEFS; layer++)
        print_ratio(hot, find(rows, count, layer, PHASE_HOT), compare_layers[layer]);
}

void report_json(const row_t *rows, size_t count)
{
    json_t json;
    json_start(&json, stdout);
    json_array(&json, NULL);
    for (size_t i = 0; i < count; i++) {
        json_object(&json, NULL);
        json_string(&json, "layer", compare_layers[rows[i].layer]);
        json_string(&json, "phase", compare_phases[rows[i].phase]);
        json_uint(&json, "files", rows[i].files);
        json_uint(&json, "bytes", rows[i].bytes);
        json_double(&json, "seconds", rows[i].seconds);
        json_double(&json, "p50_us", rows[i].p50_us);
        json_double(&json, "p99_us", rows[i].p99_us);
        json_double(&json, "hit_ratio", rows[i].hit_ratio);
        json_uint(&json, "backend_bytes", rows[i].backend_bytes);
        json_uint(&json, "rss_bytes", rows[i].rss_bytes);
        json_close(&json, '}');
    }
    json_close(&json, ']');
    json_end(&json);
}
