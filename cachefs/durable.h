/*
 * durable.h - the engine and its journal: what makes a write durable before it is below.
 * Floor 2, private to cachefs/. Part of engine.h; without a journal all of it does nothing.
 */
#ifndef CACHEFS_DURABLE_H
#define CACHEFS_DURABLE_H

/* The journal of the store, if there is one: what is in it goes below first. In write-back it is
 * used from then on.
 *  @return APR_SUCCESS; what the journal, the store or the lower layer says, with a sentence */
apr_status_t cachefs__durable_start(cache_t *c, char *err, size_t errlen);
/* The same with a directory of the caller's, in write-back only. Before the first call of anybody.
 */
apr_status_t cachefs__durable_attach(cache_t *c, const cachefs__joptions_t *options, char *err,
                                     size_t errlen);
/* The end: what is flushed is retired, and if that is all the journal is empty. Nobody else is in a
 * call.
 *  @return APR_SUCCESS; why the journal, which died, is not void */
apr_status_t cachefs__durable_detach(cache_t *c);
apr_status_t cachefs__durable_metrics(cache_t *c);
/* The journal's part of it. */
void cachefs__durable_stats(cache_t *c, cachefs_stats_t *out);
/* Bytes of dirty data that the journal does not have. */
uint64_t cachefs__durable_unrecorded(cache_t *c);
/* The same after what it has was made durable: it is there for the next start. */
uint64_t cachefs__durable_keep(cache_t *c);

/* A call is about to look at a path (`look`), or to list or change it: the recovery is over, or has
 * nothing to do with it. May be called with a claim, and by whoever has passed it before.
 *  @return APR_SUCCESS; VFS_EOFFLINE (it failed, and is tried again); APR_TIMEUP, VFS_ECANCELED */
apr_status_t cachefs__recovered(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *path, int look);
/* Nobody waits for it any more. */
void cachefs__recovery_stop(cache_t *c);
/* How long the start waits for it; another one in tests. */
extern uint64_t cachefs__recovery_patience_us;

/* Changes of names begin again: the journal died. */
#define DURABLE_AGAIN (VFS_EEND + 67)

/* So many objects are kept for the journal that others find no room: those that owe nothing any
 * more go now. `flush`: the caller holds no flush. Nothing is locked. */
void cachefs__durable_thin(cache_t *c, const vfs_ctx_t *ctx, int flush);

/* ---- writes: room before the object is locked, the record under its lock */
/* *room: bytes reserved for a write of `len` from so many pieces; 0: it is not journaled. */
apr_status_t cachefs__durable_room(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint64_t len,
                                   size_t pieces, size_t *room);
/* Can it be written with this room, as the object is now? Object locked. */
int cachefs__durable_ready(const cache_t *c, const obj_t *o, size_t room);
/* Bytes [pos, pos + len) of the memory are dirty at `off`. Takes of the room. Object locked. */
void cachefs__durable_wrote(cache_t *c, obj_t *o, const cachefs__pieces_t *buf, uint64_t pos,
                            uint64_t len, uint64_t off, size_t *room);
void cachefs__durable_unroom(cache_t *c, size_t room);
/* It was not ready: wait while it is being settled. */
apr_status_t cachefs__durable_pause(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);

/* ---- what goes below */
/* Bytes of the object, copied out by now, go below: their records are durable first. `lsn`: the
 * object's last record when they were all there, a RETIRE too, as what has no record may be among
 * them. *sure: up to there all is known to be durable; 0 in the beginning. Who streams has always
 * newer records: to wait for these at each step of a flush would be a sync of the device a step. */
void cachefs__durable_before(cache_t *c, obj_t *o, uint64_t lsn, uint64_t *sure);
/* Something of ours is about to move its validator. `data`: bytes that the journal has. */
void cachefs__durable_changing(cache_t *c, obj_t *o, int data);
/* All of it is durable below and retired: what is done to the file below from now on is on top. */
apr_status_t cachefs__durable_settle(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* That was done, within the gate: it is durable before anything is written on top of it. */
void cachefs__durable_after(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* An open may have made it. */
void cachefs__durable_made(cache_t *c, obj_t *o);
/* What the journal's thread does once a second: retire what is durable below, make room. */
void cachefs__durable_round(cache_t *c);
/* That, and then cachefs__flush_hold. */
apr_status_t cachefs__durable_hold(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* Its dirty data is not wanted any more. */
void cachefs__durable_discard(cache_t *c, obj_t *o);

/* ---- names */
apr_status_t cachefs__durable_move(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *from,
                                   const vfs_path_t *to, int exchange, uint64_t *move);
/* `done`: 1 it is done below, 0 it is not, -1 nobody knows. */
void cachefs__durable_moved(cache_t *c, const vfs_ctx_t *ctx, const vfs_path_t *from,
                            const vfs_path_t *to, uint64_t move, int done);
void cachefs__durable_renamed(cache_t *c, obj_t *o);
apr_status_t cachefs__durable_unlink(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* It gets another name: it is not journaled any more. */
apr_status_t cachefs__durable_link(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* Around a call that changes names: a journal that was put aside is not taken back meanwhile. */
void cachefs__durable_names_begin(cache_t *c);
void cachefs__durable_names_end(cache_t *c);
/* A name of it is gone (`last`: was it the last one? -1: not known), or is still there. */
void cachefs__durable_gone(cache_t *c, obj_t *o, int last);
void cachefs__durable_stays(cache_t *c, obj_t *o);

/* ---- sync and close */
/* 1: the journal has all that is not durable below. */
int cachefs__durable_covers(cache_t *c, obj_t *o);
/* Durable by the journal alone. VFS_EOFFLINE: no, the lower layer has to. */
apr_status_t cachefs__durable_sync(cache_t *c, obj_t *o, const vfs_ctx_t *ctx);
/* Around a flush and a sync of the lower layer that succeeded: nothing is owed but what came since.
 *  @return APR_SUCCESS; why a journal that died could still undo it */
uint32_t cachefs__durable_mark(cache_t *c, obj_t *o);
apr_status_t cachefs__durable_synced(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, uint32_t mark);
/* A journal that died is made void: before anything that a recovery from it would undo. */
apr_status_t cachefs__durable_void(cache_t *c, const vfs_ctx_t *ctx);

#endif
