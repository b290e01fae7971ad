/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of probes, and the order in which ports are tried. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/mem.h"
#include "sock/ports.h"
#include "sock/probe.h"
#include "support/rows.h"
#include "support/vectors.h"

/* ---- Probes ---------------------------------------------------------------------------------- */

static void the_reference_s_vectors_are_read_alike(void **state) {
    (void)state;
    json_t *root = vectors_load("probe");
    size_t i;
    json_t *row;
    size_t answered = 0;
    json_array_foreach(rows_of(root, "cases"), i, row) {
        pln_bytes raw = vectors_bytes(row, "bytes");
        pln_bytes bytes = exact_bytes(raw.data, raw.size);
        pln_probe probe;
        bool read = pln_probe_decode(bytes.data, bytes.size, &probe);
        if (json_is_string(json_object_get(row, "reply"))) {
            uint8_t expected[PLN_PROBE_BYTES];
            uint8_t reply[PLN_PROBE_BYTES];
            vectors_fixed(row, "reply", expected, sizeof(expected));
            assert_true(read);
            assert_int_equal(probe.kind, PLN_PROBE_REQUEST);
            probe.kind = PLN_PROBE_RESPONSE;
            pln_probe_encode(&probe, reply);
            assert_memory_equal(reply, expected, sizeof(reply));
            answered++;
        } else {
            assert_true(!read || probe.kind == PLN_PROBE_RESPONSE);
        }
        pln_bytes_fini(&raw);
        pln_bytes_fini(&bytes);
    }
    assert_int_equal(answered, 3);
    json_decref(root);
}

static void a_probe_is_exactly_seventeen_bytes(void **state) {
    (void)state;
    uint8_t bytes[32] = {0x02};
    pln_probe probe;
    for (size_t size = 0; size <= sizeof(bytes); size++) {
        assert_int_equal(pln_probe_decode(bytes, size, &probe), size == 17);
    }
}

static void only_types_one_and_two_are_probes(void **state) {
    (void)state;
    for (unsigned type = 0; type < 256; type++) {
        uint8_t bytes[17] = {(uint8_t)type, 7};
        pln_probe probe;
        bool read = pln_probe_decode(bytes, sizeof(bytes), &probe);
        assert_int_equal(read, type == 1 || type == 2);
    }
}

/* ---- Ports ----------------------------------------------------------------------------------- */

static pln_ports ports_of(uint64_t seed) {
    pln_rng_seeded seeded;
    pln_rng rng = pln_rng_from_seed(&seeded, seed);
    pln_ports ports;
    pln_ports_init(&ports, &rng);
    return ports;
}

static void all_64512_draws_differ_and_lie_in_range(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        pln_ports ports = ports_of(seed);
        uint8_t *drawn = pln_calloc(65536, 1);
        assert_non_null(drawn);
        for (int i = 0; i < 64512; i++) {
            uint16_t port = pln_ports_next(&ports);
            assert_in_range(port, 1024, 65535);
            assert_int_equal(drawn[port], 0);
            drawn[port] = 1;
        }
        pln_free(drawn);
    }
}

static void a_second_round_repeats_the_first_in_order(void **state) {
    (void)state;
    pln_ports ports = ports_of(3);
    uint16_t first = pln_ports_next(&ports);
    uint16_t second = pln_ports_next(&ports);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 64510; i++) {
            (void)pln_ports_next(&ports);
        }
        assert_int_equal(pln_ports_next(&ports), first);
        assert_int_equal(pln_ports_next(&ports), second);
    }
}

static void the_order_depends_on_the_seed(void **state) {
    (void)state;
    pln_ports a = ports_of(1);
    pln_ports b = ports_of(1);
    pln_ports c = ports_of(2);
    int same = 0;
    for (int i = 0; i < 1000; i++) {
        uint16_t port = pln_ports_next(&a);
        assert_int_equal(pln_ports_next(&b), port);
        same += pln_ports_next(&c) == port;
    }
    assert_in_range(same, 0, 5);
}

/* 16 bins of 4032 ports, 1024 draws from each of 200 orders: 12800 a bin on average.  Draws from
 * one order spread more evenly than independent ones, whose deviation would be 110. */
static void every_part_of_the_range_comes_as_early_as_any_other(void **state) {
    (void)state;
    int bins[16] = {0};
    for (uint64_t seed = 1; seed <= 200; seed++) {
        pln_ports ports = ports_of(seed);
        for (int i = 0; i < 1024; i++) {
            bins[(pln_ports_next(&ports) - 1024) / 4032]++;
        }
    }
    for (int i = 0; i < 16; i++) {
        assert_in_range(bins[i], 12800 - 600, 12800 + 600);
    }
}

static void the_last_draws_are_known_and_no_others(void **state) {
    (void)state;
    pln_ports ports = ports_of(9);
    assert_false(pln_ports_is_recent(&ports, 1024, 100));
    for (int i = 0; i < 70000; i++) { /* Into the second round. */
        (void)pln_ports_next(&ports);
    }
    uint16_t last[50];
    for (int i = 0; i < 50; i++) {
        last[i] = pln_ports_next(&ports);
    }
    int recent = 0;
    for (int port = 0; port < 65536; port++) {
        recent += pln_ports_is_recent(&ports, (uint16_t)port, 50);
    }
    assert_int_equal(recent, 50);
    for (int i = 0; i < 50; i++) {
        assert_true(pln_ports_is_recent(&ports, last[i], (uint32_t)(50 - i)));
        assert_false(pln_ports_is_recent(&ports, last[i], (uint32_t)(49 - i)));
    }
}

static void more_than_was_drawn_is_not_recent(void **state) {
    (void)state;
    pln_ports ports = ports_of(4);
    uint16_t one = pln_ports_next(&ports);
    int recent = 0;
    for (int port = 0; port < 65536; port++) {
        recent += pln_ports_is_recent(&ports, (uint16_t)port, 5000);
    }
    assert_int_equal(recent, 1);
    assert_true(pln_ports_is_recent(&ports, one, 1));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_s_vectors_are_read_alike),
        cmocka_unit_test(a_probe_is_exactly_seventeen_bytes),
        cmocka_unit_test(only_types_one_and_two_are_probes),
        cmocka_unit_test(all_64512_draws_differ_and_lie_in_range),
        cmocka_unit_test(a_second_round_repeats_the_first_in_order),
        cmocka_unit_test(the_order_depends_on_the_seed),
        cmocka_unit_test(every_part_of_the_range_comes_as_early_as_any_other),
        cmocka_unit_test(the_last_draws_are_known_and_no_others),
        cmocka_unit_test(more_than_was_drawn_is_not_recent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
