/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where peers see us: the one record of it.  verdict.h says what it adds up to.
 *
 * Thread: the owner's alone.
 */
#ifndef PLN_SOCK_OBSERVATIONS_H
#define PLN_SOCK_OBSERVATIONS_H

#include "base/addr.h"
#include "base/key.h"
#include "base/limits.h"
#include "base/time.h"

typedef struct pln_nat_observation {
    pollen_key observer;
    pollen_addr observer_addr; /* As we see the observer. */
    pollen_addr seen;          /* As the observer sees us. */
    uint32_t via;              /* The socket of ours that it looks at, */
    uint16_t local_port;       /* and that socket's port. */
    pln_ts at;                 /* When it was news. */
    bool gone;                 /* Its session ended; until then it would tell of a change. */
    pln_ts gone_at;
} pln_nat_observation;

/* Embedded; a zeroed one is empty. */
typedef struct pln_nat_observations {
    size_t count;
    pln_nat_observation items[PLN_NAT_OBSERVATIONS_MAX]; /* The newest first. */
    size_t local_count;
    pollen_addr locals[PLN_NAT_LOCALS_MAX]; /* Of our interfaces; ports are of no meaning. */
} pln_nat_observations;

/*
 * Takes the place of what the same observer said of the same socket before; the same once more is
 * no news, and keeps its place.  When there is no room, the oldest goes of those that say least:
 * peers on this machine, then on this side of the NAT, then of several at one place.
 *
 * What is not an address on the network (multicast, port 0, ...) is left out, and a loopback
 * address but from one of our own machine.  True when it is news.
 */
bool pln_nat_observe(pln_nat_observations *list, const pln_nat_observation *observation);

/* The observer has no session any more. */
void pln_nat_observer_gone(pln_nat_observations *list, const pollen_key *observer, pln_ts now);

/* The addresses of our interfaces.  When they are others than before, all observations are
 * forgotten: they speak of another place.  True then. */
bool pln_nat_set_locals(pln_nat_observations *list, const pollen_addr *addrs, size_t count);

/* The NAT may be another from now on. */
void pln_nat_forget(pln_nat_observations *list);

/* One of our interfaces has that IP. */
bool pln_nat_is_local(const pln_nat_observations *list, const pollen_addr *addr);

/* How it looks at us without our NAT in between: from this machine, from our network, or from
 * behind that NAT as well. */
bool pln_nat_is_inside(const pln_nat_observations *list, const pln_nat_observation *observation);

/* How far an address reaches. */
typedef enum pln_nat_scope {
    PLN_NAT_SCOPE_SITE,
    PLN_NAT_SCOPE_CARRIER,
    PLN_NAT_SCOPE_WORLD,
} pln_nat_scope;

pln_nat_scope pln_nat_scope_of(const pollen_addr *addr);

/* They look at one socket of ours, from places that may be behind one NAT or in one house. */
bool pln_nat_same_socket(const pln_nat_observation *a, const pln_nat_observation *b);
bool pln_nat_same_place(const pln_nat_observation *a, const pln_nat_observation *b);

#endif
