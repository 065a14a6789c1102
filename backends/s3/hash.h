/*
 * hash.h - SHA-256 (FIPS 180-4), HMAC with it (RFC 2104) and MD5 (RFC 1321): what S3 signs requests
 * with, and what it checks bodies by. Floor 2, private to backends/s3/ and its tests. Of our own,
 * since a library for three functions would be one more to need; MD5 here guards against broken
 * memory and broken servers, not against an adversary.
 */
#ifndef BACKENDS_S3_HASH_H
#define BACKENDS_S3_HASH_H

#include <stddef.h>
#include <stdint.h>

#define S3_SHA256_BYTES 32u
#define S3_MD5_BYTES 16u

void s3__sha256(unsigned char out[S3_SHA256_BYTES], const void *data, size_t len);
/** Blocks of 64 bytes into the eight words of a SHA-256; by the processor's own instructions: 1, or
 * 0 where it has none. */
void s3__sha256_blocks(uint32_t h[8], const unsigned char *data, size_t blocks);
int s3__sha256_blocks_x86(uint32_t h[8], const unsigned char *data, size_t blocks);
extern const uint32_t s3__sha256_k[64]; /* its constants */
void s3__hmac(unsigned char out[S3_SHA256_BYTES], const void *key, size_t key_len, const void *data,
              size_t len);
void s3__md5(unsigned char out[S3_MD5_BYTES], const void *data, size_t len);
/** Lower case, with a NUL: 2 * len + 1 bytes. */
void s3__hex(char *out, const unsigned char *data, size_t len);
/** With a NUL: 4 * ((len + 2) / 3) + 1 bytes. */
void s3__base64(char *out, const unsigned char *data, size_t len);

#endif
