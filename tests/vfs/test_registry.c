/*
 * test_registry.c - schemes by name, what a wrong URI is told, and plug-ins.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>
#include <criterion/criterion.h>

#include "support_fake.h"

static apr_pool_t *pool;
static char err[512];
static char last_uri[128];
static fake_t fake;

static apr_status_t open_fake(vfs_t **out, const char *uri, char *why, size_t size,
                              apr_pool_t *parent)
{
    vfs_ops_t ops = fake_ops();
    strcpy(last_uri, uri);
    if (strstr(uri, "?mute") != NULL) return APR_EACCES;
    if (strstr(uri, "?bad") != NULL) {
        apr_snprintf(why, size, "no option \"bad\"");
        *out = (vfs_t *)&fake; /* dispatch has to clear it */
        return APR_EINVAL;
    }
    *out = fake_create(&fake, &ops, parent);
    return APR_SUCCESS;
}

static apr_status_t open_other(vfs_t **out, const char *uri, char *why, size_t size,
                               apr_pool_t *parent)
{
    (void)out, (void)uri, (void)parent; /* it only refuses */
    apr_snprintf(why, size, "the other one");
    return VFS_EOFFLINE;
}

static void setup(void)
{
    pool = test_pool();
}

static void teardown(void)
{
    apr_pool_destroy(pool);
}

static apr_status_t open_uri(const char *uri)
{
    vfs_t *fs = (vfs_t *)&fake;
    strcpy(err, "stale");
    apr_status_t status = vfs_open_uri(&fs, uri, err, sizeof(err), pool);
    if (status == APR_SUCCESS)
        cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
    else
        cr_assert_null(fs);
    return status;
}

Test(vfs_registry, a_scheme_is_found_whatever_its_case, .init = setup, .fini = teardown)
{
    cr_assert_eq(vfs_register_scheme("X-y.2+", open_fake), APR_SUCCESS);
    cr_assert_eq(open_uri("x-Y.2+:///some/where?a=b"), APR_SUCCESS);
    cr_assert_str_eq(last_uri, "x-Y.2+:///some/where?a=b", "the backend gets it as it is");
    cr_assert_str_eq(err, "");
    cr_assert_eq(open_uri("X-Y.2+:"), APR_SUCCESS);
    cr_assert_eq(open_uri("x-y.2:"), APR_ENOTIMPL, "a prefix is another name");
    cr_assert_eq(open_uri("x-y.2++:"), APR_ENOTIMPL);
}

Test(vfs_registry, a_name_that_is_no_scheme_is_refused, .init = setup, .fini = teardown)
{
    static const char *const bad[] = {"", "1a", "a b", "a:", "a/b", "\xc3\xa9", "-a"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        cr_assert_eq(vfs_register_scheme(bad[i], open_fake), APR_EINVAL, "%s", bad[i]);
    cr_assert_eq(vfs_register_scheme(NULL, open_fake), APR_EINVAL);
    cr_assert_eq(vfs_register_scheme("a", NULL), APR_EINVAL);
}

Test(vfs_registry, a_wrong_uri_is_answered_with_the_right_form, .init = setup, .fini = teardown)
{
    cr_assert_eq(open_uri("s3://bucket"), APR_ENOTIMPL);
    cr_assert_not_null(strstr(err, "none"), "%s", err);
    cr_assert_eq(vfs_register_scheme("mem", open_fake), APR_SUCCESS);
    cr_assert_eq(vfs_register_scheme("file", open_fake), APR_SUCCESS);
    cr_assert_eq(open_uri("s3://user:secret@bucket"), APR_ENOTIMPL);
    cr_assert_not_null(strstr(err, "\"s3\""), "%s", err);
    cr_assert_not_null(strstr(err, "file, mem"), "%s", err);
    cr_assert_null(strstr(err, "secret"), "%s", err);
    cr_assert_eq(open_uri("/usr/include"), APR_EINVAL);
    cr_assert_not_null(strstr(err, "try file:///usr/include"), "%s", err);
    cr_assert_eq(open_uri("some/dir?key=secret"), APR_EINVAL);
    cr_assert_not_null(strstr(err, "file:///"), "%s", err);
    cr_assert_null(strstr(err, "secret"), "%s", err);
    cr_assert_eq(open_uri("a/b:c"), APR_EINVAL, "no scheme has a slash");
    cr_assert_eq(open_uri(""), APR_EINVAL);
    cr_assert_eq(open_uri(NULL), APR_EINVAL);
    cr_assert_not_null(strstr(err, "file:///"), "%s", err);
    char *longest = memset(apr_pcalloc(pool, 5000), '/', 4999);
    cr_assert_eq(open_uri(longest), APR_EINVAL);
    cr_assert_lt(strlen(err), sizeof(err));
    vfs_t *fs;
    cr_assert_eq(vfs_open_uri(&fs, "/x", NULL, 0, pool), APR_EINVAL, "nobody wants to read it");
    cr_assert_eq(vfs_open_uri(NULL, "mem:", err, sizeof(err), pool), APR_EINVAL);
    cr_assert_eq(vfs_open_uri(&fs, "mem:", err, sizeof(err), NULL), APR_EINVAL);
}

Test(vfs_registry, the_backends_own_words_are_kept, .init = setup, .fini = teardown)
{
    cr_assert_eq(vfs_register_scheme("mem", open_fake), APR_SUCCESS);
    cr_assert_eq(open_uri("mem:?bad"), APR_EINVAL);
    cr_assert_str_eq(err, "no option \"bad\"");
    cr_assert_eq(open_uri("mem:?mute"), APR_EACCES);
    char words[128];
    cr_assert_str_eq(err, vfs_strerror(APR_EACCES, words, sizeof(words)));
    cr_assert_eq(vfs_register_scheme("MEM", open_other), APR_SUCCESS, "replaces");
    cr_assert_eq(open_uri("mem:"), VFS_EOFFLINE);
    cr_assert_str_eq(err, "the other one");
}

static void collect(void *baton, const char *scheme)
{
    strcat(strcat(baton, scheme), " ");
    (void)vfs_register_scheme(scheme, open_fake); /* no lock is held here */
}

Test(vfs_registry, schemes_are_told_in_alphabetical_order, .init = setup, .fini = teardown)
{
    static const char *const names[] = {"m", "Zz", "a", "mm", "b", "a-b", "m"};
    char all[128] = "";
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        cr_assert_eq(vfs_register_scheme(names[i], open_fake), APR_SUCCESS);
    vfs_each_scheme(collect, all);
    cr_assert_str_eq(all, "a a-b b m mm zz ");
    for (int i = 0; i < 200; i++) {
        char name[16];
        apr_snprintf(name, sizeof(name), "many%d", i);
        cr_assert_eq(vfs_register_scheme(name, open_fake), APR_SUCCESS);
    }
    cr_assert_eq(open_uri("none:"), APR_ENOTIMPL);
    cr_assert_lt(strlen(err), sizeof(err), "a list that is too long is cut at a name");
}

static void *register_many(void *baton)
{
    char name[32];
    for (int i = 0; i < 200; i++) {
        apr_snprintf(name, sizeof(name), "t%d", i);
        if (vfs_register_scheme(name, open_fake) != APR_SUCCESS) return baton;
        apr_snprintf(name, sizeof(name), "t%d:?mute", i);
        vfs_t *fs;
        char why[64];
        if (vfs_open_uri(&fs, "t0:/x?bad", why, sizeof(why), pool) != APR_EINVAL) return baton;
    }
    return NULL;
}

static void count_schemes(void *baton, const char *scheme)
{
    (void)scheme; /* only how many */
    ++*(int *)baton;
}

Test(vfs_registry, many_threads_may_register_at_once, .init = setup, .fini = teardown)
{
    pthread_t threads[4];
    int count = 0;
    void *failed;
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, register_many, &count);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], &failed);
        cr_assert_null(failed);
    }
    vfs_each_scheme(count_schemes, &count);
    cr_assert_eq(count, 200);
}

/* ---- plug-ins: the build puts them beside the test and says where */

#define PLUGIN(name) VFS_TEST_PLUGIN_DIR "/vfs_plugin_" name ".so"

Test(vfs_registry, a_plug_in_brings_its_scheme)
{
    /* No setup: loading one is the first thing that this process does with APR. */
    vfs_attr_t attr;
    vfs_t *fs;
    cr_assert_eq(vfs_load_plugin(PLUGIN("good"), err, sizeof(err)), APR_SUCCESS, "%s", err);
    cr_assert_str_eq(err, "");
    cr_assert_eq(vfs_load_plugin(PLUGIN("good"), NULL, 0), APR_SUCCESS, "again");
    setup();
    cr_assert_eq(vfs_open_uri(&fs, "plugged:", err, sizeof(err), pool), APR_SUCCESS, "%s", err);
    cr_assert_str_eq(vfs_name(fs), "plugged");
    cr_assert_eq(vfs_stat(fs, NULL, "/", &attr), APR_SUCCESS);
    cr_assert_eq(attr.type, VFS_TYPE_DIR);
    cr_assert_eq(vfs_stat(fs, NULL, "/x", &attr), APR_ENOENT);
    cr_assert_eq(vfs_lstat(fs, NULL, "/x", &attr), APR_ENOTIMPL);
    cr_assert_eq(vfs_destroy(fs), APR_SUCCESS);
    teardown();
}

Test(vfs_registry, a_plug_in_that_cannot_be_used_is_explained, .init = setup, .fini = teardown)
{
    cr_assert_eq(vfs_load_plugin("/no/such/plugin.so", err, sizeof(err)), APR_EDSOOPEN);
    cr_assert_not_null(strstr(err, "/no/such/plugin.so"), "%s", err);
    cr_assert_eq(vfs_load_plugin(PLUGIN("none"), err, sizeof(err)), APR_ESYMNOTFOUND);
    cr_assert_not_null(strstr(err, "vfs_plugin_init"), "%s", err);
    cr_assert_eq(vfs_load_plugin(PLUGIN("foreign"), err, sizeof(err)), VFS_EABI);
    cr_assert_not_null(strstr(err, "ABI"), "%s", err);
    cr_assert_eq(vfs_load_plugin(NULL, err, sizeof(err)), APR_EINVAL);
    cr_assert_eq(vfs_load_plugin("", err, sizeof(err)), APR_EINVAL);
}
