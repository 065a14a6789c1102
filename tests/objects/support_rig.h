/*
 * support_rig.h - files over memory that takes whole objects only, with faults and a counter right
 * below the layer: what the tests of vfs/objects/ drive.
 */
#ifndef TESTS_OBJECTS_SUPPORT_RIG_H
#define TESTS_OBJECTS_SUPPORT_RIG_H

#include <errno.h>

#include <criterion/criterion.h>

#include "backends/backends.h"
#include "tests/stacks/sut.h"
#include "vfs/objects/objects.h"
#include "vfs/shims/shims.h"

typedef struct rig_t {
    apr_pool_t *pool;
    vfs_t *mem, *whole, *fault, *count, *fs;
    char logged[8192]; /* the last line */
} rig_t;

#define OSERR(code) APR_FROM_OS_ERROR(code)
#define IS(want, expr)                                                                             \
    do {                                                                                           \
        apr_status_t is = (expr);                                                                  \
        cr_assert_eq(is, want, "%s answered %d, not %d", #expr, is, want);                         \
    } while (0)
#define OK(expr) IS(APR_SUCCESS, expr)
#define RW (VFS_O_READ | VFS_O_WRITE)
#define CR (VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE)

/* `without`: capabilities that the lower layer shall not have; `spool`: its limit. */
void rig_open(rig_t *rig, uint64_t without, uint64_t spool);
/* It must end with this status. */
void rig_close(rig_t *rig, apr_status_t want);
/* Others replace a file. */
void rig_put(rig_t *rig, const char *path, const void *data, size_t len);
void rig_text(rig_t *rig, const char *path, const char *text);
/* What lies below, or is told here, is exactly this. */
void rig_holds(vfs_t *fs, const char *path, const void *data, size_t len);
void rig_holds_text(vfs_t *fs, const char *path, const char *text);
vfs_file_t *rig_file(rig_t *rig, const char *path, uint32_t flags);
void rig_write(vfs_file_t *file, apr_off_t off, const char *text);
void rig_reads(vfs_file_t *file, apr_off_t off, const char *text);
char *rig_bytes(size_t len, unsigned seed);
/* Calls of an op fail: `times` of them (0: for ever). */
void rig_fail(rig_t *rig, vfs_opid_e op, vfs_fault_e what, uint64_t times);
uint64_t rig_calls(rig_t *rig, vfs_opid_e op);
uint64_t rig_requests(rig_t *rig);
/* The names of the root that are conflicts; the last one into `path`. */
unsigned rig_conflicts(rig_t *rig, char *path, size_t size);

#endif
