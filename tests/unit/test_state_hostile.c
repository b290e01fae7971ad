/* SPDX-License-Identifier: Apache-2.0 */
/* What members that lie, and want of memory, can do to a state. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/key.h"
#include "base/mem.h"
#include "state/internal.h"
#include "support/cluster.h"
#include "support/fail_mem.h"
#include "support/state_rig.h"

typedef struct fixture {
    cluster cluster;
    pln_state *state;
    pollen_key us, liar, honest, victim;
} fixture;

static int setup(void **arg) {
    static fixture f;
    f = (fixture){.us = rig_key(0x55),
                  .liar = rig_key(0x66),
                  .honest = rig_key(0x77),
                  .victim = rig_key(0x11)};
    cluster_init(&f.cluster);
    f.state = rig_state(&f.us, &f.cluster.root.trust);
    assert_int_equal(pln_state_vouch(f.state, &f.liar, 1), POLLEN_OK);
    assert_int_equal(pln_state_vouch(f.state, &f.honest, 1), POLLEN_OK);
    *arg = &f;
    return 0;
}

static int teardown(void **arg) {
    fixture *f = *arg;
    pln_state_destroy(f->state);
    cluster_fini(&f->cluster);
    return 0;
}

static void tell(fixture *f, const pollen_key *who, pln_gossip_event event) {
    rig_apply_one(f->state, who, &event);
}

static pln_state_stats stats_of(const fixture *f) {
    pln_state_stats stats;
    pln_state_get_stats(f->state, &stats);
    return stats;
}

/* ---- Invented members ------------------------------------------------------------------------ */

/* So many in all, `from` being the first of their numbers. */
static void invent(fixture *f, const pollen_key *who, uint32_t from, uint32_t count) {
    enum { AT_ONCE = 500 };
    pln_gossip_event events[AT_ONCE];
    for (uint32_t done = 0; done < count; done += AT_ONCE) {
        pln_gossip_batch batch = {.events = events, .count = AT_ONCE};
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            pollen_key key = rig_key_of(from + done + i);
            events[i] = rig_external_port(&key, 1, 7);
        }
        assert_int_equal(rig_apply(f->state, who, &batch), POLLEN_OK);
    }
}

static void a_hundred_thousand_invented_members_are_bounded(void **arg) {
    fixture *f = *arg;
    tell(f, &f->honest, rig_external_port(&f->victim, 1, 4000));
    invent(f, &f->liar, 1, 100000);
    assert_int_equal(stats_of(f).hearsay, PLN_STATE_HEARSAY_MAX);
    assert_in_range(stats_of(f).bytes, 1, 16 * 1024 * 1024);
    /* Who is no hearsay, or was told of by another, is not touched. */
    assert_true(rig_knows(f->state, &f->liar));
    assert_int_equal(rig_member(f->state, &f->victim).external_port, 4000);
}

static void invented_members_make_room_for_what_another_tells(void **arg) {
    fixture *f = *arg;
    invent(f, &f->liar, 1, 40000);
    invent(f, &f->honest, 500000, 1000);
    for (uint32_t i = 0; i < 1000; i++) {
        pollen_key key = rig_key_of(500000 + i);
        assert_true(rig_knows(f->state, &key));
    }
    assert_int_equal(stats_of(f).hearsay, PLN_STATE_HEARSAY_MAX);
    size_t gone = 0;
    pln_state_event event;
    while (pln_state_poll_event(f->state, &event)) {
        gone += event.kind == PLN_STATE_MEMBER_GONE ? 1 : 0;
    }
    assert_int_equal(gone, 1000);
}

static void a_member_that_is_vouched_for_is_no_hearsay_any_more(void **arg) {
    fixture *f = *arg;
    tell(f, &f->liar, rig_external_port(&f->victim, 1, 4000));
    assert_int_equal(stats_of(f).hearsay, 1);
    assert_int_equal(pln_state_vouch(f->state, &f->victim, 2), POLLEN_OK);
    assert_int_equal(stats_of(f).hearsay, 0);
    assert_int_equal(rig_member(f->state, &f->victim).external_port, 4000);
    invent(f, &f->liar, 1, 40000);
    invent(f, &f->honest, 500000, 40000);
    assert_true(rig_knows(f->state, &f->victim));
}

/* Large events fill the memory that hearsay may take before its members are too many. */
static void what_invented_members_say_is_bounded_in_bytes(void **arg) {
    fixture *f = *arg;
    char ip[PLN_ADDR_TEXT_MAX + 1];
    memset(ip, '1', sizeof(ip) - 1);
    ip[sizeof(ip) - 1] = '\0';
    for (uint32_t i = 0; i < 6000; i++) {
        pollen_key key = rig_key_of(i + 1);
        pln_gossip_event event = rig_network(&key, 1, ip, 1);
        event.network.ips = pln_realloc(event.network.ips, 60 * sizeof(char *));
        for (size_t k = 1; k < 60; k++) {
            event.network.ips[k] = pln_strdup(ip);
        }
        event.network.ip_count = 60;
        tell(f, &f->liar, event);
    }
    assert_true(stats_of(f).bytes <= PLN_STATE_HEARSAY_BYTES_MAX + 4096);
    assert_in_range(stats_of(f).bytes, PLN_STATE_HEARSAY_BYTES_MAX - 32768,
                    PLN_STATE_HEARSAY_BYTES_MAX + 4096);
    tell(f, &f->honest, rig_network(&f->victim, 1, ip, 1));
    assert_int_equal(rig_member(f->state, &f->victim).ip_count, 1);
}

/* The root's word stays known and offered, whoever it came from. */
static void a_revocation_outlives_the_member_that_told_of_it(void **arg) {
    fixture *f = *arg;
    pollen_key subject = rig_key(0x22);
    pln_revocation revocation;
    assert_int_equal(pln_revocation_issue(&f->cluster.root, &subject, TEST_NOW, &revocation),
                     POLLEN_OK);
    invent(f, &f->liar, 1, 32500);
    tell(f, &f->liar, rig_revocation(&f->victim, 1, &revocation));
    invent(f, &f->liar, 40000, 500);
    invent(f, &f->honest, 500000, 1000);
    assert_false(rig_knows(f->state, &f->victim));
    assert_true(pln_state_is_revoked(f->state, &subject));
    pln_gossip_batch batch = rig_broadcast(f->state);
    assert_int_equal(batch.count, 1);
    assert_int_equal(batch.events[0].kind, PLN_CHANGE_REVOCATION);
    assert_true(pln_key_equal(&batch.events[0].author, &f->us));
    pln_gossip_batch_fini(&batch);
    pln_revocation_fini(&revocation);
}

/* ---- Counters -------------------------------------------------------------------------------- */

static void counters_near_their_end_are_refused(void **arg) {
    fixture *f = *arg;
    const uint64_t counters[] = {UINT64_MAX, UINT64_MAX - 1, (uint64_t)1 << 63,
                                 PLN_STATE_COUNTER_MAX + 1};
    for (size_t i = 0; i < 4; i++) {
        tell(f, &f->liar, rig_external_port(&f->victim, counters[i], 7));
        tell(f, &f->victim, rig_external_port(&f->victim, counters[i], 7));
        tell(f, &f->liar, rig_external_port(&f->us, counters[i], 7));
    }
    assert_false(rig_knows(f->state, &f->victim));
    assert_int_equal(rig_member(f->state, &f->us).counter, 1);
    tell(f, &f->honest, rig_external_port(&f->victim, 3, 4000));
    assert_int_equal(rig_member(f->state, &f->victim).external_port, 4000);
}

static void a_counter_that_leaps_is_refused_and_not_seen(void **arg) {
    fixture *f = *arg;
    tell(f, &f->honest, rig_external_port(&f->victim, 3, 4000));
    tell(f, &f->liar, rig_external_port(&f->victim, 3 + PLN_STATE_COUNTER_LEAP + 1, 7));
    assert_int_equal(rig_member(f->state, &f->victim).external_port, 4000);
    assert_int_equal(pln_authors_find(f->state, &f->victim)->seen, 3);
    tell(f, &f->liar, rig_external_port(&f->victim, 3 + PLN_STATE_COUNTER_LEAP, 8));
    assert_int_equal(rig_member(f->state, &f->victim).external_port, 8);
}

/* Its own session is where an author can say what nobody else may. */
static void an_author_itself_may_leap(void **arg) {
    fixture *f = *arg;
    tell(f, &f->honest, rig_external_port(&f->victim, 3, 4000));
    tell(f, &f->victim, rig_external_port(&f->victim, PLN_STATE_COUNTER_MAX, 5000));
    assert_int_equal(rig_member(f->state, &f->victim).external_port, 5000);
}

/* Who was lied to before it knew the author has the author's own clock to go by. */
static void a_forged_leap_is_dropped_when_the_author_says_so(void **arg) {
    fixture *f = *arg;
    tell(f, &f->liar, rig_external_port(&f->victim, (uint64_t)1 << 61, 7));
    tell(f, &f->honest, rig_service(&f->victim, 5, "web", 80));
    pln_clock_entry entry = {.peer = f->victim, .counter = 9};
    pln_gossip_clock clock = {.entries = &entry, .count = 1};
    pln_gossip_peer peer = rig_peer(&f->victim);
    pln_envelopes list = {0};
    pln_bytes body = {0};
    assert_int_equal(pln_gossip_clock_encode(&clock, &body), POLLEN_OK);
    assert_int_equal(pln_state_handle_clock(f->state, &peer, body.data, body.size, 2, &list),
                     POLLEN_OK);
    pln_member_info info = rig_member(f->state, &f->victim);
    assert_int_equal(info.external_port, 0);
    assert_int_equal(info.counter, 5);
    assert_int_equal(rig_service_port(f->state, &f->victim, "web"), 80);
    pln_bytes_fini(&body);
    pln_envelopes_fini(&list);
}

static void a_forged_leap_of_ours_is_not_taken_over(void **arg) {
    fixture *f = *arg;
    tell(f, &f->liar, rig_external_port(&f->us, 1 + PLN_STATE_COUNTER_LEAP + 1, 7));
    assert_int_equal(rig_member(f->state, &f->us).counter, 1);
    pln_bytes envelope = {0};
    assert_false(pln_state_poll_broadcast(f->state, &envelope));
}

/* Two events with one counter: whichever comes first, one of them wins everywhere. */
static void of_two_events_with_one_counter_the_same_wins_in_any_order(void **arg) {
    fixture *f = *arg;
    pln_state *other = rig_state(&f->us, NULL);
    for (uint32_t i = 1; i <= 8; i++) {
        tell(f, &f->honest, rig_external_port(&f->victim, i, 100 + i));
        tell(f, &f->liar, rig_external_port(&f->victim, i, 200 + i));
        pln_gossip_event event = rig_external_port(&f->victim, i, 200 + i);
        rig_apply_one(other, &f->liar, &event);
        event = rig_external_port(&f->victim, i, 100 + i);
        rig_apply_one(other, &f->honest, &event);
        rig_assert_equal(f->state, other);
    }
    tell(f, &f->honest, rig_service(&f->victim, 9, "web", 80));
    tell(f, &f->liar, rig_deleted(rig_service(&f->victim, 9, "web", 0)));
    assert_int_equal(rig_service_port(f->state, &f->victim, "web"), 0);
    pln_state_destroy(other);
}

/* ---- Forged events of ours ------------------------------------------------------------------- */

static void many_forged_events_of_ours_cost_one_broadcast(void **arg) {
    fixture *f = *arg;
    pln_gossip_event events[100];
    pln_gossip_batch batch = {.events = events, .count = 100};
    for (uint32_t i = 0; i < 100; i++) {
        events[i] = rig_external_port(&f->us, 10 + i, 1 + i);
    }
    assert_int_equal(rig_apply(f->state, &f->liar, &batch), POLLEN_OK);
    pln_gossip_batch told = rig_broadcast(f->state);
    assert_int_equal(told.count, 2); /* The identity, and that we have no external port. */
    assert_int_equal(rig_member(f->state, &f->us).counter, 111);
    pln_gossip_batch_fini(&told);
    for (uint32_t i = 0; i < 100; i++) {
        pln_gossip_event_fini(&events[i]);
    }
}

static size_t told_at(fixture *f, pln_ts now, uint64_t counter) {
    pln_gossip_event event = rig_public(&f->us, counter);
    pln_gossip_batch batch = {.events = &event, .count = 1};
    pln_gossip_peer peer = rig_peer(&f->liar);
    pln_bytes body = {0};
    assert_int_equal(pln_gossip_batch_encode(&batch, &body), POLLEN_OK);
    assert_int_equal(pln_state_handle_events(f->state, &peer, body.data, body.size, now),
                     POLLEN_OK);
    pln_bytes_fini(&body);
    pln_gossip_batch told = rig_broadcast(f->state);
    size_t count = told.count;
    pln_gossip_batch_fini(&told);
    return count;
}

static void forged_events_of_ours_are_overridden_once_a_second(void **arg) {
    fixture *f = *arg;
    assert_int_equal(told_at(f, PLN_S(5), 10), 2);
    assert_int_equal(told_at(f, PLN_S(5) + 1, 20), 0);
    assert_int_equal(told_at(f, PLN_S(6) - 1, 30), 0);
    assert_int_equal(told_at(f, PLN_S(6), 40), 2);
    assert_int_equal(rig_member(f->state, &f->us).counter, 42);
    /* What was put off is made up for in the next round. */
    assert_int_equal(told_at(f, PLN_S(6) + 1, 50), 0);
    pln_gossip_peer peer = rig_peer(&f->honest);
    pln_envelopes list = {0};
    pln_state_round(f->state, &peer, PLN_S(7), &list);
    pln_gossip_batch told = rig_broadcast(f->state);
    assert_int_equal(told.count, 2);
    pln_gossip_batch_fini(&told);
    pln_envelopes_fini(&list);
}

static void forged_services_of_ours_are_bounded(void **arg) {
    fixture *f = *arg;
    assert_int_equal(pln_state_set_service(f->state, "mine", 80), POLLEN_OK);
    for (uint64_t i = 0; i < 3 * PLN_STATE_SERVICES_MAX; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "forged%u", (unsigned)i);
        tell(f, &f->liar, rig_service(&f->us, 10 + i, name, 7));
    }
    assert_true(pln_authors_find(f->state, &f->us)->services <= PLN_STATE_SERVICES_MAX);
    assert_int_equal(rig_service_port(f->state, &f->us, "mine"), 80);
}

/* ---- Too many attributes --------------------------------------------------------------------- */

/* Whichever comes first: everybody keeps the same ones. */
static void of_too_many_services_the_newest_are_kept_in_any_order(void **arg) {
    fixture *f = *arg;
    enum { MANY = 300 };
    pln_state *other = rig_state(&f->us, NULL);
    for (uint32_t i = 0; i < MANY; i++) {
        char name[16];
        uint32_t down = MANY - 1 - i;
        (void)snprintf(name, sizeof(name), "s%u", (unsigned)i);
        tell(f, &f->honest, rig_service(&f->victim, 1 + i, name, 1 + i));
        (void)snprintf(name, sizeof(name), "s%u", (unsigned)down);
        pln_gossip_event event = rig_service(&f->victim, 1 + down, name, 1 + down);
        rig_apply_one(other, &f->honest, &event);
    }
    pln_service_filter filter = {.provider = &f->victim};
    assert_int_equal(pln_state_services(f->state, &filter, NULL, 0), PLN_STATE_SERVICES_MAX);
    assert_int_equal(rig_service_port(f->state, &f->victim, "s43"), 0);
    assert_int_equal(rig_service_port(f->state, &f->victim, "s44"), 45);
    rig_assert_equal(f->state, other);
    pln_state_destroy(other);
}

static void more_services_than_are_kept_are_not_told(void **arg) {
    fixture *f = *arg;
    char name[16];
    for (unsigned i = 0; i < PLN_STATE_SERVICES_MAX; i++) {
        (void)snprintf(name, sizeof(name), "s%u", i);
        assert_int_equal(pln_state_set_service(f->state, name, 80), POLLEN_OK);
    }
    assert_int_equal(pln_state_set_service(f->state, "one more", 80), POLLEN_ELIMIT);
    assert_int_equal(pln_state_remove_service(f->state, "s0"), POLLEN_OK);
    assert_int_equal(pln_state_set_service(f->state, "one more", 80), POLLEN_OK);
    assert_int_equal(rig_service_port(f->state, &f->us, "s1"), 80);
}

/* Services come and go; the one that stays is told anew before others would forget it. */
static void what_stands_is_not_pushed_out_by_what_was_withdrawn(void **arg) {
    fixture *f = *arg;
    pln_state *other = rig_state(&f->honest, NULL);
    pln_gossip_clock empty = {0};
    pln_gossip_batch all = rig_missing_for(f->state, &empty);
    assert_int_equal(rig_apply(other, &f->us, &all), POLLEN_OK);
    pln_gossip_batch_fini(&all);
    assert_int_equal(pln_state_set_service(f->state, "stays", 80), POLLEN_OK);
    for (unsigned i = 0; i < 2000; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "s%u", i);
        assert_int_equal(pln_state_set_service(f->state, name, 81), POLLEN_OK);
        assert_int_equal(pln_state_remove_service(f->state, name), POLLEN_OK);
        pln_gossip_batch batch = rig_broadcast(f->state);
        assert_int_equal(rig_apply(other, &f->us, &batch), POLLEN_OK);
        pln_gossip_batch_fini(&batch);
    }
    assert_int_equal(rig_service_port(other, &f->us, "stays"), 80);
    rig_assert_same_author(f->state, other, &f->us);
    pln_state_destroy(other);
}

/* ---- Floods ---------------------------------------------------------------------------------- */

static pollen_err flood(fixture *f, pln_gossip_peer *peer, size_t count, pln_ts now) {
    pln_gossip_event event = rig_public(&f->victim, 1);
    pln_gossip_batch batch = {.events = pln_calloc(count, sizeof(event)), .count = count};
    pln_bytes body = {0};
    for (size_t i = 0; i < count; i++) {
        batch.events[i] = event;
    }
    assert_int_equal(pln_gossip_batch_encode(&batch, &body), POLLEN_OK);
    pollen_err err = pln_state_handle_events(f->state, peer, body.data, body.size, now);
    pln_bytes_fini(&body);
    pln_free(batch.events);
    return err;
}

static void events_that_come_too_fast_are_not_taken(void **arg) {
    fixture *f = *arg;
    pln_gossip_peer peer = rig_peer(&f->liar);
    for (size_t i = 0; i < PLN_GOSSIP_EVENTS_BURST / 1024; i++) {
        assert_int_equal(flood(f, &peer, 1024, 0), POLLEN_OK);
    }
    assert_int_equal(flood(f, &peer, 1, 0), POLLEN_ELIMIT);
    assert_int_equal(stats_of(f).events_dropped, 1);
    assert_int_equal(flood(f, &peer, 1024, PLN_MS(250) - 1), POLLEN_ELIMIT);
    assert_int_equal(flood(f, &peer, 1, PLN_MS(250) - 1), POLLEN_ELIMIT);
    assert_int_equal(flood(f, &peer, 1024, PLN_MS(501)), POLLEN_OK);
}

static void false_revocations_cost_their_teller_more(void **arg) {
    fixture *f = *arg;
    pollen_key subject = rig_key(0x22);
    pln_revocation revocation;
    assert_int_equal(pln_revocation_issue(&f->cluster.foreign, &subject, TEST_NOW, &revocation),
                     POLLEN_OK);
    pln_gossip_peer peer = rig_peer(&f->liar);
    pln_gossip_event event = rig_revocation(&f->victim, 1, &revocation);
    pln_gossip_batch batch = {.events = &event, .count = 1};
    pln_bytes body = {0};
    assert_int_equal(pln_gossip_batch_encode(&batch, &body), POLLEN_OK);
    size_t taken = 0;
    while (pln_state_handle_events(f->state, &peer, body.data, body.size, 0) == POLLEN_OK) {
        taken += 1;
    }
    assert_in_range(taken, 1, PLN_GOSSIP_EVENTS_BURST / PLN_GOSSIP_FORGERY_COST);
    pln_bytes_fini(&body);
    pln_gossip_event_fini(&event);
    pln_revocation_fini(&revocation);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static pollen_err every_command(pln_state *state, const fixture *f,
                                const pln_revocation *revocation) {
    const char *ip = "192.0.2.1";
    pln_saved_connection connection = {.peer = f->liar, .remote_port = 1, .local_port = 2};
    pln_saved_state saved;
    pln_state_loaded loaded;
    const pollen_err errs[] = {
        pln_state_set_network(state, &ip, 1, 60611),
        pln_state_set_external_port(state, 7),
        pln_state_set_public(state, true),
        pln_state_set_cert_expiry(state, 9),
        pln_state_set_service(state, "web", 80),
        pln_state_remove_service(state, "web"),
        pln_state_set_reachable(state, &f->liar, true),
        pln_state_publish_revocation(state, revocation),
        pln_state_vouch(state, &f->liar, 1),
        pln_state_set_connection(state, &connection, true),
    };
    for (size_t i = 0; i < sizeof(errs) / sizeof(errs[0]); i++) {
        if (errs[i] != POLLEN_OK) {
            return errs[i];
        }
    }
    pollen_err err = pln_state_save(state, &saved);
    if (err == POLLEN_OK) {
        err = pln_state_load(state, &saved, &loaded);
        pln_saved_state_fini(&saved);
    }
    return err;
}

/* After a failure the same again succeeds, and ends as if there had been none. */
static void every_failing_allocation_of_a_command_is_survived(void **arg) {
    fixture *f = *arg;
    pln_revocation revocation;
    pollen_key subject = rig_key(0x22);
    assert_int_equal(pln_revocation_issue(&f->cluster.root, &subject, TEST_NOW, &revocation),
                     POLLEN_OK);
    for (size_t n = 1;; n++) {
        long live = fail_mem_live();
        pln_state *state = rig_state(&f->us, &f->cluster.root.trust);
        fail_mem_arm(n);
        pollen_err err = every_command(state, f, &revocation);
        bool failed = fail_mem_disarm();
        assert_int_equal(err, failed ? POLLEN_ENOMEM : POLLEN_OK);
        assert_int_equal(every_command(state, f, &revocation), POLLEN_OK);
        assert_true(pln_state_is_revoked(state, &subject));
        assert_int_equal(rig_member(state, &f->us).external_port, 7);
        pln_gossip_batch told = rig_broadcast(state);
        assert_in_range(told.count, 7, 8);
        pln_gossip_batch_fini(&told);
        pln_state_destroy(state);
        assert_int_equal(fail_mem_live(), live);
        if (!failed) {
            assert_true(n > 30);
            break;
        }
    }
    pln_revocation_fini(&revocation);
}

static pollen_err take_all(pln_state *state, pln_gossip_peer *peer, const pln_bytes *body) {
    pln_envelopes list = {0};
    pln_bytes envelope = {0};
    pollen_err err = pln_state_handle_events(state, peer, body->data, body->size, 1);
    peer->owed = 0;
    pollen_err clock = pln_state_handle_clock(state, peer, NULL, 0, 1, &list);
    pln_state_greet(state, peer, 1, &list);
    pln_state_round(state, peer, 1, &list);
    while (pln_state_poll_broadcast(state, &envelope)) {
        pln_bytes_fini(&envelope);
    }
    pln_envelopes_fini(&list);
    return err == POLLEN_OK ? clock : err;
}

static pln_bytes batch_of_all_kinds(const fixture *f, const pln_revocation *revocation) {
    const pollen_key *victim = &f->victim;
    pln_gossip_event events[] = {
        rig_network(victim, 1, "192.0.2.9", 60611),
        rig_external_port(victim, 2, 4000),
        rig_identity(victim, 3, 9),
        rig_service(victim, 4, "web", 80),
        rig_reachability(victim, 5, &f->liar),
        rig_public(victim, 6),
        rig_revocation(victim, 7, revocation),
        rig_service(&f->us, 3, "ghost", 1),
        rig_external_port(victim, 2, 4001),
    };
    enum { COUNT = sizeof(events) / sizeof(events[0]) };
    pln_gossip_batch batch = {.events = events, .count = COUNT};
    pln_bytes body = {0};
    assert_int_equal(pln_gossip_batch_encode(&batch, &body), POLLEN_OK);
    for (size_t i = 0; i < COUNT; i++) {
        pln_gossip_event_fini(&events[i]);
    }
    return body;
}

static void every_failing_allocation_of_an_exchange_is_survived(void **arg) {
    fixture *f = *arg;
    pln_revocation revocation;
    pollen_key subject = rig_key(0x22);
    assert_int_equal(pln_revocation_issue(&f->cluster.root, &subject, TEST_NOW, &revocation),
                     POLLEN_OK);
    pln_bytes body = batch_of_all_kinds(f, &revocation);
    for (size_t n = 1;; n++) {
        long live = fail_mem_live();
        pln_state *state = rig_state(&f->us, &f->cluster.root.trust);
        pln_gossip_peer peer = rig_peer(&f->liar);
        fail_mem_arm(n);
        pollen_err err = take_all(state, &peer, &body);
        bool failed = fail_mem_disarm();
        assert_true(err == POLLEN_OK || (failed && err == POLLEN_ENOMEM));
        assert_int_equal(take_all(state, &peer, &body), POLLEN_OK);
        assert_true(pln_state_is_revoked(state, &subject));
        assert_int_equal(rig_service_port(state, &f->victim, "web"), 80);
        pln_state_destroy(state);
        assert_int_equal(fail_mem_live(), live);
        if (!failed) {
            assert_true(n > 50);
            break;
        }
    }
    pln_bytes_fini(&body);
    pln_revocation_fini(&revocation);
}

static void every_failing_allocation_of_creation_is_survived(void **arg) {
    fixture *f = *arg;
    pln_state_config config = {
        .local = f->us, .rng = f->cluster.rng, .trust = &f->cluster.root.trust};
    for (size_t n = 1;; n++) {
        long live = fail_mem_live();
        pln_state *state = NULL;
        fail_mem_arm(n);
        pollen_err err = pln_state_create(&config, &state);
        bool failed = fail_mem_disarm();
        assert_int_equal(err, failed ? POLLEN_ENOMEM : POLLEN_OK);
        pln_state_destroy(state);
        assert_int_equal(fail_mem_live(), live);
        if (!failed) {
            break;
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_hundred_thousand_invented_members_are_bounded),
        TEST(invented_members_make_room_for_what_another_tells),
        TEST(a_member_that_is_vouched_for_is_no_hearsay_any_more),
        TEST(what_invented_members_say_is_bounded_in_bytes),
        TEST(a_revocation_outlives_the_member_that_told_of_it),
        TEST(counters_near_their_end_are_refused),
        TEST(a_counter_that_leaps_is_refused_and_not_seen),
        TEST(an_author_itself_may_leap),
        TEST(a_forged_leap_is_dropped_when_the_author_says_so),
        TEST(a_forged_leap_of_ours_is_not_taken_over),
        TEST(of_two_events_with_one_counter_the_same_wins_in_any_order),
        TEST(many_forged_events_of_ours_cost_one_broadcast),
        TEST(forged_events_of_ours_are_overridden_once_a_second),
        TEST(forged_services_of_ours_are_bounded),
        TEST(of_too_many_services_the_newest_are_kept_in_any_order),
        TEST(more_services_than_are_kept_are_not_told),
        TEST(what_stands_is_not_pushed_out_by_what_was_withdrawn),
        TEST(events_that_come_too_fast_are_not_taken),
        TEST(false_revocations_cost_their_teller_more),
        TEST(every_failing_allocation_of_a_command_is_survived),
        TEST(every_failing_allocation_of_an_exchange_is_survived),
        TEST(every_failing_allocation_of_creation_is_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
