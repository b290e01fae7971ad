/* SPDX-License-Identifier: Apache-2.0 */
#include "node/cluster.h"

#include "base/assert.h"
#include "base/key.h"
#include "node/gossip.h"

/* What we publish may be acted upon at once: closing sessions is for it as for what was heard. */
static pollen_err publish(pln_node *node, pln_state *state, const pollen_key *subject,
                          pln_now now) {
    const pln_credentials *creds = pln_mesh_credentials(pln_node_mesh(node));
    pln_revocation revocation;
    pollen_err err = pln_revocation_issue(&creds->signer, subject, now.wall, &revocation);
    if (err != POLLEN_OK) {
        return err;
    }
    err = pln_state_publish_revocation(state, &revocation);
    pln_revocation_fini(&revocation);
    pln_node_state_changed(node);
    return err;
}

pollen_err pln_node_revoke(pln_node *node, const pollen_key *subject, pln_now now) {
    const pln_credentials *creds = pln_mesh_credentials(pln_node_mesh(node));
    pln_state *state = pln_node_change_state(node, now);
    if (state == NULL) {
        return POLLEN_ENOTSUP;
    }
    if (!creds->enrolled) {
        return POLLEN_ENOTENROLLED;
    }
    if (!creds->has_signer || !creds->signer.is_root) {
        return POLLEN_EPERM;
    }
    /* Certificates are asked for their issuer too, so without the root nobody would be a member. */
    if (pln_key_equal(subject, &creds->key) || pln_key_equal(subject, &creds->trust.root_pub)) {
        return POLLEN_EINVAL;
    }
    return publish(node, state, subject, now);
}

pollen_err pln_node_set_service(pln_node *node, const char *name, uint16_t port, pln_now now) {
    pln_state *state = pln_node_change_state(node, now);
    if (state == NULL) {
        return POLLEN_ENOTSUP;
    }
    const pollen_err err = pln_state_set_service(state, name, port);
    pln_node_state_changed(node);
    return err;
}

pollen_err pln_node_remove_service(pln_node *node, const char *name, pln_now now) {
    pln_state *state = pln_node_change_state(node, now);
    if (state == NULL) {
        return POLLEN_ENOTSUP;
    }
    /* What no service can be called is no service's name. */
    const pollen_err err = pln_state_remove_service(state, name);
    pln_node_state_changed(node);
    return err == POLLEN_EINVAL ? POLLEN_OK : err;
}

pollen_err pln_node_set_connection(pln_node *node, const pln_saved_connection *connection, bool on,
                                   pln_now now) {
    pln_state *state = pln_node_change_state(node, now);
    return state == NULL ? POLLEN_ENOTSUP : pln_state_set_connection(state, connection, on);
}

/* ---- On disk --------------------------------------------------------------------------------- */

pollen_err pln_node_load_state(pln_node *node, const pln_saved_state *saved, pln_now now,
                               pln_state_loaded *ret) {
    pln_state *state = pln_node_change_state(node, now);
    if (state == NULL) {
        return POLLEN_ENOTSUP;
    }
    const pollen_err err = pln_state_load(state, saved, ret);
    pln_node_state_changed(node);
    return err;
}

pln_state_urgency pln_node_save_urgency(const pln_node *node) {
    const pln_state *state = pln_node_state(node);
    return state == NULL ? PLN_STATE_SAVED : pln_state_save_urgency(state);
}

pollen_err pln_node_take_state(pln_node *node, pln_saved_state *ret,
                               pln_state_urgency *ret_urgency) {
    pln_gossip *gossip = pln_node_gossip(node);
    PLN_ASSERT(gossip != NULL);
    const pollen_err err = pln_state_save(gossip->state, ret);
    if (err == POLLEN_OK) {
        *ret_urgency = pln_state_save_urgency(gossip->state);
        pln_state_note_saved(gossip->state);
    }
    return err;
}

void pln_node_state_written(pln_node *node, pln_state_urgency urgency, pollen_err err,
                            pln_now now) {
    pln_state *state = pln_node_change_state(node, now);
    pln_gossip *gossip = pln_node_gossip(node);
    PLN_ASSERT(gossip != NULL);
    if (err != POLLEN_OK) {
        pln_state_note_save_failed(state, urgency);
    }
    pln_gossip_saved(gossip, err);
    pln_node_state_changed(node);
}
