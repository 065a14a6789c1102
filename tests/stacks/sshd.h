/*
 * sshd.h - an SSH server of the test's own: OpenSSH on loopback, for the user who runs the test.
 * Floor 4. Shared by the stacks under test and the tests of the backend over SFTP.
 */
#ifndef TESTS_STACKS_SSHD_H
#define TESTS_STACKS_SSHD_H

#include <stddef.h>
#include <sys/types.h>

typedef struct sshd_t {
    pid_t pid; /**< who accepts connections, and begins an sshd for each; 0: none */
    int port;
    char dir[64]; /**< its own: keys, known_hosts, configuration, log */
} sshd_t;

/** Start it. Its socket is there before it is, so no other program can take the port. It ends with
 * the thread that starts it, whatever happens to that.
 *  @param lines  more for its configuration; NULL or without "Subsystem": the usual SFTP, without a
 *                mask of modes
 *  @return 1; 0: errno says why it cannot be started. */
int sshd_start(sshd_t *sshd, const char *lines);
/** "sftp://127.0.0.1:PORT/ROOT?..." with a key that is accepted and the server's own known. A port
 * that is not 0 is a proxy's.
 *  @param more  further options, such as "connections=1"; or "" */
const char *sshd_uri(const sshd_t *sshd, int port, const char *root, const char *more, char *buf,
                     size_t size);
/** Write what is known of servers: the server's own key, by that port. */
int sshd_know(const sshd_t *sshd, int port);
/** End it and what it began, and remove its directory. May be called for one that was not started.
 */
void sshd_stop(sshd_t *sshd);

#endif
