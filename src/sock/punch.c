/* SPDX-License-Identifier: Apache-2.0 */
/* The course of one punch: up its ladder, until there is a session, or time or means end. */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "sock/internal.h"

/* A punch that is held back goes on with its main socket for so long: it may be all it takes. */
#define HELD_AFTER PLN_S(1)
#define HELD_RETRY PLN_MS(50)

/* After a pause or a late wake-up so much is made up for, not all that was missed. */
#define LATE PLN_MS(8)

/* A handshake gets two round trips and what they vary, as often as this: whoever forges the peer's
 * address does not hold the punch up for ever. */
#define HUSH_MARGIN PLN_MS(60)
#define HUSHES_MAX 4

/* Behind the first full requests of the many sockets (way.c), and a round trip. */
#define RENEW_AFTER PLN_MS(1550)
#define RENEW_AFTER_ONE_SHOT PLN_MS(300)

static pln_ts not_long_before(pln_ts at, pln_ts now) {
    pln_ts earliest = now > LATE ? now - LATE : 0;
    return at > earliest ? at : earliest;
}

/* Nothing new is begun while a handshake has its chance. */
static pln_ts after_hush(const sock_punch *punch, pln_ts at) {
    return at > punch->hush_until ? at : punch->hush_until;
}

sock_punch *pln_sock_punch_find(const pln_sock *sock, const pollen_key *peer) {
    for (size_t i = 0; i < sock->punch_count; i++) {
        sock_punch *punch = sock->punches[i];
        if (!punch->ended && pln_key_equal(&punch->plan.peer, peer)) {
            return punch;
        }
    }
    return NULL;
}

void pln_sock_punch_destroy(sock_punch *punch) {
    if (punch != NULL) {
        pln_free(punch->ways);
        pln_free(punch);
    }
}

pln_punch_method pln_sock_punch_method_now(const sock_punch *punch) {
    return punch->stats.method;
}

static void set_method(sock_punch *punch, pln_punch_method method) {
    if (punch->stats.holes == 0) {
        punch->stats.method = method;
    }
}

/* ---- Ends ------------------------------------------------------------------------------------ */

/* Called off before it cost anything: as if it had not begun. */
static bool is_birthday_undone(const sock_punch *punch, pln_punch_end end) {
    return end == PLN_PUNCH_CANCELLED &&
           punch->spray_sent + punch->stats.sockets_opened <= PLN_BIRTHDAY_UNDONE_MAX;
}

static void note_birthday(sock_memory *memory, const sock_punch *punch, pln_punch_end end) {
    if (end == PLN_PUNCH_WON) {
        memory->failures = 0;
    } else if (punch->birthday && is_birthday_undone(punch, end)) {
        memory->birthday_at = punch->birthday_before;
    } else if (punch->birthday && end != PLN_PUNCH_HELD) {
        memory->failures++;
    }
}

void pln_sock_punch_end(pln_sock *sock, sock_punch *punch, pln_punch_end end, pln_ts now) {
    PLN_ASSERT(!punch->ended);
    PLN_ASSERT(punch->memory < sock->memory_count);
    sock_memory *memory = &sock->memories[punch->memory];
    PLN_ASSERT(memory->busy);
    note_birthday(memory, punch, end);
    memory->busy = false;
    memory->used_at = now;
    pln_sock_vias_leave(sock, punch, now);
    punch->holes_told = punch->stats.holes; /* What was not told yet is of no use any more. */
    punch->tries_told = punch->stats.tries;
    punch->ended = true;
    punch->end = end;
    char name[PLN_KEY_SHORT_BYTES];
    pln_logf(sock->config.log, PLN_LOG_DEBUG, "sock", "punch %s: %s by %s, %zu probes, %zu sockets",
             pln_key_short(&punch->plan.peer, name), pln_punch_end_name(end),
             pln_punch_method_name(punch->stats.method), punch->stats.probes_sent,
             punch->stats.sockets_opened);
}

/* The handshakes that were begun in time may still end well. */
static pln_ts end_of(const sock_punch *punch) {
    return punch->settle_until > punch->plan.deadline ? punch->settle_until : punch->plan.deadline;
}

static pln_punch_end end_at_deadline(const sock_punch *punch) {
    bool wanted_sockets = punch->stats.sockets_failed > 0 && punch->stats.sockets_opened == 0;
    return wanted_sockets && punch->spray_sent == 0 ? PLN_PUNCH_NO_SOCKETS : PLN_PUNCH_DEADLINE;
}

/* ---- Rungs ----------------------------------------------------------------------------------- */

/* What others see of a hard NAT is not where it will be for us. */
static bool is_there(const sock_punch *punch, const pln_punch_target *target) {
    return target->kind != PLN_TARGET_OBSERVED ||
           punch->plan.theirs.mapping != POLLEN_NAT_MAPPING_HARD;
}

void pln_sock_punch_aim_at(sock_punch *punch, const pln_punch_target *target, pln_ts now) {
    bool near = target->kind == PLN_TARGET_LAN;
    sock_way way = {.via = PLN_VIA_MAIN,
                    .remote = target->addr,
                    .method = PLN_PUNCH_OPEN,
                    .rhythm = near                  ? SOCK_RHYTHM_NEAR
                              : punch->plan.patient ? SOCK_RHYTHM_PATIENT
                                                    : SOCK_RHYTHM_MAIN,
                    .is_target = is_there(punch, target)};
    (void)pln_sock_way_add(punch, &way, now); /* Without memory there is one way less. */
}

static void try_main(sock_punch *punch, pln_ts now) {
    size_t count = punch->plan.target_count;
    count = count < punch->ladder.tried_max ? count : punch->ladder.tried_max;
    for (size_t i = 0; i < count; i++) {
        pln_sock_punch_aim_at(punch, &punch->plan.targets[i], now);
    }
}

static bool is_ahead(uint16_t port, uint16_t of, uint16_t step) {
    for (unsigned i = 1; i <= PLN_SCATTER_AHEAD; i++) {
        if (pln_nat_port_ahead(of, step, i) == port) {
            return true;
        }
    }
    return false;
}

/* Where the peer's sequential NAT stood last.  Reports overtake each other, and the target may be
 * newer than all of them, so that the farthest counts. */
static uint16_t last_port(const sock_punch *punch) {
    const pln_nat_brief *nat = &punch->plan.theirs;
    PLN_ASSERT(nat->port_count > 0 && nat->port_count <= PLN_NAT_PORTS_MAX);
    uint16_t last = nat->ports[0];
    for (size_t round = 0; round <= nat->port_count; round++) {
        for (size_t i = 0; i <= nat->port_count; i++) {
            uint16_t port = i < nat->port_count ? nat->ports[i] : punch->aim.port;
            last = is_ahead(port, last, nat->step) ? port : last;
        }
    }
    return last;
}

static uint16_t port_ahead(const sock_punch *punch, uint16_t port, unsigned steps) {
    return pln_nat_port_ahead(port, punch->plan.theirs.step, steps);
}

static void try_predicted(sock_punch *punch, pln_ts now) {
    for (unsigned i = 1; i <= PLN_PREDICTED_PORTS; i++) {
        sock_way way = {.via = PLN_VIA_MAIN,
                        .remote = punch->aim,
                        .method = PLN_PUNCH_PREDICT,
                        .rhythm = SOCK_RHYTHM_PREDICTED};
        way.remote.port = port_ahead(punch, last_port(punch), i);
        (void)pln_sock_way_add(punch, &way, now); /* As above. */
    }
}

/* Sockets are given up from then on: every probe that fits an old one had the time to arrive. */
static void plan_renewals(sock_punch *punch, pln_ts now) {
    bool one_shot = punch->plan.one_shot;
    punch->renewals_left = punch->ladder.renewals;
    punch->renew_at = pln_ts_add(now, one_shot ? RENEW_AFTER_ONE_SHOT : RENEW_AFTER);
}

static void want_many(sock_punch *punch, pln_ts now) {
    punch->sockets_left = PLN_BIRTHDAY_SOCKETS;
    punch->sockets_at = now;
    punch->sockets_method = PLN_PUNCH_BIRTHDAY;
    punch->sockets_remote = punch->aim;
    plan_renewals(punch, now);
}

/* All are aimed at one port, where the peer's counter will be when one of its own comes to that. */
static void scatter_to(sock_punch *punch, size_t sockets, uint16_t port, pln_ts now) {
    punch->sockets_left = sockets;
    punch->sockets_at = now;
    punch->sockets_method = PLN_PUNCH_SCATTER;
    punch->sockets_remote = punch->aim;
    punch->sockets_remote.port = port;
}

static void scatter(sock_punch *punch, pln_ts now) {
    punch->scatter_at = now;
    punch->scatter_from = last_port(punch);
    scatter_to(punch, PLN_SCATTER_SOCKETS,
               port_ahead(punch, punch->scatter_from, PLN_SCATTER_AHEAD), now);
}

/* What the peer told meanwhile may count its own first flows, or may not.  Where it says that it is
 * farther than those could have brought it, that counts. */
static void scatter_again(sock_punch *punch, pln_ts now) {
    const unsigned first = PLN_SCATTER_AGAIN_AHEAD - PLN_SCATTER_AHEAD;
    const unsigned told = pln_nat_steps_between(punch->scatter_from, last_port(punch),
                                                punch->plan.theirs.step, 4 * first);
    const bool beyond = told > first && told <= 4 * first;
    scatter_to(punch, PLN_SCATTER_AGAIN_SOCKETS,
               port_ahead(punch, punch->scatter_from, (beyond ? told : first) + PLN_SCATTER_AHEAD),
               now);
}

static void start_spray(sock_punch *punch, pln_ts now) {
    punch->spray_left = punch->ladder.spray;
    punch->spray_at = now;
}

static sock_punch *other_birthday(const pln_sock *sock, const sock_punch *self) {
    for (size_t i = 0; i < sock->punch_count; i++) {
        sock_punch *punch = sock->punches[i];
        if (punch != self && punch->birthday && !punch->ended) {
            return punch;
        }
    }
    return NULL;
}

/* Else a member that triggers all day would have every birthday of ours. */
static bool may_displace(const sock_punch *punch, const sock_punch *other) {
    return !punch->plan.unasked && other->plan.unasked && other->stats.holes == 0;
}

static void hold(pln_sock *sock, sock_punch *punch, pln_ts until, pln_ts now) {
    punch->stats.retry_at = until > now ? until : now;
    pln_sock_punch_end(sock, punch, PLN_PUNCH_HELD, now);
}

/* False: another punch has it. */
static bool clear_the_way(pln_sock *sock, const sock_punch *punch, pln_ts now) {
    sock_punch *other = other_birthday(sock, punch);
    if (other != NULL && may_displace(punch, other)) {
        hold(sock, other, pln_ts_add(now, PLN_BIRTHDAY_INTERVAL), now);
        other = NULL;
    }
    return other == NULL;
}

/* Takes the node's one birthday.  False: held back; then the punch waits, or has ended. */
static bool take_birthday(pln_sock *sock, sock_punch *punch, pln_ts now) {
    if (punch->birthday) {
        return true;
    }
    sock_memory *memory = &sock->memories[punch->memory];
    pln_ts allowed_at = pln_sock_birthday_allowed_at(sock, memory, &punch->aim);
    if (pln_ts_reached(allowed_at, now) && clear_the_way(sock, punch, now) &&
        pln_sock_budget_birthday(sock, punch, now)) {
        punch->birthday = true;
        punch->birthday_before = memory->birthday_at;
        memory->birthday_at = now;
        memory->addr = punch->aim;
        return true;
    }
    pln_dur patience = punch->plan.patient ? PLN_PUNCH_PATIENCE : 0;
    pln_ts give_up = pln_ts_add(punch->plan.at, patience + HELD_AFTER);
    if (pln_ts_reached(give_up, now)) {
        hold(sock, punch, allowed_at, now);
    } else {
        punch->retry_at = pln_ts_min(pln_ts_add(now, HELD_RETRY), give_up);
    }
    return false;
}

static bool is_taken(const sock_punch *punch, pln_rung rung) {
    return (punch->taken & 1u << rung) != 0;
}

/* False when the step is to be taken again later, or the punch has ended. */
static bool take_step(pln_sock *sock, sock_punch *punch, pln_rung rung, pln_ts now) {
    switch (rung) {
    case PLN_RUNG_MAIN:
        try_main(punch, now);
        return true;
    case PLN_RUNG_PREDICT:
        try_predicted(punch, now);
        set_method(punch, PLN_PUNCH_PREDICT);
        return true;
    case PLN_RUNG_SCATTER:
        scatter(punch, now);
        set_method(punch, PLN_PUNCH_SCATTER);
        return true;
    case PLN_RUNG_SCATTER_AGAIN:
        scatter_again(punch, now);
        return true;
    case PLN_RUNG_SOCKETS:
    case PLN_RUNG_SPRAY:
        if (!take_birthday(sock, punch, now)) {
            return false;
        }
        if (rung == PLN_RUNG_SPRAY) {
            start_spray(punch, now);
        } else {
            want_many(punch, now);
        }
        set_method(punch, PLN_PUNCH_BIRTHDAY);
        return true;
    case PLN_RUNG_GIVE_UP:
        pln_sock_punch_end(sock, punch, PLN_PUNCH_HOPELESS, now);
        return false;
    }
    return false;
}

static pln_ts step_at(const sock_punch *punch) {
    PLN_ASSERT(punch->step <= punch->ladder.count);
    if (punch->step == punch->ladder.count) {
        return PLN_TS_NEVER;
    }
    const pln_ladder_step *step = &punch->ladder.steps[punch->step];
    /* However late it became known that it may. */
    bool again = step->rung == PLN_RUNG_SCATTER_AGAIN;
    pln_ts at = pln_ts_add(again ? punch->scatter_at : punch->plan.at, step->after);
    return after_hush(punch, punch->retry_at > at ? punch->retry_at : at);
}

static bool has_rung(const pln_ladder *ladder, pln_rung rung) {
    for (size_t i = 0; i < ladder->count; i++) {
        if (ladder->steps[i].rung == rung) {
            return true;
        }
    }
    return false;
}

/* However often it is planned anew, no more than the ladder says is spent. */
static size_t rest_of(const sock_punch *punch, pln_rung rung, size_t most, size_t spent) {
    return has_rung(&punch->ladder, rung) && most > spent ? most - spent : 0;
}

void pln_sock_punch_replan(sock_punch *punch) {
    pln_ladder_plan(&punch->plan, &punch->ladder);
    punch->step = 0;
    punch->retry_at = 0;
    if (is_taken(punch, PLN_RUNG_SPRAY)) {
        punch->spray_left = rest_of(punch, PLN_RUNG_SPRAY, punch->ladder.spray, punch->spray_sent);
    }
    if (is_taken(punch, PLN_RUNG_SOCKETS)) {
        bool goes_on = has_rung(&punch->ladder, PLN_RUNG_SOCKETS);
        punch->sockets_left = goes_on ? punch->sockets_left : 0;
        punch->renewals_left =
            rest_of(punch, PLN_RUNG_SOCKETS, punch->ladder.renewals, punch->renewals_made);
    }
}

/* A side that does both, or turns out to be the other one, has no more flows than a full spray. */
static bool has_flows_left(const sock_punch *punch) {
    return punch->spray_sent + punch->sockets_asked < PLN_BIRTHDAY_PORTS;
}

static pln_ts sockets_due(const sock_punch *punch) {
    return punch->sockets_left > 0 ? after_hush(punch, punch->sockets_at) : PLN_TS_NEVER;
}

static void ask_for_sockets(pln_sock *sock, sock_punch *punch, pln_ts now) {
    while (pln_ts_reached(sockets_due(punch), now)) {
        if (!has_flows_left(punch) || !pln_sock_via_want(sock, punch)) {
            punch->stats.sockets_failed += punch->sockets_left;
            punch->sockets_left = 0;
            return;
        }
        punch->sockets_left--;
        punch->sockets_at = not_long_before(punch->sockets_at, now);
        punch->sockets_at =
            pln_ts_add(punch->sockets_at, PLN_NS_PER_S / PLN_BIRTHDAY_SOCKETS_PER_S);
    }
}

static pln_ts renewal_due(const sock_punch *punch) {
    return punch->renewals_left > 0 ? after_hush(punch, punch->renew_at) : PLN_TS_NEVER;
}

static void renew_sockets(pln_sock *sock, sock_punch *punch, pln_ts now) {
    while (pln_ts_reached(renewal_due(punch), now)) {
        punch->renewing = true;
        if (!has_flows_left(punch) || !pln_sock_via_give_up(sock, punch) ||
            !pln_sock_via_want(sock, punch)) {
            punch->renewals_left = 0;
            return;
        }
        punch->renewals_left--;
        punch->renewals_made++;
        punch->renew_at = not_long_before(punch->renew_at, now);
        punch->renew_at = pln_ts_add(punch->renew_at, PLN_NS_PER_S / PLN_BIRTHDAY_RENEWALS_PER_S);
    }
}

static bool is_settling(const sock_punch *punch, pln_ts now) {
    return punch->settle_until > now;
}

static void take_steps(pln_sock *sock, sock_punch *punch, pln_ts now) {
    while (pln_ts_reached(step_at(punch), now)) {
        pln_rung rung = punch->ladder.steps[punch->step].rung;
        if (!is_taken(punch, rung) && !take_step(sock, punch, rung, now)) {
            return;
        }
        punch->taken |= 1u << rung;
        punch->step++;
        punch->retry_at = 0;
    }
}

void pln_sock_punch_advance(pln_sock *sock, sock_punch *punch, pln_ts now) {
    if (punch->ended) {
        return;
    }
    if (pln_ts_reached(end_of(punch), now)) {
        pln_sock_punch_end(sock, punch, end_at_deadline(punch), now);
        return;
    }
    if (is_settling(punch, now)) {
        return;
    }
    take_steps(sock, punch, now);
    if (punch->ended) {
        return;
    }
    ask_for_sockets(sock, punch, now);
    renew_sockets(sock, punch, now);
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void encode(const uint8_t *nonce, uint8_t *buf) {
    pln_probe probe = {.kind = PLN_PROBE_REQUEST};
    memcpy(probe.nonce, nonce, sizeof(probe.nonce));
    pln_probe_encode(&probe, buf);
}

static bool transmit_way(pln_sock *sock, sock_punch *punch, sock_way *way, uint8_t *buf,
                         pln_transmit *ret, pln_ts now) {
    const uint8_t *nonce = punch->nonce;
    if (way->via != PLN_VIA_MAIN) {
        const sock_via *via = pln_sock_via_find(sock, way->via);
        if (via == NULL || via->punch != punch) {
            way->next_at = PLN_TS_NEVER; /* Lent to a session: it sends what is to be sent. */
            return false;
        }
        nonce = via->nonce;
    }
    if (way->sent_at == PLN_TS_NEVER) {
        punch->stats.ways_used++;
        sock->counters.ways_used++;
    }
    bool opener = pln_sock_way_advance(sock, way, now);
    encode(nonce, buf);
    *ret = (pln_transmit){.path = {.via = way->via, .remote = way->remote},
                          .ttl = opener ? PLN_OPENER_TTL : 0,
                          .size = PLN_PROBE_BYTES,
                          .segment = PLN_PROBE_BYTES};
    return true;
}

static unsigned spray_per_s(const sock_punch *punch) {
    if (punch->plan.one_shot) {
        return punch->spray_sent < PLN_BIRTHDAY_ONE_SHOT_BURST ? PLN_BIRTHDAY_ONE_SHOT_PER_S
                                                               : PLN_BIRTHDAY_PORTS_PER_S;
    }
    return punch->spray_sent < PLN_BIRTHDAY_BURST ? PLN_BIRTHDAY_BURST_PER_S
                                                  : PLN_BIRTHDAY_PORTS_PER_S;
}

static void transmit_spray(pln_sock *sock, sock_punch *punch, uint8_t *buf, pln_transmit *ret,
                           pln_ts now) {
    sock_memory *memory = &sock->memories[punch->memory];
    PLN_ASSERT(punch->spray_left > 0);
    pln_path path = {.via = PLN_VIA_MAIN, .remote = punch->aim};
    path.remote.port = pln_ports_next(&memory->ports);
    punch->spray_left--;
    punch->spray_sent++;
    punch->stats.ways_used++;
    sock->counters.ways_used++;
    unsigned per_s = spray_per_s(punch);
    punch->spray_at = not_long_before(punch->spray_at, now) + PLN_NS_PER_S / per_s;
    encode(punch->nonce, buf);
    *ret = (pln_transmit){.path = path, .size = PLN_PROBE_BYTES, .segment = PLN_PROBE_BYTES};
}

/* The first full request to an address of the peer's: from now on ours may come through. */
static void try_target(pln_sock *sock, sock_punch *punch, sock_way *way, const pln_transmit *sent,
                       pln_ts now) {
    if (way != NULL && way->is_target && way->via == sent->path.via &&
        pollen_addr_equal(&way->remote, &sent->path.remote) && sent->ttl == 0) {
        pln_sock_punch_try(sock, punch, way, false, now);
    }
}

static pln_ts spray_due(const sock_punch *punch) {
    bool sprays = punch->spray_left > 0 && has_flows_left(punch);
    return sprays ? after_hush(punch, punch->spray_at) : PLN_TS_NEVER;
}

static bool may_send(const sock_punch *punch, pln_ts now) {
    return !punch->ended && !is_settling(punch, now) &&
           !pln_ts_reached(punch->plan.deadline, now) &&
           punch->stats.probes_sent < punch->ladder.probes_max;
}

bool pln_sock_punch_transmit(pln_sock *sock, sock_punch *punch, uint8_t *buf, pln_transmit *ret,
                             pln_ts now) {
    while (may_send(punch, now)) {
        sock_way *way = pln_sock_way_first(punch);
        pln_ts way_due = way != NULL ? way->next_at : PLN_TS_NEVER;
        if (!pln_ts_reached(pln_ts_min(way_due, spray_due(punch)), now)) {
            return false;
        }
        sock_memory *memory = &sock->memories[punch->memory];
        if (pln_bucket_ready(&memory->probes, PLN_PROBES_PEER_PER_S) > now) {
            return false;
        }
        if (spray_due(punch) < way_due) {
            transmit_spray(sock, punch, buf, ret, now);
        } else if (!transmit_way(sock, punch, way, buf, ret, now)) {
            continue;
        }
        if (!pln_sock_budget_probe(sock, punch, &ret->path.remote, now)) {
            continue;
        }
        (void)pln_bucket_take(&memory->probes, PLN_PROBES_PEER_PER_S, PLN_PROBES_PEER_BURST,
                              now); /* It was looked at above. */
        punch->stats.probes_sent++;
        sock->counters.probes_sent++;
        try_target(sock, punch, way, ret, now);
        return true;
    }
    return false;
}

static pln_ts next_send(const pln_sock *sock, const sock_punch *punch) {
    if (punch->stats.probes_sent >= punch->ladder.probes_max) {
        return PLN_TS_NEVER;
    }
    const sock_way *way = pln_sock_way_first(punch);
    pln_ts next = pln_ts_min(way != NULL ? way->next_at : PLN_TS_NEVER, spray_due(punch));
    pln_ts ready = pln_bucket_ready(&sock->memories[punch->memory].probes, PLN_PROBES_PEER_PER_S);
    ready = ready > pln_sock_probes_ready(sock) ? ready : pln_sock_probes_ready(sock);
    return next > ready ? next : ready;
}

pln_ts pln_sock_punch_next(const pln_sock *sock, const sock_punch *punch) {
    if (punch->ended) {
        return PLN_TS_NEVER;
    }
    pln_ts next = pln_ts_min(step_at(punch), next_send(sock, punch));
    next = pln_ts_min(next, pln_ts_min(sockets_due(punch), renewal_due(punch)));
    next = next > punch->settle_until ? next : punch->settle_until;
    return pln_ts_min(next, end_of(punch));
}

/* ---- Holes ----------------------------------------------------------------------------------- */

void pln_sock_punch_try(pln_sock *sock, sock_punch *punch, sock_way *way, bool heard, pln_ts now) {
    if (way->is_tried || way->is_open || punch->stats.tries == PLN_PUNCH_TRIES_MAX ||
        !pln_sock_budget_try(sock, punch, &way->remote, now)) {
        return;
    }
    way->is_tried = true;
    PLN_ASSERT(punch->stats.tries < PLN_PUNCH_TRIES_MAX);
    punch->tries[punch->stats.tries] = (pln_path){.via = way->via, .remote = way->remote};
    punch->try_methods[punch->stats.tries] = way->method;
    punch->try_heard[punch->stats.tries] = heard;
    punch->stats.tries++;
}

/* Packets of the handshake may be lost, so that the ways go on; but what only costs waits. */
void pln_sock_punch_heard(pln_sock *sock, sock_punch *punch, sock_way *way, pln_ts now) {
    if (!way->was_heard && !way->is_open && punch->hushes < HUSHES_MAX) {
        punch->hushes++;
        punch->hush_until = pln_ts_add(now, 2 * pln_ladder_rtt(&punch->plan) + HUSH_MARGIN);
    }
    way->was_heard = true;
    pln_sock_punch_try(sock, punch, way, true, now);
}

/* A sprayed port becomes a way when it answers. */
static sock_way *way_of(sock_punch *punch, const pln_path *path, pln_ts now) {
    sock_way *way = pln_sock_way_find(punch, path->via, &path->remote);
    if (way == NULL) {
        sock_way proto = {.via = path->via,
                          .remote = path->remote,
                          .method = pln_sock_punch_method_now(punch),
                          .rhythm = SOCK_RHYTHM_HEARD};
        way = pln_sock_way_add(punch, &proto, now);
        if (way != NULL) {
            way->sent_at = now; /* Counted already. */
        }
    }
    return way;
}

void pln_sock_punch_hole(pln_sock *sock, sock_punch *punch, const pln_path *path, pln_ts now) {
    if (punch->stats.holes == PLN_PUNCH_HOLES_MAX) {
        return;
    }
    sock_way *way = way_of(punch, path, now);
    if (way == NULL || way->is_open) {
        return;
    }
    way->is_open = true;
    way->next_at = PLN_TS_NEVER;
    sock_via *via = pln_sock_via_find(sock, path->via);
    if (via != NULL) {
        via->has_hole = true;
    }
    if (punch->stats.holes == 0) {
        punch->stats.method = way->method;
        punch->stats.first_hole_after = pln_ts_since(punch->plan.at, now);
    }
    PLN_ASSERT(punch->stats.holes < PLN_PUNCH_HOLES_MAX);
    punch->holes[punch->stats.holes] = *path;
    punch->hole_methods[punch->stats.holes] = way->method;
    punch->stats.holes++;
    punch->settle_until = pln_ts_add(now, PLN_PUNCH_SETTLE);
}
