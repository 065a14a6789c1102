/* test_tier_hang.c - a cache over a store whose reads do not end: others are held neither from the
 * bytes that are being read, nor from writing them. */
#include <pthread.h>
#include <stdlib.h>

#include "cachefs/engine.h"
#include "tests/store/support_hang.h"

#define KIB 1024u
#define LEN (64 * KIB)

static disk_t disk;
static vfs_t *origin, *fs;
static cachefs_config_t config;
static char old[LEN];

static cachefs_stats_t stats(void)
{
    cachefs_stats_t s = {.size = sizeof(s)};
    OK(cachefs_stats(fs, &s));
    return s;
}

static int put_aside(void)
{
    cachefs__l2_stats_t s;
    cachefs__l2_stats(cachefs__of(fs)->l2, &s);
    return s.open != 0;
}

static void begin(void)
{
    char err[512] = "";
    apr_status_t st = cachefs_create(&fs, origin, &config, err, sizeof(err), disk.pool);
    cr_assert(st == APR_SUCCESS, "%s: %s", disk_status(st), err);
}

static void read_file(const char *path, char *buf)
{
    vfs_file_t *file;
    size_t got;
    OK(vfs_open(&file, fs, NULL, path, VFS_O_READ, 0, NULL, NULL));
    OK(vfs_read_at(file, NULL, buf, LEN, 0, &got));
    EQ(got, LEN);
    OK(vfs_close(file, NULL));
}

/* Read through the cache until the store has it: its first segment is made by its own thread. */
static void bring(const char *path)
{
    char buf[LEN];
    uint64_t had = stats().l2_put_bytes;
    OK(vfs_write_file(origin, NULL, path, old, LEN, 0644));
    OK(vfs_utimens(origin, NULL, path, VFS_TIME_OMIT, 1000000007, 0));
    while (stats().l2_put_bytes < had + LEN) {
        apr_sleep(20000); /* older than any step of its clock */
        OK(cachefs_invalidate(fs, path, NULL, NULL));
        read_file(path, buf);
    }
}

static void setup(void)
{
    static const cachefs_config_t defaults = CACHEFS_CONFIG_INIT;
    disk_open(&disk, 0);
    disk_can_hang(&disk);
    OK(vfs_mem_create(&origin, 0, disk.pool));
    for (unsigned i = 0; i < LEN; i++)
        old[i] = (char)(i * 2654435761u >> 11 ^ i);
    config = defaults;
    config.ram_bytes = 4u << 20;
    config.get_bytes = 0;
    config.readahead_bytes = 0;
    config.store = disk.fs;
    config.store_bytes = 16u << 20;
    config.store_free_min = 1;
    begin();
    bring("/f");
    bring("/g");
    bring("/h");
    OK(vfs_destroy(fs));
    begin();
}

static void teardown(void)
{
    OK(vfs_destroy(fs));
    OK(vfs_destroy(origin));
    disk_close(&disk);
}

TestSuite(store_tier_hang, .init = setup, .fini = teardown);

static void *read_f(void *buf)
{
    read_file("/f", buf);
    return NULL;
}

/* Somebody who reads /f from the store hangs. */
static pthread_t hang(char *buf)
{
    pthread_t reader;
    disk_hang(VFS_OPID_readv_at);
    EQ(pthread_create(&reader, NULL, read_f, buf), 0);
    disk_wait_hung(1);
    return reader;
}

static void taken_back(void)
{
    char buf[LEN];
    while (put_aside())
        apr_sleep(10000);
    uint64_t hits = stats().l2_hits;
    read_file("/h", buf);
    CHECK(!memcmp(buf, old, LEN) && stats().l2_hits > hits);
}

Test(store_tier_hang, who_reads_the_same_bytes_gets_them_from_below)
{
    static char theirs[LEN], ours[LEN];
    pthread_t reader = hang(theirs);
    read_file("/f", ours);
    CHECK(!memcmp(ours, old, LEN) && put_aside());
    read_file("/g", ours);
    CHECK(!memcmp(ours, old, LEN));
    EQ(disk_hung(), 1);
    disk_let_go();
    pthread_join(reader, NULL);
    CHECK(!memcmp(theirs, old, LEN));
    taken_back();
}

Test(store_tier_hang, who_writes_them_is_not_held_and_nothing_old_comes_back)
{
    static char theirs[LEN], ours[LEN], fresh[LEN];
    vfs_file_t *file;
    size_t n;
    memset(fresh, 'x', LEN);
    pthread_t reader = hang(theirs);
    OK(vfs_open(&file, fs, NULL, "/f", VFS_O_WRITE, 0, NULL, NULL));
    OK(vfs_write_at(file, NULL, fresh, LEN, 0, &n, NULL));
    OK(vfs_close(file, NULL));
    EQ(disk_hung(), 1);
    read_file("/f", ours);
    CHECK(!memcmp(ours, fresh, LEN));
    disk_let_go();
    pthread_join(reader, NULL);
    CHECK(!memcmp(theirs, fresh, LEN)); /* it looked again */
    read_file("/f", ours);
    CHECK(!memcmp(ours, fresh, LEN));
    taken_back();
}
