/*
 * test_write.c - writes and truncation in the three modes.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h "
#define LAZY "flush_interval=1h dirty_age=1h flush_on_close=off "

static const char *const modes[] = {LONG "mode=through", LONG "mode=around", LONG LAZY "mode=back"};

Test(write, through_returns_when_the_lower_layer_has_it_and_keeps_the_bytes)
{
    rig_t rig;
    char *data = rig_bytes(100000, 1);

    rig_open(&rig, LONG "mode=through");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_write(w, 0, data, 100000);
    rig_holds(rig.bottom, "/f", data, 100000);
    rig_reset(&rig);
    rig_read(w, 0, data, 100000);
    EQ(rig_moved(&rig), 0); /* cached blocks are there, in place */
    memset(data + 20000, 'x', 30000);
    rig_write(w, 20000, data + 20000, 30000);
    rig_read(w, 0, data, 100000);
    EQ(rig_moved(&rig), 0);
    rig_holds(rig.bottom, "/f", data, 100000);
    EQ(rig_stats(&rig).dirty_bytes, 0);
    OK(vfs_close(w, NULL));
    rig_holds(rig.fs, "/f", data, 100000);
    EQ(rig_moved(&rig), 0); /* nor does our own version make them unknown */
    free(data);
    rig_close(&rig);
}

Test(write, around_drops_the_range_and_only_that)
{
    rig_t rig;
    char *data = rig_bytes(262144, 1);

    rig_open(&rig, LONG "mode=around readahead=0 get_size=0");
    rig_put(&rig, "/f", data, 262144);
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
    rig_read(w, 0, data, 262144);
    memset(data + 65536, 'x', 4096);
    rig_write(w, 65536, data + 65536, 4096);
    rig_holds(rig.bottom, "/f", data, 262144);
    rig_reset(&rig);
    rig_read(w, 0, data, 262144);
    CHECK(rig_moved(&rig) >= 4096 && rig_moved(&rig) <= 16384);
    OK(vfs_close(w, NULL));
    free(data);
    rig_close(&rig);
}

Test(write, back_returns_when_the_cache_has_it)
{
    rig_t rig;
    char *data = rig_bytes(100000, 1);

    rig_open(&rig, modes[2]);
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_reset(&rig);
    rig_write(w, 0, data, 100000);
    EQ(rig_requests(&rig), 0);
    rig_read(w, 0, data, 100000);
    CHECK(rig_stats(&rig).dirty_bytes >= 100000);
    vfs_attr_t attr;
    OK(vfs_stat(rig.bottom, NULL, "/f", &attr));
    EQ(attr.size, 0);
    OK(vfs_fstat(w, NULL, &attr));
    EQ(attr.size, 100000);
    OK(vfs_close(w, NULL));
    free(data);
    rig_close(&rig);
}

/* Random writes, truncates and reads against a plain copy, in one mode. */
static void random_writes(const char *keys, unsigned seed)
{
    size_t max = 300000, size = 0;
    char *model = calloc(1, max), *data = rig_bytes(max, seed);
    rig_t rig;
    uint64_t x = seed;

    rig_open(&rig, keys);
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    for (int i = 0; i < 250; i++) {
        x = x * 6364136223846793005ull + 1442695040888963407ull;
        size_t off = (size_t)(x >> 33) % (max - 50000), len = (size_t)(x >> 20) % 50000 + 1;
        if ((x >> 60) % 3) len = len % 300 + 1;
        switch ((x >> 16) % 8) {
        case 0: {
            size_t to = off / 3;
            OK(vfs_ftruncate(w, NULL, (apr_off_t)to));
            if (to < size) memset(model + to, 0, size - to);
            size = to;
            break;
        }
        case 1: {
            size_t written;
            if (size + len > max) break;
            memcpy(model + size, data + off, len);
            OK(vfs_write_at(w, NULL, data + off, len, VFS_OFFSET_END, &written, NULL));
            size += len;
            break;
        }
        case 2:
            OK(vfs_flush(w, NULL));
            break;
        case 3:
            if (off < size) rig_read(w, (apr_off_t)off, model + off, size - off);
            break;
        case 4:
            OK(cachefs_invalidate(rig.fs, "/f", NULL, NULL));
            break;
        default:
            memcpy(model + off, data + off / 2, len);
            rig_write(w, (apr_off_t)off, data + off / 2, len);
            if (off + len > size) size = off + len;
        }
    }
    rig_read(w, 0, model, size);
    OK(vfs_flush(w, NULL));
    rig_holds(rig.bottom, "/f", model, size);
    OK(vfs_close(w, NULL));
    rig_holds(rig.fs, "/f", model, size);
    free(data);
    free(model);
    rig_close(&rig);
}

Test(write, random_writes_and_cuts_are_those_of_a_plain_file)
{
    char keys[256];
    static const char *const more[] = {"", " ram=1m", " block_size=4k", " block_size=256k ram=64m"};

    for (int m = 0; m < 3; m++)
        for (int k = 0; k < 4; k++) {
            (void)snprintf(keys, sizeof(keys), "%s%s", modes[m], more[k]);
            random_writes(keys, (unsigned)(m * 7 + k + 1));
        }
}

typedef struct appender_t {
    vfs_file_t *f;
    char c;
    apr_status_t st;
} appender_t;

static void *append(void *arg)
{
    appender_t *a = arg;
    char buf[700];
    size_t written;

    memset(buf, a->c, sizeof(buf));
    for (int i = 0; i < 100 && !a->st; i++)
        a->st = vfs_write_at(a->f, NULL, buf, sizeof(buf), VFS_OFFSET_END, &written, NULL);
    return NULL;
}

Test(write, appends_of_several_threads_lose_nothing_and_mix_nothing)
{
    for (int m = 0; m < 3; m++) {
        rig_t rig;
        pthread_t threads[4];
        appender_t a[4];
        char *data = NULL;
        size_t len = 0, count[4] = {0};
        rig_open(&rig, modes[m]);
        for (int i = 0; i < 4; i++) {
            a[i] = (appender_t){rig_file(rig.fs, "/f", RIG_C | VFS_O_APPEND), (char)('a' + i), 0};
            pthread_create(&threads[i], NULL, append, &a[i]);
        }
        for (int i = 0; i < 4; i++) {
            pthread_join(threads[i], NULL);
            OK(a[i].st);
        }
        OK(vfs_sync(a[0].f, NULL, VFS_SYNC_ALL));
        for (int i = 0; i < 4; i++)
            OK(vfs_close(a[i].f, NULL));
        OK(vfs_read_file(&data, &len, rig.bottom, NULL, "/f", 0, rig.pool));
        EQ(len, 4 * 100 * 700);
        for (size_t at = 0; at < len; at += 700) {
            for (size_t i = 1; i < 700; i++)
                CHECK(data[at + i] == data[at]);
            count[data[at] - 'a']++;
        }
        for (int i = 0; i < 4; i++)
            EQ(count[i], 100);
        rig_close(&rig);
    }
}

Test(write, a_cut_and_a_growth_read_as_zeros_in_every_mode)
{
    for (int m = 0; m < 3; m++) {
        rig_t rig;
        char *data = rig_bytes(60000, 1);
        rig_open(&rig, modes[m]);
        vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
        rig_write(w, 0, data, 60000);
        rig_read(w, 0, data, 60000);
        OK(vfs_ftruncate(w, NULL, 10001));
        OK(vfs_ftruncate(w, NULL, 60000));
        memset(data + 10001, 0, 60000 - 10001);
        rig_read(w, 0, data, 60000);
        rig_write(w, 30000, "x", 1);
        data[30000] = 'x';
        rig_read(w, 0, data, 60000);
        OK(vfs_sync(w, NULL, VFS_SYNC_ALL));
        rig_holds(rig.bottom, "/f", data, 60000);
        OK(vfs_close(w, NULL));
        free(data);
        rig_close(&rig);
    }
}

Test(write, a_write_far_behind_the_end_leaves_a_hole)
{
    for (int m = 0; m < 3; m++) {
        rig_t rig;
        char *data = calloc(1, 3u << 20);
        rig_open(&rig, modes[m]);
        vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
        memcpy(data, "begin", 5);
        rig_write(w, 0, "begin", 5);
        memcpy(data + (3u << 20) - 3, "end", 3);
        rig_write(w, (3u << 20) - 3, "end", 3);
        rig_read(w, 0, data, 3u << 20);
        OK(vfs_sync(w, NULL, VFS_SYNC_ALL));
        rig_holds(rig.bottom, "/f", data, 3u << 20);
        OK(vfs_close(w, NULL));
        free(data);
        rig_close(&rig);
    }
}

Test(write, with_o_sync_each_write_is_durable)
{
    for (size_t i = 0; i < 3; i++) {
        rig_t rig;
        rig_open(&rig, modes[i]);
        vfs_file_t *other = rig_file(rig.fs, "/f", RIG_C); /* whose handle below they share */
        vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W | VFS_O_SYNC);
        rig_write(w, 0, "precious", 8);
        rig_holds_text(rig.bottom, "/f", "precious");
        EQ(rig_stats(&rig).dirty_bytes, 0);
        EQ(rig_calls(&rig, VFS_OPID_sync), 1);
        rig_write(other, 0, "P", 1); /* and nobody else pays for it */
        EQ(rig_calls(&rig, VFS_OPID_sync), 1);
        OK(vfs_close(other, NULL));
        OK(vfs_close(w, NULL));
        rig_close(&rig);
    }
}

Test(write, a_direct_handle_writes_around_the_cache_in_order_with_what_is_dirty)
{
    rig_t rig;

    rig_open(&rig, modes[2]);
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_C);
    rig_write(w, 0, "0123456789", 10);
    vfs_file_t *d = rig_file(rig.fs, "/f", RIG_W | VFS_O_DIRECT);
    rig_write(d, 4, "xx", 2);
    rig_read(w, 0, "0123xx6789", 10);
    rig_holds_text(rig.bottom, "/f", "0123xx6789");
    rig_write(w, 5, "y", 1);
    rig_read(d, 0, "0123xy6789", 10);
    OK(vfs_close(d, NULL));
    OK(vfs_close(w, NULL));
    rig_close(&rig);
}

Test(write, an_error_below_in_through_mode_is_the_caller_s_and_keeps_nothing)
{
    rig_t rig;
    size_t written = 7;

    rig_open(&rig, modes[0]);
    rig_text(&rig, "/f", "0123456789");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
    rig_read(w, 0, "0123456789", 10);
    rig_fail(&rig, VFS_OPID_write_at, APR_FROM_OS_ERROR(ENOSPC), 0, 1);
    IS(APR_FROM_OS_ERROR(ENOSPC), vfs_write_at(w, NULL, "abc", 3, 0, &written, NULL));
    EQ(written, 0);
    rig_read(w, 0, "0123456789", 10);
    rig_fail(&rig, VFS_OPID_ftruncate, APR_FROM_OS_ERROR(EIO), 0, 1);
    IS(APR_FROM_OS_ERROR(EIO), vfs_ftruncate(w, NULL, 2));
    rig_read(w, 0, "0123456789", 10);
    vfs_fault_clear(rig.fault); /* done, but the answer is lost: the cache must not believe it */
    vfs_fault_t lost = {.what = VFS_FAULT_LOST_REPLY, .times = 1};
    VFS_FAULT_OP(lost, VFS_OPID_write_at);
    OK(vfs_fault_add(rig.fault, &lost));
    IS(APR_FROM_OS_ERROR(EIO), vfs_write_at(w, NULL, "abc", 3, 0, &written, NULL));
    rig_read(w, 0, "abc3456789", 10);
    OK(vfs_close(w, NULL));
    rig_holds_text(rig.fs, "/f", "abc3456789");
    rig_close(&rig);
}

Test(write, a_truncate_whose_answer_is_lost_is_noticed)
{
    rig_t rig;

    rig_open(&rig, modes[0]);
    rig_text(&rig, "/f", "0123456789");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
    rig_read(w, 0, "0123456789", 10);
    vfs_fault_t lost = {.what = VFS_FAULT_LOST_REPLY, .times = 1};
    VFS_FAULT_OP(lost, VFS_OPID_ftruncate);
    OK(vfs_fault_add(rig.fault, &lost));
    IS(APR_FROM_OS_ERROR(EIO), vfs_ftruncate(w, NULL, 2));
    OK(vfs_close(w, NULL));
    rig_holds_text(rig.fs, "/f", "01");
    rig_close(&rig);
}

typedef struct writer_t {
    vfs_file_t *file;
    const char *data;
    size_t len, written;
    apr_status_t st;
} writer_t;

static void *write_all(void *arg)
{
    writer_t *w = arg;

    w->st = vfs_write_at(w->file, NULL, w->data, w->len, 0, &w->written, NULL);
    return NULL;
}

static int waits(void *baton)
{
    return rig_stats(baton).single_flight_waits > 0;
}

/* A version that begins while a writer waits has no block size yet: the writer chooses it. */
Test(write, a_write_that_waited_while_the_cache_was_cleared_is_whole)
{
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        rig_t rig;
        char *data = rig_bytes(50000, 1);
        pthread_t thread;
        gate_t gate = {.start = 0, .end = 4096, .kind = GATE_WRITE};

        rig_open(&rig, modes[i]);
        rig_put(&rig, "/f", data, 0);
        writer_t w = {.file = rig_file(rig.fs, "/f", RIG_W), .data = data, .len = 50000};
        obj_t *o = rig_obj(&rig, "/f");
        OK(cachefs__gate_enter(rig.c, o, NULL, &gate, NULL));
        pthread_create(&thread, NULL, write_all, &w);
        cr_assert(rig_until(waits, &rig));
        OK(cachefs_clear(rig.fs, NULL));
        cachefs__gate_leave(rig.c, o, &gate, APR_SUCCESS);
        pthread_join(thread, NULL);
        OK(w.st);
        EQ(w.written, 50000);
        rig_read(w.file, 0, data, 50000);
        CHECK(rig_stats(&rig).blocks < 20); /* of 16 KiB or more, none of them in pieces */
        OK(vfs_flush(w.file, NULL));
        rig_holds(rig.bottom, "/f", data, 50000);
        cachefs__obj_put(rig.c, o);
        OK(vfs_close(w.file, NULL));
        free(data);
        rig_close(&rig);
    }
}

/* ---- blocks are whole */

#define WHOLE (64u << 10)

typedef struct filler_t {
    vfs_file_t *file;
    apr_status_t st;
} filler_t;

static void *fill_b(void *arg)
{
    static char data[WHOLE];
    filler_t *w = arg;
    size_t written = 0;

    memset(data, 'b', WHOLE);
    w->st = vfs_write_at(w->file, NULL, data, WHOLE, 0, &written, NULL);
    return NULL;
}

static void is_uniform(vfs_file_t *f)
{
    static char buf[WHOLE];
    size_t got = 0;

    OK(vfs_read_at(f, NULL, buf, WHOLE, 0, &got));
    EQ(got, WHOLE);
    for (size_t i = 1; i < WHOLE; i++)
        cr_assert_eq(buf[i], buf[0], "half written at %zu", i);
}

/* A block of /f is written while /g has all the room, and nothing of that can go. */
static void meets_a_full_limit(const char *keys, vfs_opid_e stops)
{
    static char data[WHOLE];
    rig_t rig;
    pthread_t thread;

    rig_open(&rig, keys);
    memset(data, 'a', WHOLE);
    rig_put(&rig, "/f", data, WHOLE);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_W), *g = rig_file(rig.fs, "/g", RIG_C);
    is_uniform(f);
    rig_write(g, 0, data, 32 << 10);
    rig_block(&rig, stops, 1);
    filler_t w = {.file = f};
    EQ(pthread_create(&thread, NULL, fill_b, &w), 0);
    rig_wait_blocked(&rig, 1);
    is_uniform(f);
    vfs_fault_release(rig.fault);
    pthread_join(thread, NULL);
    OK(w.st);
    is_uniform(f);
    OK(vfs_close(f, NULL));
    OK(vfs_close(g, NULL));
    memset(data, 'b', WHOLE);
    rig_holds(rig.bottom, "/f", data, WHOLE);
    rig_close(&rig);
}

#define KEPT "attr_ttl=1h mode=back flush_interval=1h dirty_age=1h readahead=0 block_size=64k "

Test(write, a_block_is_written_whole_while_room_is_waited_for)
{
    meets_a_full_limit(KEPT "dirty_max=80k", VFS_OPID_write_at);
}

Test(write, a_block_larger_than_the_dirty_limit_is_written_whole)
{
    meets_a_full_limit(KEPT "dirty_max=48k", VFS_OPID_write_at);
}
