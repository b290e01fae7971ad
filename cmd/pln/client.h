/* SPDX-License-Identifier: Apache-2.0 */
/* Asking the daemon.  Every function reports its own error. */
#ifndef PLN_CMD_CLIENT_H
#define PLN_CMD_CLIENT_H

#include <jansson.h>

#include "pln/cli.h"
#include "pln/request.h"

typedef struct pln_client pln_client;

/*
 * Connects and sends the request.
 *
 * Owner:  ret_client is the caller's: pln_client_close().
 * Exits:  UNREACHABLE (no daemon), PERM, USAGE, FAIL
 */
POLLEN_MUST_USE pln_exit pln_client_open(pln_cli *cli, const pln_request *request,
                                         pln_client **ret_client);

/*
 * Waits for the next line, as long as the daemon lives and no signal comes.
 *
 * Owner:  ret_object is a new reference; NULL at the end of the answer.
 * Exits:  INT when the stopper fired, those of the pollen.error/1 that the daemon sent, FAIL
 */
POLLEN_MUST_USE pln_exit pln_client_next(pln_cli *cli, pln_client *client, json_t **ret_object);

/* Lines that come after this are late: TIMEOUT. */
void pln_client_limit(pln_client *client, int timeout_ms);

/* Open, the one line of the answer, close.  FAIL when there is none, TIMEOUT after ten seconds, or
 * timeout_ms. */
POLLEN_MUST_USE pln_exit pln_client_ask(pln_cli *cli, const pln_request *request,
                                        json_t **ret_object);
POLLEN_MUST_USE pln_exit pln_client_ask_within(pln_cli *cli, const pln_request *request,
                                               int timeout_ms, json_t **ret_object);

/* Asks, and shows the answer: the line as it is with --json, else as the verb prints it. */
typedef void (*pln_client_print)(const pln_cli *cli, const pln_request *request,
                                 const json_t *object);
POLLEN_MUST_USE pln_exit pln_client_show(pln_cli *cli, const pln_request *request,
                                         pln_client_print print);

/* Is there a daemon?  Reports nothing. */
bool pln_client_is_up(pln_cli *cli);

/* The connection, and bytes that came behind the last line (up to cap; returns how many). */
int pln_client_fd(const pln_client *client);
size_t pln_client_take_rest(pln_client *client, void *bytes, size_t cap);

void pln_client_close(pln_client *client); /* Accepts NULL. */

#endif
