/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory: what other threads know of the sessions, kept by the loop.  It lets
 * pollen_mesh_send() judge and queue an envelope without asking the loop: a link holds the peer's
 * limits of the moment and its outbox.
 *
 * An envelope waits in the outbox until the loop takes it, and then with the loop while the core's
 * own queue is full.  Both together are at most PLN_DATAGRAM_SENDQ_MAX.
 */
#ifndef PLN_RUN_DIRECTORY_H
#define PLN_RUN_DIRECTORY_H

#include <stdatomic.h>

#include <pollen/mesh.h>

#include "base/chunk.h"
#include "base/hash.h"
#include "base/key.h"
#include "mesh/mesh.h"
#include "run/cmdq.h"

typedef struct pln_link {
    pln_cmd cmd; /* "Look at the outbox", queued at most once. */
    pollen_key peer;
    UT_hash_handle hh;
    /* guarded by the directory's lock */
    uint64_t generation;
    size_t envelope_max;
    bool speaks_2;
    pollen_addr addr;
    pln_chunkq outbox;
    atomic_size_t waiting; /* In outbox and held. */
    bool cmd_queued;
    bool gone;     /* Out of the directory. */
    bool released; /* The loop is done with it as well; freed when its command has run. */
    /* the loop's alone */
    pln_chunkq held;
    struct pln_link *next_blocked;
    bool blocked;
} pln_link;

typedef struct pln_directory {
    pthread_mutex_t lock; /* Leaf lock; guards the map and what a link says above. */
    pln_link *links;
    pln_link *cursor; /* The loop's alone: where pln_directory_next() stands. */
    bool closed;
    pln_hash_key hash_key; /* fixed after init */
} pln_directory;

void pln_directory_init(pln_directory *directory, const pln_hash_key *hash_key);
void pln_directory_fini(pln_directory *directory);

/* ---- The loop's side ------------------------------------------------------------------------- */

/* A session was registered or its limits changed.  run is the command of new links.
 * Errors: POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_directory_update(pln_directory *directory,
                                                const pln_session_info *info,
                                                void (*run)(pln_cmd *, pollen_mesh *, pollen_err));

/* The session ended; a newer one of the same peer stays.  Returns the link when it is to be
 * unlinked from the loop's own lists and given to pln_directory_free(), else NULL. */
pln_link *pln_directory_remove(pln_directory *directory, const pollen_key *peer,
                               uint64_t generation);

/* Frees a removed link, or leaves that to its queued command,
 * which gives it to this function again. */
void pln_directory_free(pln_directory *directory, pln_link *link);

/* Moves the outbox to link->held when that is empty. */
void pln_directory_take(pln_directory *directory, pln_link *link);

/* The same from the link's command, which is done with it.
 * False when the link has left the directory. */
bool pln_directory_done(pln_directory *directory, pln_link *link);

/* Walks over the links, a step a call; NULL at the end, after which it starts again. */
pln_link *pln_directory_next(pln_directory *directory);

/* Every link leaves; sending gives POLLEN_ECLOSED from now on. */
void pln_directory_close(pln_directory *directory);

/* ---- Any thread's side ----------------------------------------------------------------------- */

/*
 * Queues an encoded envelope.  *ret_link: the link whose command has to be pushed, or NULL.
 *
 * Owner:  takes the chunk on POLLEN_OK.
 * Errors: POLLEN_ECLOSED, POLLEN_ENOTCONN, POLLEN_ENOTSUP, POLLEN_EMSGSIZE, POLLEN_EAGAIN
 */
POLLEN_MUST_USE pollen_err pln_directory_send(pln_directory *directory, const pollen_key *peer,
                                              pollen_envelope_kind kind, pln_chunk *chunk,
                                              pln_link **ret_link);

/* The command could not be pushed: nobody will look at the outbox any more. */
void pln_directory_unqueue(pln_directory *directory, pln_link *link);

/* Keys in order; returns how many there are. */
size_t pln_directory_peers(pln_directory *directory, pollen_key *keys, size_t cap);

/* Errors: POLLEN_ENOTCONN */
POLLEN_MUST_USE pollen_err pln_directory_addr(pln_directory *directory, const pollen_key *peer,
                                              pollen_addr *ret);

#endif
