/*
 * support_warming.h - OS files in a directory of their own, and a file system in memory with files
 * in it.
 */
#ifndef TESTS_WARMING_SUPPORT_WARMING_H
#define TESTS_WARMING_SUPPORT_WARMING_H

#include "vfs/vfs.h"

extern apr_pool_t *warm_pool; /* of the test */

/* For TestSuite: make the pool and the directory, and take them away. */
void warm_test_begin(void);
void warm_test_end(void);

/* An OS path in the directory; valid until the test ends. */
const char *warm_test_path(const char *name);
/* Write an OS file there. Returns its path. */
const char *warm_test_write(const char *name, const void *bytes, size_t len);
const char *warm_test_text(const char *name, const char *text);
/* The content of an OS file, with a NUL behind it. */
char *warm_test_read(const char *path, size_t *len);
int warm_test_exists(const char *path);
/* Files in the directory. */
size_t warm_test_files(void);

/* A file system in memory. */
vfs_t *warm_test_mem(void);
/* Make a file of `size` bytes that depend on its name, and the directories above it. */
void warm_test_file(vfs_t *fs, const char *path, size_t size);
/* The byte at `off` of such a file. */
unsigned char warm_test_byte(const char *path, size_t off);
/* Does `fs` show that content? */
int warm_test_same(vfs_t *fs, const char *path, size_t size);

uint32_t warm_test_random(uint32_t *state);

#endif
