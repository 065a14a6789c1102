/*
 * known.c - what known_hosts says: keys of servers, for libssh2, and lines with a mark, which it
 * does not know. Floor 2. (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".)
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "backends/sftp/sftp.h"

/* '*' and '?', and no brackets: those are of ports. */
static int matches(const char *pattern, size_t len, const char *name)
{
    const char *end = pattern + len, *star = NULL, *behind = NULL;
    while (*name != '\0') {
        if (pattern < end && *pattern == '*') {
            star = ++pattern;
            behind = name;
        } else if (pattern < end && (*pattern == '?' || strncasecmp(pattern, name, 1) == 0)) {
            pattern++;
            name++;
        } else if (star != NULL) {
            pattern = star;
            name = ++behind;
        } else {
            return 0;
        }
    }
    while (pattern < end && *pattern == '*')
        pattern++;
    return pattern == end;
}

/* A list of patterns; one that begins with '!' takes the name out. */
static int lists(const char *list, const char *name)
{
    int found = 0;
    while (*list != '\0') {
        size_t len = strcspn(list, ",");
        int not = *list == '!';
        if (matches(list + not, len - (size_t) not, name)) {
            if (not ) return 0;
            found = 1;
        }
        list += len + (list[len] == ',');
    }
    return found;
}

/* A name that is hashed is one for libssh2: with another key than that of the line it says whether
 * the name is known. Where it cannot be asked the line is about whoever it is. */
static int is_hashed_name(sftp_session_t *s, const char *line)
{
    const sftp_config_t *config = &s->f->config;
    LIBSSH2_KNOWNHOSTS *one = libssh2_knownhost_init(s->ssh);
    if (one == NULL) return 1;
    int found =
        libssh2_knownhost_readline(one, line, strlen(line), LIBSSH2_KNOWNHOST_FILE_OPENSSH) != 0 ||
        libssh2_knownhost_checkp(one, config->host, config->port, "x", 1,
                                 LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_RAW,
                                 NULL) != LIBSSH2_KNOWNHOST_CHECK_NOTFOUND;
    libssh2_knownhost_free(one);
    return found;
}

static int is_about_us(sftp_session_t *s, const char *names, const char *line)
{
    const sftp_config_t *config = &s->f->config;
    char with_port[300];
    if (names[0] == '|') return is_hashed_name(s, line);
    (void)snprintf(with_port, sizeof(with_port), "[%s]:%u", config->host, config->port);
    return lists(names, config->host) || lists(names, with_port);
}

/* "@MARK NAMES KIND KEY ..." */
static void take_mark(sftp_session_t *s, char *line, sftp_known_t *known)
{
    static const char blanks[] = " \t\r\n";
    char *state = NULL;
    size_t behind = strcspn(line, blanks);
    char *whole = strdup(line + behind + strspn(line + behind, blanks));
    const char *mark = strtok_r(line, blanks, &state), *names = strtok_r(NULL, blanks, &state);
    const char *kind = strtok_r(NULL, blanks, &state), *key = strtok_r(NULL, blanks, &state);
    int ours = kind != NULL && key != NULL && (whole == NULL || is_about_us(s, names, whole));
    free(whole);
    if (!ours) return;
    if (strcmp(mark, "@cert-authority") == 0) known->authority = 1;
    if (strcmp(mark, "@revoked") == 0 && known->shown != NULL && strcmp(key, known->shown) == 0)
        known->revoked = 1;
}

apr_status_t sftp__known_read(sftp_session_t *s, sftp_known_t *known)
{
    char *line = NULL;
    size_t room = 0;
    apr_status_t status = APR_SUCCESS;
    known->keys = libssh2_knownhost_init(s->ssh);
    if (known->keys == NULL) return APR_ENOMEM;
    FILE *file = fopen(s->f->config.known_hosts, "re");
    if (file == NULL) return APR_SUCCESS; /* a file that is not there knows nobody */
    while (getline(&line, &room, file) > 0) {
        char *at = line + strspn(line, " \t");
        if (*at == '@')
            take_mark(s, at, known);
        else
            (void)libssh2_knownhost_readline(
                known->keys, line, strlen(line),
                LIBSSH2_KNOWNHOST_FILE_OPENSSH); /* others may be good */
    }
    if (ferror(file)) status = APR_FROM_OS_ERROR(EIO); /* what is behind may be a revocation */
    free(line);
    (void)fclose(file); /* it was read only */
    if (status != APR_SUCCESS) libssh2_knownhost_free(known->keys);
    return status;
}
