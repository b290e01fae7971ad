/* SPDX-License-Identifier: Apache-2.0 */
#include "sock/sock.h"

#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "sock/internal.h"

pollen_err pln_sock_create(const pln_sock_config *config, pln_sock **ret) {
    pln_sock *sock = pln_calloc(1, sizeof(*sock));
    if (sock == NULL) {
        return POLLEN_ENOMEM;
    }
    sock->config = *config;
    sock->next_via = PLN_VIA_MAIN + 1;
    pln_sock_set_sockets_max(sock,
                             config->sockets_max == 0 ? PLN_SOCKETS_MAX : config->sockets_max);
    *ret = sock;
    return POLLEN_OK;
}

void pln_sock_destroy(pln_sock *sock) {
    if (sock == NULL) {
        return;
    }
    for (size_t i = 0; i < sock->punch_count; i++) {
        pln_sock_punch_destroy(sock->punches[i]);
    }
    pln_free(sock->vias);
    pln_free(sock->memories);
    pln_sock_budgets_fini(sock);
    pln_free(sock);
}

void pln_sock_set_sockets_max(pln_sock *sock, size_t sockets_max) {
    sock->config.sockets_max = sockets_max < PLN_SOCKETS_MAX ? sockets_max : PLN_SOCKETS_MAX;
}

/* ---- Start ----------------------------------------------------------------------------------- */

bool pln_sock_is_target_fit(const pln_sock *sock, const pollen_addr *addr) {
    return pln_addr_is_sendable(addr) &&
           (sock->config.loopback_allowed || !pln_addr_is_loopback(addr));
}

static bool has_target(const pln_punch_plan *plan, const pollen_addr *addr) {
    for (size_t i = 0; i < plan->target_count; i++) {
        if (pollen_addr_equal(&plan->targets[i].addr, addr)) {
            return true;
        }
    }
    return false;
}

/* Appends those that are fit and new; returns how many. */
static size_t merge_targets(const pln_sock *sock, pln_punch_plan *plan,
                            const pln_punch_target *targets, size_t count) {
    size_t before = plan->target_count;
    for (size_t i = 0; i < count && plan->target_count < PLN_PUNCH_TARGETS_MAX; i++) {
        if (pln_sock_is_target_fit(sock, &targets[i].addr) && !has_target(plan, &targets[i].addr)) {
            plan->targets[plan->target_count] = targets[i];
            plan->target_count++;
        }
    }
    return plan->target_count - before;
}

/* Where the peer's NAT is: what others see, else whatever comes first. */
static pollen_addr aim_of(const pln_punch_plan *plan) {
    PLN_ASSERT(plan->target_count > 0);
    for (size_t i = 0; i < plan->target_count; i++) {
        if (plan->targets[i].kind == PLN_TARGET_OBSERVED) {
            return plan->targets[i].addr;
        }
    }
    return plan->targets[0].addr;
}

static void clamp_ports(pln_nat_brief *nat) {
    nat->port_count = nat->port_count < PLN_NAT_PORTS_MAX ? nat->port_count : PLN_NAT_PORTS_MAX;
}

static pollen_err create_punch(pln_sock *sock, const pln_punch_plan *plan, pln_ts now,
                               sock_punch **ret) {
    sock_punch *punch = pln_calloc(1, sizeof(*punch));
    if (punch == NULL) {
        return POLLEN_ENOMEM;
    }
    punch->plan = *plan;
    punch->plan.target_count = 0;
    size_t count =
        plan->target_count < PLN_PUNCH_TARGETS_MAX ? plan->target_count : PLN_PUNCH_TARGETS_MAX;
    if (merge_targets(sock, &punch->plan, plan->targets, count) == 0) {
        pln_free(punch);
        return POLLEN_EADDR;
    }
    sock_memory *memory = pln_sock_remember(sock, &plan->peer, now);
    if (memory == NULL) {
        pln_free(punch);
        return POLLEN_ENOMEM;
    }
    memory->busy = true;
    punch->memory = (size_t)(memory - sock->memories);
    punch->plan.at = plan->at > now ? plan->at : now;
    clamp_ports(&punch->plan.theirs);
    punch->aim = aim_of(&punch->plan);
    pln_ladder_plan(&punch->plan, &punch->ladder);
    pln_rng_fill(&sock->config.rng, punch->nonce, sizeof(punch->nonce));
    *ret = punch;
    return POLLEN_OK;
}

static bool has_room(const pln_sock *sock, const pln_punch_plan *plan) {
    size_t unasked = 0;
    for (size_t i = 0; i < sock->punch_count; i++) {
        unasked += sock->punches[i]->plan.unasked;
    }
    return sock->punch_count < PLN_PUNCHES_MAX &&
           (!plan->unasked || unasked < PLN_PUNCHES_UNASKED_MAX);
}

pollen_err pln_sock_start(pln_sock *sock, const pln_punch_plan *plan, pln_ts now) {
    if (pln_sock_punch_find(sock, &plan->peer) != NULL) {
        return POLLEN_EAGAIN;
    }
    if (!has_room(sock, plan)) {
        return POLLEN_ELIMIT;
    }
    sock_punch *punch;
    pollen_err err = create_punch(sock, plan, now, &punch);
    if (err != POLLEN_OK) {
        return err;
    }
    PLN_ASSERT(!punch->ended);
    sock->punches[sock->punch_count] = punch;
    sock->punch_count++;
    pln_sock_punch_advance(sock, punch, now);
    return POLLEN_OK;
}

/* What only others ask for does not last longer for being asked for again. */
static void take_plan(sock_punch *punch, const pln_punch_plan *plan) {
    pln_punch_plan *own = &punch->plan;
    own->attempt = plan->attempt;
    own->ours = plan->ours;
    own->theirs = plan->theirs;
    own->one_shot = plan->one_shot;
    own->patient = plan->patient;
    own->unasked = own->unasked && plan->unasked;
    own->hearsay = own->hearsay && plan->hearsay;
    own->rtt = plan->rtt;
    if (!plan->unasked && plan->deadline > own->deadline) {
        own->deadline = plan->deadline;
    }
    clamp_ports(&own->theirs);
}

pollen_err pln_sock_replan(pln_sock *sock, const pln_punch_plan *plan, pln_ts now) {
    sock_punch *punch = pln_sock_punch_find(sock, &plan->peer);
    if (punch == NULL) {
        return pln_sock_start(sock, plan, now);
    }
    take_plan(punch, plan);
    (void)pln_sock_add_targets(sock, &plan->peer, plan->targets, plan->target_count, now);
    pln_sock_punch_replan(punch);
    pln_sock_punch_advance(sock, punch, now);
    return POLLEN_OK;
}

void pln_sock_want(pln_sock *sock, const pollen_key *peer) {
    sock_punch *punch = pln_sock_punch_find(sock, peer);
    if (punch != NULL) {
        punch->plan.unasked = false;
    }
}

size_t pln_sock_add_targets(pln_sock *sock, const pollen_key *peer, const pln_punch_target *targets,
                            size_t count, pln_ts now) {
    sock_punch *punch = pln_sock_punch_find(sock, peer);
    if (punch == NULL) {
        return 0;
    }
    size_t first = punch->plan.target_count;
    size_t added = merge_targets(sock, &punch->plan, targets, count);
    for (size_t i = first; i < first + added && i < punch->ladder.tried_max; i++) {
        if ((punch->taken & 1u << PLN_RUNG_MAIN) != 0) { /* Else the first step tries them all. */
            pln_sock_punch_aim_at(punch, &punch->plan.targets[i], now);
        }
    }
    return added;
}

/* ---- Ends ------------------------------------------------------------------------------------ */

void pln_sock_cancel(pln_sock *sock, const pollen_key *peer, pln_ts now) {
    sock_punch *punch = pln_sock_punch_find(sock, peer);
    if (punch != NULL) {
        pln_sock_punch_end(sock, punch, PLN_PUNCH_CANCELLED, now);
    }
}

/* A session has it now.  One whose end was decided, but not told, lives on. */
static bool lend(pln_sock *sock, uint32_t id) {
    sock_via *via = pln_sock_via_find(sock, id);
    if (via == NULL || (via->state != SOCK_VIA_OPEN && via->state != SOCK_VIA_CLOSING)) {
        return false;
    }
    PLN_ASSERT(!via->unwanted);
    sock->closing -= via->state == SOCK_VIA_CLOSING;
    via->state = SOCK_VIA_OPEN;
    via->lent = true;
    via->punch = NULL;
    via->linger_until = PLN_TS_NEVER;
    return true;
}

bool pln_sock_won(pln_sock *sock, const pollen_key *peer, const pln_path *path, pln_ts now) {
    bool open = path->via == PLN_VIA_MAIN || lend(sock, path->via);
    sock_punch *punch = pln_sock_punch_find(sock, peer);
    if (punch != NULL) {
        pln_sock_punch_end(sock, punch, PLN_PUNCH_WON, now);
    }
    return open;
}

void pln_sock_hole_failed(pln_sock *sock, const pollen_key *peer, const pln_path *path,
                          pln_ts now) {
    sock_punch *punch = pln_sock_punch_find(sock, peer);
    if (punch == NULL) {
        return;
    }
    for (size_t i = 0; i < punch->stats.holes; i++) {
        if (pln_path_equal(&punch->holes[i], path)) {
            punch->holes_failed++;
        }
    }
    punch->hush_until = 0;
    if (punch->holes_failed >= punch->stats.holes) {
        punch->settle_until = 0;
    }
    pln_sock_punch_advance(sock, punch, now);
}

void pln_sock_network_changed(pln_sock *sock) {
    pln_sock_forget_failures(sock);
}

/* ---- Time ------------------------------------------------------------------------------------ */

void pln_sock_handle_timeout(pln_sock *sock, pln_ts now) {
    for (size_t i = 0; i < sock->punch_count; i++) {
        pln_sock_punch_advance(sock, sock->punches[i], now);
    }
    pln_sock_vias_expire(sock, now);
}

pln_ts pln_sock_probes_ready(const pln_sock *sock) {
    return pln_bucket_ready(&sock->probes, PLN_PROBES_PER_S);
}

/* Those of a kind; what we want goes before what only others do, who could ask for all there is. */
static bool transmit_in_turn(pln_sock *sock, bool unasked, uint8_t *buf, pln_transmit *ret,
                             pln_ts now) {
    for (size_t i = 0; i < sock->punch_count; i++) {
        size_t index = (sock->turn + i) % sock->punch_count;
        sock_punch *punch = sock->punches[index];
        if (punch->plan.unasked == unasked && pln_sock_punch_transmit(sock, punch, buf, ret, now)) {
            sock->turn = index + 1;
            return true;
        }
    }
    return false;
}

bool pln_sock_poll_transmit(pln_sock *sock, uint8_t *buf, pln_transmit *ret, pln_ts now) {
    if (pln_sock_answer_transmit(sock, buf, ret)) {
        return true;
    }
    if (pln_sock_probes_ready(sock) > now) {
        return false;
    }
    if (transmit_in_turn(sock, false, buf, ret, now) ||
        transmit_in_turn(sock, true, buf, ret, now)) {
        /* It was looked at above. */
        (void)pln_bucket_take(&sock->probes, PLN_PROBES_PER_S, PLN_PROBES_BURST, now);
        return true;
    }
    return false;
}

pln_ts pln_sock_next_expiry(const pln_sock *sock) {
    if (sock->answer_count > 0) {
        return 0;
    }
    pln_ts next = pln_sock_vias_next(sock);
    for (size_t i = 0; i < sock->punch_count; i++) {
        next = pln_ts_min(next, pln_sock_punch_next(sock, sock->punches[i]));
    }
    return next;
}

/* ---- Looking at it --------------------------------------------------------------------------- */

void pln_sock_get_counters(const pln_sock *sock, pln_sock_counters *ret) {
    *ret = sock->counters;
    for (size_t i = 0; i < sock->punch_count; i++) {
        ret->punches += !sock->punches[i]->ended;
    }
    ret->sockets_open = sock->via_count - sock->closing;
    for (size_t i = 0; i < sock->via_count; i++) {
        ret->sockets_lent += sock->vias[i].lent;
    }
}

bool pln_sock_get_stats(const pln_sock *sock, const pollen_key *peer, pln_punch_stats *ret) {
    const sock_punch *punch = pln_sock_punch_find(sock, peer);
    if (punch == NULL) {
        return false;
    }
    *ret = punch->stats;
    return true;
}
