/*
 * json.c - the listing that nginx writes with `autoindex_format json`: an array of flat objects.
 * Floor 2. Anything else is VFS_EFORMAT: a listing that is not whole is none.
 */
#include <stdlib.h>
#include <string.h>

#include "backends/http/http.h"
#include "backends/remote/json.h"

#define TEXT_MAX 1024u
#define NS_PER_S 1000000000
#define TIME_MAX_S (1ll << 33)

/* One object; its name in `name`, "" without one. */
static int object(remote_json_t *in, char *name, remote_entry_t *entry)
{
    int has_size = 0, has_time = 0;
    char key[16];
    name[0] = '\0';
    memset(entry, 0, sizeof(*entry));
    if (!remote__json_mark(in, '{')) return 0;
    if (remote__json_mark(in, '}')) return 1;
    do {
        if (!remote__json_string(in)) return 0;
        memset(key, 0, sizeof(key)); /* a long one is none that counts */
        if (in->len < sizeof(key)) memcpy(key, in->text, in->len);
        if (!remote__json_mark(in, ':') || !remote__json_value(in)) return 0;
        if (strcmp(key, "name") == 0 && !in->cut) {
            memcpy(name, in->text, in->len + 1);
        } else if (strcmp(key, "type") == 0) {
            entry->type = strcmp(in->text, "directory") == 0 ? VFS_TYPE_DIR
                          : strcmp(in->text, "file") == 0    ? VFS_TYPE_FILE
                                                             : VFS_TYPE_UNKNOWN;
        } else if (strcmp(key, "size") == 0) {
            has_size = in->len < 19 && strspn(in->text, "0123456789") == in->len;
            entry->size = has_size ? strtoull(in->text, NULL, 10) : 0;
        } else if (strcmp(key, "mtime") == 0) {
            time_t t = curl_getdate(in->text, NULL);
            has_time = t >= 0 && t < TIME_MAX_S;
            entry->mtime_ns = has_time ? (int64_t)t * NS_PER_S : 0;
        }
    } while (remote__json_mark(in, ','));
    entry->has_attr =
        has_time && (entry->type == VFS_TYPE_DIR || (entry->type == VFS_TYPE_FILE && has_size));
    if (entry->type == VFS_TYPE_DIR) entry->size = 0;
    return remote__json_mark(in, '}');
}

apr_status_t http__parse_json(remote_names_t *names, const char *text, size_t len)
{
    char value[TEXT_MAX], name[TEXT_MAX];
    remote_json_t in = {.at = text, .end = text + len, .text = value, .room = sizeof(value)};
    remote_entry_t entry;
    if (!remote__json_mark(&in, '[')) return VFS_EFORMAT;
    if (remote__json_mark(&in, ']')) return APR_SUCCESS;
    do {
        if (!object(&in, name, &entry)) return VFS_EFORMAT;
        apr_status_t status = remote__names_add(names, name, strlen(name), &entry);
        if (status != APR_SUCCESS) return status;
    } while (remote__json_mark(&in, ','));
    return remote__json_mark(&in, ']') ? APR_SUCCESS : VFS_EFORMAT;
}
