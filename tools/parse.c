/*
 * parse.c - reads a command line by the table of options: they stand anywhere, as --name VALUE,
 * --name=VALUE, -x VALUE, -xVALUE; "--" ends them. Floor 4, private to tools/.
 */
#include <string.h>

#include <apr_strings.h>

#include "tools/cli.h"

#define WORD_MAX 32 /* longer words are like no other */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters must be put in, left out, changed or swapped with the next one. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][WORD_MAX + 1], n = strlen(a), m = strlen(b);
    if (n > WORD_MAX || m > WORD_MAX) return WORD_MAX;
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = rows[i % 3], *above = rows[(i + 2) % 3], *twice = rows[(i + 1) % 3];
        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            now[j] = least(least(above[j], now[j - 1]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], twice[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

void cli_near_init(cli_near_t *near, const char *word)
{
    near->word = word;
    near->best = NULL;
    /* half a word is no slip of the finger */
    near->distance = least((strlen(word) + 1) / 2, 3);
}

void cli_near_look(cli_near_t *near, const char *candidate)
{
    size_t len = strlen(near->word);
    size_t far = len > 0 && strncmp(candidate, near->word, len) == 0
                     ? 0 /* only begun */
                     : distance(near->word, candidate);
    if (far >= near->distance) return;
    near->distance = far;
    near->best = candidate;
}

/* ---- one option */

/* By its name, `len` bytes long; or by its letter where len is 0. NULL: this verb has no such. */
static const cli_option_t *find(unsigned verbs, const char *name, size_t len)
{
    for (const cli_option_t *row = cli_options; row->name != NULL; row++) {
        if (!(row->verbs & verbs)) continue;
        if (len == 0 ? row->letter == name[0]
                     : strlen(row->name) == len && strncmp(row->name, name, len) == 0)
            return row;
    }
    return NULL;
}

/* "cp, warm": who has the option that this verb has not. "" if nobody. */
static const char *others_with(const cli_t *cli, const char *name, size_t len)
{
    const char *text = "";
    for (size_t i = 0; cli_verb_at(i) != NULL; i++) {
        const cli_option_t *row = find(cli_verb_at(i)->bit, name, len);
        if (row == NULL || row->help == NULL) continue;
        text =
            apr_pstrcat(cli->pool, text, text[0] != '\0' ? ", " : "", cli_verb_at(i)->name, NULL);
    }
    return text;
}

/* `shown` is the option as it was given, `len` is 0 for a letter. */
static int unknown(const cli_t *cli, const char *shown, const char *name, size_t len)
{
    const char *others = others_with(cli, name, len), *like = "";
    cli_near_t near;
    if (others[0] != '\0') {
        cli_error(cli, "%s is an option of %s, not of %s (see cachefs %s --help)", shown, others,
                  cli->verb->name, cli->verb->name);
        return CLI_USAGE;
    }
    cli_near_init(&near, apr_pstrndup(cli->pool, name, len));
    for (const cli_option_t *row = cli_options; row->name != NULL; row++)
        if ((row->verbs & cli->verb->bit) && row->help != NULL) cli_near_look(&near, row->name);
    if (len > 0 && near.best != NULL)
        like = apr_psprintf(cli->pool, "; did you mean --%s?", near.best);
    cli_error(cli, "there is no option %s%s (see cachefs %s --help)", shown, like, cli->verb->name);
    return CLI_USAGE;
}

static int take(cli_t *cli, const cli_option_t *row, const char *value)
{
    const char *wrong = cli_take(cli, row, value);
    if (wrong == NULL) return CLI_DONE;
    size_t len = row->key != NULL ? strlen(row->key) : 0;
    if (len > 0 && strncmp(wrong, row->key, len) == 0 && wrong[len] == ':')
        cli_error(cli, "--%s%s", row->name, wrong + len); /* the option names the key */
    else
        cli_error(cli, "--%s %s: %s", row->name, value, wrong);
    return CLI_USAGE;
}

/* The value of `row`: what stands behind it in its word (NULL: nothing), or the next word. */
static int take_value(cli_t *cli, const cli_option_t *row, const char *behind, int *i)
{
    if (row->arg == NULL || behind != NULL) return take(cli, row, behind);
    if (*i + 1 < cli->argc) return take(cli, row, cli->argv[++*i]);
    cli_error(cli, "--%s needs a value: --%s %s", row->name, row->name, row->arg);
    return CLI_USAGE;
}

static int take_long(cli_t *cli, const char *word, int *i)
{
    const char *name = word + 2, *equals = strchr(name, '=');
    size_t len = equals != NULL ? (size_t)(equals - name) : strlen(name);
    const char *shown = apr_pstrndup(cli->pool, word, len + 2);
    const cli_option_t *row = len > 0 ? find(cli->verb->bit, name, len) : NULL;
    if (row == NULL) return unknown(cli, shown, name, len);
    if (equals != NULL && row->arg == NULL) {
        cli_error(cli, "%s takes no value", shown);
        return CLI_USAGE;
    }
    return take_value(cli, row, equals != NULL ? equals + 1 : NULL, i);
}

/* "-lR", "-j4" */
static int take_letters(cli_t *cli, const char *word, int *i)
{
    int code = CLI_DONE;
    for (const char *s = word + 1; code == CLI_DONE && *s != '\0'; s++) {
        const char *shown = apr_psprintf(cli->pool, "-%c", *s);
        const cli_option_t *row = find(cli->verb->bit, s, 0);
        if (row == NULL) return unknown(cli, shown, s, 0);
        if (row->arg != NULL) return take_value(cli, row, s[1] != '\0' ? s + 1 : NULL, i);
        code = take(cli, row, NULL);
    }
    return code;
}

/* A file of options is read before all others, wherever it is named: they count more. */
static int take_config(cli_t *cli)
{
    const cli_option_t *row = find(cli->verb->bit, "config", strlen("config"));
    for (int i = 1; row != NULL && i < cli->argc && strcmp(cli->argv[i], "--") != 0; i++) {
        const char *word = cli->argv[i];
        if (strncmp(word, "--config=", 9) == 0) return take(cli, row, word + 9);
        if (strcmp(word, "--config") == 0 && i + 1 < cli->argc)
            return take(cli, row, cli->argv[i + 1]);
    }
    return CLI_DONE;
}

int cli_parse(cli_t *cli, int verb_index)
{
    int code = CLI_DONE, ended = 0, argc = 0;
    const char **argv = apr_palloc(cli->pool, (size_t)cli->argc * sizeof(*argv));
    const char **args = apr_palloc(cli->pool, (size_t)cli->argc * sizeof(*args));
    for (int i = 0; i < cli->argc; i++)
        if (i != verb_index) argv[argc++] = cli->argv[i];
    cli->argc = argc;
    cli->argv = argv;
    cli->args = args;
    code = take_config(cli);
    for (int i = 1; i < argc && code == CLI_DONE; i++) {
        const char *word = argv[i];
        if (ended || word[0] != '-' || word[1] == '\0')
            args[cli->nargs++] = word;
        else if (strcmp(word, "--") == 0)
            ended = 1;
        else
            code = word[1] == '-' ? take_long(cli, word, &i) : take_letters(cli, word, &i);
    }
    return code;
}
