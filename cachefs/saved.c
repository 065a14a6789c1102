/*
 * saved.c - names that outlive the process: what is known of names, absent ones and listings, in
 * the store (key `store_names`). Floor 2, private to cachefs/.
 *
 * Bytes in the store need no age, since the lower layer says which version they are of. What is
 * known of a name is good for its time to live alone, so it is written with its age, when the cache
 * ends in order, and gets that much older until the next start: by the clock that counts since the
 * machine started, or, in another life of that, by the time of day; where that says that no time or
 * less has gone by, nothing is taken.
 *
 * The start takes the file away, for good, before anything is answered: our own changes make it
 * wrong, and who is killed cannot write another. Not written are names whose file has changes of
 * ours that the lower layer has not told of yet, and none at all if the journal keeps some for the
 * next start, or if change events are what keeps names right (`watch`): nobody hears them
 * meanwhile.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cachefs/engine.h"
#include "cachefs/store/bytes.h"
#include "vfs/digest.h"

#define SAVED_PATH "/names"
#define SAVED_MAGIC 0x314d414e53464343u /* "CCFSNAM1", which another byte order does not read */
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

typedef enum saved_e { SAVED_NAME = 1, SAVED_ABSENT, SAVED_LISTING } saved_e;

/* As it is in memory: who reads it is the same program on the same kind of machine, or takes
 * nothing. */
typedef struct saved_head_t {
    uint64_t magic, digest; /* of all that comes behind */
    uint32_t head_bytes, record_bytes;
    uint64_t len; /* of all */
    uint8_t origin[CACHEFS__STORE_ID_BYTES];
    uint8_t boot[VFS__DIGEST_BYTES]; /* which life of the machine */
    int64_t boot_us, day_us;
} saved_head_t;

/* Behind it: the path, and the listing. */
typedef struct saved_record_t {
    uint32_t kind, path_len, direct, content_len;
    int64_t age_us;     /* of the name, or of the listing */
    int64_t obj_age_us; /* of the attributes */
    vfs_attr_t attr;
    vfs_validator_t validator;
} saved_record_t;

static int64_t clock_of(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void now_is(saved_head_t *h)
{
    char text[64] = "";
    FILE *file = fopen(BOOT_ID, "re");
    if (file) {
        if (!fgets(text, sizeof(text), file)) text[0] = '\0';
        (void)fclose(file); /* only read */
    }
    memset(h->boot, 0, sizeof(h->boot));
    if (text[0]) vfs__digest(h->boot, text, strlen(text));
    h->boot_us = clock_of(CLOCK_BOOTTIME);
    h->day_us = clock_of(CLOCK_REALTIME);
}

/* How much later is `b` than `a`? Less than 0: nobody knows. */
static int64_t between(const saved_head_t *a, const saved_head_t *b)
{
    static const uint8_t none[VFS__DIGEST_BYTES];
    if (memcmp(a->boot, b->boot, sizeof(a->boot)) == 0 && memcmp(a->boot, none, sizeof(none)) != 0)
        return b->boot_us - a->boot_us;
    return b->day_us > a->day_us ? b->day_us - a->day_us : -1;
}

/* ---- writing */

typedef struct saver_t {
    cache_t *c;
    uint8_t *buf;
    uint64_t len, room, most;
    int64_t now;
} saver_t;

static int append(saver_t *s, const void *bytes, uint64_t len)
{
    if (len > s->most - s->len) return 0;
    if (s->len + len > s->room) {
        uint64_t room = s->room ? s->room * 2 : 1u << 20;
        while (room < s->len + len)
            room *= 2;
        uint8_t *more = realloc(s->buf, room);
        if (!more) return 0;
        s->buf = more;
        s->room = room;
    }
    if (len) memcpy(s->buf + s->len, bytes, len);
    s->len += len;
    return 1;
}

static int append_record(saver_t *s, const saved_record_t *r, const char *path, const char *content)
{
    uint64_t len = s->len;
    if (append(s, r, sizeof(*r)) && append(s, path, r->path_len) &&
        append(s, content, r->content_len))
        return 1;
    s->len = len;
    return 0;
}

/* Does the lower layer alone say what it is? */
static int is_theirs(const obj_t *o)
{
    return (o->flags & OBJ_ATTR) && !o->dirty_bytes && !o->local_mtime_ns && !o->j_id &&
           !(o->flags & (OBJ_ATTR_OLD | OBJ_OWN_CHANGE | OBJ_UNLINKED | OBJ_DOUBT | OBJ_STAGED |
                         OBJ_STAGED_KEPT | OBJ_BESIDE | OBJ_SETTLING));
}

/* What is too old for an answer is of use to who may answer with what is old. */
static int is_good(const saver_t *s, int64_t checked_us, uint64_t ttl)
{
    if (checked_us == CHECKED_NEVER) return 0;
    return s->now - checked_us < (int64_t)ttl || atomic_load(&s->c->t.serve_stale);
}

static int save_listing(saver_t *s, const node_t *n, obj_t *o)
{
    cache_t *c = s->c;
    const char *path = cachefs__node_path(c, n);
    uint64_t ttl = atomic_load(&c->t.listing_ttl_us), len = 0;
    if (c->rules) ttl = (uint64_t)cachefs__ttl_lookup(c->rules, path, (int64_t)ttl);
    if (!(o->flags & OBJ_LISTED) || !is_good(s, o->list_checked_us, ttl)) return 1;
    char *content = cachefs__content_get(c, o, &len);
    if (!content) return 1;
    saved_record_t r = {.kind = SAVED_LISTING,
                        .path_len = n->path_len,
                        .content_len = (uint32_t)len,
                        .age_us = s->now - o->list_checked_us};
    int went = append_record(s, &r, path, content);
    free(content);
    return went;
}

/* Its record, and that of its listing. 0: there is no room for more. */
static int save_node(saver_t *s, const node_t *n)
{
    cache_t *c = s->c;
    const char *path = cachefs__node_path(c, n);
    int absent = (n->flags & NODE_NEGATIVE) != 0;
    uint64_t ttl = atomic_load(absent ? &c->t.negative_ttl_us : &c->t.attr_ttl_us);
    if (c->rules) ttl = (uint64_t)cachefs__ttl_lookup(c->rules, path, (int64_t)ttl);
    if (n->epoch != cachefs__node_epoch(c, n->flags & NODE_DIRECT)) return 1;
    if (!is_good(s, n->checked_us, ttl)) return 1;
    saved_record_t r = {.kind = absent ? SAVED_ABSENT : SAVED_NAME,
                        .path_len = n->path_len,
                        .direct = n->flags & NODE_DIRECT,
                        .age_us = s->now - n->checked_us};
    if (absent) return append_record(s, &r, path, NULL);
    obj_t *o = &c->objs[n->object];
    if (!is_theirs(o) || !is_good(s, o->checked_us, ttl)) return 1;
    r.attr = o->attr;
    r.validator = o->validator;
    r.obj_age_us = s->now - o->checked_us;
    return append_record(s, &r, path, NULL) && save_listing(s, n, o);
}

void cachefs__names_save(cache_t *c)
{
    char text[128];
    saved_head_t head = {.magic = SAVED_MAGIC,
                         .head_bytes = sizeof(saved_head_t),
                         .record_bytes = sizeof(saved_record_t)};
    saver_t s = {.c = c, .most = c->arena.bytes / 2, .now = cachefs__now_us()};
    if (!c->fixed.store_names || !c->l2 || c->config.watch || !c->journal_empty) return;
    if (!append(&s, &head, sizeof(head))) return;
    /* the root is no one's entry; what a link leads to is asked for anew */
    for (uint32_t i = 1; i < c->node_pool.high; i++)
        if ((c->nodes[i].flags & NODE_USED) && !(c->nodes[i].flags & NODE_FOLLOW) &&
            !save_node(&s, &c->nodes[i]))
            break;
    now_is(&head);
    memcpy(head.origin, c->origin_id, sizeof(head.origin));
    head.len = s.len;
    memcpy(s.buf, &head, sizeof(head));
    const size_t from = offsetof(saved_head_t, head_bytes);
    head.digest = vfs__hash64(s.buf + from, s.len - from, 0);
    memcpy(s.buf, &head, sizeof(head));
    CACHE_NO_LOCKS_HELD();
    apr_status_t st = cachefs__store_replace(c->store, SAVED_PATH, s.buf, s.len);
    if (st)
        cachefs__log(c, 2, "names are not kept for the next start: %s",
                     vfs_strerror(st, text, sizeof(text)));
    free(s.buf);
}

/* ---- taking */

static void take_listing(cache_t *c, const vfs_path_t *path, const saved_record_t *r,
                         const char *content, int64_t now)
{
    obj_t *o = NULL;
    unsigned said;
    uint64_t asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    (void)cachefs__node_find(c, path, 0, &o, &said); /* of any age */
    if (!o) return;
    cachefs__obj_lock(c, o);
    int is_dir = (o->flags & OBJ_ATTR) && o->attr.type == VFS_TYPE_DIR;
    cachefs__obj_unlock(c, o);
    if (is_dir) {
        cachefs__content_put(c, o, content, r->content_len, asked);
        cachefs__obj_lock(c, o);
        o->list_checked_us = now - r->age_us;
        cachefs__obj_unlock(c, o);
    }
    cachefs__obj_put(c, o);
}

static void take_name(cache_t *c, const vfs_path_t *path, const saved_record_t *r, int64_t now)
{
    uint64_t asked = atomic_load_explicit(&c->mut_seq, memory_order_acquire);
    uint32_t flags = r->direct ? VFS_ATTR_DIRECT : 0;
    obj_t *o = NULL;
    int made = 0;
    if (r->kind == SAVED_NAME) {
        o = cachefs__obj_at(c, &r->attr, path, asked, CLAIM_NONE, &made);
        if (!o) return;
        if (made) {
            (void)cachefs__obj_learn(c, o, &r->attr, &r->validator, asked);
            cachefs__obj_lock(c, o);
            o->checked_us = now - r->obj_age_us;
            cachefs__obj_unlock(c, o);
        }
    }
    cachefs__node_set(c, path, 0, o, flags, asked);
    cachefs__node_aged(c, path, now - r->age_us);
    if (o) cachefs__obj_put(c, o);
}

/* The record at `*at`, which moves behind it. 0: there is none, or it is none of ours. */
static int next_record(const uint8_t *buf, uint64_t len, uint64_t *at, saved_record_t *r)
{
    if (len - *at < sizeof(*r)) return 0;
    memcpy(r, buf + *at, sizeof(*r));
    *at += sizeof(*r);
    return r->path_len <= VFS_PATH_MAX && r->path_len <= len - *at &&
           r->content_len <= len - *at - r->path_len;
}

static uint64_t take_all(cache_t *c, const uint8_t *buf, uint64_t len, int64_t since_us)
{
    char text[VFS_PATH_MAX + 1];
    saved_record_t r;
    vfs_path_t path;
    uint64_t count = 0;
    int64_t now = cachefs__now_us() - since_us;
    for (uint64_t at = sizeof(saved_head_t); next_record(buf, len, &at, &r);) {
        const char *content = (const char *)buf + at + r.path_len;
        memcpy(text, buf + at, r.path_len);
        text[r.path_len] = '\0';
        at += (uint64_t)r.path_len + r.content_len;
        path = (vfs_path_t){text, r.path_len, vfs_path_hash(text, r.path_len), 0};
        if (r.kind == SAVED_LISTING)
            take_listing(c, &path, &r, content, now);
        else
            take_name(c, &path, &r, now);
        count += r.kind != SAVED_LISTING;
    }
    return count;
}

static int is_ours(cache_t *c, const uint8_t *buf, uint64_t len, saved_head_t *head)
{
    if (len < sizeof(*head)) return 0;
    memcpy(head, buf, sizeof(*head));
    const size_t from = offsetof(saved_head_t, head_bytes);
    return head->magic == SAVED_MAGIC && head->head_bytes == sizeof(*head) &&
           head->record_bytes == sizeof(saved_record_t) && head->len == len &&
           memcmp(head->origin, c->origin_id, sizeof(head->origin)) == 0 &&
           head->digest == vfs__hash64(buf + from, len - from, 0);
}

void cachefs__names_take(cache_t *c)
{
    saved_head_t head, now;
    uint8_t *buf = NULL;
    size_t len = 0;
    if (!c->store) return;
    CACHE_NO_LOCKS_HELD();
    apr_status_t st = cachefs__store_load(c->store, SAVED_PATH, &buf, &len, c->arena.bytes);
    if (APR_STATUS_IS_ENOENT(st) || (!st && !len)) {
        free(buf);
        return;
    }
    now_is(&now);
    /* it counts once, whatever becomes of this process */
    apr_status_t gone = cachefs__store_replace(c->store, SAVED_PATH, "", 0);
    if (!st && !gone && c->l2 && c->fixed.store_names && is_ours(c, buf, len, &head)) {
        int64_t since_us = between(&head, &now);
        if (since_us >= 0)
            cachefs__log(c, 2, "%llu names of the last run are known",
                         (unsigned long long)take_all(c, buf, len, since_us));
    }
    free(buf);
}
