/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "support/addr_text.h"

/* ---- Text ------------------------------------------------------------------------------------ */

/* Text, and the form it is printed in. */
static const char *const good[][2] = {
    {"192.0.2.1:60611", "192.0.2.1:60611"},
    {"0.0.0.0:1", "0.0.0.0:1"},
    {"255.255.255.255:65535", "255.255.255.255:65535"},
    {"[::]:1", "[::]:1"},
    {"[::1]:80", "[::1]:80"},
    {"[1::]:80", "[1::]:80"},
    {"[2001:DB8::A]:80", "[2001:db8::a]:80"},
    {"[2001:0db8:0000:0000:0000:0000:0000:0001]:80", "[2001:db8::1]:80"},
    {"[1:2:3:4:5:6:7:8]:80", "[1:2:3:4:5:6:7:8]:80"},
    {"[1:2:3:4:5:6:7::]:80", "[1:2:3:4:5:6:7:0]:80"}, /* One group is not shortened. */
    {"[::2:3:4:5:6:7:8]:80", "[0:2:3:4:5:6:7:8]:80"},
    {"[1:0:0:4:0:0:7:8]:80", "[1::4:0:0:7:8]:80"}, /* The first of equal runs. */
    {"[1:0:0:4:0:0:0:8]:80", "[1:0:0:4::8]:80"},   /* The longest. */
    {"[::ffff:192.0.2.1]:80", "192.0.2.1:80"},
    {"[::ffff:c000:201]:80", "192.0.2.1:80"},
    {"[::192.0.2.1]:80", "[::c000:201]:80"},
    {"[64:ff9b::192.0.2.33]:80", "[64:ff9b::c000:221]:80"},
    {"[1:2:3:4:5:6:1.2.3.4]:80", "[1:2:3:4:5:6:102:304]:80"},
    {"[fe80::1%3]:80", "[fe80::1%3]:80"},
    {"[fe80::1%4294967295]:80", "[fe80::1%4294967295]:80"},
    {"[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535",
     "[fe80:1111:2222:3333:4444:5555:6666:7777%4294967295]:65535"},
};

static void test_addresses_print_in_their_shortest_form(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        pollen_addr addr = addr_of(good[i][0]);
        char text[POLLEN_ADDR_TEXT_BYTES];
        assert_ptr_equal(pollen_addr_format(&addr, text), text);
        assert_string_equal(text, good[i][1]);
        pollen_addr again = addr_of(text);
        assert_true(pollen_addr_equal(&addr, &again));
    }
}

static const char *const bad[] = {
    "",
    "192.0.2.1",
    "192.0.2.1:",
    "192.0.2.1:0",
    "192.0.2.1:65536",
    "192.0.2.1:080",
    "192.0.2.1:+80",
    "192.0.2.1:-1",
    "192.0.2.1:8a",
    "192.0.2.1: 80",
    " 192.0.2.1:80",
    "192.0.2.1:80 ",
    "192.0.2.1:80\n",
    "192.0.2:80",
    "192.0.2.1.5:80",
    "192.0.2.256:80",
    "192.0.02.1:80",
    "192.0.2.0x1:80",
    "3221225985:80",
    "192.0.2.:80",
    ".0.2.1:80",
    "192..2.1:80",
    "192.0.2.1:18446744073709551617",
    /* Host names are for whoever may ask a resolver. */
    "localhost:80",
    "example.org:80",
    "a:80",
    ":80",
    /* IPv6 needs brackets, IPv4 must not have them. */
    "::1:80",
    "2001:db8::1",
    "[192.0.2.1]:80",
    "[::1]",
    "[::1]:",
    "[::1]:0",
    "[::1]80",
    "[::1",
    "::1]:80",
    "[]:80",
    "[:]:80",
    "[:::]:80",
    "[::1::]:80",
    "[1::2::3]:80",
    "[1:2:3:4:5:6:7]:80",
    "[1:2:3:4:5:6:7:8:9]:80",
    "[1:2:3:4:5:6:7:8::]:80",
    "[::1:2:3:4:5:6:7:8]:80",
    "[1:2:3:4::5:6:7:8]:80",
    "[12345::]:80",
    "[g::]:80",
    "[:1::]:80",
    "[1:2:3:4:5:6:7:]:80",
    "[::1:]:80",
    "[1:2:3:4:5:6:7:1.2.3.4]:80",
    "[::1.2.3]:80",
    "[::1.2.3.4.5]:80",
    "[::1.2.3.4:5]:80",
    "[::1.2.3.04]:80",
    "[::1.2.3.256]:80",
    /* A zone is an interface's number beside a link-local address. */
    "[fe80::1%]:80",
    "[fe80::1%0]:80",
    "[fe80::1%03]:80",
    "[fe80::1%eth0]:80",
    "[fe80::1%4294967296]:80",
    "[2001:db8::1%3]:80",
    "[::1%3]:80",
    "[::ffff:169.254.0.1%3]:80",
    "169.254.0.1%3:80",
    "[fe80::1%%3]:80",
};

static void test_anything_else_is_no_address(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        pollen_addr addr = {.port = 7};
        if (pollen_addr_parse(bad[i], &addr) != POLLEN_EADDR) {
            fail_msg("taken: \"%s\"", bad[i]);
        }
        assert_int_equal(addr.port, 7);
    }
    pollen_addr addr;
    assert_int_equal(pollen_addr_parse(NULL, &addr), POLLEN_EADDR);
}

static void test_no_beginning_of_an_address_is_one(void **state) {
    (void)state;
    const char *whole = "[fe80:1111:2222:3333:4444:5555:1.2.3.4%7]:65535";
    size_t size = strlen(whole);
    for (size_t cut = 0; cut < size - 4; cut++) {
        char text[64];
        memcpy(text, whole, cut);
        text[cut] = '\0';
        pollen_addr addr;
        assert_int_equal(pollen_addr_parse(text, &addr), POLLEN_EADDR);
    }
}

static const struct {
    const char *text;
    const char *with_default; /* 4242 is the default port; NULL: refused. */
} lenient[] = {
    {"192.0.2.1", "192.0.2.1:4242"},
    {"192.0.2.1:80", "192.0.2.1:80"},
    {"  192.0.2.1\t\n", "192.0.2.1:4242"},
    {"::1", "[::1]:4242"},
    {"[::1]", "[::1]:4242"},
    {"[::1]:80", "[::1]:80"},
    {"2001:db8::1:80", "[2001:db8::1:80]:4242"}, /* The colon belongs to the address. */
    {"::", "[::]:4242"},
    {"fe80::1%3", "[fe80::1%3]:4242"},
    {"[fe80::1%3]", "[fe80::1%3]:4242"},
    {"::ffff:192.0.2.1", "192.0.2.1:4242"},
    {"192.0.2.1:0", NULL},
    {"192.0.2.1:", NULL},
    {"[::1]:0", NULL},
    {"[::1]:", NULL},
    {"[192.0.2.1]", NULL},
    {"::1]", NULL},
    {"localhost", NULL},
    {"", NULL},
    {"   ", NULL},
    {"192.0.2.1 :80", NULL},
    {"1", NULL},
};

static void test_lenient_form_fills_in_the_port(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(lenient) / sizeof(*lenient); i++) {
        pollen_addr addr = {.port = 7};
        pollen_err err = pln_addr_parse_lenient(lenient[i].text, 4242, &addr);
        if (lenient[i].with_default == NULL) {
            assert_int_equal(err, POLLEN_EADDR);
            assert_int_equal(addr.port, 7);
            continue;
        }
        assert_int_equal(err, POLLEN_OK);
        char text[POLLEN_ADDR_TEXT_BYTES];
        assert_string_equal(pollen_addr_format(&addr, text), lenient[i].with_default);
    }
    pollen_addr addr;
    assert_int_equal(pln_addr_parse_lenient(NULL, 1, &addr), POLLEN_EADDR);
}

/* ---- Comparing ------------------------------------------------------------------------------- */

static void test_zone_counts_beside_link_local_addresses_only(void **state) {
    (void)state;
    pollen_addr a = addr_of("[fe80::1%1]:80");
    pollen_addr b = addr_of("[fe80::1%2]:80");
    assert_false(pollen_addr_equal(&a, &b));
    assert_true(pln_addr_compare(&a, &b) < 0);

    a = addr_of("[2001:db8::1]:80");
    b = a;
    b.zone = 2;
    assert_true(pollen_addr_equal(&a, &b));
    a = addr_of("169.254.0.1:80");
    b = a;
    b.zone = 2;
    assert_true(pollen_addr_equal(&a, &b));
}

static void test_order_is_by_address_then_port(void **state) {
    (void)state;
    static const char *const ordered[] = {"[::1]:9", "192.0.2.1:80", "192.0.2.1:256", "192.0.2.2:1",
                                          "[2001:db8::1]:1"};
    size_t count = sizeof(ordered) / sizeof(*ordered);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            pollen_addr a = addr_of(ordered[i]);
            pollen_addr b = addr_of(ordered[j]);
            int order = pln_addr_compare(&a, &b);
            assert_int_equal(order < 0, i < j);
            assert_int_equal(order == 0, i == j);
        }
    }
}

static void test_paths_differ_by_the_way_out(void **state) {
    (void)state;
    pln_path a = {.via = PLN_VIA_MAIN, .remote = addr_of("192.0.2.1:80")};
    pln_path b = a;
    assert_true(pln_path_equal(&a, &b));
    b.via = 1;
    assert_false(pln_path_equal(&a, &b));
    b = a;
    b.remote.port = 81;
    assert_false(pln_path_equal(&a, &b));
}

static void test_ipv4_is_held_mapped(void **state) {
    (void)state;
    const uint8_t ip[4] = {192, 0, 2, 1};
    pollen_addr a = pln_addr_ipv4(ip, 80);
    pollen_addr b = addr_of("[::ffff:192.0.2.1]:80");
    assert_true(pollen_addr_equal(&a, &b));
    assert_true(pollen_addr_is_ipv4(&a));
    b = addr_of("[::192.0.2.1]:80");
    assert_false(pollen_addr_is_ipv4(&b));
}

/* ---- Ranges: the last address outside, the first and last inside, the first outside again ---- */

enum {
    LOOPBACK = 1,
    UNSPECIFIED = 2,
    MULTICAST = 4,
    LINK_LOCAL = 8,
    PRIVATE = 16,
    SHARED = 32,
    SENDABLE = 64,
};

static const struct {
    const char *text;
    int is;
} ranges[] = {
    {"0.0.0.0:1", UNSPECIFIED},
    {"0.255.255.255:1", UNSPECIFIED},
    {"1.0.0.0:1", SENDABLE},
    {"9.255.255.255:1", SENDABLE},
    {"10.0.0.0:1", PRIVATE | SENDABLE},
    {"10.255.255.255:1", PRIVATE | SENDABLE},
    {"11.0.0.0:1", SENDABLE},
    {"100.63.255.255:1", SENDABLE},
    {"100.64.0.0:1", SHARED | SENDABLE},
    {"100.127.255.255:1", SHARED | SENDABLE},
    {"100.128.0.0:1", SENDABLE},
    {"126.255.255.255:1", SENDABLE},
    {"127.0.0.0:1", LOOPBACK | SENDABLE},
    {"127.255.255.255:1", LOOPBACK | SENDABLE},
    {"128.0.0.0:1", SENDABLE},
    {"169.253.255.255:1", SENDABLE},
    {"169.254.0.0:1", LINK_LOCAL | SENDABLE},
    {"169.254.255.255:1", LINK_LOCAL | SENDABLE},
    {"169.255.0.0:1", SENDABLE},
    {"172.15.255.255:1", SENDABLE},
    {"172.16.0.0:1", PRIVATE | SENDABLE},
    {"172.31.255.255:1", PRIVATE | SENDABLE},
    {"172.32.0.0:1", SENDABLE},
    {"192.167.255.255:1", SENDABLE},
    {"192.168.0.0:1", PRIVATE | SENDABLE},
    {"192.168.255.255:1", PRIVATE | SENDABLE},
    {"192.169.0.0:1", SENDABLE},
    {"223.255.255.255:1", SENDABLE},
    {"224.0.0.0:1", MULTICAST},
    {"239.255.255.255:1", MULTICAST},
    {"240.0.0.0:1", SENDABLE},
    {"255.255.255.254:1", SENDABLE},
    {"255.255.255.255:1", MULTICAST},
    {"[::]:1", UNSPECIFIED},
    {"[::1]:1", LOOPBACK | SENDABLE},
    {"[::2]:1", SENDABLE},
    {"[1::]:1", SENDABLE},
    {"[fbff:ffff::]:1", SENDABLE},
    {"[fc00::]:1", PRIVATE | SENDABLE},
    {"[fdff:ffff::ffff]:1", PRIVATE | SENDABLE},
    {"[fe00::]:1", SENDABLE},
    {"[fe7f:ffff::]:1", SENDABLE},
    {"[fe80::]:1", LINK_LOCAL | SENDABLE},
    {"[febf:ffff::]:1", LINK_LOCAL | SENDABLE},
    {"[fec0::]:1", SENDABLE},
    {"[feff:ffff::]:1", SENDABLE},
    {"[ff00::]:1", MULTICAST},
    {"[ff02::1]:1", MULTICAST},
};

static int judge(const pollen_addr *addr) {
    return (pln_addr_is_loopback(addr) ? LOOPBACK : 0) |
           (pln_addr_is_unspecified(addr) ? UNSPECIFIED : 0) |
           (pln_addr_is_multicast(addr) ? MULTICAST : 0) |
           (pln_addr_is_link_local(addr) ? LINK_LOCAL : 0) |
           (pln_addr_is_private(addr) ? PRIVATE : 0) | (pln_addr_is_shared(addr) ? SHARED : 0) |
           (pln_addr_is_sendable(addr) ? SENDABLE : 0);
}

static void test_ranges_hold_at_their_edges(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++) {
        pollen_addr addr = addr_of(ranges[i].text);
        if (judge(&addr) != ranges[i].is) {
            fail_msg("%s is %d, not %d", ranges[i].text, judge(&addr), ranges[i].is);
        }
        const int somewhere = LOOPBACK | LINK_LOCAL | PRIVATE | SHARED;
        assert_int_equal(pln_addr_is_global(&addr), (ranges[i].is & somewhere) == 0);
    }
}

static void test_nothing_is_sent_to_port_0(void **state) {
    (void)state;
    pollen_addr addr = addr_of("192.0.2.1:1");
    addr.port = 0;
    assert_false(pln_addr_is_sendable(&addr));
}

/* An IPv6 /64 is one party, which draws as many addresses as it likes. */
static void test_a_party_is_an_address_or_a_network_of_one(void **state) {
    (void)state;
    const pollen_addr a = addr_of("192.0.2.1:1"), b = addr_of("192.0.2.1:2");
    const pollen_addr c = addr_of("192.0.2.2:1"), d = addr_of("[2001:db8:0:1::1]:1");
    const pollen_addr e = addr_of("[2001:db8:0:1:ffff::2]:1"), f = addr_of("[2001:db8:0:2::1]:1");
    const pollen_addr g = addr_of("[::1]:1"); /* Begins as every IPv4 address does. */
    assert_true(pln_addr_same_party(&a, &b));
    assert_false(pln_addr_same_party(&a, &c));
    assert_true(pln_addr_same_party(&d, &e));
    assert_false(pln_addr_same_party(&d, &f));
    assert_false(pln_addr_same_party(&g, &a));
    assert_false(pln_addr_same_party(&a, &g));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_print_in_their_shortest_form),
        cmocka_unit_test(test_anything_else_is_no_address),
        cmocka_unit_test(test_no_beginning_of_an_address_is_one),
        cmocka_unit_test(test_lenient_form_fills_in_the_port),
        cmocka_unit_test(test_zone_counts_beside_link_local_addresses_only),
        cmocka_unit_test(test_order_is_by_address_then_port),
        cmocka_unit_test(test_paths_differ_by_the_way_out),
        cmocka_unit_test(test_ipv4_is_held_mapped),
        cmocka_unit_test(test_ranges_hold_at_their_edges),
        cmocka_unit_test(test_nothing_is_sent_to_port_0),
        cmocka_unit_test(test_a_party_is_an_address_or_a_network_of_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
