/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon says of itself and its peers: pollen.status/1 and pollen.info/1. */
#ifndef PLN_CMD_STATUS_H
#define PLN_CMD_STATUS_H

#include <jansson.h>

#include "base/time.h"
#include "pln/daemon.h"
#include "pln/known.h"

/* Owner: new references; NULL when there is no memory or the mesh closed. */
json_t *pln_status_json(pln_daemon *daemon, pollen_mesh *mesh, bool with_revoked);
json_t *pln_self_json(pln_daemon *daemon, pollen_mesh *mesh);
json_t *pln_peer_json(pollen_mesh *mesh, const pln_known_peer *known, pln_now now);
json_t *pln_info_json(pln_daemon *daemon, pollen_mesh *mesh);

/* The kind of way a session takes: "direct" or "punched", which is through a hole. */
const char *pln_path_name(const pollen_session_info *info);

/* "ok", "renewing", "expiring_soon", "expired". */
const char *pln_cert_health(const pollen_cert_info *cert, pln_wall now);

/* Owner: a new reference; null for port 0. */
json_t *pln_json_addr(const pollen_addr *addr);

#endif
