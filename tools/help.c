/*
 * help.c - what the program says about itself.
 * Floor 4, private to tools/. The options come from their table, the keys from the cache.
 */
#include <string.h>

#include "tools/cli.h"

static const char overview_head[] = "cachefs - a caching virtual file system\n"
                                    "\n"
                                    "usage: cachefs VERB ORIGIN [PATH...] [options]\n"
                                    "\n";

static const char overview_tail[] =
    "\n"
    "ORIGIN says where the files are: file:///usr/include is a directory, mem: an empty file "
    "system in\n"
    "memory. A PATH is one of the origin, and counts from its root: /stdio.h. Between the two "
    "stands a\n"
    "cache in memory; --delay puts a simulated network under it.\n"
    "\n"
    "  cachefs ls file:///usr/include /linux\n"
    "  cachefs cat file:///usr/include stdio.h --delay 5ms --stats\n"
    "  cachefs ls file:///usr/include -R --files > list\n"
    "  cachefs compare file:///usr/include --list list --delay 5ms\n"
    "\n"
    "A mount puts an origin into the tree of the operating system. Verbs that speak with one that "
    "runs take\n"
    "any path in it instead of an ORIGIN.\n"
    "\n"
    "  cachefs mount file:///srv/data /mnt --mode back\n"
    "  cachefs status /mnt\n"
    "  cachefs unmount /mnt\n"
    "\n"
    "Sizes are written 512m (k, m, g, t; 1024-based), durations 5s (us, ms, s, m, h). Options may "
    "stand\n"
    "anywhere. `cachefs VERB --help` explains a verb, `cachefs help keys` every key of --set.\n"
    "\n"
    "Exit codes: 0 done, 1 some files failed or the output could not be written, 2 wrong usage,\n"
    "3 the origin cannot be reached, 4 internal error, 128 + N ended by signal N (130: Ctrl-C).\n";

void cli_help(FILE *out)
{
    (void)fputs(overview_head, out);
    for (size_t i = 0; cli_verb_at(i) != NULL; i++)
        (void)fprintf(out, "  %-10s %s\n", cli_verb_at(i)->name, cli_verb_at(i)->summary);
    (void)fputs(overview_tail, out);
}

static void print_option(const cli_option_t *option, FILE *out)
{
    char left[64];
    (void)snprintf(left, sizeof(left), "%s--%s%s%s", option->letter != 0 ? "" : "    ",
                   option->name, option->arg != NULL ? " " : "",
                   option->arg != NULL ? option->arg : "");
    if (option->letter != 0)
        (void)fprintf(out, "  -%c, %-24s %s\n", option->letter, left, option->help);
    else
        (void)fprintf(out, "  %-28s %s\n", left, option->help);
}

void cli_help_verb(const cli_verb_t *verb, FILE *out)
{
    (void)fprintf(out, "usage: cachefs %s %s\n\n%s\n", verb->name, verb->usage, verb->text);
    /* first what only some verbs have, then what is common */
    for (int common = 0; common < 2; common++) {
        (void)fputs(common ? "\noptions of all verbs:\n" : "options:\n", out);
        for (const cli_option_t *option = cli_options; option->name != NULL; option++) {
            int everywhere = (option->verbs & CLI_STACKED) == CLI_STACKED;
            if (!(option->verbs & verb->bit) || option->help == NULL) continue;
            if (verb->bit == CLI_VERSION ? !common : everywhere == common)
                print_option(option, out);
        }
        if (verb->bit == CLI_VERSION) break;
    }
}

void cli_help_keys(FILE *out)
{
    const cachefs_config_t defaults = CACHEFS_CONFIG_INIT;
    (void)fputs(
        "The keys of --set KEY=VALUE. Those with a * can be changed on a running cache.\n\n", out);
    for (size_t i = 0; cachefs_key_at(i) != NULL; i++) {
        const cachefs_key_t *key = cachefs_key_at(i);
        char value[256] = "";
        if (cachefs_config_get(&defaults, key->name, value, sizeof(value)) != APR_SUCCESS)
            value[0] = '\0';
        (void)fprintf(out, "  %-22s%c %-9s %-10s %s\n", key->name, key->online ? '*' : ' ',
                      key->kind, value, key->help);
    }
}
