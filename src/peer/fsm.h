/* SPDX-License-Identifier: Apache-2.0 */
/* The state machine of one peer: a total table over (state, event), and the stages of attempts. */
#ifndef PLN_PEER_FSM_H
#define PLN_PEER_FSM_H

#include <stdbool.h>

#include <pollen/peer.h>

/* What an input means to this peer; the store finds out which, before the table is asked. */
typedef enum pln_peer_event {
    PLN_PEER_EV_DISCOVER,     /* Addresses, none of them new. */
    PLN_PEER_EV_DISCOVER_NEW, /* Addresses, and one that may work where the old ones did not. */
    PLN_PEER_EV_DUE,          /* The time to dial has come. */
    PLN_PEER_EV_CONNECT,
    PLN_PEER_EV_FAILED,         /* The running attempt failed, or its deadline passed. */
    PLN_PEER_EV_FAILED_HURRIED, /* The same, and a retry was asked for meanwhile. */
    PLN_PEER_EV_EXHAUSTED,      /* The last attempt of the last stage failed. */
    PLN_PEER_EV_REFUSED,        /* The peer was reached and one of us will not have the other. */
    PLN_PEER_EV_LOST,
    PLN_PEER_EV_RETRY,
    PLN_PEER_EV_FORGET,
    PLN_PEER_EV_MOVED,
    PLN_PEER_EV_LATE, /* About an attempt or a session that a newer one has replaced. */
    PLN_PEER_EV_COUNT,
} pln_peer_event;

enum { PLN_PEER_STATE_COUNT = POLLEN_PEER_UNREACHABLE + 1 };

/* What the store has to do about it. */
typedef enum pln_peer_action {
    PLN_PEER_ACT_UNSET,
    PLN_PEER_ACT_BUG, /* The store made up an event that cannot be. */
    PLN_PEER_ACT_IGNORE,
    PLN_PEER_ACT_LEARN,      /* Take the addresses. */
    PLN_PEER_ACT_LEARN_WAKE, /* Take the addresses, begin with the first stage, now. */
    PLN_PEER_ACT_WAKE,       /* Begin with the first stage, now, and forget all back-off. */
    PLN_PEER_ACT_HURRY,      /* Remember that a retry was asked for. */
    PLN_PEER_ACT_ATTEMPT,
    PLN_PEER_ACT_ATTEMPT_FIRST, /* Begin with the first stage. */
    PLN_PEER_ACT_CONNECTED,
    PLN_PEER_ACT_ESCALATE,     /* Count the failure; the next attempt after the stage's delay. */
    PLN_PEER_ACT_ESCALATE_NOW, /* Count the failure; the next attempt now. */
    PLN_PEER_ACT_GIVE_UP,      /* The next attempt after a growing delay. */
    PLN_PEER_ACT_REFUSED,      /* The same, and it grows from a larger one. */
    PLN_PEER_ACT_LOST,         /* The next attempt after the delay of the reason. */
    PLN_PEER_ACT_NOTE_END,     /* A session we did not know of is over; remember that. */
    PLN_PEER_ACT_MOVED,
    PLN_PEER_ACT_REMOVE,
} pln_peer_action;

typedef struct pln_peer_row {
    pln_peer_action action;
    pollen_peer_state next;
} pln_peer_row;

pln_peer_row pln_peer_table_at(pollen_peer_state state, pln_peer_event event);

/* The only writer of the state. */
pln_peer_action pln_peer_fsm_step(pollen_peer_state *state, pln_peer_event event);

typedef struct pln_peer_stage {
    pollen_connect_stage stage;
    unsigned attempts; /* Failed ones. */
} pln_peer_stage;

pln_peer_stage pln_peer_stage_first(bool has_last_addr);

/* False when there is no further attempt; then *stage is unchanged. */
bool pln_peer_stage_escalate(pln_peer_stage *stage);

const char *pln_peer_event_name(pln_peer_event event);
const char *pln_peer_action_name(pln_peer_action action);

#endif
