/*
 * test_usage.c - the command line: help, and every way to get it wrong.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "tests/cli/support_run.h"

static const char *const verbs[] = {"ls",      "cat",    "stat", "cp", "warm",
                                    "compare", "replay", "fsck", "gc", "version"};
#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

Test(cli_usage, help_lists_every_verb_and_exit_code)
{
    static const char *const ways[] = {"help", "--help", "-h"};
    for (size_t i = 0; i < 3; i++) {
        run_t r = run(ways[i], NULL);
        cr_assert_eq(r.code, 0);
        cr_assert_eq(r.err_len, 0);
        for (size_t v = 0; v < VERBS; v++)
            cr_assert_not_null(strstr(r.out, verbs[v]));
        cr_assert_not_null(strstr(r.out, "Exit codes: 0 done, 1 some files failed"));
    }
}

Test(cli_usage, each_verb_explains_itself_with_an_example_or_a_reason)
{
    for (size_t v = 0; v < VERBS; v++) {
        run_t asked = run(verbs[v], "--help", NULL), told = run("help", verbs[v], NULL);
        cr_assert_eq(asked.code, 0);
        cr_assert_str_eq(asked.out, told.out);
        cr_assert_eq(strncmp(asked.out, "usage: cachefs ", 15), 0);
        cr_assert_not_null(strstr(asked.out, "options"));
        cr_assert_null(strstr(asked.out, "work-dir"), "options of the program's own are hidden");
        cr_assert(v >= 6 || strstr(asked.out, "--ram SIZE") != NULL);
    }
}

Test(cli_usage, help_keys_has_every_key_of_set)
{
    static const char *const keys[] = {"mode",    "policy",         "ram",     "shards",
                                       "workers", "attr_ttl",       "ttl",     "readahead",
                                       "heat",    "write_wait_max", "conflict"};
    run_t r = run("help", "keys", NULL);
    cr_assert_eq(r.code, 0);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        cr_assert_not_null(strstr(r.out, keys[i]), "%s", keys[i]);
}

typedef struct wrong_t {
    const char *args[8];
    const char *says; /* is part of the message */
} wrong_t;

static const wrong_t wrongs[] = {
    {{NULL}, "usage: cachefs VERB"},
    {{"frob"}, "no verb frob (see"},
    {{"-"}, "no verb - (see"},
    {{"lss"}, "no verb lss; did you mean ls?"},
    {{"compar"}, "did you mean compare?"},
    {{"help", "wram"}, "did you mean warm?"},
    {{"ls", ""}, "the origin is empty"},
    {{"ls", "file:///", "--recursiv"}, "no option --recursiv; did you mean --recursive?"},
    {{"ls", "file:///", "--jsno"}, "did you mean --json?"},
    {{"ls", "file:///", "--rams=64m"}, "no option --rams; did you mean --ram?"},
    {{"ls", "file:///", "--wrok-dri"}, "no option --wrok-dri (see"},
    {{"ls", "file:///", "--list", "x"}, "--list is an option of warm, compare, not of ls"},
    {{"stat", "file:///", "/", "-R"}, "-R is an option of ls, not of stat"},
    {{"ls", "file:///", "-lZ"}, "no option -Z"},
    {{"ls", "file:///", "--ram", "300g"}, "from 1m to 256g"},
    {{"--ram", "5m"}, "which verb"},
    {{"help", "frob"}, "no help on frob"},
    {{"ls"}, "which origin"},
    {{"cat", "file:///"}, "something is missing"},
    {{"stat", "file:///"}, "something is missing"},
    {{"cp", "file:///", "a"}, "something is missing"},
    {{"version", "x"}, "x is one argument too many"},
    {{"fsck"}, "something is missing"},
    {{"gc", "/no/such/dir"}, "No such file"},
    {{"gc", "/", "--bytes", "lots"}, "512m"},
    {{"gc", "/", "--repair"}, "--repair is an option of fsck, not of gc"},
    {{"ls", "/usr"}, "write file:///usr"},
    {{"ls", "no/such dir%"}, "/no/such%20dir%25"},
    {{"ls", "frob:"}, "cachefs ls: frob:: unknown scheme"},
    {{"ls", "file:"}, "cachefs ls: file:: no directory"},
    {{"ls", "file:///", "--nope"}, "--nope"},
    {{"ls", "file:///", "-Z"}, "Z"},
    {{"ls", "file:///", "--ram"}, "--ram needs a value: --ram SIZE"},
    {{"warm", "file:///", "a", "-j"}, "--jobs needs a value: --jobs N"},
    {{"ls", "file:///", "--ram", "lots"}, "lots"},
    {{"ls", "file:///", "--ram=-1"}, "-1"},
    {{"ls", "file:///", "--mode", "sideways"}, "through"},
    {{"ls", "file:///", "--policy", "frob"}, "frob"},
    {{"ls", "file:///", "--block-size", "5k"}, "5k"},
    {{"ls", "file:///", "--shards", "3"}, "3"},
    {{"ls", "file:///", "--workers", "0"}, "workers"},
    {{"ls", "file:///", "--attr-ttl", "5"}, "ls: --attr-ttl: \"5\" is not accepted"},
    {{"ls", "file:///", "--set", "ram"}, "KEY=VALUE"},
    {{"ls", "file:///", "--set", "=1"}, "KEY=VALUE"},
    {{"ls", "file:///", "--set", "frob=1"}, "frob"},
    {{"ls", "file:///", "--delay", "5"}, "5ms"},
    {{"ls", "file:///", "--delay", "5ms,fast"}, "5ms,100m"},
    {{"ls", "file:///", "--delay", "1.2.3ms"}, "5ms"},
    {{"ls", "file:///", "--delay", "1e3s"}, "5ms"},
    {{"ls", "file:///", "--delay", "99999999999999999999s"}, "5ms"},
    {{"ls", "file:///", "--json=1"}, "--json takes no value"},
    {{"ls", "file:///", "--plugin", "/no/such.so"}, "/no/such.so"},
    {{"cat", "file:///", "a", "--json"}, "--json"},
    {{"warm", "file:///"}, "which files"},
    {{"warm", "file:///", "a", "-j", "0"}, "1 to 1024"},
    {{"warm", "file:///", "a", "-j", "many"}, "1 to 1024"},
    {{"warm", "file:///", "a", "--priority", "urgent"}, "low, normal or high"},
    {{"warm", "file:///", "a", "--rate", "fast"}, "512m"},
    {{"warm", "file:///", "--list", "/no/such/list"}, "/no/such/list"},
    {{"warm", "file:///", "a", "--resume", "/no/such/dir/x"}, "/no/such/dir/x cannot be written"},
    {{"warm", "file:///", "--glob", "/[a"}, "/[a"},
    {{"compare", "file:///"}, "which files"},
    {{"compare", "file:///", "--list", "/no/such/list"}, "/no/such/list"},
    {{"compare", "file:///", "a", "--layers", "frob"}, "direct, corfs, cachefs"},
    {{"compare", "file:///", "a", "--phases", ","}, "cold, warm, hot"},
    {{"compare", "file:///", "a", "--layers", "direct", "--phases", "warm"}, "none of these"},
    {{"compare", "file:///", "a", "--corfs", "frob"}, "serve or exact"},
    {{"compare", "file:///", "a", "--seed", "x"}, "number"},
    {{"compare", "file:///", "a", "--trace"}, "--trace"},
    {{"cp", "file:///", "etc/passwd", "/dev/null"}, "neither a file nor a directory"},
    {{"cp", "file:///", "etc/passwd", "/no/such/dir/"}, "no such directory"},
    {{"cp", "file:///", "etc/passwd", "/no/such/dir/x"}, "/no/such/dir"},
    {{"cp", "file:///", "etc/passwd", "/tmp", "--into", "x"}, "/tmp/x"},
    {{"cp", "file:///", "etc/passwd", "etc/group", "/tmp/no-such-file"}, "no directory"},
};

Test(cli_usage, each_wrong_line_gets_a_message_and_2)
{
    for (size_t i = 0; i < sizeof(wrongs) / sizeof(wrongs[0]); i++) {
        const char *const *a = wrongs[i].args;
        run_t r = run(a[0], a[1], a[2], a[3], a[4], a[5], a[6], NULL);
        cr_expect_eq(r.code, 2, "line %zu: code %d, signal %d, %s", i, r.code, r.signal, r.err);
        cr_expect_eq(r.out_len, 0, "line %zu: %s", i, r.out);
        cr_expect_not_null(strstr(r.err, wrongs[i].says), "line %zu: %s", i, r.err);
    }
}

Test(cli_usage, options_may_stand_anywhere)
{
    char *dir = tree_make(), *origin = origin_of(dir);
    run_t behind = run("ls", origin, "/sub", "--ram", "64m", "-q", NULL);
    run_t before = run("--ram", "64m", "-q", "ls", origin, "/sub", NULL);
    run_t between = run("ls", "--ram=64m", origin, "-q", "/sub", NULL);
    run_t ended = run("ls", "-q", "--ram=64m", "--", origin, "/sub", NULL);
    cr_assert_str_eq(behind.out, "/sub/b.txt\n/sub/deep/\n");
    cr_assert_str_eq(before.out, behind.out);
    cr_assert_str_eq(between.out, behind.out);
    cr_assert_str_eq(ended.out, behind.out);
}

Test(cli_usage, every_key_is_accepted_with_its_default)
{
    char *dir = tree_make(), *origin = origin_of(dir), *last = NULL;
    run_t keys = run("help", "keys", NULL);
    int tried = 0;
    for (char *line = strtok_r(keys.out, "\n", &last); line != NULL;
         line = strtok_r(NULL, "\n", &last)) {
        char name[64] = "", kind[64] = "", value[64] = "", set[160];
        char *star = strchr(line, '*');
        if (strncmp(line, "  ", 2) != 0) continue;
        if (star != NULL && star - line < 30) *star = ' ';
        cr_assert_geq(sscanf(line, "%63s %63s %63s", name, kind, value), 2, "%s", line);
        if (strcmp(kind, "text") == 0 && strcmp(name, "policy") != 0)
            continue; /* its default is none */
        (void)snprintf(set, sizeof(set), "%s=%s", name, value);
        run_t r = run("cat", origin, "a.txt", "--set", set, NULL);
        cr_expect_eq(r.code, 0, "%s: %s", set, r.err);
        cr_expect_str_eq(r.out, "alpha\n", "%s", set);
        tried++;
    }
    cr_assert_geq(tried, 25);
}

Test(cli_usage, the_options_that_name_a_key_are_that_key)
{
    char *dir = tree_make(), *origin = origin_of(dir);
    run_t r =
        run("cat", origin, "a.txt", "--mode", "around", "--policy", "lfu", "--block-size", "16k",
            "--shards", "8", "--workers", "2", "--attr-ttl", "5s", "--ram", "32m", NULL);
    cr_assert_eq(r.code, 0, "%s", r.err);
    cr_assert_str_eq(r.out, "alpha\n");
}

Test(cli_usage, a_dash_is_a_path_and_letters_go_together)
{
    char *dir = tree_make(), *origin = origin_of(dir);
    run_t dash = run("cat", origin, "-", NULL), letters = run("ls", origin, "-Rfq", NULL),
          joined = run("warm", origin, "a.txt", "-j4", "--json", NULL);
    cr_assert_eq(dash.code, 1);
    cr_assert_not_null(strstr(dash.err, "-: No such file"), "%s", dash.err);
    cr_assert_eq(letters.code, 0, "%s", letters.err);
    cr_assert_not_null(strstr(letters.out, "/sub/deep/c.bin\n"), "%s", letters.out);
    cr_assert_null(strstr(letters.out, "/sub/\n"), "%s", letters.out);
    cr_assert_eq(joined.code, 0, "%s", joined.err);
}

Test(cli_usage, memory_that_cannot_be_had_is_4_and_says_how_much)
{
    const how_t little = {.no_memory = 1};
    run_t r = run_how(&little, "ls", "file:///", "--ram", "256g", NULL);
    cr_assert_eq(r.code, 4, "%d: %s", r.code, r.err);
    cr_assert_not_null(strstr(r.err, "cannot make a cache with ram 256g: "), "%s", r.err);
}

Test(cli_usage, version_tells_versions_schemes_and_policies)
{
    run_t text = run("version", NULL), dashed = run("--version", NULL),
          json = run("version", "--json", NULL);
    node_t *doc = json_read(json.out);
    cr_assert_eq(text.code, 0);
    cr_assert_str_eq(text.out, dashed.out);
    cr_assert_not_null(doc, "%s", json.out);
    cr_assert_str_not_empty(json_text(doc, "version"));
    cr_assert_str_not_empty(json_text(doc, "apr"));
    cr_assert_not_null(json_get(doc, "xxhash"), "a version, or null where it is missing");
    cr_assert_str_not_empty(json_text(doc, "compiler"));
    cr_assert_geq(json_get(doc, "schemes")->count, 2);
    cr_assert_geq(json_get(doc, "policies")->count, 4);
    for (const node_t *name = json_get(doc, "policies")->first; name != NULL; name = name->next)
        cr_assert_not_null(strstr(text.out, name->string));
}
