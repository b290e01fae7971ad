/* SPDX-License-Identifier: Apache-2.0 */
#include "base/addr.h"

#include <string.h>

static const uint8_t mapped_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

bool pollen_addr_is_ipv4(const pollen_addr *addr) {
    return memcmp(addr->ip, mapped_prefix, sizeof(mapped_prefix)) == 0;
}

pollen_addr pln_addr_ipv4(const uint8_t ip[4], uint16_t port) {
    pollen_addr addr = {.port = port};
    memcpy(addr.ip, mapped_prefix, sizeof(mapped_prefix));
    memcpy(addr.ip + sizeof(mapped_prefix), ip, 4);
    return addr;
}

bool pln_addr_same_ip(const pollen_addr *a, const pollen_addr *b) {
    return memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

size_t pln_addr_party_bytes(const pollen_addr *addr) {
    return pollen_addr_is_ipv4(addr) ? sizeof(addr->ip) : sizeof(addr->ip) / 2;
}

bool pln_addr_same_party(const pollen_addr *a, const pollen_addr *b) {
    return pollen_addr_is_ipv4(a) == pollen_addr_is_ipv4(b) &&
           memcmp(a->ip, b->ip, pln_addr_party_bytes(a)) == 0;
}

int pln_addr_compare(const pollen_addr *a, const pollen_addr *b) {
    int order = memcmp(a->ip, b->ip, sizeof(a->ip));
    if (order != 0) {
        return order;
    }
    if (a->port != b->port) {
        return a->port < b->port ? -1 : 1;
    }
    /* The kernel reports a zone for addresses that mean the same whatever the interface. */
    if (a->zone == b->zone || pollen_addr_is_ipv4(a) || !pln_addr_is_link_local(a)) {
        return 0;
    }
    return a->zone < b->zone ? -1 : 1;
}

bool pollen_addr_equal(const pollen_addr *a, const pollen_addr *b) {
    return pln_addr_compare(a, b) == 0;
}

bool pln_path_equal(const pln_path *a, const pln_path *b) {
    return a->via == b->via && pollen_addr_equal(&a->remote, &b->remote);
}
