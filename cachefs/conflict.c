/*
 * conflict.c - the file changed below since our dirty data was based on it.
 * Floor 2, private to cachefs/.
 *
 * Before a flush the name is asked for its version. If that is not the one that we based our data
 * on, the policy decides: ours wins; theirs wins, and ours is thrown away; or both are kept: ours
 * is written beside it, whole: our bytes over the base that we hold, and over the file as it is
 * below now where we hold none.
 */
#include "cachefs/engine.h"
#include "cachefs/copy.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

void cachefs__overlay(cache_t *c, obj_t *o, uint64_t off, size_t n, uint8_t *buf)
{
    uint64_t ver = atomic_load(&o->ver);
    uint32_t shift = atomic_load(&o->shift), g = shift ? cachefs__granule(shift) : GRANULE_MIN;
    for (size_t pos = 0; shift && pos < n;) {
        uint64_t at = off + pos, no = at >> shift;
        uint32_t boff = (uint32_t)(at - (no << shift)), m = g - boff % g;
        if (m > n - pos) m = (uint32_t)(n - pos);
        (void)cachefs__block_copy(c, ver, (uint32_t)no, shift, boff, m,
                                  buf + pos); /* else theirs stays */
        pos += m;
    }
}

/* NAME.conflict-HOST-TIME, NAME cut so that it fits; `k` tells tries apart. */
static apr_status_t conflict_path(const vfs_path_t *path, int k, vfs_path_t *out, char *buf)
{
    char host[64] = "host", tail[160], dir_buf[VFS_PATH_MAX + 1], name[VFS_NAME_MAX + 1];
    vfs_path_t dir;
    (void)gethostname(host, sizeof(host) - 1); /* without one the default will do */
    for (char *p = host; *p; p++)
        if (*p == '/') *p = '_';
    apr_time_exp_t t;
    apr_time_exp_gmt(&t, apr_time_now());
    int len = snprintf(tail, sizeof(tail), ".conflict-%.60s-%04d%02d%02dT%02d%02d%02d", host,
                       t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour, t.tm_min, t.tm_sec);
    if (k) len += snprintf(tail + len, sizeof(tail) - (size_t)len, "-%d", k);
    const char *base = vfs_path_parent(&dir, path, dir_buf);
    int keep = (int)VFS_NAME_MAX - len;
    int total = snprintf(name, sizeof(name), "%.*s%s", keep, base, tail);
    return vfs_path_join(out, &dir, name, (size_t)total, buf);
}

static apr_status_t copy_ours(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, vfs_file_t *theirs,
                              vfs_file_t *out)
{
    size_t size, got;
    uint32_t chunk = cachefs__stage_get(c, &size);
    uint8_t *buf = cachefs__chunk_ptr(&c->arena, chunk);
    uint64_t end = atomic_load(&o->size);
    apr_status_t st = APR_SUCCESS;
    int old = !theirs && !cachefs__lower_use(c, o, ctx, 0, &theirs); /* they removed it: the old
                                                                       file may still be open */
    for (uint64_t at = 0; at < end && !st; at += size) {
        size_t n = end - at < size ? (size_t)(end - at) : size;
        got = 0;
        if (theirs) st = vfs_call_read_at(theirs, ctx, buf, n, (apr_off_t)at, &got);
        if (st) break;
        memset(buf + got, 0, n - got);
        cachefs__overlay(c, o, at, n, buf);
        st = vfs_call_write_at(out, ctx, buf, n, (apr_off_t)at, &got, NULL);
    }
    if (old) cachefs__lower_done(c, o);
    cachefs__stage_put(c, chunk);
    return st;
}

static apr_status_t keep_both(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t beside;
    vfs_file_t *theirs = NULL, *out = NULL;
    apr_status_t st = APR_SUCCESS, end;
    cachefs__obj_lock(c, o);
    uint32_t mode = o->attr.mode ? o->attr.mode : 0600;
    cachefs__obj_unlock(c, o);
    for (int k = 0; k < 100; k++) {
        st = conflict_path(path, k, &beside, buf);
        if (!st)
            st = vfs_call_open(&out, c->lower, ctx, &beside,
                               VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE | VFS_O_EXCL, mode, NULL,
                               NULL);
        if (!APR_STATUS_IS_EEXIST(st)) break;
    }
    if (st) return st;
    st = vfs_call_open(&theirs, c->lower, ctx, path, VFS_O_READ, 0, NULL, NULL);
    if (APR_STATUS_IS_ENOENT(st)) st = APR_SUCCESS; /* theirs was to remove it */
    if (!st) st = copy_ours(c, o, ctx, theirs, out);
    if (theirs) (void)vfs_close(theirs, ctx); /* only read */
    end = vfs_close(out, ctx);
    if (!st) st = end;
    if (st)
        (void)vfs_call_unlink(c->lower, ctx, &beside); /* tried again as a whole */
    else
        cachefs__log(c, 1, "%s changed below under unflushed data: ours is in %s", path->str,
                     beside.str);
    return st;
}

/* Ours is out of the way: the object takes what is below now. Flush begun. */
static void take_theirs(cache_t *c, obj_t *o, const vfs_path_t *path, const vfs_attr_t *attr,
                        const vfs_validator_t *val, apr_status_t found)
{
    vfs_file_t *file = NULL;
    (void)cachefs__dirty_discard(c, o, 0);
    cachefs__obj_lock(c, o);
    uint64_t old = atomic_load(&o->ver), size = atomic_load(&o->size);
    uint32_t shift = atomic_load(&o->shift);
    cachefs__obj_new_version(c, o);
    o->changes++;
    o->local_mtime_ns = 0;
    o->flags &= ~OBJ_CONFLICT;
    int same =
        !found && (!(attr->flags & VFS_ATTR_STABLE_ID) ||
                   (attr->ino == o->ino && attr->dev == o->dev && cachefs__same_birth(o, attr)));
    if (same) {
        o->attr = *attr;
        o->validator = *val;
        atomic_store(&o->size, attr->size);
        o->flags &= ~(OBJ_ATTR_OLD | OBJ_OWN_CHANGE);
    } else {
        o->flags |= OBJ_UNLINKED |
                    OBJ_ATTR_OLD; /* the name leads elsewhere; open handles see the old file */
    }
    if (!o->io && !o->opening && same) {
        file = o->lower_file;
        o->lower_file = NULL;
    }
    cachefs__obj_unlock(c, o);
    cachefs__version_drop(c, o, old, size, shift);
    if (file) (void)vfs_close(file, NULL); /* opened again when needed */
    if (!same) {
        obj_t *gone = cachefs__node_drop(c, path);
        if (gone) cachefs__obj_put(c, gone);
    }
}

/* Ours wins: write all of it to what the name leads to now, since the base of ours is not below any
 * more. */
static apr_status_t take_ours(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, const vfs_path_t *path,
                              const vfs_attr_t *attr, const vfs_validator_t *val,
                              apr_status_t found)
{
    vfs_file_t *file = NULL;
    cachefs__obj_lock(c, o);
    uint32_t mode = o->attr.mode ? o->attr.mode : 0600;
    int same =
        !found && (!(attr->flags & VFS_ATTR_STABLE_ID) ||
                   (attr->ino == o->ino && attr->dev == o->dev && cachefs__same_birth(o, attr)));
    cachefs__obj_unlock(c, o);
    cachefs__obj_change_begin(c, o);
    apr_status_t st = vfs_call_open(&file, c->lower, ctx, path,
                                    VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE, mode, NULL, NULL);
    if (!st) st = copy_ours(c, o, ctx, found ? NULL : file, file);
    if (!st) st = vfs_call_ftruncate(file, ctx, (apr_off_t)atomic_load(&o->size));
    if (file) {
        apr_status_t end = vfs_close(file, ctx);
        if (!st) st = end;
    }
    cachefs__obj_change_end(c, o, !st);
    if (st) return st; /* tried again as a whole */
    if (same) {
        cachefs__obj_lock(c, o);
        o->flags &= ~OBJ_CONFLICT;
        cachefs__obj_unlock(c, o);
        return APR_SUCCESS; /* the flush goes on, and makes it clean */
    }
    take_theirs(c, o, path, attr, val,
                APR_FROM_OS_ERROR(ENOENT)); /* this object is not the name's any more */
    return APR_SUCCESS;
}

/* Ask the name for its version. A name that one of us is changing right now is not evidence of
 * others. */
static apr_status_t ask_name(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, vfs_path_t *path,
                             char *buf, const vfs_validator_t *base, vfs_attr_t *attr,
                             vfs_validator_t *val)
{
    for (;;) {
        cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
        CACHE_NO_LOCKS_HELD();
        apr_status_t st = vfs_call_stat(c->lower, ctx, path, attr, val);
        if ((st && !APR_STATUS_IS_ENOENT(st)) || (!st && vfs_validator_equal(base, val))) return st;
        char was[VFS_PATH_MAX + 1];
        memcpy(was, path->str, path->len + 1);
        cachefs__mut_wait(c, path);
        cachefs__obj_lock(c, o);
        apr_status_t named = cachefs__obj_name(c, o, path, buf);
        cachefs__obj_unlock(c, o);
        if (named) return VFS_ESTALE;
        if (strcmp(was, path->str) == 0) return st;
    }
}

apr_status_t cachefs__conflict(cache_t *c, obj_t *o, const vfs_ctx_t *ctx, int *theirs)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    vfs_attr_t attr;
    vfs_validator_t val;
    *theirs = 0;
    cachefs__obj_lock(c, o);
    int known =
        !(o->flags & (OBJ_OWN_CHANGE | OBJ_UNLINKED)) && o->validator.kind != VFS_VALIDATOR_NONE;
    vfs_validator_t base = o->validator;
    if (cachefs__obj_name(c, o, &path, buf)) known = 0;
    cachefs__obj_unlock(c, o);
    if (!known) return APR_SUCCESS;
    apr_status_t st = ask_name(c, o, ctx, &path, buf, &base, &attr, &val);
    if (st == VFS_ESTALE)
        return APR_SUCCESS; /* its name is gone by our own hand: the handle is left */
    if (st && !APR_STATUS_IS_ENOENT(st)) return st;
    if (!st && vfs_validator_equal(&base, &val)) return APR_SUCCESS;
    cachefs__count(&c->counters, CNT_CONFLICTS, 1);
    apr_status_t found = st;
    switch (atomic_load(&c->t.conflict)) {
    case CACHEFS_OURS:
        st = take_ours(c, o, ctx, &path, &attr, &val, found);
        cachefs__log(c, 1, "%s changed below under unflushed data: ours replaced it", path.str);
        cachefs__obj_lock(c, o);
        *theirs = !o->dirty_bytes;
        cachefs__obj_unlock(c, o);
        return st;
    case CACHEFS_THEIRS:
        cachefs__log(c, 1, "%s changed below under unflushed data: ours was thrown away", path.str);
        break;
    default:
        st = keep_both(c, o, ctx, &path);
        if (st) return st;
    }
    take_theirs(c, o, &path, &attr, &val, found);
    *theirs = 1;
    return APR_SUCCESS;
}
