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

void mount_close(mount_t *m)
{
    (void)m;
}

const char *mount_fuse_version(void)
{
    return NULL;
}
