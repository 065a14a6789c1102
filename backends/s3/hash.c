/*
 * hash.c - see hash.h. Floor 2.
 */
#include "backends/s3/hash.h"

#include <string.h>

#define BLOCK 64u

/* ---- SHA-256 */

const uint32_t s3__sha256_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

typedef struct sha_t {
    uint32_t h[8];
    uint64_t len;
    unsigned char block[BLOCK];
} sha_t;

static uint32_t right(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

/* One round, with the eight words where they are: who calls turns them. */
#define SHA_ROUND(a, b, c, d, e, f, g, h, i)                                                       \
    do {                                                                                           \
        uint32_t t = (h) + (right(e, 6) ^ right(e, 11) ^ right(e, 25)) +                           \
                     (((e) & (f)) ^ (~(e) & (g))) + s3__sha256_k[i] + w[i];                        \
        (d) += t;                                                                                  \
        (h) = t + (right(a, 2) ^ right(a, 13) ^ right(a, 22)) +                                    \
              (((a) & (b)) ^ ((a) & (c)) ^ ((b) & (c)));                                           \
    } while (0)

static void sha_block(uint32_t h[8], const unsigned char *p)
{
    uint32_t w[64], v[8];
    for (unsigned i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 |
               (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
    for (unsigned i = 16; i < 64; i++) {
        uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + (right(a, 7) ^ right(a, 18) ^ a >> 3) + w[i - 7] +
               (right(b, 17) ^ right(b, 19) ^ b >> 10);
    }
    memcpy(v, h, sizeof(v));
    for (unsigned i = 0; i < 64; i += 8) {
        SHA_ROUND(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], i);
        SHA_ROUND(v[7], v[0], v[1], v[2], v[3], v[4], v[5], v[6], i + 1);
        SHA_ROUND(v[6], v[7], v[0], v[1], v[2], v[3], v[4], v[5], i + 2);
        SHA_ROUND(v[5], v[6], v[7], v[0], v[1], v[2], v[3], v[4], i + 3);
        SHA_ROUND(v[4], v[5], v[6], v[7], v[0], v[1], v[2], v[3], i + 4);
        SHA_ROUND(v[3], v[4], v[5], v[6], v[7], v[0], v[1], v[2], i + 5);
        SHA_ROUND(v[2], v[3], v[4], v[5], v[6], v[7], v[0], v[1], i + 6);
        SHA_ROUND(v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[0], i + 7);
    }
    for (unsigned i = 0; i < 8; i++)
        h[i] += v[i];
}

void s3__sha256_blocks(uint32_t h[8], const unsigned char *data, size_t blocks)
{
    for (; blocks > 0; data += BLOCK, blocks--)
        sha_block(h, data);
}

static void sha_blocks(uint32_t h[8], const unsigned char *data, size_t blocks)
{
    if (!s3__sha256_blocks_x86(h, data, blocks)) s3__sha256_blocks(h, data, blocks);
}

static void sha_init(sha_t *s)
{
    static const uint32_t start[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                      0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    memcpy(s->h, start, sizeof(start));
    s->len = 0;
}

static void sha_add(sha_t *s, const unsigned char *data, size_t len)
{
    size_t have = s->len % BLOCK;
    s->len += len;
    if (have > 0) {
        size_t n = BLOCK - have < len ? BLOCK - have : len;
        memcpy(s->block + have, data, n);
        if (have + n < BLOCK) return;
        sha_blocks(s->h, s->block, 1);
        data += n;
        len -= n;
    }
    sha_blocks(s->h, data, len / BLOCK);
    if (len % BLOCK > 0) memcpy(s->block, data + len / BLOCK * BLOCK, len % BLOCK);
}

static void sha_end(sha_t *s, unsigned char out[S3_SHA256_BYTES])
{
    static const unsigned char pad[BLOCK] = {0x80};
    unsigned char bits[8];
    uint64_t len = 8 * s->len;
    for (unsigned i = 0; i < 8; i++)
        bits[i] = (unsigned char)(len >> (56 - 8 * i));
    size_t have = s->len % BLOCK;
    sha_add(s, pad, have < 56 ? 56 - have : 120 - have);
    sha_add(s, bits, 8);
    for (unsigned i = 0; i < S3_SHA256_BYTES; i++)
        out[i] = (unsigned char)(s->h[i / 4] >> (24 - 8 * (i % 4)));
}

void s3__sha256(unsigned char out[S3_SHA256_BYTES], const void *data, size_t len)
{
    sha_t s;
    sha_init(&s);
    if (len > 0) sha_add(&s, data, len);
    sha_end(&s, out);
}

void s3__hmac(unsigned char out[S3_SHA256_BYTES], const void *key, size_t key_len, const void *data,
              size_t len)
{
    unsigned char pad[BLOCK] = {0};
    sha_t s;
    if (key_len > BLOCK)
        s3__sha256(pad, key, key_len);
    else if (key_len > 0)
        memcpy(pad, key, key_len);
    for (unsigned i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36;
    sha_init(&s);
    sha_add(&s, pad, BLOCK);
    if (len > 0) sha_add(&s, data, len);
    sha_end(&s, out);
    for (unsigned i = 0; i < BLOCK; i++)
        pad[i] ^= 0x36 ^ 0x5c;
    sha_init(&s);
    sha_add(&s, pad, BLOCK);
    sha_add(&s, out, S3_SHA256_BYTES);
    sha_end(&s, out);
    explicit_bzero(pad, sizeof(pad));
}

/* ---- MD5 */

static const uint32_t md5_k[64] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501,
    0x698098d8, 0x8b44f7af, 0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821,
    0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa, 0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8,
    0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8, 0x676f02d9, 0x8d2a4c8a,
    0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665,
    0xf4292244, 0x432aff97, 0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1,
    0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1, 0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391};

static uint32_t left(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}

/* Each step waits for the one before by `b` alone, so what does not need that is added first. In
 * the second round the two halves have no bit in common: their sum is their union, and may be made
 * in two parts. */
#define MD5_STEP(a, b, i, g, f, n) (a) = (b) + left((a) + md5_k[i] + w[(g) % 16] + f, n)
#define MD5_FOUR(i, g, by, f, n1, n2, n3, n4)                                                      \
    MD5_STEP(a, b, i, g, f(a, b, c, d), n1);                                                       \
    MD5_STEP(d, a, (i) + 1, (g) + (by), f(d, a, b, c), n2);                                        \
    MD5_STEP(c, d, (i) + 2, (g) + 2 * (by), f(c, d, a, b), n3);                                    \
    MD5_STEP(b, c, (i) + 3, (g) + 3 * (by), f(b, c, d, a), n4)
#define MD5_ROUND(i, g, by, f, n1, n2, n3, n4)                                                     \
    MD5_FOUR(i, g, by, f, n1, n2, n3, n4);                                                         \
    MD5_FOUR((i) + 4, (g) + 4 * (by), by, f, n1, n2, n3, n4);                                      \
    MD5_FOUR((i) + 8, (g) + 8 * (by), by, f, n1, n2, n3, n4);                                      \
    MD5_FOUR((i) + 12, (g) + 12 * (by), by, f, n1, n2, n3, n4)
#define MD5_F(a, b, c, d) ((d) ^ ((b) & ((c) ^ (d))))
#define MD5_G(a, b, c, d) (~(d) & (c)) + ((d) & (b))
#define MD5_H(a, b, c, d) ((b) ^ ((c) ^ (d)))
#define MD5_I(a, b, c, d) ((c) ^ ((b) | ~(d)))

static void md5_block(uint32_t h[4], const unsigned char *p)
{
    uint32_t w[16], a = h[0], b = h[1], c = h[2], d = h[3];
    for (unsigned i = 0; i < 16; i++)
        w[i] = (uint32_t)p[4 * i] | (uint32_t)p[4 * i + 1] << 8 | (uint32_t)p[4 * i + 2] << 16 |
               (uint32_t)p[4 * i + 3] << 24;
    MD5_ROUND(0, 0, 1, MD5_F, 7, 12, 17, 22);
    MD5_ROUND(16, 1, 5, MD5_G, 5, 9, 14, 20);
    MD5_ROUND(32, 5, 3, MD5_H, 4, 11, 16, 23);
    MD5_ROUND(48, 0, 7, MD5_I, 6, 10, 15, 21);
    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
}

void s3__md5(unsigned char out[S3_MD5_BYTES], const void *data, size_t len)
{
    uint32_t h[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    const unsigned char *p = data;
    unsigned char last[2 * BLOCK] = {0};
    size_t left_over = len % BLOCK, whole = len - left_over;
    for (size_t at = 0; at < whole; at += BLOCK)
        md5_block(h, p + at);
    if (left_over > 0) memcpy(last, p + whole, left_over);
    last[left_over] = 0x80;
    size_t end = left_over < 56 ? BLOCK : 2 * BLOCK;
    for (unsigned i = 0; i < 8; i++)
        last[end - 8 + i] = (unsigned char)((uint64_t)len * 8 >> (8 * i));
    md5_block(h, last);
    if (end > BLOCK) md5_block(h, last + BLOCK);
    for (unsigned i = 0; i < S3_MD5_BYTES; i++)
        out[i] = (unsigned char)(h[i / 4] >> (8 * (i % 4)));
}

/* ---- text */

void s3__hex(char *out, const unsigned char *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        *out++ = digits[data[i] >> 4];
        *out++ = digits[data[i] & 15];
    }
    *out = '\0';
}

void s3__base64(char *out, const unsigned char *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < len; i += 3) {
        uint32_t n = (uint32_t)data[i] << 16 | (i + 1 < len ? (uint32_t)data[i + 1] << 8 : 0) |
                     (i + 2 < len ? data[i + 2] : 0u);
        *out++ = digits[n >> 18];
        *out++ = digits[n >> 12 & 63];
        *out++ = i + 1 < len ? digits[n >> 6 & 63] : '=';
        *out++ = i + 2 < len ? digits[n & 63] : '=';
    }
    *out = '\0';
}
