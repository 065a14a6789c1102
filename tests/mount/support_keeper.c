/*
 * support_keeper.c - see support_keeper.h. A pipe that nobody writes to ends with the last process
 * that has its other end, which is the test alone. The keeper is nobody's child and in no group, so
 * that who ends a test with all its children does not end it too; and it holds none of the files
 * whose end others wait for.
 */
#include "tests/mount/support_keeper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define TURNS 600
#define TURN_MS 100
#define FILES_MAX 1024

/* Has a file of /proc the text in it? NULs divide the strings there. */
static int has_text(const char *path, const char *text)
{
    static char buf[1 << 16];
    size_t len, want = strlen(text);
    FILE *file = fopen(path, "re");
    if (file == NULL) return 0;
    len = fread(buf, 1, sizeof(buf), file);
    (void)fclose(file);
    return memmem(buf, len, text, want) != NULL;
}

/* How many there were. */
static int kill_all(const char *dir)
{
    char path[300];
    int found = 0;
    struct dirent *entry;
    DIR *proc = opendir("/proc");
    while (proc != NULL && (entry = readdir(proc)) != NULL) {
        long pid = strtol(entry->d_name, NULL, 10);
        if (pid <= 0 || pid == (long)getpid()) continue;
        (void)snprintf(path, sizeof(path), "/proc/%ld/cmdline", pid);
        int ours = has_text(path, dir);
        (void)snprintf(path, sizeof(path), "/proc/%ld/environ", pid);
        if (!ours && !has_text(path, dir)) continue;
        (void)kill((pid_t)pid, SIGKILL);
        found++;
    }
    if (proc != NULL) (void)closedir(proc);
    return found;
}

/* The last one below `dir`, which no other lies in. 0: there is none. */
static int last_mount(const char *dir, char *point, size_t size)
{
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    struct mntent *entry;
    size_t len = strlen(dir);
    int found = 0;
    if (mounts == NULL) return 0;
    while ((entry = getmntent(mounts)) != NULL) {
        if (strncmp(entry->mnt_dir, dir, len) != 0 || entry->mnt_dir[len] != '/') continue;
        (void)snprintf(point, size, "%s", entry->mnt_dir);
        found = 1;
    }
    (void)endmntent(mounts);
    return found;
}

static int unmount_all(const char *dir)
{
    char point[4096];
    int found = 0;
    while (found < TURNS && last_mount(dir, point, sizeof(point))) {
        (void)umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW);
        found++;
    }
    return found;
}

static void keep(int fd, const char *dir)
{
    static const struct timespec turn = {0, TURN_MS * 1000000L};
    char nothing;
    while (read(fd, &nothing, 1) < 0 && errno == EINTR)
        ;
    for (int i = 0; i < TURNS && kill_all(dir) + unmount_all(dir) > 0; i++)
        (void)nanosleep(&turn, NULL);
    (void)execl("/bin/rm", "rm", "-rf", "--one-file-system", dir, (char *)NULL);
    _exit(1);
}

static void go_behind(int fd)
{
    int null = open("/dev/null", O_RDWR);
    (void)setsid();
    (void)chdir("/");
    (void)signal(SIGTERM, SIG_IGN);
    for (int i = 0; i <= STDERR_FILENO; i++)
        (void)dup2(null, i);
    for (int i = STDERR_FILENO + 1; i < FILES_MAX; i++)
        if (i != fd) (void)close(i);
}

int keeper_start(const char *dir)
{
    int ends[2], status = 1;
    char *copy = strdup(dir);
    if (copy == NULL || pipe2(ends, O_CLOEXEC) != 0) return 0;
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        pid_t own = fork();
        if (own != 0) _exit(own < 0);
        go_behind(ends[0]);
        keep(ends[0], copy);
    }
    (void)close(ends[0]);
    free(copy);
    while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return pid > 0 && status == 0; /* the other end stays open as long as this process lives */
}
