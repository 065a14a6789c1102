/*
 * device.c - what goes to and from the kernel's device.
 * Floor 4, private to mount/.
 *
 * libfuse reads and writes it itself. It does so through here for one flag: until 3.17 it lets one
 * ask for FUSE_CAP_PARALLEL_DIROPS, and never tells the kernel. Without it the kernel looks up one
 * name of a directory at a time, whatever that takes: behind an origin that is far eight programs
 * are as slow as one.
 */
#include "mount/mount.h"

#include <linux/fuse.h>
#include <unistd.h>

static ssize_t device_read(int fd, void *buf, size_t len, void *baton)
{
    (void)baton;
    return read(fd, buf, len);
}

/* The answer to INIT is the first after mount__device_agreed; notifications have no number. */
static void mend_init(mount_t *m, const struct iovec *iov, int count)
{
    const struct fuse_out_header *header = iov[0].iov_base;
    struct fuse_init_out *init = count == 2 ? iov[1].iov_base : NULL;
    if (init == NULL || header->unique == 0 || header->error != 0 ||
        iov[1].iov_len < offsetof(struct fuse_init_out, max_background))
        return;
    init->flags |= FUSE_PARALLEL_DIROPS;
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

void mount__device_agreed(mount_t *m, const struct fuse_conn_info *conn)
{
    if (conn->want & FUSE_CAP_PARALLEL_DIROPS) atomic_store(&m->agreed, 1);
}
