/* SPDX-License-Identifier: Apache-2.0 */
#include "sock/nat.h"

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
