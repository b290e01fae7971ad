/* SPDX-License-Identifier: Apache-2.0 */
/* What is remembered of peers beyond their punches, so that starting another buys nothing. */
#include "base/assert.h"
#include "base/mem.h"
#include "sock/internal.h"

static sock_memory *find(const pln_sock *sock, const pollen_key *peer) {
    for (size_t i = 0; i < sock->memory_count; i++) {
        if (pln_key_equal(&sock->memories[i].peer, peer)) {
            return &sock->memories[i];
        }
    }
    return NULL;
}

static bool make_room(pln_sock *sock) {
    PLN_ASSERT(sock->memory_count <= sock->memory_cap);
    if (sock->memory_count < sock->memory_cap) {
        return true;
    }
    size_t cap = sock->memory_cap == 0 ? 8 : sock->memory_cap * 2;
    cap = cap > PLN_PUNCH_MEMORY_MAX ? PLN_PUNCH_MEMORY_MAX : cap;
    if (cap == sock->memory_cap) {
        return false;
    }
    sock_memory *memories = pln_realloc(sock->memories, cap * sizeof(*memories));
    if (memories == NULL) {
        return false;
    }
    sock->memories = memories;
    sock->memory_cap = cap;
    return true;
}

static pln_dur interval_of(const sock_memory *memory) {
    pln_dur interval = PLN_BIRTHDAY_INTERVAL;
    for (unsigned i = 1; i < memory->failures && interval < PLN_BIRTHDAY_INTERVAL_MAX; i++) {
        interval *= 2;
    }
    return interval < PLN_BIRTHDAY_INTERVAL_MAX ? interval : PLN_BIRTHDAY_INTERVAL_MAX;
}

/* Until when forgetting it would let a birthday come sooner, or make the pause after it shorter:
 * the more often it has failed, the longer it is kept. */
static pln_ts worth_until(const sock_memory *memory) {
    return memory->birthday_at == PLN_TS_NEVER
               ? 0
               : pln_ts_add(memory->birthday_at, 2 * interval_of(memory));
}

static bool is_worth_less(const sock_memory *a, const sock_memory *b) {
    const pln_ts until_a = worth_until(a), until_b = worth_until(b);
    return until_a != until_b ? until_a < until_b : a->used_at < b->used_at;
}

/* The one that is worth least: peers that a member invents push out each other, and not those that
 * we fail to reach.  There are more of them than punches. */
static sock_memory *least(const pln_sock *sock) {
    sock_memory *found = NULL;
    for (size_t i = 0; i < sock->memory_count; i++) {
        sock_memory *memory = &sock->memories[i];
        if (!memory->busy && (found == NULL || is_worth_less(memory, found))) {
            found = memory;
        }
    }
    return found;
}

sock_memory *pln_sock_remember(pln_sock *sock, const pollen_key *peer, pln_ts now) {
    sock_memory *memory = find(sock, peer);
    if (memory == NULL) {
        if (make_room(sock)) {
            memory = &sock->memories[sock->memory_count];
            sock->memory_count++;
        } else {
            memory = least(sock);
        }
        if (memory == NULL) {
            return NULL;
        }
        *memory = (sock_memory){.peer = *peer, .birthday_at = PLN_TS_NEVER};
        pln_ports_init(&memory->ports, &sock->config.rng);
    }
    PLN_ASSERT(!memory->busy);
    memory->used_at = now;
    return memory;
}

pln_ts pln_sock_birthday_allowed_at(const pln_sock *sock, const sock_memory *memory,
                                    const pollen_addr *addr) {
    pln_ts at = 0;
    if (memory->birthday_at != PLN_TS_NEVER) {
        at = pln_ts_add(memory->birthday_at, interval_of(memory));
    }
    for (size_t i = 0; i < sock->memory_count; i++) {
        const sock_memory *other = &sock->memories[i];
        if (other->birthday_at != PLN_TS_NEVER && pln_sock_same_host(&other->addr, addr)) {
            pln_ts then = pln_ts_add(other->birthday_at, PLN_BIRTHDAY_ADDRESS_INTERVAL);
            at = then > at ? then : at;
        }
    }
    return at;
}

void pln_sock_forget_failures(pln_sock *sock) {
    for (size_t i = 0; i < sock->memory_count; i++) {
        sock->memories[i].failures = 0;
        sock->memories[i].birthday_at = PLN_TS_NEVER;
    }
}
