/* SPDX-License-Identifier: Apache-2.0 */
#include "nat.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"

enum { PORT_FIRST = 1024, PORTS = 65536 - PORT_FIRST };
enum { SEQ_FIRST = 30000, SEQ_COUNT = 4096, STRIDE_COUNT = 20000 };
enum { SWEEP_FIRST = 256, ENTRIES_DEFAULT = 65536 };

/* Both ends of a flow as bytes, to be hashed and compared. */
typedef struct flow_key {
    uint8_t bytes[36];
} flow_key;

typedef struct flow {
    flow_key out_key; /* Inside endpoint, remote. */
    flow_key in_key;  /* Outside port, remote. */
    UT_hash_handle hh_out, hh_in;
    pollen_addr inside; /* Port 0: the NAT itself took the packet. */
    pollen_addr remote;
    uint16_t port;
    bool from_inside, from_outside; /* Directions seen. */
    pln_ts expires;
} flow;

/* Kinds with one port an endpoint. */
typedef struct endpoint {
    pollen_addr inside;
    uint8_t key[18];
    uint16_t port;
    size_t flows;
    UT_hash_handle hh, hh_port;
} endpoint;

struct sim_nat {
    sim_nat_config config;
    pln_rng rng;
    flow *by_out, *by_in;
    endpoint *endpoints, *endpoints_by_port;
    uint64_t sequence;
    size_t sweep_at;
    sim_nat_counts counts;
};

static const char *const names[SIM_NAT_KINDS] = {
    [SIM_NAT_PLAIN] = "plain",
    [SIM_NAT_PLAIN_OPEN] = "plainopen",
    [SIM_NAT_PLAIN_REJECT] = "plainreject",
    [SIM_NAT_APDF] = "apdf",
    [SIM_NAT_ADF] = "adf",
    [SIM_NAT_EIF] = "eif",
    [SIM_NAT_EDM_RANDOM] = "edm_random",
    [SIM_NAT_EDM_SEQ] = "edm_seq",
    [SIM_NAT_EDM_STRIDE256] = "edm_stride256",
    [SIM_NAT_DROP] = "drop",
};

const char *sim_nat_kind_name(sim_nat_kind kind) {
    return names[kind];
}

static bool is_endpoint_kind(const sim_nat *nat) {
    return nat->config.kind == SIM_NAT_APDF || nat->config.kind == SIM_NAT_ADF ||
           nat->config.kind == SIM_NAT_EIF;
}

sim_nat *sim_nat_create(const sim_nat_config *config, pln_rng rng) {
    sim_nat *nat = calloc(1, sizeof *nat);
    PLN_ASSERT(nat != NULL);
    nat->config = *config;
    nat->config.unreplied = config->unreplied == 0 ? PLN_S(30) : config->unreplied;
    nat->config.replied = config->replied == 0 ? PLN_S(120) : config->replied;
    nat->config.entries_max = config->entries_max == 0 ? ENTRIES_DEFAULT : config->entries_max;
    nat->rng = rng;
    nat->sweep_at = SWEEP_FIRST;
    return nat;
}

const sim_nat_config *sim_nat_get_config(const sim_nat *nat) {
    return &nat->config;
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static uint8_t *put_addr(uint8_t *at, const pollen_addr *addr) {
    memcpy(at, addr->ip, 16);
    at[16] = (uint8_t)(addr->port >> 8);
    at[17] = (uint8_t)addr->port;
    return at + 18;
}

static flow_key key_of(const pollen_addr *one, const pollen_addr *other) {
    flow_key key;
    (void)put_addr(put_addr(key.bytes, one), other);
    return key;
}

static flow_key in_key_of(uint16_t port, const pollen_addr *remote) {
    const pollen_addr outside = {.port = port};
    return key_of(&outside, remote);
}

/* ---- Endpoints ------------------------------------------------------------------------------- */

static endpoint *find_endpoint(const sim_nat *nat, const pollen_addr *inside) {
    uint8_t key[18];
    endpoint *found = NULL;
    (void)put_addr(key, inside);
    HASH_FIND(hh, nat->endpoints, key, sizeof key, found);
    return found;
}

static endpoint *endpoint_of_port(const sim_nat *nat, uint16_t port) {
    endpoint *found = NULL;
    HASH_FIND(hh_port, nat->endpoints_by_port, &port, sizeof port, found);
    return found;
}

static void add_endpoint(sim_nat *nat, const pollen_addr *inside, uint16_t port) {
    endpoint *added = calloc(1, sizeof *added);
    PLN_ASSERT(added != NULL);
    added->inside = *inside;
    added->port = port;
    (void)put_addr(added->key, inside);
    HASH_ADD(hh, nat->endpoints, key, sizeof added->key, added);
    HASH_ADD(hh_port, nat->endpoints_by_port, port, sizeof added->port, added);
}

static void release_endpoint(sim_nat *nat, const pollen_addr *inside) {
    endpoint *held = find_endpoint(nat, inside);
    if (held != NULL && --held->flows == 0) {
        HASH_DELETE(hh, nat->endpoints, held);
        HASH_DELETE(hh_port, nat->endpoints_by_port, held);
        free(held);
    }
}

/* ---- Flows ----------------------------------------------------------------------------------- */

static void remove_flow(sim_nat *nat, flow *gone) {
    if (gone->inside.port != 0) {
        HASH_DELETE(hh_out, nat->by_out, gone);
        if (is_endpoint_kind(nat)) {
            release_endpoint(nat, &gone->inside);
        }
    }
    HASH_DELETE(hh_in, nat->by_in, gone);
    nat->counts.entries--;
    free(gone);
}

void sim_nat_reset(sim_nat *nat) {
    flow *at, *next;
    HASH_ITER(hh_in, nat->by_in, at, next) {
        remove_flow(nat, at);
    }
}

void sim_nat_destroy(sim_nat *nat) {
    if (nat != NULL) {
        sim_nat_reset(nat);
        free(nat);
    }
}

static void sweep(sim_nat *nat, pln_ts now) {
    flow *at, *next;
    HASH_ITER(hh_in, nat->by_in, at, next) {
        if (pln_ts_reached(at->expires, now)) {
            remove_flow(nat, at);
        }
    }
    nat->sweep_at = nat->counts.entries < SWEEP_FIRST ? SWEEP_FIRST : 2 * nat->counts.entries;
}

/* NULL when it has run out. */
static flow *live(sim_nat *nat, flow *found, pln_ts now) {
    if (found != NULL && pln_ts_reached(found->expires, now)) {
        remove_flow(nat, found);
        return NULL;
    }
    return found;
}

static flow *flow_out(sim_nat *nat, const pollen_addr *inside, const pollen_addr *to, pln_ts now) {
    const flow_key key = key_of(inside, to);
    flow *found = NULL;
    HASH_FIND(hh_out, nat->by_out, &key, sizeof key, found);
    return live(nat, found, now);
}

static flow *flow_in(sim_nat *nat, uint16_t port, const pollen_addr *remote, pln_ts now) {
    const flow_key key = in_key_of(port, remote);
    flow *found = NULL;
    HASH_FIND(hh_in, nat->by_in, &key, sizeof key, found);
    return live(nat, found, now);
}

static void touch(const sim_nat *nat, flow *used, bool outwards, pln_ts now) {
    *(outwards ? &used->from_inside : &used->from_outside) = true;
    const bool replied = used->from_inside && used->from_outside;
    used->expires = pln_ts_add(now, replied ? nat->config.replied : nat->config.unreplied);
}

/* NULL when the table is full.  Inside port 0: for the NAT itself. */
static flow *add_flow(sim_nat *nat, const pollen_addr *inside, const pollen_addr *remote,
                      uint16_t port, pln_ts now) {
    if (nat->counts.entries >= nat->sweep_at || nat->counts.entries >= nat->config.entries_max) {
        sweep(nat, now);
    }
    if (nat->counts.entries >= nat->config.entries_max) {
        return NULL;
    }
    flow *added = calloc(1, sizeof *added);
    PLN_ASSERT(added != NULL);
    added->inside = *inside;
    added->remote = *remote;
    added->port = port;
    added->out_key = key_of(inside, remote);
    added->in_key = in_key_of(port, remote);
    if (inside->port != 0) {
        HASH_ADD(hh_out, nat->by_out, out_key, sizeof added->out_key, added);
    }
    HASH_ADD(hh_in, nat->by_in, in_key, sizeof added->in_key, added);
    if (inside->port != 0 && is_endpoint_kind(nat)) {
        find_endpoint(nat, inside)->flows++;
    }
    nat->counts.created++;
    nat->counts.entries++;
    if (nat->counts.entries > nat->counts.entries_peak) {
        nat->counts.entries_peak = nat->counts.entries;
    }
    return added;
}

/* ---- Ports ----------------------------------------------------------------------------------- */

static bool is_taken(sim_nat *nat, uint16_t port, const pollen_addr *remote, pln_ts now) {
    return is_endpoint_kind(nat) ? endpoint_of_port(nat, port) != NULL
                                 : flow_in(nat, port, remote, now) != NULL;
}

static uint16_t random_port(sim_nat *nat, const pollen_addr *remote, pln_ts now) {
    const uint64_t first = pln_rng_below(&nat->rng, PORTS);
    for (uint64_t i = 0; i < PORTS; i++) {
        const uint16_t port = (uint16_t)(PORT_FIRST + (first + i) % PORTS);
        if (!is_taken(nat, port, remote, now)) {
            return port;
        }
    }
    return 0;
}

static uint16_t kept_port(sim_nat *nat, uint16_t port, const pollen_addr *remote, pln_ts now) {
    return is_taken(nat, port, remote, now) ? random_port(nat, remote, now) : port;
}

/* The stride is what a counter in host order makes of a port in network order. */
static uint16_t counted_port(sim_nat *nat, const pollen_addr *remote, pln_ts now) {
    const bool strides = nat->config.kind == SIM_NAT_EDM_STRIDE256;
    const unsigned count = strides ? STRIDE_COUNT : SEQ_COUNT;
    for (unsigned i = 0; i < count; i++) {
        const unsigned number = SEQ_FIRST + (unsigned)(nat->sequence++ % count);
        const uint16_t port = (uint16_t)(strides ? (number << 8 | number >> 8) : number);
        if (!is_taken(nat, port, remote, now)) {
            return port;
        }
    }
    return 0;
}

/* For a new flow; 0 when none is left. */
static uint16_t choose_port(sim_nat *nat, const pollen_addr *inside, const pollen_addr *to,
                            pln_ts now) {
    switch (nat->config.kind) {
    case SIM_NAT_PLAIN:
    case SIM_NAT_PLAIN_OPEN:
    case SIM_NAT_PLAIN_REJECT:
        return kept_port(nat, inside->port, to, now);
    case SIM_NAT_APDF:
    case SIM_NAT_ADF:
    case SIM_NAT_EIF: {
        const endpoint *known = find_endpoint(nat, inside);
        if (known != NULL) {
            return known->port;
        }
        const uint16_t port = kept_port(nat, inside->port, to, now);
        if (port != 0) {
            add_endpoint(nat, inside, port);
        }
        return port;
    }
    case SIM_NAT_EDM_RANDOM:
        return random_port(nat, to, now);
    case SIM_NAT_EDM_SEQ:
    case SIM_NAT_EDM_STRIDE256:
        return counted_port(nat, to, now);
    case SIM_NAT_DROP:
    case SIM_NAT_KINDS:
        break;
    }
    return 0;
}

/* ---- Packets --------------------------------------------------------------------------------- */

bool sim_nat_out(sim_nat *nat, const pollen_addr *from, const pollen_addr *to, pln_ts now,
                 pollen_addr *ret_from) {
    flow *used = flow_out(nat, from, to, now);
    if (used == NULL && is_endpoint_kind(nat)) {
        sweep(nat, now); /* An endpoint keeps its port as long as one of its flows lives. */
    }
    if (used == NULL) {
        const uint16_t port = choose_port(nat, from, to, now);
        used = port != 0 ? add_flow(nat, from, to, port, now) : NULL;
    }
    if (used == NULL) {
        nat->counts.dropped_out++;
        return false;
    }
    touch(nat, used, true, now);
    nat->counts.out++;
    *ret_from = nat->config.outside;
    ret_from->port = used->port;
    return true;
}

static bool has_sent_to_ip(const sim_nat *nat, uint16_t port, const pollen_addr *remote) {
    for (const flow *at = nat->by_in; at != NULL; at = at->hh_in.next) {
        if (at->port == port && memcmp(at->remote.ip, remote->ip, 16) == 0 && at->from_inside) {
            return true;
        }
    }
    return false;
}

/* A packet of no flow; NULL: not let in. */
static flow *admit(sim_nat *nat, const pollen_addr *from, uint16_t port, pln_ts now) {
    const pollen_addr itself = {.port = 0};
    const endpoint *known;
    switch (nat->config.kind) {
    case SIM_NAT_PLAIN_OPEN:
        /* Nobody listens there, but the entry is in the way of our own flow to that remote. */
        return add_flow(nat, &itself, from, port, now);
    case SIM_NAT_ADF:
    case SIM_NAT_EIF:
        sweep(nat, now);
        known = endpoint_of_port(nat, port);
        if (known == NULL ||
            (nat->config.kind == SIM_NAT_ADF && !has_sent_to_ip(nat, port, from))) {
            return NULL;
        }
        return add_flow(nat, &known->inside, from, port, now);
    case SIM_NAT_PLAIN:
    case SIM_NAT_PLAIN_REJECT:
    case SIM_NAT_APDF:
    case SIM_NAT_EDM_RANDOM:
    case SIM_NAT_EDM_SEQ:
    case SIM_NAT_EDM_STRIDE256:
    case SIM_NAT_DROP:
    case SIM_NAT_KINDS:
        break;
    }
    return NULL;
}

bool sim_nat_in(sim_nat *nat, const pollen_addr *from, uint16_t port, pln_ts now,
                pollen_addr *ret_to) {
    flow *used = flow_in(nat, port, from, now);
    if (used == NULL) {
        used = admit(nat, from, port, now);
    }
    if (used != NULL) {
        touch(nat, used, false, now);
    }
    if (used == NULL || used->inside.port == 0) {
        nat->counts.dropped_in++;
        return false;
    }
    nat->counts.in++;
    *ret_to = used->inside;
    return true;
}

sim_nat_counts sim_nat_count(sim_nat *nat, pln_ts now) {
    sweep(nat, now);
    return nat->counts;
}
