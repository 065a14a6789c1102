/*
 * support_files.c - trees of files for the tests of the program.
 */
#include <dirent.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/cli/support_run.h"

static char *made[16];
static int made_count;
static pid_t made_by;

/* What tests get is theirs until they end; it stays reachable, so that no leak is reported. */
void *keep(void *memory)
{
    static void **kept;
    static size_t count, room;
    if (memory == NULL) abort();
    if (count == room) kept = realloc(kept, (room = room * 2 + 256) * sizeof(*kept));
    if (kept == NULL) abort();
    return kept[count++] = memory;
}

static int remove_one(const char *path, const struct stat *info, int type, struct FTW *ftw)
{
    (void)info;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_trees(void)
{
    /* not in a child that exits on its way */
    for (int i = 0; i < made_count && getpid() == made_by; i++)
        (void)nftw(made[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

char *formatted(const char *format, ...)
{
    char text[8192];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof(text)) abort();
    return keep(strdup(text));
}

char *path_in(const char *dir, const char *name)
{
    return formatted("%s/%s", dir, name);
}

char *origin_of(const char *dir)
{
    return formatted("file://%s", dir);
}

void spill(const char *path, const char *bytes, size_t len)
{
    FILE *out = fopen(path, "wb");
    if (out == NULL || fwrite(bytes, 1, len, out) != len || fclose(out) != 0) {
        perror(path);
        abort();
    }
}

char *slurp(const char *path, size_t *len)
{
    FILE *in = fopen(path, "rb");
    char *bytes = NULL;
    size_t n = 0, room = 0, got = 1;
    if (in == NULL) return NULL;
    while (got > 0) {
        if (n + 65536 + 1 > room) bytes = realloc(bytes, room = room * 2 + 65537);
        got = fread(bytes + n, 1, 65536, in);
        n += got;
    }
    (void)fclose(in);
    bytes[n] = '\0';
    if (len != NULL) *len = n;
    return keep(bytes);
}

static void spill_pattern(const char *path, size_t len)
{
    char *bytes = malloc(len);
    uint32_t x = (uint32_t)len;
    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)((x = x * 1664525u + 1013904223u) >> 24);
    spill(path, bytes, len);
    free(bytes);
}

char *tree_make(void)
{
    const char *tmp = getenv("TMPDIR");
    char *dir = path_in(tmp != NULL ? tmp : "/tmp", "cachefs-test-XXXXXX");
    if (mkdtemp(dir) == NULL) {
        perror(dir);
        abort();
    }
    if (made_count == 0) (void)atexit(remove_trees);
    made_by = getpid();
    made[made_count++] = dir;
    if (mkdir(path_in(dir, "sub"), 0755) != 0 || mkdir(path_in(dir, "sub/deep"), 0750) != 0)
        abort();
    spill(path_in(dir, "a.txt"), "alpha\n", 6);
    spill(path_in(dir, "sub/b.txt"), "beta\n", 5);
    spill(path_in(dir, "bad.txt"), "sick\n", 5);
    spill(path_in(dir, "empty"), "", 0);
    spill(path_in(dir, "odd \xff name"), "odd\n", 4);
    spill_pattern(path_in(dir, "sub/deep/c.bin"), 100000);
    spill_pattern(path_in(dir, "big.bin"), 3000000);
    if (symlink("a.txt", path_in(dir, "link")) != 0) abort();
    if (chmod(path_in(dir, "a.txt"), 0640) != 0) abort();
    return dir;
}

int count_names(const char *dir, const char *prefix)
{
    int count = 0;
    DIR *names = opendir(dir);
    struct dirent *entry;
    if (names == NULL) return -1;
    while ((entry = readdir(names)) != NULL)
        count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0 && entry->d_name[0] != '.';
    (void)closedir(names);
    return count;
}
