/* SPDX-License-Identifier: Apache-2.0 */
/* nat.json: written and read again, and whatever else may stand there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/addr.h"
#include "wire/nat_memory.h"

static const char text[] = "{\n"
                           "  \"places\": [\n"
                           "    {\n"
                           "      \"at\": 1767323045,\n"
                           "      \"external\": \"198.51.100.7\",\n"
                           "      \"locals\": [\"192.168.1.10\", \"172.17.0.1\"],\n"
                           "      \"mapping\": \"hard\",\n"
                           "      \"allocation\": \"sequential\",\n"
                           "      \"step\": 256\n"
                           "    },\n"
                           "    {\n"
                           "      \"at\": 1767000000,\n"
                           "      \"external\": \"2001:db8:7::1\",\n"
                           "      \"locals\": [\"2001:db8:7::1\"],\n"
                           "      \"mapping\": \"none\",\n"
                           "      \"allocation\": \"preserving\",\n"
                           "      \"step\": 0\n"
                           "    }\n"
                           "  ]\n"
                           "}\n";

static pollen_addr ip(const char *written) {
    pollen_addr addr;
    assert_int_equal(pln_addr_parse_lenient(written, 0, &addr), POLLEN_OK);
    return addr;
}

static void assert_addr(const pollen_addr *addr, const char *written) {
    const pollen_addr expected = ip(written);
    assert_true(pollen_addr_equal(addr, &expected));
}

static pln_nat_memory sample(void) {
    return (pln_nat_memory){.count = 2,
                            .items = {{.at = 1767323045,
                                       .external = ip("198.51.100.7"),
                                       .local_count = 2,
                                       .locals = {ip("192.168.1.10"), ip("172.17.0.1")},
                                       .mapping = POLLEN_NAT_MAPPING_HARD,
                                       .allocation = POLLEN_NAT_ALLOCATION_SEQUENTIAL,
                                       .step = 256},
                                      {.at = 1767000000,
                                       .external = ip("2001:db8:7::1"),
                                       .local_count = 1,
                                       .locals = {ip("2001:db8:7::1")},
                                       .mapping = POLLEN_NAT_MAPPING_NONE,
                                       .allocation = POLLEN_NAT_ALLOCATION_PRESERVING}}};
}

static void assert_written(const pln_nat_memory *memory, const char *expected) {
    pln_bytes written = {0};
    assert_int_equal(pln_nat_memory_encode(memory, &written), POLLEN_OK);
    assert_int_equal(written.size, strlen(expected));
    assert_memory_equal(written.data, expected, written.size);
    pln_bytes_fini(&written);
}

static void places_are_written_one_below_the_other(void **state) {
    (void)state;
    const pln_nat_memory memory = sample();
    assert_written(&memory, text);
    assert_written(&(pln_nat_memory){.count = 0}, "{\n  \"places\": []\n}\n");
}

static void places_are_read_as_they_were_written(void **state) {
    (void)state;
    pln_nat_memory memory;
    assert_int_equal(pln_nat_memory_decode(text, sizeof text - 1, &memory), POLLEN_OK);
    assert_int_equal(memory.count, 2);
    assert_int_equal(memory.items[0].at, 1767323045);
    assert_addr(&memory.items[0].external, "198.51.100.7");
    assert_int_equal(memory.items[0].local_count, 2);
    assert_addr(&memory.items[0].locals[1], "172.17.0.1");
    assert_int_equal(memory.items[0].mapping, POLLEN_NAT_MAPPING_HARD);
    assert_int_equal(memory.items[0].allocation, POLLEN_NAT_ALLOCATION_SEQUENTIAL);
    assert_int_equal(memory.items[0].step, 256);
    assert_addr(&memory.items[1].external, "2001:db8:7::1");
    assert_int_equal(memory.items[1].mapping, POLLEN_NAT_MAPPING_NONE);
}

/* One field of the place after the other is wrong; that place is left out. */
static void a_place_that_cannot_be_read_is_left_out(void **state) {
    (void)state;
    static const char *const rows[] = {
        "\"at\":\"x\",\"external\":\"198.51.100.7\",\"locals\":[\"10.0.0.1\"],"
        "\"mapping\":\"easy\",\"allocation\":\"unknown\",\"step\":0",
        "\"at\":1,\"external\":\"host\",\"locals\":[\"10.0.0.1\"],"
        "\"mapping\":\"easy\",\"allocation\":\"unknown\",\"step\":0",
        "\"at\":1,\"external\":\"198.51.100.7\",\"locals\":[],"
        "\"mapping\":\"easy\",\"allocation\":\"unknown\",\"step\":0",
        "\"at\":1,\"external\":\"198.51.100.7\",\"locals\":[\"10.0.0.1:5\"],"
        "\"mapping\":\"easy\",\"allocation\":\"unknown\",\"step\":0",
        "\"at\":1,\"external\":\"198.51.100.7\",\"locals\":[\"10.0.0.1\"],"
        "\"mapping\":\"unknown\",\"allocation\":\"unknown\",\"step\":0",
        "\"at\":1,\"external\":\"198.51.100.7\",\"locals\":[\"10.0.0.1\"],"
        "\"mapping\":\"easy\",\"allocation\":7,\"step\":0",
        "\"at\":1,\"external\":\"198.51.100.7\",\"locals\":[\"10.0.0.1\"],"
        "\"mapping\":\"easy\",\"allocation\":\"unknown\"",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char all[512];
        const int size =
            snprintf(all, sizeof all, "{\"places\":[7,{%s},{%s,\"step\":0}]}", rows[i], rows[6]);
        pln_nat_memory memory;
        assert_int_equal(pln_nat_memory_decode(all, (size_t)size, &memory), POLLEN_OK);
        assert_int_equal(memory.count, 1);
        assert_int_equal(memory.items[0].mapping, POLLEN_NAT_MAPPING_EASY);
    }
}

static void what_is_no_list_of_places_is_refused(void **state) {
    (void)state;
    static const char *const rows[] = {"", "{", "[]", "{}", "{\"places\":{}}", "\xff"};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        pln_nat_memory memory;
        assert_int_equal(pln_nat_memory_decode(rows[i], strlen(rows[i]), &memory), POLLEN_ESTATE);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_written_one_below_the_other),
        cmocka_unit_test(places_are_read_as_they_were_written),
        cmocka_unit_test(a_place_that_cannot_be_read_is_left_out),
        cmocka_unit_test(what_is_no_list_of_places_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
