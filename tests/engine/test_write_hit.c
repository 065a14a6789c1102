/*
 * test_write_hit.c - writes of write-back that only change memory.
 */
#include "tests/engine/support_rig.h"

#define THROUGH "attr_ttl=1h readahead=0 get_size=0 mode=through block_size=16k "
#define BACK                                                                                       \
    "attr_ttl=1h readahead=0 get_size=0 mode=back flush_interval=1h dirty_age=1h "                 \
    "flush_on_close=off block_size=16k "

typedef struct over_t {
    rig_t rig;
    vfs_file_t *f;
    obj_t *o;
    char *data;
} over_t;

/* 64 KiB of /f are cached and clean. */
static void over_open(over_t *t, const char *keys)
{
    rig_open(&t->rig, keys);
    t->data = rig_bytes(65536, 1);
    rig_put(&t->rig, "/f", t->data, 65536);
    t->f = rig_file(t->rig.fs, "/f", RIG_W);
    t->o = rig_obj(&t->rig, "/f");
    rig_read(t->f, 0, t->data, 65536);
    rig_reset(&t->rig);
}

static void over_close(over_t *t)
{
    cachefs__obj_put(t->rig.c, t->o);
    OK(vfs_flush(t->f, NULL));
    rig_holds(t->rig.bottom, "/f", t->data, 65536);
    OK(vfs_close(t->f, NULL));
    free(t->data);
    rig_close(&t->rig);
}

static void over(over_t *t, size_t off, size_t len, char with)
{
    memset(t->data + off, with, len);
    rig_write(t->f, (apr_off_t)off, t->data + off, len);
}

Test(write_hit, a_write_over_clean_bytes_makes_their_granules_dirty_and_no_others)
{
    over_t t;
    over_open(&t, BACK);
    over(&t, 5000, 100, 'x');
    EQ(rig_stats(&t.rig).dirty_bytes, 4096);
    over(&t, 8000, 300, 'y'); /* over an edge of granules */
    EQ(rig_stats(&t.rig).dirty_bytes, 8192);
    over(&t, 5000, 3000, 'z');
    EQ(rig_stats(&t.rig).dirty_bytes, 8192);
    EQ(rig_requests(&t.rig), 0);
    EQ(atomic_load(&t.rig.c->dirty_reserved), 0);
    rig_read(t.f, 0, t.data, 65536);
    over_close(&t);
}

static void waits_for_a_gate(const char *keys)
{
    over_t t;
    gate_t gate = {.start = 4096, .end = 8192, .kind = GATE_FILL};
    size_t written;
    over_open(&t, keys);
    OK(cachefs__gate_enter(t.rig.c, t.o, NULL, &gate, NULL));
    over(&t, 0, 4096, 'a');
    over(&t, 8192, 4096, 'b');
    vfs_ctx_t ctx = VFS_CTX_INIT;
    ctx.deadline = apr_time_now() + 30000;
    apr_status_t st = vfs_write_at(t.f, &ctx, "mine", 4, 8190, &written, NULL);
    CHECK(APR_STATUS_IS_TIMEUP(st) && written == 0);
    rig_read(t.f, 8192, t.data + 8192, 4096);
    cachefs__gate_leave(t.rig.c, t.o, &gate, APR_SUCCESS);
    over(&t, 8190, 4, 'c');
    over_close(&t);
}

Test(write_hit, it_waits_for_who_works_on_its_range_and_for_nobody_else)
{
    waits_for_a_gate(BACK);
    waits_for_a_gate(THROUGH);
}

Test(write_hit, a_write_through_changes_its_block_in_place_and_ends_what_it_began)
{
    over_t t;
    over_open(&t, THROUGH);
    over(&t, 5000, 300, 'x');
    over(&t, 8100, 300, 'y');
    EQ(rig_calls(&t.rig, VFS_OPID_write_at), 2);
    EQ(rig_requests(&t.rig), 2);
    rig_read(t.f, 0, t.data, 65536);
    EQ(rig_requests(&t.rig), 2); /* all of it from memory */
    CHECK(t.o->gates == NULL && !t.o->io && !t.o->changing);
    rig_fail(&t.rig, VFS_OPID_write_at, VFS_EOFFLINE, 1, 1);
    size_t written;
    IS(VFS_EOFFLINE, vfs_write_at(t.f, NULL, "lost", 4, 5000, &written, NULL));
    rig_read(t.f, 0, t.data, 65536); /* nothing of it stays */
    CHECK(t.o->gates == NULL && !t.o->io && !t.o->changing);
    over_close(&t);
}

Test(write_hit, the_limit_of_dirty_bytes_holds_for_it_too)
{
    over_t t;
    over_open(&t, BACK "dirty_max=48k");
    for (size_t off = 0; off < 65536; off += 4096) {
        over(&t, off, 4096, (char)('a' + off / 4096));
        CHECK(rig_stats(&t.rig).dirty_bytes <= 49152);
    }
    CHECK(cachefs__counter(&t.rig.c->counters, CNT_THROTTLED) > 0); /* nor is it exempt from that */
    EQ(atomic_load(&t.rig.c->dirty_reserved), 0);
    over_close(&t);
}
