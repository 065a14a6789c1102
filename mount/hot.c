/*
 * hot.c - which files the kernel asks for most often, lately.
 * Floor 4, private to mount/.
 *
 * Space-Saving (Metwally, Agrawal, El Abbadi 2005) over one call in SAMPLE, by chance: a file that
 * has no place takes that of the one with the smallest count, and its count as a possible error. So
 * whoever has more than one in PLACES of all calls is there. What is shown is without the error.
 * Counts are halved each minute. Nobody waits: who meets another here is not counted.
 */
#include "mount/mount.h"

#include <stdlib.h>
#include <string.h>

#define SAMPLE 8u
#define HALVED_NS 60000000000u
#define RENEW 16u /* one in so many looks whether the path is still that */

static uint32_t chance(void)
{
    static _Thread_local uint32_t state;
    if (state == 0) state = (uint32_t)(uintptr_t)&state | 1u;
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static void take_path(mount_t *m, hot_place_t *place, inode_t *inode)
{
    path_t path;
    const char *text = mount__path_seen(&m->table, inode, NULL, &path);
    char *copy = text != NULL ? strdup(text) : NULL;
    if (copy == NULL) return; /* it is shown as it was called last */
    free(place->path);
    place->path = copy;
}

/* The mutex is held, as in what follows. */
static void grow_old(hot_t *hot)
{
    uint64_t now_ns = mount__clock_ns();
    if (hot->halved_ns == 0) hot->halved_ns = now_ns;
    for (; now_ns - hot->halved_ns >= HALVED_NS; hot->halved_ns += HALVED_NS)
        for (size_t i = 0; i < HOT_PLACES; i++) {
            hot->place[i].count /= 2;
            hot->place[i].error /= 2;
        }
}

static hot_place_t *find(hot_t *hot, uint64_t generation)
{
    hot_place_t *least = &hot->place[0];
    for (size_t i = 0; i < HOT_PLACES; i++) {
        if (hot->place[i].generation == generation) return &hot->place[i];
        if (hot->place[i].count < least->count) least = &hot->place[i];
    }
    return least;
}

void mount__hot(mount_t *m, inode_t *inode)
{
    hot_t *hot = &m->hot;
    uint32_t luck = chance();
    if (luck % SAMPLE != 0 || pthread_mutex_trylock(&hot->mutex) != 0) return;
    grow_old(hot);
    hot_place_t *place = find(hot, inode->generation);
    if (place->generation != inode->generation) {
        place->generation = inode->generation;
        place->error = place->count;
        free(place->path);
        place->path = NULL;
    }
    place->count += SAMPLE;
    if (place->path == NULL || luck / SAMPLE % RENEW == 0) take_path(m, place, inode);
    (void)pthread_mutex_unlock(&hot->mutex);
}

static int by_calls(const void *a, const void *b)
{
    const hot_place_t *one = a, *other = b;
    uint64_t calls = one->count - one->error, others = other->count - other->error;
    return (calls < others) - (calls > others);
}

void mount_hottest(mount_t *m, size_t max, mount_hot_fn fn, void *baton)
{
    hot_place_t place[HOT_PLACES];
    (void)pthread_mutex_lock(&m->hot.mutex);
    grow_old(&m->hot);
    memcpy(place, m->hot.place, sizeof(place));
    for (size_t i = 0; i < HOT_PLACES; i++)
        if (place[i].path != NULL) place[i].path = strdup(place[i].path);
    (void)pthread_mutex_unlock(&m->hot.mutex);
    qsort(place, HOT_PLACES, sizeof(place[0]), by_calls);
    for (size_t i = 0; i < HOT_PLACES; i++) {
        uint64_t calls = place[i].count - place[i].error;
        if (i < max && calls > 0 && place[i].path != NULL) fn(baton, place[i].path, calls);
        free(place[i].path);
    }
}

void mount__hot_end(mount_t *m)
{
    for (size_t i = 0; i < HOT_PLACES; i++)
        free(m->hot.place[i].path);
    (void)pthread_mutex_destroy(&m->hot.mutex);
}
