/* SPDX-License-Identifier: Apache-2.0 */
/* What is asked of a router, when, and what its answers come to: a clock of our own, and bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/addr.h"
#include "base/limits.h"
#include "portmap/portmap.h"
#include "support/addr_text.h"

#define START PLN_S(5000)
#define PORT 60611
#define SECOND(n) (START + PLN_S(n))

typedef struct rig {
    pln_rng_seeded seeded;
    pln_portmap pm;
    pln_ts now;
    uint32_t epoch_s; /* Of the router, at START. */
    size_t sent;
    uint8_t last[PLN_PORTMAP_REQUEST_BYTES];
    size_t last_size;
    pln_ts last_at;
} rig;

static void take(rig *r) {
    pln_transmit to;
    while (pln_portmap_poll_transmit(&r->pm, r->last, &to, r->now)) {
        const pollen_addr gateway = addr_of("192.168.1.1:5351");
        assert_true(pollen_addr_equal(&to.path.remote, &gateway));
        r->last_size = to.size;
        r->last_at = r->now;
        r->sent++;
    }
}

/* Everything that is due until then happens at its time. */
static void pass_until(rig *r, pln_ts end) {
    take(r);
    for (int i = 0; pln_portmap_next_expiry(&r->pm) <= end; i++) {
        assert_true(i < 1000);
        assert_true(pln_portmap_next_expiry(&r->pm) >= r->now);
        r->now = pln_portmap_next_expiry(&r->pm);
        pln_portmap_handle_timeout(&r->pm, r->now);
        take(r);
    }
    r->now = end;
}

/* Until the next sending. */
static void pass_until_sent(rig *r) {
    const size_t before = r->sent;
    for (int i = 0; r->sent == before; i++) {
        assert_true(i < 1000);
        pass_until(r, pln_portmap_next_expiry(&r->pm));
    }
}

static void set_network(rig *r, const char *gateway) {
    const pln_portmap_network network = {
        .gateway = addr_of(gateway), .client = addr_of("192.168.1.10:1"), .port = PORT};
    pln_portmap_set_network(&r->pm, &network, r->now);
}

/* The first request has left. */
static rig at_home(void) {
    rig r = {.now = START, .epoch_s = 1000};
    const pln_rng rng = pln_rng_from_seed(&r.seeded, 3);
    pln_portmap_init(&r.pm, &rng);
    return r;
}

static void begin(rig *r) {
    r->pm.rng.ctx = &r->seeded; /* The rig was copied. */
    set_network(r, "192.168.1.1:1");
    take(r);
}

/* ---- The router ------------------------------------------------------------------------------ */

static void put32(uint8_t *to, uint32_t value) {
    for (int i = 0; i < 4; i++) {
        to[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

static uint32_t epoch_of(const rig *r) {
    return r->epoch_s + (uint32_t)((r->now - START) / PLN_NS_PER_S);
}

static void hear(rig *r, const char *from, const uint8_t *bytes, size_t size) {
    const pln_datagram datagram = {.path = {.remote = addr_of(from)}, .data = bytes, .size = size};
    pln_portmap_handle_datagram(&r->pm, &datagram, r->now);
    take(r);
}

#define ROUTER "192.168.1.1:5351"

/* Answers the last request, which was a PCP MAP. */
static void pcp(rig *r, uint8_t result, uint32_t lifetime_s, const char *external) {
    uint8_t bytes[60];
    assert_int_equal(r->last[0], 2);
    memcpy(bytes, r->last, sizeof bytes);
    const pollen_addr addr = addr_of(external);
    bytes[1] = 0x81;
    bytes[3] = result;
    put32(bytes + 4, lifetime_s);
    memset(bytes + 8, 0, 16);
    put32(bytes + 8, epoch_of(r));
    bytes[42] = (uint8_t)(addr.port >> 8);
    bytes[43] = (uint8_t)addr.port;
    memcpy(bytes + 44, addr.ip, 16);
    hear(r, ROUTER, bytes, sizeof bytes);
}

/* A router of NAT-PMP alone, to a request of PCP. */
static void other_version(rig *r) {
    uint8_t bytes[8] = {0, 0x81, 0, 1};
    put32(bytes + 4, epoch_of(r));
    hear(r, ROUTER, bytes, sizeof bytes);
}

static void pmp_address(rig *r, uint8_t result, const char *external) {
    uint8_t bytes[12] = {0, 0x80, 0, result};
    const pollen_addr addr = addr_of(external);
    assert_int_equal(r->last_size, 2);
    put32(bytes + 4, epoch_of(r));
    memcpy(bytes + 8, addr.ip + 12, 4);
    hear(r, ROUTER, bytes, sizeof bytes);
}

static void pmp_map(rig *r, uint8_t result, uint16_t external_port, uint32_t lifetime_s) {
    uint8_t bytes[16] = {0, 0x81, 0, result};
    assert_int_equal(r->last_size, 12);
    put32(bytes + 4, epoch_of(r));
    memcpy(bytes + 8, r->last + 4, 2);
    bytes[10] = (uint8_t)(external_port >> 8);
    bytes[11] = (uint8_t)external_port;
    put32(bytes + 12, lifetime_s);
    hear(r, ROUTER, bytes, sizeof bytes);
}

/* ---- What is expected ------------------------------------------------------------------------ */

#define assert_state(r, name)                                                                      \
    assert_string_equal(pollen_port_mapping_state_name(pln_portmap_report(&(r)->pm)->state), name)

static void assert_external(const rig *r, const char *text) {
    const pollen_addr addr = addr_of(text);
    assert_true(pollen_addr_equal(&pln_portmap_report(&r->pm)->external, &addr));
}

static void assert_nothing_mapped(const rig *r) {
    assert_int_equal(pln_portmap_report(&r->pm)->external.port, 0);
}

static void assert_spoken(const rig *r, pollen_port_mapping_protocol pcp_is,
                          pollen_port_mapping_protocol pmp_is) {
    assert_int_equal(pln_portmap_report(&r->pm)->pcp, pcp_is);
    assert_int_equal(pln_portmap_report(&r->pm)->nat_pmp, pmp_is);
}

#define UNTRIED POLLEN_PORT_MAPPING_UNTRIED
#define SPOKEN POLLEN_PORT_MAPPING_SPOKEN
#define UNSPOKEN POLLEN_PORT_MAPPING_UNSPOKEN

#define RIG(r)                                                                                     \
    rig r = at_home();                                                                             \
    (void)state;                                                                                   \
    begin(&r)

/* ---- PCP ------------------------------------------------------------------------------------- */

static void nothing_is_asked_before_it_is_wanted(void **state) {
    (void)state;
    rig r = at_home();
    assert_state(&r, "off");
    assert_int_equal(pln_portmap_next_expiry(&r.pm), PLN_TS_NEVER);
    pass_until(&r, SECOND(100000));
    assert_int_equal(r.sent, 0);
}

static void pcp_is_asked_first_and_once(void **state) {
    RIG(r);
    static const uint8_t head[] = {2, 1, 0, 0, 0, 0, 0x04, 0xb0};
    assert_state(&r, "asking");
    assert_int_equal(r.sent, 1);
    assert_int_equal(r.last_size, 60);
    assert_memory_equal(r.last, head, sizeof head);
    assert_memory_equal(r.last + 40, ((uint8_t[]){0xec, 0xc3, 0xec, 0xc3}), 4);
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    assert_state(&r, "mapped");
    assert_external(&r, "198.51.100.7:40000");
    assert_spoken(&r, SPOKEN, UNTRIED);
    assert_true(pln_portmap_poll_change(&r.pm));
    assert_false(pln_portmap_poll_change(&r.pm));
    assert_int_equal(r.sent, 1);
}

/* RFC 6887, 11.2.1: between a half and five eighths. */
static void a_mapping_is_renewed_after_half_its_life_and_stays(void **state) {
    RIG(r);
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    (void)pln_portmap_poll_change(&r.pm);
    for (unsigned i = 1; i <= 10; i++) {
        const pln_ts granted_at = r.now;
        pass_until_sent(&r);
        assert_int_equal(r.sent, 1 + i);
        assert_in_range(r.now - granted_at, PLN_S(600), PLN_S(750));
        assert_memory_equal(r.last + 42, ((uint8_t[]){0x9c, 0x40}), 2); /* What we have. */
        assert_memory_equal(r.last + 56, ((uint8_t[]){198, 51, 100, 7}), 4);
        pcp(&r, 0, 1200, "198.51.100.7:40000");
    }
    assert_state(&r, "mapped");
    assert_false(pln_portmap_poll_change(&r.pm));
}

static void a_renewal_is_signed_with_the_same_nonce(void **state) {
    RIG(r);
    uint8_t nonce[12];
    memcpy(nonce, r.last + 24, sizeof nonce);
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    pass_until_sent(&r);
    assert_memory_equal(r.last + 24, nonce, sizeof nonce);
}

static void a_mapping_that_nobody_renews_is_lost_when_it_ends(void **state) {
    RIG(r);
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    pass_until(&r, SECOND(1200) - 1);
    assert_state(&r, "mapped");
    assert_in_range(r.sent, 4, 40); /* Often enough that a few may be lost, and no flood. */
    pass_until(&r, SECOND(1200));
    assert_state(&r, "asking");
    assert_nothing_mapped(&r);
}

static void a_renewal_that_moves_the_mapping_is_told(void **state) {
    RIG(r);
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    (void)pln_portmap_poll_change(&r.pm);
    pass_until_sent(&r);
    pcp(&r, 0, 1200, "198.51.100.8:40001");
    assert_true(pln_portmap_poll_change(&r.pm));
    assert_external(&r, "198.51.100.8:40001");
}

static void silence_is_answered_by_asking_again_and_then_otherwise(void **state) {
    RIG(r);
    static const pln_ts pcp_at[] = {0, 3, 9};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(r.sent, i + 1);
        assert_int_equal(r.last_size, 60);
        assert_in_range(r.now - START, PLN_S(pcp_at[i]) * 9 / 10, PLN_S(pcp_at[i]) * 11 / 10);
        pass_until_sent(&r);
    }
    assert_int_equal(r.last_size, 2);
    assert_in_range(r.now - START, PLN_S(21) * 9 / 10, PLN_S(21) * 11 / 10);
    assert_spoken(&r, UNSPOKEN, UNTRIED);
    const pln_ts from = r.now;
    for (size_t i = 4; i < 9; i++) {
        pass_until_sent(&r);
        assert_int_equal(r.last_size, 2);
    }
    assert_in_range(r.now - from, PLN_MS(7750) * 9 / 10, PLN_MS(7750) * 11 / 10);
    assert_int_equal(r.sent, 9);
    pass_until(&r, SECOND(60));
    assert_int_equal(r.sent, 9);
    assert_state(&r, "silent");
    assert_spoken(&r, UNSPOKEN, UNSPOKEN);
    pass_until_sent(&r);
    assert_int_equal(r.last_size, 60);
    assert_in_range(r.now - START, PLN_S(600), PLN_S(740));
}

/* ---- NAT-PMP --------------------------------------------------------------------------------- */

static void a_router_of_nat_pmp_alone_is_asked_in_its_own_words(void **state) {
    RIG(r);
    other_version(&r);
    assert_spoken(&r, UNSPOKEN, UNTRIED);
    pmp_address(&r, 0, "198.51.100.7:1");
    assert_memory_equal(r.last, ((uint8_t[]){0, 1, 0, 0, 0xec, 0xc3, 0xec, 0xc3, 0, 0, 4, 0xb0}),
                        12);
    pmp_map(&r, 0, 40000, 1200);
    assert_state(&r, "mapped");
    assert_external(&r, "198.51.100.7:40000");
    assert_spoken(&r, UNSPOKEN, SPOKEN);
    assert_int_equal(r.now, START);
    pass_until_sent(&r);
    assert_in_range(r.now, SECOND(600), SECOND(750));
    pmp_address(&r, 0, "198.51.100.9:1");
    assert_memory_equal(r.last + 6, ((uint8_t[]){0x9c, 0x40}), 2);
    pmp_map(&r, 0, 40000, 1200);
    assert_external(&r, "198.51.100.9:40000");
}

static void a_nat_pmp_refusal_is_asked_again_later(void **state) {
    RIG(r);
    other_version(&r);
    pmp_address(&r, 0, "198.51.100.7:1");
    pmp_map(&r, 2, 0, 0);
    assert_state(&r, "refused");
    assert_nothing_mapped(&r);
    assert_spoken(&r, UNSPOKEN, SPOKEN);
    pass_until_sent(&r);
    assert_in_range(r.now, SECOND(600), SECOND(675));
}

static void a_mapping_of_another_port_is_not_ours(void **state) {
    RIG(r);
    other_version(&r);
    pmp_address(&r, 0, "198.51.100.7:1");
    static const uint8_t other[] = {0, 0x81, 0, 0, 0, 0, 3, 0xe8, 0, 80, 0, 80, 0, 0, 4, 0xb0};
    hear(&r, ROUTER, other, sizeof other);
    assert_state(&r, "asking");
}

/* ---- Refusals -------------------------------------------------------------------------------- */

/* A killed node's mapping stands under another nonce; the simpler protocol does not ask for it. */
static void who_may_not_by_pcp_asks_by_nat_pmp(void **state) {
    RIG(r);
    pcp(&r, 2, 1800, "0.0.0.0:1");
    assert_int_equal(r.last_size, 2);
    pmp_address(&r, 0, "198.51.100.7:1");
    pmp_map(&r, 0, 40000, 1200);
    assert_state(&r, "mapped");
    assert_spoken(&r, SPOKEN, SPOKEN);
}

static void an_error_that_passes_is_waited_for(void **state) {
    RIG(r);
    pcp(&r, 8, 100, "0.0.0.0:1");
    assert_state(&r, "refused");
    pass_until_sent(&r);
    assert_int_equal(r.last_size, 60);
    assert_in_range(r.now, SECOND(100), SECOND(113));
}

static void how_long_an_error_stands_is_bounded(void **state) {
    RIG(r);
    pcp(&r, 8, 0, "0.0.0.0:1");
    pass_until_sent(&r);
    assert_in_range(r.now, SECOND(30), SECOND(34));
    const pln_ts before = r.now;
    pcp(&r, 8, UINT32_MAX, "0.0.0.0:1");
    pass_until_sent(&r);
    assert_in_range(r.now - before, PLN_S(3600), PLN_S(4050));
}

static void a_renewal_that_is_refused_leaves_the_mapping_its_time(void **state) {
    RIG(r);
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    pass_until_sent(&r);
    pcp(&r, 2, 1800, "0.0.0.0:1");
    assert_state(&r, "mapped");
    pass_until_sent(&r);
    assert_in_range(r.now, SECOND(900), SECOND(975));
}

static void a_life_of_ages_is_renewed_all_the_same(void **state) {
    RIG(r);
    pcp(&r, 0, UINT32_MAX, "198.51.100.7:40000");
    pass_until_sent(&r);
    assert_in_range(r.now, SECOND(3600), SECOND(4500));
}

static void a_life_of_seconds_is_a_refusal(void **state) {
    for (uint32_t lifetime_s = 0; lifetime_s < 60; lifetime_s += 59) {
        RIG(r);
        pcp(&r, 0, lifetime_s, "198.51.100.7:40000");
        assert_nothing_mapped(&r);
        pmp_address(&r, 0, "198.51.100.7:1");
        pmp_map(&r, 0, 40000, lifetime_s);
        assert_state(&r, "refused");
        assert_nothing_mapped(&r);
    }
}

static void port_zero_is_no_mapping(void **state) {
    RIG(r);
    uint8_t bytes[60];
    memcpy(bytes, r.last, sizeof bytes);
    bytes[1] = 0x81;
    bytes[42] = bytes[43] = 0;
    hear(&r, ROUTER, bytes, sizeof bytes);
    assert_nothing_mapped(&r);
}

static void an_address_behind_another_nat_is_told_apart(void **state) {
    static const char *const nested[] = {"192.168.0.2:40000", "10.1.2.3:40000",  "100.64.0.2:40000",
                                         "169.254.1.1:40000", "127.0.0.1:40000", "0.0.0.0:40000",
                                         "224.0.0.1:40000"};
    for (size_t i = 0; i < sizeof nested / sizeof nested[0]; i++) {
        RIG(r);
        pcp(&r, 0, 1200, nested[i]);
        assert_state(&r, "nested");
        assert_external(&r, nested[i]);
        pass_until_sent(&r); /* Kept up: the other NAT may be another day's. */
        pcp(&r, 0, 1200, "198.51.100.7:40000");
        assert_state(&r, "mapped");
    }
}

/* ---- Who may say so -------------------------------------------------------------------------- */

static void only_the_router_s_port_is_listened_to(void **state) {
    RIG(r);
    uint8_t bytes[60];
    memcpy(bytes, r.last, sizeof bytes);
    bytes[1] = 0x81;
    put32(bytes + 4, 1200);
    bytes[44 + 12] = 198;
    hear(&r, "192.168.1.1:5350", bytes, sizeof bytes);
    hear(&r, "192.168.1.2:5351", bytes, sizeof bytes);
    assert_state(&r, "asking");
    hear(&r, ROUTER, bytes, sizeof bytes);
    assert_state(&r, "mapped");
}

static void an_answer_to_another_nonce_or_port_is_passed_over(void **state) {
    RIG(r);
    static const size_t places[] = {24, 35, 40};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        uint8_t bytes[60];
        memcpy(bytes, r.last, sizeof bytes);
        bytes[1] = 0x81;
        put32(bytes + 4, 1200);
        bytes[places[i]] ^= 1;
        hear(&r, ROUTER, bytes, sizeof bytes);
        assert_state(&r, "asking");
        assert_spoken(&r, UNTRIED, UNTRIED);
    }
}

static void what_was_not_asked_yet_is_not_answered(void **state) {
    (void)state;
    rig r = at_home();
    r.pm.rng.ctx = &r.seeded;
    set_network(&r, "192.168.1.1:1"); /* Due, not sent. */
    other_version(&r);
    assert_int_equal(r.sent, 1);
    assert_int_equal(r.last_size, 60);
}

static void the_router_may_move_a_mapping_and_not_all_the_time(void **state) {
    RIG(r);
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    pcp(&r, 0, 1200, "198.51.100.7:40001");
    assert_external(&r, "198.51.100.7:40000");
    pass_until(&r, SECOND(4));
    pcp(&r, 0, 1200, "198.51.100.7:40002");
    assert_external(&r, "198.51.100.7:40002");
}

/* ---- Restarts -------------------------------------------------------------------------------- */

static void announce(rig *r) {
    uint8_t bytes[24] = {2, 0x80};
    put32(bytes + 8, epoch_of(r));
    hear(r, ROUTER, bytes, sizeof bytes);
}

static void a_restarted_router_is_asked_within_seconds(void **state) {
    RIG(r);
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    pass_until(&r, SECOND(100));
    r.epoch_s = 0;
    r.epoch_s -= 100; /* It says 0 now. */
    announce(&r);
    pass_until_sent(&r);
    assert_in_range(r.now, SECOND(100), SECOND(105));
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    assert_state(&r, "mapped");
}

static void a_router_whose_address_changes_is_asked_within_seconds(void **state) {
    RIG(r);
    static const uint8_t same[] = {0, 0x80, 0, 0, 0, 0, 4, 0x4c, 198, 51, 100, 7};
    static const uint8_t other[] = {0, 0x80, 0, 0, 0, 0, 4, 0x56, 198, 51, 100, 8};
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    pass_until(&r, SECOND(100)); /* Its clock says 1100. */
    hear(&r, ROUTER, same, sizeof same);
    pass_until(&r, SECOND(110));
    assert_int_equal(r.sent, 1);
    hear(&r, ROUTER, other, sizeof other);
    pass_until_sent(&r);
    assert_in_range(r.now, SECOND(110), SECOND(115));
}

static void a_silent_router_that_speaks_up_is_asked_within_seconds(void **state) {
    RIG(r);
    pass_until(&r, SECOND(100));
    assert_state(&r, "silent");
    announce(&r);
    pass_until_sent(&r);
    assert_in_range(r.now, SECOND(100), SECOND(105));
}

static void announcements_of_one_that_did_not_are_passed_over(void **state) {
    RIG(r);
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    for (int i = 1; i < 100; i++) {
        pass_until(&r, SECOND(i * 5));
        announce(&r);
    }
    assert_int_equal(r.sent, 1);
}

static void one_that_restarts_all_the_time_is_not_asked_all_the_time(void **state) {
    RIG(r);
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    for (int i = 1; i <= 1000; i++) {
        pass_until(&r, START + PLN_MS(100) * (pln_ts)i);
        r.epoch_s = i % 2 == 0 ? 0 : 1000000;
        announce(&r);
        if (r.last_at == r.now) {
            pcp(&r, 0, 1200, "198.51.100.7:40000");
        }
    }
    assert_in_range(r.sent, 2, 26);
}

/* RFC 6887, 8.5: two seconds, and a sixteenth. */
static void a_clock_that_goes_a_little_wrong_is_no_restart(void **state) {
    static const struct {
        uint32_t seconds;
        bool restarted;
    } cases[] = {{600, false}, {565, false}, {555, true}, {640, false}, {650, true}, {0, true}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        RIG(r);
        pcp(&r, 0, 7200, "198.51.100.7:40000");
        pass_until(&r, SECOND(600));
        r.epoch_s = 1000 + cases[i].seconds - 600;
        announce(&r);
        pass_until(&r, SECOND(610));
        assert_int_equal(r.sent > 1, cases[i].restarted);
    }
}

static void a_restart_between_two_answers_has_the_address_asked_again(void **state) {
    RIG(r);
    other_version(&r);
    pmp_address(&r, 0, "198.51.100.7:1");
    r.epoch_s = 0;
    pmp_map(&r, 0, 40000, 1200);
    assert_state(&r, "mapped");
    pass_until_sent(&r);
    assert_in_range(r.now, SECOND(4), SECOND(5));
    pmp_address(&r, 0, "198.51.100.8:1");
    pmp_map(&r, 0, 40000, 1200);
    assert_external(&r, "198.51.100.8:40000");
}

/* ---- Networks -------------------------------------------------------------------------------- */

static void the_same_network_again_is_no_news(void **state) {
    RIG(r);
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    begin(&r);
    assert_int_equal(r.sent, 1);
    assert_state(&r, "mapped");
}

static void another_network_begins_anew_with_another_nonce(void **state) {
    RIG(r);
    uint8_t before[60];
    memcpy(before, r.last, sizeof before);
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    const pln_portmap_network other = {
        .gateway = addr_of("192.168.1.1:1"), .client = addr_of("192.168.1.11:1"), .port = PORT};
    pln_portmap_set_network(&r.pm, &other, r.now);
    take(&r);
    assert_state(&r, "asking");
    assert_nothing_mapped(&r);
    assert_spoken(&r, UNTRIED, UNTRIED);
    assert_int_equal(r.sent, 2);
    assert_memory_not_equal(r.last + 24, before + 24, 12);
}

static void without_a_router_nothing_is_asked(void **state) {
    RIG(r);
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    pln_portmap_set_network(&r.pm, NULL, r.now);
    assert_state(&r, "no_router");
    assert_nothing_mapped(&r);
    pass_until(&r, SECOND(100000));
    assert_int_equal(r.sent, 1);
}

/* ---- The end --------------------------------------------------------------------------------- */

static void what_pcp_gave_is_given_back_by_pcp(void **state) {
    RIG(r);
    uint8_t nonce[12];
    memcpy(nonce, r.last + 24, sizeof nonce);
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    pln_portmap_release(&r.pm, r.now);
    take(&r);
    assert_state(&r, "off");
    assert_false(pln_portmap_is_off(&r.pm));
    assert_int_equal(r.last_size, 60);
    assert_memory_equal(r.last + 4, ((uint8_t[]){0, 0, 0, 0}), 4);
    assert_memory_equal(r.last + 24, nonce, sizeof nonce);
    assert_memory_equal(r.last + 40, ((uint8_t[]){0xec, 0xc3, 0, 0}), 4);
    pcp(&r, 0, 0, "0.0.0.0:1");
    assert_true(pln_portmap_is_off(&r.pm));
    pass_until(&r, SECOND(100000));
    assert_int_equal(r.sent, 2);
}

/* RFC 6886, 3.4: lifetime and external port are zero. */
static void what_nat_pmp_gave_is_given_back_by_nat_pmp(void **state) {
    RIG(r);
    other_version(&r);
    pmp_address(&r, 0, "198.51.100.7:1");
    pmp_map(&r, 0, 40000, 1200);
    pln_portmap_release(&r.pm, r.now);
    take(&r);
    assert_memory_equal(r.last, ((uint8_t[]){0, 1, 0, 0, 0xec, 0xc3, 0, 0, 0, 0, 0, 0}), 12);
    pmp_map(&r, 0, 0, 0);
    assert_true(pln_portmap_is_off(&r.pm));
}

static void giving_back_ends_also_when_nobody_answers(void **state) {
    RIG(r);
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    pln_portmap_release(&r.pm, r.now);
    pass_until(&r, SECOND(2));
    assert_int_equal(r.sent, 3);
    assert_true(pln_portmap_is_off(&r.pm));
}

static void what_may_have_been_granted_is_given_back_too(void **state) {
    RIG(r);
    pln_portmap_release(&r.pm, r.now);
    take(&r);
    assert_int_equal(r.sent, 2);
    assert_memory_equal(r.last + 4, ((uint8_t[]){0, 0, 0, 0}), 4);
}

static void where_nothing_was_granted_nothing_is_given_back(void **state) {
    RIG(r);
    other_version(&r);
    pln_portmap_release(&r.pm, r.now);
    take(&r);
    assert_true(pln_portmap_is_off(&r.pm));
    assert_int_equal(r.last_size, 2);
}

static void given_back_it_can_be_asked_for_again(void **state) {
    RIG(r);
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    pln_portmap_release(&r.pm, r.now);
    take(&r);
    pcp(&r, 0, 0, "0.0.0.0:1");
    begin(&r);
    assert_state(&r, "asking");
    pcp(&r, 0, 1200, "198.51.100.7:40000");
    assert_state(&r, "mapped");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_asked_before_it_is_wanted),
        cmocka_unit_test(pcp_is_asked_first_and_once),
        cmocka_unit_test(a_mapping_is_renewed_after_half_its_life_and_stays),
        cmocka_unit_test(a_renewal_is_signed_with_the_same_nonce),
        cmocka_unit_test(a_mapping_that_nobody_renews_is_lost_when_it_ends),
        cmocka_unit_test(a_renewal_that_moves_the_mapping_is_told),
        cmocka_unit_test(silence_is_answered_by_asking_again_and_then_otherwise),
        cmocka_unit_test(a_router_of_nat_pmp_alone_is_asked_in_its_own_words),
        cmocka_unit_test(a_nat_pmp_refusal_is_asked_again_later),
        cmocka_unit_test(a_mapping_of_another_port_is_not_ours),
        cmocka_unit_test(who_may_not_by_pcp_asks_by_nat_pmp),
        cmocka_unit_test(an_error_that_passes_is_waited_for),
        cmocka_unit_test(how_long_an_error_stands_is_bounded),
        cmocka_unit_test(a_renewal_that_is_refused_leaves_the_mapping_its_time),
        cmocka_unit_test(a_life_of_ages_is_renewed_all_the_same),
        cmocka_unit_test(a_life_of_seconds_is_a_refusal),
        cmocka_unit_test(port_zero_is_no_mapping),
        cmocka_unit_test(an_address_behind_another_nat_is_told_apart),
        cmocka_unit_test(only_the_router_s_port_is_listened_to),
        cmocka_unit_test(an_answer_to_another_nonce_or_port_is_passed_over),
        cmocka_unit_test(what_was_not_asked_yet_is_not_answered),
        cmocka_unit_test(the_router_may_move_a_mapping_and_not_all_the_time),
        cmocka_unit_test(a_restarted_router_is_asked_within_seconds),
        cmocka_unit_test(a_router_whose_address_changes_is_asked_within_seconds),
        cmocka_unit_test(a_silent_router_that_speaks_up_is_asked_within_seconds),
        cmocka_unit_test(announcements_of_one_that_did_not_are_passed_over),
        cmocka_unit_test(one_that_restarts_all_the_time_is_not_asked_all_the_time),
        cmocka_unit_test(a_clock_that_goes_a_little_wrong_is_no_restart),
        cmocka_unit_test(a_restart_between_two_answers_has_the_address_asked_again),
        cmocka_unit_test(the_same_network_again_is_no_news),
        cmocka_unit_test(another_network_begins_anew_with_another_nonce),
        cmocka_unit_test(without_a_router_nothing_is_asked),
        cmocka_unit_test(what_pcp_gave_is_given_back_by_pcp),
        cmocka_unit_test(what_nat_pmp_gave_is_given_back_by_nat_pmp),
        cmocka_unit_test(giving_back_ends_also_when_nobody_answers),
        cmocka_unit_test(what_may_have_been_granted_is_given_back_too),
        cmocka_unit_test(where_nothing_was_granted_nothing_is_given_back),
        cmocka_unit_test(given_back_it_can_be_asked_for_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
