/* SPDX-License-Identifier: Apache-2.0 */
/* How two nodes find out what either of them lacks: clocks with the reference, digests else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/key.h"
#include "base/mem.h"
#include "support/state_net.h"
#include "support/state_rig.h"
#include "wire/digest.h"

enum { SEED = 7, OTHERS_FROM = 1000 };

typedef struct pair {
    pln_rng_seeded seeded;
    pln_rng rng;
    state_net net;
} pair;

static pair *new_pair(size_t references) {
    static pair p;
    p = (pair){.seeded = {{0}}};
    p.rng = pln_rng_from_seed(&p.seeded, SEED);
    state_net_init(&p.net, 2, references, &p.rng, NULL);
    state_net_run(&p.net);
    return &p;
}

static void set_port(pair *p, size_t who, uint16_t port) {
    assert_int_equal(pln_state_set_external_port(p->net.states[who], port), POLLEN_OK);
}

static void set_service(pair *p, size_t who, const char *name) {
    assert_int_equal(pln_state_set_service(p->net.states[who], name, 80), POLLEN_OK);
}

/* The first change of `who` is lost, a later one arrives: its counter hides the hole. */
static void lose_one_of_two(pair *p, size_t who) {
    set_service(p, who, "lost");
    p->net.loss_percent = 100;
    state_net_broadcast(&p->net);
    p->net.loss_percent = 0;
    set_port(p, who, 4000);
    state_net_run(&p->net);
    assert_int_equal(rig_member(p->net.states[1 - who], &p->net.keys[who]).external_port, 4000);
    assert_int_equal(rig_service_port(p->net.states[1 - who], &p->net.keys[who], "lost"), 0);
}

static void a_lost_batch_is_repaired_in_the_next_round(void **state) {
    (void)state;
    pair *p = new_pair(0);
    lose_one_of_two(p, 0);
    assert_int_equal(state_net_settle(&p->net, 9), 1);
    state_net_fini(&p->net);
}

/* Nobody can tell who lacks what when both hold the same highest counter of a third. */
static void two_that_lack_different_events_of_a_third_tell_each_other(void **state) {
    (void)state;
    pair *p = new_pair(0);
    pollen_key third = rig_key(0x33);
    pln_gossip_event event = rig_external_port(&third, 9, 1);
    rig_apply_one(p->net.states[0], &p->net.keys[1], &event);
    event = rig_external_port(&third, 9, 1);
    rig_apply_one(p->net.states[1], &p->net.keys[0], &event);
    event = rig_service(&third, 3, "a", 1);
    rig_apply_one(p->net.states[0], &p->net.keys[1], &event);
    event = rig_service(&third, 4, "b", 1);
    rig_apply_one(p->net.states[1], &p->net.keys[0], &event);
    assert_int_equal(state_net_settle(&p->net, 9), 1);
    assert_int_equal(rig_service_port(p->net.states[1], &third, "a"), 1);
    state_net_fini(&p->net);
}

static void a_batch_that_the_reference_lost_is_sent_again_unasked(void **state) {
    (void)state;
    pair *p = new_pair(1);
    lose_one_of_two(p, 1);
    assert_true(state_net_settle(&p->net, 20) <= 3);
    state_net_fini(&p->net);
}

static void a_batch_of_the_reference_s_that_we_lost_is_asked_for_again(void **state) {
    (void)state;
    pair *p = new_pair(1);
    lose_one_of_two(p, 0);
    assert_true(state_net_settle(&p->net, 100) <= 2 * PLN_GOSSIP_REPAIR_ROUNDS);
    state_net_fini(&p->net);
}

static void many_changes_are_told_in_envelopes_that_fit(void **state) {
    (void)state;
    pair *p = new_pair(0);
    pln_gossip_batch batch = {0};
    pln_bytes envelope = {0};
    size_t envelopes = 0;
    for (unsigned i = 0; i < 60; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "service %u", i);
        set_service(p, 0, name);
    }
    while (pln_state_poll_broadcast(p->net.states[0], &envelope)) {
        assert_in_range(envelope.size, 1, PLN_ENVELOPE_BYTES_TARGET);
        rig_read_events(&envelope, &batch);
        pln_bytes_fini(&envelope);
        envelopes += 1;
    }
    assert_int_equal(batch.count, 60);
    assert_int_equal(envelopes, 5);
    pln_gossip_batch_fini(&batch);
    state_net_fini(&p->net);
}

/* ---- Clocks ---------------------------------------------------------------------------------- */

/* Members with as many events each as their number says, up to 16. */
static pln_state *state_with(size_t others) {
    pollen_key us = rig_key(0x55);
    pollen_key teller = rig_key(0x66);
    pln_state *state = rig_state(&us, NULL);
    for (size_t i = 0; i < others; i++) {
        pollen_key key = rig_key_of((uint32_t)(OTHERS_FROM + i));
        pln_gossip_event events[16];
        pln_gossip_batch batch = {.events = events, .count = 1 + i % 16};
        for (size_t k = 0; k < batch.count; k++) {
            pollen_key peer = rig_key((uint8_t)k);
            events[k] = rig_reachability(&key, k + 1, &peer);
        }
        assert_int_equal(rig_apply(state, &teller, &batch), POLLEN_OK);
    }
    return state;
}

static size_t entries_sent(pln_state *state, size_t envelope_max) {
    pollen_key key = rig_key(0x66);
    pln_gossip_peer peer;
    pln_envelopes list = {0};
    pln_gossip_peer_init(&peer, &key, false, envelope_max, 0);
    pln_state_greet(state, &peer, 0, &list);
    assert_int_equal(list.count, 1);
    assert_true(list.items[0].size <= envelope_max);
    pln_gossip_clock clock = rig_clock(&list.items[0]);
    size_t count = clock.count;
    pln_gossip_clock_fini(&clock);
    pln_envelopes_fini(&list);
    return count;
}

static void a_clock_names_everybody_while_that_fits(void **state) {
    (void)state;
    pln_state *small = state_with(16); /* 17 with us, as many as the reference can tell of. */
    assert_int_equal(entries_sent(small, 1243), 17);
    pln_state_destroy(small);
}

static void a_clock_of_many_still_fits(void **state) {
    (void)state;
    const size_t sizes[] = {17, 18, 20, 400};
    for (size_t i = 0; i < 4; i++) {
        pln_state *large = state_with(sizes[i]);
        assert_int_equal(entries_sent(large, 1243), 17);
        assert_int_equal(entries_sent(large, 16383), sizes[i] < 234 ? sizes[i] + 1 : 234);
        pln_state_destroy(large);
    }
}

/* What the reference would send again for the authors that do not fit. */
static size_t bytes_outside(pln_state *state, const pln_gossip_clock *clock) {
    pln_envelopes list = {0};
    pln_bytes body = {0};
    pollen_key key = rig_key(0x66);
    pln_gossip_peer peer = rig_peer(&key);
    peer.answer_bytes = UINT64_MAX;
    size_t bytes = 0;
    assert_int_equal(pln_gossip_clock_encode(clock, &body), POLLEN_OK);
    assert_int_equal(pln_state_handle_clock(state, &peer, body.data, body.size, 0, &list),
                     POLLEN_OK);
    for (size_t i = 0; i < list.count; i++) {
        bytes += list.items[i].size;
    }
    pln_envelopes_fini(&list);
    pln_bytes_fini(&body);
    return bytes;
}

/* With 100 members a clock cannot name 83 of them; it is sent the more seldom. */
static void the_reference_is_not_made_to_flood_us(void **state) {
    (void)state;
    pln_state *large = state_with(99);
    pollen_key key = rig_key(0x66);
    pln_gossip_peer peer = rig_peer(&key);
    size_t bytes = 0;
    size_t clocks = 0;
    enum { ROUNDS = 200 };
    for (size_t i = 0; i < ROUNDS; i++) {
        pln_envelopes list = {0};
        pln_state_round(large, &peer, PLN_S(10) * i, &list);
        for (size_t k = 0; k < list.count; k++) {
            if (list.items[k].data[0] == (POLLEN_ENVELOPE_CLOCK << 3 | 2)) {
                pln_gossip_clock clock = rig_clock(&list.items[k]);
                bytes += bytes_outside(large, &clock);
                clocks += 1;
                pln_gossip_clock_fini(&clock);
            }
        }
        pln_envelopes_fini(&list);
    }
    assert_in_range(clocks, 20, ROUNDS / 2);
    assert_true(bytes / ROUNDS <= PLN_GOSSIP_RESENT_BYTES);
    pln_state_destroy(large);
}

static void a_thousand_empty_clocks_a_second_bring_little(void **state) {
    (void)state;
    pln_state *large = state_with(400);
    pollen_key key = rig_key(0x66);
    pln_gossip_peer peer = rig_peer(&key);
    size_t bytes = 0;
    for (unsigned i = 0; i < 1000; i++) {
        pln_envelopes list = {0};
        assert_int_equal(pln_state_handle_clock(large, &peer, NULL, 0, PLN_MS(i), &list),
                         POLLEN_OK);
        assert_true(list.count <= PLN_GOSSIP_ANSWER_ENVELOPES_MAX);
        for (size_t k = 0; k < list.count; k++) {
            bytes += list.items[k].size;
        }
        pln_envelopes_fini(&list);
    }
    /* One answer, as long as one may be; the rest comes with the rounds. */
    assert_in_range(bytes, 150000, PLN_GOSSIP_ANSWER_ENVELOPES_MAX * PLN_ENVELOPE_BYTES_TARGET);
    pln_state_destroy(large);
}

/* Clocks that name only some would bring the beginning of the same answer again and again. */
static void a_cut_answer_is_taken_up_where_it_ended(void **state) {
    (void)state;
    pair *p = new_pair(1);
    pln_state *from = p->net.states[1];
    for (uint32_t i = 0; i < 3000; i++) {
        pollen_key key = rig_key_of(OTHERS_FROM + i);
        pln_gossip_event event = rig_external_port(&key, 1, 1 + i);
        rig_apply_one(from, &p->net.keys[0], &event);
    }
    pln_gossip_clock empty = {0};
    pln_gossip_batch batch = rig_missing_for(from, &empty);
    assert_in_range(batch.count, 1000, 2999);
    pln_gossip_batch_fini(&batch);
    assert_in_range(state_net_settle(&p->net, 99), 2, 9);
    state_net_fini(&p->net);
}

/* ---- Digests --------------------------------------------------------------------------------- */

static void who_knows_nothing_of_400_learns_it_in_envelopes_that_fit(void **state) {
    (void)state;
    pair *p = new_pair(0);
    for (uint32_t i = 0; i < 400; i++) {
        pollen_key key = rig_key_of(OTHERS_FROM + i);
        pln_gossip_event event = rig_network(&key, 1, "192.0.2.1", 1 + i);
        rig_apply_one(p->net.states[0], &p->net.keys[1], &event);
        event = rig_service(&key, 2, "web", 1 + i);
        rig_apply_one(p->net.states[0], &p->net.keys[1], &event);
    }
    p->net.largest = 0;
    p->net.delivered = 0;
    state_net_link(&p->net, 0, 1, false);
    state_net_link(&p->net, 0, 1, true);
    assert_int_equal(state_net_settle(&p->net, 9), 0);
    assert_true(p->net.largest <= PLN_ENVELOPE_BYTES_TARGET);
    assert_in_range(p->net.delivered, 70, 200); /* 86 kB of events, and little beside. */
    state_net_fini(&p->net);
}

static void who_agree_send_one_small_digest_a_round(void **state) {
    (void)state;
    pair *p = new_pair(0);
    for (uint32_t i = 0; i < 400; i++) {
        pollen_key key = rig_key_of(OTHERS_FROM + i);
        pln_gossip_event event = rig_network(&key, 1, "192.0.2.1", 1 + i);
        rig_apply_one(p->net.states[0], &p->net.keys[1], &event);
    }
    assert_int_equal(state_net_settle(&p->net, 9), 1);
    p->net.delivered = 0;
    p->net.bytes = 0;
    state_net_round(&p->net);
    assert_int_equal(p->net.delivered, 2);
    assert_true(p->net.bytes <= 2 * 32);
    state_net_fini(&p->net);
}

/* One difference among 400 costs a few envelopes, not a list of all. */
static void one_difference_among_many_is_found_cheaply(void **state) {
    (void)state;
    pair *p = new_pair(0);
    for (uint32_t i = 0; i < 400; i++) {
        pollen_key key = rig_key_of(OTHERS_FROM + i);
        pln_gossip_event event = rig_network(&key, 1, "192.0.2.1", 1 + i);
        rig_apply_one(p->net.states[0], &p->net.keys[1], &event);
    }
    assert_int_equal(state_net_settle(&p->net, 9), 1);
    lose_one_of_two(p, 1);
    p->net.delivered = 0;
    assert_int_equal(state_net_settle(&p->net, 9), 1);
    assert_true(p->net.delivered <= 12);
    state_net_fini(&p->net);
}

/* All of an author that no single answer can hold: the parts that are sent differ. */
static void an_author_with_more_than_an_answer_holds_is_repaired(void **state) {
    (void)state;
    pair *p = new_pair(0);
    pollen_key author = rig_key(0x33);
    for (uint32_t i = 0; i < PLN_STATE_REACHABLE_MAX; i++) {
        pollen_key peer = rig_key_of(OTHERS_FROM + i);
        pln_gossip_event event = rig_reachability(&author, i + 1, &peer);
        rig_apply_one(p->net.states[0], &p->net.keys[1], &event);
        if (i % 2 == 1) {
            event = rig_reachability(&author, i + 1, &peer);
            rig_apply_one(p->net.states[1], &p->net.keys[0], &event);
        }
    }
    p->net.peers[0][1].answer_bytes = 20000;
    assert_in_range(state_net_settle(&p->net, 99), 1, 99);
    state_net_fini(&p->net);
}

static pln_digest digest_in(const pln_bytes *envelope) {
    size_t size;
    const uint8_t *body = rig_body(envelope, POLLEN_ENVELOPE_DIGEST, &size);
    pln_digest digest;
    assert_int_equal(pln_digest_decode(body, size, &digest), POLLEN_OK);
    return digest;
}

static void handle_digest(pair *p, size_t who, const pln_digest *digest, pln_envelopes *list) {
    pln_bytes envelope = {0};
    size_t size;
    assert_int_equal(pln_digest_encode(digest, &envelope), POLLEN_OK);
    const uint8_t *body = rig_body(&envelope, POLLEN_ENVELOPE_DIGEST, &size);
    assert_int_equal(pln_state_handle_digest(p->net.states[who], &p->net.peers[who][1 - who], body,
                                             size, p->net.now, list),
                     POLLEN_OK);
    pln_bytes_fini(&envelope);
}

static void many_wants_a_second_bring_little(void **state) {
    (void)state;
    pair *p = new_pair(0);
    pollen_key author = rig_key(0x33);
    size_t bytes = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        pollen_key peer = rig_key_of(OTHERS_FROM + i);
        pln_gossip_event event = rig_reachability(&author, i + 1, &peer);
        rig_apply_one(p->net.states[0], &p->net.keys[1], &event);
    }
    pln_digest want = {.want_count = 1, .wants = {{.author = author}}};
    for (unsigned i = 0; i < 1000; i++) {
        pln_envelopes list = {0};
        p->net.now += PLN_MS(1);
        handle_digest(p, 0, &want, &list);
        for (size_t k = 0; k < list.count; k++) {
            bytes += list.items[k].size;
        }
        pln_envelopes_fini(&list);
    }
    assert_in_range(bytes, PLN_GOSSIP_ANSWER_BURST / 2,
                    PLN_GOSSIP_ANSWER_BURST + PLN_GOSSIP_ANSWER_BYTES_PER_S);
    state_net_fini(&p->net);
}

/* Whose answer was cut says so, and who hears that asks again without waiting for its round. */
static void a_cut_answer_asks_to_be_asked_again(void **state) {
    (void)state;
    pair *p = new_pair(0);
    pollen_key author = rig_key(0x33);
    for (uint32_t i = 0; i < 400; i++) {
        pollen_key peer = rig_key_of(OTHERS_FROM + i);
        pln_gossip_event event = rig_reachability(&author, i + 1, &peer);
        rig_apply_one(p->net.states[0], &p->net.keys[1], &event);
    }
    p->net.peers[0][1].envelope_max = 150; /* One event each, so that 192 envelopes hold 192. */
    pln_digest want = {.want_count = 1, .wants = {{.author = author}}};
    pln_envelopes list = {0};
    handle_digest(p, 0, &want, &list);
    assert_int_equal(list.count, PLN_GOSSIP_ANSWER_ENVELOPES_MAX + 1);
    pln_digest last = digest_in(&list.items[list.count - 1]);
    assert_true(last.more);
    pln_envelopes_fini(&list);

    handle_digest(p, 1, &last, &list);
    assert_int_equal(list.count, 1);
    pln_digest again = digest_in(&list.items[0]);
    assert_int_equal(again.span_count, 1);
    assert_false(again.more);
    pln_envelopes_fini(&list);
    state_net_fini(&p->net);
}

/* ---- Refusals -------------------------------------------------------------------------------- */

/* An event of a later version is not asked for in every round. */
static void an_event_that_is_not_understood_counts_as_seen(void **state) {
    (void)state;
    pollen_key us = rig_key(0x55);
    pollen_key author = rig_key(0x11);
    pln_state *s = rig_state(&us, NULL);
    const uint8_t later[] = {12 << 3 | 2, 0};
    pln_gossip_event event = {
        .has_author = true, .author = author, .counter = 7, .kind = PLN_CHANGE_UNKNOWN};
    assert_true(pln_bytes_set(&event.unknown, later, sizeof(later)));
    rig_apply_one(s, &author, &event);
    event = rig_public(&author, 3);
    rig_apply_one(s, &author, &event);
    pln_gossip_peer peer = rig_peer(&author);
    pln_envelopes list = {0};
    pln_state_greet(s, &peer, 0, &list);
    pln_gossip_clock clock = rig_clock(&list.items[0]);
    assert_int_equal(clock.count, 2);
    assert_int_equal(clock.entries[0].counter, 7);
    pln_gossip_clock_fini(&clock);
    pln_envelopes_fini(&list);
    pln_state_destroy(s);
}

static void bodies_that_are_none_change_nothing(void **state) {
    (void)state;
    pollen_key us = rig_key(0x55);
    pln_state *s = rig_state(&us, NULL);
    pln_gossip_peer peer = rig_peer(&us);
    pln_envelopes list = {0};
    const uint8_t bad[] = {0x0a, 0x7f};
    assert_int_equal(pln_state_handle_events(s, &peer, bad, 2, 0), POLLEN_EPROTO);
    assert_int_equal(pln_state_handle_clock(s, &peer, bad, 2, 0, &list), POLLEN_EPROTO);
    assert_int_equal(pln_state_handle_digest(s, &peer, bad, 2, 0, &list), POLLEN_EPROTO);
    assert_int_equal(list.count, 0);
    assert_int_equal(pln_state_member_count(s), 1);
    pln_state_destroy(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_lost_batch_is_repaired_in_the_next_round),
        cmocka_unit_test(two_that_lack_different_events_of_a_third_tell_each_other),
        cmocka_unit_test(a_batch_that_the_reference_lost_is_sent_again_unasked),
        cmocka_unit_test(a_batch_of_the_reference_s_that_we_lost_is_asked_for_again),
        cmocka_unit_test(many_changes_are_told_in_envelopes_that_fit),
        cmocka_unit_test(a_clock_names_everybody_while_that_fits),
        cmocka_unit_test(a_clock_of_many_still_fits),
        cmocka_unit_test(the_reference_is_not_made_to_flood_us),
        cmocka_unit_test(a_thousand_empty_clocks_a_second_bring_little),
        cmocka_unit_test(a_cut_answer_is_taken_up_where_it_ended),
        cmocka_unit_test(who_knows_nothing_of_400_learns_it_in_envelopes_that_fit),
        cmocka_unit_test(who_agree_send_one_small_digest_a_round),
        cmocka_unit_test(one_difference_among_many_is_found_cheaply),
        cmocka_unit_test(an_author_with_more_than_an_answer_holds_is_repaired),
        cmocka_unit_test(many_wants_a_second_bring_little),
        cmocka_unit_test(a_cut_answer_asks_to_be_asked_again),
        cmocka_unit_test(an_event_that_is_not_understood_counts_as_seen),
        cmocka_unit_test(bodies_that_are_none_change_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
