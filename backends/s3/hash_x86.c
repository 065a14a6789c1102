/*
 * hash_x86.c - SHA-256 by the instructions that processors have for it (SHA extensions of x86), ten
 * times as fast as without: over plain HTTP each byte that is sent is signed. Floor 2, private to
 * backends/s3/.
 */
#include "backends/s3/hash.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>

#define SSSE3 (1u << 9)
#define SSE41 (1u << 19)
#define SHA (1u << 29)

static int has_them(void)
{
    static atomic_int known; /* 0: not looked yet; 1: no; 2: yes */
    unsigned a, b, c, d;
    int has = atomic_load_explicit(&known, memory_order_relaxed);
    if (has == 0) {
        has = 1;
        if (__get_cpuid(1, &a, &b, &c, &d) && (c & SSSE3) && (c & SSE41) &&
            __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & SHA))
            has = 2;
        atomic_store_explicit(&known, has, memory_order_relaxed);
    }
    return has == 2;
}

/* The words lie as the instructions want them: `abef` and `cdgh`, the first highest. */
__attribute__((target("sha,sse4.1,ssse3"))) static void block(__m128i *abef, __m128i *cdgh,
                                                              const unsigned char *p)
{
    const __m128i turn = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    __m128i m[4], s0 = *abef, s1 = *cdgh;
    for (unsigned i = 0; i < 4; i++)
        m[i] = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(const void *)(p + 16 * i)), turn);
#pragma GCC unroll 16
    for (unsigned r = 0; r < 16; r++) { /* four rounds each */
        __m128i w = m[r % 4];
        __m128i x = _mm_add_epi32(
            w, _mm_loadu_si128((const __m128i *)(const void *)(s3__sha256_k + 4 * r)));
        s1 = _mm_sha256rnds2_epu32(s1, s0, x);
        s0 = _mm_sha256rnds2_epu32(s0, s1, _mm_shuffle_epi32(x, 0x0e));
        if (r >= 12) continue;
        __m128i last = m[(r + 3) % 4]; /* the words of four rounds later */
        w = _mm_add_epi32(_mm_sha256msg1_epu32(w, m[(r + 1) % 4]),
                          _mm_alignr_epi8(last, m[(r + 2) % 4], 4));
        m[r % 4] = _mm_sha256msg2_epu32(w, last);
    }
    *abef = _mm_add_epi32(*abef, s0);
    *cdgh = _mm_add_epi32(*cdgh, s1);
}

__attribute__((target("sha,sse4.1,ssse3"))) static void
blocks_by(uint32_t h[8], const unsigned char *data, size_t blocks)
{
    __m128i *to = (__m128i *)(void *)h;
    __m128i cdab = _mm_shuffle_epi32(_mm_loadu_si128(to), 0xb1);
    __m128i efgh = _mm_shuffle_epi32(_mm_loadu_si128(to + 1), 0x1b);
    __m128i abef = _mm_alignr_epi8(cdab, efgh, 8), cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
    for (; blocks > 0; data += 64, blocks--)
        block(&abef, &cdgh, data);
    __m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);
    _mm_storeu_si128(to, _mm_blend_epi16(feba, dchg, 0xf0));
    _mm_storeu_si128(to + 1, _mm_alignr_epi8(dchg, feba, 8));
}

int s3__sha256_blocks_x86(uint32_t h[8], const unsigned char *data, size_t blocks)
{
    if (!has_them()) return 0;
    blocks_by(h, data, blocks);
    return 1;
}

#else

int s3__sha256_blocks_x86(uint32_t h[8], const unsigned char *data, size_t blocks)
{
    (void)h;
    (void)data;
    (void)blocks;
    return 0;
}

#endif
