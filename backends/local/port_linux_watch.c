/*
 * port_linux_watch.c - change events from inotify(7). Floor 2, Linux.
 */
#include "backends/local/port.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#define EVENTS (IN_CREATE | IN_DELETE | IN_MODIFY | IN_ATTRIB | IN_MOVED_FROM | IN_MOVED_TO)

apr_status_t port__watch_open(port_watch_t *watch)
{
    watch->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (watch->fd < 0) return errno == EMFILE ? VFS_ELIMIT : port__status(errno);
    watch->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (watch->wake >= 0) return APR_SUCCESS;
    apr_status_t status = port__status(errno);
    port__close(watch->fd);
    return status;
}

void port__watch_close(port_watch_t *watch)
{
    port__close(watch->fd);
    port__close(watch->wake);
}

apr_status_t port__watch_add(const port_watch_t *watch, int dir, int *wd)
{
    char name[64];
    (void)snprintf(name, sizeof(name), "/proc/self/fd/%d", dir); /* always fits */
    *wd = inotify_add_watch(watch->fd, name, EVENTS | IN_ONLYDIR | IN_EXCL_UNLINK);
    if (*wd >= 0) return APR_SUCCESS;
    return errno == ENOSPC ? VFS_ELIMIT : port__status(errno);
}

void port__watch_remove(const port_watch_t *watch, int wd)
{
    (void)inotify_rm_watch(watch->fd, wd); /* it may have gone with its directory */
}

void port__watch_wake(const port_watch_t *watch)
{
    uint64_t one = 1;
    ssize_t n = write(watch->wake, &one, sizeof(one));
    VFS_ASSERT(n == (ssize_t)sizeof(one) || errno == EAGAIN);
}

apr_status_t port__watch_wait(const port_watch_t *watch, void *buf, size_t size, int timeout_ms,
                              size_t *got)
{
    struct pollfd fds[2] = {{watch->fd, POLLIN, 0}, {watch->wake, POLLIN, 0}};
    *got = 0;
    int ready = poll(fds, 2, timeout_ms);
    if (ready < 0) return errno == EINTR ? APR_SUCCESS : port__status(errno);
    if (fds[1].revents != 0) return APR_EOF;
    if (fds[0].revents == 0) return APR_SUCCESS;
    ssize_t n = read(watch->fd, buf, size);
    if (n < 0) return errno == EAGAIN || errno == EINTR ? APR_SUCCESS : port__status(errno);
    *got = (size_t)n;
    return APR_SUCCESS;
}

void port__watch_event(const char *buf, size_t *pos, port_event_t *event)
{
    struct inotify_event raw;
    memcpy(&raw, buf + *pos, sizeof(raw));
    event->wd = raw.wd;
    event->name = raw.len > 0 ? buf + *pos + sizeof(raw) : "";
    event->events = 0;
    if (raw.mask & (IN_MODIFY | IN_ATTRIB)) event->events |= VFS_EVENT_CHANGED;
    if (raw.mask & (IN_CREATE | IN_MOVED_TO)) event->events |= VFS_EVENT_CREATED;
    if (raw.mask & (IN_DELETE | IN_MOVED_FROM)) event->events |= VFS_EVENT_REMOVED;
    if (raw.mask & IN_MOVED_FROM) event->events |= PORT_EVENT_MOVED;
    if (raw.mask & IN_ISDIR) event->events |= PORT_EVENT_DIR;
    if (raw.mask & (IN_IGNORED | IN_UNMOUNT)) event->events |= PORT_EVENT_GONE;
    if (raw.mask & IN_Q_OVERFLOW) event->events |= VFS_EVENT_OVERFLOW;
    *pos += sizeof(raw) + raw.len;
}
