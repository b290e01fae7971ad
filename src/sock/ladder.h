/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which methods are tried for a pair of NATs, and when: the cheapest that can work comes first, and
 * the next one joins when that had the time for an answer.
 */
#ifndef PLN_SOCK_LADDER_H
#define PLN_SOCK_LADDER_H

#include "sock/sock.h"

typedef enum pln_rung {
    PLN_RUNG_MAIN,          /* Probes between main sockets. */
    PLN_RUNG_PREDICT,       /* From the main socket to the next ports of a sequential NAT. */
    PLN_RUNG_SCATTER,       /* From some sockets to a port somewhat ahead. */
    PLN_RUNG_SCATTER_AGAIN, /* Farther ahead. */
    PLN_RUNG_SOCKETS,       /* Birthday, hard side. */
    PLN_RUNG_SPRAY,         /* Birthday, easy side. */
    PLN_RUNG_GIVE_UP,
} pln_rung;

typedef struct pln_ladder_step {
    pln_rung rung;
    pln_dur after; /* The start; never falls from one step to the next. */
} pln_ladder_step;

enum { PLN_LADDER_STEPS_MAX = 5 };

typedef struct pln_ladder {
    size_t count;
    pln_ladder_step steps[PLN_LADDER_STEPS_MAX];
    size_t tried_max;  /* Of the targets. */
    size_t probes_max; /* In all. */
    size_t spray;      /* Ports, if there is a spray; */
    size_t renewals;   /* sockets, if there are many. */
} pln_ladder;

/* What is reckoned with as the round trip. */
pln_dur pln_ladder_rtt(const pln_punch_plan *plan);

void pln_ladder_plan(const pln_punch_plan *plan, pln_ladder *ret);

/* Nothing but the main socket is known of such a side: no NAT, or an easy one. */
static inline bool pln_nat_is_open(const pln_nat_brief *nat) {
    return nat->mapping == POLLEN_NAT_MAPPING_NONE || nat->mapping == POLLEN_NAT_MAPPING_EASY;
}

#endif
