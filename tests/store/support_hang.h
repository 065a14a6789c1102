/* support_hang.h - a disk some of whose calls do not end before they are let go, whatever their
 * deadline: as on a dead network mount. */
#ifndef TESTS_STORE_SUPPORT_HANG_H
#define TESTS_STORE_SUPPORT_HANG_H

#include "tests/store/support_store.h"

/* The disk is one that can hang, from here on. */
void disk_can_hang(disk_t *d);
/* readv_at or write_at does not end any more. */
void disk_hang(vfs_opid_e op);
/* Wait until so many calls hang. */
void disk_wait_hung(unsigned n);
/* So many hang now. */
unsigned disk_hung(void);
/* All go on, and none hangs any more. */
void disk_let_go(void);

#endif
