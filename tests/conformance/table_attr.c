/*
 * table_attr.c - behaviours of attributes: stat, modes, owners, times in nanoseconds, access,
 * credentials.
 */
#include <stdlib.h>
#include <unistd.h>

#include "tests/conformance/conf.h"

/* The unit that times are kept in: whole seconds, where the step is one or more. */
static int64_t step_ns(const conf_t *t)
{
    return vfs_caps(t->fs)->time_granularity_ns >= 1000000000u ? 1000000000 : 1;
}

static int64_t whole(const conf_t *t, int64_t ns)
{
    return ns - ns % step_ns(t);
}

static void stat_lstat_and_fstat_agree(conf_t *t)
{
    vfs_attr_t a, b, c;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    memset(&c, 0, sizeof c);
    PUT("/f", "0123456789");
    NEED_OPEN(f, "/f", RD);
    OK(vfs_stat(t->fs, NULL, "/f", &a));
    OK(vfs_lstat(t->fs, NULL, "/f", &b));
    OK(vfs_fstat(f, NULL, &c));
    EQ(a.type, VFS_TYPE_FILE);
    EQ(a.size, 10);
    EQ(a.nlink, 1);
    EQ(b.ino, a.ino);
    EQ(c.ino, a.ino);
    EQ(b.mtime_ns, a.mtime_ns);
    EQ(c.mtime_ns, a.mtime_ns);
    EQ(c.ctime_ns, a.ctime_ns);
    EQ(c.mode, a.mode);
    EQ(c.size, a.size);
    CLOSE(f);
}

static void files_have_identities_of_their_own(conf_t *t)
{
    vfs_attr_t f, g, d;
    memset(&f, 0, sizeof f);
    memset(&g, 0, sizeof g);
    memset(&d, 0, sizeof d);
    PUT("/f", "x");
    PUT("/g", "x");
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    OK(vfs_stat(t->fs, NULL, "/f", &f));
    OK(vfs_stat(t->fs, NULL, "/g", &g));
    OK(vfs_stat(t->fs, NULL, "/d", &d));
    CHECK(f.ino != g.ino);
    CHECK(f.ino != d.ino);
    EQ(f.dev, g.dev);
}

static void a_write_moves_size_and_mtime(conf_t *t)
{
    vfs_attr_t before, after;
    size_t n = 0;
    memset(&before, 0, sizeof before);
    memset(&after, 0, sizeof after);
    PUT("/f", "x");
    OK(vfs_utimens(t->fs, NULL, "/f", 1000000000, 1000000000, 0));
    NEED_OPEN(f, "/f", RW);
    OK(vfs_fstat(f, NULL, &before));
    EQ(before.mtime_ns, 1000000000);
    OK(vfs_write_at(f, NULL, "longer", 6, 0, &n, NULL));
    OK(vfs_fstat(f, NULL, &after));
    EQ(after.size, 6);
    CHECK(after.mtime_ns > before.mtime_ns);
    OK(vfs_stat(t->fs, NULL, "/f", &after));
    EQ(after.size, 6);
    CHECK(after.mtime_ns > before.mtime_ns);
    OK(vfs_sync(f, NULL, VFS_SYNC_ALL));
    OK(vfs_fstat(f, NULL, &after));
    CHECK(after.mtime_ns > before.mtime_ns);
    CLOSE(f);
}

static void an_overwrite_of_the_same_size_moves_mtime(conf_t *t)
{
    vfs_attr_t after;
    size_t n = 0;
    memset(&after, 0, sizeof after);
    PUT("/f", "aaaa");
    OK(vfs_utimens(t->fs, NULL, "/f", 1000000000, 1000000000, 0));
    NEED_OPEN(f, "/f", RW);
    OK(vfs_write_at(f, NULL, "bbbb", 4, 0, &n, NULL));
    CLOSE(f);
    OK(vfs_stat(t->fs, NULL, "/f", &after));
    CHECK(after.mtime_ns > 1000000000);
}

static void cutting_an_empty_file_moves_mtime(conf_t *t)
{
    vfs_attr_t after;
    memset(&after, 0, sizeof after);
    PUT("/f", "");
    OK(vfs_utimens(t->fs, NULL, "/f", 1000000000, 1000000000, 0));
    NEED_OPEN(f, "/f", RW | VFS_O_TRUNC);
    CLOSE(f);
    OK(vfs_stat(t->fs, NULL, "/f", &after));
    CHECK(after.mtime_ns > 1000000000);
}

static void reading_does_not_move_mtime_or_ctime(conf_t *t)
{
    vfs_attr_t before, after;
    memset(&before, 0, sizeof before);
    memset(&after, 0, sizeof after);
    PUT("/f", "x");
    OK(vfs_stat(t->fs, NULL, "/f", &before));
    HOLDS("/f", "x");
    OK(vfs_stat(t->fs, NULL, "/f", &after));
    EQ(after.mtime_ns, before.mtime_ns);
    EQ(after.ctime_ns, before.ctime_ns);
}

static void times_of_a_new_file_are_about_now(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    int64_t slack = (int64_t)vfs_caps(t->fs)->time_granularity_ns + 1000000000;
    int64_t now = (int64_t)apr_time_now() * 1000;
    PUT("/f", "x");
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    CHECK(attr.mtime_ns > now - slack && attr.mtime_ns < now + 60 * slack);
    CHECK(attr.ctime_ns > now - slack && attr.ctime_ns < now + 60 * slack);
}

static void chmod_sets_every_permission_bit(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RD);
    for (uint32_t mode = 0; mode <= 0777; mode += 0111 + 7) {
        OK(vfs_chmod(t->fs, NULL, "/f", mode, 0));
        OK(vfs_stat(t->fs, NULL, "/f", &attr));
        EQ(attr.mode, mode);
        OK(vfs_fstat(f, NULL, &attr));
        EQ(attr.mode, mode);
    }
    OK(vfs_fchmod(f, NULL, 0640));
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.mode, 0640);
    CLOSE(f);
}

static void chmod_sets_the_special_bits(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/f", "x");
    OK(vfs_chmod(t->fs, NULL, "/d", 01777, 0));
    OK(vfs_stat(t->fs, NULL, "/d", &attr));
    EQ(attr.mode, 01777);
    OK(vfs_chmod(t->fs, NULL, "/f", 06755, 0));
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.mode, 06755);
    IS(APR_EINVAL, vfs_chmod(t->fs, NULL, "/f", 010000, 0));
}

static void chmod_moves_ctime_and_not_mtime(conf_t *t)
{
    vfs_attr_t before, after;
    memset(&before, 0, sizeof before);
    memset(&after, 0, sizeof after);
    PUT("/f", "x");
    OK(vfs_utimens(t->fs, NULL, "/f", 1000000000, 1000000000, 0));
    OK(vfs_stat(t->fs, NULL, "/f", &before));
    apr_sleep(20000); /* over the granularity of a kernel tick */
    OK(vfs_chmod(t->fs, NULL, "/f", 0600, 0));
    OK(vfs_stat(t->fs, NULL, "/f", &after));
    EQ(after.mtime_ns, 1000000000);
    if (step_ns(t) == 1) CHECK(after.ctime_ns > before.ctime_ns); /* else it may show none */
}

static void chmod_of_a_directory_and_through_a_link(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    OK(vfs_symlink(t->fs, NULL, "d", "/l"));
    OK(vfs_chmod(t->fs, NULL, "/l", 0700, 0));
    OK(vfs_stat(t->fs, NULL, "/d", &attr));
    EQ(attr.mode, 0700);
    OK(vfs_lstat(t->fs, NULL, "/l", &attr));
    EQ(attr.mode, 0777);
}

static void attributes_of_nothing_are_enoent(conf_t *t)
{
    vfs_attr_t attr;
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/missing", &attr));
    IS(APR_ENOENT, vfs_lstat(t->fs, NULL, "/missing", &attr));
    IS(APR_ENOENT, vfs_access(t->fs, NULL, "/missing", VFS_ACCESS_EXIST));
    IS(APR_ENOENT, vfs_chmod(t->fs, NULL, "/missing", 0600, 0));
    IS(APR_ENOENT, vfs_chown(t->fs, NULL, "/missing", 1, 1, 0));
    IS(APR_ENOENT, vfs_utimens(t->fs, NULL, "/missing", 1, 1, 0));
}

static void wrong_flags_of_attribute_calls_are_einval(conf_t *t)
{
    PUT("/f", "x");
    IS(APR_EINVAL, vfs_chmod(t->fs, NULL, "/f", 0600, 0x40));
    IS(APR_EINVAL, vfs_chown(t->fs, NULL, "/f", 1, 1, 0x40));
    IS(APR_EINVAL, vfs_utimens(t->fs, NULL, "/f", 1, 1, 0x40));
    IS(APR_EINVAL, vfs_access(t->fs, NULL, "/f", 0x40));
}

static void times_keep_their_nanoseconds(conf_t *t)
{
    static const int64_t times[] = {
        0, 1, 999999999, 1000000000, 1234567890123456789, 86400000000123};
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RD);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        OK(vfs_utimens(t->fs, NULL, "/f", times[i], times[i] + 5, 0));
        OK(vfs_stat(t->fs, NULL, "/f", &attr));
        EQ(attr.atime_ns, whole(t, times[i]));
        EQ(attr.mtime_ns, whole(t, times[i] + 5));
        OK(vfs_futimens(f, NULL, times[i] + 1, times[i] + 2));
        OK(vfs_fstat(f, NULL, &attr));
        EQ(attr.atime_ns, whole(t, times[i] + 1));
        EQ(attr.mtime_ns, whole(t, times[i] + 2));
    }
    CLOSE(f);
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.mtime_ns, whole(t, times[5] + 2));
}

static void times_before_1970_are_kept(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    PUT("/f", "x");
    if (step_ns(t) > 1) { /* so they come without a sign, too */
        IS(APR_EINVAL, vfs_utimens(t->fs, NULL, "/f", -1500000000, -1, 0));
        return;
    }
    OK(vfs_utimens(t->fs, NULL, "/f", -1500000000, -1, 0));
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.atime_ns, -1500000000);
    EQ(attr.mtime_ns, -1);
}

static void omitted_times_stay_and_now_is_now(conf_t *t)
{
    vfs_attr_t attr;
    const int64_t step = step_ns(t);
    memset(&attr, 0, sizeof attr);
    PUT("/f", "x");
    OK(vfs_utimens(t->fs, NULL, "/f", 1000 * step, 2000 * step, 0));
    OK(vfs_utimens(t->fs, NULL, "/f", VFS_TIME_OMIT, 3000 * step, 0));
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.atime_ns, 1000 * step);
    EQ(attr.mtime_ns, 3000 * step);
    OK(vfs_utimens(t->fs, NULL, "/f", 4000 * step, VFS_TIME_OMIT, 0));
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.atime_ns, 4000 * step);
    EQ(attr.mtime_ns, 3000 * step);
    int64_t now = (int64_t)apr_time_now() * 1000 - 2000000000;
    OK(vfs_utimens(t->fs, NULL, "/f", VFS_TIME_OMIT, VFS_TIME_NOW, 0));
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.atime_ns, 4000 * step);
    CHECK(attr.mtime_ns > now);
}

static void times_that_were_set_survive_a_close(conf_t *t)
{
    vfs_attr_t attr;
    size_t n = 0;
    memset(&attr, 0, sizeof attr);
    NEED_OPEN(f, "/f", RW | CR);
    OK(vfs_write_at(f, NULL, "some data", 9, 0, &n, NULL));
    OK(vfs_futimens(f, NULL, 5000000000, 6000000000));
    OK(vfs_fstat(f, NULL, &attr));
    EQ(attr.mtime_ns, 6000000000);
    CLOSE(f);
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.mtime_ns, 6000000000);
    EQ(attr.size, 9);
    HOLDS("/f", "some data");
}

static void times_of_a_link_itself(conf_t *t)
{
    vfs_attr_t attr;
    const int64_t step = step_ns(t);
    memset(&attr, 0, sizeof attr);
    PUT("/f", "x");
    OK(vfs_symlink(t->fs, NULL, "f", "/l"));
    OK(vfs_utimens(t->fs, NULL, "/l", 1000 * step, 2000 * step, VFS_NOFOLLOW));
    OK(vfs_lstat(t->fs, NULL, "/l", &attr));
    EQ(attr.mtime_ns, 2000 * step);
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    CHECK(attr.mtime_ns != 2000 * step);
    OK(vfs_utimens(t->fs, NULL, "/l", 3000 * step, 4000 * step, 0));
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.mtime_ns, 4000 * step);
}

static void chown_sets_owner_and_group(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    PUT("/f", "x");
    OK(vfs_chown(t->fs, NULL, "/f", 1234, 5678, 0));
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.uid, 1234);
    EQ(attr.gid, 5678);
    OK(vfs_chown(t->fs, NULL, "/f", (uint32_t)-1, 42, 0));
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.uid, 1234);
    EQ(attr.gid, 42);
    NEED_OPEN(f, "/f", RD);
    OK(vfs_fchown(f, NULL, 7, (uint32_t)-1));
    OK(vfs_fstat(f, NULL, &attr));
    EQ(attr.uid, 7);
    EQ(attr.gid, 42);
    CLOSE(f);
}

static void chown_of_a_link_itself(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    PUT("/f", "x");
    OK(vfs_chown(t->fs, NULL, "/f", 1, 1, 0));
    OK(vfs_symlink(t->fs, NULL, "f", "/l"));
    OK(vfs_chown(t->fs, NULL, "/l", 11, 12, VFS_NOFOLLOW));
    OK(vfs_lstat(t->fs, NULL, "/l", &attr));
    EQ(attr.uid, 11);
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.uid, 1);
    OK(vfs_chown(t->fs, NULL, "/l", 21, 22, 0));
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.uid, 21);
    EQ(attr.gid, 22);
}

static void chown_takes_the_set_id_bits_away(conf_t *t)
{
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    PUT("/f", "x");
    OK(vfs_chmod(t->fs, NULL, "/f", 06755, 0));
    OK(vfs_chown(t->fs, NULL, "/f", 1, 1, 0));
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.mode, 0755);
}

static void access_answers_by_mode(conf_t *t)
{
    PUT("/f", "x");
    OK(vfs_access(t->fs, NULL, "/f", VFS_ACCESS_EXIST));
    OK(vfs_access(t->fs, NULL, "/f", VFS_ACCESS_READ | VFS_ACCESS_WRITE));
    IS(APR_EACCES, vfs_access(t->fs, NULL, "/f", VFS_ACCESS_EXEC));
    if (!(vfs_caps(t->fs)->bits & VFS_CAP_MODE)) return;
    OK(vfs_chmod(t->fs, NULL, "/f", 0755, 0));
    OK(vfs_access(t->fs, NULL, "/f", VFS_ACCESS_EXEC));
}

static vfs_ctx_t user(uint32_t uid, uint32_t gid)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.flags = VFS_CTX_CREDS;
    ctx.uid = uid;
    ctx.gid = gid;
    return ctx;
}

static void credentials_decide_who_may_open(conf_t *t)
{
    vfs_ctx_t owner = user(1000, 1000), member = user(2000, 1000), other = user(3000, 3000);
    vfs_file_t *f = NULL;
    PUT("/f", "secret");
    OK(vfs_chown(t->fs, NULL, "/f", 1000, 1000, 0));
    OK(vfs_chmod(t->fs, NULL, "/f", 0640, 0));
    OK(vfs_access(t->fs, &owner, "/f", VFS_ACCESS_READ | VFS_ACCESS_WRITE));
    OK(vfs_access(t->fs, &member, "/f", VFS_ACCESS_READ));
    IS(APR_EACCES, vfs_access(t->fs, &member, "/f", VFS_ACCESS_WRITE));
    IS(APR_EACCES, vfs_access(t->fs, &other, "/f", VFS_ACCESS_READ));
    HOLDS("/f", "secret");
    IS(APR_EACCES, vfs_open(&f, t->fs, &other, "/f", RD, 0, NULL, NULL));
    IS(APR_EACCES, vfs_open(&f, t->fs, &member, "/f", WR, 0, NULL, NULL));
    NEED(OK(vfs_open(&f, t->fs, &member, "/f", RD, 0, NULL, NULL)));
    OK(vfs_close(f, NULL));
    NEED(OK(vfs_open(&f, t->fs, &owner, "/f", RW, 0, NULL, NULL)));
    OK(vfs_close(f, NULL));
}

static void credentials_decide_who_may_get(conf_t *t)
{
    vfs_ctx_t other = user(3000, 3000);
    vfs_attr_t attr;
    vfs_validator_t v;
    char buf[16];
    size_t got = 9;
    PUT("/f", "secret");
    OK(vfs_chmod(t->fs, NULL, "/f", 0600, 0));
    HOLDS("/f", "secret");
    IS(APR_EACCES, vfs_get(t->fs, &other, "/f", buf, sizeof buf, &got, &attr, &v));
    EQ(got, 0);
    IS(APR_EACCES, vfs_truncate(t->fs, &other, "/f", 0));
    HOLDS("/f", "secret");
}

static void credentials_decide_who_may_change_names(conf_t *t)
{
    vfs_ctx_t other = user(3000, 3000);
    vfs_file_t *f = NULL;
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    OK(vfs_chmod(t->fs, NULL, "/", 0755, 0));
    PUT("/d/f", "x");
    IS(APR_EACCES, vfs_open(&f, t->fs, &other, "/d/new", WR | CR, 0644, NULL, NULL));
    IS(APR_EACCES, vfs_mkdir(t->fs, &other, "/d/e", 0755));
    IS(APR_EACCES, vfs_unlink(t->fs, &other, "/d/f"));
    IS(APR_EACCES, vfs_rename(t->fs, &other, "/d/f", "/d/g", 0));
    IS(E(EPERM), vfs_chmod(t->fs, &other, "/d/f", 0777, 0));
    OK(vfs_chmod(t->fs, NULL, "/d", 0777, 0));
    NEED(OK(vfs_open(&f, t->fs, &other, "/d/new", WR | CR, 0644, &attr, NULL)));
    OK(vfs_close(f, NULL));
    OK(vfs_stat(t->fs, NULL, "/d/new", &attr));
    EQ(attr.uid, 3000);
    EQ(attr.gid, 3000);
}

static void a_directory_without_search_permission_hides_its_names(conf_t *t)
{
    vfs_ctx_t other = user(3000, 3000);
    vfs_attr_t attr;
    vfs_dir_t *dir = NULL;
    vfs_file_t *f = NULL;
    OK(vfs_chmod(t->fs, NULL, "/", 0755, 0));
    OK(vfs_mkdir(t->fs, NULL, "/d", 0700));
    PUT("/d/f", "x");
    HOLDS("/d/f", "x");
    IS(APR_EACCES, vfs_stat(t->fs, &other, "/d/f", &attr));
    IS(APR_EACCES, vfs_open(&f, t->fs, &other, "/d/f", RD, 0, NULL, NULL));
    IS(APR_EACCES, vfs_opendir(&dir, t->fs, &other, "/d", 0));
    IS(APR_EACCES, vfs_stat(t->fs, &other, "/d/missing", &attr));
}

static void supplementary_groups_count(conf_t *t)
{
    uint32_t groups[] = {50, 60, 70};
    vfs_ctx_t ctx = user(3000, 3000);
    PUT("/f", "x");
    OK(vfs_chown(t->fs, NULL, "/f", 1, 60, 0));
    OK(vfs_chmod(t->fs, NULL, "/f", 0040, 0));
    OK(vfs_chmod(t->fs, NULL, "/", 0755, 0));
    IS(APR_EACCES, vfs_access(t->fs, &ctx, "/f", VFS_ACCESS_READ));
    ctx.groups = groups;
    ctx.ngroups = 3;
    OK(vfs_access(t->fs, &ctx, "/f", VFS_ACCESS_READ));
}

static const conf_behaviour_t behaviours[] = {
    B(stat_lstat_and_fstat_agree),
    B_CAPS(files_have_identities_of_their_own, VFS_CAP_STABLE_ID),
    B_CAPS(a_write_moves_size_and_mtime, VFS_CAP_TIMES),
    B_CAPS(an_overwrite_of_the_same_size_moves_mtime, VFS_CAP_TIMES),
    B_CAPS(cutting_an_empty_file_moves_mtime, VFS_CAP_TIMES),
    B(reading_does_not_move_mtime_or_ctime),
    B(times_of_a_new_file_are_about_now),
    B_CAPS(chmod_sets_every_permission_bit, VFS_CAP_MODE),
    B_CAPS(chmod_sets_the_special_bits, VFS_CAP_MODE),
    B_CAPS(chmod_moves_ctime_and_not_mtime, VFS_CAP_MODE | VFS_CAP_TIMES),
    B_CAPS(chmod_of_a_directory_and_through_a_link, VFS_CAP_MODE | VFS_CAP_SYMLINK),
    B_CAPS(attributes_of_nothing_are_enoent, VFS_CAP_MODE | VFS_CAP_OWNER | VFS_CAP_TIMES),
    B(wrong_flags_of_attribute_calls_are_einval),
    B_CAPS(times_keep_their_nanoseconds, VFS_CAP_TIMES),
    B_CAPS(times_before_1970_are_kept, VFS_CAP_TIMES),
    B_CAPS(omitted_times_stay_and_now_is_now, VFS_CAP_TIMES),
    B_CAPS(times_that_were_set_survive_a_close, VFS_CAP_TIMES),
    B_CAPS(times_of_a_link_itself, VFS_CAP_TIMES | VFS_CAP_SYMLINK),
    B_WANTS(chown_sets_owner_and_group, VFS_CAP_OWNER, CONF_ROOT),
    B_WANTS(chown_of_a_link_itself, VFS_CAP_OWNER | VFS_CAP_SYMLINK, CONF_ROOT),
    B_WANTS(chown_takes_the_set_id_bits_away, VFS_CAP_OWNER | VFS_CAP_MODE, CONF_ROOT),
    B(access_answers_by_mode),
    B_WANTS(credentials_decide_who_may_open, VFS_CAP_CREDS | VFS_CAP_OWNER, CONF_ROOT),
    B_WANTS(credentials_decide_who_may_get, VFS_CAP_CREDS | VFS_CAP_OWNER, CONF_ROOT),
    B_WANTS(credentials_decide_who_may_change_names, VFS_CAP_CREDS | VFS_CAP_OWNER, CONF_ROOT),
    B_WANTS(a_directory_without_search_permission_hides_its_names, VFS_CAP_CREDS, CONF_ROOT),
    B_WANTS(supplementary_groups_count, VFS_CAP_CREDS | VFS_CAP_OWNER, CONF_ROOT),
};
CONF_TABLE(attr, behaviours);
