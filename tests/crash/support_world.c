/*
 * support_world.c - see support_world.h.
 */
#include "tests/crash/support_world.h"

#include <stdarg.h>
#include <sys/wait.h>
#include <unistd.h>

static int apart; /* in a process of world_apart: the test's own hears of it by our end */

void world_wrong(const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (!apart) cr_assert_fail("%s", text);
    (void)fprintf(stderr, "%s\n", text);
    _exit(2);
}

static const uint8_t origin[JOURNAL_ID_BYTES] = {3};

static uint32_t rnd(world_t *w)
{
    w->seed = w->seed * 1664525u + 1013904223u;
    return w->seed >> 8;
}

/* The last write that was carried out is the one that a power loss can tear. */
static void hear(void *baton, const char *line)
{
    world_t *w = baton;
    const char *len = strstr(line, " len=");
    if (strncmp(line, "write_at ", 9) == 0 && len && strstr(line, "-> ok"))
        w->written = strtoull(len + 5, NULL, 10);
}

void world_open(world_t *w, uint32_t seed)
{
    memset(w, 0, sizeof(*w));
    w->seed = seed;
    OK(apr_initialize());
    OK(apr_pool_create(&w->pool, NULL));
    OK(vfs_mem_create(&w->mem, 0, w->pool));
    OK(vfs_crash_create(&w->crash, w->mem, w->pool));
    OK(vfs_mkdir(w->crash, NULL, "/store", 0700));
    OK(vfs_mkdir(w->crash, NULL, "/lower", 0700));
    OK(vfs_sync_fs(w->crash, NULL));
    OK(vfs_trace_create(&w->trace, w->crash, hear, w, w->pool));
    OK(vfs_sub_create(&w->sub, w->trace, "/store", w->pool));
    OK(vfs_fault_create(&w->store, w->sub, 1, w->pool));
    OK(vfs_sub_create(&w->lower, w->trace, "/lower", w->pool));
    for (unsigned i = 0; i < FILES; i++)
        CHECK((w->files[i].history = calloc(STATES, sizeof(state_t))) != NULL);
}

apr_status_t world_begin(world_t *w)
{
    static const char *const keys[][2] = {
        {"mode", "back"},          {"ram", "4m"},
        {"flush_interval", "1h"},  {"dirty_age", "1h"},
        {"flush_on_close", "off"}, {"pressure", "off"},
        {"attr_ttl", "1h"},        {"workers", "1"},
    };
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    char err[256];
    cachefs__joptions_t jo = {
        .fs = w->store, .dir = "/", .origin = origin, .bytes_max = 1u << 20, .file_bytes = 32768};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        OK(cachefs_config_set(&config, keys[i][0], keys[i][1], err, sizeof(err), w->pool));
    OK(cachefs_create(&w->fs, w->lower, &config, err, sizeof(err), w->pool));
    return cachefs__durable_attach(w->fs->state, &jo, err, sizeof(err));
}

/* The process is gone: what it does from now on reaches neither disk. */
void world_gone(world_t *w)
{
    for (unsigned i = 0; i < FILES; i++) {
        if (w->files[i].f) (void)vfs_close(w->files[i].f, NULL);
        w->files[i].f = NULL;
    }
    if (w->fs) (void)cachefs_destroy(w->fs, CACHEFS_END_DISCARD, 0, NULL);
    w->fs = NULL;
}

void world_close(world_t *w)
{
    world_gone(w);
    OK(vfs_destroy(w->store));
    OK(vfs_destroy(w->sub));
    OK(vfs_destroy(w->lower));
    OK(vfs_destroy_stack(w->trace));
    apr_pool_destroy(w->pool);
    for (unsigned i = 0; i < FILES; i++)
        free(w->files[i].history);
}

int world_power_is_off(world_t *w)
{
    vfs_attr_t attr;
    return vfs_stat(w->crash, NULL, "/", &attr) == VFS_EOFFLINE;
}

/* ---- steps. What was asked for may have been done, whatever the answer. */

static apr_status_t create(world_t *w, file_t *f)
{
    state_t *history = f->history;
    memset(f, 0, sizeof(*f));
    f->history = history;
    f->history[0] = (state_t){0};
    f->states = 1;
    (void)snprintf(f->name, sizeof(f->name), "/n%u", w->names++);
    apr_status_t st = vfs_open(&f->f, w->fs, NULL, f->name, VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE,
                               0640, NULL, NULL);
    if (st) f->f = NULL;
    f->exists = !st || world_power_is_off(w); /* else it is made again, by another name */
    return st;
}

static state_t *next_state(file_t *f)
{
    if (f->states == STATES) return NULL;
    f->history[f->states] = f->history[f->states - 1];
    return &f->history[f->states++];
}

static apr_status_t write_some(world_t *w, file_t *f)
{
    uint32_t len = 1 + rnd(w) % 600, off = rnd(w) % (FILE_BYTES - 600);
    uint8_t fill = (uint8_t)(1 + rnd(w) % 255);
    size_t n;
    state_t *s = next_state(f);
    if (!s) return APR_SUCCESS;
    memset(s->bytes + off, fill, len);
    if (s->size < off + len) s->size = off + len;
    return vfs_write_at(f->f, NULL, s->bytes + off, len, (apr_off_t)off, &n, NULL);
}

static apr_status_t cut(world_t *w, file_t *f)
{
    state_t *s = next_state(f);
    if (!s) return APR_SUCCESS;
    uint32_t size = s->size ? rnd(w) % s->size : 0;
    memset(s->bytes + size, 0, FILE_BYTES - size);
    s->size = size;
    return vfs_ftruncate(f->f, NULL, (apr_off_t)size);
}

static apr_status_t sync_it(world_t *w, file_t *f)
{
    apr_status_t st = vfs_sync(f->f, NULL, rnd(w) % 2 ? VFS_SYNC_DATA : VFS_SYNC_ALL);
    if (st) return st;
    f->acked = f->states - 1;
    f->acked_name = 1;
    return APR_SUCCESS;
}

/* With its journal the cache makes the new name durable at once. Without it a power loss may bring
 * the old one back. */
static apr_status_t rename_it(world_t *w, file_t *f)
{
    const cache_t *c = w->fs->state;
    if (f->old[0]) return APR_SUCCESS;
    memcpy(f->old, f->name, sizeof(f->old));
    (void)snprintf(f->name, sizeof(f->name), "/r%u", w->names++);
    apr_status_t st = vfs_rename(w->fs, NULL, f->old, f->name, 0);
    if (!st && !world_power_is_off(w) && !atomic_load(&c->journal_state)) f->old[0] = 0;
    if (st && !world_power_is_off(w)) { /* refused */
        memcpy(f->name, f->old, sizeof(f->old));
        f->old[0] = 0;
    }
    return st;
}

static apr_status_t unlink_it(world_t *w, file_t *f)
{
    apr_status_t st = vfs_unlink(w->fs, NULL, f->name);
    if (!st || world_power_is_off(w)) f->gone = 1;
    if (!st && f->f) {
        vfs_file_t *was = f->f;
        f->f = NULL;
        st = vfs_close(was, NULL);
    }
    if (!st) f->exists = 0;
    return st;
}

static apr_status_t reopen(world_t *w, file_t *f)
{
    vfs_file_t *was = f->f;
    f->f = NULL;
    apr_status_t st = vfs_close(was, NULL);
    if (!st) st = vfs_open(&f->f, w->fs, NULL, f->name, VFS_O_READ | VFS_O_WRITE, 0, NULL, NULL);
    if (st) f->f = NULL;
    return st;
}

static apr_status_t step(world_t *w)
{
    file_t *f = &w->files[rnd(w) % FILES];
    uint32_t what = rnd(w) % 24;
    if (!f->exists) return create(w, f);
    if (what < 9) return write_some(w, f);
    if (what < 13) return sync_it(w, f);
    if (what < 15) return vfs_flush(f->f, NULL);
    if (what == 15) return cut(w, f);
    if (what == 16) return rename_it(w, f);
    if (what == 17) return unlink_it(w, f);
    if (what == 18) return reopen(w, f);
    if (what == 19) return vfs_fchmod(f->f, NULL, 0600 + rnd(w) % 64);
    if (what == 20) return cachefs_flush(w->fs, NULL, NULL, 0);
    cachefs__durable_round(w->fs->state);
    return APR_SUCCESS;
}

/* ---- what is there after the recovery, through the cache */

static int read_all(vfs_t *fs, const char *name, state_t *s)
{
    vfs_file_t *f;
    size_t n;
    memset(s, 0, sizeof(*s));
    if (!name[0] || vfs_open(&f, fs, NULL, name, VFS_O_READ, 0, NULL, NULL)) return 0;
    OK(vfs_read_at(f, NULL, s->bytes, FILE_BYTES, 0, &n));
    s->size = (uint32_t)n;
    OK(vfs_close(f, NULL));
    return 1;
}

/* Is each byte that of one of the states since the last one that was acknowledged, and the size
 * between theirs? */
static int is_mixture(const file_t *f, const state_t *s)
{
    uint32_t least = UINT32_MAX, most = 0;
    for (unsigned k = f->acked; k < f->states; k++) {
        if (f->history[k].size < least) least = f->history[k].size;
        if (f->history[k].size > most) most = f->history[k].size;
    }
    if (s->size < least || s->size > most) return 0;
    for (uint32_t i = 0; i < s->size; i++) {
        int known = 0;
        for (unsigned k = f->acked; k < f->states && !known; k++)
            known = f->history[k].bytes[i] == s->bytes[i];
        if (!known) return 0;
    }
    return 1;
}

static int is_prefix(const file_t *f, const state_t *s)
{
    for (unsigned k = f->acked; k < f->states; k++)
        if (s->size == f->history[k].size && !memcmp(s->bytes, f->history[k].bytes, s->size))
            return 1;
    return 0;
}

static void check_files(world_t *w, int (*is_right)(const file_t *f, const state_t *s))
{
    for (unsigned i = 0; i < FILES; i++) {
        file_t *f = &w->files[i];
        state_t s, t;
        int here = read_all(w->fs, f->name, &s), there = read_all(w->fs, f->old, &t), right;
        CHECK(!(here && there));
        if (there) s = t;
        if (here || there)
            right = is_right(f, &s);
        else
            right = !f->acked_name || f->gone;
        if (!right)
            world_wrong("%s, of which %u of %u states were acknowledged: %s", f->name, f->acked,
                        f->states, here || there ? "it never was as it is" : "it is not there");
    }
}

void world_check_acknowledged(world_t *w)
{
    check_files(w, is_mixture);
}

void world_check(world_t *w)
{
    vfs_dir_t *dir;
    vfs_dirent_t e;
    check_files(w, is_prefix);
    OK(vfs_opendir(&dir, w->mem, NULL, "/lower", 0));
    while (!vfs_readdir(dir, NULL, &e))
        if (strstr(e.name, ".conflict-")) world_wrong("%s: nobody else was here", e.name);
    OK(vfs_closedir(dir));
}

/* ---- losing power */

#define SECTOR 512u

size_t world_ways(const world_t *w)
{
    size_t tears = (size_t)((w->written + SECTOR - 1) / SECTOR);
    return tears < WORLD_WAYS - WORLD_TEARS_FROM ? WORLD_WAYS : WORLD_TEARS_FROM + tears;
}

void world_power(world_t *w, size_t k)
{
    static const vfs_crash_e hows[WORLD_TEARS_FROM] = {VFS_CRASH_KEEP_ALL, VFS_CRASH_DROP_UNSYNCED,
                                                       VFS_CRASH_RANDOM, VFS_CRASH_RANDOM};
    size_t way = k % world_ways(w);
    uint64_t tear = way < WORLD_TEARS_FROM ? 0 : (way - WORLD_TEARS_FROM) * SECTOR;
    OK(vfs_crash_now(w->crash, way < WORLD_TEARS_FROM ? hows[way] : VFS_CRASH_TEAR_LAST, way,
                     tear));
    world_gone(w);
    vfs_crash_restart(w->crash);
}

int world_apart(world_t *w, int (*fn)(world_t *w, size_t a, size_t b), size_t a, size_t b)
{
    int status;
    (void)fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid == 0) {
        apart = 1;
        _exit(fn(w, a, b) != 0);
    }
    CHECK(waitpid(pid, &status, 0) == pid);
    if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
        world_wrong("%zu, %zu: its process ended with status %#x", a, b, (unsigned)status);
    return WEXITSTATUS(status);
}

void world_live(world_t *w, unsigned steps)
{
    if (world_begin(w)) return;
    for (unsigned i = 0; i < steps && !world_power_is_off(w); i++)
        (void)step(w); /* what failed was not acknowledged */
}
