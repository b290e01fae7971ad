/* SPDX-License-Identifier: Apache-2.0 */
#include "run/thread.h"

#include <signal.h>

bool pln_thread_start(pthread_t *ret_thread, void *(*main)(void *), void *arg) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(ret_thread, NULL, main, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0;
}
