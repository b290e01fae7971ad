/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ports 1024 to 65535 in a random order, without a table: a permutation that is computed either
 * way.  Each port comes once before any comes again, so that a spray wastes no probe, and a later
 * one goes on where the first stopped.
 */
#ifndef PLN_SOCK_PORTS_H
#define PLN_SOCK_PORTS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"

enum {
    PLN_PORTS_FIRST = 1024, /* NATs keep the well-known ones for those who ask for them. */
    PLN_PORTS_COUNT = 65536 - PLN_PORTS_FIRST,
    PLN_PORTS_ROUNDS = 8,
};

typedef struct pln_ports {
    uint32_t keys[PLN_PORTS_ROUNDS];
    uint32_t drawn; /* How many so far, from the first use on; goes round after PLN_PORTS_COUNT. */
} pln_ports;

void pln_ports_init(pln_ports *ports, const pln_rng *rng);

uint16_t pln_ports_next(pln_ports *ports);

/* True when the port is among the last `count` drawn; false for one out of range. */
bool pln_ports_is_recent(const pln_ports *ports, uint16_t port, uint32_t count);

#endif
