/* SPDX-License-Identifier: Apache-2.0 */
/* The parts that the peer store is made of: the table, the stages, the delays, the budget, the
 * tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/time.h"
#include "peer/backoff.h"
#include "peer/budget.h"
#include "peer/fsm.h"
#include "peer/tree.h"

/* ---- The table ------------------------------------------------------------------------------- */

static void test_every_cell_is_written_and_leads_to_a_state(void **state) {
    (void)state;
    for (unsigned s = 0; s < PLN_PEER_STATE_COUNT; s++) {
        for (unsigned e = 0; e < PLN_PEER_EV_COUNT; e++) {
            pln_peer_row row = pln_peer_table_at((pollen_peer_state)s, (pln_peer_event)e);
            assert_int_not_equal(row.action, PLN_PEER_ACT_UNSET);
            assert_in_range(row.next, POLLEN_PEER_ABSENT, POLLEN_PEER_UNREACHABLE);
        }
    }
}

static void test_a_cell_that_does_nothing_keeps_the_state(void **state) {
    (void)state;
    for (unsigned s = 0; s < PLN_PEER_STATE_COUNT; s++) {
        for (unsigned e = 0; e < PLN_PEER_EV_COUNT; e++) {
            pln_peer_row row = pln_peer_table_at((pollen_peer_state)s, (pln_peer_event)e);
            if (row.action == PLN_PEER_ACT_IGNORE || row.action == PLN_PEER_ACT_BUG) {
                assert_int_equal(row.next, s);
            }
        }
    }
}

static void test_what_is_late_is_ignored_in_every_state(void **state) {
    (void)state;
    for (unsigned s = 0; s < PLN_PEER_STATE_COUNT; s++) {
        pln_peer_row row = pln_peer_table_at((pollen_peer_state)s, PLN_PEER_EV_LATE);
        assert_int_equal(row.action, PLN_PEER_ACT_IGNORE);
    }
}

static void test_only_the_end_of_an_attempt_is_impossible_when_there_is_none(void **state) {
    (void)state;
    for (unsigned s = 0; s < PLN_PEER_STATE_COUNT; s++) {
        for (unsigned e = 0; e < PLN_PEER_EV_COUNT; e++) {
            bool is_end = e == PLN_PEER_EV_FAILED || e == PLN_PEER_EV_FAILED_HURRIED ||
                          e == PLN_PEER_EV_EXHAUSTED || e == PLN_PEER_EV_REFUSED;
            bool is_timed = s == POLLEN_PEER_DISCOVERED || s == POLLEN_PEER_UNREACHABLE;
            bool is_probe = e == PLN_PEER_EV_REFUSED && is_timed;
            bool is_bug = (is_end && s != POLLEN_PEER_CONNECTING && !is_probe) ||
                          (e == PLN_PEER_EV_DUE && !is_timed);
            pln_peer_row row = pln_peer_table_at((pollen_peer_state)s, (pln_peer_event)e);
            assert_int_equal(row.action == PLN_PEER_ACT_BUG, is_bug);
        }
    }
}

static void test_a_step_writes_the_state_of_its_cell(void **state) {
    (void)state;
    pollen_peer_state peer = POLLEN_PEER_ABSENT;
    assert_int_equal(pln_peer_fsm_step(&peer, PLN_PEER_EV_DISCOVER), PLN_PEER_ACT_LEARN_WAKE);
    assert_int_equal(peer, POLLEN_PEER_DISCOVERED);
    assert_int_equal(pln_peer_fsm_step(&peer, PLN_PEER_EV_DUE), PLN_PEER_ACT_ATTEMPT);
    assert_int_equal(peer, POLLEN_PEER_CONNECTING);
    assert_int_equal(pln_peer_fsm_step(&peer, PLN_PEER_EV_EXHAUSTED), PLN_PEER_ACT_GIVE_UP);
    assert_int_equal(peer, POLLEN_PEER_UNREACHABLE);
    assert_int_equal(pln_peer_fsm_step(&peer, PLN_PEER_EV_CONNECT), PLN_PEER_ACT_CONNECTED);
    assert_int_equal(peer, POLLEN_PEER_CONNECTED);
    assert_int_equal(pln_peer_fsm_step(&peer, PLN_PEER_EV_FORGET), PLN_PEER_ACT_REMOVE);
    assert_int_equal(peer, POLLEN_PEER_ABSENT);
}

/* ---- Stages ---------------------------------------------------------------------------------- */

static void test_stages_escalate_after_one_two_and_two_failures(void **state) {
    (void)state;
    static const pln_peer_stage rows[] = {
        {POLLEN_STAGE_DIRECT, 0},
        {POLLEN_STAGE_DIRECT, 1},
        {POLLEN_STAGE_PUNCH, 0},
        {POLLEN_STAGE_PUNCH, 1},
    };
    pln_peer_stage stage = pln_peer_stage_first(true);
    assert_int_equal(stage.stage, POLLEN_STAGE_EAGER_RETRY);
    assert_int_equal(stage.attempts, 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(pln_peer_stage_escalate(&stage));
        assert_int_equal(stage.stage, rows[i].stage);
        assert_int_equal(stage.attempts, rows[i].attempts);
    }
    assert_false(pln_peer_stage_escalate(&stage));
    assert_int_equal(stage.stage, POLLEN_STAGE_PUNCH);
    assert_int_equal(stage.attempts, 1);
}

static void test_the_first_stage_is_direct_without_a_last_address(void **state) {
    (void)state;
    assert_int_equal(pln_peer_stage_first(false).stage, POLLEN_STAGE_DIRECT);
}

/* ---- Names ----------------------------------------------------------------------------------- */

static void test_every_number_has_a_name_of_its_own(void **state) {
    (void)state;
    for (unsigned e = 0; e < PLN_PEER_EV_COUNT; e++) {
        assert_string_not_equal(pln_peer_event_name((pln_peer_event)e), "unknown");
    }
    for (unsigned a = 0; a <= PLN_PEER_ACT_REMOVE; a++) {
        assert_string_not_equal(pln_peer_action_name((pln_peer_action)a), "unknown");
    }
    for (unsigned s = 0; s < PLN_PEER_STATE_COUNT; s++) {
        assert_string_not_equal(pollen_peer_state_name((pollen_peer_state)s), "unknown");
    }
    assert_string_equal(pollen_peer_state_name(POLLEN_PEER_UNREACHABLE), "unreachable");
    assert_string_equal(pollen_connect_stage_name(POLLEN_STAGE_EAGER_RETRY), "eager_retry");
    assert_string_equal(pollen_peer_input_name(POLLEN_PEER_INPUT_MOVED), "moved");
    assert_string_equal(pollen_peer_output_name(POLLEN_PEER_OUTPUT_REQUEST_PUNCH_COORDINATION),
                        "request_punch_coordination");
}

static void test_a_foreign_number_is_unknown(void **state) {
    (void)state;
    assert_string_equal(pollen_peer_state_name((pollen_peer_state)99), "unknown");
    assert_string_equal(pollen_connect_stage_name((pollen_connect_stage)99), "unknown");
    assert_string_equal(pollen_peer_input_name((pollen_peer_input_kind)99), "unknown");
    assert_string_equal(pollen_peer_output_name((pollen_peer_output_kind)99), "unknown");
    assert_string_equal(pln_peer_event_name((pln_peer_event)99), "unknown");
    assert_string_equal(pln_peer_action_name((pln_peer_action)99), "unknown");
}

/* ---- Delays ---------------------------------------------------------------------------------- */

static void test_a_growing_delay_doubles_up_to_its_cap(void **state) {
    (void)state;
    static const struct {
        unsigned steps;
        pln_dur seconds;
    } rows[] = {{0, 20}, {1, 20}, {2, 40}, {3, 80}, {4, 160}, {5, 300}, {6, 300}, {4000000, 300}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(pln_backoff_grow(PLN_S(20), rows[i].steps, PLN_S(300)),
                         PLN_S(rows[i].seconds));
    }
    assert_int_equal(pln_backoff_grow(PLN_S(20), 1, PLN_S(5)), PLN_S(5));
    assert_int_equal(pln_backoff_grow(UINT64_MAX / 2 + 1, 3, UINT64_MAX), UINT64_MAX);
}

static void test_the_delay_between_attempts_goes_by_the_failures_of_the_stage(void **state) {
    (void)state;
    static const pln_dur ms[] = {500, 1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    for (unsigned i = 0; i < sizeof(ms) / sizeof(ms[0]); i++) {
        assert_int_equal(pln_backoff_attempt(i), PLN_MS(ms[i]));
    }
}

/* ---- Budget ---------------------------------------------------------------------------------- */

static unsigned take_all(pln_budget *budget, bool favoured, pln_ts now) {
    unsigned taken = 0;
    while (taken < 1000 && pln_budget_take(budget, favoured, now)) {
        taken++;
    }
    return taken;
}

static void test_without_limits_the_budget_always_has_a_place(void **state) {
    (void)state;
    pln_budget budget;
    pln_budget_init(&budget, 0, 0, 0);
    assert_int_equal(take_all(&budget, false, 0), 1000);
    assert_int_equal(pln_budget_free_at(&budget, false), 0);
}

static void test_a_place_in_flight_is_free_again_when_released(void **state) {
    (void)state;
    pln_budget budget;
    pln_budget_init(&budget, 3, 0, 0);
    assert_int_equal(take_all(&budget, false, 0), 3);
    assert_int_equal(pln_budget_free_at(&budget, false), PLN_TS_NEVER);
    pln_budget_release(&budget);
    assert_int_equal(take_all(&budget, false, 0), 1);
}

static void test_a_burst_is_followed_by_the_rate_to_the_nanosecond(void **state) {
    (void)state;
    pln_budget budget;
    pln_budget_init(&budget, 0, 10, 3);
    pln_ts now = PLN_S(7);
    assert_int_equal(take_all(&budget, true, now), 3);
    assert_int_equal(pln_budget_free_at(&budget, true), now + PLN_MS(100));
    assert_false(pln_budget_take(&budget, true, now + PLN_MS(100) - 1));
    assert_true(pln_budget_take(&budget, true, now + PLN_MS(100)));
    assert_false(pln_budget_take(&budget, true, now + PLN_MS(200) - 1));
    assert_int_equal(take_all(&budget, true, now + PLN_S(60)), 3);
}

static void test_a_quarter_is_kept_for_the_favoured(void **state) {
    (void)state;
    pln_budget budget;
    pln_budget_init(&budget, 8, 0, 0);
    assert_int_equal(take_all(&budget, false, 0), 6);
    assert_int_equal(take_all(&budget, true, 0), 2);
    pln_budget_init(&budget, 0, 10, 8);
    assert_int_equal(take_all(&budget, false, 0), 6);
    assert_int_equal(take_all(&budget, true, 0), 2);
    assert_int_equal(pln_budget_free_at(&budget, true), PLN_MS(100));
    assert_int_equal(pln_budget_free_at(&budget, false), PLN_MS(300));
}

/* ---- Tree ------------------------------------------------------------------------------------ */

typedef struct item {
    int value;
    pln_tree_node node;
} item;

static int compare_items(const pln_tree_node *a, const pln_tree_node *b) {
    int x = PLN_TREE_OWNER(a, item, node)->value;
    int y = PLN_TREE_OWNER(b, item, node)->value;
    return x < y ? -1 : x > y;
}

static unsigned depth(const pln_tree_node *node) {
    if (node == NULL) {
        return 0;
    }
    unsigned left = depth(node->left);
    unsigned right = depth(node->right);
    return 1 + (left > right ? left : right);
}

enum { ITEMS = 1023 };

static void expect_items(const pln_tree *tree, int first, int step, size_t count) {
    assert_int_equal(pln_tree_count(tree), count);
    for (size_t i = 0; i < count; i++) {
        pln_tree_node *node = pln_tree_at(tree, i);
        assert_non_null(node);
        assert_int_equal(PLN_TREE_OWNER(node, item, node)->value, first + (int)i * step);
    }
    assert_null(pln_tree_at(tree, count));
}

static void test_a_tree_filled_in_order_stays_shallow(void **state) {
    (void)state;
    static item items[ITEMS];
    pln_tree tree;
    pln_tree_init(&tree, compare_items);
    for (int i = 0; i < ITEMS; i++) {
        items[i].value = i;
        pln_tree_insert(&tree, &items[i].node);
    }
    expect_items(&tree, 0, 1, ITEMS);
    assert_in_range(depth(tree.root), 10, 20); /* log2(1024), and twice that. */
    for (int i = 0; i < ITEMS; i += 2) {
        pln_tree_remove(&tree, &items[i].node);
    }
    expect_items(&tree, 1, 2, ITEMS / 2);
    assert_in_range(depth(tree.root), 9, 18);
    assert_ptr_equal(pln_tree_first(&tree), &items[1].node);
}

/* The invariants that bound the depth; returns the level. */
static unsigned check_balance(const pln_tree_node *node) {
    if (node == NULL) {
        return 0;
    }
    unsigned left = check_balance(node->left);
    unsigned right = check_balance(node->right);
    unsigned far_right = node->right == NULL ? 0 : check_balance(node->right->right);
    assert_int_equal(left, node->level - 1);
    assert_true(right == node->level || right == node->level - 1);
    assert_true(far_right < node->level);
    assert_true(node->level == 1 || node->right != NULL);
    return node->level;
}

static void test_a_tree_stays_balanced_whatever_leaves_it(void **state) {
    (void)state;
    enum { COUNT = 211, STRIDE = 97 }; /* Both prime: every order of leaving is a permutation. */
    static item items[COUNT];
    for (int first = 0; first < COUNT; first += 13) {
        pln_tree tree;
        pln_tree_init(&tree, compare_items);
        for (int i = 0; i < COUNT; i++) {
            items[i].value = i;
            pln_tree_insert(&tree, &items[i].node);
        }
        for (int i = 0; i < COUNT; i++) {
            pln_tree_remove(&tree, &items[(first + i * STRIDE) % COUNT].node);
            check_balance(tree.root);
            assert_int_equal(pln_tree_count(&tree), COUNT - 1 - i);
        }
    }
}

static void test_a_tree_finds_what_is_in_it_and_nothing_else(void **state) {
    (void)state;
    item items[] = {{.value = 2}, {.value = 4}, {.value = 6}};
    pln_tree tree;
    pln_tree_init(&tree, compare_items);
    assert_null(pln_tree_first(&tree));
    for (size_t i = 0; i < 3; i++) {
        pln_tree_insert(&tree, &items[i].node);
    }
    item probe = {.value = 4};
    assert_ptr_equal(pln_tree_find(&tree, &probe.node), &items[1].node);
    probe.value = 5;
    assert_null(pln_tree_find(&tree, &probe.node));
    pln_tree_remove(&tree, &items[1].node);
    probe.value = 4;
    assert_null(pln_tree_find(&tree, &probe.node));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_cell_is_written_and_leads_to_a_state),
        cmocka_unit_test(test_a_cell_that_does_nothing_keeps_the_state),
        cmocka_unit_test(test_what_is_late_is_ignored_in_every_state),
        cmocka_unit_test(test_only_the_end_of_an_attempt_is_impossible_when_there_is_none),
        cmocka_unit_test(test_a_step_writes_the_state_of_its_cell),
        cmocka_unit_test(test_stages_escalate_after_one_two_and_two_failures),
        cmocka_unit_test(test_the_first_stage_is_direct_without_a_last_address),
        cmocka_unit_test(test_every_number_has_a_name_of_its_own),
        cmocka_unit_test(test_a_foreign_number_is_unknown),
        cmocka_unit_test(test_a_growing_delay_doubles_up_to_its_cap),
        cmocka_unit_test(test_the_delay_between_attempts_goes_by_the_failures_of_the_stage),
        cmocka_unit_test(test_without_limits_the_budget_always_has_a_place),
        cmocka_unit_test(test_a_place_in_flight_is_free_again_when_released),
        cmocka_unit_test(test_a_burst_is_followed_by_the_rate_to_the_nanosecond),
        cmocka_unit_test(test_a_quarter_is_kept_for_the_favoured),
        cmocka_unit_test(test_a_tree_filled_in_order_stays_shallow),
        cmocka_unit_test(test_a_tree_stays_balanced_whatever_leaves_it),
        cmocka_unit_test(test_a_tree_finds_what_is_in_it_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
