/*
 * table_dir.c - behaviours of listings: completeness, cookies, changes while iterating, many
 * entries.
 */
#include <stdlib.h>

#include "tests/conformance/conf.h"

#define MANY 2000

static void dot_and_dotdot_never_appear(conf_t *t)
{
    OK(vfs_mkdir_all(t->fs, NULL, "/d/e", 0755));
    NAMES("/d", "e ");
    NAMES("/d/e", "");
}

/* What an entry is, or what lstat says of it where the listing leaves that out. */
static vfs_type_e type_of(conf_t *t, const vfs_dirent_t *entry)
{
    char path[VFS_NAME_MAX + 2];
    vfs_attr_t attr;
    if (entry->type != VFS_TYPE_UNKNOWN || !(t->sut.traits & SUT_VAGUE)) return entry->type;
    memset(&attr, 0, sizeof attr);
    snprintf(path, sizeof path, "/%s", entry->name);
    OK(vfs_lstat(t->fs, NULL, path, &attr));
    return attr.type;
}

static void a_listing_has_types_and_lengths(conf_t *t)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    int files = 0, dirs = 0, others = 0;
    PUT("/file", "x");
    OK(vfs_mkdir(t->fs, NULL, "/directory", 0755));
    NEED(OK(vfs_opendir(&dir, t->fs, NULL, "/", 0)));
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS) {
        EQ(entry.name_len, strlen(entry.name));
        files += type_of(t, &entry) == VFS_TYPE_FILE && strcmp(entry.name, "file") == 0;
        dirs += entry.type == VFS_TYPE_DIR && strcmp(entry.name, "directory") == 0;
        others++;
    }
    OK(vfs_closedir(dir));
    EQ(files, 1);
    EQ(dirs, 1);
    EQ(others, 2);
}

static void a_link_is_listed_as_a_link(conf_t *t)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    OK(vfs_symlink(t->fs, NULL, "nowhere", "/l"));
    NEED(OK(vfs_opendir(&dir, t->fs, NULL, "/", VFS_DIR_ATTRS)));
    OK(vfs_readdir(dir, NULL, &entry));
    EQ(type_of(t, &entry), VFS_TYPE_LINK);
    if (entry.has_attr) EQ(entry.attr.type, VFS_TYPE_LINK);
    OK(vfs_closedir(dir));
}

static void attributes_of_entries_are_those_of_lstat(conf_t *t)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    vfs_attr_t attr;
    char path[32];
    memset(&attr, 0, sizeof attr);
    PUT("/one", "1");
    PUT("/three", "333");
    OK(vfs_mkdir(t->fs, NULL, "/d", 0750));
    NEED(OK(vfs_opendir(&dir, t->fs, NULL, "/", VFS_DIR_ATTRS)));
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS) {
        snprintf(path, sizeof path, "/%s", entry.name);
        OK(vfs_lstat(t->fs, NULL, path, &attr));
        if (entry.ino != 0) EQ(entry.ino, attr.ino);
        if (!entry.has_attr) continue;
        EQ(entry.attr.size, attr.size);
        EQ(entry.attr.mode, attr.mode);
        EQ(entry.attr.ino, attr.ino);
        EQ(entry.attr.mtime_ns, attr.mtime_ns);
    }
    OK(vfs_closedir(dir));
}

static void the_end_of_a_listing_stays_the_end(conf_t *t)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    PUT("/f", "x");
    NEED(OK(vfs_opendir(&dir, t->fs, NULL, "/", 0)));
    OK(vfs_readdir(dir, NULL, &entry));
    IS(APR_EOF, vfs_readdir(dir, NULL, &entry));
    IS(APR_EOF, vfs_readdir(dir, NULL, &entry));
    OK(vfs_closedir(dir));
}

static void opendir_answers_errors_of_linux(conf_t *t)
{
    vfs_dir_t *dir = NULL;
    PUT("/f", "x");
    IS(APR_ENOENT, vfs_opendir(&dir, t->fs, NULL, "/missing", 0));
    IS(APR_ENOTDIR, vfs_opendir(&dir, t->fs, NULL, "/f", 0));
    IS(APR_EINVAL, vfs_opendir(&dir, t->fs, NULL, "/", 0x40));
    CHECK(dir == NULL);
}

static void seekdir_to_the_beginning_reads_anew(conf_t *t)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    int count = 0;
    PUT("/a", "x");
    NEED(OK(vfs_opendir(&dir, t->fs, NULL, "/", 0)));
    OK(vfs_readdir(dir, NULL, &entry));
    IS(APR_EOF, vfs_readdir(dir, NULL, &entry));
    PUT("/b", "x");
    OK(vfs_seekdir(dir, NULL, 0));
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS)
        count++;
    EQ(count, 2);
    OK(vfs_closedir(dir));
}

/* Make "/d" with MANY files "n0000" ... */
static int make_many(conf_t *t)
{
    char path[32];
    vfs_file_t *f = NULL;
    if (!OK(vfs_mkdir(t->fs, NULL, "/d", 0755))) return 0;
    for (int i = 0; i < MANY; i++) {
        snprintf(path, sizeof path, "/d/n%04d", i);
        if (!OK(vfs_open(&f, t->fs, NULL, path, WR | CR | VFS_O_EXCL, 0644, NULL, NULL)) ||
            !OK(vfs_close(f, NULL)))
            return 0;
    }
    return 1;
}

/* Note an entry "nXXXX"; answers its number or -1. */
static int note(unsigned char *seen, const vfs_dirent_t *entry)
{
    int i = entry->name[0] == 'n' ? atoi(entry->name + 1) : -1;
    if (i >= 0 && i < MANY) seen[i]++;
    return i;
}

static void two_thousand_entries_come_exactly_once(conf_t *t)
{
    static unsigned char seen[MANY];
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    apr_status_t rv;
    memset(seen, 0, sizeof seen);
    NEED(make_many(t));
    for (int pass = 1; pass <= 2; pass++) {
        NEED(OK(vfs_opendir(&dir, t->fs, NULL, "/d", pass == 2 ? VFS_DIR_ATTRS : 0)));
        while ((rv = vfs_readdir(dir, NULL, &entry)) == APR_SUCCESS)
            (void)note(seen, &entry);
        IS(APR_EOF, rv);
        OK(vfs_closedir(dir));
        for (int i = 0; i < MANY; i++)
            NEED(EQ(seen[i], pass));
    }
}

static void cookies_go_on_behind_their_entry(conf_t *t)
{
    static uint64_t cookies[MANY];
    static char names[MANY][16];
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    size_t count = 0;
    NEED(make_many(t));
    NEED(OK(vfs_opendir(&dir, t->fs, NULL, "/d", 0)));
    while (count < MANY && vfs_readdir(dir, NULL, &entry) == APR_SUCCESS) {
        cookies[count] = entry.cookie;
        snprintf(names[count++], sizeof names[0], "%s", entry.name);
    }
    NEED(EQ(count, MANY));
    for (size_t i = 0; i < MANY - 1; i += 37) {
        size_t at = (i * 761) % (MANY - 1);
        CHECK(cookies[at] != 0);
        OK(vfs_seekdir(dir, NULL, cookies[at]));
        NEED(OK(vfs_readdir(dir, NULL, &entry)));
        NEED(CHECK(strcmp(entry.name, names[at + 1]) == 0));
    }
    OK(vfs_seekdir(dir, NULL, cookies[MANY - 1]));
    IS(APR_EOF, vfs_readdir(dir, NULL, &entry));
    OK(vfs_closedir(dir));
}

static void a_cookie_of_an_earlier_handle_works_on_an_unchanged_directory(conf_t *t)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    uint64_t cookie = 0;
    char after[64] = "";
    for (int i = 0; i < 9; i++) {
        char path[8];
        snprintf(path, sizeof path, "/f%d", i);
        PUT(path, "x");
    }
    NEED(OK(vfs_opendir(&dir, t->fs, NULL, "/", 0)));
    for (int i = 0; i < 4; i++)
        OK(vfs_readdir(dir, NULL, &entry));
    cookie = entry.cookie;
    OK(vfs_readdir(dir, NULL, &entry));
    snprintf(after, sizeof after, "%s", entry.name);
    OK(vfs_closedir(dir));
    NEED(OK(vfs_opendir(&dir, t->fs, NULL, "/", 0)));
    OK(vfs_seekdir(dir, NULL, cookie));
    OK(vfs_readdir(dir, NULL, &entry));
    CHECK(strcmp(entry.name, after) == 0);
    OK(vfs_closedir(dir));
}

static void entries_removed_while_iterating_disturb_no_others(conf_t *t)
{
    static unsigned char seen[MANY];
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    char path[32];
    int step = 0;
    memset(seen, 0, sizeof seen);
    NEED(make_many(t));
    NEED(OK(vfs_opendir(&dir, t->fs, NULL, "/d", 0)));
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS) {
        int i = note(seen, &entry);
        if (step++ % 3 == 0 && i % 2 == 1) { /* only odd ones go */
            snprintf(path, sizeof path, "/d/n%04d", i);
            OK(vfs_unlink(t->fs, NULL, path));
        }
    }
    OK(vfs_closedir(dir));
    for (int i = 0; i < MANY; i += 2)
        NEED(EQ(seen[i], 1));
    for (int i = 1; i < MANY; i += 2)
        NEED(CHECK(seen[i] <= 1));
}

static void entries_added_while_iterating_disturb_no_others(conf_t *t)
{
    static unsigned char seen[MANY];
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    char path[32];
    int step = 0;
    memset(seen, 0, sizeof seen);
    NEED(make_many(t));
    NEED(OK(vfs_opendir(&dir, t->fs, NULL, "/d", 0)));
    while (vfs_readdir(dir, NULL, &entry) == APR_SUCCESS) {
        (void)note(seen, &entry);
        if (step++ % 10 == 0 && step < 2000) {
            snprintf(path, sizeof path, "/d/x%d", step);
            PUT(path, "");
        }
    }
    OK(vfs_closedir(dir));
    for (int i = 0; i < MANY; i++)
        NEED(EQ(seen[i], 1));
}

static void a_removed_directory_lists_nothing_more(conf_t *t)
{
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    NEED(OK(vfs_opendir(&dir, t->fs, NULL, "/d", 0)));
    OK(vfs_rmdir(t->fs, NULL, "/d"));
    CHECK(vfs_readdir(dir, NULL, &entry) != APR_SUCCESS);
    OK(vfs_closedir(dir));
}

static void two_listings_at_once_are_independent(conf_t *t)
{
    vfs_dir_t *a = NULL, *b = NULL;
    vfs_dirent_t entry;
    int count_a = 0, count_b = 0;
    PUT("/f", "x");
    PUT("/g", "x");
    PUT("/h", "x");
    NEED(OK(vfs_opendir(&a, t->fs, NULL, "/", 0)));
    NEED(OK(vfs_opendir(&b, t->fs, NULL, "/", 0)));
    OK(vfs_readdir(a, NULL, &entry));
    count_a++;
    while (vfs_readdir(b, NULL, &entry) == APR_SUCCESS)
        count_b++;
    while (vfs_readdir(a, NULL, &entry) == APR_SUCCESS)
        count_a++;
    EQ(count_a, 3);
    EQ(count_b, 3);
    OK(vfs_closedir(a));
    OK(vfs_closedir(b));
}

static void a_listing_follows_every_change(conf_t *t)
{
    PUT("/a", "x");
    NAMES("/", "a ");
    PUT("/b", "x");
    NAMES("/", "a b ");
    OK(vfs_rename(t->fs, NULL, "/a", "/c", 0));
    NAMES("/", "b c ");
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    NAMES("/", "b c d ");
    OK(vfs_rename(t->fs, NULL, "/b", "/d/b", 0));
    NAMES("/", "c d ");
    NAMES("/d", "b ");
    OK(vfs_unlink(t->fs, NULL, "/c"));
    OK(vfs_unlink(t->fs, NULL, "/d/b"));
    OK(vfs_rmdir(t->fs, NULL, "/d"));
    NAMES("/", "");
}

/* By a name that no cache knows any more. */
static void a_directory_that_is_open_is_listed_with_what_came_into_it(conf_t *t)
{
    vfs_dir_t *dir = NULL;
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/f", "x");
    NEED(OK(vfs_opendir(&dir, t->fs, NULL, "/d", 0)));
    OK(vfs_rename(t->fs, NULL, "/d", "/d", 0));
    OK(vfs_rename(t->fs, NULL, "/f", "/d/f", 0));
    NAMES("/d", "f ");
    OK(vfs_rename(t->fs, NULL, "/d", "/d", 0));
    OK(vfs_unlink(t->fs, NULL, "/d/f"));
    NAMES("/d", "");
    OK(vfs_closedir(dir));
}

static void opendir_follows_a_link(conf_t *t)
{
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    PUT("/d/f", "x");
    OK(vfs_symlink(t->fs, NULL, "d", "/l"));
    NAMES("/l", "f ");
    NAMES("/l/", "f ");
    OK(vfs_unlink(t->fs, NULL, "/d/f"));
    NAMES("/l", "");
}

static const conf_behaviour_t behaviours[] = {
    B(dot_and_dotdot_never_appear),
    B(a_listing_has_types_and_lengths),
    B_CAPS(a_link_is_listed_as_a_link, VFS_CAP_SYMLINK),
    B(attributes_of_entries_are_those_of_lstat),
    B(the_end_of_a_listing_stays_the_end),
    B(opendir_answers_errors_of_linux),
    B(seekdir_to_the_beginning_reads_anew),
    B(two_thousand_entries_come_exactly_once),
    B(cookies_go_on_behind_their_entry),
    B(a_cookie_of_an_earlier_handle_works_on_an_unchanged_directory),
    B(entries_removed_while_iterating_disturb_no_others),
    B(entries_added_while_iterating_disturb_no_others),
    B(a_removed_directory_lists_nothing_more),
    B(two_listings_at_once_are_independent),
    B(a_listing_follows_every_change),
    B(a_directory_that_is_open_is_listed_with_what_came_into_it),
    B_CAPS(opendir_follows_a_link, VFS_CAP_SYMLINK),
};
CONF_TABLE(dir, behaviours);
