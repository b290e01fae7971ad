/* SPDX-License-Identifier: Apache-2.0 */
#include "sock/observations.h"

#include <string.h>

#include "base/assert.h"

/* ---- What they say of each other ------------------------------------------------------------- */

pln_nat_scope pln_nat_scope_of(const pollen_addr *addr) {
    if (pln_addr_is_global(addr)) {
        return PLN_NAT_SCOPE_WORLD;
    }
    return pln_addr_is_shared(addr) ? PLN_NAT_SCOPE_CARRIER : PLN_NAT_SCOPE_SITE;
}

/* The same /24 or /64. */
static bool same_subnet(const pollen_addr *a, const pollen_addr *b) {
    return pollen_addr_is_ipv4(a) == pollen_addr_is_ipv4(b) &&
           memcmp(a->ip, b->ip, pollen_addr_is_ipv4(a) ? 15 : 8) == 0;
}

bool pln_nat_is_local(const pln_nat_observations *list, const pollen_addr *addr) {
    for (size_t i = 0; i < list->local_count; i++) {
        if (pln_addr_same_ip(&list->locals[i], addr)) {
            return true;
        }
    }
    return false;
}

static bool is_neighbour(const pln_nat_observations *list, const pollen_addr *observer) {
    if (pln_nat_scope_of(observer) == PLN_NAT_SCOPE_WORLD) {
        return false;
    }
    for (size_t i = 0; i < list->local_count; i++) {
        if (same_subnet(&list->locals[i], observer)) {
            return true;
        }
    }
    return false;
}

bool pln_nat_is_inside(const pln_nat_observations *list, const pln_nat_observation *observation) {
    const pollen_addr *observer = &observation->observer_addr;
    const pollen_addr *seen = &observation->seen;
    return pln_addr_is_loopback(observer) || pln_addr_same_ip(observer, seen) ||
           is_neighbour(list, observer) || pln_nat_scope_of(observer) < pln_nat_scope_of(seen);
}

bool pln_nat_same_socket(const pln_nat_observation *a, const pln_nat_observation *b) {
    return a->via == b->via && a->local_port == b->local_port;
}

bool pln_nat_same_place(const pln_nat_observation *a, const pln_nat_observation *b) {
    return pln_addr_same_party(&a->observer_addr, &b->observer_addr);
}

/* ---- The record ------------------------------------------------------------------------------ */

static void remove_at(pln_nat_observations *list, size_t index) {
    PLN_ASSERT(index < list->count);
    list->count--;
    memmove(&list->items[index], &list->items[index + 1],
            (list->count - index) * sizeof(list->items[0]));
}

static bool is_fit(const pln_nat_observation *observation) {
    return pln_addr_is_sendable(&observation->seen) &&
           pln_addr_is_sendable(&observation->observer_addr) &&
           pln_addr_is_loopback(&observation->seen) ==
               pln_addr_is_loopback(&observation->observer_addr);
}

static bool has_newer_neighbour(const pln_nat_observations *list, size_t index) {
    const pln_nat_observation *own = &list->items[index];
    for (size_t i = 0; i < index; i++) {
        if (pln_nat_same_socket(&list->items[i], own) && pln_nat_same_place(&list->items[i], own)) {
            return true;
        }
    }
    return false;
}

/* How little it says of the NAT: the most goes first. */
static unsigned idleness(const pln_nat_observations *list, size_t index) {
    const pln_nat_observation *own = &list->items[index];
    if (pln_addr_is_loopback(&own->observer_addr)) {
        return 3;
    }
    if (pln_nat_is_inside(list, own)) {
        return 2;
    }
    return has_newer_neighbour(list, index);
}

static void make_room(pln_nat_observations *list) {
    PLN_ASSERT(list->count > 0);
    size_t worst = list->count - 1;
    for (size_t i = worst; i-- > 0;) {
        worst = idleness(list, i) > idleness(list, worst) ? i : worst;
    }
    remove_at(list, worst);
}

static bool is_same_word(const pln_nat_observation *a, const pln_nat_observation *b) {
    return pollen_addr_equal(&a->seen, &b->seen) && a->local_port == b->local_port &&
           pollen_addr_equal(&a->observer_addr, &b->observer_addr);
}

/* The end of the list when it said nothing of that socket so far. */
static size_t find(const pln_nat_observations *list, const pln_nat_observation *observation) {
    size_t i = 0;
    while (i < list->count && (!pln_key_equal(&list->items[i].observer, &observation->observer) ||
                               list->items[i].via != observation->via)) {
        i++;
    }
    return i;
}

bool pln_nat_observe(pln_nat_observations *list, const pln_nat_observation *observation) {
    if (!is_fit(observation)) {
        return false;
    }
    const size_t before = find(list, observation);
    if (before < list->count) {
        if (is_same_word(&list->items[before], observation)) {
            const bool was_gone = list->items[before].gone;
            list->items[before].gone = false;
            return was_gone;
        }
        remove_at(list, before);
    }
    if (list->count == PLN_NAT_OBSERVATIONS_MAX) {
        make_room(list);
    }
    memmove(&list->items[1], &list->items[0], list->count * sizeof(list->items[0]));
    list->items[0] = *observation;
    list->count++;
    return true;
}

void pln_nat_observer_gone(pln_nat_observations *list, const pollen_key *observer, pln_ts now) {
    for (size_t i = 0; i < list->count; i++) {
        pln_nat_observation *item = &list->items[i];
        if (!item->gone && pln_key_equal(&item->observer, observer)) {
            item->gone = true;
            item->gone_at = now;
        }
    }
}

bool pln_nat_set_locals(pln_nat_observations *list, const pollen_addr *addrs, size_t count) {
    pln_nat_observations fresh = {.count = 0};
    for (size_t i = 0; i < count && fresh.local_count < PLN_NAT_LOCALS_MAX; i++) {
        if (!pln_nat_is_local(&fresh, &addrs[i])) {
            fresh.locals[fresh.local_count] = addrs[i];
            fresh.local_count++;
        }
    }
    bool same = fresh.local_count == list->local_count;
    for (size_t i = 0; i < fresh.local_count; i++) {
        same = same && pln_nat_is_local(list, &fresh.locals[i]);
    }
    if (same) {
        return false;
    }
    bool first = list->local_count == 0; /* What came before the first list is of this place. */
    memcpy(list->locals, fresh.locals, sizeof(list->locals));
    list->local_count = fresh.local_count;
    if (!first) {
        pln_nat_forget(list);
    }
    return !first;
}

void pln_nat_forget(pln_nat_observations *list) {
    list->count = 0;
}
