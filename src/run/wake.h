/* SPDX-License-Identifier: Apache-2.0 */
/* Waking a thread that sleeps in poll(): an eventfd, which says no more than "look". */
#ifndef PLN_RUN_WAKE_H
#define PLN_RUN_WAKE_H

/* Any thread: makes the eventfd readable. */
void pln_wake(int fd);

/* Whoever sleeps on it, before it looks: the other order loses a wake-up.  The fd is non-blocking,
 * or known to be readable. */
void pln_wake_reset(int fd);

#endif
