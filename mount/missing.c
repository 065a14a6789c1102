/*
 * missing.c - instead of all others here, where the program is built without libfuse 3.
 * Floor 4, private to mount/.
 */
#include <stdio.h>

#include "mount/session.h"

apr_status_t mount_open(mount_t **m, vfs_t *fs, const mount_config_t *config, char *err,
                        size_t errlen)
{
    (void)fs;
    (void)config;
    *m = NULL;
    (void)snprintf(err, errlen, "this program was built without libfuse 3, and cannot mount");
    return APR_ENOTIMPL;
}

/* There is no mount that these could be called with. */
apr_status_t mount_serve(mount_t *m, void (*ready)(void *baton), void *baton)
{
    (void)m;
    (void)ready;
    (void)baton;
    return APR_ENOTIMPL;
}

void mount_stop(mount_t *m)
{
    (void)m;
}

void mount_look(mount_t *m)
{
    (void)m;
}

void mount_set_ttl(mount_t *m, uint64_t attr_ttl_us, uint64_t negative_ttl_us)
{
    (void)m;
    (void)attr_ttl_us;
    (void)negative_ttl_us;
}

void mount_set_access(mount_t *m, int on)
{
    (void)m;
    (void)on;
}

void mount_hottest(mount_t *m, size_t max, mount_hot_fn fn, void *baton)
{
    (void)m;
    (void)max;
    (void)fn;
    (void)baton;
}

uint64_t mount_inodes(mount_t *m)
{
    (void)m;
    return 0;
}

uint64_t mount_drop(mount_t *m, mount_scope_e scope, const char *path)
{
    (void)m;
    (void)scope;
    (void)path;
    return 0;
}

int mount_dropped(mount_t *m, uint64_t number, vfs_cancel_t *cancel)
{
    (void)m;
    (void)number;
    (void)cancel;
    return 0;
}

void mount_close(mount_t *m)
{
    (void)m;
}

const char *mount_fuse_version(void)
{
    return NULL;
}
