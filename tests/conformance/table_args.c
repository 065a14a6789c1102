/*
 * table_args.c - behaviours of contexts, wrong arguments, status texts and capabilities.
 * contract.md, sections 6 and 7.
 */
#include <stdlib.h>

#include "tests/conformance/conf.h"

/* Every kind of call with `ctx` must answer `want` and change nothing. */
static void refuse_everything(conf_t *t, const vfs_ctx_t *ctx, apr_status_t want)
{
    vfs_file_t *f = NULL;
    vfs_dir_t *dir = NULL;
    vfs_attr_t attr;
    vfs_dirent_t entry;
    char buf[8];
    size_t n = 9;
    PUT("/f", "data");
    NEED_OPEN(open_file, "/f", RW);
    NEED(OK(vfs_opendir(&dir, t->fs, NULL, "/", 0)));
    IS(want, vfs_open(&f, t->fs, ctx, "/f", RD, 0, NULL, NULL));
    CHECK(f == NULL);
    IS(want, vfs_stat(t->fs, ctx, "/f", &attr));
    IS(want, vfs_mkdir(t->fs, ctx, "/d", 0755));
    IS(want, vfs_unlink(t->fs, ctx, "/f"));
    IS(want, vfs_rename(t->fs, ctx, "/f", "/g", 0));
    IS(want, vfs_truncate(t->fs, ctx, "/f", 0));
    IS(want, vfs_get(t->fs, ctx, "/f", buf, sizeof buf, &n, NULL, NULL));
    IS(want, vfs_read_at(open_file, ctx, buf, sizeof buf, 0, &n));
    EQ(n, 0);
    IS(want, vfs_write_at(open_file, ctx, "DATA", 4, 0, &n, NULL));
    EQ(n, 0);
    IS(want, vfs_fstat(open_file, ctx, &attr));
    IS(want, vfs_ftruncate(open_file, ctx, 0));
    IS(want, vfs_flush(open_file, ctx));
    IS(want, vfs_sync(open_file, ctx, VFS_SYNC_ALL));
    IS(want, vfs_readdir(dir, ctx, &entry));
    OK(vfs_closedir(dir));
    CLOSE(open_file);
    HOLDS("/f", "data");
    NAMES("/", "f ");
}

static void an_expired_deadline_is_timeup(conf_t *t)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.deadline = apr_time_now() - 1;
    refuse_everything(t, &ctx, APR_TIMEUP);
}

static void a_raised_cancel_flag_is_ecanceled(conf_t *t)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_cancel_t *cancel = NULL;
    NEED(OK(vfs_cancel_create(&cancel, t->pool)));
    ctx.cancel = cancel;
    OK(vfs_ctx_check(&ctx));
    EQ(vfs_cancel_raised(cancel), 0);
    vfs_cancel_raise(cancel);
    CHECK(vfs_cancel_raised(cancel));
    IS(VFS_ECANCELED, vfs_ctx_check(&ctx));
    refuse_everything(t, &ctx, VFS_ECANCELED);
}

static void close_works_with_an_expired_deadline(conf_t *t)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_file_t *f = NULL;
    size_t n = 0;
    NEED(OK(vfs_open(&f, t->fs, NULL, "/f", WR | CR, 0644, NULL, NULL)));
    OK(vfs_write_at(f, NULL, "kept", 4, 0, &n, NULL));
    OK(vfs_flush(f, NULL));
    ctx.deadline = 1;
    (void)vfs_close(
        f, &ctx); /* may say that it could not wait; the handle is gone, the bytes are not */
    HOLDS("/f", "kept");
}

static void a_deadline_that_is_far_away_does_no_harm(conf_t *t)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;
    vfs_file_t *f = NULL;
    char buf[8];
    size_t n = 0;
    ctx.deadline = apr_time_now() + apr_time_from_sec(600);
    ctx.priority = VFS_PRIORITY_LOW;
    ctx.trace_id = 0x1234;
    NEED(OK(vfs_open(&f, t->fs, &ctx, "/f", RW | CR, 0644, NULL, NULL)));
    OK(vfs_write_at(f, &ctx, "data", 4, 0, &n, NULL));
    ctx.priority = VFS_PRIORITY_HIGH;
    OK(vfs_read_at(f, &ctx, buf, sizeof buf, 0, &n));
    EQ(n, 4);
    OK(vfs_sync(f, &ctx, VFS_SYNC_ALL));
    OK(vfs_close(f, &ctx));
    HOLDS("/f", "data");
}

static void missing_out_parameters_are_einval(conf_t *t)
{
    vfs_dir_t *dir = NULL;
    char buf[4];
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RW);
    IS(APR_EINVAL, vfs_open(NULL, t->fs, NULL, "/f", RD, 0, NULL, NULL));
    IS(APR_EINVAL, vfs_opendir(NULL, t->fs, NULL, "/", 0));
    IS(APR_EINVAL, vfs_read_at(f, NULL, buf, sizeof buf, 0, NULL));
    IS(APR_EINVAL, vfs_write_at(f, NULL, buf, sizeof buf, 0, NULL, NULL));
    IS(APR_EINVAL, vfs_get(t->fs, NULL, "/f", buf, sizeof buf, NULL, NULL, NULL));
    IS(APR_EINVAL, vfs_statfs(t->fs, NULL, "/", NULL));
    NEED(OK(vfs_opendir(&dir, t->fs, NULL, "/", 0)));
    IS(APR_EINVAL, vfs_readdir(dir, NULL, NULL));
    OK(vfs_closedir(dir));
    CLOSE(f);
    HOLDS("/f", "x");
}

static void missing_buffers_are_einval(conf_t *t)
{
    size_t n = 9;
    vfs_iovec_t iov = {NULL, 4};
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RW);
    IS(APR_EINVAL, vfs_read_at(f, NULL, NULL, 4, 0, &n));
    EQ(n, 0);
    IS(APR_EINVAL, vfs_write_at(f, NULL, NULL, 4, 0, &n, NULL));
    IS(APR_EINVAL, vfs_readv_at(f, NULL, &iov, 1, 0, &n));
    IS(APR_EINVAL, vfs_writev_at(f, NULL, &iov, 1, 0, &n, NULL));
    IS(APR_EINVAL, vfs_readv_at(f, NULL, NULL, 1, 0, &n));
    CLOSE(f);
    HOLDS("/f", "x");
}

static void negative_and_overflowing_offsets_are_einval(conf_t *t)
{
    char buf[16] = "";
    size_t n = 9;
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RW);
    IS(APR_EINVAL, vfs_read_at(f, NULL, buf, 1, -1, &n));
    IS(APR_EINVAL, vfs_read_at(f, NULL, buf, 1, INT64_MIN, &n));
    IS(APR_EINVAL, vfs_read_at(f, NULL, buf, sizeof buf, INT64_MAX - 3, &n));
    IS(APR_EINVAL, vfs_write_at(f, NULL, buf, 1, -2, &n, NULL));
    IS(APR_EINVAL, vfs_write_at(f, NULL, buf, sizeof buf, INT64_MAX - 3, &n, NULL));
    EQ(n, 0);
    CLOSE(f);
    HOLDS("/f", "x");
}

static void a_file_larger_than_the_largest_is_efbig(conf_t *t)
{
    uint64_t max = vfs_caps(t->fs)->file_size_max;
    size_t n = 9;
    CHECK(max > 0);
    if (max >= (uint64_t)INT64_MAX - 16) return; /* no offset lies behind it */
    PUT("/f", "x");
    NEED_OPEN(f, "/f", RW);
    IS(E(EFBIG), vfs_write_at(f, NULL, "y", 1, (apr_off_t)max, &n, NULL));
    EQ(n, 0);
    IS(E(EFBIG), vfs_ftruncate(f, NULL, (apr_off_t)max + 1));
    CLOSE(f);
    HOLDS("/f", "x");
}

static void wrong_modes_and_whences_are_einval(conf_t *t)
{
    vfs_file_t *f = NULL;
    apr_off_t where = 0;
    IS(APR_EINVAL, vfs_open(&f, t->fs, NULL, "/f", WR | CR, 0100000, NULL, NULL));
    IS(APR_EINVAL, vfs_mkdir(t->fs, NULL, "/d", 0100000));
    NAMES("/", "");
    PUT("/f", "x");
    NEED_OPEN(g, "/f", RD);
    IS(APR_EINVAL, vfs_seek(g, NULL, 0, (vfs_whence_e)77, &where));
    CLOSE(g);
}

static void every_status_has_a_text_and_an_errno(conf_t *t)
{
    char buf[128], other[128];
    for (apr_status_t s = VFS_ECHECKSUM; s < VFS_EEND; s++) {
        CHECK(vfs_status_name(s) != NULL && strncmp(vfs_status_name(s), "VFS_E", 5) == 0);
        CHECK(vfs_strerror(s, buf, sizeof buf) == buf && strlen(buf) > 3);
        CHECK(vfs_status_errno(s) > 0);
        for (apr_status_t k = VFS_ECHECKSUM; k < s; k++)
            CHECK(strcmp(vfs_strerror(k, other, sizeof other), buf) != 0);
    }
    CHECK(vfs_status_name(APR_ENOENT) == NULL);
    EQ(vfs_status_errno(APR_SUCCESS), 0);
    EQ(vfs_status_errno(APR_ENOENT), ENOENT);
    EQ(vfs_status_errno(APR_EACCES), EACCES);
    EQ(vfs_status_errno(E(ELOOP)), ELOOP);
    EQ(vfs_status_errno(APR_ENOTIMPL), EOPNOTSUPP);
    EQ(vfs_status_errno(VFS_ESTALE), ESTALE);
    vfs_strerror(APR_ENOENT, buf, 4);
    CHECK(strlen(buf) < 4);
}

static void capabilities_are_plausible(conf_t *t)
{
    const vfs_caps_t *caps = vfs_caps(t->fs);
    NEED(CHECK(caps != NULL));
    CHECK(caps->size >= sizeof(vfs_caps_t));
    EQ(caps->name_max, VFS_NAME_MAX);
    CHECK((caps->bits & VFS_CAP_WRITE) != 0);
    CHECK((caps->bits >> 33) == 0);
    CHECK(caps->time_granularity_ns < 10000000000u);
    CHECK(!(caps->bits & VFS_CAP_CONDITIONAL) || (caps->bits & VFS_CAP_COMMIT) != 0);
    CHECK(!(caps->bits & VFS_CAP_COPY) || (caps->bits & VFS_CAP_COMMIT) != 0);
    CHECK(!(caps->bits & VFS_CAP_SHIFT) || (caps->bits & VFS_CAP_ALLOCATE) != 0);
}

static void a_layer_masks_what_is_missing_below(conf_t *t)
{
    for (vfs_t *fs = t->fs; vfs_lower(fs) != NULL; fs = vfs_lower(fs)) {
        uint64_t more = vfs_caps(fs)->bits & ~vfs_caps(vfs_lower(fs))->bits;
        /* A cache makes random writes out of commits, and sees to appends and exclusive creates
         * itself. */
        more &= ~(VFS_CAP_RANDOM_WRITE | VFS_CAP_APPEND | VFS_CAP_UNLINKED_OPEN |
                  VFS_CAP_STABLE_ID | VFS_CAP_STAGED);
        if (vfs_caps(fs)->bits & VFS_CAP_STAGED) /* which is done in the stage */
            more &= ~(VFS_CAP_ALLOCATE | VFS_CAP_COPY_RANGE);
        /* Who tells of links lets another follow them. */
        if (vfs_caps(vfs_lower(fs))->bits & VFS_CAP_PLAIN_LINKS) more &= ~VFS_CAP_SYMLINK;
        if (strcmp(vfs_name(fs), "plain") == 0) more &= ~VFS_CAP_PLAIN_LINKS;
        EQ(more, 0);
    }
}

static void layers_are_found_by_name(conf_t *t)
{
    for (vfs_t *fs = t->fs; fs != NULL; fs = vfs_lower(fs)) {
        CHECK(vfs_name(fs) != NULL && vfs_name(fs)[0] != '\0');
        CHECK(vfs_find_layer(t->fs, vfs_name(fs)) != NULL);
    }
    CHECK(vfs_find_layer(t->fs, "no such layer") == NULL);
    CHECK(vfs_version() != NULL && vfs_version()[0] == '0');
}

static const conf_behaviour_t behaviours[] = {
    B(an_expired_deadline_is_timeup),
    B(a_raised_cancel_flag_is_ecanceled),
    B(close_works_with_an_expired_deadline),
    B(a_deadline_that_is_far_away_does_no_harm),
    B(missing_out_parameters_are_einval),
    B(missing_buffers_are_einval),
    B(negative_and_overflowing_offsets_are_einval),
    B(a_file_larger_than_the_largest_is_efbig),
    B(wrong_modes_and_whences_are_einval),
    B(every_status_has_a_text_and_an_errno),
    B(capabilities_are_plausible),
    B(a_layer_masks_what_is_missing_below),
    B(layers_are_found_by_name),
};
CONF_TABLE(args, behaviours);
