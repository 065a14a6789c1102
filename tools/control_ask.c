/*
 * control_ask.c - a request to a mount, and what comes back: see control.h.
 * Floor 4, private to tools/.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <apr_strings.h>

#include "tools/control.h"
#include "tools/mount.h"

/* ---- reaching it */

/* A socket that is connected, or -1 and errno. */
static int reach(const control_place_t *place, apr_pool_t *pool)
{
    struct sockaddr_un address;
    int error = ENOENT;
    for (int i = 0;; i++) {
        const char *path = mount_socket_of(place->point, place->uid, i, pool);
        if (path == NULL || strlen(path) >= sizeof(address.sun_path)) break;
        memset(&address, 0, sizeof(address));
        address.sun_family = AF_UNIX;
        memcpy(address.sun_path, path, strlen(path) + 1);
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) return -1;
        if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) return fd;
        if (errno != ENOENT && errno != ENOTDIR) error = errno;
        (void)close(fd); /* nothing was sent */
    }
    errno = error;
    return -1;
}

int control_reaches(cli_t *cli, const control_place_t *place)
{
    int fd = reach(place, cli->pool);
    if (fd >= 0) (void)close(fd); /* nothing was sent */
    return fd >= 0;
}

static int unreached(cli_t *cli, const control_place_t *place, int error)
{
    unsigned long uid = geteuid();
    if (uid != 0 && uid != place->uid)
        cli_error(cli, "%s is a mount of user %lu: only he and root may ask it", place->point,
                  place->uid);
    else if (error == ECONNREFUSED)
        cli_error(cli,
                  "%s: the program of this mount has died; take it away by cachefs unmount %s, "
                  "then mount it again",
                  place->point, place->point);
    else if (error == ENOENT)
        cli_error(cli,
                  "%s: the program of this mount has no control socket where it should be; it was "
                  "started with another XDG_RUNTIME_DIR, or has died",
                  place->point);
    else
        cli_error(cli, "%s: its control socket: %s", place->point, strerror(error));
    return CLI_UNREACHABLE;
}

/* ---- the answer */

typedef struct answer_t {
    cli_t *cli;
    const control_place_t *place;
    control_line_fn fn;
    void *baton;
} answer_t;

/* -1: there is more. */
static int take(const answer_t *to, const control_line_t *line)
{
    const char *kind = line->word[0], *text = line->count > 1 ? line->word[1] : "";
    if (strcmp(kind, "ok") == 0) return CLI_DONE;
    if (strcmp(kind, "note") == 0) {
        cli_note(to->cli, "%s", text);
    } else if (strcmp(kind, "error") == 0) {
        const char *about = line->count > 2 && strcmp(line->word[2], "/") != 0 ? line->word[2] : "";
        cli_error(to->cli, "%s%s: %s", to->place->point, about, text);
        return CLI_SOME_FAILED;
    } else if (to->fn != NULL) {
        to->fn(to->baton, line);
    }
    return -1;
}

static int read_answer(const answer_t *to, int fd)
{
    control_stream_t stream = {.fd = fd};
    control_line_t *line = malloc(sizeof(*line));
    int code = line != NULL ? -1 : CLI_INTERNAL;
    while (code < 0 && !cli_stopped(to->cli)) {
        if (!control_wait(&stream)) continue;
        if (!control_read(&stream, line)) break;
        code = take(to, line);
    }
    free(line);
    if (code >= 0) return code;
    if (cli_stopped(to->cli)) return CLI_SOME_FAILED; /* cli_finish knows why */
    cli_error(to->cli, "%s: the program of the mount ended without an answer", to->place->point);
    return CLI_SOME_FAILED;
}

int control_ask(cli_t *cli, const control_place_t *place, const char *const *words, size_t count,
                control_line_fn fn, void *baton)
{
    answer_t to = {.cli = cli, .place = place, .fn = fn, .baton = baton};
    int code, fd = reach(place, cli->pool);
    if (fd < 0) return unreached(cli, place, errno);
    if (!control_send(fd, words, count) && errno == E2BIG) {
        cli_error(cli, "that is too much for one request; name fewer, or a --list FILE");
        code = CLI_USAGE;
    } else {
        code = read_answer(&to, fd);
    }
    (void)close(fd); /* all is read */
    return code;
}

/* ---- figures */

static int ends_with(const char *name, const char *end)
{
    size_t len = strlen(name), n = strlen(end);
    return len >= n && strcmp(name + len - n, end) == 0;
}

static void print_number(const char *name, const char *value)
{
    char shown[48];
    double number = strtod(value, NULL);
    if (ends_with(name, "_bytes") || strncmp(name, "ram_", 4) == 0)
        (void)printf("%-30s %s\n", name, cli_show_bytes(shown, sizeof(shown), number));
    else if (ends_with(name, "_us"))
        (void)printf("%-30s %s\n", name, cli_show_us(shown, sizeof(shown), number));
    else
        (void)printf("%-30s %s\n", name, value);
}

static void put_figure(const control_figures_t *to, int is_number, const char *name,
                       const char *value)
{
    int whole = is_number && value[strspn(value, "0123456789")] == '\0';
    if (to->json != NULL && whole)
        json_uint(to->json, name, strtoull(value, NULL, 10));
    else if (to->json != NULL && is_number)
        json_double(to->json, name, strtod(value, NULL));
    else if (to->json != NULL)
        json_path(to->json, name, value);
    else if (is_number)
        print_number(name, value);
    else
        (void)printf("%-30s %s\n", name, value);
}

/* In a row a value is a number if it looks like one: no path does. */
static void put_row(const control_figures_t *to, const char *const *words, size_t count)
{
    if (to->json != NULL) json_object(to->json, NULL);
    for (size_t i = 0; i + 1 < count; i += 2) {
        const char *name = words[i], *value = words[i + 1];
        int is_number = value[0] != '\0' && value[strspn(value, "0123456789")] == '\0';
        if (to->json != NULL) {
            put_figure(to, is_number, name, value);
        } else {
            (void)printf("%s%s ", i == 0 ? "  " : ", ", name);
            cli_print_name(stdout, value);
        }
    }
    if (to->json != NULL)
        json_close(to->json, '}');
    else
        (void)putchar('\n');
}

void control_figures_end(control_figures_t *to)
{
    if (to->in_list && to->json != NULL) json_close(to->json, ']');
    to->in_list = 0;
}

void control_figure_words(control_figures_t *to, const char *const *words, size_t count)
{
    if (count == 2 && strcmp(words[0], "list") == 0) {
        control_figures_end(to);
        to->in_list = 1;
        if (to->json != NULL)
            json_array(to->json, words[1]);
        else
            (void)printf("%s\n", words[1]);
    } else if (to->in_list && strcmp(words[0], "row") == 0) {
        put_row(to, words + 1, count - 1);
    } else if (!to->in_list && count == 3) {
        put_figure(to, strcmp(words[0], "number") == 0, words[1], words[2]);
    }
}

void control_figure(void *baton, const control_line_t *line)
{
    control_figure_words(baton, line->word, line->count);
}
