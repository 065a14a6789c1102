/*
 * target_multistatus.c - bodies of 207 as directories: whatever comes, in whatever pieces, the same
 * is found, and the names are single components right below the directory.
 */
#include "backends/webdav/webdav.h"
#include "tests/fuzz/fuzz.h"

#define HEAD "<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\">"
#define ONE(href, props)                                                                           \
    "<D:response><D:href>" href "</D:href><D:propstat><D:prop>" props                              \
    "</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response>"

const char *const fuzz_seeds[] = {
    "\x07" HEAD ONE("/r/d/", "<D:resourcetype><D:collection/></D:resourcetype>")
        ONE("/r/d/a%20b", "<D:resourcetype/><D:getcontentlength>12</D:getcontentlength>"
                          "<D:getetag>\"x\"</D:getetag>") "</D:multistatus>",
    "\x01" HEAD ONE("http://h:80/r/d/%2e%2e", "<D:getlastmodified>Sun, 06 Nov 1994 08:49:37 GMT"
                                              "</D:getlastmodified>") "</D:multistatus>",
    "\x40" HEAD "<D:response><D:href>/r/d/x</D:href><D:status>HTTP/1.1 404 No</D:status>"
    "</D:response></D:multistatus>",
    "\x20<!DOCTYPE m [<!ENTITY a \"b\">]><m>&a;</m>", NULL};
const char *const fuzz_pieces[] = {"<D:response>",
                                   "</D:response>",
                                   "<D:href>",
                                   "</D:href>",
                                   "<D:propstat>",
                                   "<D:prop>",
                                   "<D:collection/>",
                                   "<D:getcontentlength>",
                                   "/r/d/",
                                   "%2f",
                                   "%00",
                                   "..",
                                   "&amp;",
                                   "&#47;",
                                   "<![CDATA[",
                                   "]]>",
                                   "<!ENTITY",
                                   "http://h/",
                                   "http://other/r/d/y",
                                   NULL};

typedef struct run_t {
    webdav_t *w;
    remote_names_t names;
    unsigned count;
} run_t;

static apr_status_t found(void *baton, const webdav_props_t *props)
{
    run_t *run = baton;
    int self = 0;
    run->count++;
    FUZZ_CHECK(props->href != NULL && strlen(props->tag) < REMOTE_TAG_MAX);
    FUZZ_CHECK(strpbrk(props->tag, "\r\n") == NULL);
    return webdav__take_name(run->w, "/d", props, &run->names, &self);
}

static apr_status_t parse(run_t *run, const char *text, size_t len, size_t piece)
{
    webdav_multi_t *multi = NULL;
    apr_status_t status = webdav__multi_new(&multi, found, run);
    for (size_t at = 0; at < len && status == APR_SUCCESS; at += piece)
        status = webdav__multi_feed(multi, text + at, len - at < piece ? len - at : piece);
    if (status == APR_SUCCESS) status = webdav__multi_finish(multi);
    webdav__multi_free(multi);
    remote__names_settle(&run->names);
    FUZZ_CHECK(status == APR_SUCCESS || status == VFS_EFORMAT || status == VFS_ELIMIT);
    return status;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char base[] = "http://h:80/r", root[] = "/r";
    static webdav_t w = {.base = base, .root = root};
    run_t whole = {.w = &w}, pieces = {.w = &w};
    if (size < 2) return 0;
    char *text = malloc(size - 1); /* of just that size: what is read behind it is found */
    FUZZ_CHECK(text != NULL);
    memcpy(text, data + 1, size - 1);
    apr_status_t status = parse(&whole, text, size - 1, size - 1);
    FUZZ_CHECK(parse(&pieces, text, size - 1, (size_t)data[0] + 1) == status);
    FUZZ_CHECK(status != APR_SUCCESS || whole.count == pieces.count);
    for (size_t i = 0; i < whole.names.count; i++) {
        const char *name = whole.names.entries[i].name;
        FUZZ_CHECK(name[0] != '\0' && strlen(name) <= VFS_NAME_MAX && strchr(name, '/') == NULL);
        FUZZ_CHECK(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
    }
    remote__names_free(&whole.names);
    remote__names_free(&pieces.names);
    free(text);
    return 0;
}
