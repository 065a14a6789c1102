/*
 * test_peek_parts.c - the two sequences of a look without a lock (cachefs/peek.c) under fire: one
 * thread changes the node or the object as fast as it can. A plain program.
 */
#include <stdio.h>

#include "cachefs/engine.h"
#include "tests/race/support_race.h"

typedef struct parts_t {
    race_t r;
    cache_t *c;
    int64_t end_ms;
    atomic_int over;
    atomic_uint present, absent;
    int absent_too;
    void (*change)(struct parts_t *p, uint64_t n);
} parts_t;

static vfs_path_t path_of(const char *str)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_path_t path;
    CHECK_OK(vfs_path_init(&path, str, buf));
    CHECK(path.str == str);
    return path;
}

/* An object whose times are all its number, at `path`, and referenced by nobody else. */
static void set_new(parts_t *p, const char *str, uint64_t ino)
{
    vfs_path_t path = path_of(str);
    vfs_attr_t a = {.flags = VFS_ATTR_STABLE_ID | VFS_ATTR_DIRECT, .type = VFS_TYPE_FILE};
    vfs_validator_t v = {.kind = VFS_VALIDATOR_ETAG, .len = 1, .data = {1}};
    uint64_t asked = atomic_load(&p->c->mut_seq);
    int made;
    a.dev = 7;
    a.ino = ino;
    a.atime_ns = a.mtime_ns = a.ctime_ns = a.btime_ns = (int64_t)ino;
    obj_t *o = cachefs__obj_get(p->c, &a, &made);
    CHECK(o && made);
    (void)cachefs__obj_learn(p->c, o, &a, &v, asked);
    cachefs__node_set(p->c, &path, 0, o, VFS_ATTR_DIRECT, asked);
    cachefs__obj_put(p->c, o);
}

/* The name that is looked at leads to objects of odd numbers, or nowhere; another name leads to
 * even ones. Entries of nodes and objects go from one to the other all the time. */
static void change_node(parts_t *p, uint64_t n)
{
    vfs_path_t path = path_of("/the/name/looked/at"), other = path_of("/another/name");
    if (n % 3 == 2) cachefs__name_drop(p->c, &path);
    if (n % 3 == 1)
        cachefs__node_set(p->c, &path, 0, NULL, VFS_ATTR_DIRECT, atomic_load(&p->c->mut_seq));
    if (n % 3 == 0) set_new(p, path.str, 2 * n + 1);
    set_new(p, other.str, 2 * n + 2);
    if (n % 2) cachefs__name_drop(p->c, &other);
}

static void change_obj(parts_t *p, uint64_t n)
{
    vfs_path_t path = path_of("/the/name/looked/at");
    obj_t *o = NULL;
    unsigned said;
    if (n == 0) set_new(p, path.str, 1);
    CHECK(cachefs__node_find(p->c, &path, 0, &o, &said) == KNOWN_FRESH);
    cachefs__obj_lock(p->c, o);
    o->attr.atime_ns = o->attr.mtime_ns = o->attr.ctime_ns = o->attr.btime_ns = (int64_t)n;
    o->attr.ino = n | 1;
    cachefs__obj_unlock(p->c, o);
    cachefs__obj_put(p->c, o);
}

static void look(parts_t *p)
{
    vfs_path_t path = path_of("/the/name/looked/at");
    vfs_attr_t attr;
    cachefs__known_e known = cachefs__peek(p->c, &path, 0, &attr, NULL);
    if (known == KNOWN_ABSENT) atomic_fetch_add(&p->absent, 1);
    if (known != KNOWN_FRESH) return;
    CHECK(attr.ino % 2 == 1 && ((uint64_t)attr.atime_ns | 1) == attr.ino);
    CHECK(attr.mtime_ns == attr.atime_ns && attr.ctime_ns == attr.atime_ns &&
          attr.btime_ns == attr.atime_ns);
    atomic_fetch_add(&p->present, 1);
}

static int enough(parts_t *p)
{
    return atomic_load(&p->present) > 0 && (!p->absent_too || atomic_load(&p->absent) > 0);
}

static void run(void *baton, unsigned me)
{
    parts_t *p = baton;
    if (me) {
        while (!atomic_load(&p->over))
            look(p);
        return;
    }
    for (uint64_t n = 0; race_go_on(p->end_ms, enough(p)); n++)
        p->change(p, n);
    atomic_store(&p->over, 1);
}

static void under_fire(void (*change)(parts_t *p, uint64_t n), int absent_too)
{
    parts_t p = {.change = change, .absent_too = absent_too};
    race_open(&p.r, "ram=4m,attr_ttl=1h,negative_ttl=1h,shards=1", 0);
    p.c = cachefs__of(p.r.cache);
    p.end_ms = race_now_ms() + 1000;
    race_run(3, run, &p);
    CHECK(enough(&p));
    race_close(&p.r);
}

int main(void)
{
    race_begin();
    under_fire(change_obj, 0);
    under_fire(change_node, 1);
    return 0;
}
