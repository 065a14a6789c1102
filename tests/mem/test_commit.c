/* test_commit.c - whole-object commits of the memory backend: all or nothing, and only if. */
#include "tests/mem/support_mem.h"

TestSuite(mem_commit, .init = mem_setup, .fini = mem_teardown);

/* A source of one byte value, which may fail, or do something else, at an offset. */
typedef struct made_t {
    char value;
    apr_off_t fail_at; /* -1: never */
    void (*meanwhile)(void);
} made_t;

static apr_status_t made_read(void *baton, void *buf, size_t len, apr_off_t off)
{
    made_t *made = baton;

    if (made->fail_at >= 0 && off + (apr_off_t)len > made->fail_at) return OSERR(EIO);
    if (made->meanwhile != NULL) made->meanwhile();
    made->meanwhile = NULL;
    memset(buf, made->value, len);
    return APR_SUCCESS;
}

static apr_status_t commit(const char *path, char value, uint64_t size, const vfs_commit_t *how)
{
    made_t made = {value, -1, NULL};
    vfs_source_t source = {made_read, &made, size};

    return vfs_commit(fs, NULL, path, &source, how, NULL, NULL);
}

static void is_all(const char *path, char value, size_t size)
{
    static char buf[1 << 20];
    size_t got, i = 0;
    vfs_file_t *file = open_ok(path, VFS_O_READ);

    OK(vfs_read_at(file, NULL, buf, sizeof(buf), 0, &got));
    while (i < got && buf[i] == value)
        i++;
    cr_expect(got == size && i == size, "%s: %zu bytes, %zu of them right", path, got, i);
    close_ok(file);
}

Test(mem_commit, it_makes_a_file_or_replaces_its_bytes)
{
    vfs_commit_t how = VFS_COMMIT_INIT;
    made_t made = {'b', -1, NULL};
    vfs_source_t source = {made_read, &made, 700000};
    vfs_attr_t attr;
    vfs_validator_t version, now;
    uint64_t ino;
    vfs_file_t *file;

    mem_limit(8 << 20);
    how.mode = 0640;
    OK(commit("/f", 'a', 10, &how));
    is_all("/f", 'a', 10);
    cr_expect(stat_of("/f").mode == 0640 && stat_of("/f").nlink == 1);
    ino = stat_of("/f").ino;
    OK(vfs_link(fs, NULL, "/f", "/g"));
    OK(vfs_symlink(fs, NULL, "f", "/l"));
    file = open_ok("/f", VFS_O_READ);
    how.mode = 0600;
    how.mtime_ns = 42;
    OK(vfs_commit(fs, NULL, "/l", &source, &how, &attr, &version));
    now = version_of("/g");
    cr_expect(vfs_validator_equal(&version, &now) && attr.size == 700000 && attr.mtime_ns == 42);
    cr_expect(attr.ino == ino && attr.mode == 0640, "the file keeps its identity and its mode");
    is_all("/f", 'b', 700000);
    is_all("/g", 'b', 700000);
    cr_expect(fstat_of(file).size == 700000);
    close_ok(file);
    how.mtime_ns = VFS_TIME_OMIT;
    OK(commit("/f", 'c', 0, &how));
    cr_expect(stat_of("/f").size == 0 && stat_of("/f").mtime_ns == 42);
    cr_expect(bytes_used(8 << 20) == 0);
    OK(vfs_symlink(fs, NULL, "new", "/dangling"));
    OK(commit("/dangling", 'd', 3, NULL));
    is_all("/new", 'd', 3);
}

Test(mem_commit, conditions_hold_or_nothing_changes)
{
    vfs_commit_t none = VFS_COMMIT_INIT, match = VFS_COMMIT_INIT;

    none.flags = VFS_COMMIT_IF_NONE;
    match.flags = VFS_COMMIT_IF_MATCH;
    OK(commit("/f", 'a', 5, &none));
    EXPECT(VFS_ECONFLICT, commit("/f", 'b', 5, &none));
    match.expected = version_of("/f");
    EXPECT(VFS_ECONFLICT, commit("/none", 'b', 5, &match));
    OK(commit("/f", 'c', 6, &match));
    EXPECT(VFS_ECONFLICT, commit("/f", 'd', 7, &match));
    is_all("/f", 'c', 6);
    match.expected = version_of("/f");
    OK(vfs_chmod(fs, NULL, "/f", 0600, 0));
    OK(commit("/f", 'e', 1, &match));
}

static void change_f(void)
{
    put_ok("/f", "meanwhile");
}
static void remove_f(void)
{
    OK(vfs_unlink(fs, NULL, "/f"));
}

Test(mem_commit, a_change_while_the_source_is_read_is_a_conflict)
{
    vfs_commit_t how = VFS_COMMIT_INIT;
    made_t made = {'b', -1, change_f};
    vfs_source_t source = {made_read, &made, 100};

    put_ok("/f", "old");
    how.flags = VFS_COMMIT_IF_MATCH;
    how.expected = version_of("/f");
    EXPECT(VFS_ECONFLICT, vfs_commit(fs, NULL, "/f", &source, &how, NULL, NULL));
    holds("/f", "meanwhile");
    made.meanwhile = remove_f;
    how.expected = version_of("/f");
    EXPECT(VFS_ECONFLICT, vfs_commit(fs, NULL, "/f", &source, &how, NULL, NULL));
    made.meanwhile = change_f;
    how.flags = VFS_COMMIT_IF_NONE;
    EXPECT(VFS_ECONFLICT, vfs_commit(fs, NULL, "/f", &source, &how, NULL, NULL));
    holds("/f", "meanwhile");
    made.meanwhile = remove_f;
    how.flags = 0;
    OK(vfs_commit(fs, NULL, "/f", &source, &how, NULL, NULL));
    is_all("/f", 'b', 100);
}

Test(mem_commit, a_failure_leaves_the_old_bytes_and_the_account)
{
    made_t made = {'b', 600000, NULL};
    vfs_source_t source = {made_read, &made, 700000};
    vfs_ctx_t late = VFS_CTX_INIT;

    mem_limit(1 << 20);
    put_ok("/f", "old");
    EXPECT(OSERR(EIO), vfs_commit(fs, NULL, "/f", &source, NULL, NULL, NULL));
    EXPECT(OSERR(EIO), vfs_commit(fs, NULL, "/new", &source, NULL, NULL, NULL));
    EXPECT(APR_ENOSPC, commit("/f", 'c', 2 << 20, NULL));
    late.deadline = 1;
    EXPECT(APR_TIMEUP, vfs_commit(fs, &late, "/f", &source, NULL, NULL, NULL));
    holds("/f", "old");
    cr_expect_str_eq(names_in("/"), "f");
    cr_expect(bytes_used(1 << 20) == 4096);
}

Test(mem_commit, only_regular_files_are_committed)
{
    OK(vfs_mkdir(fs, NULL, "/d", 0755));
    OK(vfs_symlink(fs, NULL, "d", "/l"));
    OK(vfs_symlink(fs, NULL, "none/", "/slash"));
    OK(vfs_mknod(fs, NULL, "/p", VFS_TYPE_FIFO, 0644, 0));
    EXPECT(OSERR(EISDIR), commit("/d", 'x', 1, NULL));
    EXPECT(OSERR(EISDIR), commit("/l", 'x', 1, NULL));
    EXPECT(OSERR(EISDIR), commit("/slash", 'x', 1, NULL));
    EXPECT(APR_EINVAL, commit("/p", 'x', 1, NULL));
    EXPECT(APR_ENOENT, commit("/none/f", 'x', 1, NULL));
    EXPECT(APR_ENOTDIR, commit("/p/f", 'x', 1, NULL));
}
