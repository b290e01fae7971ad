/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which NAT do we sit behind?  Peers tell from where our datagrams reach them; what several of them
 * say of one socket of ours adds up to a verdict.
 *
 * A peer counts when it looks at us from outside: it sees another address than our interface's, or
 * that very address from the wide world; not from behind our own NAT, and only once for all peers
 * behind one address.  Two that agree are needed, and whenever what was said would be explained as
 * well by the opposite and a single liar among three or more, the verdict is unknown.
 *
 * Thread: the owner's alone.
 */
#ifndef PLN_SOCK_VERDICT_H
#define PLN_SOCK_VERDICT_H

#include "base/addr.h"
#include "base/key.h"
#include "base/limits.h"
#include "base/time.h"
#include "sock/nat.h"

typedef struct pln_nat_observation {
    pollen_key observer;
    pollen_addr observer_addr; /* As we see the observer. */
    pollen_addr seen;          /* As the observer sees us. */
    uint32_t via;              /* The socket of ours that it looks at, */
    uint16_t local_port;       /* and that socket's port. */
    pln_ts at;
} pln_nat_observation;

/* Embedded; a zeroed one is empty. */
typedef struct pln_nat_observations {
    size_t count;
    pln_nat_observation items[PLN_NAT_OBSERVATIONS_MAX]; /* The newest first. */
    size_t local_count;
    pollen_addr locals[PLN_NAT_LOCALS_MAX]; /* Of our interfaces; ports are of no meaning. */
} pln_nat_observations;

/* Takes the place of what the same observer said of the same socket before; the oldest makes room.
 * What is not an address on the network (loopback, multicast, port 0, ...) is left out. */
void pln_nat_observe(pln_nat_observations *list, const pln_nat_observation *observation);

/* The addresses of our interfaces.  When they are others than before, all observations are
 * forgotten: they speak of another place.  True then. */
bool pln_nat_set_locals(pln_nat_observations *list, const pollen_addr *addrs, size_t count);

/* The NAT may be another from now on. */
void pln_nat_forget(pln_nat_observations *list);

/* Why an observation takes part in the verdict, or does not. */
typedef enum pln_nat_role {
    PLN_NAT_ROLE_COUNTED,
    PLN_NAT_ROLE_INSIDE,       /* The observer sits behind the same NAT, or on our network. */
    PLN_NAT_ROLE_SAME_ADDRESS, /* Another observer behind that address counts already. */
    PLN_NAT_ROLE_OTHER_SOCKET, /* Of a socket that fewer look at. */
    PLN_NAT_ROLE_OTHER_FAMILY, /* IPv6, while others see us by IPv4. */
    PLN_NAT_ROLE_OLD,
} pln_nat_role;

const char *pln_nat_role_name(pln_nat_role role); /* "counted", "inside", ...  Static. */

typedef struct pln_nat_evidence {
    pln_nat_observation observation;
    pln_nat_role role;
} pln_nat_evidence;

typedef struct pln_nat_verdict {
    pollen_nat_mapping mapping;
    pollen_nat_allocation allocation;
    uint16_t step;        /* Of a sequential allocation, else 0. */
    pollen_addr external; /* Our address as most or the newest see it; all zero: nobody counts. */
    size_t evidence_count;
    pln_nat_evidence evidence[PLN_NAT_OBSERVATIONS_MAX];
} pln_nat_verdict;

/* Of IPv4 when anybody sees us there, else of IPv6. */
void pln_nat_judge(const pln_nat_observations *list, pln_ts now, pln_nat_verdict *ret);

/* What a peer needs to know of it. */
pln_nat_brief pln_nat_brief_of(const pln_nat_verdict *verdict);

#endif
