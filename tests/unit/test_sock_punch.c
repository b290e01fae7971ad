/* SPDX-License-Identifier: Apache-2.0 */
/* What is sent where and when in a punch, and what counts as an answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "support/sock_rig.h"

#define PEER "198.51.100.2:40000"

static void assert_sent_to(const rig_sent *sent, uint32_t via, const char *remote) {
    char text[POLLEN_ADDR_TEXT_BYTES];
    assert_int_equal(sent->to.path.via, via);
    assert_string_equal(pollen_addr_format(&sent->to.path.remote, text), remote);
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void an_opener_of_two_hops_comes_40_ms_before_all_else(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 39);
    assert_int_equal(rig->sent_count, 1);
    assert_sent_to(&rig->sent[0], PLN_VIA_MAIN, PEER);
    assert_int_equal(rig->sent[0].to.ttl, 2);
    assert_int_equal(rig->sent[0].probe.kind, PLN_PROBE_REQUEST);
    sock_rig_run_to(rig, 40);
    assert_int_equal(rig->sent_count, 2);
    assert_int_equal(rig->sent[1].to.ttl, 0);
}

/* What we send must not be at the peer's NAT before the peer has sent, and its trigger may be lost;
 * but our own firewall is to be open when it comes. */
static void a_patient_side_sends_openers_alone_for_a_second(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    plan.ours.mapping = POLLEN_NAT_MAPPING_NONE;
    plan.theirs = (pln_nat_brief){.mapping = POLLEN_NAT_MAPPING_UNKNOWN};
    plan.patient = true;
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 999);
    assert_int_equal(rig->sent_count, 3);
    for (size_t i = 0; i < rig->sent_count; i++) {
        assert_int_equal(rig->sent[i].to.ttl, 2);
    }
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_TRY), 0);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OPEN_SOCKET), 0);
    sock_rig_run_to(rig, 1070); /* A tenth of the pause, at most, is jitter. */
    assert_true(rig->sent_count > 3);
    assert_int_equal(rig->sent[3].to.ttl, 0);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_TRY), 1);
}

static void a_patient_side_answers_at_once(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    plan.ours.mapping = POLLEN_NAT_MAPPING_NONE;
    plan.patient = true;
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 30);
    sock_rig_hear_request(rig, PLN_VIA_MAIN, PEER);
    assert_int_equal(rig->sent[1].probe.kind, PLN_PROBE_RESPONSE);
    assert_int_equal(rig->sent[2].probe.kind, PLN_PROBE_REQUEST);
    assert_int_equal(rig->sent[2].to.ttl, 0);
}

static void a_planned_moment_is_waited_for(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    plan.at = rig->start + PLN_MS(250);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 249);
    assert_int_equal(rig->sent_count, 0);
    assert_int_equal(pln_sock_next_expiry(rig->sock), rig->start + PLN_MS(250));
    sock_rig_run_to(rig, 250);
    assert_int_equal(rig->sent_count, 1);
}

static void requests_are_repeated_until_the_deadline(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_NONE, POLLEN_NAT_MAPPING_NONE);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 2999);
    assert_in_range(rig->sent_count, 16, 20);
    for (size_t i = 1; i < rig->sent_count; i++) {
        assert_in_range(rig->sent[i].at - rig->sent[i - 1].at, PLN_MS(40), PLN_MS(230));
        assert_memory_equal(rig->sent[i].probe.nonce, rig->sent[0].probe.nonce, 16);
    }
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OVER), 0);
    size_t sent = rig->sent_count;
    sock_rig_run_to(rig, 3000);
    const pln_sock_event *over = sock_rig_last(rig, PLN_SOCK_OVER);
    assert_non_null(over);
    assert_int_equal(over->end, PLN_PUNCH_DEADLINE);
    assert_int_equal(over->attempt, 77);
    assert_int_equal(over->stats.probes_sent, sent);
    assert_int_equal(over->stats.ways_used, 1);
    sock_rig_run_to(rig, 10000);
    assert_int_equal(rig->sent_count, sent);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OVER), 1);
}

static void an_address_on_the_lan_needs_no_opener(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    plan.target_count = 2;
    plan.targets[1] =
        (pln_punch_target){.addr = sock_rig_addr("192.168.1.7:60611"), .kind = PLN_TARGET_LAN};
    sock_rig_start(rig, &plan);
    assert_int_equal(rig->sent_count, 2);
    assert_sent_to(&rig->sent[1], PLN_VIA_MAIN, "192.168.1.7:60611");
    assert_int_equal(rig->sent[0].to.ttl, 2);
    assert_int_equal(rig->sent[1].to.ttl, 0);
}

static void without_openers_all_requests_go_all_the_way(void **state) {
    (void)state;
    sock_rig *rig = sock_rig_create_with((pln_sock_config){.without_openers = true});
    pln_punch_plan plan = sock_rig_plan(rig);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 1000);
    for (size_t i = 0; i < rig->sent_count; i++) {
        assert_int_equal(rig->sent[i].to.ttl, 0);
    }
    sock_rig_destroy(rig);
}

static void a_late_wake_up_makes_up_for_nothing(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_EASY, POLLEN_NAT_MAPPING_HARD);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 300); /* The spray is under way. */
    size_t sent = rig->sent_count;
    rig->now += PLN_MS(600);
    pln_sock_handle_timeout(rig->sock, rig->now);
    sock_rig_drain(rig);
    assert_in_range(rig->sent_count - sent, 1, 20);
}

static void at_most_six_targets_are_tried(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    plan.target_count = 16;
    for (uint16_t i = 0; i < 16; i++) {
        plan.targets[i] = plan.targets[0];
        plan.targets[i].addr.port = (uint16_t)(40000 + i);
    }
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 800);
    pln_punch_stats stats;
    assert_true(pln_sock_get_stats(rig->sock, &plan.peer, &stats));
    assert_int_equal(stats.ways_used, 6);
}

static void more_targets_join_in(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    pln_punch_target more[3] = {
        {.addr = sock_rig_addr(PEER)},
        {.addr = sock_rig_addr("203.0.113.50:1")},
        {.addr = sock_rig_addr("224.0.0.1:9")},
    };
    assert_int_equal(pln_sock_add_targets(rig->sock, &plan.peer, more, 3, rig->now), 0);
    sock_rig_start(rig, &plan);
    assert_int_equal(pln_sock_add_targets(rig->sock, &plan.peer, more, 3, rig->now), 1);
    sock_rig_drain(rig);
    assert_int_equal(rig->sent_count, 2);
    assert_sent_to(&rig->sent[1], PLN_VIA_MAIN, "203.0.113.50:1");
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void an_answer_opens_the_way_once(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 100);
    sock_rig_hear_answer(rig, &rig->sent[1]);
    sock_rig_hear_answer(rig, &rig->sent[1]);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_HOLE), 1);
    const pln_sock_event *hole = sock_rig_last(rig, PLN_SOCK_HOLE);
    char text[POLLEN_ADDR_TEXT_BYTES];
    assert_int_equal(hole->path.via, PLN_VIA_MAIN);
    assert_string_equal(pollen_addr_format(&hole->path.remote, text), PEER);
    assert_int_equal(hole->method, PLN_PUNCH_OPEN);
    assert_int_equal(hole->attempt, 77);
    assert_true(pln_key_equal(&hole->peer, &plan.peer));
    assert_int_equal(hole->stats.first_hole_after, PLN_MS(100));
    assert_int_equal(sock_rig_answers(rig), 0); /* Answers are not answered. */
}

static void a_hole_stops_requests_for_a_second(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_NONE, POLLEN_NAT_MAPPING_NONE);
    plan.target_count = 2;
    plan.targets[1].addr = sock_rig_addr("198.51.100.2:40001");
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 100);
    sock_rig_hear_answer(rig, &rig->sent[0]);
    size_t sent = rig->sent_count;
    sock_rig_run_to(rig, 1099);
    assert_int_equal(rig->sent_count, sent);
    sock_rig_run_to(rig, 1100);
    assert_int_equal(rig->sent_count, sent + 1); /* Along the other way alone. */
    assert_sent_to(&rig->sent[sent], PLN_VIA_MAIN, "198.51.100.2:40001");
}

static void a_failed_dial_lets_punching_go_on(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    plan.target_count = 2;
    plan.targets[1].addr = sock_rig_addr("198.51.100.2:40001");
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 100);
    sock_rig_hear_answer(rig, &rig->sent[0]);
    size_t sent = rig->sent_count;
    pln_path path = sock_rig_last(rig, PLN_SOCK_HOLE)->path;
    sock_rig_run_to(rig, 400);
    pln_sock_hole_failed(rig->sock, &plan.peer, &path, rig->now);
    sock_rig_drain(rig);
    assert_int_equal(rig->sent_count, sent + 1);
}

static void a_handshake_may_outlast_the_deadline(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 2900);
    sock_rig_hear_answer(rig, &rig->sent[0]);
    sock_rig_run_to(rig, 3899);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OVER), 0);
    sock_rig_run_to(rig, 3900);
    assert_int_equal(sock_rig_last(rig, PLN_SOCK_OVER)->end, PLN_PUNCH_DEADLINE);
}

static void answers_count_only_with_our_nonce_from_the_peer(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    sock_rig_start(rig, &plan);
    pln_probe answer = rig->sent[0].probe;
    answer.kind = PLN_PROBE_RESPONSE;
    sock_rig_hear(rig, PLN_VIA_MAIN, "198.51.100.3:40000", &answer); /* Another's address. */
    sock_rig_hear(rig, PLN_VIA_MAIN, "198.51.100.2:40001", &answer); /* Of an easy NAT. */
    sock_rig_hear(rig, 7, PEER, &answer);                            /* No such socket. */
    answer.nonce[15] ^= 1;
    sock_rig_hear(rig, PLN_VIA_MAIN, PEER, &answer);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_HOLE), 0);
}

static void a_long_answer_is_none(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    sock_rig_start(rig, &plan);
    uint8_t bytes[18] = {0};
    pln_probe answer = rig->sent[0].probe;
    answer.kind = PLN_PROBE_RESPONSE;
    pln_probe_encode(&answer, bytes);
    pln_datagram datagram = {.path = {.remote = sock_rig_addr(PEER)}, .data = bytes, .size = 18};
    pln_sock_handle_probe(rig->sock, &datagram, rig->now);
    sock_rig_drain(rig);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_HOLE), 0);
    datagram.size = 17;
    pln_sock_handle_probe(rig->sock, &datagram, rig->now);
    sock_rig_drain(rig);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_HOLE), 1);
}

static void a_hard_peer_may_answer_from_another_port(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_EASY, POLLEN_NAT_MAPPING_HARD);
    sock_rig_start(rig, &plan);
    pln_probe answer = rig->sent[0].probe;
    answer.kind = PLN_PROBE_RESPONSE;
    sock_rig_hear(rig, PLN_VIA_MAIN, "198.51.100.3:555", &answer);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_HOLE), 0);
    sock_rig_hear(rig, PLN_VIA_MAIN, "198.51.100.2:555", &answer);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_HOLE), 1);
}

/* ---- Requests of the peer -------------------------------------------------------------------- */

static void a_request_is_answered_and_returned(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 30);
    sock_rig_hear_request(rig, PLN_VIA_MAIN, PEER);
    assert_int_equal(rig->sent_count, 3);
    assert_int_equal(rig->sent[1].probe.kind, PLN_PROBE_RESPONSE);
    assert_int_equal(rig->sent[1].probe.nonce[0], 0xaa);
    assert_sent_to(&rig->sent[1], PLN_VIA_MAIN, PEER);
    assert_int_equal(rig->sent[2].probe.kind, PLN_PROBE_REQUEST);
    assert_sent_to(&rig->sent[2], PLN_VIA_MAIN, PEER);
    assert_int_equal(rig->sent[2].to.ttl, 0); /* The hole is there. */
}

static void a_request_from_another_port_is_answered_and_returned_there(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_EASY, POLLEN_NAT_MAPPING_HARD);
    sock_rig_start(rig, &plan);
    sock_rig_hear_request(rig, PLN_VIA_MAIN, "198.51.100.2:2222");
    assert_int_equal(rig->sent_count, 3);
    assert_sent_to(&rig->sent[1], PLN_VIA_MAIN, "198.51.100.2:2222");
    assert_sent_to(&rig->sent[2], PLN_VIA_MAIN, "198.51.100.2:2222");
    sock_rig_hear_answer(rig, &rig->sent[2]);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_HOLE), 1);
}

static void the_answer_leaves_from_where_the_request_came_in(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_HARD, POLLEN_NAT_MAPPING_EASY);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 300);
    size_t sent = rig->sent_count;
    sock_rig_hear_request(rig, 5, PEER);
    assert_int_equal(rig->sent_count, sent + 2);
    assert_sent_to(&rig->sent[sent], 5, PEER);
    assert_sent_to(&rig->sent[sent + 1], 5, PEER);
    sock_rig_hear_answer(rig, &rig->sent[sent + 1]);
    const pln_sock_event *hole = sock_rig_last(rig, PLN_SOCK_HOLE);
    assert_int_equal(hole->path.via, 5);
    assert_int_equal(hole->method, PLN_PUNCH_BIRTHDAY);
}

static void requests_for_peers_behind_one_nat_serve_all_of_them(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan one = sock_rig_plan(rig);
    pln_punch_plan two = sock_rig_plan(rig);
    two.peer = sock_rig_key(2);
    two.targets[0].addr.port = 40002;
    sock_rig_start(rig, &one);
    sock_rig_start(rig, &two);
    size_t sent = rig->sent_count;
    sock_rig_hear_request(rig, PLN_VIA_MAIN, "198.51.100.2:40009");
    assert_int_equal(sock_rig_answers(rig), 1);
    assert_int_equal(rig->sent_count, sent + 3); /* Each asks with its own nonce. */
}

static void our_own_request_coming_back_is_nobody_s(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan(rig);
    sock_rig_start(rig, &plan);
    sock_rig_hear(rig, PLN_VIA_MAIN, PEER, &rig->sent[0].probe);
    assert_int_equal(rig->sent_count, 1);
}

/* ---- The ladder ------------------------------------------------------------------------------ */

static void two_sides_without_nat_never_open_a_socket(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_NONE, POLLEN_NAT_MAPPING_NONE);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 4000);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OPEN_SOCKET), 0);
    assert_in_range(sock_rig_requests(rig), 1, 20);
}

static void an_easy_pair_that_does_not_meet_changes_the_method(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_EASY, POLLEN_NAT_MAPPING_EASY);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 829);
    assert_in_range(sock_rig_requests(rig), 6, 10);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OPEN_SOCKET), 0);
    sock_rig_run_to(rig, 2999);
    assert_int_equal(rig->open, 256);
    sock_rig_run_to(rig, 3000);
    assert_in_range(sock_rig_last(rig, PLN_SOCK_OVER)->stats.ways_used, 1000, 1300);
}

static void a_target_newer_than_what_is_told_is_counted_from(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_EASY, POLLEN_NAT_MAPPING_HARD);
    plan.theirs.allocation = POLLEN_NAT_ALLOCATION_SEQUENTIAL;
    plan.theirs.port_count = 3;
    plan.theirs.ports[0] = 39960;
    plan.theirs.ports[1] = 39995; /* It overtook the first, */
    plan.theirs.ports[2] = 39978;
    sock_rig_start(rig, &plan);
    assert_int_equal(rig->sent[1].to.path.remote.port, 40001);
    assert_int_equal(rig->sent[8].to.path.remote.port, 40008);
}

static void the_hard_side_keeps_256_sockets_alive(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_HARD, POLLEN_NAT_MAPPING_EASY);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 199);
    assert_int_equal(rig->open, 0);
    sock_rig_run_to(rig, 330);
    for (uint64_t ms = 330; ms < 3000; ms += 10) {
        sock_rig_run_to(rig, ms);
        assert_int_equal(rig->open, 256);
    }
    assert_int_equal(rig->open_most, 256);
    sock_rig_run_to(rig, 3000);
    assert_int_equal(rig->open, 0);
    const pln_sock_event *over = sock_rig_last(rig, PLN_SOCK_OVER);
    assert_int_equal(over->stats.method, PLN_PUNCH_BIRTHDAY);
    assert_in_range(over->stats.ways_used, 257, 1300);
    assert_in_range(over->stats.probes_sent, 1024, 2600);
}

/* Of most sockets nothing reaches the peer's NAT while the peer sprays; but openers open no NAT
 * that is some hops away. */
static void most_of_the_many_sockets_send_openers_alone_while_the_peer_sprays(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_HARD, POLLEN_NAT_MAPPING_EASY);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 3000);
    static const unsigned patience_ms[8] = {90, 1390, 1390, 1390, 440, 1390, 1390, 1390};
    pln_ts first[257] = {0};
    size_t full = 0;
    for (size_t i = 0; i < rig->sent_count; i++) {
        const rig_sent *sent = &rig->sent[i];
        uint32_t via = sent->to.path.via;
        if (via == PLN_VIA_MAIN || via > 256) {
            continue;
        }
        first[via] = first[via] == 0 ? sent->at : first[via];
        pln_dur age = sent->at - first[via];
        assert_int_equal(sent->to.ttl, age < PLN_MS(patience_ms[via % 8]) ? 2 : 0);
        full += sent->to.ttl == 0;
    }
    assert_in_range(full, 512, 1500);
}

static void the_easy_side_sprays_1280_ports_once_each(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_EASY, POLLEN_NAT_MAPPING_HARD);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 251);
    assert_in_range(rig->sent_count, 1, 8);
    sock_rig_run_to(rig, 3000);
    static uint8_t seen[65536];
    memset(seen, 0, sizeof(seen));
    size_t sprayed = 0;
    for (size_t i = 0; i < rig->sent_count; i++) {
        uint16_t port = rig->sent[i].to.path.remote.port;
        assert_int_equal(rig->sent[i].to.path.via, PLN_VIA_MAIN);
        if (port != 40000) {
            assert_int_equal(seen[port], 0);
            assert_in_range(port, 1024, 65535);
            assert_int_equal(rig->sent[i].to.ttl, 0);
            seen[port] = 1;
            sprayed++;
        }
    }
    assert_in_range(sprayed, 1279, 1280); /* The known port may be among them. */
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OPEN_SOCKET), 0);
    assert_in_range(sock_rig_last(rig, PLN_SOCK_OVER)->stats.ways_used, 1280, 1300);
}

static void a_spray_is_paced_at_1000_a_second_after_a_quarter_of_that(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_EASY, POLLEN_NAT_MAPPING_HARD);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 3000);
    for (size_t i = 0; i + 100 < rig->sent_count; i++) {
        bool burst = rig->sent[i].at < PLN_MS(252 + 128);
        assert_true(rig->sent[i + 100].at - rig->sent[i].at >= (burst ? PLN_MS(45) : PLN_MS(90)));
    }
    size_t early = 0;
    while (rig->sent[early].at < PLN_MS(252 + 128)) {
        early++;
    }
    assert_in_range(early, 250, 270);
}

/* Both are to be there at the same time, whatever the round trip is. */
static void the_nearer_the_peer_the_sooner_a_birthday(void **state) {
    (void)state;
    static const struct {
        unsigned rtt_ms, sockets_ms, spray_ms;
    } expected[] = {{1, 90, 132}, {80, 150, 162}, {200, 270, 270}, {2000, 600, 600}};
    for (size_t i = 0; i < 4; i++) {
        for (unsigned hard = 0; hard < 2; hard++) {
            sock_rig *rig = sock_rig_create();
            pln_punch_plan plan =
                sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_EASY, POLLEN_NAT_MAPPING_HARD);
            if (hard == 1) {
                plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_HARD, POLLEN_NAT_MAPPING_EASY);
            }
            plan.rtt = PLN_MS(expected[i].rtt_ms);
            unsigned at = hard == 1 ? expected[i].sockets_ms : expected[i].spray_ms;
            pln_punch_stats stats;
            sock_rig_start(rig, &plan);
            sock_rig_run_to(rig, at - 1);
            assert_true(pln_sock_get_stats(rig->sock, &plan.peer, &stats));
            assert_int_equal(stats.method, PLN_PUNCH_OPEN);
            sock_rig_run_to(rig, at);
            assert_true(pln_sock_get_stats(rig->sock, &plan.peer, &stats));
            assert_int_equal(stats.method, PLN_PUNCH_BIRTHDAY);
            sock_rig_destroy(rig);
        }
    }
}

static void a_second_attempt_sprays_other_ports(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_EASY, POLLEN_NAT_MAPPING_HARD);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 30000);
    size_t first = rig->sent_count;
    plan.at = rig->now;
    plan.deadline = rig->now + PLN_S(3);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 34000);
    assert_in_range(rig->sent_count - first, 1280, 1310);
    static uint8_t seen[65536];
    memset(seen, 0, sizeof(seen));
    for (size_t i = 0; i < rig->sent_count; i++) {
        uint16_t port = rig->sent[i].to.path.remote.port;
        assert_true(port == 40000 || seen[port] == 0);
        seen[port] = 1;
    }
}

static void an_answer_from_a_sprayed_port_counts(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan =
        sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_UNKNOWN, POLLEN_NAT_MAPPING_UNKNOWN);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 600);
    const rig_sent *last = &rig->sent[rig->sent_count - 1];
    assert_int_not_equal(last->to.path.remote.port, 40000);
    rig_sent sprayed = *last;
    sock_rig_hear_answer(rig, &sprayed);
    assert_int_equal(sock_rig_last(rig, PLN_SOCK_HOLE)->method, PLN_PUNCH_BIRTHDAY);
}

static void a_sequential_peer_is_tried_at_its_next_eight_ports(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_EASY, POLLEN_NAT_MAPPING_HARD);
    plan.theirs.allocation = POLLEN_NAT_ALLOCATION_SEQUENTIAL;
    plan.theirs.port_count = 1;
    plan.theirs.ports[0] = 40000;
    sock_rig_start(rig, &plan);
    assert_int_equal(rig->sent_count, 9);
    for (size_t i = 1; i <= 8; i++) {
        assert_int_equal(rig->sent[i].to.path.remote.port, 40000 + i);
        assert_int_equal(rig->sent[i].to.ttl, 2);
    }
    sock_rig_run_to(rig, 600);
    assert_in_range(rig->sent_count, 30, 64);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OPEN_SOCKET), 0);
}

static void predicted_ports_go_by_the_step_and_around(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_EASY, POLLEN_NAT_MAPPING_HARD);
    plan.theirs = (pln_nat_brief){.mapping = POLLEN_NAT_MAPPING_HARD,
                                  .allocation = POLLEN_NAT_ALLOCATION_SEQUENTIAL,
                                  .step = 256,
                                  .port_count = 1,
                                  .ports = {64800}};
    sock_rig_start(rig, &plan);
    assert_int_equal(rig->sent[1].to.path.remote.port, 65056);
    assert_int_equal(rig->sent[2].to.path.remote.port, 65312);
    assert_int_equal(rig->sent[3].to.path.remote.port, 33); /* 0xfd20, 0xfe20, 0xff20, 0x0021 */
}

static void two_sequential_sides_aim_35_ahead_with_40_sockets(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_HARD, POLLEN_NAT_MAPPING_HARD);
    plan.ours.allocation = POLLEN_NAT_ALLOCATION_SEQUENTIAL;
    plan.theirs.allocation = POLLEN_NAT_ALLOCATION_SEQUENTIAL;
    plan.theirs.port_count = 1;
    plan.theirs.ports[0] = 40000;
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 100);
    assert_int_equal(rig->open, 40);
    size_t openers = 0;
    for (size_t i = 0; i < rig->sent_count; i++) {
        if (rig->sent[i].to.path.via != PLN_VIA_MAIN) {
            assert_int_equal(rig->sent[i].to.path.remote.port, 40035);
            openers += rig->sent[i].to.ttl == 2;
        }
    }
    assert_int_equal(openers, 40);
    size_t first = rig->sent_count;
    sock_rig_run_to(rig, 499);
    assert_int_equal(rig->open, 40);
    sock_rig_run_to(rig, 600); /* The same once more, farther ahead. */
    assert_int_equal(rig->open, 100);
    openers = 0;
    for (size_t i = first; i < rig->sent_count; i++) {
        openers += rig->sent[i].to.path.remote.port == 40095 && rig->sent[i].to.ttl == 2;
    }
    assert_int_equal(openers, 60);
    sock_rig_run_to(rig, 3000);
    assert_int_equal(rig->open_most, 100);
    assert_int_equal(sock_rig_last(rig, PLN_SOCK_OVER)->end, PLN_PUNCH_DEADLINE);
}

static void two_random_sides_are_hopeless_within_a_second(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_HARD, POLLEN_NAT_MAPPING_HARD);
    plan.ours.allocation = POLLEN_NAT_ALLOCATION_RANDOM;
    plan.theirs.allocation = POLLEN_NAT_ALLOCATION_RANDOM;
    plan.target_count = 16;
    for (uint16_t i = 0; i < 16; i++) {
        plan.targets[i] = plan.targets[0];
        plan.targets[i].addr.port = (uint16_t)(40000 + i);
    }
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 799);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OVER), 0);
    sock_rig_run_to(rig, 800);
    assert_int_equal(sock_rig_last(rig, PLN_SOCK_OVER)->end, PLN_PUNCH_HOPELESS);
    assert_in_range(rig->sent_count, 1, 32);
    assert_int_equal(sock_rig_count(rig, PLN_SOCK_OPEN_SOCKET), 0);
}

static void a_socket_that_heard_the_peer_is_not_given_up(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan = sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_HARD, POLLEN_NAT_MAPPING_EASY);
    plan.deadline = rig->now + PLN_S(5);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 1700);
    sock_rig_hear_request(rig, 3, PEER); /* Our answer may be all that the peer needs. */
    sock_rig_run_to(rig, 4999);
    for (size_t i = 0; i < rig->event_count; i++) {
        assert_true(rig->events[i].kind != PLN_SOCK_CLOSE_SOCKET || rig->events[i].via != 3);
    }
    assert_in_range(sock_rig_count(rig, PLN_SOCK_CLOSE_SOCKET), 250, 384);
}

static void an_unknown_pair_waits_and_then_does_both(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan =
        sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_UNKNOWN, POLLEN_NAT_MAPPING_UNKNOWN);
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 399);
    assert_in_range(rig->sent_count, 1, 8);
    assert_int_equal(rig->open, 0);
    sock_rig_run_to(rig, 3000);
    const pln_sock_event *over = sock_rig_last(rig, PLN_SOCK_OVER);
    assert_int_equal(rig->open_most, 256);
    assert_in_range(over->stats.ways_used, 1000, 1300);
}

static void for_a_peer_of_one_shot_the_spray_begins_at_once(void **state) {
    sock_rig *rig = *state;
    pln_punch_plan plan =
        sock_rig_plan_for(rig, POLLEN_NAT_MAPPING_UNKNOWN, POLLEN_NAT_MAPPING_UNKNOWN);
    plan.one_shot = true;
    sock_rig_start(rig, &plan);
    sock_rig_run_to(rig, 8);
    assert_in_range(rig->sent_count, 257, 260);
    sock_rig_run_to(rig, 149);
    assert_in_range(rig->sent_count, 380, 420);
    assert_int_equal(rig->open, 0);
    sock_rig_run_to(rig, 280);
    assert_int_equal(rig->open, 256);
    sock_rig_run_to(rig, 3000);
    assert_in_range(sock_rig_last(rig, PLN_SOCK_OVER)->stats.ways_used, 1000, 1300);
    assert_in_range(rig->sent_count, 1000, 2900);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        RULE(an_opener_of_two_hops_comes_40_ms_before_all_else),
        RULE(a_patient_side_sends_openers_alone_for_a_second),
        RULE(a_patient_side_answers_at_once),
        RULE(a_planned_moment_is_waited_for),
        RULE(requests_are_repeated_until_the_deadline),
        RULE(an_address_on_the_lan_needs_no_opener),
        RULE(without_openers_all_requests_go_all_the_way),
        RULE(a_late_wake_up_makes_up_for_nothing),
        RULE(at_most_six_targets_are_tried),
        RULE(more_targets_join_in),
        RULE(an_answer_opens_the_way_once),
        RULE(a_hole_stops_requests_for_a_second),
        RULE(a_failed_dial_lets_punching_go_on),
        RULE(a_handshake_may_outlast_the_deadline),
        RULE(answers_count_only_with_our_nonce_from_the_peer),
        RULE(a_long_answer_is_none),
        RULE(a_hard_peer_may_answer_from_another_port),
        RULE(a_request_is_answered_and_returned),
        RULE(a_request_from_another_port_is_answered_and_returned_there),
        RULE(the_answer_leaves_from_where_the_request_came_in),
        RULE(requests_for_peers_behind_one_nat_serve_all_of_them),
        RULE(our_own_request_coming_back_is_nobody_s),
        RULE(two_sides_without_nat_never_open_a_socket),
        RULE(an_easy_pair_that_does_not_meet_changes_the_method),
        RULE(a_target_newer_than_what_is_told_is_counted_from),
        RULE(the_hard_side_keeps_256_sockets_alive),
        RULE(most_of_the_many_sockets_send_openers_alone_while_the_peer_sprays),
        RULE(the_easy_side_sprays_1280_ports_once_each),
        RULE(a_spray_is_paced_at_1000_a_second_after_a_quarter_of_that),
        RULE(the_nearer_the_peer_the_sooner_a_birthday),
        RULE(a_second_attempt_sprays_other_ports),
        RULE(an_answer_from_a_sprayed_port_counts),
        RULE(a_sequential_peer_is_tried_at_its_next_eight_ports),
        RULE(predicted_ports_go_by_the_step_and_around),
        RULE(two_sequential_sides_aim_35_ahead_with_40_sockets),
        RULE(two_random_sides_are_hopeless_within_a_second),
        RULE(a_socket_that_heard_the_peer_is_not_given_up),
        RULE(an_unknown_pair_waits_and_then_does_both),
        RULE(for_a_peer_of_one_shot_the_spray_begins_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
