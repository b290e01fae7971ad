/* SPDX-License-Identifier: Apache-2.0 */
/* PCP and NAT-PMP byte by byte (RFC 6887: 7.1, 7.2, 11.1; RFC 6886: 3.2, 3.3, 3.5). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/addr.h"
#include "portmap/packet.h"
#include "support/addr_text.h"

#define NONCE 0xa0, 0xa1, 0xa2, 0xa3, 0xa4, 0xa5, 0xa6, 0xa7, 0xa8, 0xa9, 0xaa, 0xab
#define MAPPED 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff

static void assert_encoded(const pln_portmap_request *request, const uint8_t *bytes, size_t size) {
    uint8_t buf[PLN_PORTMAP_REQUEST_BYTES];
    memset(buf, 0xee, sizeof buf);
    assert_int_equal(pln_portmap_encode(request, buf), size);
    assert_memory_equal(buf, bytes, size);
}

/* From a block of its own size, so that reading past it is found. */
static bool decode(const uint8_t *bytes, size_t size, pln_portmap_answer *ret) {
    uint8_t *copy = test_malloc(size + (size == 0));
    memcpy(copy, bytes, size);
    const bool decoded = pln_portmap_decode(copy, size, ret);
    test_free(copy);
    return decoded;
}

static void assert_refused(const uint8_t *bytes, size_t size) {
    pln_portmap_answer answer;
    assert_false(decode(bytes, size, &answer));
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void a_pcp_map_request_is_sixty_bytes(void **state) {
    (void)state;
    static const uint8_t bytes[] = {
        2,     1,  0, 0, 0, 0,    0x04, 0xb0, MAPPED, 192,    168, 1,  10, /* 1200 seconds */
        NONCE, 17, 0, 0, 0, 0xec, 0xc3, 0x9c, 0x40,   MAPPED, 198, 51, 100, 7,
    };
    const pln_portmap_request request = {
        .ask = PLN_PORTMAP_ASK_PCP_MAP,
        .client = addr_of("192.168.1.10:1"),
        .internal_port = 60611,
        .external = addr_of("198.51.100.7:40000"),
        .lifetime_s = 1200,
        .nonce = {NONCE},
    };
    assert_int_equal(sizeof bytes, 60);
    assert_encoded(&request, bytes, sizeof bytes);
}

static void no_wish_for_an_address_is_all_zero_ipv4(void **state) {
    (void)state;
    const pln_portmap_request request = {
        .ask = PLN_PORTMAP_ASK_PCP_MAP, .client = addr_of("10.0.0.2:1"), .external = {.port = 5}};
    static const uint8_t any[] = {MAPPED, 0, 0, 0, 0};
    uint8_t buf[PLN_PORTMAP_REQUEST_BYTES];
    assert_int_equal(pln_portmap_encode(&request, buf), 60);
    assert_memory_equal(buf + 44, any, sizeof any);
}

static void nat_pmp_s_requests_are_two_and_twelve_bytes(void **state) {
    (void)state;
    static const uint8_t address[] = {0, 0};
    static const uint8_t map[] = {0, 1, 0, 0, 0xec, 0xc3, 0x9c, 0x40, 0, 0, 0x04, 0xb0};
    pln_portmap_request request = {
        .ask = PLN_PORTMAP_ASK_PMP_ADDRESS,
        .internal_port = 60611,
        .external = {.port = 40000},
        .lifetime_s = 1200,
    };
    assert_encoded(&request, address, sizeof address);
    request.ask = PLN_PORTMAP_ASK_PMP_MAP;
    assert_encoded(&request, map, sizeof map);
}

/* ---- Answers --------------------------------------------------------------------------------- */

static const uint8_t pcp_map[] = {
    2, 0x81, 0, 0, 0, 0,     0x0e, 0x10, 0, 0, 0x01, 0x00, 0,    0,    0,      0,   0,  0,   0,
    0, 0,    0, 0, 0, NONCE, 17,   0,    0, 0, 0xec, 0xc3, 0x9c, 0x40, MAPPED, 198, 51, 100, 7,
};

static void a_pcp_map_answer_is_read(void **state) {
    (void)state;
    static const uint8_t nonce[] = {NONCE};
    pln_portmap_answer answer;
    const pollen_addr external = addr_of("198.51.100.7:40000");
    assert_int_equal(sizeof pcp_map, 60);
    assert_true(decode(pcp_map, sizeof pcp_map, &answer));
    assert_int_equal(answer.kind, PLN_PORTMAP_ANSWER_PCP_MAP);
    assert_int_equal(answer.result, 0);
    assert_int_equal(answer.lifetime_s, 3600);
    assert_int_equal(answer.epoch_s, 256);
    assert_int_equal(answer.internal_port, 60611);
    assert_true(pollen_addr_equal(&answer.external, &external));
    assert_memory_equal(answer.nonce, nonce, sizeof nonce);
}

static void pcp_options_behind_the_answer_are_passed_over(void **state) {
    (void)state;
    uint8_t bytes[68] = {0};
    pln_portmap_answer answer;
    memcpy(bytes, pcp_map, sizeof pcp_map);
    bytes[60] = 2; /* PREFER_FAILURE, which we did not ask for. */
    assert_true(decode(bytes, sizeof bytes, &answer));
    assert_int_equal(answer.internal_port, 60611);
}

static void pcp_of_another_size_is_refused(void **state) {
    (void)state;
    static uint8_t bytes[1104];
    pln_portmap_answer answer;
    memcpy(bytes, pcp_map, sizeof pcp_map);
    for (size_t size = 0; size < 60; size++) {
        assert_refused(bytes, size);
    }
    assert_refused(bytes, 61);
    assert_true(decode(bytes, 1100, &answer));
    assert_refused(bytes, 1104);
}

static void pcp_of_another_protocol_opcode_or_direction_is_refused(void **state) {
    (void)state;
    static const struct {
        size_t at;
        uint8_t value;
    } changes[] = {{36, 6}, {1, 0x01}, {1, 0x82}, {1, 0x83}, {0, 1}, {0, 3}};
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        uint8_t bytes[sizeof pcp_map];
        memcpy(bytes, pcp_map, sizeof bytes);
        bytes[changes[i].at] = changes[i].value;
        assert_refused(bytes, sizeof bytes);
    }
}

static void a_pcp_error_has_its_result_and_how_long_it_stands(void **state) {
    (void)state;
    uint8_t bytes[sizeof pcp_map];
    pln_portmap_answer answer;
    memcpy(bytes, pcp_map, sizeof bytes);
    bytes[3] = 8;
    assert_true(decode(bytes, sizeof bytes, &answer));
    assert_int_equal(answer.result, PLN_PCP_NO_RESOURCES);
    assert_int_equal(answer.lifetime_s, 3600);
}

static void a_pcp_announcement_is_a_header(void **state) {
    (void)state;
    static const uint8_t bytes[24] = {2, 0x80, [11] = 9};
    pln_portmap_answer answer;
    assert_true(decode(bytes, sizeof bytes, &answer));
    assert_int_equal(answer.kind, PLN_PORTMAP_ANSWER_PCP_ANNOUNCE);
    assert_int_equal(answer.epoch_s, 9);
}

/* RFC 6887, 9 and appendix A: from a router of NAT-PMP alone, or of another PCP. */
static void an_unsupported_version_is_told_in_either_protocol(void **state) {
    (void)state;
    static const uint8_t pmp[] = {0, 0x81, 0, 1, 0, 0, 0, 7};
    static const uint8_t pcp[24] = {1, 0x81, 0, 1};
    pln_portmap_answer answer;
    assert_true(decode(pmp, sizeof pmp, &answer));
    assert_int_equal(answer.kind, PLN_PORTMAP_ANSWER_OTHER_VERSION);
    assert_true(decode(pcp, sizeof pcp, &answer));
    assert_int_equal(answer.kind, PLN_PORTMAP_ANSWER_OTHER_VERSION);
}

static const uint8_t pmp_address[] = {0, 0x80, 0, 0, 0, 0, 0x01, 0x00, 198, 51, 100, 7};
static const uint8_t pmp_map[] = {0,    0x81, 0,    0,    0, 0, 1,    0,
                                  0xec, 0xc3, 0x9c, 0x40, 0, 0, 0x0e, 0x10};

static void nat_pmp_s_answers_are_read(void **state) {
    (void)state;
    const pollen_addr external = addr_of("198.51.100.7:1");
    pln_portmap_answer answer;
    assert_true(decode(pmp_address, sizeof pmp_address, &answer));
    assert_int_equal(answer.kind, PLN_PORTMAP_ANSWER_PMP_ADDRESS);
    assert_int_equal(answer.epoch_s, 256);
    assert_true(pln_addr_same_ip(&answer.external, &external));
    assert_int_equal(answer.external.port, 0);
    assert_true(decode(pmp_map, sizeof pmp_map, &answer));
    assert_int_equal(answer.kind, PLN_PORTMAP_ANSWER_PMP_MAP);
    assert_int_equal(answer.internal_port, 60611);
    assert_int_equal(answer.external.port, 40000);
    assert_int_equal(answer.lifetime_s, 3600);
}

static void nat_pmp_s_errors_may_end_after_the_epoch(void **state) {
    (void)state;
    static const uint8_t bytes[] = {0, 0x81, 0, 2, 0, 0, 1, 0};
    pln_portmap_answer answer;
    assert_true(decode(bytes, sizeof bytes, &answer));
    assert_int_equal(answer.kind, PLN_PORTMAP_ANSWER_PMP_MAP);
    assert_int_equal(answer.result, 2);
}

static void nat_pmp_of_another_size_opcode_or_direction_is_refused(void **state) {
    (void)state;
    uint8_t bytes[17] = {0};
    memcpy(bytes, pmp_map, sizeof pmp_map);
    for (size_t size = 0; size < sizeof bytes; size++) {
        if (size != sizeof pmp_map) {
            assert_refused(bytes, size);
        }
    }
    bytes[1] = 0x82; /* A TCP mapping. */
    assert_refused(bytes, sizeof pmp_map);
    bytes[1] = 0x01; /* A request. */
    assert_refused(bytes, sizeof pmp_map);
    memcpy(bytes, pmp_address, sizeof pmp_address);
    assert_refused(bytes, 11);
    assert_refused(bytes, 16);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pcp_map_request_is_sixty_bytes),
        cmocka_unit_test(no_wish_for_an_address_is_all_zero_ipv4),
        cmocka_unit_test(nat_pmp_s_requests_are_two_and_twelve_bytes),
        cmocka_unit_test(a_pcp_map_answer_is_read),
        cmocka_unit_test(pcp_options_behind_the_answer_are_passed_over),
        cmocka_unit_test(pcp_of_another_size_is_refused),
        cmocka_unit_test(pcp_of_another_protocol_opcode_or_direction_is_refused),
        cmocka_unit_test(a_pcp_error_has_its_result_and_how_long_it_stands),
        cmocka_unit_test(a_pcp_announcement_is_a_header),
        cmocka_unit_test(an_unsupported_version_is_told_in_either_protocol),
        cmocka_unit_test(nat_pmp_s_answers_are_read),
        cmocka_unit_test(nat_pmp_s_errors_may_end_after_the_epoch),
        cmocka_unit_test(nat_pmp_of_another_size_opcode_or_direction_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
