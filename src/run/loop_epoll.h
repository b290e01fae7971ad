/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the loop sleeps on: one epoll fd over the main socket, the set of the others and a wake-up
 * eventfd.  The epoll fd is itself pollable, so an embedder needs no other fd.  There is no
 * timerfd: under traffic the deadline moves with every turn, and programming a timer each time
 * costs more than a packet does.
 *
 * Thread: the loop's alone, but for the eventfd, which the command queue writes to and resets.
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
    PLN_READY_SOCKETS = 8, /* One of the sockets beside the main one. */
};

typedef struct pln_poller {
    int epoll_fd, wake_fd;
    int socket_fd, sockets_fd; /* Borrowed. */
    bool want_write;
} pln_poller;

/* Errors: POLLEN_ESYS */
POLLEN_MUST_USE pollen_err pln_poller_init(pln_poller *poller, int socket_fd, int sockets_fd);
void pln_poller_fini(pln_poller *poller);

/* Waits up to timeout (PLN_TS_NEVER: without limit) and returns what is ready;
 * 0 also after a signal. */
unsigned pln_poller_wait(pln_poller *poller, pln_dur timeout);

void pln_poller_want_write(pln_poller *poller, bool on);

#endif
