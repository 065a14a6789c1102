/*
 * sync.c - names that changed since they were made durable. Floor 2. The protocol can make one file
 * durable, or, by the same request, one directory: to make everything durable is to know them all.
 * The set has a bound: who finds it full makes those durable that are in it.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "backends/sftp/sftp.h"

#define MARKS_MAX 65536u
#define ROUND 64u /* names in one round trip */

typedef struct sftp_mark_t {
    uint32_t hash;
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

/* 0: there is no room for it. */
static int insert(sftp_t *f, const char *path, size_t len)
{
    char name[VFS_PATH_MAX + 1];
    memcpy(name, path, len);
    name[len] = '\0';
    uint32_t hash = vfs_path_hash(name, len);
    if (2 * (f->nmarks + 1) > f->marks_room && !grow(f)) return 0;
    size_t at = slot_of(f, name, hash);
    if (f->marks[at] != NULL) return 1;
    if (f->nmarks == MARKS_MAX) return 0;
    sftp_mark_t *mark = malloc(sizeof(*mark) + len + 1);
    if (mark == NULL) return 0;
    mark->hash = hash;
    memcpy(mark->path, name, len + 1);
    f->marks[at] = mark;
    f->nmarks++;
    return 1;
}

/* ---- making them durable */

/* Some that are taken out of the set. */
typedef struct batch_t {
    sftp_mark_t **marks;
    size_t count;
} batch_t;

static apr_status_t sync_some(sftp_call_t *c, const batch_t *b)
{
    uint8_t handles[ROUND][SFTP_HANDLE_MAX];
    size_t lens[ROUND], n = 0;
    for (size_t i = 0; i < b->count; i++)
        sftp__ask_open(c, b->marks[i]->path, FXF_READ, NULL);
    apr_status_t status = sftp__wait(c), first = APR_SUCCESS;
    if (status != APR_SUCCESS) return status;
    for (size_t i = 0; i < b->count; i++) {
        status = sftp__reply_handle(c, i, handles[n], &lens[n]);
        if (status == APR_SUCCESS)
            n++;
        else if (!APR_STATUS_IS_ENOENT(status) && first == APR_SUCCESS)
            first = status;
    }
    for (size_t i = 0; i < n; i++) {
        sftp__begin(c, FXP_EXTENDED);
        sftp__buf_text(&c->out, "fsync@openssh.com", 17);
        sftp__buf_text(&c->out, handles[i], lens[i]);
        sftp__end(c);
    }
    for (size_t i = 0; i < n; i++)
        sftp__drop_handle(c, handles[i], lens[i]);
    if (n == 0) return first;
    status = sftp__wait(c);
    for (size_t i = 0; i < n && status == APR_SUCCESS; i++)
        status = sftp__reply(c, i, FXP_STATUS, NULL);
    return status != APR_SUCCESS ? status : first;
}

static apr_status_t sync_batch(sftp_call_t *c, void *baton)
{
    const batch_t *b = baton;
    apr_status_t status = APR_SUCCESS;
    if (!(c->session->extensions & SFTP_EXT_FSYNC)) return APR_ENOTIMPL;
    for (size_t i = 0; i < b->count && status == APR_SUCCESS; i += ROUND) {
        const batch_t some = {b->marks + i, b->count - i < ROUND ? b->count - i : ROUND};
        status = sync_some(c, &some);
    }
    return status;
}

static batch_t take_marks(sftp_t *f)
{
    batch_t b = {NULL, 0};
    pthread_mutex_lock(&f->mutex);
    for (size_t i = 0; i < f->marks_room; i++)
        if (f->marks[i] != NULL) f->marks[b.count++] = f->marks[i];
    b.marks = f->marks;
    f->marks = NULL;
    f->marks_room = f->nmarks = 0;
    pthread_mutex_unlock(&f->mutex);
    return b;
}

static apr_status_t sync_marks(sftp_t *f, const vfs_ctx_t *ctx)
{
    batch_t b = take_marks(f);
    apr_status_t status = b.count > 0 ? sftp__run(f, ctx, SFTP_AGAIN, sync_batch, &b) : APR_SUCCESS;
    for (size_t i = 0; i < b.count; i++) {
        if (status != APR_SUCCESS) sftp__mark(f, b.marks[i]->path, 0);
        free(b.marks[i]);
    }
    free(b.marks);
    return status;
}

void sftp__mark(sftp_t *f, const char *path, int parent)
{
    const char *slash = strrchr(path, '/');
    size_t len = slash > path ? (size_t)(slash - path) : 1;
    pthread_mutex_lock(&f->mutex);
    int room = parent == 2 || insert(f, path, strlen(path));
    if (parent) room = insert(f, path, len) && room;
    pthread_mutex_unlock(&f->mutex);
    if (room) return;
    (void)sync_marks(f, NULL); /* what is not durable by that stays in the set */
    pthread_mutex_lock(&f->mutex);
    if (parent != 2) (void)insert(f, path, strlen(path));
    if (parent) (void)insert(f, path, len);
    pthread_mutex_unlock(&f->mutex);
}

void sftp__marks_free(sftp_t *f)
{
    batch_t b = take_marks(f);
    for (size_t i = 0; i < b.count; i++)
        free(b.marks[i]);
    free(b.marks);
}

apr_status_t sftp__sync_fs(vfs_t *fs, const vfs_ctx_t *ctx)
{
    sftp_t *f = fs->state;
    pthread_mutex_lock(&f->mutex);
    for (sftp_file_t *file = f->files; file != NULL; file = file->next) {
        if (file->path == NULL || !atomic_exchange(&file->wrote, 0)) continue;
        if (!insert(f, file->path, strlen(file->path))) atomic_store(&file->wrote, 1);
    }
    pthread_mutex_unlock(&f->mutex);
    return sync_marks(f, ctx);
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
    sftp__begin(c, FXP_EXTENDED);
    sftp__buf_text(&c->out, "fsync@openssh.com", 17);
    sftp__buf_text(&c->out, handle, len);
    sftp__end(c);
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
