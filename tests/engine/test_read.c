/*
 * test_read.c - the hit path and the miss path: what is read below, how often, how much, and what a
 * version that changes in the middle does.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h negative_ttl=1h listing_ttl=1h "
#define PLAIN LONG "readahead=0 get_size=0 "

Test(read, a_file_of_19_bytes_costs_one_small_chunk)
{
    rig_t rig;

    rig_open(&rig, LONG "ram=4m");
    rig_text(&rig, "/f", "nineteen bytes long");
    cachefs_stats_t before = rig_stats(&rig);
    rig_holds_text(rig.fs, "/f", "nineteen bytes long");
    cachefs_stats_t s = rig_stats(&rig);
    EQ(s.blocks, 1);
    CHECK(s.resident_bytes <= 1024);
    EQ(rig_requests(&rig), 1); /* one round trip for open and read together */
    CHECK(s.ram_used - before.ram_used <= 4 * 65536);
    rig_close(&rig);
}

Test(read, ten_thousand_small_files_cost_a_kib_of_data_each)
{
    rig_t rig;
    char name[32];

    rig_open(&rig, LONG "ram=64m");
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(name, sizeof(name), "/f%d", i);
        rig_text(&rig, name, "nineteen bytes long");
    }
    for (int i = 0; i < 10000; i++) {
        (void)snprintf(name, sizeof(name), "/f%d", i);
        rig_holds_text(rig.fs, name, "nineteen bytes long");
    }
    cachefs_stats_t s = rig_stats(&rig);
    EQ(s.blocks, 10000);
    CHECK(s.resident_bytes <= 10000 * 1024);
    EQ(s.evictions, 0);
    rig_close(&rig);
}

Test(read, a_cold_random_read_moves_and_occupies_sixteen_kib_at_most)
{
    static const char *const sizes[] = {"0", "4k", "16k", "64k", "256k"};
    size_t len = 8u << 20;
    char *data = rig_bytes(len, 1), keys[160];

    for (int k = 0; k < 5; k++) {
        rig_t rig;
        (void)snprintf(keys, sizeof(keys), LONG "get_size=0 ram=64m block_size=%s", sizes[k]);
        rig_open(&rig, keys);
        rig_put(&rig, "/f", data, len);
        vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
        rig_reset(&rig);
        for (int i = 0; i < 20; i++) {
            size_t off = ((size_t)i * 37 + 11) % 31 * 262144 + 12288 + (size_t)i * 4096 % 200000;
            off = off / 4096 * 4096;
            rig_read(f, (apr_off_t)off, data + off, 4096);
        }
        rig_nap(20); /* nothing comes behind it */
        cr_assert(rig_moved(&rig) <= 20 * 16384, "block_size=%s moved %" PRIu64, sizes[k],
                  rig_moved(&rig));
        if (k < 3) /* larger blocks were asked for: they occupy what they are */
            cr_assert(rig_stats(&rig).resident_bytes <= 20 * 16384, "block_size=%s", sizes[k]);
        OK(vfs_close(f, NULL));
        rig_close(&rig);
    }
    free(data);
}

Test(read, an_unaligned_random_read_moves_no_more_than_the_pieces_that_it_touches)
{
    rig_t rig;
    size_t len = 4u << 20;
    char *data = rig_bytes(len, 1);

    rig_open(&rig, PLAIN);
    rig_put(&rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_reset(&rig);
    rig_read(f, 100001, data + 100001, 10);
    CHECK(rig_moved(&rig) <= 16384);
    rig_reset(&rig);
    rig_read(f, 1000000, data + 1000000, 50000);
    CHECK(rig_moved(&rig) <= 50000 + 2 * 16384);
    EQ(rig_calls(&rig, VFS_OPID_fetch) + rig_calls(&rig, VFS_OPID_readv_at), 1);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

typedef struct miss_t {
    vfs_file_t *f;
    const char *want;
    apr_off_t off;
    size_t len;
    vfs_ctx_t ctx;
    apr_status_t st;
    int bad;
} miss_t;

static void *miss(void *arg)
{
    miss_t *m = arg;
    char *buf = malloc(m->len);
    size_t got = 0;

    m->st = vfs_read_at(m->f, &m->ctx, buf, m->len, m->off, &got);
    m->bad = m->st == APR_SUCCESS && (got != m->len || memcmp(buf, m->want, got) != 0);
    free(buf);
    return NULL;
}

Test(read, concurrent_misses_on_one_block_make_one_lower_read)
{
    rig_t rig;
    char *data = rig_bytes(200000, 1);
    pthread_t threads[8];
    miss_t m[8];

    rig_open(&rig, PLAIN);
    rig_put(&rig, "/f", data, 200000);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_block(&rig, VFS_OPID_fetch, 1);
    rig_reset(&rig);
    for (int i = 0; i < 8; i++) {
        m[i] = (miss_t){f, data + 32768 + i * 512, 32768 + i * 512, 500, VFS_CTX_INIT, 0, 0};
        pthread_create(&threads[i], NULL, miss, &m[i]);
    }
    rig_wait_blocked(&rig, 1);
    rig_wait_waits(&rig, 7);
    vfs_fault_release(rig.fault);
    for (int i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
        OK(m[i].st);
        EQ(m[i].bad, 0);
    }
    EQ(rig_calls(&rig, VFS_OPID_fetch), 1);
    CHECK(rig_moved(&rig) <= 16384);
    EQ(rig_stats(&rig).misses + rig_stats(&rig).hits, 8);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(read, those_who_wait_for_a_read_that_fails_get_its_error)
{
    rig_t rig;
    char *data = rig_bytes(20000, 1);
    pthread_t threads[3];
    miss_t m[3];
    vfs_cancel_t *cancel;

    rig_open(&rig, PLAIN);
    rig_put(&rig, "/f", data, 20000);
    OK(vfs_cancel_create(&cancel, rig.pool));
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_block(&rig, VFS_OPID_fetch, 1);
    rig_fail(&rig, VFS_OPID_fetch, VFS_EOFFLINE, 0, 0);
    for (int i = 0; i < 3; i++) {
        m[i] = (miss_t){f, data, 0, 4096, VFS_CTX_INIT, 0, 0};
        if (!i) m[i].ctx.cancel = cancel; /* the blocked call ends so */
        pthread_create(&threads[i], NULL, miss, &m[i]);
        if (!i) rig_wait_blocked(&rig, 1);
    }
    rig_wait_waits(&rig, 2);
    vfs_cancel_raise(cancel);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    IS(VFS_ECANCELED, m[0].st);
    CHECK(m[1].st != APR_SUCCESS && m[2].st != APR_SUCCESS);
    vfs_fault_clear(rig.fault);
    rig_read(f, 0, data, 20000); /* and the next read is as if nothing had been */
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(read, a_waiter_gives_up_at_its_own_deadline)
{
    rig_t rig;
    char *data = rig_bytes(20000, 1), buf[16];
    size_t got;
    pthread_t thread;

    rig_open(&rig, PLAIN);
    rig_put(&rig, "/f", data, 20000);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_block(&rig, VFS_OPID_fetch, 1);
    miss_t m = {f, data, 0, 4096, VFS_CTX_INIT, 0, 0};
    pthread_create(&thread, NULL, miss, &m);
    rig_wait_blocked(&rig, 1);
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.deadline = apr_time_now() + 30000;
    IS(APR_TIMEUP, vfs_read_at(f, &ctx, buf, 16, 0, &got));
    EQ(got, 0);
    vfs_fault_release(rig.fault);
    pthread_join(thread, NULL);
    OK(m.st);
    EQ(m.bad, 0);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(read, an_error_below_reads_nothing_and_is_not_kept)
{
    rig_t rig;
    char *data = rig_bytes(20000, 1), buf[100];
    size_t got = 5;

    rig_open(&rig, PLAIN);
    rig_put(&rig, "/f", data, 20000);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    vfs_fault_t brief = {.what = VFS_FAULT_SHORT_READ, .bytes = 50, .times = 1};
    VFS_FAULT_OP(brief, VFS_OPID_fetch);
    OK(vfs_fault_add(rig.fault, &brief));
    IS(APR_FROM_OS_ERROR(EIO), vfs_read_at(f, NULL, buf, 100, 0, &got));
    EQ(got, 0);
    EQ(rig_stats(&rig).blocks, 0);
    rig_read(f, 0, data, 20000);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

/* ---- read-ahead */

Test(read, a_straight_reader_of_a_far_file_system_is_read_ahead)
{
    rig_t rig;
    size_t len = 4u << 20;
    char *data = rig_bytes(len, 1);
    vfs_delay_t far = {2000, 0, 0, 0, 1};

    rig_open(&rig, LONG "get_size=0 ram=32m readahead=1m readahead_max=2m");
    OK(vfs_delay_set(rig.delay, &far));
    rig.c->lower_is_far = 1;
    rig_put(&rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_reset(&rig);
    for (size_t at = 0; at < len; at += 65536) {
        rig_read(f, (apr_off_t)at, data + at, 65536);
        CHECK(atomic_load(&rig.c->ahead_bytes) <= 2u << 20);
        rig_settle(&rig);
    }
    cachefs_stats_t s = rig_stats(&rig);
    CHECK(s.readahead_bytes > len / 2);
    EQ(s.readahead_wasted_bytes, 0);
    CHECK(rig_calls(&rig, VFS_OPID_fetch) < 80); /* of 256 in steps of 16 KiB; 64 reads */
    EQ(rig_moved(&rig), len);                    /* nothing twice */
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

/* As a kernel's threads read for one program: in pairs that overtake each other. */
Test(read, a_straight_reader_whose_reads_overtake_each_other_is_read_ahead)
{
    rig_t rig;
    size_t len = 4u << 20, step = 131072;
    char *data = rig_bytes(len, 1);

    rig_open(&rig, LONG "get_size=0 ram=32m readahead=1m readahead_max=2m");
    rig.c->lower_is_far = 1;
    rig_put(&rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_read(f, 0, data, step);
    for (size_t at = step; at + 2 * step <= len; at += 2 * step) {
        rig_read(f, (apr_off_t)(at + step), data + at + step, step);
        rig_read(f, (apr_off_t)at, data + at, step);
        rig_settle(&rig);
    }
    CHECK(rig_stats(&rig).readahead_bytes > len / 2);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

/* Small reads near each other are no straight reading. The limits are less than a region is, which
 * would come where a round trip takes long. */
Test(read, reads_here_and_there_are_not_read_ahead)
{
    rig_t rig;
    size_t len = 4u << 20;
    char *data = rig_bytes(len, 1);

    rig_open(&rig, LONG "get_size=0 ram=32m readahead=64k readahead_max=128k");
    rig.c->lower_is_far = 1;
    rig_put(&rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    for (size_t k = 1, at = 12345; k < 60; k++, at = at * 31 % (256u << 10))
        rig_read(f, (apr_off_t)(at & ~(size_t)4095), data + (at & ~(size_t)4095), 4096);
    EQ(rig_stats(&rig).readahead_bytes, 0);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

Test(read, read_ahead_goes_no_further_than_its_budgets)
{
    rig_t rig;
    size_t len = 8u << 20;
    char *data = rig_bytes(len, 1);

    rig_open(&rig, LONG "get_size=0 ram=64m readahead=256k readahead_max=256k");
    rig.c->lower_is_far = 1;
    rig_put(&rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_reset(&rig);
    size_t at = 0;
    for (int i = 0; i < 20; i++, at += 16384)
        rig_read(f, (apr_off_t)at, data + at, 16384);
    rig_settle(&rig);
    CHECK(rig_moved(&rig) <= at + 2 * (256u << 10));
    OK(cachefs_set(rig.fs, "readahead", "0", NULL, 0));
    OK(cachefs_clear(rig.fs, NULL));
    rig_reset(&rig);
    uint64_t before = rig_stats(&rig).readahead_bytes;
    for (int i = 0; i < 20; i++, at += 16384)
        rig_read(f, (apr_off_t)at, data + at, 16384);
    EQ(rig_stats(&rig).readahead_bytes, before);
    CHECK(rig_moved(&rig) <= 21 * 16384);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

/* ---- versions */

typedef struct change_t {
    rig_t *rig;
    const char *data;
    size_t len;
    int times; /* how often to change the file as soon as a fetch stands still */
} change_t;

static void *change(void *arg)
{
    change_t *k = arg;

    for (int i = 0; i < k->times; i++) {
        char first = (char)('A' + i);
        rig_wait_injected(k->rig, (uint64_t)i + 1); /* not the call that was released before */
        rig_poke(k->rig, "/f", 0, &first, 1);
        rig_poke(k->rig, "/f", (apr_off_t)k->len - 1, &first, 1);
        vfs_fault_release(k->rig->fault);
    }
    return NULL;
}

/* Read the whole file; it changes below before each of the first `times` fetches. */
static apr_status_t read_while(int times, char *first, char *last)
{
    rig_t rig;
    size_t len = 600000, got = 0;
    char *data = rig_bytes(len, 1), *buf = malloc(len);
    pthread_t thread;

    data[0] = data[len - 1] = '0';
    rig_open(&rig, PLAIN);
    rig_put(&rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_read(f, 0, data, 1); /* a lower handle and the first version are known */
    rig_block(&rig, VFS_OPID_fetch, (uint64_t)times);
    change_t k = {&rig, data, len, times};
    pthread_create(&thread, NULL, change, &k);
    apr_status_t st = vfs_read_at(f, NULL, buf, len, 0, &got);
    vfs_fault_clear(rig.fault);
    pthread_join(thread, NULL);
    if (!st) {
        EQ(got, len);
        CHECK(memcmp(buf + 1, data + 1, len - 2) == 0);
        *first = buf[0];
        *last = buf[len - 1];
    }
    OK(vfs_close(f, NULL));
    free(buf);
    free(data);
    rig_close(&rig);
    return st;
}

Test(read, a_version_that_changes_in_mid_read_restarts_the_read_once)
{
    char first = 0, last = 0;

    OK(read_while(1, &first, &last));
    EQ(first, 'A');
    EQ(last, 'A'); /* never of two versions */
}

Test(read, a_version_that_changes_twice_in_one_read_is_estale)
{
    char first = 0, last = 0;

    IS(VFS_ESTALE, read_while(2, &first, &last));
}

Test(read, a_file_that_became_shorter_below_ends_there)
{
    rig_t rig;
    char *data = rig_bytes(100000, 1), *buf = malloc(100000);
    size_t got = 0;

    rig_open(&rig, PLAIN);
    rig_put(&rig, "/f", data, 100000);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_read(f, 0, data, 4096);
    OK(vfs_truncate(rig.bottom, NULL, "/f", 50000));
    OK(vfs_read_at(f, NULL, buf, 100000, 0, &got));
    EQ(got, 50000);
    CHECK(memcmp(buf, data, got) == 0);
    OK(vfs_read_at(f, NULL, buf, 100, 60000, &got));
    EQ(got, 0);
    OK(vfs_close(f, NULL));
    free(buf);
    free(data);
    rig_close(&rig);
}

Test(read, direct_reads_go_around_the_cache_and_see_what_is_dirty)
{
    rig_t rig;
    char buf[16];
    size_t got;

    rig_open(&rig, PLAIN "mode=back flush_interval=1h dirty_age=1h flush_on_close=off");
    rig_text(&rig, "/f", "0123456789");
    vfs_file_t *w = rig_file(rig.fs, "/f", RIG_W);
    rig_write(w, 2, "ab", 2);
    vfs_file_t *d = rig_file(rig.fs, "/f", RIG_R | VFS_O_DIRECT);
    rig_reset(&rig);
    for (int i = 0; i < 2; i++) {
        OK(vfs_read_at(d, NULL, buf, 10, 0, &got));
        EQ(got, 10);
        CHECK(memcmp(buf, "01ab456789", 10) == 0);
    }
    EQ(rig_calls(&rig, VFS_OPID_read_at), 2);
    OK(vfs_close(d, NULL));
    OK(vfs_close(w, NULL));
    rig_close(&rig);
}

Test(read, without_any_room_reads_go_around_the_cache_and_are_right)
{
    rig_t rig;
    size_t len = 3u << 20;
    char *data = rig_bytes(len, 1);
    vfs_ctx_t high = VFS_CTX_INIT;

    rig_open(&rig, PLAIN "ram=1m pin_bytes_max=1m");
    rig_put(&rig, "/f", data, len);
    high.priority = VFS_PRIORITY_HIGH;
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    (void)cachefs_prefetch(f, &high, 0, 0, NULL); /* everything that there is becomes protected */
    for (int pass = 0; pass < 2; pass++)
        for (size_t at = 0; at < len; at += 50000)
            rig_read(f, (apr_off_t)at, data + at, len - at < 50000 ? len - at : 50000);
    CHECK(rig_stats(&rig).ram_used <= 1u << 20);
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}

typedef struct heat_t {
    int calls, hits;
    char path[64];
    apr_off_t off;
    size_t len;
} heat_t;

static void be_hot(void *baton, const char *path, apr_off_t off, size_t len, int hit)
{
    heat_t *h = baton;

    h->calls++;
    h->hits += hit;
    h->off = off;
    h->len = len;
    (void)snprintf(h->path, sizeof(h->path), "%s", path);
}

Test(read, heat_is_told_with_name_range_and_whether_it_was_there)
{
    rig_t rig;
    heat_t heat = {0};

    rig_open(&rig, PLAIN);
    rig_text(&rig, "/f", "some text");
    OK(cachefs_on_heat(rig.fs, be_hot, &heat));
    rig_holds_text(rig.fs, "/f", "some text");
    EQ(heat.calls, 0); /* not before it is asked for */
    OK(cachefs_set(rig.fs, "heat", "on", NULL, 0));
    OK(cachefs_clear(rig.fs, NULL));
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    rig_read(f, 5, "text", 4);
    EQ(heat.calls, 1);
    EQ(heat.hits, 0);
    EQ(heat.off, 5);
    EQ(heat.len, 4);
    cr_assert_str_eq(heat.path, "/f");
    OK(vfs_close(f, NULL));
    f = rig_file(rig.fs, "/f", RIG_R);
    rig_read(f, 0, "some", 4);
    EQ(heat.calls, 2);
    EQ(heat.hits, 1);
    OK(cachefs_on_heat(rig.fs, NULL, NULL));
    rig_read(f, 0, "some", 4);
    EQ(heat.calls, 2);
    IS(APR_EINVAL, cachefs_on_heat(rig.bottom, NULL, NULL));
    OK(vfs_close(f, NULL));
    rig_close(&rig);
}

Test(read, what_a_caller_waits_for_is_one_call_below_in_little_memory_too)
{
    rig_t rig;
    const size_t len = 1u << 20, step = 64u << 10;
    char *data = rig_bytes(len, 7);
    rig_open(&rig, "ram=1m attr_ttl=1h");
    rig_put(&rig, "/f", data, len);
    vfs_file_t *f = rig_file(rig.fs, "/f", RIG_R);
    for (size_t at = len; at > step; at -= step) { /* not straight on: nothing is read ahead */
        rig_reset(&rig);
        rig_read(f, (apr_off_t)(at - step), data + at - step, step);
        EQ(rig_calls(&rig, VFS_OPID_fetch), 1);
    }
    OK(vfs_close(f, NULL));
    free(data);
    rig_close(&rig);
}
