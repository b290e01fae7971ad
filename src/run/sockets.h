/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The UDP sockets beside the main one: the core asks for them by number while it punches holes, and
 * a session may live on one of them.
 *
 * Thread: the loop's alone.
 */
#ifndef PLN_RUN_SOCKETS_H
#define PLN_RUN_SOCKETS_H

#include "base/hash.h"
#include "run/udp_linux.h"

typedef struct pln_socket pln_socket;

typedef struct pln_sockets {
    pln_udp *main; /* Borrowed. */
    int epoll_fd;  /* Readable when one of them is; -1 when not initialised. */
    size_t count;
    pln_socket *map;
    pln_hash_key hash_key;
} pln_sockets;

/* Errors: POLLEN_ESYS */
POLLEN_MUST_USE pollen_err pln_sockets_init(pln_sockets *sockets, pln_udp *main_socket,
                                            const pln_hash_key *hash_key);
void pln_sockets_fini(pln_sockets *sockets); /* Closes all. */

/* Binds one to a free port.  Errors: POLLEN_ESYS (descriptors are short, for one), POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_sockets_open(pln_sockets *sockets, uint32_t via, uint16_t *ret_port);
void pln_sockets_close(pln_sockets *sockets, uint32_t via); /* Unknown ones are fine. */

/* The socket of that name, the main one included; NULL when there is none. */
pln_udp *pln_sockets_find(pln_sockets *sockets, uint32_t via);

/* What arrived at some of them; what is left keeps epoll_fd readable. */
void pln_sockets_recv(pln_sockets *sockets, pln_udp_sink sink, void *ctx);

#endif
