/* SPDX-License-Identifier: Apache-2.0 */
#include "sock/ports.h"

#include "base/assert.h"

/* Eight rounds of a balanced Feistel network on 16 bits; values that fall outside the ports are
 * sent through again until they fall inside ("cycle walking", Black and Rogaway 2002), which keeps
 * the map one to one.  63 of 64 values fall inside. */

/* The finalizer of MurmurHash3: every bit of the input moves every bit of the output. */
static uint8_t mix(uint32_t key, uint32_t half) {
    uint32_t x = key ^ half * 0x9e3779b1u;
    x ^= x >> 16;
    x *= 0x85ebca6bu;
    x ^= x >> 13;
    x *= 0xc2b2ae35u;
    x ^= x >> 16;
    return (uint8_t)x;
}

static uint32_t forward(const pln_ports *ports, uint32_t value) {
    uint8_t left = (uint8_t)(value >> 8);
    uint8_t right = (uint8_t)value;
    for (int round = 0; round < PLN_PORTS_ROUNDS; round++) {
        uint8_t next = left ^ mix(ports->keys[round], right);
        left = right;
        right = next;
    }
    return (uint32_t)left << 8 | right;
}

static uint32_t backward(const pln_ports *ports, uint32_t value) {
    uint8_t left = (uint8_t)(value >> 8);
    uint8_t right = (uint8_t)value;
    for (int round = PLN_PORTS_ROUNDS - 1; round >= 0; round--) {
        uint8_t previous = right ^ mix(ports->keys[round], left);
        right = left;
        left = previous;
    }
    return (uint32_t)left << 8 | right;
}

void pln_ports_init(pln_ports *ports, const pln_rng *rng) {
    for (int round = 0; round < PLN_PORTS_ROUNDS; round++) {
        ports->keys[round] = (uint32_t)pln_rng_u64(rng);
    }
    ports->drawn = 0;
}

uint16_t pln_ports_next(pln_ports *ports) {
    uint32_t value = ports->drawn % PLN_PORTS_COUNT;
    do {
        value = forward(ports, value);
    } while (value >= PLN_PORTS_COUNT);
    /* The count stays in its second round, so that it never overflows. */
    ports->drawn++;
    if (ports->drawn >= 2 * PLN_PORTS_COUNT) {
        ports->drawn -= PLN_PORTS_COUNT;
    }
    PLN_ASSERT(value + PLN_PORTS_FIRST <= UINT16_MAX);
    return (uint16_t)(value + PLN_PORTS_FIRST);
}

bool pln_ports_is_recent(const pln_ports *ports, uint16_t port, uint32_t count) {
    if (port < PLN_PORTS_FIRST || count == 0 || ports->drawn == 0) {
        return false;
    }
    uint32_t index = (uint32_t)port - PLN_PORTS_FIRST;
    do {
        index = backward(ports, index);
    } while (index >= PLN_PORTS_COUNT);
    uint32_t most = ports->drawn < PLN_PORTS_COUNT ? ports->drawn : PLN_PORTS_COUNT;
    uint32_t last = (ports->drawn - 1) % PLN_PORTS_COUNT;
    uint32_t age = (last + PLN_PORTS_COUNT - index) % PLN_PORTS_COUNT;
    return age < (count < most ? count : most);
}
