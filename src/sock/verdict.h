/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which NAT do we sit behind?  Peers tell from where our datagrams reach them; what several of them
 * say of one socket of ours adds up to a verdict.
 *
 * A peer counts when it looks at us from outside: it sees another address than our interface's, or
 * that very address from the wide world; not from behind our own NAT, and only once for all peers
 * behind one address.  Two that agree are needed, or one that sees us at an address of our own that
 * is nobody else's; and whenever what was said would be explained as well by the opposite and a
 * single liar among three or more, the verdict is unknown.
 *
 * Thread: the owner's alone.
 */
#ifndef PLN_SOCK_VERDICT_H
#define PLN_SOCK_VERDICT_H

#include "sock/nat.h"
#include "sock/observations.h"

/* Why an observation takes part in the verdict, or does not. */
typedef enum pln_nat_role {
    PLN_NAT_ROLE_COUNTED,
    PLN_NAT_ROLE_INSIDE,       /* The observer sits behind the same NAT, or on our network. */
    PLN_NAT_ROLE_SAME_ADDRESS, /* Another observer behind that address counts already. */
    PLN_NAT_ROLE_OTHER_SOCKET, /* Of a socket that fewer look at. */
    PLN_NAT_ROLE_OTHER_FAMILY, /* IPv6, while others see us by IPv4. */
    PLN_NAT_ROLE_OLD,
    PLN_NAT_ROLE_OUTVOTED, /* All others agree on something else. */
} pln_nat_role;

const char *pln_nat_role_name(pln_nat_role role); /* "counted", "inside", ...  Static. */

typedef struct pln_nat_evidence {
    pln_nat_observation observation;
    pln_nat_role role;
} pln_nat_evidence;

/* Why a mapping is unknown. */
typedef enum pln_nat_doubt {
    PLN_NAT_DOUBT_NONE,        /* It is known. */
    PLN_NAT_DOUBT_NOBODY,      /* Nobody says where it sees us, */
    PLN_NAT_DOUBT_ALL_INSIDE,  /* or nobody who sits on the other side of the NAT, */
    PLN_NAT_DOUBT_ONE,         /* or one alone, */
    PLN_NAT_DOUBT_ONE_ADDRESS, /* or several behind one address. */
    PLN_NAT_DOUBT_ONE_SOCKET,  /* Several look at us, but not two at one socket. */
    PLN_NAT_DOUBT_ODD_ONE,     /* Of three, two agree: the third may lie, or one of the two. */
    PLN_NAT_DOUBT_SPLIT,       /* More than one would have to lie, whatever the NAT is. */
} pln_nat_doubt;

const char *pln_nat_doubt_name(pln_nat_doubt doubt); /* "one", "odd_one", ...; NULL: none. */

typedef struct pln_nat_verdict {
    pollen_nat_mapping mapping;
    pln_nat_doubt doubt;
    pollen_nat_allocation allocation;
    uint16_t step;          /* Of a sequential allocation, else 0. */
    pln_wall remembered_at; /* When the mapping was found out, if only remembered; else 0. */
    pollen_addr external;   /* Our address as most or the newest see it; all zero: nobody counts. */
    size_t evidence_count;
    pln_nat_evidence evidence[PLN_NAT_OBSERVATIONS_MAX];
} pln_nat_verdict;

/* Of IPv4 when anybody sees us there, else of IPv6. */
void pln_nat_judge(const pln_nat_observations *list, pln_ts now, pln_nat_verdict *ret);

/* What a peer needs to know of it. */
pln_nat_brief pln_nat_brief_of(const pln_nat_verdict *verdict);

#endif
