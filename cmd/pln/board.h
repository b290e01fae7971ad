/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The board: what happened lately, for whoever watches.  A ring of events with running numbers; a
 * reader keeps its own place in it, so that a slow one delays nobody and learns that it missed
 * something.
 *
 * Thread: any.
 */
#ifndef PLN_CMD_BOARD_H
#define PLN_CMD_BOARD_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <pollen/mesh.h>

enum { PLN_BOARD_EVENTS = 1024 };

typedef enum pln_board_kind {
    PLN_BOARD_CONNECTED,
    PLN_BOARD_DISCONNECTED,
    PLN_BOARD_STATE,
    PLN_BOARD_PATH,
} pln_board_kind;

typedef struct pln_board_event {
    pln_board_kind kind;
    int64_t at_ms; /* Unix time. */
    pollen_key peer;
    pollen_peer_state from; /* All but PATH. */
    pollen_peer_state to;
    pollen_addr addr;         /* CONNECTED, PATH */
    pollen_addr from_addr;    /* PATH; port 0 when it was not known. */
    pollen_end_reason reason; /* DISCONNECTED */
} pln_board_event;

typedef struct pln_board {
    pthread_mutex_t lock;    /* Leaf lock. */
    pthread_cond_t changed;  /* On the monotonic clock. */
    pln_board_event *events; /* guarded by lock; PLN_BOARD_EVENTS of them */
    uint64_t count;          /* guarded by lock: ever posted */
    unsigned watchers;       /* guarded by lock */
    bool closed;             /* guarded by lock */
} pln_board;

/* Errors: POLLEN_ENOMEM */
POLLEN_MUST_USE pollen_err pln_board_init(pln_board *board);
void pln_board_fini(pln_board *board);  /* When nobody uses it any more. */
void pln_board_close(pln_board *board); /* Ends all waiting. */

void pln_board_post(pln_board *board, const pln_board_event *event);

/* A reader comes, at the place *ret_at, and goes. */
void pln_board_enter(pln_board *board, uint64_t *ret_at);
void pln_board_leave(pln_board *board);
bool pln_board_is_watched(pln_board *board);

/*
 * Waits up to timeout_ms for the event at *at, and moves on.
 *
 * Errors: POLLEN_ETIMEDOUT, POLLEN_ECLOSED, POLLEN_ELIMIT (overtaken: events were missed)
 */
POLLEN_MUST_USE pollen_err pln_board_next(pln_board *board, uint64_t *at, int timeout_ms,
                                          pln_board_event *ret);

/* The event as pollen.event/1.  Owner: a new reference; NULL when there is no memory. */
json_t *pln_board_json(const pln_board_event *event);

#endif
