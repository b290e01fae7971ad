/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A peer that holds the right keys and sends whatever it likes: the input replaces the frames of
 * its packets before they are encrypted.
 *
 * The input is one byte of choices, then records of two length bytes and frames.
 */
#include "fuzz.h"
#include "support/quic_forge.h"

enum {
    CHOICE_SERVER = 1u << 0,    /* The acceptor is the bad one. */
    CHOICE_HANDSHAKE = 1u << 1, /* From its first packet on. */
    CHOICE_INVITE = 1u << 2,
    CHOICE_STREAM = 1u << 3, /* The good one has a stream open, and data on it. */
    CHOICE_MOVE = 1u << 4,   /* The bad one moves about. */
    CHOICE_LAZY = 1u << 5,   /* The good one does not take its stream bytes. */
};

static uint8_t choices;

static void behave(quic_node *node, pln_quic_event *event) {
    if (event->kind != PLN_QUIC_STREAM_READABLE || (choices & CHOICE_LAZY) != 0) {
        return;
    }
    bool fin = false;
    pln_chunk *chunk = pln_quic_stream_recv(node->quic, event->conn, event->stream, &fin);
    while (chunk != NULL) {
        pln_chunk_destroy(chunk);
        chunk = fin ? NULL : pln_quic_stream_recv(node->quic, event->conn, event->stream, &fin);
    }
}

static void run_records(quic_pair *pair, quic_node *bad, quic_node *good, const uint8_t *data,
                        size_t size) {
    for (int records = 0; size >= 2 && records < 64; records++) {
        size_t length = ((size_t)data[0] << 8 | data[1]) % 1400;
        data += 2;
        size -= 2;
        length = length < size ? length : size;
        quic_forge_send(bad, good, data, length);
        data += length;
        size -= length;
        if ((choices & CHOICE_MOVE) != 0) {
            bad->self.remote.port = (uint16_t)(7000 + length % 5);
            bad->self.via = (uint32_t)(length % 3);
        }
        quic_pair_run(pair, PLN_MS(6));
    }
}

/* The good one serves others as before, and holds nothing of the bad one for long. */
static void check_end(quic_pair *pair, quic_node *good) {
    pln_quic_stats stats;
    quic_pair_run(pair, PLN_S(100));
    quic_node *other = quic_pair_add(pair, NULL);
    FUZZ_CHECK(quic_node_dial(other, good, false) == POLLEN_OK);
    quic_pair_run(pair, PLN_S(2));
    FUZZ_CHECK(quic_node_connected(other));
    pln_quic_get_stats(good->quic, &stats);
    FUZZ_CHECK(stats.handshakes == 0);
    FUZZ_CHECK(stats.connections <= 2);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static quic_pair pair;
    if (size < 1) {
        return 0;
    }
    choices = data[0];
    quic_pair_init(&pair, 1);
    quic_node *a = quic_pair_add(&pair, NULL);
    quic_node *b = quic_pair_add(&pair, NULL);
    quic_node *bad = (choices & CHOICE_SERVER) != 0 ? b : a;
    quic_node *good = bad == b ? a : b;
    good->on_event = behave;
    pln_quic_set_accept(b->quic, true, true);
    FUZZ_CHECK(quic_node_dial(a, b, (choices & CHOICE_INVITE) != 0) == POLLEN_OK);
    if ((choices & CHOICE_HANDSHAKE) == 0) {
        quic_pair_run(&pair, PLN_MS(100));
    } else if (bad == b) {
        quic_pair_settle(&pair);
        quic_pair_run(&pair, PLN_MS(4));
    }
    int64_t stream = -1;
    if ((choices & CHOICE_STREAM) != 0 &&
        pln_quic_stream_open(good->quic, good->conn, &stream) == POLLEN_OK) {
        FUZZ_CHECK(pln_quic_stream_send(good->quic, good->conn, stream, quic_pair_chunk(20000, 0),
                                        false) == POLLEN_OK);
    }
    run_records(&pair, bad, good, data + 1, size - 1);
    check_end(&pair, good);
    quic_pair_fini(&pair);
    return 0;
}
