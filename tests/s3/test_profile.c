/*
 * test_profile.c - profiles whose key somebody lends: a role by another's key, signed for STS, and
 * programs that print one. Whoever it is, what is wrong is told with what to do, and no secret.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "backends/s3/profile.h"
#include "tests/s3/support_bucket.h"

#define REFUSED APR_FROM_OS_ERROR(EACCES)
#define ARN "arn:aws:iam::1:role/"
#define LIMIT_US 60000000

static bucket_t b;
static char path[256];

static const char *write_file(const char *name, const char *text)
{
    snprintf(path, sizeof(path), "%s/%s", b.web.dir, name);
    FILE *out = fopen(path, "we");
    cr_assert_not_null(out);
    fputs(text, out);
    cr_assert_eq(fclose(out), 0);
    return path;
}

static void begin(void)
{
    char url[64];
    memset(&b, 0, sizeof(b));
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&b.pool, NULL), APR_SUCCESS);
    cr_assert_neq(s3server_start(&b.web, NULL), 0);
    s3server_credentials(0);
    unsetenv("AWS_ACCESS_KEY_ID");
    unsetenv("AWS_SHARED_CREDENTIALS_FILE");
    setenv("HOME", b.web.dir, 1);
    setenv("AWS_SHARED_CREDENTIALS_FILE",
           write_file("credentials", "[base]\naws_access_key_id=KEY\naws_secret_access_key=SECRET\n"
                                     "[wrong]\naws_access_key_id=KEY\n"
                                     "aws_secret_access_key=topsecret\n"),
           1);
    snprintf(url, sizeof(url), "http://127.0.0.1:%d", b.web.port);
    setenv("AWS_ENDPOINT_URL_STS", url, 1);
}

static void end(void)
{
    bucket_stop(&b);
}

TestSuite(s3_profile, .init = begin, .fini = end);

static void configure(const char *text)
{
    setenv("AWS_CONFIG_FILE", write_file("config", text), 1);
}

static apr_status_t open_by(const char *profile)
{
    char options[64];
    snprintf(options, sizeof(options), "&profile=%s", profile);
    return bucket_open(&b, b.web.port, "test", options);
}

static void expect_token(const char *profile, const char *token)
{
    cr_assert_eq(open_by(profile), APR_SUCCESS, "%s", b.err);
    cr_expect_str_eq(bucket_state(&b)->creds.token, token, "%s", profile);
}

static void expect_refused(const char *profile, apr_status_t want, const char *says)
{
    cr_expect_eq(open_by(profile), want, "%s: %s", profile, b.err);
    cr_expect_not_null(strstr(b.err, says), "not '%s': %s", says, b.err);
    cr_expect_null(strstr(b.err, "topsecret"), "%s", b.err);
}

/* ---- roles */

Test(s3_profile, a_role_is_taken_by_the_key_of_another_profile)
{
    configure("[profile reader]\nrole_arn = " ARN "reader\nsource_profile = base\n"
              "external_id = a b&c\nduration_seconds = 900\ns3 =\n  max_queue_size = 10\n"
              "[profile second]\nrole_arn=" ARN "second\nsource_profile=reader\n"
              "role_session_name=me\n"
              "[profile \"quoted one\"]\nrole_arn=" ARN "quoted\nsource_profile=base\n"
              "[profile self]\nrole_arn=" ARN "self\nsource_profile=self\n"
              "aws_access_key_id=KEY\naws_secret_access_key=SECRET\n"
              "[default]\nrole_arn=" ARN "default\ncredential_source=Environment\n");
    expect_token("reader", ARN "reader||a b&c|900");
    cr_expect_gt(bucket_state(&b)->creds.expires_us, 0);
    cr_expect_eq(bucket_state(&b)->creds.lent, 1, "it is fetched again before it ends");
    expect_token("second", ARN "second|" ARN "reader||a b&c|900||");
    expect_token("quoted%20one", ARN "quoted|||");
    expect_token("self", ARN "self|||");
    expect_refused("default", REFUSED, "set AWS_ACCESS_KEY_ID");
    setenv("AWS_ACCESS_KEY_ID", "KEY", 1);
    expect_token("default", ARN "default|||");
    cr_expect_eq(bucket_open(&b, b.web.port, "test", "&profile=base"), APR_SUCCESS, "%s", b.err);
    cr_expect_eq(bucket_state(&b)->creds.lent, 0);
}

Test(s3_profile, a_key_beside_it_in_the_first_file_is_better_than_a_program)
{
    configure("[profile base]\naws_access_key_id=NONE\naws_session_token=topsecret\n"
              "credential_process=/none/program\n"
              "[profile late]\naws_access_key_id=KEY\naws_secret_access_key=SECRET\n");
    expect_token("base", "");
    expect_token("late", "");
}

Test(s3_profile, what_is_wrong_with_a_profile_that_borrows_is_told)
{
    configure("[profile alone]\nrole_arn=" ARN "x\n"
              "[profile mfa]\nrole_arn=" ARN
              "x\nsource_profile=base\nmfa_serial=arn:aws:iam::1:mfa/a\n"
              "[profile sso]\nsso_session=s\nsso_account_id=1\n"
              "[profile odd]\nrole_arn=" ARN "x\ncredential_source=Moon\n"
              "[profile lost]\nrole_arn=" ARN "x\nsource_profile=nobody\n"
              "[profile one]\nrole_arn=" ARN "x\nsource_profile=two\n"
              "[profile two]\nrole_arn=" ARN "x\nsource_profile=one\n"
              "[profile self]\nrole_arn=" ARN "x\nsource_profile=self\n"
              "[profile liar]\nrole_arn=" ARN "x\nsource_profile=wrong\n"
              "[profile denied]\nrole_arn=" ARN "denied\nsource_profile=base\n"
              "[profile empty]\nregion=eu-central-1\n"
              "[profile token]\nrole_arn=" ARN "x\nweb_identity_token_file=/none/token\n");
    expect_refused("alone", REFUSED, "none of source_profile");
    expect_refused("mfa", REFUSED, "export-credentials --profile mfa");
    expect_refused("sso", REFUSED, "export-credentials --profile sso");
    expect_refused("odd", REFUSED, "EcsContainer");
    expect_refused("lost", REFUSED, "no such profile");
    expect_refused("one", REFUSED, "leads back");
    expect_refused("self", REFUSED, "leads back");
    expect_refused("liar", REFUSED, "the secret does not belong");
    expect_refused("denied", REFUSED, "external_id");
    expect_refused("empty", REFUSED, "credential_process");
    expect_refused("token", REFUSED, "/none/token");
    expect_refused("nobody", REFUSED, "no such profile");
    setenv("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1", 1);
    expect_refused("denied", VFS_EOFFLINE, "AWS_ENDPOINT_URL_STS");
}

/* ---- programs */

/* A script that prints a key which ends so many seconds from now, and counts its runs in "ran". */
static void configure_script(int seconds)
{
    char script[1024], config[512], date[32];
    const time_t then = time(NULL) + seconds;
    struct tm tm;
    localtime_r(&then, &tm);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S%z", &tm);
    memmove(date + 23, date + 22, 3); /* +0100 as +01:00 */
    date[22] = ':';
    snprintf(script, sizeof(script),
             "echo x >>'%s/ran'; echo topsecret >&2\n"
             "printf '{\"Version\": 1, \"AccessKeyId\": \"KEY\", \"SecretAccessKey\": \"SECRET\", "
             "\"SessionToken\": \"%%s|%%s|%%s\", \"Expiration\": \"%s\"}' \"$1\" \"$2\" \"$3\"\n",
             b.web.dir, date);
    snprintf(config, sizeof(config),
             "[profile program]\ncredential_process = /bin/sh \"%s\" 'two  words' $HOME;x a\\ b\n",
             write_file("a script", script));
    configure(config);
}

static unsigned runs(void)
{
    unsigned n = 0;
    snprintf(path, sizeof(path), "%s/ran", b.web.dir);
    FILE *file = fopen(path, "re");
    while (file != NULL && fgetc(file) != EOF)
        n++;
    if (file != NULL) (void)fclose(file);
    return n / 2;
}

Test(s3_profile, a_program_prints_a_key_and_no_shell_reads_its_arguments)
{
    vfs_attr_t attr;
    setenv("TZ", "EST5", 1);
    configure_script(3600);
    expect_token("program", "two  words|$HOME;x|a b");
    int64_t left_us = bucket_state(&b)->creds.expires_us - apr_time_now();
    cr_expect(left_us > 3500000000 && left_us <= 3600000000, "%lld", (long long)left_us);
    cr_expect_eq(vfs_stat(b.fs, NULL, "/f", &attr), APR_ENOENT);
    cr_expect_eq(runs(), 1, "it is not asked before its key ends");
    bucket_state(&b)->creds.expires_us = apr_time_now() + 100000000;
    bucket_state(&b)->creds_us = 0;
    cr_expect_eq(vfs_stat(b.fs, NULL, "/f", &attr), APR_ENOENT);
    cr_expect_eq(runs(), 2, "nor after");
}

static apr_status_t lend(const char *command, int64_t limit_us, s3_creds_t *creds)
{
    memset(b.err, 0, sizeof(b.err));
    apr_status_t status = s3__lend_process(NULL, command, limit_us, creds, b.err, sizeof(b.err));
    cr_expect_null(strstr(b.err, "topsecret"), "%s", b.err);
    return status;
}

Test(s3_profile, what_is_wrong_with_a_program_is_told)
{
    static const struct {
        const char *command;
        apr_status_t want;
        const char *says;
    } rows[] = {
        {"/none/program x", REFUSED, "/none/program cannot be run: No such file"},
        {"sh -c 'echo topsecret; exit 7'", REFUSED, "code 7"},
        {"sh -c 'kill -9 $$'", REFUSED, "signal 9"},
        {"sh -c 'echo topsecret'", VFS_EFORMAT, "JSON with Version 1"},
        {"echo "
         "{\\\"Version\\\":2,\\\"AccessKeyId\\\":\\\"K\\\",\\\"SecretAccessKey\\\":"
         "\\\"topsecret\\\"}",
         VFS_EFORMAT, "Version 1"},
        {"sh -c 'yes topsecret'", VFS_EFORMAT, "more than 65535 bytes"},
        {"sh -c 'echo", REFUSED, "a quote is not closed"},
        {"true", VFS_EFORMAT, "JSON"},
    };
    s3_creds_t creds;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        cr_expect_eq(lend(rows[i].command, LIMIT_US, &creds), rows[i].want, "%s: %s",
                     rows[i].command, b.err);
        cr_expect_not_null(strstr(b.err, rows[i].says), "not '%s': %s", rows[i].says, b.err);
    }
}

Test(s3_profile, a_program_that_does_not_end_is_killed_with_what_it_started)
{
    char command[512];
    s3_creds_t creds;
    vfs_ctx_t ctx = VFS_CTX_INIT;
    snprintf(command, sizeof(command), "sh -c 'sleep 1000 & echo $! >%s/pid; wait'", b.web.dir);
    cr_expect_eq(lend(command, 1000000, &creds), VFS_EOFFLINE);
    cr_expect_not_null(strstr(b.err, "did not end in 1 s"), "%s", b.err);
    snprintf(path, sizeof(path), "%s/pid", b.web.dir);
    FILE *file = fopen(path, "re");
    int pid = 0;
    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%d", &pid), 1);
    (void)fclose(file);
    snprintf(command, sizeof(command), "/proc/%d/stat", pid);
    for (int i = 0; i < 6000; i++) { /* a hang, else */
        char state = 0;
        FILE *stat = fopen(command, "re");
        if (stat == NULL) break;
        if (fscanf(stat, "%*d %*s %c", &state) != 1) state = 'Z';
        (void)fclose(stat);
        if (state == 'Z' || state == 'X') break; /* nobody has reaped it yet */
        cr_assert_lt(i, 5999, "it runs on");
        (void)usleep(10000);
    }
    ctx.deadline = apr_time_now() + 200000;
    cr_expect_eq(s3__lend_process(&ctx, "sleep 1000", LIMIT_US, &creds, b.err, sizeof(b.err)),
                 APR_TIMEUP, "nobody waits beyond his time");
}

/* A program may leave one behind that has its output: it is not waited for. */
Test(s3_profile, who_a_program_leaves_behind_is_not_waited_for)
{
    s3_creds_t creds;
    cr_expect_eq(
        lend("sh -c 'sleep 5 & printf %s "
             "{\\\"Version\\\":1,\\\"AccessKeyId\\\":\\\"K\\\",\\\"SecretAccessKey\\\":\\\"S"
             "\\\"}'",
             2000000, &creds),
        APR_SUCCESS, "%s", b.err);
}

Test(s3_profile, a_command_line_is_words_and_quotes)
{
    static const struct {
        const char *line, *words; /* each with a '|' behind it; NULL: it is none */
    } rows[] = {{"a b", "a|b|"},
                {"  a\t b  ", "a|b|"},
                {"", ""},
                {"'a b' \"c d\"", "a b|c d|"},
                {"a' 'b", "a b|"},
                {"'' \"\"", "||"},
                {"\"a\\\"b\\\\c\\d\"", "a\"b\\c\\d|"},
                {"'a\\b'", "a\\b|"},
                {"a\\ b\\'c", "a b'c|"},
                {"a;b|c `d` $(e) $F *", "a;b|c|`d`|$(e)|$F|*|"},
                {"a\\", "a\\|"},
                {"'a", NULL},
                {"\"a", NULL},
                {"1 2 3 4 5 6 7 8", NULL}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char line[64], got[64] = "", *argv[8];
        snprintf(line, sizeof(line), "%s", rows[i].line);
        int count = s3__words(line, argv, 8);
        cr_expect_eq(count < 0, rows[i].words == NULL, "%s", rows[i].line);
        for (int k = 0; k < count; k++) {
            strncat(got, argv[k], sizeof(got) - strlen(got) - 2);
            strncat(got, "|", 2);
        }
        if (count >= 0) cr_expect_str_eq(got, rows[i].words, "%s", rows[i].line);
    }
}
