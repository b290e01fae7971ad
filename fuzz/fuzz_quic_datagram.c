/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Datagrams from strangers, and packets damaged on their way between two endpoints.
 *
 * The input is a list of steps: one byte that says what, then what it needs.  At the end time
 * passes; nothing half open may be left, and both endpoints must still be able to talk.
 */
#include <string.h>

#include "fuzz.h"
#include "support/quic_pair.h"

enum { DAMAGES = 16 };

/* What happens to the next packets: each byte pair is a place and a change. */
typedef struct damages {
    uint8_t place[DAMAGES];
    uint8_t change[DAMAGES];
    size_t count;
} damages;

static bool damage(quic_pair *pair, quic_node *from, pln_datagram *packet, uint8_t *data) {
    (void)from;
    damages *d = pair->ctx;
    if (d->count == 0) {
        return true;
    }
    d->count--;
    uint8_t change = d->change[d->count];
    if (change == 0) {
        return false; /* Lost. */
    }
    if (change == 1) {
        packet->size = 1 + packet->size * d->place[d->count] / 256; /* Cut. */
        return true;
    }
    /* Mostly in the header, where it matters. */
    size_t at =
        d->place[d->count] < 64 ? d->place[d->count] : packet->size * d->place[d->count] / 256;
    data[at < packet->size ? at : packet->size - 1] ^= change;
    return true;
}

static void inject(quic_pair *pair, fuzz_input *in, const pln_path *from, quic_node *to) {
    size_t size = (size_t)fuzz_take(in) << 8 | fuzz_take(in);
    size = size < in->size ? size : in->size;
    /* Short inputs must be able to make packets of full size. */
    static uint8_t packet[1400];
    bool pad = size > 0 && (in->data[0] & 1) != 0;
    memset(packet, 0, sizeof(packet));
    size_t copied = size < sizeof(packet) ? size : sizeof(packet);
    if (copied > 0) {
        memcpy(packet, in->data, copied);
    }
    in->data += size;
    in->size -= size;
    quic_pair_inject(pair, from, to, packet, pad ? sizeof(packet) : copied);
}

static void step(quic_pair *pair, fuzz_input *in, damages *d) {
    quic_node *a = &pair->nodes[0];
    quic_node *b = &pair->nodes[1];
    uint8_t what = fuzz_take(in);
    pln_path stranger = quic_pair_stranger(what, 1);
    switch (what % 8) {
    case 0:
        inject(pair, in, &stranger, b);
        break;
    case 1:
        inject(pair, in, &a->self, b);
        break;
    case 2:
        inject(pair, in, &b->self, a);
        break;
    case 3:
        FUZZ_CHECK(quic_node_dial(a, b, (what & 8) != 0) != POLLEN_EADDR);
        break;
    case 4:
        for (d->count = 0; d->count < DAMAGES && d->count <= what / 8u; d->count++) {
            d->place[d->count] = fuzz_take(in);
            d->change[d->count] = fuzz_take(in);
        }
        break;
    case 5:
        if (quic_node_send((what & 8) != 0 ? a : b, 1u + fuzz_take(in), what) == POLLEN_OK) {
            quic_pair_settle(pair);
        }
        break;
    case 6:
        a->self.remote.port = (uint16_t)(1 + what / 8);
        break;
    default:
        quic_pair_run(pair, PLN_MS(what));
        break;
    }
}

static void check_end(quic_pair *pair) {
    quic_node *a = &pair->nodes[0];
    quic_node *b = &pair->nodes[1];
    pln_quic_stats stats;
    pair->filter = NULL;
    a->self.remote.port = POLLEN_PORT_DEFAULT;
    quic_pair_run(pair, PLN_S(60));
    pln_quic_get_stats(b->quic, &stats);
    FUZZ_CHECK(stats.handshakes == 0);
    FUZZ_CHECK(quic_node_dial(a, b, false) == POLLEN_OK);
    quic_pair_run(pair, PLN_S(4));
    FUZZ_CHECK(quic_node_connected(a));
    size_t before = b->datagrams.count;
    FUZZ_CHECK(quic_node_send(a, 100, 0) == POLLEN_OK);
    quic_pair_run(pair, PLN_S(1));
    FUZZ_CHECK(b->datagrams.count == before + 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static quic_pair pair;
    damages d = {.count = 0};
    fuzz_input in = {data, size};
    quic_pair_init(&pair, 1);
    (void)quic_pair_add(&pair, NULL);
    quic_node *b = quic_pair_add(&pair, NULL);
    pln_quic_set_accept(b->quic, true, true);
    pair.ctx = &d;
    pair.filter = damage;
    for (int steps = 0; in.size > 0 && steps < 64; steps++) {
        step(&pair, &in, &d);
        quic_pair_run(&pair, PLN_MS(1));
    }
    check_end(&pair);
    quic_pair_fini(&pair);
    return 0;
}
