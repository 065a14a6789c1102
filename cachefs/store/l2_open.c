/*
 * l2_open.c - what a store has of the disk tier: its index from the footers of its segments.
 * Floor 2, private to cachefs/store/. Believes no byte of it.
 *
 * The newest segments first, as far as `bytes` allows; what is more, or of another store or format,
 * goes. A segment without a sound footer is gone through record by record, up to the first that is
 * none, and is given a footer later. The newest one is gone on with while it is less than half
 * full: so programs that run briefly leave no trail of small files. Nothing runs beside us yet, so
 * there is no lock.
 */
#include "cachefs/store/l2_log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEQ_MAX 0xfffffff0u

typedef struct found_t {
    uint32_t *seq;
    size_t count, room;
} found_t;

uint32_t cachefs__l2_seq(const char *name)
{
    uint32_t seq = 0;
    if (strncmp(name, "seg-", 4) != 0 || strlen(name) != 12) return 0;
    for (const char *p = name + 4; *p; p++) {
        const char *digits = "0123456789abcdef", *digit = strchr(digits, *p);
        if (!digit) return 0;
        seq = seq << 4 | (uint32_t)(digit - digits);
    }
    return seq < SEQ_MAX ? seq : 0;
}

static apr_status_t add_found(found_t *f, uint32_t seq)
{
    if (f->count == f->room) {
        size_t room = f->room ? f->room * 2 : 64;
        uint32_t *more = realloc(f->seq, room * sizeof(*more));
        if (!more) return APR_ENOMEM;
        f->seq = more;
        f->room = room;
    }
    f->seq[f->count++] = seq;
    return APR_SUCCESS;
}

static int newest_first(const void *a, const void *b)
{
    uint32_t x, y;
    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? 1 : x > y ? -1 : 0;
}

apr_status_t cachefs__l2_list(vfs_t *fs, uint32_t **seq, size_t *count)
{
    found_t f = {NULL, 0, 0};
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    *seq = NULL;
    *count = 0;
    apr_status_t st = vfs_opendir(&dir, fs, NULL, CACHEFS__STORE_L2, 0);
    if (st) return st;
    while (!st && !(st = vfs_readdir(dir, NULL, &entry))) {
        uint32_t n = cachefs__l2_seq(entry.name);
        if (n) st = add_found(&f, n);
    }
    vfs_closedir(dir);
    if (f.count) qsort(f.seq, f.count, sizeof(*f.seq), newest_first);
    *seq = f.seq;
    *count = f.count;
    return st == APR_EOF ? APR_SUCCESS : st;
}

/* ---- one segment */

typedef struct source_t {
    vfs_file_t *file;
    uint64_t size;
    int failed; /* a read did: what it would have said is not known */
} source_t;

static int read_all(source_t *from, void *buf, uint64_t len, uint64_t off)
{
    size_t got = 0;
    if (vfs_read_at(from->file, NULL, buf, (size_t)len, (apr_off_t)off, &got)) from->failed = 1;
    return !from->failed && got == len;
}

static int add_row(cachefs__l2_t *l2, uint32_t slot, const cachefs__l2_row_t *row)
{
    if (!cachefs__l2_index_add(&l2->index, slot, row)) return 0; /* full: what is older is lost */
    l2->segs[slot].records++;
    l2->stats.found++;
    return 1;
}

/* By its footer. 0: it has none that is sound. */
static int by_footer(cachefs__l2_t *l2, uint32_t slot, source_t *from)
{
    uint8_t trailer[L2_TRAILER];
    l2_seg_t *seg = &l2->segs[slot];
    uint32_t count;
    uint64_t sum;
    if (from->size < L2_HEAD + L2_TRAILER ||
        !read_all(from, trailer, L2_TRAILER, from->size - L2_TRAILER) ||
        !cachefs__l2_trailer_read(trailer, seg->seq, from->size, &count, &sum))
        return 0;
    uint64_t bytes = (uint64_t)count * L2_ROW, end = from->size - L2_TRAILER - bytes;
    uint8_t *rows = malloc(bytes ? bytes : 1);
    int good =
        rows && (!bytes || read_all(from, rows, bytes, end)) && cachefs__l2_sum(rows, bytes) == sum;
    for (uint32_t i = count; good && i-- > 0;) { /* so that the list has the order of the file */
        cachefs__l2_row_t row;
        cachefs__l2_row_read(rows + (size_t)i * L2_ROW, &row);
        if (cachefs__l2_row_good(&row, end) && !add_row(l2, slot, &row)) break;
    }
    free(rows);
    seg->used = seg->written = end;
    return good;
}

/* Record by record, up to the first that is none. */
static void by_records(cachefs__l2_t *l2, uint32_t slot, source_t *from)
{
    l2_seg_t *seg = &l2->segs[slot];
    uint8_t head[L2_HEAD];
    uint64_t off = L2_HEAD;
    cachefs__l2_record_t r;
    while (off + L2_HEAD <= from->size && read_all(from, head, L2_HEAD, off) &&
           cachefs__l2_record_read(head, seg->seq, &r) &&
           off + cachefs__l2_record_space(&r) <= from->size) {
        cachefs__l2_row_t row = {cachefs__l2_tag(&r.key, r.cell), (uint32_t)off, r.len, r.from,
                                 cachefs__l2_parts(r.len, r.packed)};
        if (!add_row(l2, slot, &row)) break;
        off += cachefs__l2_record_space(&r);
    }
    seg->used = seg->written = off;
}

/* The format of the segment, by its head; 0: it is not ours. */
static uint32_t format_of(const cachefs__l2_t *l2, uint32_t seq, source_t *from)
{
    uint8_t head[L2_HEAD];
    if (from->size < L2_HEAD || from->size > L2_SEGMENT_MAX || !read_all(from, head, L2_HEAD, 0))
        return 0;
    return cachefs__l2_head_read(head, cachefs__store_id(l2->store), seq);
}

/* It is read from now on; `more`: and goes on. It ends where its records do. */
static void go_on(cachefs__l2_t *l2, uint32_t slot, vfs_file_t *file, int more)
{
    l2_seg_t *seg = &l2->segs[slot];
    seg->file = file;
    l2->files++;
    seg->bytes = more ? l2->segment_bytes : seg->used;
    seg->state = more ? L2_ACTIVE : L2_FULL;
    if (more)
        l2->active = (int)slot;
    else
        l2->full++;
}

/* 0: it is no use. What cannot be read just now may be there another time: it keeps its place. */
static int load(cachefs__l2_t *l2, uint32_t slot, uint32_t seq, int newest)
{
    l2_seg_t *seg = &l2->segs[slot];
    source_t from = {.size = l2->segment_bytes};
    vfs_attr_t attr;
    char name[64];
    int good = 0, sealed = 0, more = 0;
    uint32_t format;
    memset(seg, 0, sizeof(*seg));
    seg->seq = seq;
    cachefs__l2_name(name, sizeof(name), seq);
    if (vfs_open(&from.file, l2->fs, NULL, name, VFS_O_READ | VFS_O_WRITE | VFS_O_NOFOLLOW, 0,
                 &attr, NULL)) {
        from.failed = 1;
    } else {
        from.size = attr.size;
        format = attr.type == VFS_TYPE_FILE ? format_of(l2, seq, &from) : 0;
        good = format != 0;
        sealed = good && by_footer(l2, slot, &from);
        if (good && !sealed) by_records(l2, slot, &from);
        if (!seg->records) good = 0;
        more = newest && format == L2_FORMAT && seg->used < l2->segment_bytes / 2;
    }
    if (good && !from.failed && (more || !sealed) &&
        !vfs_ftruncate(from.file, NULL, (apr_off_t)seg->used)) {
        go_on(l2, slot, from.file, more);
        return 1;
    }
    if (from.file) (void)vfs_close(from.file, NULL); /* it was only read */
    seg->bytes = from.size;
    seg->state = good || from.failed ? L2_SEALED : L2_FREE;
    return seg->state != L2_FREE;
}

apr_status_t cachefs__l2_rebuild(cachefs__l2_t *l2)
{
    uint32_t *seq, slot = 0;
    size_t count;
    uint64_t bytes = 0;
    char name[64], what[128];
    apr_status_t st = cachefs__l2_list(l2->fs, &seq, &count);
    if (!st && count) l2->next_seq = seq[0] + 1;
    for (size_t i = 0; !st && i < count; i++) {
        /* two slots are left for those that come and go */
        if (slot + 2 < l2->slots && bytes < l2->config.bytes && load(l2, slot, seq[i], i == 0)) {
            bytes += l2->segs[slot++].bytes;
            continue;
        }
        cachefs__l2_index_drop(&l2->index, slot);
        memset(&l2->segs[slot], 0, sizeof(*l2->segs));
        cachefs__l2_name(name, sizeof(name), seq[i]);
        (void)vfs_unlink(l2->fs, NULL, name); /* or it is there again next time */
        l2->stats.discarded++;
    }
    free(seq);
    if (!st && l2->stats.discarded) {
        (void)snprintf(what, sizeof(what),
                       "%llu segments of the disk tier were no use and are gone",
                       (unsigned long long)l2->stats.discarded);
        cachefs__l2_say(l2, 2, what);
    }
    return st;
}
