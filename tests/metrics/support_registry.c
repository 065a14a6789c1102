/*
 * support_registry.c - see support_registry.h.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <apr_general.h>

#include "tests/metrics/support_registry.h"

apr_pool_t *pool;
metrics_registry_t *registry;

void registry_setup(void)
{
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&pool, NULL), APR_SUCCESS);
    cr_assert_eq(metrics_registry_create(&registry, pool), APR_SUCCESS);
}

void registry_teardown(void)
{
    metrics_registry_destroy(registry);
    apr_pool_destroy(pool);
    apr_terminate();
}

const char *exported(metrics_format_e format)
{
    metrics_snapshot_t *snapshot;
    char *text;
    size_t len;
    cr_assert_eq(metrics_snapshot(&snapshot, registry, pool), APR_SUCCESS);
    cr_assert_eq(metrics_export(&text, &len, snapshot, format, pool), APR_SUCCESS);
    cr_assert_eq(strlen(text), len);
    return text;
}

unsigned occurrences(const char *text, const char *part)
{
    unsigned count = 0;
    while ((text = strstr(text, part)) != NULL) {
        count++;
        text += strlen(part);
    }
    return count;
}

static void child(const char *const *argv, int in, int out)
{
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) _exit(127);
    (void)execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

int filter(const char *const *argv, const char *text, char *out, size_t size)
{
    FILE *in = tmpfile(), *result = tmpfile();
    int status = -1;
    cr_assert(in != NULL && result != NULL);
    cr_assert_eq(fwrite(text, 1, strlen(text), in), strlen(text));
    rewind(in);
    pid_t pid = fork();
    cr_assert_geq(pid, 0);
    if (pid == 0) child(argv, fileno(in), fileno(result));
    cr_assert_eq(waitpid(pid, &status, 0), pid);
    rewind(result);
    size_t len = fread(out, 1, size - 1, result);
    out[len] = '\0';
    fclose(in);
    fclose(result);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

int have_program(const char *name)
{
    char out[4096];
    const char *const argv[] = {"sh", "-c", "command -v \"$0\"", name, NULL};
    return filter(argv, "", out, sizeof out) == 0;
}
