/*
 * support_box.h - a temporary directory with a root to be confined to, and something outside of it.
 */
#ifndef TESTS_LOCAL_SUPPORT_BOX_H
#define TESTS_LOCAL_SUPPORT_BOX_H

#include "backends/backends.h"
#include "vfs/vfs_ops.h"

#define NOBODY 65534u

typedef struct box_t {
    char top[64];     /* the temporary directory: outside the root */
    char root[80];    /* TOP/root */
    char outside[80]; /* TOP/outside, with the file "secret" */
    vfs_t *fs;
    apr_pool_t *pool;
} box_t;

/* Criterion's .init and .fini: `box` is ready before each test and gone after it. */
extern box_t box;
void box_open(void);
void box_close(void);

/* An operating system path below the root, in a buffer of its own for eight calls. */
const char *os(const char *path);
/* Make a file through the operating system. */
void os_write(const char *path, const char *text);
/* The status of opening for reading and closing again. */
apr_status_t try_open(const char *path);
/* Write a whole file through the file system. */
void put(const char *path, const char *text);
/* Does the whole file have this text? */
int holds(const char *path, const char *text);
/* The context of an ordinary user without groups. */
vfs_ctx_t as_user(uint32_t uid, uint32_t gid);
int am_root(void);

#endif
