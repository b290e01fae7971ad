/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Received envelopes on their way to pollen_mesh_recv(): a bounded queue for each peer, and peers
 * served in turn, so that one that floods fills its own queue alone.  The newest is dropped from a
 * full queue, because the older ones have been waiting for a reader that may depend on them.
 */
#ifndef PLN_RUN_INBOX_H
#define PLN_RUN_INBOX_H

#include "base/chunk.h"
#include "base/hash.h"
#include "run/wait.h"

typedef struct pln_inbox_peer pln_inbox_peer;

typedef struct pln_inbox {
    pln_monitor monitor; /* Guards the rest. */
    pln_inbox_peer *peers;
    pln_inbox_peer *head, **tail; /* Those with packets, in turn. */
    size_t packets;
    bool closed;
    pln_hash_key hash_key; /* fixed after init */
} pln_inbox;

void pln_inbox_init(pln_inbox *inbox, const pln_hash_key *hash_key);
void pln_inbox_fini(pln_inbox *inbox);

/* Loop thread.  Takes the body, whose bytes from begin to end are the envelope's. */
void pln_inbox_push(pln_inbox *inbox, const pollen_key *peer, pollen_envelope_kind kind,
                    pln_chunk *body);

/* Loop thread: the peer's session ended; what it sent can still be received. */
void pln_inbox_peer_gone(pln_inbox *inbox, const pollen_key *peer);

/* Envelopes of this peer that were dropped for want of room. */
uint64_t pln_inbox_dropped(pln_inbox *inbox, const pollen_key *peer);

/* With the monitor locked: the next packet, false when there is none. */
bool pln_inbox_pop_locked(pln_inbox *inbox, pollen_packet *ret);

void pln_inbox_close(pln_inbox *inbox); /* Drops what is queued. */

#endif
