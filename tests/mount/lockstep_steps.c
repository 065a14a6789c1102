/*
 * lockstep_steps.c - random steps, and steps as lines of text. Floor 4.
 */
#include "tests/mount/lockstep.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static const char *const names[] = {
#define X(name, weight) #name,
    LOCKSTEP_KINDS(X)
#undef X
};

static const unsigned weights[] = {
#define X(name, weight) weight,
    LOCKSTEP_KINDS(X)
#undef X
};

#define PICK(rng, set) ((set)[model_random(rng, sizeof(set) / sizeof((set)[0]))])

static int one_in(model_rng_t *rng, uint64_t count)
{
    return model_random(rng, count) == 0;
}

static void random_path(model_rng_t *rng, char *path)
{
    static const char *const dirs[] = {"", "", "", "d/", "d/", "e/", "d/s/"};
    static const char *const whole[] = {"d", "e", "d/s", "e/s"};
    if (one_in(rng, 10))
        (void)snprintf(path, LOCKSTEP_PATH, "%s", PICK(rng, whole));
    else
        (void)snprintf(path, LOCKSTEP_PATH, "%s%c", PICK(rng, dirs),
                       (char)('a' + (int)model_random(rng, 5)));
}

static unsigned random_open(model_rng_t *rng, int direct)
{
    static const unsigned ways[] = {O_RDWR, O_RDWR, O_RDWR, O_RDONLY, O_RDONLY, O_WRONLY};
    unsigned flags = PICK(rng, ways) | O_NONBLOCK; /* a FIFO must not wait */
    if (one_in(rng, 2)) flags |= O_CREAT;
    if ((flags & O_CREAT) && one_in(rng, 5)) flags |= O_EXCL;
    if (one_in(rng, 10)) flags |= O_TRUNC;
    if (one_in(rng, 8)) flags |= O_APPEND;
    if (one_in(rng, 12)) flags |= O_NOFOLLOW;
    if (one_in(rng, 30)) flags |= O_DIRECTORY;
    if (one_in(rng, 15)) flags |= O_SYNC;
    if (direct && one_in(rng, 10)) flags = (flags & ~(unsigned)O_APPEND) | O_DIRECT;
    return flags;
}

static unsigned random_flags(model_rng_t *rng, lockstep_kind_e kind, int direct)
{
    static const unsigned allocs[] = {
        0, FALLOC_FL_KEEP_SIZE, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, FALLOC_FL_ZERO_RANGE,
        FALLOC_FL_KEEP_SIZE | FALLOC_FL_ZERO_RANGE};
    static const unsigned renames[] = {0, 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE};
    static const unsigned whences[] = {SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA, SEEK_HOLE};
    static const unsigned xattrs[] = {0, 0, 0, XATTR_CREATE, XATTR_REPLACE};
    switch (kind) {
    case LOCKSTEP_open:
    case LOCKSTEP_reopen:
        return random_open(rng, direct);
    case LOCKSTEP_fallocate:
        return PICK(rng, allocs);
    case LOCKSTEP_rename:
        return PICK(rng, renames);
    case LOCKSTEP_lseek:
        return PICK(rng, whences);
    case LOCKSTEP_setxattr:
        return PICK(rng, xattrs);
    default:
        return (unsigned)model_random(rng, 4);
    }
}

static lockstep_kind_e random_kind(model_rng_t *rng)
{
    uint64_t sum = 0;
    size_t kind = 0;
    for (size_t i = 0; i < LOCKSTEP_KIND_COUNT; i++)
        sum += weights[i];
    uint64_t at = model_random(rng, sum);
    while (at >= weights[kind])
        at -= weights[kind++];
    return (lockstep_kind_e)kind;
}

step_t lockstep_random_step(model_rng_t *rng, int direct)
{
    static const unsigned modes[] = {0644, 0666, 0600,  0640,  0444, 0755,
                                     0777, 0700, 02775, 04755, 01777};
    step_t step;
    memset(&step, 0, sizeof(step));
    step.kind = random_kind(rng);
    step.slot = (unsigned)model_random(rng, LOCKSTEP_SLOTS);
    step.slot2 = (unsigned)model_random(rng, LOCKSTEP_SLOTS);
    step.user = one_in(rng, 6) ? 1234 + (unsigned)model_random(rng, 2) : 0;
    random_path(rng, step.path);
    random_path(rng, step.path2);
    step.off = model_random_off(rng);
    step.off2 = model_random_off(rng);
    step.len = model_random_len(rng);
    step.seed = model_random(rng, 1000000) + 1;
    step.flags = random_flags(rng, step.kind, direct);
    step.mode = PICK(rng, modes);
    if (step.kind == LOCKSTEP_mkdir || step.kind == LOCKSTEP_readdir) {
        static const char *const dirs[] = {"d", "e", "d/s", "e/s"};
        (void)snprintf(step.path, sizeof(step.path), "%s", PICK(rng, dirs));
    }
    return step;
}

void lockstep_print(const step_t *step, char *line, size_t size)
{
    (void)snprintf(line, size,
                   "%s %u %u %u %s %s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " 0x%x 0%o",
                   names[step->kind], step->slot, step->slot2, step->user, step->path, step->path2,
                   step->off, step->off2, step->len, step->seed, step->flags, step->mode);
}

int lockstep_parse(step_t *step, const char *line)
{
    char kind[32];
    memset(step, 0, sizeof(*step));
    int fields = sscanf(
        line, "%31s %u %u %u %31s %31s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " 0x%x 0%o",
        kind, &step->slot, &step->slot2, &step->user, step->path, step->path2, &step->off,
        &step->off2, &step->len, &step->seed, &step->flags, &step->mode);
    if (fields != 12 || step->slot >= LOCKSTEP_SLOTS || step->slot2 >= LOCKSTEP_SLOTS) return 0;
    for (size_t i = 0; i < LOCKSTEP_KIND_COUNT; i++) {
        if (strcmp(kind, names[i]) != 0) continue;
        step->kind = (lockstep_kind_e)i;
        return 1;
    }
    return 0;
}
