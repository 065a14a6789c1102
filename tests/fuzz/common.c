/*
 * common.c - what targets share. Floor 4.
 */
#include <sys/mman.h>
#include <unistd.h>

#include <apr_general.h>

#include "tests/fuzz/fuzz.h"

char *fuzz_text(const uint8_t *data, size_t size)
{
    size_t len = size > 0 ? strnlen((const char *)data, size) : 0;
    char *text = malloc(len + 1);
    FUZZ_CHECK(text != NULL);
    if (len > 0) memcpy(text, data, len);
    text[len] = '\0';
    return text;
}

apr_pool_t *fuzz_pool(void)
{
    static apr_pool_t *pool;
    if (pool == NULL) {
        apr_initialize();
        FUZZ_CHECK(apr_pool_create(&pool, NULL) == APR_SUCCESS);
    }
    apr_pool_clear(pool);
    return pool;
}

const char *fuzz_file(const uint8_t *data, size_t size)
{
    static char name[64];
    static int fd = -1;
    if (fd < 0) {
        fd = memfd_create("fuzz", MFD_CLOEXEC);
        FUZZ_CHECK(fd >= 0);
        snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    }
    FUZZ_CHECK(ftruncate(fd, 0) == 0);
    FUZZ_CHECK(pwrite(fd, data, size, 0) == (ssize_t)size);
    return name;
}

int fuzz_is_normal(const char *path)
{
    size_t len = strlen(path);
    if (path[0] != '/' || len > 4096 || strstr(path, "//") != NULL) return 0;
    if (strcmp(path, "/") == 0) return 1;
    for (const char *name = path + 1;; name = strchr(name, '/') + 1) {
        size_t n = strcspn(name, "/");
        if (n == 0 || n > 255 || (n == 1 && name[0] == '.') || (n == 2 && !strncmp(name, "..", 2)))
            return 0;
        if (name[n] == '\0') return 1;
    }
}
