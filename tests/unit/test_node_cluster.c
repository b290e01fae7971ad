/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Revocations in one node: what waits for the disk, and what comes too late.  Nodes in memory, a
 * millisecond apart; the test decides when a node's events are looked at.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/key.h"
#include "base/mem.h"
#include "node/cluster.h"
#include "support/cluster.h"

enum { NODES = 3, PACKETS = 256, PACKET_BYTES = 1472 };
enum { HERE, MEMBER, OTHER }; /* HERE has the root key. */

typedef struct packet {
    size_t to;
    pollen_addr from;
    size_t size;
    uint8_t bytes[PACKET_BYTES];
} packet;

typedef struct host {
    pln_node *node;
    pln_credentials creds;
    pollen_addr addr;
    pln_rng_seeded seeded;
    bool holds_events;
    size_t connected, disconnected;
    pollen_end_reason last_reason;
} host;

typedef struct fixture {
    host hosts[NODES];
    pln_now now;
    packet *wire;
    size_t count;
    pln_op next_op;
    pln_rng_seeded seeded;
    uint8_t *buf;
} fixture;

/* ---- The wire -------------------------------------------------------------------------------- */

static void put_on_wire(fixture *f, const host *from, const pln_transmit *batch) {
    for (size_t at = 0; at < batch->size; at += batch->segment) {
        const size_t left = batch->size - at;
        packet *p = &f->wire[f->count];
        p->to = NODES;
        for (size_t i = 0; i < NODES; i++) {
            p->to = pollen_addr_equal(&f->hosts[i].addr, &batch->path.remote) ? i : p->to;
        }
        p->from = from->addr;
        p->size = left < batch->segment ? left : batch->segment;
        if (p->size > PACKET_BYTES) {
            continue; /* A probe of the path's size. */
        }
        memcpy(p->bytes, f->buf + at, p->size);
        f->count += p->to < NODES ? 1 : 0;
        assert_true(f->count < PACKETS);
    }
}

static void take_events(fixture *f, host *h) {
    pln_mesh_event event;
    (void)f;
    while (!h->holds_events && pln_node_poll_event(h->node, &event)) {
        h->connected += event.kind == PLN_MESH_CONNECTED;
        h->disconnected += event.kind == PLN_MESH_DISCONNECTED;
        h->last_reason = event.kind == PLN_MESH_DISCONNECTED ? event.reason : h->last_reason;
        pln_chunk_destroy(event.body);
        pln_bytes_fini(&event.text);
    }
}

static void transmit(fixture *f, host *h) {
    pln_transmit batch;
    while (pln_node_poll_transmit(h->node, f->buf, &batch, f->now)) {
        put_on_wire(f, h, &batch);
    }
}

static void run_ms(fixture *f, unsigned ms) {
    for (unsigned i = 0; i < ms; i++) {
        for (size_t k = 0; k < NODES; k++) {
            if (pln_ts_reached(pln_node_next_expiry(f->hosts[k].node), f->now.mono)) {
                pln_node_handle_timeout(f->hosts[k].node, f->now);
            }
            take_events(f, &f->hosts[k]);
            transmit(f, &f->hosts[k]);
        }
        const size_t count = f->count;
        f->now.mono += PLN_MS(1);
        for (size_t k = 0; k < count; k++) {
            packet *p = &f->wire[k];
            const pln_datagram datagram = {
                .path = {PLN_VIA_MAIN, p->from}, .data = p->bytes, .size = p->size};
            pln_node_handle_datagram(f->hosts[p->to].node, &datagram, f->now);
        }
        f->count = 0;
    }
}

/* ---- Nodes ----------------------------------------------------------------------------------- */

static void enrol(fixture *f, const pln_rng *rng, size_t i) {
    const pollen_seed seed = test_seed_of((uint8_t)(0x21 + i));
    const pollen_seed root = test_seed_of(ROOT);
    const pln_bootstraps none = {.count = 0};
    const pln_join_terms terms = {
        .bootstrap = &none, .ttl_seconds = 300, .membership = {.ttl_seconds = 86400}};
    pln_join_token token;
    bool changed;
    host *h = &f->hosts[i];
    pln_credentials_init(&h->creds, &seed);
    if (i == HERE) {
        assert_int_equal(pln_credentials_create_root(&h->creds, &root, 86400, 86400, rng, TEST_NOW),
                         POLLEN_OK);
        return;
    }
    assert_int_equal(
        pln_join_issue(&f->hosts[HERE].creds.signer, &h->creds.key, &terms, rng, TEST_NOW, &token),
        POLLEN_OK);
    assert_int_equal(pln_credentials_apply(&h->creds, &token, TEST_NOW, &changed), POLLEN_OK);
    pln_join_token_fini(&token);
}

static void start(fixture *f, size_t i, bool saves) {
    host *h = &f->hosts[i];
    const pln_node_config config = {
        .mesh = {.creds = &h->creds,
                 .rng = pln_rng_from_seed(&h->seeded, i + 1),
                 .tls_identity_ttl_seconds = 86400,
                 .membership_ttl_seconds = 86400},
        .keep_peers = true,
        .gossip = true,
        .saves = saves,
    };
    pln_node_destroy(h->node);
    h->node = NULL;
    assert_int_equal(pln_node_create(&config, f->now, &h->node), POLLEN_OK);
}

static int setup(void **state) {
    fixture *f = pln_calloc(1, sizeof(*f));
    assert_non_null(f);
    f->wire = pln_calloc(PACKETS, sizeof(*f->wire));
    f->buf = pln_malloc(PLN_TRANSMIT_BYTES);
    assert_true(f->wire != NULL && f->buf != NULL);
    f->now = (pln_now){.mono = PLN_S(1000), .wall = TEST_NOW};
    const pln_rng rng = pln_rng_from_seed(&f->seeded, 99);
    for (size_t i = 0; i < NODES; i++) {
        f->hosts[i].addr = pln_addr_ipv4((const uint8_t[]){10, 0, 0, (uint8_t)(i + 1)}, 60611);
        enrol(f, &rng, i);
        start(f, i, false);
    }
    *state = f;
    return 0;
}

static int teardown(void **state) {
    fixture *f = *state;
    for (size_t i = 0; i < NODES; i++) {
        pln_node_destroy(f->hosts[i].node);
        pln_credentials_fini(&f->hosts[i].creds);
    }
    pln_free(f->wire);
    pln_free(f->buf);
    pln_free(f);
    return 0;
}

static const pollen_key *key_of(const fixture *f, size_t i) {
    return &f->hosts[i].creds.key;
}

static bool has_session(const fixture *f, size_t i, size_t peer) {
    pln_session_info info;
    return pln_mesh_session_info(pln_node_mesh(f->hosts[i].node), key_of(f, peer), &info) ==
           POLLEN_OK;
}

static void connect(fixture *f, size_t from, size_t to) {
    const pln_path path = {PLN_VIA_MAIN, f->hosts[to].addr};
    pln_mesh_connect(pln_node_mesh(f->hosts[from].node), ++f->next_op, key_of(f, to), &path, 1,
                     PLN_TS_NEVER, f->now);
    for (int i = 0; i < 500 && !(has_session(f, from, to) && has_session(f, to, from)); i++) {
        run_ms(f, 1);
    }
    assert_true(has_session(f, from, to) && has_session(f, to, from));
}

static void revoke(fixture *f, size_t who) {
    assert_int_equal(pln_node_revoke(f->hosts[HERE].node, key_of(f, who), f->now), POLLEN_OK);
}

/* As the owner does: everything is taken, and the disk says later what became of it. */
static pln_state_urgency take(fixture *f, size_t i) {
    pln_saved_state saved;
    pln_state_urgency urgency;
    assert_int_equal(pln_node_take_state(f->hosts[i].node, &saved, &urgency), POLLEN_OK);
    pln_saved_state_fini(&saved);
    return urgency;
}

static void written(fixture *f, size_t i, pln_state_urgency urgency, pollen_err err) {
    pln_node_state_written(f->hosts[i].node, urgency, err, f->now);
}

/* ---- Waiting for the disk -------------------------------------------------------------------- */

static void test_a_revocation_takes_effect_when_it_is_saved(void **state) {
    fixture *f = *state;
    start(f, HERE, true);
    connect(f, HERE, MEMBER);
    revoke(f, MEMBER);
    assert_int_equal(pln_node_save_urgency(f->hosts[HERE].node), PLN_STATE_SAVE_NOW);
    const pln_state_urgency urgency = take(f, HERE);
    run_ms(f, 500);
    assert_true(has_session(f, HERE, MEMBER));
    written(f, HERE, urgency, POLLEN_OK);
    assert_false(has_session(f, HERE, MEMBER));
    run_ms(f, 10);
    assert_int_equal(f->hosts[HERE].last_reason, POLLEN_END_REVOKED);
    assert_int_equal(f->hosts[MEMBER].last_reason, POLLEN_END_REVOKED);
}

/* Others learn of it no sooner, so that nobody relies on what this node may forget. */
static void test_it_is_told_when_it_is_saved(void **state) {
    fixture *f = *state;
    start(f, HERE, true);
    connect(f, HERE, OTHER);
    run_ms(f, 300);
    revoke(f, MEMBER);
    const pln_state_urgency urgency = take(f, HERE);
    run_ms(f, 500);
    assert_false(pln_state_is_revoked(pln_node_state(f->hosts[OTHER].node), key_of(f, MEMBER)));
    written(f, HERE, urgency, POLLEN_OK);
    run_ms(f, 10);
    assert_true(pln_state_is_revoked(pln_node_state(f->hosts[OTHER].node), key_of(f, MEMBER)));
}

static void test_who_hears_of_one_saves_it_first_as_well(void **state) {
    fixture *f = *state;
    start(f, OTHER, true);
    connect(f, OTHER, HERE);
    connect(f, OTHER, MEMBER);
    revoke(f, MEMBER);
    run_ms(f, 500);
    assert_int_equal(pln_node_save_urgency(f->hosts[OTHER].node), PLN_STATE_SAVE_NOW);
    assert_true(has_session(f, OTHER, MEMBER));
    written(f, OTHER, take(f, OTHER), POLLEN_OK);
    assert_false(has_session(f, OTHER, MEMBER));
}

static void test_a_slow_disk_is_waited_for_a_second(void **state) {
    fixture *f = *state;
    start(f, HERE, true);
    connect(f, HERE, MEMBER);
    revoke(f, MEMBER);
    run_ms(f, 999);
    assert_true(has_session(f, HERE, MEMBER));
    run_ms(f, 3);
    assert_false(has_session(f, HERE, MEMBER));
}

static void test_a_disk_that_fails_is_not_waited_for(void **state) {
    fixture *f = *state;
    start(f, HERE, true);
    connect(f, HERE, MEMBER);
    connect(f, HERE, OTHER);
    revoke(f, MEMBER);
    written(f, HERE, take(f, HERE), POLLEN_ENOSPC);
    assert_false(has_session(f, HERE, MEMBER));
    assert_int_equal(pln_node_save_urgency(f->hosts[HERE].node), PLN_STATE_SAVE_NOW);
    revoke(f, OTHER); /* Nor for the next one. */
    assert_false(has_session(f, HERE, OTHER));
}

static void test_a_disk_that_works_again_is_waited_for_again(void **state) {
    fixture *f = *state;
    start(f, HERE, true);
    connect(f, HERE, OTHER);
    revoke(f, MEMBER);
    written(f, HERE, take(f, HERE), POLLEN_EIO);
    written(f, HERE, take(f, HERE), POLLEN_OK);
    revoke(f, OTHER);
    assert_true(has_session(f, HERE, OTHER));
    written(f, HERE, take(f, HERE), POLLEN_OK);
    assert_false(has_session(f, HERE, OTHER));
}

static void test_one_that_came_during_a_write_waits_for_the_next(void **state) {
    fixture *f = *state;
    start(f, HERE, true);
    connect(f, HERE, MEMBER);
    connect(f, HERE, OTHER);
    revoke(f, MEMBER);
    const pln_state_urgency first = take(f, HERE);
    revoke(f, OTHER);
    written(f, HERE, first, POLLEN_OK);
    assert_true(has_session(f, HERE, OTHER));
    written(f, HERE, take(f, HERE), POLLEN_OK);
    assert_false(has_session(f, HERE, OTHER));
    assert_false(has_session(f, HERE, MEMBER));
}

/* ---- Too late -------------------------------------------------------------------------------- */

static bool keeps(const fixture *f, size_t i, size_t peer) {
    pollen_peer info;
    for (size_t k = 0; pln_node_peer_at(f->hosts[i].node, k, &info) == POLLEN_OK; k++) {
        if (pln_key_equal(&info.key, key_of(f, peer))) {
            return true;
        }
    }
    return false;
}

/* The session's CONNECTED waits in the queue when its peer is revoked. */
static void test_a_late_connected_does_not_bring_the_revoked_back(void **state) {
    fixture *f = *state;
    f->hosts[HERE].holds_events = true;
    connect(f, MEMBER, HERE);
    revoke(f, MEMBER);
    assert_false(has_session(f, HERE, MEMBER));
    f->hosts[HERE].holds_events = false;
    run_ms(f, 10);
    assert_int_equal(f->hosts[HERE].connected, 1); /* One of each, as for any session. */
    assert_int_equal(f->hosts[HERE].disconnected, 1);
    assert_int_equal(f->hosts[HERE].last_reason, POLLEN_END_REVOKED);
    assert_false(keeps(f, HERE, MEMBER));
}

static void test_the_revoked_are_not_kept(void **state) {
    fixture *f = *state;
    assert_int_equal(pln_node_add_bootstrap(f->hosts[HERE].node, key_of(f, MEMBER),
                                            &f->hosts[MEMBER].addr, 1, f->now),
                     POLLEN_OK);
    revoke(f, MEMBER);
    assert_false(keeps(f, HERE, MEMBER));
    assert_int_equal(pln_node_add_bootstrap(f->hosts[HERE].node, key_of(f, MEMBER),
                                            &f->hosts[MEMBER].addr, 1, f->now),
                     POLLEN_EREVOKED);
    run_ms(f, 5000);
    assert_int_equal(f->hosts[HERE].connected, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_a_revocation_takes_effect_when_it_is_saved),
        TEST(test_it_is_told_when_it_is_saved),
        TEST(test_who_hears_of_one_saves_it_first_as_well),
        TEST(test_a_slow_disk_is_waited_for_a_second),
        TEST(test_a_disk_that_fails_is_not_waited_for),
        TEST(test_a_disk_that_works_again_is_waited_for_again),
        TEST(test_one_that_came_during_a_write_waits_for_the_next),
        TEST(test_a_late_connected_does_not_bring_the_revoked_back),
        TEST(test_the_revoked_are_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
