/* SPDX-License-Identifier: Apache-2.0 */
/* Threads of the library. */
#ifndef PLN_RUN_THREAD_H
#define PLN_RUN_THREAD_H

#include <pthread.h>
#include <stdbool.h>

/* Starts a thread with all signals blocked,
 * so that the program's handlers run on the program's threads. */
bool pln_thread_start(pthread_t *ret_thread, void *(*main)(void *), void *arg);

#endif
