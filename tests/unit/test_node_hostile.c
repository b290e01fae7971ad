/* SPDX-License-Identifier: Apache-2.0 */
/* What a member that lies can make a node do: whom it dials, how often, and what it remembers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/node_wire.h"
#include "support/state_rig.h"

enum { INVENTED = 100000, AT_ONCE = 500, IPS = 2 };

/* Of the store's defaults: attempts at once and a second, and what one sends to one address before
 * it is given up. */
enum { DIALS = 64, DIALS_PER_S = 50, PACKETS_PER_DIAL = 16 };

static pln_state *state_of(nw_fixture *f) {
    return pln_node_change_state(f->hosts[HERE].node, f->now);
}

static pln_gossip_event told_at(const pollen_key *author, uint64_t counter, uint32_t number) {
    char ip[IPS][16];
    pln_gossip_event event;
    for (size_t i = 0; i < IPS; i++) {
        (void)snprintf(ip[i], sizeof(ip[i]), "198.18.%u.%u", (unsigned)(number >> 8 & 0xff),
                       (unsigned)(number & 0xff) ^ (unsigned)i);
    }
    event = rig_network(author, counter, ip[0], 1000 + (number & 0x7fff));
    char **ips = pln_realloc(event.network.ips, IPS * sizeof(char *));
    assert_non_null(ips);
    event.network.ips = ips;
    ips[event.network.ip_count++] = pln_strdup(ip[1]);
    return event;
}

static void tell(nw_fixture *f, pln_gossip_event event) {
    rig_apply_one(state_of(f), nw_key_of(f, MEMBER), &event);
    pln_node_state_changed(f->hosts[HERE].node);
}

static void invent(nw_fixture *f, size_t liar, uint32_t from, uint32_t count) {
    pln_gossip_event events[AT_ONCE];
    for (uint32_t done = from; done < from + count; done += AT_ONCE) {
        pln_gossip_batch batch = {.events = events, .count = AT_ONCE};
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            const pollen_key key = rig_key_of(done + i + 1);
            events[i] = told_at(&key, 1, done + i);
        }
        assert_int_equal(rig_apply(state_of(f), nw_key_of(f, liar), &batch), POLLEN_OK);
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            pln_gossip_event_fini(&events[i]);
        }
        pln_node_state_changed(f->hosts[HERE].node);
    }
}

/* Of those that gave way to others the store keeps nothing. */
static void what_gives_way_is_not_dialled_any_more(void **state) {
    nw_fixture *f = *state;
    nw_connect(f, HERE, MEMBER);
    nw_connect(f, HERE, OTHER);
    invent(f, MEMBER, 0, 33000);
    invent(f, OTHER, 33000, 2000);
    assert_in_range(pln_node_peer_count(f->hosts[HERE].node), 2000, PLN_STATE_HEARSAY_MAX + 2);
}

static size_t connections_of(const nw_fixture *f) {
    pln_mesh_stats stats;
    pln_mesh_get_stats(pln_node_mesh(f->hosts[HERE].node), &stats);
    return stats.quic.connections;
}

static void a_hundred_thousand_invented_members_are_dialled_slowly(void **state) {
    enum { SECONDS = 6 };
    nw_fixture *f = *state;
    nw_connect(f, HERE, MEMBER);
    invent(f, MEMBER, 0, INVENTED);
    assert_in_range(pln_node_peer_count(f->hosts[HERE].node), 1, PLN_STATE_HEARSAY_MAX + 2);
    pln_state_stats stats;
    pln_state_get_stats(state_of(f), &stats);
    assert_in_range(stats.bytes, 1, 32 * 1024 * 1024);
    for (unsigned second = 0; second < SECONDS; second++) {
        nw_run_ms(f, 1000);
        assert_in_range(connections_of(f), 1, DIALS * IPS + 2);
        assert_in_range(f->hosts[HERE].to_nobody, 0,
                        (second + 2) * DIALS_PER_S * IPS * PACKETS_PER_DIAL);
    }
    assert_true(f->hosts[HERE].to_nobody > 0);
    assert_true(nw_has_session(f, HERE, MEMBER));
    print_message("%zu packets to nobody in %d s\n", f->hosts[HERE].to_nobody, SECONDS);
}

/* The configured peer has its share of the dials. */
static void a_real_peer_is_dialled_among_invented_ones(void **state) {
    nw_fixture *f = *state;
    nw_connect(f, HERE, MEMBER);
    invent(f, MEMBER, 0, 5000);
    nw_run_ms(f, 3000);
    assert_int_equal(pln_node_add_bootstrap(f->hosts[HERE].node, nw_key_of(f, OTHER),
                                            &f->hosts[OTHER].addr, 1, f->now),
                     POLLEN_OK);
    for (int i = 0; i < 50 && !nw_has_session(f, HERE, OTHER); i++) {
        nw_run_ms(f, 100);
    }
    assert_true(nw_has_session(f, HERE, OTHER));
}

/* An author whose address is another one each time is dialled no faster than many authors. */
static void addresses_that_change_all_the_time_do_not_speed_up_dials(void **state) {
    enum { SECONDS = 4 };
    nw_fixture *f = *state;
    const pollen_key victim = rig_key_of(7);
    nw_connect(f, HERE, MEMBER);
    for (uint32_t i = 0; i < SECONDS * 100; i++) {
        tell(f, told_at(&victim, i + 1, i * 4));
        nw_run_ms(f, 10);
        assert_in_range(connections_of(f), 1, DIALS * IPS + 2);
    }
    assert_in_range(f->hosts[HERE].to_nobody, 0, SECONDS * DIALS_PER_S * IPS * PACKETS_PER_DIAL);
    print_message("%zu packets to nobody in %d s\n", f->hosts[HERE].to_nobody, SECONDS);
}

/* All of them live at a victim's. */
static pln_gossip_event told_at_victim(const pollen_key *author, uint32_t number) {
    return rig_network(author, 1, "203.0.113.77", 1000 + number);
}

/* A handshake's first packet is twelve times what it takes to invent a member. */
static void few_invented_members_at_one_address_are_dialled(void **state) {
    enum { SECONDS = 60, EACH = 7 };
    nw_fixture *f = *state;
    nw_connect(f, HERE, MEMBER);
    for (uint32_t i = 0; i < 3000; i++) {
        const pollen_key key = rig_key_of(i + 1);
        tell(f, told_at_victim(&key, i));
    }
    nw_run_ms(f, SECONDS * 1000);
    print_message("%zu packets to a victim in %d s\n", f->hosts[HERE].to_nobody, SECONDS);
    assert_in_range(f->hosts[HERE].to_nobody, 64, (64 + SECONDS * 2) * EACH);
}

/* Two liars who contradict each other, and the victim who has a session: the session stays. */
static void lies_about_a_connected_peer_do_not_touch_its_session(void **state) {
    nw_fixture *f = *state;
    nw_connect(f, HERE, MEMBER);
    nw_connect(f, HERE, OTHER);
    nw_run_ms(f, 100);
    pln_session_info before, after;
    pln_mesh *mesh = pln_node_mesh(f->hosts[HERE].node);
    assert_int_equal(pln_mesh_session_info(mesh, nw_key_of(f, OTHER), &before), POLLEN_OK);
    for (uint32_t i = 0; i < 500; i++) {
        tell(f, told_at(nw_key_of(f, OTHER), 1000 + i, i * 4));
        nw_run_ms(f, 4);
    }
    assert_int_equal(pln_mesh_session_info(mesh, nw_key_of(f, OTHER), &after), POLLEN_OK);
    assert_int_equal(after.generation, before.generation);
    assert_int_equal(f->hosts[HERE].to_nobody, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, nw_setup, nw_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_hundred_thousand_invented_members_are_dialled_slowly),
        TEST(what_gives_way_is_not_dialled_any_more),
        TEST(a_real_peer_is_dialled_among_invented_ones),
        TEST(addresses_that_change_all_the_time_do_not_speed_up_dials),
        TEST(few_invented_members_at_one_address_are_dialled),
        TEST(lies_about_a_connected_peer_do_not_touch_its_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
