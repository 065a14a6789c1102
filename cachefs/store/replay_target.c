/*
 * replay_target.c - which file an object of the journal is now, and what becomes of it if others
 * changed or removed it. Floor 2, private to cachefs/store/.
 *
 * A file is the object if it has one of its names and its number; the newest name is tried first.
 * The device does not count: it may have another number after a restart. Its validator must be that
 * of the base, unless we may have changed the file ourselves: a flush, a rename or an earlier
 * recovery was noted. What is there under the name but is not the object is a change by others, and
 * so is an absence that we did not cause.
 */
#include <stdlib.h>
#include <string.h>

#include "vfs/conflict_name.h"
#include "cachefs/store/replay_private.h"

static apr_status_t into(item_t *it, const char *path)
{
    it->target = strdup(path);
    it->where = WHERE_FILE;
    return it->target ? APR_SUCCESS : APR_ENOMEM;
}

/* Is the file that has the name the object? */
static int is_object(const replay_t *r, const item_t *it, const vfs_attr_t *attr)
{
    if (attr->type != VFS_TYPE_FILE) return 0;
    if (!it->base.ino || !(attr->flags & VFS_ATTR_STABLE_ID)) return 1;
    if (it->created && r->again) return 1; /* made again by that recovery */
    return attr->ino == it->base.ino &&
           (!it->base.born_ns || !attr->btime_ns || attr->btime_ns == it->base.born_ns);
}

typedef enum below_e {
    BELOW_OURS = 0, /* the object */
    BELOW_CHANGED,  /* the object, changed by others */
    BELOW_OTHER,    /* another file has its name */
    BELOW_ABSENT
} below_e;

static int changed_by_others(const replay_t *r, const item_t *it, const vfs_validator_t *val)
{
    if (it->flushed || r->again || it->base.validator.kind == VFS_VALIDATOR_NONE) return 0;
    return !vfs_validator_equal(&it->base.validator, val);
}

/* Look at its names. *name: the one that counts. */
static apr_status_t look(const replay_t *r, const item_t *it, below_e *what, const char **name)
{
    vfs_attr_t attr;
    vfs_validator_t val;
    vfs_path_t path;
    char buf[VFS_PATH_MAX + 1];
    *what = BELOW_ABSENT;
    *name = cachefs__replay_name(it);
    for (size_t i = it->npaths; i-- > 0;) {
        if (vfs_path_init(&path, it->paths[i], buf)) continue; /* no name below */
        apr_status_t st = vfs_call_stat(r->o.lower, NULL, &path, &attr, &val);
        if (APR_STATUS_IS_ENOENT(st) || APR_STATUS_IS_ENOTDIR(st)) continue;
        if (st) return st;
        if (is_object(r, it, &attr)) {
            *what = changed_by_others(r, it, &val) ? BELOW_CHANGED : BELOW_OURS;
            *name = it->paths[i];
            return APR_SUCCESS;
        }
        *what = BELOW_OTHER;
    }
    return APR_SUCCESS;
}

/* ---- files that are made */

static apr_status_t made(replay_t *r, vfs_file_t *f, item_t *it, const char *path)
{
    vfs_path_t p, dir;
    char buf[VFS_PATH_MAX + 1], dir_buf[VFS_PATH_MAX + 1];
    /* who may not give files away keeps it */
    if (it->created) (void)vfs_fchown(f, NULL, it->base.uid, it->base.gid);
    apr_status_t st = vfs_sync(f, NULL, VFS_SYNC_ALL), closed = vfs_close(f, NULL);
    if (!st) st = closed;
    if (!st) st = vfs_path_init(&p, path, buf);
    if (st) return st;
    (void)vfs_path_parent(&dir, &p, dir_buf);
    st = vfs_call_sync_dir(r->o.lower, NULL, &dir);
    return st && !APR_STATUS_IS_ENOTIMPL(st) ? st : into(it, path);
}

/* The file again, empty, as it was when it was created; its directory too if that is gone. */
static apr_status_t make_again(replay_t *r, item_t *it, const char *path)
{
    vfs_path_t p, dir;
    vfs_file_t *f;
    char buf[VFS_PATH_MAX + 1], dir_buf[VFS_PATH_MAX + 1];
    uint32_t flags = VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE | VFS_O_EXCL;
    uint32_t mode = it->base.mode ? it->base.mode : 0600;
    r->done.created++;
    if (r->o.dry) return into(it, path);
    apr_status_t st = vfs_path_init(&p, path, buf);
    if (st) return st;
    st = vfs_call_open(&f, r->o.lower, NULL, &p, flags, mode, NULL, NULL);
    if (APR_STATUS_IS_ENOENT(st)) {
        (void)vfs_path_parent(&dir, &p, dir_buf);
        st = vfs_mkdir_all(r->o.lower, NULL, dir.str, 0755);
        if (!st) st = vfs_call_open(&f, r->o.lower, NULL, &p, flags, mode, NULL, NULL);
    }
    return st ? st : made(r, f, it, path);
}

#define COPY_BYTES (64u << 10)

static apr_status_t copy_bytes(vfs_file_t *from, vfs_file_t *to)
{
    uint8_t *buf = malloc(COPY_BYTES);
    size_t got = COPY_BYTES, written;
    apr_status_t st = buf ? APR_SUCCESS : APR_ENOMEM;
    for (apr_off_t at = 0; !st && got == COPY_BYTES; at += (apr_off_t)got) {
        st = vfs_read_at(from, NULL, buf, COPY_BYTES, at, &got);
        if (!st && got) st = vfs_write_at(to, NULL, buf, got, at, &written, NULL);
    }
    free(buf);
    return st;
}

/* Ours goes beside theirs: a copy of what is there now, and our records on top of it. */
static apr_status_t make_beside(replay_t *r, item_t *it, const char *path)
{
    vfs_path_t p, beside = {0};
    vfs_file_t *f = NULL, *theirs = NULL;
    char buf[VFS_PATH_MAX + 1], beside_buf[VFS_PATH_MAX + 1];
    uint32_t mode = it->base.mode ? it->base.mode : 0600;
    it->beside = 1;
    if (r->o.dry) return into(it, path);
    apr_status_t st = vfs_path_init(&p, path, buf);
    for (int k = 0; k < 100 && !st; k++) {
        st = vfs__conflict_path(&p, k, &beside, beside_buf);
        if (!st)
            st = vfs_call_open(&f, r->o.lower, NULL, &beside,
                               VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE | VFS_O_EXCL, mode, NULL,
                               NULL);
        if (!APR_STATUS_IS_EEXIST(st)) break;
        st = APR_SUCCESS;
    }
    if (st) return st;
    st = vfs_call_open(&theirs, r->o.lower, NULL, &p, VFS_O_READ, 0, NULL, NULL);
    if (!st) st = copy_bytes(theirs, f);
    if (APR_STATUS_IS_ENOENT(st)) st = APR_SUCCESS; /* theirs was to remove it */
    if (theirs) (void)vfs_close(theirs, NULL);      /* only read */
    if (st) {
        (void)vfs_close(f, NULL); /* begun again as a whole */
        (void)vfs_call_unlink(r->o.lower, NULL, &beside);
        return st;
    }
    cachefs__replay_log(r, "recovery: %s changed below: ours is in %s", path, beside.str);
    return made(r, f, it, beside.str);
}

/* ---- the decision */

static apr_status_t conflict(replay_t *r, item_t *it, below_e what, const char *name)
{
    r->done.conflicts++;
    switch (r->o.conflict) {
    case CACHEFS_OURS:
        return what == BELOW_ABSENT ? make_again(r, it, name) : into(it, name);
    case CACHEFS_THEIRS:
        cachefs__replay_log(r, "recovery: %s changed below: ours was thrown away", name);
        r->done.discarded++;
        it->where = WHERE_NOWHERE;
        return APR_SUCCESS;
    default:
        return make_beside(r, it, name);
    }
}

apr_status_t cachefs__replay_resolve(replay_t *r, item_t *it)
{
    below_e what;
    const char *name;
    if (it->where != WHERE_UNKNOWN) return APR_SUCCESS;
    apr_status_t st = look(r, it, &what, &name);
    if (st) return st;
    if (what == BELOW_OURS) return into(it, name);
    if (what != BELOW_CHANGED && it->dropped) {
        r->done.discarded++;
        it->where = WHERE_NOWHERE;
        return APR_SUCCESS;
    }
    if (what == BELOW_ABSENT && it->created) return make_again(r, it, name);
    return conflict(r, it, what, name);
}
