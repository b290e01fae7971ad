/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/board.h"

#include <stdlib.h>

#include "pln/out.h"
#include "run/clock.h"

pollen_err pln_board_init(pln_board *board) {
    *board = (pln_board){0};
    board->events = calloc(PLN_BOARD_EVENTS, sizeof board->events[0]);
    if (board->events == NULL) {
        return POLLEN_ENOMEM;
    }
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&board->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&board->lock, NULL);
    return POLLEN_OK;
}

void pln_board_fini(pln_board *board) {
    if (board->events != NULL) {
        pthread_mutex_destroy(&board->lock);
        pthread_cond_destroy(&board->changed);
        free(board->events);
        board->events = NULL;
    }
}

void pln_board_close(pln_board *board) {
    pthread_mutex_lock(&board->lock);
    board->closed = true;
    pthread_cond_broadcast(&board->changed);
    pthread_mutex_unlock(&board->lock);
}

void pln_board_post(pln_board *board, const pln_board_event *event) {
    pthread_mutex_lock(&board->lock);
    board->events[board->count % PLN_BOARD_EVENTS] = *event;
    board->count++;
    pthread_cond_broadcast(&board->changed);
    pthread_mutex_unlock(&board->lock);
}

void pln_board_enter(pln_board *board, uint64_t *ret_at) {
    pthread_mutex_lock(&board->lock);
    board->watchers++;
    *ret_at = board->count;
    pthread_mutex_unlock(&board->lock);
}

void pln_board_leave(pln_board *board) {
    pthread_mutex_lock(&board->lock);
    board->watchers--;
    pthread_mutex_unlock(&board->lock);
}

bool pln_board_is_watched(pln_board *board) {
    pthread_mutex_lock(&board->lock);
    const bool watched = board->watchers > 0;
    pthread_mutex_unlock(&board->lock);
    return watched;
}

pollen_err pln_board_next(pln_board *board, uint64_t *at, int timeout_ms, pln_board_event *ret) {
    const pln_ts deadline = pln_clock_deadline(timeout_ms);
    const struct timespec until = pln_clock_timespec(deadline);
    pollen_err err = POLLEN_OK;
    pthread_mutex_lock(&board->lock);
    while (!board->closed && *at == board->count && err == POLLEN_OK) {
        if (pthread_cond_timedwait(&board->changed, &board->lock, &until) != 0) {
            err = POLLEN_ETIMEDOUT;
        }
    }
    if (board->closed) {
        err = POLLEN_ECLOSED;
    } else if (*at < board->count) {
        err = board->count - *at > PLN_BOARD_EVENTS ? POLLEN_ELIMIT : POLLEN_OK;
    }
    if (err == POLLEN_OK) {
        *ret = board->events[*at % PLN_BOARD_EVENTS];
        (*at)++;
    }
    pthread_mutex_unlock(&board->lock);
    return err;
}

static json_t *addr_or_null(const pollen_addr *addr) {
    char text[POLLEN_ADDR_TEXT_BYTES];
    return addr->port == 0 ? json_null() : json_string(pollen_addr_format(addr, text));
}

static json_t *state_or_null(pollen_peer_state state) {
    return state == POLLEN_PEER_ABSENT ? json_null() : json_string(pollen_peer_state_name(state));
}

json_t *pln_board_json(const pln_board_event *event) {
    static const char *const names[] = {
        [PLN_BOARD_CONNECTED] = "connected",
        [PLN_BOARD_DISCONNECTED] = "disconnected",
        [PLN_BOARD_STATE] = "state",
        [PLN_BOARD_PATH] = "path",
    };
    const bool is_path = event->kind == PLN_BOARD_PATH;
    char peer[POLLEN_KEY_HEX_BYTES];
    /* A path event tells from where to where the session moved, every other one the states. */
    json_t *from = is_path ? addr_or_null(&event->from_addr) : state_or_null(event->from);
    json_t *to = is_path ? addr_or_null(&event->addr) : state_or_null(event->to);
    json_t *reason = event->kind == PLN_BOARD_DISCONNECTED
                         ? json_string(pollen_end_reason_name(event->reason))
                         : json_null();
    return json_pack("{s:s, s:o, s:s, s:s, s:o, s:o, s:o, s:o}", "schema", "pollen.event/1", "at",
                     pln_json_time_ms(event->at_ms), "event", names[event->kind], "peer",
                     pollen_key_hex(&event->peer, peer), "from", from, "to", to, "reason", reason,
                     "addr", addr_or_null(&event->addr));
}
