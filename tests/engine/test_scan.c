/*
 * test_scan.c - one pass over a tree a hundred times as large as the cache: what was read again and
 * again before stays, whether it is read meanwhile or not.
 * tier: medium
 */
#include "tests/engine/support_policy.h"
#include "tests/engine/support_rig.h"

enum {
    RAM = 8u << 20,
    TREE = 100 * RAM,
    HOT = 3u << 20,    /* more would not fit beside the names of a tree of small files */
    PIECE = 16u << 10, /* of the hot set, for one read */
    ROUNDS = 20
};

/* A tree, how it is read, and the hot set. */
typedef struct tree_t {
    const char *what;
    uint32_t file_bytes, step;
    uint32_t hot_files;
    const char *keys;
} tree_t;

static const tree_t trees[] = {
    {"large files", 8u << 20, 64u << 10, 1, ""},
    {"large files, whole MiB", 8u << 20, 1u << 20, 1, ""},
    {"large files, a page at a time", 8u << 20, 4096, 1, ""},
    {"large files, small hot ones", 8u << 20, 64u << 10, HOT / 2 / PIECE, ""},
    {"large files, small blocks", 8u << 20, 64u << 10, 1, "block_size=4k"},
    {"files of 40 KiB", 40u << 10, 8192, 1, ""},
    {"files of 16 KiB", 16u << 10, 16u << 10, HOT / 2 / PIECE, ""},
};

typedef struct scan_t {
    rig_t rig;
    const tree_t *tree;
    vfs_file_t *hot[HOT / PIECE];
    uint32_t pieces; /* of the hot set */
    uint64_t random;
} scan_t;

static void make(scan_t *scan, const char *path, uint32_t bytes)
{
    OK(vfs_mknod(scan->rig.bottom, NULL, path, VFS_TYPE_FILE, 0644, 0));
    OK(vfs_truncate(scan->rig.bottom, NULL, path, bytes));
}

static void start(scan_t *scan, const tree_t *tree, const char *policy)
{
    char text[160];

    (void)snprintf(text, sizeof(text), "ram=8m policy=%s %s", policy, tree->keys);
    rig_open(&scan->rig, text);
    scan->tree = tree;
    scan->random = 77;
    scan->pieces = tree->hot_files == 1 ? HOT / PIECE : tree->hot_files;
    for (uint32_t i = 0; i < tree->hot_files; i++) {
        (void)snprintf(text, sizeof(text), "/hot%u", i);
        make(scan, text, scan->pieces / tree->hot_files * PIECE);
        scan->hot[i] = rig_file(scan->rig.fs, text, RIG_R);
    }
    for (uint32_t i = 0; i < TREE / tree->file_bytes; i++) {
        (void)snprintf(text, sizeof(text), "/f%u", i);
        make(scan, text, tree->file_bytes);
    }
}

static void end(scan_t *scan)
{
    for (uint32_t i = 0; i < scan->tree->hot_files; i++)
        OK(vfs_close(scan->hot[i], NULL));
    rig_close(&scan->rig);
}

/* 1: a hit. */
static int read_piece(scan_t *scan, uint32_t piece)
{
    static unsigned char buf[PIECE];
    uint64_t before = rig_stats(&scan->rig).misses;
    uint32_t each = scan->pieces / scan->tree->hot_files;
    size_t got;

    OK(vfs_read_at(scan->hot[piece / each], NULL, buf, PIECE, (apr_off_t)(piece % each) * PIECE,
                   &got));
    EQ(got, PIECE);
    return rig_stats(&scan->rig).misses == before;
}

/* Each as likely as the others. Returns the hits. */
static uint32_t read_some(scan_t *scan, uint32_t reads)
{
    uint32_t hits = 0;

    for (uint32_t i = 0; i < reads; i++)
        hits += (uint32_t)read_piece(scan, (uint32_t)(policy_random(&scan->random) % scan->pieces));
    return hits;
}

/* Each once, and no two neighbours one after the other. Returns the hits. */
static uint32_t read_all(scan_t *scan)
{
    uint32_t hits = 0;

    for (uint32_t i = 0; i < scan->pieces; i++)
        hits += (uint32_t)read_piece(scan, i * 7919 % scan->pieces);
    return hits;
}

/* Each file once from end to end, with so many hot reads between two steps. Returns the share of
 * hits among them. */
static double pass(scan_t *scan, uint32_t between)
{
    static unsigned char step[1u << 20];
    uint64_t hits = 0, reads = 0;

    for (uint32_t i = 0; i < TREE / scan->tree->file_bytes; i++) {
        char path[32];
        size_t got;
        (void)snprintf(path, sizeof(path), "/f%u", i);
        vfs_file_t *file = rig_file(scan->rig.fs, path, RIG_R);
        for (uint32_t at = 0; at < scan->tree->file_bytes; at += scan->tree->step) {
            OK(vfs_read_at(file, NULL, step, scan->tree->step, at, &got));
            EQ(got, scan->tree->step);
            hits += read_some(scan, between);
            reads += between;
        }
        OK(vfs_close(file, NULL));
    }
    return reads ? (double)hits / (double)reads : 1.0;
}

/* What the hot set loses, in hundredths of its reads: while the pass goes on, or right after it. */
static double lost(const tree_t *tree, const char *policy, uint32_t between)
{
    scan_t scan;

    start(&scan, tree, policy);
    (void)read_some(&scan, ROUNDS * scan.pieces);
    EQ(read_all(&scan), scan.pieces); /* it fits */
    uint64_t brought = rig_stats(&scan.rig).backend_read_bytes;
    double during = pass(&scan, between);
    CHECK(rig_stats(&scan.rig).backend_read_bytes - brought >= TREE);
    double after = (double)read_all(&scan) / scan.pieces;
    end(&scan);
    return 100.0 * (1.0 - (during < after ? during : after));
}

Test(scan, of_a_hundred_caches_costs_a_hot_set_two_points_at_most, .timeout = 600)
{
    for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++)
        for (uint32_t between = 0; between <= 8; between += 8) {
            double points = lost(&trees[i], "auto", between);
            cr_assert_leq(points, 2.0, "%s, %u hot reads between: %.1f points", trees[i].what,
                          between, points);
        }
}

/* The premise: it is the policy that keeps the hot set, not its size. */
Test(scan, of_a_hundred_caches_leaves_nothing_with_recency_alone, .timeout = 600)
{
    cr_assert_gt(lost(&trees[0], "lru", 0), 98.0);
}
