/*
 * test_webdav_hostile.c - a WebDAV server that lies: bodies that blow up or never end, names that
 * lead out, redirects to elsewhere, answers that are lost. Each ends in a clear error; nothing is
 * done twice that must not be.
 * labels: webdav
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <apr_general.h>

#include <criterion/criterion.h>

#include "tests/remote/support_dav.h"
#include "tests/remote/support_multi.h"
#include "tests/remote/support_server.h"

#define E(code) APR_FROM_OS_ERROR(code)
#define QUICK "probe=no&retries=1"

static dav_t dav; /* without a server of its own */
static server_t *server;

static void begin(void)
{
    cr_assert_eq(apr_initialize(), APR_SUCCESS);
    cr_assert_eq(apr_pool_create(&dav.pool, NULL), APR_SUCCESS);
}

static void done(void)
{
    if (dav.fs != NULL) cr_expect_eq(vfs_destroy(dav.fs), APR_SUCCESS);
    if (server != NULL) server_stop(server);
    dav.fs = NULL;
    server = NULL;
}

static void end(void)
{
    done();
    apr_pool_destroy(dav.pool);
}

TestSuite(remote_webdav_hostile, .init = begin, .fini = end);

/* At "/root". */
static void must_open(const reply_t *replies, const char *options)
{
    char uri[256];
    int port = 0;
    server = server_start(replies, &port);
    snprintf(uri, sizeof(uri), "dav://127.0.0.1:%d/root?proxy=none&%s", port, options);
    cr_assert_eq(vfs_webdav_create(&dav.fs, uri, dav.err, sizeof(dav.err), dav.pool), APR_SUCCESS,
                 "%s", dav.err);
}

/* An answer of 207 with this body, in memory that lives as long as the test. */
static const char *multi(const char *body)
{
    size_t size = strlen(body) + 512;
    char *text = apr_palloc(dav.pool, size);
    snprintf(text, size, MULTI "%zx\r\n%s\r\n0\r\n\r\n", strlen(body), body);
    return text;
}

static unsigned heard(const char *what)
{
    unsigned count = 0;
    for (const char *at = server_heard(server); (at = strstr(at, what)) != NULL; at++)
        count++;
    return count;
}

Test(remote_webdav_hostile, bodies_that_are_no_multistatus_are_refused)
{
    static const char *const bodies[] = {
        "<!DOCTYPE m [<!ENTITY a \"lol\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">"
        "<!ENTITY c \"&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;\">]>" XML "<D:response><D:href>&c;</D:href>"
        "</D:response>" END,
        "<!DOCTYPE m [<!ENTITY x SYSTEM \"file:///etc/passwd\">]>" XML
        "<D:response><D:href>&x;</D:href></D:response>" END,
        XML ONE("/root/f", FILE7),                         /* cut off */
        XML ONE("/other/f", FILE7) END,                    /* another file */
        XML ONE("http://other.example/root/f", FILE7) END, /* of another host */
        XML ONE("/root/f", "<D:resourcetype/>") END,       /* without a size */
        XML END,
        "<html>none</html>",
        "",
    };
    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        const reply_t replies[] = {SAYS("PROPFIND", multi(bodies[i])), LAST};
        vfs_attr_t attr;
        must_open(replies, QUICK);
        cr_expect_eq(vfs_stat(dav.fs, NULL, "/f", &attr), VFS_EFORMAT, "%zu", i);
        done();
    }
}

Test(remote_webdav_hostile, a_listing_without_end_is_given_up)
{
    static char again[65536 + 16], one[] = ONE("/root/d/x", FILE7);
    size_t len = 0, n = strlen(one);
    const reply_t replies[] = {{"PROPFIND", MULTI "33\r\n" XML "\r\n", REPLY_ENDLESS, 0, again, 0},
                               LAST};
    vfs_dir_t *dir = NULL;
    cr_assert_eq(strlen(XML), 0x33);
    len = (size_t)sprintf(again, "%zx\r\n", (65000 / n) * n);
    for (size_t i = 0; i < 65000 / n; i++, len += n)
        memcpy(again + len, one, n);
    memcpy(again + len, "\r\n", 3);
    must_open(replies, QUICK);
    cr_expect_eq(vfs_opendir(&dir, dav.fs, NULL, "/d", 0), VFS_ELIMIT);
}

Test(remote_webdav_hostile, names_that_lead_out_are_left_out)
{
    const reply_t replies[] = {
        SAYS("PROPFIND",
             multi(XML ONE("/root/d/", DIR) ONE("/root/d/good", FILE7) ONE("/etc/passwd", FILE7)
                       ONE("/root/d/../up", FILE7) ONE("/root/d/%2e%2e", DIR)
                           ONE("/root/d/a/b", FILE7) ONE("/root/d/a%2fb", FILE7)
                               ONE("/root/d/a%00b", FILE7) ONE("/root/dd", FILE7)
                                   ONE("http://other.example/root/d/x", FILE7)
                                       ONE("//other.example/root/d/x", FILE7)
                                           ONE("/root/d/x?y", FILE7) ONE("x", FILE7)
                                               ONE("/root/d/.", DIR) ONE("/root/d/good", DIR) END)),
        LAST};
    vfs_dir_t *dir = NULL;
    vfs_dirent_t entry;
    must_open(replies, QUICK);
    cr_assert_eq(vfs_opendir(&dir, dav.fs, NULL, "/d", VFS_DIR_ATTRS), APR_SUCCESS);
    cr_assert_eq(vfs_readdir(dir, NULL, &entry), APR_SUCCESS);
    cr_expect_str_eq(entry.name, "good");
    cr_expect_eq(vfs_readdir(dir, NULL, &entry), APR_EOF);
    cr_assert_eq(vfs_closedir(dir), APR_SUCCESS);
}

Test(remote_webdav_hostile, no_request_and_no_credential_goes_elsewhere)
{
    static const reply_t there[] = {LAST};
    char redirect[256], slash[256];
    int port = 0;
    vfs_attr_t attr;
    vfs_dir_t *dir = NULL;
    char buf[8];
    size_t got = 0;
    server_t *other = server_start(there, &port);
    snprintf(redirect, sizeof(redirect),
             "HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:%d/root/x\r\n"
             "Content-Length: 0\r\n\r\n",
             port);
    snprintf(slash, sizeof(slash),
             "HTTP/1.1 307 There\r\nLocation: http://127.0.0.1:%d/root/d/\r\n"
             "Content-Length: 0\r\n\r\n",
             port);
    const reply_t here[] = {
        {" /root/d", slash, 0, 0, NULL, 0}, {"HTTP/1.1", redirect, 0, 0, NULL, 0}, LAST};
    cr_assert_eq(setenv("CACHEFS_SECRET", "topsecret", 1), 0);
    must_open(here, QUICK "&auth=basic&user=joe&conditions=yes");
    cr_expect_eq(vfs_stat(dav.fs, NULL, "/f", &attr), E(EACCES));
    cr_expect_eq(vfs_get(dav.fs, NULL, "/f", buf, sizeof(buf), &got, &attr, NULL), E(EACCES));
    cr_expect_eq(vfs_opendir(&dir, dav.fs, NULL, "/f", 0), E(EACCES));
    cr_expect_eq(dav_put(dav.fs, "/f", "text", VFS_COMMIT_IF_NONE, NULL), E(EACCES));
    cr_expect_eq(dav_put(dav.fs, "/f", "text", 0, NULL), E(EACCES));
    cr_expect_eq(vfs_mkdir(dav.fs, NULL, "/f", 0755), E(EACCES));
    cr_expect_eq(vfs_unlink(dav.fs, NULL, "/f"), E(EACCES));
    cr_expect_eq(vfs_rename(dav.fs, NULL, "/f", "/g", 0), E(EACCES));
    cr_expect_eq(vfs_stat(dav.fs, NULL, "/d", &attr), E(EACCES));
    cr_expect_eq(dav_put(dav.fs, "/d", "text", 0, NULL), E(EISDIR));
    cr_expect_not_null(strstr(server_heard(server), "Authorization: Basic"));
    cr_expect_str_eq(server_heard(other), "");
    server_stop(other);
}

Test(remote_webdav_hostile, a_redirect_to_a_directory_is_followed_once)
{
    const reply_t replies[] = {
        {"PROPFIND /root/d/ ", EMPTY("301 Round\r\nLocation: /root/d//"), 0, 0, NULL, 0},
        {"PROPFIND /root/d ", EMPTY("301 Dir\r\nLocation: /root/d/"), 0, 0, NULL, 0},
        {"PUT /root/d ", EMPTY("301 Dir\r\nLocation: /root/d/"), 0, 0, NULL, 0},
        LAST};
    vfs_attr_t attr;
    must_open(replies, QUICK);
    cr_expect_eq(vfs_stat(dav.fs, NULL, "/d", &attr), E(EACCES));
    cr_expect_eq(heard("PROPFIND "), 2);
    cr_expect_eq(dav_put(dav.fs, "/d", "text", 0, NULL), E(EISDIR));
    cr_expect_eq(heard("PUT /root/d/"), 0);
}

Test(remote_webdav_hostile, a_move_whose_answer_is_lost_is_not_sent_again)
{
    const reply_t replies[] = {
        {"MOVE", "", REPLY_CLOSE, 0, NULL, 1},
        {"PROPFIND /root/a ", multi(XML ONE("/root/a", FILE7) END), REPLY_CLOSE, 0, NULL, 0},
        LAST};
    must_open(replies, "probe=no&retries=3");
    cr_expect_eq(vfs_rename(dav.fs, NULL, "/a", "/b", 0), VFS_EOFFLINE);
    cr_expect_eq(heard("MOVE "), 1);
}

Test(remote_webdav_hostile, a_move_whose_answer_is_lost_and_that_was_done_is_done)
{
    const char *file = multi(XML ONE("/root/a", FILE7) END);
    const char *moved = multi(XML ONE("/root/b", FILE7) END);
    const reply_t replies[] = {{"MOVE", "", REPLY_CLOSE, 0, NULL, 1},
                               {"PROPFIND /root/a ", file, REPLY_CLOSE, 1, NULL, 0},
                               {"PROPFIND /root/b ", EMPTY("404 None"), 0, 1, NULL, 0},
                               {"PROPFIND /root/b ", moved, REPLY_CLOSE, 0, NULL, 0},
                               LAST};
    must_open(replies, "probe=no&retries=3");
    cr_expect_eq(vfs_rename(dav.fs, NULL, "/a", "/b", 0), APR_SUCCESS);
    cr_expect_eq(heard("MOVE "), 1);
}

/* A PUT on a condition whose answer is lost, with this file there. */
static apr_status_t lost_put(const char *answer, const char *there, const char *text)
{
    static char bytes[256];
    const reply_t replies[] = {{"PUT", answer, REPLY_CLOSE, 0, NULL, answer[0] == 0},
                               {"PROPFIND", there, REPLY_CLOSE, 0, NULL, 0},
                               {"GET", bytes, REPLY_CLOSE, 0, NULL, 0},
                               LAST};
    vfs_validator_t version = {.kind = VFS_VALIDATOR_ETAG, .len = 5, .data = "\"old\""};
    snprintf(bytes, sizeof(bytes),
             "HTTP/1.1 206 Part\r\nETag: \"one\"\r\nContent-Range: bytes 0-6/7\r\n"
             "Content-Length: 7\r\n\r\n%s",
             text);
    must_open(replies, "probe=no&retries=3&conditions=yes");
    apr_status_t status = dav_put(dav.fs, "/f", "our own", VFS_COMMIT_IF_MATCH, &version);
    cr_expect_eq(heard("PUT "), 1);
    done();
    return status;
}

Test(remote_webdav_hostile, a_put_on_a_condition_whose_answer_is_lost_is_looked_at)
{
    const char *ours = multi(XML ONE("/root/f", FILE7) END);
    const char *longer =
        multi(XML ONE("/root/f", "<D:resourcetype/><D:getcontentlength>8</D:getcontentlength>"
                                 "<D:getetag>\"x\"</D:getetag>") END);
    const char *old =
        multi(XML ONE("/root/f", "<D:resourcetype/><D:getcontentlength>7</D:getcontentlength>"
                                 "<D:getetag>\"old\"</D:getetag>") END);
    static const char *const answers[] = {"", EMPTY("408 Slow"), EMPTY("502 Oh"), EMPTY("504 Oh")};
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        const char *a = answers[i];
        cr_expect_eq(lost_put(a, ours, "our own"), APR_SUCCESS, "%zu: it was obeyed", i);
        cr_expect_eq(lost_put(a, ours, "another"), VFS_ECONFLICT, "%zu: somebody else", i);
        cr_expect_eq(lost_put(a, longer, "another"), VFS_ECONFLICT, "%zu", i);
        cr_expect_eq(lost_put(a, old, "the old"), VFS_EOFFLINE, "%zu: it was not obeyed", i);
        cr_expect_eq(lost_put(a, EMPTY("503 Away"), ""), VFS_EOFFLINE, "%zu: nobody knows", i);
    }
}

/* The file is asked for, then its DELETE gets this answer, and then there is `later`. */
static apr_status_t lost_delete(const char *answer, const char *later, unsigned deletes)
{
    const char *file = multi(XML ONE("/root/f", FILE7) END);
    const reply_t replies[] = {{"DELETE", answer, REPLY_CLOSE, 1, NULL, answer[0] == 0},
                               {"DELETE", EMPTY("204 Gone"), 0, 0, NULL, 0},
                               {"PROPFIND", file, REPLY_CLOSE, 1, NULL, 0},
                               {"PROPFIND", later, REPLY_CLOSE, 0, NULL, 0},
                               LAST};
    must_open(replies, "probe=no&retries=3");
    apr_status_t status = vfs_unlink(dav.fs, NULL, "/f");
    cr_expect_eq(heard("DELETE "), deletes, "%u", heard("DELETE "));
    done();
    return status;
}

Test(remote_webdav_hostile, a_delete_whose_answer_is_lost_removes_nothing_new)
{
    static const char *const answers[] = {"", EMPTY("408 Slow"), EMPTY("500 Oh"), EMPTY("502 Oh")};
    const char *same = multi(XML ONE("/root/f", FILE7) END);
    const char *another =
        multi(XML ONE("/root/f", "<D:resourcetype/><D:getcontentlength>7</D:getcontentlength>"
                                 "<D:getetag>\"two\"</D:getetag>") END);
    const char *dir = multi(XML ONE("/root/f/", DIR) END);
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        const char *a = answers[i];
        cr_expect_eq(lost_delete(a, EMPTY("404 None"), 1), APR_SUCCESS, "%zu: it was done", i);
        cr_expect_eq(lost_delete(a, another, 1), VFS_EOFFLINE, "%zu: made since, or before", i);
        cr_expect_eq(lost_delete(a, dir, 1), VFS_EOFFLINE, "%zu: made since", i);
        cr_expect_eq(lost_delete(a, same, 2), APR_SUCCESS, "%zu: it was not done", i);
        cr_expect_eq(lost_delete(a, EMPTY("503 Away"), 1), VFS_EOFFLINE, "%zu: who knows", i);
    }
}

Test(remote_webdav_hostile, what_may_be_new_looks_like_what_was_removed)
{
    char now[64], props[512];
    const time_t t = time(NULL) + 3600; /* young as long as the test lasts */
    cr_assert_neq(strftime(now, sizeof(now), "%a, %d %b %Y %H:%M:%S GMT", gmtime(&t)), 0);
    snprintf(props, sizeof(props),
             XML "<D:response><D:href>/root/f</D:href><D:propstat><D:prop><D:resourcetype/>"
                 "<D:getcontentlength>0</D:getcontentlength><D:getlastmodified>%s"
                 "</D:getlastmodified></D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>"
                 "</D:response>" END,
             now);
    const reply_t replies[] = {
        {"DELETE", "", REPLY_CLOSE, 0, NULL, 1}, SAYS("PROPFIND", multi(props)), LAST};
    must_open(replies, "probe=no&retries=3");
    cr_expect_eq(vfs_unlink(dav.fs, NULL, "/f"), VFS_EOFFLINE);
    cr_expect_eq(heard("DELETE "), 1);
}

Test(remote_webdav_hostile, a_directory_whose_removal_is_lost_is_removed_once)
{
    const char *dir = multi(XML ONE("/root/d/", DIR) END);
    for (int there = 0; there < 2; there++) {
        const reply_t replies[] = {{"DELETE", "", REPLY_CLOSE, 0, NULL, 1},
                                   {"PROPFIND", dir, REPLY_CLOSE, there ? 0 : 2, NULL, 0},
                                   LAST};
        must_open(replies, "probe=no&retries=3&locks=no");
        cr_expect_eq(vfs_rmdir(dav.fs, NULL, "/d"), there ? VFS_EOFFLINE : APR_SUCCESS);
        cr_expect_eq(heard("DELETE "), 1);
        done();
    }
}

Test(remote_webdav_hostile, an_answer_on_the_way_is_none_to_a_move)
{
    static const struct {
        const char *answer;
        apr_status_t undone;
    } rows[] = {{EMPTY("408 Slow"), VFS_EOFFLINE},
                {EMPTY("500 Oh"), E(EIO)},
                {EMPTY("502 Oh"), VFS_EOFFLINE},
                {EMPTY("504 Oh"), VFS_EOFFLINE}};
    const char *file = multi(XML ONE("/root/a", FILE7) END);
    const char *moved = multi(XML ONE("/root/b", FILE7) END);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (unsigned undone = 0; undone < 2; undone++) {
            const reply_t replies[] = {
                {"MOVE", rows[i].answer, 0, 0, NULL, 0},
                {"PROPFIND /root/a ", file, REPLY_CLOSE, undone ? 0 : 1, NULL, 0},
                {"PROPFIND /root/b ", EMPTY("404 None"), 0, 1, NULL, 0},
                {"PROPFIND /root/b ", moved, REPLY_CLOSE, 0, NULL, 0},
                LAST};
            must_open(replies, "probe=no&retries=3");
            cr_expect_eq(vfs_rename(dav.fs, NULL, "/a", "/b", 0),
                         undone ? rows[i].undone : APR_SUCCESS, "%zu %u", i, undone);
            cr_expect_eq(heard("MOVE "), 1);
            done();
        }
    }
}

/* ---- locks that end */

#define TOKEN "<urn:x>"
#define LOCKED                                                                                     \
    "<D:prop xmlns:D=\"DAV:\"><D:lockdiscovery><D:activelock><D:timeout>Second-1</D:timeout>"      \
    "</D:activelock></D:lockdiscovery></D:prop>"

/* Takes its time for the second half. */
static apr_status_t slowly(void *baton, void *buf, size_t len, apr_off_t off)
{
    (void)baton;
    memset(buf, 'x', len);
    if (off > 0) (void)usleep(250000);
    return APR_SUCCESS;
}

/* A new file, under a lock of a second, of which this is said when more is wanted. */
static apr_status_t put_slowly(const char *more)
{
    char locked[512];
    snprintf(locked, sizeof(locked),
             "HTTP/1.1 200 OK\r\nLock-Token: " TOKEN "\r\nContent-Length: %zu\r\n\r\n" LOCKED,
             strlen(LOCKED));
    const reply_t replies[] = {{"UNLOCK", EMPTY("204 Open"), 0, 0, NULL, 0},
                               {"LOCK", locked, 0, 1, NULL, 0},
                               {"LOCK", more != NULL ? more : locked, 0, 0, NULL, 0},
                               {"PUT", EMPTY("201 Made"), 0, 0, NULL, 0},
                               {"PROPFIND", EMPTY("404 None"), 0, 0, NULL, 0},
                               LAST};
    const vfs_source_t source = {slowly, NULL, 262144};
    vfs_commit_t how = VFS_COMMIT_INIT;
    how.flags = VFS_COMMIT_IF_NONE;
    must_open(replies, QUICK "&locks=yes&conditions=no");
    apr_status_t status = vfs_commit(dav.fs, NULL, "/f", &source, &how, NULL, NULL);
    cr_expect_eq(heard("PUT "), status == APR_SUCCESS, "a whole one");
    cr_expect_eq(vfs_sync_fs(dav.fs, NULL), APR_SUCCESS);
    cr_expect_eq(heard("UNLOCK "), 1);
    return status;
}

/* A machine that is slow may come too late for so short a lock. */
static apr_status_t put_in_time(const char *more)
{
    apr_status_t status = put_slowly(more);
    for (unsigned turn = 0; turn < 9 && status != APR_SUCCESS; turn++) {
        done();
        status = put_slowly(more);
    }
    return status;
}

Test(remote_webdav_hostile, a_lock_is_kept_while_a_body_is_sent)
{
    cr_expect_eq(put_in_time(NULL), APR_SUCCESS);
    /* one lock, the end of it, and what was asked for between */
    cr_expect_geq(heard("LOCK /root/f "), 3, "%u", heard("LOCK /root/f "));
    cr_expect_geq(heard("If: (" TOKEN ")"), 2, "of the body and of the lock");
}

Test(remote_webdav_hostile, a_body_ends_with_its_lock)
{
    cr_expect_eq(put_slowly(EMPTY("412 Yours is gone")), VFS_EOFFLINE);
    done();
    cr_expect_eq(put_in_time(EMPTY("405 What is that")), APR_SUCCESS, "it lasts as it did before");
}

Test(remote_webdav_hostile, errors_within_a_207_are_errors)
{
    const char *locked = multi(XML "<D:response><D:href>/root/f</D:href>"
                                   "<D:status>HTTP/1.1 424 Failed Dependency</D:status>"
                                   "</D:response><D:response><D:href>/root/f/x</D:href>"
                                   "<D:status>HTTP/1.1 423 Locked</D:status></D:response>" END);
    const reply_t replies[] = {
        {"DELETE", locked, REPLY_CLOSE, 0, NULL, 0},
        {"PROPFIND", multi(XML ONE("/root/f", FILE7) END), REPLY_CLOSE, 0, NULL, 0},
        {"PUT", multi(XML END), REPLY_CLOSE, 0, NULL, 0},
        LAST};
    must_open(replies, QUICK);
    cr_expect_eq(vfs_unlink(dav.fs, NULL, "/f"), E(EBUSY));
    cr_expect_eq(dav_put(dav.fs, "/f", "text", 0, NULL), E(EIO), "one that says nothing, too");
}

/* DELETE takes along what no listing shows. */
Test(remote_webdav_hostile, a_directory_with_names_that_are_left_out_is_not_empty)
{
    const reply_t replies[] = {
        SAYS("PROPFIND",
             multi(XML ONE("/root/d/", DIR) "<D:response><D:href>/root/d/secret</D:href>"
                                            "<D:status>HTTP/1.1 403 Forbidden</D:status>"
                                            "</D:response>" END)),
        {"DELETE", EMPTY("204 No Content"), REPLY_CLOSE, 0, NULL, 0},
        LAST};
    must_open(replies, QUICK);
    cr_expect_eq(vfs_rmdir(dav.fs, NULL, "/d"), E(ENOTEMPTY));
    cr_expect_eq(heard("DELETE"), 0);
}

Test(remote_webdav_hostile, a_token_that_is_none_is_not_sent)
{
    static const char *const tokens[] = {"", "Lock-Token: none\r\n", "Lock-Token: <a b>\r\n",
                                         "Lock-Token: <a>) (<b>\r\n", "Lock-Token: <>\r\n"};
    for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]); i++) {
        char text[256];
        snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\n%sContent-Length: 0\r\n\r\n", tokens[i]);
        const reply_t replies[] = {
            {"LOCK", text, 0, 0, NULL, 0}, {"PROPFIND", EMPTY("404 None"), 0, 0, NULL, 0}, LAST};
        must_open(replies, QUICK "&locks=yes&conditions=no");
        cr_expect_eq(dav_put(dav.fs, "/f", "text", VFS_COMMIT_IF_NONE, NULL), VFS_EFORMAT, "%zu",
                     i);
        cr_expect_eq(heard("PUT "), 0);
        cr_expect_eq(heard("If: "), 0);
        done();
    }
}

Test(remote_webdav_hostile, what_speaks_no_webdav_is_told_so)
{
    static const struct {
        const char *reply;
        apr_status_t status;
        const char *says;
    } rows[] = {
        {EMPTY("405 No"), APR_ENOTIMPL, "speaks no WebDAV"},
        {EMPTY("501 No"), APR_ENOTIMPL, "speaks no WebDAV"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>", VFS_EFORMAT, "speaks no WebDAV"},
        {EMPTY("404 None"), APR_ENOENT, "no such directory"},
        {EMPTY("401 Who\r\nWWW-Authenticate: Basic realm=\"x\""), E(EACCES), "who we are"},
        {EMPTY("403 No"), E(EACCES), "forbids"},
        {EMPTY("302 There\r\nLocation: http://127.0.0.1:9/"), E(EACCES), "its URL is to be used"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const reply_t replies[] = {{"PROPFIND", rows[i].reply, 0, 0, NULL, 0}, LAST};
        int port = 0;
        server = server_start(replies, &port);
        cr_expect_eq(dav_open(&dav, &dav.fs, port, "retries=0"), rows[i].status, "%zu", i);
        cr_expect_not_null(strstr(dav.err, rows[i].says), "%zu: %s", i, dav.err);
        dav.fs = NULL;
        done();
    }
}
