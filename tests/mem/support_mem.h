/*
 * support_mem.h - what the tests of the memory backend share: a fresh file system for each, and
 * short words for common steps. The words that end in _ok assert; the others hand out the status.
 */
#ifndef TESTS_MEM_SUPPORT_MEM_H
#define TESTS_MEM_SUPPORT_MEM_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "backends/backends.h"
#include "vfs/vfs_ops.h"

#define OSERR(name) APR_FROM_OS_ERROR(name)

extern vfs_t *fs; /* of this test */

void mem_setup(void);
void mem_teardown(void);
/** Start again with a limit. */
void mem_limit(uint64_t bytes_max);

/** Assert that a call answers this. */
#define EXPECT(status, call)                                                                       \
    do {                                                                                           \
        apr_status_t got_ = (call);                                                                \
        char text_[128];                                                                           \
        cr_expect(got_ == (status), "%s: %s", #call, vfs_strerror(got_, text_, sizeof(text_)));    \
    } while (0)
#define OK(call) EXPECT(APR_SUCCESS, call)

/** The credentials of an ordinary user, in groups gid and (unless 0) `more`. */
vfs_ctx_t user_ctx(uint32_t uid, uint32_t gid, const uint32_t *more);

vfs_file_t *open_ok(const char *path, uint32_t flags);
void close_ok(vfs_file_t *file);
/** Make or replace a file with this text. */
void put_ok(const char *path, const char *text);
/** Does the file hold exactly this text? */
void holds(const char *path, const char *text);
void write_ok(vfs_file_t *file, const void *buf, size_t len, apr_off_t off);
vfs_attr_t stat_of(const char *path);
vfs_attr_t lstat_of(const char *path);
vfs_attr_t fstat_of(vfs_file_t *file);
vfs_validator_t version_of(const char *path);
uint64_t bytes_used(uint64_t bytes_max);
/** The names in a directory, joined by spaces, in the order of the listing. */
const char *names_in(const char *path);

#endif
