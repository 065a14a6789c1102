/*
 * l2_pack.h - packing the bytes of a record, by zstd.
 * Floor 2, private to cachefs/store/ and its tests. Takes no lock; one thread a packer.
 *
 * Each record on its own, so that one read and one check give its bytes. Whether it is worth it is
 * found by trying: what stays larger than seven eighths (as with ZFS) is stored as it is, and costs
 * its reader nothing.
 */
#ifndef CACHEFS_STORE_L2_PACK_H
#define CACHEFS_STORE_L2_PACK_H

#include "cachefs/store/l2_format.h"

#define L2_PARTS_WORTH 28u /* of L2_PARTS: what takes more is not packed */

typedef struct cachefs__l2_packer_t cachefs__l2_packer_t;
struct cachefs__l2_packer_t {
    cachefs__l2_packer_t *next;
    void *pack, *unpack; /* contexts of zstd; made when they are needed */
    uint8_t packed[L2_CELL], plain[L2_CELL];
};

/* NULL: no memory. */
cachefs__l2_packer_t *cachefs__l2_packer_create(void);
void cachefs__l2_packer_destroy(cachefs__l2_packer_t *p);
/* Pack bytes into p->packed. Returns how many they are there; 0: it is not worth it, cannot be done
 * just now, or not by this program. */
uint32_t cachefs__l2_pack(cachefs__l2_packer_t *p, int level, const void *bytes, uint32_t len);
/* Unpack so many of p->packed into `len` bytes: 1 if that is what they are. */
int cachefs__l2_unpack(cachefs__l2_packer_t *p, uint32_t packed, void *bytes, uint32_t len);

#endif
