/*
 * test_keeper.c - a test that dies leaves no mount, no program and no directory behind.
 */
#include "tests/mount/support_rig.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Each way of having a mount that the rig knows, a tmpfs in one of them, and programs that wait for
 * an origin that hangs, with bytes that it never takes. */
static void mess(const rig_t *rig)
{
    char text[3000];
    (void)snprintf(
        text, sizeof(text),
        "echo x >origin/f; cp origin/f origin/g; mkdir two three small; mount -t tmpfs none small\n"
        "\"$CACHEFS\" mount mem: two; mkdir two/in; mount -t tmpfs none two/in\n"
        "M=$PWD/three; serve \"sick:block:$O\" $M --plugin '%s' --mode back --set "
        "flush_on_close=off\n"
        "sleep 1000 <two/in & cat three/f & echo y >>three/g &",
        getenv("CACHEFS_PLUGIN_SICK"));
    rig_sh_beside(rig, text);
}

static size_t lines_with(const char *command, const char *dir)
{
    char line[4096];
    size_t count = 0;
    FILE *out = popen(command, "r");
    cr_assert_not_null(out);
    while (fgets(line, sizeof(line), out) != NULL)
        count += strstr(line, dir) != NULL;
    (void)pclose(out);
    return count;
}

static size_t left(const char *dir)
{
    return lines_with("cat /proc/mounts", dir) + lines_with("ls -d /tmp/cachefs-mount-*", dir) +
           lines_with("cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' ' | tr -s '\\n'", dir);
}

/* By a signal, or as a test that fails. */
static void dies_by(int how)
{
    static const struct timespec nap = {0, 50000000};
    char dir[64] = "", nothing;
    int told[2], go[2], status = 0;
    cr_assert(pipe(told) == 0 && pipe(go) == 0);
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        rig_t rig;
        (void)close(go[1]);
        rig_make(&rig);
        rig_mount(&rig, "file:", "--mode back");
        mess(&rig);
        if (write(told[1], rig.dir, sizeof(dir)) != sizeof(dir)) _exit(1);
        (void)read(go[0], &nothing, 1); /* its end */
        if (how != 0) (void)kill(getpid(), how);
        _exit(1);
    }
    (void)close(told[1]);
    (void)close(go[0]);
    cr_assert_eq(read(told[0], dir, sizeof(dir)), sizeof(dir));
    cr_assert_gt(strlen(dir), strlen("/tmp/cachefs-mount-"));
    cr_assert_geq(left(dir), 5 + 1 + 1); /* mounts, its directory, programs in a line or more */
    (void)close(go[1]);
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    for (int i = 0; i < 1200 && left(dir) > 0; i++)
        (void)nanosleep(&nap, NULL);
    cr_assert_eq(left(dir), 0, "%s", dir);
    (void)close(told[0]);
}

Test(mount_keeper, a_test_that_fails_leaves_nothing_behind)
{
    cr_assert_not_null(getenv("CACHEFS_PLUGIN_SICK"));
    dies_by(0);
}

Test(mount_keeper, a_test_that_is_killed_leaves_nothing_behind)
{
    cr_assert_not_null(getenv("CACHEFS_PLUGIN_SICK"));
    dies_by(SIGKILL);
}
