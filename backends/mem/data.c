/*
 * data.c - the bytes of a regular file: read, write, resize, holes, ranges that move. Floor 2.
 * Knows no names. Invariant: in the page that holds the end of the file, and in every page behind
 * it, all bytes behind the end are zero. So a file that grows shows zeros, and nothing need be
 * cleared then.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/mem/mem.h"

static uint64_t page_of(uint64_t off)
{
    return off >> MEM_PAGE_BITS;
}

static uint64_t pages_for(uint64_t size)
{
    return page_of(size + MEM_PAGE - 1);
}

static int is_bytes(const unsigned char *page)
{
    return page != NULL && page != mem__reserved_page;
}

size_t mem__data_read(const mem_inode_t *inode, unsigned char *buf, size_t len, uint64_t off)
{
    size_t done = 0;

    if (off >= inode->size) return 0;
    if (len > inode->size - off) len = (size_t)(inode->size - off);
    while (done < len) {
        void *const *slots;
        uint64_t run = mem__pages_run(&inode->u.pages, page_of(off + done), &slots);
        for (uint64_t i = 0; i < run && done < len; i++) {
            size_t in = (size_t)((off + done) & (MEM_PAGE - 1));
            size_t n = MEM_PAGE - in;
            if (slots == NULL) { /* a hole: all of it at once */
                n = run > len / MEM_PAGE + 1 ? len : (size_t)run * MEM_PAGE - in;
                i = run - 1;
            }
            if (n > len - done) n = len - done;
            if (slots != NULL && is_bytes(slots[i]))
                memcpy(buf + done, (const unsigned char *)slots[i] + in, n);
            else
                memset(buf + done, 0, n);
            done += n;
        }
    }
    return done;
}

apr_status_t mem__data_write(mem_fs_t *fs, mem_inode_t *inode, const unsigned char *buf, size_t len,
                             uint64_t off, size_t *written)
{
    apr_status_t status = APR_SUCCESS;
    size_t done = 0;

    if (len > 0 && off >= MEM_FILE_MAX) return MEM_ERR(EFBIG);
    int cut = len > MEM_FILE_MAX - off;
    if (cut) len = (size_t)(MEM_FILE_MAX - off);
    while (done < len) {
        size_t in = (size_t)((off + done) & (MEM_PAGE - 1));
        size_t n = MEM_PAGE - in < len - done ? MEM_PAGE - in : len - done;
        unsigned char *page;
        status = mem__page_writable(fs, &inode->u.pages, page_of(off + done), n == MEM_PAGE, &page);
        if (status != APR_SUCCESS) break;
        memcpy(page + in, buf + done, n);
        done += n;
    }
    if (done > 0 && off + done > inode->size) inode->size = off + done;
    *written = done;
    return status == APR_SUCCESS && cut ? MEM_ERR(EFBIG) : status;
}

/* Zero the bytes [from, to) of one page. */
static void zero_part(mem_pages_t *pages, uint64_t from, uint64_t to)
{
    unsigned char *page = mem__page_at(pages, page_of(from));

    VFS_DEBUG_ASSERT(from < to && page_of(from) == page_of(to - 1));
    if (is_bytes(page)) memset(page + (from & (MEM_PAGE - 1)), 0, (size_t)(to - from));
}

/* Zero what of [from, to) lies in pages that it does not cover; the pages that it covers are in
 * [*first, *end). */
static void zero_edges(mem_pages_t *pages, uint64_t from, uint64_t to, uint64_t *first,
                       uint64_t *end)
{
    *first = pages_for(from);
    *end = page_of(to);
    if (*first > *end) { /* within one page */
        zero_part(pages, from, to);
        *end = *first;
        return;
    }
    if ((from & (MEM_PAGE - 1)) != 0) zero_part(pages, from, *first << MEM_PAGE_BITS);
    if ((to & (MEM_PAGE - 1)) != 0) zero_part(pages, *end << MEM_PAGE_BITS, to);
}

/* Make the bytes [from, to) a hole: pages go, parts of pages are zeroed. */
static void punch(mem_fs_t *fs, mem_pages_t *pages, uint64_t from, uint64_t to)
{
    uint64_t first, end;

    if (from >= to) return;
    zero_edges(pages, from, to, &first, &end);
    mem__pages_drop(fs, pages, first, end);
}

/* Set the size: behind it there is nothing, and growing shows zeros. Returns whether it changed. */
static int resize(mem_fs_t *fs, mem_inode_t *inode, uint64_t size)
{
    uint64_t old = inode->size;

    VFS_ASSERT(size <= MEM_FILE_MAX);
    /* Reserved pages behind the end go too, as ext4 does it when a truncate does not grow. */
    if (size <= old) punch(fs, &inode->u.pages, size, MEM_FILE_MAX);
    inode->size = size;
    return size != old;
}

void mem__data_truncate(mem_fs_t *fs, mem_inode_t *inode, const mem_user_t *user, uint64_t size)
{
    int64_t now = vfs_now_ns();

    mem__inode_unprivilege(inode, user);
    if (resize(fs, inode, size)) inode->version++;
    inode->mtime_ns = inode->ctime_ns = now;
}

/* Pay for every hole in the pages [first, end), or for none. */
static apr_status_t reserve(mem_fs_t *fs, mem_pages_t *pages, uint64_t first, uint64_t end)
{
    uint64_t missing = 0, paid = 0, at = first;

    while (at < end) {
        uint64_t page = mem__pages_next(pages, at, end, MEM_WANT_PAGE);
        missing += page - at;
        at = mem__pages_next(pages, page, end, MEM_WANT_HOLE);
    }
    if (missing == 0) return APR_SUCCESS;
    if (missing > mem__bytes_total(fs) / MEM_PAGE || !mem__charge(fs, missing * MEM_PAGE))
        return APR_ENOSPC;
    while (paid < missing) {
        first = mem__pages_next(pages, first, end, MEM_WANT_HOLE);
        if (mem__page_set(pages, first, mem__reserved_page) != APR_SUCCESS) {
            mem__refund(fs, (missing - paid) * MEM_PAGE);
            return APR_ENOMEM;
        }
        paid++;
    }
    return APR_SUCCESS;
}

/* Zeros that are paid for. */
static apr_status_t zero_range(mem_fs_t *fs, mem_pages_t *pages, uint64_t off, uint64_t to)
{
    uint64_t first, end;
    apr_status_t status = reserve(fs, pages, page_of(off), pages_for(to));

    if (status != APR_SUCCESS) return status;
    zero_edges(pages, off, to, &first, &end);
    while ((first = mem__pages_next(pages, first, end, MEM_WANT_DATA)) < end) {
        free(mem__page_at(pages, first));
        status = mem__page_set(pages, first, mem__reserved_page);
        VFS_ASSERT(status == APR_SUCCESS); /* the slot is there */
    }
    return APR_SUCCESS;
}

/* Empty a tree whose pages are in another one too. */
static void forget_pages(mem_pages_t *pages)
{
    uint64_t at = 0;

    while (pages->count > 0) {
        at = mem__pages_next(pages, at, UINT64_MAX, MEM_WANT_PAGE);
        (void)mem__page_take(pages, at);
    }
}

/* Let the pages from `from` on move up, or down over those before them. They are put into a new
 * tree, so that a failure leaves the file as it was. */
static apr_status_t shift_pages(mem_fs_t *fs, mem_pages_t *pages, uint64_t from, uint64_t by,
                                int down)
{
    mem_pages_t moved = {NULL, 0, 0};
    uint64_t at = 0, end = page_of(MEM_FILE_MAX);

    while ((at = mem__pages_next(pages, at, end, MEM_WANT_PAGE)) < end) {
        uint64_t to = at < from ? at : down ? at - by : at + by;
        int dropped = down && at >= from - by && at < from;
        if (!dropped && mem__page_set(&moved, to, mem__page_at(pages, at)) != APR_SUCCESS) {
            forget_pages(&moved);
            return APR_ENOMEM;
        }
        at++;
    }
    if (down) mem__pages_drop(fs, pages, from - by, from);
    forget_pages(pages);
    *pages = moved;
    return APR_SUCCESS;
}

static apr_status_t collapse(mem_fs_t *fs, mem_inode_t *inode, uint64_t off, uint64_t len)
{
    apr_status_t status;

    if (((off | len) & (MEM_PAGE - 1)) != 0 || off + len >= inode->size) return APR_EINVAL;
    status = shift_pages(fs, &inode->u.pages, page_of(off + len), page_of(len), 1);
    if (status == APR_SUCCESS) inode->size -= len;
    return status;
}

static apr_status_t insert(mem_fs_t *fs, mem_inode_t *inode, uint64_t off, uint64_t len)
{
    apr_status_t status;

    if (((off | len) & (MEM_PAGE - 1)) != 0 || off >= inode->size) return APR_EINVAL;
    if (len > MEM_FILE_MAX - inode->size) return MEM_ERR(EFBIG);
    punch(fs, &inode->u.pages, inode->size, MEM_FILE_MAX); /* nothing may move beyond the limit */
    status = shift_pages(fs, &inode->u.pages, page_of(off), page_of(len), 0);
    if (status == APR_SUCCESS) inode->size += len;
    return status;
}

apr_status_t mem__data_allocate(mem_fs_t *fs, mem_inode_t *inode, uint32_t flags, uint64_t off,
                                uint64_t len)
{
    int keep = (flags & VFS_ALLOC_KEEP_SIZE) != 0, grows = 0;
    uint64_t to = off + len;
    apr_status_t status = APR_SUCCESS;

    if (len > MEM_FILE_MAX || off > MEM_FILE_MAX - len) return MEM_ERR(EFBIG);
    switch (flags) {
    case 0:
    case VFS_ALLOC_KEEP_SIZE:
        status = reserve(fs, &inode->u.pages, page_of(off), pages_for(to));
        break;
    case VFS_ALLOC_PUNCH_HOLE | VFS_ALLOC_KEEP_SIZE:
        punch(fs, &inode->u.pages, off, to);
        break;
    case VFS_ALLOC_ZERO_RANGE:
    case VFS_ALLOC_ZERO_RANGE | VFS_ALLOC_KEEP_SIZE:
        status = zero_range(fs, &inode->u.pages, off, to);
        break;
    case VFS_ALLOC_COLLAPSE:
        status = collapse(fs, inode, off, len);
        break;
    case VFS_ALLOC_INSERT:
        status = insert(fs, inode, off, len);
        break;
    default:
        return APR_EINVAL;
    }
    if (status != APR_SUCCESS) return status;
    grows = !keep && (flags & (VFS_ALLOC_COLLAPSE | VFS_ALLOC_INSERT)) == 0 && to > inode->size;
    if (grows) inode->size = to;
    inode->ctime_ns = vfs_now_ns();
    if (grows || (flags & ~VFS_ALLOC_KEEP_SIZE) != 0) mem__inode_changed(inode, inode->ctime_ns);
    return APR_SUCCESS;
}

/* ---- copying */

apr_status_t mem__data_copy(mem_fs_t *fs, const mem_inode_t *src, uint64_t src_off,
                            mem_inode_t *dst, uint64_t dst_off, size_t len, size_t *copied)
{
    apr_status_t status = APR_SUCCESS;
    size_t done = 0;

    if (src_off >= src->size) len = 0;
    if (len > src->size - src_off) len = (size_t)(src->size - src_off);
    while (done < len && status == APR_SUCCESS) {
        uint64_t from = src_off + done, to = dst_off + done;
        uint64_t end = pages_for(src_off + len);
        uint64_t data = mem__pages_next(&src->u.pages, page_of(from), end, MEM_WANT_DATA);
        size_t n = len - done, put = 0;
        if (data > page_of(from)) {
            if ((data << MEM_PAGE_BITS) - from < n) n = (size_t)((data << MEM_PAGE_BITS) - from);
            if (to >= MEM_FILE_MAX || n > MEM_FILE_MAX - to) {
                status = MEM_ERR(EFBIG);
                break;
            }
            punch(fs, &dst->u.pages, to, to + n);
            if (to + n > dst->size) dst->size = to + n;
            put = n;
        } else {
            size_t in = (size_t)(from & (MEM_PAGE - 1));
            if (n > MEM_PAGE - in) n = MEM_PAGE - in;
            status = mem__data_write(fs, dst, mem__page_at(&src->u.pages, data) + in, n, to, &put);
        }
        done += put;
    }
    *copied = done;
    return status;
}

apr_status_t mem__data_seek(const mem_inode_t *inode, uint64_t off, int hole, uint64_t *where)
{
    uint64_t end = pages_for(inode->size), at;

    if (off >= inode->size) return VFS_ENODATA;
    at = mem__pages_next(&inode->u.pages, page_of(off), end, hole ? MEM_WANT_EMPTY : MEM_WANT_DATA);
    if (at == end && !hole) return VFS_ENODATA;
    *where = at == page_of(off) ? off : at << MEM_PAGE_BITS;
    if (*where > inode->size) *where = inode->size;
    return APR_SUCCESS;
}
