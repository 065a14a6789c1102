/*
 * refuse.h - an op for each call that changes something, which answers EROFS. Floor 1, shared by
 * layers and backends through which nothing can be changed.
 *
 * The class of an op in vfs_ops.def decides. The functions are static and not inline, so the
 * compiler names one that a table has forgotten, as a new op would be.
 */
#ifndef VFS_REFUSE_H
#define VFS_REFUSE_H

#include <errno.h>

#include "vfs/vfs_ops.h"

#define VFS__REFUSED APR_FROM_OS_ERROR(EROFS)

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-parameter" /* a refusal looks at nothing */
#define VFS__REFUSE(type, name, params)                                                            \
    static apr_status_t vfs__refuse_##name(type, VFS_UNPACK params)                                \
    {                                                                                              \
        return VFS__REFUSED;                                                                       \
    }
#define VFS__LET_PASS(type, name, params)
#define VFS__REFUSE_CHANGE VFS__REFUSE
#define VFS__REFUSE_WRITE VFS__REFUSE
#define VFS__REFUSE_READ VFS__LET_PASS
#define VFS__REFUSE_META VFS__LET_PASS
#define VFS__REFUSE_SYNC VFS__LET_PASS
#define VFS__REFUSE_HANDLE VFS__LET_PASS
#define VFS_OP_FS(name, class, params, args, doc) VFS__REFUSE_##class(vfs_t * fs, name, params)
#define VFS_OP_FILE(name, class, params, args, doc)                                                \
    VFS__REFUSE_##class(vfs_file_t * file, name, params)
#include "vfs/vfs_ops.def"
#pragma GCC diagnostic pop

#endif
