/*
 * test_journal_power.c - a journal whose disk loses power at any moment: what was acknowledged is
 * there, in order, and nothing else.
 * labels: crash
 */
#include "tests/store/support_journal.h"
#include "tests/sweep.h"

typedef struct how_t {
    vfs_crash_e how;
    uint64_t seed, tear;
} how_t;

static const how_t hows[] = {
    {VFS_CRASH_KEEP_ALL, 0, 0},     {VFS_CRASH_DROP_UNSYNCED, 0, 0}, {VFS_CRASH_RANDOM, 1, 0},
    {VFS_CRASH_RANDOM, 2, 0},       {VFS_CRASH_RANDOM, 3, 0},        {VFS_CRASH_TEAR_LAST, 0, 0},
    {VFS_CRASH_TEAR_LAST, 0, 512},  {VFS_CRASH_TEAR_LAST, 0, 1024},  {VFS_CRASH_TEAR_LAST, 0, 1536},
    {VFS_CRASH_TEAR_LAST, 0, 2048}, {VFS_CRASH_TEAR_LAST, 0, 4096},  {VFS_CRASH_TEAR_LAST, 0, 8192},
};
#define HOWS (sizeof(hows) / sizeof(hows[0]))

/* Power goes; what an object needed before is what it needs after that. */
static void power(jrig_t *rig, const how_t *how)
{
    OK(vfs_crash_now(rig->crash, how->how, how->seed, how->tear));
    jrig_gone(rig);
    vfs_crash_restart(rig->crash);
}

/* Objects whose RETIRE may not have been durable are not needed, those without one are. */
static void run_until_power_goes(jrig_t *rig, unsigned steps)
{
    apr_status_t st = jrig_begin(rig);
    for (unsigned i = 0; i < steps && !st; i++)
        st = jrig_step(rig);
}

/* Power goes at the k-th operation of a run, for every k, and comes back; then a second run. */
Test(journal_power, after_every_operation_what_was_acknowledged_is_there)
{
    for (uint32_t seed = 1; seed <= 3; seed++)
        for (size_t h = 0; h < HOWS; h++)
            for (uint64_t k = 1;; k += sweep_step()) {
                jrig_t rig = {.file_bytes = 16384, .seed = seed};
                jrig_open(&rig);
                vfs_crash_at(rig.crash, k);
                run_until_power_goes(&rig, 60);
                uint64_t ops = vfs_crash_ops(rig.crash);
                power(&rig, &hows[h]);
                OK(jrig_begin(&rig));
                for (int i = 0; i < 8; i++)
                    OK(jrig_step(&rig));
                power(&rig, &hows[(h + 1) % HOWS]);
                OK(jrig_begin(&rig));
                jrig_close(&rig);
                if (ops < k) break;
            }
}

/* And again while the second process opens the journal. */
Test(journal_power, a_second_loss_during_the_recovery_changes_nothing)
{
    for (size_t h = 0; h < HOWS; h++)
        for (uint64_t k = 5; k < 120; k += 9 * sweep_step())
            for (uint64_t again = 1;; again++) {
                jrig_t rig = {.file_bytes = 16384, .seed = (uint32_t)k};
                jrig_open(&rig);
                vfs_crash_at(rig.crash, k);
                run_until_power_goes(&rig, 60);
                power(&rig, &hows[h]);
                uint64_t before = vfs_crash_ops(rig.crash);
                vfs_crash_at(rig.crash, again);
                (void)jrig_begin(&rig); /* it ends where power goes */
                int whole = vfs_crash_ops(rig.crash) - before < again;
                power(&rig, &hows[(h + 3) % HOWS]);
                OK(jrig_begin(&rig));
                jrig_close(&rig);
                if (whole) break;
            }
}

/* Many lives of one journal. */
Test(journal_power, it_lives_through_many_losses)
{
    jrig_t rig = {.file_bytes = 16384, .bytes_max = 256u << 10};
    jrig_open(&rig);
    for (unsigned life = 0; life < 400; life++) {
        vfs_crash_at(rig.crash, 1 + jrig_random(&rig) % 90);
        run_until_power_goes(&rig, 40);
        power(&rig, &hows[jrig_random(&rig) % HOWS]);
        if (rig.next > LOG_MAX - 512) break;
    }
    CHECK(rig.next > 2000);
    jrig_close(&rig);
}

/* A disk writes the pages of one write in any order. What follows a hole that nobody was told is
 * durable does not count, and does not come back when later sessions know more. */
Test(journal_power, a_hole_in_the_last_group_is_the_end)
{
    jrig_t rig = {.file_bytes = 1u << 20};
    uint8_t zeros[64] = {0};
    size_t n;
    vfs_file_t *f;
    uint64_t off = JOURNAL_HEADER_BYTES + cachefs__jsize(JOURNAL_BASE_BYTES + 10);
    jrig_open(&rig);
    OK(jrig_begin(&rig));
    OK(jrig_base(&rig, 0));
    OK(jrig_sync(&rig));
    uint64_t acked = rig.acked;
    for (int i = 0; i < 3; i++)
        OK(jrig_write(&rig, 0, 500));
    OK(jrig_sync(&rig)); /* as the disk will have it, this was under way */
    power(&rig, &hows[0]);
    OK(vfs_open(&f, rig.mem, NULL, "/journal/j-00000001", VFS_O_WRITE, 0, NULL, NULL));
    OK(vfs_write_at(f, NULL, zeros, sizeof(zeros),
                    (apr_off_t)(off + cachefs__jsize(JOURNAL_WRITE_BYTES + 500)), &n, NULL));
    OK(vfs_close(f, NULL));
    rig.acked = acked;
    for (int life = 0; life < 3; life++) {
        OK(jrig_begin(&rig));
        const cachefs__jfound_t *found = cachefs__journal_found(rig.j);
        if (life == 0) EQ(found->end, acked + 2);
        if (life == 0) CHECK(found->torn > 0);
        OK(jrig_base(&rig, 1));
        OK(jrig_sync(&rig));
        jrig_gone(&rig);
    }
    jrig_close(&rig);
}
