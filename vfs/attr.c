/*
 * attr.c - validators made from attributes and tags, and the permission check.
 * Floor 1. Knows no file system.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vfs/digest.h"
#include "vfs/internal.h"

#define GROUPS_ON_STACK 64

int vfs_validator_equal(const vfs_validator_t *a, const vfs_validator_t *b)
{
    if (a->kind == VFS_VALIDATOR_NONE || a->kind != b->kind || a->len != b->len) return 0;
    VFS_ASSERT(a->len <= VFS_VALIDATOR_BYTES);
    return memcmp(a->data, b->data, a->len) == 0;
}

/* Is the time so near to now, or behind it, that a later change may carry the same one? */
static int is_young(int64_t time_ns, int64_t now_ns, uint64_t granularity_ns)
{
    if (time_ns >= now_ns) return 1;
    return (uint64_t)now_ns - (uint64_t)time_ns <= granularity_ns;
}

void vfs_validator_from_attr(vfs_validator_t *out, const vfs_attr_t *attr, int64_t now_ns,
                             uint64_t granularity_ns)
{
    uint64_t words[5] = {(uint64_t)attr->ctime_ns, (uint64_t)attr->mtime_ns, attr->size, attr->dev,
                         attr->ino};
    memset(out, 0, sizeof(*out));
    out->kind = VFS_VALIDATOR_TIMES;
    out->len = sizeof(words);
    memcpy(out->data, words, sizeof(words));
    if (is_young(attr->mtime_ns, now_ns, granularity_ns) ||
        is_young(attr->ctime_ns, now_ns, granularity_ns))
        out->flags = VFS_VALIDATOR_YOUNG;
}

void vfs_validator_from_tag(vfs_validator_t *out, vfs_validator_e kind, const void *tag, size_t len)
{
    memset(out, 0, sizeof(*out));
    if (len == 0) return;
    if (len <= VFS_VALIDATOR_BYTES) {
        out->kind = (uint8_t)kind;
        out->len = (uint8_t)len;
        memcpy(out->data, tag, len);
        return;
    }
    out->kind = VFS_VALIDATOR_DIGEST;
    out->len = VFS__DIGEST_BYTES + 1;
    vfs__digest(out->data, tag, len);
    out->data[VFS__DIGEST_BYTES] = (uint8_t)kind; /* a tag and a version id are never equal */
}

/* Is the process a member of the group? */
static int process_in_group(uint32_t gid)
{
    if (getegid() == (gid_t)gid) return 1;
    gid_t on_stack[GROUPS_ON_STACK];
    gid_t *groups = on_stack;
    int count = getgroups(0, NULL);
    if (count > GROUPS_ON_STACK) groups = malloc((size_t)count * sizeof(*groups));
    if (count <= 0 || groups == NULL) return 0;
    count = getgroups(count, groups);
    int found = 0;
    for (int i = 0; i < count && !found; i++)
        found = groups[i] == (gid_t)gid;
    if (groups != on_stack) free(groups);
    return found;
}

static int in_group(const vfs_ctx_t *ctx, uint32_t gid)
{
    if (ctx == NULL || !(ctx->flags & VFS_CTX_CREDS)) return process_in_group(gid);
    if (ctx->gid == gid) return 1;
    for (size_t i = 0; ctx->groups != NULL && i < ctx->ngroups; i++) {
        if (ctx->groups[i] == gid) return 1;
    }
    return 0;
}

apr_status_t vfs_attr_access(const vfs_attr_t *attr, const vfs_ctx_t *ctx, uint32_t mask)
{
    /* what is granted to all classes needs no look at who asks, which can be a system call */
    if ((mask & ~(attr->mode & attr->mode >> 3 & attr->mode >> 6) & 07u) == 0) return APR_SUCCESS;
    int given = ctx != NULL && (ctx->flags & VFS_CTX_CREDS) != 0;
    uint32_t uid = given ? ctx->uid : (uint32_t)geteuid();
    uint32_t allowed;
    if (uid == 0) {
        allowed = VFS_ACCESS_READ | VFS_ACCESS_WRITE;
        if (attr->type == VFS_TYPE_DIR || (attr->mode & 0111u)) allowed |= VFS_ACCESS_EXEC;
    } else if (uid == attr->uid) {
        allowed = attr->mode >> 6;
    } else if (in_group(ctx, attr->gid)) {
        allowed = attr->mode >> 3;
    } else {
        allowed = attr->mode;
    }
    return (mask & ~allowed & 07u) == 0 ? APR_SUCCESS : APR_EACCES;
}
