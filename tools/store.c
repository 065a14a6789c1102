/*
 * store.c - `cachefs fsck` and `cachefs gc`: a store that no cache has open.
 * Floor 4.
 */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include <apr_strings.h>

#include "cachefs/check.h"
#include "tools/cli.h"

/* As fsck(8) ends, where it is not the program's own matter. */
enum { FSCK_REPAIRED = 1, FSCK_DAMAGED = 4, FSCK_NOT_CHECKED = 8 };

/* The file system of a store, or NULL after a message. */
static vfs_t *open_dir(const cli_t *cli, const char *dir)
{
    char why[256];
    struct stat st;
    vfs_t *fs = NULL;
    if (stat(dir, &st) != 0) {
        cli_error(cli, "%s: %s", dir[0] != '\0' ? dir : "an empty path", strerror(errno));
        return NULL;
    }
    if (!S_ISDIR(st.st_mode)) {
        cli_error(cli, "%s is no directory, and a store is one", dir);
        return NULL;
    }
    apr_status_t status = vfs_open_uri(&fs, cli_file_uri(dir, cli->pool), NULL, 0, cli->pool);
    if (status == APR_SUCCESS) return fs;
    cli_error(cli, "%s: %s", dir, vfs_strerror(status, why, sizeof(why)));
    return NULL;
}

/* ---- what is told on the way */

/* It is kept until all is known: in JSON it comes after the figures. */
typedef struct told_t {
    struct told_t *next;
    cachefs_told_e kind;
    const char *path, *text;
    uint64_t bytes;
} told_t;

typedef struct listener_t {
    cli_t *cli;
    told_t *first, **last;
} listener_t;

static void keep(void *baton, cachefs_told_e kind, const char *path, uint64_t bytes,
                 const char *text)
{
    listener_t *l = baton;
    told_t *t = apr_palloc(l->cli->pool, sizeof(*t));
    *t = (told_t){NULL, kind, apr_pstrdup(l->cli->pool, path), apr_pstrdup(l->cli->pool, text),
                  bytes};
    *l->last = t;
    l->last = &t->next;
}

static const char *kind_name(cachefs_told_e kind)
{
    static const char *const names[] = {"note", "damage", "repaired", "dirty"};
    return names[kind];
}

static void print_told(const listener_t *l)
{
    char bytes[32];
    for (const told_t *t = l->first; t != NULL; t = t->next) {
        if (l->cli->opt.quiet && t->kind == CACHEFS_TOLD_NOTE) continue;
        (void)printf("%-8s ", kind_name(t->kind));
        cli_print_name(stdout, t->path);
        if (t->bytes > 0)
            (void)printf(" (%s)", cli_show_bytes(bytes, sizeof(bytes), (double)t->bytes));
        (void)printf(": %s\n", t->text);
    }
}

/* Those of one kind, or all others. */
static void json_told(json_t *json, const char *key, const listener_t *l, int dirty)
{
    json_array(json, key);
    for (const told_t *t = l->first; t != NULL; t = t->next) {
        if ((t->kind == CACHEFS_TOLD_DIRTY) != dirty) continue;
        json_object(json, NULL);
        if (!dirty) json_string(json, "kind", kind_name(t->kind));
        json_path(json, "path", t->path);
        json_uint(json, "bytes", t->bytes);
        json_string(json, "text", t->text);
        json_close(json, '}');
    }
    json_close(json, ']');
}

/* ---- fsck */

static const char *verdict(const cachefs_check_t *c)
{
    if (c->damage > 0) return "damaged";
    return c->repaired > 0 ? "repaired" : "clean";
}

static void print_figures(const char *dir, const cachefs_check_t *c)
{
    char a[32], b[32];
    (void)printf("%s: %s%s, format %u, %s%s\n", dir, c->id[0] != '\0' ? "identity " : "no identity",
                 c->id, c->format, c->user[0] != '\0' ? "opened last by " : "not opened yet",
                 c->user);
    (void)printf("cached bytes: %llu segments with %s (%llu with their footer), %llu records with "
                 "%s; %llu damaged, %llu orphaned files\n",
                 (unsigned long long)c->segments,
                 cli_show_bytes(a, sizeof(a), (double)c->segment_bytes),
                 (unsigned long long)c->sealed, (unsigned long long)c->records,
                 cli_show_bytes(b, sizeof(b), (double)c->record_bytes),
                 (unsigned long long)c->damaged_segments, (unsigned long long)c->orphans);
    if (c->journal_files == 0) {
        (void)printf("journal: none\n");
        return;
    }
    (void)printf("journal: %llu files with %s, %llu records; origin %s, session %s\n",
                 (unsigned long long)c->journal_files,
                 cli_show_bytes(a, sizeof(a), (double)c->journal_bytes),
                 (unsigned long long)c->journal_records, c->origin[0] != '\0' ? c->origin : "none",
                 c->session[0] != '\0' ? c->session : "none");
    (void)printf("dirty: %llu files with %s, %llu moves\n", (unsigned long long)c->dirty_files,
                 cli_show_bytes(b, sizeof(b), (double)c->dirty_bytes),
                 (unsigned long long)c->moves);
}

static void json_l2(json_t *json, const cachefs_check_t *c)
{
    json_object(json, "cached");
    json_uint(json, "segments", c->segments);
    json_uint(json, "segment_bytes", c->segment_bytes);
    json_uint(json, "sealed", c->sealed);
    json_uint(json, "records", c->records);
    json_uint(json, "record_bytes", c->record_bytes);
    json_uint(json, "damaged_segments", c->damaged_segments);
    json_uint(json, "damaged_records", c->damaged_records);
    json_uint(json, "torn_bytes", c->torn_bytes);
    json_uint(json, "orphans", c->orphans);
    json_uint(json, "orphan_bytes", c->orphan_bytes);
    json_close(json, '}');
}

static void json_journal(json_t *json, const cachefs_check_t *c)
{
    json_object(json, "journal");
    json_uint(json, "files", c->journal_files);
    json_uint(json, "bytes", c->journal_bytes);
    json_uint(json, "records", c->journal_records);
    json_uint(json, "lost_records", c->journal_lost);
    json_uint(json, "torn_bytes", c->journal_torn_bytes);
    json_uint(json, "dirty_files", c->dirty_files);
    json_uint(json, "dirty_bytes", c->dirty_bytes);
    json_uint(json, "moves", c->moves);
    json_uint(json, "aside_files", c->aside_files);
    json_uint(json, "aside_bytes", c->aside_bytes);
    json_string(json, "origin", c->origin);
    json_string(json, "session", c->session);
    json_close(json, '}');
}

static void print_json(const char *dir, const cachefs_check_t *c, const listener_t *l)
{
    json_t json;
    json_start(&json, stdout);
    json_object(&json, NULL);
    json_path(&json, "store", dir);
    json_string(&json, "verdict", verdict(c));
    json_uint(&json, "damage", c->damage);
    json_uint(&json, "repaired", c->repaired);
    json_string(&json, "identity", c->id);
    json_uint(&json, "format", c->format);
    json_string(&json, "opened_by", c->user);
    json_l2(&json, c);
    json_journal(&json, c);
    json_told(&json, "dirty", l, 1);
    json_told(&json, "findings", l, 0);
    json_close(&json, '}');
    json_end(&json);
}

static int fsck(cli_t *cli)
{
    const char *dir = cli->args[0];
    char err[VFS_PATH_MAX + 256] = "";
    listener_t l = {.cli = cli, .last = &l.first};
    cachefs_check_t found = {.size = sizeof(found)};
    cachefs_check_options_t options = CACHEFS_CHECK_INIT;
    options.name = dir;
    options.repair = cli->opt.repair;
    options.ctx = &cli->ctx;
    options.told = keep;
    options.baton = &l;
    vfs_t *fs = open_dir(cli, dir);
    if (fs == NULL) return FSCK_NOT_CHECKED;
    apr_status_t status = cachefs_store_check(&found, fs, &options, err, sizeof(err));
    (void)vfs_destroy(fs); /* nothing is open in it */
    if (status != APR_SUCCESS) {
        if (!cli->opt.json) print_told(&l); /* what was done stays done */
        cli_error(cli, "%s", err);
        return FSCK_NOT_CHECKED;
    }
    if (cli->opt.json) {
        print_json(dir, &found, &l);
    } else {
        print_told(&l);
        if (!cli->opt.quiet) print_figures(dir, &found);
        (void)printf("%s is %s\n", dir, verdict(&found));
    }
    if (found.damage > 0 && !cli->opt.repair)
        cli_note(cli, "nothing was changed; --repair mends what can be mended");
    return found.damage > 0 ? FSCK_DAMAGED : found.repaired > 0 ? FSCK_REPAIRED : CLI_DONE;
}

/* ---- gc */

static int gc(cli_t *cli)
{
    const char *dir = cli->args[0];
    char err[VFS_PATH_MAX + 256] = "", a[32], b[32];
    listener_t l = {.cli = cli, .last = &l.first};
    cachefs_gc_t done = {.size = sizeof(done)};
    cachefs_check_options_t options = CACHEFS_CHECK_INIT;
    json_t json;
    options.name = dir;
    options.ctx = &cli->ctx;
    options.told = keep;
    options.baton = &l;
    vfs_t *fs = open_dir(cli, dir);
    if (fs == NULL) return CLI_USAGE;
    apr_status_t status =
        cachefs_store_gc(&done, fs, cli->opt.gc_bytes, &options, err, sizeof(err));
    (void)vfs_destroy(fs); /* nothing is open in it */
    if (status != APR_SUCCESS) {
        if (!cli->opt.json) print_told(&l); /* what was done stays done */
        cli_error(cli, "%s", err);
        return CLI_UNREACHABLE;
    }
    if (!cli->opt.json) {
        print_told(&l);
        (void)printf("%s: %llu files with %s are gone, %s of cached bytes are left\n", dir,
                     (unsigned long long)done.removed,
                     cli_show_bytes(a, sizeof(a), (double)done.removed_bytes),
                     cli_show_bytes(b, sizeof(b), (double)done.left_bytes));
        return CLI_DONE;
    }
    json_start(&json, stdout);
    json_object(&json, NULL);
    json_path(&json, "store", dir);
    json_uint(&json, "removed", done.removed);
    json_uint(&json, "removed_bytes", done.removed_bytes);
    json_uint(&json, "left_bytes", done.left_bytes);
    json_told(&json, "files", &l, 0);
    json_close(&json, '}');
    json_end(&json);
    return CLI_DONE;
}

const cli_verb_t cli_fsck = {
    .name = "fsck",
    .bit = CLI_FSCK,
    .args_min = 1,
    .args_max = 1,
    .usage = "STORE [options]",
    .summary = "check a store that no cache has open, and say what is dirty in it",
    .text =
        "Reads all of the directory of a --store, verifies each checksum, and says what it has: "
        "cached\n"
        "bytes, and the journal of what is written and not below yet, by file. It changes "
        "nothing, unless\n"
        "--repair is given; that takes nothing away that somebody was promised. Damaged cached "
        "bytes are\n"
        "deleted, as the origin has them too; an identity that is damaged is written anew; files "
        "of the\n"
        "journal that cannot be read at all are set aside as journal/damaged-*. What can be read "
        "of a\n"
        "journal is left to the next cache on the store, which writes it back.\n"
        "\n"
        "  cachefs fsck /var/cache/files --repair\n"
        "\n"
        "--json prints one object: store, verdict (clean, repaired, damaged), damage, repaired, "
        "identity,\n"
        "format, opened_by, cached, journal, dirty and findings. --quiet leaves the notes and the "
        "figures\n"
        "out. The exit codes are those of fsck(8): 0 clean, 1 damage was repaired, 4 damage is "
        "left, 8 not\n"
        "checked (no store, in use, of another version, cannot be read); 2 is wrong usage.\n",
    .run = fsck,
};

const cli_verb_t cli_gc = {
    .name = "gc",
    .bit = CLI_GC,
    .args_min = 1,
    .args_max = 1,
    .usage = "STORE [options]",
    .summary = "remove what nobody will read any more from a store that no cache has open",
    .text =
        "Removes cached bytes of another store, of a segment that was never filled or cannot be "
        "read, and\n"
        "what an interrupted start left behind; with --bytes also the oldest segments above that "
        "size. A\n"
        "version that the origin has no more leaves in the order of its age: it has no date at "
        "which it\n"
        "expires. The journal is never touched.\n"
        "\n"
        "  cachefs gc /var/cache/files --bytes 1g\n"
        "\n"
        "--json prints one object: store, removed, removed_bytes, left_bytes and files. A store "
        "that is in\n"
        "use, or is none, ends it with 3.\n",
    .run = gc,
};
