/*
 * test_attr.c - validators and the permission check.
 */
#include <string.h>
#include <grp.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "vfs/vfs_ops.h"

static vfs_validator_t from(const vfs_attr_t *attr)
{
    vfs_validator_t out;
    vfs_validator_from_attr(&out, attr, INT64_MAX, 0);
    return out;
}

Test(vfs_attr, times_size_and_identity_make_a_version_and_nothing_else_does)
{
    vfs_attr_t a = {.ctime_ns = 1, .mtime_ns = 2, .size = 3, .dev = 4, .ino = 5}, b;
    vfs_validator_t one = from(&a), two;
#define DIFFERS(field, value)                                                                      \
    b = a;                                                                                         \
    b.field = value;                                                                               \
    two = from(&b);                                                                                \
    cr_assert_not(vfs_validator_equal(&one, &two), #field)
    DIFFERS(ctime_ns, 9);
    DIFFERS(mtime_ns, 9);
    DIFFERS(size, 9);
    DIFFERS(dev, 9);
    DIFFERS(ino, 9);
    b = a;
    b.atime_ns = 9;
    b.mode = 9;
    b.nlink = 9;
    two = from(&b);
    cr_assert(vfs_validator_equal(&one, &two));
}

Test(vfs_attr, a_version_is_young_within_the_granularity_and_in_the_future)
{
    vfs_attr_t attr = {.ctime_ns = 1000, .mtime_ns = 500};
    vfs_validator_t out;
    vfs_validator_from_attr(&out, &attr, 1010, 10);
    cr_assert_eq(out.flags, VFS_VALIDATOR_YOUNG);
    vfs_validator_from_attr(&out, &attr, 1011, 10);
    cr_assert_eq(out.flags, 0);
    vfs_validator_from_attr(&out, &attr, 900, 10);
    cr_assert_eq(out.flags, VFS_VALIDATOR_YOUNG, "from the future");
    attr = (vfs_attr_t){.ctime_ns = 500, .mtime_ns = 1000};
    vfs_validator_from_attr(&out, &attr, 1005, 10);
    cr_assert_eq(out.flags, VFS_VALIDATOR_YOUNG, "mtime alone");
    attr = (vfs_attr_t){.ctime_ns = INT64_MIN, .mtime_ns = INT64_MIN};
    vfs_validator_from_attr(&out, &attr, INT64_MAX, 10);
    cr_assert_eq(out.flags, 0, "the ends of time");
}

Test(vfs_attr, none_equals_nothing_and_flags_do_not_count)
{
    vfs_validator_t none, tag, weak;
    vfs_validator_from_tag(&none, VFS_VALIDATOR_ETAG, "", 0);
    cr_assert_eq(none.kind, VFS_VALIDATOR_NONE);
    cr_assert_not(vfs_validator_equal(&none, &none));
    vfs_validator_from_tag(&tag, VFS_VALIDATOR_ETAG, "abc", 3);
    weak = tag;
    weak.flags = VFS_VALIDATOR_WEAK;
    cr_assert(vfs_validator_equal(&tag, &weak));
    cr_assert_not(vfs_validator_equal(&tag, &none));
    weak.kind = VFS_VALIDATOR_VERSION;
    cr_assert_not(vfs_validator_equal(&tag, &weak), "another kind");
    vfs_validator_from_tag(&weak, VFS_VALIDATOR_ETAG, "abcd", 4);
    cr_assert_not(vfs_validator_equal(&tag, &weak), "another length");
}

Test(vfs_attr, a_long_tag_becomes_a_digest)
{
    char tag[200];
    vfs_validator_t a, b;
    memset(tag, 't', sizeof(tag));
    vfs_validator_from_tag(&a, VFS_VALIDATOR_ETAG, tag, VFS_VALIDATOR_BYTES);
    cr_assert_eq(a.kind, VFS_VALIDATOR_ETAG);
    cr_assert_eq(a.len, VFS_VALIDATOR_BYTES);
    vfs_validator_from_tag(&a, VFS_VALIDATOR_ETAG, tag, 200);
    vfs_validator_from_tag(&b, VFS_VALIDATOR_ETAG, tag, 200);
    cr_assert_eq(a.kind, VFS_VALIDATOR_DIGEST);
    cr_assert(vfs_validator_equal(&a, &b));
    vfs_validator_from_tag(&b, VFS_VALIDATOR_VERSION, tag, 200);
    cr_assert_not(vfs_validator_equal(&a, &b), "a tag is no version id");
    tag[199] = 'u';
    vfs_validator_from_tag(&b, VFS_VALIDATOR_ETAG, tag, 200);
    cr_assert_not(vfs_validator_equal(&a, &b));
}

/* All eight masks against the three bits that apply. */
static void check_bits(const vfs_attr_t *attr, const vfs_ctx_t *ctx, uint32_t bits)
{
    for (uint32_t mask = 0; mask < 8; mask++) {
        apr_status_t expected = (mask & ~bits) == 0 ? APR_SUCCESS : APR_EACCES;
        cr_assert_eq(vfs_attr_access(attr, ctx, mask), expected, "mask %u of %u", mask, bits);
    }
}

Test(vfs_attr, the_first_class_that_applies_decides)
{
    uint32_t groups[] = {7, 8};
    vfs_attr_t attr = {.type = VFS_TYPE_FILE, .mode = 0421, .uid = 100, .gid = 8};
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.flags = VFS_CTX_CREDS;
    ctx.uid = 100;
    ctx.gid = 8;
    check_bits(&attr, &ctx, 4);
    ctx.uid = 101;
    check_bits(&attr, &ctx, 2);
    ctx.gid = 9;
    check_bits(&attr, &ctx, 1);
    ctx.groups = groups;
    ctx.ngroups = 2;
    check_bits(&attr, &ctx, 2);
    ctx.ngroups = 1;
    check_bits(&attr, &ctx, 1);
}

Test(vfs_attr, the_superuser_may_all_but_run_what_nobody_may)
{
    vfs_attr_t attr = {.type = VFS_TYPE_FILE, .mode = 0, .uid = 5, .gid = 5};
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.flags = VFS_CTX_CREDS;
    check_bits(&attr, &ctx, 6);
    attr.mode = 0010;
    check_bits(&attr, &ctx, 7);
    attr.mode = 0;
    attr.type = VFS_TYPE_DIR;
    check_bits(&attr, &ctx, 7);
}

Test(vfs_attr, without_credentials_the_process_counts)
{
    vfs_attr_t attr = {.type = VFS_TYPE_FILE, .mode = 0640, .uid = 1234567, .gid = getegid()};
    if (geteuid() == 0) {
        check_bits(&attr, NULL, 6);
        cr_assert_eq(setgroups(0, NULL), 0);
        cr_assert_eq(seteuid(4321), 0);
    }
    check_bits(&attr, NULL, 4);
    attr.gid = 7654321;
    check_bits(&attr, NULL, 0);
    attr.uid = geteuid();
    check_bits(&attr, NULL, 6);
    if (getuid() == 0) cr_assert_eq(seteuid(0), 0);
}

Test(vfs_attr, the_groups_of_the_process_count_however_many)
{
    gid_t many[100];
    for (gid_t i = 0; i < 100; i++)
        many[i] = 5000 + i;
    if (geteuid() != 0) cr_skip_test("setgroups needs root");
    vfs_attr_t attr = {.type = VFS_TYPE_FILE, .mode = 0040, .uid = 1234567, .gid = 5099};
    cr_assert_eq(setgroups(100, many), 0);
    cr_assert_eq(seteuid(4321), 0);
    check_bits(&attr, NULL, 4);
    attr.gid = 5100;
    check_bits(&attr, NULL, 0);
    cr_assert_eq(seteuid(0), 0);
}
