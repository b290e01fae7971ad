/* SPDX-License-Identifier: Apache-2.0 */
#include "sock/ladder.h"

#include "base/assert.h"
#include "base/limits.h"

/*
 * Design notes.
 *
 * Both sides plan for themselves from what they know of the two NATs; the plans meet because what
 * one side does fits whatever the other may do at that time.  A side whose NAT is unknown may have
 * either kind, so it does what both kinds would.
 *
 * Times follow from the round trip between the two, where that is known.  Nothing costly starts
 * before the main sockets had theirs: the peer's opener goes at 0, our request after the lead, and
 * its answer a round trip later.  Where little is known, two easy NATs are the likeliest pair, and
 * a second round trip makes up for a packet that was lost.  A sequential NAT is worth more
 * patience, because eight probes may do what a thousand do otherwise.
 *
 * The spray begins when its first packets find all the sockets of the hard side there, which may
 * fire up to 20 ms later: they are asked for in 32 ms, and a packet takes half a round trip.
 *
 * Most of the hard side's own probes do not reach the easy side's NAT while that sprays (way.c says
 * why); they follow when 1,280 ports are through.
 *
 * Two easy sides that do not meet may not be what was said of them; or something has taken the port
 * of one for the address of the other, such as an early packet where a NAT accepts any, and then
 * only other ports help.  Another method is worth more than more of the same.
 *
 * A peer of one shot, the reference, is met at once where that is what it takes: what it sends at
 * the start must find our holes open.
 */
#define RTT_UNKNOWN PLN_MS(130) /* Within a continent, mostly. */
#define RTT_MIN PLN_MS(20)
#define RTT_MAX PLN_MS(530)

/* After the time that it takes: what the sides fire apart, and what a round trip varies. */
#define MARGIN_QUICK PLN_MS(30)    /* One side hard, the other easy: the spray's time is known. */
#define MARGIN_UNKNOWN PLN_MS(100) /* Main sockets alone will most likely do. */
#define MARGIN_AGAIN PLN_MS(200)   /* Two of the first requests may be lost. */
#define MARGIN_PREDICTION PLN_MS(320)
#define MARGIN_SEQUENTIAL PLN_MS(1000) /* May be two, whose counters many flows would move on. */
#define MARGIN_ALL PLN_MS(400)         /* Two easy sides that should have met long ago. */

#define AFTER_ONE_SHOT PLN_MS(150) /* The peer's holes are there, and stay. */
#define AFTER_HOPELESS PLN_MS(800)
#define SKEW PLN_MS(20)
#define SOCKETS_TIME (PLN_BIRTHDAY_SOCKETS * PLN_NS_PER_S / PLN_BIRTHDAY_SOCKETS_PER_S)

pln_dur pln_ladder_rtt(const pln_punch_plan *plan) {
    pln_dur rtt = plan->rtt == 0 ? RTT_UNKNOWN : plan->rtt;
    return rtt < RTT_MIN ? RTT_MIN : rtt > RTT_MAX ? RTT_MAX : rtt;
}

static void add(pln_ladder *ladder, pln_rung rung, pln_dur after) {
    PLN_ASSERT(ladder->count < PLN_LADDER_STEPS_MAX);
    PLN_ASSERT(ladder->count == 0 || ladder->steps[ladder->count - 1].after <= after);
    ladder->steps[ladder->count] = (pln_ladder_step){.rung = rung, .after = after};
    ladder->count++;
}

static bool is_hard(const pln_nat_brief *nat) {
    return nat->mapping == POLLEN_NAT_MAPPING_HARD;
}

static bool is_predictable(const pln_nat_brief *nat) {
    return nat->allocation == POLLEN_NAT_ALLOCATION_SEQUENTIAL && nat->port_count > 0;
}

/* Both choose another port for each destination: only known steps help.  Where one of them draws at
 * random, the other would have to hit one of 64,512 for each of its own. */
static void plan_hard_pair(const pln_punch_plan *plan, pln_ladder *ladder) {
    bool random = plan->ours.allocation == POLLEN_NAT_ALLOCATION_RANDOM ||
                  plan->theirs.allocation == POLLEN_NAT_ALLOCATION_RANDOM;
    if (random || plan->theirs.port_count == 0) {
        add(ladder, PLN_RUNG_GIVE_UP, AFTER_HOPELESS);
        ladder->probes_max = PLN_HOPELESS_PROBES_MAX;
    } else {
        add(ladder, PLN_RUNG_SCATTER, 0);
        add(ladder, PLN_RUNG_SCATTER_AGAIN,
            PLN_OPENER_LEAD + 2 * pln_ladder_rtt(plan) + MARGIN_AGAIN);
    }
    /* Every destination moves a sequential NAT on by one port. */
    ladder->tried_max = 4;
}

static pln_dur birthday_after(const pln_punch_plan *plan) {
    pln_dur rtt = pln_ladder_rtt(plan);
    if (plan->one_shot) {
        return AFTER_ONE_SHOT;
    }
    if (plan->ours.allocation == POLLEN_NAT_ALLOCATION_SEQUENTIAL ||
        is_predictable(&plan->theirs)) {
        bool known = plan->ours.mapping != POLLEN_NAT_MAPPING_UNKNOWN &&
                     plan->theirs.mapping != POLLEN_NAT_MAPPING_UNKNOWN;
        return PLN_OPENER_LEAD + 2 * rtt + (known ? MARGIN_PREDICTION : MARGIN_SEQUENTIAL);
    }
    if (pln_nat_is_open(&plan->ours) && pln_nat_is_open(&plan->theirs)) {
        return PLN_OPENER_LEAD + 3 * rtt + MARGIN_ALL;
    }
    if (is_hard(&plan->ours) || is_hard(&plan->theirs)) {
        return PLN_OPENER_LEAD + rtt + MARGIN_QUICK;
    }
    return PLN_OPENER_LEAD + 2 * rtt + MARGIN_UNKNOWN;
}

static pln_dur spray_later(const pln_punch_plan *plan) {
    pln_dur half = plan->rtt == 0 ? 0 : pln_ladder_rtt(plan) / 2;
    return SOCKETS_TIME + SKEW > half ? SOCKETS_TIME + SKEW - half : 0;
}

static bool has_no_nat(const pln_nat_brief *nat) {
    return nat->mapping == POLLEN_NAT_MAPPING_NONE;
}

static void plan_birthday(const pln_punch_plan *plan, pln_ladder *ladder) {
    pln_dur after = birthday_after(plan);
    bool open = pln_nat_is_open(&plan->ours) && pln_nat_is_open(&plan->theirs);
    bool sockets = open || (!pln_nat_is_open(&plan->ours) && !is_hard(&plan->theirs));
    bool spray = open || (!is_hard(&plan->ours) && !pln_nat_is_open(&plan->theirs));
    if (spray && plan->one_shot) {
        add(ladder, PLN_RUNG_SPRAY, 0);
    }
    if (sockets) {
        add(ladder, PLN_RUNG_SOCKETS, after);
    }
    if (spray && !plan->one_shot) {
        add(ladder, PLN_RUNG_SPRAY, after + spray_later(plan));
    }
    bool both = sockets && spray;
    ladder->spray = both ? PLN_BIRTHDAY_BOTH_PORTS : PLN_BIRTHDAY_PORTS;
    ladder->renewals = both ? PLN_BIRTHDAY_BOTH_RENEWALS : PLN_BIRTHDAY_RENEWALS;
    if (plan->one_shot) {
        ladder->spray = PLN_BIRTHDAY_ONE_SHOT_PORTS;
        ladder->renewals = PLN_BIRTHDAY_ONE_SHOT_RENEWALS;
    }
}

/* Whatever is more than an opener of the main socket comes later. */
static void be_patient(pln_ladder *ladder) {
    PLN_ASSERT(ladder->steps[0].rung == PLN_RUNG_MAIN);
    for (size_t i = 1; i < ladder->count; i++) {
        ladder->steps[i].after += PLN_PUNCH_PATIENCE;
    }
}

void pln_ladder_plan(const pln_punch_plan *plan, pln_ladder *ret) {
    *ret = (pln_ladder){.tried_max = PLN_PUNCH_TRIED_MAX, .probes_max = SIZE_MAX};
    add(ret, PLN_RUNG_MAIN, 0);
    if (is_hard(&plan->ours) && is_hard(&plan->theirs)) {
        plan_hard_pair(plan, ret);
        return;
    }
    if (is_hard(&plan->theirs) && is_predictable(&plan->theirs)) {
        add(ret, PLN_RUNG_PREDICT, 0);
    }
    if (has_no_nat(&plan->ours) && has_no_nat(&plan->theirs)) {
        return; /* A filter on the way, which other ports will not get through. */
    }
    plan_birthday(plan, ret);
    if (plan->patient) {
        be_patient(ret);
    }
}
