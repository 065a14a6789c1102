/*
 * ls_cached.c - `cachefs ls --cached`: what a mount holds of its files.
 * Floor 4.
 */
#include <stdlib.h>

#include <apr_strings.h>

#include "tools/control.h"

typedef struct listing_t {
    cli_t *cli;
    json_t json;
    const char *point;
} listing_t;

static uint64_t number(const control_line_t *line, size_t i)
{
    return strtoull(line->word[i], NULL, 10);
}

/* entry PATH SIZE RESIDENT DIRTY DIRTY_AGE_US FRESH PINNED STORED */
static void print_json(listing_t *to, const control_line_t *line, const char *path)
{
    json_object(&to->json, NULL);
    json_path(&to->json, "path", path);
    json_uint(&to->json, "size", number(line, 2));
    json_uint(&to->json, "resident_bytes", number(line, 3));
    json_uint(&to->json, "stored_bytes", number(line, 8));
    json_uint(&to->json, "dirty_bytes", number(line, 4));
    json_uint(&to->json, "dirty_age_us", number(line, 5));
    json_bool(&to->json, "fresh", number(line, 6) != 0);
    json_bool(&to->json, "pinned", number(line, 7) != 0);
    json_close(&to->json, '}');
}

static void on_entry(void *baton, const control_line_t *line)
{
    listing_t *to = baton;
    if (line->count != 9) return;
    const char *path = apr_pstrcat(to->cli->pool, to->point, line->word[1], NULL);
    if (to->cli->opt.json) {
        print_json(to, line, path);
        return;
    }
    (void)printf("%12s %12s %12s %12s %c%c ", line->word[2], line->word[3], line->word[8],
                 line->word[4], number(line, 6) != 0 ? 'f' : '-', number(line, 7) != 0 ? 'p' : '-');
    cli_print_name(stdout, path);
    (void)putchar('\n');
}

int ls_cached(cli_t *cli)
{
    listing_t to = {.cli = cli};
    int worst = CLI_DONE;
    json_start(&to.json, stdout);
    if (cli->opt.json) json_array(&to.json, NULL);
    for (int i = 0; i < cli->nargs && !cli_stopped(cli); i++) {
        control_place_t place;
        int code = control_find(cli, cli->args[i], &place);
        const char *words[] = {"entries", place.path, cli->opt.recursive ? "1" : "0"};
        to.point = place.point;
        if (code == CLI_DONE) code = control_ask(cli, &place, words, 3, on_entry, &to);
        if (code > worst) worst = code;
    }
    if (cli->opt.json) {
        json_close(&to.json, ']');
        json_end(&to.json);
    }
    return worst;
}
