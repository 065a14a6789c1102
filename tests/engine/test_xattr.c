/*
 * test_xattr.c - extended attributes: what is known to be absent is not asked for again, and never
 * longer than attributes are trusted.
 */
#include "tests/engine/support_rig.h"

#define CAPS "security.capability"
#define ACL "system.posix_acl_access"

static apr_status_t ask(vfs_t *fs, const char *path, const char *name)
{
    char buf[64];
    size_t len = 0;
    return vfs_getxattr(fs, NULL, path, name, buf, sizeof(buf), &len, 0);
}

static uint64_t questions(rig_t *rig)
{
    return rig_calls(rig, VFS_OPID_getxattr) + rig_calls(rig, VFS_OPID_fgetxattr);
}

/* Memory has names of users alone: what is below answers for all others that there is none. */
static void open_empty(rig_t *rig, const char *keys)
{
    rig_open(rig, keys);
    rig_fail(rig, VFS_OPID_getxattr, VFS_ENODATA, 1, 0);
    rig_fail(rig, VFS_OPID_fgetxattr, VFS_ENODATA, 1, 0);
}

/* The name is known, so that what is answered can be kept with it. */
static void open_with(rig_t *rig, const char *keys)
{
    vfs_attr_t attr;
    open_empty(rig, keys);
    rig_text(rig, "/f", "text");
    OK(vfs_lstat(rig->fs, NULL, "/f", &attr));
    rig_reset(rig);
}

Test(xattr, an_absent_name_is_asked_for_once)
{
    rig_t rig;
    open_with(&rig, "");
    for (int i = 0; i < 3; i++) {
        IS(VFS_ENODATA, ask(rig.fs, "/f", CAPS));
        IS(VFS_ENODATA, ask(rig.fs, "/f", ACL));
    }
    EQ(questions(&rig), 2);
    for (int i = 0; i < 3; i++)
        IS(VFS_ENODATA, ask(rig.fs, "/f", "user.any"));
    EQ(questions(&rig), 5);
    rig_close(&rig);
}

Test(xattr, a_handle_knows_it_too)
{
    rig_t rig;
    char buf[8];
    size_t len = 0;
    open_with(&rig, "");
    IS(VFS_ENODATA, ask(rig.fs, "/f", CAPS));
    vfs_file_t *file = rig_file(rig.fs, "/f", RIG_R);
    rig_reset(&rig);
    IS(VFS_ENODATA, vfs_fgetxattr(file, NULL, CAPS, buf, sizeof(buf), &len));
    EQ(questions(&rig), 0);
    IS(VFS_ENODATA, vfs_fgetxattr(file, NULL, ACL, buf, sizeof(buf), &len));
    IS(VFS_ENODATA, vfs_fgetxattr(file, NULL, ACL, buf, sizeof(buf), &len));
    EQ(questions(&rig), 1);
    IS(VFS_ENODATA, ask(rig.fs, "/f", ACL));
    EQ(questions(&rig), 1);
    OK(vfs_close(file, NULL));
    rig_close(&rig);
}

Test(xattr, what_we_change_is_asked_for_again)
{
    rig_t rig;
    uint64_t asked = 0;
    open_with(&rig, "");
    vfs_file_t *file = rig_file(rig.fs, "/f", RIG_W);
    for (int change = 0; change < 5; change++) {
        if (change == 1) OK(vfs_setxattr(rig.fs, NULL, "/f", "user.a", "v", 1, 0, 0));
        if (change == 2) OK(vfs_removexattr(rig.fs, NULL, "/f", "user.a", 0));
        if (change == 3) OK(vfs_fsetxattr(file, NULL, "user.a", "v", 1, 0));
        if (change == 4) OK(vfs_fremovexattr(file, NULL, "user.a"));
        IS(VFS_ENODATA, ask(rig.fs, "/f", CAPS));
        EQ(questions(&rig), ++asked);
        IS(VFS_ENODATA, ask(rig.fs, "/f", CAPS));
        EQ(questions(&rig), asked);
    }
    OK(vfs_close(file, NULL));
    rig_close(&rig);
}

Test(xattr, what_others_change_is_asked_for_when_attributes_are_old)
{
    rig_t rig;
    vfs_attr_t attr;
    open_with(&rig, "attr_ttl=1h");
    IS(VFS_ENODATA, ask(rig.fs, "/f", CAPS));
    OK(vfs_setxattr(rig.bottom, NULL, "/f", "user.a", "v", 1, 0, 0));
    IS(VFS_ENODATA, ask(rig.fs, "/f", CAPS)); /* as its times are still the old ones */
    EQ(questions(&rig), 1);
    rig_set(&rig, "attr_ttl", "1us");
    rig_nap(50);
    IS(VFS_ENODATA, ask(rig.fs, "/f", CAPS));
    EQ(questions(&rig), 2);
    OK(vfs_lstat(rig.fs, NULL, "/f", &attr)); /* which shows that it changed */
    rig_set(&rig, "attr_ttl", "1h");
    IS(VFS_ENODATA, ask(rig.fs, "/f", CAPS));
    EQ(questions(&rig), 3);
    rig_close(&rig);
}

Test(xattr, an_invalidated_file_is_asked_again)
{
    rig_t rig;
    vfs_attr_t attr;
    open_with(&rig, "attr_ttl=1h");
    IS(VFS_ENODATA, ask(rig.fs, "/f", CAPS));
    OK(cachefs_invalidate(rig.fs, "/f", NULL, NULL));
    OK(vfs_lstat(rig.fs, NULL, "/f", &attr));
    IS(VFS_ENODATA, ask(rig.fs, "/f", CAPS));
    EQ(questions(&rig), 2);
    rig_close(&rig);
}

Test(xattr, a_question_that_a_change_overlapped_is_not_kept)
{
    rig_t rig;
    open_with(&rig, "");
    obj_t *o = rig_obj(&rig, "/f");
    (void)cachefs__obj_change_begin(rig.c, o);
    IS(VFS_ENODATA, ask(rig.fs, "/f", CAPS));
    cachefs__obj_change_end(rig.c, o, 1);
    IS(VFS_ENODATA, ask(rig.fs, "/f", CAPS));
    EQ(questions(&rig), 2);
    cachefs__obj_put(rig.c, o);
    rig_close(&rig);
}

Test(xattr, a_file_of_ours_has_no_capabilities)
{
    rig_t rig;
    open_empty(&rig, "");
    vfs_file_t *file = rig_file(rig.fs, "/new", RIG_C | VFS_O_EXCL);
    rig_reset(&rig);
    IS(VFS_ENODATA, ask(rig.fs, "/new", CAPS));
    rig_write(file, 0, "x", 1);
    IS(VFS_ENODATA, ask(rig.fs, "/new", CAPS)); /* our own write does not change that */
    EQ(questions(&rig), 0);
    IS(VFS_ENODATA, ask(rig.fs, "/new", ACL)); /* it may have come from the directory */
    EQ(questions(&rig), 1);
    OK(vfs_close(file, NULL));
    rig_close(&rig);
}

Test(xattr, a_link_is_another_file_than_what_it_leads_to)
{
    rig_t rig;
    vfs_attr_t attr;
    char buf[8];
    size_t len = 0;
    open_with(&rig, "");
    OK(vfs_symlink(rig.fs, NULL, "/f", "/link"));
    OK(vfs_lstat(rig.fs, NULL, "/link", &attr));
    for (int i = 0; i < 2; i++)
        IS(VFS_ENODATA,
           vfs_getxattr(rig.fs, NULL, "/link", CAPS, buf, sizeof(buf), &len, VFS_NOFOLLOW));
    EQ(questions(&rig), 1);
    IS(VFS_ENODATA, ask(rig.fs, "/link", CAPS));
    EQ(questions(&rig), 2);
    rig_close(&rig);
}

Test(xattr, who_may_not_search_is_told_so)
{
    rig_t rig;
    vfs_attr_t attr;
    char buf[8];
    size_t len = 0;
    vfs_ctx_t other = VFS_CTX_INIT;
    other.flags = VFS_CTX_CREDS;
    other.uid = other.gid = 1234;
    open_empty(&rig, "");
    OK(vfs_mkdir(rig.bottom, NULL, "/d", 0700));
    rig_text(&rig, "/d/f", "text");
    OK(vfs_lstat(rig.fs, NULL, "/d/f", &attr));
    IS(VFS_ENODATA, ask(rig.fs, "/d/f", CAPS));
    IS(APR_FROM_OS_ERROR(EACCES),
       vfs_getxattr(rig.fs, &other, "/d/f", CAPS, buf, sizeof(buf), &len, 0));
    rig_close(&rig);
}
