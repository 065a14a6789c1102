/*
 * l2_pack.c - see l2_pack.h. Floor 2, private to cachefs/store/. Without libzstd nothing is packed,
 * and what is cannot be read.
 */
#include "cachefs/store/l2_pack.h"

#include <stdlib.h>

#ifdef CACHEFS_WITH_ZSTD
#include <zstd.h>
#endif

cachefs__l2_packer_t *cachefs__l2_packer_create(void)
{
    cachefs__l2_packer_t *p = malloc(sizeof(*p)); /* its bytes are not touched before their use */
    if (!p) return NULL;
    p->next = NULL;
    p->pack = p->unpack = NULL;
    return p;
}

void cachefs__l2_packer_destroy(cachefs__l2_packer_t *p)
{
#ifdef CACHEFS_WITH_ZSTD
    (void)ZSTD_freeCCtx(p->pack); /* it cannot fail */
    (void)ZSTD_freeDCtx(p->unpack);
#endif
    free(p);
}

uint32_t cachefs__l2_pack(cachefs__l2_packer_t *p, int level, const void *bytes, uint32_t len)
{
#ifdef CACHEFS_WITH_ZSTD
    uint32_t room = cachefs__l2_stored(len, L2_PARTS_WORTH);
    VFS_ASSERT(len <= L2_CELL);
    if (!p->pack && !(p->pack = ZSTD_createCCtx())) return 0;
    size_t n = ZSTD_compressCCtx(p->pack, p->packed, room, bytes, len, level);
    if (ZSTD_isError(n)) return 0; /* it found no room, most likely */
    uint32_t packed = (uint32_t)n, parts = cachefs__l2_parts(len, packed);
    return cachefs__l2_space(len, parts) < cachefs__l2_space(len, 0) ? packed : 0;
#else
    (void)p;
    (void)level;
    (void)bytes;
    (void)len;
    return 0;
#endif
}

int cachefs__l2_unpack(cachefs__l2_packer_t *p, uint32_t packed, void *bytes, uint32_t len)
{
#ifdef CACHEFS_WITH_ZSTD
    VFS_ASSERT(packed <= L2_CELL);
    if (!p->unpack && !(p->unpack = ZSTD_createDCtx())) return 0;
    size_t n = ZSTD_decompressDCtx(p->unpack, bytes, len, p->packed, packed);
    return !ZSTD_isError(n) && n == len;
#else
    (void)p;
    (void)packed;
    (void)bytes;
    (void)len;
    return 0;
#endif
}
