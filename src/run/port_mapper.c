/* SPDX-License-Identifier: Apache-2.0 */
#include "run/port_mapper.h"

#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/assert.h"
#include "portmap/portmap.h"
#include "run/clock.h"
#include "run/gateway.h"
#include "run/loop.h"
#include "run/random.h"
#include "run/runtime.h"
#include "run/thread.h"
#include "run/wake.h"

#define LOOK_INTERVAL PLN_S(15)                         /* Whether we are elsewhere now. */
enum { DATAGRAM_BYTES = 1100 + 1, DATAGRAMS_MAX = 32 }; /* As PCP allows; of one turn. */

typedef struct work {
    pln_port_mapper *mapper;
    pln_portmap pm;
    int fd;       /* Connected to the gateway, so that others are not heard; -1: none. */
    int heard_fd; /* What routers tell everybody; -1: none, and we do without. */
    pollen_addr gateway, client; /* Of fd. */
    pln_ts look_at;
    bool stopping;
} work;

/* ---- What the core is told ------------------------------------------------------------------- */

static void run_told(pln_cmd *cmd, pollen_mesh *mesh, pollen_err state) {
    pln_port_mapper *mapper = (pln_port_mapper *)(void *)cmd;
    pthread_mutex_lock(&mapper->lock);
    const pollen_port_mapping report = mapper->report;
    mapper->queued = false;
    pthread_mutex_unlock(&mapper->lock);
    if (state != POLLEN_OK) {
        return; /* The mesh closes. */
    }
    char text[POLLEN_ADDR_TEXT_BYTES];
    const bool any = report.external.port != 0;
    pln_logf(&mesh->log, PLN_LOG_INFO, "run", "port mapping: %s%s%s",
             pollen_port_mapping_state_name(report.state), any ? " " : "",
             any ? pollen_addr_format(&report.external, text) : "");
    const bool mapped = report.state == POLLEN_PORT_MAPPING_MAPPED;
    const pollen_err err =
        pln_node_set_mapped(mesh->node, mapped ? &report.external : NULL, mesh->now);
    (void)err; /* Told with the next change. */
}

static void tell(pln_port_mapper *mapper, const pollen_port_mapping *report) {
    pthread_mutex_lock(&mapper->lock);
    mapper->report = *report;
    const bool push = !mapper->queued;
    mapper->queued = true;
    pthread_mutex_unlock(&mapper->lock);
    if (push && pln_cmdq_push(&mapper->mesh->cmdq, &mapper->cmd) != POLLEN_OK) {
        pthread_mutex_lock(&mapper->lock);
        mapper->queued = false; /* The mesh has closed. */
        pthread_mutex_unlock(&mapper->lock);
    }
}

/* ---- Where we are ---------------------------------------------------------------------------- */

/* A socket that hears the gateway's port and nobody else; -1 when the way there is gone. */
static int open_towards(const pollen_addr *gateway, pollen_addr *ret_client) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(PLN_PORTMAP_SERVER_PORT)};
    struct sockaddr_in from = {.sin_family = AF_INET};
    socklen_t size = sizeof from;
    memcpy(&to.sin_addr, gateway->ip + 12, sizeof to.sin_addr);
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 ||
                    getsockname(fd, (struct sockaddr *)&from, &size) != 0)) {
        (void)close(fd);
        return -1;
    }
    *ret_client = pln_addr_ipv4((const uint8_t *)&from.sin_addr, 0);
    return fd;
}

/* Where a router says that it restarted or has another address (RFC 6886, 3.2.1; RFC 6887, 14.1.1).
 * Other programs may listen there too. */
static int open_announcements(const pollen_addr *client) {
    static const uint8_t all_hosts[4] = {224, 0, 0, 1};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(PLN_PORTMAP_CLIENT_PORT)};
    struct ip_mreqn group = {.imr_ifindex = 0};
    const int yes = 1;
    const int no = 0;
    memcpy(&at.sin_addr, all_hosts, sizeof at.sin_addr);
    memcpy(&group.imr_multiaddr, all_hosts, sizeof group.imr_multiaddr);
    memcpy(&group.imr_address, client->ip + 12, sizeof group.imr_address);
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
                    bind(fd, (struct sockaddr *)&at, sizeof at) != 0 ||
                    setsockopt(fd, IPPROTO_IP, IP_MULTICAST_ALL, &no, sizeof no) != 0 ||
                    setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &group, sizeof group) != 0)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static void close_fd(int *fd) {
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

/* The same place again keeps its socket, and with it what is under way. */
static void look(work *w, pln_ts now) {
    pollen_addr gateway = {.port = 0};
    pollen_addr client = {.port = 0};
    w->look_at = pln_ts_add(now, LOOK_INTERVAL);
    const int fd = pln_gateway_find(&gateway) ? open_towards(&gateway, &client) : -1;
    if (fd >= 0 && w->fd >= 0 && pln_addr_same_ip(&gateway, &w->gateway) &&
        pln_addr_same_ip(&client, &w->client)) {
        (void)close(fd);
        return;
    }
    close_fd(&w->fd);
    close_fd(&w->heard_fd);
    w->fd = fd;
    w->heard_fd = fd >= 0 ? open_announcements(&client) : -1;
    w->gateway = gateway;
    w->client = client;
    const pln_portmap_network network = {
        .gateway = gateway, .client = client, .port = w->mapper->mesh->port};
    pln_portmap_set_network(&w->pm, fd >= 0 ? &network : NULL, now);
}

/* ---- The thread ------------------------------------------------------------------------------ */

/* All by the clock that goes on while the machine sleeps: mappings run out meanwhile. */

/* What comes on one of the sockets; the machine looks at who it is from. */
static void receive(work *w, int fd) {
    uint8_t bytes[DATAGRAM_BYTES];
    for (int i = 0; fd >= 0 && i < DATAGRAMS_MAX; i++) {
        struct sockaddr_in from = {.sin_family = AF_INET};
        socklen_t from_size = sizeof from;
        const ssize_t size =
            recvfrom(fd, bytes, sizeof bytes, 0, (struct sockaddr *)&from, &from_size);
        if (size < 0 && errno != ECONNREFUSED && errno != EINTR) {
            return;
        }
        const pln_datagram datagram = {
            .path = {.remote =
                         pln_addr_ipv4((const uint8_t *)&from.sin_addr, ntohs(from.sin_port))},
            .data = bytes,
            .size = size > 0 ? (size_t)size : 0,
        };
        pln_portmap_handle_datagram(&w->pm, &datagram, pln_clock_boot());
    }
}

/* One that the system refuses is lost, and sent again by the clock. */
static void transmit(work *w) {
    uint8_t bytes[PLN_PORTMAP_REQUEST_BYTES];
    pln_transmit to;
    while (pln_portmap_poll_transmit(&w->pm, bytes, &to, pln_clock_boot())) {
        (void)send(w->fd, bytes, to.size, MSG_NOSIGNAL);
    }
    if (pln_portmap_poll_change(&w->pm)) {
        tell(w->mapper, pln_portmap_report(&w->pm));
    }
}

static void wait_for_something(work *w) {
    struct pollfd fds[] = {{.fd = w->fd, .events = POLLIN},
                           {.fd = w->heard_fd, .events = POLLIN},
                           {.fd = w->stopping ? -1 : w->mapper->wake_fd, .events = POLLIN}};
    pln_ts until = pln_portmap_next_expiry(&w->pm);
    until = w->stopping ? until : pln_ts_min(until, w->look_at);
    (void)poll(fds, 3, pln_clock_ms_until(until, pln_clock_boot()));
    if (fds[2].revents != 0) {
        w->stopping = true;
        pln_portmap_release(&w->pm, pln_clock_boot());
    }
}

static void *run(void *arg) {
    work w = {.mapper = arg, .fd = -1, .heard_fd = -1};
    const pln_rng rng = pln_os_rng();
    pln_portmap_init(&w.pm, &rng);
    for (;;) {
        if (!w.stopping && pln_ts_reached(w.look_at, pln_clock_boot())) {
            look(&w, pln_clock_boot());
        }
        receive(&w, w.fd);
        receive(&w, w.heard_fd);
        pln_portmap_handle_timeout(&w.pm, pln_clock_boot());
        transmit(&w);
        if (w.stopping && pln_portmap_is_off(&w.pm)) {
            break;
        }
        wait_for_something(&w);
    }
    close_fd(&w.fd);
    close_fd(&w.heard_fd);
    return NULL;
}

/* ---- Life ------------------------------------------------------------------------------------ */

void pln_port_mapper_init(pln_port_mapper *mapper, pollen_mesh *mesh) {
    *mapper = (pln_port_mapper){.mesh = mesh, .wake_fd = -1};
    mapper->cmd.run = run_told;
    pthread_mutex_init(&mapper->turn, NULL);
    pthread_mutex_init(&mapper->lock, NULL);
}

void pln_port_mapper_fini(pln_port_mapper *mapper) {
    PLN_ASSERT(!mapper->runs);
    PLN_ASSERT(!mapper->queued);
    pthread_mutex_destroy(&mapper->lock);
    pthread_mutex_destroy(&mapper->turn);
}

static pollen_err start_locked(pln_port_mapper *mapper) {
    if (pln_loop_is_closed(mapper->mesh)) {
        return POLLEN_ECLOSED;
    }
    if (mapper->runs) {
        return POLLEN_OK;
    }
    mapper->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    mapper->runs = mapper->wake_fd >= 0 && pln_thread_start(&mapper->thread, run, mapper);
    if (!mapper->runs && mapper->wake_fd >= 0) {
        (void)close(mapper->wake_fd);
    }
    return mapper->runs ? POLLEN_OK : POLLEN_ESYS;
}

pollen_err pln_port_mapper_start(pln_port_mapper *mapper) {
    pthread_mutex_lock(&mapper->turn);
    const pollen_err err = start_locked(mapper);
    pthread_mutex_unlock(&mapper->turn);
    return err;
}

void pln_port_mapper_stop(pln_port_mapper *mapper) {
    pthread_mutex_lock(&mapper->turn);
    if (mapper->runs) {
        pln_wake(mapper->wake_fd);
        pthread_join(mapper->thread, NULL);
        (void)close(mapper->wake_fd);
        mapper->runs = false;
    }
    pthread_mutex_unlock(&mapper->turn);
}
