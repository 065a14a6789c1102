/*
 * table_xattr.c - behaviours of extended attributes, by path and by handle.
 */
#include <stdlib.h>

#include "tests/conformance/conf.h"

static void an_attribute_is_read_as_it_was_set(conf_t *t)
{
    char buf[64];
    size_t len = 99;
    PUT("/f", "x");
    OK(vfs_setxattr(t->fs, NULL, "/f", "user.a", "value", 5, 0, 0));
    OK(vfs_getxattr(t->fs, NULL, "/f", "user.a", buf, sizeof buf, &len, 0));
    EQ(len, 5);
    SAME(buf, "value", 5);
    OK(vfs_setxattr(t->fs, NULL, "/f", "user.a", "\0bin\0", 5, 0, 0));
    OK(vfs_getxattr(t->fs, NULL, "/f", "user.a", buf, sizeof buf, &len, 0));
    SAME(buf, "\0bin\0", 5);
    OK(vfs_setxattr(t->fs, NULL, "/f", "user.empty", "", 0, 0, 0));
    OK(vfs_getxattr(t->fs, NULL, "/f", "user.empty", buf, sizeof buf, &len, 0));
    EQ(len, 0);
    HOLDS("/f", "x");
}

static void size_zero_asks_for_the_length(conf_t *t)
{
    char buf[4];
    size_t len = 0;
    PUT("/f", "x");
    OK(vfs_setxattr(t->fs, NULL, "/f", "user.a", "value", 5, 0, 0));
    OK(vfs_getxattr(t->fs, NULL, "/f", "user.a", NULL, 0, &len, 0));
    EQ(len, 5);
    OK(vfs_listxattr(t->fs, NULL, "/f", NULL, 0, &len, 0));
    EQ(len, strlen("user.a") + 1);
    IS(E(ERANGE), vfs_getxattr(t->fs, NULL, "/f", "user.a", buf, sizeof buf, &len, 0));
    IS(E(ERANGE), vfs_listxattr(t->fs, NULL, "/f", buf, sizeof buf, &len, 0));
}

static void a_missing_attribute_is_enodata(conf_t *t)
{
    char buf[4];
    size_t len = 0;
    PUT("/f", "x");
    IS(VFS_ENODATA, vfs_getxattr(t->fs, NULL, "/f", "user.no", buf, sizeof buf, &len, 0));
    IS(VFS_ENODATA, vfs_removexattr(t->fs, NULL, "/f", "user.no", 0));
    IS(VFS_ENODATA, vfs_setxattr(t->fs, NULL, "/f", "user.no", "v", 1, VFS_XATTR_REPLACE, 0));
    IS(APR_ENOENT, vfs_getxattr(t->fs, NULL, "/missing", "user.no", buf, sizeof buf, &len, 0));
    IS(APR_ENOENT, vfs_setxattr(t->fs, NULL, "/missing", "user.no", "v", 1, 0, 0));
    IS(APR_ENOENT, vfs_listxattr(t->fs, NULL, "/missing", buf, sizeof buf, &len, 0));
}

static void create_and_replace_are_obeyed(conf_t *t)
{
    char buf[8];
    size_t len = 0;
    PUT("/f", "x");
    OK(vfs_setxattr(t->fs, NULL, "/f", "user.a", "one", 3, VFS_XATTR_CREATE, 0));
    IS(APR_EEXIST, vfs_setxattr(t->fs, NULL, "/f", "user.a", "two", 3, VFS_XATTR_CREATE, 0));
    OK(vfs_setxattr(t->fs, NULL, "/f", "user.a", "three", 5, VFS_XATTR_REPLACE, 0));
    OK(vfs_getxattr(t->fs, NULL, "/f", "user.a", buf, sizeof buf, &len, 0));
    EQ(len, 5);
    SAME(buf, "three", 5);
    IS(APR_EINVAL, vfs_setxattr(t->fs, NULL, "/f", "user.a", "v", 1, 0x40, 0));
}

static int has_name(const char *list, size_t len, const char *name)
{
    for (size_t at = 0; at < len; at += strlen(list + at) + 1) {
        if (strcmp(list + at, name) == 0) return 1;
    }
    return 0;
}

static void names_are_listed_until_they_are_removed(conf_t *t)
{
    char list[256];
    size_t len = 99;
    PUT("/f", "x");
    OK(vfs_listxattr(t->fs, NULL, "/f", list, sizeof list, &len, 0));
    EQ(len, 0);
    OK(vfs_setxattr(t->fs, NULL, "/f", "user.a", "1", 1, 0, 0));
    OK(vfs_setxattr(t->fs, NULL, "/f", "user.bb", "2", 1, 0, 0));
    OK(vfs_listxattr(t->fs, NULL, "/f", list, sizeof list, &len, 0));
    EQ(len, 7 + 8);
    CHECK(has_name(list, len, "user.a"));
    CHECK(has_name(list, len, "user.bb"));
    OK(vfs_removexattr(t->fs, NULL, "/f", "user.a", 0));
    OK(vfs_listxattr(t->fs, NULL, "/f", list, sizeof list, &len, 0));
    CHECK(len == 8 && !has_name(list, len, "user.a"));
}

static void handles_and_paths_share_attributes(conf_t *t)
{
    char buf[32];
    size_t len = 0;
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RW);
    OK(vfs_fsetxattr(f, NULL, "user.a", "handle", 6, 0));
    OK(vfs_getxattr(t->fs, NULL, "/f", "user.a", buf, sizeof buf, &len, 0));
    EQ(len, 6);
    OK(vfs_setxattr(t->fs, NULL, "/f", "user.a", "by path", 7, 0, 0));
    OK(vfs_fgetxattr(f, NULL, "user.a", buf, sizeof buf, &len));
    EQ(len, 7);
    SAME(buf, "by path", 7);
    OK(vfs_flistxattr(f, NULL, buf, sizeof buf, &len));
    EQ(len, 7);
    OK(vfs_fremovexattr(f, NULL, "user.a"));
    IS(VFS_ENODATA, vfs_getxattr(t->fs, NULL, "/f", "user.a", buf, sizeof buf, &len, 0));
    CLOSE(f);
}

static void attributes_follow_their_file(conf_t *t)
{
    char buf[8];
    size_t len = 0;
    PUT("/f", "x");
    OK(vfs_setxattr(t->fs, NULL, "/f", "user.a", "kept", 4, 0, 0));
    OK(vfs_rename(t->fs, NULL, "/f", "/g", 0));
    OK(vfs_getxattr(t->fs, NULL, "/g", "user.a", buf, sizeof buf, &len, 0));
    EQ(len, 4);
    PUT("/f", "another");
    IS(VFS_ENODATA, vfs_getxattr(t->fs, NULL, "/f", "user.a", buf, sizeof buf, &len, 0));
    OK(vfs_unlink(t->fs, NULL, "/g"));
    PUT("/g", "new");
    IS(VFS_ENODATA, vfs_getxattr(t->fs, NULL, "/g", "user.a", buf, sizeof buf, &len, 0));
}

static void directories_have_attributes_too(conf_t *t)
{
    char buf[8];
    size_t len = 0;
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    OK(vfs_setxattr(t->fs, NULL, "/d", "user.a", "dir", 3, 0, 0));
    OK(vfs_getxattr(t->fs, NULL, "/d", "user.a", buf, sizeof buf, &len, 0));
    EQ(len, 3);
}

static void setting_an_attribute_moves_ctime(conf_t *t)
{
    vfs_attr_t before, after;
    memset(&before, 0, sizeof before);
    memset(&after, 0, sizeof after);
    PUT("/f", "x");
    OK(vfs_stat(t->fs, NULL, "/f", &before));
    apr_sleep(20000); /* over the granularity of a kernel tick */
    OK(vfs_setxattr(t->fs, NULL, "/f", "user.a", "1", 1, 0, 0));
    OK(vfs_stat(t->fs, NULL, "/f", &after));
    CHECK(after.ctime_ns > before.ctime_ns);
    EQ(after.mtime_ns, before.mtime_ns);
}

static void names_of_attributes_have_limits(conf_t *t)
{
    char name[300] = "user.";
    memset(name + 5, 'n', 294);
    name[299] = '\0';
    PUT("/f", "x");
    IS(E(ERANGE), vfs_setxattr(t->fs, NULL, "/f", name, "v", 1, 0, 0));
    name[255] = '\0';
    OK(vfs_setxattr(t->fs, NULL, "/f", name, "v", 1, 0, 0));
    CHECK(vfs_setxattr(t->fs, NULL, "/f", "", "v", 1, 0, 0) != APR_SUCCESS);
    IS(APR_EINVAL, vfs_setxattr(t->fs, NULL, "/f", NULL, "v", 1, 0, 0));
}

static void a_value_of_two_thousand_bytes(conf_t *t)
{
    char value[2000], buf[2000];
    size_t len = 0;
    conf_fill(value, sizeof value, 31);
    PUT("/f", "x");
    OK(vfs_setxattr(t->fs, NULL, "/f", "user.big", value, sizeof value, 0, 0));
    OK(vfs_getxattr(t->fs, NULL, "/f", "user.big", buf, sizeof buf, &len, 0));
    EQ(len, sizeof value);
    SAME(buf, value, sizeof value);
}

static const conf_behaviour_t behaviours[] = {
    B_CAPS(an_attribute_is_read_as_it_was_set, VFS_CAP_XATTR),
    B_CAPS(size_zero_asks_for_the_length, VFS_CAP_XATTR),
    B_CAPS(a_missing_attribute_is_enodata, VFS_CAP_XATTR),
    B_CAPS(create_and_replace_are_obeyed, VFS_CAP_XATTR),
    B_CAPS(names_are_listed_until_they_are_removed, VFS_CAP_XATTR),
    B_CAPS(handles_and_paths_share_attributes, VFS_CAP_XATTR),
    B_CAPS(attributes_follow_their_file, VFS_CAP_XATTR),
    B_CAPS(directories_have_attributes_too, VFS_CAP_XATTR),
    B_WANTS(setting_an_attribute_moves_ctime, VFS_CAP_XATTR, CONF_EAGER),
    B_CAPS(names_of_attributes_have_limits, VFS_CAP_XATTR),
    B_CAPS(a_value_of_two_thousand_bytes, VFS_CAP_XATTR),
};
CONF_TABLE(xattr, behaviours);
