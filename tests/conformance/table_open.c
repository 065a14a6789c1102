/*
 * table_open.c - behaviours of open: every combination of flags on every kind of name, handles,
 * modes at creation.
 */
#include <stdlib.h>

#include "tests/conformance/conf.h"

/* What a name can be when it is opened. */
typedef enum kind_e {
    MISSING = 0,
    A_FILE,
    A_DIR,
    LINK_TO_FILE,
    LINK_TO_DIR,
    LINK_TO_NOTHING
} kind_e;

/* What Linux answers. Combinations that Linux leaves undefined are not asked. */
static apr_status_t linux_answer(uint32_t flags, kind_e kind)
{
    int is_link = kind >= LINK_TO_FILE;
    if ((flags & CR) && (flags & VFS_O_EXCL) && kind != MISSING) return APR_EEXIST;
    if (is_link && (flags & VFS_O_NOFOLLOW))
        return flags & VFS_O_DIRECTORY ? APR_ENOTDIR : E(ELOOP);
    if (kind == MISSING || kind == LINK_TO_NOTHING) return flags & CR ? APR_SUCCESS : APR_ENOENT;
    if (kind == A_DIR || kind == LINK_TO_DIR) return flags & (WR | CR) ? E(EISDIR) : APR_SUCCESS;
    return flags & VFS_O_DIRECTORY ? APR_ENOTDIR : APR_SUCCESS;
}

static int is_defined(uint32_t flags)
{
    if (!(flags & (RD | WR))) return 0;
    if ((flags & VFS_O_EXCL) && !(flags & CR)) return 0;
    if ((flags & (VFS_O_TRUNC | VFS_O_APPEND)) && !(flags & WR)) return 0;
    return !((flags & VFS_O_DIRECTORY) && (flags & CR));
}

static void make(conf_t *t, kind_e kind)
{
    OK(vfs_remove_all(t->fs, NULL, "/"));
    if (kind == A_FILE || kind == LINK_TO_FILE)
        PUT(kind == A_FILE ? "/n" : "/target", "0123456789");
    if (kind == A_DIR || kind == LINK_TO_DIR)
        OK(vfs_mkdir(t->fs, NULL, kind == A_DIR ? "/n" : "/target", 0755));
    if (kind >= LINK_TO_FILE) OK(vfs_symlink(t->fs, NULL, "target", "/n"));
}

static void check_opened(conf_t *t, vfs_file_t *f, uint32_t flags, kind_e kind)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_fstat(f, NULL, &attr));
    if (kind == A_DIR || kind == LINK_TO_DIR) {
        EQ(attr.type, VFS_TYPE_DIR);
        return;
    }
    int kept = (kind == A_FILE || kind == LINK_TO_FILE) && !(flags & VFS_O_TRUNC);
    EQ(attr.type, VFS_TYPE_FILE);
    EQ(attr.size, kept ? 10u : 0u);
}

static void sweep_flags(conf_t *t, kind_e kind)
{
    unsigned before = t->failures;
    for (uint32_t flags = 0; flags < VFS_O_SYNC; flags++) {
        vfs_file_t *f = NULL;
        if (!is_defined(flags)) continue;
        make(t, kind);
        apr_status_t rv = vfs_open(&f, t->fs, NULL, "/n", flags, 0644, NULL, NULL);
        if (!IS(linux_answer(flags, kind), rv)) printf("     with flags 0x%x\n", flags);
        CHECK((rv == APR_SUCCESS) == (f != NULL));
        if (f != NULL) {
            check_opened(t, f, flags, kind);
            OK(vfs_close(f, NULL));
        }
        if (t->failures - before > 8) return; /* enough to see what is wrong */
    }
}

static void all_flags_on_a_missing_name(conf_t *t)
{
    sweep_flags(t, MISSING);
}

static void all_flags_on_a_file(conf_t *t)
{
    sweep_flags(t, A_FILE);
}

static void all_flags_on_a_directory(conf_t *t)
{
    sweep_flags(t, A_DIR);
}

static void all_flags_on_a_link_to_a_file(conf_t *t)
{
    sweep_flags(t, LINK_TO_FILE);
}

static void all_flags_on_a_link_to_a_directory(conf_t *t)
{
    sweep_flags(t, LINK_TO_DIR);
}

static void all_flags_on_a_link_to_nothing(conf_t *t)
{
    sweep_flags(t, LINK_TO_NOTHING);
}

static void open_without_read_or_write_is_einval(conf_t *t)
{
    vfs_file_t *f = NULL;
    PUT("/f", "x");
    IS(APR_EINVAL, vfs_open(&f, t->fs, NULL, "/f", 0, 0, NULL, NULL));
    IS(APR_EINVAL, vfs_open(&f, t->fs, NULL, "/f", VFS_O_NOFOLLOW, 0, NULL, NULL));
    CHECK(f == NULL);
}

static void open_with_unknown_flags_is_einval(conf_t *t)
{
    vfs_file_t *f = NULL;
    PUT("/f", "x");
    IS(APR_EINVAL, vfs_open(&f, t->fs, NULL, "/f", RD | (VFS_O_ALL + 1), 0, NULL, NULL));
    IS(APR_EINVAL, vfs_open(&f, t->fs, NULL, "/f", RD | 0x80000000u, 0, NULL, NULL));
    CHECK(f == NULL);
}

static void open_fills_attributes_and_validator(conf_t *t)
{
    vfs_attr_t at_open, later;
    vfs_validator_t version, now;
    vfs_file_t *f = NULL;
    memset(&at_open, 0, sizeof at_open);
    memset(&later, 0, sizeof later);
    PUT("/f", "four");
    NEED(OK(vfs_open(&f, t->fs, NULL, "/f", RD, 0, &at_open, &version)));
    OK(vfs_stat(t->fs, NULL, "/f", &later));
    OK(vfs_validator(t->fs, NULL, "/f", &now));
    EQ(at_open.type, VFS_TYPE_FILE);
    EQ(at_open.size, 4);
    EQ(at_open.ino, later.ino);
    EQ(at_open.mode, later.mode);
    EQ(at_open.mtime_ns, later.mtime_ns);
    CHECK(vfs_validator_equal(&version, &now));
    OK(vfs_close(f, NULL));
}

static void a_failing_open_leaves_no_handle(conf_t *t)
{
    vfs_file_t *f = (vfs_file_t *)t;
    IS(APR_ENOENT, vfs_open(&f, t->fs, NULL, "/missing", RD, 0, NULL, NULL));
    CHECK(f == NULL);
}

static void create_obeys_mode_and_umask(conf_t *t)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_attr_t attr;
    vfs_file_t *f = NULL;
    memset(&attr, 0, sizeof attr);
    ctx.flags = VFS_CTX_UMASK;
    ctx.umask = 027;
    NEED(OK(vfs_open(&f, t->fs, &ctx, "/f", WR | CR, 0666, NULL, NULL)));
    OK(vfs_close(f, NULL));
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.mode, 0640);
    NEED(OK(vfs_open(&f, t->fs, NULL, "/g", WR | CR, 0666, NULL, NULL)));
    OK(vfs_close(f, NULL));
    OK(vfs_stat(t->fs, NULL, "/g", &attr));
    EQ(attr.mode, 0666);
}

static void create_of_an_existing_file_keeps_its_mode(conf_t *t)
{
    vfs_attr_t attr;
    vfs_file_t *f = NULL;
    memset(&attr, 0, sizeof attr);
    PUT("/f", "x");
    OK(vfs_chmod(t->fs, NULL, "/f", 0600, 0));
    NEED(OK(vfs_open(&f, t->fs, NULL, "/f", WR | CR, 0777, &attr, NULL)));
    OK(vfs_close(f, NULL));
    EQ(attr.mode, 0600);
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.mode, 0600);
}

static void a_file_created_without_write_permission_can_be_written(conf_t *t)
{
    vfs_file_t *f = NULL;
    size_t written = 0;
    NEED(OK(vfs_open(&f, t->fs, NULL, "/f", RW | CR | VFS_O_EXCL, 0400, NULL, NULL)));
    OK(vfs_write_at(f, NULL, "data", 4, 0, &written, NULL));
    OK(vfs_close(f, NULL));
    HOLDS("/f", "data");
}

static void exclusive_create_succeeds_once(conf_t *t)
{
    vfs_file_t *f = NULL;
    NEED_OPEN(first, "/f", WR | CR | VFS_O_EXCL);
    IS(APR_EEXIST, vfs_open(&f, t->fs, NULL, "/f", WR | CR | VFS_O_EXCL, 0644, NULL, NULL));
    CLOSE(first);
    OK(vfs_unlink(t->fs, NULL, "/f"));
    NEED_OPEN(again, "/f", WR | CR | VFS_O_EXCL);
    CLOSE(again);
}

static void truncating_open_shows_in_other_handles(conf_t *t)
{
    vfs_attr_t attr;
    char buf[8];
    size_t got = 9;
    memset(&attr, 0, sizeof attr);
    PUT("/f", "0123456789");
    NEED_OPEN(f, "/f", RD);
    FILE_HOLDS(f, 0, "0123456789");
    NEED_OPEN(g, "/f", WR | VFS_O_TRUNC);
    OK(vfs_fstat(f, NULL, &attr));
    EQ(attr.size, 0);
    OK(vfs_read_at(f, NULL, buf, sizeof buf, 0, &got));
    EQ(got, 0);
    CLOSE(f);
    CLOSE(g);
    HOLDS("/f", "");
}

static void a_directory_opens_for_reading_and_cannot_be_read(conf_t *t)
{
    char buf[8];
    size_t got = 9;
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    NEED_OPEN(f, "/d", RD);
    OK(vfs_fstat(f, NULL, &attr));
    EQ(attr.type, VFS_TYPE_DIR);
    IS(E(EISDIR), vfs_read_at(f, NULL, buf, sizeof buf, 0, &got));
    EQ(got, 0);
    vfs_iovec_t halves[] = {{buf, 4}, {buf + 4, 4}};
    got = 9;
    IS(E(EISDIR), vfs_readv_at(f, NULL, halves, 2, 0, &got));
    EQ(got, 0);
    CLOSE(f);
}

static void directory_flag_alone_opens_a_directory(conf_t *t)
{
    vfs_attr_t attr;
    vfs_file_t *f = NULL;
    memset(&attr, 0, sizeof attr);
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/f", "x");
    NEED_OPEN(d, "/d", VFS_O_DIRECTORY);
    OK(vfs_fstat(d, NULL, &attr));
    EQ(attr.type, VFS_TYPE_DIR);
    CLOSE(d);
    IS(APR_ENOTDIR, vfs_open(&f, t->fs, NULL, "/f", VFS_O_DIRECTORY, 0, NULL, NULL));
}

static void a_handle_knows_its_flags_and_file_system(conf_t *t)
{
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RD);
    NEED_OPEN(g, "/f", WR | VFS_O_APPEND);
    EQ(vfs_file_flags(f) & (RD | WR | VFS_O_APPEND), RD);
    EQ(vfs_file_flags(g) & (RD | WR | VFS_O_APPEND), WR | VFS_O_APPEND);
    CHECK(vfs_file_fs(f) != NULL);
    CHECK(vfs_find_layer(t->fs, vfs_name(vfs_file_fs(f))) != NULL);
    CLOSE(f);
    CLOSE(g);
}

static void a_write_only_handle_cannot_read(conf_t *t)
{
    char buf[4];
    size_t got = 9;
    vfs_iovec_t iov = {buf, sizeof buf};
    PUT("/f", "data");
    NEED_OPEN(f, "/f", WR);
    IS(APR_EBADF, vfs_read_at(f, NULL, buf, sizeof buf, 0, &got));
    EQ(got, 0);
    IS(APR_EBADF, vfs_readv_at(f, NULL, &iov, 1, 0, &got));
    IS(APR_EBADF, vfs_read(f, NULL, buf, sizeof buf, &got));
    CLOSE(f);
}

static void a_read_only_handle_cannot_write(conf_t *t)
{
    size_t written = 9;
    char text[] = "changed";
    vfs_iovec_t iov = {text, 7};
    PUT("/f", "data");
    NEED_OPEN(f, "/f", RD);
    IS(APR_EBADF, vfs_write_at(f, NULL, "changed", 7, 0, &written, NULL));
    EQ(written, 0);
    IS(APR_EBADF, vfs_writev_at(f, NULL, &iov, 1, 0, &written, NULL));
    IS(APR_EBADF, vfs_write(f, NULL, "changed", 7, &written));
    CHECK(vfs_ftruncate(f, NULL, 0) != APR_SUCCESS);
    CLOSE(f);
    HOLDS("/f", "data");
}

static void two_handles_on_one_file_see_each_other(conf_t *t)
{
    size_t written = 0;
    NEED_OPEN(f, "/f", RW | CR);
    NEED_OPEN(g, "/f", RW);
    OK(vfs_write_at(f, NULL, "from f", 6, 0, &written, NULL));
    FILE_HOLDS(g, 0, "from f");
    OK(vfs_write_at(g, NULL, "g", 1, 5, &written, NULL));
    FILE_HOLDS(f, 0, "from g");
    CLOSE(f);
    FILE_HOLDS(g, 0, "from g");
    CLOSE(g);
    HOLDS("/f", "from g");
}

static void an_unlinked_open_file_lives_until_its_last_handle(conf_t *t)
{
    vfs_attr_t attr;
    size_t written = 0;
    memset(&attr, 0, sizeof attr);
    PUT("/f", "before");
    NEED_OPEN(f, "/f", RW);
    NEED_OPEN(g, "/f", RD);
    OK(vfs_unlink(t->fs, NULL, "/f"));
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/f", &attr));
    NAMES("/", "");
    FILE_HOLDS(f, 0, "before");
    OK(vfs_write_at(f, NULL, "after!", 6, 0, &written, NULL));
    FILE_HOLDS(g, 0, "after!");
    OK(vfs_fstat(g, NULL, &attr));
    EQ(attr.nlink, 0);
    EQ(attr.size, 6);
    CLOSE(f);
    FILE_HOLDS(g, 0, "after!");
    CLOSE(g);
    NAMES("/", "");
}

static void a_new_file_under_an_unlinked_name_is_another_file(conf_t *t)
{
    size_t written = 0;
    PUT("/f", "old");
    NEED_OPEN(f, "/f", RW);
    OK(vfs_unlink(t->fs, NULL, "/f"));
    PUT("/f", "new one");
    FILE_HOLDS(f, 0, "old");
    OK(vfs_write_at(f, NULL, "OLD", 3, 0, &written, NULL));
    HOLDS("/f", "new one");
    FILE_HOLDS(f, 0, "OLD");
    CLOSE(f);
    HOLDS("/f", "new one");
}

static void three_hundred_handles_at_once(conf_t *t)
{
    char path[16], text[16];
    enum { COUNT = 300 };
    vfs_file_t *f[COUNT];
    size_t written;
    for (int i = 0; i < COUNT; i++) {
        snprintf(path, sizeof path, "/f%d", i);
        NEED((f[i] = OPEN(path, RW | CR)) != NULL);
        OK(vfs_write_at(f[i], NULL, path, strlen(path), 0, &written, NULL));
    }
    for (int i = 0; i < COUNT; i++) {
        snprintf(text, sizeof text, "/f%d", i);
        FILE_HOLDS(f[i], 0, text);
        CLOSE(f[i]);
    }
}

static void sync_and_direct_handles_read_and_write(conf_t *t)
{
    size_t written = 0;
    NEED_OPEN(f, "/f", RW | CR | VFS_O_SYNC);
    OK(vfs_write_at(f, NULL, "synced", 6, 0, &written, NULL));
    FILE_HOLDS(f, 0, "synced");
    CLOSE(f);
    NEED_OPEN(g, "/f", RW | VFS_O_DIRECT);
    FILE_HOLDS(g, 0, "synced");
    OK(vfs_write_at(g, NULL, "D", 1, 3, &written, NULL));
    FILE_HOLDS(g, 0, "synDed");
    CLOSE(g);
    HOLDS("/f", "synDed");
}

static void nofollow_counts_for_the_last_component_only(conf_t *t)
{
    vfs_file_t *f = NULL;
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/d/f", "x");
    OK(vfs_symlink(t->fs, NULL, "d", "/l"));
    NEED_OPEN(g, "/l/f", RD | VFS_O_NOFOLLOW);
    CLOSE(g);
    IS(E(ELOOP), vfs_open(&f, t->fs, NULL, "/l", RD | VFS_O_NOFOLLOW, 0, NULL, NULL));
}

static void create_through_a_dangling_link_makes_its_target(conf_t *t)
{
    OK(vfs_symlink(t->fs, NULL, "target", "/l"));
    PUT("/l", "made");
    HOLDS("/target", "made");
    NAMES("/", "l target ");
}

static void what_a_link_made_elsewhere_is_seen_there(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    OK(vfs_symlink(t->fs, NULL, "d/target", "/l"));
    OK(vfs_symlink(t->fs, NULL, "d/target", "/m"));
    OK(vfs_symlink(t->fs, NULL, "d/target/in", "/n"));
    NAMES("/d", "");
    OK(vfs_lstat(t->fs, NULL, "/l", &attr)); /* it is known to be a link when it is opened */
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/m", &attr));
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/n", &attr));
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/d/target", &attr));
    PUT("/l", "made");
    HOLDS("/d/target", "made");
    HOLDS("/m", "made");
    IS(APR_ENOTDIR, vfs_stat(t->fs, NULL, "/n", &attr));
    NAMES("/d", "target ");
}

static const conf_behaviour_t behaviours[] = {
    B(all_flags_on_a_missing_name),
    B(all_flags_on_a_file),
    B(all_flags_on_a_directory),
    B_CAPS(all_flags_on_a_link_to_a_file, VFS_CAP_SYMLINK),
    B_CAPS(all_flags_on_a_link_to_a_directory, VFS_CAP_SYMLINK),
    B_CAPS(all_flags_on_a_link_to_nothing, VFS_CAP_SYMLINK),
    B(open_without_read_or_write_is_einval),
    B(open_with_unknown_flags_is_einval),
    B_WANTS(open_fills_attributes_and_validator, 0, CONF_EAGER),
    B(a_failing_open_leaves_no_handle),
    B_CAPS(create_obeys_mode_and_umask, VFS_CAP_MODE),
    B_CAPS(create_of_an_existing_file_keeps_its_mode, VFS_CAP_MODE),
    B(a_file_created_without_write_permission_can_be_written),
    B(exclusive_create_succeeds_once),
    B(truncating_open_shows_in_other_handles),
    B(a_directory_opens_for_reading_and_cannot_be_read),
    B(directory_flag_alone_opens_a_directory),
    B(a_handle_knows_its_flags_and_file_system),
    B(a_write_only_handle_cannot_read),
    B(a_read_only_handle_cannot_write),
    B(two_handles_on_one_file_see_each_other),
    B_CAPS(an_unlinked_open_file_lives_until_its_last_handle, VFS_CAP_UNLINKED_OPEN),
    B_CAPS(a_new_file_under_an_unlinked_name_is_another_file, VFS_CAP_UNLINKED_OPEN),
    B(three_hundred_handles_at_once),
    B(sync_and_direct_handles_read_and_write),
    B_CAPS(nofollow_counts_for_the_last_component_only, VFS_CAP_SYMLINK),
    B_CAPS(create_through_a_dangling_link_makes_its_target, VFS_CAP_SYMLINK),
    B_CAPS(what_a_link_made_elsewhere_is_seen_there, VFS_CAP_SYMLINK),
};
CONF_TABLE(open, behaviours);
