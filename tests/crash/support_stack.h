/*
 * support_stack.h - a write-back cache with a store, as a program makes it: faults over both the
 * store and the lower layer, and a count of calls below.
 */
#ifndef TESTS_CRASH_SUPPORT_STACK_H
#define TESTS_CRASH_SUPPORT_STACK_H

#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>

#include "backends/backends.h"
#include "cachefs/engine.h"
#include "vfs/shims/shims.h"

#define OK(e)                                                                                      \
    do {                                                                                           \
        apr_status_t st_ = (e);                                                                    \
        char text_[128];                                                                           \
        cr_assert(st_ == APR_SUCCESS, "%s: %s", #e, vfs_strerror(st_, text_, sizeof(text_)));      \
    } while (0)
#define CHECK(e) cr_assert((e), "%s", #e)
#define EQ(a, b) cr_assert((uint64_t)(a) == (uint64_t)(b), "%s is %" PRIu64, #a, (uint64_t)(a))
#define IS(status, e)                                                                              \
    do {                                                                                           \
        apr_status_t st_ = (e);                                                                    \
        char text_[128];                                                                           \
        cr_assert(st_ == (status), "%s: %s", #e, vfs_strerror(st_, text_, sizeof(text_)));         \
    } while (0)
#define EIO_STATUS APR_FROM_OS_ERROR(EIO)

typedef struct rig_t {
    apr_pool_t *pool;
    vfs_t *lower, *away, *count, *store, *bad, *fs; /* `away`, `bad`: faults below, in the store */
    vfs_file_t *files[16];                          /* that rig_file opened */
    size_t nfiles;
    char err[512];
} rig_t;

/* Flushes happen when they are asked for; `keys`: "key=value key=value" beside that. */
void rig_open(rig_t *r, const char *keys);
/* Over two directories. */
void rig_open_local(rig_t *r, const char *dir, const char *keys);
/* The cache on what is there. */
apr_status_t rig_begin(rig_t *r, const char *keys);
/* The process is gone: what its end would do reaches nobody. */
void rig_kill(rig_t *r);
void rig_close(rig_t *r);

/* Open until the cache ends. */
vfs_file_t *rig_file(rig_t *r, const char *path);
void rig_put(vfs_file_t *f, apr_off_t off, uint8_t byte, size_t len);
/* 1,000 of that byte from the beginning on, acknowledged. */
void rig_acknowledge(vfs_file_t *f, uint8_t byte);
void rig_holds(vfs_t *fs, const char *path, apr_off_t off, uint8_t byte, size_t len);
/* Calls below so far. */
uint64_t rig_below(rig_t *r, vfs_opid_e op);
/* From now on these calls fail. `op` may be given again. */
void rig_fail(vfs_t *shim, vfs_opid_e op, apr_status_t status);
/* Files of the journal. */
unsigned rig_journal_files(rig_t *r);
double rig_metric(rig_t *r, const char *name);

#endif
