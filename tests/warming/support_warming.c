/*
 * support_warming.c - see support_warming.h.
 */
#include <criterion/criterion.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <apr_strings.h>

#include "backends/backends.h"
#include "tests/warming/support_warming.h"

apr_pool_t *warm_pool;
static char *directory;

void warm_test_begin(void)
{
    const char *tmp = getenv("TMPDIR");

    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&warm_pool, NULL), APR_SUCCESS);
    directory = apr_pstrcat(warm_pool, tmp != NULL ? tmp : "/tmp", "/cachefs-warm-XXXXXX", NULL);
    cr_assert_not_null(mkdtemp(directory));
}

static size_t each_file(int take_away)
{
    DIR *dir = opendir(directory);
    struct dirent *entry;
    size_t count = 0;

    cr_assert_not_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        count++;
        if (take_away) remove(warm_test_path(entry->d_name));
    }
    closedir(dir);
    return count;
}

void warm_test_end(void)
{
    (void)each_file(1);
    rmdir(directory);
    apr_pool_destroy(warm_pool);
    apr_terminate();
}

const char *warm_test_path(const char *name)
{
    return apr_pstrcat(warm_pool, directory, "/", name, NULL);
}

const char *warm_test_write(const char *name, const void *bytes, size_t len)
{
    const char *path = warm_test_path(name);
    FILE *file;

    (void)remove(path); /* ext4 flushes a file that is truncated and written anew, which is slow */
    file = fopen(path, "we");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, len, file), len);
    cr_assert_eq(fclose(file), 0);
    return path;
}

const char *warm_test_text(const char *name, const char *text)
{
    return warm_test_write(name, text, strlen(text));
}

char *warm_test_read(const char *path, size_t *len)
{
    FILE *file = fopen(path, "re");
    char *bytes;
    long size;

    cr_assert_not_null(file, "%s", path);
    cr_assert_eq(fseek(file, 0, SEEK_END), 0);
    size = ftell(file);
    rewind(file);
    bytes = apr_palloc(warm_pool, (apr_size_t)size + 1);
    cr_assert_eq(fread(bytes, 1, (size_t)size, file), (size_t)size);
    bytes[size] = '\0';
    fclose(file);
    if (len != NULL) *len = (size_t)size;
    return bytes;
}

int warm_test_exists(const char *path)
{
    return access(path, F_OK) == 0;
}

size_t warm_test_files(void)
{
    return each_file(0);
}

vfs_t *warm_test_mem(void)
{
    vfs_t *fs;

    cr_assert_eq(vfs_mem_create(&fs, 0, warm_pool), APR_SUCCESS);
    return fs;
}

unsigned char warm_test_byte(const char *path, size_t off)
{
    unsigned char name = (unsigned char)path[strlen(path) - 1];

    return (unsigned char)(name + off * 7 + (off >> 8) * 13 + (off >> 16) * 101);
}

void warm_test_file(vfs_t *fs, const char *path, size_t size)
{
    char *parent = apr_pstrdup(warm_pool, path), *slash = strrchr(parent, '/');
    unsigned char *bytes = malloc(size + 1);
    size_t i;

    cr_assert(slash != NULL && bytes != NULL);
    *slash = '\0';
    if (slash != parent) cr_assert_eq(vfs_mkdir_all(fs, NULL, parent, 0755), APR_SUCCESS);
    for (i = 0; i < size; i++)
        bytes[i] = warm_test_byte(path, i);
    cr_assert_eq(vfs_write_file(fs, NULL, path, bytes, size, 0644), APR_SUCCESS, "%s", path);
    free(bytes);
}

int warm_test_same(vfs_t *fs, const char *path, size_t size)
{
    apr_pool_t *pool;
    char *bytes;
    size_t len, i;
    int same;

    cr_assert_eq(apr_pool_create(&pool, warm_pool), APR_SUCCESS);
    cr_assert_eq(vfs_read_file(&bytes, &len, fs, NULL, path, 0, pool), APR_SUCCESS, "%s", path);
    same = len == size;
    for (i = 0; i < len && same; i++)
        same = (unsigned char)bytes[i] == warm_test_byte(path, i);
    apr_pool_destroy(pool);
    return same;
}

uint32_t warm_test_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}
