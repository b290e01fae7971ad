/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers of a router, to the codec and to a machine that asks one.
 *
 * The input is a list of steps: one byte that says what, then what it needs.  Whatever the router
 * says, it is not asked too often, what is told of a mapping agrees with itself, time goes on, and
 * the mapping is given back at the end.
 */
#include <string.h>

#include "fuzz.h"
#include "portmap/portmap.h"

enum { STEPS_MAX = 200, PORT = 60611 };

typedef struct world {
    pln_rng_seeded seeded;
    pln_portmap pm;
    pln_ts now;
    uint8_t last[PLN_PORTMAP_REQUEST_BYTES];
    size_t last_size;
    size_t sent, steps;
} world;

static void check_report(const world *w) {
    const pollen_port_mapping *report = pln_portmap_report(&w->pm);
    const bool mapped =
        report->state == POLLEN_PORT_MAPPING_MAPPED || report->state == POLLEN_PORT_MAPPING_NESTED;
    FUZZ_CHECK(mapped == (report->external.port != 0));
    FUZZ_CHECK(!mapped || report->pcp == POLLEN_PORT_MAPPING_SPOKEN ||
               report->nat_pmp == POLLEN_PORT_MAPPING_SPOKEN);
}

static void drain(world *w) {
    pln_transmit to;
    while (pln_portmap_poll_transmit(&w->pm, w->last, &to, w->now)) {
        FUZZ_CHECK(to.path.remote.port == PLN_PORTMAP_SERVER_PORT);
        FUZZ_CHECK(to.size == 2 || to.size == 12 || to.size == 60);
        w->last_size = to.size;
        w->sent++;
    }
    (void)pln_portmap_poll_change(&w->pm);
    check_report(w);
}

static void pass(world *w, pln_dur span) {
    const pln_ts end = w->now + span;
    while (pln_portmap_next_expiry(&w->pm) <= end) {
        FUZZ_CHECK(++w->steps < 100000);
        FUZZ_CHECK(pln_portmap_next_expiry(&w->pm) >= w->now);
        w->now = pln_portmap_next_expiry(&w->pm);
        pln_portmap_handle_timeout(&w->pm, w->now);
        drain(w);
    }
    w->now = end;
}

static void set_network(world *w, uint8_t number) {
    const uint8_t gateway[4] = {192, 168, 1, 1};
    const uint8_t client[4] = {192, 168, 1, (uint8_t)(10 + number % 2)};
    const pln_portmap_network network = {
        .gateway = pln_addr_ipv4(gateway, 0), .client = pln_addr_ipv4(client, 0), .port = PORT};
    pln_portmap_set_network(&w->pm, number % 16 == 15 ? NULL : &network, w->now);
}

static void hear(world *w, const uint8_t *data, size_t size) {
    const uint8_t gateway[4] = {192, 168, 1, 1};
    uint8_t *copy = malloc(size > 0 ? size : 1); /* Of its own size. */
    FUZZ_CHECK(copy != NULL);
    memcpy(copy, data, size);
    const pln_datagram datagram = {
        .path = {.remote = pln_addr_ipv4(gateway, PLN_PORTMAP_SERVER_PORT)},
        .data = copy,
        .size = size};
    pln_portmap_handle_datagram(&w->pm, &datagram, w->now);
    free(copy);
}

static void inject(world *w, fuzz_input *in) {
    size_t size = fuzz_take(in) % 80;
    size = size < in->size ? size : in->size;
    hear(w, in->data, size);
    in->data += size;
    in->size -= size;
}

/* An answer to what was asked last, with some of it as the input wants. */
static void answer(world *w, fuzz_input *in) {
    uint8_t bytes[60] = {0};
    size_t size = w->last_size;
    memcpy(bytes, w->last, size);
    bytes[1] |= 0x80;
    bytes[3] = fuzz_take(in) % 16;
    if (size == 60) {
        bytes[6] = fuzz_take(in);
        bytes[11] = fuzz_take(in);
        bytes[43] = fuzz_take(in);
        bytes[56] = fuzz_take(in);
    } else {
        size = size == 2 ? 12 : 16;
        bytes[7] = fuzz_take(in);
        bytes[8] = size == 12 ? fuzz_take(in) : w->last[4];
        bytes[9] = w->last[5];
        bytes[10] = fuzz_take(in);
        bytes[14] = fuzz_take(in);
    }
    hear(w, bytes, size);
}

static void step(world *w, fuzz_input *in) {
    const uint8_t what = fuzz_take(in);
    switch (what % 8) {
    case 0:
        pass(w, PLN_MS(250) * fuzz_take(in));
        break;
    case 1:
        pass(w, PLN_S(30) * fuzz_take(in));
        break;
    case 2:
        inject(w, in);
        break;
    case 3:
    case 4:
    case 5:
        answer(w, in);
        break;
    case 6:
        set_network(w, what / 8);
        break;
    case 7:
        pln_portmap_release(&w->pm, w->now);
        break;
    }
    drain(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static world w;
    memset(&w, 0, sizeof w);
    w.now = PLN_S(5000);
    const pln_rng rng = pln_rng_from_seed(&w.seeded, 7);
    pln_portmap_init(&w.pm, &rng);
    set_network(&w, 0);
    drain(&w);
    fuzz_input in = {.data = data, .size = size};
    for (int i = 0; i < STEPS_MAX && in.size > 0; i++) {
        step(&w, &in);
    }
    const size_t before = w.sent;
    const pln_ts from = w.now;
    pass(&w, PLN_S(3600));
    /* Left alone: a round of nine each ten minutes, or what a mapping of a minute takes. */
    FUZZ_CHECK(w.sent - before <= (w.now - from) / PLN_S(4) + 16);
    pln_portmap_release(&w.pm, w.now);
    drain(&w);
    pass(&w, PLN_S(10));
    FUZZ_CHECK(pln_portmap_is_off(&w.pm));
    FUZZ_CHECK(pln_portmap_next_expiry(&w.pm) == PLN_TS_NEVER);
    return 0;
}
