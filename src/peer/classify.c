/* SPDX-License-Identifier: Apache-2.0 */
/* What an input means.  Nothing here changes anything. */
#include "base/assert.h"
#include "base/limits.h"
#include "peer/backoff.h"
#include "peer/store.h"

_Static_assert(POLLEN_PEER_ADDRS_MAX == PLN_ADDRS_MAX, "one number, two names");

size_t pln_peer_input_addrs(const pollen_peer_input *input) {
    return input->addr_count < PLN_ADDRS_MAX ? input->addr_count : PLN_ADDRS_MAX;
}

pollen_addr pln_peer_resolve(const pln_peer *peer, const pollen_peer_input *input,
                             const pollen_addr *addr) {
    pollen_addr resolved = *addr;
    if (resolved.port == 0) {
        resolved.port = input->port;
    }
    if (resolved.port == 0 && peer != NULL) {
        resolved.port = peer->observed_port;
    }
    return resolved;
}

/* Fewer addresses, or the same in another order, are no reason to expect that a dial will do better
 * than the last one. */
static bool has_new_addr(const pln_peer *peer, const pollen_peer_input *input) {
    if (input->addr.port != 0 && !pollen_addr_equal(&input->addr, &peer->last_addr)) {
        return true;
    }
    for (size_t i = 0; i < pln_peer_input_addrs(input); i++) {
        pollen_addr addr = pln_peer_resolve(peer, input, &input->addrs[i]);
        if (!pln_addr_list_has(&peer->learnt, &addr) &&
            !pln_addr_list_has(&peer->configured, &addr)) {
            return true;
        }
    }
    return false;
}

/* A session is a fact, whichever attempt led to it, so its generation decides when there is one.
 * The same generation again is an echo: it was announced already, or has ended. */
static bool is_late_connect(const pln_peer *peer, const pollen_peer_input *input) {
    if (input->generation != 0) {
        return peer != NULL && input->generation <= peer->generation;
    }
    return input->attempt != 0 && (peer == NULL || input->attempt != peer->attempt);
}

static bool is_late_end(const pln_peer *peer, const pollen_peer_input *input) {
    if (peer == NULL || input->generation == 0) {
        return false;
    }
    return input->generation < peer->generation ||
           (input->generation == peer->generation && peer->ended);
}

static bool is_other_session(const pln_peer *peer, const pollen_peer_input *input) {
    return peer != NULL && input->generation != 0 && input->generation != peer->generation;
}

/* A session that ends with its certificate is worth another try soon; a handshake that fails for it
 * will fail until somebody renews. */
static bool is_refusal_of_dial(pollen_end_reason reason) {
    return pln_reason_is_refusal(reason) || reason == POLLEN_END_CERT_EXPIRED;
}

pln_peer_event pln_peer_classify_failure(const pln_peer *peer, pollen_end_reason reason) {
    PLN_ASSERT(peer->state == POLLEN_PEER_CONNECTING);

    if (is_refusal_of_dial(reason)) {
        return PLN_PEER_EV_REFUSED;
    }
    if (peer->hurried) {
        return PLN_PEER_EV_FAILED_HURRIED;
    }
    pln_peer_stage stage = peer->stage;
    return pln_peer_stage_escalate(&stage) ? PLN_PEER_EV_FAILED : PLN_PEER_EV_EXHAUSTED;
}

static bool is_current_attempt(const pln_peer *peer, const pollen_peer_input *input) {
    return peer != NULL && peer->state == POLLEN_PEER_CONNECTING && input->attempt == peer->attempt;
}

/* The first one says it all: the others were under way. */
static bool is_refused_probe(const pln_peer *peer, const pollen_peer_input *input) {
    return peer != NULL && input->attempt == 0 && peer->probed && peer->refusals == 0 &&
           peer->state != POLLEN_PEER_CONNECTED && is_refusal_of_dial(input->reason);
}

static pln_peer_event classify_failed(const pln_peer *peer, const pollen_peer_input *input) {
    if (is_refused_probe(peer, input)) {
        return PLN_PEER_EV_REFUSED;
    }
    return is_current_attempt(peer, input) ? pln_peer_classify_failure(peer, input->reason)
                                           : PLN_PEER_EV_LATE;
}

pln_peer_event pln_peer_classify(const pln_peer *peer, const pollen_peer_input *input) {
    PLN_ASSERT(input->kind != POLLEN_PEER_INPUT_TICK); /* It is about no peer. */
    switch (input->kind) {
    case POLLEN_PEER_INPUT_DISCOVER:
        return peer != NULL && !peer->refused && has_new_addr(peer, input)
                   ? PLN_PEER_EV_DISCOVER_NEW
                   : PLN_PEER_EV_DISCOVER;
    case POLLEN_PEER_INPUT_CONNECT:
        return is_late_connect(peer, input) ? PLN_PEER_EV_LATE : PLN_PEER_EV_CONNECT;
    case POLLEN_PEER_INPUT_CONNECT_FAILED:
        return classify_failed(peer, input);
    case POLLEN_PEER_INPUT_DISCONNECTED:
        return is_late_end(peer, input) ? PLN_PEER_EV_LATE : PLN_PEER_EV_LOST;
    case POLLEN_PEER_INPUT_RETRY:
        return PLN_PEER_EV_RETRY;
    case POLLEN_PEER_INPUT_FORGET:
        return PLN_PEER_EV_FORGET;
    case POLLEN_PEER_INPUT_MOVED:
        return is_other_session(peer, input) ? PLN_PEER_EV_LATE : PLN_PEER_EV_MOVED;
    case POLLEN_PEER_INPUT_TICK:
        break;
    }
    return PLN_PEER_EV_LATE;
}
