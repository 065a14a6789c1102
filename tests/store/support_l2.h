/* support_l2.h - a disk tier of 4 MiB in segments of 512 KiB, on a disk in memory, and bytes to put
 * in that are known by their key and place. */
#ifndef TESTS_STORE_SUPPORT_L2_H
#define TESTS_STORE_SUPPORT_L2_H

#include "cachefs/store/l2_log.h"
#include "tests/store/support_store.h"

#define KIB 1024u

extern disk_t disk;
extern cachefs__store_t *store;
extern cachefs__l2_t *l2;
extern cachefs__l2_config_t config;

void setup(void);
void teardown(void);
/* Close it, and open it on what is there. */
void again(void);

cachefs__l2_key_t key_of(uint64_t n);
uint8_t byte_of(uint64_t key, uint64_t off);
/* Wait until a segment can be written to, and with `spare` until another one waits: the writer
 * makes them on its own. */
void wait_for(int spare);
void ready(void);
void put(uint64_t key, uint64_t off, size_t len);
/* 1: all of it is there, and right; 0: it cannot be had. Wrong bytes are a failure. */
int has(uint64_t key, uint64_t off, size_t len);
cachefs__l2_stats_t stats(void);

#endif
