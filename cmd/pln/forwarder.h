/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Forwards: local TCP ports whose connections are carried to a port that a peer serves.  The mesh
 * keeps them over restarts.
 *
 * One thread, pln_forwarder_run(), accepts for all of them, and tries again to listen where the
 * port was taken when the daemon started.
 *
 * Thread: any.
 */
#ifndef PLN_CMD_FORWARDER_H
#define PLN_CMD_FORWARDER_H

#include <netinet/in.h>

#include <pollen/cluster.h>

#include "pln/tunnels.h"

enum { PLN_FORWARDS_MAX = 128 }; /* A descriptor each, all of the time. */

enum { PLN_FORWARD_BIND_BYTES = POLLEN_FORWARD_BIND_BYTES };

typedef struct pln_forward {
    pollen_key provider;
    uint16_t port;                     /* The provider's. */
    uint16_t local_port;               /* 0: any. */
    char bind[PLN_FORWARD_BIND_BYTES]; /* An IP address; "": loopback. */
} pln_forward;

typedef struct pln_forward_slot {
    pln_forward forward;
    int fd;            /* -1: the port is taken; tried again at retry_at. */
    uint64_t retry_at; /* Of the monotonic clock. */
} pln_forward_slot;

typedef struct pln_forwarder {
    pthread_mutex_t lock;                     /* Held over calls of the mesh. */
    pln_forward_slot slots[PLN_FORWARDS_MAX]; /* guarded by lock */
    size_t count;                             /* guarded by lock */
    bool closed;                              /* guarded by lock */
    int wake_fd;                              /* The thread is to look again. */
    pln_tunnels *tunnels;
    pln_logfile *log;
} pln_forwarder;

/* Errors: POLLEN_ENOMEM (descriptors) */
POLLEN_MUST_USE pollen_err pln_forwarder_init(pln_forwarder *forwarder, pln_tunnels *tunnels,
                                              pln_logfile *log);
void pln_forwarder_fini(pln_forwarder *forwarder); /* After its thread. */

/* Listens for what this mesh keeps, and nothing else. */
void pln_forwarder_load(pln_forwarder *forwarder, pollen_mesh *mesh);

/*
 * Listens on wanted->local_port; where that is 0, on the provider's number or else on any.  Asking
 * again for a forward that there is gives that one.
 *
 * Errors: POLLEN_EADDRINUSE  the port is taken by another program or forward
 *         POLLEN_EBUSY       the provider's port is forwarded already, to what *ret has
 *         POLLEN_EADDR       the address is none of this machine
 *         POLLEN_EPERM       this port is not for this user
 *         POLLEN_ELIMIT, POLLEN_ESYS, those of pollen_mesh_set_forward()
 */
POLLEN_MUST_USE pollen_err pln_forwarder_add(pln_forwarder *forwarder, pollen_mesh *mesh,
                                             const pln_forward *wanted, pln_forward *ret);

/* Listens no more; connections that stand go on.
 * Errors: POLLEN_ENOENT, those of pollen_mesh_set_forward() */
POLLEN_MUST_USE pollen_err pln_forwarder_remove(pln_forwarder *forwarder, pollen_mesh *mesh,
                                                const pollen_key *provider, uint16_t port);

/* Returns how many there are, up to PLN_FORWARDS_MAX; up to cap are filled. */
size_t pln_forwarder_list(pln_forwarder *forwarder, pln_forward *forwards, size_t cap);

/* "127.0.0.1:8080", "[::1]:8080" */
enum { PLN_FORWARD_ADDR_BYTES = PLN_FORWARD_BIND_BYTES + 8 };
const char *pln_forward_addr(const pln_forward *forward, char ret_text[PLN_FORWARD_ADDR_BYTES]);

/* Is this an address that one could listen on? */
bool pln_forward_is_bind(const char *text);

/* The thread: accepts until pln_forwarder_close().  The two functions are called around each use of
 * the mesh, which may be NULL. */
typedef struct pln_forwarder_owner {
    pollen_mesh *(*enter)(void *ctx);
    void (*leave)(void *ctx);
    void *ctx;
} pln_forwarder_owner;
void pln_forwarder_run(pln_forwarder *forwarder, const pln_forwarder_owner *owner);
void pln_forwarder_close(pln_forwarder *forwarder);

#endif
