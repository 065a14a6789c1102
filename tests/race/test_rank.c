/*
 * test_rank.c - in a debug build a thread that takes locks against their ranks ends the program,
 * and so does one that leaves the cache with a lock held. A plain program: each case is a child.
 */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cachefs/rank.h"
#include "tests/race/support_race.h"

static pthread_mutex_t a = PTHREAD_MUTEX_INITIALIZER, b = PTHREAD_MUTEX_INITIALIZER;

static void rising(void)
{
    cachefs__lock(&a, RANK_OBJECT);
    CHECK(cachefs__trylock(&b, RANK_SHARD));
    cachefs__unlock(&a, RANK_OBJECT);
    cachefs__unlock(&b, RANK_SHARD);
    CACHE_NO_LOCKS_HELD();
    CHECK(cachefs__trylock(&b, RANK_LEAF));
    CHECK(!cachefs__trylock(&b, RANK_OBJECT)); /* not taken: nothing to assert */
    cachefs__unlock(&b, RANK_LEAF);
}

#ifndef NDEBUG
static void falling(void)
{
    cachefs__lock(&a, RANK_ARENA);
    cachefs__lock(&b, RANK_IDS);
}

static void equal(void)
{
    cachefs__lock(&a, RANK_SHARD);
    cachefs__lock(&b, RANK_SHARD);
}

static void left_with_a_lock(void)
{
    cachefs__lock(&a, RANK_LEAF);
    CACHE_NO_LOCKS_HELD();
}

static void wrong_unlock(void)
{
    cachefs__lock(&a, RANK_LEAF);
    cachefs__unlock(&a, RANK_IDS);
}

static int aborts(void (*what)(void))
{
    int status = 0;
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        CHECK(close(2) == 0); /* its last words are expected */
        what();
        _exit(0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}
#endif

int main(void)
{
    rising();
#ifndef NDEBUG
    CHECK(aborts(falling));
    CHECK(aborts(equal));
    CHECK(aborts(left_with_a_lock));
    CHECK(aborts(wrong_unlock));
#endif
    return 0;
}
