/*
 * doubt_name.c - the names that an open file may have, where a rename failed and may have been
 * done. Floor 2, private to cachefs/. Renaming is in rename.c.
 *
 * Who asks after such a rename what came of it may get no answer. A file that is open and has a
 * handle below goes on by that. One that has none keeps all the names that it may have, one behind
 * the other in the memory of its name, and later renames move each of them. Whoever needs a handle
 * below tries them in turn: the file is known by its identity (VFS_ATTR_STABLE_ID), and the name
 * that leads to it is its name from then on.
 */
#include "cachefs/engine.h"

#define LIST_MAX (16u << 10) /* bytes of names of one file; a name that does not fit is not tried  \
                              */

int cachefs__obj_name_nth(cache_t *c, const obj_t *o, unsigned nth, vfs_path_t *out, char *buf)
{
    if (!o->name || !(o->flags & OBJ_NAMED) || (o->flags & OBJ_UNLINKED)) return 0;
    const char *name = cachefs__chunk_ptr(&c->arena, o->name);
    const char *end = name + o->name_len + 1 + o->name_more;
    for (; nth > 0 && name < end; nth--)
        name += strlen(name) + 1;
    if (name == end) return 0;
    *out = (vfs_path_t){.str = buf, .len = (uint32_t)strlen(name)};
    memcpy(buf, name, out->len + 1);
    out->hash = vfs_path_hash(buf, out->len);
    return 1;
}

/* ---- lists of names */

typedef struct list_t {
    char *at;
    size_t len, room, first; /* first: bytes of the first name */
} list_t;

static void list_add(list_t *l, const char *head, size_t head_len, const char *tail)
{
    size_t tail_len = strlen(tail), len = head_len + tail_len;
    if (len > VFS_PATH_MAX || len + 1 > l->room - l->len) return;
    char *to = l->at + l->len;
    memcpy(to, head, head_len);
    memcpy(to + head_len, tail, tail_len + 1);
    for (const char *old = l->at; old < to; old += strlen(old) + 1)
        if (!strcmp(old, to)) return; /* it is there already */
    if (!l->len) l->first = len;
    l->len += len + 1;
}

/* Where a name is after the move; NULL: where it was. *cut: how much of it is another now. */
static const vfs_path_t *moved_to(const char *name, const cachefs__move_t *move, size_t *cut)
{
    vfs_path_t path = {.str = name, .len = (uint32_t)strlen(name)};
    int from = vfs_path_within(&path, move->from);
    if (!from && !(move->swap && vfs_path_within(&path, move->to))) return NULL;
    *cut = from ? move->from->len : move->to->len;
    return from ? move->to : move->from;
}

/* Object locked. */
static void list_move(cache_t *c, const obj_t *o, const cachefs__move_t *move, list_t *l)
{
    const char *name = cachefs__chunk_ptr(&c->arena, o->name);
    const char *end = name + o->name_len + 1 + o->name_more;
    for (; name < end; name += strlen(name) + 1) {
        size_t cut = 0;
        const vfs_path_t *to = moved_to(name, move, &cut);
        if (!to || !move->sure) list_add(l, name, strlen(name), "");
        if (to) list_add(l, to->str, to->len, name + cut);
    }
}

/* Bytes that the names may take after the move; 0: it has none. Object locked. */
static size_t list_most(cache_t *c, const obj_t *o, const cachefs__move_t *move)
{
    size_t names = 0, longest = move->from->len > move->to->len ? move->from->len : move->to->len;
    if (!o->name || !(o->flags & OBJ_NAMED) || (o->flags & OBJ_UNLINKED)) return 0;
    const char *name = cachefs__chunk_ptr(&c->arena, o->name);
    const char *end = name + o->name_len + 1 + o->name_more;
    for (; name < end; name += strlen(name) + 1)
        names++;
    size_t most = 2 * ((size_t)o->name_len + 1 + o->name_more) + names * longest;
    return most < LIST_MAX ? most : LIST_MAX;
}

/* Take a list of names. Object locked. Returns the chunk of those that it had. */
static uint32_t list_take(obj_t *o, uint32_t chunk, const list_t *l)
{
    uint32_t old = o->name;
    o->name = chunk;
    o->name_len = (uint32_t)l->first;
    o->name_more = (uint32_t)(l->len - l->first - 1);
    return old;
}

void cachefs__names_move(cache_t *c, obj_t *o, const cachefs__move_t *move)
{
    uint32_t chunk = NONE, spare = NONE;
    size_t had = 0, need;
    for (;;) {
        cachefs__obj_lock(c, o);
        need = list_most(c, o, move);
        if (!need || need <= had) break;
        cachefs__obj_unlock(c, o);
        if (chunk) cachefs__chunk_put(c, chunk);
        chunk = cachefs__chunk_get(c, need, OWNER_PRIVATE | 2, 0, 0);
        if (!chunk) { /* better none than an old one */
            cachefs__obj_lock(c, o);
            if (move->sure) o->flags &= ~OBJ_NAMED;
            break;
        }
        had = need;
    }
    if (need && chunk) {
        list_t l = {.at = cachefs__chunk_ptr(&c->arena, chunk), .room = had};
        list_move(c, o, move, &l);
        if (l.len) spare = list_take(o, chunk, &l);
        if (l.len) chunk = NONE;
    }
    cachefs__obj_unlock(c, o);
    if (chunk) cachefs__chunk_put(c, chunk);
    if (spare) cachefs__chunk_put(c, spare);
}

void cachefs__name_doubt(cache_t *c, obj_t *o, const cachefs__move_t *move)
{
    cachefs__obj_lock(c, o);
    int by_handle = o->lower_file || o->lower_writer || (o->flags & OBJ_BY_PATH);
    cachefs__obj_unlock(c, o);
    if (!by_handle) cachefs__names_move(c, o, move);
}
