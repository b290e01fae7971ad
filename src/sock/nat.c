/* SPDX-License-Identifier: Apache-2.0 */
#include "sock/nat.h"

#include "sock/ports.h"

static unsigned swap(unsigned port) {
    return (port >> 8 | port << 8) & UINT16_MAX;
}

uint16_t pln_nat_port_ahead(uint16_t port, uint16_t step, unsigned steps) {
    unsigned ahead;
    if (step == PLN_NAT_STEP_SWAPPED) {
        ahead = swap((swap(port) + steps) & UINT16_MAX);
    } else {
        ahead = port + steps * (step == 0 ? 1u : step);
        if (ahead > UINT16_MAX) {
            ahead = PLN_PORTS_FIRST + (ahead - UINT16_MAX - 1) % PLN_PORTS_COUNT;
        }
    }
    return ahead == 0 ? PLN_PORTS_FIRST : (uint16_t)ahead; /* Nobody has port 0. */
}

unsigned pln_nat_steps_between(uint16_t from, uint16_t to, uint16_t step, unsigned max) {
    unsigned steps = 0;
    while (steps <= max && pln_nat_port_ahead(from, step, steps) != to) {
        steps++;
    }
    return steps;
}
