/*
 * test_gate.c - claims on ranges: exclusion, one fill for all who miss, deadlines, cancellation.
 */
#include "tests/engine/support_rig.h"

#define LONG "attr_ttl=1h readahead=0 get_size=0 "

typedef struct gated_t {
    rig_t rig;
    obj_t *o;
} gated_t;

static void gated_open(gated_t *t)
{
    rig_open(&t->rig, LONG);
    rig_text(&t->rig, "/f", "text");
    t->o = rig_obj(&t->rig, "/f");
}

static void gated_close(gated_t *t)
{
    cachefs__obj_put(t->rig.c, t->o);
    rig_close(&t->rig);
}

typedef struct enter_t {
    gated_t *t;
    gate_t gate;
    vfs_ctx_t ctx;
    apr_status_t st;
    int waited;
    _Atomic int done;
} enter_t;

static void *enter(void *arg)
{
    enter_t *e = arg;

    e->st = cachefs__gate_enter(e->t->rig.c, e->t->o, &e->ctx, &e->gate, &e->waited);
    atomic_store(&e->done, 1);
    return NULL;
}

static enter_t entering(gated_t *t, uint64_t start, uint64_t end, gate_e kind)
{
    enter_t e = {.t = t, .gate = {.start = start, .end = end, .kind = kind}, .ctx = VFS_CTX_INIT};
    return e;
}

Test(gate, ranges_that_do_not_meet_do_not_wait)
{
    gated_t t;
    gate_t a = {.start = 0, .end = 100, .kind = GATE_WRITE};
    gate_t b = {.start = 100, .end = 200, .kind = GATE_WRITE};
    gate_t c = {.start = 200, .end = UINT64_MAX, .kind = GATE_FILL};

    gated_open(&t);
    OK(cachefs__gate_enter(t.rig.c, t.o, NULL, &a, NULL));
    OK(cachefs__gate_enter(t.rig.c, t.o, NULL, &b, NULL));
    int waited = 1;
    OK(cachefs__gate_enter(t.rig.c, t.o, NULL, &c, &waited));
    EQ(waited, 0);
    cachefs__gate_leave(t.rig.c, t.o, &b, APR_SUCCESS);
    cachefs__gate_leave(t.rig.c, t.o, &a, APR_SUCCESS);
    cachefs__gate_leave(t.rig.c, t.o, &c, APR_SUCCESS);
    CHECK(t.o->gates == NULL);
    gated_close(&t);
}

Test(gate, a_write_waits_for_a_write_and_for_a_fill)
{
    for (int kind = GATE_FILL; kind <= GATE_WRITE; kind++) {
        gated_t t;
        pthread_t thread;
        gate_t a = {.start = 0, .end = 100, .kind = (gate_e)kind};
        gated_open(&t);
        OK(cachefs__gate_enter(t.rig.c, t.o, NULL, &a, NULL));
        enter_t e = entering(&t, 99, 150, GATE_WRITE);
        pthread_create(&thread, NULL, enter, &e);
        rig_nap(30);
        EQ(atomic_load(&e.done), 0);
        cachefs__gate_leave(t.rig.c, t.o, &a, APR_SUCCESS);
        pthread_join(thread, NULL);
        OK(e.st);
        EQ(e.waited, 0);
        CHECK(t.o->gates == &e.gate);
        cachefs__gate_leave(t.rig.c, t.o, &e.gate, APR_SUCCESS);
        gated_close(&t);
    }
}

Test(gate, a_fill_that_waited_for_a_fill_gets_its_status_and_did_not_enter)
{
    static const apr_status_t results[] = {APR_SUCCESS, VFS_EOFFLINE};
    for (int i = 0; i < 2; i++) {
        gated_t t;
        pthread_t threads[4];
        enter_t e[4];
        gate_t a = {.start = 0, .end = 100, .kind = GATE_FILL};
        gated_open(&t);
        OK(cachefs__gate_enter(t.rig.c, t.o, NULL, &a, NULL));
        for (int k = 0; k < 4; k++) {
            e[k] = entering(&t, 50, 150, GATE_FILL);
            pthread_create(&threads[k], NULL, enter, &e[k]);
        }
        rig_wait_waits(&t.rig, 4);
        cachefs__gate_leave(t.rig.c, t.o, &a, results[i]);
        for (int k = 0; k < 4; k++) {
            pthread_join(threads[k], NULL);
            IS(results[i], e[k].st);
            EQ(e[k].waited, 1);
        }
        CHECK(t.o->gates == NULL);
        EQ(rig_stats(&t.rig).single_flight_waits, 4);
        gated_close(&t);
    }
}

Test(gate, a_fill_that_waited_for_a_write_looks_again_whatever_came_of_that)
{
    gated_t t;
    pthread_t thread;
    gate_t a = {.start = 0, .end = 100, .kind = GATE_WRITE};

    gated_open(&t);
    OK(cachefs__gate_enter(t.rig.c, t.o, NULL, &a, NULL));
    enter_t e = entering(&t, 50, 150, GATE_FILL);
    pthread_create(&thread, NULL, enter, &e);
    rig_wait_waits(&t.rig, 1);
    cachefs__gate_leave(t.rig.c, t.o, &a, VFS_EOFFLINE);
    pthread_join(thread, NULL);
    OK(e.st);
    EQ(e.waited, 1);
    gated_close(&t);
}

Test(gate, a_deadline_and_a_cancel_flag_end_the_wait)
{
    for (int kind = GATE_FILL; kind <= GATE_WRITE; kind++) {
        gated_t t;
        pthread_t thread;
        vfs_cancel_t *cancel;
        gate_t a = {.start = 0, .end = 100, .kind = GATE_WRITE};
        gated_open(&t);
        OK(vfs_cancel_create(&cancel, t.rig.pool));
        OK(cachefs__gate_enter(t.rig.c, t.o, NULL, &a, NULL));
        enter_t e = entering(&t, 0, 10, (gate_e)kind);
        e.ctx.deadline = apr_time_now() + 30000;
        enter(&e);
        IS(APR_TIMEUP, e.st);
        enter_t f = entering(&t, 0, 10, (gate_e)kind);
        f.ctx.cancel = cancel;
        pthread_create(&thread, NULL, enter, &f);
        rig_nap(30);
        EQ(atomic_load(&f.done), 0);
        vfs_cancel_raise(cancel);
        pthread_join(thread, NULL);
        IS(VFS_ECANCELED, f.st);
        CHECK(a.waiters == NULL); /* who gave up is not told any more */
        cachefs__gate_leave(t.rig.c, t.o, &a, APR_SUCCESS);
        gated_close(&t);
    }
}

/* ---- the handle below */

Test(gate, the_lower_handle_is_opened_once_and_closed_with_the_last_user)
{
    gated_t t;
    vfs_file_t *a, *b;

    gated_open(&t);
    vfs_path_t p = rig_path("/f");
    cachefs__obj_set_name(t.rig.c, t.o, &p);
    rig_reset(&t.rig);
    OK(cachefs__lower_use(t.rig.c, t.o, NULL, 0, &a));
    OK(cachefs__lower_use(t.rig.c, t.o, NULL, 0, &b));
    CHECK(a == b);
    EQ(rig_calls(&t.rig, VFS_OPID_open), 1);
    cachefs__lower_done(t.rig.c, t.o);
    CHECK(t.o->lower_file == a);
    cachefs__lower_done(t.rig.c, t.o);
    CHECK(t.o->lower_file == NULL);
    EQ(rig_calls(&t.rig, VFS_OPID_close), 1);
    gated_close(&t);
}

Test(gate, a_reader_s_handle_is_replaced_when_a_writer_needs_one)
{
    gated_t t;
    vfs_file_t *a, *b;

    gated_open(&t);
    vfs_path_t p = rig_path("/f");
    cachefs__holder_t holder;
    cachefs__hold(t.rig.c, t.o, &holder);
    cachefs__obj_set_name(t.rig.c, t.o, &p);
    OK(cachefs__lower_use(t.rig.c, t.o, NULL, 0, &a));
    cachefs__lower_done(t.rig.c, t.o);
    OK(cachefs__lower_use(t.rig.c, t.o, NULL, 1, &b));
    EQ(vfs_file_flags(b) & VFS_O_WRITE, VFS_O_WRITE);
    cachefs__lower_done(t.rig.c, t.o);
    OK(cachefs__lower_use(t.rig.c, t.o, NULL, 0, &a));
    CHECK(a == b); /* it reads too */
    cachefs__lower_done(t.rig.c, t.o);
    cachefs__unhold(t.rig.c, &holder);
    CHECK(t.o->lower_file == NULL);
    gated_close(&t);
}

Test(gate, a_name_that_leads_to_another_file_by_now_is_estale)
{
    gated_t t;
    vfs_file_t *a = NULL;

    gated_open(&t);
    vfs_path_t p = rig_path("/f");
    cachefs__obj_set_name(t.rig.c, t.o, &p);
    OK(vfs_unlink(t.rig.bottom, NULL, "/f"));
    IS(VFS_ESTALE, cachefs__lower_use(t.rig.c, t.o, NULL, 0, &a));
    rig_text(&t.rig, "/f", "another");
    IS(VFS_ESTALE, cachefs__lower_use(t.rig.c, t.o, NULL, 0, &a));
    EQ(t.o->io, 0);
    gated_close(&t);
}
