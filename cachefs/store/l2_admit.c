/*
 * l2_admit.c - see l2_admit.h. Floor 2, private to cachefs/store/.
 */
#include "cachefs/store/l2_admit.h"

#include <stdlib.h>
#include <string.h>

apr_status_t cachefs__l2_admit_create(cachefs__l2_admit_t *a, cachefs__l2_admit_e how,
                                      uint32_t percent, uint32_t cells)
{
    uint32_t counters = 1024;
    memset(a, 0, sizeof(*a));
    a->how = how;
    a->percent = percent;
    a->dice = 0x9e3779b97f4a7c15ull;
    if (how != L2_ADMIT_SECOND && how != L2_ADMIT_SKETCH) return APR_SUCCESS;
    while (counters < cells && counters < 1u << 28)
        counters *= 2;
    a->mask = counters - 1;
    a->counters = calloc(1, counters / 2);
    return a->counters ? APR_SUCCESS : APR_ENOMEM;
}

void cachefs__l2_admit_destroy(cachefs__l2_admit_t *a)
{
    free(a->counters);
    a->counters = NULL;
}

/* Count an offer; returns how many there were before. */
static unsigned offered(cachefs__l2_admit_t *a, uint64_t tag)
{
    uint32_t at[2] = {(uint32_t)tag & a->mask, (uint32_t)(tag >> 32) & a->mask};
    unsigned count[2];
    for (unsigned i = 0; i < 2; i++)
        count[i] = a->counters[at[i] / 2] >> (at[i] % 2 * 4) & 15u;
    unsigned least = count[0] < count[1] ? count[0] : count[1];
    for (unsigned i = 0; i < 2 && least < 15; i++)
        if (count[i] == least && (i == 0 || at[0] != at[1]))
            a->counters[at[i] / 2] = (uint8_t)(a->counters[at[i] / 2] + (1u << (at[i] % 2 * 4)));
    if (++a->seen > a->mask) {
        a->seen = 0;
        for (uint32_t i = 0; i <= a->mask / 2; i++)
            a->counters[i] = a->counters[i] >> 1 & 0x77u;
    }
    return least;
}

int cachefs__l2_admitted(cachefs__l2_admit_t *a, uint64_t tag, int room)
{
    if (a->how == L2_ADMIT_ALWAYS) return 1;
    if (a->how == L2_ADMIT_SAMPLED) {
        a->dice = a->dice * 6364136223846793005ull + 1442695040888963407ull;
        return (a->dice >> 33) % 100 < a->percent;
    }
    unsigned before = offered(a, tag);
    return before > 0 || (room && a->how == L2_ADMIT_SKETCH);
}
