/* SPDX-License-Identifier: Apache-2.0 */
#include "sock/verdict.h"

#include <string.h>

#include "base/assert.h"

/*
 * Design notes.
 *
 * Two observers: the same address is an easy NAT, two addresses are a hard one; there is nothing to
 * hold a lie against.  With three or more, each verdict is asked whether it would hold if one of
 * them lied: easy, if all but one agree; hard, if all but one differ.  When both would hold, which
 * takes three observers of whom two agree, or neither, nothing is known; but a port that the NAT
 * left as it was is no coincidence of a hard one.
 *
 * The same goes for the ports of a hard NAT: near each other, or not.
 */

/* Ports this close to each other, in steps, count as drawn in sequence: flows of others lie in
 * between.  Two random ones are that close with 0.2 %. */
#define NEAR_STEPS 64
#define NEAR_STEPS_SWAPPED 16

/* ---- Observations ---------------------------------------------------------------------------- */

static bool is_from_network(const pollen_addr *addr) {
    return pln_addr_is_sendable(addr) && !pln_addr_is_loopback(addr);
}

static void remove_at(pln_nat_observations *list, size_t index) {
    PLN_ASSERT(index < list->count);
    list->count--;
    memmove(&list->items[index], &list->items[index + 1],
            (list->count - index) * sizeof(list->items[0]));
}

void pln_nat_observe(pln_nat_observations *list, const pln_nat_observation *observation) {
    if (!is_from_network(&observation->seen) || !is_from_network(&observation->observer_addr)) {
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        if (pln_key_equal(&list->items[i].observer, &observation->observer) &&
            list->items[i].via == observation->via) {
            remove_at(list, i);
            break;
        }
    }
    if (list->count == PLN_NAT_OBSERVATIONS_MAX) {
        list->count--;
    }
    memmove(&list->items[1], &list->items[0], list->count * sizeof(list->items[0]));
    list->items[0] = *observation;
    list->count++;
}

static bool has_local(const pln_nat_observations *list, const pollen_addr *addr) {
    for (size_t i = 0; i < list->local_count; i++) {
        if (pln_addr_same_ip(&list->locals[i], addr)) {
            return true;
        }
    }
    return false;
}

bool pln_nat_set_locals(pln_nat_observations *list, const pollen_addr *addrs, size_t count) {
    pln_nat_observations fresh = {.count = 0};
    for (size_t i = 0; i < count && fresh.local_count < PLN_NAT_LOCALS_MAX; i++) {
        if (!has_local(&fresh, &addrs[i])) {
            fresh.locals[fresh.local_count] = addrs[i];
            fresh.local_count++;
        }
    }
    bool same = fresh.local_count == list->local_count;
    for (size_t i = 0; i < fresh.local_count; i++) {
        same = same && has_local(list, &fresh.locals[i]);
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

/* ---- Who counts ------------------------------------------------------------------------------ */

/* How far an address reaches. */
typedef enum scope { SCOPE_SITE, SCOPE_CARRIER, SCOPE_WORLD } scope;

static scope scope_of(const pollen_addr *addr) {
    if (pln_addr_is_private(addr) || pln_addr_is_link_local(addr)) {
        return SCOPE_SITE;
    }
    return pln_addr_is_shared(addr) ? SCOPE_CARRIER : SCOPE_WORLD;
}

/* The same /24 or /64. */
static bool same_subnet(const pollen_addr *a, const pollen_addr *b) {
    return pollen_addr_is_ipv4(a) == pollen_addr_is_ipv4(b) &&
           memcmp(a->ip, b->ip, pollen_addr_is_ipv4(a) ? 15 : 8) == 0;
}

static bool is_neighbour(const pln_nat_observations *list, const pollen_addr *observer) {
    if (scope_of(observer) == SCOPE_WORLD) {
        return false;
    }
    for (size_t i = 0; i < list->local_count; i++) {
        if (same_subnet(&list->locals[i], observer)) {
            return true;
        }
    }
    return false;
}

/* It looks at us without our NAT in between, or from behind it. */
static bool is_inside(const pln_nat_observations *list, const pln_nat_observation *seen) {
    return pln_addr_same_ip(&seen->observer_addr, &seen->seen) ||
           is_neighbour(list, &seen->observer_addr) ||
           scope_of(&seen->observer_addr) < scope_of(&seen->seen);
}

/* Two that may sit behind one NAT or in one house. */
static bool same_place(const pln_nat_observation *a, const pln_nat_observation *b) {
    if (pollen_addr_is_ipv4(&a->observer_addr)) {
        return pln_addr_same_ip(&a->observer_addr, &b->observer_addr);
    }
    return same_subnet(&a->observer_addr, &b->observer_addr);
}

static bool counts(const pln_nat_evidence *evidence) {
    return evidence->role == PLN_NAT_ROLE_COUNTED;
}

static void judge_singly(const pln_nat_observations *list, pln_ts now, pln_nat_verdict *verdict) {
    bool ipv4 = false;
    for (size_t i = 0; i < list->count; i++) {
        const pln_nat_observation *seen = &list->items[i];
        pln_nat_evidence *evidence = &verdict->evidence[i];
        *evidence = (pln_nat_evidence){.observation = *seen, .role = PLN_NAT_ROLE_COUNTED};
        if (pln_ts_since(seen->at, now) > PLN_NAT_OBSERVATION_LIFE) {
            evidence->role = PLN_NAT_ROLE_OLD;
        } else if (is_inside(list, seen)) {
            evidence->role = PLN_NAT_ROLE_INSIDE;
        }
        ipv4 = ipv4 || (counts(evidence) && pollen_addr_is_ipv4(&seen->seen));
    }
    verdict->evidence_count = list->count;
    for (size_t i = 0; ipv4 && i < list->count; i++) {
        if (counts(&verdict->evidence[i]) && !pollen_addr_is_ipv4(&list->items[i].seen)) {
            verdict->evidence[i].role = PLN_NAT_ROLE_OTHER_FAMILY;
        }
    }
}

/* Those who see us from farthest away: the others may sit between two NATs of ours. */
static void keep_widest(pln_nat_verdict *verdict) {
    scope widest = SCOPE_SITE;
    for (size_t i = 0; i < verdict->evidence_count; i++) {
        scope own = scope_of(&verdict->evidence[i].observation.seen);
        if (counts(&verdict->evidence[i]) && own > widest) {
            widest = own;
        }
    }
    for (size_t i = 0; i < verdict->evidence_count; i++) {
        pln_nat_evidence *evidence = &verdict->evidence[i];
        if (counts(evidence) && scope_of(&evidence->observation.seen) < widest) {
            evidence->role = PLN_NAT_ROLE_INSIDE;
        }
    }
}

static bool same_socket(const pln_nat_observation *a, const pln_nat_observation *b) {
    return a->via == b->via && a->local_port == b->local_port;
}

/* Of each place the newest, which comes first. */
static void count_places_once(pln_nat_verdict *verdict) {
    for (size_t i = 0; i < verdict->evidence_count; i++) {
        for (size_t k = 0; counts(&verdict->evidence[i]) && k < i; k++) {
            const pln_nat_evidence *other = &verdict->evidence[k];
            if (counts(other) &&
                same_socket(&other->observation, &verdict->evidence[i].observation) &&
                same_place(&other->observation, &verdict->evidence[i].observation)) {
                verdict->evidence[i].role = PLN_NAT_ROLE_SAME_ADDRESS;
            }
        }
    }
}

static size_t watchers_of(const pln_nat_verdict *verdict, const pln_nat_observation *socket) {
    size_t watchers = 0;
    for (size_t i = 0; i < verdict->evidence_count; i++) {
        watchers +=
            counts(&verdict->evidence[i]) && same_socket(&verdict->evidence[i].observation, socket);
    }
    return watchers;
}

/* The socket that most look at; of equals the one that was looked at last. */
static void keep_one_socket(pln_nat_verdict *verdict) {
    const pln_nat_observation *best = NULL;
    size_t most = 0;
    for (size_t i = 0; i < verdict->evidence_count; i++) {
        const pln_nat_observation *seen = &verdict->evidence[i].observation;
        if (counts(&verdict->evidence[i]) && watchers_of(verdict, seen) > most) {
            most = watchers_of(verdict, seen);
            best = seen;
        }
    }
    for (size_t i = 0; i < verdict->evidence_count; i++) {
        pln_nat_evidence *evidence = &verdict->evidence[i];
        if (counts(evidence) && !same_socket(&evidence->observation, best)) {
            evidence->role = PLN_NAT_ROLE_OTHER_SOCKET;
        }
    }
}

/* ---- What they say --------------------------------------------------------------------------- */

typedef struct voices {
    size_t count;
    const pln_nat_observation *items[PLN_NAT_OBSERVATIONS_MAX]; /* The newest first. */
} voices;

static voices voices_of(const pln_nat_verdict *verdict) {
    voices v = {.count = 0};
    for (size_t i = 0; i < verdict->evidence_count; i++) {
        if (counts(&verdict->evidence[i])) {
            v.items[v.count] = &verdict->evidence[i].observation;
            v.count++;
        }
    }
    return v;
}

static size_t agreeing_with(const voices *v, const pollen_addr *seen) {
    size_t agreeing = 0;
    for (size_t i = 0; i < v->count; i++) {
        agreeing += pollen_addr_equal(&v->items[i]->seen, seen);
    }
    return agreeing;
}

/* The address that most see; of equals the newest. */
static const pln_nat_observation *commonest(const voices *v) {
    PLN_ASSERT(v->count > 0);
    const pln_nat_observation *best = v->items[0];
    for (size_t i = 1; i < v->count; i++) {
        if (agreeing_with(v, &v->items[i]->seen) > agreeing_with(v, &best->seen)) {
            best = v->items[i];
        }
    }
    return best;
}

static size_t distinct(const voices *v) {
    size_t count = 0;
    for (size_t i = 0; i < v->count; i++) {
        bool first = true;
        for (size_t k = 0; k < i; k++) {
            first = first && !pollen_addr_equal(&v->items[k]->seen, &v->items[i]->seen);
        }
        count += first;
    }
    return count;
}

static pollen_nat_mapping mapping_of(const voices *v, const pln_nat_observation *common) {
    if (v->count < 2) {
        return POLLEN_NAT_MAPPING_UNKNOWN;
    }
    size_t agreeing = agreeing_with(v, &common->seen);
    if (v->count == 2) {
        return agreeing == 2 ? POLLEN_NAT_MAPPING_EASY : POLLEN_NAT_MAPPING_HARD;
    }
    bool may_be_easy = v->count - agreeing <= 1;
    bool may_be_hard = distinct(v) >= v->count - 1;
    if (may_be_easy && may_be_hard) {
        return common->seen.port == common->local_port ? POLLEN_NAT_MAPPING_EASY
                                                       : POLLEN_NAT_MAPPING_UNKNOWN;
    }
    if (!may_be_easy && !may_be_hard) {
        return POLLEN_NAT_MAPPING_UNKNOWN;
    }
    return may_be_easy ? POLLEN_NAT_MAPPING_EASY : POLLEN_NAT_MAPPING_HARD;
}

/* ---- Ports of a hard NAT --------------------------------------------------------------------- */

static bool is_near(uint16_t a, uint16_t b, uint16_t step) {
    unsigned steps = step == PLN_NAT_STEP_SWAPPED ? NEAR_STEPS_SWAPPED : NEAR_STEPS;
    bool near = a == b;
    for (unsigned i = 1; i <= steps && !near; i++) {
        near = pln_nat_port_ahead(a, step, i) == b || pln_nat_port_ahead(b, step, i) == a;
    }
    return near;
}

/* How many lie near one of them, itself included, at most. */
static size_t largest_cluster(const voices *v, uint16_t step) {
    size_t largest = 0;
    for (size_t i = 0; i < v->count; i++) {
        size_t near = 0;
        for (size_t k = 0; k < v->count; k++) {
            near += is_near(v->items[i]->seen.port, v->items[k]->seen.port, step);
        }
        largest = near > largest ? near : largest;
    }
    return largest;
}

static pollen_nat_allocation allocation_of(const voices *v, uint16_t *ret_step) {
    size_t close = largest_cluster(v, 1);
    size_t strides = largest_cluster(v, PLN_NAT_STEP_SWAPPED);
    size_t cluster = close >= strides ? close : strides;
    PLN_ASSERT(cluster >= 1 && cluster <= v->count);
    if (cluster == 1 || (v->count >= 4 && cluster == 2)) {
        return POLLEN_NAT_ALLOCATION_RANDOM;
    }
    if (cluster == v->count || (v->count >= 4 && cluster == v->count - 1)) {
        *ret_step = close >= strides ? 1 : PLN_NAT_STEP_SWAPPED;
        return POLLEN_NAT_ALLOCATION_SEQUENTIAL;
    }
    return POLLEN_NAT_ALLOCATION_UNKNOWN;
}

/* ---- The verdict ----------------------------------------------------------------------------- */

void pln_nat_judge(const pln_nat_observations *list, pln_ts now, pln_nat_verdict *ret) {
    PLN_ASSERT(list->count <= PLN_NAT_OBSERVATIONS_MAX);
    *ret = (pln_nat_verdict){.mapping = POLLEN_NAT_MAPPING_UNKNOWN};
    judge_singly(list, now, ret);
    keep_widest(ret);
    count_places_once(ret);
    keep_one_socket(ret);
    voices v = voices_of(ret);
    if (v.count == 0) {
        return;
    }
    const pln_nat_observation *common = commonest(&v);
    ret->mapping = mapping_of(&v, common);
    ret->external = common->seen;
    if (ret->mapping == POLLEN_NAT_MAPPING_HARD) {
        ret->external = v.items[0]->seen;
        ret->allocation = allocation_of(&v, &ret->step);
        return;
    }
    bool kept = common->seen.port == common->local_port;
    if (ret->mapping == POLLEN_NAT_MAPPING_EASY && kept) {
        ret->allocation = POLLEN_NAT_ALLOCATION_PRESERVING;
        if (has_local(list, &common->seen)) {
            ret->mapping = POLLEN_NAT_MAPPING_NONE;
        }
    }
}

pln_nat_brief pln_nat_brief_of(const pln_nat_verdict *verdict) {
    pln_nat_brief brief = {
        .mapping = verdict->mapping, .allocation = verdict->allocation, .step = verdict->step};
    if (verdict->mapping != POLLEN_NAT_MAPPING_HARD) {
        brief.port_count = verdict->external.port != 0;
        brief.ports[0] = verdict->external.port;
        return brief;
    }
    for (size_t i = 0; i < verdict->evidence_count && brief.port_count < PLN_NAT_PORTS_MAX; i++) {
        if (counts(&verdict->evidence[i])) {
            brief.ports[brief.port_count] = verdict->evidence[i].observation.seen.port;
            brief.port_count++;
        }
    }
    return brief;
}

const char *pln_nat_role_name(pln_nat_role role) {
    switch (role) {
    case PLN_NAT_ROLE_COUNTED:
        return "counted";
    case PLN_NAT_ROLE_INSIDE:
        return "inside";
    case PLN_NAT_ROLE_SAME_ADDRESS:
        return "same_address";
    case PLN_NAT_ROLE_OTHER_SOCKET:
        return "other_socket";
    case PLN_NAT_ROLE_OTHER_FAMILY:
        return "other_family";
    case PLN_NAT_ROLE_OLD:
        return "old";
    }
    return "unknown";
}
