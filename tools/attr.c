/*
 * attr.c - attributes as text and as JSON, for the verbs that show them.
 * Floor 4, private to tools/.
 */
#include <string.h>
#include <time.h>

#include "tools/cli.h"

const char *cli_validator_kind(const vfs_validator_t *validator)
{
    switch ((vfs_validator_e)validator->kind) {
    case VFS_VALIDATOR_TIMES:
        return "times";
    case VFS_VALIDATOR_ETAG:
        return "etag";
    case VFS_VALIDATOR_VERSION:
        return "version";
    case VFS_VALIDATOR_DIGEST:
        return "digest";
    case VFS_VALIDATOR_NONE:
        break;
    }
    return "none";
}

const char *cli_type_name(vfs_type_e type)
{
    switch (type) {
    case VFS_TYPE_FILE:
        return "file";
    case VFS_TYPE_DIR:
        return "dir";
    case VFS_TYPE_LINK:
        return "link";
    case VFS_TYPE_FIFO:
        return "fifo";
    case VFS_TYPE_SOCKET:
        return "socket";
    case VFS_TYPE_CHAR:
        return "char";
    case VFS_TYPE_BLOCK:
        return "block";
    case VFS_TYPE_UNKNOWN:
        break;
    }
    return "unknown";
}

char *cli_show_mode(char *buf, const vfs_attr_t *attr)
{
    static const char letters[] = "?-dlpscb";
    static const char rwx[] = "rwxrwxrwx";
    buf[0] = (unsigned)attr->type < sizeof(letters) - 1 ? letters[attr->type] : '?';
    for (unsigned i = 0; i < 9; i++)
        buf[i + 1] = attr->mode & (0400u >> i) ? rwx[i] : '-';
    if (attr->mode & 04000u) buf[3] = buf[3] == 'x' ? 's' : 'S';
    if (attr->mode & 02000u) buf[6] = buf[6] == 'x' ? 's' : 'S';
    if (attr->mode & 01000u) buf[9] = buf[9] == 'x' ? 't' : 'T';
    buf[10] = '\0';
    return buf;
}

char *cli_show_time(char *buf, size_t size, int64_t ns, int fine)
{
    int64_t seconds = ns / 1000000000, rest = ns % 1000000000;
    struct tm broken;
    if (rest < 0) {
        seconds--;
        rest += 1000000000;
    }
    time_t when = (time_t)seconds;
    size_t len = gmtime_r(&when, &broken) != NULL
                     ? strftime(buf, size, "%Y-%m-%d %H:%M:%S", &broken)
                     : (size_t)snprintf(buf, size, "@%lld", (long long)seconds);
    if (fine && len < size) (void)snprintf(buf + len, size - len, ".%09lld", (long long)rest);
    return buf;
}

void cli_json_attr(json_t *json, const char *path, const vfs_attr_t *attr)
{
    char mode[8];
    json_path(json, "path", path);
    json_string(json, "type", cli_type_name(attr->type));
    json_uint(json, "size", attr->size);
    (void)snprintf(mode, sizeof(mode), "%04o", attr->mode & 07777u);
    json_string(json, "mode", mode);
    json_uint(json, "nlink", attr->nlink);
    json_uint(json, "uid", attr->uid);
    json_uint(json, "gid", attr->gid);
    json_int(json, "mtime_ns", attr->mtime_ns);
}
