/*
 * control_verbs.c - the verbs that speak with a mount: status, stats, flush, invalidate, set, pin,
 * unpin. Floor 4.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "tools/control.h"

/* ---- figures: status, stats, set without a value */

static int show(cli_t *cli, const control_place_t *place, const char *const *words, size_t count)
{
    json_t json;
    control_figures_t figures = {NULL, 0};
    json_start(&json, stdout);
    if (cli->opt.json) figures.json = &json;
    if (cli->opt.json) json_object(&json, NULL);
    int code = control_ask(cli, place, words, count, control_figure, &figures);
    control_figures_end(&figures);
    if (!cli->opt.json) return code;
    json_close(&json, '}');
    json_end(&json);
    return code;
}

static int run_figures(cli_t *cli)
{
    control_place_t place;
    int code = control_find(cli, cli->args[0], &place);
    return code == CLI_DONE ? show(cli, &place, &cli->verb->name, 1) : code;
}

const cli_verb_t cli_status = {
    .name = "status",
    .bit = CLI_STATUS,
    .args_min = 1,
    .args_max = 1,
    .usage = "MOUNTPOINT [--json]",
    .summary = "how a mount is, in a few lines",
    .text = "Where it is mounted, what is below, for how long, what the cache holds, and what is "
            "not yet written\n"
            "to the origin. Any path in the mount will do.\n",
    .run = run_figures,
};

const cli_verb_t cli_stats = {
    .name = "stats",
    .bit = CLI_STATS,
    .args_min = 1,
    .args_max = 1,
    .usage = "MOUNTPOINT [--json]",
    .summary = "what a mount has done so far",
    .text = "All counters of the mount's cache, what it holds now, and how long its operations "
            "took (median and\n"
            "what one in a hundred exceeds); then the files that the kernel asks for most often, "
            "and those that are\n"
            "dirty for longest.\n",
    .run = run_figures,
};

static int run_set(cli_t *cli)
{
    control_place_t place;
    int code = control_find(cli, cli->args[0], &place);
    if (code != CLI_DONE) return code;
    const char *words[] = {cli->nargs < 3 ? "get" : "set", cli->nargs > 1 ? cli->args[1] : "",
                           cli->nargs > 2 ? cli->args[2] : ""};
    if (cli->nargs < 3) return show(cli, &place, words, (size_t)cli->nargs);
    return control_ask(cli, &place, words, 3, NULL, NULL);
}

const cli_verb_t cli_set = {
    .name = "set",
    .bit = CLI_SET,
    .args_min = 1,
    .args_max = 3,
    .usage = "MOUNTPOINT [KEY [VALUE]]",
    .summary = "change a key of a mount that runs, or show its keys",
    .text =
        "With a VALUE it holds at once, for what comes; `cachefs help keys` marks the keys that "
        "can be\n"
        "changed so. Without, it shows the value that KEY has, or those of all keys.\n"
        "\n"
        "  cachefs set /mnt ram 2g\n"
        "  cachefs set /mnt attr_ttl 30s\n",
    .run = run_set,
};

/* ---- flush, invalidate, pin: for one path after the other */

typedef struct each_t {
    const char *words[4];
    size_t count;
    size_t path; /* which of them is the path */
    control_line_fn fn;
    void *baton;
} each_t;

/* The worst of all codes. */
static int for_each(cli_t *cli, each_t *each)
{
    int worst = CLI_DONE;
    for (int i = 0; i < cli->nargs && !cli_stopped(cli); i++) {
        control_place_t place;
        int code = control_find(cli, cli->args[i], &place);
        each->words[each->path] = place.path;
        if (code == CLI_DONE && cli->opt.wait && control_reaches(cli, &place) &&
            !control_write_pages(cli, place.point, cli->opt.unmount_timeout_us))
            cli_note(cli, "%s: what is changed in mapped memory may not all be written",
                     place.point);
        if (code == CLI_DONE)
            code = control_ask(cli, &place, each->words, each->count, each->fn, each->baton);
        if (code > worst) worst = code;
    }
    return worst;
}

static int run_flush(cli_t *cli)
{
    char timeout[24];
    if (cli->opt.unmount_timeout_us != 0 && !cli->opt.wait) {
        cli_error(cli, "--timeout is for --wait; without it there is one attempt");
        return CLI_USAGE;
    }
    (void)snprintf(timeout, sizeof(timeout), "%llu",
                   (unsigned long long)cli->opt.unmount_timeout_us);
    each_t each = {
        .words = {"flush", NULL, cli->opt.wait ? "wait" : "once", timeout}, .count = 4, .path = 1};
    return for_each(cli, &each);
}

const cli_verb_t cli_flush = {
    .name = "flush",
    .bit = CLI_FLUSH,
    .args_min = 1,
    .args_max = -1,
    .usage = "MOUNTPOINT[/PATH]... [--wait] [--timeout TIME]",
    .summary = "write what is dirty in a mount to its origin",
    .text =
        "One attempt for each file that is dirty, and its error if there is one; what could not "
        "be written\n"
        "stays dirty and is tried again by itself. With --wait it goes on until all is "
        "written, and begins\n"
        "with what programs have changed in mapped memory. Ctrl-C ends the waiting, and loses "
        "nothing.\n"
        "\n"
        "  cachefs flush /mnt --wait --timeout 1m\n"
        "  cachefs flush /mnt/new/file\n",
    .run = run_flush,
};

typedef struct dropped_t {
    uint64_t names, dirty_bytes;
} dropped_t;

static void on_dropped(void *baton, const control_line_t *line)
{
    dropped_t *dropped = baton;
    if (line->count != 3) return;
    uint64_t value = strtoull(line->word[2], NULL, 10);
    if (strcmp(line->word[1], "names") == 0) dropped->names += value;
    if (strcmp(line->word[1], "dirty_kept_bytes") == 0) dropped->dirty_bytes += value;
}

static int run_invalidate(cli_t *cli)
{
    char shown[32];
    dropped_t dropped = {0, 0};
    const char *how = cli->opt.all         ? "all"
                      : cli->opt.by_prefix ? "prefix"
                      : cli->opt.by_glob   ? "glob"
                                           : "path";
    if (cli->opt.by_prefix + cli->opt.by_glob + cli->opt.all > 1) {
        cli_error(cli, "--prefix, --glob or --all, not both");
        return CLI_USAGE;
    }
    each_t each = {.words = {"invalidate", how, NULL},
                   .count = 3,
                   .path = 2,
                   .fn = on_dropped,
                   .baton = &dropped};
    int code = for_each(cli, &each);
    if (code != CLI_DONE) return code;
    if (cli->opt.all)
        cli_note(cli, "all is asked for again when used");
    else
        cli_note(cli, "%llu name%s asked for again when used", (unsigned long long)dropped.names,
                 dropped.names == 1 ? " is" : "s are");
    if (dropped.dirty_bytes > 0)
        cli_note(cli, "%s of them stay, since they are not yet written to the origin",
                 cli_show_bytes(shown, sizeof(shown), (double)dropped.dirty_bytes));
    return code;
}

const cli_verb_t cli_invalidate = {
    .name = "invalidate",
    .bit = CLI_INVALIDATE,
    .args_min = 1,
    .args_max = -1,
    .usage = "MOUNTPOINT/PATH... [--prefix | --glob | --all]",
    .summary = "forget what a mount holds of a path: its next use asks the origin",
    .text = "For who changed the origin behind the mount's back and will not wait for the times of "
            "its keys.\n"
            "The kernel's names, attributes and pages go too. What is not yet written to the "
            "origin stays.\n"
            "\n"
            "  cachefs invalidate /mnt/file\n"
            "  cachefs invalidate /mnt/dir --prefix              the directory and all below it\n"
            "  cachefs invalidate '/mnt/**/*.json' --glob\n"
            "  cachefs invalidate /mnt --all                     as if it had just been mounted\n",
    .run = run_invalidate,
};

static int run_pin(cli_t *cli)
{
    each_t each = {
        .words = {"pin", cli->verb->bit == CLI_PIN ? "on" : "off", NULL}, .count = 3, .path = 2};
    return for_each(cli, &each);
}

const cli_verb_t cli_pin = {
    .name = "pin",
    .bit = CLI_PIN,
    .args_min = 1,
    .args_max = -1,
    .usage = "MOUNTPOINT/FILE...",
    .summary = "keep files in a mount's memory",
    .text = "Brings each FILE into the cache, and protects it from eviction until `cachefs unpin`, "
            "also when it\n"
            "changes. At most pin_bytes_max can be protected (a quarter of ram).\n",
    .run = run_pin,
};

const cli_verb_t cli_unpin = {
    .name = "unpin",
    .bit = CLI_UNPIN,
    .args_min = 1,
    .args_max = -1,
    .usage = "MOUNTPOINT/FILE...",
    .summary = "end what pin began",
    .text = "What the cache holds of each FILE may be evicted again, as anything else.\n",
    .run = run_pin,
};
