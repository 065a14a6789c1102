/*
 * test_xml.c - XML from a server: what is told of it, and what is refused.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "backends/remote/xml.h"

static char told[4096];

static apr_status_t on_begin(void *baton, const char *space, const char *name)
{
    (void)baton;
    snprintf(told + strlen(told), sizeof(told) - strlen(told), "<%s|%s>", space, name);
    return APR_SUCCESS;
}

static apr_status_t on_end(void *baton, const char *space, const char *name, const char *text,
                           size_t len)
{
    const char *bad = baton;
    (void)space;
    cr_expect_eq(strlen(text), len);
    snprintf(told + strlen(told), sizeof(told) - strlen(told), "%s</%s>", text, name);
    return bad != NULL && strcmp(bad, name) == 0 ? VFS_ESTALE : APR_SUCCESS;
}

static const remote_xml_events_t events = {on_begin, on_end};

/* Fed in pieces of `step` bytes. */
static apr_status_t parse(const char *text, size_t len, size_t step, const char *bad)
{
    remote_xml_t *xml = NULL;
    apr_status_t status = remote__xml_new(&xml, &events, (void *)(uintptr_t)bad);
    cr_assert_eq(status, APR_SUCCESS);
    told[0] = '\0';
    for (size_t at = 0; at < len && status == APR_SUCCESS; at += step)
        status = remote__xml_feed(xml, text + at, len - at < step ? len - at : step);
    if (status == APR_SUCCESS) status = remote__xml_finish(xml);
    cr_expect_eq(remote__xml_finish(xml) != APR_SUCCESS, 1, "it has ended");
    remote__xml_free(xml);
    return status;
}

Test(remote_xml, elements_are_told_with_their_namespace_and_text)
{
    static const char text[] =
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
        "<D:a xmlns:D=\"DAV:\">\n <D:b x='1'>1 &lt; 2 &#x41;</D:b><c/></D:a>";
    static const char wanted[] = "<DAV:|a><DAV:|b>1 < 2 A</b><|c></c></a>";
    for (size_t step = 1; step < sizeof(text); step++) {
        cr_expect_eq(parse(text, sizeof(text) - 1, step, NULL), APR_SUCCESS);
        cr_expect_str_eq(told, wanted, "by %zu", step);
    }
}

Test(remote_xml, what_is_not_whole_or_no_xml_is_refused)
{
    static const char *const bad[] = {
        "",
        "<a>",
        "<a></b>",
        "<a></a><b></b>",
        "hello",
        "<a>&nbsp;</a>",
        "<a>\x01</a>",
        "<a>\xff</a>",
        "<a b='1' b='2'/>",
        "<x:a/>",
        "<!DOCTYPE a><a/>",
        "<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
        "<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
        "<!DOCTYPE a [<!ENTITY x 'ha'><!ENTITY y '&x;&x;&x;&x;'><!ENTITY z '&y;&y;&y;&y;'>]>"
        "<a>&z;</a>"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        cr_expect_eq(parse(bad[i], strlen(bad[i]), 5, NULL), VFS_EFORMAT, "%s", bad[i]);
        cr_expect_null(strstr(told, "ha"), "%s", bad[i]);
    }
}

/* "<a>" so often, or one element with so much text. */
static char *repeat(const char *what, size_t count, const char *before, const char *after)
{
    size_t len = strlen(what);
    char *text = malloc(strlen(before) + count * len + strlen(after) + 1);
    char *at = stpcpy(text, before);
    for (size_t i = 0; i < count; i++)
        at = stpcpy(at, what);
    strcpy(at, after);
    return text;
}

Test(remote_xml, bounds_are_kept)
{
    static const remote_xml_events_t nobody = {NULL, NULL};
    char *deep = repeat("<a>", REMOTE_XML_DEPTH_MAX + 1, "", "");
    char *shallow = repeat("<a>", REMOTE_XML_DEPTH_MAX, "", "");
    char *text = repeat("x", REMOTE_XML_TEXT_MAX + 1, "<a>", "</a>");
    remote_xml_t *xml = NULL;
    cr_expect_eq(parse(deep, strlen(deep), 4096, NULL), VFS_ELIMIT);
    cr_expect_eq(parse(shallow, strlen(shallow), 4096, NULL), VFS_EFORMAT, "only not whole");
    cr_expect_eq(parse(text, strlen(text), 4096, NULL), VFS_ELIMIT);
    free(deep);
    free(shallow);
    free(text);
    text = repeat("<b>0123456789abcdef</b>", 4096, "", "");
    cr_assert_eq(remote__xml_new(&xml, &nobody, NULL), APR_SUCCESS);
    apr_status_t status = remote__xml_feed(xml, "<a>", 3);
    for (uint64_t bytes = 0; bytes < 2 * REMOTE_XML_BYTES_MAX && status == APR_SUCCESS;
         bytes += strlen(text))
        status = remote__xml_feed(xml, text, strlen(text));
    cr_expect_eq(status, VFS_ELIMIT, "it does not go on for ever");
    cr_assert_eq(remote__xml_reset(xml), APR_SUCCESS);
    cr_expect_eq(remote__xml_feed(xml, "<a/>", 4), APR_SUCCESS);
    cr_expect_eq(remote__xml_finish(xml), APR_SUCCESS, "another document");
    remote__xml_free(xml);
    free(text);
}

Test(remote_xml, the_error_of_who_hears_ends_it)
{
    static const char text[] = "<a><b>x</b><c/></a>";
    cr_expect_eq(parse(text, sizeof(text) - 1, 100, "b"), VFS_ESTALE);
    cr_expect_null(strstr(told, "c"));
}

Test(remote_xml, what_is_escaped_is_read_back)
{
    static const char odd[] = "a&b<c>\"d'\r\n\t\xc3\xa4";
    char text[256] = "<a>", small[8];
    char *at = remote__xml_escape(text + 3, text + sizeof(text), odd);
    cr_assert_not_null(at);
    strcpy(at, "</a>");
    cr_assert_eq(parse(text, strlen(text), 7, NULL), APR_SUCCESS);
    cr_expect_eq(strncmp(told + 4, odd, strlen(odd)), 0, "%s", told);
    cr_expect_null(remote__xml_escape(small, small + sizeof(small), "12345&"), "no room");
    cr_expect_null(remote__xml_escape(text, text + sizeof(text), "\x01"), "XML cannot say it");
    memset(text, '#', sizeof(text));
    for (size_t behind = 0; behind < 3; behind++) {
        cr_expect_null(remote__xml_escape(text + 8 + behind, text + 8, "12345"), "no room at all");
        cr_expect_null(remote__xml_escape(text + 8 + behind, text + 8, ""), "nor for its end");
    }
    for (size_t i = 0; i < sizeof(text); i++)
        cr_assert_eq(text[i], '#', "%zu", i);
}
