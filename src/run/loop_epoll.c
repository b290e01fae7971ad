/* SPDX-License-Identifier: Apache-2.0 */
#include "run/loop_epoll.h"

#include <errno.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/assert.h"
#include "run/clock.h"

static int add(const pln_poller *poller, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    return epoll_ctl(poller->epoll_fd, EPOLL_CTL_ADD, fd, &event);
}

pollen_err pln_poller_init(pln_poller *poller, int socket_fd) {
    *poller = (pln_poller){.socket_fd = socket_fd, .armed = PLN_TS_NEVER};
    poller->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    poller->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    poller->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    if (poller->epoll_fd < 0 || poller->wake_fd < 0 || poller->timer_fd < 0 ||
        add(poller, socket_fd) != 0 || add(poller, poller->wake_fd) != 0 ||
        add(poller, poller->timer_fd) != 0) {
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
    close_fd(&poller->timer_fd);
    close_fd(&poller->wake_fd);
    close_fd(&poller->epoll_fd);
}

/* Empties an eventfd or a timerfd. */
static void drain(int fd) {
    uint64_t count;
    ssize_t got = read(fd, &count, sizeof(count));
    (void)got; /* EAGAIN: somebody was faster, which is as good. */
}

unsigned pln_poller_wait(pln_poller *poller, int timeout_ms) {
    struct epoll_event events[3];
    int count = epoll_wait(poller->epoll_fd, events, 3, timeout_ms);
    unsigned ready = 0;
    for (int i = 0; i < count; i++) {
        int fd = events[i].data.fd;
        if (fd == poller->wake_fd) {
            drain(fd);
            ready |= PLN_READY_WAKE;
        } else if (fd == poller->timer_fd) {
            drain(fd);
            poller->armed = PLN_TS_NEVER;
            ready |= PLN_READY_TIMER;
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

void pln_poller_arm(pln_poller *poller, pln_ts deadline, pln_ts now) {
    /* Under traffic the deadline moves on with every turn.  A timer that is set too early costs one
     * spurious wake-up; setting it each time would cost a system call a turn. */
    if (deadline == PLN_TS_NEVER || (poller->armed > now && poller->armed <= deadline)) {
        return;
    }
    /* All zero would disarm the timer. */
    struct itimerspec at = {.it_value = pln_clock_timespec(deadline > 0 ? deadline : 1)};
    PLN_ASSERT(timerfd_settime(poller->timer_fd, TFD_TIMER_ABSTIME, &at, NULL) == 0);
    poller->armed = deadline;
}
