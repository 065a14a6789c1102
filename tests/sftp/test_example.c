/*
 * test_example.c - examples/sftp_cache.c, run as a user would: what it takes is on the server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <criterion/criterion.h>

#include "tests/sftp/support_rig.h"

static int run(const rig_t *rig, const char *uri, const char *note)
{
    char command[1400];
    snprintf(command, sizeof(command), "%s '%s' %s.store '%s' >%s/out 2>&1", EXAMPLE, uri,
             rig->root, note, rig->root);
    int status = system(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void holds(const rig_t *rig, const char *name, const char *want)
{
    char path[128], text[256] = "";
    snprintf(path, sizeof(path), "%s/%s", rig->root, name);
    FILE *file = fopen(path, "re");
    cr_assert_not_null(file, "%s", path);
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file); /* it was read only */
    cr_expect(n == strlen(want) && strcmp(text, want) == 0, "%s holds \"%s\"", name, text);
}

Test(sftp_example, notes_are_on_the_server_when_it_has_ended)
{
    rig_t rig;
    char uri[1024], command[128];
    rig_start(&rig, NULL, 0, 0);
    sshd_uri(&rig.sshd, 0, rig.root, "", uri, sizeof(uri));
    cr_expect_eq(run(&rig, uri, "buy milk"), 0);
    holds(&rig, "notes.txt", "buy milk\n");
    cr_expect_eq(run(&rig, uri, "call home"), 0, "the store of before is taken up");
    holds(&rig, "notes.txt", "buy milk\ncall home\n");
    holds(&rig, "out", "buy milk\ncall home\n");
    cr_expect_eq(run(&rig, "sftp://joe:secret@127.0.0.1/", "x"), 1);
    snprintf(command, sizeof(command), "rm -rf %s.store", rig.root);
    cr_expect_eq(system(command), 0);
    rig_stop(&rig);
}
