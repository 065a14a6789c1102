/*
 * main.c - the sweep: fault SPEC [--store] [--op NAME] [--what NAME] [--nth N]. Floor 4.
 * SPEC has a fault shim in it, such as cache-back/fault/mem. For every op of the table, every kind
 * of fault that the op can have, once and lasting, n = 1, 2, 3 ... until nothing is injected: the
 * scenario, then the checks of sweep.h. With --store the calls to the store of the cache fail,
 * instead of those to the layer below it.
 *
 * Each op and kind runs in a child process, so that a crash or a hang is one failure and the sweep
 * goes on.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>

#include "tests/fault/sweep.h"

#define NTH_MAX 1000u
#define HANG_SECONDS 300u

/* Retries are quick, and nothing is flushed but by calls: so the n-th call is the same one in every
 * run. */
#define KEYS "retry_min=1ms,retry_max=5ms,flush_interval=1h,dirty_age=1h,readahead=0"

typedef struct kind_t {
    const char *name;
    vfs_fault_e what;
    uint64_t times;
    size_t bytes;
} kind_t;

static const kind_t kinds[] = {
    {"error", VFS_FAULT_ERROR, 1, 0},
    {"error-lasting", VFS_FAULT_ERROR, 0, 0},
    {"lost-reply", VFS_FAULT_LOST_REPLY, 1, 0},
    {"lost-reply-lasting", VFS_FAULT_LOST_REPLY, 0, 0},
    {"torn-write", VFS_FAULT_TORN_WRITE, 1, 1000},
    {"torn-write-lasting", VFS_FAULT_TORN_WRITE, 0, 100},
    {"short-read", VFS_FAULT_SHORT_READ, 1, 700},
    {"short-read-lasting", VFS_FAULT_SHORT_READ, 0, 700},
};
#define KINDS (sizeof kinds / sizeof kinds[0])

static int applies(const kind_t *kind, vfs_opid_e op)
{
    if (kind->what == VFS_FAULT_TORN_WRITE)
        return op == VFS_OPID_write_at || op == VFS_OPID_writev_at;
    if (kind->what == VFS_FAULT_SHORT_READ)
        return op == VFS_OPID_read_at || op == VFS_OPID_readv_at || op == VFS_OPID_get ||
               op == VFS_OPID_fetch;
    if (op == VFS_OPID_watch && kind->what == VFS_FAULT_LOST_REPLY)
        return 0; /* nobody could end it */
    if (op == VFS_OPID_close || op == VFS_OPID_closedir || op == VFS_OPID_unwatch)
        return kind->what ==
               VFS_FAULT_LOST_REPLY; /* without reaching the lower its handle would leak */
    return 1;
}

/* The faults are gone: everything is as if they had never been, but for what was reported. */
static void check_end(sweep_t *s)
{
    char text[100];
    apr_status_t rv;
    for (size_t i = 0; i < TRACKS; i++)
        track_close(s, &s->tracks[i]);
    for (size_t i = 0; i < TRACKS; i++)
        track_check_end(s, &s->tracks[i]);
    rv = s->sut.cache != NULL ? cachefs_flush(s->sut.cache, NULL, NULL, 60000000) : APR_SUCCESS;
    if (rv != APR_SUCCESS)
        sweep_wrong(s, "flush answers \"%s\" when the faults are gone",
                    vfs_strerror(rv, text, sizeof text));
    for (size_t i = 0; i < TRACKS; i++)
        track_check_bottom(s, &s->tracks[i], "after the last flush");
    for (size_t i = 0; i < TRACKS; i++)
        track_check_end(s, &s->tracks[i]);
    rv = sut_close_upper(&s->sut);
    if (rv != APR_SUCCESS)
        sweep_wrong(s, "the end answers \"%s\"; VFS_EDIRTY: or handles are left open below",
                    vfs_strerror(rv, text, sizeof text));
    for (size_t i = 0; i < TRACKS; i++)
        track_check_bottom(s, &s->tracks[i], "after the end");
}

static int of_store; /* the calls to the store fail */

/* Where faults are injected. */
static vfs_t *faulty(const sweep_t *s)
{
    return of_store ? s->sut.bad_store : s->sut.fault;
}

/* One run. *injected: how many calls were made to fail. @return checks that did not hold. */
static unsigned run_once(const char *spec, const vfs_fault_t *fault, const char *name,
                         uint64_t *injected)
{
    static sweep_t s;
    char err[200];
    memset(&s, 0, sizeof s);
    s.fault = name;
    *injected = 0;
    apr_pool_create(&s.pool, NULL);
    if (sut_open(&s.sut, spec, KEYS, err, sizeof err, s.pool) != APR_SUCCESS) {
        printf("FAIL [%s] the stack: %s\n", spec, err);
        return 1;
    }
    s.fs = s.sut.fs;
    if (faulty(&s) == NULL || (fault != NULL && vfs_fault_add(faulty(&s), fault) != APR_SUCCESS)) {
        printf("FAIL [%s] %s: cannot be injected\n", spec, name);
        return 1;
    }
    sweep_scenario(&s);
    *injected = vfs_fault_injected(faulty(&s), NULL);
    vfs_fault_clear(faulty(&s));
    if (*injected == 0 && s.failed > 0)
        sweep_wrong(&s, "%u calls failed, and nothing was injected", s.failed);
    check_end(&s);
    if (sut_close(&s.sut) != APR_SUCCESS) sweep_wrong(&s, "the end of the backend failed");
    apr_pool_destroy(s.pool);
    return s.wrong;
}

/** Shared with the child. */
typedef struct progress_t {
    volatile uint64_t nth, runs;
    volatile unsigned wrong;
} progress_t;

static void sweep_nth(const char *spec, vfs_opid_e op, const kind_t *kind, uint64_t only,
                      progress_t *progress)
{
    uint64_t injected = 1;
    for (uint64_t n = only > 0 ? only : 1; n <= NTH_MAX && injected > 0; n++) {
        char name[100];
        vfs_fault_t fault = {
            .what = kind->what, .nth = n, .times = kind->times, .bytes = kind->bytes};
        VFS_FAULT_OP(fault, op);
        snprintf(name, sizeof name, "--op %s --what %s --nth %lu", vfs_op_name(op), kind->name,
                 (unsigned long)n);
        progress->nth = n;
        (void)alarm(HANG_SECONDS);
        unsigned wrong = run_once(spec, &fault, name, &injected);
        progress->wrong += wrong;
        progress->runs++;
        (void)fflush(stdout);                         /* so that it is known if the process dies */
        if (only > 0 || progress->wrong > 12) return; /* enough to see what is wrong with this op */
    }
    (void)alarm(0);
    if (injected > 0) {
        printf("FAIL [%s] --op %s --what %s: more calls than the sweep's %u\n", spec,
               vfs_op_name(op), kind->name, NTH_MAX);
        progress->wrong++;
    }
}

static void sweep_in_child(const char *spec, vfs_opid_e op, const kind_t *kind, uint64_t only,
                           progress_t *total)
{
    int status = 0;
    uint64_t first = only;
    progress_t *progress =
        mmap(NULL, sizeof *progress, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    VFS_ASSERT(progress != MAP_FAILED);
    (void)fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        sweep_nth(spec, op, kind, first, progress);
        exit(0); /* through the leak check of a sanitizer */
    }
    (void)waitpid(child, &status, 0); /* our own child, once */
    if (status != 0) {
        progress->wrong++;
        printf("FAIL [%s] --op %s --what %s --nth %lu: %s %d\n", spec, vfs_op_name(op), kind->name,
               (unsigned long)progress->nth, WIFSIGNALED(status) ? "signal" : "exit",
               WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    }
    total->runs += progress->runs;
    total->wrong += progress->wrong;
    (void)munmap(progress, sizeof *progress); /* ours, and nobody looks at it any more */
}

int main(int argc, char **argv)
{
    const char *spec = NULL, *op = NULL, *what = NULL;
    uint64_t nth = 0, injected;
    progress_t total = {0, 0, 0};
    apr_initialize();
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--op") == 0 && i + 1 < argc)
            op = argv[++i];
        else if (strcmp(argv[i], "--what") == 0 && i + 1 < argc)
            what = argv[++i];
        else if (strcmp(argv[i], "--nth") == 0 && i + 1 < argc)
            nth = strtoull(argv[++i], NULL, 0);
        else if (strcmp(argv[i], "--store") == 0)
            of_store = 1;
        else
            spec = argv[i];
    }
    if (spec == NULL || (op != NULL && vfs_op_by_name(op) == VFS_OPID_COUNT)) {
        fprintf(stderr, "usage: fault SPEC [--store] [--op NAME] [--what NAME] [--nth N]\n");
        return 2;
    }
    (void)alarm(HANG_SECONDS);
    total.wrong += run_once(spec, NULL, "no fault", &injected);
    (void)alarm(0);
    for (unsigned i = 0; i < VFS_OPID_COUNT; i++) {
        for (size_t k = 0; k < KINDS; k++) {
            if (applies(&kinds[k], (vfs_opid_e)i) &&
                (op == NULL || strcmp(op, vfs_op_name((vfs_opid_e)i)) == 0) &&
                (what == NULL || strcmp(what, kinds[k].name) == 0))
                sweep_in_child(spec, (vfs_opid_e)i, &kinds[k], nth, &total);
        }
    }
    printf("%s: %lu runs, %u checks did not hold\n", spec, (unsigned long)total.runs, total.wrong);
    return total.wrong == 0 && total.runs > 0 ? 0 : 1;
}
