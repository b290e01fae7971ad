/* SPDX-License-Identifier: Apache-2.0 */
#include "net.h"

#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define MILLION 1000000u

struct sim_net {
    pln_rng rng;
    sim_link link;
    sim_packet **heap; /* Binary, by (at, order). */
    size_t count, cap;
    uint64_t next_order;
    sim_net_counts counts;
};

sim_net *sim_net_create(pln_rng rng, const sim_link *link) {
    sim_net *net = calloc(1, sizeof *net);
    PLN_ASSERT(net != NULL);
    net->rng = rng;
    net->link = *link;
    return net;
}

void sim_net_destroy(sim_net *net) {
    if (net == NULL) {
        return;
    }
    for (size_t i = 0; i < net->count; i++) {
        free(net->heap[i]);
    }
    free(net->heap);
    free(net);
}

void sim_net_set_link(sim_net *net, const sim_link *link) {
    net->link = *link;
}

static bool earlier(const sim_packet *a, const sim_packet *b) {
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(sim_packet **a, sim_packet **b) {
    sim_packet *held = *a;
    *a = *b;
    *b = held;
}

static void push(sim_net *net, sim_packet *packet) {
    if (net->count == net->cap) {
        net->cap = net->cap == 0 ? 64 : net->cap * 2;
        net->heap = realloc(net->heap, net->cap * sizeof(sim_packet *));
        PLN_ASSERT(net->heap != NULL);
    }
    size_t i = net->count++;
    net->heap[i] = packet;
    while (i > 0 && earlier(net->heap[i], net->heap[(i - 1) / 2])) {
        swap(&net->heap[i], &net->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
}

static sim_packet *pop(sim_net *net) {
    sim_packet *top = net->heap[0];
    net->heap[0] = net->heap[--net->count];
    for (size_t i = 0;;) {
        size_t least = i, left = 2 * i + 1, right = left + 1;
        if (left < net->count && earlier(net->heap[left], net->heap[least])) {
            least = left;
        }
        if (right < net->count && earlier(net->heap[right], net->heap[least])) {
            least = right;
        }
        if (least == i) {
            return top;
        }
        swap(&net->heap[i], &net->heap[least]);
        i = least;
    }
}

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

void sim_net_send(sim_net *net, const pollen_addr *from, const pollen_addr *to, uint8_t ecn,
                  const uint8_t *data, size_t size, pln_ts now) {
    net->counts.sent++;
    net->counts.bytes += size;
    if (size > net->link.mtu || chance(net, net->link.loss_ppm)) {
        net->counts.lost++;
        return;
    }
    const sim_packet model = {.at = now, .from = *from, .to = *to, .ecn = ecn, .size = size};
    launch(net, &model, data);
    if (chance(net, net->link.duplicate_ppm)) {
        net->counts.duplicated++;
        launch(net, &model, data);
    }
}

pln_ts sim_net_next(const sim_net *net) {
    return net->count == 0 ? PLN_TS_NEVER : net->heap[0]->at;
}

sim_packet *sim_net_take(sim_net *net, pln_ts now) {
    return net->count > 0 && net->heap[0]->at <= now ? pop(net) : NULL;
}

sim_net_counts sim_net_count(const sim_net *net) {
    return net->counts;
}
