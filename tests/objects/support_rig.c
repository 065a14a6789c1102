/*
 * support_rig.c - see support_rig.h.
 */
#include "tests/objects/support_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <apr_general.h>

static void log_line(void *baton, const char *line)
{
    rig_t *rig = baton;
    snprintf(rig->logged, sizeof(rig->logged), "%s", line);
}

void rig_open(rig_t *rig, uint64_t without, uint64_t spool)
{
    vfs_objects_config_t config = VFS_OBJECTS_CONFIG_INIT;
    apr_initialize();
    memset(rig, 0, sizeof(*rig));
    apr_pool_create(&rig->pool, NULL);
    OK(vfs_mem_create(&rig->mem, 0, rig->pool));
    OK(sut_whole_create(&rig->whole, rig->mem, rig->pool));
    rig->whole->caps.bits &= ~without;
    OK(vfs_fault_create(&rig->fault, rig->whole, 1, rig->pool));
    OK(vfs_count_create(&rig->count, rig->fault, rig->pool));
    config.spool_bytes = spool;
    config.log = log_line;
    config.log_baton = rig;
    OK(vfs_objects_create(&rig->fs, rig->count, &config, rig->pool));
}

void rig_close(rig_t *rig, apr_status_t want)
{
    vfs_counts_t counts;
    vfs_fault_clear(rig->fault);
    IS(want, vfs_destroy(rig->fs));
    vfs_count_get(rig->count, &counts);
    cr_expect_eq(counts.open_files, 0u);
    cr_expect_eq(counts.open_dirs, 0u);
    OK(vfs_destroy_stack(rig->count));
    apr_pool_destroy(rig->pool);
}

void rig_put(rig_t *rig, const char *path, const void *data, size_t len)
{
    OK(vfs_write_file(rig->mem, NULL, path, data, len, 0644));
}

void rig_text(rig_t *rig, const char *path, const char *text)
{
    rig_put(rig, path, text, strlen(text));
}

void rig_holds(vfs_t *fs, const char *path, const void *data, size_t len)
{
    apr_pool_t *pool;
    char *got = NULL;
    size_t n = 0;
    apr_pool_create(&pool, NULL);
    OK(vfs_read_file(&got, &n, fs, NULL, path, 0, pool));
    cr_assert_eq(n, len, "%s has %zu bytes, not %zu", path, n, len);
    cr_assert(memcmp(got, data, len) == 0, "%s has other bytes", path);
    apr_pool_destroy(pool);
}

void rig_holds_text(vfs_t *fs, const char *path, const char *text)
{
    rig_holds(fs, path, text, strlen(text));
}

vfs_file_t *rig_file(rig_t *rig, const char *path, uint32_t flags)
{
    vfs_file_t *file = NULL;
    OK(vfs_open(&file, rig->fs, NULL, path, flags, 0644, NULL, NULL));
    return file;
}

void rig_write(vfs_file_t *file, apr_off_t off, const char *text)
{
    size_t n;
    OK(vfs_write_at(file, NULL, text, strlen(text), off, &n, NULL));
}

void rig_reads(vfs_file_t *file, apr_off_t off, const char *text)
{
    char buf[256];
    size_t n = 0;
    OK(vfs_read_at(file, NULL, buf, strlen(text), off, &n));
    cr_assert(n == strlen(text) && memcmp(buf, text, n) == 0, "%.*s instead of %s", (int)n, buf,
              text);
}

char *rig_bytes(size_t len, unsigned seed)
{
    char *data = malloc(len ? len : 1);
    for (size_t i = 0; i < len; i++)
        data[i] = (char)((i * 2654435761u >> 7) + i + seed);
    return data;
}

void rig_fail(rig_t *rig, vfs_opid_e op, vfs_fault_e what, uint64_t times)
{
    vfs_fault_t fault = {.what = what, .times = times};
    VFS_FAULT_OP(fault, op);
    OK(vfs_fault_add(rig->fault, &fault));
}

uint64_t rig_calls(rig_t *rig, vfs_opid_e op)
{
    vfs_counts_t counts;
    vfs_count_get(rig->count, &counts);
    return counts.calls[op];
}

uint64_t rig_requests(rig_t *rig)
{
    vfs_counts_t counts;
    vfs_count_get(rig->count, &counts);
    return vfs_counts_requests(&counts);
}

unsigned rig_conflicts(rig_t *rig, char *path, size_t size)
{
    vfs_dir_t *dir;
    vfs_dirent_t entry;
    unsigned found = 0;
    OK(vfs_opendir(&dir, rig->mem, NULL, "/", 0));
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
        if (strstr(entry.name, ".conflict-") != NULL) {
            found++;
            snprintf(path, size, "/%s", entry.name);
        }
    OK(vfs_closedir(dir));
    return found;
}
