/*
 * support_journal.h - a journal in memory, over a disk that can lose power and fail, and a model of
 * what was appended, acknowledged and retired.
 */
#ifndef TESTS_STORE_SUPPORT_JOURNAL_H
#define TESTS_STORE_SUPPORT_JOURNAL_H

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/backends.h"
#include "cachefs/store/journal.h"
#include "vfs/shims/shims.h"

#define LOG_MAX 16384u /* LSNs that the model knows */
#define OBJECTS 6u

/* What the model knows of a record. */
typedef struct jknown_t {
    cachefs__jtype_e type;
    uint64_t object;
    uint64_t off;
    uint32_t len; /* of a WRITE: its bytes follow from object, offset and seed */
    uint32_t seed;
} jknown_t;

typedef struct jrig_t {
    apr_pool_t *pool;
    vfs_t *mem, *crash, *fault;
    cachefs__journal_t *j;
    uint8_t origin[JOURNAL_ID_BYTES];
    uint64_t bytes_max, file_bytes;
    char err[256];
    unsigned logged;
    /* the model */
    jknown_t *known; /* by LSN */
    uint64_t next, acked;
    uint64_t object[OBJECTS]; /* ids in use; 0: none */
    uint64_t first[OBJECTS], last[OBJECTS];
    uint32_t seed;
} jrig_t;

void jrig_open(jrig_t *rig);
void jrig_close(jrig_t *rig);
/* A process begins: opens the journal, checks what is there against the model, starts a session. */
apr_status_t jrig_begin(jrig_t *rig);
/* The process is gone, whatever its journal held. */
void jrig_gone(jrig_t *rig);
/* Compare what counts with the model, which then forgets what is not there. Damage is allowed to
 * have taken what `lost` says. Returns records that were expected and are not there. */
uint64_t jrig_check(jrig_t *rig);
/* One random step. @return what the journal said */
apr_status_t jrig_step(jrig_t *rig);
apr_status_t jrig_base(jrig_t *rig, unsigned o);
apr_status_t jrig_write(jrig_t *rig, unsigned o, uint32_t len);
apr_status_t jrig_retire(jrig_t *rig, unsigned o);
apr_status_t jrig_sync(jrig_t *rig);
uint32_t jrig_random(jrig_t *rig);

#define OK(e)                                                                                      \
    do {                                                                                           \
        apr_status_t st_ = (e);                                                                    \
        char text_[128];                                                                           \
        cr_assert(st_ == APR_SUCCESS, "%s: %s", #e, vfs_strerror(st_, text_, sizeof(text_)));      \
    } while (0)
#define IS(want, e)                                                                                \
    do {                                                                                           \
        apr_status_t st_ = (e);                                                                    \
        cr_assert(st_ == (want), "%s: %d, not %s", #e, st_, #want);                                \
    } while (0)
#define EQ(a, b)                                                                                   \
    do {                                                                                           \
        uint64_t a_ = (uint64_t)(a), b_ = (uint64_t)(b);                                           \
        cr_assert(a_ == b_, "%s is %" PRIu64 ", not %s = %" PRIu64, #a, a_, #b, b_);               \
    } while (0)
#define CHECK(e) cr_assert((e), "%s", #e)

#endif
