/* SPDX-License-Identifier: Apache-2.0 */
#include "pln/stopper.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "pln/exit.h"
#include "run/wake.h"

enum { GRACE_S = 3 };

static atomic_bool fired;
static int stop_fd = -1;
static pollen_cancel *cancel;

static sigset_t stop_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGTERM);
    return set;
}

static void *wait_for_signals(void *arg) {
    const sigset_t set = stop_signals();
    const struct timespec grace = {.tv_sec = GRACE_S};
    int number;
    (void)arg;
    (void)sigwait(&set, &number);
    atomic_store(&fired, true);
    pln_wake(stop_fd);
    pollen_cancel_fire(cancel);
    (void)sigtimedwait(&set, NULL, &grace);
    _exit(PLN_EXIT_INT);
}

void pln_stopper_start(void) {
    pthread_t thread;
    const sigset_t set = stop_signals();
    if (stop_fd >= 0) {
        return;
    }
    /* Without any of these the signals keep their default action, which ends the process too. */
    if (pollen_cancel_create(&cancel) != POLLEN_OK) {
        return;
    }
    stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    if (stop_fd < 0 || pthread_create(&thread, NULL, wait_for_signals, NULL) != 0) {
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
        return;
    }
    pthread_detach(thread);
}

bool pln_stopper_fired(void) {
    return atomic_load(&fired);
}

int pln_stopper_fd(void) {
    return stop_fd;
}

pollen_cancel *pln_stopper_cancel(void) {
    return cancel;
}

bool pln_stopper_wait(int timeout_ms) {
    struct pollfd pfd = {.fd = stop_fd, .events = POLLIN};
    (void)poll(&pfd, 1, timeout_ms);
    return pln_stopper_fired();
}
