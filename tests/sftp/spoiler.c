/*
 * spoiler.c - an SFTP server that lies: OpenSSH's own, with some of its replies spoilt on the way.
 * Floor 4: test support; a program that sshd runs as its subsystem: spoiler HOW WHICH [FLAG].
 *
 * WHICH is the request (its number) whose replies are spoilt. With FLAG, the name of a file, only
 * while that is there, and it goes with the first; or it stays, if HOW begins with '+'. FLAG.log,
 * if that is there, is told what was opened, made durable and closed; FLAG.asked what was asked, a
 * line for what came at once.
 */
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SERVER "/usr/lib/openssh/sftp-server"
#define MESSAGE_MAX (300u << 10)

static uint8_t asked[65536]; /* what a request was, by its number */
static uint8_t message[2 * MESSAGE_MAX];
static uint8_t held[MESSAGE_MAX];
static size_t held_len;

static uint32_t get32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put32(uint8_t *at, uint32_t value)
{
    at[0] = (uint8_t)(value >> 24);
    at[1] = (uint8_t)(value >> 16);
    at[2] = (uint8_t)(value >> 8);
    at[3] = (uint8_t)value;
}

static void read_all(int fd, uint8_t *at, size_t len)
{
    while (len > 0) {
        ssize_t n = read(fd, at, len);
        if (n <= 0) exit(0);
        at += n;
        len -= (size_t)n;
    }
}

static void write_all(int fd, const uint8_t *at, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, at, len);
        if (n <= 0) exit(0);
        at += n;
        len -= (size_t)n;
    }
}

/* ---- what is asked */

static uint8_t input[2 * MESSAGE_MAX];
static size_t input_len, told; /* told: messages that begin before are in the log */
static char asked_name[256];

static void tell_asked(const char *line)
{
    FILE *log = access(asked_name, F_OK) == 0 ? fopen(asked_name, "ae") : NULL;
    if (log == NULL) return;
    (void)fprintf(log, "%s\n", line); /* who reads it misses it */
    (void)fclose(log);
}

static const char *name_of(unsigned type)
{
    static const char *const names[] = {
        "0",     "init",  "version",  "open",     "close",   "read",     "write",
        "lstat", "fstat", "setstat",  "fsetstat", "opendir", "readdir",  "remove",
        "mkdir", "rmdir", "realpath", "stat",     "rename",  "readlink", "symlink"};
    return type < sizeof(names) / sizeof(names[0]) ? names[type] : "extended";
}

/* What has come; 0: it is the end. */
static int take_input(void)
{
    char line[512] = "";
    size_t len = 0;
    ssize_t n = read(0, input + input_len, sizeof(input) - input_len);
    if (n <= 0) return 0;
    for (input_len += (size_t)n; told + 4 < input_len; told += 4 + get32(input + told)) {
        int m = snprintf(line + len, sizeof(line) - len, "%s%s", len > 0 ? " " : "",
                         name_of(input[told + 4]));
        if (m > 0 && len + (size_t)m < sizeof(line)) len += (size_t)m;
    }
    if (len > 0) tell_asked(line);
    return 1;
}

/* ---- the log */

#define HANDLES 256u
static char log_name[256], end_name[256];
static char *path_of[65536]; /* of requests to open, by their number */
static char *opened[HANDLES];

static void tell(const char *what, const char *path)
{
    FILE *log = log_name[0] != '\0' && access(log_name, F_OK) == 0 ? fopen(log_name, "ae") : NULL;
    if (log == NULL) return;
    (void)fprintf(log, "%s %s\n", what, path != NULL ? path : "?"); /* who reads it misses it */
    (void)fclose(log);
}

/* A handle of OpenSSH is a number of 4 bytes, behind its length. */
static const char *path_at(const uint8_t *at)
{
    return opened[get32(at + 4) % HANDLES];
}

static void note_request(size_t len)
{
    uint32_t n = get32(message + 9); /* bytes of the first text */
    if ((message[4] == 3 || message[4] == 11) && 13 + n <= len) {
        char **path = &path_of[get32(message + 5) & 0xffff];
        free(*path);
        *path = strndup((const char *)message + 13, n);
    }
    if (message[4] == 4) tell("close", path_at(message + 9));
    if (message[4] == 200 && n == 17 && memcmp(message + 13, "fsync@openssh.com", 17) == 0)
        tell("fsync", path_at(message + 13 + n));
}

static void note_reply(void)
{
    if (message[4] != 102) return;
    char **path = &path_of[get32(message + 5) & 0xffff];
    char **handle = &opened[get32(message + 13) % HANDLES];
    free(*handle);
    *handle = *path;
    *path = NULL;
    tell("open", *handle);
}

/* The first whole message of the input; 0: there is none. */
static size_t next_message(void)
{
    size_t len = input_len >= 4 ? get32(input) + 4u : 0;
    if (len > MESSAGE_MAX) exit(1);
    if (input_len < 4 || input_len < len) return 0;
    memcpy(message, input, len);
    input_len -= len;
    told -= len;
    memmove(input, input + len, input_len);
    return len;
}

/* One message, with its length. */
static size_t read_message(int fd)
{
    read_all(fd, message, 4);
    size_t len = get32(message);
    if (len < 5 || len > MESSAGE_MAX) exit(1);
    read_all(fd, message + 4, len);
    return 4 + len;
}

static size_t name(uint8_t *at, const char *text, size_t len)
{
    put32(at, (uint32_t)len);
    memcpy(at + 4, text, len);
    put32(at + 4 + len, 0); /* as ls would show it */
    put32(at + 8 + len, 4); /* attributes: the mode alone */
    put32(at + 12 + len, 0100644);
    return len + 16;
}

/* A listing of names that no directory can have, and one that it can. */
static size_t evil_names(void)
{
    static const struct {
        const char *text;
        size_t len;
    } names[] = {{"..", 2},   {".", 1}, {"../up", 5}, {"a/b", 3},
                 {"/etc", 4}, {"", 0},  {"a\0b", 3},  {"good", 4}};
    static char longest[300];
    size_t at = 13, n = sizeof(names) / sizeof(names[0]);
    memset(longest, 'x', sizeof(longest));
    message[4] = 104;
    put32(message + 9, (uint32_t)n + 1);
    for (size_t i = 0; i < n; i++)
        at += name(message + at, names[i].text, names[i].len);
    return at + name(message + at, longest, sizeof(longest));
}

/* Spoil the message; 0: it does not go out. */
static size_t spoil(const char *how, size_t len)
{
    if (strcmp(how, "lost") == 0) exit(0);
    if (strcmp(how, "silent") == 0) return 0;
    if (strcmp(how, "late") == 0) { /* behind the next one */
        memcpy(held, message, len);
        held_len = len;
        return 0;
    }
    if (strcmp(how, "half") == 0) { /* it ends in the middle of a message */
        write_all(1, message, len / 2);
        exit(0);
    }
    if (strcmp(how, "twice") == 0) write_all(1, message, len);
    if (strcmp(how, "handle") == 0 && message[4] == 102) { /* longer than any may be */
        memset(message + 13, 'h', 400);
        put32(message + 9, 400);
        len = 413;
    }
    if (strcmp(how, "longest") == 0 && message[4] == 102) { /* as long as one may be */
        memset(message + 13, 'h', 256);
        put32(message + 9, 256);
        len = 269;
    }
    if (strcmp(how, "huge") == 0) {
        put32(message, 0xffffffffu);
        return len;
    }
    if (strcmp(how, "tiny") == 0) {
        put32(message, 1);
        return 5;
    }
    if (strcmp(how, "id") == 0) message[8] ^= 0x55;
    if (strcmp(how, "type") == 0) message[4] = 250;
    if (strcmp(how, "fail") == 0 || strcmp(how, "deny") == 0) {
        message[4] = 101;
        memset(message + 9, 0, 12);
        message[12] = how[0] == 'f' ? 4 : 3;
        len = 21;
    }
    if (strcmp(how, "ok") == 0) { /* well done, but what was asked for is not there */
        message[4] = 101;
        memset(message + 9, 0, 12);
        len = 21;
    }
    if (strcmp(how, "inner") == 0 && len >= 13) put32(message + 9, 0x7fffffffu);
    if (strcmp(how, "short") == 0) len = 9;
    if (strcmp(how, "more") == 0) { /* more bytes than were asked for */
        memset(message + len, 'm', 100000);
        len += 100000;
        put32(message + 9, (uint32_t)len - 13);
    }
    if (strcmp(how, "names") == 0 && message[4] == 104) len = evil_names();
    if (strcmp(how, "none") == 0) { /* no names, and no end of them */
        message[4] = 104;
        put32(message + 9, 0);
        len = 13;
    }
    if (strcmp(how, "endless") == 0) { /* the same name for ever */
        message[4] = 104;
        put32(message + 9, 1);
        len = 13 + name(message + 13, "again", 5);
    }
    put32(message, (uint32_t)len - 4);
    return len;
}

static void begin_server(int *to, int *from)
{
    int in[2], out[2];
    if (pipe(in) != 0 || pipe(out) != 0) exit(1);
    if (fork() == 0) {
        (void)(dup2(in[0], 0) + dup2(out[1], 1));
        (void)(close(in[0]) + close(in[1]) + close(out[0]) + close(out[1]));
        execl(SERVER, SERVER, (char *)NULL);
        _exit(127);
    }
    (void)(close(in[0]) + close(out[1]));
    *to = in[1];
    *from = out[0];
}

/* Is it time? */
static int strikes(const char *how, const char *flag)
{
    if (flag == NULL) return 1;
    return how[0] == '+' ? access(flag, F_OK) == 0 : unlink(flag) == 0;
}

int main(int argc, char **argv)
{
    int to, from;
    if (argc < 3) return 2;
    const char *how = argv[1], *flag = argc > 3 ? argv[3] : NULL;
    if (flag != NULL) (void)snprintf(log_name, sizeof(log_name), "%s.log", flag);
    if (flag != NULL) (void)snprintf(end_name, sizeof(end_name), "%s.end", flag);
    if (flag != NULL) (void)snprintf(asked_name, sizeof(asked_name), "%s.asked", flag);
    const unsigned which = (unsigned)atoi(argv[2]);
    begin_server(&to, &from);
    for (;;) {
        struct pollfd polls[2] = {{0, POLLIN, 0}, {from, POLLIN, 0}};
        if (poll(polls, 2, -1) < 0) return 1;
        if (polls[0].revents != 0) {
            if (!take_input()) return 0;
            for (size_t len; (len = next_message()) > 0;) {
                if (end_name[0] != '\0' && unlink(end_name) == 0) return 0;
                asked[get32(message + 5) & 0xffff] = message[4];
                note_request(len);
                write_all(to, message, len);
            }
        }
        if (polls[1].revents != 0) {
            size_t len = read_message(from);
            unsigned what = message[4] == 2 ? 1 : asked[get32(message + 5) & 0xffff];
            note_reply();
            size_t late = held_len;
            if (what == which && strikes(how, flag)) len = spoil(how + (how[0] == '+'), len);
            write_all(1, message, len);
            write_all(1, held, late);
            if (late > 0) held_len = 0;
        }
    }
}
