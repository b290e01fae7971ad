/* SPDX-License-Identifier: Apache-2.0 */
/* Revoking a member, at the daemon. */
#include <stdio.h>

#include "pln/handler.h"
#include "run/admission.h"

enum { MESSAGE_BYTES = 256 };

static bool is_root(pollen_mesh *mesh) {
    pollen_credentials *credentials = NULL;
    bool root = false;
    if (pollen_mesh_credentials(mesh, &credentials) == POLLEN_OK) {
        const pln_credentials *creds = pln_credentials_of(credentials);
        root = creds->has_signer && creds->signer.is_root;
    }
    pollen_credentials_destroy(credentials);
    return root;
}

static json_t *answer(const pollen_key *peer, bool revoked) {
    char id[POLLEN_KEY_HEX_BYTES];
    return json_pack("{s:s, s:s, s:b}", "schema", "pollen.revoke/1", "peer",
                     pollen_key_hex(peer, id), "revoked", revoked ? 1 : 0);
}

/* Whoever is not sure gets the whole id, and all refusals, before anything is done. */
void pln_handle_revoke(pln_daemon *daemon, pollen_mesh *mesh, pln_control_client *client,
                       const pln_request *request) {
    pollen_key peer;
    char id[POLLEN_KEY_HEX_BYTES];
    if (!is_root(mesh)) {
        pln_reply_error(client, PLN_EXIT_PERM, "run this on the node that made the cluster",
                        "revoke: only the node with the cluster's root key can revoke");
        return;
    }
    if (!pln_find_peer(mesh, client, request, &peer)) {
        return;
    }
    if (!request->sure) {
        pln_reply(client, answer(&peer, false));
        return;
    }
    const pollen_err err = pollen_mesh_revoke(mesh, &peer);
    if (err != POLLEN_OK) {
        pln_reply_err(client, err, "revoke");
        return;
    }
    pln_logfile_printf(&daemon->log, PLN_LOG_INFO, "peer %s revoked", pollen_key_hex(&peer, id));
    pln_reply(client, answer(&peer, true));
}
