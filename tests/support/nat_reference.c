/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How the reference punches: 256 sockets send one request each and listen for a second, the main
 * socket sends one to the known port and 255 to ports drawn with repeats; the first answer wins,
 * and what is dialled is its sender.  Only the main socket accepts dials.
 */
#include <stdlib.h>
#include <string.h>

#include "sock/probe.h"
#include "support/nat_world.h"

enum { MANY = 256 };

#define LISTEN PLN_S(1)
#define BUDGET PLN_S(3)

struct nat_reference {
    uint8_t nonces[1 + MANY][PLN_PROBE_NONCE_BYTES]; /* By socket, the main one first. */
    bool fired, won;
    pln_ts fired_at, dialled_at;
    pln_path winner;
};

nat_reference *nat_reference_create(void) {
    return calloc(1, sizeof(nat_reference));
}

void nat_reference_destroy(nat_reference *reference) {
    free(reference);
}

static void request(nat_world *world, size_t index, const pln_path *path) {
    nat_reference *self = world->hosts[index].reference;
    pln_probe probe = {.kind = PLN_PROBE_REQUEST};
    memcpy(probe.nonce, self->nonces[path->via], sizeof(probe.nonce));
    uint8_t buf[PLN_PROBE_BYTES];
    pln_probe_encode(&probe, buf);
    nat_world_send(world, index, path, 0, buf, sizeof(buf));
}

static void fire(nat_world *world, size_t index) {
    nat_host *host = &world->hosts[index];
    nat_reference *self = host->reference;
    self->fired = true;
    self->fired_at = world->now;
    pln_rng_fill(&world->rng, self->nonces[0], sizeof(self->nonces));
    pln_path path = {.remote = host->plan.targets[0].addr};
    for (path.via = 1; path.via <= MANY; path.via++) {
        nat_world_open_socket(host, path.via);
        request(world, index, &path);
    }
    path.via = PLN_VIA_MAIN;
    request(world, index, &path);
    for (int i = 1; i < MANY; i++) {
        path.remote.port = (uint16_t)(1024 + pln_rng_below(&world->rng, 65536) % 64512);
        request(world, index, &path);
    }
}

static void dial(nat_world *world, size_t index) {
    nat_reference *self = world->hosts[index].reference;
    uint8_t kind = NAT_DIAL;
    self->dialled_at = world->now;
    nat_world_send(world, index, &self->winner, 0, &kind, 1);
}

static void close_sockets(nat_host *host, uint32_t kept) {
    for (size_t i = 0; i < host->socket_count; i++) {
        uint32_t via = host->sockets[i].via;
        if (host->sockets[i].open && via != PLN_VIA_MAIN && via != kept) {
            nat_world_close_socket(host, via);
        }
    }
}

void nat_reference_drive(nat_world *world, size_t index) {
    nat_host *host = &world->hosts[index];
    nat_reference *self = host->reference;
    if (host->punch_at <= world->now) {
        host->punch_at = PLN_TS_NEVER;
        fire(world, index);
    }
    if (!self->fired || host->over) {
        return;
    }
    if (world->now >= self->fired_at + LISTEN) {
        close_sockets(host, self->won ? self->winner.via : PLN_VIA_MAIN);
    }
    if (self->won && !host->connected && world->now >= self->dialled_at + PLN_MS(200)) {
        dial(world, index);
    }
    host->over = world->now >= self->fired_at + BUDGET;
}

pln_ts nat_reference_next(const nat_world *world, size_t index) {
    const nat_host *host = &world->hosts[index];
    const nat_reference *self = host->reference;
    if (!self->fired || host->over) {
        return host->punch_at;
    }
    pln_ts next = self->fired_at + BUDGET;
    if (world->now < self->fired_at + LISTEN) {
        next = self->fired_at + LISTEN;
    }
    return self->won && !host->connected ? pln_ts_min(next, self->dialled_at + PLN_MS(200)) : next;
}

static void handle_probe(nat_world *world, size_t index, const pln_datagram *datagram) {
    nat_reference *self = world->hosts[index].reference;
    pln_probe probe;
    if (!pln_probe_decode(datagram->data, datagram->size, &probe)) {
        return;
    }
    if (probe.kind == PLN_PROBE_REQUEST) {
        probe.kind = PLN_PROBE_RESPONSE;
        uint8_t buf[PLN_PROBE_BYTES];
        pln_probe_encode(&probe, buf);
        nat_world_send(world, index, &datagram->path, 0, buf, sizeof(buf));
    } else if (self->fired && !self->won &&
               memcmp(probe.nonce, self->nonces[datagram->path.via], sizeof(probe.nonce)) == 0) {
        self->won = true;
        self->winner = datagram->path;
        dial(world, index);
    }
}

static void connected(nat_world *world, size_t index, const pln_path *path) {
    nat_host *host = &world->hosts[index];
    if (!host->connected) {
        host->connected = true;
        host->session = *path;
        host->connected_at = world->now;
    }
}

void nat_reference_handle(nat_world *world, size_t index, const pln_datagram *datagram) {
    uint8_t kind = datagram->data[0];
    if (kind == NAT_DIAL && datagram->path.via == PLN_VIA_MAIN) {
        kind = NAT_ACCEPT;
        nat_world_send(world, index, &datagram->path, 0, &kind, 1);
    } else if (kind == NAT_ACCEPT) {
        kind = NAT_FINISH;
        nat_world_send(world, index, &datagram->path, 0, &kind, 1);
        connected(world, index, &datagram->path);
    } else if (kind == NAT_FINISH) {
        connected(world, index, &datagram->path);
    } else {
        handle_probe(world, index, datagram);
    }
}
