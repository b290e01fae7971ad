/* SPDX-License-Identifier: Apache-2.0 */
#include "node/prior.h"

#include <string.h>

#include "base/assert.h"

/* A place that goes on being what it was is noted as such once a day. */
enum { CONFIRM_EVERY_S = 86400 };

/* ---- Places ---------------------------------------------------------------------------------- */

/* By party: half of an IPv6 address is drawn anew every day. */
static bool has_local(const pln_nat_place *place, const pollen_addr *addr) {
    for (size_t i = 0; i < place->local_count; i++) {
        if (pln_addr_same_party(&place->locals[i], addr)) {
            return true;
        }
    }
    return false;
}

static pollen_addr ip_of(const pollen_addr *addr) {
    pollen_addr ip = *addr;
    ip.port = 0;
    return ip;
}

/* Here, as seen at that address. */
static pln_nat_place place_of(const pln_nat_observations *list, const pollen_addr *external) {
    pln_nat_place place = {.external = ip_of(external)};
    for (size_t i = 0; i < list->local_count; i++) {
        const pollen_addr *local = &list->locals[i];
        if (pollen_addr_is_ipv4(local) == pollen_addr_is_ipv4(external) &&
            !pln_addr_is_loopback(local) && !pln_addr_is_link_local(local) &&
            !has_local(&place, local)) {
            place.locals[place.local_count++] = ip_of(local);
        }
    }
    return place;
}

static bool is_same_place(const pln_nat_place *a, const pln_nat_place *b) {
    bool same = a->local_count == b->local_count && pln_addr_same_party(&a->external, &b->external);
    for (size_t i = 0; same && i < a->local_count; i++) {
        same = has_local(b, &a->locals[i]);
    }
    return same;
}

/* The end of the memory when it is not known. */
static size_t find(const pln_nat_memory *memory, const pln_nat_place *place) {
    size_t i = 0;
    while (i < memory->count && !is_same_place(&memory->items[i], place)) {
        i++;
    }
    return i;
}

static void remove_at(pln_nat_memory *memory, size_t index) {
    PLN_ASSERT(index < memory->count);
    memory->count--;
    memmove(&memory->items[index], &memory->items[index + 1],
            (memory->count - index) * sizeof memory->items[0]);
}

static void add(pln_nat_memory *memory, const pln_nat_place *place) {
    if (memory->count == PLN_NAT_PLACES_MAX) {
        memory->count--; /* Where we have not been for longest. */
    }
    memmove(&memory->items[1], &memory->items[0], memory->count * sizeof memory->items[0]);
    memory->items[0] = *place;
    memory->count++;
}

/* ---- What speaks against a memory ------------------------------------------------------------ */

/* Of several words, each verdict explains only some: else they would have led to one. */
static bool contradicts(const pln_nat_verdict *verdict, const pln_nat_place *place) {
    if (verdict->doubt == PLN_NAT_DOUBT_ODD_ONE || verdict->doubt == PLN_NAT_DOUBT_SPLIT) {
        return true;
    }
    for (size_t i = 0; i < verdict->evidence_count; i++) {
        const pln_nat_evidence *evidence = &verdict->evidence[i];
        const bool kept = evidence->observation.seen.port == evidence->observation.local_port;
        if (evidence->role == PLN_NAT_ROLE_COUNTED) {
            return kept ? place->mapping == POLLEN_NAT_MAPPING_HARD
                        : place->allocation == POLLEN_NAT_ALLOCATION_PRESERVING;
        }
    }
    return false;
}

/* ---- Use ------------------------------------------------------------------------------------- */

static bool is_seen(const pln_nat_verdict *verdict) {
    return verdict->external.port != 0;
}

void pln_prior_apply(const pln_nat_memory *memory, const pln_nat_observations *list, pln_wall wall,
                     pln_nat_verdict *verdict) {
    if (verdict->mapping != POLLEN_NAT_MAPPING_UNKNOWN || !is_seen(verdict)) {
        return;
    }
    const pln_nat_place here = place_of(list, &verdict->external);
    const size_t index = find(memory, &here);
    if (index == memory->count || contradicts(verdict, &memory->items[index]) ||
        pln_wall_add(memory->items[index].at, PLN_NAT_PLACE_LIFE_S) < wall) {
        return;
    }
    const pln_nat_place *place = &memory->items[index];
    verdict->mapping = place->mapping;
    verdict->allocation = place->allocation;
    verdict->step = place->step;
    verdict->remembered_at = place->at;
}

/* Nobody can say what is here now, but it is something else. */
static bool drop_if_contradicted(pln_nat_memory *memory, size_t index,
                                 const pln_nat_verdict *verdict) {
    if (index == memory->count || !contradicts(verdict, &memory->items[index])) {
        return false;
    }
    remove_at(memory, index);
    return true;
}

bool pln_prior_learn(pln_nat_memory *memory, const pln_nat_observations *list, pln_wall wall,
                     const pln_nat_verdict *verdict) {
    PLN_ASSERT(verdict->remembered_at == 0);
    if (!is_seen(verdict)) {
        return false;
    }
    pln_nat_place here = place_of(list, &verdict->external);
    const size_t index = find(memory, &here);
    if (verdict->mapping == POLLEN_NAT_MAPPING_UNKNOWN) {
        return drop_if_contradicted(memory, index, verdict);
    }
    here.mapping = verdict->mapping;
    here.allocation = verdict->allocation;
    here.step = verdict->step;
    here.at = wall;
    if (here.local_count == 0) {
        return false; /* Nothing tells this place from others. */
    }
    if (index < memory->count) {
        const pln_nat_place *before = &memory->items[index];
        const bool same = before->mapping == here.mapping && before->step == here.step &&
                          before->allocation == here.allocation;
        if (same && index == 0 && pln_wall_add(before->at, CONFIRM_EVERY_S) > wall) {
            return false;
        }
        remove_at(memory, index);
    }
    add(memory, &here);
    return true;
}
