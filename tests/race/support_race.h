/*
 * support_race.h - what the race tests of the cache share: a stack to race on, threads, and bytes
 * that say where they belong. Floor 4.
 *
 * A word of content says which file, which block and which write it came from, and all words of one
 * write of a block are equal: a torn block has two kinds of words, a foreign one the wrong place.
 */
#ifndef TESTS_RACE_SUPPORT_RACE_H
#define TESTS_RACE_SUPPORT_RACE_H

#include <stdatomic.h>
#include <stdint.h>

#include "backends/backends.h"
#include "cachefs/cachefs.h"
#include "vfs/shims/shims.h"
#include "vfs/vfs.h"

#define CHECK(cond) ((cond) ? (void)0 : race_fail(#cond, __FILE__, __LINE__))
/* The status is `want`, else the program ends and names both. */
#define CHECK_ST(call, want) race_check_status((call), (want), #call, __FILE__, __LINE__)
#define CHECK_OK(call) CHECK_ST(call, APR_SUCCESS)

_Noreturn void race_fail(const char *what, const char *file, int line);
void race_check_status(apr_status_t st, apr_status_t want, const char *what, const char *file,
                       int line);

/* mem, count, fault, delay, cache: from the bottom up. */
typedef struct race_t {
    apr_pool_t *pool;
    vfs_t *mem, *count, *fault, *delay, *cache;
} race_t;
void race_begin(void);
/* `keys`: "mode=back,ram=1m"; rtt_us: of the delay shim. */
void race_open(race_t *r, const char *keys, uint64_t rtt_us);
/* A cache on what is there already. */
void race_cache(race_t *r, const char *keys);
/* End the cache; nothing may be open below any more. */
void race_end_cache(race_t *r);
void race_close(race_t *r);
/* Nothing is open below while the cache lives, once those who close in the background have. */
void race_all_closed(race_t *r);
/* The cache lets go of all: no memory is left that anybody holds. */
void race_all_given_back(race_t *r);
void race_rtt(race_t *r, uint64_t rtt_us);
/* Reads of any kind that the bottom saw. */
uint64_t race_lower_reads(race_t *r);

/* Run fn(baton, i) on n threads; returns when all have. */
void race_run(unsigned n, void (*fn)(void *baton, unsigned i), void *baton);
/* The same in two steps. */
typedef struct race_crew_t race_crew_t;
race_crew_t *race_start(unsigned n, void (*fn)(void *baton, unsigned i), void *baton);
void race_join(race_crew_t *crew);
/* Milliseconds of the monotonic clock. */
int64_t race_now_ms(void);
/* Go on until end_ms, and on a slow machine until there was enough; ends the program where ten
 * minutes more are too short for that. */
int race_go_on(int64_t end_ms, int enough);
void race_sleep_us(unsigned us);
/* xorshift; *state must not be 0 */
uint32_t race_random(uint32_t *state);

/* Bytes of write `seq` of a block. */
void race_fill(void *buf, size_t len, unsigned file, unsigned block, uint32_t seq);
/* The write that a block came from; ends the program where it is torn or foreign. */
uint32_t race_seq(const void *buf, size_t len, unsigned file, unsigned block, const char *where);

/* Make a file of `blocks` blocks, all of write `seq`, below the cache. */
void race_make(vfs_t *fs, const char *path, unsigned file, unsigned blocks, size_t block,
               uint32_t seq);
/* Read exactly len bytes. */
void race_read(vfs_file_t *f, void *buf, size_t len, apr_off_t off);
void race_write(vfs_file_t *f, const void *buf, size_t len, apr_off_t off);
vfs_file_t *race_file(vfs_t *fs, const char *path, uint32_t flags);

#endif
