/*
 * port_linux_creds.c - acting as the caller's user, on one thread: file-system ids and groups.
 * Floor 2, Linux. setfsuid(2) also drops the file-system capabilities of root, and gives them back,
 * so that every check is the kernel's. The C library's setgroups would change all threads: hence
 * the raw call.
 */
#include "backends/local/port.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef SYS_setgroups32
#define RAW_SETGROUPS SYS_setgroups32
#else
#define RAW_SETGROUPS SYS_setgroups
#endif

#define CHANGED_UID 0x1
#define CHANGED_GID 0x2
#define CHANGED_GROUPS 0x4
#define GROUPS_MAX 65536u

_Static_assert(sizeof(gid_t) == sizeof(uint32_t), "groups are passed on as they are");

static apr_status_t save_groups(port_creds_t *creds)
{
    int count = getgroups(PORT_GROUPS_FEW, creds->few);
    if (count < 0 && errno == EINVAL) {
        count = getgroups(0, NULL);
        creds->groups = malloc(sizeof(*creds->groups) * (size_t)(count + 1));
        if (creds->groups == NULL) {
            creds->groups = creds->few;
            return APR_ENOMEM;
        }
        count = getgroups(count + 1, creds->groups);
    }
    if (count < 0) return port__status(errno);
    creds->count = count;
    return APR_SUCCESS;
}

static apr_status_t take_groups(const vfs_ctx_t *ctx, port_creds_t *creds)
{
    size_t count = ctx->groups != NULL ? ctx->ngroups : 0;
    if (count > GROUPS_MAX) return APR_EINVAL;
    apr_status_t status = save_groups(creds);
    if (status != APR_SUCCESS) return status;
    if (syscall(RAW_SETGROUPS, count, ctx->groups) != 0) return port__status(errno);
    creds->active |= CHANGED_GROUPS;
    return APR_SUCCESS;
}

/* setfsuid and setfsgid report no failure; asking for -1 tells what is in force. */
static apr_status_t take_gid(uint32_t gid, port_creds_t *creds)
{
    creds->active |= CHANGED_GID;
    (void)setfsgid(gid); /* its result is the old id; the next line is the check */
    return (uint32_t)setfsgid((gid_t)-1) == gid ? APR_SUCCESS : APR_FROM_OS_ERROR(EPERM);
}

static apr_status_t take_uid(uint32_t uid, port_creds_t *creds)
{
    creds->active |= CHANGED_UID;
    (void)setfsuid(uid); /* as above */
    return (uint32_t)setfsuid((uid_t)-1) == uid ? APR_SUCCESS : APR_FROM_OS_ERROR(EPERM);
}

apr_status_t port__creds_enter(const port_root_t *root, const vfs_ctx_t *ctx, port_creds_t *creds)
{
    creds->active = 0;
    creds->groups = creds->few;
    creds->as_uid = root->uid;
    if (ctx == NULL || (ctx->flags & VFS_CTX_CREDS) == 0) return APR_SUCCESS;
    if (!root->privileged) return ctx->uid == root->uid ? APR_SUCCESS : APR_EACCES;
    creds->uid = root->uid;
    creds->gid = root->gid;
    creds->as_uid = ctx->uid;
    apr_status_t status = APR_SUCCESS;
    /* Root passes every check that groups could help with. */
    if (ctx->uid != root->uid) status = take_groups(ctx, creds);
    if (status == APR_SUCCESS && (ctx->gid != root->gid || creds->active != 0)) {
        status = take_gid(ctx->gid, creds);
    }
    if (status == APR_SUCCESS && ctx->uid != root->uid) status = take_uid(ctx->uid, creds);
    if (status != APR_SUCCESS) port__creds_leave(creds);
    return status;
}

void port__creds_leave(port_creds_t *creds)
{
    if (creds->active & CHANGED_UID) {
        (void)setfsuid(creds->uid); /* the assertion below is the check */
        VFS_ASSERT((uint32_t)setfsuid((uid_t)-1) == creds->uid);
    }
    if (creds->active & CHANGED_GID) (void)setfsgid(creds->gid); /* cannot fail: it was ours */
    if (creds->active & CHANGED_GROUPS) {
        long failed = syscall(RAW_SETGROUPS, (size_t)creds->count, creds->groups);
        VFS_ASSERT(failed == 0);
    }
    if (creds->groups != creds->few) free(creds->groups);
    creds->active = 0;
}
