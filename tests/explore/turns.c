/*
 * turns.c - see turns.h.
 */
#include "tests/explore/turns.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <apr_general.h>

#define ACTORS_MAX 32u
#define CHOICES_MAX 4096u

typedef enum is_e { READY, WAITS, WAITS_TIMED, JOINS, OVER } is_e;

typedef struct actor_t {
    is_e is;
    int script;
    sem_t turn;
    pthread_t thread;
    const void *what; /* the condition, or the actor */
    int timed_out;
    void *(*fn)(void *);
    void *arg;
} actor_t;

typedef struct choice_t {
    unsigned char options, at;
} choice_t;

static actor_t actors[ACTORS_MAX]; /* 0: who called turns_init */
static size_t nactors;
static __thread actor_t *self;
static actor_t *last; /* the script whose turn it was */

static choice_t path[CHOICES_MAX];
static size_t depth, known, pos; /* of the path: its length, what is replayed, where we are */
static unsigned allowed, spent;
static int running, calm;
static unsigned points;
static void (*at_point)(unsigned point, int fresh);

static struct timespec now = {1000000, 0};
static unsigned char random_byte;

_Noreturn void turns_fail(const char *what)
{
    (void)fprintf(stderr, "turns: %s\n", what);
    abort();
}

/* ---- who goes on */

static int decide(int options, int could_go_on)
{
    if (options == 1 || calm || (could_go_on && spent == allowed)) return 0;
    if (pos == depth) {
        if (depth == CHOICES_MAX) turns_fail("too many choices");
        path[depth++] = (choice_t){(unsigned char)options, 0};
    }
    if (path[pos].options != options) turns_fail("the same schedule came to another place");
    int at = path[pos++].at;
    if (at && could_go_on) spent++;
    return at;
}

static actor_t *a_script(void)
{
    actor_t *can[ACTORS_MAX], *timed = NULL;
    int n = 0, left = 0, could = last && last->is == READY;
    if (could) can[n++] = last;
    for (size_t i = 0; i < nactors; i++) {
        actor_t *a = &actors[i];
        left += a->script && a->is != OVER;
        if (a->script && a->is == READY && a != last) can[n++] = a;
        if (a->script && a->is == WAITS_TIMED && !timed) timed = a;
    }
    if (!n && !left) return &actors[0];
    if (!n && !timed) turns_fail("all scripts wait");
    last = n ? can[decide(n, could)] : timed;
    return last;
}

static actor_t *anybody(void)
{
    if (actors[0].is == READY) return &actors[0];
    for (size_t i = 0; i < nactors; i++)
        if (actors[i].is == WAITS_TIMED) return &actors[i];
    turns_fail("everybody waits");
}

static actor_t *next_actor(void)
{
    if (!self->script && self != &actors[0] && self->is == READY) return self;
    for (size_t i = 1; i < nactors; i++)
        if (!actors[i].script && actors[i].is == READY) return &actors[i];
    return running ? a_script() : anybody();
}

/* As we are now, somebody goes on; we do when it is our turn again. */
static void give(void)
{
    actor_t *next = next_actor();
    if (next->is == WAITS_TIMED) { /* nobody else can: its time is over */
        now.tv_sec += 3600;
        next->timed_out = 1;
    }
    next->is = READY;
    if (next == self) return;
    int over = self->is == OVER; /* all of it is the next one's from the post on */
    (void)sem_post(&next->turn);
    if (over) return;
    while (sem_wait(&self->turn) != 0) {
    }
}

void turns_point(void)
{
    if (!self) turns_fail("a thread that takes no turns came to a point");
    if (!running || !self->script) return;
    points++;
    if (at_point && !calm) at_point(points, pos >= known);
    give();
}

void turns_calm(void)
{
    calm = 1;
}

/* ---- schedules */

void turns_init(void)
{
    nactors = 1;
    self = &actors[0];
    (void)sem_init(&self->turn, 0, 0);
}

void turns_again(void)
{
    now = (struct timespec){1000000, 0};
    random_byte = 0;
}

void turns_first(unsigned preemptions)
{
    allowed = preemptions;
    depth = known = 0;
}

int turns_next(void)
{
    while (depth && path[depth - 1].at + 1 == path[depth - 1].options)
        depth--;
    if (!depth) return 0;
    path[depth - 1].at++;
    known = depth;
    return 1;
}

/* ---- threads */

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);
int __real_pthread_join(pthread_t thread, void **value);
int __wrap_pthread_join(pthread_t thread, void **value);

static void *begin(void *arg)
{
    self = arg;
    while (sem_wait(&self->turn) != 0) {
    }
    void *value = self->fn(self->arg);
    self->is = OVER;
    for (size_t i = 0; i < nactors; i++)
        if (actors[i].is == JOINS && actors[i].what == self) actors[i].is = READY;
    give();
    return value;
}

static actor_t *add(void *(*fn)(void *), void *arg)
{
    size_t i = 1;
    while (i < nactors && actors[i].is != OVER)
        i++;
    if (i == ACTORS_MAX) turns_fail("too many threads");
    if (i == nactors) {
        nactors++;
        (void)sem_init(&actors[i].turn, 0, 0);
    }
    actors[i].is = READY;
    actors[i].script = 0;
    actors[i].fn = fn;
    actors[i].arg = arg;
    return &actors[i];
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg)
{
    actor_t *a = add(fn, arg);
    int rc = __real_pthread_create(thread, attr, begin, a);
    if (rc) turns_fail("no thread");
    a->thread = *thread;
    return rc;
}

int __wrap_pthread_join(pthread_t thread, void **value)
{
    for (size_t i = 1; i < nactors; i++)
        while (pthread_equal(actors[i].thread, thread) && actors[i].is != OVER) {
            self->is = JOINS;
            self->what = &actors[i];
            give();
        }
    return __real_pthread_join(thread, value);
}

static void *script(void *arg)
{
    void (*const *fn)(void) = arg;
    (*fn)();
    return NULL;
}

void turns_run(void (*const *scripts)(void), size_t n, void (*at)(unsigned point, int fresh))
{
    actor_t *a[ACTORS_MAX];
    pos = 0;
    points = spent = 0;
    calm = 0;
    last = NULL;
    at_point = at;
    for (size_t i = 0; i < n; i++) {
        a[i] = add(script, (void *)(uintptr_t)&scripts[i]);
        a[i]->script = 1;
        if (__real_pthread_create(&a[i]->thread, NULL, begin, a[i])) turns_fail("no thread");
    }
    running = 1;
    self->is = JOINS;
    self->what = NULL;
    give();
    running = 0;
    for (size_t i = 0; i < n; i++)
        (void)__real_pthread_join(a[i]->thread, NULL); /* it is over */
}

/* ---- conditions */

int __real_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __real_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until);
int __real_pthread_cond_broadcast(pthread_cond_t *cond);
int __wrap_pthread_cond_broadcast(pthread_cond_t *cond);
int __real_pthread_cond_signal(pthread_cond_t *cond);
int __wrap_pthread_cond_signal(pthread_cond_t *cond);

static int wait_for(pthread_cond_t *cond, pthread_mutex_t *mutex, is_e how)
{
    self->is = how;
    self->what = cond;
    self->timed_out = 0;
    (void)pthread_mutex_unlock(mutex);
    give();
    (void)pthread_mutex_lock(mutex);
    return self->timed_out ? ETIMEDOUT : 0;
}

int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    if (!self) return __real_pthread_cond_wait(cond, mutex);
    return wait_for(cond, mutex, WAITS);
}

int __wrap_pthread_cond_timedwait(pthread_cond_t *cond, pthread_mutex_t *mutex,
                                  const struct timespec *until)
{
    if (!self) return __real_pthread_cond_timedwait(cond, mutex, until);
    return wait_for(cond, mutex, WAITS_TIMED);
}

static void wake(const pthread_cond_t *cond)
{
    for (size_t i = 0; self && i < nactors; i++)
        if ((actors[i].is == WAITS || actors[i].is == WAITS_TIMED) && actors[i].what == cond)
            actors[i].is = READY;
}

int __wrap_pthread_cond_broadcast(pthread_cond_t *cond)
{
    wake(cond);
    return __real_pthread_cond_broadcast(cond);
}

/* Who is woken for no reason looks at his condition again. */
int __wrap_pthread_cond_signal(pthread_cond_t *cond)
{
    wake(cond);
    return __real_pthread_cond_signal(cond);
}

/* ---- what would differ from run to run */

int __real_clock_gettime(clockid_t id, struct timespec *ts);
int __wrap_clock_gettime(clockid_t id, struct timespec *ts);
apr_status_t __wrap_apr_generate_random_bytes(unsigned char *buf, apr_size_t length);

int __wrap_clock_gettime(clockid_t id, struct timespec *ts)
{
    if (!self) return __real_clock_gettime(id, ts);
    if (!running) now.tv_nsec += 1000000;
    if (now.tv_nsec >= 1000000000) now = (struct timespec){now.tv_sec + 1, 0};
    *ts = now;
    return 0;
}

apr_status_t __wrap_apr_generate_random_bytes(unsigned char *buf, apr_size_t length)
{
    for (apr_size_t i = 0; i < length; i++)
        buf[i] = ++random_byte;
    return APR_SUCCESS;
}
