/*
 * test_journal_damage.c - a journal of which bytes are wrong or missing: nothing is made up, and
 * nothing that can be read is given up.
 * labels: crash
 */
#include "tests/store/support_journal.h"
#include "tests/sweep.h"

#define DIR "/journal"

/* A closed journal of a few files, and one that opens it after something was done to it. */
static void make(jrig_t *rig)
{
    *rig = (jrig_t){.file_bytes = 8192, .seed = 4};
    jrig_open(rig);
    OK(jrig_begin(rig));
    for (int i = 0; i < 12; i++) {
        unsigned o = (unsigned)i % 3;
        if (!rig->object[o]) OK(jrig_base(rig, o));
        OK(jrig_write(rig, o, 100 + (uint32_t)i * 60));
        if (i % 4 == 3) OK(jrig_sync(rig));
    }
    rig->acked = rig->next - 1;
    jrig_gone(rig);
}

typedef struct outcome_t {
    apr_status_t st;
    uint64_t holes;
    cachefs__jfound_t found;
} outcome_t;

/* Every record that is told is as it was appended: jrig_check asserts that. */
static outcome_t look(jrig_t *rig)
{
    outcome_t out = {0};
    cachefs__joptions_t o = {
        .fs = rig->mem, .dir = DIR, .origin = rig->origin, .bytes_max = rig->bytes_max};
    out.st = cachefs__journal_open(&rig->j, &o, rig->err, sizeof(rig->err));
    if (out.st) return out;
    out.holes = jrig_check(rig);
    out.found = *cachefs__journal_found(rig->j);
    EQ(out.found.lost, out.holes); /* what is lost is told */
    OK(cachefs__journal_close(rig->j));
    rig->j = NULL;
    return out;
}

static vfs_file_t *file(jrig_t *rig, unsigned number, uint64_t *size)
{
    char path[64];
    vfs_file_t *f;
    vfs_attr_t attr;
    (void)snprintf(path, sizeof(path), DIR "/j-%08x", number);
    if (vfs_open(&f, rig->mem, NULL, path, VFS_O_READ | VFS_O_WRITE, 0, &attr, NULL)) return NULL;
    *size = attr.size;
    return f;
}

Test(journal_damage, a_wrong_byte_costs_the_record_that_it_is_in)
{
    jrig_t rig;
    uint64_t size, at, flips = 0, lossless = 0;
    size_t n;
    make(&rig);
    uint64_t all = rig.next - 1;
    vfs_file_t *f;
    for (unsigned number = 1; (f = file(&rig, number, &size)) != NULL; number++) {
        for (at = 0; at < size; at += sweep_step()) {
            uint8_t was, is;
            OK(vfs_read_at(f, NULL, &was, 1, (apr_off_t)at, &n));
            is = was ^ (uint8_t)(1u << at % 8);
            OK(vfs_write_at(f, NULL, &is, 1, (apr_off_t)at, &n, NULL));
            outcome_t out = look(&rig);
            OK(out.st);
            EQ(out.found.records + out.holes, all);
            CHECK(out.holes <= 1);
            if (at < JOURNAL_HEADER_BYTES) EQ(out.holes, 0); /* a head is there twice */
            lossless += out.holes == 0;
            flips++;
            OK(vfs_write_at(f, NULL, &was, 1, (apr_off_t)at, &n, NULL));
        }
        OK(vfs_close(f, NULL));
    }
    CHECK(flips * sweep_step() > 8000 && lossless < flips);
    jrig_close(&rig);
}

Test(journal_damage, a_file_that_was_cut_costs_what_was_behind_the_cut)
{
    jrig_t rig;
    uint64_t size, whole;
    size_t n;
    vfs_file_t *f;
    make(&rig);
    uint64_t all = rig.next - 1;
    for (unsigned number = 1; (f = file(&rig, number, &size)) != NULL; number++) {
        uint8_t *bytes = malloc(size);
        uint64_t before = 0;
        CHECK(bytes != NULL);
        OK(vfs_read_at(f, NULL, bytes, size, 0, &n));
        for (whole = 0; whole <= size; whole += sweep_step()) {
            OK(vfs_ftruncate(f, NULL, (apr_off_t)whole));
            outcome_t out = look(&rig);
            OK(out.st);
            CHECK(out.found.records + out.holes <= all);
            CHECK(out.found.records >= before || whole <= 128); /* a longer piece tells no less */
            before = out.found.records;
            OK(vfs_write_at(f, NULL, bytes, size, 0, &n, NULL));
        }
        EQ(look(&rig).found.records, all);
        free(bytes);
        OK(vfs_close(f, NULL));
    }
    jrig_close(&rig);
}

/* A whole file is gone, and not the last one: the others count, and the loss is told. */
Test(journal_damage, a_file_that_is_missing_is_a_loss_that_is_told)
{
    jrig_t rig;
    make(&rig);
    OK(vfs_unlink(rig.mem, NULL, DIR "/j-00000001"));
    outcome_t out = look(&rig);
    OK(out.st);
    CHECK(out.holes > 0);
    EQ(out.found.records + out.holes, rig.next - 1);
    jrig_close(&rig);
}

/* What could not be read stays for whoever can make more of it. */
Test(journal_damage, damaged_files_are_put_aside_after_a_recovery)
{
    jrig_t rig;
    uint64_t size;
    size_t n;
    vfs_attr_t attr;
    make(&rig);
    vfs_file_t *f = file(&rig, 1, &size);
    CHECK(f != NULL);
    OK(vfs_write_at(f, NULL, "\x55\xaa", 2, JOURNAL_HEADER_BYTES + 50, &n, NULL));
    OK(vfs_close(f, NULL));
    cachefs__joptions_t o = {
        .fs = rig.mem, .dir = DIR, .origin = rig.origin, .bytes_max = rig.bytes_max};
    OK(cachefs__journal_open(&rig.j, &o, rig.err, sizeof(rig.err)));
    EQ(cachefs__journal_found(rig.j)->lost, 1);
    OK(cachefs__journal_start(rig.j));
    OK(vfs_stat(rig.mem, NULL, DIR "/j-00000001", &attr)); /* until it is recovered */
    OK(cachefs__journal_recovered(rig.j));
    CHECK(APR_STATUS_IS_ENOENT(vfs_stat(rig.mem, NULL, DIR "/j-00000001", &attr)));
    OK(vfs_stat(rig.mem, NULL, DIR "/damaged-00000001", &attr));
    jrig_close(&rig);
}

/* A journal within a journal: bytes that a user wrote are no records, wherever a search begins. */
Test(journal_damage, records_in_user_data_are_user_data)
{
    jrig_t rig = {.file_bytes = 1u << 20};
    uint8_t page[8192];
    size_t n;
    uint64_t size, off = JOURNAL_HEADER_BYTES;
    jrig_open(&rig);
    OK(jrig_begin(&rig));
    OK(jrig_base(&rig, 0));
    OK(jrig_write(&rig, 0, 200));
    OK(jrig_sync(&rig));
    jrig_gone(&rig);
    vfs_file_t *f = file(&rig, 1, &size);
    CHECK(f != NULL);
    OK(vfs_read_at(f, NULL, page, sizeof(page), 0, &n));
    OK(vfs_close(f, NULL));

    OK(jrig_begin(&rig)); /* a new session, hence another file */
    OK(jrig_base(&rig, 0));
    size_t room = cachefs__journal_write_bytes(n);
    OK(cachefs__journal_reserve(rig.j, NULL, room, 0));
    uint64_t lsn = cachefs__journal_write(rig.j, rig.object[0], 0, 5, page, (uint32_t)n);
    cachefs__journal_unreserve(rig.j, room - cachefs__jsize(JOURNAL_WRITE_BYTES + (uint32_t)n));
    OK(cachefs__journal_sync(rig.j, NULL, lsn));
    cachefs__journal_mark(rig.j);
    jrig_gone(&rig);
    f = file(&rig, 2, &size);
    CHECK(f != NULL);
    off += cachefs__jsize(8); /* the CHECKPOINT of the recovery */
    off += cachefs__jsize(JOURNAL_BASE_BYTES + 10);
    OK(vfs_write_at(f, NULL, "\x01", 1, (apr_off_t)off + 4, &n, NULL)); /* its type */
    OK(vfs_close(f, NULL));

    cachefs__joptions_t o = {
        .fs = rig.mem, .dir = DIR, .origin = rig.origin, .bytes_max = rig.bytes_max};
    OK(cachefs__journal_open(&rig.j, &o, rig.err, sizeof(rig.err)));
    EQ(cachefs__journal_found(rig.j)->lost, 1);
    EQ(cachefs__journal_found(rig.j)->end, lsn + 1);
    jrig_close(&rig);
}
