/*
 * mount_options.c - the list behind -o, as mount(8) and fstab write it.
 * Floor 4, private to tools/. A word is one of the kernel's, one that is for mount(8) alone, or a
 * setting of ours by the name of its option or key.
 */
#include <string.h>

#include <apr_strings.h>

#include "tools/mount.h"

static int is_one_of(const char *word, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(word, *list) == 0) return 1;
    return 0;
}

/* The kernel's, or libfuse's. */
static int is_kernel(const char *word)
{
    static const char *const words[] = {"ro",    "rw",      "suid",        "nosuid",     "dev",
                                        "nodev", "exec",    "noexec",      "atime",      "noatime",
                                        "sync",  "dirsync", "allow_other", "allow_root", NULL};
    return is_one_of(word, words) || strncmp(word, "max_read=", 9) == 0 ||
           strncmp(word, "context=", 8) == 0;
}

/* For who reads fstab; nothing to us. */
static int is_fstab(const char *word)
{
    static const char *const words[] = {
        "defaults", "auto",       "noauto",      "user",          "nouser",   "users",
        "owner",    "group",      "nofail",      "_netdev",       "async",    "default_permissions",
        "relatime", "norelatime", "strictatime", "nostrictatime", "lazytime", "nolazytime",
        "diratime", "nodiratime", NULL};
    return is_one_of(word, words) || strncmp(word, "x-", 2) == 0 ||
           strncmp(word, "comment=", 8) == 0;
}

static int is_key(const char *key)
{
    for (size_t i = 0; cachefs_key_at(i) != NULL; i++)
        if (strcmp(cachefs_key_at(i)->name, key) == 0) return 1;
    return 0;
}

/* "attr_ttl=5s" is the key, "end-timeout=5s" and "quiet" are options. */
const char *mount_take_setting(cli_t *cli, const char *name, const char *value)
{
    char err[512] = "";
    if (value != NULL && is_key(name))
        return cachefs_config_set(&cli->opt.config, name, value, err, sizeof(err), cli->pool) ==
                       APR_SUCCESS
                   ? NULL
                   : apr_pstrdup(cli->pool, err);
    for (const cli_option_t *row = cli_options; row->name != NULL; row++) {
        if (!(row->verbs & CLI_MOUNT) || strcmp(row->name, name) != 0) continue;
        if ((row->arg != NULL) != (value != NULL))
            return apr_psprintf(cli->pool, "%s %s", name,
                                value != NULL ? "takes no value" : "needs a value");
        return cli_take(cli, row, value);
    }
    return apr_psprintf(cli->pool, "there is no mount option %s%s%s", name,
                        value != NULL ? "=" : "", value != NULL ? value : "");
}

static const char *take_ours(cli_t *cli, const char *word)
{
    const char *equals = strchr(word, '=');
    if (equals == NULL) return mount_take_setting(cli, word, NULL);
    return mount_take_setting(cli, apr_pstrndup(cli->pool, word, (apr_size_t)(equals - word)),
                              equals + 1);
}

static const char *take_word(cli_t *cli, const char *word)
{
    const char *old = cli->opt.kernel_options;
    if (word[0] == '\0' || is_fstab(word)) return NULL;
    if (!is_kernel(word)) return take_ours(cli, word);
    cli->opt.kernel_options =
        old != NULL ? apr_pstrcat(cli->pool, old, ",", word, NULL) : apr_pstrdup(cli->pool, word);
    return NULL;
}

/* A comma within a value stands behind a backslash. */
const char *mount_take_options(cli_t *cli, const char *list)
{
    char *word = apr_palloc(cli->pool, strlen(list) + 1);
    for (;;) {
        size_t len = 0;
        for (; *list != '\0' && *list != ','; list++) {
            if (list[0] == '\\' && (list[1] == ',' || list[1] == '\\')) list++;
            word[len++] = *list;
        }
        word[len] = '\0';
        const char *wrong = take_word(cli, apr_pstrdup(cli->pool, word));
        if (wrong != NULL || *list == '\0') return wrong;
        list++;
    }
}
