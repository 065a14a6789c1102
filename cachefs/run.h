/*
 * run.h - a run of missing bytes that one read below brings. Floor 2, private to the miss path.
 */
#ifndef CACHEFS_RUN_H
#define CACHEFS_RUN_H

#define RUN_BLOCKS 1024u /* pieces of one fetch from afar */
#define RUN_SHARE 4u     /* of a burst, that one run may take of what nobody asked for */

typedef struct run_t {
    uint64_t ver, start, end; /* bytes; start on a granule, end on a granule or the end of file */
    uint64_t size;            /* of the file */
    uint32_t shift;
    uint32_t count;
    vfs_iovec_t iov[RUN_BLOCKS];
    uint32_t chunk[RUN_BLOCKS];
    uint64_t got;
    uint64_t most;   /* bytes of one run */
    uint64_t back;   /* it may begin there */
    uint64_t here;   /* where it begins without that */
    uint32_t blocks; /* of one run, at most */
    int keyed;       /* the disk tier may take it */
    cachefs__tier_key_t key;
} run_t;

/* How much of [off, end) one run may bring, and from where: it sets back, blocks and most. */
void cachefs__run_limit(cache_t *c, run_t *r, const cachefs__sink_t *sink, uint64_t off,
                        uint64_t end);
/* Where the run of missing granules that holds `off` begins and ends. 0: it is not missing. */
int cachefs__run_find(cache_t *c, run_t *r, uint64_t off, uint64_t end);
/* Memory for the run's blocks; shortens the run where there is none. 0: not even for the first. */
int cachefs__run_memory(cache_t *c, run_t *r, int low);
/* As that. Where there is too little for all, what is wanted comes without what lies before it. */
int cachefs__run_memory_for(cache_t *c, run_t *r, int low, const cachefs__sink_t *sink);
void cachefs__run_free(cache_t *c, run_t *r);

#endif
