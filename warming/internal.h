/*
 * internal.h - what the files of warming/ share. Floor 3, private to warming/ and its tests.
 */
#ifndef WARMING_INTERNAL_H
#define WARMING_INTERNAL_H

#include <pthread.h>
#include <stdio.h>

#include "vfs/vfs_ops.h"
#include "warming/warming.h"

#define WARM__SIZE_UNKNOWN UINT64_MAX

/* ---- plan */

/* One thing to warm: a file, or a range of one. */
typedef struct warm__item_t {
    const char *path;    /* normal */
    uint64_t size;       /* as a listing said; WARM__SIZE_UNKNOWN */
    uint64_t off;        /* of a range */
    uint64_t len;        /* of a range; 0: the whole file */
    uint64_t heat;       /* of a range */
    apr_status_t status; /* why it could not even be looked at */
} warm__item_t;

struct warm_plan_t {
    apr_pool_t *pool;
    warm__item_t *items; /* malloc'ed, freed with the pool */
    size_t count;
    size_t room;
};

/* Append; the path is copied. APR_ENOMEM. */
apr_status_t warm__plan_add(warm_plan_t *plan, const warm__item_t *item);
/* Make `raw` a path of the stack, in buf (VFS_PATH_MAX + 1 bytes). *dir: a '/' behind it asks for a
 * directory. On an error *fault says what is wrong. */
apr_status_t warm__path(const char *raw, char *buf, int *dir, const char **fault);
/* The same, into an item: its path is buf. Who asks for a directory gets the status EISDIR. */
apr_status_t warm__item_init(warm__item_t *item, const char *raw, char *buf, const char **fault);
/* What tells two plans apart. */
uint64_t warm__plan_hash(const warm_plan_t *plan);

/* ---- text files (text.c) */

#define WARM__LINE_MAX 20480u /* a path of which every byte is escaped, and more */

/* A text file that is read line by line. */
typedef struct warm__lines_t {
    FILE *in;
    const char *name; /* for messages */
    uint64_t number;  /* of the line in buf */
    size_t len;
    char buf[WARM__LINE_MAX + 1];
} warm__lines_t;

/* "-" is standard input. */
apr_status_t warm__lines_open(warm__lines_t **out, const char *file, char *err, size_t errlen);
/* The next line, without its end (LF or CR LF). APR_EOF; VFS_EFORMAT (too long, or with a NUL);
 * what reading says. */
apr_status_t warm__lines_next(warm__lines_t *lines, char *err, size_t errlen);
void warm__lines_close(warm__lines_t *lines);

/* A file that replaces another one when it is whole, 0600. */
typedef struct warm__output_t warm__output_t;
apr_status_t warm__output_open(warm__output_t **out, const char *file);
/* Errors are kept for warm__output_commit. */
void warm__output_print(warm__output_t *output, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Sync, and rename over `file`. On an error `file` is as it was. Frees. */
apr_status_t warm__output_commit(warm__output_t *output);

/* `path` in printable ASCII without '\': other bytes become \xHH. buf: 4 * length + 1 bytes. */
void warm__escape(char *buf, const char *path);
/* The opposite, in place. VFS_EFORMAT: no such text. */
apr_status_t warm__unescape(char *text);
/* Decimal digits at *text, which moves behind them. VFS_EFORMAT. */
apr_status_t warm__parse_number(const char **text, uint64_t *value);

/* A sentence for the user, where there is room for one. */
void warm__say(char *err, size_t errlen, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- rate (rate.c) */

/* Guarded by its owner's lock. */
typedef struct warm__rate_t {
    uint64_t bytes_per_second; /* 0: no limit */
    double free_us;            /* when the line is free again */
} warm__rate_t;

/* Book `bytes` at `now_us`. Returns the time at which they may be read. */
int64_t warm__rate_take(warm__rate_t *rate, int64_t now_us, uint64_t bytes);
/* It was `actual` and not `booked` bytes. */
void warm__rate_settle(warm__rate_t *rate, uint64_t booked, uint64_t actual);

/* ---- resume (resume.c) */

static inline int warm__bit(const unsigned char *bits, size_t i)
{
    return bits[i / 8] >> (i % 8) & 1;
}

/* Set the bits of what an earlier run did. No file: none. VFS_EFORMAT: damaged, or of another plan.
 */
apr_status_t warm__resume_load(const char *file, uint64_t hash, size_t count, unsigned char *done,
                               char *err, size_t errlen);
apr_status_t warm__resume_save(const char *file, uint64_t hash, size_t count,
                               const unsigned char *done);

/* ---- heat log (heatlog.c) */

typedef struct warm__range_t {
    const char *path;
    uint64_t off, len, heat;
} warm__range_t;

/* Merge neighbours of like heat, put the hottest first, write. `ranges` are in no order, and
 * changed. */
apr_status_t warm__heatlog_write(const char *file, warm__range_t *ranges, size_t count);

/* ---- job (job.c, run.c) */

#define WARM__ERRORS_MAX 1000u

typedef struct warm__worker_t {
    pthread_t thread;
    warm_job_t *job;
    /* job->lock */
    const char *asking; /* the file of a call that brings a whole one, or NULL */
    uint64_t unit;      /* counts what it did */
    int64_t since_us;   /* when it began with this one */
    uint64_t partial;   /* bytes of it that are warm already */
} warm__worker_t;

/* What a job is: made by warm_start, worked on by its workers, watched by its own thread.
 *
 *   running -> stopping -> over       cancel, or an error with WARM_STOP; or directly, when all is
 * done
 */
struct warm_job_t {
    vfs_t *fs; /* const from here */
    const warm_plan_t *plan;
    warm_options_t options;
    apr_pool_t *pool;
    vfs_cancel_t *cancel; /* ours: raised for whatever reason */
    char *resume_file;
    uint64_t plan_hash;
    int64_t begin_us;
    pthread_t thread;
    uint32_t worker_count;
    warm__worker_t *workers;
    int sizes_known; /* of everything in the plan */

    pthread_mutex_t lock; /* guards all below; a leaf */
    pthread_cond_t wake;  /* the job's thread and those who wait for the rate: something happened */
    pthread_cond_t ended;
    uint32_t running;    /* workers */
    size_t next;         /* thing in the plan */
    unsigned char *done; /* a bit for each thing: warm */
    uint64_t changes;    /* of done */
    uint64_t files_done, files_failed, files_skipped, files_earlier;
    uint64_t bytes_done, bytes_fetched;
    uint64_t size_left, size_done; /* with sizes_known */
    uint64_t budget;               /* bytes that may still become warm */
    warm__rate_t rate;
    uint64_t opens, open_bytes; /* files opened, and what the opens brought */
    int full;                   /* LOW: there was no free memory */
    int stopping;
    int canceled;
    apr_status_t first_error;
    warm_error_t errors[WARM__ERRORS_MAX];
    size_t error_count;
    int over;
    int64_t end_us;
    apr_status_t result;
};

int64_t warm__now_us(void);
/* The main of a worker (run.c). */
void *warm__worker_main(void *arg);
/* Add to the error list; locked. */
void warm__job_error(warm_job_t *job, const char *path, apr_status_t status);
/* Let nobody begin anything; locked. */
void warm__job_stop(warm_job_t *job);

#endif
