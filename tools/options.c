/*
 * options.c - the options of all verbs in one table, and what their values may be.
 * Floor 4, private to tools/. Values of the cache's keys are cachefs_config_set's to judge.
 */
#include <stdlib.h>
#include <string.h>

#include <apr_strings.h>

#include "tools/cli.h"
#include "tools/compare.h"
#include "tools/mount.h"

#define AT(field) offsetof(cli_options_t, field)

static const char *set_config(cli_t *cli, const char *key, const char *value)
{
    char err[512] = "";
    if (cachefs_config_set(&cli->opt.config, key, value, err, sizeof(err), cli->pool) ==
        APR_SUCCESS)
        return NULL;
    return apr_pstrdup(cli->pool, err);
}

static const char *set_key(cli_t *cli, const char *value)
{
    const char *equals = strchr(value, '=');
    if (equals == NULL || equals == value)
        return "it takes KEY=VALUE; `cachefs help keys` lists the keys";
    return set_config(cli, apr_pstrndup(cli->pool, value, (apr_size_t)(equals - value)),
                      equals + 1);
}

static const char *set_delay(cli_t *cli, const char *value)
{
    const char *comma = strchr(value, ',');
    const char *rtt =
        comma != NULL ? apr_pstrndup(cli->pool, value, (apr_size_t)(comma - value)) : value;
    if (cli_parse_duration(rtt, &cli->opt.delay.rtt_us) != APR_SUCCESS ||
        (comma != NULL &&
         cli_parse_size(comma + 1, &cli->opt.delay.bytes_per_second) != APR_SUCCESS))
        return "it takes a round trip as 5ms, or that and bytes a second as 5ms,100m";
    return NULL;
}

static const char *set_priority(cli_t *cli, const char *value)
{
    if (strcmp(value, "low") == 0)
        cli->opt.priority = VFS_PRIORITY_LOW;
    else if (strcmp(value, "normal") == 0)
        cli->opt.priority = VFS_PRIORITY_NORMAL;
    else if (strcmp(value, "high") == 0)
        cli->opt.priority = VFS_PRIORITY_HIGH;
    else
        return "it is low, normal or high";
    return NULL;
}

static const char *load_plugin(cli_t *cli, const char *value)
{
    char err[512] = "", why[256];
    apr_status_t status = vfs_load_plugin(value, err, sizeof(err));
    if (status == APR_SUCCESS) return NULL;
    return apr_pstrdup(cli->pool, err[0] != '\0' ? err : vfs_strerror(status, why, sizeof(why)));
}

const char *cli_words(apr_pool_t *pool, const char *const *words, size_t count)
{
    const char *text = "";
    for (size_t i = 0; i < count; i++)
        text = apr_pstrcat(pool, text, i > 0 ? ", " : "", words[i], NULL);
    return text;
}

/* "a,c" -> bits 0 and 2 of the words a, b, c. */
static const char *set_words(cli_t *cli, const char *value, const char *const *words, size_t count,
                             unsigned *bits)
{
    char *last = NULL;
    *bits = 0;
    for (char *word = apr_strtok(apr_pstrdup(cli->pool, value), ",", &last); word != NULL;
         word = apr_strtok(NULL, ",", &last)) {
        size_t i = 0;
        while (i < count && strcmp(word, words[i]) != 0)
            i++;
        if (i == count)
            return apr_psprintf(cli->pool, "there is no %s; there are %s", word,
                                cli_words(cli->pool, words, count));
        *bits |= 1u << i;
    }
    return *bits != 0 ? NULL
                      : apr_psprintf(cli->pool, "it takes some of %s, with commas",
                                     cli_words(cli->pool, words, count));
}

static const char *set_layers(cli_t *cli, const char *value)
{
    return set_words(cli, value, compare_layers, CLI_LAYERS_MAX, &cli->opt.layers);
}

static const char *set_phases(cli_t *cli, const char *value)
{
    return set_words(cli, value, compare_phases, CLI_PHASES_MAX, &cli->opt.phases);
}

static const char *set_corfs(cli_t *cli, const char *value)
{
    if (strcmp(value, "serve") == 0)
        cli->opt.corfs_flags = VFS_CORFS_SERVE;
    else if (strcmp(value, "exact") == 0)
        cli->opt.corfs_flags = VFS_CORFS_EXACT;
    else
        return "it is serve or exact";
    return NULL;
}

static const char *set_end_timeout(cli_t *cli, const char *value)
{
    return cli_parse_duration(value, &cli->opt.end_timeout_us) == APR_SUCCESS
               ? NULL
               : "it takes a time, such as 30s";
}

static const char *set_unmount_timeout(cli_t *cli, const char *value)
{
    return cli_parse_duration(value, &cli->opt.unmount_timeout_us) == APR_SUCCESS
               ? NULL
               : "it takes a time, such as 30s";
}

static const char *set_interval(cli_t *cli, const char *value)
{
    uint64_t us = 0;
    if (cli_parse_duration(value, &us) != APR_SUCCESS || us < 100000 || us > 3600000000u)
        return "it takes a time from 100ms to 1h";
    cli->opt.interval_us = us;
    return NULL;
}

static const char *set_how(cli_t *cli, const char *value)
{
    if (strcmp(value, "wait") != 0 && strcmp(value, "detach") != 0 && strcmp(value, "fail") != 0)
        return "it is wait, detach or fail";
    cli->opt.how = value;
    return NULL;
}

static const char *set_log_level(cli_t *cli, const char *value)
{
    if (strcmp(value, "error") != 0 && strcmp(value, "warning") != 0 && strcmp(value, "info") != 0)
        return "it is error, warning or info";
    cli->opt.log_level = value;
    return NULL;
}

#define STORES (CLI_FSCK | CLI_GC)
#define ALL (CLI_STACKED | CLI_REPLAY | CLI_VERSION | CLI_ASKING | STORES)
#define SHOWING (CLI_STATUS | CLI_STATS | CLI_SET)
#define PLANNED (CLI_WARM | CLI_COMPARE)

/* clang-format off */
const cli_option_t cli_options[] = {
    { "ram", 0, "SIZE", CLI_STACKED, CLI_KEY, 0, "ram", NULL, "memory of the cache, all included (256m)" },
    { "mode", 0, "MODE", CLI_STACKED, CLI_KEY, 0, "mode", NULL, "through (the default), back or around: when a write is done" },
    { "policy", 0, "NAME", CLI_STACKED, CLI_KEY, 0, "policy", NULL, "who is evicted: see `cachefs version` (auto)" },
    { "block-size", 0, "SIZE", CLI_STACKED, CLI_KEY, 0, "block_size", NULL, "4k, 16k, 64k or 256k; 0, the default, adapts" },
    { "shards", 0, "N", CLI_STACKED, CLI_KEY, 0, "shards", NULL, "a power of two up to 1024 (by memory)" },
    { "workers", 0, "N", CLI_STACKED, CLI_KEY, 0, "workers", NULL, "threads of the cache for read-ahead and flushing (8)" },
    { "attr-ttl", 0, "TIME", CLI_STACKED, CLI_KEY, 0, "attr_ttl", NULL, "how long attributes are trusted without asking (1s)" },
    { "store", 0, "DIR", CLI_STACKED & ~CLI_COMPARE, CLI_TEXT, AT(store), NULL, NULL, "a directory, made if missing, where what was read is found again later; in mode=back the journal of what was written, too" },
    { "set", 0, "KEY=VALUE", CLI_STACKED, CLI_CALL, 0, NULL, set_key, "any key of the cache: see `cachefs help keys`" },
    { "delay", 0, "RTT[,BW]", CLI_STACKED, CLI_CALL, 0, NULL, set_delay, "simulate a remote: round trip 5ms, or 5ms,100m with bytes a second" },
    { "plugin", 0, "FILE", ALL & ~CLI_ASKING, CLI_CALL, 0, NULL, load_plugin, "load a plug-in, which brings more schemes" },
    { "trace", 0, NULL, CLI_STACKED & ~CLI_COMPARE, CLI_FLAG, AT(trace), NULL, NULL, "show each call that reaches the origin, on standard error" },
    { "no-cache", 0, NULL, CLI_LS | CLI_CAT | CLI_STAT | CLI_CP, CLI_FLAG, AT(no_cache), NULL, NULL, "leave the cache out of the stack" },
    { "stats", 0, NULL, CLI_STACKED & ~CLI_COMPARE, CLI_FLAG, AT(stats), NULL, NULL, "tell in the end what the cache and the origin did" },

    { "long", 'l', NULL, CLI_LS, CLI_FLAG, AT(long_form), NULL, NULL, "mode, links, owner, group, size and time as well" },
    { "recursive", 'R', NULL, CLI_LS, CLI_FLAG, AT(recursive), NULL, NULL, "all below, not only the next level" },
    { "files", 'f', NULL, CLI_LS, CLI_FLAG, AT(files_only), NULL, NULL, "regular files only: with -R a path list for --list" },
    { "cached", 0, NULL, CLI_LS, CLI_FLAG, AT(cached), NULL, NULL, "what a mount holds in its cache" },
    { "follow", 'L', NULL, CLI_STAT, CLI_FLAG, AT(follow), NULL, NULL, "what a symbolic link leads to, not the link" },
    { "recursive", 'r', NULL, CLI_CP, CLI_FLAG, AT(recursive), NULL, NULL, "copy directories with all below them" },
    { "into", 0, "DIR", CLI_CP, CLI_TEXT, AT(into), NULL, NULL, "directory of the destination's stack, made if missing (/)" },
    { "no-clobber", 'n', NULL, CLI_CP, CLI_FLAG, AT(no_clobber), NULL, NULL, "leave files alone that are there already" },

    { "policy", 0, "LIST", CLI_REPLAY, CLI_TEXT, AT(policies), NULL, NULL, "policies, with commas: see `cachefs version` (auto)" },
    { "size", 0, "LIST", CLI_REPLAY, CLI_TEXT, AT(sizes), NULL, NULL, "sizes of the cache, with commas (1%,10%)" },
    { "shards", 0, "N", CLI_REPLAY, CLI_COUNT, AT(replay_shards), NULL, NULL, "shards of the cache (1)" },
    { "bytes", 0, NULL, CLI_REPLAY, CLI_FLAG, AT(bytes), NULL, NULL, "let the sizes of objects count" },
    { "format", 0, "NAME", CLI_REPLAY, CLI_TEXT, AT(format), NULL, NULL, "oracle, csv, lirs, arc or access (by the name and the first line)" },

    { "list", 0, "FILE", PLANNED, CLI_TEXT, AT(list), NULL, NULL, "paths of the stack, one a line, # for comments; - is standard input" },
    { "glob", 0, "PATTERN", PLANNED, CLI_TEXT, AT(glob), NULL, NULL, "files that match, such as '/**/*.h'" },
    { "tree", 0, "DIR", PLANNED, CLI_TEXT, AT(tree), NULL, NULL, "files below a directory" },
    { "heat", 0, "FILE", CLI_WARM, CLI_TEXT, AT(heat), NULL, NULL, "block ranges of a heat log, hottest first" },
    { "jobs", 'j', "N", CLI_CP, CLI_COUNT, AT(jobs), NULL, NULL, "threads that copy at once (4)" },
    { "jobs", 'j', "N", CLI_WARM, CLI_COUNT, AT(jobs), NULL, NULL, "threads that read at once (16)" },
    { "jobs", 'j', "N", CLI_COMPARE, CLI_COUNT, AT(jobs), NULL, NULL, "threads of the phases warm (16) and parallel (4)" },
    { "jobs", 'j', "N", CLI_REPLAY, CLI_COUNT, AT(jobs), NULL, NULL, "threads that replay at once (one a processor)" },
    { "priority", 0, "LEVEL", CLI_WARM, CLI_CALL, 0, NULL, set_priority, "low (free memory only), normal, high (protected from eviction)" },
    { "rate", 0, "SIZE", CLI_WARM, CLI_SIZE, AT(rate), NULL, NULL, "at most so many bytes a second" },
    { "max-file", 0, "SIZE", CLI_WARM, CLI_SIZE, AT(file_bytes_max), NULL, NULL, "skip larger files" },
    { "max-bytes", 0, "SIZE", CLI_WARM, CLI_SIZE, AT(job_bytes_max), NULL, NULL, "end when so much is warm" },
    { "resume", 0, "FILE", CLI_WARM, CLI_TEXT, AT(resume), NULL, NULL, "remember there what is done, and go on from it" },
    { "stop-on-error", 0, NULL, CLI_WARM, CLI_FLAG, AT(stop), NULL, NULL, "end at the first file that fails" },

    { "layers", 0, "LIST", CLI_COMPARE, CLI_CALL, 0, NULL, set_layers, "some of direct,corfs,cachefs (all)" },
    { "phases", 0, "LIST", CLI_COMPARE, CLI_CALL, 0, NULL, set_phases, "some of cold,warm,hot,revalidated,random,parallel (all)" },
    { "random-reads", 0, "N", CLI_COMPARE, CLI_NUMBER, AT(random_reads), NULL, NULL, "reads of the phase random (as many as files)" },
    { "seed", 0, "N", CLI_COMPARE, CLI_NUMBER, AT(seed), NULL, NULL, "of the phase random (1)" },
    { "corfs", 0, "HOW", CLI_COMPARE, CLI_CALL, 0, NULL, set_corfs, "serve: from its copy once that is whole; exact: as the Go library does (serve)" },
    { "as", 0, "LAYER", CLI_COMPARE, CLI_TEXT, AT(child_layer), NULL, NULL, NULL },
    { "work-dir", 0, "DIR", CLI_COMPARE, CLI_TEXT, AT(work_dir), NULL, NULL, NULL },

    { "options", 'o', "LIST", CLI_MOUNT, CLI_CALL, 0, NULL, mount_take_options, "as mount(8) takes them: ro,allow_other,mode=back" },
    { "config", 0, "FILE", CLI_MOUNT, CLI_CALL, 0, NULL, mount_take_config, "options and keys by lines, `mode = back`; what is on the command line counts more" },
    { "foreground", 'f', NULL, CLI_MOUNT, CLI_FLAG, AT(foreground), NULL, NULL, "stay in front until the end" },
    { "threads", 0, "N", CLI_MOUNT, CLI_COUNT, AT(threads), NULL, NULL, "calls of the kernel served at once (32)" },
    { "fsname", 0, "NAME", CLI_MOUNT, CLI_TEXT, AT(fsname), NULL, NULL, "what df and mount show (the origin)" },
    { "inodes-max", 0, "N", CLI_MOUNT, CLI_NUMBER, AT(inodes_max), NULL, NULL, "files that the kernel may hold (1048576)" },
    { "end-timeout", 0, "TIME", CLI_MOUNT, CLI_CALL, 0, NULL, set_end_timeout, "after a signal, how long dirty data is tried to be written (60s)" },
    { "log-level", 0, "LEVEL", CLI_MOUNT, CLI_CALL, 0, NULL, set_log_level, "which messages are shown: error, warning or info (info)" },
    { "access-log", 0, "FILE", CLI_MOUNT, CLI_TEXT, AT(access_log), NULL, NULL, "a line there for each call of the kernel, which `cachefs replay` reads" },
    { "access-log-max", 0, "SIZE", CLI_MOUNT, CLI_SIZE, AT(access_log_bytes), NULL, NULL, "of that size it becomes FILE.1, and a new one begins; 0: never (256m)" },
    { "metrics", 0, "ADDR:PORT", CLI_MOUNT, CLI_TEXT, AT(metrics), NULL, NULL, "serve /metrics, /stats.json and /healthz there by HTTP: 127.0.0.1:9470" },
    { "metrics-any", 0, NULL, CLI_MOUNT, CLI_FLAG, AT(metrics_any), NULL, NULL, "let --metrics be an address that other machines reach" },
    { "how", 0, "HOW", CLI_UNMOUNT, CLI_CALL, 0, NULL, set_how, "wait (the default), detach or fail" },
    { "timeout", 0, "TIME", CLI_UNMOUNT, CLI_CALL, 0, NULL, set_unmount_timeout, "for wait: how long (as long as it takes)" },
    { "interval", 0, "TIME", CLI_TOP, CLI_CALL, 0, NULL, set_interval, "between two frames (1s)" },
    { "wait", 0, NULL, CLI_FLUSH, CLI_FLAG, AT(wait), NULL, NULL, "try again until all is written" },
    { "timeout", 0, "TIME", CLI_FLUSH, CLI_CALL, 0, NULL, set_unmount_timeout, "for --wait: how long (as long as it takes)" },
    { "prefix", 0, NULL, CLI_INVALIDATE, CLI_FLAG, AT(by_prefix), NULL, NULL, "and all that is below PATH" },
    { "glob", 0, NULL, CLI_INVALIDATE, CLI_FLAG, AT(by_glob), NULL, NULL, "PATH is a pattern: * and ? in a name, ** for directories" },

    { "all", 0, NULL, CLI_INVALIDATE, CLI_FLAG, AT(all), NULL, NULL, "of MOUNTPOINT: what is pinned, and in the store, too; the memory goes back to the system" },

    { "repair", 0, NULL, CLI_FSCK, CLI_FLAG, AT(repair), NULL, NULL, "mend what can be mended without a loss" },
    { "bytes", 0, "SIZE", CLI_GC, CLI_SIZE, AT(gc_bytes), NULL, NULL, "cached bytes that may stay (all)" },

    { "json", 0, NULL, (ALL & ~(CLI_CAT | CLI_MOUNT | CLI_ASKING)) | SHOWING, CLI_FLAG, AT(json), NULL, NULL, "results as JSON on standard output" },
    { "quiet", 'q', NULL, ALL, CLI_FLAG, AT(quiet), NULL, NULL, "no progress bar and no notes" },
    { "help", 'h', NULL, ALL, CLI_FLAG, AT(help), NULL, NULL, "this text" },
    { NULL, 0, NULL, 0, CLI_FLAG, 0, NULL, NULL, NULL },
};
/* clang-format on */

const char *cli_take(cli_t *cli, const cli_option_t *option, const char *value)
{
    char *field = (char *)&cli->opt + option->offset;
    uint64_t number = 0;
    switch (option->kind) {
    case CLI_FLAG:
        *(int *)(void *)field = 1;
        return NULL;
    case CLI_TEXT:
        *(const char **)(void *)field = value;
        return NULL;
    case CLI_COUNT:
        if (cli_parse_number(value, &number) != APR_SUCCESS || number < 1 || number > 1024)
            return "it takes a number from 1 to 1024";
        *(uint32_t *)(void *)field = (uint32_t)number;
        return NULL;
    case CLI_NUMBER:
        if (cli_parse_number(value, (uint64_t *)(void *)field) != APR_SUCCESS)
            return "it takes a number";
        return NULL;
    case CLI_SIZE:
        if (cli_parse_size(value, (uint64_t *)(void *)field) != APR_SUCCESS)
            return "it takes a size, such as 512m";
        return NULL;
    case CLI_KEY:
        return set_config(cli, option->key, value);
    case CLI_CALL:
        break;
    }
    return option->set(cli, value);
}
