/*
 * cat.c - `cachefs cat`: the bytes of files, on standard output.
 * Floor 4.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/cli.h"

#define CHUNK (1u << 20)

/* Write all of it; the run stops if that fails. */
static apr_status_t put(const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = write(STDOUT_FILENO, data, len);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            cli_output_failed(errno);
            return APR_FROM_OS_ERROR(errno);
        }
        data += n;
        len -= (size_t)n;
    }
    return APR_SUCCESS;
}

static apr_status_t cat_file(cli_t *cli, vfs_t *fs, const char *path, char *buf)
{
    vfs_file_t *file = NULL;
    vfs_attr_t attr;
    apr_off_t off = 0;
    size_t got = CHUNK;
    const char *full = cli_stack_path(path, cli->pool);
    apr_status_t status = vfs_open(&file, fs, &cli->ctx, full, VFS_O_READ, 0, &attr, NULL);
    if (status != APR_SUCCESS) return status;
    if (attr.type == VFS_TYPE_DIR) status = APR_FROM_OS_ERROR(EISDIR);
    while (status == APR_SUCCESS && got == CHUNK && !cli_stopped(cli)) {
        status = vfs_read_at(file, &cli->ctx, buf, CHUNK, off, &got);
        off += (apr_off_t)got;
        if (status == APR_SUCCESS && put(buf, got) != APR_SUCCESS) break;
    }
    apr_status_t closed = vfs_close(file, &cli->ctx);
    return status != APR_SUCCESS ? status : closed;
}

static int run(cli_t *cli)
{
    cli_stack_t stack;
    char *buf = NULL;
    int code = cli_stack_open(cli, &stack, cli->args[0], !cli->opt.no_cache);
    if (code != CLI_DONE) return code;
    buf = malloc(CHUNK);
    if (buf == NULL) code = CLI_INTERNAL;
    for (int i = 1; buf != NULL && i < cli->nargs && !cli_stopped(cli); i++) {
        apr_status_t status = cat_file(cli, stack.top, cli->args[i], buf);
        if (status != APR_SUCCESS) cli_file_failed(cli, cli->args[0], cli->args[i], status);
    }
    free(buf);
    int closed = cli_stack_close(cli, &stack);
    return code != CLI_DONE ? code : closed;
}

const cli_verb_t cli_cat = {
    .name = "cat",
    .bit = CLI_CAT,
    .args_min = 2,
    .args_max = -1,
    .usage = "ORIGIN PATH... [options]",
    .summary = "write files to standard output",
    .text = "Writes the bytes of each PATH to standard output, one after the other.\n"
            "\n"
            "  cachefs cat file:///usr/include /stdio.h --delay 5ms --stats\n",
    .run = run,
};
