/* support_store.h - a store on a disk in memory that can lose power, fail and count. */
#ifndef TESTS_STORE_SUPPORT_STORE_H
#define TESTS_STORE_SUPPORT_STORE_H

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "backends/backends.h"
#include "cachefs/store/store.h"
#include "vfs/shims/shims.h"
#include "vfs/vfs_ops.h"

typedef struct disk_t {
    apr_pool_t *pool;
    vfs_t *mem, *crash, *fault, *fs; /* fs: the top */
} disk_t;

/* bytes_max: 0: no limit */
void disk_open(disk_t *d, uint64_t bytes_max);
void disk_close(disk_t *d);
/* The store on it, which must open. */
cachefs__store_t *disk_store(disk_t *d);
/* Others write, read, or look at its files. */
void disk_put(disk_t *d, const char *path, const void *buf, size_t len);
size_t disk_get(disk_t *d, const char *path, void *buf, size_t max);
int disk_has(disk_t *d, const char *path);
/* So many names in a directory. */
unsigned disk_names(disk_t *d, const char *path);
/* Calls of an op fail from the nth on, `times` of them (0: for ever). */
void disk_fail(disk_t *d, vfs_opid_e op, int error, uint64_t nth, uint64_t times);

/* Ops of a layer that passes everything on: for a test to put its own in. */
vfs_ops_t disk_pass_ops(void);

const char *disk_status(apr_status_t st);

#define OK(e)                                                                                      \
    do {                                                                                           \
        apr_status_t st_ = (e);                                                                    \
        cr_assert(st_ == APR_SUCCESS, "%s: %s", #e, disk_status(st_));                             \
    } while (0)
#define IS(want, e)                                                                                \
    do {                                                                                           \
        apr_status_t st_ = (e);                                                                    \
        cr_assert(st_ == (want), "%s: %s, not %s", #e, disk_status(st_), #want);                   \
    } while (0)
#define EQ(a, b)                                                                                   \
    do {                                                                                           \
        uint64_t a_ = (uint64_t)(a), b_ = (uint64_t)(b);                                           \
        cr_assert(a_ == b_, "%s is %" PRIu64 ", not %s = %" PRIu64, #a, a_, #b, b_);               \
    } while (0)
#define CHECK(e) cr_assert((e), "%s", #e)

#endif
