/*
 * sftp.c - the file system that a directory of an SSH server makes: its table of ops, its life,
 * what it can do. Floor 2. Knows vfs alone.
 */
#include "backends/sftp/sftp.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/figures.h"

#define SECRET_MAX 65536u
#define BREAKER_FAILURES 5u
#define BREAKER_MIN_US 1000000
#define BREAKER_MAX_US 60000000
#define ROUND_TRIP_US 20000
#define STEP_NS 1000000000u /* of the protocol's times */

static apr_status_t sftp_destroy(vfs_t *fs);

static const vfs_ops_t sftp_ops = {
    .abi = VFS_ABI,
    .size = sizeof(vfs_ops_t),
    .name = "sftp",
    .destroy = sftp_destroy,
    .open = sftp__open,
    .opendir = sftp__opendir,
    .close = sftp__close,
    .closedir = sftp__closedir,
    .get = sftp__get,
    .stat = sftp__stat,
    .lstat = sftp__lstat,
    .access = sftp__access,
    .mknod = sftp__mknod,
    .mkdir = sftp__mkdir,
    .rmdir = sftp__rmdir,
    .unlink = sftp__unlink,
    .rename = sftp__rename,
    .symlink = sftp__symlink,
    .readlink = sftp__readlink,
    .truncate = sftp__truncate,
    .chmod = sftp__chmod,
    .chown = sftp__chown,
    .utimens = sftp__utimens,
    .statfs = sftp__statfs,
    .sync_dir = sftp__sync_dir,
    .sync_fs = sftp__sync_fs,
    .read_at = sftp__read_at,
    .write_at = sftp__write_at,
    .readv_at = sftp__readv_at,
    .fstat = sftp__fstat,
    .ftruncate = sftp__ftruncate,
    .fchmod = sftp__fchmod,
    .fchown = sftp__fchown,
    .futimens = sftp__futimens,
    .flush = sftp__flush,
    .sync = sftp__sync,
    .fetch = sftp__fetch,
    .readdir = sftp__readdir,
    .seekdir = sftp__seekdir,
};

/* ---- life */

static void sftp_free(sftp_t *f)
{
    apr_pool_t *pool = f->pool;
    while (f->sessions != NULL) {
        sftp_session_t *s = f->sessions;
        f->sessions = s->next;
        sftp__session_unref(s);
    }
    sftp__marks_free(f);
    if (f->secret != NULL) explicit_bzero(f->secret, strlen(f->secret));
    free(f->secret);
    (void)pthread_cond_destroy(&f->room); /* nobody is left to wait */
    (void)pthread_cond_destroy(&f->pause);
    (void)pthread_mutex_destroy(&f->mutex);
    (void)pthread_mutex_destroy(&f->append);
    free(f);
    if (pool != NULL) apr_pool_destroy(pool);
}

static apr_status_t sftp_destroy(vfs_t *fs)
{
    sftp_free(fs->state);
    fs->state = NULL;
    return APR_SUCCESS;
}

static void init_libssh2(void)
{
    int rc = libssh2_init(0); /* ends with the process */
    VFS_ASSERT(rc == 0);
}

/* The first line of the file, or the variable. Who logs in by a key needs neither. */
static apr_status_t read_secret(sftp_t *f, char *err, size_t errlen)
{
    char line[SECRET_MAX];
    const char *text = getenv(f->config.secret_env);
    if (f->config.secret_file != NULL) {
        FILE *file = fopen(f->config.secret_file, "re");
        text = file != NULL ? fgets(line, sizeof(line), file) : NULL;
        if (text == NULL)
            (void)snprintf(err, errlen, "secret_file %s: %s", f->config.secret_file,
                           file != NULL ? "is empty" : strerror(errno));
        if (file != NULL) (void)fclose(file); /* it was read only */
        if (text == NULL) return APR_FROM_OS_ERROR(EACCES);
        line[strcspn(line, "\r\n")] = '\0';
    }
    if (text == NULL) return APR_SUCCESS;
    f->secret = strdup(text);
    explicit_bzero(line, f->config.secret_file != NULL ? sizeof(line) : 0);
    return f->secret != NULL ? APR_SUCCESS : APR_ENOMEM;
}

/* ---- what it has done */

int sftp__figures_of(const vfs_t *fs, vfs_remote_figures_t *out)
{
    sftp_t *f = fs->state;
    if (fs->ops.destroy != sftp_destroy) return 0;
    if (out == NULL) return 1;
    out->requests = atomic_load_explicit(&f->requests, memory_order_relaxed);
    out->attempts = atomic_load_explicit(&f->attempts, memory_order_relaxed);
    out->failures = atomic_load_explicit(&f->failures, memory_order_relaxed);
    out->refused = atomic_load_explicit(&f->refused, memory_order_relaxed);
    out->bytes_in = atomic_load_explicit(&f->bytes_in, memory_order_relaxed);
    out->bytes_out = atomic_load_explicit(&f->bytes_out, memory_order_relaxed);
    out->connections = atomic_load_explicit(&f->connections, memory_order_relaxed);
    pthread_mutex_lock(&f->mutex);
    out->breaker_open = (uint32_t)f->breaker.open;
    out->breaker_opened = f->breaker.opened;
    pthread_mutex_unlock(&f->mutex);
    return 1;
}

/* ---- what it can do */

/* Without a connection the server is taken for what most are: OpenSSH. */
static void caps_of(vfs_caps_t *caps, const sftp_t *f, uint32_t extensions)
{
    *caps =
        (vfs_caps_t){.size = sizeof(*caps),
                     .bits = VFS_CAP_WRITE | VFS_CAP_RANDOM_WRITE | VFS_CAP_DIRS | VFS_CAP_MODE |
                             VFS_CAP_OWNER | VFS_CAP_TIMES | VFS_CAP_RENAME_NOREPLACE |
                             VFS_CAP_EXCL_CREATE | VFS_CAP_UNLINKED_OPEN,
                     .time_granularity_ns = STEP_NS + (uint64_t)f->config.skew_us * 1000u,
                     .file_size_max = INT64_MAX,
                     .name_max = VFS_NAME_MAX,
                     .round_trip_us = ROUND_TRIP_US};
    if (f->config.links) caps->bits |= VFS_CAP_SYMLINK;
    if (extensions & SFTP_EXT_POSIX_RENAME) caps->bits |= VFS_CAP_ATOMIC_RENAME;
    if (extensions & SFTP_EXT_FSYNC) caps->bits |= VFS_CAP_SYNC;
}

static int64_t round_trip(sftp_t *f, uint32_t *extensions, apr_status_t *status, char *err,
                          size_t errlen)
{
    sftp_session_t *s = NULL;
    sftp_call_t c;
    *status = sftp__session_get(f, NULL, &s, err, errlen);
    if (*status != APR_SUCCESS) return 0;
    *extensions = s->extensions;
    sftp__call_init(&c, f, s, NULL);
    sftp__ask_path(&c, FXP_STAT, "/");
    int64_t begun = sftp__now_us();
    vfs_attr_t attr;
    *status = sftp__wait(&c);
    if (*status == APR_SUCCESS) *status = sftp__reply_attr(&c, 0, &attr);
    int64_t took = sftp__now_us() - begun;
    if (*status == SFTP_LOST) *status = VFS_EOFFLINE;
    if (APR_STATUS_IS_ENOENT(*status))
        (void)snprintf(err, errlen, "there is no directory %s on the server", f->config.dir);
    if (*status == APR_SUCCESS && attr.type != VFS_TYPE_DIR) {
        *status = APR_FROM_OS_ERROR(ENOTDIR);
        (void)snprintf(err, errlen, "%s is no directory", f->config.dir);
    }
    if (*status != APR_SUCCESS && err[0] == '\0')
        (void)snprintf(err, errlen, "%s cannot be looked at", f->config.dir);
    sftp__call_end(&c);
    sftp__session_unref(s);
    return took;
}

/* ---- opening it */

static apr_status_t sftp_new(sftp_t **out, const sftp_config_t *config, char *err, size_t errlen)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, init_libssh2); /* cannot fail */
    sftp_t *f = calloc(1, sizeof(*f));
    if (f == NULL) return APR_ENOMEM;
    f->config = *config;
    f->breaker.failures_max = BREAKER_FAILURES;
    f->breaker.min_us = BREAKER_MIN_US;
    f->breaker.max_us = BREAKER_MAX_US;
    atomic_init(&f->chance, (uint64_t)vfs_now_ns());
    pthread_mutex_init(&f->mutex, NULL);
    pthread_mutex_init(&f->append, NULL);
    pthread_cond_init(&f->room, NULL);
    pthread_cond_init(&f->pause, NULL);
    apr_status_t status = read_secret(f, err, errlen);
    if (status == APR_SUCCESS)
        *out = f;
    else
        sftp_free(f);
    return status;
}

/* `own` has the texts of the options; it is the instance's from success on. */
static apr_status_t open_uri(vfs_t **out, const char *uri, char *err, size_t errlen,
                             apr_pool_t *pool, apr_pool_t *own)
{
    sftp_config_t config;
    vfs_caps_t caps;
    sftp_t *f = NULL;
    char why[2048] = "";
    uint32_t extensions = SFTP_EXT_POSIX_RENAME | SFTP_EXT_FSYNC | SFTP_EXT_STATVFS;
    int64_t took = 0;
    const char *complaint = sftp__parse(&config, uri, why, sizeof(why), own);
    if (complaint != NULL) {
        (void)snprintf(err, errlen, "sftp: %s", complaint); /* the URI may hold a password */
        return APR_EINVAL;
    }
    apr_status_t status = sftp_new(&f, &config, why, sizeof(why));
    if (status == APR_SUCCESS && config.probe)
        took = round_trip(f, &extensions, &status, why, sizeof(why));
    if (status == APR_SUCCESS) {
        caps_of(&caps, f, extensions);
        if (config.probe) caps.round_trip_us = (uint32_t)(took < 1000000 ? took : 1000000) + 1;
        status = vfs_create(out, &sftp_ops, NULL, f, &caps, pool);
    }
    if (status == APR_SUCCESS) {
        f->pool = own;
        return status;
    }
    (void)snprintf(err, errlen, "%s: %s", config.shown, why);
    if (f != NULL) sftp_free(f);
    return status;
}

apr_status_t vfs_sftp_create(vfs_t **out, const char *uri, char *err, size_t errlen,
                             apr_pool_t *pool)
{
    apr_pool_t *own = NULL;
    char unwanted[1];
    VFS_CHECK_ARG(out != NULL && uri != NULL && pool != NULL);
    if (err == NULL || errlen == 0) {
        err = unwanted;
        errlen = sizeof(unwanted);
    }
    err[0] = '\0';
    apr_status_t status = apr_pool_create(&own, pool);
    if (status != APR_SUCCESS) return status;
    status = open_uri(out, uri, err, errlen, pool, own);
    if (status != APR_SUCCESS) apr_pool_destroy(own);
    return status;
}
