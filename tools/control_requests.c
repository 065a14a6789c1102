/*
 * control_requests.c - what a mount answers over its socket: figures, keys, invalidation.
 * Floor 4, private to tools/. What takes its time is in control_work.c.
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "tools/mount.h"

/* ---- lines */

void control_number(control_client_t *client, const char *name, uint64_t value)
{
    char text[24];
    const char *words[] = {"number", name, text};
    (void)snprintf(text, sizeof(text), "%" PRIu64, value);
    (void)control_send(client->stream.fd, words, 3); /* who asked may be gone */
}

void control_text(control_client_t *client, const char *name, const char *value)
{
    const char *words[] = {"text", name, value};
    (void)control_send(client->stream.fd, words, 3); /* who asked may be gone */
}

void control_note(void *baton, const char *line)
{
    const control_client_t *client = baton;
    const char *words[] = {"note", line};
    (void)control_send(client->stream.fd, words, 2); /* who asked may be gone */
}

const char *control_why(control_client_t *client, const char *path, apr_status_t status)
{
    char why[256];
    client->about = path;
    return apr_pstrdup(client->pool, vfs_strerror(status, why, sizeof(why)));
}

/* ---- figures */

static void send_figure(void *baton, const char *name, uint64_t value)
{
    control_number(baton, name, value);
}

static void send_row(void *baton, const char *const *words, size_t count)
{
    const control_client_t *client = baton;
    (void)control_send(client->stream.fd, words, count); /* who asked may be gone */
}

static const char *stats(control_client_t *client, const control_line_t *line)
{
    (void)line;
    apr_status_t st = mount_figures(client->run, client->pool, send_figure, client);
    if (st == APR_SUCCESS) mount_lists(client->run, send_row, client);
    return st == APR_SUCCESS ? NULL : control_why(client, NULL, st);
}

static void send_key(control_client_t *client, const char *key)
{
    char value[512];
    if (cachefs_get(client->run->stack.cache, key, value, sizeof(value)) == APR_SUCCESS)
        control_text(client, key, value);
}

static const char *status(control_client_t *client, const control_line_t *line)
{
    mount_run_t *run = client->run;
    cachefs_stats_t now = {.size = sizeof(now)};
    (void)line;
    apr_status_t st = cachefs_stats(run->stack.cache, &now);
    if (st != APR_SUCCESS) return control_why(client, NULL, st);
    control_text(client, "mountpoint", run->point);
    control_text(client, "origin", run->stack.uri);
    control_text(client, "store", run->cli->opt.store != NULL ? run->cli->opt.store : "none");
    control_text(client, "socket", run->socket);
    control_text(client, "metrics", run->metrics != NULL ? run->metrics : "none");
    control_number(client, "pid", (uint64_t)getpid());
    control_number(client, "up_us", (uint64_t)(apr_time_now() - run->began_us));
    send_key(client, "mode");
    send_key(client, "policy");
    control_number(client, "ram_used", now.ram_used);
    control_number(client, "ram_max", now.ram_max);
    control_number(client, "resident_bytes", now.resident_bytes);
    control_number(client, "pinned_bytes", now.pinned_bytes);
    control_number(client, "l2_bytes", now.l2_bytes);
    control_number(client, "files", now.files);
    control_number(client, "open_handles", now.open_handles);
    control_number(client, "kernel_inodes", mount_inodes(run->mount));
    control_number(client, "dirty_bytes", now.dirty_bytes);
    control_number(client, "dirty_files", now.dirty_files);
    control_number(client, "oldest_dirty_age_us", now.oldest_dirty_age_us);
    control_number(client, "flush_errors", now.flush_errors);
    control_number(client, "retrying_files", now.retrying_files);
    char why[256] = "none";
    if (now.retry_error != 0) (void)vfs_strerror((apr_status_t)now.retry_error, why, sizeof(why));
    control_text(client, "retry_error", why);
    control_number(client, "journal_bytes", now.journal_bytes);
    control_number(client, "journal_failed", now.journal_failed);
    control_number(client, "recovering", now.recovering);
    control_number(client, "recovery_lost", now.recovery_lost);
    return NULL;
}

/* ---- keys */

/* In the unit of cachefs_config_set. */
static apr_status_t set_us(vfs_t *fs, const char *key, uint64_t us, char *err, size_t errlen)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%" PRIu64 "us", us);
    return cachefs_set(fs, key, text, err, errlen);
}

/* The halves of the cache and of the kernel. */
static apr_status_t share_ttl(mount_run_t *run, const mount_ttl_t *ttl, char *err, size_t errlen)
{
    vfs_t *fs = run->stack.cache;
    apr_status_t st = set_us(fs, "attr_ttl", mount_ttl_cache(ttl, ttl->attr_us), err, errlen);
    if (st == APR_SUCCESS)
        st = set_us(fs, "negative_ttl", mount_ttl_cache(ttl, ttl->negative_us), err, errlen);
    if (st != APR_SUCCESS) return st;
    mount_set_ttl(run->mount, mount_ttl_kernel(ttl, ttl->attr_us),
                  mount_ttl_kernel(ttl, ttl->negative_us));
    run->ttl = *ttl;
    return APR_SUCCESS;
}

/* A time that the kernel shares, or what decides that it does. Keys are locked. */
static apr_status_t set_shared(control_client_t *client, const char *key, const char *value,
                               char *err, size_t errlen)
{
    mount_run_t *run = client->run;
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    mount_ttl_t ttl = run->ttl;
    apr_status_t st = cachefs_config_set(&config, key, value, err, errlen, client->pool);
    if (st != APR_SUCCESS) return st;
    if (strcmp(key, "attr_ttl") == 0) {
        ttl.attr_us = config.attr_ttl_us;
    } else if (strcmp(key, "negative_ttl") == 0) {
        ttl.negative_us = config.negative_ttl_us;
    } else {
        st = cachefs_set(run->stack.cache, key, value, err, errlen);
        ttl.by_path = config.ttl_rules != NULL && config.ttl_rules[0] != '\0';
    }
    return st == APR_SUCCESS ? share_ttl(run, &ttl, err, errlen) : st;
}

static int is_shared(const char *key)
{
    return strcmp(key, "attr_ttl") == 0 || strcmp(key, "negative_ttl") == 0 ||
           strcmp(key, "ttl") == 0;
}

static const char *set(control_client_t *client, const control_line_t *line)
{
    char err[512] = "";
    const char *key = line->word[1], *value = line->word[2];
    mount_run_t *run = client->run;
    if (strcmp(key, "log_level") == 0)
        return mount_log_set(value) ? NULL : "log_level is error, warning or info";
    if (strcmp(key, "access_log") == 0) {
        char why[VFS_PATH_MAX + 256];
        const char *wrong = mount_access_set(run, value, why, sizeof(why));
        return wrong != NULL ? apr_pstrdup(client->pool, wrong) : NULL;
    }
    (void)pthread_mutex_lock(&run->keys);
    apr_status_t st = is_shared(key) ? set_shared(client, key, value, err, sizeof(err))
                                     : cachefs_set(run->stack.cache, key, value, err, sizeof(err));
    (void)pthread_mutex_unlock(&run->keys);
    if (st == APR_SUCCESS) return NULL;
    return err[0] != '\0' ? apr_pstrdup(client->pool, err) : control_why(client, key, st);
}

/* As the user gave it, not the half of it that the cache has. */
static apr_status_t value_of(mount_run_t *run, const char *key, char *value, size_t size)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    (void)pthread_mutex_lock(&run->keys);
    config.attr_ttl_us = run->ttl.attr_us;
    config.negative_ttl_us = run->ttl.negative_us;
    (void)pthread_mutex_unlock(&run->keys);
    return strcmp(key, "attr_ttl") == 0 || strcmp(key, "negative_ttl") == 0
               ? cachefs_config_get(&config, key, value, size)
               : cachefs_get(run->stack.cache, key, value, size);
}

static const char *get(control_client_t *client, const control_line_t *line)
{
    char value[4096];
    const char *wanted = line->count > 1 ? line->word[1] : NULL;
    size_t found = 0;
    if (wanted == NULL || strcmp(wanted, "log_level") == 0) {
        control_text(client, "log_level", mount_log_get());
        found++;
    }
    if (wanted == NULL || strcmp(wanted, "access_log") == 0) {
        mount_access_get(value, sizeof(value));
        control_text(client, "access_log", value);
        found++;
    }
    for (size_t i = 0; cachefs_key_at(i) != NULL; i++) {
        const char *key = cachefs_key_at(i)->name;
        if (wanted != NULL && strcmp(wanted, key) != 0) continue;
        found++;
        if (value_of(client->run, key, value, sizeof(value)) == APR_SUCCESS)
            control_text(client, key, value);
    }
    if (found > 0) return NULL;
    return apr_psprintf(client->pool, "there is no key %s (see cachefs help keys)", wanted);
}

/* ---- invalidation */

static const char *invalidate(control_client_t *client, const control_line_t *line)
{
    const char *how = line->word[1], *path = line->word[2];
    vfs_t *fs = client->run->stack.cache;
    uint64_t names = 0, dirty = 0;
    mount_scope_e scope = MOUNT_SCOPE_PATH;
    apr_status_t st = APR_SUCCESS;
    if (strcmp(how, "prefix") == 0) {
        scope = MOUNT_SCOPE_TREE;
        st = cachefs_invalidate_prefix(fs, path, &names, &dirty);
    } else if (strcmp(how, "all") == 0) {
        if (strcmp(path, "/") != 0) return "--all is for the mountpoint itself";
        scope = MOUNT_SCOPE_TREE;
        st = cachefs_clear(fs, &dirty);
    } else if (strcmp(how, "glob") == 0) {
        scope = MOUNT_SCOPE_GLOB;
        st = cachefs_invalidate_glob(fs, path, &names, &dirty);
    } else {
        st = cachefs_invalidate(fs, path, &names, &dirty);
    }
    if (APR_STATUS_IS_EINVAL(st) && scope == MOUNT_SCOPE_GLOB)
        return "this is no pattern: each [ needs its ]";
    if (st != APR_SUCCESS) return control_why(client, path, st);
    mount_t *mount = client->run->mount;
    if (!mount_dropped(mount, mount_drop(mount, scope, path), client->cancel))
        return "the cache has let go; the kernel could not be told, since the mount ends";
    control_number(client, "names", names);
    control_number(client, "dirty_kept_bytes", dirty);
    return NULL;
}

/* What is to be protected must be there. */
static const char *pin(control_client_t *client, const control_line_t *line)
{
    const char *path = line->word[2];
    vfs_t *fs = client->run->stack.cache;
    int on = strcmp(line->word[1], "on") == 0;
    apr_status_t st = APR_SUCCESS;
    if (on) st = cachefs_prefetch_path(fs, &client->ctx, path, NULL, NULL);
    if (st == APR_SUCCESS) st = cachefs_pin(fs, path, on);
    if (st == APR_SUCCESS) return NULL;
    if (!on && st == APR_NOTFOUND) return NULL; /* nothing of it is there */
    const char *why = control_why(client, path, st);
    return st == VFS_ELIMIT ? "more than pin_bytes_max cannot be protected, or ram is full" : why;
}

/* ---- all of them */

static const struct {
    const char *name;
    size_t words_min, words_max;
    const char *(*answer)(control_client_t *client, const control_line_t *line);
} requests[] = {
    {"status", 1, 1, status},
    {"stats", 1, 1, stats},
    {"set", 3, 3, set},
    {"get", 1, 2, get},
    {"invalidate", 3, 3, invalidate},
    {"pin", 3, 3, pin},
    {"flush", 4, 4, control_flush},
    {"warm", 2, CONTROL_WORDS_MAX, control_warm},
    {"entries", 3, 3, control_entries},
    {"unmount", 3, 3, control_unmount},
};

const char *control_answer(control_client_t *client, const control_line_t *line)
{
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        if (strcmp(requests[i].name, line->word[0]) != 0) continue;
        if (line->count < requests[i].words_min || line->count > requests[i].words_max) break;
        return requests[i].answer(client, line);
    }
    return "what was asked is not known here: the program of the mount is of another version";
}
