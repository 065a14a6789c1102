/*
 * table_whole.c - behaviours of the conveniences: whole files, copies, trees, walks, patterns,
 * temporary files.
 */
#include <stdlib.h>

#include "backends/backends.h"
#include "tests/conformance/conf.h"

static void read_file_ends_with_a_nul(conf_t *t)
{
    char *data = NULL;
    size_t len = 0;
    PUT("/f", "text");
    PUT("/empty", "");
    OK(vfs_read_file(&data, &len, t->fs, NULL, "/f", 0, t->pool));
    EQ(len, 4);
    CHECK(data != NULL && data[4] == '\0');
    OK(vfs_read_file(&data, &len, t->fs, NULL, "/empty", 0, t->pool));
    EQ(len, 0);
    CHECK(data != NULL && data[0] == '\0');
}

static void read_file_has_a_limit(conf_t *t)
{
    char *data = NULL;
    size_t len = 0;
    PUT("/f", "0123456789");
    OK(vfs_read_file(&data, &len, t->fs, NULL, "/f", 10, t->pool));
    IS(VFS_ELIMIT, vfs_read_file(&data, &len, t->fs, NULL, "/f", 9, t->pool));
    IS(APR_ENOENT, vfs_read_file(&data, &len, t->fs, NULL, "/missing", 0, t->pool));
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    IS(E(EISDIR), vfs_read_file(&data, &len, t->fs, NULL, "/d", 0, t->pool));
}

static void write_file_makes_and_replaces(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_write_file(t->fs, NULL, "/f", "first text", 10, 0640));
    HOLDS("/f", "first text");
    if (vfs_caps(t->fs)->bits & VFS_CAP_MODE) {
        OK(vfs_stat(t->fs, NULL, "/f", &attr));
        EQ(attr.mode, 0640);
        OK(vfs_chmod(t->fs, NULL, "/f", 0600, 0));
    }
    OK(vfs_write_file(t->fs, NULL, "/f", "2nd", 3, 0755));
    HOLDS("/f", "2nd");
    if (vfs_caps(t->fs)->bits & VFS_CAP_MODE) {
        OK(vfs_stat(t->fs, NULL, "/f", &attr));
        EQ(attr.mode, 0600);
    }
    OK(vfs_write_file(t->fs, NULL, "/f", "", 0, 0644));
    HOLDS("/f", "");
    NAMES("/", "f ");
}

static void a_failing_write_file_leaves_nothing_behind(conf_t *t)
{
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    CHECK(vfs_write_file(t->fs, NULL, "/d", "x", 1, 0644) != APR_SUCCESS);
    IS(APR_ENOENT, vfs_write_file(t->fs, NULL, "/missing/f", "x", 1, 0644));
    NAMES("/", "d ");
    NAMES("/d", "");
}

static void copy_takes_bytes_mode_and_mtime(conf_t *t)
{
    char *data = malloc(300000);
    uint64_t bytes = 0;
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    conf_fill(data, 300000, 61);
    PUTN("/a", data, 300000);
    OK(vfs_chmod(t->fs, NULL, "/a", 0604, 0));
    OK(vfs_utimens(t->fs, NULL, "/a", 1000, 2000000000, 0));
    OK(vfs_copy(t->fs, "/a", t->fs, "/b", NULL, &bytes));
    EQ(bytes, 300000);
    HOLDSN("/b", data, 300000);
    OK(vfs_stat(t->fs, NULL, "/b", &attr));
    EQ(attr.mode, 0604);
    EQ(attr.mtime_ns, 2000000000);
    NAMES("/", "a b ");
    free(data);
}

static void copy_goes_between_file_systems(conf_t *t)
{
    vfs_t *other = NULL;
    uint64_t bytes = 0;
    PUT("/a", "across");
    NEED(OK(vfs_mem_create(&other, 0, t->pool)));
    OK(vfs_copy(t->fs, "/a", other, "/b", NULL, &bytes));
    EQ(bytes, 6);
    conf_holds(HERE, other, "/b", "across", 6);
    OK(vfs_copy(other, "/b", t->fs, "/c", NULL, NULL));
    HOLDS("/c", "across");
    OK(vfs_destroy(other));
}

static void a_failing_copy_leaves_no_target(conf_t *t)
{
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    IS(APR_ENOENT, vfs_copy(t->fs, "/missing", t->fs, "/b", NULL, NULL));
    CHECK(vfs_copy(t->fs, "/d", t->fs, "/b", NULL, NULL) != APR_SUCCESS);
    NAMES("/", "d ");
}

static void mkdir_all_makes_what_is_missing(conf_t *t)
{
    OK(vfs_mkdir_all(t->fs, NULL, "/a/b/c", 0755));
    OK(vfs_mkdir_all(t->fs, NULL, "/a/b/c", 0755));
    OK(vfs_mkdir_all(t->fs, NULL, "/a/b/d", 0755));
    OK(vfs_mkdir_all(t->fs, NULL, "/", 0755));
    NAMES("/a/b", "c d ");
    PUT("/a/f", "x");
    IS(APR_ENOTDIR, vfs_mkdir_all(t->fs, NULL, "/a/f/g", 0755));
    CHECK(vfs_mkdir_all(t->fs, NULL, "/a/f", 0755) != APR_SUCCESS);
    HOLDS("/a/f", "x");
}

static void remove_all_removes_a_tree(conf_t *t)
{
    OK(vfs_mkdir_all(t->fs, NULL, "/a/b/c", 0755));
    PUT("/a/f", "x");
    PUT("/a/b/c/f", "x");
    PUT("/ab", "sibling");
    OK(vfs_remove_all(t->fs, NULL, "/a"));
    NAMES("/", "ab ");
    OK(vfs_remove_all(t->fs, NULL, "/a"));
    OK(vfs_remove_all(t->fs, NULL, "/ab"));
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    OK(vfs_remove_all(t->fs, NULL, "/"));
    NAMES("/", "");
}

static void remove_all_does_not_follow_links(conf_t *t)
{
    OK(vfs_mkdir_all(t->fs, NULL, "/keep/d", 0755));
    PUT("/keep/f", "kept");
    OK(vfs_mkdir(t->fs, NULL, "/gone", 0755));
    OK(vfs_symlink(t->fs, NULL, "../keep", "/gone/l"));
    OK(vfs_symlink(t->fs, NULL, "keep", "/l"));
    OK(vfs_remove_all(t->fs, NULL, "/gone"));
    OK(vfs_remove_all(t->fs, NULL, "/l"));
    HOLDS("/keep/f", "kept");
    NAMES("/", "keep ");
}

typedef struct visits_t {
    char text[512];
    const char *skip, *stop;
} visits_t;

static apr_status_t visit(void *baton, const char *path, const vfs_attr_t *attr,
                          apr_status_t status)
{
    visits_t *v = baton;
    size_t used = strlen(v->text);
    snprintf(v->text + used, sizeof v->text - used, "%s%s ", path,
             attr->type == VFS_TYPE_DIR ? ":" : "");
    if (v->stop != NULL && strcmp(path, v->stop) == 0) return VFS_WALK_STOP;
    return v->skip != NULL && strcmp(path, v->skip) == 0 ? VFS_WALK_SKIP : status;
}

static void make_tree(conf_t *t)
{
    OK(vfs_mkdir_all(t->fs, NULL, "/t/b/e", 0755));
    OK(vfs_mkdir_all(t->fs, NULL, "/t/c", 0755));
    PUT("/t/a.txt", "1");
    PUT("/t/b/b.txt", "2");
    PUT("/t/b/e/c.txt", "3");
    PUT("/t/d.c", "4");
}

static void walk_visits_parents_first_in_byte_order(conf_t *t)
{
    visits_t v = {"", NULL, NULL};
    make_tree(t);
    OK(vfs_walk(t->fs, NULL, "/t", visit, &v));
    CHECK(strcmp(v.text, "/t: /t/a.txt /t/b: /t/b/b.txt /t/b/e: /t/b/e/c.txt /t/c: /t/d.c ") == 0);
}

static void walk_skips_and_stops(conf_t *t)
{
    visits_t skip = {"", "/t/b", NULL}, stop = {"", NULL, "/t/b/b.txt"};
    make_tree(t);
    OK(vfs_walk(t->fs, NULL, "/t", visit, &skip));
    CHECK(strcmp(skip.text, "/t: /t/a.txt /t/b: /t/c: /t/d.c ") == 0);
    OK(vfs_walk(t->fs, NULL, "/t", visit, &stop));
    CHECK(strcmp(stop.text, "/t: /t/a.txt /t/b: /t/b/b.txt ") == 0);
}

static void walk_does_not_follow_links(conf_t *t)
{
    visits_t v = {"", NULL, NULL};
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/d/f", "x");
    OK(vfs_symlink(t->fs, NULL, "d", "/l"));
    OK(vfs_symlink(t->fs, NULL, "..", "/d/up"));
    OK(vfs_walk(t->fs, NULL, "/", visit, &v));
    CHECK(strcmp(v.text, "/: /d: /d/f /d/up /l ") == 0);
}

static apr_status_t refuse(void *baton, const char *path, const vfs_attr_t *attr,
                           apr_status_t status)
{
    (void)baton;
    (void)path;
    (void)attr;
    return status != APR_SUCCESS ? status : E(EIO);
}

static void walk_ends_with_the_error_of_its_visitor(conf_t *t)
{
    make_tree(t);
    IS(E(EIO), vfs_walk(t->fs, NULL, "/t", refuse, NULL));
    IS(APR_ENOENT, vfs_walk(t->fs, NULL, "/missing", refuse, NULL));
}

static void glob_visits_what_matches(conf_t *t)
{
    static const struct {
        const char *pattern, *want;
    } cases[] = {
        {"/t/*", "/t/a.txt /t/b: /t/c: /t/d.c "},
        {"/t/*.txt", "/t/a.txt "},
        {"/t/**/*.txt", "/t/a.txt /t/b/b.txt /t/b/e/c.txt "},
        {"/t/?.c", "/t/d.c "},
        {"/t/[a-c]", "/t/b: /t/c: "},
        {"/t/b/*/*", "/t/b/e/c.txt "},
        {"/t/nothing*", ""},
        {"/missing/*", ""},
        {"/t/d.c", "/t/d.c "},
        {"/**/c.txt", "/t/b/e/c.txt "},
    };
    make_tree(t);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        visits_t v = {"", NULL, NULL};
        OK(vfs_glob(t->fs, NULL, cases[i].pattern, visit, &v));
        if (strcmp(v.text, cases[i].want) != 0)
            (void)conf_fail(HERE, "%s gave \"%s\"", cases[i].pattern, v.text);
    }
}

static void a_broken_pattern_is_einval(conf_t *t)
{
    visits_t v = {"", NULL, NULL};
    make_tree(t);
    IS(APR_EINVAL, vfs_glob(t->fs, NULL, "/t/[a", visit, &v));
    IS(APR_EINVAL, vfs_glob(t->fs, NULL, "/t/a\\", visit, &v));
    EQ(v.text[0], '\0');
}

static void temp_files_have_names_of_their_own(conf_t *t)
{
    enum { COUNT = 50 };
    static char paths[COUNT][64];
    vfs_file_t *f = NULL;
    size_t n = 0;
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    for (int i = 0; i < COUNT; i++) {
        NEED(OK(vfs_temp_file(&f, t->fs, NULL, "/d", "tmp-", paths[i], sizeof paths[i])));
        CHECK(strncmp(paths[i], "/d/tmp-", 7) == 0 && strlen(paths[i]) > 7);
        OK(vfs_write_at(f, NULL, paths[i], strlen(paths[i]), 0, &n, NULL));
        OK(vfs_close(f, NULL));
        for (int k = 0; k < i; k++)
            CHECK(strcmp(paths[k], paths[i]) != 0);
    }
    for (int i = 0; i < COUNT; i++)
        HOLDS(paths[i], paths[i]);
    char small[8];
    IS(APR_ENOENT, vfs_temp_file(&f, t->fs, NULL, "/missing", "x", paths[0], sizeof paths[0]));
    CHECK(vfs_temp_file(&f, t->fs, NULL, "/d", "tmp-", small, sizeof small) != APR_SUCCESS);
    CHECK(f == NULL);
}

static const conf_behaviour_t behaviours[] = {
    B(read_file_ends_with_a_nul),
    B(read_file_has_a_limit),
    B(write_file_makes_and_replaces),
    B(a_failing_write_file_leaves_nothing_behind),
    B_CAPS(copy_takes_bytes_mode_and_mtime, VFS_CAP_MODE | VFS_CAP_TIMES),
    B(copy_goes_between_file_systems),
    B(a_failing_copy_leaves_no_target),
    B(mkdir_all_makes_what_is_missing),
    B(remove_all_removes_a_tree),
    B_CAPS(remove_all_does_not_follow_links, VFS_CAP_SYMLINK),
    B(walk_visits_parents_first_in_byte_order),
    B(walk_skips_and_stops),
    B_CAPS(walk_does_not_follow_links, VFS_CAP_SYMLINK),
    B(walk_ends_with_the_error_of_its_visitor),
    B(glob_visits_what_matches),
    B(a_broken_pattern_is_einval),
    B(temp_files_have_names_of_their_own),
};
CONF_TABLE(whole, behaviours);
