/*
 * main.c - runs the table of behaviours over one stack: conformance SPEC [--only TEXT] [--list].
 * Floor 4.
 *
 * The behaviours run one after another in a child process. The parent watches how far it is: where
 * a behaviour crashes or hangs that is its failure, and a new child goes on behind it.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>

#include "tests/conformance/conf.h"
#include "tests/conformance/probe.h"

#define HANG_SECONDS 300

static const conf_table_t *const tables[] = {
    &conf_table_paths,  &conf_table_open,   &conf_table_io,     &conf_table_size,
    &conf_table_names,  &conf_table_rename, &conf_table_links,  &conf_table_attr,
    &conf_table_xattr,  &conf_table_dir,    &conf_table_range,  &conf_table_lock,
    &conf_table_object, &conf_table_whole,  &conf_table_args,   &conf_table_readonly,
    &conf_table_cache,  &conf_table_modes,  &conf_table_cursor, &conf_table_limits,
};

/** Shared with the child: how far it is. */
typedef struct progress_t {
    volatile size_t index; /**< the behaviour that runs */
    volatile size_t held, failed, probed, unfit;
} progress_t;

static const conf_behaviour_t *behaviour_at(size_t index)
{
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        if (index < tables[i]->count) return &tables[i]->behaviours[index];
        index -= tables[i]->count;
    }
    return NULL;
}

/* Does this stack fit what the behaviour wants beside caps? */
static int fits(const conf_behaviour_t *b, const sut_t *sut)
{
    static const struct {
        uint32_t wants, trait;
        int absent;
    } rules[] = {
        {CONF_CACHE, SUT_CACHE, 0},       {CONF_THROUGH, SUT_THROUGH, 0},
        {CONF_BACK, SUT_BACK, 0},         {CONF_AROUND, SUT_AROUND, 0},
        {CONF_LARGE, SUT_TINY, 1},        {CONF_TINY, SUT_TINY, 0},
        {CONF_READONLY, SUT_READONLY, 0}, {CONF_LOCAL, SUT_LOCAL, 0},
        {CONF_WHOLE, SUT_SUB, 1},         {CONF_WHOLE, SUT_DEEP, 1},
        {CONF_DIRECT, SUT_CORFS, 1},      {CONF_EAGER, SUT_LAZY_CLOSE, 1},
        {CONF_NAMES, SUT_PICKY, 1},       {CONF_MOVING, SUT_STILL, 1},
    };
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        int has = (sut->traits & rules[i].trait) != 0;
        if ((b->wants & rules[i].wants) != 0 && has == rules[i].absent) return 0;
    }
    if ((b->wants & CONF_ROOT) != 0 && geteuid() != 0) return 0;
    if ((b->wants & CONF_CACHE) != 0 && sut->fs != sut->cache) return 0;
    return ((b->wants & CONF_READONLY) != 0) == ((sut->traits & SUT_READONLY) != 0);
}

/* Where the spec says already that it does not fit, nothing is built: a web server takes its time.
 */
static int may_fit(const conf_behaviour_t *b, const char *spec)
{
    return strstr(spec, "http-") == NULL || (b->wants & CONF_READONLY) != 0;
}

static void end_behaviour(conf_t *t)
{
    while (t->nfiles > 0)
        (void)conf_close(t, t->files[t->nfiles - 1]); /* left open by a behaviour that gave up */
    apr_status_t rv = sut_close(&t->sut);
    if (t->failures == 0) (void)IS(APR_SUCCESS, rv);
    apr_pool_destroy(t->pool);
}

static void run_one(const conf_behaviour_t *b, const char *spec, progress_t *progress)
{
    static conf_t t;
    char err[256];
    if (!may_fit(b, spec)) {
        progress->unfit++;
        return;
    }
    memset(&t, 0, sizeof t);
    t.name = b->name;
    apr_pool_create(&t.pool, NULL);
    apr_status_t rv = sut_open(&t.sut, spec, b->keys, err, sizeof err, t.pool);
    if (rv != APR_SUCCESS) {
        printf("FAIL %s [%s] the stack: %s\n", b->name, spec, err);
        progress->failed++;
        apr_pool_destroy(t.pool);
        return;
    }
    t.fs = t.sut.fs;
    uint64_t missing = (b->wants & CONF_READONLY) ? 0 : b->caps & ~vfs_caps(t.fs)->bits;
    int unfit = !fits(b, &t.sut);
    if (!unfit && missing != 0)
        conf_probe(&t, missing);
    else if (!unfit)
        b->run(&t);
    end_behaviour(&t);
    progress->failed += t.failures > 0;
    progress->unfit += unfit && t.failures == 0;
    progress->probed += !unfit && missing != 0 && t.failures == 0;
    progress->held += !unfit && missing == 0 && t.failures == 0;
}

static void run_from(size_t first, const char *spec, const char *only, progress_t *progress)
{
    const conf_behaviour_t *b;
    for (size_t i = first; (b = behaviour_at(i)) != NULL; i++) {
        progress->index = i;
        if (only == NULL || strstr(b->name, only) != NULL) run_one(b, spec, progress);
        (void)fflush(stdout); /* a failing stdout shows in the parent's exit */
    }
    progress->index = SIZE_MAX;
}

/* Wait for the child; kill it where one behaviour takes too long. */
static int watch(pid_t child, const progress_t *progress, int *hung)
{
    size_t last = progress->index;
    int status = 0, ticks = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {
        (void)usleep(10000); /* being woken early does no harm */
        ticks = progress->index == last ? ticks + 1 : 0;
        last = progress->index;
        if (ticks > HANG_SECONDS * 100) {
            *hung = 1;
            (void)kill(child, SIGKILL); /* it is ours, and hangs */
        }
    }
    return status;
}

static int list_all(void)
{
    const conf_behaviour_t *b;
    size_t count = 0;
    for (; (b = behaviour_at(count)) != NULL; count++)
        printf("%s\n", b->name);
    printf("%zu behaviours\n", count);
    return 0;
}

static int run_all(const char *spec, const char *only)
{
    progress_t *progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (progress == MAP_FAILED) return 2;
    size_t first = 0;
    while (first != SIZE_MAX) {
        (void)fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            run_from(first, spec, only, progress);
            exit(0); /* through the leak check of a sanitizer */
        }
        int hung = 0;
        int status = watch(child, progress, &hung);
        first = progress->index;
        if (status != 0 && first != SIZE_MAX) {
            progress->failed++;
            printf("FAIL %s [%s] %s: %s %d\n", behaviour_at(first)->name, spec,
                   hung ? "hung" : "crashed", WIFSIGNALED(status) ? "signal" : "exit",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
            first++;
        } else if (status != 0) {
            progress->failed++;
            printf("FAIL leaks [%s] the process ended with %d\n", spec, WEXITSTATUS(status));
        }
    }
    printf("%s: %zu behaviours held, %zu failed, %zu answered APR_ENOTIMPL, %zu do not apply\n",
           spec, progress->held, progress->failed, progress->probed, progress->unfit);
    return progress->failed == 0 && progress->held > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *spec = NULL, *only = NULL;
    apr_initialize();
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--list") == 0) return list_all();
        if (strcmp(argv[i], "--only") == 0 && i + 1 < argc)
            only = argv[++i];
        else
            spec = argv[i];
    }
    if (spec == NULL) {
        fprintf(stderr, "usage: conformance SPEC [--only TEXT] | --list\n");
        return 2;
    }
    return run_all(spec, only);
}
