/*
 * arena.c - see arena.h. Floor 2. Knows memory only.
 *
 * The idea: slabs of one size, each cut into chunks of one class. Partly used slabs of a class are
 * on its list, free ones on one list for all, so a class grows by taking a free slab and shrinks by
 * giving back an empty one. Owners of chunks up to 1 KiB stand at the head of their slab, of larger
 * ones in the slab's table entry.
 */
#include "cachefs/arena.h"

#include <string.h>
#include <sys/mman.h>

#include "cachefs/rank.h"
#include "vfs/vfs_ops.h"

enum { SLAB_FREE = 0, SLAB_PARTIAL, SLAB_FULL, SLAB_DRAINING, SLAB_FIXED };

#define CLASS_NONE ARENA_CLASSES
#define SLAB_LARGE (256u << 10)

static void list_add(arena_t *a, uint32_t *head, uint32_t s)
{
    a->slabs[s].prev = 0;
    a->slabs[s].next = *head;
    if (*head) a->slabs[*head - 1].prev = s + 1;
    *head = s + 1;
}

static void list_remove(arena_t *a, uint32_t *head, uint32_t s)
{
    slab_t *slab = &a->slabs[s];
    if (slab->prev)
        a->slabs[slab->prev - 1].next = slab->next;
    else
        *head = slab->next;
    if (slab->next) a->slabs[slab->next - 1].prev = slab->prev;
    slab->prev = slab->next = 0;
}

/* ---- partly used slabs */

static void partial_add(arena_t *a, uint32_t s)
{
    slab_t *slab = &a->slabs[s];
    slab->state = SLAB_PARTIAL;
    list_add(a, &a->partial[slab->cls], s);
    a->spare[slab->cls] += (uint32_t)slab->capacity - slab->used;
}

/* Its state is the caller's to change. */
static void partial_remove(arena_t *a, uint32_t s)
{
    slab_t *slab = &a->slabs[s];
    list_remove(a, &a->partial[slab->cls], s);
    VFS_ASSERT(a->spare[slab->cls] >= (uint32_t)slab->capacity - slab->used);
    a->spare[slab->cls] -= (uint32_t)slab->capacity - slab->used;
}

/* ---- free slabs: taken from the front, lent from the back */

static void free_add(arena_t *a, uint32_t s)
{
    if (!a->free_list) a->free_last = s + 1;
    list_add(a, &a->free_list, s);
    a->free_slabs++;
}

static void free_remove(arena_t *a, uint32_t s)
{
    if (a->free_last == s + 1) a->free_last = a->slabs[s].prev;
    list_remove(a, &a->free_list, s);
    a->free_slabs--;
}

/* ---- huge pages
 *
 * Random reads of a large cache are bound by the processor's table of pages. But a huge page is
 * resident as a whole, so it is asked for only where slabs come into use one after the other, and
 * never where one was lent: its bytes are used elsewhere. */

#define HUGE_BYTES ((size_t)2 << 20)

/* Slab s comes into use. */
static void huge_reach(arena_t *a, uint32_t s)
{
    size_t end = ((size_t)(s + 1) << a->slab_shift) + HUGE_BYTES - 1;
    end -= end % HUGE_BYTES;
    if (end <= a->huge_end || end > a->huge_stop || a->slab_bytes < SLAB_LARGE) return;
    (void)madvise(a->base + a->huge_end, end - a->huge_end, MADV_HUGEPAGE); /* if there are any */
    a->huge_end = end;
}

/* Slab s is lent: its pages go, and stay away. */
static void huge_leave(arena_t *a, uint32_t s)
{
    size_t from = (size_t)s << a->slab_shift, page = from - from % HUGE_BYTES;
    if (page < a->huge_end)
        (void)madvise(a->base + page, HUGE_BYTES, MADV_NOHUGEPAGE); /* advice, as below */
    if (page < a->huge_stop && page >= a->huge_end) a->huge_stop = page;
    (void)madvise(a->base + from, a->slab_bytes,
                  MADV_DONTNEED); /* nothing depends on it but the resident size */
}

/* Slabs are 256 KiB from 32 MiB up; smaller regions get smaller ones, so that a class costs little
 * of them. */
static size_t slab_size(uint64_t bytes)
{
    return bytes >= (32u << 20) ? SLAB_LARGE : bytes >= (4u << 20) ? 64u << 10 : 16u << 10;
}

apr_status_t cachefs__arena_create(arena_t *a, uint64_t bytes)
{
    memset(a, 0, sizeof(*a));
    if (bytes > ARENA_BYTES_MAX) return APR_ENOMEM; /* no names for its chunks */
    a->slab_bytes = slab_size(bytes);
    a->slab_shift = (uint32_t)__builtin_ctzl(a->slab_bytes);
    a->slab_count = (uint32_t)(bytes >> a->slab_shift);
    a->bytes = (size_t)a->slab_count << a->slab_shift;
    a->map_bytes = a->bytes + ARENA_TAIL + HUGE_BYTES;
    a->map = mmap(NULL, a->map_bytes, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (a->map == MAP_FAILED) {
        a->map = NULL;
        return APR_ENOMEM;
    }
    a->base = (uint8_t *)a->map + (HUGE_BYTES - (uintptr_t)a->map % HUGE_BYTES) % HUGE_BYTES;
    a->slabs = (slab_t *)(void *)a->base;
    a->huge_stop = a->bytes;
    a->class_max = cachefs__class_of(a, a->slab_bytes);
    size_t table = a->slab_count * sizeof(slab_t);
    a->fixed = (uint32_t)((table + a->slab_bytes - 1) >> a->slab_shift);
    for (uint32_t s = a->slab_count; s-- > 0;) {
        a->slabs[s].cls = CLASS_NONE;
        a->slabs[s].state = s < a->fixed ? SLAB_FIXED : SLAB_FREE;
        if (s < a->fixed) continue;
        free_add(a, s);
    }
    atomic_init(&a->used_bytes, (uint64_t)a->fixed << a->slab_shift);
    pthread_mutex_init(&a->lock, NULL);
    return APR_SUCCESS;
}

void cachefs__arena_destroy(arena_t *a)
{
    if (!a->map) return;
    munmap(a->map, a->map_bytes);
    pthread_mutex_destroy(&a->lock);
    a->map = NULL;
    a->base = NULL;
}

unsigned cachefs__class_of(const arena_t *a, uint64_t bytes)
{
    for (unsigned cls = 0; cls < ARENA_CLASSES; cls++)
        if (cachefs__class_bytes(cls) >= bytes)
            return cachefs__class_bytes(cls) <= a->slab_bytes ? cls : ARENA_CLASSES;
    return ARENA_CLASSES;
}

/* Bytes at the head of a slab that hold the owners of its chunks. */
static size_t head_bytes(const arena_t *a, unsigned cls)
{
    size_t chunk = cachefs__class_bytes(cls);
    if (a->slab_bytes / chunk <= 64) return 0;
    size_t n = a->slab_bytes / (chunk + sizeof(uint32_t));
    return (n * sizeof(uint32_t) + ARENA_UNIT - 1) / ARENA_UNIT * ARENA_UNIT;
}

static void slab_open(arena_t *a, uint32_t s, unsigned cls)
{
    slab_t *slab = &a->slabs[s];
    size_t head = head_bytes(a, cls);
    size_t n = (a->slab_bytes - head) / cachefs__class_bytes(cls);
    if (head && n > head / sizeof(uint32_t)) n = head / sizeof(uint32_t);
    slab->cls = (uint8_t)cls;
    slab->used = 0;
    slab->capacity = (uint16_t)n;
    slab->free = 1;
    slab->owners =
        head ? (_Atomic uint32_t *)(void *)(a->base + ((size_t)s << a->slab_shift)) : slab->own;
    for (size_t i = 0; i < n; i++)
        atomic_store_explicit(&slab->owners[i], i + 1 < n ? (uint32_t)i + 2 : 0,
                              memory_order_relaxed);
    slab->stuck = 0;
    partial_add(a, s);
}

static uint32_t chunk_name(const arena_t *a, uint32_t s, uint32_t i)
{
    unsigned cls = a->slabs[s].cls;
    size_t at =
        ((size_t)s << a->slab_shift) + head_bytes(a, cls) + (size_t)i * cachefs__class_bytes(cls);
    return (uint32_t)(at / ARENA_UNIT);
}

static uint32_t chunk_slab(const arena_t *a, uint32_t chunk)
{
    return (uint32_t)(((size_t)chunk * ARENA_UNIT) >> a->slab_shift);
}

static uint32_t chunk_index(const arena_t *a, uint32_t chunk)
{
    uint32_t s = chunk_slab(a, chunk);
    unsigned cls = a->slabs[s].cls;
    VFS_ASSERT(cls < ARENA_CLASSES);
    size_t at = (size_t)chunk * ARENA_UNIT - ((size_t)s << a->slab_shift) - head_bytes(a, cls);
    return (uint32_t)(at / cachefs__class_bytes(cls));
}

static void count_used(arena_t *a)
{
    atomic_store_explicit(&a->used_bytes,
                          (uint64_t)(a->slab_count - a->free_slabs) << a->slab_shift,
                          memory_order_relaxed);
}

/* A chunk of a slab on the list of its class, which has one. */
static uint32_t take(arena_t *a, uint32_t s, uint32_t owner)
{
    slab_t *slab = &a->slabs[s];
    uint32_t i = slab->free - 1u;
    VFS_ASSERT(slab->free != 0 && slab->used < slab->capacity);
    slab->free = (uint16_t)atomic_load_explicit(&slab->owners[i], memory_order_relaxed);
    atomic_store_explicit(&slab->owners[i], owner, memory_order_relaxed);
    a->spare[slab->cls]--;
    if (++slab->used == slab->capacity) {
        partial_remove(a, s);
        slab->state = SLAB_FULL;
    }
    /* who reads bytes that will be put there sees that the chunk's last owner gave it up */
    atomic_thread_fence(memory_order_release);
    return chunk_name(a, s, i);
}

/* A free slab becomes one of the class. */
static void slab_use(arena_t *a, uint32_t s, unsigned cls)
{
    free_remove(a, s);
    count_used(a);
    huge_reach(a, s);
    slab_open(a, s, cls);
}

uint32_t cachefs__arena_alloc(arena_t *a, unsigned cls, uint32_t owner)
{
    uint32_t chunk = 0;
    VFS_ASSERT(cls < ARENA_CLASSES);
    VFS_ASSERT(OWNER_KIND(owner) != OWNER_FREE);
    cachefs__lock(&a->lock, RANK_ARENA);
    if (!a->partial[cls] && a->free_list) slab_use(a, a->free_list - 1, cls);
    if (a->partial[cls]) chunk = take(a, a->partial[cls] - 1, owner);
    cachefs__unlock(&a->lock, RANK_ARENA);
    return chunk;
}

static void slab_close(arena_t *a, uint32_t s)
{
    slab_t *slab = &a->slabs[s];
    if (slab->state == SLAB_PARTIAL) partial_remove(a, s);
    slab->cls = CLASS_NONE;
    slab->state = SLAB_FREE;
    free_add(a, s);
    count_used(a);
}

void cachefs__arena_free(arena_t *a, uint32_t chunk)
{
    cachefs__lock(&a->lock, RANK_ARENA);
    uint32_t s = chunk_slab(a, chunk), i = chunk_index(a, chunk);
    slab_t *slab = &a->slabs[s];
    VFS_ASSERT(slab->used > 0);
    VFS_ASSERT(OWNER_KIND(atomic_load_explicit(&slab->owners[i], memory_order_relaxed)) !=
               OWNER_FREE);
    atomic_store_explicit(&slab->owners[i], slab->free, memory_order_relaxed);
    slab->free = (uint16_t)(i + 1);
    slab->used--;
    slab->stuck = 0;
    if (slab->state == SLAB_PARTIAL) a->spare[slab->cls]++;
    if (slab->state == SLAB_FULL) partial_add(a, s);
    if (!slab->used && slab->state != SLAB_DRAINING) slab_close(a, s); /* else its drainer does */
    cachefs__unlock(&a->lock, RANK_ARENA);
}

void cachefs__arena_set_owner(arena_t *a, uint32_t chunk, uint32_t owner)
{
    VFS_ASSERT(OWNER_KIND(owner) != OWNER_FREE);
    uint32_t s = chunk_slab(a, chunk);
    atomic_store_explicit(&a->slabs[s].owners[chunk_index(a, chunk)], owner, memory_order_relaxed);
}

/* Count those who hold an orphan. Acquire and release: who frees it comes after all who read it. */
static int orphan_add(arena_t *a, uint32_t chunk, int32_t n)
{
    uint32_t s = chunk_slab(a, chunk), now;
    _Atomic uint32_t *owner = &a->slabs[s].owners[chunk_index(a, chunk)];
    uint32_t old = atomic_load_explicit(owner, memory_order_relaxed);
    do {
        int is = (old & OWNER_ORPHAN) == OWNER_ORPHAN;
        now = (is ? old : OWNER_ORPHAN | ORPHAN_ZERO) + (uint32_t)n;
        VFS_ASSERT((now & OWNER_ORPHAN) == OWNER_ORPHAN);
    } while (!atomic_compare_exchange_weak_explicit(owner, &old, now, memory_order_acq_rel,
                                                    memory_order_relaxed));
    return now == (OWNER_ORPHAN | ORPHAN_ZERO);
}

int cachefs__arena_leave(arena_t *a, uint32_t chunk, uint32_t borrowers)
{
    VFS_ASSERT(borrowers > 0 && borrowers < ORPHAN_ZERO);
    return orphan_add(a, chunk, (int32_t)borrowers);
}

int cachefs__arena_give_back(arena_t *a, uint32_t chunk)
{
    return orphan_add(a, chunk, -1);
}

unsigned cachefs__arena_class(arena_t *a, uint32_t chunk)
{
    return a->slabs[chunk_slab(a, chunk)].cls;
}

int cachefs__arena_lend(arena_t *a, uint32_t n)
{
    int ok = 0;
    cachefs__lock(&a->lock, RANK_ARENA);
    if (a->free_slabs >= n) {
        for (uint32_t i = 0; i < n; i++) {
            uint32_t s = a->free_last - 1;
            free_remove(a, s);
            a->slabs[s].state = SLAB_FIXED;
            huge_leave(a, s);
        }
        a->lent += n;
        count_used(a);
        ok = 1;
    }
    cachefs__unlock(&a->lock, RANK_ARENA);
    return ok;
}

#define SPARSE_LOOKS 64 /* slabs of a class */

/* Of slabs of one class the one with the fewest chunks in use; NULL: none but stuck ones. */
static slab_t *emptiest(arena_t *a, unsigned cls)
{
    slab_t *best = NULL;
    uint32_t s = a->partial[cls];
    for (int looks = 0; s && looks < SPARSE_LOOKS; looks++) {
        slab_t *slab = &a->slabs[s - 1];
        if (!slab->stuck && (!best || slab->used < best->used)) best = slab;
        s = slab->next;
    }
    return best;
}

uint32_t cachefs__arena_sparse(arena_t *a)
{
    uint32_t chunk = 0;
    cachefs__lock(&a->lock, RANK_ARENA);
    for (unsigned cls = 0; cls <= a->class_max && !chunk; cls++) {
        if (!a->partial[cls] || a->spare[cls] < a->slabs[a->partial[cls] - 1].capacity) continue;
        slab_t *slab = emptiest(a, cls);
        if (slab) chunk = chunk_name(a, (uint32_t)(slab - a->slabs), 0);
    }
    cachefs__unlock(&a->lock, RANK_ARENA);
    return chunk;
}

size_t cachefs__arena_drain(arena_t *a, uint32_t chunk, uint32_t *owners, uint32_t *chunks,
                            size_t max)
{
    size_t n = 0;
    cachefs__lock(&a->lock, RANK_ARENA);
    uint32_t s = chunk_slab(a, chunk);
    slab_t *slab = &a->slabs[s];
    if (slab->state == SLAB_PARTIAL || slab->state == SLAB_FULL) {
        if (slab->state == SLAB_PARTIAL) partial_remove(a, s);
        slab->state = SLAB_DRAINING;
        for (uint32_t i = 0; i < slab->capacity && n < max; i++) {
            uint32_t owner = atomic_load_explicit(&slab->owners[i], memory_order_relaxed);
            if (OWNER_KIND(owner) == OWNER_FREE) continue;
            owners[n] = owner;
            chunks[n++] = chunk_name(a, s, i);
        }
    }
    cachefs__unlock(&a->lock, RANK_ARENA);
    return n;
}

int cachefs__arena_undrain(arena_t *a, uint32_t chunk, unsigned cls, uint32_t owner, uint32_t *got)
{
    cachefs__lock(&a->lock, RANK_ARENA);
    uint32_t s = chunk_slab(a, chunk);
    slab_t *slab = &a->slabs[s];
    VFS_ASSERT(slab->state == SLAB_DRAINING);
    int empty = !slab->used;
    if (empty) {
        slab_close(a, s);
        if (cls < ARENA_CLASSES) {
            slab_use(a, s, cls);
            *got = take(a, s, owner);
        }
    } else {
        slab->stuck = 1;
        if (slab->used < slab->capacity)
            partial_add(a, s);
        else
            slab->state = SLAB_FULL;
    }
    cachefs__unlock(&a->lock, RANK_ARENA);
    return empty;
}

int cachefs__arena_has_slab(arena_t *a)
{
    cachefs__lock(&a->lock, RANK_ARENA);
    int has = a->free_slabs > 0;
    cachefs__unlock(&a->lock, RANK_ARENA);
    return has;
}

void cachefs__arena_trim(arena_t *a)
{
    cachefs__lock(&a->lock, RANK_ARENA);
    for (uint32_t s = a->free_list; s; s = a->slabs[s - 1].next)
        (void)madvise(a->base + ((size_t)(s - 1) << a->slab_shift), a->slab_bytes, MADV_DONTNEED);
    cachefs__unlock(&a->lock, RANK_ARENA);
}
