/* SPDX-License-Identifier: Apache-2.0 */
/* What the handlers of control requests share; all of it runs on the thread of the client. */
#ifndef PLN_CMD_HANDLER_H
#define PLN_CMD_HANDLER_H

#include <jansson.h>
#include <stdbool.h>

#include "pln/daemon.h"
#include "pln/request.h"

/* One line.  Owner: takes the reference.  False: the client is gone, or there is no memory. */
bool pln_reply(pln_control_client *client, json_t *object);

/* pollen.error/1; hint may be NULL. */
void pln_reply_error(pln_control_client *client, pln_exit code, const char *hint,
                     const char *message);

/* The same as `what: why`, with the exit code of err. */
void pln_reply_err(pln_control_client *client, pollen_err err, const char *what);

/* Nobody waits for an answer any more, or the mesh is to be left: what takes long looks at it. */
bool pln_is_leaving(pln_daemon *daemon, pln_control_client *client);

/* The peer that request->peer means; false when it is not exactly one, which the client was told
 * then. */
bool pln_find_peer(pollen_mesh *mesh, pln_control_client *client, const pln_request *request,
                   pollen_key *ret);
/* The same, for what needs a session: refuses who is revoked, too. */
bool pln_find_partner(pollen_mesh *mesh, pln_control_client *client, const pln_request *request,
                      pollen_key *ret);

/* Answers the request, between pln_daemon_enter() and pln_daemon_leave(). */
typedef void pln_handler(pln_daemon *daemon, pollen_mesh *mesh, pln_control_client *client,
                         const pln_request *request);

/* Those in files of their own. */
pln_handler pln_handle_bench;
pln_handler pln_handle_connect;
pln_handler pln_handle_diagnose;
pln_handler pln_handle_disconnect;
pln_handler pln_handle_metrics;
pln_handler pln_handle_netcheck;
pln_handler pln_handle_revoke;
pln_handler pln_handle_serve;
pln_handler pln_handle_unserve;

#endif
