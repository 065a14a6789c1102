/*
 * auth.c - is the server who it should be, and who are we? Floor 2. No secret goes into a message.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backends/sftp/sftp.h"

#define BASE64_MAX 6000u /* of a key: RSA of 16384 bits has 2100 bytes */

/* ---- the server's key */

static const struct {
    const char *name;
    int bit;
    int type; /* of libssh2_session_hostkey */
} key_types[] = {
    {"ssh-ed25519", LIBSSH2_KNOWNHOST_KEY_ED25519, LIBSSH2_HOSTKEY_TYPE_ED25519},
    {"ecdsa-sha2-nistp256", LIBSSH2_KNOWNHOST_KEY_ECDSA_256, LIBSSH2_HOSTKEY_TYPE_ECDSA_256},
    {"ecdsa-sha2-nistp384", LIBSSH2_KNOWNHOST_KEY_ECDSA_384, LIBSSH2_HOSTKEY_TYPE_ECDSA_384},
    {"ecdsa-sha2-nistp521", LIBSSH2_KNOWNHOST_KEY_ECDSA_521, LIBSSH2_HOSTKEY_TYPE_ECDSA_521},
    {"ssh-rsa", LIBSSH2_KNOWNHOST_KEY_SSHRSA, LIBSSH2_HOSTKEY_TYPE_RSA}};
#define KEY_TYPES (sizeof(key_types) / sizeof(key_types[0]))

static int look_up(sftp_session_t *s, LIBSSH2_KNOWNHOSTS *known, const char *key, size_t len,
                   int bit)
{
    const sftp_config_t *config = &s->f->config;
    return libssh2_knownhost_checkp(
        known, config->host, config->port, key, len,
        LIBSSH2_KNOWNHOST_TYPE_PLAIN | LIBSSH2_KNOWNHOST_KEYENC_RAW | bit, NULL);
}

apr_status_t sftp__prefer_known_keys(sftp_session_t *s, char *err, size_t errlen)
{
    /* A server has keys of several kinds: it shall show one of those that are known. A wrong key of
     * a known kind is a mismatch, of another kind it is not found. */
    char list[256] = "";
    sftp_known_t known = {.shown = NULL};
    apr_status_t status = sftp__known_read(s, &known);
    if (status != APR_SUCCESS) {
        (void)snprintf(err, errlen, "%s cannot be read", s->f->config.known_hosts);
        return status;
    }
    for (int want = 1; want >= 0; want--) {
        for (size_t i = 0; i < KEY_TYPES; i++) {
            int is_known = look_up(s, known.keys, "x", 1, key_types[i].bit) ==
                           LIBSSH2_KNOWNHOST_CHECK_MISMATCH;
            size_t len = strlen(list);
            if (is_known == want)
                (void)snprintf(list + len, sizeof(list) - len, "%s%s", len > 0 ? "," : "",
                               key_types[i].name);
        }
    }
    libssh2_knownhost_free(known.keys);
    /* a library without one of these leaves it out */
    (void)libssh2_session_method_pref(s->ssh, LIBSSH2_METHOD_HOSTKEY, list);
    return APR_SUCCESS;
}

static void base64(char *out, size_t size, const char *data, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *b = (const unsigned char *)data;
    size_t n = 0;
    for (size_t i = 0; i < len && n + 5 <= size; i += 3) {
        unsigned bits = (unsigned)b[i] << 16;
        if (i + 1 < len) bits |= (unsigned)b[i + 1] << 8;
        if (i + 2 < len) bits |= b[i + 2];
        out[n++] = digits[bits >> 18];
        out[n++] = digits[bits >> 12 & 63];
        out[n++] = i + 1 < len ? digits[bits >> 6 & 63] : '=';
        out[n++] = i + 2 < len ? digits[bits & 63] : '=';
    }
    out[n] = '\0';
}

/* "SHA256:..." as ssh shows it. */
static void fingerprint(sftp_session_t *s, char *out, size_t size)
{
    const char *hash = libssh2_hostkey_hash(s->ssh, LIBSSH2_HOSTKEY_HASH_SHA256);
    (void)snprintf(out, size, "SHA256:");
    if (hash != NULL) base64(out + 7, size - 7, hash, 32);
    out[strcspn(out, "=")] = '\0';
}

static const char *host_name(const sftp_config_t *config, char *out, size_t size)
{
    (void)snprintf(out, size, config->port == 22 ? "%s" : "[%s]:%u", config->host, config->port);
    return out;
}

static apr_status_t refuse_host(sftp_session_t *s, int check, const char *type,
                                const sftp_known_t *known, char *err, size_t errlen)
{
    const sftp_config_t *config = &s->f->config;
    char name[300], print[64];
    host_name(config, name, sizeof(name));
    fingerprint(s, print, sizeof(print));
    if (known->revoked)
        (void)snprintf(err, errlen,
                       "THE KEY OF %s IS REVOKED: %s %s is marked @revoked in %s. Who has it may "
                       "pretend to be the server; nothing was sent. The server needs another key",
                       name, type, print, config->known_hosts);
    else if (check == LIBSSH2_KNOWNHOST_CHECK_MISMATCH)
        (void)snprintf(
            err, errlen,
            "THE KEY OF %s HAS CHANGED: it shows %s %s, and %s has another. Somebody may "
            "stand between you and the server; nothing was sent. If the server was set "
            "up anew, remove the old key: ssh-keygen -f '%s' -R '%s'",
            name, type, print, config->known_hosts, config->known_hosts, name);
    else
        (void)snprintf(err, errlen,
                       "the key of %s is not known: %s %s%s. If that is the server's, accept it:\n"
                       "echo '%s %s %s' >> %s",
                       name, type, print,
                       known->authority ? " (what an authority has signed, @cert-authority, is not "
                                          "looked at here)"
                                        : "",
                       name, type, known->shown, config->known_hosts);
    return APR_FROM_OS_ERROR(EACCES);
}

apr_status_t sftp__check_host(sftp_session_t *s, char *err, size_t errlen)
{
    size_t len = 0, i = 0;
    int type = 0;
    const char *key = libssh2_session_hostkey(s->ssh, &len, &type);
    while (i < KEY_TYPES && key_types[i].type != type)
        i++;
    if (key == NULL || i == KEY_TYPES) {
        (void)snprintf(err, errlen, "the server's key is of a kind that is not known here");
        return APR_FROM_OS_ERROR(EACCES);
    }
    char text[BASE64_MAX];
    sftp_known_t known = {.shown = text};
    base64(text, sizeof(text), key, len);
    apr_status_t status = sftp__known_read(s, &known);
    if (status != APR_SUCCESS) return status;
    int check = look_up(s, known.keys, key, len, key_types[i].bit);
    libssh2_knownhost_free(known.keys);
    if (check == LIBSSH2_KNOWNHOST_CHECK_MATCH && !known.revoked) return APR_SUCCESS;
    return refuse_host(s, check, key_types[i].name, &known, err, errlen);
}

/* ---- us */

/* What was tried, for who wants to know why nothing helped. */
typedef struct login_t {
    sftp_session_t *s;
    const vfs_ctx_t *ctx;
    const char *user;
    char tried[512];
    int refused;         /* the server has said no to something */
    apr_status_t status; /* of waiting */
} login_t;

static void note(login_t *l, const char *what, const char *how)
{
    size_t len = strlen(l->tried);
    (void)snprintf(l->tried + len, sizeof(l->tried) - len, "%s%s %s", len > 0 ? "; " : "", what,
                   how);
}

/* Again? Only while libssh2 waits for the server. Where the connection has ended, nothing was
 * refused; but who refuses for the last time may end it, too. */
static int again(login_t *l, int rc)
{
    if (rc != 0 && rc != LIBSSH2_ERROR_EAGAIN && l->s->broken) l->status = VFS_EOFFLINE;
    if (rc != LIBSSH2_ERROR_EAGAIN) return 0;
    l->status = sftp__await(l->s, l->ctx);
    return l->status == APR_SUCCESS;
}

static int try_file(login_t *l, const char *file)
{
    const char *secret = l->s->f->secret != NULL ? l->s->f->secret : "";
    int rc;
    if (access(file, F_OK) != 0) {
        if (l->s->f->config.identity != NULL) note(l, file, "is not there");
        return 0;
    }
    if (access(file, R_OK) != 0) {
        note(l, file, "cannot be read");
        return 0;
    }
    do
        rc = libssh2_userauth_publickey_fromfile_ex(l->s->ssh, l->user, (unsigned)strlen(l->user),
                                                    NULL, file, secret);
    while (again(l, rc));
    if (rc == 0) return 1;
    if (l->status != APR_SUCCESS) return 0;
    l->refused |=
        rc == LIBSSH2_ERROR_AUTHENTICATION_FAILED || rc == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED;
    note(l, file,
         rc == LIBSSH2_ERROR_FILE || rc == LIBSSH2_ERROR_METHOD_NOT_SUPPORTED
             ? "cannot be used (encrypted? add it to an agent, or name its passphrase by "
               "secret_file=)"
             : "was refused");
    return 0;
}

static int try_default_files(login_t *l)
{
    static const char *const names[] = {"id_ed25519", "id_ecdsa", "id_rsa"};
    const char *home = getenv("HOME");
    char file[VFS_PATH_MAX];
    for (size_t i = 0; home != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(file, sizeof(file), "%s/.ssh/%s", home, names[i]);
        if (try_file(l, file)) return 1;
        if (l->status != APR_SUCCESS) return 0;
    }
    return 0;
}

static int try_keys_of_agent(login_t *l, LIBSSH2_AGENT *agent)
{
    struct libssh2_agent_publickey *key = NULL, *before = NULL;
    int rc;
    while (libssh2_agent_get_identity(agent, &key, before) == 0 && l->status == APR_SUCCESS) {
        do
            rc = libssh2_agent_userauth(agent, l->user, key);
        while (again(l, rc));
        if (rc == 0) return 1;
        l->refused |= l->status == APR_SUCCESS;
        before = key;
    }
    note(l, "the agent", before != NULL ? "has no key that is accepted" : "has no key (ssh-add)");
    return 0;
}

static int try_agent(login_t *l)
{
    if (getenv("SSH_AUTH_SOCK") == NULL) {
        note(l, "no agent", "runs (SSH_AUTH_SOCK is not set)");
        return 0;
    }
    LIBSSH2_AGENT *agent = libssh2_agent_init(l->s->ssh);
    if (agent == NULL) return 0;
    int in = 0;
    if (libssh2_agent_connect(agent) != 0 || libssh2_agent_list_identities(agent) != 0)
        note(l, "the agent", "does not answer (SSH_AUTH_SOCK is of one that has ended?)");
    else
        in = try_keys_of_agent(l, agent);
    (void)libssh2_agent_disconnect(agent); /* it was asked only */
    libssh2_agent_free(agent);
    return in;
}

static void answer_prompts(const char *name, int name_len, const char *what, int what_len,
                           int prompts, const LIBSSH2_USERAUTH_KBDINT_PROMPT *prompt,
                           LIBSSH2_USERAUTH_KBDINT_RESPONSE *responses, void **abstract)
{
    const sftp_session_t *s = *abstract;
    (void)name;
    (void)name_len;
    (void)what;
    (void)what_len;
    (void)prompt;
    for (int i = 0; i < prompts; i++) {
        responses[i].text = strdup(prompts == 1 ? s->f->secret : "");
        responses[i].length = responses[i].text != NULL ? (unsigned)strlen(responses[i].text) : 0;
    }
}

static int try_password(login_t *l, const char *methods)
{
    sftp_session_t *s = l->s;
    const unsigned len = (unsigned)strlen(l->user);
    int rc = LIBSSH2_ERROR_AUTHENTICATION_FAILED;
    if (s->f->secret == NULL) {
        note(l, "no password", "is there (secret_file=, or the variable of secret_env=)");
        return 0;
    }
    if (strstr(methods, "password") != NULL) {
        do
            rc = libssh2_userauth_password_ex(s->ssh, l->user, len, s->f->secret,
                                              (unsigned)strlen(s->f->secret), NULL);
        while (again(l, rc));
    }
    if (rc != 0 && l->status == APR_SUCCESS && strstr(methods, "keyboard-interactive") != NULL) {
        do
            rc = libssh2_userauth_keyboard_interactive_ex(s->ssh, l->user, len, answer_prompts);
        while (again(l, rc));
    }
    if (rc != 0) note(l, "the password", "was refused");
    return rc == 0;
}

static int try_all(login_t *l, const char *methods)
{
    const sftp_config_t *config = &l->s->f->config;
    const int keys = strstr(methods, "publickey") != NULL;
    if (keys && config->identity != NULL && try_file(l, config->identity)) return 1;
    if (keys && config->use_agent && l->status == APR_SUCCESS && try_agent(l)) return 1;
    if (keys && config->identity == NULL && l->status == APR_SUCCESS && try_default_files(l))
        return 1;
    if (l->status != APR_SUCCESS) return 0;
    if (strstr(methods, "password") == NULL && strstr(methods, "keyboard-interactive") == NULL)
        return 0;
    return try_password(l, methods);
}

apr_status_t sftp__log_in(sftp_session_t *s, const vfs_ctx_t *ctx, char *err, size_t errlen)
{
    login_t l = {.s = s, .ctx = ctx, .user = s->f->config.user};
    const char *list = NULL;
    do
        list = libssh2_userauth_list(s->ssh, l.user, (unsigned)strlen(l.user));
    while (list == NULL && again(&l, libssh2_session_last_errno(s->ssh)));
    if (list == NULL && libssh2_userauth_authenticated(s->ssh)) return APR_SUCCESS;
    if (list == NULL) return l.status != APR_SUCCESS ? l.status : VFS_EOFFLINE;
    char methods[256];
    (void)snprintf(methods, sizeof(methods), "%s", list); /* the next call takes it away */
    if (try_all(&l, methods)) return APR_SUCCESS;
    if (l.status != APR_SUCCESS && !(l.status == VFS_EOFFLINE && l.refused)) return l.status;
    (void)snprintf(err, errlen,
                   "%s does not let '%s' in: %s. It takes %s. Is it the right user? A key is "
                   "named by identity=FILE, and put on the server by ssh-copy-id",
                   s->f->config.host, l.user, l.tried[0] != '\0' ? l.tried : "nothing to try",
                   methods);
    return APR_FROM_OS_ERROR(EACCES);
}
