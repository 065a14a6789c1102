/*
 * mount_run.c - a mount that runs: its threads, its signals, its end.
 * Floor 4, private to tools/.
 *
 * The end. What is dirty goes below before the program ends, however the end comes. Taken away by
 * umount: that takes as long as it takes. By a signal: at most --end-timeout, and a second signal
 * ends it at once. By `cachefs unmount`: as that says (mount_control.c). What is lost is told.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "tools/mount.h"
#include "tools/mount_http.h"

#define SLICE_US 1000000
#define GRACE_US 10000000 /* for calls that are under way when the time is over */

/* ---- messages */

static void say_left(void *baton, const char *line)
{
    mount_say(((mount_run_t *)baton)->cli, 2, line);
}

/* ---- who works on the mount beside its own threads */

int mount_enter(mount_run_t *run)
{
    (void)pthread_mutex_lock(&run->mutex);
    int open = run->phase == MOUNT_SERVING;
    run->visitors += open ? 1 : 0;
    (void)pthread_mutex_unlock(&run->mutex);
    return open;
}

void mount_leave(mount_run_t *run)
{
    (void)pthread_mutex_lock(&run->mutex);
    if (--run->visitors == 0) (void)pthread_cond_broadcast(&run->left);
    (void)pthread_mutex_unlock(&run->mutex);
}

/* No more visitors; those who are here see that it is over. */
static void shut(mount_run_t *run)
{
    (void)pthread_mutex_lock(&run->mutex);
    run->phase = MOUNT_ENDING;
    while (run->visitors > 0)
        (void)pthread_cond_wait(&run->left, &run->mutex);
    (void)pthread_mutex_unlock(&run->mutex);
}

static int phase_of(mount_run_t *run)
{
    (void)pthread_mutex_lock(&run->mutex);
    int phase = run->phase;
    (void)pthread_mutex_unlock(&run->mutex);
    return phase;
}

/* ---- flushing */

static uint64_t dirty_bytes(mount_run_t *run)
{
    cachefs_stats_t stats = {.size = sizeof(stats)};
    if (run->stack.cache == NULL || cachefs_stats(run->stack.cache, &stats) != APR_SUCCESS)
        return 0;
    return stats.dirty_bytes;
}

static void tell_left(uint64_t bytes, void (*say)(void *baton, const char *line), void *baton)
{
    char shown[32], line[96];
    cli_show_bytes(shown, sizeof(shown), (double)bytes);
    (void)snprintf(line, sizeof(line), "%s still to be written to the origin",
                   bytes > 0 ? shown : "what is staged is");
    say(baton, line);
}

/* What the cache has written and the origin has not taken: that is staged below, and not dirty. */
static int is_staged(const mount_run_t *run, apr_status_t status)
{
    const vfs_t *origin = run->stack.counter;
    return status != APR_SUCCESS && status != VFS_ECONFLICT && origin != NULL &&
           (vfs_caps(origin)->bits & VFS_CAP_STAGED) != 0;
}

static int may_pass(apr_status_t status)
{
    return status == VFS_EOFFLINE || APR_STATUS_IS_TIMEUP(status);
}

/* When must it be over? 0: never. */
static apr_time_t earlier(mount_run_t *run, apr_time_t until_us)
{
    apr_time_t stop = atomic_load(&run->stop_at_us);
    return stop != 0 && (until_us == 0 || stop < until_us) ? stop : until_us;
}

/* What no further attempt would change. */
static int is_final(apr_status_t status)
{
    return status == VFS_ECANCELED || APR_STATUS_IS_EINVAL(status) ||
           APR_STATUS_IS_ENOENT(status) || APR_STATUS_IS_ENAMETOOLONG(status);
}

apr_status_t mount_flush(mount_run_t *run, const vfs_ctx_t *ctx, const char *path,
                         apr_time_t until_us, void (*say)(void *baton, const char *line),
                         void *baton)
{
    while (run->stack.cache != NULL && phase_of(run) == MOUNT_SERVING) {
        apr_status_t status = cachefs_flush(run->stack.cache, ctx, path, SLICE_US);
        uint64_t left = dirty_bytes(run);
        apr_time_t until = earlier(run, until_us);
        if (status == APR_SUCCESS || (left == 0 && !is_staged(run, status))) return APR_SUCCESS;
        if (is_final(status) || (left == 0 && !may_pass(status)) ||
            (until != 0 && apr_time_now() >= until))
            return status;
        tell_left(left, say, baton);
        if (left == 0) apr_sleep(SLICE_US); /* one attempt does not take long */
    }
    return APR_SUCCESS; /* it was taken away meanwhile: its end does the rest */
}

/* ---- signals */

/* While the mount still serves. Until stop_at_us; the end tells what is left. */
static void *flush_and_stop(void *baton)
{
    mount_run_t *run = baton;
    (void)mount_flush(run, NULL, NULL, 0, say_left, run); /* the end tells what is left */
    mount_stop(run->mount);
    mount_leave(run);
    return NULL;
}

/* The next signal. 0: none came, and what waits for the origin may wait for ever. */
static int next_signal(mount_run_t *run)
{
    static const struct timespec turn = {1, 0};
    for (;;) {
        apr_time_t stop = atomic_load(&run->stop_at_us);
        int number = sigtimedwait(&run->signals, NULL, &turn);
        if (number > 0) return number;
        if (stop != 0 && apr_time_now() > stop + GRACE_US) return 0;
    }
}

/* Nothing else helps against an origin that does not answer. */
static void give_up(mount_run_t *run)
{
    mount_say(
        run->cli, 0,
        "the origin does not answer; what was neither written to it nor synced to a journal is "
        "lost");
    (void)mount_point_leave(run->point, 1); /* the tree may not have it any more */
    _exit(CLI_SOME_FAILED);
}

/* A second signal makes it hurry. */
static void *watch_signals(void *baton)
{
    mount_run_t *run = baton;
    pthread_t stopper;
    int number, stopping = 0;
    while ((number = next_signal(run)) != 0 && phase_of(run) != MOUNT_OVER) {
        if (number == SIGUSR1) continue; /* ours: look at the phase */
        uint64_t wait_us = atomic_load(&run->stop_at_us) != 0 ? 0 : run->cli->opt.end_timeout_us;
        atomic_store(&run->stop_at_us, apr_time_now() + (apr_time_t)wait_us);
        if (stopping || !mount_enter(run)) continue;
        stopping = pthread_create(&stopper, NULL, flush_and_stop, run) == 0;
        if (!stopping) (void)flush_and_stop(run);
    }
    if (number == 0) give_up(run);
    if (stopping) (void)pthread_join(stopper, NULL); /* it has nothing to say */
    return NULL;
}

/* ---- the end */

/* The cache has ended. What it staged and the origin would not take goes with the stack. */
static int end_staged(mount_run_t *run)
{
    char line[2 * VFS_PATH_MAX];
    for (;;) {
        apr_status_t status = vfs_sync_fs(run->stack.counter, NULL);
        apr_time_t until = earlier(run, 0);
        if (!is_staged(run, status)) return CLI_DONE;
        if (!may_pass(status) || (until != 0 && apr_time_now() >= until)) break;
        tell_left(0, say_left, run);
        apr_sleep(SLICE_US);
    }
    (void)snprintf(line, sizeof(line), "what could not be written to %s is lost", run->stack.uri);
    mount_say(run->cli, 0, line);
    return CLI_SOME_FAILED;
}

static int end_cache(mount_run_t *run)
{
    uint64_t left = 0;
    char line[2 * VFS_PATH_MAX];
    apr_status_t status = VFS_EDIRTY;
    if (run->stack.cache == NULL) return CLI_DONE;
    for (;;) {
        status = cachefs_destroy(run->stack.cache, CACHEFS_END_WAIT, SLICE_US, &left);
        apr_time_t until = earlier(run, 0);
        if (status != VFS_EDIRTY || (until != 0 && apr_time_now() >= until)) break;
        tell_left(left, say_left, run);
    }
    int lost = status == VFS_EDIRTY;
    if (lost) {
        status = cli_stack_give_up(run->cli, &run->stack, left, line, sizeof(line));
        mount_say(run->cli, 0, line);
    }
    run->stack.cache = NULL;
    run->stack.top = run->stack.counter;
    int code = end_staged(run);
    return lost || status != APR_SUCCESS ? CLI_SOME_FAILED : code;
}

static void tell_ready(void *baton)
{
    mount_run_t *run = baton;
    if (run->report < 0) return;
    mount_say_to_log();
    while (write(run->report, "+", 1) < 0 && errno == EINTR)
        ;
    (void)close(run->report); /* who waits sees either */
    run->report = -1;
}

static void end_signals(mount_run_t *run, pthread_t signals)
{
    (void)pthread_mutex_lock(&run->mutex);
    run->phase = MOUNT_OVER;
    (void)pthread_mutex_unlock(&run->mutex);
    (void)pthread_kill(signals, SIGUSR1); /* it runs */
    (void)pthread_join(signals, NULL);    /* it has nothing to say */
}

static int start_threads(mount_run_t *run, pthread_t *signals, pthread_t *control)
{
    if (pthread_create(signals, NULL, watch_signals, run) != 0) return 0;
    if (pthread_create(control, NULL, mount_control, run) == 0) return 1;
    end_signals(run, *signals);
    return 0;
}

void mount_run_init(mount_run_t *run, cli_t *cli)
{
    run->cli = cli;
    run->report = -1;
    run->began_us = apr_time_now();
    (void)pthread_mutex_init(&run->mutex, NULL);
    (void)pthread_mutex_init(&run->keys, NULL);
    (void)pthread_cond_init(&run->left, NULL);
}

int mount_run(mount_run_t *run)
{
    pthread_t signals, control;
    char why[256];
    if (!start_threads(run, &signals, &control)) {
        cli_error(run->cli, "cannot start threads");
        mount_http_close(run->http);
        mount_close(run->mount);
        mount_access_end();
        return end_cache(run) == CLI_DONE ? CLI_INTERNAL : CLI_SOME_FAILED;
    }
    apr_status_t status = mount_serve(run->mount, tell_ready, run);
    if (status != APR_SUCCESS) mount_say(run->cli, 0, vfs_strerror(status, why, sizeof(why)));
    shut(run);
    mount_http_close(run->http);
    mount_close(run->mount);
    mount_access_end();
    int code = end_cache(run); /* signals still count */
    end_signals(run, signals);
    mount_control_end(run, control, code);
    return status != APR_SUCCESS ? CLI_INTERNAL : code;
}
