/*
 * journal_live.c - which objects are not retired, and from which LSN on they need the journal: a
 * table with open addressing. All of it with the journal's lock held. Floor 2, private to
 * cachefs/store/.
 */
#include <stdlib.h>
#include <string.h>

#include "cachefs/store/journal_private.h"

static size_t slot_of(const cachefs__journal_t *j, uint64_t object)
{
    size_t at = (size_t)(object * 0x9e3779b97f4a7c15u >> 20) & j->live_mask;
    while (j->live[at].object && j->live[at].object != object)
        at = (at + 1) & j->live_mask;
    return at;
}

static int resize(cachefs__journal_t *j, size_t slots)
{
    cachefs__jlive_t *old = j->live, *live = calloc(slots, sizeof(*live));
    size_t n = old ? j->live_mask + 1 : 0;
    if (!live) return 0;
    j->live = live;
    j->live_mask = slots - 1;
    for (size_t i = 0; i < n; i++)
        if (old[i].object) live[slot_of(j, old[i].object)] = old[i];
    free(old);
    return 1;
}

int cachefs__journal_live_room(cachefs__journal_t *j)
{
    /* every BASE that room is reserved for may come; this one too */
    size_t most = j->live_used + j->reserved / cachefs__jsize(JOURNAL_BASE_BYTES) + 2;
    size_t slots = j->live ? j->live_mask + 1 : 64;
    while (slots < most * 2)
        slots *= 2;
    return j->live && slots == j->live_mask + 1 ? 1 : resize(j, slots);
}

void cachefs__journal_live_note(cachefs__journal_t *j, uint64_t object, uint64_t lsn)
{
    cachefs__jlive_t *l = &j->live[slot_of(j, object)];
    if (!l->object) {
        VFS_ASSERT(j->live_used * 4 <= (j->live_mask + 1) * 3); /* a reserve made room */
        *l = (cachefs__jlive_t){.object = object, .first = lsn};
        j->live_used++;
    }
    l->last = lsn;
}

/* Entries behind a free slot move up, so that a search never stops too early. */
static void drop(cachefs__journal_t *j, size_t at)
{
    j->live[at].object = 0;
    j->live_used--;
    for (size_t i = (at + 1) & j->live_mask; j->live[i].object; i = (i + 1) & j->live_mask) {
        cachefs__jlive_t moved = j->live[i];
        j->live[i].object = 0;
        j->live[slot_of(j, moved.object)] = moved;
    }
}

void cachefs__journal_live_done(cachefs__journal_t *j, uint64_t object, uint64_t upto)
{
    if (!j->live) return; /* of an earlier session */
    size_t at = slot_of(j, object);
    if (j->live[at].object && j->live[at].last <= upto) drop(j, at);
}

void cachefs__journal_live_moved(cachefs__journal_t *j, uint64_t object, uint64_t first)
{
    size_t at = slot_of(j, object);
    if (j->live[at].object) j->live[at].first = first;
}

void cachefs__journal_live_none(cachefs__journal_t *j)
{
    if (j->live) memset(j->live, 0, (j->live_mask + 1) * sizeof(*j->live));
    j->live_used = 0;
}

uint64_t cachefs__journal_live_first(const cachefs__journal_t *j, uint64_t *object)
{
    uint64_t first = j->next;
    *object = 0;
    for (size_t i = 0; j->live && i <= j->live_mask; i++)
        if (j->live[i].object && j->live[i].first < first) {
            first = j->live[i].first;
            *object = j->live[i].object;
        }
    return first;
}
