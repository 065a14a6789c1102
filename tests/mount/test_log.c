/*
 * test_log.c - which messages of a mount are shown. tools/mount_log.c is a part of this program,
 * and what it shows comes here.
 */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/mount/support_rig.h"
#include "tools/mount.h"

static unsigned errors, notes;

void cli_error(const cli_t *cli, const char *format, ...)
{
    (void)cli;
    (void)format;
    errors++;
}

void cli_note(const cli_t *cli, const char *format, ...)
{
    (void)cli;
    (void)format;
    notes++;
}

Test(mount_log, levels_hide_what_weighs_less)
{
    cr_assert(mount_log_set("warning") && !mount_log_set("loud"));
    cr_assert_str_eq(mount_log_get(), "warning");
    mount_say(NULL, 2, "a note");
    cr_assert_eq(notes, 0);
    mount_say(NULL, 1, "a warning");
    mount_say(NULL, 0, "an error");
    cr_assert_eq(errors, 2);
    cr_assert(mount_log_set("error"));
    mount_say(NULL, 1, "a warning");
    cr_assert_eq(errors, 2);
}

/* Half of them come late if the machine stands still for so long, but never all. */
Test(mount_log, a_flood_of_notes_is_counted_and_errors_are_not_lost_in_it)
{
    for (int i = 0; i < 100000; i++)
        mount_say(NULL, 2, "a note");
    cr_assert(notes >= 50 && notes < 50000, "%u", notes);
    errors = 0;
    mount_say(NULL, 0, "an error");
    cr_assert_eq(errors, 1);
}

/* Its origin takes no bytes of files that are called bad: it tells each second how many wait. */
Test(mount_log, the_level_is_an_option_and_can_be_set_on_line)
{
    rig_t rig;
    char text[2000];
    cr_assert_not_null(getenv("CACHEFS_PLUGIN_SICK"));
    (void)snprintf(
        text, sizeof(text),
        "up() { serve \"sick:nowrite:$O\" $M --plugin '%s' --mode back --set "
        "flush_on_close=off --set retry_max=1s --log-level warning \"$@\" 2>tmp/log\n"
        "\"$CACHEFS\" set mnt log_level | grep ' warning$'; echo x >mnt/bad; }\n"
        "up --end-timeout 5m; no 1 \"$CACHEFS\" set mnt log_level loud\n"
        "grep 'error, warning or info' tmp/said; \"$CACHEFS\" set mnt log_level info\n"
        "kill $server; until grep 'still to be written' tmp/log; do sleep 0.05; done\n"
        "kill $server; wait $server && exit 1; up --end-timeout 3s\n"
        "\"$CACHEFS\" set mnt log_level error; kill $server; wait $server && exit 1\n"
        "grep 'are lost' tmp/log; if grep 'still to be written' tmp/log; then exit 1; fi",
        getenv("CACHEFS_PLUGIN_SICK"));
    rig_make(&rig);
    rig_sh_beside(&rig, text);
    rig_end(&rig);
}
