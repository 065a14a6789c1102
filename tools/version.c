/*
 * version.c - `cachefs version`: what this program is, was built with, and can do.
 * Floor 4.
 */
#include <string.h>
#include <sys/utsname.h>

#include <apr_strings.h>
#include <apr_version.h>

#include "build_info.h"
#include "cachefs/policy.h"
#include "mount/session.h"
#include "tools/mount_http.h"
#include "tools/trace.h"
#include "vfs/digest.h"

typedef struct names_t {
    json_t *json;
    apr_pool_t *pool;
    const char *text; /* all of them, with blanks between */
} names_t;

static void add_name(names_t *names, const char *name)
{
    if (names->json != NULL) json_string(names->json, NULL, name);
    names->text =
        apr_pstrcat(names->pool, names->text, names->text[0] != '\0' ? " " : "", name, NULL);
}

static void add_scheme(void *baton, const char *scheme)
{
    add_name(baton, scheme);
}

static void add_policies(names_t *names)
{
    for (size_t i = 0; cachefs_policy_at(i) != NULL; i++)
        add_name(names, cachefs_policy_at(i)->name);
}

/* NULL: it is missing. */
static const char *xxhash_version(apr_pool_t *pool)
{
#ifdef CACHEFS_WITH_XXHASH
    unsigned v = XXH_versionNumber();
    return apr_psprintf(pool, "%u.%u.%u", v / 10000, v / 100 % 100, v % 100);
#else
    (void)pool;
    return NULL;
#endif
}

static void print_optional_json(json_t *json, const char *name, const char *version)
{
    if (version != NULL)
        json_string(json, name, version);
    else
        json_null(json, name);
}

static void print_json(cli_t *cli)
{
    json_t json;
    names_t names = {&json, cli->pool, ""};
    json_start(&json, stdout);
    json_object(&json, NULL);
    json_string(&json, "version", vfs_version());
    json_string(&json, "apr", apr_version_string());
    print_optional_json(&json, "xxhash", xxhash_version(cli->pool));
    print_optional_json(&json, "zstd", trace_zstd_version());
    print_optional_json(&json, "fuse", mount_fuse_version());
    print_optional_json(&json, "microhttpd", mount_http_version());
    print_optional_json(&json, "curl", BUILD_CURL[0] != '\0' ? BUILD_CURL : NULL);
    print_optional_json(&json, "ssh2", BUILD_SSH2[0] != '\0' ? BUILD_SSH2 : NULL);
    json_string(&json, "compiler", BUILD_COMPILER);
    json_string(&json, "build", BUILD_TYPE);
    json_string(&json, "sanitizers", BUILD_SANITIZERS);
    json_array(&json, "schemes");
    vfs_each_scheme(add_scheme, &names);
    json_close(&json, ']');
    json_array(&json, "policies");
    add_policies(&names);
    json_close(&json, ']');
    json_close(&json, '}');
    json_end(&json);
}

static int run(cli_t *cli)
{
    if (cli->opt.json) {
        print_json(cli);
        return CLI_DONE;
    }
    const char *xxhash = xxhash_version(cli->pool), *zstd = trace_zstd_version();
    const char *fuse = mount_fuse_version();
    names_t schemes = {NULL, cli->pool, ""}, policies = {NULL, cli->pool, ""};
    vfs_each_scheme(add_scheme, &schemes);
    add_policies(&policies);
    (void)printf("cachefs %s\n", vfs_version());
    (void)printf("  compiler   %s, %s%s%s\n", BUILD_COMPILER, BUILD_TYPE,
                 BUILD_SANITIZERS[0] != '\0' ? ", sanitizers " : "", BUILD_SANITIZERS);
    (void)printf("  APR        %s (built with %s)\n", apr_version_string(), APR_VERSION_STRING);
    (void)printf("  xxHash     %s\n", xxhash != NULL ? xxhash : "missing: checksums take longer");
    (void)printf("  zstd       %s\n",
                 zstd != NULL ? zstd : "missing: a store is not packed, nor packed traces read");
    (void)printf("  libfuse    %s\n", fuse != NULL ? fuse : "missing: it cannot mount");
    (void)printf("  libmicrohttpd %s\n", mount_http_version() != NULL
                                             ? mount_http_version()
                                             : "missing: a mount serves no metrics");
    (void)printf("  libcurl    %s\n",
                 BUILD_CURL[0] != '\0' ? BUILD_CURL : "missing: no origins over HTTP");
    (void)printf("  libssh2    %s\n",
                 BUILD_SSH2[0] != '\0' ? BUILD_SSH2 : "missing: no origins over SFTP");
    (void)printf("  schemes    %s\n", schemes.text);
    (void)printf("  policies   %s\n", policies.text);
    return CLI_DONE;
}

const cli_verb_t cli_version = {
    .name = "version",
    .bit = CLI_VERSION,
    .args_min = 0,
    .args_max = 0,
    .usage = "[options]",
    .summary = "show versions, schemes and eviction policies",
    .text = "Shows the version of the program and of what it was built with, the schemes of "
            "origins, and the\n"
            "eviction policies.\n",
    .run = run,
};
