/*
 * threads.c - the same work for each of many things, on several threads.
 * Floor 4, private to tools/. Knows nothing of the work.
 */
#include <pthread.h>
#include <stdlib.h>

#include "tools/cli.h"

typedef struct each_t {
    cli_t *cli;
    size_t count;
    cli_each_fn fn;
    void *baton;
    atomic_size_t next;
    atomic_size_t called;
    atomic_uint threads; /* numbers given out */
} each_t;

static void *each_thread(void *arg)
{
    each_t *each = arg;
    unsigned self = atomic_fetch_add_explicit(&each->threads, 1, memory_order_relaxed);
    while (!cli_stopped(each->cli)) {
        size_t i = atomic_fetch_add_explicit(&each->next, 1, memory_order_relaxed);
        if (i >= each->count) break;
        each->fn(each->baton, self, i);
        atomic_fetch_add_explicit(&each->called, 1, memory_order_relaxed);
    }
    return NULL;
}

size_t cli_each(cli_t *cli, size_t count, unsigned threads, cli_each_fn fn, void *baton)
{
    each_t each = {.cli = cli, .count = count, .fn = fn, .baton = baton};
    pthread_t *ids = NULL;
    unsigned started = 0;
    if (threads > count) threads = (unsigned)count;
    if (threads > 1) ids = calloc(threads - 1, sizeof(*ids));
    /* a thread that cannot be had makes it slower, not wrong: this one works too */
    while (ids != NULL && started + 1 < threads &&
           pthread_create(&ids[started], NULL, each_thread, &each) == 0)
        started++;
    (void)each_thread(&each);
    for (unsigned i = 0; i < started; i++)
        (void)pthread_join(ids[i], NULL); /* cannot fail: it is ours and was not joined */
    free(ids);
    return atomic_load_explicit(&each.called, memory_order_relaxed);
}
