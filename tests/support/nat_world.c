/* SPDX-License-Identifier: Apache-2.0 */
#include "support/nat_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sock/probe.h"

/* clang-format off */
const nat_kind nat_none = {.mapping = POLLEN_NAT_MAPPING_NONE, .filter = NAT_EIF};
const nat_kind nat_plain = {.mapping = POLLEN_NAT_MAPPING_EASY,
                            .allocation = POLLEN_NAT_ALLOCATION_PRESERVING, .filter = NAT_APDF};
const nat_kind nat_plainopen = {.mapping = POLLEN_NAT_MAPPING_EASY,
                                .allocation = POLLEN_NAT_ALLOCATION_PRESERVING, .filter = NAT_APDF,
                                .open_input = true};
const nat_kind nat_adf = {.mapping = POLLEN_NAT_MAPPING_EASY,
                          .allocation = POLLEN_NAT_ALLOCATION_PRESERVING, .filter = NAT_ADF};
const nat_kind nat_eif = {.mapping = POLLEN_NAT_MAPPING_EASY,
                          .allocation = POLLEN_NAT_ALLOCATION_PRESERVING, .filter = NAT_EIF};
const nat_kind nat_edm_random = {.mapping = POLLEN_NAT_MAPPING_HARD,
                                 .allocation = POLLEN_NAT_ALLOCATION_RANDOM, .filter = NAT_APDF};
const nat_kind nat_edm_seq = {.mapping = POLLEN_NAT_MAPPING_HARD,
                              .allocation = POLLEN_NAT_ALLOCATION_SEQUENTIAL, .filter = NAT_APDF,
                              .step = 1};
const nat_kind nat_edm_stride256 = {.mapping = POLLEN_NAT_MAPPING_HARD,
                                    .allocation = POLLEN_NAT_ALLOCATION_SEQUENTIAL,
                                    .filter = NAT_APDF, .step = 256};
const nat_kind nat_cgn = {.mapping = POLLEN_NAT_MAPPING_EASY,
                          .allocation = POLLEN_NAT_ALLOCATION_PRESERVING, .filter = NAT_APDF,
                          .far = true};
const nat_kind nat_cgn_hard = {.mapping = POLLEN_NAT_MAPPING_HARD,
                               .allocation = POLLEN_NAT_ALLOCATION_RANDOM, .filter = NAT_APDF,
                               .far = true};
/* clang-format on */

#define MAIN_PORT 60611

static void check(bool holds, const char *what) {
    if (!holds) {
        fprintf(stderr, "nat_world: %s\n", what);
        abort();
    }
}

/* ---- NATs ------------------------------------------------------------------------------------ */

static bool same_ip(const pollen_addr *a, const pollen_addr *b) {
    return memcmp(a->ip, b->ip, sizeof(a->ip)) == 0;
}

/* Entries on an outer port, one after the other; 0 ends. */
static const nat_entry *first_on(const nat_box *box, uint16_t outer_port) {
    size_t index = box->by_outer[outer_port];
    return index == 0 ? NULL : &box->entries[index - 1];
}

static const nat_entry *next_on(const nat_box *box, const nat_entry *entry) {
    return entry->next_by_outer == 0 ? NULL : &box->entries[entry->next_by_outer - 1];
}

static bool is_taken(const nat_box *box, uint16_t port, const pollen_addr *remote) {
    for (const nat_entry *e = first_on(box, port); e != NULL; e = next_on(box, e)) {
        if (e->remote.port == 0 || pollen_addr_equal(&e->remote, remote)) {
            return true;
        }
    }
    return false;
}

/* Counts 30000 to 49999; in steps of 256 it is the number in the other byte order. */
static uint16_t next_in_sequence(nat_box *box) {
    box->next_port = (uint16_t)(box->next_port >= 49999 ? 30000 : box->next_port + 1);
    unsigned port = box->next_port;
    return box->kind.step == 256 ? (uint16_t)(port << 8 | port >> 8) : (uint16_t)port;
}

static uint16_t draw_port(nat_world *world, nat_box *box, const pollen_addr *remote) {
    uint16_t port;
    do {
        if (box->kind.allocation == POLLEN_NAT_ALLOCATION_SEQUENTIAL) {
            port = next_in_sequence(box);
        } else {
            port = (uint16_t)(1024 + pln_rng_below(&world->rng, 64512));
        }
    } while (is_taken(box, port, remote));
    return port;
}

static nat_entry *add_entry(nat_box *box, nat_entry entry) {
    check(box->entry_count < NAT_ENTRIES_MAX, "too many entries");
    entry.next_by_outer = box->by_outer[entry.outer_port];
    entry.next_by_remote = box->by_remote[entry.remote.port];
    box->entries[box->entry_count++] = entry;
    box->by_outer[entry.outer_port] = (uint16_t)box->entry_count;
    box->by_remote[entry.remote.port] = (uint16_t)box->entry_count;
    return &box->entries[box->entry_count - 1];
}

static bool has_flow(const nat_box *box, uint16_t local_port, const pollen_addr *remote) {
    for (size_t i = box->flow_by_remote[remote->port]; i != 0;
         i = box->flows[i - 1].next_by_remote) {
        if (box->flows[i - 1].local_port == local_port &&
            pollen_addr_equal(&box->flows[i - 1].remote, remote)) {
            return true;
        }
    }
    return false;
}

static void add_flow(nat_box *box, uint16_t local_port, const pollen_addr *remote) {
    if (has_flow(box, local_port, remote)) {
        return;
    }
    check(box->flow_count < NAT_ENTRIES_MAX, "too many flows");
    box->flows[box->flow_count++] = (nat_flow){.local_port = local_port,
                                               .remote = *remote,
                                               .next_by_remote = box->flow_by_remote[remote->port]};
    box->flow_by_remote[remote->port] = (uint16_t)box->flow_count;
}

/* An entry that an uninvited packet of this remote's made on the port that ours would have. */
static bool clashes(const nat_box *box, uint16_t port, const pollen_addr *remote) {
    for (const nat_entry *e = first_on(box, port); e != NULL; e = next_on(box, e)) {
        if (e->input && pollen_addr_equal(&e->remote, remote)) {
            return true;
        }
    }
    return false;
}

/* Of that local port to that remote; remote.port 0: to anybody. */
static nat_entry *find_out(nat_box *box, uint16_t local_port, const pollen_addr *remote) {
    for (size_t i = box->by_remote[remote->port]; i != 0; i = box->entries[i - 1].next_by_remote) {
        nat_entry *entry = &box->entries[i - 1];
        if (!entry->input && entry->local_port == local_port &&
            (remote->port == 0 || pollen_addr_equal(&entry->remote, remote))) {
            return entry;
        }
    }
    return NULL;
}

static uint16_t translate_easy(nat_world *world, nat_box *box, uint16_t local_port,
                               const pollen_addr *remote) {
    nat_entry *own = find_out(box, local_port, remote);
    if (own != NULL) {
        return own->outer_port; /* Remapped before. */
    }
    nat_entry *any = find_out(box, local_port, &(pollen_addr){.port = 0});
    if (any == NULL) {
        uint16_t port =
            is_taken(box, local_port, remote) ? draw_port(world, box, remote) : local_port;
        any = add_entry(box, (nat_entry){.local_port = local_port, .outer_port = port});
    }
    if (clashes(box, any->outer_port, remote)) {
        uint16_t port = draw_port(world, box, remote);
        return add_entry(
                   box,
                   (nat_entry){.local_port = local_port, .outer_port = port, .remote = *remote})
            ->outer_port;
    }
    add_flow(box, local_port, remote);
    return any->outer_port;
}

/* The outer address of a packet of that socket to remote. */
static pollen_addr translate_out(nat_world *world, nat_box *box, const nat_host *host,
                                 uint16_t local_port, const pollen_addr *remote) {
    pollen_addr outer = box->outer;
    switch (box->kind.mapping) {
    case POLLEN_NAT_MAPPING_UNKNOWN:
    case POLLEN_NAT_MAPPING_NONE:
        outer = host->local;
        outer.port = local_port;
        add_flow(box, local_port, remote);
        break;
    case POLLEN_NAT_MAPPING_EASY:
        outer.port = translate_easy(world, box, local_port, remote);
        break;
    case POLLEN_NAT_MAPPING_HARD: {
        nat_entry *entry = find_out(box, local_port, remote);
        if (entry == NULL) {
            uint16_t port = draw_port(world, box, remote);
            entry = add_entry(
                box, (nat_entry){.local_port = local_port, .outer_port = port, .remote = *remote});
        }
        outer.port = entry->outer_port;
        break;
    }
    }
    return outer;
}

static bool lets_in(const nat_box *box, uint16_t local_port, const pollen_addr *from) {
    if (box->kind.filter == NAT_EIF || has_flow(box, local_port, from)) {
        return true;
    }
    for (size_t i = 0; box->kind.filter == NAT_ADF && i < box->flow_count; i++) {
        if (box->flows[i].local_port == local_port && same_ip(&box->flows[i].remote, from)) {
            return true;
        }
    }
    return false;
}

/* The local port that gets it; 0: nobody. */
static uint16_t translate_in(nat_box *box, const pollen_addr *from, uint16_t outer_port) {
    for (const nat_entry *e = first_on(box, outer_port); e != NULL; e = next_on(box, e)) {
        bool in = e->remote.port == 0 ? lets_in(box, e->local_port, from)
                                      : pollen_addr_equal(&e->remote, from);
        if (!e->input && in) {
            return e->local_port;
        }
    }
    if (box->kind.open_input && !clashes(box, outer_port, from)) {
        (void)add_entry(box, (nat_entry){.input = true, .outer_port = outer_port, .remote = *from});
    }
    return 0;
}

/* ---- The network ----------------------------------------------------------------------------- */

static bool earlier(const nat_packet *a, const nat_packet *b) {
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(nat_packet *a, nat_packet *b) {
    nat_packet held = *a;
    *a = *b;
    *b = held;
}

static void push(nat_world *world, const nat_packet *packet) {
    check(world->packet_count < NAT_PACKETS_MAX, "too many packets");
    nat_packet *heap = world->packets;
    size_t i = world->packet_count++;
    heap[i] = *packet;
    heap[i].order = world->next_order++;
    for (; i > 0 && earlier(&heap[i], &heap[(i - 1) / 2]); i = (i - 1) / 2) {
        swap(&heap[i], &heap[(i - 1) / 2]);
    }
}

static nat_packet pop(nat_world *world) {
    nat_packet *heap = world->packets;
    nat_packet first = heap[0];
    heap[0] = heap[--world->packet_count];
    for (size_t i = 0;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < world->packet_count; child++) {
            least = earlier(&heap[child], &heap[least]) ? child : least;
        }
        if (least == i) {
            return first;
        }
        swap(&heap[i], &heap[least]);
        i = least;
    }
}

static uint16_t port_of(const nat_host *host, uint32_t via) {
    for (size_t i = 0; i < host->socket_count; i++) {
        if (host->sockets[i].via == via && host->sockets[i].open) {
            return host->sockets[i].port;
        }
    }
    return 0;
}

static bool same_lan(const nat_world *world, const pollen_addr *to, size_t host) {
    return world->hosts[0].box == world->hosts[1].box && same_ip(to, &world->hosts[1 - host].local);
}

void nat_world_send(nat_world *world, size_t index, const pln_path *path, unsigned ttl,
                    const uint8_t *data, size_t size) {
    nat_host *host = &world->hosts[index];
    nat_box *box = &world->boxes[host->box];
    uint16_t port = port_of(host, path->via);
    check(port != 0, "sends from a socket that is not open");
    host->packets_sent++;
    nat_packet packet = {.at = world->now + world->delay, .to = path->remote, .size = size};
    memcpy(packet.data, data, size);
    packet.from = host->local;
    packet.from.port = port;
    if (same_lan(world, &path->remote, index)) {
        packet.at = world->now + PLN_MS(1);
    } else {
        const bool opener = ttl == 1 || ttl == 2;
        if (opener && box->kind.far) {
            return;
        }
        packet.from = translate_out(world, box, host, port, &path->remote);
        if (opener) {
            return;
        }
    }
    if (world->jitter > 0) {
        packet.at += pln_rng_below(&world->rng, world->jitter);
    }
    /* The last packet of a handshake is never lost: QUIC would repeat it, the model does not. */
    bool lost = pln_rng_below(&world->rng, 100) < world->loss_percent && data[0] != NAT_FINISH;
    if (!lost && !world->filter_udp) {
        push(world, &packet);
    }
}

/* ---- Handshakes ------------------------------------------------------------------------------ */

static void send_handshake(nat_world *world, size_t index, const pln_path *path, uint8_t kind) {
    nat_world_send(world, index, path, 0, &kind, 1);
}

static void connect(nat_world *world, size_t index, const pln_path *path) {
    nat_host *host = &world->hosts[index];
    check(pln_sock_won(host->sock, &world->hosts[1 - index].key, path, world->now),
          "a session over a socket that is not open");
    if (!host->connected) {
        host->connected = true;
        host->session = *path;
        host->connected_at = world->now;
    }
    for (size_t i = 0; i < host->dial_count; i++) {
        host->dials[i].live = false;
    }
}

static nat_dial *find_dial(nat_host *host, const pln_path *path) {
    for (size_t i = 0; i < host->dial_count; i++) {
        if (host->dials[i].live && pln_path_equal(&host->dials[i].path, path)) {
            return &host->dials[i];
        }
    }
    return NULL;
}

/* A way that was tried and is a hole meanwhile is dialled anew. */
static void start_dial(nat_world *world, size_t index, const pln_path *path) {
    nat_host *host = &world->hosts[index];
    nat_dial *dial = find_dial(host, path);
    size_t most = sizeof(host->dials) / sizeof(host->dials[0]);
    if (host->connected || (dial == NULL && host->dial_count == most)) {
        return;
    }
    dial = dial != NULL ? dial : &host->dials[host->dial_count++];
    *dial =
        (nat_dial){.path = *path, .started_at = world->now, .sent_at = world->now, .live = true};
    send_handshake(world, index, path, NAT_DIAL);
}

static void tend_dials(nat_world *world, size_t index) {
    nat_host *host = &world->hosts[index];
    for (size_t i = 0; i < host->dial_count; i++) {
        nat_dial *dial = &host->dials[i];
        if (dial->live && port_of(host, dial->path.via) == 0) {
            dial->live = false;
        } else if (dial->live && world->now >= dial->started_at + PLN_MS(900)) {
            dial->live = false;
            pln_sock_hole_failed(host->sock, &world->hosts[1 - index].key, &dial->path, world->now);
        } else if (dial->live && world->now >= dial->sent_at + PLN_MS(200)) {
            dial->sent_at = world->now;
            send_handshake(world, index, &dial->path, NAT_DIAL);
        }
    }
}

static pln_ts next_dial(const nat_host *host) {
    pln_ts next = PLN_TS_NEVER;
    for (size_t i = 0; i < host->dial_count; i++) {
        if (host->dials[i].live) {
            next = pln_ts_min(next, host->dials[i].sent_at + PLN_MS(200));
            next = pln_ts_min(next, host->dials[i].started_at + PLN_MS(900));
        }
    }
    return next;
}

static void handle_handshake(nat_world *world, size_t index, const pln_path *path, uint8_t kind) {
    if (kind == NAT_DIAL) {
        send_handshake(world, index, path, NAT_ACCEPT);
    } else if (kind == NAT_ACCEPT) {
        send_handshake(world, index, path, NAT_FINISH);
        connect(world, index, path);
    } else {
        connect(world, index, path);
    }
}

/* ---- Hosts ----------------------------------------------------------------------------------- */

static void deliver(nat_world *world, const nat_packet *packet) {
    for (size_t index = 0; index < 2; index++) {
        nat_host *host = &world->hosts[index];
        nat_box *box = &world->boxes[host->box];
        uint16_t port = 0;
        if (same_ip(&packet->to, &host->local)) {
            bool lan = same_ip(&packet->from, &world->hosts[1 - index].local);
            bool in = box->kind.mapping == POLLEN_NAT_MAPPING_NONE &&
                      lets_in(box, packet->to.port, &packet->from);
            port = lan || in ? packet->to.port : 0;
        } else if (same_ip(&packet->to, &box->outer) &&
                   (box->kind.hairpin || !same_ip(&packet->from, &box->outer))) {
            port = translate_in(box, &packet->from, packet->to.port);
        }
        for (size_t i = 0; port != 0 && i < host->socket_count; i++) {
            if (!host->sockets[i].open || host->sockets[i].port != port) {
                continue;
            }
            pln_datagram datagram = {.path = {.via = host->sockets[i].via, .remote = packet->from},
                                     .data = packet->data,
                                     .size = packet->size};
            if (host->reference != NULL) {
                nat_reference_handle(world, index, &datagram);
            } else if ((packet->data[0] & 0xc0) == 0) {
                pln_sock_handle_probe(host->sock, &datagram, world->now);
            } else {
                handle_handshake(world, index, &datagram.path, packet->data[0]);
            }
            return;
        }
    }
}

void nat_world_open_socket(nat_host *host, uint32_t via) {
    check(host->socket_count < NAT_SOCKETS_MAX, "too many sockets");
    host->sockets[host->socket_count++] =
        (nat_socket){.via = via, .port = host->next_port++, .open = true};
    host->opened++;
}

static void open_socket(nat_world *world, nat_host *host, uint32_t via) {
    host->opens++;
    size_t open = 0;
    for (size_t i = 0; i < host->socket_count; i++) {
        open += host->sockets[i].open;
    }
    if (open > host->fd_max) {
        pln_sock_socket_failed(host->sock, via, world->now);
        return;
    }
    nat_world_open_socket(host, via);
    pln_sock_socket_opened(host->sock, via, host->sockets[host->socket_count - 1].port, world->now);
}

void nat_world_close_socket(nat_host *host, uint32_t via) {
    for (size_t i = 0; i < host->socket_count; i++) {
        if (host->sockets[i].via == via) {
            check(host->sockets[i].open, "closed twice");
            host->sockets[i].open = false;
            host->closes++;
            return;
        }
    }
    check(false, "closed without having been opened");
}

static void handle_event(nat_world *world, size_t index, const pln_sock_event *event) {
    nat_host *host = &world->hosts[index];
    switch (event->kind) {
    case PLN_SOCK_OPEN_SOCKET:
        open_socket(world, host, event->via);
        break;
    case PLN_SOCK_CLOSE_SOCKET:
        nat_world_close_socket(host, event->via);
        break;
    case PLN_SOCK_TRY:
    case PLN_SOCK_HOLE:
        host->holes += event->kind == PLN_SOCK_HOLE;
        if (world->handshakes) {
            start_dial(world, index, &event->path);
        }
        break;
    case PLN_SOCK_OVER:
        check(!host->over, "over twice");
        host->over = true;
        host->last_over = *event;
        break;
    }
}

static void drive(nat_world *world, size_t index) {
    nat_host *host = &world->hosts[index];
    if (host->reference != NULL) {
        nat_reference_drive(world, index);
        return;
    }
    if (host->punch_at <= world->now) {
        host->punch_at = PLN_TS_NEVER;
        check(pln_sock_start(host->sock, &host->plan, world->now) == POLLEN_OK, "start");
    }
    pln_sock_handle_timeout(host->sock, world->now);
    tend_dials(world, index);
    bool more = true;
    while (more) {
        more = false;
        uint8_t buf[PLN_PROBE_BYTES];
        pln_transmit transmit;
        while (pln_sock_poll_transmit(host->sock, buf, &transmit, world->now)) {
            if (port_of(host, transmit.path.via) != 0) {
                nat_world_send(world, index, &transmit.path, transmit.ttl, buf, transmit.size);
            }
        }
        pln_sock_event event;
        while (pln_sock_poll_event(host->sock, &event)) {
            more = true;
            handle_event(world, index, &event);
        }
    }
}

static pln_ts next_of(const nat_world *world, size_t index) {
    const nat_host *host = &world->hosts[index];
    if (host->reference != NULL) {
        return nat_reference_next(world, index);
    }
    pln_ts next = pln_ts_min(host->punch_at, pln_sock_next_expiry(host->sock));
    return pln_ts_min(next, next_dial(host));
}

static bool is_quiet(const nat_world *world) {
    for (size_t i = 0; i < 2; i++) {
        if (!world->hosts[i].over || next_of(world, i) != PLN_TS_NEVER) {
            return false;
        }
    }
    return world->packet_count == 0;
}

void nat_world_run(nat_world *world, pln_dur span) {
    pln_ts end = world->now + span;
    pln_ts last = 0;
    unsigned repeats = 0;
    drive(world, 0);
    drive(world, 1);
    while (!is_quiet(world)) {
        pln_ts next = pln_ts_min(next_of(world, 0), next_of(world, 1));
        if (world->packet_count > 0) {
            next = pln_ts_min(next, world->packets[0].at);
        }
        if (next > end) {
            break;
        }
        world->now = next > world->now ? next : world->now;
        repeats = world->now == last ? repeats + 1 : 0;
        last = world->now;
        check(repeats < 20000, "time stands still");
        while (world->packet_count > 0 && world->packets[0].at <= world->now) {
            nat_packet packet = pop(world);
            deliver(world, &packet);
        }
        drive(world, 0);
        drive(world, 1);
    }
    world->now = is_quiet(world) ? world->now : end;
}

/* ---- Building -------------------------------------------------------------------------------- */

static pollen_addr addr(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port) {
    const uint8_t ip[4] = {a, b, c, d};
    return pln_addr_ipv4(ip, port);
}

static void create_host(nat_world *world, size_t index, const nat_kind *kind, uint64_t seed) {
    nat_host *host = &world->hosts[index];
    uint8_t number = (uint8_t)(index + 1);
    memset(host->key.bytes, number, sizeof(host->key.bytes));
    host->box = kind != NULL ? index : 0;
    nat_box *box = &world->boxes[index];
    if (kind != NULL) {
        box->kind = *kind;
        box->outer = addr(198, 51, 100, number, 0);
        box->next_port = (uint16_t)(30000 + pln_rng_below(&world->rng, 4000));
    }
    bool bare = kind != NULL && kind->mapping == POLLEN_NAT_MAPPING_NONE;
    host->local =
        bare ? addr(203, 0, 113, number, MAIN_PORT) : addr(192, 168, 1, number, MAIN_PORT);
    if (kind != NULL && !bare && index == 1) {
        host->local = addr(192, 168, 2, 1, MAIN_PORT); /* Another network than host 0's. */
    }
    host->fd_max = NAT_SOCKETS_MAX;
    host->next_port = 40000;
    host->punch_at = PLN_TS_NEVER;
    host->sockets[0] = (nat_socket){.via = PLN_VIA_MAIN, .port = MAIN_PORT, .open = true};
    host->socket_count = 1;
    pln_sock_config config = {.rng = pln_rng_from_seed(&world->seeded[1 + index], seed + number)};
    check(pln_sock_create(&config, &host->sock) == POLLEN_OK, "no memory");
}

nat_world *nat_world_create(uint64_t seed, const nat_kind *a, const nat_kind *b) {
    nat_world *world = calloc(1, sizeof(*world));
    check(world != NULL, "no memory");
    world->packets = calloc(NAT_PACKETS_MAX, sizeof(*world->packets));
    check(world->packets != NULL, "no memory");
    world->rng = pln_rng_from_seed(&world->seeded[0], seed * 1000003);
    world->now = PLN_S(1000);
    world->delay = PLN_MS(10);
    world->handshakes = true;
    create_host(world, 0, a, seed * 7919);
    create_host(world, 1, b, seed * 7919);
    return world;
}

void nat_world_destroy(nat_world *world) {
    if (world == NULL) {
        return;
    }
    for (size_t i = 0; i < 2; i++) {
        pln_sock_destroy(world->hosts[i].sock);
        nat_reference_destroy(world->hosts[i].reference);
    }
    free(world->packets);
    free(world);
}

void nat_world_set_reference(nat_world *world, size_t index) {
    world->hosts[index].reference = nat_reference_create();
    check(world->hosts[index].reference != NULL, "no memory");
    world->hosts[1 - index].plan.one_shot = true;
    world->hosts[1 - index].plan.theirs = (pln_nat_brief){.port_count = 0};
}

pollen_addr nat_world_observe(nat_world *world, size_t index) {
    pollen_addr coordinator =
        addr(203, 0, 113, 77, (uint16_t)(1024 + pln_rng_below(&world->rng, 60000)));
    const nat_host *host = &world->hosts[index];
    return translate_out(world, &world->boxes[host->box], host, host->local.port, &coordinator);
}

void nat_world_other_flows(nat_world *world, size_t index, unsigned count) {
    nat_box *box = &world->boxes[world->hosts[index].box];
    for (unsigned i = 0; i < count; i++) {
        (void)next_in_sequence(box);
    }
}

pln_nat_brief nat_world_brief(nat_world *world, size_t index, pollen_addr observed) {
    const nat_kind *kind = &world->boxes[world->hosts[index].box].kind;
    return (pln_nat_brief){.mapping = kind->mapping,
                           .allocation = kind->allocation,
                           .step = (uint16_t)kind->step,
                           .port_count = 1,
                           .ports = {observed.port}};
}

void nat_world_plan(nat_world *world, pln_dur skew, pln_dur budget) {
    pollen_addr seen[2];
    pln_nat_brief briefs[2];
    for (size_t i = 0; i < 2; i++) {
        seen[i] = nat_world_observe(world, i);
        briefs[i] = nat_world_brief(world, i, seen[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        nat_host *host = &world->hosts[i];
        host->punch_at = world->now + (i == 1 ? skew : 0);
        host->plan = (pln_punch_plan){
            .peer = world->hosts[1 - i].key,
            .attempt = 1 + i,
            .target_count = 1,
            .targets = {{.addr = seen[1 - i], .kind = PLN_TARGET_OBSERVED}},
            .ours = briefs[i],
            .theirs = briefs[1 - i],
            .rtt = 2 * world->delay,
            .at = host->punch_at,
            .deadline = host->punch_at + budget,
        };
    }
}

bool nat_world_connected(const nat_world *world) {
    return world->hosts[0].connected && world->hosts[1].connected;
}

size_t nat_world_leaks(nat_world *world) {
    size_t open = 0;
    for (size_t index = 0; index < 2; index++) {
        nat_host *host = &world->hosts[index];
        if (host->reference != NULL) {
            continue;
        }
        for (size_t i = 0; i < host->socket_count; i++) {
            if (host->sockets[i].open && host->sockets[i].via != PLN_VIA_MAIN) {
                pln_sock_release(host->sock, host->sockets[i].via);
            }
        }
        drive(world, index);
        check(host->opened >= host->closes, "more closed than opened");
        open += host->opened - host->closes;
    }
    return open;
}

size_t nat_world_entries(const nat_world *world, size_t index) {
    const nat_box *box = &world->boxes[world->hosts[index].box];
    return box->kind.mapping == POLLEN_NAT_MAPPING_HARD ? box->entry_count : box->flow_count;
}
