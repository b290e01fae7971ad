/* SPDX-License-Identifier: Apache-2.0 */
/* Whoever a newcomer comes to makes it known to the others, and what they see of each other says
 * what NAT is in between, which decides who begins. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "node/plan.h"
#include "node/sightings.h"
#include "support/node_wire.h"

/* ---- Introductions --------------------------------------------------------------------------- */

/* None of them tells where it is, so that gossip gives nobody an address to dial. */
static void two_that_know_one_peer_meet_at_once(void **state) {
    nw_fixture *f = *state;
    nw_connect(f, MEMBER, HERE);
    nw_run_ms(f, 3000);
    nw_connect(f, OTHER, HERE);
    assert_false(nw_has_session(f, MEMBER, OTHER));
    nw_run_ms(f, 100);
    assert_true(nw_has_session(f, MEMBER, OTHER));
    assert_true(nw_has_session(f, OTHER, MEMBER));
}

/* Whom we dial is no newcomer: it may have a thousand neighbours that we know nothing of. */
static void who_is_dialled_is_not_introduced(void **state) {
    nw_fixture *f = *state;
    nw_connect(f, MEMBER, HERE);
    nw_run_ms(f, 3000);
    nw_connect(f, HERE, OTHER);
    nw_run_ms(f, 100);
    assert_false(nw_has_session(f, MEMBER, OTHER));
}

static void a_revoked_member_is_introduced_to_nobody(void **state) {
    nw_fixture *f = *state;
    nw_connect(f, MEMBER, HERE);
    nw_run_ms(f, 3000);
    nw_revoke(f, OTHER);
    const pln_path path = {PLN_VIA_MAIN, f->hosts[HERE].addr};
    pln_mesh_connect(pln_node_mesh(f->hosts[OTHER].node), ++f->next_op, nw_key_of(f, HERE), &path,
                     1, PLN_TS_NEVER, f->now);
    nw_run_ms(f, 3000);
    assert_false(nw_has_session(f, HERE, OTHER));
    assert_false(nw_has_session(f, MEMBER, OTHER));
}

/* ---- Sightings ------------------------------------------------------------------------------- */

static pln_nat_observation seen(uint8_t by, uint16_t port, pln_ts at) {
    return (pln_nat_observation){.observer = {{by}},
                                 .observer_addr =
                                     pln_addr_ipv4((const uint8_t[]){198, 51, by, 1}, 60611),
                                 .seen = pln_addr_ipv4((const uint8_t[]){203, 0, 113, 9}, port),
                                 .at = at};
}

static pollen_nat_mapping mapping_of(const pln_sightings *sightings) {
    return pln_sightings_judge(sightings, PLN_S(10)).mapping;
}

static void one_sighting_says_nothing(void **state) {
    (void)state;
    pln_sightings sightings = {0};
    assert_int_equal(mapping_of(&sightings), POLLEN_NAT_MAPPING_UNKNOWN);
    const pln_nat_observation first = seen(1, 40000, PLN_S(1));
    pln_sightings_add(&sightings, &first);
    assert_int_equal(mapping_of(&sightings), POLLEN_NAT_MAPPING_UNKNOWN);
    const pln_nat_observation moved = seen(1, 50000, PLN_S(2)); /* The same one, again. */
    pln_sightings_add(&sightings, &moved);
    assert_int_equal(sightings.count, 1);
    assert_int_equal(mapping_of(&sightings), POLLEN_NAT_MAPPING_UNKNOWN);
}

static void two_that_differ_saw_a_hard_nat(void **state) {
    (void)state;
    pln_sightings sightings = {0};
    const pln_nat_observation first = seen(1, 40000, PLN_S(1)), second = seen(2, 12345, PLN_S(2));
    pln_sightings_add(&sightings, &first);
    pln_sightings_add(&sightings, &second);
    const pln_nat_brief brief = pln_sightings_judge(&sightings, PLN_S(10));
    assert_int_equal(brief.mapping, POLLEN_NAT_MAPPING_HARD);
    assert_int_equal(brief.port_count, 2);
    assert_int_equal(brief.ports[0], 12345); /* The newest. */
}

static void two_that_agree_saw_an_easy_nat(void **state) {
    (void)state;
    pln_sightings sightings = {0};
    const pln_nat_observation first = seen(1, 40000, PLN_S(1)), second = seen(2, 40000, PLN_S(2));
    pln_sightings_add(&sightings, &first);
    pln_sightings_add(&sightings, &second);
    assert_int_equal(mapping_of(&sightings), POLLEN_NAT_MAPPING_EASY);
}

static void the_oldest_sighting_makes_room(void **state) {
    (void)state;
    pln_sightings sightings = {0};
    for (uint8_t by = 1; by <= PLN_SIGHTINGS_MAX + 1; by++) {
        const pln_nat_observation one = seen(by, (uint16_t)(40000 + by), PLN_S(by));
        pln_sightings_add(&sightings, &one);
    }
    assert_int_equal(sightings.count, PLN_SIGHTINGS_MAX);
    for (size_t i = 0; i < PLN_SIGHTINGS_MAX; i++) {
        assert_int_equal(sightings.items[i].observer.bytes[0], PLN_SIGHTINGS_MAX + 1 - i);
    }
}

/* ---- Who leaves the first step --------------------------------------------------------------- */

static bool is_patient(pollen_nat_mapping ours, pollen_nat_mapping theirs, const char *peer_addr) {
    static pln_outside outside;
    outside = (pln_outside){.verdict.mapping = ours};
    const pln_planner planner = {.outside = &outside};
    const pln_errand errand = {.peer = {{7}}, .speaks_2 = true};
    const pollen_key from = {{1}};
    pln_punch_trigger msg = {
        .peer = errand.peer, .has_whereabouts = true, .whereabouts.mapping = theirs};
    assert_int_equal(pollen_addr_parse(peer_addr, &msg.peer_addr), POLLEN_OK);
    pln_punch_plan plan;
    pln_plan_punch(&planner, &errand, &from, &msg, PLN_S(1), &plan);
    assert_int_equal(plan.target_count, 1);
    return plan.patient;
}

/* What it sends could only spoil the NAT of a peer that has not been told yet. */
static void a_node_without_nat_leaves_the_first_step_to_one_behind(void **state) {
    (void)state;
    static const char v4[] = "203.0.113.9:4000", v6[] = "[2001:db8::9]:4000";
    assert_true(is_patient(POLLEN_NAT_MAPPING_NONE, POLLEN_NAT_MAPPING_EASY, v4));
    assert_true(is_patient(POLLEN_NAT_MAPPING_NONE, POLLEN_NAT_MAPPING_HARD, v4));
    assert_true(is_patient(POLLEN_NAT_MAPPING_NONE, POLLEN_NAT_MAPPING_UNKNOWN, v4));
    assert_false(is_patient(POLLEN_NAT_MAPPING_NONE, POLLEN_NAT_MAPPING_NONE, v4));
    assert_false(is_patient(POLLEN_NAT_MAPPING_EASY, POLLEN_NAT_MAPPING_EASY, v4));
    assert_false(is_patient(POLLEN_NAT_MAPPING_HARD, POLLEN_NAT_MAPPING_UNKNOWN, v4));
    assert_false(is_patient(POLLEN_NAT_MAPPING_NONE, POLLEN_NAT_MAPPING_UNKNOWN, v6));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(two_that_know_one_peer_meet_at_once, nw_setup, nw_teardown),
        cmocka_unit_test_setup_teardown(who_is_dialled_is_not_introduced, nw_setup, nw_teardown),
        cmocka_unit_test_setup_teardown(a_revoked_member_is_introduced_to_nobody, nw_setup,
                                        nw_teardown),
        cmocka_unit_test(one_sighting_says_nothing),
        cmocka_unit_test(two_that_differ_saw_a_hard_nat),
        cmocka_unit_test(two_that_agree_saw_an_easy_nat),
        cmocka_unit_test(the_oldest_sighting_makes_room),
        cmocka_unit_test(a_node_without_nat_leaves_the_first_step_to_one_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
