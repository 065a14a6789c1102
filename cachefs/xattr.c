/*
 * xattr.c - extended attributes: asked below, but for the absence of those that programs and the
 * kernel ask for without end. Floor 2, private to cachefs/.
 *
 * `ls -l` asks each file for two names, and Linux asks for one before the first write to a file
 * through a mount; hardly any file has them. That one is absent is known as long as the attributes
 * of the object are trusted: what sets it changes the ctime below. Values are not kept.
 */
#include "cachefs/engine.h"

/* The flag that says that there is none of this name; 0: a name that is always asked for. Nobody
 * needs a right to the file itself to ask for these. */
static uint32_t absence_of(const char *name)
{
    static const struct {
        const char *name;
        uint32_t flag;
    } known[] = {
        {"security.capability", OBJ_NO_CAPS},
        {"security.selinux", OBJ_NO_LABEL},
        {"system.posix_acl_access", OBJ_NO_ACL},
        {"system.posix_acl_default", OBJ_NO_DEFAULT_ACL},
    };
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (strcmp(name, known[i].name) == 0) return known[i].flag;
    return 0;
}

static int known_absent(cache_t *c, const obj_t *o, uint32_t flag, uint64_t ttl)
{
    cachefs__obj_look(c, o);
    int absent = (o->flags & flag) && cachefs__now_us() - o->checked_us < (int64_t)ttl;
    cachefs__obj_looked(c, o);
    return absent;
}

/* The answer of the lower layer to a question that was put at `asked`. */
static void learn(cache_t *c, obj_t *o, uint32_t flag, apr_status_t st, uint64_t asked)
{
    if (st != VFS_ENODATA) return;
    cachefs__obj_lock(c, o);
    if (cachefs__obj_quiet(o, asked)) o->flags |= flag;
    cachefs__obj_unlock(c, o);
}

void cachefs__xattr_forget(cache_t *c, obj_t *o)
{
    cachefs__obj_lock(c, o);
    o->flags &= ~OBJ_NO_XATTRS;
    cachefs__obj_unlock(c, o);
}

void cachefs__xattr_made(cache_t *c, obj_t *o)
{
    cachefs__obj_lock(c, o);
    o->flags |= OBJ_NO_CAPS; /* others come from its directory */
    cachefs__obj_unlock(c, o);
}

/* The object that the path leads to, where that need not be asked. */
static obj_t *object_at(cache_t *c, const vfs_path_t *path, uint32_t flags, uint64_t *ttl)
{
    obj_t *o = NULL;
    if (!cachefs__node_named(c, path, &o, ttl)) return NULL;
    cachefs__obj_look(c, o);
    int leads_on = o->attr.type == VFS_TYPE_LINK && !(flags & VFS_NOFOLLOW);
    cachefs__obj_looked(c, o);
    if (!leads_on) return o;
    cachefs__obj_put(c, o);
    return NULL;
}

apr_status_t cachefs_op_getxattr(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path,
                                 const char *name, void *buf, size_t size, size_t *len,
                                 uint32_t flags)
{
    cache_t *c = cachefs__of(fs);
    uint32_t flag = absence_of(name);
    uint64_t ttl = 0;
    obj_t *o = flag ? object_at(c, path, flags, &ttl) : NULL;
    apr_status_t st = VFS_ENODATA;
    if (o && known_absent(c, o, flag, ttl)) {
        apr_status_t allowed = cachefs__search_allowed(c, ctx, path);
        cachefs__obj_put(c, o);
        return allowed ? allowed : st;
    }
    uint64_t asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    st = vfs_call_getxattr(c->lower, ctx, path, name, buf, size, len, flags);
    if (o) {
        learn(c, o, flag, st, asked);
        cachefs__obj_put(c, o);
    }
    return st;
}

apr_status_t cachefs_op_fgetxattr(vfs_file_t *file, const vfs_ctx_t *ctx, const char *name,
                                  void *buf, size_t size, size_t *len)
{
    handle_t *h = cachefs__handle(file);
    cache_t *c = h->cache;
    uint32_t flag = absence_of(name);
    vfs_file_t *lower;
    uint64_t ttl = atomic_load_explicit(&c->t.attr_ttl_us, memory_order_relaxed);
    if (flag && !c->rules && known_absent(c, h->obj, flag, ttl)) return VFS_ENODATA;
    apr_status_t st = cachefs__lower_use(c, h->obj, ctx, LOWER_ANY, &lower);
    if (st) return st;
    uint64_t asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    cachefs__count(&c->counters, CNT_BACKEND_CALLS, 1);
    st = vfs_call_fgetxattr(lower, ctx, name, buf, size, len);
    if (flag) learn(c, h->obj, flag, st, asked);
    cachefs__lower_done(c, h->obj);
    return st;
}
