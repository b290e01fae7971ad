/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/addr.h"

/* The four bytes of an IPv4 address as a number, to compare prefixes. */
static uint32_t ipv4_number(const pollen_addr *addr) {
    const uint8_t *ip = addr->ip + 12;
    return (uint32_t)ip[0] << 24 | (uint32_t)ip[1] << 16 | (uint32_t)ip[2] << 8 | ip[3];
}

static bool in_ipv4(const pollen_addr *addr, uint32_t network, unsigned prefix_bits) {
    return (ipv4_number(addr) ^ network) >> (32 - prefix_bits) == 0;
}

/* All bytes but the last are zero: "::" and "::1" differ only there. */
static bool is_ipv6_low(const pollen_addr *addr, uint8_t last) {
    static const uint8_t zero[15];
    return memcmp(addr->ip, zero, sizeof(zero)) == 0 && addr->ip[15] == last;
}

bool pln_addr_is_loopback(const pollen_addr *addr) {
    if (pollen_addr_is_ipv4(addr)) {
        return in_ipv4(addr, 0x7f000000u, 8);
    }
    return is_ipv6_low(addr, 1);
}

/* All of 0.0.0.0/8 is "this network" (RFC 6890, table 1) and never a destination. */
bool pln_addr_is_unspecified(const pollen_addr *addr) {
    if (pollen_addr_is_ipv4(addr)) {
        return in_ipv4(addr, 0, 8);
    }
    return is_ipv6_low(addr, 0);
}

bool pln_addr_is_multicast(const pollen_addr *addr) {
    if (pollen_addr_is_ipv4(addr)) {
        return in_ipv4(addr, 0xe0000000u, 4) || ipv4_number(addr) == UINT32_MAX;
    }
    return addr->ip[0] == 0xff;
}

bool pln_addr_is_link_local(const pollen_addr *addr) {
    if (pollen_addr_is_ipv4(addr)) {
        return in_ipv4(addr, 0xa9fe0000u, 16);
    }
    return addr->ip[0] == 0xfe && (addr->ip[1] & 0xc0) == 0x80;
}

bool pln_addr_is_private(const pollen_addr *addr) {
    if (pollen_addr_is_ipv4(addr)) {
        return in_ipv4(addr, 0x0a000000u, 8) || in_ipv4(addr, 0xac100000u, 12) ||
               in_ipv4(addr, 0xc0a80000u, 16);
    }
    return (addr->ip[0] & 0xfe) == 0xfc;
}

bool pln_addr_is_shared(const pollen_addr *addr) {
    return pollen_addr_is_ipv4(addr) && in_ipv4(addr, 0x64400000u, 10);
}

bool pln_addr_is_global(const pollen_addr *addr) {
    return !pln_addr_is_loopback(addr) && !pln_addr_is_link_local(addr) &&
           !pln_addr_is_private(addr) && !pln_addr_is_shared(addr);
}

bool pln_addr_is_sendable(const pollen_addr *addr) {
    return addr->port != 0 && !pln_addr_is_unspecified(addr) && !pln_addr_is_multicast(addr);
}
