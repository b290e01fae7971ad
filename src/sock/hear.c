/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What comes in.  A response counts only from the peer's address and with our nonce; a request from
 * where a punch aims is answered and returned, any other only within a small allowance.  Nothing
 * that comes in causes more than it brought, apart from the few requests of our own that a new
 * source of the peer's gets; and since a response causes nothing, whatever is fed back dies out.
 */
#include <string.h>

#include "base/assert.h"
#include "sock/internal.h"

/* ---- Answers --------------------------------------------------------------------------------- */

static bool answer(pln_sock *sock, const pln_datagram *datagram, const pln_probe *probe) {
    if (sock->answer_count == PLN_PROBE_ANSWERS_WAITING_MAX) {
        return false;
    }
    size_t index = (sock->answer_first + sock->answer_count) % PLN_PROBE_ANSWERS_WAITING_MAX;
    sock->answers[index] = (sock_answer){.path = datagram->path, .local = datagram->local};
    memcpy(sock->answers[index].nonce, probe->nonce, sizeof(probe->nonce));
    sock->answer_count++;
    return true;
}

bool pln_sock_answer_transmit(pln_sock *sock, uint8_t *buf, pln_transmit *ret) {
    if (sock->answer_count == 0) {
        return false;
    }
    PLN_ASSERT(sock->answer_count <= PLN_PROBE_ANSWERS_WAITING_MAX);
    PLN_ASSERT(sock->answer_first < PLN_PROBE_ANSWERS_WAITING_MAX);
    const sock_answer *first = &sock->answers[sock->answer_first];
    pln_probe probe = {.kind = PLN_PROBE_RESPONSE};
    memcpy(probe.nonce, first->nonce, sizeof(probe.nonce));
    pln_probe_encode(&probe, buf);
    *ret = (pln_transmit){.path = first->path,
                          .local = first->local,
                          .size = PLN_PROBE_BYTES,
                          .segment = PLN_PROBE_BYTES};
    sock->answer_first = (sock->answer_first + 1) % PLN_PROBE_ANSWERS_WAITING_MAX;
    sock->answer_count--;
    sock->counters.answers_sent++;
    return true;
}

/* ---- Strangers ------------------------------------------------------------------------------- */

static void prefix_of(const pollen_addr *addr, uint8_t *prefix) {
    memset(prefix, 0, sizeof(addr->ip));
    memcpy(prefix, addr->ip, pln_addr_party_bytes(addr));
}

/* The source's entry; the one unseen for longest makes room.  Whoever comes back after that has a
 * full allowance again, which is what the one for all is there for. */
static sock_stranger *find_stranger(pln_sock *sock, const pollen_addr *addr, pln_ts now) {
    uint8_t prefix[16];
    prefix_of(addr, prefix);
    sock_stranger *oldest = &sock->strangers[0];
    for (size_t i = 0; i < PLN_PROBE_STRANGERS_MAX; i++) {
        sock_stranger *stranger = &sock->strangers[i];
        if (memcmp(stranger->prefix, prefix, sizeof(prefix)) == 0) {
            stranger->seen_at = now;
            return stranger;
        }
        if (stranger->seen_at < oldest->seen_at) {
            oldest = stranger;
        }
    }
    *oldest = (sock_stranger){.seen_at = now};
    memcpy(oldest->prefix, prefix, sizeof(prefix));
    return oldest;
}

static void hear_stranger(pln_sock *sock, const pln_datagram *datagram, const pln_probe *probe,
                          pln_ts now) {
    sock_stranger *stranger = find_stranger(sock, &datagram->path.remote, now);
    /* The source's own allowance comes first, so that one alone cannot use up that of all. */
    if (!pln_bucket_take(&stranger->bucket, PLN_PROBE_STRANGER_PER_S, PLN_PROBE_STRANGER_BURST,
                         now) ||
        !pln_bucket_take(&sock->strangers_all, PLN_PROBE_STRANGERS_PER_S, PLN_PROBE_STRANGERS_BURST,
                         now) ||
        !answer(sock, datagram, probe)) {
        sock->counters.strangers_ignored++;
        return;
    }
    sock->counters.strangers_answered++;
}

/* ---- The peer -------------------------------------------------------------------------------- */

static bool is_of_peer(const sock_punch *punch, const pollen_addr *addr) {
    PLN_ASSERT(punch->plan.target_count <= PLN_PUNCH_TARGETS_MAX);
    for (size_t i = 0; i < punch->plan.target_count; i++) {
        if (pln_sock_same_host(&punch->plan.targets[i].addr, addr)) {
            return true;
        }
    }
    return false;
}

/* The peer came from an address that we do not send to yet: it chose another port for us. */
static sock_way *learn(sock_punch *punch, const pln_path *path, pln_ts now) {
    bool on_main = path->via == PLN_VIA_MAIN;
    size_t *learned = on_main ? &punch->learned : &punch->learned_on_sockets;
    size_t most = PLN_PUNCH_LEARNED_SOCKETS_MAX;
    if (on_main) {
        most = pln_nat_is_open(&punch->plan.theirs) ? PLN_PUNCH_LEARNED_MAX
                                                    : PLN_PUNCH_LEARNED_ANY_PORT_MAX;
    }
    if (*learned >= most) { /* More were allowed while less was known of the NAT. */
        return NULL;
    }
    sock_way way = {.via = path->via,
                    .remote = path->remote,
                    .method = pln_sock_punch_method_now(punch),
                    .rhythm = SOCK_RHYTHM_HEARD};
    sock_way *added = pln_sock_way_add(punch, &way, now);
    *learned += added != NULL;
    return added;
}

static void hear_request_of(pln_sock *sock, sock_punch *punch, const pln_path *path, pln_ts now) {
    sock_way *way = pln_sock_way_find(punch, path->via, &path->remote);
    if (way != NULL) {
        pln_sock_way_heard(way, now);
    } else {
        way = learn(punch, path, now);
    }
    if (way != NULL) {
        pln_sock_punch_heard(sock, punch, way, now);
    }
}

/* Punches that the source may belong to: the socket's own, or on the main one all that aim at its
 * IP address, as peers behind one NAT share that. */
static bool concerns(const sock_punch *punch, const sock_via *via, const pollen_addr *source) {
    return !punch->ended && (via == NULL || via->punch == punch) && is_of_peer(punch, source);
}

static void hear_request(pln_sock *sock, sock_via *via, const pln_datagram *datagram,
                         const pln_probe *probe, pln_ts now) {
    sock_punch *answers_for = NULL;
    for (size_t i = 0; i < sock->punch_count; i++) {
        sock_punch *punch = sock->punches[i];
        if (concerns(punch, via, &datagram->path.remote)) {
            hear_request_of(sock, punch, &datagram->path, now);
            answers_for = answers_for == NULL ? punch : answers_for;
        }
    }
    if (answers_for == NULL) {
        hear_stranger(sock, datagram, probe, now);
        return;
    }
    if (via != NULL) {
        via->has_hole = true; /* The answer may be all that the peer needs to dial. */
    }
    if (pln_bucket_take(&answers_for->answers, PLN_PROBE_ANSWERS_PER_S, PLN_PROBE_ANSWERS_BURST,
                        now) &&
        answer(sock, datagram, probe)) {
        answers_for->stats.answers_sent++;
    }
}

/* From where a request went; or from another port of a peer whose NAT may choose one for each
 * destination, so that its answer does not come from where the request went. */
static bool is_expected(pln_sock *sock, sock_punch *punch, const pln_path *path) {
    if (pln_sock_way_find(punch, path->via, &path->remote) != NULL ||
        !pln_nat_is_open(&punch->plan.theirs)) {
        return true;
    }
    return path->via == PLN_VIA_MAIN && pln_sock_same_host(&punch->aim, &path->remote) &&
           pln_ports_is_recent(&sock->memories[punch->memory].ports, path->remote.port,
                               (uint32_t)punch->spray_sent);
}

static void hear_response(pln_sock *sock, const sock_via *via, const pln_path *path,
                          const pln_probe *probe, pln_ts now) {
    for (size_t i = 0; i < sock->punch_count; i++) {
        sock_punch *punch = sock->punches[i];
        const uint8_t *nonce = via == NULL ? punch->nonce : via->nonce;
        if (concerns(punch, via, &path->remote) &&
            memcmp(nonce, probe->nonce, sizeof(probe->nonce)) == 0 &&
            is_expected(sock, punch, path)) {
            pln_sock_punch_hole(sock, punch, path, now);
            return;
        }
    }
}

/* Our own request, which a NAT or a mirror sent back. */
static bool is_our_nonce(const pln_sock *sock, const pln_probe *probe) {
    for (size_t i = 0; i < sock->punch_count; i++) {
        if (memcmp(sock->punches[i]->nonce, probe->nonce, sizeof(probe->nonce)) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < sock->via_count; i++) {
        if (memcmp(sock->vias[i].nonce, probe->nonce, sizeof(probe->nonce)) == 0) {
            return true;
        }
    }
    return false;
}

void pln_sock_handle_probe(pln_sock *sock, const pln_datagram *datagram, pln_ts now) {
    pln_probe probe;
    sock->counters.probes_in++;
    if (!pln_probe_decode(datagram->data, datagram->size, &probe) ||
        !pln_addr_is_sendable(&datagram->path.remote)) {
        return;
    }
    sock_via *via = NULL;
    if (datagram->path.via != PLN_VIA_MAIN) {
        via = pln_sock_via_find(sock, datagram->path.via);
        if (via == NULL || via->state != SOCK_VIA_OPEN) {
            return;
        }
    }
    if (probe.kind == PLN_PROBE_RESPONSE) {
        hear_response(sock, via, &datagram->path, &probe, now);
    } else if (!is_our_nonce(sock, &probe)) {
        hear_request(sock, via, datagram, &probe, now);
    }
}
