/*
 * lockstep.h - random steps by system calls in two directories at once: what the one answers, the
 * other has to answer. Floor 4.
 *
 * The one is on a mount, the other on the file system that lies below it, so nobody has to say what
 * Linux answers. Steps come from small sets of names, offsets and users, so that they meet.
 */
#ifndef TESTS_MOUNT_LOCKSTEP_H
#define TESTS_MOUNT_LOCKSTEP_H

#include <limits.h>
#include <stdint.h>
#include <sys/stat.h>

#include "tests/model/random.h"

#define LOCKSTEP_SLOTS 6u        /* descriptors that may be open at once */
#define LOCKSTEP_BYTES 400000u   /* that a step may read, and that a file may have */
#define LOCKSTEP_PATH 32u        /* of a path in a step */
#define LOCKSTEP_TEXT 8192u      /* of what a listing may be */
#define LOCKSTEP_OLD 1500000000l /* steps set times before that, the clock is behind it */

/* X(name, weight): every kind of step, and how often it comes */
#define LOCKSTEP_KINDS(X)                                                                          \
    X(open, 16)                                                                                    \
    X(reopen, 3)                                                                                   \
    X(close, 8)                                                                                    \
    X(pread, 16)                                                                                   \
    X(pwrite, 16)                                                                                  \
    X(read, 5)                                                                                     \
    X(write, 6)                                                                                    \
    X(lseek, 4)                                                                                    \
    X(mapread, 4)                                                                                  \
    X(mapwrite, 5)                                                                                 \
    X(ftruncate, 4)                                                                                \
    X(truncate, 3)                                                                                 \
    X(fallocate, 5)                                                                                \
    X(copyrange, 4)                                                                                \
    X(fsync, 2)                                                                                    \
    X(fstat, 5)                                                                                    \
    X(lstat, 5)                                                                                    \
    X(access, 1)                                                                                   \
    X(chmod, 2)                                                                                    \
    X(fchmod, 1)                                                                                   \
    X(chown, 1)                                                                                    \
    X(utimens, 3)                                                                                  \
    X(futimens, 1)                                                                                 \
    X(rename, 6)                                                                                   \
    X(link, 3)                                                                                     \
    X(symlink, 2)                                                                                  \
    X(readlink, 1)                                                                                 \
    X(unlink, 4)                                                                                   \
    X(mkdir, 4)                                                                                    \
    X(rmdir, 2)                                                                                    \
    X(mkfifo, 1)                                                                                   \
    X(readdir, 4)                                                                                  \
    X(setxattr, 3)                                                                                 \
    X(getxattr, 3)                                                                                 \
    X(listxattr, 1)                                                                                \
    X(removexattr, 1)

typedef enum lockstep_kind_e {
#define X(name, weight) LOCKSTEP_##name,
    LOCKSTEP_KINDS(X)
#undef X
        LOCKSTEP_KIND_COUNT
} lockstep_kind_e;

/* One step. Who does not use a field leaves it alone. */
typedef struct step_t {
    lockstep_kind_e kind;
    unsigned slot, slot2, user; /* user: 0, or one who has no rights */
    char path[LOCKSTEP_PATH], path2[LOCKSTEP_PATH];
    uint64_t off, off2, len, seed;
    unsigned flags, mode;
} step_t;

/* X(name): what the file system of the mounted side may not have */
#define LOCKSTEP_LACKS(X)                                                                          \
    X(links)                                                                                       \
    X(special)                                                                                     \
    X(xattr)                                                                                       \
    X(symlinks)                                                                                    \
    X(modes)       /* and owners */                                                                \
    X(users)       /* what another user makes is not his */                                        \
    X(setgid)      /* of a directory hands its group on */                                         \
    X(times)       /* that are set */                                                              \
    X(nanoseconds) /* of times */                                                                  \
    X(dirtimes)    /* of directories change with their names */                                    \
    X(exchange)                                                                                    \
    X(noreplace)                                                                                   \
    X(allocate)                                                                                    \
    X(reserving) /* fallocate of what is there already is a change */                              \
    X(types)     /* in listings: a bucket's may tell no file from a symbolic link */               \
    X(unlinked)  /* open files without a name */

typedef enum lockstep_lacks_e {
#define X(name) LACKS_##name,
    LOCKSTEP_LACKS(X)
#undef X
        LACKS_COUNT
} lockstep_lacks_e;

/* ---- lockstep_lacks.c */

/* Words of the list, divided by commas. 0: one is none of them. */
int lockstep_lacks_parse(const char *text);
int lockstep_lacks_it(lockstep_lacks_e what);
/* The step, or one like it that needs nothing of that. */
void lockstep_without(step_t *step);

/* ---- lockstep_steps.c */
step_t lockstep_random_step(model_rng_t *rng, int direct);
void lockstep_print(const step_t *step, char *line, size_t size);
int lockstep_parse(step_t *step, const char *line);

/* ---- lockstep_apply.c */

/* What a step answered. */
typedef struct outcome_t {
    long result;
    int error;
    size_t len; /* of the bytes in `buf` that it brought */
    unsigned char *buf;
    struct stat attr; /* st_mode is zero: it has none */
    char text[LOCKSTEP_TEXT];
} outcome_t;

/* One of the two directories. */
typedef struct side_t {
    const char *root;
    char base[1024]; /* of this sequence */
    int fd[LOCKSTEP_SLOTS];
    int direct[LOCKSTEP_SLOTS];
    outcome_t outcome;
} side_t;

/* The name goes: so do slots that have the file open, where it would go with it. */
void lockstep_let_go(side_t *side, const char *path);
/* 0: the slot is empty, or no file of bytes, and the step has no meaning. */
int lockstep_apply(side_t *side, const step_t *step);

/* ---- lockstep_compare.c; each says what differs, in `why` */

/* The attributes that have to be the same. */
int lockstep_same_attr(const struct stat *a, const struct stat *b, char *why, size_t size);
int lockstep_same_outcome(const outcome_t *a, const outcome_t *b, char *why, size_t size);
/* All that is in two directories. */
int lockstep_same_tree(const char *a, const char *b, char *why, size_t size);

#endif
