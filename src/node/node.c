/* SPDX-License-Identifier: Apache-2.0 */
#include "node/node.h"

#include "base/assert.h"
#include "base/mem.h"
#include "node/gossip.h"
#include "node/observed.h"
#include "node/punch.h"
#include "node/send.h"
#include "peer/store.h"
#include "wire/envelope.h"

/* Attempts count from 1 and would need centuries to reach the bits that mark an op as ours. */
#define OP_PROBE (1ull << 62)
#define ATTEMPT_OF(op) (((op)&OP_PROBE) != 0 ? 0 : (op) & ~PLN_OP_NODE)

/* A cut that healed is noticed at several of its ends at once: one retry of all that is lost is
 * enough. */
#define REOPENED_INTERVAL PLN_S(10)

/* As long as an attempt may take.  Meanwhile others start beside it. */
#define PROBE_TIMEOUT PLN_S(5)

/* A handshake without a NAT in between is over by then. */
#define NAT_PATIENCE PLN_MS(100)

/* How long the other one is let to begin: as long as news of us takes to it, and a handshake. */
#define COURTESY PLN_MS(500)

struct pln_node {
    pln_mesh *mesh;
    pollen_peer_store *store;
    pollen_key self;
    bool keep_peers;
    bool gossips;
    pln_gossip gossip;                                    /* Zero unless gossips. */
    bool (*is_revoked)(void *ctx, const pollen_key *key); /* The owner's own judgement. */
    void *is_revoked_ctx;
    pln_rng rng;
    const pln_log *log;
    pln_observed_list observed;
    uint64_t last_probe;
    pln_punching punching;
    pln_ts reopened_from; /* When a way that opens again is next taken for a cut that healed. */
    pln_now now; /* Of the input that is being worked on: events are handled at its time. */
};

/* ---- Life ------------------------------------------------------------------------------------ */

static void draw(void *context, uint8_t *bytes, size_t count) {
    const pln_rng *rng = context;
    pln_rng_fill(rng, bytes, count);
}

static pollen_err create_store(pln_node *node, const pln_node_config *config) {
    pollen_peer_store_config store;
    pollen_peer_store_config_init(&store);
    store.random = draw;
    store.random_context = &node->rng;
    if (config->no_jitter) {
        store.jitter_percent = 0;
    }
    const pollen_err err = pollen_peer_store_create(&store, &node->store);
    if (err == POLLEN_OK) {
        pln_peer_store_set_log(node->store, node->log);
    }
    return err;
}

/* What gossip told, or what the owner says. */
static bool is_revoked(void *ctx, const pollen_key *key) {
    const pln_node *node = ctx;
    return (node->gossip.state != NULL && pln_state_is_revoked(node->gossip.state, key)) ||
           (node->is_revoked != NULL && node->is_revoked(node->is_revoked_ctx, key));
}

static pollen_err create_mesh(pln_node *node, const pln_node_config *config, pln_now now) {
    pln_mesh_config mesh = config->mesh;
    node->is_revoked = mesh.is_revoked;
    node->is_revoked_ctx = mesh.is_revoked_ctx;
    mesh.is_revoked = is_revoked;
    mesh.is_revoked_ctx = node;
    pollen_err err = pln_mesh_create(&mesh, now, &node->mesh);
    node->gossips = config->gossip;
    if (err == POLLEN_OK && config->gossip) {
        err = pln_gossip_init(&node->gossip, node->mesh, &node->rng, node->log);
    }
    if (err == POLLEN_OK) {
        err = pln_punching_init(&node->punching, node->mesh, node->gossip.state, config);
    }
    return err;
}

pollen_err pln_node_create(const pln_node_config *config, pln_now now, pln_node **ret) {
    pln_node *node = pln_calloc(1, sizeof *node);
    if (node == NULL) {
        return POLLEN_ENOMEM;
    }
    node->self = config->mesh.creds->key;
    node->keep_peers = config->keep_peers;
    node->rng = config->mesh.rng;
    node->log = config->mesh.log;
    node->now = now;
    pollen_err err = create_store(node, config);
    if (err == POLLEN_OK) {
        err = create_mesh(node, config, now);
        node->gossip.saves = config->saves;
    }
    if (err != POLLEN_OK) {
        pln_node_destroy(node);
        return err;
    }
    *ret = node;
    return POLLEN_OK;
}

void pln_node_destroy(pln_node *node) {
    if (node == NULL) {
        return;
    }
    pln_punching_fini(&node->punching);
    pln_mesh_destroy(node->mesh);
    pln_gossip_fini(&node->gossip);
    pollen_peer_store_destroy(node->store);
    pln_free(node);
}

pln_mesh *pln_node_mesh(pln_node *node) {
    return node->mesh;
}

/* ---- The peer store -------------------------------------------------------------------------- */

/* Whatever is said of a revoked peer from now on, and what was under way when the news came, must
 * not bring it back. */
static bool is_too_late(const pln_node *node, const pollen_peer_input *input) {
    return (input->kind == POLLEN_PEER_INPUT_DISCOVER || input->kind == POLLEN_PEER_INPUT_CONNECT ||
            input->kind == POLLEN_PEER_INPUT_RETRY) &&
           node->gossips && pln_state_is_revoked(node->gossip.state, &input->peer);
}

/* A refused input leaves the store as it was: the peer is merely not kept, which the log tells. */
static void step(pln_node *node, const pollen_peer_input *input) {
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

static void fail_attempt(pln_node *node, const pollen_key *peer, uint64_t attempt,
                         pollen_end_reason reason) {
    step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_CONNECT_FAILED,
                                    .peer = *peer,
                                    .attempt = attempt,
                                    .reason = reason});
}

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
    const bool wanted = pln_errands_want(&node->punching.errands, &output->peer, 0, patience,
                                         output->deadline_ns, node->now);
    (void)wanted; /* The dial goes on without. */
}

/* An address of its NAT rather than of the peer. */
static bool is_of_nat(const pollen_addr *addr) {
    return pollen_addr_is_ipv4(addr) && !pln_addr_is_private(addr) && !pln_addr_is_shared(addr) &&
           !pln_addr_is_link_local(addr) && !pln_addr_is_loopback(addr);
}

/*
 * What comes to some NATs before the peer has sent in our direction spoils it for both: the flow
 * that it leaves there takes the peer's port, and the peer is moved to another one, for us and for
 * everybody it talks to afterwards.  So the first attempt leaves the NAT's address to the punch,
 * which opens the way from inside, if there is anybody who could see to one.
 */
static bool leaves_nat_to_punch(const pln_node *node, const pollen_key *peer) {
    pollen_peer info;
    return is_behind_nat(node, peer) &&
           pollen_peer_store_find(node->store, peer, &info) == POLLEN_OK &&
           info.stage_attempts == 0 && pln_errands_can_ask(&node->punching.errands, peer);
}

static size_t paths_to(const pollen_addr *addrs, size_t addr_count, bool without_nat,
                       pln_path paths[POLLEN_PEER_ADDRS_MAX]) {
    size_t count = 0;
    for (size_t i = 0; i < addr_count; i++) {
        if (pln_addr_is_sendable(&addrs[i]) && !(without_nat && is_of_nat(&addrs[i]))) {
            paths[count++] = (pln_path){.via = PLN_VIA_MAIN, .remote = addrs[i]};
        }
    }
    return count;
}

static void request_punch(pln_node *node, const pollen_peer_output *output) {
    if (!pln_errands_want(&node->punching.errands, &output->peer, output->attempt, 0,
                          output->deadline_ns, node->now)) {
        fail_attempt(node, &output->peer, output->attempt, POLLEN_END_NONE);
    }
}

static void dial(pln_node *node, const pollen_peer_output *output, const pollen_addr *addrs,
                 size_t addr_count, bool without_nat) {
    pln_path paths[POLLEN_PEER_ADDRS_MAX];
    const size_t count = paths_to(addrs, addr_count, without_nat, paths);
    if (count == 0 && without_nat) {
        request_punch(node, output);
        return;
    }
    accompany(node, output);
    if (count == 0) {
        fail_attempt(node, &output->peer, output->attempt, POLLEN_END_NONE);
        return;
    }
    pln_mesh_connect(node->mesh, PLN_OP_NODE | output->attempt, &output->peer, paths, count,
                     output->deadline_ns, node->now);
}

static void probe(pln_node *node, const pollen_peer_output *output) {
    pln_path paths[POLLEN_PEER_ADDRS_MAX];
    const size_t count = paths_to(output->addrs, output->addr_count, false, paths);
    if (count > 0) {
        pln_mesh_connect_again(node->mesh, PLN_OP_NODE | OP_PROBE | ++node->last_probe,
                               &output->peer, paths, count,
                               pln_ts_add(node->now.mono, PROBE_TIMEOUT), node->now);
    }
}

static void carry_out(pln_node *node, const pollen_peer_output *output) {
    switch (output->kind) {
    case POLLEN_PEER_OUTPUT_CONNECTED:
        return;
    case POLLEN_PEER_OUTPUT_ATTEMPT_CONNECT:
        dial(node, output, output->addrs, output->addr_count,
             leaves_nat_to_punch(node, &output->peer));
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

static void run_store(pln_node *node) {
    pollen_peer_output output;
    while (pollen_peer_store_poll_output(node->store, &output)) {
        carry_out(node, &output);
    }
}

/* After anything that may have ended a punch. */
static void run_punching(pln_node *node) {
    pln_punch_failure failure;
    while (pln_errands_poll_failure(&node->punching.errands, &failure)) {
        fail_attempt(node, &failure.peer, failure.attempt, POLLEN_END_NONE);
    }
}

static void tick(pln_node *node) {
    if (pln_ts_reached(pollen_peer_store_next_expiry(node->store), node->now.mono)) {
        step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_TICK});
    }
    run_store(node);
}

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
        step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_DISCOVER,
                                        .peer = *member,
                                        .addrs = addrs,
                                        .addr_count = count,
                                        .not_before_ns =
                                            pln_ts_add(node->now.mono, courtesy(node, member))});
    }
}

/* A revoked peer is not dialled again, not even one that the configuration names. */
static void handle_revoked(pln_node *node, const pollen_key *subject) {
    pln_mesh_handle_revoked(node->mesh, subject, node->now);
    pln_punching_forget(&node->punching, subject, node->now);
    step(node, &(pollen_peer_input){
                   .kind = POLLEN_PEER_INPUT_FORGET, .peer = *subject, .permanent = true});
}

static void hear(pln_node *node) {
    pln_state_event event;
    bool news = false;
    while (pln_state_poll_event(node->gossip.state, &event)) {
        news = true;
        switch (event.kind) {
        case PLN_STATE_MEMBER_CHANGED:
            discover(node, &event.key);
            break;
        case PLN_STATE_MEMBER_GONE:
            step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_FORGET, .peer = event.key});
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

/* After anything that gossip may have learnt from, or has to tell. */
static void run_gossip(pln_node *node) {
    if (node->gossips && !pln_gossip_is_held(&node->gossip, node->now)) {
        hear(node);
        pln_gossip_broadcast(&node->gossip, node->now);
    }
}

/* ---- What the mesh reports ------------------------------------------------------------------- */

/* The reference waits for this once per connection to learn its own external port. */
static void tell_observed(pln_node *node, const pollen_key *peer, const pollen_addr *addr) {
    pln_bytes envelope = {0};
    if (pln_observed_address_encode(addr, &envelope) != POLLEN_OK) {
        return;
    }
    (void)pln_node_send(node->mesh, peer, &envelope, node->now); /* It may be lost anyway. */
    pln_bytes_fini(&envelope);
}

/* What did not work from where we were, or seemed to be, may work now.  Only for those that are
 * known to be real: whoever is retried goes before the others. */
static void retry_lost(pln_node *node) {
    pollen_peer peer;
    for (size_t i = 0; pollen_peer_store_at(node->store, i, &peer) == POLLEN_OK; i++) {
        const bool real = peer.permanent || peer.generation != 0;
        if (real && peer.state != POLLEN_PEER_CONNECTED && peer.refusals == 0) {
            step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_RETRY, .peer = peer.key});
        }
    }
}

/* A way that was given up is open again: others may be as well, because a cut that healed shows
 * first at one of its many ends. */
static void handle_reopened(pln_node *node) {
    if (pln_ts_reached(node->reopened_from, node->now.mono)) {
        node->reopened_from = pln_ts_add(node->now.mono, REOPENED_INTERVAL);
        retry_lost(node);
    }
}

static bool is_given_up(const pln_node *node, const pollen_key *key) {
    pollen_peer peer;
    return pollen_peer_store_find(node->store, key, &peer) == POLLEN_OK &&
           peer.unreachable_cycles > 0;
}

static void handle_connected(pln_node *node, const pln_mesh_event *event) {
    const bool reopened = is_given_up(node, &event->peer);
    step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_CONNECT,
                                    .peer = event->peer,
                                    .addr = event->addr,
                                    .inbound = event->inbound,
                                    .generation = event->generation});
    tell_observed(node, &event->peer, &event->addr);
    if (node->gossips) {
        pln_gossip_connected(&node->gossip, &event->peer, &event->addr, node->now);
    }
    pln_punching_connected(&node->punching, &event->peer, node->now);
    if (reopened) {
        handle_reopened(node);
    }
}

static void handle_disconnected(pln_node *node, const pln_mesh_event *event) {
    step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_DISCONNECTED,
                                    .peer = event->peer,
                                    .generation = event->generation,
                                    .reason = event->reason});
    if (!node->keep_peers) {
        /* Only what was asked for is kept; a permanent peer refuses to be forgotten. */
        step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_FORGET, .peer = event->peer});
    }
    pln_observed_remove(&node->observed, &event->peer);
    pln_punching_disconnected(&node->punching, &event->peer);
    pln_session_info info;
    if (node->gossips && pln_mesh_session_info(node->mesh, &event->peer, &info) != POLLEN_OK) {
        /* Unless another session took its place: that is no news to anybody. */
        pln_gossip_disconnected(&node->gossip, &event->peer);
    }
}

static void handle_path(pln_node *node, const pln_mesh_event *event) {
    step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_MOVED,
                                    .peer = event->peer,
                                    .addr = event->addr,
                                    .generation = event->generation});
    tell_observed(node, &event->peer, &event->addr);
    pln_punching_moved(&node->punching, &event->peer, node->now);
}

/* A dial that found a session standing ends without a CONNECTED of its own, so the store is told of
 * the session here; for a session it knows already that changes nothing. */
static void handle_dialled(pln_node *node, const pln_mesh_event *event) {
    const uint64_t attempt = ATTEMPT_OF(event->op);
    pln_session_info info;
    if (event->err != POLLEN_OK ||
        pln_mesh_session_info(node->mesh, &event->peer, &info) != POLLEN_OK) {
        fail_attempt(node, &event->peer, attempt, event->reason);
        return;
    }
    step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_CONNECT,
                                    .peer = event->peer,
                                    .addr = info.conn.path.remote,
                                    .inbound = info.conn.inbound,
                                    .attempt = attempt,
                                    .generation = info.generation});
}

/* Tells the members where they can try us. */
static pollen_err tell_outside(pln_node *node) {
    if (!node->gossips) {
        return POLLEN_OK;
    }
    pollen_addr addrs[PLN_STATE_OWN_IPS_MAX];
    uint16_t external_port;
    const pln_outside *outside = &node->punching.outside;
    const size_t count = pln_outside_addrs(outside, addrs, PLN_STATE_OWN_IPS_MAX, &external_port);
    char texts[PLN_STATE_OWN_IPS_MAX][POLLEN_ADDR_TEXT_BYTES];
    const char *ips[PLN_STATE_OWN_IPS_MAX];
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

static void observe(pln_node *node, const pollen_key *observer, const pollen_addr *addr) {
    if (!pln_addr_is_sendable(addr)) {
        return;
    }
    pln_observed_add(&node->observed, observer, addr, node->now.mono);
    if (pln_punching_observed(&node->punching, observer, addr, node->now)) {
        const pollen_err err = tell_outside(node);
        (void)err; /* Told with the next change. */
        retry_lost(node);
    }
}

/* A coordinator's trigger says it as well, in case the one message of it was lost. */
static void handle_observed(pln_node *node, const pln_mesh_event *event) {
    const uint8_t *body = event->body->data + event->body->begin;
    const size_t size = pln_chunk_size(event->body);
    pollen_addr addr;
    pln_punch_trigger trigger;
    if (event->envelope == POLLEN_ENVELOPE_OBSERVED_ADDRESS) {
        if (pln_observed_address_decode(body, size, &addr) == POLLEN_OK) {
            observe(node, &event->peer, &addr);
        }
    } else if (pln_punch_trigger_decode(body, size, &trigger) == POLLEN_OK) {
        observe(node, &event->peer, &trigger.self_addr);
    }
}

static bool handle_packet(pln_node *node, const pln_mesh_event *event) {
    if (event->envelope == POLLEN_ENVELOPE_OBSERVED_ADDRESS) {
        handle_observed(node, event);
        return true;
    }
    if (event->envelope == POLLEN_ENVELOPE_PUNCH_TRIGGER) {
        handle_observed(node, event);
    }
    const uint8_t *body = event->body->data + event->body->begin;
    const size_t size = pln_chunk_size(event->body);
    return pln_punching_handle_packet(&node->punching, &event->peer, event->envelope, body, size,
                                      node->now) ||
           (node->gossips && pln_gossip_handle_packet(&node->gossip, &event->peer, event->envelope,
                                                      body, size, node->now));
}

/* Who refused our old certificate may take the new one. */
static void handle_credentials(pln_node *node) {
    if (node->gossips) {
        pln_gossip_credentials_changed(&node->gossip);
    }
    pollen_peer peer;
    for (size_t i = 0; pollen_peer_store_at(node->store, i, &peer) == POLLEN_OK; i++) {
        if (peer.refusals > 0) {
            step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_RETRY, .peer = peer.key});
        }
    }
}

/* Somebody waits for a peer: it is dialled now, however long it would have been left alone.  While
 * an attempt runs there is nothing to hurry, and who refuses us is not asked more often for it. */
static void handle_wanted(pln_node *node, const pollen_key *key) {
    pollen_peer peer;
    if (pollen_peer_store_find(node->store, key, &peer) == POLLEN_OK && peer.refusals == 0 &&
        (peer.state == POLLEN_PEER_DISCOVERED || peer.state == POLLEN_PEER_UNREACHABLE)) {
        step(node, &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_RETRY, .peer = *key});
    }
}

/* True when the event goes no further up. */
static bool consume(pln_node *node, pln_mesh_event *event) {
    switch (event->kind) {
    case PLN_MESH_CONNECTED:
        handle_connected(node, event);
        return false;
    case PLN_MESH_DISCONNECTED:
        handle_disconnected(node, event);
        return false;
    case PLN_MESH_PATH:
        handle_path(node, event);
        return false;
    case PLN_MESH_OP_DONE:
        if ((event->op & PLN_OP_NODE) == 0) {
            return false;
        }
        if ((event->op & PLN_OP_HOLE) != 0) {
            pln_holes_dialled(&node->punching.holes, event, node->now);
        } else {
            handle_dialled(node, event);
        }
        return true;
    case PLN_MESH_PACKET:
        if (!handle_packet(node, event)) {
            return false;
        }
        pln_chunk_destroy(event->body);
        return true;
    case PLN_MESH_STREAM_ACCEPTED:
    case PLN_MESH_STREAM_READABLE:
    case PLN_MESH_STREAM_WRITABLE:
    case PLN_MESH_STREAM_RESET:
    case PLN_MESH_STREAM_STOPPED:
    case PLN_MESH_STREAM_CLOSED:
    case PLN_MESH_LEDGER_WRITE:
        return false;
    case PLN_MESH_CREDENTIALS_CHANGED:
        handle_credentials(node);
        return false;
    case PLN_MESH_WANTED:
        handle_wanted(node, &event->peer);
        return true;
    }
    return false;
}

/* ---- Input and output ------------------------------------------------------------------------ */

static void set_now(pln_node *node, pln_now now) {
    PLN_ASSERT(now.mono >= node->now.mono);
    node->now = now;
}

void pln_node_handle_datagram(pln_node *node, const pln_datagram *datagram, pln_now now) {
    set_now(node, now);
    if (pln_quic_is_quic(datagram->data, datagram->size)) {
        pln_mesh_handle_datagram(node->mesh, datagram, now);
    } else {
        pln_sock_handle_probe(node->punching.sock, datagram, now.mono);
    }
}

void pln_node_handle_timeout(pln_node *node, pln_now now) {
    set_now(node, now);
    pln_mesh_handle_timeout(node->mesh, now);
    if (node->gossips) {
        pln_gossip_handle_timeout(&node->gossip, now);
        run_gossip(node);
    }
    pln_punching_handle_timeout(&node->punching, now);
    run_punching(node);
    tick(node);
}

bool pln_node_poll_transmit(pln_node *node, uint8_t *buf, pln_transmit *ret, pln_now now) {
    set_now(node, now);
    return pln_sock_poll_transmit(node->punching.sock, buf, ret, now.mono) ||
           pln_mesh_poll_transmit(node->mesh, buf, ret, now);
}

pln_ts pln_node_next_expiry(const pln_node *node) {
    const pln_ts lower =
        pln_ts_min(pln_mesh_next_expiry(node->mesh), pollen_peer_store_next_expiry(node->store));
    const pln_ts next = pln_ts_min(lower, pln_punching_next_expiry(&node->punching));
    return node->gossips ? pln_ts_min(next, pln_gossip_next_expiry(&node->gossip)) : next;
}

bool pln_node_poll_event(pln_node *node, pln_mesh_event *ret) {
    while (pln_mesh_poll_event(node->mesh, ret)) {
        const bool consumed = consume(node, ret);
        run_gossip(node);
        run_punching(node);
        run_store(node);
        if (!consumed) {
            return true;
        }
    }
    return false;
}

bool pln_node_poll_socket(pln_node *node, pln_socket_wish *ret, pln_now now) {
    set_now(node, now);
    const bool wished = pln_punching_poll_socket(&node->punching, ret, now);
    run_punching(node);
    run_store(node);
    return wished;
}

void pln_node_socket_opened(pln_node *node, uint32_t via, uint16_t port, pln_now now) {
    set_now(node, now);
    pln_sock_socket_opened(node->punching.sock, via, port, now.mono);
}

void pln_node_socket_failed(pln_node *node, uint32_t via, pln_now now) {
    set_now(node, now);
    pln_sock_socket_failed(node->punching.sock, via, now.mono);
}

/* ---- Peers ----------------------------------------------------------------------------------- */

pollen_err pln_node_add_bootstrap(pln_node *node, const pollen_key *peer, const pollen_addr *addrs,
                                  size_t addr_count, pln_now now) {
    if (pln_key_equal(peer, &node->self)) {
        return POLLEN_EINVAL;
    }
    if (node->gossips && pln_state_is_revoked(node->gossip.state, peer)) {
        return POLLEN_EREVOKED;
    }
    set_now(node, now);
    return pollen_peer_store_step(node->store, now.mono,
                                  &(pollen_peer_input){.kind = POLLEN_PEER_INPUT_DISCOVER,
                                                       .peer = *peer,
                                                       .addrs = addrs,
                                                       .addr_count = addr_count,
                                                       .permanent = true});
}

pollen_err pln_node_advertise(pln_node *node, const pollen_addr *addrs, size_t count, uint16_t port,
                              pln_now now) {
    set_now(node, now);
    (void)pln_punching_set_locals(&node->punching, addrs, count, port, now);
    const pollen_err err = tell_outside(node);
    run_gossip(node);
    return err;
}

const pln_state *pln_node_state(const pln_node *node) {
    return node->gossip.state;
}

pln_gossip *pln_node_gossip(pln_node *node) {
    return node->gossips ? &node->gossip : NULL;
}

pln_state *pln_node_change_state(pln_node *node, pln_now now) {
    set_now(node, now);
    return node->gossip.state;
}

void pln_node_state_changed(pln_node *node) {
    run_gossip(node);
    run_store(node);
}

size_t pln_node_peer_count(const pln_node *node) {
    return pollen_peer_store_count(node->store);
}

pollen_err pln_node_peer_at(const pln_node *node, size_t index, pollen_peer *ret) {
    return pollen_peer_store_at(node->store, index, ret);
}

pollen_err pln_node_observed_at(const pln_node *node, size_t index, pln_observed *ret) {
    if (index >= node->observed.count) {
        return POLLEN_ENOENT;
    }
    *ret = node->observed.items[index];
    return POLLEN_OK;
}

/* ---- NAT ------------------------------------------------------------------------------------- */

void pln_node_judge_nat(const pln_node *node, pln_ts now, pln_nat_verdict *ret) {
    pln_nat_judge(&node->punching.outside.observations, now, ret);
}

bool pln_node_is_punched(const pln_node *node, const pollen_key *peer) {
    const pln_neighbour *neighbour = pln_neighbours_find(&node->punching.neighbours, peer);
    return neighbour != NULL && neighbour->punched;
}
