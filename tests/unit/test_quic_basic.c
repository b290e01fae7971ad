/* SPDX-License-Identifier: Apache-2.0 */
/* Two endpoints on a perfect network: handshake, datagrams, streams, close. */
#include <string.h>

#include "support/quic_fixture.h"

static int setup(void **state) {
    (void)quic_fixture_start(state, 1);
    return 0;
}

static void both_sides_connect_with_pollen_2(void **state) {
    fixture *f = *state;
    connect_pair(f);
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_CONNECTED), 1);
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_CONNECTED), 1);
    pln_conn_info a = quic_node_info(f->a);
    pln_conn_info b = quic_node_info(f->b);
    assert_int_equal(a.alpn, PLN_ALPN_MESH_2);
    assert_int_equal(b.alpn, PLN_ALPN_MESH_2);
    assert_memory_equal(a.peer.bytes, f->b->key.bytes, POLLEN_KEY_BYTES);
    assert_memory_equal(b.peer.bytes, f->a->key.bytes, POLLEN_KEY_BYTES);
    assert_false(a.inbound);
    assert_true(b.inbound);
    assert_true(a.rtt >= PLN_MS(10) && a.rtt < PLN_MS(40));
}

static void the_peer_s_member_certificate_is_kept(void **state) {
    fixture *f = *state;
    connect_pair(f);
    size_t size = 0;
    const uint8_t *cert = pln_quic_peer_cert(f->a->quic, f->a->conn, &size);
    assert_int_equal(size, 354);
    assert_int_equal(cert[0], 2);
    cert = pln_quic_peer_cert(f->b->quic, f->b->conn, &size);
    assert_int_equal(size, 354);
    assert_int_equal(cert[353], 1);
}

static void datagrams_arrive_in_both_directions(void **state) {
    fixture *f = *state;
    connect_pair(f);
    assert_int_equal(quic_node_send(f->a, 1000, 7), POLLEN_OK);
    assert_int_equal(quic_node_send(f->b, 1, 9), POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(100));
    assert_int_equal(f->b->datagrams.count, 1);
    assert_int_equal(f->b->datagrams.bytes, 1000);
    assert_int_equal(f->b->datagrams.head->data[999], (uint8_t)(7 + 999));
    assert_int_equal(f->a->datagrams.bytes, 1);
}

static void a_stream_carries_bytes_and_their_end(void **state) {
    fixture *f = *state;
    connect_pair(f);
    int64_t id = -1;
    assert_int_equal(pln_quic_stream_open(f->a->quic, f->a->conn, &id), POLLEN_OK);
    assert_int_equal(
        pln_quic_stream_send(f->a->quic, f->a->conn, id, quic_pair_chunk(5000, 1), true),
        POLLEN_OK);
    quic_pair_run(&f->pair, PLN_MS(100));
    assert_int_equal(f->b->stream, id);
    size_t got = 0;
    bool fin = false;
    while (!fin) {
        pln_chunk *chunk = pln_quic_stream_recv(f->b->quic, f->b->conn, id, &fin);
        assert_non_null(chunk);
        for (size_t i = 0; i < pln_chunk_size(chunk); i++) {
            assert_int_equal(chunk->data[chunk->begin + i], (uint8_t)(1 + got + i));
        }
        got += pln_chunk_size(chunk);
        pln_chunk_destroy(chunk);
    }
    assert_int_equal(got, 5000);
}

static void a_close_reaches_the_peer_with_its_phrase(void **state) {
    fixture *f = *state;
    connect_pair(f);
    pln_quic_close(f->a->quic, f->a->conn, 0, "disconnect", f->pair.now);
    quic_pair_run(&f->pair, PLN_MS(100));
    assert_int_equal(quic_node_seen(f->b, PLN_QUIC_CLOSED), 1);
    assert_int_equal(f->b->closed.end, PLN_QUIC_END_APP);
    assert_int_equal(f->b->closed.code, 0);
    assert_string_equal(f->b->closed.phrase, "disconnect");
    assert_int_equal(quic_node_seen(f->a, PLN_QUIC_CLOSED), 0);
    pln_conn_info info;
    assert_int_equal(pln_quic_conn_info(f->a->quic, f->a->conn, &info), POLLEN_ENOENT);
    assert_int_equal(pln_quic_conn_info(f->b->quic, f->b->conn, &info), POLLEN_ENOENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_sides_connect_with_pollen_2, setup, teardown),
        cmocka_unit_test_setup_teardown(the_peer_s_member_certificate_is_kept, setup, teardown),
        cmocka_unit_test_setup_teardown(datagrams_arrive_in_both_directions, setup, teardown),
        cmocka_unit_test_setup_teardown(a_stream_carries_bytes_and_their_end, setup, teardown),
        cmocka_unit_test_setup_teardown(a_close_reaches_the_peer_with_its_phrase, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
