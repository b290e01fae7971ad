/* SPDX-License-Identifier: Apache-2.0 */
#include "base/assert.h"
#include "base/key.h"
#include "node/core.h"

/* As long as an attempt may take.  Meanwhile others start beside it. */
#define PROBE_TIMEOUT PLN_S(5)

/* A handshake without a NAT in between is over by then. */
#define NAT_PATIENCE PLN_MS(100)

/* Whatever is said of a revoked peer from now on, and what was under way when the news came, must
 * not bring it back. */
static bool is_too_late(const pln_node *node, const pollen_peer_input *input) {
    return (input->kind == POLLEN_PEER_INPUT_DISCOVER || input->kind == POLLEN_PEER_INPUT_CONNECT ||
            input->kind == POLLEN_PEER_INPUT_RETRY) &&
           node->gossips && pln_state_is_revoked(node->gossip.state, &input->peer);
}

void pln_node_step(pln_node *node, const pollen_peer_input *input) {
    if (is_too_late(node, input)) {
        return;
    }
    const pollen_err err = pollen_peer_store_step(node->store, node->now.mono, input);
    if (err != POLLEN_OK && err != POLLEN_EPERM) {
        char peer[PLN_KEY_SHORT_BYTES];
        pln_logf(node->log, PLN_LOG_WARN, "node", "peer %s: %s: %s",
                 pln_key_short(&input->peer, peer), pollen_peer_input_name(input->kind),
                 pollen_strerror(err));
    }
}

void pln_node_fail_attempt(pln_node *node, const pollen_key *peer, uint64_t attempt,
                           pollen_end_reason reason) {
    pln_node_step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_CONNECT_FAILED,
                                             .peer = *peer,
                                             .attempt = attempt,
                                             .reason = reason});
}

/* ---- Dials ----------------------------------------------------------------------------------- */

/* The peer tells of a port that its NAT gave it, so that dialling it from one side is in vain. */
static bool is_behind_nat(const pln_node *node, const pollen_key *peer) {
    pln_member_info info;
    return node->gossips && pln_state_member(node->gossip.state, peer, &info) == POLLEN_OK &&
           info.external_port != 0 && !info.is_public;
}

/* A direct dial that finds a NAT in its way becomes a simultaneous open: the other end is asked to
 * dial as well, at once where a NAT is known and otherwise when nobody has answered for a while. */
static void accompany(pln_node *node, const pollen_peer_output *output) {
    const pln_dur patience = is_behind_nat(node, &output->peer) ? 0 : NAT_PATIENCE;
    const bool wanted = pln_punching_want(&node->punching, &output->peer, 0, patience,
                                          output->deadline_ns, node->now);
    (void)wanted; /* The dial goes on without. */
}

/* An address of its NAT rather than of the peer. */
static bool is_of_nat(const pollen_addr *addr) {
    return pollen_addr_is_ipv4(addr) && pln_addr_is_global(addr);
}

/*
 * What comes to some NATs before the peer has sent in our direction spoils it for both: the flow
 * that it leaves there takes the peer's port, and the peer is moved to another one, for us and for
 * everybody it talks to afterwards.  So the first attempt leaves the NAT's address to the punch,
 * which opens the way from inside, if there is anybody who could see to one.
 */
static bool leaves_nat_to_punch(const pln_node *node, const pollen_key *peer) {
    return is_behind_nat(node, peer) && pln_errands_can_ask(&node->punching.errands, peer);
}

static bool is_first_attempt(const pln_node *node, const pollen_key *peer) {
    pollen_peer info;
    return pollen_peer_store_find(node->store, peer, &info) == POLLEN_OK &&
           info.stage_attempts == 0;
}

/* A coordinator has introduced us, and what is known of the peer is being tried. */
static bool is_being_punched(const pln_node *node, const pollen_key *peer) {
    const pln_errand *errand = pln_errands_find(&node->punching.errands, peer);
    return errand != NULL && errand->punching;
}

/* On our own machine nobody else is hit. */
static bool may_dial_hearsay(pln_node *node, const pollen_addr *addr) {
    const pln_meters_config config = {.sets = 256,
                                      .interval = PLN_NS_PER_S / PLN_HEARSAY_DIALS_PER_S,
                                      .burst = PLN_HEARSAY_DIALS_BURST};
    pln_meters *meters = pln_meters_obtain(&node->hearsay_dials, config, &node->rng);
    return pln_addr_is_loopback(addr) ||
           (meters != NULL &&
            pln_meters_take(meters, addr->ip, pln_addr_party_bytes(addr), 1, node->now.mono));
}

static size_t paths_to(pln_node *node, const pollen_key *peer, const pollen_addr *addrs,
                       size_t addr_count, bool without_nat, pln_path paths[POLLEN_PEER_ADDRS_MAX]) {
    const bool hearsay = node->gossips && pln_state_is_hearsay(node->gossip.state, peer);
    size_t count = 0;
    PLN_ASSERT(addr_count <= POLLEN_PEER_ADDRS_MAX);
    for (size_t i = 0; i < addr_count; i++) {
        if (pln_addr_is_sendable(&addrs[i]) && !(without_nat && is_of_nat(&addrs[i])) &&
            (!hearsay || may_dial_hearsay(node, &addrs[i]))) {
            paths[count++] = (pln_path){.via = PLN_VIA_MAIN, .remote = addrs[i]};
        }
    }
    return count;
}

static void request_punch(pln_node *node, const pollen_peer_output *output) {
    PLN_ASSERT(output->attempt != 0); /* Which would make it silent. */
    if (!pln_punching_want(&node->punching, &output->peer, output->attempt, 0, output->deadline_ns,
                           node->now)) {
        pln_node_fail_attempt(node, &output->peer, output->attempt, POLLEN_END_NONE);
    }
}

static void dial(pln_node *node, const pollen_peer_output *output, const pollen_addr *addrs,
                 size_t addr_count, bool without_nat) {
    PLN_ASSERT(output->attempt != 0);
    PLN_ASSERT((output->attempt & (PLN_OP_NODE | PLN_OP_PROBE | PLN_OP_HOLE)) == 0);
    pln_path paths[POLLEN_PEER_ADDRS_MAX];
    const size_t count = paths_to(node, &output->peer, addrs, addr_count, without_nat, paths);
    if (count == 0 && without_nat) {
        request_punch(node, output);
        return;
    }
    accompany(node, output);
    if (count == 0) {
        pln_node_fail_attempt(node, &output->peer, output->attempt, POLLEN_END_NONE);
        return;
    }
    pln_mesh_connect(node->mesh, PLN_OP_NODE | output->attempt, &output->peer, paths, count,
                     output->deadline_ns, node->now);
}

/* A direct attempt.  The first one leaves to a punch what that does better. */
static void attempt(pln_node *node, const pollen_peer_output *output) {
    const bool first = is_first_attempt(node, &output->peer);
    if (first && is_being_punched(node, &output->peer)) {
        request_punch(node, output);
        return;
    }
    dial(node, output, output->addrs, output->addr_count,
         first && leaves_nat_to_punch(node, &output->peer));
}

static void probe(pln_node *node, const pollen_peer_output *output) {
    pln_path paths[POLLEN_PEER_ADDRS_MAX];
    const size_t count =
        paths_to(node, &output->peer, output->addrs, output->addr_count, false, paths);
    if (count > 0) {
        pln_mesh_connect_again(node->mesh, PLN_OP_NODE | PLN_OP_PROBE | ++node->last_probe,
                               &output->peer, paths, count,
                               pln_ts_add(node->now.mono, PROBE_TIMEOUT), node->now);
    }
}

/* ---- What the store wants -------------------------------------------------------------------- */

static void carry_out(pln_node *node, const pollen_peer_output *output) {
    switch (output->kind) {
    case POLLEN_PEER_OUTPUT_CONNECTED:
        return;
    case POLLEN_PEER_OUTPUT_ATTEMPT_CONNECT:
        attempt(node, output);
        return;
    case POLLEN_PEER_OUTPUT_ATTEMPT_EAGER_CONNECT:
        dial(node, output, &output->addr, 1, false);
        return;
    case POLLEN_PEER_OUTPUT_REQUEST_PUNCH_COORDINATION:
        request_punch(node, output);
        return;
    case POLLEN_PEER_OUTPUT_PROBE:
        probe(node, output);
        return;
    }
}

void pln_node_run_store(pln_node *node) {
    pollen_peer_output output;
    while (pollen_peer_store_poll_output(node->store, &output)) {
        carry_out(node, &output);
    }
}

void pln_node_run_punching(pln_node *node) {
    pln_punch_failure failure;
    while (pln_errands_poll_failure(&node->punching.errands, &failure)) {
        pln_node_fail_attempt(node, &failure.peer, failure.attempt, POLLEN_END_NONE);
    }
}

void pln_node_tick(pln_node *node) {
    if (pln_ts_reached(pollen_peer_store_next_expiry(node->store), node->now.mono)) {
        pln_node_step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_TICK});
    }
    pln_node_run_store(node);
}
