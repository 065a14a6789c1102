/*
 * wait.h - waiting on a condition for no longer than a context allows.
 * Floor 1, shared.
 */
#ifndef VFS_WAIT_H
#define VFS_WAIT_H

#include <pthread.h>

#include "vfs/vfs.h"

/** Wait once on `cond` (of the default clock), with `mutex` held.
 *  @return APR_SUCCESS (woken, or for no reason: look at the condition again); APR_TIMEUP;
 *          VFS_ECANCELED, at most VFS__CANCEL_POLL_US after the flag was raised.
 *  Threads: any. Blocks: yes. Owns: nothing. */
apr_status_t vfs__cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex, const vfs_ctx_t *ctx);

/** How often a wait looks at the cancel flag: raising it may happen in a signal handler, which
 * cannot signal a condition. */
#define VFS__CANCEL_POLL_US 10000

#endif
