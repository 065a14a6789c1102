/*
 * support_kill.c - see support_kill.h.
 */
#include "tests/crash/support_kill.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/crash/support_stack.h"

typedef struct ack_t {
    uint32_t file, round;
} ack_t;

#define KILL_FILES 4u

/* Writes records that say their round all over, and tells what was acknowledged. */
static void child(const char *dir, int out)
{
    rig_t r;
    char path[256];
    rig_open_local(&r, dir, "");
    for (ack_t a = {1, 1};; a.round++, a.file = a.round % KILL_FILES) {
        (void)snprintf(path, sizeof(path), "/f%u", a.file);
        vfs_file_t *f = rig_file(&r, path);
        rig_put(f, 0, (uint8_t)a.round, 3000);
        OK(vfs_sync(f, NULL, VFS_SYNC_DATA));
        if (write(out, &a, sizeof(a)) != sizeof(a)) _exit(2);
        if (a.round % 7 == 0) OK(cachefs_flush(r.fs, NULL, NULL, 0));
        if (a.round % 11 == 0) cachefs__durable_round(r.fs->state);
        OK(vfs_close(r.files[--r.nfiles], NULL));
    }
}

/* Killed some time after so many acknowledgements; then it is seen what is there. */
static void kill_once(const char *dir, unsigned acks, unsigned then_us)
{
    int ends[2];
    ack_t a, last[KILL_FILES] = {{0, 0}};
    CHECK(pipe(ends) == 0);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        (void)close(ends[0]);
        child(dir, ends[1]);
    }
    (void)close(ends[1]);
    for (unsigned n = 0; read(ends[0], &a, sizeof(a)) == sizeof(a); n++) {
        last[a.file] = a;
        if (n != acks) continue;
        apr_sleep(then_us); /* at no moment in particular */
        CHECK(kill(pid, SIGKILL) == 0);
    }
    (void)close(ends[0]);
    CHECK(waitpid(pid, NULL, 0) == pid);
    rig_t r;
    char path[256];
    rig_open_local(&r, dir, "");
    for (unsigned i = 0; i < KILL_FILES; i++) {
        uint8_t byte;
        size_t n;
        vfs_file_t *f;
        if (!last[i].round) continue;
        (void)snprintf(path, sizeof(path), "/f%u", i);
        OK(vfs_open(&f, r.fs, NULL, path, VFS_O_READ, 0, NULL, NULL));
        OK(vfs_read_at(f, NULL, &byte, 1, 0, &n));
        OK(vfs_close(f, NULL));
        CHECK(n == 1 &&
              (byte == (uint8_t)last[i].round || byte == (uint8_t)(last[i].round + KILL_FILES)));
        rig_holds(r.fs, path, 0, byte, 3000);
    }
    rig_close(&r);
}

void kill_often(unsigned times, unsigned seed)
{
    char dir[] = "/tmp/cachefs-kill-XXXXXX", path[256];
    apr_pool_t *pool;
    vfs_t *fs;
    CHECK(mkdtemp(dir) != NULL);
    OK(apr_initialize());
    OK(apr_pool_create(&pool, NULL));
    OK(vfs_local_create(&fs, dir, pool));
    OK(vfs_mkdir(fs, NULL, "/lower", 0700));
    OK(vfs_mkdir(fs, NULL, "/store", 0700));
    for (unsigned i = 0; i < times; i++) {
        seed = seed * 1664525u + 1013904223u;
        kill_once(dir, seed >> 24 & 63, seed >> 8 & 4095);
    }
    OK(vfs_remove_all(fs, NULL, "/lower"));
    OK(vfs_remove_all(fs, NULL, "/store"));
    OK(vfs_destroy(fs));
    (void)snprintf(path, sizeof(path), "%s", dir);
    CHECK(rmdir(path) == 0);
    apr_pool_destroy(pool);
}
