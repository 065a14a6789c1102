/*
 * target_uri.c - URIs of origins: an answer is a file system or a sentence, never both, never none.
 * The backends are replaced by "mem" alone: opening random directories of this machine would test
 * the machine.
 */
#include "backends/backends.h"
#include "tests/fuzz/fuzz.h"
#include "vfs/vfs_ops.h"

const char *const fuzz_seeds[] = {"mem:",
                                  "mem:?size=64m",
                                  "MEM:///",
                                  "file:///no/such/dir",
                                  "s3://bucket/p",
                                  "mem:x",
                                  "file:?x=1",
                                  "file://host/dir",
                                  "file:%2e%2e",
                                  "1mem:",
                                  "mem:?size=1k&size=2k",
                                  NULL};
const char *const fuzz_pieces[] = {":",
                                   "/",
                                   "//",
                                   "?",
                                   "&",
                                   "=",
                                   "%",
                                   "%00",
                                   "%2f",
                                   "size=",
                                   "mem",
                                   "file",
                                   "64m",
                                   "localhost",
                                   "99999999999999999999t",
                                   "no-such-directory",
                                   NULL};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    apr_pool_t *pool = fuzz_pool();
    char err[120];
    vfs_t *fs = NULL;
    vfs_statfs_t space;
    char *uri = fuzz_text(data, size);
    FUZZ_CHECK(vfs_backends_register_all() == APR_SUCCESS);
    memset(err, 'x', sizeof err);
    apr_status_t rv = vfs_open_uri(&fs, uri, err, sizeof err, pool);
    if (rv == APR_SUCCESS) {
        FUZZ_CHECK(fs != NULL && vfs_name(fs)[0] != '\0');
        FUZZ_CHECK(strchr(uri, ':') != NULL);
        if (strcmp(vfs_name(fs), "mem") == 0)
            FUZZ_CHECK(vfs_statfs(fs, NULL, "/", &space) == APR_SUCCESS);
        FUZZ_CHECK(vfs_destroy(fs) == APR_SUCCESS);
    } else {
        FUZZ_CHECK(fs == NULL);
        FUZZ_CHECK(memchr(err, '\0', sizeof err) != NULL && strlen(err) > 5);
        char tiny[3] = "xx";
        FUZZ_CHECK(vfs_open_uri(&fs, uri, tiny, 2, pool) == rv && tiny[1] == '\0');
        FUZZ_CHECK(vfs_open_uri(&fs, uri, NULL, 0, pool) == rv);
    }
    free(uri);
    return 0;
}
