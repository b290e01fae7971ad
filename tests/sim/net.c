/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "base/hash.h"

#define MILLION 1000000u

typedef struct place {
    uint8_t ip[16];
    sim_realm realm;
    bool is_nat; /* The outside address of the NAT `realm` leads into. */
    sim_realm inside;
    UT_hash_handle hh;
} place;

typedef struct border {
    sim_nat *nat;
    sim_realm outside;
    pln_rng_seeded rng;
} border;

/* A packet with its place in the order at hand: tens of thousands are in flight at times. */
typedef struct flight {
    pln_ts at;
    uint64_t order;
    sim_packet *packet;
} flight;

struct sim_net {
    pln_rng rng;
    sim_link link;
    flight *heap; /* Binary, by (at, order). */
    size_t count, cap;
    uint64_t next_order;
    sim_net_counts counts;
    place *places;
    border borders[SIM_NATS_MAX]; /* By the realm inside; the first one is not used. */
    size_t border_count;
};

sim_net *sim_net_create(pln_rng rng, const sim_link *link) {
    sim_net *net = calloc(1, sizeof *net);
    PLN_ASSERT(net != NULL);
    net->rng = rng;
    net->link = *link;
    net->border_count = 1;
    return net;
}

void sim_net_destroy(sim_net *net) {
    if (net == NULL) {
        return;
    }
    for (size_t i = 0; i < net->count; i++) {
        free(net->heap[i].packet);
    }
    place *at, *next;
    HASH_ITER(hh, net->places, at, next) {
        HASH_DEL(net->places, at);
        free(at);
    }
    for (size_t i = 1; i < net->border_count; i++) {
        sim_nat_destroy(net->borders[i].nat);
    }
    free(net->heap);
    free(net);
}

void sim_net_set_link(sim_net *net, const sim_link *link) {
    net->link = *link;
}

/* ---- Where things stand ---------------------------------------------------------------------- */

static place *find_place(const sim_net *net, const pollen_addr *addr) {
    place *found = NULL;
    HASH_FIND(hh, net->places, addr->ip, sizeof addr->ip, found);
    return found;
}

static place *put(sim_net *net, const pollen_addr *addr, sim_realm realm) {
    place *at = find_place(net, addr);
    if (at == NULL) {
        at = calloc(1, sizeof *at);
        PLN_ASSERT(at != NULL);
        memcpy(at->ip, addr->ip, sizeof at->ip);
        HASH_ADD(hh, net->places, ip, sizeof at->ip, at);
    }
    at->realm = realm;
    return at;
}

void sim_net_place(sim_net *net, const pollen_addr *ip, sim_realm realm) {
    PLN_ASSERT(realm < net->border_count);
    (void)put(net, ip, realm);
}

sim_realm sim_net_add_nat(sim_net *net, const sim_nat_config *config, sim_realm outside) {
    PLN_ASSERT(net->border_count < SIM_NATS_MAX && outside < net->border_count);
    const sim_realm inside = (sim_realm)net->border_count++;
    border *added = &net->borders[inside];
    added->nat = sim_nat_create(config, pln_rng_from_seed(&added->rng, pln_rng_u64(&net->rng)));
    added->outside = outside;
    place *at = put(net, &config->outside, outside);
    at->is_nat = true;
    at->inside = inside;
    return inside;
}

sim_nat *sim_net_nat(const sim_net *net, sim_realm inside) {
    PLN_ASSERT(inside > SIM_CORE && inside < net->border_count);
    return net->borders[inside].nat;
}

static sim_realm realm_of(const sim_net *net, const pollen_addr *addr) {
    const place *at = find_place(net, addr);
    return at != NULL ? at->realm : SIM_CORE;
}

/* ---- The heap -------------------------------------------------------------------------------- */

static bool earlier(const flight *a, const flight *b) {
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void push(sim_net *net, sim_packet *packet) {
    if (net->count == net->cap) {
        net->cap = net->cap == 0 ? 64 : net->cap * 2;
        net->heap = realloc(net->heap, net->cap * sizeof(flight));
        PLN_ASSERT(net->heap != NULL);
    }
    const flight added = {.at = packet->at, .order = packet->order, .packet = packet};
    size_t i = net->count++;
    while (i > 0 && earlier(&added, &net->heap[(i - 1) / 2])) {
        net->heap[i] = net->heap[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    net->heap[i] = added;
}

static sim_packet *pop(sim_net *net) {
    sim_packet *top = net->heap[0].packet;
    const flight moved = net->heap[--net->count];
    size_t i = 0;
    for (size_t child = 1; child < net->count; child = 2 * i + 1) {
        if (child + 1 < net->count && earlier(&net->heap[child + 1], &net->heap[child])) {
            child++;
        }
        if (!earlier(&net->heap[child], &moved)) {
            break;
        }
        net->heap[i] = net->heap[child];
        i = child;
    }
    net->heap[i] = moved;
    return top;
}

/* ---- The way --------------------------------------------------------------------------------- */

static bool take_hop(sim_net *net, sim_packet *head) {
    if (head->ttl <= 1) {
        net->counts.expired++;
        return false;
    }
    head->ttl--;
    return true;
}

/* From inside a NAT to its own outside address and back in. */
static bool hairpin(sim_net *net, sim_packet *head, const border *at, pln_ts now) {
    return sim_nat_get_config(at->nat)->hairpin && take_hop(net, head) &&
           sim_nat_out(at->nat, &head->from, &head->to, now, &head->from) &&
           sim_nat_in(at->nat, &head->from, head->to.port, now, &head->to);
}

/* Takes a packet from the sender to where it waits out its delay: before the door of a NAT, or at
 * the host itself.  False: it got lost on the way. */
static bool route(sim_net *net, sim_packet *head, pln_ts now) {
    sim_realm realm = realm_of(net, &head->from);
    for (;;) {
        const place *target = find_place(net, &head->to);
        const bool is_here = target != NULL ? target->realm == realm : realm == SIM_CORE;
        if (is_here) {
            head->door = target != NULL && target->is_nat ? target->inside : 0;
            return realm != SIM_CORE || take_hop(net, head);
        }
        const border *at = &net->borders[realm];
        if (realm == SIM_CORE) {
            net->counts.refused++; /* A private address of somebody else's. */
            return false;
        }
        const bool is_own_outside = target != NULL && target->is_nat && target->inside == realm;
        if (is_own_outside) {
            const bool in = hairpin(net, head, at, now);
            net->counts.refused += !in;
            return in;
        }
        if (!take_hop(net, head)) {
            return false;
        }
        if (!sim_nat_out(at->nat, &head->from, &head->to, now, &head->from)) {
            net->counts.refused++;
            return false;
        }
        realm = at->outside;
    }
}

/* Through the doors of NATs to the host.  False: it was not let in. */
static bool enter(sim_net *net, sim_packet *packet, pln_ts now) {
    while (packet->door != 0) {
        sim_nat *nat = net->borders[packet->door].nat;
        if (!sim_nat_in(nat, &packet->from, packet->to.port, now, &packet->to)) {
            net->counts.refused++;
            return false;
        }
        if (!take_hop(net, packet)) {
            return false;
        }
        const place *target = find_place(net, &packet->to);
        packet->door = target != NULL && target->is_nat ? target->inside : 0;
    }
    return true;
}

/* ---- Packets --------------------------------------------------------------------------------- */

static bool chance(sim_net *net, uint32_t ppm) {
    return ppm > 0 && pln_rng_below(&net->rng, MILLION) < ppm;
}

static void launch(sim_net *net, const sim_packet *model, const uint8_t *data) {
    sim_packet *packet = malloc(sizeof *packet + model->size);
    PLN_ASSERT(packet != NULL);
    *packet = *model;
    memcpy(packet->data, data, model->size);
    packet->order = net->next_order++;
    packet->at = pln_ts_add(model->at, net->link.delay);
    if (net->link.jitter > 0) {
        packet->at = pln_ts_add(packet->at, pln_rng_below(&net->rng, net->link.jitter));
    }
    if (model->size > 0 && chance(net, net->link.corrupt_ppm)) {
        packet->data[pln_rng_below(&net->rng, model->size)] ^= 0x20;
        net->counts.corrupted++;
    }
    push(net, packet);
}

/* What gets lost is lost in the core: it has left the sender's NAT, which took note of it. */
void sim_net_send(sim_net *net, const sim_datagram *datagram, pln_ts now) {
    net->counts.sent++;
    net->counts.bytes += datagram->size;
    sim_packet head = {.at = now,
                       .from = datagram->from,
                       .to = datagram->to,
                       .tag = datagram->tag,
                       .ecn = datagram->ecn,
                       .ttl = datagram->ttl == 0 ? SIM_TTL_DEFAULT : datagram->ttl,
                       .size = datagram->size};
    const bool arrives = route(net, &head, now);
    if (datagram->size > net->link.mtu || chance(net, net->link.loss_ppm)) {
        net->counts.lost++;
        return;
    }
    if (!arrives) {
        return;
    }
    launch(net, &head, datagram->data);
    if (chance(net, net->link.duplicate_ppm)) {
        net->counts.duplicated++;
        launch(net, &head, datagram->data);
    }
}

pln_ts sim_net_next(const sim_net *net) {
    return net->count == 0 ? PLN_TS_NEVER : net->heap[0].at;
}

sim_packet *sim_net_take(sim_net *net, pln_ts now) {
    while (net->count > 0 && net->heap[0].at <= now) {
        sim_packet *packet = pop(net);
        if (enter(net, packet, packet->at)) {
            return packet;
        }
        free(packet);
    }
    return NULL;
}

sim_net_counts sim_net_count(const sim_net *net) {
    return net->counts;
}
