/*
 * access.c - who listens to the calls of the kernel hears each of them, before it is answered.
 * Floor 4, private to mount/. Nobody waits for him here: he must not block.
 */
#include "mount/mount.h"

#include <time.h>

uint64_t mount__clock_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* it is always there */
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void mount__hear(fuse_req_t req, const heard_t *what)
{
    mount_t *m = mount__of(req);
    const struct fuse_ctx *from = fuse_req_ctx(req);
    path_t path, to;
    const char *second = what->text;
    if (what->to_dir != NULL)
        second = mount__path_seen(&m->table, what->to_dir, what->to_name, &to);
    mount_access_t access = {
        .op = what->op,
        .path = mount__path_seen(&m->table, what->inode, what->name, &path),
        .to = second,
        .number = what->name == NULL ? what->inode->number : 0,
        .offset = what->offset,
        .bytes = what->bytes,
        .done = what->done,
        .error = what->error,
        .began_ns = mount__began_ns(),
        .ended_ns = mount__clock_ns(),
        .uid = from->uid,
        .pid = from->pid,
    };
    m->config.access(m->config.access_baton, &access);
}

void mount_set_access(mount_t *m, int on)
{
    atomic_store(&m->listens, on && m->config.access != NULL);
}
