/*
 * sftp_cache.c - keeps notes on an SSH server, through a write-back cache with a store: a note is
 * safe on this machine's disk as soon as it is taken, and goes to the server when the program ends.
 *
 * usage: sftp_cache ORIGIN STORE NOTE      such as: sftp_cache sftp://joe@host/home/joe/notes
 * /var/tmp/notes-cache "buy milk"
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <apr_general.h>
#include <apr_strings.h>

#include "backends/backends.h"
#include "cachefs/cachefs.h"

#define NOTES "/notes.txt"

/* The layers: the server, the store on a local disk, and the cache over both. */
typedef struct layers_t {
    vfs_t *server, *store, *cache;
} layers_t;

static apr_status_t build(layers_t *stack, const char *uri, const char *dir, char *err,
                          size_t errlen, apr_pool_t *pool)
{
    cachefs_config_t config = CACHEFS_CONFIG_INIT;
    apr_status_t status = vfs_backends_register_all();
    if (mkdir(dir, 0700) != 0 && errno != EEXIST) return APR_FROM_OS_ERROR(errno);
    if (status == APR_SUCCESS) status = vfs_open_uri(&stack->server, uri, err, errlen, pool);
    if (status == APR_SUCCESS) status = vfs_local_create(&stack->store, dir, pool);
    if (status != APR_SUCCESS) return status;
    config.mode = CACHEFS_BACK;
    config.store = stack->store;
    config.store_name = dir;
    config.origin = apr_pstrndup(pool, uri, strcspn(uri, "?")); /* whose bytes are in the store */
    config.store_bytes = 256u << 20;
    return cachefs_create(&stack->cache, stack->server, &config, err, errlen, pool);
}

/* Add a line to the notes. After the sync it survives a power loss, though the server may be away.
 */
static apr_status_t take_note(vfs_t *fs, const char *note, apr_pool_t *pool)
{
    vfs_file_t *file = NULL;
    size_t written = 0;
    const char *line = apr_pstrcat(pool, note, "\n", NULL);
    apr_status_t status = vfs_open(&file, fs, NULL, NOTES,
                                   VFS_O_WRITE | VFS_O_CREATE | VFS_O_APPEND, 0644, NULL, NULL);
    if (status != APR_SUCCESS) return status;
    status = vfs_write(file, NULL, line, strlen(line), &written);
    if (status == APR_SUCCESS) status = vfs_sync(file, NULL, VFS_SYNC_ALL);
    apr_status_t closed = vfs_close(file, NULL);
    return status != APR_SUCCESS ? status : closed;
}

static apr_status_t show_notes(vfs_t *fs, apr_pool_t *pool)
{
    char *text = NULL;
    size_t len = 0;
    apr_status_t status = vfs_read_file(&text, &len, fs, NULL, NOTES, 0, pool);
    if (status == APR_SUCCESS) printf("%.*s", (int)len, text);
    return status;
}

/* Ending the cache writes to the server what is not there yet. */
static apr_status_t end(layers_t *stack)
{
    apr_status_t status = stack->cache != NULL ? vfs_destroy(stack->cache) : APR_SUCCESS;
    if (stack->store != NULL) (void)vfs_destroy(stack->store);   /* the cache has synced it */
    if (stack->server != NULL) (void)vfs_destroy(stack->server); /* nothing is open there */
    return status;
}

int main(int argc, char **argv)
{
    layers_t stack = {NULL, NULL, NULL};
    apr_pool_t *pool = NULL;
    char err[1024] = "", text[256];
    if (argc != 4) {
        fprintf(stderr, "usage: sftp_cache ORIGIN STORE NOTE\n");
        return 2;
    }
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS) return 4;
    apr_status_t status = build(&stack, argv[1], argv[2], err, sizeof(err), pool);
    if (status == APR_SUCCESS) status = take_note(stack.cache, argv[3], pool);
    if (status == APR_SUCCESS) status = show_notes(stack.cache, pool);
    apr_status_t ended = end(&stack);
    if (status == APR_SUCCESS) status = ended;
    if (status != APR_SUCCESS)
        fprintf(stderr, "sftp_cache: %s\n",
                err[0] != '\0' ? err : vfs_strerror(status, text, sizeof(text)));
    apr_pool_destroy(pool);
    apr_terminate();
    return status == APR_SUCCESS ? 0 : 1;
}
