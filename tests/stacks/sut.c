/*
 * sut.c - builds and ends stacks under test. Floor 4: test support. Knows every layer, and nothing
 * of the tables that run over them.
 */
#include "tests/stacks/sut.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <apr_strings.h>

#include "backends/backends.h"
#include "tests/stacks/s3server.h"

static apr_status_t add(sut_t *sut, vfs_t *fs)
{
    if (sut->nlayers == SUT_LAYERS_MAX) return APR_EINVAL;
    sut->layers[sut->nlayers++] = fs;
    sut->fs = fs;
    return APR_SUCCESS;
}

static apr_status_t add_local(sut_t *sut)
{
    vfs_t *fs = NULL;
    strcpy(sut->root, "/tmp/cachefs-sut-XXXXXX");
    if (mkdtemp(sut->root) == NULL) return apr_get_os_error();
    if (chmod(sut->root, 0755) != 0) /* others may search it, as they may the root of mem */
        return apr_get_os_error();
    sut->traits |= SUT_LOCAL;
    apr_status_t rv = vfs_local_create(&fs, sut->root, sut->pool);
    return rv == APR_SUCCESS ? add(sut, fs) : rv;
}

static apr_status_t set_word(sut_t *sut, cachefs_config_t *config, const char *word, char *err,
                             size_t errlen)
{
    if (strchr(word, '=') != NULL) {
        char *key = apr_pstrdup(sut->pool, word);
        char *value = strchr(key, '=');
        *value++ = '\0';
        return cachefs_config_set(config, key, value, err, errlen, sut->pool);
    }
    if (strcmp(word, "through") == 0) {
        config->mode = CACHEFS_THROUGH;
    } else if (strcmp(word, "back") == 0) {
        config->mode = CACHEFS_BACK;
    } else if (strcmp(word, "around") == 0) {
        config->mode = CACHEFS_AROUND;
    } else if (strcmp(word, "tiny") == 0) {
        config->ram_bytes = 1u << 20;
        config->entries_max = 64;
        config->metadata_entries_max = 64;
        sut->traits |= SUT_TINY;
    } else if (strcmp(word, "large") == 0) {
        config->ram_bytes = 128u << 20;
    } else if (strcmp(word, "store") == 0 && sut->store == NULL) {
        apr_status_t rv = vfs_mem_create(&sut->store, 0, sut->pool);
        if (rv == APR_SUCCESS) rv = vfs_fault_create(&sut->bad_store, sut->store, 1, sut->pool);
        if (rv != APR_SUCCESS) return rv;
        config->store = sut->bad_store;
        config->origin = "under test";
        config->store_bytes = 8u << 20;
        config->store_free_min = 1;
        config->journal_bytes = 4u << 20;
    } else if (word[0] == 's' && word[1] >= '1' && word[1] <= '9') {
        config->shards = (uint32_t)strtoul(word + 1, NULL, 10);
    } else {
        snprintf(err, errlen, "no such word of a cache: %s", word);
        return APR_EINVAL;
    }
    return APR_SUCCESS;
}

static apr_status_t set_keys(sut_t *sut, cachefs_config_t *config, const char *keys, char *err,
                             size_t errlen)
{
    char *state = NULL;
    char *text = apr_pstrdup(sut->pool, keys);
    apr_status_t rv = APR_SUCCESS;
    for (char *w = apr_strtok(text, ",", &state); w != NULL && rv == APR_SUCCESS;
         w = apr_strtok(NULL, ",", &state))
        rv = set_word(sut, config, w, err, errlen);
    return rv;
}

static apr_status_t add_cache(sut_t *sut, const char *words, const char *keys, char *err,
                              size_t errlen)
{
    static const uint32_t trait[] = {
        [CACHEFS_THROUGH] = SUT_THROUGH, [CACHEFS_BACK] = SUT_BACK, [CACHEFS_AROUND] = SUT_AROUND};
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    vfs_t *count = NULL, *cache = NULL;
    char *state = NULL;
    char *text = apr_pstrdup(sut->pool, words);
    config.workers = 2;
    config.ram_bytes = 32u << 20;
    for (char *w = apr_strtok(text, "-", &state); w != NULL; w = apr_strtok(NULL, "-", &state)) {
        apr_status_t rv = set_word(sut, &config, w, err, errlen);
        if (rv != APR_SUCCESS) return rv;
    }
    apr_status_t rv = keys != NULL ? set_keys(sut, &config, keys, err, errlen) : APR_SUCCESS;
    if (!(sut->traits & SUT_READONLY)) sut->lower = sut->fs;
    if (rv == APR_SUCCESS) rv = vfs_count_create(&count, sut->fs, sut->pool);
    if (rv == APR_SUCCESS) rv = add(sut, count);
    if (rv == APR_SUCCESS) rv = cachefs_create(&cache, count, &config, err, errlen, sut->pool);
    if (rv != APR_SUCCESS) return rv;
    sut->count = count;
    sut->cache = cache;
    sut->shards = config.shards ? config.shards : 32;
    sut->traits &= ~(SUT_THROUGH | SUT_BACK | SUT_AROUND | SUT_LAZY_CLOSE | SUT_JOURNAL);
    sut->traits |= SUT_CACHE | trait[config.mode];
    if (config.mode == CACHEFS_BACK && config.store && config.fsync == CACHEFS_FSYNC_JOURNAL)
        sut->traits |= SUT_JOURNAL;
    /* with a journal a close queues the upload, no more */
    if (config.mode == CACHEFS_BACK && (config.store || !config.flush_on_close))
        sut->traits |= SUT_LAZY_CLOSE;
    return add(sut, cache);
}

/* The directory below, as a web server shows it. */
static apr_status_t add_http(sut_t *sut, const char *what, char *err, size_t errlen)
{
    static const struct {
        const char *what;
        webserver_start_fn start;
        const char *lines;
    } rows[] = {{"html", nginx_start, "autoindex on;"},
                {"json", nginx_start, "autoindex on; autoindex_format json;"},
                {"apache", apache_start, "IndexOptions FancyIndexing HTMLTable"},
                {"lighttpd", lighttpd_start,
                 "dir-listing.activate = \"enable\"\ndir-listing.hide-dotfiles = \"disable\""}};
    vfs_t *fs = NULL;
    char uri[96];
    size_t row = 0;
    while (row < 4 && strcmp(rows[row].what, what) != 0)
        row++;
    if (row == 4 || sut->root[0] == '\0' || sut->fs != sut->bottom) return APR_EINVAL;
    if (!rows[row].start(&sut->web, sut->root, rows[row].lines, 0)) return apr_get_os_error();
    snprintf(uri, sizeof uri, "http://127.0.0.1:%d/?proxy=none", sut->web.port);
    apr_status_t rv = vfs_http_create(&fs, uri, err, errlen, sut->pool);
    if (rv != APR_SUCCESS) return rv;
    sut->lower = sut->fs;
    sut->traits |= SUT_READONLY;
    return add(sut, fs);
}

/* A bottom of its own: a directory that a server serves. */
static apr_status_t add_webdav(sut_t *sut, const char *what, char *err, size_t errlen)
{
    static const struct {
        const char *what;
        webserver_start_fn start;
    } rows[] = {{"nginx", nginx_start}, {"apache", apache_start}, {"lighttpd", lighttpd_start}};
    vfs_t *fs = NULL;
    char uri[96];
    size_t row = 0;
    while (row < 3 && strcmp(rows[row].what, what) != 0)
        row++;
    if (row == 3 || sut->nlayers > 0) return APR_EINVAL;
    strcpy(sut->root, "/tmp/cachefs-sut-XXXXXX");
    if (mkdtemp(sut->root) == NULL || chmod(sut->root, 0777) != 0) return apr_get_os_error();
    if (!rows[row].start(&sut->web, sut->root, "", WEBSERVER_DAV)) return apr_get_os_error();
    snprintf(uri, sizeof uri, "dav://127.0.0.1:%d/?proxy=none", sut->web.port);
    apr_status_t rv = vfs_webdav_create(&fs, uri, err, errlen, sut->pool);
    sut->traits |= SUT_DEEP;
    if (row != 1) sut->traits |= SUT_PICKY;
    return rv == APR_SUCCESS ? add(sut, fs) : rv;
}

static sshd_t sshd; /* one for all stacks of the process: to start one takes its time */

static void stop_sshd(void)
{
    sshd_stop(&sshd);
}

/* The directory below, as an SSH server shows it. */
static apr_status_t add_sftp(sut_t *sut, const char *options, char *err, size_t errlen)
{
    static pid_t owner;
    vfs_t *fs = NULL;
    char uri[512];
    if (sut->root[0] == '\0' || sut->fs != sut->bottom) return APR_EINVAL;
    if (owner != getpid()) { /* what a parent has started is the parent's */
        memset(&sshd, 0, sizeof sshd);
        if (!sshd_start(&sshd, NULL)) return apr_get_os_error();
        owner = getpid();
        (void)atexit(stop_sshd);
    }
    sshd_uri(&sshd, 0, sut->root, options, uri, sizeof uri);
    apr_status_t rv = vfs_sftp_create(&fs, uri, err, errlen, sut->pool);
    if (rv != APR_SUCCESS) return rv;
    sut->lower = sut->fs;
    sut->traits |= SUT_DEEP;
    return add(sut, fs);
}

static webserver_t s3_web; /* one for all stacks of the process, as above */

static void stop_s3(void)
{
    webserver_stop(&s3_web);
}

/* That of the test's own, or ("given") one that somebody started, whose port is in the environment.
 */
static int start_s3(int given, int rver, int plain)
{
    const char *port = getenv("CACHEFS_S3_PORT");
    memset(&s3_web, 0, sizeof s3_web);
    if (given) {
        s3_web.port = port != NULL ? atoi(port) : 0;
        errno = EINVAL;
        return s3_web.port > 0;
    }
    if (!(rver ? s3rver_start(&s3_web) : s3server_start(&s3_web, plain ? "plain,etags" : NULL)))
        return 0;
    (void)atexit(stop_s3);
    return 1;
}

/* A bottom of its own: a part of a bucket. */
static apr_status_t add_s3(sut_t *sut, const char *what, char *err, size_t errlen)
{
    static pid_t owner;
    static unsigned count;
    vfs_t *fs = NULL;
    char uri[256], place[48];
    int plain = strcmp(what, "-plain") == 0, rver = strncmp(what, "-rver", 5) == 0;
    int given = strncmp(what, "-given", 6) == 0;
    int links = strcmp(rver ? what + 5 : given ? what + 6 : what, "-links") == 0;
    if (sut->nlayers > 0 || (what[0] != '\0' && !plain && !rver && !given && !links))
        return APR_EINVAL;
    s3server_credentials(rver);
    if (owner != getpid()) { /* one program has stacks of one kind alone */
        if (!start_s3(given, rver, plain)) return apr_get_os_error();
        owner = getpid();
    }
    snprintf(place, sizeof place, "test/p%u-%u", (unsigned)owner, count++);
    s3server_uri(uri, sizeof uri, s3_web.port, place,
                 plain   ? ""
                 : links ? "&meta=yes"
                         : "&meta=yes&links=no");
    sut->traits |= SUT_DEEP | SUT_STILL | (given ? SUT_PICKY : 0) | (links ? SUT_VAGUE : 0);
    apr_status_t rv = vfs_s3_create(&fs, uri, err, errlen, sut->pool);
    return rv == APR_SUCCESS ? add(sut, fs) : rv;
}

static void no_line(void *baton, const char *line)
{
    (void)line;
    (void)line;
    atomic_fetch_add_explicit((atomic_uint_least64_t *)baton, 1, memory_order_relaxed);
}

static apr_status_t add_plain(sut_t *sut, const char *name)
{
    static atomic_uint_least64_t lines;
    vfs_t *fs = NULL;
    apr_status_t rv = APR_EINVAL;
    vfs_delay_t no_delay = {0, 0, 0, 0, 1};
    if (strcmp(name, "mem") == 0) {
        rv = vfs_mem_create(&fs, 0, sut->pool);
    } else if (sut->fs == NULL) {
        return APR_EINVAL;
    } else if (strcmp(name, "null") == 0) {
        rv = vfs_null_create(&fs, sut->fs, sut->pool);
    } else if (strcmp(name, "trace") == 0) {
        rv = vfs_trace_create(&fs, sut->fs, no_line, &lines, sut->pool);
    } else if (strcmp(name, "count") == 0) {
        rv = vfs_count_create(&fs, sut->fs, sut->pool);
    } else if (strcmp(name, "fault") == 0) {
        rv = vfs_fault_create(&fs, sut->fs, 1, sut->pool);
        sut->fault = fs;
    } else if (strcmp(name, "delay") == 0) {
        rv = vfs_delay_create(&fs, sut->fs, &no_delay, sut->pool);
    } else if (strcmp(name, "bare") == 0) {
        rv = sut_bare_create(&fs, sut->fs, sut->pool);
    } else if (strcmp(name, "noid") == 0) {
        rv = sut_noid_create(&fs, sut->fs, sut->pool);
    } else if (strcmp(name, "whole") == 0) {
        rv = sut_whole_create(&fs, sut->fs, sut->pool);
    } else if (strcmp(name, "plain") == 0) {
        rv = sut_plain_create(&fs, sut->fs, sut->pool);
    } else if (strcmp(name, "links") == 0) {
        rv = vfs_links_create(&fs, sut->fs, 0, sut->pool);
    } else if (strcmp(name, "objects") == 0) {
        rv = vfs_objects_create(&fs, sut->fs, NULL, sut->pool);
        sut->traits |= SUT_STAGED;
    } else if (strcmp(name, "readonly") == 0) {
        rv = vfs_readonly_create(&fs, sut->fs, sut->pool);
        sut->traits |= SUT_READONLY;
    } else if (strcmp(name, "sub") == 0) {
        sut->traits |= SUT_SUB;
        rv = vfs_mkdir_all(sut->fs, NULL, "/sub/root", 0755);
        if (rv == APR_SUCCESS) rv = vfs_sub_create(&fs, sut->fs, "/sub/root", sut->pool);
    } else if (strncmp(name, "corfs-", 6) == 0) {
        uint32_t flags = strcmp(name, "corfs-serve") == 0 ? VFS_CORFS_SERVE : VFS_CORFS_EXACT;
        sut->traits |= SUT_CORFS;
        rv = vfs_mem_create(&sut->copy, 0, sut->pool);
        if (rv == APR_SUCCESS) rv = vfs_corfs_create(&fs, sut->fs, sut->copy, flags, sut->pool);
    }
    if (rv != APR_SUCCESS) return rv;
    if (sut->cache == NULL) sut->lower = sut->fs;
    return add(sut, fs);
}

static apr_status_t add_layer(sut_t *sut, const char *name, const char *keys, char *err,
                              size_t errlen)
{
    apr_status_t rv = APR_SUCCESS;
    if (strcmp(name, "local") == 0)
        rv = add_local(sut);
    else if (strncmp(name, "http-", 5) == 0)
        rv = add_http(sut, name + 5, err, errlen);
    else if (strcmp(name, "sftp") == 0)
        rv = add_sftp(sut, "", err, errlen);
    else if (strcmp(name, "sftp-nolinks") == 0)
        rv = add_sftp(sut, "links=no", err, errlen);
    else if (strncmp(name, "s3", 2) == 0)
        rv = add_s3(sut, name + 2, err, errlen);
    else if (strncmp(name, "webdav-", 7) == 0)
        rv = add_webdav(sut, name + 7, err, errlen);
    else if (strncmp(name, "cache", 5) == 0 && (name[5] == '-' || name[5] == '\0'))
        rv = add_cache(sut, name[5] == '-' ? name + 6 : "", keys, err, errlen);
    else
        rv = add_plain(sut, name);
    if (rv != APR_SUCCESS && err[0] == '\0') {
        char text[128];
        snprintf(err, errlen, "%s: %s", name, vfs_strerror(rv, text, sizeof text));
    }
    return rv;
}

apr_status_t sut_open(sut_t *sut, const char *spec, const char *keys, char *err, size_t errlen,
                      apr_pool_t *parent)
{
    memset(sut, 0, sizeof *sut);
    err[0] = '\0';
    snprintf(sut->spec, sizeof sut->spec, "%s", spec);
    apr_status_t rv = apr_pool_create(&sut->pool, parent);
    if (rv != APR_SUCCESS) return rv;
    char *text = apr_pstrdup(sut->pool, spec);
    while (rv == APR_SUCCESS && text != NULL) {
        char *slash = strrchr(text, '/');
        rv = add_layer(sut, slash != NULL ? slash + 1 : text, keys, err, errlen);
        if (slash != NULL)
            *slash = '\0';
        else
            text = NULL;
        if (sut->nlayers == 1) sut->bottom = sut->fs;
    }
    if (rv != APR_SUCCESS) (void)sut_close(sut); /* the error that counts is in rv */
    return rv;
}

static apr_status_t left_open(vfs_t *fs)
{
    vfs_counts_t counts;
    if (strcmp(vfs_name(fs), "count") != 0) return APR_SUCCESS;
    vfs_count_get(fs, &counts);
    return counts.open_files != 0 || counts.open_dirs != 0 ? VFS_EDIRTY : APR_SUCCESS;
}

static apr_status_t close_down_to(sut_t *sut, const vfs_t *stop)
{
    apr_status_t first = APR_SUCCESS;
    while (sut->nlayers > 0 && sut->layers[sut->nlayers - 1] != stop) {
        vfs_t *fs = sut->layers[--sut->nlayers];
        apr_status_t left = left_open(fs);
        apr_status_t rv = vfs_destroy(fs);
        if (first == APR_SUCCESS) first = rv != APR_SUCCESS ? rv : left;
    }
    sut->fs = sut->nlayers > 0 ? sut->layers[sut->nlayers - 1] : NULL;
    sut->cache = sut->count = NULL;
    return first;
}

apr_status_t sut_close_upper(sut_t *sut)
{
    return sut->lower != NULL ? close_down_to(sut, sut->lower) : APR_SUCCESS;
}

/* The directory of a local bottom is emptied through a file system of its own: an earlier failure
 * must not keep it. */
static void remove_root(sut_t *sut)
{
    vfs_t *fs = NULL;
    if (sut->root[0] == '\0') return;
    if (vfs_local_create(&fs, sut->root, sut->pool) == APR_SUCCESS) {
        (void)vfs_remove_all(fs, NULL,
                             "/"); /* a temporary directory: what stays is the system's to clean */
        (void)vfs_destroy(fs);
    }
    (void)remove(sut->root);
}

apr_status_t sut_close(sut_t *sut)
{
    apr_status_t rv = close_down_to(sut, NULL);
    if (sut->copy != NULL) {
        apr_status_t copy_rv = vfs_destroy(sut->copy);
        rv = rv != APR_SUCCESS ? rv : copy_rv;
    }
    sut->copy = NULL;
    if (sut->store != NULL) {
        apr_status_t store_rv = vfs_destroy_stack(sut->bad_store ? sut->bad_store : sut->store);
        rv = rv != APR_SUCCESS ? rv : store_rv;
    }
    sut->store = sut->bad_store = NULL;
    webserver_stop(&sut->web);
    remove_root(sut);
    apr_pool_destroy(sut->pool);
    sut->pool = NULL;
    return rv;
}
