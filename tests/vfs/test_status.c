/*
 * test_status.c - every code of ours has a name, a sentence and an errno.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "vfs/vfs_ops.h"

Test(vfs_status, every_code_of_ours_has_a_name_and_a_sentence_of_its_own)
{
    char text[128], other[128];
    for (apr_status_t code = VFS_ESTART + 1; code < VFS_EEND; code++) {
        const char *name = vfs_status_name(code);
        cr_assert_not_null(name, "%d", code);
        cr_assert_eq(strncmp(name, "VFS_E", 5), 0);
        cr_assert_eq((void *)vfs_strerror(code, text, sizeof(text)), (void *)text);
        cr_assert_gt(strlen(text), 10u);
        cr_assert_gt(vfs_status_errno(code), 0);
        for (apr_status_t before = VFS_ESTART + 1; before < code; before++) {
            cr_assert_str_neq(text, vfs_strerror(before, other, sizeof(other)));
            cr_assert_str_neq(name, vfs_status_name(before));
        }
    }
}

Test(vfs_status, other_codes_have_no_name_but_the_sentence_of_apr)
{
    char ours[128], theirs[128];
    static const apr_status_t codes[] = {APR_SUCCESS, APR_ENOENT, APR_EOF, APR_TIMEUP};
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        cr_assert_null(vfs_status_name(codes[i]));
        apr_strerror(codes[i], theirs, sizeof(theirs));
        cr_assert_str_eq(vfs_strerror(codes[i], ours, sizeof(ours)), theirs);
    }
    cr_assert_null(vfs_status_name(VFS_ESTART));
    cr_assert_null(vfs_status_name(VFS_EEND));
}

Test(vfs_status, codes_that_apr_says_of_other_things_are_said_of_files)
{
    char text[128];
    /* APR: "Could not find specified socket in poll list.", "... not been implemented on this
     * platform" */
    cr_assert_str_eq(vfs_strerror(APR_NOTFOUND, text, sizeof(text)), "There is no such thing here");
    cr_assert_str_eq(vfs_strerror(APR_ENOTIMPL, text, sizeof(text)),
                     "This file system cannot do that");
    cr_assert_null(vfs_status_name(APR_NOTFOUND));
    cr_assert_eq(vfs_status_errno(APR_NOTFOUND), ENOENT);
}

Test(vfs_status, a_short_buffer_gets_the_beginning)
{
    char text[8] = "-------";
    vfs_strerror(VFS_ESTALE, text, 5);
    cr_assert_str_eq(text, "The ");
    cr_assert_eq(text[5], '-');
    vfs_strerror(VFS_ESTALE, text, 0);
    cr_assert_str_eq(text, "The ");
}

Test(vfs_status, an_errno_comes_back_as_it_went_in)
{
    for (int e = 1; e < 134; e++)
        cr_assert_eq(vfs_status_errno(APR_FROM_OS_ERROR(e)), e);
    cr_assert_eq(vfs_status_errno(APR_SUCCESS), 0);
}

Test(vfs_status, codes_of_apr_become_the_nearest_errno_or_eio)
{
    cr_assert_eq(vfs_status_errno(APR_ENOTIMPL), EOPNOTSUPP);
    cr_assert_eq(vfs_status_errno(APR_TIMEUP), ETIMEDOUT);
    cr_assert_eq(vfs_status_errno(VFS_ESTALE), ESTALE);
    cr_assert_eq(vfs_status_errno(APR_EOF), EIO);
    cr_assert_eq(vfs_status_errno(APR_EGENERAL), EIO);
    cr_assert_eq(vfs_status_errno(VFS_WALK_SKIP), EIO);
    cr_assert_eq(vfs_status_errno(-1), EIO);
}

Test(vfs_status, the_version_is_that_of_the_header)
{
    char text[32];
    snprintf(text, sizeof(text), "%d.%d.%d", VFS_VERSION_MAJOR, VFS_VERSION_MINOR,
             VFS_VERSION_PATCH);
    cr_assert_str_eq(vfs_version(), text);
}

Test(vfs_status, a_broken_assertion_ends_the_process, .signal = SIGABRT)
{
    VFS_ASSERT(vfs_version() == NULL);
}
