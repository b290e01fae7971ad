/* SPDX-License-Identifier: Apache-2.0 */
/* What the doctor says of a peer, from what the daemon knows of it; and tables that show it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "pln/columns.h"
#include "pln/doctor.h"
#include "pln/out.h"

enum { NOW = 1767323045 }; /* 2026-01-02T03:04:05Z */

#define OTHER                                                                                      \
    "{'id': 'bb', 'state': 'connected', 'path': 'direct', 'addr': '192.0.2.1:1', 'addrs': []}"

typedef struct patient {
    pln_cli cli;
    pln_doctor doctor;
} patient;

static int set_up(void **state) {
    patient *p = calloc(1, sizeof *p);
    assert_non_null(p);
    p->doctor = (pln_doctor){.cli = &p->cli, .now = NOW};
    pln_report_init(&p->doctor.report, &p->cli);
    *state = p;
    return 0;
}

static int tear_down(void **state) {
    patient *p = *state;
    pln_report_fini(&p->doctor.report);
    json_decref(p->doctor.diagnosis);
    free(p);
    return 0;
}

/* JSON with ' for ". */
static json_t *parse(const char *text) {
    char *copy = strdup(text);
    json_error_t error;
    assert_non_null(copy);
    for (char *at = copy; *at != '\0'; at++) {
        *at = *at == '\'' ? '"' : *at;
    }
    json_t *object = json_loads(copy, 0, &error);
    if (object == NULL) {
        print_error("%s\n", error.text);
    }
    assert_non_null(object);
    free(copy);
    return object;
}

/* The finding on the first of these peers. */
static const json_t *examine(patient *p, const char *peers) {
    char text[2048];
    assert_true(snprintf(text, sizeof text,
                         "{'self': {'id': 'ff', 'cert': {'not_after': '2026-06-01T00:00:00Z'}},"
                         " 'peers': [%s]}",
                         peers) < (int)sizeof text);
    p->doctor.diagnosis = parse(text);
    pln_doctor_check_peer(&p->doctor,
                          json_array_get(json_object_get(p->doctor.diagnosis, "peers"), 0));
    assert_int_equal(json_array_size(p->doctor.report.checks), 1);
    return json_array_get(p->doctor.report.checks, 0);
}

static void expect(const json_t *check, const char *result, const char *words, const char *fix) {
    assert_string_equal(pln_json_text(check, "result", ""), result);
    if (strstr(pln_json_text(check, "message", ""), words) == NULL) {
        print_error("'%s' is not in: %s\n", words, pln_json_text(check, "message", ""));
        fail();
    }
    assert_non_null(strstr(pln_json_text(check, "fix", ""), fix));
}

static void a_direct_peer_passes(void **state) {
    expect(examine(*state, OTHER), "pass", "connected, direct via 192.0.2.1:1", "");
}

static void private_addresses_need_somebody_who_helps(void **state) {
    expect(examine(*state, "{'id': 'aa', 'state': 'unreachable', 'addrs': ['10.0.0.1:7'], 'stage': "
                           "'direct', 'next_action_at': '2026-01-02T03:04:35Z'}"),
           "fail",
           "never reached yet: its addresses are private (10.0.0.1:7), and no other member is "
           "connected that could help through a NAT; next try in 30s (direct)",
           "a member that both can reach");
}

static void private_addresses_that_do_not_answer(void **state) {
    expect(examine(*state, "{'id': 'aa', 'state': 'connecting', 'stage': 'punch', 'addrs': "
                           "['192.168.0.2:7']}, " OTHER),
           "fail", "are private (192.168.0.2:7) and do not answer from here; trying now (punch)",
           "--ips");
}

static void public_addresses_that_do_not_answer(void **state) {
    expect(examine(*state, "{'id': 'aa', 'state': 'unreachable', 'addrs': ['10.0.0.1:7', "
                           "'198.51.100.3:7']}"),
           "fail", "none of its 2 addresses answers (10.0.0.1:7, ...)", "firewall");
}

static void loopback_addresses_reach_nobody(void **state) {
    expect(examine(*state,
                   "{'id': 'aa', 'state': 'unreachable', 'addrs': ['127.0.0.1:7', '[::1]:7']}"),
           "fail", "loopback addresses only (127.0.0.1:7)", "--ips");
}

static void a_peer_without_addresses(void **state) {
    expect(examine(*state, "{'id': 'aa', 'state': 'discovered', 'addrs': []}"), "fail",
           "no address of it is known", "is it up");
}

static void a_peer_that_was_stopped(void **state) {
    expect(examine(*state, "{'id': 'aa', 'state': 'discovered', 'addrs': ['198.51.100.3:7'], "
                           "'reached_before': true, 'last_end': {'reason': 'graceful', 'at': "
                           "'2026-01-02T03:03:05Z'}}"),
           "fail", "last end 1m0s ago (graceful): the session was closed on purpose", "stopped");
}

static void a_refusal_names_whose_certificate_it_is(void **state) {
    patient *p = *state;
    expect(examine(p,
                   "{'id': 'aa', 'state': 'unreachable', 'addrs': [], 'cert_not_after': "
                   "'2026-01-01T00:00:00Z', 'last_end': {'reason': 'cert_expired', 'at': null}}"),
           "fail", "its certificate ran out", "on that node: pln join TOKEN");
}

static void a_refusal_of_certificates_that_hold_is_one_of_clocks(void **state) {
    expect(examine(*state, "{'id': 'aa', 'state': 'unreachable', 'addrs': [], 'cert_not_after': "
                           "'2027-01-01T00:00:00Z', 'last_end': {'reason': 'cert_expired', 'at': "
                           "null}}"),
           "fail", "takes the other's certificate for expired", "clocks");
}

static void another_cluster_is_a_refusal(void **state) {
    expect(examine(*state, "{'id': 'aa', 'state': 'unreachable', 'addrs': ['198.51.100.3:7'], "
                           "'last_end': {'reason': 'denied', 'at': null}}"),
           "fail", "refused the other's certificate", "compare the cluster");
}

static void a_node_that_was_revoked_is_told(void **state) {
    expect(examine(*state, "{'id': 'aa', 'state': 'unreachable', 'addrs': ['198.51.100.3:7'], "
                           "'last_end': {'reason': 'revoked', 'at': null}}"),
           "fail", "this node is revoked there", "root key");
}

static void many_peers_are_not_all_listed(void **state) {
    patient *p = *state;
    enum { PEERS = 60, LISTED = 50 };
    json_t *peers = json_array();
    for (int i = 0; i < PEERS; i++) {
        json_array_append_new(peers, parse("{'id': 'aa', 'state': 'unreachable', 'addrs': []}"));
    }
    p->doctor.diagnosis = json_pack("{s:o}", "peers", peers);
    pln_doctor_check_peers(&p->doctor);
    const json_t *checks = p->doctor.report.checks;
    assert_int_equal(json_array_size(checks), LISTED + 1);
    expect(json_array_get(checks, LISTED), "warn", "and 10 more", "pln doctor PEER");
    assert_int_equal(pln_report_verdict(&p->doctor.report), PLN_WARN);
}

/* ---- The router ------------------------------------------------------------------------------ */

/* How many warnings there are of the NAT, with the last of them. */
static size_t nat_warnings(patient *p, const char *port_mapping, const json_t **ret_last) {
    const json_t *check;
    size_t i;
    size_t count = 0;
    json_decref(p->doctor.diagnosis);
    json_array_clear(p->doctor.report.checks);
    p->doctor.diagnosis = json_pack("{s:{s:s, s:{s:s}}}", "nat", "mapping", "unknown",
                                    "port_mapping", "state", port_mapping);
    pln_doctor_check_node(&p->doctor);
    json_array_foreach(p->doctor.report.checks, i, check) {
        if (strcmp(pln_json_text(check, "check", ""), "nat") == 0 &&
            strcmp(pln_json_text(check, "result", ""), "warn") == 0) {
            *ret_last = check;
            count++;
        }
    }
    return count;
}

static void a_router_that_gives_no_port_is_warned_of(void **state) {
    static const char *const quiet[] = {"off", "asking", "mapped"};
    static const struct {
        const char *state;
        const char *words;
    } told[] = {{"no_router", "but no router leads from this machine"},
                {"nested", "but the router is itself behind a NAT"},
                {"refused", "but the router says no"},
                {"silent", "but the router does not answer"}};
    const json_t *check = NULL;
    for (size_t i = 0; i < sizeof quiet / sizeof quiet[0]; i++) {
        assert_int_equal(nat_warnings(*state, quiet[i], &check), 0);
    }
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        assert_int_equal(nat_warnings(*state, told[i].state, &check), 1);
        expect(check, "warn", told[i].words, "PCP or NAT-PMP in the router; or: pln up");
    }
}

/* ---- Renewal --------------------------------------------------------------------------------- */

/* What is said of a certificate, by a member with one connected peer or none. */
static const json_t *examine_cert(patient *p, const char *health, bool renewable, bool connected) {
    char text[512];
    const json_t *check;
    size_t i;
    assert_true(snprintf(text, sizeof text,
                         "{'self': {'id': 'ff', 'cert': {'not_after': '2026-01-02T03:05:00Z', "
                         "'health': '%s', 'renewable': %s}}, 'peers': [%s]}",
                         health, renewable ? "true" : "false",
                         connected ? OTHER : "") < (int)sizeof text);
    p->doctor.diagnosis = parse(text);
    pln_doctor_check_node(&p->doctor);
    json_array_foreach(p->doctor.report.checks, i, check) {
        if (strcmp(pln_json_text(check, "check", ""), "renewal") == 0) {
            return check;
        }
    }
    fail_msg("renewal was not checked");
    return NULL;
}

static void a_certificate_that_peers_can_renew_is_fine(void **state) {
    expect(examine_cert(*state, "ok", true, true), "pass", "1 connected peers can be asked", "");
}

static void a_late_renewal_that_no_peer_could_do_is_a_failure(void **state) {
    expect(examine_cert(*state, "expiring_soon", true, true), "fail",
           "still not renewed: none of the connected peers could do it", "connect to an admin");
}

static void a_late_renewal_with_nobody_to_ask_is_a_failure(void **state) {
    expect(examine_cert(*state, "expired", true, false), "fail",
           "still not renewed: nobody is connected", "pln join TOKEN");
}

static void a_guest_is_warned_only_when_its_end_is_near(void **state) {
    expect(examine_cert(*state, "expiring_soon", false, true), "warn",
           "not renewable: it ends at 2026-01-02T03:05:00Z", "pln join TOKEN");
}

static void a_guest_with_time_left_is_fine(void **state) {
    expect(examine_cert(*state, "ok", false, true), "pass", "not renewable", "");
}

/* ---- Tables ---------------------------------------------------------------------------------- */

/* What a table of these columns looks like; a row ends with each last column. */
static void expect_table(const char *const *titles, const char *const *cells, const char *wanted) {
    FILE *terminal = stdout;
    char *text = NULL;
    size_t size = 0;
    pln_columns columns;
    stdout = open_memstream(&text, &size);
    assert_non_null(stdout);
    pln_columns_init(&columns, titles);
    for (size_t i = 0; cells[i] != NULL; i++) {
        pln_columns_add(&columns, cells[i], NULL);
    }
    pln_columns_end(&columns);
    fclose(stdout);
    stdout = terminal;
    assert_string_equal(text, wanted);
    free(text);
}

static void columns_are_as_wide_as_what_is_in_them(void **state) {
    static const char *const titles[] = {"A", "LONG", "C", NULL};
    /* Three characters in four bytes; a sequence, and a C1 control. */
    static const char *const cells[] = {"f\303\274r", "7", "", "\033[31mx\302\233", "y", "z", NULL};
    (void)state;
    expect_table(titles, cells,
                 "A         LONG  C\n"
                 "f\303\274r       7\n"
                 "?[31mx??  y     z\n");
}

/* Written from right to left, of no width, broken off, too long for what it is; and honest ones. */
static void names_in_tables_look_like_what_they_are(void **state) {
    static const char *const titles[] = {"A", NULL};
    static const char *const cells[] = {"web\342\200\256moc",
                                        "w\342\200\213eb\357\273\277",
                                        "\342\200\250x\302\255y",
                                        "a\303",
                                        "b\300\212c\377\360\237",
                                        "\360\237\214\273\346\274\242\303\251",
                                        NULL};
    (void)state;
    expect_table(titles, cells,
                 "A\n"
                 "web???moc\n"
                 "w???eb???\n"
                 "???x??y\n"
                 "a?\n"
                 "b??c???\n"
                 "\360\237\214\273\346\274\242\303\251\n");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_in_tables_look_like_what_they_are),
        cmocka_unit_test_setup_teardown(a_direct_peer_passes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(private_addresses_need_somebody_who_helps, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(private_addresses_that_do_not_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(public_addresses_that_do_not_answer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(loopback_addresses_reach_nobody, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_peer_without_addresses, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_peer_that_was_stopped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refusal_names_whose_certificate_it_is, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_refusal_of_certificates_that_hold_is_one_of_clocks,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_cluster_is_a_refusal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_node_that_was_revoked_is_told, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_router_that_gives_no_port_is_warned_of, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_certificate_that_peers_can_renew_is_fine, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_late_renewal_that_no_peer_could_do_is_a_failure, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_late_renewal_with_nobody_to_ask_is_a_failure, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_guest_is_warned_only_when_its_end_is_near, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_guest_with_time_left_is_fine, set_up, tear_down),
        cmocka_unit_test_setup_teardown(many_peers_are_not_all_listed, set_up, tear_down),
        cmocka_unit_test(columns_are_as_wide_as_what_is_in_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
