/*
 * plugin_sick.c - a plug-in with the scheme "sick": a directory whose files named *bad* fail as the
 * URI says. Floor 4, for the tests of the program. sick:HOW:/dir, HOW one of eio, offline, flip,
 * nowrite, block (reads), ask (looking it up hangs), flaky; offline, block and flaky (one call in
 * ten) concern every file. sick:as:/dir is as the file /dir.mood says, while it runs: well, offline
 * or hang; /dir.now says how it is.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backends/backends.h"
#include "vfs/shims/shims.h"
#include "vfs/vfs_ops.h"

VFS_API apr_status_t vfs_plugin_init(uint32_t abi, apr_pool_t *pool);

typedef struct how_t {
    const char *name;
    vfs_fault_t fault;
} how_t;

static const how_t hows[] = {
    {"eio:", {.what = VFS_FAULT_ERROR, .glob = "/**/*bad*"}},
    {"offline:", {.what = VFS_FAULT_ERROR, .status = VFS_EOFFLINE}},
    {"flip:", {.what = VFS_FAULT_FLIP, .glob = "/**/*bad*"}},
    {"nowrite:", {.what = VFS_FAULT_ERROR, .status = VFS_EOFFLINE, .glob = "/**/*bad*"}},
    {"block:", {.what = VFS_FAULT_BLOCK}},
    {"ask:", {.what = VFS_FAULT_BLOCK, .glob = "/**/*bad*"}},
    {"flaky:", {.what = VFS_FAULT_ERROR, .probability = 0.1}},
};

static void choose_ops(vfs_fault_t *fault, const char *name)
{
    int flaky = strcmp(name, "flaky:") == 0;
    if (flaky || strcmp(name, "nowrite:") == 0) {
        VFS_FAULT_OP(*fault, VFS_OPID_write_at);
        VFS_FAULT_OP(*fault, VFS_OPID_writev_at);
        VFS_FAULT_OP(*fault, VFS_OPID_commit);
    }
    if (strcmp(name, "ask:") == 0) {
        VFS_FAULT_OP(*fault, VFS_OPID_stat);
        VFS_FAULT_OP(*fault, VFS_OPID_lstat);
        VFS_FAULT_OP(*fault, VFS_OPID_get);
    } else if (flaky || fault->what == VFS_FAULT_BLOCK) {
        VFS_FAULT_OP(*fault, VFS_OPID_get);
        VFS_FAULT_OP(*fault, VFS_OPID_read_at);
        VFS_FAULT_OP(*fault, VFS_OPID_readv_at);
        VFS_FAULT_OP(*fault, VFS_OPID_fetch);
    }
}

/* ---- moods */

#define MOOD_MAX 16

typedef struct moods_t {
    vfs_t *fault;
    char dir[VFS_PATH_MAX];
    char now[MOOD_MAX];
    atomic_int stop;
    pthread_t thread;
} moods_t;

static void read_mood(const char *dir, char mood[MOOD_MAX])
{
    char path[VFS_PATH_MAX + 8];
    (void)snprintf(path, sizeof(path), "%s.mood", dir);
    FILE *file = fopen(path, "re");
    mood[0] = '\0';
    if (file == NULL) return;
    if (fscanf(file, "%15s", mood) != 1) mood[0] = '\0';
    (void)fclose(file);
}

static void take_mood(moods_t *moods, const char *mood)
{
    vfs_fault_t fault = {.what = VFS_FAULT_ERROR, .status = VFS_EOFFLINE};
    char path[VFS_PATH_MAX + 8];
    vfs_fault_clear(moods->fault);
    if (strcmp(mood, "hang") == 0) fault.what = VFS_FAULT_BLOCK;
    if (strcmp(mood, "well") == 0)
        vfs_fault_release(moods->fault);
    else if (vfs_fault_add(moods->fault, &fault) != APR_SUCCESS)
        return;
    memcpy(moods->now, mood, MOOD_MAX);
    (void)snprintf(path, sizeof(path), "%s.now", moods->dir);
    FILE *file = fopen(path, "we");
    if (file == NULL) return;
    (void)fprintf(file, "%s\n", mood);
    (void)fclose(file);
}

static void *follow_moods(void *baton)
{
    static const struct timespec nap = {0, 10000000};
    moods_t *moods = baton;
    char mood[MOOD_MAX];
    while (!atomic_load(&moods->stop)) {
        read_mood(moods->dir, mood);
        if (mood[0] != '\0' && strcmp(mood, moods->now) != 0) take_mood(moods, mood);
        (void)nanosleep(&nap, NULL);
    }
    return NULL;
}

static apr_status_t end_moods(void *baton)
{
    moods_t *moods = baton;
    atomic_store(&moods->stop, 1);
    (void)pthread_join(moods->thread, NULL);
    free(moods);
    return APR_SUCCESS;
}

static apr_status_t moods_open(vfs_t **out, const char *dir, apr_pool_t *pool)
{
    vfs_t *local = NULL;
    moods_t *moods = calloc(1, sizeof(*moods));
    if (moods == NULL) return APR_ENOMEM;
    (void)snprintf(moods->dir, sizeof(moods->dir), "%s", dir);
    (void)strcpy(moods->now, "well");
    apr_status_t status = vfs_local_create(&local, dir, pool);
    if (status == APR_SUCCESS) status = vfs_fault_create(&moods->fault, local, 1, pool);
    if (status == APR_SUCCESS) status = pthread_create(&moods->thread, NULL, follow_moods, moods);
    if (status != APR_SUCCESS) return status; /* the test fails */
    *out = moods->fault;
    apr_pool_pre_cleanup_register((*out)->pool, moods, end_moods);
    return APR_SUCCESS;
}

static apr_status_t sick_open(vfs_t **out, const char *uri, char *err, size_t errlen,
                              apr_pool_t *pool)
{
    const char *rest = uri + strlen("sick:");
    vfs_t *local = NULL;
    (void)err;
    (void)errlen;
    if (strncmp(rest, "as:", 3) == 0) return moods_open(out, rest + 3, pool);
    for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++) {
        size_t len = strlen(hows[i].name);
        if (strncmp(rest, hows[i].name, len) != 0) continue;
        vfs_fault_t fault = hows[i].fault;
        choose_ops(&fault, hows[i].name);
        apr_status_t status = vfs_local_create(&local, rest + len, pool);
        if (status != APR_SUCCESS) return status;
        status = vfs_fault_create(out, local, 1, pool);
        if (status == APR_SUCCESS) return vfs_fault_add(*out, &fault);
        (void)vfs_destroy(local);
        return status;
    }
    return APR_EINVAL;
}

apr_status_t vfs_plugin_init(uint32_t abi, apr_pool_t *pool)
{
    (void)pool;
    if (abi != VFS_ABI) return VFS_EABI;
    return vfs_register_scheme("sick", sick_open);
}
