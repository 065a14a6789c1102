/*
 * bytes.h - numbers in the files of a store: little-endian, at any address.
 * Floor 2, private to cachefs/store/ and its tests.
 */
#ifndef CACHEFS_STORE_BYTES_H
#define CACHEFS_STORE_BYTES_H

#include <stddef.h>
#include <stdint.h>

static inline void cachefs__put32(uint8_t *at, uint32_t v)
{
    for (unsigned i = 0; i < 4; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}
static inline void cachefs__put64(uint8_t *at, uint64_t v)
{
    for (unsigned i = 0; i < 8; i++)
        at[i] = (uint8_t)(v >> (8 * i));
}
static inline uint32_t cachefs__get32(const uint8_t *at)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < 4; i++)
        v |= (uint32_t)at[i] << (8 * i);
    return v;
}
static inline uint64_t cachefs__get64(const uint8_t *at)
{
    return cachefs__get32(at) | (uint64_t)cachefs__get32(at + 4) << 32;
}
/* FNV-1a: the same in every build, for what says which checksum the rest has (vfs/digest.h is not
 * the same in every build). */
static inline uint64_t cachefs__fnv64(const uint8_t *bytes, size_t len)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

#endif
