/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inside of the peer store.
 *
 * Design notes.  A peer is in the tree by_key, and in one of three queues by time: DISCOVERED and
 * UNREACHABLE wait for the time to dial, among the favoured or the others; CONNECTING waits for its
 * deadline; CONNECTED for nothing.  The queues are apart so that a dial budget that is used up
 * leaves the due peers where they are, without looking at them.  An input is judged in three steps:
 * classify() says what it means to the peer, without changing anything; the table says what
 * follows; run() does it.  Whatever can fail is done before the second step.  Outputs are a list
 * through the peers themselves, at most one of each, so that no output can be lost for want of
 * memory.
 */
#ifndef PLN_PEER_STORE_H
#define PLN_PEER_STORE_H

#include <pollen/peer.h>

#include "base/log.h"
#include "base/rng.h"
#include "peer/budget.h"
#include "peer/fsm.h"
#include "peer/tree.h"

/* A session that held so long was accepted: the refusals before it say nothing any more. */
#define PLN_PEER_STABLE_SESSION PLN_S(60)

typedef struct pln_addr_list {
    pollen_addr *items;
    size_t count;
    size_t cap;
} pln_addr_list;

typedef enum pln_peer_queue {
    PLN_PEER_QUEUE_NONE,
    PLN_PEER_QUEUE_FAVOURED,
    PLN_PEER_QUEUE_OTHERS,
    PLN_PEER_QUEUE_DEADLINE,
    PLN_PEER_QUEUE_COUNT,
} pln_peer_queue;

typedef struct pln_peer {
    pollen_key key;
    pollen_peer_state state;
    pln_ts since;
    pln_peer_stage stage;
    bool permanent;
    bool hurried;   /* CONNECTING: a retry was asked for meanwhile. */
    bool asked_for; /* By a retry, and since then neither connected nor given up. */
    bool refused;   /* UNREACHABLE: because of a refusal, which no new address will change. */
    bool probed;    /* Since its last session. */
    unsigned unreachable_cycles;
    unsigned refusals;

    uint64_t attempt; /* CONNECTING, else 0. */
    pln_ts deadline;  /* CONNECTING, else PLN_TS_NEVER. */
    pln_ts due;       /* When to dial, or when it last was. */

    uint64_t generation; /* The newest heard of. */
    bool ended;          /* That session is over. */
    bool inbound;
    pln_ts connected_at;
    pln_ts lost_at; /* The end of its last session. */
    pollen_end_reason last_end_reason;
    pln_ts last_end_at;

    pollen_addr last_addr;    /* Port 0: none. */
    pln_addr_list learnt;     /* Room for one at least, so that a session always can be noted. */
    pln_addr_list configured; /* Of a permanent peer. */
    uint16_t observed_port;

    pln_tree_node by_key;
    pln_tree_node by_time;
    pln_peer_queue queue;
    pln_ts queued_at;

    struct pln_peer *permanent_next; /* In the order in which they became so. */

    bool has_output; /* CONNECTING: the attempt.  CONNECTED: the session. */
    struct pln_peer *output_prev;
    struct pln_peer *output_next;
} pln_peer;

struct pollen_peer_store {
    pollen_peer_store_config config;
    pln_rng rng;
    const pln_log *log;
    pln_ts now; /* Of the newest input. */
    uint64_t last_attempt;
    pln_budget budget;
    pln_tree by_key;
    pln_tree queues[PLN_PEER_QUEUE_COUNT];
    pln_peer *output_head;
    pln_peer *output_tail;

    pln_peer *permanents;
    pln_peer *permanents_last;
    size_t permanent_count;
    size_t connected_count;
    pln_ts probe_at;      /* PLN_TS_NEVER: not alone. */
    pln_peer *probe_next; /* NULL: the first. */
    size_t probes_left;   /* Of this round, to be pulled. */
};

/* Changes of state go to the log at level debug.  Owner: log is borrowed while the store lives. */
void pln_peer_store_set_log(pollen_peer_store *store, const pln_log *log);

/* Nodes of the queues looked at so far: tests measure the work of a tick by it. */
uint64_t pln_peer_store_visited(const pollen_peer_store *store);

/* ---- Between the files of this room ---------------------------------------------------------- */

pln_peer *pln_peer_find(const pollen_peer_store *store, const pollen_key *key);

/* What the input, which is not a tick, means to the peer; NULL stands for an absent one. */
pln_peer_event pln_peer_classify(const pln_peer *peer, const pollen_peer_input *input);

/* How the running attempt's end for this reason is to be taken. */
pln_peer_event pln_peer_classify_failure(const pln_peer *peer, pollen_end_reason reason);

/* Steps the peer by the event and does what follows, but for freeing a peer that is now ABSENT. */
void pln_peer_apply(pollen_peer_store *store, pln_peer *peer, pln_peer_event event,
                    const pollen_peer_input *input);

/* False when there is no memory and nothing changed. */
bool pln_addr_list_reserve(pln_addr_list *list, size_t cap);
bool pln_addr_list_has(const pln_addr_list *list, const pollen_addr *addr);

/* An address of a DISCOVER with the port it stands for; the peer may be NULL. */
pollen_addr pln_peer_resolve(const pln_peer *peer, const pollen_peer_input *input,
                             const pollen_addr *addr);

/* How many addresses of a DISCOVER are taken. */
size_t pln_peer_input_addrs(const pollen_peer_input *input);

/* The end of a delay that begins now, with its jitter. */
pln_ts pln_peer_after_delay(const pollen_peer_store *store, pln_dur delay);

void pln_peer_probe_on_permanent(pollen_peer_store *store, pln_peer *peer);
void pln_peer_probe_on_forgotten(pollen_peer_store *store, pln_peer *peer); /* A permanent one. */
void pln_peer_probe_on_connected(pollen_peer_store *store);
void pln_peer_probe_on_lost(pollen_peer_store *store, pollen_end_reason reason);
void pln_peer_probe_tick(pollen_peer_store *store);
pln_peer *pln_peer_probe_take(pollen_peer_store *store); /* NULL: no more in this round. */

void pln_peer_output_push(pollen_peer_store *store, pln_peer *peer);
void pln_peer_output_withdraw(pollen_peer_store *store, pln_peer *peer); /* If there is one. */

#endif
