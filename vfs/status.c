/*
 * status.c - status codes as text and as errno, and what a broken assertion does.
 * Floor 1. Knows no file system.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vfs/vfs_ops.h"

#define VFS__STR2(x) #x
#define VFS__STR(x) VFS__STR2(x)

static const struct code_t {
    apr_status_t status;
    int os_errno;
    const char *name;
    const char *text;
} codes[] = {
    {VFS_ECHECKSUM, EIO, "VFS_ECHECKSUM", "Stored bytes do not match their checksum"},
    {VFS_EOFFLINE, EHOSTUNREACH, "VFS_EOFFLINE", "The backend cannot be reached"},
    {VFS_ESTALE, ESTALE, "VFS_ESTALE", "The file changed during the call, or is gone"},
    {VFS_EDIRTY, EBUSY, "VFS_EDIRTY", "Dirty data is left"},
    {VFS_ELIMIT, ENOBUFS, "VFS_ELIMIT", "A limit of the instance is reached"},
    {VFS_EABI, ENOEXEC, "VFS_EABI", "Built against another ABI version"},
    {VFS_ECANCELED, ECANCELED, "VFS_ECANCELED", "The call was cancelled"},
    {VFS_ECONFLICT, EBUSY, "VFS_ECONFLICT", "The file is not in the state that was demanded"},
    {VFS_EFORMAT, EBADMSG, "VFS_EFORMAT", "Data is not in the expected format"},
};

/* What APR says in its own numbers; everything else of APR has no errno. */
static const struct {
    apr_status_t status;
    int os_errno;
} apr_codes[] = {
    {APR_ENOTIMPL, EOPNOTSUPP},  {APR_TIMEUP, ETIMEDOUT}, {APR_EBUSY, EBUSY},
    {APR_INCOMPLETE, EAGAIN},    {APR_ENOPOOL, ENOMEM},   {APR_EDSOOPEN, ENOEXEC},
    {APR_ESYMNOTFOUND, ENOEXEC}, {APR_ENODIR, ENOENT},    {APR_EBADPATH, EINVAL},
    {APR_EABOVEROOT, EACCES},    {APR_ERELATIVE, EINVAL}, {APR_EABSOLUTE, EINVAL},
    {APR_BADARG, EINVAL},        {APR_BADCH, EINVAL},     {APR_EMISMATCH, EPERM},
    {APR_NOTFOUND, ENOENT},
};

/* APR's sentence on it, where that is about something else. */
static const char *sentence(apr_status_t status)
{
    switch (status) {
    case APR_NOTFOUND: /* "Could not find specified socket in poll list." */
        return "There is no such thing here";
    case APR_ENOTIMPL: /* "This function has not been implemented on this platform" */
        return "This file system cannot do that";
    default:
        return NULL;
    }
}

static const struct code_t *find_code(apr_status_t status)
{
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        if (codes[i].status == status) return &codes[i];
    }
    return NULL;
}

char *vfs_strerror(apr_status_t status, char *buf, size_t size)
{
    VFS_ASSERT(buf != NULL || size == 0);
    if (size == 0) return buf;
    const struct code_t *code = find_code(status);
    const char *text = code != NULL ? code->text : sentence(status);
    if (text != NULL)
        (void)snprintf(buf, size, "%s", text); /* cut where the caller's buffer ends */
    else
        (void)apr_strerror(status, buf, size);
    return buf;
}

const char *vfs_status_name(apr_status_t status)
{
    const struct code_t *code = find_code(status);
    return code != NULL ? code->name : NULL;
}

int vfs_status_errno(apr_status_t status)
{
    if (status == APR_SUCCESS) return 0;
    const struct code_t *code = find_code(status);
    if (code != NULL) return code->os_errno;
    for (size_t i = 0; i < sizeof(apr_codes) / sizeof(apr_codes[0]); i++) {
        if (apr_codes[i].status == status) return apr_codes[i].os_errno;
    }
    int os_errno = APR_TO_OS_ERROR(status);
    return os_errno > 0 && os_errno < APR_OS_START_ERROR ? os_errno : EIO;
}

const char *vfs_version(void)
{
    return VFS__STR(VFS_VERSION_MAJOR) "." VFS__STR(VFS_VERSION_MINOR) "." VFS__STR(
        VFS_VERSION_PATCH);
}

void vfs_assert_failed(const char *what, const char *file, int line, const char *func)
{
    (void)fprintf(stderr, "%s:%d: %s: assertion failed: %s\n", file, line, func, what);
    abort();
}
