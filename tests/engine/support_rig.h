/*
 * support_rig.h - a cache over memory or a directory, with faults, delays and a counter between
 * them: what the tests of the engine drive.
 */
#ifndef TESTS_ENGINE_SUPPORT_RIG_H
#define TESTS_ENGINE_SUPPORT_RIG_H

#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include "backends/backends.h"
#include "cachefs/engine.h"
#include "vfs/shims/shims.h"

typedef struct rig_t {
    apr_pool_t *pool;
    vfs_t *bottom, *fault, *delay, *count, *fs; /* a lock held across a call below aborts */
    cache_t *c;
    char root[64]; /* of a local bottom, else "" */
    char keys[512];
} rig_t;

#define RIG_R VFS_O_READ
#define RIG_W (VFS_O_READ | VFS_O_WRITE)
#define RIG_C (VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE)

/* `keys`: "key=value key=value". TTLs are an hour unless they say otherwise: what is known stays so
 * however slow the machine is. Files change below through rig->bottom. */
void rig_open(rig_t *rig, const char *keys);
void rig_open_local(rig_t *rig, const char *keys);
/* Everything goes; dirty data is flushed first. Nothing may be left open below. */
void rig_close(rig_t *rig);
/* The cache alone ends and begins anew. */
void rig_again(rig_t *rig, const char *keys);
void rig_config(cachefs_config_t *config, const char *keys, apr_pool_t *pool);

char *rig_bytes(size_t len, unsigned seed);
/* Others replace a file, or write into it. */
void rig_put(rig_t *rig, const char *path, const void *data, size_t len);
void rig_text(rig_t *rig, const char *path, const char *text);
void rig_poke(rig_t *rig, const char *path, apr_off_t off, const void *data, size_t len);
/* `path` of a file system holds exactly these bytes. */
void rig_holds(vfs_t *fs, const char *path, const void *data, size_t len);
void rig_holds_text(vfs_t *fs, const char *path, const char *text);
int rig_same(vfs_t *fs, const char *path, const void *data, size_t len);

vfs_file_t *rig_file(vfs_t *fs, const char *path, uint32_t flags);
void rig_write(vfs_file_t *file, apr_off_t off, const void *data, size_t len);
void rig_read(vfs_file_t *file, apr_off_t off, const void *expected, size_t len);
/* A whole file, through the cache. */
void rig_save(rig_t *rig, const char *path, const void *data, size_t len);

/* Round trips, calls and bytes below since the last reset. */
uint64_t rig_requests(rig_t *rig);
uint64_t rig_calls(rig_t *rig, vfs_opid_e op);
uint64_t rig_moved(rig_t *rig);
void rig_reset(rig_t *rig);

cachefs_stats_t rig_stats(rig_t *rig);
/* The object of a path, referenced: give it back with cachefs__obj_put. */
obj_t *rig_obj(rig_t *rig, const char *path);
vfs_path_t rig_path(const char *path);
cachefs_entry_t rig_entry(rig_t *rig, const char *path);
/* Calls of an op fail below: `times` of them (0: for ever), from the nth on. */
void rig_fail(rig_t *rig, vfs_opid_e op, apr_status_t status, uint64_t nth, uint64_t times);
void rig_block(rig_t *rig, vfs_opid_e op, uint64_t times);
void rig_wait_blocked(rig_t *rig, uint64_t count);
/* The same of calls that met a fault so far: a blocked one stays counted when it goes on. */
void rig_wait_injected(rig_t *rig, uint64_t count);
/* So many callers waited, or wait, for what others do. */
void rig_wait_waits(rig_t *rig, uint64_t count);
/* Change a key while it runs. */
void rig_set(rig_t *rig, const char *key, const char *value);
/* A machine may be slow: a nap makes things older, and proves nothing of what others did in it. */
void rig_nap(unsigned ms);
/* Wait until `done` says so, for a minute at most. */
int rig_until(int (*done)(void *baton), void *baton);

/* Wait until what workers read ahead has come; else a busy machine lets the reader come first. */
void rig_settle(rig_t *rig);

const char *rig_status(apr_status_t st);

#define OK(e)                                                                                      \
    do {                                                                                           \
        apr_status_t st_ = (e);                                                                    \
        cr_assert(st_ == APR_SUCCESS, "%s: %s", #e, rig_status(st_));                              \
    } while (0)
#define IS(want, e)                                                                                \
    do {                                                                                           \
        apr_status_t st_ = (e);                                                                    \
        cr_assert(st_ == (want), "%s: %s, not %s", #e, rig_status(st_), #want);                    \
    } while (0)
#define EQ(a, b)                                                                                   \
    do {                                                                                           \
        uint64_t a_ = (uint64_t)(a), b_ = (uint64_t)(b);                                           \
        cr_assert(a_ == b_, "%s is %" PRIu64 ", not %s = %" PRIu64, #a, a_, #b, b_);               \
    } while (0)
#define CHECK(e) cr_assert((e), "%s", #e)

#endif
