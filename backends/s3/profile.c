/*
 * profile.c - what the two files that the tools of AWS share say of a profile. Floor 2. A secret is
 * in no message.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backends/s3/profile.h"

#define LINE_MAX_BYTES 16384u

static char *trim(char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    size_t len = strlen(text);
    while (len > 0 && isspace((unsigned char)text[len - 1]))
        text[--len] = '\0';
    return text;
}

static int put(char *out, size_t size, const char *value)
{
    size_t len = strlen(value);
    if (len >= size || value[strcspn(value, "\r\n")] != '\0') return 0;
    memcpy(out, value, len + 1);
    return 1;
}

/* 0: its value is too long. */
static int take_line(s3_profile_t *p, char *line)
{
    const struct {
        const char *key;
        char *out;
        size_t size;
    } rows[] = {
        {"aws_access_key_id", p->creds.id, sizeof(p->creds.id)},
        {"aws_secret_access_key", p->creds.secret, sizeof(p->creds.secret)},
        {"aws_session_token", p->creds.token, sizeof(p->creds.token)},
        {"role_arn", p->role, sizeof(p->role)},
        {"source_profile", p->source, sizeof(p->source)},
        {"credential_source", p->origin, sizeof(p->origin)},
        {"role_session_name", p->session, sizeof(p->session)},
        {"external_id", p->external, sizeof(p->external)},
        {"duration_seconds", p->seconds, sizeof(p->seconds)},
        {"web_identity_token_file", p->token_file, sizeof(p->token_file)},
        {"credential_process", p->process, sizeof(p->process)},
        {"mfa_serial", p->mfa, sizeof(p->mfa)},
        {"sso_session", p->sso, sizeof(p->sso)},
        {"sso_start_url", p->sso, sizeof(p->sso)},
    };
    char *value = strchr(line, '=');
    if (value == NULL) return 1;
    *value++ = '\0';
    char *key = trim(line);
    value = trim(value);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(key, rows[i].key) == 0) return put(rows[i].out, rows[i].size, value);
    return 1;
}

/* Does "[name]", or in the second file "[profile name]", begin that profile? */
static int is_ours(char *text, const char *name, int config)
{
    text[strcspn(text, "]")] = '\0';
    text = trim(text);
    if (config && strncmp(text, "profile", 7) == 0 && isspace((unsigned char)text[7])) {
        text = trim(text + 7);
        size_t len = strlen(text);
        if (len > 1 && text[0] == '"' && text[len - 1] == '"') {
            text[len - 1] = '\0';
            text++;
        }
    } else if (config && strcmp(text, "default") != 0) {
        return 0;
    }
    return strcmp(text, name) == 0;
}

static int has_key(const s3_profile_t *p)
{
    return p->creds.id[0] != '\0' || p->creds.secret[0] != '\0';
}

/* 0: a line is too long. */
static int read_stream(s3_profile_t *p, FILE *file, const char *name, int config)
{
    char *line = malloc(LINE_MAX_BYTES);
    int ours = 0, good = line != NULL;
    while (good && fgets(line, (int)LINE_MAX_BYTES, file) != NULL) {
        char *text = trim(line);
        if (text[0] == '[') {
            ours = is_ours(text + 1, name, config);
            p->found |= ours;
        } else if (ours && text[0] != '#' && text[0] != ';') {
            good = take_line(p, text);
        }
    }
    if (line != NULL) explicit_bzero(line, LINE_MAX_BYTES);
    free(line);
    return good;
}

static int read_file(s3_profile_t *p, const char *path, const char *name, int config, int *error)
{
    FILE *file = fopen(path, "re");
    *error = file == NULL ? errno : 0;
    if (file == NULL) return 1;
    int good = read_stream(p, file, name, config);
    (void)fclose(file); /* it was read only */
    return good;
}

static void place(char *out, size_t size, const char *variable, const char *usual)
{
    const char *said = s3__environment(variable, NULL), *home = getenv("HOME");
    if (said != NULL)
        (void)snprintf(out, size, "%s", said);
    else
        (void)snprintf(out, size, "%s/.aws/%s", home != NULL ? home : "", usual);
}

/* A key of the first file is better than one of the second, and never mixed with it. */
const char *s3__profile_read(s3_profile_t *p, const char *name)
{
    int config_error = 0;
    memset(p, 0, sizeof(*p));
    place(p->file, sizeof(p->file), "AWS_SHARED_CREDENTIALS_FILE", "credentials");
    place(p->config, sizeof(p->config), "AWS_CONFIG_FILE", "config");
    int good = read_file(p, p->config, name, 1, &config_error);
    s3_creds_t second = p->creds;
    const char *wrong = good ? p->file : p->config;
    memset(&p->creds, 0, sizeof(p->creds));
    if (good) good = read_file(p, p->file, name, 0, &p->error);
    p->own_key = has_key(p);
    if (!p->own_key) p->creds = second;
    explicit_bzero(&second, sizeof(second));
    if (good) return NULL;
    if (wrong != p->file) (void)snprintf(p->file, sizeof(p->file), "%s", wrong);
    return "has a line that is too long";
}
