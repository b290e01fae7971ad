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
 * The odd one of three is not heard less for its word's being old: the two that agree may be a
 * truth and a copy of it.  A fourth place settles it, and until then a punch does what either NAT
 * needs, which costs little more than knowing.
 *
 * The same goes for the ports of a hard NAT: near each other, or not.
 */

/* Ports this close to each other, in steps, count as drawn in sequence: flows of others lie in
 * between.  Two random ones are that close with 0.2 %. */
#define NEAR_STEPS 64
#define NEAR_STEPS_SWAPPED 16

/* ---- Who counts ------------------------------------------------------------------------------ */

static bool counts(const pln_nat_evidence *evidence) {
    return evidence->role == PLN_NAT_ROLE_COUNTED;
}

static void judge_singly(const pln_nat_observations *list, pln_ts now, pln_nat_verdict *verdict) {
    bool ipv4 = false;
    for (size_t i = 0; i < list->count; i++) {
        const pln_nat_observation *seen = &list->items[i];
        pln_nat_evidence *evidence = &verdict->evidence[i];
        *evidence = (pln_nat_evidence){.observation = *seen, .role = PLN_NAT_ROLE_COUNTED};
        if (seen->gone && pln_ts_since(seen->gone_at, now) > PLN_NAT_OBSERVATION_LIFE) {
            evidence->role = PLN_NAT_ROLE_OLD;
        } else if (pln_nat_is_inside(list, seen)) {
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
    pln_nat_scope widest = PLN_NAT_SCOPE_SITE;
    for (size_t i = 0; i < verdict->evidence_count; i++) {
        pln_nat_scope own = pln_nat_scope_of(&verdict->evidence[i].observation.seen);
        if (counts(&verdict->evidence[i]) && own > widest) {
            widest = own;
        }
    }
    for (size_t i = 0; i < verdict->evidence_count; i++) {
        pln_nat_evidence *evidence = &verdict->evidence[i];
        if (counts(evidence) && pln_nat_scope_of(&evidence->observation.seen) < widest) {
            evidence->role = PLN_NAT_ROLE_INSIDE;
        }
    }
}

/* Of each place the newest, which comes first. */
static void count_places_once(pln_nat_verdict *verdict) {
    for (size_t i = 0; i < verdict->evidence_count; i++) {
        for (size_t k = 0; counts(&verdict->evidence[i]) && k < i; k++) {
            const pln_nat_evidence *other = &verdict->evidence[k];
            if (counts(other) &&
                pln_nat_same_socket(&other->observation, &verdict->evidence[i].observation) &&
                pln_nat_same_place(&other->observation, &verdict->evidence[i].observation)) {
                verdict->evidence[i].role = PLN_NAT_ROLE_SAME_ADDRESS;
            }
        }
    }
}

static size_t watchers_of(const pln_nat_verdict *verdict, const pln_nat_observation *socket) {
    size_t watchers = 0;
    for (size_t i = 0; i < verdict->evidence_count; i++) {
        watchers += counts(&verdict->evidence[i]) &&
                    pln_nat_same_socket(&verdict->evidence[i].observation, socket);
    }
    return watchers;
}

/* The socket that most look at; of equals the main one, whose port is what others are told. */
static void keep_one_socket(pln_nat_verdict *verdict) {
    const pln_nat_observation *best = NULL;
    size_t most = 0;
    for (size_t i = 0; i < verdict->evidence_count; i++) {
        const pln_nat_observation *seen = &verdict->evidence[i].observation;
        const size_t watchers = watchers_of(verdict, seen);
        const bool better = watchers > most || (watchers == most && seen->via == PLN_VIA_MAIN);
        if (counts(&verdict->evidence[i]) && better) {
            most = watchers;
            best = seen;
        }
    }
    for (size_t i = 0; i < verdict->evidence_count; i++) {
        pln_nat_evidence *evidence = &verdict->evidence[i];
        if (counts(evidence) && !pln_nat_same_socket(&evidence->observation, best)) {
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

/* Who contradicts all others does not count any more. */
static void outvote(pln_nat_verdict *verdict, const pln_nat_observation *common) {
    const pollen_addr agreed = common->seen;
    for (size_t i = 0; i < verdict->evidence_count; i++) {
        pln_nat_evidence *evidence = &verdict->evidence[i];
        if (counts(evidence) && !pollen_addr_equal(&evidence->observation.seen, &agreed)) {
            evidence->role = PLN_NAT_ROLE_OUTVOTED;
        }
    }
}

static bool has_role(const pln_nat_verdict *verdict, pln_nat_role role) {
    for (size_t i = 0; i < verdict->evidence_count; i++) {
        if (verdict->evidence[i].role == role) {
            return true;
        }
    }
    return false;
}

static pln_nat_doubt doubt_of(const pln_nat_verdict *verdict, const voices *v) {
    if (v->count == 0) {
        return has_role(verdict, PLN_NAT_ROLE_INSIDE) ? PLN_NAT_DOUBT_ALL_INSIDE
                                                      : PLN_NAT_DOUBT_NOBODY;
    }
    if (v->count == 1) {
        return has_role(verdict, PLN_NAT_ROLE_SAME_ADDRESS)   ? PLN_NAT_DOUBT_ONE_ADDRESS
               : has_role(verdict, PLN_NAT_ROLE_OTHER_SOCKET) ? PLN_NAT_DOUBT_ONE_SOCKET
                                                              : PLN_NAT_DOUBT_ONE;
    }
    return v->count == 3 ? PLN_NAT_DOUBT_ODD_ONE : PLN_NAT_DOUBT_SPLIT;
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

typedef struct cluster {
    size_t size;
    uint16_t step;
    uint16_t center; /* All of it lie near this port. */
} cluster;

static cluster largest_cluster(const voices *v, uint16_t step) {
    cluster largest = {.step = step};
    for (size_t i = 0; i < v->count; i++) {
        const uint16_t center = v->items[i]->seen.port;
        size_t near = 0;
        for (size_t k = 0; k < v->count; k++) {
            near += is_near(center, v->items[k]->seen.port, step);
        }
        if (near > largest.size) {
            largest.size = near;
            largest.center = center;
        }
    }
    return largest;
}

/* *ret_cluster is filled for a sequential one. */
static pollen_nat_allocation allocation_of(const voices *v, cluster *ret_cluster) {
    const cluster close = largest_cluster(v, 1);
    const cluster strides = largest_cluster(v, PLN_NAT_STEP_SWAPPED);
    const cluster best = close.size >= strides.size ? close : strides;
    PLN_ASSERT(best.size >= 1 && best.size <= v->count);
    if (best.size == 1 || (v->count >= 4 && best.size == 2)) {
        return POLLEN_NAT_ALLOCATION_RANDOM;
    }
    if (best.size == v->count || (v->count >= 4 && best.size == v->count - 1)) {
        *ret_cluster = best;
        return POLLEN_NAT_ALLOCATION_SEQUENTIAL;
    }
    return POLLEN_NAT_ALLOCATION_UNKNOWN;
}

/* The port that is far from all others would lead a guess astray. */
static void outvote_far(pln_nat_verdict *verdict, const cluster *near) {
    for (size_t i = 0; i < verdict->evidence_count; i++) {
        pln_nat_evidence *evidence = &verdict->evidence[i];
        if (counts(evidence) &&
            !is_near(evidence->observation.seen.port, near->center, near->step)) {
            evidence->role = PLN_NAT_ROLE_OUTVOTED;
        }
    }
}

static void judge_ports(pln_nat_verdict *verdict, const voices *v) {
    cluster near = {0};
    verdict->allocation = allocation_of(v, &near);
    if (verdict->allocation == POLLEN_NAT_ALLOCATION_SEQUENTIAL) {
        verdict->step = near.step;
        outvote_far(verdict, &near);
    }
    verdict->external = voices_of(verdict).items[0]->seen;
}

/* ---- The verdict ----------------------------------------------------------------------------- */

/* Seen at an address of ours that is unique in the world, the interface is the second witness. */
static bool is_witnessed_by_us(const pln_nat_observations *list, const voices *v) {
    const pln_nat_observation *only = v->items[0];
    return v->count == 1 && only->seen.port == only->local_port &&
           pln_nat_scope_of(&only->seen) == PLN_NAT_SCOPE_WORLD &&
           pln_nat_is_local(list, &only->seen);
}

void pln_nat_judge(const pln_nat_observations *list, pln_ts now, pln_nat_verdict *ret) {
    PLN_ASSERT(list->count <= PLN_NAT_OBSERVATIONS_MAX);
    *ret = (pln_nat_verdict){.mapping = POLLEN_NAT_MAPPING_UNKNOWN};
    judge_singly(list, now, ret);
    keep_widest(ret);
    count_places_once(ret);
    keep_one_socket(ret);
    voices v = voices_of(ret);
    ret->doubt = doubt_of(ret, &v);
    if (v.count == 0) {
        return;
    }
    const pln_nat_observation *common = commonest(&v);
    ret->external = common->seen;
    ret->mapping = is_witnessed_by_us(list, &v) ? POLLEN_NAT_MAPPING_EASY : mapping_of(&v, common);
    if (ret->mapping == POLLEN_NAT_MAPPING_UNKNOWN) {
        return;
    }
    ret->doubt = PLN_NAT_DOUBT_NONE;
    if (ret->mapping == POLLEN_NAT_MAPPING_HARD) {
        judge_ports(ret, &v);
        return;
    }
    outvote(ret, common);
    if (common->seen.port == common->local_port) {
        ret->allocation = POLLEN_NAT_ALLOCATION_PRESERVING;
        if (pln_nat_is_local(list, &common->seen)) {
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
    case PLN_NAT_ROLE_OUTVOTED:
        return "outvoted";
    }
    return "unknown";
}

const char *pln_nat_doubt_name(pln_nat_doubt doubt) {
    switch (doubt) {
    case PLN_NAT_DOUBT_NONE:
        break;
    case PLN_NAT_DOUBT_NOBODY:
        return "nobody";
    case PLN_NAT_DOUBT_ALL_INSIDE:
        return "all_inside";
    case PLN_NAT_DOUBT_ONE:
        return "one";
    case PLN_NAT_DOUBT_ONE_ADDRESS:
        return "one_address";
    case PLN_NAT_DOUBT_ONE_SOCKET:
        return "one_socket";
    case PLN_NAT_DOUBT_ODD_ONE:
        return "odd_one";
    case PLN_NAT_DOUBT_SPLIT:
        return "split";
    }
    return NULL;
}
