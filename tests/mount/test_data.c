/*
 * test_data.c - bytes on a mount: appends, holes, mapped memory, attributes, locks.
 * tier: medium
 */
#include "tests/mount/support_rig.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static int open_in(const rig_t *rig, const char *name, int flags)
{
    char path[160];
    (void)snprintf(path, sizeof(path), "%s/%s", rig->mnt, name);
    int fd = open(path, flags | O_CLOEXEC, 0644);
    cr_assert(fd >= 0, "%s: %s", path, strerror(errno));
    return fd;
}

static void holes(rig_t *rig)
{
    rig_sh(
        rig,
        "head -c 1000000 /dev/urandom >$T/r && cp $T/r f && cmp $T/r f\n"
        "fallocate -p -o 65536 -l 131072 f && fallocate -p -o 65536 -l 131072 $T/r && cmp $T/r f\n"
        "truncate -s 10 f && truncate -s 5000000 f && test \"$(stat -c %s f)\" = 5000000\n"
        "test \"$(tail -c +11 f | tr -d '\\0' | wc -c)\" = 0\n"
        "cp --sparse=always f g && cmp f g\n"
        "dd if=$T/r of=f bs=4096 seek=100 count=3 conv=notrunc 2>$T/err\n"
        "dd if=f bs=4096 skip=100 count=3 2>$T/err | cmp - $T/r -n 12288\n"
        "perl -e 'open F, q(<), q(f) or die; for my $how (3, 4) { defined sysseek(F, -1, $how) and "
        "die; $!{ENXIO} or die $! }'\n"
        "truncate -s 1T big && echo end >>big && test \"$(tail -c 4 big)\" = end");
}
Test(mount_data, holes_cuts_and_zeros_read_as_they_were_made)
{
    rig_everywhere(holes);
}

static void append_lines(const rig_t *rig, char sign)
{
    char line[64];
    memset(line, sign, sizeof(line));
    line[63] = '\n';
    int fd = open_in(rig, "log", O_WRONLY | O_APPEND | O_CREAT);
    for (int i = 0; i < 500; i++)
        if (write(fd, line, sizeof(line)) != (ssize_t)sizeof(line)) _exit(1);
    _exit(close(fd) == 0 ? 0 : 1);
}

static void appends(rig_t *rig)
{
    int status = 0;
    pid_t pids[4];
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        cr_assert(pids[i] >= 0);
        if (pids[i] == 0) append_lines(rig, (char)('a' + i));
    }
    for (int i = 0; i < 4; i++)
        cr_assert(waitpid(pids[i], &status, 0) == pids[i] && status == 0);
    rig_sh(rig, "test \"$(wc -l <log)\" = 2000 && for c in a b c d; do\n"
                "test \"$(grep -cE \"^$c{63}\\$\" log)\" = 500; done");
}
Test(mount_data, appends_of_several_programs_do_not_mix)
{
    rig_everywhere(appends);
}

static void mapped(rig_t *rig)
{
    char bytes[8] = "";
    int fd = open_in(rig, "f", O_RDWR | O_CREAT | O_TRUNC);
    cr_assert(ftruncate(fd, 3 * 4096) == 0);
    char *map = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    cr_assert(map != MAP_FAILED);
    memcpy(map + 4096, "mapped", 7);
    cr_assert(msync(map, 3 * 4096, MS_SYNC) == 0);
    cr_assert(pread(fd, bytes, 7, 4096) == 7 && strcmp(bytes, "mapped") == 0);
    cr_assert(pwrite(fd, "written", 8, 100) == 8);
    cr_assert(strcmp(map + 100, "written") == 0);
    memcpy(map + 8192, "later", 6);
    cr_assert(munmap(map, 3 * 4096) == 0 && fsync(fd) == 0 && close(fd) == 0);
    rig_sh(rig, "test \"$(dd if=f bs=4096 skip=2 count=1 2>/dev/null | tr -d '\\0')\" = later\n"
                "dd if=f of=g iflag=direct oflag=direct bs=4096 2>$T/err && cmp f g");
}
Test(mount_data, shared_mappings_and_calls_see_each_other)
{
    rig_everywhere(mapped);
}

static void attributes(rig_t *rig)
{
    rig_sh(rig,
           "touch f && touch -d '2001-02-03 04:05:06.123456789 UTC' f\n"
           "test \"$(TZ=UTC stat -c %y f)\" = '2001-02-03 04:05:06.123456789 +0000'\n"
           "a=$(stat -c %x f) && touch -m f && test \"$(stat -c %x f)\" = \"$a\"\n"
           "setfattr -n user.k -v v1 f && test \"$(getfattr --only-values -n user.k f)\" = v1\n"
           "setfattr -n user.k2 -v v2 f && test \"$(getfattr f | grep -c ^user)\" = 2\n"
           "setfattr -x user.k f && test \"$(getfattr f | grep -c ^user)\" = 1\n"
           "cp -a f g && test \"$(getfattr --only-values -n user.k2 g)\" = v2\n"
           "df . >$T/df && stat -f . >$T/df");
}
Test(mount_data, times_and_extended_attributes_are_kept)
{
    rig_everywhere(attributes);
}

static struct flock range(short type, off_t start, off_t len)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len};
    return lock;
}

/* A child that locks, says so, and keeps it until it is told to end. */
static pid_t locker(const rig_t *rig, int whole)
{
    int ends[2];
    char sign;
    cr_assert(pipe(ends) == 0);
    pid_t pid = fork();
    cr_assert(pid >= 0);
    if (pid == 0) {
        struct flock lock = range(F_WRLCK, 0, 100);
        int fd = open_in(rig, "f", O_RDWR);
        if (whole ? flock(fd, LOCK_EX) : fcntl(fd, F_SETLK, &lock)) _exit(1);
        if (write(ends[1], "+", 1) != 1) _exit(1);
        (void)pause();
        _exit(0);
    }
    (void)close(ends[1]);
    cr_assert(read(ends[0], &sign, 1) == 1, "the child has no lock");
    (void)close(ends[0]);
    return pid;
}

static void locks(rig_t *rig)
{
    int status;
    int fd = open_in(rig, "f", O_RDWR | O_CREAT);
    pid_t pid = locker(rig, 0);
    struct flock lock = range(F_WRLCK, 50, 10);
    cr_assert(fcntl(fd, F_SETLK, &lock) != 0 && (errno == EAGAIN || errno == EACCES));
    lock = range(F_RDLCK, 99, 1);
    cr_assert(fcntl(fd, F_GETLK, &lock) == 0 && lock.l_type == F_WRLCK);
    lock = range(F_WRLCK, 100, 10);
    cr_assert(fcntl(fd, F_SETLK, &lock) == 0);
    cr_assert(kill(pid, SIGKILL) == 0); /* its locks end with it; we wait for that */
    lock = range(F_WRLCK, 0, 0);
    cr_assert(fcntl(fd, F_SETLKW, &lock) == 0);
    cr_assert(waitpid(pid, &status, 0) == pid);
    lock = range(F_UNLCK, 0, 0);
    cr_assert(fcntl(fd, F_SETLK, &lock) == 0);
    pid = locker(rig, 1);
    cr_assert(flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK);
    cr_assert(kill(pid, SIGKILL) == 0);
    cr_assert(flock(fd, LOCK_EX) == 0);
    cr_assert(waitpid(pid, &status, 0) == pid);
    cr_assert(close(fd) == 0);
}
Test(mount_data, locks_hold_and_who_waits_gets_them)
{
    rig_everywhere(locks);
}

/* As programs do that leave no file behind: the name goes before the first lock. */
static void nameless_locks(rig_t *rig)
{
    struct flock lock = range(F_WRLCK, 0, 10);
    int fd = open_in(rig, "f", O_RDWR | O_CREAT), other = open_in(rig, "f", O_RDWR), status;
    rig_sh(rig, "rm f");
    cr_assert(fcntl(fd, F_OFD_SETLK, &lock) == 0, "%s", strerror(errno));
    cr_assert(fcntl(other, F_OFD_SETLK, &lock) != 0 && errno == EAGAIN);
    cr_assert(flock(other, LOCK_EX | LOCK_NB) == 0, "%s", strerror(errno));
    cr_assert(flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK);
    pid_t pid = fork();
    if (pid == 0) { /* another owner, on the same handle */
        lock = range(F_WRLCK, 20, 10);
        int free = fcntl(fd, F_SETLK, &lock) == 0;
        lock = range(F_WRLCK, 5, 10);
        _exit(free && fcntl(fd, F_SETLK, &lock) != 0 && errno == EAGAIN ? 0 : 1);
    }
    cr_assert(waitpid(pid, &status, 0) == pid && status == 0);
    cr_assert(close(fd) == 0);
    lock = range(F_WRLCK, 0, 0);
    cr_assert(fcntl(other, F_OFD_SETLKW, &lock) == 0, "%s",
              strerror(errno)); /* they went with it */
    cr_assert(close(other) == 0);
}
Test(mount_data, a_file_without_a_name_can_be_locked)
{
    rig_everywhere(nameless_locks);
}
