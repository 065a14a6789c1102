/*
 * device.c - what goes to and from the kernel's device.
 * Floor 4, private to mount/.
 *
 * libfuse reads and writes it itself. It does so through here for two flags of INIT:
 *  - PARALLEL_DIROPS: until 3.17 libfuse lets one ask for it, and never tells the kernel. Without
 *    it the kernel looks up one name of a directory at a time, whatever that takes: behind an
 *    origin that is far eight programs are as slow as one.
 *  - HANDLE_KILLPRIV_V2, which libfuse 3.14 does not know, nor what calls say then. Without it the
 *    kernel asks for a file's capabilities before each write. With it, it remembers that there are
 *    none until it hears of the file's attributes again; it still removes them itself. In return
 *    it leaves it to us to take set-id bits away, and tells when (asks_to_drop).
 */
#include "mount/mount.h"

#include <linux/fuse.h>
#include <unistd.h>

/* What the call that a thread serves says beside what libfuse passes on. */
static _Thread_local int own_drops;

int mount__drops_bits(void)
{
    return own_drops;
}

/* An empty SETATTR is how the kernel tells of writes, allocations and copies, before them: it has
 * looked at the bits and at the caller's rights already. (It is empty as well where it took away
 * capabilities alone: then the bits that the file has besides fall, too, whoever writes.) */
static int asks_to_drop(const struct fuse_in_header *in, const void *arg, size_t size)
{
    const struct fuse_setattr_in *set = arg;
    const struct fuse_write_in *put = arg;
    const struct fuse_open_in *open = arg;
    switch (in->opcode) {
    case FUSE_SETATTR:
        return size >= sizeof(*set) && ((set->valid & FATTR_KILL_SUIDGID) ||
                                        !(set->valid & ~(uint32_t)(FATTR_FH | FATTR_LOCKOWNER)));
    case FUSE_WRITE:
        return size >= sizeof(*put) && (put->write_flags & FUSE_WRITE_KILL_SUIDGID);
    case FUSE_OPEN:
        return size >= sizeof(*open) && (open->open_flags & FUSE_OPEN_KILL_SUIDGID);
    default: /* CREATE says it too, but what it makes has the bits that it shall have */
        return 0;
    }
}

static ssize_t device_read(int fd, void *buf, size_t len, void *baton)
{
    mount_t *m = baton;
    const struct fuse_in_header *in = buf;
    ssize_t got = read(fd, buf, len);
    if (got < (ssize_t)sizeof(*in)) return got;
    const void *arg = in + 1;
    size_t size = (size_t)got - sizeof(*in);
    own_drops =
        atomic_load_explicit(&m->drops, memory_order_relaxed) && asks_to_drop(in, arg, size);
    if (in->opcode == FUSE_INIT && size >= offsetof(struct fuse_init_in, flags) + sizeof(uint32_t))
        m->offered = ((const struct fuse_init_in *)arg)->flags;
    return got;
}

/* The answer to INIT is the first after mount__device_agreed; notifications have no number. */
static void mend_init(mount_t *m, const struct iovec *iov, int count)
{
    const struct fuse_out_header *header = iov[0].iov_base;
    struct fuse_init_out *init = count == 2 ? iov[1].iov_base : NULL;
    if (init == NULL || header->unique == 0 || header->error != 0 ||
        iov[1].iov_len < offsetof(struct fuse_init_out, max_background))
        return;
    init->flags |= m->offered & (FUSE_PARALLEL_DIROPS | FUSE_HANDLE_KILLPRIV_V2);
    atomic_store(&m->drops, (init->flags & FUSE_HANDLE_KILLPRIV_V2) != 0);
    atomic_store(&m->agreed, 0);
}

static ssize_t device_write(int fd, struct iovec *iov, int count, void *baton)
{
    mount_t *m = baton;
    if (atomic_load_explicit(&m->agreed, memory_order_relaxed)) mend_init(m, iov, count);
    return writev(fd, iov, count);
}

int mount__device_take(mount_t *m)
{
    static const struct fuse_custom_io io = {.read = device_read, .writev = device_write};
    return -fuse_session_custom_io(m->session, &io, fuse_session_fd(m->session));
}

void mount__device_agreed(mount_t *m)
{
    atomic_store(&m->agreed, 1);
}
