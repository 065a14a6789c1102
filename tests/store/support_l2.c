/* support_l2.c - see support_l2.h. */
#include "tests/store/support_l2.h"

#include <stdlib.h>

#include "cachefs/rank.h"

disk_t disk;
cachefs__store_t *store;
cachefs__l2_t *l2;
cachefs__l2_config_t config;

void setup(void)
{
    disk_open(&disk, 0);
    store = disk_store(&disk);
    config = (cachefs__l2_config_t){.bytes = 4u << 20, .segment_bytes = 512 * KIB, .free_min = 1};
    OK(cachefs__l2_open(&l2, store, &config));
}

void teardown(void)
{
    cachefs__l2_close(l2);
    cachefs__store_close(store);
    disk_close(&disk);
}

void again(void)
{
    cachefs__l2_close(l2);
    OK(cachefs__l2_open(&l2, store, &config));
}

cachefs__l2_key_t key_of(uint64_t n)
{
    return (cachefs__l2_key_t){{n, n * 77 + 1}};
}

uint8_t byte_of(uint64_t key, uint64_t off)
{
    return (uint8_t)((off * 2654435761u >> 13) ^ key * 31 ^ off);
}

void wait_for(int spare)
{
    for (;;) {
        cachefs__lock(&l2->lock, RANK_LEAF);
        int is = l2->spare >= 0 || (!spare && l2->active >= 0);
        cachefs__unlock(&l2->lock, RANK_LEAF);
        if (is) return;
        apr_sleep(1000);
    }
}

void ready(void)
{
    wait_for(0);
}

void put(uint64_t key, uint64_t off, size_t len)
{
    uint8_t *buf = malloc(len);
    cachefs__l2_key_t k = key_of(key);
    vfs_iovec_t iov[2] = {{buf, len / 3}, {buf + len / 3, len - len / 3}};
    for (size_t i = 0; i < len; i++)
        buf[i] = byte_of(key, off + i);
    ready();
    cachefs__l2_put(l2, &k, off, iov, 2, len);
    free(buf);
}

int has(uint64_t key, uint64_t off, size_t len)
{
    uint8_t *buf = calloc(1, len);
    cachefs__l2_key_t k = key_of(key);
    vfs_iovec_t iov[2] = {{buf, len / 2}, {buf + len / 2, len - len / 2}};
    apr_status_t st = cachefs__l2_read(l2, &k, NULL, off, iov, 2);
    for (size_t i = 0; !st && i < len; i++)
        cr_assert(buf[i] == byte_of(key, off + i), "byte %zu of %" PRIu64, i, key);
    free(buf);
    return !st;
}

cachefs__l2_stats_t stats(void)
{
    cachefs__l2_stats_t s;
    cachefs__l2_stats(l2, &s);
    return s;
}
