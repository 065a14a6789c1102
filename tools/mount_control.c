/*
 * mount_control.c - the socket of a mount, and who speaks to it, each on a thread of his own.
 * Floor 4, private to tools/. The socket is its owner's alone, by its mode and that of its
 * directory, and who speaks is asked for by the kernel besides.
 *
 * Nobody here is waited for: who does not ask, or does not read the answer, is given up; who hangs
 * up takes back what he asked for; and when the mount ends all that is under way is taken back.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tools/mount.h"

#define CLIENTS_MAX 16
#define BACKLOG 64 /* who is too many shall hear it */
#define TURN_MS 200
#define WAIT_S 5

static control_client_t clients[CLIENTS_MAX]; /* one mount a process; of its control thread */

/* `about`: the path that is meant, or NULL. */
static void finish(int fd, const char *wrong, const char *about)
{
    const char *ok[] = {"ok"}, *error[] = {"error", wrong, about != NULL ? about : ""};
    (void)control_send(fd, wrong != NULL ? error : ok, wrong != NULL ? 3 : 1); /* he may be gone */
}

/* ---- one client */

static int may_speak(int fd)
{
    struct ucred who;
    socklen_t len = sizeof(who);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len) != 0) return 0;
    return who.uid == 0 || who.uid == geteuid();
}

static void serve(control_client_t *client, control_line_t *line)
{
    if (!control_read(&client->stream, line)) return;
    if (!mount_enter(client->run)) {
        finish(client->stream.fd, "it is just being taken away", NULL);
        return;
    }
    const char *wrong = control_answer(client, line);
    if (!atomic_load(&client->waits)) finish(client->stream.fd, wrong, client->about);
    mount_leave(client->run);
}

static void *client_main(void *baton)
{
    control_client_t *client = baton;
    control_line_t *line = malloc(sizeof(*line));
    if (line != NULL) serve(client, line);
    free(line);
    atomic_store(&client->over, 1);
    return NULL;
}

static int start_client(mount_run_t *run, control_client_t *client, int fd)
{
    static const vfs_ctx_t ctx = VFS_CTX_INIT;
    *client = (control_client_t){.run = run};
    client->stream.fd = fd;
    if (apr_pool_create(&client->pool, NULL) != APR_SUCCESS) return 0;
    client->ctx = ctx;
    client->used = vfs_cancel_create(&client->cancel, client->pool) == APR_SUCCESS;
    client->ctx.cancel = client->cancel;
    if (client->used)
        client->used = pthread_create(&client->thread, NULL, client_main, client) == 0;
    if (!client->used) apr_pool_destroy(client->pool);
    return client->used;
}

static void end_client(control_client_t *client)
{
    (void)pthread_join(client->thread, NULL);           /* it has nothing to say */
    if (!client->waits) (void)close(client->stream.fd); /* all was sent */
    apr_pool_destroy(client->pool);
    client->used = client->waits;
}

static void raise_client(control_client_t *client)
{
    if (!client->raised) vfs_cancel_raise(client->cancel);
    client->raised = 1;
}

/* ---- all of them */

static void take_client(mount_run_t *run)
{
    static const struct timeval wait = {WAIT_S, 0};
    char unread[1024];
    int i = 0, fd = accept4(run->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0) return;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)); /* else it waits longer */
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
    while (i < CLIENTS_MAX && clients[i].used)
        i++;
    if (may_speak(fd) && i < CLIENTS_MAX && start_client(run, &clients[i], fd)) return;
    (void)recv(fd, unread, sizeof(unread), MSG_DONTWAIT); /* else he hears of a reset first */
    finish(fd,
           i < CLIENTS_MAX ? "who asks is not the one who mounted it"
                           : "too many ask at once; try again",
           NULL);
    (void)close(fd); /* all was sent */
}

/* Those that are done go; those that hung up take back what they asked for. */
static void look_after(struct pollfd *pollers)
{
    for (int i = 0; i < CLIENTS_MAX; i++) {
        control_client_t *client = &clients[i];
        if (!client->used || client->waits) continue;
        if (atomic_load(&client->over))
            end_client(client);
        else if (pollers[i].revents != 0)
            raise_client(client);
    }
}

void *mount_control(void *baton)
{
    mount_run_t *run = baton;
    struct pollfd pollers[CLIENTS_MAX + 1];
    while (mount_enter(run)) {
        mount_look(run->mount);
        mount_leave(run);
        for (int i = 0; i < CLIENTS_MAX; i++) {
            int watched = clients[i].used && !clients[i].raised && !clients[i].waits;
            pollers[i] =
                (struct pollfd){.fd = watched ? clients[i].stream.fd : -1, .events = POLLRDHUP};
        }
        pollers[CLIENTS_MAX] = (struct pollfd){.fd = run->listener, .events = POLLIN};
        if (poll(pollers, CLIENTS_MAX + 1, TURN_MS) < 0) continue;
        look_after(pollers);
        if (pollers[CLIENTS_MAX].revents != 0) take_client(run);
    }
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (clients[i].used && !clients[i].waits) raise_client(&clients[i]);
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (clients[i].used) end_client(&clients[i]);
    return NULL;
}

/* ---- life */

int mount_control_open(mount_run_t *run)
{
    struct sockaddr_un address;
    run->listener = -1;
    run->socket = mount_socket(run->point, run->cli->pool);
    if (run->socket == NULL || strlen(run->socket) >= sizeof(address.sun_path)) {
        cli_error(run->cli, "no place for the control socket: %s",
                  run->socket != NULL ? "its directory has too long a name" : strerror(errno));
        return CLI_USAGE;
    }
    memset(&address, 0, sizeof(address));
    address.sun_family = AF_UNIX;
    memcpy(address.sun_path, run->socket, strlen(run->socket) + 1);
    run->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)unlink(run->socket); /* nothing of ours is mounted here: it is left from a mount before */
    mode_t before = umask(0177);
    int bound = run->listener >= 0 &&
                bind(run->listener, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
                listen(run->listener, BACKLOG) == 0 && lstat(run->socket, &run->socket_stat) == 0;
    int error = errno;
    (void)umask(before); /* cannot fail */
    if (bound) return CLI_DONE;
    cli_error(run->cli, "%s: %s", run->socket, strerror(error));
    if (run->listener >= 0) (void)close(run->listener); /* nothing was sent */
    return CLI_INTERNAL;
}

void mount_control_close(mount_run_t *run)
{
    struct stat st;
    if (lstat(run->socket, &st) == 0 && st.st_ino == run->socket_stat.st_ino &&
        st.st_dev == run->socket_stat.st_dev)
        (void)unlink(run->socket); /* nobody needs it any more */
    (void)close(run->listener);    /* nobody speaks */
}

void mount_control_end(mount_run_t *run, pthread_t thread, int code)
{
    (void)pthread_join(thread, NULL); /* it has nothing to say */
    mount_control_close(run);
    for (int i = 0; i < CLIENTS_MAX; i++) {
        if (!clients[i].used) continue;
        finish(clients[i].stream.fd,
               code == CLI_DONE ? NULL : "data could not be written to the origin and is lost",
               NULL);
        (void)close(clients[i].stream.fd); /* all was sent */
        clients[i].used = 0;
    }
}
