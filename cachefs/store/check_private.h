/*
 * check_private.h - what the parts of a check of a store share.
 * Floor 2, private to cachefs/store/ and its tests.
 */
#ifndef CACHEFS_STORE_CHECK_PRIVATE_H
#define CACHEFS_STORE_CHECK_PRIVATE_H

#include "cachefs/check.h"
#include "cachefs/store/l2_format.h"
#include "cachefs/store/store.h"

typedef struct cachefs__check_t {
    cachefs__store_t *store;
    vfs_t *fs;
    cachefs_check_options_t o;
    cachefs_check_t *out;
} cachefs__check_t;

/* Say one thing. Damage and repairs are counted. */
void cachefs__check_told(const cachefs__check_t *c, cachefs_told_e kind, const char *path,
                         uint64_t bytes, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Hear each name of a directory but "." and "..". */
typedef apr_status_t (*cachefs__check_name_fn)(void *baton, const char *name);
apr_status_t cachefs__check_names(const cachefs__check_t *c, const char *dir,
                                  cachefs__check_name_fn fn, void *baton);
/* CACHEFS_ID_TEXT characters. */
void cachefs__check_id(char *text, const uint8_t *id);

/* ---- check_l2.c */

/* A segment as bytes. */
typedef struct cachefs__l2_verdict_t {
    int ours;   /* its head is sound, and of the store */
    int sealed; /* its footer is sound */
    uint64_t records, record_bytes;
    uint64_t damaged; /* records, rows of the footer, and bytes between records */
    uint64_t torn;    /* bytes behind the last record of one that is not sealed */
} cachefs__l2_verdict_t;
/* Look at all of a segment. Believes no byte. */
void cachefs__l2_verify(const uint8_t *bytes, uint64_t size, const uint8_t *store_id, uint32_t seq,
                        cachefs__l2_verdict_t *v);
/* Check all of l2/. `id`: whose they should be; NULL: not known. Then, if they agree in it, `found`
 * receives it, and *known is 1. */
apr_status_t cachefs__check_l2(cachefs__check_t *c, const uint8_t *id, uint8_t *found, int *known);

/* ---- check_journal.c */

apr_status_t cachefs__check_journal(cachefs__check_t *c, char *err, size_t errlen);

#endif
