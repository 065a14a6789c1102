/*
 * test_pieces.c - reads and writes of several buffers, which are one read or write.
 */
#include "tests/engine/support_rig.h"

#define LAZY "mode=back flush_interval=1h dirty_age=1h flush_on_close=off "
#define SIZE 200000u
#define MANY 40u /* more than one call for a part takes */

/* The bytes in MANY pieces. */
static void cut(vfs_iovec_t *iov, char *data)
{
    for (size_t i = 0; i < MANY; i++)
        iov[i] = (vfs_iovec_t){data + i * (SIZE / MANY), SIZE / MANY};
}

static void save(vfs_file_t *f, char *data)
{
    vfs_iovec_t iov[MANY];
    size_t written;
    cut(iov, data);
    OK(vfs_writev_at(f, NULL, iov, MANY, 0, &written, NULL));
    EQ(written, SIZE);
}

static void load(vfs_file_t *f, const char *data)
{
    vfs_iovec_t iov[MANY];
    char *buf = malloc(SIZE + 100);
    size_t got;
    cut(iov, buf);
    iov[MANY - 1].len += 100; /* behind the end of the file */
    OK(vfs_readv_at(f, NULL, iov, MANY, 0, &got));
    EQ(got, SIZE);
    CHECK(!memcmp(buf, data, SIZE));
    free(buf);
}

Test(pieces, a_write_through_is_one_call_below)
{
    static const char *const modes[] = {"mode=through", "mode=around"};
    for (int i = 0; i < 2; i++) {
        rig_t rig;
        char *data = rig_bytes(SIZE, 1);
        rig_open_local(&rig, modes[i]);
        vfs_file_t *f = rig_file(rig.fs, "/f", RIG_C);
        rig_reset(&rig);
        save(f, data);
        EQ(rig_calls(&rig, VFS_OPID_writev_at), 1);
        EQ(rig_calls(&rig, VFS_OPID_write_at), 0);
        load(f, data);
        rig_holds(rig.bottom, "/f", data, SIZE);
        OK(vfs_close(f, NULL));
        free(data);
        rig_close(&rig);
    }
}

Test(pieces, all_of_them_come_from_memory_without_a_call)
{
    rig_t rig;
    char *data = rig_bytes(SIZE, 2);
    rig_open(&rig, "mode=through");
    rig_put(&rig, "/f", data, SIZE);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    load(f, data);
    rig_reset(&rig);
    load(f, data);
    EQ(rig_requests(&rig), 0);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

/* Its end is that of the file below, as for one buffer: others may have made it longer. */
Test(pieces, a_direct_read_is_one_call_below_and_believes_no_size)
{
    rig_t rig;
    char *data = rig_bytes(SIZE, 3);
    rig_open_local(&rig, "mode=through attr_ttl=1h");
    rig_put(&rig, "/f", data, 0);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R | VFS_O_DIRECT);
    vfs_file_t *below = rig_file(rig.bottom, "/f", VFS_O_WRITE);
    rig_write(below, 0, data, SIZE);
    OK(vfs_close(below, NULL));
    rig_reset(&rig);
    load(f, data);
    EQ(rig_calls(&rig, VFS_OPID_readv_at) + rig_calls(&rig, VFS_OPID_read_at), 1);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

/* Neither the dirty limit nor the memory holds a block: each part goes below in a few calls. */
Test(pieces, a_write_that_the_cache_cannot_take_goes_around_it)
{
    rig_t rig;
    char *data = rig_bytes(SIZE, 3);
    rig_open(&rig, LAZY "block_size=256k dirty_max=64k");
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_C);
    save(f, data);
    OK(vfs_flush(f, NULL)); /* its end may have found room */
    rig_holds(rig.bottom, "/f", data, SIZE);
    load(f, data);
    OK(vfs_close(f, NULL));
    rig_close(&rig);
    free(data);
}

Test(pieces, reads_around_the_cache_see_what_is_dirty)
{
    rig_t rig;
    char *data = rig_bytes(SIZE, 4);
    rig_open(&rig, LAZY);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_C);
    save(f, data);
    CHECK(rig_stats(&rig).dirty_bytes > 0);
    vfs_file_t *around = rig_file(rig.fs, "/f", RIG_R | VFS_O_DIRECT);
    load(around, data);
    OK(vfs_close(around, NULL));
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

static void *write_both(void *arg)
{
    char text[] = "newbytes";
    vfs_iovec_t iov[2] = {{text, 3}, {text + 3, 5}};
    size_t written;
    OK(vfs_writev_at(arg, NULL, iov, 2, 0, &written, NULL));
    return NULL;
}

Test(pieces, nobody_sees_the_first_without_the_last)
{
    rig_t rig;
    pthread_t thread;
    rig_open_local(&rig, "mode=through");
    rig_text(&rig, "/f", "old text");
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_W);
    rig_read(f, 0, "old text", 8);
    rig_block(&rig, VFS_OPID_writev_at, 1);
    pthread_create(&thread, NULL, write_both, f);
    rig_wait_blocked(&rig, 1);
    rig_read(f, 0, "old text", 8);
    vfs_fault_clear(rig.fault);
    pthread_join(thread, NULL);
    rig_read(f, 0, "newbytes", 8);
    OK(vfs_close(f, NULL));
    rig_close(&rig);
}

Test(pieces, appends_of_several_buffers_do_not_part)
{
    rig_t rig;
    rig_open(&rig, LAZY);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_C | VFS_O_APPEND);
    char text[] = "abc";
    vfs_iovec_t iov[3] = {{text, 1}, {NULL, 0}, {text + 1, 2}};
    size_t written;
    for (int i = 0; i < 3; i++)
        OK(vfs_writev_at(f, NULL, iov, 3, VFS_OFFSET_END, &written, NULL));
    rig_read(f, 0, "abcabcabc", 9);
    OK(vfs_flush(f, NULL));
    rig_holds_text(rig.bottom, "/f", "abcabcabc");
    OK(vfs_close(f, NULL));
    rig_close(&rig);
}

static struct {
    apr_status_t (*real)(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                         size_t count, apr_off_t off, size_t *got, vfs_validator_t *validator);
    rig_t *rig;
    int left;
} forgotten;

/* What is read was forgotten meanwhile. */
static apr_status_t fetch_and_forget(vfs_file_t *file, const vfs_ctx_t *ctx, const vfs_iovec_t *iov,
                                     size_t count, apr_off_t off, size_t *got,
                                     vfs_validator_t *validator)
{
    uint64_t n = 0;
    apr_status_t st = forgotten.real(file, ctx, iov, count, off, got, validator);
    if (forgotten.left > 0) {
        forgotten.left--;
        OK(cachefs_invalidate(forgotten.rig->fs, "/f", &n, NULL));
        CHECK(n > 0);
    }
    return st;
}

Test(pieces, what_is_forgotten_under_a_read_is_read_again)
{
    rig_t rig;
    char *data = rig_bytes(SIZE, 4);
    rig_open(&rig, "attr_ttl=1h");
    rig_put(&rig, "/f", data, SIZE);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    forgotten.rig = &rig;
    forgotten.left = 5; /* more than the changes by others that end a call */
    forgotten.real = rig.c->lower->ops.fetch;
    rig.c->lower->ops.fetch = fetch_and_forget;
    load(f, data);
    EQ(forgotten.left, 0);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}
