/* SPDX-License-Identifier: Apache-2.0 */
#include "node/outside.h"

#include <string.h>

#include "base/assert.h"

bool pln_outside_is_local(const pln_outside *outside, const pollen_addr *addr) {
    return pln_nat_is_local(&outside->observations, addr);
}

/* What three birthdays begin.  A NAT that seems to have gone back farther has begun anew. */
enum { OUR_FLOWS_MAX = 4096 };

/* Where a NAT that counts is by now, as far as we know. */
static uint16_t reached(const pln_outside *outside) {
    PLN_ASSERT(outside->flows >= outside->flows_then);
    const uint64_t flows = outside->flows - outside->flows_then;
    return pln_nat_port_ahead(outside->last, outside->verdict.step,
                              flows < OUR_FLOWS_MAX ? (unsigned)flows : OUR_FLOWS_MAX);
}

/* A word may come long after the flow that it is about began; then we know better. */
static void note_last(pln_outside *outside) {
    const pln_nat_verdict *verdict = &outside->verdict;
    if (verdict->allocation != POLLEN_NAT_ALLOCATION_SEQUENTIAL) {
        outside->last = 0;
        return;
    }
    const uint16_t seen = verdict->external.port;
    if (outside->last == 0 || pln_nat_steps_between(seen, reached(outside), verdict->step,
                                                    OUR_FLOWS_MAX) > OUR_FLOWS_MAX) {
        outside->last = seen;
        outside->flows_then = outside->flows;
    }
}

/* True when it is another. */
static bool judge(pln_outside *outside, pln_now now) {
    const pln_nat_observations *list = &outside->observations;
    const pln_nat_verdict before = outside->verdict;
    pln_nat_verdict *after = &outside->verdict;
    pln_nat_judge(list, now.mono, after);
    if (pln_prior_learn(&outside->memory, list, now.wall, after)) {
        outside->memory_changed = true;
    }
    pln_prior_apply(&outside->memory, list, now.wall, after);
    note_last(outside);
    return before.mapping != after->mapping || before.allocation != after->allocation ||
           before.step != after->step || !pollen_addr_equal(&before.external, &after->external);
}

bool pln_outside_set_locals(pln_outside *outside, const pollen_addr *addrs, size_t count,
                            uint16_t port, pln_now now) {
    outside->port = port;
    if (!pln_nat_set_locals(&outside->observations, addrs, count)) {
        return false;
    }
    (void)judge(outside, now);
    return true;
}

void pln_outside_judge(const pln_outside *outside, pln_now now, pln_nat_verdict *ret) {
    pln_nat_judge(&outside->observations, now.mono, ret);
    pln_prior_apply(&outside->memory, &outside->observations, now.wall, ret);
}

bool pln_outside_observe(pln_outside *outside, const pln_nat_observation *observation,
                         pln_now now) {
    /* What is seen from within this machine says nothing of a NAT, and judging takes time. */
    return pln_nat_observe(&outside->observations, observation) &&
           !pln_addr_is_loopback(&observation->seen) && judge(outside, now);
}

void pln_outside_note_flows(pln_outside *outside, uint64_t flows) {
    PLN_ASSERT(flows >= outside->flows);
    outside->flows = flows;
}

bool pln_outside_set_mapped(pln_outside *outside, const pollen_addr *addr) {
    const pollen_addr before = outside->mapped;
    outside->mapped = addr != NULL ? *addr : (pollen_addr){.port = 0};
    return !pollen_addr_equal(&before, &outside->mapped);
}

void pln_outside_observer_gone(pln_outside *outside, const pollen_key *observer, pln_ts now) {
    pln_nat_observer_gone(&outside->observations, observer, now);
}

bool pln_outside_has_word(const pln_outside *outside, const pollen_key *observer) {
    const pln_nat_observations *list = &outside->observations;
    for (size_t i = 0; i < list->count; i++) {
        if (!list->items[i].gone && pln_key_equal(&list->items[i].observer, observer)) {
            return true;
        }
    }
    return false;
}

static bool is_said_again(const pln_nat_observations *list, size_t index) {
    for (size_t i = 0; i < index; i++) {
        if (!list->items[i].gone &&
            pln_key_equal(&list->items[i].observer, &list->items[index].observer)) {
            return true;
        }
    }
    return false;
}

const pln_nat_observation *pln_outside_observed_at(const pln_outside *outside, size_t index) {
    const pln_nat_observations *list = &outside->observations;
    for (size_t i = 0; i < list->count; i++) {
        const bool holds = !list->items[i].gone && !is_said_again(list, i);
        if (holds && index-- == 0) {
            return &list->items[i];
        }
    }
    return NULL;
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
    const bool mapped = outside->mapped.port != 0;
    const pollen_addr *external = mapped ? &outside->mapped : &outside->verdict.external;
    const bool known = external->port != 0 && !pln_outside_is_local(outside, external);
    if (known && count < max) {
        ret[count++] = *external;
    }
    const bool same_for_all = mapped || outside->verdict.mapping != POLLEN_NAT_MAPPING_HARD;
    *ret_port = known && same_for_all ? external->port : 0;
    PLN_ASSERT(count <= max);
    return count;
}

/* Each once. */
static void add_seen(pln_whereabouts *to, const pollen_addr *addr) {
    for (size_t i = 0; i < to->seen_count; i++) {
        if (pollen_addr_equal(&to->seen[i], addr)) {
            return;
        }
    }
    if (to->seen_count < PLN_WHEREABOUTS_SEEN_MAX) {
        to->seen[to->seen_count++] = *addr;
    }
}

void pln_outside_whereabouts(const pln_outside *outside, pln_whereabouts *ret) {
    const pln_nat_observations *list = &outside->observations;
    const pln_nat_verdict *verdict = &outside->verdict;
    *ret = (pln_whereabouts){
        .mapping = verdict->mapping,
        .allocation = verdict->allocation,
        .step = verdict->step,
        .mapped = outside->mapped,
    };
    if (outside->last != 0) {
        pollen_addr by_now = verdict->external;
        by_now.port = reached(outside);
        add_seen(ret, &by_now);
    }
    for (size_t i = 0; i < verdict->evidence_count; i++) {
        const pln_nat_observation *item = &verdict->evidence[i].observation;
        if (verdict->evidence[i].role == PLN_NAT_ROLE_COUNTED && item->via == PLN_VIA_MAIN) {
            add_seen(ret, &item->seen);
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
