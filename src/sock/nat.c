/* SPDX-License-Identifier: Apache-2.0 */
#include "sock/nat.h"

#include "sock/ports.h"

static unsigned swap(unsigned port) {
    return (port >> 8 | port << 8) & UINT16_MAX;
}

uint16_t pln_nat_port_ahead(uint16_t port, uint16_t step, unsigned steps) {
    unsigned ahead;
    if (step == PLN_NAT_STEP_SWAPPED) {
        ahead = swap((swap(port) + steps) & UINT16_MAX);
    } else {
        ahead = port + steps * (step == 0 ? 1u : step);
        if (ahead > UINT16_MAX) {
            ahead = PLN_PORTS_FIRST + (ahead - UINT16_MAX - 1) % PLN_PORTS_COUNT;
        }
    }
    return ahead == 0 ? PLN_PORTS_FIRST : (uint16_t)ahead; /* Nobody has port 0. */
}

const char *pln_nat_mapping_name(pln_nat_mapping mapping) {
    switch (mapping) {
    case PLN_NAT_MAPPING_UNKNOWN:
        return "unknown";
    case PLN_NAT_MAPPING_NONE:
        return "none";
    case PLN_NAT_MAPPING_EASY:
        return "easy";
    case PLN_NAT_MAPPING_HARD:
        return "hard";
    }
    return "unknown";
}

const char *pln_nat_allocation_name(pln_nat_allocation allocation) {
    switch (allocation) {
    case PLN_NAT_ALLOCATION_UNKNOWN:
        return "unknown";
    case PLN_NAT_ALLOCATION_PRESERVING:
        return "preserving";
    case PLN_NAT_ALLOCATION_SEQUENTIAL:
        return "sequential";
    case PLN_NAT_ALLOCATION_RANDOM:
        return "random";
    }
    return "unknown";
}
