/*
 * test_cache_grow.c - a file grows by small pieces in write-back while others flush it: each flush
 * meets pieces that are in their block and whose end is not the file's yet, and loses none of
 * them. A plain program, for ThreadSanitizer.
 */
#include <stdlib.h>

#include "tests/race/support_race.h"

#define PIECE 1000u /* no part of a granule: most end within one */
#define PIECES 300u
#define FLUSHERS 2u

typedef struct grow_t {
    race_t r;
    int64_t end_ms;
    atomic_int over;
    atomic_uint flushes;
} grow_t;

/* The byte at a place of the file; never zero, as lost bytes are. */
static uint8_t byte_at(size_t at)
{
    return (uint8_t)(1 + (at * 2654435761u >> 16) % 255);
}

static void grow_once(grow_t *t, uint8_t *bytes, uint8_t *back)
{
    vfs_file_t *f = race_file(t->r.cache, "/f", VFS_O_READ | VFS_O_WRITE);
    CHECK_OK(vfs_ftruncate(f, NULL, 0));
    for (size_t i = 0; i < PIECES; i++)
        race_write(f, bytes + i * PIECE, PIECE, (apr_off_t)(i * PIECE));
    CHECK_OK(vfs_flush(f, NULL));
    CHECK_OK(vfs_close(f, NULL));
    f = race_file(t->r.mem, "/f", VFS_O_READ);
    race_read(f, back, (size_t)PIECES * PIECE, 0);
    CHECK_OK(vfs_close(f, NULL));
    for (size_t at = 0; at < (size_t)PIECES * PIECE; at++)
        CHECK(back[at] == bytes[at]);
}

static void writer(grow_t *t)
{
    uint8_t *bytes = malloc((size_t)PIECES * PIECE), *back = malloc((size_t)PIECES * PIECE);
    unsigned rounds = 0;
    CHECK(bytes && back);
    for (size_t at = 0; at < (size_t)PIECES * PIECE; at++)
        bytes[at] = byte_at(at);
    while (race_go_on(t->end_ms, rounds > 20 && atomic_load(&t->flushes) > 100)) {
        grow_once(t, bytes, back);
        rounds++;
    }
    atomic_store(&t->over, 1);
    free(bytes);
    free(back);
}

static void grow_thread(void *baton, unsigned me)
{
    grow_t *t = baton;
    if (me == FLUSHERS) {
        writer(t);
        return;
    }
    vfs_file_t *f = race_file(t->r.cache, "/f", VFS_O_READ | VFS_O_WRITE);
    while (!atomic_load(&t->over)) {
        CHECK_OK(vfs_flush(f, NULL));
        atomic_fetch_add(&t->flushes, 1);
    }
    CHECK_OK(vfs_close(f, NULL));
}

int main(void)
{
    grow_t t = {.end_ms = 0};
    race_begin();
    race_open(&t.r, NULL, 0);
    race_make(t.r.mem, "/f", 0, 1, 64, 1);
    race_cache(&t.r, "mode=back,ram=4m,shards=4,block_size=16k,attr_ttl=1h,flush_on_close=off");
    t.end_ms = race_now_ms() + 2000;
    race_run(FLUSHERS + 1, grow_thread, &t);
    race_end_cache(&t.r);
    race_close(&t.r);
    return 0;
}
