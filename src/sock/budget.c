/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What punches that only others asked for may take.  Whom a trigger names, and where that is to be,
 * is the word of one member, who can invent as many peers as it likes: so neither budget goes by
 * the peer.  One is the address's, the other the coordinator's.  The address's holds as well for
 * hearsay that we want because we were told of it.
 *
 * What is over an address's budget counts as sent and lost: waiting for it would hold up what the
 * punch sends elsewhere.
 */
#include <string.h>

#include "sock/internal.h"

enum { TARGET_SETS = 64, COORDINATOR_SETS = 16 };

typedef struct party {
    const void *id;
    size_t size;
    uint32_t count; /* To be taken. */
} party;

static bool take(pln_sock *sock, pln_meters **meters, pln_meters_config config, const party *who,
                 pln_ts now) {
    pln_meters *made = pln_meters_obtain(meters, config, &sock->config.rng);
    return made != NULL && pln_meters_take(made, who->id, who->size, who->count, now);
}

static bool take_of_target(pln_sock *sock, const pollen_addr *to, uint32_t count, pln_ts now) {
    const pln_meters_config config = {.sets = TARGET_SETS,
                                      .interval = PLN_NS_PER_S / PLN_PROBES_TARGET_PER_S,
                                      .burst = PLN_PROBES_TARGET_BURST};
    const party who = {to->ip, pln_addr_party_bytes(to), count};
    return take(sock, &sock->targets, config, &who, now);
}

static bool is_own(const sock_punch *punch) {
    return !punch->plan.unasked && !punch->plan.hearsay;
}

bool pln_sock_budget_probe(pln_sock *sock, const sock_punch *punch, const pollen_addr *to,
                           pln_ts now) {
    return is_own(punch) || take_of_target(sock, to, 1, now);
}

bool pln_sock_budget_try(pln_sock *sock, const sock_punch *punch, const pollen_addr *to,
                         pln_ts now) {
    return is_own(punch) || take_of_target(sock, to, PLN_PROBES_FOR_TRY, now);
}

bool pln_sock_may_try(pln_sock *sock, const pollen_key *peer, const pollen_addr *to, pln_ts now) {
    const sock_punch *punch = pln_sock_punch_find(sock, peer);
    return punch != NULL && pln_sock_budget_try(sock, punch, to, now);
}

bool pln_sock_budget_birthday(pln_sock *sock, const sock_punch *punch, pln_ts now) {
    if (!punch->plan.unasked) {
        return true;
    }
    const pln_meters_config config = {.sets = COORDINATOR_SETS,
                                      .interval = PLN_BIRTHDAYS_UNASKED_INTERVAL,
                                      .burst = PLN_BIRTHDAYS_UNASKED_BURST};
    const pollen_key *by = &punch->plan.coordinator;
    return take(sock, &sock->coordinators, config, &(party){by->bytes, sizeof(by->bytes), 1}, now);
}

void pln_sock_budgets_fini(pln_sock *sock) {
    pln_meters_destroy(sock->targets);
    pln_meters_destroy(sock->coordinators);
}
