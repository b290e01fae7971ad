/* SPDX-License-Identifier: Apache-2.0 */
#include "node/outside.h"

#include <string.h>

#include "base/assert.h"

bool pln_outside_is_local(const pln_outside *outside, const pollen_addr *addr) {
    const pln_nat_observations *list = &outside->observations;
    for (size_t i = 0; i < list->local_count; i++) {
        if (pln_addr_same_ip(&list->locals[i], addr)) {
            return true;
        }
    }
    return false;
}

/* True when it is another. */
static bool judge(pln_outside *outside, pln_ts now) {
    pln_nat_verdict before = outside->verdict;
    pln_nat_judge(&outside->observations, now, &outside->verdict);
    const pln_nat_verdict *after = &outside->verdict;
    return before.mapping != after->mapping || before.allocation != after->allocation ||
           before.step != after->step || !pollen_addr_equal(&before.external, &after->external);
}

bool pln_outside_set_locals(pln_outside *outside, const pollen_addr *addrs, size_t count,
                            uint16_t port, pln_ts now) {
    outside->port = port;
    if (!pln_nat_set_locals(&outside->observations, addrs, count)) {
        return false;
    }
    (void)judge(outside, now);
    return true;
}

bool pln_outside_observe(pln_outside *outside, const pln_nat_observation *observation, pln_ts now) {
    pln_nat_observe(&outside->observations, observation);
    return judge(outside, now);
}

size_t pln_outside_addrs(const pln_outside *outside, pollen_addr *ret, size_t max,
                         uint16_t *ret_port) {
    const pln_nat_observations *list = &outside->observations;
    size_t count = 0;
    while (count < list->local_count && count < max) {
        ret[count] = list->locals[count];
        count++;
    }
    PLN_ASSERT(list->local_count <= PLN_NAT_LOCALS_MAX);
    const pollen_addr *external = &outside->verdict.external;
    const bool seen = external->port != 0 && !pln_outside_is_local(outside, external);
    if (seen && count < max) {
        ret[count++] = *external;
    }
    *ret_port = seen && outside->verdict.mapping != POLLEN_NAT_MAPPING_HARD ? external->port : 0;
    PLN_ASSERT(count <= max);
    return count;
}

void pln_outside_whereabouts(const pln_outside *outside, pln_whereabouts *ret) {
    const pln_nat_observations *list = &outside->observations;
    *ret = (pln_whereabouts){
        .mapping = outside->verdict.mapping,
        .allocation = outside->verdict.allocation,
        .step = outside->verdict.step,
    };
    for (size_t i = 0; i < list->count && ret->seen_count < PLN_WHEREABOUTS_SEEN_MAX; i++) {
        if (list->items[i].via == PLN_VIA_MAIN) {
            ret->seen[ret->seen_count++] = list->items[i].seen;
        }
    }
    for (size_t i = 0; i < list->local_count && ret->addr_count < PLN_WHEREABOUTS_ADDRS_MAX; i++) {
        ret->addrs[ret->addr_count] = list->locals[i];
        ret->addrs[ret->addr_count].port = outside->port;
        if (pln_addr_is_sendable(&ret->addrs[ret->addr_count])) {
            ret->addr_count++;
        }
    }
}

pln_nat_brief pln_outside_brief_of_peer(const pln_whereabouts *whereabouts) {
    pln_nat_brief brief = {.mapping = whereabouts->mapping,
                           .allocation = whereabouts->allocation,
                           .step = whereabouts->step};
    for (size_t i = 0; i < whereabouts->seen_count && i < PLN_NAT_PORTS_MAX; i++) {
        brief.ports[brief.port_count++] = whereabouts->seen[i].port;
    }
    return brief;
}
