/*
 * store.c - the frame of a store: who holds it, who it is.
 * Floor 2, private to cachefs/. Knows neither the engine nor what lies in l2/ and journal/.
 *
 *     /lock      locked for as long as the store is open; says who holds it
 *     /STORE     the identity, 64 bytes
 *     /l2/       cached bytes: can go at any time
 *     /journal/  acknowledged writes: never touched here
 *
 * The identity says by which checksum all other files are to be read, so its own is one that every
 * build has. If it is missing, damaged or of another format, a new one is drawn: the files of l2/
 * carry the old one and are nobody's then, so they are thrown away by who finds them. That a cache
 * is lost is said and counted and harms nobody. A journal is another matter: where it has a file
 * and the identity is sound but not of our format, only the program that wrote it knows what the
 * file says, and the store is refused. Where the identity is damaged, the journal's own headers
 * decide.
 */
#include "cachefs/store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_general.h>

#include "cachefs/rank.h"
#include "cachefs/store/bytes.h"
#include "vfs/digest.h"

#define STORE_BYTES 64u
#define HASH_FNV 1u
#define HASH_XXH3 2u

static const uint8_t store_magic[8] = {'c', 'a', 'c', 'h', 'e', 'f', 's', 'S'};

struct cachefs__store_t {
    vfs_t *fs;
    char *name;
    vfs_file_t *lock;
    uint8_t id[CACHEFS__STORE_ID_BYTES];
    cachefs__store_found_e found;
};

static uint32_t hash_here(void)
{
#ifdef CACHEFS_WITH_XXHASH
    return HASH_XXH3;
#else
    return HASH_FNV;
#endif
}

vfs_t *cachefs__store_fs(const cachefs__store_t *store)
{
    return store->fs;
}

const char *cachefs__store_name(const cachefs__store_t *store)
{
    return store->name;
}

const uint8_t *cachefs__store_id(const cachefs__store_t *store)
{
    return store->id;
}

cachefs__store_found_e cachefs__store_found(const cachefs__store_t *store)
{
    return store->found;
}

/* ---- whole files */

static apr_status_t write_whole(vfs_t *fs, const char *path, const void *buf, size_t len)
{
    vfs_file_t *file;
    size_t written;
    apr_status_t st =
        vfs_open(&file, fs, NULL, path, VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC, 0600, NULL, NULL);
    if (st) return st;
    if (len) st = vfs_write_at(file, NULL, buf, len, 0, &written, NULL);
    if (!st) st = vfs_sync(file, NULL, VFS_SYNC_ALL);
    apr_status_t closed = vfs_close(file, NULL);
    return st ? st : closed;
}

/* The directory that holds the name, in buf. */
static const char *parent_of(const char *path, char *buf, size_t size)
{
    const char *slash = strrchr(path, '/');
    size_t len = (size_t)(slash - path);
    VFS_ASSERT(path[0] == '/' && len + 1 < size);
    if (len == 0) return "/";
    memcpy(buf, path, len);
    buf[len] = '\0';
    return buf;
}

apr_status_t cachefs__store_replace(cachefs__store_t *store, const char *path, const void *buf,
                                    size_t len)
{
    char fresh[128], dir[128];
    CACHE_NO_LOCKS_HELD();
    int n = snprintf(fresh, sizeof(fresh), "%s.new", path);
    VFS_ASSERT(n > 0 && (size_t)n < sizeof(fresh));
    apr_status_t st = write_whole(store->fs, fresh, buf, len);
    if (!st) st = vfs_rename(store->fs, NULL, fresh, path, 0);
    if (!st) return vfs_sync_dir(store->fs, NULL, parent_of(path, dir, sizeof(dir)));
    (void)vfs_unlink(store->fs, NULL, fresh); /* a left-over costs its space only */
    return st;
}

apr_status_t cachefs__store_load(cachefs__store_t *store, const char *path, uint8_t **buf,
                                 size_t *len, size_t max)
{
    vfs_attr_t attr;
    vfs_file_t *file;
    uint8_t *bytes = NULL;
    *buf = NULL;
    *len = 0;
    CACHE_NO_LOCKS_HELD();
    apr_status_t st =
        vfs_open(&file, store->fs, NULL, path, VFS_O_READ | VFS_O_NOFOLLOW, 0, &attr, NULL);
    if (st) return st;
    if (attr.size > max) st = VFS_ELIMIT;
    if (!st) bytes = malloc(attr.size ? (size_t)attr.size : 1);
    if (!st && !bytes) st = APR_ENOMEM;
    if (!st && attr.size) st = vfs_read_at(file, NULL, bytes, (size_t)attr.size, 0, len);
    (void)vfs_close(file, NULL); /* it was only read */
    if (st)
        free(bytes);
    else
        *buf = bytes;
    return st;
}

/* ---- identity */

static void identity_write(uint8_t *out, const uint8_t *id)
{
    memset(out, 0, STORE_BYTES);
    memcpy(out, store_magic, 8);
    cachefs__put32(out + 8, CACHEFS__STORE_FORMAT);
    cachefs__put32(out + 12, hash_here());
    memcpy(out + 16, id, CACHEFS__STORE_ID_BYTES);
    cachefs__put64(out + 32, (uint64_t)apr_time_now());
    cachefs__put64(out + STORE_BYTES - 8, cachefs__fnv64(out, STORE_BYTES - 8));
}

static cachefs__store_found_e identity_read(const uint8_t *buf, size_t len, uint8_t *id)
{
    if (len != STORE_BYTES || memcmp(buf, store_magic, 8) != 0) return CACHEFS__STORE_DAMAGED;
    if (cachefs__get64(buf + STORE_BYTES - 8) != cachefs__fnv64(buf, STORE_BYTES - 8))
        return CACHEFS__STORE_DAMAGED;
    if (cachefs__get32(buf + 8) != CACHEFS__STORE_FORMAT || cachefs__get32(buf + 12) != hash_here())
        return CACHEFS__STORE_FOREIGN;
    memcpy(id, buf + 16, CACHEFS__STORE_ID_BYTES);
    return CACHEFS__STORE_SAME;
}

/* Has the directory a file? */
static apr_status_t has_files(vfs_t *fs, const char *path, int *yes)
{
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    *yes = 0;
    apr_status_t st = vfs_opendir(&dir, fs, NULL, path, 0);
    if (st) return st;
    while (!(st = vfs_readdir(dir, NULL, &entry)))
        if (strcmp(entry.name, ".") != 0 && strcmp(entry.name, "..") != 0) *yes = 1;
    vfs_closedir(dir);
    return st == APR_EOF ? APR_SUCCESS : st;
}

apr_status_t cachefs__store_renew(cachefs__store_t *s, const uint8_t *id)
{
    uint8_t file[STORE_BYTES];
    apr_status_t st = APR_SUCCESS;
    if (id)
        memcpy(s->id, id, sizeof(s->id));
    else
        st = apr_generate_random_bytes(s->id, sizeof(s->id));
    if (st) return st;
    identity_write(file, s->id);
    return cachefs__store_replace(s, "/STORE", file, sizeof(file));
}

/* What the identity file says; `looked` may be NULL. */
static apr_status_t identity_load(cachefs__store_t *s, cachefs__store_looked_t *looked)
{
    uint8_t *buf = NULL;
    size_t len = 0;
    apr_status_t st = cachefs__store_load(s, "/STORE", &buf, &len, STORE_BYTES);
    if (APR_STATUS_IS_ENOENT(st))
        s->found = CACHEFS__STORE_NEW;
    else if (st == VFS_ELIMIT)
        s->found = CACHEFS__STORE_DAMAGED;
    else if (st)
        return st;
    else
        s->found = identity_read(buf, len, s->id);
    if (looked) looked->found = s->found;
    if (looked && (s->found == CACHEFS__STORE_SAME || s->found == CACHEFS__STORE_FOREIGN)) {
        looked->format = cachefs__get32(buf + 8);
        looked->hash = cachefs__get32(buf + 12);
    }
    free(buf);
    return APR_SUCCESS;
}

static apr_status_t identity(cachefs__store_t *s, char *err, size_t errlen)
{
    int journal = 0;
    apr_status_t st = identity_load(s, NULL);
    if (st || s->found == CACHEFS__STORE_SAME) return st;
    st = has_files(s->fs, CACHEFS__STORE_JOURNAL, &journal);
    if (!st && journal && s->found == CACHEFS__STORE_FOREIGN) {
        if (err && errlen)
            (void)snprintf(err, errlen,
                           "%s has a journal that another version of this program wrote, or one "
                           "built without xxHash where this has it: only that one can write it "
                           "back",
                           s->name);
        return VFS_EFORMAT;
    }
    return st ? st : cachefs__store_renew(s, NULL);
}

/* ---- life */

/* Who has the lock, or had it last, as far as the file says. */
static void read_user(const cachefs__store_t *s, char *text, size_t size)
{
    size_t got = 0;
    if (vfs_read_at(s->lock, NULL, text, size - 1, 0, &got)) got = 0;
    text[got] = '\0';
    text[strcspn(text, "\n")] = '\0';
    for (char *c = text; *c; c++)
        if (*c < ' ' || *c > '~') *c = '?';
}

/* Who is in the way. Who only looks does not write his name there. */
static void say_held(const cachefs__store_t *s, char *err, size_t errlen)
{
    vfs_lock_t lock = {.type = VFS_LOCK_WRITE, .flags = VFS_LOCK_TEST};
    char text[64] = "";
    if (!err || !errlen) return;
    if (!vfs_lock(s->lock, NULL, &lock) && lock.type == VFS_LOCK_READ) {
        (void)snprintf(err, errlen, "%s is being checked: try again when that is done", s->name);
        return;
    }
    read_user(s, text, sizeof(text));
    (void)snprintf(err, errlen, "%s is in use%s%s: a store serves one cache at a time", s->name,
                   text[0] ? " by " : "", text);
}

static apr_status_t take_lock(cachefs__store_t *s, char *err, size_t errlen)
{
    vfs_lock_t lock = {.type = VFS_LOCK_WRITE};
    char text[64];
    size_t written;
    apr_status_t st = vfs_open(&s->lock, s->fs, NULL, "/lock",
                               VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE, 0600, NULL, NULL);
    if (st) return st;
    st = vfs_lock(s->lock, NULL, &lock);
    if (APR_STATUS_IS_EAGAIN(st)) say_held(s, err, errlen);
    if (st) return st;
    int n = snprintf(text, sizeof(text), "process %ld\n", (long)getpid());
    st = vfs_ftruncate(s->lock, NULL, 0);
    if (!st) st = vfs_write_at(s->lock, NULL, text, (size_t)n, 0, &written, NULL);
    /* who holds it is a service to who reads the message: a full disk shall not take the store away
     */
    return st == APR_FROM_OS_ERROR(ENOSPC) ? APR_SUCCESS : st;
}

static apr_status_t make_dir(vfs_t *fs, const char *path)
{
    apr_status_t st = vfs_mkdir(fs, NULL, path, 0700);
    return APR_STATUS_IS_EEXIST(st) ? APR_SUCCESS : st;
}

static apr_status_t open_locked(cachefs__store_t *s, char *err, size_t errlen)
{
    apr_status_t st = take_lock(s, err, errlen);
    if (!st) st = make_dir(s->fs, CACHEFS__STORE_L2);
    if (!st) st = make_dir(s->fs, CACHEFS__STORE_JOURNAL);
    if (!st) st = identity(s, err, errlen);
    return st ? st : vfs_sync_dir(s->fs, NULL, "/");
}

static cachefs__store_t *make(vfs_t *fs, const char *name)
{
    cachefs__store_t *s = calloc(1, sizeof(*s));
    if (!s) return NULL;
    s->fs = fs;
    s->name = strdup(name ? name : "the store");
    if (s->name) return s;
    free(s);
    return NULL;
}

void cachefs__store_close(cachefs__store_t *s)
{
    if (!s) return;
    CACHE_NO_LOCKS_HELD();
    if (s->lock) (void)vfs_close(s->lock, NULL); /* the lock ends with it */
    free(s->name);
    free(s);
}

/* Opening it ended so. */
static apr_status_t opened(cachefs__store_t **out, cachefs__store_t *s, apr_status_t st, char *err,
                           size_t errlen)
{
    char text[128];
    if (!st) {
        *out = s;
        return APR_SUCCESS;
    }
    if (err && errlen && !err[0])
        (void)snprintf(err, errlen, "%s cannot be used: %s", s->name,
                       vfs_strerror(st, text, sizeof(text)));
    cachefs__store_close(s);
    return st;
}

apr_status_t cachefs__store_open(cachefs__store_t **out, vfs_t *fs, const char *name, char *err,
                                 size_t errlen)
{
    VFS_ASSERT(out && fs);
    CACHE_NO_LOCKS_HELD();
    *out = NULL;
    if (err && errlen) err[0] = '\0';
    cachefs__store_t *s = make(fs, name);
    return s ? opened(out, s, open_locked(s, err, errlen), err, errlen) : APR_ENOMEM;
}

/* ---- looking */

static int is_dir(vfs_t *fs, const char *path)
{
    vfs_attr_t attr;
    return !vfs_lstat(fs, NULL, path, &attr) && attr.type == VFS_TYPE_DIR;
}

/* Is there a store? What has an identity is one, and what has both its directories. */
static apr_status_t is_store(const cachefs__store_t *s, char *err, size_t errlen)
{
    int any = 0;
    apr_status_t st = has_files(s->fs, "/", &any);
    if (st || s->found == CACHEFS__STORE_SAME || s->found == CACHEFS__STORE_FOREIGN) return st;
    if (is_dir(s->fs, CACHEFS__STORE_L2) && is_dir(s->fs, CACHEFS__STORE_JOURNAL)) return st;
    if (err && errlen)
        (void)snprintf(err, errlen,
                       any ? "%s is no store of a cache: it has other files, and no identity"
                           : "%s is empty: no cache had its store there yet",
                       s->name);
    return APR_ENOENT;
}

static apr_status_t lock_shared(cachefs__store_t *s, char *err, size_t errlen)
{
    vfs_lock_t lock = {.type = VFS_LOCK_READ};
    apr_status_t st =
        vfs_open(&s->lock, s->fs, NULL, "/lock", VFS_O_READ | VFS_O_NOFOLLOW, 0, NULL, NULL);
    if (st) s->lock = NULL;
    if (APR_STATUS_IS_ENOENT(st)) return APR_SUCCESS; /* whoever has a store has made it */
    if (!st) st = vfs_lock(s->lock, NULL, &lock);
    if (APR_STATUS_IS_EAGAIN(st)) say_held(s, err, errlen);
    return st;
}

static apr_status_t look(cachefs__store_t *s, int change, cachefs__store_looked_t *looked,
                         char *err, size_t errlen)
{
    apr_status_t st = identity_load(s, looked);
    if (!st) st = is_store(s, err, errlen);
    if (st) return st;
    st = lock_shared(s, err, errlen);
    if (!st && s->lock) read_user(s, looked->user, sizeof(looked->user));
    if (!st && change) {
        if (s->lock) (void)vfs_close(s->lock, NULL); /* it was only read */
        s->lock = NULL;
        st = take_lock(s, err, errlen);
    }
    return st ? st : identity_load(s, looked); /* as it is now that nobody changes it */
}

apr_status_t cachefs__store_look(cachefs__store_t **out, vfs_t *fs, const char *name, int change,
                                 cachefs__store_looked_t *looked, char *err, size_t errlen)
{
    VFS_ASSERT(out && fs && looked);
    CACHE_NO_LOCKS_HELD();
    *out = NULL;
    memset(looked, 0, sizeof(*looked));
    if (err && errlen) err[0] = '\0';
    cachefs__store_t *s = make(fs, name);
    if (!s) return APR_ENOMEM;
    apr_status_t st = look(s, change, looked, err, errlen);
    return opened(out, s, st, err, errlen);
}

/* ---- origins */

apr_status_t cachefs__store_origin(uint8_t *out, vfs_t *lower, const char *name)
{
    uint8_t words[24 + CACHEFS__STORE_ID_BYTES];
    vfs_attr_t attr;
    VFS_ASSERT(VFS__DIGEST_BYTES == CACHEFS__STORE_ID_BYTES);
    CACHE_NO_LOCKS_HELD();
    apr_status_t st = vfs_lstat(lower, NULL, "/", &attr);
    if (st) return st;
    int stable = (attr.flags & VFS_ATTR_STABLE_ID) != 0;
    cachefs__put64(words, stable ? attr.dev : 0);
    cachefs__put64(words + 8, stable ? attr.ino : 0);
    cachefs__put64(words + 16, stable ? (uint64_t)attr.btime_ns : 0);
    vfs__digest(words + 24, name ? name : "", name ? strlen(name) : 0);
    vfs__digest(out, words, sizeof(words));
    return APR_SUCCESS;
}
