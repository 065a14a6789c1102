/*
 * world.h - one file on a write-back cache with a journal, over a store and a lower layer that can
 * lose power at any point; two who write to it and sync it, and one who flushes and retires.
 * Floor 4, private to tests/explore/.
 */
#ifndef TESTS_EXPLORE_WORLD_H
#define TESTS_EXPLORE_WORLD_H

#include <stdint.h>

/* What is taken away, to see that it is missed. */
typedef enum mutant_e {
    NOTHING,
    STORE_DEAF,    /* the store's syncs do nothing */
    LOWER_DEAF,    /* those of the lower layer */
    RECORDS_LATE,  /* bytes go below before their records are durable */
    NO_FLUSH_NOTE, /* nobody notes that he is about to change the file below */
    CLEAN_ANYWAY,  /* a block that was written to during a flush is clean */
    NO_RECORD,     /* a write has none */
    MUTANTS
} mutant_e;
extern mutant_e mutant;

/* A power loss: at that point, so. */
typedef struct loss_t {
    unsigned point; /* 0: none */
    unsigned way;
} loss_t;
#define WAYS 7u

/* One life by the schedule: `seen` is called at each point that is new, and says whether power
 * shall be lost there in other lives of this schedule. NULL: nobody wants to know.
 *  @return NULL; what was wrong */
const char *world_life(loss_t loss, void (*seen)(unsigned point, uint64_t state));

#endif
