/*
 * metrics_private.h - what the files of metrics/ share: stripes, cells, the registry's lists,
 * snapshots. Floor 1, private to metrics/ and its tests.
 */
#ifndef METRICS_METRICS_PRIVATE_H
#define METRICS_METRICS_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include <apr_time.h>

#include "metrics/metrics.h"
#include "metrics/metrics_inline.h"

void metrics__assert_failed(const char *what, const char *file, int line) __attribute__((noreturn));
#define METRICS_ASSERT(cond) ((cond) ? (void)0 : metrics__assert_failed(#cond, __FILE__, __LINE__))
#define METRICS_CHECK_ARG(cond)                                                                    \
    do {                                                                                           \
        if (!(cond)) return APR_EINVAL;                                                            \
    } while (0)

#define METRICS__LINE 64u /* bytes of a cache line */

/* ---- stripes (stripe.c, counter.c)
 *
 * A chunk holds 64 counters as columns. Row 0 holds their switches, each further row one value of
 * each:
 *
 *     row 0        enabled | enabled | enabled ...     the handle of a counter is its cell here
 *     row 1..24    value   | value   | value           one thread each, plain load and store
 *     row 25..32   value   | value   | value           threads beyond the 24th, locked adds
 *     base         what the rows held at the last reset
 *
 * A row is 512 bytes, so no line is written by two owners, and the counters that one thread updates
 * together lie side by side. A counter costs 33 * 8 + 8 = 272 bytes; a chunk of 64 about 17 KiB.
 * Rows are never set back (their owner would overwrite that); a reset moves the base. */

typedef struct metrics__chunk_t {
    struct metrics_counter_t switches[METRICS__COLUMNS];
    _Atomic uint64_t rows[METRICS__ROWS][METRICS__COLUMNS];
    _Atomic uint64_t base[METRICS__COLUMNS];
    struct metrics__chunk_t *next; /* under the registry's lock */
    uint32_t used;                 /* under the registry's lock */
} metrics__chunk_t;

_Static_assert(sizeof(struct metrics_counter_t) == sizeof(uint64_t), "a switch fills one cell");

/* Which of `count` (a power of two) stripes this thread should use. */
unsigned metrics__stripe(unsigned count);
/* The next free counter of a chunk, or NULL when it is full. */
metrics_counter_t *metrics__chunk_take(metrics__chunk_t *chunk, int enabled);
metrics__chunk_t *metrics__chunk_create(void);
void metrics__counter_reset(metrics_counter_t *counter);

/* ---- gauges (gauge.c) */

struct metrics_gauge_t {
    _Atomic uint64_t bits; /* of a double */
};

/* ---- histograms (histogram.c, cells.c) */

#define METRICS__SUB_BITS 6u    /* 64 cells for each power of two */
#define METRICS__RANGE_BITS 42u /* up to 2^42 ns, 73 minutes */
#define METRICS__CELL_OVER                                                                         \
    (1u + ((METRICS__RANGE_BITS - METRICS__SUB_BITS + 1u) << METRICS__SUB_BITS))
#define METRICS__CELLS (METRICS__CELL_OVER + 1u)
#define METRICS__HISTOGRAM_STRIPES 8u

typedef struct metrics__stripe_t {
    _Alignas(METRICS__LINE) _Atomic uint64_t sum; /* nanoseconds, modulo 2^64 */
    _Atomic uint64_t max;
    _Atomic uint64_t min_flipped; /* ~min, so that zero means none and both grow */
    _Alignas(METRICS__LINE) _Atomic uint64_t cells[METRICS__CELLS];
} metrics__stripe_t;

/* 149 KiB of address space, taken zeroed from the system: a page becomes resident when a thread
 * records into it. */
struct metrics_histogram_t {
    _Alignas(METRICS__LINE) _Atomic uint32_t enabled;
    void *memory; /* what free() wants */
    metrics__stripe_t stripes[METRICS__HISTOGRAM_STRIPES];
};

metrics_histogram_t *metrics__histogram_create(int enabled);
void metrics__histogram_destroy(metrics_histogram_t *histogram);
void metrics__histogram_reset(metrics_histogram_t *histogram);

/* The stripes of a histogram added up. Only the cells from `first` on, `used` of them, are kept. */
typedef struct metrics__figures_t {
    uint64_t count;
    uint64_t sum;
    uint64_t min, max; /* 0 where count is 0 */
    uint32_t first, used;
    const uint64_t *cells;
} metrics__figures_t;

/* The cell that counts a value of `ns`. */
uint32_t metrics__cell_of(uint64_t ns);
/* The smallest and largest value that a cell counts. */
void metrics__cell_bounds(uint32_t cell, uint64_t *low, uint64_t *high);
/* Add the stripes up. `scratch` holds METRICS__CELLS, and is borrowed by `out`. */
void metrics__figures_read(metrics__figures_t *out, const metrics_histogram_t *histogram,
                           uint64_t *scratch);
/* Complete count, first, used, min and max from all cells, trusting min and max as far as the cells
 * bear them out. */
void metrics__figures_settle(metrics__figures_t *figures, const uint64_t *cells);
uint64_t metrics__figures_quantile(const metrics__figures_t *figures, double q);
void metrics__figures_summary(const metrics__figures_t *figures, metrics_summary_t *out);
/* How many values were at most 2^bits nanoseconds. */
uint64_t metrics__figures_up_to(const metrics__figures_t *figures, unsigned bits);
/* newer - older; newer alone where a reset lies between them. `scratch` as above. */
void metrics__figures_diff(metrics__figures_t *out, const metrics__figures_t *newer,
                           const metrics__figures_t *older, uint64_t *scratch);

/* ---- names and labels (labels.c) */

#define METRICS__NAME_MAX 200u
#define METRICS__LABELS_MAX 1000u /* bytes of all labels as text */
#define METRICS__PAIRS_MAX 32u
#define METRICS__HELP_MAX 1000u

typedef enum metrics__type_e {
    METRICS__COUNTER = 0,
    METRICS__GAUGE,
    METRICS__HISTOGRAM
} metrics__type_e;

typedef struct metrics__pair_t {
    const char *key, *value; /* the value as written, with its escapes */
    size_t key_len, value_len;
} metrics__pair_t;

/* Is `name` right for a metric of this type? */
int metrics__name_ok(const char *name, metrics__type_e type);
/* Is it valid UTF-8 of at most `max` bytes? */
int metrics__utf8_ok(const char *text, size_t max);
/* Take labels apart. Returns the number of pairs, or -1 if the text is no list of labels. */
int metrics__labels_split(metrics__pair_t *pairs, const char *labels);
/* Write labels sorted by key. `out` holds METRICS__LABELS_MAX + 1. APR_SUCCESS or APR_EINVAL. */
apr_status_t metrics__labels_sort(char *out, const char *labels, metrics__type_e type);
/* Bytes of the name of an OpenMetrics family: without the _total of a counter. */
size_t metrics__family_len(const char *name, metrics__type_e type);
/* Would a sample of one be taken for a sample of the other? */
int metrics__names_clash(const char *a, metrics__type_e a_type, const char *b,
                         metrics__type_e b_type);

/* ---- the registry (registry.c) */

typedef enum metrics__source_e {
    METRICS__FROM_COUNTER = 0,
    METRICS__FROM_GAUGE,
    METRICS__FROM_HISTOGRAM,
    METRICS__FROM_CALLBACK
} metrics__source_e;

/* One name and one set of labels. Never changes once it is on its family's list, and lives as long
 * as the registry: so the lists are read without a lock. */
typedef struct metrics__metric_t {
    struct metrics_gauge_t gauge; /* first: alone on its line with what nobody writes */
    metrics__source_e source;
    char *labels; /* sorted; "" for none */
    metrics_counter_t *counter;
    metrics_histogram_t *histogram;
    metrics_read_fn fn;
    void *baton;
    struct metrics__metric_t *_Atomic next; /* in the family */
} metrics__metric_t;

/* All metrics of one name. */
typedef struct metrics__family_t {
    char *name;
    char *help;
    metrics__type_e type;
    metrics__metric_t *_Atomic first;
    metrics__metric_t *last;                /* under the registry's lock */
    struct metrics__family_t *_Atomic next; /* in the registry */
} metrics__family_t;

struct metrics_registry_t {
    pthread_mutex_t lock; /* guards making, switching and resetting */
    _Atomic int enabled;
    metrics__family_t *_Atomic first; /* in the order of making */
    metrics__family_t *last;          /* under the lock */
    metrics__chunk_t *chunks;         /* under the lock; the first has room, if any has */
    apr_pool_t *pool;
};

/* ---- snapshots (snapshot.c) */

typedef struct metrics__value_t {
    const char *labels;
    int exact; /* `whole` counts, else `number` */
    uint64_t whole;
    double number;
    metrics__figures_t figures; /* of a histogram */
    struct metrics__value_t *next;
} metrics__value_t;

typedef struct metrics__group_t {
    const char *name;
    const char *help;
    metrics__type_e type;
    metrics__value_t *first;
    struct metrics__group_t *next;
} metrics__group_t;

struct metrics_snapshot_t {
    apr_time_t taken;
    metrics__group_t *first;
};

/* ---- text (text.c, export.c, json.c) */

/* Text that grows. Once memory ran out, nothing more is added, and `failed` stays set. */
typedef struct metrics__text_t {
    char *data;
    size_t len, size;
    int failed;
} metrics__text_t;

void metrics__put_bytes(metrics__text_t *text, const char *bytes, size_t len);
void metrics__put(metrics__text_t *text, const char *string);
void metrics__put_u64(metrics__text_t *text, uint64_t value);
/* The shortest form that reads back as the same number, with a point in every locale. NaN, +Inf,
 * -Inf. */
void metrics__put_double(metrics__text_t *text, double value);
/* Nanoseconds as seconds, exactly. */
void metrics__put_seconds(metrics__text_t *text, uint64_t ns);

/* Buckets that are exported: 2^7 ns (128 ns) to 2^35 ns (34 s), each twice the one before. */
#define METRICS__BUCKET_FIRST 7u
#define METRICS__BUCKET_LAST 35u

void metrics__export_json(metrics__text_t *text, const metrics_snapshot_t *snapshot);

#endif
