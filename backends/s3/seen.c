/*
 * seen.c - directories that were there a moment ago. Floor 2. What a key below it was stored for is
 * one, too. The few that were seen last are known, and a name that is seen again keeps its place.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/s3/s3.h"

/* Locked. NULL: it is not among them. */
static s3_seen_t *find(s3_t *s, const char *path, size_t len, uint32_t hash)
{
    for (size_t i = 0; i < S3_SEEN; i++) {
        s3_seen_t *seen = &s->seen[i];
        if (seen->path != NULL && seen->hash == hash && strncmp(seen->path, path, len) == 0 &&
            seen->path[len] == '\0')
            return seen;
    }
    return NULL;
}

static void note(s3_t *s, const char *path, size_t len, int marked)
{
    uint32_t hash = vfs_path_hash(path, len);
    apr_time_t now = apr_time_now();
    char *spare = strndup(path, len);
    if (spare == NULL) return; /* then it is asked for again */
    pthread_mutex_lock(&s->seen_lock);
    s3_seen_t *seen = find(s, path, len, hash);
    if (seen == NULL) {
        seen = &s->seen[s->seen_next++ % S3_SEEN];
        char *old = seen->path;
        *seen = (s3_seen_t){.hash = hash, .path = spare};
        spare = old;
    }
    seen->when = now;
    if (marked) seen->marked_when = now;
    pthread_mutex_unlock(&s->seen_lock);
    free(spare);
}

void s3__seen(s3_t *s, const char *path, int marked)
{
    note(s, path, strlen(path), marked);
}

void s3__seen_above(s3_t *s, const char *path)
{
    size_t len = (size_t)(strrchr(path, '/') - path);
    if (len > 0) note(s, path, len, 0); /* the root is always there */
}

void s3__unseen(s3_t *s, const char *path)
{
    size_t len = strlen(path);
    pthread_mutex_lock(&s->seen_lock);
    for (size_t i = 0; i < S3_SEEN; i++) {
        s3_seen_t *seen = &s->seen[i];
        if (seen->path == NULL || strncmp(seen->path, path, len) != 0 ||
            (seen->path[len] != '\0' && seen->path[len] != '/'))
            continue;
        free(seen->path);
        seen->path = NULL;
    }
    pthread_mutex_unlock(&s->seen_lock);
}

int s3__was_seen(s3_t *s, const char *path)
{
    size_t len = strlen(path);
    pthread_mutex_lock(&s->seen_lock);
    const s3_seen_t *seen = find(s, path, len, vfs_path_hash(path, len));
    int yes = seen != NULL && apr_time_now() - seen->when < S3_SEEN_US;
    pthread_mutex_unlock(&s->seen_lock);
    return yes;
}

int s3__marked(s3_t *s, const char *path)
{
    size_t len = strlen(path);
    pthread_mutex_lock(&s->seen_lock);
    const s3_seen_t *seen = find(s, path, len, vfs_path_hash(path, len));
    int yes =
        seen != NULL && seen->marked_when != 0 && apr_time_now() - seen->marked_when < S3_MARKED_US;
    pthread_mutex_unlock(&s->seen_lock);
    return yes;
}
