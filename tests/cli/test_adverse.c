/*
 * test_adverse.c - the verbs on a full disk, on what they may not read, and interrupted at any
 * point: nothing half-done, the right message, the right exit code.
 */
#include <criterion/criterion.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/cli/support_run.h"

static char *mounted;

/* Before the tree that it is in is removed. */
static void unmount(void)
{
    (void)umount2(mounted, MNT_DETACH);
}

/* A disk of 1 MiB at DIR/disk, which goes away with this process. */
static char *small_disk(void)
{
    char *disk = path_in(tree_make(), "disk");
    cr_assert_eq(mkdir(disk, 0700), 0);
    if (unshare(CLONE_NEWNS) != 0) cr_skip_test("mounting takes root: %s", strerror(errno));
    /* within a chroot, "/" may be no mount */
    cr_assert(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0 || errno == EINVAL, "%s",
              strerror(errno));
    cr_assert_eq(mount("tmpfs", disk, "tmpfs", 0, "size=1m"), 0, "%s", strerror(errno));
    mounted = disk;
    (void)atexit(unmount);
    return disk;
}

static int is_empty(const char *disk)
{
    struct statvfs info;
    cr_assert_eq(statvfs(disk, &info), 0);
    return info.f_bfree == info.f_blocks;
}

Test(cli_full_disk, cp_names_both_sides_and_keeps_no_half_file)
{
    static const char *const modes[] = {"through", "back", "around"};
    char *dir = tree_make(), *disk = small_disk();
    /* one after the other: beside the large one the small one may find the disk full too */
    run_t r = run("cp", origin_of(dir), "big.bin", "a.txt", disk, "--jobs", "1", NULL);
    cr_assert_eq(r.code, 1, "%d: %s", r.code, r.err);
    char *says = formatted("/big.bin to %s/big.bin: No space left on device", disk);
    cr_assert_not_null(strstr(r.err, says), "%s", r.err);
    cr_assert_not_null(strstr(r.err, "1 of 2 files copied"), "%s", r.err);
    cr_assert_eq(count_names(disk, ""), 1);
    for (int m = 0; m < 3; m++) {
        cr_assert_eq(unlink(path_in(disk, "a.txt")), 0);
        r = run("cp", origin_of(dir), "big.bin", "a.txt", origin_of(disk), "--mode", modes[m],
                "--jobs", "1", "--json", NULL);
        cr_assert_eq(r.code, 1, "%s: %d: %s", modes[m], r.code, r.err);
        cr_assert_not_null(strstr(r.err, "No space left on device"), "%s", r.err);
        cr_assert_eq(json_number(json_read(r.out), "copied"), 1);
        cr_assert_eq(count_names(disk, ""), 1, "%s", modes[m]);
    }
}

Test(cli_full_disk, compare_says_that_the_copy_of_corfs_is_not_whole)
{
    char *origin = origin_of(tree_make()), *disk = small_disk();
    const how_t how = {.env = formatted("TMPDIR=%s", disk)};
    run_t r = run_how(&how, "compare", origin, "--tree", "/", "--layers", "corfs", NULL);
    cr_assert_eq(r.code, 0, "what was read is right: %d: %s", r.code, r.err);
    cr_assert_not_null(strstr(r.err, "corfs has not all files in its copy"), "%s", r.err);
    cr_assert(is_empty(disk));
}

Test(cli_full_disk, compare_without_room_for_its_own_notes_is_1)
{
    char *origin = origin_of(tree_make()), *disk = small_disk();
    const how_t how = {.env = formatted("TMPDIR=%s", disk)};
    FILE *fill = fopen(path_in(disk, "fill"), "wb");
    while (fwrite(disk, 1, 1, fill) == 1 && fflush(fill) == 0)
        (void)fseek(fill, 4095, SEEK_CUR);
    (void)fclose(fill);
    run_t r = run_how(&how, "compare", origin, "--tree", "/", "--json", NULL);
    cr_assert_eq(r.code, 1, "%d: %s", r.code, r.err);
    cr_assert_not_null(strstr(r.err, "No space left on device (TMPDIR names another place)"), "%s",
                       r.err);
    cr_assert_eq(unlink(path_in(disk, "fill")), 0);
    cr_assert(is_empty(disk));
    const how_t nowhere = {.env = "TMPDIR=/no/such/dir"};
    r = run_how(&nowhere, "compare", origin, "a.txt", NULL);
    cr_assert_eq(r.code, 2, "%d: %s", r.code, r.err);
    cr_assert_not_null(strstr(r.err, "/no/such/dir: No such file or directory"), "%s", r.err);
}

Test(cli_unreadable, files_are_named_and_the_rest_is_done)
{
    static const how_t user = {.unprivileged = 1};
    char *dir = tree_make(), *origin = origin_of(dir), *dest = path_in(tree_make(), "dest");
    cr_assert_eq(chmod(path_in(dir, "bad.txt"), 0), 0);
    cr_assert_eq(chmod(path_in(dir, "sub/deep"), 0), 0);
    cr_assert_eq(mkdir(dest, 0700), 0);
    run_t r = run_how(&user, "cat", origin, "bad.txt", "a.txt", NULL);
    cr_expect_eq(r.code, 1);
    cr_expect_str_eq(r.out, "alpha\n");
    cr_expect_str_eq(r.err, "cachefs cat: bad.txt: Permission denied\n");
    r = run_how(&user, "ls", origin, "-R", "--files", NULL);
    cr_expect_eq(r.code, 1);
    cr_expect_str_eq(r.err, "cachefs ls: /sub/deep: Permission denied\n");
    cr_expect_not_null(strstr(r.out, "/sub/b.txt\n"), "%s", r.out);
    r = run_how(&user, "stat", origin, "sub/deep/c.bin", "bad.txt", NULL);
    cr_expect_eq(r.code, 1);
    cr_expect_str_eq(r.err, "cachefs stat: sub/deep/c.bin: Permission denied\n");
    r = run_how(&user, "cp", origin, "/", dest, "-r", "--json", NULL);
    cr_expect_eq(r.code, 1);
    cr_expect_not_null(strstr(r.err, "/bad.txt to "), "%s", r.err);
    cr_expect_eq(json_number(json_read(r.out), "failed"), 2, "%s", r.err);
    cr_expect_eq(json_number(json_read(r.out), "copied"), 6, "%s", r.err);
    r = run_how(&user, "warm", origin, "a.txt", "bad.txt", "--json", NULL);
    cr_expect_eq(r.code, 1);
    cr_expect_eq(json_number(json_read(r.out), "warmed"), 1, "%s", r.err);
    r = run_how(&user, "compare", origin, "a.txt", "bad.txt", "--json", "-q", NULL);
    cr_expect_eq(r.code, 1);
    cr_expect_str_eq(r.err, "cachefs compare: /bad.txt: Permission denied\n");
    cr_expect_eq(json_read(r.out)->count, 14);
    cr_assert_eq(chmod(path_in(dir, "sub/deep"), 0700), 0); /* so that it can be removed */
}

Test(cli_unreadable, an_origin_that_may_not_be_entered_is_3)
{
    static const how_t user = {.unprivileged = 1};
    char *dir = tree_make(), *origin = origin_of(path_in(dir, "sub/deep/inner"));
    cr_assert_eq(mkdir(path_in(dir, "sub/deep/inner"), 0700), 0);
    cr_assert_eq(chmod(path_in(dir, "sub/deep"), 0), 0);
    run_t r = run_how(&user, "ls", origin, NULL);
    cr_expect_eq(r.code, 3, "%d: %s", r.code, r.err);
    cr_expect_not_null(strstr(r.err, "ermission denied"), "%s", r.err);
    cr_assert_eq(chmod(path_in(dir, "sub/deep"), 0700), 0);
}

/* Whatever it was doing, and would do for an hour: 130, and with --json still JSON. */
Test(cli_interrupted, every_verb_ends_at_once_with_130_and_whole_json)
{
    static const struct {
        const char *args[8];
    } lines[] = {
        {{"ls", "ORIGIN", "-R", "--delay", "1h", "--json"}},
        {{"stat", "ORIGIN", "a.txt", "sub", "--delay", "1h", "--json"}},
        {{"cat", "ORIGIN", "a.txt", "--delay", "1h"}},
        {{"cp", "ORIGIN", "/", "DEST", "-r", "--delay", "1h", "--json"}},
        {{"warm", "ORIGIN", "--tree", "/", "--delay", "1h", "--json"}},
        {{"warm", "ORIGIN", "a.txt", "big.bin", "--rate", "1k", "--json"}},
        {{"compare", "ORIGIN", "--tree", "/", "--delay", "1h", "--json"}},
        {{"compare", "SICK", "a.txt", "bad.txt", "--json", "--plugin", "PLUGIN"}},
    };
    const how_t how = {.signal = SIGINT, .signal_after = 0.3};
    char *dir = tree_make(), *dest = path_in(dir, "dest");
    cr_assert_eq(mkdir(dest, 0700), 0);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        const char *a[8];
        for (int k = 0; k < 8; k++) {
            const char *arg = lines[i].args[k];
            a[k] = arg == NULL                  ? NULL
                   : strcmp(arg, "ORIGIN") == 0 ? origin_of(dir)
                   : strcmp(arg, "SICK") == 0   ? formatted("sick:block:%s", dir)
                   : strcmp(arg, "PLUGIN") == 0 ? sick_plugin()
                   : strcmp(arg, "DEST") == 0   ? dest
                                                : arg;
        }
        run_t r = run_how(&how, a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7], NULL);
        cr_expect_eq(r.code, 130, "line %zu: code %d, signal %d, %s", i, r.code, r.signal, r.err);
        cr_expect(strcmp(a[0], "cat") == 0 || json_read(r.out) != NULL, "line %zu: %s", i, r.out);
    }
    cr_assert_eq(count_names(dest, ""), 0);
}
