/* SPDX-License-Identifier: Apache-2.0 */
#include "run/sockets.h"

#include <sys/epoll.h>
#include <unistd.h>

#include "base/assert.h"
#include "base/mem.h"

enum { READY_MAX = 32 }; /* Served in one turn. */

struct pln_socket {
    uint32_t via;
    pln_udp udp;
    UT_hash_handle hh;
};

pollen_err pln_sockets_init(pln_sockets *sockets, pln_udp *main_socket,
                            const pln_hash_key *hash_key) {
    *sockets = (pln_sockets){.main = main_socket, .hash_key = *hash_key};
    sockets->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return sockets->epoll_fd < 0 ? POLLEN_ESYS : POLLEN_OK;
}

static void destroy(pln_sockets *sockets, pln_socket *socket) {
    PLN_ASSERT(sockets->count > 0);
    HASH_DEL(sockets->map, socket);
    sockets->count--;
    pln_udp_close(&socket->udp); /* Which takes it out of the epoll set. */
    pln_free(socket);
}

void pln_sockets_fini(pln_sockets *sockets) {
    pln_socket *socket, *next;
    HASH_ITER(hh, sockets->map, socket, next) {
        destroy(sockets, socket);
    }
    PLN_ASSERT(sockets->count == 0);
    if (sockets->epoll_fd >= 0) {
        (void)close(sockets->epoll_fd);
    }
    sockets->epoll_fd = -1;
}

static pln_socket *find(pln_sockets *sockets, uint32_t via) {
    pln_socket *socket;
    PLN_MAP_FIND(&sockets->hash_key, sockets->map, &via, sizeof(via), socket);
    return socket;
}

static bool add(pln_sockets *sockets, pln_socket *socket) {
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = socket};
    if (epoll_ctl(sockets->epoll_fd, EPOLL_CTL_ADD, socket->udp.fd, &event) != 0) {
        return false;
    }
    PLN_MAP_ADD(&sockets->hash_key, sockets->map, via, sizeof(socket->via), socket);
    return PLN_MAP_ADDED(socket);
}

pollen_err pln_sockets_open(pln_sockets *sockets, uint32_t via, uint16_t *ret_port) {
    PLN_ASSERT(via != PLN_VIA_MAIN);
    PLN_ASSERT(find(sockets, via) == NULL);
    pln_socket *socket = pln_calloc(1, sizeof(*socket));
    if (socket == NULL) {
        return POLLEN_ENOMEM;
    }
    socket->via = via;
    pollen_err err = pln_udp_open_beside(&socket->udp, sockets->main, via);
    if (err == POLLEN_OK && !add(sockets, socket)) {
        pln_udp_close(&socket->udp);
        err = POLLEN_ENOMEM;
    }
    if (err != POLLEN_OK) {
        pln_free(socket);
        return err;
    }
    sockets->count++;
    *ret_port = pln_udp_port(&socket->udp);
    return POLLEN_OK;
}

void pln_sockets_close(pln_sockets *sockets, uint32_t via) {
    pln_socket *socket = find(sockets, via);
    if (socket != NULL) {
        destroy(sockets, socket);
    }
}

pln_udp *pln_sockets_find(pln_sockets *sockets, uint32_t via) {
    if (via == PLN_VIA_MAIN) {
        return sockets->main;
    }
    pln_socket *socket = find(sockets, via);
    return socket == NULL ? NULL : &socket->udp;
}

void pln_sockets_recv(pln_sockets *sockets, pln_udp_sink sink, void *ctx) {
    struct epoll_event events[READY_MAX];
    const int count = epoll_wait(sockets->epoll_fd, events, READY_MAX, 0);
    for (int i = 0; i < count; i++) {
        pln_socket *socket = events[i].data.ptr;
        PLN_ASSERT(socket->udp.fd >= 0);
        (void)pln_udp_recv(&socket->udp, sink, ctx);
    }
}
