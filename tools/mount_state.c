/*
 * mount_state.c - what the cache holds of one file of a mount, as its attributes user.cachefs.*
 * tell it. Floor 4, private to tools/.
 */
#include <inttypes.h>
#include <string.h>

#include "tools/mount.h"

typedef struct state_t {
    mount_run_t *run;
    const vfs_ctx_t *ctx;
    const char *path;
    cachefs_entry_t entry;
    uint64_t stored;
} state_t;

typedef apr_status_t (*tell_fn)(const state_t *state, char *buf, size_t size);

static apr_status_t number(char *buf, size_t size, uint64_t value)
{
    (void)snprintf(buf, size, "%" PRIu64, value);
    return APR_SUCCESS;
}

static apr_status_t resident(const state_t *state, char *buf, size_t size)
{
    return number(buf, size, state->entry.resident);
}

static apr_status_t stored(const state_t *state, char *buf, size_t size)
{
    return number(buf, size, state->stored);
}

static apr_status_t dirty(const state_t *state, char *buf, size_t size)
{
    return number(buf, size, state->entry.dirty);
}

static apr_status_t dirty_age(const state_t *state, char *buf, size_t size)
{
    return number(buf, size, state->entry.dirty_age_us);
}

static apr_status_t pinned(const state_t *state, char *buf, size_t size)
{
    return number(buf, size, (uint64_t)state->entry.pinned);
}

static apr_status_t fresh(const state_t *state, char *buf, size_t size)
{
    return number(buf, size, (uint64_t)state->entry.fresh);
}

/* Where its bytes would come from. */
static apr_status_t level(const state_t *state, char *buf, size_t size)
{
    const cachefs_entry_t *entry = &state->entry;
    const char *text = entry->status != APR_SUCCESS          ? "below"
                       : entry->resident >= entry->size      ? "memory"
                       : state->stored >= entry->size        ? "store"
                       : entry->resident + state->stored > 0 ? "partly"
                                                             : "below";
    (void)snprintf(buf, size, "%s", text);
    return APR_SUCCESS;
}

/* What is compared, in hexadecimal. It may be asked below. */
static apr_status_t validator(const state_t *state, char *buf, size_t size)
{
    vfs_validator_t now = {0};
    size_t at = 0;
    apr_status_t status = vfs_validator(state->run->stack.top, state->ctx, state->path, &now);
    if (status != APR_SUCCESS) return status;
    at += (size_t)snprintf(buf, size, "%s", cli_validator_kind(&now));
    for (size_t i = 0; i < now.len && at + 4 < size; i++)
        at += (size_t)snprintf(buf + at, size - at, "%s%02x", i == 0 ? ":" : "", now.data[i]);
    return APR_SUCCESS;
}

static const struct {
    const char *name;
    tell_fn tell;
} states[] = {
    {"resident", resident}, {"stored", stored}, {"dirty", dirty}, {"dirty_age_us", dirty_age},
    {"pinned", pinned},     {"fresh", fresh},   {"level", level}, {"validator", validator},
};

apr_status_t mount_state(void *baton, const vfs_ctx_t *ctx, const char *path, const char *name,
                         char *buf, size_t size)
{
    state_t state = {.run = baton, .ctx = ctx, .path = path};
    size_t i = 0, count = sizeof(states) / sizeof(states[0]);
    while (i < count && strcmp(states[i].name, name) != 0)
        i++;
    if (i == count) return VFS_ENODATA;
    apr_status_t status = cachefs_entry(state.run->stack.cache, path, &state.entry);
    if (status != APR_SUCCESS && status != APR_NOTFOUND) return status;
    if (cachefs_stored(state.run->stack.cache, &path, 1, &state.stored) != APR_SUCCESS)
        state.stored = 0;
    return states[i].tell(&state, buf, size);
}
