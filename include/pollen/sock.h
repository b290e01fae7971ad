/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hole punching by itself, for those who have a protocol of their own: a store of UDP sockets that
 * opens a way to an address through the NATs in between, when the other end does the same at about
 * the same time.  It proves nothing of who is at the other end.  A pollen_mesh has all of this
 * inside and needs no store.
 *
 * Thread: every function is safe from any thread, but for pollen_sock_store_destroy().  Waiting as
 *         in pollen/mesh.h.
 */
#ifndef POLLEN_SOCK_H
#define POLLEN_SOCK_H

#include <pollen/mesh.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct pollen_sock_store pollen_sock_store;

/* A way to one peer: the store's main socket, or one of its own.  Counted: freed with its last
 * reference, and its socket closed. */
typedef struct pollen_sock_conn pollen_sock_conn;

/*
 * Binds the main socket (dual-stack; port 0: any) and starts answering probes of those it punches
 * with.
 *
 * Errors: POLLEN_EADDRINUSE, POLLEN_EPERM, POLLEN_ENOMEM, POLLEN_ESYS
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_sock_store_create(uint16_t port,
                                                               pollen_sock_store **ret_store);

/* Ends all waiting calls with POLLEN_ECLOSED, then waits for them to return.  Ways that somebody
 * still holds carry nothing any more.  Accepts NULL. */
POLLEN_API void pollen_sock_store_destroy(pollen_sock_store *store);

POLLEN_API uint16_t pollen_sock_store_port(const pollen_sock_store *store);

/* Sockets beside the main one, those of ways included. */
POLLEN_API size_t pollen_sock_store_sockets(pollen_sock_store *store);

/*
 * Opens a way to the address at which others see the peer, by up to 256 sockets on a hard side and
 * as many ports as it takes on an easy one (see pollen/nat.h).  A second punch to the same address
 * gives the same way, counted once more.
 *
 * Owner:  ret_conn is the caller's: pollen_sock_conn_unref().
 * Errors: POLLEN_EADDR         not an address of another machine, or of this one's loopback
 *         POLLEN_EUNREACHABLE  no method that is left can work
 *         POLLEN_ELIMIT        too many punches under way, or held back by a limit: later
 *         POLLEN_EINVAL, POLLEN_ETIMEDOUT, POLLEN_ECANCELED, POLLEN_ECLOSED, POLLEN_ENOMEM
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_sock_store_punch(pollen_sock_store *store,
                                                              const pollen_addr *addr,
                                                              int timeout_ms, pollen_cancel *cancel,
                                                              pollen_sock_conn **ret_conn);

POLLEN_API void pollen_sock_conn_ref(pollen_sock_conn *conn);
POLLEN_API void pollen_sock_conn_unref(pollen_sock_conn *conn); /* Accepts NULL. */

/* Where the peer is now; it may move to another port of the same address. */
POLLEN_API pollen_addr pollen_sock_conn_peer(pollen_sock_conn *conn);

/*
 * Sends one datagram, which may be lost.  17 bytes that begin with 0x01 or 0x02 are taken for
 * probes by the other end and are refused here.
 *
 * Errors: POLLEN_EINVAL, POLLEN_EMSGSIZE (empty, or more than 65,507 bytes), POLLEN_EAGAIN (the
 *         socket is full), POLLEN_ECLOSED
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_sock_conn_send(pollen_sock_conn *conn,
                                                            const void *bytes, size_t size);

/*
 * Waits for the next datagram; one that is larger than cap is cut.  256 wait for a reader, further
 * ones are dropped.
 *
 * Errors: POLLEN_EINVAL, POLLEN_ETIMEDOUT, POLLEN_ECANCELED, POLLEN_ECLOSED
 */
POLLEN_API POLLEN_MUST_USE pollen_err pollen_sock_conn_recv(pollen_sock_conn *conn, void *bytes,
                                                            size_t cap, int timeout_ms,
                                                            pollen_cancel *cancel,
                                                            size_t *ret_size);

#ifdef __cplusplus
}
#endif

#endif
