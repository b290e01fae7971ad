/* SPDX-License-Identifier: Apache-2.0 */
#include <pollen/nat.h>

const char *pollen_nat_mapping_name(pollen_nat_mapping mapping) {
    switch (mapping) {
    case POLLEN_NAT_MAPPING_UNKNOWN:
        break;
    case POLLEN_NAT_MAPPING_NONE:
        return "none";
    case POLLEN_NAT_MAPPING_EASY:
        return "easy";
    case POLLEN_NAT_MAPPING_HARD:
        return "hard";
    }
    return "unknown";
}

const char *pollen_nat_allocation_name(pollen_nat_allocation allocation) {
    switch (allocation) {
    case POLLEN_NAT_ALLOCATION_UNKNOWN:
        break;
    case POLLEN_NAT_ALLOCATION_PRESERVING:
        return "preserving";
    case POLLEN_NAT_ALLOCATION_SEQUENTIAL:
        return "sequential";
    case POLLEN_NAT_ALLOCATION_RANDOM:
        return "random";
    }
    return "unknown";
}

const char *pollen_port_mapping_state_name(pollen_port_mapping_state state) {
    switch (state) {
    case POLLEN_PORT_MAPPING_OFF:
        return "off";
    case POLLEN_PORT_MAPPING_NO_ROUTER:
        return "no_router";
    case POLLEN_PORT_MAPPING_ASKING:
        return "asking";
    case POLLEN_PORT_MAPPING_MAPPED:
        return "mapped";
    case POLLEN_PORT_MAPPING_NESTED:
        return "nested";
    case POLLEN_PORT_MAPPING_REFUSED:
        return "refused";
    case POLLEN_PORT_MAPPING_SILENT:
        return "silent";
    }
    return "unknown";
}
