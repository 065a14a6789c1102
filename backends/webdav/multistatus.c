/*
 * multistatus.c - see multistatus.h. Floor 2. Every element is known by its place: a name that
 * stands elsewhere, an <href> of a lock for example, means nothing.
 *
 * What is said of properties counts if the status behind them is a 2xx. So they are kept apart
 * until that has come.
 */
#include "backends/webdav/multistatus.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "backends/remote/xml.h"

#define TIME_MAX_S (1ll << 33)

typedef enum place_e {
    ELSEWHERE = 0,
    TOP, /* of the document */
    MULTISTATUS,
    RESPONSE,
    HREF,
    RESPONSE_STATUS,
    PROPSTAT,
    PROPSTAT_STATUS,
    PROP,
    TYPE,
    COLLECTION,
    LENGTH,
    TAG,
    MODIFIED,
    CREATED,
    AVAILABLE,
    USED
} place_e;

/* Which element of DAV: means what, and where. */
static const struct {
    const char *name;
    place_e parent;
    place_e place;
} places[] = {{"multistatus", TOP, MULTISTATUS},
              {"response", MULTISTATUS, RESPONSE},
              {"href", RESPONSE, HREF},
              {"status", RESPONSE, RESPONSE_STATUS},
              {"propstat", RESPONSE, PROPSTAT},
              {"status", PROPSTAT, PROPSTAT_STATUS},
              {"prop", PROPSTAT, PROP},
              {"resourcetype", PROP, TYPE},
              {"collection", TYPE, COLLECTION},
              {"getcontentlength", PROP, LENGTH},
              {"getetag", PROP, TAG},
              {"getlastmodified", PROP, MODIFIED},
              {"creationdate", PROP, CREATED},
              {"quota-available-bytes", PROP, AVAILABLE},
              {"quota-used-bytes", PROP, USED}};

struct webdav_multi_t {
    remote_xml_t *xml;
    webdav_found_fn found;
    void *baton;
    unsigned depth;
    place_e path[REMOTE_XML_DEPTH_MAX + 1]; /* path[0] is TOP */
    webdav_props_t file;                    /* of the response */
    webdav_props_t props;                   /* of the propstat; it has no href */
    long status;                            /* of the propstat */
    int is_multi;
};

/* ---- texts */

/* "HTTP/1.1 200 OK"; 0: it is none. */
static long status_line(const char *text)
{
    const char *space = strchr(text, ' ');
    if (strncmp(text, "HTTP/", 5) != 0 || space == NULL) return 0;
    while (*space == ' ')
        space++;
    if (!isdigit((unsigned char)space[0]) || !isdigit((unsigned char)space[1]) ||
        !isdigit((unsigned char)space[2]) || isdigit((unsigned char)space[3]))
        return 0;
    return strtol(space, NULL, 10);
}

/* At most 18 digits, and nothing else. */
static int number(const char *text, uint64_t *out)
{
    size_t n = strspn(text, "0123456789");
    if (n == 0 || n > 18 || text[n] != '\0') return 0;
    *out = strtoull(text, NULL, 10);
    return 1;
}

/* RFC 3339, as in "2026-11-22T02:46:23Z", in UTC or with an offset, which is passed over. */
static int iso_date(const char *text, int64_t *out)
{
    struct tm tm;
    memset(&tm, 0, sizeof(tm));
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    if (end == NULL) return 0;
    time_t t = timegm(&tm);
    if (t < 0 || t > TIME_MAX_S) return 0;
    *out = (int64_t)t;
    return 1;
}

static int http_date(const char *text, int64_t *out)
{
    time_t t = curl_getdate(text, NULL);
    if (t < 0 || t > TIME_MAX_S) return 0;
    *out = (int64_t)t;
    return 1;
}

/* Blanks around it do not count. Returns its length. */
static size_t trim(const char **text, size_t len)
{
    while (len > 0 && isspace((unsigned char)**text)) {
        (*text)++;
        len--;
    }
    while (len > 0 && isspace((unsigned char)(*text)[len - 1]))
        len--;
    return len;
}

/* ---- elements */

static void forget(webdav_props_t *props)
{
    free(props->href);
    memset(props, 0, sizeof(*props));
}

static apr_status_t on_begin(void *baton, const char *space, const char *name)
{
    webdav_multi_t *m = baton;
    place_e place = ELSEWHERE;
    VFS_ASSERT(m->depth < REMOTE_XML_DEPTH_MAX);
    if (strcmp(space, "DAV:") == 0) {
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
            if (places[i].parent == m->path[m->depth] && strcmp(places[i].name, name) == 0)
                place = places[i].place;
    }
    m->path[++m->depth] = place;
    if (place == MULTISTATUS) m->is_multi = 1;
    if (m->depth == 1 && place != MULTISTATUS) return VFS_EFORMAT;
    if (place == RESPONSE) forget(&m->file);
    if (place == PROPSTAT) {
        forget(&m->props);
        m->status = 0;
    }
    if (place == TYPE) m->props.has |= WEBDAV_HAS_TYPE;
    if (place == COLLECTION) m->props.is_dir = 1;
    return APR_SUCCESS;
}

/* What is said of properties that the file does not have yet. */
static void merge(webdav_props_t *file, const webdav_props_t *props)
{
    unsigned fresh = props->has & ~file->has;
    if (fresh & WEBDAV_HAS_TYPE) file->is_dir = props->is_dir;
    if (fresh & WEBDAV_HAS_LENGTH) file->length = props->length;
    if (fresh & WEBDAV_HAS_MODIFIED) file->modified_s = props->modified_s;
    if (fresh & WEBDAV_HAS_CREATED) file->created_s = props->created_s;
    if (fresh & WEBDAV_HAS_AVAILABLE) file->available = props->available;
    if (fresh & WEBDAV_HAS_USED) file->used = props->used;
    if (fresh & WEBDAV_HAS_TAG) memcpy(file->tag, props->tag, sizeof(file->tag));
    file->has |= fresh;
}

static void set_if(webdav_props_t *props, unsigned has, int understood)
{
    if (understood) props->has |= has;
}

static int take_tag(webdav_props_t *props, const char *text, size_t len)
{
    if (len == 0 || len >= REMOTE_TAG_MAX || strpbrk(text, "\r\n") != NULL) return 0;
    memcpy(props->tag, text, len + 1);
    return 1;
}

static apr_status_t response_ends(webdav_multi_t *m)
{
    apr_status_t status = APR_SUCCESS;
    if (m->file.href != NULL) status = m->found(m->baton, &m->file);
    forget(&m->file);
    return status;
}

/* `text` has nothing but what counts, with a NUL. */
static apr_status_t take_text(webdav_multi_t *m, place_e place, const char *text, size_t len)
{
    webdav_props_t *p = &m->props;
    if (place == HREF && m->file.href == NULL) {
        m->file.href = strndup(text, len);
        return m->file.href != NULL ? APR_SUCCESS : APR_ENOMEM;
    }
    if (place == RESPONSE_STATUS) m->file.status = status_line(text);
    if (place == PROPSTAT_STATUS) m->status = status_line(text);
    if (place == LENGTH) set_if(p, WEBDAV_HAS_LENGTH, number(text, &p->length));
    if (place == AVAILABLE) set_if(p, WEBDAV_HAS_AVAILABLE, number(text, &p->available));
    if (place == USED) set_if(p, WEBDAV_HAS_USED, number(text, &p->used));
    if (place == TAG) set_if(p, WEBDAV_HAS_TAG, take_tag(p, text, len));
    if (place == MODIFIED) set_if(p, WEBDAV_HAS_MODIFIED, http_date(text, &p->modified_s));
    if (place == CREATED) set_if(p, WEBDAV_HAS_CREATED, iso_date(text, &p->created_s));
    return APR_SUCCESS;
}

static apr_status_t on_end(void *baton, const char *space, const char *name, const char *text,
                           size_t len)
{
    webdav_multi_t *m = baton;
    (void)space;
    (void)name; /* the place says more */
    VFS_ASSERT(m->depth > 0);
    place_e place = m->path[m->depth--];
    if (place == PROPSTAT && m->status >= 200 && m->status <= 299) merge(&m->file, &m->props);
    if (place == RESPONSE) return response_ends(m);
    if (place == ELSEWHERE || text == NULL) return APR_SUCCESS;
    len = trim(&text, len);
    char *plain = strndup(text, len);
    if (plain == NULL) return APR_ENOMEM;
    apr_status_t status = take_text(m, place, plain, strlen(plain));
    free(plain);
    return status;
}

/* ---- life */

static const remote_xml_events_t events = {on_begin, on_end};

apr_status_t webdav__multi_new(webdav_multi_t **out, webdav_found_fn found, void *baton)
{
    webdav_multi_t *m = calloc(1, sizeof(*m));
    if (m == NULL) return APR_ENOMEM;
    m->found = found;
    m->baton = baton;
    m->path[0] = TOP;
    apr_status_t status = remote__xml_new(&m->xml, &events, m);
    if (status == APR_SUCCESS)
        *out = m;
    else
        free(m);
    return status;
}

apr_status_t webdav__multi_reset(webdav_multi_t *m)
{
    forget(&m->file);
    forget(&m->props);
    m->depth = 0;
    m->is_multi = 0;
    return remote__xml_reset(m->xml);
}

apr_status_t webdav__multi_feed(webdav_multi_t *m, const void *data, size_t len)
{
    return remote__xml_feed(m->xml, data, len);
}

apr_status_t webdav__multi_finish(webdav_multi_t *m)
{
    apr_status_t status = remote__xml_finish(m->xml);
    return status == APR_SUCCESS && !m->is_multi ? VFS_EFORMAT : status;
}

void webdav__multi_free(webdav_multi_t *m)
{
    if (m == NULL) return;
    forget(&m->file);
    forget(&m->props);
    remote__xml_free(m->xml);
    free(m);
}

/* ---- references */

/* Where the path of a URL begins; its host is what stands between. NULL: it is no URL. */
static const char *behind_host(const char *url, const char **host, size_t *len)
{
    const char *at = strstr(url, "://");
    if (at == NULL || memchr(url, '/', (size_t)(at - url)) != NULL) return NULL;
    at += 3;
    const char *path = at + strcspn(at, "/?#");
    const char *user = memchr(at, '@', (size_t)(path - at));
    *host = user != NULL ? user + 1 : at;
    *len = (size_t)(path - *host);
    for (size_t i = *len;
         i > 0 && (isdigit((unsigned char)(*host)[i - 1]) || (*host)[i - 1] == ':'); i--)
        if ((*host)[i - 1] == ':') *len = i - 1; /* a port */
    return path;
}

/* A proxy in front of a server may speak another scheme, at another port: these do not count. */
static int same_host(const char *base, const char *host, size_t len)
{
    const char *ours = NULL;
    size_t n = 0;
    return behind_host(base, &ours, &n) != NULL && n == len && strncasecmp(ours, host, n) == 0;
}

int webdav__href_path(const char *base, const char *href, char *out, size_t size)
{
    const char *host = NULL, *path = href;
    size_t len = 0;
    if (href[0] != '/') {
        path = behind_host(href, &host, &len);
        if (path == NULL || !same_host(base, host, len)) return 0;
    } else if (href[1] == '/') {
        return 0; /* a host, without a scheme */
    }
    len = strcspn(path, "?#");
    if (path[len] != '\0' || len >= size) return 0;
    memcpy(out, path, len + 1);
    if (!remote__unescape(out)) return 0;
    len = strlen(out);
    if (len > 0 && out[len - 1] == '/') out[len - 1] = '\0';
    return 1;
}
