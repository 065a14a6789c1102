/*
 * version.c - of which version an open file is: as it was seen last, or as a change of ours can
 * have left it that nobody answered. Floor 2. The protocol names no file but by its path, so size
 * and time tell whether what is opened again is the file that was open.
 */
#include <string.h>

#include "backends/sftp/sftp.h"

static void widen(sftp_change_t *may, const sftp_change_t *change)
{
    if (!may->begun || change->least < may->least) may->least = change->least;
    if (!may->begun || change->most > may->most) may->most = change->most;
    may->sets = (may->begun ? may->sets : 0) | change->sets;
    may->begun = 1;
}

static void settle(sftp_file_t *file)
{
    if (file->changes == 0 && !file->doubt) file->may.begun = 0;
}

static void note(sftp_file_t *file, const vfs_attr_t *attr, uint64_t order)
{
    if (order < file->order) return; /* another thread has news */
    file->seen = *attr;
    file->order = order;
}

void sftp__saw(sftp_file_t *file, const vfs_attr_t *attr, uint64_t order)
{
    sftp_t *f = file->base.fs->state;
    pthread_mutex_lock(&f->mutex);
    note(file, attr, order);
    if (file->changes == 0) file->doubt = 0;
    settle(file);
    pthread_mutex_unlock(&f->mutex);
}

void sftp__last_seen(sftp_file_t *file, vfs_attr_t *attr)
{
    sftp_t *f = file->base.fs->state;
    pthread_mutex_lock(&f->mutex);
    *attr = file->seen;
    pthread_mutex_unlock(&f->mutex);
}

void sftp__saw_path(sftp_t *f, const char *path, const vfs_attr_t *attr, uint64_t order)
{
    pthread_mutex_lock(&f->mutex);
    for (sftp_file_t *file = f->files; file != NULL; file = file->next)
        if (file->path != NULL && strcmp(file->path, path) == 0) note(file, attr, order);
    pthread_mutex_unlock(&f->mutex);
}

void sftp__changed(sftp_file_t *file, const vfs_attr_t *attr, uint64_t order)
{
    char path[VFS_PATH_MAX + 1];
    sftp__saw(file, attr, order);
    if (sftp__file_path(file, path)) sftp__saw_path(file->base.fs->state, path, attr, order);
}

/* From before it is sent: another call of the handle can meet the end of the connection first. */
void sftp__change_begin(sftp_call_t *c, const sftp_change_t *change)
{
    if (!c->change.begun && c->file != NULL) {
        pthread_mutex_lock(&c->f->mutex);
        c->file->changes++;
        widen(&c->file->may, change);
        pthread_mutex_unlock(&c->f->mutex);
    }
    c->change = *change;
    c->change.begun = 1;
}

void sftp__change_end(sftp_call_t *c, apr_status_t status)
{
    const char *path = c->change.path;
    const int unsure = sftp__unsure(status);
    if (!c->change.begun) return;
    pthread_mutex_lock(&c->f->mutex);
    if (c->file != NULL) {
        path = c->file->path;
        c->file->changes--;
        c->file->doubt |= unsure;
        settle(c->file);
    }
    for (sftp_file_t *file = c->f->files; unsure && path != NULL && file != NULL;
         file = file->next) {
        if (file->path == NULL || strcmp(file->path, path) != 0) continue;
        widen(&file->may, &c->change);
        file->doubt = 1;
    }
    pthread_mutex_unlock(&c->f->mutex);
    c->change.begun = 0;
}

static int can_be(const sftp_file_t *file, const vfs_attr_t *now)
{
    const vfs_attr_t *seen = &file->seen;
    const sftp_change_t *may = &file->may;
    if (now->type != seen->type) return 0;
    if (now->type == VFS_TYPE_DIR) return 1;
    if (now->size == seen->size && now->mtime_ns == seen->mtime_ns) return 1;
    if (!may->begun) return 0;
    if (!(may->sets & SFTP_SETS_OWNER) && (now->uid != seen->uid || now->gid != seen->gid))
        return 0;
    /* a time to come may have been set by somebody: a write takes it back to now */
    if (!(may->sets & SFTP_SETS_TIMES) && now->mtime_ns < seen->mtime_ns &&
        seen->mtime_ns <= vfs_now_ns())
        return 0;
    return (now->size >= seen->size || now->size >= may->least) &&
           (now->size <= seen->size || now->size <= may->most);
}

int sftp__is_same(sftp_file_t *file, const vfs_attr_t *now)
{
    sftp_t *f = file->base.fs->state;
    pthread_mutex_lock(&f->mutex);
    int same = can_be(file, now);
    pthread_mutex_unlock(&f->mutex);
    return same;
}
