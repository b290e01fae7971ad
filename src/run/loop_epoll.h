/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the loop sleeps on: one epoll fd over the socket, a wake-up eventfd and a timerfd.  The epoll fd is
 * itself pollable, so an embedder needs no other fd.
 *
 * Thread: the loop's alone, but for pln_wake(wake_fd).
 */
#ifndef PLN_RUN_LOOP_EPOLL_H
#define PLN_RUN_LOOP_EPOLL_H

#include <stdbool.h>

#include <pollen/err.h>

#include "base/time.h"

enum {
    PLN_READY_READ = 1,
    PLN_READY_WRITE = 2,
    PLN_READY_WAKE = 4,
    PLN_READY_TIMER = 8,
};

typedef struct pln_poller {
    int epoll_fd, wake_fd, timer_fd;
    int socket_fd; /* Borrowed. */
    bool want_write;
    pln_ts armed; /* What the timerfd is set to. */
} pln_poller;

/* Errors: POLLEN_ESYS */
POLLEN_MUST_USE pollen_err pln_poller_init(pln_poller *poller, int socket_fd);
void pln_poller_fini(pln_poller *poller);

/* Waits up to timeout_ms (negative: without limit) and returns what is ready; 0 also after a signal. */
unsigned pln_poller_wait(pln_poller *poller, int timeout_ms);

void pln_poller_want_write(pln_poller *poller, bool on);

/* Wakes at deadline at the latest; earlier wake-ups may happen and are harmless. */
void pln_poller_arm(pln_poller *poller, pln_ts deadline, pln_ts now);

#endif
