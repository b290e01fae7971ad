/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The queue of public events, by peer.  Nobody has to pull it, and still the newest state of a peer
 * is never lost: what happened to a peer and was not pulled is merged, so that a peer holds a pair
 * at most.
 *
 *   - A session that ended before its CONNECTED was pulled disappears, unless it is the peer's
 *     only news.
 *   - A session that the puller has seen always gets its DISCONNECTED.
 *   - A new address is merged into the CONNECTED or PATH that is still waiting.
 *
 * Peers take turns, so that a flapping one does not keep back the others.
 */
#ifndef PLN_RUN_EVENTQ_H
#define PLN_RUN_EVENTQ_H

#include "base/hash.h"
#include "run/wait.h"

typedef struct pln_event_peer pln_event_peer;

typedef struct pln_eventq {
    pln_monitor monitor; /* Guards the rest. */
    pln_event_peer *peers;
    pln_event_peer *head, **tail; /* Those with events, in turn. */
    size_t count;
    bool closed;
    pln_hash_key hash_key; /* fixed after init */
} pln_eventq;

void pln_eventq_init(pln_eventq *q, const pln_hash_key *hash_key);
void pln_eventq_fini(pln_eventq *q);

/* Errors: POLLEN_ENOMEM, of a CONNECTED alone; then its PATH and DISCONNECTED are ignored. */
POLLEN_MUST_USE pollen_err pln_eventq_push(pln_eventq *q, const pollen_event *event);

/* With the monitor locked: the next event, false when there is none. */
bool pln_eventq_pop_locked(pln_eventq *q, pollen_event *ret);

/* What is queued can still be pulled. */
void pln_eventq_close(pln_eventq *q);

#endif
