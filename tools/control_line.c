/*
 * control_line.c - lines of the control socket: see control.h.
 * Floor 4, private to tools/. What comes is not trusted: it is bounded, and checked.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "tools/control.h"

#define TURN_MS 200

static int digit(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* In place. 0: no such word. */
static int decode(char *word)
{
    char *to = word;
    if (strcmp(word, "%") == 0) {
        word[0] = '\0';
        return 1;
    }
    for (const char *s = word; *s != '\0'; s++) {
        if (*s == '%') {
            int high = digit(s[1]), low = high < 0 ? -1 : digit(s[2]);
            if (low < 0 || (high | low) == 0) return 0;
            *to++ = (char)(high << 4 | low);
            s += 2;
        } else {
            *to++ = *s;
        }
    }
    *to = '\0';
    return 1;
}

static int split(control_line_t *line)
{
    char *rest = NULL;
    line->count = 0;
    for (char *word = strtok_r(line->text, " ", &rest); word != NULL;
         word = strtok_r(NULL, " ", &rest)) {
        if (line->count == CONTROL_WORDS_MAX || !decode(word)) return 0;
        line->word[line->count++] = word;
    }
    return line->count > 0;
}

static int fill(control_stream_t *stream)
{
    ssize_t got;
    do {
        got = recv(stream->fd, stream->buf, sizeof(stream->buf), 0);
    } while (got < 0 && errno == EINTR);
    stream->at = 0;
    stream->len = got > 0 ? (size_t)got : 0;
    return got > 0;
}

int control_wait(const control_stream_t *stream)
{
    struct pollfd poller = {.fd = stream->fd, .events = POLLIN};
    return stream->at < stream->len || poll(&poller, 1, TURN_MS) > 0;
}

int control_read(control_stream_t *stream, control_line_t *line)
{
    size_t len = 0;
    while (len + 1 < sizeof(line->text)) {
        if (stream->at == stream->len && !fill(stream)) return 0;
        char c = stream->buf[stream->at++];
        if (c == '\0') return 0;
        if (c == '\n') {
            line->text[len] = '\0';
            return split(line);
        }
        line->text[len++] = c;
    }
    return 0;
}

/* Where the text ends; NULL: there is no room. */
static char *encode(char *to, const char *end, const char *word)
{
    static const char digits[] = "0123456789abcdef";
    if (word[0] == '\0' && to < end) *to++ = '%';
    for (const unsigned char *s = (const unsigned char *)word; *s != 0; s++) {
        if (end - to < 3) return NULL;
        if (*s > ' ' && *s != 0x7f && *s != '%') {
            *to++ = (char)*s;
        } else {
            *to++ = '%';
            *to++ = digits[*s >> 4];
            *to++ = digits[*s & 15];
        }
    }
    return to;
}

static int send_all(int fd, const char *text, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, text, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return 0;
        text += sent;
        len -= (size_t)sent;
    }
    return 1;
}

int control_send(int fd, const char *const *words, size_t count)
{
    char text[CONTROL_LINE_MAX], *to = text;
    const char *end = text + sizeof(text) - 2; /* a blank or an end of line always fits */
    for (size_t i = 0; i < count && to != NULL; i++) {
        if (i > 0) *to++ = ' ';
        to = encode(to, end, words[i]);
    }
    if (to == NULL || count > CONTROL_WORDS_MAX) {
        errno = E2BIG;
        return 0;
    }
    *to++ = '\n';
    return send_all(fd, text, (size_t)(to - text));
}
