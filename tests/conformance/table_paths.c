/*
 * table_paths.c - behaviours of paths: normalisation, limits, bytes in names, the root.
 * contract.md, section 1.
 */
#include <stdlib.h>

#include "tests/conformance/conf.h"

static void an_empty_path_is_enoent(conf_t *t)
{
    vfs_file_t *f = NULL;
    vfs_attr_t attr;
    IS(APR_ENOENT, vfs_open(&f, t->fs, NULL, "", RD, 0, NULL, NULL));
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "", &attr));
    IS(APR_ENOENT, vfs_mkdir(t->fs, NULL, "", 0755));
    IS(APR_ENOENT, vfs_unlink(t->fs, NULL, ""));
    IS(APR_ENOENT, vfs_rename(t->fs, NULL, "", "/a", 0));
    PUT("/a", "x");
    IS(APR_ENOENT, vfs_rename(t->fs, NULL, "/a", "", 0));
    CHECK(f == NULL);
}

static void a_relative_path_is_einval(conf_t *t)
{
    vfs_file_t *f = NULL;
    vfs_attr_t attr;
    PUT("/a", "x");
    IS(APR_EINVAL, vfs_open(&f, t->fs, NULL, "a", RD, 0, NULL, NULL));
    IS(APR_EINVAL, vfs_stat(t->fs, NULL, "./a", &attr));
    IS(APR_EINVAL, vfs_unlink(t->fs, NULL, "a"));
    HOLDS("/a", "x");
}

static void a_null_path_is_einval(conf_t *t)
{
    vfs_file_t *f = NULL;
    vfs_attr_t attr;
    IS(APR_EINVAL, vfs_open(&f, t->fs, NULL, NULL, RD, 0, NULL, NULL));
    IS(APR_EINVAL, vfs_stat(t->fs, NULL, NULL, &attr));
    IS(APR_EINVAL, vfs_mkdir(t->fs, NULL, NULL, 0755));
    IS(APR_EINVAL, vfs_rename(t->fs, NULL, NULL, "/a", 0));
}

static void hear_nothing(void *baton, uint32_t events, const char *path)
{
    (void)baton;
    (void)events;
    (void)path;
}

static apr_status_t see_nothing(void *baton, const char *path, const vfs_attr_t *attr,
                                apr_status_t status)
{
    (void)baton;
    (void)path;
    (void)attr;
    return status;
}

static apr_status_t read_nothing(void *baton, void *buf, size_t len, apr_off_t off)
{
    (void)baton;
    (void)off;
    memset(buf, 0, len);
    return APR_SUCCESS;
}

/* Every public call that takes a path says of `path`, which is no path, what it is. */
static void check_reads(conf_t *t, const char *path, apr_status_t want)
{
    char buf[64];
    size_t n;
    vfs_attr_t attr;
    vfs_validator_t validator;
    vfs_statfs_t space;
    vfs_file_t *f;
    vfs_dir_t *dir;
    uint64_t watch;
    IS(want, vfs_open(&f, t->fs, NULL, path, RD, 0, NULL, NULL));
    IS(want, vfs_get(t->fs, NULL, path, buf, sizeof buf, &n, &attr, NULL));
    IS(want, vfs_stat(t->fs, NULL, path, &attr));
    IS(want, vfs_lstat(t->fs, NULL, path, &attr));
    IS(want, vfs_validator(t->fs, NULL, path, &validator));
    IS(want, vfs_access(t->fs, NULL, path, VFS_ACCESS_EXIST));
    IS(want, vfs_readlink(t->fs, NULL, path, buf, sizeof buf, &n));
    IS(want, vfs_getxattr(t->fs, NULL, path, "user.a", buf, sizeof buf, &n, 0));
    IS(want, vfs_listxattr(t->fs, NULL, path, buf, sizeof buf, &n, 0));
    IS(want, vfs_statfs(t->fs, NULL, path, &space));
    IS(want, vfs_opendir(&dir, t->fs, NULL, path, 0));
    IS(want, vfs_watch(t->fs, NULL, path, hear_nothing, NULL, &watch));
    IS(want, vfs_walk(t->fs, NULL, path, see_nothing, NULL));
}

static void check_writes(conf_t *t, const char *path, apr_status_t want)
{
    char buf[VFS_PATH_MAX + 1];
    vfs_source_t source = {read_nothing, NULL, 1};
    vfs_file_t *f;
    IS(want, vfs_open(&f, t->fs, NULL, path, WR | CR, 0644, NULL, NULL));
    IS(want, vfs_mknod(t->fs, NULL, path, VFS_TYPE_FIFO, 0644, 0));
    IS(want, vfs_mkdir(t->fs, NULL, path, 0755));
    IS(want, vfs_rmdir(t->fs, NULL, path));
    IS(want, vfs_unlink(t->fs, NULL, path));
    IS(want, vfs_rename(t->fs, NULL, path, "/x", 0));
    IS(want, vfs_rename(t->fs, NULL, "/x", path, 0));
    IS(want, vfs_link(t->fs, NULL, path, "/x"));
    IS(want, vfs_link(t->fs, NULL, "/x", path));
    IS(want, vfs_symlink(t->fs, NULL, "x", path));
    IS(want, vfs_truncate(t->fs, NULL, path, 0));
    IS(want, vfs_chmod(t->fs, NULL, path, 0644, 0));
    IS(want, vfs_chown(t->fs, NULL, path, 0, 0, 0));
    IS(want, vfs_utimens(t->fs, NULL, path, 0, 0, 0));
    IS(want, vfs_setxattr(t->fs, NULL, path, "user.a", "x", 1, 0, 0));
    IS(want, vfs_removexattr(t->fs, NULL, path, "user.a", 0));
    IS(want, vfs_sync_dir(t->fs, NULL, path));
    IS(want, vfs_commit(t->fs, NULL, path, &source, NULL, NULL, NULL));
    IS(want, vfs_write_file(t->fs, NULL, path, "x", 1, 0644));
    IS(want, vfs_copy(t->fs, path, t->fs, "/x", NULL, NULL));
    IS(want, vfs_mkdir_all(t->fs, NULL, path, 0755));
    IS(want, vfs_remove_all(t->fs, NULL, path));
    IS(want, vfs_temp_file(&f, t->fs, NULL, path, "t", buf, sizeof buf));
}

static void check_cache(conf_t *t, const char *path, apr_status_t want)
{
    vfs_t *cache = t->sut.cache;
    cachefs_entry_t entry;
    IS(want, cachefs_invalidate(cache, path, NULL, NULL));
    IS(want, cachefs_invalidate_prefix(cache, path, NULL, NULL));
    IS(want, cachefs_invalidate_batch(cache, &path, 1, NULL, NULL));
    IS(want, cachefs_discard(cache, path, NULL));
    IS(want, cachefs_pin(cache, path, 1));
    IS(want, cachefs_entry(cache, path, &entry));
    IS(want, cachefs_prefetch_path(cache, NULL, path, NULL, NULL));
    IS(want, cachefs_prefetch_batch(cache, NULL, &path, 1, NULL));
    IS(want, cachefs_flush_batch(cache, NULL, &path, 1, NULL));
    if (path != NULL) IS(want, cachefs_flush(cache, NULL, path, 0)); /* NULL is everything */
}

static void every_call_refuses_what_is_no_path(conf_t *t)
{
    static char name[VFS_NAME_MAX + 3], path[VFS_PATH_MAX + 2];
    const struct {
        const char *path;
        apr_status_t want;
    } rows[] = {{NULL, APR_EINVAL},
                {"", APR_ENOENT},
                {"x", APR_EINVAL},
                {name, APR_ENAMETOOLONG},
                {path, APR_ENAMETOOLONG}};
    memset(name, 'n', sizeof name - 1);
    name[0] = '/';
    memset(path, 'p', sizeof path - 1);
    for (size_t i = 0; i < sizeof path - 1; i += 100)
        path[i] = '/';
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_reads(t, rows[i].path, rows[i].want);
        check_writes(t, rows[i].path, rows[i].want);
        if (t->sut.cache != NULL) check_cache(t, rows[i].path, rows[i].want);
    }
    NAMES("/", "");
}

static void repeated_slashes_are_one(conf_t *t)
{
    OK(vfs_mkdir(t->fs, NULL, "//d", 0755));
    PUT("/d///f", "x");
    HOLDS("////d/f", "x");
    HOLDS("/d/f", "x");
}

static void dot_components_vanish(conf_t *t)
{
    OK(vfs_mkdir(t->fs, NULL, "/./d", 0755));
    PUT("/d/./f", "x");
    HOLDS("/././d/./././f", "x");
    HOLDS("/d/f", "x");
}

static void dotdot_goes_up(conf_t *t)
{
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    OK(vfs_mkdir(t->fs, NULL, "/d/e", 0755));
    PUT("/d/e/../f", "x");
    HOLDS("/d/f", "x");
    HOLDS("/d/e/../../d/e/../f", "x");
}

static void dotdot_above_the_root_stays_at_the_root(conf_t *t)
{
    PUT("/../../../f", "x");
    HOLDS("/f", "x");
    HOLDS("/..//../f", "x");
    HOLDS("/d/../../f", "x");
}

static void dotdot_is_resolved_before_names_are_looked_up(conf_t *t)
{
    PUT("/f", "x");
    HOLDS("/missing/../f", "x");
    HOLDS("/f/../f", "x");
}

static void dotdot_never_leaves_the_root(conf_t *t)
{
    if (t->sut.root[0] != '\0' && !(t->sut.traits & SUT_SUB)) {
        vfs_attr_t attr;
        OK(vfs_mkdir(t->fs, NULL, "/tmp", 0755));
        NAMES("/../tmp", "");
        IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/../../../../etc/passwd", &attr));
    }
    OK(vfs_mkdir(t->fs, NULL, "/../escaped", 0755));
    NAMES("/..",
          t->sut.root[0] != '\0' && !(t->sut.traits & SUT_SUB) ? "escaped tmp " : "escaped ");
}

static void a_trailing_slash_on_a_file_is_enotdir(conf_t *t)
{
    vfs_attr_t attr;
    vfs_file_t *f = NULL;
    PUT("/f", "x");
    IS(APR_ENOTDIR, vfs_stat(t->fs, NULL, "/f/", &attr));
    IS(APR_ENOTDIR, vfs_lstat(t->fs, NULL, "/f/", &attr));
    IS(APR_ENOTDIR, vfs_open(&f, t->fs, NULL, "/f/", RD, 0, NULL, NULL));
    IS(APR_ENOTDIR, vfs_unlink(t->fs, NULL, "/f/"));
    IS(APR_ENOTDIR, vfs_truncate(t->fs, NULL, "/f/", 0));
    HOLDS("/f", "x");
}

static void a_trailing_slash_on_a_directory_is_fine(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_mkdir(t->fs, NULL, "/d/", 0755));
    OK(vfs_stat(t->fs, NULL, "/d/", &attr));
    EQ(attr.type, VFS_TYPE_DIR);
    OK(vfs_rename(t->fs, NULL, "/d/", "/e/", 0));
    NAMES("/e/", "");
    OK(vfs_rmdir(t->fs, NULL, "/e/"));
    NAMES("/", "");
}

static void a_trailing_slash_on_nothing_is_enoent(conf_t *t)
{
    vfs_attr_t attr;
    vfs_file_t *f = NULL;
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/f/", &attr));
    IS(APR_ENOENT, vfs_open(&f, t->fs, NULL, "/f/", RD, 0, NULL, NULL));
    IS(APR_ENOENT, vfs_rmdir(t->fs, NULL, "/f/"));
}

static void creating_a_file_with_a_trailing_slash_is_eisdir(conf_t *t)
{
    vfs_file_t *f = NULL;
    IS(E(EISDIR), vfs_open(&f, t->fs, NULL, "/f/", WR | CR, 0644, NULL, NULL));
    CHECK(f == NULL);
    NAMES("/", "");
}

static void a_file_does_not_move_to_a_name_with_a_trailing_slash(conf_t *t)
{
    PUT("/f", "x");
    IS(APR_ENOTDIR, vfs_rename(t->fs, NULL, "/f", "/g/", 0));
    IS(APR_ENOTDIR, vfs_rename(t->fs, NULL, "/f/", "/g", 0));
    HOLDS("/f", "x");
    NAMES("/", "f ");
}

static void a_component_of_255_bytes_is_fine(conf_t *t)
{
    char path[VFS_NAME_MAX + 2];
    memset(path, 'n', sizeof path);
    path[0] = '/';
    path[VFS_NAME_MAX + 1] = '\0';
    PUT(path, "x");
    HOLDS(path, "x");
    OK(vfs_rename(t->fs, NULL, path, "/f", 0));
    OK(vfs_rename(t->fs, NULL, "/f", path, 0));
    OK(vfs_unlink(t->fs, NULL, path));
}

static void a_component_of_256_bytes_is_enametoolong(conf_t *t)
{
    char path[VFS_NAME_MAX + 3];
    vfs_attr_t attr;
    vfs_file_t *f = NULL;
    memset(path, 'n', sizeof path);
    path[0] = '/';
    path[VFS_NAME_MAX + 2] = '\0';
    PUT("/f", "x");
    IS(APR_ENAMETOOLONG, vfs_open(&f, t->fs, NULL, path, WR | CR, 0644, NULL, NULL));
    IS(APR_ENAMETOOLONG, vfs_stat(t->fs, NULL, path, &attr));
    IS(APR_ENAMETOOLONG, vfs_mkdir(t->fs, NULL, path, 0755));
    IS(APR_ENAMETOOLONG, vfs_rename(t->fs, NULL, "/f", path, 0));
    HOLDS("/f", "x");
}

/* 16 components of 255 bytes and their slashes are 4096 bytes. */
static void make_deep(char *path, size_t components)
{
    for (size_t i = 0; i < components; i++) {
        path[i * 256] = '/';
        memset(path + i * 256 + 1, 'a' + (char)i, 255);
    }
    path[components * 256] = '\0';
}

static void a_path_of_4096_bytes_is_fine(conf_t *t)
{
    char path[VFS_PATH_MAX + 2];
    make_deep(path, 15);
    OK(vfs_mkdir_all(t->fs, NULL, path, 0755));
    make_deep(path, 16);
    PUT(path, "deep");
    HOLDS(path, "deep");
    OK(vfs_unlink(t->fs, NULL, path));
    OK(vfs_remove_all(t->fs, NULL, "/"));
    NAMES("/", "");
}

static void a_path_of_4097_bytes_is_enametoolong(conf_t *t)
{
    char path[VFS_PATH_MAX + 2];
    vfs_attr_t attr;
    for (size_t i = 0; i <= VFS_PATH_MAX; i++)
        path[i] = i % 2 == 0 ? '/' : 'a';
    path[VFS_PATH_MAX] = 'b';
    path[VFS_PATH_MAX + 1] = '\0';
    IS(APR_ENAMETOOLONG, vfs_stat(t->fs, NULL, path, &attr));
    IS(APR_ENAMETOOLONG, vfs_mkdir(t->fs, NULL, path, 0755));
    IS(APR_ENAMETOOLONG, vfs_unlink(t->fs, NULL, path));
}

static void many_levels_of_directories_work(conf_t *t)
{
    char path[1001];
    for (size_t i = 0; i < 1000; i++)
        path[i] = i % 2 == 0 ? '/' : 'd';
    path[1000] = '\0';
    OK(vfs_mkdir_all(t->fs, NULL, path, 0755));
    path[999] = 'f';
    PUT(path, "bottom");
    HOLDS(path, "bottom");
    OK(vfs_remove_all(t->fs, NULL, "/d"));
    NAMES("/", "");
}

static void names_are_bytes(conf_t *t)
{
    static const char *const names[] = {
        "/a b",   "/ ",     "/\xc3\xa4", "/\xff\xfe",     "/new\nline", "/tab\t", "/*",
        "/a\\b",  "/\"q\"", "/%41",      "/a:b",          "/~",         "/-rf",   "/...",
        "/.hide", "/..x",   "/x..",      "/\x01",         "/\x7f",      "/a;b",   "/$(x)",
        "/[a]",   "/#",     "/a?b",      "/\xe2\x82\xac",
    };
    size_t count = sizeof names / sizeof names[0], seen = 0;
    for (size_t i = 0; i < count; i++)
        PUT(names[i], names[i]);
    for (size_t i = 0; i < count; i++)
        HOLDS(names[i], names[i]);
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    NEED(OK(vfs_opendir(&dir, t->fs, NULL, "/", 0)));
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS) {
        for (size_t i = 0; i < count; i++)
            seen += strcmp(entry.name, names[i] + 1) == 0;
    }
    OK(vfs_closedir(dir));
    EQ(seen, count);
}

static void names_differ_by_case(conf_t *t)
{
    PUT("/name", "lower");
    PUT("/NAME", "upper");
    HOLDS("/name", "lower");
    HOLDS("/NAME", "upper");
    NAMES("/", "NAME name ");
}

static void a_file_in_the_middle_of_a_path_is_enotdir(conf_t *t)
{
    vfs_attr_t attr;
    vfs_file_t *f = NULL;
    vfs_dir_t *dir = NULL;
    PUT("/f", "x");
    IS(APR_ENOTDIR, vfs_stat(t->fs, NULL, "/f/a", &attr));
    IS(APR_ENOTDIR, vfs_open(&f, t->fs, NULL, "/f/a", RD, 0, NULL, NULL));
    IS(APR_ENOTDIR, vfs_open(&f, t->fs, NULL, "/f/a", WR | CR, 0644, NULL, NULL));
    IS(APR_ENOTDIR, vfs_mkdir(t->fs, NULL, "/f/a", 0755));
    IS(APR_ENOTDIR, vfs_unlink(t->fs, NULL, "/f/a"));
    IS(APR_ENOTDIR, vfs_rmdir(t->fs, NULL, "/f/a"));
    IS(APR_ENOTDIR, vfs_opendir(&dir, t->fs, NULL, "/f/a", 0));
    IS(APR_ENOTDIR, vfs_rename(t->fs, NULL, "/f/a", "/g", 0));
    IS(APR_ENOTDIR, vfs_truncate(t->fs, NULL, "/f/a", 0));
}

static void nothing_in_the_middle_of_a_path_is_enoent(conf_t *t)
{
    vfs_attr_t attr;
    vfs_file_t *f = NULL;
    vfs_dir_t *dir = NULL;
    PUT("/f", "x");
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/d/a", &attr));
    IS(APR_ENOENT, vfs_open(&f, t->fs, NULL, "/d/a", RD, 0, NULL, NULL));
    IS(APR_ENOENT, vfs_open(&f, t->fs, NULL, "/d/a", WR | CR, 0644, NULL, NULL));
    IS(APR_ENOENT, vfs_mkdir(t->fs, NULL, "/d/a", 0755));
    IS(APR_ENOENT, vfs_unlink(t->fs, NULL, "/d/a"));
    IS(APR_ENOENT, vfs_rmdir(t->fs, NULL, "/d/a"));
    IS(APR_ENOENT, vfs_opendir(&dir, t->fs, NULL, "/d/a", 0));
    IS(APR_ENOENT, vfs_rename(t->fs, NULL, "/f", "/d/a", 0));
    HOLDS("/f", "x");
}

static void the_root_is_a_directory(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_stat(t->fs, NULL, "/", &attr));
    EQ(attr.type, VFS_TYPE_DIR);
    OK(vfs_lstat(t->fs, NULL, "/", &attr));
    EQ(attr.type, VFS_TYPE_DIR);
    OK(vfs_access(t->fs, NULL, "/", VFS_ACCESS_EXIST));
    NAMES("/", "");
}

static void the_root_cannot_be_made_or_removed(conf_t *t)
{
    vfs_file_t *f = NULL;
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    IS(APR_EEXIST, vfs_mkdir(t->fs, NULL, "/", 0755));
    IS(E(EBUSY), vfs_rmdir(t->fs, NULL, "/"));
    IS(E(EISDIR), vfs_unlink(t->fs, NULL, "/"));
    IS(E(EISDIR), vfs_open(&f, t->fs, NULL, "/", WR, 0, NULL, NULL));
    IS(APR_EEXIST, vfs_open(&f, t->fs, NULL, "/", WR | CR | VFS_O_EXCL, 0644, NULL, NULL));
    IS(E(EBUSY), vfs_rename(t->fs, NULL, "/", "/e", 0));
    IS(E(EBUSY), vfs_rename(t->fs, NULL, "/d", "/", 0));
    NAMES("/", "d ");
}

static void a_name_can_be_used_again_after_it_went_away(conf_t *t)
{
    for (int i = 0; i < 20; i++) {
        PUT("/n", i % 2 ? "odd" : "even and longer");
        HOLDS("/n", i % 2 ? "odd" : "even and longer");
        OK(vfs_unlink(t->fs, NULL, "/n"));
        OK(vfs_mkdir(t->fs, NULL, "/n", 0755));
        NAMES("/n", "");
        OK(vfs_rmdir(t->fs, NULL, "/n"));
    }
    NAMES("/", "");
}

static const conf_behaviour_t behaviours[] = {
    B(an_empty_path_is_enoent),
    B(a_relative_path_is_einval),
    B(a_null_path_is_einval),
    B(every_call_refuses_what_is_no_path),
    B(repeated_slashes_are_one),
    B(dot_components_vanish),
    B(dotdot_goes_up),
    B(dotdot_above_the_root_stays_at_the_root),
    B(dotdot_is_resolved_before_names_are_looked_up),
    B(dotdot_never_leaves_the_root),
    B(a_trailing_slash_on_a_file_is_enotdir),
    B(a_trailing_slash_on_a_directory_is_fine),
    B(a_trailing_slash_on_nothing_is_enoent),
    B(creating_a_file_with_a_trailing_slash_is_eisdir),
    B(a_file_does_not_move_to_a_name_with_a_trailing_slash),
    B_WANTS(a_component_of_255_bytes_is_fine, 0, CONF_NAMES),
    B(a_component_of_256_bytes_is_enametoolong),
    B_WANTS(a_path_of_4096_bytes_is_fine, 0, CONF_WHOLE),
    B(a_path_of_4097_bytes_is_enametoolong),
    B(many_levels_of_directories_work),
    B_WANTS(names_are_bytes, 0, CONF_NAMES),
    B(names_differ_by_case),
    B(a_file_in_the_middle_of_a_path_is_enotdir),
    B(nothing_in_the_middle_of_a_path_is_enoent),
    B(the_root_is_a_directory),
    B(the_root_cannot_be_made_or_removed),
    B(a_name_can_be_used_again_after_it_went_away),
};
CONF_TABLE(paths, behaviours);
