/*
 * copy.h - copies to and from memory that a writer may change at the same time.
 * Floor 2, private to cachefs/.
 *
 * A reader without a lock copies bytes that may be overwritten under it, and throws the copy away
 * if the block's sequence moved. That is a data race by the letter of C11 although no torn byte is
 * ever used (Boehm, "Can seqlocks get along with programming language memory models?", MSPC 2012);
 * compilers do not break it here, since the bytes are checked only after an acquire fence. The
 * memory may serve anything by then, so ThreadSanitizer is kept from the reader's side alone: all
 * who write are still held against each other. docs/hot-path.md has the argument.
 */
#ifndef CACHEFS_COPY_H
#define CACHEFS_COPY_H

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
#if defined(__clang__)
#define CACHEFS_UNWATCHED __attribute__((noinline, unused, disable_sanitizer_instrumentation))
#else
#define CACHEFS_UNWATCHED __attribute__((noinline, unused, no_sanitize_thread))
#endif
CACHEFS_UNWATCHED static void cachefs__copy_out(void *dst, const void *shared, size_t n)
{
    volatile uint8_t *d = dst; /* volatile: else it becomes a memcpy, which is watched */
    const volatile uint8_t *s = shared;
    for (size_t i = 0; i < n; i++)
        d[i] = s[i];
}
#else
static inline void cachefs__copy_out(void *dst, const void *shared, size_t n)
{
    memcpy(dst, shared, n);
}
#endif
static inline void cachefs__copy_in(void *shared, const void *src, size_t n)
{
    memcpy(shared, src, n);
}
static inline void cachefs__zero_in(void *shared, size_t n)
{
    memset(shared, 0, n);
}

#endif
