/*
 * control_work.c - what a mount does when it is asked over its socket, and what takes its time:
 * flushing, warming, listing, the end. Floor 4, private to tools/.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "tools/mount.h"

#define ENTRIES 256u

static int parse_number(const char *text, uint64_t *value)
{
    char *end = NULL;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
}

static const char bad_request[] = "what was asked cannot be understood";

static apr_time_t until(uint64_t timeout_us)
{
    return timeout_us != 0 ? apr_time_now() + (apr_time_t)timeout_us : 0;
}

/* ---- flush PATH once|wait TIMEOUT_US */

static uint64_t dirty_now(mount_run_t *run)
{
    cachefs_stats_t stats = {.size = sizeof(stats)};
    if (cachefs_stats(run->stack.cache, &stats) != APR_SUCCESS) return 0;
    return stats.dirty_bytes;
}

static const char *left_behind(control_client_t *client, apr_status_t status)
{
    char shown[32], why[256];
    cli_show_bytes(shown, sizeof(shown), (double)dirty_now(client->run));
    if (APR_STATUS_IS_TIMEUP(status))
        return apr_psprintf(client->pool,
                            "the time is over; %s of the mount are not yet written to the origin",
                            shown);
    return apr_psprintf(client->pool, "%s; %s of the mount are not yet written to the origin",
                        vfs_strerror(status, why, sizeof(why)), shown);
}

const char *control_flush(control_client_t *client, const control_line_t *line)
{
    const char *path = strcmp(line->word[1], "/") == 0 ? NULL : line->word[1];
    mount_run_t *run = client->run;
    uint64_t timeout_us = 0;
    if (!parse_number(line->word[3], &timeout_us)) return bad_request;
    apr_status_t status =
        strcmp(line->word[2], "wait") == 0
            ? mount_flush(run, &client->ctx, path, until(timeout_us), control_note, client)
            : cachefs_flush(run->stack.cache, &client->ctx, path, 0);
    return status == APR_SUCCESS ? NULL : left_behind(client, status);
}

/* ---- unmount HOW TIMEOUT_US */

/* NULL: it is out of the tree. Else why not; then all is as it was. */
static const char *leave_tree(control_client_t *client, const char *how, uint64_t timeout_us)
{
    mount_run_t *run = client->run;
    if (strcmp(how, "fail") == 0 && dirty_now(run) > 0)
        return "there is data that is not yet written to the origin";
    if (strcmp(how, "wait") == 0 &&
        mount_flush(run, &client->ctx, NULL, until(timeout_us), control_note, client))
        return "not all could be written to the origin in time; it is still mounted";
    int error = mount_point_leave(run->point, strcmp(how, "detach") == 0);
    if (error == 0) return NULL;
    return error == EBUSY ? MOUNT_IN_USE : strerror(error);
}

const char *control_unmount(control_client_t *client, const control_line_t *line)
{
    const char *how = line->word[1];
    uint64_t timeout_us = 0;
    int detach = strcmp(how, "detach") == 0;
    if (!parse_number(line->word[2], &timeout_us) ||
        (strcmp(how, "wait") != 0 && !detach && strcmp(how, "fail") != 0))
        return bad_request;
    const char *wrong = leave_tree(client, how, timeout_us);
    if (wrong == NULL && !detach) atomic_store(&client->waits, 1);
    return wrong;
}

/* ---- warm KEY=VALUE... */

typedef struct warm_request_t {
    control_client_t *client;
    warm_options_t options;
    warm_plan_t *plan;
    char err[1024];
} warm_request_t;

static apr_status_t add_path(warm_request_t *req, const char *path)
{
    vfs_attr_t attr;
    vfs_t *fs = req->client->run->stack.cache;
    if (vfs_stat(fs, &req->client->ctx, path, &attr) == APR_SUCCESS && attr.type == VFS_TYPE_DIR)
        return warm_plan_tree(req->plan, fs, &req->client->ctx, path, req->err, sizeof(req->err));
    return warm_plan_paths(req->plan, &path, 1, req->err, sizeof(req->err));
}

static apr_status_t add_to_plan(warm_request_t *req, const char *key, const char *value)
{
    control_client_t *client = req->client;
    vfs_t *fs = client->run->stack.cache;
    if (strcmp(key, "path") == 0) return add_path(req, value);
    if (strcmp(key, "list") == 0)
        return warm_plan_list(req->plan, value, client->run->point, req->err, sizeof(req->err));
    if (strcmp(key, "glob") == 0)
        return warm_plan_glob(req->plan, fs, &client->ctx, value, req->err, sizeof(req->err));
    if (strcmp(key, "tree") == 0)
        return warm_plan_tree(req->plan, fs, &client->ctx, value, req->err, sizeof(req->err));
    if (strcmp(key, "heat") == 0)
        return warm_plan_heat(req->plan, value, req->err, sizeof(req->err));
    return APR_NOTFOUND;
}

static int set_option(warm_request_t *req, const char *key, const char *value)
{
    warm_options_t *options = &req->options;
    uint64_t number = 0;
    if (strcmp(key, "resume") == 0) {
        options->resume_file = value;
        return 1;
    }
    if (!parse_number(value, &number)) return 0;
    if (strcmp(key, "jobs") == 0 && number >= 1 && number <= 1024)
        options->workers = (uint32_t)number;
    else if (strcmp(key, "priority") == 0 && number <= VFS_PRIORITY_HIGH)
        options->priority = (vfs_priority_e)number;
    else if (strcmp(key, "rate") == 0)
        options->bytes_per_second = number;
    else if (strcmp(key, "max_file") == 0)
        options->file_bytes_max = number;
    else if (strcmp(key, "max_bytes") == 0)
        options->job_bytes_max = number;
    else if (strcmp(key, "stop") == 0)
        options->on_error = number != 0 ? WARM_STOP : WARM_SKIP;
    else
        return 0;
    return 1;
}

/* What is wrong, or NULL. */
static const char *take_warm(warm_request_t *req, const control_line_t *line)
{
    apr_pool_t *pool = req->client->pool;
    for (size_t i = 1; i < line->count; i++) {
        const char *equals = strchr(line->word[i], '=');
        if (equals == NULL) return bad_request;
        const char *key = apr_pstrndup(pool, line->word[i], (apr_size_t)(equals - line->word[i]));
        apr_status_t status = add_to_plan(req, key, equals + 1);
        if (status == APR_SUCCESS) continue;
        if (status != APR_NOTFOUND || req->err[0] != '\0')
            return req->err[0] != '\0' ? apr_pstrdup(pool, req->err)
                                       : control_why(req->client, equals + 1, status);
        if (!set_option(req, key, equals + 1)) return bad_request;
    }
    return NULL;
}

static int on_progress(void *baton, const warm_progress_t *now)
{
    warm_request_t *req = baton;
    char text[3][24];
    const char *words[] = {"progress", text[0], text[1], text[2]};
    (void)snprintf(text[0], sizeof(text[0]), "%" PRIu64, now->files_done);
    (void)snprintf(text[1], sizeof(text[1]), "%" PRIu64, now->files_total);
    (void)snprintf(text[2], sizeof(text[2]), "%" PRIu64, now->bytes_done);
    (void)control_send(req->client->stream.fd, words, 4); /* who asked may be gone */
    return 0;
}

static void send_result(control_client_t *client, warm_job_t *job)
{
    char why[256];
    const warm_error_t *errors = NULL;
    warm_progress_t result = {0};
    cachefs_stats_t stats = {.size = sizeof(stats)};
    size_t count = warm_errors(job, &errors);
    warm_poll(job, &result);
    for (size_t i = 0; i < count; i++) {
        const char *words[] = {"failed", errors[i].path,
                               vfs_strerror(errors[i].status, why, sizeof(why))};
        (void)control_send(client->stream.fd, words, 3); /* who asked may be gone */
    }
    if (cachefs_stats(client->run->stack.cache, &stats) != APR_SUCCESS) stats.ram_used = 0;
    control_number(client, "files", result.files_total);
    control_number(client, "done", result.files_done);
    control_number(client, "skipped", result.files_skipped);
    control_number(client, "failed", result.files_failed);
    control_number(client, "bytes", result.bytes_done);
    control_number(client, "fetched_bytes", result.bytes_fetched);
    control_number(client, "us", (uint64_t)(result.seconds * 1e6));
    control_number(client, "resident_bytes", stats.resident_bytes);
    control_number(client, "ram_used_bytes", stats.ram_used);
}

const char *control_warm(control_client_t *client, const control_line_t *line)
{
    static const warm_options_t init = WARM_OPTIONS_INIT;
    warm_request_t *req = apr_pcalloc(client->pool, sizeof(*req));
    warm_job_t *job = NULL;
    req->client = client;
    req->options = init;
    req->options.progress = on_progress;
    req->options.progress_baton = req;
    req->options.cancel = client->cancel;
    apr_status_t status = warm_plan_create(&req->plan, client->pool);
    if (status != APR_SUCCESS) return control_why(client, NULL, status);
    const char *wrong = take_warm(req, line);
    if (wrong != NULL) return wrong;
    status = warm_start(&job, client->run->stack.cache, req->plan, &req->options, req->err,
                        sizeof(req->err), client->pool);
    if (status != APR_SUCCESS)
        return req->err[0] != '\0' ? apr_pstrdup(client->pool, req->err)
                                   : control_why(client, NULL, status);
    status = warm_wait(job, 0);
    send_result(client, job);
    const warm_error_t *errors = NULL;
    int told = warm_errors(job, &errors) > 0;
    warm_job_destroy(job);
    return status == APR_SUCCESS || told ? NULL : control_why(client, NULL, status);
}

/* ---- entries PATH 0|1 */

typedef struct listing_t {
    control_client_t *client;
    const char *start;
    int recursive;
    apr_status_t status; /* the first error of a directory */
    size_t count;
    char *path[ENTRIES];
    cachefs_entry_t *entry; /* of them */
    uint64_t *stored;
} listing_t;

static int send_entry(const listing_t *listing, size_t at)
{
    const cachefs_entry_t *entry = &listing->entry[at];
    char text[7][24];
    const uint64_t values[] = {entry->size,         entry->resident,        entry->dirty,
                               entry->dirty_age_us, (uint64_t)entry->fresh, (uint64_t)entry->pinned,
                               listing->stored[at]};
    const char *words[9] = {"entry", listing->path[at]};
    for (size_t i = 0; i < 7; i++) {
        (void)snprintf(text[i], sizeof(text[i]), "%" PRIu64, values[i]);
        words[i + 2] = text[i];
    }
    return control_send(listing->client->stream.fd, words, 9);
}

/* Those of which there is anything. 0: he who asked is gone. */
static int send_entries(listing_t *listing)
{
    vfs_t *fs = listing->client->run->stack.cache;
    const char *const *path = (const char *const *)listing->path;
    int sent = 1;
    if (listing->count > 0 &&
        (cachefs_entries(fs, path, listing->count, listing->entry) != APR_SUCCESS ||
         cachefs_stored(fs, path, listing->count, listing->stored) != APR_SUCCESS))
        sent = 0;
    for (size_t i = 0; i < listing->count; i++) {
        const cachefs_entry_t *entry = &listing->entry[i];
        int held =
            entry->status == APR_SUCCESS && !entry->negative &&
            (entry->resident > 0 || entry->dirty > 0 || entry->pinned || listing->stored[i] > 0);
        if (sent && held) sent = send_entry(listing, i);
        free(listing->path[i]);
    }
    listing->count = 0;
    return sent;
}

static apr_status_t visit(void *baton, const char *path, const vfs_attr_t *attr,
                          apr_status_t status)
{
    listing_t *listing = baton;
    if (vfs_cancel_raised(listing->client->cancel)) return VFS_WALK_STOP;
    if (status != APR_SUCCESS) {
        if (listing->status == APR_SUCCESS) listing->status = status;
        return APR_SUCCESS;
    }
    if (attr->type == VFS_TYPE_DIR)
        return listing->recursive || strcmp(path, listing->start) == 0 ? APR_SUCCESS
                                                                       : VFS_WALK_SKIP;
    if (attr->type != VFS_TYPE_FILE) return APR_SUCCESS;
    char *copy = strdup(path);
    if (copy == NULL) return APR_ENOMEM;
    listing->path[listing->count++] = copy;
    return listing->count < ENTRIES || send_entries(listing) ? APR_SUCCESS : VFS_WALK_STOP;
}

const char *control_entries(control_client_t *client, const control_line_t *line)
{
    listing_t *listing = apr_pcalloc(client->pool, sizeof(*listing));
    listing->entry = apr_palloc(client->pool, ENTRIES * sizeof(*listing->entry));
    listing->stored = apr_palloc(client->pool, ENTRIES * sizeof(*listing->stored));
    listing->client = client;
    listing->start = line->word[1];
    listing->recursive = strcmp(line->word[2], "1") == 0;
    apr_status_t status =
        vfs_walk(client->run->stack.cache, &client->ctx, listing->start, visit, listing);
    (void)send_entries(listing); /* who asked may be gone */
    if (status == APR_SUCCESS) status = listing->status;
    return status == APR_SUCCESS ? NULL : control_why(client, listing->start, status);
}
