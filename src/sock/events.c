/* SPDX-License-Identifier: Apache-2.0 */
/* Events are not queued: they are read off the state, so that they need no memory. */
#include <string.h>

#include "base/assert.h"
#include "sock/internal.h"

const char *pln_punch_method_name(pln_punch_method method) {
    switch (method) {
    case PLN_PUNCH_OPEN:
        return "open";
    case PLN_PUNCH_PREDICT:
        return "predict";
    case PLN_PUNCH_SCATTER:
        return "scatter";
    case PLN_PUNCH_BIRTHDAY:
        return "birthday";
    }
    return "unknown";
}

const char *pln_punch_end_name(pln_punch_end end) {
    switch (end) {
    case PLN_PUNCH_WON:
        return "won";
    case PLN_PUNCH_DEADLINE:
        return "deadline";
    case PLN_PUNCH_HOPELESS:
        return "hopeless";
    case PLN_PUNCH_HELD:
        return "held";
    case PLN_PUNCH_NO_SOCKETS:
        return "no-sockets";
    case PLN_PUNCH_CANCELLED:
        return "cancelled";
    }
    return "unknown";
}

static sock_via *first_in(pln_sock *sock, sock_via_state state) {
    for (size_t i = 0; i < sock->via_count; i++) {
        if (sock->vias[i].state == state) {
            return &sock->vias[i];
        }
    }
    return NULL;
}

/* Closing comes before opening, for the descriptors' sake. */
static bool poll_socket(pln_sock *sock, pln_sock_event *ret) {
    if (sock->closing > 0) {
        sock_via *via = first_in(sock, SOCK_VIA_CLOSING);
        PLN_ASSERT(via != NULL);
        *ret = (pln_sock_event){.kind = PLN_SOCK_CLOSE_SOCKET, .via = via->via};
        pln_sock_via_remove(sock, via);
        return true;
    }
    if (sock->wanted > 0) {
        sock_via *via = first_in(sock, SOCK_VIA_WANTED);
        PLN_ASSERT(via != NULL);
        via->state = SOCK_VIA_ASKED;
        sock->wanted--;
        *ret = (pln_sock_event){.kind = PLN_SOCK_OPEN_SOCKET, .via = via->via};
        return true;
    }
    return false;
}

static void describe(const sock_punch *punch, pln_sock_event_kind kind, pln_sock_event *ret) {
    *ret = (pln_sock_event){.kind = kind,
                            .peer = punch->plan.peer,
                            .attempt = punch->plan.attempt,
                            .stats = punch->stats};
}

static void describe_way(const sock_punch *punch, const pln_path *path, pln_punch_method method,
                         pln_sock_event *ret) {
    PLN_ASSERT(!punch->ended);
    ret->path = *path;
    ret->via = path->via;
    ret->method = method;
}

static bool poll_try(sock_punch *punch, pln_sock_event *ret) {
    if (punch->tries_told == punch->stats.tries) {
        return false;
    }
    const size_t next = punch->tries_told;
    PLN_ASSERT(next < punch->stats.tries);
    describe(punch, PLN_SOCK_TRY, ret);
    describe_way(punch, &punch->tries[next], punch->try_methods[next], ret);
    ret->heard = punch->try_heard[next];
    punch->tries_told++;
    return true;
}

static bool poll_hole(sock_punch *punch, pln_sock_event *ret) {
    if (punch->holes_told == punch->stats.holes) {
        return false;
    }
    const size_t next = punch->holes_told;
    PLN_ASSERT(next < punch->stats.holes);
    describe(punch, PLN_SOCK_HOLE, ret);
    describe_way(punch, &punch->holes[next], punch->hole_methods[next], ret);
    punch->holes_told++;
    return true;
}

static void poll_over(pln_sock *sock, size_t index, pln_sock_event *ret) {
    sock_punch *punch = sock->punches[index];
    describe(punch, PLN_SOCK_OVER, ret);
    ret->method = punch->stats.method;
    ret->end = punch->end;
    PLN_ASSERT(index < sock->punch_count);
    sock->punch_count--;
    memmove(&sock->punches[index], &sock->punches[index + 1],
            (sock->punch_count - index) * sizeof(sock->punches[0]));
    pln_sock_punch_destroy(punch);
}

bool pln_sock_poll_event(pln_sock *sock, pln_sock_event *ret) {
    if (poll_socket(sock, ret)) {
        return true;
    }
    for (size_t i = 0; i < sock->punch_count; i++) {
        if (poll_try(sock->punches[i], ret) || poll_hole(sock->punches[i], ret)) {
            return true;
        }
        if (sock->punches[i]->ended) {
            poll_over(sock, i, ret);
            return true;
        }
    }
    return false;
}
