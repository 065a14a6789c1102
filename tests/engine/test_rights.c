/*
 * test_rights.c - by whose rights: a file that is open stays open whoever takes its name away or
 * reads through the handle; nobody is served from the cache what is behind a directory that he may
 * not search.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h get_size=0 "
#define LEN 40000

static vfs_ctx_t user(uint32_t uid)
{
    vfs_ctx_t ctx = VFS_CTX_INIT;

    ctx.flags = VFS_CTX_CREDS;
    ctx.uid = uid;
    ctx.gid = uid;
    return ctx;
}

/* A file that user 1000 alone may read, where everybody may change names. */
static char *private_file(rig_t *rig, const char *path, uint32_t mode)
{
    char *data = rig_bytes(LEN, 7);

    OK(vfs_chmod(rig->bottom, NULL, "/", 0777, 0));
    rig_put(rig, path, data, LEN);
    OK(vfs_chown(rig->bottom, NULL, path, 1000, 1000, 0));
    OK(vfs_chmod(rig->bottom, NULL, path, mode, 0));
    return data;
}

static vfs_file_t *open_as(rig_t *rig, const vfs_ctx_t *ctx, const char *path, uint32_t flags)
{
    vfs_file_t *f = NULL;

    OK(vfs_open(&f, rig->fs, ctx, path, flags, 0644, NULL, NULL));
    return f;
}

static void reads_as(const vfs_ctx_t *ctx, vfs_file_t *f, const char *data)
{
    static char buf[LEN + 1];
    size_t got = 0;

    OK(vfs_read_at(f, ctx, buf, sizeof(buf), 0, &got));
    EQ(got, LEN);
    CHECK(memcmp(buf, data, LEN) == 0);
}

Test(rights, an_open_file_survives_the_unlink_of_its_name_by_who_may_not_read_it)
{
    rig_t rig;
    vfs_ctx_t owner = user(1000), other = user(2000);

    rig_open(&rig, LONG);
    char *data = private_file(&rig, "/f", 0600);
    vfs_file_t *f = open_as(&rig, &owner, "/f", RIG_R);
    OK(vfs_unlink(rig.fs, &other, "/f"));
    reads_as(&owner, f, data);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(rights, an_open_file_survives_a_rename_over_its_name_by_who_may_not_read_it)
{
    rig_t rig;
    vfs_ctx_t owner = user(1000), other = user(2000);

    rig_open(&rig, LONG);
    char *data = private_file(&rig, "/f", 0600);
    rig_text(&rig, "/g", "another");
    vfs_file_t *f = open_as(&rig, &owner, "/f", RIG_R);
    OK(vfs_rename(rig.fs, &other, "/g", "/f", 0));
    reads_as(&owner, f, data);
    rig_holds_text(rig.fs, "/f", "another");
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(rights, a_handle_reads_whoever_it_is_given_to_and_whatever_its_mode_is_now)
{
    rig_t rig;
    vfs_ctx_t owner = user(1000), other = user(2000);

    rig_open(&rig, LONG);
    char *data = private_file(&rig, "/f", 0600);
    vfs_file_t *f = open_as(&rig, &owner, "/f", RIG_R);
    reads_as(&other, f, data);
    OK(vfs_close(f, NULL));
    OK(cachefs_clear(rig.fs, NULL));
    f = open_as(&rig, &owner, "/f", RIG_R);
    OK(vfs_chmod(rig.fs, &owner, "/f", 0, 0));
    reads_as(&owner, f, data);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(rights, who_has_no_file_open_reads_with_rights_of_its_own)
{
    rig_t rig;
    vfs_ctx_t owner = user(1000), other = user(2000);
    vfs_file_t *g = NULL;
    char buf[8];
    size_t got;

    rig_open(&rig, LONG);
    char *data = private_file(&rig, "/f", 0600);
    vfs_file_t *f = open_as(&rig, &owner, "/f", RIG_R);
    IS(APR_EACCES, vfs_open(&g, rig.fs, &other, "/f", RIG_R, 0, NULL, NULL));
    IS(APR_EACCES, vfs_get(rig.fs, &other, "/f", buf, sizeof(buf), &got, NULL, NULL));
    OK(vfs_close(f, NULL));
    IS(APR_EACCES, cachefs_prefetch_path(rig.fs, &other, "/f", NULL, NULL));
    free(data);
    rig_close(&rig);
}

Test(rights, a_writer_that_may_not_read_takes_no_reader_its_handle)
{
    static const char *const modes[] = {"mode=through ", "mode=around ", "mode=back "};
    vfs_ctx_t owner = user(1000), other = user(2000);

    for (int i = 0; i < 3; i++) {
        rig_t rig;
        char keys[256];
        (void)snprintf(keys, sizeof(keys), LONG "%s", modes[i]);
        rig_open(&rig, keys);
        char *data = private_file(&rig, "/f", 0602);
        vfs_file_t *r = open_as(&rig, &owner, "/f", RIG_R), *w;
        char first[10];
        size_t got, written;
        OK(vfs_read_at(r, &owner, first, sizeof(first), 0, &got)); /* a handle below, to read */
        w = open_as(&rig, &other, "/f", VFS_O_WRITE);
        memcpy(data, "01234567", 8);
        OK(vfs_write_at(w, &other, data, 8, 0, &written, NULL));
        EQ(written, 8);
        reads_as(&owner, r, data);
        OK(vfs_close(r, &owner));
        OK(vfs_close(w, &other));
        rig_holds(rig.bottom, "/f", data, LEN);
        free(data);
        rig_close(&rig);
    }
}

Test(rights, a_reader_that_comes_after_such_a_writer_reads)
{
    rig_t rig;
    vfs_ctx_t owner = user(1000), other = user(2000);
    vfs_attr_t attr;

    rig_open(&rig, LONG);
    char *data = private_file(&rig, "/f", 0602);
    vfs_file_t *w = open_as(&rig, &other, "/f", VFS_O_WRITE);
    vfs_file_t *r = open_as(&rig, &owner, "/f", RIG_R);
    OK(vfs_fstat(w, &other, &attr));
    OK(vfs_unlink(rig.fs, &other, "/f")); /* keeps a handle for each */
    reads_as(&owner, r, data);
    rig_write(w, 0, "01234567", 8);
    memcpy(data, "01234567", 8);
    reads_as(&owner, r, data);
    OK(vfs_close(w, &other));
    reads_as(&owner, r, data);
    OK(vfs_close(r, &owner));
    free(data);
    rig_close(&rig);
}

/* ---- what is served while the backend is unreachable */

static void unreachable(rig_t *rig)
{
    vfs_fault_t all = {.what = VFS_FAULT_ERROR, .status = VFS_EOFFLINE};

    rig_nap(20); /* all that is cached is older than its TTL */
    OK(vfs_fault_add(rig->fault, &all));
}

#define STALE "attr_ttl=1ms negative_ttl=1ms listing_ttl=1ms serve_stale=on"

static void behind_a_directory(rig_t *rig)
{
    rig_open(rig, STALE);
    OK(vfs_mkdir(rig->bottom, NULL, "/d", 0700));
    OK(vfs_chown(rig->bottom, NULL, "/d", 1000, 1000, 0));
    rig_text(rig, "/d/f", "text");
}

Test(rights, stale_answers_are_not_for_who_may_not_search_the_way)
{
    rig_t rig;
    vfs_ctx_t owner = user(1000), other = user(2000);
    vfs_attr_t attr;
    vfs_file_t *f = NULL;
    char buf[8];
    size_t got;

    behind_a_directory(&rig);
    OK(vfs_stat(rig.fs, &owner, "/", &attr));
    OK(vfs_stat(rig.fs, &owner, "/d", &attr));
    OK(vfs_get(rig.fs, &owner, "/d/f", buf, sizeof(buf), &got, &attr, NULL));
    unreachable(&rig);
    OK(vfs_stat(rig.fs, &owner, "/d/f", &attr));
    CHECK(attr.flags & VFS_ATTR_STALE);
    OK(vfs_stat(rig.fs, &other, "/d", &attr)); /* its name is in a directory for all */
    IS(APR_EACCES, vfs_stat(rig.fs, &other, "/d/f", &attr));
    IS(APR_EACCES, vfs_open(&f, rig.fs, &other, "/d/f", RIG_R, 0, NULL, NULL));
    IS(APR_EACCES, vfs_get(rig.fs, &other, "/d/f", buf, sizeof(buf), &got, &attr, NULL));
    OK(vfs_stat(rig.fs, NULL, "/d/f", &attr)); /* without credentials nobody is asked for any */
    rig_close(&rig);
}

Test(rights, stale_answers_are_not_given_where_the_way_is_not_known)
{
    rig_t rig;
    vfs_ctx_t owner = user(1000);
    vfs_attr_t attr;

    behind_a_directory(&rig);
    OK(vfs_stat(rig.fs, NULL, "/d/f", &attr)); /* the file alone is cached */
    unreachable(&rig);
    OK(vfs_stat(rig.fs, NULL, "/d/f", &attr));
    IS(VFS_EOFFLINE, vfs_stat(rig.fs, &owner, "/d/f", &attr));
    rig_close(&rig);
}
