/* SPDX-License-Identifier: Apache-2.0 */
/* What the peer store costs: the work of a tick counted in nodes looked at, and memory that may
 * run out. */

#include "peer/store.h"
#include "support/fail_mem.h"
#include "support/peer_fixture.h"

/* ---- Work ------------------------------------------------------------------------------------ */

enum {
    PEERS = 100000,
    DUE = 100,
    /* Leaving one queue and entering another, each at most twice the depth of a tree of its size,
     * and twice for taking out a node with two subtrees: 4 * 17 + 2 * 7. */
    NODES_OF_A_DIAL = 82,
};

static uint64_t nodes_of_tick(int64_t ms, size_t *ret_outputs) {
    uint64_t before = pln_peer_store_visited(rig.store);
    *ret_outputs = rig_tick(&rig, ms);
    return pln_peer_store_visited(rig.store) - before;
}

static void test_a_tick_costs_what_is_due_and_not_what_is_known(void **state) {
    (void)state;
    size_t outputs = 0;
    for (uint32_t i = 0; i < PEERS; i++) {
        bool is_due = i % (PEERS / DUE) == 0;
        rig_connect(&rig, 0, i, ADDR_A, i + 1);
        rig_lost(&rig, 0, i, i + 1, is_due ? POLLEN_END_IDLE_TIMEOUT : POLLEN_END_DENIED);
    }
    assert_int_equal(nodes_of_tick(999, &outputs), 0);
    assert_int_equal(outputs, 0);
    assert_in_range(nodes_of_tick(1000, &outputs), DUE, DUE * NODES_OF_A_DIAL);
    assert_int_equal(outputs, DUE);
    assert_int_equal(nodes_of_tick(1001, &outputs), 0);
    assert_in_range(nodes_of_tick(6000, &outputs), DUE, DUE * NODES_OF_A_DIAL); /* Deadlines. */
}

static void test_a_tick_with_a_spent_budget_leaves_what_is_due_alone(void **state) {
    (void)state;
    size_t outputs = 0;
    rig_close(&rig);
    rig.config.dials_max = DUE;
    rig_open(&rig);
    for (uint32_t i = 0; i < PEERS; i++) {
        rig_discover(&rig, 0, i, ADDR_A, NULL);
    }
    assert_in_range(nodes_of_tick(0, &outputs), 1, DUE * NODES_OF_A_DIAL);
    assert_int_equal(outputs, DUE - DUE / 4);
    assert_int_equal(nodes_of_tick(1, &outputs), 0);
}

static void test_no_more_peers_than_the_maximum(void **state) {
    (void)state;
    rig_close(&rig);
    rig.config.peers_max = 2;
    rig_open(&rig);
    pollen_peer_input input = {.kind = POLLEN_PEER_INPUT_RETRY, .peer = rig_key(3)};
    rig_retry(&rig, 0, 1);
    rig_retry(&rig, 0, 2);
    assert_int_equal(rig_step(&rig, 0, &input), POLLEN_ELIMIT);
    rig_connect(&rig, 0, 2, ADDR_A, 1); /* Those known go on. */
    rig_forget(&rig, 0, 1);
    assert_int_equal(rig_step(&rig, 0, &input), POLLEN_OK);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

typedef struct picture {
    size_t count;
    pollen_peer peers[8];
    uint64_t next_expiry;
} picture;

static void take_picture(picture *ret) {
    memset(ret, 0, sizeof(*ret));
    ret->count = pollen_peer_store_count(rig.store);
    assert_true(ret->count <= 8);
    for (size_t i = 0; i < ret->count; i++) {
        assert_int_equal(pollen_peer_store_at(rig.store, i, &ret->peers[i]), POLLEN_OK);
    }
    ret->next_expiry = pollen_peer_store_next_expiry(rig.store);
}

static bool same_peer(const pollen_peer *a, const pollen_peer *b) {
    return memcmp(&a->key, &b->key, sizeof(a->key)) == 0 && a->state == b->state &&
           a->since_ns == b->since_ns && a->permanent == b->permanent && a->stage == b->stage &&
           a->next_action_ns == b->next_action_ns && a->generation == b->generation &&
           a->observed_port == b->observed_port && a->addr_count == b->addr_count &&
           memcmp(a->addrs, b->addrs, a->addr_count * sizeof(a->addrs[0])) == 0;
}

static void expect_picture(const picture *before) {
    picture after;
    take_picture(&after);
    assert_int_equal(after.count, before->count);
    assert_int_equal(after.next_expiry, before->next_expiry);
    for (size_t i = 0; i < before->count; i++) {
        assert_true(same_peer(&after.peers[i], &before->peers[i]));
    }
}

static void fill_store(void) {
    rig_discover(&rig, 0, 1, ADDR_A, NULL);
    rig_tick(&rig, 0);
    rig_discover(&rig, 0, 2, ADDR_A, NULL);
    rig_connect(&rig, 0, 3, ADDR_A, 1);
}

/* Each allocation that the input needs fails in turn; returns how many there are. */
static size_t fail_each_allocation(const pollen_peer_input *input) {
    for (size_t n = 1;; n++) {
        rig_close(&rig);
        rig_open(&rig);
        fill_store();
        picture before;
        take_picture(&before);
        long live = fail_mem_live();
        fail_mem_arm(n);
        pollen_err err = pollen_peer_store_step(rig.store, PLN_MS(1), input);
        if (!fail_mem_disarm()) {
            assert_int_equal(err, POLLEN_OK);
            return n - 1;
        }
        assert_int_equal(err, POLLEN_ENOMEM);
        assert_int_equal(fail_mem_live(), live);
        expect_picture(&before);
        /* Time did not pass either, and the same input succeeds when there is memory again. */
        assert_int_equal(pollen_peer_store_step(rig.store, 0, input), POLLEN_OK);
    }
}

static void test_an_input_that_finds_no_memory_changes_nothing(void **state) {
    (void)state;
    const pollen_addr addrs[3] = {rig_addr("192.0.2.7:1"), rig_addr("192.0.2.8:1"),
                                  rig_addr("192.0.2.9:1")};
    const struct {
        pollen_peer_input input;
        size_t allocations;
    } rows[] = {
        {{.kind = POLLEN_PEER_INPUT_RETRY, .peer = rig_key(9)}, 2},
        {{.kind = POLLEN_PEER_INPUT_CONNECT, .peer = rig_key(9), .addr = addrs[0]}, 2},
        {{.kind = POLLEN_PEER_INPUT_DISCOVER, .peer = rig_key(9), .addrs = addrs, .addr_count = 3},
         3},
        {{.kind = POLLEN_PEER_INPUT_DISCOVER,
          .peer = rig_key(2),
          .addrs = addrs,
          .addr_count = 3,
          .addr = addrs[0],
          .port = 5},
         1},
        {{.kind = POLLEN_PEER_INPUT_DISCOVER,
          .peer = rig_key(3),
          .addrs = addrs,
          .addr_count = 3,
          .permanent = true},
         1},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(fail_each_allocation(&rows[i].input), rows[i].allocations);
    }
}

/* So that what happened to a known peer can never be lost. */
static void test_what_happens_to_known_peers_needs_no_memory(void **state) {
    (void)state;
    fill_store();
    long live = fail_mem_live();
    fail_mem_arm(1);
    rig_connect(&rig, 1, 1, "[2001:db8::1]:5", 2);
    rig_lost(&rig, 2, 3, 1, POLLEN_END_RESET);
    rig_retry(&rig, 3, 3);
    rig_tick(&rig, 4);
    rig_fail(&rig, 5, 2, POLLEN_END_UNKNOWN);
    rig_tick(&rig, 100000);
    rig_discover(&rig, 100000, 2, "[2001:db8::1]:5", "192.0.2.9:9");
    assert_false(fail_mem_disarm());
    assert_int_equal(fail_mem_count(), 0);
    assert_int_equal(fail_mem_live(), live);
}

static void test_a_store_that_finds_no_memory_is_not_made(void **state) {
    (void)state;
    pollen_peer_store *store = NULL;
    long live = fail_mem_live();
    fail_mem_arm(1);
    pollen_err err = pollen_peer_store_create(&rig.config, &store);
    assert_true(fail_mem_disarm());
    assert_int_equal(err, POLLEN_ENOMEM);
    assert_null(store);
    assert_int_equal(fail_mem_live(), live);
}

static void test_a_store_frees_what_it_holds(void **state) {
    (void)state;
    rig_close(&rig);
    long live = fail_mem_live();
    rig_open(&rig);
    fill_store();
    rig_forget(&rig, 0, 1);
    rig_discover_permanent(&rig, 0, 4, ADDR_A);
    rig_close(&rig);
    assert_int_equal(fail_mem_live(), live);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_tick_costs_what_is_due_and_not_what_is_known, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_tick_with_a_spent_budget_leaves_what_is_due_alone,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_more_peers_than_the_maximum, setup, teardown),
        cmocka_unit_test_setup_teardown(test_an_input_that_finds_no_memory_changes_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_happens_to_known_peers_needs_no_memory, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_store_that_finds_no_memory_is_not_made, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_store_frees_what_it_holds, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
