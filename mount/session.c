/*
 * session.c - the life of a mount: the session of libfuse, what is agreed with the kernel, the end.
 * Floor 4, private to mount/; session.h is for tools/.
 *
 * What is asked of the kernel, and why:
 *  - default_permissions, and access rules (ACL) where the stack has them: it checks all rights.
 *  - HANDLE_KILLPRIV_V2 (device.c), so that it does not ask for capabilities before each write. A
 *    kernel that does not have it takes set-id bits away itself, by calls that we get.
 *  - DONT_MASK: the umask comes with the call, since a directory may have a default ACL instead.
 *  - no WRITEBACK_CACHE: it would keep times and sizes of its own, and no write error could be told
 *    to the one who wrote. Write-back is our cache's work.
 *  - AUTO_INVAL_DATA: pages go when a new time or size shows that others wrote.
 *  - locks go through, where there are any below; else the kernel's own hold within the mount.
 */
#include "mount/mount.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <apr_strings.h>

#define ACL_NAME "system.posix_acl_access"
#define PROD_NS 10000000L

static const struct {
    uint64_t cap;
    unsigned want;
} wishes[] = {
    {0, FUSE_CAP_ASYNC_READ},  {0, FUSE_CAP_ATOMIC_O_TRUNC},
    {0, FUSE_CAP_DONT_MASK},   {0, FUSE_CAP_AUTO_INVAL_DATA},
    {0, FUSE_CAP_READDIRPLUS}, {0, FUSE_CAP_READDIRPLUS_AUTO},
    {0, FUSE_CAP_ASYNC_DIO},   {VFS_CAP_LOCK, FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS},
};

/* Does the stack have access rules? A file without any is ENODATA there. */
static int has_acl(vfs_t *fs)
{
    size_t len = 0;
    apr_status_t status = vfs_getxattr(fs, NULL, "/", ACL_NAME, NULL, 0, &len, 0);
    return status == APR_SUCCESS || status == VFS_ENODATA;
}

static void agree(void *userdata, struct fuse_conn_info *conn)
{
    mount_t *m = userdata;
    uint64_t caps = vfs_caps(m->fs)->bits;
    conn->want = 0;
    for (size_t i = 0; i < sizeof(wishes) / sizeof(wishes[0]); i++)
        if (wishes[i].cap == 0 || (caps & wishes[i].cap))
            conn->want |= wishes[i].want & conn->capable;
    if (m->acl) conn->want |= FUSE_CAP_POSIX_ACL & conn->capable;
    conn->max_readahead = 1u << 20;
    conn->max_background = m->config.threads;
    conn->congestion_threshold = m->config.threads * 3 / 4;
    mount__device_agreed(m);
    if (m->ready != NULL) m->ready(m->ready_baton);
}

static const struct fuse_lowlevel_ops with_locks = {
    .init = agree,
    .lookup = mount__lookup,
    .forget = mount__forget,
    .forget_multi = mount__forget_multi,
    .getattr = mount__getattr,
    .setattr = mount__setattr,
    .readlink = mount__readlink,
    .mknod = mount__mknod,
    .mkdir = mount__mkdir,
    .unlink = mount__unlink,
    .rmdir = mount__rmdir,
    .symlink = mount__symlink,
    .rename = mount__rename,
    .link = mount__link,
    .open = mount__open,
    .read = mount__read,
    .write = mount__write,
    .flush = mount__flush,
    .release = mount__release,
    .fsync = mount__fsync,
    .opendir = mount__opendir,
    .readdir = mount__readdir,
    .readdirplus = mount__readdirplus,
    .releasedir = mount__releasedir,
    .fsyncdir = mount__fsyncdir,
    .statfs = mount__statfs,
    .setxattr = mount__setxattr,
    .getxattr = mount__getxattr,
    .listxattr = mount__listxattr,
    .removexattr = mount__removexattr,
    .create = mount__create,
    .getlk = mount__getlk,
    .setlk = mount__setlk,
    .flock = mount__flock,
    .fallocate = mount__fallocate,
    .copy_file_range = mount__copy_file_range,
    .lseek = mount__lseek,
};

/* ---- messages of libfuse */

static mount_t *speaking; /* one mount a process: libfuse's hook has no baton */

static void fuse_says(enum fuse_log_level level, const char *format, va_list args)
{
    char line[1024];
    mount_t *m = speaking;
    int len = vsnprintf(line, sizeof(line), format, args);
    if (len > 0 && (size_t)len < sizeof(line) && line[len - 1] == '\n') line[len - 1] = '\0';
    if (m == NULL || m->config.log == NULL || level > FUSE_LOG_INFO) return;
    if (m->said[0] == '\0') (void)apr_cpystrn(m->said, line, sizeof(m->said));
    if (m->mounted)
        m->config.log(m->config.baton, level <= FUSE_LOG_ERR ? 0 : level <= FUSE_LOG_WARNING, line);
}

/* ---- life */

/* A comma or a backslash in a value stands behind a backslash. */
static void put_escaped(char *to, size_t size, const char *text)
{
    size_t at = strlen(to);
    for (; *text != '\0' && at + 3 < size; text++) {
        if (*text == ',' || *text == '\\') to[at++] = '\\';
        to[at++] = *text;
    }
    to[at] = '\0';
}

static apr_status_t make_session(mount_t *m)
{
    char options[2 * VFS_PATH_MAX];
    struct fuse_lowlevel_ops ops = with_locks;
    (void)snprintf(options, sizeof(options), "subtype=cachefs,default_permissions%s%s,fsname=",
                   m->config.options[0] != '\0' ? "," : "", m->config.options);
    put_escaped(options, sizeof(options), m->config.source);
    char *argv[] = {(char *)"cachefs", (char *)"-o", options, NULL};
    struct fuse_args args = FUSE_ARGS_INIT(3, argv);
    if (!m->locks) {
        ops.getlk = NULL;
        ops.setlk = NULL;
        ops.flock = NULL;
    }
    m->session = fuse_session_new(&args, &ops, sizeof(ops), m);
    fuse_opt_free_args(&args);
    return m->session != NULL ? APR_SUCCESS : APR_EINVAL;
}

void mount_set_ttl(mount_t *m, uint64_t attr_ttl_us, uint64_t negative_ttl_us)
{
    atomic_store(&m->attr_timeout, (double)attr_ttl_us / 1e6);
    atomic_store(&m->negative_timeout, (double)negative_ttl_us / 1e6);
}

uint64_t mount_inodes(mount_t *m)
{
    (void)pthread_mutex_lock(&m->table.mutex);
    uint64_t inodes = m->table.inodes;
    (void)pthread_mutex_unlock(&m->table.mutex);
    return inodes;
}

static apr_status_t start(mount_t *m)
{
    vfs_attr_t root;
    m->locks = (vfs_caps(m->fs)->bits & VFS_CAP_LOCK) != 0;
    m->acl = has_acl(m->fs);
    mount_set_ttl(m, m->config.attr_ttl_us, m->config.negative_ttl_us);
    apr_status_t status = vfs_stat(m->fs, NULL, "/", &root);
    if (status != APR_SUCCESS) return status;
    int error = mount__table_init(&m->table, &root, m->config.inodes_max);
    if (error != 0) return APR_FROM_OS_ERROR(error);
    status = make_session(m);
    if (status == APR_SUCCESS && fuse_session_mount(m->session, m->config.mountpoint) != 0)
        status = APR_EGENERAL;
    if (status == APR_SUCCESS) {
        error = mount__device_take(m);
        status = error == 0 ? mount__notify_start(m) : APR_FROM_OS_ERROR(error);
        if (status == APR_SUCCESS) return status;
        mount__notify_end(m);
        fuse_session_unmount(m->session);
    }
    if (m->session != NULL) fuse_session_destroy(m->session);
    mount__table_end(&m->table);
    return status;
}

apr_status_t mount_open(mount_t **out, vfs_t *fs, const mount_config_t *config, char *err,
                        size_t errlen)
{
    char why[256];
    mount_t *m = calloc(1, sizeof(*m));
    if (m == NULL) return APR_ENOMEM;
    m->config = *config;
    m->fs = fs;
    atomic_init(&m->reads, READS_FIRST);
    (void)pthread_mutex_init(&m->hot.mutex, NULL);
    speaking = m;
    fuse_set_log_func(fuse_says);
    apr_status_t status = start(m);
    if (status != APR_SUCCESS) {
        (void)snprintf(err, errlen, "%s",
                       m->said[0] != '\0' ? m->said : vfs_strerror(status, why, sizeof(why)));
        speaking = NULL;
        mount__hot_end(m);
        free(m);
        return status;
    }
    m->mounted = 1;
    m->server = pthread_self();
    *out = m;
    return APR_SUCCESS;
}

apr_status_t mount_serve(mount_t *m, void (*ready)(void *baton), void *baton)
{
    struct fuse_loop_config *config = fuse_loop_cfg_create();
    if (config == NULL) return APR_ENOMEM;
    fuse_loop_cfg_set_max_threads(config, m->config.threads);
    fuse_loop_cfg_set_idle_threads(config, m->config.threads);
    fuse_loop_cfg_set_clone_fd(config, 1);
    m->ready = ready;
    m->ready_baton = baton;
    int result = fuse_session_loop_mt(m->session, config);
    atomic_store(&m->ended, 1);
    fuse_loop_cfg_destroy(config);
    return result < 0 ? APR_FROM_OS_ERROR(-result) : APR_SUCCESS;
}

static void nothing(int number)
{
    (void)number;
}

/* The loop looks up when a signal comes; it may come just before it begins to wait. */
void mount_stop(mount_t *m)
{
    static const struct timespec prod = {0, PROD_NS};
    struct sigaction action;
    memset(&action, 0, sizeof(action));
    action.sa_handler = nothing;
    (void)sigaction(SIGUSR2, &action, NULL); /* it can be caught */
    mount__notify_stop(m);
    fuse_session_exit(m->session);
    while (!atomic_load(&m->ended)) {
        (void)pthread_kill(m->server, SIGUSR2); /* it runs until it is joined */
        (void)nanosleep(&prod, NULL);
    }
}

void mount_look(mount_t *m)
{
    if (fuse_session_exited(m->session)) mount__slots_raise(m);
}

void mount_close(mount_t *m)
{
    mount__waiters_end(m);
    mount__notify_end(m);
    fuse_session_unmount(m->session);
    mount__dirs_end(m);
    mount__files_end(m);
    fuse_session_destroy(m->session);
    mount__slots_end(m);
    mount__hot_end(m);
    mount__table_end(&m->table);
    speaking = NULL;
    free(m);
}

const char *mount_fuse_version(void)
{
    return fuse_pkgversion();
}
