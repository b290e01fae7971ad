/* SPDX-License-Identifier: Apache-2.0 */
#include "run/loop_epoll.h"

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "run/clock.h"

static int add(const pln_poller *poller, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

pollen_err pln_poller_init(pln_poller *poller, int socket_fd, int sockets_fd) {
    *poller = (pln_poller){.socket_fd = socket_fd, .sockets_fd = sockets_fd};
    poller->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    poller->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (poller->epoll_fd < 0 || poller->wake_fd < 0 || add(poller, socket_fd) != 0 ||
        add(poller, sockets_fd) != 0 || add(poller, poller->wake_fd) != 0) {
        pln_poller_fini(poller);
        return POLLEN_ESYS;
    }
    return POLLEN_OK;
}

static void close_fd(int *fd) {
    if (*fd >= 0) {
        (void)close(*fd);
    }
    *fd = -1;
}

void pln_poller_fini(pln_poller *poller) {
    close_fd(&poller->wake_fd);
    close_fd(&poller->epoll_fd);
}

enum { FDS = 3 };

/* Kernels before 5.11 know milliseconds only; rounding up means waking late rather than in vain. */
static int wait_for(const pln_poller *poller, struct epoll_event *events, pln_dur timeout) {
    if (timeout == 0) {
        return epoll_wait(poller->epoll_fd, events, FDS, 0); /* The cheaper of the two calls. */
    }
    struct timespec at = pln_clock_timespec(timeout);
    int count =
        epoll_pwait2(poller->epoll_fd, events, FDS, timeout == PLN_TS_NEVER ? NULL : &at, NULL);
    if (count < 0 && errno == ENOSYS) {
        count = epoll_wait(poller->epoll_fd, events, FDS, pln_clock_ms_until(timeout, 0));
    }
    return count;
}

unsigned pln_poller_wait(pln_poller *poller, pln_dur timeout) {
    struct epoll_event events[FDS];
    int count = wait_for(poller, events, timeout);
    unsigned ready = 0;
    for (int i = 0; i < count; i++) {
        int fd = events[i].data.fd;
        if (fd == poller->wake_fd) {
            ready |= PLN_READY_WAKE;
        } else if (fd == poller->sockets_fd) {
            ready |= PLN_READY_SOCKETS;
        } else {
            /* An error on the socket is cleared by reading. */
            ready |= (events[i].events & (EPOLLIN | EPOLLERR)) != 0 ? PLN_READY_READ : 0;
            ready |= (events[i].events & EPOLLOUT) != 0 ? PLN_READY_WRITE : 0;
        }
    }
    return ready;
}

void pln_poller_want_write(pln_poller *poller, bool on) {
    if (poller->want_write == on) {
        return;
    }
    struct epoll_event event = {.events = EPOLLIN | (on ? (uint32_t)EPOLLOUT : 0),
                                .data.fd = poller->socket_fd};
    PLN_ASSERT(epoll_ctl(poller->epoll_fd, EPOLL_CTL_MOD, poller->socket_fd, &event) == 0);
    poller->want_write = on;
}
