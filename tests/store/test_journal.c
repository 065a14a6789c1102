/*
 * test_journal.c - a journal: what is appended is read again, groups, limits, errors of its disk.
 */
#include <pthread.h>

#include "tests/store/support_journal.h"

Test(journal, what_was_closed_is_read_again)
{
    jrig_t rig = {.file_bytes = 32768};
    jrig_open(&rig);
    for (int life = 0; life < 3; life++) {
        OK(jrig_begin(&rig));
        for (int i = 0; i < 40; i++)
            OK(jrig_step(&rig));
        rig.acked = rig.next - 1; /* closing makes it durable */
        jrig_gone(&rig);
    }
    OK(jrig_begin(&rig));
    jrig_close(&rig);
}

Test(journal, a_write_that_is_larger_than_a_record_is_several)
{
    jrig_t rig = {0};
    cachefs__jstats_t stats;
    jrig_open(&rig);
    OK(jrig_begin(&rig));
    OK(jrig_base(&rig, 0));
    uint32_t len = JOURNAL_WRITE_MAX + 5;
    uint8_t *bytes = calloc(1, len);
    CHECK(bytes != NULL);
    OK(cachefs__journal_reserve(rig.j, NULL, cachefs__journal_write_bytes(len), 0));
    EQ(cachefs__journal_write(rig.j, rig.object[0], 3, 5, bytes, len), rig.next + 1);
    OK(cachefs__journal_sync(rig.j, NULL, rig.next + 1));
    cachefs__journal_stats(rig.j, &stats);
    EQ(stats.appended, 3);
    free(bytes);
    jrig_close(&rig);
}

/* ---- groups */

typedef struct crowd_t {
    jrig_t *rig;
    uint64_t object;
} crowd_t;

#define CROWD 16
#define EACH 8

static void *writer(void *arg)
{
    crowd_t *c = arg;
    for (int i = 0; i < EACH; i++) {
        size_t room = cachefs__journal_write_bytes(100);
        uint8_t bytes[100] = {0};
        apr_status_t st = cachefs__journal_reserve(c->rig->j, NULL, room, 0);
        if (st) return c;
        uint64_t lsn = cachefs__journal_write(c->rig->j, c->object, 0, 0, bytes, sizeof(bytes));
        cachefs__journal_unreserve(c->rig->j, room - cachefs__jsize(JOURNAL_WRITE_BYTES + 100));
        if (cachefs__journal_sync(c->rig->j, NULL, lsn)) return c;
    }
    return NULL;
}

/* The first sync is held until all others wait: they share the next one. */
Test(journal, many_who_sync_share_one_sync_of_the_device)
{
    jrig_t rig = {0};
    cachefs__jstats_t before, after;
    vfs_fault_t hold = {.what = VFS_FAULT_BLOCK, .times = 1};
    pthread_t threads[CROWD];
    crowd_t crowd;
    jrig_open(&rig);
    OK(jrig_begin(&rig));
    OK(jrig_base(&rig, 0));
    OK(jrig_sync(&rig));
    crowd = (crowd_t){&rig, rig.object[0]};
    cachefs__journal_stats(rig.j, &before);
    VFS_FAULT_OP(hold, VFS_OPID_sync);
    OK(vfs_fault_add(rig.fault, &hold));
    for (int i = 0; i < CROWD; i++)
        EQ(pthread_create(&threads[i], NULL, writer, &crowd), 0);
    do {
        cachefs__journal_stats(rig.j, &after); /* all have appended their first record */
    } while (vfs_fault_blocked(rig.fault) < 1 || after.appended < before.appended + CROWD);
    vfs_fault_release(rig.fault);
    for (int i = 0; i < CROWD; i++) {
        void *failed;
        EQ(pthread_join(threads[i], &failed), 0);
        CHECK(failed == NULL);
    }
    cachefs__journal_stats(rig.j, &after);
    EQ(after.acknowledged - before.acknowledged, CROWD * EACH);
    CHECK(after.syncs - before.syncs < CROWD * EACH); /* the first sixteen had two */
    EQ(after.groups - before.groups, after.syncs - before.syncs);
    jrig_close(&rig);
}

Test(journal, a_sync_of_what_is_durable_asks_nothing_of_the_disk)
{
    jrig_t rig = {0};
    cachefs__jstats_t before, after;
    jrig_open(&rig);
    OK(jrig_begin(&rig));
    OK(jrig_base(&rig, 0));
    OK(jrig_sync(&rig));
    cachefs__journal_stats(rig.j, &before);
    for (int i = 0; i < 5; i++)
        OK(jrig_sync(&rig));
    cachefs__journal_stats(rig.j, &after);
    EQ(after.syncs, before.syncs);
    jrig_close(&rig);
}

/* ---- limits */

Test(journal, it_stays_within_its_limit_and_keeps_a_reserve_for_what_makes_it_shorter)
{
    jrig_t rig = {.bytes_max = 256u << 10, .file_bytes = 16384};
    cachefs__jstats_t stats;
    apr_status_t st = APR_SUCCESS;
    jrig_open(&rig);
    OK(jrig_begin(&rig));
    OK(jrig_base(&rig, 0));
    while (!(st = jrig_write(&rig, 0, 2000)))
        OK(jrig_sync(&rig));
    IS(VFS_ELIMIT, st);
    cachefs__journal_stats(rig.j, &stats);
    CHECK(stats.bytes <= stats.bytes_max);
    EQ(stats.oldest, rig.object[0]);
    OK(jrig_retire(&rig, 0)); /* there is room for that */
    OK(cachefs__journal_trim(rig.j));
    cachefs__journal_stats(rig.j, &stats);
    EQ(stats.files, 1);
    EQ(stats.objects, 0);
    CHECK(stats.bytes < 3 * 16384);
    jrig_close(&rig);
}

/* ---- errors of the disk */

static void fails(jrig_t *rig, vfs_opid_e op, uint64_t nth, uint64_t times, vfs_fault_e what)
{
    vfs_fault_t rule = {.what = what, .status = APR_FROM_OS_ERROR(EIO), .nth = nth, .times = times};
    VFS_FAULT_OP(rule, op);
    OK(vfs_fault_add(rig->fault, &rule));
}

/* Once: the group goes into a new file. What was synced of it is there, whatever the disk made of
 * the old file. */
Test(journal, a_file_that_failed_is_given_up_and_nothing_is_lost)
{
    static const vfs_opid_e ops[] = {VFS_OPID_write_at, VFS_OPID_sync, VFS_OPID_sync_dir};
    static const vfs_fault_e whats[] = {VFS_FAULT_ERROR, VFS_FAULT_LOST_REPLY,
                                        VFS_FAULT_TORN_WRITE};
    for (size_t o = 0; o < 3; o++)
        for (size_t w = 0; w < (o ? 2 : 3); w++)
            for (uint64_t nth = 1; nth < 40; nth++) {
                jrig_t rig = {.file_bytes = 16384, .seed = (uint32_t)nth};
                jrig_open(&rig);
                OK(jrig_begin(&rig));
                fails(&rig, ops[o], nth, 1, whats[w]);
                for (int i = 0; i < 40; i++)
                    OK(jrig_step(&rig));
                OK(jrig_sync(&rig));
                vfs_fault_clear(rig.fault);
                OK(vfs_crash_now(rig.crash, VFS_CRASH_DROP_UNSYNCED, 0, 0));
                jrig_gone(&rig);
                vfs_crash_restart(rig.crash);
                OK(jrig_begin(&rig));
                jrig_close(&rig);
            }
}

/* For ever: the journal ends, and says so to everybody. */
Test(journal, a_disk_that_fails_for_good_ends_it)
{
    jrig_t rig = {0};
    cachefs__jstats_t stats;
    jrig_open(&rig);
    OK(jrig_begin(&rig));
    OK(jrig_base(&rig, 0));
    OK(jrig_sync(&rig));
    fails(&rig, VFS_OPID_sync, 1, 0, VFS_FAULT_ERROR);
    OK(jrig_write(&rig, 0, 100));
    for (int i = 0; i < 3; i++)
        IS(APR_FROM_OS_ERROR(EIO), jrig_sync(&rig));
    IS(APR_FROM_OS_ERROR(EIO), jrig_write(&rig, 0, 100));
    OK(cachefs__journal_sync(rig.j, NULL, rig.acked)); /* that was durable before */
    cachefs__journal_stats(rig.j, &stats);
    EQ(stats.error, APR_FROM_OS_ERROR(EIO));
    EQ(stats.rescues, 2);
    EQ(rig.logged, 2);
    jrig_close(&rig);
}

/* A power loss could take the name, and all that is in the file with it. */
Test(journal, a_file_whose_name_cannot_be_made_durable_holds_nothing)
{
    jrig_t rig = {.file_bytes = 8192};
    apr_status_t st = APR_SUCCESS;
    jrig_open(&rig);
    fails(&rig, VFS_OPID_sync_dir, 1, 0, VFS_FAULT_ERROR);
    IS(APR_FROM_OS_ERROR(EIO), jrig_begin(&rig));
    jrig_gone(&rig);
    vfs_fault_clear(rig.fault);
    OK(jrig_begin(&rig));
    OK(jrig_base(&rig, 0));
    OK(jrig_sync(&rig));
    fails(&rig, VFS_OPID_sync_dir, 1, 0, VFS_FAULT_ERROR);
    for (int i = 0; i < 4 && !st; i++) { /* the next file comes */
        OK(jrig_write(&rig, 0, 2000));
        st = jrig_sync(&rig);
    }
    IS(APR_FROM_OS_ERROR(EIO), st);
    jrig_close(&rig);
}

/* ---- who may open it */

Test(journal, one_of_another_origin_or_format_is_refused_and_left_as_it_is)
{
    jrig_t rig = {0};
    uint8_t page[JOURNAL_HEADER_BYTES];
    size_t n;
    vfs_file_t *f;
    jrig_open(&rig);
    OK(jrig_begin(&rig));
    OK(jrig_base(&rig, 0));
    OK(jrig_sync(&rig));
    jrig_gone(&rig);
    uint64_t ops = vfs_crash_ops(rig.crash);
    rig.origin[0] ^= 1;
    IS(VFS_ECONFLICT, jrig_begin(&rig));
    CHECK(strstr(rig.err, "another origin") != NULL);
    rig.origin[0] ^= 1;
    EQ(vfs_crash_ops(rig.crash), ops);
    OK(jrig_begin(&rig));
    jrig_gone(&rig);

    /* a newer format: the next number, with its own checksum */
    OK(vfs_open(&f, rig.mem, NULL, "/journal/j-00000002", VFS_O_READ | VFS_O_WRITE, 0, NULL, NULL));
    OK(vfs_read_at(f, NULL, page, sizeof(page), 0, &n));
    page[8] = 2;
    uint64_t sum = 0xcbf29ce484222325u;
    for (int i = 0; i < 120; i++)
        sum = (sum ^ page[i]) * 0x100000001b3u;
    for (int i = 0; i < 8; i++)
        page[120 + i] = (uint8_t)(sum >> (8 * i));
    OK(vfs_write_at(f, NULL, page, sizeof(page), 0, &n, NULL));
    OK(vfs_close(f, NULL));
    ops = vfs_crash_ops(rig.crash);
    IS(VFS_EFORMAT, jrig_begin(&rig));
    CHECK(strstr(rig.err, "newer version") != NULL);
    EQ(vfs_crash_ops(rig.crash), ops);
    jrig_close(&rig);
}
