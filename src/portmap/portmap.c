/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Design notes.
 *
 * A round asks by PCP, and if that gives no mapping by NAT-PMP: first for the address, then for the
 * port.  It ends with a mapping, which is renewed by what granted it, or with a time for the next
 * round.  A renewal is the same request again, so that one router that has forgotten us and one
 * that has not are dealt with alike; only when it says of its clock that it restarted is there
 * something to hurry for.
 *
 * A mapping that runs out is lost, and a round begins.
 */
#include "portmap/portmap.h"

#include <string.h>

#include "base/addr.h"
#include "base/assert.h"
#include "base/limits.h"

enum { SLACK_S = 2 };           /* Between two clocks (RFC 6887, 8.5). */
#define ANNOUNCE_DELAY PLN_S(5) /* RFC 6887, 14.1.3: so that not all clients come at once. */

/* ---- What is known --------------------------------------------------------------------------- */

static bool is_mapped(const pln_portmap *pm) {
    return pm->report.external.port != 0;
}

static bool has_gateway(const pln_portmap *pm) {
    return pm->network.gateway.port != 0;
}

static void set_report(pln_portmap *pm, pollen_port_mapping_state state,
                       const pollen_addr *external) {
    const pollen_addr nothing = {.port = 0};
    const pollen_addr *addr = external != NULL ? external : &nothing;
    if (pm->report.state == state && pollen_addr_equal(&pm->report.external, addr)) {
        return;
    }
    pm->report.state = state;
    pm->report.external = *addr;
    pm->changed = true;
}

static void set_protocol(pln_portmap *pm, bool is_pcp, pollen_port_mapping_protocol value) {
    pollen_port_mapping_protocol *protocol = is_pcp ? &pm->report.pcp : &pm->report.nat_pmp;
    /* What a mapping that stands was made with has been spoken. */
    if (value == POLLEN_PORT_MAPPING_UNSPOKEN && is_mapped(pm) && pm->by_pcp == is_pcp) {
        return;
    }
    pm->changed = pm->changed || *protocol != value;
    *protocol = value;
}

static void set_spoken(pln_portmap *pm, bool is_pcp) {
    set_protocol(pm, is_pcp, POLLEN_PORT_MAPPING_SPOKEN);
}

static void set_unspoken(pln_portmap *pm, bool is_pcp) {
    set_protocol(pm, is_pcp, POLLEN_PORT_MAPPING_UNSPOKEN);
}

/* A router of the wide world has none of these addresses. */
static bool is_public(const pollen_addr *addr) {
    return pln_addr_is_sendable(addr) && pln_addr_is_global(addr);
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static pln_dur first_wait(const pln_portmap *pm) {
    return pm->step == PLN_PORTMAP_PCP ? PLN_PORTMAP_PCP_WAIT : PLN_PORTMAP_PMP_WAIT;
}

static unsigned sendings_max(const pln_portmap *pm) {
    switch (pm->step) {
    case PLN_PORTMAP_PCP:
        return PLN_PORTMAP_PCP_SENDINGS;
    case PLN_PORTMAP_RELEASE:
        return PLN_PORTMAP_RELEASE_SENDINGS;
    case PLN_PORTMAP_IDLE:
    case PLN_PORTMAP_PMP_ADDRESS:
    case PLN_PORTMAP_PMP:
        break;
    }
    return PLN_PORTMAP_PMP_SENDINGS;
}

static void begin(pln_portmap *pm, pln_portmap_step step) {
    pm->step = step;
    pm->due = step != PLN_PORTMAP_IDLE;
    pm->sendings = 0;
    pm->answer_by = PLN_TS_NEVER;
}

static void rest_until(pln_portmap *pm, pln_ts at) {
    begin(pm, PLN_PORTMAP_IDLE);
    pm->next_at = at;
}

/* Up to so much more than dur, so that clients do not keep in step. */
static pln_dur jittered(const pln_portmap *pm, pln_dur dur, pln_dur more) {
    return dur + pln_rng_below(&pm->rng, more + 1);
}

static void begin_round(pln_portmap *pm) {
    pm->refused_s = 0;
    if (is_mapped(pm)) {
        pm->renewals++;
        begin(pm, pm->by_pcp ? PLN_PORTMAP_PCP : PLN_PORTMAP_PMP_ADDRESS);
    } else {
        begin(pm, PLN_PORTMAP_PCP);
    }
}

static pln_ts latest(pln_ts a, pln_ts b) {
    return a > b ? a : b;
}

/* After half the lifetime, then after half of what is left, and so on, each up to a quarter of
 * that later (RFC 6887, 11.2.1, and the same for NAT-PMP); not too often. */
static pln_ts renewal_at(const pln_portmap *pm, pln_ts now) {
    pln_dur left = PLN_S(pm->granted_s) / 2;
    for (unsigned i = 0; i < pm->renewals && left > PLN_NS_PER_S; i++) {
        left /= 2;
    }
    const pln_ts at =
        pln_ts_add(pm->granted_at, jittered(pm, PLN_S(pm->granted_s) - left, left / 4));
    return latest(latest(at, now), pln_ts_add(pm->sent_at, PLN_PORTMAP_INTERVAL));
}

static pln_ts expires_at(const pln_portmap *pm) {
    return is_mapped(pm) ? pln_ts_add(pm->granted_at, PLN_S(pm->granted_s)) : PLN_TS_NEVER;
}

static uint32_t clamp(uint32_t value, uint32_t least, uint32_t most) {
    return value < least ? least : value > most ? most : value;
}

/* The round has come to nothing.  A mapping that stands is not given up for it before its time. */
static void end_in_vain(pln_portmap *pm, pln_ts now) {
    if (is_mapped(pm)) {
        rest_until(pm, renewal_at(pm, now));
        return;
    }
    const bool spoken = pm->report.pcp == POLLEN_PORT_MAPPING_SPOKEN ||
                        pm->report.nat_pmp == POLLEN_PORT_MAPPING_SPOKEN;
    pln_dur wait = PLN_PORTMAP_RETRY;
    if (pm->refused_s != 0) {
        wait = PLN_S(clamp(pm->refused_s, PLN_PORTMAP_REFUSED_MIN_S, PLN_PORTMAP_REFUSED_MAX_S));
    }
    set_report(pm, spoken ? POLLEN_PORT_MAPPING_REFUSED : POLLEN_PORT_MAPPING_SILENT, NULL);
    rest_until(pm, pln_ts_add(now, jittered(pm, wait, wait / 8)));
}

static void end_with_mapping(pln_portmap *pm, const pollen_addr *external, uint32_t lifetime_s,
                             pln_ts now) {
    pm->granted_s = clamp(lifetime_s, PLN_PORTMAP_GRANTED_MIN_S, PLN_PORTMAP_GRANTED_MAX_S);
    pm->granted_at = now;
    pm->renewals = 0;
    set_report(pm, is_public(external) ? POLLEN_PORT_MAPPING_MAPPED : POLLEN_PORT_MAPPING_NESTED,
               external);
    rest_until(pm, renewal_at(pm, now));
}

/* Nobody answers this step. */
static void give_up_step(pln_portmap *pm, pln_ts now) {
    switch (pm->step) {
    case PLN_PORTMAP_IDLE:
        PLN_ASSERT(false);
        break;
    case PLN_PORTMAP_PCP:
        if (is_mapped(pm)) {
            end_in_vain(pm, now);
            break;
        }
        set_unspoken(pm, true);
        begin(pm, PLN_PORTMAP_PMP_ADDRESS);
        break;
    case PLN_PORTMAP_PMP_ADDRESS:
        set_unspoken(pm, false);
        end_in_vain(pm, now);
        break;
    case PLN_PORTMAP_PMP:
        end_in_vain(pm, now);
        break;
    case PLN_PORTMAP_RELEASE:
        rest_until(pm, PLN_TS_NEVER);
        break;
    }
}

/* ---- Life ------------------------------------------------------------------------------------ */

void pln_portmap_init(pln_portmap *pm, const pln_rng *rng) {
    *pm = (pln_portmap){.rng = *rng, .answer_by = PLN_TS_NEVER, .next_at = PLN_TS_NEVER};
}

static bool is_same(const pln_portmap_network *a, const pln_portmap_network *b) {
    return pln_addr_same_ip(&a->gateway, &b->gateway) && pln_addr_same_ip(&a->client, &b->client) &&
           a->port == b->port;
}

static void forget_network(pln_portmap *pm) {
    pm->network = (pln_portmap_network){.port = 0};
    pm->epoch.known = false;
    pm->report.pcp = pm->report.nat_pmp = POLLEN_PORT_MAPPING_UNTRIED;
    pm->report.gateway = (pollen_addr){.port = 0};
    pm->changed = true;
}

void pln_portmap_set_network(pln_portmap *pm, const pln_portmap_network *network, pln_ts now) {
    if (network == NULL) {
        forget_network(pm);
        set_report(pm, POLLEN_PORT_MAPPING_NO_ROUTER, NULL);
        rest_until(pm, PLN_TS_NEVER);
        return;
    }
    if (!has_gateway(pm) || !is_same(network, &pm->network)) {
        forget_network(pm);
        pm->network = *network;
        pm->network.gateway.port = PLN_PORTMAP_SERVER_PORT;
        pm->report.gateway = pm->network.gateway;
        pln_rng_fill(&pm->rng, pm->nonce, sizeof pm->nonce);
    } else if (pm->report.state != POLLEN_PORT_MAPPING_OFF) {
        return;
    }
    set_report(pm, POLLEN_PORT_MAPPING_ASKING, NULL);
    rest_until(pm, now);
    begin_round(pm);
}

/* One that was asked for may have been granted, whatever became of the answer. */
static bool may_be_mapped(const pln_portmap *pm) {
    return is_mapped(pm) ||
           (pm->sendings > 0 && (pm->step == PLN_PORTMAP_PCP || pm->step == PLN_PORTMAP_PMP));
}

void pln_portmap_release(pln_portmap *pm, pln_ts now) {
    (void)now;
    if (pln_portmap_is_off(pm) || pm->step == PLN_PORTMAP_RELEASE) {
        return;
    }
    if (!is_mapped(pm)) {
        pm->by_pcp = pm->step == PLN_PORTMAP_PCP;
    }
    pm->next_at = PLN_TS_NEVER;
    begin(pm, may_be_mapped(pm) ? PLN_PORTMAP_RELEASE : PLN_PORTMAP_IDLE);
    set_report(pm, POLLEN_PORT_MAPPING_OFF, NULL);
}

bool pln_portmap_is_off(const pln_portmap *pm) {
    return pm->report.state == POLLEN_PORT_MAPPING_OFF && pm->step == PLN_PORTMAP_IDLE;
}

/* ---- Answers --------------------------------------------------------------------------------- */

/* False when the router has lost what it knew: its clock does not go as ours does. */
static bool check_epoch(pln_portmap *pm, uint32_t seconds, pln_ts now) {
    const pln_portmap_epoch before = pm->epoch;
    pm->epoch = (pln_portmap_epoch){.known = true, .seconds = seconds, .at = now};
    if (!before.known) {
        return true;
    }
    if ((uint64_t)seconds + 1 < before.seconds) {
        return false;
    }
    const uint64_t ours = pln_ts_since(before.at, now) / PLN_NS_PER_S;
    const uint64_t theirs = seconds > before.seconds ? seconds - before.seconds : 0;
    return ours + SLACK_S >= theirs - theirs / 16 && theirs + SLACK_S >= ours - ours / 16;
}

/* Whoever restarted has forgotten us; not sooner than is decent, and not all clients at once. */
static void hurry(pln_portmap *pm, pln_ts now) {
    const pln_ts soon = pln_ts_add(now, jittered(pm, 0, ANNOUNCE_DELAY));
    const pln_ts least = pln_ts_add(pm->sent_at, PLN_PORTMAP_INTERVAL);
    if (pm->step == PLN_PORTMAP_IDLE) {
        pm->next_at = pln_ts_min(pm->next_at, latest(soon, least));
    }
}

/* Another try would end the same for now. */
static bool passes_by_itself(uint16_t result) {
    return result == PLN_PCP_NETWORK_FAILURE || result == PLN_PCP_NO_RESOURCES ||
           result == PLN_PCP_USER_EX_QUOTA || result == PLN_PCP_CANNOT_PROVIDE_EXTERNAL;
}

/* NAT-PMP is tried after a refusal too: a router with both may hold a mapping against us that a
 * killed node left with another nonce, which NAT-PMP does not know of. */
static void handle_pcp_refused(pln_portmap *pm, const pln_portmap_answer *answer, pln_ts now) {
    pm->refused_s = clamp(answer->lifetime_s, PLN_PORTMAP_REFUSED_MIN_S, PLN_PORTMAP_REFUSED_MAX_S);
    if (is_mapped(pm) || passes_by_itself(answer->result)) {
        end_in_vain(pm, now);
    } else {
        begin(pm, PLN_PORTMAP_PMP_ADDRESS);
    }
}

/* Unasked ones as well: the router may tell that it moved the mapping (RFC 6887, 14.2). */
static void handle_pcp_map(pln_portmap *pm, const pln_portmap_answer *answer, pln_ts now) {
    const bool asked = pm->step == PLN_PORTMAP_PCP && pm->sendings > 0;
    const bool told = pm->step == PLN_PORTMAP_IDLE && is_mapped(pm) && pm->by_pcp &&
                      pln_ts_reached(pln_ts_add(pm->granted_at, PLN_PORTMAP_INTERVAL), now);
    if ((!asked && !told) || memcmp(answer->nonce, pm->nonce, sizeof pm->nonce) != 0 ||
        answer->internal_port != pm->network.port) {
        return;
    }
    set_spoken(pm, true);
    if (answer->result != PLN_PORTMAP_SUCCESS || answer->external.port == 0 ||
        answer->lifetime_s < PLN_PORTMAP_GRANTED_MIN_S) {
        if (asked) {
            handle_pcp_refused(pm, answer, now);
        } else {
            hurry(pm, now);
        }
        return;
    }
    pm->by_pcp = true;
    end_with_mapping(pm, &answer->external, answer->lifetime_s, now);
}

static void handle_pmp_address(pln_portmap *pm, const pln_portmap_answer *answer, pln_ts now) {
    if (pm->step != PLN_PORTMAP_PMP_ADDRESS || pm->sendings == 0) {
        if (answer->result == PLN_PORTMAP_SUCCESS && is_mapped(pm) &&
            !pln_addr_same_ip(&answer->external, &pm->report.external)) {
            hurry(pm, now); /* It tells all that its address is another one (RFC 6886, 3.2.1). */
        }
        return;
    }
    set_spoken(pm, false);
    if (answer->result != PLN_PORTMAP_SUCCESS) {
        end_in_vain(pm, now);
        return;
    }
    pm->pmp_address = answer->external;
    begin(pm, PLN_PORTMAP_PMP);
}

static void handle_pmp_map(pln_portmap *pm, const pln_portmap_answer *answer, bool restarted,
                           pln_ts now) {
    if (pm->step != PLN_PORTMAP_PMP || pm->sendings == 0 ||
        (answer->result == PLN_PORTMAP_SUCCESS && answer->internal_port != pm->network.port)) {
        return;
    }
    if (answer->result != PLN_PORTMAP_SUCCESS || answer->external.port == 0 ||
        answer->lifetime_s < PLN_PORTMAP_GRANTED_MIN_S) {
        end_in_vain(pm, now);
        return;
    }
    pollen_addr external = pm->pmp_address;
    external.port = answer->external.port;
    pm->by_pcp = false;
    end_with_mapping(pm, &external, answer->lifetime_s, now);
    if (restarted) {
        hurry(pm, now); /* Between the two answers: the address may be another one now. */
    }
}

/* What was asked is not understood. */
static void handle_other_version(pln_portmap *pm, pln_ts now) {
    if (pm->sendings == 0) {
        return;
    }
    if (pm->step == PLN_PORTMAP_PCP) {
        set_unspoken(pm, true);
        begin(pm, PLN_PORTMAP_PMP_ADDRESS);
    } else if (pm->step == PLN_PORTMAP_PMP_ADDRESS || pm->step == PLN_PORTMAP_PMP) {
        set_unspoken(pm, false);
        end_in_vain(pm, now);
    }
}

/* Whatever it says: it has heard us. */
static void handle_released(pln_portmap *pm, const pln_portmap_answer *answer) {
    const bool pcp = answer->kind == PLN_PORTMAP_ANSWER_PCP_MAP && pm->by_pcp &&
                     memcmp(answer->nonce, pm->nonce, sizeof pm->nonce) == 0;
    const bool pmp = answer->kind == PLN_PORTMAP_ANSWER_PMP_MAP && !pm->by_pcp;
    if (pm->sendings > 0 && answer->lifetime_s == 0 && (pcp || pmp)) {
        rest_until(pm, PLN_TS_NEVER);
    }
}

static void handle_answer(pln_portmap *pm, const pln_portmap_answer *answer, pln_ts now) {
    if (answer->kind == PLN_PORTMAP_ANSWER_OTHER_VERSION) {
        handle_other_version(pm, now);
        return;
    }
    const bool restarted = !check_epoch(pm, answer->epoch_s, now);
    if (restarted || pm->report.state == POLLEN_PORT_MAPPING_SILENT) {
        hurry(pm, now);
    }
    switch (answer->kind) {
    case PLN_PORTMAP_ANSWER_PCP_MAP:
        handle_pcp_map(pm, answer, now);
        break;
    case PLN_PORTMAP_ANSWER_PMP_ADDRESS:
        handle_pmp_address(pm, answer, now);
        break;
    case PLN_PORTMAP_ANSWER_PMP_MAP:
        handle_pmp_map(pm, answer, restarted, now);
        break;
    case PLN_PORTMAP_ANSWER_PCP_ANNOUNCE:
    case PLN_PORTMAP_ANSWER_OTHER_VERSION:
        break;
    }
}

void pln_portmap_handle_datagram(pln_portmap *pm, const pln_datagram *datagram, pln_ts now) {
    pln_portmap_answer answer;
    if (!has_gateway(pm) || !pollen_addr_equal(&datagram->path.remote, &pm->network.gateway) ||
        !pln_portmap_decode(datagram->data, datagram->size, &answer)) {
        return;
    }
    if (pm->step == PLN_PORTMAP_RELEASE) {
        handle_released(pm, &answer);
    } else if (!pln_portmap_is_off(pm)) {
        handle_answer(pm, &answer, now);
    }
}

/* ---- Time and output ------------------------------------------------------------------------- */

void pln_portmap_handle_timeout(pln_portmap *pm, pln_ts now) {
    if (pln_ts_reached(expires_at(pm), now)) {
        set_report(pm, POLLEN_PORT_MAPPING_ASKING, NULL);
        rest_until(pm, now);
    }
    if (pm->step == PLN_PORTMAP_IDLE) {
        if (pln_ts_reached(pm->next_at, now)) {
            pm->next_at = PLN_TS_NEVER;
            begin_round(pm);
        }
    } else if (!pm->due && pln_ts_reached(pm->answer_by, now)) {
        if (pm->sendings < sendings_max(pm)) {
            pm->due = true;
        } else {
            give_up_step(pm, now);
        }
    }
}

static pln_portmap_request make_request(const pln_portmap *pm) {
    const bool release = pm->step == PLN_PORTMAP_RELEASE;
    const bool by_pcp = release ? pm->by_pcp : pm->step == PLN_PORTMAP_PCP;
    pln_portmap_request request = {
        .ask = by_pcp ? PLN_PORTMAP_ASK_PCP_MAP : PLN_PORTMAP_ASK_PMP_MAP,
        .client = pm->network.client,
        .internal_port = pm->network.port,
        .lifetime_s = release ? 0 : PLN_PORTMAP_LIFETIME_S,
    };
    if (pm->step == PLN_PORTMAP_PMP_ADDRESS) {
        request.ask = PLN_PORTMAP_ASK_PMP_ADDRESS;
    }
    if (!release) {
        request.external = pm->report.external;
        request.external.port =
            request.external.port != 0 ? request.external.port : pm->network.port;
    }
    memcpy(request.nonce, pm->nonce, sizeof pm->nonce);
    return request;
}

bool pln_portmap_poll_transmit(pln_portmap *pm, uint8_t *buf, pln_transmit *ret, pln_ts now) {
    if (!pm->due) {
        return false;
    }
    PLN_ASSERT(has_gateway(pm));
    PLN_ASSERT(pm->step != PLN_PORTMAP_IDLE);
    const pln_portmap_request request = make_request(pm);
    const pln_dur wait = first_wait(pm) << pm->sendings;
    pm->due = false;
    pm->sendings++;
    pm->sent_at = now;
    pm->answer_by = pln_ts_add(now, jittered(pm, wait - wait / 10, wait / 5));
    const size_t size = pln_portmap_encode(&request, buf);
    *ret = (pln_transmit){.path = {.remote = pm->network.gateway}, .size = size, .segment = size};
    return true;
}

bool pln_portmap_poll_change(pln_portmap *pm) {
    const bool changed = pm->changed;
    pm->changed = false;
    return changed;
}

const pollen_port_mapping *pln_portmap_report(const pln_portmap *pm) {
    return &pm->report;
}

pln_ts pln_portmap_next_expiry(const pln_portmap *pm) {
    const pln_ts step = pm->step == PLN_PORTMAP_IDLE ? pm->next_at
                        : pm->due                    ? PLN_TS_NEVER
                                                     : pm->answer_by;
    return pln_ts_min(step, expires_at(pm));
}
