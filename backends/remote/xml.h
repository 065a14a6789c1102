/*
 * xml.h - XML from a server, by libexpat: element by element, within bounds, without a document
 * type, so that there are no entities but the five that XML has itself. Floor 2, shared by
 * backends/ alone.
 */
#ifndef BACKENDS_REMOTE_XML_H
#define BACKENDS_REMOTE_XML_H

#include "vfs/vfs_ops.h"

#define REMOTE_XML_BYTES_MAX (64u << 20) /**< of a document */
#define REMOTE_XML_DEPTH_MAX 32u         /**< of elements in elements */
#define REMOTE_XML_TEXT_MAX 65536u       /**< of an element's text */

/** Who hears of elements. An error of one ends the parse with that error; each may be NULL.
 * `space` is the namespace of the element, "" without one; `name` is without prefix. */
typedef struct remote_xml_events_t {
    apr_status_t (*begin)(void *baton, const char *space, const char *name);
    /** `text` is what stood in an element that has none in it, with a NUL behind it. */
    apr_status_t (*end)(void *baton, const char *space, const char *name, const char *text,
                        size_t len);
} remote_xml_events_t;

typedef struct remote_xml_t remote_xml_t; /**< a parse under way */

/** @param events  borrowed until the end
 *  @return APR_SUCCESS or APR_ENOMEM. End it with remote__xml_free. */
apr_status_t remote__xml_new(remote_xml_t **out, const remote_xml_events_t *events, void *baton);
/** Begin again, with another document. */
apr_status_t remote__xml_reset(remote_xml_t *xml);
/** More of the document. VFS_EFORMAT: it is none, or has a document type; VFS_ELIMIT: it is too
 * large or too deep. Once it failed it stays so. */
apr_status_t remote__xml_feed(remote_xml_t *xml, const void *data, size_t len);
/** That was all. VFS_EFORMAT: it is not whole. */
apr_status_t remote__xml_finish(remote_xml_t *xml);
/** May be NULL. */
void remote__xml_free(remote_xml_t *xml);
/** Put `text` behind what is at `out`, with what XML has its own use for as entities; NULL: it does
 * not fit, or has a character that XML 1.0 cannot say. Returns where it ends, at a NUL. */
char *remote__xml_escape(char *out, const char *end, const char *text);

#endif
