/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams that are not QUIC, to an engine with punches of every kind under way.
 *
 * The input is a list of steps: one byte that says what, then what it needs.  Whatever arrives, no
 * more is answered than asked, holes are told only where the peers are, and at the end every socket
 * is closed.
 */
#include <string.h>

#include "fuzz.h"
#include "sock/probe.h"
#include "sock/sock.h"
#include "support/sock_drain.h"

enum { PEERS = 4, RECENT = 32 };

typedef struct world {
    pln_rng_seeded seeded;
    pln_sock *sock;
    pln_ts now;
    size_t open, requests, answers, over;
    pln_path last_paths[RECENT]; /* Of our requests. */
    pln_probe last_probes[RECENT];
    size_t last_count;
    uint32_t via_last;
} world;

static pollen_addr peer_addr(uint8_t number, uint16_t port) {
    const uint8_t ip[4] = {198, 51, 100, number};
    return pln_addr_ipv4(ip, port);
}

static bool is_peer(const pollen_addr *addr) {
    return addr->ip[12] == 198 && addr->ip[13] == 51 && addr->ip[14] == 100 && addr->ip[15] < PEERS;
}

static void take_event(void *arg, const pln_sock_event *event) {
    world *w = arg;
    switch (event->kind) {
    case PLN_SOCK_OPEN_SOCKET:
        w->open++;
        w->via_last = event->via;
        pln_sock_socket_opened(w->sock, event->via, 5000, w->now);
        break;
    case PLN_SOCK_CLOSE_SOCKET:
        FUZZ_CHECK(w->open > 0);
        w->open--;
        break;
    case PLN_SOCK_TRY:
    case PLN_SOCK_HOLE:
        FUZZ_CHECK(is_peer(&event->path.remote));
        break;
    case PLN_SOCK_OVER:
        w->over++;
        break;
    }
}

static void take_sent(void *arg, const uint8_t *buf, const pln_transmit *to) {
    world *w = arg;
    pln_probe probe;
    FUZZ_CHECK(pln_probe_decode(buf, to->size, &probe));
    if (probe.kind == PLN_PROBE_RESPONSE) {
        w->answers++;
        FUZZ_CHECK(w->answers <= w->requests);
        return;
    }
    FUZZ_CHECK(is_peer(&to->path.remote));
    w->last_paths[w->last_count % RECENT] = to->path;
    w->last_probes[w->last_count % RECENT] = probe;
    w->last_count++;
}

static void drain(world *w) {
    const sock_owner owner = {.arg = w, .sent = take_sent, .told = take_event};
    sock_drain(w->sock, &owner, w->now);
}

static void pass(world *w, pln_dur span) {
    pln_ts end = w->now + span;
    while (pln_sock_next_expiry(w->sock) <= end) {
        pln_ts next = pln_sock_next_expiry(w->sock);
        FUZZ_CHECK(next > w->now);
        w->now = next;
        pln_sock_handle_timeout(w->sock, w->now);
        drain(w);
    }
    w->now = end;
}

static void start(world *w, uint8_t number, uint8_t natures, uint8_t whose) {
    pln_punch_plan plan = {
        .peer = {.bytes = {(uint8_t)(number + 1)}},
        .target_count = 1,
        .targets = {{.addr = peer_addr(number, 40000)}},
        .ours = {.mapping = (pollen_nat_mapping)(natures & 3)},
        .theirs = {.mapping = (pollen_nat_mapping)(natures >> 2 & 3),
                   .allocation = (pollen_nat_allocation)(natures >> 4 & 3),
                   .port_count = natures >> 6 & 1,
                   .ports = {40000}},
        .one_shot = (natures & 0x80) != 0,
        .unasked = (whose & 1) != 0,
        .hearsay = (whose & 2) != 0,
        .at = w->now,
        .deadline = w->now + PLN_S(3),
    };
    pollen_err err = (whose & 4) != 0 ? pln_sock_replan(w->sock, &plan, w->now)
                                      : pln_sock_start(w->sock, &plan, w->now);
    FUZZ_CHECK(err == POLLEN_OK || err == POLLEN_EAGAIN);
}

/* Any bytes, from any address, in a block of their own size. */
static void inject(world *w, fuzz_input *in) {
    uint8_t from = fuzz_take(in);
    size_t size = fuzz_take(in) % 40;
    size = size < in->size ? size : in->size;
    uint8_t *data = malloc(size > 0 ? size : 1);
    FUZZ_CHECK(data != NULL);
    memcpy(data, in->data, size);
    in->data += size;
    in->size -= size;
    pln_datagram datagram = {
        .path = {.via = from >> 4, .remote = peer_addr(from & 7, (uint16_t)(40000 + (from & 8)))},
        .data = data,
        .size = size,
    };
    w->requests += size == PLN_PROBE_BYTES && data[0] == PLN_PROBE_REQUEST;
    pln_sock_handle_probe(w->sock, &datagram, w->now);
    free(data);
}

/* One of our requests comes back, as an answer or as it was, perhaps from another port. */
static void mirror(world *w, uint8_t which, uint8_t how) {
    if (w->last_count == 0) {
        return;
    }
    size_t index = which % (w->last_count < RECENT ? w->last_count : RECENT);
    pln_probe probe = w->last_probes[index];
    probe.kind = (how & 1) != 0 ? PLN_PROBE_REQUEST : PLN_PROBE_RESPONSE;
    uint8_t bytes[PLN_PROBE_BYTES];
    pln_probe_encode(&probe, bytes);
    pln_datagram datagram = {.path = w->last_paths[index], .data = bytes, .size = sizeof(bytes)};
    datagram.path.remote.port ^= (how & 2) != 0 ? 1 : 0;
    datagram.path.via = (how & 4) != 0 ? PLN_VIA_MAIN : datagram.path.via;
    w->requests += probe.kind == PLN_PROBE_REQUEST;
    pln_sock_handle_probe(w->sock, &datagram, w->now);
}

static void step(world *w, fuzz_input *in) {
    uint8_t what = fuzz_take(in);
    switch (what % 6) {
    case 0:
        start(w, what / 6 % PEERS, fuzz_take(in), what / 6 / PEERS);
        break;
    case 1:
        pass(w, PLN_MS(fuzz_take(in)) * 4);
        break;
    case 2:
    case 3:
        inject(w, in);
        break;
    case 4:
        mirror(w, fuzz_take(in), fuzz_take(in));
        break;
    case 5: {
        pollen_key peer = {.bytes = {(uint8_t)(what / 6 % PEERS + 1)}};
        pln_path path = {.via = fuzz_take(in), .remote = peer_addr(0, 40000)};
        (void)pln_sock_won(w->sock, &peer, &path, w->now);
        break;
    }
    }
    drain(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static world w;
    memset(&w, 0, sizeof(w));
    w.now = PLN_S(1000);
    pln_sock_config config = {.rng = pln_rng_from_seed(&w.seeded, 7), .sockets_max = 64};
    FUZZ_CHECK(pln_sock_create(&config, &w.sock) == POLLEN_OK);
    fuzz_input in = {.data = data, .size = size};
    for (int i = 0; in.size > 0 && i < 64; i++) {
        step(&w, &in);
    }
    pass(&w, PLN_S(8));
    for (uint32_t via = 1; via <= w.via_last; via++) {
        pln_sock_release(w.sock, via);
    }
    drain(&w);
    FUZZ_CHECK(w.open == 0);
    FUZZ_CHECK(pln_sock_next_expiry(w.sock) == PLN_TS_NEVER);
    pln_sock_destroy(w.sock);
    return 0;
}
