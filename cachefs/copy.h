/*
 * copy.h - copies to and from memory that a writer may change at the same time.
 * Floor 2, private to cachefs/.
 *
 * A reader without a lock copies bytes that may be overwritten under it, and throws the copy away
 * if the block's sequence moved. That is a data race by the letter of C11 although no torn byte is
 * ever used (Boehm, "Can seqlocks get along with programming language memory models?", MSPC 2012).
 * Under ThreadSanitizer both sides use relaxed atomic words, as that paper proposes; elsewhere
 * memcpy, which compilers do not break here, since the bytes are checked only after an acquire
 * fence.
 */
#ifndef CACHEFS_COPY_H
#define CACHEFS_COPY_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__)
#define CACHEFS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CACHEFS_TSAN 1
#endif
#endif

#ifdef CACHEFS_TSAN
static inline void cachefs__copy_out(void *dst, const void *shared, size_t n)
{
    uint8_t *d = dst;
    const _Atomic uint8_t *s = shared;
    for (size_t i = 0; i < n; i++)
        d[i] = atomic_load_explicit(&s[i], memory_order_relaxed);
}
static inline void cachefs__copy_in(void *shared, const void *src, size_t n)
{
    _Atomic uint8_t *d = shared;
    const uint8_t *s = src;
    for (size_t i = 0; i < n; i++)
        atomic_store_explicit(&d[i], s[i], memory_order_relaxed);
}
static inline void cachefs__zero_in(void *shared, size_t n)
{
    _Atomic uint8_t *d = shared;
    for (size_t i = 0; i < n; i++)
        atomic_store_explicit(&d[i], 0, memory_order_relaxed);
}
#else
static inline void cachefs__copy_out(void *dst, const void *shared, size_t n)
{
    memcpy(dst, shared, n);
}
static inline void cachefs__copy_in(void *shared, const void *src, size_t n)
{
    memcpy(shared, src, n);
}
static inline void cachefs__zero_in(void *shared, size_t n)
{
    memset(shared, 0, n);
}
#endif

#endif
