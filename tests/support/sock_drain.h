/* SPDX-License-Identifier: Apache-2.0 */
/* The owner's part of a punching engine: takes what it sends and tells, in the order that it asks
 * for, until there is nothing more. */
#ifndef TESTS_SUPPORT_SOCK_DRAIN_H
#define TESTS_SUPPORT_SOCK_DRAIN_H

#include "sock/probe.h"
#include "sock/sock.h"

typedef struct sock_owner {
    void *arg;
    void (*sent)(void *arg, const uint8_t *buf, const pln_transmit *to);
    void (*told)(void *arg, const pln_sock_event *event);
} sock_owner;

static inline void sock_drain(pln_sock *sock, const sock_owner *owner, pln_ts now) {
    bool more = true;
    while (more) {
        more = false;
        uint8_t buf[PLN_PROBE_BYTES];
        pln_transmit to;
        while (pln_sock_poll_transmit(sock, buf, &to, now)) {
            owner->sent(owner->arg, buf, &to);
        }
        pln_sock_event event;
        while (pln_sock_poll_event(sock, &event)) {
            more = true;
            owner->told(owner->arg, &event);
        }
    }
}

#endif
