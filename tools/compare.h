/*
 * compare.h - what the parts of `cachefs compare` share.
 * Floor 4, private to tools/.
 *
 * The parent reads every listed file once, straight from the origin, and writes what it saw to a
 * reference file in a directory of its own. Then it runs itself once for each layer. A child builds
 * its stack, runs the phases, checks all that it reads against the reference, and sends one row a
 * phase through a pipe.
 */
#ifndef TOOLS_COMPARE_H
#define TOOLS_COMPARE_H

#include "tools/cli.h"

#define COMPARE_BLOCK                                                                              \
    4096u /* bytes that a random read takes, and that have a hash of their own                     \
           */
#define COMPARE_CHUNK (1u << 20) /* bytes that a whole read asks for at once */
#define COMPARE_REPORT_FD 3      /* where a child writes its rows */

typedef enum compare_layer_e { LAYER_DIRECT, LAYER_CORFS, LAYER_CACHEFS } compare_layer_e;
typedef enum compare_phase_e {
    PHASE_COLD,
    PHASE_WARM,
    PHASE_HOT,
    PHASE_REVALIDATED,
    PHASE_RANDOM,
    PHASE_PARALLEL
} compare_phase_e;
extern const char *const compare_layers[CLI_LAYERS_MAX];
extern const char *const compare_phases[CLI_PHASES_MAX];
/* Does this phase make sense with this layer? */
int compare_has(compare_layer_e layer, compare_phase_e phase);

/* ---- compare_reference.c: what the files are */

typedef struct reference_file_t {
    const char *path;
    uint64_t size;
    uint64_t hash;      /* of all its bytes, by COMPARE_CHUNK */
    size_t first_block; /* into `blocks` */
} reference_file_t;

typedef struct reference_t {
    reference_file_t *files;
    size_t count, room;
    uint32_t *blocks; /* half the hash of each COMPARE_BLOCK bytes */
    size_t block_count, block_room;
    uint64_t bytes;
    char *names; /* what the paths of a loaded one point into */
} reference_t;
/* Read the files of a plan. Those that fail are reported and left out. CLI_DONE, CLI_INTERNAL. */
int reference_make(cli_t *cli, reference_t *out, vfs_t *fs, const warm_plan_t *plan);
apr_status_t reference_save(const reference_t *reference, const char *file);
apr_status_t reference_load(reference_t *out, const char *file);
void reference_free(reference_t *reference);
uint32_t reference_block_hash(const void *data, size_t len);

/* ---- compare_read.c: reading, timed and checked */

/* What reading many files came to. */
typedef struct reading_t {
    uint64_t files, bytes;
    double seconds; /* between opens and closes, of the slowest thread */
    double p50_us, p99_us;
} reading_t;
/* p50_us and p99_us of such times, in ns, which are sorted. */
void compare_quantiles(reading_t *out, uint64_t *times, size_t count);
/* Each file once, whole, on so many threads. `what` is for the progress bar. */
int compare_read_all(cli_t *cli, reading_t *out, vfs_t *fs, const reference_t *reference,
                     unsigned threads, const char *what);
/* `count` times: a file by chance, one block of it by chance. */
int compare_read_random(cli_t *cli, reading_t *out, vfs_t *fs, const reference_t *reference,
                        uint64_t count, const char *what);

/* ---- compare_report.c: rows */

/* A child is the same program, and sends it as it is. */
typedef struct row_t {
    unsigned layer, phase;
    uint64_t files, bytes;
    double seconds, p50_us, p99_us, hit_ratio;
    uint64_t backend_bytes, rss_bytes;
} row_t;
void report_head(void);
void report_row(const row_t *row);
void report_tail(const row_t *rows, size_t count);
void report_json(const row_t *rows, size_t count);

/* ---- compare_layer.c */

/* What a child does. */
int compare_child(cli_t *cli);
/* Remove the directory of a comparison with all in it. */
void compare_remove(const cli_t *cli, const char *dir);

#endif
