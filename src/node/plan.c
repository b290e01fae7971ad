/* SPDX-License-Identifier: Apache-2.0 */
#include "node/plan.h"

#include "base/assert.h"

/* As long as the reference gives a punch, and the other side's handshake. */
#define PUNCH_TIME PLN_S(5)

/* ---- Where the peer may be ------------------------------------------------------------------- */

bool pln_plan_may_aim_at(const pollen_addr *addr) {
    return pln_addr_is_sendable(addr) && !pln_addr_is_loopback(addr) &&
           !pln_addr_is_link_local(addr);
}

static void add_target(pln_punch_plan *to, const pln_outside *outside, const pollen_addr *addr,
                       pln_target_kind kind) {
    for (size_t i = 0; i < to->target_count; i++) {
        if (pollen_addr_equal(&to->targets[i].addr, addr)) {
            return;
        }
    }
    PLN_ASSERT(to->target_count <= PLN_PUNCH_TARGETS_MAX);
    /* Our own address in another network of the same numbers, or ourselves. */
    if (to->target_count < PLN_PUNCH_TARGETS_MAX && pln_plan_may_aim_at(addr) &&
        !pln_outside_is_local(outside, addr)) {
        to->targets[to->target_count++] = (pln_punch_target){.addr = *addr, .kind = kind};
    }
}

/* What the coordinator sees, what the peer's router forwards to it, what the peer tells of its
 * interfaces, and what others have heard of it. */
static void fill_targets(const pln_planner *planner, const pln_punch_trigger *msg,
                         pln_punch_plan *to) {
    const pln_outside *outside = planner->outside;
    const pln_whereabouts *told = &msg->whereabouts;
    add_target(to, outside, &msg->peer_addr, PLN_TARGET_OBSERVED);
    if (told->mapped.port != 0) {
        add_target(to, outside, &told->mapped, PLN_TARGET_MAPPED);
    }
    for (size_t i = 0; i < told->addr_count; i++) {
        add_target(to, outside, &told->addrs[i], PLN_TARGET_LAN);
    }
    pollen_addr addrs[POLLEN_PEER_ADDRS_MAX];
    size_t count = 0;
    if (planner->state != NULL) {
        count = pln_state_addrs(planner->state, &msg->peer, addrs, POLLEN_PEER_ADDRS_MAX);
    }
    for (size_t i = 0; i < count && i < POLLEN_PEER_ADDRS_MAX; i++) {
        add_target(to, outside, &addrs[i],
                   pln_addr_is_private(&addrs[i]) ? PLN_TARGET_LAN : PLN_TARGET_MAPPED);
    }
}

/* ---- Both NATs ------------------------------------------------------------------------------- */

static const pln_nat_brief no_nat = {.mapping = POLLEN_NAT_MAPPING_NONE};

static bool is_same_family(const pollen_addr *a, const pollen_addr *b) {
    return pollen_addr_is_ipv4(a) == pollen_addr_is_ipv4(b);
}

static bool has_one_of_family(const pln_outside *outside, const pollen_addr *like) {
    const pln_nat_observations *list = &outside->observations;
    for (size_t i = 0; i < list->local_count; i++) {
        if (pln_addr_is_global(&list->locals[i]) && is_same_family(&list->locals[i], like)) {
            return true;
        }
    }
    return false;
}

/* Who has met nobody but this coordinator has no verdict yet, but may be seen at an address of its
 * interface; or by IPv6, while it is the address that the interface has for IPv4 that matters. */
static bool are_we_at_home(const pln_outside *outside, const pln_punch_trigger *msg) {
    const pollen_addr *seen = &msg->self_addr;
    if (!is_same_family(seen, &msg->peer_addr)) {
        return has_one_of_family(outside, &msg->peer_addr);
    }
    return pln_addr_is_global(seen) && seen->port == outside->port &&
           pln_outside_is_local(outside, seen);
}

static pln_nat_brief ours_of(const pln_planner *planner, const pln_punch_trigger *msg) {
    const pln_outside *outside = planner->outside;
    return outside->verdict.mapping == POLLEN_NAT_MAPPING_UNKNOWN && are_we_at_home(outside, msg)
               ? no_nat
               : pln_nat_brief_of(&outside->verdict);
}

/* Two with private addresses may be in one network, behind a NAT. */
static bool is_at_home(const pln_punch_trigger *msg) {
    for (size_t i = 0; i < msg->whereabouts.addr_count; i++) {
        if (pln_addr_is_global(&msg->peer_addr) &&
            pollen_addr_equal(&msg->whereabouts.addrs[i], &msg->peer_addr)) {
            return true;
        }
    }
    return false;
}

static bool is_public(const pln_planner *planner, const pollen_key *peer) {
    pln_member_info info;
    return planner->state != NULL && pln_state_member(planner->state, peer, &info) == POLLEN_OK &&
           info.is_public;
}

/* A coordinator that the peer met a moment ago knows less of it than another one, or than what the
 * peer tells everybody, or than several of them see. */
static pln_nat_brief theirs_of(const pln_planner *planner, const pln_errand *errand,
                               const pln_punch_trigger *msg, pln_ts now) {
    const pln_nat_brief told = pln_outside_brief_of_peer(&msg->whereabouts);
    if (told.mapping != POLLEN_NAT_MAPPING_UNKNOWN) {
        return told;
    }
    if (errand->punching && errand->theirs.mapping != POLLEN_NAT_MAPPING_UNKNOWN) {
        return errand->theirs;
    }
    return is_at_home(msg) || is_public(planner, &msg->peer)
               ? no_nat
               : pln_sightings_judge(&errand->sightings, now);
}

/* ---- The plan -------------------------------------------------------------------------------- */

/* Without a NAT of our own there is nothing to open but a firewall, and the peer gets through to
 * us.  By IPv6 there is no NAT that we could spoil. */
static bool leaves_the_first_step(const pln_punch_plan *to, const pollen_addr *peer) {
    return to->ours.mapping == POLLEN_NAT_MAPPING_NONE &&
           to->theirs.mapping != POLLEN_NAT_MAPPING_NONE && pollen_addr_is_ipv4(peer);
}

void pln_plan_punch(const pln_planner *planner, const pln_errand *errand, const pollen_key *from,
                    const pln_punch_trigger *msg, pln_ts now, pln_punch_plan *ret) {
    PLN_ASSERT(pln_key_equal(&errand->peer, &msg->peer));
    *ret = (pln_punch_plan){.peer = msg->peer,
                            .attempt = errand->attempt,
                            .ours = ours_of(planner, msg),
                            .theirs = theirs_of(planner, errand, msg, now),
                            .unasked = !errand->wanted,
                            .coordinator = *from,
                            .hearsay = planner->state != NULL &&
                                       pln_state_is_hearsay(planner->state, &msg->peer),
                            .one_shot = !errand->speaks_2,
                            .rtt = msg->round_trip,
                            .deadline = pln_ts_add(now, PUNCH_TIME)};
    ret->at = now;
    ret->patient = leaves_the_first_step(ret, &msg->peer_addr);
    fill_targets(planner, msg, ret);
}
