/*
 * test_mem_stress.c - the memory backend under many threads: names that are made, moved and
 * removed, pages that are written and read, appends, commits, copies both ways, listings and
 * watches, all at once. Run it under ThreadSanitizer. Each worker checks what must hold whatever
 * the others do; at the end nothing may be left.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>
#include <apr_pools.h>

#include "backends/backends.h"
#include "vfs/vfs_ops.h"

enum { PAGE = 4096, ROUNDS = 6000, NAMES = 12, STAY = 50, LIMIT = 64 << 20, LINE = 24 };

static vfs_t *fs;
static _Atomic int events, namers;
static _Atomic uint64_t appended;

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                             \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

static unsigned next_of(uint32_t *state, unsigned limit)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % limit;
}

static vfs_file_t *open_file(const char *path, uint32_t flags)
{
    vfs_file_t *file;

    CHECK(vfs_open(&file, fs, NULL, path, flags, 0644, NULL, NULL) == APR_SUCCESS);
    return file;
}

/* ---- names: any of these answers is right, but nothing else */

static int is_one_of(apr_status_t status, const int *errors)
{
    if (status == APR_SUCCESS) return 1;
    while (*errors != 0 && status != APR_FROM_OS_ERROR(*errors))
        errors++;
    return *errors != 0;
}

static void a_name(uint32_t *seed, char *out)
{
    if (next_of(seed, 2))
        sprintf(out, "/names/%u", next_of(seed, NAMES));
    else
        sprintf(out, "/names/%u/%u", next_of(seed, NAMES), next_of(seed, NAMES));
}

static void *work_names(void *baton)
{
    static const int fine[] = {ENOENT, EEXIST, ENOTDIR, EISDIR, ENOTEMPTY,
                               EINVAL, EPERM,  ELOOP,   EACCES, 0};
    uint32_t seed = (uint32_t)(uintptr_t)baton;
    char a[64], b[64], text[64];
    vfs_file_t *file;
    vfs_attr_t attr;
    size_t n;

    for (int i = 0; i < ROUNDS || atomic_load(&events) == 0; i++) { /* until we were heard */
        apr_status_t status = APR_SUCCESS;
        a_name(&seed, a);
        a_name(&seed, b);
        switch (next_of(&seed, 10)) {
        case 0:
            status = vfs_mkdir(fs, NULL, a, 0755);
            break;
        case 1:
            status = vfs_rmdir(fs, NULL, a);
            break;
        case 2:
            status = vfs_unlink(fs, NULL, a);
            break;
        case 3:
            status = vfs_rename(fs, NULL, a, b, 0);
            break;
        case 4:
            status = vfs_rename(fs, NULL, a, b, VFS_RENAME_EXCHANGE);
            break;
        case 5:
            status = vfs_link(fs, NULL, a, b);
            break;
        case 6:
            status = vfs_symlink(fs, NULL, a, b);
            break;
        case 7:
            status = vfs_stat(fs, NULL, a, &attr);
            break;
        case 8:
            status = vfs_readlink(fs, NULL, a, text, sizeof(text), &n);
            break;
        default:
            status = vfs_open(&file, fs, NULL, a, VFS_O_WRITE | VFS_O_CREATE, 0644, NULL, NULL);
            if (status != APR_SUCCESS) break;
            CHECK(vfs_write_at(file, NULL, "text", 4, next_of(&seed, 9000), &n, NULL) == 0);
            CHECK(vfs_close(file, NULL) == APR_SUCCESS);
        }
        CHECK(is_one_of(status, fine));
    }
    atomic_fetch_sub(&namers, 1);
    return NULL;
}

/* ---- bytes */

/* Every write fills three pages with one value, so a page of two values was torn. */
static void *work_pages(void *baton)
{
    uint32_t seed = (uint32_t)(uintptr_t)baton;
    unsigned char *buf = malloc(3 * PAGE);
    vfs_file_t *file = open_file("/pages", VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE);
    size_t n;

    CHECK(buf != NULL);
    for (int i = 0; i < ROUNDS; i++) {
        apr_off_t off = (apr_off_t)next_of(&seed, 8) * PAGE;
        if (next_of(&seed, 3) == 0) {
            memset(buf, (int)next_of(&seed, 255), 3 * PAGE);
            CHECK(vfs_write_at(file, NULL, buf, 3 * PAGE, off, &n, NULL) == APR_SUCCESS);
        } else if (next_of(&seed, 20) == 0) {
            CHECK(vfs_ftruncate(file, NULL, off) == APR_SUCCESS);
        } else {
            CHECK(vfs_read_at(file, NULL, buf, 3 * PAGE, off, &n) == APR_SUCCESS);
            CHECK(n % PAGE == 0);
            for (size_t at = 0; at < n; at++)
                CHECK(buf[at] == buf[at / PAGE * PAGE]);
        }
    }
    CHECK(vfs_close(file, NULL) == APR_SUCCESS);
    free(buf);
    return NULL;
}

static void *work_append(void *baton)
{
    char line[LINE + 1];
    size_t n;
    vfs_file_t *file = open_file("/lines", VFS_O_WRITE | VFS_O_CREATE | VFS_O_APPEND);

    for (int i = 0; i < ROUNDS; i++) {
        sprintf(line, "%11d:%11d\n", (int)(uintptr_t)baton, i);
        CHECK(vfs_write_at(file, NULL, line, LINE, 0, &n, NULL) == APR_SUCCESS && n == LINE);
        atomic_fetch_add(&appended, 1);
    }
    CHECK(vfs_close(file, NULL) == APR_SUCCESS);
    return NULL;
}

static apr_status_t fill(void *baton, void *buf, size_t len, apr_off_t off)
{
    (void)off;
    memset(buf, *(int *)baton, len);
    return APR_SUCCESS;
}

/* A reader of a committed file sees one version, and its bytes are those of its size. */
static void *work_commit(void *baton)
{
    uint32_t seed = (uint32_t)(uintptr_t)baton;
    unsigned char *buf = malloc(20000);
    vfs_attr_t attr;
    vfs_validator_t version;
    size_t n;

    CHECK(buf != NULL);
    for (int i = 0; i < ROUNDS; i++) {
        if (next_of(&seed, 2)) {
            int value = (int)next_of(&seed, 100);
            vfs_source_t source = {fill, &value, 1000u + (unsigned)value * 100u};
            vfs_commit_t how = VFS_COMMIT_INIT;
            if (next_of(&seed, 2) && vfs_validator(fs, NULL, "/whole", &how.expected) == 0)
                how.flags = VFS_COMMIT_IF_MATCH;
            apr_status_t status = vfs_commit(fs, NULL, "/whole", &source, &how, NULL, NULL);
            CHECK(status == APR_SUCCESS || (how.flags != 0 && status == VFS_ECONFLICT));
        } else if (vfs_get(fs, NULL, "/whole", buf, 20000, &n, &attr, &version) == APR_SUCCESS) {
            CHECK(n == attr.size && n == 1000u + buf[0] * 100u);
            CHECK(buf[n / 2] == buf[0] && buf[n - 1] == buf[0]);
        }
    }
    free(buf);
    return NULL;
}

/* Two files, copied from each to the other by two threads: a wrong order of locks would hang. */
static void *work_copy(void *baton)
{
    uint32_t seed = (uint32_t)(uintptr_t)baton;
    vfs_file_t *a = open_file("/left", VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE);
    vfs_file_t *b = open_file("/right", VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE);
    size_t n;

    for (int i = 0; i < ROUNDS; i++) {
        apr_off_t from = next_of(&seed, 50000), to = next_of(&seed, 50000);
        int swap = next_of(&seed, 2) != 0;
        CHECK(vfs_copy_range(swap ? b : a, NULL, from, swap ? a : b, to, 9000, &n) == APR_SUCCESS);
        CHECK(vfs_write_at(a, NULL, "x", 1, to, &n, NULL) == APR_SUCCESS);
        if (i % 50 == 0)
            CHECK(vfs_allocate(b, NULL, VFS_ALLOC_PUNCH_HOLE | VFS_ALLOC_KEEP_SIZE, from, 9000) ==
                  0);
    }
    CHECK(vfs_close(a, NULL) == APR_SUCCESS);
    CHECK(vfs_close(b, NULL) == APR_SUCCESS);
    return NULL;
}

/* ---- listings, attributes, watches */

static void *work_listing(void *baton)
{
    uint32_t seed = (uint32_t)(uintptr_t)baton;
    char path[64];
    vfs_dirent_t entry;
    vfs_dir_t *dir;

    for (int i = 0; i < ROUNDS / 10; i++) {
        int stay = 0;
        CHECK(vfs_opendir(&dir, fs, NULL, "/list", VFS_DIR_ATTRS) == APR_SUCCESS);
        while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS) {
            CHECK(entry.has_attr && entry.attr.ino == entry.ino);
            stay += strncmp(entry.name, "stay", 4) == 0;
            sprintf(path, "/list/go%u", next_of(&seed, 30));
            if (next_of(&seed, 2))
                (void)vfs_unlink(fs, NULL, path); /* there or not */
            else
                (void)vfs_mknod(fs, NULL, path, VFS_TYPE_FILE, 0644, 0);
        }
        CHECK(stay == STAY);
        CHECK(vfs_closedir(dir) == APR_SUCCESS);
    }
    return NULL;
}

static void *work_attr(void *baton)
{
    uint32_t seed = (uint32_t)(uintptr_t)baton, group = 3;
    vfs_ctx_t user = VFS_CTX_INIT;
    vfs_attr_t attr;
    size_t n;
    char value[32];

    user.flags = VFS_CTX_CREDS;
    user.uid = 5;
    user.gid = 5;
    user.groups = &group;
    user.ngroups = 1;
    for (int i = 0; i < ROUNDS; i++) {
        CHECK(vfs_chmod(fs, NULL, "/list/stay0", next_of(&seed, 010000), 0) == APR_SUCCESS);
        CHECK(vfs_chown(fs, NULL, "/list/stay0", next_of(&seed, 10), 3, 0) == APR_SUCCESS);
        CHECK(vfs_utimens(fs, NULL, "/list/stay0", i, i, 0) == APR_SUCCESS);
        CHECK(vfs_setxattr(fs, NULL, "/list/stay0", "user.a", "value", 5, 0, 0) == APR_SUCCESS);
        (void)vfs_getxattr(fs, &user, "/list/stay0", "user.a", value, sizeof(value), &n, 0);
        (void)vfs_access(fs, &user, "/list/stay0", VFS_ACCESS_READ); /* either answer is right */
        CHECK(vfs_stat(fs, &user, "/list/stay0", &attr) == APR_SUCCESS && attr.gid == 3);
        CHECK(vfs_chmod(fs, NULL, "/list", 0755 + (next_of(&seed, 2) << 9), 0) == APR_SUCCESS);
    }
    return NULL;
}

static void hear(void *baton, uint32_t bits, const char *path)
{
    vfs_attr_t attr;

    CHECK(*(int *)baton == 1 && bits != 0 && path[0] == '/');
    (void)vfs_lstat(fs, NULL, path, &attr); /* a watcher may call back */
    atomic_fetch_add(&events, 1);
}

static void *work_watch(void *baton)
{
    static const char *const at[] = {"/", "/names", "/list", "/pages"};
    uint32_t seed = (uint32_t)(uintptr_t)baton;
    uint64_t watch;
    vfs_attr_t attr;

    for (int i = 0; i < ROUNDS / 5 || atomic_load(&namers) > 0; i++) {
        int *alive = malloc(sizeof(*alive));
        CHECK(alive != NULL);
        *alive = 1;
        CHECK(vfs_watch(fs, NULL, at[next_of(&seed, 4)], hear, alive, &watch) == APR_SUCCESS);
        for (int j = 0; j < 20; j++)
            CHECK(vfs_stat(fs, NULL, "/list", &attr) == APR_SUCCESS);
        CHECK(vfs_unwatch(fs, watch) == APR_SUCCESS);
        *alive = 0; /* from here on nobody may look at it */
        free(alive);
    }
    return NULL;
}

/* ---- all of it */

static void check_lines(void)
{
    vfs_file_t *file = open_file("/lines", VFS_O_READ);
    uint64_t lines = atomic_load(&appended);
    char line[LINE];
    size_t n;

    for (uint64_t i = 0; i < lines; i++) {
        CHECK(vfs_read_at(file, NULL, line, LINE, (apr_off_t)(i * LINE), &n) == APR_SUCCESS);
        CHECK(n == LINE && line[LINE - 1] == '\n' && line[11] == ':');
    }
    CHECK(vfs_read_at(file, NULL, line, 1, (apr_off_t)(lines * LINE), &n) == APR_SUCCESS && n == 0);
    CHECK(vfs_close(file, NULL) == APR_SUCCESS);
}

static void check_nothing_left(void)
{
    vfs_statfs_t space;

    CHECK(vfs_remove_all(fs, NULL, "/") == APR_SUCCESS);
    CHECK(vfs_statfs(fs, NULL, "/", &space) == APR_SUCCESS);
    CHECK(space.bytes_free == LIMIT);
    CHECK(space.files_total - space.files_free == 1);
}

int main(void)
{
    static void *(*const work[])(void *) = {work_names,  work_names,  work_pages,   work_pages,
                                            work_append, work_append, work_commit,  work_commit,
                                            work_copy,   work_copy,   work_listing, work_listing,
                                            work_attr,   work_watch,  work_watch};
    enum { COUNT = sizeof(work) / sizeof(work[0]) };
    pthread_t threads[COUNT];
    apr_pool_t *pool;
    char path[64];

    CHECK(apr_initialize() == APR_SUCCESS && apr_pool_create(&pool, NULL) == APR_SUCCESS);
    CHECK(vfs_mem_create(&fs, LIMIT, pool) == APR_SUCCESS);
    CHECK(vfs_mkdir(fs, NULL, "/names", 0755) == 0 && vfs_mkdir(fs, NULL, "/list", 0755) == 0);
    for (int i = 0; i < STAY; i++) {
        sprintf(path, "/list/stay%d", i);
        CHECK(vfs_mknod(fs, NULL, path, VFS_TYPE_FILE, 0644, 0) == APR_SUCCESS);
    }
    CHECK(vfs_close(open_file("/pages", VFS_O_WRITE | VFS_O_CREATE), NULL) == APR_SUCCESS);
    atomic_store(&namers, 2);
    for (int i = 0; i < COUNT; i++)
        CHECK(pthread_create(&threads[i], NULL, work[i], (void *)(uintptr_t)(i + 1)) == 0);
    for (int i = 0; i < COUNT; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    check_lines();
    check_nothing_left();
    CHECK(atomic_load(&events) > 0);
    CHECK(vfs_destroy(fs) == APR_SUCCESS);
    apr_pool_destroy(pool);
    apr_terminate();
    printf("events heard: %d\n", atomic_load(&events));
    return 0;
}
