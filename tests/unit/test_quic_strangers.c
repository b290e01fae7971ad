/* SPDX-License-Identifier: Apache-2.0 */
/* What comes from nobody we know: floods, forgeries, other versions, half a handshake. */
#include <string.h>

#include "base/mem.h"
#include "quic/internal.h"
#include "support/quic_fixture.h"

static int setup(void **state) {
    (void)quic_fixture_start(state, 6);
    return 0;
}

/* ---- Buckets --------------------------------------------------------------------------------- */

static const pln_hash_key HASH_KEY = {{1}};

static void a_source_has_a_burst_and_a_rate(void **state) {
    (void)state;
    pln_meters *admit = pln_admit_create(&HASH_KEY);
    pollen_addr source = pln_addr_ipv4((const uint8_t[]){192, 0, 2, 1}, 1);
    pln_ts now = PLN_S(5);
    for (int i = 0; i < PLN_ADMIT_BURST; i++) {
        source.port++; /* The port does not count. */
        assert_true(pln_admit_take(admit, &source, now));
    }
    assert_false(pln_admit_take(admit, &source, now));
    assert_false(pln_admit_take(admit, &source, now + PLN_MS(50) - 1));
    assert_true(pln_admit_take(admit, &source, now + PLN_MS(50)));
    assert_false(pln_admit_take(admit, &source, now + PLN_MS(50)));
    /* Another address is another source. */
    source.ip[15]++;
    assert_true(pln_admit_take(admit, &source, now + PLN_MS(50)));
    pln_meters_destroy(admit);
}

static void an_ipv6_source_is_its_64_bit_prefix(void **state) {
    (void)state;
    pln_meters *admit = pln_admit_create(&HASH_KEY);
    pollen_addr source = {.ip = {0x20, 0x01, 0x0d, 0xb8}, .port = 1};
    int admitted = 0;
    for (int i = 0; i < 1000; i++) {
        source.ip[8 + i % 8] = (uint8_t)i;
        admitted += pln_admit_take(admit, &source, PLN_S(1)) ? 1 : 0;
    }
    assert_int_equal(admitted, PLN_ADMIT_BURST);
    source.ip[7] = 1;
    assert_true(pln_admit_take(admit, &source, PLN_S(1)));
    pln_meters_destroy(admit);
}

/* Many sources cannot refill each other's buckets by pushing them out. */
static void a_flood_of_sources_wins_nothing(void **state) {
    (void)state;
    pln_meters *admit = pln_admit_create(&HASH_KEY);
    size_t admitted = 0;
    for (uint32_t i = 0; i < 1000000; i++) {
        pollen_addr source = pln_addr_ipv4(
            (const uint8_t[]){(uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i, 1}, 1);
        admitted += pln_admit_take(admit, &source, PLN_S(1)) ? 1 : 0;
    }
    assert_true(admitted <= 4096 * PLN_ADMIT_BURST);
    pln_meters_destroy(admit);
}

/* ---- Initials -------------------------------------------------------------------------------- */

/* A first packet as a real client would send it. */
typedef struct initial {
    uint8_t data[1500];
    size_t size;
} initial;

static void make_initial(fixture *f, initial *ret) {
    static uint8_t buf[PLN_TRANSMIT_BYTES];
    pln_transmit batch;
    pln_conn_id id = 0;
    quic_pair_settle(&f->pair);
    assert_int_equal(pln_quic_dial(f->a->quic, &f->b->self, &f->b->key, false, f->pair.now, &id),
                     POLLEN_OK);
    assert_true(pln_quic_poll_transmit(f->a->quic, buf, &batch, f->pair.now));
    assert_int_equal(batch.size, 1200);
    memcpy(ret->data, buf, batch.size);
    ret->size = batch.size;
    /* Forgotten without a word. */
    pln_quic_conn_destroy(pln_quic_conn_find(f->a->quic, id));
}

static void inject(fixture *f, const pln_path *from, const initial *packet) {
    quic_pair_inject(&f->pair, from, f->b, packet->data, packet->size);
}

static void many_half_open_handshakes_switch_retry_on(void **state) {
    fixture *f = *state;
    initial packet;
    for (unsigned i = 0; i < PLN_RETRY_AT_HANDSHAKES + 10; i++) {
        make_initial(f, &packet);
        pln_path from = quic_pair_stranger((uint8_t)i, 1);
        inject(f, &from, &packet);
        quic_pair_run(&f->pair, PLN_MS(6));
    }
    assert_int_equal(stats_of(f->b).handshakes, PLN_RETRY_AT_HANDSHAKES);
    assert_int_equal(stats_of(f->b).retries_sent, 10);
    /* Who answers a Retry gets in. */
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(200));
    assert_true(quic_node_connected(f->a));
    assert_int_equal(stats_of(f->b).retries_sent, 11);
    assert_int_equal(stats_of(f->b).handshakes, PLN_RETRY_AT_HANDSHAKES);
    assert_int_equal(quic_node_send(f->a, 100, 0), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(200));
    assert_int_equal(f->b->datagrams.count, 1);
}

static void one_source_that_asks_too_often_must_prove_itself(void **state) {
    fixture *f = *state;
    initial packet;
    pln_path from = quic_pair_stranger(1, 1);
    for (unsigned i = 0; i < PLN_ADMIT_BURST + 20; i++) {
        make_initial(f, &packet);
        inject(f, &from, &packet);
    }
    quic_pair_run(&f->pair, PLN_MS(6));
    assert_int_equal(stats_of(f->b).handshakes, PLN_ADMIT_BURST);
    assert_int_equal(stats_of(f->b).retries_sent, 20);
    /* Others are not concerned. */
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(100));
    assert_true(quic_node_connected(f->a));
}

/* 10,000 a second from everywhere and from one network: memory stays flat, and a friend gets in. */
static void a_flood_does_not_keep_a_friend_out(void **state) {
    fixture *f = *state;
    initial packet;
    make_initial(f, &packet);
    bool dialled = false;
    for (uint32_t i = 0; i < 20000; i++) {
        pln_path from = {.remote =
                             pln_addr_ipv4((const uint8_t[]){203, (uint8_t)(i >> 8), (uint8_t)i, 7},
                                           (uint16_t)(1 + i))};
        packet.data[6] = (uint8_t)i; /* Another connection id: it will not even decrypt. */
        packet.data[7] = (uint8_t)(i >> 8);
        inject(f, &from, &packet);
        if (i % 100 == 0) {
            quic_pair_run(&f->pair, PLN_MS(10));
            assert_true(stats_of(f->b).handshakes <= PLN_HANDSHAKES_MAX);
        }
        if (i == 10000) {
            assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
            dialled = true;
        }
    }
    assert_true(dialled);
    assert_true(quic_node_connected(f->a));
    quic_pair_run(&f->pair, PLN_S(15));
    assert_int_equal(stats_of(f->b).handshakes, 0);
    assert_int_equal(stats_of(f->b).connections, 1);
}

/* Nobody can use up the credit of an address but who is there: the others have shown no Retry
 * token. */
static void a_flood_in_a_friend_s_name_does_not_keep_it_out(void **state) {
    fixture *f = *state;
    initial packet;
    make_initial(f, &packet);
    for (uint32_t i = 0; i < 6000; i++) {
        pln_path from = f->a->self;
        from.remote.port = (uint16_t)(1 + i);
        packet.data[6] = (uint8_t)i;
        packet.data[7] = (uint8_t)(i >> 8);
        inject(f, &from, &packet);
        if (i % 2 == 0) {
            quic_pair_run(&f->pair, PLN_MS(1));
        }
        if (i == 1000) {
            assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
        }
        if (i == 4000) {
            assert_true(quic_node_connected(f->a));
        }
    }
}

/* Addresses that are proven, but not more: the oldest gives way once a good peer would be done. */
static void half_open_handshakes_make_room_after_a_second(void **state) {
    fixture *f = *state;
    initial packet;
    for (uint8_t i = 0; i < 20; i++) {
        make_initial(f, &packet);
        pln_path from = quic_pair_stranger(i, 1);
        inject(f, &from, &packet);
    }
    quic_pair_run(&f->pair, PLN_MS(6));
    /* As if as many more had answered a Retry. */
    const size_t others = PLN_HANDSHAKES_MAX - 20;
    f->b->quic->stats.handshakes += others;
    quic_pair_run(&f->pair, PLN_MS(500));
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(400));
    assert_false(quic_node_connected(f->a));
    assert_int_equal(stats_of(f->b).handshakes, PLN_HANDSHAKES_MAX);
    quic_pair_run(&f->pair, PLN_MS(2000));
    assert_true(quic_node_connected(f->a));
    assert_int_equal(stats_of(f->b).handshakes, PLN_HANDSHAKES_MAX - 1);
    f->b->quic->stats.handshakes -= others;
    quic_pair_run(&f->pair, PLN_S(15));
    assert_int_equal(stats_of(f->b).handshakes, 0);
}

static void half_open_handshakes_are_bounded(void **state) {
    fixture *f = *state;
    initial packet;
    /* As if all of them had just answered a Retry: another may do so, but finds no room. */
    f->b->quic->stats.handshakes = PLN_HANDSHAKES_MAX;
    make_initial(f, &packet);
    pln_path from = quic_pair_stranger(1, 1);
    inject(f, &from, &packet);
    quic_pair_run(&f->pair, PLN_MS(6));
    assert_int_equal(stats_of(f->b).connections, 0);
    assert_int_equal(stats_of(f->b).retries_sent, 1);
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(100));
    assert_int_equal(stats_of(f->b).retries_sent, 2);
    assert_int_equal(stats_of(f->b).connections, 0);
    assert_in_range(stats_of(f->b).dropped_limit, 1, 3);
    f->b->quic->stats.handshakes = 0;
}

/* ---- Amplification --------------------------------------------------------------------------- */

static void an_unproven_address_gets_three_times_what_it_sent(void **state) {
    fixture *f = *state;
    initial packet;
    make_initial(f, &packet);
    pln_path from = quic_pair_stranger(1, 1);
    inject(f, &from, &packet);
    quic_pair_run(&f->pair, PLN_S(12));
    assert_in_range(f->b->sent_bytes, 1200, 3 * 1200);
    assert_int_equal(stats_of(f->b).connections, 0);
}

static unsigned lost_from_client;

/* The client's packets 2 to 7 do not arrive. */
static bool lose_second_to_seventh(quic_pair *pair, quic_node *from, pln_datagram *packet,
                                   uint8_t *data) {
    (void)pair;
    (void)packet;
    (void)data;
    if (from->index != 0) {
        return true;
    }
    lost_from_client++;
    return lost_from_client < 2 || lost_from_client > 7;
}

static void neither_when_its_next_packets_are_lost(void **state) {
    fixture *f = *state;
    lost_from_client = 0;
    f->pair.filter = lose_second_to_seventh;
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    while (lost_from_client < 7) {
        quic_pair_run(&f->pair, PLN_MS(1));
        assert_true(f->b->sent_bytes <= 3 * 1200);
    }
    quic_pair_run(&f->pair, PLN_S(5));
    assert_true(quic_node_connected(f->a));
}

static bool count_to_new_address(quic_pair *pair, quic_node *from, pln_datagram *packet,
                                 uint8_t *data) {
    (void)data;
    uint64_t *sent = pair->ctx;
    if (from->index == 1 && packet->path.remote.port == 9999) {
        *sent += packet->size;
        return false; /* Nobody is there. */
    }
    return true;
}

/* A packet replayed from a victim's address, while much data waits. */
static void nor_after_a_move(void **state) {
    fixture *f = *state;
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_S(1));
    uint64_t sent_to_victim = 0;
    f->pair.ctx = &sent_to_victim;
    f->pair.filter = count_to_new_address;
    int64_t id = -1;
    assert_int_equal(pln_quic_stream_open(f->b->quic, f->b->conn, &id), POLLEN_OK);
    assert_int_equal(
        pln_quic_stream_send(f->b->quic, f->b->conn, id, quic_pair_chunk(400000, 0), true),
        POLLEN_OK);
    f->a->self.remote.port = 9999;
    assert_int_equal(quic_node_send(f->a, 100, 0), POLLEN_OK);
    uint64_t received = f->a->sent_bytes;
    quic_pair_settle(&f->pair);
    received = f->a->sent_bytes - received;
    f->a->self.remote.port = POLLEN_PORT_DEFAULT;
    f->a->deaf = true;
    quic_pair_run(&f->pair, PLN_MS(500));
    assert_true(sent_to_victim > 0);
    assert_true(sent_to_victim <= 3 * received);
}

static void retry_and_refusal_are_smaller_than_the_question(void **state) {
    fixture *f = *state;
    initial packet;
    make_initial(f, &packet);
    pln_path from = quic_pair_stranger(1, 1);
    f->b->quic->stats.handshakes = PLN_RETRY_AT_HANDSHAKES;
    inject(f, &from, &packet);
    quic_pair_run(&f->pair, PLN_MS(6));
    assert_int_equal(stats_of(f->b).retries_sent, 1);
    assert_in_range(f->b->largest_sent, 1, 300);
    f->b->quic->stats.handshakes = 0;
    pln_quic_set_accept(f->b->quic, false, false);
    f->b->largest_sent = 0;
    inject(f, &from, &packet);
    quic_pair_run(&f->pair, PLN_MS(6));
    assert_in_range(f->b->largest_sent, 1, 300);
}

/* ---- Tokens ---------------------------------------------------------------------------------- */

static bool keep_retry(quic_pair *pair, quic_node *from, pln_datagram *packet, uint8_t *data) {
    initial *kept = pair->ctx;
    bool is_retry = from->index == 1 && (data[0] & 0xf0) == 0xf0;
    if (is_retry) {
        memcpy(kept->data, data, packet->size);
        kept->size = packet->size;
    }
    return true;
}

static bool keep_second_initial(quic_pair *pair, quic_node *from, pln_datagram *packet,
                                uint8_t *data) {
    initial *kept = pair->ctx;
    /* With a token: behind version, both connection ids of 8 bytes and the token's length. */
    bool has_token = from->index == 0 && (data[0] & 0xf0) == 0xc0 && data[23] != 0;
    if (has_token) {
        memcpy(kept->data, data, packet->size);
        kept->size = packet->size;
    }
    return !has_token;
}

static void a_token_is_good_for_its_own_source_and_time_only(void **state) {
    fixture *f = *state;
    initial answer = {.size = 0};
    f->pair.ctx = &answer;
    f->pair.filter = keep_second_initial;
    f->b->quic->stats.handshakes = PLN_RETRY_AT_HANDSHAKES;
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(50));
    assert_int_equal(answer.size, 1200);
    f->pair.filter = NULL;
    f->a->deaf = true;

    pln_path elsewhere = quic_pair_stranger(9, 9);
    inject(f, &elsewhere, &answer);
    quic_pair_run(&f->pair, PLN_MS(6));
    assert_int_equal(stats_of(f->b).connections, 0);

    quic_pair_run(&f->pair, PLN_S(31)); /* It lives for 30 s. */
    inject(f, &f->a->self, &answer);
    quic_pair_run(&f->pair, PLN_MS(6));
    assert_int_equal(stats_of(f->b).connections, 0);
    f->b->quic->stats.handshakes = 0;
}

static void a_token_in_time_is_good(void **state) {
    fixture *f = *state;
    initial answer = {.size = 0};
    f->pair.ctx = &answer;
    f->pair.filter = keep_second_initial;
    f->b->quic->stats.handshakes = PLN_RETRY_AT_HANDSHAKES;
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(50));
    f->pair.filter = NULL;
    f->a->deaf = true;
    quic_pair_run(&f->pair, PLN_S(20));
    uint64_t sent = f->b->sent_packets;
    inject(f, &f->a->self, &answer);
    quic_pair_run(&f->pair, PLN_MS(6));
    assert_int_equal(stats_of(f->b).connections, 1);
    /* And a proven address is not limited to three times its bytes. */
    assert_true(f->b->sent_packets > sent);
    f->b->quic->stats.handshakes = 1;
}

static void a_forged_retry_is_ignored(void **state) {
    fixture *f = *state;
    initial retry = {.size = 0};
    f->pair.ctx = &retry;
    f->pair.filter = keep_retry;
    f->b->quic->stats.handshakes = PLN_RETRY_AT_HANDSHAKES;
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(100));
    assert_true(quic_node_connected(f->a));
    assert_true(retry.size > 0);
    f->b->quic->stats.handshakes = 0;
    /* To another dial the same packet means nothing. */
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_settle(&f->pair);
    quic_pair_inject(&f->pair, &f->b->self, f->a, retry.data, retry.size);
    quic_pair_run(&f->pair, PLN_MS(100));
    assert_true(quic_node_connected(f->a));
}

/* ---- Versions -------------------------------------------------------------------------------- */

static void make_version(uint8_t *packet, size_t size, uint32_t version, uint8_t cid_size) {
    memset(packet, 0, size);
    packet[0] = 0xc0;
    for (int i = 0; i < 4; i++) {
        packet[1 + i] = (uint8_t)(version >> (24 - 8 * i));
    }
    packet[5] = cid_size;
    memset(packet + 6, 0xaa, cid_size);
    packet[6 + cid_size] = cid_size;
    memset(packet + 7 + cid_size, 0xbb, cid_size);
}

static initial heard;

static bool keep_answer(quic_pair *pair, quic_node *from, pln_datagram *packet, uint8_t *data) {
    (void)pair;
    if (from->index == 1) {
        memcpy(heard.data, data, packet->size);
        heard.size = packet->size;
    }
    return true;
}

static void an_unknown_version_is_answered_with_ours(void **state) {
    fixture *f = *state;
    f->pair.filter = keep_answer;
    static const uint8_t cid_sizes[] = {0, 8, 20, 21, 255};
    pln_path from = quic_pair_stranger(1, 1);
    for (size_t i = 0; i < sizeof(cid_sizes); i++) {
        uint8_t packet[1200];
        size_t cid_size = cid_sizes[i];
        make_version(packet, sizeof(packet), 0x0a0a0a0a, cid_sizes[i]);
        heard.size = 0;
        quic_pair_inject(&f->pair, &from, f->b, packet, sizeof(packet));
        quic_pair_run(&f->pair, PLN_MS(6));
        assert_int_equal(heard.size, 7 + 2 * cid_size + 4);
        assert_memory_equal(heard.data + 1, "\0\0\0\0", 4);
        assert_int_equal(heard.data[5], cid_size);
        for (size_t k = 0; k < cid_size; k++) {
            assert_int_equal(heard.data[6 + k], 0xbb); /* Swapped. */
        }
        assert_memory_equal(heard.data + heard.size - 4, "\0\0\0\1", 4);
        assert_true(pln_quic_is_quic(heard.data, heard.size));
    }
}

static void a_small_one_is_not(void **state) {
    fixture *f = *state;
    uint8_t packet[1200];
    pln_path from = quic_pair_stranger(1, 1);
    make_version(packet, sizeof(packet), 0x0a0a0a0a, 8);
    quic_pair_inject(&f->pair, &from, f->b, packet, 1199);
    quic_pair_run(&f->pair, PLN_MS(6));
    assert_int_equal(f->b->sent_packets, 0);
}

/* From the server that is dialled: it speaks nothing that we do. */
static void version_negotiation_ends_a_dial(void **state) {
    fixture *f = *state;
    f->b->deaf = true;
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_settle(&f->pair);
    const quic_conn *conn = pln_quic_conn_find(f->a->quic, f->a->conn);
    const ngtcp2_cid *dcid = ngtcp2_conn_get_dcid(conn->ng);
    uint8_t packet[64] = {0xc0};
    packet[5] = QUIC_CID_BYTES;
    memcpy(packet + 6, conn->cids->key.bytes, QUIC_CID_BYTES);
    packet[14] = QUIC_CID_BYTES;
    memcpy(packet + 15, dcid->data, QUIC_CID_BYTES);
    memcpy(packet + 23, "\x12\x34\x56\x78", 4);
    quic_pair_inject(&f->pair, &f->b->self, f->a, packet, 27);
    quic_pair_run(&f->pair, PLN_MS(6));
    assert_int_equal(f->a->closed.end, PLN_QUIC_END_TRANSPORT);
    assert_int_equal(f->a->closed.err, POLLEN_EVERSION);
}

/* ---- Garbage --------------------------------------------------------------------------------- */

static void any_size_and_any_first_byte_is_survived(void **state) {
    fixture *f = *state;
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_S(1));
    const quic_conn *conn = pln_quic_conn_find(f->b->quic, f->b->conn);
    static uint8_t packet[65507];
    static const size_t sizes[] = {0,  1,  2,   5,    6,    7,    8,    9,    20,   21,   22,
                                   23, 43, 100, 1199, 1200, 1201, 8951, 8952, 8953, 65507};
    pln_path stranger = quic_pair_stranger(1, 1);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (unsigned first = 0; first < 256; first += 3) {
            pln_rng_fill(&f->pair.rng, packet, sizes[i] < 100 ? sizes[i] : 100);
            packet[0] = (uint8_t)first;
            quic_pair_inject(&f->pair, &stranger, f->b, packet, sizes[i]);
            memcpy(packet + 1, conn->cids->key.bytes, QUIC_CID_BYTES); /* For a connection. */
            quic_pair_inject(&f->pair, &f->a->self, f->b, packet, sizes[i]);
            memcpy(packet + 1, "\0\0\0\1\x08", 5);
            quic_pair_inject(&f->pair, &f->a->self, f->b, packet, sizes[i]);
        }
        quic_pair_run(&f->pair, PLN_MS(100));
    }
    assert_true(quic_node_connected(f->b));
    assert_int_equal(quic_node_send(f->a, 100, 0), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_S(1));
    assert_int_equal(f->b->datagrams.count, 1);
}

static void every_truncation_of_a_first_packet_is_survived(void **state) {
    fixture *f = *state;
    initial packet;
    make_initial(f, &packet);
    for (size_t size = 0; size < packet.size; size += 7) {
        pln_path from = quic_pair_stranger((uint8_t)size, 1);
        quic_pair_inject(&f->pair, &from, f->b, packet.data, size);
    }
    quic_pair_run(&f->pair, PLN_S(1));
    assert_int_equal(stats_of(f->b).connections, 0);
    /* Twice in one datagram, and with rubbish behind it. */
    uint8_t coalesced[2500];
    memcpy(coalesced, packet.data, packet.size);
    memcpy(coalesced + packet.size, packet.data, packet.size);
    memset(coalesced + 2 * packet.size, 0xee, 100);
    quic_pair_inject(&f->pair, &f->a->self, f->b, coalesced, 2 * packet.size + 100);
    quic_pair_run(&f->pair, PLN_MS(6));
    assert_int_equal(stats_of(f->b).handshakes, 1);
}

/* A ClientHello that never comes to its end holds its place for ten seconds, no longer. */
static void a_first_packet_that_does_not_decrypt_leaves_nothing(void **state) {
    fixture *f = *state;
    initial packet;
    make_initial(f, &packet);
    packet.data[600] ^= 1;
    pln_path from = quic_pair_stranger(1, 1);
    inject(f, &from, &packet);
    quic_pair_run(&f->pair, PLN_MS(6));
    assert_int_equal(stats_of(f->b).connections, 0);
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_CLOSED), 0);
    assert_null(f->b->quic->cids);
}

static void probes_are_not_quic(void **state) {
    (void)state;
    uint8_t byte = 0;
    for (unsigned first = 0; first < 256; first++) {
        byte = (uint8_t)first;
        assert_int_equal(pln_quic_is_quic(&byte, 1), first >= 0x40);
    }
    assert_false(pln_quic_is_quic(&byte, 0));
}

/* Nobody may use us to talk to services on this machine. */
static void a_connection_does_not_move_to_loopback(void **state) {
    fixture *f = *state;
    assert_int_equal(quic_node_dial(f->a, f->b, false), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_S(1));
    f->a->self.remote = pln_addr_ipv4((const uint8_t[]){127, 0, 0, 1}, 9999);
    uint64_t sent = f->b->sent_packets;
    assert_int_equal(quic_node_send(f->a, 100, 0), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(100));
    assert_int_equal(f->b->datagrams.count, 0);
    assert_int_equal(f->b->sent_packets, sent);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_source_has_a_burst_and_a_rate),
        cmocka_unit_test(an_ipv6_source_is_its_64_bit_prefix),
        cmocka_unit_test(a_flood_of_sources_wins_nothing),
        TEST(many_half_open_handshakes_switch_retry_on),
        TEST(one_source_that_asks_too_often_must_prove_itself),
        TEST(a_flood_does_not_keep_a_friend_out),
        TEST(a_flood_in_a_friend_s_name_does_not_keep_it_out),
        TEST(half_open_handshakes_make_room_after_a_second),
        TEST(half_open_handshakes_are_bounded),
        TEST(an_unproven_address_gets_three_times_what_it_sent),
        TEST(neither_when_its_next_packets_are_lost),
        TEST(nor_after_a_move),
        TEST(retry_and_refusal_are_smaller_than_the_question),
        TEST(a_token_is_good_for_its_own_source_and_time_only),
        TEST(a_token_in_time_is_good),
        TEST(a_forged_retry_is_ignored),
        TEST(an_unknown_version_is_answered_with_ours),
        TEST(a_small_one_is_not),
        TEST(version_negotiation_ends_a_dial),
        TEST(any_size_and_any_first_byte_is_survived),
        TEST(every_truncation_of_a_first_packet_is_survived),
        TEST(a_first_packet_that_does_not_decrypt_leaves_nothing),
        cmocka_unit_test(probes_are_not_quic),
        TEST(a_connection_does_not_move_to_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
