/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The ports that this node serves: what the mesh tells members of, and what streams are let in for.
 * The mesh keeps them over restarts.
 *
 * Thread: any.
 */
#ifndef PLN_CMD_PROVIDER_H
#define PLN_CMD_PROVIDER_H

#include <pollen/cluster.h>

#include "base/limits.h"
#include "pln/tunnels.h"

enum { PLN_PROVIDER_MAX = PLN_STATE_SERVICES_MAX }; /* As many as a member can tell of. */

typedef struct pln_served {
    char name[POLLEN_SERVICE_NAME_BYTES];
    uint16_t port;
} pln_served;

typedef struct pln_provider {
    pthread_mutex_t lock; /* Held over calls of the mesh; before the locks of tunnels. */
    pln_served served[PLN_PROVIDER_MAX]; /* guarded by lock */
    size_t count;                        /* guarded by lock */
    pln_tunnels *tunnels;
} pln_provider;

void pln_provider_init(pln_provider *provider, pln_tunnels *tunnels);
void pln_provider_fini(pln_provider *provider);

/* Serves what this mesh tells of, and nothing else. */
void pln_provider_load(pln_provider *provider, pollen_mesh *mesh);

/*
 * The name may be served already: then it moves to the port.
 *
 * Errors: those of pollen_mesh_set_service()
 */
POLLEN_MUST_USE pollen_err pln_provider_serve(pln_provider *provider, pollen_mesh *mesh,
                                              const char *name, uint16_t port);

/*
 * Stops serving what has this name or this port, ends its connections, and gives what it was, up to
 * PLN_PROVIDER_MAX.
 *
 * Errors: POLLEN_ENOENT (nothing has it), those of pollen_mesh_remove_service()
 */
POLLEN_MUST_USE pollen_err pln_provider_unserve(pln_provider *provider, pollen_mesh *mesh,
                                                const char *text, pln_served *ret_gone,
                                                size_t *ret_count);

bool pln_provider_serves(pln_provider *provider, uint16_t port);

/* A peer's stream: connected to the port of this machine when that is served, refused otherwise.
 * Owner: takes the stream. */
void pln_provider_accept(pln_provider *provider, pollen_mesh *mesh, pollen_stream *stream);

#endif
