/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict on the NAT, as the machine contract has it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "pln/nat_words.h"
#include "pln/netcheck.h"
#include "sock/verdict.h"
#include "support/addr_text.h"

enum { NOW_S = 1767323045 }; /* 2026-01-02T03:04:05Z */

static pollen_nat_evidence evidence(uint8_t peer, const char *seen, const char *role) {
    return (pollen_nat_evidence){.peer = {{peer}},
                                 .seen = addr_of(seen),
                                 .age_ms = peer * 1000,
                                 .counted = strcmp(role, "counted") == 0,
                                 .role = role};
}

static const char *text_at(const json_t *array, size_t i, const char *key) {
    return json_string_value(json_object_get(json_array_get(array, i), key));
}

static const pollen_port_mapping off;

static void a_verdict_comes_with_its_evidence(void **state) {
    pollen_nat_report report = {.mapping = POLLEN_NAT_MAPPING_EASY,
                                .allocation = POLLEN_NAT_ALLOCATION_PRESERVING,
                                .evidence_count = 4};
    (void)state;
    report.evidence[0] = evidence(1, "203.0.113.5:60611", "counted");
    report.evidence[1] = evidence(2, "203.0.113.5:60611", "counted");
    report.evidence[2] = evidence(3, "192.168.1.7:60611", "inside");
    report.evidence[3] = evidence(4, "203.0.113.5:61000", "same_address");
    json_t *object = pln_netcheck_json(&report, &off, NOW_S * 1000LL);
    assert_non_null(object);
    const json_t *list = json_object_get(object, "evidence");
    const json_t *addrs = json_object_get(object, "public_addrs");
    assert_string_equal(json_string_value(json_object_get(object, "mapping")), "easy");
    assert_string_equal(json_string_value(json_object_get(object, "allocation")), "preserving");
    assert_int_equal(json_array_size(addrs), 1);
    assert_string_equal(json_string_value(json_array_get(addrs, 0)), "203.0.113.5:60611");
    assert_int_equal(json_array_size(list), 4);
    assert_string_equal(text_at(list, 0, "at"), "2026-01-02T03:04:04Z");
    assert_string_equal(text_at(list, 2, "role"), "inside");
    assert_string_equal(text_at(list, 2, "seen_addr"), "192.168.1.7:60611");
    assert_string_equal(text_at(list, 3, "role"), "same_address");
    json_decref(object);
}

static void what_nobody_told_is_unknown(void **state) {
    const pollen_nat_report report = {.mapping = POLLEN_NAT_MAPPING_UNKNOWN};
    (void)state;
    json_t *object = pln_netcheck_json(&report, &off, NOW_S * 1000LL);
    const json_t *protocols = json_object_get(object, "port_mapping");
    assert_string_equal(json_string_value(json_object_get(object, "mapping")), "unknown");
    assert_string_equal(json_string_value(json_object_get(object, "allocation")), "unknown");
    assert_int_equal(json_array_size(json_object_get(object, "public_addrs")), 0);
    assert_int_equal(json_array_size(json_object_get(object, "evidence")), 0);
    assert_true(json_is_null(json_object_get(object, "doubt")));
    assert_true(json_is_null(json_object_get(object, "remembered_at")));
    assert_true(json_is_null(json_object_get(object, "step")));
    assert_true(json_is_null(json_object_get(protocols, "pcp")));
    assert_true(json_is_null(json_object_get(protocols, "nat_pmp")));
    assert_true(json_is_null(json_object_get(protocols, "upnp")));
    assert_true(json_is_null(json_object_get(protocols, "external_addr")));
    assert_true(json_is_null(json_object_get(protocols, "gateway_addr")));
    assert_string_equal(json_string_value(json_object_get(protocols, "state")), "off");
    json_decref(object);
}

static void what_a_router_was_asked_is_told(void **state) {
    const pollen_nat_report report = {.mapping = POLLEN_NAT_MAPPING_UNKNOWN};
    const pollen_port_mapping mapping = {.state = POLLEN_PORT_MAPPING_MAPPED,
                                         .pcp = POLLEN_PORT_MAPPING_UNSPOKEN,
                                         .nat_pmp = POLLEN_PORT_MAPPING_SPOKEN,
                                         .gateway = addr_of("192.168.1.1:5351"),
                                         .external = addr_of("203.0.113.5:60611")};
    (void)state;
    json_t *object = pln_netcheck_json(&report, &mapping, NOW_S * 1000LL);
    const json_t *told = json_object_get(object, "port_mapping");
    assert_true(json_is_false(json_object_get(told, "pcp")));
    assert_true(json_is_true(json_object_get(told, "nat_pmp")));
    assert_true(json_is_null(json_object_get(told, "upnp")));
    assert_string_equal(json_string_value(json_object_get(told, "state")), "mapped");
    assert_string_equal(json_string_value(json_object_get(told, "gateway_addr")),
                        "192.168.1.1:5351");
    assert_string_equal(json_string_value(json_object_get(told, "external_addr")),
                        "203.0.113.5:60611");
    json_decref(object);
}

static void what_is_only_remembered_is_told_with_its_time(void **state) {
    const pollen_nat_report report = {.mapping = POLLEN_NAT_MAPPING_HARD,
                                      .allocation = POLLEN_NAT_ALLOCATION_SEQUENTIAL,
                                      .step = 256,
                                      .doubt = "one",
                                      .remembered_at = NOW_S - 86400};
    (void)state;
    json_t *object = pln_netcheck_json(&report, &off, NOW_S * 1000LL);
    assert_string_equal(json_string_value(json_object_get(object, "remembered_at")),
                        "2026-01-01T03:04:05Z");
    assert_string_equal(json_string_value(json_object_get(object, "doubt")), "one");
    assert_int_equal(json_integer_value(json_object_get(object, "step")), 256);
    json_decref(object);
}

/* ---- Words ----------------------------------------------------------------------------------- */

static void every_name_has_words(void **state) {
    (void)state;
    for (pollen_nat_mapping i = 0; i <= POLLEN_NAT_MAPPING_HARD; i++) {
        const char *mapping = pollen_nat_mapping_name(i);
        assert_string_not_equal(pln_nat_mapping_words(mapping, NULL), "");
        for (pollen_nat_allocation k = 0; k <= POLLEN_NAT_ALLOCATION_RANDOM; k++) {
            const char *allocation = pollen_nat_allocation_name(k);
            assert_string_not_equal(pln_nat_allocation_words(mapping, allocation), "");
        }
    }
    for (pln_nat_doubt i = PLN_NAT_DOUBT_NONE + 1; i <= PLN_NAT_DOUBT_SPLIT; i++) {
        assert_string_not_equal(pln_nat_doubt_words(pln_nat_doubt_name(i)), "");
    }
    for (pln_nat_role i = 0; i <= PLN_NAT_ROLE_OUTVOTED; i++) {
        assert_string_not_equal(pln_nat_role_words(pln_nat_role_name(i)), "");
    }
    assert_string_equal(pln_nat_role_words("of a later version"), "");
}

static void an_unknown_mapping_says_what_would_settle_it(void **state) {
    (void)state;
    assert_string_equal(pln_nat_mapping_words("unknown", "one"),
                        "one peer alone sees this node from outside; a second one, at another "
                        "address, would tell");
    assert_string_equal(pln_nat_mapping_words("unknown", NULL),
                        "two connected peers, outside and not behind one address, are needed to "
                        "tell");
    /* A remembered one is what it is, whatever is in doubt. */
    assert_string_equal(pln_nat_mapping_words("none", "one"),
                        "no NAT: peers see this node at an address of its own");
    assert_string_equal(pln_nat_allocation_words("easy", "unknown"),
                        "another port than the socket's");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_verdict_comes_with_its_evidence),
        cmocka_unit_test(what_nobody_told_is_unknown),
        cmocka_unit_test(what_a_router_was_asked_is_told),
        cmocka_unit_test(what_is_only_remembered_is_told_with_its_time),
        cmocka_unit_test(every_name_has_words),
        cmocka_unit_test(an_unknown_mapping_says_what_would_settle_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
