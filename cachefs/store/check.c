/*
 * check.c - a store that no cache has open: checking it, and collecting what is left over.
 * Floor 2, private to cachefs/store/. Needs no origin; writes nothing unless asked to repair.
 *
 * What may be repaired is what nobody is owed: cached bytes are a copy, and the identity only says
 * which of them are ours. Of a journal, only files that hold nothing that can be read get another
 * name. Everything else of it is for the next cache to write back.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cachefs/rank.h"
#include "cachefs/store/check_private.h"
#include "cachefs/store/l2_log.h"

/* ---- telling */

void cachefs__check_told(const cachefs__check_t *c, cachefs_told_e kind, const char *path,
                         uint64_t bytes, const char *format, ...)
{
    char text[512];
    va_list args;
    c->out->damage += kind == CACHEFS_TOLD_DAMAGE;
    c->out->repaired += kind == CACHEFS_TOLD_REPAIRED;
    if (!c->o.told) return;
    CACHE_NO_LOCKS_HELD();
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args); /* a sentence that is too long is cut */
    va_end(args);
    c->o.told(c->o.baton, kind, path, bytes, text);
}

apr_status_t cachefs__check_names(const cachefs__check_t *c, const char *dir,
                                  cachefs__check_name_fn fn, void *baton)
{
    vfs_dir_t *d;
    vfs_dirent_t entry;
    CACHE_NO_LOCKS_HELD();
    apr_status_t st = vfs_opendir(&d, c->fs, NULL, dir, 0);
    if (APR_STATUS_IS_ENOENT(st)) return APR_SUCCESS;
    if (st) return st;
    while (!st && !(st = vfs_readdir(d, NULL, &entry)))
        if (strcmp(entry.name, ".") != 0 && strcmp(entry.name, "..") != 0)
            st = fn(baton, entry.name);
    vfs_closedir(d);
    return APR_STATUS_IS_EOF(st) ? APR_SUCCESS : st;
}

void cachefs__check_id(char *text, const uint8_t *id)
{
    for (size_t i = 0; i < CACHEFS__STORE_ID_BYTES; i++)
        (void)snprintf(text + 2 * i, 3, "%02x", id[i]);
}

/* ---- the store */

static apr_status_t begin(cachefs__check_t *c, vfs_t *fs, const cachefs_check_options_t *options,
                          cachefs__store_looked_t *looked, int change, char *err, size_t errlen)
{
    if (options)
        memcpy(&c->o, options, options->size < sizeof(c->o) ? options->size : sizeof(c->o));
    c->fs = fs;
    apr_status_t st = cachefs__store_look(&c->store, fs, c->o.name, change, looked, err, errlen);
    if (st || looked->found != CACHEFS__STORE_FOREIGN) return st;
    if (err && errlen)
        (void)snprintf(err, errlen,
                       "%s is of another version of this program (format %u, checksum %u), or of "
                       "one built without xxHash where this has it: nothing of it was looked at",
                       cachefs__store_name(c->store), looked->format, looked->hash);
    return VFS_EFORMAT;
}

/* A sentence for the user, where there is none yet. */
static apr_status_t end(cachefs__check_t *c, apr_status_t st, char *err, size_t errlen)
{
    char text[128];
    if (st && err && errlen && !err[0])
        (void)snprintf(err, errlen, "%s: %s",
                       c->store ? cachefs__store_name(c->store) : "the store",
                       vfs_strerror(st, text, sizeof(text)));
    cachefs__store_close(c->store);
    return st;
}

static apr_status_t other(void *baton, const char *name)
{
    static const char *const own[] = {"STORE", "lock", "l2", "journal", "names", "lost+found"};
    const cachefs__check_t *c = baton;
    char path[VFS_PATH_MAX + 8];
    for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
        if (strcmp(name, own[i]) == 0) return APR_SUCCESS;
    (void)snprintf(path, sizeof(path), "/%s", name);
    if (strcmp(name, "STORE.new") == 0 || strcmp(name, "names.new") == 0) {
        c->out->orphans++;
        cachefs__check_told(c, CACHEFS_TOLD_NOTE, path, 0, "left over from %s that %s not finished",
                            name[0] == 'S' ? "an identity" : "names",
                            name[0] == 'S' ? "was" : "were");
    } else {
        cachefs__check_told(c, CACHEFS_TOLD_NOTE, path, 0, "no file of the store; left alone");
    }
    return APR_SUCCESS;
}

/* A store without an identity: `id` is what its segments say, or NULL. */
static apr_status_t no_identity(const cachefs__check_t *c, cachefs__store_found_e found,
                                const uint8_t *id)
{
    const char *what = found == CACHEFS__STORE_NEW ? "it is missing" : "it is damaged";
    if (!c->o.repair) {
        cachefs__check_told(c, CACHEFS_TOLD_DAMAGE, "/STORE", 0, "%s%s", what,
                            id ? "; the segments say which it was" : "");
        return APR_SUCCESS;
    }
    apr_status_t st = cachefs__store_renew(c->store, id);
    if (!st)
        cachefs__check_told(c, CACHEFS_TOLD_REPAIRED, "/STORE", 0, "%s; %s", what,
                            id ? "it is written anew, as the segments have it"
                               : "the store has a new identity");
    return st;
}

static apr_status_t identity(cachefs__check_t *c, const cachefs__store_looked_t *looked)
{
    uint8_t id[CACHEFS__STORE_ID_BYTES];
    int sound = looked->found == CACHEFS__STORE_SAME, known;
    memcpy(c->out->user, looked->user, sizeof(c->out->user));
    apr_status_t st = cachefs__check_l2(c, sound ? cachefs__store_id(c->store) : NULL, id, &known);
    if (!st && !sound) st = no_identity(c, looked->found, known ? id : NULL);
    if (st || !(sound || c->o.repair)) return st;
    cachefs__check_id(c->out->id, cachefs__store_id(c->store));
    c->out->format = CACHEFS__STORE_FORMAT;
    return st;
}

apr_status_t cachefs_store_check(cachefs_check_t *out, vfs_t *fs,
                                 const cachefs_check_options_t *options, char *err, size_t errlen)
{
    cachefs_check_t all = {.size = sizeof(all)};
    cachefs__check_t c = {.out = &all};
    cachefs__store_looked_t looked;
    if (err && errlen) err[0] = '\0';
    VFS_CHECK_ARG(out && out->size && fs);
    size_t size = out->size < sizeof(all) ? out->size : sizeof(all);
    apr_status_t st = begin(&c, fs, options, &looked, options && options->repair, err, errlen);
    if (!st) st = identity(&c, &looked);
    if (!st) st = cachefs__check_journal(&c, err, errlen);
    if (!st) st = cachefs__check_names(&c, "/", other, &c);
    all.size = size;
    memcpy(out, &all, size);
    return end(&c, st, err, errlen);
}

/* ---- collecting */

typedef struct gc_t {
    cachefs__check_t c;
    cachefs_gc_t *out;
} gc_t;

static apr_status_t collect(gc_t *g, const char *path, const char *why)
{
    vfs_attr_t attr;
    apr_status_t st = vfs_lstat(g->c.fs, NULL, path, &attr);
    if (APR_STATUS_IS_ENOENT(st)) return APR_SUCCESS;
    if (!st) st = vfs_unlink(g->c.fs, NULL, path);
    if (st) return st;
    g->out->removed++;
    g->out->removed_bytes += attr.size;
    cachefs__check_told(&g->c, CACHEFS_TOLD_NOTE, path, attr.size, "%s", why);
    return APR_SUCCESS;
}

/* NULL: the segment may be of use. */
static const char *useless(const gc_t *g, const char *name, uint32_t seq, uint64_t *size)
{
    uint8_t head[L2_HEAD];
    vfs_attr_t attr;
    size_t got = 0;
    *size = 0;
    apr_status_t st = vfs_get(g->c.fs, NULL, name, head, sizeof(head), &got, &attr, NULL);
    if (st) return NULL; /* perhaps another time */
    *size = attr.size;
    if (attr.size > L2_SEGMENT_MAX) return "it is larger than any segment";
    if (got < L2_HEAD || !cachefs__l2_head_read(head, head + 16, seq))
        return "its head is not what it should be";
    if (memcmp(head + 16, cachefs__store_id(g->c.store), CACHEFS__STORE_ID_BYTES) != 0)
        return "a segment of another store";
    return attr.size == L2_HEAD ? "a segment without a record" : NULL;
}

static apr_status_t collect_segments(gc_t *g, uint64_t bytes)
{
    char name[64];
    uint32_t *seq;
    size_t count;
    int full = 0;
    apr_status_t st = cachefs__l2_list(g->c.fs, &seq, &count);
    if (APR_STATUS_IS_ENOENT(st)) st = APR_SUCCESS;
    for (size_t i = 0; !st && i < count; i++) { /* newest first */
        uint64_t size;
        cachefs__l2_name(name, sizeof(name), seq[i]);
        const char *why = useless(g, name, seq[i], &size);
        full |= !why && size > bytes - g->out->left_bytes; /* what is older goes with it */
        if (!why && full) why = "one of the oldest";
        st = vfs_ctx_check(g->c.o.ctx);
        if (!st && why)
            st = collect(g, name, why);
        else
            g->out->left_bytes += size;
    }
    free(seq);
    return st;
}

apr_status_t cachefs_store_gc(cachefs_gc_t *out, vfs_t *fs, uint64_t bytes,
                              const cachefs_check_options_t *options, char *err, size_t errlen)
{
    cachefs_check_t unused = {.size = sizeof(unused)};
    cachefs_gc_t all = {.size = sizeof(all)};
    gc_t g = {.c = {.out = &unused}, .out = &all};
    cachefs__store_looked_t looked;
    if (err && errlen) err[0] = '\0';
    VFS_CHECK_ARG(out && out->size && fs);
    size_t size = out->size < sizeof(all) ? out->size : sizeof(all);
    apr_status_t st = begin(&g.c, fs, options, &looked, 1, err, errlen);
    if (!st && looked.found != CACHEFS__STORE_SAME) {
        st = VFS_ECHECKSUM;
        if (err && errlen)
            (void)snprintf(err, errlen,
                           "%s has no identity that can be read, so it cannot be told what belongs "
                           "to it: repair it first",
                           cachefs__store_name(g.c.store));
    }
    if (!st) st = collect(&g, "/STORE.new", "left over from an identity that was not finished");
    if (!st) st = collect(&g, "/names.new", "left over from names that were not finished");
    if (!st) st = collect(&g, CACHEFS__STORE_L2 "/probe", "left over from a look at a store");
    if (!st) st = collect_segments(&g, bytes);
    all.size = size;
    memcpy(out, &all, size);
    return end(&g.c, st, err, errlen);
}
