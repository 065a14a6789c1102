/*
 * digest.h - hashes of bytes, to tell contents apart: xxHash where the build has it, else FNV-1a
 * with the finish of MurmurHash3. Not against an adversary, and not to be kept: two builds may
 * differ. Floor 1, shared.
 */
#ifndef VFS_DIGEST_H
#define VFS_DIGEST_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef CACHEFS_WITH_XXHASH
#include <xxhash.h>
#endif

#define VFS__DIGEST_BYTES 16u

/** 64 bits; what comes in pieces is hashed with the hash of what came before as the seed. */
static inline uint64_t vfs__hash64(const void *data, size_t len, uint64_t seed)
{
#ifdef CACHEFS_WITH_XXHASH
    return XXH3_64bits_withSeed(data, len, seed);
#else
    const unsigned char *bytes = data;
    uint64_t hash = 0xcbf29ce484222325u ^ (seed * 0x9e3779b97f4a7c15u);
    for (size_t i = 0; i < len; i++)
        /* the analyzer loses sight of the bytes of an array of integers that is set as a whole */
        /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult) */
        hash = (hash ^ bytes[i]) * 0x100000001b3u;
    hash = (hash ^ len ^ (hash >> 33)) * 0xff51afd7ed558ccdu;
    hash = (hash ^ (hash >> 33)) * 0xc4ceb9fe1a85ec53u;
    return hash ^ (hash >> 33);
#endif
}

/** 128 bits, written to out. */
static inline void vfs__digest(unsigned char out[VFS__DIGEST_BYTES], const void *data, size_t len)
{
#ifdef CACHEFS_WITH_XXHASH
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, len));
    memcpy(out, canonical.digest, VFS__DIGEST_BYTES);
#else
    uint64_t words[2];
    words[0] = vfs__hash64(data, len, 1);
    words[1] = vfs__hash64(data, len, words[0]);
    memcpy(out, words, VFS__DIGEST_BYTES);
#endif
}

#endif
