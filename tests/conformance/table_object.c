/*
 * table_object.c - behaviours of whole objects: get, validators, commit, change events.
 * contract.md, sections 2 and 4.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "tests/conformance/conf.h"

static void get_answers_bytes_attributes_and_version(conf_t *t)
{
    char buf[64];
    size_t got = 0;
    vfs_attr_t attr;
    vfs_validator_t v, w;
    PUT("/f", "0123456789");
    OK(vfs_get(t->fs, NULL, "/f", buf, sizeof buf, &got, &attr, &v));
    EQ(got, 10);
    SAME(buf, "0123456789", 10);
    EQ(attr.size, 10);
    EQ(attr.type, VFS_TYPE_FILE);
    OK(vfs_validator(t->fs, NULL, "/f", &w));
    CHECK(vfs_validator_equal(&v, &w));
}

static void get_of_a_part_knows_the_whole_size(conf_t *t)
{
    char buf[4];
    size_t got = 0;
    vfs_attr_t attr;
    PUT("/f", "0123456789");
    OK(vfs_get(t->fs, NULL, "/f", buf, sizeof buf, &got, &attr, NULL));
    EQ(got, 4);
    SAME(buf, "0123", 4);
    EQ(attr.size, 10);
    OK(vfs_get(t->fs, NULL, "/f", NULL, 0, &got, &attr, NULL));
    EQ(got, 0);
    EQ(attr.size, 10);
}

static void get_of_a_directory_has_no_bytes(conf_t *t)
{
    char buf[4];
    size_t got = 9;
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    OK(vfs_get(t->fs, NULL, "/d", buf, sizeof buf, &got, &attr, NULL));
    EQ(got, 0);
    EQ(attr.type, VFS_TYPE_DIR);
}

static void get_answers_errors_of_open(conf_t *t)
{
    char buf[4];
    size_t got = 9;
    PUT("/f", "x");
    IS(APR_ENOENT, vfs_get(t->fs, NULL, "/missing", buf, sizeof buf, &got, NULL, NULL));
    EQ(got, 0);
    IS(APR_ENOTDIR, vfs_get(t->fs, NULL, "/f/x", buf, sizeof buf, &got, NULL, NULL));
    IS(APR_ENOTDIR, vfs_get(t->fs, NULL, "/f/", buf, sizeof buf, &got, NULL, NULL));
    IS(APR_EINVAL, vfs_get(t->fs, NULL, "/f", NULL, 4, &got, NULL, NULL));
}

static void get_sees_what_was_just_written(conf_t *t)
{
    char buf[16];
    size_t got = 0, n = 0;
    vfs_attr_t attr;
    NEED_OPEN(f, "/f", RW | CR);
    OK(vfs_write_at(f, NULL, "fresh", 5, 0, &n, NULL));
    OK(vfs_get(t->fs, NULL, "/f", buf, sizeof buf, &got, &attr, NULL));
    EQ(got, 5);
    SAME(buf, "fresh", 5);
    EQ(attr.size, 5);
    CLOSE(f);
}

static void a_validator_is_stable_while_nothing_changes(conf_t *t)
{
    vfs_validator_t a, b;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    PUT("/f", "x");
    OK(vfs_validator(t->fs, NULL, "/f", &a));
    CHECK(a.kind != VFS_VALIDATOR_NONE);
    CHECK(a.len <= VFS_VALIDATOR_BYTES);
    HOLDS("/f", "x");
    NAMES("/", "f ");
    for (int i = 0; i < 5; i++) {
        OK(vfs_validator(t->fs, NULL, "/f", &b));
        CHECK(vfs_validator_equal(&a, &b));
    }
    NEED_OPEN(f, "/f", RD);
    OK(vfs_fvalidator(f, NULL, &b));
    CHECK(vfs_validator_equal(&a, &b));
    CLOSE(f);
}

/* Was `before` true and is it not any more? Young ones are given the time that they ask for. */
static void check_changed(conf_t *t, const vfs_validator_t *before, const char *what)
{
    vfs_validator_t now;
    memset(&now, 0, sizeof now);
    OK(vfs_sync_fs(t->fs, NULL));
    OK(vfs_validator(t->fs, NULL, "/f", &now));
    if (!(before->flags & VFS_VALIDATOR_YOUNG) && vfs_validator_equal(before, &now))
        (void)conf_fail(HERE, "the validator is the same after %s", what);
}

static void note_version(conf_t *t, vfs_validator_t *v)
{
    apr_sleep((apr_interval_time_t)(vfs_caps(t->fs)->time_granularity_ns / 1000) + 1000);
    memset(v, 0, sizeof *v);
    OK(vfs_sync_fs(t->fs, NULL));
    OK(vfs_validator(t->fs, NULL, "/f", v));
}

static void a_validator_changes_with_every_kind_of_write(conf_t *t)
{
    vfs_validator_t v;
    size_t n = 0;
    PUT("/f", "aaaa");
    NEED_OPEN(f, "/f", RW);
    note_version(t, &v);
    OK(vfs_write_at(f, NULL, "b", 1, 0, &n, NULL));
    check_changed(t, &v, "a write of the same size");
    note_version(t, &v);
    OK(vfs_write_at(f, NULL, "c", 1, VFS_OFFSET_END, &n, NULL));
    check_changed(t, &v, "an append");
    note_version(t, &v);
    OK(vfs_ftruncate(f, NULL, 1));
    check_changed(t, &v, "a truncate");
    CLOSE(f);
    note_version(t, &v);
    OK(vfs_write_file(t->fs, NULL, "/f", "d", 1, 0644));
    check_changed(t, &v, "a replacement");
    note_version(t, &v);
    PUT("/g", "d");
    OK(vfs_rename(t->fs, NULL, "/g", "/f", 0));
    check_changed(t, &v, "a rename over it");
}

static void a_write_answers_the_version_that_it_made(conf_t *t)
{
    vfs_validator_t v, now;
    size_t n = 0;
    memset(&v, 0xff, sizeof v);
    memset(&now, 0, sizeof now);
    PUT("/f", "aaaa");
    NEED_OPEN(f, "/f", RW);
    OK(vfs_write_at(f, NULL, "b", 1, 0, &n, &v));
    CHECK(v.len <= VFS_VALIDATOR_BYTES);
    OK(vfs_fvalidator(f, NULL, &now));
    CHECK(v.kind == VFS_VALIDATOR_NONE || vfs_validator_equal(&v, &now));
    CLOSE(f);
}

static apr_status_t from_text(void *baton, void *buf, size_t len, apr_off_t off)
{
    memcpy(buf, (const char *)baton + off, len);
    return APR_SUCCESS;
}

static vfs_source_t text_source(char *text)
{
    return (vfs_source_t){from_text, text, strlen(text)};
}

static void commit_replaces_a_whole_file(conf_t *t)
{
    char first[] = "first", second[] = "the second, longer";
    vfs_source_t a = text_source(first), b = text_source(second);
    vfs_commit_t how = VFS_COMMIT_INIT;
    vfs_attr_t attr;
    vfs_validator_t v, now;
    OK(vfs_commit(t->fs, NULL, "/f", &a, &how, &attr, &v));
    EQ(attr.size, 5);
    OK(vfs_validator(t->fs, NULL, "/f", &now));
    CHECK(vfs_validator_equal(&v, &now));
    HOLDS("/f", "first");
    OK(vfs_commit(t->fs, NULL, "/f", &b, &how, NULL, NULL));
    HOLDS("/f", "the second, longer");
    OK(vfs_commit(t->fs, NULL, "/f", &a, NULL, NULL, NULL));
    HOLDS("/f", "first");
    NAMES("/", "f ");
}

static void commit_sets_mode_and_time(conf_t *t)
{
    char text[] = "text";
    vfs_source_t source = text_source(text);
    vfs_commit_t how = VFS_COMMIT_INIT;
    vfs_attr_t attr;
    memset(&attr, 0, sizeof attr);
    how.mode = 0600;
    how.mtime_ns = 7000000000;
    OK(vfs_commit(t->fs, NULL, "/f", &source, &how, NULL, NULL));
    OK(vfs_stat(t->fs, NULL, "/f", &attr));
    EQ(attr.mode, 0600);
    EQ(attr.mtime_ns, 7000000000);
}

static void commit_of_a_large_object(conf_t *t)
{
    char *data = malloc(700001);
    vfs_commit_t how = VFS_COMMIT_INIT;
    conf_fill(data, 700001, 51);
    vfs_source_t source = {from_text, data, 700001};
    OK(vfs_commit(t->fs, NULL, "/f", &source, &how, NULL, NULL));
    HOLDSN("/f", data, 700001);
    source.size = 0;
    OK(vfs_commit(t->fs, NULL, "/f", &source, &how, NULL, NULL));
    HOLDS("/f", "");
    free(data);
}

static apr_status_t fails_half_way(void *baton, void *buf, size_t len, apr_off_t off)
{
    (void)baton;
    memset(buf, 'h', len);
    return off + (apr_off_t)len > 100000 ? E(EIO) : APR_SUCCESS;
}

static void a_commit_whose_source_fails_changes_nothing(conf_t *t)
{
    vfs_source_t source = {fails_half_way, NULL, 300000};
    vfs_commit_t how = VFS_COMMIT_INIT;
    vfs_attr_t attr;
    PUT("/f", "old");
    IS(E(EIO), vfs_commit(t->fs, NULL, "/f", &source, &how, NULL, NULL));
    HOLDS("/f", "old");
    IS(E(EIO), vfs_commit(t->fs, NULL, "/new", &source, &how, NULL, NULL));
    IS(APR_ENOENT, vfs_stat(t->fs, NULL, "/new", &attr));
    NAMES("/", "f ");
}

static void a_handle_keeps_reading_after_a_commit(conf_t *t)
{
    char text[] = "committed";
    char buf[16];
    size_t got = 0;
    vfs_source_t source = text_source(text);
    PUT("/f", "old bytes");
    NEED_OPEN(f, "/f", RD);
    OK(vfs_commit(t->fs, NULL, "/f", &source, NULL, NULL, NULL));
    apr_status_t rv = vfs_read_at(f, NULL, buf, 9, 0, &got);
    if (OK(rv)) CHECK(got == 9 && (memcmp(buf, "old bytes", 9) == 0 || memcmp(buf, text, 9) == 0));
    CLOSE(f);
    HOLDS("/f", "committed");
}

static void commit_if_none_makes_a_new_file_only(conf_t *t)
{
    char text[] = "text";
    vfs_source_t source = text_source(text);
    vfs_commit_t how = VFS_COMMIT_INIT;
    how.flags = VFS_COMMIT_IF_NONE;
    OK(vfs_commit(t->fs, NULL, "/new", &source, &how, NULL, NULL));
    PUT("/f", "old");
    IS(VFS_ECONFLICT, vfs_commit(t->fs, NULL, "/f", &source, &how, NULL, NULL));
    IS(VFS_ECONFLICT, vfs_commit(t->fs, NULL, "/new", &source, &how, NULL, NULL));
    HOLDS("/f", "old");
    HOLDS("/new", "text");
}

static void commit_if_match_needs_the_expected_version(conf_t *t)
{
    char text[] = "text";
    vfs_source_t source = text_source(text);
    vfs_commit_t how = VFS_COMMIT_INIT;
    how.flags = VFS_COMMIT_IF_MATCH;
    PUT("/f", "old");
    apr_sleep((apr_interval_time_t)(vfs_caps(t->fs)->time_granularity_ns / 1000) + 1000);
    OK(vfs_validator(t->fs, NULL, "/f", &how.expected));
    PUT("/f", "changed, longer");
    IS(VFS_ECONFLICT, vfs_commit(t->fs, NULL, "/f", &source, &how, NULL, NULL));
    HOLDS("/f", "changed, longer");
    OK(vfs_validator(t->fs, NULL, "/f", &how.expected));
    OK(vfs_commit(t->fs, NULL, "/f", &source, &how, NULL, NULL));
    HOLDS("/f", "text");
    IS(VFS_ECONFLICT, vfs_commit(t->fs, NULL, "/missing", &source, &how, NULL, NULL));
    NAMES("/", "f ");
}

static void a_commit_may_keep_ranges_of_the_version_before(conf_t *t)
{
    enum { SIZE = 300000, EDIT = 123456, MORE = 5000 };
    char *data = malloc(SIZE + MORE);
    vfs_range_t kept[] = {{0, EDIT}, {EDIT + 1, SIZE - EDIT - 1}};
    vfs_commit_t how = VFS_COMMIT_INIT;
    vfs_source_t source = {from_text, data, SIZE + MORE};
    conf_fill(data, SIZE + MORE, 52);
    if (CHECK(data != NULL) && PUTN("/f", data, SIZE)) {
        data[EDIT] ^= 1;
        how.flags = VFS_COMMIT_IF_MATCH;
        how.kept = kept;
        how.kept_count = 2;
        OK(vfs_validator(t->fs, NULL, "/f", &how.expected));
        OK(vfs_commit(t->fs, NULL, "/f", &source, &how, NULL, NULL));
        HOLDSN("/f", data, SIZE + MORE);
        data[EDIT] ^= 1; /* the version that `kept` is of is gone */
        IS(VFS_ECONFLICT, vfs_commit(t->fs, NULL, "/f", &source, &how, NULL, NULL));
        data[EDIT] ^= 1;
        HOLDSN("/f", data, SIZE + MORE);
    }
    free(data);
}

static void wrong_arguments_of_commit(conf_t *t)
{
    char text[] = "text";
    vfs_source_t source = text_source(text);
    vfs_commit_t how = VFS_COMMIT_INIT;
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    IS(E(EISDIR), vfs_commit(t->fs, NULL, "/d", &source, &how, NULL, NULL));
    IS(APR_ENOENT, vfs_commit(t->fs, NULL, "/missing/f", &source, &how, NULL, NULL));
    IS(APR_EINVAL, vfs_commit(t->fs, NULL, "/f", NULL, &how, NULL, NULL));
    how.flags = VFS_COMMIT_IF_MATCH | VFS_COMMIT_IF_NONE;
    IS(APR_EINVAL, vfs_commit(t->fs, NULL, "/f", &source, &how, NULL, NULL));
    how.flags = VFS_COMMIT_IF_MATCH; /* with a version that equals nothing */
    IS(APR_EINVAL, vfs_commit(t->fs, NULL, "/f", &source, &how, NULL, NULL));
    how.flags = 0x80;
    IS(APR_EINVAL, vfs_commit(t->fs, NULL, "/f", &source, &how, NULL, NULL));
    NAMES("/", "d ");
}

typedef struct heard_t {
    atomic_uint events;
    atomic_uint of_f;
} heard_t;

static void hear(void *baton, uint32_t events, const char *path)
{
    heard_t *heard = baton;
    atomic_fetch_or(&heard->events, events);
    if (strcmp(path, "/d/f") == 0) atomic_fetch_or(&heard->of_f, events);
}

static int heard_soon(heard_t *heard, uint32_t events)
{
    for (int i = 0; i < 6000; i++) {
        if ((atomic_load(&heard->events) & (events | VFS_EVENT_OVERFLOW)) != 0) return 1;
        apr_sleep(10000);
    }
    return 0;
}

static void a_watch_hears_of_changes_below_it(conf_t *t)
{
    heard_t heard;
    uint64_t watch = 0;
    atomic_init(&heard.events, 0);
    atomic_init(&heard.of_f, 0);
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    NEED(OK(vfs_watch(t->fs, NULL, "/", hear, &heard, &watch)));
    PUT("/d/f", "x");
    CHECK(heard_soon(&heard, VFS_EVENT_CREATED));
    CHECK(heard_soon(&heard, VFS_EVENT_CHANGED));
    OK(vfs_unlink(t->fs, NULL, "/d/f"));
    CHECK(heard_soon(&heard, VFS_EVENT_REMOVED));
    CHECK(atomic_load(&heard.of_f) != 0 || (atomic_load(&heard.events) & VFS_EVENT_OVERFLOW) != 0);
    OK(vfs_unwatch(t->fs, watch));
}

static void nothing_is_heard_after_unwatch(conf_t *t)
{
    heard_t heard;
    uint64_t watch = 0;
    OK(vfs_mkdir(t->fs, NULL, "/d", 0755));
    NEED(OK(vfs_watch(t->fs, NULL, "/d", hear, &heard, &watch)));
    OK(vfs_unwatch(t->fs, watch));
    atomic_init(&heard.events, 0);
    PUT("/d/f", "x");
    apr_sleep(30000);
    EQ(atomic_load(&heard.events), 0);
    CHECK(vfs_unwatch(t->fs, watch) != APR_SUCCESS);
    IS(APR_ENOENT, vfs_watch(t->fs, NULL, "/missing", hear, &heard, &watch));
}

static const conf_behaviour_t behaviours[] = {
    B_WANTS(get_answers_bytes_attributes_and_version, 0, CONF_EAGER),
    B(get_of_a_part_knows_the_whole_size),
    B(get_of_a_directory_has_no_bytes),
    B(get_answers_errors_of_open),
    B(get_sees_what_was_just_written),
    B_WANTS(a_validator_is_stable_while_nothing_changes, 0, CONF_EAGER),
    B(a_validator_changes_with_every_kind_of_write),
    B(a_write_answers_the_version_that_it_made),
    B_CAPS(commit_replaces_a_whole_file, VFS_CAP_COMMIT),
    B_CAPS(commit_sets_mode_and_time, VFS_CAP_COMMIT | VFS_CAP_MODE | VFS_CAP_TIMES),
    B_CAPS(commit_of_a_large_object, VFS_CAP_COMMIT),
    B_CAPS(a_commit_whose_source_fails_changes_nothing, VFS_CAP_COMMIT),
    B_CAPS(a_handle_keeps_reading_after_a_commit, VFS_CAP_COMMIT),
    B_CAPS(commit_if_none_makes_a_new_file_only, VFS_CAP_COMMIT),
    B_WANTS(commit_if_match_needs_the_expected_version, VFS_CAP_COMMIT, CONF_EAGER),
    B_WANTS(a_commit_may_keep_ranges_of_the_version_before, VFS_CAP_COMMIT, CONF_EAGER),
    B_CAPS(wrong_arguments_of_commit, VFS_CAP_COMMIT),
    B_CAPS(a_watch_hears_of_changes_below_it, VFS_CAP_WATCH),
    B_CAPS(nothing_is_heard_after_unwatch, VFS_CAP_WATCH),
};
CONF_TABLE(object, behaviours);
