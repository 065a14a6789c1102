/*
 * xml.c - see xml.h. Floor 2.
 */
#include "backends/remote/xml.h"

#include <stdlib.h>
#include <string.h>

#include <expat.h>

#define SPACE_END '\n' /* no namespace has it */
#define SPACE_MAX 256u

struct remote_xml_t {
    XML_Parser parser;
    const remote_xml_events_t *events;
    void *baton;
    apr_status_t status;
    uint64_t bytes;
    unsigned depth;
    size_t len;
    char text[REMOTE_XML_TEXT_MAX + 1];
};

static void stop(remote_xml_t *xml, apr_status_t status)
{
    if (xml->status == APR_SUCCESS) xml->status = status;
    (void)XML_StopParser(xml->parser, XML_FALSE); /* the status says it all */
}

/* "space\nname" in two. */
static const char *split(const char *full, char space[SPACE_MAX])
{
    const char *name = strrchr(full, SPACE_END);
    size_t len = name != NULL ? (size_t)(name - full) : 0;
    space[0] = '\0';
    if (len >= SPACE_MAX) len = 0; /* none that anybody knows */
    memcpy(space, full, len);
    space[len] = '\0';
    return name != NULL ? name + 1 : full;
}

static void on_start(void *baton, const XML_Char *full, const XML_Char **attributes)
{
    remote_xml_t *xml = baton;
    char space[SPACE_MAX];
    const char *name = split(full, space);
    (void)attributes;
    xml->len = 0;
    if (xml->status != APR_SUCCESS) return;
    if (++xml->depth > REMOTE_XML_DEPTH_MAX) {
        stop(xml, VFS_ELIMIT);
        return;
    }
    if (xml->events->begin == NULL) return;
    apr_status_t status = xml->events->begin(xml->baton, space, name);
    if (status != APR_SUCCESS) stop(xml, status);
}

static void on_end(void *baton, const XML_Char *full)
{
    remote_xml_t *xml = baton;
    char space[SPACE_MAX];
    const char *name = split(full, space);
    if (xml->status != APR_SUCCESS) return;
    xml->depth--;
    xml->text[xml->len] = '\0';
    apr_status_t status = APR_SUCCESS;
    if (xml->events->end != NULL)
        status = xml->events->end(xml->baton, space, name, xml->text, xml->len);
    xml->len = 0;
    if (status != APR_SUCCESS) stop(xml, status);
}

static void on_text(void *baton, const XML_Char *text, int len)
{
    remote_xml_t *xml = baton;
    if (xml->status != APR_SUCCESS) return;
    if ((size_t)len > REMOTE_XML_TEXT_MAX - xml->len) {
        stop(xml, VFS_ELIMIT);
        return;
    }
    memcpy(xml->text + xml->len, text, (size_t)len);
    xml->len += (size_t)len;
}

static void on_doctype(void *baton, const XML_Char *name, const XML_Char *system,
                       const XML_Char *public, int internal)
{
    (void)name;
    (void)system;
    (void)public;
    (void)internal;
    stop(baton, VFS_EFORMAT);
}

apr_status_t remote__xml_reset(remote_xml_t *xml)
{
    if (xml->parser != NULL && !XML_ParserReset(xml->parser, NULL)) {
        XML_ParserFree(xml->parser);
        xml->parser = NULL;
    }
    if (xml->parser == NULL) xml->parser = XML_ParserCreateNS(NULL, SPACE_END);
    xml->status = xml->parser != NULL ? APR_SUCCESS : APR_ENOMEM;
    xml->bytes = 0;
    xml->depth = 0;
    xml->len = 0;
    if (xml->parser == NULL) return APR_ENOMEM;
    XML_SetUserData(xml->parser, xml);
    XML_SetElementHandler(xml->parser, on_start, on_end);
    XML_SetCharacterDataHandler(xml->parser, on_text);
    XML_SetStartDoctypeDeclHandler(xml->parser, on_doctype);
    return APR_SUCCESS;
}

apr_status_t remote__xml_new(remote_xml_t **out, const remote_xml_events_t *events, void *baton)
{
    remote_xml_t *xml = malloc(sizeof(*xml));
    if (xml == NULL) return APR_ENOMEM;
    xml->parser = NULL;
    xml->events = events;
    xml->baton = baton;
    apr_status_t status = remote__xml_reset(xml);
    if (status == APR_SUCCESS)
        *out = xml;
    else
        free(xml);
    return status;
}

static apr_status_t parse(remote_xml_t *xml, const char *data, int len, int last)
{
    if (xml->status != APR_SUCCESS) return xml->status;
    if (XML_Parse(xml->parser, data, len, last) == XML_STATUS_OK) return xml->status;
    if (xml->status == APR_SUCCESS)
        xml->status =
            XML_GetErrorCode(xml->parser) == XML_ERROR_NO_MEMORY ? APR_ENOMEM : VFS_EFORMAT;
    return xml->status;
}

apr_status_t remote__xml_feed(remote_xml_t *xml, const void *data, size_t len)
{
    const char *bytes = data;
    xml->bytes += len;
    if (xml->bytes > REMOTE_XML_BYTES_MAX && xml->status == APR_SUCCESS) xml->status = VFS_ELIMIT;
    while (len > 0 && xml->status == APR_SUCCESS) {
        int n = len < (1u << 20) ? (int)len : 1 << 20;
        (void)parse(xml, bytes, n, 0); /* its status is kept */
        bytes += n;
        len -= (size_t)n;
    }
    return xml->status;
}

apr_status_t remote__xml_finish(remote_xml_t *xml)
{
    return parse(xml, "", 0, 1);
}

void remote__xml_free(remote_xml_t *xml)
{
    if (xml == NULL) return;
    XML_ParserFree(xml->parser);
    free(xml);
}

char *remote__xml_escape(char *out, const char *end, const char *text)
{
    static const char special[] = "&<>\"'\r\n\t";
    static const char *const said[] = {"&amp;",  "&lt;",  "&gt;",  "&quot;",
                                       "&apos;", "&#13;", "&#10;", "&#9;"};
    for (; *text != '\0'; text++) {
        const char *known = strchr(special, *text);
        size_t len = known != NULL ? strlen(said[known - special]) : 1;
        if ((unsigned char)*text < ' ' && known == NULL) return NULL;
        if (out >= end || (size_t)(end - out) <= len) return NULL;
        memcpy(out, known != NULL ? said[known - special] : text, len);
        out += len;
    }
    if (out >= end) return NULL;
    *out = '\0';
    return out;
}
