/*
 * mount_config.c - the file of --config: what the command line of `mount` could say, line by line.
 * Floor 4, private to tools/. A line is `NAME = VALUE`, or a flag's NAME; `#` begins a comment
 * line.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include <apr_strings.h>

#include "tools/mount.h"

#define FILE_LINES_MAX 10000u

/* Without the blanks around it; in place. */
static char *trim(char *text)
{
    char *end = text + strlen(text);
    while (end > text && isspace((unsigned char)end[-1]))
        *--end = '\0';
    while (isspace((unsigned char)*text))
        text++;
    return text;
}

/* `line` is without blanks around it, and not empty. NULL, or what is wrong. */
static const char *take_line(cli_t *cli, char *line)
{
    char *equals = strchr(line, '=');
    if (equals != NULL) *equals = '\0';
    const char *name = trim(line), *value = equals != NULL ? trim(equals + 1) : NULL;
    if (name[0] == '\0') return "a name must stand in front of =";
    if (strcmp(name, "config") == 0) return "a file cannot name another one";
    if (strcmp(name, "source") == 0 || strcmp(name, "mountpoint") == 0) {
        if (value == NULL || value[0] == '\0') return apr_psprintf(cli->pool, "%s = what?", name);
        const char **to = name[0] == 's' ? &cli->opt.source : &cli->opt.mountpoint;
        *to = apr_pstrdup(cli->pool, value);
        return NULL;
    }
    return mount_take_setting(cli, apr_pstrdup(cli->pool, name),
                              value != NULL ? apr_pstrdup(cli->pool, value) : NULL);
}

/* NULL, or what is wrong with it. */
static const char *read_lines(cli_t *cli, FILE *in, const char *path)
{
    char line[VFS_PATH_MAX + 256];
    for (unsigned number = 1; fgets(line, sizeof(line), in) != NULL; number++) {
        size_t len = strlen(line);
        const char *wrong = NULL;
        if (len + 1 == sizeof(line) && line[len - 1] != '\n') wrong = "the line is too long";
        if (number > FILE_LINES_MAX) wrong = "it has too many lines";
        char *text = trim(line);
        if (wrong == NULL && text[0] != '\0' && text[0] != '#') wrong = take_line(cli, text);
        if (wrong != NULL) return apr_psprintf(cli->pool, "%s, line %u: %s", path, number, wrong);
    }
    return ferror(in) ? apr_psprintf(cli->pool, "%s: %s", path, strerror(errno)) : NULL;
}

const char *mount_take_config(cli_t *cli, const char *path)
{
    if (cli->opt.config_file != NULL && strcmp(cli->opt.config_file, path) == 0)
        return NULL; /* it was the first that was read, so that the command line counts more */
    if (cli->opt.config_file != NULL) return "there can be one such file";
    cli->opt.config_file = path;
    FILE *in = fopen(path, "re");
    if (in == NULL) return strerror(errno);
    errno = 0;
    const char *wrong = read_lines(cli, in, path);
    (void)fclose(in); /* only read */
    return wrong;
}
