/*
 * conf.h - the table of behaviours: what every backend and every stack must do, one small function
 * each. Floor 4. A behaviour knows the public headers and its stack under test only; its name is
 * the sentence that it holds.
 *
 * Failures are collected with file and line, not fatal: NEED and NEED_OPEN alone leave the
 * behaviour. A behaviour starts on an empty stack of its own, and what it leaves open is closed
 * behind it.
 */
#ifndef TESTS_CONFORMANCE_CONF_H
#define TESTS_CONFORMANCE_CONF_H

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "tests/stacks/sut.h"

#define CONF_FILES_MAX 1024u

/** One run of one behaviour. */
typedef struct conf_t {
    sut_t sut;
    vfs_t *fs;
    apr_pool_t *pool; /**< gone after the behaviour */
    const char *name;
    unsigned failures;
    size_t nfiles;
    vfs_file_t *files[CONF_FILES_MAX]; /**< open handles */
} conf_t;

/* What a behaviour wants beside caps, by stack; where that is not so it does not apply. */
#define CONF_CACHE 0x1u   /**< a cache on top of the stack */
#define CONF_THROUGH 0x2u /**< a cache in that mode, here and below */
#define CONF_BACK 0x4u
#define CONF_AROUND 0x8u
#define CONF_LARGE 0x10u /**< a cache that has room */
#define CONF_READONLY 0x20u
#define CONF_LOCAL 0x40u
#define CONF_ROOT 0x80u   /**< the process is the super-user */
#define CONF_WHOLE 0x100u /**< the root is that of the backend: paths may use their full length */
#define CONF_TINY 0x200u
#define CONF_EAGER 0x800u   /**< what is closed is below, and has the version that it has there */
#define CONF_NAMES 0x1000u  /**< any name that is none of "." and ".." */
#define CONF_MOVING 0x2000u /**< a directory's times change with its names */
#define CONF_DIRECT 0x400u  /**< no copy of its own behind our back (corfs) */

typedef struct conf_behaviour_t {
    const char *name;
    void (*run)(conf_t *t);
    uint64_t caps;    /**< VFS_CAP_*: where one is missing its op must answer APR_ENOTIMPL */
    uint32_t wants;   /**< CONF_* */
    const char *keys; /**< for the caches of the stack; may be NULL */
} conf_behaviour_t;

/** What nearly every behaviour needs. */
#define CONF_RW (VFS_CAP_WRITE | VFS_CAP_RANDOM_WRITE | VFS_CAP_DIRS)
#define B(fn)                                                                                      \
    {                                                                                              \
#fn, fn, CONF_RW, 0, NULL                                                                  \
    }
#define B_CAPS(fn, caps)                                                                           \
    {                                                                                              \
#fn, fn, CONF_RW | (caps), 0, NULL                                                         \
    }
#define B_WANTS(fn, caps, wants)                                                                   \
    {                                                                                              \
#fn, fn, CONF_RW | (caps), wants, NULL                                                     \
    }
#define B_KEYS(fn, wants, keys)                                                                    \
    {                                                                                              \
#fn, fn, CONF_RW, wants, keys                                                              \
    }

typedef struct conf_table_t {
    const char *name;
    const conf_behaviour_t *behaviours;
    size_t count;
} conf_table_t;
#define CONF_TABLE(id, array)                                                                      \
    const conf_table_t conf_table_##id = {#id, array, sizeof(array) / sizeof((array)[0])}

extern const conf_table_t conf_table_paths, conf_table_open, conf_table_io, conf_table_size,
    conf_table_names, conf_table_rename, conf_table_links, conf_table_attr, conf_table_xattr,
    conf_table_dir, conf_table_range, conf_table_lock, conf_table_object, conf_table_whole,
    conf_table_args, conf_table_readonly, conf_table_cache, conf_table_modes, conf_table_cursor,
    conf_table_limits;

/* ---- checks: each is one failure at most, and answers whether it held */

int conf_fail(conf_t *t, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int conf_is(conf_t *t, const char *file, int line, const char *what, apr_status_t got,
            apr_status_t want);
int conf_eq(conf_t *t, const char *file, int line, const char *what, uint64_t got, uint64_t want);
int conf_same(conf_t *t, const char *file, int line, const void *got, const void *want, size_t len);
vfs_file_t *conf_open(conf_t *t, const char *file, int line, const char *path, uint32_t flags,
                      uint32_t mode);
/** Create or replace a file of these bytes. */
int conf_put(conf_t *t, const char *file, int line, const char *path, const void *data, size_t len);
/** Does the file hold exactly these bytes, read by a new handle, with that size in stat? */
int conf_holds(conf_t *t, const char *file, int line, vfs_t *fs, const char *path, const void *data,
               size_t len);
int conf_file_holds(conf_t *t, const char *file, int line, vfs_file_t *handle, apr_off_t off,
                    const void *data, size_t len);
apr_status_t conf_close(conf_t *t, vfs_file_t *handle);
/** Close every handle, end the stack's upper part, and leave `t->sut.lower` to be looked at. */
void conf_settle(conf_t *t, const char *file, int line);
/** Wait until what was just written is older than the granularity of the clock below: before, its
 * validator is not trusted. */
void conf_grow_old(const conf_t *t);
/** Bytes that differ at every offset and by seed. */
void conf_fill(void *buf, size_t len, uint64_t seed);
/** The names of a directory, sorted, each followed by one space: "a b c ". */
const char *conf_names(conf_t *t, vfs_t *fs, const char *path);

#define HERE t, __FILE__, __LINE__
#define OK(expr) conf_is(HERE, #expr, (expr), APR_SUCCESS)
#define IS(want, expr) conf_is(HERE, #expr, (expr), (want))
#define EQ(got, want) conf_eq(HERE, #got " is " #want, (uint64_t)(got), (uint64_t)(want))
#define CHECK(cond) ((cond) ? 1 : conf_fail(HERE, "not so: %s", #cond))
#define NEED(held)                                                                                 \
    do {                                                                                           \
        if (!(held)) return;                                                                       \
    } while (0)
#define SAME(got, want, len) conf_same(HERE, got, want, len)
#define OPEN(path, flags) conf_open(HERE, path, flags, 0644)
#define NEED_OPEN(handle, path, flags)                                                             \
    vfs_file_t *handle = conf_open(HERE, path, flags, 0644);                                       \
    NEED(handle != NULL)
#define PUT(path, text) conf_put(HERE, path, text, strlen(text))
#define PUTN(path, data, len) conf_put(HERE, path, data, len)
#define HOLDS(path, text) conf_holds(HERE, t->fs, path, text, strlen(text))
#define HOLDSN(path, data, len) conf_holds(HERE, t->fs, path, data, len)
#define LOWER_HOLDS(path, text) conf_holds(HERE, t->sut.lower, path, text, strlen(text))
#define FILE_HOLDS(handle, off, text) conf_file_holds(HERE, handle, off, text, strlen(text))
#define CLOSE(handle) OK(conf_close(t, handle))
#define SETTLE() conf_settle(HERE)
#define NAMES(path, want) CHECK(strcmp(conf_names(t, t->fs, path), want) == 0)

#define RD VFS_O_READ
#define WR VFS_O_WRITE
#define CR VFS_O_CREATE
#define RW (VFS_O_READ | VFS_O_WRITE)

#define E(code) APR_FROM_OS_ERROR(code)

#endif
