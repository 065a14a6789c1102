/*
 * page.c - the names in a page that a web server makes of a directory: nginx, Apache, lighttpd and
 * what looks like them. Floor 2. Not a parser of HTML: the target of each <a href=...> is looked
 * at, and only one that is a single component below the page is a name.
 */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "backends/http/http.h"

#define HREF_MAX 2048u
/* Where a page must say that it is an index. */
#define HEAD_BYTES 4096u

/* The characters that servers escape. Returns bytes of the entity at `text`, 0 if it is none. */
static size_t entity(const char *text, size_t len, char *out)
{
    static const struct {
        const char *name;
        char c;
    } known[] = {{"&amp;", '&'},   {"&lt;", '<'},   {"&gt;", '>'},  {"&quot;", '"'},
                 {"&apos;", '\''}, {"&#39;", '\''}, {"&#34;", '"'}, {"&#x27;", '\''},
                 {"&#38;", '&'},   {"&#47;", '/'},  {"&#x2f;", '/'}};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        size_t n = strlen(known[i].name);
        if (n > len || strncasecmp(text, known[i].name, n) != 0) continue;
        *out = known[i].c;
        return n;
    }
    return 0;
}

/* The text of an attribute without its entities, into `out`, with a NUL; 0: it is too long, or has
 * a NUL itself. */
static size_t plain_text(char *out, const char *text, size_t len)
{
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        size_t used = text[i] == '&' ? entity(text + i, len - i, &out[n]) : 0;
        if (used == 0) {
            out[n] = text[i];
            used = 1;
        }
        i += used;
        if (out[n] == '\0' || ++n == HREF_MAX) return 0;
    }
    out[n] = '\0';
    return n;
}

/* A target such as "a%20b", "dir/" or "./a:b". Anything else is no name of this directory. */
static apr_status_t add_target(remote_names_t *names, const char *text, size_t len)
{
    char target[HREF_MAX];
    remote_entry_t like = {.type = VFS_TYPE_FILE};
    char *name = target;
    len = plain_text(target, text, len);
    if (len > 2 && name[0] == '.' && name[1] == '/') {
        name += 2;
        len -= 2;
    } else if (memchr(name, ':', len) != NULL) {
        return APR_SUCCESS; /* a scheme */
    }
    if (len == 0 || strpbrk(name, "?#") != NULL) return APR_SUCCESS;
    if (name[len - 1] == '/') {
        like.type = VFS_TYPE_DIR;
        name[len - 1] = '\0';
    }
    if (!remote__unescape(name)) return APR_SUCCESS;
    return remote__names_add(names, name, strlen(name), &like);
}

/* Where `what` is in any case, or NULL. */
static const char *find(const char *text, size_t len, const char *what)
{
    size_t n = strlen(what);
    for (size_t i = 0; i + n <= len; i++) {
        if (strncasecmp(text + i, what, n) == 0) return text + i;
    }
    return NULL;
}

/* "Index of" say nginx, Apache, lighttpd and many others, the second Python's http.server. */
static int is_index(const char *page, size_t len)
{
    static const char *const titles[] = {"index of ", "directory listing for "};
    const char *title = find(page, len < HEAD_BYTES ? len : HEAD_BYTES, "<title>");
    size_t tail = len < HEAD_BYTES ? len : HEAD_BYTES;
    if (title == NULL) return 0;
    title += 7;
    while (title < page + len && isspace((unsigned char)*title))
        title++;
    for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
        size_t n = strlen(titles[i]);
        if ((size_t)(page + len - title) < n || strncasecmp(title, titles[i], n) != 0) continue;
        return find(page + len - tail, tail, "</html>") != NULL;
    }
    return 0;
}

/* The value of href in the tag at [at, end): its bytes; NULL: it has none. */
static const char *href(const char *at, const char *end, size_t *len)
{
    while (at < end) {
        const char *name = at;
        while (at < end && !isspace((unsigned char)*at) && *at != '=')
            at++;
        int ours = at - name == 4 && strncasecmp(name, "href", 4) == 0;
        while (at < end && isspace((unsigned char)*at))
            at++;
        if (at < end && *at == '=') {
            at++;
            while (at < end && isspace((unsigned char)*at))
                at++;
            const char quote = at < end && (*at == '"' || *at == '\'') ? *at++ : '\0';
            const char *value = at;
            while (at < end && (quote ? *at != quote : !isspace((unsigned char)*at)))
                at++;
            *len = (size_t)(at - value);
            if (ours) return value;
            if (quote && at < end) at++;
        }
        while (at < end && isspace((unsigned char)*at))
            at++;
    }
    return NULL;
}

/* The '>' that ends a tag: none within quotes. */
static const char *tag_end(const char *at, const char *end)
{
    char quote = '\0';
    for (; at < end; at++) {
        if (quote != '\0')
            quote = *at == quote ? '\0' : quote;
        else if (*at == '"' || *at == '\'')
            quote = *at;
        else if (*at == '>')
            return at;
    }
    return NULL;
}

apr_status_t http__parse_page(remote_names_t *names, const char *page, size_t len, int index)
{
    const char *at = page, *end = page + len;
    apr_status_t status = APR_SUCCESS;
    if (index && !is_index(page, len)) return VFS_EFORMAT;
    while (status == APR_SUCCESS && (at = memchr(at, '<', (size_t)(end - at))) != NULL) {
        size_t n = 0;
        at++;
        if (end - at < 2 || (*at | 0x20) != 'a' || !isspace((unsigned char)at[1])) continue;
        const char *stop = tag_end(at, end);
        if (stop == NULL) break;
        const char *target = href(at + 2, stop, &n);
        if (target != NULL && n < HREF_MAX) status = add_target(names, target, n);
        at = stop;
    }
    return status;
}
