/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "sock/internal.h"

/*
 * Design notes.
 *
 * The first request along a way is an *opener*: it lives for two hops, so that it passes our NAT,
 * where it makes the mapping and lets the peer in, and dies before the peer's.  Where a NAT accepts
 * packets that nobody waits for (Linux with an open INPUT chain), a packet of the peer's that comes
 * before ours makes an entry there which takes our port for this pair of addresses; ours is then
 * sent from another port than everybody knows, and the pair is lost.  So nothing may reach the
 * peer's NAT before the peer's own opener: full requests follow PLN_OPENER_LEAD later, which is
 * more than the two sides fire apart.  A side without NAT waits for a second: a firewall of its own
 * is open by then, and the peer has come if it can.
 *
 * For the same reason most of the many sockets of a birthday send openers alone while the peer
 * sprays: its spray comes in through the holes that they made.  Afterwards full requests follow,
 * which go through the holes that the spray made, where one of its packets was lost.
 *
 * Openers do not get as far as the NAT of a carrier, which is some hops further out: there only
 * full requests open anything.  So every eighth socket sends them as soon as the spray is under
 * way, and every other eighth when half of it is through.  Where a NAT accepts packets that nobody
 * waits for, these ports are lost for what is still to be sprayed; the others will most likely do.
 *
 * When all this was in vain, sockets are given up for new ones, whose mappings may fit a hole where
 * those of the old ones did not.
 *
 * Requests are repeated to the end, because the other side may fire late, and packets are lost.
 */
#define LEAD_MS ((uint16_t)(PLN_OPENER_LEAD / PLN_NS_PER_MS))
#define PATIENCE_MS ((uint16_t)(PLN_PUNCH_PATIENCE / PLN_NS_PER_MS))

typedef struct rhythm {
    uint8_t openers; /* So many of the first beats. */
    uint8_t last;    /* Index in at_ms; from there on then_every_ms. */
    uint16_t at_ms[8];
    uint16_t then_every_ms;
} rhythm;

/* clang-format off */
static const rhythm rhythms[] = {
    [SOCK_RHYTHM_MAIN]          = {1, 5, {0, LEAD_MS, 90, 140, 240, 440}, 200},
    [SOCK_RHYTHM_PATIENT]       = {3, 3, {0, 100, 300, PATIENCE_MS}, 200},
    [SOCK_RHYTHM_NEAR]          = {0, 4, {0, 50, 100, 200, 400}, 200},
    [SOCK_RHYTHM_PREDICTED]     = {1, 4, {0, LEAD_MS, 100, 200, 400}, 400},
    [SOCK_RHYTHM_SCATTERED]     = {1, 4, {0, LEAD_MS, 90, 200, 400}, 300},
    [SOCK_RHYTHM_MANY]          = {2, 3, {0, 450, 1400, 1900}, 600},
    [SOCK_RHYTHM_MANY_BOLD]     = {1, 4, {0, 100, 450, 1400, 1900}, 600},
    [SOCK_RHYTHM_MANY_LATER]    = {1, 3, {0, 450, 1400, 1900}, 600},
    [SOCK_RHYTHM_MANY_ONE_SHOT] = {1, 3, {0, LEAD_MS, 240, 1000}, 1000},
    [SOCK_RHYTHM_RENEWED]       = {0, 1, {0, 250}, 1000},
    [SOCK_RHYTHM_HEARD]         = {0, 4, {0, 50, 100, 200, 400}, 200},
};
/* clang-format on */

/* A request that is heard calls for one of ours, but not for one each. */
#define HEARD_GAP PLN_MS(20)
#define HEARD_MAX 8 /* Whoever can only make us send, and hears no answer, gains little. */

static pln_dur offset_of(const rhythm *r, unsigned beat) {
    if (beat <= r->last) {
        return PLN_MS(r->at_ms[beat]);
    }
    return PLN_MS(r->at_ms[r->last]) + (pln_dur)(beat - r->last) * PLN_MS(r->then_every_ms);
}

sock_way *pln_sock_way_find(sock_punch *punch, uint32_t via, const pollen_addr *remote) {
    for (size_t i = 0; i < punch->way_count; i++) {
        sock_way *way = &punch->ways[i];
        if (way->via == via && pollen_addr_equal(&way->remote, remote)) {
            return way;
        }
    }
    return NULL;
}

/* Room for the next one; the number of ways is bounded by those who add them. */
static bool make_room(sock_punch *punch) {
    sock_way *ways = pln_grow(punch->ways, punch->way_count, &punch->way_cap, sizeof(*ways), 16);
    if (ways == NULL) {
        return false;
    }
    punch->ways = ways;
    return true;
}

sock_way *pln_sock_way_add(sock_punch *punch, const sock_way *proto, pln_ts now) {
    if (pln_sock_way_find(punch, proto->via, &proto->remote) != NULL || !make_room(punch)) {
        return NULL;
    }
    sock_way *way = &punch->ways[punch->way_count];
    *way = *proto;
    way->started_at = now;
    way->next_at = pln_ts_add(now, offset_of(&rhythms[way->rhythm], 0));
    way->sent_at = PLN_TS_NEVER;
    punch->way_count++;
    return way;
}

void pln_sock_way_drop(sock_punch *punch, uint32_t via) {
    PLN_ASSERT(via != PLN_VIA_MAIN);
    size_t kept = 0;
    for (size_t i = 0; i < punch->way_count; i++) {
        if (punch->ways[i].via != via) {
            punch->ways[kept] = punch->ways[i];
            kept++;
        }
    }
    punch->way_count = kept;
}

void pln_sock_way_heard(sock_way *way, pln_ts now) {
    if (way->is_open || way->heard == HEARD_MAX) {
        return;
    }
    way->heard++;
    way->rhythm = SOCK_RHYTHM_HEARD;
    way->beat = 0;
    way->started_at = now;
    way->next_at = now;
    if (way->sent_at != PLN_TS_NEVER && pln_ts_since(way->sent_at, now) < HEARD_GAP) {
        way->next_at = pln_ts_add(way->sent_at, HEARD_GAP);
    }
}

sock_way *pln_sock_way_first(const sock_punch *punch) {
    sock_way *first = NULL;
    for (size_t i = 0; i < punch->way_count; i++) {
        sock_way *way = &punch->ways[i];
        if (way->next_at != PLN_TS_NEVER && (first == NULL || way->next_at < first->next_at)) {
            first = way;
        }
    }
    return first;
}

/* Up to a tenth of the pause later, so that what is lost together is not sent together again. */
static pln_dur jitter(const pln_sock *sock, pln_dur pause) {
    return pause >= PLN_MS(50) ? pln_rng_below(&sock->config.rng, pause / 10) : 0;
}

bool pln_sock_way_advance(pln_sock *sock, sock_way *way, pln_ts now) {
    const rhythm *r = &rhythms[way->rhythm];
    bool opener = way->beat < r->openers && !sock->config.without_openers;
    way->sent_at = now;
    pln_dur last = offset_of(r, way->beat);
    way->beat++;
    pln_dur next = offset_of(r, way->beat);
    PLN_ASSERT(next > last);
    way->next_at = pln_ts_add(way->started_at, next + jitter(sock, next - last));
    if (way->next_at <= now) {
        /* We were late: the beats that were missed are not made up for. */
        way->started_at = now - last;
        way->next_at = pln_ts_add(now, next - last);
    }
    return opener;
}
