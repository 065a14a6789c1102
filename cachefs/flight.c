/*
 * flight.c - look-ups under way: one question below for all who ask for the same path.
 * Floor 2, private to cachefs/.
 *
 *     nobody asks            we lead: ask, then tell
 *     somebody asks, and the answer may be as old as its TTL
 *                            wait, and look again
 *     somebody asks, and it must be younger than our call (a TTL of 0, or it was not kept)
 *                            wait; of all who came meanwhile one leads the next question, and
 *                            tells the others
 *
 * So no answer is older than the call that it is given to, and many callers wait for two round
 * trips at most, not for one each. Told are only those with the leader's credentials. What the
 * leader had no time for is no answer: the others look again.
 */
#include "cachefs/engine.h"

static int same_creds(const vfs_ctx_t *a, const vfs_ctx_t *b)
{
    int has = a && (a->flags & VFS_CTX_CREDS);
    if (has != (b && (b->flags & VFS_CTX_CREDS))) return 0;
    if (!has) return 1;
    size_t n = a->groups ? a->ngroups : 0, m = b->groups ? b->ngroups : 0;
    return a->uid == b->uid && a->gid == b->gid && n == m &&
           (!n || memcmp(a->groups, b->groups, n * sizeof(*a->groups)) == 0);
}

static int same_question(const cachefs__flight_t *f, const cachefs__flight_t *g)
{
    return f->path->hash == g->path->hash && f->path->len == g->path->len &&
           !((f->want ^ g->want) & ~LOOKUP_WANTED) &&
           memcmp(f->path->str, g->path->str, f->path->len) == 0 &&
           (!f->young || same_creds(f->ctx, g->ctx));
}

static void push(cachefs__flight_t **list, cachefs__flight_t *f)
{
    f->next = *list;
    *list = f;
}

/* 1: it was there. */
static int unlink_flight(cachefs__flight_t **list, cachefs__flight_t *f)
{
    while (*list && *list != f)
        list = &(*list)->next;
    if (!*list) return 0;
    *list = f->next;
    return 1;
}

apr_status_t cachefs__flight_join(cache_t *c, cachefs__flight_t *f)
{
    apr_status_t st = APR_SUCCESS;
    cachefs__lock(&c->flight_lock, RANK_LEAF);
    cachefs__flight_t *g = c->flights;
    while (g && !same_question(f, g))
        g = g->next;
    f->riders = f->late = NULL;
    f->state = g ? FLIGHT_WAITS : FLIGHT_LEADS;
    push(g ? &g->late : &c->flights, f);
    f->joined = g;
    if (g) cachefs__count(&c->counters, CNT_WAITS, 1);
    while (f->state == FLIGHT_WAITS && !st)
        st = cachefs__wait(&c->flight_cond, &c->flight_lock, f->ctx, 0);
    if (f->state != FLIGHT_WAITS)
        st = APR_SUCCESS;
    else if (!unlink_flight(&f->joined->late, f))
        (void)unlink_flight(&f->joined->riders, f);
    cachefs__unlock(&c->flight_lock, RANK_LEAF);
    return st;
}

/* Who came after our question was put: one of them leads the next, and the others ride with it. */
static void next_flight(cache_t *c, cachefs__flight_t *late)
{
    cachefs__flight_t *lead = NULL, *next;
    for (cachefs__flight_t *w = late; w; w = next) {
        next = w->next;
        if (!w->young) {
            w->state = FLIGHT_LOOKS;
        } else if (!lead) {
            lead = w;
            lead->state = FLIGHT_LEADS;
            push(&c->flights, lead);
        } else {
            w->joined = lead;
            push(&lead->riders, w);
        }
    }
}

void cachefs__flight_end(cache_t *c, cachefs__flight_t *f, apr_status_t st, obj_t *o)
{
    int ours = st && vfs_ctx_check(f->ctx); /* our deadline, not theirs */
    cachefs__lock(&c->flight_lock, RANK_LEAF);
    int there = unlink_flight(&c->flights, f);
    VFS_ASSERT(there);
    for (cachefs__flight_t *w = f->riders; w; w = w->next) {
        w->state = ours ? FLIGHT_LOOKS : FLIGHT_TOLD;
        w->status = st;
        w->obj = o;
        w->attr = f->attr;
        w->validator = f->validator;
        if (o && !ours) cachefs__obj_ref(o);
    }
    next_flight(c, f->late);
    pthread_cond_broadcast(&c->flight_cond);
    cachefs__unlock(&c->flight_lock, RANK_LEAF);
}
