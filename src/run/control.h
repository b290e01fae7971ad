/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket: a Unix stream socket on which a client sends one JSON object on a line and
 * gets one or more lines back.  Each client has a thread of its own, so that one that never reads,
 * or asks for something slow, holds up nobody else; there are at most PLN_CONTROL_CLIENTS_MAX.
 *
 * Only root and the user that runs the daemon may connect (SO_PEERCRED).
 */
#ifndef PLN_RUN_CONTROL_H
#define PLN_RUN_CONTROL_H

#include <stdbool.h>
#include <stddef.h>

#include <pollen/err.h>

enum { PLN_CONTROL_CLIENTS_MAX = 32 };
enum { PLN_CONTROL_LINE_MAX = 64 * 1024 }; /* A request; a token of 16 KiB in base64 fits. */

typedef struct pln_control pln_control;
typedef struct pln_control_client pln_control_client;

/* Runs on the client's thread; line is the request without its newline and NUL-terminated. */
typedef void (*pln_control_handler)(void *ctx, pln_control_client *client, const char *line);

/*
 * Serves path until pln_control_stop().  A stale socket file is replaced.
 *
 * Errors: POLLEN_EBUSY (somebody answers there), POLLEN_EINVAL (path too long for a socket),
 *         POLLEN_EPERM, POLLEN_ESYS, POLLEN_ENOMEM
 */
POLLEN_MUST_USE pollen_err pln_control_start(const char *path, pln_control_handler handler,
                                             void *ctx, pln_control **ret);

/* Ends all clients, waits for their threads and removes path.  Accepts NULL. */
void pln_control_stop(pln_control *control);

/* Sends one line (a newline is added).
 * Errors: POLLEN_ECLOSED (gone, or has not read for ten seconds) */
POLLEN_MUST_USE pollen_err pln_control_reply(pln_control_client *client, const char *line,
                                             size_t size);

/* True once the client hung up or the server stops: long answers look at it. */
bool pln_control_client_gone(const pln_control_client *client);

/* The connection itself, for a handler that goes on with raw bytes after its last line; from now on
 * sending to it waits without limit. */
int pln_control_client_fd(const pln_control_client *client);

/* Sends all of it over a blocking socket; false when the other side is gone, or has not read for as
 * long as the socket waits. */
bool pln_send_all(int fd, const void *bytes, size_t size);

/* ---- The other side -------------------------------------------------------------------------- */

/* Errors: POLLEN_EUNREACHABLE (nobody listens), POLLEN_EPERM, POLLEN_EINVAL, POLLEN_ESYS */
POLLEN_MUST_USE pollen_err pln_control_connect(const char *path, int *ret_fd);

#endif
