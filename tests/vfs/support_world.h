/*
 * support_world.h - a fake file system with handles on it and arguments for every op.
 */
#ifndef TESTS_VFS_SUPPORT_WORLD_H
#define TESTS_VFS_SUPPORT_WORLD_H

#include "support_fake.h"

#define READ_WRITE (VFS_O_READ | VFS_O_WRITE)

/** The handles are ours, so open is not needed. */
typedef struct world_t {
    apr_pool_t *pool;
    fake_t fake;
    vfs_t *fs;
    vfs_file_t file, other; /**< for reading and writing */
    vfs_dir_t dir;
    vfs_path_t path, path2; /**< "/a" and "/b" */
} world_t;
extern world_t w;

/* Arguments, and places for what comes back. */
extern char buf[64];
extern size_t n;
extern vfs_iovec_t iov; /**< 8 bytes of buf */
extern uint64_t number;
extern apr_off_t where;
extern vfs_statfs_t space;
extern vfs_dirent_t entry;
extern vfs_lock_t wish;           /**< a read lock */
extern const vfs_source_t source; /**< 4 bytes */
void hear(void *baton, uint32_t events, const char *path);

void setup_with(const vfs_ops_t *ops);
void setup(void); /**< with every op */
void teardown(void);

#endif
