/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/key.h"
#include "node/core.h"

/* How long the other one is let to begin: as long as news of us takes to it, and a handshake. */
#define COURTESY PLN_MS(500)

/* ---- What gossip tells ----------------------------------------------------------------------- */

/* Whoever told us of the member tells the member of us.  Of two sessions the one that the smaller
 * key began would stay, so the other is not begun: half of all handshakes, when many start at once.
 * A node without a session nobody speaks of; and among few a second handshake costs less than the
 * delay. */
static pln_dur courtesy(const pln_node *node, const pollen_key *member) {
    const bool is_told_of = pln_mesh_session_count(node->mesh) > 0;
    const bool is_crowd = pln_state_member_count(node->gossip.state) > PLN_GOSSIP_FEW_SESSIONS;
    return is_told_of && is_crowd && pln_key_compare(member, &node->self) < 0 ? COURTESY : 0;
}

static void discover(pln_node *node, const pollen_key *member) {
    pollen_addr addrs[POLLEN_PEER_ADDRS_MAX];
    const size_t count = pln_state_addrs(node->gossip.state, member, addrs, POLLEN_PEER_ADDRS_MAX);
    if (count > 0) {
        pln_node_step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_DISCOVER,
                                                 .peer = *member,
                                                 .addrs = addrs,
                                                 .addr_count = count,
                                                 .not_before_ns = pln_ts_add(
                                                     node->now.mono, courtesy(node, member))});
    }
}

/* A revoked peer is not dialled again, not even one that the configuration names. */
static void handle_revoked(pln_node *node, const pollen_key *subject) {
    pln_mesh_handle_revoked(node->mesh, subject, node->now);
    pln_punching_forget(&node->punching, subject, node->now);
    pln_node_step(node, &(pollen_peer_input){
                            .kind = POLLEN_PEER_INPUT_FORGET, .peer = *subject, .permanent = true});
}

static void hear(pln_node *node) {
    PLN_ASSERT(node->gossips);
    pln_state_event event;
    bool news = false;
    while (pln_state_poll_event(node->gossip.state, &event)) {
        news = true;
        switch (event.kind) {
        case PLN_STATE_MEMBER_CHANGED:
            discover(node, &event.key);
            break;
        case PLN_STATE_MEMBER_GONE:
            pln_node_step(
                node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_FORGET, .peer = event.key});
            break;
        case PLN_STATE_REVOKED:
            handle_revoked(node, &event.key);
            break;
        case PLN_STATE_SERVICE_CHANGED:
            break;
        }
    }
    if (news) {
        pln_gossip_hurry(&node->gossip, node->now);
    }
}

void pln_node_run_gossip(pln_node *node) {
    if (node->gossips && !pln_gossip_is_held(&node->gossip, node->now)) {
        hear(node);
        pln_gossip_broadcast(&node->gossip, node->now);
    }
}

/* ---- What we tell ---------------------------------------------------------------------------- */

pollen_err pln_node_tell_outside(pln_node *node) {
    if (!node->gossips) {
        return POLLEN_OK;
    }
    pollen_addr addrs[PLN_STATE_OWN_IPS_MAX];
    uint16_t external_port;
    const pln_outside *outside = &node->punching.outside;
    const size_t count = pln_outside_addrs(outside, addrs, PLN_STATE_OWN_IPS_MAX, &external_port);
    char texts[PLN_STATE_OWN_IPS_MAX][POLLEN_ADDR_TEXT_BYTES];
    const char *ips[PLN_STATE_OWN_IPS_MAX];
    PLN_ASSERT(count <= PLN_STATE_OWN_IPS_MAX);
    for (size_t i = 0; i < count; i++) {
        ips[i] = pln_addr_format_ip(&addrs[i], texts[i]);
    }
    pollen_err err = pln_state_set_network(node->gossip.state, ips, count, outside->port);
    if (err == POLLEN_OK) {
        err = pln_state_set_external_port(node->gossip.state, external_port);
    }
    if (err == POLLEN_OK) {
        err = pln_state_set_public(node->gossip.state,
                                   outside->verdict.mapping == POLLEN_NAT_MAPPING_NONE);
    }
    return err;
}

pollen_err pln_node_advertise(pln_node *node, const pollen_addr *addrs, size_t count, uint16_t port,
                              pln_now now) {
    pln_node_set_now(node, now);
    (void)pln_punching_set_locals(&node->punching, addrs, count, port, now);
    const pollen_err err = pln_node_tell_outside(node);
    pln_node_run_gossip(node);
    return err;
}

pollen_err pln_node_set_mapped(pln_node *node, const pollen_addr *addr, pln_now now) {
    pln_node_set_now(node, now);
    if (!pln_punching_set_mapped(&node->punching, addr, now)) {
        return POLLEN_OK;
    }
    const pollen_err err = pln_node_tell_outside(node);
    pln_node_run_gossip(node);
    return err;
}

/* ---- The state ------------------------------------------------------------------------------- */

const pln_state *pln_node_state(const pln_node *node) {
    return node->gossip.state;
}

pln_gossip *pln_node_gossip(pln_node *node) {
    return node->gossips ? &node->gossip : NULL;
}

pln_state *pln_node_change_state(pln_node *node, pln_now now) {
    pln_node_set_now(node, now);
    return node->gossip.state;
}

void pln_node_state_changed(pln_node *node) {
    pln_node_run_gossip(node);
    pln_node_run_store(node);
}
