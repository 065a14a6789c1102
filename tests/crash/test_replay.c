/*
 * test_replay.c - the protocol of the journal, without the engine: a process that journals,
 * flushes, syncs, retires, renames and unlinks in the order that the protocol demands, over a store
 * and a lower layer that lose power together at any operation of either. After the recovery each
 * file is a prefix of its own history, and what was acknowledged is there.
 */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/backends.h"
#include "cachefs/store/replay.h"
#include "vfs/shims/shims.h"

#define FILES 3u
#define STATES 96u
#define FILE_BYTES 2048u

#define OK(e)                                                                                      \
    do {                                                                                           \
        apr_status_t st_ = (e);                                                                    \
        char text_[128];                                                                           \
        cr_assert(st_ == APR_SUCCESS, "%s: %s", #e, vfs_strerror(st_, text_, sizeof(text_)));      \
    } while (0)
#define CHECK(e) cr_assert((e), "%s", #e)
#define EQ(a, b) cr_assert((uint64_t)(a) == (uint64_t)(b), "%s is %" PRIu64, #a, (uint64_t)(a))

typedef struct state_t {
    uint32_t size;
    uint8_t bytes[FILE_BYTES];
} state_t;

/* A file and all that it has been. */
typedef struct file_t {
    int exists, acked_name; /* somebody was told that it is there */
    int gone;               /* its unlink went below */
    char name[16], old[16]; /* `old`: before a rename that may not be durable */
    vfs_file_t *f;
    uint64_t id, last; /* in the journal; 0: nothing there */
    int flush_noted;
    unsigned states, acked, below; /* of history: all; acknowledged; flushed */
    state_t *history;
} file_t;

typedef struct world_t {
    apr_pool_t *pool;
    vfs_t *mem[2], *crash[2]; /* store, lower */
    cachefs__journal_t *j;
    uint32_t seed;
    unsigned names;
    file_t files[FILES];
} world_t;

static const uint8_t origin[JOURNAL_ID_BYTES] = {3};

static uint32_t rnd(world_t *w)
{
    w->seed = w->seed * 1664525u + 1013904223u;
    return w->seed >> 8;
}

static void world_open(world_t *w, uint32_t seed)
{
    memset(w, 0, sizeof(*w));
    w->seed = seed;
    OK(apr_initialize());
    OK(apr_pool_create(&w->pool, NULL));
    for (int i = 0; i < 2; i++) {
        OK(vfs_mem_create(&w->mem[i], 0, w->pool));
        OK(vfs_crash_create(&w->crash[i], w->mem[i], w->pool));
    }
    for (unsigned i = 0; i < FILES; i++)
        CHECK((w->files[i].history = calloc(STATES, sizeof(state_t))) != NULL);
}

/* The process is gone. */
static void world_gone(world_t *w)
{
    for (unsigned i = 0; i < FILES; i++) {
        if (w->files[i].f) (void)vfs_close(w->files[i].f, NULL);
        w->files[i].f = NULL;
    }
    if (w->j) (void)cachefs__journal_close(w->j); /* its disk may be gone */
    w->j = NULL;
}

static void world_close(world_t *w)
{
    world_gone(w);
    for (int i = 0; i < 2; i++)
        OK(vfs_destroy_stack(w->crash[i]));
    apr_pool_destroy(w->pool);
    for (unsigned i = 0; i < FILES; i++)
        free(w->files[i].history);
}

static apr_status_t recover(world_t *w, cachefs__replayed_t *done)
{
    cachefs__joptions_t jo = {.fs = w->crash[0],
                              .dir = "/",
                              .origin = origin,
                              .bytes_max = 1u << 20,
                              .file_bytes = 16384};
    apr_status_t st = cachefs__journal_open(&w->j, &jo, NULL, 0);
    if (st) return st;
    EQ(cachefs__journal_found(w->j)->lost, 0);
    cachefs__replay_options_t ro = {.journal = w->j, .lower = w->crash[1]};
    return cachefs__replay(&ro, done);
}

/* ---- what the process does; each step in the order that the protocol demands */

static apr_status_t base(world_t *w, file_t *f, uint32_t flags)
{
    vfs_attr_t attr;
    uint64_t lsn;
    apr_status_t st = vfs_fstat(f->f, NULL, &attr);
    if (st) return st;
    cachefs__jbase_t b = {.dev = attr.dev,
                          .ino = attr.ino,
                          .born_ns = attr.btime_ns,
                          .mode = 0640,
                          .path = f->name,
                          .path_len = (uint32_t)strlen(f->name)};
    st = cachefs__journal_reserve(w->j, NULL, cachefs__jsize(JOURNAL_BASE_BYTES + b.path_len), 0);
    if (st) return st;
    uint64_t was = f->id;
    f->id = cachefs__journal_base(w->j, was, &b, flags, &lsn);
    f->last = lsn;
    if (!was) f->flush_noted = 0;
    return APR_SUCCESS;
}

static apr_status_t create(world_t *w, file_t *f)
{
    state_t *history = f->history;
    memset(f, 0, sizeof(*f));
    f->history = history;
    f->history[0] = (state_t){0};
    f->states = 1;
    (void)snprintf(f->name, sizeof(f->name), "/n%u", w->names++);
    apr_status_t st =
        vfs_open(&f->f, w->crash[1], NULL, f->name,
                 VFS_O_READ | VFS_O_WRITE | VFS_O_CREATE | VFS_O_EXCL, 0640, NULL, NULL);
    if (st) return st;
    f->exists = 1;
    return base(w, f, JOURNAL_CREATED);
}

static apr_status_t write_some(world_t *w, file_t *f)
{
    apr_status_t st = f->id ? APR_SUCCESS : base(w, f, 0);
    uint32_t len = 1 + rnd(w) % 400, off = rnd(w) % (FILE_BYTES - 400);
    uint8_t fill = (uint8_t)(1 + rnd(w) % 255);
    size_t room = cachefs__journal_write_bytes(len);
    if (f->states == STATES) return APR_SUCCESS;
    if (!st) st = cachefs__journal_reserve(w->j, NULL, room, 0);
    if (st) return st;
    state_t *s = &f->history[f->states];
    *s = f->history[f->states - 1];
    memset(s->bytes + off, fill, len);
    if (s->size < off + len) s->size = off + len;
    f->states++;
    f->last = cachefs__journal_write(w->j, f->id, off, 0, s->bytes + off, len);
    cachefs__journal_unreserve(w->j, room - cachefs__jsize(JOURNAL_WRITE_BYTES + len));
    return APR_SUCCESS;
}

/* The last state, in two records. */
static apr_status_t copies(world_t *w, file_t *f)
{
    const state_t *s = &f->history[f->states - 1];
    uint32_t cut = s->size / 2;
    apr_status_t st = APR_SUCCESS;
    for (int i = 0; i < 2 && !st; i++) {
        uint32_t at = i ? cut : 0, len = i ? s->size - cut : cut;
        if (!len) continue;
        st = cachefs__journal_reserve(w->j, NULL, cachefs__jsize(JOURNAL_WRITE_BYTES + len), 0);
        if (!st) f->last = cachefs__journal_write(w->j, f->id, at, 0, s->bytes + at, len);
    }
    return st;
}

/* All of it again, so that its older records can go. */
static apr_status_t copy(world_t *w, file_t *f)
{
    uint64_t last = f->last;
    if (!f->id) return APR_SUCCESS;
    apr_status_t st = base(w, f, f->acked_name ? 0 : JOURNAL_CREATED);
    uint64_t first = f->last;
    if (!st && f->flush_noted) st = cachefs__journal_note(w->j, NULL, JOURNAL_FLUSH, f->id, 0);
    if (!st) st = copies(w, f);
    if (!st) st = cachefs__journal_reserve(w->j, NULL, cachefs__jsize(8), 1);
    if (!st) (void)cachefs__journal_moved(w->j, f->id, last, first);
    return st;
}

/* What was written without a record gets one, as a whole. */
static apr_status_t take_in(world_t *w, file_t *f)
{
    if (f->id || f->states == STATES) return APR_SUCCESS;
    state_t *s = &f->history[f->states];
    *s = f->history[f->states - 1];
    memset(s->bytes, (int)(1 + rnd(w) % 255), 600);
    if (s->size < 600) s->size = 600;
    apr_status_t st = base(w, f, JOURNAL_PART);
    if (st) return st;
    f->states++;
    st = copies(w, f);
    return st ? st : base(w, f, 0);
}

static apr_status_t sync_it(world_t *w, file_t *f)
{
    apr_status_t st = f->id ? cachefs__journal_sync(w->j, NULL, f->last) : APR_SUCCESS;
    if (st) return st;
    f->acked = f->states - 1;
    f->acked_name = 1;
    return APR_SUCCESS;
}

/* All of it, or a part: the journal is durable first. */
static apr_status_t flush(world_t *w, file_t *f)
{
    const state_t *s = &f->history[f->states - 1];
    uint32_t cut = s->size ? rnd(w) % s->size : 0;
    size_t n;
    apr_status_t st = APR_SUCCESS;
    if (!f->id || f->below == f->states - 1) return st;
    if (!f->flush_noted) st = cachefs__journal_note(w->j, NULL, JOURNAL_FLUSH, f->id, 0);
    f->flush_noted = 1;
    if (!st) st = cachefs__journal_sync(w->j, NULL, f->last);
    if (!st) st = vfs_write_at(f->f, NULL, s->bytes, cut, 0, &n, NULL);
    if (!st && rnd(w) % 4)
        st = vfs_write_at(f->f, NULL, s->bytes + cut, s->size - cut, (apr_off_t)cut, &n, NULL);
    else
        return st;
    if (!st) f->below = f->states - 1;
    return st;
}

/* Flushed, synced below, then retired; writes that came since have an id of their own. */
static apr_status_t retire(world_t *w, file_t *f)
{
    if (!f->id || f->below != f->states - 1) return APR_SUCCESS;
    apr_status_t st = vfs_sync(f->f, NULL, VFS_SYNC_ALL);
    if (!st) st = cachefs__journal_note(w->j, NULL, JOURNAL_RETIRE, f->id, f->last);
    if (!st) f->id = 0;
    return st;
}

static apr_status_t rename_it(world_t *w, file_t *f)
{
    char to[16];
    uint64_t move;
    (void)snprintf(to, sizeof(to), "/r%u", w->names++);
    apr_status_t st = cachefs__journal_rename(w->j, NULL, f->name, to, 0, &move);
    if (st) return st;
    memcpy(f->old, f->name, sizeof(to)); /* from here on it may have either */
    memcpy(f->name, to, sizeof(to));
    if (!f->id && rnd(w) % 2) { /* somebody writes meanwhile, and knows the old name */
        memcpy(f->name, f->old, sizeof(to));
        st = write_some(w, f);
        memcpy(f->name, to, sizeof(to));
    }
    if (!st) st = vfs_rename(w->crash[1], NULL, f->old, to, 0);
    if (!st && rnd(w) % 2) st = write_some(w, f);
    if (!st && rnd(w) % 2) st = sync_it(w, f);
    if (!st && f->id) st = base(w, f, 0); /* its new name */
    if (!st) st = vfs_sync_dir(w->crash[1], NULL, "/");
    if (!st) st = cachefs__journal_note(w->j, NULL, JOURNAL_RETIRE, move, INT64_MAX);
    if (!st) f->old[0] = 0;
    return st;
}

static apr_status_t unlink_it(world_t *w, file_t *f)
{
    apr_status_t st = APR_SUCCESS;
    f->gone = 1; /* whoever asked for that has no answer yet */
    if (f->id) st = cachefs__journal_note(w->j, NULL, JOURNAL_DROP, f->id, 0);
    if (st) return st;
    st = vfs_unlink(w->crash[1], NULL, f->name);
    if (!st) st = vfs_sync_dir(w->crash[1], NULL, "/"); /* or it comes back without its data */
    if (!st && f->id) st = cachefs__journal_note(w->j, NULL, JOURNAL_DISCARD, f->id, f->last);
    if (st) return st;
    (void)vfs_close(f->f, NULL);
    f->f = NULL;
    f->exists = 0;
    return APR_SUCCESS;
}

static apr_status_t step(world_t *w)
{
    file_t *f = &w->files[rnd(w) % FILES];
    uint32_t what = rnd(w) % 23;
    if (!f->exists) return create(w, f);
    if (what < 8) return write_some(w, f);
    if (what < 11) return sync_it(w, f);
    if (what < 14) return flush(w, f);
    if (what < 16) return retire(w, f);
    if (what == 16) return f->old[0] ? APR_SUCCESS : rename_it(w, f);
    if (what == 17) return unlink_it(w, f);
    if (what == 18) return cachefs__journal_trim(w->j);
    if (what == 19 || what == 20) return copy(w, f);
    if (what == 21) return take_in(w, f);
    cachefs__journal_mark(w->j);
    return APR_SUCCESS;
}

/* ---- what is there after the recovery */

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

static int is_state(const state_t *a, const state_t *b)
{
    return a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

static void check(world_t *w)
{
    for (unsigned i = 0; i < FILES; i++) {
        file_t *f = &w->files[i];
        state_t s, t;
        int here = read_all(w->mem[1], f->name, &s), there = read_all(w->mem[1], f->old, &t);
        CHECK(!(here && there));
        if (there) s = t;
        if (!here && !there) {
            cr_assert(!f->acked_name || f->gone, "%s was acknowledged and is not there", f->name);
            continue;
        }
        unsigned k = f->acked;
        while (k < f->states && !is_state(&s, &f->history[k]))
            k++;
        cr_assert(k < f->states, "%s is no prefix of its history from %u of %u on", f->name,
                  f->acked, f->states);
    }
    vfs_dir_t *dir;
    vfs_dirent_t e;
    OK(vfs_opendir(&dir, w->mem[1], NULL, "/", 0));
    while (!vfs_readdir(dir, NULL, &e))
        CHECK(strstr(e.name, ".conflict-") == NULL); /* nobody else was here */
    OK(vfs_closedir(dir));
}

/* ---- losing power */

typedef struct how_t {
    vfs_crash_e how;
    uint64_t seed, tear;
} how_t;

static const how_t hows[] = {{VFS_CRASH_KEEP_ALL, 0, 0},     {VFS_CRASH_DROP_UNSYNCED, 0, 0},
                             {VFS_CRASH_RANDOM, 1, 0},       {VFS_CRASH_RANDOM, 2, 0},
                             {VFS_CRASH_TEAR_LAST, 0, 0},    {VFS_CRASH_TEAR_LAST, 0, 512},
                             {VFS_CRASH_TEAR_LAST, 0, 1024}, {VFS_CRASH_RANDOM, 3, 0}};
#define HOWS (sizeof(hows) / sizeof(hows[0]))

static void power(world_t *w, size_t store, size_t lower)
{
    const how_t *h[2] = {&hows[store % HOWS], &hows[lower % HOWS]};
    for (int i = 0; i < 2; i++)
        OK(vfs_crash_now(w->crash[i], h[i]->how, h[i]->seed, h[i]->tear));
    world_gone(w);
    for (int i = 0; i < 2; i++)
        vfs_crash_restart(w->crash[i]);
}

static void live(world_t *w, unsigned steps)
{
    cachefs__replayed_t done;
    apr_status_t st = recover(w, &done);
    for (unsigned i = 0; i < steps && !st; i++)
        st = step(w);
}

/* At the k-th operation of the store or of the lower layer, for every k. */
static void every_operation(int which, uint32_t seed)
{
    for (uint64_t k = 1, over = 0; !over; k++)
        for (size_t h = 0; h < HOWS; h++) {
            world_t w;
            cachefs__replayed_t done;
            world_open(&w, seed);
            vfs_crash_at(w.crash[which], k);
            live(&w, 120);
            over = vfs_crash_ops(w.crash[which]) < k;
            power(&w, h, h * 3 + k);
            OK(recover(&w, &done));
            check(&w);
            world_close(&w);
        }
}

Test(replay, after_a_loss_at_each_operation_of_the_store_files_are_prefixes)
{
    for (uint32_t seed = 1; seed <= 4; seed++)
        every_operation(0, seed);
}

Test(replay, after_a_loss_at_each_operation_of_the_lower_layer_files_are_prefixes)
{
    for (uint32_t seed = 11; seed <= 16; seed++)
        every_operation(1, seed);
}

/* Power goes again at the n-th operation of the recovery, for every n, on either side. */
static void recovery_is_interrupted(int which, uint64_t k, uint32_t seed)
{
    for (uint64_t n = 1, over = 0; !over; n++) {
        world_t w;
        cachefs__replayed_t done;
        world_open(&w, seed);
        vfs_crash_at(w.crash[0], k);
        live(&w, 120);
        power(&w, k, k + n);
        uint64_t before = vfs_crash_ops(w.crash[which]);
        vfs_crash_at(w.crash[which], n);
        apr_status_t st = recover(&w, &done);
        over = vfs_crash_ops(w.crash[which]) - before < n;
        CHECK(!over || !st);
        power(&w, n + 1, n + k);
        OK(recover(&w, &done));
        check(&w);
        world_close(&w);
    }
}

Test(replay, a_recovery_that_is_interrupted_is_done_again)
{
    for (uint64_t k = 10; k < 200; k += 17)
        for (int which = 0; which < 2; which++)
            recovery_is_interrupted(which, k, (uint32_t)k);
}

/* ---- others were here */

typedef enum others_e { OTHERS_WRITE, OTHERS_REMOVE, OTHERS_REPLACE, OTHERS } others_e;

static void put(vfs_t *fs, const char *path, const char *text)
{
    OK(vfs_write_file(fs, NULL, path, text, strlen(text), 0644));
}

/* "base" was synced below; "ours" is in the journal; then others come. */
static void others_come(world_t *w, others_e what)
{
    cachefs__replayed_t done;
    vfs_validator_t validator;
    vfs_attr_t attr;
    uint64_t lsn;
    world_open(w, 1);
    OK(recover(w, &done));
    put(w->mem[1], "/f", "base");
    vfs_path_t path = {.str = "/f", .len = 2, .hash = vfs_path_hash("/f", 2)};
    OK(vfs_call_stat(w->crash[1], NULL, &path, &attr, &validator));
    cachefs__jbase_t b = {.ino = attr.ino,
                          .born_ns = attr.btime_ns,
                          .validator = validator,
                          .path = "/f",
                          .path_len = 2};
    OK(cachefs__journal_reserve(w->j, NULL, 4096, 0));
    uint64_t id = cachefs__journal_base(w->j, 0, &b, 0, &lsn);
    (void)cachefs__journal_write(w->j, id, 2, 0, "ours", 4);
    b.validator.kind = VFS_VALIDATOR_NONE; /* written again during a flush: another id */
    id = cachefs__journal_base(w->j, 0, &b, 0, &lsn);
    lsn = cachefs__journal_write(w->j, id, 6, 0, "!", 1);
    OK(cachefs__journal_sync(w->j, NULL, lsn));
    world_gone(w);
    if (what != OTHERS_WRITE) OK(vfs_unlink(w->mem[1], NULL, "/f"));
    if (what != OTHERS_REMOVE) put(w->mem[1], "/f", "theirs");
}

static apr_status_t recover_by(world_t *w, cachefs_conflict_e how, int dry,
                               cachefs__replayed_t *done)
{
    cachefs__joptions_t jo = {
        .fs = w->crash[0], .dir = "/", .origin = origin, .bytes_max = 1u << 20};
    OK(cachefs__journal_open(&w->j, &jo, NULL, 0));
    cachefs__replay_options_t ro = {
        .journal = w->j, .lower = w->crash[1], .conflict = how, .dry = dry};
    return cachefs__replay(&ro, done);
}

/* The text of /f, or of its only conflict copy; "": none. */
static void text_of(world_t *w, int conflict, char *out, size_t size)
{
    vfs_dir_t *dir;
    vfs_dirent_t e;
    unsigned n = 0;
    out[0] = 0;
    OK(vfs_opendir(&dir, w->mem[1], NULL, "/", 0));
    while (!vfs_readdir(dir, NULL, &e)) {
        char path[300];
        state_t s;
        if (conflict ? !strstr(e.name, "f.conflict-") : strcmp(e.name, "f") != 0) continue;
        (void)snprintf(path, sizeof(path), "/%s", e.name);
        CHECK(read_all(w->mem[1], path, &s) && s.size < size);
        memcpy(out, s.bytes, s.size);
        out[s.size] = 0;
        n++;
    }
    OK(vfs_closedir(dir));
    CHECK(n <= 1);
}

Test(replay, what_others_changed_is_settled_by_the_policy)
{
    static const struct {
        cachefs_conflict_e how;
        others_e what;
        const char *there, *beside;
    } cases[] = {
        {CACHEFS_KEEP_BOTH, OTHERS_WRITE, "theirs", "thours!"},
        {CACHEFS_KEEP_BOTH, OTHERS_REPLACE, "theirs", "thours!"},
        {CACHEFS_OURS, OTHERS_WRITE, "thours!", ""},
        {CACHEFS_OURS, OTHERS_REPLACE, "thours!", ""},
        {CACHEFS_THEIRS, OTHERS_WRITE, "theirs", ""},
        {CACHEFS_THEIRS, OTHERS_REPLACE, "theirs", ""},
        {CACHEFS_THEIRS, OTHERS_REMOVE, "", ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world_t w;
        cachefs__replayed_t done;
        char text[64];
        others_come(&w, cases[i].what);
        OK(recover_by(&w, cases[i].how, 0, &done));
        EQ(done.conflicts, 1);
        text_of(&w, 0, text, sizeof(text));
        cr_assert_str_eq(text, cases[i].there);
        text_of(&w, 1, text, sizeof(text));
        cr_assert_str_eq(text, cases[i].beside);
        world_gone(&w);
        OK(recover_by(&w, cases[i].how, 0, &done)); /* that was all */
        EQ(done.objects, 0);
        world_close(&w);
    }
}

Test(replay, a_file_that_others_removed_is_kept_beside)
{
    world_t w;
    cachefs__replayed_t done;
    char text[64];
    others_come(&w, OTHERS_REMOVE);
    OK(recover_by(&w, CACHEFS_KEEP_BOTH, 0, &done));
    text_of(&w, 0, text, sizeof(text));
    EQ(text[0], 0);
    text_of(&w, 1, text, sizeof(text));
    CHECK(memcmp(text, "\0\0ours!", 8) == 0);
    world_close(&w);
}

Test(replay, a_dry_run_changes_nothing)
{
    world_t w;
    cachefs__replayed_t done;
    char text[64];
    others_come(&w, OTHERS_WRITE);
    uint64_t store = vfs_crash_ops(w.crash[0]), lower = vfs_crash_ops(w.crash[1]);
    OK(recover_by(&w, CACHEFS_KEEP_BOTH, 1, &done));
    EQ(done.objects, 2);
    EQ(done.writes, 2);
    EQ(done.conflicts, 1);
    world_gone(&w);
    EQ(vfs_crash_ops(w.crash[0]), store);
    EQ(vfs_crash_ops(w.crash[1]), lower);
    OK(recover_by(&w, CACHEFS_OURS, 0, &done));
    text_of(&w, 0, text, sizeof(text));
    cr_assert_str_eq(text, "thours!");
    world_close(&w);
}
