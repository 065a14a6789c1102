/*
 * l2_admit.h - who may enter the disk tier: flash wears out, and a scan is not worth writing.
 * Floor 2, private to cachefs/store/ and its tests. Takes no lock.
 *
 * "second" and "sketch" remember cells that were offered in a table of four-bit counters: a cell
 * has one in each of two rows, its count is the smaller one, and all are halved when the table has
 * seen as many offers as it has counters (TinyLFU's "reset", Einziger et al. 2017). "second" lets
 * in what is offered a second time in that period; "sketch" lets everything in while there is room,
 * and then what was offered twice.
 */
#ifndef CACHEFS_STORE_L2_ADMIT_H
#define CACHEFS_STORE_L2_ADMIT_H

#include "cachefs/store/l2.h"

typedef struct cachefs__l2_admit_t {
    cachefs__l2_admit_e how;
    uint32_t percent;
    uint8_t *counters; /* two in a byte; NULL where nothing is remembered */
    uint32_t mask;     /* of counters */
    uint32_t seen;
    uint64_t dice;
} cachefs__l2_admit_t;

apr_status_t cachefs__l2_admit_create(cachefs__l2_admit_t *a, cachefs__l2_admit_e how,
                                      uint32_t percent, uint32_t cells);
void cachefs__l2_admit_destroy(cachefs__l2_admit_t *a);
/* It is offered. `room`: nobody would have to leave for it. */
int cachefs__l2_admitted(cachefs__l2_admit_t *a, uint64_t tag, int room);

#endif
