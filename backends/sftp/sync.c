/*
 * sync.c - names that changed since they were made durable. Floor 2. The protocol can make one file
 * durable, or, by the same request, one directory: to make everything durable is to know them all.
 * The set has a bound: who finds it full makes those durable that are in it. If that fails, and the
 * name cannot be kept, sync_fs does not answer success any more: it could not be true.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/sftp/sftp.h"

#define MARKS_MAX 65536u
#define ROUND 64u /* names in one round trip */

typedef struct sftp_mark_t {
    uint64_t since; /* f->mark_seq when it changed last */
    uint32_t hash;
    unsigned refs; /* the set has one */
    char path[];
} sftp_mark_t;

/* ---- the set; the instance's mutex is held */

static size_t slot_of(const sftp_t *f, const char *path, uint32_t hash)
{
    size_t at = hash & (f->marks_room - 1);
    while (f->marks[at] != NULL && strcmp(f->marks[at]->path, path) != 0)
        at = (at + 1) & (f->marks_room - 1);
    return at;
}

static int grow(sftp_t *f)
{
    size_t old = f->marks_room;
    sftp_mark_t **marks = f->marks;
    size_t room = old > 0 ? 2 * old : 256;
    sftp_mark_t **wider = calloc(room, sizeof(sftp_mark_t *));
    if (wider == NULL) return 0;
    f->marks = wider;
    f->marks_room = room;
    for (size_t i = 0; i < old; i++)
        if (marks[i] != NULL) wider[slot_of(f, marks[i]->path, marks[i]->hash)] = marks[i];
    free(marks);
    return 1;
}

static void unref(sftp_mark_t *mark)
{
    if (--mark->refs == 0) free(mark);
}

/* 0: there is no room for it. */
static int insert(sftp_t *f, const char *path, size_t len)
{
    char name[VFS_PATH_MAX + 1];
    memcpy(name, path, len);
    name[len] = '\0';
    uint32_t hash = vfs_path_hash(name, len);
    if (2 * (f->nmarks + 1) > f->marks_room && !grow(f)) return 0;
    size_t at = slot_of(f, name, hash);
    if (f->marks[at] != NULL) {
        f->marks[at]->since = ++f->mark_seq;
        return 1;
    }
    if (f->nmarks == MARKS_MAX) return 0;
    sftp_mark_t *mark = malloc(sizeof(*mark) + len + 1);
    if (mark == NULL) return 0;
    mark->since = ++f->mark_seq;
    mark->hash = hash;
    mark->refs = 1;
    memcpy(mark->path, name, len + 1);
    f->marks[at] = mark;
    f->nmarks++;
    return 1;
}

static int insert_both(sftp_t *f, const char *path, int parent)
{
    const char *slash = strrchr(path, '/');
    int room = parent == 2 || insert(f, path, strlen(path));
    if (parent) room = insert(f, path, slash > path ? (size_t)(slash - path) : 1) && room;
    return room;
}

/* Is it `name`, or below it? Then what is behind the name. */
static const char *behind(const sftp_mark_t *mark, const char *name, size_t len)
{
    if (strncmp(mark->path, name, len) != 0) return NULL;
    return mark->path[len] == '\0' || mark->path[len] == '/' ? mark->path + len : NULL;
}

/* Take out what changed until then, all of it or what is at and below `name`. Without memory it
 * stays, and is asked for once more, which is no harm. */
static void forget(sftp_t *f, uint64_t upto, const char *name)
{
    sftp_mark_t **marks = f->marks, **fewer = calloc(f->marks_room + 1, sizeof(*fewer));
    size_t len = name != NULL ? strlen(name) : 0;
    if (fewer == NULL) return;
    f->marks = fewer;
    f->nmarks = 0;
    for (size_t i = 0; i < f->marks_room; i++) {
        sftp_mark_t *mark = marks[i];
        if (mark == NULL) continue;
        if (mark->since <= upto && (name == NULL || behind(mark, name, len) != NULL)) {
            unref(mark);
            continue;
        }
        fewer[slot_of(f, mark->path, mark->hash)] = mark;
        f->nmarks++;
    }
    free(marks);
}

/* ---- making them durable */

/* The set as it was. */
typedef struct batch_t {
    sftp_mark_t **marks;
    size_t count;
    uint64_t upto, moves;
    int whole; /* all open files that were written to are in it */
    int gone;  /* one of them was not there: removed, or moved meanwhile */
} batch_t;

static void ask_fsync(sftp_call_t *c, const uint8_t *handle, size_t len)
{
    sftp__begin(c, FXP_EXTENDED);
    sftp__buf_text(&c->out, "fsync@openssh.com", 17);
    sftp__buf_text(&c->out, handle, len);
    sftp__end(c);
}

typedef struct opened_t {
    uint8_t handles[ROUND][SFTP_HANDLE_MAX];
    size_t lens[ROUND], count;
} opened_t;

/* Those that may not be opened this way are kept in `marks`, `*count` of them. */
static apr_status_t open_some(sftp_call_t *c, batch_t *b, sftp_mark_t **marks, size_t *count,
                              uint32_t how, opened_t *o)
{
    size_t n = *count;
    apr_status_t first = APR_SUCCESS;
    for (size_t i = 0; i < n; i++)
        sftp__ask_open(c, marks[i]->path, how, NULL);
    apr_status_t status = sftp__wait(c);
    if (status != APR_SUCCESS) return status;
    *count = 0;
    for (size_t i = 0; i < n; i++) {
        status = sftp__reply_handle(c, i, o->handles[o->count], &o->lens[o->count]);
        if (status == APR_SUCCESS)
            o->count++;
        else if (APR_STATUS_IS_ENOENT(status))
            b->gone = 1;
        else if (APR_STATUS_IS_EACCES(status))
            marks[(*count)++] = marks[i];
        else if (first == APR_SUCCESS)
            first = status;
    }
    return first;
}

static apr_status_t sync_some(sftp_call_t *c, batch_t *b, size_t at, size_t count)
{
    opened_t o = {.count = 0};
    sftp_mark_t *marks[ROUND];
    memcpy(marks, b->marks + at, count * sizeof(*marks));
    apr_status_t first = open_some(c, b, marks, &count, FXF_READ, &o);
    if (first == APR_SUCCESS && count > 0) { /* who may write one need not be allowed to read it */
        first = open_some(c, b, marks, &count, FXF_WRITE, &o);
        if (first == APR_SUCCESS && count > 0) first = APR_EACCES;
    }
    for (size_t i = 0; i < o.count; i++)
        ask_fsync(c, o.handles[i], o.lens[i]);
    for (size_t i = 0; i < o.count; i++)
        sftp__drop_handle(c, o.handles[i], o.lens[i]);
    if (o.count == 0 || first == SFTP_LOST) return first;
    apr_status_t status = sftp__wait(c);
    for (size_t i = 0; i < o.count && status == APR_SUCCESS; i++)
        status = sftp__reply(c, i, FXP_STATUS, NULL);
    return status != APR_SUCCESS ? status : first;
}

static apr_status_t sync_batch(sftp_call_t *c, void *baton)
{
    batch_t *b = baton;
    apr_status_t status = APR_SUCCESS;
    if (!(c->session->extensions & SFTP_EXT_FSYNC)) return APR_ENOTIMPL;
    for (size_t i = 0; i < b->count && status == APR_SUCCESS; i += ROUND)
        status = sync_some(c, b, i, b->count - i < ROUND ? b->count - i : ROUND);
    return status;
}

/* Open files that were written to are names like others from here on. */
static int take_files(sftp_t *f)
{
    int whole = 1;
    for (sftp_file_t *file = f->files; file != NULL; file = file->next) {
        uint64_t writes = atomic_load(&file->writes);
        if (file->path == NULL || writes == file->synced) continue;
        if (insert(f, file->path, strlen(file->path)))
            file->synced = writes;
        else
            whole = 0;
    }
    return whole;
}

static apr_status_t copy_marks(sftp_t *f, batch_t *b)
{
    b->whole = take_files(f);
    b->upto = f->mark_seq;
    b->moves = f->moves;
    b->marks = malloc((f->nmarks + 1) * sizeof(*b->marks));
    if (b->marks == NULL) return APR_ENOMEM;
    for (size_t i = 0; i < f->marks_room; i++) {
        if (f->marks[i] == NULL) continue;
        f->marks[i]->refs++;
        b->marks[b->count++] = f->marks[i];
    }
    return APR_SUCCESS;
}

/* A name stays in the set until it is durable, and so whoever else asks meanwhile waits for the
 * server, too. A name that had gone may have moved, with all that was written to it: then all is
 * looked at again. */
static apr_status_t sync_marks(sftp_t *f, const vfs_ctx_t *ctx)
{
    for (;;) {
        batch_t b = {.count = 0};
        pthread_mutex_lock(&f->mutex);
        apr_status_t status = copy_marks(f, &b);
        pthread_mutex_unlock(&f->mutex);
        if (b.count > 0) status = sftp__run(f, ctx, SFTP_AGAIN, sync_batch, &b);
        pthread_mutex_lock(&f->mutex);
        int moved = b.gone && (f->moving > 0 || f->moves != b.moves);
        if (status == APR_SUCCESS && !moved && b.count > 0) forget(f, b.upto, NULL);
        for (size_t i = 0; i < b.count; i++)
            unref(b.marks[i]);
        pthread_mutex_unlock(&f->mutex);
        free(b.marks);
        if (status != APR_SUCCESS || (!moved && b.whole)) return status;
        if (b.count == 0) return APR_ENOMEM; /* not even one name could be put there */
    }
}

void sftp__mark(sftp_t *f, const char *path, int parent)
{
    pthread_mutex_lock(&f->mutex);
    int room = insert_both(f, path, parent), hopeless = f->forgotten;
    pthread_mutex_unlock(&f->mutex);
    if (room || hopeless) return;
    (void)sync_marks(f, NULL); /* what is not durable by that stays in the set */
    pthread_mutex_lock(&f->mutex);
    if (!insert_both(f, path, parent)) f->forgotten = 1;
    pthread_mutex_unlock(&f->mutex);
}

void sftp__mark_file(sftp_file_t *file)
{
    sftp_t *f = file->base.fs->state;
    int done = 0;
    for (int attempt = 0; !done; attempt++) {
        pthread_mutex_lock(&f->mutex);
        done = file->path == NULL || atomic_load(&file->writes) == file->synced ||
               insert(f, file->path, strlen(file->path)) || f->forgotten;
        if (!done && attempt > 0) f->forgotten = done = 1;
        pthread_mutex_unlock(&f->mutex);
        if (!done) (void)sync_marks(f, NULL); /* as above */
    }
}

/* ---- names that move */

uint64_t sftp__marks_moving(sftp_t *f)
{
    pthread_mutex_lock(&f->mutex);
    f->moving++;
    uint64_t begun = f->mark_seq;
    pthread_mutex_unlock(&f->mutex);
    return begun;
}

/* Where nobody knows whether they moved, both names stay: what is not there is passed over. */
static void move_marks(sftp_t *f, const char *from, const char *to, uint64_t begun, int sure)
{
    char name[VFS_PATH_MAX + 1];
    size_t len = strlen(from), count = 0;
    sftp_mark_t **moved = malloc((f->nmarks + 1) * sizeof(sftp_mark_t *));
    if (moved == NULL) {
        f->forgotten = 1;
        return;
    }
    for (size_t i = 0; i < f->marks_room; i++) {
        if (f->marks[i] == NULL || behind(f->marks[i], from, len) == NULL) continue;
        f->marks[i]->refs++;
        moved[count++] = f->marks[i];
    }
    if (sure && count > 0) forget(f, begun, from);
    for (size_t i = 0; i < count; i++) {
        int n = snprintf(name, sizeof(name), "%s%s", to, moved[i]->path + len);
        if (n < 0 || (size_t)n >= sizeof(name) || !insert(f, name, (size_t)n)) f->forgotten = 1;
        unref(moved[i]);
    }
    free(moved);
}

void sftp__marks_moved(sftp_t *f, const char *from, const char *to, uint64_t begun,
                       apr_status_t status)
{
    pthread_mutex_lock(&f->mutex);
    if (status == APR_SUCCESS || sftp__unsure(status))
        move_marks(f, from, to, begun, status == APR_SUCCESS);
    f->moving--;
    f->moves++;
    pthread_mutex_unlock(&f->mutex);
}

void sftp__marks_free(sftp_t *f)
{
    for (size_t i = 0; i < f->marks_room; i++)
        if (f->marks[i] != NULL) unref(f->marks[i]);
    free(f->marks);
}

apr_status_t sftp__sync_fs(vfs_t *fs, const vfs_ctx_t *ctx)
{
    sftp_t *f = fs->state;
    apr_status_t status = sync_marks(f, ctx);
    pthread_mutex_lock(&f->mutex);
    if (status == APR_SUCCESS && f->forgotten) status = VFS_ELIMIT; /* for good: see above */
    pthread_mutex_unlock(&f->mutex);
    return status;
}

static apr_status_t sync_one(sftp_call_t *c, void *baton)
{
    const char *path = baton;
    uint8_t handle[SFTP_HANDLE_MAX];
    size_t len = 0;
    vfs_attr_t attr;
    if (!(c->session->extensions & SFTP_EXT_FSYNC)) return APR_ENOTIMPL;
    sftp__ask_open(c, path, FXF_READ, NULL);
    sftp__ask_path(c, FXP_STAT, path);
    apr_status_t status = sftp__wait(c);
    if (status != APR_SUCCESS) return status;
    apr_status_t found = sftp__reply_attr(c, 1, &attr);
    status = sftp__reply_handle(c, 0, handle, &len);
    if (status != APR_SUCCESS) return sftp__why_path(c, path, status, 1);
    int dir = found == APR_SUCCESS && attr.type == VFS_TYPE_DIR;
    ask_fsync(c, handle, len);
    sftp__drop_handle(c, handle, len);
    status = sftp__wait(c);
    if (status == APR_SUCCESS) status = sftp__reply(c, 0, FXP_STATUS, NULL);
    if (found != APR_SUCCESS) return found;
    return dir ? status : APR_FROM_OS_ERROR(ENOTDIR);
}

apr_status_t sftp__sync_dir(vfs_t *fs, const vfs_ctx_t *ctx, const vfs_path_t *path)
{
    return sftp__run(fs->state, ctx, SFTP_AGAIN, sync_one, (void *)(uintptr_t)path->str);
}
