/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sockets beside the main one.  Each has one owner at a time: its punch; then the session that
 * was found over it, or nobody while it lingers.
 */
#include <string.h>

#include "base/assert.h"
#include "base/mem.h"
#include "sock/internal.h"

sock_via *pln_sock_via_find(const pln_sock *sock, uint32_t via) {
    size_t low = 0;
    size_t high = sock->via_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (sock->vias[middle].via < via) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < sock->via_count && sock->vias[low].via == via ? &sock->vias[low] : NULL;
}

static bool make_room(pln_sock *sock) {
    sock_via *vias = pln_grow(sock->vias, sock->via_count, &sock->via_cap, sizeof(*vias), 32);
    if (vias == NULL) {
        return false;
    }
    sock->vias = vias;
    return true;
}

bool pln_sock_via_want(pln_sock *sock, sock_punch *punch) {
    if (sock->via_count - sock->closing >= sock->config.sockets_max ||
        sock->next_via == UINT32_MAX || !make_room(sock)) {
        return false;
    }
    sock_via *via = &sock->vias[sock->via_count];
    *via = (sock_via){.via = sock->next_via,
                      .state = SOCK_VIA_WANTED,
                      .punch = punch,
                      .linger_until = PLN_TS_NEVER};
    pln_rng_fill(&sock->config.rng, via->nonce, sizeof(via->nonce));
    sock->next_via++;
    sock->via_count++;
    sock->wanted++;
    punch->sockets_live++;
    punch->sockets_asked++;
    return true;
}

void pln_sock_via_remove(pln_sock *sock, sock_via *via) {
    size_t index = (size_t)(via - sock->vias);
    PLN_ASSERT(index < sock->via_count);
    sock->closing -= via->state == SOCK_VIA_CLOSING;
    sock->wanted -= via->state == SOCK_VIA_WANTED;
    sock->via_count--;
    memmove(via, via + 1, (sock->via_count - index) * sizeof(*via));
}

/* True when it went at once, because nobody has heard of it. */
static bool close_via(pln_sock *sock, sock_via *via) {
    PLN_ASSERT(via->state != SOCK_VIA_CLOSING);
    via->punch = NULL;
    via->lent = false;
    via->linger_until = PLN_TS_NEVER;
    switch (via->state) {
    case SOCK_VIA_WANTED:
        pln_sock_via_remove(sock, via);
        return true;
    case SOCK_VIA_ASKED:
        via->unwanted = true;
        break;
    case SOCK_VIA_OPEN:
        via->state = SOCK_VIA_CLOSING;
        sock->closing++;
        break;
    case SOCK_VIA_CLOSING:
        break;
    }
    return false;
}

bool pln_sock_via_give_up(pln_sock *sock, sock_punch *punch) {
    for (size_t i = 0; i < sock->via_count; i++) {
        sock_via *via = &sock->vias[i];
        if (via->punch == punch && via->state == SOCK_VIA_OPEN && !via->has_hole) {
            PLN_ASSERT(punch->sockets_live > 0);
            punch->sockets_live--;
            pln_sock_way_drop(punch, via->via);
            (void)close_via(sock, via); /* An open one stays until the owner is told. */
            return true;
        }
    }
    return false;
}

void pln_sock_vias_leave(pln_sock *sock, const sock_punch *punch, pln_ts now) {
    for (size_t i = sock->via_count; i > 0; i--) {
        sock_via *via = &sock->vias[i - 1];
        if (via->punch != punch) {
            continue;
        }
        if (via->has_hole) {
            via->punch = NULL;
            via->linger_until = pln_ts_add(now, PLN_PUNCH_LINGER);
        } else {
            (void)close_via(sock, via); /* Those before it keep their places either way. */
        }
    }
}

void pln_sock_vias_expire(pln_sock *sock, pln_ts now) {
    for (size_t i = sock->via_count; i > 0; i--) {
        sock_via *via = &sock->vias[i - 1];
        if (pln_ts_reached(via->linger_until, now)) {
            (void)close_via(sock, via); /* As above. */
        }
    }
}

pln_ts pln_sock_vias_next(const pln_sock *sock) {
    pln_ts next = PLN_TS_NEVER;
    for (size_t i = 0; i < sock->via_count; i++) {
        next = pln_ts_min(next, sock->vias[i].linger_until);
    }
    return next;
}

static sock_rhythm rhythm_of(const sock_punch *punch) {
    if (punch->sockets_method == PLN_PUNCH_SCATTER) {
        return SOCK_RHYTHM_SCATTERED;
    }
    if (punch->renewing) {
        return SOCK_RHYTHM_RENEWED;
    }
    if (punch->plan.one_shot) {
        return SOCK_RHYTHM_MANY_ONE_SHOT;
    }
    switch (punch->stats.sockets_opened % 8) {
    case 0:
        return SOCK_RHYTHM_MANY_BOLD;
    case 4:
        return SOCK_RHYTHM_MANY_LATER;
    default:
        return SOCK_RHYTHM_MANY;
    }
}

void pln_sock_socket_opened(pln_sock *sock, uint32_t id, uint16_t local_port, pln_ts now) {
    sock_via *via = pln_sock_via_find(sock, id);
    if (via == NULL || via->state != SOCK_VIA_ASKED) {
        return;
    }
    via->state = SOCK_VIA_OPEN;
    (void)local_port; /* Nothing depends on it so far; a NAT that preserves ports is easy. */
    if (via->unwanted) {
        (void)close_via(sock, via); /* It is open, so it stays until the owner is told. */
        return;
    }
    sock_punch *punch = via->punch;
    PLN_ASSERT(punch != NULL);
    punch->stats.sockets_opened++;
    sock_way way = {.via = id,
                    .remote = punch->sockets_remote,
                    .method = punch->sockets_method,
                    .rhythm = rhythm_of(punch)};
    (void)pln_sock_way_add(punch, &way, now); /* Without memory the socket only listens. */
}

void pln_sock_socket_failed(pln_sock *sock, uint32_t id, pln_ts now) {
    sock_via *via = pln_sock_via_find(sock, id);
    if (via == NULL || via->state != SOCK_VIA_ASKED) {
        return;
    }
    sock_punch *punch = via->punch;
    pln_sock_via_remove(sock, via);
    if (punch == NULL) {
        return;
    }
    PLN_ASSERT(punch->sockets_live > 0);
    punch->sockets_live--;
    /* Descriptors have run out; asking for each of the rest would only cost time. */
    punch->stats.sockets_failed += 1 + punch->sockets_left;
    punch->sockets_left = 0;
    punch->renewals_left = punch->renewing ? 0 : punch->renewals_left;
    pln_sock_punch_advance(sock, punch, now);
}

void pln_sock_release(pln_sock *sock, uint32_t id) {
    sock_via *via = pln_sock_via_find(sock, id);
    if (via != NULL && via->lent) {
        PLN_ASSERT(via->state == SOCK_VIA_OPEN);
        (void)close_via(sock, via); /* An open one stays until the owner is told. */
    }
}
