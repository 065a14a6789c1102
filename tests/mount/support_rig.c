/*
 * support_rig.c - see support_rig.h. The program runs in front, as a child that gets SIGTERM if the
 * test dies; what that leaves the keeper takes away (support_keeper.h).
 */
#include "tests/mount/support_rig.h"

#include "tests/mount/support_keeper.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HANG_S 300
#define TURN_MS 10
#define ARGS_MAX 64

static const char *program(void)
{
    const char *path = getenv("CACHEFS_PROGRAM");
    cr_assert_not_null(path, "CACHEFS_PROGRAM says where the program is: run this by ctest");
    return path;
}

static void pause_ms(long ms)
{
    struct timespec time = {0, ms * 1000000};
    (void)nanosleep(&time, NULL); /* waking up early is fine */
}

/* ---- running */

/* The exit code of a child, or -1 if it hangs. */
static int await(pid_t pid)
{
    int status = 0;
    for (long turns = HANG_S * 1000L / TURN_MS; turns > 0; turns--) {
        pid_t ended = waitpid(pid, &status, WNOHANG);
        if (ended == pid) return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        cr_assert(ended == 0, "waitpid: %s", strerror(errno));
        pause_ms(TURN_MS);
    }
    return -1;
}

static void in_child(const rig_t *rig, const char *dir, int out)
{
    char tmp[80];
    (void)snprintf(tmp, sizeof(tmp), "%s/tmp", rig->dir);
    (void)setpgid(0, 0); /* so that all that a script began ends with it */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (chdir(dir) != 0) _exit(126);
    (void)dup2(out, STDOUT_FILENO);
    (void)dup2(out, STDERR_FILENO);
    (void)setenv("M", rig->mnt, 1);
    (void)setenv("O", rig->origin, 1);
    (void)setenv("T", tmp, 1);
    (void)setenv("HOME", tmp, 1);
    (void)setenv("CACHEFS", program(), 1);
    (void)unsetenv("LD_PRELOAD");
}

static char *read_all(FILE *file)
{
    static char text[20001];
    rewind(file);
    size_t len = fread(text, 1, sizeof(text) - 1, file);
    text[len] = '\0';
    return text;
}

/* `serve ORIGIN ...` mounts in front, as $server, and returns when it is there; who ends before
 * that is told. `no CODE COMMAND...` expects that exit code; what was said is in tmp/said. */
static const char prelude[] =
    "serve() { \"$CACHEFS\" mount \"$@\" -f & server=$!\n"
    "while ! grep -q \" $M \" /proc/mounts; do\n"
    "case \"$(cat /proc/$server/stat)\" in *') Z '*|'') echo \"it ended: cachefs mount $*\"; exit "
    "1;; esac\n"
    "sleep 0.05; done; }\n"
    "below() { if test -n \"${DIRECT:-}\"; then \"$CACHEFS\" cat \"$DIRECT\" \"$1\"; else cat "
    "\"$O/$1\"; fi; }\n"
    "no() { code=$1; shift; set +e; \"$@\" >tmp/said 2>&1; got=$?; set -e\n"
    "cat tmp/said; test $got = $code; }\n";

static void run(const rig_t *rig, const char *dir, const char *body)
{
    char script[8192];
    FILE *out = tmpfile();
    cr_assert_not_null(out);
    int len = snprintf(script, sizeof(script), "%s%s", prelude, body);
    cr_assert(len > 0 && (size_t)len < sizeof(script));
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        in_child(rig, dir, fileno(out));
        (void)execl("/bin/sh", "sh", "-e", "-u", "-c", script, (char *)NULL);
        _exit(127);
    }
    int code = await(pid);
    if (code < 0) (void)kill(-pid, SIGKILL);
    cr_assert(code == 0, "%s\nends with %d; it wrote:\n%s", body, code, read_all(out));
    (void)fclose(out);
}

void rig_sh(const rig_t *rig, const char *script)
{
    run(rig, rig->mnt, script);
}

void rig_sh_beside(const rig_t *rig, const char *script)
{
    run(rig, rig->dir, script);
}

/* ---- mounting */

static int is_mounted(const char *point)
{
    FILE *mounts = setmntent("/proc/self/mounts", "r");
    struct mntent *entry;
    int found = 0;
    cr_assert_not_null(mounts);
    while ((entry = getmntent(mounts)) != NULL)
        found |= strcmp(entry->mnt_dir, point) == 0;
    (void)endmntent(mounts);
    return found;
}

void rig_make(rig_t *rig)
{
    char sub[80];
    memset(rig, 0, sizeof(*rig));
    (void)program(); /* its children could not say that it is missing */
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    cr_assert(fd >= 0,
              "/dev/fuse: %s. The tests of the mount need it: load the module fuse, or run the "
              "container with --device /dev/fuse --cap-add SYS_ADMIN, as root.",
              strerror(errno));
    (void)close(fd);
    (void)strcpy(rig->dir, "/tmp/cachefs-mount-XXXXXX");
    cr_assert_not_null(mkdtemp(rig->dir));
    cr_assert(keeper_start(rig->dir), "no process that tidies up after the test");
    cr_assert(chmod(rig->dir, 0755) == 0); /* another user comes in too */
    (void)snprintf(rig->origin, sizeof(rig->origin), "%s/origin", rig->dir);
    (void)snprintf(rig->mnt, sizeof(rig->mnt), "%s/mnt", rig->dir);
    (void)snprintf(sub, sizeof(sub), "%s/tmp", rig->dir);
    cr_assert(mkdir(rig->origin, 0755) == 0 && mkdir(rig->mnt, 0755) == 0 && mkdir(sub, 0777) == 0);
}

static void start(rig_t *rig, const char *uri, const char *args)
{
    char words[1024] = "";
    char *argv[ARGS_MAX] = {(char *)"cachefs", (char *)"mount", (char *)uri, rig->mnt,
                            (char *)"--foreground"};
    int argc = 5;
    char *rest = NULL;
    if (args != NULL) (void)snprintf(words, sizeof(words), "%s", args);
    for (char *word = strtok_r(words, " ", &rest); word != NULL && argc + 1 < ARGS_MAX;
         word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    rig->pid = fork();
    cr_assert(rig->pid >= 0);
    if (rig->pid > 0) return;
    (void)setpgid(0, 0); /* who ends the test with its group leaves it the time for its end */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    (void)unsetenv("LD_PRELOAD");
    (void)execv(program(), argv);
    _exit(127);
}

void rig_mount(rig_t *rig, const char *origin, const char *args)
{
    char uri[96];
    int status = 0;
    (void)snprintf(uri, sizeof(uri), "file://%s", rig->origin);
    start(rig, strcmp(origin, "file:") == 0 ? uri : origin, args);
    for (long turns = HANG_S * 1000L / TURN_MS; !is_mounted(rig->mnt); turns--) {
        pid_t ended = waitpid(rig->pid, &status, WNOHANG);
        if (ended != 0) rig->pid = 0;
        cr_assert(ended == 0, "the mount of %s ended with status %d before it was there", origin,
                  status);
        cr_assert(turns > 0, "the mount of %s never came", origin);
        pause_ms(TURN_MS);
    }
}

void rig_unmount(rig_t *rig)
{
    rig_sh_beside(rig, "\"$CACHEFS\" unmount \"$M\" --timeout 60s");
    int code = await(rig->pid);
    cr_assert(code == 0, "the program of the mount ended with %d", code);
    rig->pid = 0;
    cr_assert(!is_mounted(rig->mnt));
}

void rig_end(rig_t *rig)
{
    if (rig->pid != 0) rig_unmount(rig);
    rig_sh_beside(rig, "cd / && rm -rf --one-file-system \"${M%/mnt}\"");
}

/* ---- everywhere */

void rig_everywhere(void (*body)(rig_t *rig))
{
    static const char *const origins[] = {"mem:", "file:"};
    static const char *const modes[] = {"--mode through", "--mode back", "--mode around",
                                        "--mode back --delay 200us"};
    for (size_t o = 0; o < sizeof(origins) / sizeof(origins[0]); o++) {
        for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
            rig_t rig;
            rig_make(&rig);
            rig_mount(&rig, origins[o], modes[i]);
            body(&rig);
            rig_end(&rig);
        }
    }
}
