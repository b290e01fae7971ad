/* SPDX-License-Identifier: Apache-2.0 */
/* The measuring of throughput: what the two sides say, whom the server serves, percentiles. */
#include "support/api_rig.h"

#include "pln/bench_server.h"
#include "pln/percentile.h"

enum { SENT_BYTES = 100000 };

typedef struct bench_rig {
    rig nodes; /* Node 1 measures, node 0 serves. */
    pln_bench_server server;
} bench_rig;

static int set_up(void **state) {
    static bench_rig r;
    rig_init_pair(&r.nodes);
    pln_bench_server_init(&r.server);
    *state = &r;
    return 0;
}

static int tear_down(void **state) {
    bench_rig *r = *state;
    pollen_mesh_close(r->nodes.mesh[0]);
    pollen_mesh_close(r->nodes.mesh[1]);
    pln_bench_server_drain(&r->server);
    pln_bench_server_fini(&r->server);
    rig_fini(&r->nodes);
    return 0;
}

/* The opener's end of a stream that the server has. */
static pollen_stream *open_served(bench_rig *r) {
    pollen_stream *ends[2];
    rig_open(&r->nodes, PLN_BENCH_PORT, ends);
    pln_bench_server_accept(&r->server, ends[0]);
    return ends[1];
}

static void ask(pollen_stream *stream, pln_bench_direction direction, uint32_t seconds) {
    const pln_bench_request request = {direction, seconds};
    uint8_t bytes[PLN_BENCH_REQUEST_BYTES];
    pln_bench_request_encode(&request, bytes);
    assert_ok(pollen_stream_write(stream, bytes, sizeof bytes, SOON_MS, NULL, NULL));
}

static void expect_reset(pollen_stream *stream, uint64_t code) {
    uint8_t byte;
    size_t got;
    assert_int_equal(pollen_stream_read(stream, &byte, 1, SOON_MS, NULL, &got), POLLEN_ERESET);
    assert_int_equal(pollen_stream_reset_code(stream), code);
    pollen_stream_close(stream);
}

/* Nothing is sent, so that it is over at once. */
static void expect_served(pollen_stream *stream) {
    uint8_t bytes[PLN_BENCH_COUNT_BYTES];
    ask(stream, PLN_BENCH_UP, 1);
    assert_ok(pollen_stream_close_write(stream));
    assert_ok(pln_bench_read(stream, bytes, sizeof bytes, SOON_MS, NULL));
    assert_int_equal(pln_bench_count_decode(bytes).bytes, 0);
    pollen_stream_close(stream);
}

static void going_up_every_byte_is_counted(void **state) {
    bench_rig *r = *state;
    static uint8_t bytes[SENT_BYTES];
    uint8_t answer[PLN_BENCH_COUNT_BYTES];
    pollen_stream *stream = open_served(r);
    ask(stream, PLN_BENCH_UP, 1);
    assert_ok(pollen_stream_write(stream, bytes, sizeof bytes, SOON_MS, NULL, NULL));
    assert_ok(pollen_stream_close_write(stream));
    assert_ok(pln_bench_read(stream, answer, sizeof answer, SOON_MS, NULL));
    assert_int_equal(pln_bench_count_decode(answer).bytes, SENT_BYTES);
    pollen_stream_close(stream);
}

static void going_down_bytes_come_until_the_end(void **state) {
    bench_rig *r = *state;
    pln_bench_count count;
    pollen_stream *stream = open_served(r);
    ask(stream, PLN_BENCH_DOWN, 1);
    assert_ok(pln_bench_receive(stream, SOON_MS / 1000, NULL, &count));
    assert_true(count.bytes > 0);
    pollen_stream_close(stream);
}

static void a_peer_is_served_once_at_a_time(void **state) {
    bench_rig *r = *state;
    static const uint8_t garbage[PLN_BENCH_REQUEST_BYTES] = "no request here";
    pollen_stream *first = open_served(r);
    expect_reset(open_served(r), PLN_BENCH_BUSY);
    assert_ok(pollen_stream_write(first, garbage, sizeof garbage, SOON_MS, NULL, NULL));
    expect_reset(first, PLN_BENCH_MALFORMED);
    pln_bench_server_drain(&r->server);
    expect_served(open_served(r));
}

static void who_was_measured_long_enough_is_told(void **state) {
    bench_rig *r = *state;
    uint8_t bytes[PLN_BENCH_COUNT_BYTES];
    for (unsigned i = 0; i < PLN_BENCH_PEER_SECONDS / PLN_BENCH_SECONDS_MAX; i++) {
        pollen_stream *stream = open_served(r);
        ask(stream, PLN_BENCH_UP, PLN_BENCH_SECONDS_MAX);
        assert_ok(pollen_stream_close_write(stream)); /* It is asking that counts. */
        assert_ok(pln_bench_read(stream, bytes, sizeof bytes, SOON_MS, NULL));
        pollen_stream_close(stream);
        pln_bench_server_drain(&r->server);
    }
    pollen_stream *stream = open_served(r);
    ask(stream, PLN_BENCH_DOWN, PLN_BENCH_SECONDS_MAX);
    expect_reset(stream, PLN_BENCH_ENOUGH);
}

/* Ten minutes of two members, each of which asks for all that it can get. */
static size_t seconds_served(pln_bench_server *server, unsigned peers) {
    size_t served = 0;
    for (unsigned s = 0; s < 600; s++) {
        for (unsigned i = 0; i < peers; i++) {
            const pollen_key peer = {{(uint8_t)(i + 1)}};
            served += pln_bench_server_charge(server, &peer, 1, PLN_S(1000 + s));
        }
    }
    return served;
}

static void a_peer_is_measured_a_tenth_of_the_time(void **state) {
    pln_bench_server server;
    (void)state;
    pln_bench_server_init(&server);
    assert_int_equal(seconds_served(&server, 1), 300 + 59);
    pln_bench_server_fini(&server);
}

static void all_peers_are_measured_a_quarter_of_the_time(void **state) {
    pln_bench_server server;
    (void)state;
    pln_bench_server_init(&server);
    assert_in_range(seconds_served(&server, 8), 900 + 140, 900 + 150);
    pln_bench_server_fini(&server);
}

static void closing_the_mesh_ends_what_is_served(void **state) {
    bench_rig *r = *state;
    pollen_stream *stream = open_served(r);
    ask(stream, PLN_BENCH_DOWN, PLN_BENCH_SECONDS_MAX);
    pollen_mesh_close(r->nodes.mesh[0]);
    pln_bench_server_drain(&r->server);
    assert_int_equal(r->server.count, 0);
    pollen_stream_close(stream);
}

static void a_request_survives_the_round_trip(void **state) {
    const pln_bench_request request = {PLN_BENCH_DOWN, PLN_BENCH_SECONDS_MAX};
    uint8_t bytes[PLN_BENCH_REQUEST_BYTES];
    pln_bench_request back;
    (void)state;
    pln_bench_request_encode(&request, bytes);
    assert_true(pln_bench_request_decode(bytes, &back));
    assert_int_equal(back.direction, PLN_BENCH_DOWN);
    assert_int_equal(back.seconds, PLN_BENCH_SECONDS_MAX);
}

static void any_other_request_is_refused(void **state) {
    static const struct {
        size_t at;
        uint8_t value;
    } rows[] = {{0, 'P'}, {7, 'H'}, {8, 2},  {9, 0},  {9, 3},
                {10, 1},  {11, 1},  {12, 1}, {15, 0}, {15, PLN_BENCH_SECONDS_MAX + 1}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const pln_bench_request request = {PLN_BENCH_UP, 1};
        pln_bench_request back;
        uint8_t bytes[PLN_BENCH_REQUEST_BYTES];
        pln_bench_request_encode(&request, bytes);
        assert_true(pln_bench_request_decode(bytes, &back));
        bytes[rows[i].at] = rows[i].value;
        assert_false(pln_bench_request_decode(bytes, &back));
    }
}

static void a_percentile_is_the_nearest_rank(void **state) {
    uint64_t values[] = {50, 15, 40, 35, 20};
    (void)state;
    pln_percentile_sort(values, 5);
    assert_int_equal(pln_percentile(values, 5, 0), 15);
    assert_int_equal(pln_percentile(values, 5, 20), 15);
    assert_int_equal(pln_percentile(values, 5, 21), 20);
    assert_int_equal(pln_percentile(values, 5, 50), 35);
    assert_int_equal(pln_percentile(values, 5, 99), 50);
    assert_int_equal(pln_percentile(values, 5, 100), 50);
    assert_int_equal(pln_percentile(values, 1, 50), 15);
    assert_int_equal(pln_percentile(values, 0, 50), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(going_up_every_byte_is_counted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(going_down_bytes_come_until_the_end, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_peer_is_served_once_at_a_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(closing_the_mesh_ends_what_is_served, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_was_measured_long_enough_is_told, set_up, tear_down),
        cmocka_unit_test(a_peer_is_measured_a_tenth_of_the_time),
        cmocka_unit_test(all_peers_are_measured_a_quarter_of_the_time),
        cmocka_unit_test(a_request_survives_the_round_trip),
        cmocka_unit_test(any_other_request_is_refused),
        cmocka_unit_test(a_percentile_is_the_nearest_rank),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
