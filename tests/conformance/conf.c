/*
 * conf.c - what behaviours check with: each check collects its failure and goes on. Floor 4.
 */
#include "tests/conformance/conf.h"

#include <stdarg.h>
#include <stdlib.h>

int conf_fail(conf_t *t, const char *file, int line, const char *format, ...)
{
    va_list args;
    const char *root = strstr(file, "tests/");
    t->failures++;
    printf("FAIL %s [%s] %s:%d: ", t->name, t->sut.spec, root != NULL ? root : file, line);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
    return 0;
}

int conf_is(conf_t *t, const char *file, int line, const char *what, apr_status_t got,
            apr_status_t want)
{
    char got_text[128], want_text[128];
    if (got == want) return 1;
    return conf_fail(t, file, line, "%s answered \"%s\", not \"%s\"", what,
                     vfs_strerror(got, got_text, sizeof got_text),
                     vfs_strerror(want, want_text, sizeof want_text));
}

int conf_eq(conf_t *t, const char *file, int line, const char *what, uint64_t got, uint64_t want)
{
    if (got == want) return 1;
    return conf_fail(t, file, line, "%s: got %" PRIu64 " (0x%" PRIx64 "), want %" PRIu64, what, got,
                     got, want);
}

int conf_same(conf_t *t, const char *file, int line, const void *got, const void *want, size_t len)
{
    const unsigned char *g = got, *w = want;
    for (size_t i = 0; i < len; i++) {
        if (g[i] != w[i])
            return conf_fail(t, file, line, "byte %zu of %zu is 0x%02x, not 0x%02x", i, len, g[i],
                             w[i]);
    }
    return 1;
}

vfs_file_t *conf_open(conf_t *t, const char *file, int line, const char *path, uint32_t flags,
                      uint32_t mode)
{
    vfs_file_t *handle = NULL;
    char text[128];
    apr_status_t rv = vfs_open(&handle, t->fs, NULL, path, flags, mode, NULL, NULL);
    if (rv != APR_SUCCESS) {
        (void)conf_fail(t, file, line, "open of %.60s with 0x%x answered \"%s\"", path, flags,
                        vfs_strerror(rv, text, sizeof text));
        return NULL;
    }
    if (t->nfiles == CONF_FILES_MAX) abort();
    t->files[t->nfiles++] = handle;
    return handle;
}

apr_status_t conf_close(conf_t *t, vfs_file_t *handle)
{
    for (size_t i = 0; i < t->nfiles; i++) {
        if (t->files[i] == handle) {
            t->files[i] = t->files[--t->nfiles];
            return vfs_close(handle, NULL);
        }
    }
    abort(); /* a behaviour that closes twice is a bug of the table */
}

int conf_put(conf_t *t, const char *file, int line, const char *path, const void *data, size_t len)
{
    size_t written = 0;
    char text[128];
    vfs_file_t *handle = conf_open(t, file, line, path, WR | CR | VFS_O_TRUNC, 0644);
    if (handle == NULL) return 0;
    apr_status_t rv =
        len > 0 ? vfs_write_at(handle, NULL, data, len, 0, &written, NULL) : APR_SUCCESS;
    apr_status_t close_rv = conf_close(t, handle);
    rv = rv != APR_SUCCESS ? rv : close_rv;
    if (rv != APR_SUCCESS || written != len)
        return conf_fail(t, file, line, "write of %zu bytes to %s: %zu written, \"%s\"", len, path,
                         written, vfs_strerror(rv, text, sizeof text));
    return 1;
}

int conf_holds(conf_t *t, const char *file, int line, vfs_t *fs, const char *path, const void *data,
               size_t len)
{
    char *got = NULL;
    size_t got_len = 0;
    vfs_attr_t attr;
    apr_status_t rv = vfs_read_file(&got, &got_len, fs, NULL, path, 0, t->pool);
    if (!conf_is(t, file, line, path, rv, APR_SUCCESS)) return 0;
    if (!conf_eq(t, file, line, "bytes read", got_len, len) ||
        !conf_same(t, file, line, got, data, len))
        return 0;
    memset(&attr, 0, sizeof attr);
    rv = vfs_stat(fs, NULL, path, &attr);
    return conf_is(t, file, line, "stat", rv, APR_SUCCESS) &&
           conf_eq(t, file, line, "size in stat", attr.size, len);
}

int conf_file_holds(conf_t *t, const char *file, int line, vfs_file_t *handle, apr_off_t off,
                    const void *data, size_t len)
{
    char *buf = malloc(len + 1);
    size_t got = 0;
    int held = conf_is(t, file, line, "read_at", vfs_read_at(handle, NULL, buf, len, off, &got),
                       APR_SUCCESS) &&
               conf_eq(t, file, line, "bytes read", got, len) &&
               conf_same(t, file, line, buf, data, len);
    free(buf);
    return held;
}

void conf_settle(conf_t *t, const char *file, int line)
{
    while (t->nfiles > 0)
        (void)conf_is(t, file, line, "close", conf_close(t, t->files[t->nfiles - 1]), APR_SUCCESS);
    (void)conf_is(t, file, line, "ending the upper layers", sut_close_upper(&t->sut), APR_SUCCESS);
    t->fs = NULL;
}

void conf_grow_old(const conf_t *t)
{
    uint64_t step_ns = vfs_caps(t->sut.lower)->time_granularity_ns;
    if (step_ns > 0) apr_sleep((apr_interval_time_t)(step_ns / 1000) + 2000);
}

void conf_fill(void *buf, size_t len, uint64_t seed)
{
    unsigned char *p = buf;
    for (size_t i = 0; i < len; i++) {
        uint64_t x = (seed * 0x9e3779b97f4a7c15u) ^ (i / 8 * 0xbf58476d1ce4e5b9u);
        x ^= x >> 29;
        p[i] = (unsigned char)((x >> (i % 8 * 7)) + i);
    }
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

const char *conf_names(conf_t *t, vfs_t *fs, const char *path)
{
    enum { NAMES_MAX = 256 };
    static char out[NAMES_MAX * 16];
    char *names[NAMES_MAX];
    size_t count = 0, used = 0;
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    if (vfs_opendir(&dir, fs, NULL, path, 0) != APR_SUCCESS) return "(no such directory)";
    while (count < NAMES_MAX && vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
        names[count++] = strdup(entry.name);
    (void)vfs_closedir(dir); /* what counts here are the names */
    qsort(names, count, sizeof names[0], by_bytes);
    out[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        used += (size_t)snprintf(out + used, used < sizeof out ? sizeof out - used : 0, "%s ",
                                 names[i]);
        used = used < sizeof out ? used : sizeof out - 1;
        free(names[i]);
    }
    (void)t;
    return out;
}
