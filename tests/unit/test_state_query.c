/* SPDX-License-Identifier: Apache-2.0 */
/* What a state is asked: where members are, what they serve, whom they reach. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/state_fixture.h"

static void public_addresses_are_dialled_at_the_external_port(void **arg) {
    fixture *f = *arg;
    pollen_addr addrs[8];
    pln_gossip_event event = rig_network(&f->peer, 1, "8.8.8.8", 60611);
    const char *more[] = {"10.1.2.3", "127.0.0.1", "169.254.1.1", "2001:db9::1",
                          "fd00::1",  "host.name", "1.2.3.4:5",   "0.0.0.0"};
    event.network.ips = pln_realloc(event.network.ips, 9 * sizeof(char *));
    for (size_t i = 0; i < 8; i++) {
        event.network.ips[event.network.ip_count++] = pln_strdup(more[i]);
    }
    apply(f, event);
    assert_int_equal(pln_state_addrs(f->state, &f->peer, addrs, 8), 6);
    assert_int_equal(addrs[0].port, 60611);
    apply(f, rig_external_port(&f->peer, 2, 40001));
    assert_int_equal(pln_state_addrs(f->state, &f->peer, addrs, 8), 6);
    const uint16_t ports[] = {40001, 60611, 60611, 60611, 40001, 60611};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(addrs[i].port, ports[i]);
    }
    assert_int_equal(pln_state_addrs(f->state, &f->peer, addrs, 2), 2);
}

static void ports_that_are_none_are_not_dialled(void **arg) {
    fixture *f = *arg;
    pollen_addr addr;
    apply(f, rig_network(&f->peer, 1, "8.8.8.8", 70000));
    assert_int_equal(pln_state_addrs(f->state, &f->peer, &addr, 1), 0);
    apply(f, rig_network(&f->peer, 2, "8.8.8.8", 0));
    assert_int_equal(pln_state_addrs(f->state, &f->peer, &addr, 1), 0);
    apply(f, rig_network(&f->us, 1, "8.8.8.8", 1));
    assert_int_equal(pln_state_addrs(f->state, &f->us, &addr, 1), 0);
}

static void services_are_found_by_name_port_and_provider(void **arg) {
    fixture *f = *arg;
    pln_service_info found[4];
    apply(f, rig_service(&f->peer, 1, "web", 80));
    apply(f, rig_service(&f->peer, 2, "db", 5432));
    apply(f, rig_service(&f->them, 1, "web", 81));
    pln_service_filter all = {0};
    assert_int_equal(pln_state_services(f->state, &all, found, 4), 3);
    assert_string_equal(found[0].name, "db");
    assert_string_equal(found[1].name, "web");
    assert_true(pln_key_equal(&found[2].provider, &f->them));
    pln_service_filter web = {.name = "web"};
    assert_int_equal(pln_state_services(f->state, &web, found, 4), 2);
    pln_service_filter port = {.port = 81};
    assert_int_equal(pln_state_services(f->state, &port, found, 4), 1);
    pln_service_filter one = {.name = "web", .provider = &f->peer};
    assert_int_equal(pln_state_services(f->state, &one, found, 4), 1);
    assert_int_equal(found[0].port, 80);
    assert_int_equal(pln_state_services(f->state, &all, found, 1), 3);
}

static void those_heard_of_last_are_asked_first(void **arg) {
    fixture *f = *arg;
    pln_reacher found[3];
    pollen_key target = rig_key(0x99);
    for (uint8_t i = 1; i <= 4; i++) {
        pollen_key key = rig_key(i);
        apply(f, rig_reachability(&key, 1, &target));
        assert_int_equal(pln_state_vouch(f->state, &key, i == 3 ? 900 : i), POLLEN_OK);
    }
    assert_int_equal(pln_state_reachers(f->state, &target, found, 3), 3);
    assert_int_equal(found[0].key.bytes[0], 3);
    assert_int_equal(found[1].key.bytes[0], 4);
    assert_int_equal(found[2].key.bytes[0], 2);
    assert_int_equal(pln_state_reachers(f->state, &target, found, 1), 1);
    assert_int_equal(found[0].key.bytes[0], 3);
    assert_int_equal(pln_state_reachers(f->state, &f->peer, found, 3), 0);
    /* Whatever comes from its session is a sign of life. */
    pollen_key key = rig_key(1);
    pln_gossip_peer peer = rig_peer(&key);
    pln_envelopes list = {0};
    assert_int_equal(pln_state_handle_clock(f->state, &peer, NULL, 0, 1000, &list), POLLEN_OK);
    pln_envelopes_fini(&list);
    assert_int_equal(pln_state_reachers(f->state, &target, found, 3), 3);
    assert_int_equal(found[0].key.bytes[0], 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(public_addresses_are_dialled_at_the_external_port),
        TEST(ports_that_are_none_are_not_dialled),
        TEST(services_are_found_by_name_port_and_provider),
        TEST(those_heard_of_last_are_asked_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
