/*
 * test_multistatus.c - what a body of 207 says, and what it says to no purpose.
 * labels: webdav
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "backends/webdav/multistatus.h"

#define HEAD "<?xml version=\"1.0\"?><D:multistatus xmlns:D=\"DAV:\" xmlns:x=\"urn:x\">"
#define TAIL "</D:multistatus>"
#define OK200 "<D:status>HTTP/1.1 200 OK</D:status>"

static webdav_props_t last;
static char href[256];
static unsigned count;

static apr_status_t found(void *baton, const webdav_props_t *props)
{
    (void)baton;
    last = *props;
    cr_assert_lt(strlen(props->href), sizeof(href));
    strcpy(href, props->href);
    count++;
    return APR_SUCCESS;
}

/* In pieces of `piece` bytes. */
static apr_status_t parse_in(const char *text, size_t len, size_t piece)
{
    webdav_multi_t *multi = NULL;
    apr_status_t status = webdav__multi_new(&multi, found, NULL);
    cr_assert_eq(status, APR_SUCCESS);
    count = 0;
    memset(&last, 0, sizeof(last));
    for (size_t at = 0; at < len && status == APR_SUCCESS; at += piece)
        status = webdav__multi_feed(multi, text + at, len - at < piece ? len - at : piece);
    if (status == APR_SUCCESS) status = webdav__multi_finish(multi);
    webdav__multi_free(multi);
    return status;
}

static apr_status_t parse(const char *text)
{
    return parse_in(text, strlen(text), strlen(text));
}

TestSuite(remote_multistatus);

Test(remote_multistatus, properties_are_those_with_a_good_status)
{
    static const char text[] =
        HEAD "<D:response><D:href> /a%20b </D:href><D:propstat><D:prop><D:getetag/>"
             "<D:getcontentlength>7</D:getcontentlength></D:prop>"
             "<D:status>HTTP/1.1 404 Not Found</D:status></D:propstat><D:propstat><D:prop>"
             "<D:resourcetype/><D:getcontentlength>42</D:getcontentlength>"
             "<D:getetag>\"x&amp;y\"</D:getetag>"
             "<D:getlastmodified>Sun, 06 Nov 1994 08:49:37 GMT</D:getlastmodified>"
             "<D:creationdate>1994-11-06T08:49:37Z</D:creationdate>"
             "<D:quota-available-bytes>1000</D:quota-available-bytes>"
             "</D:prop>" OK200 "</D:propstat></D:response>" TAIL;
    for (size_t piece = 1; piece <= sizeof(text); piece += 13) {
        cr_expect_eq(parse_in(text, sizeof(text) - 1, piece), APR_SUCCESS, "%zu", piece);
        cr_expect_eq(count, 1);
        cr_expect_str_eq(href, "/a%20b");
        cr_expect_eq(last.length, 42);
        cr_expect_str_eq(last.tag, "\"x&y\"");
        cr_expect_eq(last.modified_s, 784111777);
        cr_expect_eq(last.created_s, 784111777);
        cr_expect_eq(last.available, 1000);
        cr_expect_eq(last.is_dir, 0);
        cr_expect_eq(last.has, WEBDAV_HAS_TYPE | WEBDAV_HAS_LENGTH | WEBDAV_HAS_TAG |
                                   WEBDAV_HAS_MODIFIED | WEBDAV_HAS_CREATED | WEBDAV_HAS_AVAILABLE);
    }
}

Test(remote_multistatus, an_element_counts_in_its_place_and_namespace_only)
{
    static const char text[] =
        HEAD "<D:response><D:href>/d/</D:href><D:propstat><D:prop>"
             "<D:resourcetype><x:collection/><D:collection/></D:resourcetype>"
             "<x:getcontentlength>9</x:getcontentlength>"
             "<D:lockdiscovery><D:activelock><D:locktoken><D:href>urn:1</D:href></D:locktoken>"
             "<D:lockroot><D:href>/other</D:href></D:lockroot></D:activelock></D:lockdiscovery>"
             "<x:y><D:getetag>\"no\"</D:getetag></x:y></D:prop>" OK200 "</D:propstat></D:response>"
             "<D:response><D:href>/e</D:href><D:propstat><D:prop><D:resourcetype>"
             "<x:collection/></D:resourcetype></D:prop>" OK200 "</D:propstat></D:response>"
             "<x:response><D:href>/f</D:href></x:response>" TAIL;
    cr_expect_eq(parse(text), APR_SUCCESS);
    cr_expect_eq(count, 2);
    cr_expect_str_eq(href, "/e");
    cr_expect_eq(last.is_dir, 0);
    cr_expect_eq(parse(HEAD "<D:response><D:href>/d/</D:href><D:propstat><D:prop><D:resourcetype>"
                            "<D:collection/></D:resourcetype></D:prop>" OK200
                            "</D:propstat></D:response>" TAIL),
                 APR_SUCCESS);
    cr_expect_eq(last.is_dir, 1);
    cr_expect_eq(last.has, WEBDAV_HAS_TYPE);
}

Test(remote_multistatus, values_that_are_none_are_left_out)
{
    static const char *const values[] = {
        "<D:getcontentlength>-1</D:getcontentlength>",
        "<D:getcontentlength>9999999999999999999</D:getcontentlength>",
        "<D:getcontentlength>12x</D:getcontentlength>",
        "<D:getcontentlength></D:getcontentlength>",
        "<D:getcontentlength>1<x:b/>2</D:getcontentlength>x",
        "<D:getlastmodified>yesterday</D:getlastmodified>",
        "<D:creationdate>1994</D:creationdate>",
        "<D:getetag></D:getetag>",
        "<D:getetag>\"a&#13;&#10;b\"</D:getetag>",
    };
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char text[1024];
        snprintf(text, sizeof(text),
                 HEAD "<D:response><D:href>/f</D:href><D:propstat><D:prop>%s</D:prop>" OK200
                      "</D:propstat></D:response>" TAIL,
                 values[i]);
        cr_expect_eq(parse(text), APR_SUCCESS, "%s", values[i]);
        cr_expect_eq(count, 1);
        cr_expect(last.has == 0 || (i == 4 && last.length == 2), "%s", values[i]);
    }
}

Test(remote_multistatus, a_status_of_the_whole_is_told)
{
    cr_expect_eq(parse(HEAD "<D:response><D:href>/f</D:href><D:status>HTTP/1.1 423 Locked"
                            "</D:status></D:response>" TAIL),
                 APR_SUCCESS);
    cr_expect_eq(last.status, 423);
    cr_expect_eq(parse(HEAD "<D:response><D:href>/f</D:href><D:status>HTTP/1.1 4230 Locked"
                            "</D:status></D:response>" TAIL),
                 APR_SUCCESS);
    cr_expect_eq(last.status, 0);
}

Test(remote_multistatus, what_is_no_multistatus_is_refused)
{
    static const char *const wrong[] = {
        "",
        "text",
        "<html/>",
        "<D:prop xmlns:D=\"DAV:\"/>",
        "<multistatus/>",
        HEAD,
        HEAD "<D:response>" TAIL,
        HEAD TAIL HEAD TAIL,
        "<!DOCTYPE m [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]>"
        "<D:multistatus xmlns:D=\"DAV:\"><D:response><D:href>&b;</D:href></D:response>" TAIL,
        "<!DOCTYPE m SYSTEM \"file:///etc/passwd\"><D:multistatus xmlns:D=\"DAV:\"/>",
        HEAD "<D:response><D:href>&undefined;</D:href></D:response>" TAIL,
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        cr_expect_eq(parse(wrong[i]), VFS_EFORMAT, "%s", wrong[i]);
}

Test(remote_multistatus, depth_has_a_bound)
{
    enum { DEPTH = 100000 };
    char *text = malloc(3 * DEPTH + sizeof(HEAD));
    cr_assert_not_null(text);
    size_t len = (size_t)sprintf(text, "%s", HEAD);
    for (size_t i = 0; i < DEPTH; i++, len += 3)
        memcpy(text + len, "<x>", 3);
    cr_expect_eq(parse_in(text, len, len), VFS_ELIMIT);
    free(text);
}

Test(remote_multistatus, a_reference_is_a_path_of_the_same_host)
{
    static const struct {
        const char *href, *path; /* NULL: it is none */
    } rows[] = {
        {"/d/a%20b", "/d/a b"},
        {"/d/", "/d"},
        {"/", ""},
        {"http://h.example:81/d/x", "/d/x"},
        {"HTTPS://H.EXAMPLE/d/x/", "/d/x"},
        {"http://h.example", ""},
        {"http://u:p@h.example/x", "/x"},
        {"http://other.example/d/x", NULL},
        {"http://h.example.evil/d/x", NULL},
        {"//other.example/d/x", NULL},
        {"d/x", NULL},
        {"", NULL},
        {"file:///etc/passwd", NULL},
        {"/d/%", NULL},
        {"/d/%00", NULL},
        {"/d/%2", NULL},
        {"/d/x?y", NULL},
        {"/d/x#y", NULL},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char out[64] = "";
        int is = webdav__href_path("http://h.example:80/d", rows[i].href, out, sizeof(out));
        cr_expect_eq(is, rows[i].path != NULL, "%s", rows[i].href);
        if (rows[i].path != NULL) cr_expect_str_eq(out, rows[i].path, "%s", rows[i].href);
    }
    char small[4];
    cr_expect_eq(webdav__href_path("http://h", "/abc", small, sizeof(small)), 0, "no room");
}
