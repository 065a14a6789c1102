/*
 * test_crash_model.c - the crash shim against a model: all short sequences of operations on two
 * names, and what may be left of them. tier: short
 *
 * The model knows one directory, two names, and files as strings. It keeps the durable state and
 * the changes since, as the documentation describes them, and lists the survivors by trying every
 * subset of the changes. A power loss that drops all must leave exactly the durable state, one that
 * drops by chance must leave a survivor from the list, and over many seeds must leave more than one
 * of them.
 */
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "tests/shims/support_shims.h"

enum { NAMES = 2, FILES = 8, CHANGES = 16, TEXT = 8, SURVIVORS = 4096 };
static const char *const names[NAMES] = {"/a", "/b"};

/* A file as a string; len -1 stands for no file where a name has none. */
typedef struct text_t {
    int len;
    char bytes[TEXT];
} text_t;

/* A change since the last sync: of a file (write or cut), or of names. */
typedef struct mchange_t {
    int file; /* of a file; -1: of names */
    int cut;  /* set this length first; -1: no */
    int off;
    char byte; /* 0: no write */
    int made;  /* of names: the file whose own name it is; -1 */
    int nedits;
    struct {
        int name, to; /* the file it means now; -1: none */
    } edits[2];
} mchange_t;

typedef struct model_t {
    int durable_name[NAMES], name[NAMES]; /* -1 or a file */
    text_t durable[FILES], now[FILES];
    int nfiles;
    mchange_t changes[CHANGES];
    int nchanges;
} model_t;

typedef struct state_t {
    text_t text[NAMES];
} state_t;

static void text_apply(text_t *t, const mchange_t *c)
{
    if (c->cut >= 0) {
        for (int i = t->len; i < c->cut; i++)
            t->bytes[i] = 0;
        t->len = c->cut;
    }
    if (c->byte == 0) return;
    for (int i = t->len; i < c->off; i++)
        t->bytes[i] = 0;
    t->bytes[c->off] = c->byte;
    if (t->len < c->off + 1) t->len = c->off + 1;
}

static mchange_t *change(model_t *m, int file)
{
    mchange_t *c = &m->changes[m->nchanges++];
    cr_assert(m->nchanges <= CHANGES);
    *c = (mchange_t){.file = file, .cut = -1, .made = -1};
    return c;
}

static void edit(mchange_t *c, int name, int to)
{
    c->edits[c->nedits].name = name;
    c->edits[c->nedits++].to = to;
}

static int model_file(model_t *m, int name)
{
    if (m->name[name] >= 0) return m->name[name];
    int file = m->nfiles++;
    cr_assert(file < FILES);
    m->durable[file].len = m->now[file].len = 0;
    mchange_t *c = change(m, -1);
    c->made = file;
    edit(c, name, file);
    m->name[name] = file;
    return file;
}

static int touches(const mchange_t *c, int name)
{
    for (int e = 0; e < c->nedits; e++)
        if (c->edits[e].name == name) return 1;
    return 0;
}

/* Must `later` have `earlier`? Both are of names. */
static int needs(const mchange_t *later, const mchange_t *earlier)
{
    return (touches(later, 0) && touches(earlier, 0)) || (touches(later, 1) && touches(earlier, 1));
}

static void model_durable(model_t *m, int *durable)
{
    for (int l = m->nchanges - 1; l >= 0; l--)
        for (int e = 0; e < l && durable[l] && m->changes[l].file < 0; e++)
            if (m->changes[e].file < 0 && needs(&m->changes[l], &m->changes[e])) durable[e] = 1;
    int kept = 0;
    for (int i = 0; i < m->nchanges; i++) {
        mchange_t *c = &m->changes[i];
        if (!durable[i]) {
            m->changes[kept++] = *c;
            continue;
        }
        if (c->file >= 0) text_apply(&m->durable[c->file], c);
        for (int e = 0; e < c->nedits; e++)
            m->durable_name[c->edits[e].name] = c->edits[e].to;
    }
    m->nchanges = kept;
}

/* ---- the steps, in the model and in the shim */

typedef enum step_e {
    WRITE_A = 0,
    WRITE_B,
    CUT_A,
    RESET_A,
    A_TO_B,
    B_TO_A,
    SWAP,
    UNLINK_A,
    LINK_A_B,
    SYNC_A,
    SYNC_B,
    SYNC_DIR,
    STEPS
} step_e;

static void model_rename(model_t *m, int from, int to)
{
    if (m->name[from] < 0 || m->name[from] == m->name[to]) return;
    mchange_t *c = change(m, -1);
    edit(c, from, -1);
    edit(c, to, m->name[from]);
    m->name[to] = m->name[from];
    m->name[from] = -1;
}

static void model_bytes(model_t *m, int name, int cut, int off, char byte)
{
    int file = model_file(m, name);
    if (byte == 0 && cut == 0 && m->now[file].len == 0) return; /* O_TRUNC of nothing */
    mchange_t *c = change(m, file);
    c->cut = cut;
    c->off = off;
    c->byte = byte;
    text_apply(&m->now[file], c);
}

static void model_sync(model_t *m, int name)
{
    int durable[CHANGES] = {0};
    if (m->name[name] < 0) return;
    for (int i = 0; i < m->nchanges; i++)
        durable[i] = m->changes[i].file == m->name[name] ||
                     (m->changes[i].file < 0 && m->changes[i].made == m->name[name]);
    model_durable(m, durable);
}

static void model_sync_dir(model_t *m)
{
    int durable[CHANGES] = {0};
    for (int i = 0; i < m->nchanges; i++)
        durable[i] = m->changes[i].file < 0;
    model_durable(m, durable);
}

static void model_step(model_t *m, step_e step, int i)
{
    switch (step) {
    case WRITE_A:
        model_bytes(m, 0, -1, i % 3, (char)('A' + i));
        break;
    case WRITE_B:
        model_bytes(m, 1, -1, i % 2, (char)('A' + i));
        break;
    case CUT_A:
        if (m->name[0] >= 0) model_bytes(m, 0, 2, 0, 0);
        break;
    case RESET_A:
        model_bytes(m, 0, 0, 0, 0);
        break;
    case A_TO_B:
        model_rename(m, 0, 1);
        break;
    case B_TO_A:
        model_rename(m, 1, 0);
        break;
    case SWAP:
        if (m->name[0] >= 0 && m->name[1] >= 0 && m->name[0] != m->name[1]) {
            mchange_t *c = change(m, -1);
            int a = m->name[0];
            edit(c, 0, m->name[1]);
            edit(c, 1, a);
            m->name[0] = m->name[1];
            m->name[1] = a;
        }
        break;
    case UNLINK_A:
        if (m->name[0] >= 0) edit(change(m, -1), 0, -1);
        m->name[0] = -1;
        break;
    case LINK_A_B:
        if (m->name[0] >= 0 && m->name[1] < 0) {
            m->name[1] = m->name[0];
            edit(change(m, -1), 1, m->name[0]);
        }
        break;
    case SYNC_A:
        model_sync(m, 0);
        break;
    case SYNC_B:
        model_sync(m, 1);
        break;
    case SYNC_DIR:
        model_sync_dir(m);
        break;
    default:
        cr_assert_fail("no such step");
    }
}

static void write_byte(vfs_t *fs, const char *path, int off, char byte)
{
    size_t n;
    vfs_file_t *file = test_open(fs, path, VFS_O_WRITE | VFS_O_CREATE);
    cr_assert_eq(vfs_write_at(file, NULL, &byte, 1, off, &n, NULL), APR_SUCCESS);
    vfs_close(file, NULL);
}

static void sync_path(vfs_t *fs, const char *path)
{
    vfs_file_t *file;
    if (vfs_open(&file, fs, NULL, path, VFS_O_READ, 0, NULL, NULL) != APR_SUCCESS) return;
    cr_assert_eq(vfs_sync(file, NULL, VFS_SYNC_ALL), APR_SUCCESS);
    vfs_close(file, NULL);
}

static void shim_step(vfs_t *fs, step_e step, int i)
{
    switch (step) {
    case WRITE_A:
        write_byte(fs, "/a", i % 3, (char)('A' + i));
        break;
    case WRITE_B:
        write_byte(fs, "/b", i % 2, (char)('A' + i));
        break;
    case CUT_A:
        (void)vfs_truncate(fs, NULL, "/a", 2);
        break;
    case RESET_A:
        vfs_close(test_open(fs, "/a", VFS_O_WRITE | VFS_O_CREATE | VFS_O_TRUNC), NULL);
        break;
    case A_TO_B:
        (void)vfs_rename(fs, NULL, "/a", "/b", 0);
        break;
    case B_TO_A:
        (void)vfs_rename(fs, NULL, "/b", "/a", 0);
        break;
    case SWAP:
        (void)vfs_rename(fs, NULL, "/a", "/b", VFS_RENAME_EXCHANGE);
        break;
    case UNLINK_A:
        (void)vfs_unlink(fs, NULL, "/a");
        break;
    case LINK_A_B:
        (void)vfs_link(fs, NULL, "/a", "/b");
        break;
    case SYNC_A:
        sync_path(fs, "/a");
        break;
    case SYNC_B:
        sync_path(fs, "/b");
        break;
    case SYNC_DIR:
        cr_assert_eq(vfs_sync_dir(fs, NULL, "/"), APR_SUCCESS);
        break;
    default:
        cr_assert_fail("no such step");
    }
}

/* ---- states */

static void state_of(state_t *state, vfs_t *fs)
{
    memset(state, 0, sizeof(*state));
    for (int n = 0; n < NAMES; n++) {
        text_t *t = &state->text[n];
        size_t got;
        apr_status_t status =
            vfs_get(fs, NULL, names[n], t->bytes, sizeof(t->bytes), &got, NULL, NULL);
        cr_assert(status == APR_SUCCESS || APR_STATUS_IS_ENOENT(status), "%d", status);
        t->len = status == APR_SUCCESS ? (int)got : -1;
    }
}

/* The state that a subset of the changes leaves, or 0 if the subset leaves out what it needs. */
static int survivor(state_t *state, const model_t *m, unsigned subset)
{
    text_t texts[FILES];
    int name[NAMES];
    memcpy(texts, m->durable, sizeof(texts));
    memcpy(name, m->durable_name, sizeof(name));
    for (int i = 0; i < m->nchanges; i++) {
        const mchange_t *c = &m->changes[i];
        if (!(subset >> i & 1)) continue;
        for (int e = 0; e < i; e++)
            if (c->file < 0 && m->changes[e].file < 0 && !(subset >> e & 1) &&
                needs(c, &m->changes[e]))
                return 0;
        if (c->file >= 0) text_apply(&texts[c->file], c);
        for (int e = 0; e < c->nedits; e++)
            name[c->edits[e].name] = c->edits[e].to;
    }
    memset(state, 0, sizeof(*state));
    for (int n = 0; n < NAMES; n++) {
        state->text[n].len = -1;
        if (name[n] < 0) continue;
        state->text[n].len = texts[name[n]].len;
        memcpy(state->text[n].bytes, texts[name[n]].bytes, (size_t)texts[name[n]].len);
    }
    return 1;
}

static int allowed(const model_t *m, const state_t *state)
{
    for (unsigned subset = 0; subset < 1u << m->nchanges; subset++) {
        state_t one;
        if (survivor(&one, m, subset) && memcmp(&one, state, sizeof(one)) == 0) return 1;
    }
    return 0;
}

static const char *steps_text(const step_e *steps, int count)
{
    static char text[128];
    static const char *const step_names[STEPS] = {"write-a", "write-b", "cut-a",  "reset-a",
                                                  "a->b",    "b->a",    "swap",   "unlink-a",
                                                  "link-ab", "sync-a",  "sync-b", "sync-dir"};
    size_t len = 0;
    text[0] = '\0';
    for (int i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, sizeof(text) - len, " %s", step_names[steps[i]]);
    return text;
}

/* Run the steps, lose power, and hold what is left against the model. */
static void check(apr_pool_t *pool, const step_e *steps, int count, vfs_crash_e how, uint64_t seed)
{
    model_t m;
    state_t state, expected;
    memset(&m, 0, sizeof(m));
    m.name[0] = m.name[1] = m.durable_name[0] = m.durable_name[1] = -1;
    vfs_t *lower = test_mem(pool), *fs;
    cr_assert_eq(vfs_crash_create(&fs, lower, pool), APR_SUCCESS);
    for (int i = 0; i < count; i++) {
        model_step(&m, steps[i], i);
        shim_step(fs, steps[i], i);
    }
    cr_assert_eq(vfs_crash_now(fs, how, seed, 0), APR_SUCCESS);
    vfs_crash_restart(fs);
    state_of(&state, fs);
    if (how == VFS_CRASH_RANDOM) {
        cr_assert(allowed(&m, &state), "seed %d after%s", (int)seed, steps_text(steps, count));
    } else {
        unsigned subset = how == VFS_CRASH_KEEP_ALL ? (1u << m.nchanges) - 1 : 0;
        cr_assert(survivor(&expected, &m, subset));
        cr_assert(memcmp(&expected, &state, sizeof(state)) == 0, "%d after%s", (int)how,
                  steps_text(steps, count));
    }
    vfs_attr_t attr;
    cr_assert(APR_STATUS_IS_ENOENT(vfs_lstat(lower, NULL, "/.vfs-crash", &attr)));
    vfs_destroy_stack(fs);
}

Test(shims_crash_model, every_sequence_of_three_leaves_what_the_model_says)
{
    apr_pool_t *pool = test_pool();
    for (int a = 0; a < STEPS; a++)
        for (int b = 0; b < STEPS; b++)
            for (int c = 0; c < STEPS; c++) {
                const step_e steps[3] = {(step_e)a, (step_e)b, (step_e)c};
                check(pool, steps, 3, VFS_CRASH_DROP_UNSYNCED, 0);
                check(pool, steps, 3, VFS_CRASH_RANDOM, (uint64_t)(a + b + c));
            }
    apr_pool_destroy(pool);
}

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

Test(shims_crash_model, longer_sequences_leave_what_the_model_says)
{
    apr_pool_t *pool = test_pool();
    uint64_t random = 88172645463325252ull;
    for (int run = 0; run < 1500; run++) {
        step_e steps[8];
        int count = 4 + (int)(next_random(&random) % 5);
        for (int i = 0; i < count; i++)
            steps[i] = (step_e)(next_random(&random) % STEPS);
        check(pool, steps, count, VFS_CRASH_DROP_UNSYNCED, 0);
        check(pool, steps, count, VFS_CRASH_KEEP_ALL, 0);
        check(pool, steps, count, VFS_CRASH_RANDOM, next_random(&random));
    }
    apr_pool_destroy(pool);
}

Test(shims_crash_model, chance_finds_every_survivor_of_three_writes)
{
    int seen[8] = {0};
    apr_pool_t *pool = test_pool();
    for (uint64_t seed = 0; seed < 200; seed++) {
        vfs_t *lower = test_mem(pool), *fs;
        cr_assert_eq(vfs_crash_create(&fs, lower, pool), APR_SUCCESS);
        test_put(fs, "/a", "...");
        cr_assert_eq(vfs_sync_fs(fs, NULL), APR_SUCCESS);
        for (int i = 0; i < 3; i++)
            write_byte(fs, "/a", i, 'x');
        cr_assert_eq(vfs_crash_now(fs, VFS_CRASH_RANDOM, seed, 0), APR_SUCCESS);
        vfs_crash_restart(fs);
        const char *text = test_text(fs, "/a", pool);
        cr_assert_eq(strlen(text), 3);
        seen[(text[0] == 'x') + 2 * (text[1] == 'x') + 4 * (text[2] == 'x')]++;
        vfs_destroy_stack(fs);
    }
    for (int i = 0; i < 8; i++)
        cr_assert(seen[i] > 0, "subset %d never survived", i);
    apr_pool_destroy(pool);
}
