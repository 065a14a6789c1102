/*
 * target_listing.c - pages of web servers as directories: whatever comes, the names are single
 * components, sorted, each there once; the first byte chooses the format.
 */
#include "backends/http/http.h"
#include "tests/fuzz/fuzz.h"

const char *const fuzz_seeds[] = {
    "h<html><head><title>Index of /</title></head><body><a href=\"a%20b\">a b</a></body></html>",
    "x<a href='../'>..</a><A HREF=dir/>d</A><a class=\"x>\" href=\"./c:d\">c</a>",
    "x<a href=\"&lt;&amp;&#39;\">t</a><a href=/etc>e</a><a href=http://h/x>f</a>",
    "j[{\"name\":\"a\",\"type\":\"file\",\"mtime\":\"Wed, 18 Nov 2026 10:00:00 GMT\",\"size\":4}]",
    "j[{\"name\":\"d\",\"type\":\"directory\"},{}]",
    "j[{\"name\":\"\\u00fc\\ud83d\\ude00\\n\",\"x\":null}]",
    NULL};
const char *const fuzz_pieces[] = {"<a href=\"",
                                   "\">",
                                   "</html>",
                                   "<title>Index of ",
                                   "%2f",
                                   "%00",
                                   "&#47;",
                                   "&amp;",
                                   "../",
                                   "./",
                                   "{\"name\":\"",
                                   "\"},",
                                   "\\u0000",
                                   "\\ud800",
                                   "[",
                                   "]",
                                   "\"size\":",
                                   "/",
                                   NULL};

static void check_names(remote_names_t *names)
{
    remote__names_settle(names);
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->entries[i].name;
        size_t len = strlen(name);
        FUZZ_CHECK(len > 0 && len <= VFS_NAME_MAX && strchr(name, '/') == NULL);
        FUZZ_CHECK(strcmp(name, ".") != 0 && strcmp(name, "..") != 0);
        FUZZ_CHECK(i == 0 || strcmp(names->entries[i - 1].name, name) < 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    remote_names_t names = {NULL, 0, 0};
    if (size < 2) return 0;
    char *text = malloc(size - 1); /* of just that size: what is read behind it is found */
    FUZZ_CHECK(text != NULL);
    memcpy(text, data + 1, size - 1);
    apr_status_t status = data[0] == 'j' ? http__parse_json(&names, text, size - 1)
                                         : http__parse_page(&names, text, size - 1, data[0] == 'h');
    FUZZ_CHECK(status == APR_SUCCESS || status == VFS_EFORMAT);
    check_names(&names);
    remote__names_free(&names);
    free(text);
    return 0;
}
