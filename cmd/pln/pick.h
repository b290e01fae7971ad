/* SPDX-License-Identifier: Apache-2.0 */
/* Which peer of a pollen.status/1 is meant, for verbs that look at more than the daemon's answer to
 * one request. */
#ifndef PLN_CMD_PICK_H
#define PLN_CMD_PICK_H

#include <jansson.h>

#include "pln/cli.h"

/*
 * Owner: *ret_peer is borrowed from status; NULL when no peer of that id is known (yet).
 * Exits: AMBIGUOUS, USAGE (this node itself); each reports itself
 */
POLLEN_MUST_USE pln_exit pln_pick_peer(const pln_cli *cli, const json_t *status, const char *prefix,
                                       json_t **ret_peer);

bool pln_peer_is_connected(const json_t *peer);

#endif
