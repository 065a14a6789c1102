/*
 * lockstep_lacks.c - what the mounted side has not: steps that need it become other ones, and what
 * it would show is not compared. Floor 4.
 */
#include "tests/mount/lockstep.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static unsigned lockstep_lacks;

static const char *const words[] = {
#define X(name) #name,
    LOCKSTEP_LACKS(X)
#undef X
};

int lockstep_lacks_parse(const char *text)
{
    while (*text != '\0') {
        size_t len = strcspn(text, ","), i = 0, count = sizeof(words) / sizeof(words[0]);
        while (i < count && (strncmp(words[i], text, len) != 0 || words[i][len] != '\0'))
            i++;
        if (i == count) return 0;
        lockstep_lacks |= 1u << i;
        text += len + (text[len] == ',');
    }
    return 1;
}

int lockstep_lacks_it(lockstep_lacks_e what)
{
    return (lockstep_lacks & 1u << what) != 0;
}

/* The one that is needed for each kind. */
static int is_left_out(lockstep_kind_e kind)
{
    static const struct {
        lockstep_kind_e kind;
        lockstep_lacks_e what;
    } rows[] = {{LOCKSTEP_link, LACKS_links},       {LOCKSTEP_mkfifo, LACKS_special},
                {LOCKSTEP_setxattr, LACKS_xattr},   {LOCKSTEP_getxattr, LACKS_xattr},
                {LOCKSTEP_listxattr, LACKS_xattr},  {LOCKSTEP_removexattr, LACKS_xattr},
                {LOCKSTEP_symlink, LACKS_symlinks}, {LOCKSTEP_chmod, LACKS_modes},
                {LOCKSTEP_fchmod, LACKS_modes},     {LOCKSTEP_chown, LACKS_modes},
                {LOCKSTEP_access, LACKS_modes},     {LOCKSTEP_utimens, LACKS_times},
                {LOCKSTEP_futimens, LACKS_times},   {LOCKSTEP_fallocate, LACKS_allocate}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (rows[i].kind == kind && lockstep_lacks_it(rows[i].what)) return 1;
    return 0;
}

void lockstep_without(step_t *step)
{
    if (is_left_out(step->kind)) step->kind = LOCKSTEP_lstat;
    if (lockstep_lacks_it(LACKS_users) || lockstep_lacks_it(LACKS_modes)) step->user = 0;
    if (lockstep_lacks_it(LACKS_modes)) step->mode = step->kind == LOCKSTEP_mkdir ? 0755 : 0644;
    if (lockstep_lacks_it(LACKS_setgid)) step->mode &= ~02000u;
    if (step->kind != LOCKSTEP_rename) return;
    if (lockstep_lacks_it(LACKS_exchange)) step->flags &= ~(unsigned)RENAME_EXCHANGE;
    if (lockstep_lacks_it(LACKS_noreplace)) step->flags &= ~(unsigned)RENAME_NOREPLACE;
}

void lockstep_let_go(side_t *side, const char *path)
{
    struct stat name, open;
    if (!lockstep_lacks_it(LACKS_unlinked) || lstat(path, &name) != 0) return;
    for (unsigned i = 0; i < LOCKSTEP_SLOTS; i++) {
        if (side->fd[i] < 0 || fstat(side->fd[i], &open) != 0) continue;
        if (open.st_ino != name.st_ino) continue;
        (void)close(side->fd[i]); /* `close` compares that */
        side->fd[i] = -1;
    }
}
